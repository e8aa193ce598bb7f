/**
 * Queues between tasks: `Queue`, `PriorityQueue` and `LifoQueue`.
 *
 * ```ts
 * import { Queue } from "@asyncio/asyncio/queues";
 * import { createTask } from "@asyncio/asyncio/tasks";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new Queue<string>(10);
 * const consumer = createTask(async () => {
 *   const eaten: string[] = [];
 *   for await (const item of queue) eaten.push(item);
 *   return eaten;
 * });
 * await queue.put("spam");
 * await queue.put("eggs");
 * queue.shutdown();
 * assertEquals(await consumer, ["spam", "eggs"]);
 * ```
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-queue.html}.
 *
 * @module
 */

import "./_snapshot.ts"; // with it, the event loop, debug mode and inspection
import { BinaryHeap, Deque, Stack } from "./_collections.ts";
import { rejection } from "./_error_stack.ts";
import { AGAIN } from "./_future.ts";
import {
  checkpoint,
  isOverdue,
  operation,
  settledPromise,
  settledVoid,
} from "./_waiting_call.ts";
import { Holders } from "./_holders.ts";
import { inspect } from "./_host.ts";
import type { Cancellable, Named } from "./_options.ts";
import { currentExecution, type ExecutionContext } from "./_scheduler.ts";
import {
  checkCallback,
  checkNumber,
  checkOptions,
  classNameOf,
  describe,
  isInstance,
  labelOf,
  openSignalOf,
} from "./_validate.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import {
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  RuntimeError,
} from "./exceptions.ts";

export type { Cancellable, Named } from "./_options.ts";

/** Options of a {@linkcode PriorityQueue}. */
export interface PriorityQueueOptions<T> extends Named {
  /**
   * Negative if `a` comes before `b`, positive if after, 0 if either may. Any
   * other answer, `NaN` too, is a `TypeError` for whoever puts or gets. It
   * must leave the queue alone: changing it meanwhile is a `RuntimeError`.
   *
   * @default numbers, bigints, strings, booleans and dates by value, arrays of those element by element
   */
  compare?: (a: T, b: T) => number;
}

/** Where the items of a queue are kept. */
interface Store<T> {
  readonly length: number;
  /** Throws for an item that cannot be kept here. */
  check?(item: T): void;
  push(item: T): void;
  take(): T | undefined;
  clear(): void;
}

let useStore: <T>(queue: Queue<T>, store: Store<T>) => void;

/**
 * A queue: first in, first out.
 *
 * `put` waits while it is full, `get` while it is empty. An item stays in the
 * queue until a `get` really resumes, so a consumer that is cancelled loses
 * none. An item that is itself a promise is awaited by `await queue.get()`,
 * as promises flatten.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue}.
 *
 * @typeParam T The type of the items.
 *
 * @example
 * ```ts
 * import { Queue } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const queue = new Queue<number>(2);
 * await queue.put(1);
 * await queue.put(2);
 * assert(queue.full() && await queue.get() === 1);
 * ```
 */
export class Queue<T> implements AsyncIterable<T> {
  readonly #maxsize: number;
  readonly #label: string;
  #items: Store<T> = new FifoStore<T>();
  /** Puts that `taskDone` has not answered. */
  #unfinished = 0;
  /** Who has taken items that `taskDone` has not answered. */
  readonly #takers = new Holders();
  #isShutDown = false;
  /** What each waiting `put` brings. */
  readonly #offers = new Map<unknown, T>();
  readonly #home = new LoopBinding();
  readonly #getters: WaitQueue<T> = new WaitQueue<T>({
    complete: (_, by) =>
      this.empty() && !this.#isShutDown ? AGAIN : this.#take(by),
    handOff: () => void (this.empty() || this.#getters.notifyNext()),
    kind: "queue.get",
    describe: () => `an item of ${this.#describe()}`,
  }, this.#home);
  readonly #putters: WaitQueue<void> = new WaitQueue<void>({
    complete: (future) => {
      if (this.full() && !this.#isShutDown) return AGAIN;
      this.putNowait(this.#withdraw(future));
      return undefined;
    },
    handOff: (future) => {
      this.#withdraw(future);
      if (!this.full()) this.#putters.notifyNext();
    },
    remove: (future) => void this.#withdraw(future),
    kind: "queue.put",
    describe: () => `room in ${this.#describe()}`,
  }, this.#home);
  readonly #joiners: WaitQueue<void> = new WaitQueue<void>({
    complete: () => {},
    handOff: () => {},
    kind: "queue.join",
    describe: () =>
      `taskDone() on ${this.#describe()}, ${this.#unfinished} unfinished`,
    holders: () => this.#takers,
  }, this.#home);

  /**
   * Makes an empty queue.
   *
   * @param maxsize The number of items at which `put` waits; 0 or less, the default, for no limit.
   * @param options A name, shown in reports.
   * @throws {TypeError} If it is not a number, or an option is unknown.
   */
  constructor(maxsize = 0, options?: Named) {
    checkNumber(maxsize, "create a queue", "maxsize");
    this.#label = labelOf(options, "create a queue");
    this.#maxsize = maxsize;
  }

  static {
    useStore = (queue, store) => queue.#items = store;
  }

  /** The number of items at which `put` waits; 0 or less for no limit. */
  get maxsize(): number {
    return this.#maxsize;
  }

  /** The number of items. */
  qsize(): number {
    return this.#items.length;
  }

  /** Whether there is no item. */
  empty(): boolean {
    return this.#items.length === 0;
  }

  /** Whether `put` would wait. */
  full(): boolean {
    return this.#maxsize > 0 && this.#items.length >= this.#maxsize;
  }

  /**
   * Puts an item in, and waits for room first if need be.
   *
   * Cancelled while it waits, it has put nothing in; room that had just been
   * made for it goes to the next.
   *
   * @param item The item.
   * @param options A signal that ends the wait.
   * @throws {QueueShutDown} If the queue is shut down.
   * @throws {TypeError} If a priority queue cannot compare the item, or an option is unknown or of another kind.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   *
   * @example
   * ```ts
   * import { createTask, Queue } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new Queue<string>(1);
   * const producer = createTask(async () => {
   *   for (const item of ["spam", "eggs"]) await queue.put(item);
   * });
   * assertEquals([await queue.get(), await queue.get()], ["spam", "eggs"]);
   * await producer;
   * ```
   */
  put(item: T, options?: Cancellable): Promise<void> {
    try {
      const signal = options === undefined
        ? undefined
        : openSignalOf(options, "put an item");
      if (!this.full() || this.#isShutDown) {
        if (isOverdue()) return checkpoint(() => this.put(item, options));
        this.putNowait(item);
        return settledVoid;
      }
      this.#items.check?.(item);
      const future = this.#putters.enter(signal);
      this.#offers.set(future, item);
      return future;
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Puts an item in at once.
   *
   * @param item The item.
   * @throws {QueueFull} If there is no room.
   * @throws {QueueShutDown} If the queue is shut down.
   * @throws {TypeError} If a priority queue cannot compare the item; the queue is then unchanged.
   */
  putNowait(item: T): void {
    if (this.#isShutDown) {
      throw new QueueShutDown("Cannot put an item: the queue is shut down");
    }
    if (this.full()) {
      throw new QueueFull(
        `Cannot put an item: the queue is full with ${this.qsize()}`,
      );
    }
    this.#items.push(item);
    this.#unfinished++;
    this.#getters.notifyNext();
  }

  /**
   * Takes an item out, and waits for one first if need be.
   *
   * Cancelled while it waits, it has taken nothing, even if an item was on its
   * way to it: the next in line gets that item. One that merely loses a
   * `Promise.race` goes on waiting and takes an item; end it with a signal, or
   * use `waitFor`.
   *
   * @param options A signal that ends the wait.
   * @returns The item.
   * @throws {QueueShutDown} If the queue is shut down and empty.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   * @throws {TypeError} If an option is unknown or of another kind.
   *
   * @example
   * ```ts
   * import { Queue, TimeoutError, waitFor } from "@asyncio/asyncio";
   * import { assert, assertRejects } from "@std/assert";
   *
   * const queue = new Queue<string>();
   * await assertRejects(() => waitFor(queue.get(), 0.01), TimeoutError);
   * await queue.put("spam"); // the get() that timed out does not take it
   * assert(await queue.get() === "spam");
   * ```
   */
  get(options?: Cancellable): Promise<T> {
    try {
      const signal = options === undefined
        ? undefined
        : openSignalOf(options, "get an item");
      if (this.empty() && !this.#isShutDown) return this.#getters.enter(signal);
      if (isOverdue()) return checkpoint(() => this.get(options));
      return settledPromise(this.getNowait());
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Takes an item out at once.
   *
   * @returns The item.
   * @throws {QueueEmpty} If there is none.
   * @throws {QueueShutDown} If there is none and the queue is shut down.
   */
  getNowait(): T {
    return this.#take(currentExecution());
  }

  #take(by: ExecutionContext | null | undefined): T {
    if (this.empty()) {
      if (this.#isShutDown) {
        throw new QueueShutDown("Cannot get an item: the queue is shut down");
      }
      throw new QueueEmpty("Cannot get an item: the queue is empty");
    }
    const item = this.#items.take() as T;
    this.#takers.add(by);
    this.#putters.notifyNext();
    return item;
  }

  /**
   * Says that an item that was taken out has been dealt with.
   *
   * @throws {RangeError} If it is called more often than there were items.
   */
  taskDone(): void {
    if (this.#unfinished <= 0) {
      throw new RangeError(
        "taskDone() called more often than there were items",
      );
    }
    this.#unfinished--;
    this.#takers.remove(currentExecution());
    if (this.#unfinished === 0) this.#joiners.notifyAll();
  }

  /**
   * Waits until every item that was put in has been dealt with.
   *
   * Cancelled while it waits, it leaves the queue, its items and all others
   * that wait as they are.
   *
   * @param options A signal that ends the wait.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   * @throws {TypeError} If an option is unknown or of another kind.
   *
   * @example
   * ```ts
   * import { createTask, Queue } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const queue = new Queue<number>();
   * let sum = 0;
   * const worker = createTask(async () => {
   *   for (;;) {
   *     sum += await queue.get();
   *     queue.taskDone();
   *   }
   * });
   * for (const n of [1, 2, 3]) queue.putNowait(n);
   * await queue.join();
   * worker.cancel();
   * assert(sum === 6);
   * ```
   */
  join(options?: Cancellable): Promise<void> {
    try {
      const signal = options === undefined
        ? undefined
        : openSignalOf(options, "join a queue");
      if (this.#unfinished === 0) return settledVoid;
      return this.#joiners.enter(signal);
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Shuts the queue down: `put` is refused from now on, and `get` once the
   * queue is empty. Calls that wait in either throw.
   *
   * @param immediate Whether to drop the items that are still in it, which count as dealt with then; by default they stay.
   * @throws {TypeError} If it is neither `true` nor `false`.
   */
  shutdown(immediate = false): void {
    if (typeof immediate !== "boolean") {
      throw new TypeError(
        `Cannot shut a queue down: immediate must be true or false, got ${
          describe(immediate)
        }`,
      );
    }
    if (immediate) {
      const dropped = this.#items.length;
      this.#items.clear();
      this.#unfinished = Math.max(0, this.#unfinished - dropped);
      if (this.#unfinished === 0) this.#joiners.notifyAll();
    }
    this.#isShutDown = true;
    this.#getters.notifyAll();
    this.#putters.notifyAll();
  }

  /**
   * Takes items out one by one, until the queue is shut down. Several
   * consumers may do so at once; leaving the loop early, by a cancellation
   * too, loses no item.
   *
   * @returns The iterator.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { Queue } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new Queue<string>();
   * for (const item of ["spam", "eggs"]) queue.putNowait(item);
   * queue.shutdown();
   * const items: string[] = [];
   * for await (const item of queue) items.push(item);
   * assertEquals(items, ["spam", "eggs"]);
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    const next = async (): Promise<IteratorResult<T, undefined>> => {
      try {
        return { done: false, value: await this.get() };
      } catch (error) {
        if (!(error instanceof QueueShutDown)) throw error;
        return { done: true, value: undefined };
      }
    };
    return { next: () => this.empty() ? operation(next) : next() };
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  #withdraw(future: unknown): T {
    const item = this.#offers.get(future) as T;
    this.#offers.delete(future);
    return item;
  }

  #describe(): string {
    const size = this.qsize();
    const bound = this.#maxsize > 0 ? ` of ${this.#maxsize}` : "";
    const parts = [`${size}${bound} item${size === 1 && !bound ? "" : "s"}`];
    if (this.#isShutDown) parts.unshift("shut down");
    const getting = this.#getters.waiting;
    const putting = this.#putters.waiting;
    if (getting > 0) parts.push(`${getting} waiting to get`);
    if (putting > 0) parts.push(`${putting} waiting to put`);
    const name = classNameOf(this, "Queue");
    return `<${name}${this.#label} ${parts.join(", ")}>`;
  }
}

/**
 * A queue that gives the lowest item first; equal ones come in no particular
 * order.
 *
 * Numbers, bigints, strings, booleans and dates are compared by value, and
 * arrays element by element, as tuples in Python: `[priority, item]`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-queue.html#asyncio.PriorityQueue}.
 *
 * @typeParam T The type of the items.
 *
 * @example
 * ```ts
 * import { PriorityQueue } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const queue = new PriorityQueue<[number, string]>();
 * queue.putNowait([2, "later"]);
 * queue.putNowait([1, "sooner"]);
 * assert((await queue.get())[1] === "sooner");
 * ```
 */
export class PriorityQueue<T> extends Queue<T> {
  /**
   * Makes an empty queue.
   *
   * @param maxsize The number of items at which `put` waits; 0 or less, the default, for no limit.
   * @param options How to compare items, and a name, shown in reports.
   * @throws {TypeError} If `maxsize` is not a number, `compare` not a function, or an option is unknown.
   */
  constructor(maxsize = 0, options: PriorityQueueOptions<T> = {}) {
    const action = "create a queue";
    checkOptions(options, ["compare", "name"], action);
    const { compare, name } = options;
    if (compare !== undefined) checkCallback(compare, action, "compare");
    super(maxsize, name === undefined ? undefined : { name });
    useStore(this, new PriorityStore(compare));
  }
}

/**
 * A queue that gives the last item first.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-queue.html#asyncio.LifoQueue}.
 *
 * @typeParam T The type of the items.
 *
 * @example
 * ```ts
 * import { LifoQueue } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const queue = new LifoQueue<number>();
 * queue.putNowait(1);
 * queue.putNowait(2);
 * assert(queue.getNowait() === 2);
 * ```
 */
export class LifoQueue<T> extends Queue<T> {
  /**
   * Makes an empty queue.
   *
   * @param maxsize The number of items at which `put` waits; 0 or less, the default, for no limit.
   * @param options A name, shown in reports.
   * @throws {TypeError} If it is not a number, or an option is unknown.
   */
  constructor(maxsize = 0, options?: Named) {
    super(maxsize, options);
    useStore(this, new LifoStore<T>());
  }
}

class FifoStore<T> extends Deque<T> implements Store<T> {
  take(): T | undefined {
    return this.shift();
  }
}

class LifoStore<T> extends Stack<T> implements Store<T> {
  take(): T | undefined {
    return this.pop();
  }
}

class PriorityStore<T> extends BinaryHeap<T> implements Store<T> {
  readonly #anything: boolean;
  /** Whether items are being compared: a change would lose one of them. */
  #comparing = false;

  constructor(compare?: (a: T, b: T) => number) {
    super(compare === undefined ? isLess : isLessBy(compare));
    this.#anything = compare !== undefined;
  }

  check(item: T): void {
    if (this.#anything || kindOf(item) !== null) return;
    throw new TypeError(
      `Cannot order ${show(item)} without a compare function`,
    );
  }

  override push(item: T): void {
    this.check(item);
    this.#begin();
    try {
      super.push(item);
    } finally {
      this.#comparing = false;
    }
  }

  take(): T | undefined {
    this.#begin();
    try {
      return this.pop();
    } finally {
      this.#comparing = false;
    }
  }

  override clear(): void {
    this.#begin();
    super.clear();
    this.#comparing = false;
  }

  #begin(): void {
    if (this.#comparing) {
      throw new RuntimeError(
        "Cannot change a queue while its items are being compared",
      );
    }
    this.#comparing = true;
  }
}

/** Whether `a` comes before `b` in the order of somebody else. */
function isLessBy<T>(compare: (a: T, b: T) => number): (a: T, b: T) => boolean {
  return (a, b) => {
    const order = compare(a, b);
    if (typeof order === "number" && !Number.isNaN(order)) return order < 0;
    throw unordered(a, b, `, compare() returned ${describe(order)}`);
  };
}

/** Whether `a` comes before `b` in the order of Python's values and tuples. */
function isLess(a: unknown, b: unknown): boolean {
  if (typeof a === "number" && typeof b === "number") return a < b;
  if (isInstance(a, Array) && isInstance(b, Array)) return isLessTuple(a, b);
  const kind = kindOf(a);
  if (kind === null || kind !== kindOf(b)) throw unordered(a, b, "");
  return (a as number) < (b as number);
}

function isLessTuple(a: readonly unknown[], b: readonly unknown[]): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a[i], b[i]];
    if (x === y) continue;
    if (typeof x === "number" && typeof y === "number") return x < y;
    if (!isEqual(x, y)) return isLess(x, y);
  }
  return a.length < b.length;
}

function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a === "bigint" || typeof b === "bigint") {
    return kindOf(a) === kindOf(b) && a == b;
  }
  if (isInstance(a, Date) && isInstance(b, Date)) return +a === +b;
  return isInstance(a, Array) && isInstance(b, Array) &&
    a.length === b.length &&
    a.every((item, i) => isEqual(item, b[i]));
}

/** What an item can be compared with, `null` if with nothing. */
function kindOf(item: unknown): string | null {
  const type = typeof item;
  if (type === "bigint") return "number";
  if (type !== "object") {
    return type === "number" || type === "string" || type === "boolean"
      ? type
      : null;
  }
  if (isInstance(item, Array)) return "array";
  return isInstance(item, Date) ? "date" : null;
}

function unordered(a: unknown, b: unknown, why: string): TypeError {
  return new TypeError(`Cannot compare ${show(a)} with ${show(b)}${why}`);
}

function show(item: unknown): string {
  const text = describe(item);
  if (kindOf(item) === null && text !== "a plain object") return text;
  try {
    const shown = inspect(item, { depth: 1, breakLength: Infinity });
    return shown.length > 60 ? `${shown.slice(0, 60)}...` : shown;
  } catch {
    return text;
  }
}
