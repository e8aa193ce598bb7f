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
  type Cancellable,
  type EventLoop,
  type Future,
  futures,
  getEventLoop,
  type Waitable,
} from "./_future.ts";
import { currentFrame } from "./_loop.ts";
import { RuntimeError } from "./exceptions.ts";

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

  /** Joins the end of the queue. */
  wait(options?: Cancellable): Future<T> {
    const future: Future<T> = futures.make(this.#home.loop(), this);
    this.#waiters.push(future);
    this.#live++;
    if (options?.signal) futures.link(future, options.signal);
    return future;
  }

  /** Wakes the first waiter. Returns `false` if there is none. */
  wakeNext(): boolean {
    while (this.#live > 0) {
      const future = this.#waiters.shift() as AnyFuture;
      if (!futures.wake(future)) continue;
      this.#live--;
      this.#woken++;
      return true;
    }
    this.#waiters.clear();
    return false;
  }

  /** Wakes everyone who waits now. */
  wakeAll(): void {
    while (this.wakeNext());
  }

  take(future: AnyFuture): T | typeof AGAIN {
    this.#woken--;
    const value = this.#turn.take(future);
    if (value === AGAIN) {
      this.#waiters.push(future);
      this.#live++;
    }
    return value;
  }

  pass(future: AnyFuture): void {
    this.#woken--;
    this.#turn.pass(future);
  }

  drop(future: AnyFuture): void {
    this.#live--;
    if (this.#live === 0) this.#waiters.clear();
    else if (this.#live * 2 + SWEEP_ABOVE < this.#waiters.length) {
      this.#waiters.filter((it) => futures.pending(it));
    }
    this.#turn.drop?.(future);
  }

  describe(): string {
    return this.#turn.describe();
  }
}

/** What a primitive does when a turn of its queue comes to its end. */
export interface Turn<T> {
  /** Gives the waiter what it waited for, or sends it to the end of the queue. */
  take(future: AnyFuture): T | typeof AGAIN;
  /** The waiter is gone though it was woken: gives the turn to the next. */
  pass(future: AnyFuture): void;
  /** The waiter left before its turn. */
  drop?(future: AnyFuture): void;
  describe(): string;
}

/** The loop that a primitive belongs to, from the first time that somebody waits on it. */
export class Home {
  #loop: EventLoop | null = null;
  readonly #what: string;

  constructor(what: string) {
    this.#what = what;
  }

  /**
   * The loop to wait on. Code that runs in no loop, as a request handler
   * does, waits on the one that the primitive belongs to already.
   *
   * @throws {RuntimeError} If the code belongs to another loop.
   */
  loop(): EventLoop {
    const own = this.#loop;
    const asking = currentFrame()?.loop as EventLoop | undefined;
    if (own !== null && !own.isClosed()) {
      if (asking === undefined || asking === own) return own;
      throw new RuntimeError(
        `This ${this.#what} is in use by another event loop`,
      );
    }
    return this.#loop = asking ?? getEventLoop();
  }
}

/** Entries that may be dead beside as many live ones before a sweep. */
const SWEEP_ABOVE = 32;
