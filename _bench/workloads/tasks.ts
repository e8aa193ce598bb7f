/**
 * Tasks: creating them, and waiting for them one by one and all together.
 *
 * @module
 */

import {
  asCompleted,
  createTask,
  gather,
  run,
  sleep,
  TaskGroup,
} from "../../mod.ts";
import { fairTurn, sharedTurn } from "../bare.ts";
import { python, workload } from "../harness.ts";
import { npm } from "../npm.ts";

const TURN = "async functions, one setImmediate a batch; no cancellation";

const body = async (i: number) => {
  await sleep(0);
  return i;
};

const bareBody = async (i: number) => {
  await fairTurn();
  return i;
};

/** The functions of a library that are used. */
// deno-lint-ignore no-explicit-any
type Library = any;

const tasks = workload({
  name: "tasks with one sleep(0) each, all awaited",
  chart: "Task",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const tasks = [];
        for (let i = 0; i < n; i++) tasks.push(createTask(() => body(i)));
        for (const task of tasks) await task;
      }),
    bare: async (n) => {
      const tasks = [];
      for (let i = 0; i < n; i++) tasks.push(bareBody(i));
      for (const task of tasks) await task;
    },
    python: python("tasks.py", "tasks"),
    "one promise for all": async (n) => {
      const body = async (i: number) => {
        await sharedTurn();
        return i;
      };
      const tasks = [];
      for (let i = 0; i < n; i++) tasks.push(body(i));
      for (const task of tasks) await task;
    },
    effect: async (n) => {
      const { Effect, Fiber }: Library = await npm("effect");
      const body = (i: number) => Effect.as(Effect.yieldNow, i);
      await Effect.runPromise(Effect.gen(function* (): Library {
        const fibers = [];
        for (let i = 0; i < n; i++) {
          fibers.push(yield* Effect.forkChild(body(i)));
        }
        for (const fiber of fibers) yield* Fiber.join(fiber);
      }));
    },
    effection: async (n) => {
      const { run, spawn, until }: Library = await npm("effection");
      function* body(i: number): Library {
        yield* until(fairTurn());
        return i;
      }
      await run(function* (): Library {
        const tasks = [];
        for (let i = 0; i < n; i++) tasks.push(yield* spawn(() => body(i)));
        for (const task of tasks) yield* task;
      });
    },
  },
  bareIs: TURN,
  goal: { bare: 2.5, python: 0.45 },
  linear: 1.3,
});

const sequence = workload({
  name: "tasks one after another, one sleep(0) each",
  size: 50_000,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let i = 0; i < n; i++) await createTask(() => body(i));
      }),
    bare: async (n) => {
      for (let i = 0; i < n; i++) await bareBody(i);
    },
    python: python("tasks.py", "sequence"),
    effect: async (n) => {
      const { Effect, Fiber }: Library = await npm("effect");
      await Effect.runPromise(Effect.gen(function* (): Library {
        for (let i = 0; i < n; i++) {
          const body = Effect.as(Effect.yieldNow, i);
          yield* Fiber.join(yield* Effect.forkChild(body));
        }
      }));
    },
    effection: async (n) => {
      const { run, spawn, until }: Library = await npm("effection");
      await run(function* (): Library {
        for (let i = 0; i < n; i++) {
          yield* yield* spawn(function* (): Library {
            yield* until(fairTurn());
            return i;
          });
        }
      });
    },
  },
  bareIs: "async functions, one setImmediate each; no cancellation",
  goal: { bare: 2, python: 0.4 },
  linear: 1.3,
});

const gathering = workload({
  name: "gather in ten rounds, 10,000 each",
  chart: "gather()",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let round = 0; round < 10; round++) {
          const bodies = [];
          for (let i = 0; i < n / 10; i++) bodies.push(() => body(i));
          await gather(bodies);
        }
      }),
    bare: async (n) => {
      for (let round = 0; round < 10; round++) {
        const bodies = [];
        for (let i = 0; i < n / 10; i++) bodies.push(() => bareBody(i));
        await Promise.all(bodies.map((body) => body()));
      }
    },
    python: python("tasks.py", "gathering"),
    effect: async (n) => {
      const { Effect }: Library = await npm("effect");
      for (let round = 0; round < 10; round++) {
        const bodies = [];
        for (let i = 0; i < n / 10; i++) {
          bodies.push(Effect.as(Effect.yieldNow, i));
        }
        await Effect.runPromise(
          Effect.all(bodies, { concurrency: "unbounded" }),
        );
      }
    },
  },
  bareIs: "Promise.all with one setImmediate a batch; no cancellation",
  goal: { bare: 4, python: 0.35 },
  linear: 1.3,
});

const groups = workload({
  name: "task groups of 100, 1,000 of them",
  chart: "TaskGroup",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let round = 0; round < n / 100; round++) {
          await TaskGroup.run((group) => {
            for (let i = 0; i < 100; i++) group.createTask(() => body(i));
          });
        }
      }),
    bare: async (n) => {
      for (let round = 0; round < n / 100; round++) {
        const tasks = [];
        for (let i = 0; i < 100; i++) tasks.push(bareBody(i));
        await Promise.all(tasks);
      }
    },
    python: python("tasks.py", "groups"),
    effect: async (n) => {
      const { Effect }: Library = await npm("effect");
      await Effect.runPromise(Effect.gen(function* (): Library {
        for (let round = 0; round < n / 100; round++) {
          const bodies = [];
          for (let i = 0; i < 100; i++) {
            bodies.push(Effect.as(Effect.yieldNow, i));
          }
          yield* Effect.all(bodies, { concurrency: "unbounded" });
        }
      }));
    },
  },
  bareIs: "Promise.all with one setImmediate a group; cancels nobody",
  goal: { bare: 6, python: 0.4 },
  linear: 1.3,
});

const completions = workload({
  name: "asCompleted, ten times 10,000",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        let sum = 0;
        for (let round = 0; round < 10; round++) {
          const bodies = [];
          for (let i = 0; i < n / 10; i++) bodies.push(() => body(i));
          for await (const task of asCompleted(bodies)) sum += task.result();
        }
        check(sum, n);
      }),
    bare: async (n) => {
      let sum = 0;
      for (let round = 0; round < 10; round++) {
        const bodies = [];
        for (let i = 0; i < n / 10; i++) bodies.push(() => bareBody(i));
        const promises = bodies.map((body) => body());
        for await (const value of inOrderOfCompletion(promises)) sum += value;
      }
      check(sum, n);
    },
    python: python("tasks.py", "completions"),
  },
  bareIs: "an async generator over promises, one setImmediate a batch",
  goal: { bare: 3, python: 0.5 },
  linear: 1.3,
});

export default [tasks, sequence, gathering, groups, completions];

/** The values of promises in the order of completion, up to the first rejection. */
async function* inOrderOfCompletion<T>(
  promises: readonly Promise<T>[],
): AsyncGenerator<T> {
  const finished: T[] = [];
  let taken = 0;
  let wake = () => {};
  let fail = (_error: unknown) => {};
  for (const promise of promises) {
    promise.then((value) => {
      finished.push(value);
      wake();
    }, (error) => fail(error));
  }
  while (taken < promises.length) {
    if (taken === finished.length) {
      await new Promise<void>((resolve, reject) => {
        wake = resolve;
        fail = reject;
      });
    }
    yield finished[taken++];
  }
}

function check(sum: number, n: number): void {
  const expected = 10 * (n / 10) * (n / 10 - 1) / 2;
  if (sum !== expected) throw new Error(`Expected ${expected}, got ${sum}`);
}
