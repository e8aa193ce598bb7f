import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  allTasks,
  createTask,
  currentTask,
  type ExceptionContext,
  getRunningLoop,
  RuntimeError,
  sleep,
  TaskGroup,
  timeout,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

const far = () => new RangeError("far");
const odd = () => new TypeError("odd");

/** Sleeps, and logs how that ends. */
function worker(log: string[], name: string, delay: number) {
  return async () => {
    log.push(`${name} starts`);
    try {
      await sleep(delay);
      log.push(`${name} ends`);
    } catch (error) {
      log.push(`${name} ${shape(error)}`);
      throw error;
    }
  };
}

/** Takes a second to end when it is cancelled. */
function stubborn(log: string[], name: string) {
  return async () => {
    try {
      await sleep(3600);
    } finally {
      log.push(`${name} stopping`);
      await sleep(1);
      log.push(`${name} stopped`);
    }
  };
}

Deno.test("TaskGroup.cancel() from the body ends body and children, and run() returns undefined", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const value = await TaskGroup.run(async (group) => {
      group.createTask(worker(log, "child", 10));
      await sleep(0.1);
      group.cancel("enough");
      log.push(`cancelling ${currentTask()!.cancelling()}`);
      await worker(log, "body", 1)();
      return "not reached";
    });
    assertEquals(value, undefined as never);
    assertEquals(log, [
      "child starts",
      "cancelling 1",
      "body starts",
      "child CancelledError(enough)",
      "body CancelledError(enough)",
    ]);
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

Deno.test("TaskGroup.cancel() in a body that waits no more returns its value", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const value = await TaskGroup.run((group) => {
      group.createTask(worker(log, "child", 10));
      group.cancel();
      return "value";
    });
    assertEquals(value, "value");
    assertEquals(log, []);
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

Deno.test("TaskGroup.cancel() without children is withdrawn before the next wait", async () => {
  await virtual(async () => {
    await TaskGroup.run((group) => group.cancel());
    await sleep(1);
    assertEquals(getRunningLoop().time(), 1);
  });
});

Deno.test("TaskGroup.cancel() from a child ends its siblings, the body and the child", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await TaskGroup.run(async (group) => {
      group.createTask(worker(log, "sibling", 10));
      group.createTask(async () => {
        await sleep(0.1);
        group.cancel();
        log.push("cancelled");
        await worker(log, "child", 1)();
      });
      await worker(log, "body", 10)();
    });
    log.push("behind");
    assertEquals(log, [
      "body starts",
      "sibling starts",
      "cancelled",
      "child starts",
      "sibling CancelledError",
      "body CancelledError",
      "child CancelledError",
      "behind",
    ]);
  });
});

Deno.test("TaskGroup.cancel() from outside ends a group whose parent waits at its end", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const opened = getRunningLoop().createFuture<TaskGroup[]>();
    const parent = createTask(async () => {
      await TaskGroup.run((group) => {
        group.createTask(stubborn(log, "child"));
        opened.setResult([group]);
      });
      log.push(`left ${currentTask()!.cancelling()}`);
      await sleep(1);
      log.push("behind");
    });
    const [group] = await opened;
    await sleep(0.1);
    group.cancel();
    group.cancel("again");
    await parent;
    group.cancel("too late");
    assertEquals(log, ["child stopping", "child stopped", "left 0", "behind"]);
  });
});

Deno.test("TaskGroup.cancel() twice cancels the children once, and refuses new ones", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await TaskGroup.run(async (group) => {
      group.createTask(stubborn(log, "child"));
      await sleep(0.1);
      group.cancel("first");
      group.cancel("second");
      const error = assertThrows(
        () => group.createTask(worker(log, "refused", 0)),
        RuntimeError,
      );
      log.push(error.message);
    });
    assertEquals(log, [
      "Cannot add a task: the TaskGroup is shutting down",
      "child stopping",
      "child stopped",
    ]);
  });
});

Deno.test("TaskGroup.cancel() does not hide a failure that comes after it, or came before", async () => {
  await virtual(async () => {
    const after = TaskGroup.run(async (group) => {
      group.createTask(() => {
        group.cancel();
        throw far();
      });
      await sleep(1);
    });
    assertEquals(await outcome(after), "ExceptionGroup[RangeError(far)]");
    const before = TaskGroup.run(async (group) => {
      group.createTask(() => {
        throw far();
      });
      await sleep(1).catch(() => group.cancel());
    });
    assertEquals(await outcome(before), "ExceptionGroup[RangeError(far)]");
    const body = TaskGroup.run((group) => {
      group.cancel();
      throw odd();
    });
    assertEquals(await outcome(body), "ExceptionGroup[TypeError(odd)]");
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

for (const first of ["group", "task"]) {
  Deno.test(`TaskGroup.cancel() in the same turn as a cancellation from outside, the ${first}'s first, lets that out`, async () => {
    await virtual(async () => {
      const log: string[] = [];
      const opened = getRunningLoop().createFuture<TaskGroup[]>();
      const task = createTask(() =>
        TaskGroup.run(async (group) => {
          opened.setResult([group]);
          group.createTask(worker(log, "child", 10));
          await worker(log, "body", 10)();
        })
      );
      const [group] = await opened;
      await sleep(0.1);
      if (first === "group") group.cancel();
      task.cancel();
      group.cancel();
      assertEquals(await outcome(task), "CancelledError");
      assertEquals(task.cancelling(), 1);
      assertEquals(log.slice(2).sort(), [
        "body CancelledError",
        "child CancelledError",
      ]);
    });
  });
}

Deno.test("TaskGroup.cancel() does not swallow a cancellation that comes while the children end", async () => {
  await virtual(async () => {
    for (const state of ["open", "leaving"]) {
      const log: string[] = [];
      const opened = getRunningLoop().createFuture<TaskGroup[]>();
      const task = createTask(async () => {
        await TaskGroup.run(async (group) => {
          opened.setResult([group]);
          group.createTask(stubborn(log, "child"));
          if (state === "open") await sleep(3600);
        });
        log.push("not reached");
      });
      const [group] = await opened;
      await sleep(0.1);
      group.cancel();
      await sleep(0.1);
      task.cancel();
      assertEquals(await outcome(task), "CancelledError");
      assertEquals(log, ["child stopping", "child stopped"]);
    }
  });
});

Deno.test("TaskGroup.cancel() is no error in a task that swallowed a cancellation before", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      await worker(log, "first", 10)().catch(() => {});
      await TaskGroup.run(async (group) => {
        group.createTask(worker(log, "child", 10));
        await sleep(0);
        group.cancel();
        await sleep(10);
      });
      log.push(`cancelling ${currentTask()!.cancelling()}`);
    });
    await sleep(0.1);
    task.cancel();
    await task;
    assertEquals(log, [
      "first starts",
      "first CancelledError",
      "child starts",
      "child CancelledError",
      "cancelling 1",
    ]);
  });
});

Deno.test("TaskGroup.cancel() of an outer group ends an inner one unwrapped", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await TaskGroup.run(async (outer) => {
      const inner = TaskGroup.run(async (inner) => {
        inner.createTask(worker(log, "inner child", 10));
        inner.createTask(async () => {
          await sleep(0.1);
          outer.cancel("all of it");
        });
        await worker(log, "inner body", 10)();
      });
      log.push(`inner ${await outcome(inner)}`);
    });
    assertEquals(log, [
      "inner body starts",
      "inner child starts",
      "inner body CancelledError(all of it)",
      "inner child CancelledError",
      "inner CancelledError(all of it)",
    ]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup.cancel() does not swallow the cancellation of a deadline around the group", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await timeout(1, async (scope) => {
      await TaskGroup.run(async (group) => {
        group.createTask(stubborn(log, "child"));
        await sleep(0.5);
        group.cancel();
      }).catch((error) => log.push(shape(error)));
      log.push(`expired ${scope.expired()}`);
    }).catch((error) => log.push(error.name));
    assertEquals(log, [
      "child stopping",
      "child stopped",
      "CancelledError",
      "expired true",
    ]);
  });
});

Deno.test("TaskGroup.join() waits for the children and those they add", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await using group = new TaskGroup();
    group.createTask(async () => {
      await worker(log, "one", 1)();
      group.createTask(worker(log, "two", 1));
    });
    await group.join();
    log.push("joined");
    await group.join();
    assertEquals(log, [
      "one starts",
      "one ends",
      "two starts",
      "two ends",
      "joined",
    ]);
  });
});

Deno.test("TaskGroup.join() rejects with the errors of the children", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const block = async () => {
      await using group = new TaskGroup();
      group.createTask(() => {
        throw far();
      });
      group.createTask(worker(log, "sibling", 1));
      await group.join();
    };
    assertEquals(await outcome(block()), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, ["sibling starts", "sibling CancelledError"]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup.join() inside run() leaves errors that come later as they are", async () => {
  await virtual(async () => {
    const failed = TaskGroup.run(async (group) => {
      group.createTask(() => {
        throw far();
      });
      await group.join();
    });
    assertEquals(await outcome(failed), "ExceptionGroup[RangeError(far)]");
    const later = TaskGroup.run(async (group) => {
      await group.join();
      throw odd();
    });
    assertEquals(await outcome(later), "TypeError(odd)");
    assertEquals(await TaskGroup.run((group) => group.join()), undefined);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup.join() passes on an outer cancellation, but not one by cancel()", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const groups: TaskGroup[] = [];
    const join = async () => {
      await using group = new TaskGroup();
      groups.push(group);
      group.createTask(worker(log, "child", 10));
      await group.join();
      return "joined";
    };
    const [one, two] = [createTask(join), createTask(join)];
    await sleep(0.1);
    one.cancel("outside");
    groups[1].cancel("inside");
    assertEquals(await outcome(one), "CancelledError(outside)");
    assertEquals(await two, "joined");
    assertEquals(log, [
      "child starts",
      "child starts",
      "child CancelledError(inside)",
      "child CancelledError",
    ]);
  });
});

Deno.test("TaskGroup that is left without join() cancels and awaits its children", async () => {
  await virtual(async () => {
    const log: string[] = [];
    {
      await using group = new TaskGroup();
      group.createTask(stubborn(log, "child"));
      await sleep(0.1);
      log.push("body ends");
    }
    log.push(`left at ${getRunningLoop().time()}`);
    assertEquals(log, [
      "body ends",
      "child stopping",
      "child stopped",
      "left at 1.1",
    ]);
    assertEquals(allTasks().size, 1);
  });
});

Deno.test("TaskGroup that is left by an error lets it through", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const block = async () => {
      await using group = new TaskGroup();
      group.createTask(stubborn(log, "child"));
      await sleep(0.1);
      throw far();
    };
    assertEquals(await outcome(block()), "RangeError(far)");
    assertEquals(log, ["child stopping", "child stopped"]);
  });
});

Deno.test("TaskGroup that is left by an error adds those of the children's cleanups", async () => {
  await virtual(async () => {
    const block = async () => {
      await using group = new TaskGroup();
      group.createTask(async () => {
        await sleep(1).finally(() => {
          throw odd();
        });
      });
      await sleep(0.1);
      throw far();
    };
    const error = await assertRejects(block, SuppressedError);
    assertEquals(shape(error.error), "ExceptionGroup[TypeError(odd)]");
    assertEquals(shape(error.suppressed), "RangeError(far)");
  });
});

Deno.test("TaskGroup whose child fails interrupts an `await using` block that waits for something else", async () => {
  await virtual(async () => {
    const block = async () => {
      await using group = new TaskGroup();
      group.createTask(() => {
        throw far();
      });
      await sleep(1);
    };
    const error = await assertRejects(block, SuppressedError);
    assertEquals(shape(error.error), "ExceptionGroup[RangeError(far)]");
    assertEquals(shape(error.suppressed), "CancelledError");
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup that is being left passes on a cancellation when its children are done", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(async () => {
      await using group = new TaskGroup();
      group.createTask(stubborn(log, "child"));
      await sleep(0);
    });
    await sleep(0.5);
    task.cancel("outside");
    assertEquals(await outcome(task), "CancelledError(outside)");
    assertEquals(log, ["child stopping", "child stopped"]);
  });
});

Deno.test("TaskGroup.createTask() handles an eager child that fails in its first step only on the next turn", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const group = TaskGroup.run(async (group) => {
      group.createTask(worker(log, "sibling", 1));
      group.createTask(() => {
        throw far();
      }, { eagerStart: true });
      log.push(`cancelling ${currentTask()!.cancelling()}`);
      group.createTask(worker(log, "late sibling", 1));
      await worker(log, "body", 1)();
    });
    assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
    assertEquals(log, [
      "cancelling 0",
      "body starts",
      "sibling starts",
      "sibling CancelledError",
      "body CancelledError",
    ]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup.createTask() runs the first step of an eager child inside the call", async () => {
  await virtual(async () => {
    const log: string[] = [];
    await TaskGroup.run((group) => {
      const done = group.createTask(() => "done", { eagerStart: true });
      log.push(done.result());
      group.createTask(worker(log, "child", 1), { eagerStart: true });
      log.push("body ends");
    });
    assertEquals(log, ["done", "child starts", "body ends", "child ends"]);
  });
});

Deno.test("TaskGroup.run() groups what fails in one turn: children first, the body last", async () => {
  await virtual(async () => {
    const fails = (error: () => Error) => async () => {
      await sleep(1);
      throw error();
    };
    const group = TaskGroup.run(async (group) => {
      group.createTask(fails(far));
      group.createTask(fails(odd));
      await sleep(0);
      await fails(() => new Error("body"))();
    });
    assertEquals(
      await outcome(group),
      "ExceptionGroup[RangeError(far), TypeError(odd), Error(body)]",
    );
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup reports the failure of a child whose parent ended without leaving the group", async () => {
  await virtual(async () => {
    const reports: ExceptionContext[] = [];
    getRunningLoop().setExceptionHandler((_, context) => reports.push(context));
    await createTask(() => {
      const group = new TaskGroup();
      group.createTask(async () => {
        await sleep(1);
        throw far();
      }, { name: "orphan" });
    });
    await sleep(2);
    assertEquals(
      reports.map(({ message, exception }) => [message, exception]),
      [
        [
          "A child of a TaskGroup failed after its parent task had finished",
          far(),
        ],
      ],
    );
    assert(reports[0].task !== undefined);
  });
});
