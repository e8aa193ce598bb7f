import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  asCompleted,
  createTask,
  currentTask,
  Event,
  type Future,
  gather,
  getEventLoop,
  getRunningLoop,
  run,
  sleep,
  Task,
  TimeoutError,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

/** Sleeps for a delay, and returns a name. */
const nap = (name: string, delay: number) => async () => {
  await sleep(delay);
  return name;
};

const now = () => getRunningLoop().time();

/** The results of `for await`. */
async function asynchronous<T>(
  completions: ReturnType<typeof asCompleted<T>>,
): Promise<T[]> {
  const results: T[] = [];
  for await (const task of completions) {
    assert(task.done());
    results.push(task.result());
  }
  return results;
}

/** The results of a plain `for`. */
async function plain<T>(
  completions: ReturnType<typeof asCompleted<T>>,
): Promise<T[]> {
  const results: T[] = [];
  for (const turn of completions) results.push(await turn);
  return results;
}

const STYLES = [asynchronous, plain];

Deno.test("asCompleted() yields results in the order of completion [test_tasks.BaseTaskTests.test_as_completed]", async () => {
  for (const style of STYLES) {
    await virtual(async () => {
      const aws = [nap("b", 0.15), nap("a", 0.1), nap("c", 0.15)];
      assertEquals(await style(asCompleted(aws)), ["a", "b", "c"]);
      assertEquals(now(), 0.15);
    });
  }
});

Deno.test("asCompleted() yields the caller's own futures, and tasks for the rest [test_tasks.BaseTaskTests.test_as_completed_same_tasks_in_as_out]", async () => {
  await virtual(async () => {
    const future = getEventLoop().createFuture<string>();
    future.setResult("future");
    const task = createTask(nap("task", 1));
    const coro = nap("function", 2);
    const promise = Promise.resolve("promise");
    const given = new Set<unknown>([future, task]);
    const seen: string[] = [];
    for await (const it of asCompleted([coro, task, promise, future])) {
      seen.push(`${given.has(it) ? "given" : "made"} ${it.result()}`);
      if (it.result() === "function") assertInstanceOf(it, Task);
    }
    assertEquals(seen, [
      "made promise",
      "given future",
      "given task",
      "made function",
    ]);
  });
});

Deno.test("asCompleted() throws for everything not done at the deadline [test_tasks.BaseTaskTests.test_as_completed_with_timeout]", async () => {
  await virtual(async () => {
    const aws = () => [nap("a", 0.1), nap("b", 0.15), nap("c", 0.2)];
    const log: string[] = [];
    for (const turn of asCompleted(aws(), { timeout: 0.12 })) {
      log.push(await outcome(turn));
    }
    assertEquals(log, [
      "value a",
      "TimeoutError(Timed out with futures still pending)",
      "TimeoutError(Timed out with futures still pending)",
    ]);
    assertEquals(now(), 0.12);
    const results: string[] = [];
    const error = await assertRejects(async () => {
      for await (const it of asCompleted(aws(), { timeout: 0.12 })) {
        results.push(it.result());
      }
    }, TimeoutError);
    assertEquals(error.message, "Timed out with futures still pending");
    assertEquals(results, ["a"]);
    assertEquals(now(), 0.24);
  });
});

Deno.test("asCompleted() cancels nothing at its deadline", async () => {
  await virtual(async () => {
    const task = createTask(nap("late", 5));
    const completions = asCompleted([task], { timeout: { seconds: 1 } });
    await assertRejects(() => plain(completions), TimeoutError);
    assertEquals(task.cancelling(), 0);
    assertEquals(await task, "late");
  });
});

Deno.test("asCompleted() with a zero timeout yields what is already done", async () => {
  await virtual(async () => {
    const done = createTask(() => "done");
    await done;
    for (const timeout of [0, -1]) {
      const log: string[] = [];
      const aws = [done, createTask(nap("late", 1))];
      for (const turn of asCompleted(aws, { timeout })) {
        log.push((await outcome(turn)).replace(/\(.*/, ""));
      }
      assertEquals(log, ["value done", "TimeoutError"]);
    }
  });
});

Deno.test("asCompleted() cancels a timer that was not needed [test_tasks.BaseTaskTests.test_as_completed_with_unused_timeout]", async () => {
  for (const style of STYLES) {
    // On Deno's clock: a leftover timer would fail the sanitizer.
    await run(async () => {
      const aws = [nap("a", 0), nap("b", 0)];
      const completions = asCompleted(aws, { timeout: 3600 });
      assertEquals(await style(completions), ["a", "b"]);
    });
  }
});

Deno.test("asCompleted() can be left and continued [test_tasks.BaseTaskTests.test_as_completed_resume_iterator]", async () => {
  await virtual(async () => {
    const aws = () => [1, 2, 3, 4].map((n) => nap(`${n}`, n));
    const log: string[] = [];
    const plainly = asCompleted(aws());
    for (const turn of plainly) {
      log.push(await turn);
      if (log.length === 2) break;
    }
    log.push("left");
    for (const turn of plainly) log.push(await turn);
    assertEquals(log, ["1", "2", "left", "3", "4"]);
    const awaiting = asCompleted(aws());
    for await (const it of awaiting) {
      log.push(it.result());
      break;
    }
    log.push("left");
    for await (const it of awaiting) log.push(it.result());
    assertEquals(log.slice(5), ["1", "left", "2", "3", "4"]);
    for (const _ of awaiting) log.push("nothing is left");
    assertEquals(log.length, 10);
  });
});

Deno.test("asCompleted() can be continued in the other style", async () => {
  await virtual(async () => {
    const completions = asCompleted([1, 2, 3].map((n) => nap(`${n}`, n)));
    const log: string[] = [];
    for (const turn of completions) {
      log.push(`plain ${await turn}`);
      break;
    }
    for await (const it of completions) log.push(`async ${it.result()}`);
    assertEquals(log, ["plain 1", "async 2", "async 3"]);
  });
});

Deno.test("asCompleted() gives the first completion to the turn that is awaited first [test_tasks.BaseTaskTests.test_as_completed_reverse_wait]", async () => {
  await virtual(async () => {
    const aws = [nap("a", 0.05), nap("b", 0.1)];
    const [one, two] = [...asCompleted(aws)];
    assertEquals([await two, now()], ["a", 0.05]);
    assertEquals([await one, now()], ["b", 0.1]);
  });
});

Deno.test("asCompleted() yields turns that can be awaited together [test_tasks.BaseTaskTests.test_as_completed_concurrent]", async () => {
  await virtual(async () => {
    const aws = [nap("c", 3), nap("a", 1), nap("b", 2)];
    const log: string[] = [];
    const consume = (turn: PromiseLike<string>, name: string) => async () => {
      log.push(`${name} ${await turn}`);
    };
    const turns = [...asCompleted(aws)];
    await gather(turns.map((turn, i) => consume(turn, `${i}`)));
    assertEquals(log, ["0 a", "1 b", "2 c"]);
  });
});

Deno.test("asCompleted() gives a turn's value to all who await that turn", async () => {
  await virtual(async () => {
    const [turn, other] = [...asCompleted([nap("a", 1), nap("b", 2)])];
    const both = await Promise.all([turn, turn]);
    assertEquals([...both, await other], ["a", "a", "b"]);
  });
});

Deno.test("asCompleted() yields a future that is listed twice once, and runs a function that is listed twice twice [test_tasks.BaseTaskTests.test_as_completed_duplicate_coroutines]", async () => {
  for (const style of STYLES) {
    await virtual(async () => {
      const task = createTask(nap("task", 1));
      const coro = nap("coro", 2);
      const results = await style(asCompleted([task, coro, task, coro]));
      assertEquals(results, ["task", "coro", "coro"]);
    });
  }
});

Deno.test("asCompleted() works outside of a runner, on the implicit loop [test_tasks.BaseTaskTests.test_as_completed_coroutine_without_loop]", async () => {
  for (const style of STYLES) {
    assertEquals(await style(asCompleted([nap("a", 0)])), ["a"]);
  }
});

Deno.test("asCompleted() of one coroutine function is one turn with its value [test_tasks.BaseTaskTests.test_as_completed_coroutine_use_running_loop]", async () => {
  await virtual(async () => {
    const turns = [...asCompleted([nap("only", 1)])];
    assertEquals(turns.length, 1);
    assertEquals(await turns[0], "only");
  });
});

Deno.test("asCompleted() refuses what is not a collection, and what cannot be awaited [test_tasks.BaseTaskTests.test_as_completed_invalid_args]", async () => {
  const task = createTask(nap("a", 0));
  const refused = (aws: unknown, message: string) =>
    assertThrows(() => asCompleted(aws as []), TypeError, message);
  refused(task, "expected an iterable");
  refused(nap("a", 0), "expected an iterable");
  refused(null, "expected an iterable");
  refused([task, 1], "a coroutine function, got 1");
  assertThrows(() => asCompleted([task], { timeout: NaN }), RangeError);
  assertEquals(await task, "a");
});

Deno.test("asCompleted() of nothing yields nothing", async () => {
  for (const style of STYLES) {
    assertEquals(await style(asCompleted([], { timeout: 3600 })), []);
  }
});

Deno.test("asCompleted() yields failed and cancelled futures as what they are", async () => {
  await virtual(async () => {
    const failing = createTask(async () => {
      await sleep(1);
      throw new RangeError("far");
    });
    const cancelled = createTask(nap("cancelled", 9));
    getRunningLoop().callLater(2, () => cancelled.cancel("m"));
    const aws: Future<string>[] = [failing, cancelled];
    const log: string[] = [];
    for await (const it of asCompleted(aws)) {
      log.push(it.cancelled() ? "cancelled" : shape(it.exception()));
    }
    for (const turn of asCompleted(aws)) log.push(await outcome(turn));
    assertEquals(log, [
      "RangeError(far)",
      "cancelled",
      "RangeError(far)",
      "CancelledError(m)",
    ]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("Task.cancel() in an asCompleted() loop cancels nothing else, and loses no completion", async () => {
  for (const style of ["async", "plain"]) {
    await virtual(async () => {
      const task = createTask(nap("value", 5));
      const completions = asCompleted([task]);
      const consumer = createTask(() =>
        style === "async" ? asynchronous(completions) : plain(completions)
      );
      await sleep(1);
      consumer.cancel("m");
      assertEquals(await outcome(consumer), "CancelledError(m)");
      assertEquals(task.cancelling(), 0);
      assertEquals(await asynchronous(completions), ["value"]);
      assertEquals(now(), 5);
    });
  }
});

Deno.test("Task.cancel() of a consumer whose completion has just come passes it on to the next", async () => {
  await virtual(async () => {
    const [one, two] = [1, 2].map(() => getEventLoop().createFuture<string>());
    const completions = asCompleted([one, two]);
    const consumer = () =>
      createTask(async () => {
        for await (const it of completions) return it.result();
      });
    const [first, second] = [consumer(), consumer()];
    await sleep(0);
    one.setResult("one");
    await sleep(0);
    first.cancel();
    assertEquals(await outcome(first), "CancelledError");
    assertEquals(await second, "one");
    two.setResult("two");
    assertEquals(await asynchronous(completions), ["two"]);
  });
});

Deno.test("asCompleted() throws the original error of a turn", async () => {
  const error = new RangeError("far");
  const [turn] = asCompleted([() => Promise.reject(error)]);
  assertStrictEquals(await assertRejects(() => turn, RangeError), error);
});

Deno.test("asCompleted() loses nothing when its consumer is cancelled, at whatever step [test_tasks.BaseTaskTests.test_as_completed_async_iterator_cancelled_anext]", async () => {
  for (let steps = 0; steps < 5; steps++) {
    await virtual(async () => {
      const ready = new Event();
      const task = createTask(async () => {
        await ready.wait();
        return "value";
      });
      const completions = asCompleted([task]);
      const take = async () => {
        for await (const it of completions) return it.result();
        return "nothing left";
      };
      const consumer = createTask(take);
      await sleep(1);
      const canceller = createTask(async () => {
        await ready.wait();
        for (let i = 0; i < steps; i++) await sleep(0);
        consumer.cancel();
      });
      await sleep(1);
      ready.set();
      await canceller;
      const got = await outcome(consumer);
      assertEquals(
        [got, await take()],
        got === "value value"
          ? ["value value", "nothing left"]
          : ["CancelledError", "value"],
      );
    });
  }
});

Deno.test("asCompleted() yields each sleep of those that take no time", async () => {
  let count = 0;
  for await (const it of asCompleted([sleep(0), sleep(0), sleep(0)])) {
    count += it.done() ? 1 : 0;
  }
  assertEquals(count, 3);
});

Deno.test("Task.cancel() in a plain turn of asCompleted() takes no completion with it [test_tasks.BaseTaskTests.test_as_completed_plain_iterator_cancelled_wait]", async () => {
  await virtual(async () => {
    const tasks = ["a", "b"].map((result, i) =>
      createTask(() => sleep(i + 2, { result }))
    );
    const [first, second] = asCompleted(tasks);
    const waiter = createTask(async () => await first);
    await sleep(1);
    waiter.cancel();
    assertEquals(await outcome(waiter), "CancelledError");
    assertEquals(await second, "a");
    const [third] = asCompleted([tasks[1]]);
    assertEquals(await third, "b");
    assertEquals(tasks.map((it) => it.result()), ["a", "b"]);
  });
});
