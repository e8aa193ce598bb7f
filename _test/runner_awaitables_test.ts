import { assertEquals, assertRejects } from "@std/assert";
import {
  type Coroutine,
  createTask,
  Runner,
  sleep,
  TaskGroup,
} from "@asyncio/asyncio";

/** What `Runner.run` accepts, whether its types allow it or not. */
const asMain = (main: unknown) => main as Coroutine<unknown>;

Deno.test("Runner.run() takes a future of its loop [test_runners.RunTests.test_run_awaitable]", async () => {
  await using runner = new Runner();
  const loop = runner.getLoop();
  const done = loop.createFuture<string>();
  done.setResult("done");
  assertEquals(await runner.run(asMain(done)), "done");
  const later = loop.createFuture<string>();
  loop.callSoon(() => later.setResult("later"));
  assertEquals(await runner.run(asMain(later)), "later");
  const failed = loop.createFuture<string>();
  failed.setException(new RangeError("far"));
  await assertRejects(() => runner.run(asMain(failed)), RangeError, "far");
});

Deno.test("Runner.run() takes a task of its loop", async () => {
  await using runner = new Runner();
  const task = runner.getLoop().createTask(() => sleep(0, { result: "value" }));
  assertEquals(await runner.run(asMain(task)), "value");
  let kept: unknown;
  await runner.run(() => {
    kept = createTask(() => sleep(0, { result: "kept" }));
  });
  assertEquals(await runner.run(asMain(kept)), "kept");
  await runner.run(() => TaskGroup.run(() => sleep(0)));
});
