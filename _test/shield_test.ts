import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  captureCallGraph,
  createTask,
  currentTask,
  type Future,
  gather,
  getEventLoop,
  getRunningLoop,
  run,
  shield,
  sleep,
  timeout,
  waitFor,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

function pending<T = unknown>(): Future<T> {
  return getEventLoop().createFuture<T>();
}

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await sleep(0);
}

Deno.test("shield() returns the result of what it protects [test_tasks.BaseTaskTests.test_shield_result]", async () => {
  const inner = pending<number>();
  const outer = shield(inner);
  inner.setResult(42);
  assertEquals(await outer, 42);
});

Deno.test("shield() returns the same error of what it protects [test_tasks.BaseTaskTests.test_shield_exception]", async () => {
  const inner = pending();
  const outer = shield(inner);
  const error = new RangeError("expected");
  inner.setException(error);
  assertStrictEquals(await assertRejects(() => outer, RangeError), error);
});

Deno.test("shield() is cancelled with what it protects [test_tasks.BaseTaskTests.test_shield_cancel_inner]", async () => {
  const inner = pending();
  const outer = shield(inner);
  inner.cancel();
  await settle();
  assert(outer.cancelled());
});

Deno.test("shield() that is cancelled leaves what it protects alone, and is not notified again [test_tasks.BaseTaskTests.test_shield_cancel_outer]", async () => {
  const inner = pending();
  const outer = shield(inner);
  assert(outer.cancel("m"));
  await settle();
  assert(outer.cancelled());
  assertEquals(inner.done(), false);
  inner.setResult("late");
  await settle();
  assertEquals(await outcome(outer), "CancelledError(m)");
  assertEquals(await inner, "late");
});

Deno.test("shield() of what is done gives that back [test_tasks.BaseTaskTests.test_shield_shortcut]", async () => {
  const inner = pending<number>();
  inner.setResult(42);
  assertStrictEquals(shield(inner), inner);
  assertEquals(await shield(inner), 42);
});

Deno.test("shield() lets a coroutine run to completion whose awaiter is cancelled [test_tasks.BaseTaskTests.test_shield_effect]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const waiter = pending();
    const inner = async () => {
      await waiter;
      log.push("inner ends");
    };
    const outer = createTask(async () => {
      await shield(inner);
      log.push("unreachable");
    });
    await settle();
    outer.cancel();
    assertEquals(await outcome(outer), "CancelledError");
    assertEquals(log, []);
    waiter.setResult(null);
    await settle();
    assertEquals(log, ["inner ends"]);
  });
});

Deno.test("shield() protects a gather, which still collects its children [test_tasks.BaseTaskTests.test_shield_gather]", async () => {
  await virtual(async () => {
    const [a, b] = [pending<number>(), pending<number>()];
    const inner = gather([a, b]);
    const outer = shield(inner);
    await settle();
    outer.cancel();
    await settle();
    assert(outer.cancelled());
    assertEquals(inner.done(), false);
    a.setResult(1);
    b.setResult(2);
    assertEquals(await inner, [1, 2]);
  });
});

Deno.test("gather() of shields that is cancelled cancels the shields only [test_tasks.BaseTaskTests.test_gather_shield]", async () => {
  await virtual(async () => {
    const [a, b] = [pending<number>(), pending<number>()];
    const [outerA, outerB] = [shield(a), shield(b)];
    const all = gather([outerA, outerB]);
    await settle();
    assert(all.cancel());
    await settle();
    assertInstanceOf(all.exception(), CancelledError);
    assertEquals([outerA, outerB].map((it) => it.cancelled()), [true, true]);
    assertEquals([a, b].map((it) => it.done()), [false, false]);
    a.setResult(1);
    b.setResult(2);
    await settle();
    assertEquals([a.result(), b.result()], [1, 2]);
  });
});

Deno.test("shield() makes a task of a coroutine function, in a loop and outside [test_tasks.BaseTaskTests.test_shield_coroutine_use_running_loop] [test_tasks.BaseTaskTests.test_shield_coroutine_without_loop]", async () => {
  const main = async () => {
    const outer = shield(async () => {
      await sleep(0);
      return 42;
    });
    assertStrictEquals(outer.getLoop(), getEventLoop());
    return await outer;
  };
  assertEquals(await main(), 42);
  assertEquals(await run(main), 42);
});

Deno.test("shield() takes a promise", async () => {
  assertEquals(await shield(Promise.resolve("promise")), "promise");
});

Deno.test("shield() refuses what cannot be awaited", () => {
  for (const value of ["x", 1, null, undefined, {}]) {
    // @ts-expect-error: not awaitable
    assertThrows(() => shield(value), TypeError, "Cannot shield");
  }
});

Deno.test("shield() protects the inner task, not the awaiter", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const inner = createTask(async () => {
      await sleep(2);
      log.push("inner ends");
      return "value";
    });
    const outer = createTask(async () => {
      try {
        await shield(inner);
      } catch (error) {
        log.push(`outer ${shape(error)} ${currentTask()!.cancelling()}`);
        throw error;
      }
    });
    await sleep(1);
    outer.cancel("m");
    await outcome(outer);
    assertEquals(inner.cancelling(), 0);
    assertEquals(await inner, "value");
    assertEquals(log, ["outer CancelledError(m) 1", "inner ends"]);
  });
});

Deno.test("shield() ignores the error of what it protects when nobody awaits it", async () => {
  const reports: unknown[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((_, it) => reports.push(it.message));
    const inner = pending();
    const outer = shield(inner);
    await settle();
    inner.setException(new RangeError("late"));
    outer.cancel();
    await settle();
    assertEquals(await outcome(outer), "CancelledError");
  });
  assertEquals(reports, []);
});

Deno.test("shield() that was cancelled before leaves the error to whoever looks at the inner future [test_tasks.BaseTaskTests.test_shield_cancel_outer_exception_never_retrieved]", async () => {
  const reports: unknown[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((_, it) => reports.push(it.message));
    const inner = pending();
    const outer = shield(inner);
    outer.cancel();
    await settle();
    inner.setException(new RangeError("late"));
    await settle();
  });
  assertEquals(reports, ["Future exception was never retrieved"]);
});

Deno.test("shield() in waitFor() and in timeout(): the wait times out, the work continues", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const work = createTask(() => sleep(5, { result: "work" }));
    const first = await outcome(waitFor(shield(work), 1));
    assert(first.startsWith("TimeoutError"), first);
    const second = await outcome(timeout(1, () => shield(work)));
    assert(second.startsWith("TimeoutError"), second);
    assertEquals(loop.time(), 2);
    assertEquals(await work, "work");
    assertEquals(loop.time(), 5);
  });
});

/** What the exception handler is told while a shield is cancelled before its inner future fails. */
async function reportsOfShields(
  body: (inner: Future<unknown>) => unknown,
): Promise<string[]> {
  const reports: string[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((_, it) => reports.push(it.message));
    await body(pending());
    await settle();
  });
  return reports;
}

Deno.test("shield() that was cancelled ignores a result of what it protects [test_tasks.BaseTaskTests.test_shield_cancel_outer_result]", async () => {
  const reports = await reportsOfShields(async (inner) => {
    const outer = shield(inner);
    outer.cancel();
    inner.setResult(1);
    await settle();
    assert(outer.cancelled());
  });
  assertEquals(reports, []);
});

Deno.test("shield() that was cancelled reports no error that is retrieved from what it protects [test_tasks.BaseTaskTests.test_shield_cancel_outer_exception]", async () => {
  const failure = new RangeError("late");
  const reports = await reportsOfShields(async (inner) => {
    shield(inner).cancel();
    inner.setException(failure);
    await settle();
    assertStrictEquals(inner.exception(), failure);
  });
  assertEquals(reports, []);
});

Deno.test("shield() twice over one future, both cancelled, reports no error that is retrieved [test_tasks.BaseTaskTests.test_shield_cancel_outer_twice_exception]", async () => {
  const failure = new RangeError("late");
  const reports = await reportsOfShields(async (inner) => {
    for (const outer of [shield(inner), shield(inner)]) outer.cancel();
    inner.setException(failure);
    await settle();
    assertStrictEquals(inner.exception(), failure);
  });
  assertEquals(reports, []);
});

Deno.test("shield() in a task that is cancelled leaves nothing on what it protects [test_tasks.BaseTaskTests.test_shield_cancel_outer_in_task]", async () => {
  const reports = await reportsOfShields(async (inner) => {
    const task = createTask(() => shield(inner));
    await settle();
    assertEquals(captureCallGraph(inner)!.awaitedBy.length, 1);
    task.cancel();
    await assertRejects(() => task, CancelledError);
    assertEquals(captureCallGraph(inner)!.awaitedBy, []);
    inner.setResult(1);
    assertEquals(await inner, 1);
  });
  assertEquals(reports, []);
});
