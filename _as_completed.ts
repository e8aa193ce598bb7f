/**
 * What `asCompleted` gives: futures in the order of their completion.
 *
 * The futures hold what hears of their ends, so one that never ends would hold
 * every iteration that was left early. They hold the iteration weakly, except
 * while somebody waits for its next completion.
 *
 * @module
 */

import { linkSignal, unlinkSignal } from "./_abort_signal.ts";
import { Deque } from "./_collections.ts";
import { rejection } from "./_error_stack.ts";
import { Future, futures } from "./_future.ts";
import type { Job, TimerHandle } from "./_scheduler.ts";
import { onceDone } from "./_done_callbacks.ts";
import { LoopBinding, type WaitPolicy, WaitQueue } from "./_wait_queue.ts";
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
  readonly #link: Link<T>;
  /** How many have not been asked for. */
  #left: number;
  #running: number;
  /** Why the rest is not handed out. */
  #ended: (() => unknown) | null = null;

  constructor(
    all: readonly Future<T>[],
    limit: number | null,
    signal: AbortSignal | undefined,
  ) {
    const distinct = this.#all = new Set(all);
    this.#left = this.#running = distinct.size;
    this.#link = new Link(this, distinct);
    if (this.#left > 0) this.#link.listen(limit, signal);
  }

  [Symbol.asyncIterator](): AsyncIterator<DoneFuture<T>> {
    return { next: () => this.#next() };
  }

  [Symbol.iterator](): Iterator<PromiseLike<T>> {
    return {
      next: () => {
        if (this.#left === 0) return NO_MORE;
        this.#left--;
        const draw = async () => {
          this.#left++;
          return this.#inTime(await this.#draw()).value.result();
        };
        return { done: false, value: new CompletionTurn(draw) };
      },
    };
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<asCompleted ${this.#left} of ${this.#all.size} left>`;
  }

  complete(): Completion<T> | null {
    this.#rest();
    const future = this.#finished.shift();
    return future ? { done: false, value: future } : null;
  }

  /** The consumer is gone: what it asked for can be asked for again. */
  handOff(): void {
    this.#rest();
    this.#left++;
    this.#consumers.notifyNext();
  }

  remove(): void {
    this.#rest();
    this.#left++;
  }

  describe(): string {
    return `the first of ${this.#running} futures`;
  }

  awaits(): readonly Future<T>[] {
    return [...this.#all].filter((future) => !future.done());
  }

  /** One more is done. */
  finish(future: Future<T>): void {
    if (this.#running === 0) return;
    this.#add(future);
    if (this.#running === 0) this.#link.cut();
  }

  /** The rest is not waited for: everybody gets the error. */
  end(error: () => unknown): void {
    this.#ended = error;
    while (this.#running > 0) this.#add(null);
    this.#link.cut();
  }

  /** The next completion; one that is there already without a wait. */
  #next(): Promise<IteratorResult<DoneFuture<T>, undefined>> {
    try {
      if (this.#left === 0) return Promise.resolve(NO_MORE);
      const next = this.#draw();
      return next instanceof Future
        ? this.#later(next)
        : Promise.resolve(this.#inTime(next));
    } catch (error) {
      return rejection(error);
    }
  }

  /** A handler would take the completion a step before the code that asked goes on, and lose it if that is cancelled. */
  async #later(next: Future<Completion<T> | null>): Promise<Completion<T>> {
    return this.#inTime(await next);
  }

  /** Gives the next completion, or what waits for it; `null` if the end was there first. */
  #draw(): Completion<T> | null | Future<Completion<T> | null> {
    const { waiting, notified } = this.#consumers;
    const isThere = this.#finished.length > waiting + notified;
    const next = isThere ? this.complete() : this.#consumers.wait();
    if (!isThere) this.#link.hold(this);
    this.#left--;
    return next;
  }

  /** Nobody waits any more, so nothing has to hold the iteration. */
  #rest(): void {
    if (!this.#consumers.busy) this.#link.release();
  }

  #inTime(completion: Completion<T> | null): Completion<T> {
    if (completion !== null) return completion;
    throw this.#ended!();
  }

  #add(future: Future<T> | null): void {
    this.#running--;
    this.#finished.push(future);
    this.#consumers.notifyNext();
  }
}

/** What futures, timer and signal hold of an iteration. */
class Link<T> {
  readonly #weak: WeakRef<CompletionQueue<T>>;
  /** Set while somebody waits for a completion. */
  #strong: CompletionQueue<T> | null = null;
  readonly #jobs = new Map<Future<T>, Job>();
  #deadline: TimerHandle | null = null;
  #unlink: () => void = () => {};

  constructor(queue: CompletionQueue<T>, all: Iterable<Future<T>>) {
    this.#weak = new WeakRef(queue);
    abandoned.register(queue, this as Link<unknown>);
    for (const future of all) this.#jobs.set(future, this.#subscribe(future));
  }

  listen(limit: number | null, signal: AbortSignal | undefined): void {
    if (limit !== null) {
      const end = () =>
        this.#queue?.end(() =>
          new TimeoutError("Not everything was done in time")
        );
      const loop = [...this.#jobs.keys()][0]!.getLoop();
      this.#deadline = loop.callLater(limit, end);
    }
    if (signal === undefined) return;
    const abort = (reason: unknown) => this.#queue?.end(() => reason);
    const target = { abort };
    linkSignal(signal, target);
    this.#unlink = () => unlinkSignal(signal, target);
  }

  hold(queue: CompletionQueue<T>): void {
    this.#strong = queue;
  }

  release(): void {
    this.#strong = null;
  }

  /** Nothing more is to be heard. */
  cut(): void {
    this.#deadline?.cancel();
    this.#unlink();
    for (const [future, job] of this.#jobs) futures.unsubscribe(future, job);
    this.#jobs.clear();
  }

  get #queue(): CompletionQueue<T> | undefined {
    return this.#strong ?? this.#weak.deref();
  }

  #subscribe(future: Future<T>): Job {
    return onceDone(future, () => {
      this.#jobs.delete(future);
      this.#queue?.finish(future);
    });
  }
}

const abandoned = new FinalizationRegistry<Link<unknown>>((link) => link.cut());

/** One completion, wrapped: a bare future would be awaited on its way. */
interface Completion<T> {
  done: false;
  value: Future<T>;
}

const NO_MORE: IteratorReturnResult<undefined> = {
  done: true,
  value: undefined,
};

/** One turn of {@linkcode asCompleted}: draws the next completion when it is awaited. */
class CompletionTurn<T> implements PromiseLike<T> {
  readonly #draw: () => Promise<T>;
  #drawn: Promise<T> | null = null;

  constructor(draw: () => Promise<T>) {
    this.#draw = draw;
  }

  then<R = T, S = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => S | PromiseLike<S>) | null,
  ): Promise<R | S> {
    return (this.#drawn ??= this.#draw()).then(onFulfilled, onRejected);
  }
}
