/**
 * Values of which each event loop has its own, such as its thread pool.
 *
 * @module
 */

import type { EventLoop } from "./_scheduler.ts";

/** One value per loop, created on first use and collected with the loop. */
export class LoopLocal<T> {
  readonly #values = new WeakMap<EventLoop, T>();
  readonly #create: (loop: EventLoop) => T;

  constructor(create: (loop: EventLoop) => T) {
    this.#create = create;
  }

  /** The value of a loop. */
  get(loop: EventLoop): T {
    let value = this.#values.get(loop);
    if (value === undefined) {
      value = this.#create(loop);
      this.#values.set(loop, value);
    }
    return value;
  }

  /** The value of a loop, `undefined` if it has not been needed yet. */
  peek(loop: EventLoop): T | undefined {
    return this.#values.get(loop);
  }
}

/** What a runner calls and awaits before it closes the loop, once its tasks have ended. */
export const closers: LoopLocal<Set<() => unknown>> = new LoopLocal(() =>
  new Set()
);
