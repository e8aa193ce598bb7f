/**
 * The one queue of waiters under every primitive.
 *
 * Waking a waiter hands over nothing yet: the code that waits takes its lock,
 * item or slot when it really resumes ({@linkcode WaitPolicy.complete}). If it was
 * cancelled between the two, its turn goes to the next in line
 * ({@linkcode WaitPolicy.handOff}). This pair is the whole repair logic of the module;
 * CPython writes it out again in every primitive.
 *
 * @module
 */

import { Deque } from "./_collections.ts";
import {
  AGAIN,
  type AnyFuture,
  callersLoop,
  type Future,
  futures,
  isImplicit,
  type WaitSource,
} from "./_future.ts";
import type { EventLoop } from "./_event_loop.ts";
import type { Cancellable } from "./_options.ts";
import { currentExecution, type ExecutionContext } from "./_scheduler.ts";
import { watchTopLevel } from "./_top_level.ts";
import { checkSignal } from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

/** What a primitive does when a turn of its queue comes to its end. */
export interface WaitPolicy<T> {
  /** Gives the waiter, code of that frame, what it waited for, or sends it to the end of the queue. */
  complete(future: AnyFuture, by: ExecutionContext | null): T | typeof AGAIN;
  /** The waiter was woken and will not take its turn: gives it to the next. */
  handOff(future: AnyFuture): void;
  /** The waiter left before its turn. */
  remove?(future: AnyFuture): void;
  /** What is waited for, in a few words. */
  describe(): string;
  /** The futures that are waited for. */
  awaits?(): readonly AnyFuture[];
  /** The code that has what is waited for. */
  holder?(): ExecutionContext | null;
  /** What kind of wait it is: "lock", "queue.get". */
  readonly kind?: string | undefined;
  /** More that may explain the wait. */
  notes?(): string[];
  /** All code that has a part of what is waited for. */
  holders?(): Iterable<ExecutionContext>;
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
export class WaitQueue<T> implements WaitSource {
  readonly #waiters = new Deque<Future<T>>();
  /** Pending futures in `#waiters`; the other entries are dead. */
  #live = 0;
  /** Futures that were woken and have neither taken nor passed on their turn. */
  #notified = 0;
  readonly #policy: WaitPolicy<T>;
  readonly #binding: LoopBinding;

  constructor(turn: WaitPolicy<T>, home: LoopBinding) {
    this.#policy = turn;
    this.#binding = home;
  }

  /** How many wait and have not been woken. */
  get waiting(): number {
    return this.#live;
  }

  /** How many were woken and have not resumed. */
  get notified(): number {
    return this.#notified;
  }

  /** Whether anybody is in line, woken or not. */
  get busy(): boolean {
    return this.#live + this.#notified > 0;
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
    const loop = this.#binding.enter(this);
    const future: Future<T> = futures.make(loop, this);
    if (signal !== undefined) futures.subscribeSignal(future, signal);
    if (isImplicit(loop)) {
      watchTopLevel(loop, future, Boolean(currentExecution()?.task));
    }
    this.#join(future);
    return future;
  }

  /** Takes out those whose loop was closed: nobody will resume them. */
  prune(): void {
    if (!this.#binding.leaveClosed()) return;
    const gone = [...this.#waiters].filter((it) =>
      futures.pending(it) && it.getLoop().isClosed()
    );
    if (gone.length === 0) return;
    this.#waiters.filter((it) => !gone.includes(it));
    this.#live -= gone.length;
    for (const future of gone) this.#policy.remove?.(future);
  }

  /** Wakes the first waiter. Returns `false` if there is none. */
  notifyNext(): boolean {
    while (this.#live > 0) {
      const future = this.#waiters.shift() as Future<T>;
      if (!futures.pending(future)) continue;
      this.#leave();
      if (futures.notify(future, this.#binding.loopOf(future))) {
        this.#notified++;
        return true;
      }
      this.#policy.remove?.(future); // its loop is closed, nobody will resume
    }
    return false;
  }

  /** Wakes everyone who waits now. */
  notifyAll(): void {
    while (this.notifyNext());
  }

  complete(future: AnyFuture, by: ExecutionContext | null): T | typeof AGAIN {
    this.#notified--;
    try {
      const value = this.#policy.complete(future, by);
      if (value === AGAIN) this.#join(future);
      return value;
    } catch (error) {
      this.#policy.handOff(future);
      throw error;
    }
  }

  handOff(future: AnyFuture): void {
    this.#notified--;
    this.#policy.handOff(future);
  }

  remove(future: AnyFuture): void {
    this.#leave();
    if (this.#live * 2 + SWEEP_ABOVE < this.#waiters.length) {
      this.#waiters.filter((it) => futures.pending(it));
    }
    this.#policy.remove?.(future);
  }

  describe(): string {
    return this.#policy.describe();
  }

  get awaits(): readonly AnyFuture[] | undefined {
    return this.#policy.awaits?.();
  }

  get kind(): string | undefined {
    return this.#policy.kind;
  }

  notes(): string[] {
    return this.#policy.notes?.() ?? [];
  }

  holders(): Iterable<ExecutionContext> {
    return this.#policy.holders?.() ?? [];
  }

  get holder(): ExecutionContext | null {
    return this.#policy.holder?.() ?? null;
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
export class LoopBinding {
  #loop: EventLoop | null = null;

  /**
   * The loop that a new waiter belongs to.
   *
   * @throws {RuntimeError} If the primitive belongs to another one.
   */
  enter(waitable: WaitSource): EventLoop {
    const asking = callersLoop();
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
