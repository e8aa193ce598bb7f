/** A child process that reads to the end of an input that nobody closes. */
import { createSubprocessExec, PIPE, run, TaskGroup } from "@asyncio/asyncio";

async function count(text: string): Promise<number> {
  const child = await createSubprocessExec("wc", ["-w"], { stdin: PIPE });
  child.stdin!.write(text);
  await child.stdin!.drain();
  console.log("ready");
  return await child.wait(); // stuck
}

await run(() =>
  TaskGroup.run((group) => {
    group.createTask(() => count("spam eggs"), { name: "counter" });
  }), { dumpSignal: "SIGUSR1" });
