/**
 * The one queue of waiters under every primitive.
 *
 * Waking a waiter hands over nothing yet: the code that waits takes its lock,
 * item or slot when it really resumes ({@linkcode Turn.take}). If it was
 * cancelled between the two, its turn goes to the next in line
 * ({@linkcode Turn.pass}). This pair is the whole repair logic of the module;
 * CPython writes it out again in every primitive.
 *
 * @module
 */

import { Deque } from "./_collections.ts";
import {
  AGAIN,
  type AnyFuture,
  type EventLoop,
  type Future,
  futures,
  getEventLoop,
  isImplicit,
  type Waitable,
} from "./_future.ts";
import type { Cancellable } from "./_options.ts";
import type { Frame } from "./_loop.ts";
import { checkSignal } from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

/** What a primitive does when a turn of its queue comes to its end. */
export interface Turn<T> {
  /** Gives the waiter, code of that frame, what it waited for, or sends it to the end of the queue. */
  take(future: AnyFuture, by: Frame | null): T | typeof AGAIN;
  /** The waiter was woken and will not take its turn: gives it to the next. */
  pass(future: AnyFuture): void;
  /** The waiter left before its turn. */
  drop?(future: AnyFuture): void;
  /** What is waited for, in a few words. */
  describe(): string;
  /** The futures that are waited for. */
  awaits?(): readonly AnyFuture[];
  /** The code that has what is waited for. */
  holder?(): Frame | null;
  /** What kind of wait it is: "lock", "queue.get". */
  readonly kind?: string | undefined;
  /** More that may explain the wait. */
  notes?(): string[];
  /** All code that has a part of what is waited for. */
  holders?(): Iterable<Frame>;
}

/** Entries that may be dead beside as many live ones before a sweep. */
const SWEEP_ABOVE = 32;

/**
 * First come, first served: the futures of those who wait for one thing.
 *
 * Waiters that ended before their turn stay behind as dead entries and are
 * skipped, so that a cancellation costs nothing; once they are the majority
 * they are swept.
 */
export class WaitQueue<T> implements Waitable {
  readonly #waiters = new Deque<Future<T>>();
  /** Pending futures in `#waiters`; the other entries are dead. */
  #live = 0;
  /** Futures that were woken and have neither taken nor passed on their turn. */
  #woken = 0;
  readonly #turn: Turn<T>;
  readonly #home: Home;

  constructor(turn: Turn<T>, home: Home) {
    this.#turn = turn;
    this.#home = home;
  }

  /** How many wait and have not been woken. */
  get waiting(): number {
    return this.#live;
  }

  /** How many were woken and have not resumed. */
  get woken(): number {
    return this.#woken;
  }

  /** Whether anybody is in line, woken or not. */
  get busy(): boolean {
    return this.#live + this.#woken > 0;
  }

  /**
   * Joins the end of the queue, as {@linkcode WaitQueue.enter} does, with a
   * signal that nobody has checked.
   *
   * @throws {TypeError} If the signal is none; then nobody has joined.
   */
  wait(options?: Cancellable): Future<T> {
    const signal = options?.signal;
    checkSignal(signal, "wait");
    return this.enter(signal);
  }

  /**
   * Joins the end of the queue.
   *
   * @throws {RuntimeError} If the code belongs to another loop than the primitive.
   */
  enter(signal?: AbortSignal): Future<T> {
    const loop = this.#home.enter(this);
    const future: Future<T> = futures.make(loop, this);
    if (signal !== undefined) futures.link(future, signal);
    this.#join(future);
    return future;
  }

  /** Takes out those whose loop was closed: nobody will resume them. */
  prune(): void {
    if (!this.#home.leaveClosed()) return;
    const gone = [...this.#waiters].filter((it) =>
      futures.pending(it) && it.getLoop().isClosed()
    );
    if (gone.length === 0) return;
    this.#waiters.filter((it) => !gone.includes(it));
    this.#live -= gone.length;
    for (const future of gone) this.#turn.drop?.(future);
  }

  /** Wakes the first waiter. Returns `false` if there is none. */
  wakeNext(): boolean {
    while (this.#live > 0) {
      const future = this.#waiters.shift() as Future<T>;
      if (!futures.pending(future)) continue;
      this.#leave();
      if (futures.wake(future, this.#home.loopOf(future))) {
        this.#woken++;
        return true;
      }
      this.#turn.drop?.(future); // its loop is closed, nobody will resume
    }
    return false;
  }

  /** Wakes everyone who waits now. */
  wakeAll(): void {
    while (this.wakeNext());
  }

  take(future: AnyFuture, by: Frame | null): T | typeof AGAIN {
    this.#woken--;
    try {
      const value = this.#turn.take(future, by);
      if (value === AGAIN) this.#join(future);
      return value;
    } catch (error) {
      this.#turn.pass(future);
      throw error;
    }
  }

  pass(future: AnyFuture): void {
    this.#woken--;
    this.#turn.pass(future);
  }

  drop(future: AnyFuture): void {
    this.#leave();
    if (this.#live * 2 + SWEEP_ABOVE < this.#waiters.length) {
      this.#waiters.filter((it) => futures.pending(it));
    }
    this.#turn.drop?.(future);
  }

  describe(): string {
    return this.#turn.describe();
  }

  get awaits(): readonly AnyFuture[] | undefined {
    return this.#turn.awaits?.();
  }

  get kind(): string | undefined {
    return this.#turn.kind;
  }

  notes(): string[] {
    return this.#turn.notes?.() ?? [];
  }

  holders(): Iterable<Frame> {
    return this.#turn.holders?.() ?? [];
  }

  get holder(): Frame | null {
    return this.#turn.holder?.() ?? null;
  }

  #join(future: Future<T>): void {
    this.#waiters.push(future);
    this.#live++;
  }

  #leave(): void {
    this.#live--;
    if (this.#live === 0) this.#waiters.clear();
  }
}

/**
 * The loop that a primitive belongs to, from the first time that a task or
 * callback of a loop waits on it.
 *
 * Request handlers and top-level code, which run on the implicit loop or in
 * none, may wait on any primitive and bind it to nothing.
 */
export class Home {
  #loop: EventLoop | null = null;

  /**
   * The loop that a new waiter belongs to.
   *
   * @throws {RuntimeError} If the primitive belongs to another one.
   */
  enter(waitable: Waitable): EventLoop {
    const asking = getEventLoop();
    if (isImplicit(asking)) return asking;
    if (this.#loop === null || this.#loop.isClosed()) this.#loop = asking;
    if (this.#loop === asking) return asking;
    throw new RuntimeError(
      `Cannot wait for ${
        waitable.describe!()
      }: it is in use by another event loop`,
    );
  }

  /** Forgets a loop that was closed. Returns whether it was. */
  leaveClosed(): boolean {
    if (this.#loop === null || !this.#loop.isClosed()) return false;
    this.#loop = null;
    return true;
  }

  /** The loop that a waiter resumes on, so that all do in the order in which they were woken. */
  loopOf(waiter: AnyFuture): EventLoop {
    const own = waiter.getLoop();
    const home = this.#loop;
    return home === null || home.isClosed() || own.isClosed() ? own : home;
  }
}
