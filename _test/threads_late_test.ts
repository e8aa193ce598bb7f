/** Uncaught errors that calls leave behind in their threads. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  createTask,
  type ExceptionContext,
  gather,
  getRunningLoop,
  run,
  RuntimeError,
  sleep,
  toThread,
  waitFor,
} from "@asyncio/asyncio";

/** Ways to leave something behind that fails later. */
const LEAVINGS: Record<string, (n: number) => unknown> = {
  "a timer": (n) => {
    setTimeout(() => {
      throw new EvalError(`left behind ${n}`);
    });
  },
  "an interval": (n) => {
    const interval = setInterval(() => {
      clearInterval(interval);
      throw new EvalError(`left behind ${n}`);
    });
  },
  "a promise": (n) => {
    Promise.reject(new EvalError(`left behind ${n}`));
  },
  "an async function": (n) => {
    const fail = async () => {
      await new Promise((resolve) => setTimeout(resolve));
      throw new EvalError(`left behind ${n}`);
    };
    fail();
  },
  "a microtask": async (n) => {
    queueMicrotask(async () => {
      for (let i = 0; i < 10; i++) await null;
      queueMicrotask(() => {
        throw new EvalError(`left behind ${n}`);
      });
    });
    await null;
  },
  "a port": (n) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      throw new EvalError(`left behind ${n}`);
    };
    port2.postMessage(null);
  },
};

/** Collects the reports to the exception handler of the running loop. */
function listenTo(count: number): Promise<ExceptionContext[]> {
  const heard: ExceptionContext[] = [];
  const all = Promise.withResolvers<ExceptionContext[]>();
  getRunningLoop().setExceptionHandler((_, context) => {
    heard.push(context);
    if (heard.length === count) all.resolve(heard);
  });
  return all.promise;
}

/** In a thread: takes a while, over several turns. */
async function innocent(n: number): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  return n;
}

for (const [what, leave] of Object.entries(LEAVINGS)) {
  Deno.test(`toThread() is not disturbed by an error that an earlier call has left in ${what}`, async () => {
    const ROUNDS = 50;
    await run(async () => {
      const heard = listenTo(ROUNDS);
      for (let n = 0; n < ROUNDS; n++) {
        await toThread(leave, n);
        assertEquals(await toThread(innocent, n), n);
      }
      const contexts = await heard;
      for (const [n, { message, exception }] of contexts.entries()) {
        assertEquals(
          message,
          `Error in a worker thread after its call of ${what}`,
        );
        assertInstanceOf(exception, EvalError);
        assertEquals(exception.message, `left behind ${n}`);
      }
    });
  });
}

Deno.test("toThread() fails by an error that its call left uncaught, also in a reused thread", async () => {
  const waitForIt = () =>
    new Promise(() => {
      setTimeout(() => {
        throw new EvalError("my own");
      });
    });
  await run(async () => {
    for (let i = 0; i < 3; i++) {
      assertEquals(await toThread(innocent, i), i);
      const error = await assertRejects(
        () => toThread(waitForIt),
        RuntimeError,
      );
      assertStringIncludes(error.message, "an error in it was not caught");
      assertInstanceOf(error.cause, EvalError);
    }
  });
});

Deno.test("toThread() keeps what the timers of Deno can do", async () => {
  const seen = await run(() =>
    toThread(async () => {
      const seen: unknown[] = [setTimeout.name, setInterval.name];
      await new Promise<void>((resolve) => {
        setTimeout(
          (...args: number[]) => {
            seen.push(...args);
            resolve();
          },
          1,
          2,
          3,
        );
      });
      const never = setTimeout(() => seen.push("never"), 1);
      clearTimeout(never);
      await new Promise((resolve) => setTimeout(resolve, 2));
      return seen;
    })
  );
  assertEquals(seen, ["setTimeout", "setInterval", 2, 3]);
});

/** In a thread: blocks until the second cell is set, then fails. */
function failLate(gate: Int32Array): never {
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  Atomics.wait(gate, 1, 0);
  throw new EvalError("too late");
}

/** In a thread: a number unique to it. */
function ownNumber(): number {
  const scope = globalThis as unknown as { ownNumber?: number };
  return scope.ownNumber ??= Math.random();
}

const WAYS: Record<string, (call: Promise<unknown>) => Promise<unknown>> = {
  "a task that is cancelled": async (call) => {
    const task = createTask(() => call);
    await sleep(0);
    task.cancel();
    return await task.catch((error) => error.name);
  },
  "a timeout": (call) => waitFor(call, 0.001).catch((error) => error.name),
  "a race": (call) => Promise.race([call, Promise.resolve("the winner")]),
  "a signal": async (call) => {
    const controller = new AbortController();
    const task = createTask(() => call, { signal: controller.signal });
    await sleep(0); // a task that never started would never await the call
    controller.abort(new RangeError("enough"));
    return await task.catch((error) => error.name);
  },
};

for (const [way, leave] of Object.entries(WAYS)) {
  Deno.test(`toThread() that is left by ${way} drops its late error, and its thread is used again`, async () => {
    await run(async () => {
      const reports: unknown[] = [];
      getRunningLoop().setExceptionHandler((_, it) => reports.push(it));
      const first = await toThread(ownNumber);
      const gate = new Int32Array(new SharedArrayBuffer(8));
      const call = toThread(failLate, gate);
      while (Atomics.load(gate, 0) === 0) {
        await Atomics.waitAsync(gate, 0, 0).value;
      }
      const how = await leave(call);
      assert(
        ["CancelledError", "TimeoutError", "the winner", "RangeError"]
          .includes(how as string),
      );
      Atomics.store(gate, 1, 1);
      Atomics.notify(gate, 1);
      for (let seen = [0, 0]; !seen.includes(first);) {
        seen = await gather([toThread(ownNumber), toThread(ownNumber)]);
      }
      assertEquals(reports, []);
    });
  });
}
