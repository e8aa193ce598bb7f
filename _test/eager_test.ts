import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  allTasks,
  CancelledError,
  type Coroutine,
  createEagerTaskFactory,
  createTask,
  currentTask,
  eagerTaskFactory,
  gather,
  getEventLoop,
  getRunningLoop,
  sleep,
  Task,
  type TaskFactory,
  TaskGroup,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";

/** Runs a program whose tasks all start at once. */
function eager<T>(main: Coroutine<T>): Promise<T> {
  return virtual((signal) => {
    getRunningLoop().setTaskFactory(eagerTaskFactory);
    return main(signal);
  });
}

Deno.test("eagerTaskFactory() makes ordinary tasks [test_eager_task_factory.EagerTaskFactoryLoopTests.test_eager_task_factory_set]", async () => {
  await eager(async () => {
    assertStrictEquals(getRunningLoop().getTaskFactory(), eagerTaskFactory);
    const task = createTask(() => sleep(1, { result: "value" }), {
      name: "eager",
    });
    assertInstanceOf(task, Task);
    assertEquals([task.getName(), task.done()], ["eager", false]);
    assertEquals(await task, "value");
  });
});

Deno.test("createTask() with eagerStart runs to the first wait within the call [test_eager_task_factory.DefaultTaskFactoryEagerStart.test_eager_start_true_with_default_factory]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      log.push("first step");
      await sleep(0);
      log.push("second step");
    }, { eagerStart: true });
    log.push("created");
    await task;
    assertEquals(log, ["first step", "created", "second step"]);
  });
});

Deno.test("createTask() with eagerStart: false is not eager under an eager factory [test_eager_task_factory.EagerTaskFactoryLoopTests.test_eager_start_false] [test_tasks.BaseTaskTests.test_eager_start_false]", async () => {
  await eager(async () => {
    const log: string[] = [];
    const task = createTask(() => log.push("body"), { eagerStart: false });
    log.push("created");
    await task;
    assertEquals(log, ["created", "body"]);
  });
});

Deno.test("Task that sets a future in its eager step: the future is done with the creation [test_eager_task_factory.EagerTaskFactoryLoopTests.test_await_future_during_eager_step]", async () => {
  await eager(async () => {
    const future = getEventLoop().createFuture<number>();
    const task = createTask(() => {
      future.setResult(3);
      return 3;
    });
    assert(task.done());
    assertEquals(await future, 3);
  });
});

Deno.test("Task that never waits is done with its creation, an async one within the same microtasks [test_eager_task_factory.EagerTaskFactoryLoopTests.test_eager_completion]", async () => {
  await eager(async () => {
    const plain = createTask(() => "plain");
    assertEquals(plain.result(), "plain");
    const failed = createTask(() => {
      throw new RangeError("far");
    });
    assertInstanceOf(failed.exception(), RangeError);
    // deno-lint-ignore require-await
    const task = createTask(async () => "async");
    await Promise.resolve();
    assertEquals(task.result(), "async");
    assertEquals(await task, "async");
  });
});

Deno.test("Task that waits after its eager step is pending, and ends later [test_eager_task_factory.EagerTaskFactoryLoopTests.test_block_after_eager_step]", async () => {
  await eager(async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      log.push("eager");
      await sleep(1);
      log.push("later");
      return 3;
    });
    assertEquals([task.done(), log.join()], [false, "eager"]);
    assertEquals(await task, 3);
    assertEquals(log, ["eager", "later"]);
  });
});

Deno.test("Task.cancel() of a task that was done with its creation does nothing [test_eager_task_factory.EagerTaskFactoryLoopTests.test_cancellation_after_eager_completion]", async () => {
  await eager(async () => {
    const task = createTask(() => "value");
    assertEquals(task.cancel(), false);
    assertEquals([task.cancelled(), task.cancelling()], [false, 0]);
    assertEquals(await task, "value");
  });
});

Deno.test("Task.cancel() of a task that waits after its eager step carries the message [test_eager_task_factory.EagerTaskFactoryLoopTests.test_cancellation_after_eager_step_blocks]", async () => {
  await eager(async () => {
    const task = createTask(() => sleep(10));
    assertEquals(task.cancel("cancelled message"), true);
    assertEquals(task.cancelling(), 1);
    const error = await assertRejects(() => task, CancelledError);
    assertEquals(error.message, "cancelled message");
    assert(task.cancelled());
  });
});

Deno.test("Task.cancel() of oneself in the eager step strikes at the first wait", async () => {
  await eager(async () => {
    const task = createTask(async () => {
      currentTask()!.cancel("m");
      await sleep(10);
    });
    assertEquals(await outcome(task), "CancelledError(m)");
    const plain = createTask(() => void currentTask()!.cancel("n"));
    assertEquals(await outcome(plain), "CancelledError(n)");
  });
});

Deno.test("currentTask() is the child in its eager step, and then the creator again [test_eager_task_factory.EagerTaskFactoryLoopTests.test_current_task]", async () => {
  await eager(async () => {
    const creator = currentTask()!;
    const seen: string[] = [];
    const say = () => seen.push(currentTask()!.getName());
    creator.setName("creator");
    const child = createTask(async () => {
      say();
      createTask(say, { name: "grandchild" });
      say();
      await sleep(0);
      say();
    }, { name: "child" });
    say();
    await child;
    say();
    assertEquals(seen.slice(0, 4), ["child", "grandchild", "child", "creator"]);
    assertEquals(seen.slice(4), ["child", "creator"]);
  });
});

Deno.test("allTasks() has a child during its eager step, and not when it is done [test_eager_task_factory.EagerTaskFactoryLoopTests.test_all_tasks_with_eager_completion]", async () => {
  await eager(async () => {
    let during: Set<Task<unknown>> | undefined;
    const task: Task<unknown> = createTask(() => {
      during = allTasks();
    });
    assert(during!.has(task));
    assertEquals(during!.size, 2);
    assertEquals(allTasks().has(task), false);
    await task;
  });
});

Deno.test("allTasks() has a child that waits until it is done [test_eager_task_factory.EagerTaskFactoryLoopTests.test_all_tasks_with_blocking]", async () => {
  await eager(async () => {
    let during: Set<Task<unknown>> | undefined;
    const task: Task<unknown> = createTask(async () => {
      during = allTasks();
      await sleep(1);
    });
    assert(during!.has(task));
    assert(allTasks().has(task));
    await task;
    assertEquals(allTasks().has(task), false);
  });
});

/** Counts the tasks that could not be done within their creation. */
function countingFactory(makeEager: boolean): [TaskFactory, () => number] {
  const made: Task<unknown>[] = [];
  let waited = 0;
  const make: TaskFactory = (loop, coro, options) => {
    const task = new Task(coro, options, loop);
    made.push(task);
    if (!task.done()) waited++;
    return task;
  };
  const custom = createEagerTaskFactory((coro, options, loop) =>
    make(loop, coro, options)
  );
  return [makeEager ? custom : make, () => waited];
}

async function countTasks(
  makeEager: boolean,
  tree: (width: number, depth: number) => unknown,
): Promise<number> {
  return await virtual(async () => {
    const [factory, count] = countingFactory(makeEager);
    getRunningLoop().setTaskFactory(factory);
    await tree(5, 3);
    return count();
  });
}

/** Groups of children that open groups: nobody ever waits for anything else. */
async function groups(width: number, depth: number): Promise<void> {
  await TaskGroup.run((group) => {
    for (let i = 0; i < width; i++) {
      group.createTask(() => {
        if (depth > 0) return groups(width, depth - 1);
      });
    }
  });
}

/** The same with gathers, which are done at once if all children are. */
function gathers(width: number, depth: number): unknown {
  const children = Array.from({ length: width }, () => () => {
    if (depth > 0) return gathers(width, depth - 1);
  });
  return gather(children);
}

// 5 + 25 + 125 + 625 children. TaskGroup.run() is async, and so done a
// microtask late: of the eager ones those count that open a group themselves.
Deno.test("TaskGroup.createTask() of children that never wait makes no leaf wait when eager, and one each when not [test_eager_task_factory.BaseTaskCountingTests.test_recursive_taskgroups]", async () => {
  assertEquals(await countTasks(false, groups), 780);
  assertEquals(await countTasks(true, groups), 155);
});

Deno.test("gather() of children that never wait makes no task wait when eager, and one each when not [test_eager_task_factory.BaseTaskCountingTests.test_recursive_gather]", async () => {
  assertEquals(await countTasks(false, gathers), 780);
  assertEquals(await countTasks(true, gathers), 0);
});

Deno.test("createTask() with eagerStart is done when a body that never waits has returned [test_tasks.BaseTaskTests.test_eager_start_true] [test_tasks.BaseTaskTests.test_eager_start_true_no_loop]", async () => {
  await virtual(async () => {
    const task = createTask(() => 42, { eagerStart: true });
    assert(task.done());
    assertEquals(await task, 42);
  });
});

Deno.test("Task that starts at once has its name in its first step [test_eager_task_factory.EagerTaskFactoryLoopTests.test_name]", async () => {
  await eager(async () => {
    const names: string[] = [];
    const task = createTask(() => {
      names.push(currentTask()!.getName());
    }, { name: "test name" });
    assertEquals(names, ["test name"]);
    await task;
  });
});
