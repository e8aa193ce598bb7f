import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  allTasks,
  CancelledError,
  createTask,
  currentTask,
  Event,
  ExceptionGroup,
  getRunningLoop,
  RuntimeError,
  sleep,
  type Task,
  TaskGroup,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

/** Fails after a while. */
const failing = (delay: number, error: () => Error) => async () => {
  await sleep(delay);
  throw error();
};

/** Sleeps for an hour, and fails on its way out. */
const failingCleanup = (error: () => Error) => async () => {
  try {
    await sleep(3600);
  } finally {
    // deno-lint-ignore no-unsafe-finally
    throw error();
  }
};

const far = () => new RangeError("far");
const odd = () => new TypeError("odd");

/** Logs its start, its end and its cancellation. */
function worker(log: string[], name: string, delay: number) {
  return async () => {
    log.push(`${name} starts`);
    try {
      await sleep(delay);
    } catch (error) {
      log.push(`${name} ${shape(error)}`);
      throw error;
    }
    log.push(`${name} ends`);
    return name;
  };
}

Deno.test("TaskGroup.run() ends after its children, and gives what the body returns [test_taskgroups.TestTaskGroup.test_taskgroup_01]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const [one, two] = await TaskGroup.run((group) => [
      group.createTask(worker(log, "one", 0.1)),
      group.createTask(worker(log, "two", 0.2)),
    ]);
    assertEquals(log, ["one starts", "two starts", "one ends", "two ends"]);
    assertEquals([one.result(), two.result()], ["one", "two"]);
    assertEquals(getRunningLoop().time(), 0.2);
  });
});

Deno.test("TaskGroup.createTask() takes children at any time of the body [test_taskgroups.TestTaskGroup.test_taskgroup_02]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await TaskGroup.run(async (group) => {
      group.createTask(worker(log, "one", 0.1));
      await sleep(0.15);
      log.push("body");
      group.createTask(worker(log, "two", 0.2));
    });
    log.push("left");
    assertEquals(log, [
      "one starts",
      "one ends",
      "body",
      "two starts",
      "two ends",
      "left",
    ]);
  });
});

Deno.test("TaskGroup.run() does not count a cancelled child as a failure [test_taskgroups.TestTaskGroup.test_taskgroup_03]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const [one, two] = await TaskGroup.run(async (group) => {
      const one = group.createTask(worker(log, "one", 1));
      await sleep(0.15);
      one.cancel("enough");
      return [one, group.createTask(worker(log, "two", 0.2))];
    });
    assertEquals(log, [
      "one starts",
      "one CancelledError(enough)",
      "two starts",
      "two ends",
    ]);
    assert(one.cancelled() && two.result() === "two");
  });
});

Deno.test("TaskGroup.run() cancels the siblings of a failing child [test_taskgroups.TestTaskGroup.test_taskgroup_04]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run((group) => {
      group.createTask(failing(0.1, far));
      group.createTask(worker(log, "sibling", 1));
    }).then(() => log.push("behind"));
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, ["sibling starts", "sibling CancelledError"]);
    assertEquals(getRunningLoop().time(), 0.1);
  });
});

Deno.test("TaskGroup.run() interrupts the body when a child fails, and groups all that failed in the same turn [test_taskgroups.TestTaskGroup.test_cancel_children_on_child_error]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run(async (group) => {
      for (const name of ["a", "b", "c"]) {
        group.createTask(failing(0.1, () => new RangeError(name)));
      }
      group.createTask(worker(log, "sibling", 5));
      await worker(log, "body", 10)();
    });
    const error = await assertRejects(() => group, ExceptionGroup);
    assertEquals(error.message, "unhandled errors in a TaskGroup");
    assertEquals(
      shape(error),
      "ExceptionGroup[RangeError(a), RangeError(b), RangeError(c)]",
    );
    assertEquals(log, [
      "body starts",
      "sibling starts",
      "sibling CancelledError",
      "body CancelledError",
    ]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup.run() passes an outer cancellation to every child once, and passes it on unwrapped [test_taskgroups.TestTaskGroup.test_cancellation] [test_taskgroups.TestTaskGroup.test_taskgroup_22]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const runner = createTask(() =>
      TaskGroup.run((group) => {
        group.createTask(worker(log, "one", 5));
        group.createTask(worker(log, "two", 5));
      })
    );
    await sleep(0.1);
    runner.cancel("stop");
    assertEquals(await outcome(runner), "CancelledError(stop)");
    assert(runner.cancelled());
    assertEquals(log, [
      "one starts",
      "two starts",
      "one CancelledError",
      "two CancelledError",
    ]);
  });
});

Deno.test("TaskGroup.run() waits for slow cleanups, however often it is cancelled", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const runner = createTask(() =>
      TaskGroup.run((group) => {
        group.createTask(async () => {
          try {
            await sleep(3600);
          } finally {
            log.push("cleanup");
            await sleep(1);
            log.push("clean");
          }
        });
      })
    );
    await sleep(0.1);
    for (let i = 0; i < 3; i++) {
      runner.cancel(`stop ${i}`);
      await sleep(0.1);
    }
    assertEquals(await outcome(runner), "CancelledError(stop 0)");
    assertEquals(log, ["cleanup", "clean"]);
    assertEquals(runner.cancelling(), 3);
  });
});

Deno.test("TaskGroup.run() lets a cancellation reach the body first and then the children [test_taskgroups.TestTaskGroup.test_taskgroup_07]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const runner = createTask(() =>
      TaskGroup.run(async (group) => {
        group.createTask(worker(log, "one", 5));
        group.createTask(worker(log, "two", 5));
        await worker(log, "body", 10)();
      })
    );
    await sleep(0.1);
    runner.cancel();
    assertEquals(await outcome(runner), "CancelledError");
    assertEquals(log, [
      "body starts",
      "one starts",
      "two starts",
      "body CancelledError",
      "one CancelledError",
      "two CancelledError",
    ]);
  });
});

Deno.test("TaskGroup.run() replaces a cancellation by the errors of the children's cleanups [test_taskgroups.TestTaskGroup.test_taskgroup_08]", async () => {
  await virtual(async () => {
    const runner = createTask(() =>
      TaskGroup.run(async (group) => {
        group.createTask(failingCleanup(far));
        group.createTask(failingCleanup(odd));
        await sleep(10);
      })
    );
    await sleep(0.1);
    runner.cancel();
    assertEquals(
      await outcome(runner),
      "ExceptionGroup[RangeError(far), TypeError(odd)]",
    );
  });
});

Deno.test("TaskGroup.run() cancels the children when the body fails, and groups its error [test_taskgroups.TestTaskGroup.test_taskgroup_09]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run(async (group) => {
      group.createTask(worker(log, "one", 1));
      group.createTask(worker(log, "two", 2));
      await sleep(0.1);
      throw far();
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, [
      "one starts",
      "two starts",
      "one CancelledError",
      "two CancelledError",
    ]);
  });
});

Deno.test("TaskGroup.run() does not run children whose body failed before they started [test_taskgroups.TestTaskGroup.test_taskgroup_10]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const tasks: Task<string>[] = [];
    const group = TaskGroup.run((group) => {
      tasks.push(group.createTask(worker(log, "one", 1)));
      tasks.push(group.createTask(worker(log, "two", 2)));
      throw far();
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, []);
    assertEquals(tasks.map((task) => task.cancelled()), [true, true]);
  });
});

Deno.test("TaskGroup.run() puts the group of an inner scope into its own [test_taskgroups.TestTaskGroup.test_taskgroup_11]", async () => {
  await virtual(async () => {
    const runner = createTask(() =>
      TaskGroup.run(() =>
        TaskGroup.run(async (inner) => {
          inner.createTask(failingCleanup(far));
          inner.createTask(failingCleanup(odd));
          await sleep(10);
        })
      )
    );
    await sleep(0.1);
    runner.cancel();
    assertEquals(
      await outcome(runner),
      "ExceptionGroup[ExceptionGroup[RangeError(far), TypeError(odd)]]",
    );
  });
});

Deno.test("TaskGroup.run() leaves a cancelled child out of the group of an inner scope [test_taskgroups.TestTaskGroup.test_taskgroup_12]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const runner = createTask(() =>
      TaskGroup.run(async (outer) => {
        outer.createTask(worker(log, "outer child", 10));
        await TaskGroup.run(async (inner) => {
          inner.createTask(failingCleanup(far));
          await sleep(10);
        });
      })
    );
    await sleep(0.1);
    runner.cancel();
    assertEquals(
      await outcome(runner),
      "ExceptionGroup[ExceptionGroup[RangeError(far)]]",
    );
    assertEquals(log, ["outer child starts", "outer child CancelledError"]);
  });
});

Deno.test("TaskGroup.run() passes through an inner scope unwrapped when an outer child fails [test_taskgroups.TestTaskGroup.test_taskgroup_13]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run(async (outer) => {
      outer.createTask(failing(0.1, far));
      const inner = TaskGroup.run((inner) => {
        inner.createTask(failing(10, odd));
      });
      log.push(await outcome(inner));
      await sleep(0);
      log.push("the interruption was swallowed");
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, ["CancelledError", "the interruption was swallowed"]);
  });
});

Deno.test("TaskGroup.run() wraps the failure of an inner child twice [test_taskgroups.TestTaskGroup.test_taskgroup_14]", async () => {
  await virtual(async () => {
    const group = TaskGroup.run(async (outer) => {
      outer.createTask(failing(10, far));
      await TaskGroup.run((inner) => {
        inner.createTask(failing(0.1, odd));
      });
    });
    assertEquals(
      await outcome(group),
      "ExceptionGroup[ExceptionGroup[TypeError(odd)]]",
    );
  });
});

/** A scope with a slow cleanup in which a child fails. */
async function failWhileCancelled(): Promise<void> {
  await TaskGroup.run(async (group) => {
    group.createTask(failing(0.3, far));
    try {
      await sleep(10);
    } catch (error) {
      await sleep(0.5);
      throw error;
    }
  });
}

Deno.test("TaskGroup.run() prefers a failure during the body's cleanup to the cancellation [test_taskgroups.TestTaskGroup.test_taskgroup_15]", async () => {
  await virtual(async () => {
    const runner = createTask(failWhileCancelled);
    await sleep(0.1);
    runner.cancel();
    assertEquals(await outcome(runner), "ExceptionGroup[RangeError(far)]");
    assertEquals(getRunningLoop().time(), 0.3);
    assertEquals(runner.cancelling(), 1);
  });
});

Deno.test("TaskGroup.run() does the same in a task that the cancelled one awaits [test_taskgroups.TestTaskGroup.test_taskgroup_16]", async () => {
  await virtual(async () => {
    const runner = createTask(() => createTask(failWhileCancelled));
    await sleep(0.1);
    runner.cancel();
    assertEquals(await outcome(runner), "ExceptionGroup[RangeError(far)]");
  });
});

Deno.test("TaskGroup.run() without children passes on a cancellation unwrapped [test_taskgroups.TestTaskGroup.test_taskgroup_17]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const runner = createTask(() => TaskGroup.run(worker(log, "body", 10)));
    await sleep(0.1);
    runner.cancel("stop");
    assertEquals(await outcome(runner), "CancelledError(stop)");
    assertEquals(log, ["body starts", "body CancelledError(stop)"]);
  });
});

Deno.test("TaskGroup.run() groups an error with which the body answers a cancellation [test_taskgroups.TestTaskGroup.test_taskgroup_18]", async () => {
  await virtual(async () => {
    const runner = createTask(() => TaskGroup.run(failingCleanup(far)));
    await sleep(0.1);
    runner.cancel();
    assertEquals(await outcome(runner), "ExceptionGroup[RangeError(far)]");
  });
});

Deno.test("TaskGroup.run() puts the child's failure before the body's answer to it [test_taskgroups.TestTaskGroup.test_taskgroup_19] [test_taskgroups.TestTaskGroup.test_taskgroup_20a] [test_taskgroups.TestTaskGroup.test_taskgroup_21a]", async () => {
  await virtual(async () => {
    const group = TaskGroup.run(async (group) => {
      group.createTask(failing(0.1, far));
      await failingCleanup(odd)();
    });
    assertEquals(
      await outcome(group),
      "ExceptionGroup[RangeError(far), TypeError(odd)]",
    );
  });
});

Deno.test("TaskGroup.run() runs a body that swallows the interruption to completion, and fails nevertheless", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run(async (group) => {
      group.createTask(failing(0.1, far));
      await sleep(10).catch((error) => log.push(shape(error)));
      log.push(`cancelling ${currentTask()!.cancelling()}`);
      await sleep(1);
      log.push("body ends");
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, ["CancelledError", "cancelling 1", "body ends"]);
    assertEquals(getRunningLoop().time(), 1.1);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup.run() passes on a cancellation unwrapped where the body awaits a cancelled child", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run(async (group) => {
      const child = group.createTask(worker(log, "child", 10));
      group.createTask(worker(log, "sibling", 10));
      await sleep(0);
      child.cancel("this one");
      await child;
    });
    assertEquals(await outcome(group), "CancelledError(this one)");
    assertEquals(log, [
      "child starts",
      "sibling starts",
      "child CancelledError(this one)",
      "sibling CancelledError",
    ]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup handles a failure before the body that awaits the child", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run(async (group) => {
      const child = group.createTask(failing(0.1, far));
      try {
        await child;
      } catch (error) {
        log.push(shape(error));
      }
      await sleep(1);
      log.push("body ends");
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, ["CancelledError", "body ends"]);
  });
});

Deno.test("TaskGroup forgets a child that is done while the body continues [test_taskgroups.TestTaskGroup.test_taskgroup_23]", async () => {
  await virtual(async () => {
    const counts: number[] = [];
    await TaskGroup.run(async (group) => {
      for (let i = 0; i < 10; i++) {
        await sleep(0.125);
        group.createTask(() => sleep(0.25));
        await sleep(0);
        counts.push(allTasks().size - 1);
      }
      await sleep(1);
      counts.push(allTasks().size - 1);
    });
    assertEquals(counts, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0]);
  });
});

Deno.test("TaskGroup.createTask() takes children of children while the parent waits at the end [test_taskgroups.TestTaskGroup.test_taskgroup_24]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await TaskGroup.run((group) => {
      group.createTask(async () => {
        await sleep(0.1);
        group.createTask(worker(log, "one", 0.1));
        group.createTask(worker(log, "two", 0.2));
      });
    });
    assertEquals(log, ["one starts", "two starts", "one ends", "two ends"]);
  });
});

Deno.test("TaskGroup.run() stops children that keep multiplying [test_taskgroups.TestTaskGroup.test_taskgroup_25]", async () => {
  await virtual(async () => {
    let heads = 0;
    const hydra = (group: TaskGroup) => async () => {
      heads++;
      await sleep(0.01);
      group.createTask(hydra(group));
      group.createTask(hydra(group));
    };
    const hercules = async () => {
      while (heads < 10) await sleep(0.015);
      throw far();
    };
    const group = TaskGroup.run((group) => {
      group.createTask(hydra(group));
      group.createTask(hercules);
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(heads, 31);
    assertEquals(allTasks().size, 1);
  });
});

Deno.test("TaskGroup.createTask() passes name and signal on [test_taskgroups.TestTaskGroup.test_taskgroup_task_name]", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    const task = await TaskGroup.run((group) => {
      const task = group.createTask(() => sleep(10), {
        name: "yolo",
        signal: controller.signal,
      });
      controller.abort();
      return [task];
    });
    assertEquals(task[0].getName(), "yolo");
    assert(task[0].cancelled());
  });
});

Deno.test("TaskGroup.createTask() is refused while the group shuts down [test_taskgroups.TestTaskGroup.test_taskgroup_no_create_task_after_failure]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run((group) => {
      group.createTask(failing(0.001, far));
      group.createTask(async () => {
        try {
          await sleep(1);
        } catch {
          const error = assertThrows(
            () => group.createTask(worker(log, "refused", 0)),
            RuntimeError,
          );
          log.push(error.message);
        }
      });
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, ["Cannot add a task: the TaskGroup is shutting down"]);
  });
});

Deno.test("TaskGroup.run() groups a child's error with that of a cleanup in the body, and withdraws its request [test_taskgroups.TestTaskGroup.test_taskgroup_context_manager_exit_raises]", async () => {
  await virtual(async () => {
    const group = TaskGroup.run(async (group) => {
      using _database = {
        [Symbol.dispose]() {
          throw odd();
        },
      };
      group.createTask(failing(0, far));
      await sleep(1);
    });
    const error = await assertRejects(() => group, ExceptionGroup);
    assertEquals(error.errors.length, 2);
    assertEquals(shape(error.errors[0]), "RangeError(far)");
    const { error: cleanup, suppressed } = error.errors[1] as SuppressedError;
    assertEquals([shape(cleanup), shape(suppressed)], [
      "TypeError(odd)",
      "CancelledError",
    ]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup that was disposed of by an inner block accepts no more children [test_taskgroups.TestTaskGroup.test_taskgroup_already_entered]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await using group = new TaskGroup();
    {
      await using again = group;
      again.createTask(worker(log, "child", 1));
      await sleep(0);
    }
    assertThrows(() => group.createTask(worker(log, "late", 0)), RuntimeError);
    assertEquals(log, ["child starts", "child CancelledError"]);
  });
});

Deno.test("TaskGroup that is finished cannot be used again [test_taskgroups.TestTaskGroup.test_taskgroup_double_enter] [test_taskgroups.TestTaskGroup.test_taskgroup_finished] [test_taskgroups.TestTaskGroup.test_coro_closed_when_tg_closed]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = await TaskGroup.run((group) => [group]);
    const error = assertThrows(
      () => group[0].createTask(worker(log, "refused", 0)),
      RuntimeError,
    );
    assertEquals(error.message, "Cannot add a task: the TaskGroup is finished");
    await group[0].join();
    await sleep(1);
    assertEquals(log, []);
  });
});

Deno.test("TaskGroup works outside of tasks: its body runs in a task of its own [test_taskgroups.TestTaskGroup.test_taskgroup_not_entered] [test_taskgroups.TestTaskGroup.test_taskgroup_without_parent_task]", async () => {
  assertEquals(currentTask(), null);
  const name = await TaskGroup.run((group) => {
    group.createTask(() => sleep(0));
    return currentTask()!.getName();
  });
  assertStringIncludes(name, "Task-");
  const error = await assertRejects(() =>
    TaskGroup.run(async (group) => {
      group.createTask(() => {
        throw far();
      });
      await sleep(3600);
    })
  );
  assertEquals(shape(error), "ExceptionGroup[RangeError(far)]");
});

Deno.test("TaskGroup in an `await using` block outside of tasks reports failures at join()", async () => {
  await using group = new TaskGroup();
  const sibling = group.createTask(() => sleep(3600));
  group.createTask(() => {
    throw far();
  });
  const error = await assertRejects(() => group.join());
  assertEquals(shape(error), "ExceptionGroup[RangeError(far)]");
  assert(sibling.cancelled());
});

Deno.test("TaskGroup.run() and its methods refuse what is not a function", async () => {
  await virtual(async () => {
    await assertRejects(
      () => TaskGroup.run(42 as never),
      TypeError,
      "the body must be a function, got 42",
    );
    await TaskGroup.run((group) => {
      assertThrows(() => group.createTask(sleep(0) as never), TypeError);
    });
  });
});

Deno.test("TaskGroup.run() leaves no request behind when its error was caught [test_taskgroups.TestTaskGroup.test_cancelling_level_preserved]", async () => {
  await virtual(async () => {
    const group = TaskGroup.run((group) => {
      group.createTask(failing(0, far));
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

Deno.test("TaskGroup.run() nested, with both failing in the same turn, leaves a request between the scopes and none behind [test_taskgroups.TestTaskGroup.test_nested_groups_both_cancelled]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const outer = TaskGroup.run(async (outer) => {
      const inner = TaskGroup.run((inner) => {
        inner.createTask(failing(0, far));
        outer.createTask(failing(0, odd));
      });
      log.push(`inner ${await outcome(inner)}`);
      log.push(`cancelling ${currentTask()!.cancelling()}`);
      await sleep(1).catch((error) => log.push(`then ${shape(error)}`));
    });
    log.push(`outer ${await outcome(outer)}`);
    log.push(`cancelling ${currentTask()!.cancelling()}`);
    assertEquals(log, [
      "inner ExceptionGroup[RangeError(far)]",
      "cancelling 1",
      "then CancelledError",
      "outer ExceptionGroup[TypeError(odd)]",
      "cancelling 0",
    ]);
  });
});

Deno.test("TaskGroup.run() keeps an outer cancellation for the next wait when a child fails too [test_taskgroups.TestTaskGroup.test_error_and_cancel]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const started = new Event();
    const task = createTask(async () => {
      const group = TaskGroup.run(async (group) => {
        group.createTask(async () => {
          started.set();
          await sleep(0);
          throw far();
        });
        await worker(log, "body", 1)();
      });
      log.push(await outcome(group));
      log.push(`cancelling ${currentTask()!.cancelling()}`);
      await worker(log, "behind", 1)();
    });
    await started.wait();
    assertEquals(task.cancelling(), 0);
    task.cancel();
    assertEquals(task.cancelling(), 1);
    await assertRejects(() => task, CancelledError);
    assert(task.cancelled());
    assertEquals(log, [
      "body starts",
      "body CancelledError",
      "ExceptionGroup[RangeError(far)]",
      "cancelling 1",
      "behind starts",
      "behind CancelledError",
    ]);
  });
});
