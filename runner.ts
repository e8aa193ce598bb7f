/**
 * Starting a program: `run` and `Runner`.
 *
 * ```ts
 * import { run } from "@asyncio/asyncio/runner";
 * import { sleep } from "@asyncio/asyncio/tasks";
 * import { assert } from "@std/assert";
 *
 * const answer = await run(async () => {
 *   await sleep({ milliseconds: 1 });
 *   return 42;
 * });
 * assert(answer === 42);
 * ```
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-runner.html}.
 *
 * @module
 */

import { linkSignal, unlinkSignal } from "./_abort.ts";
import { captureSlot, type Context, runIn } from "./_context.ts";
import { describeTasks } from "./_describe.ts";
import { EventLoop, frameOf, futures, Task } from "./_future.ts";
import { onIdleProcess, onSignal as listenTo } from "./_host.ts";
import { describe } from "./_validate.ts";
import type { Cancellable, Coroutine } from "./_options.ts";
import { closersOf, currentFrame, internals as loops } from "./_loop.ts";
import { allTasks, onceDone } from "./_task.ts";
import { chainOf } from "./_text.ts";
import "./_threads.ts";
import { reportUnseen } from "./_unseen.ts";
import {
  CancelledError,
  KeyboardInterrupt,
  RuntimeError,
} from "./exceptions.ts";

export type { Context } from "./_context.ts";
export { EventLoop, getEventLoop, getRunningLoop } from "./_future.ts";
export type { Cancellable, Coroutine } from "./_options.ts";
export {
  BaseEventLoop,
  type ExceptionContext,
  type ExceptionHandler,
  type Handle,
  type LoopHost,
  type TimerHandle,
} from "./_loop.ts";
export type { LoopHandle, ModuleFunction, ThreadFunction } from "./_threads.ts";

/** Options of a {@linkcode Runner}. */
export interface RunnerOptions {
  /**
   * Whether debug mode is on; see {@linkcode BaseEventLoop.setDebug}.
   *
   * @default whether `ASYNCIO_DEBUG` is set, if it may be read without a prompt
   */
  debug?: boolean;
  /**
   * Makes the loop.
   *
   * @default a plain event loop
   */
  loopFactory?: () => EventLoop;
  /**
   * The signals that interrupt the program.
   *
   * @default ["SIGINT"]
   */
  signals?: readonly Deno.Signal[];
  /**
   * A signal on which all tasks are written to the standard error stream, as
   * `dumpTasks()` does. The program goes on undisturbed.
   *
   * @default none
   */
  dumpSignal?: Deno.Signal;
}

/** Options of {@linkcode run}. */
export interface RunOptions extends RunnerOptions, Cancellable {
}

/** Options of {@linkcode Runner.run}. */
export interface RunnerRunOptions extends Cancellable {
  /**
   * The context of the main task.
   *
   * @default the context in which the runner was first used
   */
  context?: Context;
}

/** How many batches a loop still runs when its tasks are done, for what they have left ready. */
const LAST_BATCHES = 4;

/**
 * Runs a coroutine function on an event loop of its own, to its end and that
 * of everything it started.
 *
 * Ctrl-C cancels the main task; if that ends it, `run` rejects with
 * `KeyboardInterrupt`. A second Ctrl-C ends it at once. When the main task is
 * done, tasks that are left are cancelled and awaited; their errors and those
 * that nobody looked at go to the exception handler; worker threads are
 * joined.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-runner.html#asyncio.run}.
 *
 * @typeParam T What the coroutine returns.
 * @param main The coroutine function.
 * @param options Debug mode, the loop, and what interrupts it.
 * @returns What the coroutine returns.
 * @throws {RuntimeError} If it is called inside a running loop.
 * @throws {KeyboardInterrupt} If the program was interrupted.
 * @throws The reason of `options.signal`, if that ended it.
 *
 * @example
 * ```ts
 * import { run, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * assert(await run(() => sleep(0.001, { result: "done" })) === "done");
 * ```
 */
export async function run<T>(
  main: Coroutine<T>,
  options: RunOptions = {},
): Promise<T> {
  const { signal, ...rest } = options;
  checkMain(main);
  const runner = new Runner(rest);
  try {
    return await runner.run(main, { signal });
  } finally {
    await runner.close();
  }
}

/**
 * An event loop that several coroutines run on, one after another, in one
 * context.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-runner.html#asyncio.Runner}.
 *
 * @example
 * ```ts
 * import { Runner, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * await using runner = new Runner();
 * await runner.run(() => sleep(0.001));
 * assert(await runner.run(() => 42) === 42);
 * ```
 */
export class Runner implements AsyncDisposable {
  readonly #options: RunnerOptions;
  #loop: EventLoop | null = null;
  /** What the main tasks of its runs follow one another with, as `captureSlot()` gives it. */
  #context: unknown;
  /** The closing under way or done. */
  #closing: Promise<void> | null = null;
  /** A second interrupt came: nothing is waited for any more. */
  #forced = false;
  /** Ends the listening for `dumpSignal`, which lasts as long as the loop. */
  #undump: () => void = () => {};

  /**
   * Makes a runner. Its loop is made when it is first needed.
   *
   * @param options Debug mode, the loop, and what interrupts it.
   */
  constructor(options: RunnerOptions = {}) {
    this.#options = options;
  }

  /**
   * The loop.
   *
   * @returns The loop, made now if need be.
   * @throws {RuntimeError} If the runner is closed.
   */
  getLoop(): EventLoop {
    if (this.#closing !== null) throw new RuntimeError("The runner is closed");
    if (this.#loop === null) {
      this.#loop = this.#options.loopFactory?.() ?? new EventLoop();
      if (this.#options.debug !== undefined) {
        this.#loop.setDebug(this.#options.debug);
      }
      this.#context = captureSlot();
      this.#dumpOnSignal(this.#loop);
    }
    return this.#loop;
  }

  /**
   * Runs a coroutine function as the main task.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function.
   * @param options Its context, and a signal that cancels it.
   * @returns What the coroutine returns.
   * @throws {RuntimeError} If the runner is closed, or inside a running loop.
   * @throws {KeyboardInterrupt} If the program was interrupted.
   */
  async run<T>(coro: Coroutine<T>, options: RunnerRunOptions = {}): Promise<T> {
    checkMain(coro);
    if (currentFrame()?.loop.isRunning() || this.#loop?.isRunning()) {
      throw new RuntimeError("Cannot run a loop inside a running loop");
    }
    options.signal?.throwIfAborted();
    const loop = this.getLoop();
    const { context } = options;
    const main: Coroutine<T> = (signal) => {
      const value = coro(signal);
      if (context === undefined) this.#context = captureSlot();
      return value;
    };
    const start = () => new Task(main, { context }, loop);
    loops.setRunning(loop, true);
    try {
      return await this.#untilDone(
        runIn(this.#context, start, undefined),
        options.signal,
      );
    } finally {
      loops.setRunning(loop, false);
    }
  }

  /**
   * Cancels and awaits the tasks that are left, reports their errors, joins
   * the worker threads, and closes the loop. It may be called again.
   *
   * @throws {RuntimeError} If it is called while the runner is running.
   * @throws {KeyboardInterrupt} If the program was interrupted meanwhile; what is left is not awaited then.
   */
  close(): Promise<void> {
    if (this.#closing === null && this.#loop?.isRunning()) {
      return Promise.reject(
        new RuntimeError("Cannot close a runner that is running"),
      );
    }
    return this.#closing ??= this.#close();
  }

  /** Closes the runner. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #untilDone<T>(task: Task<T>, signal?: AbortSignal): Promise<T> {
    let interrupt: KeyboardInterrupt | null = null;
    let aborted: { reason: unknown } | null = null;
    let requests = 0;
    const ended = Promise.withResolvers<void>();
    const onSignal = (name: Deno.Signal) => {
      if (interrupt !== null || task.done()) {
        this.#forced = true;
        ended.reject(interrupted(name, task));
        return;
      }
      interrupt = interrupted(name, task);
      requests++;
      task.cancel();
    };
    const abort = (reason: unknown) => {
      aborted = { reason };
      requests++;
      task.cancel();
    };
    const unlisten = this.#listen(onSignal);
    const unwatch = this.#watch(
      task.getLoop(),
      `Nothing is left that could wake the task ${task.getName()}`,
    );
    const target = { abort };
    if (signal) linkSignal(signal, target);
    onceDone(task, () => loops.afterBatch(task.getLoop(), ended.resolve));
    try {
      await ended.promise;
      return task.result();
    } catch (error) {
      if (!(error instanceof CancelledError)) throw error;
      if (requests === 0 || task.cancelling() > requests) throw error;
      throw interrupt ?? aborted!.reason;
    } finally {
      unlisten();
      unwatch();
      if (signal) unlinkSignal(signal, target);
    }
  }

  #dumpOnSignal(loop: EventLoop): void {
    const { dumpSignal } = this.#options;
    if (dumpSignal === undefined) return;
    this.#undump = listen(
      [dumpSignal],
      () => console.error(describeTasks(loop)),
    );
  }

  /** Has all tasks written down if the process ends meanwhile, with nothing left to do. */
  #watch(loop: EventLoop, stuck: string): () => void {
    const onEnd = () => console.error(`${stuck}\n${describeTasks(loop)}`);
    return onIdleProcess(onEnd);
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const state = this.#closing !== null
      ? "closed"
      : this.#loop?.isRunning()
      ? "running"
      : "idle";
    return `<Runner ${state}>`;
  }

  async #close(): Promise<void> {
    const loop = this.#loop;
    if (loop === null || loop.isClosed()) return;
    loops.setRunning(loop, true);
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => {});
    const unlisten = this.#listen((name) => {
      void loop.shutdownDefaultExecutor(0);
      broken.reject(interrupted(name, null));
    });
    const unwatch = this.#watch(
      loop,
      "Nothing is left that could end the tasks that were cancelled",
    );
    try {
      await Promise.race([this.#endAll(loop), broken.promise]);
    } finally {
      reportUnseen(loop);
      unlisten();
      unwatch();
      this.#undump();
      loops.setRunning(loop, false);
      loop.close();
    }
  }

  /** Cancels all tasks, awaits them, and whatever else belongs to the loop. */
  async #endAll(loop: EventLoop): Promise<void> {
    const rest = [...allTasks(loop)];
    for (const task of rest) task.cancel();
    if (this.#forced) await batches(loop, 2);
    else if (rest.length > 0) await allDone(loop, rest);
    for (const task of rest) reportFailure(task);
    for (const close of closersOf(loop)) await close();
    await batches(loop, LAST_BATCHES);
    await loop.shutdownDefaultExecutor(this.#forced ? 0 : undefined);
  }

  #listen(onSignal: (name: Deno.Signal) => void): () => void {
    return listen(this.#options.signals ?? ["SIGINT"], onSignal);
  }
}

/** Listens to signals, as far as the host lets it. Returns what ends that. */
function listen(
  signals: readonly Deno.Signal[],
  onSignal: (name: Deno.Signal) => void,
): () => void {
  const installed: (() => void)[] = [];
  for (const name of signals) {
    try {
      installed.push(listenTo(name, () => onSignal(name)));
    } catch (error) {
      // Not every signal is there on every system; SIGINT may be asked for by default.
      if (!(error instanceof TypeError)) throw error;
    }
  }
  return () => {
    for (const unlisten of installed) unlisten();
  };
}

function interrupted(
  signal: Deno.Signal,
  task: Task<unknown> | null,
): KeyboardInterrupt {
  const what = task === null ? null : chainOf(frameOf(task));
  const where = what === null ? "" : ` while waiting for ${what}`;
  return new KeyboardInterrupt(`Interrupted by ${signal}${where}`, { signal });
}

/** Waits for tasks as a gather would, which stands above this file. */
function allDone(
  loop: EventLoop,
  tasks: readonly Task<unknown>[],
): Promise<void> {
  return new Promise((resolve) => {
    let left = tasks.length;
    const onDone = () => {
      left--;
      if (left === 0) resolve(batches(loop, 1));
    };
    for (const task of tasks) onceDone(task, onDone);
  });
}

/** Lets a loop run a number of batches to their ends. */
async function batches(loop: EventLoop, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) => {
      const run = () => (loops.afterBatch(loop, resolve), false);
      loops.push(loop, { run });
    });
  }
}

function reportFailure(task: Task<unknown>): void {
  if (!task.done() || task.cancelled()) return;
  const exception = task.exception();
  if (!futures.failed(task)) return;
  task.getLoop().callExceptionHandler({
    message: `Task ${task.getName()} failed while the runner was closing`,
    exception,
    task,
  });
}

function checkMain(main: unknown): void {
  if (typeof main === "function") return;
  throw new TypeError(
    `Cannot run: expected a coroutine function, got ${describe(main)}`,
  );
}
