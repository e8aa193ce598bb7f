import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  createSubprocessExec,
  createSubprocessShell,
  DEVNULL,
  EventLoop,
  PIPE,
  Process,
  run,
  RuntimeError,
  STDOUT,
  type SubprocessOptions,
} from "@asyncio/asyncio";
import { sessionOf, text } from "./_children.ts";
import { shellTest } from "./_shell.ts";

/** The output of a program. */
async function printed(
  program: string | URL,
  args: readonly string[],
  options: SubprocessOptions = {},
): Promise<string> {
  const process = await createSubprocessExec(program, args, {
    stdout: PIPE,
    ...options,
  });
  const [output] = await process.communicate();
  assertEquals(process.returncode, 0);
  return text(output)!.trimEnd();
}

/** Options that the types do not allow. */
function odd(options: Record<string, unknown>): SubprocessOptions {
  return options as SubprocessOptions;
}

shellTest(
  "createSubprocessExec() returns a running process with its ID",
  () =>
    run(async () => {
      const process = await createSubprocessExec(
        "sh",
        ["-c", "echo $$; read _"],
        {
          stdin: PIPE,
          stdout: PIPE,
        },
      );
      assert(process instanceof Process);
      assertEquals(text(await process.stdout!.readline()), `${process.pid}\n`);
      assertEquals(process.returncode, null);
      process.stdin!.write("\n");
      assertEquals(await process.wait(), 0);
      assertEquals(process.returncode, 0);
    }),
);

shellTest(
  "createSubprocessShell() runs a command line, and its exit status is the return code [test_subprocess.SubprocessMixin.test_shell]",
  () =>
    run(async () => {
      const process = await createSubprocessShell("true && exit 7");
      assertEquals(await process.wait(), 7);
    }),
);

shellTest(
  "createSubprocessShell() runs a line that begins like an option",
  () =>
    run(async () => {
      const process = await createSubprocessShell("-x 2>/dev/null; exit 4");
      assertEquals(await process.wait(), 4);
    }),
);

shellTest(
  "createSubprocessExec() hands arguments over as they are",
  () =>
    run(async () => {
      const args = ["", " ", "*", "$HOME", "a\nb", "'\"", "ü", "-e"];
      const script = 'for it; do printf "<%s>" "$it"; done';
      for (const stderr of [DEVNULL, STDOUT] as const) {
        assertEquals(
          await printed("sh", ["-c", script, "sh", ...args], { stderr }),
          args.map((it) => `<${it}>`).join(""),
        );
      }
    }),
);

shellTest(
  "createSubprocessExec() accepts URLs as program and argument [test_subprocess.SubprocessMixin.test_create_subprocess_exec_with_path]",
  () =>
    run(async () => {
      const shell = new URL("file:///bin/sh");
      assertEquals(await printed(shell, ["-c", "echo ok"]), "ok");
      assertEquals(
        await printed(shell, ["-c", "echo ok"], { stderr: STDOUT }),
        "ok",
      );
      const process = await createSubprocessExec("printf", [
        "%s\n",
        new URL("file:///a%20b"),
        new URL("https://example.org/a%20b"),
      ], { stdout: PIPE });
      const [output] = await process.communicate();
      assertEquals(text(output), "/a b\nhttps://example.org/a%20b\n");
    }),
);

shellTest(
  "createSubprocessExec() adds to the environment of the child [test_subprocess.SubprocessMixin.test_create_subprocess_env_exec]",
  () =>
    run(async () => {
      const env = { FOO: "baz" };
      assertEquals(
        await printed("sh", ["-c", 'echo "$FOO${PATH:+ with path}"'], { env }),
        "baz with path",
      );
    }),
);

shellTest(
  "createSubprocessShell() adds to the environment, and wait() after communicate() is immediate [test_subprocess.SubprocessMixin.test_create_subprocess_env_shell]",
  () =>
    run(async () => {
      const process = await createSubprocessShell('printf "$FOO"', {
        env: { FOO: "bar" },
        stdout: PIPE,
      });
      const [output] = await process.communicate();
      assertEquals(text(output), "bar");
      let code: number | null = null;
      process.wait().then((it) => code = it);
      await Promise.resolve();
      assertEquals(code, 0);
    }),
);

Deno.test("clearEnv leaves the child only env, merged or not", () =>
  run(async () => {
    const options = { clearEnv: true, env: { ONE: "1", TWO: "two words" } };
    for (const stderr of [DEVNULL, STDOUT] as const) {
      const lines = await printed("/usr/bin/env", [], { ...options, stderr });
      assertEquals(lines.split("\n").sort(), ["ONE=1", "TWO=two words"]);
    }
  }));

Deno.test("cwd is where the child runs, as a path or a URL", () =>
  run(async () => {
    assertEquals(await printed("pwd", [], { cwd: "/usr" }), "/usr");
    const cwd = new URL("file:///usr");
    assertEquals(await printed("pwd", [], { cwd, stderr: STDOUT }), "/usr");
  }));

Deno.test("user and group are those of the child", () =>
  run(async () => {
    const options = { user: Deno.uid()!, group: Deno.gid()! };
    assertEquals(await printed("id", ["-u"], options), String(options.user));
    assertEquals(await printed("id", ["-g"], options), String(options.group));
  }));

shellTest(
  "startNewSession makes the child lead a session [test_subprocess.SubprocessMixin.test_start_new_session]",
  () =>
    run(async () => {
      await using leader = await createSubprocessExec("sleep", ["100"], {
        startNewSession: true,
      });
      await using follower = await createSubprocessExec("sleep", ["100"]);
      assertEquals(sessionOf(leader.pid), leader.pid);
      assertEquals(sessionOf(follower.pid), sessionOf(Deno.pid));
      const shell = await createSubprocessShell("exit 8", {
        startNewSession: true,
      });
      assertEquals(await shell.wait(), 8);
    }),
);

shellTest("A child inherits what its options do not set", async () => {
  const source = `
    import { createSubprocessExec, run } from ${
    JSON.stringify(import.meta.resolve("../mod.ts"))
  };
    await run(async () => {
      const cat = await createSubprocessExec("sh", ["-c", "cat; echo err >&2"]);
      await cat.wait();
    });`;
  await run(async () => {
    const program = await createSubprocessExec(Deno.execPath(), [
      "run",
      "--allow-run",
      "--no-check",
      `data:application/typescript,${encodeURIComponent(source)}`,
    ], { stdin: PIPE, stdout: PIPE, stderr: PIPE });
    const [output, errors] = await program.communicate("through");
    assertEquals(text(output), "through");
    assertEquals(text(errors), "err\n");
  });
});

Deno.test("createSubprocessExec() looks for the program as Deno does, merged or not", () =>
  run(async () => {
    const dir = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${dir}/bin`);
      await Deno.writeTextFile(`${dir}/bin/own`, "#!/bin/sh\necho own", {
        mode: 0o755,
      });
      await Deno.writeTextFile(`${dir}/-odd`, "#!/bin/sh\necho odd", {
        mode: 0o755,
      });
      for (const stderr of [DEVNULL, STDOUT] as const) {
        const within = { cwd: dir, stderr };
        const PATH = `/nowhere:${dir}:${dir}/bin`;
        assertEquals(await printed("bin/own", [], within), "own");
        assertEquals(await printed("./-odd", [], within), "odd");
        assertEquals(
          await printed("own", [], { env: { PATH }, stderr }),
          "own",
        );
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  }));

Deno.test("A program that does not exist is NotFound, and nothing stays open [test_subprocess.SubprocessMixin.test_popen_error] [test_subprocess.SubprocessMixin.test_popen_error_with_stdin_pipe]", () =>
  run(async () => {
    for (
      const program of ["", "no-such-program", "./no-such-program", "/no/such"]
    ) {
      for (const stdin of [null, PIPE] as const) {
        for (const stderr of [null, PIPE, STDOUT] as const) {
          await assertRejects(
            () =>
              createSubprocessExec(program, [], {
                stdin,
                stderr,
                stdout: PIPE,
              }),
            Deno.errors.NotFound,
          );
        }
      }
    }
  }));

Deno.test("A program that is not executable is PermissionDenied", () =>
  run(async () => {
    for (const program of ["/etc/passwd", "/etc"]) {
      for (const stderr of [null, STDOUT] as const) {
        await assertRejects(
          () => createSubprocessExec(program, [], { stderr }),
          Deno.errors.PermissionDenied,
          program,
        );
      }
    }
  }));

Deno.test("A working directory that does not exist is NotFound, and named", () =>
  run(async () => {
    for (const stderr of [null, STDOUT] as const) {
      const error = await assertRejects(
        () => createSubprocessExec("true", [], { cwd: "/no/such", stderr }),
        Deno.errors.NotFound,
        "/no/such",
      );
      assert(!error.message.includes("/bin/sh"), error.message);
    }
    await assertRejects(
      () => createSubprocessShell("true", { cwd: "/no/such" }),
      Deno.errors.NotFound,
      "/no/such",
    );
  }));

Deno.test("A NUL anywhere is a RangeError", () =>
  run(async () => {
    const calls = [
      () => createSubprocessExec("tr\0ue"),
      () => createSubprocessExec("true", ["a\0b"]),
      () => createSubprocessExec("true", [], { cwd: "/\0" }),
      () => createSubprocessExec("true", [], { env: { A: "\0" } }),
      () => createSubprocessExec("true", [], { env: { "A\0": "" } }),
      () => createSubprocessShell("true \0"),
    ];
    for (const call of calls) await assertRejects(call, RangeError, "NUL");
  }));

Deno.test("Arguments and options of the wrong kind are refused before anything starts", () =>
  run(async () => {
    const exec = (options: Record<string, unknown>) =>
      createSubprocessExec("true", [], odd(options));
    const calls: [() => Promise<unknown>, new () => Error, string][] = [
      [() => createSubprocessExec(1 as never), TypeError, "program"],
      [() => createSubprocessExec(new URL("http://a/")), TypeError, "file"],
      [() => createSubprocessExec("echo", "hi" as never), TypeError, "array"],
      [() => createSubprocessExec("echo", [1 as never]), TypeError, "argument"],
      [
        () => createSubprocessExec("echo", [], 1 as never),
        TypeError,
        "options",
      ],
      [() => createSubprocessShell(["true"] as never), TypeError, "string"],
      [() => exec({ env: { A: 1 } }), TypeError, "A"],
      [() => exec({ env: { A: undefined } }), TypeError, "A"],
      [() => exec({ env: new Map([["A", "1"]]) }), TypeError, "Map"],
      [() => exec({ env: { "A=B": "1" } }), RangeError, "A=B"],
      [() => exec({ env: { "": "1" } }), RangeError, '""'],
      [() => exec({ cwd: 1 }), TypeError, "cwd"],
      [() => exec({ user: "root" }), TypeError, "user"],
      [() => exec({ group: -1 }), RangeError, "group"],
      [() => exec({ limit: 0 }), RangeError, "limit"],
      [() => exec({ stdin: STDOUT }), RangeError, "stderr only"],
      [() => exec({ stdout: STDOUT }), RangeError, "stderr only"],
      [() => exec({ stdin: 0 }), TypeError, "stdin"],
      [() => exec({ stdout: "pipe" }), TypeError, "stdout"],
      [() => exec({ stderr: new ReadableStream() }), TypeError, "stderr"],
      [() => exec({ stdOut: PIPE }), TypeError, "stdOut"],
    ];
    for (const [call, kind, word] of calls) {
      await assertRejects(call, kind, word);
    }
  }));

Deno.test("What Deno cannot do is refused by name", () =>
  run(async () => {
    const options = {
      preexecFn: () => {},
      passFds: [3],
      umask: 0,
      executable: "x",
    };
    for (const [name, value] of Object.entries(options)) {
      await assertRejects(
        () => createSubprocessExec("true", [], odd({ [name]: value })),
        Deno.errors.NotSupported,
        name,
      );
    }
  }));

for (
  const [create, row] of [
    [createSubprocessExec.bind(null, "true", []), "exec"],
    [createSubprocessShell.bind(null, "true"), "shell"],
  ] as const
) {
  Deno.test(`Options for text are refused, streams are of bytes: ${row} [test_subprocess.SubprocessMixin.test_create_subprocess_${row}_text_mode_fails]`, () =>
    run(async () => {
      const refused = {
        text: true,
        encoding: "utf-8",
        errors: "strict",
        universalNewlines: true,
        bufsize: 1,
      };
      for (const [name, value] of Object.entries(refused)) {
        await assertRejects(
          () => create(odd({ [name]: value })),
          RangeError,
          name,
        );
      }
      const process = await create(odd({ text: false, bufsize: 0 }));
      assertEquals(await process.wait(), 0);
    }));
}

Deno.test("A locked stream is refused before anything starts", () =>
  run(async () => {
    const input = new ReadableStream<Uint8Array>();
    const output = new WritableStream<Uint8Array>();
    input.getReader();
    output.getWriter();
    for (
      const options of [
        { stdin: input },
        { stdout: output },
        { stderr: output },
        { stdout: output, stderr: STDOUT },
      ] as const
    ) {
      await assertRejects(
        () => createSubprocessExec("true", [], options),
        TypeError,
        "locked",
      );
    }
  }));

Deno.test("A signal that has aborted already starts nothing", () =>
  run(async () => {
    const dir = await Deno.makeTempDir();
    try {
      const signal = AbortSignal.abort(new RangeError("enough"));
      await assertRejects(
        () => createSubprocessExec("touch", [`${dir}/file`], { signal }),
        RangeError,
        "enough",
      );
      assertEquals([...Deno.readDirSync(dir)], []);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  }));

Deno.test("A loop that is closed starts nothing", async () => {
  let late!: () => Promise<unknown>;
  await run(() => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const started = promise.then(() => createSubprocessExec("true"));
    late = () => (resolve(), started);
  });
  await assertRejects(late, RuntimeError, "closed");
});

shellTest("Processes run on the implicit loop too", async () => {
  const process = await createSubprocessShell("cat; exit 5", {
    stdin: PIPE,
    stdout: PIPE,
  });
  assertEquals((await process.communicate("spam")).map(text), ["spam", null]);
  assertEquals(process.returncode, 5);
  assertEquals(new EventLoop().isRunning(), false);
});

Deno.test({
  name: "Without the permission to run a program the start is NotCapable",
  permissions: { run: false, env: true },
  fn: () =>
    run(async () => {
      for (const stderr of [null, STDOUT] as const) {
        const error = await assertRejects(
          () => createSubprocessExec("cat", [], { stdin: DEVNULL, stderr }),
          Deno.errors.NotCapable,
        );
        assertStringIncludes(error.message, 'run access to "cat"');
      }
    }),
});

Deno.test({
  name: "Merging needs the permission to run a shell, and says so",
  permissions: { run: ["cat"], env: true },
  fn: () =>
    run(async () => {
      const cat = await createSubprocessExec("cat", [], { stdin: DEVNULL });
      assertEquals(await cat.wait(), 0);
      const error = await assertRejects(
        () =>
          createSubprocessExec("cat", [], { stdin: DEVNULL, stderr: STDOUT }),
        Deno.errors.NotCapable,
      );
      assertStringIncludes(error.message, "merge");
      assertStringIncludes(error.message, "/bin/sh");
    }),
});
