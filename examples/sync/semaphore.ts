// Five tasks, of which at most two work at the same time.
// Run: deno run examples/sync/semaphore.ts

import { gather, run, Semaphore, sleep } from "@asyncio/asyncio";

const places = new Semaphore(2);
let working = 0;
let most = 0;

async function work(n: number): Promise<void> {
  using _ = await places.acquire(); // given back at the end of the block
  console.log(`task ${n} works`);
  most = Math.max(most, ++working);
  await sleep(0.02);
  working--;
}

async function main(): Promise<void> {
  await gather([1, 2, 3, 4, 5].map((n) => () => work(n)));
  console.log(`at most ${most} at the same time`);
}

await run(main);

// Output:
// task 1 works
// task 2 works
// task 3 works
// task 4 works
// task 5 works
// at most 2 at the same time
