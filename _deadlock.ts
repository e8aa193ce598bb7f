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
import {
  activeResources,
  nextTurn,
  onIdle,
  ownOperations,
  runtimeCore,
  systemTimer,
} from "./_host.ts";
import { type BaseEventLoop, internals as loops } from "./_scheduler.ts";

/** The first look comes after so many seconds, each later one after twice as many. */
const FIRST = 0.02;
/** The longest time between two looks. */
const LONGEST = 1;
/** How long the count of operations has to stay the same. */
const CALM = 1;
/** The same where a task waits for a promise from outside, which may be that of a module. */
const CALM_FOREIGN = 5;
/** Of so many operations it is found out whether they are still under way. */
const MOST_OPERATIONS = 2_000_000;

/**
 * Calls back, once, when nothing is left that could wake a loop. `waitsOutside`
 * tells whether one of its tasks waits for a promise from outside. Returns
 * what ends the watch.
 */
export function watchForDeadlock(
  loop: BaseEventLoop,
  waitsOutside: () => boolean,
  onDeadlock: () => void,
): () => void {
  const watch = new Watch(loop, waitsOutside, onDeadlock);
  return () => watch.end();
}

class Watch {
  readonly #loop: BaseEventLoop;
  readonly #waitsOutside: () => boolean;
  readonly #onDeadlock: () => void;
  #delay = FIRST;
  #cancel: (() => void) | null = null;
  /** Ends what tells that nothing is left; `null` where the runtime does not. */
  readonly #stop: (() => void) | null;
  #ended = false;
  /** What was seen when nothing seemed to be under way, and since when. */
  #seen = "";
  #since = 0;

  constructor(
    loop: BaseEventLoop,
    waitsOutside: () => boolean,
    onDeadlock: () => void,
  ) {
    this.#loop = loop;
    this.#waitsOutside = waitsOutside;
    this.#onDeadlock = onDeadlock;
    this.#stop = onIdle(() => this.#idle());
    if (this.#stop === null) this.#again();
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
      this.#cancel = systemTimer(LONGEST, () => {}, true);
      return;
    }
    this.end();
    this.#onDeadlock();
  }

  /** The timer keeps the process: what is stuck would otherwise end before it can tell. */
  #again(): void {
    this.#cancel = systemTimer(this.#delay, () => this.#rouse(), true);
    this.#delay = Math.min(2 * this.#delay, LONGEST);
  }

  #rouse(): void {
    if (this.#isQuiet) nextTurn(() => this.#look());
    else this.#again();
  }

  #look(): void {
    if (this.#ended) return;
    if (this.#isQuiet && !hasTimeoutSignal() && this.#isStuck()) {
      this.#ended = true;
      this.#onDeadlock();
    } else this.#again();
  }

  get #isQuiet(): boolean {
    const { ready, timers } = loops.counts(this.#loop);
    return ready === 0 && timers === 0 && !loops.isScheduled(this.#loop);
  }

  #isStuck(): boolean {
    if (runtimeCore.eventLoopHasMoreWork?.() === false) return true;
    const seen = `${loops.checkpoints(this.#loop)} ${calmMark()}`;
    const now = performance.now();
    if (seen.endsWith("busy") || seen !== this.#seen) {
      this.#seen = seen;
      this.#since = now;
      return false;
    }
    const calm = this.#waitsOutside() ? CALM_FOREIGN : CALM;
    return now - this.#since >= calm * 1000;
  }
}

/** The number of the first operation that was not looked at. */
let next = 0;
/** Operations that were under way at the last look. */
const underWay = new Set<number>();
/** Looks that were taken, each of which begins an operation. */
let looks = 0;
let isLost = false;

/** The same text as long as no operation is under way, or has been in between; otherwise "busy". */
export function calmMark(): string {
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
