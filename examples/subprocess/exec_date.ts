// Asks a child process for the date, and reads one line of its output.
// Run: deno run --allow-run examples/subprocess/exec_date.ts

import { createSubprocessExec, PIPE, run } from "@asyncio/asyncio";

async function dateOfChild(): Promise<string> {
  const code = "console.log(new Date().toISOString())";
  await using process = await createSubprocessExec(
    Deno.execPath(),
    ["eval", code],
    { stdout: PIPE },
  );
  const line = await process.stdout!.readline();
  await process.wait();
  return new TextDecoder().decode(line).trimEnd();
}

async function main(): Promise<void> {
  console.log(`Current date: ${await dateOfChild()}`);
}

await run(main);

// Output:
// Current date: {date}
