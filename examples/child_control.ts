/**
 * Talks with a child process: a line to its standard input, a line from its
 * standard output, until there is nothing left to ask.
 *
 * ```sh
 * deno run --allow-run examples/child_control.ts
 * ```
 *
 * After the section on processes in
 * {@link https://docs.python.org/3/library/asyncio-subprocess.html#interacting-with-subprocesses}.
 *
 * @module
 */

import {
  createSubprocessExec,
  PIPE,
  type Process,
  run,
  timeout,
} from "@asyncio/asyncio";

const CALCULATOR = 'while read -r task; do echo "$task = $(($task))"; done';

/** A question, and the answer. */
export async function ask(process: Process, task: string): Promise<string> {
  process.stdin!.write(`${task}\n`);
  await process.stdin!.drain();
  const line = await process.stdout!.readline();
  return new TextDecoder().decode(line).trimEnd();
}

/** However it goes, the child has ended when the block is left. */
export async function main(): Promise<void> {
  await using process = await createSubprocessExec("sh", ["-c", CALCULATOR], {
    stdin: PIPE,
    stdout: PIPE,
  });
  await timeout(5, async () => {
    for (const task of ["1 + 1", "6 * 7", "100 / 7"]) {
      console.log(await ask(process, task));
    }
    process.stdin!.close();
    console.log(`The calculator ended with ${await process.wait()}`);
  });
}

if (import.meta.main) await run(main);
