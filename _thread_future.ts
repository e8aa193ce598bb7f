/**
 * The future of a call to a loop from another thread.
 *
 * This file is also part of the program of a worker thread, see
 * `_thread_worker.ts`: it uses nothing of a runtime but its globals.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import { describeValue } from "./_thread_serialize.ts";
import { CancelledError, TimeoutError } from "./exceptions.ts";

/** How a call has ended. */
export type CallOutcome<T> =
  | { readonly kind: "result"; readonly value: T }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "cancelled"; readonly message: string };

/** What stands behind a {@linkcode ThreadFuture}. */
export interface ThreadCall<T> {
  /** Whether there is an outcome, by what can be known without waiting. */
  done(): boolean;
  /** The outcome, once there is one. */
  outcome(): CallOutcome<T>;
  /** Blocks the thread until there is an outcome. */
  block(seconds: number): void;
  /** Ends the call as cancelled, and has its task cancelled. */
  cancel(): void;
  /** Calls once there is an outcome, at once if there is one. */
  subscribe(fn: () => void): void;
  /** Something to await. */
  promise(): PromiseLike<T>;
}

/** Makes the future of a call. */
export let threadFuture: <T>(call: ThreadCall<T>) => ThreadFuture<T>;

/**
 * The outcome of a coroutine that runs on the loop of another thread, as
 * `runCoroutineThreadsafe` returns it.
 *
 * It can be awaited, or waited for with the whole thread:
 * {@linkcode ThreadFuture.result} blocks until the loop has answered.
 *
 * Stands for {@link https://docs.python.org/3/library/concurrent.futures.html#future-objects}.
 *
 * @typeParam T What the coroutine returns.
 *
 * @example
 * ```ts
 * import { getRunningLoop, run, runCoroutineThreadsafe, toThread } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const answer = await run(() => {
 *   const loop = getRunningLoop();
 *   loop.expose({ double: (n: number) => 2 * n });
 *   return toThread((loop) => {
 *     const future = runCoroutineThreadsafe<number>("double", loop, 21);
 *     return future.result(60);
 *   }, loop.handle());
 * });
 * assert(answer === 42);
 * ```
 */
export class ThreadFuture<T> implements PromiseLike<T> {
  readonly #call: ThreadCall<T>;

  static {
    threadFuture = (call) => new ThreadFuture(call);
  }

  private constructor(call?: ThreadCall<T>) {
    if (call === undefined) {
      throw new TypeError(
        "Cannot create a ThreadFuture: runCoroutineThreadsafe() returns one",
      );
    }
    this.#call = call;
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const kind = this.done() ? this.#call.outcome().kind : "pending";
    const states = { result: "done", error: "failed", cancelled: "cancelled" };
    return `<ThreadFuture ${kind === "pending" ? kind : states[kind]}>`;
  }

  /** Whether the coroutine has ended or was cancelled. */
  done(): boolean {
    return this.#call.done();
  }

  /** Whether it was cancelled. */
  cancelled(): boolean {
    return this.done() && this.#call.outcome().kind === "cancelled";
  }

  /**
   * What the coroutine returned. Blocks the thread until it has.
   *
   * @param timeout How long to block at most, in seconds or as a duration; for ever by default.
   * @returns The value.
   * @throws {TimeoutError} If the time is up. The coroutine runs on.
   * @throws {CancelledError} If the coroutine was cancelled.
   * @throws {RuntimeError} If it would block the thread that runs the loop, or if the loop was closed.
   * @throws What the coroutine has thrown.
   */
  result(timeout?: Duration | null): T {
    const outcome = this.#wait(timeout);
    if (outcome.kind === "error") throw outcome.error;
    return outcome.value;
  }

  /**
   * What the coroutine has thrown. Blocks the thread until it has ended.
   *
   * @param timeout How long to block at most, in seconds or as a duration; for ever by default.
   * @returns The error, `null` if it returned a value.
   * @throws {TimeoutError} If the time is up. The coroutine runs on.
   * @throws {CancelledError} If the coroutine was cancelled.
   * @throws {RuntimeError} If it would block the thread that runs the loop.
   */
  exception(timeout?: Duration | null): unknown {
    const outcome = this.#wait(timeout);
    return outcome.kind === "error" ? outcome.error : null;
  }

  /**
   * Cancels the task of the coroutine on its loop. This future counts as
   * cancelled at once, whatever the task makes of the request.
   *
   * @returns `false` if the coroutine has ended already.
   */
  cancel(): boolean {
    if (this.done()) return this.cancelled();
    this.#call.cancel();
    return true;
  }

  /**
   * Has a function called in this thread when the coroutine has ended; at
   * once if it has. A thread that is blocked calls it when it goes on.
   *
   * @param fn The function. It is given this future.
   * @throws {TypeError} If it is no function.
   */
  addDoneCallback(fn: (future: this) => unknown): void {
    if (typeof fn !== "function") {
      throw new TypeError(
        `Cannot add a done callback: expected a function, got ${
          describeValue(fn)
        }`,
      );
    }
    this.#call.subscribe(() => {
      try {
        fn(this);
      } catch (error) {
        console.error("Error in a done callback of a ThreadFuture\n", error);
      }
    });
  }

  /**
   * What `await` calls; the thread is not blocked.
   *
   * @typeParam R What the first function returns.
   * @typeParam S What the second function returns.
   * @param onFulfilled Called with the value.
   * @param onRejected Called with the error.
   * @returns What they return, as a promise.
   */
  then<R = T, S = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => S | PromiseLike<S>) | null,
  ): PromiseLike<R | S> {
    return this.#call.promise().then(onFulfilled, onRejected);
  }

  #wait(
    timeout?: Duration | null,
  ): Exclude<CallOutcome<T>, { kind: "cancelled" }> {
    const seconds = toSeconds(timeout ?? Infinity, "timeout");
    if (!this.done() && seconds > 0) this.#call.block(seconds);
    if (!this.done()) {
      throw new TimeoutError(`The loop has not answered in ${seconds} s`);
    }
    const outcome = this.#call.outcome();
    if (outcome.kind !== "cancelled") return outcome;
    throw new CancelledError(outcome.message);
  }
}
