/**
 * A request to cancel: the error that it stands for, and how it goes through
 * chains of futures of any length.
 *
 * @module
 */

import type { CallSite } from "./_call_site.ts";
import { CancelledError } from "./exceptions.ts";

/** What can be cancelled: a future. */
export interface Cancelable {
  done(): boolean;
  cancel(message?: string): boolean;
}

/** A request to cancel. Its error is made when somebody needs it. */
export class CancelRequest {
  message: unknown;
  /** When it came, in milliseconds of the loop's clock. */
  at = 0;
  /** The id of the task that it came from, 0 for code outside of tasks. */
  by = 0;
  /** What it came from, if that has a name. */
  context: string | null = null;
  /** Whether it was reported that it cannot be delivered, and whether that may still have to be done. */
  isReported = false;
  isWatched = false;
  #error: CancelledError | null;
  readonly #cause: unknown;

  constructor(
    message: unknown,
    cause: unknown = undefined,
    error: CancelledError | null = null,
  ) {
    this.message = message;
    this.#cause = cause;
    this.#error = error;
    if (error !== null) setMessage(error, message);
  }

  /** The error, if it was made. */
  get createdError(): CancelledError | null {
    return this.#error;
  }

  /** The error that the signals are aborted with, and the code is given. */
  get error(): CancelledError {
    if (this.#error === null) {
      this.#error = cancelledError(this.message);
      if (this.#cause !== undefined) this.#error.cause = this.#cause;
    }
    return this.#error;
  }

  /** Whether the error has to be the one of this request. */
  get hasError(): boolean {
    return this.#error !== null || this.#cause !== undefined;
  }
}

/** A cancellation whose error is made where it is given to an `await`. */
export class DeferredError {
  readonly #brand = true;
  readonly message: unknown;

  constructor(message: unknown) {
    this.message = message;
  }

  /** `instanceof` would ask a proxy, which may throw. */
  static is(value: unknown): value is DeferredError {
    return typeof value === "object" && value !== null && #brand in value;
  }
}

/** A cancellation with the message that `cancel()` was given, whatever it is. */
export function cancelledError(message: unknown): CancelledError {
  if (message === undefined || message === null) return new CancelledError();
  if (typeof message === "string") return new CancelledError(message);
  const error = new CancelledError();
  setMessage(error, message);
  return error;
}

export function setMessage(error: CancelledError, message: unknown): void {
  error.message = (message ?? "") as string;
}

/**
 * The cancellation that an error stands for, `null` if for none. One that
 * comes while another error leaves an `await using` block wins, as in a
 * `finally` of Python.
 */
export function asCancellation(error: unknown): CancelledError | null {
  let it = error;
  try {
    while (it instanceof Error && it.name === "SuppressedError") {
      it = (it as SuppressedError).error;
    }
    return it instanceof CancelledError ? it : null;
  } catch {
    return null; // a proxy or a getter that throws
  }
}

/** How many cancellations may be under way inside of one another. */
const MAX_DEPTH = 100;
let depth = 0;
/** Those that are too deep for the stack, and come afterwards. */
const deferred = new Map<Cancelable, string | undefined>();

/**
 * Cancels a future from within the cancellation of another one: chains of
 * tasks are of any length, and the stack is not.
 */
export function cancelNested(future: Cancelable, message?: string): boolean {
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
  const seen = new Set<Cancelable>();
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

/** The tasks whose cancellation is under way: it is on its way to what they await. */
const beingCancelled = new Set<Cancelable>();
/** The tasks that {@linkcode cancelAll} has cancelled so far, while it runs. */
let cancelledTogether: Set<Cancelable> | null = null;

/** Whether the cancellation of a task is under way, so that the task awaits itself if it is reached again. */
export function isBeingCancelled(task: Cancelable): boolean {
  return beingCancelled.has(task);
}

/** Whether {@linkcode cancelAll}, which is running, has cancelled a task already. */
export function isCancelledTogether(task: Cancelable): boolean {
  return cancelledTogether !== null && cancelledTogether.has(task);
}

/** Cancels a task unless its cancellation is under way. Returns whether it was not. */
export function cancelTask(task: Cancelable, cancel: () => void): boolean {
  if (beingCancelled.has(task)) return false;
  beingCancelled.add(task);
  cancelledTogether?.add(task);
  try {
    cancel();
  } finally {
    beingCancelled.delete(task);
  }
  return true;
}

/** Cancels many tasks at once: a long chain of them is walked once, not once for each. */
export function cancelAll(tasks: Iterable<Cancelable>): void {
  cancelledTogether = new Set();
  try {
    for (const task of tasks) task.cancel();
  } finally {
    cancelledTogether = null;
  }
}

/**
 * While the tasks of a deadlocked loop are being cancelled: where their waits
 * end, by the ids of the tasks.
 */
export const cancelSites: { places: Map<number, CallSite> | null } = {
  places: null,
};

/** How many first steps of eager tasks are running, one inside of another. */
export const eagerSteps: { count: number } = { count: 0 };
