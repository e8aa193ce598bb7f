// Three tasks, of which none continues before all have arrived.
// Run: deno run examples/sync/barrier.ts

import { Barrier, createTask, run, sleep } from "@asyncio/asyncio";

async function main(): Promise<void> {
  const barrier = new Barrier(3);
  createTask(() => barrier.wait());
  createTask(() => barrier.wait());
  await sleep(0);
  console.log(barrier);

  await barrier.wait(); // the third to arrive opens it
  console.log(barrier);
  console.log("barrier passed");

  await sleep(0);
  console.log(barrier);
}

await run(main);

// Output:
// <Barrier filling, 2 of 3 waiting>
// <Barrier draining, 0 of 3 waiting>
// barrier passed
// <Barrier filling, 0 of 3 waiting>
