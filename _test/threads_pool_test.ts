import process from "node:process";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  EventLoop,
  type ExceptionContext,
  gather,
  getRunningLoop,
  run,
  RuntimeError,
  sleep,
  TimeoutError,
  toThread,
  VirtualTimeLoop,
  waitFor,
} from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";

const MOST_THREADS = Math.min(32, navigator.hardwareConcurrency + 4);

/** Memory that threads count and wait in. */
function cells(length = 2): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}

/** In a thread: counts itself in the first cell, then blocks until the second is set. */
function hold(cells: Int32Array): number {
  Atomics.add(cells, 0, 1);
  Atomics.notify(cells, 0);
  Atomics.wait(cells, 1, 0);
  return Atomics.load(cells, 0);
}

/** Releases all blocked threads. */
function release(cells: Int32Array): void {
  Atomics.store(cells, 1, 1);
  Atomics.notify(cells, 1);
}

/** Waits until n threads have counted themselves. */
async function counted(cells: Int32Array, count: number): Promise<void> {
  for (;;) {
    const seen = Atomics.load(cells, 0);
    if (seen >= count) return;
    await Atomics.waitAsync(cells, 0, seen).value;
  }
}

/** In a thread: a number unique to it. */
function ownNumber(): number {
  const scope = globalThis as unknown as { ownNumber?: number };
  return scope.ownNumber ??= Math.random();
}

/** Runs a coroutine and collects the reports to the exception handler. */
async function heardIn(main: () => Promise<void>): Promise<ExceptionContext[]> {
  const heard: ExceptionContext[] = [];
  await run(async () => {
    getRunningLoop().setExceptionHandler((_, context) => heard.push(context));
    await main();
  });
  return heard;
}

Deno.test("toThread() uses one thread for calls one after another", async () => {
  const numbers = await run(async () => {
    const numbers = new Set<number>();
    for (let i = 0; i < 5; i++) numbers.add(await toThread(ownNumber));
    return numbers;
  });
  assertEquals(numbers.size, 1);
});

Deno.test("toThread() starts as many threads as calls block, up to the limit", async () => {
  await run(async () => {
    const gate = cells();
    const calls = Array.from(
      { length: MOST_THREADS + 3 },
      () => toThread(hold, gate),
    );
    await counted(gate, MOST_THREADS);
    assertEquals(gate[0], MOST_THREADS);
    release(gate);
    const results = await gather(calls);
    assertEquals(Math.max(...results), MOST_THREADS + 3);
  });
});

Deno.test("toThread() lets calls wait for a thread in the order they were made", async () => {
  const order = await run(async () => {
    const gate = cells();
    const held = Array.from(
      { length: MOST_THREADS - 1 },
      () => toThread(hold, gate),
    );
    await counted(gate, MOST_THREADS - 1);
    const counter = cells();
    const rest = Array.from(
      { length: 12 },
      () => toThread((it) => Atomics.add(it, 0, 1), counter),
    );
    const order = await gather(rest);
    release(gate);
    await gather(held);
    return order;
  });
  assertEquals(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

Deno.test("Loops have threads of their own", async () => {
  const one = await run(() => toThread(ownNumber));
  const two = await run(() => toThread(ownNumber));
  assert(one !== two);
});

Deno.test("run() waits for calls under way before it ends", async () => {
  const done = cells();
  const result = await run(async () => {
    createTask(() =>
      toThread((done: Int32Array) => {
        Atomics.wait(done, 1, 0, 100);
        Atomics.store(done, 0, 1);
      }, done)
    );
    await sleep(0);
    return "main is done";
  });
  assertEquals(result, "main is done");
  assertEquals(done[0], 1);
});

Deno.test("EventLoop.shutdownDefaultExecutor() waits for what was called, and refuses more", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const gate = cells();
    const calls = Array.from(
      { length: MOST_THREADS + 1 },
      () => toThread(hold, gate),
    );
    let joined = false;
    const shutdown = loop.shutdownDefaultExecutor().then(() => joined = true);
    await counted(gate, 2);
    await assertRejects(
      () => toThread(hold, gate),
      RuntimeError,
      "the executor was shut down",
    );
    assert(!joined);
    release(gate);
    await gather(calls);
    await shutdown;
    await loop.shutdownDefaultExecutor();
  });
});

Deno.test("EventLoop.shutdownDefaultExecutor() refuses calls also when there were none before", async () => {
  await run(async () => {
    await getRunningLoop().shutdownDefaultExecutor();
    await assertRejects(() => toThread(ownNumber), RuntimeError);
  });
});

Deno.test("EventLoop.shutdownDefaultExecutor() can be cancelled, and the threads end nevertheless", async () => {
  await run(async () => {
    const gate = cells();
    const call = toThread(hold, gate);
    await counted(gate, 1);
    const task = createTask(() => getRunningLoop().shutdownDefaultExecutor());
    await sleep(0);
    task.cancel();
    await assertRejects(() => task, CancelledError);
    await assertRejects(() => toThread(ownNumber), RuntimeError);
    release(gate);
    assertEquals(await call, 1);
    await getRunningLoop().shutdownDefaultExecutor();
  });
});

Deno.test("EventLoop.shutdownDefaultExecutor() warns after its time and fails the calls", async () => {
  const warnings: unknown[] = [];
  const { warn } = console;
  console.warn = (...data) => void warnings.push(...data);
  const gate = cells();
  try {
    await run(async () => {
      const call = createTask(() => toThread(hold, gate));
      const waiting = Array.from(
        { length: MOST_THREADS },
        () => createTask(() => toThread(hold, gate)),
      );
      await counted(gate, 1);
      await getRunningLoop().shutdownDefaultExecutor({ milliseconds: 10 });
      for (const task of [call, ...waiting]) {
        await assertRejects(() => task, RuntimeError, "was shut down");
      }
    });
  } finally {
    console.warn = warn;
    release(gate);
  }
  assertEquals(warnings, [
    "The executor did not finish joining its threads within 0.01 seconds",
  ]);
});

Deno.test("EventLoop.shutdownDefaultExecutor() with no time left says nothing of idle threads", async () => {
  const warnings: unknown[] = [];
  const { warn } = console;
  console.warn = (...data) => void warnings.push(...data);
  try {
    await run(async () => {
      await toThread(ownNumber);
      await getRunningLoop().shutdownDefaultExecutor(0);
    });
  } finally {
    console.warn = warn;
  }
  assertEquals(warnings, []);
});

Deno.test("EventLoop.close() refuses more calls, and running ones are ignored", async () => {
  const loop = new EventLoop();
  const gate = cells(3);
  const call = loop.runInExecutor((gate: Int32Array) => {
    Atomics.wait(gate, 1, 0);
    Atomics.add(gate, 0, 1);
    Atomics.notify(gate, 0);
  }, gate);
  loop.close();
  await assertRejects(() => loop.runInExecutor(ownNumber), RuntimeError);
  release(gate);
  await counted(gate, 1);
  assertStringIncludes(inspect(call), "pending");
});

Deno.test("A cancelled toThread() leaves the thread to finish, and its result is dropped", async () => {
  const gate = cells();
  const heard = await heardIn(async () => {
    const task = createTask(() => toThread(hold, gate));
    await counted(gate, 1);
    task.cancel();
    await assertRejects(() => task, CancelledError);
    const next = toThread(ownNumber);
    release(gate);
    await next;
  });
  assertEquals(heard, []);
});

Deno.test("A cancelled toThread() drops a late error and a late exit", async () => {
  const heard = await heardIn(async () => {
    for (const dies of [false, true]) {
      const gate = cells();
      const task = createTask(() =>
        toThread(
          (gate: Int32Array, dies: boolean) => {
            Atomics.add(gate, 0, 1);
            Atomics.notify(gate, 0);
            Atomics.wait(gate, 1, 0);
            if (dies) process.exit(1);
            throw new Error("too late");
          },
          gate,
          dies,
        )
      );
      await counted(gate, 1);
      task.cancel();
      await assertRejects(() => task, CancelledError);
      release(gate);
    }
    assertEquals(await toThread(() => 1), 1);
  });
  assertEquals(heard, []);
});

Deno.test("A toThread() that is cancelled before a thread is free never runs", async () => {
  const ran = cells();
  await run(async () => {
    const gate = cells();
    const held = Array.from(
      { length: MOST_THREADS },
      () => toThread(hold, gate),
    );
    const task = createTask(() =>
      toThread((ran) => Atomics.add(ran, 0, 1), ran)
    );
    await counted(gate, MOST_THREADS);
    task.cancel();
    await assertRejects(() => task, CancelledError);
    release(gate);
    await gather(held);
    await toThread(ownNumber);
  });
  assertEquals(ran[0], 0);
});

Deno.test("waitFor() over toThread() keeps its deadline", async () => {
  const gate = cells();
  await run(async () => {
    await assertRejects(
      () => waitFor(toThread(hold, gate), 0.01),
      TimeoutError,
    );
    release(gate);
  });
});

Deno.test("toThread() works on a loop with virtual time", async () => {
  const result = await run(
    async () => {
      const call = toThread(() => 42);
      await sleep(3600);
      return await call;
    },
    { loopFactory: () => new VirtualTimeLoop() },
  );
  assertEquals(result, 42);
});

const DEATHS: [string, () => unknown, string][] = [
  ["exit()", () => process.exit(3), "it exited with code 3"],
  ["close()", () => new Promise(() => close()), "it exited with code 0"],
  [
    "an error in a timer",
    () => new Promise(() => setTimeout(() => JSON.parse("{"))),
    "an error in it was not caught",
  ],
  [
    "a promise that nobody handles",
    () => {
      Promise.reject(new SyntaxError("unhandled"));
      return new Promise(() => {});
    },
    "an error in it was not caught",
  ],
];

for (const [name, die, why] of DEATHS) {
  Deno.test(`A thread that dies of ${name} fails its call alone, and is replaced`, async () => {
    await run(async () => {
      const gate = cells();
      const other = toThread(hold, gate);
      await counted(gate, 1);
      const error = await assertRejects(
        () => toThread(die),
        RuntimeError,
        `The worker thread ended before the call of an anonymous function was done: ${why}`,
      );
      if (why.includes("not caught")) {
        assertInstanceOf(error.cause, SyntaxError);
      }
      release(gate);
      assertEquals(await other, 1);
      assertEquals(await toThread(() => 1), 1);
    });
  });
}

Deno.test("Threads that exit one after another are all replaced", async () => {
  await run(async () => {
    for (let i = 0; i < MOST_THREADS + 2; i++) {
      const error = await assertRejects(
        () =>
          toThread(function dying() {
            process.exit();
          }),
        RuntimeError,
      );
      assertStringIncludes(error.message, "the call of dying");
    }
    assertEquals(await toThread(() => 1), 1);
  });
});

Deno.test("An error that a thread throws after its call goes to the exception handler", async () => {
  await run(async () => {
    const heard = Promise.withResolvers<ExceptionContext>();
    getRunningLoop().setExceptionHandler((_, context) => {
      heard.resolve(context);
    });
    await toThread(() => {
      setTimeout(() => {
        throw new EvalError("afterwards");
      });
    });
    const { message, exception } = await waitFor(heard.promise, 60);
    assertStringIncludes(message, "after its call");
    assertInstanceOf(exception, EvalError);
    assertEquals(await toThread(() => 1), 1);
  });
});
