/**
 * The event loop: what runs next.
 *
 * Work waits in one first-in-first-out ready queue, timers in one heap. The
 * loop takes the queue in batches: what a batch adds waits for the next one,
 * and before every batch the timers that are due move into the queue, all of
 * them, so that no task resumes between two timers of the same instant.
 *
 * A job that resumed user code answers `true`; the loop then lets the host's
 * microtasks run dry before it takes the next job. Between two library waits
 * a task is therefore never interleaved with another one, however deep its
 * async functions are nested: the steps of asyncio. Where the host lets us, we
 * run its microtasks ourselves; otherwise each step costs a `process.nextTick`,
 * whose queue runs after the microtasks, at ten times the price. Resuming every
 * job of a batch at once would be cheaper still, and would interleave tasks by
 * the depth of their call stacks.
 *
 * Between batches the loop goes back to the host with `setImmediate`, which
 * polls sockets and timers of the host and is not clamped to milliseconds as
 * `setTimeout` is. Small batches share a host turn, up to
 * {@linkcode TURN_JOBS} jobs: a chain of hand-overs would otherwise cost a
 * round trip through the host each. With nothing ready, one
 * host timer is armed for the first entry of the heap; with no timer either,
 * the loop holds nothing at all.
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

/** Something that waits for its turn. */
export interface Job {
  /** Returns whether user code was resumed, so that microtasks must run dry. */
  run(): boolean;
  /** What it is, for a report. */
  describe?(): string;
  /** The loop was closed before its turn. */
  recover?(): void;
}

/** A job for a moment of the loop's clock. */
export interface TimerEntry extends Job {
  /** A dead alarm stays in the heap until it is due or the heap is swept. */
  isCancelled: boolean;
}

/** What an exception handler is told. */
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
  /** Whatever else helps, such as `peername` or `pid`. */
  [key: string]: unknown;
}

/** Receives errors that have nobody else to go to: the loop, and what happened. */
export type ExceptionHandler = {
  // A method: a handler may ask for the class of its own loop.
  call(loop: BaseEventLoop, context: ExceptionContext): unknown;
}["call"];

/** A callback that waits for its turn. */
export interface Handle {
  /** Takes the callback back; without effect once it was called. */
  cancel(): void;
  /** Whether it was taken back. */
  cancelled(): boolean;
}

/** A callback that waits for a time. */
export interface TimerHandle extends Handle {
  /** When it is due, in seconds of `loop.time()`. */
  when(): number;
}

/** What user code runs in: a loop, and the task if it belongs to one. */
export interface ExecutionContext {
  readonly loop: BaseEventLoop;
  readonly task: object | null;
  /** Whether it keeps what its code awaits. */
  readonly isScope: boolean;
}

/** How many jobs a host turn may run before a further batch waits for the next one. */
const TURN_JOBS = 64;
/** Fewer dead timers than this are left for the clock to sweep. */
const SWEEP_ABOVE = 100;
const HOST_METHODS = ["now", "soon", "wakeAt", "forget"] as const;
/** What went wrong, where nobody says it. */
const UNKNOWN_ERROR = "Unhandled error in the event loop";

const settled = Promise.resolve();
const { runMicrotasks } = runtimeCore;

/** What a loop has to do. */
export interface LoopCounts {
  /** Jobs that are ready to run. */
  ready: number;
  timers: number;
  /** When the first timer is due. */
  due: number;
}

/** The inside of a loop, for the other files of this module. */
export interface LoopInternals {
  push(loop: BaseEventLoop, job: Job): void;
  /**
   * For what the host brings, such as bytes: the loop takes its turn as soon
   * as the host's microtasks have run dry, and not a round of the host later.
   */
  scheduleSoon(loop: BaseEventLoop): void;
  /** Whether a turn is under way or on its way. */
  isScheduled(loop: BaseEventLoop): boolean;
  /** Runs an alarm once the loop's clock has come to a time. */
  addTimer(loop: BaseEventLoop, due: number, alarm: TimerEntry): void;
  removeTimer(loop: BaseEventLoop, alarm: TimerEntry): void;
  setRunning(loop: BaseEventLoop, running: boolean): void;
  /** For a job of the loop: calls back when the batch that it is in has run. */
  afterBatch(loop: BaseEventLoop, call: () => void): void;
  /** The frame of the loop's callbacks. */
  execution(loop: BaseEventLoop): ExecutionContext;
  /** The head of the list of tasks that are not done, which `_task_state.ts` links up. */
  tasks(loop: BaseEventLoop): { first: ExecutionContext | null };
  /** Makes the frames of the loop's tasks, `null` for the usual ones. */
  taskStates(loop: BaseEventLoop): TaskStateFactory | null;
  setTaskStates(loop: BaseEventLoop, frames: TaskStateFactory): void;
  /** What is ready, the next first. */
  ready(loop: BaseEventLoop): Deque<Job>;
  /** What higher floors keep for as long as the loop, each under its own key. */
  storage(loop: BaseEventLoop): Map<unknown, unknown>;
  counts(loop: BaseEventLoop): LoopCounts;
  /** Another number for each run of the microtasks that the loop lets happen, `NaN` in those of others. */
  checkpoint(loop: BaseEventLoop): number;
  /** How many drains of the microtasks have begun, also outside of the loop's turns, which begin none. */
  checkpoints(loop: BaseEventLoop): number;
  /** What is under all calls of the loop that are on the stack; `null` if none are. */
  bottom(loop: BaseEventLoop): (() => void) | null;
  /** The time in milliseconds, within a host turn as read first. Whole, as the host boxes others. */
  cachedNow(loop: BaseEventLoop): number;
}

/** Makes the states of a loop's tasks. */
export type TaskStateFactory = (
  loop: BaseEventLoop,
  task: object,
  name: string | number,
  body: unknown,
) => ExecutionContext;

export let internals: LoopInternals;

/**
 * The part of a loop that knows nothing of futures: clock, callbacks, errors.
 * What programs use is an `EventLoop`.
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
  /** Jobs of the current batch that are still to run; `#ready` may hold more. */
  #batch = 0;
  /** Whether a turn is under way or on its way. */
  #isScheduled = false;
  /** Jobs that may still run in this host turn; a batch is never cut. */
  #jobBudget = 0;
  /** Whether this turn runs the microtasks itself. */
  #canRunMicrotasks = false;
  /** Rises before and after the microtasks of each job. */
  #checkpoint = 0;
  #inTurn = false;
  /** Called, in this order, when the current batch has run. */
  #atBatchEnd: (() => void)[] = [];
  readonly #timers = new TimerHeap<TimerEntry>();
  /** Alarms in the heap that will do nothing. */
  #cancelledTimers = 0;
  #running = false;
  #closed = false;
  #debug = false;
  /** The job that runs with its microtasks, in debug mode, and since when. */
  #watched: { job: Job; since: number } | null = null;
  /** The time as read first in this host turn, 0 if not yet or between turns. */
  #cachedNow = 0;
  #exceptionHandler: ExceptionHandler | null = null;
  readonly #tasks: { first: ExecutionContext | null } = { first: null };
  #taskStates: TaskStateFactory | null = null;
  readonly #storage = new Map<unknown, unknown>();
  readonly #frame: ExecutionContext = new LoopContext(this);

  /**
   * Makes a loop; nothing runs and nothing is held until there is work.
   *
   * @param host The clock and pump to run on, the real one by default.
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
      addTimer: (loop, due, alarm) => loop.#addTimer(due, alarm),
      removeTimer: (loop, alarm) => loop.#removeTimer(alarm),
      setRunning: (loop, running) => loop.#running = running,
      afterBatch: (loop, call) => void loop.#atBatchEnd.push(call),
      execution: (loop) => loop.#frame,
      tasks: (loop) => loop.#tasks,
      taskStates: (loop) => loop.#taskStates,
      setTaskStates: (loop, frames) => loop.#taskStates = frames,
      ready: (loop) => loop.#ready,
      storage: (loop) => loop.#storage,
      bottom: (loop) =>
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
   * Ends the loop: what is ready or timed is dropped.
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
   * Switches debug mode, for the tasks that are made from now on.
   *
   * In debug mode tasks remember where they were made and where they wait,
   * and the exception handler hears of callbacks and steps that take longer
   * than {@linkcode BaseEventLoop.slowCallbackDuration}, of tasks that were
   * cancelled and went on, and of tasks that were cancelled and sit in a
   * promise that nothing can interrupt.
   *
   * It is on from the start where the environment variable `ASYNCIO_DEBUG` is
   * set, if reading that is permitted.
   *
   * @param enabled Whether it is to be on.
   */
  setDebug(enabled: boolean): void {
    const before = this.#debug;
    this.#debug = Boolean(enabled);
    if (before !== this.#debug && !this.#closed) debugHooks.debug(this.#debug);
  }

  /**
   * Calls a function in the next batch of ready callbacks, after all that is
   * ready already.
   *
   * @typeParam A The arguments.
   * @param fn What to call, in the context of the caller. An error goes to the exception handler.
   * @param args Its arguments.
   * @returns A handle that can take the call back.
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
   * The same as {@linkcode BaseEventLoop.callSoon}: all code of one thread may
   * call it. Another thread reaches the loop with `runCoroutineThreadsafe`.
   *
   * @typeParam A The arguments.
   * @param fn What to call.
   * @param args Its arguments.
   * @returns A handle that can take the call back.
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
   * @returns A handle that can take the call back.
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
   * @returns A handle that can take the call back.
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
   * Sets who hears of errors that nobody else takes.
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

  /** The handler that was set, `null` for the default one. */
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
    return new Callback(this, this.#frame, when, fn, args);
  }

  #push(job: Job): void {
    if (this.#closed) throw new RuntimeError("The event loop is closed");
    this.#ready.push(job);
    if (!this.#isScheduled) this.#schedule();
  }

  #addTimer(due: number, alarm: TimerEntry): void {
    if (this.#closed) throw new RuntimeError("The event loop is closed");
    this.#timers.push(due, alarm);
    if (!this.#isScheduled && this.#timers.peek() === alarm) this.#endTurn();
  }

  #removeTimer(alarm: TimerEntry): void {
    if (alarm.isCancelled) return;
    alarm.isCancelled = true;
    this.#cancelledTimers++;
    if (
      this.#cancelledTimers > SWEEP_ABOVE &&
      this.#cancelledTimers * 2 > this.#timers.length
    ) {
      this.#timers.filter((alarm) => !alarm.isCancelled);
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
   * A turn of the host begins. It runs the microtasks itself, so that few calls
   * of this module stand on the stacks of user code.
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

  /** Moves due alarms into the queue and marks off a batch. */
  #nextBatch(): void {
    if (this.#timers.length > 0) this.#readyTimers(this.#host.now());
    this.#batch = this.#ready.length;
    this.#jobBudget -= this.#batch;
  }

  #readyTimers(now: number): void {
    for (;;) {
      const alarm = this.#timers.peek();
      if (alarm === undefined) return;
      if (!alarm.isCancelled && this.#timers.due > now) return;
      this.#timers.pop();
      if (alarm.isCancelled) this.#cancelledTimers--;
      else {
        alarm.isCancelled = true;
        this.#ready.push(alarm);
      }
    }
  }

  /** Goes on behind the microtasks, where only the host can run them. */
  readonly #runBatches = (): void => {
    this.#checkpoint++;
    if (this.#watched !== null) this.#endWatch();
    if (this.#runJobs()) settled.then(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => afterMicrotasks(this.#runBatches);

  /** Runs jobs until one has resumed user code, so that the microtasks must run; `false` at the end of the turn. */
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

  /** Runs a job. Nothing that a user has passed in may keep the others from their turn. */
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

  /** Runs a job and measures it, up to the end of its microtasks. */
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

  /** Nothing is ready: waits for the first alarm, or for nothing. */
  #endTurn(): void {
    this.#isScheduled = false;
    let alarm = this.#timers.peek();
    while (alarm?.isCancelled) {
      this.#timers.pop();
      this.#cancelledTimers--;
      alarm = this.#timers.peek();
    }
    if (alarm === undefined) this.#host.forget();
    else this.#host.wakeAt(this.#timers.due, this.#turn);
  }
}

/** The frame of what belongs to no task. */
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

/** A function that the loop is to call, in the context of whoever asked for it. */
class Callback implements TimerEntry, TimerHandle {
  readonly #loop: BaseEventLoop;
  readonly #when: number;
  readonly #fn: (...args: unknown[]) => unknown;
  /** `null` once taken back. */
  #args: unknown[] | null;
  readonly #frame: ExecutionContext;
  readonly #context = captureSlot();
  isCancelled = false;

  constructor(
    loop: BaseEventLoop,
    frame: ExecutionContext,
    when: number,
    fn: (...args: unknown[]) => unknown,
    args: unknown[],
  ) {
    this.#loop = loop;
    this.#when = when;
    this.#fn = fn;
    this.#args = args;
    this.#frame = frame;
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
    runFrom(this.#context, this.#frame, Callback.#call, this);
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

/** What the running code belongs to, `undefined` outside of every loop. */
export function currentExecution(): ExecutionContext | undefined {
  return currentSlot() as ExecutionContext | undefined;
}

/** Loops that were made, and may be closed or garbage by now. */
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

/** What a runner calls and awaits before it closes the loop, once its tasks have ended. */
export function closersOf(loop: BaseEventLoop): Set<() => unknown> {
  const extras = internals.storage(loop);
  let closers = extras.get(closersOf) as Set<() => unknown> | undefined;
  if (closers === undefined) extras.set(closersOf, closers = new Set());
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

/** Whether the environment asks for debug mode, as far as it may be read without a prompt. */
function debugByDefault(): boolean {
  if (debugWanted !== undefined) return debugWanted;
  const value = environment("ASYNCIO_DEBUG");
  return debugWanted = value !== undefined && value !== "" && value !== "0";
}
