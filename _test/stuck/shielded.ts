/** A program that shields what never ends when it is interrupted. */
import { createTask, Event, run, shield, sleep } from "@asyncio/asyncio";

const alive = setInterval(() => {}, 1e6);
const acknowledged = new Event();

async function save(): Promise<void> {
  await acknowledged.wait();
}

await run(async () => {
  try {
    console.log("ready");
    await sleep(3600);
  } finally {
    await shield(createTask(save, { name: "save" }));
  }
});
clearInterval(alive);
