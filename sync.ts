/**
 * Synchronization primitives for tasks of one event loop: `Lock`, `Event`,
 * `Condition`, `Semaphore`, `BoundedSemaphore` and `Barrier`.
 *
 * All of them are fair: waiters are served first in, first out. A waiter that
 * is cancelled just as it is notified passes the notification on.
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

import "./_snapshot.ts"; // with it, the event loop, debug mode and inspection
import { type Guard, ReleaseGuard } from "./_guard.ts";
import { Holders, LastAction } from "./_holders.ts";
import type { Cancellable, Named } from "./_options.ts";
import { currentExecution, type ExecutionContext } from "./_event_loop.ts";
import {
  checkpoint,
  type Failure,
  isOverdue,
  operation,
  promiseTry,
  settledPromise,
} from "./_waiting_call.ts";
import {
  activeSignalOf,
  checkCallback,
  checkCount,
  checkInstance,
  checkNumber,
  classNameOf,
  describe,
  isAsync,
  labelOf,
  signalOf,
} from "./_validate.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import { CancelledError, RuntimeError } from "./exceptions.ts";

export { Barrier } from "./_barrier.ts";
export type { Guard } from "./_guard.ts";
export type { Cancellable, Named } from "./_options.ts";

/** Access to the private fields of a lock, for `Condition`. */
let locks: {
  binding(lock: Lock): LoopBinding;
  guard(lock: Lock): Guard | null;
  setGuard(lock: Lock, guard: Guard | null): void;
};

/**
 * A mutual exclusion lock: at most one holder at a time.
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
  /** The guard of the current holder; older guards release nothing. */
  #guard: Guard | null = null;
  /** The code that acquired it, for reports. */
  #holder: ExecutionContext | null = null;
  readonly #dispose = (guard: Guard): void => {
    if (this.#guard === guard) this.release();
  };
  readonly #label: string;
  readonly #binding = new LoopBinding();
  /** At most one waiter is notified at a time, and only while the lock is free. */
  readonly #waiters: WaitQueue<Guard> = new WaitQueue<Guard>({
    complete: (_, by) => this.#lock(by),
    handOff: () => this.#notifyNext(),
    kind: "lock",
    describe: () => this.#describe(),
    holder: () => this.#holder,
  }, this.#binding);

  /**
   * Creates an unlocked lock.
   *
   * @param options The name shown in consoles and reports.
   * @throws {TypeError} If an option is unknown.
   */
  constructor(options?: Named) {
    this.#label = labelOf(options, "create a lock");
  }

  static {
    locks = {
      binding: (lock) => lock.#binding,
      guard: (lock) => lock.#guard,
      setGuard: (lock, guard) => lock.#guard = guard,
    };
  }

  /** Whether the lock is held. */
  locked(): boolean {
    return this.#locked;
  }

  /**
   * Acquires the lock, waiting until it is free.
   *
   * The lock is not reentrant: a task that holds it and acquires it again waits
   * forever.
   *
   * If cancelled, the caller does not hold the lock. If the lock had just been
   * released to it, the next waiter gets it.
   *
   * @param options A signal that aborts the wait.
   * @returns A guard that releases it at the end of a `using` block.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using it.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   *
   * @example
   * ```ts
   * import { createTask, Lock, sleep } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const lock = new Lock();
   * {
   *   using _ = await lock.acquire();
   *   const waiter = createTask(() => lock.acquire());
   *   await sleep(0);
   *   waiter.cancel();
   *   await sleep(0);
   *   assert(waiter.cancelled());
   * }
   * assert(!lock.locked()); // the cancelled waiter did not get it
   * ```
   */
  acquire(options?: Cancellable): Promise<Guard> {
    return promiseTry(Lock.#acquire, this, options);
  }

  /**
   * Releases the lock; the first waiter gets it.
   *
   * @throws {RuntimeError} If the lock is not held.
   */
  release(): void {
    if (!this.#locked) {
      throw new RuntimeError("Cannot release a lock that is not held");
    }
    this.#locked = false;
    this.#guard = null;
    this.#holder = null;
    this.#notifyNext();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  static #acquire(
    lock: Lock,
    options: Cancellable | undefined,
  ): Promise<Guard> {
    const signal = activeSignalOf(options, "acquire a lock");
    if (lock.#locked || lock.#waiters.hasWaiters) {
      return lock.#waiters.enqueue(signal);
    }
    if (isOverdue()) return checkpoint(Lock.#acquire, lock, options);
    return settledPromise(lock.#lock(currentExecution() ?? null));
  }

  #lock(by: ExecutionContext | null): Guard {
    this.#locked = true;
    this.#holder = by;
    return this.#guard = new ReleaseGuard(this.#dispose);
  }

  #notifyNext(): void {
    if (!this.#locked && this.#waiters.notified === 0) {
      this.#waiters.notifyNext();
    }
  }

  #describe(): string {
    const state = this.#locked ? "locked" : "unlocked";
    return summary(`Lock${this.#label} ${state}`, this.#waiters);
  }
}

/**
 * A flag that tasks can wait on.
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
  #lastSet: LastAction | null = null;
  readonly #label: string;
  readonly #waiters: WaitQueue<true> = new WaitQueue<true>({
    complete: () => true,
    handOff: () => {},
    kind: "event",
    describe: () => this.#describe(),
    notes: () => this.#lastSet === null ? [] : [String(this.#lastSet)],
  }, new LoopBinding());

  /**
   * Creates an event that is not set.
   *
   * @param options The name shown in consoles and reports.
   * @throws {TypeError} If an option is unknown.
   */
  constructor(options?: Named) {
    this.#label = labelOf(options, "create an event");
  }

  /** Whether the event is set. */
  isSet(): boolean {
    return this.#set;
  }

  /** Sets the event and wakes all waiters. */
  set(): void {
    if (this.#set) return;
    this.#set = true;
    this.#lastSet = new LastAction("set", this.#waiters.waiting);
    this.#waiters.notifyAll();
  }

  /** Clears the event. Waiters that were already notified resume nevertheless. */
  clear(): void {
    this.#set = false;
  }

  /**
   * Waits until the event is set.
   *
   * If cancelled, the event and its other waiters are unaffected.
   *
   * @param options A signal that aborts the wait.
   * @returns `true`.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using it.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   *
   * @example
   * ```ts
   * import { Event } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const ready = new Event({ name: "ready" });
   * setTimeout(() => ready.set(), 1);
   * assert(await ready.wait());
   * ```
   */
  wait(options?: Cancellable): Promise<true> {
    return promiseTry(Event.#wait, this, options);
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  static #wait(
    event: Event,
    options: Cancellable | undefined,
  ): Promise<true> {
    const signal = activeSignalOf(options, "wait for an event");
    if (!event.#set) return event.#waiters.enqueue(signal);
    if (isOverdue()) return checkpoint(Event.#wait, event, options);
    return settledPromise(true);
  }

  #describe(): string {
    return summary(
      `Event${this.#label} ${this.#set ? "set" : "unset"}`,
      this.#waiters,
    );
  }
}

/**
 * A condition variable: a lock, and a way to wait for a notification while
 * holding it.
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
  readonly #waiters: WaitQueue<void>;
  readonly #label: string;
  /** The last notification. */
  #notified: LastAction | null = null;
  /** The futures of waiters that were cancelled after they were notified and have not reacquired the lock. */
  readonly #unclaimed = new Set<unknown>();

  /**
   * Creates a condition.
   *
   * @param lock The lock to use; a new one by default.
   * @param options The name shown in consoles and reports.
   * @throws {TypeError} If `lock` is not a `Lock`, or an option is unknown.
   */
  constructor(lock: Lock = new Lock(), options?: Named) {
    checkInstance(lock, Lock, "create a condition", "lock");
    this.#label = labelOf(options, "create a condition");
    this.#lock = lock;
    this.#waiters = new WaitQueue<void>({
      complete: () => {},
      handOff: (future) => void this.#unclaimed.add(future),
      kind: "condition",
      describe: () => this.#describe(),
      notes: () => [this.#notified?.toString() ?? "never notified"],
    }, locks.binding(lock));
  }

  /** Whether the lock is held. */
  locked(): boolean {
    return this.#lock.locked();
  }

  /**
   * Acquires the lock, as {@linkcode Lock.acquire} does. If cancelled, the
   * caller does not hold the lock.
   *
   * @param options A signal that aborts the wait.
   * @returns A guard that releases it at the end of a `using` block.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using it.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   *
   * @example
   * ```ts
   * import { Condition } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const changed = new Condition();
   * {
   *   using _ = await changed.acquire();
   *   assert(changed.locked());
   *   changed.notifyAll();
   * }
   * assert(!changed.locked());
   * ```
   */
  acquire(options?: Cancellable): Promise<Guard> {
    return this.#lock.acquire(options);
  }

  /**
   * Releases the lock, as {@linkcode Lock.release} does.
   *
   * @throws {RuntimeError} If the lock is not held.
   */
  release(): void {
    this.#lock.release();
  }

  /**
   * Releases the lock, waits for a notification, and acquires the lock again.
   *
   * Whether it succeeds or fails, the lock is held afterwards. If cancelled, it
   * rejects once it has reacquired the lock, and a notification it had received
   * goes to the next waiter.
   *
   * @param options A signal that aborts the wait.
   * @returns `true`.
   * @throws {RuntimeError} If the lock is not held, or another event loop is using it.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   *
   * @example
   * ```ts
   * import { Condition, createTask, sleep } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const changed = new Condition();
   * const waiter = createTask(async () => {
   *   using _ = await changed.acquire();
   *   return await changed.wait();
   * });
   * await sleep(0);
   * {
   *   using _ = await changed.acquire();
   *   changed.notify();
   * }
   * assert(await waiter);
   * ```
   */
  wait(options?: Cancellable): Promise<true> {
    return operation(() =>
      this.#wait(signalOf(options, "wait for a condition"))
    );
  }

  async #wait(signal: AbortSignal | undefined): Promise<true> {
    this.#checkLocked("wait");
    signal?.throwIfAborted();
    const notification = this.#waiters.enqueue(signal);
    const guard = locks.guard(this.#lock);
    this.#lock.release();
    let failure: Failure | null = null;
    let notified = true;
    try {
      await notification;
    } catch (error) {
      failure = { error };
      notified = this.#unclaimed.delete(notification);
    }
    failure = await this.#relock() ?? failure;
    locks.setGuard(this.#lock, guard);
    if (failure === null) return true;
    if (notified) this.#waiters.notifyNext();
    throw failure.error;
  }

  /**
   * Waits until a predicate is truthy, checking it first and after each
   * notification.
   *
   * Whether it succeeds or fails, the lock is held afterwards. If cancelled, a
   * notification it had received goes to the next waiter.
   *
   * @typeParam T What the predicate returns.
   * @param predicate A synchronous function, called while the lock is held.
   * @param options A signal that aborts the wait.
   * @returns The first truthy value of the predicate.
   * @throws {RuntimeError} If the lock is not held and the predicate is not truthy at once.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {TypeError} If the predicate is not a function or is `async`, or an option is invalid.
   *
   * @example
   * ```ts
   * import { Condition, createTask } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const stock: string[] = [];
   * const changed = new Condition();
   * const buyer = createTask(async () => {
   *   using _ = await changed.acquire();
   *   await changed.waitFor(() => stock.length >= 2);
   *   return stock.splice(0, 2);
   * });
   * for (const item of ["spam", "eggs"]) {
   *   using _ = await changed.acquire();
   *   stock.push(item);
   *   changed.notify();
   * }
   * assertEquals(await buyer, ["spam", "eggs"]);
   * ```
   */
  waitFor<T>(predicate: () => T, options?: Cancellable): Promise<T> {
    return operation(() => this.#waitFor(predicate, options));
  }

  async #waitFor<T>(
    predicate: () => T,
    options: Cancellable | undefined,
  ): Promise<T> {
    checkPredicate(predicate);
    const signal = signalOf(options, "wait for a condition");
    for (;;) {
      const value = predicate();
      if (value) return value;
      await this.#wait(signal);
    }
  }

  /**
   * Wakes waiters; each resumes once it has reacquired the lock.
   *
   * @param n The number of waiters to wake, FIFO; 1 by default.
   * @throws {RuntimeError} If the lock is not held.
   * @throws {TypeError} If `n` is not a number.
   */
  notify(n = 1): void {
    checkNumber(n, "notify", "n");
    this.#checkLocked("notify");
    this.#notified = new LastAction("notified", this.#waiters.waiting);
    for (let i = 0; i < n && this.#waiters.notifyNext(); i++);
  }

  /**
   * Wakes all waiters.
   *
   * @throws {RuntimeError} If the lock is not held.
   */
  notifyAll(): void {
    this.notify(Infinity);
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  /** Reacquires the lock, whatever happens. Returns the last cancellation during the wait. */
  async #relock(): Promise<Failure | null> {
    let last: Failure | null = null;
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

  #checkLocked(action: string): void {
    if (this.locked()) return;
    throw new RuntimeError(`Cannot ${action} without holding the lock`);
  }

  #describe(): string {
    const state = this.locked() ? "locked" : "unlocked";
    return summary(`Condition${this.#label} ${state}`, this.#waiters);
  }
}

let permitsOf: (semaphore: Semaphore) => number;

/**
 * A semaphore: a number of permits. `acquire` takes one, `release` returns one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Semaphore}.
 *
 * @example
 * ```ts
 * import { gather, Semaphore, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const two = new Semaphore(2);
 * let busy = 0;
 * await gather([1, 2, 3, 4, 5].map(() => async () => {
 *   using _ = await two.acquire();
 *   assert(++busy <= 2);
 *   await sleep(0.001);
 *   busy--;
 * }));
 * assert(busy === 0 && !two.locked());
 * ```
 */
export class Semaphore {
  /** The number of free permits; those assigned to notified waiters are not free. */
  #value: number;
  readonly #label: string;
  readonly #dispose = (): void => this.release();
  readonly #size: number;
  readonly #holders = new Holders();
  readonly #waiters: WaitQueue<Guard> = new WaitQueue<Guard>({
    complete: (_, by) => {
      this.#notifyWaiters();
      return this.#grant(by);
    },
    handOff: () => {
      this.#value++;
      this.#notifyWaiters();
    },
    kind: "semaphore",
    describe: () => this.#describe(),
    notes: () => [`permits: ${this.#size}`],
    holders: () => this.#holders,
  }, new LoopBinding());

  /**
   * Creates a semaphore.
   *
   * @param value The number of permits; 1 by default.
   * @param options The name shown in consoles and reports.
   * @throws {RangeError} If `value` is negative or not a whole number.
   * @throws {TypeError} If `value` is not a number, or an option is unknown.
   */
  constructor(value = 1, options?: Named) {
    checkCount(value, 0, "create a semaphore", "value");
    this.#label = labelOf(options, "create a semaphore");
    this.#size = this.#value = value;
  }

  static {
    permitsOf = (semaphore) => semaphore.#value;
  }

  /** Whether `acquire` would wait. */
  locked(): boolean {
    return this.#value === 0 || this.#waiters.hasWaiters;
  }

  /**
   * Acquires a permit, waiting until one is free.
   *
   * If cancelled, the caller has no permit. If one had just been assigned to
   * it, the next waiter gets it.
   *
   * @param options A signal that aborts the wait.
   * @returns A guard that releases it at the end of a `using` block.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using it.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   *
   * @example
   * ```ts
   * import { Semaphore } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const two = new Semaphore(2, { name: "connections" });
   * {
   *   using first = await two.acquire();
   *   using second = await two.acquire();
   *   assert(two.locked());
   * }
   * assert(!two.locked());
   * ```
   */
  acquire(options?: Cancellable): Promise<Guard> {
    return promiseTry(Semaphore.#acquire, this, options);
  }

  /** Returns a permit; the first waiter gets it. */
  release(): void {
    this.#value++;
    this.#holders.remove(currentExecution());
    this.#notifyNext();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  /** A semaphore created without permits signals something: nobody returns its permits. */
  #grant(by: ExecutionContext | null | undefined): Guard {
    if (this.#size > 0) this.#holders.add(by);
    return new ReleaseGuard(this.#dispose);
  }

  static #acquire(
    semaphore: Semaphore,
    options: Cancellable | undefined,
  ): Promise<Guard> {
    const signal = activeSignalOf(options, "acquire a semaphore");
    if (semaphore.locked()) return semaphore.#waiters.enqueue(signal);
    if (isOverdue()) return checkpoint(Semaphore.#acquire, semaphore, options);
    semaphore.#value--;
    return settledPromise(semaphore.#grant(currentExecution()));
  }

  #notifyNext(): boolean {
    const notified = this.#value > 0 && this.#waiters.notifyNext();
    if (notified) this.#value--;
    return notified;
  }

  #notifyWaiters(): void {
    while (this.#notifyNext());
  }

  #describe(): string {
    const state = this.locked() ? "locked" : `with ${this.#value} free`;
    const name = classNameOf(this, "Semaphore");
    return summary(`${name}${this.#label} ${state}`, this.#waiters);
  }
}

/**
 * A semaphore that throws on a `release()` without a matching `acquire()`.
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
   * Creates a semaphore.
   *
   * @param value The number of permits; 1 by default.
   * @param options The name shown in consoles and reports.
   * @throws {RangeError} If `value` is negative or not a whole number.
   * @throws {TypeError} If `value` is not a number, or an option is unknown.
   */
  constructor(value = 1, options?: Named) {
    super(value, options);
    this.#bound = value;
  }

  /**
   * Returns a permit; the first waiter gets it.
   *
   * @throws {RangeError} If all permits are free.
   */
  override release(): void {
    const acquired = this.#bound - permitsOf(this); // NaN without a bound
    if (acquired <= 0) {
      throw new RangeError(
        `Cannot release: all ${this.#bound} permits are free already`,
      );
    }
    super.release();
  }
}

/** An `async` predicate would always be truthy. */
function checkPredicate(predicate: unknown): void {
  const action = "wait for a condition";
  checkCallback(predicate, action, "the predicate");
  if (!isAsync(predicate)) return;
  throw new TypeError(
    `Cannot ${action}: the predicate must not be async, got ${
      describe(predicate)
    }`,
  );
}

/** A primitive as one line of text. */
function summary(what: string, waiters: WaitQueue<unknown>): string {
  const { waiting } = waiters;
  return waiting === 0 ? `<${what}>` : `<${what}, ${waiting} waiting>`;
}
