/** A consumer whose producer gives up without a word to the queue. */
import { Queue, run, sleep, TaskGroup } from "@asyncio/asyncio";

const orders = new Queue<string>();

async function produce(): Promise<void> {
  for (const order of ["spam", "eggs"]) {
    await sleep(0.001);
    await orders.put(order);
  }
}

async function consume(): Promise<string[]> {
  const served: string[] = [];
  for (;;) {
    served.push(await orders.get()); // stuck
    orders.taskDone();
  }
}

run(() =>
  TaskGroup.run((group) => {
    group.createTask(produce, { name: "producer" });
    group.createTask(consume, { name: "consumer" });
  })
);
