/**
 * Distributes work over several tasks with a queue, after the example of
 * {@link https://docs.python.org/3/library/asyncio-queue.html#examples}.
 *
 * ```sh
 * deno run examples/work_queue.ts
 * ```
 *
 * @module
 */

import {
  createTask,
  gather,
  getRunningLoop,
  Queue,
  run,
  sleep,
} from "@asyncio/asyncio";

const WORKERS = 3;
const JOBS = 20;

async function worker(
  name: string,
  queue: Queue<number>,
  print: (line: string) => void,
): Promise<void> {
  for await (const seconds of queue) {
    await sleep(seconds);
    queue.taskDone();
    print(`${name} has slept for ${seconds.toFixed(2)} seconds`);
  }
}

/** Has three workers sleep through twenty jobs of random length. */
export async function main(
  print: (line: string) => void = console.log,
  random: () => number = Math.random,
): Promise<void> {
  const queue = new Queue<number>();
  let total = 0;
  for (let n = 0; n < JOBS; n++) {
    const seconds = 0.05 + 0.95 * random();
    total += seconds;
    queue.putNowait(seconds);
  }
  const started = getRunningLoop().time();
  const workers = Array.from(
    { length: WORKERS },
    (_, n) => createTask(() => worker(`worker-${n}`, queue, print)),
  );
  await queue.join();
  const elapsed = getRunningLoop().time() - started;
  queue.shutdown();
  await gather(workers);
  print("====");
  print(`3 workers slept in parallel for ${elapsed.toFixed(2)} seconds`);
  print(`total expected sleep time: ${total.toFixed(2)} seconds`);
}

if (import.meta.main) await run(() => main());
