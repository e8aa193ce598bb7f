/**
 * What passes between threads beside plain structured clones: errors, values
 * that are moved instead of copied, and the errors for what cannot be sent.
 *
 * A clone keeps the class of the built-in errors and loses that of all
 * others, so an error travels as a record of the nearest class that both
 * sides know, with its own fields, and is rebuilt from that.
 *
 * This file is also part of the program of a worker thread, see
 * `_thread_worker.ts`: it uses nothing of a runtime but its globals.
 *
 * @module
 */

import { isClass } from "./_validate.ts";

/** A function that can run in another thread, or be called from one. */
// deno-lint-ignore no-explicit-any
export type ThreadFunction = (...args: any[]) => any;

/** Names a function of a module, for {@linkcode toThread}. */
export interface ModuleFunction {
  /** Where the module is: `new URL("./file.ts", import.meta.url)`, or a specifier that is not relative. */
  module: URL | string;
  /** The name it is exported by, `"default"` for the default export. */
  export: string;
}

/** A class of errors. */
// deno-lint-ignore no-explicit-any
export type ErrorClass = abstract new (...args: any[]) => Error;

/** An error on its way. */
export interface ErrorRecord {
  /** The nearest class that both sides know. */
  readonly base: string;
  readonly name: string;
  readonly message: string;
  stack: string | undefined;
  /** Its own properties: key, whether it is enumerable, and value. */
  readonly fields: (readonly [string, boolean, Packed])[];
}

/** A value on its way that may be an error, or a list with errors in it. */
export type Packed =
  | { readonly error: ErrorRecord }
  | { readonly list: readonly Packed[] }
  | { readonly value: unknown };

/** The longest piece of a program or of a value that a message shows. */
const LONGEST_EXCERPT = 80;

/** How many errors may travel with one, as its causes and their causes; beyond that they lose their fields. */
const MOST_ERRORS = 500;

/** The classes of errors that exist in every thread. */
export class ErrorClasses {
  /** Classes of this module and of the runtime, by the name of their errors: bundlers rename classes. */
  static readonly #known = new Map<string, ErrorClass>();

  /** Adds classes, by the names that their errors have. */
  static add(classes: Iterable<ErrorClass>): void {
    for (const it of classes) ErrorClasses.#known.set(it.prototype.name, it);
  }

  /** Adds classes whose errors do not all have the name of their class. */
  static addNamed(classes: Record<string, ErrorClass>): void {
    for (const [name, it] of Object.entries(classes)) {
      ErrorClasses.#known.set(name, it);
    }
  }

  /** The class of a name: one that was added, or a built-in one. */
  static named(name: string): ErrorClass | undefined {
    const known = ErrorClasses.#known.get(name);
    if (known !== undefined) return known;
    const builtIn: unknown = Reflect.get(globalThis, name);
    const isClass = typeof builtIn === "function" &&
      (builtIn === Error || builtIn.prototype instanceof Error);
    return isClass ? builtIn as ErrorClass : undefined;
  }

  /** The nearest class of an error that has a name in every thread, and whether it is its own. */
  static nearest(error: Error): { base: string; isOwn: boolean } {
    const own = Object.getPrototypeOf(error);
    for (
      let proto = own;
      proto !== null;
      proto = Object.getPrototypeOf(proto)
    ) {
      for (const name of namesOf(proto)) {
        if (ErrorClasses.named(name)) {
          return { base: name, isOwn: proto === own };
        }
      }
    }
    return { base: "Error", isOwn: false };
  }
}

/** Makes anything that was thrown fit to be sent; `fits` tells what can be sent as it is. */
export function pack(
  value: unknown,
  fits: (value: unknown) => boolean = isCloneable,
): Packed {
  try {
    return packValue(value, new Map(), fits);
  } catch {
    // An error whose fields throw when they are read, or causes without an end.
    return { error: recordOf("Error", `It cannot be read: ${kindOf(value)}`) };
  }
}

/** Rebuilds what {@linkcode pack} has taken apart. */
export function unpack(
  packed: Packed,
  seen: Map<ErrorRecord, Error> = new Map(),
): unknown {
  if ("error" in packed) return unpackError(packed.error, seen);
  if ("list" in packed) return packed.list.map((it) => unpack(it, seen));
  return packed.value;
}

/** Adds the frames of the call that waited to the stack of an error out of another thread. */
export function addFrames(error: unknown, frames: readonly string[]): void {
  if (!(error instanceof Error) || frames.length === 0) return;
  const stack = error.stack ?? `${error}`;
  setHidden(error, "stack", stack + linesOf(frames));
}

/** Where running code stands, above a function: an error with a stack, which nobody has formatted yet. */
export function placeAbove(fn: (...args: never[]) => unknown): Error {
  const at: Error = Object.create(Error.prototype);
  Error.captureStackTrace(at, fn);
  return at;
}

/** Frames as they stand in a stack. */
export function linesOf(frames: readonly string[]): string {
  return frames.map((frame) => `\n    at ${frame}`).join("");
}

/** Gives an error that this module has made the frames of the call that it is about, in place of its own. */
export function replaceFrames(error: Error, frames: readonly string[]): void {
  if (frames.length === 0) return;
  setHidden(error, "stack", `${error.name}: ${error.message}`);
  addFrames(error, frames);
}

/**
 * Marks memory or a port to be moved to the other thread instead of copied,
 * when it is next an argument or a result of {@linkcode toThread}, itself or
 * somewhere inside of one. On this side it is empty or closed afterwards.
 *
 * Functions that run in a thread find `transfer` among their globals.
 *
 * @typeParam T What is moved.
 * @param value An `ArrayBuffer`, a view (of which the whole buffer moves), or a `MessagePort`.
 * @returns The same value.
 * @throws {TypeError} If it is none of these.
 *
 * @example
 * ```ts
 * import { toThread, transfer } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const pixels = new Uint8Array([1, 2, 3]);
 * const inverted = await toThread((pixels: Uint8Array) => {
 *   for (let i = 0; i < pixels.length; i++) pixels[i] = 255 - pixels[i];
 *   return transfer(pixels);
 * }, transfer(pixels));
 * assert(inverted[0] === 254 && pixels.length === 0);
 * ```
 */
export function transfer<
  T extends ArrayBuffer | ArrayBufferView | typeof MessagePort.prototype,
>(
  value: T,
): T {
  const buffer: unknown = ArrayBuffer.isView(value) ? value.buffer : value;
  if (!(buffer instanceof ArrayBuffer || buffer instanceof MessagePort)) {
    throw new TypeError(
      `Cannot transfer a value: expected an ArrayBuffer, a view of one or a MessagePort, got ${
        describeValue(buffer)
      }`,
    );
  }
  const moves = movesOfThread();
  if (!moves.marked.has(value)) moves.count++;
  moves.marked.add(value);
  return value;
}

/** What can move to another thread. */
type Movable = ArrayBuffer | typeof MessagePort.prototype;

/** What was marked by {@linkcode transfer} inside of a value; the marks are used up. */
export function takeMoves(value: unknown): Movable[] {
  const moves = movesOfThread();
  const found = new Set<Movable>();
  if (moves.count > 0) collectMoves(value, moves, found, new Set());
  return [...found];
}

/** What could not be sent, for {@linkcode cloneError}. */
export interface Unsent {
  /** What was being done: `"Cannot call work in a thread"`. */
  readonly action: string;
  /** What was to be sent, and what the path to its parts begins with. */
  readonly value: unknown;
  readonly name: string;
  /** What was to be moved instead. */
  readonly moves?: readonly unknown[];
  /** Whether a value without parts can be sent, by default whether it can be cloned. */
  readonly fits?: (value: unknown) => boolean;
}

/** The error for a value that cannot be sent, with the path to what keeps it from that; else the cause. */
export function cloneError(unsent: Unsent, cause: unknown): unknown {
  let flaw: Flaw | null;
  try {
    flaw = findFlaw(unsent);
  } catch {
    // A getter throws, or there are too many parts inside of each other.
    return cause instanceof RangeError
      ? new RangeError(`${unsent.action}: ${unsent.name} is nested too deeply`)
      : cause;
  }
  if (flaw === null) return cause;
  const { path, culprit } = flaw;
  const what = typeof culprit === "function" && !isClass(culprit)
    ? "a function"
    : kindOf(culprit);
  return new DOMException(
    `${unsent.action}: ${path}: ${what} cannot be sent to a thread`,
    "DataCloneError",
  );
}

export function isCloneable(value: unknown): boolean {
  if (typeof value === "function" || typeof value === "symbol") return false;
  if (typeof value !== "object" || value === null) return true;
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

/** A value as messages show it: functions by their names, strings quoted, and nothing at length. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(excerpt(value));
  if (typeof value === "bigint") return excerpt(`${value}n`);
  if (typeof value === "symbol") return excerpt(String(value));
  const isObject = typeof value === "function" || typeof value === "object";
  return isObject && value !== null ? kindOf(value) : `${value}`;
}

/** What a look at a value gives; `undefined` for a proxy that throws. */
export function lookAt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** What kind of thing a function, a symbol or an object is. */
export function kindOf(value: unknown): string {
  if (typeof value === "symbol") return "a symbol";
  try {
    if (typeof value === "function") {
      const kind = isClass(value) ? "class" : "function";
      return value.name ? `the ${kind} ${excerpt(value.name)}` : `a ${kind}`;
    }
    if (Array.isArray(value)) return "an array";
    if (value instanceof ArrayBuffer && value.detached) {
      return "a detached ArrayBuffer";
    }
    const name = (value as object).constructor?.name;
    if (typeof name === "string" && name !== "" && name !== "Object") {
      return `an object of class ${excerpt(name)}`;
    }
  } catch {
    // A proxy that throws.
  }
  return "an object";
}

/** The beginning of a text that may be long. */
export function excerpt(text: string): string {
  return text.length <= LONGEST_EXCERPT
    ? text
    : `${text.slice(0, LONGEST_EXCERPT - 1)}…`;
}

/** Marks that {@linkcode transfer} has set and no call has used yet. */
interface Moves {
  readonly marked: WeakSet<object>;
  count: number;
}

/** The marks of this thread, whatever number of copies of this module it has. */
function movesOfThread(): Moves {
  const key = Symbol.for("@asyncio/asyncio.transfer");
  const owner = globalThis as unknown as Record<symbol, Moves>;
  return owner[key] ??= { marked: new WeakSet(), count: 0 };
}

function collectMoves(
  value: unknown,
  moves: Moves,
  found: Set<Movable>,
  seen: Set<unknown>,
): void {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (moves.marked.delete(value)) {
    moves.count--;
    const view = ArrayBuffer.isView(value) ? value.buffer : value;
    found.add(view as Movable);
  }
  for (const [, part] of partsOf(value)) {
    collectMoves(part, moves, found, seen);
  }
}

function packValue(
  value: unknown,
  seen: Map<Error, ErrorRecord>,
  fits: (value: unknown) => boolean,
): Packed {
  if (value instanceof Error) return { error: packError(value, seen, fits) };
  if (Array.isArray(value) && value.some((it) => it instanceof Error)) {
    return { list: value.map((it) => packValue(it, seen, fits)) };
  }
  if (fits(value)) return { value };
  return { value: typeof value === "symbol" ? String(value) : textOf(value) };
}

function packError(
  error: Error,
  seen: Map<Error, ErrorRecord>,
  fits: (value: unknown) => boolean,
): ErrorRecord {
  const known = seen.get(error);
  if (known !== undefined) return known;
  const { base, isOwn } = ErrorClasses.nearest(error);
  const { stack } = error;
  const record = {
    ...recordOf(base, String(error.message)),
    name: String(isOwn ? error.name : nameOfError(error, base)),
    stack: stack === undefined ? stack : String(stack),
  };
  seen.set(error, record);
  if (seen.size > MOST_ERRORS) return record;
  for (const key of Object.getOwnPropertyNames(error)) {
    if (key === "name" || key === "message" || key === "stack") continue;
    const { value, enumerable } = Object.getOwnPropertyDescriptor(error, key)!;
    const packed = packValue(value, seen, fits);
    const lost = "value" in packed && packed.value !== value;
    if (!lost) record.fields.push([key, enumerable === true, packed]);
  }
  return record;
}

function recordOf(base: string, message: string): ErrorRecord {
  return { base, name: base, message, stack: undefined, fields: [] };
}

/** The name of an error; that of its class if nothing has given it a name of its own. */
function nameOfError(error: Error, base: string): string {
  if (base === "DOMException") return error.name;
  const inherited = ErrorClasses.named(base)?.prototype.name;
  return error.name === inherited
    ? error.constructor?.name ?? base
    : error.name;
}

/** What an error's class may be known by: the name that its errors have, which survives a minifier, and its own. */
function namesOf(proto: object): string[] {
  return ["name", "constructor"].flatMap((key) => {
    const value = Object.getOwnPropertyDescriptor(proto, key)?.value;
    const name = key === "name" ? value : value?.name;
    return typeof name === "string" ? [name] : [];
  });
}

function unpackError(
  record: ErrorRecord,
  seen: Map<ErrorRecord, Error>,
): Error {
  const known = seen.get(record);
  if (known !== undefined) return known;
  const { base, name, message, stack, fields } = record;
  const error = base === "DOMException"
    ? new DOMException(message, name)
    : Object.setPrototypeOf(
      new Error(message),
      (ErrorClasses.named(base) ?? Error).prototype,
    );
  seen.set(record, error);
  if (error.name !== name) setHidden(error, "name", name);
  setHidden(error, "stack", stack ?? `${name}: ${message}`);
  for (const [key, enumerable, packed] of fields) {
    setHidden(error, key, unpack(packed, seen), enumerable);
  }
  return error;
}

function setHidden(
  error: Error,
  key: string,
  value: unknown,
  enumerable = false,
): void {
  const rules = { enumerable, configurable: true, writable: true };
  Object.defineProperty(error, key, { value, ...rules });
}

/** What was thrown and is neither an error nor to be cloned, in a few words. */
function textOf(value: unknown): string {
  try {
    return excerpt(String(value));
  } catch {
    return kindOf(value);
  }
}

interface Flaw {
  readonly path: string;
  readonly culprit: unknown;
}

/** Looks for a part that cannot be sent; if there is none, for a whole that cannot, such as a proxy. */
function findFlaw(unsent: Unsent): Flaw | null {
  const { value, name, moves = [], fits = isCloneable } = unsent;
  const ofLeaf = (value: unknown) => !isContainer(value) && !fits(value);
  const flaw = searchFlaw(value, name, moves, new Set(), ofLeaf);
  if (flaw !== null || moves.length > 0) return flaw;
  return searchFlaw(value, name, moves, new Set(), (value) => !fits(value));
}

/** Searches the parts of a value before the value itself. */
function searchFlaw(
  value: unknown,
  path: string,
  moves: readonly unknown[],
  seen: Set<unknown>,
  isFlawed: (value: unknown) => boolean,
): Flaw | null {
  if (seen.has(value) || moves.includes(value)) return null;
  seen.add(value);
  if (isContainer(value)) {
    for (const [place, part] of partsOf(value)) {
      const flaw = searchFlaw(part, path + place, moves, seen, isFlawed);
      if (flaw !== null) return flaw;
    }
  }
  return isFlawed(value) ? { path, culprit: value } : null;
}

/** Whether a value fails to be sent only through its parts. */
function isContainer(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    return true;
  }
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** What a value consists of, each part with its place. */
function partsOf(value: unknown): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [];
  if (ArrayBuffer.isView(value)) return [];
  if (value instanceof Map) {
    return [...value].flatMap(([key, part]) => [
      [`.get(${describeValue(key)})`, part],
      [".keys()", key],
    ]);
  }
  if (value instanceof Set) {
    return [...value].map((part) => [".values()", part]);
  }
  const isArray = Array.isArray(value);
  return Object.entries(value).map(([key, part]) => [
    isArray && /^\d+$/.test(key) ? `[${key}]` : nameOfProperty(key),
    part,
  ]);
}

function nameOfProperty(key: string): string {
  return /^[\p{L}$_][\p{L}\p{N}$_]*$/u.test(key)
    ? `.${key}`
    : `[${describeValue(key)}]`;
}
