/**
 * What leaving a block of `await using` waits for.
 *
 * @module
 */

import { runInSlot } from "./_context.ts";
import type { EventLoop } from "./_event_loop.ts";
import type { Task } from "./_task.ts";
import { currentExecution, internals as loops } from "./_scheduler.ts";

/**
 * Waits for the end of something that is being disposed of. A cancellation
 * does not throw here: joined to an error of the block it would come out as a
 * `SuppressedError`. Instead it makes the end come at once, and the next wait
 * of the task throws it, unless the block has.
 *
 * @param loop The loop that the wait belongs to.
 * @param wait Starts the wait.
 * @param hurry Makes the end come at once.
 */
export async function waitInDisposer(
  loop: EventLoop,
  wait: () => Promise<void>,
  hurry: () => void,
): Promise<void> {
  const signal = (currentExecution()?.task as Task<unknown> | null | undefined)
    ?.signal;
  if (signal?.aborted) hurry();
  else signal?.addEventListener("abort", hurry, { once: true });
  try {
    await runInSlot(loops.execution(loop), awaitOutside, wait);
  } finally {
    signal?.removeEventListener("abort", hurry);
  }
}

/** Run outside of the task, so that a cancellation does not interrupt the wait. */
async function awaitOutside(wait: () => Promise<void>): Promise<void> {
  await wait();
}
