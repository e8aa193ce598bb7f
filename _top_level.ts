/**
 * Detects deadlocks of code that runs without `run`, on the implicit loop.
 *
 * The runtime ends such a program with "Top-level await promise never
 * resolved", does not say what it waited for, and calls no handler before. So
 * the first wait on the implicit loop starts a watch, which checks whenever the
 * loop becomes idle. It keeps the program alive only while no operation is
 * pending and the main module is still being evaluated, to see that this lasts,
 * as the loading of a module is not visible. Then it prints a report and lets
 * the runtime end the program.
 *
 * @module
 */

import { hasTimeoutSignal } from "./_abort_signal.ts";
import { isHeldBySignal, operationFingerprint } from "./_deadlock.ts";
import { debugHooks } from "./_debug_hooks.ts";
import type { AnyFuture } from "./_future.ts";
import { nextTurn, runtimeCore, systemTimer } from "./_host.ts";
import { type EventLoop, internals as loops } from "./_event_loop.ts";

/** How long no operation may be pending before this counts as a deadlock, in seconds. */
const QUIET_TIME = 2;
/** Seconds until the next check, while operations are pending and while none is. */
const BUSY_INTERVAL = 1;
const QUIET_INTERVAL = 0.1;
/** How many futures that code outside of tasks waits for are named. */
const MOST_NAMED = 8;

interface Watch {
  readonly loop: EventLoop;
  /** The state when no operation was pending, and since when it is the same. */
  seen: string;
  since: number;
  /** Whether a suspected deadlock is being confirmed. */
  isConfirming: boolean;
  cancel: () => void;
  /** Whether a check is scheduled, and whether the end of the current batch schedules one. */
  isDue: boolean;
  isHooked: boolean;
}

let watch: Watch | null = null;
let isReported = false;
/** The futures that code outside of tasks waits for, newest last. These are strong references: nothing else may refer to a queue that is stuck. */
let outsideWaits: AnyFuture[] = [];

/** Called when a task, or code outside of tasks, starts to wait on the implicit loop. */
export function watchTopLevel(
  loop: EventLoop,
  future: AnyFuture,
  isTask: boolean,
): void {
  if (isReported) return;
  if (!isTask) {
    if (outsideWaits.length >= MOST_NAMED) outsideWaits.shift();
    outsideWaits.push(future);
  }
  if (watch !== null) return;
  if (runtimeCore.eventLoopHasMoreWork === undefined) return;
  watch = {
    loop,
    seen: "",
    since: 0,
    isConfirming: false,
    cancel: () => {},
    isDue: false,
    isHooked: false,
  };
  checkSoon(watch);
}

/** Schedules a check on the next turn, unless one is scheduled already. */
function checkSoon(watch: Watch): void {
  watch.cancel();
  if (watch.isDue) return;
  watch.isDue = true;
  nextTurn(check);
}

function check(): void {
  if (watch === null) return;
  watch.isDue = false;
  if (watch.isConfirming) return;
  outsideWaits = outsideWaits.filter((future) => !future.done());
  const { ready, timers } = loops.counts(watch.loop);
  if (ready > 0 || timers > 0 || loops.isScheduled(watch.loop)) {
    checkAfterBatch(watch);
  } else if (runtimeCore.eventLoopHasMoreWork!() === false) {
    watch = null; // the program ends by itself
    outsideWaits = [];
  } else {
    scheduleCheck(watch, isQuiet(watch));
  }
}

function isQuiet(watch: Watch): boolean {
  const seen = `${loops.checkpoints(watch.loop)} ${operationFingerprint()}`;
  if (seen.endsWith("busy") || hasTimeoutSignal()) {
    watch.seen = "";
    return false;
  }
  if (seen !== watch.seen) {
    watch.seen = seen;
    watch.since = performance.now();
  }
  return true;
}

/** Keeps the program alive only while no operation is pending. */
function scheduleCheck(watch: Watch, isProgramQuiet: boolean): void {
  if (isProgramQuiet && performance.now() - watch.since >= QUIET_TIME * 1000) {
    void confirm(watch);
    return;
  }
  const seconds = isProgramQuiet ? QUIET_INTERVAL : BUSY_INTERVAL;
  watch.cancel = systemTimer(seconds, () => checkSoon(watch), isProgramQuiet);
  if (!isProgramQuiet) checkAfterBatch(watch);
}

async function confirm(watch: Watch): Promise<void> {
  const before = loops.checkpoints(watch.loop);
  watch.isConfirming = true;
  const isHeld = await isHeldBySignal();
  watch.isConfirming = false;
  if (isHeld) scheduleCheck(watch, false);
  else if (loops.checkpoints(watch.loop) !== before) check();
  else {
    isReported = true;
    report(watch.loop);
  }
}

/** The loop may become idle without a new wait. */
function checkAfterBatch(watch: Watch): void {
  if (watch.isHooked) return;
  watch.isHooked = true;
  loops.afterBatch(watch.loop, () => {
    watch.isHooked = false;
    checkSoon(watch);
  });
}

function report(loop: EventLoop): void {
  const title = "Deadlock: nothing is left that could wake the program";
  console.error(`${title}\n${debugHooks.report(loop, outsideWaits)}`);
  outsideWaits = [];
}
