/**
 * The program of a worker thread, made by `_test/make_thread_program.ts` of
 * `_thread_worker.ts` and what it imports. Change those, and make it again.
 *
 * @module
 */

// deno-fmt-ignore-file

/** An expression whose value is the function to start it. */
export const THREAD_PROGRAM = `"use strict"; (runtime) => {
const LONGEST_EXCERPT = 80;
const MOST_ERRORS = 500;
class ErrorClasses {
 static  #known = new Map ();
 static add(classes )  {
  for (const it of classes) ErrorClasses.#known.set(it.prototype.name, it);
 }
 static addNamed(classes  )  {
  for (const [name, it] of Object.entries(classes)) {
   ErrorClasses.#known.set(name, it);
  }
 }
 static named(name )    {
  const known = ErrorClasses.#known.get(name);
  if (known !== undefined) return known;
  const builtIn  = Reflect.get(globalThis, name);
  const isClass = typeof builtIn === "function" &&
   (builtIn === Error || builtIn.prototype instanceof Error);
  return isClass ? builtIn   : undefined;
 }
 static nearest(error )       {
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
function pack(
 value ,
 fits     = isCloneable,
)  {
 try {
  return packValue(value, new Map(), fits);
 } catch {
  return { error: recordOf("Error", \`It cannot be read: \${kindOf(value)}\`) };
 }
}
function unpack(
 packed ,
 seen   = new Map(),
)  {
 if ("error" in packed) return unpackError(packed.error, seen);
 if ("list" in packed) return packed.list.map((it) => unpack(it, seen));
 return packed.value;
}
function addFrames(error , frames  )  {
 if (!(error instanceof Error) || frames.length === 0) return;
 const stack = error.stack ?? \`\${error}\`;
 setHidden(error, "stack", stack + linesOf(frames));
}
function placeAbove(fn    )  {
 const at  = Object.create(Error.prototype);
 Error.captureStackTrace(at, fn);
 return at;
}
function linesOf(frames  )  {
 return frames.map((frame) => \`\\n    at \${frame}\`).join("");
}
function replaceFrames(error , frames  )  {
 if (frames.length === 0) return;
 setHidden(error, "stack", \`\${error.name}: \${error.message}\`);
 addFrames(error, frames);
}
function transfer      (
 value ,
)  {
 const buffer  = ArrayBuffer.isView(value) ? value.buffer : value;
 if (!(buffer instanceof ArrayBuffer || buffer instanceof MessagePort)) {
  throw new TypeError(
   \`Cannot transfer a value: expected an ArrayBuffer, a view of one or a MessagePort, got \${
    describeValue(buffer)
   }\`,
  );
 }
 const moves = movesOfThread();
 if (!moves.marked.has(value)) moves.count++;
 moves.marked.add(value);
 return value;
}
function takeMoves(value )  {
 const moves = movesOfThread();
 const found = new Set();
 if (moves.count > 0) collectMoves(value, moves, found, new Set());
 return [...found];
}
function cloneError(unsent , cause )  {
 let flaw   ;
 try {
  flaw = findFlaw(unsent);
 } catch {
  return cause instanceof RangeError
   ? new RangeError(\`\${unsent.action}: \${unsent.name} is nested too deeply\`)
   : cause;
 }
 if (flaw === null) return cause;
 const { path, culprit } = flaw;
 const what = typeof culprit === "function" && !isClass(culprit)
  ? "a function"
  : kindOf(culprit);
 return new DOMException(
  \`\${unsent.action}: \${path}: \${what} cannot be sent to a thread\`,
  "DataCloneError",
 );
}
function isCloneable(value )  {
 if (typeof value === "function" || typeof value === "symbol") return false;
 if (typeof value !== "object" || value === null) return true;
 try {
  structuredClone(value);
  return true;
 } catch {
  return false;
 }
}
function describeValue(value )  {
 if (typeof value === "string") return JSON.stringify(excerpt(value));
 if (typeof value === "bigint") return excerpt(\`\${value}n\`);
 if (typeof value === "symbol") return excerpt(String(value));
 const isObject = typeof value === "function" || typeof value === "object";
 return isObject && value !== null ? kindOf(value) : \`\${value}\`;
}
function lookAt(look   )    {
 try {
  return look();
 } catch {
  return undefined;
 }
}
function kindOf(value )  {
 if (typeof value === "symbol") return "a symbol";
 try {
  if (typeof value === "function") {
   const kind = isClass(value) ? "class" : "function";
   return value.name ? \`the \${kind} \${excerpt(value.name)}\` : \`a \${kind}\`;
  }
  if (Array.isArray(value)) return "an array";
  if (value instanceof ArrayBuffer && value.detached) {
   return "a detached ArrayBuffer";
  }
  const name = (value  ).constructor?.name;
  if (typeof name === "string" && name !== "" && name !== "Object") {
   return \`an object of class \${excerpt(name)}\`;
  }
 } catch {
 }
 return "an object";
}
function isClass(value )  {
 return typeof value === "function" &&
  /^class\\b/.test(Function.prototype.toString.call(value));
}
function excerpt(text )  {
 return text.length <= LONGEST_EXCERPT
  ? text
  : \`\${text.slice(0, LONGEST_EXCERPT - 1)}…\`;
}
function movesOfThread()  {
 const key = Symbol.for("@asyncio/asyncio.transfer");
 const owner = globalThis     ;
 return owner[key] ??= { marked: new WeakSet(), count: 0 };
}
function collectMoves(
 value ,
 moves ,
 found ,
 seen ,
)  {
 if (typeof value !== "object" || value === null || seen.has(value)) return;
 seen.add(value);
 if (moves.marked.delete(value)) {
  moves.count--;
  const view = ArrayBuffer.isView(value) ? value.buffer : value;
  found.add(view  );
 }
 for (const [, part] of partsOf(value)) {
  collectMoves(part, moves, found, seen);
 }
}
function packValue(
 value ,
 seen  ,
 fits    ,
)  {
 if (value instanceof Error) return { error: packError(value, seen, fits) };
 if (Array.isArray(value) && value.some((it) => it instanceof Error)) {
  return { list: value.map((it) => packValue(it, seen, fits)) };
 }
 if (fits(value)) return { value };
 return { value: typeof value === "symbol" ? String(value) : textOf(value) };
}
function packError(
 error ,
 seen  ,
 fits    ,
)  {
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
  const { value, enumerable } = Object.getOwnPropertyDescriptor(error, key);
  const packed = packValue(value, seen, fits);
  const lost = "value" in packed && packed.value !== value;
  if (!lost) record.fields.push([key, enumerable === true, packed]);
 }
 return record;
}
function recordOf(base , message )  {
 return { base, name: base, message, stack: undefined, fields: [] };
}
function nameOfError(error , base )  {
 if (base === "DOMException") return error.name;
 const inherited = ErrorClasses.named(base)?.prototype.name;
 return error.name === inherited
  ? error.constructor?.name ?? base
  : error.name;
}
function namesOf(proto )  {
 return ["name", "constructor"].flatMap((key) => {
  const value = Object.getOwnPropertyDescriptor(proto, key)?.value;
  const name = key === "name" ? value : value?.name;
  return typeof name === "string" ? [name] : [];
 });
}
function unpackError(
 record ,
 seen  ,
)  {
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
 setHidden(error, "stack", stack ?? \`\${name}: \${message}\`);
 for (const [key, enumerable, packed] of fields) {
  setHidden(error, key, unpack(packed, seen), enumerable);
 }
 return error;
}
function setHidden(
 error ,
 key ,
 value ,
 enumerable = false,
)  {
 const rules = { enumerable, configurable: true, writable: true };
 Object.defineProperty(error, key, { value, ...rules });
}
function textOf(value )  {
 try {
  return excerpt(String(value));
 } catch {
  return kindOf(value);
 }
}
function findFlaw(unsent )    {
 const { value, name, moves = [], fits = isCloneable } = unsent;
 const ofLeaf = (value ) => !isContainer(value) && !fits(value);
 const flaw = searchFlaw(value, name, moves, new Set(), ofLeaf);
 if (flaw !== null || moves.length > 0) return flaw;
 return searchFlaw(value, name, moves, new Set(), (value) => !fits(value));
}
function searchFlaw(
 value ,
 path ,
 moves  ,
 seen ,
 isFlawed    ,
)    {
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
function isContainer(value )  {
 if (typeof value !== "object" || value === null) return false;
 if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
  return true;
 }
 return Object.prototype.toString.call(value) === "[object Object]";
}
function partsOf(value )   {
 if (typeof value !== "object" || value === null) return [];
 if (ArrayBuffer.isView(value)) return [];
 if (value instanceof Map) {
  return [...value].flatMap(([key, part]) => [
   [\`.get(\${describeValue(key)})\`, part],
   [".keys()", key],
  ]);
 }
 if (value instanceof Set) {
  return [...value].map((part) => [".values()", part]);
 }
 const isArray = Array.isArray(value);
 return Object.entries(value).map(([key, part]) => [
  isArray && /^\\d+$/.test(key) ? \`[\${key}]\` : nameOfProperty(key),
  part,
 ]);
}
function nameOfProperty(key )  {
 return /^[\\p{L}$_][\\p{L}\\p{N}$_]*$/u.test(key)
  ? \`.\${key}\`
  : \`[\${describeValue(key)}]\`;
}

const UNDEFINED = 0, NULL = 1, TRUE = 2, FALSE = 3, INTEGER = 4, NUMBER = 5;
const BIGINT = 6, UTF8 = 7, UTF16 = 8, REFERENCE = 9, OBJECT = 10, LIST = 11;
const SPARSE_LIST = 12, MAP = 13, SET = 14, DATE = 15, PATTERN = 16;
const BUFFER = 17, VIEW = 18, BOXED = 19, ERROR = 20;
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
const SHORT_TEXT = 24;
const KEPT_BYTES = 65_536;
const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true });
class ByteWriter {
 #bytes = new Uint8Array(1024);
 #view = new DataView(this.#bytes.buffer);
 #length = 0;
 byte(value )  {
  this.#reserve(1);
  this.#bytes[this.#length++] = value;
 }
 count(value )  {
  this.#reserve(8);
  for (; value > 127; value = Math.floor(value / 128)) {
   this.#bytes[this.#length++] = (value % 128) | 128;
  }
  this.#bytes[this.#length++] = value;
 }
 number(value )  {
  this.#reserve(8);
  this.#view.setFloat64(this.#length, value);
  this.#length += 8;
 }
 raw(bytes )  {
  this.#reserve(bytes.length);
  this.#bytes.set(bytes, this.#length);
  this.#length += bytes.length;
 }
 text(text )  {
  if (text.length <= SHORT_TEXT && this.#ascii(text)) return;
  if (!text.isWellFormed()) return this.#utf16(text);
  const bytes = textEncoder.encode(text);
  this.byte(UTF8);
  this.count(bytes.length);
  this.raw(bytes);
 }
 setUint32(place , value )  {
  this.#view.setUint32(place, value);
 }
 skip(count )  {
  this.#reserve(count);
  this.#length += count;
 }
 get length()  {
  return this.#length;
 }
 take()  {
  const bytes = this.#bytes.slice(0, this.#length);
  this.reset();
  return bytes;
 }
 reset()  {
  this.#length = 0;
  if (this.#bytes.length > KEPT_BYTES) this.#resize(1024);
 }
 #ascii(text )  {
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
 #utf16(text )  {
  this.byte(UTF16);
  this.count(text.length);
  this.#reserve(2 * text.length);
  for (let i = 0; i < text.length; i++) {
   this.#view.setUint16(this.#length, text.charCodeAt(i));
   this.#length += 2;
  }
 }
 #reserve(count )  {
  const needed = this.#length + count;
  if (needed <= this.#bytes.length) return;
  const written = this.#bytes;
  this.#resize(Math.max(2 * written.length, needed));
  this.#bytes.set(written);
 }
 #resize(length )  {
  this.#bytes = new Uint8Array(length);
  this.#view = new DataView(this.#bytes.buffer);
 }
}
class Encoder {
 #out ;
 #places = new Map ();
 constructor(out ) {
  this.#out = out;
 }
 value(value )  {
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
    throw refusal();
  }
 }
 #number(value )  {
  const isInteger = value >= 0 && value < 2 ** 32 && Number.isInteger(value);
  if (isInteger && !Object.is(value, -0)) {
   this.#out.byte(INTEGER);
   this.#out.count(value);
  } else {
   this.#out.byte(NUMBER);
   this.#out.number(value);
  }
 }
 #object(value )  {
  const place = this.#places.get(value);
  if (place !== undefined) {
   this.#out.byte(REFERENCE);
   return this.#out.count(place);
  }
  this.#places.set(value, this.#places.size);
  if (Array.isArray(value)) return this.#list(value);
  const proto = Object.getPrototypeOf(value);
  if (proto === Object.prototype || proto === null) {
   return this.#properties(OBJECT, value);
  }
  this.#special(value);
 }
 #list(list )  {
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
 #properties(kind , value )  {
  this.#out.byte(kind);
  this.#entries(value, Object.keys(value));
 }
 #entries(value , keys )  {
  this.#out.count(keys.length);
  for (const key of keys) {
   this.#out.text(key);
   this.value((value   )[key]);
  }
 }
 #special(value )  {
  if (ArrayBuffer.isView(value)) this.#view(value);
  else if (value instanceof ArrayBuffer) this.#buffer(value);
  else if (value instanceof Map) this.#all(MAP, [...value].flat());
  else if (value instanceof Set) this.#all(SET, [...value]);
  else if (value instanceof Error) this.#one(ERROR, pack(value, isEncodable));
  else if (value instanceof Date) this.#one(DATE, value.getTime());
  else if (value instanceof RegExp) {
   this.#one(PATTERN, \`\${value.flags}/\${value.source}\`);
  } else if (isBoxed(value)) this.#one(BOXED, value.valueOf());
  else if (isPlain(value)) this.#properties(OBJECT, value);
  else throw refusal();
 }
 #one(kind , content )  {
  this.#out.byte(kind);
  this.value(content);
 }
 #all(kind , items )  {
  this.#out.byte(kind);
  this.#out.count(items.length);
  for (const item of items) this.value(item);
 }
 #buffer(buffer )  {
  if (buffer.detached) throw refusal();
  this.#out.byte(BUFFER);
  this.#out.count(buffer.byteLength);
  this.#out.count(buffer.resizable ? buffer.maxByteLength + 1 : 0);
  this.#out.raw(new Uint8Array(buffer));
 }
 #view(view )  {
  if (!(view.buffer instanceof ArrayBuffer)) throw refusal();
  const name = Object.prototype.toString.call(view).slice(8, -1);
  const { byteOffset, byteLength } = view;
  const { BYTES_PER_ELEMENT = 1 } = view  ;
  this.#out.byte(VIEW);
  this.#out.byte(VIEWS.indexOf(name));
  this.#out.count(byteOffset);
  this.#out.count(byteLength / BYTES_PER_ELEMENT);
  this.value(view.buffer);
 }
}
class Decoder {
 #bytes ;
 #view ;
 #at = 0;
 #objects  = [];
 constructor(bytes ) {
  this.#bytes = bytes;
  this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
 }
 value()  {
  const kind = this.#bytes[this.#at++];
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
    this.#at--;
    return this.#text();
   case REFERENCE:
    return this.#objects[this.#count()];
   default:
    return this.#object(kind);
  }
 }
 #object(kind )  {
  const place = this.#objects.length;
  switch (kind) {
   case OBJECT:
    return this.#entries(this.#keep({}));
   case LIST:
    return this.#list(this.#keep([]));
   case SPARSE_LIST: {
    const list  = this.#keep([]);
    list.length = this.#count();
    return this.#entries(list);
   }
   case MAP:
    return this.#map(this.#keep(new Map()));
   case SET:
    return this.#set(this.#keep(new Set()));
   case BUFFER:
    return this.#keep(this.#buffer());
  }
  this.#objects.push({}); // Until what follows it is read, of which it is made.
  const object = kind === VIEW ? this.#viewOf() : this.#made(kind);
  return this.#objects[place] = object;
 }
 #made(kind )  {
  const content = this.value();
  if (kind === DATE) return new Date(content  );
  if (kind === ERROR) return unpack(content  )  ;
  if (kind === BOXED) return Object(content);
  const [flags, ...source] = (content  ).split("/");
  return new RegExp(source.join("/"), flags);
 }
 #keep  (object )  {
  this.#objects.push(object);
  return object;
 }
 #list(list )  {
  const length = this.#count();
  for (let i = 0; i < length; i++) list.push(this.value());
  return list;
 }
 #entries  (object )  {
  for (let left = this.#count(); left > 0; left--) {
   const key = this.#text();
   const value = this.value();
   const rules = { enumerable: true, configurable: true, writable: true };
   if (key === "__proto__") {
    Object.defineProperty(object, key, { value, ...rules });
   } else (object   )[key] = value;
  }
  return object;
 }
 #map(map  )  {
  for (let left = this.#count(); left > 0; left -= 2) {
   const key = this.value();
   map.set(key, this.value());
  }
  return map;
 }
 #set(set )  {
  for (let left = this.#count(); left > 0; left--) set.add(this.value());
  return set;
 }
 #buffer()  {
  const length = this.#count();
  const most = this.#count();
  const options = most > 0 ? { maxByteLength: most - 1 } : undefined;
  const buffer = new ArrayBuffer(length, options);
  new Uint8Array(buffer).set(
   this.#bytes.subarray(this.#at, this.#at + length),
  );
  this.#at += length;
  return buffer;
 }
 #viewOf()  {
  const name = VIEWS[this.#bytes[this.#at++]];
  const offset = this.#count();
  const length = this.#count();
  const View = Reflect.get(globalThis, name);
  return new View(this.value(), offset, length);
 }
 #number()  {
  this.#at += 8;
  return this.#view.getFloat64(this.#at - 8);
 }
 #count()  {
  let value = 0;
  for (let unit = 1;; unit *= 128) {
   const byte = this.#bytes[this.#at++];
   value += (byte & 127) * unit;
   if (byte < 128) return value;
  }
 }
 #text()  {
  const isUtf16 = this.#bytes[this.#at++] === UTF16;
  const length = this.#count();
  const start = this.#at;
  this.#at += isUtf16 ? 2 * length : length;
  if (isUtf16) {
   const codes = Array.from(
    { length },
    (_, i) => this.#view.getUint16(start + 2 * i),
   );
   return codes.map((code) => String.fromCharCode(code)).join("");
  }
  if (length <= SHORT_TEXT) {
   let text = "";
   for (let i = start; i < this.#at; i++) {
    if (this.#bytes[i] > 127) return this.#utf8(start);
    text += String.fromCharCode(this.#bytes[i]);
   }
   return text;
  }
  return this.#utf8(start);
 }
 #utf8(start )  {
  return textDecoder.decode(this.#bytes.subarray(start, this.#at));
 }
}
function encodeValue(value , out )  {
 new Encoder(out).value(value);
}
function decodeValue(bytes )  {
 return new Decoder(bytes).value();
}
function isEncodable(value )  {
 try {
  encodeValue(value, new ByteWriter());
  return true;
 } catch {
  return false;
 }
}
function isBoxed(value )  {
 return value instanceof Number || value instanceof String ||
  value instanceof Boolean || value instanceof BigInt;
}
function isPlain(value )  {
 const { constructor } = Object.getPrototypeOf(value);
 if (isOfRuntime(constructor)) return false;
 if (Object.prototype.toString.call(value) === "[object Object]") return true;
 if (!(Symbol.toStringTag in value)) return false;
 return Object.getPrototypeOf(structuredClone(value)) === Object.prototype;
}
function isOfRuntime(it )  {
 return typeof it !== "function" ||
  /\\{\\s*\\[native code\\]\\s*\\}$/.test(Function.prototype.toString.call(it));
}
function bigintOf(text )  {
 return text.startsWith("-")
  ? -BigInt(\`0x\${text.slice(1)}\`)
  : BigInt(\`0x\${text}\`);
}
function refusal()  {
 return new TypeError("It cannot be written");
}

const SECONDS_PER_UNIT = {
 days: 86_400,
 hours: 3_600,
 minutes: 60,
 seconds: 1,
 milliseconds: 1e-3,
 microseconds: 1e-6,
 nanoseconds: 1e-9,
};
const CALENDAR_UNITS = ["years", "months", "weeks"];
function toSeconds(duration , what = "delay")  {
 if (typeof duration === "number" && duration === duration) return duration;
 if (typeof duration === "number") {
  throw new RangeError(\`Invalid \${what}: expected a number, got NaN\`);
 }
 if (typeof duration !== "object" || duration === null) {
  throw new TypeError(
   \`Invalid \${what}: expected seconds or a duration object, got \${
    typeof duration === "bigint" ? \`\${duration}n\` : String(duration)
   }\`,
  );
 }
 return sumOfUnits(duration, what);
}
function sumOfUnits(duration , what )  {
 const values = duration   ;
 for (const unit of CALENDAR_UNITS) {
  if (values[unit]) {
   throw new RangeError(\`Invalid \${what}: \${unit} have no fixed length\`);
  }
 }
 for (const key of Object.keys(values)) {
  if (!(key in SECONDS_PER_UNIT)) {
   throw new TypeError(\`Invalid \${what}: unknown unit "\${key}"\`);
  }
 }
 let total = 0;
 let found = false;
 for (const [unit, seconds] of Object.entries(SECONDS_PER_UNIT)) {
  const value = values[unit];
  if (value === undefined) continue;
  if (typeof value !== "number" || Number.isNaN(value)) {
   throw new RangeError(\`Invalid \${what}: \${unit} is \${String(value)}\`);
  }
  total += value * seconds;
  found = true;
 }
 if (!found) throw new TypeError(\`Invalid \${what}: it names no unit\`);
 return total;
}

class CancelledError extends Error {
 static {
  this.prototype.name = "CancelledError";
 }
}
class TimeoutError extends Error {
 static {
  this.prototype.name = "TimeoutError";
 }
}
class InvalidStateError extends Error {
 static {
  this.prototype.name = "InvalidStateError";
 }
}
class RuntimeError extends Error {
 static {
  this.prototype.name = "RuntimeError";
 }
}
class KeyboardInterrupt extends Error {
 signal ;
 constructor(
  message ,
  options      ,
 ) {
  super(message, options);
  this.signal = options?.signal ?? "SIGINT";
 }
 static {
  this.prototype.name = "KeyboardInterrupt";
 }
}
class QueueEmpty extends Error {
 static {
  this.prototype.name = "QueueEmpty";
 }
}
class QueueFull extends Error {
 static {
  this.prototype.name = "QueueFull";
 }
}
class QueueShutDown extends Error {
 static {
  this.prototype.name = "QueueShutDown";
 }
}
class IncompleteReadError extends Error {
 partial ;
 expected   ;
 constructor(
  partial ,
  expected   ,
  options ,
 ) {
  super(
   \`Stream ended after \${partial.length} of \${
    expected ?? "an unknown number of"
   } expected bytes\`,
   options,
  );
  this.partial = partial;
  this.expected = expected;
 }
 static {
  this.prototype.name = "IncompleteReadError";
 }
}
class LimitOverrunError extends Error {
 consumed ;
 constructor(message , consumed , options ) {
  super(message, options);
  this.consumed = consumed;
 }
 static {
  this.prototype.name = "LimitOverrunError";
 }
}
class BrokenBarrierError extends RuntimeError {
 static {
  this.prototype.name = "BrokenBarrierError";
 }
}
class SendfileNotAvailableError extends RuntimeError {
 static {
  this.prototype.name = "SendfileNotAvailableError";
 }
}
class ExceptionGroup extends AggregateError {
 constructor(
  message ,
  errors ,
  options ,
 ) {
  super(errors, message, options);
  if (this.errors.length === 0) {
   throw new RangeError("Cannot create an ExceptionGroup of no errors");
  }
 }
 static {
  this.prototype.name = "ExceptionGroup";
 }
 subgroup(filter )    {
  return this.split(filter)[0];
 }
 split(
  filter ,
 )       {
  const matches = ExceptionGroup.#asPredicate(filter);
  if (matches(this)) return [this, null];
  const hit  = [];
  const miss  = [];
  for (const error of this.errors) {
   if (error instanceof ExceptionGroup) {
    const [inside, outside] = error.split(matches);
    if (inside) hit.push(inside);
    if (outside) miss.push(outside);
   } else {
    (matches(error) ? hit : miss).push(error);
   }
  }
  return [
   ExceptionGroup.#part(this, hit),
   ExceptionGroup.#part(this, miss),
  ];
 }
 static #part(
  whole ,
  errors ,
 )    {
  if (errors.length === 0) return null;
  const { message, cause, stack } = whole;
  const group = new ExceptionGroup(message, errors, { cause });
  group.stack = stack;
  return group;
 }
 static #asPredicate(filter )     {
  if (typeof filter !== "function") {
   throw new TypeError(
    \`Cannot filter errors: expected a predicate or an error class, got \${filter}\`,
   );
  }
  if (filter === Error || filter.prototype instanceof Error) {
   return (error) => error instanceof filter;
  }
  return filter     ;
 }
}

let threadFuture    ;
let callOfNext    = null;
class ThreadFuture   {
 #call ;
 static {
  threadFuture = (call) => {
   callOfNext = call;
   return new ThreadFuture();
  };
 }
 constructor() {
  if (callOfNext === null) {
   throw new TypeError(
    "Cannot make a ThreadFuture: runCoroutineThreadsafe() returns one",
   );
  }
  this.#call = callOfNext  ;
  callOfNext = null;
 }
 [Symbol.for("Deno.customInspect")]()  {
  const kind = this.done() ? this.#call.outcome().kind : "pending";
  const states = { result: "done", error: "failed", cancelled: "cancelled" };
  return \`<ThreadFuture \${kind === "pending" ? kind : states[kind]}>\`;
 }
 done()  {
  return this.#call.done();
 }
 cancelled()  {
  return this.done() && this.#call.outcome().kind === "cancelled";
 }
 result(timeout   )  {
  const outcome = this.#wait(timeout);
  if (outcome.kind === "error") throw outcome.error;
  return outcome.value;
 }
 exception(timeout   )  {
  const outcome = this.#wait(timeout);
  return outcome.kind === "error" ? outcome.error : null;
 }
 cancel()  {
  if (this.done()) return this.cancelled();
  this.#call.cancel();
  return true;
 }
 addDoneCallback(fn    )  {
  if (typeof fn !== "function") {
   throw new TypeError(
    \`Cannot add a done callback: expected a function, got \${
     describeValue(fn)
    }\`,
   );
  }
  this.#call.subscribe(() => {
   try {
    fn(this);
   } catch (error) {
    console.error("Error in a done callback of a ThreadFuture\\n", error);
   }
  });
 }
 then     (
  onFulfilled        ,
  onRejected        ,
 )    {
  return this.#call.promise().then(onFulfilled, onRejected);
 }
 #wait(timeout   )      {
  const seconds = toSeconds(timeout ?? Infinity, "timeout");
  if (!this.done() && seconds > 0) this.#call.block(seconds);
  if (!this.done()) {
   throw new TimeoutError(\`The loop has not answered in \${seconds} s\`);
  }
  const outcome = this.#call.outcome();
  if (outcome.kind !== "cancelled") return outcome;
  throw new CancelledError(outcome.message);
 }
}

class Layout {
 static  BELL = 0;
 static  CLOSED = 1;
 static  SLOTS = 2;
 static  HEAD = 16;
 static  TAKEN = 0;
 static  SIGNAL = 1;
 static  ASKED = 2;
 static  HEARD = 3;
 static  ANSWERED = 4;
 static  RECEIVED = 5;
 static  MORE = 6;
 static  CALLS = 7;
 static  PIPES = 16;
 static  PIPE_BYTES = 16_384;
 static  SLOT = Layout.PIPES + Layout.PIPE_BYTES / 2;
 static  MOST_SLOTS = 2048;
 static memory()  {
  const most = Layout.HEAD + Layout.MOST_SLOTS * Layout.SLOT;
  return new SharedArrayBuffer(Layout.HEAD * 4, { maxByteLength: most * 4 });
 }
}
class Pipe {
 #cells ;
 #bytes ;
 #written ;
 #read ;
 constructor(cells , slot , written ) {
  this.#cells = cells;
  this.#written = slot + written;
  this.#read = slot + written + 1;
  const second = written === Layout.ANSWERED ? Layout.PIPE_BYTES : 0;
  const start = (slot + Layout.PIPES) * 4 + second;
  this.#bytes = new Uint8Array(cells.buffer, start, Layout.PIPE_BYTES);
 }
 write(bytes , from )  {
  const written = Atomics.load(this.#cells, this.#written);
  const held = (written - Atomics.load(this.#cells, this.#read)) | 0;
  const size = Layout.PIPE_BYTES;
  const count = Math.min(size - held, bytes.length - from);
  const start = written & (size - 1);
  const first = Math.min(count, size - start);
  this.#bytes.set(bytes.subarray(from, from + first), start);
  this.#bytes.set(bytes.subarray(from + first, from + count), 0);
  Atomics.store(this.#cells, this.#written, (written + count) | 0);
  return count;
 }
 read()    {
  const read = Atomics.load(this.#cells, this.#read);
  const count = (Atomics.load(this.#cells, this.#written) - read) | 0;
  if (count === 0) return null;
  const size = Layout.PIPE_BYTES;
  const start = read & (size - 1);
  const first = Math.min(count, size - start);
  const bytes = new Uint8Array(count);
  bytes.set(this.#bytes.subarray(start, start + first));
  bytes.set(this.#bytes.subarray(0, count - first), first);
  Atomics.store(this.#cells, this.#read, (read + count) | 0);
  return bytes;
 }
}
class Messages {
 static #writer    = new ByteWriter();
 #bytes  = new Uint8Array(4);
 #filled = 0;
 #inHead = true;
 static encode(message )  {
  const writer = Messages.#writer ?? new ByteWriter();
  Messages.#writer = null;
  try {
   writer.skip(4);
   encodeValue(message, writer);
   writer.setUint32(0, writer.length - 4);
   return writer.take();
  } finally {
   writer.reset();
   Messages.#writer = writer;
  }
 }
 take(bytes )  {
  const messages  = [];
  let at = 0;
  while (at < bytes.length) {
   const count = Math.min(
    this.#bytes.length - this.#filled,
    bytes.length - at,
   );
   this.#bytes.set(bytes.subarray(at, at + count), this.#filled);
   this.#filled += count;
   at += count;
   if (this.#filled < this.#bytes.length) break;
   this.#filled = 0;
   const full = this.#bytes;
   const length = this.#inHead ? new DataView(full.buffer).getUint32(0) : 4;
   if (!this.#inHead) messages.push(decodeValue(full));
   this.#bytes = new Uint8Array(length);
   this.#inHead = !this.#inHead;
  }
  return messages;
 }
}
function isLoopHandle(value )    {
 return lookAt(() =>
  (value    )?.kind === "asyncio.EventLoop" &&
  (value  ).memory instanceof SharedArrayBuffer
 ) === true;
}
function callLoop(
 name ,
 handle ,
 args ,
 framesOf ,
)  {
 if (!isLoopHandle(handle)) {
  throw new TypeError(
   \`Cannot run a coroutine on a loop: expected what loop.handle() returns, got \${
    describeValue(handle)
   }\`,
  );
 }
 if (typeof name !== "string") {
  throw new TypeError(
   \`Cannot run a coroutine on the loop of another thread: expected the name of a function that the loop exposes, got \${
    describeValue(name)
   }\`,
  );
 }
 const call = LoopClient.of(handle).call(name, args);
 const at = placeAbove(callLoop);
 call.subscribeError((error) => addFrames(error, framesOf(at)));
 return threadFuture(call  );
}
class LoopClient {
 static  #clients = new Map ();
 #cells ;
 #slot = -1;
 #asks ;
 #answers ;
 #messages = new Messages();
 #calls = new Map ();
 #listening = false;
 #tidying = false;
 static of(handle )  {
  const clients = LoopClient.#clients;
  let client = clients.get(handle.id);
  if (client === undefined) {
   for (const [id, other] of clients) {
    if (other.#closed && other.#calls.size === 0) clients.delete(id);
   }
   clients.set(handle.id, client = new LoopClient(handle.memory));
  }
  return client;
 }
 constructor(memory ) {
  this.#cells = new Int32Array(memory);
 }
 call(name , args )  {
  if (this.#closed) throw new RuntimeError("The event loop is closed");
  this.poll(); // Otherwise answers pile up on both sides when nobody asks for them.
  if (this.#slot < 0) this.#takeSlot();
  try {
   const id = Atomics.add(this.#cells, this.#slot + Layout.CALLS, 1);
   const action = \`Cannot call \${excerpt(name)} on its loop\`;
   const sent = { action, value: args, name: "args" };
   const bytes = encodeSent([id, name, args], sent);
   const call = new RemoteCall(this, id);
   this.#calls.set(id, call);
   this.#send(bytes);
   this.#tidyLater();
   return call;
  } finally {
   this.#leaveIfDone();
  }
 }
 cancel(id )  {
  if (this.#calls.has(id)) this.#send(Messages.encode([id, null, []]));
 }
 poll()  {
  const closed = this.#closed;
  while (this.#slot >= 0) {
   const bytes = this.#answers.read();
   if (bytes === null) break;
   const more = Atomics.load(this.#cells, this.#slot + Layout.MORE);
   if (more === 1) this.#raise(Layout.BELL);
   for (const answer of this.#messages.take(bytes)) {
    this.#end(answer  );
   }
   this.#leaveIfDone();
  }
  if (closed) this.#endAll();
 }
 block(call , seconds )  {
  const end = performance.now() + seconds * 1000;
  for (;;) {
   const signal = this.#signal;
   if (call.done()) return;
   const left = end - performance.now();
   if (left <= 0) return;
   Atomics.wait(this.#cells, this.#slot + Layout.SIGNAL, signal, left);
  }
 }
 listen()  {
  if (this.#listening) return;
  this.#listening = true;
  void this.#listen();
 }
 async #listen()  {
  while (this.#slot >= 0) {
   const place = this.#slot + Layout.SIGNAL;
   const signal = Atomics.load(this.#cells, place);
   this.poll();
   if (this.#slot < 0) break;
   await Atomics.waitAsync(this.#cells, place, signal).value;
  }
  this.#listening = false;
 }
 #tidyLater()  {
  if (this.#tidying || this.#listening) return;
  this.#tidying = true;
  queueMicrotask(() => {
   this.#tidying = false;
   if (this.#slot >= 0) this.listen();
  });
 }
 get #signal()  {
  return Atomics.load(this.#cells, this.#slot + Layout.SIGNAL);
 }
 get #closed()  {
  return Atomics.load(this.#cells, Layout.CLOSED) === 1;
 }
 #takeSlot()  {
  const cells = this.#cells;
  const { HEAD, SLOT, SLOTS, MOST_SLOTS, TAKEN } = Layout;
  for (let i = 0;; i++) {
   const slot = HEAD + i * SLOT;
   if (i === MOST_SLOTS) {
    throw new RuntimeError("Too many threads have called this event loop");
   }
   if (i >= Atomics.load(cells, SLOTS)) {
    growTo(cells.buffer  , (slot + SLOT) * 4);
    Atomics.compareExchange(cells, SLOTS, i, i + 1);
   }
   if (Atomics.compareExchange(cells, slot + TAKEN, 0, 1) !== 0) continue;
   this.#slot = slot;
   this.#asks = new Pipe(cells, slot, Layout.ASKED);
   this.#answers = new Pipe(cells, slot, Layout.ANSWERED);
   this.#messages = new Messages();
   return;
  }
 }
 #leaveIfDone()  {
  if (this.#slot < 0 || this.#calls.size > 0) return;
  const slot = this.#slot;
  this.#slot = -1;
  Atomics.store(this.#cells, slot + Layout.TAKEN, 0);
  if (this.#listening) this.#raise(slot + Layout.SIGNAL);
 }
 #send(bytes )  {
  for (let at = 0;;) {
   const signal = this.#signal;
   const count = this.#asks.write(bytes, at);
   if (count > 0) this.#raise(Layout.BELL);
   at += count;
   if (at === bytes.length || this.#closed) return;
   Atomics.wait(this.#cells, this.#slot + Layout.SIGNAL, signal);
  }
 }
 #raise(place )  {
  Atomics.add(this.#cells, place, 1);
  Atomics.notify(this.#cells, place);
 }
 #end([id, kind, value] )  {
  const call = this.#calls.get(id);
  this.#calls.delete(id);
  if (kind === "result") call?.end({ kind, value });
  else if (kind === "cancelled") call?.end({ kind, message: String(value) });
  else call?.end({ kind, error: unpack(value  ) });
 }
 #endAll()  {
  const calls = [...this.#calls.values()];
  this.#calls.clear();
  this.#leaveIfDone();
  for (const call of calls) {
   const error = new RuntimeError("The event loop is closed");
   call.end({ kind: "error", error });
  }
 }
}
class RemoteCall   {
 #client ;
 #id ;
 #outcome    = null;
 #subscribers    = [];
 #onError     = () => {};
 constructor(client , id ) {
  this.#client = client;
  this.#id = id;
 }
 done()  {
  if (this.#outcome === null) this.#client.poll();
  return this.#outcome !== null;
 }
 outcome()  {
  return this.#outcome;
 }
 block(seconds )  {
  this.#client.block(this  , seconds);
 }
 cancel()  {
  this.#client.cancel(this.#id);
  this.end({ kind: "cancelled", message: "" });
 }
 end(outcome )  {
  if (this.#outcome !== null) return;
  this.#outcome = outcome;
  if (outcome.kind === "error") this.#onError(outcome.error);
  const subscribers = this.#subscribers;
  this.#subscribers = [];
  for (const fn of subscribers) fn();
 }
 subscribeError(fn    )  {
  this.#onError = fn;
 }
 subscribe(fn   )  {
  if (this.done()) return fn();
  this.#subscribers.push(fn);
  this.#client.listen();
 }
 promise()  {
  return new Promise((resolve, reject) =>
   this.subscribe(() => {
    const outcome = this.outcome();
    if (outcome.kind === "result") resolve(outcome.value);
    else if (outcome.kind === "error") reject(outcome.error);
    else reject(new CancelledError(outcome.message));
   })
  );
 }
}
function encodeSent(message , unsent )  {
 try {
  return Messages.encode(message);
 } catch (error) {
  throw cloneError({ ...unsent, fits: isEncodable }, error);
 }
}
function growTo(memory , length )  {
 while (memory.byteLength < length) {
  try {
   memory.grow(length);
  } catch (error) {
   if (memory.byteLength < length) throw error;
  }
 }
}

function nameOfDefinition(definition )  {
 if ("source" in definition) {
  return excerpt(definition.name) || "an anonymous function";
 }
 return \`\${excerpt(definition.export)} of \${excerpt(definition.module)}\`;
}
function compile(
 source ,
 name ,
)     {
 const run = eval;
 const place = \`toThread:\${excerpt(name).replace(/\\s/g, "_") || "anonymous"}\`;
 return run(\`"use strict"; (\${source}\\n)\\n//# sourceURL=\${place}\`);
}
async function load(
 module ,
 name ,
)     {
 const exports = await import(module);
 const fn = exports[name];
 if (typeof fn === "function") return fn;
 const names = Object.keys(exports).slice(0, 20).join(", ");
 throw new TypeError(
  \`Cannot run "\${excerpt(name)}" of \${
   excerpt(module)
  } in a thread: it is no function; the module exports \${names || "nothing"}\`,
 );
}
function explain(
 error ,
 { name, source }      ,
 program ,
)  {
 const missing = /^(?:Can't find variable: )?(\\S+)(?: is not defined)?$/
  .exec(error.message)?.[1];
 if (error instanceof ReferenceError && missing && source.includes(missing)) {
  return explainName(error, missing, name);
 }
 return error.message.includes(program) ? explainImport(error, name) : error;
}
function explainModule(
 error ,
 definition ,
 program ,
)  {
 if ("source" in definition) return error;
 const { module } = definition;
 if (!(error instanceof Error) || framesIn(error) !== "") return error;
 if (error.message.startsWith("Cannot run")) return error;
 const why = error.message.includes(program)
  ? "expected an absolute URL, or one of npm:, jsr: or node:; a thread has no import map"
  : error.message.replaceAll(module, excerpt(module));
 const told = new Error(
  \`Cannot call \${nameOfDefinition(definition)} in a thread: \${why}\`,
 );
 Object.setPrototypeOf(told, Object.getPrototypeOf(error));
 return rename(told, error);
}
function explainName(error , missing , name )  {
 const fn = excerpt(name) || "the function";
 const what = excerpt(missing);
 const hint = what.length <= 3 || what.startsWith("__")
  ? \`; if a bundler has made up the name \${what}, write globalThis.name for what the thread has itself, and do not let it keep names by helpers\`
  : "";
 const told = new ReferenceError(
  \`Cannot use \${what} in a thread: \${fn} was sent there as source and sees only its arguments and globals; pass \${what} as an argument, or \${
   wayOut(name)
  }\${hint}\`,
 );
 return rename(told, error);
}
function explainImport(error , name )  {
 const what = /"([^"]*)"/.exec(error.message)?.[1] ?? "a module";
 const fn = excerpt(name) || "the function";
 const told = new TypeError(
  \`Cannot import "\${
   excerpt(what)
  }" in a thread: \${fn} was sent there as source and can import only absolute URLs; pass the URL as an argument, new URL("./file.ts", import.meta.url).href, or \${
   wayOut(name)
  }\`,
 );
 return rename(told, error);
}
function wayOut(name )  {
 return \`export the function from a module and call toThread({ module: new URL("./file.ts", import.meta.url), export: "\${
  excerpt(name) || "name"
 }" })\`;
}
function rename(told , error )  {
 if (told.name !== error.name) {
  Object.defineProperty(told, "name", {
   value: error.name,
   configurable: true,
   writable: true,
  });
 }
 told.stack = \`\${told.name}: \${told.message}\${framesIn(error)}\`;
 return told;
}
function framesIn({ stack = "", name, message } )  {
 const start = \`\${name}: \${message}\`;
 const rest = stack.startsWith(start) ? stack.slice(start.length) : stack;
 return /\\n\\s+at [^]*$/.exec(rest)?.[0] ?? "";
}

const exceptions = { CancelledError, TimeoutError, InvalidStateError, RuntimeError, KeyboardInterrupt, QueueEmpty, QueueFull, QueueShutDown, IncompleteReadError, LimitOverrunError, BrokenBarrierError, SendfileNotAvailableError, ExceptionGroup };
const WATCH_MS = 250;
const PROGRAM = "asyncio:thread";
class CallServer {
 #runtime ;
 #targets = new Map ();
 #call    = null;
 #calls = 0;
 #active = false;
 #watch    ;
 constructor(runtime ) {
  this.#runtime = runtime;
 }
 handle(request )  {
  if (request === null) return this.#runtime.close();
  const [id, args, definition, forgotten = []] = request;
  if (this.#watch === undefined) this.#startWatch();
  this.#active = true;
  this.#calls++;
  for (const id of forgotten) this.#targets.delete(id);
  if (definition !== undefined) {
   this.#targets.set(id, { definition, fn: null });
  }
  const target = this.#targets.get(id);
  if (target.fn !== null) this.#start({ ...target }, target.fn, args);
  else void this.#define(target, args);
 }
 onError(error , call   )  {
  const isOwn = call === undefined ? this.#calls === 1 : call === this.#call;
  const packed = packTidy(error);
  if (this.#call !== null && isOwn) {
   this.#runtime.post(["died", packed]);
   this.#runtime.close();
  } else {
   const name = call === undefined ? "" : nameOfDefinition(call.definition);
   this.#runtime.post(["late", packed, name]);
  }
 }
 async #define(target , args )  {
  const { definition } = target;
  const call = this.#call = { definition };
  try {
   target.fn = "source" in definition
    ? compile(definition.source, definition.name)
    : await this.#runtime.enter(
     call,
     () => load(definition.module, definition.export),
    );
  } catch (error) {
   cutStack(error);
   return this.#fail(explainModule(error, definition, this.#runtime.url));
  }
  this.#start(call, target.fn, args);
 }
 #start(call , fn , args )  {
  this.#call = call;
  try {
   const value = this.#runtime.enter(call, fn, ...args);
   const then = (value      )?.then;
   if (typeof then !== "function") return this.#answer(value);
   Promise.resolve(value).then(
    (value) => this.#answer(value),
    (error) => this.#fail(error),
   );
  } catch (error) {
   this.#fail(error);
  }
 }
 #answer(value )  {
  const name = nameOfDefinition(this.#call.definition);
  const moves = takeMoves(value);
  try {
   this.#runtime.post(["result", value], moves);
   this.#call = null;
  } catch (error) {
   const action = \`Cannot return the result of \${name} from its thread\`;
   this.#fail(cloneError({ action, value, name: "result", moves }, error));
  }
 }
 #fail(error )  {
  const { definition } = this.#call;
  this.#call = null;
  try {
   const told = error instanceof Error && "source" in definition
    ? explain(error, definition, this.#runtime.url)
    : error;
   this.#runtime.post(["error", packTidy(told)]);
  } catch {
   const told = new Error(\`An error that cannot be sent: \${kindOf(error)}\`);
   this.#runtime.post(["error", pack(told)]);
  }
 }
 #startWatch()  {
  const limit = this.#runtime.heapLimit();
  this.#watch = setInterval(() => {
   if (this.#runtime.heapLimit() > limit) {
    this.#runtime.post(["full"]);
    this.#runtime.close();
   }
   if (!this.#active) {
    clearInterval(this.#watch);
    this.#watch = undefined;
   }
   this.#active = this.#call !== null;
  }, WATCH_MS);
 }
}
function start(runtime )  {
 const errors = Object.fromEntries(
  Object.values(exceptions).map((it) => [it.prototype.name, it]),
 );
 ErrorClasses.addNamed({ ...runtime.errors, ...errors });
 const globals = {
  self: globalThis,
  ...errors,
  transfer,
  runCoroutineThreadsafe: (name , loop , ...args ) =>
   callLoop(name, loop, args, framesOf),
  __name: (fn , value ) =>
   Object.defineProperty(fn, "name", { value, configurable: true }),
 };
 for (const [name, value] of Object.entries(globals)) {
  const rules = { writable: true, configurable: true, enumerable: false };
  Object.defineProperty(globalThis, name, { value, ...rules });
 }
 const server = new CallServer(runtime);
 runtime.listen(
  (request) => server.handle(request),
  (error, call) => server.onError(error, call),
 );
}
function framesOf(at )  {
 const lines = (at.stack ?? "").split("\\n");
 return lines.filter((line) => /^\\s+at /.test(line))
  .filter((line) => !/asyncio:thread|\\b(?:ext|node):/.test(line))
  .map((line) => line.trim().slice("at ".length));
}
function packTidy(error )  {
 try {
  cutStack(error);
  const isError = error instanceof Error;
  const message = isError ? shorten(error.message) : "";
  if (isError && message !== error.message) error.message = message;
 } catch {
 }
 return pack(error);
}
function cutStack(error )  {
 if (!(error instanceof Error) || typeof error.stack !== "string") return;
 const lines = shorten(error.stack).split("\\n");
 const own = lines.findIndex((line) => line.includes(PROGRAM));
 error.stack = lines.slice(0, own < 0 ? lines.length : own).join("\\n");
}
function shorten(text )  {
 return text.replace(/data:[^\\s"'()<>]{80,}/g, excerpt);
}

start(runtime);
}
//# sourceURL=asyncio:thread`;
