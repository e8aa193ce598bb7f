/**
 * Awaits promises of Deno's own calls in a way that a task can leave.
 *
 * @module
 */

import type { EventLoop } from "./_event_loop.ts";
import { type AnyFuture, futures } from "./_future.ts";
import type { Cancellable } from "./_options.ts";

/** What to do if nobody waits for the promise any more. */
export interface LateResult<T> {
  /** Releases a value that nobody will receive. */
  dispose(value: T): void;
  /** The wait was cancelled while the promise was pending. */
  onCancel?(): void;
}

/** Waits for a promise of Deno's on a loop; cancelling the wait does not lose a late value. */
export function awaitDeno<T>(
  loop: EventLoop,
  promise: Promise<T>,
  options: Cancellable | undefined,
  late: LateResult<T>,
): Promise<T> {
  let complete: () => T;
  let discard: () => void;
  const future: AnyFuture = futures.create(loop, {
    complete: () => complete(),
    handOff: () => discard(),
    remove: () => late.onCancel?.(),
  });
  if (options?.signal) futures.subscribeSignal(future, options.signal);
  const notify = () => {
    if (!futures.notify(future, loop)) discard();
  };
  promise.then((value) => {
    complete = () => value;
    discard = () => late.dispose(value);
    notify();
  }, (error) => {
    complete = () => throwError(error);
    discard = () => {};
    notify();
  });
  return future;
}

function throwError(error: unknown): never {
  throw error;
}
