/** A program whose main ends while a task sits in a foreign promise. */
import { createTask, run, sleep } from "@asyncio/asyncio";

const alive = setInterval(() => {}, 1e6);
const { promise, resolve } = Promise.withResolvers<void>();

Deno.addSignalListener("SIGTERM", () => resolve());
await run(async () => {
  createTask(() => promise, { name: "deaf" });
  await sleep(0);
});
clearInterval(alive);
Deno.exit();
