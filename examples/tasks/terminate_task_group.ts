// Ends a group early, from within: with cancel() or with a custom error.
// Run: deno run examples/tasks/terminate_task_group.ts

import { ExceptionGroup, run, sleep, TaskGroup } from "@asyncio/asyncio";

class Enough extends Error {}

async function job(name: string, seconds: number): Promise<void> {
  console.log(`${name} begins`);
  await sleep(seconds);
  console.log(`${name} is done`);
}

/** Ends the group without an error. */
async function byCancel(): Promise<void> {
  await TaskGroup.run(async (group) => {
    group.createTask(() => job("short", 0.05));
    group.createTask(() => job("long", 3600));
    await sleep(0.15);
    group.cancel();
  });
  console.log("The group was cancelled");
}

/** Ends the group with an error, and lets every other error through. */
async function byError(): Promise<void> {
  try {
    await TaskGroup.run(async (group) => {
      group.createTask(() => job("short", 0.05));
      group.createTask(() => job("long", 3600));
      await sleep(0.15);
      throw new Enough();
    });
  } catch (error) {
    if (!(error instanceof ExceptionGroup)) throw error;
    const [, others] = error.split((error) => error instanceof Enough);
    if (others !== null) throw others;
    console.log("The group had enough");
  }
}

await run(async () => {
  await byCancel();
  await byError();
});

// Output:
// short begins
// long begins
// short is done
// The group was cancelled
// short begins
// long begins
// short is done
// The group had enough
