/**
 * Checks of arguments, the same for every function of the module.
 *
 * Each check throws a `TypeError` (wrong kind) or a `RangeError` (right kind,
 * wrong value) that names the action, what was expected and what came in. The
 * checks run before anything happens, so a refused call changes nothing. They
 * run on every call and cost a few nanoseconds where the argument is right;
 * looking closer is left to the path that throws.
 *
 * Wrong values may be hostile: proxies that throw, getters with side effects.
 * {@linkcode describe} reads them without calling them wherever the language
 * permits that.
 *
 * @module
 */

/** The option of every call that waits. */
const SIGNAL: readonly string[] = Object.freeze(["signal"]);
/** The option of everything that tasks wait for. */
const NAME: readonly string[] = Object.freeze(["name"]);

/** Throws for what is no signal, of whatever realm, and calls no user code. */
const abortedOf = Object.getOwnPropertyDescriptor(
  AbortSignal.prototype,
  "aborted",
)!.get as () => boolean;

/**
 * A value in a few words, for an error message. Never throws, never shows the
 * source of a function, and has a bounded length.
 */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length > 60
        ? `${JSON.stringify(value.slice(0, 60))}...`
        : JSON.stringify(value);
    case "bigint":
      return clip(`${value}n`);
    case "function":
      return describeFunction(value);
    case "object":
      return value === null ? "null" : describeObject(value);
    default:
      return clip(String(value));
  }
}

/**
 * Refuses what is no options bag, and unknown options.
 *
 * @param options What was passed; `undefined` stands for no options.
 * @param known The names of the options.
 * @param action What the caller wanted, after "Cannot".
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

/** Refuses what is no options bag; options beside the known ones are for somebody else. */
export function checkBag(
  options: unknown,
  known: readonly string[],
  action: string,
): asserts options is object | undefined {
  if (options === undefined || isBag(options, known, action)) return;
  throw notOptions(options, known, action);
}

function isBag(
  options: unknown,
  known: readonly string[],
  action: string,
): options is object {
  if (typeof options !== "object" || options === null) return false;
  // It has a signal, but as options it would be none that anybody meant.
  if (isInstance(options, AbortController)) return false;
  try {
    return isOfNoClass(options) || known.some((name) => name in options);
  } catch (cause) {
    throw unreadable(action, cause);
  }
}

function unreadable(action: string, cause: unknown): TypeError {
  return new TypeError(`Cannot ${action}: the options cannot be read`, {
    cause,
  });
}

/** Checks the options of a call that takes a signal and nothing else, and gives the signal. */
export function signalOf(
  options: unknown,
  action: string,
): AbortSignal | undefined {
  if (options === undefined) return undefined;
  const signal = soleSignal(options) ?? checkedSignal(options, action);
  checkSignal(signal, action);
  return signal;
}

/** As {@linkcode signalOf}, and throws the reason of a signal that has aborted. */
export function openSignalOf(
  options: unknown,
  action: string,
): AbortSignal | undefined {
  if (options === undefined) return undefined;
  const signal = soleSignal(options) ?? checkedSignal(options, action);
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

/** The signal of options that have nothing else, which is nearly always so and quickly found; otherwise `undefined`. */
function soleSignal(options: unknown): AbortSignal | undefined {
  if (typeof options !== "object") return undefined;
  try {
    for (const name in options) if (name !== "signal") return undefined;
    return (options as { signal?: AbortSignal }).signal;
  } catch {
    return undefined;
  }
}

/** The signal of any options, once all of them have been checked. */
function checkedSignal(
  options: unknown,
  action: string,
): AbortSignal | undefined {
  checkOptions(options, SIGNAL, action);
  return (options as { signal?: AbortSignal }).signal;
}

/** Refuses what is neither an `AbortSignal` nor `undefined`. */
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

/** Refuses what cannot be called: anything but a function, and classes. */
export function checkCallback(
  callback: unknown,
  action: string,
  name = "the callback",
  // deno-lint-ignore no-explicit-any
): asserts callback is (...args: any[]) => unknown {
  if (typeof callback === "function" && !isClass(callback)) return;
  throw wrongKind(callback, "a function", action, name);
}

/** Refuses a context that is neither a function nor left out; `null` leaves it out too. */
export function checkContext(
  context: unknown,
  action: string,
): asserts context is (<R>(fn: () => R) => R) | null | undefined {
  if (context === undefined || context === null) return;
  if (typeof context === "function" && !isClass(context)) return;
  const expected = "a function such as AsyncLocalStorage.snapshot() returns";
  throw wrongKind(context, expected, action, "context");
}

/** Refuses what is not a coroutine function, and says what to write for a promise. */
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

/** What to write instead of a promise, for the end of a message; `""` for other values. */
export function startedHint(value: unknown): string {
  return looksThenable(value)
    ? "; pass () => f(x): a promise has already started"
    : "";
}

/** Refuses what `for (const x of value)` does not accept, and strings. */
export function checkIterable(
  value: unknown,
  action: string,
  name: string,
): asserts value is Iterable<unknown> {
  if (isIterable(value)) return;
  throw wrongKind(value, "an iterable such as an array", action, name);
}

/** Refuses what is not an object of a class. */
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

/** Refuses what text cannot be written to. */
export function checkOutput(
  file: unknown,
  action: string,
): asserts file is { writeSync(data: Uint8Array): number } | undefined {
  if (file !== undefined) checkMethods(file, ["writeSync"], action, "file");
}

/** Refuses what lacks one of some methods. */
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
      // it is refused below
    }
    throw new TypeError(
      `Cannot ${action}: ${name} must have a method ${method}, got ${
        describe(value)
      }`,
    );
  }
}

/** Refuses what is neither a string nor `undefined`. */
export function checkString(
  value: unknown,
  action: string,
  name: string,
): asserts value is string | undefined {
  if (value === undefined || typeof value === "string") return;
  throw wrongKind(value, "a string", action, name);
}

/** Refuses what is neither an array of strings nor `undefined`. */
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

/** Refuses what is not a number, and `NaN`. */
export function checkNumber(
  value: unknown,
  action: string,
  name: string,
): asserts value is number {
  if (typeof value === "number" && value === value) return;
  throw wrongKind(value, "a number", action, name);
}

/** Refuses what is neither `true`, `false` nor `undefined`. */
export function checkFlag(
  value: unknown,
  action: string,
  name: string,
): asserts value is boolean | undefined {
  if (value === undefined || typeof value === "boolean") return;
  throw wrongKind(value, "true or false", action, name);
}

/** Refuses what is not a whole number or `Infinity`, and less than `least`. */
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

/** Checks what the error classes take, in the order of their arguments. */
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

/** A name given by the user as a string, whatever it is. */
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

/** The `name` of a bag of options, ready to be shown behind a word; `""` if there is none. */
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

/** Whether a function is a class, which cannot be called without `new`. */
export function isClass(fn: unknown): boolean {
  try {
    // Arrow functions, methods and async functions have no prototype, other
    // functions one that can be replaced.
    return typeof fn === "function" && fn.prototype !== undefined &&
      Object.getOwnPropertyDescriptor(fn, "prototype")?.writable === false &&
      Function.prototype.toString.call(fn).startsWith("class");
  } catch {
    return false;
  }
}

/** Whether a function is `async`, so that it returns a promise whatever it does. */
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

/** `instanceof` that answers `false` for a proxy that throws. */
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

/** Whether a value has a `then` method, found without calling a getter. */
function looksThenable(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  try {
    return typeof valueOfProperty(value, "then") === "function";
  } catch {
    return false;
  }
}

/** Whether an object is of no class; one of a class may serve as options all the same, as a `Timeout` does for its signal. */
function isOfNoClass(object: object): boolean {
  const prototype = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null ||
    valueOfProperty(prototype, "constructor") === Object;
}

/** The first option that is not known, its own or an inherited one. */
function unknownIn(
  options: object,
  known: readonly string[],
): string | undefined {
  for (const name in options) {
    if (!known.includes(name)) return name;
  }
  return undefined;
}

function notOptions(
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

/** The option that was probably meant, `null` if none is near. */
export function nearestOf(
  name: string,
  known: readonly string[],
): string | null {
  const plain = plainName(name);
  const meant = synonymsOf(plain);
  const same = known.find((it) => plainName(it) === plain) ??
    known.find((it) => meant.includes(it));
  if (same !== undefined) return same;
  let nearest: string | null = null;
  let least = Math.max(1, Math.floor(plain.length / 3)) + 1;
  for (const it of known) {
    const distance = editDistance(plain, plainName(it));
    if (distance >= least) continue;
    least = distance;
    nearest = it;
  }
  return nearest;
}

/** What users of other libraries call an option, and what it may be called here. */
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

/** A name without what only tells `snake_case` from `camelCase`. */
function plainName(name: string): string {
  return name.slice(0, 60).replaceAll(/[_-]/g, "").toLowerCase();
}

/** How many letters have to be changed, added, left out or swapped with their neighbour. */
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

/** The name of an object's class, for consoles; the fallback if that cannot be read. */
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
    // One that was made up, as of a property called "() => {}", reads as source.
    return typeof name === "string" && /^[\p{L}\p{N}_$#. ]*$/u.test(name)
      ? clip(name)
      : "";
  } catch {
    return "";
  }
}

/** A property of an object or its prototypes, `undefined` if it has a getter. */
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

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** Whether `await` would wait for a value. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" && value !== null ||
    typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function";
}

/** Whether a value is a class of errors. */
export function isErrorClass(value: unknown): value is new () => Error {
  try {
    return typeof value === "function" && value.prototype instanceof Error;
  } catch {
    return false; // a proxy that throws
  }
}

/** An error of a class, which was given in place of one. */
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
