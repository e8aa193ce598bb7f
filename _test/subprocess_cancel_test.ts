import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  type Cancellable,
  createSubprocessExec,
  createSubprocessShell,
  createTask,
  currentTask,
  ExceptionGroup,
  getRunningLoop,
  PIPE,
  type Process,
  run,
  sleep,
  STDOUT,
  type SubprocessOptions,
  TaskGroup,
  timeout,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import {
  type Call,
  CANCEL_OUTCOMES,
  childrenOf,
  isRunning,
  reportedErrors,
  text,
  waitForState,
  waysToCancel,
} from "./_children.ts";
import { outcome, shape } from "./_virtual.ts";
import { shellTest } from "./_shell.ts";

const CENSUS = new URL("children/census.ts", import.meta.url);

/** Starts a process that waits for a line and echoes the rest. */
function waiting(): Promise<Process> {
  return createSubprocessShell("read _; exec cat", {
    stdin: PIPE,
    stdout: PIPE,
  });
}

/** Ends such a process, and returns what it has echoed. */
async function finish(process: Process): Promise<string> {
  process.stdin!.write("\nspam");
  process.stdin!.close();
  const output = await process.stdout!.read();
  assertEquals(await process.wait(), 0);
  return text(output)!;
}

/** A program with arguments of its own, and the processes that run it. */
class Unique {
  static #seconds = 86_400;
  readonly args = [String(++Unique.#seconds)];

  start(options?: SubprocessOptions): Promise<Process> {
    return createSubprocessExec("sleep", this.args, options);
  }

  running(): number[] {
    return childrenOf(Deno.pid).filter((pid) =>
      commandLine(pid).includes(this.args[0])
    );
  }
}

/** Calls a function on a later turn of the loop. */
function afterTurns(turns: number, fn: () => void): void {
  if (turns === 0) fn();
  else getRunningLoop().callSoon(() => afterTurns(turns - 1, fn));
}

/** Ways to end a call after a number of turns of the loop. Each returns whether the call had finished by then. */
const waysToEnd: Record<
  string,
  (call: Call, turns: number) => Promise<boolean>
> = {
  "a cancelled task": async (call, turns) => {
    const task = createTask(() => call());
    afterTurns(turns, () => task.cancel());
    await outcome(task);
    return !task.cancelled();
  },
  "a signal": (call, turns) => {
    const controller = new AbortController();
    afterTurns(turns, () => controller.abort(new Error("given up")));
    return call({ signal: controller.signal }).then(() => true, () => false);
  },
  "a timeout": (call, turns) => {
    let isOver = false;
    return timeout(null, async (limit) => {
      afterTurns(turns, () => {
        if (!isOver) limit.reschedule(0);
      });
      await call();
      isOver = true;
      return !limit.expired();
    }).catch(() => false);
  },
};

shellTest(
  "wait() that is cancelled leaves the process running, and can be repeated [test_subprocess.SubprocessMixin.test_cancel_process_wait]",
  () =>
    run(async () => {
      const process = await createSubprocessExec("sleep", ["100"]);
      const task = createTask(() => process.wait());
      getRunningLoop().callSoon(() => task.cancel());
      assertEquals(await outcome(task), "CancelledError");
      task.cancel();
      assert(isRunning(process.pid));
      process.kill();
      assertEquals(await process.wait(), -9);
    }),
);

Object.entries(waysToCancel).forEach(([way, giveUp], i) => {
  shellTest(
    `wait() ended by ${way} leaves the process running`,
    () =>
      run(async () => {
        const process = await waiting();
        const call = (options?: Cancellable) => process.wait(options);
        assertEquals(await giveUp(call), CANCEL_OUTCOMES[i]);
        assertEquals(process.returncode, null);
        assertEquals(await finish(process), "spam");
      }),
  );

  shellTest(
    `stdout.readline() ended by ${way} loses no byte`,
    () =>
      run(async () => {
        const process = await waiting();
        const call = (options?: Cancellable) =>
          process.stdout!.readline(options);
        assertEquals(await giveUp(call), CANCEL_OUTCOMES[i]);
        assertEquals(await finish(process), "spam");
      }),
  );

  shellTest(
    `stdin.drain() ended by ${way} sends what was written`,
    () =>
      run(async () => {
        const process = await waiting();
        const large = "x".repeat(1_000_000);
        process.stdin!.write("\n" + large);
        const call = (options?: Cancellable) => process.stdin!.drain(options);
        assertEquals(await giveUp(call), CANCEL_OUTCOMES[i]);
        process.stdin!.close();
        assertEquals(text(await process.stdout!.read()), large);
        assertEquals(await process.wait(), 0);
      }),
  );
});

for (const stderr of [null, STDOUT] as const) {
  const kind = stderr === null ? "A start" : "A start with STDOUT";

  Deno.test(
    `${kind} that is cancelled, whenever that is, leaves no process${
      stderr === null
        ? " [test_subprocess.SubprocessMixin.test_cancel_make_subprocess_transport_exec]"
        : ""
    }`,
    () =>
      run(async () => {
        let started = 0;
        for (let turns = 0; started < 3; turns = Math.ceil(turns * 1.2) + 1) {
          const program = new Unique();
          const task = createTask(() =>
            program.start({ stderr, stdout: PIPE })
          );
          afterTurns(turns, () => task.cancel());
          const process = await task.then((it) => it, () => null);
          if (process === null) assertEquals(program.running(), []);
          else {
            started++;
            await process[Symbol.asyncDispose]();
          }
        }
      }),
  );

  Deno.test(`${kind} ended by a signal leaves no process`, () =>
    run(async () => {
      for (let turns = 0; turns < 6; turns++) {
        const program = new Unique();
        const controller = new AbortController();
        const { signal } = controller;
        afterTurns(turns, () => controller.abort(new RangeError("enough")));
        const process = await program.start({ stderr, signal }).catch(
          (error) => {
            assertEquals(String(error), "RangeError: enough");
            return null;
          },
        );
        if (process === null) assertEquals(program.running(), []);
        await process?.[Symbol.asyncDispose]();
      }
    }));

  Deno.test(`${kind} that times out leaves no process`, () =>
    run(async () => {
      const program = new Unique();
      await assertRejects(
        () => waitFor(program.start({ stderr }), 0),
        TimeoutError,
      );
      assertEquals(program.running(), []);
      await assertRejects(
        () => timeout(0, () => program.start({ stderr })),
        TimeoutError,
      );
      assertEquals(program.running(), []);
    }));

  Deno.test(`${kind} in a cancelled task leaves no process`, () =>
    run(async () => {
      const program = new Unique();
      const task = createTask(async () => {
        currentTask()!.cancel();
        await program.start({ stderr });
      });
      assertEquals(await outcome(task), "CancelledError");
      assertEquals(program.running(), []);
    }));
}

Deno.test("A process whose start is not awaited is reported when the runner closes", async () => {
  const program = new Unique();
  let starting!: Promise<Process>;
  const messages = await reportedErrors(async () => {
    starting = program.start();
    await sleep(0);
  });
  const [pid] = program.running();
  assertEquals(messages, [
    `The child process sleep (pid ${pid}) was left running`,
  ]);
  Deno.kill(pid, "SIGKILL");
  await waitForState(pid, "gone");
  while (program.running().length > 0) await sleep(0.002);
  assertEquals((await starting).pid, pid);
});

Deno.test("A group that fails ends the children of its tasks, running and starting", () =>
  run(async () => {
    const program = new Unique();
    await assertRejects(
      () =>
        TaskGroup.run((group) => {
          for (let i = 0; i < 3; i++) {
            group.createTask(async () => {
              await using process = await program.start({ stdout: PIPE });
              await process.stdout!.readline();
            });
          }
          group.createTask(async () => {
            while (program.running().length < 3) await sleep(0);
            group.createTask(() => program.start());
            throw new RangeError("out");
          });
        }),
      ExceptionGroup,
    );
    assertEquals(program.running(), []);
  }));

shellTest(
  "A block that is cancelled twice while it ends is cancelled, whenever that happens",
  () =>
    run(async () => {
      const before = childrenOf(Deno.pid);
      let finished = 0;
      for (let first = 0; finished < 3; first = Math.ceil(first * 1.3) + 1) {
        for (const gap of [0, 1, 6, 31]) {
          const task = createTask(async () => {
            await using process = await createSubprocessExec("cat", [], {
              stdin: PIPE,
              stdout: PIPE,
            });
            if (gap % 2 === 0) await process.communicate("spam");
            else {
              process.stdin!.close();
              await process.wait();
            }
          });
          afterTurns(first, () => task.cancel("first"));
          afterTurns(first + gap, () => task.cancel("second"));
          const result = await outcome(task);
          assertMatch(result, /^(value undefined|CancelledError\(\w+\))$/);
          assertEquals(task.cancelled(), result !== "value undefined");
          if (!task.cancelled()) finished++;
        }
        assertEquals(childrenOf(Deno.pid), before);
      }
    }),
);

Deno.test("A cancellation while a block ends is delivered by the next await, and counted", () =>
  run(async () => {
    const log: string[] = [];
    const program = new Unique();
    let isWaiting = false;
    const task = createTask(async () => {
      try {
        await using process = await program.start();
        try {
          isWaiting = true;
          await process.wait();
        } finally {
          getRunningLoop().callSoon(() => task.cancel("second"));
        }
      } catch (error) {
        log.push(shape(error));
      }
      log.push(`${program.running().length} left`);
      log.push(await outcome(sleep(0)));
      log.push(await outcome(sleep(0)));
    });
    while (!isWaiting) await sleep(0);
    task.cancel("first");
    await task;
    assertEquals(log, [
      "CancelledError(first)",
      "0 left",
      "CancelledError(second)",
      "value undefined",
    ]);
    assertEquals(task.cancelling(), 2);
  }));

Object.entries(waysToEnd).forEach(([way, end]) => {
  shellTest(
    `communicate() ended by ${way} at any time loses nothing for the next call or the readers`,
    () =>
      run(async () => {
        let delivered = 0;
        for (let turns = 0; delivered < 3; turns = Math.ceil(turns * 1.2) + 1) {
          const process = await createSubprocessShell(
            "cat; echo end; echo err >&2",
            { stdin: PIPE, stdout: PIPE, stderr: PIPE },
          );
          const call = (options?: Cancellable) =>
            process.communicate("spam", options);
          if (await end(call, turns)) delivered++;
          else if (turns % 2 === 0) {
            const answers = await process.communicate("spam");
            assertEquals(answers.map(text), ["spamend\n", "err\n"]);
          } else {
            process.stdin!.close();
            assertEquals(text(await process.stdout!.readline()), "spamend\n");
            assertEquals((await process.communicate()).map(text), [
              "",
              "err\n",
            ]);
          }
          assertEquals(await process.wait(), 0);
        }
      }),
  );
});

shellTest(
  "wait() and communicate() that are cancelled repeatedly leave nothing behind",
  () =>
    run(async () => {
      const process = await waiting();
      for (let i = 0; i < 500; i++) {
        const task = createTask<unknown>(() =>
          i % 2 === 0 ? process.wait() : process.communicate("\nsp")
        );
        await sleep(0);
        task.cancel();
        assertEquals(await outcome(task), "CancelledError");
      }
      assertEquals(
        (await process.communicate("am")).map(text),
        ["spam", null],
      );
    }),
);

shellTest(
  "Hundreds of starts with kills and cancellations leave no process, zombie or descriptor [test_subprocess.SubprocessMixin.test_subprocess_read_pipe_cancelled] [test_subprocess.SubprocessMixin.test_subprocess_write_pipe_cancelled] [test_subprocess.SubprocessMixin.test_subprocess_read_write_pipe_cancelled]",
  () =>
    run(async () => {
      const census = await createSubprocessExec(Deno.execPath(), [
        "run",
        "--no-check",
        "--allow-all",
        CENSUS,
        "300",
      ], { stdout: PIPE, stderr: STDOUT });
      const [output] = await census.communicate();
      assertEquals(
        text(output),
        "300 starts left 0 children, 0 descriptors, 0 reports\n",
      );
      assertEquals(census.returncode, 0);
    }),
);

function commandLine(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}
