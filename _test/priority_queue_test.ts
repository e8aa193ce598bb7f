import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  createTask,
  PriorityQueue,
  RuntimeError,
  sleep,
} from "@asyncio/asyncio";
import { describe } from "../_validate.ts";
import { outcome, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

Deno.test("PriorityQueue gives the lowest item first [test_queues.PriorityQueueTests.test_order]", async () => {
  const queue = new PriorityQueue<number>();
  for (const item of [1, 3, 2]) await queue.put(item);
  assertEquals(drain(queue), [1, 2, 3]);
});

Deno.test("PriorityQueue orders values of each kind as Python does", () => {
  assertEquals(sorted([10, 9, -1, 2.5, -Infinity]), [
    -Infinity,
    -1,
    2.5,
    9,
    10,
  ]);
  assertEquals(sorted([3n, 1n, 2n ** 70n, 2n]), [1n, 2n, 3n, 2n ** 70n]);
  assertEquals(sorted([2, 1n, 3n, 1.5]), [1n, 1.5, 2, 3n]);
  assertEquals(sorted(["b", "a", "B", ""]), ["", "B", "a", "b"]);
  assertEquals(sorted([true, false]), [false, true]);
  const days = [3, 1, 2].map((day) => new Date(2024, 0, day));
  assertEquals(sorted(days), [days[1], days[2], days[0]]);
});

Deno.test("PriorityQueue compares arrays element by element, the shorter first", () => {
  const items = [[10, "a"], [9, "b"], [9, "a", 1], [9, "a"], []];
  assertEquals(
    sorted<unknown[]>(items),
    [[], [9, "a"], [9, "a", 1], [9, "b"], [10, "a"]],
  );
  assertEquals(
    sorted<unknown[]>([[[2, 1], "x"], [[1, 9], "y"], [[2, 0], "z"]]),
    [[[1, 9], "y"], [[2, 0], "z"], [[2, 1], "x"]],
  );
  assertEquals(sorted<unknown[]>([[1n, "b"], [1, "a"]]), [[1, "a"], [1n, "b"]]);
  const at = (n: number) => [new Date(5), n];
  assertEquals(sorted<unknown[]>([at(2), at(1)]), [at(1), at(2)]);
});

Deno.test("PriorityQueue looks past elements that are the same thing, whatever it is", () => {
  const job = { name: "job" };
  assertEquals(sorted<unknown[]>([[1, job, 2], [1, job, 1]]), [
    [1, job, 1],
    [1, job, 2],
  ]);
});

Deno.test("PriorityQueue compares what stands behind a priority only when it has to", () => {
  const queue = new PriorityQueue<[number, object]>();
  queue.putNowait([1, { name: "spam" }]);
  queue.putNowait([2, { name: "ham" }]);
  const error = assertThrows(
    () => queue.putNowait([1, { name: "eggs" }]),
    TypeError,
    '{ name: "eggs" } with { name: "spam" }',
  );
  assertEquals(error.message.slice(0, 14), "Cannot compare");
  assertEquals(drain(queue).map(([priority]) => priority), [1, 2]);
});

Deno.test("PriorityQueue refuses items that cannot be compared, and is unchanged", () => {
  const queue = new PriorityQueue<unknown>();
  for (const item of [{ a: 1 }, null, undefined, Symbol("s")]) {
    assertThrows(
      () => queue.putNowait(item),
      TypeError,
      `Cannot order ${inspect(item)} without`,
    );
  }
  queue.putNowait(1);
  for (const item of ["1", true, [1], new Date(1)]) {
    assertThrows(
      () => queue.putNowait(item),
      TypeError,
      `Cannot compare ${inspect(item)} with 1`,
    );
  }
  assertEquals(drain(queue), [1]);
  queue.taskDone();
  assertThrows(() => queue.taskDone(), RangeError);
});

Deno.test("PriorityQueue.put() rejects with the TypeError that putNowait() throws", async () => {
  const queue = new PriorityQueue<unknown>();
  await assertRejects(() => queue.put({}), TypeError, "Cannot order {}");
});

Deno.test("PriorityQueue.put() that fails when it is notified gives its slot to the next", () =>
  virtual(async () => {
    const queue = new PriorityQueue<unknown>(2);
    queue.putNowait(1);
    queue.putNowait(2);
    const wrong = createTask(() => queue.put("x"));
    const right = createTask(() => queue.put(3));
    await sleep(0);
    assertEquals(queue.getNowait(), 1);
    await assertRejects(() => wrong, TypeError, 'Cannot compare "x" with 2');
    await right;
    assertEquals(drain(queue), [2, 3]);
  }));

Deno.test("PriorityQueue keeps its items when a comparison fails in get", () =>
  virtual(async () => {
    let broken = false;
    const queue = new PriorityQueue<number>(0, {
      compare: (a, b) => broken ? NaN : a - b,
    });
    for (const item of [5, 3, 4, 1, 2]) queue.putNowait(item);
    broken = true;
    assertThrows(() => queue.getNowait(), TypeError, "returned NaN");
    assertEquals(queue.qsize(), 5);
    broken = false;
    assertEquals(drain(queue), [1, 2, 3, 4, 5]);
    const getters = [1, 2].map(() => createTask(() => queue.get()));
    await sleep(0);
    for (const item of [1, 2, 3]) queue.putNowait(item);
    broken = true;
    const failed = "TypeError(Cannot compare 3 with 2, compare() returned NaN)";
    assertEquals(await Promise.all(getters.map(outcome)), [failed, failed]);
    broken = false;
    assertEquals(drain(queue), [1, 2, 3]);
  }));

Deno.test("PriorityQueue orders anything by its compare option", () => {
  const queue = new PriorityQueue<{ size: number }>(0, {
    compare: (a, b) => b.size - a.size,
  });
  for (const size of [2, 9, 4]) queue.putNowait({ size });
  assertEquals(drain(queue), [{ size: 9 }, { size: 4 }, { size: 2 }]);
});

Deno.test("PriorityQueue refuses a compare option that is not a function", () => {
  for (const compare of ["asc", null, {}, 1, class Foo {}]) {
    assertThrows(
      // @ts-expect-error not a function
      () => new PriorityQueue(0, { compare }),
      TypeError,
      "compare must be a function",
    );
  }
});

Deno.test("PriorityQueue refuses a change while it compares, and loses nothing", () => {
  const changes: Record<string, (queue: PriorityQueue<number>) => unknown> = {
    put: (queue) => queue.putNowait(-1),
    get: (queue) => queue.getNowait(),
    shutdown: (queue) => queue.shutdown(true),
  };
  for (const [name, change] of Object.entries(changes)) {
    for (const heeds of [true, false]) {
      let armed = false;
      const errors: unknown[] = [];
      const queue: PriorityQueue<number> = new PriorityQueue<number>(0, {
        compare: (a, b) => {
          if (armed) {
            armed = false;
            try {
              change(queue);
            } catch (error) {
              if (heeds) throw error;
              errors.push(error);
            }
          }
          return a - b;
        },
      });
      for (const item of [5, 3, 8, 1]) queue.putNowait(item);
      armed = true;
      if (heeds) {
        assertThrows(() => queue.putNowait(9), RuntimeError, "being compared");
        armed = true;
        assertThrows(() => queue.getNowait(), RuntimeError, "being compared");
        assertEquals(drain(queue), [1, 3, 5, 8], name);
      } else {
        queue.putNowait(9);
        assertEquals(errors.length, 1);
        armed = true;
        assertEquals(queue.getNowait(), 1);
        assertEquals(errors.length, 2);
        assertEquals(drain(queue), [3, 5, 8, 9], name);
      }
    }
  }
});

Deno.test("PriorityQueue.get() and put() that wait keep the queue as it was when compare throws", () =>
  virtual(async () => {
    let broken = false;
    const queue = new PriorityQueue<number>(3, {
      compare: (a, b) => {
        if (broken) throw new RangeError("broken");
        return a - b;
      },
    });
    for (const item of [5, 3, 8]) queue.putNowait(item);
    const putter = createTask(() => queue.put(1));
    await sleep(0);
    broken = true;
    await assertRejects(() => queue.get(), RangeError, "broken");
    assertEquals(queue.qsize(), 3);
    broken = false;
    assertEquals(await queue.get(), 3);
    broken = true;
    await assertRejects(() => putter, RangeError, "broken");
    broken = false;
    assertEquals(drain(queue), [5, 8]);
  }));

Deno.test("PriorityQueue.put() refuses what cannot be compared before it waits", async () => {
  const queue = new PriorityQueue<unknown>(1);
  queue.putNowait(1);
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (const item of [{}, null, proxy, Object.create(null)]) {
    await assertRejects(() => queue.put(item), TypeError, "Cannot order ");
  }
  assertEquals(inspect(queue), "<PriorityQueue 1 of 1 items>");
});

Deno.test("PriorityQueue refuses what compare answers if it is not a number", () => {
  for (const answer of [NaN, undefined, true, "1"]) {
    const queue = new PriorityQueue<object>(0, {
      compare: () => answer as unknown as number,
    });
    queue.putNowait({ a: 1 });
    assertThrows(
      () => queue.putNowait({ b: 2 }),
      TypeError,
      `Cannot compare { b: 2 } with { a: 1 }, compare() returned ${
        describe(answer)
      }`,
    );
    assertEquals(queue.qsize(), 1);
  }
});

Deno.test("PriorityQueue gives equal items in the order of Python's heapq", () => {
  const queue = new PriorityQueue<[number, string]>(0, {
    compare: ([a], [b]) => a - b,
  });
  for (const item of "abcdefghijkl") {
    queue.putNowait([item.charCodeAt(0) % 3, item]);
  }
  const order = drain(queue).map(([, item]) => item).join("");
  // The order of CPython 3.13 for items compared by the number alone.
  assertEquals(order, "cfligajdkbeh");
});

Deno.test("PriorityQueue wakes putters and getters as Queue does", () =>
  virtual(async () => {
    const queue = new PriorityQueue<number>(2);
    const log: string[] = [];
    const producer = createTask(async () => {
      for (const item of [5, 1, 4, 2, 3]) {
        await queue.put(item);
        log.push(`+${item}`);
      }
      queue.shutdown();
    });
    for await (const item of queue) {
      log.push(`-${item}`);
      await sleep(1);
    }
    await producer;
    assertEquals(log.join(" "), "+5 +1 -1 +4 -4 +2 -2 +3 -3 -5");
  }));

Deno.test("PriorityQueue sorts thousands of items", () => {
  const items = Array.from({ length: 5000 }, (_, i) => (i * 7919) % 5003);
  const expected = items.toSorted((a, b) => a - b);
  assertEquals(sorted(items), expected);
  assertEquals(
    sorted(items.map((n) => [n, "x"])).map(([n]) => n),
    expected,
  );
});

function sorted<T>(items: T[]): T[] {
  const queue = new PriorityQueue<T>();
  for (const item of items) queue.putNowait(item);
  assert(queue.qsize() === items.length);
  return drain(queue);
}

function drain<T>(queue: PriorityQueue<T>): T[] {
  const items: T[] = [];
  while (!queue.empty()) items.push(queue.getNowait());
  return items;
}
