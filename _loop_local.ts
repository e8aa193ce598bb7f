/**
 * Values of which each event loop has its own, such as its thread pool.
 *
 * @module
 */

import { type BaseEventLoop, internals as loops } from "./_scheduler.ts";

/** One value per loop, created on first use and freed with the loop. */
export class LoopLocal<T, L extends BaseEventLoop = BaseEventLoop> {
  readonly #create: (loop: L) => T;

  constructor(create: (loop: L) => T) {
    this.#create = create;
  }

  /** The value of a loop. */
  get(loop: L): T {
    let value = this.peek(loop);
    if (value === undefined) {
      value = this.#create(loop);
      loops.storage(loop).set(this, value);
    }
    return value;
  }

  /** The value of a loop, `undefined` if it has not been needed yet. */
  peek(loop: L): T | undefined {
    return loops.storage(loop).get(this) as T | undefined;
  }
}

/** What a runner calls and awaits before it closes the loop, once its tasks have ended. */
export const closers: LoopLocal<Set<() => unknown>> = new LoopLocal(() =>
  new Set()
);
