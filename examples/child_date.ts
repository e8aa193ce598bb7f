/**
 * Asks a child process for the date, and reads one line of its output.
 *
 * ```sh
 * deno run --allow-run --allow-read examples/child_date.ts
 * ```
 *
 * After the first example of
 * {@link https://docs.python.org/3/library/asyncio-subprocess.html#examples}.
 *
 * @module
 */

import { createSubprocessExec, PIPE, run } from "@asyncio/asyncio";

/** The date as a child process has it. */
export async function dateOfChild(): Promise<Date> {
  const code = "console.log(new Date().toISOString())";
  await using process = await createSubprocessExec(
    Deno.execPath(),
    ["eval", code],
    { stdout: PIPE },
  );
  const line = await process.stdout!.readline();
  await process.wait();
  return new Date(new TextDecoder().decode(line).trimEnd());
}

export async function main(): Promise<void> {
  const date = await dateOfChild();
  console.log(`Current date: ${date.toISOString()}`);
}

if (import.meta.main) await run(main);
