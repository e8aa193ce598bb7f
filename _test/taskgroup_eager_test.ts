import { assertEquals, assertFalse, assertStrictEquals } from "@std/assert";
import {
  createTask,
  currentTask,
  KeyboardInterrupt,
  sleep,
  type Task,
  TaskGroup,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";

const far = () => new RangeError("far");

/** Fails in its first step. */
const fail = () => {
  throw far();
};

const failures: Record<string, () => unknown> = {
  "throws": fail,
  "rejects": () => Promise.reject(far()),
};

for (const [how, child] of Object.entries(failures)) {
  Deno.test(`TaskGroup hears of an eager child that ${how} in its first step only after createTask()`, async () => {
    await virtual(async () => {
      const log: string[] = [];
      const group = TaskGroup.run(async (group) => {
        group.createTask(child, { eagerStart: true });
        log.push(`cancelling ${currentTask()!.cancelling()}`);
        group.createTask(() => sleep(9), { eagerStart: true });
        group.createTask(() => sleep(9));
        log.push("two more");
        await sleep(1);
        log.push("not reached");
      });
      assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
      assertEquals(log, ["cancelling 0", "two more"]);
      assertEquals(currentTask()!.cancelling(), 0);
    });
  });
}

for (const eagerStart of [false, true]) {
  const how = eagerStart ? "eager" : "lazy";

  Deno.test(`TaskGroup cancels a child whose first step adds a child that fails, when ${how} [test_taskgroups.TestTaskGroup.test_cancels_task_if_created_during_creation]`, async () => {
    await virtual(async () => {
      let creator: Task<unknown>;
      const group = TaskGroup.run((group) => {
        creator = group.createTask(async () => {
          group.createTask(fail, { eagerStart });
          await sleep(9);
        }, { eagerStart });
      });
      assertEquals(await outcome(group), "ExceptionGroup[RangeError(far)]");
      assertEquals(await outcome(creator!), "CancelledError");
      await sleep(1);
    });
  });

  Deno.test(`TaskGroup.cancel() in the first step of a child that is ${how} strikes at its first wait [test_taskgroups.TestTaskGroup.test_taskgroup_cancel_from_child_before_first_suspension]`, async () => {
    await virtual(async () => {
      const log: string[] = [];
      let child: Task<unknown>;
      await TaskGroup.run((group) => {
        child = group.createTask(async () => {
          group.cancel();
          log.push("continues");
          await sleep(9);
          log.push("not reached");
        }, { eagerStart });
      });
      assertEquals(await outcome(child!), "CancelledError");
      assertEquals(log, ["continues"]);
      assertEquals(currentTask()!.cancelling(), 0);
    });
  });
}

const places: Record<
  string,
  (group: TaskGroup, error: Error) => Promise<unknown>
> = {
  "a child": async (group, error) => {
    group.createTask(() => Promise.reject(error));
    await sleep(9);
  },
  "the body": async (_group, error) => {
    await sleep(0);
    throw error;
  },
};

for (const [place, body] of Object.entries(places)) {
  Deno.test(`TaskGroup lets a KeyboardInterrupt of ${place} out bare, once the others have ended`, async () => {
    await virtual(async () => {
      const interrupt = new KeyboardInterrupt("by hand");
      let ended = false;
      let caught: unknown;
      try {
        await TaskGroup.run(async (group) => {
          group.createTask(async () => {
            try {
              await sleep(9);
            } finally {
              await sleep(1);
              ended = true;
            }
          });
          await sleep(0);
          await body(group, interrupt);
        });
      } catch (error) {
        caught = error;
      }
      assertStrictEquals(caught, interrupt);
      assertEquals(ended, true);
      assertEquals(currentTask()!.cancelling(), 0);
    });
  });
}

Deno.test("Task.getCoro() is null for a task that ended in its eager step", async () => {
  await virtual(async () => {
    const ended = createTask(() => 1, { eagerStart: true });
    assertEquals(ended.getCoro(), null as unknown);
    const waiting = createTask(() => sleep(1), { eagerStart: true });
    assertFalse(waiting.getCoro() === null as unknown);
    await waiting;
  });
});
