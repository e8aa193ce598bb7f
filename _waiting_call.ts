/**
 * Waiting calls that are written as `async` functions, and the promises they
 * return.
 *
 * `waitFor(reader.readline(), 5)` gets the promise of a call that started
 * outside of the scope of `waitFor`. Ending the wait is not enough: the call
 * itself has to end, or it would consume a line that nobody gets. So each such
 * call has its own scope, which can be found from its promise. The promise of a
 * call that did not have to wait leads to its value instead, so that no
 * cancellation can lose it.
 *
 * @module
 */

import { CancelRequest } from "./_cancel_request.ts";
import { type CancelScope, InnerScope } from "./_cancel_scope.ts";
import { TaskState } from "./_task_state.ts";
import { adopt, probedOutcome } from "./_continuation.ts";
import {
  callersLoop,
  Future,
  futures,
  looksLikeFuture,
  type WaitSource,
} from "./_future.ts";
import { isThenable } from "./_validate.ts";
import { fulfilledWith, readsPromises } from "./_host.ts";
import { currentExecution } from "./_scheduler.ts";
import { BODY } from "./_call_site.ts";
import { rejection, tidyStack } from "./_error_stack.ts";

/** The property of a promise that holds the scope of its call. */
const SCOPE = Symbol("scope");

/** Runtimes that cannot read a promise's value: how many recent promises to remember with their values. */
const RECENT = 16;
const recentPromises: unknown[] = new Array(RECENT).fill(null);
const recentValues: unknown[] = new Array(RECENT).fill(undefined);
let recent = 0;

export { isOverdue } from "./_cancel_scope.ts";

/** A thrown value, boxed so that it may be `undefined`. */
export interface Failure {
  error: unknown;
}

/**
 * Calls a function and turns what it throws, such as a failed argument check,
 * into a rejection. Unlike `Promise.try` it returns the very promise of the
 * function, which may be a future.
 */
export function promiseTry<A extends unknown[], T>(
  call: (...args: A) => Promise<T>,
  ...args: A
): Promise<T> {
  try {
    return call(...args);
  } catch (error) {
    return rejection(error);
  }
}

/**
 * A fulfilled promise whose value no cancellation can lose, if it is passed on
 * at once.
 */
export function settledPromise<T>(value: T): Promise<T> {
  const promise = Promise.resolve(value);
  if (!readsPromises) remember(promise, value);
  return promise;
}

function remember(promise: unknown, value: unknown): void {
  recent = (recent + 1) % RECENT;
  recentPromises[recent] = promise;
  recentValues[recent] = value;
}

/** The value of a fulfilled promise, `null` if unknown. */
function knownValue(promise: unknown): { value: unknown } | null {
  if (readsPromises) return fulfilledWith(promise);
  const index = recentPromises.indexOf(promise);
  if (index < 0 || isThenable(recentValues[index])) return null;
  return { value: recentValues[index] };
}

/** As {@linkcode settledPromise}, for calls without a result. */
export const settledVoid: Promise<void> = Promise.resolve();

/**
 * Delivers an overdue cancel request before a call takes anything; see
 * {@linkcode isOverdue}. Makes the call if the request was withdrawn.
 */
export function checkpoint<A extends unknown[], T>(
  call: (...args: A) => PromiseLike<T>,
  ...args: A
): Promise<T> {
  return operation(async () => {
    await futures.makeYield(callersLoop(), undefined);
    return await call(...args);
  });
}

/** Runs a waiting call in a scope, so that whoever holds its promise can cancel it. */
export function operation<T>(body: () => T | PromiseLike<T>): Promise<T> {
  const scope = new InnerScope(currentScope() ?? detachedScope());
  const promise = scope.run(awaitCall[BODY], { scope, body });
  (promise as { [SCOPE]?: InnerScope })[SCOPE] = scope;
  return promise as Promise<T>;
}

/** A body and its scope. */
interface Call<T> {
  readonly scope: InnerScope;
  readonly body: () => T | PromiseLike<T>;
}

/** As {@linkcode runInScope}, for calls with the outcome of their body. */
const awaitCall = {
  [BODY]: async <T>({ scope, body }: Call<T>): Promise<T> => {
    let value: T;
    try {
      value = await body();
    } catch (error) {
      tidyStack(error);
      if (!scope.close()) throw error;
      return await (probedOutcome(scope.outer, error, true) as PromiseLike<T>);
    }
    if (!scope.close()) return value;
    return await (probedOutcome(scope.outer, value, false) as PromiseLike<T>);
  },
};

/**
 * Runs a body in a scope. `leave` is called with how it ended and returns the
 * error to throw instead, if any. If only this outcome tells the outer code of
 * a cancel request, the outcome is probed: it delivers the request if it is
 * awaited.
 */
export function runInScope<T>(
  scope: InnerScope,
  body: () => T | PromiseLike<T>,
  leave: (failure: Failure | null) => Failure | null | Promise<Failure | null>,
): Promise<T> {
  const promise = scope.run(awaitBody[BODY], { scope, body, leave });
  (promise as { [SCOPE]?: InnerScope })[SCOPE] = scope;
  return promise as Promise<T>;
}

/** A body, its scope, and the function to call at its end. */
interface ScopedCall<T> {
  scope: InnerScope;
  body: () => T | PromiseLike<T>;
  leave: (failure: Failure | null) => Failure | null | Promise<Failure | null>;
}

const awaitBody = {
  [BODY]: async <T>({ scope, body, leave }: ScopedCall<T>): Promise<T> => {
    let value: T | undefined;
    let failure: Failure | null = null;
    try {
      value = await body();
    } catch (error) {
      failure = { error };
    }
    const replaced = leave(failure);
    failure = replaced instanceof Promise ? await replaced : replaced;
    if (failure !== null) tidyStack(failure.error);
    if (scope.close()) {
      const outcome = failure === null ? value : failure.error;
      const asking = probedOutcome(scope.outer, outcome, failure !== null);
      return await (asking as PromiseLike<T>);
    }
    if (failure !== null) throw failure.error;
    return value as T;
  },
};

/** The future of a promise of this module or with a known value; `null` for other promises. */
export function futureForOwnPromise<T>(
  promise: PromiseLike<T>,
): Future<T> | null {
  const scope = (promise as { [SCOPE]?: InnerScope })[SCOPE];
  if (scope !== undefined) return new OperationFuture(promise, scope);
  const known = promise === settledVoid as unknown
    ? { value: undefined }
    : knownValue(promise);
  if (known === null) return null;
  const future = new Future<T>();
  future.setResult(known.value as T);
  return future;
}

/** The scope of the running code, `null` outside of tasks. */
export function currentScope(): CancelScope | null {
  const frame = currentExecution();
  return frame === undefined || frame.task === null
    ? null
    : (frame as CancelScope).open;
}

/** The future of a pending call; cancelling it interrupts what the call waits for. */
class OperationFuture<T> extends Future<T> implements WaitSource {
  static {
    looksLikeFuture(this);
  }

  readonly #scope: InnerScope;

  constructor(promise: PromiseLike<T>, scope: InnerScope) {
    super(scope.loop as never);
    this.#scope = scope;
    futures.setSource(this, this);
    adopt(this, promise);
  }

  override cancel(message?: string): boolean {
    if (this.done() || this.#scope.isOver) return false;
    this.#scope.deliver(new CancelRequest(message));
    return true;
  }

  /** The value may be a connection, which must not be lost. */
  get keepsValue(): boolean {
    return true;
  }

  get awaits(): readonly Future<unknown>[] {
    return this.#scope.awaits.flatMap(({ source }) =>
      (source ?? []) as Future<unknown>
    );
  }

  complete(): void {}
  handOff(): void {}
  remove(): void {}
}

/** A scope for calls outside of tasks, which only the holder of their promise can cancel. */
function detachedScope(): CancelScope {
  return new TaskState(callersLoop(), null);
}
