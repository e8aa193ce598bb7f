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
import { onSignal as listenTo, systemTimer } from "./_host.ts";
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
import { located, type Snapshot, snapshotOf } from "./_snapshot.ts";
import { debugHooks } from "./_debug_hooks.ts";
import { chainOf, isPending, nameOf, progressOf } from "./_inspect.ts";
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
  signals?: readonly SignalName[];
  /**
   * A signal on which all tasks are written to the standard error stream, as
   * `dumpTasks()` does. The program goes on undisturbed. `null` for none.
   *
   * @default "SIGQUIT" (Ctrl-\\), where the system has it
   */
  dumpSignal?: SignalName | null;
  /**
   * How long the tasks that are left may take to end, once they are cancelled.
   * After that they are abandoned. `null` for as long as it takes.
   *
   * @default null
   */
  shutdownTimeout?: Duration | null;
  /**
   * Has a block of the event loop that lasts longer than this reported on the
   * standard error stream while it lasts, with the stack of the code that
   * blocks. A thread watches for it and asks the debugger of the runtime for
   * the stack. The debugger is open on a port of this machine meanwhile, which
   * needs `--allow-sys --allow-net=127.0.0.1`; without these permissions only
   * the task is named. Only on Deno.
   *
   * @default none
   */
  watchdog?: Duration;
  /**
   * A file to write a trace to that Perfetto and `chrome://tracing` show: tasks
   * as rows, with their steps and waits, and arrows from the task that wakes to
   * the one that is woken. Needs `--allow-write` for the file. Only on Deno.
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

/** How many batches a loop still runs when its tasks are done, for what they have left ready. */
const LAST_BATCHES = 4;
/** After how many seconds it is reported what keeps a program from ending. */
const LATE = 1;
/** The names of so many tasks are in an error. */
const MOST_SURVIVORS = 20;
/** The longest that a timer of the host can take, in seconds. */
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
 * Runs a coroutine function on an event loop of its own, to its end and that
 * of everything it started.
 *
 * Ctrl-C cancels the main task; if that ends it, `run` rejects with
 * `KeyboardInterrupt`. A second Ctrl-C ends it at once. When the main task is
 * done, tasks that are left are cancelled and awaited; their errors, and those
 * that nobody has looked at, go to the exception handler; worker threads are
 * joined. If something still keeps the program from ending a second after
 * Ctrl-C, or after main is done, that is reported on the standard error stream,
 * once each.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-runner.html#asyncio.run}.
 *
 * @typeParam T What the coroutine returns.
 * @param main The coroutine function; or a future or task of the loop that `loopFactory` gives.
 * @param options Debug mode, the loop, and what interrupts it.
 * @returns What the coroutine returns.
 * @throws {TypeError} If `main` or an option is of the wrong kind, or an option is unknown.
 * @throws {RuntimeError} If it is called inside a running loop.
 * @throws {DeadlockError} If all tasks wait and nothing is left that could wake one; a report says why.
 * @throws {TimeoutError} If tasks that are left have not ended within `shutdownTimeout`.
 * @throws {KeyboardInterrupt} If the program was interrupted.
 * @throws {CancelledError} If the main task was cancelled otherwise.
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
  /** A run has ended because nothing was left that could wake a task. */
  #isDeadlocked = false;
  /** Ends the listening for `dumpSignal`, which lasts as long as the loop. */
  #undump: () => void = () => {};
  /** Ends what watches the loop; `null` before the first run. */
  #unobserve: (() => unknown)[] | null = null;

  /**
   * Makes a runner. Its loop is made when it is first needed.
   *
   * @param options Debug mode, the loop, what interrupts it, and what watches it.
   * @throws {TypeError} If an option is of the wrong kind, or unknown.
   * @throws {RangeError} If `watchdog` is not above zero.
   */
  constructor(options: RunnerOptions = {}) {
    this.#options = checkedOptions(options);
  }

  /**
   * The loop.
   *
   * @returns The loop, made now if necessary.
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
   * Runs a coroutine function as the main task. Tasks that it leaves behind go
   * on in the next run.
   *
   * An interrupt or `options.signal` cancels the main task, and the call ends
   * once it has; the runner can run another one.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function; or a future or task of this loop.
   * @param options Its context, and a signal that cancels it.
   * @returns What the coroutine returns.
   * @throws {TypeError} If `coro` or an option is of the wrong kind, or an option is unknown.
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
    const place = new CallSite();
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
      if (this.#isToBeObserved) {
        await this.#observe(loop, place);
        options.signal?.throwIfAborted();
      }
      return await this.#untilDone(
        runIn(this.#context, start, undefined),
        place,
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
   * @throws {TimeoutError} If tasks have not ended within `shutdownTimeout`.
   * @throws {DeadlockError} If nothing is left that could end them.
   * @throws {KeyboardInterrupt} If the program was interrupted meanwhile; what is left is not awaited then.
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
    place: CallSite,
    signal?: AbortSignal,
  ): Promise<T> {
    const ended = Promise.withResolvers<void>();
    const interruption = new Interruption(task, (error) => {
      this.#forced = true;
      ended.reject(error);
    });
    const loop = task.getLoop();
    const unlisten = this.#listen((name) => interruption.onSignal(name));
    let deadlock: Promise<DeadlockError> | null = null;
    const unwatch = this.#watch(loop, place, (error) => {
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
      unlisten();
      unwatch();
      if (signal) unsubscribeAbort(signal, interruption);
    }
  }

  get #isToBeObserved(): boolean {
    const { watchdog, trace } = this.#options;
    return this.#unobserve === null &&
      (watchdog !== undefined || trace !== undefined);
  }

  /** Starts what looks at the loop. It is loaded only here, as most programs do without. */
  async #observe(loop: EventLoop, place: CallSite): Promise<void> {
    const { watchdog, trace } = this.#options;
    const ends: (() => unknown)[] = this.#unobserve = [];
    if (trace !== undefined) {
      const { writeTrace } = await import("./_trace.ts");
      try {
        ends.push(writeTrace(loop, trace));
      } catch (error) {
        throw withFrames(error as Error, place);
      }
    }
    if (watchdog !== undefined) {
      const { watchBlocks } = await import("./_watchdog.ts");
      ends.push(await watchBlocks(loop, checkWatchdog(watchdog)));
    }
  }

  /** The default signal is not there on every system; one that was asked for has to be. */
  #dumpOnSignal(loop: EventLoop): void {
    const { dumpSignal } = this.#options;
    if (dumpSignal === null) return;
    const onSignal = () => void printReport(loop);
    if (dumpSignal === undefined) {
      this.#undump = listen([DUMP_SIGNAL], onSignal);
      return;
    }
    this.#undump = listenTo(dumpSignal, onSignal);
  }

  /**
   * Calls back when nothing is left that could wake a task. Without debug mode
   * nobody knows where the tasks wait, but the errors that end them do.
   */
  #watch(
    loop: EventLoop,
    place: CallSite,
    end: (error: Promise<DeadlockError>) => void,
  ): () => void {
    const isFirst = !this.#isDeadlocked;
    const isOutside = () => isFirst && waitsOutside(loop);
    return watchForDeadlock(loop, isOutside, () => {
      this.#isDeadlocked = true;
      const report = async () => {
        const snapshot = snapshotOf(loop);
        if (isFirst) await located(snapshot, loop);
        await addPlaces(snapshot, loop);
        const title = "Deadlock: nothing is left that could wake a task";
        if (isFirst) console.error(reportOn(snapshot, title));
        const message = `${title}; ${verdictOf(snapshot)}`;
        const error = new DeadlockError(message, { snapshot });
        return withFrames(error, place);
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

  async #close(place: CallSite): Promise<void> {
    const loop = this.#loop;
    if (loop === null) return;
    if (loop.isClosed()) return await this.#leave();
    loops.setRunning(loop, true);
    const broken = Promise.withResolvers<void>();
    broken.promise.catch(() => {});
    const unlisten = this.#listen((name) => {
      void loop.shutdownDefaultExecutor(0);
      broken.reject(interrupted(name));
    });
    const wasDeadlocked = this.#isDeadlocked;
    const unwatch = this.#watch(loop, place, (error) => {
      if (wasDeadlocked) broken.resolve();
      else error.then(broken.reject);
    });
    const unlimit = this.#limit(loop, place, broken.reject);
    try {
      await Promise.race([this.#endAll(loop), broken.promise]);
    } finally {
      reportUnretrieved(loop);
      unlisten();
      unwatch();
      unlimit();
      await this.#leave();
      loops.setRunning(loop, false);
      loop.close();
    }
  }

  /** Ends what watches the loop. */
  async #leave(): Promise<void> {
    this.#undump();
    for (const end of this.#unobserve ?? []) await end();
  }

  /** Reports what takes long to end, and gives it up after `shutdownTimeout`. Returns what prevents both. */
  #limit(
    loop: EventLoop,
    place: CallSite,
    giveUp: (error: TimeoutError) => void,
  ): () => void {
    const unreport = systemTimer(LATE, () => {
      if (allTasks(loop).size === 0 || this.#isDeadlocked) return;
      const title = `Tasks that were left have not ended ${LATE} s after ` +
        "they were cancelled";
      void printReport(loop, title);
    });
    const { shutdownTimeout: limit = null } = this.#options;
    if (limit === null) return unreport;
    const seconds = toSeconds(limit, "shutdownTimeout");
    const ungive = systemTimer(Math.min(seconds, LONGEST_LIMIT), () => {
      this.#forced = true;
      giveUp(withFrames(new TimeoutError(survivors(loop, seconds)), place));
    }, true);
    return () => {
      unreport();
      ungive();
    };
  }

  /** Cancels all tasks, awaits them, and whatever else belongs to the loop. */
  async #endAll(loop: EventLoop): Promise<void> {
    const rest = [...allTasks(loop)];
    cancelFrom("the end of run()", () => {
      cancelAll(
        rest.filter((task) => !this.#isDeadlocked || task.cancelling() === 0),
      );
    });
    if (this.#forced) await batches(loop, 2);
    else if (rest.length > 0) await allDone(loop, rest);
    for (const task of rest) reportFailure(task);
    for (const close of closers.get(loop)) await close();
    await batches(loop, LAST_BATCHES);
    await loop.shutdownDefaultExecutor(this.#forced ? 0 : undefined);
  }

  #listen(onSignal: (name: SignalName) => void): () => void {
    return listen(this.#options.signals ?? ["SIGINT"], onSignal);
  }
}

/** What ends a main task from outside: signals of the system, and one that abort. */
class Interruption implements Abortable {
  readonly #task: Task<unknown>;
  readonly #force: (error: KeyboardInterrupt) => void;
  /** The signal that came, and what the task waited for then. */
  #first: { name: SignalName; what: string | null } | null = null;
  #aborted: { reason: unknown } | null = null;
  #requests = 0;
  #unreport: () => void = () => {};

  /** `force` is called with the second signal. */
  constructor(task: Task<unknown>, force: (error: KeyboardInterrupt) => void) {
    this.#task = task;
    this.#force = force;
  }

  onSignal(name: SignalName): void {
    const task = this.#task;
    if (this.#first !== null || task.done()) {
      return this.#force(interrupted(name, chainOf(stateOf(task))));
    }
    this.#first = { name, what: chainOf(stateOf(task)) };
    this.#requests++;
    this.#unreport = systemTimer(LATE, () => {
      const title = `${name} came ${LATE} s ago and has not ended the ` +
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

  /** The error for one that has ended the task. */
  outcome(error: unknown): unknown {
    if (!(error instanceof CancelledError)) return error;
    const requests = this.#requests;
    if (requests === 0 || this.#task.cancelling() > requests) return error;
    if (this.#first === null) return this.#aborted!.reason;
    const { name, what } = this.#first;
    return interrupted(name, what, framesOf(error)[0]);
  }

  end(): void {
    this.#unreport();
  }
}

/** What a loop is doing, below a title. */
function reportOn(snapshot: Snapshot, title: string): string {
  return `${title}\n${formatSnapshot(snapshot)}`;
}

/** Prints what a loop is doing. */
async function printReport(loop: EventLoop, title?: string): Promise<void> {
  const snapshot = await located(snapshotOf(loop), loop);
  console.error(
    title === undefined ? formatSnapshot(snapshot) : reportOn(snapshot, title),
  );
}

/** Cancels the tasks of a loop and adds to a snapshot where they waited. */
async function addPlaces(snapshot: Snapshot, loop: EventLoop): Promise<void> {
  const places = cancelSites.places = new Map<number, CallSite>();
  cancelFrom("the deadlock", () => {
    cancelAll(allTasks(loop));
  });
  await batches(loop, LAST_BATCHES);
  cancelSites.places = null;
  for (const task of snapshot.tasks) {
    const place = places.get(task.id);
    if (place === undefined || task.stack.length > 0) continue;
    task.stack = [...place.frames];
    task.waits = task.waits.map((wait) => ({ ...wait, place: place.line }));
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

function waitsOutside(loop: EventLoop): boolean {
  let frame = tasksOf(loop).first;
  while (frame !== null && frame.phase !== "foreign") frame = frame.next;
  return frame !== null;
}

/** The tasks that have not ended in time. */
function survivors(loop: EventLoop, seconds: number): string {
  const tasks = firstOf(
    [...allTasks(loop)],
    MOST_SURVIVORS,
    (task) => `${task.getName()} ${progressOf(stateOf(task))}`,
    "; ",
  );
  return `Tasks that were left have not ended within ${
    span(seconds)
  }: ${tasks}`;
}

/** Shows where a runner was called, and nothing of this module. */
function withFrames<E extends Error>(error: E, { frames }: CallSite): E {
  const lines = frames.map((line) => `\n    at ${line}`);
  error.stack = `${error.name}: ${error.message}${lines.join("")}`;
  return error;
}

/** Listens to signals, as far as the host lets it. Returns what ends that. */
function listen(
  signals: readonly SignalName[],
  onSignal: (name: SignalName) => void,
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

/** An error of one line: whoever pressed Ctrl-C wants no stack. */
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
