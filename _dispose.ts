/**
 * What leaving a block of `await using` waits for.
 *
 * @module
 */

import { runInSlot } from "./_context.ts";
import type { EventLoop } from "./_event_loop.ts";
import { internals as loops } from "./_scheduler.ts";
import { currentTask } from "./_awaitable.ts";

/**
 * Waits for the end of something that is being disposed of. A cancellation
 * does not throw here: joined to an error of the block it would come out as a
 * `SuppressedError`. Instead it makes the end come at once, and the next wait
 * of the task throws it, unless the block has.
 *
 * @param loop The loop that the wait belongs to.
 * @param wait Starts the wait.
 * @param endNow Makes the end come at once.
 */
export async function waitWhileDisposing(
  loop: EventLoop,
  wait: () => Promise<void>,
  endNow: () => void,
): Promise<void> {
  const signal = currentTask()?.signal;
  if (signal?.aborted) endNow();
  else signal?.addEventListener("abort", endNow, { once: true });
  try {
    await runInSlot(loops.execution(loop), awaitOutsideTask, wait);
  } finally {
    signal?.removeEventListener("abort", endNow);
  }
}

/** Run outside of the task, so that a cancellation does not interrupt the wait. */
async function awaitOutsideTask(wait: () => Promise<void>): Promise<void> {
  await wait();
}
