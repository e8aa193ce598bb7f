/**
 * Records of primitives that explain waits in reports: which tasks hold them,
 * and when they last notified a waiter.
 *
 * @module
 */

import { CancelScope } from "./_cancel_scope.ts";
import type { ExecutionContext } from "./_event_loop.ts";
import { span } from "./_text.ts";

/** The maximum number of tasks in a record, for primitives that many tasks acquire and none releases. */
const MOST_TASKS = 1000;

/** Counts how many of several equal permits or items each task holds. */
export class Holders implements Iterable<ExecutionContext> {
  readonly #counts = new Map<ExecutionContext, number>();
  /** The task that was counted last, and often comes next again. */
  #last: ExecutionContext | null = null;
  #lastCount = 0;
  #isOverflowed = false;

  /** A task takes a permit. */
  add(by: ExecutionContext | null | undefined): void {
    if (this.#isOverflowed || !by) return;
    if (by !== this.#last) this.#switchTo(taskOf(by));
    this.#lastCount++;
  }

  /** A task gives a permit back: its own, or else that of the longest holder. */
  remove(by: ExecutionContext | null | undefined): void {
    if (this.#isOverflowed) return;
    if (!by || by !== this.#last || this.#lastCount === 0) {
      this.#switchTo(this.#holderToRemove(by));
    }
    if (this.#lastCount > 0) this.#lastCount--;
  }

  *[Symbol.iterator](): Iterator<ExecutionContext> {
    this.#switchTo(null);
    yield* this.#counts.keys();
  }

  #holderToRemove(
    by: ExecutionContext | null | undefined,
  ): ExecutionContext | null {
    this.#switchTo(null);
    const task = by ? taskOf(by) : null;
    if (task !== null && this.#counts.has(task)) return task;
    for (const first of this.#counts.keys()) return first;
    return null;
  }

  #switchTo(task: ExecutionContext | null): void {
    if (task === this.#last) return;
    const counts = this.#counts;
    if (this.#last !== null) {
      if (this.#lastCount > 0) counts.set(this.#last, this.#lastCount);
      else counts.delete(this.#last);
    }
    this.#last = task;
    this.#lastCount = task === null ? 0 : counts.get(task) ?? 0;
    if (counts.size < MOST_TASKS) return;
    this.#isOverflowed = true;
    this.#last = null;
    counts.clear();
  }
}

/** The task of a scope; the same execution context for code outside of tasks. */
function taskOf(by: ExecutionContext): ExecutionContext {
  return by instanceof CancelScope ? by.taskState : by;
}

/** When a primitive last acted on its waiters. */
export class LastAction {
  readonly #action: string;
  readonly #waiting: number;
  readonly #at = performance.now();

  constructor(action: string, waiting: number) {
    this.#action = action;
    this.#waiting = waiting;
  }

  toString(): string {
    const ago = span((performance.now() - this.#at) / 1000);
    const nobody = this.#waiting === 0 ? ", when nobody waited" : "";
    return `last ${this.#action} ${ago} ago${nobody}`;
  }
}
