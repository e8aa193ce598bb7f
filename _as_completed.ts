/**
 * The iterable that `asCompleted` returns.
 *
 * A future holds its callbacks, so one that never completes would keep every
 * iteration that was left early. Its callbacks therefore hold the iteration
 * weakly, except while a consumer waits.
 *
 * @module
 */

import { subscribeAbort, unsubscribeAbort } from "./_abort_signal.ts";
import { Deque } from "./_collections.ts";
import { Future, futures } from "./_future.ts";
import type { Job, TimerHandle } from "./_scheduler.ts";
import { onceDone } from "./_done_callbacks.ts";
import { LoopBinding, type WaitPolicy, WaitQueue } from "./_wait_queue.ts";
import { promiseTry } from "./_waiting_call.ts";
import { TimeoutError } from "./exceptions.ts";

/** A finished future as `for await` yields it: without `then`, as it would be awaited. */
export type DoneFuture<T> = Pick<
  Future<T>,
  "done" | "cancelled" | "result" | "exception"
>;

/** One iteration over futures in completion order, for `for await` or `for`. */
export interface Completions<T>
  extends AsyncIterable<DoneFuture<T>>, Iterable<PromiseLike<T>> {
}

/** Yields each future once, in completion order. */
export class CompletionQueue<T>
  implements Completions<T>, WaitPolicy<Completion<T> | null> {
  /** Completed futures; `null` for each that was not done when the iteration was closed. */
  readonly #finished = new Deque<Future<T> | null>();
  readonly #consumers: WaitQueue<Completion<T> | null> = new WaitQueue(
    this,
    new LoopBinding(),
  );
  readonly #all: ReadonlySet<Future<T>>;
  readonly #subscription: CompletionSubscription<T>;
  /** The number of completions that no consumer has asked for. */
  #remaining: number;
  #unfinished: number;
  /** Creates the error of the remaining completions, once the iteration is closed. */
  #closeError: (() => unknown) | null = null;

  constructor(
    all: readonly Future<T>[],
    limit: number | null,
    signal: AbortSignal | undefined,
  ) {
    const distinct = this.#all = new Set(all);
    this.#remaining = this.#unfinished = distinct.size;
    this.#subscription = new CompletionSubscription(this, distinct);
    if (this.#remaining > 0) this.#subscription.start(limit, signal);
  }

  [Symbol.asyncIterator](): AsyncIterator<DoneFuture<T>> {
    return { next: () => this.#next() };
  }

  [Symbol.iterator](): Iterator<PromiseLike<T>> {
    return {
      next: () => {
        if (this.#remaining === 0) return DONE;
        this.#remaining--;
        const start = async () => {
          this.#remaining++;
          return this.#unwrap(await this.#dequeue()).value.result();
        };
        return { done: false, value: new CompletionTurn(start) };
      },
    };
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<asCompleted ${this.#remaining} of ${this.#all.size} left>`;
  }

  complete(): Completion<T> | null {
    this.#releaseIfIdle();
    const future = this.#finished.shift();
    return future ? { done: false, value: future } : null;
  }

  /** The consumer was cancelled, so another may ask for its completion. */
  handOff(): void {
    this.#releaseIfIdle();
    this.#remaining++;
    this.#consumers.notifyNext();
  }

  remove(): void {
    this.#releaseIfIdle();
    this.#remaining++;
  }

  describe(): string {
    return `the first of ${this.#unfinished} futures`;
  }

  awaits(): readonly Future<T>[] {
    return [...this.#all].filter((future) => !future.done());
  }

  /** A future is done. */
  onDone(future: Future<T>): void {
    if (this.#unfinished === 0) return;
    this.#add(future);
    if (this.#unfinished === 0) this.#subscription.unsubscribe();
  }

  /** Ends the iteration: consumers get the error instead of what is left. */
  close(error: () => unknown): void {
    this.#closeError = error;
    while (this.#unfinished > 0) this.#add(null);
    this.#subscription.unsubscribe();
  }

  /** Returns the next completion, without a wait if there is one. */
  #next(): Promise<IteratorResult<DoneFuture<T>, undefined>> {
    return promiseTry((): Promise<IteratorResult<DoneFuture<T>, undefined>> => {
      if (this.#remaining === 0) return Promise.resolve(DONE);
      const next = this.#dequeue();
      return next instanceof Future
        ? this.#awaitNext(next)
        : Promise.resolve(this.#unwrap(next));
    });
  }

  /** Awaited here and not in a `then` handler, which would lose the completion if the consumer is cancelled in between. */
  async #awaitNext(next: Future<Completion<T> | null>): Promise<Completion<T>> {
    return this.#unwrap(await next);
  }

  /** Returns the next completion, or a future of it; `null` if the iteration was closed. */
  #dequeue(): Completion<T> | null | Future<Completion<T> | null> {
    const { waiting, notified } = this.#consumers;
    const isThere = this.#finished.length > waiting + notified;
    const next = isThere ? this.complete() : this.#consumers.wait();
    if (!isThere) this.#subscription.retain(this);
    this.#remaining--;
    return next;
  }

  /** Lets the iteration be collected if no consumer waits. */
  #releaseIfIdle(): void {
    if (!this.#consumers.hasWaiters) this.#subscription.release();
  }

  #unwrap(completion: Completion<T> | null): Completion<T> {
    if (completion !== null) return completion;
    throw this.#closeError!();
  }

  #add(future: Future<T> | null): void {
    this.#unfinished--;
    this.#finished.push(future);
    this.#consumers.notifyNext();
  }
}

/** The callbacks of one iteration on its futures, deadline and signal. */
class CompletionSubscription<T> {
  readonly #weak: WeakRef<CompletionQueue<T>>;
  /** Set while a consumer waits. */
  #strong: CompletionQueue<T> | null = null;
  readonly #callbacks = new Map<Future<T>, Job>();
  #deadline: TimerHandle | null = null;
  #unsubscribeSignal: () => void = () => {};

  constructor(queue: CompletionQueue<T>, all: Iterable<Future<T>>) {
    this.#weak = new WeakRef(queue);
    abandonedQueues.register(queue, this as CompletionSubscription<unknown>);
    for (const future of all) {
      this.#callbacks.set(future, this.#subscribe(future));
    }
  }

  start(limit: number | null, signal: AbortSignal | undefined): void {
    if (limit !== null) {
      const end = () =>
        this.#queue?.close(() =>
          new TimeoutError("Timed out with futures still pending")
        );
      const loop = [...this.#callbacks.keys()][0]!.getLoop();
      this.#deadline = loop.callLater(limit, end);
    }
    if (signal === undefined) return;
    const abort = (reason: unknown) => this.#queue?.close(() => reason);
    const target = { abort };
    subscribeAbort(signal, target);
    this.#unsubscribeSignal = () => unsubscribeAbort(signal, target);
  }

  retain(queue: CompletionQueue<T>): void {
    this.#strong = queue;
  }

  release(): void {
    this.#strong = null;
  }

  /** Removes all callbacks. */
  unsubscribe(): void {
    this.#deadline?.cancel();
    this.#unsubscribeSignal();
    for (const [future, callback] of this.#callbacks) {
      futures.unsubscribe(future, callback);
    }
    this.#callbacks.clear();
  }

  get #queue(): CompletionQueue<T> | undefined {
    return this.#strong ?? this.#weak.deref();
  }

  #subscribe(future: Future<T>): Job {
    return onceDone(future, () => {
      this.#callbacks.delete(future);
      this.#queue?.onDone(future);
    });
  }
}

const abandonedQueues = new FinalizationRegistry<
  CompletionSubscription<unknown>
>((link) => link.unsubscribe());

/** A completed future, wrapped so that `await` does not unwrap it. */
interface Completion<T> {
  done: false;
  value: Future<T>;
}

const DONE: IteratorReturnResult<undefined> = {
  done: true,
  value: undefined,
};

/** One turn of {@linkcode asCompleted}: asks for the next completion when it is first awaited. */
class CompletionTurn<T> implements PromiseLike<T> {
  readonly #start: () => Promise<T>;
  #promise: Promise<T> | null = null;

  constructor(start: () => Promise<T>) {
    this.#start = start;
  }

  then<R = T, S = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => S | PromiseLike<S>) | null,
  ): Promise<R | S> {
    return (this.#promise ??= this.#start()).then(onFulfilled, onRejected);
  }
}
