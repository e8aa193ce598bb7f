/**
 * What leaving a block of `await using` waits for.
 *
 * @module
 */

import { runInSlot } from "./_context.ts";
import type { EventLoop } from "./_event_loop.ts";
import { internals as loops } from "./_loop.ts";
import { currentTask } from "./_awaitable.ts";

/**
 * Waits for the end of something that is being disposed of. A cancellation
 * does not throw here: it would be told together with the error of the block,
 * as a `SuppressedError`. It has the end come at once instead, and the next
 * wait of the task tells of it, if the block does not.
 *
 * @param loop The loop that the wait belongs to.
 * @param wait Begins the wait.
 * @param hurry Has the end come at once.
 */
export async function waitInDisposer(
  loop: EventLoop,
  wait: () => Promise<void>,
  hurry: () => void,
): Promise<void> {
  const signal = currentTask()?.signal;
  if (signal?.aborted) hurry();
  else signal?.addEventListener("abort", hurry, { once: true });
  try {
    await runInSlot(loops.frame(loop), awaitOutside, wait);
  } finally {
    signal?.removeEventListener("abort", hurry);
  }
}

/** Called outside of the task, this gives a promise that it cannot interrupt. */
async function awaitOutside(wait: () => Promise<void>): Promise<void> {
  await wait();
}
