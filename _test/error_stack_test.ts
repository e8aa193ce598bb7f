// What programs print that fail every day: the lines of the user, those that
// waited among them, and nothing of this module.

import {
  assert,
  assertEquals,
  assertMatch,
  assertStrictEquals,
} from "@std/assert";
import * as asyncio from "@asyncio/asyncio";
import {
  createTask,
  Event,
  getRunningLoop,
  Queue,
  run,
  sleep,
  TaskGroup,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import { FAILING } from "./_error_programs.ts";
import { runSource } from "./_programs.ts";

/** The names of the functions on the stacks in a text. */
function framesIn(text: string): string[] {
  const lines = text.split("\n").filter((line) => /^ +at /.test(line))
    .filter((line) => /:\d+:\d+\)?$/.test(line));
  for (const line of lines) {
    assertMatch(
      line,
      /\$deno\$stdin|toThread:/,
      `A frame of the module: ${text}`,
    );
  }
  return lines.map((line) =>
    /^ +at (?:async )?(?:\w+\.)?(\w+) \(/.exec(line)?.[1] ?? ""
  );
}

for (const [name, failing] of Object.entries(FAILING)) {
  Deno.test(`A program that fails shows the user's lines and nothing else: ${name}`, async () => {
    const { source, texts, frames, code = 1 } = failing;
    const names = Object.keys(asyncio).join(", ");
    const { code: ended, stderr } = await runSource(
      `import { ${names} } from "@asyncio/asyncio";\n${source}`,
      { args: ["-A"] },
    );
    assertEquals(ended, code, stderr);
    assertEquals(framesIn(stderr), frames, stderr);
    let end = 0;
    for (const text of texts) {
      const at = stderr.indexOf(text, end);
      assert(at >= end, `No ${text} in ${stderr}`);
      end = at + text.length;
      assertEquals(stderr.split(text).length, 2, stderr);
    }
  });
}

Deno.test("An error that is caught where it was awaited shows who awaits it", async () => {
  await run(async () => {
    const queue = new Queue<number>();
    getRunningLoop().callLater(0.001, () => queue.shutdown());
    const take = async () => await queue.get();
    const error = await take().catch((error) => error);
    assertMatch(error.stack, /^QueueShutDown: [^\n]*\n +at async take \(/);
  });
});

Deno.test("An error that many await keeps the stacks of a few, each frame once", async () => {
  await run(async () => {
    const task = createTask(() => Promise.reject(new RangeError("far")));
    const look = async () => await task;
    const errors = await Promise.all(
      Array.from({ length: 50 }, () => look().catch((error) => error)),
    );
    const [{ stack }] = errors;
    assertEquals(stack.match(/at async look /g)?.length, 1);
    assertEquals(new Set(errors).size, 1);
  });
});

Deno.test("A stack that was read gets those who await the error afterwards", async () => {
  await run(async () => {
    const task = createTask(async () => {
      await sleep(0);
      throw new RangeError("far");
    });
    const first = async () => await task;
    const second = async () => await task;
    const { stack } = await first().catch((error) => error);
    assertMatch(stack, /at async first /);
    const again = await second().catch((error) => error.stack);
    assertMatch(again, /at async first [^]*at async second /);
  });
});

Deno.test("A stack that the user has set, and an error that is frozen, stay as they are", async () => {
  await run(async () => {
    const own = new RangeError("far");
    own.stack = "mine";
    const frozen = Object.freeze(new RangeError("near"));
    const before = frozen.stack;
    for (const error of [own, frozen]) {
      const task = createTask(() => Promise.reject(error));
      assertStrictEquals(await task.catch((error) => error), error);
    }
    assertEquals([own.stack, frozen.stack], ["mine", before]);
    const task = createTask(async () => {
      await sleep(0);
      throw new RangeError("set later");
    });
    const error = await task.catch((error) => error);
    error.stack = "mine too";
    await task.catch(() => {});
    assertEquals(error.stack, "mine too");
  });
});

for (const fix of [Object.freeze, Object.seal, Object.preventExtensions]) {
  Deno.test(`The stack of an error can be read after Object.${fix.name}()`, async () => {
    await run(async () => {
      const task = createTask(async () => {
        await sleep(0);
        throw new RangeError("near");
      });
      const look = async () => await task;
      const error = await look().catch((error) => fix(error));
      const { stack } = error;
      assertMatch(stack, /^RangeError: near\n[^]*at async look /);
      assertEquals(error.stack, stack);
    });
  });
}

Deno.test("The stack of a TimeoutError can be read after Object.freeze(), also of its cause", async () => {
  await run(async () => {
    const wait = async () => await new Event().wait();
    const error = await timeout(0.001, wait).catch((error) => error);
    Object.freeze(Object.freeze(error).cause);
    assertMatch(error.stack, /^TimeoutError: [^\n]*\n +at async wait /);
    assertMatch(error.cause.stack, /^CancelledError/);
  });
});

for (const limit of [0, Error.stackTraceLimit]) {
  Deno.test(`One error that group after group throws keeps the notes of a few tasks, each once: Error.stackTraceLimit ${limit}`, async () => {
    const before = Error.stackTraceLimit;
    Error.stackTraceLimit = limit;
    const error = new RangeError("same");
    Error.stackTraceLimit = before;
    await run(async () => {
      for (let at = 0; at < 50; at++) {
        await TaskGroup.run((group) => {
          group.createTask(() => Promise.reject(error));
        }).catch(({ errors }) => assertStrictEquals(errors[0], error));
        void error.stack;
      }
    });
    const notes = error.stack!.split("\n")
      .filter((line) => line.startsWith("    in task "));
    assertEquals([notes.length, new Set(notes).size], [8, 8]);
  });
}

Deno.test("TimeoutError has the frames of the wait, and its cause the message alone", async () => {
  await run(async () => {
    const wait = async () => await new Event().wait();
    const error = await timeout(0.001, wait).catch((error) => error);
    assert(error instanceof TimeoutError);
    assertMatch(error.stack!, /^TimeoutError: [^\n]*\n +at async wait /);
    assertEquals((error.cause as Error).stack, "CancelledError");
  });
});

Deno.test("The limit of stacks is the user's again outside of the loop's turns", async () => {
  const limit = Error.stackTraceLimit;
  await run(() => sleep(0.001));
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(Error.stackTraceLimit, limit);
  await run(async () => {
    await sleep(0);
    Error.stackTraceLimit = 3;
    await sleep(0.001);
    assert(Error.stackTraceLimit >= 3);
  });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(Error.stackTraceLimit, 3);
  Error.stackTraceLimit = limit;
});
