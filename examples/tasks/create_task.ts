// Two tasks run at the same time: together they take as long as the slower one.
// Run: deno run examples/tasks/create_task.ts

import { createTask, getRunningLoop, run, sleep } from "@asyncio/asyncio";

async function sayAfter(seconds: number, what: string): Promise<void> {
  await sleep(seconds);
  console.log(what);
}

async function main(): Promise<void> {
  const loop = getRunningLoop();
  const started = loop.time();
  const hello = createTask(() => sayAfter(0.1, "hello"));
  const world = createTask(() => sayAfter(0.2, "world"));
  await hello;
  await world;
  console.log(`It took ${(loop.time() - started).toFixed(2)} seconds`);
}

await run(main);

// Output:
// hello
// world
// It took {seconds} seconds
