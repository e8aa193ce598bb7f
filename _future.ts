/**
 * Futures. Tasks are in `_task.ts`, event loops in `_event_loop.ts`, calls of
 * `then()` in `_continuation.ts`. What a task is suspended in, and how it is
 * cancelled, is in `_cancel_scope.ts`; how jobs are scheduled, in
 * `_scheduler.ts`.
 *
 * A future is not a native promise and creates none. A failed future that
 * nobody looks at is therefore no `unhandledrejection`; the loop reports it.
 *
 * A future can have a {@linkcode WaitSource}, such as the queue of a lock. It
 * is then *notified* before it has a value, and gets the value when the code
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
import { classes } from "./_core_classes.ts";
import { EventLoop, getEventLoop, isLoop } from "./_scheduler.ts";
import {
  currentExecution,
  debugHooks,
  type ExecutionContext,
  internals as loops,
  type Job,
} from "./_scheduler.ts";
import type { CallbackOptions, Coroutine } from "./_options.ts";
import type { Continuation, Handler } from "./_continuation.ts";
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

const PENDING = 0;
/** Its turn has come, but the waiting code has not resumed yet. */
const NOTIFIED = 1;
/** Has its value, but completes on the next turn of the loop only. */
const YIELDING = 2;
/** The same, and that turn is scheduled already. */
const YIELD_QUEUED = 3;
const RESULT = 4;
const ERROR = 5;
const CANCELLED = 6;
/** Names of the states, for inspection. */
const STATES = [
  "pending",
  "pending",
  "done",
  "done",
  "done",
  "failed",
  "cancelled",
];

/** In place of the report of an error: it will not be reported. */
const SILENCED = Symbol("muted");

export { getEventLoop as callersLoop, isImplicit } from "./_scheduler.ts";
export { AGAIN, type WaitSource } from "./_wait_source.ts";

/** A future of any type. */
// deno-lint-ignore no-explicit-any
export type AnyFuture = Future<any>;

/** What waiting functions accept: a future, a promise or a coroutine function. */
export type Awaitable<T> = Future<T> | PromiseLike<T> | Coroutine<T>;

/** What other files may do with a future; the static block of {@linkcode Future} implements it. */
export interface FutureInternals {
  make(loop: EventLoop, source: WaitSource | null): AnyFuture;
  /** A future that completes on the next turn of the loop, after all jobs that are ready now. */
  makeYield(loop: EventLoop, value: unknown): AnyFuture;
  /** Completes such a future. Returns whether user code was resumed. */
  endYield(future: AnyFuture): boolean;
  /** Lets the running task end as a future does. */
  follow(future: AnyFuture): void;
  /** Runs a continuation on its turn. Returns whether user code was resumed. */
  resume(future: AnyFuture, continuation: Continuation<unknown>): boolean;
  /** The awaiting task was cancelled after the future was done. It is told once the returned promise, if any, has settled. */
  discardOutcome(future: AnyFuture): void | Promise<void>;
  /** Ends a future with a value; unlike `setResult()`, also a task. */
  settle(future: AnyFuture, value: unknown): void;
  fail(future: AnyFuture, error: unknown): void;
  cancel(future: AnyFuture, message: unknown): void;
  /** Resumes the waiting code, on a loop. Returns `false` if the future is not pending. */
  notify(future: AnyFuture, loop: EventLoop): boolean;
  subscribe(future: AnyFuture, job: Job): void;
  unsubscribe(future: AnyFuture, job: Job): void;
  /** Its error, if any, will not be reported as never retrieved. */
  silence(future: AnyFuture): void;
  /** A loop was closed before it ran a job of a notified future: schedules the job elsewhere, or hands off. */
  recover(future: AnyFuture, job: Job): void;
  /** Completes a notified future for `job`. Returns `false` if the job has to wait again. */
  claim(future: AnyFuture, job: Job): boolean;
  /** Ends a pending future as another one has ended. */
  settleAs(future: AnyFuture, other: AnyFuture): void;
  /** Nobody needs the outcome: hands off a notification, silences an error. */
  discard(future: AnyFuture): void;
  subscribeSignal(future: AnyFuture, signal: AbortSignal): void;
  setSource(future: AnyFuture, source: WaitSource): void;
  pending(future: AnyFuture): boolean;
  /** Whether it was notified, and completes when the waiting code resumes. */
  notified(future: AnyFuture): boolean;
  /** Whether its outcome is a cancellation. */
  isCancellation(future: AnyFuture): boolean;
  /** Details for reports. Reading the error here does not count as retrieving it. */
  inspect(future: AnyFuture): FutureDetails;
  failed(future: AnyFuture): boolean;
  /** The error of a failed future. Reading it here does not count as retrieving it. */
  error(future: AnyFuture): unknown;
  source(future: AnyFuture): WaitSource | null;
  /** Whether it has a value that would be lost with a cancellation. */
  keepsValue(future: AnyFuture): boolean;
}

export let futures: FutureInternals;

/** As a handler: ends the running task with the value of its body. */
export function finishTask(value: unknown): void {
  (currentExecution() as CancelScope).taskState.finish(value);
}

/** As a handler: ends the running task with the error of its body. */
export function failTask(error: unknown): void {
  (currentExecution() as CancelScope).taskState.fail(error);
}

/**
 * A value that becomes available later.
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
  /** The value, the error, or the message or error of a cancellation, by state. */
  #value: unknown = undefined;
  /** Callbacks, in registration order. */
  #callbacks: Callbacks = null;
  /** What the future waits for, if this module knows. */
  #source: WaitSource | null = null;
  /** The subscription to a signal that can end it; or, once failed, the error that nobody has retrieved. */
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
        // In the first step of an eager task, other jobs would run before its await.
        future.#state = eagerSteps.count > 0 ? YIELD_QUEUED : YIELDING;
        if (future.#state === YIELD_QUEUED) {
          loops.push(loop, { run: () => futures.endYield(future) });
        }
        return future;
      },
      endYield: (future) => {
        const jobs = future.#callbacks;
        future.#state = RESULT;
        if (!(jobs instanceof classes.Continuation)) {
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
      resume: (future, continuation) => future.#resume(continuation),
      discardOutcome: (future) => future.#discardOutcome(),
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
   * @param error The error. An error class is instantiated.
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
   * Registers a function to call once the future is done. It is called on the
   * loop's turn, even if the future is done already, with the future as its
   * argument. An error in it goes to the exception handler.
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
    const job = new classes.DoneCallback(
      this,
      fn as (future: AnyFuture) => unknown,
      options.context ?? undefined,
    );
    this.#subscribe(job);
  }

  /**
   * Removes every registration of a function.
   *
   * @param fn The function.
   * @returns How many there were.
   */
  removeDoneCallback(fn: (future: this) => unknown): number {
    const jobs = allCallbacks(this.#callbacks);
    const kept = jobs.filter((job) =>
      !(job instanceof classes.DoneCallback && job.fn === fn)
    );
    this.#callbacks = toCallbacks(kept);
    return jobs.length - kept.length;
  }

  /**
   * What `await` calls. With callbacks it works like that of a promise, and
   * what it returns can be awaited and cancelled like this future.
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
    const continuation = this.#continuation(onFulfilled, onRejected);
    const { scope } = continuation;
    if (
      scope !== null &&
      (scope.loop !== this.#loop || isTaskOf(scope, this)) &&
      scope.isRealAwait(continuation)
    ) {
      const error = new RuntimeError(
        isTaskOf(scope, this)
          ? "A task cannot await itself"
          : "Cannot await a future that belongs to another event loop",
      );
      settled.then(() => continuation.rejected(error));
    } else if (this.#state <= YIELD_QUEUED) {
      if (this.#state === YIELDING) loops.push(this.#loop, continuation);
      else this.#add(continuation);
      continuation.scope?.suspend(continuation);
    } else {
      lateContinuations.push(continuation);
      settled.then(runLate);
    }
    return continuation;
  }

  #continuation(
    onFulfilled: Handler,
    onRejected: Handler,
  ): Continuation<unknown> {
    let scope = (currentSlot() ?? null) as CancelScope | null;
    if (scope !== null) {
      if (!scope.isScope) scope = null;
      else if (scope.isOver) scope = scope.open;
    }
    return new classes.Continuation(
      this,
      this.#loop,
      scope,
      onFulfilled,
      onRejected,
    );
  }

  /** Runs a continuation on its turn. Returns whether user code was resumed. */
  #resume(continuation: Continuation<unknown>): boolean {
    if (this.#state === NOTIFIED) this.#complete(continuation.scope);
    if (this.#state <= NOTIFIED) {
      this.#add(continuation);
      continuation.scope?.suspend(continuation);
      return false;
    }
    this.#runContinuation(continuation);
    return true;
  }

  /** Passes the outcome to a continuation. */
  #runContinuation(continuation: Continuation<unknown>): void {
    const { scope } = continuation;
    const request = scope === null
      ? null
      : scope.resume(continuation, this.#state !== RESULT);
    const prober = request === null ? null : scope;
    if (this.#state === ERROR) {
      this.#markRetrieved();
      continuation.rejected(this.#value, prober);
    } else if (this.#state === CANCELLED) {
      continuation.rejected(this.#rejection(request), prober);
    } else continuation.fulfilled(this.#value, prober);
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
    if (loop.isClosed()) return; // nothing resumes there any more
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
    if (jobs instanceof classes.Continuation) loops.push(loop, jobs);
    else if (jobs === null) {
      this.#pushNotified(loop, { run: () => this.#runFirst() });
    } else for (const job of allCallbacks(jobs)) this.#pushNotified(loop, job);
    return true;
  }

  #pushNotified(loop: EventLoop, job: Job): void {
    if (job instanceof classes.Continuation) return loops.push(loop, job);
    const recover = () => this.#recover(job);
    loops.push(loop, { run: () => job.run(), recover });
  }

  /** The loop that should resume the code is closed: the future's own loop does, or the next waiter is notified. */
  #recover(job: Job): void {
    if (!this.#loop.isClosed()) this.#pushNotified(this.#loop, job);
    else this.#handOff();
  }

  /** Notified when nothing awaited it: completes for the code that awaits it now, or at once. */
  #runFirst(): boolean {
    const [first, ...rest] = allCallbacks(this.#callbacks);
    this.#callbacks = toCallbacks(rest);
    if (first !== undefined) return first.run();
    if (this.#state === NOTIFIED) this.#complete();
    return false;
  }

  /** Completes a notified future; it may be pending again afterwards. */
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

  /** The awaiting task was cancelled after the future was done. */
  #discardOutcome(): void | Promise<void> {
    if (this.#state === ERROR) this.#watch();
    else return this.#handOff();
  }

  /** Its signal aborted: fails, even if notified already. */
  #abort(reason: unknown): void {
    if (this.#state !== PENDING) this.#handOff();
    this.#fail(reason);
  }

  #fail(error: unknown): void {
    const jobs = this.#callbacks;
    this.#end(ERROR, error);
    if (!(jobs instanceof classes.Continuation)) this.#watch(jobs !== null);
  }

  /** Reports the error if nothing ever retrieves it. */
  #watch(isHeard = false): void {
    const subscription = this.#subscription;
    if (subscription === SILENCED || subscription instanceof UnretrievedError) {
      return;
    }
    if (subscription?.isReason(this.#value)) return;
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
   * The error of a cancelled future, a fresh one for each caller: first the one
   * that ended it as a task, then the one of the request that the awaiting task
   * received by its signal, then a new one. For an `await` a new error is
   * created only when the await rejects, so that its stack shows who awaits.
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

/** Gives a private subclass the name "Future", for messages. */
export function looksLikeFuture(kind: object): void {
  Object.defineProperty(kind, "name", { value: "Future" });
}

function isTaskOf(scope: CancelScope, future: AnyFuture): boolean {
  return scope.task as object === future;
}

const settled = Promise.resolve();
/** Continuations of futures that were already done, one for each microtask. */
const lateContinuations = new Deque<Continuation<unknown>>();

function runLate(): void {
  const continuation = lateContinuations.shift() as Continuation<unknown>;
  futures.resume(continuation.source!, continuation);
}

/** The loop in the options of a future. Private subclasses pass the loop itself. */
function loopOf(options: { loop?: EventLoop } | undefined): EventLoop {
  checkOptions(options, FUTURE_OPTIONS, CREATE_FUTURE);
  return checkedLoop(options?.loop, CREATE_FUTURE);
}

const CREATE_FUTURE = "create a future";
const FUTURE_OPTIONS = ["loop"] as const;

/** A loop passed by the user, or else the caller's. */
export function checkedLoop(
  loop: EventLoop | undefined,
  action: string,
): EventLoop {
  if (loop === undefined) return getEventLoop();
  if (!isLoop(loop)) checkInstance(loop, EventLoop, action, "loop");
  return loop;
}

classes.Future = Future;
