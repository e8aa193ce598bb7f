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
  createTask,
  gather,
  getRunningLoop,
  Semaphore,
  sleep,
  type Task,
  TaskGroup,
  timeout,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

function takers(
  semaphore: Semaphore,
  log: unknown[],
  names: unknown[],
): Task<void>[] {
  return names.map((name) =>
    createTask(async () => {
      await semaphore.acquire();
      log.push(name);
    })
  );
}

const ended = (tasks: Task<unknown>[]) => tasks.map((it) => it.done());

Deno.test("Semaphore(0) counts as locked [test_locks.SemaphoreTests.test_initial_value_zero]", () => {
  assert(new Semaphore(0).locked());
});

Deno.test("Semaphore refuses a negative or fractional number of permits [test_locks.SemaphoreTests.test_semaphore_value]", () => {
  for (const Class of [Semaphore, BoundedSemaphore]) {
    assertThrows(() => new Class(-1), RangeError, "at least 0, got -1");
    assertThrows(() => new Class(1.5), RangeError, "whole number");
    assertThrows(() => new Class(NaN), TypeError, "got NaN");
    assertThrows(() => new Class("1" as unknown as number), TypeError);
  }
});

Deno.test("Semaphore.acquire() gets released permits in FIFO order [test_locks.SemaphoreTests.test_acquire]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(3);
    const log: number[] = [];
    await semaphore.acquire();
    await semaphore.acquire();
    assertFalse(semaphore.locked());
    const tasks = takers(semaphore, log, [1, 2, 3]);
    await sleep(0);
    assertEquals([log, semaphore.locked()], [[1], true]);
    tasks.push(...takers(semaphore, log, [4]));
    semaphore.release();
    semaphore.release();
    await sleep(0);
    assertEquals([log, semaphore.locked()], [[1, 2, 3], true]);
    assertEquals(ended(tasks), [true, true, true, false]);
    semaphore.release();
    await gather(tasks);
  }));

Deno.test("Semaphore.acquire() that is cancelled leaves no trace [test_locks.SemaphoreTests.test_acquire_cancel]", () =>
  virtual(async () => {
    const semaphore = new Semaphore();
    await semaphore.acquire();
    const task = createTask(() => semaphore.acquire());
    getRunningLoop().callSoon(() => task.cancel());
    await assertRejects(() => task, CancelledError);
    assertEquals(inspect(semaphore), "<Semaphore locked>");
  }));

Deno.test("Semaphore.release() serves exactly the third when the first two were cancelled [test_locks.SemaphoreTests.test_acquire_cancel_before_awoken]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(0);
    const tasks = takers(semaphore, [], [1, 2, 3, 4]);
    await sleep(0);
    tasks[0].cancel();
    tasks[1].cancel();
    semaphore.release();
    await sleep(1);
    assertEquals(ended(tasks), [true, true, true, false]);
    assert(tasks[0].cancelled() && tasks[1].cancelled());
    tasks[3].cancel();
  }));

Deno.test("Semaphore.release() serves the second when the first is cancelled, and is locked then [test_locks.SemaphoreTests.test_acquire_hang]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(0);
    const [first, second] = takers(semaphore, [], [1, 2]);
    await sleep(0);
    first.cancel();
    semaphore.release();
    await second;
    assert(semaphore.locked());
  }));

Deno.test("Semaphore.acquire() that is cancelled with its permit granted gives it back [test_locks.SemaphoreTests.test_acquire_no_hang]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(1);
    const first = createTask(async () => {
      {
        using _ = await semaphore.acquire();
        await sleep(0);
      }
      second.cancel();
    });
    const second: Task<void> = createTask(async () => {
      using _ = await semaphore.acquire();
      throw new RangeError("it must not come here");
    });
    assertEquals(
      [await outcome(first), await outcome(second)],
      ["value undefined", "CancelledError"],
    );
    await timeout(1, () => semaphore.acquire());
  }));

Deno.test("BoundedSemaphore.release() refuses more than the initial value [test_locks.SemaphoreTests.test_release_not_acquired]", async () => {
  const semaphore = new BoundedSemaphore(2);
  assertThrows(() => semaphore.release(), RangeError, "all 2 permits");
  await semaphore.acquire();
  semaphore.release();
  assertThrows(() => semaphore.release(), RangeError);
});

Deno.test("Semaphore.release() may add permits, and with no waiters makes it available [test_locks.SemaphoreTests.test_release_no_waiters]", async () => {
  const semaphore = new Semaphore();
  await semaphore.acquire();
  assert(semaphore.locked());
  semaphore.release();
  assertFalse(semaphore.locked());
  semaphore.release();
  await semaphore.acquire();
  assertFalse(semaphore.locked());
});

Deno.test("Semaphore serves tasks that reacquire in turn [test_locks.SemaphoreTests.test_acquire_fifo_order]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(1);
    const log: string[] = [];
    await TaskGroup.run((group) => {
      for (const name of ["a", "b", "c"]) {
        group.createTask(async () => {
          for (let i = 1; i <= 2; i++) {
            await semaphore.acquire();
            log.push(name + i);
            await sleep(0.01);
            semaphore.release();
          }
        });
      }
    });
    assertEquals(log.join(" "), "a1 b1 c1 a2 b2 c2");
  }));

Deno.test("Semaphore puts a task that reacquires behind the waiters [test_locks.SemaphoreTests.test_acquire_fifo_order_2]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(1);
    const log: number[] = [];
    const [first] = takers(semaphore, log, [1]);
    const second = createTask(async () => {
      await semaphore.acquire();
      log.push(2);
      semaphore.release();
      await semaphore.acquire();
      log.push(4);
    });
    const [third] = takers(semaphore, log, [3]);
    await sleep(0);
    semaphore.release();
    semaphore.release();
    await gather([first, second, third]);
    assertEquals(log, [1, 2, 3, 4]);
  }));

Deno.test("Semaphore serves the next two in order when the first was cancelled [test_locks.SemaphoreTests.test_acquire_fifo_order_3]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(0);
    const log: number[] = [];
    const tasks = takers(semaphore, log, [1, 2, 3]);
    await sleep(0);
    tasks[0].cancel();
    await sleep(0);
    semaphore.release();
    semaphore.release();
    await gather(tasks, { returnExceptions: true });
    assertEquals(log, [2, 3]);
  }));

Deno.test("Semaphore wakes as many waiters as permits were released, in order [test_locks.SemaphoreTests.test_acquire_fifo_order_4]", () =>
  virtual(async () => {
    const semaphore = new Semaphore(0);
    const log: number[] = [];
    let fourth: Task<void> | undefined;
    const first = createTask(async () => {
      await semaphore.acquire();
      fourth = createTask(() => void log.push(4));
      log.push(1);
    });
    const second = createTask(async () => {
      for (let i = 0; i < 3; i++) semaphore.release();
      assert(semaphore.locked());
      await semaphore.acquire();
      log.push(2);
    });
    const third = createTask(async () => {
      await semaphore.acquire();
      assert(semaphore.locked());
      log.push(3);
    });
    await gather([first, second, third]);
    await fourth;
    assertEquals(log, [1, 2, 3, 4]);
  }));

Deno.test("Semaphore keeps its number of permits when woken waiters are cancelled", () =>
  virtual(async () => {
    const semaphore = new Semaphore(0);
    const log: string[] = [];
    const tasks = takers(semaphore, log, ["a", "b", "c", "d", "e"]);
    await sleep(0);
    for (let i = 0; i < 3; i++) semaphore.release();
    tasks[0].cancel();
    tasks[2].cancel();
    await sleep(1);
    assertEquals(log, ["b", "d", "e"]);
    assert(semaphore.locked());
    semaphore.release();
    assertFalse(semaphore.locked());
  }));

Deno.test("Semaphore with permits and cancellations matches the trace of CPython", () =>
  virtual(async () => {
    const semaphore = new Semaphore(2);
    const log: string[] = [];
    const tasks = ["a", "b", "c", "d", "e"].map((name) =>
      createTask(async () => {
        using _ = await semaphore.acquire();
        log.push(`${name} in ${semaphore.locked()}`);
        await sleep(1);
        if (name === "a") {
          tasks[2].cancel();
          tasks[1].cancel();
        }
        log.push(`${name} out ${semaphore.locked()}`);
      })
    );
    await gather(tasks, { returnExceptions: true });
    // The log of CPython 3.13 for the same program.
    assertEquals(
      log.join(", "),
      "a in false, b in true, a out true, d in true, e in true, " +
        "d out true, e out false",
    );
  }));

Deno.test("Semaphore(Infinity) never waits, bounded or not", async () => {
  for (const Class of [Semaphore, BoundedSemaphore]) {
    const semaphore = new Class(Infinity);
    for (let i = 0; i < 3; i++) {
      using _ = await semaphore.acquire();
      assertFalse(semaphore.locked());
    }
    assertFalse(semaphore.locked());
  }
});

Deno.test("Semaphore shows its state and who waits in one line", () =>
  virtual(async () => {
    const semaphore = new BoundedSemaphore(2);
    assertEquals(inspect(semaphore), "<BoundedSemaphore with 2 free>");
    const tasks = takers(semaphore, [], [1, 2, 3]);
    await sleep(0);
    assertEquals(
      inspect(semaphore),
      "<BoundedSemaphore locked, 1 waiting>",
    );
    semaphore.release();
    await gather(tasks);
    assertEquals(inspect(new Semaphore(0)), "<Semaphore locked>");
  }));
