import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CancelledError,
  createTask,
  currentTask,
  Event,
  ExceptionGroup,
  getRunningLoop,
  RuntimeError,
  sleep,
  TaskGroup,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";

for (const eagerStart of [false, true]) {
  const how = eagerStart ? "eager" : "lazy";

  Deno.test(`TaskGroup.cancel() ends ${how} children and the group at once, without an error [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_children]`, async () => {
    await virtual(async () => {
      const ends: string[] = [];
      await TaskGroup.run((group) => {
        for (const delay of [1, 2]) {
          group.createTask(
            () => sleep(delay * 100).finally(() => ends.push(`${delay}`)),
            { eagerStart },
          );
        }
        getRunningLoop().callSoon(() => group.cancel());
      });
      assertEquals(ends, ["1", "2"]);
      assertEquals(getRunningLoop().time(), 0);
      assertEquals(currentTask()!.cancelling(), 0);
    });
  });

  Deno.test(`TaskGroup.cancel() from the body with ${how} children ends the body at its next wait [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_body]`, async () => {
    await virtual(async () => {
      const log: string[] = [];
      await TaskGroup.run(async (group) => {
        group.createTask(() => sleep(100), { eagerStart });
        group.cancel();
        log.push("goes on");
        await sleep(0);
        log.push("not reached");
      });
      assertEquals(log, ["goes on"]);
      assertEquals(currentTask()!.cancelling(), 0);
    });
  });

  Deno.test(`TaskGroup.cancel() beats ${how} children that were woken in the same turn [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_one_winner]`, async () => {
    await virtual(async () => {
      const start = new Event();
      const winners: number[] = [];
      await TaskGroup.run(async (group) => {
        for (let i = 0; i < 3; i++) {
          group.createTask(async () => {
            await start.wait();
            winners.push(i);
            group.cancel();
          }, { eagerStart });
        }
        await sleep(1);
        start.set();
      });
      assertEquals(winners, [0]);
    });
  });

  Deno.test(`TaskGroup that ended with the error of a ${how} child leaves the code behind it alone [test_taskgroups.TestTaskGroup.test_cancellation_does_not_leak_out_of_tg]`, async () => {
    await virtual(async () => {
      const fails = TaskGroup.run((group) => {
        group.createTask(() => {
          throw new RangeError("far");
        }, { eagerStart });
      });
      await assertRejects(() => fails, ExceptionGroup);
      assertEquals(currentTask()!.cancelling(), 0);
      await sleep(0);
      await sleep(1);
    });
  });

  Deno.test(`TaskGroup.createTask() gives a ${how} child its name before its first step [test_taskgroups.TestTaskGroup.test_name]`, async () => {
    await virtual(async () => {
      const names: string[] = [];
      await TaskGroup.run((group) => {
        group.createTask(() => {
          names.push(currentTask()!.getName());
        }, { eagerStart, name: "test name" });
      });
      assertEquals(names, ["test name"]);
    });
  });
}

Deno.test("TaskGroup.cancel() twice, also while the children end, changes nothing [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_idempotent]", async () => {
  await virtual(async () => {
    let cancellations = 0;
    await TaskGroup.run(async (group) => {
      group.createTask(async () => {
        await sleep(100).catch(() => cancellations++);
        await sleep(1);
        group.cancel();
        await sleep(1);
      });
      await sleep(0);
      group.cancel();
      group.cancel();
    });
    assertEquals([cancellations, getRunningLoop().time()], [1, 2]);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("TaskGroup.cancel() of a group that has ended does nothing [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_after_exit]", async () => {
  await virtual(async () => {
    let ended: TaskGroup;
    await TaskGroup.run(async (group) => {
      ended = group;
      await sleep(0);
    });
    ended!.cancel();
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

Deno.test("TaskGroup.createTask() is refused after cancel(), and the function never called [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_before_create_task]", async () => {
  await virtual(async () => {
    await TaskGroup.run((group) => {
      group.cancel();
      for (const eagerStart of [false, true]) {
        assertThrows(
          () => group.createTask(() => assert(false, "called"), { eagerStart }),
          RuntimeError,
          "shutting down",
        );
      }
    });
  });
});

const orders: Record<string, (cancel: () => void) => never> = {
  "after cancel()": (cancel) => {
    cancel();
    throw new RangeError("far");
  },
  "before cancel()": (cancel) => {
    try {
      throw new RangeError("far");
    } finally {
      cancel();
    }
  },
};
const ids: Record<string, string> = {
  "after cancel()": "cancel_before_exception",
  "before cancel()": "cancel_after_exception",
};

for (const [order, fail] of Object.entries(orders)) {
  const id = (of: string) =>
    `[test_taskgroups.TestTaskGroup.test_taskgroup_${of}${ids[order]}]`;

  Deno.test(`TaskGroup throws the error that a child threw ${order} ${id("")}`, async () => {
    await virtual(async () => {
      const group = TaskGroup.run((group) => {
        group.createTask(() => fail(() => group.cancel()));
      });
      assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
      assertEquals(currentTask()!.cancelling(), 0);
    });
  });

  Deno.test(`TaskGroup throws the error that its body threw ${order} ${id("body_")}`, async () => {
    await virtual(async () => {
      const group = TaskGroup.run((group) => fail(() => group.cancel()));
      assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
      assertEquals(currentTask()!.cancelling(), 0);
    });
  });
}

/** Holds an open group while its consumer continues. */
async function* numbers(child: () => Promise<unknown>) {
  await using group = new TaskGroup();
  group.createTask(child);
  yield 1;
  yield 2;
  await group.join();
}

Deno.test("TaskGroup in an async generator that is left early ends without an error [test_taskgroups.TestTaskGroup.test_taskgroup_generator_exit_01]", async () => {
  await virtual(async () => {
    let cancelled = false;
    const child = () => sleep(100).catch(() => cancelled = true);
    for await (const _ of numbers(child)) {
      await sleep(1);
      break;
    }
    assert(cancelled);
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

Deno.test("TaskGroup in an async generator throws its error if a child failed before the generator is left [test_taskgroups.TestTaskGroup.test_taskgroup_generator_exit_04]", async () => {
  await virtual(async () => {
    const consume = async () => {
      const child = async () => {
        await sleep(1);
        throw new RangeError("far");
      };
      for await (const _ of numbers(child)) {
        await sleep(2).catch(() => {});
        break;
      }
    };
    assertEquals(await outcome(consume()), "ExceptionGroup[RangeError(far)]");
  });
});

Deno.test("timeout() around a TaskGroup throws a TimeoutError whose cause is the cancellation [test_taskgroups.TestTaskGroup.test_exception_refcycles_propagate_cancellation_error]", async () => {
  await virtual(async () => {
    const error = await assertRejects(
      () =>
        timeout(1, () =>
          TaskGroup.run(async (group) => {
            group.createTask(() => sleep(100));
            await sleep(100);
          })),
      TimeoutError,
    );
    assert(error.cause instanceof CancelledError);
  });
});

Deno.test("TaskGroup that was cancelled and waits for its children passes on an outer cancellation, with its message [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_keeps_outer_cancellation]", async () => {
  await virtual(async () => {
    const ready = new Event();
    const task = createTask(() =>
      TaskGroup.run((group) => {
        group.createTask(async () => {
          group.cancel();
          try {
            await sleep(9);
          } finally {
            ready.set();
            await sleep(1);
          }
        });
      })
    );
    await ready.wait();
    task.cancel("message");
    assertEquals(await outcome(task), "CancelledError(message)");
  });
});
