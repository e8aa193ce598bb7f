/**
 * The memory of a sleeping task.
 *
 * @module
 */

import { memoryUsage } from "node:process";
import { createTask, run, sleep } from "../../mod.ts";
import { fairTurn, heapSleep } from "../bare.ts";
import { python, type Round, workload } from "../harness.ts";

// deno-lint-ignore no-explicit-any
type Library = any;

type Metric = () => number;

const heap: Metric = () => {
  const { heapUsed, external } = memoryUsage();
  return heapUsed + external;
};
const resident: Metric = () => memoryUsage().rss;

function ours(metric: Metric): Round {
  return (n) =>
    run(async () => {
      const before = settled(metric);
      const tasks = [];
      for (let i = 0; i < n; i++) tasks.push(createTask(() => sleep(3600)));
      await sleep(0.05);
      const bytes = settled(metric) - before;
      for (const task of tasks) task.cancel();
      return bytes / n;
    });
}

function bare(
  metric: Metric,
  sleep: (seconds: number) => Promise<void>,
): Round {
  return async (n) => {
    await fairTurn();
    const before = settled(metric);
    const tasks = [];
    for (let i = 0; i < n; i++) {
      tasks.push((async () => await sleep(3600))());
    }
    await sleep(0.05);
    const bytes = settled(metric) - before;
    return tasks.length > 0 ? bytes / n : NaN;
  };
}

const flags = ["--v8-flags=--expose-gc"];

const inHeap = workload({
  name: "memory of a sleeping task (live heap)",
  size: 100_000,
  measure: "bytes",
  fresh: true,
  flags,
  sides: {
    ours: ours(heap),
    bare: bare(heap, hostSleep),
    "one timer heap": bare(heap, heapSleep),
  },
  bareIs: "an async function on a timer of the host; no cancellation",
  goal: { bare: 1.2 },
});

const inMemory = workload({
  name: "memory of a sleeping task (resident)",
  size: 100_000,
  measure: "bytes",
  fresh: true,
  flags,
  sides: {
    ours: ours(resident),
    bare: bare(resident, hostSleep),
    python: python("memory.py", "resident"),
  },
  bareIs: "an async function on a timer of the host; no cancellation",
  goal: { bare: 1.2, python: 1 },
});

const million = workload({
  name: "memory of 1,000,000 sleeping tasks (resident, at its peak)",
  size: 1_000_000,
  measure: "bytes",
  fresh: true,
  sides: {
    ours: (n) =>
      run(async () => {
        const tasks = [];
        for (let i = 0; i < n; i++) tasks.push(createTask(() => sleep(3600)));
        await sleep(0.05);
        return peak();
      }),
  },
  limit: { atMost: 2 * 2 ** 30, unit: "GiB" },
});

export default [inHeap, inMemory, million];

/** A figure after garbage collection, and after its pages were returned to the system. */
function settled(metric: Metric): number {
  const gc = (globalThis as Library).gc as (options: Library) => void;
  for (let i = 0; i < 3; i++) {
    gc({ type: "major", execution: "sync", flavor: "last-resort" });
  }
  return metric();
}

/** The peak memory of the process in bytes. */
function peak(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(/VmHWM:\s+(\d+)/.exec(status)![1]) * 1024;
}

function hostSleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
