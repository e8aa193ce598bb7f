/** A task in a promise that nobody settles, deep inside of other calls. */
import { run, sleep, TaskGroup } from "@asyncio/asyncio";

function answer(): Promise<string> {
  return new Promise(() => {});
}

async function ask(): Promise<string> {
  await sleep(0.001);
  return await answer(); // stuck
}

async function talk(): Promise<void> {
  console.log(await ask());
}

run(() =>
  TaskGroup.run((group) => {
    group.createTask(talk, { name: "caller" });
  })
);
