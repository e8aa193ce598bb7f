/**
 * Places in a program: where a task was made, and where it waits. Only debug
 * mode records them, as a stack costs more than an await.
 *
 * @module
 */

/** How many frames a place remembers. */
const DEPTH = 64;
/** The frames of the loop and its host that V8 counts beside those of the user. */
const LOOP_FRAMES = 8;
/** This file; nobody knows it in some bundles. */
const FILE: string = import.meta.url ?? "";
const HOME = pathOf(FILE.slice(0, FILE.lastIndexOf("/") + 1));
/** A file that lies beside this one, not below and not a documentation test. */
const OWN_FILE = /^\w+\.[jt]s:\d/;
/** In a bundle all code lies in one file, and none can be told from this module's. */
const BUNDLED = !/\/_call_site\.[^/]*$/.test(FILE);

/** Where running code stands, with everything that waits for it. */
export class CallSite {
  readonly #taken: { stack?: string } = {};
  #lines: readonly string[] | null = null;

  constructor() {
    captureStack(this.#taken, CallSite);
  }

  /** The frames outside of this module, innermost first: `"name (file:line:column)"`. */
  get frames(): readonly string[] {
    return this.#all.filter(isExternal).map(withoutAsync);
  }

  /** The innermost of them, `null` if there is none. */
  get line(): string | null {
    return this.frames[0] ?? null;
  }

  /**
   * Whether code outside of this module is running here itself, and is not
   * just waiting for code of this module that runs.
   */
  get fresh(): boolean {
    const first = this.#all.findIndex(isExternal);
    return first >= 0 &&
      !this.#all.slice(0, first + 1).some((line) => line.startsWith("async "));
  }

  /** Whether the same statement is being run, called from the same statements. */
  equals(other: CallSite): boolean {
    return this.fresh && other.fresh && this.line === other.line &&
      this.#rows === other.#rows;
  }

  /** Whether this is the other place, or lies inside of a call that it waits for. */
  isWithin(other: CallSite): boolean {
    return this.#rows.endsWith(other.#rows);
  }

  /** Formatting is what is expensive about a stack, so it waits for the first question. */
  get #all(): readonly string[] {
    return this.#lines ??= linesOf(this.#taken.stack);
  }

  /**
   * The frames without their columns: a caller stands at the call before its
   * first wait and at the `await` afterwards, on one line in two columns.
   */
  get #rows(): string {
    return this.frames.map((line) => `\n${line.replace(/:\d+(?=\)?$)/, "")}`)
      .join("");
  }
}

/**
 * The name of the functions that await the body of a task or scope. A string,
 * which minifiers leave as it is.
 */
export const BODY = "asyncio body";

/**
 * Takes the stack, without the calls above `above`. Inside of the `then` of a
 * thenable that a promise was resolved with, V8 follows promises from there to
 * the functions that await them.
 */
export function captureStack(
  target: object,
  // deno-lint-ignore ban-types
  above: Function,
  depth: number = DEPTH,
): void {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = depth;
  Error.captureStackTrace(target, above);
  Error.stackTraceLimit = limit;
}

/** Leaves room on stacks for the frames of the loop. Returns the limit before. */
export function widenStacks(): number {
  const limit = Error.stackTraceLimit;
  if (limit > 0) Error.stackTraceLimit = limit + LOOP_FRAMES;
  return limit;
}

/** Restores the limit of stacks, unless somebody else has changed it meanwhile. */
export function narrowStacks(limit: number): void {
  if (Error.stackTraceLimit === limit + LOOP_FRAMES) {
    Error.stackTraceLimit = limit;
  }
}

/**
 * Whether the code of a task or scope awaits a promise: the functions that
 * await it, through `Promise.all` and its kin, lead to the one that awaits the
 * body. The loser of a `Promise.race` leads nowhere, and what rejects a
 * `Promise.any` may be ignored by it.
 */
export class Probe {
  readonly #taken: { stack?: unknown } = {};
  /** How many bodies the promise itself stands for. */
  readonly #own: number;

  // deno-lint-ignore ban-types
  constructor(above: Function, own = 0) {
    this.#own = own;
    if (followsPromises) captureStack(this.#taken, above);
  }

  /** Formatting a stack is expensive, so it waits for this question. */
  get isAwaited(): boolean {
    let own = this.#own;
    for (const call of callsOf(this.#taken)) {
      if (String(call).includes("Promise.any")) return false;
      if (call.getFunctionName() === BODY && own-- === 0) return true;
    }
    return false;
  }
}

/**
 * Whether the engine follows promises out of the `then` of a thenable, as V8
 * has done since 14.0. A trial tells, in the microtasks after the import.
 */
export let followsPromises = false;

const trial = {
  then(this: object, resolve: () => void): void {
    const taken: { stack?: unknown } = {};
    Error.captureStackTrace?.(taken, trial.then);
    followsPromises = callsOf(taken)
      .some((call) => call.getFunctionName() === BODY);
    resolve();
  },
};

({
  async [BODY]() {
    await trial;
  },
})[BODY]();

/** One call on a stack, as V8 gives it. */
interface V8CallSite {
  getFunctionName(): string | null;
}

/** The calls of a stack, without the cost of its text. */
function callsOf(holder: { stack?: unknown }): V8CallSite[] {
  const errors = Error as { prepareStackTrace?: unknown };
  const before = errors.prepareStackTrace;
  try {
    errors.prepareStackTrace = (_: unknown, calls: V8CallSite[]) => calls;
    const { stack } = holder;
    return Array.isArray(stack) ? stack : [];
  } finally {
    if (before === undefined) delete errors.prepareStackTrace;
    else errors.prepareStackTrace = before;
  }
}

/** The frames of an error outside of this module, innermost first. */
export function framesOf(error: unknown): string[] {
  try {
    if (!(error instanceof Error)) return [];
    return linesOf(error.stack).filter(isExternal).map(withoutAsync);
  } catch {
    return []; // a proxy or a getter that throws
  }
}

const creationSites = new WeakMap<object, CallSite>();

/** Remembers where a thing was made. */
export function recordCreation(thing: object): void {
  creationSites.set(thing, new CallSite());
}

/** Where a thing was made, if that was remembered. */
export function creationSite(thing: object): CallSite | null {
  return creationSites.get(thing) ?? null;
}

/** The frames of a stack that lie in files, those of the host left out. */
export function linesOf(stack: unknown): string[] {
  if (typeof stack !== "string") return [];
  return stack.split("\n")
    .filter((line) => /^\s+at .*:\d+:\d+\)?$/.test(line))
    .map((line) => line.trim().slice("at ".length))
    .filter((line) => !isOfHost(line));
}

/** Whether a line of a stack is outside of this module and of the host; `null` for a call into the engine. */
export function isExternalFrame(line: string): boolean | null {
  const frame = line.trim().slice("at ".length);
  if (!/:\d+:\d+\)?$/.test(frame)) return null;
  const isBody = frame.replace(/^async /, "").startsWith(`${BODY} (`);
  return !isBody && !isOfHost(frame) && isExternal(frame);
}

function isOfHost(frame: string): boolean {
  return /^(?:ext|node|native):/.test(locationOf(frame));
}

function isExternal(line: string): boolean {
  return BUNDLED || !isOwn(locationOf(line), HOME);
}

/** Whether a location is in a file of the folder `home` itself. */
export function isOwn(location: string, home: string): boolean {
  const path = pathOf(location);
  return path.startsWith(home) && OWN_FILE.test(path.slice(home.length));
}

/** The location of a frame; names of folders may have parentheses. */
export function locationOf(line: string): string {
  return /^.*? \((.*)\)$/.exec(line)?.[1] ?? line.replace(/^async /, "");
}

/** A location as a plain path: some runtimes write URLs, with or without escapes, others paths. */
export function pathOf(location: string): string {
  const path = location.replace(/^file:\/\/(?:\/(?=[A-Za-z]:))?/, "")
    .replaceAll("\\", "/");
  try {
    return decodeURI(path);
  } catch {
    return path; // a plain path with a per cent sign
  }
}

/** A frame without `async`, and without the name that the engine has made up for an anonymous function. */
function withoutAsync(line: string): string {
  return line.replace(/^async /, "")
    .replace(/^[a-z_$][\w$]*\.[^()]* \((.*)\)$/, "$1");
}
