/**
 * Cancelling tasks.
 *
 * @module
 */

import { CancelledError, createTask, run, sleep } from "../../mod.ts";
import { fairTurn } from "../bare.ts";
import { python, workload } from "../harness.ts";
import { npm } from "../npm.ts";

// deno-lint-ignore no-explicit-any
type Library = any;

const asleep = workload({
  name: "tasks cancelled while asleep",
  chart: "Task.cancel()",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const tasks = [];
        for (let i = 0; i < n; i++) tasks.push(createTask(() => sleep(3600)));
        await sleep(0);
        for (const task of tasks) task.cancel();
        let cancelled = 0;
        for (const task of tasks) {
          try {
            await task;
          } catch (error) {
            if (error instanceof CancelledError) cancelled++;
          }
        }
        check(cancelled, n);
      }),
    bare: async (n) => {
      const tasks = [];
      const controllers = [];
      for (let i = 0; i < n; i++) {
        const controller = new AbortController();
        controllers.push(controller);
        tasks.push((async () => await abortable(3600, controller.signal))());
      }
      await fairTurn();
      for (const controller of controllers) controller.abort();
      let cancelled = 0;
      for (const task of await Promise.allSettled(tasks)) {
        if (task.status === "rejected") cancelled++;
      }
      check(cancelled, n);
    },
    python: python("cancel.py", "asleep"),
    effect: async (n) => {
      const { Effect, Fiber }: Library = await npm("effect");
      await Effect.runPromise(Effect.gen(function* (): Library {
        const fibers = [];
        for (let i = 0; i < n; i++) {
          fibers.push(yield* Effect.forkChild(Effect.sleep(3_600_000)));
        }
        yield* Effect.yieldNow;
        yield* Fiber.interruptAll(fibers);
      }));
    },
  },
  bareIs: "an AbortController and a timer each",
  goal: { bare: 1.5, python: 0.7 },
  linear: 1.3,
});

export default [asleep];

/** A sleep that ends with its signal and leaves nothing behind. */
function abortable(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, seconds * 1000);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
  });
}

function check(cancelled: number, n: number): void {
  if (cancelled !== n) throw new Error(`${cancelled} of ${n} were cancelled`);
}
