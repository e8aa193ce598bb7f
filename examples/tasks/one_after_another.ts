// Two coroutines awaited one after the other take as long as both together.
// Run: deno run examples/tasks/one_after_another.ts

import { getRunningLoop, run, sleep } from "@asyncio/asyncio";

async function sayAfter(seconds: number, what: string): Promise<void> {
  await sleep(seconds);
  console.log(what);
}

async function main(): Promise<void> {
  const loop = getRunningLoop();
  const started = loop.time();
  await sayAfter(0.1, "hello");
  await sayAfter(0.2, "world");
  console.log(`It took ${(loop.time() - started).toFixed(2)} seconds`);
}

await run(main);

// Output:
// hello
// world
// It took {seconds} seconds
