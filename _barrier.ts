/**
 * `Barrier`, for `sync.ts`.
 *
 * @module
 */

import type { AnyFuture } from "./_future.ts";
import type { Cancellable, Named } from "./_options.ts";
import { operation } from "./_waiting_call.ts";
import { checkCount, labelOf, signalOf } from "./_validate.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import { BrokenBarrierError } from "./exceptions.ts";

/**
 * A barrier: tasks wait at it until a fixed number of them have arrived.
 *
 * It can be reused. A party that is cancelled leaves without breaking it. Tasks
 * that arrive while a round is leaving wait for the next one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Barrier}.
 *
 * @example
 * ```ts
 * import { Barrier, gather } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const barrier = new Barrier(3);
 * const positions = await gather([1, 2, 3].map(() => () => barrier.wait()));
 * assert(positions.toSorted().join() === "0,1,2");
 * ```
 */
export class Barrier {
  readonly #parties: number;
  #state: "filling" | "draining" | "resetting" | "broken" = "filling";
  readonly #label: string;
  /** The parties of the current round that are inside `wait`. */
  #count = 0;
  readonly #binding = new LoopBinding();
  /** The waiters of the current round. */
  readonly #round: WaitQueue<void> = new WaitQueue<void>({
    complete: () => {},
    handOff: (turn) => this.#onRemoved(turn),
    remove: (turn) => this.#onRemoved(turn),
    describe: () => this.#describe(),
  }, this.#binding);
  /** Tasks that arrived while a round is leaving. */
  readonly #nextRound: WaitQueue<void> = new WaitQueue<void>({
    complete: () => {},
    handOff: () => {},
    describe: () => this.#describe(),
  }, this.#binding);

  /**
   * Creates a barrier.
   *
   * @param parties The number of tasks that wait for each other.
   * @param options The name shown in consoles and reports.
   * @throws {RangeError} If `parties` is not a whole number of at least 1.
   * @throws {TypeError} If `parties` is not a number, or an option is unknown.
   */
  constructor(parties: number, options?: Named) {
    checkCount(parties, 1, "create a barrier", "parties");
    this.#label = labelOf(options, "create a barrier");
    this.#parties = parties;
  }

  /** The number of tasks that wait for each other. */
  get parties(): number {
    return this.#parties;
  }

  /** The number of tasks currently waiting. */
  get nWaiting(): number {
    return this.#state === "filling" ? this.#count : 0;
  }

  /** Whether the barrier was aborted. */
  get broken(): boolean {
    return this.#state === "broken";
  }

  /**
   * Waits until all parties have arrived.
   *
   * If cancelled, the caller leaves the barrier and the other parties keep
   * waiting.
   *
   * @param options A signal that aborts the wait.
   * @returns The number of parties that arrived before, from 0 to `parties - 1`; unique in each round unless a party left.
   * @throws {BrokenBarrierError} If the barrier is broken, or is aborted or reset during the wait.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {RuntimeError} If another event loop is using the barrier.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   *
   * @example
   * ```ts
   * import { Barrier, createTask } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const start = new Barrier(2, { name: "start" });
   * const other = createTask(() => start.wait());
   * const own = await start.wait();
   * assertEquals([own, await other], [0, 1]);
   * ```
   */
  wait(options?: Cancellable): Promise<number> {
    return operation(() => this.#wait(options));
  }

  async #wait(options: Cancellable | undefined): Promise<number> {
    const signal = signalOf(options, "wait at a barrier");
    signal?.throwIfAborted();
    this.#round.prune();
    let position: number | null = null;
    try {
      for (;;) {
        position ??= this.#arrive();
        if (position !== null && this.#state !== "filling") break;
        signal?.throwIfAborted();
        const queue = position === null ? this.#nextRound : this.#round;
        try {
          await queue.enqueue(signal);
        } catch (error) {
          // As in CPython, the next waiter wakes, rechecks the state and queues
          // again.
          queue.notifyNext();
          throw error;
        }
      }
      if (this.#state === "draining") return position;
      throw new BrokenBarrierError("The barrier was aborted or reset");
    } finally {
      if (position !== null) this.#depart();
    }
  }

  /**
   * Rejects all waiters with a `BrokenBarrierError` and makes the barrier
   * usable again, also after {@linkcode Barrier.abort}. Never waits.
   *
   * @example
   * ```ts
   * import { Barrier } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const barrier = new Barrier(2);
   * await barrier.abort();
   * assert(barrier.broken);
   * await barrier.reset();
   * assert(!barrier.broken);
   * ```
   */
  reset(): Promise<void> {
    this.#setState(this.#count > 0 ? "resetting" : "filling");
    return Promise.resolve();
  }

  /** Breaks the barrier: current and later calls of `wait` reject with a `BrokenBarrierError` until it is reset. */
  abort(): Promise<void> {
    this.#setState("broken");
    return Promise.resolve();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  #setState(state: "filling" | "draining" | "resetting" | "broken"): void {
    this.#state = state;
    this.#round.notifyAll();
    this.#nextRound.notifyAll();
  }

  /** Adds the caller to the round; the last party opens the barrier. Returns `null` while the previous round is leaving. */
  #arrive(): number | null {
    if (this.#state === "draining" || this.#state === "resetting") return null;
    if (this.broken) throw new BrokenBarrierError("The barrier was aborted");
    const position = this.#count++;
    if (this.#count === this.#parties) this.#setState("draining");
    return position;
  }

  /** A waiter was removed. If its loop is closed, it never runs the code that departs. */
  #onRemoved(turn: AnyFuture): void {
    if (turn.getLoop().isClosed()) this.#depart();
  }

  /** Removes the caller; the last one to leave starts the next round. */
  #depart(): void {
    this.#count--;
    if (this.#count > 0) return;
    if (this.#state === "draining" || this.#state === "resetting") {
      this.#setState("filling");
    }
  }

  #describe(): string {
    if (this.broken) return `<Barrier${this.#label} broken>`;
    return `<Barrier${this.#label} ${this.#state}, ${this.nWaiting} of ${this.#parties} waiting>`;
  }
}
