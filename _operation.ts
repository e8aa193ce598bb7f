/**
 * Waiting calls that are written as `async` functions, and what they give.
 *
 * `waitFor(reader.readline(), 5)` gets a promise of a call that has begun
 * outside of the scope of `waitFor`. To end the wait is not enough: the call
 * has to end, or it takes a line that nobody gets. So each such call has a
 * scope of its own, and its promise leads to that scope. A call that had
 * nothing to wait for gives a promise that leads to its value, which is then
 * never lost to a cancellation that comes before the promise is looked at.
 *
 * @module
 */

import {
  CancelRequest,
  type CancelScope,
  InnerScope,
  openScope,
  TaskFrame,
} from "./_frame.ts";
import {
  adopt,
  answer,
  type EventLoop,
  Future,
  futures,
  getEventLoop,
  isThenable,
  type Waitable,
} from "./_future.ts";
import { currentFrame } from "./_loop.ts";

/** What the promises of this module lead to. */
const ORIGIN = Symbol("origin");

/** The value of a call that did not wait, or the scope of one that does. */
type Origin = { value: unknown } | InnerScope;

/** Something that was thrown, be it `undefined`. */
export interface Failure {
  error: unknown;
}

/** A promise of a value that is there, which a cancellation cannot lose. */
export function settledPromise<T>(value: T): Promise<T> {
  const promise = Promise.resolve(value);
  if (!isThenable(value)) withOrigin(promise, { value });
  return promise;
}

/** Runs a waiting call, so that whoever has its promise can cancel it. */
export function operation<T>(body: () => T | PromiseLike<T>): Promise<T> {
  return runIn(new InnerScope(scopeHere() ?? detachedScope()), body, asItIs);
}

/**
 * Runs a body in a scope. `leave` hears how it ended, and gives the error that
 * comes out instead. A request that the code around the scope learns of by
 * this end alone has to find out whether anybody awaits it.
 */
export function runIn<T>(
  scope: InnerScope,
  body: () => T | PromiseLike<T>,
  leave: (failure: Failure | null) => Failure | null | Promise<Failure | null>,
): Promise<T> {
  const promise = scope.run(async () => {
    let value: T | undefined;
    let failure: Failure | null = null;
    try {
      value = await body();
    } catch (error) {
      failure = { error };
    }
    const left = leave(failure);
    failure = left instanceof Promise ? await left : left;
    if (scope.close()) {
      const outcome = failure === null ? value : failure.error;
      const asking = answer(scope.outer, outcome, failure !== null);
      return await (asking as PromiseLike<T>);
    }
    if (failure !== null) throw failure.error;
    return value as T;
  }, undefined);
  return withOrigin(promise, scope);
}

/** The future of a promise of this module; `null` for other promises. */
export function futureOfOwn<T>(promise: PromiseLike<T>): Future<T> | null {
  const origin = (promise as { [ORIGIN]?: Origin })[ORIGIN];
  if (origin === undefined) return null;
  if (origin instanceof InnerScope) return new OperationFuture(promise, origin);
  const future = new Future<T>();
  future.setResult(origin.value as T);
  return future;
}

/** The scope of the running code; `null` outside of tasks. */
export function scopeHere(): CancelScope | null {
  const frame = currentFrame();
  return frame === undefined || frame.task === null
    ? null
    : openScope(frame as CancelScope);
}

/** A waiting call under way: cancelling it interrupts what the call waits for. */
class OperationFuture<T> extends Future<T> implements Waitable {
  readonly #scope: InnerScope;

  constructor(promise: PromiseLike<T>, scope: InnerScope) {
    super({ loop: scope.loop as EventLoop });
    this.#scope = scope;
    futures.attach(this, this);
    adopt(this, promise);
  }

  override cancel(message?: string): boolean {
    if (this.done() || this.#scope.over) return false;
    this.#scope.deliver(new CancelRequest(message));
    return true;
  }

  get awaits(): readonly Future<unknown>[] {
    return this.#scope.awaits.flatMap(({ source }) =>
      (source ?? []) as Future<unknown>
    );
  }

  take(): void {}
  pass(): void {}
  drop(): void {}
}

/** A scope for calls outside of tasks, which nobody but the holder of their promise can cancel. */
function detachedScope(): CancelScope {
  return new TaskFrame(getEventLoop(), null, currentFrame() === undefined);
}

function withOrigin<T>(promise: Promise<T>, origin: Origin): Promise<T> {
  (promise as { [ORIGIN]?: Origin })[ORIGIN] = origin;
  return promise;
}

function asItIs(failure: Failure | null): Failure | null {
  return failure;
}
