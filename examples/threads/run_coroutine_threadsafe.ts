// A thread runs coroutines on the loop of the program, and blocks until it has their results.
// Run: deno run examples/threads/run_coroutine_threadsafe.ts

import {
  getRunningLoop,
  type LoopHandle,
  run,
  runCoroutineThreadsafe,
  sleep,
  TimeoutError,
  toThread,
} from "@asyncio/asyncio";

/** Runs on the loop. */
async function double(n: number, seconds: number): Promise<number> {
  await sleep(seconds);
  return 2 * n;
}

/** Runs in a thread. */
function inThread(loop: LoopHandle): string {
  const quick = runCoroutineThreadsafe("double", loop, 21, 0.01);
  console.log(`The coroutine returned ${quick.result()}`);

  const slow = runCoroutineThreadsafe("double", loop, 21, 3600);
  try {
    slow.result(0.05);
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log("The coroutine took too long, the thread cancels it");
    slow.cancel();
  }
  return "The thread is done";
}

async function main(): Promise<void> {
  const loop = getRunningLoop();
  loop.expose({ double });
  console.log(await toThread(inThread, loop.handle()));
}

await run(main);

// Output:
// The coroutine returned 42
// The coroutine took too long, the thread cancels it
// The thread is done
