/**
 * Every error class of the module.
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
  checkNumber,
  checkString,
  describe,
  isClass,
  isInstance,
  isIterable,
} from "./_validate.ts";

/**
 * An operation was cancelled.
 *
 * JavaScript has one `catch`, so code that catches everything also catches
 * this; throw it again unless the cancellation is really meant to end here.
 * The message is the one given to `cancel()`, or `""`.
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
 * A deadline passed. The `cause` is the `CancelledError` that ended the wait,
 * where there was one.
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
 * A future was asked for a result it does not have yet, or was given a second
 * one.
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
 * An operation is not possible in the present state of an object or of the
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
   */
  constructor(message?: string, options?: ErrorOptions) {
    checkErrorArguments("RuntimeError", message, options);
    super(message, options);
  }

  static {
    this.prototype.name = "RuntimeError";
  }
}

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
  /** The signal that arrived, `"SIGINT"` unless others were asked for. */
  readonly signal: Deno.Signal;

  /**
   * Creates the error.
   *
   * @param message What happened.
   * @param options The usual error options, and the signal.
   * @throws {TypeError} If the message or the signal is no string, or the options are none.
   */
  constructor(
    message?: string,
    options?: ErrorOptions & { signal?: Deno.Signal },
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
 * The stream ended before the wanted bytes arrived.
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
  /** The bytes that were read before the end. */
  readonly partial: Uint8Array;
  /** How many bytes were wanted, `null` where the number was not known. */
  readonly expected: number | null;

  /**
   * Creates the error.
   *
   * @param partial The bytes that were read.
   * @param expected How many were wanted, `null` if unknown.
   * @param options The usual error options.
   * @throws {TypeError} If an argument is of another kind.
   */
  constructor(
    partial: Uint8Array,
    expected: number | null,
    options?: ErrorOptions,
  ) {
    checkErrorArguments("IncompleteReadError", undefined, options);
    const action = "create an IncompleteReadError";
    if (!isInstance(partial, Uint8Array)) {
      throw new TypeError(
        `Cannot ${action}: partial must be a Uint8Array, got ${
          describe(partial)
        }`,
      );
    }
    if (expected !== null) checkNumber(expected, action, "expected");
    super(
      `Stream ended after ${partial.length} of ${
        expected ?? "an unknown number of"
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
 * The limit of a stream's buffer was reached while looking for a separator.
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
  /** How many bytes of the buffer hold no separator and may be read away. */
  readonly consumed: number;

  /**
   * Creates the error.
   *
   * @param message What happened.
   * @param consumed Bytes known to hold no separator.
   * @param options The usual error options.
   * @throws {TypeError} If an argument is of another kind.
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
 * The barrier was broken by `abort()`, or reset while somebody waited.
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
 * The system call that sends files is not there for this kind of transport.
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
   * @param message What happened.
   * @param options The usual error options.
   * @throws {TypeError} If the message is no string, or the options are none.
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
 * Every task waits and nothing is left that could wake one.
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
  /** What every task waited for, as `snapshot()` tells it; `null` where nobody took one. */
  readonly snapshot: unknown;

  /**
   * Creates the error.
   *
   * @param message What happened.
   * @param options The usual error options, and the snapshot.
   * @throws {TypeError} If the message is no string, or the options are none.
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

/**
 * The kind of every error that the operating system reports: a missing file,
 * a port in use, a refused connection, a host name that nobody knows.
 *
 * To be tested with `instanceof` and given to filters; no error is made of
 * it. Deno throws them as `Deno.errors.NotFound` and the like, and those
 * without a class of their own as a plain `Error`. A failed `fetch` is one if
 * its cause is. What Deno itself refuses, for want of a permission, is none.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#OSError}.
 *
 * @example
 * ```ts
 * import { OSError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * try {
 *   await Deno.readTextFile("/no/such/file");
 * } catch (error) {
 *   assert(error instanceof OSError && error.code === "ENOENT");
 * }
 * ```
 */
export abstract class OSError extends Error {
  /** The name of the error in the C library, such as `"ENOENT"`, where Deno tells it. */
  declare readonly code?: string;

  static readonly #kinds = [
    ...["AddrInUse", "AddrNotAvailable", "AlreadyExists", "BrokenPipe"],
    ...["Busy", "ConnectionAborted", "ConnectionRefused", "ConnectionReset"],
    ...["FilesystemLoop", "Interrupted", "IsADirectory", "NetworkUnreachable"],
    ...["NotADirectory", "NotConnected", "NotFound", "PermissionDenied"],
    ...["TimedOut", "UnexpectedEof", "WouldBlock"],
  ];

  /** Refused: a kind is only to be tested with. */
  constructor() {
    super();
    throw new TypeError(
      `Cannot create ${new.target.name}: it is a kind of errors, to test with instanceof`,
    );
  }

  /**
   * Whether a value is an error of this kind.
   *
   * @param value The value.
   * @returns Whether it is one.
   */
  static override [Symbol.hasInstance](value: unknown): value is OSError {
    return OSError.#guarded(
      value,
      (error) =>
        OSError.#isOfKind(error, OSError.#kinds) ||
        OSError.#isReported(error) ||
        error instanceof TypeError && isInstance(error.cause, Error) &&
          OSError.#isReported(error.cause),
    );
  }

  /** Whether Deno, or Node's side of it, says that an error came from the system. */
  static #isReported(error: Error): boolean {
    // The words of Rust's standard library, on every platform.
    return /\(os error \d+\)|\bfailed to lookup address\b/.test(
      error.message,
    ) ||
      "syscall" in error && typeof error.syscall === "string";
  }

  static #isOfKind(error: Error, kinds: readonly string[]): boolean {
    const classes = Deno.errors as unknown as Record<string, typeof Error>;
    return kinds.some((name) => error instanceof classes[name]);
  }

  static #guarded(
    value: unknown,
    test: (error: Error) => boolean,
  ): value is OSError {
    try {
      return value instanceof Error && test(value);
    } catch {
      return false; // a proxy, or a getter, that throws
    }
  }

  static {
    this.prototype.name = "OSError";
  }
}

/**
 * The kind of errors of a connection: refused, reset, aborted, not connected,
 * broken pipe, unexpected end. To be tested with `instanceof`, as
 * {@linkcode OSError}.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#ConnectionError}.
 *
 * @example
 * ```ts
 * import { ConnectionError, openConnection, OSError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const { port } = listener.addr;
 * listener.close();
 * try {
 *   await openConnection("127.0.0.1", port);
 * } catch (error) {
 *   assert(error instanceof ConnectionError && error instanceof OSError);
 * }
 * ```
 */
export abstract class ConnectionError extends OSError {
  static readonly #kinds = [
    ...["BrokenPipe", "ConnectionAborted", "ConnectionRefused"],
    ...["ConnectionReset", "NotConnected", "UnexpectedEof"],
  ];
  static readonly #codes = [
    ...["ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "ENOTCONN"],
    ...["EPIPE", "ESHUTDOWN"],
  ];
  /** The numbers of those codes, which are all that the message of a failed `fetch` has. */
  static readonly #numbers: Readonly<Record<string, readonly number[]>> = {
    darwin: [32, 53, 54, 57, 58, 61],
    linux: [32, 103, 104, 107, 108, 111],
    windows: [109, 232, 10053, 10054, 10057, 10058, 10061],
  };

  /**
   * Whether a value is an error of this kind.
   *
   * @param value The value.
   * @returns Whether it is one.
   */
  static override [Symbol.hasInstance](
    value: unknown,
  ): value is ConnectionError {
    try {
      return value instanceof OSError && ConnectionError.#isOne(value);
    } catch {
      return false; // a getter that throws
    }
  }

  static #isOne(error: OSError): boolean {
    const { code, message, cause } = error;
    if (code !== undefined && ConnectionError.#codes.includes(code)) {
      return true;
    }
    const classes = Deno.errors as unknown as Record<string, typeof Error>;
    if (ConnectionError.#kinds.some((it) => error instanceof classes[it])) {
      return true;
    }
    const text = cause instanceof Error ? message + cause.message : message;
    const number = /\(os error (\d+)\)/.exec(text)?.[1];
    const numbers = ConnectionError.#numbers[Deno.build.os] ?? [];
    return numbers.includes(Number(number));
  }

  static {
    this.prototype.name = "ConnectionError";
  }
}

/** A filter over errors: a predicate, or a class whose instances match. */
export type ErrorFilter =
  | ((error: unknown) => boolean)
  // deno-lint-ignore no-explicit-any
  | (abstract new (...args: any[]) => Error);

/**
 * Several errors that happened together, as a `TaskGroup` reports them.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#ExceptionGroup}.
 *
 * @example
 * ```ts
 * import { ExceptionGroup, TimeoutError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const group = new ExceptionGroup("two went wrong", [
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
   * @param message What the errors have in common.
   * @param errors The errors; at least one.
   * @param options The usual error options.
   * @throws {RangeError} If there is no error in it.
   * @throws {TypeError} If an argument is of another kind.
   */
  constructor(
    message: string,
    errors: Iterable<unknown>,
    options?: ErrorOptions,
  ) {
    checkErrorArguments("ExceptionGroup", message, options);
    if (!isIterable(errors)) {
      throw new TypeError(
        `Cannot create an ExceptionGroup: errors must be an iterable such as an array, got ${
          describe(errors)
        }`,
      );
    }
    super(errors, message, options);
    if (this.errors.length === 0) {
      throw new RangeError("Cannot create an ExceptionGroup of no errors");
    }
  }

  static {
    this.prototype.name = "ExceptionGroup";
  }

  /**
   * Keeps what matches: the group itself if it matches as a whole, a group of
   * the matching leaves in the same nesting otherwise, `null` if there is none.
   *
   * @param filter A predicate or an error class.
   * @returns The matching part.
   * @throws {TypeError} If the filter is neither.
   */
  subgroup(filter: ErrorFilter): ExceptionGroup | null {
    return this.split(filter)[0];
  }

  /**
   * Divides the group into what matches and what does not; nested groups are
   * divided likewise.
   *
   * @param filter A predicate or an error class.
   * @returns The matching part and the rest, each `null` if empty.
   * @throws {TypeError} If the filter is neither.
   */
  split(
    filter: ErrorFilter,
  ): [ExceptionGroup | null, ExceptionGroup | null] {
    const matches = ExceptionGroup.#asPredicate(filter);
    if (matches(this)) return [this, null];
    const hit: unknown[] = [];
    const miss: unknown[] = [];
    for (const error of this.errors) {
      if (error instanceof ExceptionGroup) {
        const [inside, outside] = error.split(matches);
        if (inside) hit.push(inside);
        if (outside) miss.push(outside);
      } else {
        (matches(error) ? hit : miss).push(error);
      }
    }
    return [
      ExceptionGroup.#part(this, hit),
      ExceptionGroup.#part(this, miss),
    ];
  }

  // Static, as a group that comes from another thread was not constructed here.
  static #part(
    whole: ExceptionGroup,
    errors: unknown[],
  ): ExceptionGroup | null {
    if (errors.length === 0) return null;
    const { message, cause, stack } = whole;
    const group = new ExceptionGroup(message, errors, { cause });
    group.stack = stack;
    return group;
  }

  static #asPredicate(filter: ErrorFilter): (error: unknown) => boolean {
    if (ExceptionGroup.#isErrorClass(filter)) {
      return (error) => error instanceof filter;
    }
    if (typeof filter === "function" && !isClass(filter)) {
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
