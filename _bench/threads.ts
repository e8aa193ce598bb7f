/**
 * Worker threads: round trips, processor-bound work, and calls from a thread to
 * the loop.
 *
 * All sides keep their threads from round to round.
 *
 * @module
 */

import { type LoopHandle, Runner } from "../runner.ts";
import { gather, runCoroutineThreadsafe, toThread } from "../tasks.ts";
import { prepared, python, workload } from "./harness.ts";

const JOBS = 8;
/** The steps of a unit of work, which takes about a millisecond. */
const STEPS = 1_000_000;

const runner = new Runner();

const roundTrips = workload({
  name: "calls in a thread, one after another",
  size: 20_000,
  sides: {
    ours: (n) =>
      runner.run(async () => {
        let sum = 0;
        for (let i = 0; i < n; i++) sum = await toThread(add, sum, 1);
        check(sum, n);
      }),
    bare: prepared(() => {
      const call = bareThread();
      return async (n) => {
        let sum = 0;
        for (let i = 0; i < n; i++) sum = await call("add", sum, 1);
        check(sum, n);
      };
    }),
    python: python("threads.py", "round_trips"),
  },
  bareIs: "a worker with `postMessage` and a map of those who wait",
  goal: { bare: 1.3 },
});

const jobs = workload({
  name: "ms of work, as 8 jobs in threads",
  size: 1600,
  sides: {
    ours: (n) =>
      runner.run(async () => {
        const each = n / JOBS;
        await gather(
          Array.from({ length: JOBS }, () => toThread(work, each, STEPS)),
        );
      }),
    bare: prepared(() => {
      const { hardwareConcurrency } = navigator;
      const pool = Array.from({ length: hardwareConcurrency }, bareThread);
      return async (n) => {
        let left = JOBS;
        await Promise.all(pool.map(async (call) => {
          while (left-- > 0) await call("work", n / JOBS, STEPS);
        }));
      };
    }),
    "one after another": (n) =>
      runner.run(async () => {
        for (let i = 0; i < JOBS; i++) await toThread(work, n / JOBS, STEPS);
      }),
  },
  bareIs: "a worker for each processor and a counter of jobs",
  goal: { bare: 1.1, "one after another": 1 / 1.8 },
});

const asks = workload({
  name: "calls of a blocked thread to the loop",
  size: 20_000,
  sides: {
    ours: (n) =>
      runner.run(async () => {
        const loop = runner.getLoop();
        loop.expose({ add });
        check(await toThread(askOften, loop.handle(), n), n);
      }),
    python: python("threads.py", "asks"),
  },
});

export default [roundTrips, jobs, asks];

function add(a: number, b: number): number {
  return a + b;
}

/** Keeps a processor busy. */
function work(units: number, steps: number): number {
  let hash = 0;
  for (let i = units * steps; i > 0; i--) hash = (hash * 31 + i) | 0;
  return hash;
}

function askOften(loop: LoopHandle, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum = runCoroutineThreadsafe<number>("add", loop, sum, 1).result();
  }
  return sum;
}

type BareCall = (name: string, ...args: number[]) => Promise<number>;

/** A hand-written worker, and a function that calls it. */
function bareThread(): BareCall {
  const source = `const functions = { ${add}, ${work} };
    onmessage = ({ data: { id, name, args } }) =>
      postMessage({ id, value: functions[name](...args) });`
    .replace("function add", "add: function")
    .replace("function work", "work: function");
  const url = `data:text/javascript,${encodeURIComponent(source)}`;
  const worker = new Worker(url, { type: "module" });
  const waiting = new Map<number, (value: number) => void>();
  let calls = 0;
  worker.onmessage = ({ data: { id, value } }) => {
    const resolve = waiting.get(id)!;
    waiting.delete(id);
    resolve(value);
  };
  return (name, ...args) =>
    new Promise((resolve) => {
      const id = calls++;
      waiting.set(id, resolve);
      worker.postMessage({ id, name, args });
    });
}

function check(actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${actual} instead of ${expected}`);
}
