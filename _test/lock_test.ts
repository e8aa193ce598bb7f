import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  BoundedSemaphore,
  CancelledError,
  Condition,
  createTask,
  gather,
  getRunningLoop,
  type Guard,
  Lock,
  RuntimeError,
  Semaphore,
  sleep,
} from "@asyncio/asyncio";
import { virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

const lockLikes = [
  () => new Lock(),
  () => new Condition(),
  () => new Semaphore(),
  () => new BoundedSemaphore(),
];

Deno.test("Lock.acquire() serves one waiter per release, in FIFO order [test_locks.LockTests.test_acquire]", () =>
  virtual(async () => {
    const lock = new Lock();
    const log: number[] = [];
    const taker = (n: number) =>
      createTask(async () => {
        await lock.acquire();
        log.push(n);
      });
    await lock.acquire();
    const tasks = [taker(1), taker(2)];
    await sleep(0);
    assertEquals(log, []);
    lock.release();
    await sleep(0);
    assertEquals(log, [1]);
    await sleep(0);
    assertEquals(log, [1]);
    tasks.push(taker(3));
    lock.release();
    await sleep(0);
    assertEquals(log, [1, 2]);
    lock.release();
    await sleep(0);
    assertEquals(log, [1, 2, 3]);
    assert(tasks.every((it) => it.done()));
  }));

Deno.test("Lock.acquire() that is cancelled leaves no trace [test_locks.LockTests.test_acquire_cancel]", () =>
  virtual(async () => {
    const lock = new Lock();
    await lock.acquire();
    const task = createTask(() => lock.acquire());
    getRunningLoop().callSoon(() => task.cancel());
    await assertRejects(() => task, CancelledError);
    assertEquals(inspect(lock), "<Lock locked>");
  }));

Deno.test("Lock goes to the second waiter when the holder ends as the first is cancelled [test_locks.LockTests.test_cancel_race]", () =>
  virtual(async () => {
    const lock = new Lock();
    const hold = getRunningLoop().createFuture<void>();
    const log: string[] = [];
    const lockIt = (name: string, blocker?: PromiseLike<void>) => async () => {
      using _ = await lock.acquire();
      await blocker;
      log.push(name);
    };
    const a = createTask(lockIt("A", hold));
    await sleep(0);
    const b = createTask(lockIt("B"));
    const c = createTask(lockIt("C"));
    await sleep(0);
    hold.setResult();
    b.cancel();
    await c;
    assertEquals(log, ["A", "C"]);
    assertFalse(lock.locked());
    assert(a.done() && b.cancelled());
  }));

Deno.test("Lock goes to exactly one other waiter when one is cancelled and it is released in one step [test_locks.LockTests.test_cancel_release_race]", () =>
  virtual(async () => {
    const lock = new Lock();
    let calls = 0;
    let taken = 0;
    const lockIt = async () => {
      calls++;
      await lock.acquire();
      taken++;
    };
    await lock.acquire();
    const [first, second, third] = [1, 2, 3].map(() => createTask(lockIt));
    await sleep(0);
    getRunningLoop().callSoon(() => {
      first.cancel();
      lock.release();
    });
    await assertRejects(() => first, CancelledError);
    assertEquals([calls, taken], [3, 1]);
    assert(first.cancelled() && second.done() && !third.done());
    third.cancel();
    await assertRejects(() => third, CancelledError);
    assert(lock.locked());
  }));

Deno.test("Lock goes to a task that starts to wait after the first was cancelled [test_locks.LockTests.test_finished_waiter_cancelled]", () =>
  virtual(async () => {
    const lock = new Lock();
    await lock.acquire();
    const first = createTask(() => lock.acquire());
    await sleep(0);
    const second = createTask(() => lock.acquire());
    first.cancel();
    lock.release();
    await sleep(0);
    assert(lock.locked() && first.cancelled());
    await second;
  }));

Deno.test("Lock.acquire() passes the notification on when the woken waiter is cancelled", () =>
  virtual(async () => {
    const lock = new Lock();
    await lock.acquire();
    const [first, second] = [1, 2].map(() => createTask(() => lock.acquire()));
    await sleep(0);
    lock.release();
    first.cancel();
    await assertRejects(() => first, CancelledError);
    await second;
    assert(lock.locked());
  }));

Deno.test("Lock.release() refuses a lock that is free [test_locks.LockTests.test_release_not_acquired]", () => {
  assertThrows(() => new Lock().release(), RuntimeError, "not held");
});

Deno.test("Lock.release() with no waiters leaves the lock free [test_locks.LockTests.test_release_no_waiters]", async () => {
  const lock = new Lock();
  await lock.acquire();
  assert(lock.locked());
  lock.release();
  assertFalse(lock.locked());
});

Deno.test("Lock is held inside of a using block and free after it [test_locks.LockTests.test_context_manager]", async () => {
  const lock = new Lock();
  {
    using _ = await lock.acquire();
    assert(lock.locked());
  }
  assertFalse(lock.locked());
});

Deno.test("Lock, Condition and semaphores hold across an await in a block and free at its end [test_pep492.LockTests.test_context_manager_async_with]", () =>
  virtual(async () => {
    for (const make of lockLikes) {
      const lock = make();
      await sleep(0.01);
      assertFalse(lock.locked());
      {
        await using _ = await lock.acquire();
        assert(lock.locked());
        await sleep(0.01);
        assert(lock.locked());
      }
      assertFalse(lock.locked());
    }
  }));

Deno.test("Lock serves the waiters first, even before the task that released it", () =>
  virtual(async () => {
    const lock = new Lock();
    const log: string[] = [];
    const twice = (name: string) => async () => {
      for (let i = 0; i < 2; i++) {
        await lock.acquire();
        log.push(name);
        lock.release();
      }
    };
    await lock.acquire();
    const tasks = ["a", "b"].map((name) => createTask(twice(name)));
    await sleep(0);
    lock.release();
    tasks.push(createTask(twice("c")));
    await lock.acquire();
    log.push("main");
    lock.release();
    await gather(tasks);
    // The log of CPython 3.13 for the same program.
    assertEquals(log.join(" "), "a b main a c b c");
  }));

Deno.test("guards release once, whatever is done to them", async () => {
  for (const make of lockLikes) {
    const lock = make();
    const guard = await lock.acquire();
    guard[Symbol.dispose]();
    assertFalse(lock.locked());
    const next = await lock.acquire();
    guard[Symbol.dispose]();
    await guard[Symbol.asyncDispose]();
    assert(lock.locked());
    await next[Symbol.asyncDispose]();
    next[Symbol.dispose]();
    assertFalse(lock.locked());
  }
});

Deno.test("a guard of an earlier acquire() does not release a newer one", async () => {
  const lock = new Lock();
  let old: Guard;
  {
    using guard = await lock.acquire();
    lock.release();
    await lock.acquire();
    old = guard;
  }
  assert(lock.locked());
  old[Symbol.dispose]();
  assert(lock.locked());
  lock.release();
  assertFalse(lock.locked());
});

Deno.test("a guard releases although its block is left with an error", async () => {
  for (const make of lockLikes) {
    const lock = make();
    await assertRejects(async () => {
      using _ = await lock.acquire();
      throw new RangeError("left");
    }, RangeError);
    assertFalse(lock.locked());
  }
});

Deno.test("a guard that is dropped does not release", async () => {
  const lock = new Lock();
  await lock.acquire();
  await sleep(0);
  assert(lock.locked());
  lock.release();
});

Deno.test("a guard of a BoundedSemaphore that was released by hand rejects in await using and throws in using", async () => {
  const semaphore = new BoundedSemaphore();
  const guard = await semaphore.acquire();
  semaphore.release();
  await assertRejects(() => guard[Symbol.asyncDispose](), RangeError);
  const other = await semaphore.acquire();
  semaphore.release();
  assertThrows(() => other[Symbol.dispose](), RangeError);
  assertFalse(semaphore.locked());
});

Deno.test("Lock shows its state and who waits in one line", () =>
  virtual(async () => {
    const lock = new Lock();
    assertEquals(inspect(lock), "<Lock unlocked>");
    await lock.acquire();
    assertEquals(inspect(lock), "<Lock locked>");
    const tasks = [1, 2, 3, 4].map(() =>
      createTask(async () => {
        using _ = await lock.acquire();
      })
    );
    await sleep(0);
    assertEquals(inspect(lock), "<Lock locked, 4 waiting>");
    lock.release();
    assertEquals(inspect(lock), "<Lock unlocked, 3 waiting>");
    await gather(tasks);
  }));
