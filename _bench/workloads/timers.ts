/**
 * Timers: sleeping, and deadlines that are not needed.
 *
 * @module
 */

import { createTask, run, sleep, timeout, waitFor } from "../../mod.ts";
import { fairTurn, heapSleep } from "../bare.ts";
import { python, type Round, workload } from "../harness.ts";
import { npm } from "../npm.ts";

// deno-lint-ignore no-explicit-any
type Library = any;

/** From 10 to 110 ms, so that starting all of them and waking them overlap. */
const delayOf = (i: number) => 0.01 + (i % 101) / 1000;

const sleeps = workload({
  name: "concurrent sleeps (processor seconds)",
  size: 100_000,
  measure: "cpu",
  sides: {
    ours: (n) =>
      run(async () => {
        const tasks = [];
        for (let i = 0; i < n; i++) {
          tasks.push(createTask(() => sleep(delayOf(i))));
        }
        for (const task of tasks) await task;
      }),
    bare: async (n) => {
      const tasks = [];
      for (let i = 0; i < n; i++) {
        tasks.push((async () => await heapSleep(delayOf(i)))());
      }
      for (const task of tasks) await task;
    },
    python: python("timers.py", "sleeps"),
    "setTimeout each": async (n) => {
      const tasks = [];
      for (let i = 0; i < n; i++) {
        tasks.push((async () => await hostSleep(delayOf(i)))());
      }
      for (const task of tasks) await task;
    },
    effect: async (n) => {
      const { Effect }: Library = await npm("effect");
      const bodies = [];
      for (let i = 0; i < n; i++) {
        bodies.push(Effect.sleep(delayOf(i) * 1000));
      }
      await Effect.runPromise(
        Effect.all(bodies, { concurrency: "unbounded" }),
      );
    },
  },
  bareIs: "async functions on one heap of timers; no cancellation",
  goal: { bare: 1.2, python: 0.45 },
  linear: 1.3,
});

/** The usual way without a library, a race against a timer. */
const bareDeadline: Round = async (n) => {
  for (let i = 0; i < n; i++) {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("too late")), 60_000);
    try {
      await Promise.race([fairTurn(), promise]);
    } finally {
      clearTimeout(timer);
    }
  }
};

const effectDeadline: Round = async (n) => {
  const { Effect }: Library = await npm("effect");
  await Effect.runPromise(Effect.gen(function* (): Library {
    for (let i = 0; i < n; i++) {
      yield* Effect.timeout(Effect.yieldNow, 60_000);
    }
  }));
};

const waits = workload({
  name: "waitFor that does not fire",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let i = 0; i < n; i++) await waitFor(() => sleep(0), 60);
      }),
    bare: bareDeadline,
    python: python("timers.py", "waits"),
    effect: effectDeadline,
  },
  bareIs:
    "Promise.race of a fair turn and a timer; ends the wait, not the work",
  goal: { bare: 1.2, python: 0.5 },
  linear: 1.3,
});

const timeouts = workload({
  name: "timeout that does not fire",
  chart: "timeout()",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let i = 0; i < n; i++) await timeout(60, () => sleep(0));
      }),
    bare: bareDeadline,
    python: python("timers.py", "timeouts"),
  },
  bareIs:
    "Promise.race of a fair turn and a timer; ends the wait, not the work",
  goal: { bare: 1.2, python: 0.5 },
  linear: 1.3,
});

export default [sleeps, waits, timeouts];

function hostSleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
