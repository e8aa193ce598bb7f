// Prints the date and the time five times, with a pause after each.
// Run: deno run examples/tasks/sleep.ts

import { run, sleep } from "@asyncio/asyncio";

async function displayDate(): Promise<void> {
  for (let n = 0; n < 5; n++) {
    console.log(new Date().toISOString());
    await sleep(0.1); // in seconds; or sleep({ milliseconds: 100 })
  }
}

await run(displayDate);

// Output:
// {date}
// {date}
// {date}
// {date}
// {date}
