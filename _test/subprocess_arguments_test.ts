// Invalid arguments are refused before anything starts, with a message that says
// what was expected and what was received.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  createSubprocessExec,
  createSubprocessShell,
  DEVNULL,
  PIPE,
  type Process,
  run,
  STDOUT,
  type SubprocessOptions,
} from "@asyncio/asyncio";
import { signalFailure } from "../_child.ts";
import { mergeScript } from "../_spawn.ts";
import { childrenOf, text } from "./_children.ts";
import { shellTest } from "./_shell.ts";

const decoder = new TextDecoder();

/** A call that must be refused, and the expected error. */
type Refused = [
  call: () => unknown,
  kind: new () => Error,
  message: string,
];

/** Options that the types do not allow. */
function exec(options: Record<string, unknown>): Promise<Process> {
  return createSubprocessExec("true", [], options as SubprocessOptions);
}

/** Checks that calls are refused and have started nothing. */
async function assertRefused(calls: readonly Refused[]): Promise<void> {
  const before = childrenOf(Deno.pid);
  for (const [call, kind, message] of calls) {
    const error = await assertRejects(async () => await call(), kind);
    assertEquals(error.message, message);
  }
  assertEquals(childrenOf(Deno.pid), before);
}

function throwing(): object {
  const boom = () => {
    throw new Error("user code");
  };
  return new Proxy({}, { get: boom, getPrototypeOf: boom, has: boom });
}

Deno.test("createSubprocessExec() refuses an invalid program", () =>
  run(() =>
    assertRefused([
      [
        () => (createSubprocessExec as () => Promise<Process>)(),
        TypeError,
        "Cannot start a process: expected a string or URL as program, got undefined",
      ],
      [
        () => createSubprocessExec(throwing() as URL),
        TypeError,
        "Cannot start a process: expected a string or URL as program, got an object that cannot be looked at",
      ],
      [
        () => createSubprocessExec(new URL("https://example.org/a")),
        TypeError,
        'Cannot start a process: expected a file: URL as program, got "https://example.org/a"',
      ],
      [
        () => createSubprocessExec(new URL("file:///a%2Fb")),
        TypeError,
        'Cannot start a process: the URL of program is not a path on this system, got "file:///a%2Fb"',
      ],
      [
        () => createSubprocessExec(new URL("file:///a%00b")),
        RangeError,
        'Cannot start a process: there is a NUL in the program, "/a\\u0000b"',
      ],
    ])
  ));

Deno.test("createSubprocessExec() refuses invalid arguments, and says which one", () =>
  run(() =>
    assertRefused([
      [
        () => createSubprocessExec("true", "-x" as never),
        TypeError,
        'Cannot start a process: expected an array of arguments, got "-x"',
      ],
      [
        () => createSubprocessExec("true", ["a", 1 as never]),
        TypeError,
        "Cannot start a process: expected a string or URL as argument 2, got 1",
      ],
      [
        () => createSubprocessExec("true", Array(1) as never),
        TypeError,
        "Cannot start a process: expected a string or URL as argument 1, got undefined",
      ],
      [
        () => createSubprocessExec("true", { stdout: PIPE } as never),
        TypeError,
        "Cannot start a process: expected an array of arguments, got a plain object",
      ],
    ])
  ));

Deno.test("createSubprocessShell() refuses an invalid command line", () =>
  run(() =>
    assertRefused([
      [
        () => createSubprocessShell(["true"] as never),
        TypeError,
        "Cannot run a command line: expected a string, got an array",
      ],
      [
        () => createSubprocessShell("true", { stdin: 1 } as never),
        TypeError,
        'Cannot set up stdin: expected PIPE, DEVNULL, "inherit", a ReadableStream or a Deno.FsFile, got 1',
      ],
    ])
  ));

Deno.test("A misspelt option is refused with the nearest one that is known", () =>
  run(() =>
    assertRefused([
      [
        () => exec({ stdOut: undefined }),
        TypeError,
        'Cannot start a process: unknown option "stdOut", did you mean "stdout"?',
      ],
      [
        () => exec({ start_new_session: true }),
        TypeError,
        'Cannot start a process: unknown option "start_new_session", did you mean "startNewSession"?',
      ],
      [
        () => createSubprocessShell("true", { evn: {} } as never),
        TypeError,
        'Cannot start a process: unknown option "evn", did you mean "env"?',
      ],
      [
        () => exec({ shell: false, stdinn: PIPE }),
        TypeError,
        'Cannot start a process: unknown option "stdinn", did you mean "stdin"?',
      ],
    ])
  ));

Deno.test("Options that are not an object, or cannot be read, are refused", () =>
  run(() =>
    assertRefused([
      [
        () => createSubprocessExec("true", [], null as never),
        TypeError,
        "Cannot start a process: options must be an object, got null",
      ],
      [
        () => createSubprocessExec("true", [], throwing()),
        TypeError,
        "Cannot start a process: the options cannot be read",
      ],
    ])
  ));

Deno.test("limit, user and group are refused by kind and by value", () =>
  run(() =>
    assertRefused([
      [
        () => exec({ limit: "5" }),
        TypeError,
        'Cannot start a process: limit must be a whole number above 0, got "5"',
      ],
      [
        () => exec({ limit: Object.create(null) }),
        TypeError,
        "Cannot start a process: limit must be a whole number above 0, got an object without a prototype",
      ],
      [
        () => exec({ limit: Symbol("s") }),
        TypeError,
        "Cannot start a process: limit must be a whole number above 0, got Symbol(s)",
      ],
      [
        () => exec({ limit: 0 }),
        RangeError,
        "Cannot start a process: limit must be a whole number above 0, got 0",
      ],
      [
        () => exec({ limit: NaN }),
        RangeError,
        "Cannot start a process: limit must be a whole number above 0, got NaN",
      ],
      [
        () => exec({ limit: 1.5, stdout: "piped" }),
        RangeError,
        "Cannot start a process: limit must be a whole number above 0, got 1.5",
      ],
      [
        () => exec({ user: 2 ** 32 }),
        RangeError,
        "Cannot set the user: expected its number, got 4294967296",
      ],
      [
        () => exec({ group: "root" }),
        TypeError,
        'Cannot set the group: expected its number, got "root"',
      ],
      [
        () => exec({ env: throwing() }),
        TypeError,
        "Cannot set the environment: expected a plain object, got an object that cannot be looked at",
      ],
    ])
  ));

Deno.test("A controller in the place of its signal is refused with what to write", () =>
  run(async () => {
    const signal = new AbortController() as never;
    const got =
      "signal must be an AbortSignal, got an AbortController; pass controller.signal";
    await using sleep = await createSubprocessExec("sleep", ["100"], {
      stdin: PIPE,
    });
    await assertRefused([
      [
        () => createSubprocessExec("true", [], { signal }),
        TypeError,
        `Cannot start a process: ${got}`,
      ],
      [
        () => createSubprocessShell("true", { signal }),
        TypeError,
        `Cannot start a process: ${got}`,
      ],
      [
        () => sleep.wait({ signal }),
        TypeError,
        `Cannot wait for a process: ${got}`,
      ],
      [
        () => sleep.communicate("lost", { signal }),
        TypeError,
        `Cannot communicate: ${got}`,
      ],
      [
        () => sleep.wait({ timeout: 1 } as never),
        TypeError,
        'Cannot wait for a process: unknown option "timeout", use timeout() or waitFor() around the call',
      ],
    ]);
    assertEquals(sleep.stdin!.transport.getWriteBufferSize(), 0);
  }));

shellTest(
  "An option is read once, and changes afterwards have no effect",
  () =>
    run(async () => {
      const reads: string[] = [];
      const env = { WORD: "before" };
      const options = {
        get stdout() {
          reads.push("stdout");
          return PIPE;
        },
        get env() {
          reads.push("env");
          return env;
        },
      };
      const starting = createSubprocessExec(
        "sh",
        ["-c", "echo $WORD"],
        options as SubprocessOptions,
      );
      env.WORD = "after";
      const [output] = await (await starting).communicate();
      assertEquals(text(output), "before\n");
      assertEquals(reads.sort(), ["env", "stdout"]);
    }),
);

shellTest(
  "sendSignal() without a signal is refused, and the process runs on",
  () =>
    run(async () => {
      await using process = await createSubprocessExec("sleep", ["100"]);
      for (const signal of [undefined, new AbortController().signal, "", 1.5]) {
        assertThrows(
          () => process.sendSignal(signal as never),
          TypeError,
          "Cannot send a signal",
        );
      }
      process.sendSignal(0);
      assertEquals(process.returncode, null);
    }),
);

Deno.test("A signal that Windows does not have is an error there, and one that comes too late is not", () => {
  const cause = new TypeError("Invalid signal");
  const dead = () => false;
  const alive = () => true;
  for (const signal of ["SIGHUP", "SIGINT", 1, 0] as const) {
    const error = signalFailure(signal, cause, dead, "windows");
    assert(error instanceof Deno.errors.NotSupported);
    assertEquals(
      error.message,
      `Cannot send ${
        JSON.stringify(signal)
      }: on Windows, Deno can send SIGTERM and SIGKILL only`,
    );
    assertEquals(error.cause, cause);
  }
  for (const signal of ["SIGTERM", "SIGKILL", 15, 9] as const) {
    assertEquals(signalFailure(signal, cause, dead, "windows"), null);
  }
  assertEquals(signalFailure("SIGHUP", cause, dead, "linux"), null);
  const unknown = signalFailure("SIGFOO" as never, cause, alive, "linux");
  assert(unknown instanceof TypeError && unknown.cause === cause);
  const denied = new Deno.errors.PermissionDenied("no");
  assertEquals(signalFailure(1, denied, alive, "linux"), denied);
});

shellTest(
  "Programs, directories and arguments may have spaces and umlauts, as text or URL, merged or not",
  () =>
    run(async () => {
      const dir = await Deno.makeTempDir({ prefix: "Größe & 'so weiter' ß " });
      try {
        const program = `${dir}/ein Prögramm`;
        await Deno.writeTextFile(
          program,
          '#!/bin/sh\npwd\nprintf "<%s>" "$@"\n',
          { mode: 0o755 },
        );
        const toUrl = (path: string) => new URL(`file://${encodeURI(path)}`);
        for (const stderr of [DEVNULL, STDOUT] as const) {
          for (const file of [program, toUrl(program)]) {
            for (const cwd of [dir, toUrl(dir)]) {
              const options = { cwd, stderr, stdout: PIPE } as const;
              const args = ["ä b", toUrl(`${dir}/ü`)];
              const process = await createSubprocessExec(file, args, options);
              const [output] = await process.communicate();
              assertEquals(text(output), `${dir}\n<ä b><${dir}/ü>`);
              assertEquals(process.returncode, 0);
            }
          }
          const line = `"${program}" "ä b"`;
          const shell = await createSubprocessShell(line, {
            cwd: toUrl(dir),
            stderr,
            stdout: PIPE,
          });
          const [output] = await shell.communicate();
          assertEquals(text(output), `${dir}\n<ä b>`);
        }
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    }),
);

shellTest(
  "clearEnv with STDOUT leaves only env with every shell that may be sh",
  async () => {
    const dir = await Deno.makeTempDir();
    try {
      await Deno.copyFile("/usr/bin/env", `${dir}/a=b`);
      let shells = 0;
      for (const shell of ["dash", "bash", "busybox", "mksh", "yash"]) {
        const path = ["/bin", "/usr/bin"].map((it) => `${it}/${shell}`)
          .find(exists);
        if (path === undefined) continue;
        shells++;
        await Deno.symlink(path, `${dir}/sh`); // some behave differently under this name
        for (const program of ["/usr/bin/env", `${dir}/a=b`]) {
          for (
            const env of [{}, { ONE: "1" }, { _p: "2", PATH: "/x" }]
          ) {
            const { stdout } = await new Deno.Command(`${dir}/sh`, {
              args: [
                "-c",
                mergeScript({ clearEnv: true, env: env as never }),
                "sh",
                program,
              ],
              clearEnv: true,
              env: env as never,
            }).output();
            const lines = decoder.decode(stdout).split("\n").filter(Boolean);
            assertEquals(
              lines.sort(),
              Object.entries(env).map((it) => it.join("=")).sort(),
              `${shell} ${program}`,
            );
          }
        }
        await Deno.remove(`${dir}/sh`);
      }
      assert(shells > 0);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
