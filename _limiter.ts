/**
 * Bounds how many coroutine functions run at once: the `limit` of `gather`,
 * `asCompleted` and `TaskGroup.run`.
 *
 * @module
 */

import type { AnyFuture } from "./_future.ts";
import { original } from "./_task_state.ts";
import type { Coroutine } from "./_options.ts";
import { LoopBinding, type WaitPolicy, WaitQueue } from "./_wait_queue.ts";

/** A number of places, taken in the order of asking. */
export class Limiter implements WaitPolicy<void> {
  #free: number;
  readonly #queue: WaitQueue<void> = new WaitQueue(this, new LoopBinding());

  constructor(limit: number) {
    this.#free = limit;
  }

  /** The coroutine function that waits for a place first. Cancelled before it has one, the given one is never called. */
  wrap<T>(coro: Coroutine<T>): Coroutine<T> {
    const limited: Coroutine<T> = (signal) => {
      if (this.#free > this.#queue.notified && this.#queue.waiting === 0) {
        this.#free--;
        return this.#run(coro, signal);
      }
      return this.#runLater(coro, signal);
    };
    original.set(limited as Coroutine<unknown>, coro as Coroutine<unknown>);
    return limited;
  }

  complete(_future: AnyFuture): void {
    this.#free--;
  }

  handOff(): void {
    this.#wakeNext();
  }

  describe(): string {
    return "a place among those that may run at once";
  }

  async #runLater<T>(coro: Coroutine<T>, signal: AbortSignal): Promise<T> {
    await this.#queue.wait();
    return await this.#run(coro, signal);
  }

  async #run<T>(coro: Coroutine<T>, signal: AbortSignal): Promise<T> {
    try {
      return await coro(signal);
    } finally {
      this.#free++;
      this.#wakeNext();
    }
  }

  #wakeNext(): void {
    if (this.#free > this.#queue.notified) this.#queue.notifyNext();
  }
}
