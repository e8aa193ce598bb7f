import { assert, assertRejects } from "@std/assert";
import {
  createTask,
  currentTask,
  ExceptionGroup,
  run,
  sleep,
  TaskGroup,
  timeout,
} from "@asyncio/asyncio";
import { collectGarbage } from "./_garbage.ts";

/** Waits until a thing was collected; it fails if that never happens. */
async function collected(ref: WeakRef<WeakKey>): Promise<boolean> {
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    collectGarbage();
    if (ref.deref() === undefined) return true;
  }
  return false;
}

/** The error of a group, kept by nobody. */
async function thrown(body: () => Promise<unknown>): Promise<WeakRef<Error>> {
  return new WeakRef(await assertRejects(body, Error));
}

const fail = () => {
  throw new RangeError("far");
};

const failures: Record<string, () => Promise<unknown>> = {
  "its body [test_taskgroups.TestTaskGroup.test_exception_refcycles_direct]":
    () => TaskGroup.run(fail),
  "a child [test_taskgroups.TestTaskGroup.test_exception_refcycles_errors]":
    () => TaskGroup.run((group) => void group.createTask(fail)),
  "a child of an inner group [test_taskgroups.TestTaskGroup.test_exception_refcycles_base_error]":
    () =>
      TaskGroup.run((group) => {
        group.createTask(() => TaskGroup.run((it) => void it.createTask(fail)));
      }),
  "its cancellation": () => timeout(0, () => TaskGroup.run(() => sleep(9))),
};

for (const [what, body] of Object.entries(failures)) {
  const [name, id = ""] = what.split(" [");
  const suffix = id === "" ? "" : ` [${id}`;
  Deno.test(`TaskGroup that ended with an error of ${name} does not keep it${suffix}`, async () => {
    await run(async () => {
      assert(await collected(await thrown(body)));
    });
  });
}

Deno.test("TaskGroup that has ended does not keep its parent [test_taskgroups.TestTaskGroup.test_exception_refcycles_parent_task] [test_taskgroups.TestTaskGroup.test_exception_refcycles_parent_task_wr]", async () => {
  const parentOf = async (body: () => unknown) => {
    let parent: WeakRef<WeakKey>;
    await assertRejects(
      () =>
        createTask(async () => {
          parent = new WeakRef(currentTask()!);
          await body();
        }),
      ExceptionGroup,
    );
    return parent!;
  };
  await run(async () => {
    const parent = await parentOf(() =>
      TaskGroup.run((group) => void group.createTask(fail))
    );
    assert(await collected(parent));
  });
});
