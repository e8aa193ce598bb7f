/**
 * What a future waits for, if that is something of this module.
 *
 * @module
 */

import type { AnyFuture } from "./_future.ts";
import type { ExecutionContext } from "./_event_loop.ts";

/** Returned by {@linkcode WaitSource.complete}: there is nothing to take after all, so wait again. */
export const AGAIN: unique symbol = Symbol("again");

/** What reports say about a wait. */
export interface WaitDetails {
  /** A short description of what is waited for. */
  describe?(): string;
  /** The kind of the wait: "lock", "gather". */
  readonly kind?: string | undefined;
  /** The object that is waited for. */
  readonly object?: object;
  /** Further details that may explain the wait: "never notified since 3.0 s". */
  notes?(): string[];
  /** All code that holds a part of it, such as a permit of a semaphore. */
  holders?(): Iterable<ExecutionContext>;
  /** The futures that are waited for. */
  readonly awaits?: readonly AnyFuture[] | undefined;
  /** The code that holds it, such as the owner of a lock. */
  readonly holder?: ExecutionContext | null;
}

/** What a future waits for: the queue of a lock, a timer, other futures. */
export interface WaitSource extends WaitDetails {
  /** The future was notified and its code resumes: returns the value, or {@linkcode AGAIN}. */
  complete(future: AnyFuture, by: ExecutionContext | null): unknown;
  /** The future was notified, but its code is cancelled: hands off to the next waiter. The cancellation is delivered once a promise returned here has settled. */
  handOff(future: AnyFuture): void | Promise<void>;
  /** The future ended before it was notified. */
  remove(future: AnyFuture): void;
  /** Whether the value would be lost otherwise: code that awaits it gets it even if it is cancelled at that moment. */
  readonly keepsValue?: boolean;
  readonly awaits?: readonly AnyFuture[] | undefined;
}

/** What reports say about a future. */
export interface FutureDetails {
  readonly kind: string;
  readonly state: string;
  /** Whether it has no outcome and was not notified. */
  readonly isPending: boolean;
  readonly value: unknown;
  readonly source: WaitSource | null;
}
