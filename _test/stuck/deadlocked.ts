/** A queue that nobody puts into, under each form of `run`. */
import { createTask, Queue, run, sleep, toThread } from "@asyncio/asyncio";

const [form] = Deno.args;

async function main(): Promise<void> {
  await sleep(0.001);
  if (form === "with an idle thread") await toThread(() => {});
  await createTask(() => new Queue().get(), { name: "consumer" });
}

if (form === "run(main)") run(main);
else if (form === "without signals") {
  await run(main, { signals: [], dumpSignal: null });
} else await run(main);
