/**
 * Call sites: where a task was created, and where it waits. Only debug mode
 * records them, as capturing a stack costs more than an await.
 *
 * @module
 */

/** How many frames a call site keeps. */
const MOST_FRAMES = 64;
/** Frames of the loop and the runtime, which count against V8's stack limit too. */
const LOOP_FRAMES = 8;
/** The URL of this file; `""` in some bundles. */
const THIS_FILE: string = import.meta.url ?? "";
const MODULE_FOLDER = pathOf(
  THIS_FILE.slice(0, THIS_FILE.lastIndexOf("/") + 1),
);
/** A file in the same folder as this one, except for documentation tests. */
const OWN_FILE = /^\w+\.[jt]s:\d/;
/** In a bundle all code is in one file, so this module's code cannot be recognized. */
const BUNDLED = !/\/_call_site\.[^/]*$/.test(THIS_FILE);

/** The stack of running code, including the functions that await it. */
export class CallSite {
  readonly #captured: { stack?: string } = {};
  #cachedFrames: readonly string[] | null = null;

  constructor() {
    captureStack(this.#captured, CallSite);
  }

  /** The frames outside of this module, innermost first: `"name (file:line:column)"`. */
  get frames(): readonly string[] {
    return this.#allFrames.filter(isExternal).map(withoutAsync);
  }

  /** The innermost of these frames, `null` if there is none. */
  get line(): string | null {
    return this.frames[0] ?? null;
  }

  /**
   * Whether code outside of this module is itself running here, and not only
   * awaiting code of this module.
   */
  get isDirect(): boolean {
    const first = this.#allFrames.findIndex(isExternal);
    return first >= 0 &&
      !this.#allFrames.slice(0, first + 1).some((line) =>
        line.startsWith("async ")
      );
  }

  /** Whether both are the same statement, called from the same statements. */
  equals(other: CallSite): boolean {
    return this.isDirect && other.isDirect && this.line === other.line &&
      this.#withoutColumns === other.#withoutColumns;
  }

  /** Whether this is the other call site, or inside a call that the other one awaits. */
  isWithin(other: CallSite): boolean {
    return this.#withoutColumns.endsWith(other.#withoutColumns);
  }

  /** Formatting a stack is the expensive part, so it happens on first use. */
  get #allFrames(): readonly string[] {
    return this.#cachedFrames ??= linesOf(this.#captured.stack);
  }

  /**
   * The frames without their columns: a caller is at the call until it first
   * waits and at the `await` afterwards, two columns of the same line.
   */
  get #withoutColumns(): string {
    return this.frames.map((line) => `\n${line.replace(/:\d+(?=\)?$)/, "")}`)
      .join("");
  }
}

/**
 * The prefix of the names of functions that await the body of a task or scope;
 * the id of the task follows. Minifiers do not change strings.
 */
export const BODY = "asyncio body";

/**
 * Captures the stack below the function `above`. Inside the `then` of a
 * thenable that a promise was resolved with, V8 also adds the functions that
 * await this promise.
 */
export function captureStack(
  target: object,
  // deno-lint-ignore ban-types
  above: Function,
  depth: number = MOST_FRAMES,
): void {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = depth;
  try {
    Error.captureStackTrace(target, above);
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** Makes room on stacks for the frames of the loop. Returns the previous limit. */
export function raiseStackLimit(): number {
  const limit = Error.stackTraceLimit;
  if (limit > 0) Error.stackTraceLimit = limit + LOOP_FRAMES;
  return limit;
}

/** Restores the limit of stacks, unless other code has changed it since. */
export function restoreStackLimit(limit: number): void {
  if (Error.stackTraceLimit === limit + LOOP_FRAMES) {
    Error.stackTraceLimit = limit;
  }
}

/**
 * Whether the code of a task or scope awaits a promise: then the functions that
 * await it, directly or through `Promise.all` and the like, lead to the function
 * that awaits the body. The loser of a `Promise.race` leads nowhere, and a
 * `Promise.any` may ignore a rejection.
 */
export class Probe {
  readonly #captured: { stack?: unknown } = {};
  /** The number of bodies on the stack that belong to the promise itself. */
  readonly #ownBodies: number;

  // deno-lint-ignore ban-types
  constructor(above: Function, own = 0) {
    this.#ownBodies = own;
    if (followsPromises) captureStack(this.#captured, above);
  }

  /** Formatting a stack is expensive, so it happens only here. */
  get isAwaited(): boolean {
    let own = this.#ownBodies;
    for (const call of callsOf(this.#captured)) {
      const name = call.getFunctionName();
      if (name === "any" && String(call).includes("Promise.any")) return false;
      if (name?.startsWith(BODY) && own-- === 0) return true;
    }
    return false;
  }
}

/**
 * Whether the engine adds the awaiting functions to a stack captured in the
 * `then` of a thenable, as V8 does since 14.0. Known a few microtasks after the
 * import.
 */
export let followsPromises = false;

const trial = {
  then(this: object, resolve: () => void): void {
    const captured: { stack?: unknown } = {};
    Error.captureStackTrace?.(captured, trial.then);
    followsPromises = callsOf(captured)
      .some((call) => call.getFunctionName() === BODY);
    resolve();
  },
};

({
  async [BODY]() {
    await trial;
  },
})[BODY]();

/** One call on a stack, as V8 represents it. */
export interface V8CallSite {
  getFunctionName(): string | null;
}

/** The calls of a stack, without the cost of its text. */
export function callsOf(holder: { stack?: unknown }): V8CallSite[] {
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

/** Records where an object was created. */
export function recordCreation(object: object): void {
  creationSites.set(object, new CallSite());
}

/** Where an object was created, `null` if that was not recorded. */
export function creationSite(object: object): CallSite | null {
  return creationSites.get(object) ?? null;
}

/** The frames of a stack that are in files, without those of the runtime. */
export function linesOf(stack: unknown): string[] {
  if (typeof stack !== "string") return [];
  return stack.split("\n")
    .filter((line) => /^\s+at .*:\d+:\d+\)?$/.test(line))
    .map((line) => line.trim().slice("at ".length))
    .filter((line) => !isRuntimeFrame(line));
}

/** Whether a line of a stack is outside of this module and the runtime; `null` for a call into the engine. */
export function isExternalFrame(line: string): boolean | null {
  const frame = line.trim().slice("at ".length);
  if (!/:\d+:\d+\)?$/.test(frame)) return null;
  const isBody = frame.replace(/^async /, "").startsWith(`${BODY} (`);
  return !isBody && !isRuntimeFrame(frame) && isExternal(frame);
}

function isRuntimeFrame(frame: string): boolean {
  return /^(?:ext|node|native):/.test(locationOf(frame));
}

function isExternal(line: string): boolean {
  return BUNDLED || !isOwn(locationOf(line), MODULE_FOLDER);
}

/** Whether a location is in a file directly in `folder`. */
export function isOwn(location: string, folder: string): boolean {
  const path = pathOf(location);
  return path.startsWith(folder) && OWN_FILE.test(path.slice(folder.length));
}

/** The location of a frame. Folder names may contain parentheses. */
export function locationOf(line: string): string {
  return /^.*? \((.*)\)$/.exec(line)?.[1] ?? line.replace(/^async /, "");
}

/** A location as a plain path. Runtimes write paths, or URLs with or without escapes. */
export function pathOf(location: string): string {
  const path = location.replace(/^file:\/\/(?:\/(?=[A-Za-z]:))?/, "")
    .replaceAll("\\", "/");
  try {
    return decodeURI(path);
  } catch {
    return path; // a plain path with a per cent sign
  }
}

/** A frame without `async`, and without a name that the engine invented for an anonymous function. */
function withoutAsync(line: string): string {
  return line.replace(/^async /, "")
    .replace(/^[a-z_$][\w$]*\.[^()]* \((.*)\)$/, "$1");
}
