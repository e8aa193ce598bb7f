/**
 * The error classes of the module.
 *
 * ```ts
 * import { TimeoutError } from "@asyncio/asyncio/exceptions";
 * import { assert } from "@std/assert";
 *
 * const error = new TimeoutError("Took too long");
 * assert(error instanceof Error && error.name === "TimeoutError");
 * ```
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-exceptions.html}.
 *
 * @module
 */

import {
  checkErrorArguments,
  checkInstance,
  checkIterable,
  checkNumber,
  checkString,
  describe,
  isAsync,
  isClass,
  isInstance,
} from "./_validate.ts";

export { ConnectionError, OSError } from "./_system_errors.ts";

/**
 * An operation was cancelled.
 *
 * In JavaScript `catch` catches every error, so code that handles all errors
 * must re-throw this one, unless the cancellation is meant to end there. The
 * message is the one passed to `cancel()`, or `""`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-exceptions.html#asyncio.CancelledError}.
 *
 * @example
 * ```ts
 * import { CancelledError, createTask, sleep } from "@asyncio/asyncio";
 *
 * const task = createTask(async () => {
 *   try {
 *     await sleep(3600);
 *   } catch (error) {
 *     if (error instanceof CancelledError) console.log("cleaning up");
 *     throw error;
 *   }
 * });
 * await sleep(0);
 * task.cancel();
 * await task.catch(() => {});
 * ```
 */
export class CancelledError extends Error {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("CancelledError", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "CancelledError";
  }
}

/**
 * An operation timed out. The `cause` is the `CancelledError` that interrupted
 * the wait, if there was one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-exceptions.html#asyncio.TimeoutError}.
 *
 * @example
 * ```ts
 * import { sleep, TimeoutError, waitFor } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * try {
 *   await waitFor(() => sleep(3600), 0.01);
 * } catch (error) {
 *   assert(error instanceof TimeoutError);
 * }
 * ```
 */
export class TimeoutError extends Error {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("TimeoutError", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "TimeoutError";
  }
}

/**
 * A future has no result yet, or already has one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-exceptions.html#asyncio.InvalidStateError}.
 *
 * @example
 * ```ts
 * import { Future, InvalidStateError } from "@asyncio/asyncio";
 * import { assertThrows } from "@std/assert";
 *
 * const future = new Future<number>();
 * assertThrows(() => future.result(), InvalidStateError);
 * ```
 */
export class InvalidStateError extends Error {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("InvalidStateError", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "InvalidStateError";
  }
}

/**
 * An operation is not possible in the current state of an object or of the
 * program.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#RuntimeError}.
 *
 * @example
 * ```ts
 * import { Lock, RuntimeError } from "@asyncio/asyncio";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => new Lock().release(), RuntimeError);
 * ```
 */
export class RuntimeError extends Error {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("RuntimeError", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "RuntimeError";
  }
}

/** The name of a signal, such as `"SIGINT"`: `Deno.Signal` where a program is checked with the types of Deno. */
export type SignalName = typeof globalThis extends
  { Deno: { addSignalListener(signal: infer S, handler: () => void): void } }
  ? S
  : string;

/**
 * The program was interrupted by a signal, usually Ctrl-C.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#KeyboardInterrupt}.
 *
 * @example
 * ```ts
 * import { KeyboardInterrupt, run, sleep } from "@asyncio/asyncio";
 *
 * try {
 *   await run(() => sleep(0.01));
 * } catch (error) {
 *   if (!(error instanceof KeyboardInterrupt)) throw error;
 *   console.log(`Stopped by ${error.signal}`);
 *   Deno.exitCode = 130;
 * }
 * ```
 */
export class KeyboardInterrupt extends Error {
  /** The signal that interrupted the program. */
  readonly signal: SignalName;

  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options, and the signal; `"SIGINT"` by default.
   * @throws {TypeError} If the message or the signal is not a string, or the options are invalid.
   */
  constructor(
    message?: string,
    options?: ErrorOptions & { signal?: SignalName },
  ) {
    const known = ["cause", "signal"];
    checkErrorArguments("KeyboardInterrupt", message, options, known);
    const { signal } = options ?? {};
    checkString(signal, "create a KeyboardInterrupt", "signal");
    super(message, options);
    this.signal = signal ?? "SIGINT";
  }

  static {
    this.prototype.name = "KeyboardInterrupt";
  }
}

/**
 * `getNowait()` was called on an empty queue.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-queue.html#asyncio.QueueEmpty}.
 *
 * @example
 * ```ts
 * import { Queue, QueueEmpty } from "@asyncio/asyncio";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => new Queue().getNowait(), QueueEmpty);
 * ```
 */
export class QueueEmpty extends Error {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("QueueEmpty", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "QueueEmpty";
  }
}

/**
 * `putNowait()` was called on a full queue.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-queue.html#asyncio.QueueFull}.
 *
 * @example
 * ```ts
 * import { Queue, QueueFull } from "@asyncio/asyncio";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new Queue<string>(1);
 * queue.putNowait("spam");
 * assertThrows(() => queue.putNowait("eggs"), QueueFull);
 * ```
 */
export class QueueFull extends Error {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("QueueFull", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "QueueFull";
  }
}

/**
 * `put()` or `get()` was called on a queue that is shut down.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-queue.html#asyncio.QueueShutDown}.
 *
 * @example
 * ```ts
 * import { Queue, QueueShutDown } from "@asyncio/asyncio";
 * import { assertRejects } from "@std/assert";
 *
 * const queue = new Queue<string>();
 * queue.shutdown();
 * await assertRejects(() => queue.get(), QueueShutDown);
 * ```
 */
export class QueueShutDown extends Error {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("QueueShutDown", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "QueueShutDown";
  }
}

/**
 * A stream ended before the requested bytes were read.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-exceptions.html#asyncio.IncompleteReadError}.
 *
 * @example
 * ```ts
 * import { IncompleteReadError, StreamReader } from "@asyncio/asyncio";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const reader = new StreamReader();
 * reader.feedData(new Uint8Array(3));
 * reader.feedEof();
 * const error = await assertRejects(
 *   () => reader.readexactly(10),
 *   IncompleteReadError,
 * );
 * assertEquals([error.partial.length, error.expected], [3, 10]);
 * ```
 */
export class IncompleteReadError extends Error {
  /** The bytes that were read before the end of the stream. */
  readonly partial: Uint8Array;
  /** The number of bytes requested, `null` if unknown. */
  readonly expected: number | null;

  /**
   * Creates the error.
   *
   * @param partial The bytes that were read.
   * @param expected The number of bytes requested, `null` if unknown.
   * @param options The standard error options.
   * @throws {TypeError} If an argument has the wrong type.
   */
  constructor(
    partial: Uint8Array,
    expected: number | null,
    options?: ErrorOptions,
  ) {
    checkErrorArguments("IncompleteReadError", undefined, options);
    const action = "create an IncompleteReadError";
    checkInstance(partial, Uint8Array, action, "partial");
    if (expected !== null) checkNumber(expected, action, "expected");
    super(
      `${partial.length} bytes read on a total of ${
        expected ?? "undefined"
      } expected bytes`,
      options,
    );
    this.partial = partial;
    this.expected = expected;
  }

  static {
    this.prototype.name = "IncompleteReadError";
  }
}

/**
 * The buffer limit of a stream was reached while searching for a separator.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-exceptions.html#asyncio.LimitOverrunError}.
 *
 * @example
 * ```ts
 * import { LimitOverrunError, StreamReader } from "@asyncio/asyncio";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const reader = new StreamReader({ limit: 4 });
 * reader.feedData(new TextEncoder().encode("a long line"));
 * const error = await assertRejects(
 *   () => reader.readuntil("\n"),
 *   LimitOverrunError,
 * );
 * assertEquals(error.consumed, 11);
 * ```
 */
export class LimitOverrunError extends Error {
  /** The number of buffered bytes that contain no separator and can be read to make progress. */
  readonly consumed: number;

  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param consumed The number of buffered bytes without a separator.
   * @param options The standard error options.
   * @throws {TypeError} If an argument has the wrong type.
   */
  constructor(message: string, consumed: number, options?: ErrorOptions) {
    checkErrorArguments("LimitOverrunError", message, options);
    checkNumber(consumed, "create a LimitOverrunError", "consumed");
    super(message, options);
    this.consumed = consumed;
  }

  static {
    this.prototype.name = "LimitOverrunError";
  }
}

/**
 * The barrier was broken by `abort()`, or was reset while tasks were waiting.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.BrokenBarrierError}.
 *
 * @example
 * ```ts
 * import { Barrier, BrokenBarrierError } from "@asyncio/asyncio";
 * import { assertRejects } from "@std/assert";
 *
 * const barrier = new Barrier(2);
 * await barrier.abort();
 * await assertRejects(() => barrier.wait(), BrokenBarrierError);
 * ```
 */
export class BrokenBarrierError extends RuntimeError {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("BrokenBarrierError", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "BrokenBarrierError";
  }
}

/**
 * The sendfile system call is not available for this transport. This module
 * never throws it; it exists for ported code.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-exceptions.html#asyncio.SendfileNotAvailableError}.
 *
 * @example
 * ```ts
 * import { RuntimeError, SendfileNotAvailableError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * assert(new SendfileNotAvailableError() instanceof RuntimeError);
 * ```
 */
export class SendfileNotAvailableError extends RuntimeError {
  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("SendfileNotAvailableError", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "SendfileNotAvailableError";
  }
}

/**
 * All tasks are waiting and nothing is left that could wake one.
 *
 * @example
 * ```ts
 * import { DeadlockError, RuntimeError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const error = new DeadlockError("Two tasks wait for each other");
 * assert(error instanceof RuntimeError && error.snapshot === null);
 * ```
 */
export class DeadlockError extends RuntimeError {
  /** What each task waited for, as `snapshot()` returns it; `null` if none was taken. */
  readonly snapshot: unknown;

  /**
   * Creates the error.
   *
   * @param message The message; empty by default.
   * @param options The standard error options, and the snapshot; `null` by default.
   * @throws {TypeError} If the message is not a string, or an option is invalid.
   */
  constructor(
    message?: string,
    options?: ErrorOptions & { snapshot?: unknown },
  ) {
    const known = ["cause", "snapshot"];
    checkErrorArguments("DeadlockError", message, options, known);
    const { snapshot = null, ...others } = options ?? {};
    super(message, others);
    this.snapshot = snapshot;
  }

  static {
    this.prototype.name = "DeadlockError";
  }
}

/** Selects errors of a group: a predicate, or an error class whose instances match. */
export type ErrorFilter =
  | ((error: unknown) => boolean)
  // deno-lint-ignore no-explicit-any
  | (abstract new (...args: any[]) => Error);

/** A group that is being split. */
interface SplitStep {
  readonly group: ExceptionGroup;
  /** The index of the next error to test. */
  next: number;
  readonly matched: unknown[];
  readonly rest: unknown[];
}

/**
 * Several errors that occurred together, as `TaskGroup` throws them.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#ExceptionGroup}.
 *
 * @example
 * ```ts
 * import { ExceptionGroup, TimeoutError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const group = new ExceptionGroup("two errors", [
 *   new TimeoutError("slow"),
 *   new RangeError("far"),
 * ]);
 * const [slow, rest] = group.split(TimeoutError);
 * assert(slow?.errors.length === 1 && rest?.errors.length === 1);
 * ```
 */
export class ExceptionGroup extends AggregateError {
  /**
   * Creates a group.
   *
   * @param message The description of the group.
   * @param errors The errors; at least one.
   * @param options The standard error options.
   * @throws {RangeError} If `errors` is empty.
   * @throws {TypeError} If an argument has the wrong type.
   */
  constructor(
    message: string,
    errors: Iterable<unknown>,
    options?: ErrorOptions,
  ) {
    checkErrorArguments("ExceptionGroup", message, options);
    checkIterable(errors, "create an ExceptionGroup", "errors");
    super(errors, message, options);
    if (this.errors.length === 0) {
      throw new RangeError("Cannot create an ExceptionGroup without errors");
    }
  }

  static {
    this.prototype.name = "ExceptionGroup";
  }

  /**
   * Returns the matching part of the group: the group itself if it matches,
   * otherwise a group of the matching errors with the same nesting, or `null`
   * if none matches.
   *
   * @param filter A predicate or an error class.
   * @returns The matching part.
   * @throws {TypeError} If the filter is neither.
   */
  subgroup(filter: ErrorFilter): ExceptionGroup | null {
    return this.split(filter)[0];
  }

  /**
   * Splits the group into the matching part and the rest. Nested groups are
   * split recursively.
   *
   * @param filter A predicate or an error class.
   * @returns The matching part and the rest; `null` for an empty one.
   * @throws {TypeError} If the filter is neither.
   */
  split(
    filter: ErrorFilter,
  ): [ExceptionGroup | null, ExceptionGroup | null] {
    const matches = ExceptionGroup.#asPredicate(filter);
    if (matches(this)) return [this, null];
    // An explicit stack, as groups may be nested deeper than the call stack
    // allows.
    const path: SplitStep[] = [];
    let part: SplitStep = { group: this, next: 0, matched: [], rest: [] };
    for (;;) {
      const { group, matched, rest } = part;
      if (part.next < group.errors.length) {
        const error: unknown = group.errors[part.next++];
        if (matches(error)) matched.push(error);
        else if (error instanceof ExceptionGroup) {
          path.push(part);
          part = { group: error, next: 0, matched: [], rest: [] };
        } else rest.push(error);
        continue;
      }
      const parts = [matched, rest].map((it) =>
        ExceptionGroup.#part(group, it)
      );
      const above = path.pop();
      if (above === undefined) return [parts[0]!, parts[1]!];
      if (parts[0]) above.matched.push(parts[0]);
      if (parts[1]) above.rest.push(parts[1]);
      part = above;
    }
  }

  // Static, as a group from another thread was not constructed here and has no
  // private methods.
  static #part(
    whole: ExceptionGroup,
    errors: unknown[],
  ): ExceptionGroup | null {
    if (errors.length === 0) return null;
    const { message, cause, stack } = whole;
    const options = "cause" in whole ? { cause } : undefined;
    const group = new ExceptionGroup(message, errors, options);
    if (stack !== undefined) group.stack = stack;
    return group;
  }

  static #asPredicate(filter: ErrorFilter): (error: unknown) => boolean {
    if (ExceptionGroup.#isErrorClass(filter)) {
      return (error) => error instanceof filter;
    }
    const isPredicate = typeof filter === "function" && !isClass(filter) &&
      !isAsync(filter);
    if (isPredicate) {
      return filter as (error: unknown) => boolean;
    }
    throw new TypeError(
      `Cannot filter errors: expected a predicate or an error class, got ${
        describe(filter)
      }`,
    );
  }

  static #isErrorClass(filter: unknown): filter is new () => Error {
    return filter === Error ||
      typeof filter === "function" && isInstance(filter.prototype, Error);
  }
}
