/**
 * The event loop, and how the current one is found. What runs next is decided
 * in `_turns.ts`.
 *
 * @module
 */

import { recordCreation } from "./_call_site.ts";
import type { Deque } from "./_collections.ts";
import { captureSlot, currentSlot, runFrom, SlotValue } from "./_context.ts";
import { classes } from "./_core_classes.ts";
import { debugHooks } from "./_debug_hooks.ts";
import { type Duration, toSeconds } from "./_duration.ts";
import { tidyStack } from "./_error_stack.ts";
import type { Future } from "./_future.ts";
import { environment, type LoopHost, systemHost } from "./_host.ts";
import {
  type Coroutine,
  type ExceptionContext,
  type ExceptionHandler,
  type Handle,
  TASK_OPTIONS,
  type TaskOptions,
  type TimerHandle,
} from "./_options.ts";
import type { Task } from "./_task.ts";
import type { LoopHandle } from "./_thread_channel.ts";
import { threads } from "./_thread_hooks.ts";
import type { ModuleFunction, ThreadFunction } from "./_thread_serialize.ts";
import {
  type Job,
  type LoopCounts,
  Scheduler,
  type TimerEntry,
} from "./_turns.ts";
import {
  briefly,
  checkBag,
  checkCallback,
  checkCoroutine,
  checkInstance,
  checkMethods,
} from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

export type {
  ExceptionContext,
  ExceptionHandler,
  Handle,
  TimerHandle,
} from "./_options.ts";
export type { LoopHost } from "./_host.ts";
export { debugHooks } from "./_debug_hooks.ts";
export type { Job, LoopCounts, TimerEntry } from "./_turns.ts";
export type { EventLoop as BaseEventLoop };

/** What user code runs in: a loop, and the task if it belongs to one. */
export interface ExecutionContext {
  readonly loop: EventLoop;
  readonly task: object | null;
  /** Whether it is a cancel scope, which tracks what its code awaits. */
  readonly isScope: boolean;
}

const CREATE = "create a task";
const HOST_METHODS = ["now", "soon", "wakeAt", "forget"] as const;
/** The message of a report that has none. */
const UNKNOWN_ERROR = "Unhandled error in the event loop";

/** The tasks of a loop that are not done, newest first. */
export interface TaskList {
  first: TaskEntry | null;
}

/** A task in the list of its loop. */
export interface TaskEntry {
  readonly next: TaskEntry | null;
}

/** What other files may do with a loop; the static block of {@linkcode EventLoop} implements it. */
export interface LoopInternals {
  push(loop: EventLoop, job: Job): void;
  /**
   * Starts a turn as soon as the microtasks have run, not a round trip later;
   * for what the runtime delivers, such as bytes.
   */
  scheduleSoon(loop: EventLoop): void;
  /** Whether a turn is running or scheduled. */
  isScheduled(loop: EventLoop): boolean;
  /** Runs a timer once the loop's clock has come to a time. */
  addTimer(loop: EventLoop, due: number, timer: TimerEntry): void;
  removeTimer(loop: EventLoop, timer: TimerEntry): void;
  setRunning(loop: EventLoop, running: boolean): void;
  /** Calls a function once the current batch has run. */
  afterBatch(loop: EventLoop, call: () => void): void;
  /** The execution context of the loop's callbacks. */
  execution(loop: EventLoop): ExecutionContext;
  /** The list of tasks that are not done; `_task_state.ts` links it. */
  tasks(loop: EventLoop): TaskList;
  /** Creates the states of the loop's tasks; `null` for plain ones. */
  taskStates(loop: EventLoop): TaskStateFactory | null;
  setTaskStates(loop: EventLoop, factory: TaskStateFactory): void;
  /** The ready queue. */
  ready(loop: EventLoop): Deque<Job>;
  counts(loop: EventLoop): LoopCounts;
  /** The number of the current microtask checkpoint; `NaN` outside of the loop's turns. */
  checkpoint(loop: EventLoop): number;
  /** The number of the last microtask checkpoint, also outside of the loop's turns. */
  checkpoints(loop: EventLoop): number;
  /** The outermost function of the loop on the stack; `null` if there is none. */
  entryFunction(loop: EventLoop): (() => void) | null;
  /** The time in whole milliseconds, read once per turn. V8 would box fractions. */
  cachedNow(loop: EventLoop): number;
}

/** Makes the tasks of a loop; see `eagerTaskFactory`. */
export type TaskFactory = <T>(
  loop: EventLoop,
  coro: Coroutine<T>,
  options?: TaskOptions,
) => Task<T>;

/** Creates the states of a loop's tasks. */
export type TaskStateFactory = (
  loop: EventLoop,
  task: object,
  name: string | number,
  body: unknown,
) => ExecutionContext;

export let internals: LoopInternals;

/** Whether a value is an event loop; unlike `instanceof`, fast and safe with proxies. */
export let isLoop: (value: unknown) => value is EventLoop;

/**
 * The loop that runs tasks and callbacks.
 *
 * `run()` makes one and ends it; where there is none, an implicit one serves
 * top-level code, request handlers and test bodies.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html}.
 *
 * @example
 * ```ts
 * import { getRunningLoop, run, sleep } from "@asyncio/asyncio";
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   loop.callLater(0.01, console.log, "called");
 *   await sleep({ milliseconds: 20 });
 * });
 * ```
 */
export class EventLoop {
  #taskFactory: TaskFactory | null = null;
  /**
   * How long one callback or step may take in debug mode before it is
   * reported, in seconds.
   *
   * @default 0.1
   */
  slowCallbackDuration = 0.1;

  readonly #scheduler: Scheduler;
  #running = false;
  #closed = false;
  #debug = false;
  #exceptionHandler: ExceptionHandler | null = null;
  readonly #tasks: TaskList = { first: null };
  #taskStates: TaskStateFactory | null = null;
  readonly #execution: ExecutionContext = new LoopContext(this);

  /**
   * Creates a loop. It runs and holds nothing until there is work.
   *
   * @param host The clock and scheduler to run on, by default those of the runtime.
   */
  constructor(host: LoopHost = systemHost()) {
    checkMethods(host, HOST_METHODS, "create a loop", "host");
    this.#scheduler = new Scheduler(this, host);
    living.add(new WeakRef<EventLoop>(this));
    if (debugByDefault()) this.setDebug(true);
  }

  static {
    isLoop = (value): value is EventLoop =>
      typeof value === "object" && value !== null && #scheduler in value;
    internals = {
      push: (loop, job) => loop.#push(job),
      scheduleSoon: (loop) => {
        if (!loop.#closed) loop.#scheduler.scheduleSoon();
      },
      isScheduled: (loop) => loop.#scheduler.isScheduled,
      addTimer: (loop, due, timer) => loop.#addTimer(due, timer),
      removeTimer: (loop, timer) => loop.#scheduler.removeTimer(timer),
      setRunning: (loop, running) => loop.#running = running,
      afterBatch: (loop, call) => loop.#scheduler.afterBatch(call),
      execution: (loop) => loop.#execution,
      tasks: (loop) => loop.#tasks,
      taskStates: (loop) => loop.#taskStates,
      setTaskStates: (loop, factory) => loop.#taskStates = factory,
      ready: (loop) => loop.#scheduler.ready,
      entryFunction: (loop) => loop.#scheduler.entryFunction,
      counts: (loop) => loop.#scheduler.counts,
      checkpoint: (loop) => loop.#scheduler.checkpoint,
      checkpoints: (loop) => loop.#scheduler.lastCheckpoint,
      cachedNow: (loop) => loop.#scheduler.cachedNow,
    };
  }

  /**
   * The loop's clock.
   *
   * @returns Seconds since an arbitrary moment; it never goes back.
   */
  time(): number {
    return this.#scheduler.now();
  }

  /** Whether a runner is running the loop. */
  isRunning(): boolean {
    return this.#running;
  }

  /** Whether {@linkcode EventLoop.close} was called. */
  isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Closes the loop. Ready jobs and timers are dropped, and calls from other
   * threads fail.
   *
   * @throws {RuntimeError} If it is running.
   */
  close(): void {
    if (this.#running) {
      throw new RuntimeError("Cannot close a loop that is running");
    }
    if (this.#debug && !this.#closed) debugHooks.debug(false);
    this.#closed = true;
    this.#scheduler.clear();
    threads.close(this);
  }

  /** Whether debug mode is on. */
  getDebug(): boolean {
    return this.#debug;
  }

  /**
   * Switches debug mode for tasks created from now on.
   *
   * In debug mode tasks remember where they were created and where they wait.
   * The exception handler is told about callbacks and steps that take longer
   * than {@linkcode EventLoop.slowCallbackDuration}, about tasks that were
   * cancelled and went on, and about tasks that were cancelled but await a
   * promise that cannot be interrupted.
   *
   * It is on from the start if the environment variable `ASYNCIO_DEBUG` is set
   * and may be read.
   *
   * @param enabled Whether to switch it on.
   */
  setDebug(enabled: boolean): void {
    const before = this.#debug;
    this.#debug = Boolean(enabled);
    this.#scheduler.isMeasuring = this.#debug;
    if (before !== this.#debug && !this.#closed) debugHooks.debug(this.#debug);
  }

  /**
   * Calls a function in the next batch, after all callbacks that are ready
   * already.
   *
   * @typeParam A The arguments.
   * @param fn What to call, in the context of the caller. An error goes to the exception handler.
   * @param args Its arguments.
   * @returns A handle to cancel the call.
   * @throws {RuntimeError} If the loop is closed.
   */
  callSoon<A extends unknown[]>(
    fn: (...args: A) => unknown,
    ...args: A
  ): Handle {
    if (this.#debug) debugHooks.checkCaller(this);
    return this.#soon(fn, args);
  }

  /**
   * The same as {@linkcode EventLoop.callSoon}, for code of the same thread.
   * Another thread reaches the loop with `runCoroutineThreadsafe`.
   *
   * @typeParam A The arguments.
   * @param fn What to call.
   * @param args Its arguments.
   * @returns A handle to cancel the call.
   */
  callSoonThreadsafe<A extends unknown[]>(
    fn: (...args: A) => unknown,
    ...args: A
  ): Handle {
    return this.#soon(fn, args);
  }

  /**
   * Calls a function after a delay.
   *
   * @typeParam A The arguments.
   * @param delay Seconds or a duration; a negative one is due at once.
   * @param fn What to call, in the context of the caller.
   * @param args Its arguments.
   * @returns A handle to cancel the call.
   */
  callLater<A extends unknown[]>(
    delay: Duration,
    fn: (...args: A) => unknown,
    ...args: A
  ): TimerHandle {
    return this.callAt(this.time() + toSeconds(delay), fn, ...args);
  }

  /**
   * Calls a function at a time of the loop's clock.
   *
   * @typeParam A The arguments.
   * @param when The time, in seconds as {@linkcode EventLoop.time} counts them.
   * @param fn What to call, in the context of the caller.
   * @param args Its arguments.
   * @returns A handle to cancel the call.
   */
  callAt<A extends unknown[]>(
    when: number,
    fn: (...args: A) => unknown,
    ...args: A
  ): TimerHandle {
    if (this.#debug) debugHooks.checkCaller(this);
    const job = this.#callback(toSeconds(when, "time"), fn, args);
    this.#addTimer(job.when(), job);
    return job;
  }

  /**
   * Sets the handler of errors that nothing else handles.
   *
   * @param handler The handler, or `null` for the default one.
   * @throws {TypeError} If it is neither.
   */
  setExceptionHandler(handler: ExceptionHandler | null): void {
    if (handler !== null) {
      checkCallback(handler, "set the exception handler", "the handler");
    }
    this.#exceptionHandler = handler;
  }

  /** The exception handler; `null` for the default one. */
  getExceptionHandler(): ExceptionHandler | null {
    return this.#exceptionHandler;
  }

  /**
   * Reports an error to the exception handler. If the handler fails, both
   * errors go to the default one.
   *
   * @param context What happened.
   */
  callExceptionHandler(context: ExceptionContext): void {
    checkReport(context);
    tidyStack(context.exception);
    if (this.#exceptionHandler === null) {
      this.defaultExceptionHandler(context);
      return;
    }
    try {
      this.#exceptionHandler(this, context);
    } catch (error) {
      this.defaultExceptionHandler(context);
      this.defaultExceptionHandler({
        message: "The exception handler itself failed",
        exception: error,
      });
    }
  }

  /**
   * Writes one readable report to the standard error stream.
   *
   * @param context What happened.
   */
  defaultExceptionHandler(context: ExceptionContext): void {
    checkReport(context);
    const { message = UNKNOWN_ERROR, exception, ...rest } = context;
    const lines: unknown[] = [message];
    for (const [key, value] of Object.entries(rest)) {
      lines.push(`\n${key}:`, exception ? briefly(value) : value);
    }
    if (exception !== undefined) lines.push("\n", exception);
    try {
      console.error(...lines);
    } catch {
      console.error(message, "\n", "(its details cannot be shown)");
    }
  }

  /**
   * Creates a pending future of this loop.
   *
   * @typeParam T The type of its value.
   * @returns The future.
   */
  createFuture<T = unknown>(): Future<T> {
    const future = new classes.Future<T>(this as never);
    if (this.#debug) recordCreation(future);
    return future;
  }

  /**
   * Runs a coroutine function as a task of this loop.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function.
   * @param options Name, context, eager start and signal.
   * @returns The task.
   * @throws {TypeError} If `coro` is not a function.
   */
  createTask<T>(coro: Coroutine<T>, options?: TaskOptions): Task<T> {
    if (this.#taskFactory !== null) return this.#make(coro, options);
    return new classes.Task(coro, options, this);
  }

  /**
   * Sets the factory that creates the tasks of this loop.
   *
   * @param factory The factory, or `null` for plain tasks.
   * @throws {TypeError} If it is neither.
   */
  setTaskFactory(factory: TaskFactory | null): void {
    if (factory !== null) {
      checkCallback(factory, "set the task factory", "the factory");
    }
    this.#taskFactory = factory;
  }

  /**
   * Runs a function in a thread of this loop, as `toThread` does.
   *
   * A cancelled call leaves the thread to finish, and its result is dropped.
   * A call that still waits for a thread is not made at all.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_in_executor}.
   *
   * @typeParam F The function.
   * @param fn The function, or the module it is exported from and its name.
   * @param args Its arguments.
   * @returns What it returns; if that is a promise, its value.
   * @throws {CancelledError} If the task is cancelled.
   * @throws What the function throws.
   *
   * @example
   * ```ts
   * import { getRunningLoop, run } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const add = (a: number, b: number) => a + b;
   * const sum = await run(() => getRunningLoop().runInExecutor(null, add, 1, 2));
   * assert(sum === 3);
   * ```
   */
  runInExecutor<F extends ThreadFunction>(
    fn: F | ModuleFunction,
    ...args: Parameters<F>
  ): Promise<Awaited<ReturnType<F>>>;
  /**
   * The same, with asyncio's place for an executor. There is only the default
   * one. A cancelled call leaves the thread to finish.
   *
   * @typeParam F The function.
   * @param executor `null`, for the default executor.
   * @param fn The function, or the module it is exported from and its name.
   * @param args Its arguments.
   * @returns What it returns; if that is a promise, its value.
   * @throws {CancelledError} If the task is cancelled.
   * @throws What the function throws.
   */
  runInExecutor<F extends ThreadFunction>(
    executor: null,
    fn: F | ModuleFunction,
    ...args: Parameters<F>
  ): Promise<Awaited<ReturnType<F>>>;
  runInExecutor(...call: unknown[]): Promise<unknown> {
    const [fn, ...args] = call[0] === null ? call.slice(1) : call;
    return threads.call(this, fn, args);
  }

  /**
   * Waits until the calls in threads of this loop are done and the threads
   * have ended. Further calls are refused from now on.
   *
   * Cancelled, it changes nothing: the threads still end after their calls.
   *
   * @param timeout How long at most, 300 seconds by default. After that there is a warning, calls in progress fail, and their threads are abandoned.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { getRunningLoop, run } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await run(async () => {
   *   const loop = getRunningLoop();
   *   assert(await loop.runInExecutor(null, () => 42) === 42);
   *   await loop.shutdownDefaultExecutor(5);
   * });
   * ```
   */
  async shutdownDefaultExecutor(timeout: Duration = 300): Promise<void> {
    await threads.shutdown(this, timeout);
  }

  /**
   * Lets other threads call functions on this loop, by `runCoroutineThreadsafe`
   * with their names. Each call runs as a task. A function replaces an earlier
   * one of the same name.
   *
   * @param functions The functions, by name. They may be `async`.
   * @throws {TypeError} If one is not a function; then none is exposed.
   */
  expose(functions: Record<string, ThreadFunction>): void {
    threads.expose(this, functions);
  }

  /**
   * A handle to this loop for other threads: pass it to `toThread`, or post it
   * to a worker of your own.
   *
   * @returns The handle, the same one every time. It can be cloned.
   */
  handle(): LoopHandle {
    return threads.handle(this);
  }

  /** The task factory; `null` for plain tasks. */
  getTaskFactory(): TaskFactory | null {
    return this.#taskFactory;
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    let tasks = 0;
    for (let it = this.#tasks.first; it !== null; it = it.next) tasks++;
    const state = this.isClosed()
      ? "closed"
      : this.isRunning()
      ? "running"
      : "idle";
    const debug = this.getDebug() ? ", debug mode" : "";
    return `<${this.constructor.name} ${state}, ${tasks} tasks${debug}>`;
  }

  /** Creates a task by the factory, which may have options of its own. */
  #make<T>(coro: Coroutine<T>, options?: TaskOptions): Task<T> {
    checkCoroutine(coro, CREATE);
    checkBag(options, TASK_OPTIONS, CREATE);
    const task = this.#taskFactory!(this, coro, options);
    checkInstance(task, classes.Future, CREATE, "what the task factory makes");
    return task;
  }

  #soon<A extends unknown[]>(fn: (...args: A) => unknown, args: A): Handle {
    const job = this.#callback(this.#scheduler.now(), fn, args);
    this.#push(job);
    return job;
  }

  #callback(
    when: number,
    // deno-lint-ignore no-explicit-any
    fn: (...args: any[]) => unknown,
    args: unknown[],
  ): Callback {
    checkCallback(fn, "schedule a callback");
    return new Callback(this, this.#execution, when, fn, args);
  }

  #push(job: Job): void {
    if (this.#closed) throw new RuntimeError("The event loop is closed");
    this.#scheduler.push(job);
  }

  #addTimer(due: number, timer: TimerEntry): void {
    if (this.#closed) throw new RuntimeError("The event loop is closed");
    this.#scheduler.addTimer(due, timer);
  }
}

/** The execution context of code that belongs to no task. */
class LoopContext extends SlotValue implements ExecutionContext {
  readonly #loop: EventLoop;

  constructor(loop: EventLoop) {
    super();
    this.#loop = loop;
  }

  get loop(): EventLoop {
    return this.#loop;
  }

  get task(): null {
    return null;
  }

  get isScope(): boolean {
    return false;
  }
}

/** A function to call on the loop, in the context of the code that scheduled it. */
class Callback implements TimerEntry, TimerHandle {
  readonly #loop: EventLoop;
  readonly #when: number;
  readonly #fn: (...args: unknown[]) => unknown;
  /** `null` once cancelled. */
  #args: unknown[] | null;
  readonly #execution: ExecutionContext;
  readonly #context = captureSlot();
  isCancelled = false;

  constructor(
    loop: EventLoop,
    execution: ExecutionContext,
    when: number,
    fn: (...args: unknown[]) => unknown,
    args: unknown[],
  ) {
    this.#loop = loop;
    this.#when = when;
    this.#fn = fn;
    this.#args = args;
    this.#execution = execution;
  }

  when(): number {
    return this.#when;
  }

  cancel(): void {
    this.#args = null;
    internals.removeTimer(this.#loop, this);
  }

  cancelled(): boolean {
    return this.#args === null;
  }

  describe(): string {
    return `Callback ${this.#name}`;
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const left = this.#when - this.#loop.time();
    const state = this.cancelled()
      ? ", cancelled"
      : left > 0
      ? `, due in ${left.toFixed(1)} s`
      : "";
    return `<Handle ${this.#name}${state}>`;
  }

  get #name(): string {
    return this.#fn.name || "(anonymous)";
  }

  run(): boolean {
    if (this.#args === null) return false;
    runFrom(this.#context, this.#execution, Callback.#call, this);
    return true;
  }

  static #call(this: void, self: Callback): void {
    try {
      self.#fn(...self.#args ?? []);
    } catch (exception) {
      self.#loop.callExceptionHandler({
        message: `Error in callback ${self.#name}`,
        exception,
        handle: self,
      });
    }
  }
}

/** The execution context of the running code; `undefined` outside of every loop. */
export function currentExecution(): ExecutionContext | undefined {
  return currentSlot() as ExecutionContext | undefined;
}

/** All loops created; some may be closed or garbage by now. */
const living = new Set<WeakRef<EventLoop>>();

/** The loops that are not closed. */
export function livingLoops(): EventLoop[] {
  const loops: EventLoop[] = [];
  for (const ref of living) {
    const loop = ref.deref();
    if (loop === undefined || loop.isClosed()) living.delete(ref);
    else loops.push(loop);
  }
  return loops;
}

function checkReport(context: unknown): void {
  checkBag(context, ["message"], "report an error");
  if (context !== undefined) return;
  throw new TypeError(
    "Cannot report an error: the context must be an object, got undefined",
  );
}

let debugWanted: boolean | undefined;

/** Whether the environment asks for debug mode, if it may be read without a prompt. */
function debugByDefault(): boolean {
  if (debugWanted !== undefined) return debugWanted;
  const value = environment("ASYNCIO_DEBUG");
  return debugWanted = value !== undefined && value !== "" && value !== "0";
}

let defaultLoop: EventLoop | undefined;

/**
 * Returns the loop that runs the calling code.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_running_loop}.
 *
 * @returns The loop.
 * @throws {RuntimeError} Where no runner is running; the implicit loop does not count.
 *
 * @example
 * ```ts
 * import { getRunningLoop, run } from "@asyncio/asyncio";
 * import { assert, assertThrows } from "@std/assert";
 *
 * assert(await run(() => getRunningLoop().isRunning()));
 * assertThrows(getRunningLoop);
 * ```
 */
export function getRunningLoop(): EventLoop {
  const loop = currentExecution()?.loop;
  if (loop === undefined || !loop.isRunning()) {
    throw new RuntimeError("There is no running event loop here");
  }
  return loop;
}

/**
 * Returns the loop of the calling code.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_event_loop}.
 *
 * @returns The running loop, or the implicit one where none is running.
 *
 * @example
 * ```ts
 * import { getEventLoop, run } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const implicit = getEventLoop();
 * assert(getEventLoop() === implicit);
 * assert(await run(() => getEventLoop() !== implicit));
 * ```
 */
export function getEventLoop(): EventLoop {
  const loop = currentExecution()?.loop;
  return loop ?? (defaultLoop ??= new EventLoop());
}

/** Whether a loop is the implicit one, which code outside of every runner shares. */
export function isImplicit(loop: EventLoop): boolean {
  return loop === defaultLoop;
}
