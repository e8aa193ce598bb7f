// An eager task begins at once, and one that never waits ends at once, too.
// Run: deno run examples/tasks/eager_tasks.ts

import {
  createTask,
  eagerTaskFactory,
  getRunningLoop,
  run,
  sleep,
} from "@asyncio/asyncio";

const cache = new Map([["known", 1]]);

function lookUp(key: string): number | Promise<number> {
  console.log(`looks for what is ${key}`);
  return cache.get(key) ?? sleep(0.05, { result: 2 });
}

async function main(): Promise<void> {
  getRunningLoop().setTaskFactory(eagerTaskFactory);
  const known = createTask(() => lookUp("known"));
  const unknown = createTask(() => lookUp("unknown"));
  console.log(`done: ${known.done()}, ${unknown.done()}`);
  console.log(`results: ${await known}, ${await unknown}`);
}

await run(main);

// Output:
// looks for what is known
// looks for what is unknown
// done: true, false
// results: 1, 2
