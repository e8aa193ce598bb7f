// The smallest program: two lines with a pause between them.
// Run: deno run examples/runner/hello_world.ts

import { run, sleep } from "@asyncio/asyncio";

async function main(): Promise<void> {
  console.log("Hello ...");
  await sleep(0.1);
  console.log("... World!");
}

await run(main);

// Output:
// Hello ...
// ... World!
