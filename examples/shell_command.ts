/**
 * Runs shell commands, and shows how they ended and what they wrote.
 *
 * ```sh
 * deno run --allow-run examples/shell_command.ts
 * ```
 *
 * After "run a shell command" in
 * {@link https://docs.python.org/3/library/asyncio-subprocess.html}.
 *
 * @module
 */

import { createSubprocessShell, gather, PIPE, run } from "@asyncio/asyncio";

/** Runs a command; gives the lines to show. */
export async function report(cmd: string): Promise<string[]> {
  await using process = await createSubprocessShell(cmd, {
    stdout: PIPE,
    stderr: PIPE,
  });
  const [output, errors] = await process.communicate();
  const decoder = new TextDecoder();
  return [
    `[${cmd} exited with ${process.returncode}]`,
    ...output!.length > 0 ? [`[stdout]\n${decoder.decode(output!)}`] : [],
    ...errors!.length > 0 ? [`[stderr]\n${decoder.decode(errors!)}`] : [],
  ];
}

/** Two commands at once; the answers in the order of the commands. */
export async function main(): Promise<void> {
  const reports = await gather([
    () => report("sleep 0.1; echo hello"),
    () => report("echo 'not today' >&2; exit 1"),
  ]);
  for (const line of reports.flat()) console.log(line.trimEnd());
}

if (import.meta.main) await run(main);
