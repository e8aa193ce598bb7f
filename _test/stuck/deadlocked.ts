/** A queue that nobody puts into, under each form of `run`. */
import { createTask, Queue, run, sleep } from "@asyncio/asyncio";

async function main(): Promise<void> {
  await sleep(0.001);
  await createTask(() => new Queue().get(), { name: "consumer" });
}

const [form] = Deno.args;
if (form === "run(main)") run(main);
else if (form === "await run(main)") await run(main);
else await run(main, { signals: [], dumpSignal: null });
