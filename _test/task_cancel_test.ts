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
  createTask,
  currentTask,
  type Future,
  gather,
  getEventLoop,
  getRunningLoop,
  run,
  shield,
  sleep,
  type Task,
  TimeoutError,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

function pending<T = unknown>(): Future<T> {
  return getEventLoop().createFuture<T>();
}

/** What a finished task says of itself. */
function state(task: Future<unknown>): string {
  if (!task.done()) return "pending";
  return task.cancelled() ? "cancelled" : "finished";
}

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
}

Deno.test("Task.cancel() ends a sleeping task, and then returns false [test_tasks.BaseTaskTests.test_cancel]", async () => {
  await virtual(async () => {
    const task = createTask(async () => {
      await sleep(10);
      return 12;
    });
    await sleep(1);
    assertEquals(task.cancel(), true);
    await assertRejects(() => task, CancelledError);
    assertEquals(state(task), "cancelled");
    assertEquals(task.cancel(), false);
    assertEquals(getRunningLoop().time(), 1);
  });
});

Deno.test("Task.cancel() keeps its message to the end [test_tasks.BaseTaskTests.test_task_cancel_message_getter]", async () => {
  await virtual(async () => {
    const task = createTask(() => sleep(10));
    await sleep(0);
    task.cancel("my message");
    assertEquals(await outcome(task), "CancelledError(my message)");
    assertEquals(await outcome(task), "CancelledError(my message)");
  });
});

const MESSAGES: [unknown, unknown][] = [
  [undefined, ""],
  [null, ""],
  ["my message", "my message"],
  [5, 5],
];

Deno.test("Task.result() throws with the message of cancel() [test_tasks.BaseTaskTests.test_cancel_with_message_then_future_result]", async () => {
  for (const [given, expected] of MESSAGES) {
    await virtual(async () => {
      const task = createTask(() => sleep(10));
      await sleep(0);
      task.cancel(given as string);
      await outcome(task);
      const error = thrownBy(() => task.result());
      assertInstanceOf(error, CancelledError);
      assertStrictEquals(error.message as unknown, expected);
    });
  }
});

Deno.test("Task.exception() throws with the message of cancel() [test_tasks.BaseTaskTests.test_cancel_with_message_then_future_exception]", async () => {
  for (const [given, expected] of MESSAGES) {
    await virtual(async () => {
      const task = createTask(() => sleep(10));
      await sleep(0);
      task.cancel(given as string);
      await outcome(task);
      const error = thrownBy(() => task.exception());
      assertInstanceOf(error, CancelledError);
      assertStrictEquals(error.message as unknown, expected);
    });
  }
});

Deno.test("Task.cancel() is the cause of an error that answers it [test_tasks.BaseTaskTests.test_cancellation_exception_context]", async () => {
  await virtual(async () => {
    const task = createTask(async () => {
      try {
        await sleep(10);
      } catch (cause) {
        throw new TypeError("answer", { cause });
      }
    });
    await sleep(0);
    task.cancel("my message");
    const error = await assertRejects(() => task, TypeError, "answer");
    assertEquals(shape(error.cause), "CancelledError(my message)");
    assertEquals(state(task), "finished");
  });
});

Deno.test("Task.cancel() before the first step: the body never runs [test_tasks.BaseTaskTests.test_cancel_with_message_before_starting_task]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      try {
        log.push("body");
        await sleep(0);
      } finally {
        log.push("finally");
      }
    });
    task.addDoneCallback(() => log.push("done"));
    assert(task.cancel("my message"));
    assertEquals(state(task), "pending");
    await assertRejects(() => task, CancelledError, "my message");
    const error = assertThrows(() => task.exception(), CancelledError);
    assertEquals(error.message, "my message");
    assertEquals(log, ["done"]);
  });
});

Deno.test("Task.cancel() before the first step, taken back: the body runs", async () => {
  await virtual(async () => {
    const task = createTask(() => "ran");
    task.cancel();
    assertEquals(task.uncancel(), 0);
    assertEquals(await task, "ran");
  });
});

Deno.test("Task.cancel() reaches a task in a sleep of zero [test_tasks.BaseTaskTests.test_cancel_yield]", async () => {
  await virtual(async () => {
    const task = createTask(async () => {
      await sleep(0);
      await sleep(0);
      return 12;
    });
    await sleep(0);
    task.cancel();
    await assertRejects(() => task, CancelledError);
    assertEquals(state(task), "cancelled");
  });
});

Deno.test("Task is cancelled by the cancellation of the future that it awaits [test_tasks.BaseTaskTests.test_cancel_inner_future]", async () => {
  await virtual(async () => {
    const future = pending();
    const task = createTask(async () => {
      await future;
      return 12;
    });
    await sleep(0);
    future.cancel("inner");
    await assertRejects(() => task, CancelledError, "inner");
    assertEquals([state(future), state(task)], ["cancelled", "cancelled"]);
    assertEquals(task.cancelling(), 0);
  });
});

Deno.test("Task.cancel() beside the cancellation of what it awaits [test_tasks.BaseTaskTests.test_cancel_both_task_and_inner_future]", async () => {
  await virtual(async () => {
    for (const order of ["task first", "future first"]) {
      const future = pending();
      const task = createTask(async () => {
        await future;
        return 12;
      });
      await sleep(0);
      const cancels = [() => task.cancel(), () => future.cancel()];
      if (order === "future first") cancels.reverse();
      for (const cancel of cancels) cancel();
      await assertRejects(() => task, CancelledError);
      assertEquals([state(future), state(task)], ["cancelled", "cancelled"]);
    }
  });
});

Deno.test("Task that catches the cancellation and returns is finished [test_tasks.BaseTaskTests.test_cancel_task_catching]", async () => {
  await virtual(async () => {
    const [one, two] = [pending(), pending()];
    const task = createTask(async () => {
      await one;
      try {
        await two;
      } catch (error) {
        assertInstanceOf(error, CancelledError);
        return 42;
      }
    });
    await sleep(0);
    one.setResult(null);
    await sleep(0);
    task.cancel();
    assertEquals(await task, 42);
    assertEquals([state(two), state(task)], ["cancelled", "finished"]);
  });
});

Deno.test("Task that swallows the cancellation can await again [test_tasks.BaseTaskTests.test_cancel_task_ignoring]", async () => {
  await virtual(async () => {
    const [one, two, three] = [pending(), pending(), pending()];
    const task = createTask(async () => {
      await one;
      await two.catch(() => {});
      return await three;
    });
    await sleep(0);
    one.setResult(null);
    await sleep(0);
    task.cancel();
    await sleep(0);
    await sleep(0);
    await sleep(0);
    const states = [state(two), state(three), state(task)];
    assertEquals(states, ["cancelled", "pending", "pending"]);
    three.setResult(42);
    assertEquals(await task, 42);
  });
});

Deno.test("Task.cancel() of oneself takes effect at the next wait [test_tasks.BaseTaskTests.test_cancel_current_task]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task: Task<number> = createTask(async () => {
      task.cancel();
      log.push("still here");
      await sleep(10);
      log.push("unreachable");
      return 12;
    });
    await assertRejects(() => task, CancelledError);
    assertEquals(state(task), "cancelled");
    assertEquals(task.cancel(), false);
    assertEquals(log, ["still here"]);
    assertEquals(getRunningLoop().time(), 0);
  });
});

Deno.test("Task.cancel() of oneself without another wait: the value is gone [test_tasks.BaseTaskTests.test_cancel_at_end]", async () => {
  await virtual(async () => {
    const task: Task<number> = createTask(async () => {
      await sleep(10);
      task.cancel();
      return 12;
    });
    await assertRejects(() => task, CancelledError);
    assertEquals(state(task), "cancelled");
  });
});

Deno.test("Task.cancel() of oneself, then an error: the error counts", async () => {
  const task: Task<void> = createTask(() => {
    task.cancel();
    throw new RangeError("after all");
  });
  assertEquals(await outcome(task), "RangeError(after all)");
});

Deno.test("Task.cancel() of oneself reaches the child that is awaited next [test_tasks.BaseTaskTests.test_cancel_awaited_task]", async () => {
  await virtual(async () => {
    const innermost = pending();
    const child = createTask(async () => await innermost);
    const task: Task<void> = createTask(async () => {
      await sleep(0);
      task.cancel("deep");
      await child;
    });
    await assertRejects(() => task, CancelledError, "deep");
    const states = [task, child, innermost].map(state);
    assertEquals(states, ["cancelled", "cancelled", "cancelled"]);
  });
});

Deno.test("Task.cancel() of oneself outlasts an await of what is done already", async () => {
  await virtual(async () => {
    const done = pending<string>();
    done.setResult("value");
    const log: string[] = [];
    const task: Task<void> = createTask(async () => {
      task.cancel();
      log.push(await done);
      await sleep(0);
      log.push("unreachable");
    });
    assertEquals(await outcome(task), "CancelledError");
    assertEquals(log, ["value"]);
  });
});

Deno.test("Task.cancel() when the awaited future has just got its value: the cancellation wins", async () => {
  await virtual(async () => {
    const future = pending<string>();
    const task = createTask(async () => await future);
    await sleep(0);
    future.setResult("value");
    assertEquals(task.cancel("late"), true);
    assertEquals(await outcome(task), "CancelledError(late)");
    assertEquals(future.result(), "value");
  });
});

Deno.test("Task.cancel() when the awaited future has just failed: the cancellation wins, the error is not lost", async () => {
  const reports: string[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((_, context) => {
      reports.push(`${context.message}: ${shape(context.exception)}`);
    });
    const future = pending();
    const task = createTask(async () => await future);
    await sleep(0);
    future.setException(new RangeError("unseen"));
    task.cancel();
    assertEquals(await outcome(task), "CancelledError");
  });
  assertEquals(reports, [
    "Future exception was never retrieved: RangeError(unseen)",
  ]);
});

Deno.test("Task.cancel() when the awaited task has just ended: the cancellation wins", async () => {
  await virtual(async () => {
    const child = createTask(() => sleep(1, { result: "child" }));
    const before: Task<string> = createTask(async () => await child);
    child.addDoneCallback(() => assertEquals(before.cancel(), true));
    const after: Task<string> = createTask(async () => await child);
    await sleep(0);
    child.addDoneCallback(() => assertEquals(after.cancel(), false));
    assertEquals(await outcome(before), "CancelledError");
    assertEquals(await outcome(after), "value child");
  });
});

Deno.test("Task.cancelling() counts every request that nobody took back [test_tasks.BaseTaskTests.test_cancelling]", async () => {
  await virtual(async () => {
    const task = createTask(() => sleep(10));
    assertEquals(task.cancelling(), 0);
    await sleep(0);
    assertEquals([task.cancel(), task.cancelling()], [true, 1]);
    assertEquals([task.cancel(), task.cancelling()], [true, 2]);
    assertEquals(await outcome(task), "CancelledError");
    assertEquals([task.cancel(), task.cancelling()], [false, 2]);
  });
});

Deno.test("Task.cancel() several times in one step is delivered once", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      log.push(await outcome(sleep(10)));
      log.push(await outcome(sleep(1)));
      return "end";
    });
    await sleep(0);
    task.cancel("one");
    task.cancel("two");
    task.cancel("three");
    assertEquals(await outcome(task), "value end");
    assertEquals(log, ["CancelledError(one)", "value undefined"]);
    assertEquals(task.cancelling(), 3);
  });
});

Deno.test("Task.uncancel() puts a task that swallowed the request back to where it was [test_tasks.BaseTaskTests.test_uncancel_basic]", async () => {
  await virtual(async () => {
    const task: Task<void> = createTask(async () => {
      const error = await outcome(sleep(10));
      assertEquals(error, "CancelledError");
      task.uncancel();
      await sleep(10);
    });
    await sleep(0);
    task.cancel();
    assertEquals(task.cancelling(), 1);
    await sleep(0);
    await sleep(0);
    assertEquals([state(task), task.cancelling()], ["pending", 0]);
    assertEquals(task.cancel(), true);
    assertEquals(task.cancelling(), 1);
    assertEquals(await outcome(task), "CancelledError");
    assertEquals(state(task), "cancelled");
    assertEquals([task.uncancel(), task.cancelling()], [0, 0]);
    assertEquals(task.uncancel(), 0);
    assertEquals(state(task), "cancelled");
  });
});

Deno.test("Task.uncancel() drops a request that was not delivered [test_tasks.BaseTaskTests.test_uncancel_resets_must_cancel]", async () => {
  await virtual(async () => {
    const future = pending<string>();
    const task = createTask(async () => [await future, await sleep(1)][0]);
    await sleep(0);
    future.setResult("value");
    task.cancel();
    assertEquals(task.uncancel(), 0);
    assertEquals(await task, "value");
    assertEquals(task.cancelling(), 0);
  });
});

Deno.test("Task.uncancel() of one of two requests drops neither", async () => {
  await virtual(async () => {
    const future = pending<string>();
    const task = createTask(async () => await future);
    await sleep(0);
    future.setResult("value");
    task.cancel();
    task.cancel();
    assertEquals(task.uncancel(), 1);
    assertEquals(await outcome(task), "CancelledError");
  });
});

Deno.test("Task.uncancel() comes too late for a delivered request", async () => {
  await virtual(async () => {
    const task = createTask(() => sleep(10));
    await sleep(0);
    task.cancel("delivered");
    assertEquals(task.uncancel(), 0);
    assertEquals(await outcome(task), "CancelledError(delivered)");
  });
});

/** A deadline made by hand of `cancel()` and `uncancel()`. */
async function deadline(delay: number, body: () => Promise<void>) {
  const task = currentTask()!;
  let isDelivered = false;
  const timer = getRunningLoop().callLater(delay, () => {
    isDelivered = true;
    task.cancel();
  });
  try {
    await body();
  } catch (cause) {
    if (!isDelivered || task.uncancel() > 0) throw cause;
    throw new TimeoutError("by hand", { cause });
  } finally {
    timer.cancel();
  }
}

Deno.test("Task.uncancel() makes a structured block of a deadline, and what follows runs on [test_tasks.BaseTaskTests.test_uncancel_structured_blocks]", async () => {
  await virtual(async () => {
    const work = (log: string[], delay: number) => async () => {
      try {
        await deadline(2, () => sleep(delay));
        log.push("in time");
      } catch (error) {
        log.push(shape(error));
      }
      log.push(`cancelling ${currentTask()!.cancelling()}`);
      await sleep(1);
      log.push("on");
    };
    const late: string[] = [];
    await createTask(work(late, 10));
    assertEquals(late, ["TimeoutError(by hand)", "cancelling 0", "on"]);
    const early: string[] = [];
    await createTask(work(early, 1));
    assertEquals(early, ["in time", "cancelling 0", "on"]);
    const outer: string[] = [];
    const task = createTask(work(outer, 10));
    await sleep(1);
    task.cancel("outside");
    await task;
    assertEquals(outer, ["CancelledError(outside)", "cancelling 1", "on"]);
  });
});

Deno.test("Task.cancel() from a timer is seen by the parent, which can catch it [test_tasks.BaseTaskTests.test_task_cancel_sleeping_task]", async () => {
  await virtual(async () => {
    const log: unknown[] = [];
    const parent = createTask(async () => {
      const sleeper = createTask(() => sleep(1000));
      const loop = getRunningLoop();
      loop.callLater(5, () => sleeper.cancel());
      try {
        await sleeper;
      } catch (error) {
        log.push(shape(error), loop.time());
      }
    });
    await parent;
    assertEquals(log, ["CancelledError", 5]);
    assertEquals(state(parent), "finished");
  });
});

Deno.test("Task.cancel() cancels the future that the task waits for [test_tasks.BaseTaskTests.test_task_cancel_waiter_future]", async () => {
  await virtual(async () => {
    const future = pending();
    const task = createTask(async () => await future);
    await sleep(0);
    task.cancel("m");
    assertEquals(state(future), "cancelled");
    assertEquals(await outcome(task), "CancelledError(m)");
    assertEquals(await outcome(future), "CancelledError(m)");
  });
});

Deno.test("Task.cancel() goes to the innermost wait and unwinds outward; a handler may swallow it [test_tasks.BaseTaskTests.test_yield_future_passes_cancel]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const future = pending();
    const level = async (name: string, body: () => PromiseLike<unknown>) => {
      try {
        await body();
        log.push(`${name} ends`);
      } catch (error) {
        log.push(`${name} ${shape(error)}`);
        throw error;
      }
    };
    const inner = () => level("inner", () => future);
    const middle = () => level("middle", inner);
    const outer = createTask(async () => {
      await level("outer", middle).catch(() => log.push("swallowed"));
      return "value";
    });
    await sleep(0);
    outer.cancel("m");
    assertEquals(await outer, "value");
    assertEquals(log, [
      "inner CancelledError(m)",
      "middle CancelledError(m)",
      "outer CancelledError(m)",
      "swallowed",
    ]);
    assert(future.cancelled());
  });
});

Deno.test("Task.cancel() goes down through tasks, gather and shield, and comes up from the innermost", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const logged =
      (name: string, body: () => PromiseLike<unknown>) => async () => {
        try {
          return await body();
        } catch (error) {
          log.push(`${name} ${shape(error)}`);
          throw error;
        }
      };
    const safe = createTask(logged("safe", () => sleep(5)));
    const leaf = createTask(logged("leaf", () => sleep(10)));
    const shielding = createTask(logged("shielding", () => shield(safe)));
    const middle = createTask(
      logged("middle", () => gather([leaf, shielding])),
    );
    const outer = createTask(logged("outer", () => middle));
    await sleep(1);
    outer.cancel("m");
    await outcome(outer);
    assertEquals(log, [
      "leaf CancelledError(m)",
      "shielding CancelledError(m)",
      "middle CancelledError(m)",
      "outer CancelledError(m)",
    ]);
    assertEquals([state(outer), state(middle)], ["cancelled", "cancelled"]);
    assertEquals(state(safe), "pending");
    assertEquals(await outcome(safe), "value undefined");
  });
});

Deno.test("Task.cancel() is answered by the innermost task: if that gives a value, the outer one continues", async () => {
  await virtual(async () => {
    const child = createTask(async () => {
      await sleep(10).catch(() => {});
      await sleep(1);
      return "saved";
    });
    const outer = createTask(async () => `outer got ${await child}`);
    await sleep(0);
    outer.cancel();
    assertEquals(await outer, "outer got saved");
    assertEquals([outer.cancelling(), child.cancelling()], [1, 1]);
    assertEquals(getRunningLoop().time(), 1);
  });
});

Deno.test("Task.cancel() drags along another task that awaits the same child", async () => {
  await virtual(async () => {
    const child = createTask(() => sleep(10));
    const one = createTask(async () => await child);
    const two = createTask(async () => await child);
    await sleep(0);
    one.cancel();
    assertEquals(await outcome(two), "CancelledError");
    assertEquals([one, two, child].map(state), Array(3).fill("cancelled"));
    assertEquals([one.cancelling(), two.cancelling()], [1, 0]);
  });
});

Deno.test("Task.cancel() is swallowed, and asked for again", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const stubborn = createTask(async () => {
      for (let i = 0; i < 3; i++) {
        log.push(await outcome(sleep(10)));
      }
      await sleep(10);
    });
    await sleep(1);
    for (let i = 0; i < 4; i++) {
      stubborn.cancel(`request ${i}`);
      await sleep(1);
    }
    assertEquals(log, [
      "CancelledError(request 0)",
      "CancelledError(request 1)",
      "CancelledError(request 2)",
    ]);
    assertEquals(await outcome(stubborn), "CancelledError(request 3)");
    assertEquals(stubborn.cancelling(), 4);
  });
});

Deno.test("Task.cancel() in the middle of a cleanup interrupts the cleanup", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      try {
        await sleep(10);
      } finally {
        log.push("cleaning up");
        log.push(await outcome(sleep(5)));
        await sleep(1);
        log.push("clean");
      }
    });
    await sleep(1);
    task.cancel("one");
    await sleep(1);
    task.cancel("two");
    assertEquals(await outcome(task), "CancelledError(one)");
    assertEquals(log, ["cleaning up", "CancelledError(two)", "clean"]);
  });
});

Deno.test("Task.cancel() ends every wait under a Promise.all", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const one = pending();
    const step = async (name: string, wait: () => PromiseLike<unknown>) => {
      log.push(`${name} ${await outcome(wait())}`);
    };
    const task = createTask(async () => {
      await Promise.all([
        step("future", () => one),
        step("sleep", () => sleep(10)),
        step("yield", () => sleep(0)),
        step("gather", () => gather([() => sleep(5)])),
      ]);
      return "all ended";
    });
    await sleep(1);
    task.cancel("m");
    assertEquals(await task, "all ended");
    assertEquals(log, [
      "yield value undefined",
      "future CancelledError(m)",
      "sleep CancelledError(m)",
      "gather CancelledError(m)",
    ]);
    assert(one.cancelled());
    assertEquals(task.cancelling(), 1);
  });
});

Deno.test("Task.cancel() under a Promise.all beats what is done and not yet taken", async () => {
  await virtual(async () => {
    const [one, two] = [pending<string>(), pending<string>()];
    const task = createTask(() => Promise.all([outcome(one), outcome(two)]));
    await sleep(0);
    one.setResult("one");
    task.cancel("m");
    assertEquals(await task, ["CancelledError(m)", "CancelledError(m)"]);
    assertEquals(one.result(), "one");
  });
});

Deno.test("Task.uncancel() under a Promise.all spares what is done and not yet taken", async () => {
  await virtual(async () => {
    const [one, two] = [pending<string>(), pending<string>()];
    const task = createTask(() => Promise.all([outcome(one), outcome(two)]));
    await sleep(0);
    one.setResult("one");
    two.setResult("two");
    task.cancel("m");
    assertEquals(task.uncancel(), 0);
    assertEquals(await task, ["value one", "value two"]);
  });
});

Deno.test("Task.cancel() that meets a foreign promise takes effect at the next wait of this module", async () => {
  await run(async () => {
    const foreign = Promise.withResolvers<string>();
    const log: string[] = [];
    const task = createTask(async () => {
      log.push(await foreign.promise);
      log.push(await outcome(sleep(10)));
      return "end";
    });
    await sleep(0);
    task.cancel("m");
    await sleep(0);
    assertEquals(log, []);
    foreign.resolve("foreign");
    assertEquals(await task, "end");
    assertEquals(log, ["foreign", "CancelledError(m)"]);
  });
});

Deno.test("Task.cancel() of a failed task marks its error as seen [test_tasks.BaseTaskTests.test_tb_logger_not_called_after_cancel]", async () => {
  const reports: unknown[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((_, it) => reports.push(it.message));
    const failing = () => {
      throw new RangeError("far");
    };
    const seen = createTask(failing, { name: "seen" });
    createTask(failing, { name: "unseen" });
    await sleep(0);
    assertEquals(seen.cancel(), false);
  });
  assertEquals(reports, ["Task exception was never retrieved: unseen"]);
});

Deno.test("Task that throws a CancelledError of its own is cancelled", async () => {
  const task = createTask(() => {
    throw new CancelledError("by myself");
  });
  assertEquals(await outcome(task), "CancelledError(by myself)");
  assertEquals([state(task), task.cancelling()], ["cancelled", 0]);
});

Deno.test("Task hands the very error that ended it to the first who asks, and its message to the next", async () => {
  const error = new CancelledError("mine");
  const task = createTask(() => Promise.reject(error));
  assertStrictEquals(await assertRejects(() => task, CancelledError), error);
  const again = await assertRejects(() => task, CancelledError, "mine");
  assert(again !== error);
});

Deno.test("Task.cancel() does not reach what the task has only handed functions to", async () => {
  await virtual(async () => {
    const others = [0, 1, 2, 3].map(() => createTask(() => sleep(5)));
    const ignore = () => {};
    const task = createTask(async () => {
      others[0].then(ignore);
      others[1].catch(ignore);
      others[2].finally(ignore);
      // One function of the host and one of our own: no await either.
      new Promise<void>((resolve) => others[3].then(resolve, ignore));
      await sleep(9);
    });
    await sleep(1);
    task.cancel("m");
    assertEquals(await outcome(task), "CancelledError(m)");
    assertEquals(others.map(state), Array(4).fill("pending"));
    await sleep(9);
    assertEquals(
      others.map((other) => other.result()),
      Array(4).fill(undefined),
    );
  });
});

Deno.test("Task.cancel() of a task in a foreign promise takes effect at its next wait, even if it has handed functions on", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const other = createTask(() => sleep(5));
    const foreign = Promise.withResolvers<void>();
    const task = createTask(async () => {
      other.then(() => log.push("other"));
      await foreign.promise;
      log.push("foreign");
      await sleep(9);
    });
    await sleep(1);
    task.cancel("m");
    foreign.resolve();
    assertEquals(await outcome(task), "CancelledError(m)");
    await other;
    assertEquals(log, ["foreign", "other"]);
  });
});

Deno.test("Task.cancel() pending leaves a function alone that the task hands to a future, and takes effect at its await", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const future = pending<string>();
    const task = createTask(async () => {
      currentTask()!.cancel("m");
      future.then((value) => log.push(value));
      await sleep(1);
    });
    assertEquals(await outcome(task), "CancelledError(m)");
    assertEquals(state(future), "pending");
    future.setResult("value");
    await sleep(0);
    assertEquals(log, ["value"]);
  });
});
