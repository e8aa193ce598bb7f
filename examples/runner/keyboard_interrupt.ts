// Ctrl-C cancels the main task, which cleans up before the program ends.
// Run: deno run examples/runner/keyboard_interrupt.ts

import { KeyboardInterrupt, run, sleep } from "@asyncio/asyncio";

async function main(): Promise<void> {
  try {
    console.log("Working until Ctrl-C");
    Deno.kill(Deno.pid, "SIGINT"); // so that the example ends by itself
    await sleep(3600);
  } finally {
    await sleep(0.05);
    console.log("Cleaned up");
  }
}

try {
  await run(main);
} catch (error) {
  if (!(error instanceof KeyboardInterrupt)) throw error;
  console.log("Interrupted");
}

// Output:
// Working until Ctrl-C
// Cleaned up
// Interrupted
