/**
 * Cancel requests: the error that a request stands for, and how it travels
 * along chains of futures of any length.
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

/** A request to cancel. Its error is created when it is needed. */
export class CancelRequest {
  message: unknown;
  /** When it was made, in milliseconds of the loop's clock. */
  at = 0;
  /** The id of the task that made it, 0 for code outside of tasks. */
  by = 0;
  /** What made it, if that has a name: a signal of the system. */
  context: string | null = null;
  /** Whether a report said that it cannot be delivered. */
  isReported = false;
  /** Whether such a report is due if it is not delivered soon. */
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

  /** The error, if it was created. */
  get createdError(): CancelledError | null {
    return this.#error;
  }

  /** The error that the code receives and the signals abort with. */
  get error(): CancelledError {
    if (this.#error === null) {
      this.#error = cancelledError(this.message);
      if (this.#cause !== undefined) this.#error.cause = this.#cause;
    }
    return this.#error;
  }

  /** Whether the code must receive this very error, not one like it. */
  get hasError(): boolean {
    return this.#error !== null || this.#cause !== undefined;
  }
}

/** A cancellation whose error is created only when an `await` rejects with it. */
export class DeferredError {
  readonly #brand = true;
  readonly message: unknown;

  constructor(message: unknown) {
    this.message = message;
  }

  /** Unlike `instanceof`, safe with proxies that throw. */
  static is(value: unknown): value is DeferredError {
    return typeof value === "object" && value !== null && #brand in value;
  }
}

/** The error of a cancellation, with the message given to `cancel()`, of whatever type. */
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
 * The cancellation that an error stands for; `null` if it is none. A
 * cancellation that comes while another error leaves an `await using` block
 * wins, as in a `finally` of Python.
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

/** How many nested cancellations may be on the stack. */
const MAX_DEPTH = 100;
let depth = 0;
/** Cancellations too deep for the stack; they run afterwards. */
const deferred = new Map<Cancelable, string | undefined>();

/**
 * Cancels a future from within the cancellation of another one. Chains of
 * tasks may be longer than the stack is deep.
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

/** Cancels each once, even if tasks await one another in a circle. */
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

/** The tasks that are being cancelled: the request is on its way to what they await. */
const beingCancelled = new Set<Cancelable>();
/** The tasks that {@linkcode cancelAll} has cancelled so far, while it runs. */
let cancelledTogether: Set<Cancelable> | null = null;

/** Whether a task is being cancelled. If the request reaches it again, the task awaits itself. */
export function isBeingCancelled(task: Cancelable): boolean {
  return beingCancelled.has(task);
}

/** Whether the running call of {@linkcode cancelAll} has cancelled a task already. */
export function isCancelledTogether(task: Cancelable): boolean {
  return cancelledTogether !== null && cancelledTogether.has(task);
}

/** Cancels a task unless it is being cancelled. Returns whether it did. */
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

/** Cancels many tasks at once. A chain of tasks is walked once, not once for each task. */
export function cancelAll(tasks: Iterable<Cancelable>): void {
  cancelledTogether = new Set();
  try {
    for (const task of tasks) task.cancel();
  } finally {
    cancelledTogether = null;
  }
}

/**
 * Where the waits of tasks are cancelled, by the ids of the tasks; recorded
 * while the tasks of a deadlocked loop are being cancelled.
 */
export const cancelSites: { sites: Map<number, CallSite> | null } = {
  sites: null,
};

/** How many first steps of eager tasks are running, one inside of another. */
export const eagerSteps: { count: number } = { count: 0 };
