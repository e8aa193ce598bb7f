/**
 * What passes between threads: structured clones, values that are moved
 * instead of copied, and errors.
 *
 * A clone keeps the class of the built-in errors and loses that of all
 * others, so an error travels as a record of its nearest class that both
 * sides know, with its own fields, and is put together again from that.
 *
 * The text of everything here also becomes part of the program that a worker
 * thread runs, see `_thread_worker.ts`; it may refer to nothing but globals
 * and its like.
 *
 * @module
 */

/** Any function. */
// deno-lint-ignore no-explicit-any
export type AnyFunction = (...args: any[]) => any;

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

/** What {@linkcode transfer} can move: memory, a view of it, or a port. */
export type Movable = ArrayBuffer | ArrayBufferView | MessagePort;

/** An error on its way. */
export interface ErrorRecord {
  /** The nearest class that both sides know. */
  readonly base: string;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Its own properties: key, whether it is enumerable, and value. */
  readonly fields: (readonly [string, boolean, Packed])[];
}

/** A value on its way that may be an error, or a list with errors in it. */
export type Packed =
  | { readonly error: ErrorRecord }
  | { readonly list: readonly Packed[] }
  | { readonly value: unknown };

/** The classes of errors that exist in every thread. */
export class ErrorClasses {
  static readonly #own = new Map<string, ErrorClass>();

  /** Makes classes of this module known. */
  static add(classes: Iterable<ErrorClass>): void {
    for (const it of classes) ErrorClasses.#own.set(it.name, it);
  }

  /** The class of a name, one of this module or of the host. */
  static named(name: string): ErrorClass | undefined {
    const own = ErrorClasses.#own.get(name);
    if (own !== undefined) return own;
    const host: unknown = Reflect.get(globalThis, name) ??
      Reflect.get(Deno.errors, name);
    const isClass = typeof host === "function" &&
      (host === Error || host.prototype instanceof Error);
    return isClass ? host as ErrorClass : undefined;
  }

  /** The nearest class of an error that has a name in every thread. */
  static nearest(error: Error): string {
    let proto = Object.getPrototypeOf(error);
    while (proto !== null) {
      const name = proto.constructor?.name;
      if (typeof name === "string" && ErrorClasses.named(name)) return name;
      proto = Object.getPrototypeOf(proto);
    }
    return "Error";
  }
}

/** Makes anything that was thrown fit to be cloned. */
export function pack(
  value: unknown,
  seen: Map<Error, ErrorRecord> = new Map(),
): Packed {
  if (value instanceof Error) return { error: packError(value, seen) };
  if (Array.isArray(value) && value.some((it) => it instanceof Error)) {
    return { list: value.map((it) => pack(it, seen)) };
  }
  return { value: isCloneable(value) ? value : String(value) };
}

/** Puts together again what {@linkcode pack} took apart. */
export function unpack(
  packed: Packed,
  seen: Map<ErrorRecord, Error> = new Map(),
): unknown {
  if ("error" in packed) return unpackError(packed.error, seen);
  if ("list" in packed) return packed.list.map((it) => unpack(it, seen));
  return packed.value;
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
export function transfer<T extends Movable>(value: T): T {
  const buffer: unknown = ArrayBuffer.isView(value) ? value.buffer : value;
  if (!(buffer instanceof ArrayBuffer || buffer instanceof MessagePort)) {
    throw new TypeError(
      `Cannot transfer a value: expected an ArrayBuffer, a view of one or a MessagePort, got ${
        Object.prototype.toString.call(buffer).slice(8, -1)
      }`,
    );
  }
  const moves = movesOfThread();
  if (!moves.marked.has(value)) moves.count++;
  moves.marked.add(value);
  return value;
}

/** What was marked by {@linkcode transfer} inside of a value; the marks are used up. */
export function takeMoves(value: unknown): Transferable[] {
  const moves = movesOfThread();
  const found = new Set<Transferable>();
  if (moves.count > 0) collectMoves(value, moves, found, new Set());
  return [...found];
}

/**
 * The error for a value that could not be cloned, with the path to what kept
 * it from that.
 *
 * @param value What was to be cloned.
 * @param name How the value is called in the path.
 * @param cause What the host said.
 * @param moves What was to be moved instead.
 */
export function cloneError(
  value: unknown,
  name: string,
  cause: unknown,
  moves: readonly unknown[] = [],
): unknown {
  const flaw = findFlaw(value, name, moves, new Set());
  if (flaw === null) return cause;
  return new DOMException(
    `Cannot send ${flaw.path} to another thread: ${
      kindOf(flaw.culprit)
    } cannot be cloned`,
    "DataCloneError",
  );
}

/** Marks that {@linkcode transfer} has set and no call has used yet. */
interface Moves {
  readonly marked: WeakSet<object>;
  count: number;
}

/** The marks of this thread, whatever number of copies of this module it has. */
export function movesOfThread(): Moves {
  const key = Symbol.for("@asyncio/asyncio.transfer");
  const owner = globalThis as unknown as Record<symbol, Moves>;
  return owner[key] ??= { marked: new WeakSet(), count: 0 };
}

export function collectMoves(
  value: unknown,
  moves: Moves,
  found: Set<Transferable>,
  seen: Set<unknown>,
): void {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (moves.marked.delete(value)) {
    moves.count--;
    const view = ArrayBuffer.isView(value) ? value.buffer : value;
    found.add(view as Transferable);
  }
  for (const [, part] of partsOf(value)) {
    collectMoves(part, moves, found, seen);
  }
}

export function packError(
  error: Error,
  seen: Map<Error, ErrorRecord>,
): ErrorRecord {
  const known = seen.get(error);
  if (known !== undefined) return known;
  const base = ErrorClasses.nearest(error);
  const fields: [string, boolean, Packed][] = [];
  const { message, stack } = error;
  const name = nameOfError(error, base);
  const record = { base, name, message, stack, fields };
  seen.set(error, record);
  for (const key of Object.getOwnPropertyNames(error)) {
    if (key === "name" || key === "message" || key === "stack") continue;
    const { value, enumerable } = Object.getOwnPropertyDescriptor(error, key)!;
    const packed = pack(value, seen);
    const lost = "value" in packed && packed.value !== value;
    if (!lost) fields.push([key, enumerable === true, packed]);
  }
  return record;
}

/** The name of an error; that of its class if nothing has given it a name of its own. */
export function nameOfError(error: Error, base: string): string {
  if (base === "DOMException") return error.name;
  const inherited = ErrorClasses.named(base)?.prototype.name;
  return error.name === inherited
    ? error.constructor?.name ?? base
    : error.name;
}

export function unpackError(
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
  const define = (key: string, enumerable: boolean, value: unknown) =>
    Object.defineProperty(error, key, {
      value,
      enumerable,
      configurable: true,
      writable: true,
    });
  if (error.name !== name) define("name", false, name);
  define("stack", false, stack);
  for (const [key, enumerable, packed] of fields) {
    define(key, enumerable, unpack(packed, seen));
  }
  return error;
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

export function findFlaw(
  value: unknown,
  path: string,
  moves: readonly unknown[],
  seen: Set<unknown>,
): { path: string; culprit: unknown } | null {
  if (seen.has(value) || moves.includes(value) || isCloneable(value)) {
    return null;
  }
  seen.add(value);
  for (const [place, part] of partsOf(value)) {
    const flaw = findFlaw(part, path + place, moves, seen);
    if (flaw !== null) return flaw;
  }
  return isContainer(value) ? null : { path, culprit: value };
}

/** Whether a value fails to be cloned only through its parts. */
export function isContainer(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    return true;
  }
  const proto = Object.getPrototypeOf(value);
  return proto === null || proto === Object.prototype;
}

/** What a value consists of, each part with its place. */
export function partsOf(value: unknown): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [];
  if (ArrayBuffer.isView(value)) return [];
  if (value instanceof Map) {
    return [...value].flatMap(([key, part]) => [
      [`.get(${nameOfKey(key)})`, part],
      [".keys()", key],
    ]);
  }
  if (value instanceof Set) {
    return [...value].map((part) => [".values()", part]);
  }
  const isArray = Array.isArray(value);
  return Object.entries(value).map(([key, part]) => {
    if (isArray) return [`[${key}]`, part];
    return [
      /^[\p{L}$_][\p{L}\p{N}$_]*$/u.test(key) ? `.${key}` : `["${key}"]`,
      part,
    ];
  });
}

export function nameOfKey(key: unknown): string {
  return typeof key === "string" ? JSON.stringify(key) : String(key);
}

export function kindOf(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  const name = (value as object).constructor?.name;
  return name ? `an object of class ${name}` : "an object";
}
