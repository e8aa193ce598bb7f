/**
 * Values of which each event loop has its own, such as its thread pool.
 *
 * @module
 */

import type { BaseEventLoop } from "./_scheduler.ts";

/** One value per loop, created on first use and collected with the loop. */
export class LoopLocal<T, L extends BaseEventLoop = BaseEventLoop> {
  readonly #values = new WeakMap<L, T>();
  readonly #create: (loop: L) => T;

  constructor(create: (loop: L) => T) {
    this.#create = create;
  }

  /** The value of a loop. */
  get(loop: L): T {
    let value = this.#values.get(loop);
    if (value === undefined) {
      value = this.#create(loop);
      this.#values.set(loop, value);
    }
    return value;
  }

  /** The value of a loop, `undefined` if it has not been needed yet. */
  peek(loop: L): T | undefined {
    return this.#values.get(loop);
  }
}
