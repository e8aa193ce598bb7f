// Runs two shell commands at once, and shows how they ended and what they wrote.
// Run: deno run --allow-run examples/subprocess/shell_command.ts

import { createSubprocessShell, gather, PIPE, run } from "@asyncio/asyncio";

/** How a command ended and what it wrote, as text to show. */
async function report(command: string): Promise<string> {
  await using process = await createSubprocessShell(command, {
    stdout: PIPE,
    stderr: PIPE,
  });
  const [output, errors] = await process.communicate();
  const decoder = new TextDecoder();
  let text = `[${command} exited with ${process.returncode}]\n`;
  if (output!.length > 0) text += `[stdout]\n${decoder.decode(output!)}`;
  if (errors!.length > 0) text += `[stderr]\n${decoder.decode(errors!)}`;
  return text.trimEnd();
}

async function main(): Promise<void> {
  const reports = await gather([
    () => report("sleep 0.1; echo hello"),
    () => report("echo 'not today' >&2; exit 1"),
  ]);
  for (const text of reports) console.log(text);
}

await run(main);

// Output:
// [sleep 0.1; echo hello exited with 0]
// [stdout]
// hello
// [echo 'not today' >&2; exit 1 exited with 1]
// [stderr]
// not today
