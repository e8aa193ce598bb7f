// Writes lines to a child process and reads its answers; however it goes, the child ends with the block.
// Run: deno run --allow-run examples/subprocess/talk_to_child.ts

import {
  createSubprocessExec,
  PIPE,
  type Process,
  run,
  timeout,
} from "@asyncio/asyncio";

const CALCULATOR = 'while read -r task; do echo "$task = $(($task))"; done';

async function ask(process: Process, task: string): Promise<string> {
  process.stdin!.write(`${task}\n`);
  await process.stdin!.drain();
  const line = await process.stdout!.readline();
  return new TextDecoder().decode(line).trimEnd();
}

async function main(): Promise<void> {
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

await run(main);

// Output:
// 1 + 1 = 2
// 6 * 7 = 42
// 100 / 7 = 14
// The calculator ended with 0
