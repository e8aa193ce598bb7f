/**
 * Queues: items passed from producers to consumers.
 *
 * @module
 */

import { createTask, gather, PriorityQueue, Queue, run } from "../../mod.ts";
import { BarePriorityQueue, BareQueue, fairTurn } from "../bare.ts";
import { python, type Round, workload } from "../harness.ts";
import { npm } from "../npm.ts";

const BARE =
  "a queue of promises, a fair turn each time it is full; no cancellation";
const UNFAIR = "bare without turns";

// deno-lint-ignore no-explicit-any
type Library = any;

interface AnyQueue {
  put(item: number): Promise<void>;
  get(): Promise<number>;
}

async function produce(queue: AnyQueue, n: number): Promise<void> {
  for (let i = 0; i < n; i++) await queue.put(i);
}

async function consume(queue: AnyQueue, n: number): Promise<number> {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += await queue.get();
  return sum;
}

/** Some producers and as many consumers of a queue of this module. */
function ours(maxsize: number, pairs: number): Round {
  return (n) =>
    run(async () => {
      const queue = new Queue<number>(maxsize);
      const each = n / pairs;
      const tasks = [];
      for (let i = 0; i < pairs; i++) {
        createTask(() => produce(queue, each));
        tasks.push(createTask(() => consume(queue, each)));
      }
      check(await gather(tasks), n, pairs);
    });
}

/**
 * The same on promises. In asyncio, a producer that has filled its queue waits
 * while the loop polls timers and sockets; here it must await a turn for that.
 */
function bare(maxsize: number, pairs: number, fair = true): Round {
  return async (n) => {
    const queue = new BareQueue<number>(maxsize);
    const each = n / pairs;
    const produced = fair ? produceFairly(maxsize) : produce;
    const sums = [];
    for (let i = 0; i < pairs; i++) {
      void produced(queue, each);
      sums.push(consume(queue, each));
    }
    check(await Promise.all(sums), n, pairs);
  };
}

function produceFairly(maxsize: number): typeof produce {
  return async (queue, n) => {
    for (let i = 0; i < n; i++) {
      await queue.put(i);
      if ((i + 1) % maxsize === 0) await fairTurn();
    }
  };
}

function effect(maxsize: number, pairs: number): Round {
  return async (n) => {
    const { Effect, Fiber, Queue }: Library = await npm("effect");
    await Effect.runPromise(Effect.gen(function* (): Library {
      const queue = yield* maxsize > 0
        ? Queue.bounded(maxsize)
        : Queue.unbounded();
      const consumers = [];
      for (let pair = 0; pair < pairs; pair++) {
        yield* Effect.forkChild(Effect.gen(function* (): Library {
          for (let i = 0; i < n / pairs; i++) yield* Queue.offer(queue, i);
        }));
        const consumer = Effect.gen(function* (): Library {
          for (let i = 0; i < n / pairs; i++) yield* Queue.take(queue);
        });
        consumers.push(yield* Effect.forkChild(consumer));
      }
      for (const consumer of consumers) yield* Fiber.join(consumer);
    }));
  };
}

const unbounded = workload({
  name: "queue, unbounded, one producer and one consumer",
  size: 200_000,
  sides: {
    ours: ours(0, 1),
    bare: bare(Infinity, 1),
    python: python("queues.py", "unbounded"),
    effect: effect(0, 1),
  },
  bareIs: BARE,
  goal: { bare: 1.5, python: 0.2 },
  linear: 1.3,
});

const single = workload({
  name: "queue, maxsize 1, one producer and one consumer",
  size: 100_000,
  sides: {
    ours: ours(1, 1),
    bare: bare(1, 1),
    [UNFAIR]: bare(1, 1, false),
    python: python("queues.py", "single"),
    effect: effect(1, 1),
  },
  bareIs: BARE,
  goal: { bare: 1.5, python: 0.2 },
  linear: 1.3,
});

const many = workload({
  name: "queue, maxsize 100, ten producers and ten consumers",
  chart: "Queue",
  size: 200_000,
  sides: {
    ours: ours(100, 10),
    bare: bare(100, 10),
    [UNFAIR]: bare(100, 10, false),
    python: python("queues.py", "many"),
    effect: effect(100, 10),
  },
  bareIs: BARE,
  goal: { bare: 1.5, python: 0.2 },
  linear: 1.3,
});

const priorities = workload({
  name: "priority queue of numbers, 100,000 in and out",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const queue = new PriorityQueue<number>();
        for (let i = 0; i < n; i++) await queue.put(scattered(i));
        let last = -1;
        for (let i = 0; i < n; i++) last = inOrder(last, await queue.get());
      }),
    bare: async (n) => {
      const queue = new BarePriorityQueue<number>((a, b) => a - b);
      for (let i = 0; i < n; i++) await queue.put(scattered(i));
      let last = -1;
      for (let i = 0; i < n; i++) last = inOrder(last, await queue.get());
    },
    python: python("queues.py", "priorities"),
  },
  bareIs: "a textbook heap; no cancellation",
  goal: { bare: 1, python: 0.3 },
});

const pairs = workload({
  name: "priority queue of pairs, 100,000 in and out",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const queue = new PriorityQueue<[number, number]>();
        for (let i = 0; i < n; i++) await queue.put([scattered(i), i]);
        let last = -1;
        for (let i = 0; i < n; i++) {
          last = inOrder(last, (await queue.get())[0]);
        }
      }),
    bare: async (n) => {
      const queue = new BarePriorityQueue<[number, number]>((a, b) =>
        a[0] - b[0] || a[1] - b[1]
      );
      for (let i = 0; i < n; i++) await queue.put([scattered(i), i]);
      let last = -1;
      for (let i = 0; i < n; i++) {
        last = inOrder(last, (await queue.get())[0]);
      }
    },
    python: python("queues.py", "pairs"),
  },
  bareIs: "a textbook heap with a comparison function; no cancellation",
  goal: { bare: 1, python: 0.3 },
});

export default [unbounded, single, many, priorities, pairs];

/** Numbers in random order, the same for every side. */
function scattered(i: number): number {
  return Math.imul(i, 0x9E3779B1) >>> 8;
}

function inOrder(last: number, next: number): number {
  if (next < last) throw new Error(`${next} came after ${last}`);
  return next;
}

function check(sums: readonly number[], n: number, pairs: number): void {
  const sum = sums.reduce((a, b) => a + b);
  const each = n / pairs;
  const expected = pairs * each * (each - 1) / 2;
  if (sum !== expected) throw new Error(`Expected ${expected}, got ${sum}`);
}
