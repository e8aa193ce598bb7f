// Waits for the first of several tasks, and tells those that are done from the others.
// Run: deno run examples/tasks/wait.ts

import {
  createTask,
  FIRST_COMPLETED,
  run,
  sleep,
  wait,
} from "@asyncio/asyncio";

async function main(): Promise<void> {
  const tasks = [3600, 0.05, 3600].map((seconds) =>
    createTask(() => sleep(seconds, { result: seconds }))
  );
  const [done, pending] = await wait(tasks, { returnWhen: FIRST_COMPLETED });
  console.log(`${done.size} is done, ${pending.size} are pending`);
  console.log(`It is the second: ${done.has(tasks[1])}`);

  // wait() cancels nothing, and so do it by hand.
  for (const task of pending) task.cancel();
  await wait(pending);
  console.log(`The first is cancelled: ${tasks[0].cancelled()}`);
}

await run(main);

// Output:
// 1 is done, 2 are pending
// It is the second: true
// The first is cancelled: true
