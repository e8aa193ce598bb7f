import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Context,
  createTask,
  currentTask,
  getRunningLoop,
  Runner,
  sleep,
  TaskGroup,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";

const notContexts = [5, "context", {}, new AsyncLocalStorage()] as unknown[];

/** The loop and its current task are as before, and timers fire. */
async function assertUsable(task: unknown): Promise<void> {
  assert(currentTask() === task);
  const before = getRunningLoop().time();
  assertEquals(await createTask(() => sleep(1, { result: "fine" })), "fine");
  assertEquals(getRunningLoop().time(), before + 1);
}

for (const eagerStart of [false, true]) {
  const how = eagerStart ? "with eagerStart " : "";
  const id = eagerStart
    ? "test_context_not_a_context_leaves_loop_usable"
    : "test_context_not_a_context";

  Deno.test(`createTask() ${how}refuses a context that is none, and the loop continues [test_tasks.BaseTaskTests.${id}]`, async () => {
    await virtual(async () => {
      const task = currentTask();
      for (const value of notContexts) {
        const context = value as Context;
        const body = () => assert(false, "called");
        assertThrows(
          () => createTask(body, { context, eagerStart }),
          TypeError,
          "context",
        );
        await TaskGroup.run((group) => {
          assertThrows(
            () => group.createTask(body, { context, eagerStart }),
            TypeError,
            "context",
          );
        });
        await assertUsable(task);
      }
    });
  });

  Deno.test(`createTask() ${how}with a context that cannot be entered hands its error on, and the loop continues${eagerStart ? " [test_tasks.BaseTaskTests.test_context_already_entered_leaves_loop_usable]" : ""}`, async () => {
    await virtual(async () => {
      const task = currentTask();
      const context = () => {
        throw new RangeError("entered already");
      };
      const attempt = (async () =>
        await createTask(() => 1, { context, eagerStart }))();
      assertEquals(await outcome(attempt), "RangeError(entered already)");
      await assertUsable(task);
    });
  });
}

Deno.test("createTask() takes null as context for the caller's own", async () => {
  const store = new AsyncLocalStorage<string>();
  await virtual(async () => {
    const context = null as unknown as Context;
    const value = await store.run(
      "own",
      () => createTask(() => store.getStore(), { context }),
    );
    assertEquals(value, "own");
  });
});

Deno.test("Runner.run() refuses a context that is none, and runs on", async () => {
  await using runner = new Runner();
  for (const value of notContexts) {
    await assertRejects(
      () => runner.run(() => 1, { context: value as Context }),
      TypeError,
      "context",
    );
    assertEquals(await runner.run(() => 2), 2);
  }
});
