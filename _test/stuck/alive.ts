/** Waits for a word, and says on request what it waits for. */
import { createTask, ensureFuture, run } from "@asyncio/asyncio";

await run(async () => {
  const listener = createTask(async () => {
    const word = new Response(Deno.stdin.readable).text();
    console.log("ready");
    console.log(`heard ${await ensureFuture(word)}`);
  }, { name: "listener" });
  await listener;
}, { dumpSignal: "SIGUSR1" });
