/**
 * What `asCompleted` gives: futures in the order of their completion.
 *
 * The futures hold what hears of their ends, so one that never ends would hold
 * every iteration that was left early. They hold the iteration weakly, except
 * while somebody waits for its next completion.
 *
 * @module
 */

import { subscribeAbort, unsubscribeAbort } from "./_abort_signal.ts";
import { Deque } from "./_collections.ts";
import { Future, futures } from "./_future.ts";
import type { Job, TimerHandle } from "./_scheduler.ts";
import { onceDone } from "./_awaitable.ts";
import { LoopBinding, type WaitPolicy, WaitQueue } from "./_wait_queue.ts";
import { promiseTry } from "./_waiting_call.ts";
import { TimeoutError } from "./exceptions.ts";

/** A finished future, as `for await` yields it: its methods, but nothing to await. */
export type DoneFuture<T> = Pick<
  Future<T>,
  "done" | "cancelled" | "result" | "exception"
>;

/** What `asCompleted` gives: one iteration, in either style. */
export interface Completions<T>
  extends AsyncIterable<DoneFuture<T>>, Iterable<PromiseLike<T>> {
}

/** Futures in the order of their completion, each handed out once. */
export class CompletionQueue<T>
  implements Completions<T>, WaitPolicy<Completion<T> | null> {
  /** The finished ones, `null` for each that the end of the iteration overtook. */
  readonly #finished = new Deque<Future<T> | null>();
  readonly #consumers: WaitQueue<Completion<T> | null> = new WaitQueue(
    this,
    new LoopBinding(),
  );
  readonly #all: ReadonlySet<Future<T>>;
  readonly #subscription: CompletionSubscription<T>;
  /** How many have not been asked for. */
  #remaining: number;
  #running: number;
  /** Why the rest is not handed out. */
  #closeError: (() => unknown) | null = null;

  constructor(
    all: readonly Future<T>[],
    limit: number | null,
    signal: AbortSignal | undefined,
  ) {
    const distinct = this.#all = new Set(all);
    this.#remaining = this.#running = distinct.size;
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

  /** The consumer is gone: what it asked for can be asked for again. */
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
    return `the first of ${this.#running} futures`;
  }

  awaits(): readonly Future<T>[] {
    return [...this.#all].filter((future) => !future.done());
  }

  /** One more is done. */
  onDone(future: Future<T>): void {
    if (this.#running === 0) return;
    this.#add(future);
    if (this.#running === 0) this.#subscription.unsubscribe();
  }

  /** The rest is not waited for: everybody gets the error. */
  close(error: () => unknown): void {
    this.#closeError = error;
    while (this.#running > 0) this.#add(null);
    this.#subscription.unsubscribe();
  }

  /** The next completion; one that is there already without a wait. */
  #next(): Promise<IteratorResult<DoneFuture<T>, undefined>> {
    return promiseTry<IteratorResult<DoneFuture<T>, undefined>>(() => {
      if (this.#remaining === 0) return Promise.resolve(DONE);
      const next = this.#dequeue();
      return next instanceof Future
        ? this.#awaitNext(next)
        : Promise.resolve(this.#unwrap(next));
    });
  }

  /** A handler would take the completion a step before the code that asked goes on, and lose it if that is cancelled. */
  async #awaitNext(next: Future<Completion<T> | null>): Promise<Completion<T>> {
    return this.#unwrap(await next);
  }

  /** Gives the next completion, or what waits for it; `null` if the end was there first. */
  #dequeue(): Completion<T> | null | Future<Completion<T> | null> {
    const { waiting, notified } = this.#consumers;
    const isThere = this.#finished.length > waiting + notified;
    const next = isThere ? this.complete() : this.#consumers.wait();
    if (!isThere) this.#subscription.retain(this);
    this.#remaining--;
    return next;
  }

  /** Nobody waits any more, so nothing has to hold the iteration. */
  #releaseIfIdle(): void {
    if (!this.#consumers.hasWaiters) this.#subscription.release();
  }

  #unwrap(completion: Completion<T> | null): Completion<T> {
    if (completion !== null) return completion;
    throw this.#closeError!();
  }

  #add(future: Future<T> | null): void {
    this.#running--;
    this.#finished.push(future);
    this.#consumers.notifyNext();
  }
}

/** What futures, timer and signal hold of an iteration. */
class CompletionSubscription<T> {
  readonly #weak: WeakRef<CompletionQueue<T>>;
  /** Set while somebody waits for a completion. */
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
          new TimeoutError("Not everything was done in time")
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

  /** Nothing more is to be heard. */
  unsubscribe(): void {
    this.#deadline?.cancel();
    this.#unsubscribeSignal();
    for (const [future, job] of this.#callbacks) {
      futures.unsubscribe(future, job);
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

/** One completion, wrapped: a bare future would be awaited on its way. */
interface Completion<T> {
  done: false;
  value: Future<T>;
}

const DONE: IteratorReturnResult<undefined> = {
  done: true,
  value: undefined,
};

/** One turn of {@linkcode asCompleted}: draws the next completion when it is awaited. */
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
