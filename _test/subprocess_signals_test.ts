import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  createSubprocessExec,
  createSubprocessShell,
  createTask,
  gather,
  PIPE,
  Process,
  run,
  sleep,
  STDOUT,
} from "@asyncio/asyncio";
import {
  childrenOf,
  isRunning,
  reportedErrors,
  stateOf,
  text,
  waitForState,
} from "./_children.ts";
import { shellTest } from "./_shell.ts";

/** Starts a process that reports and then blocks. */
async function blocked(script = ""): Promise<Process> {
  const process = await createSubprocessShell(
    `${script} echo ready; exec sleep 100`,
    { stdout: PIPE },
  );
  assertEquals(text(await process.stdout!.readline()), "ready\n");
  return process;
}

shellTest(
  "kill() makes wait() give minus the number of SIGKILL [test_subprocess.SubprocessMixin.test_kill]",
  () =>
    run(async () => {
      const process = await createSubprocessExec("sleep", ["100"]);
      process.kill();
      assertEquals(await process.wait(), -9);
      assertEquals(process.returncode, -9);
    }),
);

shellTest(
  "terminate() makes wait() give minus the number of SIGTERM [test_subprocess.SubprocessMixin.test_terminate]",
  () =>
    run(async () => {
      const process = await createSubprocessExec("sleep", ["100"]);
      process.terminate();
      assertEquals(await process.wait(), -15);
    }),
);

shellTest(
  "sendSignal() accepts a name or a number [test_subprocess.SubprocessMixin.test_send_signal]",
  () =>
    run(async () => {
      for (const signal of ["SIGHUP", 1] as const) {
        const process = await blocked();
        process.sendSignal(0);
        process.sendSignal(signal);
        assertEquals(await process.wait(), -1);
      }
    }),
);

shellTest(
  "sendSignal() reaches a handler of the child, and the child runs on",
  () =>
    run(async () => {
      const process = await createSubprocessShell(
        "trap 'echo got it' USR1; echo ready; while read _; do :; done",
        { stdin: PIPE, stdout: PIPE },
      );
      assertEquals(text(await process.stdout!.readline()), "ready\n");
      process.sendSignal("SIGUSR1");
      process.stdin!.write("\n");
      assertEquals(text(await process.stdout!.readline()), "got it\n");
      process.stdin!.close();
      assertEquals(await process.wait(), 0);
    }),
);

shellTest(
  "sendSignal() refuses an invalid signal while the child is running",
  () =>
    run(async () => {
      await using process = await createSubprocessExec("sleep", ["100"]);
      for (const signal of ["SIGFOO", "TERM", 999, -1, 1.5, NaN, null, {}]) {
        assertThrows(
          () => process.sendSignal(signal as number),
          TypeError,
          "Cannot send a signal",
        );
      }
      assertEquals(process.returncode, null);
    }),
);

shellTest(
  "sendSignal(), terminate() and kill() do nothing once the process has ended [test_subprocess.SubprocessTransportTests.test_proc_exited] [test_subprocess.SubprocessMixin.test_send_signal_never_targets_reaped_pid]",
  () =>
    run(async () => {
      const process = await createSubprocessShell("exit 6");
      assertEquals(await process.wait(), 6);
      process.sendSignal("SIGTERM");
      process.sendSignal(9);
      process.terminate();
      process.kill();
      assertEquals(process.returncode, 6);
    }),
);

shellTest(
  "Signals to a process that is just ending do no harm [test_subprocess.SubprocessMixin.test_subprocess_send_signal_race]",
  () =>
    run(async () => {
      const codes = await gather(
        Array.from({ length: 20 }, (_, i) => async () => {
          const process = await createSubprocessExec("true", []);
          const ended = createTask(() => process.wait());
          for (let turn = 0; !ended.done(); turn++) {
            if (turn % 20 === i) process.sendSignal("SIGUSR1");
            process.sendSignal(0);
            await sleep(0);
          }
          return await ended;
        }),
      );
      assert(codes.every((code) => code === 0 || code === -10), codes.join());
    }),
);

shellTest("sendSignal() to a zombie does not throw", () =>
  run(async () => {
    const process = await createSubprocessExec("true");
    // It cannot be reaped while this code blocks the thread.
    while (stateOf(process.pid) !== "Z");
    process.kill();
    process.terminate();
    assertEquals(await process.wait(), 0);
  }));

Deno.test({
  name: "A real-time signal has a return code too",
  // Deno does not know these signals, and does not release the handle of such a child.
  sanitizeResources: false,
  fn: () =>
    run(async () => {
      const process = await createSubprocessShell("kill -40 $$; sleep 100");
      assertEquals(await process.wait(), -40);
      process.kill();
      assertThrows(
        () => Reflect.construct(Process, [{}]),
        TypeError,
        "Cannot create",
      );
    }),
});

shellTest(
  "wait() returns the code to all waiters, and to later calls",
  () =>
    run(async () => {
      const process = await createSubprocessShell("read _; exit 2", {
        stdin: PIPE,
      });
      const waiting = Array.from({ length: 5 }, () => process.wait());
      process.stdin!.write("\n");
      assertEquals(await gather(waiting), [2, 2, 2, 2, 2]);
      assertEquals(await process.wait(), 2);
      const signal = AbortSignal.abort(new RangeError("enough"));
      await assertRejects(() => process.wait({ signal }), RangeError, "enough");
    }),
);

shellTest(
  "wait() resolves when the process exits, even if a grandchild holds its pipes [test_subprocess.SubprocessMixin.test_kill_issue43884] [test_subprocess.SubprocessMixin.test_wait_even_if_pipe_is_open]",
  () =>
    run(async () => {
      const process = await createSubprocessShell("sleep 100; sleep 100", {
        stdin: PIPE,
        stdout: PIPE,
        stderr: PIPE,
      });
      while (childrenOf(process.pid).length === 0) await sleep(0.002);
      const [grandchild] = childrenOf(process.pid);
      process.kill();
      assertEquals(await process.wait(), -9);
      assert(isRunning(grandchild));
      Deno.kill(grandchild, "SIGKILL");
      await process.stdout!.read();
      await process.stderr!.read();
    }),
);

shellTest(
  "wait() resolves after a file has the output, even if a grandchild holds the pipe",
  () =>
    run(async () => {
      const path = await Deno.makeTempFile();
      using file = await Deno.open(path, { write: true });
      await using process = await createSubprocessShell(
        "sleep 100 & echo $!; exit 1",
        { stdout: file, stderr: STDOUT, startNewSession: true },
      );
      assertEquals(await process.wait(), 1);
      assertMatch(await Deno.readTextFile(path), /^\d+\n$/);
      await Deno.remove(path);
    }),
);

shellTest(
  "wait() resolves even if a grandchild never stops writing or reading",
  () =>
    run(async () => {
      const path = await Deno.makeTempFile();
      using file = await Deno.open(path, { write: true });
      for (const stdout of [file, PIPE] as const) {
        await using process = await createSubprocessShell(
          "yes & exec 3<&0; cat <&3 >/dev/null & exit 1",
          { stdin: PIPE, stdout, startNewSession: true },
        );
        process.stdin!.write(new Uint8Array(10_000_000));
        assertEquals(await process.wait(), 1);
      }
      await Deno.remove(path);
    }),
);

shellTest(
  "Leaving an `await using` block kills the process and reaps it",
  () =>
    run(async () => {
      let pid: number;
      {
        await using process = await blocked("trap '' TERM;");
        pid = process.pid;
        assert(stateOf(pid) !== null);
      }
      assertEquals(stateOf(pid), null);
    }),
);

shellTest(
  "Leaving an `await using` block closes every pipe, also one that is full or held",
  () =>
    run(async () => {
      for (const script of ["yes", "sleep 100", "yes | cat"]) {
        const before = performance.now();
        {
          await using process = await createSubprocessShell(script, {
            stdin: PIPE,
            stdout: PIPE,
            stderr: PIPE,
            startNewSession: true,
          });
          process.stdin!.write("x".repeat(200_000));
          void process.stdout!.read(1).catch(() => {});
          await sleep(0.01);
        }
        assertLess(performance.now() - before, 10_000);
      }
    }),
);

shellTest(
  "A block that ends with an error or a cancellation kills its process, too",
  () =>
    run(async () => {
      let pid = 0;
      const task = createTask(async () => {
        await using process = await blocked();
        pid = process.pid;
        await process.wait();
      });
      while (pid === 0) await sleep(0.001);
      task.cancel();
      await assertRejects(() => task);
      assertEquals(stateOf(pid), null);
      await assertRejects(async () => {
        await using process = await blocked();
        pid = process.pid;
        throw new RangeError("out");
      }, RangeError);
      assertEquals(stateOf(pid), null);
    }),
);

shellTest(
  "A process that has exited keeps its code at the end of its block",
  () =>
    run(async () => {
      const process = await createSubprocessShell("exit 3");
      {
        await using same = process;
        assertEquals(await same.wait(), 3);
      }
      await process[Symbol.asyncDispose]();
      assertEquals(process.returncode, 3);
    }),
);

shellTest(
  "With startNewSession the whole group is ended, also behind a leader that has ended",
  () =>
    run(async () => {
      for (const last of ["wait", "exit 0"]) {
        const script = `sleep 100 & echo $!; ${last}`;
        const options = { stdout: PIPE, startNewSession: true } as const;
        let grandchild: number;
        {
          await using process = await createSubprocessShell(script, options);
          grandchild = Number(text(await process.stdout!.readline()));
          if (last === "exit 0") await process.wait();
          assert(isRunning(grandchild));
        }
        await waitForState(grandchild, "gone");
      }
    }),
);

shellTest(
  "Without startNewSession only the process itself is ended",
  () =>
    run(async () => {
      let grandchild: number;
      {
        await using process = await createSubprocessShell(
          "sleep 100 & echo $!; wait",
          { stdout: PIPE },
        );
        grandchild = Number(text(await process.stdout!.readline()));
      }
      assert(isRunning(grandchild));
      Deno.kill(grandchild, "SIGKILL");
      await waitForState(grandchild, "gone");
    }),
);

shellTest(
  "A group that may not be signalled does not keep the process alive",
  () =>
    run(async () => {
      let pid: number;
      {
        await using process = await createSubprocessExec("sleep", ["100"], {
          startNewSession: true,
        });
        pid = process.pid;
      }
      assertEquals(stateOf(pid), null);
    }),
  { permissions: { run: ["sleep"], env: true, read: true } },
);

shellTest(
  "A task that waits for a process reports output that nobody reads",
  () =>
    run(async () => {
      await using process = await createSubprocessExec("sleep", ["100"], {
        stdout: PIPE,
        stderr: PIPE,
      });
      const waiter = createTask(() => process.wait());
      const reading = createTask(() => process.stderr!.read());
      await sleep(0.001);
      const end = `the end of sleep \\(pid ${process.pid}\\)`;
      const hint =
        ", whose stdout nobody reads \\(a full pipe stops it; communicate\\(\\) reads it\\)";
      assertMatch(Deno.inspect(waiter), new RegExp(`${end}${hint}`));
      const talking = createTask(() => process.communicate());
      await sleep(0.001);
      assertMatch(Deno.inspect(waiter), new RegExp(`${end}(?!,)`));
      for (const task of [talking, reading, waiter]) {
        task.cancel();
        await assertRejects(() => task);
      }
    }),
);

shellTest("A process shows its name, number and state", () =>
  run(async () => {
    const process = await createSubprocessExec("cat", [], { stdin: PIPE });
    assertMatch(Deno.inspect(process), /^<Process cat \(pid \d+\), running>$/);
    process.stdin!.close();
    await process.wait();
    assertMatch(
      Deno.inspect(process),
      /^<Process cat \(pid \d+\), ended with 0>$/,
    );
  }));

shellTest(
  "A child that is left running is reported when its runner closes, not killed",
  async () => {
    let forgotten!: Process;
    const messages = await reportedErrors(async () => {
      await using _used = await createSubprocessExec("sleep", ["100"]);
      await (await createSubprocessExec("true")).wait();
      forgotten = await createSubprocessExec("sleep", ["100"], {
        stdin: PIPE,
        stdout: PIPE,
        stderr: PIPE,
      });
    });
    assertEquals(messages, [
      `The child process sleep (pid ${forgotten.pid}) was left running`,
    ]);
    assert(isRunning(forgotten.pid));
    forgotten.kill();
    assertEquals(await forgotten.wait(), -9);
  },
);

shellTest(
  "A child of a task that is cancelled with its runner is reported once",
  async () => {
    let process: Process | null = null;
    const messages = await reportedErrors(async () => {
      createTask(async () => {
        process = await blocked();
        await process.wait();
      });
      while (process === null) await sleep(0.001);
    });
    const { pid } = process!;
    assertEquals(messages.length, 1);
    assertMatch(messages[0], new RegExp(`\\(pid ${pid}\\) was left running$`));
    Deno.kill(pid, "SIGKILL");
    while (stateOf(pid) !== null) await sleep(0.002);
  },
);

shellTest(
  "A runner closes the pipes of a child that has ended while a grandchild holds them",
  async () => {
    let grandchild = 0;
    const messages = await reportedErrors(async () => {
      const process = await createSubprocessShell("sleep 100 & echo $!", {
        stdout: PIPE,
      });
      grandchild = Number(text(await process.stdout!.readline()));
      await process.wait();
    });
    assertEquals(messages, []);
    Deno.kill(grandchild, "SIGKILL");
  },
);

shellTest(
  "A process may be waited for on another loop than its own",
  async () => {
    let process!: Process;
    const messages = await reportedErrors(async () => {
      process = await createSubprocessExec("sleep", ["100"]);
    });
    assertEquals(messages.length, 1);
    await run(async () => {
      process.kill();
      assertEquals(await process.wait(), -9);
    });
  },
);

shellTest(
  "A stopped child does not stop the loop [test_subprocess.SubprocessMixin.test_stopped_child_does_not_block_event_loop]",
  () =>
    run(async () => {
      await using process = await createSubprocessExec("sleep", ["100"]);
      process.sendSignal("SIGSTOP");
      while (stateOf(process.pid) !== "T") await sleep(0);
      const waiting = createTask(() => process.wait());
      for (let i = 0; i < 10; i++) await sleep(0.001);
      assertEquals([waiting.done(), process.returncode], [false, null]);
      process.sendSignal("SIGCONT");
      process.kill();
      assertEquals(await waiting, -9);
    }),
);
