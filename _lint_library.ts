/**
 * What lint rules know of the module: what its functions and methods return,
 * which of them wait, and which specifiers import it.
 *
 * Functions are named as exported, methods with their class: `"sleep"`,
 * `"Queue.put"`.
 *
 * @module
 */

/** The kind of a value, as far as rules need it. */
export type Kind =
  | { is: "namespace" }
  | { is: "export"; name: string }
  | { is: "instance"; of: string }
  | { is: "promise"; of?: Kind }
  | { is: "tuple"; items: Kind[] }
  | { is: "signal" };

/** An instance of a class of the module. */
export function instance(of: string): Kind {
  return { is: "instance", of: BASES[of] ?? of };
}

function promise(of?: Kind): Kind {
  return { is: "promise", of };
}

/** Subclasses that rules treat as their base class. */
const BASES: Record<string, string> = {
  LifoQueue: "Queue",
  PriorityQueue: "Queue",
  BoundedSemaphore: "Semaphore",
  VirtualTimeLoop: "EventLoop",
};

/** The classes whose instances are tracked. */
export const CLASSES: ReadonlySet<string> = new Set([
  ...Object.keys(BASES),
  "Barrier",
  "Condition",
  "Event",
  "EventLoop",
  "Future",
  "Lock",
  "Process",
  "Queue",
  "Runner",
  "Semaphore",
  "Server",
  "StreamReader",
  "StreamWriter",
  "Task",
  "TaskGroup",
  "Timeout",
]);

const STREAMS: Kind = {
  is: "tuple",
  items: [instance("StreamReader"), instance("StreamWriter")],
};

/** The results of calls; those in {@linkcode WAITING} that are not listed return a promise. */
const RESULTS: Record<string, Kind> = {
  createTask: instance("Task"),
  currentTask: instance("Task"),
  ensureFuture: instance("Future"),
  gather: instance("Future"),
  shield: instance("Future"),
  wrapFuture: instance("Future"),
  getEventLoop: instance("EventLoop"),
  getRunningLoop: instance("EventLoop"),
  openConnection: promise(STREAMS),
  openUnixConnection: promise(STREAMS),
  startServer: promise(instance("Server")),
  startUnixServer: promise(instance("Server")),
  createSubprocessExec: promise(instance("Process")),
  createSubprocessShell: promise(instance("Process")),
  run: promise(),
  "Runner.run": promise(),
  "Runner.getLoop": instance("EventLoop"),
  "EventLoop.createTask": instance("Task"),
  "EventLoop.createFuture": instance("Future"),
  "EventLoop.runInExecutor": instance("Future"),
  "Future.getLoop": instance("EventLoop"),
  "Task.getLoop": instance("EventLoop"),
  "TaskGroup.createTask": instance("Task"),
};

/** Calls that must be awaited: otherwise the code continues too early and misses errors. */
const WAITING = new Set([
  "gather",
  "sleep",
  "timeout",
  "timeoutAt",
  "toThread",
  "wait",
  "waitFor",
  "openConnection",
  "openUnixConnection",
  "startServer",
  "startUnixServer",
  "createSubprocessExec",
  "createSubprocessShell",
  "Barrier.wait",
  "Condition.acquire",
  "Condition.wait",
  "Condition.waitFor",
  "Event.wait",
  "Lock.acquire",
  "Process.communicate",
  "Process.wait",
  "Queue.get",
  "Queue.join",
  "Queue.put",
  "Runner.close",
  "Semaphore.acquire",
  "Server.serveForever",
  "Server.startServing",
  "Server.waitClosed",
  "StreamReader.read",
  "StreamReader.readexactly",
  "StreamReader.readline",
  "StreamReader.readuntil",
  "StreamWriter.drain",
  "StreamWriter.startTls",
  "StreamWriter.waitClosed",
  "TaskGroup.join",
  "TaskGroup.run",
]);

/** Properties of instances of the module. */
const PROPERTIES: Record<string, Kind> = {
  "Process.stdin": instance("StreamWriter"),
  "Process.stdout": instance("StreamReader"),
  "Process.stderr": instance("StreamReader"),
  "Task.signal": { is: "signal" },
  "TaskGroup.signal": { is: "signal" },
  "Timeout.signal": { is: "signal" },
};

/** The position of an argument that must be a coroutine function. */
export const COROUTINE_POSITIONS: Readonly<Record<string, number>> = {
  createTask: 0,
  run: 0,
  runCoroutineThreadsafe: 0,
  timeout: 1,
  timeoutAt: 1,
  "EventLoop.createTask": 0,
  "Runner.run": 0,
  "TaskGroup.createTask": 0,
  "TaskGroup.run": 0,
};

/** The position of an argument that may be a coroutine function. */
export const AWAITABLE_POSITIONS: Readonly<Record<string, number>> = {
  ensureFuture: 0,
  shield: 0,
  waitFor: 0,
};

/** The functions that take an array of awaitables. */
export const AWAITABLE_LISTS: ReadonlySet<string> = new Set([
  "asCompleted",
  "gather",
]);

/** The parameters of a callback that is passed to one of these. */
export const BODY_PARAMETERS: Readonly<Record<string, Kind[]>> = {
  timeout: [instance("Timeout")],
  timeoutAt: [instance("Timeout")],
  "TaskGroup.run": [instance("TaskGroup")],
  startServer: [instance("StreamReader"), instance("StreamWriter")],
  startUnixServer: [instance("StreamReader"), instance("StreamWriter")],
};

/** A function or method as users write it. */
export function label(name: string): string {
  const [owner, method] = name.split(".");
  const isStatic = !method || name === "TaskGroup.run";
  return `\`${isStatic ? name : `${lower(owner)}.${method}`}()\``;
}

function lower(name: string): string {
  const last = name.match(/[A-Z][a-z]*$/)![0];
  return last.toLowerCase();
}

export function isWaiting(name: string | undefined): boolean {
  return name !== undefined && WAITING.has(name);
}

/** The kind of a call's result. */
export function resultOf(name: string): Kind | undefined {
  if (Object.hasOwn(RESULTS, name)) return RESULTS[name];
  return isWaiting(name) ? promise() : undefined;
}

/** The kind of a property. */
export function memberOf(
  owner: Kind | undefined,
  name: string,
): Kind | undefined {
  if (owner?.is === "namespace") return { is: "export", name };
  if (owner?.is !== "instance") return undefined;
  const key = `${owner.of}.${name}`;
  return Object.hasOwn(PROPERTIES, key) ? PROPERTIES[key] : undefined;
}

/** The kind of an awaited value. */
export function awaited(kind: Kind | undefined): Kind | undefined {
  return kind?.is === "promise" ? kind.of : undefined;
}

/** Whether a value is a promise, whose operation has started. */
export function isPromise(kind: Kind | undefined): boolean {
  return kind?.is === "promise" ||
    kind?.is === "instance" && (kind.of === "Task" || kind.of === "Future");
}

/** The specifiers of the published module, with any version and entry point. */
const PUBLISHED =
  /^(?:(?:jsr:\/?)?@asyncio\/asyncio|(?:npm:\/?)?@jsr\/asyncio__asyncio)(?:@[^/]+)?(?:\/|$)|^https:\/\/(?:jsr\.io\/@asyncio\/asyncio|npm\.jsr\.io\/@jsr\/asyncio__asyncio)\//;

/** The folder of the module, from which this plugin was loaded. */
const MODULE_ROOT = new URL(".", import.meta.url).href;
/** The entry points of the module. */
const ENTRY_POINTS = new Set(
  "exceptions introspection mod queues runner streams subprocess sync tasks testing"
    .split(" ").map((topic) => `${MODULE_ROOT}${topic}.ts`),
);

/** Returns a test whether a specifier in a file imports the module. */
export function importTest(
  filename: string,
  others: readonly string[],
): (specifier: string) => boolean {
  const base = toUrl(filename);
  return (specifier) => {
    if (PUBLISHED.test(specifier) || others.includes(specifier)) return true;
    if (!/^(?:\.{0,2}\/|file:)/.test(specifier)) return false;
    const target = URL.parse(specifier, base)?.href;
    return target !== undefined &&
      (ENTRY_POINTS.has(target) || others.includes(target));
  };
}

function toUrl(filename: string): string {
  if (URL.canParse(filename) && filename.includes("://")) return filename;
  const path = filename.replaceAll("\\", "/").replace(/^\/?/, "/");
  return `file://${encodeURI(path).replace(/[?#]/g, encodeURIComponent)}`;
}
