/**
 * What a worker thread runs.
 *
 * Its program has to come without a file, as reading one would need a
 * permission, and has to survive whatever a bundler does to this module. So
 * it is a text, `_thread_program.ts`, which `_test/make_thread_program.ts`
 * makes of this file and of those that it imports. Nothing else imports
 * values of this file.
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
 * A call, as it is posted to a worker: the number of its function, its
 * arguments; with the first call of a function its definition; and functions
 * that can be forgotten. `null` ends the worker.
 */
export type Request =
  | [
    id: number,
    args: unknown[],
    definition?: Definition,
    forgotten?: readonly number[],
  ]
  | null;

/** How a call or its thread has ended, as a worker posts it; or an error that a call has left behind. */
export type Reply =
  | [kind: "result", value: unknown]
  | [kind: "error", error: Packed]
  | [kind: "stray", error: Packed, name: string]
  | [kind: "crashed", error: Packed]
  | [kind: "outOfMemory"];

type Callable = (...args: unknown[]) => unknown;

/** A function that was sent, and can be called once it is defined. */
interface Target {
  readonly definition: Definition;
  fn: Callable | null;
}

/** A call under way, or one that has left something behind. */
interface Call {
  readonly definition: Definition;
}

/** What the program takes from its runtime: see `WORKER_START` in `_host.ts`. */
interface WorkerRuntime {
  /** What the runtime calls the program. */
  readonly url: string;
  readonly errors: Record<string, ErrorClass>;
  post(reply: Reply, moves?: Transferable[]): void;
  close(): void;
  /** Calls a function, so that what it starts is known to be of a call. */
  enter<T>(call: Call, fn: (...args: unknown[]) => T, ...args: unknown[]): T;
  /** How many bytes the thread may use before the runtime ends it. */
  heapLimit(): number;
  /** Hears requests; and errors that nothing has caught, with the call that they come of, if that is known. */
  listen(
    onRequest: (request: Request) => void,
    onError: (error: unknown, call: Call | undefined) => void,
  ): void;
}

/** How often memory is looked after during calls, in milliseconds. */
const MEMORY_POLL_MS = 250;
/** What this program is called in stacks. */
const PROGRAM = "asyncio:thread";

/** Runs calls in a worker thread, one at a time. */
class CallRunner {
  readonly #runtime: WorkerRuntime;
  readonly #targets = new Map<number, Target>();
  /** The call under way. */
  #call: Call | null = null;
  /** Calls that there were, the one under way included. */
  #callCount = 0;
  /** Whether a call has begun or is under way since the last look. */
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
   * An error that nothing has caught. If it comes of the call under way, that
   * fails, as it may now never end. If a call before it has left the error
   * behind, or may have, the call under way goes on.
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
      const told = error instanceof Error && "source" in definition
        ? explain(error, definition, this.#runtime.url)
        : error;
      this.#runtime.post(["error", packClean(told)]);
    } catch {
      // Its fields throw, or its causes have no end.
      const told = new Error(
        `An error that cannot be sent: ${describeKind(error)}`,
      );
      this.#runtime.post(["error", pack(told)]);
    }
  }

  /**
   * Deno ends a thread that uses too much memory, but says so only if that
   * happens in a callback of its own. In the continuation of an `await` it
   * drops what was running, raises the limit and goes on: then the call would
   * never end.
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

/** The beginning of the program. */
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
    // What bundlers that keep names have around the functions in a function.
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

/** The frames of a stack above this program. */
function framesOf(at: Error): string[] {
  const lines = (at.stack ?? "").split("\n");
  return lines.filter((line) => /^\s+at /.test(line))
    .filter((line) => !/asyncio:thread|\b(?:ext|node):/.test(line))
    .map((line) => line.trim().slice("at ".length));
}

/** Leaves out of an error what led to the function that was called, and the programs in URLs. */
function packClean(error: unknown): Packed {
  try {
    trimStack(error);
    const isError = error instanceof Error;
    const message = isError ? shortenUrls(error.message) : "";
    if (isError && message !== error.message) error.message = message;
  } catch {
    // It is frozen, or its fields throw.
  }
  return pack(error);
}

function trimStack(error: unknown): void {
  if (!(error instanceof Error) || typeof error.stack !== "string") return;
  const lines = shortenUrls(error.stack).split("\n");
  const own = lines.findIndex((line) => line.includes(PROGRAM));
  error.stack = lines.slice(0, own < 0 ? lines.length : own).join("\n");
}

/** A text without the programs that stand in URLs of its own. */
function shortenUrls(text: string): string {
  return text.replace(/data:[^\s"'()<>]{80,}/g, excerpt);
}
