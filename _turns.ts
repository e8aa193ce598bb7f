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
import {
  afterMicrotasks,
  canRunMicrotasks,
  type LoopHost,
  runtimeCore,
} from "./_host.ts";
import { narrowStacks, widenStacks } from "./_call_site.ts";
import type { EventLoop } from "./_scheduler.ts";

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

/** The work of a loop. */
export interface LoopCounts {
  /** Jobs that are ready to run. */
  ready: number;
  timers: number;
  /** When the first timer is due. */
  due: number;
}

/** How many jobs may run in a turn before further batches wait for the next turn. */
const TURN_JOBS = 64;
/** The heap is swept once it holds more cancelled timers than this, and more than others. */
const SWEEP_ABOVE = 100;

const settled = Promise.resolve();
const { runMicrotasks } = runtimeCore;

/** Runs the jobs and timers of a loop. */
export class Scheduler {
  readonly ready: Deque<Job> = new Deque<Job>();
  /** Whether jobs are measured, in debug mode. */
  isMeasuring = false;
  readonly #loop: EventLoop;
  readonly #host: LoopHost;
  /** How many jobs of the current batch are left; `ready` may hold more. */
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
  /** The job that is being measured, with its microtasks, and since when. */
  #measured: Job | null = null;
  #measuredSince = 0;
  /** When the last measured job of this turn ended, where the next one begins: reading the clock is expensive. */
  #measuredUntil = 0;
  /** The time as first read in this turn; 0 if not read yet. */
  #cachedNow = 0;

  constructor(loop: EventLoop, host: LoopHost) {
    this.#loop = loop;
    this.#host = host;
  }

  /** Whether a turn is running or scheduled. */
  get isScheduled(): boolean {
    return this.#isScheduled;
  }

  get counts(): LoopCounts {
    return {
      ready: this.ready.length,
      timers: this.#timers.length - this.#cancelledTimers,
      due: this.#timers.length > 0 ? this.#timers.due : Infinity,
    };
  }

  /** The number of the current microtask checkpoint; `NaN` outside of the loop's turns. */
  get checkpoint(): number {
    return this.#inTurn ? this.#checkpoint : NaN;
  }

  /** The number of the last microtask checkpoint, also outside of the loop's turns. */
  get lastCheckpoint(): number {
    return this.#checkpoint;
  }

  /** The outermost function of the loop on the stack; `null` if there is none. */
  get entryFunction(): (() => void) | null {
    return this.#inTurn && this.#canRunMicrotasks ? this.#turn : null;
  }

  /** The time in whole milliseconds, read once per turn. V8 would box fractions. */
  get cachedNow(): number {
    return this.#isScheduled
      ? this.#cachedNow ||= this.#milliseconds()
      : this.#milliseconds();
  }

  now(): number {
    return this.#host.now();
  }

  push(job: Job): void {
    this.ready.push(job);
    if (!this.#isScheduled) this.#schedule();
  }

  addTimer(due: number, timer: TimerEntry): void {
    this.#timers.push(due, timer);
    if (!this.#isScheduled && this.#timers.peek() === timer) this.#endTurn();
  }

  removeTimer(timer: TimerEntry): void {
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

  /** Calls a function once the current batch has run. */
  afterBatch(call: () => void): void {
    this.#atBatchEnd.push(call);
  }

  /** Drops all jobs and timers. */
  clear(): void {
    const dropped = [...this.ready];
    this.ready.clear();
    this.#timers.clear();
    this.#batch = 0;
    this.#host.forget();
    for (const job of dropped) job.recover?.();
  }

  /**
   * Starts a turn as soon as the microtasks have run, not a round trip later;
   * for what the runtime delivers, such as bytes.
   */
  scheduleSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#cachedNow = 0;
    this.#host.forget();
    afterMicrotasks(this.#turn);
  }

  #milliseconds(): number {
    return Math.round(this.#host.now() * 1000);
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#cachedNow = 0;
    this.#host.forget();
    this.#host.soon(this.#turn);
  }

  /**
   * Runs a turn. It runs the microtasks itself, so that few calls of this module
   * are on the stacks of user code.
   */
  readonly #turn = (): void => {
    this.#isScheduled = true;
    this.#inTurn = true;
    this.#cachedNow = this.#measuredUntil = 0;
    this.#jobBudget = TURN_JOBS;
    this.#canRunMicrotasks = canRunMicrotasks();
    this.#nextBatch();
    if (!this.#canRunMicrotasks) return this.#runBatches();
    this.#checkpoint++;
    const limit = widenStacks();
    while (this.#runJobs()) {
      runMicrotasks!();
      this.#checkpoint++;
      if (this.#measured !== null) this.#endMeasuring();
    }
    narrowStacks(limit);
  };

  /** Moves due timers into the queue and starts a batch. */
  #nextBatch(): void {
    if (this.#timers.length > 0) this.#readyTimers(this.#host.now());
    this.#batch = this.ready.length;
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
        this.ready.push(timer);
      }
    }
  }

  /** Continues after the microtasks, where only the runtime can run them. */
  readonly #runBatches = (): void => {
    this.#checkpoint++;
    if (this.#measured !== null) this.#endMeasuring();
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
      if (this.ready.length === 0 || this.#jobBudget <= 0) break;
      this.#nextBatch();
    }
    this.#inTurn = false;
    if (this.ready.length === 0) this.#endTurn();
    else this.#host.soon(this.#turn);
    return false;
  }

  /** Runs a job. Nothing that a user passed in may stop the other jobs. */
  #runNext(): boolean {
    const job = this.ready.shift() as Job;
    try {
      return this.isMeasuring ? this.#measure(job) : job.run();
    } catch (exception) {
      this.#loop.callExceptionHandler({
        message: "Error in a job of the event loop",
        exception,
      });
      return true;
    }
  }

  /** Runs a job and measures it until its microtasks have run. */
  #measure(job: Job): boolean {
    this.#measured = job;
    this.#measuredSince = this.#measuredUntil || performance.now();
    const resumed = job.run();
    if (!resumed) this.#endMeasuring();
    return resumed;
  }

  #endMeasuring(): void {
    const job = this.#measured!;
    this.#measured = null;
    this.#measuredUntil = performance.now();
    const seconds = (this.#measuredUntil - this.#measuredSince) / 1000;
    if (seconds < this.#loop.slowCallbackDuration) return;
    debugHooks.slow(this.#loop, job, seconds);
    this.#measuredUntil = 0; // the report took its time
  }

  #endBatch(): void {
    const calls = this.#atBatchEnd;
    this.#atBatchEnd = [];
    for (const call of calls) {
      try {
        call();
      } catch (exception) {
        const message = "Error at the end of a batch of the event loop";
        this.#loop.callExceptionHandler({ message, exception });
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
