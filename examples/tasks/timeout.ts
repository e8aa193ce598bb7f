// A limit for the time that a block may take.
// Run: deno run examples/tasks/timeout.ts

import { run, sleep, timeout, TimeoutError } from "@asyncio/asyncio";

async function main(): Promise<void> {
  try {
    await timeout(0.05, async () => {
      console.log("This takes an hour ...");
      await sleep(3600);
      console.log("... and is never seen");
    });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log("It took too long");
  }
  console.log("This runs in any case");
}

await run(main);

// Output:
// This takes an hour ...
// It took too long
// This runs in any case
