import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Awaitable,
  CancelledError,
  createTask,
  currentTask,
  type Duration,
  getRunningLoop,
  shield,
  sleep,
  type Task,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

const far = () => new RangeError("far");
const now = () => getRunningLoop().time();

/** Sleeps for its full time, ignoring cancellations. */
function stubborn(log: string[], seconds: number) {
  return async () => {
    const end = now() + seconds;
    while (now() < end) {
      await sleep(end - now()).catch((error) => log.push(shape(error)));
    }
    log.push(`ends at ${now()}`);
    return "value";
  };
}

/** Sleeps, with a slow cleanup. */
function slowCleanup(log: string[]) {
  return async () => {
    try {
      await sleep(10);
    } finally {
      log.push("cleanup");
      await sleep(1);
      log.push("clean");
    }
  };
}

Deno.test("waitFor() that is cancelled lets a coroutine that ignores cancellation run to completion [test_waitfor.AsyncioWaitForTest.test_asyncio_wait_for_cancelled]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(() => waitFor(stubborn(log, 0.25), 0.5));
    await sleep(0);
    task.cancel();
    assertEquals(await outcome(task), "value value");
    assertEquals(log, ["CancelledError", "ends at 0.25"]);
  });
});

Deno.test("waitFor() that times out waits for a coroutine that ignores cancellation, and gives its value [test_waitfor.AsyncioWaitForTest.test_asyncio_wait_for_timeout]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    assertEquals(await waitFor(stubborn(log, 0.5), 0.25), "value");
    assertEquals(log, ["CancelledError", "ends at 0.5"]);
    const task = createTask(stubborn(log, 0.5));
    assertEquals(await waitFor(task, 0.25), "value");
    assertEquals(log.slice(2), ["CancelledError", "ends at 1"]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("waitFor() with a zero timeout returns what is already done [test_waitfor.AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0_future_done]", async () => {
  await virtual(async () => {
    for (const limit of [0, -1]) {
      const done = getRunningLoop().createFuture<string>();
      done.setResult("done");
      assertEquals(await waitFor(done, limit), "done");
      const failed = getRunningLoop().createFuture();
      failed.setException(far());
      assertEquals(await outcome(waitFor(failed, limit)), "RangeError(far)");
      const cancelled = getRunningLoop().createFuture();
      cancelled.cancel("before");
      assertEquals(
        await outcome(waitFor(cancelled, limit)),
        "CancelledError(before)",
      );
    }
  });
});

Deno.test("waitFor() with a zero timeout never calls a coroutine function [test_waitfor.AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0_coroutine_do_not_started]", async () => {
  await virtual(async () => {
    let called = false;
    for (const limit of [0, -1, { seconds: -2 }]) {
      const error = await assertRejects(
        () => waitFor(() => called = true, limit),
        TimeoutError,
        "Timed out at once",
      );
      assert(error.cause instanceof CancelledError);
    }
    await sleep(1);
    assert(!called);
  });
});

Deno.test("waitFor() with a zero timeout cancels a task that runs, and waits for its cleanup [test_waitfor.AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0] [test_waitfor.AsyncioWaitForTest.test_wait_for_waits_for_task_cancellation_w_timeout_0]", async () => {
  await virtual(async () => {
    for (const limit of [0, -1]) {
      const log: string[] = [];
      const task = createTask(slowCleanup(log));
      await sleep(0);
      const error = await assertRejects(
        () => waitFor(task, limit),
        TimeoutError,
      );
      assert(error.cause instanceof CancelledError);
      assertEquals(log, ["cleanup", "clean"]);
      assert(task.cancelled());
    }
  });
});

Deno.test("waitFor() with a zero timeout gives the value or error with which the task answers", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const stays = createTask(stubborn(log, 1));
    const fails = createTask(() =>
      sleep(10).catch(() => {
        throw far();
      })
    );
    await sleep(0);
    assertEquals(await waitFor(stays, 0), "value");
    assertEquals(await outcome(waitFor(fails, 0)), "RangeError(far)");
  });
});

Deno.test("waitFor() with a zero timeout passes on a cancellation of the caller while the task cleans up", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(slowCleanup(log));
    await sleep(0);
    const caller = createTask(() => waitFor(task, 0));
    await sleep(0.5);
    caller.cancel("caller");
    assertEquals(await outcome(caller), "CancelledError(caller)");
    assertEquals(log, ["cleanup"]);
    assertEquals(await outcome(task), "CancelledError");
    assertEquals(log, ["cleanup", "clean"]);
  });
});

Deno.test("waitFor() cancels the task at the timeout, and throws when its cleanup has ended [test_waitfor.AsyncioWaitForTest.test_wait_for] [test_waitfor.AsyncioWaitForTest.test_wait_for_waits_for_task_cancellation]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(slowCleanup(log));
    const error = await assertRejects(() => waitFor(task, 0.1), TimeoutError);
    assertEquals(log, ["cleanup", "clean"]);
    assertEquals(now(), 1.1);
    assert(task.cancelled());
    assert(error.cause instanceof CancelledError);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("waitFor(null) waits as long as it takes [test_waitfor.AsyncioWaitForTest.test_wait_for_blocking]", async () => {
  await virtual(async () => {
    const answer = async () => {
      await sleep(3600);
      return "done";
    };
    assertEquals(await waitFor(answer, null), "done");
    assertEquals(await waitFor(createTask(answer), null), "done");
    assertEquals(await waitFor(() => "no promise", null), "no promise");
  });
});

Deno.test("waitFor() returns the value of a future that is done just before the deadline [test_waitfor.AsyncioWaitForTest.test_wait_for_race_condition]", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const soon = loop.createFuture<string>();
    loop.callSoon(() => soon.setResult("soon"));
    assertEquals(await waitFor(soon, 0.2), "soon");
    const atOnce = loop.createFuture<string>();
    loop.callAt(1, () => atOnce.setResult("too late, but kept"));
    await assertRejects(() => waitFor(atOnce, 1), TimeoutError);
    assertEquals(await atOnce, "too late, but kept");
    assertEquals([now(), currentTask()!.cancelling()], [1, 0]);
  });
});

Deno.test("waitFor() returns the value of a coroutine that swallows the cancellation [test_waitfor.AsyncioWaitForTest.test_wait_for_cancellation_race_condition] [test_waitfor.AsyncioWaitForTest.test_wait_for_cancel_suppressed]", async () => {
  await virtual(async () => {
    const answer = async () => {
      const error = await assertRejects(() => sleep(10), CancelledError);
      return error.name;
    };
    assertEquals(await waitFor(answer, 0.1), "CancelledError");
    assertEquals(await waitFor(createTask(answer), 0.1), "CancelledError");
  });
});

Deno.test("waitFor() throws the error with which the task answers the cancellation [test_waitfor.AsyncioWaitForTest.test_wait_for_reraises_exception_during_cancellation]", async () => {
  await virtual(async () => {
    const task = createTask(() =>
      sleep(10).catch(() => {
        throw far();
      })
    );
    assertEquals(await outcome(waitFor(task, 0.1)), "RangeError(far)");
  });
});

Deno.test("waitFor() that is cancelled cancels the task it waits for [test_waitfor.AsyncioWaitForTest.test_cancel_blocking_wait_for] [test_waitfor.AsyncioWaitForTest.test_cancel_wait_for]", async () => {
  await virtual(async () => {
    for (const limit of [null, 60]) {
      const inner = createTask(() => getRunningLoop().createFuture());
      const outer = createTask(() => waitFor(inner, limit));
      getRunningLoop().callSoon(() => outer.cancel("outer"));
      assertEquals(await outcome(outer), "CancelledError(outer)");
      assert(inner.cancelled() && outer.cancelled());
    }
  });
});

Deno.test("waitFor() that is cancelled as the task ends does not run on, and the value stays with the task [test_waitfor.AsyncioWaitForTest.test_wait_for_issue86296]", async () => {
  await virtual(async () => {
    for (const first of ["inner", "outer"]) {
      const log: string[] = [];
      const tasks: Record<string, Task<unknown>> = {};
      const start: Record<string, () => void> = {
        inner: () => tasks.inner = createTask(() => "done"),
        outer: () =>
          tasks.outer = createTask(async () => {
            log.push(`got ${await waitFor(tasks.inner, 100)}`);
            await sleep(1);
            log.push("not reached");
          }),
      };
      start[first]();
      start[first === "inner" ? "outer" : "inner"]();
      await sleep(0);
      assert(tasks.inner.done() && !tasks.outer.done());
      tasks.outer.cancel();
      assertEquals(await outcome(tasks.outer), "CancelledError");
      assertEquals(await tasks.inner, "done");
      assertEquals(log, first === "inner" ? ["got done"] : []);
    }
  });
});

Deno.test("waitFor() with a zero timeout ends a shield only [test_waitfor.WaitForShieldTests.test_zero_timeout]", async () => {
  await virtual(async () => {
    const task = createTask(() => sleep(1, { result: "done" }));
    const shielded = shield(task);
    await assertRejects(() => waitFor(shielded, 0), TimeoutError);
    assert(shielded.cancelled());
    assert(!task.done());
    assertEquals(await task, "done");
  });
});

Deno.test("waitFor(null) waits for a shielded task [test_waitfor.WaitForShieldTests.test_none_timeout]", async () => {
  await virtual(async () => {
    const task = createTask(() => sleep(1, { result: "done" }));
    assertEquals(await waitFor(shield(task), null), "done");
    assert(task.done());
  });
});

Deno.test("waitFor() of a shield that times out leaves the task running [test_waitfor.WaitForShieldTests.test_shielded_timeout]", async () => {
  await virtual(async () => {
    const task = createTask(() => sleep(1, { result: "done" }));
    await assertRejects(() => waitFor(shield(task), 0.1), TimeoutError);
    assert(!task.done());
    assertEquals(await task, "done");
  });
});

Deno.test("waitFor() runs a coroutine function inside the calling task", async () => {
  await virtual(async () => {
    const me = currentTask();
    let inside: Task<unknown> | null = null;
    let given: AbortSignal | undefined;
    const error = await assertRejects(
      () =>
        waitFor(async (signal) => {
          inside = currentTask();
          given = signal;
          await sleep(10);
        }, 1),
      TimeoutError,
    );
    assertEquals(inside, me);
    assertEquals(given!.reason, error.cause);
    assert(!me!.signal.aborted);
  });
});

Deno.test("waitFor() takes a promise, which is left alone at the timeout", async () => {
  await virtual(async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    await assertRejects(() => waitFor(promise, 1), TimeoutError);
    resolve("late");
    assertEquals(await waitFor(promise, 1), "late");
  });
});

Deno.test("waitFor() with its signal aborted ends with the reason, and cancels what it waited for", async () => {
  await virtual(async () => {
    const limits: (Duration | null)[] = [null, 60];
    for (const limit of limits) {
      const controller = new AbortController();
      const task = createTask(() => sleep(10));
      getRunningLoop().callLater(1, () => controller.abort(far()));
      const wait = waitFor(task, limit, { signal: controller.signal });
      assertEquals(await outcome(wait), "RangeError(far)");
      assert(task.cancelled());
      assertEquals(currentTask()!.cancelling(), 0);
    }
    await sleep(1);
  });
});

Deno.test("waitFor() whose signal is already aborted does not begin", async () => {
  await virtual(async () => {
    let called = false;
    const wait = waitFor(() => called = true, 1, {
      signal: AbortSignal.abort(far()),
    });
    assertEquals(await outcome(wait), "RangeError(far)");
    assert(!called);
  });
});

Deno.test("waitFor() whose signal aborts without time left ends with the reason while the task cleans up", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const controller = new AbortController();
    const task = createTask(slowCleanup(log));
    await sleep(0);
    getRunningLoop().callLater(0.5, () => controller.abort(far()));
    const wait = waitFor(task, 0, { signal: controller.signal });
    assertEquals(await outcome(wait), "RangeError(far)");
    assertEquals(log, ["cleanup"]);
    assertEquals(await outcome(task), "CancelledError");
  });
});

Deno.test("waitFor() passes on an outer cancellation that meets its signal or its deadline in one turn", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    for (const limit of [1, 60]) {
      const controller = new AbortController();
      const task = createTask(() =>
        waitFor(() => sleep(10), limit, { signal: controller.signal })
      );
      await sleep(0);
      loop.callLater(1, () => controller.abort(far()));
      loop.callLater(1, () => task.cancel());
      assertEquals(await outcome(task), "CancelledError");
      assert(task.cancelled());
    }
  });
});

Deno.test("waitFor() whose coroutine answers an aborted signal returns its answer", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    getRunningLoop().callLater(1, () => controller.abort());
    const wait = waitFor(
      () => sleep(10).catch(() => "answer"),
      5,
      { signal: controller.signal },
    );
    assertEquals(await wait, "answer");
    assertEquals(currentTask()!.cancelling(), 0);
    controller.abort();
    await sleep(1);
  });
});

Deno.test("waitFor() leaves its signal alone once it has ended", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    const { signal } = controller;
    assertEquals(await waitFor(() => sleep(1), 5, { signal }), undefined);
    await assertRejects(() => waitFor(() => sleep(9), 1, { signal }));
    controller.abort(far());
    await sleep(1);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("waitFor() works without a task", async () => {
  const { signal } = new AbortController();
  assertEquals(await waitFor(() => sleep(0, { result: 1 }), 60), 1);
  assertEquals(await waitFor(Promise.resolve(2), 60, { signal }), 2);
  assertEquals(await outcome(waitFor(() => 3, null)), "value 3");
  const failed = waitFor(() => {
    throw far();
  }, 60);
  assertEquals(await outcome(failed), "RangeError(far)");
  const error = await assertRejects(
    () => waitFor(() => sleep(60), { milliseconds: 1 }),
    TimeoutError,
  );
  assert(error.cause instanceof CancelledError);
  await assertRejects(() => waitFor(() => sleep(60), 0), TimeoutError);
});

Deno.test("waitFor() checks its arguments before anything happens", async () => {
  await virtual(async () => {
    let called = false;
    const body = () => called = true;
    await assertRejects(() => waitFor(body, NaN), RangeError, "timeout");
    await assertRejects(() => waitFor(body, "1" as never), TypeError);
    for (const wrong of [42, "x", null, undefined, {}]) {
      await assertRejects(
        () => waitFor(wrong as unknown as Awaitable<void>, 1),
        TypeError,
        "Cannot wait for",
      );
    }
    assert(!called);
  });
});

Deno.test("waitFor() calls the then() of a thenable once, as each call may start its work", async () => {
  let calls = 0;
  const query = {
    then(give: (value: string) => void) {
      calls++;
      Promise.resolve("rows").then(give);
    },
  } as PromiseLike<string>;
  await virtual(async () => {
    assertEquals(await waitFor(query, 1), "rows");
    assertEquals(calls, 1);
  });
  assertEquals(await waitFor(query, 1), "rows");
  assertEquals(calls, 2);
});
