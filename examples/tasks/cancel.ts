// Cancels a task, which cleans up and passes the cancellation on.
// Run: deno run examples/tasks/cancel.ts

import { CancelledError, createTask, run, sleep } from "@asyncio/asyncio";

async function cancelMe(): Promise<void> {
  console.log("cancelMe(): before sleep");
  try {
    await sleep(3600);
  } catch (error) {
    if (error instanceof CancelledError) console.log("cancelMe(): cancelled");
    throw error;
  } finally {
    console.log("cancelMe(): after sleep");
  }
}

async function main(): Promise<void> {
  const task = createTask(cancelMe);
  await sleep(0.05);
  task.cancel();
  try {
    await task;
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    console.log("main(): cancelMe is cancelled now");
  }
}

await run(main);

// Output:
// cancelMe(): before sleep
// cancelMe(): cancelled
// cancelMe(): after sleep
// main(): cancelMe is cancelled now
