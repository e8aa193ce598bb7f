// One deadline for two blocks: a point in time instead of a number of seconds.
// Run: deno run examples/tasks/timeout_at.ts

import {
  getRunningLoop,
  run,
  sleep,
  timeoutAt,
  TimeoutError,
} from "@asyncio/asyncio";

async function main(): Promise<void> {
  const deadline = getRunningLoop().time() + 0.3;
  try {
    await timeoutAt(deadline, () => sleep(0.01));
    console.log("The first block was in time");
    await timeoutAt(deadline, () => sleep(3600));
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log("The second block was not");
  }
}

await run(main);

// Output:
// The first block was in time
// The second block was not
