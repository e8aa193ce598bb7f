// Several calls on one event loop, which ends with the block that holds its runner.
// Run: deno run examples/runner/runner.ts

import {
  type EventLoop,
  getRunningLoop,
  Runner,
  sleep,
} from "@asyncio/asyncio";

async function greet(name: string): Promise<EventLoop> {
  await sleep(0.05);
  console.log(`Hello, ${name}`);
  return getRunningLoop();
}

let loop: EventLoop;
{
  await using runner = new Runner();
  loop = await runner.run(() => greet("Alice"));
  const second = await runner.run(() => greet("Bob"));
  console.log(`One loop for both: ${loop === second}`);
}
console.log(`Closed with its runner: ${loop.isClosed()}`);

// Output:
// Hello, Alice
// Hello, Bob
// One loop for both: true
// Closed with its runner: true
