// A task that continues although the one that awaits it is cancelled.
// Run: deno run examples/tasks/shield.ts

import {
  CancelledError,
  createTask,
  run,
  shield,
  sleep,
} from "@asyncio/asyncio";

async function save(): Promise<string> {
  await sleep(0.2);
  return "saved";
}

async function main(): Promise<void> {
  const saving = createTask(save);
  const request = createTask(() => shield(saving));
  await sleep(0);
  request.cancel();
  try {
    await request;
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    console.log(`The request is cancelled: ${request.cancelled()}`);
  }
  console.log(`The task continues: ${!saving.done()}`);
  console.log(`Its result: ${await saving}`);
}

await run(main);

// Output:
// The request is cancelled: true
// The task continues: true
// Its result: saved
