/**
 * A function that blocks, beside a coroutine that sleeps: both take a second,
 * and so do the two together.
 *
 *     deno run examples/blocking_function.ts
 *
 * Stands for the example of {@link https://docs.python.org/3/library/asyncio-task.html#running-in-threads}.
 */

import { gather, run, sleep, toThread } from "@asyncio/asyncio";

/** Blocks its thread. It stands for anything that does so, such as work on files. */
function blockingIo(seconds: number): void {
  const time = () => new Date().toLocaleTimeString();
  console.log(`start blockingIo at ${time()}`);
  const never = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(never, 0, 0, seconds * 1000);
  console.log(`blockingIo complete at ${time()}`);
}

/** The example, with the time that each of the two takes. */
export async function main(seconds = 1): Promise<void> {
  const time = () => new Date().toLocaleTimeString();
  console.log(`started main at ${time()}`);
  await gather([toThread(blockingIo, seconds), sleep(seconds)]);
  console.log(`finished main at ${time()}`);
}

if (import.meta.main) await run(() => main());
