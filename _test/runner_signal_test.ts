import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  createTask,
  getRunningLoop,
  KeyboardInterrupt,
  run,
  Runner,
  sleep,
} from "@asyncio/asyncio";

const PROGRAMS = new URL("_signal_programs.ts", import.meta.url);

/** How a program went. */
interface Run {
  /** What it wrote, without the lines that ask for a signal. */
  lines: string[];
  errors: string;
  code: number | null;
  signal: Deno.Signal | null;
}

/** Runs a program of `_signal_programs.ts`, and sends it a signal whenever it asks for one, but not too often. */
async function interrupt(
  name: string,
  signal: Deno.Signal = "SIGINT",
  times = Infinity,
): Promise<Run> {
  const { deno } = process.versions as { deno?: string };
  const args = deno === undefined ? [] : ["run", "--no-check"];
  const child = spawn(process.execPath, [
    ...args,
    fileURLToPath(PROGRAMS),
    name,
  ], {
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  const errors = text(child.stderr);
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (line !== "ready") lines.push(line);
    else if (times-- > 0) process.kill(child.pid!, signal as NodeJS.Signals);
  }
  const [code, by] = await ended as [number | null, Deno.Signal | null];
  return { lines, errors: await errors, code, signal: by };
}

Deno.test("run() that is interrupted cancels the main task, then what is left, and rejects with KeyboardInterrupt", async () => {
  const { lines, errors, code } = await interrupt("once");
  assertEquals(lines, [
    "main CancelledError",
    "main is clean",
    "first worker CancelledError",
    "second worker CancelledError",
    "first worker is clean",
    "second worker is clean",
    "KeyboardInterrupt SIGINT",
  ]);
  assertEquals([errors, code], ["", 130]);
});

Deno.test("run() that is interrupted gives the value of a main task that handles it", async () => {
  const { lines, errors, code } = await interrupt("handled");
  assertEquals(lines, ["cancelling 1", "value saved"]);
  assertEquals([errors, code], ["", 0]);
});

Deno.test("run() that is interrupted twice rejects at once, whatever the main task does", async () => {
  const { lines, errors, code } = await interrupt("ignored", "SIGINT", 2);
  assertEquals(lines, [
    "main ignores it",
    "main ignores it",
    "KeyboardInterrupt SIGINT",
  ]);
  assertEquals([errors, code], ["", 130]);
});

Deno.test("run() that is interrupted ends a program that does not catch it with a readable error", async () => {
  const { lines, errors, code } = await interrupt("uncaught");
  assertEquals([lines, code], [[], 1]);
  assertStringIncludes(errors, "KeyboardInterrupt: Interrupted by SIGINT");
});

Deno.test("Runner.run() that is interrupted cancels a main task that only yields [test_runners.RunnerTests.test_interrupt_call_soon]", async () => {
  const { lines, code } = await interrupt("yielding");
  assertEquals(lines, ["CancelledError", "KeyboardInterrupt SIGINT"]);
  assertEquals(code, 130);
});

Deno.test("Runner.run() that is interrupted cancels the future that main awaits [test_runners.RunnerTests.test_interrupt_wait]", async () => {
  const { lines, code } = await interrupt("future");
  assertEquals(lines, [
    "KeyboardInterrupt SIGINT",
    "the future is cancelled: true",
  ]);
  assertEquals(code, 130);
});

Deno.test("Runner.run() that is interrupted rejects with CancelledError if somebody else cancelled main too [test_runners.RunnerTests.test_interrupt_cancelled_task]", async () => {
  const { lines, code } = await interrupt("doubly");
  assertEquals(lines, ["cancelling 2", "CancelledError"]);
  assertEquals(code, 1);
});

Deno.test("run() that is interrupted while it waits for what is left rejects at once", async () => {
  const afterInterrupt = await interrupt("leftover");
  assertEquals(afterInterrupt.lines, [
    "main CancelledError",
    "main is clean",
    "worker ignores it",
    "KeyboardInterrupt SIGINT",
  ]);
  assertEquals(afterInterrupt.code, 130);
  const afterValue = await interrupt("done");
  assertEquals(afterValue.lines, [
    "worker ignores it",
    "KeyboardInterrupt SIGINT",
  ]);
  assertEquals(afterValue.code, 130);
});

Deno.test("run() that is interrupted reports the errors of what is left before it rejects", async () => {
  const { lines, code } = await interrupt("failing");
  assertEquals(lines, [
    "Task worker failed while the runner was closing: RangeError: the worker's cleanup",
    "KeyboardInterrupt SIGINT",
  ]);
  assertEquals(code, 130);
});

Deno.test("run() twice at once is interrupted in both", async () => {
  const { lines, code } = await interrupt("two");
  for (const name of ["one", "two"]) {
    assertEquals(lines.filter((line) => line.startsWith(name)), [
      `${name} CancelledError`,
      `${name} is clean`,
    ]);
  }
  assertEquals(lines.filter((line) => line.startsWith("Keyboard")), [
    "KeyboardInterrupt SIGINT",
    "KeyboardInterrupt SIGINT",
  ]);
  assertEquals(code, 130);
});

Deno.test("Runner.run() that was interrupted can be called again, and interrupted again", async () => {
  const { lines, errors, code } = await interrupt("again");
  assertEquals(lines, [
    "KeyboardInterrupt SIGINT",
    "KeyboardInterrupt SIGINT",
    "value third run",
    "worker CancelledError",
    "worker is clean",
  ]);
  assertEquals([errors, code], ["", 130]);
});

Deno.test("run() listens to the signals of its options, and to no others", async () => {
  const terminated = await interrupt("terminated", "SIGTERM");
  assertEquals(terminated.lines, ["KeyboardInterrupt SIGTERM"]);
  assertEquals(terminated.code, 130);
  for (const program of ["terminated", "unheard"]) {
    const killed = await interrupt(program, "SIGINT");
    assertEquals([killed.lines, killed.signal], [[], "SIGINT"]);
  }
});

Deno.test("Runner.run() does without a signal that the host refuses [test_runners.RunnerTests.test_signal_install_not_supported_ok]", async () => {
  const signals = ["SIGKILL", "SIGNONSENSE" as Deno.Signal] as const;
  await using runner = new Runner({ signals });
  assertEquals(await runner.run(() => sleep(0, { result: "done" })), "done");
});

// The rest of this file interrupts its own process, with a signal that nobody else uses.
const OWN = { signals: ["SIGUSR2"] } as const;
const interruptMe = () => process.kill(process.pid, "SIGUSR2");

Deno.test("KeyboardInterrupt names the signal and what main waited for", async () => {
  const error = await assertRejects(
    () =>
      run(async () => {
        createTask(interruptMe);
        await createTask(() => sleep(3600), { name: "child" });
      }, OWN),
    KeyboardInterrupt,
  );
  assertEquals(error.signal, "SIGUSR2");
  assertStringIncludes(
    error.message,
    "Interrupted by SIGUSR2 while waiting for the task child",
  );
});

Deno.test("run() that is interrupted and aborted in the same step rejects with KeyboardInterrupt", async () => {
  const controller = new AbortController();
  const abort = () => controller.abort();
  process.on("SIGUSR2", abort);
  await assertRejects(
    () =>
      run(() => {
        createTask(interruptMe);
        return sleep(3600);
      }, { ...OWN, signal: controller.signal }),
    KeyboardInterrupt,
  );
  process.off("SIGUSR2", abort);
});

Deno.test("run() that is interrupted twice cancels what is left without waiting for it", async () => {
  const log: string[] = [];
  const error = await assertRejects(
    () =>
      run(() => {
        getRunningLoop().setExceptionHandler((_, { message }) =>
          log.push(message)
        );
        const task = createTask(async () => {
          for (;;) {
            await sleep(3600).catch(() => log.push("ignored"));
            interruptMe();
          }
        }, { name: "stubborn" });
        createTask(async () => {
          await sleep(3600).finally(() => log.push("cancelled"));
        });
        createTask(interruptMe);
        return task;
      }, OWN),
    KeyboardInterrupt,
  );
  assertEquals(error.signal, "SIGUSR2");
  assertEquals(log, ["ignored", "ignored", "cancelled"]);
});

Deno.test("Runner.close() that is interrupted gives up waiting, and stays closed", async () => {
  const runner = new Runner(OWN);
  await runner.run(async () => {
    createTask(async () => {
      for (;;) await sleep(3600).catch(interruptMe);
    });
    await sleep(0);
  });
  const loop = runner.getLoop();
  await assertRejects(() => runner.close(), KeyboardInterrupt, "SIGUSR2");
  assertEquals(loop.isClosed(), true);
  await assertRejects(() => runner.close(), KeyboardInterrupt);
});
