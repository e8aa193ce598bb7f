/**
 * Stacks of errors as their readers need them: the code of the user, and who
 * waited for it.
 *
 * V8 takes the stack where an error is made. That has the frames of the event
 * loop in it, and ends with the task: it does not know who awaits the task, or
 * what the loop has failed for its waiters. So an error that goes through this
 * module gets the frames of those waiters, and loses the ones of the module.
 * Both happen when somebody reads the stack, as formatting one is expensive.
 *
 * @module
 */

import {
  captureStack,
  followsPromises,
  isExternalFrame,
} from "./_call_site.ts";

/** What is known of a stack beyond what V8 has taken. */
interface Additions {
  /** What has led to the error: its frames come first. */
  origin: Error | null;
  /** Stacks of those who awaited the error, the innermost first. */
  readonly waiters: { stack?: string }[];
  /** Lines that go below all frames. */
  readonly notes: string[];
  /** The text that was made of it all; `null` before somebody has read it. */
  shown: unknown;
}

/** How many frames are taken of those who wait. */
const WAITER_FRAMES = 32;
/** An error that many await keeps the stacks of so many. */
const MOST_WAITERS = 4;
const FRAME = /^\s+at /;

const additions = new WeakMap<Error, Additions>();
/** V8's own accessor of `stack`, the same for all errors; other engines have none. */
const readRaw = Object.getOwnPropertyDescriptor(new Error(), "stack")?.get;

/** Has the stack of an error show the code of the user alone. */
export function tidyStack(error: unknown): void {
  try {
    if (error instanceof Error) additionsTo(error);
  } catch {
    // It is frozen, or a proxy or a getter that throws.
  }
}

/**
 * Adds to the stack of an error who waits for it: what has called `above` and,
 * inside of the `then` of a thenable, those who await what it rejects.
 */
export function addWaiter(
  error: unknown,
  above: (...args: never[]) => unknown = addWaiter,
): void {
  if (!followsPromises) return;
  try {
    if (!(error instanceof Error)) return;
    const waiters = additionsTo(error)?.waiters;
    if (waiters === undefined || waiters.length >= MOST_WAITERS) return;
    const taken = {};
    captureStack(taken, above, WAITER_FRAMES);
    waiters.push(taken);
  } catch {
    // As above.
  }
}

/** Adds a line below the frames of an error, once. */
export function addNote(error: unknown, note: string): void {
  try {
    if (!(error instanceof Error)) return;
    const notes = additionsTo(error)?.notes;
    if (!notes?.includes(note)) notes?.push(note);
  } catch {
    // As above.
  }
}

/**
 * Has the stack of an error begin with the frames of what has led to it. They
 * are shown there alone.
 */
export function addOrigin(error: Error, origin: Error): void {
  tidyStack(origin);
  const added = additionsTo(error);
  if (added !== null) added.origin = origin;
}

/** A promise that is rejected with an error, whose stack shows the caller. */
export function rejection(error: unknown): Promise<never> {
  addWaiter(error);
  return Promise.reject(error);
}

/** What is added to a stack when it is read; `null` where the stack is somebody else's. */
function additionsTo(error: Error): Additions | null {
  const known = additions.get(error);
  if (known !== undefined && known.shown === null) return known;
  const before = Object.getOwnPropertyDescriptor(error, "stack");
  if (before === undefined || !before.configurable) return null;
  if (known !== undefined) {
    if (before.value !== known.shown) return null;
    define(error, known, before.value);
    return known;
  }
  if (readRaw !== undefined && before.get !== readRaw) return null;
  const added: Additions = {
    origin: null,
    waiters: [],
    notes: [],
    shown: null,
  };
  additions.set(error, added);
  define(error, added, before.value);
  return added;
}

/** Has the stack made when it is first read, of a text or of what V8 has taken. */
function define(error: Error, added: Additions, text: unknown): void {
  const fix = (value: unknown) => {
    Object.defineProperty(error, "stack", {
      value,
      configurable: true,
      writable: true,
      enumerable: false,
    });
  };
  added.shown = null;
  Object.defineProperty(error, "stack", {
    configurable: true,
    enumerable: false,
    get() {
      const raw = text ?? readRaw?.call(error);
      const stack = typeof raw === "string" ? finished(error, raw, added) : raw;
      added.shown = stack;
      fix(stack);
      return stack;
    },
    set(value) {
      added.shown = "";
      fix(value);
    },
  });
}

function finished(error: Error, raw: string, added: Additions): string {
  tidyStack(error.cause);
  const { errors } = error as { errors?: unknown };
  if (Array.isArray(errors)) errors.forEach(tidyStack);
  const stack = textOf(error, raw, added);
  added.waiters.fill({}); // they hold all that stands on their stacks
  if (stack !== raw && readRaw !== undefined) forgetFrames(error);
  return stack;
}

/** Deno prints the frames that V8 has taken rather than the text, if there are any. */
function forgetFrames(error: Error): void {
  Reflect.deleteProperty(error, "stack");
  captureStack(error, forgetFrames, 0);
  void error.stack;
}

function textOf(error: Error, raw: string, added: Additions): string {
  const { header, frames: all } = partsOf(raw);
  const frames = framesOfOrigin(added);
  addNew(frames, all);
  for (const { stack } of added.waiters) {
    addNew(frames, stack?.split("\n") ?? []);
  }
  // An error in this module itself; a cancellation is made by it.
  if (frames.length === 0 && error.name !== "CancelledError") {
    frames.push(...all);
  }
  const notes = added.notes.map((note) => `    ${note}`);
  return [...header, ...frames, ...notes].join("\n");
}

function framesOfOrigin(added: Additions): string[] {
  const { origin } = added;
  added.origin = null;
  if (typeof origin?.stack !== "string") return [];
  const { header, frames } = partsOf(origin.stack);
  origin.stack = header.join("\n");
  return externalFrames(frames);
}

/** The message of an error, which may have several lines, and the lines below. */
function partsOf(stack: string): { header: string[]; frames: string[] } {
  const lines = stack.split("\n");
  const first = lines.findIndex((line) => FRAME.test(line));
  if (first < 0) return { header: lines, frames: [] };
  return { header: lines.slice(0, first), frames: lines.slice(first) };
}

/** Adds those frames of the user that are not there yet. */
function addNew(frames: string[], lines: readonly string[]): void {
  const known = new Set(frames.map(unmarked));
  const isNew = (line: string) => !known.has(unmarked(line));
  frames.push(...externalFrames(lines).filter(isNew));
}

/** The frames of the user; calls into the engine belong to who has made them. */
function externalFrames(lines: readonly string[]): string[] {
  let isExternal = false;
  const frames: string[] = [];
  for (const line of lines.toReversed()) {
    if (!FRAME.test(line)) continue;
    isExternal = isExternalFrame(line) ?? isExternal;
    if (isExternal) frames.push(line);
  }
  return frames.reverse();
}

/** A caller that has gone on to wait is the same frame. */
function unmarked(frame: string): string {
  return frame.replace(/^(\s+at )async /, "$1");
}
