/**
 * The meeting point of `sync.ts`.
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
 * A meeting point: nobody goes on before a fixed number of tasks wait there.
 *
 * It can be used again and again. A party that is cancelled leaves without
 * breaking it. Newcomers wait until the last round has left.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Barrier}.
 *
 * @example
 * ```ts
 * import { Barrier, gather } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const barrier = new Barrier(3);
 * const places = await gather([1, 2, 3].map(() => () => barrier.wait()));
 * assert(places.toSorted().join() === "0,1,2");
 * ```
 */
export class Barrier {
  readonly #parties: number;
  #state: "filling" | "draining" | "resetting" | "broken" = "filling";
  readonly #label: string;
  /** Parties of the present round that are inside `wait`. */
  #count = 0;
  readonly #home = new LoopBinding();
  /** The parties of the present round. */
  readonly #round: WaitQueue<void> = new WaitQueue<void>({
    complete: () => {},
    handOff: (turn) => this.#clear(turn),
    remove: (turn) => this.#clear(turn),
    kind: "barrier",
    describe: () => this.#describe(),
  }, this.#home);
  /** Newcomers, who wait while a round leaves. */
  readonly #newcomers: WaitQueue<void> = new WaitQueue<void>({
    complete: () => {},
    handOff: () => {},
    kind: "barrier",
    describe: () => this.#describe(),
  }, this.#home);

  /**
   * Makes a barrier.
   *
   * @param parties How many tasks meet.
   * @param options A name, shown in reports.
   * @throws {RangeError} If it is less than one or no whole number.
   * @throws {TypeError} If it is not a number, or an option is unknown.
   */
  constructor(parties: number, options?: Named) {
    checkCount(parties, 1, "create a barrier", "parties");
    this.#label = labelOf(options, "create a barrier");
    this.#parties = parties;
  }

  /** How many tasks meet. */
  get parties(): number {
    return this.#parties;
  }

  /** How many wait now for the others. */
  get nWaiting(): number {
    return this.#state === "filling" ? this.#count : 0;
  }

  /** Whether it was aborted. */
  get broken(): boolean {
    return this.#state === "broken";
  }

  /**
   * Waits for the others.
   *
   * Cancelled while it waits, the caller leaves and the others go on waiting.
   *
   * @param options A signal that ends the wait.
   * @returns How many of this round were there before, from 0 to `parties - 1`; each once, unless a party left.
   * @throws {BrokenBarrierError} If the barrier is broken, or reset meanwhile.
   * @throws {CancelledError} If the task is cancelled.
   * @throws {RuntimeError} If it is in use by another event loop.
   * @throws {TypeError} If an option is unknown or of another kind.
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
        position ??= this.#join();
        if (position !== null && this.#state !== "filling") break;
        signal?.throwIfAborted();
        const queue = position === null ? this.#newcomers : this.#round;
        try {
          await queue.enter(signal);
        } catch (error) {
          // As in CPython, where the next in line then looks again and lines up anew.
          queue.notifyNext();
          throw error;
        }
      }
      if (this.#state === "draining") return position;
      throw new BrokenBarrierError("The barrier was aborted or reset");
    } finally {
      if (position !== null) this.#leave();
    }
  }

  /**
   * Returns the barrier to its initial state, even after {@linkcode
   * Barrier.abort}: every waiter gets a `BrokenBarrierError`. It never waits.
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
    this.#enter(this.#count > 0 ? "resetting" : "filling");
    return Promise.resolve();
  }

  /**
   * Breaks the barrier: whoever waits now or later gets a `BrokenBarrierError`,
   * until it is reset. It never waits.
   */
  abort(): Promise<void> {
    this.#enter("broken");
    return Promise.resolve();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#describe();
  }

  #enter(state: "filling" | "draining" | "resetting" | "broken"): void {
    this.#state = state;
    this.#round.notifyAll();
    this.#newcomers.notifyAll();
  }

  /** Makes the caller a party of the round, the last one opens the barrier. `null` while the round before leaves. */
  #join(): number | null {
    if (this.#state === "draining" || this.#state === "resetting") return null;
    if (this.broken) throw new BrokenBarrierError("The barrier was aborted");
    const position = this.#count++;
    if (this.#count === this.#parties) this.#enter("draining");
    return position;
  }

  /** A wait has ended without its turn; if its loop is closed, the party does not leave by itself. */
  #clear(turn: AnyFuture): void {
    if (turn.getLoop().isClosed()) this.#leave();
  }

  /** The last one of a round opens the barrier for the next. */
  #leave(): void {
    this.#count--;
    if (this.#count > 0) return;
    if (this.#state === "draining" || this.#state === "resetting") {
      this.#enter("filling");
    }
  }

  #describe(): string {
    if (this.broken) return `<Barrier${this.#label} broken>`;
    return `<Barrier${this.#label} ${this.#state}, ${this.nWaiting} of ${this.#parties} waiting>`;
  }
}
