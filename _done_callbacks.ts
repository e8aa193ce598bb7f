/**
 * Internal callbacks: when a future is done, and at a time.
 *
 * @module
 */

import type { EventLoop } from "./_event_loop.ts";
import { type AnyFuture, futures, type WaitSource } from "./_future.ts";
import type { Failure } from "./_waiting_call.ts";
import { internals as loops, type Job, type TimerEntry } from "./_scheduler.ts";

/** The wait source of a future that waits for other futures. */
export class FuturesSource implements WaitSource {
  readonly kind: string;
  readonly #futures: Iterable<AnyFuture>;

  constructor(all: Iterable<AnyFuture>, kind: string) {
    this.#futures = all;
    this.kind = kind;
  }

  get awaits(): readonly AnyFuture[] {
    return [...this.#futures];
  }

  complete(): void {}
  handOff(): void {}
  remove(): void {}
}

/** Adds an internal done callback. It runs on the loop, in order with the future's other callbacks. */
export function onceDone<F extends AnyFuture>(
  future: F,
  call: (future: F) => void,
): Job {
  const job = new OnceDone(future, call as (future: AnyFuture) => void);
  futures.subscribe(future, job);
  return job;
}

class OnceDone implements Job {
  readonly #future: AnyFuture;
  readonly #call: (future: AnyFuture) => void;

  constructor(future: AnyFuture, call: (future: AnyFuture) => void) {
    this.#future = future;
    this.#call = call;
  }

  run(): boolean {
    if (futures.claim(this.#future, this)) this.#call(this.#future);
    return false;
  }
}

/** The error of a finished future that failed or was cancelled, `null` otherwise. */
export function errorOf(future: AnyFuture): Failure | null {
  try {
    future.result();
    return null;
  } catch (error) {
    return { error };
  }
}

/** An internal timer; it fires on the next turn if the time has passed. */
export class Deadline implements TimerEntry {
  isCancelled = false;
  readonly #loop: EventLoop;
  #onExpire: (() => void) | null;

  constructor(loop: EventLoop, due: number, onExpire: () => void) {
    this.#loop = loop;
    this.#onExpire = onExpire;
    if (due <= loop.time()) {
      this.isCancelled = true;
      loops.push(loop, this);
    } else loops.addTimer(loop, due, this);
  }

  cancel(): void {
    if (this.#onExpire === null) return;
    this.#onExpire = null;
    loops.removeTimer(this.#loop, this);
  }

  run(): boolean {
    const onExpire = this.#onExpire;
    this.#onExpire = null;
    onExpire?.();
    return false;
  }
}
