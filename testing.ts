/**
 * A clock for tests: `VirtualTimeLoop`.
 *
 * ```ts
 * import { getRunningLoop, run, sleep } from "@asyncio/asyncio";
 * import { VirtualTimeLoop } from "@asyncio/asyncio/testing";
 * import { assert } from "@std/assert";
 *
 * await run(async () => {
 *   await sleep({ hours: 1 });
 *   assert(getRunningLoop().time() === 3600);
 * }, { loopFactory: () => new VirtualTimeLoop() });
 * ```
 *
 * @module
 */

import { type Duration, toSeconds, toTime } from "./_duration.ts";
import { EventLoop } from "./_future.ts";
import { hostTurn } from "./_host.ts";
import type { LoopHost } from "./_loop.ts";
import { checkOptions } from "./_validate.ts";
import "./_threads.ts";

export type { Duration, DurationLike } from "./_duration.ts";
export { EventLoop } from "./_future.ts";

/** Options of a {@linkcode VirtualTimeLoop}. */
export interface VirtualTimeOptions {
  /**
   * How long, in real time, sockets, files, threads and promises from outside
   * may still wake a task before the clock jumps; `Infinity` for as long as
   * it takes.
   *
   * @default 0
   */
  patience?: Duration;
  /**
   * The time at which the clock starts, in seconds.
   *
   * @default 0
   */
  start?: number;
}

/**
 * An event loop whose clock stands still while there is something to do, and
 * jumps to the next timer when there is nothing. An hour of sleeping takes no
 * time, and happens in the same order every time.
 *
 * @example
 * ```ts
 * import { gather, run, sleep } from "@asyncio/asyncio";
 * import { VirtualTimeLoop } from "@asyncio/asyncio/testing";
 * import { assert } from "@std/assert";
 *
 * const log: string[] = [];
 * const say = (text: string, delay: number) => async () => {
 *   await sleep(delay);
 *   log.push(text);
 * };
 * await run(() => gather([say("second", 3600), say("first", 60)]), {
 *   loopFactory: () => new VirtualTimeLoop(),
 * });
 * assert(log.join() === "first,second");
 * ```
 */
export class VirtualTimeLoop extends EventLoop {
  /**
   * Makes a loop.
   *
   * @param options Where the clock starts, and how patient it is.
   * @throws {RangeError} If the start is infinite, or one of both is `NaN`.
   * @throws {TypeError} If an option is unknown, the start is no number, or the patience no duration.
   */
  constructor(options: VirtualTimeOptions = {}) {
    checkOptions(options, ["patience", "start"], "create a VirtualTimeLoop");
    const { patience = 0, start = 0 } = options;
    toTime(start, "start");
    if (!Number.isFinite(start)) {
      throw new RangeError(
        `Invalid start: expected a finite number, got ${start}`,
      );
    }
    super(new VirtualHost(start, toSeconds(patience, "patience")));
  }
}

class VirtualHost implements LoopHost {
  #now: number;
  readonly #patience: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Raised to make a jump that is on its way miss. */
  #asked = 0;

  constructor(start: number, patience: number) {
    this.#now = start;
    this.#patience = patience;
  }

  now(): number {
    return this.#now;
  }

  soon(turn: () => void): void {
    hostTurn(turn);
  }

  wakeAt(when: number, turn: () => void): void {
    this.forget();
    if (when === Infinity || this.#patience === Infinity) return;
    const asked = this.#asked;
    const jump = () => {
      if (asked !== this.#asked) return;
      this.#now = Math.max(this.#now, when);
      turn();
    };
    if (this.#patience <= 0) hostTurn(jump);
    else this.#timer = setTimeout(jump, this.#patience * 1000);
  }

  forget(): void {
    this.#asked++;
    clearTimeout(this.#timer);
  }
}
