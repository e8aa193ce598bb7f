// Tasks wait until what they share is as they need it.
// Run: deno run examples/sync/condition.ts

import { Condition, run, sleep, TaskGroup } from "@asyncio/asyncio";

const stock: string[] = [];
const changed = new Condition();

async function buy(name: string): Promise<void> {
  using _ = await changed.acquire();
  await changed.waitFor(() => stock.length > 0);
  console.log(`${name} has bought ${stock.shift()}`);
}

async function deliver(...goods: string[]): Promise<void> {
  using _ = await changed.acquire();
  stock.push(...goods);
  console.log(`${goods.join(" and ")} delivered`);
  changed.notifyAll();
}

await run(() =>
  TaskGroup.run(async (group) => {
    for (const name of ["Alice", "Bob", "Carol"]) {
      group.createTask(() => buy(name));
    }
    await sleep(0.05);
    await deliver("bread");
    await sleep(0.05);
    await deliver("milk", "honey");
  })
);

// Output:
// bread delivered
// Alice has bought bread
// milk and honey delivered
// Bob has bought milk
// Carol has bought honey
