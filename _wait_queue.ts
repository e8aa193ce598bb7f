/**
 * The FIFO queue of waiters that every primitive is built on.
 *
 * Notifying a waiter transfers nothing yet. The waiter gets its lock, item or
 * permit when it resumes ({@linkcode WaitPolicy.complete}); if it is cancelled
 * in between, the notification goes to the next waiter
 * ({@linkcode WaitPolicy.handOff}). CPython repeats this logic in every
 * primitive.
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

/** What a primitive does when a waiter resumes or leaves the queue. */
export interface WaitPolicy<T> {
  /** Returns what the resuming waiter gets; `AGAIN` puts it at the end of the queue. */
  complete(future: AnyFuture, by: ExecutionContext | null): T | typeof AGAIN;
  /** The waiter was cancelled after it was notified: notifies the next one. */
  handOff(future: AnyFuture): void;
  /** The waiter was cancelled before it was notified. */
  remove?(future: AnyFuture): void;
  /** What the waiter waits for, in a few words. */
  describe(): string;
  /** The futures it waits for. */
  awaits?(): readonly AnyFuture[];
  /** The code that holds what it waits for. */
  holder?(): ExecutionContext | null;
  /** The kind of wait, such as `"lock"` or `"queue.get"`. */
  readonly kind?: string | undefined;
  /** Further lines that help to explain the wait. */
  notes?(): string[];
  /** All code that holds a share of what it waits for. */
  holders?(): Iterable<ExecutionContext>;
}

/** Dead entries allowed beyond the number of live ones before a sweep. */
const SWEEP_ABOVE = 32;

/**
 * A FIFO queue of waiters, each represented by its future.
 *
 * A cancelled waiter stays in the queue as a dead entry, so a cancellation
 * costs O(1). Dead entries are skipped, and swept once they are the majority.
 */
export class WaitQueue<T> implements WaitSource {
  readonly #waiters = new Deque<Future<T>>();
  /** The number of pending futures in `#waiters`; the other entries are dead. */
  #pending = 0;
  /** The number of waiters that were notified and have not resumed or handed off. */
  #notified = 0;
  readonly #policy: WaitPolicy<T>;
  readonly #binding: LoopBinding;

  constructor(policy: WaitPolicy<T>, binding: LoopBinding) {
    this.#policy = policy;
    this.#binding = binding;
  }

  /** The number of waiters that have not been notified. */
  get waiting(): number {
    return this.#pending;
  }

  /** The number of waiters that were notified and have not resumed. */
  get notified(): number {
    return this.#notified;
  }

  /** Whether there are waiters, notified or not. */
  get hasWaiters(): boolean {
    return this.#pending + this.#notified > 0;
  }

  /**
   * Appends a waiter, as {@linkcode WaitQueue.enqueue} does, and checks the
   * signal.
   *
   * @throws {TypeError} If `signal` is not an `AbortSignal`; the queue is then unchanged.
   */
  wait(options?: Cancellable): Future<T> {
    const signal = options?.signal;
    checkSignal(signal, "wait");
    return this.enqueue(signal);
  }

  /**
   * Appends a waiter.
   *
   * @throws {RuntimeError} If the primitive is bound to another loop.
   */
  enqueue(signal?: AbortSignal): Future<T> {
    const loop = this.#binding.bind(this);
    const future: Future<T> = futures.make(loop, this);
    if (signal !== undefined) futures.subscribeSignal(future, signal);
    if (isImplicit(loop)) {
      watchTopLevel(loop, future, Boolean(currentExecution()?.task));
    }
    this.#append(future);
    return future;
  }

  /** Removes waiters whose loop was closed; they will never resume. */
  prune(): void {
    if (!this.#binding.unbindIfClosed()) return;
    const orphaned = [...this.#waiters].filter((it) =>
      futures.pending(it) && it.getLoop().isClosed()
    );
    if (orphaned.length === 0) return;
    this.#waiters.filter((it) => !orphaned.includes(it));
    this.#pending -= orphaned.length;
    for (const future of orphaned) this.#policy.remove?.(future);
  }

  /** Notifies the first waiter. Returns `false` if there is none. */
  notifyNext(): boolean {
    while (this.#pending > 0) {
      const future = this.#waiters.shift() as Future<T>;
      if (!futures.pending(future)) continue;
      this.#removeOne();
      if (futures.notify(future, this.#binding.resumeLoop(future))) {
        this.#notified++;
        return true;
      }
      this.#policy.remove?.(future); // its loop is closed, so it will never resume
    }
    return false;
  }

  /** Notifies all current waiters. */
  notifyAll(): void {
    while (this.notifyNext());
  }

  complete(future: AnyFuture, by: ExecutionContext | null): T | typeof AGAIN {
    this.#notified--;
    try {
      const value = this.#policy.complete(future, by);
      if (value === AGAIN) this.#append(future);
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
    this.#removeOne();
    if (this.#pending * 2 + SWEEP_ABOVE < this.#waiters.length) {
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

  #append(future: Future<T>): void {
    this.#waiters.push(future);
    this.#pending++;
  }

  #removeOne(): void {
    this.#pending--;
    if (this.#pending === 0) this.#waiters.clear();
  }
}

/**
 * The loop that a primitive is bound to: the first one whose code waits on it.
 *
 * The implicit loop, which serves request handlers and top-level code, may wait
 * on any primitive and binds none.
 */
export class LoopBinding {
  #loop: EventLoop | null = null;

  /**
   * Returns the loop of a new waiter, and binds the primitive to it.
   *
   * @throws {RuntimeError} If the primitive is bound to another loop.
   */
  bind(source: WaitSource): EventLoop {
    const current = callersLoop();
    if (isImplicit(current)) return current;
    if (this.#loop === null || this.#loop.isClosed()) this.#loop = current;
    if (this.#loop === current) return current;
    throw new RuntimeError(
      `Cannot wait for ${
        source.describe!()
      }: it is in use by another event loop`,
    );
  }

  /** Unbinds the primitive if its loop was closed. Returns whether it did. */
  unbindIfClosed(): boolean {
    if (this.#loop === null || !this.#loop.isClosed()) return false;
    this.#loop = null;
    return true;
  }

  /** The loop that resumes a waiter; one for all, so that they resume in the order they were notified. */
  resumeLoop(waiter: AnyFuture): EventLoop {
    const own = waiter.getLoop();
    const bound = this.#loop;
    return bound === null || bound.isClosed() || own.isClosed() ? own : bound;
  }
}
