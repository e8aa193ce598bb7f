// Tasks in the background, in a set that each leaves when it is done.
// Run: deno run examples/tasks/background_tasks.ts

import { createTask, run, sleep, type Task, wait } from "@asyncio/asyncio";

async function job(n: number): Promise<void> {
  await sleep(0.02 * n);
  console.log(`job ${n} is done`);
}

async function main(): Promise<void> {
  // No task needs the set to stay alive; it is there to wait for them, or cancel them.
  const background = new Set<Task<void>>();
  for (let n = 1; n <= 3; n++) {
    const task = createTask(() => job(n));
    background.add(task);
    task.addDoneCallback((task) => background.delete(task));
  }
  console.log(`${background.size} jobs in the background`);
  await wait(background);
  console.log(`${background.size} jobs in the background`);
}

await run(main);

// Output:
// 3 jobs in the background
// job 1 is done
// job 2 is done
// job 3 is done
// 0 jobs in the background
