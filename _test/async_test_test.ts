// asyncTest(): each test has its own loop, and what makes a test fail.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  createTask,
  currentTask,
  Event,
  ExceptionGroup,
  getRunningLoop,
  sleep,
  TimeoutError,
} from "../mod.ts";
import { asyncTest, VirtualTimeLoop } from "../testing.ts";

Deno.test(
  "asyncTest() gives Deno.test a test with its context",
  asyncTest((t: Deno.TestContext) => {
    assertEquals(t.name, "asyncTest() gives Deno.test a test with its context");
    assert(getRunningLoop().isRunning());
    assert(currentTask() !== null);
  }),
);

Deno.test(
  "asyncTest() in virtual time lets an hour pass at once",
  asyncTest({ virtualTime: true }, async () => {
    await sleep(3600);
    assert(getRunningLoop() instanceof VirtualTimeLoop);
    assertEquals(getRunningLoop().time(), 3600);
  }),
);

Deno.test("asyncTest() fails with the error of its function", async () => {
  const test = asyncTest(() => {
    throw new RangeError("wrong");
  });
  await assertRejects(test, RangeError, "wrong");
});

Deno.test("asyncTest() fails with an error of a task that nobody retrieved", async () => {
  const test = asyncTest(async () => {
    createTask(() => {
      throw new RangeError("unseen");
    });
    await sleep(0);
    await sleep(0);
  });
  await assertRejects(test, RangeError, "unseen");
});

Deno.test("asyncTest() fails with the tasks that were left behind, and cancels them", async () => {
  let ended = false;
  const test = asyncTest(async () => {
    createTask(async () => {
      try {
        await new Event().wait();
      } finally {
        ended = true;
      }
    }, { name: "forgotten" });
    await sleep(0);
  });
  await assertRejects(test, Error, "left tasks behind: forgotten");
  assert(ended);
});

Deno.test("asyncTest() fails at its timeout with who waits for what", async () => {
  const test = asyncTest({ virtualTime: true, timeout: 5 }, async () => {
    await new Event({ name: "never set" }).wait();
  });
  const error = await assertRejects(test, TimeoutError, "longer than 5 s");
  assert((error as Error).message.includes("never set"));
});

Deno.test("asyncTest() fails at its timeout although its function sits in a foreign promise", async () => {
  const test = asyncTest({ timeout: 0.001 }, () => new Promise(() => {}));
  await assertRejects(test, Error, "longer than 0.001 s");
});

Deno.test("asyncTest() reports everything that went wrong", async () => {
  const test = asyncTest(async () => {
    createTask(() => {
      throw new RangeError("unseen");
    });
    await sleep(0);
    await sleep(0);
    createTask(() => new Event().wait(), { name: "left" });
    await sleep(0);
  });
  const error = await assertRejects(test, ExceptionGroup) as ExceptionGroup;
  const messages = error.errors.map((it) => String(it).split("\n")[0]);
  assert(messages.includes("RangeError: unseen"));
  assert(messages.some((it) => it.includes("left tasks behind: left")));
});

Deno.test("asyncTest() reports the error of its function beside one of a callback, and of each once", async () => {
  const test = asyncTest(async () => {
    const error = new RangeError("callback");
    for (let i = 0; i < 2; i++) {
      getRunningLoop().callSoon(() => {
        throw error;
      });
    }
    await sleep(0);
    throw new EvalError("function");
  });
  const error = await assertRejects(test, ExceptionGroup) as ExceptionGroup;
  assertEquals(error.errors.map(String), [
    "RangeError: callback",
    "EvalError: function",
  ]);
});

Deno.test("asyncTest() refuses what is not a test, and unknown options", () => {
  assertThrows(() => asyncTest(5 as never), TypeError, "the test must be");
  assertThrows(
    () => asyncTest({ timeOut: 5 } as never, () => {}),
    TypeError,
    'did you mean "timeout"',
  );
  assertThrows(
    () => asyncTest({ virtualTime: 1 } as never, () => {}),
    TypeError,
    "virtualTime",
  );
});
