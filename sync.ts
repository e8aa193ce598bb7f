/**
 * Locks and their kin, for tasks of one event loop: `Lock`, `Event`,
 * `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`.
 *
 * All are first come, first served: nobody overtakes a waiter, and a waiter
 * that is cancelled in the moment it is woken passes its turn on.
 *
 * ```ts
 * import { Lock } from "@asyncio/asyncio/sync";
 * import { assert } from "@std/assert";
 *
 * const lock = new Lock();
 * {
 *   using _ = await lock.acquire();
 *   assert(lock.locked());
 * }
 * assert(!lock.locked());
 * ```
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html}.
 *
 * @module
 */

import type { Cancellable } from "./_future.ts";
import { Home, WaitQueue } from "./_wait.ts";
import {
  BrokenBarrierError,
  CancelledError,
  RuntimeError,
} from "./exceptions.ts";

export type { Cancellable } from "./_future.ts";

/**
 * What `acquire()` gives: releases at the end of a `using` or `await using`
 * block, once. Dropped without that it releases nothing.
 */
export interface Guard extends Disposable, AsyncDisposable {
}

/** A guard that calls back the first time it is disposed of. */
class ReleaseGuard implements Guard {
  #release: ((guard: Guard) => void) | null;

  constructor(release: (guard: Guard) => void) {
    this.#release = release;
  }

  [Symbol.dispose](): void {
    const release = this.#release;
    this.#release = null;
    release?.(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    return Promise.resolve();
  }
}

let guardOf: (lock: Lock) => Guard | null;
let setGuard: (lock: Lock, guard: Guard | null) => void;

/**
 * A lock: one holder at a time.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Lock}.
 *
 * @example
 * ```ts
 * import { Lock } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const lock = new Lock();
 * async function alone<T>(action: () => Promise<T>): Promise<T> {
 *   using _ = await lock.acquire();
 *   return await action();
 * }
 * assert(await alone(() => Promise.resolve(1)) === 1);
 * ```
 */
export class Lock {
  #locked = false;
  /** The guard that stands for the present hold; an older one releases nothing. */
  #guard: Guard | null = null;
  readonly #waiters: WaitQueue<Guard> = new WaitQueue<Guard>({
    take: () => this.#lock(),
    pass: () => this.#wake(),
    describe: () => `<${this.#describe()}>`,
  }, new Home("Lock"));

  static {
    guardOf = (lock) => lock.#guard;
    setGuard = (lock, guard) => lock.#guard = guard;
  }

  /** Whether somebody holds it. */
  locked(): boolean {
    return this.#locked;
  }

  /**
   * Waits until the lock is free, and takes it.
   *
   * Cancelled while it waits, it does not hold the lock, also if that had
   * just been released to it: the next in line gets it.
   *
   * @param options A signal that ends the wait.
   * @returns A guard for `using`.
   * @throws {CancelledError} If the task is cancelled.
   */
  acquire(options?: Cancellable): Promise<Guard> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    const { waiting, woken } = this.#waiters;
    if (this.#locked || waiting + woken > 0) {
      return waitOn(this.#waiters, options);
    }
    return Promise.resolve(this.#lock());
  }

  /**
   * Frees the lock, for the first who waits.
   *
   * @throws {RuntimeError} If nobody holds it.
   */
  release(): void {
    if (!this.#locked) {
      throw new RuntimeError("Cannot release a lock that is not held");
    }
    this.#locked = false;
    this.#guard = null;
    this.#wake();
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<${this.#describe()}>`;
  }

  #lock(): Guard {
    this.#locked = true;
    return this.#guard = new ReleaseGuard((guard) => {
      if (this.#guard === guard) this.release();
    });
  }

  #wake(): void {
    if (!this.#locked && this.#waiters.woken === 0) this.#waiters.wakeNext();
  }

  #describe(): string {
    return `Lock ${this.#locked ? "locked" : "unlocked"}${
      waitingText(this.#waiters)
    }`;
  }
}

/**
 * A flag that tasks can wait for.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Event}.
 *
 * @example
 * ```ts
 * import { createTask, Event } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const ready = new Event();
 * const waiter = createTask(() => ready.wait());
 * ready.set();
 * assert(await waiter === true);
 * ```
 */
export class Event {
  #set = false;
  readonly #waiters: WaitQueue<true> = new WaitQueue<true>({
    take: () => true,
    pass: () => {},
    describe: () => `<${this.#describe()}>`,
  }, new Home("Event"));

  /** Whether it is set. */
  isSet(): boolean {
    return this.#set;
  }

  /** Sets it, and wakes all who wait. */
  set(): void {
    if (this.#set) return;
    this.#set = true;
    this.#waiters.wakeAll();
  }

  /** Takes it back. Those who were woken before stay woken. */
  clear(): void {
    this.#set = false;
  }

  /**
   * Waits until it is set.
   *
   * @param options A signal that ends the wait.
   * @returns `true`.
   * @throws {CancelledError} If the task is cancelled; nothing else changes.
   */
  wait(options?: Cancellable): Promise<true> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    return this.#set ? Promise.resolve(true) : waitOn(this.#waiters, options);
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<${this.#describe()}>`;
  }

  #describe(): string {
    return `Event ${this.#set ? "set" : "unset"}${waitingText(this.#waiters)}`;
  }
}

/**
 * A lock, and a way to wait under it until something has changed.
 *
 * Several conditions may share one lock.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Condition}.
 *
 * @example
 * ```ts
 * import { Condition, createTask } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const stock: string[] = [];
 * const changed = new Condition();
 * const buyer = createTask(async () => {
 *   using _ = await changed.acquire();
 *   await changed.waitFor(() => stock.length > 0);
 *   return stock.pop();
 * });
 * {
 *   using _ = await changed.acquire();
 *   stock.push("parrot");
 *   changed.notify();
 * }
 * assert(await buyer === "parrot");
 * ```
 */
export class Condition {
  readonly #lock: Lock;
  readonly #waiters: WaitQueue<void> = new WaitQueue<void>({
    take: () => {},
    pass: () => void this.#waiters.wakeNext(),
    describe: () => `<${this.#describe()}>`,
  }, new Home("Condition"));

  /**
   * Makes a condition.
   *
   * @param lock The lock to use, a new one by default.
   * @throws {TypeError} If it is not a `Lock`.
   */
  constructor(lock: Lock = new Lock()) {
    if (!(lock instanceof Lock)) {
      throw new TypeError(
        `Cannot create a condition: expected a Lock, got ${String(lock)}`,
      );
    }
    this.#lock = lock;
  }

  /** Whether somebody holds the lock. */
  locked(): boolean {
    return this.#lock.locked();
  }

  /**
   * Takes the lock, as {@linkcode Lock.acquire} does.
   *
   * @param options A signal that ends the wait.
   * @returns A guard for `using`.
   */
  acquire(options?: Cancellable): Promise<Guard> {
    return this.#lock.acquire(options);
  }

  /** Frees the lock, as {@linkcode Lock.release} does. */
  release(): void {
    this.#lock.release();
  }

  /**
   * Frees the lock, waits for a notification, and takes the lock again.
   *
   * However it ends, the lock is held afterwards; a cancellation is thrown
   * once it is. A notification that a cancelled waiter had already got goes
   * to the next one.
   *
   * @param options A signal that ends the wait.
   * @returns `true`.
   * @throws {RuntimeError} If the lock is not held.
   * @throws {CancelledError} If the task is cancelled.
   */
  async wait(options?: Cancellable): Promise<true> {
    this.#mustBeLocked("wait");
    options?.signal?.throwIfAborted();
    const notification = this.#waiters.wait(options);
    const guard = guardOf(this.#lock);
    this.#lock.release();
    let failure: { error: unknown } | null = null;
    try {
      await notification;
    } catch (error) {
      failure = { error };
    }
    const notified = failure === null;
    failure = await this.#relock() ?? failure;
    setGuard(this.#lock, guard);
    if (failure === null) return true;
    if (notified) this.#waiters.wakeNext();
    throw failure.error;
  }

  /**
   * Waits until a predicate is true, asking after each notification.
   *
   * @typeParam T What the predicate returns.
   * @param predicate The predicate, called with the lock held.
   * @param options A signal that ends the wait.
   * @returns The first value of the predicate that counts as true.
   * @throws {RuntimeError} If the lock is not held and the predicate is not true at once.
   * @throws {CancelledError} If the task is cancelled; the lock is then held.
   */
  async waitFor<T>(predicate: () => T, options?: Cancellable): Promise<T> {
    for (;;) {
      const value = predicate();
      if (value) return value;
      await this.wait(options);
    }
  }

  /**
   * Wakes waiters; each goes on once it has the lock.
   *
   * @param n How many, the first first.
   * @throws {RuntimeError} If the lock is not held.
   */
  notify(n = 1): void {
    this.#mustBeLocked("notify");
    for (let i = 0; i < n && this.#waiters.wakeNext(); i++);
  }

  /**
   * Wakes all waiters.
   *
   * @throws {RuntimeError} If the lock is not held.
   */
  notifyAll(): void {
    this.notify(Infinity);
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<${this.#describe()}>`;
  }

  /** Takes the lock again, whatever happens; returns the last cancellation meanwhile. */
  async #relock(): Promise<{ error: unknown } | null> {
    let last: { error: unknown } | null = null;
    for (;;) {
      try {
        await this.#lock.acquire();
        return last;
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
        last = { error };
      }
    }
  }

  #mustBeLocked(action: string): void {
    if (this.locked()) return;
    throw new RuntimeError(`Cannot ${action} without holding the lock`);
  }

  #describe(): string {
    return `Condition ${this.locked() ? "locked" : "unlocked"}${
      waitingText(this.#waiters)
    }`;
  }
}

let permitsOf: (semaphore: Semaphore) => number;

/**
 * A number of permits: `acquire` takes one, `release` gives one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Semaphore}.
 *
 * @example
 * ```ts
 * import { gather, Semaphore, sleep } from "@asyncio/asyncio";
 *
 * const three = new Semaphore(3);
 * await gather([1, 2, 3, 4, 5].map((n) => async () => {
 *   using _ = await three.acquire();
 *   await sleep(0, { result: n });
 * }));
 * ```
 */
export class Semaphore {
  /** Permits that are free; those of woken waiters are not. */
  #value: number;
  readonly #waiters: WaitQueue<Guard> = new WaitQueue<Guard>({
    take: () => {
      this.#wakeAsAllowed();
      return this.#guard();
    },
    pass: () => {
      this.#value++;
      this.#wakeAsAllowed();
    },
    describe: () => `<${this.#describe()}>`,
  }, new Home("Semaphore"));

  /**
   * Makes a semaphore.
   *
   * @param value How many permits there are.
   * @throws {RangeError} If it is negative.
   * @throws {TypeError} If it is not a number.
   */
  constructor(value = 1) {
    checkCount(value, 0, "Semaphore", "value");
    this.#value = value;
  }

  static {
    permitsOf = (semaphore) => semaphore.#value;
  }

  /** Whether `acquire` would wait. */
  locked(): boolean {
    const { waiting, woken } = this.#waiters;
    return this.#value === 0 || waiting + woken > 0;
  }

  /**
   * Waits until a permit is free, and takes it.
   *
   * Cancelled while it waits, it has no permit, also if one had just been
   * given to it: the next in line gets that.
   *
   * @param options A signal that ends the wait.
   * @returns A guard for `using`.
   * @throws {CancelledError} If the task is cancelled.
   */
  acquire(options?: Cancellable): Promise<Guard> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.locked()) return waitOn(this.#waiters, options);
    this.#value--;
    return Promise.resolve(this.#guard());
  }

  /** Gives a permit back, to the first who waits. */
  release(): void {
    this.#value++;
    this.#wakeNext();
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<${this.#describe()}>`;
  }

  #guard(): Guard {
    return new ReleaseGuard(() => this.release());
  }

  #wakeNext(): boolean {
    const woken = this.#value > 0 && this.#waiters.wakeNext();
    if (woken) this.#value--;
    return woken;
  }

  #wakeAsAllowed(): void {
    while (this.#wakeNext());
  }

  #describe(): string {
    return `${this.constructor.name} ${
      this.locked() ? "locked" : `with ${this.#value} free`
    }${waitingText(this.#waiters)}`;
  }
}

/**
 * A semaphore that refuses a `release()` that no `acquire()` stands against.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.BoundedSemaphore}.
 *
 * @example
 * ```ts
 * import { BoundedSemaphore } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const two = new BoundedSemaphore(2);
 * try {
 *   two.release();
 * } catch (error) {
 *   assert(error instanceof RangeError);
 * }
 * ```
 */
export class BoundedSemaphore extends Semaphore {
  readonly #bound: number;

  /**
   * Makes a semaphore.
   *
   * @param value How many permits there are.
   * @throws {RangeError} If it is negative.
   */
  constructor(value = 1) {
    super(value);
    this.#bound = value;
  }

  /**
   * Gives a permit back, to the first who waits.
   *
   * @throws {RangeError} If all permits are back already.
   */
  override release(): void {
    if (permitsOf(this) >= this.#bound) {
      throw new RangeError(
        `Cannot release: all ${this.#bound} permits are free already`,
      );
    }
    super.release();
  }
}

/**
 * A meeting point: nobody goes on before a fixed number of tasks wait there.
 *
 * It can be used again and again. A party that is cancelled leaves without
 * breaking it. Newcomers wait until the last round has left.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Barrier}.
 *
 * @example
 * ```ts
 * import { Barrier, gather } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const barrier = new Barrier(3);
 * const places = await gather([1, 2, 3].map(() => () => barrier.wait()));
 * assert(places.toSorted().join() === "0,1,2");
 * ```
 */
export class Barrier {
  readonly #parties: number;
  #state: "filling" | "draining" | "resetting" | "broken" = "filling";
  /** Parties inside `wait`, past its first gate. */
  #count = 0;
  readonly #changed = new Condition();

  /**
   * Makes a barrier.
   *
   * @param parties How many tasks meet.
   * @throws {RangeError} If it is less than one.
   * @throws {TypeError} If it is not a number.
   */
  constructor(parties: number) {
    checkCount(parties, 1, "Barrier", "parties");
    this.#parties = parties;
  }

  /** How many tasks meet. */
  get parties(): number {
    return this.#parties;
  }

  /** How many wait now for the others. */
  get nWaiting(): number {
    return this.#state === "filling" ? this.#count : 0;
  }

  /** Whether it was aborted. */
  get broken(): boolean {
    return this.#state === "broken";
  }

  /**
   * Waits for the others.
   *
   * Cancelled while it waits, the caller leaves and the others go on waiting.
   *
   * @param options A signal that ends the wait.
   * @returns The position of this caller, from 0 to `parties - 1`, each once a round.
   * @throws {BrokenBarrierError} If the barrier is broken, or reset meanwhile.
   * @throws {CancelledError} If the task is cancelled.
   */
  async wait(options?: Cancellable): Promise<number> {
    using _ = await this.#changed.acquire(options);
    await this.#changed.waitFor(
      () => this.#state !== "draining" && this.#state !== "resetting",
      options,
    );
    if (this.broken) throw new BrokenBarrierError("The barrier was aborted");
    const position = this.#count++;
    try {
      if (position + 1 === this.#parties) this.#enter("draining");
      else await this.#untilFull(options);
      return position;
    } finally {
      this.#count--;
      if (
        this.#count === 0 &&
        (this.#state === "draining" || this.#state === "resetting")
      ) {
        this.#enter("filling");
      }
    }
  }

  /**
   * Sends everyone who waits away with a `BrokenBarrierError`, and starts
   * anew, also after {@linkcode Barrier.abort}.
   */
  async reset(): Promise<void> {
    using _ = await this.#changed.acquire();
    this.#enter(this.#count > 0 ? "resetting" : "filling");
  }

  /** Breaks the barrier: whoever waits now or later gets a `BrokenBarrierError`, until it is reset. */
  async abort(): Promise<void> {
    using _ = await this.#changed.acquire();
    this.#enter("broken");
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<Barrier ${this.#state}, ${this.#count} of ${this.#parties} waiting>`;
  }

  async #untilFull(options?: Cancellable): Promise<void> {
    await this.#changed.waitFor(() => this.#state !== "filling", options);
    if (this.#state !== "draining") {
      throw new BrokenBarrierError("The barrier was aborted or reset");
    }
  }

  #enter(state: "filling" | "draining" | "resetting" | "broken"): void {
    this.#state = state;
    this.#changed.notifyAll();
  }
}

/** Joins a queue; an error comes as a rejection. */
function waitOn<T>(waiters: WaitQueue<T>, options?: Cancellable): Promise<T> {
  try {
    return waiters.wait(options);
  } catch (error) {
    return Promise.reject(error);
  }
}

function checkCount(
  count: unknown,
  least: number,
  what: string,
  name: string,
): void {
  if (typeof count !== "number" || Number.isNaN(count)) {
    throw new TypeError(
      `Cannot create a ${what}: ${name} must be a number, got ${String(count)}`,
    );
  }
  if (count < least) {
    throw new RangeError(
      `Cannot create a ${what}: ${name} must be at least ${least}, got ${count}`,
    );
  }
}

function waitingText(waiters: WaitQueue<unknown>): string {
  return waiters.waiting === 0 ? "" : `, ${waiters.waiting} waiting`;
}
