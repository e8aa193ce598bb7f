/**
 * Locks and other primitives: tasks that wait for each other.
 *
 * @module
 */

import {
  Barrier,
  Condition,
  Event,
  gather,
  Lock,
  run,
  Semaphore,
  sleep,
} from "../../mod.ts";
import {
  BareBarrier,
  BareCondition,
  BareEvent,
  BareEventEach,
  BareGuard,
  BareLock,
  BareSemaphore,
  fairTurn,
} from "../bare.ts";
import { python, type Round, workload } from "../harness.ts";
import { npm } from "../npm.ts";

// deno-lint-ignore no-explicit-any
type Library = any;

const contended = workload({
  name: "lock, 100 tasks × 1,000, held across a turn",
  chart: "Lock",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const lock = new Lock();
        await gather(times(100, () => async () => {
          for (let i = 0; i < n / 100; i++) {
            using _ = await lock.acquire();
            await sleep(0);
          }
        }));
      }),
    bare: async (n) => {
      const lock = new BareLock();
      await Promise.all(times(100, async () => {
        for (let i = 0; i < n / 100; i++) {
          await lock.acquire();
          using _ = new BareGuard(lock);
          await fairTurn();
        }
      }));
    },
    python: python("sync.py", "contended"),
    "async-mutex": async (n) => {
      const { Mutex }: Library = await npm("async-mutex");
      const mutex = new Mutex();
      await Promise.all(times(100, async () => {
        for (let i = 0; i < n / 100; i++) {
          await mutex.runExclusive(() => fairTurn());
        }
      }));
    },
    effect: async (n) => {
      const { Effect, Semaphore }: Library = await npm("effect");
      const lock = Semaphore.makeUnsafe(1);
      const body = Effect.gen(function* (): Library {
        for (let i = 0; i < n / 100; i++) {
          yield* lock.withPermit(Effect.yieldNow);
        }
      });
      await Effect.runPromise(
        Effect.all(times(100, () => body), { concurrency: "unbounded" }),
      );
    },
  },
  bareIs:
    "a lock of promises, held for a fair turn in a `using` block; no cancellation",
  goal: { bare: 2.5, python: 0.3 },
});

const quick = workload({
  name: "lock, 100 tasks × 1,000, released at once",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const lock = new Lock();
        await gather(times(100, () => async () => {
          for (let i = 0; i < n / 100; i++) {
            using _ = await lock.acquire();
          }
        }));
      }),
    bare: async (n) => {
      const lock = new BareLock();
      await Promise.all(times(100, async () => {
        for (let i = 0; i < n / 100; i++) {
          await lock.acquire();
          using _ = new BareGuard(lock);
        }
      }));
    },
    python: python("sync.py", "quick"),
    "async-mutex": async (n) => {
      const { Mutex }: Library = await npm("async-mutex");
      const mutex = new Mutex();
      await Promise.all(times(100, async () => {
        for (let i = 0; i < n / 100; i++) (await mutex.acquire())();
      }));
    },
  },
  bareIs:
    "a lock of promises in a `using` block; no cancellation, no fair turn",
  goal: { bare: 2.5, python: 0.3 },
});

const uncontended = workload({
  name: "lock, uncontended, acquire() and release()",
  size: 500_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const lock = new Lock();
        for (let i = 0; i < n; i++) {
          await lock.acquire();
          lock.release();
        }
      }),
    bare: async (n) => {
      const lock = new BareLock();
      for (let i = 0; i < n; i++) {
        await lock.acquire();
        lock.release();
      }
    },
    python: python("sync.py", "uncontended"),
    "async-mutex": async (n) => {
      const { Mutex }: Library = await npm("async-mutex");
      const mutex = new Mutex();
      for (let i = 0; i < n; i++) (await mutex.acquire())();
    },
  },
  bareIs: "a lock of promises; no cancellation",
  goal: { bare: 1.2, python: 0.15 },
});

const inBlock = workload({
  name: "lock, uncontended, in a `using` block",
  size: 500_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const lock = new Lock();
        for (let i = 0; i < n; i++) {
          using _ = await lock.acquire();
        }
      }),
    bare: async (n) => {
      const lock = new BareLock();
      for (let i = 0; i < n; i++) {
        await lock.acquire();
        using _ = new BareGuard(lock);
      }
    },
    python: python("sync.py", "in_block"),
    effect: async (n) => {
      const { Effect, Semaphore }: Library = await npm("effect");
      const lock = Semaphore.makeUnsafe(1);
      await Effect.runPromise(Effect.gen(function* (): Library {
        for (let i = 0; i < n; i++) yield* lock.withPermit(Effect.void);
      }));
    },
  },
  bareIs: "the same, with a guard in a `using` block",
  goal: { bare: 1.2, python: 0.15 },
});

const semaphore = workload({
  name: "semaphore, 10,000 tasks through 100, ten times",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let round = 0; round < 10; round++) {
          const semaphore = new Semaphore(100);
          await gather(times(n / 10, () => async () => {
            using _ = await semaphore.acquire();
            await sleep(0);
          }));
        }
      }),
    bare: async (n) => {
      for (let round = 0; round < 10; round++) {
        const semaphore = new BareSemaphore(100);
        await Promise.all(times(n / 10, async () => {
          await semaphore.acquire();
          using _ = new BareGuard(semaphore);
          await fairTurn();
        }));
      }
    },
    python: python("sync.py", "semaphore"),
    "async-mutex": async (n) => {
      const { Semaphore }: Library = await npm("async-mutex");
      for (let round = 0; round < 10; round++) {
        const semaphore = new Semaphore(100);
        await Promise.all(
          times(n / 10, () => semaphore.runExclusive(() => fairTurn())),
        );
      }
    },
    "p-limit": async (n) => {
      const { default: pLimit }: Library = await npm("p-limit");
      for (let round = 0; round < 10; round++) {
        const limit = pLimit(100);
        await Promise.all(times(n / 10, () => limit(() => fairTurn())));
      }
    },
    "p-queue": async (n) => {
      const { default: PQueue }: Library = await npm("p-queue");
      for (let round = 0; round < 10; round++) {
        const queue = new PQueue({ concurrency: 100 });
        await Promise.all(times(n / 10, () => queue.add(() => fairTurn())));
      }
    },
    fastq: async (n) => {
      const { default: fastq }: Library = await npm("fastq");
      for (let round = 0; round < 10; round++) {
        const queue = fastq.promise(() => fairTurn(), 100);
        await Promise.all(times(n / 10, (i) => queue.push(i)));
      }
    },
    effect: async (n) => {
      const { Effect }: Library = await npm("effect");
      const items = times(n / 10, (i) => i);
      for (let round = 0; round < 10; round++) {
        await Effect.runPromise(
          Effect.forEach(items, () => Effect.yieldNow, { concurrency: 100 }),
        );
      }
    },
  },
  bareIs:
    "a semaphore of promises, held for a fair turn in a `using` block; no cancellation",
  goal: { bare: 2, python: 0.3 },
  linear: 1.3,
});

const event = workload({
  name: "event, 10,000 waiters × 20 rounds",
  size: 200_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const events = times(20, () => new Event());
        const waiting = gather(times(n / 20, () => async () => {
          for (const event of events) await event.wait();
        }));
        for (const event of events) {
          await sleep(0);
          event.set();
        }
        await waiting;
      }),
    bare: bareEvents(BareEvent),
    "a promise each": bareEvents(BareEventEach),
    python: python("sync.py", "event"),
    effect: async (n) => {
      const { Effect, Latch }: Library = await npm("effect");
      const latches = times(20, () => Latch.makeUnsafe());
      const body = Effect.gen(function* (): Library {
        for (const latch of latches) yield* latch.await;
      });
      const setter = Effect.gen(function* (): Library {
        for (const latch of latches) {
          yield* Effect.yieldNow;
          yield* latch.open;
        }
      });
      await Effect.runPromise(
        Effect.all([...times(n / 20, () => body), setter], {
          concurrency: "unbounded",
        }),
      );
    },
  },
  bareIs: "one promise for all waiters; no cancellation",
  goal: { bare: 2.5, python: 0.3 },
});

const condition = workload({
  name: "condition, ping-pong of two tasks",
  size: 50_000,
  sides: {
    ours: (n) =>
      run(async () => {
        const condition = new Condition();
        let turn = 0;
        await gather(times(2, (me) => async () => {
          for (let i = 0; i < n / 2; i++) {
            using _ = await condition.acquire();
            while (turn !== me) await condition.wait();
            turn = 1 - me;
            condition.notify();
          }
        }));
      }),
    bare: barePingPong(() => fairTurn()),
    "bare without turns": barePingPong(() => {}),
    python: python("sync.py", "condition"),
  },
  bareIs: "a condition of promises, a fair turn a hand-over; no cancellation",
  goal: { bare: 2.5, python: 0.3 },
});

const barrier = workload({
  name: "barrier, 50 tasks × 200 rounds, ten times",
  size: 100_000,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let round = 0; round < 10; round++) {
          const barrier = new Barrier(50);
          await gather(times(50, () => async () => {
            for (let i = 0; i < n / 500; i++) await barrier.wait();
          }));
        }
      }),
    bare: async (n) => {
      for (let round = 0; round < 10; round++) {
        const barrier = new BareBarrier(50);
        await Promise.all(times(50, async () => {
          for (let i = 0; i < n / 500; i++) await barrier.wait();
        }));
      }
    },
    python: python("sync.py", "barrier"),
  },
  bareIs: "one promise and one fair turn a round; no cancellation",
  goal: { bare: 2.5, python: 0.3 },
});

export default [
  contended,
  quick,
  uncontended,
  inBlock,
  semaphore,
  event,
  condition,
  barrier,
];

function bareEvents(Event: typeof BareEvent | typeof BareEventEach): Round {
  return async (n) => {
    const events = times(20, () => new Event());
    const waiting = Promise.all(times(n / 20, async () => {
      for (const event of events) await event.wait();
    }));
    for (const event of events) {
      await fairTurn();
      event.set();
    }
    await waiting;
  };
}

function barePingPong(handOver: () => unknown): Round {
  return async (n) => {
    const condition = new BareCondition();
    let turn = 0;
    await Promise.all(times(2, async (me) => {
      for (let i = 0; i < n / 2; i++) {
        await condition.lock.acquire();
        while (turn !== me) await condition.wait();
        turn = 1 - me;
        condition.notify();
        condition.lock.release();
        await handOver();
      }
    }));
  };
}

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}
