import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  createTask,
  gather,
  LifoQueue,
  PriorityQueue,
  Queue,
  QueueShutDown,
  sleep,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

type AnyQueue = Queue<string>;

/** Runs a test on each kind of queue. */
async function onEach(
  test: (make: (maxsize?: number) => AnyQueue) => Promise<void>,
): Promise<void> {
  for (const Class of [Queue, LifoQueue, PriorityQueue]) {
    await virtual(() => test((maxsize) => new Class<string>(maxsize)));
  }
}

async function assertRefusesAll(queue: AnyQueue): Promise<void> {
  await assertRejects(() => queue.put("data"), QueueShutDown, "shut down");
  assertThrows(() => queue.putNowait("data"), QueueShutDown, "shut down");
  await assertRejects(() => queue.get(), QueueShutDown, "shut down");
  assertThrows(() => queue.getNowait(), QueueShutDown, "shut down");
}

Deno.test("Queue.shutdown() of an empty queue rejects the getter and refuses all later calls [test_queues._QueueShutdownTestMixin.test_shutdown_empty]", () =>
  onEach(async (make) => {
    const queue = make();
    const getter = createTask(() => queue.get());
    await sleep(0);
    queue.shutdown();
    assertEquals(queue.qsize(), 0);
    await queue.join();
    await sleep(0);
    assert(getter.done());
    await assertRejects(() => getter, QueueShutDown);
    await assertRefusesAll(queue);
  }));

Deno.test("Queue.shutdown() refuses the blocked putter and still hands out what is there [test_queues._QueueShutdownTestMixin.test_shutdown_nonempty]", () =>
  onEach(async (make) => {
    const queue = make(1);
    queue.putNowait("data");
    const joiner = createTask(() => queue.join());
    const putter = createTask(() => queue.put("data2"));
    await sleep(0);
    assertFalse(putter.done());
    queue.shutdown();
    assertEquals(queue.qsize(), 1);
    await sleep(0);
    assert(putter.done());
    await assertRejects(() => putter, QueueShutDown);
    assertEquals(await queue.get(), "data");
    await sleep(0);
    assertFalse(joiner.done());
    await assertRefusesAll(queue);
    queue.taskDone();
    await sleep(0);
    assert(joiner.done());
    assertThrows(() => queue.taskDone(), RangeError);
  }));

Deno.test("Queue.shutdown(true) drops the items, which count as processed [test_queues._QueueShutdownTestMixin.test_shutdown_immediate]", () =>
  onEach(async (make) => {
    const queue = make();
    queue.putNowait("data");
    const joiner = createTask(() => queue.join());
    await sleep(0);
    queue.shutdown(true);
    assertEquals(queue.qsize(), 0);
    await sleep(0);
    assert(joiner.done());
    await assertRefusesAll(queue);
    assertThrows(() => queue.taskDone(), RangeError);
  }));

Deno.test("Queue.shutdown(true) leaves the items that were taken to be processed [test_queues._QueueShutdownTestMixin.test_shutdown_immediate_with_unfinished]", () =>
  onEach(async (make) => {
    const queue = make();
    queue.putNowait("data");
    queue.putNowait("data");
    const joiner = createTask(() => queue.join());
    assertEquals(await queue.get(), "data");
    queue.shutdown(true);
    assertEquals(queue.qsize(), 0);
    await sleep(0);
    assertFalse(joiner.done());
    await assertRefusesAll(queue);
    queue.taskDone();
    assertThrows(() => queue.taskDone(), RangeError);
    await sleep(0);
    assert(joiner.done());
  }));

/** Getters, putters and joiners around a shutdown, and the outcome of each. */
async function aroundShutdown(
  queue: Queue<number>,
  immediate: boolean,
): Promise<string> {
  const log: string[] = [];
  const follow = (name: string, call: () => Promise<unknown>) =>
    createTask(async () => {
      log.push(`${name}:${await outcome(call()).then(kind)}`);
    });
  const tasks = [
    follow("j1", () => queue.join()),
    follow("p1", () => queue.put(10)),
    follow("p2", () => queue.put(11)),
    follow("j2", () => queue.join()),
  ];
  await sleep(0);
  queue.shutdown(immediate);
  tasks.push(
    follow("g1", () => queue.get()),
    follow("g2", () => queue.get()),
    follow("g3", () => queue.get()),
    follow("p3", () => queue.put(12)),
  );
  await sleep(1);
  log.push(`unfinished:${inspect(queue)}`);
  assertThrows(() => {
    for (;;) queue.taskDone();
  }, RangeError);
  await gather(tasks);
  return log.join(" ");
}

const kind = (outcome: string) => outcome.replace(/\(.*/, "");

Deno.test("Queue.shutdown() releases blocked putters and joiners in the order of CPython", () =>
  virtual(async () => {
    const queue = new Queue<number>(2);
    queue.putNowait(1);
    queue.putNowait(2);
    assertEquals(
      await aroundShutdown(queue, false),
      "p1:QueueShutDown p2:QueueShutDown g1:value 1 g2:value 2 " +
        "g3:QueueShutDown p3:QueueShutDown " +
        "unfinished:<Queue shut down, 0 of 2 items> " +
        "j1:value undefined j2:value undefined",
    );
  }));

Deno.test("Queue.shutdown(true) releases blocked putters and joiners in the order of CPython", () =>
  virtual(async () => {
    const queue = new Queue<number>(2);
    queue.putNowait(1);
    queue.putNowait(2);
    assertEquals(
      await aroundShutdown(queue, true),
      "j1:value undefined j2:value undefined " +
        "p1:QueueShutDown p2:QueueShutDown " +
        "g1:QueueShutDown g2:QueueShutDown g3:QueueShutDown " +
        "p3:QueueShutDown unfinished:<Queue shut down, 0 of 2 items>",
    );
  }));

Deno.test("Queue.shutdown() rejects blocked getters in FIFO order", () =>
  onEach(async (make) => {
    const queue = make();
    const log: number[] = [];
    const getters = [1, 2, 3].map((n) =>
      createTask(async () => {
        await assertRejects(() => queue.get(), QueueShutDown);
        log.push(n);
      })
    );
    await sleep(0);
    queue.shutdown();
    await gather(getters);
    assertEquals(log, [1, 2, 3]);
  }));

Deno.test("Queue.shutdown() gives a woken getter its item, Queue.shutdown(true) does not", () =>
  virtual(async () => {
    for (const immediate of [false, true]) {
      const queue = new Queue<number>();
      const getter = createTask(() => queue.get());
      await sleep(0);
      queue.putNowait(1);
      queue.shutdown(immediate);
      assertEquals(
        kind(await outcome(getter)),
        immediate ? "QueueShutDown" : "value 1",
      );
    }
  }));

Deno.test("Queue.shutdown() refuses a putter that had just got its slot", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    queue.putNowait(1);
    const putter = createTask(() => queue.put(2));
    await sleep(0);
    queue.getNowait();
    queue.shutdown();
    await assertRejects(() => putter, QueueShutDown);
    assert(queue.empty());
    queue.taskDone();
    await queue.join();
  }));

Deno.test("Queue.shutdown() may be called again, and become immediate", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    queue.putNowait(1);
    queue.shutdown();
    queue.shutdown();
    assertEquals(queue.qsize(), 1);
    queue.shutdown(true);
    assertEquals(queue.qsize(), 0);
    await queue.join();
  }));

Deno.test("Queue in for await ends at shutdown() with the last item, at shutdown(true) at once", () =>
  virtual(async () => {
    for (const immediate of [false, true]) {
      const queue = new Queue<number>();
      const seen: number[] = [];
      const consumers = [1, 2].map(() =>
        createTask(async () => {
          for await (const item of queue) {
            seen.push(item);
            await sleep(1);
          }
        })
      );
      for (const item of [1, 2, 3, 4]) queue.putNowait(item);
      await sleep(0.5);
      queue.shutdown(immediate);
      await gather(consumers);
      assertEquals(seen, immediate ? [1, 2] : [1, 2, 3, 4]);
    }
  }));
