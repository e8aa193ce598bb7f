/** A join that waits for a taskDone that an early `continue` has skipped. */
import { createTask, Queue, run, sleep } from "@asyncio/asyncio";

const numbers = new Queue<number>();

async function work(): Promise<void> {
  for await (const number of numbers) {
    if (number === 2) continue;
    await sleep(0.001);
    numbers.taskDone();
  }
}

run(async () => {
  createTask(work, { name: "worker" });
  for (let number = 0; number < 4; number++) await numbers.put(number);
  await numbers.join(); // stuck
});
