/**
 * `toThread` and `runCoroutineThreadsafe`: calls into worker threads, and from
 * other threads to a loop.
 *
 * A loop gets its thread pool when it is first used.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import { adopt } from "./_continuation.ts";
import {
  type AnyFuture,
  type Future,
  futures,
  type WaitSource,
} from "./_future.ts";
import { currentExecution, EventLoop, getEventLoop } from "./_event_loop.ts";
import { threads } from "./_thread_hooks.ts";
import type { Task } from "./_task.ts";
import type { Coroutine } from "./_options.ts";
import { LoopLocal } from "./_loop_local.ts";
import { errorOf, onceDone } from "./_done_callbacks.ts";
import { LruMap } from "./_collections.ts";
import { isRuntimeFunction } from "./_host.ts";
import { errorsOfRuntime } from "./_system_errors.ts";
import { framesOf } from "./_call_site.ts";
import { callLoop, isLoopHandle, type LoopHandle } from "./_thread_channel.ts";
import { compile, type Definition } from "./_thread_function.ts";
import {
  type CallOutcome,
  type ThreadCall,
  type ThreadFuture,
  threadFuture,
} from "./_thread_future.ts";
import { LoopServer } from "./_thread_loop_server.ts";
import { type Target, ThreadPool } from "./_thread_pool.ts";
import {
  describeValue,
  ErrorClasses,
  excerpt,
  type ModuleFunction,
  stackAbove,
  type ThreadFunction,
  tryRead,
} from "./_thread_serialize.ts";
import { isClass, startedHint } from "./_validate.ts";
import { promiseTry } from "./_waiting_call.ts";
import * as exceptions from "./exceptions.ts";
import { RuntimeError } from "./exceptions.ts";

export type { LoopHandle } from "./_thread_channel.ts";
export { ThreadFuture } from "./_thread_future.ts";
export {
  type ModuleFunction,
  type ThreadFunction,
  transfer,
} from "./_thread_serialize.ts";

/**
 * Runs a function in a worker thread, so that it can compute or block without
 * blocking the loop.
 *
 * The thread belongs to the loop's pool of at most `min(32, cores + 4)`
 * workers, which are started on demand and reused. Further calls queue. Idle
 * threads do not keep the process alive, and closing a runner joins its
 * threads.
 *
 * **What is sent.** The function is sent as source. It can use its arguments
 * and the globals of Deno, but not the scope it was written in; using a name
 * from there throws an error that says so. A function that needs more belongs
 * in a module, which the thread imports with the permission to read it. Bound,
 * native and generator functions, methods and classes are rejected. Arguments
 * and results are structured clones, or are moved with {@linkcode transfer}.
 * `AsyncLocalStorage` values are not sent.
 *
 * An error keeps its class if that is a built-in class or one of this module;
 * otherwise it becomes the nearest such class, with its own name. It keeps its
 * message, stack, cause and grouped errors, and its stack continues with the
 * frames of the caller of `toThread`.
 *
 * A thread also has {@linkcode runCoroutineThreadsafe}, {@linkcode transfer}
 * and the error classes of this module as globals. In a minified bundle, where
 * imports are renamed, write `globalThis.transfer` and so on.
 *
 * An uncaught error from a timer or promise that a call left behind goes to the
 * loop's exception handler and affects no other call.
 *
 * If cancelled, the wait ends at once; the function runs to its end in the
 * thread, and its result or error is dropped. A call that is still queued is
 * not made.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.to_thread}.
 *
 * @typeParam F The function.
 * @param fn The function, or a module and the name of its export.
 * @param args The arguments of the function.
 * @returns What the function returns; if that is a promise, its value.
 * @throws {TypeError} If the function cannot be sent.
 * @throws {CancelledError} If the calling task is cancelled.
 * @throws {DOMException} If an argument or the result cannot be cloned: a `"DataCloneError"` with the path to the value.
 * @throws {ReferenceError} If the function uses a name from the scope it was written in.
 * @throws {RuntimeError} If the thread ends before the call is done: it ran out of memory or called `Deno.exit()`.
 * @throws Any error that the function throws.
 *
 * @example
 * ```ts
 * import { toThread } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const primes = await toThread((limit: number) => {
 *   let count = 0;
 *   for (let n = 2; n < limit; n++) {
 *     let d = 2;
 *     while (d * d <= n && n % d !== 0) d++;
 *     if (d * d > n) count++;
 *   }
 *   return count;
 * }, 10_000);
 * assert(primes === 1229);
 * ```
 *
 * @example Call a function of a module
 * ```ts
 * import { toThread } from "@asyncio/asyncio";
 * import type { basename } from "node:path";
 * import { assert } from "@std/assert";
 *
 * const name = await toThread<typeof basename>(
 *   { module: "node:path", export: "basename" },
 *   "/tmp/file.txt",
 * );
 * assert(name === "file.txt");
 * ```
 */
export function toThread<F extends ThreadFunction>(
  fn: F | ModuleFunction,
  ...args: Parameters<F>
): Promise<Awaited<ReturnType<F>>> {
  return threads.call(getEventLoop(), fn, args) as Promise<
    Awaited<ReturnType<F>>
  >;
}

/**
 * Runs a coroutine function on a loop from another thread.
 *
 * In another thread, pass a handle of the loop from `loop.handle()`, the name
 * of a function that the loop exposes with `loop.expose({ name: fn })`, and its
 * arguments. Arguments, results and errors are copied as by
 * {@linkcode toThread}, but nothing is moved and no memory is shared.
 *
 * Functions that {@linkcode toThread} sends as source have it as a global.
 * Modules, also those of your own workers, import it.
 *
 * On the loop's own thread, pass any coroutine function and the `EventLoop`;
 * the future can then be awaited, but `result()` must not block.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.run_coroutine_threadsafe}.
 *
 * @typeParam T What the coroutine returns.
 * @param coro The coroutine function.
 * @param loop The loop to run it on.
 * @returns A future whose `result()` blocks the calling thread.
 * @throws {RuntimeError} If the loop is closed.
 * @throws {TypeError} If `coro` or `loop` has the wrong type.
 *
 * @example
 * ```ts
 * import { getRunningLoop, run, runCoroutineThreadsafe, sleep, toThread } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const greeting = await run(() => {
 *   const loop = getRunningLoop();
 *   loop.expose({
 *     greet: async (name: string) => {
 *       await sleep({ milliseconds: 1 });
 *       return `Hello ${name}`;
 *     },
 *   });
 *   return toThread(
 *     (loop) => runCoroutineThreadsafe<string>("greet", loop, "Ada").result(),
 *     loop.handle(),
 *   );
 * });
 * assert(greeting === "Hello Ada");
 * ```
 */
export function runCoroutineThreadsafe<T>(
  coro: Coroutine<T>,
  loop: EventLoop,
): ThreadFuture<T>;
/**
 * Calls a function that a loop exposes, from another thread.
 *
 * @typeParam T What the function returns.
 * @param name The name it is exposed by.
 * @param loop The handle of the loop, or the loop itself on its own thread.
 * @param args The arguments of the function.
 * @returns A future whose `result()` blocks the calling thread.
 * @throws {RuntimeError} If the loop is closed. If no function is exposed by that name, the future fails with a `RuntimeError`.
 * @throws {DOMException} If an argument cannot be cloned: a `"DataCloneError"` with the path to the value.
 */
export function runCoroutineThreadsafe<T = unknown>(
  name: string,
  loop: LoopHandle | EventLoop,
  ...args: unknown[]
): ThreadFuture<T>;
export function runCoroutineThreadsafe<T>(
  coro: Coroutine<T> | string,
  loop: LoopHandle | EventLoop,
  ...args: unknown[]
): ThreadFuture<T> {
  const local = localLoop(loop);
  if (local === undefined) return callLoop<T>(coro, loop, args, framesOf);
  if (typeof coro === "string") {
    const call = () => servers.get(local).find(coro)(...args) as T;
    return threadFuture(new LocalCall<T>(local, call));
  }
  if (typeof coro !== "function" || isClass(coro)) {
    throw new TypeError(
      `Cannot run a coroutine on a loop: expected a coroutine function or the name of one, got ${
        describeValue(coro)
      }${startedHint(coro)}`,
    );
  }
  return threadFuture(new LocalCall(local, coro));
}

/** The longest delay of a Deno timer, in seconds. */
const MAX_TIMEOUT = (2 ** 31 - 1) / 1000;

/** The wait source of `shutdownDefaultExecutor`. */
const SHUTDOWN: WaitSource = {
  complete() {},
  handOff() {},
  remove() {},
  describe: () => "the threads of the loop",
};

/** The maximum number of functions to remember by their text. */
const MAX_TARGETS = 1_000;

const targetsByFunction = new WeakMap<ThreadFunction, Target>();
/** Targets by name and source, or by module: a closure created anew for each call is one target. */
const targetsByText = new LruMap<string, Target>(MAX_TARGETS);
let targetCount = 0;

const pools = new LoopLocal((loop: EventLoop) => new ThreadPool(loop));
const servers = new LoopLocal((loop: EventLoop) => {
  const server = new LoopServer(loop);
  if (loop.isClosed()) server.close();
  return server;
});

/** A coroutine that was passed to a loop on the loop's own thread. */
class LocalCall<T> implements ThreadCall<T>, WaitSource {
  readonly #loop: EventLoop;
  readonly #future: Future<T>;
  #task: Task<T> | null = null;

  constructor(loop: EventLoop, coro: Coroutine<T>) {
    this.#loop = loop;
    this.#future = futures.create(loop, this);
    loop.callSoonThreadsafe(() => this.#start(coro));
  }

  done(): boolean {
    return this.#future.done();
  }

  outcome(): CallOutcome<T> {
    const failure = errorOf(this.#future);
    if (failure === null) {
      return { kind: "result", value: this.#future.result() };
    }
    const { error } = failure;
    if (!this.#future.cancelled()) return { kind: "error", error };
    return { kind: "cancelled", message: (error as Error).message };
  }

  block(): never {
    throw new RuntimeError(
      "Cannot block the thread that runs the loop; await the future instead",
    );
  }

  cancel(): void {
    this.#future.cancel();
  }

  subscribe(fn: () => void): void {
    this.#future.addDoneCallback(() => fn());
  }

  promise(): Future<T> {
    return this.#future;
  }

  get awaits(): readonly AnyFuture[] {
    return this.#task === null ? [] : [this.#task];
  }

  complete(): void {}
  handOff(): void {}

  remove(): void {
    this.#task?.cancel();
  }

  #start(coro: Coroutine<T>): void {
    if (this.#future.done()) return;
    try {
      this.#task = this.#loop.createTask(coro);
      onceDone(this.#task, () => this.#settle(this.#task!));
    } catch (error) {
      futures.fail(this.#future, error);
      throw error;
    }
  }

  #settle(task: Task<T>): void {
    if (this.#future.done()) return;
    const failure = errorOf(task);
    if (failure === null) futures.settle(this.#future, task.result());
    else if (task.cancelled()) futures.cancel(this.#future, failure.error);
    else futures.fail(this.#future, failure.error);
  }
}

function callInThread(
  loop: EventLoop,
  fn: unknown,
  args: unknown[],
): Promise<unknown> {
  return promiseTry(() => {
    if (loop.isClosed()) throw new RuntimeError("The event loop is closed");
    const target = targetOf(fn);
    return pools.get(loop).call(target, args, stackAbove(callInThread));
  });
}

function targetOf(fn: unknown): Target {
  if (typeof fn === "function") {
    let target = targetsByFunction.get(fn as ThreadFunction);
    if (target === undefined) {
      target = targetOfFunction(fn as ThreadFunction);
      targetsByFunction.set(fn as ThreadFunction, target);
    }
    return target;
  }
  if (isModuleFunction(fn)) {
    const definition = definitionInModule(fn);
    const text = `${definition.export} ${definition.module}`;
    return targetsByText.get(text) ?? newTarget(text, definition);
  }
  throw new TypeError(
    `Cannot call a function in a thread: expected a function or { module, export }, got ${
      describeValue(fn)
    }${startedHint(fn)}`,
  );
}

/** Each source is checked once, as that compiles it. */
function targetOfFunction(fn: ThreadFunction): Target {
  const name = String(fn.name);
  const source = Function.prototype.toString.call(fn);
  const text = `${name}\n${source}`;
  const known = targetsByText.get(text);
  if (known !== undefined) return known;
  checkSource(fn, name, source);
  return newTarget(text, { name, source });
}

function newTarget(text: string, definition: Definition): Target {
  const target = { id: targetCount++, definition };
  targetsByText.set(text, target);
  return target;
}

/** Throws for a function that its source alone cannot reproduce. */
function checkSource(fn: ThreadFunction, name: string, source: string): void {
  const refuse = (why: string) =>
    new TypeError(
      `Cannot send ${
        excerpt(name) || "a function"
      } to a thread: ${why}; pass a function or an arrow function that does the work, or { module, export }`,
    );
  if (/\{\s*\[native code\]\s*\}$/.test(source) || isRuntimeFunction(fn)) {
    throw refuse("it is native or bound and has no source of its own");
  }
  if (isClass(fn)) throw refuse("it is a class");
  if (/Generator/.test(Object.prototype.toString.call(fn))) {
    throw refuse("a generator cannot leave its thread");
  }
  try {
    compile(source, name);
  } catch (error) {
    const why = isFunctionLike(source)
      ? `its source does not stand alone (${excerpt((error as Error).message)})`
      : "it is a method, whose source does not stand alone";
    throw refuse(why);
  }
}

/** Whether a source begins like a function or an arrow function, and not like a method. */
function isFunctionLike(source: string): boolean {
  return /^(async\s*)?(function\b|\(|[\p{L}$_][\p{L}\p{N}$_]*\s*=>)/u
    .test(source);
}

function definitionInModule(fn: ModuleFunction) {
  const { module: specifier, export: name } = fn;
  const isUrl = tryRead(() => specifier instanceof URL);
  if (!isUrl && (typeof specifier !== "string" || specifier === "")) {
    throw new TypeError(
      `Cannot call a function of a module in a thread: expected its URL as module, got ${
        describeValue(specifier)
      }`,
    );
  }
  const module = String(specifier);
  if (typeof name !== "string") {
    throw new TypeError(
      `Cannot call a function of ${
        excerpt(module)
      } in a thread: expected the name of an export, got ${
        describeValue(name)
      }`,
    );
  }
  if (/^\.{0,2}\//.test(module)) {
    const path = excerpt(module);
    throw new TypeError(
      `Cannot find ${path} from a thread: make it absolute with new URL("${path}", import.meta.url)`,
    );
  }
  return { module, export: name };
}

/** The loop of this thread that a loop or a handle refers to. */
function localLoop(loop: unknown): EventLoop | undefined {
  if (tryRead(() => loop instanceof EventLoop)) return loop as EventLoop;
  return isLoopHandle(loop) ? LoopServer.of(loop)?.loop : undefined;
}

function isModuleFunction(fn: unknown): fn is ModuleFunction {
  return typeof fn === "object" && fn !== null &&
    tryRead(() => "module" in fn) === true;
}

function expose(loop: EventLoop, functions: unknown): void {
  const entries = functionsOf(functions);
  for (const [name, fn] of entries) {
    if (typeof fn === "function" && !isClass(fn)) continue;
    throw new TypeError(
      `Cannot expose ${describeValue(name)}: expected a function, got ${
        describeValue(fn)
      }`,
    );
  }
  for (const [name, fn] of entries) {
    servers.get(loop).expose(name, fn as ThreadFunction);
  }
}

/** The functions of an object by name. Throws for other values. */
function functionsOf(functions: unknown): [string, unknown][] {
  const kind = tryRead(() => Object.prototype.toString.call(functions));
  const isObject = typeof functions === "object" && functions !== null;
  if (isObject && kind !== undefined && kind !== "[object Array]") {
    const entries = Object.entries(functions);
    if (entries.length > 0 || kind === "[object Object]") return entries;
  }
  throw new TypeError(
    `Cannot expose functions: expected an object { name: fn }, got ${
      describeValue(functions)
    }`,
  );
}

async function shutdown(loop: EventLoop, timeout: Duration): Promise<void> {
  const seconds = toSeconds(timeout, "timeout");
  const pool = pools.get(loop);
  const joined = pool.close();
  if (seconds <= 0) abandonPool(pool, 0);
  else if (seconds <= MAX_TIMEOUT) {
    const timer = setTimeout(abandonPool, seconds * 1000, pool, seconds);
    joined.then(() => clearTimeout(timer));
  }
  if (currentExecution()?.loop !== loop) return await joined;
  const future: Future<void> = futures.create(loop, SHUTDOWN);
  adopt(future, joined);
  await future;
}

function abandonPool(pool: ThreadPool, seconds: number): void {
  if (pool.busy) {
    console.warn(
      `The executor did not finish joining its threads within ${seconds} seconds`,
    );
  }
  pool.abandon();
}

ErrorClasses.addNamed(errorsOfRuntime());
ErrorClasses.add(Object.values(exceptions));

threads.call = callInThread;
threads.expose = expose;
threads.handle = (loop) => servers.get(loop).handle;
threads.shutdown = shutdown;
threads.close = (loop) => {
  servers.peek(loop)?.close();
  void pools.peek(loop)?.close();
};
