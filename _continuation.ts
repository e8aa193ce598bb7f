/**
 * What a future calls when it is done: the handlers of `then()`, most of which
 * are an `await`, and done callbacks.
 *
 * @module
 */

import { classes } from "./_core_classes.ts";
import {
  asCancellation,
  cancelledError,
  cancelNested,
  type CancelRequest,
  cancelSites,
  DeferredError,
  isBeingCancelled,
} from "./_cancel_request.ts";
import type { CancelScope, SuspendedAwait } from "./_cancel_scope.ts";
import {
  captureSlot,
  type Context,
  notCalled,
  runFrom,
  runIn,
  runInSlot,
} from "./_context.ts";
import {
  type EventLoop,
  type ExecutionContext,
  internals as loops,
  type Job,
} from "./_event_loop.ts";
import {
  type AnyFuture,
  failTask,
  finishTask,
  Future,
  futures,
  looksLikeFuture,
  type WaitSource,
} from "./_future.ts";
import { isResolver } from "./_host.ts";
import { CallSite, Probe } from "./_call_site.ts";
import { addWaiter } from "./_error_stack.ts";
import { describe, isClass, isInstance, isThenable } from "./_validate.ts";
import type { CancelledError } from "./exceptions.ts";

/** A handler passed to `then()`. */
// deno-lint-ignore no-explicit-any
export type Handler = ((outcome: any) => unknown) | null | undefined;

/**
 * A call of `then()` and the future that it returns: a job that calls the
 * handlers on the loop's turn, and a future that ends as they do and passes a
 * cancellation on to its source.
 *
 * Most calls are an `await`, which passes native resolving functions and
 * ignores the result. Only an `await` counts as a wait of its task. Telling the
 * two apart costs more than the rest of the call, and matters only when a task
 * is cancelled or inspected, so it is done there.
 */
export class Continuation<T> extends Future<T>
  implements SuspendedAwait, WaitSource {
  static {
    looksLikeFuture(this);
  }

  source: AnyFuture | null;
  scope: CancelScope | null;
  cancelRequest: CancelRequest | null = null;
  #context = captureSlot();
  #onFulfilled: Handler;
  #onRejected: Handler;
  /** Between {@linkcode Continuation.locate} and its microtask. */
  #isLocating = false;

  constructor(
    source: AnyFuture,
    loop: EventLoop,
    scope: CancelScope | null,
    onFulfilled: Handler,
    onRejected: Handler,
  ) {
    super(loop as never);
    this.source = source;
    this.scope = scope;
    this.#onFulfilled = onFulfilled;
    this.#onRejected = onRejected;
    futures.setSource(this, this);
  }

  get isAwait(): boolean {
    if (this.#onFulfilled === finishTask || this.#isLocating) return true;
    return isResolver(this.#onFulfilled) && isResolver(this.#onRejected);
  }

  get isNotified(): boolean {
    return this.source !== null && futures.notified(this.source);
  }

  get awaits(): readonly AnyFuture[] {
    return this.source === null ? [] : [this.source];
  }

  complete(): void {}
  handOff(): void {}
  remove(): void {}

  /** Cancels the first future of the chain that is not done. */
  override cancel(message?: string): boolean {
    const chain: AnyFuture[] = [this];
    for (const it of chain) {
      if (it instanceof Continuation && it.source !== null) {
        chain.push(it.source);
      }
    }
    for (const it of chain.reverse()) {
      if (isBeingCancelled(it)) continue; // it awaits itself
      const isCancelled = it instanceof Continuation
        ? it.#cancelItself(message)
        : cancelNested(it, message);
      if (isCancelled) return true;
    }
    return false;
  }

  #cancelItself(message?: string): boolean {
    return super.cancel(message);
  }

  recover(): void {
    if (this.source !== null) futures.recover(this.source, this);
  }

  run(): boolean {
    const { source, scope, cancelRequest } = this;
    if (source === null) return false;
    if (
      scope === null || !(scope.mustCancel || cancelRequest !== null) ||
      futures.isCancellation(source) || futures.keepsValue(source) ||
      !scope.isRealAwait(this)
    ) return futures.resume(source, this);
    const request = scope.mustCancel ? scope.pendingRequest! : cancelRequest!;
    const prober = scope.resume(this, true) === null ? null : scope;
    const reject = () =>
      this.rejected(
        request.hasError ? request.error : new DeferredError(request.message),
        prober,
      );
    const passed = futures.discardOutcome(source);
    if (passed instanceof Promise) passed.then(reject);
    else reject();
    return true;
  }

  interrupt(): void {
    futures.unsubscribe(this.source!, this);
    loops.push(this.getLoop(), this);
  }

  /**
   * Calls `onFound` in a microtask with the place where this is awaited; the wait
   * continues. The native promise is resolved with a thenable, in whose `then` V8
   * finds the awaiting code, and which receives new resolving functions.
   */
  locate(onFound: (place: CallSite) => void): void {
    const handler = this.#onFulfilled;
    if (this.source === null || !isResolver(handler)) return;
    const early: (() => void)[] = [];
    let [resolve, reject]: Handler[] = [];
    this.#isLocating = true;
    this.#onFulfilled = (value) => early.push(() => resolve!(value));
    this.#onRejected = (error) => early.push(() => reject!(error));
    const then = (...handlers: Handler[]) => {
      onFound(new CallSite());
      [resolve, reject] = handlers;
      this.#isLocating = false;
      if (this.source !== null) {
        [this.#onFulfilled, this.#onRejected] = [resolve, reject];
      }
      for (const settle of early) settle();
    };
    handler!({ then });
  }

  /** The source has a value. With `scope`, the scope probes who awaits it. */
  fulfilled(value: unknown, scope: CancelScope | null): void {
    const handler = this.#onFulfilled;
    if (scope !== null && handler !== finishTask) {
      value = new ProbedOutcome(scope, value, false);
    }
    if (typeof handler === "function") this.#call(handler, value);
    else this.#end(resolve, value);
  }

  /** The source failed or was cancelled. An `await` is given a thenable, in which stacks lead to its code. */
  rejected(error: unknown, scope: CancelScope | null = null): void {
    const handler = this.#onRejected;
    if (handler !== failTask) {
      if (scope !== null) {
        const asking = new ProbedOutcome(scope, error, true);
        return this.#call(this.#onFulfilled!, asking);
      }
      if (isInstance(error, Error) && this.isAwait) {
        return this.#call(
          this.#onFulfilled!,
          new ShownRejection(error, this.getLoop()),
        );
      }
    }
    if (DeferredError.is(error)) error = cancelledError(error.message);
    if (typeof handler === "function") this.#call(handler, error);
    else this.#end(reject, error);
  }

  #call(handler: (outcome: unknown) => unknown, outcome: unknown): void {
    const context = this.#context;
    try {
      this.#end(resolve, runIn(context, handler, outcome));
    } catch (error) {
      this.#end(reject, isClass(handler) ? notHandler(handler, error) : error);
    }
  }

  /** Ends the future, and drops everything it needed. */
  #end(
    end: (future: AnyFuture, outcome: unknown) => void,
    outcome: unknown,
  ): void {
    this.source = this.cancelRequest = null;
    this.#context = undefined;
    this.#onFulfilled = this.#onRejected = null;
    end(this, outcome);
  }
}

function notHandler(handler: unknown, cause: unknown): TypeError {
  return new TypeError(
    `Cannot call back: what then() is given must be a function, got ${
      describe(handler)
    }`,
    { cause },
  );
}

/** Settles a native promise with an outcome, and probes who awaits it. */
class ProbedOutcome {
  readonly #scope: CancelScope;
  readonly #outcome: unknown;
  readonly #isError: boolean;
  readonly #own: number;

  constructor(
    scope: CancelScope,
    outcome: unknown,
    isError: boolean,
    own = 0,
  ) {
    this.#scope = scope;
    this.#outcome = outcome;
    this.#isError = isError;
    this.#own = own;
  }

  then(
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    const outcome = this.#outcome;
    const above = loops.entryFunction(this.#scope.loop) ??
      ProbedOutcome.prototype.then;
    if (cancelSites.sites !== null) {
      recordCancelSite(
        cancelSites.sites,
        this.#scope.taskState.id,
        new CallSite(),
      );
    }
    this.#scope.addProbe(new Probe(above, this.#own));
    if (!this.#isError) resolve(outcome);
    else if (DeferredError.is(outcome)) reject(errorAt(outcome, above));
    else {
      addWaiter(outcome, above);
      reject(outcome);
    }
  }
}

/** Rejects a promise of the host with an error, whose stack shows who awaits it then. */
class ShownRejection {
  readonly #error: unknown;
  readonly #loop: EventLoop;

  constructor(error: unknown, loop: EventLoop) {
    this.#error = error;
    this.#loop = loop;
  }

  then(_resolve: unknown, reject: (error: unknown) => void): void {
    addWaiter(
      this.#error,
      loops.entryFunction(this.#loop) ?? ShownRejection.prototype.then,
    );
    reject(this.#error);
  }
}

/** Records the first call site in user code; later ones belong to the clean-up. */
function recordCancelSite(
  places: Map<number, CallSite>,
  id: number,
  place: CallSite,
): void {
  if (!places.has(id) && place.line !== null) places.set(id, place);
}

/** The error of a cancellation, with the stack of the code that awaits it. */
function errorAt(
  { message }: DeferredError,
  above: (...args: never[]) => unknown,
): CancelledError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0; // no stack of this module
  const error = cancelledError(message);
  Error.stackTraceLimit = limit;
  addWaiter(error, above);
  return error;
}

/** The outcome of a scope; the outer scope probes who awaits it. */
export function probedOutcome(
  scope: CancelScope,
  outcome: unknown,
  isError: boolean,
): PromiseLike<unknown> {
  const thenable: unknown = new ProbedOutcome(scope, outcome, isError, 1);
  return thenable as PromiseLike<unknown>;
}

/**
 * Ends a future as a promise settles. A promise that settles too late is
 * ignored, and is never an `unhandledrejection`.
 */
export function adopt<T>(future: Future<T>, promise: PromiseLike<T>): void {
  promise.then(
    (value) => {
      if (!future.done()) futures.settle(future, value);
    },
    (error) => reject(future, error),
  );
}

function resolve(future: AnyFuture, value: unknown): void {
  if (future.done()) return;
  if (value === future) {
    return futures.fail(
      future,
      new TypeError(
        "Chaining cycle: the handler of a then() returned its own promise",
      ),
    );
  }
  try {
    if (isThenable(value)) return adopt(future, value);
  } catch (error) { // thrown by a getter, or by `then()`
    return reject(future, error);
  }
  futures.settle(future, value);
}

function reject(future: AnyFuture, error: unknown): void {
  if (future.done()) return;
  const cancellation = asCancellation(error);
  if (cancellation !== null) futures.cancel(future, cancellation);
  else futures.fail(future, error);
}

/** A function to call once a future is done. */
export class DoneCallback implements Job {
  readonly fn: (future: AnyFuture) => unknown;
  readonly #future: AnyFuture;
  /** The context passed by the user. */
  readonly #context: Context | undefined;
  /** The context of the code that added the callback. */
  readonly #own = captureSlot();

  constructor(
    future: AnyFuture,
    fn: (future: AnyFuture) => unknown,
    context: Context | undefined,
  ) {
    this.fn = fn;
    this.#future = future;
    this.#context = context;
  }

  run(): boolean {
    if (!futures.claim(this.#future, this)) return false;
    const scope = loops.execution(this.#future.getLoop());
    const call = DoneCallback.#call;
    if (this.#context) this.#callIn(this.#context, scope);
    else runFrom(this.#own, scope, call, this);
    return true;
  }

  #callIn(context: Context, scope: ExecutionContext): void {
    let isCalled = false;
    try {
      context(() => {
        isCalled = true;
        runInSlot(scope, DoneCallback.#call, this);
      });
      if (!isCalled) throw notCalled("call a done callback");
    } catch (exception) {
      this.#report(exception);
    }
  }

  #report(exception: unknown): void {
    this.#future.getLoop().callExceptionHandler({
      message: `Error in done callback ${this.fn.name || "(anonymous)"}`,
      exception,
      future: this.#future,
    });
  }

  static #call(this: void, self: DoneCallback): void {
    try {
      self.fn(self.#future);
    } catch (exception) {
      self.#report(exception);
    }
  }
}

classes.Continuation = Continuation;
classes.DoneCallback = DoneCallback;
