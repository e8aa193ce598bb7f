/**
 * What primitives remember for those who ask why somebody waits: who has what,
 * and when they last woke somebody.
 *
 * @module
 */

import { CancelScope } from "./_cancel_scope.ts";
import type { ExecutionContext } from "./_event_loop.ts";
import { span } from "./_text.ts";

/** How many tasks are remembered, in things that many tasks take and nobody gives back. */
const MOST = 1000;

/** How many of some things that are all alike each task has. */
export class Holders implements Iterable<ExecutionContext> {
  readonly #counts = new Map<ExecutionContext, number>();
  /** The task that was counted last, which is often the next one too. */
  #last: ExecutionContext | null = null;
  #lastCount = 0;
  #isLost = false;

  /** A task takes one. */
  add(by: ExecutionContext | null | undefined): void {
    if (this.#isLost || !by) return;
    if (by !== this.#last) this.#turnTo(rootOf(by));
    this.#lastCount++;
  }

  /** A task gives one back: one of its own, or else one of whoever has held one for longest. */
  remove(by: ExecutionContext | null | undefined): void {
    if (this.#isLost) return;
    if (!by || by !== this.#last) this.#turnTo(this.#giver(by));
    if (this.#lastCount > 0) this.#lastCount--;
  }

  *[Symbol.iterator](): Iterator<ExecutionContext> {
    this.#turnTo(null);
    yield* this.#counts.keys();
  }

  #giver(by: ExecutionContext | null | undefined): ExecutionContext | null {
    this.#turnTo(null);
    const task = by ? rootOf(by) : null;
    if (task !== null && this.#counts.has(task)) return task;
    for (const first of this.#counts.keys()) return first;
    return null;
  }

  #turnTo(task: ExecutionContext | null): void {
    if (task === this.#last) return;
    const counts = this.#counts;
    if (this.#last !== null) {
      if (this.#lastCount > 0) counts.set(this.#last, this.#lastCount);
      else counts.delete(this.#last);
    }
    this.#last = task;
    this.#lastCount = task === null ? 0 : counts.get(task) ?? 0;
    if (counts.size < MOST) return;
    this.#isLost = true;
    this.#last = null;
    counts.clear();
  }
}

/** The task of a scope; code outside of tasks is left as it is. */
function rootOf(by: ExecutionContext): ExecutionContext {
  return by instanceof CancelScope ? by.taskState : by;
}

/** When something was last done to those who wait. */
export class Occasion {
  readonly #what: string;
  readonly #waiting: number;
  readonly #at = performance.now();

  constructor(what: string, waiting: number) {
    this.#what = what;
    this.#waiting = waiting;
  }

  toString(): string {
    const ago = span((performance.now() - this.#at) / 1000);
    const nobody = this.#waiting === 0 ? ", when nobody waited" : "";
    return `last ${this.#what} ${ago} ago${nobody}`;
  }
}
