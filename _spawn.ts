/**
 * Starts child processes.
 *
 * Errors that go where the output goes take a shell, which Deno cannot do by
 * itself: it merges the two and then becomes the program.
 *
 * @module
 */

import { deno } from "./_deno.ts";
import {
  INHERIT,
  PIPE,
  type Plan,
  type StdinSource,
  STDOUT,
  type StdoutTarget,
  type SubprocessOptions,
  toPlan,
} from "./_subprocess_options.ts";

/** A program with its arguments. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** What people call it. */
  readonly name: string;
  /** Whether the arguments are quoted already, for Windows. */
  readonly raw?: boolean;
}

/** A child that was just started. */
export interface Launch {
  readonly child: Deno.ChildProcess;
  readonly stdin: Plan<StdinSource>;
  readonly stdout: Plan<StdoutTarget>;
  readonly stderr: Plan<StdoutTarget>;
  /** Settles when the program is running, or cannot be; `null` if it is already. */
  readonly ready: Promise<void> | null;
}

const SHELL = "/bin/sh";
/**
 * Looks for a program as the runtime would, and if there is none says so on
 * the standard error that it was given; the program has none of that, so this
 * comes to its end in any case.
 */
const LOOK_UP = `_asyncio_program=$1
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
/** Variables that some shell sets though nobody has asked for them. */
const SHELL_VARIABLES = ["PATH", "PWD", "OLDPWD"];
/** Bash sets this one again when it becomes a program. What `env` must not take for a variable starts behind `nice`. */
const UNSET_LEVEL = `case \${BASH_VERSION:+bash}$1 in
bash*=*) set -- /usr/bin/env -u SHLVL /usr/bin/nice -n 0 "$@" ;;
bash*) set -- /usr/bin/env -u SHLVL "$@" ;;
*) unset SHLVL ;;
esac
`;

const decoder = new TextDecoder();

/** Starts a child; everything about it was checked, but for its standard streams. */
export function launchChild(
  command: Command,
  options: SubprocessOptions,
): Launch {
  const stdin = toPlan("stdin", options.stdin);
  const stdout = toPlan("stdout", options.stdout);
  if (!isMerged(options)) {
    const stderr = toPlan("stderr", options.stderr);
    const child = spawn(command, [stdin, stdout, stderr], options);
    return { child, stdin, stdout, stderr, ready: null };
  }
  const plans = { stdin, stdout, stderr: INHERIT };
  if (stdout.host === "null") {
    const child = spawn(command, [stdin, stdout, stdout], options);
    return { child, ...plans, ready: null };
  }
  const child = spawnMerged(command, stdin, stdout, options);
  return { child, ...plans, ready: followMerging(child, command) };
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
  pipes: readonly { host: Plan<unknown>["host"] }[],
  { cwd, env, clearEnv, user, group, startNewSession }: SubprocessOptions,
): Deno.ChildProcess {
  const [stdin, stdout, stderr] = pipes.map(({ host }) => host);
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
  return new Deno.Command(file, options as Deno.CommandOptions).spawn();
}

/** Starts a shell that becomes the program; its standard error is for {@linkcode followMerging}. */
function spawnMerged(
  { file, args }: Command,
  stdin: Plan<unknown>,
  stdout: Plan<unknown>,
  options: SubprocessOptions,
): Deno.ChildProcess {
  if (deno.build.os === "windows") {
    throw new deno.errors.NotSupported(
      "Cannot merge stderr into stdout: Deno cannot do that on Windows",
    );
  }
  checkRun(file);
  const program = file.startsWith("-") ? `./${file}` : file;
  const script = ["-c", mergeScript(options), "sh", program, ...args];
  try {
    return spawn(
      { file: SHELL, args: script, name: file },
      [stdin, stdout, { host: PIPE }],
      options,
    );
  } catch (error) {
    throw explain(error, file);
  }
}

/** What a shell runs to become a program whose errors go where its output goes. */
export function mergeScript({ clearEnv, env }: SubprocessOptions): string {
  const isUnasked = (name: string) => env?.[name] === undefined;
  const names = SHELL_VARIABLES.filter(isUnasked);
  const clear = !clearEnv
    ? ""
    : (names.length > 0 ? `unset ${names.join(" ")}\n` : "") +
      (isUnasked("SHLVL") ? UNSET_LEVEL : "");
  return `${LOOK_UP}${clear}exec "$@" 2>&1`;
}

/** Waits until the shell has become the program, or has said why it cannot. */
async function followMerging(
  child: Deno.ChildProcess,
  { file }: Command,
): Promise<void> {
  let said = "";
  for await (const chunk of child.stderr) said += decoder.decode(chunk);
  if (said.endsWith("NotFound\n")) {
    throw new deno.errors.NotFound(
      `Cannot start ${file}: there is no such program`,
    );
  }
  if (said.endsWith("PermissionDenied\n")) {
    throw new deno.errors.PermissionDenied(
      `Cannot start ${file}: it is not executable`,
    );
  }
}

/** An error of the shell in between, as one of the program. */
function explain(error: unknown, file: string): unknown {
  if (error instanceof deno.errors.NotCapable) {
    return new deno.errors.NotCapable(
      `Cannot merge stderr into stdout: that takes a shell. ${error.message}`,
      { cause: error },
    );
  }
  if (error instanceof Error) {
    error.message = error.message.replace(`'${SHELL}'`, `'${file}'`);
  }
  return error;
}

/** Asks for the permission to run a program that a shell is to become. */
function checkRun(file: string): void {
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
