/**
 * What this module takes from its runtime, which is Deno, Node or Bun. Sockets,
 * processes and files are Deno's alone and no part of it.
 *
 * A module of Node takes the host 5 to 20 ms to load, in every program that
 * imports it. So they are loaded when something of them is first called.
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

/** The modules of Node that are used here. */
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

/** What the calls of the host hand on with the code, and its storages copy and extend. */
export type ContextObject = Record<PropertyKey, unknown> | null | undefined;

/** What lies under the public names of the host, as far as it is used here. */
export interface RuntimeCore {
  getAsyncContext(): ContextObject;
  setAsyncContext(context: ContextObject): void;
  /** The storage under an `AsyncLocalStorage`. */
  AsyncVariable: new () => {
    /** Returns the context object from before. */
    enter(value: unknown): ContextObject;
    get(): unknown;
  };
  /** Runs the microtasks dry, unless it is called by one. */
  runMicrotasks(): void;
  /** The state of a promise (0 pending, 1 fulfilled, 2 rejected) and its outcome. */
  getPromiseDetails(promise: Promise<unknown>): [state: number, value: unknown];
  /** A timer that is no work of the program: neither its tests nor fake clocks see it. */
  createSystemTimer(fn: () => void, after: number, isRefed: boolean): object;
  cancelTimer(timer: object): void;
  /** Whether the program would end now, asked by `setImmediate`; never while a module is being evaluated. */
  eventLoopHasMoreWork(): boolean;
  /** Whether an operation is under way; they are numbered from 0. */
  hasPromise(id: number): boolean;
  readonly promiseIdSymbol: symbol;
  getActiveImmediateCount(): number;
  /** The names of open resources by their numbers. */
  resources(): Record<string, string>;
  readonly ops: { op_void_async_deferred(): Promise<void> };
}

/** The clock and the pump under a loop; a virtual one can take its place. */
export interface LoopHost {
  /** Seconds on a clock that never goes back. */
  now(): number;
  /** Calls `turn` on a new turn of the host, after its sockets and timers have had theirs. */
  soon(turn: () => void): void;
  /** Calls `turn` once `when` has come, instead of what was asked for before. */
  wakeAt(when: number, turn: () => void): void;
  /** Takes back the last `wakeAt`. */
  forget(): void;
}

/** The host's timers count milliseconds in 31 bits. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/**
 * The globals that Node has, and the others with it: Deno loads them at the
 * first look. In a browser they are missing.
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

/** What lies under the public names of Deno. No part of it is promised to be there. */
export const runtimeCore: Partial<RuntimeCore> = deno?.[deno.internal]?.core ??
  {};

/** Whether there are modules of Node, without which no task can run. */
export const hasNode: boolean = deno !== undefined ||
  typeof globals.process?.getBuiltinModule === "function";

/** Operations that this module has under way and that keep no program alive. */
export const ownOperations = { count: 0 };

/** A worker that nothing waits for has so many operations under way: for its messages, and for its end. */
export const WORKER_OPERATIONS = 2;

/** Loads a module of Node. */
export function node<K extends keyof NodeModules>(name: K): NodeModules[K] {
  if (!hasNode) {
    throw notHere(`load node:${name}`);
  }
  return globals.process.getBuiltinModule(`node:${name}`) as NodeModules[K];
}

/** Calls a function on a fresh turn of the host, after its sockets and timers had theirs. */
export function nextTurn(fn: () => void): void {
  if (!hasNode) throw notHere("run a task");
  globals.setImmediate(fn);
}

/** An error for what needs a module or a global of Node. */
export function notHere(action: string): Error {
  return new Error(
    `Cannot ${action}: asyncio runs on Deno, Node.js 22 or newer, and Bun, and this is ${runtime}`,
  );
}

/** The clock and the pump of the host. */
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
 * Calls a function after a real time, fake clocks or not. The process stays
 * for it only if `holds`. Returns what prevents it.
 */
export function systemTimer(
  seconds: number,
  fn: () => void,
  holds = false,
): () => void {
  const { createSystemTimer, cancelTimer } = runtimeCore;
  const after = seconds * 1000;
  if (createSystemTimer !== undefined && cancelTimer !== undefined) {
    const timer = createSystemTimer(fn, after, holds);
    return () => cancelTimer(timer);
  }
  const timer = startTimer(fn, after);
  if (!holds) unrefTimer(timer);
  return () => stopTimer(timer);
}

/** What keeps the process beside operations: timers, sockets of Node. */
export function activeResources(): string[] {
  // Deno 2.7 does not tell.
  return globals.process.getActiveResourcesInfo?.() ?? ["unknown"];
}

/** Whether a signal will abort by a timer, which does not keep the process. */
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

/** Whether a signal will abort by a timer that keeps the process, as somebody listens to it. */
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

/** Has a timer no longer keep the process. */
function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  if (deno !== undefined) deno.unrefTimer(timer);
  else (timer as unknown as Partial<NodeJS.Timeout>).unref?.();
}

/** Calls a function once the microtasks have run dry. */
export function afterMicrotasks(fn: () => void): void {
  globals.process.nextTick(fn);
}

const { runMicrotasks } = runtimeCore;
const settled = Promise.resolve();
let microtasksRan = false;
const noteRun = () => {
  microtasksRan = true;
};

/** Whether the microtasks can be run here: the host offers it, and this is none of them. */
export function canRunMicrotasks(): boolean {
  if (typeof runMicrotasks !== "function") return false;
  microtasksRan = false;
  settled.then(noteRun);
  runMicrotasks();
  return microtasksRan;
}

/** The processor time that this process has used, in microseconds; since an earlier answer, if there is one. */
export function cpuUsage(since?: NodeJS.CpuUsage): NodeJS.CpuUsage {
  return globals.process.cpuUsage(since);
}

/** A variable of the environment, as far as it may be read without a prompt. */
export function environment(variable: string): string | undefined {
  if (deno === undefined) return globals.process?.env[variable];
  return isReadable(variable) ? deno.env.get(variable) : undefined;
}

/** Whether a variable of the environment may be read without a prompt. */
export function isReadable(variable: string): boolean {
  if (deno === undefined) return true;
  const { state } = deno.permissions.querySync({ name: "env", variable });
  return state === "granted";
}

/** How {@linkcode inspect} shows a value. */
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
 * Calls a function whenever the process gets a signal. Returns what ends that.
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

/** Calls a function when the process ends. Returns what prevents that. */
export function onExit(fn: () => void): () => void {
  if (deno === undefined) {
    globals.process.on("exit", fn);
    return () => globals.process.off("exit", fn);
  }
  globalThis.addEventListener("unload", fn);
  return () => globalThis.removeEventListener("unload", fn);
}

/**
 * Calls a function whenever nothing is left that keeps the process, which
 * stays for what that begins. Returns what ends it, `null` where the runtime
 * does not tell.
 */
export function onIdle(fn: () => void): (() => void) | null {
  if (deno !== undefined || !hasNode) return null;
  globals.process.on("beforeExit", fn);
  return () => globals.process.off("beforeExit", fn);
}

/** The number of the process. */
export function processId(): number {
  return globals.process.pid;
}

const { getPromiseDetails } = runtimeCore;

/** Whether the runtime tells at once what a promise is fulfilled with. */
export const readsPromises: boolean = typeof getPromiseDetails === "function";

/** What a promise is fulfilled with already; `null` if it is not, or nobody can tell. */
export function fulfilledWith(promise: unknown): { value: unknown } | null {
  if (!readsPromises || !(promise instanceof Promise)) return null;
  const [state, value] = getPromiseDetails!(promise);
  return state === 1 ? { value } : null;
}

/** The signals that `AbortSignal.any` and `Request` have made of one, as far as that can be seen. */
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
 * Whether a `fetch` or `pipeTo` is under way that a signal ends. It rejects with the
 * reason, but not before the request or the streams have ended, some turns later.
 */
export function endsFetch(signal: AbortSignal): boolean {
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

/** What a signal keeps in a set under a symbol of the runtime, which no public name leads to. */
function internalsOf(signal: AbortSignal, name: string): Iterable<unknown> {
  const held = internalOf(signal, name);
  const isIterable = typeof held === "object" && held !== null &&
    Symbol.iterator in held;
  return isIterable ? held as Iterable<unknown> : [];
}

/** Whether a function is one of the runtime's, which shows the source of some. */
export function isOfRuntime(fn: { readonly name: string }): boolean {
  return [globalThis, deno ?? {}, console].some((it) =>
    Object.getOwnPropertyDescriptor(it, fn.name)?.value === fn
  );
}

/** All of a worker's module, as the runtime quotes it in errors: it runs what comes beside it. */
const WORKER_MODULE = `
import process from "node:process";
import { workerData } from "node:worker_threads";
const [start, program] = workerData.map(eval);
start(process, import.meta.url, program);
`;

/**
 * The beginning of a worker thread: what its program takes from its runtime.
 * It is a text, as a bundler could change code.
 *
 * What a call has started is known by its async context, which Deno does not
 * restore for an error of a timer: those remember their call themselves.
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
    const hear = (error) => {
      const call = thrown?.error === error ? thrown.call : calls.getStore();
      thrown = undefined;
      onError(error, call);
    };
    if (Deno === undefined) {
      process.on("uncaughtException", hear).on("unhandledRejection", hear);
      return;
    }
    for (const [type, what] of [["error", "error"], ["unhandledrejection", "reason"]]) {
      addEventListener(type, (event) => {
        event.preventDefault();
        hear(event[what]);
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
    // The engine of Bun has none, and what it tells grows with the heap.
    heapLimit: () => scope.Bun ? 0 : module("v8").getHeapStatistics().heap_size_limit,
  });
  // A function's own names are not to be mistaken for these.
  for (const name of ["name", "postMessage", "onmessage", "nodeBootstrap", "require"]) {
    delete scope[name];
  }
}
//# sourceURL=asyncio:thread`;

const MEBIBYTE = 2 ** 20;

/**
 * Starts a worker thread. With a limit of its own, set to what it would be
 * anyway, it runs out of memory alone.
 *
 * @param program Its program: an expression whose value is a function.
 */
export function startWorker(program: string): workerThreads.Worker {
  const { SHARE_ENV, Worker } = node("worker_threads");
  const { heap_size_limit } = node("v8").getHeapStatistics();
  const url = `data:text/javascript,${encodeURIComponent(WORKER_MODULE)}`;
  return new Worker(new URL(url), {
    workerData: [WORKER_START, program],
    // Otherwise Deno would read the environment to copy it, and that takes a permission.
    ...("deno" in globals.process.versions && { env: SHARE_ENV as never }),
    resourceLimits: {
      maxOldGenerationSizeMb: Math.floor(heap_size_limit / MEBIBYTE),
    },
  });
}

/** What Node calls the fields of a signal that Deno names otherwise. */
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

/** The source of a function, whatever it has made of its own `toString`. */
export const sourceOf: () => string = Function.prototype.toString;
let resolverSource = "";
new Promise<void>((resolve) => {
  resolverSource = sourceOf.call(resolve);
  resolve();
});

/** Whether a function is the host's own, made to settle a promise. */
export function isResolver(fn: unknown): boolean {
  return typeof fn === "function" && fn.name === "" &&
    sourceOf.call(fn) === resolverSource;
}
