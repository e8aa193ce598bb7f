// What has ended holds nothing: tasks, results and waits are garbage as soon
// as nobody of the user's holds them.

import { assertEquals } from "@std/assert";
import {
  asCompleted,
  createTask,
  gather,
  getRunningLoop,
  run,
  shield,
  sleep,
  timeout,
  wait,
  waitFor,
} from "@asyncio/asyncio";
import { collectGarbage } from "./_garbage.ts";

const COUNT = 100;

/** How many of the things are held after as many collections as it takes, the last of them aside. */
async function held(things: WeakRef<WeakKey>[]): Promise<number> {
  let count = Infinity;
  for (let i = 0; i < 50 && count > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    await sleep(0);
    collectGarbage();
    const left = things.slice(0, -1).filter((it) => it.deref() !== undefined);
    count = left.length;
  }
  return count;
}

/** What a task can leave behind that outlives it. */
const leftovers: Record<string, () => () => void> = {
  "an interval of the host": () => {
    const id = setInterval(() => {}, 1e6);
    return () => clearInterval(id);
  },
  "a timer of the loop": () => {
    const handle = getRunningLoop().callLater(1e6, () => {});
    return () => handle.cancel();
  },
  "a listener": () => {
    const { signal } = new AbortController();
    const listener = () => {};
    signal.addEventListener("abort", listener);
    return () => signal.removeEventListener("abort", listener);
  },
  "a done callback": () => {
    const future = getRunningLoop().createFuture();
    future.addDoneCallback(() => {});
    return () => future.cancel();
  },
};

for (const [what, leave] of Object.entries(leftovers)) {
  Deno.test(`Task that has ended is not held by ${what} that it has left, nor is its result`, () =>
    run(async () => {
      const refs: WeakRef<WeakKey>[] = [];
      const undo: (() => void)[] = [];
      const once = async () => {
        const task = createTask(async () => {
          undo.push(leave());
          await sleep(0);
          const result = { large: new Uint8Array(1000) };
          refs.push(new WeakRef(result));
          return result;
        });
        refs.push(new WeakRef(task));
        await task;
      };
      for (let i = 0; i < COUNT; i++) await once();
      await once();
      assertEquals(await held(refs.slice(0, -2)), 0);
      for (const call of undo) call();
    }));
}

/** Waits for a future that never ends, each over soon. */
const waits: Record<string, (never: Promise<unknown>) => Promise<unknown>> = {
  "asCompleted() that its deadline ended": async (never) => {
    for await (const _ of asCompleted([never], { timeout: 0 }));
  },
  "asCompleted() that was left": async (never) => {
    for await (const _ of asCompleted([never, () => 1])) break;
  },
  "gather() that has failed": (never) =>
    gather([never, () => Promise.reject(new Error("early"))]),
  "wait() that ran out of time": (never) =>
    wait([never as never], { timeout: 0 }),
  "waitFor() of a shield": (never) => waitFor(shield(never), 0),
  "timeout() of a shield": (never) => timeout(0, () => shield(never)),
  "a race that was won": (never) => Promise.race([shield(never), sleep(0)]),
};

for (const [what, call] of Object.entries(waits)) {
  Deno.test(`${what} holds on to nothing through a future that never ends`, () =>
    run(async () => {
      const never = getRunningLoop().createFuture();
      const refs: WeakRef<WeakKey>[] = [];
      const once = async () => {
        const task = createTask(async () => {
          try {
            await call(never);
          } catch { /* the deadline, or the error */ }
        });
        refs.push(new WeakRef(task));
        await task;
      };
      for (let i = 0; i < COUNT; i++) await once();
      assertEquals(await held(refs), 0);
      never.cancel();
    }));
}

for (const step of ["first", "second"]) {
  Deno.test(`Task that fails in its ${step} step is garbage once its error was seen`, () =>
    run(async () => {
      const refs: WeakRef<WeakKey>[] = [];
      const once = async () => {
        const task = createTask(async () => {
          if (step === "second") await sleep(0);
          throw new Error("seen");
        });
        refs.push(new WeakRef(task));
        await wait([task]);
        task.exception();
      };
      for (let i = 0; i < COUNT; i++) await once();
      assertEquals(await held(refs), 0);
    }));
}

Deno.test("Chain of thens that grows at its end holds only its last result", () =>
  run(async () => {
    const refs: WeakRef<WeakKey>[] = [];
    let tail: Promise<unknown> = createTask(() => {});
    const once = async () => {
      tail = tail.then(() => {
        const result = {};
        refs.push(new WeakRef(result));
        return result;
      });
      await tail;
    };
    for (let i = 0; i < COUNT; i++) await once();
    assertEquals(await held(refs), 0);
    await tail;
  }));
