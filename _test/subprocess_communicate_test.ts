import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Cancellable,
  createSubprocessExec,
  createSubprocessShell,
  createTask,
  DEVNULL,
  gather,
  PIPE,
  type Process,
  run,
  RuntimeError,
  sleep,
  timeout,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import {
  CANCEL_OUTCOMES,
  inTwoParts,
  proceed,
  text,
  waysToCancel,
} from "./_children.ts";
import { shellTest } from "./_shell.ts";

const MIB = 2 ** 20;

function catWithPipes(): Promise<Process> {
  return createSubprocessExec("cat", [], {
    stdin: PIPE,
    stdout: PIPE,
    stderr: PIPE,
  });
}

shellTest(
  "communicate() feeds, collects and sets the return code [test_subprocess.SubprocessMixin.test_communicate]",
  () =>
    run(async () => {
      const cat = await catWithPipes();
      const [output, errors] = await waitFor(cat.communicate("some data"), 60);
      assertEquals([text(output), text(errors)], ["some data", ""]);
      assertEquals(cat.returncode, 0);
    }),
);

shellTest(
  "communicate() without input closes the stdin [test_subprocess.SubprocessMixin.test_communicate_none_input]",
  () =>
    run(async () => {
      const cat = await catWithPipes();
      assertEquals((await cat.communicate()).map(text), ["", ""]);
      assertEquals(cat.returncode, 0);
      assert(cat.stdin!.isClosing());
      assert(cat.stdout!.atEof() && cat.stderr!.atEof());
    }),
);

shellTest(
  "communicate() with empty input closes the stdin [test_subprocess.SubprocessMixin.test_empty_input]",
  () =>
    run(async () => {
      for (const empty of ["", new Uint8Array()]) {
        const cat = await catWithPipes();
        assertEquals((await cat.communicate(empty)).map(text), ["", ""]);
      }
    }),
);

shellTest(
  "communicate() ignores that a child does not read its input [test_subprocess.SubprocessMixin.test_communicate_ignore_broken_pipe]",
  () =>
    run(async () => {
      const large = new Uint8Array(4 * MIB);
      const process = await createSubprocessExec("true", [], { stdin: PIPE });
      assertEquals(await process.communicate(large), [null, null]);
      assertEquals(await process.wait(), 0);
      assertEquals(await process.communicate(), [null, null]);
      assertEquals(await process.communicate("more"), [null, null]);
      const head = await createSubprocessExec("head", ["-c", "1"], {
        stdin: PIPE,
        stdout: PIPE,
      });
      const [output] = await head.communicate(large);
      assertEquals(output, new Uint8Array(1));
    }),
);

shellTest(
  "communicate() sends what was written before first",
  () =>
    run(async () => {
      const cat = await catWithPipes();
      cat.stdin!.write("one ");
      assertEquals(
        (await cat.communicate("two"))[0],
        new TextEncoder().encode("one two"),
      );
      const other = await catWithPipes();
      other.stdin!.write("one");
      other.stdin!.close();
      assertEquals((await other.communicate()).map(text), ["one", ""]);
    }),
);

shellTest(
  "communicate() returns what was not read before",
  () =>
    run(async () => {
      const process = await createSubprocessShell(
        "printf 'one\\ntwo\\nthree'",
        {
          stdout: PIPE,
        },
      );
      assertEquals(text(await process.stdout!.readline()), "one\n");
      assertEquals((await process.communicate()).map(text), [
        "two\nthree",
        null,
      ]);
      assertEquals((await process.communicate()).map(text), ["", null]);
    }),
);

shellTest(
  "communicate() reads both outputs at once, whatever their size",
  () =>
    run(async () => {
      const size = 8 * MIB;
      const process = await createSubprocessShell(
        `head -c ${size} /dev/zero >&2; head -c ${size} /dev/zero; cat >&2`,
        { stdin: PIPE, stdout: PIPE, stderr: PIPE },
      );
      const [output, errors] = await process.communicate(new Uint8Array(size));
      assertEquals([output!.length, errors!.length], [size, 2 * size]);
    }),
);

shellTest(
  "communicate() moves 256 MiB through a child, byte for byte",
  () =>
    run(async () => {
      const input = new Uint8Array(256 * MIB);
      const words = new Uint32Array(input.buffer);
      for (let i = 0; i < words.length; i += 1009) words[i] = i;
      const cat = await catWithPipes();
      const [output] = await cat.communicate(input);
      assertEquals(output!.length, input.length);
      const back = new Uint32Array(output!.buffer, output!.byteOffset);
      assert(words.every((word, i) => back[i] === word));
    }),
);

shellTest(
  "communicate() works for many children at once [test_subprocess.SubprocessMixin.test_subprocess_communicate_stdout]",
  () =>
    run(async () => {
      const names = Array.from({ length: 10 }, (_, i) => `foo${i}`);
      const outputs = await gather(names.map((name) => async () => {
        const echo = await createSubprocessExec("echo", [name], {
          stdout: PIPE,
        });
        const [output] = await echo.communicate();
        return text(output)!.trim();
      }));
      assertEquals(outputs, names);
    }),
);

shellTest(
  "wait() after communicate() returns the code to all callers [test_subprocess.SubprocessMixin.test_subprocess_concurrent_wait]",
  () =>
    run(async () => {
      const cat = await catWithPipes();
      assertEquals((await cat.communicate("some data")).map(text), [
        "some data",
        "",
      ]);
      const codes = await gather(
        Array.from({ length: 10 }, () => () => cat.wait()),
      );
      assertEquals(codes, Array(10).fill(0));
    }),
);

shellTest(
  "communicate() waits for the end of a pipe that a grandchild holds",
  () =>
    run(async () => {
      const process = await createSubprocessShell(
        "(sleep 0.05; echo second) & echo first",
        { stdout: PIPE },
      );
      assertEquals(await process.wait(), 0);
      assertEquals((await process.communicate()).map(text), [
        "first\nsecond\n",
        null,
      ]);
    }),
);

shellTest(
  "A second communicate() at the same time is refused",
  () =>
    run(async () => {
      const cat = await catWithPipes();
      cat.stdin!.write("spam");
      const first = createTask(() => cat.communicate());
      await sleep(0);
      await assertRejects(
        () => cat.communicate(),
        RuntimeError,
        "another call",
      );
      assertEquals((await first).map(text), ["spam", ""]);
    }),
);

shellTest(
  "Input for a process without a stdin pipe is refused",
  () =>
    run(async () => {
      const process = await createSubprocessExec("cat", [], { stdin: DEVNULL });
      await assertRejects(
        () => process.communicate("spam"),
        RuntimeError,
        "PIPE",
      );
      await assertRejects(
        () => process.communicate(1 as never),
        TypeError,
        "1",
      );
      assertEquals(await process.communicate(), [null, null]);
    }),
);

shellTest(
  "communicate() rejects at once with the reason of an aborted signal",
  () =>
    run(async () => {
      const cat = await catWithPipes();
      const signal = AbortSignal.abort(new RangeError("enough"));
      await assertRejects(
        () => cat.communicate("lost", { signal }),
        RangeError,
        "enough",
      );
      assertEquals((await cat.communicate("kept")).map(text), ["kept", ""]);
    }),
);

Object.entries(waysToCancel).forEach(([way, giveUp], i) => {
  shellTest(
    `communicate() ended by ${way} loses no output, and the next call returns it all`,
    () =>
      run(async () => {
        const process = await createSubprocessShell(
          inTwoParts("echo out; echo err >&2", "echo end; exit 3"),
          { stdin: PIPE, stdout: PIPE, stderr: PIPE },
        );
        for (let times = 0; times < 3; times++) {
          const call = (options?: Cancellable) =>
            process.communicate(undefined, options);
          assertEquals(await giveUp(call), CANCEL_OUTCOMES[i]);
        }
        assertEquals(process.returncode, null);
        await proceed(process);
        const answers = await process.communicate();
        assertEquals(answers.map(text), ["out\nend\n", "err\n"]);
        assertEquals(process.returncode, 3);
      }),
  );

  shellTest(
    `communicate() ended by ${way} leaves the output to the reader`,
    () =>
      run(async () => {
        const process = await createSubprocessShell(
          inTwoParts("echo one; echo two", "echo three"),
          { stdout: PIPE },
        );
        const call = (options?: Cancellable) =>
          process.communicate(undefined, options);
        assertEquals(await giveUp(call), CANCEL_OUTCOMES[i]);
        assertEquals(text(await process.stdout!.readline()), "one\n");
        await proceed(process);
        assertEquals(text(await process.stdout!.readline()), "two\n");
        assertEquals((await process.communicate()).map(text), [
          "three\n",
          null,
        ]);
      }),
  );

  shellTest(
    `communicate() ended by ${way} sends the same input once`,
    () =>
      run(async () => {
        const process = await createSubprocessShell(inTwoParts(":", "cat"), {
          stdin: PIPE,
          stdout: PIPE,
        });
        const input = new Uint8Array(MIB).fill(1);
        const call = (options?: Cancellable) =>
          process.communicate(input, options);
        assertEquals(await giveUp(call), CANCEL_OUTCOMES[i]);
        await proceed(process);
        const [output] = await process.communicate(new Uint8Array(input));
        assertEquals(output!.length, MIB);
        assertEquals(process.returncode, 0);
      }),
  );
});

shellTest(
  "communicate() with other input after a cancelled call sends it after the first input",
  () =>
    run(async () => {
      const process = await createSubprocessShell(inTwoParts(":", "cat"), {
        stdin: PIPE,
        stdout: PIPE,
      });
      const input = "x".repeat(MIB);
      await assertRejects(() => waitFor(process.communicate(input), 0.001));
      await proceed(process);
      const [output] = await process.communicate("end");
      assertEquals(output!.length, MIB + 3);
      assertEquals(text(output!.subarray(-4)), "xend");
    }),
);

shellTest(
  "Input of a cancelled communicate() may be changed",
  () =>
    run(async () => {
      const process = await createSubprocessShell(inTwoParts(":", "cat"), {
        stdin: PIPE,
        stdout: PIPE,
      });
      const input = new Uint8Array(MIB).fill(1);
      await assertRejects(() => waitFor(process.communicate(input), 0.001));
      input.fill(2);
      await proceed(process);
      const [output] = await process.communicate();
      assertEquals(output!.length, MIB);
      assertEquals(output!.lastIndexOf(2) < MIB - 65_536, true);
      assertEquals(output!.at(-1), 1);
    }),
);

shellTest(
  "stdin.close() after a cancelled communicate() still sends its input",
  () =>
    run(async () => {
      const process = await createSubprocessShell(inTwoParts(":", "cat"), {
        stdin: PIPE,
        stdout: PIPE,
      });
      const input = new Uint8Array(MIB);
      await assertRejects(() => waitFor(process.communicate(input), 0.001));
      process.stdin!.close();
      await proceed(process);
      const [output] = await process.communicate();
      assertEquals(output!.length, MIB);
    }),
);

shellTest(
  "communicate() that is cancelled when it is done keeps the output for the next call",
  () =>
    run(async () => {
      const process = await createSubprocessExec("echo", ["spam"], {
        stdout: PIPE,
      });
      let delivered = 0;
      for (let turns = 0; delivered === 0; turns++) {
        const task = createTask(() => process.communicate());
        for (let i = 0; i < turns; i++) await sleep(0);
        task.cancel();
        const output = await task.then(([output]) => text(output), () => null);
        if (output !== null) {
          assertEquals(output, "spam\n");
          delivered++;
        }
      }
      assertEquals(process.returncode, 0);
    }),
);

shellTest(
  "communicate() with input can be repeated after a cancelled call on a process that has exited",
  () =>
    run(async () => {
      const process = await createSubprocessExec("sh", ["-c", "echo out"], {
        stdin: PIPE,
        stdout: PIPE,
      });
      assertEquals(await process.wait(), 0);
      for (let i = 0; i < 3; i++) {
        await timeout(0, () => process.communicate("in")).catch(() => {});
      }
      assertEquals((await process.communicate("in")).map(text), [
        "out\n",
        null,
      ]);
      assertEquals((await process.communicate("in")).map(text), ["", null]);
      process.stdin!.write("late");
      await assertRejects(
        () => process.stdin!.drain(),
        Deno.errors.ConnectionReset,
      );
    }),
);

shellTest(
  "communicate() with input returns the output of a child that has closed its stdin, and can be repeated",
  () =>
    run(async () => {
      const process = await createSubprocessShell(
        inTwoParts("exec <&-; echo out", "echo end"),
        { stdin: PIPE, stdout: PIPE },
      );
      assertEquals(text(await process.stdout!.readline()), "out\n");
      const input = "x".repeat(MIB);
      for (const again of ["", "y", input]) {
        await timeout(0.002, () => process.communicate(input + again))
          .catch(() => {});
      }
      await proceed(process);
      assertEquals((await process.communicate(input)).map(text), [
        "end\n",
        null,
      ]);
      assertEquals((await process.communicate("more")).map(text), ["", null]);
    }),
);

shellTest(
  "communicate() with input is refused after stdin.close() and writeEof(), and works without input",
  () =>
    run(async () => {
      for (const end of ["close", "writeEof"] as const) {
        const cat = await catWithPipes();
        cat.stdin!.write("spam");
        cat.stdin![end]();
        await assertRejects(() => cat.communicate("more"), RuntimeError);
        assertEquals((await cat.communicate()).map(text), ["spam", ""]);
        await assertRejects(() => cat.communicate("more"), RuntimeError);
      }
    }),
);

shellTest(
  "communicate() and writes race with children that stop reading, and none fails",
  () =>
    run(async () => {
      const scripts = ["exit 0", "exec <&-; exit 0", "head -c 3 >/dev/null"];
      const input = "spam".repeat(50_000);
      const live = async (i: number) => {
        const process = await createSubprocessShell(
          `${scripts[i % 3]}; echo out`,
          { stdin: PIPE, stdout: PIPE },
        );
        if (i % 2 === 0) {
          process.stdin!.write(input);
          await process.stdin!.drain().catch((error) => {
            assert(
              error instanceof Deno.errors.BrokenPipe ||
                error instanceof Deno.errors.ConnectionReset,
              String(error),
            );
          });
          process.stdin!.write("more");
        }
        await timeout(i % 5 / 1000, () => process.communicate(input))
          .catch((error) =>
            assert(error instanceof TimeoutError, String(error))
          );
        process.stdin!.write("dropped");
        await process.communicate(input);
        assertEquals(process.returncode, 0);
        assert(process.stdout!.atEof());
      };
      for (let i = 0; i < 60; i += 12) {
        await gather(Array.from({ length: 12 }, (_, j) => () => live(i + j)));
      }
    }),
);

shellTest(
  "communicate() on one of two processes can be cancelled without affecting the other",
  () =>
    run(async () => {
      const [one, other] = [await catWithPipes(), await catWithPipes()];
      const controller = new AbortController();
      const { signal } = controller;
      const given = one.communicate("one".repeat(MIB), { signal });
      const kept = createTask(() => other.communicate("other"));
      controller.abort(new RangeError("enough"));
      await assertRejects(() => given, RangeError);
      assertEquals((await kept).map(text), ["other", ""]);
      assertEquals((await one.communicate())[0]!.length, 3 * MIB);
    }),
);
