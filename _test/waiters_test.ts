// One suite for all waiting calls of locks and queues: whichever waiter is
// cancelled, in whichever way and at whichever moment, nothing is lost, no waiter
// is stuck, and the others resume in FIFO order.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Barrier,
  BoundedSemaphore,
  type Cancellable,
  CancelledError,
  Condition,
  createTask,
  Event,
  gather,
  getRunningLoop,
  LifoQueue,
  Lock,
  PriorityQueue,
  Queue,
  run,
  RuntimeError,
  Semaphore,
  sleep,
  type Task,
  timeout,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import { virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

/** Something to wait for, and how to wake one waiter. */
interface Subject {
  wait(options?: Cancellable): Promise<unknown>;
  /** Wakes the next waiter, or all of them if `broadcast`. */
  wake(): void;
  /** The state when no waiter is left. */
  atRest(): string;
  /** The object of `wait()`. */
  shown: unknown;
}

interface Call {
  name: string;
  make(): Subject;
  /** Whether `wake()` wakes all waiters. */
  broadcast?: boolean;
  /** Whether the order is unspecified. */
  unordered?: boolean;
}

const WAITERS = 4;

function acquiring(
  name: string,
  make: () => Lock | Condition | Semaphore,
): Call {
  return {
    name: `${name}.acquire()`,
    make: () => {
      const lock = make();
      void lock.acquire();
      return {
        wait: (options) => lock.acquire(options),
        wake: () => lock.release(),
        atRest: () => inspect(lock),
        shown: lock,
      };
    },
  };
}

function getting(Class: typeof Queue): Call {
  return {
    name: `${Class.name}.get()`,
    make: () => {
      const queue = new Class<number>();
      let put = 0;
      return {
        wait: (options) => queue.get(options),
        wake: () => queue.putNowait(put++),
        atRest: () => `${put} put, ${inspect(queue)}`,
        shown: queue,
      };
    },
  };
}

function putting(Class: typeof Queue): Call {
  return {
    name: `${Class.name}.put()`,
    make: () => {
      const queue = new Class<number>(1);
      queue.putNowait(0);
      let taken = 0;
      return {
        wait: (options) => queue.put(1, options),
        wake: () => void (taken++, queue.getNowait()),
        atRest: () => `${taken} taken, ${inspect(queue)}`,
        shown: queue,
      };
    },
  };
}

const joining: Call = {
  name: "Queue.join()",
  broadcast: true,
  make: () => {
    const queue = new Queue<number>();
    queue.putNowait(0);
    queue.getNowait();
    return {
      wait: (options) => queue.join(options),
      wake: () => {
        queue.taskDone();
        queue.putNowait(queue.qsize());
        queue.getNowait();
      },
      atRest: () => inspect(queue),
      shown: queue,
    };
  },
};

const setting: Call = {
  name: "Event.wait()",
  broadcast: true,
  make: () => {
    const event = new Event();
    return {
      wait: (options) => event.wait(options),
      wake: () => {
        event.set();
        event.clear();
      },
      atRest: () => inspect(event),
      shown: event,
    };
  },
};

function notifying(
  name: string,
  wait: (condition: Condition, options?: Cancellable) => Promise<unknown>,
  broadcast: boolean,
): Call {
  return {
    name,
    broadcast,
    make: () => {
      const condition = new Condition();
      return {
        wait: async (options) => {
          using _ = await condition.acquire();
          return await wait(condition, options);
        },
        wake: () => {
          void condition.acquire();
          broadcast ? condition.notifyAll() : condition.notify();
          condition.release();
        },
        atRest: () => inspect(condition),
        shown: condition,
      };
    },
  };
}

const meeting: Call = {
  name: "Barrier.wait()",
  broadcast: true,
  unordered: true, // as in CPython, a party that leaves makes the next one queue again
  make: () => {
    const barrier = new Barrier(WAITERS + 1);
    return {
      wait: (options) => barrier.wait(options),
      wake: () => {
        for (let n = barrier.nWaiting; n <= WAITERS; n++) void barrier.wait();
      },
      atRest: () => inspect(barrier),
      shown: barrier,
    };
  },
};

/** A condition whose waiters take one of what it counts. */
function counting(
  condition: Condition,
  options?: Cancellable,
): Promise<unknown> {
  let asked = 0;
  return condition.waitFor(() => asked++ > 0, options);
}

const calls: Call[] = [
  acquiring("Lock", () => new Lock()),
  acquiring("Condition", () => new Condition()),
  acquiring("Semaphore", () => new Semaphore()),
  acquiring("BoundedSemaphore", () => new BoundedSemaphore()),
  ...[Queue, LifoQueue, PriorityQueue].flatMap((Class) => [
    getting(Class),
    putting(Class),
  ]),
  joining,
  setting,
  notifying("Condition.wait()", (it, options) => it.wait(options), false),
  notifying("Condition.wait() of all", (it, options) => it.wait(options), true),
  notifying("Condition.waitFor()", counting, false),
  meeting,
];

/** A way to end one call: how the call is made, and what ends it. */
interface Way {
  name: string;
  start(subject: Subject, at: number): Promise<unknown>;
  strike(task: Task<unknown>): void;
  check(error: unknown): void;
}

function ways(): Way[] {
  const aborter = new AbortController();
  const reason = new RangeError("reason");
  return [
    {
      name: "its task is cancelled",
      start: (subject) => subject.wait(),
      strike: (task) => void task.cancel("stop"),
      check: (error) => {
        assert(error instanceof CancelledError);
        assertEquals(error.message, "stop");
      },
    },
    {
      name: "its signal aborts",
      start: (subject) => subject.wait({ signal: aborter.signal }),
      strike: () => aborter.abort(reason),
      check: (error) => assert(error === reason),
    },
    {
      name: "its time is up",
      start: (subject, at) => timeout(at, () => subject.wait()),
      strike: () => {}, // the deadline expires at the same time, after the wake
      check: (error) => assert(error instanceof TimeoutError),
    },
  ];
}

const STRIKE_AT = 10;

/** Four waiters; one is ended, all others are served. */
async function assertNothingLost(
  call: Call,
  way: Way,
  victim: number,
  woken: boolean,
): Promise<void> {
  const subject = call.make();
  const log: number[] = [];
  const failed = getRunningLoop().createFuture<unknown>();
  const strike = () => {
    if (woken) subject.wake();
    way.strike(tasks[victim]);
  };
  getRunningLoop().callAt(STRIKE_AT, strike);
  const tasks = Array.from(
    { length: WAITERS },
    (_, n) =>
      createTask(async () => {
        if (n !== victim) await subject.wait();
        else {
          try {
            await way.start(subject, STRIKE_AT);
          } catch (error) {
            return failed.setResult(error);
          }
        }
        log.push(n);
      }),
  );
  await sleep(1);
  // The victim has to be first in line to be woken.
  const before = woken && !call.broadcast ? victim : 0;
  await wakeUp(subject, before);
  way.check(await failed);
  await sleep(1);
  const wakes = call.broadcast ? 1 : Math.max(WAITERS - 1, before + +woken);
  await wakeUp(subject, wakes - before - +woken);
  await gather(tasks, { returnExceptions: true });
  const others = [0, 1, 2, 3].filter((n) => n !== victim);
  assertEquals(call.unordered ? log.toSorted() : log, others);
  assertEquals(subject.atRest(), await withoutVictim(call, wakes));
}

async function wakeUp(subject: Subject, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    subject.wake();
    await sleep(1);
  }
}

/** The final state if the victim never waits. */
async function withoutVictim(call: Call, wakes: number): Promise<string> {
  const subject = call.make();
  const tasks = [1, 2, 3].map(() => createTask(() => subject.wait()));
  await sleep(1);
  await wakeUp(subject, wakes);
  await gather(tasks);
  return subject.atRest();
}

for (const call of calls) {
  for (const { name } of ways()) {
    Deno.test(`${call.name} loses nothing when ${name}, whichever waiter it is`, async () => {
      for (const victim of [0, 1, 2, 3]) {
        for (const woken of [false, true]) {
          const way = ways().find((it) => it.name === name)!;
          await virtual(() => assertNothingLost(call, way, victim, woken));
        }
      }
    });
  }
}

for (const call of calls) {
  Deno.test(`${call.name} with a signal that was aborted before rejects and waits for nothing`, () =>
    virtual(async () => {
      const subject = call.make();
      const shown = inspect(subject.shown);
      const signal = AbortSignal.abort(new RangeError("before"));
      await assertRejects(() => subject.wait({ signal }), RangeError, "before");
      assertEquals(inspect(subject.shown), shown);
    }));

  Deno.test(`${call.name} leaves nothing behind when all waiters are ended at once`, () =>
    virtual(async () => {
      const subject = call.make();
      const shown = inspect(subject.shown);
      const tasks = Array.from(
        { length: WAITERS },
        () => createTask(() => subject.wait()),
      );
      await sleep(0);
      for (const task of tasks) task.cancel();
      await gather(tasks, { returnExceptions: true });
      assert(tasks.every((it) => it.cancelled()));
      assertEquals(inspect(subject.shown), shown);
    }));

  Deno.test(`${call.name} works where no runner runs`, async () => {
    const subject = call.make();
    const log: number[] = [];
    const waiting = [0, 1].map(async (n) => {
      await subject.wait();
      log.push(n);
    });
    await soon();
    assertEquals(log, []);
    subject.wake();
    await soon();
    if (!call.broadcast) subject.wake();
    await Promise.all(waiting);
    assertEquals(log.toSorted(), [0, 1]);
  });

  Deno.test(`${call.name} works on in a second runner when the first is closed`, async () => {
    const subject = call.make();
    for (let round = 0; round < 2; round++) {
      await run(async () => {
        const waiter = createTask(() => subject.wait());
        await sleep(0);
        assert(!waiter.done());
        subject.wake();
        await waiter;
      });
    }
  });

  Deno.test(`${call.name} rejects in a second loop that waits beside the first`, async () => {
    const subject = call.make();
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    const first = run(async () => {
      const waiter = createTask(() => subject.wait());
      await sleep(0);
      enter();
      await waiter;
    });
    await entered;
    await run(() =>
      assertRejects(() => subject.wait(), RuntimeError, "another event loop")
    );
    subject.wake();
    await first;
  });
}

/** Waits some turns of the implicit loop. */
async function soon(): Promise<void> {
  for (let n = 0; n < 3; n++) await sleep(0);
}

Deno.test("locks and queues serve two runners at once, each its own", async () => {
  const way = ways()[0];
  const programs = calls.flatMap((call) => [
    virtual(() => assertNothingLost(call, way, 1, false)),
    virtual(() => assertNothingLost(call, way, 2, true)),
  ]);
  await Promise.all(programs);
});

Deno.test("request handlers wait in line with the tasks of a runner", () =>
  run(async () => {
    for (const call of calls) {
      const subject = call.make();
      const log: string[] = [];
      const { promise: entered, resolve: enter } = Promise.withResolvers<
        void
      >();
      const server = Deno.serve({ port: 0, onListen() {} }, async () => {
        const waiting = subject.wait();
        enter();
        await waiting;
        log.push("handler");
        return new Response("served");
      });
      const answer = fetch(`http://localhost:${server.addr.port}/`);
      await entered;
      const waiter = createTask(async () => {
        await subject.wait();
        log.push("task");
      });
      await sleep(0);
      subject.wake();
      await sleep(0);
      if (!call.broadcast) subject.wake();
      await waiter;
      assertEquals(await (await answer).text(), "served");
      assertEquals(call.unordered ? log.toSorted() : log, ["handler", "task"]);
      await server.shutdown();
    }
  }));

Deno.test("code outside of loops may wait first and binds a primitive to none", async () => {
  const queue = new Queue<number>();
  const outside = queue.get();
  const program = run(async () => {
    const inside = createTask(() => queue.get());
    await sleep(0);
    queue.putNowait(1);
    queue.putNowait(2);
    return await inside;
  });
  assertEquals([await outside, await program], [1, 2]);
});

Deno.test("code outside of loops waits on when the runner of the others is closed", async () => {
  const queue = new Queue<number>();
  const { promise: bound, resolve: bind } = Promise.withResolvers<void>();
  const { promise: closing, resolve: close } = Promise.withResolvers<void>();
  const program = run(async () => {
    createTask(() => queue.get());
    await sleep(0);
    bind();
    await closing;
  });
  await bound;
  const outside = queue.get();
  close();
  await program;
  queue.putNowait(1);
  assertEquals(await outside, 1);
});

Deno.test("a task that outlived its loop is passed over", async () => {
  const queue = new Queue<number>();
  const lock = new Lock();
  await lock.acquire();
  await run(() => {
    createTask(async () => {
      try {
        await sleep(3600);
      } finally {
        createTask(() => queue.get(), { eagerStart: true });
        createTask(() => lock.acquire(), { eagerStart: true });
      }
    });
    return sleep(0);
  });
  assertEquals(inspect(queue), "<Queue 0 items, 1 waiting to get>");
  queue.putNowait(1);
  assertEquals(queue.getNowait(), 1);
  lock.release();
  assertEquals(inspect(lock), "<Lock unlocked>");
  using _ = await lock.acquire();
});

Deno.test("one signal may end many waits of many kinds", () =>
  virtual(async () => {
    const aborter = new AbortController();
    const { signal } = aborter;
    const subjects = calls.map((call) => call.make());
    const before = subjects.map(({ shown }) => inspect(shown));
    const tasks = subjects.flatMap((subject) =>
      [1, 2, 3].map(() =>
        createTask(async () => {
          await assertRejects(() => subject.wait({ signal }), RangeError);
        })
      )
    );
    await sleep(1);
    aborter.abort(new RangeError("all"));
    await gather(tasks);
    assertEquals(subjects.map(({ shown }) => inspect(shown)), before);
  }));

Deno.test("waitFor() and gather() over a wait that was just woken lose no turn", () =>
  virtual(async () => {
    for (const call of calls) {
      if (call.broadcast) continue;
      for (
        const around of [
          (wait: Promise<unknown>) => waitFor(wait, 100),
          (wait: Promise<unknown>) => gather([wait]),
          (wait: Promise<unknown>) => wait.then(() => {}),
          (wait: Promise<unknown>) => Promise.all([wait]),
        ]
      ) {
        const subject = call.make();
        const first = createTask(async () => await around(subject.wait()));
        const second = createTask(() => subject.wait());
        await sleep(0);
        subject.wake();
        first.cancel();
        await assertRejects(() => first, CancelledError);
        await second;
      }
    }
  }));
