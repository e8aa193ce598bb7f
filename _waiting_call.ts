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
import { tidyStack } from "./_error_stack.ts";

/** Leads from the promise of a call to its scope. */
const SCOPE = Symbol("scope");

/** How many promises of calls that did not wait are kept with their values, where the runtime does not tell. */
const RECENT = 16;
const recentPromises: unknown[] = new Array(RECENT).fill(null);
const recentValues: unknown[] = new Array(RECENT).fill(undefined);
let recent = 0;

export { isOverdue } from "./_cancel_scope.ts";

/** Something that was thrown, be it `undefined`. */
export interface Failure {
  error: unknown;
}

/**
 * A promise of a value that is there, which a cancellation cannot lose when the
 * promise is handed on at once.
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

/** The value of a promise that has one, as far as that is known. */
function valueAtHand(promise: unknown): { value: unknown } | null {
  if (readsPromises) return fulfilledWith(promise);
  const place = recentPromises.indexOf(promise);
  if (place < 0 || isThenable(recentValues[place])) return null;
  return { value: recentValues[place] };
}

/** As {@linkcode settledPromise}, for calls that give nothing. */
export const settledVoid: Promise<void> = Promise.resolve();

/**
 * Delivers a request that is overdue before a call takes anything; see
 * {@linkcode isOverdue}. The call is made if the request was taken back.
 */
export function checkpoint<T>(call: () => PromiseLike<T>): Promise<T> {
  return operation(async () => {
    await futures.makeYield(callersLoop(), undefined);
    return await call();
  });
}

/** Runs a waiting call, so that whoever has its promise can cancel it. */
export function operation<T>(body: () => T | PromiseLike<T>): Promise<T> {
  const scope = new InnerScope(scopeHere() ?? detachedScope());
  const promise = scope.run(awaitCall[BODY], { scope, body });
  (promise as { [SCOPE]?: InnerScope })[SCOPE] = scope;
  return promise as Promise<T>;
}

/** A body, and the scope that it runs in. */
interface Call<T> {
  readonly scope: InnerScope;
  readonly body: () => T | PromiseLike<T>;
}

/** As {@linkcode runIn} for calls that end as their body does. */
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
 * Runs a body in a scope. `leave` hears how it ended, and gives the error that
 * comes out instead. A request that the code around the scope learns of by
 * this end alone has to find out whether anybody awaits it.
 */
export function runIn<T>(
  scope: InnerScope,
  body: () => T | PromiseLike<T>,
  leave: (failure: Failure | null) => Failure | null | Promise<Failure | null>,
): Promise<T> {
  const promise = scope.run(awaitBody[BODY], { scope, body, leave });
  (promise as { [SCOPE]?: InnerScope })[SCOPE] = scope;
  return promise as Promise<T>;
}

/** A body to run in a scope, and what hears of its end. */
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
    const left = leave(failure);
    failure = left instanceof Promise ? await left : left;
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

/** The future of a promise that has its value, or is one of this module; `null` for other promises. */
export function futureOfOwn<T>(promise: PromiseLike<T>): Future<T> | null {
  const scope = (promise as { [SCOPE]?: InnerScope })[SCOPE];
  if (scope !== undefined) return new OperationFuture(promise, scope);
  const atHand = promise === settledVoid as unknown
    ? { value: undefined }
    : valueAtHand(promise);
  if (atHand === null) return null;
  const future = new Future<T>();
  future.setResult(atHand.value as T);
  return future;
}

/** The scope of the running code; `null` outside of tasks. */
export function scopeHere(): CancelScope | null {
  const frame = currentExecution();
  return frame === undefined || frame.task === null
    ? null
    : (frame as CancelScope).open;
}

/** A waiting call under way: cancelling it interrupts what the call waits for. */
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

  /** It may be a connection. */
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

/** A scope for calls outside of tasks, which nobody but the holder of their promise can cancel. */
function detachedScope(): CancelScope {
  return new TaskState(callersLoop(), null);
}
