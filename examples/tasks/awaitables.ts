// What can be awaited: the call of an async function, a task, and a future.
// Run: deno run examples/tasks/awaitables.ts

import { createTask, getRunningLoop, run, sleep } from "@asyncio/asyncio";

async function nested(): Promise<number> {
  await sleep(0);
  return 42;
}

async function main(): Promise<void> {
  // A call runs as a part of this task.
  console.log(`call: ${await nested()}`);

  // A task runs beside this one, from now on, whether it is awaited or not.
  const task = createTask(nested);
  console.log(`task: ${await task}`);

  // Any code that has the future can set its result.
  const loop = getRunningLoop();
  const future = loop.createFuture<number>();
  loop.callLater(0.05, () => future.setResult(42));
  console.log(`future: ${await future}`);
}

await run(main);

// Output:
// call: 42
// task: 42
// future: 42
