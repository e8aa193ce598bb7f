/**
 * Waits of `Symbol.asyncDispose` methods.
 *
 * @module
 */

import { runInSlot } from "./_context.ts";
import type { EventLoop } from "./_event_loop.ts";
import type { Task } from "./_task.ts";
import { currentExecution, internals as loops } from "./_scheduler.ts";

/**
 * Waits until something is disposed of. A cancellation does not throw here, as
 * it would turn an error of the block into a `SuppressedError`. It ends the
 * disposal at once instead, and is delivered at the task's next wait.
 *
 * @param loop The loop to wait on.
 * @param wait Starts the wait.
 * @param endNow Ends the disposal at once.
 */
export async function waitWhileDisposing(
  loop: EventLoop,
  wait: () => Promise<void>,
  endNow: () => void,
): Promise<void> {
  const signal = (currentExecution()?.task as Task<unknown> | null | undefined)
    ?.signal;
  if (signal?.aborted) endNow();
  else signal?.addEventListener("abort", endNow, { once: true });
  try {
    await runInSlot(loops.execution(loop), awaitOutsideTask, wait);
  } finally {
    signal?.removeEventListener("abort", endNow);
  }
}

/** Runs outside the task, so a cancellation does not interrupt the wait. */
async function awaitOutsideTask(wait: () => Promise<void>): Promise<void> {
  await wait();
}
