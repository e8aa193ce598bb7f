/**
 * What is asked for when a child process is started: checked, and handed to
 * the host.
 *
 * @module
 */

import { deno } from "./_deno.ts";
import { node } from "./_host.ts";
import type { Cancellable } from "./_options.ts";
import { checkLimit } from "./_stream_reader.ts";
import {
  checkFlag,
  checkOptions,
  checkSignal,
  describe,
  isInstance,
} from "./_validate.ts";

/** Where the input of a child comes from. `null` is `"inherit"`. */
export type StdinSource =
  | typeof PIPE
  | typeof DEVNULL
  | "inherit"
  | ReadableStream<Uint8Array>
  | Deno.FsFile
  | null;

/** Where the output of a child goes. `null` is `"inherit"`. */
export type StdoutTarget =
  | typeof PIPE
  | typeof DEVNULL
  | "inherit"
  | WritableStream<Uint8Array>
  | Deno.FsFile
  | null;

/** Options of {@linkcode createSubprocessExec} and {@linkcode createSubprocessShell}. */
export interface SubprocessOptions extends Cancellable {
  /**
   * What the child reads: a pipe that {@linkcode Process.stdin} writes to,
   * nothing, what this process reads, or a stream or file that is read for
   * it. A stream is cancelled when the child has ended; a file stays open.
   *
   * @default "inherit"
   */
  stdin?: StdinSource;
  /**
   * Where the output of the child goes: into a pipe that
   * {@linkcode Process.stdout} reads from, nowhere, to where this process
   * writes, or into a stream or file. A stream is closed at the end of the
   * output; a file stays open, and has the output when
   * {@linkcode Process.wait} resolves.
   *
   * @default "inherit"
   */
  stdout?: StdoutTarget;
  /**
   * Where the child's errors go: as `stdout`, or with {@linkcode STDOUT} to
   * the same place.
   *
   * @default "inherit"
   */
  stderr?: StdoutTarget | typeof STDOUT;
  /**
   * The limit of the readers, in bytes; see `StreamReader`.
   *
   * @default 65536
   */
  limit?: number | undefined;
  /**
   * The working directory of the child.
   *
   * @default that of this process
   */
  cwd?: string | URL;
  /**
   * Variables that are added to the environment of the child.
   *
   * @default none
   */
  env?: Readonly<Record<string, string>>;
  /**
   * Whether the child has only the variables of `env`, and none of this
   * process.
   *
   * @default false
   */
  clearEnv?: boolean;
  /**
   * The number of the user to run as.
   *
   * @default that of this process
   */
  user?: number;
  /**
   * The number of the group to run as.
   *
   * @default that of this process
   */
  group?: number;
  /**
   * Whether the child leads a session and process group of its own. Leaving
   * an `await using` block then ends the whole group.
   *
   * @default false
   */
  startNewSession?: boolean;
}

/** A pipe between this process and the child. */
export const PIPE = "piped";
/** For `stderr`: where the standard output goes, through the same descriptor, so that the order is kept. */
export const STDOUT = "stdout";
/** The null device: an empty input, or an output that is thrown away. */
export const DEVNULL = "null";

/** How one of the three standard streams is set up. */
export interface Plan<T> {
  readonly host: "piped" | "inherit" | "null";
  /** What is pumped from or to the pipe; `null` if the program has the pipe. */
  readonly pumped: Exclude<T, string | null> | null;
}

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

/** Names of options that Python has and Deno cannot do. */
const IMPOSSIBLE = [
  "closeFds",
  "creationflags",
  "executable",
  "extraGroups",
  "passFds",
  "pipesize",
  "preexecFn",
  "processGroup",
  "restoreSignals",
  "startupinfo",
  "umask",
];
/** Names of options that Python has and refuses, with why. */
const REFUSED: Record<string, string> = {
  bufsize: "the pipes are not buffered",
  encoding: "the streams are of bytes",
  errors: "the streams are of bytes",
  shell: "createSubprocessShell() is for shells",
  text: "the streams are of bytes",
  universalNewlines: "the streams are of bytes",
};
const POSSIBLE = [
  "stdin",
  "stdout",
  "stderr",
  "limit",
  "cwd",
  "env",
  "clearEnv",
  "user",
  "group",
  "startNewSession",
  "signal",
];

/** Signals that Deno can send on Windows. */
const WINDOWS_SIGNALS: readonly unknown[] = ["SIGTERM", "SIGKILL", 15, 9];

/** What the errors say was not done. */
const ACTION = "start a process";
/** The system counts users and groups in 32 bits. */
const MOST_ID = 2 ** 32 - 1;
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

const INHERIT: Plan<never> = { host: "inherit", pumped: null };
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

/** Checks how one of the standard streams is to be set up. */
function toPlan<T>(
  name: "stdin" | "stdout" | "stderr",
  given: T | typeof STDOUT | undefined,
): Plan<T> {
  if (given === undefined || given === null || given === "inherit") {
    return INHERIT;
  }
  if (given === PIPE) return { host: PIPE, pumped: null };
  if (given === DEVNULL) return { host: DEVNULL, pumped: null };
  if (given === STDOUT) {
    throw new RangeError(`Cannot set up ${name}: STDOUT is for stderr only`);
  }
  const Stream = name === "stdin" ? ReadableStream : WritableStream;
  const isStream = isInstance<ReadableStream | WritableStream>(given, Stream);
  if (isStream && given.locked) {
    throw new TypeError(`Cannot set up ${name}: the stream is locked`);
  }
  if (isStream || isInstance(given, deno.FsFile)) {
    return { host: "piped", pumped: given as Plan<T>["pumped"] };
  }
  throw new TypeError(
    `Cannot set up ${name}: expected PIPE, DEVNULL, "inherit", a ${Stream.name} or a Deno.FsFile, got ${
      describe(given)
    }`,
  );
}

/** Checks and copies everything but the standard streams. */
export function readOptions(options: unknown): SubprocessOptions {
  const foreign = foreignIn(options);
  checkOptions(options, [...POSSIBLE, ...foreign], ACTION);
  const given = options as Record<string, unknown>;
  for (const name of foreign) refuseOption(name, given[name]);
  const copy = Object.fromEntries(
    POSSIBLE.map((name) => [name, given[name] ?? undefined]),
  ) as SubprocessOptions;
  checkSignal(given.signal, ACTION);
  checkLimit(copy.limit, ACTION);
  checkFlag(copy.clearEnv, ACTION, "clearEnv");
  checkFlag(copy.startNewSession, ACTION, "startNewSession");
  checkId("user", copy.user);
  checkId("group", copy.group);
  if (copy.cwd !== undefined) copy.cwd = toText(copy.cwd, "cwd");
  if (copy.env !== undefined) copy.env = readEnvironment(copy.env);
  return copy;
}

/** The options that Python has and this module has not. */
function foreignIn(options: unknown): string[] {
  if (typeof options !== "object" || options === null) return [];
  const names = [...IMPOSSIBLE, ...Object.keys(REFUSED)];
  try {
    return names.filter((name) => name in options);
  } catch {
    return []; // said by whoever looks at them next
  }
}

function refuseOption(name: string, value: unknown): void {
  if (value === undefined || value === null) return;
  if (IMPOSSIBLE.includes(name)) {
    throw new deno.errors.NotSupported(
      `Cannot ${ACTION}: Deno cannot do what ${name} asks for`,
    );
  }
  if (!value) return;
  throw new RangeError(
    `Cannot ${ACTION}: ${name} must not be set, ${REFUSED[name]}`,
  );
}

function readEnvironment(env: object): Record<string, string> {
  if (!isDictionary(env)) {
    throw new TypeError(
      `Cannot set the environment: expected a plain object, got ${
        describe(env)
      }`,
    );
  }
  const copy = entriesOf(env);
  for (const [name, value] of copy) {
    if (typeof value !== "string") {
      throw new TypeError(
        `Cannot set the environment: expected a string for ${name}, got ${
          describe(value)
        }`,
      );
    }
    if (name === "" || name.includes("=")) {
      throw new RangeError(
        `Cannot set the environment: ${
          describe(name)
        } is no name of a variable`,
      );
    }
    refuseNul(name, "environment");
    refuseNul(value, "environment");
  }
  return Object.fromEntries(copy);
}

function entriesOf(env: object): [string, string][] {
  try {
    return Object.entries(env);
  } catch (cause) {
    throw new TypeError("Cannot set the environment: it cannot be read", {
      cause,
    });
  }
}

/** Whether a value is an object of no class. */
function isDictionary(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  try {
    const kind = Object.getPrototypeOf(value);
    return kind === null || Object.getPrototypeOf(kind) === null;
  } catch {
    return false;
  }
}

/** Checks what kind of value a signal is; whether there is such a signal, the runtime knows. */
export function checkSignalNumber(
  signal: unknown,
): asserts signal is Deno.Signal | number {
  if (typeof signal === "string" || Number.isInteger(signal)) return;
  throw new TypeError(
    `Cannot send a signal: expected its name or number, got ${
      describe(signal)
    }`,
  );
}

/** Why a signal was not sent, `null` if it came too late. */
export function signalFailure(
  signal: Deno.Signal | number,
  cause: unknown,
  isAlive: () => boolean,
  os: string = deno.build.os,
): unknown {
  if (os === "windows") {
    if (WINDOWS_SIGNALS.includes(signal)) return null;
    return new deno.errors.NotSupported(
      `Cannot send ${
        describe(signal)
      }: on Windows, Deno can send SIGTERM and SIGKILL only`,
      { cause },
    );
  }
  if (!isAlive()) return null;
  if (!(cause instanceof TypeError)) return cause;
  return new TypeError(
    `Cannot send a signal: Deno does not know ${describe(signal)}`,
    { cause },
  );
}

function checkId(what: "user" | "group", id: unknown): void {
  if (id === undefined) return;
  if (Number.isInteger(id) && id as number >= 0 && id as number <= MOST_ID) {
    return;
  }
  const Kind = typeof id === "number" ? RangeError : TypeError;
  throw new Kind(
    `Cannot set the ${what}: expected its number, got ${describe(id)}`,
  );
}

/** What the system takes as the arguments of a program. */
export function toTexts(args: unknown): string[] {
  if (!isArray(args)) {
    throw new TypeError(
      `Cannot ${ACTION}: expected an array of arguments, got ${describe(args)}`,
    );
  }
  return Array.from(args, (it, i) => toText(it, `argument ${i + 1}`));
}

function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false; // a proxy that was revoked
  }
}

/** What the system takes as a text: a string, or the path of a URL. */
export function toText(value: unknown, what: string): string {
  const isArgument = what.startsWith("argument");
  const text = !isInstance(value, URL)
    ? value
    : isArgument && value.protocol !== "file:"
    ? value.href
    : toPath(value, what);
  if (typeof text !== "string") {
    throw new TypeError(
      `Cannot ${ACTION}: expected a string or URL as ${what}, got ${
        describe(value)
      }`,
    );
  }
  refuseNul(text, what);
  return text;
}

function toPath(url: URL, what: string): string {
  if (url.protocol !== "file:") {
    throw new TypeError(
      `Cannot ${ACTION}: expected a file: URL as ${what}, got ${
        describe(url.href)
      }`,
    );
  }
  try {
    return node("url").fileURLToPath(url);
  } catch (cause) {
    throw new TypeError(
      `Cannot ${ACTION}: the URL of ${what} is no path on this system, got ${
        describe(url.href)
      }`,
      { cause },
    );
  }
}

/** The system takes a NUL for the end. */
function refuseNul(text: string, where: string): void {
  if (!text.includes("\0")) return;
  throw new RangeError(
    `Cannot ${ACTION}: there is a NUL in the ${where}, ${describe(text)}`,
  );
}
