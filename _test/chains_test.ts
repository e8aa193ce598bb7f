// Long chains and circles of what waits for one another: they end, and no
// stack overflows on the way.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  allTasks,
  asCompleted,
  createTask,
  type Future,
  gather,
  getRunningLoop,
  shield,
  sleep,
  type Task,
  timeout,
  wait,
  waitFor,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

const LONG = 20_000;

/** What a link of a chain can be. */
const links: Record<string, (tail: Future<unknown>) => Future<unknown>> = {
  tasks: (tail) => createTask(async () => void await tail),
  thens: (tail) => tail.then(() => {}) as Future<unknown>,
  gathers: (tail) => gather([tail]),
};

function chain(
  link: (tail: Future<unknown>) => Future<unknown>,
  count = LONG,
): { head: Task<unknown>; tail: Future<unknown> } {
  const head = createTask(() => sleep(Infinity));
  let tail: Future<unknown> = head;
  for (let i = 0; i < count; i++) tail = link(tail);
  return { head, tail };
}

/** Lets what was made begin to wait. */
async function begun(): Promise<void> {
  await sleep(0);
  await sleep(0);
}

for (const [name, link] of Object.entries(links)) {
  Deno.test(`Chain of 20,000 ${name} ends when its last is cancelled`, () =>
    virtual(async () => {
      const { head, tail } = chain(link);
      await begun();
      assert(tail.cancel("stop"));
      assertEquals(await outcome(tail), "CancelledError(stop)");
      assert(head.cancelled());
      assertEquals(allTasks().size, 1);
    }));

  Deno.test(`Chain of 20,000 ${name} ends with what its first ends with`, () =>
    virtual(async () => {
      const future = getRunningLoop().createFuture();
      let tail: Future<unknown> = future;
      for (let i = 0; i < LONG; i++) tail = link(tail);
      await begun();
      future.setException(new RangeError("far"));
      assertEquals(await outcome(tail), "RangeError(far)");
      assertEquals(allTasks().size, 1);
    }));

  Deno.test(`Chain of 20,000 ${name} ends at a deadline, whose error and inspection are short`, () =>
    virtual(async () => {
      const { tail } = chain(link);
      await begun();
      assert(inspect(tail).length < 1000);
      const error = await outcome(timeout(1, () => tail));
      assertStringIncludes(error, "TimeoutError(Timed out");
      assert(error.length < 1000, error);
      assert(tail.done());
    }));
}

Deno.test("Chain of 20,000 shields ends with its first, and is not cancelled through its last", () =>
  virtual(async () => {
    const { head, tail } = chain(shield);
    await begun();
    assert(tail.cancel());
    await begun();
    assert(!head.done());
    head.cancel();
    await begun();
    assertEquals(await outcome(head), "CancelledError");
  }));

Deno.test("Chain of 5,000 waitFor() ends when its last is cancelled", () =>
  virtual(async () => {
    const { head, tail } = chain(
      (it) => createTask(() => waitFor(it, 9)),
      5000,
    );
    await begun();
    tail.cancel("stop");
    assertEquals(await outcome(tail), "CancelledError(stop)");
    assert(head.cancelled());
  }));

/** Waits of a task for itself, through something. */
const circles: Record<string, (own: Task<unknown>) => PromiseLike<unknown>> = {
  "gather()": (own) => gather([own]),
  "gather() of others too": (own) => gather([() => sleep(Infinity), own]),
  "gather() that collects errors": (own) =>
    gather([own], { returnExceptions: true }),
  "gather() of gather()": (own) => gather([gather([own])]),
  "shield()": (own) => shield(own),
  "wait()": (own) => wait([own]),
  "another task": (own) => createTask(async () => void await own),
  "a then": (own) => own.then(() => {}),
  "asCompleted()": async (own) => {
    for await (const _ of asCompleted([own]));
  },
};

for (const [name, circle] of Object.entries(circles)) {
  const suspended = async () => {
    const task: Task<unknown> = createTask(async () => {
      await sleep(0);
      await circle(task);
    });
    await sleep(1);
    return { task };
  };
  Deno.test(`Task that waits for itself through ${name} can be cancelled`, () =>
    virtual(async () => {
      const { task } = await suspended();
      task.cancel("stop");
      assertEquals(await outcome(task), "CancelledError(stop)");
      await sleep(0);
    }));
  Deno.test(`Task that waits for itself through ${name} is cancelled by a deadline of another`, () =>
    virtual(async () => {
      const { task } = await suspended();
      const error = await outcome(waitFor(task, 1));
      assertStringIncludes(error, "TimeoutError");
      assert(task.cancelled());
    }));
}

Deno.test("Tasks that wait for one another in a circle of 5,000 are all cancelled with one", () =>
  virtual(async () => {
    const tasks: Task<unknown>[] = [];
    for (let i = 0; i < 5000; i++) {
      tasks.push(createTask(async () => {
        await sleep(0);
        await tasks[(i + 1) % 5000];
      }));
    }
    await sleep(1);
    tasks[2500]!.cancel("stop");
    await Promise.allSettled(tasks);
    assert(tasks.every((task) => task.cancelled()));
  }));
