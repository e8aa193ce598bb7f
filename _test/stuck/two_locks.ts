/** Two tasks take the same two locks, each in its own order. */
import { Lock, run, sleep, TaskGroup } from "@asyncio/asyncio";

const savings = new Lock();
const checking = new Lock();

async function transfer(from: Lock, to: Lock): Promise<void> {
  using _from = await from.acquire();
  await sleep(0.001);
  using _to = await to.acquire(); // stuck
}

run(() =>
  TaskGroup.run((group) => {
    group.createTask(() => transfer(savings, checking), { name: "deposit" });
    group.createTask(() => transfer(checking, savings), { name: "withdraw" });
  })
);
