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
import { AGAIN } from "./_future.ts";
import {
  checkpoint,
  isOverdue,
  operation,
  promiseTry,
  settledPromise,
  settledVoid,
} from "./_waiting_call.ts";
import { Holders } from "./_holders.ts";
import { inspect } from "./_host.ts";
import type { Cancellable, Named } from "./_options.ts";
import { currentExecution, type ExecutionContext } from "./_event_loop.ts";
import {
  activeSignalOf,
  checkCallback,
  checkNumber,
  checkOptions,
  classNameOf,
  describe,
  isInstance,
  labelOf,
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
   * Compares two items: negative if `a` comes first, positive if `b` does, 0 if
   * they are equal. Anything else, including `NaN`, makes `put` or `get` fail
   * with a `TypeError`. It must not change the queue; that is a `RuntimeError`.
   *
   * @default {undefined} numbers, bigints, strings, booleans and dates by value, arrays of those element by element
   */
  compare?: (a: T, b: T) => number;
}

/** The container of a queue's items. */
interface Store<T> {
  readonly length: number;
  /** Throws for an item that cannot be stored. */
  check?(item: T): void;
  push(item: T): void;
  pop(): T | undefined;
  clear(): void;
}

let setStore: <T>(queue: Queue<T>, store: Store<T>) => void;

/**
 * A first-in-first-out queue.
 *
 * `put` waits while the queue is full, `get` while it is empty. An item stays
 * in the queue until a waiting `get` resumes, so a cancelled consumer loses
 * nothing. An item that is itself a promise is awaited by `await queue.get()`,
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
  /** The number of items that were put and not yet marked by `taskDone`. */
  #unfinished = 0;
  /** Who has taken items that `taskDone` has not answered. */
  readonly #takers = new Holders();
  /** The code that a waiting `get` returns to, while `getNowait` takes its item. */
  #resuming: ExecutionContext | null | undefined;
  #isShutDown = false;
  /** The item of each waiting `put`, by its future. */
  readonly #pendingItems = new Map<unknown, T>();
  readonly #binding = new LoopBinding();
  readonly #getters: WaitQueue<T> = new WaitQueue<T>({
    complete: (_, by) =>
      this.empty() && !this.#isShutDown ? AGAIN : this.#getFor(by),
    handOff: () => void (this.empty() || this.#getters.notifyNext()),
    kind: "queue.get",
    describe: () => `an item of ${this.#describe()}`,
  }, this.#binding);
  readonly #putters: WaitQueue<void> = new WaitQueue<void>({
    complete: (future) => {
      if (this.full() && !this.#isShutDown) return AGAIN;
      this.putNowait(this.#takePending(future));
      return undefined;
    },
    handOff: (future) => {
      this.#takePending(future);
      if (!this.full()) this.#putters.notifyNext();
    },
    remove: (future) => void this.#takePending(future),
    kind: "queue.put",
    describe: () => `room in ${this.#describe()}`,
  }, this.#binding);
  readonly #joiners: WaitQueue<void> = new WaitQueue<void>({
    complete: () => {},
    handOff: () => {},
    kind: "queue.join",
    describe: () =>
      `taskDone() on ${this.#describe()}, ${this.#unfinished} unfinished`,
    holders: () => this.#takers,
  }, this.#binding);

  /**
   * Creates an empty queue.
   *
   * @param maxsize The number of items at which `put` waits; 0, the default, or less for no limit.
   * @param options The name shown in consoles and reports.
   * @throws {TypeError} If `maxsize` is not a number, or an option is unknown.
   */
  constructor(maxsize = 0, options?: Named) {
    checkNumber(maxsize, "create a queue", "maxsize");
    this.#label = labelOf(options, "create a queue");
    this.#maxsize = maxsize;
  }

  static {
    setStore = (queue, store) => queue.#items = store;
  }

  /** The number of items at which `put` waits; 0 or less for no limit. */
  get maxsize(): number {
    return this.#maxsize;
  }

  /** The number of items in the queue. */
  qsize(): number {
    return this.#items.length;
  }

  /** Whether the queue is empty. */
  empty(): boolean {
    return this.#items.length === 0;
  }

  /** Whether the queue is full, so that `put` would wait. */
  full(): boolean {
    return this.#maxsize > 0 && this.#items.length >= this.#maxsize;
  }

  /**
   * Adds an item, waiting while the queue is full.
   *
   * If cancelled, the item is not added. If a slot had just become free for it,
   * the next waiting `put` gets the slot.
   *
   * @param item The item to add.
   * @param options A signal that aborts the wait.
   * @throws {QueueShutDown} If the queue is shut down.
   * @throws {TypeError} If a priority queue cannot compare the item, or an option is invalid.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using the queue.
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
    return promiseTry(Queue.#put<T>, this, item, options);
  }

  /**
   * Adds an item without waiting.
   *
   * @param item The item to add.
   * @throws {QueueFull} If the queue is full.
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
   * Removes and returns an item, waiting while the queue is empty.
   *
   * If cancelled, no item is removed. If one had just become available for it,
   * the next waiting `get` receives it. A `get` that merely lost a
   * `Promise.race` keeps waiting and removes an item; abort it with a signal,
   * or use `waitFor`.
   *
   * @param options A signal that aborts the wait.
   * @returns The item.
   * @throws {QueueShutDown} If the queue is shut down and empty.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using the queue.
   * @throws {TypeError} If an option is unknown or has the wrong type.
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
    return promiseTry(Queue.#get<T>, this, options);
  }

  /**
   * Removes and returns an item without waiting.
   *
   * @returns The item.
   * @throws {QueueEmpty} If the queue is empty.
   * @throws {QueueShutDown} If the queue is shut down and empty.
   */
  getNowait(): T {
    if (this.empty()) {
      if (this.#isShutDown) {
        throw new QueueShutDown("Cannot get an item: the queue is shut down");
      }
      throw new QueueEmpty("Cannot get an item: the queue is empty");
    }
    const item = this.#items.pop() as T;
    const by = this.#resuming;
    this.#takers.add(by === undefined ? currentExecution() : by);
    this.#putters.notifyNext();
    return item;
  }

  /**
   * Marks an item that was returned by `get` as processed, for `join`.
   *
   * @throws {RangeError} If called more often than items were put.
   */
  taskDone(): void {
    if (this.#unfinished <= 0) {
      throw new RangeError(
        "taskDone() called more often than items were put",
      );
    }
    this.#unfinished--;
    this.#takers.remove(currentExecution());
    if (this.#unfinished === 0) this.#joiners.notifyAll();
  }

  /**
   * Waits until `taskDone` has been called for every item.
   *
   * If cancelled, the queue and its other waiters are unaffected.
   *
   * @param options A signal that aborts the wait.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using the queue.
   * @throws {TypeError} If an option is unknown or has the wrong type.
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
    return promiseTry(() => {
      const signal = activeSignalOf(options, "join a queue");
      if (this.#unfinished === 0) return settledVoid;
      return this.#joiners.enqueue(signal);
    });
  }

  /**
   * Shuts the queue down: from now on `put` rejects, and `get` does once the
   * queue is empty. Waiting calls reject too.
   *
   * @param immediate Whether to drop the remaining items, which then count as processed; `false` by default.
   * @throws {TypeError} If `immediate` is not a boolean.
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
   * Iterates over the items, removing each, until the queue is shut down and
   * empty. Several consumers may iterate at once. Leaving the loop early, also
   * by a cancellation, loses no item.
   *
   * @returns The iterator.
   * @throws {CancelledError} If the calling task is cancelled.
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

  static #put<T>(
    queue: Queue<T>,
    item: T,
    options: Cancellable | undefined,
  ): Promise<void> {
    const signal = activeSignalOf(options, "put an item");
    if (!queue.full() || queue.#isShutDown) {
      if (isOverdue()) return checkpoint(Queue.#put<T>, queue, item, options);
      queue.putNowait(item);
      return settledVoid;
    }
    queue.#items.check?.(item);
    const future = queue.#putters.enqueue(signal);
    queue.#pendingItems.set(future, item);
    return future;
  }

  static #get<T>(
    queue: Queue<T>,
    options: Cancellable | undefined,
  ): Promise<T> {
    const signal = activeSignalOf(options, "get an item");
    if (queue.empty() && !queue.#isShutDown) {
      return queue.#getters.enqueue(signal);
    }
    if (isOverdue()) return checkpoint(Queue.#get<T>, queue, options);
    return settledPromise(queue.getNowait());
  }

  /** Takes the item of a waiting `get`. A subclass may have overridden `getNowait`. */
  #getFor(by: ExecutionContext | null): T {
    this.#resuming = by;
    try {
      return this.getNowait();
    } finally {
      this.#resuming = undefined;
    }
  }

  #takePending(future: unknown): T {
    const item = this.#pendingItems.get(future) as T;
    this.#pendingItems.delete(future);
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
 * A queue that returns the lowest item first; equal items come in no particular
 * order.
 *
 * Numbers, bigints, strings, booleans and dates are compared by value, arrays
 * element by element like tuples in Python: `[priority, item]`.
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
   * Creates an empty queue.
   *
   * @param maxsize The number of items at which `put` waits; 0, the default, or less for no limit.
   * @param options How to compare items, and the name shown in consoles and reports.
   * @throws {TypeError} If `maxsize` is not a number, `compare` is not a function, or an option is unknown.
   */
  constructor(maxsize = 0, options: PriorityQueueOptions<T> = {}) {
    const action = "create a queue";
    checkOptions(options, ["compare", "name"], action);
    const { compare, name } = options;
    if (compare !== undefined) checkCallback(compare, action, "compare");
    super(maxsize, name === undefined ? undefined : { name });
    setStore(this, new PriorityStore(compare));
  }
}

/**
 * A last-in-first-out queue.
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
   * Creates an empty queue.
   *
   * @param maxsize The number of items at which `put` waits; 0, the default, or less for no limit.
   * @param options The name shown in consoles and reports.
   * @throws {TypeError} If `maxsize` is not a number, or an option is unknown.
   */
  constructor(maxsize = 0, options?: Named) {
    super(maxsize, options);
    setStore(this, new Stack<T>());
  }
}

class FifoStore<T> extends Deque<T> implements Store<T> {
  pop(): T | undefined {
    return this.shift();
  }
}

class PriorityStore<T> extends BinaryHeap<T> implements Store<T> {
  readonly #hasCompare: boolean;
  /** Whether a comparison is running; changing the heap now could lose an item. */
  #comparing = false;

  constructor(compare?: (a: T, b: T) => number) {
    super(compare === undefined ? isLess : isLessBy(compare));
    this.#hasCompare = compare !== undefined;
  }

  check(item: T): void {
    if (this.#hasCompare || kindOf(item) !== null) return;
    throw new TypeError(
      `Cannot order ${formatItem(item)} without a compare function`,
    );
  }

  override push(item: T): void {
    this.check(item);
    this.#startComparing();
    try {
      super.push(item);
    } finally {
      this.#comparing = false;
    }
  }

  override pop(): T | undefined {
    this.#startComparing();
    try {
      return super.pop();
    } finally {
      this.#comparing = false;
    }
  }

  override clear(): void {
    this.#startComparing();
    super.clear();
    this.#comparing = false;
  }

  #startComparing(): void {
    if (this.#comparing) {
      throw new RuntimeError(
        "Cannot change a queue while its items are being compared",
      );
    }
    this.#comparing = true;
  }
}

/** Turns a comparison function into a test whether `a` comes before `b`. */
function isLessBy<T>(compare: (a: T, b: T) => number): (a: T, b: T) => boolean {
  return (a, b) => {
    const order = compare(a, b);
    if (typeof order === "number" && !Number.isNaN(order)) return order < 0;
    throw incomparable(a, b, `, compare() returned ${describe(order)}`);
  };
}

/** Whether `a` comes before `b` in Python's order of values and tuples. */
function isLess(a: unknown, b: unknown): boolean {
  if (typeof a === "number" && typeof b === "number") return a < b;
  if (isInstance(a, Array) && isInstance(b, Array)) return isLessTuple(a, b);
  const kind = kindOf(a);
  if (kind === null || kind !== kindOf(b)) throw incomparable(a, b, "");
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

/** The kind of items that an item can be compared with, `null` if none. */
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

function incomparable(a: unknown, b: unknown, why: string): TypeError {
  return new TypeError(
    `Cannot compare ${formatItem(a)} with ${formatItem(b)}${why}`,
  );
}

function formatItem(item: unknown): string {
  const text = describe(item);
  if (kindOf(item) === null && text !== "a plain object") return text;
  try {
    const shown = inspect(item, { depth: 1, breakLength: Infinity });
    return shown.length > 60 ? `${shown.slice(0, 60)}...` : shown;
  } catch {
    return text;
  }
}
