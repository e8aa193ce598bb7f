/**
 * The program of a worker thread.
 *
 * The program cannot be a file, as reading it would need a permission, and it
 * has to survive bundlers. So it is a string in `_thread_program.ts`, which
 * `_test/make_thread_program.ts` generates from this file and its imports.
 * Nothing else imports values from this file.
 *
 * @module
 */

import { callLoop } from "./_thread_channel.ts";
import {
  compile,
  type Definition,
  explain,
  explainModule,
  load,
  nameOfDefinition,
} from "./_thread_function.ts";
import {
  claimTransfers,
  describeKind,
  type ErrorClass,
  ErrorClasses,
  excerpt,
  explainCloneError,
  pack,
  type Packed,
  transfer,
} from "./_thread_serialize.ts";
import * as exceptions from "./exceptions.ts";

/**
 * A call as posted to a worker: the id of the function and its arguments; with
 * the first call of a function also its definition and the ids of functions to
 * forget. `null` ends the worker.
 */
export type Request =
  | [
    id: number,
    args: unknown[],
    definition?: Definition,
    forgotten?: readonly number[],
  ]
  | null;

/** What a worker posts: the outcome of a call, an uncaught error of an earlier call, or why the thread ends. */
export type Reply =
  | [kind: "result", value: unknown]
  | [kind: "error", error: Packed]
  | [kind: "stray", error: Packed, name: string]
  | [kind: "crashed", error: Packed]
  | [kind: "outOfMemory"];

type Callable = (...args: unknown[]) => unknown;

/** A function that was sent; `fn` is set once it is compiled or imported. */
interface Target {
  readonly definition: Definition;
  fn: Callable | null;
}

/** A running call, or one that left something running. */
interface Call {
  readonly definition: Definition;
}

/** What the program needs from its runtime; see `WORKER_START` in `_host.ts`. */
interface WorkerRuntime {
  /** The URL of the program. */
  readonly url: string;
  readonly errors: Record<string, ErrorClass>;
  post(reply: Reply, moves?: Transferable[]): void;
  close(): void;
  /** Calls a function so that errors of what it starts are attributed to a call. */
  enter<T>(call: Call, fn: (...args: unknown[]) => T, ...args: unknown[]): T;
  /** The number of bytes the thread may use before the runtime ends it. */
  heapLimit(): number;
  /** Listens for requests, and for uncaught errors with the call they come from, if known. */
  listen(
    onRequest: (request: Request) => void,
    onError: (error: unknown, call: Call | undefined) => void,
  ): void;
}

/** The interval of memory checks during calls, in milliseconds. */
const MEMORY_POLL_MS = 250;
/** The name of this program in stacks. */
const PROGRAM = "asyncio:thread";

/** Runs calls in a worker thread, one at a time. */
class CallRunner {
  readonly #runtime: WorkerRuntime;
  readonly #targets = new Map<number, Target>();
  /** The running call. */
  #call: Call | null = null;
  /** The number of calls so far, including the running one. */
  #callCount = 0;
  /** Whether a call was running at any time since the last memory check. */
  #active = false;
  #memoryPoll: ReturnType<typeof setInterval> | undefined;

  constructor(runtime: WorkerRuntime) {
    this.#runtime = runtime;
  }

  onRequest(request: Request): void {
    if (request === null) return this.#runtime.close();
    const [id, args, definition, evicted = []] = request;
    if (this.#memoryPoll === undefined) this.#pollMemory();
    this.#active = true;
    this.#callCount++;
    for (const id of evicted) this.#targets.delete(id);
    if (definition !== undefined) {
      this.#targets.set(id, { definition, fn: null });
    }
    const target = this.#targets.get(id)!;
    if (target.fn !== null) this.#start({ ...target }, target.fn, args);
    else void this.#define(target, args);
  }

  /**
   * Handles an uncaught error. If it comes from the running call, that fails,
   * as it may now never end. If it comes, or may come, from an earlier call,
   * the running call continues.
   */
  onError(error: unknown, call: Call | undefined): void {
    const isOwn = call === undefined
      ? this.#callCount === 1
      : call === this.#call;
    const packed = packClean(error);
    if (this.#call !== null && isOwn) {
      this.#runtime.post(["crashed", packed]);
      this.#runtime.close();
    } else {
      const name = call === undefined ? "" : nameOfDefinition(call.definition);
      this.#runtime.post(["stray", packed, name]);
    }
  }

  async #define(target: Target, args: unknown[]): Promise<void> {
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
      trimStack(error);
      return this.#fail(explainModule(error, definition, this.#runtime.url));
    }
    this.#start(call, target.fn, args);
  }

  #start(call: Call, fn: Callable, args: unknown[]): void {
    this.#call = call;
    try {
      const value = this.#runtime.enter(call, fn, ...args);
      const then = (value as PromiseLike<unknown> | null | undefined)?.then;
      if (typeof then !== "function") return this.#reply(value);
      Promise.resolve(value).then(
        (value) => this.#reply(value),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #reply(value: unknown): void {
    const name = nameOfDefinition(this.#call!.definition);
    const transfers = claimTransfers(value);
    try {
      this.#runtime.post(["result", value], transfers);
      this.#call = null;
    } catch (error) {
      const action = `Cannot return the result of ${name} from its thread`;
      this.#fail(
        explainCloneError({ action, value, name: "result", transfers }, error),
      );
    }
  }

  #fail(error: unknown): void {
    const { definition } = this.#call!;
    this.#call = null;
    try {
      const explained = error instanceof Error && "source" in definition
        ? explain(error, definition, this.#runtime.url)
        : error;
      this.#runtime.post(["error", packClean(explained)]);
    } catch {
      // A field throws, or the chain of causes is endless.
      const unreadable = new Error(
        `Cannot send an error from a thread: ${describeKind(error)}`,
      );
      this.#runtime.post(["error", pack(unreadable)]);
    }
  }

  /**
   * Deno ends a thread that uses too much memory, but reports it only if that
   * happens in a callback of its own. After an `await` it drops the running
   * code, raises the limit and continues, so the call would never end.
   */
  #pollMemory(): void {
    const limit = this.#runtime.heapLimit();
    this.#memoryPoll = setInterval(() => {
      if (this.#runtime.heapLimit() > limit) {
        this.#runtime.post(["outOfMemory"]);
        this.#runtime.close();
      }
      if (!this.#active) {
        clearInterval(this.#memoryPoll);
        this.#memoryPoll = undefined;
      }
      this.#active = this.#call !== null;
    }, MEMORY_POLL_MS);
  }
}

/** The entry point of the program. */
export function start(runtime: WorkerRuntime): void {
  const errors = Object.fromEntries(
    Object.values(exceptions).map((it) => [it.prototype.name, it]),
  );
  ErrorClasses.addNamed({ ...runtime.errors, ...errors });
  const globals = {
    self: globalThis,
    ...errors,
    transfer,
    runCoroutineThreadsafe: (name: string, loop: unknown, ...args: unknown[]) =>
      callLoop(name, loop, args, framesOf),
    // A helper that bundlers call to keep function names.
    __name: (fn: object, value: string) =>
      Object.defineProperty(fn, "name", { value, configurable: true }),
  };
  for (const [name, value] of Object.entries(globals)) {
    const rules = { writable: true, configurable: true, enumerable: false };
    Object.defineProperty(globalThis, name, { value, ...rules });
  }
  const server = new CallRunner(runtime);
  runtime.listen(
    (request) => server.onRequest(request),
    (error, call) => server.onError(error, call),
  );
}

/** The frames of a stack outside of this program. */
function framesOf(at: Error): string[] {
  const lines = (at.stack ?? "").split("\n");
  return lines.filter((line) => /^\s+at /.test(line))
    .filter((line) => !/asyncio:thread|\b(?:ext|node):/.test(line))
    .map((line) => line.trim().slice("at ".length));
}

/** Packs an error without the frames of this program and without programs in data URLs. */
function packClean(error: unknown): Packed {
  try {
    trimStack(error);
    const isError = error instanceof Error;
    const message = isError ? shortenUrls(error.message) : "";
    if (isError && message !== error.message) error.message = message;
  } catch {
    // The error is frozen, or a field throws.
  }
  return pack(error);
}

function trimStack(error: unknown): void {
  if (!(error instanceof Error) || typeof error.stack !== "string") return;
  const lines = shortenUrls(error.stack).split("\n");
  const own = lines.findIndex((line) => line.includes(PROGRAM));
  error.stack = lines.slice(0, own < 0 ? lines.length : own).join("\n");
}

/** Shortens the data URLs in a text. */
function shortenUrls(text: string): string {
  return text.replace(/data:[^\s"'()<>]{80,}/g, excerpt);
}
