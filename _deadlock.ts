/**
 * Detects when nothing is left that could wake a loop.
 *
 * Node emits an event before it ends a program, and work started then keeps the
 * program alive. Deno has no such event, but there are two ways to find out. A
 * `setImmediate` callback can ask whether the program would end now. This is
 * exact, but while a module is being evaluated, as under `await run(main)`, the
 * answer is always no. Then the pending operations are counted instead: they
 * have numbers, and each number can be checked. Operations that wait for
 * signals of the system do not keep a program alive; there is one for each
 * signal resource. The count misses modules that are being loaded, so it must
 * stay the same for a while.
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
/** The same while a task waits for a promise from outside of this module, which may be that of an `import()`. */
const QUIET_TIME_EXTERNAL = 15;
/** More signals than a system has. */
const MOST_SIGNALS = 64;
/** The maximum number of operations that are checked at once. */
const MOST_OPERATIONS = 2_000_000;

/**
 * Calls a function once when nothing is left that could wake a loop. Returns a
 * function that ends the watch.
 *
 * @param hasExternalWait Whether a task waits for a promise from outside of this module.
 */
export function watchForDeadlock(
  loop: EventLoop,
  hasExternalWait: () => boolean,
  onDeadlock: () => void,
): () => void {
  const watch = new DeadlockWatch(loop, hasExternalWait, onDeadlock);
  return () => watch.end();
}

class DeadlockWatch {
  readonly #loop: EventLoop;
  readonly #hasExternalWait: () => boolean;
  readonly #onDeadlock: () => void;
  #delay = FIRST_CHECK;
  #cancel: (() => void) | null = null;
  /** Removes the listener of the runtime's idle event; `null` if there is no such event. */
  readonly #stopIdleListener: (() => void) | null;
  #ended = false;
  /** The state when no operation seemed to be pending, and since when it is the same. */
  #seen = "";
  #since = 0;

  constructor(
    loop: EventLoop,
    hasExternalWait: () => boolean,
    onDeadlock: () => void,
  ) {
    this.#loop = loop;
    this.#hasExternalWait = hasExternalWait;
    this.#onDeadlock = onDeadlock;
    this.#stopIdleListener = onIdle(() => this.#onIdle());
    if (this.#stopIdleListener === null) this.#schedule();
  }

  end(): void {
    this.#ended = true;
    this.#cancel?.();
    this.#stopIdleListener?.();
  }

  /** Nothing keeps the process alive; but a timer that aborts a signal would not either. */
  #onIdle(): void {
    this.#cancel?.();
    if (hasTimeoutSignal()) {
      this.#cancel = systemTimer(LONGEST_INTERVAL, () => {}, true);
      return;
    }
    this.end();
    this.#onDeadlock();
  }

  /** The timer keeps the process alive: a stuck program would otherwise end before the report. */
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
    const seen = `${loops.checkpoints(this.#loop)} ${operationFingerprint()}`;
    const now = performance.now();
    if (seen.endsWith("busy") || seen !== this.#seen) {
      this.#seen = seen;
      this.#since = now;
      return false;
    }
    const quietTime = this.#hasExternalWait()
      ? QUIET_TIME_EXTERNAL
      : QUIET_TIME;
    return now - this.#since >= quietTime * 1000;
  }
}

/** Signals that were found to keep the process alive by a timer. */
let holdingSignals: AbortSignal[] = [];

/**
 * Whether code listens to a signal of `AbortSignal.timeout()`, whose timer is
 * not among the operations. Unknown where the debugger is not permitted.
 */
export async function isHeldBySignal(): Promise<boolean> {
  holdingSignals = holdingSignals.filter(holdsByTimer);
  if (holdingSignals.length === 0) {
    const signals = await allInstances("AbortSignal") as AbortSignal[] | null;
    holdingSignals = (signals ?? []).filter(holdsByTimer);
  }
  return holdingSignals.length > 0;
}

/** The number of the first operation that was not checked yet. */
let nextId = 0;
/** Operations that were pending at the last check. */
const pendingOperations = new Set<number>();
/** The number of checks so far, each of which starts an operation itself. */
let probes = 0;
let isUncountable = false;

/** "busy" while an operation is pending; otherwise a text that stays the same until another one starts. */
export function operationFingerprint(): string {
  const resourcesInUse = activeResources().length; // this call also loads the operations
  const { hasPromise, getActiveImmediateCount, resources, ops } = runtimeCore;
  const isKnown = typeof hasPromise === "function" &&
    typeof getActiveImmediateCount === "function" &&
    typeof resources === "function" &&
    typeof ops?.op_void_async_deferred === "function";
  if (!isKnown || isUncountable) return "busy";
  if (getActiveImmediateCount() > 0 || resourcesInUse > 0) return "busy";
  const pending = countOperations(hasPromise, ops) - ownOperations.count;
  if (pending > MOST_SIGNALS) return "busy"; // listing the resources takes long then
  const signals = Object.values(resources())
    .filter((name) => name === "signal").length;
  return pending > signals ? "busy" : String(nextId - probes);
}

function countOperations(
  hasPromise: (id: number) => boolean,
  ops: { op_void_async_deferred(): Promise<void> },
): number {
  const promise = ops.op_void_async_deferred();
  const last = (promise as unknown as Record<symbol, number>)[
    runtimeCore.promiseIdSymbol!
  ];
  if (!Number.isInteger(last) || last! - nextId > MOST_OPERATIONS) {
    isUncountable = true;
  }
  if (isUncountable) return Infinity;
  for (const id of pendingOperations) {
    if (!hasPromise(id)) pendingOperations.delete(id);
  }
  for (let id = nextId; id < last!; id++) {
    if (hasPromise(id)) pendingOperations.add(id);
  }
  nextId = last! + 1;
  probes++;
  return pendingOperations.size;
}
