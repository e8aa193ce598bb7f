/**
 * Primitives on native promises, as one writes them without a library. The bare
 * sides of the workloads use them.
 *
 * They are as fast as such code can be. None supports cancellation or tasks. A
 * notified waiter resumes in the microtasks of the notifying code, so a chain of
 * hand-offs delays timers and sockets until it ends, unless the code awaits a
 * {@linkcode fairTurn}.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { Deque } from "./deque.ts";

let asking: (() => void)[] = [];
let turn: Promise<void> | null = null;

/** The next turn of Deno's event loop: a promise for each caller, and one `setImmediate` for all. */
export function fairTurn(): Promise<void> {
  return new Promise(onNextTurn);
}

/** The same with a single promise for all callers. */
export function sharedTurn(): Promise<void> {
  return turn ??= new Promise((resolve) =>
    setImmediate(() => {
      turn = null;
      resolve();
    })
  );
}

function onNextTurn(resume: () => void): void {
  if (asking.push(resume) === 1) setImmediate(answer);
}

function answer(): void {
  const asked = asking;
  asking = [];
  for (const resolve of asked) resolve();
}

const done = Promise.resolve();

/** A mutex that is handed off to the next waiter. */
export class BareLock {
  #locked = false;
  readonly #waiters = new Deque<() => void>();

  acquire(): Promise<void> {
    if (this.#locked) {
      return new Promise((resolve) => this.#waiters.push(resolve));
    }
    this.#locked = true;
    return done;
  }

  release(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#locked = false;
    else next();
  }
}

/** Releases a lock or semaphore at the end of a `using` block. */
export class BareGuard implements Disposable {
  readonly #held: { release(): void };

  constructor(held: { release(): void }) {
    this.#held = held;
  }

  [Symbol.dispose](): void {
    this.#held.release();
  }
}

/** A semaphore that hands permits off to the next waiter. */
export class BareSemaphore {
  #free: number;
  readonly #waiters = new Deque<() => void>();

  constructor(permits: number) {
    this.#free = permits;
  }

  acquire(): Promise<void> {
    if (this.#free === 0) {
      return new Promise((resolve) => this.#waiters.push(resolve));
    }
    this.#free--;
    return done;
  }

  release(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

/** An event with one promise for all waiters. */
export class BareEvent {
  #promise = Promise.withResolvers<void>();

  set(): void {
    this.#promise.resolve();
  }

  wait(): Promise<void> {
    return this.#promise.promise;
  }
}

/** An event with a promise for each waiter, so that a waiter could be removed. */
export class BareEventEach {
  #set = false;
  #waiters: (() => void)[] = [];

  set(): void {
    this.#set = true;
    for (const resolve of this.#waiters) resolve();
    this.#waiters = [];
  }

  wait(): Promise<void> {
    if (this.#set) return done;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

/** A condition over a {@linkcode BareLock}. */
export class BareCondition {
  readonly lock = new BareLock();
  readonly #waiters = new Deque<() => void>();

  async wait(): Promise<void> {
    const notified = new Promise<void>((resolve) =>
      this.#waiters.push(resolve)
    );
    this.lock.release();
    await notified;
    await this.lock.acquire();
  }

  notify(): void {
    this.#waiters.shift()?.();
  }
}

/** A barrier with one promise and one turn per round. Returns the position of each party. */
export class BareBarrier {
  readonly #parties: number;
  #count = 0;
  #full = Promise.withResolvers<void>();

  constructor(parties: number) {
    this.#parties = parties;
  }

  async wait(): Promise<number> {
    const { promise, resolve } = this.#full;
    const position = this.#count++;
    if (this.#count === this.#parties) {
      this.#count = 0;
      this.#full = Promise.withResolvers<void>();
      onNextTurn(resolve);
    }
    await promise;
    return position;
  }
}

/** A queue that hands items off to waiters, with backpressure at `maxsize`. */
export class BareQueue<T> {
  readonly #maxsize: number;
  readonly #items = new Deque<T>();
  readonly #getters = new Deque<(item: T) => void>();
  readonly #putters = new Deque<{ item: T; resolve: () => void }>();

  constructor(maxsize: number) {
    this.#maxsize = maxsize;
  }

  put(item: T): Promise<void> {
    const getter = this.#getters.shift();
    if (getter !== undefined) getter(item);
    else if (this.#items.length < this.#maxsize) this.#items.push(item);
    else {
      return new Promise((resolve) => this.#putters.push({ item, resolve }));
    }
    return done;
  }

  get(): Promise<T> {
    if (this.#items.length === 0) {
      return new Promise((resolve) => this.#getters.push(resolve));
    }
    const item = this.#items.shift() as T;
    const putter = this.#putters.shift();
    if (putter !== undefined) {
      this.#items.push(putter.item);
      putter.resolve();
    }
    return Promise.resolve(item);
  }
}

/** A textbook heap. */
export class BareHeap<T> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get length(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    items.push(item);
    let i = items.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#compare(items[i], items[parent]) >= 0) return;
      [items[i], items[parent]] = [items[parent], items[i]];
      i = parent;
    }
  }

  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0) return top;
    items[0] = last as T;
    let i = 0;
    for (;;) {
      let least = i;
      const left = 2 * i + 1;
      const right = left + 1;
      const length = items.length;
      if (left < length && this.#compare(items[left], items[least]) < 0) {
        least = left;
      }
      if (right < length && this.#compare(items[right], items[least]) < 0) {
        least = right;
      }
      if (least === i) return top;
      [items[i], items[least]] = [items[least], items[i]];
      i = least;
    }
  }
}

/** A queue over a {@linkcode BareHeap}. */
export class BarePriorityQueue<T> {
  readonly #items: BareHeap<T>;
  readonly #getters = new Deque<(item: T) => void>();

  constructor(compare: (a: T, b: T) => number) {
    this.#items = new BareHeap(compare);
  }

  put(item: T): Promise<void> {
    this.#items.push(item);
    this.#getters.shift()?.(this.#items.pop() as T);
    return done;
  }

  get(): Promise<T> {
    return this.#items.length > 0
      ? Promise.resolve(this.#items.pop() as T)
      : new Promise((resolve) => this.#getters.push(resolve));
  }
}

interface Timer {
  readonly due: number;
  readonly fire: () => void;
}

const timers = new BareHeap<Timer>((a, b) => a.due - b.due);
let armed = Infinity;
let handle: ReturnType<typeof setTimeout> | undefined;

/** A sleep that uses one heap of timers, and a single timer of Deno for all of them. */
export function heapSleep(seconds: number): Promise<void> {
  return new Promise((resolve) => {
    const due = performance.now() + seconds * 1000;
    timers.push({ due, fire: resolve });
    if (due < armed) arm(due);
  });
}

function arm(due: number): void {
  clearTimeout(handle);
  armed = due;
  handle = setTimeout(fire, Math.max(0, due - performance.now()));
}

function fire(): void {
  const now = performance.now();
  armed = Infinity;
  let next = timers.peek();
  while (next !== undefined && next.due <= now) {
    timers.pop()!.fire();
    next = timers.peek();
  }
  if (next !== undefined) arm(next.due);
}
