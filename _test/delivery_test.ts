// When a request to cancel counts as delivered: only when the code of the task
// was given the error. A wait that nobody looks at any more, a listener, or a
// foreign promise that ends well is no proof of that.

import { readFile, stat } from "node:fs/promises";
import { assert, assertEquals } from "@std/assert";
import {
  asCompleted,
  Barrier,
  cancellable,
  CancelledError,
  Condition,
  type Coroutine,
  createTask,
  Event,
  gather,
  getEventLoop,
  Lock,
  Queue,
  run,
  Semaphore,
  shield,
  sleep,
  StreamReader,
  TaskGroup,
  timeout,
  wait,
  waitFor,
} from "@asyncio/asyncio";
import { outcome } from "./_virtual.ts";

/** A foreign promise, and the functions that settle it. */
function foreign(): PromiseWithResolvers<void> {
  return Promise.withResolvers<void>();
}

/** Waits a few turns of Deno's event loop. */
async function turns(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((ok) => setImmediate(ok));
}

async function heldLock(): Promise<Lock> {
  const lock = new Lock();
  await lock.acquire();
  return lock;
}

async function conditionWait(): Promise<unknown> {
  const condition = new Condition();
  using _ = await condition.acquire();
  return await condition.wait();
}

const never = () => new Event().wait();

/** Waits that never end by themselves. */
const waits: Record<string, () => PromiseLike<unknown>> = {
  "Event.wait()": never,
  "sleep()": () => sleep(Infinity),
  "Future": () => getEventLoop().createFuture(),
  "Task": () => createTask(never),
  "Queue.get()": () => new Queue().get(),
  "Lock.acquire()": async () => await (await heldLock()).acquire(),
  "Semaphore.acquire()": () => new Semaphore(0).acquire(),
  "Condition.wait()": conditionWait,
  "Barrier.wait()": () => new Barrier(2).wait(),
  "StreamReader.readline()": () => new StreamReader().readline(),
  "timeout()": () => timeout(null, never),
  "waitFor() of a coroutine": () => waitFor(never, null),
  "waitFor() of a future": () => waitFor(getEventLoop().createFuture(), 1e6),
  "waitFor() of a promise": () => waitFor(foreign().promise, 1e6),
  "waitFor() of a call": () => waitFor(new StreamReader().readline(), 1e6),
  "TaskGroup.run()": () => TaskGroup.run(() => never()),
  "TaskGroup.run() with children": () =>
    TaskGroup.run((group) => void group.createTask(never)),
  "gather()": () => gather([never, never]),
  "wait()": () => wait([createTask(never)]),
  "shield()": () => shield(never),
  "cancellable()": () => cancellable(foreign().promise),
  "await using of a TaskGroup": async () => {
    await using group = new TaskGroup();
    group.createTask(never);
    await group.join();
  },
  "asCompleted()": async () => {
    for await (const _ of asCompleted([never]));
  },
  "then of a future": () => getEventLoop().createFuture().then(() => {}),
  "two scopes": () => timeout(null, () => TaskGroup.run(never)),
  "async function": async () => {
    await never();
  },
};

/** Ways to abandon a wait. */
const races: Record<
  string,
  (left: () => PromiseLike<unknown>) => Promise<unknown>
> = {
  "Promise.race() with a sleep": (left) => Promise.race([left(), sleep(0)]),
  "Promise.race() with a foreign promise": (left) =>
    Promise.race([left(), turns()]),
  "Promise.any()": (left) => Promise.any([left(), sleep(0)]),
  "Promise.all() that fails": (left) =>
    Promise.all([left(), sleep(0).then(() => Promise.reject(new Error("x")))])
      .catch(() => {}),
  "a race in a race": (left) =>
    Promise.race([Promise.race([left(), left()]), turns()]),
  "a race in a scope": (left) =>
    timeout(1e6, () => Promise.race([left(), turns()])),
  "a race in a group": (left) =>
    TaskGroup.run(() => Promise.race([left(), turns()])),
  "a floating call": async (left) => {
    Promise.resolve(left()).catch(() => {});
    await turns();
  },
};

for (const [race, leave] of Object.entries(races)) {
  for (const [name, left] of Object.entries(waits)) {
    Deno.test(`${name} that was left behind by ${race} takes no cancellation from its task`, async () => {
      await run(async () => {
        const { promise, resolve } = foreign();
        let isThere = false;
        const task = createTask(async () => {
          await leave(left);
          isThere = true;
          await promise;
          await sleep(0);
          return "was not cancelled";
        });
        while (!isThere && !task.done()) await turns();
        task.cancel("stop");
        await turns();
        resolve();
        assertEquals(await outcome(task), "CancelledError(stop)");
        assert(task.cancelled());
      });
    });
  }
}

/** Ways in which a foreign promise can reject with the reason of a signal. */
const rejections: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  "at once": (signal) => rejectWith(signal, (reject) => reject()),
  "after a microtask": (signal) =>
    rejectWith(signal, (reject) => queueMicrotask(reject)),
  "in a timer of the host": (signal) =>
    rejectWith(signal, (reject) => setTimeout(reject)),
  "in an immediate": (signal) =>
    rejectWith(signal, (reject) => setImmediate(reject)),
  "after an operation of the host": (signal) =>
    rejectWith(signal, (reject) => stat(".").then(reject)),
  "through AbortSignal.any()": (signal) =>
    rejectWith(
      AbortSignal.any([signal, new AbortController().signal]),
      (reject) => setTimeout(reject),
    ),
  "by throwIfAborted()": async (signal) => {
    while (true) {
      await turns();
      signal.throwIfAborted();
    }
  },
  "as the end of a pipe": (signal) =>
    new ReadableStream({ cancel: turns }).pipeTo(
      new WritableStream({ abort: turns }),
      { signal },
    ),
};

function rejectWith(
  signal: AbortSignal,
  later: (reject: () => void) => unknown,
): Promise<unknown> {
  return new Promise((_, reject) =>
    signal.addEventListener(
      "abort",
      () => void later(() => reject(signal.reason)),
    )
  );
}

for (const [how, reject] of Object.entries(rejections)) {
  const ways: Record<string, (body: Coroutine<unknown>) => Promise<string>> = {
    "Task.cancel()": async (body) => {
      const task = createTask(body);
      await turns();
      task.cancel();
      return await outcome(task);
    },
    "timeout()": (body) => outcome(timeout(0.001, (t) => body(t.signal))),
    "TaskGroup": (body) =>
      outcome(TaskGroup.run(async (group) => {
        getEventLoop().callSoon(() => group.cancel());
        return await body(group.signal);
      })),
  };
  for (const [way, end] of Object.entries(ways)) {
    Deno.test(`${way} counts as delivered by a foreign promise that rejects with the reason ${how}`, () =>
      run(async () => {
        const body = async (signal: AbortSignal) => {
          await reject(signal).catch((error) => {
            if (error !== signal.reason) throw error;
          });
          await sleep(0);
          return "cleaned up";
        };
        assertEquals(await end(body), "value cleaned up");
      }));
  }
}

/** Ways in which a foreign promise may end without having met the request. */
const endings: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  "ends well": turns,
  "ends well when the signal aborts": (signal) =>
    new Promise((resolve) => signal.addEventListener("abort", resolve)),
  "ends well when AbortSignal.any() of it aborts": (signal) =>
    new Promise((resolve) =>
      AbortSignal.any([signal]).addEventListener("abort", resolve)
    ),
  "ends well beside a listener": (signal) => {
    signal.addEventListener("abort", () => {});
    return turns();
  },
  "ends well, and the signal is looked at": async (signal) => {
    await turns();
    assert(signal.aborted);
    assert(signal.reason instanceof CancelledError);
  },
  "rejects with another error": (signal) =>
    new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(new Error("other")))
    ).catch(() => {}),
  "reads a file to its end": () => readFile("deno.json", "utf8"),
  "is a message that comes": () => {
    const { port1, port2 } = new MessageChannel();
    const message = new Promise((resolve) => port1.onmessage = resolve);
    port2.postMessage(1);
    return message.finally(() => {
      port1.close();
      port2.close();
    });
  },
};

for (const [how, end] of Object.entries(endings)) {
  for (const then of ["waits again", "returns"]) {
    Deno.test(`Task.cancel() is not lost in a foreign promise that ${how}, when the task ${then}`, () =>
      run(async () => {
        const begun = foreign();
        const task = createTask(async (signal) => {
          begun.resolve();
          await end(signal);
          if (then === "waits again") await sleep(0);
          return "swallowed";
        });
        await begun.promise;
        task.cancel("stop");
        assertEquals(await outcome(task), "CancelledError(stop)");
        assertEquals(task.cancelling(), 1);
      }));
  }
  Deno.test(`timeout() is not lost in a foreign promise that ${how}`, () =>
    run(async () => {
      const error = await outcome(timeout(0, async ({ signal }) => {
        await end(signal);
        await sleep(0);
        return "swallowed";
      }));
      assert(error.startsWith("TimeoutError"), error);
    }));
}
