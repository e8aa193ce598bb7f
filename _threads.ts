/**
 * Threads: functions that run in a worker, and calls from there to the loop.
 *
 * A loop gets its threads when it is first asked for one; until then nothing
 * of this costs anything.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import { adopt } from "./_continuation.ts";
import { rejection } from "./_error_stack.ts";
import {
  type AnyFuture,
  type Future,
  futures,
  type WaitSource,
} from "./_future.ts";
import { EventLoop, getEventLoop, threads } from "./_event_loop.ts";
import type { Task } from "./_task.ts";
import type { Coroutine } from "./_options.ts";
import { currentExecution, internals as loops } from "./_scheduler.ts";
import { errorOf, onceDone } from "./_done_callbacks.ts";
import { RecentMap } from "./_collections.ts";
import { isOfRuntime } from "./_host.ts";
import { errorsOfRuntime } from "./_system_errors.ts";
import { framesOf } from "./_call_site.ts";
import { callLoop, isLoopHandle, type LoopHandle } from "./_thread_channel.ts";
import { compile, type Definition } from "./_thread_function.ts";
import {
  type Outcome,
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
  lookAt,
  type ModuleFunction,
  placeAbove,
  type ThreadFunction,
} from "./_thread_serialize.ts";
import { isClass } from "./_validate.ts";
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
 * Runs a function in a thread, so that it may compute or block while the loop
 * goes on.
 *
 * The thread is a worker of the loop's pool: at most
 * `min(32, cores + 4)`, started when needed and kept for the next call. More
 * calls than that wait for their turn. An idle thread does not keep the
 * process, and those of a runner have ended when it is closed.
 *
 * **What travels.** The function is sent as source. It sees its arguments and
 * the globals of Deno, and nothing of the scope that it was written in: a
 * name from there is an error that says so. Functions that need more come
 * from a module, which the thread imports; that takes the permission to read
 * it. Bound, native and generator functions, methods and classes are refused.
 * Arguments and results are structured clones, or are moved, see
 * {@linkcode transfer}. Values of an `AsyncLocalStorage` stay behind.
 *
 * An error arrives as the class it has, if that is a built-in one or one of
 * this module, and otherwise as the nearest such class with its own name;
 * with its message, stack, cause, and the errors of a group. To the stack are
 * added the frames of the call of `toThread`.
 *
 * Besides what Deno has, the globals in a thread are
 * {@linkcode runCoroutineThreadsafe}, {@linkcode transfer} and the error
 * classes of this module. A minifier renames what a program imports, so in a
 * minified bundle they are `globalThis.transfer` and so on.
 *
 * An error that a call leaves behind, in a timer or in a promise that nobody
 * awaits, goes to the exception handler of the loop, and disturbs no other
 * call.
 *
 * A cancelled call leaves the thread to finish, and its result or error is
 * dropped. If it has to wait for others because all threads are busy, it is
 * not made at all.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.to_thread}.
 *
 * @typeParam F The function.
 * @param fn The function, or the module it is exported from and its name.
 * @param args Its arguments.
 * @returns What it returns; if that is a promise, its value.
 * @throws {TypeError} If the function cannot be sent.
 * @throws {DOMException} If an argument or the result cannot be cloned, named `"DataCloneError"` and with the path to it.
 * @throws {ReferenceError} If the function uses a name that it does not bring along.
 * @throws {RuntimeError} If the thread ends before the call is done, out of memory or by `Deno.exit()`.
 * @throws {CancelledError} If the task is cancelled.
 * @throws What the function throws.
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
 * @example A function of a module
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
 * Runs a coroutine function on a loop, from another thread.
 *
 * In another thread the loop is a handle, which `loop.handle()` makes, and
 * the coroutine is the name of a function that the loop has published with
 * `loop.expose({ name: fn })`, followed by its arguments. Arguments, results
 * and errors are copied as by {@linkcode toThread}, but nothing is moved and
 * no memory is shared.
 *
 * Functions that {@linkcode toThread} sends as source find it among their
 * globals. Modules, also those of your own workers, import it.
 *
 * On the loop's own thread it takes any coroutine function and its `EventLoop`;
 * the future can then be awaited, but cannot block.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.run_coroutine_threadsafe}.
 *
 * @typeParam T What the coroutine returns.
 * @param coro The coroutine function.
 * @param loop Its loop.
 * @returns A future that can block its thread.
 * @throws {RuntimeError} If the loop is closed.
 * @throws {TypeError} If the arguments do not fit together.
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
 * Calls a function that a loop has published, from another thread.
 *
 * @typeParam T What the function returns.
 * @param name The name it was published by.
 * @param loop The handle of the loop, or the loop itself on its own thread.
 * @param args Its arguments.
 * @returns A future that can block its thread.
 * @throws {RuntimeError} If the loop is closed. That nothing was published by that name shows in the future.
 * @throws {DOMException} If an argument cannot be cloned, named `"DataCloneError"` and with the path to it.
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
  const own = ownLoop(loop);
  if (own === undefined) return callLoop<T>(coro, loop, args, framesOf);
  if (typeof coro === "string") {
    const call = () => serverOf(own).find(coro)(...args) as T;
    return threadFuture(new LocalCall<T>(own, call));
  }
  if (typeof coro !== "function" || isClass(coro)) {
    throw new TypeError(
      `Cannot run a coroutine on a loop: expected a coroutine function or the name of one, got ${
        describeValue(coro)
      }${
        isThenable(coro)
          ? "; pass () => f(x): a promise has already started"
          : ""
      }`,
    );
  }
  return threadFuture(new LocalCall(own, coro));
}

/** The longest that Deno's timers can wait, in seconds. */
const LONGEST_TIMEOUT = (2 ** 31 - 1) / 1000;

/** What a shutdown waits for. */
const JOINING: WaitSource = {
  complete() {},
  handOff() {},
  remove() {},
  describe: () => "the threads of the loop",
};

/** How many functions are remembered by their text. */
const KEPT_TARGETS = 1_000;

const targets = new WeakMap<ThreadFunction, Target>();
/** The same again by name and source, or by module: a function that is made anew for every call is one. */
const targetsByText = new RecentMap<string, Target>(KEPT_TARGETS);
let madeTargets = 0;

/** A coroutine that was handed to a loop on its own thread. */
class LocalCall<T> implements ThreadCall<T>, WaitSource {
  readonly #loop: EventLoop;
  readonly #future: Future<T>;
  #task: Task<T> | null = null;

  constructor(loop: EventLoop, coro: Coroutine<T>) {
    this.#loop = loop;
    this.#future = futures.make(loop, this);
    loop.callSoonThreadsafe(() => this.#start(coro));
  }

  done(): boolean {
    return this.#future.done();
  }

  outcome(): Outcome<T> {
    const failure = errorOf(this.#future);
    if (failure === null) {
      return { kind: "result", value: this.#future.result() };
    }
    const { thrown } = failure;
    if (!this.#future.cancelled()) return { kind: "error", error: thrown };
    return { kind: "cancelled", message: (thrown as Error).message };
  }

  block(): never {
    throw new RuntimeError(
      "Cannot block the thread that runs the loop: await the future instead",
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
      onceDone(this.#task, () => this.#end(this.#task!));
    } catch (error) {
      futures.fail(this.#future, error);
      throw error;
    }
  }

  #end(task: Task<T>): void {
    if (this.#future.done()) return;
    const failure = errorOf(task);
    if (failure === null) futures.settle(this.#future, task.result());
    else if (task.cancelled()) futures.cancel(this.#future, failure.thrown);
    else futures.fail(this.#future, failure.thrown);
  }
}

function callInThread(
  loop: EventLoop,
  fn: unknown,
  args: unknown[],
): Promise<unknown> {
  try {
    if (loop.isClosed()) throw new RuntimeError("The event loop is closed");
    const target = targetOf(fn);
    return poolOf(loop).call(target, args, placeAbove(callInThread));
  } catch (error) {
    return rejection(error);
  }
}

function targetOf(fn: unknown): Target {
  if (typeof fn === "function") {
    let target = targets.get(fn as ThreadFunction);
    if (target === undefined) {
      target = targetOfFunction(fn as ThreadFunction);
      targets.set(fn as ThreadFunction, target);
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
    }${
      isThenable(fn) ? "; pass () => f(x): a promise has already started" : ""
    }`,
  );
}

/** The source of a function is checked, which compiles it, once. */
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
  const target = { id: madeTargets++, definition };
  targetsByText.set(text, target);
  return target;
}

/** Refuses a function that is more than its source. */
function checkSource(fn: ThreadFunction, name: string, source: string): void {
  const refuse = (why: string) =>
    new TypeError(
      `Cannot send ${
        excerpt(name) || "a function"
      } to a thread: ${why}; pass a function or an arrow function that does the work, or { module, export }`,
    );
  if (/\{\s*\[native code\]\s*\}$/.test(source) || isOfRuntime(fn)) {
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

/** Whether a source begins as functions and arrow functions do, and methods do not. */
function isFunctionLike(source: string): boolean {
  return /^(async\s*)?(function\b|\(|[\p{L}$_][\p{L}\p{N}$_]*\s*=>)/u
    .test(source);
}

function definitionInModule(fn: ModuleFunction) {
  const { module: place, export: name } = fn;
  const isUrl = lookAt(() => place instanceof URL);
  if (!isUrl && (typeof place !== "string" || place === "")) {
    throw new TypeError(
      `Cannot call a function of a module in a thread: expected its URL as module, got ${
        describeValue(place)
      }`,
    );
  }
  const module = String(place);
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

/** The loop of this thread that is meant by a loop or a handle. */
function ownLoop(loop: unknown): EventLoop | undefined {
  if (lookAt(() => loop instanceof EventLoop)) return loop as EventLoop;
  return isLoopHandle(loop) ? LoopServer.of(loop)?.loop : undefined;
}

function isModuleFunction(fn: unknown): fn is ModuleFunction {
  return typeof fn === "object" && fn !== null &&
    lookAt(() => "module" in fn) === true;
}

function isThenable(value: unknown): boolean {
  const then = lookAt(() => (value as PromiseLike<unknown> | null)?.then);
  return typeof then === "function";
}

function poolOf(loop: EventLoop): ThreadPool {
  const extras = loops.storage(loop);
  let pool = extras.get(ThreadPool) as ThreadPool | undefined;
  if (pool === undefined) extras.set(ThreadPool, pool = new ThreadPool(loop));
  return pool;
}

function serverOf(loop: EventLoop): LoopServer {
  const extras = loops.storage(loop);
  let server = extras.get(LoopServer) as LoopServer | undefined;
  if (server === undefined) {
    extras.set(LoopServer, server = new LoopServer(loop));
    if (loop.isClosed()) server.close();
  }
  return server;
}

function expose(loop: EventLoop, functions: unknown): void {
  const entries = exposable(functions);
  for (const [name, fn] of entries) {
    if (typeof fn === "function" && !isClass(fn)) continue;
    throw new TypeError(
      `Cannot expose ${describeValue(name)}: expected a function, got ${
        describeValue(fn)
      }`,
    );
  }
  for (const [name, fn] of entries) {
    serverOf(loop).expose(name, fn as ThreadFunction);
  }
}

/** The functions of an object by name; of other things nothing is to be exposed. */
function exposable(functions: unknown): [string, unknown][] {
  const kind = lookAt(() => Object.prototype.toString.call(functions));
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
  const pool = poolOf(loop);
  const joined = pool.close();
  if (seconds <= 0) giveUp(pool, 0);
  else if (seconds <= LONGEST_TIMEOUT) {
    const timer = setTimeout(giveUp, seconds * 1000, pool, seconds);
    joined.then(() => clearTimeout(timer));
  }
  if (currentExecution()?.loop !== loop) return await joined;
  const future: Future<void> = futures.make(loop, JOINING);
  adopt(future, joined);
  await future;
}

function giveUp(pool: ThreadPool, seconds: number): void {
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
threads.handle = (loop) => serverOf(loop).handle;
threads.shutdown = shutdown;
threads.close = (loop) => {
  const extras = loops.storage(loop);
  (extras.get(LoopServer) as LoopServer | undefined)?.close();
  void (extras.get(ThreadPool) as ThreadPool | undefined)?.close();
};
