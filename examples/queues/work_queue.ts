// Three workers take jobs from one queue, until the queue is shut down.
// Run: deno run examples/queues/work_queue.ts

import { getRunningLoop, Queue, run, sleep, TaskGroup } from "@asyncio/asyncio";

async function worker(name: string, queue: Queue<number>): Promise<void> {
  for await (const seconds of queue) {
    await sleep(seconds);
    queue.taskDone();
    console.log(`${name} has slept for ${seconds.toFixed(3)} seconds`);
  }
}

export async function main(): Promise<void> {
  const queue = new Queue<number>();
  let total = 0;
  for (let n = 0; n < 10; n++) {
    const seconds = 0.01 + 0.09 * Math.random();
    total += seconds;
    queue.putNowait(seconds);
  }

  const loop = getRunningLoop();
  const started = loop.time();
  let elapsed = 0;
  await TaskGroup.run(async (group) => {
    for (const name of ["worker-0", "worker-1", "worker-2"]) {
      group.createTask(() => worker(name, queue));
    }
    await queue.join();
    elapsed = loop.time() - started;
    queue.shutdown(); // ends the loops of the workers
  });

  console.log("====");
  console.log(`3 workers slept in parallel for ${elapsed.toFixed(3)} seconds`);
  console.log(`one worker would have slept for ${total.toFixed(3)} seconds`);
}

if (import.meta.main) await run(main);

// Output:
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// {worker} has slept for {seconds} seconds
// ====
// 3 workers slept in parallel for {seconds} seconds
// one worker would have slept for {seconds} seconds
