import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  Condition,
  createTask,
  gather,
  getRunningLoop,
  Lock,
  RuntimeError,
  sleep,
  type Task,
  timeout,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

/** Starts tasks that acquire the lock, wait, and log when they are woken. */
function waiters(
  condition: Condition,
  log: unknown[],
  names: unknown[],
  release = true,
): Task<void>[] {
  return names.map((name) =>
    createTask(async () => {
      await condition.acquire();
      try {
        await condition.wait();
        log.push(name);
      } finally {
        if (release) condition.release();
      }
    })
  );
}

Deno.test("Condition.wait() returns to one notified waiter at a time, when the lock is free for it [test_locks.ConditionTests.test_wait]", () =>
  virtual(async () => {
    const condition = new Condition();
    const log: number[] = [];
    const tasks = waiters(condition, log, [1, 2, 3], false);
    await sleep(0);
    assertEquals([log, condition.locked()], [[], false]);
    await condition.acquire();
    condition.notify();
    await sleep(0);
    assertEquals([log, condition.locked()], [[], true]);
    condition.release();
    await sleep(0);
    assertEquals([log, condition.locked()], [[1], true]);
    condition.notify(2);
    await sleep(0);
    assertEquals([log, condition.locked()], [[1], true]);
    condition.release();
    await sleep(0);
    assertEquals([log, condition.locked()], [[1, 2], true]);
    condition.release();
    await sleep(0);
    assertEquals([log, condition.locked()], [[1, 2, 3], true]);
    assert(tasks.every((it) => it.done()));
  }));

Deno.test("Condition.wait() that is cancelled holds the lock again [test_locks.ConditionTests.test_wait_cancel]", () =>
  virtual(async () => {
    const condition = new Condition();
    await condition.acquire();
    const waiter = createTask(() => condition.wait());
    getRunningLoop().callSoon(() => waiter.cancel());
    await assertRejects(() => waiter, CancelledError);
    assertEquals(inspect(condition), "<Condition locked>");
  }));

Deno.test("Condition.wait() returns with the lock when it is cancelled while another holds that [test_locks.ConditionTests.test_wait_cancel_contested]", () =>
  virtual(async () => {
    const condition = new Condition();
    await condition.acquire();
    const waiter = createTask(() => condition.wait());
    await sleep(0);
    assertFalse(condition.locked());
    await condition.acquire();
    condition.notify();
    getRunningLoop().callSoon(() => waiter.cancel());
    getRunningLoop().callSoon(() => condition.release());
    assertEquals(await outcome(waiter), "CancelledError");
    assert(condition.locked());
  }));

Deno.test("Condition.wait() that is cancelled as it takes the lock again ends once it has it [test_locks.ConditionTests.test_wait_cancel_after_notify]", () =>
  virtual(async () => {
    const condition = new Condition();
    let waited = false;
    const waiter = createTask(async () => {
      using _ = await condition.acquire();
      waited = true;
      await condition.wait();
    });
    await sleep(0);
    await condition.acquire();
    condition.notify();
    await sleep(0);
    waiter.cancel();
    await sleep(0);
    condition.release();
    await sleep(0);
    assert(waiter.cancelled() && waited);
    assertFalse(condition.locked());
  }));

Deno.test("Condition.wait() refuses without the lock [test_locks.ConditionTests.test_wait_unacquired]", async () => {
  await assertRejects(() => new Condition().wait(), RuntimeError, "wait");
});

Deno.test("Condition.waitFor() passes over notifications until its predicate is true [test_locks.ConditionTests.test_wait_for]", () =>
  virtual(async () => {
    const condition = new Condition();
    let ready = false;
    const log: string[] = [];
    const waiter = createTask(async () => {
      using _ = await condition.acquire();
      await condition.waitFor(() => (log.push(`asked ${ready}`), ready));
      log.push("through");
    });
    const notify = async () => {
      using _ = await condition.acquire();
      condition.notify();
    };
    await sleep(0);
    await notify();
    await sleep(0);
    ready = true;
    await notify();
    await sleep(0);
    assert(waiter.done());
    assertEquals(log, ["asked false", "asked false", "asked true", "through"]);
  }));

Deno.test("Condition.waitFor() needs no lock if the predicate is true at once, and gives its value [test_locks.ConditionTests.test_wait_for_unacquired]", async () => {
  const condition = new Condition();
  assertEquals(await condition.waitFor(() => [1, 2, 3]), [1, 2, 3]);
  await assertRejects(() => condition.waitFor(() => false), RuntimeError);
});

Deno.test("Condition.waitFor() fails as its predicate does, with the lock held", () =>
  virtual(async () => {
    const condition = new Condition();
    await condition.acquire();
    await assertRejects(
      () =>
        condition.waitFor(() => {
          throw new RangeError("predicate");
        }),
      RangeError,
    );
    assert(condition.locked());
  }));

Deno.test("Condition.notify() wakes n waiters, and all if there are fewer [test_locks.ConditionTests.test_notify]", () =>
  virtual(async () => {
    const condition = new Condition();
    const log: number[] = [];
    const tasks = waiters(condition, log, [1, 2, 3]);
    await sleep(0);
    await condition.acquire();
    condition.notify(1);
    condition.release();
    await sleep(0);
    assertEquals(log, [1]);
    await condition.acquire();
    condition.notify(1);
    condition.notify(2048);
    condition.release();
    await sleep(0);
    assertEquals(log, [1, 2, 3]);
    assert(tasks.every((it) => it.done()));
  }));

Deno.test("Condition.notifyAll() wakes everyone in order [test_locks.ConditionTests.test_notify_all]", () =>
  virtual(async () => {
    const condition = new Condition();
    const log: number[] = [];
    const tasks = waiters(condition, log, [1, 2]);
    await sleep(0);
    await condition.acquire();
    condition.notifyAll();
    condition.release();
    await sleep(0);
    assertEquals(log, [1, 2]);
    assert(tasks.every((it) => it.done()));
  }));

Deno.test("Condition.notify() refuses without the lock [test_locks.ConditionTests.test_notify_unacquired]", () => {
  assertThrows(() => new Condition().notify(), RuntimeError, "notify");
});

Deno.test("Condition.notifyAll() refuses without the lock [test_locks.ConditionTests.test_notify_all_unacquired]", () => {
  assertThrows(() => new Condition().notifyAll(), RuntimeError, "notify");
});

Deno.test("Condition holds its lock inside of a using block [test_locks.ConditionTests.test_context_manager]", async () => {
  const condition = new Condition();
  assertFalse(condition.locked());
  {
    using _ = await condition.acquire();
    assert(condition.locked());
  }
  assertFalse(condition.locked());
});

Deno.test("Condition shares the state of the lock it was given, both ways [test_locks.ConditionTests.test_explicit_lock]", async () => {
  const lock = new Lock();
  const condition = new Condition(lock);
  for (const taken of [lock, condition]) {
    assertFalse(lock.locked() || condition.locked());
    using _ = await taken.acquire();
    assert(lock.locked() && condition.locked());
  }
  assertFalse(lock.locked() || condition.locked());
});

Deno.test("Condition.waitFor() refuses an async predicate, whose promise would count as true", () =>
  virtual(async () => {
    const condition = new Condition();
    using _ = await condition.acquire();
    const ready = async () => await Promise.resolve(false);
    await assertRejects(
      () => condition.waitFor(ready),
      TypeError,
      "Cannot wait for a condition: the predicate must not be async, got function ready",
    );
    assert(condition.locked());
  }));

Deno.test("Condition.waitFor() holds the lock when its predicate throws, at once or later", () =>
  virtual(async () => {
    for (const good of [0, 1]) {
      const condition = new Condition();
      let calls = 0;
      const predicate = () => {
        if (calls++ < good) return false;
        throw new RangeError("broken");
      };
      const waiter = createTask(async () => {
        using _ = await condition.acquire();
        await assertRejects(
          () => condition.waitFor(predicate),
          RangeError,
          "broken",
        );
        assert(condition.locked());
      });
      await sleep(0);
      if (good > 0) {
        using _ = await condition.acquire();
        condition.notify();
      }
      await waiter;
      assertFalse(condition.locked());
    }
  }));

Deno.test("Condition refuses what is not a lock", () => {
  assertThrows(
    () => new Condition({} as unknown as Lock),
    TypeError,
    "lock must be a Lock",
  );
});

Deno.test("Condition keeps apart the waiters of several conditions on one lock", () =>
  virtual(async () => {
    const lock = new Lock();
    const [full, empty] = [new Condition(lock), new Condition(lock)];
    const log: string[] = [];
    const tasks = [
      ...waiters(full, log, ["full 1", "full 2"]),
      ...waiters(empty, log, ["empty 1", "empty 2"]),
    ];
    await sleep(0);
    {
      using _ = await lock.acquire();
      empty.notifyAll();
      full.notify();
    }
    await sleep(1);
    assertEquals(log, ["empty 1", "empty 2", "full 1"]);
    {
      using _ = await empty.acquire();
      full.notify();
    }
    await gather(tasks);
    assertEquals(log.at(-1), "full 2");
  }));

Deno.test("Condition.wait() that times out leaves its block with the lock held until the end of that [test_locks.ConditionTests.test_timeout_in_block]", () =>
  virtual(async () => {
    const condition = new Condition();
    {
      using _ = await condition.acquire();
      await assertRejects(() => waitFor(condition.wait(), 0.5), TimeoutError);
      assert(condition.locked());
      await assertRejects(
        () => timeout(0.5, () => condition.wait()),
        TimeoutError,
      );
      assert(condition.locked());
    }
    assertFalse(condition.locked());
  }));

/** A task in `waitFor()` that re-throws its error, and that error. */
function rethrowing(
  condition: Condition,
  predicate: () => boolean,
): [Task<void>, () => unknown] {
  let raised: unknown;
  const task = createTask(async () => {
    using _ = await condition.acquire();
    try {
      await condition.waitFor(predicate);
    } catch (error) {
      raised = error;
      throw error;
    }
  });
  return [task, () => raised];
}

Deno.test("Condition.wait() throws the same error that its task was cancelled with [test_locks.ConditionTests.test_cancelled_error_wakeup]", () =>
  virtual(async () => {
    const condition = new Condition();
    const [task, raised] = rethrowing(condition, () => false);
    await sleep(0);
    task.cancel("foo");
    const error = await assertRejects(() => task, CancelledError, "foo");
    assertStrictEquals(error, raised());
  }));

Deno.test("Condition.wait() throws the same error that it was cancelled with while it took the lock again [test_locks.ConditionTests.test_cancelled_error_re_aquire]", () =>
  virtual(async () => {
    const condition = new Condition();
    let ready = false;
    const [task, raised] = rethrowing(condition, () => ready);
    await sleep(0);
    await condition.acquire();
    ready = true;
    condition.notify();
    await sleep(0);
    task.cancel("foo");
    condition.release();
    const error = await assertRejects(() => task, CancelledError, "foo");
    assertStrictEquals(error, raised());
    assertFalse(condition.locked());
  }));

Deno.test("Condition.wait() throws the last of several cancellations while it takes the lock again", () =>
  virtual(async () => {
    const condition = new Condition();
    const [task] = rethrowing(condition, () => false);
    await sleep(0);
    await condition.acquire();
    for (const message of ["one", "two", "three"]) {
      task.cancel(message);
      await sleep(0);
    }
    assertFalse(task.done());
    condition.release();
    await assertRejects(() => task, CancelledError, "three");
    assertFalse(condition.locked());
  }));

/** Two consumers of one item, the first cancelled after `turns` turns. */
async function assertPassedOn(turns: number): Promise<void> {
  const condition = new Condition();
  let state = 0;
  const consumers = [1, 2].map(() =>
    createTask(async () => {
      using _ = await condition.acquire();
      for (;;) {
        await condition.waitFor(() => state !== 0);
        if (state < 0) return;
        state--;
      }
    })
  );
  await sleep(0);
  {
    using _ = await condition.acquire();
    state++;
    condition.notify(1);
    for (let i = 0; i < turns; i++) await sleep(0);
    consumers[0].cancel();
    await outcome(
      timeout(0.01, () => condition.waitFor(() => state === 0)),
    );
    assertEquals(state, 0);
    state = -1;
    condition.notifyAll();
  }
  await consumers[1];
  assert(consumers[0].cancelled());
}

Deno.test("Condition.wait() passes its notification on when it is cancelled in the same step [test_locks.ConditionTests.test_cancelled_wakeup]", () =>
  virtual(() => assertPassedOn(0)));

Deno.test("Condition.wait() passes its notification on when it is cancelled while it takes the lock again [test_locks.ConditionTests.test_cancelled_wakeup_relock]", () =>
  virtual(() => assertPassedOn(1)));

Deno.test("Condition.wait() that is cancelled without a notification wakes nobody", () =>
  virtual(async () => {
    const condition = new Condition();
    const log: string[] = [];
    const tasks = waiters(condition, log, ["a", "b", "c"]);
    await sleep(0);
    tasks[1].cancel();
    await sleep(1);
    assertEquals(log, []);
    {
      using _ = await condition.acquire();
      condition.notifyAll();
    }
    await sleep(1);
    assertEquals(log, ["a", "c"]);
  }));

Deno.test("Condition.wait() passes a notification on as often as its waiters are cancelled", () =>
  virtual(async () => {
    const condition = new Condition();
    const log: string[] = [];
    const tasks = waiters(condition, log, ["a", "b", "c", "d"]);
    await sleep(0);
    {
      using _ = await condition.acquire();
      condition.notify();
    }
    for (const task of tasks.slice(0, 3)) {
      task.cancel();
      await sleep(0);
    }
    await tasks[3];
    assertEquals(log, ["d"]);
    assert(tasks.slice(0, 3).every((it) => it.cancelled()));
  }));

Deno.test("Condition.wait() with an aborted signal takes the lock again, passes its notification on, and rejects with the reason", () =>
  virtual(async () => {
    const condition = new Condition();
    const log: string[] = [];
    const aborter = new AbortController();
    const first = createTask(async () => {
      using _ = await condition.acquire();
      try {
        await condition.wait({ signal: aborter.signal });
      } finally {
        log.push(`locked ${condition.locked()}`);
      }
    });
    await sleep(0);
    const second = waiters(condition, log, ["second"])[0];
    await sleep(0);
    {
      using _ = await condition.acquire();
      condition.notify();
      aborter.abort(new RangeError("reason"));
    }
    await assertRejects(() => first, RangeError, "reason");
    await second;
    assertEquals(log, ["locked true", "second"]);
    assertFalse(condition.locked());
  }));

Deno.test("Condition.wait() whose signal aborts once it was notified returns", () =>
  virtual(async () => {
    const condition = new Condition();
    const aborter = new AbortController();
    await condition.acquire();
    const waiter = createTask(() => condition.wait({ signal: aborter.signal }));
    await sleep(0);
    await condition.acquire();
    condition.notify();
    await sleep(0);
    aborter.abort();
    condition.release();
    assertEquals(await waiter, true);
    assert(condition.locked());
  }));

Deno.test("Condition.wait() keeps the guard of the caller valid", () =>
  virtual(async () => {
    const condition = new Condition();
    const waiter = createTask(async () => {
      await using _ = await condition.acquire();
      await condition.wait();
      await condition.waitFor(() => true);
      assert(condition.locked());
    });
    await sleep(0);
    {
      using _ = await condition.acquire();
      condition.notify();
    }
    await waiter;
    assertFalse(condition.locked());
  }));

Deno.test("Condition lets waiters and later arrivals continue as in CPython", () =>
  virtual(async () => {
    const condition = new Condition();
    const log: string[] = [];
    const wait = (name: string) => async () => {
      using _ = await condition.acquire();
      log.push(`${name} waits`);
      await condition.wait();
      log.push(`${name} woken`);
      await sleep(0);
      log.push(`${name} leaves`);
    };
    const take = (name: string) => async () => {
      using _ = await condition.acquire();
      log.push(`${name} in`);
      condition.notify();
      await sleep(0);
      log.push(`${name} out`);
    };
    const bodies = [wait("a"), wait("b"), take("x"), wait("c"), take("y")];
    const tasks = bodies.map((body) => createTask(body));
    await sleep(0);
    tasks.push(createTask(take("z")));
    await gather(tasks);
    // The log of CPython 3.13 for the same program.
    assertEquals(
      log.join(", "),
      "a waits, b waits, x in, x out, c waits, y in, y out, a woken, a leaves, " +
        "z in, z out, b woken, b leaves, c woken, c leaves",
    );
  }));

Deno.test("Condition shows its state and who waits in one line", () =>
  virtual(async () => {
    const condition = new Condition();
    assertEquals(inspect(condition), "<Condition unlocked>");
    const tasks = waiters(condition, [], [1, 2]);
    await sleep(0);
    assertEquals(inspect(condition), "<Condition unlocked, 2 waiting>");
    await condition.acquire();
    condition.notifyAll();
    assertEquals(inspect(condition), "<Condition locked>");
    condition.release();
    await gather(tasks);
  }));
