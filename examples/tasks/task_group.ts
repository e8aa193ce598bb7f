// A group of two tasks, whose results are there when the group has ended.
// Run: deno run examples/tasks/task_group.ts

import { run, sleep, TaskGroup } from "@asyncio/asyncio";

async function measure(what: string, seconds: number): Promise<string> {
  await sleep(seconds);
  return `the ${what} is fine`;
}

async function main(): Promise<void> {
  const [engine, brake] = await TaskGroup.run((group) => [
    group.createTask(() => measure("engine", 0.1)),
    group.createTask(() => measure("brake", 0.05)),
  ]);
  console.log(`Both are done: ${engine.result()}, ${brake.result()}`);
}

await run(main);

// Output:
// Both are done: the engine is fine, the brake is fine
