/**
 * Values that belong to an event loop and live as long as it does.
 *
 * @module
 */

import type { EventLoop } from "./_event_loop.ts";
import { internals as loops } from "./_scheduler.ts";

/** One value per loop, created when it is first asked for. */
export class LoopLocal<T> {
  readonly #create: (loop: EventLoop) => T;

  constructor(create: (loop: EventLoop) => T) {
    this.#create = create;
  }

  get(loop: EventLoop): T {
    const storage = loops.storage(loop);
    if (!storage.has(this)) storage.set(this, this.#create(loop));
    return storage.get(this) as T;
  }
}
