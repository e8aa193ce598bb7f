/**
 * The scheduler of an event loop: what runs next.
 *
 * Jobs that are ready wait in one first-in-first-out queue, timers in one heap.
 * The loop runs the queue in batches. Jobs added during a batch wait for the
 * next one. Before each batch, all timers that are due move into the queue, so
 * no task resumes between two timers of the same instant.
 *
 * A job that resumed user code returns `true`. The loop then drains the
 * microtasks before it runs the next job, so between two waits of this module a
 * task is never interleaved with another, however deep its async functions are
 * nested. These are the steps of asyncio. Where the runtime allows it, the loop
 * runs the microtasks itself. Otherwise each step costs a `process.nextTick`,
 * whose queue runs after the microtasks, at ten times the price. Resuming all
 * jobs of a batch at once would be cheaper still, but would interleave tasks by
 * the depth of their call stacks.
 *
 * Between batches the loop yields to the runtime with `setImmediate`, which
 * polls sockets and timers and is not clamped to milliseconds as `setTimeout`
 * is. Small batches share one turn, up to {@linkcode TURN_JOBS} jobs, as a
 * chain of hand-offs would otherwise cost a round trip each. When nothing is
 * ready, one timer of the runtime is set for the first entry of the heap. With
 * an empty heap the loop holds nothing at all.
 *
 * @module
 */

import { debugHooks } from "./_debug_hooks.ts";
import { Deque, TimerHeap } from "./_collections.ts";
import { captureSlot, currentSlot, runFrom, SlotValue } from "./_context.ts";
import { type Duration, toSeconds } from "./_duration.ts";
import {
  afterMicrotasks,
  canRunMicrotasks,
  environment,
  type LoopHost,
  runtimeCore,
  systemHost,
} from "./_host.ts";
import { checkBag, checkCallback, checkMethods } from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

export type { LoopHost } from "./_host.ts";
export { debugHooks } from "./_debug_hooks.ts";

/** Something to run on the loop. */
export interface Job {
  /** Returns whether user code was resumed, so that the microtasks must be drained. */
  run(): boolean;
  /** A description for reports. */
  describe?(): string;
  /** Called if the loop is closed before the job runs. */
  recover?(): void;
}

/** A job to run at a time of the loop's clock. */
export interface TimerEntry extends Job {
  /** A cancelled timer stays in the heap until it is due or the heap is swept. */
  isCancelled: boolean;
}

/** What an exception handler receives. */
export interface ExceptionContext {
  /** What went wrong, in a sentence. */
  message: string;
  /** The error, if there is one. */
  exception?: unknown;
  /** The task it happened in. */
  task?: object;
  /** The future it happened in. */
  future?: object;
  /** The callback it happened in. */
  handle?: Handle;
  /** Further details, such as `peername` or `pid`. */
  [key: string]: unknown;
}

/** Receives errors that nothing else handles: the loop, and what happened. */
export type ExceptionHandler = {
  // A method: a handler may ask for the class of its own loop.
  call(loop: BaseEventLoop, context: ExceptionContext): unknown;
}["call"];

/** A scheduled callback. */
export interface Handle {
  /** Cancels the callback; has no effect once it was called. */
  cancel(): void;
  /** Whether it was cancelled. */
  cancelled(): boolean;
}

/** A callback scheduled for a time. */
export interface TimerHandle extends Handle {
  /** When it is due, in seconds of `loop.time()`. */
  when(): number;
}

/** What user code runs in: a loop, and the task if it belongs to one. */
export interface ExecutionContext {
  readonly loop: BaseEventLoop;
  readonly task: object | null;
  /** Whether it is a cancel scope, which tracks what its code awaits. */
  readonly isScope: boolean;
}

/** How many jobs may run in a turn before further batches wait for the next turn. */
const TURN_JOBS = 64;
/** The heap is swept once it holds more cancelled timers than this, and more than others. */
const SWEEP_ABOVE = 100;
const HOST_METHODS = ["now", "soon", "wakeAt", "forget"] as const;
/** The message of a report that has none. */
const UNKNOWN_ERROR = "Unhandled error in the event loop";

const settled = Promise.resolve();
const { runMicrotasks } = runtimeCore;

/** The work of a loop. */
export interface LoopCounts {
  /** Jobs that are ready to run. */
  ready: number;
  timers: number;
  /** When the first timer is due. */
  due: number;
}

/** What other files may do with a loop; the static block of {@linkcode BaseEventLoop} implements it. */
export interface LoopInternals {
  push(loop: BaseEventLoop, job: Job): void;
  /**
   * Starts a turn as soon as the microtasks have run, not a round trip later;
   * for what the runtime delivers, such as bytes.
   */
  scheduleSoon(loop: BaseEventLoop): void;
  /** Whether a turn is running or scheduled. */
  isScheduled(loop: BaseEventLoop): boolean;
  /** Runs a timer once the loop's clock has come to a time. */
  addTimer(loop: BaseEventLoop, due: number, timer: TimerEntry): void;
  removeTimer(loop: BaseEventLoop, timer: TimerEntry): void;
  setRunning(loop: BaseEventLoop, running: boolean): void;
  /** Calls a function once the current batch has run. */
  afterBatch(loop: BaseEventLoop, call: () => void): void;
  /** The execution context of the loop's callbacks. */
  execution(loop: BaseEventLoop): ExecutionContext;
  /** The list of tasks that are not done; `_task_state.ts` links it. */
  tasks(loop: BaseEventLoop): { first: ExecutionContext | null };
  /** Creates the states of the loop's tasks; `null` for plain ones. */
  taskStates(loop: BaseEventLoop): TaskStateFactory | null;
  setTaskStates(loop: BaseEventLoop, factory: TaskStateFactory): void;
  /** The ready queue. */
  ready(loop: BaseEventLoop): Deque<Job>;
  /** What other files keep for the lifetime of the loop, each under its own key. */
  storage(loop: BaseEventLoop): Map<unknown, unknown>;
  counts(loop: BaseEventLoop): LoopCounts;
  /** The number of the current microtask checkpoint; `NaN` outside of the loop's turns. */
  checkpoint(loop: BaseEventLoop): number;
  /** The number of the last microtask checkpoint, also outside of the loop's turns. */
  checkpoints(loop: BaseEventLoop): number;
  /** The outermost function of the loop on the stack; `null` if there is none. */
  entryFunction(loop: BaseEventLoop): (() => void) | null;
  /** The time in whole milliseconds, read once per turn. V8 would box fractions. */
  cachedNow(loop: BaseEventLoop): number;
}

/** Creates the states of a loop's tasks. */
export type TaskStateFactory = (
  loop: BaseEventLoop,
  task: object,
  name: string | number,
  body: unknown,
) => ExecutionContext;

export let internals: LoopInternals;

/**
 * The part of a loop that knows nothing of futures: clock, callbacks, errors.
 * Programs use an `EventLoop`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html}.
 */
export class BaseEventLoop {
  /**
   * How long one callback or step may take in debug mode before it is
   * reported, in seconds.
   *
   * @default 0.1
   */
  slowCallbackDuration = 0.1;

  readonly #host: LoopHost;
  readonly #ready = new Deque<Job>();
  /** How many jobs of the current batch are left; `#ready` may hold more. */
  #batch = 0;
  /** Whether a turn is running or scheduled. */
  #isScheduled = false;
  /** How many more jobs may run in this turn; a batch is never cut. */
  #jobBudget = 0;
  /** Whether this turn runs the microtasks itself. */
  #canRunMicrotasks = false;
  /** Incremented before and after the microtasks of each job. */
  #checkpoint = 0;
  #inTurn = false;
  /** Called in order once the current batch has run. */
  #atBatchEnd: (() => void)[] = [];
  readonly #timers = new TimerHeap<TimerEntry>();
  /** How many timers in the heap are cancelled. */
  #cancelledTimers = 0;
  #running = false;
  #closed = false;
  #debug = false;
  /** In debug mode, the job that is running with its microtasks, and since when. */
  #watched: { job: Job; since: number } | null = null;
  /** The time as first read in this turn; 0 if not read yet. */
  #cachedNow = 0;
  #exceptionHandler: ExceptionHandler | null = null;
  readonly #tasks: { first: ExecutionContext | null } = { first: null };
  #taskStates: TaskStateFactory | null = null;
  readonly #storage = new Map<unknown, unknown>();
  readonly #execution: ExecutionContext = new LoopContext(this);

  /**
   * Creates a loop. It runs and holds nothing until there is work.
   *
   * @param host The clock and scheduler to run on, by default those of the runtime.
   */
  constructor(host: LoopHost = systemHost()) {
    checkMethods(host, HOST_METHODS, "create a loop", "host");
    this.#host = host;
    living.add(new WeakRef<BaseEventLoop>(this));
    if (debugByDefault()) this.setDebug(true);
  }

  static {
    internals = {
      push: (loop, job) => loop.#push(job),
      scheduleSoon: (loop) => loop.#scheduleSoon(),
      isScheduled: (loop) => loop.#isScheduled,
      addTimer: (loop, due, timer) => loop.#addTimer(due, timer),
      removeTimer: (loop, timer) => loop.#removeTimer(timer),
      setRunning: (loop, running) => loop.#running = running,
      afterBatch: (loop, call) => void loop.#atBatchEnd.push(call),
      execution: (loop) => loop.#execution,
      tasks: (loop) => loop.#tasks,
      taskStates: (loop) => loop.#taskStates,
      setTaskStates: (loop, factory) => loop.#taskStates = factory,
      ready: (loop) => loop.#ready,
      storage: (loop) => loop.#storage,
      entryFunction: (loop) =>
        loop.#inTurn && loop.#canRunMicrotasks ? loop.#turn : null,
      counts: (loop) => ({
        ready: loop.#ready.length,
        timers: loop.#timers.length - loop.#cancelledTimers,
        due: loop.#timers.length > 0 ? loop.#timers.due : Infinity,
      }),
      checkpoint: (loop) => loop.#inTurn ? loop.#checkpoint : NaN,
      checkpoints: (loop) => loop.#checkpoint,
      cachedNow: (loop) =>
        loop.#isScheduled
          ? loop.#cachedNow ||= loop.#milliseconds()
          : loop.#milliseconds(),
    };
  }

  /**
   * The loop's clock.
   *
   * @returns Seconds since an arbitrary moment; it never goes back.
   */
  time(): number {
    return this.#host.now();
  }

  /** Whether a runner is running the loop. */
  isRunning(): boolean {
    return this.#running;
  }

  /** Whether {@linkcode BaseEventLoop.close} was called. */
  isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Closes the loop. Ready jobs and timers are dropped.
   *
   * @throws {RuntimeError} If it is running.
   */
  close(): void {
    if (this.#running) {
      throw new RuntimeError("Cannot close a loop that is running");
    }
    if (this.#debug && !this.#closed) debugHooks.debug(false);
    this.#closed = true;
    const dropped = [...this.#ready];
    this.#ready.clear();
    this.#timers.clear();
    this.#batch = 0;
    this.#host.forget();
    for (const job of dropped) job.recover?.();
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
   * than {@linkcode BaseEventLoop.slowCallbackDuration}, about tasks that were
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
   * The same as {@linkcode BaseEventLoop.callSoon}, for code of the same thread.
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
   * @param when The time, in seconds as {@linkcode BaseEventLoop.time} counts them.
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
      lines.push(`\n${key}:`, value);
    }
    if (exception !== undefined) lines.push("\n", exception);
    try {
      console.error(...lines);
    } catch {
      console.error(message, "\n", "(its details cannot be shown)");
    }
  }

  #milliseconds(): number {
    return Math.round(this.#host.now() * 1000);
  }

  #soon<A extends unknown[]>(fn: (...args: A) => unknown, args: A): Handle {
    const job = this.#callback(this.#host.now(), fn, args);
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
    this.#ready.push(job);
    if (!this.#isScheduled) this.#schedule();
  }

  #addTimer(due: number, timer: TimerEntry): void {
    if (this.#closed) throw new RuntimeError("The event loop is closed");
    this.#timers.push(due, timer);
    if (!this.#isScheduled && this.#timers.peek() === timer) this.#endTurn();
  }

  #removeTimer(timer: TimerEntry): void {
    if (timer.isCancelled) return;
    timer.isCancelled = true;
    this.#cancelledTimers++;
    if (
      this.#cancelledTimers > SWEEP_ABOVE &&
      this.#cancelledTimers * 2 > this.#timers.length
    ) {
      this.#timers.filter((timer) => !timer.isCancelled);
      this.#cancelledTimers = 0;
    }
    if (!this.#isScheduled) this.#endTurn();
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#cachedNow = 0;
    this.#host.forget();
    this.#host.soon(this.#turn);
  }

  #scheduleSoon(): void {
    if (this.#isScheduled || this.#closed) return;
    this.#isScheduled = true;
    this.#cachedNow = 0;
    this.#host.forget();
    afterMicrotasks(this.#turn);
  }

  /**
   * Runs a turn. It runs the microtasks itself, so that few calls of this module
   * are on the stacks of user code.
   */
  readonly #turn = (): void => {
    this.#isScheduled = true;
    this.#inTurn = true;
    this.#cachedNow = 0;
    this.#jobBudget = TURN_JOBS;
    this.#canRunMicrotasks = canRunMicrotasks();
    this.#nextBatch();
    if (!this.#canRunMicrotasks) return this.#runBatches();
    this.#checkpoint++;
    while (this.#runJobs()) {
      runMicrotasks!();
      this.#checkpoint++;
      if (this.#watched !== null) this.#endWatch();
    }
  };

  /** Moves due timers into the queue and starts a batch. */
  #nextBatch(): void {
    if (this.#timers.length > 0) this.#readyTimers(this.#host.now());
    this.#batch = this.#ready.length;
    this.#jobBudget -= this.#batch;
  }

  #readyTimers(now: number): void {
    for (;;) {
      const timer = this.#timers.peek();
      if (timer === undefined) return;
      if (!timer.isCancelled && this.#timers.due > now) return;
      this.#timers.pop();
      if (timer.isCancelled) this.#cancelledTimers--;
      else {
        timer.isCancelled = true;
        this.#ready.push(timer);
      }
    }
  }

  /** Continues after the microtasks, where only the runtime can run them. */
  readonly #runBatches = (): void => {
    this.#checkpoint++;
    if (this.#watched !== null) this.#endWatch();
    if (this.#runJobs()) settled.then(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => afterMicrotasks(this.#runBatches);

  /** Runs jobs until one resumes user code, so that the microtasks must run. Returns `false` at the end of the turn. */
  #runJobs(): boolean {
    for (;;) {
      while (this.#batch > 0) {
        this.#batch--;
        if (this.#runNext()) return true;
      }
      if (this.#atBatchEnd.length > 0) {
        this.#endBatch();
        return true;
      }
      if (this.#ready.length === 0 || this.#jobBudget <= 0) break;
      this.#nextBatch();
    }
    this.#inTurn = false;
    if (this.#ready.length === 0) this.#endTurn();
    else this.#host.soon(this.#turn);
    return false;
  }

  /** Runs a job. Nothing that a user passed in may stop the other jobs. */
  #runNext(): boolean {
    const job = this.#ready.shift() as Job;
    try {
      return this.#debug ? this.#watch(job) : job.run();
    } catch (exception) {
      this.callExceptionHandler({
        message: "Error in a job of the event loop",
        exception,
      });
      return true;
    }
  }

  /** Runs a job and measures it until its microtasks have run. */
  #watch(job: Job): boolean {
    this.#watched = { job, since: performance.now() };
    const resumed = job.run();
    if (!resumed) this.#endWatch();
    return resumed;
  }

  #endWatch(): void {
    const { job, since } = this.#watched!;
    this.#watched = null;
    const seconds = (performance.now() - since) / 1000;
    if (seconds >= this.slowCallbackDuration) {
      debugHooks.slow(this, job, seconds);
    }
  }

  #endBatch(): void {
    const calls = this.#atBatchEnd;
    this.#atBatchEnd = [];
    for (const call of calls) {
      try {
        call();
      } catch (exception) {
        const message = "Error at the end of a batch of the event loop";
        this.callExceptionHandler({ message, exception });
      }
    }
  }

  /** Nothing is ready: sets a timer of the runtime for the first timer, if any. */
  #endTurn(): void {
    this.#isScheduled = false;
    let timer = this.#timers.peek();
    while (timer?.isCancelled) {
      this.#timers.pop();
      this.#cancelledTimers--;
      timer = this.#timers.peek();
    }
    if (timer === undefined) this.#host.forget();
    else this.#host.wakeAt(this.#timers.due, this.#turn);
  }
}

/** The execution context of code that belongs to no task. */
class LoopContext extends SlotValue implements ExecutionContext {
  readonly #loop: BaseEventLoop;

  constructor(loop: BaseEventLoop) {
    super();
    this.#loop = loop;
  }

  get loop(): BaseEventLoop {
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
  readonly #loop: BaseEventLoop;
  readonly #when: number;
  readonly #fn: (...args: unknown[]) => unknown;
  /** `null` once cancelled. */
  #args: unknown[] | null;
  readonly #execution: ExecutionContext;
  readonly #context = captureSlot();
  isCancelled = false;

  constructor(
    loop: BaseEventLoop,
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
const living = new Set<WeakRef<BaseEventLoop>>();

/** The loops that are not closed. */
export function livingLoops(): BaseEventLoop[] {
  const loops: BaseEventLoop[] = [];
  for (const ref of living) {
    const loop = ref.deref();
    if (loop === undefined || loop.isClosed()) living.delete(ref);
    else loops.push(loop);
  }
  return loops;
}

/** What a runner calls and awaits after the tasks have ended, before it closes the loop. */
export function closersOf(loop: BaseEventLoop): Set<() => unknown> {
  const storage = internals.storage(loop);
  let closers = storage.get(closersOf) as Set<() => unknown> | undefined;
  if (closers === undefined) storage.set(closersOf, closers = new Set());
  return closers;
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
