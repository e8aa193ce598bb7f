/**
 * Argument checks, shared by all functions of the module.
 *
 * Each check throws a `TypeError` (wrong type) or a `RangeError` (right type,
 * wrong value) that names the action, what was expected and what was received.
 * All checks run before anything happens, so a rejected call changes nothing. A
 * valid argument costs a few nanoseconds; details are left to the path that
 * throws.
 *
 * Invalid values may be hostile: proxies that throw, getters with side effects.
 * {@linkcode describe} reads them without calling user code wherever the
 * language permits it.
 *
 * @module
 */

/** The options of a call that may wait. */
const SIGNAL: readonly string[] = Object.freeze(["signal"]);
/** The options of a primitive. */
const NAME: readonly string[] = Object.freeze(["name"]);

/** The getter of `AbortSignal.aborted`. It works for signals of any realm, throws for anything else, and calls no user code. */
const abortedOf = Object.getOwnPropertyDescriptor(
  AbortSignal.prototype,
  "aborted",
)!.get as () => boolean;

/**
 * Describes a value for an error message. Never throws, never shows the source
 * of a function, and returns a short text.
 */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length > 60
        ? `${JSON.stringify(value.slice(0, 60))}...`
        : JSON.stringify(value);
    case "bigint":
      return truncate(`${value}n`);
    case "function":
      return describeFunction(value);
    case "object":
      return value === null ? "null" : describeObject(value);
    default:
      return truncate(String(value));
  }
}

/**
 * Throws if `options` is not an options object or has unknown options.
 *
 * @param options The options; `undefined` for none.
 * @param known The names of all options.
 * @param action What the caller wanted to do, as it follows "Cannot" in the message.
 */
export function checkOptions(
  options: unknown,
  known: readonly string[],
  action: string,
): void {
  checkBag(options, known, action);
  if (options === undefined) return;
  let unknown: string | undefined;
  try {
    unknown = unknownIn(options, known);
  } catch (cause) {
    throw unreadable(action, cause);
  }
  if (unknown === undefined) return;
  throw unknownOption(unknown, known, action);
}

/** Throws if `options` is not an options object. Unknown options are allowed. */
export function checkBag(
  options: unknown,
  known: readonly string[],
  action: string,
): asserts options is object | undefined {
  if (options === undefined || isBag(options, known, action)) return;
  throw notAnOptionsObject(options, known, action);
}

function isBag(
  options: unknown,
  known: readonly string[],
  action: string,
): options is object {
  if (typeof options !== "object" || options === null) return false;
  // It has a `signal`, but the caller meant to pass that.
  if (isInstance(options, AbortController)) return false;
  try {
    return isPlainObject(options) || known.some((name) => name in options);
  } catch (cause) {
    throw unreadable(action, cause);
  }
}

function unreadable(action: string, cause: unknown): TypeError {
  return new TypeError(`Cannot ${action}: the options cannot be read`, {
    cause,
  });
}

/** Checks options that may hold only a signal, and returns the signal. */
export function signalOf(
  options: unknown,
  action: string,
): AbortSignal | undefined {
  if (options === undefined) return undefined;
  const signal = onlySignal(options) ?? checkedSignal(options, action);
  checkSignal(signal, action);
  return signal;
}

/** As {@linkcode signalOf}, but throws the reason of a signal that has already aborted. */
export function activeSignalOf(
  options: unknown,
  action: string,
): AbortSignal | undefined {
  if (options === undefined) return undefined;
  const signal = onlySignal(options) ?? checkedSignal(options, action);
  if (signal === undefined) return undefined;
  let aborted = false;
  try {
    aborted = abortedOf.call(signal);
  } catch {
    checkSignal(signal, action);
  }
  if (aborted) throw signal.reason;
  return signal;
}

/** The signal, if it is the only option. A fast path for nearly all calls. */
function onlySignal(options: unknown): AbortSignal | undefined {
  if (typeof options !== "object") return undefined;
  try {
    for (const name in options) if (name !== "signal") return undefined;
    return (options as { signal?: AbortSignal }).signal;
  } catch {
    return undefined;
  }
}

/** The signal, after all options have been checked. */
function checkedSignal(
  options: unknown,
  action: string,
): AbortSignal | undefined {
  checkOptions(options, SIGNAL, action);
  return (options as { signal?: AbortSignal }).signal;
}

/** Throws if `signal` is neither an `AbortSignal` nor `undefined`. */
export function checkSignal(
  signal: unknown,
  action: string,
): asserts signal is AbortSignal | undefined {
  if (signal === undefined || isSignal(signal)) return;
  const hint = isInstance(signal, AbortController)
    ? "; pass controller.signal"
    : "";
  throw wrongKind(signal, "an AbortSignal", action, "signal", hint);
}

/** Whether a value is an `AbortSignal`. */
function isSignal(value: unknown): value is AbortSignal {
  try {
    abortedOf.call(value);
    return true;
  } catch {
    return false;
  }
}

/** Throws for anything but a function, and for classes. */
export function checkCallback(
  callback: unknown,
  action: string,
  name = "the callback",
  // deno-lint-ignore no-explicit-any
): asserts callback is (...args: any[]) => unknown {
  if (typeof callback === "function" && !isClass(callback)) return;
  throw wrongKind(callback, "a function", action, name);
}

/** Throws if a context is neither a function, `null` nor `undefined`. */
export function checkContext(
  context: unknown,
  action: string,
): asserts context is (<R>(fn: () => R) => R) | null | undefined {
  if (context === undefined || context === null) return;
  if (typeof context === "function" && !isClass(context)) return;
  const expected = "a function such as AsyncLocalStorage.snapshot() returns";
  throw wrongKind(context, expected, action, "context");
}

/** Throws for anything but a coroutine function; for a promise it says what to write instead. */
export function checkCoroutine(
  coro: unknown,
  action: string,
): asserts coro is (signal: AbortSignal) => unknown {
  if (typeof coro === "function" && !isClass(coro)) return;
  throw new TypeError(
    `Cannot ${action}: expected a coroutine function, got ${describe(coro)}${
      startedHint(coro)
    }`,
  );
}

/** Throws for a body that is not a function; for a promise it says what to write instead. */
export function checkBody(body: unknown, action: string): void {
  if (typeof body === "function") return checkCallback(body, action);
  throw new TypeError(
    `Cannot ${action}: the body must be a function, got ${describe(body)}${
      startedHint(body)
    }`,
  );
}

/** The end of a message that says what to write instead of a promise; `""` for other values. */
export function startedHint(value: unknown): string {
  return looksThenable(value)
    ? "; pass () => f(x): a promise has already started"
    : "";
}

/** Throws for anything but an iterable object. Strings are refused too. */
export function checkIterable(
  value: unknown,
  action: string,
  name: string,
): asserts value is Iterable<unknown> {
  if (isIterable(value)) return;
  throw wrongKind(value, "an iterable such as an array", action, name);
}

/** Throws for anything but an instance of a class. */
export function checkInstance<T>(
  value: unknown,
  // deno-lint-ignore no-explicit-any
  type: abstract new (...args: any[]) => T,
  action: string,
  name: string,
): asserts value is T {
  if (isInstance(value, type)) return;
  throw wrongKind(value, withArticle(type.name), action, name);
}

/** Throws for anything but a text output or `undefined`. */
export function checkOutput(
  file: unknown,
  action: string,
): asserts file is { writeSync(data: Uint8Array): number } | undefined {
  if (file !== undefined) checkMethods(file, ["writeSync"], action, "file");
}

/** Throws if a value lacks one of the methods. */
export function checkMethods(
  value: unknown,
  methods: readonly string[],
  action: string,
  name: string,
): void {
  for (const method of methods) {
    try {
      const it = value as { [method: string]: unknown };
      if (typeof it[method] === "function") continue;
    } catch {
      // a proxy or getter that throws
    }
    throw new TypeError(
      `Cannot ${action}: ${name} must have a method ${method}, got ${
        describe(value)
      }`,
    );
  }
}

/** Throws for anything but a string or `undefined`. */
export function checkString(
  value: unknown,
  action: string,
  name: string,
): asserts value is string | undefined {
  if (value === undefined || typeof value === "string") return;
  throw wrongKind(value, "a string", action, name);
}

/** Throws for anything but an array of strings or `undefined`. */
export function checkStrings(
  value: unknown,
  action: string,
  name: string,
): void {
  if (value === undefined) return;
  let wrong: unknown = value;
  let where = "";
  try {
    if (Array.isArray(value)) {
      const index = value.findIndex((it) => typeof it !== "string");
      if (index < 0) return;
      wrong = value[index];
      where = " in it";
    }
  } catch {
    // A proxy that throws.
  }
  throw wrongKind(wrong, "an array of strings", action, name, where);
}

/** Throws for anything but a number, and for `NaN`. */
export function checkNumber(
  value: unknown,
  action: string,
  name: string,
): asserts value is number {
  if (typeof value === "number" && value === value) return;
  throw wrongKind(value, "a number", action, name);
}

/** Throws for anything but a boolean or `undefined`. */
export function checkFlag(
  value: unknown,
  action: string,
  name: string,
): asserts value is boolean | undefined {
  if (value === undefined || typeof value === "boolean") return;
  throw wrongKind(value, "true or false", action, name);
}

/** Throws for anything but `Infinity` or a whole number of at least `least`. */
export function checkCount(
  value: unknown,
  least: number,
  action: string,
  name: string,
): asserts value is number {
  checkNumber(value, action, name);
  if (value >= least && (Number.isInteger(value) || value === Infinity)) return;
  throw new RangeError(
    `Cannot ${action}: ${name} must be a whole number of at least ${least}, got ${value}`,
  );
}

/** Checks the arguments of the error constructors, in order. */
export function checkErrorArguments(
  type: string,
  message: unknown,
  options: unknown,
  known: readonly string[] = ["cause"],
): void {
  const isGood = message === undefined || typeof message === "string";
  if (isGood && options === undefined) return;
  const action = `create ${withArticle(type)}`;
  if (isGood) return checkOptions(options, known, action);
  throw wrongKind(message, "a string", action, "message");
}

/** Converts a name given by the user to a string. */
export function toName(name: unknown, action: string): string {
  try {
    return String(name);
  } catch (cause) {
    throw new TypeError(
      `Cannot ${action}: name must be a string, got ${describe(name)}`,
      { cause },
    );
  }
}

/** The quoted `name` option with a leading space, for use after a word; `""` without one. */
export function labelOf(
  options: { name?: string } | undefined,
  action: string,
  known: readonly string[] = NAME,
): string {
  if (options === undefined) return "";
  checkOptions(options, known, action);
  const { name } = options;
  return name === undefined ? "" : ` ${JSON.stringify(toName(name, action))}`;
}

/** Whether a value is a class, which cannot be called without `new`. */
export function isClass(fn: unknown): boolean {
  try {
    // Arrow functions, methods and async functions have no prototype; that of
    // other functions is writable.
    return typeof fn === "function" && fn.prototype !== undefined &&
      Object.getOwnPropertyDescriptor(fn, "prototype")?.writable === false &&
      Function.prototype.toString.call(fn).startsWith("class");
  } catch {
    return false;
  }
}

/** Whether a function is `async`, so that it always returns a promise. */
export function isAsync(fn: unknown): boolean {
  try {
    return Object.prototype.toString.call(fn) === "[object AsyncFunction]";
  } catch {
    return false;
  }
}

/** Whether a value is an iterable object. */
export function isIterable(value: unknown): value is Iterable<unknown> {
  try {
    return typeof value === "object" && value !== null &&
      typeof (value as Iterable<unknown>)[Symbol.iterator] === "function";
  } catch {
    return false;
  }
}

/** The name of a task, which otherwise shows its error too; other values as they are. */
export function briefly(value: unknown): unknown {
  const named = value as { getName?: unknown } | null | undefined;
  try {
    return typeof named?.getName === "function" ? named.getName() : value;
  } catch {
    return value; // a proxy or a getter that throws
  }
}

/** As `instanceof`, but `false` for a proxy that throws. */
export function isInstance<T>(
  value: unknown,
  // deno-lint-ignore no-explicit-any
  type: abstract new (...args: any[]) => T,
): value is T {
  try {
    return value instanceof type;
  } catch {
    return false;
  }
}

/** Whether an object has a `then` method, without calling a getter. */
function looksThenable(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  try {
    return typeof valueOfProperty(value, "then") === "function";
  } catch {
    return false;
  }
}

/** Whether an object is not an instance of a class. Instances are accepted as options if they have a known one, as `Timeout` has `signal`. */
function isPlainObject(object: object): boolean {
  const prototype = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null ||
    valueOfProperty(prototype, "constructor") === Object;
}

/** The first unknown option, own or inherited. */
function unknownIn(
  options: object,
  known: readonly string[],
): string | undefined {
  for (const name in options) {
    if (!known.includes(name)) return name;
  }
  return undefined;
}

function notAnOptionsObject(
  value: unknown,
  known: readonly string[],
  action: string,
): TypeError {
  const hint = !known.includes("signal")
    ? ""
    : isInstance(value, AbortSignal)
    ? "; pass { signal }"
    : isInstance(value, AbortController)
    ? "; pass { signal: controller.signal }"
    : "";
  return wrongKind(value, "an object", action, "options", hint);
}

function wrongKind(
  value: unknown,
  expected: string,
  action: string,
  name: string,
  hint = "",
): TypeError {
  return new TypeError(
    `Cannot ${action}: ${name} must be ${expected}, got ${
      describe(value)
    }${hint}`,
  );
}

function unknownOption(
  name: string,
  known: readonly string[],
  action: string,
): TypeError {
  return new TypeError(
    `Cannot ${action}: unknown option ${describe(name)}${hintFor(name, known)}`,
  );
}

function hintFor(name: string, known: readonly string[]): string {
  const nearest = nearestOf(name, known);
  if (nearest !== null) return `, did you mean ${JSON.stringify(nearest)}?`;
  if (name === "timeout" && known.includes("signal")) {
    return ", use timeout() or waitFor() around the call";
  }
  if (known.length === 0) return ", it takes none";
  if (known.length > 8) return "";
  const names = known.map((it) => JSON.stringify(it)).join(", ");
  return `, known ${known.length === 1 ? "is" : "are"} ${names}`;
}

/** The known option that was probably meant, `null` if none is similar. */
export function nearestOf(
  name: string,
  known: readonly string[],
): string | null {
  const plain = normalizeName(name);
  const meant = synonymsOf(plain);
  const same = known.find((it) => normalizeName(it) === plain) ??
    known.find((it) => meant.includes(it));
  if (same !== undefined) return same;
  let nearest: string | null = null;
  let least = Math.max(1, Math.floor(plain.length / 3)) + 1;
  for (const it of known) {
    const distance = editDistance(plain, normalizeName(it));
    if (distance >= least) continue;
    least = distance;
    nearest = it;
  }
  return nearest;
}

/** The options that a name from another library or from Python may stand for. */
function synonymsOf(plain: string): readonly string[] {
  const synonyms: Record<string, readonly string[]> = {
    abort: ["signal"],
    abortsignal: ["signal"],
    ca: ["caCerts"],
    canceltoken: ["signal"],
    cmp: ["compare"],
    comparator: ["compare"],
    concurrency: ["limit"],
    connection: ["conn"],
    controller: ["signal"],
    deadline: ["timeout"],
    delay: ["timeout"],
    directory: ["cwd"],
    eager: ["eagerStart"],
    environ: ["env"],
    gid: ["group"],
    h: ["hours"],
    highwatermark: ["limit", "high"],
    key: ["compare"],
    label: ["name"],
    maxconcurrency: ["limit"],
    maxsize: ["limit"],
    millis: ["milliseconds"],
    min: ["minutes"],
    mins: ["minutes"],
    ms: ["milliseconds"],
    ns: ["nanoseconds"],
    s: ["seconds"],
    sec: ["seconds"],
    secs: ["seconds"],
    serverhostname: ["hostname"],
    sock: ["conn"],
    socket: ["conn"],
    ssl: ["tls"],
    title: ["name"],
    uid: ["user"],
    us: ["microseconds"],
  };
  return Object.hasOwn(synonyms, plain) ? synonyms[plain]! : [];
}

/** A name in lower case without separators, so that `snake_case` equals `camelCase`. */
function normalizeName(name: string): string {
  return name.slice(0, 60).replaceAll(/[_-]/g, "").toLowerCase();
}

/** The Damerau-Levenshtein distance of two strings. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(changed, last[j]! + 1, row[j - 1]! + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] &&
        a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, beforeLast[j - 2]! + 1);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}

// deno-lint-ignore ban-types
function describeFunction(fn: Function): string {
  const kind = isClass(fn) ? "class" : "function";
  const name = nameOfFunction(fn);
  if (name !== "") return `${kind} ${name}`;
  return `an anonymous ${kind}`;
}

function describeObject(value: object): string {
  try {
    if (Array.isArray(value)) return "an array";
    const prototype = Object.getPrototypeOf(value);
    if (prototype === null) return "an object without a prototype";
    if (prototype === Object.prototype) {
      return looksThenable(value) ? "a thenable" : "a plain object";
    }
    const type = valueOfProperty(prototype, "constructor");
    if (type === Object) return "a plain object";
    const name = typeof type === "function" ? nameOfFunction(type) : "";
    if (name === "Promise") return "a promise";
    if (name !== "") return withArticle(name);
    return looksThenable(value) ? "a thenable" : "an object";
  } catch {
    return "an object that cannot be looked at";
  }
}

/** The name of an object's class, or the fallback if it cannot be read. */
export function classNameOf(object: object, fallback: string): string {
  try {
    const type = valueOfProperty(object, "constructor");
    return typeof type === "function" && nameOfFunction(type) || fallback;
  } catch {
    return fallback;
  }
}

// deno-lint-ignore ban-types
function nameOfFunction(fn: Function): string {
  try {
    const name = Object.getOwnPropertyDescriptor(fn, "name")?.value;
    // Not an arbitrary property name such as "() => {}", which reads as source.
    return typeof name === "string" && /^[\p{L}\p{N}_$#. ]*$/u.test(name)
      ? truncate(name)
      : "";
  } catch {
    return "";
  }
}

/** The value of an own or inherited property, `undefined` if it has a getter. */
function valueOfProperty(object: object, key: PropertyKey): unknown {
  for (let it = object; it !== null; it = Object.getPrototypeOf(it)) {
    const property = Object.getOwnPropertyDescriptor(it, key);
    if (property !== undefined) return property.value;
  }
  return undefined;
}

function withArticle(name: string): string {
  return /^[AEIOaeio]/.test(name) ? `an ${name}` : `a ${name}`;
}

function truncate(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** Whether a value has a `then` method, so that `await` calls it. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" && value !== null ||
    typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function";
}

/** Whether a value is an error class. */
export function isErrorClass(value: unknown): value is new () => Error {
  try {
    return typeof value === "function" && value.prototype instanceof Error;
  } catch {
    return false; // a proxy that throws
  }
}

/** Creates an error from a class that was given instead of an instance. */
export function instanceOf(type: new () => Error): Error {
  try {
    return new type();
  } catch (cause) {
    throw new TypeError(
      `Cannot set an exception: no error can be made of ${
        describe(type)
      } without arguments`,
      { cause },
    );
  }
}
