import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import {
  createSubprocessExec,
  createSubprocessShell,
  DEVNULL,
  gather,
  PIPE,
  run,
  sleep,
  STDOUT,
  TaskGroup,
} from "@asyncio/asyncio";
import {
  reportedErrors,
  stateOf,
  text,
  waitForState,
  writtenBy,
} from "./_children.ts";
import { shellTest } from "./_shell.ts";

const MIB = 2 ** 20;
/** Twice the capacity of a pipe on Linux. */
const PLENTY = 4 * MIB;

shellTest(
  "What is written to stdin comes back from cat, and its code is 0 [test_subprocess.SubprocessMixin.test_stdin_stdout]",
  () =>
    run(async () => {
      const cat = await createSubprocessExec("cat", [], {
        stdin: PIPE,
        stdout: PIPE,
      });
      cat.stdin!.write("some data");
      await cat.stdin!.drain();
      cat.stdin!.close();
      assertEquals(text(await cat.stdout!.read()), "some data");
      assertEquals(await cat.wait(), 0);
    }),
);

shellTest(
  "A null device as stdin reads as empty [test_subprocess.SubprocessMixin.test_devnull_input]",
  () =>
    run(async () => {
      const process = await createSubprocessExec("wc", ["-c"], {
        stdin: DEVNULL,
        stdout: PIPE,
      });
      assertEquals(process.stdin, null);
      assertEquals((await process.communicate()).map(text), ["0\n", null]);
    }),
);

shellTest(
  "communicate() returns null for an output to the null device [test_subprocess.SubprocessMixin.test_devnull_output] [test_subprocess.SubprocessMixin.test_devnull_error]",
  () =>
    run(async () => {
      const line = "cat; echo err >&2";
      const mute = await createSubprocessShell(line, {
        stdin: PIPE,
        stdout: DEVNULL,
        stderr: PIPE,
      });
      assertEquals(mute.stdout, null);
      assertEquals((await mute.communicate("abc")).map(text), [null, "err\n"]);
      const deaf = await createSubprocessShell(line, {
        stdin: PIPE,
        stdout: PIPE,
        stderr: DEVNULL,
      });
      assertEquals(deaf.stderr, null);
      assertEquals((await deaf.communicate("abc")).map(text), ["abc", null]);
    }),
);

shellTest(
  "A child may open its stdin by its path [test_subprocess.SubprocessMixin.test_devstdin_input]",
  () =>
    run(async () => {
      const cat = await createSubprocessExec("cat", ["/dev/stdin"], {
        stdin: PIPE,
        stdout: PIPE,
      });
      assertEquals((await cat.communicate("abc")).map(text), ["abc", null]);
    }),
);

shellTest(
  "A child does not hold the other end of its own stdin [test_subprocess.SubprocessMixin.test_stdin_not_inheritable]",
  () =>
    run(async () => {
      // Every other child must not hold it either.
      const all = await gather(
        [1, 2, 3].map(() => () =>
          createSubprocessExec("wc", ["-c"], { stdin: PIPE, stdout: PIPE })
        ),
      );
      for (const process of all) {
        assertEquals((await process.communicate("abc")).map(text), [
          "3\n",
          null,
        ]);
      }
    }),
);

shellTest(
  "STDOUT merges in the order of the writes, and keeps pid and exit status",
  () =>
    run(async () => {
      const script = `echo $$
      for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done
      exit 3`;
      for (
        const create of [
          () =>
            createSubprocessExec("sh", ["-c", script], {
              stdout: PIPE,
              stderr: STDOUT,
            }),
          () => createSubprocessShell(script, { stdout: PIPE, stderr: STDOUT }),
        ]
      ) {
        const process = await create();
        assertEquals(process.stderr, null);
        const [output, errors] = await process.communicate();
        const expected = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) =>
          `out${i}\nerr${i}\n`
        );
        assertEquals(text(output), `${process.pid}\n${expected.join("")}`);
        assertEquals(errors, null);
        assertEquals(process.returncode, 3);
      }
    }),
);

shellTest(
  "STDOUT keeps the signal that ends the program",
  () =>
    run(async () => {
      const process = await createSubprocessExec("sleep", ["100"], {
        stderr: STDOUT,
      });
      process.terminate();
      assertEquals(await process.wait(), -15);
    }),
);

shellTest("STDOUT has the shell's own complaints too", () =>
  run(async () => {
    const process = await createSubprocessShell("if", {
      stdout: PIPE,
      stderr: STDOUT,
    });
    const [output] = await process.communicate();
    assertMatch(text(output)!, /[Ss]yntax error/);
    assert(process.returncode !== 0);
  }));

shellTest(
  "STDOUT follows stdout to the null device and into a file",
  () =>
    run(async () => {
      const path = await Deno.makeTempFile();
      const line = "echo out; echo err >&2";
      const nowhere = await createSubprocessShell(line, {
        stdout: DEVNULL,
        stderr: STDOUT,
      });
      assertEquals(await nowhere.communicate(), [null, null]);
      using file = await Deno.open(path, { write: true });
      for (const stderr of [STDOUT, file] as const) {
        const process = await createSubprocessShell(line, {
          stdout: file,
          stderr,
        });
        assertEquals(await process.wait(), 0);
      }
      assertEquals(await Deno.readTextFile(path), "out\nerr\n".repeat(2));
      await Deno.remove(path);
    }),
);

shellTest(
  "A file is read and written for the child, and stays open",
  () =>
    run(async () => {
      const path = await Deno.makeTempFile();
      using file = await Deno.open(path, { read: true, write: true });
      await file.write(new Uint8Array(3 * MIB).fill(7));
      await file.seek(MIB, Deno.SeekMode.Start);
      const count = await createSubprocessExec("wc", ["-c"], {
        stdin: file,
        stdout: PIPE,
      });
      assertEquals((await count.communicate()).map(text), [
        `${2 * MIB}\n`,
        null,
      ]);
      const process = await createSubprocessExec("printf", ["tail"], {
        stdout: file,
      });
      assertEquals(process.stdout, null);
      assertEquals(await process.wait(), 0);
      assertEquals((await file.stat()).size, 3 * MIB + 4);
      await Deno.remove(path);
    }),
);

shellTest(
  "A large output is all in the file when wait() resolves",
  () =>
    run(async () => {
      const path = await Deno.makeTempFile();
      using file = await Deno.open(path, { write: true });
      const head = await createSubprocessExec("head", [
        "-c",
        `${8 * MIB}`,
        "/dev/zero",
      ], {
        stdout: file,
      });
      assertEquals(await head.wait(), 0);
      assertEquals((await file.stat()).size, 8 * MIB);
      await Deno.remove(path);
    }),
);

shellTest(
  "Web streams are copied to and from a child, and closed at the end",
  () =>
    run(async () => {
      const output = new TransformStream<Uint8Array, Uint8Array>();
      const cat = await createSubprocessExec("cat", [], {
        stdin: new Blob(["spam", "\n", "ham"]).stream(),
        stdout: output.writable,
      });
      assertEquals([cat.stdin, cat.stdout], [null, null]);
      assertEquals(await new Response(output.readable).text(), "spam\nham");
      assertEquals(await cat.wait(), 0);
    }),
);

shellTest(
  "A web stream has the output when wait() resolves, as far as it accepts it",
  () =>
    run(async () => {
      const chunks: string[] = [];
      const stdout = new WritableStream<Uint8Array>({
        write: (chunk) => void chunks.push(text(chunk)!),
        close: () => void chunks.push("end"),
      });
      const echo = await createSubprocessExec("echo", ["spam"], { stdout });
      await echo.wait();
      assertEquals(chunks, ["spam\n", "end"]);
      const held = new TransformStream<Uint8Array, Uint8Array>();
      const other = await createSubprocessExec("echo", ["ham"], {
        stdout: held.writable,
      });
      assertEquals(await other.wait(), 0);
      assertEquals(await new Response(held.readable).text(), "ham\n");
    }),
);

shellTest(
  "A stream that the child does not read to its end is cancelled",
  () =>
    run(async () => {
      const cancelled = Promise.withResolvers<void>();
      const endless = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new Uint8Array(1000)),
        cancel: () => cancelled.resolve(),
      });
      const silent = Promise.withResolvers<void>();
      const waiting = new ReadableStream<Uint8Array>({
        cancel: () => silent.resolve(),
      });
      for (const stdin of [endless, waiting]) {
        const head = await createSubprocessExec("true", [], { stdin });
        assertEquals(await head.wait(), 0);
      }
      await Promise.all([cancelled.promise, silent.promise]);
    }),
);

shellTest(
  "A stream that fails is reported, and the child comes to the end of its input",
  async () => {
    const messages = await reportedErrors(async () => {
      const stdin = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode("spam"));
        },
        pull: () => Promise.reject(new RangeError("broken")),
      });
      const cat = await createSubprocessExec("cat", [], {
        stdin,
        stdout: PIPE,
      });
      assertEquals((await cat.communicate()).map(text), ["spam", null]);
    });
    assertEquals(messages.length, 1);
    assertMatch(
      messages[0],
      /^Failed to read the input of cat \(pid \d+\): RangeError: broken$/,
    );
  },
);

shellTest(
  "A stream that refuses the output is reported, and the child loses its pipe",
  async () => {
    const messages = await reportedErrors(async () => {
      const stdout = new WritableStream<Uint8Array>({
        write: () => Promise.reject(new RangeError("full")),
      });
      const yes = await createSubprocessExec("yes", [], { stdout });
      assertEquals(await yes.wait(), -13);
    });
    assertEquals(messages.length, 1);
    assertMatch(
      messages[0],
      /^Failed to write the output of yes \(pid \d+\): RangeError: full$/,
    );
  },
);

shellTest(
  "A child that floods a pipe is held back, and all of it arrives",
  () =>
    run(async () => {
      await using yes = await createSubprocessExec("yes", [], { stdout: PIPE });
      assertEquals(text(await yes.stdout!.readline()), "y\n");
      await waitForState(yes.pid, "asleep");
      const written = writtenBy(yes.pid);
      assertLess(written, PLENTY);
      for (let i = 0; i < 20; i++) await sleep(0);
      assertEquals([writtenBy(yes.pid), stateOf(yes.pid)], [written, "S"]);
      assertEquals((await yes.stdout!.readexactly(PLENTY)).length, PLENTY);
    }),
);

shellTest(
  "More output than twice the limit is held back and arrives whole [test_subprocess.SubprocessMixin.test_pause_reading]",
  () =>
    run(async () => {
      const limit = 10;
      const print = (stdout: typeof PIPE) =>
        createSubprocessExec("printf", ["x".repeat(2 * limit + 1)], {
          stdout,
          limit,
        });
      const collected = await print(PIPE);
      const [output] = await collected.communicate();
      assertEquals(text(output), "x".repeat(2 * limit + 1));
      const read = await print(PIPE);
      await assertRejects(
        () => read.stdout!.readline(),
        RangeError,
        "limit of 10",
      );
      assertEquals(await read.wait(), 0);
    }),
);

shellTest(
  "Output outlives the process, however slowly it is read [test_subprocess.SubprocessMixin.test_read_stdout_after_process_exit]",
  () =>
    run(async () => {
      const process = await createSubprocessShell(
        "head -c 60000 /dev/zero; exit 1",
        { stdout: PIPE },
      );
      assertEquals(await process.wait(), 1);
      let total = 0;
      for (;;) {
        const { length } = await process.stdout!.read(4096);
        if (length === 0) break;
        total += length;
        await sleep(0.001);
      }
      assertEquals(total, 60_000);
    }),
);

shellTest(
  "Output that nobody reads holds no pipe once the process has exited",
  () =>
    run(async () => {
      const process = await createSubprocessShell("echo out; echo err >&2", {
        stdin: PIPE,
        stdout: PIPE,
        stderr: PIPE,
      });
      // The sanitizer checks the pipes.
      assertEquals(await process.wait(), 0);
    }),
);

shellTest(
  "Lines of several children come as they are written",
  () =>
    run(async () => {
      const lines: string[] = [];
      await TaskGroup.run((group) => {
        for (const name of ["one", "two", "three"]) {
          group.createTask(async () => {
            await using process = await createSubprocessShell(
              `for i in 1 2 3; do echo ${name} $i; done`,
              { stdout: PIPE },
            );
            for await (const line of process.stdout!) lines.push(text(line)!);
            await process.wait();
          });
        }
      });
      assertEquals(lines.length, 9);
      for (const name of ["one", "two", "three"]) {
        assertEquals(
          lines.filter((line) => line.startsWith(`${name} `)),
          [1, 2, 3].map((i) => `${name} ${i}\n`),
        );
      }
    }),
);

shellTest(
  "drain() throws if the child has stopped reading [test_subprocess.SubprocessMixin.test_stdin_broken_pipe]",
  () =>
    run(async () => {
      const process = await createSubprocessShell("read _ && exit 0", {
        stdin: PIPE,
      });
      process.stdin!.write("\n" + "x".repeat(PLENTY));
      const error = await assertRejects(() => process.stdin!.drain());
      assert(
        error instanceof Deno.errors.BrokenPipe ||
          error instanceof Deno.errors.ConnectionReset,
      );
      assertEquals(await process.wait(), 0);
    }),
);

shellTest(
  "Writes to a process that has exited are dropped, and drain() throws",
  () =>
    run(async () => {
      const process = await createSubprocessExec("true", [], { stdin: PIPE });
      await process.wait();
      process.stdin!.write("late");
      await assertRejects(
        () => process.stdin!.drain(),
        Deno.errors.ConnectionReset,
      );
      process.stdin!.close();
      await process.stdin!.waitClosed();
    }),
);

shellTest(
  "stdin.writeEof() ends the input, and the output can still be read",
  () =>
    run(async () => {
      const cat = await createSubprocessExec("cat", [], {
        stdin: PIPE,
        stdout: PIPE,
      });
      assert(cat.stdin!.canWriteEof());
      cat.stdin!.write("spam");
      cat.stdin!.writeEof();
      assertEquals(text(await cat.stdout!.read()), "spam");
      assertEquals(await cat.wait(), 0);
      cat.stdin!.close();
      await cat.stdin!.waitClosed();
    }),
);

shellTest("stdin.getExtraInfo() returns the process", () =>
  run(async () => {
    const cat = await createSubprocessExec("cat", [], { stdin: PIPE });
    assertEquals(cat.stdin!.getExtraInfo("subprocess"), cat);
    assertEquals(cat.stdin!.getExtraInfo("peername"), null);
    cat.stdin!.close();
    assertEquals(await cat.wait(), 0);
  }));
