// Errors that nobody looks at are reported, once, and kill nothing. What is
// reported at garbage collection and at the end of a program is seen from
// outside: each of those tests runs a program of its own.

import {
  assertEquals,
  assertMatch,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  createTask,
  type ExceptionContext,
  gather,
  getEventLoop,
  getRunningLoop,
  run,
  Runner,
  shield,
  sleep,
  Task,
} from "@asyncio/asyncio";
import { runSource } from "./_programs.ts";
import { outcome, shape, virtual } from "./_virtual.ts";

const PRELUDE = `
  import { createTask, ensureFuture, Future, gather, getEventLoop, run, shield, sleep, wait, waitFor }
    from "@asyncio/asyncio";
  addEventListener("unhandledrejection", () => console.log("UNHANDLED"));
  const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
  async function collect() {
    for (let i = 0; i < 10; i++) {
      (globalThis as any).gc();
      await turn();
      await sleep(0);
    }
  }
  const failing = (name: string) => createTask(async () => {
    await sleep(0);
    throw new RangeError("far", { cause: new TypeError("odd") });
  }, { name });
  const handler = (_: unknown, it: any) =>
    console.log("REPORT", it.message, "|", it.exception.message);
`;

/** Runs a program in a process of its own; gives what it has written. */
async function program(
  body: string,
): Promise<{ code: number; out: string[]; err: string }> {
  const { code, stdout, stderr } = await runSource(PRELUDE + body, {
    args: ["--v8-flags=--expose-gc"],
  });
  const out = stdout.split("\n").filter((line) => line !== "");
  return { code, out, err: stderr };
}

Deno.test("Future whose error nobody looked at is reported when it is garbage, once [test_futures.BaseFutureTests.test_future_exception_never_retrieved] [test_futures.BaseFutureTests.test_tb_logger_exception_unretrieved]", async () => {
  const { code, out, err } = await program(`
    getEventLoop().setExceptionHandler(handler);
    (() => new Future().setException(new RangeError("far")))();
    await collect();
    console.log("collected");
    await collect();
  `);
  assertEquals([code, err], [0, ""]);
  assertEquals(out, [
    "REPORT Future exception was never retrieved | far",
    "collected",
  ]);
});

Deno.test("Future whose error was looked at through exception() is not reported [test_futures.BaseFutureTests.test_tb_logger_exception_retrieved]", async () => {
  const { code, out, err } = await program(`
    getEventLoop().setExceptionHandler(handler);
    (() => {
      const future = new Future();
      future.setException(new RangeError("far"));
      console.log(future.exception().message);
    })();
    await collect();
  `);
  assertEquals([code, out, err], [0, ["far"], ""]);
});

Deno.test("Future whose error was thrown by result() is not reported [test_futures.BaseFutureTests.test_tb_logger_exception_result_retrieved]", async () => {
  const { code, out, err } = await program(`
    getEventLoop().setExceptionHandler(handler);
    (() => {
      const future = new Future();
      future.setException(new RangeError("far"));
      try {
        future.result();
      } catch (error) {
        console.log(error.message);
      }
    })();
    await collect();
  `);
  assertEquals([code, out, err], [0, ["far"], ""]);
});

Deno.test("Task whose error nobody looked at is reported when it is garbage, also one made by a task", async () => {
  const { code, out, err } = await program(`
    getEventLoop().setExceptionHandler(handler);
    failing("from the top");
    await createTask(() => void failing("from a task"));
    await sleep(0); await sleep(0); await sleep(0);
    await collect();
    console.log("collected");
  `);
  assertEquals([code, err], [0, ""]);
  assertEquals(out.toSorted(), [
    "REPORT Task exception was never retrieved: from a task | far",
    "REPORT Task exception was never retrieved: from the top | far",
    "collected",
  ]);
  assertEquals(out.at(-1), "collected");
});

Deno.test("Task whose error nobody looked at is reported at the end of the program, readably", async () => {
  const { code, out, err } = await program(`
    globalThis.kept = failing("kept");
    await sleep(0); await sleep(0);
    console.log("end");
  `);
  assertEquals([code, out], [0, ["end"]]);
  assertMatch(err, /^Task exception was never retrieved: kept/);
  assertStringIncludes(err, "\ntask: kept \n");
  assertMatch(err, /RangeError: far\n +at .*stdin/);
  assertMatch(err, /\[cause\]: TypeError: odd\n +at .*stdin/);
});

Deno.test("Nothing that fails unheard is an unhandledrejection", async () => {
  const { code, out, err } = await program(`
    const loop = getEventLoop();
    loop.setExceptionHandler(handler);
    const fail = () => Promise.reject(new RangeError("far"));
    gather([fail, fail, fail]);
    shield(createTask(fail));
    ensureFuture(fail());
    createTask(async () => { createTask(fail); await sleep(0); });
    createTask(fail, { eagerStart: true });
    loop.callSoon(() => { throw new RangeError("callback"); });
    const shielded = shield(createTask(fail));
    shielded.cancel();
    await wait([createTask(fail)]);
    await run(async () => { createTask(fail); await sleep(0); });
    await sleep(0); await sleep(0);
    console.log("end");
  `);
  assertEquals(code, 0);
  assertMatch(err, /^Task exception was never retrieved: Task-\d+/);
  assertEquals(out.filter((line) => !line.startsWith("REPORT")), ["end"]);
  const kinds = out.map((line) => line.replace(/Task-\d+/, "Task-N"));
  assertEquals([...new Set(kinds)].toSorted(), [
    "REPORT Error in callback (anonymous) | callback",
    "REPORT Future exception was never retrieved | far",
    "REPORT Task exception was never retrieved: Task-N | far",
    "end",
  ]);
});

/** Runs a program on virtual time, and gives the reports of its loop. */
async function reportsOf(main: () => unknown): Promise<string[]> {
  const reports: string[] = [];
  await virtual(() => {
    getRunningLoop().setExceptionHandler((_, it) => {
      reports.push(`${it.message}: ${shape(it.exception)}`);
    });
    return main();
  });
  return reports;
}

const fail = () => Promise.reject(new RangeError("far"));

Deno.test("Task whose error nobody looked at is reported before run() settles, in the order of failing", async () => {
  const reports = await reportsOf(async () => {
    createTask(fail, { name: "one" });
    createTask(fail, { name: "two" });
    await sleep(0);
    getEventLoop().createFuture().setException(new TypeError("odd"));
  });
  assertEquals(reports, [
    "Task exception was never retrieved: one: RangeError(far)",
    "Task exception was never retrieved: two: RangeError(far)",
    "Future exception was never retrieved: TypeError(odd)",
  ]);
});

Deno.test("Runner.close() reports what the runs have left, once", async () => {
  const reports: ExceptionContext[] = [];
  const runner = new Runner();
  let failed: Task<never> | undefined;
  await runner.run(async () => {
    getRunningLoop().setExceptionHandler((_, it) => reports.push(it));
    failed = createTask(fail, { name: "left" });
    await sleep(0);
  });
  assertEquals(reports, []);
  await runner.close();
  await runner.close();
  assertEquals(reports.length, 1);
  assertEquals(reports[0].message, "Task exception was never retrieved: left");
  assertEquals(reports[0].task === failed, true);
  assertEquals(shape(reports[0].exception), "RangeError(far)");
});

Deno.test("Task whose error somebody awaits, asks for or collects is not reported", async () => {
  const reports = await reportsOf(async () => {
    const tasks = Array.from({ length: 6 }, () => createTask(fail));
    const [awaited, caught, asked, gathered, shielded, late] = tasks;
    await outcome(awaited);
    await caught.catch(() => {});
    asked.exception();
    await gather([gathered], { returnExceptions: true });
    await outcome(shield(shielded));
    await sleep(1);
    late.cancel();
  });
  assertEquals(reports, []);
});

Deno.test("Task whose error is awaited only after it has failed is not reported", async () => {
  const reports = await reportsOf(async () => {
    const task = createTask(fail);
    await sleep(5);
    assertEquals(await outcome(task), "RangeError(far)");
  });
  assertEquals(reports, []);
});

Deno.test("Task whose error nobody looks at is reported a second after it has failed", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const reported = loop.createFuture<ExceptionContext[]>();
    const reports: ExceptionContext[] = [];
    loop.setExceptionHandler((_, report) => {
      reports.push(report);
      if (!reported.done()) reported.setResult(reports);
    });
    const fail = () => {
      throw new RangeError("far");
    };
    const heard = createTask(fail, { name: "heard" });
    heard.addDoneCallback(() => {});
    const kept = createTask(fail, { name: "kept" });
    const alive = loop.callLater(3600, () => {}); // or nothing would be left to do
    const [{ message, task }] = await reported;
    alive.cancel();
    assertEquals(message, "Task exception was never retrieved: kept");
    assertStrictEquals(task, kept);
    assertEquals(reports.length, 1);
    heard.exception();
  });
});

Deno.test("Task that was cancelled is not reported", async () => {
  const reports = await reportsOf(async () => {
    createTask(() => sleep(10)).cancel();
    const running = createTask(() => sleep(10));
    await sleep(0);
    running.cancel();
    await sleep(0);
  });
  assertEquals(reports, []);
});

Deno.test("Task whose awaiter is cancelled in the step of its failure is reported", async () => {
  const reports = await reportsOf(async () => {
    const future = getEventLoop().createFuture();
    const awaiter = createTask(async () => await future);
    await sleep(0);
    future.setException(new RangeError("far"));
    awaiter.cancel();
    assertEquals(await outcome(awaiter), "CancelledError");
  });
  assertEquals(reports, [
    "Future exception was never retrieved: RangeError(far)",
  ]);
});

Deno.test("Promise that settles after its loop has closed harms nobody", async () => {
  const late = Promise.withResolvers<void>();
  const failing = Promise.withResolvers<void>();
  const log: string[] = [];
  await run(() => {
    getRunningLoop().setExceptionHandler(() => {});
    for (const { promise } of [late, failing]) {
      const task = new Task(() => promise);
      task.addDoneCallback(() => log.push("called"));
      shield(promise).then(() => log.push("then"), () => log.push("catch"));
      task.cancel();
    }
  });
  const before = log.length;
  late.resolve();
  failing.reject(new RangeError("late"));
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(log.length, before);
});
