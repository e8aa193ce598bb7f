/**
 * Waiting for Deno: a promise of the runtime as something that a task can
 * leave.
 *
 * @module
 */

import type { EventLoop } from "./_event_loop.ts";
import { type AnyFuture, futures } from "./_future.ts";
import type { Cancellable } from "./_options.ts";

/** What becomes of a promise of the host when nobody waits for it any more. */
export interface LateResult<T> {
  /** The value came too late. */
  dispose(value: T): void;
  /** The wait was given up before anything came. */
  abandon?(): void;
}

/** Waits for a promise of the host as for something of this module. */
export function awaitHost<T>(
  loop: EventLoop,
  promise: Promise<T>,
  options: Cancellable | undefined,
  leftover: LateResult<T>,
): Promise<T> {
  let take: () => T;
  let late: () => void;
  const future: AnyFuture = futures.make(loop, {
    complete: () => take(),
    handOff: () => late(),
    remove: () => leftover.abandon?.(),
  });
  if (options?.signal) futures.subscribeSignal(future, options.signal);
  const answer = () => {
    if (!futures.notify(future, loop)) late();
  };
  promise.then((value) => {
    take = () => value;
    late = () => leftover.dispose(value);
    answer();
  }, (error) => {
    take = () => raise(error);
    late = () => {};
    answer();
  });
  return future;
}

function raise(error: unknown): never {
  throw error;
}
