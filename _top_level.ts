/**
 * Deadlocks of code that runs without `run`, on the implicit loop.
 *
 * The runtime ends such a program, with "Top-level await promise never
 * resolved" and no word of what it waited for, and calls nobody before. So the
 * first wait on the implicit loop begins a watch. It looks when the loop has
 * come to rest, and holds the program only while nothing at all is under way
 * and the main module is still being evaluated: to see that it stays so, as a
 * module that is being loaded cannot be seen. Then it reports, and lets the
 * runtime end the program.
 *
 * @module
 */

import { hasTimeoutSignal } from "./_abort_signal.ts";
import { isHeldBySignal, operationMark } from "./_deadlock.ts";
import { debugHooks } from "./_debug_hooks.ts";
import type { AnyFuture } from "./_future.ts";
import { nextTurn, runtimeCore, systemTimer } from "./_host.ts";
import { type EventLoop, internals as loops } from "./_event_loop.ts";

/** How long nothing may be under way before that is taken for a deadlock, in seconds. */
const CALM = 2;
/** How long until the next look, while something is under way and while nothing is. */
const BUSY_INTERVAL = 1;
const CALM_INTERVAL = 0.1;
/** So many futures are named that code outside of tasks waits for. */
const NAMED = 8;

interface Watch {
  readonly loop: EventLoop;
  /** What was seen when nothing was under way, and since when. */
  seen: string;
  since: number;
  /** It is being found out whether this is a deadlock. */
  isConfirming: boolean;
  cancel: () => void;
}

let watch: Watch | null = null;
let isReported = false;
/** What code outside of tasks waits for, the newest last. They are held: nothing else may refer to a queue that is stuck. */
let outside: AnyFuture[] = [];

/** Something begins to wait on the implicit loop; code of a task, or outside of all. */
export function watchTopLevel(
  loop: EventLoop,
  future: AnyFuture,
  isTask: boolean,
): void {
  if (isReported) return;
  if (!isTask) {
    if (outside.length >= NAMED) outside.shift();
    outside.push(future);
  }
  if (watch !== null) return;
  if (runtimeCore.eventLoopHasMoreWork === undefined) return;
  watch = {
    loop,
    seen: "",
    since: 0,
    isConfirming: false,
    cancel: () => {},
  };
  nextTurn(look);
}

function look(): void {
  if (watch === null || watch.isConfirming) return;
  outside = outside.filter((future) => !future.done());
  const { ready, timers } = loops.counts(watch.loop);
  if (ready > 0 || timers > 0 || loops.isScheduled(watch.loop)) {
    lookAfterBatch(watch.loop);
  } else if (runtimeCore.eventLoopHasMoreWork!() === false) {
    watch = null; // the program ends by itself
    outside = [];
  } else {
    lookAgain(watch, !hasTimeoutSignal() && isCalm(watch));
  }
}

function isCalm(watch: Watch): boolean {
  const seen = `${loops.checkpoints(watch.loop)} ${operationMark()}`;
  if (seen.endsWith("busy")) {
    watch.seen = "";
    return false;
  }
  if (seen !== watch.seen) {
    watch.seen = seen;
    watch.since = performance.now();
  }
  return true;
}

/** Only a program in which nothing is under way is held. */
function lookAgain(watch: Watch, isCalm: boolean): void {
  if (isCalm && performance.now() - watch.since >= CALM * 1000) {
    void confirm(watch);
    return;
  }
  const seconds = isCalm ? CALM_INTERVAL : BUSY_INTERVAL;
  watch.cancel = systemTimer(seconds, () => nextTurn(look), isCalm);
  if (!isCalm) lookAfterBatch(watch.loop);
}

async function confirm(watch: Watch): Promise<void> {
  const before = loops.checkpoints(watch.loop);
  watch.isConfirming = true;
  const isHeld = await isHeldBySignal();
  watch.isConfirming = false;
  if (isHeld) lookAgain(watch, false);
  else if (loops.checkpoints(watch.loop) !== before) look();
  else {
    isReported = true;
    report(watch.loop);
  }
}

/** The loop may come to rest without a wait beginning. */
function lookAfterBatch(loop: EventLoop): void {
  loops.afterBatch(loop, () => {
    watch?.cancel();
    nextTurn(look);
  });
}

function report(loop: EventLoop): void {
  const title = "Deadlock: nothing is left that could wake the program";
  console.error(`${title}\n${debugHooks.report(loop, outside)}`);
  outside = [];
}
