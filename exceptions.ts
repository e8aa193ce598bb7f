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

/**
 * An operation was cancelled.
 *
 * JavaScript has one `catch`, so code that catches everything also catches
 * this; throw it again unless the cancellation is really meant to end here.
 * The message is the one given to `cancel()`, or `""`.
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
  static {
    this.prototype.name = "CancelledError";
  }
}

/** A deadline passed. The `cause` is the `CancelledError` that ended the wait, where there was one. */
export class TimeoutError extends Error {
  static {
    this.prototype.name = "TimeoutError";
  }
}

/** A future was asked for a result it does not have yet, or was given a second one. */
export class InvalidStateError extends Error {
  static {
    this.prototype.name = "InvalidStateError";
  }
}

/** An operation is not possible in the present state of an object or of the program. */
export class RuntimeError extends Error {
  static {
    this.prototype.name = "RuntimeError";
  }
}

/** The program was interrupted by a signal, usually Ctrl-C. */
export class KeyboardInterrupt extends Error {
  /** The signal that arrived, `"SIGINT"` unless others were asked for. */
  readonly signal: Deno.Signal;

  /**
   * Creates the error.
   *
   * @param message What happened.
   * @param options The usual error options, and the signal.
   */
  constructor(
    message?: string,
    options?: ErrorOptions & { signal?: Deno.Signal },
  ) {
    super(message, options);
    this.signal = options?.signal ?? "SIGINT";
  }

  static {
    this.prototype.name = "KeyboardInterrupt";
  }
}

/** `getNowait()` on an empty queue. */
export class QueueEmpty extends Error {
  static {
    this.prototype.name = "QueueEmpty";
  }
}

/** `putNowait()` on a full queue. */
export class QueueFull extends Error {
  static {
    this.prototype.name = "QueueFull";
  }
}

/** `put()` or `get()` on a queue that was shut down. */
export class QueueShutDown extends Error {
  static {
    this.prototype.name = "QueueShutDown";
  }
}

/** The stream ended before the wanted bytes arrived. */
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
   */
  constructor(
    partial: Uint8Array,
    expected: number | null,
    options?: ErrorOptions,
  ) {
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

/** The limit of a stream's buffer was reached while looking for a separator. */
export class LimitOverrunError extends Error {
  /** How many bytes of the buffer hold no separator and may be read away. */
  readonly consumed: number;

  /**
   * Creates the error.
   *
   * @param message What happened.
   * @param consumed Bytes known to hold no separator.
   * @param options The usual error options.
   */
  constructor(message: string, consumed: number, options?: ErrorOptions) {
    super(message, options);
    this.consumed = consumed;
  }

  static {
    this.prototype.name = "LimitOverrunError";
  }
}

/** The barrier was broken by `abort()`, or reset while somebody waited. */
export class BrokenBarrierError extends RuntimeError {
  static {
    this.prototype.name = "BrokenBarrierError";
  }
}

/** The system call that sends files is not there for this kind of transport. */
export class SendfileNotAvailableError extends RuntimeError {
  static {
    this.prototype.name = "SendfileNotAvailableError";
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
   */
  constructor(
    message: string,
    errors: Iterable<unknown>,
    options?: ErrorOptions,
  ) {
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
    if (typeof filter !== "function") {
      throw new TypeError(
        `Cannot filter errors: expected a predicate or an error class, got ${filter}`,
      );
    }
    if (filter === Error || filter.prototype instanceof Error) {
      return (error) => error instanceof filter;
    }
    return filter as (error: unknown) => boolean;
  }
}
