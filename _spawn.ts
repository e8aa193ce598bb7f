/**
 * Starts child processes.
 *
 * Deno cannot merge standard error into standard output. A shell does it: it
 * redirects the one to the other and replaces itself with the program.
 *
 * @module
 */

import { deno } from "./_deno.ts";
import {
  INHERIT,
  PIPE,
  readStdio,
  type StdinSource,
  type StdioSetup,
  STDOUT,
  type StdoutTarget,
  type SubprocessOptions,
} from "./_subprocess_options.ts";

/** A program with its arguments. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** The name to show. */
  readonly name: string;
  /** Whether the arguments are quoted already, for Windows. */
  readonly raw?: boolean;
}

/** A child that was just started, and how its standard streams are set up. */
export interface SpawnedChild {
  readonly child: Deno.ChildProcess;
  readonly stdin: StdioSetup<StdinSource>;
  readonly stdout: StdioSetup<StdoutTarget>;
  readonly stderr: StdioSetup<StdoutTarget>;
  /** Settles when a shell has become the program, or failed to; `null` without a shell. */
  readonly ready: Promise<void> | null;
}

const SHELL = "/bin/sh";
/**
 * Looks up a program as Deno does, and reports to the standard error if there
 * is none. The program does not inherit that pipe, so it always reaches its
 * end.
 */
const FIND_PROGRAM = `_asyncio_program=$1
shift
case $_asyncio_program in
*/*) ;;
*)
  _asyncio_path=$PATH:
  while [ "$_asyncio_path" ]; do
    _asyncio_dir=\${_asyncio_path%%:*} _asyncio_path=\${_asyncio_path#*:}
    if [ -f "\${_asyncio_dir:-.}/$_asyncio_program" ] && [ -x "\${_asyncio_dir:-.}/$_asyncio_program" ]; then
      _asyncio_program=\${_asyncio_dir:-.}/$_asyncio_program
      break
    fi
  done
esac
case $_asyncio_program in
*/*) [ -e "$_asyncio_program" ] ;;
*) false ;;
esac || { echo NotFound >&2; exit 127; }
[ ! -d "$_asyncio_program" ] && [ -x "$_asyncio_program" ] || { echo PermissionDenied >&2; exit 126; }
set -- "$_asyncio_program" "$@"
unset _asyncio_program _asyncio_path _asyncio_dir
`;
/** Variables that some shells set by themselves. */
const SHELL_VARIABLES = ["PATH", "PWD", "OLDPWD"];
/** Unsets `SHLVL`, which Bash sets again on `exec`. `nice` hides a program name with `=` from `env`. */
const UNSET_SHLVL = `case \${BASH_VERSION:+bash}$1 in
bash*=*) set -- /usr/bin/env -u SHLVL /usr/bin/nice -n 0 "$@" ;;
bash*) set -- /usr/bin/env -u SHLVL "$@" ;;
*) unset SHLVL ;;
esac
`;

const decoder = new TextDecoder();

/** Starts a child. Of its options, only those of the standard streams are still unchecked. */
export function spawnChild(
  command: Command,
  options: SubprocessOptions,
): SpawnedChild {
  const stdin = readStdio("stdin", options.stdin);
  const stdout = readStdio("stdout", options.stdout);
  if (!isMerged(options)) {
    const stderr = readStdio("stderr", options.stderr);
    const child = spawn(command, [stdin, stdout, stderr], options);
    return { child, stdin, stdout, stderr, ready: null };
  }
  const plans = { stdin, stdout, stderr: INHERIT };
  if (stdout.mode === "null") {
    const child = spawn(command, [stdin, stdout, stdout], options);
    return { child, ...plans, ready: null };
  }
  const child = spawnMerged(command, stdin, stdout, options);
  return { child, ...plans, ready: waitForExec(child, command) };
}

export function shellCommand(cmd: string): Command {
  if (deno.build.os === "windows") {
    const args = ["/d", "/s", "/c", `"${cmd}"`];
    return { file: "cmd", args, name: cmd, raw: true };
  }
  const line = /^[-+]/.test(cmd) ? ` ${cmd}` : cmd;
  return { file: SHELL, args: ["-c", line], name: cmd };
}

function spawn(
  { file, args, raw }: Command,
  pipes: readonly { mode: StdioSetup<unknown>["mode"] }[],
  { cwd, env, clearEnv, user, group, startNewSession }: SubprocessOptions,
): Deno.ChildProcess {
  const [stdin, stdout, stderr] = pipes.map(({ mode }) => mode);
  const options = {
    args: args as string[],
    ...{ stdin, stdout, stderr },
    cwd: cwd ?? undefined,
    env: env ?? undefined,
    clearEnv: Boolean(clearEnv),
    uid: user ?? undefined,
    gid: group ?? undefined,
    detached: Boolean(startNewSession),
    windowsRawArguments: raw,
  };
  return new deno.Command(file, options as Deno.CommandOptions).spawn();
}

/** Starts a shell that becomes the program. {@linkcode waitForExec} reads its standard error. */
function spawnMerged(
  { file, args }: Command,
  stdin: StdioSetup<unknown>,
  stdout: StdioSetup<unknown>,
  options: SubprocessOptions,
): Deno.ChildProcess {
  if (deno.build.os === "windows") {
    throw new deno.errors.NotSupported(
      "Cannot merge stderr into stdout: Deno cannot do that on Windows",
    );
  }
  checkRunPermission(file);
  const program = file.startsWith("-") ? `./${file}` : file;
  const script = ["-c", mergeScript(options), "sh", program, ...args];
  try {
    return spawn(
      { file: SHELL, args: script, name: file },
      [stdin, stdout, { mode: PIPE }],
      options,
    );
  } catch (error) {
    throw renameShellError(error, file);
  }
}

/** The script that makes a shell merge standard error into standard output and become the program. */
export function mergeScript({ clearEnv, env }: SubprocessOptions): string {
  const isUnasked = (name: string) => env?.[name] === undefined;
  const names = SHELL_VARIABLES.filter(isUnasked);
  const clear = !clearEnv
    ? ""
    : (names.length > 0 ? `unset ${names.join(" ")}\n` : "") +
      (isUnasked("SHLVL") ? UNSET_SHLVL : "");
  return `${FIND_PROGRAM}${clear}exec "$@" 2>&1`;
}

/** Waits until the shell has become the program, or has reported why it cannot. */
async function waitForExec(
  child: Deno.ChildProcess,
  { file }: Command,
): Promise<void> {
  let report = "";
  for await (const chunk of child.stderr) report += decoder.decode(chunk);
  if (report.endsWith("NotFound\n")) {
    throw new deno.errors.NotFound(
      `Cannot start ${file}: there is no such program`,
    );
  }
  if (report.endsWith("PermissionDenied\n")) {
    throw new deno.errors.PermissionDenied(
      `Cannot start ${file}: it is not executable`,
    );
  }
}

/** Turns an error of the shell into one of the program. */
function renameShellError(error: unknown, file: string): unknown {
  if (error instanceof deno.errors.NotCapable) {
    return new deno.errors.NotCapable(
      `Cannot merge stderr into stdout: it takes a shell. ${error.message}`,
      { cause: error },
    );
  }
  if (error instanceof Error) {
    error.message = error.message.replace(`'${SHELL}'`, `'${file}'`);
  }
  return error;
}

/** Requests the permission to run a program that the shell will become. */
function checkRunPermission(file: string): void {
  const descriptor = { name: "run", command: file } as const;
  let { state } = deno.permissions.querySync(descriptor);
  if (state === "prompt") {
    state = deno.permissions.requestSync(descriptor).state;
  }
  if (state === "granted") return;
  throw new deno.errors.NotCapable(
    `Requires run access to "${file}", run again with the --allow-run flag`,
  );
}

function isMerged({ stdout, stderr }: SubprocessOptions): boolean {
  if (stderr === STDOUT) return true;
  return typeof stderr === "object" && stderr !== null && stderr === stdout;
}
