// What happens to children that are still running when their runner closes.

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  createSubprocessExec,
  createSubprocessShell,
  getRunningLoop,
  PIPE,
  type Process,
  run,
  STDOUT,
  type SubprocessOptions,
} from "@asyncio/asyncio";
import {
  isRunning,
  reportedErrors,
  stateOf,
  text,
  waitForState,
} from "./_children.ts";
import { shellTest } from "./_shell.ts";

/** Runs one of the programs in `children/`, and returns the lines of its output and its standard error. */
async function runFile(
  file: string,
): Promise<[lines: string[], errors: string]> {
  const path = new URL(`children/${file}`, import.meta.url);
  const program = await createSubprocessExec(Deno.execPath(), [
    "run",
    "--no-check",
    "--allow-all",
    "--v8-flags=--expose-gc",
    path,
  ], { stdout: PIPE, stderr: PIPE, env: { NO_COLOR: "1", ASYNCIO_DEBUG: "" } });
  const [output, errors] = await program.communicate();
  assertEquals(program.returncode, 0, text(errors)!);
  return [text(output)!.trimEnd().split("\n"), text(errors)!];
}

function sleeper(options?: SubprocessOptions): Promise<Process> {
  return createSubprocessExec("sleep", ["100"], options);
}

Deno.test("A child that keeps running is killed and reaped once its Process is garbage-collected", () =>
  run(async () => {
    const [lines] = await runFile("forgotten.ts");
    const left = lines.pop()!.split(" ").map(Number);
    const report = '["The child process sleep (pid PID) was left running"]';
    assertEquals(lines, [
      `forgotten: gone ${report}`,
      `forgotten with pipes: gone ${report}`,
      `forgotten with files: gone ${report}`,
      "forgotten in the middle: gone []",
      `after communicate() that timed out: gone ${report}`,
      `after reads and waits that timed out: gone ${report}`,
      `waited for by a task: gone ${report}`,
      `held: S ${report}`,
      `held by its writer: S ${report}`,
      `held by its reader: S ${report}`,
      "waiting for true",
      `held by a wait: S ${report}`,
    ]);
    assertEquals(left.length, 4);
    for (const pid of left) await waitForState(pid, "gone");
  }));

Deno.test("A child that runs on is killed at the end of the program, and its report is readable", () =>
  run(async () => {
    const [[line], errors] = await runFile("left.ts");
    const pids = line.split(" ").map(Number);
    for (const pid of pids) await waitForState(pid, "gone");
    assertEquals(
      errors.trimEnd().split("\n").map((it) => it.trimEnd()),
      pids.flatMap((pid) => [
        `The child process sleep (pid ${pid}) was left running`,
        `process: <Process sleep (pid ${pid}), running>`,
        `pid: ${pid}`,
      ]),
    );
  }));

for (
  const [name, end] of Object.entries<(process: Process) => void>({
    "kill()": (process) => process.kill(),
    "sendSignal(9)": (process) => process.sendSignal(9),
    "terminate()": (process) => process.terminate(),
  })
) {
  shellTest(
    `${name} as the last call of main leaves no report and no process`,
    async () => {
      for (const stderr of [undefined, PIPE, STDOUT] as const) {
        let pid = 0;
        const messages = await reportedErrors(async () => {
          const process = await createSubprocessExec("cat", [], {
            stdin: PIPE,
            stdout: PIPE,
            stderr,
          });
          pid = process.pid;
          end(process);
        });
        assertEquals(messages, []);
        assertEquals(stateOf(pid), null);
      }
    },
  );
}

shellTest(
  "A child that ignores terminate() is left running, and reported",
  async () => {
    let process!: Process;
    const messages = await reportedErrors(async () => {
      process = await createSubprocessShell(
        "trap '' TERM; echo ready; exec sleep 100",
        { stdout: PIPE },
      );
      await process.stdout!.readline();
      process.terminate();
    });
    assertEquals(messages.length, 1);
    assertMatch(messages[0], /^The child process .* was left running$/);
    assert(isRunning(process.pid));
    await process[Symbol.asyncDispose]();
  },
);

shellTest(
  "A child that ends as its runner closes has its output in its file",
  async () => {
    const path = await Deno.makeTempFile();
    using file = await Deno.open(path, { write: true });
    const messages = await reportedErrors(async () => {
      const options = { stdout: file };
      const process = await createSubprocessExec("echo", ["spam"], options);
      // It cannot be reaped while this code blocks the thread.
      while (stateOf(process.pid) !== "Z");
    });
    assertEquals(messages, []);
    assertEquals(await Deno.readTextFile(path), "spam\n");
    await Deno.remove(path);
  },
);

shellTest(
  "The report of a child that was left running has its process and ID",
  async () => {
    let process!: Process;
    const contexts: object[] = [];
    await run(async () => {
      getRunningLoop().setExceptionHandler((_, it) => void contexts.push(it));
      process = await sleeper();
    });
    const { pid } = process;
    const message = `The child process sleep (pid ${pid}) was left running`;
    assertEquals(contexts, [{ message, process, pid }]);
    await process[Symbol.asyncDispose]();
  },
);

shellTest(
  "A process that was left running can be waited for and communicated with",
  async () => {
    let process!: Process;
    await reportedErrors(async () => {
      process = await sleeper({ stdin: PIPE, stdout: PIPE });
    });
    await run(async () => {
      for (const call of ["wait", "communicate"] as const) {
        const controller = new AbortController();
        const options = { signal: controller.signal };
        const waiting = call === "wait"
          ? process.wait(options)
          : process.communicate("spam", options);
        controller.abort(new RangeError("enough"));
        await waiting.then(
          () => assert(false),
          (error) => assertEquals(error.message, "enough"),
        );
      }
      const waiting = process.wait();
      process.kill();
      assertEquals(await waiting, -9);
      assertEquals((await process.communicate()).map(text), ["", null]);
    });
  },
);
