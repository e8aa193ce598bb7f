// A group whose `limit` holds functions back.

import { assertEquals } from "@std/assert";
import { getRunningLoop, sleep, TaskGroup } from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";
import { outcome, virtual } from "./_virtual.ts";

Deno.test("TaskGroup.run() with a limit waits for a function that begins as another one fails", async () => {
  const log: string[] = [];
  await virtual(async () => {
    const step = Promise.withResolvers<void>();
    const group = TaskGroup.run((group) => {
      group.createTask(async () => {
        await sleep(1);
        throw new RangeError("far");
      });
      group.createTask(async () => {
        log.push("second begins");
        await step.promise;
        log.push("second ends");
      });
    }, { limit: 1 });
    const ended = outcome(group).then((it) => log.push(it));
    await sleep(2);
    log.push("release");
    step.resolve();
    await ended;
  });
  assertEquals(log, [
    "second begins",
    "release",
    "second ends",
    "ExceptionGroup[RangeError(far)]",
  ]);
});

Deno.test("TaskGroup.run() with a limit never calls what waits for its place when the group is cancelled", async () => {
  const log: string[] = [];
  await virtual(() =>
    TaskGroup.run(async (group) => {
      for (const name of ["first", "second", "third"]) {
        group.createTask(async () => {
          log.push(name);
          await sleep(60);
        });
      }
      await sleep(1);
      group.cancel();
    }, { limit: 1 })
  );
  assertEquals(log, ["first"]);
});

Deno.test("TaskGroup.run() with a limit passes the place of a task that is cancelled as it gets it on", async () => {
  const log: string[] = [];
  await virtual(() =>
    TaskGroup.run(async (group) => {
      const add = (name: string, delay: number) =>
        group.createTask(async () => {
          log.push(name);
          await sleep(delay);
        }, { name });
      add("first", 1);
      const second = add("second", 1);
      add("third", 1);
      await sleep(0.5);
      assertEquals(
        inspect(second).includes(
          "waiting for a slot under the limit of tasks that run at once",
        ),
        true,
        inspect(second),
      );
      getRunningLoop().callLater(0.5, () => second.cancel()); // it has just been given the place
    }, { limit: 1 })
  );
  assertEquals(log, ["first", "third"]);
});
