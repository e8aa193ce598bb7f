/**
 * What a worker thread runs.
 *
 * Its program has to come without a file, as reading one would need a
 * permission, and so is put together from the text of functions and classes
 * that this side has loaded and uses itself.
 *
 * @module
 */

import {
  CALENDAR_UNITS,
  SECONDS_PER_UNIT,
  sumOfUnits,
  toSeconds,
  unitsOf,
} from "./_duration.ts";
import { node } from "./_host.ts";
import {
  callLoop,
  encodeCloned,
  FarCall,
  growTo,
  isLoopHandle,
  Layout,
  Line,
  Messages,
  Pipe,
  ThreadFuture,
} from "./_thread_calls.ts";
import {
  cloneError,
  collectMoves,
  type ErrorClass,
  ErrorClasses,
  findFlaw,
  isCloneable,
  isContainer,
  kindOf,
  movesOfThread,
  nameOfError,
  nameOfKey,
  pack,
  type Packed,
  packError,
  partsOf,
  takeMoves,
  transfer,
  unpack,
  unpackError,
} from "./_thread_values.ts";
import { PORTABLE_CHECKS } from "./_validate.ts";
import * as exceptions from "./exceptions.ts";

/** What is to be called: a function by its source, `""` if it has no name, or one of a module. */
export type Definition =
  | { readonly name: string; readonly source: string }
  | { readonly module: string; readonly export: string };

/** A call, as it is posted to a worker. The definition comes with the first call of a function. */
export type Request = [id: number, args: unknown[], definition?: Definition];

/** How a call or its thread has ended, as a worker posts it. */
export type Reply =
  | [kind: "result", value: unknown]
  | [kind: "error", error: Packed]
  | [kind: "died", error: Packed]
  | [kind: "full"];

/** What the worker's program hands to its server. */
export interface WorkerHost {
  post(reply: Reply, moves?: Transferable[]): void;
  close(): void;
  /** How many bytes the thread may use before the host ends it. */
  heapLimit(): number;
}

/** Runs calls in a worker thread, one at a time. */
export class CallServer {
  /** How often memory is looked after during calls, in milliseconds. */
  static readonly #WATCH_MS = 250;

  readonly #host: WorkerHost;
  readonly #functions = new Map<number, (...args: unknown[]) => unknown>();
  /** Definitions of functions that were sent as source. */
  readonly #sources = new Map<number, { name: string; source: string }>();
  /** Whether a call has begun or is under way since the last look. */
  #active = false;
  #calls = 0;
  #watch: ReturnType<typeof setInterval> | undefined;

  constructor(host: WorkerHost) {
    this.#host = host;
  }

  handle([id, args, definition]: Request): void {
    if (this.#watch === undefined) this.#startWatch();
    this.#active = true;
    this.#calls++;
    const fn = this.#functions.get(id);
    if (fn !== undefined) this.#call(id, fn, args);
    else void this.#define(id, args, definition!);
  }

  /** An error that no call has caught. */
  die(error: unknown): void {
    this.#host.post(["died", pack(error)]);
    this.#host.close();
  }

  async #define(
    id: number,
    args: unknown[],
    definition: Definition,
  ): Promise<void> {
    try {
      const fn = "source" in definition
        ? compile(definition.source, definition.name)
        : await load(definition.module, definition.export);
      this.#functions.set(id, fn);
      if ("source" in definition) this.#sources.set(id, definition);
      this.#call(id, fn, args);
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #call(
    id: number,
    fn: (...args: unknown[]) => unknown,
    args: unknown[],
  ): void {
    try {
      const value = fn(...args);
      const then = (value as PromiseLike<unknown> | null | undefined)?.then;
      if (typeof then !== "function") return this.#answer(id, value);
      Promise.resolve(value).then(
        (value) => this.#answer(id, value),
        (error) => this.#fail(id, error),
      );
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #answer(id: number, value: unknown): void {
    const moves = takeMoves(value);
    try {
      this.#host.post(["result", value], moves);
      this.#calls--;
    } catch (error) {
      this.#fail(id, cloneError(value, "result", error, moves));
    }
  }

  #fail(id: number, error: unknown): void {
    const source = this.#sources.get(id);
    const told = source ? explain(error, source.name, source.source) : error;
    if (told instanceof Error) cutStack(told);
    this.#host.post(["error", pack(told)]);
    this.#calls--;
  }

  /**
   * The host ends a thread that uses too much memory, but says so only if
   * that happens in a callback of its own. In the continuation of an `await`
   * it drops what was running, raises the limit and goes on: then the call
   * would never end.
   */
  #startWatch(): void {
    const limit = this.#host.heapLimit();
    this.#watch = setInterval(() => {
      if (this.#host.heapLimit() > limit) {
        this.#host.post(["full"]);
        this.#host.close();
      }
      if (!this.#active) {
        clearInterval(this.#watch);
        this.#watch = undefined;
      }
      this.#active = this.#calls > 0;
    }, CallServer.#WATCH_MS);
  }
}

/** Makes a function of its source, which sees globals and nothing else. */
export function compile(
  source: string,
  name: string,
): (...args: unknown[]) => unknown {
  // Not called by its name, it runs in the global scope.
  const run = eval;
  const place = `toThread:${name || "anonymous"}`;
  return run(`"use strict"; (${source}\n)\n//# sourceURL=${place}`);
}

/** Gets a function of a module. */
export async function load(
  module: string,
  name: string,
): Promise<(...args: unknown[]) => unknown> {
  const exports = await import(module);
  const fn = exports[name];
  if (typeof fn === "function") return fn;
  throw new TypeError(
    `Cannot run "${name}" of ${module} in a thread: it is no function; the module exports ${
      Object.keys(exports).join(", ") || "nothing"
    }`,
  );
}

/** Says what to do about a name that the source of a function does not bring along. */
export function explain(error: unknown, fn: string, source: string): unknown {
  if (!(error instanceof ReferenceError)) return error;
  const name = /^(\S+) is not defined$/.exec(error.message)?.[1];
  if (name === undefined || !source.includes(name)) return error;
  const told = new ReferenceError(
    `Cannot use ${name} in a thread: ${
      fn || "the function"
    } was sent there as source and sees only its arguments and globals; pass ${name} as an argument, or export the function from a module and call toThread({ module: new URL("./file.ts", import.meta.url), export: "${
      fn || "name"
    }" })`,
  );
  const frames = error.stack?.slice(error.stack.indexOf("\n")) ?? "";
  told.stack = `ReferenceError: ${told.message}${frames}`;
  return told;
}

/** Leaves out of a stack what led to the function that was called. */
export function cutStack(error: Error): void {
  const lines = error.stack?.split("\n") ?? [];
  const own = lines.findIndex((line) => /\bCallServer[. ]/.test(line));
  if (own > 0) error.stack = lines.slice(0, own).join("\n");
}

/** Every error class of this module, base classes first. */
export const OWN_ERRORS: readonly ErrorClass[] = Object.values(exceptions)
  .sort((a, b) => depthOf(a) - depthOf(b));

ErrorClasses.add(OWN_ERRORS);

/** What the program of a worker consists of. */
const PARTS = [
  ...PORTABLE_CHECKS,
  ...OWN_ERRORS,
  ...[toSeconds, sumOfUnits, unitsOf],
  ...[ErrorClasses, pack, packError, nameOfError, unpack, unpackError],
  ...[transfer, takeMoves, movesOfThread, collectMoves],
  ...[cloneError, findFlaw, isCloneable, isContainer],
  ...[partsOf, nameOfKey, kindOf],
  ...[ThreadFuture, Layout, Pipe, Messages, Line, FarCall],
  ...[callLoop, isLoopHandle, encodeCloned, growTo],
  ...[CallServer, compile, load, explain, cutStack],
];

let url: URL | undefined;

/** The program of a worker. */
export function workerUrl(): URL {
  return url ??= new URL(
    `data:text/javascript,${encodeURIComponent(workerSource())}`,
  );
}

function workerSource(): string {
  const errors = OWN_ERRORS.map((it) => `${it.prototype.name}: ${nameOf(it)}`);
  return [
    `import * as v8 from "node:v8";`,
    `var ${nameOf(node)} = () => v8;`,
    `var SECONDS_PER_UNIT = ${JSON.stringify(SECONDS_PER_UNIT)};`,
    `var CALENDAR_UNITS = ${JSON.stringify(CALENDAR_UNITS)};`,
    ...PARTS.map((part) => `var ${nameOf(part)} = ${part};`),
    `var errors = { ${errors} };`,
    `${nameOf(ErrorClasses)}.add(Object.values(errors));`,
    `(${start})({`,
    `  ...errors,`,
    `  transfer: ${nameOf(transfer)},`,
    `  runCoroutineThreadsafe: (name, loop, ...args) =>`,
    `    ${nameOf(callLoop)}(name, loop, args),`,
    `}, ${nameOf(CallServer)}, () => v8.getHeapStatistics().heap_size_limit);`,
  ].join("\n");
}

/** What the other parts call it; a bundler gives a class an inner name of its own. */
function nameOf(part: { readonly name: string }): string {
  return part.name.replace(/^_/, "");
}

/** How many classes stand above a class. */
function depthOf(it: object): number {
  let depth = 0;
  let above = Object.getPrototypeOf(it);
  while (above !== null) {
    depth++;
    above = Object.getPrototypeOf(above);
  }
  return depth;
}

/** The beginning of the worker's program. */
function start(
  globals: Record<string, unknown>,
  Server: typeof CallServer,
  heapLimit: () => number,
): void {
  const scope = globalThis as unknown as {
    postMessage(value: unknown, transfer?: Transferable[]): void;
    close(): void;
    onmessage: (event: MessageEvent) => void;
    [name: string]: unknown;
  };
  const { postMessage, close } = scope;
  const server = new Server({
    post(reply, moves = []) {
      if (moves.length === 0) postMessage.call(scope, reply);
      else postMessage.call(scope, reply, moves);
    },
    close: () => close.call(scope),
    heapLimit,
  });
  scope.onmessage = ({ data }) => {
    if (data === null) close.call(scope);
    else server.handle(data);
  };
  addEventListener("error", (event) => {
    event.preventDefault();
    server.die(event.error);
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    server.die(event.reason);
  });
  // A function's own names are not to be mistaken for those of the host.
  const foreign = [
    "name",
    "postMessage",
    "onmessage",
    "nodeBootstrap",
    "require",
  ];
  for (const name of foreign) delete scope[name];
  for (const [name, value] of Object.entries({ self: scope, ...globals })) {
    const rules = { writable: true, configurable: true, enumerable: false };
    Object.defineProperty(scope, name, { value, ...rules });
  }
}
