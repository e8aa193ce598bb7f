/**
 * Deadlines over a piece of code: `timeout` and `timeoutAt`.
 *
 * @module
 */

import { subscribeAbort, unsubscribeAbort } from "./_abort_signal.ts";
import { Deadline, runInTask } from "./_awaitable.ts";
import { asCancellation } from "./_cancel_request.ts";
import { InnerScope, type ScopeOwner } from "./_cancel_scope.ts";
import { reportSwallowed } from "./_debug_mode.ts";
import { type Duration, toSeconds, toTime } from "./_duration.ts";
import { type EventLoop, getEventLoop } from "./_event_loop.ts";
import { chainOf, span } from "./_inspect.ts";
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

/** What a timeout has to say of the waits inside of it. */
class TimeoutOwner implements ScopeOwner {
  readonly #timeout: Timeout;

  constructor(timeout: Timeout) {
    this.#timeout = timeout;
  }

  explain(): string | null {
    return explainTimeout(this.#timeout);
  }
}

/** A deadline that is so many seconds away. */
export function timeoutAfter(seconds: number | null): Timeout {
  if (seconds === null) return new Timeout(null);
  const timeout = new Timeout(getEventLoop().time() + seconds);
  setDelay(timeout, seconds);
  return timeout;
}

/**
 * A deadline over a piece of code; `timeout` makes and enters one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Timeout}.
 */
export class Timeout {
  #when: number | null;
  #state: "created" | "active" | "expiring" | "expired" | "finished" =
    "created";
  #scope: InnerScope | null = null;
  /** Requests to cancel that stood around the scope when it was entered. */
  #requests = 0;
  #deadline: Deadline | null = null;
  /** What the task waited for when the time was up. */
  #waitChain: string | null = null;
  /** The time that it gives, in seconds, where that is known. */
  #delay: number | null = null;
  /** Why the scope was interrupted, if not by its deadline. */
  #aborted: Failure | null = null;

  /**
   * Makes a deadline that is not active yet.
   *
   * @param when When it is, on the loop's clock; `null` for never.
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
   * The signal of the scope. It aborts when the time is up, when the body
   * fails, and when the task or a scope around this one is cancelled.
   *
   * @throws {RuntimeError} If the scope was not entered.
   */
  get signal(): AbortSignal {
    if (this.#scope === null) {
      throw new RuntimeError("A timeout has a signal once it is entered");
    }
    return this.#scope.signal;
  }

  /** The deadline on the loop's clock, `null` for none. */
  when(): number | null {
    return this.#when;
  }

  /**
   * Moves the deadline.
   *
   * @param when The new one, on the loop's clock; one in the past strikes at once, `null` takes it away.
   * @throws {RuntimeError} If the scope is not active: not entered, expired or left.
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

  /** Ends the scope; returns what is to be thrown instead of the body's error. */
  #exit(failure: Failure | null): Failure | null {
    const scope = this.#scope!;
    this.#deadline?.cancel();
    const hasExpired = this.#state === "expiring";
    this.#state = hasExpired ? "expired" : "finished";
    if (failure !== null) scope.abortSignal(failure.error);
    if (!hasExpired && this.#aborted === null) return failure;
    if (failure === null) reportSwallowed(scope.root, this.#requests);
    scope.withdrawOwn();
    const isOwn = scope.outer.pathRequests <= this.#requests;
    const cancellation = failure && asCancellation(failure.error);
    if (!isOwn || cancellation === null) return failure;
    if (this.#aborted !== null) return this.#aborted;
    const what = this.#waitChain === null
      ? ""
      : ` while waiting for ${this.#waitChain}`;
    return {
      error: new TimeoutError(`The time was up${what}`, {
        cause: cancellation,
      }),
    };
  }
}

/**
 * Limits the time that a piece of code may take.
 *
 * The body runs inside the calling task. When the time is up, the task is
 * cancelled; the `CancelledError`, if it leaves the body, comes out as a
 * `TimeoutError`. A cancellation from elsewhere passes through as it is.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout}.
 *
 * @typeParam T What the body returns.
 * @param delay Seconds or a duration from now, `null` for no limit; zero or less strikes at the first wait.
 * @param body The code, called with the deadline.
 * @returns What the body returns.
 * @throws {TimeoutError} If the time is up.
 * @throws {CancelledError} If the task is cancelled from elsewhere.
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
 * As {@linkcode timeout}, with a moment instead of a length of time.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout_at}.
 *
 * @typeParam T What the body returns.
 * @param when The deadline on the loop's clock, `null` for none.
 * @param body The code, called with the deadline.
 * @returns What the body returns.
 * @throws {TimeoutError} If the time is up.
 * @throws {CancelledError} If the task is cancelled from elsewhere.
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

/** Enters a deadline around a body; `signal` ends it likewise, with its own reason. */
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
