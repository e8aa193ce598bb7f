/**
 * What a future waits for, if that is something of this module.
 *
 * @module
 */

import type { AnyFuture } from "./_future.ts";
import type { ExecutionContext } from "./_scheduler.ts";

/** Answer of {@linkcode Turn.take}: there is nothing to take after all, wait again. */
export const AGAIN: unique symbol = Symbol("again");

/** What is known of a thing that is waited for. */
export interface WaitDetails {
  /** What is waited for, in a few words. */
  describe?(): string;
  /** What kind of wait it is: "lock", "gather". */
  readonly kind?: string | undefined;
  /** The thing that is waited for. */
  readonly object?: object;
  /** More that may explain the wait: "never notified since 3.0 s". */
  notes?(): string[];
  /** All code that has a part of what is waited for. */
  holders?(): Iterable<ExecutionContext>;
  /** The futures that are waited for. */
  readonly awaits?: readonly AnyFuture[] | undefined;
  /** The code that has what is waited for. */
  readonly holder?: ExecutionContext | null;
}

/** What stands behind a future that waits for something of this module. */
export interface WaitSource extends WaitDetails {
  /** The future was woken and its code resumes: gives what it waited for, or {@linkcode AGAIN}. */
  complete(future: AnyFuture, by: ExecutionContext | null): unknown;
  /** The future was woken, but its code is cancelled: passes the turn on. The code hears of that once a promise returned here is done. */
  handOff(future: AnyFuture): void | Promise<void>;
  /** The future ended before it was woken. */
  remove(future: AnyFuture): void;
  /** Nobody else has the value: who awaits it gets it, also if it is cancelled at that moment. */
  readonly keepsValue?: boolean;
  readonly awaits?: readonly AnyFuture[] | undefined;
}

/** What can be said of a future. */
export interface FutureDetails {
  readonly kind: string;
  readonly state: string;
  /** Whether what it stands for has not come. */
  readonly isPending: boolean;
  readonly value: unknown;
  readonly source: WaitSource | null;
}
