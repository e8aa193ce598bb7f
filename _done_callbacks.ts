/**
 * Calls of this module's own once a future is done or a time has come.
 *
 * @module
 */

import type { EventLoop } from "./_event_loop.ts";
import { type AnyFuture, futures, type WaitSource } from "./_future.ts";
import { internals as loops, type Job, type TimerEntry } from "./_scheduler.ts";

/** Futures that another one stands for. */
export class Several implements WaitSource {
  readonly kind: string;
  readonly #all: Iterable<AnyFuture>;

  constructor(all: Iterable<AnyFuture>, kind: string) {
    this.#all = all;
    this.kind = kind;
  }

  get awaits(): readonly AnyFuture[] {
    return [...this.#all];
  }

  complete(): void {}
  handOff(): void {}
  remove(): void {}
}

/** Calls back from the loop, in order with all other callbacks of the future. */
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

/** How a finished future failed or was cancelled, `null` if it did neither. */
export function errorOf(future: AnyFuture): { thrown: unknown } | null {
  try {
    future.result();
    return null;
  } catch (thrown) {
    return { thrown };
  }
}

/** A call back to this module at a time, or at once if that has come. */
export class Deadline implements TimerEntry {
  isCancelled = false;
  readonly #loop: EventLoop;
  #onExpire: (() => void) | null;

  constructor(loop: EventLoop, due: number, strike: () => void) {
    this.#loop = loop;
    this.#onExpire = strike;
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
    const strike = this.#onExpire;
    this.#onExpire = null;
    strike?.();
    return false;
  }
}
