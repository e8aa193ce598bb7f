/**
 * The runtime, Deno, Node or Bun, as far as this module uses it. Sockets,
 * processes and files exist only on Deno and are not part of it.
 *
 * Loading a Node module takes 5 to 20 ms in every program that imports it. So
 * each is loaded on first use.
 *
 * @module
 */

import type asyncHooks from "node:async_hooks";
import type crypto from "node:crypto";
import type events from "node:events";
import type inspector from "node:inspector";
import type os from "node:os";
import type process from "node:process";
import type stream from "node:stream";
import type timers from "node:timers";
import type tls from "node:tls";
import type url from "node:url";
import type util from "node:util";
import type v8 from "node:v8";
import type workerThreads from "node:worker_threads";

/** The Node modules that are used. */
interface NodeModules {
  async_hooks: typeof asyncHooks;
  crypto: typeof crypto;
  events: typeof events;
  stream: typeof stream;
  tls: typeof tls;
  inspector: typeof inspector;
  timers: typeof timers;
  os: typeof os;
  url: typeof url;
  util: typeof util;
  v8: typeof v8;
  worker_threads: typeof workerThreads;
}

/** The async context that calls of the runtime propagate, and that its storages copy and extend. */
export type ContextObject = Record<PropertyKey, unknown> | null | undefined;

/** The internals of Deno that are used. */
export interface RuntimeCore {
  getAsyncContext(): ContextObject;
  setAsyncContext(context: ContextObject): void;
  /** The storage behind an `AsyncLocalStorage`. */
  AsyncVariable: new () => {
    /** Returns the previous context object. */
    enter(value: unknown): ContextObject;
    get(): unknown;
  };
  /** Drains the microtask queue, unless it is called by a microtask. */
  runMicrotasks(): void;
  /** The state of a promise (0 pending, 1 fulfilled, 2 rejected) and its outcome. */
  getPromiseDetails(promise: Promise<unknown>): [state: number, value: unknown];
  /** A timer that is not part of the program: test sanitizers and fake clocks ignore it. */
  createSystemTimer(fn: () => void, after: number, isRefed: boolean): object;
  cancelTimer(timer: object): void;
  /** `false` if the program would end now; only valid in a `setImmediate` callback. Always `true` while a module is being evaluated. */
  eventLoopHasMoreWork(): boolean;
  /** Whether an operation is pending. Operations are numbered from 0. */
  hasPromise(id: number): boolean;
  readonly promiseIdSymbol: symbol;
  getActiveImmediateCount(): number;
  /** The names of open resources by resource id. */
  resources(): Record<string, string>;
  readonly ops: { op_void_async_deferred(): Promise<void> };
}

/** The clock and scheduling functions of a loop. A virtual clock can replace the real one. */
export interface LoopHost {
  /** The time in seconds on a monotonic clock. */
  now(): number;
  /** Calls `turn` on the next turn of the runtime's event loop, after its sockets and timers. */
  soon(turn: () => void): void;
  /** Calls `turn` at the time `when`. Replaces the previous call. */
  wakeAt(when: number, turn: () => void): void;
  /** Cancels the last `wakeAt`. */
  forget(): void;
}

/** The longest delay of the runtime's timers, in milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/**
 * Globals of Node that Deno and Bun have too. Deno loads them on first access.
 * Browsers lack them.
 */
const globals = globalThis as unknown as {
  process: typeof process;
  setImmediate: typeof timers.setImmediate;
  // deno-lint-ignore no-explicit-any
  Deno?: any;
  navigator?: { userAgent?: string };
};

const { Deno: deno } = globals;

/** The name of the runtime, for messages. */
export const runtime: string = deno !== undefined
  ? "Deno"
  : "Bun" in globalThis
  ? "Bun"
  : globals.navigator?.userAgent?.split("/")[0] ?? "Node.js";

/** The oldest version of Deno that the tests pass on. */
const OLDEST_DENO: readonly [number, number] = [2, 7];

if (isOlder(deno?.version?.deno, OLDEST_DENO)) {
  throw new Error(
    `Cannot load asyncio: it needs Deno ${
      OLDEST_DENO.join(".")
    } or newer, and this is ${deno.version.deno}`,
  );
}

/** Whether a version, such as `"2.6.1"`, comes before another. */
export function isOlder(
  version: string | undefined,
  [major, minor]: readonly [number, number],
): boolean {
  if (version === undefined) return false;
  const [ownMajor = 0, ownMinor = 0] = version.split(".").map(Number);
  return ownMajor < major || ownMajor === major && ownMinor < minor;
}

/** The internals of Deno. Any of them may be missing. */
export const runtimeCore: Partial<RuntimeCore> = deno?.[deno.internal]?.core ??
  {};

/** Whether Node modules are available, without which no task can run. */
export const hasNode: boolean = deno !== undefined ||
  typeof globals.process?.getBuiltinModule === "function";

/** The number of this module's pending operations that do not keep the program alive. */
export const ownOperations = { count: 0 };

/** The pending operations of an unreferenced worker: for its messages and for its end. */
export const WORKER_OPERATIONS = 2;

/** Loads a Node module. */
export function node<K extends keyof NodeModules>(name: K): NodeModules[K] {
  if (!hasNode) {
    throw unsupported(`load node:${name}`);
  }
  return globals.process.getBuiltinModule(`node:${name}`) as NodeModules[K];
}

/** Calls a function on the next turn of the runtime's event loop, after its sockets and timers. */
export function nextTurn(fn: () => void): void {
  if (!hasNode) throw unsupported("run a task");
  globals.setImmediate(fn);
}

/** The error of a call that needs a module or global of Node. */
export function unsupported(action: string): Error {
  return new Error(
    `Cannot ${action}: asyncio runs on Deno, Node.js 22 or newer, and Bun, and this is ${runtime}`,
  );
}

/** The real clock, and the scheduling functions of the runtime. */
export function systemHost(): LoopHost {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const now = () => performance.now() / 1000;
  const forget = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  const wakeAt = (when: number, turn: () => void) => {
    clearTimeout(timer);
    const wait = Math.ceil((when - now()) * 1000);
    timer = wait > LONGEST_TIMEOUT
      ? setTimeout(() => wakeAt(when, turn), LONGEST_TIMEOUT)
      : setTimeout(turn, Math.max(0, wait));
  };
  return { now, soon: nextTurn, wakeAt, forget };
}

const { setTimeout: startTimer, clearTimeout: stopTimer } = globalThis;

/**
 * Calls a function after a delay in real time, even under a fake clock. The
 * timer keeps the process alive only if `keepsAlive`. Returns a function that
 * cancels the timer.
 */
export function systemTimer(
  seconds: number,
  fn: () => void,
  keepsAlive = false,
): () => void {
  const { createSystemTimer, cancelTimer } = runtimeCore;
  const after = seconds * 1000;
  if (createSystemTimer !== undefined && cancelTimer !== undefined) {
    const timer = createSystemTimer(fn, after, keepsAlive);
    return () => cancelTimer(timer);
  }
  const timer = startTimer(fn, after);
  if (!keepsAlive) unrefTimer(timer);
  return () => stopTimer(timer);
}

/** What keeps the process alive apart from operations: timers, sockets of Node. */
export function activeResources(): string[] {
  // Deno 2.7 lacks this function.
  return globals.process.getActiveResourcesInfo?.() ?? ["unknown"];
}

/** Whether a timer will abort a signal. Such a timer does not keep the process alive. */
export function abortsByTimer(signal: AbortSignal): boolean {
  const sources = [signal];
  for (const it of sources) {
    if (internalOf(it, "timerId") && !it.aborted) return true;
    for (const held of internalsOf(it, "sourceSignals")) {
      const source = dereference(held);
      if (source instanceof AbortSignal && !sources.includes(source)) {
        sources.push(source);
      }
    }
  }
  return false;
}

/** Whether a signal will abort by a timer that keeps the process alive, as code listens to it. */
export function holdsByTimer(signal: AbortSignal): boolean {
  const timer = internalOf(signal, "timerId");
  if (typeof timer !== "object" || timer === null || signal.aborted) {
    return false;
  }
  const key = Object.getOwnPropertySymbols(timer).find(({ description }) =>
    description === "refed"
  );
  return key !== undefined && (timer as Record<symbol, unknown>)[key] === true;
}

/** Lets the process end although a timer is pending. */
function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  if (deno !== undefined) deno.unrefTimer(timer);
  else (timer as unknown as Partial<NodeJS.Timeout>).unref?.();
}

/** Calls a function once the microtask queue is empty. */
export function afterMicrotasks(fn: () => void): void {
  globals.process.nextTick(fn);
}

const { runMicrotasks } = runtimeCore;
const settled = Promise.resolve();
let microtasksRan = false;
const onMicrotask = () => {
  microtasksRan = true;
};

/** Whether microtasks can be run here: the runtime has a function for it, and this code is not a microtask. */
export function canRunMicrotasks(): boolean {
  if (typeof runMicrotasks !== "function") return false;
  microtasksRan = false;
  settled.then(onMicrotask);
  runMicrotasks();
  return microtasksRan;
}

/** The processor time of this process in microseconds; since an earlier result, if given. */
export function cpuUsage(since?: NodeJS.CpuUsage): NodeJS.CpuUsage {
  return globals.process.cpuUsage(since);
}

/** An environment variable; `undefined` if reading it would prompt. */
export function environment(variable: string): string | undefined {
  if (deno === undefined) return globals.process?.env[variable];
  return isEnvReadable(variable) ? deno.env.get(variable) : undefined;
}

/** Whether an environment variable may be read without a prompt. */
export function isEnvReadable(variable: string): boolean {
  if (deno === undefined) return true;
  const { state } = deno.permissions.querySync({ name: "env", variable });
  return state === "granted";
}

/** Options of {@linkcode inspect}. */
export interface InspectOptions {
  colors?: boolean;
  depth?: number;
  breakLength?: number;
}

/** A value as the console shows it. */
export function inspect(value: unknown, options: InspectOptions = {}): string {
  if (deno !== undefined) return deno.inspect(value, options);
  return node("util").inspect(value, options);
}

/**
 * Calls a function whenever the process receives a signal. Returns a function
 * that removes the listener.
 *
 * @throws {TypeError} If the system does not have the signal.
 */
export function onSignal(name: string, fn: () => void): () => void {
  if (deno !== undefined) {
    deno.addSignalListener(name, fn);
    return () => deno.removeSignalListener(name, fn);
  }
  const signals = hasNode ? node("os").constants.signals : {};
  const refused = `Cannot listen to a signal: this system has no ${name}`;
  if (!Object.hasOwn(signals, name)) throw new TypeError(refused);
  try {
    globals.process.on(name, fn);
  } catch (cause) {
    throw new TypeError(`${refused} that a program can hear`, { cause });
  }
  return () => globals.process.off(name, fn);
}

/** Calls a function when the process ends. Returns a function that removes the listener. */
export function onExit(fn: () => void): () => void {
  if (deno === undefined) {
    globals.process.on("exit", fn);
    return () => globals.process.off("exit", fn);
  }
  globalThis.addEventListener("unload", fn);
  return () => globalThis.removeEventListener("unload", fn);
}

/**
 * Calls a function whenever nothing keeps the process alive any more. Work that
 * the function starts keeps it alive. Returns a function that removes the
 * listener; `null` if the runtime has no such event.
 */
export function onIdle(fn: () => void): (() => void) | null {
  if (deno !== undefined || !hasNode) return null;
  globals.process.on("beforeExit", fn);
  return () => globals.process.off("beforeExit", fn);
}

/** The process id. */
export function processId(): number {
  return globals.process.pid;
}

const { getPromiseDetails } = runtimeCore;

/** Whether the value of a fulfilled promise can be read synchronously. */
export const readsPromises: boolean = typeof getPromiseDetails === "function";

/** The value of a fulfilled promise; `null` if it is not fulfilled, or this is unknown. */
export function fulfilledWith(promise: unknown): { value: unknown } | null {
  if (!readsPromises || !(promise instanceof Promise)) return null;
  const [state, value] = getPromiseDetails!(promise);
  return state === 1 ? { value } : null;
}

/** The signals that `AbortSignal.any` and `Request` derived from a signal, as far as known. */
export function dependentsOf(signal: AbortSignal): AbortSignal[] {
  const found = [signal];
  for (const it of found) {
    for (const held of internalsOf(it, "dependentSignals")) {
      const dependent = dereference(held);
      if (dependent instanceof AbortSignal && !found.includes(dependent)) {
        found.push(dependent);
      }
    }
  }
  return found.slice(1);
}

/**
 * Whether a signal aborts a pending `fetch` or `pipeTo`. They reject with the
 * reason, but only after the request or the streams have ended, some turns later.
 */
export function abortsFetch(signal: AbortSignal): boolean {
  for (const call of internalsOf(signal, "abortAlgos")) {
    const { name } = call as { name?: unknown };
    if (name === "onabort" || name === "abortAlgorithm") return true;
  }
  return false;
}

function dereference(ref: unknown): unknown {
  try {
    return WeakRef.prototype.deref.call(ref as WeakRef<WeakKey>);
  } catch {
    return undefined; // no weak reference
  }
}

/** The items of an internal set of a signal. */
function internalsOf(signal: AbortSignal, name: string): Iterable<unknown> {
  const held = internalOf(signal, name);
  const isIterable = typeof held === "object" && held !== null &&
    Symbol.iterator in held;
  return isIterable ? held as Iterable<unknown> : [];
}

/** Whether a function is a global of the runtime. Some of these show their source. */
export function isRuntimeFunction(fn: { readonly name: string }): boolean {
  return [globalThis, deno ?? {}, console].some((it) =>
    Object.getOwnPropertyDescriptor(it, fn.name)?.value === fn
  );
}

/** The module of a worker. It is short because the runtime quotes it in errors; the program is passed separately. */
const WORKER_MODULE = `
import process from "node:process";
import { workerData } from "node:worker_threads";
const [start, program] = workerData.map(eval);
start(process, import.meta.url, program);
`;

/**
 * Starts a worker thread: passes its program what it needs from the runtime.
 * It is a string because a bundler could change code.
 *
 * The call that started something is known from its async context. Deno does
 * not restore this for errors in timers, so timers record their call.
 */
const WORKER_START = `(process, url, program) => {
  const module = (name) => process.getBuiltinModule("node:" + name);
  const { parentPort } = module("worker_threads");
  const postMessage = parentPort.postMessage.bind(parentPort);
  const scope = globalThis, { Deno } = scope;
  const calls = new (module("async_hooks").AsyncLocalStorage)();
  let thrown;
  const guard = (fn, call) => function (...args) {
    try {
      return fn.apply(this, args);
    } catch (error) {
      thrown = { error, call };
      throw error;
    }
  };
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
    const start = scope[name];
    const timer = (fn, ...rest) => {
      const call = calls.getStore();
      const isKnown = typeof fn === "function" && call !== undefined;
      return start.call(scope, isKnown ? guard(fn, call) : fn, ...rest);
    };
    const { prototype: _, ...own } = Object.getOwnPropertyDescriptors(start);
    scope[name] = Object.defineProperties(timer, own);
  }
  const listen = (onMessage, onError) => {
    if (Deno) scope.onmessage = (event) => onMessage(event.data);
    else parentPort.on("message", onMessage);
    const onFailure = (error) => {
      const call = thrown?.error === error ? thrown.call : calls.getStore();
      thrown = undefined;
      onError(error, call);
    };
    if (Deno === undefined) {
      process.on("uncaughtException", onFailure)
        .on("unhandledRejection", onFailure);
      return;
    }
    for (const [type, what] of [["error", "error"], ["unhandledrejection", "reason"]]) {
      addEventListener(type, (event) => {
        event.preventDefault();
        onFailure(event[what]);
      });
    }
  };
  program({
    url,
    listen,
    errors: Deno?.errors ?? {},
    post: postMessage,
    close: () => Deno ? scope.close() : process.exit(),
    enter: (call, fn, ...args) => calls.run(call, () => fn(...args)),
    // The engine of Bun has no limit, and the number it reports grows with the heap.
    heapLimit: () => scope.Bun ? 0 : module("v8").getHeapStatistics().heap_size_limit,
  });
  // Functions may use these names for their own variables.
  for (const name of ["name", "postMessage", "onmessage", "nodeBootstrap", "require"]) {
    delete scope[name];
  }
}
//# sourceURL=asyncio:thread`;

const MEBIBYTE = 2 ** 20;

/**
 * Starts a worker thread. An explicit memory limit, equal to the default, makes
 * only the thread fail when it runs out of memory, and not the process.
 *
 * @param program The program: an expression whose value is a function.
 */
export function startWorker(program: string): workerThreads.Worker {
  const { SHARE_ENV, Worker } = node("worker_threads");
  const { heap_size_limit } = node("v8").getHeapStatistics();
  const url = `data:text/javascript,${encodeURIComponent(WORKER_MODULE)}`;
  return new Worker(new URL(url), {
    workerData: [WORKER_START, program],
    // Otherwise Deno would copy the environment, which needs a permission.
    ...("deno" in globals.process.versions && { env: SHARE_ENV as never }),
    resourceLimits: {
      maxOldGenerationSizeMb: Math.floor(heap_size_limit / MEBIBYTE),
    },
  });
}

/** Node's names of internal fields of a signal, by Deno's names. */
const NODE_FIELDS: Record<string, string> = {
  timerId: "kTimeout",
  sourceSignals: "kSourceSignals",
  dependentSignals: "kDependantSignals",
};

function internalOf(signal: AbortSignal, name: string): unknown {
  const key = Object.getOwnPropertySymbols(signal).find(({ description }) =>
    description === `[[${name}]]` || description === NODE_FIELDS[name]
  );
  return key && (signal as unknown as Record<symbol, unknown>)[key];
}

/** The source of a function, even if it overrides `toString`. */
export const sourceOf: () => string = Function.prototype.toString;
let resolverSource = "";
new Promise<void>((resolve) => {
  resolverSource = sourceOf.call(resolve);
  resolve();
});

/** Whether a function is one that the engine created to settle a promise. */
export function isResolver(fn: unknown): boolean {
  return typeof fn === "function" && fn.name === "" &&
    sourceOf.call(fn) === resolverSource;
}
