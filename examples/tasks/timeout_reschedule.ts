// A deadline that is not known when the block begins.
// Run: deno run examples/tasks/timeout_reschedule.ts

import {
  getRunningLoop,
  run,
  sleep,
  type Timeout,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";

async function main(): Promise<void> {
  let limit: Timeout | undefined;
  try {
    await timeout(null, async (t) => {
      limit = t;
      console.log(`Deadline at first: ${t.when()}`);
      await sleep(0.05);
      t.reschedule(getRunningLoop().time() + 0.05);
      await sleep(3600);
    });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log(`Expired: ${limit?.expired()}`);
  }
}

await run(main);

// Output:
// Deadline at first: null
// Expired: true
