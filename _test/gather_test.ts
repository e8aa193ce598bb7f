import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  allTasks,
  CancelledError,
  createTask,
  currentTask,
  type Future,
  gather,
  getEventLoop,
  getRunningLoop,
  Queue,
  run,
  sleep,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

function futuresOf(count: number): Future<unknown>[] {
  return Array.from({ length: count }, () => getEventLoop().createFuture());
}

/** Runs everything that is ready, and what that makes ready. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await sleep(0);
}

async function assertSuccessWith(returnExceptions: boolean): Promise<void> {
  await virtual(async () => {
    const [a, b, c] = futuresOf(3);
    const all = gather([a, b, c], { returnExceptions });
    b.setResult(1);
    a.setResult(2);
    await settle();
    assertEquals(all.done(), false);
    c.setResult(3);
    await settle();
    assert(all.done());
    assertEquals(all.result(), [2, 1, 3]);
  });
}

Deno.test("gather() is done with its last child, results in the order of the arguments [test_tasks.GatherTestsBase.test_success]", async () => {
  await assertSuccessWith(false);
});

Deno.test("gather() that collects errors is done with its last child too [test_tasks.GatherTestsBase.test_result_exception_success]", async () => {
  await assertSuccessWith(true);
});

Deno.test("gather() fails with the first child that does, and ignores the others [test_tasks.GatherTestsBase.test_one_exception]", async () => {
  await virtual(async () => {
    const [a, b, c, d, e] = futuresOf(5);
    const all = gather([a, b, c, d, e]);
    const error = new RangeError("first");
    a.setResult(1);
    b.setException(error);
    await settle();
    assertStrictEquals(all.exception(), error);
    c.setResult(2);
    d.cancel();
    e.setException(new TypeError("later"));
    await settle();
    assertStrictEquals(await assertRejects(() => all, RangeError), error);
    assertEquals([c.result(), d.cancelled()], [2, true]);
  });
});

Deno.test("gather() that collects errors returns them as results [test_tasks.GatherTestsBase.test_return_exceptions]", async () => {
  await virtual(async () => {
    const [a, b, c, d] = futuresOf(4);
    const all = gather([a, b, c, d], { returnExceptions: true });
    const [one, two] = [new RangeError("one"), new TypeError("two")];
    b.setException(one);
    c.setResult(3);
    a.setResult(1);
    await settle();
    assertEquals(all.done(), false);
    d.setException(two);
    const results = await all;
    assertEquals(results, [1, one, 3, two]);
    assertStrictEquals(results[1], one);
  });
});

Deno.test("gather() of nothing is an empty array, in a loop and outside [test_tasks.FutureGatherTests.test_constructor_empty_sequence_use_running_loop] [test_tasks.FutureGatherTests.test_constructor_empty_sequence_without_loop]", async () => {
  const outside = gather([]);
  assertStrictEquals(outside.getLoop(), getEventLoop());
  assertEquals(await outside, []);
  await run(async () => {
    const inside = gather([], { returnExceptions: true });
    assertStrictEquals(inside.getLoop(), getRunningLoop());
    assert(inside.done());
    assertEquals(await inside, []);
  });
});

Deno.test("gather() takes coroutine functions, in a loop and outside [test_tasks.CoroutineGatherTests.test_constructor_use_running_loop] [test_tasks.CoroutineGatherTests.test_constructor_without_loop]", async () => {
  const letter = (it: string) => async () => {
    await sleep(0);
    return it;
  };
  const main = async () => await gather([letter("a"), letter("b")]);
  assertEquals(await main(), ["a", "b"]);
  assertEquals(await run(main), ["a", "b"]);
});

Deno.test("gather() takes futures, tasks, promises, coroutine functions and other gathers", async () => {
  await virtual(async () => {
    const [future] = futuresOf(1);
    future.setResult("future");
    const results = await gather([
      future,
      createTask(() => "task"),
      Promise.resolve("promise"),
      () => "function",
      gather([() => sleep(1, { result: "inner" })]),
    ]);
    assertEquals(results as unknown[], [
      "future",
      "task",
      "promise",
      "function",
      ["inner"],
    ]);
  });
});

Deno.test("gather() fails with a cancelled child as with any error: it is not cancelled itself [test_tasks.FutureGatherTests.test_one_cancellation]", async () => {
  await virtual(async () => {
    const [a, b, c] = futuresOf(3);
    const all = gather([a, b, c]);
    a.setResult(1);
    b.cancel("child");
    await settle();
    assert(all.done());
    assertEquals(all.cancelled(), false);
    assertInstanceOf(all.exception(), CancelledError);
    assertEquals(await outcome(all), "CancelledError(child)");
    c.setResult(3);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("gather() that collects errors collects cancellations [test_tasks.FutureGatherTests.test_result_exception_one_cancellation]", async () => {
  await virtual(async () => {
    const [a, b, c, d] = futuresOf(4);
    const all = gather([a, b, c, d], { returnExceptions: true });
    a.setResult(1);
    const error = new RangeError("far");
    b.setException(error);
    c.cancel("m");
    d.setResult(4);
    const results = await all;
    const shapes = [1, "RangeError(far)", "CancelledError(m)", 4].map(String);
    assertEquals(results.map(shape), shapes);
    assertInstanceOf(results[2], CancelledError);
  });
});

Deno.test("gather() runs a future that is given twice once, and fills both places [test_tasks.CoroutineGatherTests.test_duplicate_coroutines]", async () => {
  await virtual(async () => {
    let runs = 0;
    const task = createTask(async () => {
      await sleep(1);
      return ++runs;
    });
    assertEquals(await gather([task, () => 0, task, task]), [1, 0, 1, 1]);
    assertEquals(runs, 1);
  });
});

Deno.test("gather() runs a coroutine function that is given twice twice", async () => {
  await virtual(async () => {
    let runs = 0;
    const count = () => Promise.resolve(++runs);
    assertEquals(await gather([count, count]), [1, 2]);
  });
});

Deno.test("gather() starts its children in the order of the arguments, and lets siblings of a failed one run on", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const child = (name: string, delay: number, fails = false) => async () => {
      log.push(`${name} starts`);
      await sleep(delay);
      log.push(`${name} ends`);
      if (fails) throw new RangeError(name);
    };
    const aws = [child("a", 3), child("b", 1, true), child("c", 2)];
    log.push(await outcome(gather(aws)));
    await sleep(5);
    assertEquals(log, [
      "a starts",
      "b starts",
      "c starts",
      "b ends",
      "RangeError(b)",
      "c ends",
      "a ends",
    ]);
  });
});

Deno.test("gather() hands the cancellation of its awaiter to every child and what they wait for [test_tasks.CoroutineGatherTests.test_cancellation_broadcast]", async () => {
  await virtual(async () => {
    const [blocker] = futuresOf(1);
    const log: string[] = [];
    const child = (name: string) => async () => {
      try {
        await blocker;
      } catch (error) {
        log.push(`${name} ${shape(error)}`);
        throw error;
      }
    };
    const children = ["a", "b"].map((name) => createTask(child(name)));
    const all = gather(children);
    const outer = createTask(async () => await all);
    await settle();
    assertEquals(outer.cancel("m"), true);
    assertEquals(await outcome(outer), "CancelledError(m)");
    assertEquals(log, ["a CancelledError(m)", "b CancelledError(m)"]);
    const cancelled = [blocker, ...children, outer].map((it) => it.cancelled());
    assertEquals(cancelled, [true, true, true, true]);
    assertEquals(all.cancel(), false);
    assert(all.done());
    assertInstanceOf(all.exception(), CancelledError);
  });
});

Deno.test("gather() absorbs the error of a child that fails after it has failed [test_tasks.CoroutineGatherTests.test_exception_marking]", async () => {
  const reports: unknown[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((_, it) => reports.push(it));
    const failing = (delay: number, name: string) => async () => {
      await sleep(delay);
      throw new RangeError(name);
    };
    const children = [failing(1, "first"), failing(2, "second")];
    assertEquals(await outcome(gather(children)), "RangeError(first)");
    await sleep(5);
  });
  assertEquals(reports, []);
});

Deno.test("gather() with a bad argument throws, and starts nothing [test_tasks.CoroutineGatherTests.test_issue46672]", async () => {
  await virtual(async () => {
    let started = false;
    const coro = () => {
      started = true;
      throw new Error("late trouble");
    };
    for (const bad of [123, null, undefined, "text", {}]) {
      // @ts-expect-error: not awaitable
      assertThrows(() => gather([coro, bad]), TypeError, "Cannot gather");
    }
    await settle();
    assertEquals(started, false);
    assertEquals(allTasks().size, 1);
    // @ts-expect-error: no list
    assertThrows(() => gather(coro), TypeError, "expected an iterable");
  });
});

Deno.test("Future.cancel() of a gather whose children are all done is refused, before its callback ran [test_tasks.BaseTaskTests.test_cancel_gather_1]", async () => {
  await virtual(async () => {
    const [a, b] = futuresOf(2);
    const all = gather([a, b]);
    const outer = createTask(async () => await all);
    await settle();
    a.setResult(1);
    b.setResult(2);
    assertEquals(all.cancel(), false);
    assertEquals(all.done(), false);
    assertEquals(await outer, [1, 2]);
    assertEquals(all.cancel(), false);
  });
});

Deno.test("Task.cancel() in a gather that collects errors throws nevertheless [test_tasks.BaseTaskTests.test_cancel_gather_2]", async () => {
  for (const message of [undefined, "my message"]) {
    await virtual(async () => {
      const task = createTask(async () => {
        for (;;) {
          await gather([() => sleep(0.05)], { returnExceptions: true });
        }
      });
      await sleep(0.2);
      task.cancel(message);
      const error = await assertRejects(() => task, CancelledError);
      assertEquals(error.message, message ?? "");
      assert(task.cancelled());
    });
  }
});

Deno.test("Task.cancel() in a gather throws after the last child, even if all swallow it", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const stubborn = (name: string, cleanup: number) => async () => {
      await sleep(10).catch(() => {});
      await sleep(cleanup);
      log.push(`${name} is ready at ${getRunningLoop().time()}`);
    };
    for (const returnExceptions of [true, false]) {
      const children = [stubborn("a", 2), stubborn("b", 1)];
      const task = createTask(() => gather(children, { returnExceptions }));
      await sleep(1);
      task.cancel();
      log.push(await outcome(task));
    }
    assertEquals(log, [
      "b is ready at 2",
      "a is ready at 3",
      "CancelledError",
      "b is ready at 5",
      "a is ready at 6",
      "CancelledError",
    ]);
  });
});

Deno.test("Future.cancel() of a gather cancels the children, and the first of them ends it", async () => {
  await virtual(async () => {
    const slow = async () => {
      try {
        await sleep(10);
      } finally {
        await sleep(3);
      }
    };
    const all = gather([slow, () => sleep(10)]);
    await sleep(1);
    assertEquals(all.cancel("m"), true);
    assertEquals(await outcome(all), "CancelledError(m)");
    assertEquals(all.cancelled(), false);
    assertEquals(getRunningLoop().time(), 1);
    await sleep(5);
  });
});

Deno.test("gather() of futures that are done is done at once, and never a callback late", async () => {
  await virtual(async () => {
    const [a, b, c] = futuresOf(3);
    a.setResult(1);
    b.setResult(2);
    const all = gather([a, b]);
    assert(all.done());
    assertEquals(all.result(), [1, 2]);
    c.setException(new RangeError("far"));
    const failed = gather([a, c, sleep(9)]);
    assertEquals(shape(failed.exception()), "RangeError(far)");
    await assertRejects(() => failed, RangeError);
  });
});

Deno.test("gather() of a get() whose item somebody else takes waits for the next", async () => {
  await virtual(async () => {
    const queue = new Queue<string>();
    const all = gather([queue.get()]);
    await settle();
    queue.putNowait("first");
    assertEquals(queue.getNowait(), "first");
    await settle();
    assertEquals(all.done(), false);
    queue.putNowait("second");
    assertEquals(await all, ["second"]);
  });
});

Deno.test("gather() that nobody awaits is reported as a future", async () => {
  const reports: string[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((_, it) => {
      reports.push(`${it.message}: ${shape(it.exception)}`);
    });
    gather([() => {
      throw new RangeError("unheard");
    }]);
    await settle();
  });
  assertEquals(reports, [
    "Future exception was never retrieved: RangeError(unheard)",
  ]);
});
