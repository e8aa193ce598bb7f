/**
 * Stacks of errors that show the code of the user and the code that awaited it.
 *
 * V8 captures the stack where an error is created. It contains the frames of
 * the event loop and ends with the task: V8 does not know who awaits the task.
 * So an error that passes through this module gets the frames of its waiters,
 * and loses those of the module. Both happen when the stack is first read, as
 * formatting it is expensive.
 *
 * @module
 */

import {
  captureStack,
  followsPromises,
  isExternalFrame,
} from "./_call_site.ts";

/** What is added to the stack that V8 captured. */
interface Additions {
  /** The error that caused this one: its frames come first. */
  origin: Error | null;
  /** The stacks of the functions that awaited the error, innermost first. */
  readonly waiters: { stack?: string }[];
  /** Lines below all frames. */
  readonly notes: string[];
  /** The formatted stack; `null` until it is read. */
  formatted: unknown;
}

/** How many frames of a waiter are captured. */
const WAITER_FRAMES = 32;
/** How many waiters of an error are kept. */
const MOST_WAITERS = 4;
/** How many notes of an error are kept: a program may throw one error again and again. */
const MOST_NOTES = 8;
const FRAME = /^\s+at /;

const additions = new WeakMap<Error, Additions>();
/** V8's own accessor of `stack`, the same for all errors; other engines have none. */
const readRaw = Object.getOwnPropertyDescriptor(new Error(), "stack")?.get;

/** Makes the stack of an error show only the code of the user. */
export function tidyStack(error: unknown): void {
  try {
    if (error instanceof Error) additionsTo(error);
  } catch {
    // The error is frozen, or a proxy or getter throws.
  }
}

/**
 * Adds a waiter to the stack of an error: the caller of `above` and, inside the
 * `then` of a thenable, the functions that await the rejected promise.
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
    const captured = {};
    captureStack(captured, above, WAITER_FRAMES);
    waiters.push(captured);
  } catch {
    // As above.
  }
}

/** Adds a line below the frames of an error, once. */
export function addNote(error: unknown, note: string): void {
  try {
    if (!(error instanceof Error)) return;
    const notes = additionsTo(error)?.notes;
    if (notes === undefined || notes.length >= MOST_NOTES) return;
    if (!notes.includes(note)) notes.push(note);
  } catch {
    // As above.
  }
}

/**
 * Makes the stack of an error begin with the frames of the error that caused
 * it, which then no longer shows them itself.
 */
export function addOrigin(error: Error, origin: Error): void {
  tidyStack(origin);
  const added = additionsTo(error);
  if (added !== null) added.origin = origin;
}

/** A promise rejected with an error whose stack shows the caller. */
export function rejection(error: unknown): Promise<never> {
  addWaiter(error);
  return Promise.reject(error);
}

/** The additions to a stack; `null` if other code has replaced the stack. */
function additionsTo(error: Error): Additions | null {
  const known = additions.get(error);
  if (known !== undefined && known.formatted === null) return known;
  const before = Object.getOwnPropertyDescriptor(error, "stack");
  if (before === undefined || !before.configurable) return null;
  if (known !== undefined) {
    if (before.value !== known.formatted) return null;
    define(error, known, before.value);
    return known;
  }
  if (readRaw !== undefined && before.get !== readRaw) return null;
  const added: Additions = {
    origin: null,
    waiters: [],
    notes: [],
    formatted: null,
  };
  additions.set(error, added);
  define(error, added, before.value);
  return added;
}

/** Makes `stack` an accessor that formats the stack, from a text or V8's own frames, when it is first read. */
function define(error: Error, added: Additions, text: unknown): void {
  const fix = (value: unknown) => {
    Object.defineProperty(error, "stack", {
      value,
      configurable: true,
      writable: true,
      enumerable: false,
    });
  };
  added.formatted = null;
  Object.defineProperty(error, "stack", {
    configurable: true,
    enumerable: false,
    get() {
      if (added.formatted !== null) return added.formatted;
      const raw = text ?? readRaw?.call(error);
      const stack = typeof raw === "string"
        ? formatStack(error, raw, added)
        : raw;
      added.formatted = stack;
      if (Object.isExtensible(error)) fix(stack); // else it was frozen since
      return stack;
    },
    set(value) {
      fix(value);
      added.formatted = "";
    },
  });
}

function formatStack(error: Error, raw: string, added: Additions): string {
  tidyStack(error.cause);
  const { errors } = error as { errors?: unknown };
  if (Array.isArray(errors)) errors.forEach(tidyStack);
  const stack = textOf(error, raw, added);
  added.waiters.fill({}); // captured stacks keep their functions alive
  if (stack !== raw && readRaw !== undefined) dropRawFrames(error);
  return stack;
}

/** Removes V8's own frames, which Deno would print instead of the text. */
function dropRawFrames(error: Error): void {
  if (!Object.isExtensible(error)) return;
  Reflect.deleteProperty(error, "stack");
  captureStack(error, dropRawFrames, 0);
  void error.stack;
}

function textOf(error: Error, raw: string, added: Additions): string {
  const { header, frames: all } = splitStack(raw);
  const frames = framesOfOrigin(added);
  appendNew(frames, all);
  for (const { stack } of added.waiters) {
    appendNew(frames, stack?.split("\n") ?? []);
  }
  // An error in this module itself. Cancellations are always created by it.
  if (frames.length === 0 && error.name !== "CancelledError") {
    frames.push(...all);
  }
  const notes = added.notes.map((note) => `    ${note}`);
  const lines = [...header, ...frames].filter((line) => !notes.includes(line));
  return [...lines, ...notes].join("\n");
}

function framesOfOrigin(added: Additions): string[] {
  const { origin } = added;
  added.origin = null;
  if (typeof origin?.stack !== "string") return [];
  const { header, frames } = splitStack(origin.stack);
  if (Object.isExtensible(origin)) origin.stack = header.join("\n");
  return externalFrames(frames);
}

/** Splits a stack into the message, which may have several lines, and the frames. */
function splitStack(stack: string): { header: string[]; frames: string[] } {
  const lines = stack.split("\n");
  const first = lines.findIndex((line) => FRAME.test(line));
  if (first < 0) return { header: lines, frames: [] };
  return { header: lines.slice(0, first), frames: lines.slice(first) };
}

/** Appends the frames of the user that are not in the list yet. */
function appendNew(frames: string[], lines: readonly string[]): void {
  const known = new Set(frames.map(withoutAsync));
  const isNew = (line: string) => !known.has(withoutAsync(line));
  frames.push(...externalFrames(lines).filter(isNew));
}

/** The frames of the user. A call into the engine belongs to its caller. */
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

/** A frame without `async`: a caller gets it when it starts to wait, and is the same frame. */
function withoutAsync(frame: string): string {
  return frame.replace(/^(\s+at )async /, "$1");
}
