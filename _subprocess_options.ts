/**
 * The options of a child process, and their checks.
 *
 * @module
 */

import { deno } from "./_deno.ts";
import { node } from "./_host.ts";
import type { Cancellable } from "./_options.ts";
import { checkLimit } from "./_stream_options.ts";
import {
  checkFlag,
  checkOptions,
  checkSignal,
  describe,
  isInstance,
} from "./_validate.ts";

/** Where the input of a child comes from. `null` means `"inherit"`. */
export type StdinSource =
  | typeof PIPE
  | typeof DEVNULL
  | "inherit"
  | ReadableStream<Uint8Array>
  | Deno.FsFile
  | null;

/** Where the output of a child goes. `null` means `"inherit"`. */
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
   * The standard input of the child: `PIPE` for a pipe that
   * {@linkcode Process.stdin} writes to, `DEVNULL` for an empty input, or a
   * stream or file that is copied to it. A stream is cancelled when the child
   * has exited; a file stays open. By default the child reads the input of
   * this process.
   *
   * @default "inherit"
   */
  stdin?: StdinSource;
  /**
   * The standard output of the child: `PIPE` for a pipe that
   * {@linkcode Process.stdout} reads from, `DEVNULL` to discard it, or a stream
   * or file that it is copied to. A stream is closed at the end of the output;
   * a file stays open, and is complete when {@linkcode Process.wait} resolves.
   * By default the child writes to the output of this process.
   *
   * @default "inherit"
   */
  stdout?: StdoutTarget;
  /**
   * The standard error of the child: the same choices as for `stdout`, or
   * {@linkcode STDOUT} to merge it into the standard output. By default the
   * child writes to the standard error of this process.
   *
   * @default "inherit"
   */
  stderr?: StdoutTarget | typeof STDOUT;
  /**
   * The limit of the readers, in bytes; see `StreamReader`. By default 64 KiB.
   *
   * @default 65536
   */
  limit?: number | undefined;
  /** The working directory of the child. By default that of this process. */
  cwd?: string | URL;
  /** Variables to add to the environment of the child. */
  env?: Readonly<Record<string, string>>;
  /**
   * Whether the child gets only the variables of `env`. By default it also
   * inherits those of this process.
   *
   * @default false
   */
  clearEnv?: boolean;
  /** The ID of the user to run as. By default that of this process. */
  user?: number;
  /** The ID of the group to run as. By default that of this process. */
  group?: number;
  /**
   * Whether the child starts a new session and process group, which leaving an
   * `await using` block then kills as a whole. By default it does not.
   *
   * @default false
   */
  startNewSession?: boolean;
}

/** A pipe between this process and the child. */
export const PIPE = "piped";
/** For `stderr`: the descriptor of the standard output, so that the order of both is kept. */
export const STDOUT = "stdout";
/** The null device: an empty input, or an output that is discarded. */
export const DEVNULL = "null";

/** How one of the three standard streams is set up. */
export interface StdioSetup<T> {
  readonly mode: "piped" | "inherit" | "null";
  /** The stream or file that a pump copies from or to; `null` if there is none. */
  readonly pumped: Exclude<T, string | null> | null;
}

/** Python's options that Deno does not support. */
const UNSUPPORTED = [
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
/** Python's options that asyncio refuses, and why. */
const REFUSED: Record<string, string> = {
  bufsize: "the pipes are not buffered",
  encoding: "the streams are of bytes",
  errors: "the streams are of bytes",
  shell: "createSubprocessShell() is for shells",
  text: "the streams are of bytes",
  universalNewlines: "the streams are of bytes",
};
const SUPPORTED = [
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

/** The action that error messages name. */
const ACTION = "start a process";
/** User and group IDs are unsigned 32-bit integers. */
const MAX_ID = 2 ** 32 - 1;
export const INHERIT: StdioSetup<never> = { mode: "inherit", pumped: null };
/** Checks the option of a standard stream. */
export function readStdio<T>(
  name: "stdin" | "stdout" | "stderr",
  given: T | typeof STDOUT | undefined,
): StdioSetup<T> {
  if (given === undefined || given === null || given === "inherit") {
    return INHERIT;
  }
  if (given === PIPE) return { mode: PIPE, pumped: null };
  if (given === DEVNULL) return { mode: DEVNULL, pumped: null };
  if (given === STDOUT) {
    throw new RangeError(`Cannot set up ${name}: STDOUT is for stderr only`);
  }
  const Stream = name === "stdin" ? ReadableStream : WritableStream;
  const isStream = isInstance<ReadableStream | WritableStream>(given, Stream);
  if (isStream && given.locked) {
    throw new TypeError(`Cannot set up ${name}: the stream is locked`);
  }
  if (isStream || isInstance(given, deno.FsFile)) {
    return { mode: "piped", pumped: given as StdioSetup<T>["pumped"] };
  }
  throw new TypeError(
    `Cannot set up ${name}: expected PIPE, DEVNULL, "inherit", a ${Stream.name} or a Deno.FsFile, got ${
      describe(given)
    }`,
  );
}

/** Checks and copies all options; the values of the standard streams are checked by {@linkcode readStdio}. */
export function readOptions(options: unknown): SubprocessOptions {
  const pythonOptions = pythonOptionsIn(options);
  checkOptions(options, [...SUPPORTED, ...pythonOptions], ACTION);
  const given = options as Record<string, unknown>;
  for (const name of pythonOptions) refusePythonOption(name, given[name]);
  const copy = Object.fromEntries(
    SUPPORTED.map((name) => [name, given[name] ?? undefined]),
  ) as SubprocessOptions;
  checkSignal(given.signal, ACTION);
  checkLimit(copy.limit, ACTION);
  checkFlag(copy.clearEnv, ACTION, "clearEnv");
  checkFlag(copy.startNewSession, ACTION, "startNewSession");
  checkId("user", copy.user);
  checkId("group", copy.group);
  if (copy.cwd !== undefined) copy.cwd = readString(copy.cwd, "cwd");
  if (copy.env !== undefined) copy.env = readEnvironment(copy.env);
  return copy;
}

/** The options that are Python's and not this module's. */
function pythonOptionsIn(options: unknown): string[] {
  if (typeof options !== "object" || options === null) return [];
  const names = [...UNSUPPORTED, ...Object.keys(REFUSED)];
  try {
    return names.filter((name) => name in options);
  } catch {
    return []; // checkOptions() reports it
  }
}

function refusePythonOption(name: string, value: unknown): void {
  if (value === undefined || value === null) return;
  if (UNSUPPORTED.includes(name)) {
    throw new deno.errors.NotSupported(
      `Cannot ${ACTION}: Deno does not support ${name}`,
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
        } is not the name of a variable`,
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

/** Whether a value is a plain object. */
function isDictionary(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  try {
    const kind = Object.getPrototypeOf(value);
    return kind === null || Object.getPrototypeOf(kind) === null;
  } catch {
    return false;
  }
}

function checkId(what: "user" | "group", id: unknown): void {
  if (id === undefined) return;
  if (Number.isInteger(id) && id as number >= 0 && id as number <= MAX_ID) {
    return;
  }
  const Kind = typeof id === "number" ? RangeError : TypeError;
  throw new Kind(
    `Cannot set the ${what}: expected its number, got ${describe(id)}`,
  );
}

/** Checks the arguments of a program. */
export function readArguments(args: unknown): string[] {
  if (!isArray(args)) {
    throw new TypeError(
      `Cannot ${ACTION}: expected an array of arguments, got ${describe(args)}`,
    );
  }
  return Array.from(args, (it, i) => readString(it, `argument ${i + 1}`));
}

function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false; // a proxy that was revoked
  }
}

/** Checks a string for the system, which may be given as a URL. */
export function readString(value: unknown, what: string): string {
  const isArgument = what.startsWith("argument");
  const text = !isInstance(value, URL)
    ? value
    : isArgument && value.protocol !== "file:"
    ? value.href
    : urlToPath(value, what);
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

function urlToPath(url: URL, what: string): string {
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
      `Cannot ${ACTION}: the URL of ${what} is not a path on this system, got ${
        describe(url.href)
      }`,
      { cause },
    );
  }
}

/** Refuses a NUL, which would end the string for the system. */
function refuseNul(text: string, where: string): void {
  if (!text.includes("\0")) return;
  throw new RangeError(
    `Cannot ${ACTION}: there is a NUL in the ${where}, ${describe(text)}`,
  );
}
