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
import { captureContext, type Context } from "./_context.ts";
import {
  type Cancellable,
  type Coroutine,
  describe,
  EventLoop,
  futures,
  Task,
} from "./_future.ts";
import { currentFrame, internals as loops } from "./_loop.ts";
import { allTasks, onceDone } from "./_task.ts";
import { reportUnseen } from "./_unseen.ts";
import {
  CancelledError,
  KeyboardInterrupt,
  RuntimeError,
} from "./exceptions.ts";

export type { Context } from "./_context.ts";
export {
  type Cancellable,
  type Coroutine,
  EventLoop,
  getEventLoop,
  getRunningLoop,
} from "./_future.ts";
export {
  BaseEventLoop,
  type ExceptionContext,
  type ExceptionHandler,
  type Handle,
  type LoopHost,
  type TimerHandle,
} from "./_loop.ts";

/** Options of a {@linkcode Runner}. */
export interface RunnerOptions {
  /**
   * Whether debug mode is on.
   *
   * @default false
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
  #context: Context | null = null;
  /** The closing under way or done. */
  #closing: Promise<void> | null = null;
  /** A second interrupt came: nothing is waited for any more. */
  #forced = false;

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
      this.#context = captureContext();
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
    const context = options.context ?? this.#context!;
    const main: Coroutine<T> = (signal) => {
      const value = coro(signal);
      if (!options.context) this.#context = captureContext();
      return value;
    };
    loops.setRunning(loop, true);
    try {
      return await this.#untilDone(
        new Task(main, { context }, loop),
        options.signal,
      );
    } finally {
      loops.setRunning(loop, false);
    }
  }

  /**
   * Cancels and awaits the tasks that are left, reports their errors, joins
   * the worker threads, and closes the loop. It may be called again.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Closes the runner. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #untilDone<T>(task: Task<T>, signal?: AbortSignal): Promise<T> {
    let interrupt: Deno.Signal | null = null;
    let aborted: { reason: unknown } | null = null;
    const ended = Promise.withResolvers<void>();
    const onSignal = (name: Deno.Signal) => {
      if (interrupt !== null || task.done()) {
        this.#forced = true;
        ended.reject(interrupted(name));
        return;
      }
      interrupt = name;
      task.cancel();
    };
    const abort = (reason: unknown) => {
      aborted = { reason };
      task.cancel();
    };
    const unlisten = listen(this.#options.signals ?? ["SIGINT"], onSignal);
    const target = { abort };
    if (signal) linkSignal(signal, target);
    onceDone(task, () => ended.resolve());
    try {
      await ended.promise;
      return task.result();
    } catch (error) {
      if (!(error instanceof CancelledError)) throw error;
      if (interrupt === null && aborted === null) throw error;
      if (task.uncancel() > 0) throw error;
      throw interrupt === null ? aborted!.reason : interrupted(interrupt);
    } finally {
      unlisten();
      if (signal) unlinkSignal(signal, target);
    }
  }

  async #close(): Promise<void> {
    const loop = this.#loop;
    if (loop === null || loop.isClosed()) return;
    loops.setRunning(loop, true);
    try {
      const rest = [...allTasks(loop)];
      for (const task of rest) task.cancel();
      if (this.#forced) await turns(loop, 2);
      else await Promise.all(rest.map(ended));
      for (const task of rest) reportFailure(task);
      await loop.shutdownDefaultExecutor();
      reportUnseen(loop);
      await turns(loop, 1);
    } finally {
      loops.setRunning(loop, false);
      loop.close();
    }
  }
}

/** Listens to signals, as far as the host lets it. Returns what ends that. */
function listen(
  signals: readonly Deno.Signal[],
  onSignal: (name: Deno.Signal) => void,
): () => void {
  const installed: [Deno.Signal, () => void][] = [];
  for (const name of signals) {
    const listener = () => onSignal(name);
    try {
      Deno.addSignalListener(name, listener);
      installed.push([name, listener]);
    } catch (error) {
      // Not every signal is there on every system; SIGINT may be asked for by default.
      if (!(error instanceof TypeError)) throw error;
    }
  }
  return () => {
    for (const [name, listener] of installed) {
      Deno.removeSignalListener(name, listener);
    }
  };
}

function interrupted(signal: Deno.Signal): KeyboardInterrupt {
  return new KeyboardInterrupt(`Interrupted by ${signal}`, { signal });
}

function ended(task: Task<unknown>): Promise<void> {
  return new Promise((resolve) => onceDone(task, () => resolve()));
}

/** Lets a loop take a number of turns, each with its microtasks. */
async function turns(loop: EventLoop, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) =>
      loops.push(loop, { run: () => (resolve(), true) })
    );
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
