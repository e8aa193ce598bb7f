// A timeout ends its block and nothing else: the task continues as if never cancelled.
// Run: deno run examples/tasks/uncancel.ts

import {
  currentTask,
  run,
  sleep,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";

async function request(): Promise<void> {
  const task = currentTask()!;
  try {
    await timeout(0.05, async () => {
      try {
        await sleep(3600);
      } finally {
        console.log(`In the block: ${task.cancelling()} request to cancel`);
      }
    });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log("There was a timeout");
  }
  console.log(`After it: ${task.cancelling()} requests to cancel`);
  await sleep(0.05);
  console.log("What follows is not affected");
}

await run(request);

// Output:
// In the block: 1 request to cancel
// There was a timeout
// After it: 0 requests to cancel
// What follows is not affected
