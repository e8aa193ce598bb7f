import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  gather,
  getRunningLoop,
  LifoQueue,
  PriorityQueue,
  Queue,
  QueueEmpty,
  QueueFull,
  sleep,
  type Task,
  TaskGroup,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import { describe } from "../_validate.ts";
import { outcome, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

const classes = [Queue, LifoQueue, PriorityQueue];

Deno.test("Queue.empty() follows put and get [test_queues.QueueBasicTests.test_empty]", async () => {
  const queue = new Queue<number>();
  assert(queue.empty());
  await queue.put(1);
  assertFalse(queue.empty());
  assertEquals(await queue.get(), 1);
  assert(queue.empty());
});

Deno.test("Queue.full() is true at maxsize and never without one [test_queues.QueueBasicTests.test_full]", async () => {
  for (const unbounded of [new Queue(), new Queue(-1), new Queue(Infinity)]) {
    for (let i = 0; i < 100; i++) unbounded.putNowait(i);
    assertFalse(unbounded.full());
  }
  const queue = new Queue<number>(1);
  assertFalse(queue.full());
  await queue.put(1);
  assert(queue.full());
});

Deno.test("Queue gives items first in, first out [test_queues.QueueBasicTests.test_order]", async () => {
  const queue = new Queue<number>();
  for (const item of [1, 3, 2]) await queue.put(item);
  assertEquals(await taken(queue, 3), [1, 3, 2]);
});

Deno.test("LifoQueue gives the last item first [test_queues.LifoQueueTests.test_order]", async () => {
  const queue = new LifoQueue<number>();
  for (const item of [1, 3, 2]) await queue.put(item);
  assertEquals(await taken(queue, 3), [2, 3, 1]);
});

Deno.test("Queue keeps order through thousands of puts and gets of changing number", () => {
  const queue = new Queue<number>();
  let put = 0;
  let got = 0;
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < (round * 7) % 50; i++) queue.putNowait(put++);
    const takes = Math.min(queue.qsize(), (round * 11) % 45);
    for (let i = 0; i < takes; i++) assertEquals(queue.getNowait(), got++);
  }
  while (!queue.empty()) assertEquals(queue.getNowait(), got++);
  assertEquals(got, put);
});

Deno.test("Queue.put() waits at maxsize until an item is taken [test_queues.QueueBasicTests.test_maxsize]", () =>
  virtual(async () => {
    const queue = new Queue<number>(2);
    assertEquals(queue.maxsize, 2);
    const put: number[] = [];
    const putter = createTask(async () => {
      for (let i = 0; i < 3; i++) {
        await queue.put(i);
        put.push(i);
      }
    });
    await sleep(0);
    await sleep(0);
    assertEquals(put, [0, 1]);
    assertEquals(await queue.get(), 0);
    await sleep(0);
    assertEquals(put, [0, 1, 2]);
    assertEquals(await taken(queue, 2), [1, 2]);
    assert(putter.done());
  }));

Deno.test("Queue compares its size with a maxsize that is not a whole number [test_queues.QueuePutTests.test_float_maxsize]", async () => {
  const queue = new Queue<number>(1.3);
  queue.putNowait(1);
  queue.putNowait(2);
  assert(queue.full());
  assertThrows(() => queue.putNowait(3), QueueFull);
  const other = new Queue<number>(1.3);
  await other.put(1);
  await other.put(2);
  assert(other.full());
});

Deno.test("Queue.get() of a thenable that throws rejects, and the queue continues", () =>
  virtual(async () => {
    const thenables = [
      {
        get then() {
          throw new RangeError("bad getter");
        },
      },
      {
        then() {
          throw new RangeError("bad then");
        },
      },
    ];
    for (const thenable of thenables) {
      const queue = new Queue<unknown>();
      const waiting = [
        queue.get().catch(() => {}),
        queue.get().finally(() => {}),
        (async () => await queue.get())(),
      ].map((it) => assertRejects(() => it, RangeError, "bad "));
      await sleep(0);
      for (const _ of waiting) queue.putNowait(thenable);
      await Promise.all(waiting);
      queue.putNowait(thenable);
      await assertRejects(() => queue.get(), RangeError, "bad ");
      queue.putNowait(1);
      assertEquals(await queue.get(), 1);
    }
  }));

Deno.test("Queue refuses a maxsize that is not a number", () => {
  for (const maxsize of ["2", NaN, null, {}]) {
    assertThrows(
      () => new Queue(maxsize as unknown as number),
      TypeError,
      `Cannot create a queue: maxsize must be a number, got ${
        describe(maxsize)
      }`,
    );
  }
});

for (const make of [Queue, LifoQueue, PriorityQueue]) {
  Deno.test(`${make.name} shows its name to consoles and in what a task waits for`, () =>
    virtual(async () => {
      const queue = new make<number>(1, { name: "jobs" });
      const task = createTask(() => queue.get(), { name: "worker" });
      await sleep(0);
      const shown = `<${make.name} "jobs" 0 of 1 items, 1 waiting to get>`;
      assertEquals(inspect(queue), shown);
      assert(inspect(task).includes(`an item of ${shown}`));
      queue.putNowait(1);
      await task;
    }));

  Deno.test(`${make.name} refuses unknown options, and shutdown() what is no boolean`, () => {
    assertThrows(
      () => new make(0, { maxsize: 1 } as never),
      TypeError,
      'Cannot create a queue: unknown option "maxsize"',
    );
    assertThrows(
      () => new make(0, null as never),
      TypeError,
      "Cannot create a queue: options must be an object, got null",
    );
    const queue = new make<number>();
    queue.putNowait(1);
    assertThrows(
      () => queue.shutdown({ immediate: true } as never),
      TypeError,
      "Cannot shut a queue down: immediate must be true or false, got a plain object",
    );
    assertEquals(queue.getNowait(), 1);
    queue.putNowait(2);
  });
}

Deno.test("Queue.get() returns an item that is there at once [test_queues.QueueGetTests.test_blocking_get]", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    queue.putNowait(1);
    const log = ["before"];
    getRunningLoop().callSoon(() => log.push("turn"));
    log.push(String(await queue.get()));
    assertEquals(log, ["before", "1"]);
  }));

Deno.test("Queue.get() releases the first blocked putter [test_queues.QueueGetTests.test_get_with_putters]", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    await queue.put(1);
    const putters = [2, 3].map((n) => createTask(() => queue.put(n)));
    await sleep(0);
    assertEquals(await queue.get(), 1);
    await sleep(0);
    assertEquals(putters.map((it) => it.done()), [true, false]);
    assertEquals(await taken(queue, 2), [2, 3]);
    await gather(putters);
  }));

Deno.test("Queue.get() waits for a later put [test_queues.QueueGetTests.test_blocking_get_wait]", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const loop = getRunningLoop();
    loop.callLater(0.01, () => queue.putNowait(1));
    assertEquals(await queue.get(), 1);
    assertEquals(loop.time(), 0.01);
  }));

Deno.test("Queue.put() wakes a waiting getter with that item [test_queues.QueuePutTests.test_put_with_waiting_getters]", () =>
  virtual(async () => {
    const queue = new Queue<string>();
    const getter = createTask(() => queue.get());
    await sleep(0);
    await queue.put("a");
    assertEquals(await getter, "a");
  }));

Deno.test("Queue.getNowait() returns an item [test_queues.QueueGetTests.test_nonblocking_get] [test_queues.QueuePutTests.test_nonblocking_put]", () => {
  const queue = new Queue<number>();
  queue.putNowait(1);
  assertEquals(queue.getNowait(), 1);
});

Deno.test("Queue.getNowait() refuses when the queue is empty [test_queues.QueueGetTests.test_nonblocking_get_exception]", () => {
  for (const Class of classes) {
    assertThrows(() => new Class().getNowait(), QueueEmpty, "empty");
  }
});

Deno.test("Queue.putNowait() refuses when the queue is full [test_queues.QueuePutTests.test_nonblocking_put_exception]", () => {
  for (const Class of classes) {
    const queue = new Class<number>(1);
    queue.putNowait(1);
    assertThrows(() => queue.putNowait(2), QueueFull, "full with 1");
    assertEquals(queue.qsize(), 1);
  }
});

Deno.test("Queue.get() serves the next getter when the first was cancelled [test_queues.QueueGetTests.test_get_cancelled_race]", () =>
  virtual(async () => {
    const queue = new Queue<string>();
    const first = createTask(() => queue.get());
    const second = createTask(() => queue.get());
    await sleep(0);
    first.cancel();
    await sleep(0);
    assert(first.done());
    await queue.put("a");
    await sleep(0);
    assertEquals(await second, "a");
  }));

Deno.test("Queue.get() takes the items of blocked putters in their order [test_queues.QueueGetTests.test_get_with_waiting_putters]", () =>
  virtual(async () => {
    const queue = new Queue<string>(1);
    createTask(() => queue.put("a"));
    createTask(() => queue.put("b"));
    assertEquals(await taken(queue, 2), ["a", "b"]);
  }));

Deno.test("Queue of one slot lets producer and consumer run to completion [test_queues.QueueGetTests.test_why_are_getters_waiting]", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    const seen: number[] = [];
    await TaskGroup.run((group) => {
      group.createTask(async () => {
        for (let i = 0; i < 5; i++) await queue.put(i);
      });
      group.createTask(async () => {
        for (let i = 0; i < 5; i++) seen.push(await queue.get());
      });
    });
    assertEquals(seen, [0, 1, 2, 3, 4]);
  }));

Deno.test("Queue lets all blocked putters finish while it is drained [test_queues.QueuePutTests.test_why_are_putters_waiting]", () =>
  virtual(async () => {
    const queue = new Queue<number>(2);
    await TaskGroup.run((group) => {
      group.createTask(async () => {
        await sleep(0);
        for (let n = queue.qsize(); n > 0; n--) queue.getNowait();
      });
      for (let i = 0; i < 4; i++) group.createTask(() => queue.put(i));
    });
    assertEquals(await taken(queue, 2), [2, 3]);
  }));

Deno.test("Queue.get() that timed out leaves nothing behind [test_queues.QueueGetTests.test_cancelled_getters_not_being_held_in_self_getters]", () =>
  virtual(async () => {
    const queue = new Queue<number>(5);
    await assertRejects(() => waitFor(queue.get(), 0.1), TimeoutError);
    assertEquals(inspect(queue), "<Queue 0 of 5 items>");
    queue.putNowait(1);
    assertEquals(await queue.get(), 1);
  }));

Deno.test("Queue.put() without a bound does not wait [test_queues.QueuePutTests.test_blocking_put]", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const log: string[] = [];
    getRunningLoop().callSoon(() => log.push("turn"));
    await queue.put(1);
    assertEquals([log, await queue.get()], [[], 1]);
  }));

Deno.test("Queue.put() resumes when a timer takes an item [test_queues.QueuePutTests.test_blocking_put_wait]", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    const loop = getRunningLoop();
    loop.callLater(0.01, () => queue.getNowait());
    await queue.put(1);
    assertEquals(loop.time(), 0);
    await queue.put(2);
    assertEquals(loop.time(), 0.01);
  }));

Deno.test("Queue keeps both items in order when the notified reader is cancelled [test_queues.QueuePutTests.test_get_cancel_drop_one_pending_reader]", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const reader = createTask(() => queue.get());
    await sleep(0);
    queue.putNowait(1);
    queue.putNowait(2);
    reader.cancel();
    await assertRejects(() => reader, CancelledError);
    assertEquals(await taken(queue, 2), [1, 2]);
  }));

Deno.test("Queue gives two items to the two readers that are left of three [test_queues.QueuePutTests.test_get_cancel_drop_many_pending_readers]", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const readers = [1, 2, 3].map(() => createTask(() => queue.get()));
    await sleep(0);
    queue.putNowait(1);
    queue.putNowait(2);
    readers[0].cancel();
    await assertRejects(() => readers[0], CancelledError);
    assertEquals(await gather(readers.slice(1)), [1, 2]);
  }));

Deno.test("Queue.put() that is cancelled with its slot granted puts nothing, and can be tried again [test_queues.QueuePutTests.test_put_cancel_drop]", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    queue.putNowait(1);
    const writer = createTask(() => queue.put(2));
    await sleep(0);
    assertEquals(queue.getNowait(), 1);
    writer.cancel();
    await assertRejects(() => writer, CancelledError);
    assertEquals(queue.qsize(), 0);
    await queue.put(2);
    assertEquals(queue.getNowait(), 2);
    assertEquals(queue.qsize(), 0);
  }));

Deno.test("Queue.put() completes for a getter that waits [test_queues.QueuePutTests.test_put_cancelled]", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const putter = createTask(async () => {
      await queue.put(1);
      return true;
    });
    assertEquals(await queue.get(), 1);
    assert(putter.done() && putter.result());
  }));

Deno.test("Queue keeps the order of the putters when the last is cancelled [test_queues.QueuePutTests.test_put_cancelled_race]", () =>
  virtual(async () => {
    const queue = new Queue<string>(1);
    const [a, b, c] = ["a", "b", "X"].map((it) =>
      createTask(() => queue.put(it))
    );
    await sleep(0);
    assertEquals([a.done(), b.done()], [true, false]);
    c.cancel();
    await sleep(0);
    assert(c.done());
    assertEquals(queue.getNowait(), "a");
    await sleep(0);
    assertEquals(queue.getNowait(), "b");
    await b;
  }));

Deno.test("Queue.put() that is cancelled leaves nothing behind [test_queues.QueuePutTests.test_cancelled_puts_not_being_held_in_self_putters]", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    queue.putNowait(1);
    const putter = createTask(() => queue.put(2));
    await sleep(0);
    assertEquals(
      inspect(queue),
      "<Queue 1 of 1 items, 1 waiting to put>",
    );
    putter.cancel();
    await assertRejects(() => putter, CancelledError);
    assertEquals(inspect(queue), "<Queue 1 of 1 items>");
    assertEquals(queue.getNowait(), 1);
    await sleep(0);
    assert(queue.empty());
  }));

Deno.test("Queue.put() that is cancelled right after it got its slot throws CancelledError alone [test_queues.QueuePutTests.test_cancelled_put_silence_value_error_exception]", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    queue.putNowait(1);
    const putter = createTask(() => queue.put(2));
    await sleep(0);
    queue.getNowait();
    putter.cancel();
    assertEquals(await outcome(putter), "CancelledError");
  }));

Deno.test("Queue.get() waits again at the end when a later call took the item", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const log: string[] = [];
    const getter = (name: string) => async () => {
      log.push(`${name} ${await queue.get()}`);
    };
    const tasks = ["a", "b"].map((name) => createTask(getter(name)));
    await sleep(0);
    queue.putNowait(1);
    log.push(`newcomer ${queue.getNowait()}`);
    await sleep(0);
    queue.putNowait(2);
    queue.putNowait(3);
    await gather(tasks);
    assertEquals(log, ["newcomer 1", "b 2", "a 3"]);
  }));

Deno.test("Queue.put() waits again at the end when a later call took the slot", () =>
  virtual(async () => {
    const queue = new Queue<string>(1);
    queue.putNowait("first");
    const tasks = ["a", "b"].map((it) => createTask(() => queue.put(it)));
    await sleep(0);
    queue.getNowait();
    queue.putNowait("newcomer");
    await sleep(0);
    assertEquals(await taken(queue, 3), ["newcomer", "b", "a"]);
    await gather(tasks);
  }));

Deno.test("Queue interleaves consumers and producers as CPython does", () =>
  virtual(async () => {
    const queue = new Queue<string>(2);
    const log: string[] = [];
    const produce = (name: string) => async () => {
      for (let i = 0; i < 3; i++) {
        await queue.put(`${name}${i}`);
        log.push(`+${name}${i}`);
      }
    };
    const consume = (name: string) => async () => {
      for (let i = 0; i < 3; i++) {
        log.push(`${name}-${await queue.get()}`);
        await sleep(0);
      }
    };
    await gather([
      createTask(produce("a")),
      createTask(consume("x")),
      createTask(produce("b")),
      createTask(consume("y")),
    ]);
    // The log of CPython 3.13 for the same program.
    assertEquals(
      log.join(" "),
      "+a0 +a1 x-a0 +b0 y-a1 +a2 x-b0 +b1 y-a2 x-b1 +b2 y-b2",
    );
  }));

Deno.test("Queue.put() takes effect although nobody awaits it", () =>
  virtual(async () => {
    const queue = new Queue<number>(1);
    for (const item of [1, 2, 3]) void queue.put(item);
    assertEquals(await taken(queue, 3), [1, 2, 3]);
  }));

Deno.test("Queue.get() returns items in call order, whenever they are awaited", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const first = queue.get();
    const second = queue.get();
    queue.putNowait(1);
    queue.putNowait(2);
    assertEquals(await second, 2);
    assertEquals(await first, 1);
  }));

Deno.test("Queue keeps the items of several gets in one cancelled task", () =>
  virtual(async () => {
    const left = new Queue<number>();
    const right = new Queue<number>();
    const ways = [
      (gets: Promise<number>[]) => Promise.all(gets),
      (gets: Promise<number>[]) => gather(gets),
    ];
    for (const both of ways) {
      const task = createTask(async () => {
        await both([left.get(), right.get().then(Number)]);
      });
      await sleep(0);
      left.putNowait(1);
      right.putNowait(2);
      task.cancel();
      await assertRejects(() => task, CancelledError);
      await sleep(1);
      assertEquals([await left.get(), await right.get()], [1, 2]);
    }
  }));

Deno.test("Queue.taskDone() refuses one call too many [test_queues._QueueJoinTestMixin.test_task_done_underflow]", () => {
  for (const Class of classes) {
    const queue = new Class<number>();
    assertThrows(() => queue.taskDone(), RangeError, "taskDone()");
    queue.putNowait(1);
    queue.taskDone();
    assertThrows(() => queue.taskDone(), RangeError);
  }
});

Deno.test("Queue.join() resumes when two workers have processed a hundred items [test_queues._QueueJoinTestMixin.test_task_done]", async () => {
  for (const Class of classes) await virtual(() => shareOut(new Class()));
});

async function shareOut(queue: Queue<number>): Promise<void> {
  for (let i = 0; i < 100; i++) queue.putNowait(i);
  let sum = 0;
  const workers = [1, 2].map(() =>
    createTask(async () => {
      for await (const item of queue) {
        await sleep(item / 1000);
        sum += item;
        queue.taskDone();
      }
    })
  );
  await queue.join();
  assertEquals(sum, 4950);
  queue.shutdown();
  await gather(workers);
}

Deno.test("Queue.join() on an empty queue returns at once, each time [test_queues._QueueJoinTestMixin.test_join_empty_queue]", async () => {
  for (const Class of classes) {
    const queue = new Class();
    assertEquals(await queue.join(), undefined);
    assertEquals(await queue.join(), undefined);
  }
});

Deno.test("Queue.join() counts puts, not contents", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    queue.putNowait(1);
    queue.putNowait(2);
    const joined = [1, 2].map(() => createTask(() => queue.join()));
    queue.getNowait();
    queue.taskDone();
    queue.getNowait();
    await sleep(1);
    assertEquals(joined.map((it) => it.done()), [false, false]);
    queue.taskDone();
    await gather(joined);
  }));

Deno.test("Queue passes null, undefined and other empty values as items", () =>
  virtual(async () => {
    const values = [null, undefined, 0, "", false, NaN];
    for (const Class of [Queue, LifoQueue]) {
      const queue = new Class<unknown>();
      const getter = createTask(() => taken(queue, values.length));
      await sleep(0);
      for (const value of values) {
        await queue.put(value);
        await sleep(0);
      }
      assertEquals(await getter, values);
      for (const value of values) queue.putNowait(value);
      assertEquals(queue.qsize(), values.length);
    }
  }));

Deno.test("Queue.get() awaits an item that is a promise, Queue.getNowait() returns it", () =>
  virtual(async () => {
    const queue = new Queue<Promise<number>>();
    const getter = createTask(() => queue.get());
    await sleep(0);
    queue.putNowait(sleep(1, { result: 1 }));
    assertEquals(await getter, 1);
    queue.putNowait(Promise.resolve(2));
    assertEquals(await queue.get(), 2);
    const promise = Promise.resolve(3);
    queue.putNowait(promise);
    assertStrictEquals(queue.getNowait(), promise);
  }));

Deno.test("Queue.get() lets its task be cancelled while it awaits an item that is a task", () =>
  virtual(async () => {
    const queue = new Queue<Task<void>>();
    const getter = createTask(async () => await queue.get());
    await sleep(0);
    const item = createTask(() => sleep(100));
    queue.putNowait(item);
    await sleep(1);
    getter.cancel();
    await assertRejects(() => getter, CancelledError);
    assert(item.cancelled());
  }));

Deno.test("Queue in for await gives every item to one of several consumers", () =>
  virtual(async () => {
    const queue = new Queue<number>(3);
    const log: string[] = [];
    const consumer = (name: string) => async () => {
      for await (const item of queue) {
        log.push(`${name}${item}`);
        await sleep(1);
      }
      log.push(`${name} ends`);
    };
    const consumers = ["a", "b"].map((name) => createTask(consumer(name)));
    for (let i = 0; i < 6; i++) await queue.put(i);
    queue.shutdown();
    await gather(consumers);
    assertEquals(log.join(" "), "a0 b1 a2 b3 a4 b5 a ends b ends");
  }));

Deno.test("Queue in for await loses no item when the loop is left early", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const seen: number[] = [];
    const firstTwo = async () => {
      for await (const item of queue) {
        seen.push(item);
        if (seen.length % 2 === 0) break;
      }
    };
    const other = createTask(firstTwo);
    await sleep(0);
    for (let i = 0; i < 5; i++) queue.putNowait(i);
    await other;
    await firstTwo();
    assertEquals([seen, queue.qsize()], [[0, 1, 2, 3], 1]);
  }));

Deno.test("Queue in for await loses no item when the consumer is cancelled", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const consumer = createTask(async () => {
      for await (const _ of queue);
    });
    await sleep(0);
    queue.putNowait(1);
    consumer.cancel();
    await assertRejects(() => consumer, CancelledError);
    assertEquals(queue.getNowait(), 1);
  }));

Deno.test("Queue takes no item for a next() of its iterator that timed out", () =>
  virtual(async () => {
    const queue = new Queue<number>();
    const items = queue[Symbol.asyncIterator]();
    await assertRejects(() => waitFor(items.next(), 1), TimeoutError);
    await queue.put(1);
    await sleep(1);
    assertEquals(queue.qsize(), 1);
    assertEquals(await waitFor(items.next(), 1), { done: false, value: 1 });
  }));

Deno.test("Queue shows its items and who waits in one line", () =>
  virtual(async () => {
    assertEquals(inspect(new Queue()), "<Queue 0 items>");
    const queue = new LifoQueue<number>(2);
    const getters = [1, 2].map(() => createTask(() => queue.get()));
    await sleep(0);
    assertEquals(
      inspect(queue),
      "<LifoQueue 0 of 2 items, 2 waiting to get>",
    );
    queue.putNowait(1);
    queue.putNowait(2);
    await gather(getters);
    queue.putNowait(3);
    queue.shutdown();
    assertEquals(inspect(queue), "<LifoQueue shut down, 1 of 2 items>");
    const one = new PriorityQueue<number>();
    one.putNowait(1);
    assertEquals(inspect(one), "<PriorityQueue 1 item>");
  }));

Deno.test("Queue.get() calls getNowait() of a subclass, whether it waits or not", () =>
  virtual(async () => {
    const got: number[] = [];
    class Logged extends Queue<number> {
      override getNowait(): number {
        const item = super.getNowait();
        got.push(item);
        return item;
      }
    }
    const queue = new Logged();
    queue.putNowait(1);
    assertEquals(await queue.get(), 1);
    const getter = createTask(() => queue.get());
    await sleep(0);
    queue.putNowait(2);
    assertEquals(await getter, 2);
    assertEquals(got, [1, 2]);
  }));

Deno.test("Queue has the type of its items", async () => {
  const queue = new Queue<number>();
  // @ts-expect-error a string is not an item of this queue
  queue.putNowait("spam");
  // @ts-expect-error the result is a number
  const item: string = await queue.get();
  assertEquals(item as unknown, "spam");
});

async function taken<T>(queue: Queue<T>, count: number): Promise<T[]> {
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(await queue.get());
  return items;
}
