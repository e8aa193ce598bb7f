/**
 * What is sent between threads besides structured clones: errors and
 * transferred values; and the errors about what cannot be sent.
 *
 * A structured clone keeps the class of built-in errors only. So an error is
 * sent as a record of the nearest class that both sides know and its own
 * fields, and is rebuilt from that.
 *
 * This file is also part of the worker program, see `_thread_worker.ts`: it
 * must use nothing but globals.
 *
 * @module
 */

import { isClass } from "./_validate.ts";

/** A function that can run in a thread, or be called from one. */
// deno-lint-ignore no-explicit-any
export type ThreadFunction = (...args: any[]) => any;

/** An exported function of a module, for {@linkcode toThread}. */
export interface ModuleFunction {
  /** The module: `new URL("./file.ts", import.meta.url)`, or a specifier that is not relative. */
  module: URL | string;
  /** The name of the export; `"default"` for the default export. */
  export: string;
}

/** An error class. */
// deno-lint-ignore no-explicit-any
export type ErrorClass = abstract new (...args: any[]) => Error;

/** A serialized error. */
export interface ErrorRecord {
  /** The nearest class that both sides know. */
  readonly base: string;
  readonly name: string;
  readonly message: string;
  stack: string | undefined;
  /** Its own properties: key, enumerability and value. */
  readonly fields: (readonly [string, boolean, Packed])[];
}

/** A serialized value: an error, a list that contains errors, or any other value. */
export type Packed =
  | { readonly error: ErrorRecord }
  | { readonly list: readonly Packed[] }
  | { readonly value: unknown };

/** The maximum length of source text or of a value in a message. */
const MAX_EXCERPT = 80;

/** The maximum number of errors to send with one as causes; further ones lose their fields. */
const MAX_ERRORS = 500;

/** The error classes that exist in every thread. */
export class ErrorClasses {
  /** Classes of this module and the runtime by their errors' `name`, as bundlers rename classes. */
  static readonly #known = new Map<string, ErrorClass>();

  /** Adds classes by the `name` of their errors. */
  static add(classes: Iterable<ErrorClass>): void {
    for (const it of classes) ErrorClasses.#known.set(it.prototype.name, it);
  }

  /** Adds classes by explicit names. */
  static addNamed(classes: Record<string, ErrorClass>): void {
    for (const [name, it] of Object.entries(classes)) {
      ErrorClasses.#known.set(name, it);
    }
  }

  /** Returns the added or built-in class of a name. */
  static named(name: string): ErrorClass | undefined {
    const known = ErrorClasses.#known.get(name);
    if (known !== undefined) return known;
    const builtIn: unknown = Reflect.get(globalThis, name);
    const isClass = typeof builtIn === "function" &&
      (builtIn === Error || builtIn.prototype instanceof Error);
    return isClass ? builtIn as ErrorClass : undefined;
  }

  /** Returns the nearest class of an error that every thread knows, and whether it is the error's own class. */
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

/** Serializes a thrown value. `fits` tells which values can be sent as they are. */
export function pack(
  value: unknown,
  fits: (value: unknown) => boolean = isCloneable,
): Packed {
  try {
    return packValue(value, new Map(), fits);
  } catch {
    // A field throws, or the chain of causes is endless.
    return {
      error: recordOf(
        "Error",
        `Cannot read the thrown value: ${describeKind(value)}`,
      ),
    };
  }
}

/** Deserializes what {@linkcode pack} returned. */
export function unpack(
  packed: Packed,
  seen: Map<ErrorRecord, Error> = new Map(),
): unknown {
  if ("error" in packed) return unpackError(packed.error, seen);
  if ("list" in packed) return packed.list.map((it) => unpack(it, seen));
  return packed.value;
}

/** Appends the frames of the waiting call to the stack of an error from another thread. */
export function addFrames(error: unknown, frames: readonly string[]): void {
  if (!(error instanceof Error) || frames.length === 0) return;
  const stack = error.stack ?? `${error}`;
  setHidden(error, "stack", stack + linesOf(frames));
}

/** Captures the stack above a function, without formatting it. */
export function stackAbove(fn: (...args: never[]) => unknown): Error {
  const at: Error = Object.create(Error.prototype);
  Error.captureStackTrace(at, fn);
  return at;
}

/** Formats frames as lines of a stack. */
export function linesOf(frames: readonly string[]): string {
  return frames.map((frame) => `\n    at ${frame}`).join("");
}

/** Replaces the frames of an error by those of the call that it is about. */
export function replaceFrames(error: Error, frames: readonly string[]): void {
  if (frames.length === 0) return;
  setHidden(error, "stack", `${error.name}: ${error.message}`);
  addFrames(error, frames);
}

/**
 * Marks a buffer or port to be moved to the other thread instead of copied. It
 * is moved by the next call of {@linkcode toThread} that has it in its
 * arguments or result, at any depth. Afterwards it is detached on this side.
 *
 * Functions that run in a thread have `transfer` as a global.
 *
 * @typeParam T The type of the value.
 * @param value An `ArrayBuffer`, a view, whose whole buffer is moved, or a `MessagePort`.
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
  const marks = marksOfThread();
  if (!marks.marked.has(value)) marks.count++;
  marks.marked.add(value);
  return value;
}

/** What can move to another thread. */
type Movable = ArrayBuffer | typeof MessagePort.prototype;

/** Returns the objects inside a value that were marked by {@linkcode transfer}, and removes the marks. */
export function claimTransfers(value: unknown): Movable[] {
  const marks = marksOfThread();
  const found = new Set<Movable>();
  if (marks.count > 0) collectTransfers(value, marks, found, new Set());
  return [...found];
}

/** A value that could not be sent, for {@linkcode explainCloneError}. */
export interface Unsent {
  /** The beginning of the message: `"Cannot call work in a thread"`. */
  readonly action: string;
  /** The value, and its name at the beginning of paths. */
  readonly value: unknown;
  readonly name: string;
  /** The objects that were to be transferred. */
  readonly transfers?: readonly unknown[];
  /** Whether a leaf value can be sent; by default, whether it can be cloned. */
  readonly canSend?: (value: unknown) => boolean;
}

/** Returns an error with the path to the part that cannot be sent, or the cause if none is found. */
export function explainCloneError(unsent: Unsent, cause: unknown): unknown {
  let flaw: Flaw | null;
  try {
    flaw = findFlaw(unsent);
  } catch {
    // A getter throws, or the value is nested too deeply.
    return cause instanceof RangeError
      ? new RangeError(`${unsent.action}: ${unsent.name} is nested too deeply`)
      : cause;
  }
  if (flaw === null) return cause;
  const { path, offender } = flaw;
  const what = typeof offender === "function" && !isClass(offender)
    ? "a function"
    : describeKind(offender);
  return new DOMException(
    `${unsent.action}: ${path}: ${what} cannot be sent to a thread`,
    "DataCloneError",
  );
}

function isCloneable(value: unknown): boolean {
  if (typeof value === "function" || typeof value === "symbol") return false;
  if (typeof value !== "object" || value === null) return true;
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

/** Describes a value for a message: functions by name, strings quoted and shortened. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(excerpt(value));
  if (typeof value === "bigint") return excerpt(`${value}n`);
  if (typeof value === "symbol") return excerpt(String(value));
  const isObject = typeof value === "function" || typeof value === "object";
  return isObject && value !== null ? describeKind(value) : `${value}`;
}

/** Calls a function that inspects a value; `undefined` if a proxy throws. */
export function tryRead<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** Describes a function, a symbol or an object by its kind. */
export function describeKind(value: unknown): string {
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

/** Shortens a text. */
export function excerpt(text: string): string {
  return text.length <= MAX_EXCERPT
    ? text
    : `${text.slice(0, MAX_EXCERPT - 1)}…`;
}

/** The objects marked by {@linkcode transfer} and not yet transferred. */
interface TransferMarks {
  readonly marked: WeakSet<object>;
  count: number;
}

/** The marks of this thread, shared by all copies of this module. */
function marksOfThread(): TransferMarks {
  const key = Symbol.for("@asyncio/asyncio.transfer");
  const owner = globalThis as unknown as Record<symbol, TransferMarks>;
  return owner[key] ??= { marked: new WeakSet(), count: 0 };
}

function collectTransfers(
  value: unknown,
  marks: TransferMarks,
  found: Set<Movable>,
  seen: Set<unknown>,
): void {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (marks.marked.delete(value)) {
    marks.count--;
    const view = ArrayBuffer.isView(value) ? value.buffer : value;
    found.add(view as Movable);
  }
  for (const [, part] of partsOf(value)) {
    collectTransfers(part, marks, found, seen);
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
  if (seen.size > MAX_ERRORS) return record;
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

/** The name of an error, or of its class if the error only inherits a name. */
function nameOfError(error: Error, base: string): string {
  if (base === "DOMException") return error.name;
  const inherited = ErrorClasses.named(base)?.prototype.name;
  return error.name === inherited
    ? error.constructor?.name ?? base
    : error.name;
}

/** The names an error class may be known by: the `name` of its errors, which survives minifiers, and its own. */
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

/** A thrown value that cannot be cloned, as text. */
function textOf(value: unknown): string {
  try {
    return excerpt(String(value));
  } catch {
    return describeKind(value);
  }
}

interface Flaw {
  readonly path: string;
  readonly offender: unknown;
}

/** Finds a leaf that cannot be sent; if there is none, a container that cannot, such as a proxy. */
function findFlaw(unsent: Unsent): Flaw | null {
  const { value, name, transfers = [], canSend = isCloneable } = unsent;
  const ofLeaf = (value: unknown) => !isContainer(value) && !canSend(value);
  const flaw = searchFlaw(value, name, transfers, new Set(), ofLeaf);
  if (flaw !== null || transfers.length > 0) return flaw;
  return searchFlaw(
    value,
    name,
    transfers,
    new Set(),
    (value) => !canSend(value),
  );
}

/** Searches the parts of a value, then the value itself. */
function searchFlaw(
  value: unknown,
  path: string,
  transfers: readonly unknown[],
  seen: Set<unknown>,
  isFlawed: (value: unknown) => boolean,
): Flaw | null {
  if (seen.has(value) || transfers.includes(value)) return null;
  seen.add(value);
  if (isContainer(value)) {
    for (const [place, part] of partsOf(value)) {
      const flaw = searchFlaw(part, path + place, transfers, seen, isFlawed);
      if (flaw !== null) return flaw;
    }
  }
  return isFlawed(value) ? { path, offender: value } : null;
}

/** Whether a value can be sent if its parts can. */
function isContainer(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    return true;
  }
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** The parts of a value, each with its path. */
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
