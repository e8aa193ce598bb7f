// A function that blocks, in a thread, beside a coroutine that sleeps.
// Run: deno run examples/threads/to_thread.ts

import { gather, getRunningLoop, run, sleep, toThread } from "@asyncio/asyncio";

/** Runs in a thread: it sees its arguments and what is global, and nothing around it. */
function blockingIo(seconds: number): string {
  console.log("blockingIo begins");
  // Blocks this thread as reading a large file or a long calculation would.
  const never = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(never, 0, 0, seconds * 1000);
  console.log("blockingIo is done");
  return "from the thread";
}

async function main(): Promise<void> {
  const loop = getRunningLoop();
  const started = loop.time();
  const [answer] = await gather([
    toThread(blockingIo, 0.3),
    () => sleep(0.3),
  ]);
  console.log(`An answer ${answer}`);
  console.log(`It took ${(loop.time() - started).toFixed(2)} seconds`);
}

await run(main);

// Output:
// blockingIo begins
// blockingIo is done
// An answer from the thread
// It took {seconds} seconds
