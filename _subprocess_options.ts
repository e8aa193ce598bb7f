/**
 * What is asked for when a child process is started, and the checks of it.
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

/** Where a child has its input from. `null` is `"inherit"`. */
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

/** What the errors say was not done. */
const ACTION = "start a process";
/** The system counts users and groups in 32 bits. */
const MOST_ID = 2 ** 32 - 1;
export const INHERIT: Plan<never> = { host: "inherit", pumped: null };
/** Checks how one of the standard streams is to be set up. */
export function toPlan<T>(
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
