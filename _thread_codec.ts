/**
 * Encodes values as bytes, for messages through shared memory.
 *
 * It covers what structured clones do, except for shared memory, WebAssembly
 * modules and objects of the runtime. An object that is referenced several
 * times is encoded once. The serializers of the runtime are not used, as each
 * one holds memory that the garbage collector does not see: 500,000 calls would
 * take gigabytes.
 *
 * This file is also part of the worker program, see `_thread_worker.ts`: it
 * must use nothing but globals.
 *
 * @module
 */

import { pack, type Packed, unpack } from "./_thread_serialize.ts";

/** Type tags, the first byte of each value. */
const UNDEFINED = 0, NULL = 1, TRUE = 2, FALSE = 3, INTEGER = 4, NUMBER = 5;
const BIGINT = 6, UTF8 = 7, UTF16 = 8, REFERENCE = 9, OBJECT = 10, LIST = 11;
const SPARSE_LIST = 12, MAP = 13, SET = 14, DATE = 15, PATTERN = 16;
const BUFFER = 17, VIEW = 18, BOXED = 19, ERROR = 20;

/** The view classes; their index is encoded. */
const VIEWS = [
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float16Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
  "DataView",
];

/** Strings up to this length are encoded here, longer ones by `TextEncoder`. */
const SHORT_TEXT = 24;
/** The maximum size of a buffer that is kept for the next value. */
const KEPT_BYTES = 65_536;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A growing byte buffer. */
export class ByteWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** A non-negative integer as a varint: seven bits per byte. */
  count(value: number): void {
    this.#reserve(8);
    for (; value > 127; value = Math.floor(value / 128)) {
      this.#bytes[this.#length++] = (value % 128) | 128;
    }
    this.#bytes[this.#length++] = value;
  }

  number(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value);
    this.#length += 8;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A string, after a tag for its encoding. */
  text(text: string): void {
    if (text.length <= SHORT_TEXT && this.#ascii(text)) return;
    if (!text.isWellFormed()) return this.#utf16(text);
    const bytes = textEncoder.encode(text);
    this.byte(UTF8);
    this.count(bytes.length);
    this.raw(bytes);
  }

  /** Overwrites four bytes at an offset. */
  setUint32(place: number, value: number): void {
    this.#view.setUint32(place, value);
  }

  skip(count: number): void {
    this.#reserve(count);
    this.#length += count;
  }

  get length(): number {
    return this.#length;
  }

  /** Returns a copy of the bytes and resets the writer. */
  decode(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#length);
    this.reset();
    return bytes;
  }

  reset(): void {
    this.#length = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#resize(1024);
  }

  #ascii(text: string): boolean {
    this.#reserve(2 + text.length);
    const start = this.#length + 2;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) return false;
      this.#bytes[start + i] = code;
    }
    this.#bytes[this.#length] = UTF8;
    this.#bytes[this.#length + 1] = text.length;
    this.#length = start + text.length;
    return true;
  }

  /** A string with lone surrogates, which UTF-8 cannot encode. */
  #utf16(text: string): void {
    this.byte(UTF16);
    this.count(text.length);
    this.#reserve(2 * text.length);
    for (let i = 0; i < text.length; i++) {
      this.#view.setUint16(this.#length, text.charCodeAt(i));
      this.#length += 2;
    }
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const written = this.#bytes;
    this.#resize(Math.max(2 * written.length, needed));
    this.#bytes.set(written);
  }

  #resize(length: number): void {
    this.#bytes = new Uint8Array(length);
    this.#view = new DataView(this.#bytes.buffer);
  }
}

/** Encodes values; objects that were already encoded become references. */
class Encoder {
  readonly #out: ByteWriter;
  readonly #indices = new Map<object, number>();

  constructor(out: ByteWriter) {
    this.#out = out;
  }

  value(value: unknown): void {
    switch (typeof value) {
      case "number":
        return this.#number(value);
      case "string":
        return this.#out.text(value);
      case "boolean":
        return this.#out.byte(value ? TRUE : FALSE);
      case "undefined":
        return this.#out.byte(UNDEFINED);
      case "bigint":
        this.#out.byte(BIGINT);
        return this.#out.text(value.toString(16));
      case "object":
        return value === null ? this.#out.byte(NULL) : this.#object(value);
      default:
        throw notEncodable();
    }
  }

  #number(value: number): void {
    const isInteger = value >= 0 && value < 2 ** 32 && Number.isInteger(value);
    if (isInteger && !Object.is(value, -0)) {
      this.#out.byte(INTEGER);
      this.#out.count(value);
    } else {
      this.#out.byte(NUMBER);
      this.#out.number(value);
    }
  }

  #object(value: object): void {
    const place = this.#indices.get(value);
    if (place !== undefined) {
      this.#out.byte(REFERENCE);
      return this.#out.count(place);
    }
    this.#indices.set(value, this.#indices.size);
    if (Array.isArray(value)) return this.#list(value);
    const proto = Object.getPrototypeOf(value);
    if (proto === Object.prototype || proto === null) {
      return this.#properties(OBJECT, value);
    }
    this.#special(value);
  }

  #list(list: unknown[]): void {
    const keys = Object.keys(list);
    const isDense = keys.length === list.length &&
      (list.length === 0 || keys.at(-1) === String(list.length - 1));
    if (!isDense) {
      this.#out.byte(SPARSE_LIST);
      this.#out.count(list.length);
      return this.#entries(list, keys);
    }
    this.#out.byte(LIST);
    this.#out.count(list.length);
    for (let i = 0; i < keys.length; i++) this.value(list[i]);
  }

  #properties(kind: number, value: object): void {
    this.#out.byte(kind);
    this.#entries(value, Object.keys(value));
  }

  #entries(value: object, keys: string[]): void {
    this.#out.count(keys.length);
    for (const key of keys) {
      this.#out.text(key);
      this.value((value as Record<string, unknown>)[key]);
    }
  }

  #special(value: object): void {
    if (ArrayBuffer.isView(value)) this.#view(value);
    else if (value instanceof ArrayBuffer) this.#buffer(value);
    else if (value instanceof Map) this.#items(MAP, [...value].flat());
    else if (value instanceof Set) this.#items(SET, [...value]);
    else if (value instanceof Error) {
      this.#tagged(ERROR, pack(value, isEncodable));
    } else if (value instanceof Date) this.#tagged(DATE, value.getTime());
    else if (value instanceof RegExp) {
      this.#tagged(PATTERN, `${value.flags}/${value.source}`);
    } else if (isBoxed(value)) this.#tagged(BOXED, value.valueOf());
    else if (isPlain(value)) this.#properties(OBJECT, value);
    else throw notEncodable();
  }

  #tagged(kind: number, content: unknown): void {
    this.#out.byte(kind);
    this.value(content);
  }

  #items(kind: number, items: unknown[]): void {
    this.#out.byte(kind);
    this.#out.count(items.length);
    for (const item of items) this.value(item);
  }

  #buffer(buffer: ArrayBuffer): void {
    if (buffer.detached) throw notEncodable();
    this.#out.byte(BUFFER);
    this.#out.count(buffer.byteLength);
    this.#out.count(buffer.resizable ? buffer.maxByteLength + 1 : 0);
    this.#out.raw(new Uint8Array(buffer));
  }

  #view(view: ArrayBufferView): void {
    if (!(view.buffer instanceof ArrayBuffer)) throw notEncodable();
    const name = Object.prototype.toString.call(view).slice(8, -1);
    const { byteOffset, byteLength } = view;
    const { BYTES_PER_ELEMENT = 1 } = view as Uint8Array;
    this.#out.byte(VIEW);
    this.#out.byte(VIEWS.indexOf(name));
    this.#out.count(byteOffset);
    this.#out.count(byteLength / BYTES_PER_ELEMENT);
    this.value(view.buffer);
  }
}

/** Decodes what {@linkcode Encoder} has written. */
class Decoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;
  readonly #objects: object[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  value(): unknown {
    const kind = this.#bytes[this.#offset++]!;
    switch (kind) {
      case UNDEFINED:
        return undefined;
      case NULL:
        return null;
      case TRUE:
        return true;
      case FALSE:
        return false;
      case INTEGER:
        return this.#count();
      case NUMBER:
        return this.#number();
      case BIGINT:
        return bigintOf(this.#text());
      case UTF8:
      case UTF16:
        this.#offset--;
        return this.#text();
      case REFERENCE:
        return this.#objects[this.#count()];
      default:
        return this.#object(kind);
    }
  }

  #object(kind: number): object {
    const place = this.#objects.length;
    switch (kind) {
      case OBJECT:
        return this.#entries(this.#register({}));
      case LIST:
        return this.#list(this.#register([]));
      case SPARSE_LIST: {
        const list: unknown[] = this.#register([]);
        list.length = this.#count();
        return this.#entries(list);
      }
      case MAP:
        return this.#map(this.#register(new Map()));
      case SET:
        return this.#set(this.#register(new Set()));
      case BUFFER:
        return this.#register(this.#buffer());
    }
    this.#objects.push({}); // Reserves the index until the content is decoded.
    const object = kind === VIEW ? this.#viewOf() : this.#fromContent(kind);
    return this.#objects[place] = object;
  }

  #fromContent(kind: number): object {
    const content = this.value();
    if (kind === DATE) return new Date(content as number);
    if (kind === ERROR) return unpack(content as Packed) as Error;
    if (kind === BOXED) return Object(content);
    const [flags, ...source] = (content as string).split("/");
    return new RegExp(source.join("/"), flags);
  }

  #register<T extends object>(object: T): T {
    this.#objects.push(object);
    return object;
  }

  #list(list: unknown[]): unknown[] {
    const length = this.#count();
    for (let i = 0; i < length; i++) list.push(this.value());
    return list;
  }

  #entries<T extends object>(object: T): T {
    for (let left = this.#count(); left > 0; left--) {
      const key = this.#text();
      const value = this.value();
      const rules = { enumerable: true, configurable: true, writable: true };
      if (key === "__proto__") {
        Object.defineProperty(object, key, { value, ...rules });
      } else (object as Record<string, unknown>)[key] = value;
    }
    return object;
  }

  #map(map: Map<unknown, unknown>): object {
    for (let left = this.#count(); left > 0; left -= 2) {
      const key = this.value();
      map.set(key, this.value());
    }
    return map;
  }

  #set(set: Set<unknown>): object {
    for (let left = this.#count(); left > 0; left--) set.add(this.value());
    return set;
  }

  #buffer(): ArrayBuffer {
    const length = this.#count();
    const most = this.#count();
    const options = most > 0 ? { maxByteLength: most - 1 } : undefined;
    const buffer = new ArrayBuffer(length, options);
    new Uint8Array(buffer).set(
      this.#bytes.subarray(this.#offset, this.#offset + length),
    );
    this.#offset += length;
    return buffer;
  }

  #viewOf(): object {
    const name = VIEWS[this.#bytes[this.#offset++]!]!;
    const offset = this.#count();
    const length = this.#count();
    const View = Reflect.get(globalThis, name);
    return new View(this.value(), offset, length);
  }

  #number(): number {
    this.#offset += 8;
    return this.#view.getFloat64(this.#offset - 8);
  }

  #count(): number {
    let value = 0;
    for (let unit = 1;; unit *= 128) {
      const byte = this.#bytes[this.#offset++]!;
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  }

  #text(): string {
    const isUtf16 = this.#bytes[this.#offset++] === UTF16;
    const length = this.#count();
    const start = this.#offset;
    this.#offset += isUtf16 ? 2 * length : length;
    if (isUtf16) {
      const codes = Array.from(
        { length },
        (_, i) => this.#view.getUint16(start + 2 * i),
      );
      return codes.map((code) => String.fromCharCode(code)).join("");
    }
    if (length <= SHORT_TEXT) {
      let text = "";
      for (let i = start; i < this.#offset; i++) {
        if (this.#bytes[i]! > 127) return this.#utf8(start);
        text += String.fromCharCode(this.#bytes[i]!);
      }
      return text;
    }
    return this.#utf8(start);
  }

  #utf8(start: number): string {
    return textDecoder.decode(this.#bytes.subarray(start, this.#offset));
  }
}

/** Encodes a value. Throws if part of it cannot be encoded; `explainCloneError()` finds out which. */
export function encodeValue(value: unknown, out: ByteWriter): void {
  new Encoder(out).value(value);
}

/** Decodes a value. */
export function decodeValue(bytes: Uint8Array): unknown {
  return new Decoder(bytes).value();
}

/** Whether a value can be encoded. */
export function isEncodable(value: unknown): boolean {
  try {
    encodeValue(value, new ByteWriter());
    return true;
  } catch {
    return false;
  }
}

function isBoxed(value: object): boolean {
  return value instanceof Number || value instanceof String ||
    value instanceof Boolean || value instanceof BigInt;
}

/** Whether the structured clone of an instance is a plain object with its properties. */
function isPlain(value: object): boolean {
  const { constructor } = Object.getPrototypeOf(value);
  if (isOfRuntime(constructor)) return false;
  if (Object.prototype.toString.call(value) === "[object Object]") return true;
  if (!(Symbol.toStringTag in value)) return false;
  return Object.getPrototypeOf(structuredClone(value)) === Object.prototype;
}

/** Whether a class is built in, so that its instances have internal state. */
function isOfRuntime(it: unknown): boolean {
  return typeof it !== "function" ||
    /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(it));
}

function bigintOf(text: string): bigint {
  return text.startsWith("-")
    ? -BigInt(`0x${text.slice(1)}`)
    : BigInt(`0x${text}`);
}

function notEncodable(): TypeError {
  return new TypeError("The value cannot be encoded");
}
