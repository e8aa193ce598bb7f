// What a million items and thousands of waiters cost: as much for each
// one as a tenth of them, and no memory in the end.

import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import {
  Condition,
  createTask,
  Event,
  gather,
  LifoQueue,
  Lock,
  PriorityQueue,
  Queue,
  run,
  Semaphore,
  sleep,
} from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";
import { collectGarbage } from "./_garbage.ts";

const ITEMS = 1_000_000;
const WAITERS = 10_000;
/** A tenfold number costs ten times as much for each one if it is quadratic. */
const FACTOR = 5;
/** What may stay behind; items and waiters take many times that. */
const KEPT_BYTES = 3_000_000;

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

async function millisecondsOfEach(
  count: number,
  work: (count: number) => unknown,
): Promise<number> {
  const start = performance.now();
  await work(count);
  return (performance.now() - start) / count;
}

/** Compares the cost of each with that of a tenth as many; a busy machine gets three chances. */
async function assertLinear(
  count: number,
  work: (count: number) => unknown,
): Promise<void> {
  await work(count / 10); // so that the code is warm
  let few = 0;
  let many = Infinity;
  for (let chance = 0; chance < 3 && many >= few * FACTOR; chance++) {
    few = Math.max(few, await millisecondsOfEach(count / 10, work));
    many = Math.min(many, await millisecondsOfEach(count, work));
  }
  assert(
    many < few * FACTOR,
    `${few} ms for each of ${count / 10}, ${many} ms for each of ${count}`,
  );
}

for (const Class of [Queue, LifoQueue]) {
  Deno.test(`${Class.name} takes in and gives out a million items in linear time`, () =>
    assertLinear(ITEMS, (count) => {
      const queue = new Class<number>();
      for (let i = 0; i < count; i++) queue.putNowait(i);
      for (let i = 0; i < count; i++) queue.getNowait();
      assert(queue.empty());
    }));
}

Deno.test("PriorityQueue takes in and gives out a hundred thousand items in nearly linear time", () =>
  assertLinear(ITEMS / 10, (count) => {
    const queue = new PriorityQueue<number>();
    for (let i = 0; i < count; i++) queue.putNowait((i * 7919) % 1_000_003);
    for (let last = -1; !queue.empty();) {
      const item = queue.getNowait();
      assert(item >= last);
      last = item;
    }
  }));

Deno.test("Queue lets a producer and a consumer hand over items in linear time", () =>
  assertLinear(WAITERS, (count) =>
    run(async () => {
      const queue = new Queue<number>(10);
      const consumer = createTask(async () => {
        let sum = 0;
        for await (const item of queue) sum += item;
        return sum;
      });
      for (let i = 0; i < count; i++) await queue.put(1);
      queue.shutdown();
      assertEquals(await consumer, count);
    })));

/** A crowd of waiters, of which every second one is cancelled before the others are served. */
async function crowd(
  count: number,
  wait: () => PromiseLike<unknown>,
  wake: (left: number) => unknown,
): Promise<void> {
  let served = 0;
  await run(async () => {
    const tasks = Array.from({ length: count }, () =>
      createTask(async () => {
        await wait();
        served++;
      }));
    await sleep(0);
    for (let i = 0; i < count; i += 2) tasks[i].cancel();
    await sleep(0);
    await wake(count / 2);
    await gather(tasks, { returnExceptions: true });
  });
  assertEquals(served, count / 2);
}

const crowds: [string, (count: number) => Promise<void>][] = [
  ["Lock.acquire()", async (count) => {
    const lock = new Lock();
    await lock.acquire();
    const wait = async () => {
      using _ = await lock.acquire();
    };
    await crowd(count, wait, () => lock.release());
    assert(!lock.locked());
  }],
  ["Queue.get()", async (count) => {
    const queue = new Queue<number>();
    await crowd(count, () => queue.get(), (left) => {
      for (let i = 0; i < left; i++) queue.putNowait(i);
    });
    assert(queue.empty());
  }],
  ["Queue.put()", async (count) => {
    const queue = new Queue<number>(1);
    queue.putNowait(-1);
    let item = 0;
    await crowd(count, () => queue.put(item++), async (left) => {
      for (let i = 0; i < left; i++) await queue.get();
    });
    assertEquals(queue.getNowait(), count - 1);
  }],
  ["Queue.join()", async (count) => {
    const queue = new Queue<number>();
    queue.putNowait(1);
    await crowd(count, () => queue.join(), () => queue.taskDone());
  }],
  ["Semaphore.acquire()", async (count) => {
    const semaphore = new Semaphore(0);
    await crowd(count, () => semaphore.acquire(), (left) => {
      for (let i = 0; i < left; i++) semaphore.release();
    });
    assertEquals(inspect(semaphore), "<Semaphore locked>");
  }],
  ["Event.wait()", async (count) => {
    const event = new Event();
    await crowd(count, () => event.wait(), () => event.set());
  }],
  ["Condition.wait()", async (count) => {
    const condition = new Condition();
    const wait = async () => {
      using _ = await condition.acquire();
      await condition.wait();
    };
    await crowd(count, wait, async () => {
      using _ = await condition.acquire();
      condition.notifyAll();
    });
  }],
];

for (const [name, work] of crowds) {
  Deno.test(`${name} costs linear time for ${WAITERS} waiters, half of them cancelled`, () =>
    assertLinear(WAITERS, work));
}

Deno.test("Queue gives back the memory of half a million items", () => {
  const compare = (a: { n: number }, b: { n: number }) => a.n - b.n;
  const queues = [
    new Queue<{ n: number }>(),
    new LifoQueue<{ n: number }>(),
    new PriorityQueue<{ n: number }>(0, { compare }),
  ];
  for (const queue of queues) {
    const before = heapUsed();
    for (let n = 0; n < ITEMS / 2; n++) queue.putNowait({ n });
    assert(heapUsed() - before > 3 * KEPT_BYTES);
    while (!queue.empty()) queue.getNowait();
    assert(heapUsed() - before < KEPT_BYTES);
    assertEquals(queue.qsize(), 0);
  }
});

Deno.test("locks and queues give back the memory of thousands of waiters", () =>
  run(async () => {
    const lock = new Lock();
    const queue = new Queue<number>();
    const full = new Queue<number>(1);
    const condition = new Condition();
    await full.put(1);
    await lock.acquire();
    const waits = [
      () => lock.acquire(),
      () => queue.get(),
      () => full.put(2),
      async () => {
        using _ = await condition.acquire();
        await condition.wait();
      },
    ];
    const before = heapUsed();
    for (const wait of waits) {
      let tasks = Array.from(
        { length: WAITERS },
        () => createTask(async () => void await wait()),
      );
      await sleep(0);
      assert(heapUsed() - before > 2 * KEPT_BYTES);
      for (const task of tasks) task.cancel();
      await gather(tasks, { returnExceptions: true });
      tasks = [];
      await sleep(0);
      for (let i = 0; i < 10 && heapUsed() - before >= KEPT_BYTES; i++) {
        await sleep(0); // what the host still holds is gone a turn later
      }
      assert(heapUsed() - before < KEPT_BYTES);
    }
    assertEquals(inspect(lock), "<Lock locked>");
    assertEquals(inspect(queue), "<Queue 0 items>");
    assertEquals(inspect(full), "<Queue 1 of 1 items>");
    assertEquals(inspect(condition), "<Condition unlocked>");
  }));

Deno.test("a queue holds none of the waiters that came and were cancelled beside one that stays", () =>
  run(async () => {
    const queue = new Queue<number>();
    const stays = createTask(() => queue.get());
    await sleep(0);
    const before = heapUsed();
    for (let n = 0; n < WAITERS; n++) {
      const task = createTask(() => queue.get());
      await sleep(0);
      task.cancel();
    }
    await sleep(0);
    assert(heapUsed() - before < KEPT_BYTES);
    queue.putNowait(1);
    assertEquals(await stays, 1);
  }));
