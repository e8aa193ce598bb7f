/**
 * Tools for testing asynchronous code: `asyncTest` runs each test on its own
 * event loop, and `VirtualTimeLoop` is a loop whose clock does not wait.
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
import { EventLoop } from "./_event_loop.ts";
import { nextTurn } from "./_host.ts";
import type { ExceptionContext, LoopHost } from "./_scheduler.ts";
import { formatSnapshot } from "./_report.ts";
import { snapshotOf } from "./_snapshot.ts";
import { allTasks, currentTask } from "./_awaitable.ts";
import { checkCallback, checkFlag, checkOptions } from "./_validate.ts";
import "./_threads.ts";
import { ExceptionGroup, TimeoutError } from "./exceptions.ts";
import { Runner } from "./runner.ts";

export type { Duration, DurationLike } from "./_duration.ts";
export { EventLoop } from "./_event_loop.ts";

/** Options of a {@linkcode VirtualTimeLoop}. */
export interface VirtualTimeOptions {
  /**
   * How long, in real time, to wait for sockets, files, threads and other
   * promises before the clock jumps; `Infinity` to wait forever.
   *
   * @default 0
   */
  patience?: Duration;
  /**
   * The initial time of the clock, in seconds.
   *
   * @default 0
   */
  start?: number;
}

/**
 * An event loop with a virtual clock: it stands still while anything is ready,
 * and jumps to the next timer when nothing is. An hour of sleeping takes no
 * time, and runs in the same order every time.
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
   * Creates a loop.
   *
   * @param options The initial time and the patience, both 0 by default.
   * @throws {RangeError} If `start` is not finite, or either is `NaN`.
   * @throws {TypeError} If an option is unknown, `start` is not a number, or `patience` is not a duration.
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
  /** Incremented to cancel a pending jump. */
  #generation = 0;

  constructor(start: number, patience: number) {
    this.#now = start;
    this.#patience = patience;
  }

  now(): number {
    return this.#now;
  }

  soon(turn: () => void): void {
    nextTurn(turn);
  }

  wakeAt(when: number, turn: () => void): void {
    this.forget();
    if (when === Infinity || this.#patience === Infinity) return;
    const generation = this.#generation;
    const jump = () => {
      if (generation !== this.#generation) return;
      this.#now = Math.max(this.#now, when);
      turn();
    };
    if (this.#patience <= 0) nextTurn(jump);
    else this.#timer = setTimeout(jump, this.#patience * 1000);
  }

  forget(): void {
    this.#generation++;
    clearTimeout(this.#timer);
  }
}

/** Options of {@linkcode asyncTest}. */
export interface AsyncTestOptions {
  /**
   * Whether to run on a {@linkcode VirtualTimeLoop}. Tests with sockets, files
   * or threads need the real clock.
   *
   * @default false
   */
  virtualTime?: boolean;
  /**
   * The time limit of the test, on its own clock; `null` for no limit. When it
   * expires, the test fails with a report of what each task waits for.
   *
   * @default null
   */
  timeout?: Duration | null;
  /**
   * Whether to run the loop in debug mode.
   *
   * @default false
   */
  debug?: boolean;
}

const ASYNC_TEST = "make a test";
const TEST_OPTIONS = ["virtualTime", "timeout", "debug"] as const;
/** How long a cancelled test may take to end after its timeout, in seconds of real time. */
const GRACE = 1;

/**
 * Creates a function for `Deno.test` that runs a test on its own event loop.
 *
 * The test fails with what its function throws, with every error that nobody
 * retrieved, and if it leaves tasks behind; those are cancelled.
 *
 * @typeParam A The arguments of the test: in Deno, its `TestContext`.
 * @param fn The test function.
 * @returns The function for `Deno.test`.
 * @throws {TypeError} If `fn` is not a function, or an option is unknown or has the wrong type.
 *
 * @example
 * ```ts
 * import { sleep } from "@asyncio/asyncio";
 * import { asyncTest } from "@asyncio/asyncio/testing";
 * import { assertRejects } from "@std/assert";
 *
 * const test = asyncTest({ virtualTime: true, timeout: 60 }, async () => {
 *   await sleep(3600);
 * });
 * await assertRejects(test, Error, "took longer than 60 s");
 * ```
 */
export function asyncTest<A extends unknown[]>(
  fn: (...args: A) => unknown,
): (...args: A) => Promise<void>;
/**
 * Creates a function for `Deno.test` that runs a test on its own event loop,
 * with options.
 *
 * @typeParam A The arguments of the test: in Deno, its `TestContext`.
 * @param options The clock, the time limit and the debug mode.
 * @param fn The test function.
 * @returns The function for `Deno.test`.
 */
export function asyncTest<A extends unknown[]>(
  options: AsyncTestOptions,
  fn: (...args: A) => unknown,
): (...args: A) => Promise<void>;
export function asyncTest<A extends unknown[]>(
  ...given: [AsyncTestOptions | ((...args: A) => unknown), unknown?]
): (...args: A) => Promise<void> {
  const [options, fn] = given.length > 1 ? given : [{}, given[0]];
  checkOptions(options, TEST_OPTIONS, ASYNC_TEST);
  checkCallback(fn, ASYNC_TEST, "the test");
  const { virtualTime = false, timeout = null, debug = false } =
    options as AsyncTestOptions;
  checkFlag(virtualTime, ASYNC_TEST, "virtualTime");
  checkFlag(debug, ASYNC_TEST, "debug");
  const limit = timeout === null ? null : toSeconds(timeout, "timeout");
  const loopFactory = () =>
    virtualTime ? new VirtualTimeLoop() : new EventLoop();
  return (...args) =>
    new TestRun(loopFactory, debug, limit).run(() => fn(...args));
}

/** One run of a test. */
class TestRun {
  readonly #runner: Runner;
  readonly #limit: number | null;
  readonly #failures = new Set<unknown>();
  /** The error of the timeout, which takes precedence over other failures. */
  #expired: TimeoutError | null = null;
  /** Rejects if the test has not ended some time after its timeout. */
  readonly #stuck = Promise.withResolvers<never>();
  #grace: ReturnType<typeof setTimeout> | undefined;

  constructor(
    loopFactory: () => EventLoop,
    debug: boolean,
    limit: number | null,
  ) {
    this.#runner = new Runner({
      loopFactory,
      debug,
      signals: [],
      dumpSignal: null,
      shutdownTimeout: GRACE,
    });
    this.#limit = limit;
    this.#stuck.promise.catch(() => {});
  }

  async run(body: () => unknown): Promise<void> {
    const loop = this.#runner.getLoop();
    loop.setExceptionHandler((_, context) => this.#recordFailure(context));
    try {
      const ended = this.#runner.run(() => this.#main(loop, body));
      await Promise.race([ended, this.#stuck.promise]);
    } catch (error) {
      this.#failures.add(error);
    }
    clearTimeout(this.#grace);
    await this.#runner.close().catch((error) => this.#failures.add(error));
    if (this.#expired !== null) throw this.#expired;
    const failures = [...this.#failures];
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) {
      throw new ExceptionGroup("The test failed with several errors", failures);
    }
  }

  async #main(loop: EventLoop, body: () => unknown): Promise<void> {
    const main = currentTask()!;
    const timer = this.#limit === null
      ? null
      : loop.callLater(this.#limit, () => this.#onTimeout(loop));
    try {
      await body();
    } finally {
      timer?.cancel();
    }
    const leftover = [...allTasks(loop)].filter((task) => task !== main);
    if (leftover.length === 0) return;
    const names = leftover.map((task) => task.getName()).join(", ");
    this.#failures.add(
      new Error(
        `The test left tasks behind: ${names}\n${
          formatSnapshot(snapshotOf(loop))
        }`,
      ),
    );
  }

  #onTimeout(loop: EventLoop): void {
    const report = formatSnapshot(snapshotOf(loop));
    const error = new TimeoutError(
      `The test took longer than ${this.#limit} s\n${report}`,
    );
    this.#expired = error;
    for (const task of allTasks(loop)) task.cancel();
    this.#grace = setTimeout(
      () => this.#stuck.reject(error),
      GRACE * 1000,
    );
  }

  #recordFailure({ message, exception }: ExceptionContext): void {
    this.#failures.add(
      exception instanceof Error
        ? exception
        : new Error(message, { cause: exception }),
    );
  }
}
