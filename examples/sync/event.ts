// A task waits until another says that something has happened.
// Run: deno run examples/sync/event.ts

import { createTask, Event, run, sleep } from "@asyncio/asyncio";

async function waiter(event: Event): Promise<void> {
  console.log("waiting for it ...");
  await event.wait();
  console.log("... got it!");
}

async function main(): Promise<void> {
  const event = new Event();
  const task = createTask(() => waiter(event));
  await sleep(0.1);
  event.set();
  await task;
}

await run(main);

// Output:
// waiting for it ...
// ... got it!
