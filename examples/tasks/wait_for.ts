// Waits for one thing, but not for ever.
// Run: deno run examples/tasks/wait_for.ts

import { run, sleep, TimeoutError, waitFor } from "@asyncio/asyncio";

async function eternity(): Promise<void> {
  await sleep(3600);
  console.log("An hour has passed");
}

async function main(): Promise<void> {
  try {
    await waitFor(eternity, 0.1);
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log("Too long");
  }
}

await run(main);

// Output:
// Too long
