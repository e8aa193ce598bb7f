/**
 * Deadlines over a piece of code: `timeout` and `timeoutAt`.
 *
 * @module
 */

import { subscribeAbort, unsubscribeAbort } from "./_abort_signal.ts";
import { runInTask } from "./_awaitable.ts";
import { asCancellation } from "./_cancel_request.ts";
import { InnerScope, type ScopeOwner } from "./_cancel_scope.ts";
import { reportSwallowed } from "./_debug_mode.ts";
import { type Duration, toSeconds, toTime } from "./_duration.ts";
import { Deadline } from "./_done_callbacks.ts";
import type { EventLoop } from "./_event_loop.ts";
import { callersLoop } from "./_future.ts";
import { addOrigin } from "./_error_stack.ts";
import { chainOf } from "./_inspect.ts";
import { span } from "./_text.ts";
import { checkBody } from "./_validate.ts";
import {
  currentScope,
  type Failure,
  promiseTry,
  runInScope,
} from "./_waiting_call.ts";
import { RuntimeError, TimeoutError } from "./exceptions.ts";

let enterTimeout: (scope: Timeout) => InnerScope;
let exitTimeout: (scope: Timeout, failure: Failure | null) => Failure | null;
let abortTimeout: (scope: Timeout, reason: unknown) => void;
let explainTimeout: (scope: Timeout) => string | null;
let setDelay: (scope: Timeout, seconds: number) => void;

/** Explains waits inside a timeout, for reports. */
class TimeoutOwner implements ScopeOwner {
  readonly #timeout: Timeout;

  constructor(timeout: Timeout) {
    this.#timeout = timeout;
  }

  explain(): string | null {
    return explainTimeout(this.#timeout);
  }
}

/** A deadline a number of seconds from now. */
export function timeoutAfter(seconds: number | null): Timeout {
  if (seconds === null) return new Timeout(null);
  const timeout = new Timeout(callersLoop().time() + seconds);
  setDelay(timeout, seconds);
  return timeout;
}

/**
 * A deadline for a block of code, as `timeout` and `timeoutAt` pass it to their
 * body.
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Timeout}.
 *
 * @example
 * ```ts
 * import { getEventLoop, sleep, timeout } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const expired = await timeout(3600, async (deadline) => {
 *   await sleep({ milliseconds: 1 });
 *   deadline.reschedule(getEventLoop().time() + 60); // a minute from now
 *   return deadline.expired();
 * });
 * assert(!expired);
 * ```
 */
export class Timeout {
  #when: number | null;
  #state: "created" | "active" | "expiring" | "expired" | "finished" =
    "created";
  #scope: InnerScope | null = null;
  /** The cancel requests pending around the scope when it was entered. */
  #requests = 0;
  #deadline: Deadline | null = null;
  /** What the task waited for when the timeout expired. */
  #waitChain: string | null = null;
  /** The delay in seconds, if known. */
  #delay: number | null = null;
  /** Set if a signal interrupted the scope. */
  #aborted: Failure | null = null;

  /**
   * Creates a deadline that is not active yet.
   *
   * @param when The deadline on the loop's clock, as `loop.time()` counts; `null` for none.
   * @throws {TypeError} If `when` is neither a number nor `null`.
   * @throws {RangeError} If `when` is `NaN`.
   */
  constructor(when: number | null) {
    if (when !== null) toTime(when, "deadline");
    this.#when = when;
  }

  static {
    enterTimeout = (scope) => scope.#enter();
    exitTimeout = (scope, failure) => scope.#exit(failure);
    abortTimeout = (scope, reason) => scope.#abort(reason);
    explainTimeout = (scope) => scope.#explain();
    setDelay = (scope, seconds) => scope.#delay = seconds;
  }

  /**
   * The signal of the body. It aborts when the timeout expires, when the body
   * fails, and when the task or an outer scope is cancelled.
   *
   * @throws {RuntimeError} If the timeout was not entered.
   */
  get signal(): AbortSignal {
    if (this.#scope === null) {
      throw new RuntimeError(
        "Cannot get the signal of a timeout that was not entered",
      );
    }
    return this.#scope.signal;
  }

  /** The deadline on the loop's clock; `null` for none. */
  when(): number | null {
    return this.#when;
  }

  /**
   * Moves the deadline.
   *
   * @param when The new deadline on the loop's clock; one in the past expires at once, `null` removes it.
   * @throws {RuntimeError} If the timeout was not entered, has expired or is finished.
   */
  reschedule(when: number | null): void {
    if (when !== null) toTime(when, "deadline");
    if (this.#state !== "active") {
      throw new RuntimeError(
        this.#state === "created"
          ? "Cannot reschedule a timeout that was not entered"
          : `Cannot reschedule a timeout that is ${this.#state}`,
      );
    }
    this.#when = when;
    this.#deadline?.cancel();
    this.#deadline = when === null ? null : new Deadline(
      this.#scope!.loop as EventLoop,
      when,
      () => this.#expire(),
    );
  }

  /** Whether the deadline passed while the scope was active. */
  expired(): boolean {
    return this.#state === "expiring" || this.#state === "expired";
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const due = this.#state !== "active" || this.#when === null
      ? ""
      : `, due in ${span(Math.max(0, this.#when - this.#scope!.loop.time()))}`;
    return `<Timeout ${this.#state}${due}>`;
  }

  #enter(): InnerScope {
    if (this.#state !== "created") {
      throw new RuntimeError("A timeout can be entered only once");
    }
    const outer = currentScope()!;
    this.#requests = outer.pathRequests;
    this.#scope = new InnerScope(outer, new TimeoutOwner(this));
    this.#state = "active";
    this.reschedule(this.#when);
    return this.#scope;
  }

  #explain(): string | null {
    if (this.#state !== "expiring" || this.#when === null) return null;
    const ago = this.#scope!.loop.time() - this.#when;
    const length = this.#delay === null ? "" : +this.#delay.toFixed(3);
    return `timeout(${length}) expired ${span(ago)} ago`;
  }

  #expire(): void {
    this.#state = "expiring";
    this.#waitChain = chainOf(this.#scope!);
    this.#scope!.request(undefined);
  }

  #abort(reason: unknown): void {
    if (this.#state !== "active") return;
    this.#aborted = { error: reason };
    this.#deadline?.cancel();
    this.#scope!.request(undefined);
  }

  /** Ends the scope. Returns what to throw instead of the body's error. */
  #exit(failure: Failure | null): Failure | null {
    const scope = this.#scope!;
    this.#deadline?.cancel();
    const hasExpired = this.#state === "expiring";
    this.#state = hasExpired ? "expired" : "finished";
    if (failure !== null) scope.abortSignal(failure.error);
    if (!hasExpired && this.#aborted === null) return failure;
    if (failure === null) reportSwallowed(scope.taskState, this.#requests);
    scope.withdrawOwn();
    const isOwn = scope.outer.pathRequests <= this.#requests;
    const cancellation = failure && asCancellation(failure.error);
    if (!isOwn || cancellation === null) return failure;
    if (this.#aborted !== null) return this.#aborted;
    const what = this.#waitChain === null
      ? ""
      : ` while waiting for ${this.#waitChain}`;
    const error = new TimeoutError(`Timed out${what}`, { cause: cancellation });
    addOrigin(error, cancellation);
    return { error };
  }
}

/**
 * Limits the time that a block of code may take.
 *
 * The body runs in the calling task, or in a task of its own outside of tasks.
 * When the timeout expires, the body is cancelled at its current wait, and a
 * `CancelledError` that leaves it is replaced by a `TimeoutError`. Any other
 * cancellation passes through. A cancelled `timeout` leaves no timer behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout}.
 *
 * @typeParam T What the body returns.
 * @param delay Seconds or a duration from now, `null` for no limit; zero or less expires at the first wait.
 * @param body The code to run, called with the `Timeout`.
 * @returns What the body returns.
 * @throws {TimeoutError} If the timeout expires.
 * @throws {CancelledError} If the calling task is cancelled.
 *
 * @example
 * ```ts
 * import { run, sleep, timeout, TimeoutError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * await run(async () => {
 *   try {
 *     await timeout({ milliseconds: 1 }, () => sleep(3600));
 *   } catch (error) {
 *     assert(error instanceof TimeoutError);
 *   }
 * });
 * ```
 */
export function timeout<T>(
  delay: Duration | null,
  body: (timeout: Timeout) => T | PromiseLike<T>,
): Promise<T> {
  return promiseTry(() => {
    const seconds = delay === null ? null : toSeconds(delay);
    checkBody(body, "set a timeout");
    return runTimeout(timeoutAfter(seconds), body);
  });
}

/**
 * Limits the time that a block of code may take, as {@linkcode timeout} does,
 * but with an absolute deadline.
 *
 * If the calling task is cancelled, so is the body at its current wait. No timer
 * is left behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout_at}.
 *
 * @typeParam T What the body returns.
 * @param when The deadline on the loop's clock; `null` for none.
 * @param body The code to run, called with the `Timeout`.
 * @returns What the body returns.
 * @throws {TimeoutError} If the timeout expires.
 * @throws {CancelledError} If the calling task is cancelled.
 *
 * @example
 * ```ts
 * import { getEventLoop, sleep, timeoutAt, TimeoutError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const when = getEventLoop().time() + 0.001;
 * const error = await timeoutAt(when, () => sleep(3600)).catch((error) => error);
 * assert(error instanceof TimeoutError);
 * ```
 */
export function timeoutAt<T>(
  when: number | null,
  body: (timeout: Timeout) => T | PromiseLike<T>,
): Promise<T> {
  return promiseTry(() => {
    checkBody(body, "set a timeout");
    return runTimeout(new Timeout(when), body);
  });
}

/** Runs a body under a deadline. `signal` ends it too, with the signal's reason. */
export function runTimeout<T>(
  timeout: Timeout,
  body: (timeout: Timeout) => T | PromiseLike<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (currentScope() === null) {
    return runInTask(() => runTimeout(timeout, body, signal));
  }
  const scope = enterTimeout(timeout);
  if (signal === undefined) {
    const leave = (failure: Failure | null) => exitTimeout(timeout, failure);
    return runInScope(scope, () => body(timeout), leave);
  }
  const target = { abort: (reason: unknown) => abortTimeout(timeout, reason) };
  subscribeAbort(signal, target);
  return runInScope(scope, () => body(timeout), (failure) => {
    unsubscribeAbort(signal, target);
    return exitTimeout(timeout, failure);
  });
}
