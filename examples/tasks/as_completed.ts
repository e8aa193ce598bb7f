// Takes results as they come: as tasks with `for await`, as values with `for`.
// Run: deno run examples/tasks/as_completed.ts

import {
  asCompleted,
  createTask,
  run,
  sleep,
  TimeoutError,
} from "@asyncio/asyncio";

async function dial(host: string, seconds: number): Promise<string> {
  await sleep(seconds);
  return `connected to ${host}`;
}

async function main(): Promise<void> {
  const near = createTask(() => dial("near", 0.05));
  const far = createTask(() => dial("far", 0.15));
  for await (const task of asCompleted([far, near])) {
    const which = task === near ? "near" : "far";
    console.log(`${which}: ${task.result()}`);
  }

  const dials = [() => dial("far", 0.15), () => dial("near", 0.05)];
  for (const turn of asCompleted(dials)) console.log(await turn);

  const never = createTask(() => dial("the moon", 3600));
  try {
    for await (const task of asCompleted([never], { timeout: 0.05 })) {
      console.log(task.result());
    }
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log("no answer");
  }
}

await run(main);

// Output:
// near: connected to near
// far: connected to far
// connected to near
// connected to far
// no answer
