import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  asCompleted,
  type CallGraph,
  captureCallGraph,
  createTask,
  formatCallGraph,
  type Future,
  gather,
  shield,
  sleep,
  type Task,
  TaskGroup,
  timeout,
  TimeoutError,
  wait,
  waitFor,
} from "@asyncio/asyncio";
import { debugged, plain } from "./_places.ts";

/** A graph as nested names: `child(parent(main))`. */
function names(future: Future<unknown>): string {
  const nested = ({ name, awaitedBy }: CallGraph): string => {
    const waiters = awaitedBy.map(nested).join(" ");
    return waiters === "" ? `${name}` : `${name}(${waiters})`;
  };
  return nested(captureCallGraph(future)!);
}

async function end(...tasks: Task<unknown>[]): Promise<void> {
  for (const task of tasks) task.cancel();
  await wait(tasks);
}

Deno.test("captureCallGraph() shows children of a group below its task, and those who await them [test_graph.CallStackTestBase.test_stack_tgroup]", async () => {
  await plain(async () => {
    const children: Task<unknown>[] = [];
    const parent = createTask(() =>
      TaskGroup.run((group) => {
        for (const name of ["c1", "c2"]) {
          children.push(group.createTask(() => sleep(9), { name }));
        }
      }), { name: "group" });
    await sleep(1);
    const watcher = createTask(() => children[0], { name: "watcher" });
    await sleep(1);
    assertEquals(children.map(names).sort(), [
      "c1(group watcher)",
      "c2(group)",
    ]);
    await end(parent, watcher);
  });
});

Deno.test("Task.getStack() goes through an async generator [test_graph.CallStackTestBase.test_stack_async_gen]", async () => {
  await debugged(async () => {
    async function* steps() {
      await sleep(9);
      yield 1;
    }
    const task = createTask(async function consumer() {
      for await (const _ of steps());
    });
    await sleep(1);
    const stack = task.getStack().join("\n");
    assert(/steps/.test(stack), stack);
    await end(task);
  });
});

Deno.test("waitFor() of a task with no time is shown as waiting while the task cleans up [test_graph.CallStackTestBase.test_stack_wait_for_non_positive_timeout]", async () => {
  for (const time of [0, -1]) {
    await plain(async () => {
      const inner = createTask(async () => {
        try {
          await sleep(9);
        } finally {
          await sleep(5);
        }
      }, { name: "inner" });
      await sleep(1);
      const outer = createTask(() => waitFor(inner, time), { name: "outer" });
      await sleep(1);
      assertEquals(names(inner), "inner(outer)");
      await assertRejects(() => outer, TimeoutError);
      assertEquals(names(inner), "inner");
    });
  }
});

Deno.test("gather() shows its caller above its children [test_graph.CallStackTestBase.test_stack_gather]", async () => {
  await plain(async () => {
    const children = ["a", "b"].map((name) =>
      createTask(() => sleep(9), { name })
    );
    const caller = createTask(() => gather(children), { name: "caller" });
    await sleep(1);
    assertEquals(children.map(names), ["a(caller)", "b(caller)"]);
    await end(caller);
  });
});

Deno.test("gather() that failed is not shown above a child that outlives it [test_graph.CallStackTestBase.test_stack_gather_survivor] [test_tasks.BaseTaskTests.test_gather_discards_awaited_by_for_pending]", async () => {
  await plain(async () => {
    const survivor = createTask(() => sleep(9), { name: "survivor" });
    const failing = createTask(async () => {
      await sleep(1);
      throw new RangeError("far");
    });
    const caller = createTask(
      async () => {
        await assertRejects(() => gather([survivor, failing]));
        await sleep(9);
      },
      { name: "caller" },
    );
    await sleep(0.5);
    assertEquals(names(survivor), "survivor(caller)");
    await sleep(1);
    assertEquals(names(survivor), "survivor");
    await end(survivor, caller);
  });
});

Deno.test("gather() that ended with a cancelled child is not shown above the others [test_tasks.BaseTaskTests.test_gather_discards_awaited_by_for_cancelled_sibling]", async () => {
  await plain(async () => {
    const survivor = createTask(() => sleep(9), { name: "survivor" });
    const cancelled = createTask(() => sleep(9));
    const caller = createTask(
      async () => {
        await assertRejects(() => gather([survivor, cancelled]));
        await sleep(9);
      },
      { name: "caller" },
    );
    await sleep(1);
    cancelled.cancel();
    await sleep(1);
    assertEquals(names(survivor), "survivor");
    await end(survivor, caller);
  });
});

Deno.test("shield() shows its caller, also through a deadline [test_graph.CallStackTestBase.test_stack_shield] [test_graph.CallStackTestBase.test_stack_timeout]", async () => {
  await plain(async () => {
    const inner = createTask(() => sleep(9), { name: "inner" });
    const callers = [
      createTask(() => shield(inner), { name: "shield" }),
      createTask(() => timeout(5, () => shield(inner)), { name: "timeout" }),
    ];
    await sleep(1);
    assertEquals(names(inner), "inner(shield timeout)");
    await end(...callers);
    assertEquals(names(inner), "inner");
    await end(inner);
  });
});

Deno.test("wait() shows its caller, until it has returned [test_graph.CallStackTestBase.test_stack_wait] [test_tasks.BaseTaskTests.test_wait_discards_awaited_by_for_pending]", async () => {
  await plain(async () => {
    const inner = createTask(() => sleep(9), { name: "inner" });
    const caller = createTask(async () => {
      await wait([inner], { timeout: 2 });
      await sleep(9);
    }, { name: "caller" });
    await sleep(1);
    assertEquals(names(inner), "inner(caller)");
    await sleep(2);
    assertEquals(names(inner), "inner");
    await end(inner, caller);
  });
});

Deno.test("asCompleted() in a plain loop shows its caller [test_graph.CallStackTestBase.test_stack_as_completed]", async () => {
  await plain(async () => {
    const inner = createTask(() => sleep(2), { name: "inner" });
    const caller = createTask(async () => {
      for (const turn of asCompleted([inner])) await turn;
      await sleep(9);
    }, { name: "caller" });
    await sleep(1);
    assertEquals(names(inner), "inner(caller)");
    await sleep(2);
    assertEquals(names(inner), "inner");
    await end(caller);
  });
});

Deno.test("asCompleted() in a plain loop does not show its caller after the deadline [test_graph.CallStackTestBase.test_stack_as_completed_timeout]", async () => {
  await plain(async () => {
    const inner = createTask(() => sleep(9), { name: "inner" });
    const caller = createTask(async () => {
      for (const turn of asCompleted([inner], { timeout: 2 })) {
        await turn.then(() => {}, () => sleep(9));
      }
    }, { name: "caller" });
    await sleep(1);
    assertEquals(names(inner), "inner(caller)");
    await sleep(2);
    assertEquals(names(inner), "inner");
    await end(inner, caller);
  });
});

Deno.test("captureCallGraph() shows a task by the task that awaits it, with its name [test_graph.CallStackTestBase.test_stack_task]", async () => {
  await plain(async () => {
    const inner = createTask(() => sleep(9), { name: "there there" });
    const outer = createTask(async () => await inner, { name: "outer" });
    await sleep(1);
    assertEquals(names(inner), "there there(outer)");
    assert(formatCallGraph(inner).includes("there there"));
    await end(outer);
  });
});

Deno.test("captureCallGraph() takes tasks that have ended, however they did [test_graph.CallStackTestBase.test_call_graph_finished_task]", async () => {
  await plain(async () => {
    const tasks: Task<unknown>[] = [
      createTask(() => "value", { name: "finished" }),
      createTask(() => Promise.reject(new RangeError()), { name: "failed" }),
      createTask(() => sleep(9), { name: "cancelled" }),
    ];
    tasks[2].cancel();
    await wait(tasks);
    tasks[1].exception();
    assertEquals(tasks.map(names), ["finished", "failed", "cancelled"]);
    for (const task of tasks) {
      assert(formatCallGraph(task).includes(task.getName()));
    }
  });
});

Deno.test("captureCallGraph() sees the callers of a synchronous generator [test_graph.CallStackTestBase.test_capture_call_graph_generator_keeps_caller_frames]", async () => {
  await debugged(async () => {
    function* capture() {
      yield captureCallGraph()!;
    }
    function caller() {
      return [...capture()][0];
    }
    const { callStack } = await createTask(() => caller());
    const stack = callStack.join("\n");
    assert(/capture/.test(stack) && /caller/.test(stack), stack);
  });
});
