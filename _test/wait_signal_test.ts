// `signal` of the functions that wait for several things: it ends that wait,
// with its reason, and is left alone by a wait that has ended.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  asCompleted,
  createTask,
  Event,
  gather,
  sleep,
  type Task,
  TaskGroup,
  timeout,
  wait,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";

/** Starts to wait for tasks. */
type Wait = (
  tasks: Task<number>[],
  options: { signal: AbortSignal },
) => Promise<unknown>;

/** The functions that leave alone what they wait for. */
const observers: Record<string, Wait> = {
  "wait()": (tasks, options) => wait(tasks, options),
  "asCompleted()": async (tasks, options) => {
    for await (const task of asCompleted(tasks, options)) await task;
  },
};

/** All of them. */
const waits: Record<string, Wait> = {
  ...observers,
  "gather()": async (tasks, options) => await gather(tasks, options),
  "gather() that collects errors": async (tasks, options) =>
    await gather(tasks, { ...options, returnExceptions: true }),
};

function sleepers(): Task<number>[] {
  return [1, 2, 3].map((delay) =>
    createTask(() => sleep(delay, { result: delay }))
  );
}

/** A signal that counts its listeners. */
class CountingController extends AbortController {
  listeners = 0;

  constructor() {
    super();
    const { signal } = this;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      this.listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      this.listeners--;
      remove(...args);
    };
  }
}

for (const [name, start] of Object.entries(waits)) {
  Deno.test(`${name} with a signal that was aborted before rejects, and cancels nothing`, () =>
    virtual(async () => {
      const tasks = sleepers();
      const signal = AbortSignal.abort(new RangeError("before"));
      await assertRejects(() => start(tasks, { signal }), RangeError, "before");
      assertEquals(await gather(tasks), [1, 2, 3]);
    }));

  Deno.test(`${name} whose signal aborts rejects with the reason, once`, () =>
    virtual(async () => {
      const aborter = new AbortController();
      const tasks = sleepers();
      const waiting = start(tasks, { signal: aborter.signal });
      await sleep(1.5);
      aborter.abort(new RangeError("enough"));
      aborter.abort(new RangeError("too late"));
      assertEquals(await outcome(waiting), "RangeError(enough)");
      assertEquals(tasks[0]!.result(), 1);
      await gather(tasks, { returnExceptions: true });
    }));

  Deno.test(`${name} that has ended leaves its signal alone`, () =>
    virtual(async () => {
      const aborter = new CountingController();
      const tasks = sleepers();
      await start(tasks, { signal: aborter.signal });
      assertEquals(aborter.listeners, 0);
      aborter.abort();
      assertEquals(tasks.map((task) => task.result()), [1, 2, 3]);
    }));

  Deno.test(`${name} that is cancelled leaves its signal alone`, () =>
    virtual(async () => {
      const aborter = new CountingController();
      const tasks = sleepers();
      await assertRejects(() =>
        timeout(1.5, () => start(tasks, { signal: aborter.signal }))
      );
      await gather(tasks, { returnExceptions: true });
      assertEquals(aborter.listeners, 0);
    }));

  Deno.test(`${name} shares a signal with others`, () =>
    virtual(async () => {
      const aborter = new AbortController();
      const waiting = Object.values(waits).map((start) =>
        outcome(start(sleepers(), { signal: aborter.signal }))
      );
      await sleep(0);
      aborter.abort(new RangeError("all"));
      for (const end of waiting) assertEquals(await end, "RangeError(all)");
    }));
}

for (const [name, start] of Object.entries(observers)) {
  Deno.test(`${name} whose signal aborts leaves the tasks alone`, () =>
    virtual(async () => {
      const aborter = new AbortController();
      const tasks = sleepers();
      const waiting = outcome(start(tasks, { signal: aborter.signal }));
      await sleep(1.5);
      aborter.abort(new RangeError("enough"));
      await waiting;
      assertEquals(await gather(tasks), [1, 2, 3]);
    }));
}

Deno.test("gather() whose signal aborts cancels its tasks, and waits until they have cleaned up", () =>
  virtual(async () => {
    const aborter = new AbortController();
    const ended: string[] = [];
    const task = (name: string) => async () => {
      try {
        await sleep(10);
      } finally {
        await sleep(1);
        ended.push(name);
      }
    };
    const all = gather([task("a"), task("b")], { signal: aborter.signal });
    await sleep(1);
    aborter.abort(new RangeError("enough"));
    assertEquals(await outcome(all), "RangeError(enough)");
    assertEquals(ended, ["a", "b"]);
  }));

Deno.test("gather() whose signal aborts rejects with the reason even if its tasks end with values", () =>
  virtual(async () => {
    for (const returnExceptions of [false, true]) {
      const aborter = new AbortController();
      const all = gather([() => sleep(1).catch(() => "rescued")], {
        signal: aborter.signal,
        returnExceptions,
      });
      await sleep(0);
      aborter.abort(new RangeError("enough"));
      assertEquals(await outcome(all), "RangeError(enough)");
    }
  }));

Deno.test("TaskGroup.join() whose signal aborts leaves the tasks of the group alone", () =>
  virtual(async () => {
    const aborter = new CountingController();
    const release = new Event();
    await TaskGroup.run(async (group) => {
      const task = group.createTask(() => release.wait());
      const joining = outcome(group.join({ signal: aborter.signal }));
      await sleep(0);
      aborter.abort(new RangeError("enough"));
      assertEquals(await joining, "RangeError(enough)");
      assertEquals(aborter.listeners, 0);
      assert(!task.done());
      release.set();
      await group.join();
      assert(task.done());
    });
  }));
