/**
 * The future that `gather` returns.
 *
 * @module
 */

import { subscribeAbort, unsubscribeAbort } from "./_abort_signal.ts";
import { errorOf, FuturesSource, onceDone } from "./_done_callbacks.ts";
import { cancelNested, isBeingCancelled } from "./_cancel_request.ts";
import { Future, futures, looksLikeFuture } from "./_future.ts";
import { getEventLoop, type Job } from "./_event_loop.ts";
import type { Failure } from "./_waiting_call.ts";
import { CancelledError } from "./exceptions.ts";

/** The future of a `gather`: done when all children are, or when the first one fails. */
export class GatheringFuture extends Future<unknown[]> {
  static {
    looksLikeFuture(this);
  }

  readonly #children: readonly Future<unknown>[];
  /** The children without duplicates; each has its callback in `#callbacks`. */
  readonly #distinct: readonly Future<unknown>[];
  readonly #callbacks: (Job | null)[] = [];
  readonly #returnExceptions: boolean;
  #unfinished: number;
  #cancelRequested = false;
  /** Whether `cancel` is running; a child may lead back to this future. */
  #isBeingCancelled = false;
  #aborted: Failure | null = null;

  constructor(
    children: readonly Future<unknown>[],
    returnExceptions: boolean,
    areDistinct: boolean,
    signal: AbortSignal | undefined,
  ) {
    super((children[0]?.getLoop() ?? getEventLoop()) as never);
    futures.setSource(this, new FuturesSource(children, "gather"));
    this.#children = children;
    this.#returnExceptions = returnExceptions;
    // New tasks are distinct, and a set is expensive.
    const distinct = areDistinct ? children : [...new Set(children)];
    this.#distinct = distinct;
    this.#unfinished = distinct.length;
    if (distinct.length === 0) this.setResult([]);
    const done: Future<unknown>[] = [];
    const onDone = (child: Future<unknown>) => this.childDone(child);
    for (const child of distinct) {
      if (child.done()) done.push(child);
      this.#callbacks.push(child.done() ? null : onceDone(child, onDone));
    }
    for (const child of done) this.childDone(child);
    if (signal && !this.done()) this.#subscribeSignal(signal);
  }

  override cancel(message?: string): boolean {
    if (this.done()) return super.cancel(message);
    if (this.#isBeingCancelled) return true;
    this.#isBeingCancelled = true;
    let any = false;
    let isCyclic = false;
    try {
      for (const child of this.#children) {
        isCyclic ||= isBeingCancelled(child);
        any = cancelNested(child, message) || any;
      }
    } finally {
      this.#isBeingCancelled = false;
    }
    if (any) this.#cancelRequested = true;
    // A child that waits for this future cannot end before it.
    return isCyclic ? super.cancel(message) : any;
  }

  childDone(child: Future<unknown>): void {
    this.#unfinished--;
    if (this.done()) return futures.discard(child);
    const isBad = child.cancelled() || futures.failed(child);
    if (isBad && !this.#returnExceptions && this.#aborted === null) {
      futures.fail(this, errorOf(child)!.error);
      this.#unsubscribe();
    } else if (this.#unfinished === 0) this.#finish();
  }

  /** When the signal aborts, cancels the children and fails with the signal's reason. */
  #subscribeSignal(signal: AbortSignal): void {
    const target = {
      abort: (reason: unknown) => {
        this.#aborted = { error: reason };
        this.cancel();
      },
    };
    subscribeAbort(signal, target);
    onceDone(this, () => unsubscribeAbort(signal, target));
  }

  /** Ignores the remaining children, and lets them not hold this future. */
  #unsubscribe(): void {
    this.#distinct.forEach((child, i) => {
      const callback = this.#callbacks[i]!;
      if (callback === null || child.done()) return;
      futures.unsubscribe(child, callback);
      futures.silence(child);
    });
  }

  #finish(): void {
    const results = this.#children.map((child) =>
      child.cancelled() || futures.failed(child)
        ? errorOf(child)!.error
        : child.result()
    );
    if (this.#aborted !== null) futures.fail(this, this.#aborted.error);
    else if (this.#cancelRequested) {
      const last = this.#children.at(-1)!;
      futures.fail(
        this,
        last.cancelled() ? errorOf(last)!.error : new CancelledError(),
      );
    } else this.setResult(results);
  }
}
