import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { BinaryHeap, Deque, LruMap, TimerHeap } from "../_collections.ts";

/** Pseudo-random numbers below a limit, the same in each run. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % limit;
  };
}

Deno.test("Deque gives its items first in, first out", () => {
  const deque = new Deque<string>();
  assertEquals([deque.length, deque.shift()], [0, undefined]);
  for (const item of ["a", "b", "c"]) deque.push(item);
  assertEquals([...deque], ["a", "b", "c"]);
  assertEquals([deque.shift(), deque.shift(), deque.length], ["a", "b", 1]);
  deque.push("d");
  assertEquals([deque.shift(), deque.shift(), deque.shift()], [
    "c",
    "d",
    undefined,
  ]);
  assertEquals(deque.length, 0);
});

Deno.test("Deque holds any value, `undefined` too", () => {
  const deque = new Deque<unknown>();
  const items = [undefined, null, 0, ""];
  for (const item of items) deque.push(item);
  assertEquals(deque.length, 4);
  assertEquals(items.map(() => deque.shift()), items);
});

Deno.test("Deque behaves as an array does, after any sequence of operations", () => {
  for (const limit of [3, 40, 5000]) {
    const next = numbers(limit);
    const deque = new Deque<number>();
    const model: number[] = [];
    for (let i = 0; i < 20_000; i++) {
      const room = model.length < limit;
      if (next(2) === 0 && room) {
        deque.push(i);
        model.push(i);
      } else assertStrictEquals(deque.shift(), model.shift());
      assertStrictEquals(deque.length, model.length);
    }
    assertEquals([...deque], model);
  }
});

Deno.test("Deque works through long queues", () => {
  const deque = new Deque<number>();
  for (let i = 0; i < 100_000; i++) deque.push(i);
  for (let i = 0; i < 100_000; i++) assertStrictEquals(deque.shift(), i);
  assertStrictEquals(deque.length, 0);
});

Deno.test("Deque.filter() removes items for good", () => {
  const deque = new Deque<number>();
  for (let i = 0; i < 10; i++) deque.push(i);
  deque.shift();
  deque.filter((item) => item % 2 === 0);
  assertEquals([deque.length, [...deque]], [4, [2, 4, 6, 8]]);
  deque.push(10);
  assertEquals([deque.shift(), [...deque]], [2, [4, 6, 8, 10]]);
  deque.filter(() => false);
  assertEquals([deque.length, deque.shift()], [0, undefined]);
});

Deno.test("Deque.clear() leaves an empty deque that can be used again", () => {
  const deque = new Deque<number>();
  deque.clear();
  for (let i = 0; i < 5; i++) deque.push(i);
  deque.shift();
  deque.clear();
  assertEquals([deque.length, deque.shift(), [...deque]], [0, undefined, []]);
  deque.push(7);
  assertEquals([...deque], [7]);
});

const isLess = (a: number, b: number) => a < b;

Deno.test("BinaryHeap gives its items in order", () => {
  const heap = new BinaryHeap<number>(isLess);
  assertEquals([heap.length, heap.peek(), heap.pop()], [
    0,
    undefined,
    undefined,
  ]);
  for (const item of [5, 2, 8, 1, 9, 3]) heap.push(item);
  assertEquals([heap.length, heap.peek()], [6, 1]);
  assertEquals([...heap].sort(), [1, 2, 3, 5, 8, 9]);
  const order = [];
  while (heap.length > 0) order.push(heap.pop());
  assertEquals(order, [1, 2, 3, 5, 8, 9]);
});

Deno.test("BinaryHeap gives the first of what is in it, after any sequence of operations", () => {
  const next = numbers(7);
  const heap = new BinaryHeap<number>(isLess);
  const model: number[] = [];
  for (let i = 0; i < 5000; i++) {
    if (next(5) < 3) {
      const item = next(100);
      heap.push(item);
      model.push(item);
      model.sort((a, b) => a - b);
    } else assertStrictEquals(heap.pop(), model.shift());
    assertStrictEquals(heap.peek(), model[0]);
    assertStrictEquals(heap.length, model.length);
  }
});

Deno.test("BinaryHeap gives equal items in the order of Python's heapq", () => {
  const heap = new BinaryHeap<[number, number]>(([a], [b]) => a < b);
  [2, 1, 2, 1, 1, 2, 3, 1, 2, 3, 1, 2].forEach((item, i) =>
    heap.push([item, i])
  );
  const order = [];
  while (heap.length > 0) order.push(heap.pop());
  assertEquals(
    order.join(" "),
    "1,1 1,3 1,4 1,10 1,7 2,2 2,5 2,0 2,11 2,8 3,9 3,6",
  );
});

Deno.test("BinaryHeap.filter() removes items and keeps the order", () => {
  for (let size = 0; size < 40; size++) {
    const next = numbers(size);
    const heap = new BinaryHeap<number>(isLess);
    const items = Array.from({ length: size }, () => next(50));
    for (const item of items) heap.push(item);
    heap.filter((item) => item % 3 !== 0);
    const order = [];
    while (heap.length > 0) order.push(heap.pop());
    const kept = items.filter((item) => item % 3 !== 0);
    assertEquals(order, kept.sort((a, b) => a - b));
  }
});

Deno.test("BinaryHeap.clear() leaves an empty heap that can be used again", () => {
  const heap = new BinaryHeap<number>(isLess);
  heap.push(3);
  heap.clear();
  assertEquals([heap.length, heap.peek(), heap.pop()], [
    0,
    undefined,
    undefined,
  ]);
  heap.push(4);
  assertEquals(heap.pop(), 4);
});

/** A heap whose comparison fails after a number of calls. */
class Brittle {
  left = Infinity;
  readonly heap = new BinaryHeap<number>((a, b) => {
    this.left--;
    if (this.left < 0) throw new TypeError("incomparable");
    return a < b;
  });

  /** All items, in the order of `pop()`. */
  drain(): number[] {
    this.left = Infinity;
    const order: number[] = [];
    while (this.heap.length > 0) order.push(this.heap.pop()!);
    return order;
  }
}

/** Whether a call fails if the comparison fails after n calls. */
function breaks(brittle: Brittle, calls: number, action: () => void): boolean {
  brittle.left = calls;
  try {
    action();
    return false;
  } catch (error) {
    assert(error instanceof TypeError);
    return true;
  }
}

Deno.test("BinaryHeap is unchanged when the comparison fails in push() or pop()", () => {
  const items = [13, 4, 8, 1, 9, 2, 7, 11, 3, 12, 6, 10, 5];
  const sorted = items.toSorted((a, b) => a - b);
  for (const action of ["push", "pop"] as const) {
    let calls = 0;
    for (;; calls++) {
      const brittle = new Brittle();
      for (const item of items) brittle.heap.push(item);
      const before = [...brittle.heap];
      if (!breaks(brittle, calls, () => brittle.heap[action](0))) break;
      assertEquals([...brittle.heap], before);
      assertEquals(brittle.drain(), sorted);
    }
    assert(calls > 1);
  }
});

Deno.test("BinaryHeap compares nothing for a first item, nor for the last one", () => {
  const heap = new BinaryHeap<unknown>(() => {
    throw new TypeError("incomparable");
  });
  heap.push("only");
  assertThrows(() => heap.push("second"), TypeError, "incomparable");
  assertEquals([heap.length, heap.peek(), heap.pop()], [1, "only", "only"]);
});

/** Pops all items of a heap. */
function drained(heap: TimerHeap<string>): string[] {
  const all = [];
  while (heap.length > 0) all.push(`${heap.pop()}@${heap.due}`);
  return all;
}

Deno.test("TimerHeap gives its items by time, and those of one time as they came", () => {
  const heap = new TimerHeap<string>();
  assertEquals([heap.length, heap.due, heap.peek(), heap.pop()], [
    0,
    Infinity,
    undefined,
    undefined,
  ]);
  const dues = [3, 1, 2, 1, 3, 1, Infinity, 0.5];
  dues.forEach((due, i) => heap.push(due, "abcdefgh"[i]));
  assertEquals([heap.length, heap.due, heap.peek()], [8, 0.5, "h"]);
  assertEquals(drained(heap), [
    ..."h@1 b@1 d@1 f@2 c@3 a@3 e@Infinity g@Infinity".split(" "),
  ]);
});

Deno.test("TimerHeap gives the first of what is in it, after any sequence of operations", () => {
  const next = numbers(11);
  const heap = new TimerHeap<number>();
  const model: [due: number, item: number][] = [];
  for (let i = 0; i < 5000; i++) {
    if (next(5) < 3) {
      const due = next(50) / 4;
      heap.push(due, i);
      model.push([due, i]);
      model.sort(([a, i], [b, j]) => a - b || i - j);
    } else assertStrictEquals(heap.pop(), model.shift()?.[1]);
    assertStrictEquals(heap.due, model[0]?.[0] ?? Infinity);
    assertStrictEquals(heap.length, model.length);
  }
});

Deno.test("TimerHeap.filter() removes items and keeps the order", () => {
  for (let size = 0; size < 60; size++) {
    const next = numbers(size);
    const heap = new TimerHeap<number>();
    const model: [due: number, item: number][] = [];
    for (let i = 0; i < size; i++) {
      const due = next(20);
      heap.push(due, i);
      if (i % 3 !== 0) model.push([due, i]);
    }
    heap.filter((item) => item % 3 !== 0);
    model.sort(([a, i], [b, j]) => a - b || i - j);
    const order = [];
    while (heap.length > 0) order.push(heap.pop());
    assertEquals(order, model.map(([, item]) => item));
  }
});

Deno.test("TimerHeap.clear() leaves an empty heap that can be used again", () => {
  const heap = new TimerHeap<string>();
  heap.push(3, "old");
  heap.clear();
  assertEquals([heap.length, heap.due, heap.pop()], [0, Infinity, undefined]);
  heap.push(4, "new");
  assertEquals(drained(heap), ["new@Infinity"]);
});

Deno.test("LruMap evicts the least recently used entry, and returns its key", () => {
  const map = new LruMap<string, number>(2);
  assertEquals(map.set("a", 1), undefined);
  assertEquals(map.set("b", 2), undefined);
  assertEquals(map.get("a"), 1);
  assertEquals(map.set("c", 3), "b");
  assertEquals([map.get("a"), map.get("b"), map.get("c")], [1, undefined, 3]);
  assertEquals(map.set("a", 4), undefined);
  assertEquals([map.get("a"), map.size], [4, 2]);
});
