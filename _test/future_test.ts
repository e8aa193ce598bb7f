import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  ensureFuture,
  EventLoop,
  Future,
  getEventLoop,
  getRunningLoop,
  InvalidStateError,
  isFuture,
  run,
  RuntimeError,
  shield,
  sleep,
  Task,
  wrapFuture,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

/** A future of the loop of the caller. */
function pending<T = unknown>(): Future<T> {
  return getEventLoop().createFuture<T>();
}

Deno.test("isFuture() knows futures and tasks from all else [test_futures.BaseFutureTests.test_isfuture]", async () => {
  const future = pending();
  const task = createTask(() => 1);
  assert(isFuture(future));
  assert(isFuture(task));
  assert(isFuture(shield(future)));
  for (
    const other of [Future, Task, EventLoop, null, undefined, 1, {}, () => {}]
  ) {
    assertEquals(isFuture(other), false);
  }
  assertEquals(isFuture(Promise.resolve()), false);
  assertEquals(isFuture({ then() {} }), false);
  assertEquals(await task, 1);
});

Deno.test("Future is pending until it gets a result or is cancelled [test_futures.BaseFutureTests.test_initial_state]", () => {
  const future = pending();
  assertEquals([future.done(), future.cancelled()], [false, false]);
  assert(future.cancel());
  assertEquals([future.done(), future.cancelled()], [true, true]);
});

Deno.test("Future belongs to the loop that makes it, or is named", async () => {
  const loop = new EventLoop();
  assertStrictEquals(new Future({ loop }).getLoop(), loop);
  assertStrictEquals(loop.createFuture().getLoop(), loop);
  assertStrictEquals(new Future().getLoop(), getEventLoop());
  await run(() => {
    assertStrictEquals(new Future().getLoop(), getRunningLoop());
  });
});

Deno.test("Future.cancel() keeps its message [test_futures.BaseFutureTests.test_future_cancel_message_getter]", async () => {
  const future = pending();
  future.cancel("my message");
  for (const ask of [() => future.result(), () => future.exception()]) {
    assertEquals(assertThrows(ask, CancelledError).message, "my message");
  }
  assertEquals(await outcome(future), "CancelledError(my message)");
  const silent = pending();
  silent.cancel();
  assertEquals(assertThrows(() => silent.result(), CancelledError).message, "");
});

Deno.test("Future.cancel() ends it for good [test_futures.BaseFutureTests.test_cancel]", () => {
  const future = pending();
  assertEquals([future.cancel(), future.cancel()], [true, false]);
  assertThrows(() => future.result(), CancelledError);
  assertThrows(() => future.exception(), CancelledError);
  assertThrows(() => future.setResult(1), InvalidStateError);
  assertThrows(() => future.setException(new Error("x")), InvalidStateError);
});

Deno.test("Future.cancel() gives a fresh error to each who asks", () => {
  const future = pending();
  future.cancel("m");
  const ask = () => assertThrows(() => future.result(), CancelledError);
  assertNotStrictEquals(ask(), ask());
});

Deno.test("Future.result() gives what setResult() was given [test_futures.BaseFutureTests.test_result]", () => {
  const future = pending<number>();
  assertThrows(() => future.result(), InvalidStateError);
  future.setResult(42);
  assertEquals(future.done(), true);
  assertEquals(future.cancelled(), false);
  assertEquals(future.result(), 42);
  assertStrictEquals(future.exception(), null);
  assertThrows(() => future.setResult(43), InvalidStateError, "done already");
  assertThrows(() => future.setException(new Error("x")), InvalidStateError);
  assertEquals(future.cancel(), false);
  assertEquals(future.result(), 42);
});

Deno.test("Future.exception() gives what setException() was given [test_futures.BaseFutureTests.test_exception]", () => {
  const error = new TypeError("no");
  const future = pending();
  assertThrows(() => future.exception(), InvalidStateError);
  future.setException(error);
  assertEquals(future.cancelled(), false);
  assertStrictEquals(future.exception(), error);
  assertStrictEquals(assertThrows(() => future.result(), TypeError), error);
  assertThrows(() => future.setResult(1), InvalidStateError);
  assertThrows(() => future.setException(error), InvalidStateError);
});

Deno.test("Future.setException() makes an error of a class, and takes any value [test_futures.BaseFutureTests.test_exception_class]", () => {
  const future = pending();
  future.setException(RangeError);
  assertInstanceOf(future.exception(), RangeError);
  for (const thrown of [undefined, null, "text", 0]) {
    const future = pending();
    future.setException(thrown);
    assertStrictEquals(future.exception(), thrown);
    let caught: unknown = "nothing";
    try {
      future.result();
    } catch (error) {
      caught = error;
    }
    assertStrictEquals(caught, thrown);
  }
});

Deno.test("Future gives the same value to each await, and to one after another [test_futures.BaseFutureTests.test_yield_from_twice]", async () => {
  await virtual(async () => {
    const future = pending<string>();
    const log: string[] = [];
    const asking = createTask(async () => {
      log.push(`one ${await future}`);
      getRunningLoop().callSoon(() => log.push("callback"));
      log.push(`two ${await future}`);
    });
    await sleep(0);
    future.setResult("value");
    await asking;
    await sleep(0);
    assertEquals(log, ["one value", "two value", "callback"]);
  });
});

Deno.test("Future resumes who awaits it on the loop's turn, not inside the setter", async () => {
  await virtual(async () => {
    const future = pending<number>();
    const log: unknown[] = [];
    const asking = createTask(async () => log.push(await future));
    await sleep(0);
    getRunningLoop().callSoon(() => log.push("before"));
    future.setResult(1);
    log.push("set");
    await Promise.resolve();
    log.push("microtask");
    await asking;
    assertEquals(log, ["set", "microtask", "before", 1]);
  });
});

Deno.test("Future resumes all who await it in the order of their coming", async () => {
  await virtual(async () => {
    const future = pending<string>();
    const log: string[] = [];
    const tasks = ["a", "b", "c"].map((name) =>
      createTask(async () => {
        log.push(`${name} ${await future}`);
        await sleep(0);
        log.push(`${name} again`);
      })
    );
    await sleep(0);
    future.setResult("x");
    for (const task of tasks) await task;
    const expected = ["a x", "b x", "c x", "a again", "b again", "c again"];
    assertEquals(log, expected);
  });
});

Deno.test("Future.setResult() takes a future or a promise as it is, awaiting it flattens", async () => {
  const inner = Promise.resolve(5);
  const future = pending<Promise<number>>();
  future.setResult(inner);
  assertStrictEquals(future.result(), inner);
  assertEquals(await future, 5);
});

Deno.test("Future.addDoneCallback() is called by the loop, in the order of registration [test_futures.BaseFutureDoneCallbackTests.test_callbacks_invoked_on_set_result]", async () => {
  await virtual(async () => {
    const future = pending<string>();
    const log: string[] = [];
    future.addDoneCallback((it) => log.push(`one ${it.result()}`));
    future.addDoneCallback((it) => log.push(`two ${it === future}`));
    future.setResult("done");
    assertEquals(log, []);
    await sleep(0);
    assertEquals(log, ["one done", "two true"]);
    future.addDoneCallback(() => log.push("late"));
    assertEquals(log.length, 2);
    await sleep(0);
    assertEquals(log.at(-1), "late");
  });
});

Deno.test("Future.addDoneCallback() is called after an error and after a cancellation [test_futures.BaseFutureDoneCallbackTests.test_callbacks_invoked_on_set_exception]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const failing = pending();
    failing.addDoneCallback((it) => log.push(shape(it.exception())));
    failing.setException(new RangeError("far"));
    const cancelled = pending();
    cancelled.addDoneCallback((it) => log.push(String(it.cancelled())));
    cancelled.cancel();
    assertEquals(log, []);
    await sleep(0);
    assertEquals(log, ["RangeError(far)", "true"]);
  });
});

Deno.test("Future.addDoneCallback() shares one line with those who await it", async () => {
  await virtual(async () => {
    const future = pending<number>();
    const log: string[] = [];
    future.addDoneCallback(() => log.push("callback one"));
    const asking = createTask(async () => {
      await future;
      log.push("task");
    });
    await sleep(0);
    future.addDoneCallback(() => log.push("callback two"));
    future.setResult(1);
    await asking;
    assertEquals(log, ["callback one", "task", "callback two"]);
  });
});

Deno.test("Future.addDoneCallback() hands an error in the callback to the exception handler, and continues", async () => {
  await virtual(async () => {
    const future = pending();
    const log: string[] = [];
    getRunningLoop().setExceptionHandler((_, context) => {
      log.push(`${context.message}: ${shape(context.exception)}`);
      assertStrictEquals(context.future, future);
    });
    future.addDoneCallback(function broken() {
      throw new TypeError("callback");
    });
    future.addDoneCallback(() => {
      throw new TypeError("arrow");
    });
    future.addDoneCallback(() => log.push("next"));
    future.setResult(null);
    await sleep(0);
    assertEquals(log, [
      "Error in done callback broken: TypeError(callback)",
      "Error in done callback (anonymous): TypeError(arrow)",
      "next",
    ]);
  });
});

Deno.test("Future.addDoneCallback() refuses what is no function", () => {
  const future = pending();
  // @ts-expect-error: not a function
  const add = () => future.addDoneCallback("later");
  assertThrows(add, TypeError, "the callback must be a function, got");
});

/** Registers three callbacks, lets `change` take some out, and says who was called. */
async function calledAfter(
  change: (future: Future<unknown>, fns: (() => void)[]) => void,
): Promise<string> {
  const future = pending();
  const called: string[] = [];
  const fns = ["1", "2", "3"].map((name) => () => void called.push(name));
  for (const fn of fns) future.addDoneCallback(fn);
  change(future, fns);
  future.setResult("done");
  await sleep(0);
  return called.join();
}

Deno.test("Future.removeDoneCallback() takes the first out, and then finds it no more [test_futures.BaseFutureDoneCallbackTests.test_callbacks_remove_first_callback]", async () => {
  const called = await calledAfter((future, [first]) => {
    assertEquals(future.removeDoneCallback(first), 1);
    assertEquals(future.removeDoneCallback(first), 0);
  });
  assertEquals(called, "2,3");
});

Deno.test("Future.removeDoneCallback() takes the first two out [test_futures.BaseFutureDoneCallbackTests.test_callbacks_remove_first_and_second_callback]", async () => {
  const called = await calledAfter((future, [first, second]) => {
    assertEquals(future.removeDoneCallback(first), 1);
    assertEquals(future.removeDoneCallback(second), 1);
  });
  assertEquals(called, "3");
});

Deno.test("Future.removeDoneCallback() takes the last out [test_futures.BaseFutureDoneCallbackTests.test_callbacks_remove_third_callback]", async () => {
  const called = await calledAfter((future, [, , third]) => {
    assertEquals(future.removeDoneCallback(third), 1);
  });
  assertEquals(called, "1,2");
});

Deno.test("Future.removeDoneCallback() takes every registration out and says how many there were [test_futures.BaseFutureDoneCallbackTests.test_remove_done_callback]", async () => {
  const future = pending();
  const called: number[] = [];
  const [one, two, three] = [1, 2, 3].map((n) => () => void called.push(n));
  assertEquals(future.removeDoneCallback(one), 0);
  for (const fn of [one, two, one, three, one]) future.addDoneCallback(fn);
  assertEquals(future.removeDoneCallback(one), 3);
  assertEquals(future.removeDoneCallback(one), 0);
  future.setResult("done");
  assertEquals(future.removeDoneCallback(two), 0);
  await sleep(0);
  assertEquals(called, [2, 3]);
});

Deno.test("Future.removeDoneCallback() inside a callback comes too late for the others [test_futures.BaseFutureDoneCallbackTests.test_schedule_callbacks_list_mutation_1]", async () => {
  const future = pending();
  const log: string[] = [];
  const other = () => void log.push("other");
  future.addDoneCallback((it) => log.push(`${it.removeDoneCallback(other)}`));
  future.addDoneCallback(other);
  future.addDoneCallback(other);
  future.setResult(null);
  await sleep(0);
  assertEquals(log, ["0", "other", "other"]);
});

Deno.test("Future.then() calls back as a promise does, and gives a future", async () => {
  const future = pending<number>();
  const doubled = future.then((n) => n * 2);
  assertInstanceOf(doubled, Future);
  const caught = future.then(() => {
    throw new RangeError("x");
  }).catch((error) => shape(error));
  future.setResult(21);
  assertEquals(await doubled, 42);
  assertEquals(await caught, "RangeError(x)");
  assertEquals(await future.then(), 21);
  assertEquals(await future.then(null, () => 0), 21);
});

Deno.test("Future.then() gives a future that cancels what it comes from", async () => {
  const source = pending<number>();
  const derived = source.then((n) => n) as Future<number>;
  assert(derived.cancel("enough"));
  assert(source.cancelled());
  assertEquals(await outcome(derived), "CancelledError(enough)");
});

Deno.test("Future.then() gives a future that can be cancelled while its function is at work", async () => {
  const source = pending<number>();
  const never = Promise.withResolvers<void>();
  const derived = source.then(() => never.promise) as Future<void>;
  source.setResult(1);
  await source;
  assert(derived.cancel());
  assert(derived.cancelled());
  never.resolve();
  assertEquals(source.result(), 1);
});

Deno.test("Future.catch() and finally() work as a promise's", async () => {
  const log: string[] = [];
  const failing = pending<number>();
  const caught = failing.catch((error) => shape(error));
  const after = failing.finally(() => void log.push("finally"));
  failing.setException(new RangeError("far"));
  assertEquals(await caught, "RangeError(far)");
  assertEquals(await outcome(after), "RangeError(far)");
  const good = pending<number>();
  const same = good.finally(() => void log.push("good"));
  good.setResult(7);
  assertEquals(await same, 7);
  assertEquals(await good.finally(null), 7);
  assertEquals(log, ["finally", "good"]);
});

Deno.test("Future works with the host's combinators", async () => {
  const one = pending<number>();
  const two = pending<number>();
  const all = Promise.all([one, two]);
  const first = Promise.race([one, two]);
  two.setResult(2);
  assertEquals(await first, 2);
  one.setResult(1);
  assertEquals(await all, [1, 2]);
});

Deno.test("Future of another loop cannot be awaited by a task", async () => {
  const foreign = new EventLoop().createFuture();
  const error = await assertRejects(
    () => run(async () => await foreign),
    RuntimeError,
  );
  assertEquals(
    error.message,
    "Cannot await a future that belongs to another event loop",
  );
});

Deno.test("Future tells its class", () => {
  assertEquals(String(pending()), "[object Future]");
  const task = createTask(() => {});
  assertEquals(String(task), "[object Task]");
  task.cancel();
});

Deno.test("ensureFuture() gives a future or a task back as it is [test_tasks.BaseTaskTests.test_ensure_future_future] [test_tasks.BaseTaskTests.test_ensure_future_task]", async () => {
  const future = pending<number>();
  assertStrictEquals(ensureFuture(future), future);
  future.setResult(1);
  const task = createTask(() => 2);
  assertStrictEquals(ensureFuture(task), task);
  assertStrictEquals(wrapFuture(task), task);
  assertEquals([await future, await task], [1, 2]);
});

Deno.test("ensureFuture() makes a task of a coroutine function, also outside of a runner [test_tasks.BaseTaskTests.test_ensure_future_coroutine]", async () => {
  const main = async () => {
    const future = ensureFuture(async () => {
      await sleep(0);
      return "value";
    });
    assertInstanceOf(future, Task);
    assertEquals(future.done(), false);
    return await future;
  };
  assertEquals(await main(), "value");
  assertEquals(await run(main), "value");
});

Deno.test("ensureFuture() wraps a promise, and anything that has then() [test_tasks.BaseTaskTests.test_ensure_future_awaitable]", async () => {
  const wrapped = ensureFuture(Promise.resolve("promise"));
  assertInstanceOf(wrapped, Future);
  assertEquals(await wrapped, "promise");
  const thenable: PromiseLike<string> = {
    then: (onFulfilled) => Promise.resolve("thenable").then(onFulfilled),
  };
  assertEquals(await ensureFuture(thenable), "thenable");
  const rejected = ensureFuture(Promise.reject(new RangeError("far")));
  assertEquals(await outcome(rejected), "RangeError(far)");
});

Deno.test("ensureFuture() of a coroutine function around an awaitable is a task with its value [test_tasks.BaseTaskTests.test_ensure_future_task_awaitable]", async () => {
  const task = ensureFuture(() => Promise.resolve("awaited"));
  assertInstanceOf(task, Task);
  assertEquals(await task, "awaited");
});

Deno.test("ensureFuture() refuses what cannot be awaited [test_tasks.BaseTaskTests.test_ensure_future_neither]", () => {
  for (const value of ["ok", 1, null, undefined, {}, []]) {
    // @ts-expect-error: none of these is awaitable
    assertThrows(() => ensureFuture(value), TypeError, "expected a future");
    // @ts-expect-error: none of these is a promise
    assertThrows(() => wrapFuture(value), TypeError, "Cannot wrap a promise");
  }
});

Deno.test("wrapFuture() lets a task be cancelled that waits for a promise", async () => {
  await virtual(async () => {
    const late = Promise.withResolvers<string>();
    const task = createTask(async () => await wrapFuture(late.promise));
    await sleep(0);
    task.cancel("stop");
    assertEquals(await outcome(task), "CancelledError(stop)");
    late.reject(new Error("nobody is interested any more"));
    await sleep(0);
  });
});

Deno.test("wrapFuture() is cancelled by a promise that rejects with a CancelledError", async () => {
  const future = wrapFuture(Promise.reject(new CancelledError("from afar")));
  assertEquals(await outcome(future), "CancelledError(from afar)");
  assert(future.cancelled());
});

Deno.test("Task is a Future [test_tasks.GenericTaskTests.test_future_subclass]", () => {
  assert(Task.prototype instanceof Future);
});
