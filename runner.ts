/**
 * Starts programs: `run` and `Runner`.
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

import {
  type Abortable,
  subscribeAbort,
  unsubscribeAbort,
} from "./_abort_signal.ts";
import { captureSlot, type Context, runIn } from "./_context.ts";
import { watchForDeadlock } from "./_deadlock.ts";
import { type Duration, toSeconds } from "./_duration.ts";
import { cancelFrom, original, tasksOf } from "./_task_state.ts";
import { cancelAll, cancelSites } from "./_cancel_request.ts";
import {
  currentExecution,
  EventLoop,
  internals as loops,
} from "./_event_loop.ts";
import { stateOf, Task } from "./_task.ts";
import { type AnyFuture, Future, futures } from "./_future.ts";
import { onSignal as listenToSignal, systemTimer } from "./_host.ts";
import { CallSite, framesOf } from "./_call_site.ts";
import {
  checkCallback,
  checkContext,
  checkFlag,
  checkOptions,
  checkSignal,
  checkString,
  checkStrings,
  describe,
  startedHint,
} from "./_validate.ts";
import type { Cancellable, Coroutine } from "./_options.ts";
import { closers } from "./_loop_local.ts";
import { allTasks } from "./_awaitable.ts";
import { onceDone } from "./_done_callbacks.ts";
import { formatSnapshot, verdictOf } from "./_report.ts";
import { locateWaits, type Snapshot, snapshotOf } from "./_snapshot.ts";
import { debugHooks } from "./_debug_hooks.ts";
import { isPending, nameOf, progressOf, waitChainOf } from "./_inspect.ts";
import { firstOf, span } from "./_text.ts";
import "./_threads.ts";
import { reportUnretrieved } from "./_unhandled.ts";
import {
  CancelledError,
  DeadlockError,
  KeyboardInterrupt,
  RuntimeError,
  type SignalName,
  TimeoutError,
} from "./exceptions.ts";

export type { Context } from "./_context.ts";
export type { Duration, DurationLike } from "./_duration.ts";
export { EventLoop, getEventLoop, getRunningLoop } from "./_event_loop.ts";
export type { Cancellable, Coroutine } from "./_options.ts";
export {
  type ExceptionContext,
  type ExceptionHandler,
  type Handle,
  type LoopHost,
  type TimerHandle,
} from "./_event_loop.ts";
export type { LoopHandle, ModuleFunction, ThreadFunction } from "./_threads.ts";

/** Options of a {@linkcode Runner}. */
export interface RunnerOptions {
  /**
   * Whether debug mode is on; see {@linkcode EventLoop.setDebug}.
   *
   * @default true if `ASYNCIO_DEBUG` is set and may be read without a prompt
   */
  debug?: boolean;
  /**
   * Creates the loop.
   *
   * @default a plain event loop
   */
  loopFactory?: () => EventLoop;
  /**
   * The signals that interrupt the program.
   *
   * @default ["SIGINT"]
   */
  signals?: readonly SignalName[];
  /**
   * A signal on which all tasks are printed to the standard error stream, as by
   * `dumpTasks()`. The program continues undisturbed. `null` for none.
   *
   * @default "SIGQUIT" (Ctrl-\\), where the system has it
   */
  dumpSignal?: SignalName | null;
  /**
   * How long the remaining tasks may take to end after they are cancelled. Then
   * they are abandoned. `null` for no limit.
   *
   * @default null
   */
  shutdownTimeout?: Duration | null;
  /**
   * Reports a block of the event loop that lasts longer than this on the standard
   * error stream while it lasts, with the stack of the blocking code. A thread
   * watches for blocks and gets the stack from the debugger of the runtime. The
   * debugger listens on a local port during the run, which needs
   * `--allow-sys --allow-net=127.0.0.1`. Without these permissions only the task
   * is named. Only on Deno.
   *
   * @default none
   */
  watchdog?: Duration;
  /**
   * A file to write a trace to, for Perfetto and `chrome://tracing`: tasks as rows
   * with their steps and waits, and arrows from each task to those it notifies.
   * Needs `--allow-write` for the file. Only on Deno.
   *
   * @default none
   */
  trace?: string | URL;
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
  context?: Context | undefined;
}

/** How many batches a loop still runs after its tasks are done, for callbacks that they left behind. */
const LAST_BATCHES = 4;
/** The delay in seconds before a report of what keeps a program from ending. */
const REPORT_DELAY = 1;
/** The maximum number of tasks that an error names. */
const MOST_NAMED = 20;
/** The longest delay of the runtime's timers, in seconds. */
const LONGEST_LIMIT = 2 ** 31 / 1000 - 1;
const DUMP_SIGNAL: SignalName = "SIGQUIT";
const RUN = "run";
const CREATE = "create a runner";
const RUNNER_OPTIONS = [
  "debug",
  "loopFactory",
  "signals",
  "dumpSignal",
  "shutdownTimeout",
  "watchdog",
  "trace",
] as const;
const RUN_OPTIONS = [...RUNNER_OPTIONS, "signal"] as const;
const RUNNER_RUN_OPTIONS = ["context", "signal"] as const;

/**
 * Runs a coroutine function on a new event loop until it and everything it
 * started has ended.
 *
 * Ctrl-C cancels the main task; if that ends it, `run` rejects with
 * `KeyboardInterrupt`. A second Ctrl-C ends the run at once. When the main task
 * is done, the remaining tasks are cancelled and awaited; their errors, and
 * errors that were never retrieved, go to the exception handler; worker threads
 * are joined. If the program has not ended a second after Ctrl-C, or after the
 * main task is done, a report on the standard error stream says why, once each.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-runner.html#asyncio.run}.
 *
 * @typeParam T What the coroutine returns.
 * @param main The coroutine function; or a future or task of the loop that `loopFactory` returns.
 * @param options Debug mode, the loop, and what interrupts it.
 * @returns What the coroutine returns.
 * @throws {TypeError} If `main` or an option has the wrong type, or an option is unknown.
 * @throws {RuntimeError} If it is called inside a running loop.
 * @throws {DeadlockError} If all tasks wait and nothing is left that could wake one; a report says why.
 * @throws {TimeoutError} If the remaining tasks have not ended within `shutdownTimeout`.
 * @throws {KeyboardInterrupt} If the program was interrupted.
 * @throws {CancelledError} If the main task was cancelled otherwise.
 * @throws The reason of `options.signal`, if that ended the run.
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
  main: Coroutine<T> | Future<T>,
  options: RunOptions = {},
): Promise<T> {
  checkOptions(options, RUN_OPTIONS, RUN);
  const { signal, ...rest } = options;
  checkMain(main);
  checkSignal(signal, RUN);
  const runner = new Runner(rest);
  try {
    return await runner.run(main, { signal });
  } finally {
    await runner.close();
  }
}

/**
 * Runs several coroutines one after another, on the same event loop and in the
 * same context.
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
  /** The async context that each run hands on to the next, as `captureSlot()` returns it. */
  #context: unknown;
  /** The pending or completed `close()`. */
  #closing: Promise<void> | null = null;
  /** After a second interrupt nothing is awaited any more. */
  #isForced = false;
  /** Whether a run has ended because nothing was left that could wake a task. */
  #isDeadlocked = false;
  /** Removes the listener of `dumpSignal`, which lasts as long as the loop. */
  #stopDumpListener: () => void = () => {};
  /** Functions that end the watchdog and the trace; `null` before the first run. */
  #observerEnds: (() => unknown)[] | null = null;

  /**
   * Creates a runner. Its loop is created when it is first needed.
   *
   * @param options Debug mode, the loop, what interrupts it, and what watches it.
   * @throws {TypeError} If an option has the wrong type or is unknown.
   * @throws {RangeError} If `watchdog` is not above zero.
   */
  constructor(options: RunnerOptions = {}) {
    this.#options = checkedOptions(options);
  }

  /**
   * The loop.
   *
   * @returns The loop, created now if necessary.
   * @throws {RuntimeError} If the runner is closed.
   */
  getLoop(): EventLoop {
    if (this.#closing !== null) throw new RuntimeError("The runner is closed");
    if (this.#loop === null) {
      this.#loop = this.#options.loopFactory?.() ?? new EventLoop();
      const { debug } = this.#options;
      if (debug !== undefined) this.#loop.setDebug(debug);
      this.#context = captureSlot();
      this.#dumpOnSignal(this.#loop);
    }
    return this.#loop;
  }

  /**
   * Runs a coroutine function as the main task. Tasks that it leaves behind
   * continue in the next run.
   *
   * An interrupt or `options.signal` cancels the main task, and the call ends
   * when that task has ended. The runner can be used again afterwards.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function; or a future or task of this loop.
   * @param options Its context, and a signal that cancels it.
   * @returns What the coroutine returns.
   * @throws {TypeError} If `coro` or an option has the wrong type, or an option is unknown.
   * @throws {RuntimeError} If the runner is closed, or inside a running loop.
   * @throws {DeadlockError} If all tasks wait and nothing is left that could wake one; a report says why.
   * @throws {KeyboardInterrupt} If the program was interrupted.
   * @throws {CancelledError} If the main task was cancelled otherwise.
   *
   * @example
   * ```ts
   * import { createTask, Runner, sleep } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await using runner = new Runner();
   * const task = await runner.run(() => {
   *   const task = createTask(() => sleep(0.001, { result: 42 }));
   *   return { task };
   * });
   * assert(await runner.run(() => task.task) === 42);
   * ```
   */
  async run<T>(
    coro: Coroutine<T> | Future<T>,
    options: RunnerRunOptions = {},
  ): Promise<T> {
    checkMain(coro);
    checkOptions(options, RUNNER_RUN_OPTIONS, RUN);
    checkSignal(options.signal, RUN);
    checkContext(options.context, RUN);
    const caller = new CallSite();
    if (currentExecution()?.loop.isRunning() || this.#loop?.isRunning()) {
      throw new RuntimeError("Cannot run a loop inside a running loop");
    }
    options.signal?.throwIfAborted();
    const loop = this.getLoop();
    if (coro instanceof Future && coro.getLoop() !== loop) {
      throw new RuntimeError("Cannot run a future of another event loop");
    }
    const context = options.context ?? undefined;
    const body = typeof coro === "function" ? coro : () => coro;
    const main: Coroutine<T> = (signal) => {
      const value = body(signal);
      if (context === undefined) this.#context = captureSlot();
      return value;
    };
    if (typeof coro === "function") original.set(main, coro);
    const start = () => new Task(main, { context }, loop);
    loops.setRunning(loop, true);
    try {
      if (this.#needsObservers) {
        await this.#observe(loop, caller);
        options.signal?.throwIfAborted();
      }
      return await this.#untilDone(
        runIn(this.#context, start, undefined),
        caller,
        options.signal,
      );
    } finally {
      loops.setRunning(loop, false);
    }
  }

  /**
   * Cancels and awaits the remaining tasks, reports their errors, joins the
   * worker threads, and closes the loop. It may be called more than once.
   *
   * @throws {RuntimeError} If it is called while the runner is running.
   * @throws {TimeoutError} If tasks have not ended within `shutdownTimeout`.
   * @throws {DeadlockError} If nothing is left that could end them.
   * @throws {KeyboardInterrupt} If the program is interrupted meanwhile. The remaining tasks are then not awaited.
   */
  close(): Promise<void> {
    if (this.#closing === null && this.#loop?.isRunning()) {
      return Promise.reject(
        new RuntimeError("Cannot close a runner that is running"),
      );
    }
    return this.#closing ??= this.#close(new CallSite());
  }

  /** Closes the runner. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #untilDone<T>(
    task: Task<T>,
    caller: CallSite,
    signal?: AbortSignal,
  ): Promise<T> {
    const ended = Promise.withResolvers<void>();
    const interruption = new Interruption(task, (error) => {
      this.#isForced = true;
      ended.reject(error);
    });
    const loop = task.getLoop();
    const stopListening = this.#listen((name) => interruption.onSignal(name));
    let deadlock: Promise<DeadlockError> | null = null;
    const stopWatching = this.#watch(loop, caller, (error) => {
      deadlock = error;
      ended.reject(error);
    });
    if (signal) subscribeAbort(signal, interruption);
    onceDone(task, () => loops.afterBatch(loop, ended.resolve));
    try {
      await ended.promise;
      return task.result();
    } catch (error) {
      throw await deadlock ?? interruption.outcome(error);
    } finally {
      interruption.end();
      stopListening();
      stopWatching();
      if (signal) unsubscribeAbort(signal, interruption);
    }
  }

  get #needsObservers(): boolean {
    const { watchdog, trace } = this.#options;
    return this.#observerEnds === null &&
      (watchdog !== undefined || trace !== undefined);
  }

  /** Starts the watchdog and the trace. They are loaded only here, as most programs do not need them. */
  async #observe(loop: EventLoop, caller: CallSite): Promise<void> {
    const { watchdog, trace } = this.#options;
    const ends: (() => unknown)[] = this.#observerEnds = [];
    if (trace !== undefined) {
      const { writeTrace } = await import("./_trace.ts");
      try {
        ends.push(writeTrace(loop, trace));
      } catch (error) {
        throw withFrames(error as Error, caller);
      }
    }
    if (watchdog !== undefined) {
      const { watchBlocks } = await import("./_watchdog.ts");
      ends.push(await watchBlocks(loop, checkWatchdog(watchdog)));
    }
  }

  /** The default signal may be missing on this system, an explicit one may not. */
  #dumpOnSignal(loop: EventLoop): void {
    const { dumpSignal } = this.#options;
    if (dumpSignal === null) return;
    const onSignal = () => void printReport(loop);
    if (dumpSignal === undefined) {
      this.#stopDumpListener = listen([DUMP_SIGNAL], onSignal);
      return;
    }
    this.#stopDumpListener = listenToSignal(dumpSignal, onSignal);
  }

  /**
   * Calls `end` when nothing is left that could wake a task. Without debug mode
   * the lines where tasks wait come from the stacks of the errors that end them.
   */
  #watch(
    loop: EventLoop,
    caller: CallSite,
    end: (error: Promise<DeadlockError>) => void,
  ): () => void {
    const isFirst = !this.#isDeadlocked;
    const isOutside = () => isFirst && hasExternalWait(loop);
    return watchForDeadlock(loop, isOutside, () => {
      this.#isDeadlocked = true;
      const report = async () => {
        const snapshot = snapshotOf(loop);
        if (isFirst) await locateWaits(snapshot, loop);
        await addSites(snapshot, loop);
        const title = "Deadlock: nothing is left that could wake a task";
        if (isFirst) console.error(reportOn(snapshot, title));
        const message = `${title}; ${verdictOf(snapshot)}`;
        const error = new DeadlockError(message, { snapshot });
        return withFrames(error, caller);
      };
      end(report());
    });
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

  async #close(caller: CallSite): Promise<void> {
    const loop = this.#loop;
    if (loop === null) return;
    if (loop.isClosed()) return await this.#stopObservers();
    loops.setRunning(loop, true);
    const givenUp = Promise.withResolvers<void>();
    givenUp.promise.catch(() => {});
    const stopListening = this.#listen((name) => {
      void loop.shutdownDefaultExecutor(0);
      givenUp.reject(interrupted(name));
    });
    const wasDeadlocked = this.#isDeadlocked;
    const stopWatching = this.#watch(loop, caller, (error) => {
      if (wasDeadlocked) givenUp.resolve();
      else error.then(givenUp.reject);
    });
    const clearLimit = this.#limit(loop, caller, givenUp.reject);
    try {
      await Promise.race([this.#endAll(loop), givenUp.promise]);
    } finally {
      reportUnretrieved(loop);
      stopListening();
      stopWatching();
      clearLimit();
      await this.#stopObservers();
      loops.setRunning(loop, false);
      loop.close();
    }
  }

  /** Ends the watchdog, the trace and the `dumpSignal`. */
  async #stopObservers(): Promise<void> {
    this.#stopDumpListener();
    for (const end of this.#observerEnds ?? []) await end();
  }

  /** Reports tasks that take long to end, and gives up after `shutdownTimeout`. Returns a function that prevents both. */
  #limit(
    loop: EventLoop,
    caller: CallSite,
    giveUp: (error: TimeoutError) => void,
  ): () => void {
    const cancelReport = systemTimer(REPORT_DELAY, () => {
      if (allTasks(loop).size === 0 || this.#isDeadlocked) return;
      const title =
        `Tasks that were left have not ended ${REPORT_DELAY} s after ` +
        "they were cancelled";
      void printReport(loop, title);
    });
    const { shutdownTimeout: limit = null } = this.#options;
    if (limit === null) return cancelReport;
    const seconds = toSeconds(limit, "shutdownTimeout");
    const cancelLimit = systemTimer(Math.min(seconds, LONGEST_LIMIT), () => {
      this.#isForced = true;
      giveUp(
        withFrames(new TimeoutError(unfinishedTasks(loop, seconds)), caller),
      );
    }, true);
    return () => {
      cancelReport();
      cancelLimit();
    };
  }

  /** Cancels and awaits all tasks, then closes everything else that belongs to the loop. */
  async #endAll(loop: EventLoop): Promise<void> {
    const rest = [...allTasks(loop)];
    cancelFrom("the end of run()", () => {
      cancelAll(
        rest.filter((task) => !this.#isDeadlocked || task.cancelling() === 0),
      );
    });
    if (this.#isForced) await runBatches(loop, 2);
    else if (rest.length > 0) await whenAllDone(loop, rest);
    for (const task of rest) reportFailure(task);
    for (const close of closers.get(loop)) await close();
    await runBatches(loop, LAST_BATCHES);
    await loop.shutdownDefaultExecutor(this.#isForced ? 0 : undefined);
  }

  #listen(onSignal: (name: SignalName) => void): () => void {
    return listen(this.#options.signals ?? ["SIGINT"], onSignal);
  }
}

/** Interrupts a main task from outside: by signals of the system or an `AbortSignal`. */
class Interruption implements Abortable {
  readonly #task: Task<unknown>;
  readonly #force: (error: KeyboardInterrupt) => void;
  /** The first signal, and what the task waited for when it arrived. */
  #first: { name: SignalName; what: string | null } | null = null;
  #aborted: { reason: unknown } | null = null;
  #requests = 0;
  #cancelReport: () => void = () => {};

  /** Calls `force` on the second signal. */
  constructor(task: Task<unknown>, force: (error: KeyboardInterrupt) => void) {
    this.#task = task;
    this.#force = force;
  }

  onSignal(name: SignalName): void {
    const task = this.#task;
    if (this.#first !== null || task.done()) {
      return this.#force(interrupted(name, waitChainOf(stateOf(task))));
    }
    this.#first = { name, what: waitChainOf(stateOf(task)) };
    this.#requests++;
    this.#cancelReport = systemTimer(REPORT_DELAY, () => {
      const title =
        `${name} came ${REPORT_DELAY} s ago and has not ended the ` +
        "program, a second one will";
      void printReport(task.getLoop(), title);
    });
    cancelFrom(name, () => task.cancel());
  }

  abort(reason: unknown): void {
    this.#aborted = { reason };
    this.#requests++;
    this.#task.cancel();
  }

  /** Translates the error of the task into that of the run. */
  outcome(error: unknown): unknown {
    if (!(error instanceof CancelledError)) return error;
    const requests = this.#requests;
    if (requests === 0 || this.#task.cancelling() > requests) return error;
    if (this.#first === null) return this.#aborted!.reason;
    const { name, what } = this.#first;
    return interrupted(name, what, framesOf(error)[0]);
  }

  end(): void {
    this.#cancelReport();
  }
}

/** A report of what a loop is doing, below a title. */
function reportOn(snapshot: Snapshot, title: string): string {
  return `${title}\n${formatSnapshot(snapshot)}`;
}

/** Prints a report of what a loop is doing. */
async function printReport(loop: EventLoop, title?: string): Promise<void> {
  const snapshot = await locateWaits(snapshotOf(loop), loop);
  console.error(
    title === undefined ? formatSnapshot(snapshot) : reportOn(snapshot, title),
  );
}

/** Cancels the tasks of a loop, and adds to a snapshot where they waited. */
async function addSites(snapshot: Snapshot, loop: EventLoop): Promise<void> {
  const sites = cancelSites.sites = new Map<number, CallSite>();
  cancelFrom("the deadlock", () => {
    cancelAll(allTasks(loop));
  });
  await runBatches(loop, LAST_BATCHES);
  cancelSites.sites = null;
  for (const task of snapshot.tasks) {
    const site = sites.get(task.id);
    if (site === undefined || task.stack.length > 0) continue;
    task.stack = [...site.frames];
    task.waits = task.waits.map((wait) => ({ ...wait, place: site.line }));
  }
}

debugHooks.report = (loop, waits) => {
  const snapshot = snapshotOf(loop);
  const names = (waits as AnyFuture[]).filter(isPending).map(nameOf);
  return [
    ...new Set(names.map((name) => `Code outside of tasks waits for ${name}`)),
    ...(snapshot.tasks.length > 0 ? [formatSnapshot(snapshot)] : []),
  ].join("\n");
};

function hasExternalWait(loop: EventLoop): boolean {
  let state = tasksOf(loop).first;
  while (state !== null && state.phase !== "foreign") state = state.next;
  return state !== null;
}

/** The message of the error about tasks that have not ended in time. */
function unfinishedTasks(loop: EventLoop, seconds: number): string {
  const tasks = firstOf(
    [...allTasks(loop)],
    MOST_NAMED,
    (task) => `${task.getName()} ${progressOf(stateOf(task))}`,
    "; ",
  );
  return `Tasks that were left have not ended within ${
    span(seconds)
  }: ${tasks}`;
}

/** Replaces the stack of an error by the frames of the caller. */
function withFrames<E extends Error>(error: E, { frames }: CallSite): E {
  const lines = frames.map((line) => `\n    at ${line}`);
  error.stack = `${error.name}: ${error.message}${lines.join("")}`;
  return error;
}

/** Listens to the signals that this system has. Returns a function that removes the listeners. */
function listen(
  signals: readonly SignalName[],
  onSignal: (name: SignalName) => void,
): () => void {
  const installed: (() => void)[] = [];
  for (const name of signals) {
    try {
      installed.push(listenToSignal(name, () => onSignal(name)));
    } catch (error) {
      // This system lacks the signal.
      if (!(error instanceof TypeError)) throw error;
    }
  }
  return () => {
    for (const stopListening of installed) stopListening();
  };
}

/** An error without a stack, which nobody needs after Ctrl-C. */
function interrupted(
  signal: SignalName,
  what: string | null = null,
  place?: string,
): KeyboardInterrupt {
  const where = what === null ? "" : ` while waiting for ${what}`;
  const at = place === undefined ? "" : ` at ${place}`;
  const message = `Interrupted by ${signal}${where}${at}`;
  const error = new KeyboardInterrupt(message, { signal });
  error.stack = `${error.name}: ${message}`;
  return error;
}

/** Waits until all tasks are done. `gather` cannot be imported here. */
function whenAllDone(
  loop: EventLoop,
  tasks: readonly Task<unknown>[],
): Promise<void> {
  return new Promise((resolve) => {
    let left = tasks.length;
    const onDone = () => {
      left--;
      if (left === 0) resolve(runBatches(loop, 1));
    };
    for (const task of tasks) onceDone(task, onDone);
  });
}

/** Waits until a loop has run a number of batches. */
async function runBatches(loop: EventLoop, count: number): Promise<void> {
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
  if (typeof main === "function" || main instanceof Future) return;
  throw new TypeError(
    `Cannot run: expected a coroutine function, got ${describe(main)}${
      startedHint(main)
    }`,
  );
}

function checkedOptions(options: RunnerOptions): RunnerOptions {
  checkOptions(options, RUNNER_OPTIONS, CREATE);
  const { debug, loopFactory, signals, dumpSignal, shutdownTimeout } = options;
  checkFlag(debug, CREATE, "debug");
  if (loopFactory !== undefined) {
    checkCallback(loopFactory, CREATE, "loopFactory");
  }
  checkStrings(signals, CREATE, "signals");
  checkString(dumpSignal ?? undefined, CREATE, "dumpSignal");
  if (shutdownTimeout != null) toSeconds(shutdownTimeout, "shutdownTimeout");
  const { watchdog, trace } = options;
  if (watchdog !== undefined) checkWatchdog(watchdog);
  if (
    trace !== undefined && typeof trace !== "string" && !(trace instanceof URL)
  ) {
    throw new TypeError(
      `Cannot ${CREATE}: trace must be a path or a URL, got ${describe(trace)}`,
    );
  }
  return { ...options };
}

/** The limit of a watchdog in seconds. */
function checkWatchdog(limit: Duration): number {
  const seconds = toSeconds(limit, "watchdog");
  if (seconds > 0) return seconds;
  throw new RangeError(
    `Cannot ${CREATE}: watchdog must be above 0, got ${describe(limit)}`,
  );
}
