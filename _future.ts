/**
 * Futures. The loop and the tasks that they know of are in `_event_loop.ts`
 * and `_task.ts`, one call of `then` is in `_then.ts`. What a task is suspended
 * in and how it is cancelled is in `_cancel_scope.ts`, how jobs take turns in
 * `_loop.ts`.
 *
 * A future is no native promise and makes none, so a failed one that nobody
 * looks at is no `unhandledrejection`; it is reported through the loop instead.
 *
 * A future can belong to a {@linkcode Waitable}, such as the queue of a lock.
 * It is then *woken* before it has a value, and gets the value when the code
 * that waits resumes; see `_wait.ts`.
 *
 * @module
 */

import { SignalTie } from "./_abort.ts";
import {
  cancelledError,
  type CancelRequest,
  label,
  LateError,
} from "./_cancel_request.ts";
import {
  type CancelScope,
  type Described,
  failTask,
  finishTask,
  hooks,
  isMakingEager,
  openScope,
} from "./_cancel_scope.ts";
import { Deque } from "./_collections.ts";
import { currentSlot } from "./_context.ts";
import { watchFutures } from "./_debug.ts";
import type { EventLoop, getEventLoop } from "./_event_loop.ts";
import { type Frame, internals as loops, type Job } from "./_loop.ts";
import type { CallbackOptions, Coroutine } from "./_options.ts";
import { lineOf } from "./_text.ts";
import type { DoneCallback, Handler, Then } from "./_then.ts";
import { UnseenError } from "./_unseen.ts";
import {
  checkCallback,
  checkContext,
  checkInstance,
  checkOptions,
  instanceOf,
  isErrorClass,
  isInstance,
} from "./_validate.ts";
import {
  CancelledError,
  InvalidStateError,
  RuntimeError,
} from "./exceptions.ts";

/** Where a future stands. */
const PENDING = 0;
/** Its turn has come, but the code that waits has not taken it yet. */
const WOKEN = 1;
/** Has its value, and gives it on the next turn of the loop only. */
const YIELD = 2;
/** The same, and its turn is on its way already. */
const QUEUED = 3;
const RESULT = 4;
const ERROR = 5;
const CANCELLED = 6;
/** Where a future stands, for people. */
const STATES = [
  "pending",
  "pending",
  "done",
  "done",
  "done",
  "failed",
  "cancelled",
];

/** Callbacks of a future, in the order of their coming. */
type Jobs = Job | Job[] | Set<Job> | null;
/** More jobs than this are kept in a set, from which one is taken out at once. */
const MANY_JOBS = 32;
/** Marks what is an event loop. */
export const LOOP: unique symbol = Symbol("loop");
/** Stands for the report of an error that nobody is to hear of. */
const MUTED = Symbol("muted");

/** Answer of {@linkcode Turn.take}: there is nothing to take after all, wait again. */
export const AGAIN: unique symbol = Symbol("again");

/** What futures need of the files above, which need futures themselves. */
interface Parts {
  readonly Then: typeof Then;
  readonly DoneCallback: typeof DoneCallback;
  readonly EventLoop: typeof EventLoop;
  readonly getEventLoop: typeof getEventLoop;
}

/** `_event_loop.ts` puts them in. */
let parts: Parts;

/** Puts in what is made above this file. */
export function completeFutures(all: Parts): void {
  parts = all;
}

/** A future of whatever type. */
// deno-lint-ignore no-explicit-any
export type AnyFuture = Future<any>;

/** What stands behind a future that waits for something of this module. */
export interface Waitable extends Described {
  /** The future was woken and its code resumes: gives what it waited for, or {@linkcode AGAIN}. */
  take(future: AnyFuture, by: Frame | null): unknown;
  /** The future was woken, but its code is cancelled: passes the turn on. The code hears of that once a promise returned here is done. */
  pass(future: AnyFuture): void | Promise<void>;
  /** The future ended before it was woken. */
  drop(future: AnyFuture): void;
  /** Nobody else has the value: who awaits it gets it, also if it is cancelled at that moment. */
  readonly keepsValue?: boolean;
  readonly awaits?: readonly AnyFuture[] | undefined;
}

/** What the waiting functions accept: a future, a promise or a coroutine function. */
export type Awaitable<T> = Future<T> | PromiseLike<T> | Coroutine<T>;

/** What the files above may do with a future. */
export interface FutureInternals {
  make(loop: EventLoop, behind: Waitable | null): AnyFuture;
  /** What gives its value on the next turn of the loop, after all that is ready now. */
  makeYield(loop: EventLoop, value: unknown): AnyFuture;
  /** Its turn has come. Returns whether user code was resumed. */
  yielded(future: AnyFuture): boolean;
  /** Has the running task end as a future does. */
  follow(future: AnyFuture): void;
  /** A reaction has its turn. */
  react(future: AnyFuture, reaction: Then<unknown>): boolean;
  /** The task that awaited was cancelled when the future was done already. It hears of that once what this returns is done. */
  abandon(future: AnyFuture): void | Promise<void>;
  /** Ends a future as its task does: no matter who holds it. */
  settle(future: AnyFuture, value: unknown): void;
  fail(future: AnyFuture, error: unknown): void;
  cancel(future: AnyFuture, message: unknown): void;
  /** Its turn has come; resumes who waits, on that loop. `false` if nobody is there. */
  wake(future: AnyFuture, loop: EventLoop): boolean;
  subscribe(future: AnyFuture, job: Job): void;
  unsubscribe(future: AnyFuture, job: Job): void;
  /** Nobody will ask for its error, which therefore is not reported. */
  mute(future: AnyFuture): void;
  /** A loop was closed before it came to a job of a woken future: saves the turn. */
  rescue(future: AnyFuture, job: Job): void;
  /** Takes the turn of a woken future for `job`; `false` if it has to wait again. */
  claim(future: AnyFuture, job: Job): boolean;
  /** Ends a pending future as another one has ended. */
  settleAs(future: AnyFuture, other: AnyFuture): void;
  /** Nobody will look at the outcome: passes a turn on, silences an error. */
  discard(future: AnyFuture): void;
  link(future: AnyFuture, signal: AbortSignal): void;
  attach(future: AnyFuture, behind: Waitable): void;
  pending(future: AnyFuture): boolean;
  failed(future: AnyFuture): boolean;
  /** The error of a failed future; looking so is not looking at it. */
  error(future: AnyFuture): unknown;
  behind(future: AnyFuture): Waitable | null;
  /** Whether it has a value that a cancellation must not lose. */
  keeps(future: AnyFuture): boolean;
}

export let futures: FutureInternals;

/**
 * A value that will be there later.
 *
 * It can be awaited, by a task that can then be cancelled, and it has
 * asyncio's methods. Its callbacks run on the loop's turn, in the order in
 * which they were added, never inside the call that sets the result.
 *
 * Awaiting it from a task that is cancelled cancels the future too; see
 * `shield`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-future.html}.
 *
 * @typeParam T The type of the value.
 *
 * @example
 * ```ts
 * import { getEventLoop } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const future = getEventLoop().createFuture<number>();
 * future.setResult(42);
 * assert(await future === 42 && future.result() === 42);
 * ```
 */
export class Future<T> implements Promise<T> {
  readonly #loop: EventLoop;
  #state = PENDING;
  /** By state: the value, the error, or the message or error of the cancellation. */
  #value: unknown = undefined;
  /** Who is to be told; several in the order of their coming. */
  #jobs: Jobs = null;
  /** What the future waits for, if it is a thing of this module. */
  #behind: Waitable | null = null;
  /** The tie to a signal that can end it; or what is held while its error has been seen by nobody. */
  #bond: SignalTie | UnseenError | typeof MUTED | null = null;

  /**
   * Makes a pending future.
   *
   * @param options The loop it belongs to, by default the one of the caller.
   */
  constructor(options?: { loop?: EventLoop }) {
    this.#loop = isLoop(options) ? options : loopOf(options);
  }

  static {
    futures = {
      make: (loop, behind) => {
        const future = new Future(loop as never);
        future.#behind = behind;
        return future;
      },
      makeYield: (loop, value) => {
        const future: AnyFuture = new Future(loop as never);
        future.#value = value;
        // In the first step of an eager task, others would come before its await.
        future.#state = isMakingEager() ? QUEUED : YIELD;
        if (future.#state === QUEUED) {
          loops.push(loop, { run: () => futures.yielded(future) });
        }
        return future;
      },
      yielded: (future) => {
        const jobs = future.#jobs;
        future.#state = RESULT;
        if (!(jobs instanceof parts.Then)) {
          future.#notify();
          return false;
        }
        future.#jobs = null;
        return jobs.run();
      },
      follow: (future) => {
        if (future.#state > QUEUED) {
          future.#react(future.#reaction(finishTask, failTask));
        } else future.#then(finishTask, failTask);
      },
      react: (future, reaction) => future.#resume(reaction),
      abandon: (future) => future.#abandon(),
      settle: (future, value) => future.#end(RESULT, value),
      fail: (future, error) => future.#fail(error),
      cancel: (future, message) => future.#end(CANCELLED, message),
      wake: (future, loop) => future.#wake(loop),
      subscribe: (future, job) => future.#subscribe(job),
      unsubscribe: (future, job) => future.#remove(job),
      mute: (future) => {
        future.#seen();
        if (future.#state <= WOKEN) future.#bond ??= MUTED;
      },
      rescue: (future, job) => future.#rescue(job),
      claim: (future, job) => future.#claim(job),
      settleAs: (future, other) => {
        if (other.#state === ERROR) {
          other.#seen();
          future.#fail(other.#value);
        } else if (other.#state === CANCELLED) {
          future.#end(CANCELLED, other.#cancellation());
        } else future.#end(RESULT, other.#value);
      },
      discard: (future) => future.#discard(),
      link: (future, signal) => {
        const abort = (reason: unknown) => future.#abort(reason);
        future.#bond = new SignalTie(signal, abort);
      },
      attach: (future, behind) => future.#behind = behind,
      failed: (future) => future.#state === ERROR,
      error: (future) => future.#state === ERROR ? future.#value : null,
      pending: (future) => future.#state === PENDING,
      behind: (future) => future.#behind,
      keeps: (future) =>
        future.#state === RESULT && future.#behind?.keepsValue === true,
    };
    watchFutures(Future.prototype, futures);
    hooks.isWoken = (future) => (future as AnyFuture).#state === WOKEN;
    hooks.cancels = (future) => (future as AnyFuture).#cancels();
    hooks.settle = (future, value) => (future as AnyFuture).#end(RESULT, value);
    hooks.fail = (future, error) => (future as AnyFuture).#fail(error);
    hooks.cancel = (future, why) => (future as AnyFuture).#end(CANCELLED, why);
    hooks.about = (future) => {
      const it = future as AnyFuture;
      const kind = it[Symbol.toStringTag];
      const state = STATES[it.#state]!;
      const waits = it.#state === PENDING;
      return { kind, state, waits, value: it.#value, behind: it.#behind };
    };
  }

  /** The loop the future belongs to. */
  getLoop(): EventLoop {
    return this.#loop;
  }

  /** Whether it has a result or an error or was cancelled. */
  done(): boolean {
    return this.#state > WOKEN;
  }

  /** Whether it was cancelled. */
  cancelled(): boolean {
    return this.#state === CANCELLED;
  }

  /**
   * The value.
   *
   * @returns What {@linkcode Future.setResult} was given.
   * @throws {InvalidStateError} If there is none yet.
   * @throws {CancelledError} If the future was cancelled.
   * @throws What {@linkcode Future.setException} was given.
   */
  result(): T {
    const error = this.exception();
    if (this.#state === ERROR) throw error;
    return this.#value as T;
  }

  /**
   * The error.
   *
   * @returns What {@linkcode Future.setException} was given, `null` if the future has a value.
   * @throws {InvalidStateError} If it is not done.
   * @throws {CancelledError} If it was cancelled.
   */
  exception(): unknown {
    if (this.#state <= WOKEN) {
      throw new InvalidStateError("The result is not there yet");
    }
    if (this.#state === CANCELLED) throw this.#cancellation();
    if (this.#state !== ERROR) return null;
    this.#seen();
    return this.#value;
  }

  /**
   * Ends the future with a value.
   *
   * @param value The value.
   * @throws {InvalidStateError} If it is done already.
   */
  setResult(value: T): void {
    this.#mustBePending("set a result");
    this.#end(RESULT, value);
  }

  /**
   * Ends the future with an error.
   *
   * @param error The error. A class of errors is called for an instance.
   * @throws {InvalidStateError} If it is done already.
   */
  setException(error: unknown): void {
    this.#mustBePending("set an exception");
    this.#fail(isErrorClass(error) ? instanceOf(error) : error);
  }

  /**
   * Cancels the future; those who await it get a `CancelledError`.
   *
   * @param message The message of that error.
   * @returns `false` if it was done already.
   */
  cancel(message?: string): boolean {
    this.#seen();
    if (this.#state > WOKEN) return false;
    if (this.#state === WOKEN) this.#passOn(message);
    else this.#end(CANCELLED, message);
    return true;
  }

  /**
   * Has a function called once the future is done: on the loop's turn, also
   * if it is done already, with the future as its argument. An error in it
   * goes to the exception handler.
   *
   * @param fn The function.
   * @param options The context to call it in.
   */
  addDoneCallback(
    fn: (future: this) => unknown,
    options: CallbackOptions = {},
  ): void {
    checkCallback(fn, ADD_CALLBACK);
    checkOptions(options, CALLBACK_OPTIONS, ADD_CALLBACK);
    checkContext(options.context, ADD_CALLBACK);
    const job = new parts.DoneCallback(
      this,
      fn as (future: AnyFuture) => unknown,
      options.context ?? undefined,
    );
    this.#subscribe(job);
  }

  /**
   * Takes out every registration of a function.
   *
   * @param fn The function.
   * @returns How many there were.
   */
  removeDoneCallback(fn: (future: this) => unknown): number {
    const jobs = allJobs(this.#jobs);
    const kept = jobs.filter((job) =>
      !(job instanceof parts.DoneCallback && job.fn === fn)
    );
    this.#jobs = someJobs(kept);
    return jobs.length - kept.length;
  }

  /**
   * What `await` calls. With functions of your own it works as a promise's,
   * and what it returns can be awaited and cancelled like this future.
   *
   * @typeParam R What the first function returns.
   * @typeParam S What the second function returns.
   * @param onFulfilled Called with the value.
   * @param onRejected Called with the error.
   * @returns A future for what they return.
   */
  then<R = T, S = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => S | PromiseLike<S>) | null,
  ): Promise<R | S> {
    return this.#then(onFulfilled, onRejected) as Promise<unknown> as Promise<
      R | S
    >;
  }

  /**
   * The same as a promise's.
   *
   * @typeParam S What the function returns.
   * @param onRejected Called with the error.
   * @returns A future for the value, or for what the function returns.
   */
  catch<S = never>(
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => S | PromiseLike<S>) | null,
  ): Promise<T | S> {
    return this.then(undefined, onRejected);
  }

  /**
   * The same as a promise's.
   *
   * @param onFinally Called when the future is done.
   * @returns A future of the same outcome.
   */
  finally(onFinally?: (() => void) | null): Promise<T> {
    if (typeof onFinally !== "function") return this.then();
    checkCallback(onFinally, "call back");
    return this.then(
      async (value) => {
        await onFinally();
        return value;
      },
      async (error) => {
        await onFinally();
        throw error;
      },
    );
  }

  /** The name of the class. */
  get [Symbol.toStringTag](): string {
    return "Future";
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return lineOf(this);
  }

  #mustBePending(action: string): void {
    if (this.#state === PENDING) return;
    throw new InvalidStateError(`Cannot ${action}: the future is done already`);
  }

  #then(onFulfilled: Handler, onRejected: Handler): Then<unknown> {
    const reaction = this.#reaction(onFulfilled, onRejected);
    const { frame } = reaction;
    if (
      frame !== null &&
      (frame.loop !== this.#loop || isTaskOf(frame, this)) &&
      frame.counts(reaction)
    ) {
      const error = new RuntimeError(
        isTaskOf(frame, this)
          ? "A task cannot await itself"
          : "Cannot await a future that belongs to another event loop",
      );
      settled.then(() => reaction.rejected(error));
    } else if (this.#state <= QUEUED) {
      if (this.#state === YIELD) loops.push(this.#loop, reaction);
      else this.#add(reaction);
      reaction.frame?.suspend(reaction);
    } else {
      late.push(reaction);
      settled.then(reactLate);
    }
    return reaction;
  }

  #reaction(onFulfilled: Handler, onRejected: Handler): Then<unknown> {
    let frame = (currentSlot() ?? null) as CancelScope | null;
    if (frame !== null) {
      if (!frame.isScope) frame = null;
      else if (frame.over) frame = openScope(frame);
    }
    return new parts.Then(this, this.#loop, frame, onFulfilled, onRejected);
  }

  /** A reaction has its turn. */
  #resume(reaction: Then<unknown>): boolean {
    if (this.#state === WOKEN) this.#take(reaction.frame);
    if (this.#state <= WOKEN) {
      this.#add(reaction);
      reaction.frame?.suspend(reaction);
      return false;
    }
    this.#react(reaction);
    return true;
  }

  /** Gives a reaction the outcome. */
  #react(reaction: Then<unknown>): void {
    const { frame } = reaction;
    const request = frame === null
      ? null
      : frame.resume(reaction, this.#state !== RESULT);
    const scope = request === null ? null : frame;
    if (this.#state === ERROR) {
      this.#seen();
      reaction.rejected(this.#value, scope);
    } else if (this.#state === CANCELLED) {
      reaction.rejected(this.#rejection(request), scope);
    } else reaction.fulfilled(this.#value, scope);
  }

  #subscribe(job: Job): void {
    if (this.#state <= WOKEN) this.#add(job);
    else loops.push(this.#loop, job);
  }

  #add(job: Job): void {
    const jobs = this.#jobs;
    if (jobs === null) this.#jobs = job;
    else if (jobs instanceof Set) jobs.add(job);
    else if (!Array.isArray(jobs)) this.#jobs = [jobs, job];
    else if (jobs.length < MANY_JOBS) jobs.push(job);
    else this.#jobs = new Set(jobs).add(job);
  }

  #remove(job: Job): void {
    const jobs = this.#jobs;
    if (jobs instanceof Set) jobs.delete(job);
    else if (jobs === job) this.#jobs = null;
    else if (Array.isArray(jobs)) {
      this.#jobs = someJobs(jobs.filter((it) => it !== job));
    }
  }

  #end(state: number, value: unknown): void {
    const behind = this.#state === PENDING ? this.#behind : null;
    this.#state = state;
    this.#value = value;
    this.#untie();
    this.#notify();
    if (behind !== null) behind.drop(this);
  }

  #untie(): void {
    if (this.#bond instanceof SignalTie) this.#bond.cut();
  }

  #notify(loop = this.#loop): void {
    const jobs = this.#jobs;
    if (jobs === null) return;
    this.#jobs = null;
    if (loop.isClosed()) return; // nobody resumes there any more
    if (!Array.isArray(jobs) && !(jobs instanceof Set)) {
      return loops.push(loop, jobs);
    }
    for (const job of jobs) loops.push(loop, job);
  }

  #wake(loop: EventLoop): boolean {
    if (this.#state !== PENDING) return false;
    if (loop.isClosed()) {
      this.#behind = null;
      return false;
    }
    this.#state = WOKEN;
    const jobs = this.#jobs;
    this.#jobs = null;
    if (jobs instanceof parts.Then) loops.push(loop, jobs);
    else if (jobs === null) {
      this.#pushWoken(loop, { run: () => this.#runFirst() });
    } else for (const job of allJobs(jobs)) this.#pushWoken(loop, job);
    return true;
  }

  #pushWoken(loop: EventLoop, job: Job): void {
    if (job instanceof parts.Then) return loops.push(loop, job);
    const lost = () => this.#rescue(job);
    loops.push(loop, { run: () => job.run(), lost });
  }

  /** The loop that was to resume it is closed: its own one does, or the turn goes to the next. */
  #rescue(job: Job): void {
    if (!this.#loop.isClosed()) this.#pushWoken(this.#loop, job);
    else this.#passOn();
  }

  /** It was woken when nobody awaited it: gives the turn to who does now, or takes it. */
  #runFirst(): boolean {
    const [first, ...rest] = allJobs(this.#jobs);
    this.#jobs = someJobs(rest);
    if (first !== undefined) return first.run();
    if (this.#state === WOKEN) this.#take();
    return false;
  }

  /** Gets what a woken future waited for; it may be pending again afterwards. */
  #take(by: Frame | null = null): void {
    try {
      const value = this.#behind!.take(this, by);
      if (value === AGAIN) {
        this.#state = PENDING;
        return;
      }
      this.#state = RESULT;
      this.#value = value;
      this.#untie();
      this.#notify();
    } catch (error) {
      this.#fail(error);
    }
  }

  #claim(job: Job): boolean {
    if (this.#state === WOKEN) this.#take();
    if (this.#state > WOKEN) return true;
    this.#add(job);
    return false;
  }

  #discard(): void {
    this.#passOn();
    this.#seen();
  }

  #passOn(message?: string): void | Promise<void> {
    if (this.#state !== WOKEN) return;
    this.#state = CANCELLED;
    this.#value = message;
    this.#untie();
    this.#notify();
    return this.#behind!.pass(this);
  }

  #cancels(): boolean {
    return this.#state === CANCELLED ||
      (this.#state === ERROR && isInstance(this.#value, CancelledError));
  }

  /** The task that awaited it was cancelled in the very moment it was done. */
  #abandon(): void | Promise<void> {
    if (this.#state === ERROR) this.#watch();
    else return this.#passOn();
  }

  /** Its signal aborted: as {@linkcode Future.setException}, also when woken but not resumed. */
  #abort(reason: unknown): void {
    if (this.#state !== PENDING) this.#passOn();
    this.#fail(reason);
  }

  #fail(error: unknown): void {
    const jobs = this.#jobs;
    this.#end(ERROR, error);
    if (!(jobs instanceof parts.Then)) this.#watch(jobs !== null);
  }

  /** Has the error reported if nobody ever looks at it. */
  #watch(isHeard = false): void {
    const bond = this.#bond;
    if (bond === MUTED || bond instanceof UnseenError) return;
    if (bond?.explains(this.#value)) return;
    this.#bond = new UnseenError(
      this,
      this.#loop,
      this.#value,
      isHeard,
    );
  }

  #seen(): void {
    if (!(this.#bond instanceof UnseenError)) return;
    this.#bond.forget();
    this.#bond = null;
  }

  /**
   * The error of a cancelled future, a fresh one for each that asks: the one
   * that ended it as a task first, then the one of the request that its
   * awaiting task was told by signal, then a new one. Where it is given to an
   * `await` a new one is made as late as that, to show who awaits.
   */
  #cancellation(request?: CancelRequest | null): CancelledError {
    const value = this.#value;
    if (isInstance(value, CancelledError)) {
      this.#value = value.message;
      return value;
    }
    if (!request?.hasError) return cancelledError(value);
    label(request.error, value);
    return request.error;
  }

  #rejection(request: CancelRequest | null): unknown {
    return request === null || request.hasError ||
        isInstance(this.#value, CancelledError)
      ? this.#cancellation(request)
      : new LateError(this.#value);
  }
}

const ADD_CALLBACK = "add a done callback";
const CALLBACK_OPTIONS = ["context"] as const;

/** Has a kind of future that nobody outside of this module knows be called a future in messages. */
export function looksLikeFuture(kind: object): void {
  Object.defineProperty(kind, "name", { value: "Future" });
}

function isTaskOf(frame: CancelScope, future: AnyFuture): boolean {
  return frame.task as object === future;
}

function allJobs(jobs: Jobs): Job[] {
  if (jobs === null) return [];
  return jobs instanceof Set || Array.isArray(jobs) ? [...jobs] : [jobs];
}

function someJobs(jobs: Job[]): Jobs {
  return jobs.length > 0 ? jobs : null;
}

const settled = Promise.resolve();
/** Reactions to futures that were done before, each for one microtask. */
const late = new Deque<Then<unknown>>();

function reactLate(): void {
  const reaction = late.shift() as Then<unknown>;
  futures.react(reaction.source!, reaction);
}

/** As `instanceof`, which every new future would be a third slower with. */
function isLoop(value: unknown): value is EventLoop {
  try {
    return (value as { [LOOP]?: true } | undefined)?.[LOOP] === true;
  } catch {
    return false; // null, or a proxy that throws
  }
}

/** The loop in the options of a future. Subclasses of this module give it as it is. */
function loopOf(options: { loop?: EventLoop } | undefined): EventLoop {
  checkOptions(options, FUTURE_OPTIONS, CREATE_FUTURE);
  return checkedLoop(options?.loop, CREATE_FUTURE);
}

const CREATE_FUTURE = "create a future";
const FUTURE_OPTIONS = ["loop"] as const;

/** The loop that was given, else the one of the caller. */
export function checkedLoop(
  loop: EventLoop | undefined,
  action: string,
): EventLoop {
  if (loop === undefined) return parts.getEventLoop();
  if (!isLoop(loop)) checkInstance(loop, parts.EventLoop, action, "loop");
  return loop;
}
