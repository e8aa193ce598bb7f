// A group awaits the tasks that were created in it, however its body ends.
// Run: deno run examples/tasks/create_task_in_group.ts

import { getRunningLoop, run, sleep, TaskGroup } from "@asyncio/asyncio";

async function sayAfter(seconds: number, what: string): Promise<void> {
  await sleep(seconds);
  console.log(what);
}

async function main(): Promise<void> {
  const loop = getRunningLoop();
  const started = loop.time();
  await TaskGroup.run((group) => {
    group.createTask(() => sayAfter(0.1, "hello"));
    group.createTask(() => sayAfter(0.2, "world"));
  });
  console.log(`It took ${(loop.time() - started).toFixed(2)} seconds`);
}

await run(main);

// Output:
// hello
// world
// It took {seconds} seconds
