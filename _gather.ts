/**
 * What `gather` gives.
 *
 * @module
 */

import { linkSignal, unlinkSignal } from "./_abort_signal.ts";
import { errorOf, onceDone, Several } from "./_done_callbacks.ts";
import { cancelNested } from "./_cancel_request.ts";
import { isBeingCancelled } from "./_cancel_request.ts";
import { callersLoop, Future, futures, looksLikeFuture } from "./_future.ts";
import type { Job } from "./_scheduler.ts";
import { CancelledError } from "./exceptions.ts";

/** The future of a gather: done with its last child, or with the first error. */
export class GatheringFuture extends Future<unknown[]> {
  static {
    looksLikeFuture(this);
  }

  readonly #children: readonly Future<unknown>[];
  /** The children, each once, and what hears of their ends. */
  readonly #distinct: readonly Future<unknown>[];
  readonly #jobs: (Job | null)[] = [];
  readonly #returnExceptions: boolean;
  #unfinished: number;
  #cancelRequested = false;
  /** Whether its children are being cancelled: it may be reached on several ways. */
  #isBeingCancelled = false;
  #aborted: { reason: unknown } | null = null;

  constructor(
    children: readonly Future<unknown>[],
    returnExceptions: boolean,
    areNew: boolean,
    signal: AbortSignal | undefined,
  ) {
    super((children[0]?.getLoop() ?? callersLoop()) as never);
    futures.setSource(this, new Several(children, "gather"));
    this.#children = children;
    this.#returnExceptions = returnExceptions;
    // Tasks that were just made for it are all different, and a set is expensive.
    const distinct = areNew ? children : [...new Set(children)];
    this.#distinct = distinct;
    this.#unfinished = distinct.length;
    if (distinct.length === 0) this.setResult([]);
    const done: Future<unknown>[] = [];
    const onDone = (child: Future<unknown>) => this.childDone(child);
    for (const child of distinct) {
      if (child.done()) done.push(child);
      this.#jobs.push(child.done() ? null : onceDone(child, onDone));
    }
    for (const child of done) this.childDone(child);
    if (signal && !this.done()) this.#follow(signal);
  }

  override cancel(message?: string): boolean {
    if (this.done()) return super.cancel(message);
    if (this.#isBeingCancelled) return true;
    this.#isBeingCancelled = true;
    let any = false;
    let isCircle = false;
    try {
      for (const child of this.#children) {
        isCircle ||= isBeingCancelled(child);
        any = cancelNested(child, message) || any;
      }
    } finally {
      this.#isBeingCancelled = false;
    }
    if (any) this.#cancelRequested = true;
    // A child that waits for this cannot end before it.
    return isCircle ? super.cancel(message) : any;
  }

  childDone(child: Future<unknown>): void {
    this.#unfinished--;
    if (this.done()) return futures.discard(child);
    const isBad = child.cancelled() || futures.failed(child);
    if (isBad && !this.#returnExceptions && this.#aborted === null) {
      futures.fail(this, errorOf(child)!.thrown);
      this.#letGo();
    } else if (this.#unfinished === 0) this.#finish();
  }

  /** A signal ends it as a cancellation would, with the signal's reason. */
  #follow(signal: AbortSignal): void {
    const target = {
      abort: (reason: unknown) => {
        this.#aborted = { reason };
        this.cancel();
      },
    };
    linkSignal(signal, target);
    onceDone(this, () => unlinkSignal(signal, target));
  }

  /** What the other children do is not heard of any more, and they do not hold on to this. */
  #letGo(): void {
    this.#distinct.forEach((child, i) => {
      const job = this.#jobs[i]!;
      if (job === null || child.done()) return;
      futures.unsubscribe(child, job);
      futures.silence(child);
    });
  }

  #finish(): void {
    const results = this.#children.map((child) =>
      child.cancelled() || futures.failed(child)
        ? errorOf(child)!.thrown
        : child.result()
    );
    if (this.#aborted !== null) futures.fail(this, this.#aborted.reason);
    else if (this.#cancelRequested) {
      const last = this.#children.at(-1)!;
      futures.fail(
        this,
        last.cancelled() ? errorOf(last)!.thrown : new CancelledError(),
      );
    } else this.setResult(results);
  }
}
