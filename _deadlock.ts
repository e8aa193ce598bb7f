/**
 * Whether anything is left that could wake a loop.
 *
 * Node tells before it ends a program, and stays for what begins then. Deno
 * knows too, but does not tell. Two ways lead to its knowledge. Code that runs
 * by `setImmediate`, when nothing else is under way, can ask it: exact, but
 * while a module is being evaluated, as under `await run(main)`, the answer is
 * that there is more to do. There the operations are counted instead: they have
 * numbers, each can be asked for, and those that wait for signals of the
 * system, which keep no program alive, are as many as there are such resources.
 * That count does not see a module that is being loaded, so it has to stay the
 * same for a while.
 *
 * @module
 */

import { hasTimeoutSignal } from "./_abort_signal.ts";
import { allInstances } from "./_heap.ts";
import {
  activeResources,
  holdsByTimer,
  nextTurn,
  onIdle,
  ownOperations,
  runtimeCore,
  systemTimer,
} from "./_host.ts";
import { type EventLoop, internals as loops } from "./_event_loop.ts";

/** Delay before the first check, in seconds; it doubles after each check. */
const FIRST_CHECK = 0.02;
/** Longest delay between two checks, in seconds. */
const LONGEST_INTERVAL = 1;
/** How long the number of operations must not change, in seconds. */
const QUIET_TIME = 2;
/** The same where a task waits for a promise from outside, which may be that of a module. */
const QUIET_TIME_FOREIGN = 15;
/** Of so many operations it is found out whether they are still under way. */
const MOST_OPERATIONS = 2_000_000;

/**
 * Calls back, once, when nothing is left that could wake a loop. `waitsOutside`
 * tells whether one of its tasks waits for a promise from outside. Returns
 * what ends the watch.
 */
export function watchForDeadlock(
  loop: EventLoop,
  waitsOutside: () => boolean,
  onDeadlock: () => void,
): () => void {
  const watch = new DeadlockWatch(loop, waitsOutside, onDeadlock);
  return () => watch.end();
}

class DeadlockWatch {
  readonly #loop: EventLoop;
  readonly #waitsOutside: () => boolean;
  readonly #onDeadlock: () => void;
  #delay = FIRST_CHECK;
  #cancel: (() => void) | null = null;
  /** Ends what tells that nothing is left; `null` where the runtime does not. */
  readonly #stop: (() => void) | null;
  #ended = false;
  /** What was seen when nothing seemed to be under way, and since when. */
  #seen = "";
  #since = 0;

  constructor(
    loop: EventLoop,
    waitsOutside: () => boolean,
    onDeadlock: () => void,
  ) {
    this.#loop = loop;
    this.#waitsOutside = waitsOutside;
    this.#onDeadlock = onDeadlock;
    this.#stop = onIdle(() => this.#idle());
    if (this.#stop === null) this.#schedule();
  }

  end(): void {
    this.#ended = true;
    this.#cancel?.();
    this.#stop?.();
  }

  /** Nothing keeps the process, but a signal that aborts by a timer would not either. */
  #idle(): void {
    this.#cancel?.();
    if (hasTimeoutSignal()) {
      this.#cancel = systemTimer(LONGEST_INTERVAL, () => {}, true);
      return;
    }
    this.end();
    this.#onDeadlock();
  }

  /** The timer keeps the process: what is stuck would otherwise end before it can tell. */
  #schedule(): void {
    this.#cancel = systemTimer(this.#delay, () => this.#poll(), true);
    this.#delay = Math.min(2 * this.#delay, LONGEST_INTERVAL);
  }

  #poll(): void {
    if (this.#isQuiet) nextTurn(() => this.#check());
    else this.#schedule();
  }

  #check(): void {
    if (this.#ended) return;
    if (!this.#isQuiet || hasTimeoutSignal()) this.#schedule();
    else if (runtimeCore.eventLoopHasMoreWork?.() === false) this.#report();
    else if (this.#isStuck()) void this.#confirm();
    else this.#schedule();
  }

  async #confirm(): Promise<void> {
    const isHeld = await isHeldBySignal();
    if (this.#ended) return;
    if (isHeld || !this.#isQuiet) this.#schedule();
    else this.#report();
  }

  #report(): void {
    this.#ended = true;
    this.#onDeadlock();
  }

  get #isQuiet(): boolean {
    const { ready, timers } = loops.counts(this.#loop);
    return ready === 0 && timers === 0 && !loops.isScheduled(this.#loop);
  }

  #isStuck(): boolean {
    const seen = `${loops.checkpoints(this.#loop)} ${operationMark()}`;
    const now = performance.now();
    if (seen.endsWith("busy") || seen !== this.#seen) {
      this.#seen = seen;
      this.#since = now;
      return false;
    }
    const calm = this.#waitsOutside() ? QUIET_TIME_FOREIGN : QUIET_TIME;
    return now - this.#since >= calm * 1000;
  }
}

/** Signals that were seen to keep the process by a timer. */
let holdingSignals: AbortSignal[] = [];

/**
 * Whether somebody listens to a signal of `AbortSignal.timeout()`. Its timer is
 * none of the operations; where the debugger may not be used, that is unknown.
 */
export async function isHeldBySignal(): Promise<boolean> {
  holdingSignals = holdingSignals.filter(holdsByTimer);
  if (holdingSignals.length === 0) {
    const signals = await allInstances("AbortSignal") as AbortSignal[] | null;
    holdingSignals = (signals ?? []).filter(holdsByTimer);
  }
  return holdingSignals.length > 0;
}

/** The number of the first operation that was not looked at. */
let next = 0;
/** Operations that were under way at the last look. */
const underWay = new Set<number>();
/** Looks that were taken, each of which begins an operation. */
let looks = 0;
let isLost = false;

/** The same text as long as no operation is under way, or has been in between; otherwise "busy". */
export function operationMark(): string {
  const resourcesInUse = activeResources().length; // the look loads the operations too
  const { hasPromise, getActiveImmediateCount, resources, ops } = runtimeCore;
  const isKnown = typeof hasPromise === "function" &&
    typeof getActiveImmediateCount === "function" &&
    typeof resources === "function" &&
    typeof ops?.op_void_async_deferred === "function";
  if (!isKnown || isLost) return "busy";
  if (getActiveImmediateCount() > 0 || resourcesInUse > 0) return "busy";
  const signals = Object.values(resources())
    .filter((name) => name === "signal").length;
  const idle = signals + ownOperations.count;
  if (countOperations(hasPromise, ops) > idle) return "busy";
  return String(next - looks);
}

function countOperations(
  hasPromise: (id: number) => boolean,
  ops: { op_void_async_deferred(): Promise<void> },
): number {
  const promise = ops.op_void_async_deferred();
  const last = (promise as unknown as Record<symbol, number>)[
    runtimeCore.promiseIdSymbol!
  ];
  if (!Number.isInteger(last) || last! - next > MOST_OPERATIONS) isLost = true;
  if (isLost) return Infinity;
  for (const id of underWay) if (!hasPromise(id)) underWay.delete(id);
  for (let id = next; id < last!; id++) if (hasPromise(id)) underWay.add(id);
  next = last! + 1;
  looks++;
  return underWay.size;
}
