/**
 * Futures. The loop and the tasks that they know of are in `_event_loop.ts`
 * and `_task.ts`, one call of `then` is in `_continuation.ts`. What a task is suspended
 * in and how it is cancelled is in `_cancel_scope.ts`, how jobs take turns in
 * `_scheduler.ts`.
 *
 * A future is no native promise and makes none, so a failed one that nobody
 * looks at is no `unhandledrejection`; it is reported through the loop instead.
 *
 * A future can belong to a {@linkcode WaitSource}, such as the queue of a lock.
 * It is then *woken* before it has a value, and gets the value when the code
 * that waits resumes; see `_wait_queue.ts`.
 *
 * @module
 */

import { AGAIN, type FutureDetails, type WaitSource } from "./_wait_source.ts";
import { AbortSubscription } from "./_abort_signal.ts";
import {
  cancelledError,
  type CancelRequest,
  DeferredError,
  eagerSteps,
  setMessage,
} from "./_cancel_request.ts";
import type { CancelScope } from "./_cancel_scope.ts";
import {
  addCallback,
  allCallbacks,
  type Callbacks,
  removeCallback,
  toCallbacks,
} from "./_callbacks.ts";
import { Deque } from "./_collections.ts";
import { currentSlot } from "./_context.ts";
import type { EventLoop, getEventLoop } from "./_event_loop.ts";
import {
  currentExecution,
  debugHooks,
  type ExecutionContext,
  internals as loops,
  type Job,
} from "./_scheduler.ts";
import type { CallbackOptions, Coroutine } from "./_options.ts";
import type { Continuation, DoneCallback, Handler } from "./_continuation.ts";
import { UnretrievedError } from "./_unhandled.ts";
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
const NOTIFIED = 1;
/** Has its value, and gives it on the next turn of the loop only. */
const YIELDING = 2;
/** The same, and its turn is on its way already. */
const YIELD_QUEUED = 3;
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

/** Marks what is an event loop. */
export const LOOP: unique symbol = Symbol("loop");
/** Stands for the report of an error that nobody is to hear of. */
const SILENCED = Symbol("muted");

/** What futures need of the files above, which need futures themselves. */
interface Dependents {
  readonly Continuation: typeof Continuation;
  readonly DoneCallback: typeof DoneCallback;
  readonly EventLoop: typeof EventLoop;
  readonly getEventLoop: typeof getEventLoop;
  isImplicit(loop: EventLoop): boolean;
}

/** `_event_loop.ts` puts them in. */
let dependents: Dependents;

/** Puts in what is made above this file. */
export function setDependents(all: Dependents): void {
  dependents = all;
}

export { AGAIN, type WaitSource } from "./_wait_source.ts";

/** A future of whatever type. */
// deno-lint-ignore no-explicit-any
export type AnyFuture = Future<any>;

/** What the waiting functions accept: a future, a promise or a coroutine function. */
export type Awaitable<T> = Future<T> | PromiseLike<T> | Coroutine<T>;

/** What the files above may do with a future. */
export interface FutureInternals {
  make(loop: EventLoop, source: WaitSource | null): AnyFuture;
  /** What gives its value on the next turn of the loop, after all that is ready now. */
  makeYield(loop: EventLoop, value: unknown): AnyFuture;
  /** Its turn has come. Returns whether user code was resumed. */
  endYield(future: AnyFuture): boolean;
  /** Has the running task end as a future does. */
  follow(future: AnyFuture): void;
  /** A reaction has its turn. */
  resume(future: AnyFuture, reaction: Continuation<unknown>): boolean;
  /** The task that awaited was cancelled when the future was done already. It hears of that once what this returns is done. */
  abandon(future: AnyFuture): void | Promise<void>;
  /** Ends a future as its task does: no matter who holds it. */
  settle(future: AnyFuture, value: unknown): void;
  fail(future: AnyFuture, error: unknown): void;
  cancel(future: AnyFuture, message: unknown): void;
  /** Its turn has come; resumes who waits, on that loop. `false` if nobody is there. */
  notify(future: AnyFuture, loop: EventLoop): boolean;
  subscribe(future: AnyFuture, job: Job): void;
  unsubscribe(future: AnyFuture, job: Job): void;
  /** Nobody will ask for its error, which therefore is not reported. */
  silence(future: AnyFuture): void;
  /** A loop was closed before it came to a job of a woken future: saves the turn. */
  recover(future: AnyFuture, job: Job): void;
  /** Takes the turn of a woken future for `job`; `false` if it has to wait again. */
  claim(future: AnyFuture, job: Job): boolean;
  /** Ends a pending future as another one has ended. */
  settleAs(future: AnyFuture, other: AnyFuture): void;
  /** Nobody will look at the outcome: passes a turn on, silences an error. */
  discard(future: AnyFuture): void;
  subscribeSignal(future: AnyFuture, signal: AbortSignal): void;
  setSource(future: AnyFuture, source: WaitSource): void;
  pending(future: AnyFuture): boolean;
  /** Whether it was notified: its turn is handed off when the code that waits resumes. */
  notified(future: AnyFuture): boolean;
  /** Whether its outcome is a cancellation, which then stands for that of the task. */
  isCancellation(future: AnyFuture): boolean;
  /** What can be said of it; looking at its error so does not count as retrieving it. */
  inspect(future: AnyFuture): FutureDetails;
  failed(future: AnyFuture): boolean;
  /** The error of a failed future; looking so is not looking at it. */
  error(future: AnyFuture): unknown;
  source(future: AnyFuture): WaitSource | null;
  /** Whether it has a value that a cancellation must not lose. */
  keepsValue(future: AnyFuture): boolean;
}

export let futures: FutureInternals;

/** Ends the running task with what its body returned, as a handler. */
export function finishTask(value: unknown): void {
  (currentExecution() as CancelScope).root.finish(value);
}

/** Ends the running task with what its body threw, as a handler. */
export function failTask(error: unknown): void {
  (currentExecution() as CancelScope).root.fail(error);
}

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
  #callbacks: Callbacks = null;
  /** What the future waits for, if it is a thing of this module. */
  #source: WaitSource | null = null;
  /** The tie to a signal that can end it; or what is held while its error has been seen by nobody. */
  #subscription: AbortSubscription | UnretrievedError | typeof SILENCED | null =
    null;

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
      make: (loop, source) => {
        const future = new Future(loop as never);
        future.#source = source;
        return future;
      },
      makeYield: (loop, value) => {
        const future: AnyFuture = new Future(loop as never);
        future.#value = value;
        // In the first step of an eager task, others would come before its await.
        future.#state = eagerSteps.count > 0 ? YIELD_QUEUED : YIELDING;
        if (future.#state === YIELD_QUEUED) {
          loops.push(loop, { run: () => futures.endYield(future) });
        }
        return future;
      },
      endYield: (future) => {
        const jobs = future.#callbacks;
        future.#state = RESULT;
        if (!(jobs instanceof dependents.Continuation)) {
          future.#runCallbacks();
          return false;
        }
        future.#callbacks = null;
        return jobs.run();
      },
      follow: (future) => {
        if (future.#state > YIELD_QUEUED) {
          future.#runContinuation(future.#continuation(finishTask, failTask));
        } else future.#then(finishTask, failTask);
      },
      resume: (future, reaction) => future.#resume(reaction),
      abandon: (future) => future.#abandon(),
      settle: (future, value) => future.#end(RESULT, value),
      fail: (future, error) => future.#fail(error),
      cancel: (future, message) => future.#end(CANCELLED, message),
      notify: (future, loop) => future.#notify(loop),
      subscribe: (future, job) => future.#subscribe(job),
      unsubscribe: (future, job) => future.#remove(job),
      silence: (future) => {
        future.#markRetrieved();
        if (future.#state <= NOTIFIED) future.#subscription ??= SILENCED;
      },
      recover: (future, job) => future.#recover(job),
      claim: (future, job) => future.#claim(job),
      settleAs: (future, other) => {
        if (other.#state === ERROR) {
          other.#markRetrieved();
          future.#fail(other.#value);
        } else if (other.#state === CANCELLED) {
          future.#end(CANCELLED, other.#cancellation());
        } else future.#end(RESULT, other.#value);
      },
      discard: (future) => future.#discard(),
      subscribeSignal: (future, signal) => {
        const abort = (reason: unknown) => future.#abort(reason);
        future.#subscription = new AbortSubscription(signal, abort);
      },
      setSource: (future, source) => future.#source = source,
      inspect: (future) => ({
        kind: future[Symbol.toStringTag],
        state: STATES[future.#state]!,
        isPending: future.#state === PENDING,
        value: future.#value,
        source: future.#source,
      }),
      failed: (future) => future.#state === ERROR,
      error: (future) => future.#state === ERROR ? future.#value : null,
      pending: (future) => future.#state === PENDING,
      notified: (future) => future.#state === NOTIFIED,
      isCancellation: (future) => future.#isCancellation(),
      source: (future) => future.#source,
      keepsValue: (future) =>
        future.#state === RESULT && future.#source?.keepsValue === true,
    };
  }

  /** The loop the future belongs to. */
  getLoop(): EventLoop {
    return this.#loop;
  }

  /** Whether it has a result or an error or was cancelled. */
  done(): boolean {
    return this.#state > NOTIFIED;
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
    if (this.#state <= NOTIFIED) {
      throw new InvalidStateError("The result is not there yet");
    }
    if (this.#state === CANCELLED) throw this.#cancellation();
    if (this.#state !== ERROR) return null;
    this.#markRetrieved();
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
    this.#markRetrieved();
    if (this.#state > NOTIFIED) return false;
    if (this.#state === NOTIFIED) this.#handOff(message);
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
    const job = new dependents.DoneCallback(
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
    const jobs = allCallbacks(this.#callbacks);
    const kept = jobs.filter((job) =>
      !(job instanceof dependents.DoneCallback && job.fn === fn)
    );
    this.#callbacks = toCallbacks(kept);
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
    return debugHooks.inspect(this);
  }

  #mustBePending(action: string): void {
    if (this.#state === PENDING) return;
    throw new InvalidStateError(`Cannot ${action}: the future is done already`);
  }

  #then(onFulfilled: Handler, onRejected: Handler): Continuation<unknown> {
    const reaction = this.#continuation(onFulfilled, onRejected);
    const { frame } = reaction;
    if (
      frame !== null &&
      (frame.loop !== this.#loop || isTaskOf(frame, this)) &&
      frame.isRealAwait(reaction)
    ) {
      const error = new RuntimeError(
        isTaskOf(frame, this)
          ? "A task cannot await itself"
          : "Cannot await a future that belongs to another event loop",
      );
      settled.then(() => reaction.rejected(error));
    } else if (this.#state <= YIELD_QUEUED) {
      if (this.#state === YIELDING) loops.push(this.#loop, reaction);
      else this.#add(reaction);
      reaction.frame?.suspend(reaction);
    } else {
      lateContinuations.push(reaction);
      settled.then(runLate);
    }
    return reaction;
  }

  #continuation(
    onFulfilled: Handler,
    onRejected: Handler,
  ): Continuation<unknown> {
    let frame = (currentSlot() ?? null) as CancelScope | null;
    if (frame !== null) {
      if (!frame.isScope) frame = null;
      else if (frame.isOver) frame = frame.open;
    }
    return new dependents.Continuation(
      this,
      this.#loop,
      frame,
      onFulfilled,
      onRejected,
    );
  }

  /** A reaction has its turn. */
  #resume(reaction: Continuation<unknown>): boolean {
    if (this.#state === NOTIFIED) this.#complete(reaction.frame);
    if (this.#state <= NOTIFIED) {
      this.#add(reaction);
      reaction.frame?.suspend(reaction);
      return false;
    }
    this.#runContinuation(reaction);
    return true;
  }

  /** Gives a reaction the outcome. */
  #runContinuation(reaction: Continuation<unknown>): void {
    const { frame } = reaction;
    const request = frame === null
      ? null
      : frame.resume(reaction, this.#state !== RESULT);
    const scope = request === null ? null : frame;
    if (this.#state === ERROR) {
      this.#markRetrieved();
      reaction.rejected(this.#value, scope);
    } else if (this.#state === CANCELLED) {
      reaction.rejected(this.#rejection(request), scope);
    } else reaction.fulfilled(this.#value, scope);
  }

  #subscribe(job: Job): void {
    if (this.#state <= NOTIFIED) this.#add(job);
    else loops.push(this.#loop, job);
  }

  #add(job: Job): void {
    this.#callbacks = addCallback(this.#callbacks, job);
  }

  #remove(job: Job): void {
    this.#callbacks = removeCallback(this.#callbacks, job);
  }

  #end(state: number, value: unknown): void {
    const source = this.#state === PENDING ? this.#source : null;
    this.#state = state;
    this.#value = value;
    this.#unsubscribeSignal();
    this.#runCallbacks();
    if (source !== null) source.remove(this);
  }

  #unsubscribeSignal(): void {
    if (this.#subscription instanceof AbortSubscription) {
      this.#subscription.unsubscribe();
    }
  }

  #runCallbacks(loop = this.#loop): void {
    const jobs = this.#callbacks;
    if (jobs === null) return;
    this.#callbacks = null;
    if (loop.isClosed()) return; // nobody resumes there any more
    if (!Array.isArray(jobs) && !(jobs instanceof Set)) {
      return loops.push(loop, jobs);
    }
    for (const job of jobs) loops.push(loop, job);
  }

  #notify(loop: EventLoop): boolean {
    if (this.#state !== PENDING) return false;
    if (loop.isClosed()) {
      this.#source = null;
      return false;
    }
    this.#state = NOTIFIED;
    const jobs = this.#callbacks;
    this.#callbacks = null;
    if (jobs instanceof dependents.Continuation) loops.push(loop, jobs);
    else if (jobs === null) {
      this.#pushNotified(loop, { run: () => this.#runFirst() });
    } else for (const job of allCallbacks(jobs)) this.#pushNotified(loop, job);
    return true;
  }

  #pushNotified(loop: EventLoop, job: Job): void {
    if (job instanceof dependents.Continuation) return loops.push(loop, job);
    const recover = () => this.#recover(job);
    loops.push(loop, { run: () => job.run(), recover });
  }

  /** The loop that was to resume it is closed: its own one does, or the turn goes to the next. */
  #recover(job: Job): void {
    if (!this.#loop.isClosed()) this.#pushNotified(this.#loop, job);
    else this.#handOff();
  }

  /** It was woken when nobody awaited it: gives the turn to who does now, or takes it. */
  #runFirst(): boolean {
    const [first, ...rest] = allCallbacks(this.#callbacks);
    this.#callbacks = toCallbacks(rest);
    if (first !== undefined) return first.run();
    if (this.#state === NOTIFIED) this.#complete();
    return false;
  }

  /** Gets what a woken future waited for; it may be pending again afterwards. */
  #complete(by: ExecutionContext | null = null): void {
    try {
      const value = this.#source!.complete(this, by);
      if (value === AGAIN) {
        this.#state = PENDING;
        return;
      }
      this.#state = RESULT;
      this.#value = value;
      this.#unsubscribeSignal();
      this.#runCallbacks();
    } catch (error) {
      this.#fail(error);
    }
  }

  #claim(job: Job): boolean {
    if (this.#state === NOTIFIED) this.#complete();
    if (this.#state > NOTIFIED) return true;
    this.#add(job);
    return false;
  }

  #discard(): void {
    this.#handOff();
    this.#markRetrieved();
  }

  #handOff(message?: string): void | Promise<void> {
    if (this.#state !== NOTIFIED) return;
    this.#state = CANCELLED;
    this.#value = message;
    this.#unsubscribeSignal();
    this.#runCallbacks();
    return this.#source!.handOff(this);
  }

  #isCancellation(): boolean {
    return this.#state === CANCELLED ||
      (this.#state === ERROR && isInstance(this.#value, CancelledError));
  }

  /** The task that awaited it was cancelled in the very moment it was done. */
  #abandon(): void | Promise<void> {
    if (this.#state === ERROR) this.#watch();
    else return this.#handOff();
  }

  /** Its signal aborted: as {@linkcode Future.setException}, also when woken but not resumed. */
  #abort(reason: unknown): void {
    if (this.#state !== PENDING) this.#handOff();
    this.#fail(reason);
  }

  #fail(error: unknown): void {
    const jobs = this.#callbacks;
    this.#end(ERROR, error);
    if (!(jobs instanceof dependents.Continuation)) this.#watch(jobs !== null);
  }

  /** Has the error reported if nobody ever looks at it. */
  #watch(isHeard = false): void {
    const bond = this.#subscription;
    if (bond === SILENCED || bond instanceof UnretrievedError) return;
    if (bond?.explains(this.#value)) return;
    this.#subscription = new UnretrievedError(
      this,
      this.#loop,
      this.#value,
      isHeard,
      loops.cachedNow(this.#loop),
      loops.execution(this.#loop),
    );
  }

  #markRetrieved(): void {
    if (!(this.#subscription instanceof UnretrievedError)) return;
    this.#subscription.forget();
    this.#subscription = null;
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
    setMessage(request.error, value);
    return request.error;
  }

  #rejection(request: CancelRequest | null): unknown {
    return request === null || request.hasError ||
        isInstance(this.#value, CancelledError)
      ? this.#cancellation(request)
      : new DeferredError(this.#value);
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

const settled = Promise.resolve();
/** Reactions to futures that were done before, each for one microtask. */
const lateContinuations = new Deque<Continuation<unknown>>();

function runLate(): void {
  const reaction = lateContinuations.shift() as Continuation<unknown>;
  futures.resume(reaction.source!, reaction);
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

/** The loop of the caller, as `getEventLoop()` returns it. */
export function callersLoop(): EventLoop {
  return dependents.getEventLoop();
}

/** Whether a loop is the implicit one, which code outside of every runner shares. */
export function isImplicit(loop: EventLoop): boolean {
  return dependents.isImplicit(loop);
}

/** The loop that was given, else the one of the caller. */
export function checkedLoop(
  loop: EventLoop | undefined,
  action: string,
): EventLoop {
  if (loop === undefined) return callersLoop();
  if (!isLoop(loop)) checkInstance(loop, dependents.EventLoop, action, "loop");
  return loop;
}
