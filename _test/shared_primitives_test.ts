// Locks, queues and their kin that code of a loop shares with code outside of
// every loop, as request handlers are: nobody's turn is lost when it closes.

import { setImmediate } from "node:timers";
import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import {
  Barrier,
  BoundedSemaphore,
  CancelledError,
  Condition,
  createTask,
  Event,
  EventLoop,
  LifoQueue,
  Lock,
  PriorityQueue,
  Queue,
  run,
  Semaphore,
  sleep,
} from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";

/** The number of waiters outside of every loop. */
const OUTSIDE = 4;

interface Subject {
  /** Waits, then releases or passes on what it got. */
  wait(): Promise<unknown>;
  /** Wakes a number of waiters, at once or one by one. */
  wake(count: number): void;
  shown: unknown;
  /** The inspected text once all waiters but those of the closed loop were served. */
  atRest: string;
}

function acquiring(lock: Lock | Semaphore, atRest: string): Subject {
  lock.acquire();
  const wait = async () => {
    using _ = await lock.acquire();
  };
  return { wait, wake: () => lock.release(), shown: lock, atRest };
}

function getting(queue: Queue<number>): Subject {
  const wake = (count: number) => {
    for (let i = 0; i < count; i++) queue.putNowait(i);
  };
  const atRest = `<${queue.constructor.name} 1 item>`;
  return { wait: () => queue.get(), wake, shown: queue, atRest };
}

const subjects: Record<string, () => Subject> = {
  "Lock.acquire()": () => acquiring(new Lock(), "<Lock unlocked>"),
  "Semaphore.acquire()": () =>
    acquiring(new Semaphore(), "<Semaphore with 1 free>"),
  "BoundedSemaphore.acquire()": () =>
    acquiring(new BoundedSemaphore(), "<BoundedSemaphore with 1 free>"),
  "Event.wait()": () => {
    const event = new Event();
    return {
      wait: () => event.wait(),
      wake: () => event.set(),
      shown: event,
      atRest: "<Event set>",
    };
  },
  "Condition.wait()": () => {
    const condition = new Condition();
    return {
      wait: async () => {
        using _ = await condition.acquire();
        await condition.wait();
      },
      wake: (count) => {
        condition.acquire();
        condition.notify(count);
        condition.release();
      },
      shown: condition,
      atRest: "<Condition unlocked>",
    };
  },
  "Queue.get()": () => getting(new Queue()),
  "LifoQueue.get()": () => getting(new LifoQueue()),
  "PriorityQueue.get()": () => getting(new PriorityQueue()),
  "Queue.put()": () => {
    const queue = new Queue<number>(1);
    queue.putNowait(0);
    return {
      wait: async () => {
        await queue.put(1);
        queue.getNowait();
      },
      wake: () => queue.getNowait(),
      shown: queue,
      atRest: "<Queue 0 of 1 items>",
    };
  },
  "Queue.join()": () => {
    const queue = new Queue<number>();
    queue.putNowait(0);
    queue.getNowait();
    return {
      wait: () => queue.join(),
      wake: () => queue.taskDone(),
      shown: queue,
      atRest: "<Queue 0 items>",
    };
  },
};

/** Lets code of a loop wait, in no task that would be cancelled. */
async function waitInside(loop: EventLoop, subject: Subject): Promise<void> {
  await new Promise<void>((resolve) => {
    loop.callSoon(() => {
      subject.wait();
      resolve();
    });
  });
}

/** Lets everybody come to a wait: turns of Deno, as two loops take part. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3 * OUTSIDE; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Code outside of loops, by itself or as tasks of the implicit loop. */
const WAYS: Record<string, (subject: Subject) => Promise<unknown>> = {
  "code": (subject) => subject.wait(),
  "tasks": (subject) => createTask(() => subject.wait()),
};

const runs = Object.entries(subjects).flatMap(([name, make]) =>
  Object.entries(WAYS).map(([way, start]) => ({ name, make, way, start }))
);

for (const { name, make, way, start } of runs) {
  for (const first of ["inside", "outside"]) {
    Deno.test(`${name} by ${way} gives the turns that a closed loop has lost to those outside of it, who came ${first === "inside" ? "later" : "first"}`, async () => {
      const subject = make();
      const loop = new EventLoop();
      if (first === "inside") await waitInside(loop, subject);
      const outside = Array.from({ length: OUTSIDE }, () => start(subject));
      if (first === "outside") await waitInside(loop, subject);
      await settle();
      subject.wake(OUTSIDE + 1);
      loop.close();
      await Promise.all(outside);
      assertEquals(inspect(subject.shown), subject.atRest);
    });
  }

  Deno.test(`${name} by ${way} passes over those whose loop was closed before their turn`, async () => {
    const subject = make();
    const loop = new EventLoop();
    await waitInside(loop, subject);
    const outside = Array.from({ length: OUTSIDE }, () => start(subject));
    await settle();
    loop.close();
    subject.wake(OUTSIDE + 1);
    await Promise.all(outside);
    assertEquals(inspect(subject.shown), subject.atRest);
  });

  Deno.test(`${name} by ${way} outside of a loop outlives the run() that it was shared with`, async () => {
    const subject = make();
    const outside = Array.from({ length: OUTSIDE }, () => start(subject));
    await settle();
    await run(async () => {
      createTask(() => subject.wait());
      await sleep(0);
      subject.wake(OUTSIDE);
    });
    await Promise.all(outside);
    const shown = inspect(subject.shown);
    assert(!shown.includes("waiting"), shown);
  });
}

for (const [name, make] of Object.entries(subjects)) {
  Deno.test(`${name} hands on the turn of a task outside of a loop that is cancelled when it had been woken`, async () => {
    const subject = make();
    const loop = new EventLoop();
    await waitInside(loop, subject);
    const outside = Array.from(
      { length: OUTSIDE },
      () => createTask(() => subject.wait()),
    );
    await settle();
    subject.wake(OUTSIDE + 1);
    loop.close();
    outside[0].cancel();
    await assertRejects(() => outside[0], CancelledError);
    await Promise.all(outside.slice(1));
    assertFalse(
      /waiting|<(Lock|Condition) locked/.test(inspect(subject.shown)),
    );
  });
}

Deno.test("Barrier.wait() of a closed loop leaves the round, woken or not", async () => {
  for (const isWoken of [true, false]) {
    const barrier = new Barrier(3);
    const loop = new EventLoop();
    const subject = { wait: () => barrier.wait() } as Subject;
    await waitInside(loop, subject);
    const round = [barrier.wait()];
    if (isWoken) round.push(barrier.wait());
    loop.close();
    if (!isWoken) round.push(barrier.wait(), barrier.wait());
    assertEquals((await Promise.all(round)).length, isWoken ? 2 : 3);
    await Promise.all([barrier.wait(), barrier.wait(), barrier.wait()]);
    assertEquals(barrier.nWaiting, 0);
  }
});
