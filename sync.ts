/**
 * Locks and the like, for tasks of one event loop: `Lock`, `Event`,
 * `Condition`, `Semaphore`, `BoundedSemaphore`, `Barrier`.
 *
 * All are first come, first served: nobody overtakes a waiter, and a waiter
 * that is cancelled at the moment it is woken passes its turn on.
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

import { rejection } from "./_error_stack.ts";
import "./_snapshot.ts"; // with it, the event loop, debug mode and inspection
import { type Guard, ReleaseGuard } from "./_guard.ts";
import { Holders, Occasion } from "./_holders.ts";
import type { Cancellable, Named } from "./_options.ts";
import { currentExecution, type ExecutionContext } from "./_scheduler.ts";
import {
  checkpoint,
  isOverdue,
  operation,
  settledPromise,
} from "./_waiting_call.ts";
import {
  checkCallback,
  checkCount,
  checkInstance,
  checkNumber,
  classNameOf,
  describe,
  isAsync,
  labelOf,
  openSignalOf,
  signalOf,
} from "./_validate.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import { CancelledError, RuntimeError } from "./exceptions.ts";

export { Barrier } from "./_barrier.ts";
export type { Guard } from "./_guard.ts";
export type { Cancellable, Named } from "./_options.ts";

/** The inside of a lock, for the conditions on it. */
let locks: {
  home(lock: Lock): LoopBinding;
  guard(lock: Lock): Guard | null;
  setGuard(lock: Lock, guard: Guard | null): void;
};

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
  /** The code that has taken it, for those who ask why they wait. */
  #holder: ExecutionContext | null = null;
  readonly #dispose = (guard: Guard): void => {
    if (this.#guard === guard) this.release();
  };
  readonly #label: string;
  readonly #home = new LoopBinding();
  /** At most one is woken at a time, and only while the lock is free. */
  readonly #waiters: WaitQueue<Guard> = new WaitQueue<Guard>({
    complete: (_, by) => this.#lock(by),
    handOff: () => this.#wake(),
    kind: "lock",
    describe: () => this.#describe(),
    holder: () => this.#holder,
  }, this.#home);

  /**
   * Makes a free lock.
   *
   * @param options A name, shown in reports.
   * @throws {TypeError} If an option is unknown.
   */
  constructor(options?: Named) {
    this.#label = labelOf(options, "create a lock");
  }

  static {
    locks = {
      home: (lock) => lock.#home,
      guard: (lock) => lock.#guard,
      setGuard: (lock, guard) => lock.#guard = guard,
    };
  }

  /** Whether somebody holds it. */
  locked(): boolean {
    return this.#locked;
  }

  /**
   * Waits until the lock is free, and takes it.
   *
   * Cancelled while it waits, it does not hold the lock, even if the lock had
   * just been handed to it: the next in line gets it.
   *
   * @param options A signal that ends the wait.
   * @returns A guard for `using`.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   * @throws {TypeError} If an option is unknown or of another kind.
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
   * assert(!lock.locked()); // the cancelled waiter has not got it
   * ```
   */
  acquire(options?: Cancellable): Promise<Guard> {
    try {
      const signal = options === undefined
        ? undefined
        : openSignalOf(options, "acquire a lock");
      if (this.#locked || this.#waiters.busy) {
        return this.#waiters.enter(signal);
      }
      if (isOverdue()) return checkpoint(() => this.acquire(options));
      return settledPromise(this.#lock(currentExecution() ?? null));
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Frees the lock for the first waiter.
   *
   * @throws {RuntimeError} If nobody holds it.
   */
  release(): void {
    if (!this.#locked) {
      throw new RuntimeError("Cannot release a lock that is not held");
    }
    this.#locked = false;
    this.#guard = null;
    this.#holder = null;
    this.#wake();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  #lock(by: ExecutionContext | null): Guard {
    this.#locked = true;
    this.#holder = by;
    return this.#guard = new ReleaseGuard(this.#dispose);
  }

  #wake(): void {
    if (!this.#locked && this.#waiters.notified === 0) {
      this.#waiters.notifyNext();
    }
  }

  #describe(): string {
    const state = this.#locked ? "locked" : "unlocked";
    return line(`Lock${this.#label} ${state}`, this.#waiters);
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
  #lastSet: Occasion | null = null;
  readonly #label: string;
  readonly #waiters: WaitQueue<true> = new WaitQueue<true>({
    complete: () => true,
    handOff: () => {},
    kind: "event",
    describe: () => this.#describe(),
    notes: () => this.#lastSet === null ? [] : [String(this.#lastSet)],
  }, new LoopBinding());

  /**
   * Makes an event that is not set.
   *
   * @param options A name, shown in reports.
   * @throws {TypeError} If an option is unknown.
   */
  constructor(options?: Named) {
    this.#label = labelOf(options, "create an event");
  }

  /** Whether it is set. */
  isSet(): boolean {
    return this.#set;
  }

  /** Sets it, and wakes all waiters. */
  set(): void {
    if (this.#set) return;
    this.#set = true;
    this.#lastSet = new Occasion("set", this.#waiters.waiting);
    this.#waiters.notifyAll();
  }

  /** Clears it. Waiters that were woken before stay woken. */
  clear(): void {
    this.#set = false;
  }

  /**
   * Waits until it is set.
   *
   * Cancelled while it waits, it leaves the event and all others that wait
   * for it as they are.
   *
   * @param options A signal that ends the wait.
   * @returns `true`.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   * @throws {TypeError} If an option is unknown or of another kind.
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
    try {
      const signal = options === undefined
        ? undefined
        : openSignalOf(options, "wait for an event");
      if (!this.#set) return this.#waiters.enter(signal);
      if (isOverdue()) return checkpoint(() => this.wait(options));
      return settledPromise(true);
    } catch (error) {
      return rejection(error);
    }
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  #describe(): string {
    return line(
      `Event${this.#label} ${this.#set ? "set" : "unset"}`,
      this.#waiters,
    );
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
  readonly #waiters: WaitQueue<void>;
  readonly #label: string;
  /** The last notification. */
  #notified: Occasion | null = null;
  /** Notifications of cancelled waiters that do not hold the lock again yet. */
  readonly #unheeded = new Set<unknown>();

  /**
   * Makes a condition.
   *
   * @param lock The lock to use, a new one by default.
   * @param options A name, shown in reports.
   * @throws {TypeError} If it is not a `Lock`, or an option is unknown.
   */
  constructor(lock: Lock = new Lock(), options?: Named) {
    checkInstance(lock, Lock, "create a condition", "lock");
    this.#label = labelOf(options, "create a condition");
    this.#lock = lock;
    this.#waiters = new WaitQueue<void>({
      complete: () => {},
      handOff: (future) => void this.#unheeded.add(future),
      kind: "condition",
      describe: () => this.#describe(),
      notes: () => [this.#notified?.toString() ?? "never notified"],
    }, locks.home(lock));
  }

  /** Whether somebody holds the lock. */
  locked(): boolean {
    return this.#lock.locked();
  }

  /**
   * Takes the lock, as {@linkcode Lock.acquire} does: cancelled while it
   * waits, it does not hold the lock.
   *
   * @param options A signal that ends the wait.
   * @returns A guard for `using`.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   * @throws {TypeError} If an option is unknown or of another kind.
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
   * @throws {RuntimeError} If the lock is not held, or in use by another event loop.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {TypeError} If an option is unknown or of another kind.
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
    this.#mustBeLocked("wait");
    signal?.throwIfAborted();
    const notification = this.#waiters.enter(signal);
    const guard = locks.guard(this.#lock);
    this.#lock.release();
    let failure: { error: unknown } | null = null;
    let notified = true;
    try {
      await notification;
    } catch (error) {
      failure = { error };
      notified = this.#unheeded.delete(notification);
    }
    failure = await this.#relock() ?? failure;
    locks.setGuard(this.#lock, guard);
    if (failure === null) return true;
    if (notified) this.#waiters.notifyNext();
    throw failure.error;
  }

  /**
   * Waits until a predicate is true, asking after each notification.
   *
   * However it ends, even by an error of the predicate, the lock is held
   * afterwards. A notification that a cancelled waiter had already got goes to
   * the next one.
   *
   * @typeParam T What the predicate returns.
   * @param predicate The predicate, called with the lock held.
   * @param options A signal that ends the wait.
   * @returns The first value of the predicate that counts as true.
   * @throws {RuntimeError} If the lock is not held and the predicate is not true at once.
   * @throws {CancelledError} If the task is cancelled; the lock is then held.
   * @throws {TypeError} If the predicate is no function or `async`, or an option is unknown or of another kind.
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
   * Wakes waiters; each goes on once it has the lock.
   *
   * @param n The number of waiters to wake, in the order they came; 1 by default.
   * @throws {RuntimeError} If the lock is not held.
   * @throws {TypeError} If `n` is not a number.
   */
  notify(n = 1): void {
    checkNumber(n, "notify", "n");
    this.#mustBeLocked("notify");
    this.#notified = new Occasion("notified", this.#waiters.waiting);
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
    const state = this.locked() ? "locked" : "unlocked";
    return line(`Condition${this.#label} ${state}`, this.#waiters);
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
  /** Permits that are free; those of woken waiters are not. */
  #value: number;
  readonly #label: string;
  readonly #dispose = (): void => this.release();
  readonly #size: number;
  readonly #holders = new Holders();
  readonly #waiters: WaitQueue<Guard> = new WaitQueue<Guard>({
    complete: (_, by) => {
      this.#wakeAsAllowed();
      return this.#grant(by);
    },
    handOff: () => {
      this.#value++;
      this.#wakeAsAllowed();
    },
    kind: "semaphore",
    describe: () => this.#describe(),
    notes: () => [`permits: ${this.#size}`],
    holders: () => this.#holders,
  }, new LoopBinding());

  /**
   * Makes a semaphore.
   *
   * @param value How many permits there are; 1 by default.
   * @param options A name, shown in reports.
   * @throws {RangeError} If it is negative or no whole number.
   * @throws {TypeError} If it is not a number, or an option is unknown.
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
    return this.#value === 0 || this.#waiters.busy;
  }

  /**
   * Waits until a permit is free, and takes it.
   *
   * Cancelled while it waits, it has no permit, even if one had just been given
   * to it: the next in line gets that one.
   *
   * @param options A signal that ends the wait.
   * @returns A guard for `using`.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   * @throws {TypeError} If an option is unknown or of another kind.
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
    try {
      const signal = options === undefined
        ? undefined
        : openSignalOf(options, "acquire a semaphore");
      if (this.locked()) return this.#waiters.enter(signal);
      if (isOverdue()) return checkpoint(() => this.acquire(options));
      this.#value--;
      return settledPromise(this.#grant(currentExecution()));
    } catch (error) {
      return rejection(error);
    }
  }

  /** Gives a permit back, to the first waiter. */
  release(): void {
    this.#value++;
    this.#holders.remove(currentExecution());
    this.#wakeNext();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  /** Whoever waits on one that was made with no permits is told of something, and gives none back. */
  #grant(by: ExecutionContext | null | undefined): Guard {
    if (this.#size > 0) this.#holders.add(by);
    return new ReleaseGuard(this.#dispose);
  }

  #wakeNext(): boolean {
    const woken = this.#value > 0 && this.#waiters.notifyNext();
    if (woken) this.#value--;
    return woken;
  }

  #wakeAsAllowed(): void {
    while (this.#wakeNext());
  }

  #describe(): string {
    const state = this.locked() ? "locked" : `with ${this.#value} free`;
    const name = classNameOf(this, "Semaphore");
    return line(`${name}${this.#label} ${state}`, this.#waiters);
  }
}

/**
 * A semaphore that refuses a `release()` without an `acquire()` before it.
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
   * @param value How many permits there are; 1 by default.
   * @param options A name, shown in reports.
   * @throws {RangeError} If it is negative or no whole number.
   * @throws {TypeError} If it is not a number, or an option is unknown.
   */
  constructor(value = 1, options?: Named) {
    super(value, options);
    this.#bound = value;
  }

  /**
   * Gives a permit back, to the first waiter.
   *
   * @throws {RangeError} If all permits are back already.
   */
  override release(): void {
    const taken = this.#bound - permitsOf(this); // NaN if there is no bound
    if (taken <= 0) {
      throw new RangeError(
        `Cannot release: all ${this.#bound} permits are free already`,
      );
    }
    super.release();
  }
}

/** A predicate that returns a promise would always count as true. */
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

/** A primitive in one line. */
function line(what: string, waiters: WaitQueue<unknown>): string {
  const { waiting } = waiters;
  return waiting === 0 ? `<${what}>` : `<${what}, ${waiting} waiting>`;
}
