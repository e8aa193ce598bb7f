import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  ALL_COMPLETED,
  createTask,
  FIRST_COMPLETED,
  FIRST_EXCEPTION,
  type Future,
  getEventLoop,
  getRunningLoop,
  sleep,
  type Task,
  wait,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";

/** A task that sleeps, then returns a value or fails. */
function nap(delay: number, fails = false): Task<number> {
  const name = `nap ${delay}`;
  return createTask(async () => {
    await sleep(delay);
    if (fails) throw new RangeError(name);
    return delay;
  }, { name });
}

/** The names of tasks, in order. */
function names(tasks: Iterable<Future<unknown>>): string[] {
  return [...tasks].map((task) => (task as Task<unknown>).getName());
}

const now = () => getRunningLoop().time();

Deno.test("wait() returns with the slowest, and without delay when all are done [test_tasks.BaseTaskTests.test_wait]", async () => {
  await virtual(async () => {
    const [a, b] = [nap(0.1), nap(0.15)];
    const [done, pending] = await wait([b, a]);
    assertEquals(names(done), ["nap 0.15", "nap 0.1"]);
    assertEquals(pending.size, 0);
    assertEquals(now(), 0.15);
    const [again, none] = await wait([b, a], { returnWhen: ALL_COMPLETED });
    assertEquals([again.size, none.size, now()], [2, 0, 0.15]);
    assert(again.has(a) && again.has(b));
  });
});

Deno.test("wait() counts a task that is listed twice once [test_tasks.BaseTaskTests.test_wait_duplicate_coroutines]", async () => {
  await virtual(async () => {
    const [a, b] = [nap(1), nap(2)];
    const [done, pending] = await wait([a, a, b, a]);
    assertEquals(names(done), ["nap 1", "nap 2"]);
    assertEquals(pending.size, 0);
  });
});

Deno.test("wait() refuses an empty collection and an unknown condition [test_tasks.BaseTaskTests.test_wait_errors]", async () => {
  await virtual(async () => {
    await assertRejects(() => wait([]), RangeError, "at least one future");
    const task = nap(1);
    // @ts-expect-error: no such condition
    const unknown = () => wait([task], { returnWhen: "SOMETIME" });
    await assertRejects(unknown, RangeError, 'got "SOMETIME"');
    await assertRejects(() => wait([task], { timeout: NaN }), RangeError);
    assertEquals(await task, 1);
  });
});

Deno.test("wait() with FIRST_COMPLETED leaves the others running [test_tasks.BaseTaskTests.test_wait_first_completed]", async () => {
  await virtual(async () => {
    const [a, b] = [nap(10), nap(0.1)];
    const options = { returnWhen: FIRST_COMPLETED } as const;
    const [done, pending] = await wait([b, a], options);
    assertEquals([names(done), names(pending)], [["nap 0.1"], ["nap 10"]]);
    assertEquals(a.done(), false);
    assertEquals(now(), 0.1);
    assertEquals(await a, 10);
  });
});

Deno.test("wait() counts as done what is done when it resumes [test_tasks.BaseTaskTests.test_wait_really_done]", async () => {
  await virtual(async () => {
    const double = async () => {
      await sleep(0);
      await sleep(0);
    };
    const [a, b] = [createTask(double), createTask(double)];
    const options = { returnWhen: FIRST_COMPLETED } as const;
    const [done, pending] = await wait([a, b], options);
    assertEquals([a.done(), b.done()], [true, true]);
    assertEquals([done.size, pending.size], [2, 0]);
  });
});

Deno.test("wait() with FIRST_EXCEPTION does not wait where a task has failed already [test_tasks.BaseTaskTests.test_wait_first_exception]", async () => {
  await virtual(async () => {
    const slow = nap(10);
    const failed = nap(0, true);
    await assertRejects(() => failed, RangeError);
    const options = { returnWhen: FIRST_EXCEPTION } as const;
    const [done, pending] = await wait([failed, slow], options);
    assertEquals([names(done), names(pending)], [["nap 0"], ["nap 10"]]);
    assertEquals(now(), 0);
  });
});

Deno.test("wait() with FIRST_EXCEPTION returns when a task fails [test_tasks.BaseTaskTests.test_wait_first_exception_in_wait]", async () => {
  await virtual(async () => {
    const [slow, failing, quick] = [nap(10), nap(0.01, true), nap(0.005)];
    const options = { returnWhen: FIRST_EXCEPTION } as const;
    const [done, pending] = await wait([slow, failing, quick], options);
    assertEquals(names(done), ["nap 0.01", "nap 0.005"]);
    assertEquals(names(pending), ["nap 10"]);
    assertEquals(now(), 0.01);
    await assertRejects(() => failing, RangeError);
  });
});

Deno.test("wait() with FIRST_EXCEPTION ignores cancellations", async () => {
  await virtual(async () => {
    const [slow, cancelled] = [nap(10), nap(5)];
    await sleep(1);
    cancelled.cancel();
    const options = { returnWhen: FIRST_EXCEPTION } as const;
    const [done] = await wait([slow, cancelled], options);
    assertEquals([done.size, now()], [2, 10]);
  });
});

Deno.test("wait() does not throw what a task throws [test_tasks.BaseTaskTests.test_wait_with_exception]", async () => {
  await virtual(async () => {
    const [fine, failing] = [nap(0.1), nap(0.15, true)];
    const [done, pending] = await wait([failing, fine]);
    assertEquals([done.size, pending.size], [2, 0]);
    const errors = [...done].filter((task) => task.exception() !== null);
    assertEquals(names(errors), ["nap 0.15"]);
    assertEquals(now(), 0.15);
  });
});

Deno.test("wait() that times out neither throws nor cancels [test_tasks.BaseTaskTests.test_wait_with_timeout]", async () => {
  await virtual(async () => {
    const [a, b] = [nap(0.1), nap(0.15)];
    const [done, pending] = await wait([b, a], { timeout: 0.11 });
    assertEquals([names(done), names(pending)], [["nap 0.1"], ["nap 0.15"]]);
    assertEquals(now(), 0.11);
    assertEquals([b.cancelling(), await b], [0, 0.15]);
  });
});

Deno.test("wait() with a zero timeout checks once", async () => {
  await virtual(async () => {
    const done = nap(0);
    await done;
    const pending = nap(1);
    const sets = await wait([done, pending], { timeout: 0 });
    assertEquals(sets.map((set) => names(set)), [["nap 0"], ["nap 1"]]);
    const past = await wait([pending], { timeout: { seconds: -1 } });
    assertEquals(past.map((set) => set.size), [0, 1]);
    assertEquals(now(), 0);
  });
});

Deno.test("wait() sees a task done whose timer was due with its own [test_tasks.BaseTaskTests.test_wait_concurrent_complete]", async () => {
  await virtual(async () => {
    const [a, b] = [nap(0.1), nap(0.15)];
    await sleep(0);
    const [done, pending] = await wait([b, a], { timeout: 0.1 });
    assertEquals([names(done), names(pending)], [["nap 0.1"], ["nap 0.15"]]);
  });
});

Deno.test("wait() takes an iterator [test_tasks.BaseTaskTests.test_wait_with_iterator_of_tasks]", async () => {
  await virtual(async () => {
    const tasks = [nap(1), nap(2)];
    const [done, pending] = await wait(tasks.values());
    assertEquals([names(done), pending.size], [["nap 1", "nap 2"], 0]);
  });
});

Deno.test("wait() takes a generator [test_tasks.BaseTaskTests.test_wait_generator]", async () => {
  await virtual(async () => {
    function* tasks() {
      for (const delay of [1, 2, 3]) yield nap(delay);
    }
    const [done, pending] = await wait(tasks());
    assertEquals(names(done), ["nap 1", "nap 2", "nap 3"]);
    assertEquals(pending.size, 0);
  });
});

Deno.test("Task.cancel() in a wait() throws there, and leaves what it waits for running [test_tasks.BaseTaskTests.test_yield_wait_does_not_shield_cancel]", async () => {
  await virtual(async () => {
    const inner = nap(2);
    const outer = createTask(() => wait([inner]));
    await sleep(1);
    outer.cancel("m");
    assertEquals(await outcome(outer), "CancelledError(m)");
    assertEquals([inner.done(), inner.cancelling()], [false, 0]);
    assertEquals(await inner, 2);
  });
});

Deno.test("wait() refuses what is not a collection of futures [test_tasks.BaseTaskTests.test_wait_invalid_args]", async () => {
  await virtual(async () => {
    const task = nap(1);
    const coro = () => sleep(0);
    // deno-lint-ignore no-explicit-any
    const wrong: any[] = [task, coro, 1, null, [coro], [task, sleep(0), 1]];
    for (const aws of [...wrong, [Promise.resolve()]]) {
      await assertRejects(() => wait(aws), TypeError, "Cannot wait");
    }
    await assertRejects(() => wait([]), RangeError);
    assertEquals(await task, 1);
  });
});

Deno.test("wait() of what is done gives way once, as any wait", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const done = nap(0);
    await done;
    getRunningLoop().callSoon(() => log.push("callback"));
    await wait([done]);
    log.push("waited");
    assertEquals(log, ["callback", "waited"]);
  });
});

Deno.test("wait() returns the futures that were passed in", async () => {
  await virtual(async () => {
    const future = getEventLoop().createFuture<string>();
    const task = createTask(() => {
      future.setResult("set");
      return "ran";
    });
    const [done] = await wait<Future<string>>([future, task]);
    assertStrictEquals([...done][0], future);
    assertStrictEquals([...done][1], task);
  });
});

Deno.test("wait() outside of a task waits on the implicit loop", async () => {
  const task = createTask(() => sleep(0, { result: "value" }));
  const [done] = await wait([task]);
  assertEquals([...done].map((it) => it.result()), ["value"]);
});
