import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Context,
  createTask,
  currentTask,
  eagerTaskFactory,
  gather,
  getEventLoop,
  getRunningLoop,
  Runner,
  sleep,
  Task,
  TaskGroup,
  VirtualTimeLoop,
} from "@asyncio/asyncio";
import { shape, virtual } from "./_virtual.ts";

/** A variable that follows the code, as Python's `ContextVar`. */
const variable = new AsyncLocalStorage<string>();
const get = () => variable.getStore() ?? "unset";
const set = (value: string) => variable.enterWith(value);

/** A context of its own, in which `set()` was called. */
function contextWith(value: string): Context {
  return variable.run(value, () => AsyncLocalStorage.snapshot());
}

Deno.test("Task starts from its creator's context, and its changes do not leak back [test_tasks.BaseTaskTests.test_context_1]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const child = async () => {
      await sleep(0.01);
      log.push(`child ${get()}`);
      set("something else");
      await sleep(0.01);
      log.push(`child ${get()}`);
    };
    set("nope");
    const task = createTask(child);
    set("yes");
    log.push(`creator ${get()}`);
    await task;
    log.push(`creator ${get()}`);
    assertEquals(log, [
      "creator yes",
      "child nope",
      "child something else",
      "creator yes",
    ]);
  });
});

Deno.test("Future.addDoneCallback() calls back in the context of the caller, whose changes do not leak [test_tasks.BaseTaskTests.test_context_2]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const future = getEventLoop().createFuture<number>();
    const task = createTask(async () => {
      set("task");
      future.addDoneCallback(() => {
        log.push(`callback ${get()}`);
        set("callback");
      });
      set("later");
      log.push(`task ${await future} ${get()}`);
      await sleep(0);
      log.push(`task ${get()}`);
    });
    await sleep(0);
    set("setter");
    future.setResult(1);
    await task;
    log.push(`setter ${get()}`);
    assertEquals(log, [
      "callback task",
      "task 1 later",
      "task later",
      "setter setter",
    ]);
  });
});

Deno.test("Future.addDoneCallback() takes a context", async () => {
  const future = getEventLoop().createFuture();
  const seen: string[] = [];
  const context = contextWith("given");
  future.addDoneCallback(() => seen.push(get()), { context });
  future.setResult(null);
  await sleep(0);
  assertEquals(seen, ["given"]);
});

Deno.test("Tasks by the hundred keep their own values across sleeps [test_tasks.BaseTaskTests.test_context_3]", async () => {
  await virtual(async () => {
    const body = (own: string) => async () => {
      set(own);
      for (let i = 0; i < 10; i++) {
        await sleep(0.01 * (i % 3));
        assertEquals(get(), own);
      }
      return get();
    };
    const names = Array.from({ length: 100 }, (_, i) => `task ${i}`);
    assertEquals(await gather(names.map(body)), names);
    assertEquals(get(), "unset");
  });
});

Deno.test("Task constructor takes a context, which tasks can share [test_tasks.BaseTaskTests.test_context_4]", async () => {
  await virtual(async () => {
    const shared = { value: 0 };
    const box = new AsyncLocalStorage<{ value: number }>();
    const context = box.run(shared, () => AsyncLocalStorage.snapshot());
    const body = async () => {
      box.getStore()!.value += 1;
      await sleep(0);
      return box.getStore()!.value;
    };
    const one = new Task(body, { context });
    const two = new Task(body, { context });
    assertEquals([await one, await two], [2, 2]);
    assertStrictEquals(box.getStore(), undefined);
  });
});

Deno.test("createTask() takes a context, and gives it to the body [test_tasks.BaseTaskTests.test_context_5]", async () => {
  await virtual(async () => {
    const seen: string[] = [];
    const body = async () => {
      seen.push(get());
      await sleep(0);
      seen.push(get());
    };
    const context = contextWith("given");
    const task = createTask(body, { context });
    assertStrictEquals(task.getContext(), context);
    await task;
    await createTask(body, { context, eagerStart: true });
    assertEquals(seen, Array(4).fill("given"));
    assertEquals(get(), "unset");
  });
});

Deno.test("EventLoop.createTask() takes a context [test_tasks.BaseTaskTests.test_context_6]", async () => {
  await virtual(async () => {
    const context = contextWith("given");
    const task = getRunningLoop().createTask(get, { context });
    assertEquals(await task, "given");
    getRunningLoop().setTaskFactory(eagerTaskFactory);
    const eager = getRunningLoop().createTask(get, { context });
    assertEquals(eager.result(), "given");
  });
});

Deno.test("Task in a context of somebody else is itself all the same", async () => {
  await virtual(async () => {
    const creator = currentTask();
    const context: Context = AsyncLocalStorage.snapshot();
    const own = () => [currentTask() === creator, getRunningLoop().isRunning()];
    for (const eagerStart of [false, true]) {
      const task = createTask(own, { context, eagerStart });
      assertEquals(await task, [false, true]);
    }
  });
});

Deno.test("Task.getContext() is the context that the body runs in [test_tasks.BaseTaskTests.test_get_context]", async () => {
  await virtual(async () => {
    const context = contextWith("given");
    const task = createTask(() => {}, { context });
    assertStrictEquals(task.getContext(), context);
    const make = () => createTask(() => {});
    const [early, late] = variable.run("creator's", () => [make(), make()]);
    assertEquals(early.getContext()(get), "creator's");
    assertStrictEquals(early.getContext(), early.getContext());
    await gather([task, early, late]);
    assertEquals(late.getContext()(get), "creator's");
    assertEquals(late.getContext()(currentTask), null);
    const eager = createTask(() => sleep(1), { eagerStart: true });
    assertStrictEquals(eager.getContext()(currentTask), eager);
    await eager;
  });
});

Deno.test("TaskGroup.createTask() takes a context, which children share [test_taskgroups.TestTaskGroup.test_taskgroup_task_context]", async () => {
  await virtual(async () => {
    const context = contextWith("given");
    const body = async () => {
      await sleep(0);
      return get();
    };
    const tasks = await TaskGroup.run((group) => [
      group.createTask(body, { context }),
      group.createTask(body, { context }),
      group.createTask(body),
    ]);
    const values = tasks.map((task) => task.result());
    assertEquals(values, ["given", "given", "unset"]);
    assertStrictEquals(tasks[0].getContext(), context);
  });
});

Deno.test("Runner.run() keeps one context for all runs, and it does not leak [test_runners.RunnerTests.test_run_keeps_context]", async () => {
  await using runner = new Runner({ loopFactory: () => new VirtualTimeLoop() });
  const log: string[] = [];
  await runner.run(() => {
    log.push(get());
    set("first run");
  });
  assertEquals(get(), "unset");
  await runner.run(async () => {
    log.push(get());
    set("second run");
    await sleep(1);
  });
  await runner.run(() => log.push(get()));
  await runner.run(() => log.push(get()), { context: contextWith("given") });
  await runner.run(() => log.push(get()));
  assertEquals(log, [
    "unset",
    "first run",
    "second run",
    "given",
    "second run",
  ]);
  assertEquals(get(), "unset");
});

Deno.test("EventLoop.setExceptionHandler() hears of an unretrieved error in the context of the failed task [test_futures2.FutureTests.test_task_exc_handler_correct_context]", async () => {
  const reports: string[] = [];
  await virtual(async () => {
    getRunningLoop().setExceptionHandler((loop, it) => {
      assertStrictEquals(getEventLoop(), loop);
      reports.push(`${shape(it.exception)} in ${get()}`);
    });
    set("main");
    createTask(() => {
      set("task");
      throw new RangeError("eager");
    }, { eagerStart: true });
    set("main");
    createTask(async () => {
      set("task");
      await sleep(0);
      throw new RangeError("far");
    });
    await sleep(1);
  });
  assertEquals(reports, [
    "RangeError(eager) in task",
    "RangeError(far) in task",
  ]);
});

Deno.test("Task that starts at once sees its creator's values, and does not change them [test_eager_task_factory.EagerTaskFactoryLoopTests.test_context_vars]", async () => {
  await virtual(async () => {
    getRunningLoop().setTaskFactory(eagerTaskFactory);
    const log: string[] = [];
    const child = async () => {
      log.push(`child ${get()}`);
      set("child");
      await sleep(0);
      log.push(`child ${get()}`);
    };
    set("creator");
    const task = createTask(child);
    log.push(`creator ${get()}`);
    set("creator again");
    await task;
    log.push(`creator ${get()}`);
    assertEquals(log, [
      "child creator",
      "creator creator",
      "child child",
      "creator creator again",
    ]);
  });
});

Deno.test("EventLoop.callSoon(), callLater() and callAt() call in the context of the caller", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const say = (name: string) => {
      log.push(`${name} ${get()} ${currentTask()}`);
      set("changed by a callback");
    };
    set("soon");
    loop.callSoon(say, "callSoon");
    loop.callSoonThreadsafe(say, "callSoonThreadsafe");
    set("later");
    loop.callLater(1, say, "callLater");
    set("at");
    loop.callAt(2, say, "callAt");
    set("main");
    await sleep(3);
    assertEquals(log, [
      "callSoon soon null",
      "callSoonThreadsafe soon null",
      "callLater later null",
      "callAt at null",
    ]);
    assertEquals(get(), "main");
  });
});

Deno.test("AbortSignal listeners of this module run in the context of the call, not of abort()", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    const seen: string[] = [];
    const task = variable.run("caller", () =>
      createTask(async () => {
        await sleep(10, { signal: controller.signal }).catch(() => {});
        seen.push(get());
        assert(currentTask() !== null);
      }));
    await sleep(1);
    variable.run("aborter", () => controller.abort());
    await task;
    assertEquals(seen, ["caller"]);
  });
});
