import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  allTasks,
  CancelledError,
  createTask,
  currentTask,
  Event,
  EventLoop,
  type ExceptionContext,
  gather,
  getEventLoop,
  getRunningLoop,
  InvalidStateError,
  run,
  Runner,
  RuntimeError,
  sleep,
  type Task,
  TimeoutError,
  VirtualTimeLoop,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

const far = () => new RangeError("far");
const onVirtualTime = { loopFactory: () => new VirtualTimeLoop() };

/** Collects what the running loop reports. */
function collectReports(): ExceptionContext[] {
  const reports: ExceptionContext[] = [];
  getRunningLoop().setExceptionHandler((_, context) => reports.push(context));
  return reports;
}

Deno.test("run() gives what main returns [test_runners.RunTests.test_asyncio_run_return]", async () => {
  const main = async () => {
    await sleep(0);
    return 42;
  };
  assertEquals(await run(main), 42);
  assertEquals(await run(() => "no promise"), "no promise");
});

Deno.test("run() lets the error of main out [test_runners.RunTests.test_asyncio_run_raises]", async () => {
  const error = far();
  const main = async () => {
    await sleep(0);
    throw error;
  };
  assertStrictEquals(await run(main).catch((error) => error), error);
  const cancelled = run(async () => {
    currentTask()!.cancel("by itself");
    await sleep(1);
  });
  assertEquals(await outcome(cancelled), "CancelledError(by itself)");
});

Deno.test("run() and Runner.run() refuse what is not a function [test_runners.RunTests.test_asyncio_run_only_coro] [test_runners.RunnerTests.test_run_non_coro] [test_runners.RunnerTests.test_run_future]", async () => {
  await using runner = new Runner();
  for (const wrong of [1, "main", null, Promise.resolve()]) {
    await assertRejects(
      () => run(wrong as never),
      TypeError,
      "Cannot run: expected a coroutine function, got",
    );
    await assertRejects(() => runner.run(wrong as never), TypeError);
  }
});

Deno.test("Runner.run() takes a future or task of its own loop, and cancels it as what main awaits", async () => {
  await using runner = new Runner();
  const loop = runner.getLoop();
  const future = loop.createFuture<number>();
  loop.callSoon(() => future.setResult(1));
  assertEquals(await runner.run(future), 1);
  assertEquals(
    await runner.run(loop.createTask(() => sleep(0, { result: 2 }))),
    2,
  );
  const pending = loop.createFuture();
  const signal = AbortSignal.timeout(1);
  await assertRejects(() => runner.run(pending, { signal }), DOMException);
  assert(pending.cancelled());
  await assertRejects(() => run(future), RuntimeError, "another event loop");
});

Deno.test("run() and Runner check their options", async () => {
  const wrong: [object, string][] = [
    [{ sginals: [] }, 'unknown option "sginals"'],
    [{ debug: 1 }, "debug must be true or false, got 1"],
    [{ loopFactory: {} }, "loopFactory must be a function"],
    [{ signals: "SIGINT" }, "signals must be an array"],
    [{ signals: [1] }, "signals must be an array"],
    [{ dumpSignal: 3 }, "dumpSignal must be a string, got 3"],
    [{ shutdownTimeout: "1" }, "shutdownTimeout"],
  ];
  for (const [options, text] of wrong) {
    assertThrows(() => new Runner(options), TypeError, text);
    await assertRejects(() => run(() => {}, options), TypeError, text);
  }
  await assertRejects(
    () => run(() => {}, { dumpSignal: "SIGNONE" as Deno.Signal }),
    TypeError,
  );
});

Deno.test("run() gives up the tasks that are left after shutdownTimeout, and names them", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const error = await assertRejects(
    () =>
      run(async () => {
        getRunningLoop().callLater(3600, () => {});
        createTask(() => promise, { name: "stubborn" });
        await sleep(0);
      }, { shutdownTimeout: 0.05 }),
    TimeoutError,
    "Tasks that were left have not ended within 0.1 s: stubborn waiting for a foreign promise",
  );
  assertStringIncludes(error.stack!, import.meta.url);
  resolve();
});

Deno.test("run() inside a running loop is refused, and its function not called [test_runners.RunTests.test_asyncio_run_from_running_loop] [test_runners.RunnerTests.test_recursive_run]", async () => {
  let called = false;
  const inner = () => called = true;
  await using runner = new Runner();
  await runner.run(async () => {
    for (const attempt of [() => run(inner), () => runner.run(inner)]) {
      await assertRejects(
        attempt,
        RuntimeError,
        "Cannot run a loop inside a running loop",
      );
    }
    await new Promise<void>((resolve) =>
      getRunningLoop().callSoon(async () => {
        await assertRejects(() => run(inner), RuntimeError);
        resolve();
      })
    );
  });
  assert(!called);
});

Deno.test("Runner.run() is refused while the runner is running elsewhere", async () => {
  await using runner = new Runner();
  const first = runner.run(() => sleep(0, { result: "first" }));
  await assertRejects(() => runner.run(() => "second"), RuntimeError);
  assertEquals(await first, "first");
  assertEquals(await runner.run(() => "third"), "third");
});

Deno.test("run() works inside a task of the implicit loop", async () => {
  const task = createTask(() => run(() => getRunningLoop()));
  const loop = await task;
  assert(loop.isClosed() && loop !== getEventLoop());
});

Deno.test("run() cancels and awaits the tasks that main leaves behind, all together [test_runners.RunTests.test_asyncio_run_cancels_hanging_tasks]", async () => {
  const log: string[] = [];
  const tasks: Task<void>[] = [];
  const leftover = (name: string, cleanup: number) => async () => {
    try {
      await sleep(3600);
    } finally {
      log.push(`${name} cancelled`);
      await sleep(cleanup);
      log.push(`${name} clean at ${getRunningLoop().time()}`);
    }
  };
  const value = await run(async () => {
    tasks.push(createTask(leftover("slow", 2)));
    tasks.push(createTask(leftover("fast", 1)));
    await sleep(5);
    tasks.push(createTask(leftover("late", 1)));
    log.push("main ends");
    return 123;
  }, onVirtualTime);
  assertEquals(value, 123);
  assertEquals(log, [
    "main ends",
    "slow cancelled",
    "fast cancelled",
    "late cancelled",
    "fast clean at 6",
    "late clean at 6",
    "slow clean at 7",
  ]);
  assertEquals(tasks.map((task) => task.cancelled()), [true, true, true]);
});

Deno.test("run() lets the step of a task end that is ready when main ends, and no further one", async () => {
  const log: string[] = [];
  const ticking = async () => {
    try {
      for (let i = 0;; i++) {
        log.push(`tick ${i}`);
        await sleep(0);
      }
    } catch (error) {
      log.push(shape(error));
      createTask(newborn);
      await sleep(0);
      log.push("ticking ends");
    }
  };
  const newborn = async () => {
    for (let i = 0;; i++) {
      log.push(`newborn ${i}`);
      await sleep(0);
    }
  };
  await run(async () => {
    createTask(ticking);
    await sleep(0);
    await sleep(0);
    getRunningLoop().callSoon(() => log.push("callback"));
    log.push("main ends");
  });
  assertEquals(log, [
    "tick 0",
    "tick 1",
    "main ends",
    "tick 2",
    "callback",
    "CancelledError",
    "newborn 0",
    "ticking ends",
    "newborn 1",
    "newborn 2",
    "newborn 3",
    "newborn 4",
    "newborn 5",
    "newborn 6",
  ]);
});

Deno.test("run() reports the errors of what main leaves behind, and gives its value [test_runners.RunTests.test_asyncio_run_reports_hanging_tasks_errors]", async () => {
  let reports: ExceptionContext[] = [];
  const error = far();
  let task: Task<void>;
  const value = await run(async () => {
    reports = collectReports();
    task = createTask(async () => {
      try {
        await sleep(3600);
      } catch {
        throw error;
      }
    }, { name: "leftover" });
    await sleep(0);
    return 123;
  }, onVirtualTime);
  assertEquals(value, 123);
  assertEquals(reports.length, 1);
  const [{ message, exception, task: reported }] = reports;
  assertEquals(
    message,
    "Task leftover failed while the runner was closing",
  );
  assertStrictEquals(exception, error);
  assertStrictEquals(reported, task!);
});

Deno.test("run() reports the errors that nobody looked at, and those of main's own failure not", async () => {
  let reports: ExceptionContext[] = [];
  const failing = run(async () => {
    reports = collectReports();
    createTask(() => {
      throw far();
    }, { name: "early" });
    getRunningLoop().createFuture().setException(new TypeError("odd"));
    await sleep(0);
    throw new Error("main");
  });
  assertEquals(await outcome(failing), "Error(main)");
  assertEquals(
    reports.map(({ message, exception }) => `${message} ${shape(exception)}`),
    [
      "Future exception was never retrieved TypeError(odd)",
      "Task exception was never retrieved: early RangeError(far)",
    ],
  );
});

Deno.test("run() twice at once keeps the two loops apart", async () => {
  const log: string[] = [];
  const both = new Set<EventLoop>();
  const main = (name: string) => async () => {
    both.add(getRunningLoop());
    const child = createTask(() => sleep(0), { name: `${name}'s child` });
    const names = [...allTasks()].map((task) => task.getName());
    log.push(`${name} ${names.includes(`${name}'s child`)} ${names.length}`);
    await child;
    assertEquals(getRunningLoop(), currentTask()!.getLoop());
    return name;
  };
  const values = await Promise.all([run(main("one")), run(main("two"))]);
  assertEquals(values, ["one", "two"]);
  assertEquals(log.sort(), ["one true 2", "two true 2"]);
  assertEquals(both.size, 2);
  assertEquals([...both].map((loop) => loop.isClosed()), [true, true]);
});

Deno.test("run() refuses a primitive that waits in another loop", async () => {
  const event = new Event();
  const first = run(() => event.wait());
  await run(async () => {
    await sleep(0);
    await assertRejects(() => event.wait(), RuntimeError, "another event loop");
  });
  event.set();
  assertEquals(await first, true);
});

Deno.test("run() with a signal cancels main with it, and rejects with its reason", async () => {
  const controller = new AbortController();
  const log: string[] = [];
  const program = run(async (own) => {
    createTask(async () => {
      await sleep(0);
      controller.abort(far());
      log.push(`own signal ${own.aborted}`);
    });
    await sleep(3600).finally(() => log.push("main ends"));
  }, { ...onVirtualTime, signal: controller.signal });
  assertEquals(await outcome(program), "RangeError(far)");
  assertEquals(log, ["own signal true", "main ends"]);
});

Deno.test("run() with a signal gives the value of a main that handles the cancellation", async () => {
  const controller = new AbortController();
  const program = run(async () => {
    getRunningLoop().callSoon(() => controller.abort());
    const error = await assertRejects(() => sleep(3600), CancelledError);
    return `${error.name} ${currentTask()!.cancelling()}`;
  }, { ...onVirtualTime, signal: controller.signal });
  assertEquals(await program, "CancelledError 1");
});

Deno.test("run() with a signal rejects with CancelledError if somebody else cancelled main too", async () => {
  const controller = new AbortController();
  const program = run(async () => {
    const main = currentTask()!;
    getRunningLoop().callSoon(() => {
      controller.abort();
      main.cancel("somebody else");
    });
    await sleep(3600);
  }, { ...onVirtualTime, signal: controller.signal });
  assert((await outcome(program)).startsWith("CancelledError"));
});

Deno.test("run() with a signal that is aborted already does not begin", async () => {
  let called = 0;
  const signal = AbortSignal.abort(far());
  const loopFactory = () => (called++, new EventLoop());
  const program = run(() => called++, { signal, loopFactory });
  assertEquals(await outcome(program), "RangeError(far)");
  await using runner = new Runner({ loopFactory });
  assertEquals(
    await outcome(runner.run(() => called++, { signal })),
    "RangeError(far)",
  );
  assertEquals(called, 0);
});

Deno.test("run() leaves its signal alone once it is over", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const task = await run(() => [currentTask()!], { signal });
  controller.abort();
  assertEquals(task[0].cancelling(), 0);
});

Deno.test("run() uses the loop of its factory, closes it, and sets its debug mode", async () => {
  const loop = new EventLoop();
  const factory = { loopFactory: () => loop };
  const seen = await run(() => [getRunningLoop(), loop.getDebug()], {
    ...factory,
    debug: true,
  });
  assertEquals(seen, [loop, true]);
  assert(loop.isClosed() && !loop.isRunning());
  const failing = run(() => 1, {
    loopFactory: () => {
      throw far();
    },
  });
  assertEquals(await outcome(failing), "RangeError(far)");
});

Deno.test("run() drops timers and callbacks that are left", async () => {
  const log: string[] = [];
  await run(() => {
    const loop = getRunningLoop();
    loop.callLater(3600, () => log.push("timer"));
    const forever = (n: number) => {
      if (n < 100) loop.callSoon(forever, n + 1);
      else log.push("too long");
    };
    forever(0);
  });
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(log, []);
});

Deno.test("Runner runs many coroutines on one loop, whose tasks live on between them", async () => {
  const log: string[] = [];
  await using runner = new Runner(onVirtualTime);
  const loop = runner.getLoop();
  for (let i = 0; i < 3; i++) {
    await runner.run(async () => {
      assertStrictEquals(getRunningLoop(), loop);
      log.push(`run ${i} at ${loop.time()}`);
      if (i === 0) {
        createTask(async () => {
          await sleep(1.5);
          log.push(`background at ${loop.time()}`);
        });
      }
      await sleep(1);
    });
    assert(!loop.isRunning());
  }
  assertEquals(log, [
    "run 0 at 0",
    "run 1 at 1",
    "background at 1.5",
    "run 2 at 2",
  ]);
});

Deno.test("Runner.run() fails alone: the next run works", async () => {
  await using runner = new Runner();
  const failing = runner.run(() => {
    throw far();
  });
  assertEquals(await outcome(failing), "RangeError(far)");
  const cancelled = runner.run(async () => {
    currentTask()!.cancel();
    await sleep(1);
  });
  assertEquals(await outcome(cancelled), "CancelledError");
  assertEquals(await runner.run(() => 42), 42);
});

Deno.test("Runner.run() takes a context for one run, and goes back to its own", async () => {
  const storage = new AsyncLocalStorage<string>();
  await using runner = storage.run("own", () => {
    const runner = new Runner();
    runner.getLoop();
    return runner;
  });
  const get = () => storage.getStore();
  const other = storage.run("other", () => AsyncLocalStorage.snapshot());
  assertEquals(await runner.run(get), "own");
  assertEquals(await runner.run(get, { context: other }), "other");
  assertEquals(await runner.run(get), "own");
  assertEquals(storage.getStore(), undefined);
});

Deno.test("Runner that was closed cannot be used again [test_runners.RunnerTests.test_run] [test_runners.RunnerTests.test_explicit_close] [test_runners.RunnerTests.test_second_with_block_raises]", async () => {
  const log: string[] = [];
  const runner = new Runner();
  let loop: EventLoop;
  {
    await using same = runner;
    assertEquals(await same.run(() => sleep(0, { result: "done" })), "done");
    loop = same.getLoop();
    assert(!loop.isClosed());
  }
  assert(loop.isClosed());
  assertThrows(() => runner.getLoop(), RuntimeError, "The runner is closed");
  {
    await using same = runner;
    await assertRejects(
      () => same.run(() => log.push("called")),
      RuntimeError,
      "The runner is closed",
    );
  }
  assertThrows(() => loop.callSoon(() => {}), RuntimeError, "closed");
  assertEquals(log, []);
});

Deno.test("Runner.close() may be called twice, also at once, and without a run [test_runners.RunnerTests.test_double_close]", async () => {
  const runner = new Runner();
  const loop = runner.getLoop();
  await Promise.all([runner.close(), runner.close()]);
  assert(loop.isClosed());
  await runner.close();
  const unused = new Runner();
  await unused.close();
  assertThrows(() => unused.getLoop(), RuntimeError);
  const early = new Runner();
  early.getLoop().close();
  await early.close();
});

Deno.test("Runner.close() is refused while the runner is running", async () => {
  await using runner = new Runner();
  const main = async () => {
    await assertRejects(
      () => runner.close(),
      RuntimeError,
      "Cannot close a runner that is running",
    );
    assertThrows(() => getRunningLoop().close(), RuntimeError, "is running");
    return "continued";
  };
  assertEquals(await runner.run(main), "continued");
});

Deno.test("Runner.close() lets tasks end that were left by several runs", async () => {
  const log: string[] = [];
  const runner = new Runner();
  for (const name of ["one", "two"]) {
    await runner.run(async () => {
      createTask(() => sleep(3600).finally(() => log.push(name)));
      await sleep(0);
    });
  }
  await runner.close();
  assertEquals(log, ["one", "two"]);
});

Deno.test("getRunningLoop() and isRunning() tell whether a runner is running", async () => {
  assertThrows(() => getRunningLoop(), RuntimeError);
  const runner = new Runner();
  const loop = runner.getLoop();
  assert(!loop.isRunning());
  await runner.run(() => assert(loop.isRunning()));
  assert(!loop.isRunning());
  await runner.close();
  assertThrows(() => getRunningLoop(), RuntimeError);
});

Deno.test("run() gives main a signal that aborts when it is cancelled", async () => {
  const log: string[] = [];
  const program = run(async (signal) => {
    signal.addEventListener("abort", () => log.push(shape(signal.reason)));
    getRunningLoop().callSoon(() => allTasks().forEach((it) => it.cancel("x")));
    await sleep(3600);
  });
  assertEquals(await outcome(program), "CancelledError(x)");
  assertEquals(log, ["CancelledError(x)"]);
});

Deno.test("run() settles with what is left of a gather whose parts failed", async () => {
  let reports: ExceptionContext[] = [];
  const program = run(async () => {
    reports = collectReports();
    await gather([
      () => {
        throw far();
      },
      () => {
        throw new InvalidStateError("absorbed");
      },
    ]);
  });
  assertEquals(await outcome(program), "RangeError(far)");
  assertEquals(reports, []);
});

Deno.test("Runner shows its state on the console", async () => {
  const runner = new Runner();
  assertEquals(inspect(runner), "<Runner idle>");
  await runner.run(() => assertEquals(inspect(runner), "<Runner running>"));
  await runner.close();
  assertEquals(inspect(runner), "<Runner closed>");
});

Deno.test("run() that is refused inside a loop leaves the running loop as it was [test_events.EventLoopTestsMixin.test_get_running_loop_already_running]", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const task = currentTask();
    await assertRejects(() => run(() => {}), RuntimeError);
    const runner = new Runner();
    await assertRejects(() => runner.run(() => {}), RuntimeError);
    await runner.close();
    assertStrictEquals(getRunningLoop(), loop);
    assertStrictEquals(currentTask(), task);
    assert(loop.isRunning());
    await sleep(1);
    assertEquals(loop.time(), 1);
  });
});
