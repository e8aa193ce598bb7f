/**
 * The `limit` of `gather`, `asCompleted` and `TaskGroup.run`: how many
 * coroutine functions run at once.
 *
 * @module
 */

import type { AnyFuture } from "./_future.ts";
import { original } from "./_task_state.ts";
import type { Coroutine } from "./_options.ts";
import { LoopBinding, type WaitPolicy, WaitQueue } from "./_wait_queue.ts";

/** Runs at most `limit` coroutine functions at once, FIFO. */
export class Limiter implements WaitPolicy<void> {
  #available: number;
  readonly #queue: WaitQueue<void> = new WaitQueue(this, new LoopBinding());

  constructor(limit: number) {
    this.#available = limit;
  }

  /** Wraps a coroutine function so that it waits for a slot first. If cancelled before, the function is never called. */
  wrap<T>(coro: Coroutine<T>): Coroutine<T> {
    const limited: Coroutine<T> = (signal) => {
      if (this.#available > this.#queue.notified && this.#queue.waiting === 0) {
        this.#available--;
        return this.#run(coro, signal);
      }
      return this.#runLater(coro, signal);
    };
    original.set(limited as Coroutine<unknown>, coro as Coroutine<unknown>);
    return limited;
  }

  complete(_future: AnyFuture): void {
    this.#available--;
  }

  handOff(): void {
    this.#notifyNext();
  }

  describe(): string {
    return "a slot under the limit of tasks that run at once";
  }

  async #runLater<T>(coro: Coroutine<T>, signal: AbortSignal): Promise<T> {
    await this.#queue.wait();
    return await this.#run(coro, signal);
  }

  async #run<T>(coro: Coroutine<T>, signal: AbortSignal): Promise<T> {
    try {
      return await coro(signal);
    } finally {
      this.#available++;
      this.#notifyNext();
    }
  }

  #notifyNext(): void {
    if (this.#available > this.#queue.notified) this.#queue.notifyNext();
  }
}
