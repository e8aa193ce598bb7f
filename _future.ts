/**
 * Futures, tasks, and the loop that makes them: three classes that name each
 * other, and therefore share a file.
 *
 * In this order: what other files may do with a future (`futures`), `Future`,
 * `Then` (one call of its `then`), `DoneCallback`, `Task`, how a body is
 * started (`drive`), `EventLoop`, how a loop is found, and how a future ends as
 * a promise does. What a task is suspended in and how it is cancelled is in
 * `_frame.ts`, how jobs take turns in `_loop.ts`.
 *
 * A future is no native promise and makes none, so a failed one that nobody
 * looks at is no `unhandledrejection`; it is reported through the loop instead.
 *
 * A future can belong to a {@linkcode Waitable}, such as the queue of a lock.
 * It is then *woken* before it has a value, and gets the value when the code
 * that waits resumes; see `_wait.ts`.
 *
 * A task keeps the context of whoever made it until its first step, on the
 * loop's turn. A task that is cancelled before that never calls its body.
 *
 * @module
 */

import { SignalTie } from "./_abort.ts";
import { Deque } from "./_collections.ts";
import {
  captureContext,
  captureSlot,
  type Context,
  currentSlot,
  runFrom,
  runIn,
  runInSlot,
} from "./_context.ts";
import type { Duration } from "./_duration.ts";
import { stackOf, WatchedFrame, watchFutures } from "./_debug.ts";
import {
  asCancellation,
  cancelledError,
  type CancelRequest,
  type CancelScope,
  type Described,
  endings,
  failTask,
  finishTask,
  hooks,
  isMakingEager,
  label,
  openScope,
  type Reaction,
  startEager,
  TaskFrame,
  taskName,
  tasksOf,
} from "./_frame.ts";
import {
  BaseEventLoop,
  currentFrame,
  type Frame,
  internals as loops,
  type Job,
} from "./_loop.ts";
import type {
  CallbackOptions,
  Coroutine,
  PrintStackOptions,
  StackOptions,
  TaskOptions,
} from "./_options.ts";
import {
  captureAwaiting,
  followsPromises,
  framesOf,
  Place,
  Probe,
  rememberMaking,
} from "./_place.ts";
import "./_snapshot.ts";
import { lineOf, print } from "./_text.ts";
import type { LoopHandle } from "./_thread_channel.ts";
import type { ModuleFunction, ThreadFunction } from "./_thread_serialize.ts";
import { UnseenError } from "./_unseen.ts";
import {
  checkBag,
  checkCallback,
  checkContext,
  checkCoroutine,
  checkFlag,
  checkInstance,
  checkNumber,
  checkOptions,
  checkOutput,
  checkSignal,
  describe,
  isClass,
  isInstance,
  toName,
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
const LOOP: unique symbol = Symbol("loop");
/** Stands for the report of an error that nobody is to hear of. */
const MUTED = Symbol("muted");

/** Answer of {@linkcode Turn.take}: there is nothing to take after all, wait again. */
export const AGAIN: unique symbol = Symbol("again");

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
        if (future.#state === QUEUED) loops.push(loop, new Yield(future));
        return future;
      },
      yielded: (future) => {
        const jobs = future.#jobs;
        future.#state = RESULT;
        if (!(jobs instanceof Then)) {
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
    hooks.interrupt = (future, message, reaction) =>
      (future as AnyFuture).#state !== WOKEN &&
      interrupt(future as AnyFuture, message, reaction);
    hooks.rawName = (task) => rawName(task as Task<unknown>);
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
    const job = new DoneCallback(
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
      !(job instanceof DoneCallback && job.fn === fn)
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
    return new Then(this, this.#loop, frame, onFulfilled, onRejected);
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
    if (jobs instanceof Then) loops.push(loop, jobs);
    else if (jobs === null) {
      this.#pushWoken(loop, { run: () => this.#runFirst() });
    } else for (const job of allJobs(jobs)) this.#pushWoken(loop, job);
    return true;
  }

  #pushWoken(loop: EventLoop, job: Job): void {
    if (job instanceof Then) return loops.push(loop, job);
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
    if (!(jobs instanceof Then)) this.#watch(jobs !== null);
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

/** A cancellation whose error is made where it is given to an `await`. */
class LateError {
  readonly #brand = true;
  readonly message: unknown;

  constructor(message: unknown) {
    this.message = message;
  }

  /** `instanceof` would ask a proxy, which may throw. */
  static is(value: unknown): value is LateError {
    return typeof value === "object" && value !== null && #brand in value;
  }
}

/**
 * Gives a future the value that it has, on the loop's next turn. No future
 * itself: the engine makes objects of one base class slowly once they are of
 * more than four classes.
 */
class Yield implements Job {
  readonly #future: AnyFuture;

  constructor(future: AnyFuture) {
    this.#future = future;
  }

  run(): boolean {
    return futures.yielded(this.#future);
  }
}

/** What `then` is given. */
// deno-lint-ignore no-explicit-any
type Handler = ((outcome: any) => unknown) | null | undefined;

/**
 * One call of `then`, and what it gives: the job that calls the handlers on
 * the loop's turn, and a future that ends as they do and hands a cancellation
 * on.
 *
 * Most are an `await`: the host's own resolving functions, and an answer that
 * nobody looks at. Only an `await` counts as a wait of its task. To tell one
 * from handlers of the user costs more than all the rest, and matters only
 * where a task is cancelled or looked at, so it is found out there.
 */
class Then<T> extends Future<T> implements Reaction, Waitable {
  static {
    looksLikeFuture(this);
  }

  source: AnyFuture | null;
  frame: CancelScope | null;
  struck: CancelRequest | null = null;
  #context = captureSlot();
  #onFulfilled: Handler;
  #onRejected: Handler;

  constructor(
    source: AnyFuture,
    loop: EventLoop,
    frame: CancelScope | null,
    onFulfilled: Handler,
    onRejected: Handler,
  ) {
    super(loop as never);
    this.source = source;
    this.frame = frame;
    this.#onFulfilled = onFulfilled;
    this.#onRejected = onRejected;
    futures.attach(this, this);
  }

  get isAwait(): boolean {
    if (this.#onFulfilled === finishTask) return true;
    return isResolver(this.#onFulfilled) && isResolver(this.#onRejected);
  }

  get awaits(): readonly AnyFuture[] {
    return this.source === null ? [] : [this.source];
  }

  take(): void {}
  pass(): void {}
  drop(): void {}

  /** Cancels what it comes from, as far up the chain as that is not done. */
  override cancel(message?: string): boolean {
    const chain: AnyFuture[] = [this];
    for (const it of chain) {
      if (it instanceof Then && it.source !== null) chain.push(it.source);
    }
    for (const it of chain.reverse()) {
      if (isInCircle(it)) continue;
      const isCancelled = it instanceof Then
        ? it.#cancelItself(message)
        : cancelNested(it, message);
      if (isCancelled) return true;
    }
    return false;
  }

  #cancelItself(message?: string): boolean {
    return super.cancel(message);
  }

  lost(): void {
    if (this.source !== null) futures.rescue(this.source, this);
  }

  run(): boolean {
    const { source, frame, struck } = this;
    if (source === null) return false;
    if (
      frame === null || !(frame.mustCancel || struck !== null) ||
      hooks.cancels(source) || futures.keeps(source) || !frame.counts(this)
    ) return futures.react(source, this);
    const request = frame.mustCancel ? frame.pendingRequest! : struck!;
    const scope = frame.resume(this, true) === null ? null : frame;
    const reject = () =>
      this.rejected(
        request.hasError ? request.error : new LateError(request.message),
        scope,
      );
    const passed = futures.abandon(source);
    if (passed instanceof Promise) passed.then(reject);
    else reject();
    return true;
  }

  interrupt(): void {
    futures.unsubscribe(this.source!, this);
    loops.push(this.getLoop(), this);
  }

  /** The source has a value. `scope` wants to know who awaits it. */
  fulfilled(value: unknown, scope: CancelScope | null): void {
    const handler = this.#onFulfilled;
    if (scope !== null && handler !== finishTask) {
      value = new Answer(scope, value, false);
    }
    if (typeof handler === "function") this.#call(handler, value);
    else this.#end(resolve, value);
  }

  /** The source has failed. */
  rejected(error: unknown, scope: CancelScope | null = null): void {
    const handler = this.#onRejected;
    if (scope !== null && handler !== failTask) {
      this.#call(this.#onFulfilled!, new Answer(scope, error, true));
      return;
    }
    if (LateError.is(error)) error = cancelledError(error.message);
    if (typeof handler === "function") this.#call(handler, error);
    else this.#end(reject, error);
  }

  #call(handler: (outcome: unknown) => unknown, outcome: unknown): void {
    const context = this.#context;
    try {
      this.#end(resolve, runIn(context, handler, outcome));
    } catch (error) {
      this.#end(reject, isClass(handler) ? notHandler(handler, error) : error);
    }
  }

  /** Lets go of all that was needed to get here. */
  #end(
    end: (future: AnyFuture, outcome: unknown) => void,
    outcome: unknown,
  ): void {
    this.source = this.struck = null;
    this.#context = undefined;
    this.#onFulfilled = this.#onRejected = null;
    end(this, outcome);
  }
}

function notHandler(handler: unknown, cause: unknown): TypeError {
  return new TypeError(
    `Cannot call back: what then() is given must be a function, got ${
      describe(handler)
    }`,
    { cause },
  );
}

/** Resolves a promise of the host with an outcome, and finds out who awaits it. */
class Answer {
  readonly #scope: CancelScope;
  readonly #outcome: unknown;
  readonly #isError: boolean;
  readonly #own: number;

  constructor(
    scope: CancelScope,
    outcome: unknown,
    isError: boolean,
    own = 0,
  ) {
    this.#scope = scope;
    this.#outcome = outcome;
    this.#isError = isError;
    this.#own = own;
  }

  then(
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    const outcome = this.#outcome;
    const above = loops.bottom(this.#scope.loop) ?? Answer.prototype.then;
    if (endings.places !== null) {
      noteEnding(endings.places, this.#scope.root.id, new Place());
    }
    this.#scope.noteProbe(new Probe(above, this.#own));
    if (!this.#isError) resolve(outcome);
    else if (!LateError.is(outcome)) reject(outcome);
    else {
      reject(errorAt(outcome, above));
    }
  }
}

/** The first place in code of the user tells of the wait, later ones of what cleans up. */
function noteEnding(
  places: Map<number, Place>,
  id: number,
  place: Place,
): void {
  if (!places.has(id) && place.line !== null) places.set(id, place);
}

/** The error of a cancellation, with the stack of those who await it. */
function errorAt(
  { message }: LateError,
  above: (...args: never[]) => unknown,
): CancelledError {
  if (!followsPromises) return cancelledError(message);
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0; // its own stack would show this module
  const error = cancelledError(message);
  Error.stackTraceLimit = limit;
  captureAwaiting(error, above, limit);
  return error;
}

/** The outcome of a scope; the scope around it finds out who awaits that. */
export function answer(
  scope: CancelScope,
  outcome: unknown,
  isError: boolean,
): PromiseLike<unknown> {
  const thenable: unknown = new Answer(scope, outcome, isError, 1);
  return thenable as PromiseLike<unknown>;
}

/** How many cancellations may be under way inside of one another. */
const MAX_DEPTH = 100;
let depth = 0;
/** Those that are too deep for the stack, and come afterwards. */
const deferred = new Map<AnyFuture, string | undefined>();

/**
 * Cancels a future from within the cancellation of another one: chains of
 * tasks are of any length, and the stack is not.
 */
export function cancelNested(future: AnyFuture, message?: string): boolean {
  if (depth >= MAX_DEPTH) {
    if (future.done()) return false;
    deferred.set(future, message);
    return true;
  }
  depth++;
  try {
    return future.cancel(message);
  } finally {
    depth--;
    if (depth === 0 && deferred.size > 0) cancelDeferred();
  }
}

/** Each once, be it that tasks wait for one another in a circle. */
function cancelDeferred(): void {
  depth++;
  const seen = new Set<AnyFuture>();
  try {
    for (const [future, message] of deferred) {
      deferred.delete(future);
      if (seen.has(future)) continue;
      seen.add(future);
      future.cancel(message);
    }
  } finally {
    depth--;
  }
}

/** Cancels what an await is suspended in. Returns whether the await ends by that. */
function interrupt(
  future: AnyFuture,
  message: string,
  reaction: Reaction,
): boolean {
  if (isInCircle(future)) {
    reaction.interrupt();
    return false;
  }
  const isOnItsWay = cancellingAll && future instanceof Task &&
    frameOf(future).undelivered;
  return isOnItsWay || cancelNested(future, message);
}

/** Whether all tasks are being cancelled, so that what they wait for has its own request. */
let cancellingAll = false;

/** Cancels many tasks at once: a long chain of them is gone through once, and not once for each. */
export function cancelAll(tasks: Iterable<Task<unknown>>): void {
  cancellingAll = true;
  try {
    for (const task of tasks) task.cancel();
  } finally {
    cancellingAll = false;
  }
}

/** Whether a future is a task whose cancellation has come to itself: it waits for itself, maybe through others. */
function isInCircle(future: AnyFuture): boolean {
  return future instanceof Task && frameOf(future).isBeingCancelled;
}

/** A function to call once a future is done, in its own context. */
class DoneCallback implements Job {
  readonly fn: (future: AnyFuture) => unknown;
  readonly #future: AnyFuture;
  /** The context that was asked for. */
  readonly #context: Context | undefined;
  /** The context of whoever added the callback. */
  readonly #own = captureSlot();

  constructor(
    future: AnyFuture,
    fn: (future: AnyFuture) => unknown,
    context: Context | undefined,
  ) {
    this.fn = fn;
    this.#future = future;
    this.#context = context;
  }

  run(): boolean {
    if (!futures.claim(this.#future, this)) return false;
    const frame = loops.frame(this.#future.getLoop());
    const call = DoneCallback.#call;
    if (this.#context) this.#callIn(this.#context, frame);
    else runFrom(this.#own, frame, call, this);
    return true;
  }

  #callIn(context: Context, frame: Frame): void {
    let isCalled = false;
    try {
      context(() => {
        isCalled = true;
        runInSlot(frame, DoneCallback.#call, this);
      });
      if (!isCalled) throw notCalled("call a done callback");
    } catch (exception) {
      this.#report(exception);
    }
  }

  #report(exception: unknown): void {
    this.#future.getLoop().callExceptionHandler({
      message: `Error in done callback ${this.fn.name || "(anonymous)"}`,
      exception,
      future: this.#future,
    });
  }

  static #call(this: void, self: DoneCallback): void {
    try {
      self.fn(self.#future);
    } catch (exception) {
      self.#report(exception);
    }
  }
}

function notCalled(action: string): TypeError {
  return new TypeError(
    `Cannot ${action}: its context did not call the function that it was given`,
  );
}

const ADD_CALLBACK = "add a done callback";
const CALLBACK_OPTIONS = ["context"] as const;

let tasksMade = 0;

/** The inside of a task, for the other files of this module. */
export let frameOf: (task: Task<unknown>) => TaskFrame;
let bodyOf: (task: Task<unknown>) => Coroutine<unknown>;
let rawName: (task: Task<unknown>) => string | number;

/**
 * A coroutine function that the loop runs, and the future of its outcome.
 *
 * It starts on the loop's next turn. {@linkcode Task.cancel} requests that it
 * end: the await that it is suspended in rejects with a `CancelledError`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#task-object}.
 *
 * @typeParam T What the coroutine returns.
 *
 * @example
 * ```ts
 * import { createTask, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const task = createTask(async () => {
 *   await sleep(0);
 *   return 42;
 * }, { name: "answer" });
 * assert(await task === 42 && task.getName() === "answer");
 * ```
 */
export class Task<T> extends Future<T> {
  readonly #coro: Coroutine<T>;
  readonly #frame: TaskFrame;
  #name: string | number;

  /**
   * Makes a task and has it started. `createTask` is the usual way.
   *
   * @param coro The coroutine function.
   * @param options Name, context, eager start and signal.
   * @param loop The loop, by default the one of the caller.
   * @throws {TypeError} If `coro` is not a function.
   */
  constructor(
    coro: Coroutine<T>,
    options?: TaskOptions,
    loop: EventLoop = getEventLoop(),
  ) {
    checkCoroutine(coro, CREATE);
    if (!isLoop(loop)) checkInstance(loop, EventLoop, CREATE, "loop");
    const { name, signal, context = null, eagerStart } = checkedOptions(
      options,
    );
    super(loop as never);
    this.#coro = coro;
    this.#name = name === undefined ? ++tasksMade : toName(name, CREATE);
    const frames = loops.frames(loop);
    const frame = this.#frame = frames !== null
      ? frames(this) as TaskFrame
      : loop.getDebug()
      ? new WatchedFrame(loop, this)
      : new TaskFrame(loop, this);
    frame.enroll();
    if (signal) this.#follow(signal);
    if (context !== null) contexts.set(this, context);
    const from = context ?? captureSlot();
    if (!eagerStart) frame.startSoon(from, context !== null);
    else if (frame.mustCancel) frame.finish(undefined);
    else startEager(() => hooks.start(frame, from, context !== null));
    if (eagerStart && this.done()) doneAtOnce.add(this);
  }

  static {
    frameOf = (task) => task.#frame;
    bodyOf = (task) => task.#coro;
    rawName = (task) => task.#name;
    hooks.frameOf = (future) => future instanceof Task ? future.#frame : null;
  }

  /**
   * Aborts when a cancellation is requested, with the `CancelledError` as its
   * reason. Once that was delivered the task has a fresh signal.
   */
  get signal(): AbortSignal {
    return this.#frame.signal;
  }

  /** The name. */
  getName(): string {
    return taskName(this.#name);
  }

  /**
   * Renames the task.
   *
   * @param name The name, made a string if it is none.
   */
  setName(name: string): void {
    this.#name = toName(name, "name a task");
  }

  /**
   * The coroutine function.
   *
   * @returns The function. As in CPython, it is `null` for a task that was done when it had been made, as an eager one may be; the type leaves that out.
   */
  getCoro(): Coroutine<T> {
    if (doneAtOnce.has(this)) return null as unknown as Coroutine<T>;
    return (original.get(this.#coro as Coroutine<unknown>) ??
      this.#coro) as Coroutine<T>;
  }

  /** The context that the body runs in. */
  getContext(): Context {
    let context = contexts.get(this);
    if (context === undefined) {
      const frame = this.#frame;
      const from = frame.over ? leftContexts.get(this) : frame.from;
      context = runFrom(from, frame, captureContext, null);
      contexts.set(this, context);
    }
    return context;
  }

  /** How many requests to cancel the task are standing. */
  cancelling(): number {
    return this.#frame.total;
  }

  /**
   * Requests that the task end: what it awaits rejects with a
   * `CancelledError`, at once or at its next wait, and {@linkcode Task.signal}
   * aborts. The task may catch that and go on.
   *
   * @param message The message of the error.
   * @returns `false` if the task is done already.
   */
  override cancel(message?: string): boolean {
    if (this.done()) return super.cancel(message);
    this.#frame.cancel(message);
    return true;
  }

  /**
   * Takes one request back. With the last one, a cancellation that was not
   * delivered yet is dropped.
   *
   * @returns How many requests are left.
   */
  uncancel(): number {
    return this.#frame.uncancel();
  }

  /**
   * Where the task is suspended or, if it has failed, where its error came
   * from. A suspended task knows that in debug mode only.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.get_stack}.
   *
   * @param options How many lines at most: the newest of a suspended task, the oldest of an error.
   * @returns Lines such as `"main (file:///app.ts:7:3)"`, the oldest call first; none where nothing is known.
   */
  getStack(options: StackOptions = {}): string[] {
    const limit = stackLimit(options, "get the stack");
    if (!this.done()) return stackOf(this.#frame).slice(0, limit).reverse();
    if (!futures.failed(this)) return [];
    return framesOf(futures.error(this)).reverse().slice(0, limit);
  }

  /**
   * Writes {@linkcode Task.getStack} to the standard output stream, or to a file.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.print_stack}.
   *
   * @param options How many lines at most, and where to write them.
   */
  printStack(options: PrintStackOptions = {}): void {
    const action = "print the stack";
    checkOptions(options, ["limit", "file"], action);
    const { file, ...rest } = options;
    checkOutput(file, action);
    const lines = this.getStack(rest).map((line) => `\n  at ${line}`);
    const title = lines.length === 0
      ? `No stack for ${lineOf(this)}`
      : `Stack for ${lineOf(this)} (most recent call last):`;
    print(title + lines.join(""), file);
  }

  /**
   * Refused: the result of a task is what its coroutine returns.
   *
   * @param _value Ignored.
   * @throws {RuntimeError} Always.
   */
  override setResult(_value: T): never {
    throw new RuntimeError("Cannot set the result of a task");
  }

  /**
   * Refused: the error of a task is what its coroutine throws.
   *
   * @param _error Ignored.
   * @throws {RuntimeError} Always.
   */
  override setException(_error: unknown): never {
    throw new RuntimeError("Cannot set the exception of a task");
  }

  /** The name of the class. */
  override get [Symbol.toStringTag](): string {
    return "Task";
  }

  /** Lets a signal cancel the task. */
  #follow(signal: AbortSignal): void {
    const abort = (reason: unknown) => this.#frame.cancel(undefined, reason);
    if (signal.aborted) return abort(signal.reason);
    const tie = new SignalTie(signal, abort);
    futures.subscribe(this, { run: () => (tie.cut(), false) });
  }
}

const CREATE = "create a task";
export const TASK_OPTIONS = [
  "name",
  "context",
  "eagerStart",
  "signal",
] as const;

function checkedOptions(options: TaskOptions | undefined): TaskOptions {
  if (options === undefined) return NO_OPTIONS;
  checkOptions(options, TASK_OPTIONS, CREATE);
  checkSignal(options.signal, CREATE);
  checkContext(options.context, CREATE);
  // Python's default is its `None`.
  checkFlag(options.eagerStart ?? undefined, CREATE, "eagerStart");
  return options;
}

const NO_OPTIONS: TaskOptions = {};

function stackLimit(options: StackOptions, action: string): number {
  checkOptions(options, STACK_OPTIONS, action);
  const { limit = Infinity } = options;
  checkNumber(limit, action, "limit");
  return limit;
}

const STACK_OPTIONS = ["limit"] as const;

/** The coroutine functions of the user behind those that this module has put around them. */
export const original: WeakMap<Coroutine<unknown>, Coroutine<unknown>> =
  new WeakMap();

/** Eager tasks that were done when they had been made. */
const doneAtOnce = new WeakSet<object>();

/** The contexts of tasks that were given one, or asked for theirs. */
const contexts = new WeakMap<object, Context>();
/** What tasks that are done have run in, where that was more than the task itself. */
const leftContexts = new WeakMap<object, unknown>();

hooks.keepContext = (task, frame) => leftContexts.set(task, frame.from);

hooks.start = (frame, from, isGiven) => {
  if (!isGiven) return runFrom(from, frame, drive, frame);
  let isCalled = false;
  try {
    (from as Context)(() => {
      if (isCalled || frame.over) return;
      isCalled = true;
      runInSlot(frame, drive, frame);
    });
  } catch (error) {
    if (!isCalled) frame.fail(error);
  }
  if (!isCalled && !frame.over) frame.fail(notCalled("run a task"));
};

/** Runs a body from its beginning; one that returns no promise is done at once. */
function drive(frame: TaskFrame): void {
  frame.started();
  try {
    const value = bodyOf(frame.task as Task<unknown>)(frame.argument);
    if (!isThenable(value)) frame.finish(value);
    else if (value instanceof Future) futures.follow(value);
    // A thenable is given the host's own functions, as by `await`: it may hand them to a future.
    else frame.bodyEnd = Promise.resolve(value).then(finishTask, failTask);
  } catch (error) {
    frame.fail(error);
  }
}

/** An arrow function without parameters cannot see what it is called with. */
hooks.takesSignal = (task) => {
  const coro = bodyOf(task as Task<unknown>);
  return coro.length > 0 || !NO_PARAMETERS.test(sourceOf.call(coro));
};

const NO_PARAMETERS = /^(?:async ?)?\(\) ?=>/;

/** Makes the tasks of a loop; see `eagerTaskFactory`. */
export type TaskFactory = <T>(
  loop: EventLoop,
  coro: Coroutine<T>,
  options?: TaskOptions,
) => Task<T>;

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
export class EventLoop extends BaseEventLoop {
  #taskFactory: TaskFactory | null = null;

  static {
    Object.defineProperty(this.prototype, LOOP, { value: true });
  }

  /**
   * Makes a pending future of this loop.
   *
   * @typeParam T The type of its value.
   * @returns The future.
   */
  createFuture<T = unknown>(): Future<T> {
    const future = new Future<T>(this as never);
    if (this.getDebug()) rememberMaking(future);
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
    return new Task(coro, options, this);
  }

  /**
   * Sets what makes the tasks of this loop.
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
   * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_in_executor}.
   *
   * @typeParam F The function.
   * @param fn The function, or the module it is exported from and its name.
   * @param args Its arguments.
   * @returns What it returns; if that is a promise, its value.
   */
  runInExecutor<F extends ThreadFunction>(
    fn: F | ModuleFunction,
    ...args: Parameters<F>
  ): Promise<Awaited<ReturnType<F>>>;
  /**
   * The same, with asyncio's place for an executor. There is only the default one.
   *
   * @typeParam F The function.
   * @param executor `null`, for the default executor.
   * @param fn The function, or the module it is exported from and its name.
   * @param args Its arguments.
   * @returns What it returns; if that is a promise, its value.
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
   * have ended. More calls are refused from now on. Cancelling the wait
   * changes nothing of that.
   *
   * @param timeout How long at most, 300 seconds by default. Then there is a warning, calls under way fail, and their threads are left to themselves.
   */
  async shutdownDefaultExecutor(timeout: Duration = 300): Promise<void> {
    await threads.shutdown(this, timeout);
  }

  /**
   * Lets other threads call functions on this loop, by `runCoroutineThreadsafe`
   * with their names. Each call runs as a task. A name that was used before
   * stands for the new function.
   *
   * @param functions The functions, by name. They may be `async`.
   * @throws {TypeError} If one is no function; then none is published.
   */
  expose(functions: Record<string, ThreadFunction>): void {
    threads.expose(this, functions);
  }

  /**
   * What stands for this loop in other threads: an argument for `toThread`,
   * or something to post to a worker of one's own.
   *
   * @returns The handle, the same one every time. It can be cloned.
   */
  handle(): LoopHandle {
    return threads.handle(this);
  }

  /**
   * Ends the loop: what is ready or timed is dropped, and calls from other
   * threads fail.
   *
   * @throws {RuntimeError} If it is running.
   */
  override close(): void {
    super.close();
    threads.close?.(this);
  }

  /** The task factory that was set, `null` for plain tasks. */
  getTaskFactory(): TaskFactory | null {
    return this.#taskFactory;
  }

  /** Has the factory make a task. Options that are not known are for the factory. */
  #make<T>(coro: Coroutine<T>, options?: TaskOptions): Task<T> {
    checkCoroutine(coro, CREATE);
    checkBag(options, TASK_OPTIONS, CREATE);
    const task = this.#taskFactory!(this, coro, options);
    checkInstance(task, Future, CREATE, "what the task factory makes");
    return task;
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    let tasks = 0;
    for (let it = tasksOf(this).first; it !== null; it = it.next) tasks++;
    const state = this.isClosed()
      ? "closed"
      : this.isRunning()
      ? "running"
      : "idle";
    const debug = this.getDebug() ? ", debug mode" : "";
    return `<${this.constructor.name} ${state}, ${tasks} tasks${debug}>`;
  }
}

/** What threads do for a loop. */
export interface ThreadHooks {
  call(loop: EventLoop, fn: unknown, args: unknown[]): Promise<unknown>;
  expose(loop: EventLoop, functions: Record<string, ThreadFunction>): void;
  handle(loop: EventLoop): LoopHandle;
  shutdown(loop: EventLoop, timeout: Duration): Promise<void>;
  /** Only there once `_threads.ts` is. */
  close?(loop: EventLoop): void;
}

/** `_threads.ts` fills it in. */
export const threads = {} as ThreadHooks;

let defaultLoop: EventLoop | undefined;

/**
 * The loop that runs the code that asks.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_running_loop}.
 *
 * @returns The loop.
 * @throws {RuntimeError} Where no runner is running; the implicit loop does not count.
 */
export function getRunningLoop(): EventLoop {
  const loop = currentFrame()?.loop as EventLoop | undefined;
  if (loop === undefined || !loop.isRunning()) {
    throw new RuntimeError("There is no running event loop here");
  }
  return loop;
}

/**
 * The loop for the code that asks.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_event_loop}.
 *
 * @returns The running loop, or the implicit one where none is running.
 */
export function getEventLoop(): EventLoop {
  const loop = currentFrame()?.loop as EventLoop | undefined;
  return loop ?? (defaultLoop ??= new EventLoop());
}

/** Whether a loop is the implicit one, which code outside of every runner shares. */
export function isImplicit(loop: EventLoop): boolean {
  return loop === defaultLoop;
}

/**
 * Ends a future as a promise does. A promise that comes late is heard and
 * forgotten, so it is never an `unhandledrejection`.
 */
export function adopt<T>(future: Future<T>, promise: PromiseLike<T>): void {
  promise.then(
    (value) => {
      if (!future.done()) futures.settle(future, value);
    },
    (error) => reject(future, error),
  );
}

function resolve(future: AnyFuture, value: unknown): void {
  if (future.done()) return;
  if (value === future) {
    return futures.fail(
      future,
      new TypeError(
        "Chaining cycle: the handler of a then() returned its own promise",
      ),
    );
  }
  try {
    if (isThenable(value)) return adopt(future, value);
  } catch (error) { // of a getter, or of its `then`
    return reject(future, error);
  }
  futures.settle(future, value);
}

function reject(future: AnyFuture, error: unknown): void {
  if (future.done()) return;
  const cancellation = asCancellation(error);
  if (cancellation !== null) futures.cancel(future, cancellation);
  else futures.fail(future, error);
}

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

const sourceOf = Function.prototype.toString;
let resolverSource = "";
new Promise<void>((resolve) => {
  resolverSource = sourceOf.call(resolve);
  resolve();
});

/** Whether a function is the host's own, made to settle a promise. */
function isResolver(fn: unknown): boolean {
  return typeof fn === "function" && fn.name === "" &&
    sourceOf.call(fn) === resolverSource;
}

function isErrorClass(value: unknown): value is new () => Error {
  try {
    return typeof value === "function" && value.prototype instanceof Error;
  } catch {
    return false; // a proxy that throws
  }
}

function instanceOf(type: new () => Error): Error {
  try {
    return new type();
  } catch (cause) {
    throw new TypeError(
      `Cannot set an exception: no error can be made of ${
        describe(type)
      } without arguments`,
      { cause },
    );
  }
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
  const loop = options?.loop;
  if (loop === undefined) return getEventLoop();
  checkInstance(loop, EventLoop, CREATE_FUTURE, "loop");
  return loop;
}

const CREATE_FUTURE = "create a future";
const FUTURE_OPTIONS = ["loop"] as const;

/** Whether `await` would wait for a value. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" && value !== null ||
    typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function";
}
