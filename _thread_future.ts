/**
 * `ThreadFuture`: the future of a call to a loop from another thread.
 *
 * This file is also part of the worker program, see `_thread_worker.ts`: it
 * must use nothing but globals.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import { describeValue } from "./_thread_serialize.ts";
import { CancelledError, TimeoutError } from "./exceptions.ts";

/** The outcome of a call. */
export type CallOutcome<T> =
  | { readonly kind: "result"; readonly value: T }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "cancelled"; readonly message: string };

/** The call behind a {@linkcode ThreadFuture}. */
export interface ThreadCall<T> {
  /** Whether the call has an outcome. Does not block. */
  done(): boolean;
  /** The outcome; only once done. */
  outcome(): CallOutcome<T>;
  /** Blocks the thread until there is an outcome or time has run out. */
  block(seconds: number): void;
  /** Marks the call as cancelled, and cancels its task. */
  cancel(): void;
  /** Calls a function once there is an outcome. */
  subscribe(fn: () => void): void;
  /** A promise of the outcome. */
  promise(): PromiseLike<T>;
}

/** What only this file can pass to the constructor. */
const KEY = Symbol("key");

/** Creates the future of a call. */
export let threadFuture: <T>(call: ThreadCall<T>) => ThreadFuture<T>;

/**
 * The future of a coroutine that runs on a loop of another thread, as
 * `runCoroutineThreadsafe` returns it.
 *
 * It can be awaited, or {@linkcode ThreadFuture.result} can block the calling
 * thread until the loop has replied. Cancelling a task that awaits it does not
 * cancel the coroutine; call {@linkcode ThreadFuture.cancel} for that.
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
    threadFuture = (call) => new ThreadFuture(call, KEY);
  }

  private constructor(call: ThreadCall<T>, key?: symbol) {
    if (key !== KEY) {
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

  /** Whether the coroutine has finished or was cancelled. */
  done(): boolean {
    return this.#call.done();
  }

  /** Whether the coroutine was cancelled. */
  cancelled(): boolean {
    return this.done() && this.#call.outcome().kind === "cancelled";
  }

  /**
   * Returns the result of the coroutine, blocking the thread until it has
   * finished.
   *
   * @param timeout How long to block at most, in seconds or as a duration; forever by default.
   * @returns The value.
   * @throws {TimeoutError} If the timeout expires. The coroutine keeps running.
   * @throws {CancelledError} If the coroutine was cancelled.
   * @throws {RuntimeError} If it would block the thread that runs the loop, or the loop is closed.
   * @throws Any error that the coroutine throws.
   */
  result(timeout?: Duration | null): T {
    const outcome = this.#wait(timeout);
    if (outcome.kind === "error") throw outcome.error;
    return outcome.value;
  }

  /**
   * Returns the error of the coroutine, blocking the thread until it has
   * finished.
   *
   * @param timeout How long to block at most, in seconds or as a duration; forever by default.
   * @returns The error; `null` if the coroutine returned a value.
   * @throws {TimeoutError} If the timeout expires. The coroutine keeps running.
   * @throws {CancelledError} If the coroutine was cancelled.
   * @throws {RuntimeError} If it would block the thread that runs the loop.
   */
  exception(timeout?: Duration | null): unknown {
    const outcome = this.#wait(timeout);
    return outcome.kind === "error" ? outcome.error : null;
  }

  /**
   * Cancels the task of the coroutine on its loop. This future is cancelled at
   * once, however the task handles it.
   *
   * @returns Whether it was cancelled; `false` if the coroutine had already finished.
   */
  cancel(): boolean {
    if (this.done()) return this.cancelled();
    this.#call.cancel();
    return true;
  }

  /**
   * Calls a function in this thread when the coroutine has finished; at once if
   * it already has. A blocked thread calls it when it continues. On the loop's
   * own thread the function is called in one of the next turns of the loop.
   *
   * @param fn The function, called with this future.
   * @throws {TypeError} If `fn` is not a function.
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
   * Called by `await`. Does not block the thread.
   *
   * @typeParam R What `onFulfilled` returns.
   * @typeParam S What `onRejected` returns.
   * @param onFulfilled Called with the value.
   * @param onRejected Called with the error.
   * @returns A promise of what the called function returns.
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
      throw new TimeoutError(`The loop did not reply within ${seconds} s`);
    }
    const outcome = this.#call.outcome();
    if (outcome.kind !== "cancelled") return outcome;
    throw new CancelledError(outcome.message);
  }
}
