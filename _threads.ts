/**
 * Threads: functions that run in a worker, and calls from there to the loop.
 *
 * A loop gets its threads when it is first asked for one; until then nothing
 * of this costs anything.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import {
  adopt,
  type AnyFuture,
  EventLoop,
  type Future,
  futures,
  getEventLoop,
  type Task,
  threads,
  type Waitable,
} from "./_future.ts";
import { describe } from "./_validate.ts";
import type { Coroutine } from "./_options.ts";
import { currentFrame, internals as loops } from "./_loop.ts";
import { errorOf, onceDone } from "./_task.ts";
import {
  callLoop,
  isLoopHandle,
  type LoopHandle,
  type Outcome,
  type ThreadCall,
  ThreadFuture,
} from "./_thread_calls.ts";
import { Mailbox } from "./_thread_mail.ts";
import { type Target, ThreadPool } from "./_thread_pool.ts";
import type { AnyFunction, ModuleFunction } from "./_thread_values.ts";
import { compile, type Definition } from "./_thread_worker.ts";
import { RuntimeError } from "./exceptions.ts";

export {
  type LoopHandle,
  type Outcome,
  type ThreadCall,
  ThreadFuture,
} from "./_thread_calls.ts";
export {
  type AnyFunction,
  type ModuleFunction,
  type Movable,
  transfer,
} from "./_thread_values.ts";

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
 * with its message, stack, cause, and the errors of a group.
 *
 * Besides what Deno has, the globals in a thread are
 * {@linkcode runCoroutineThreadsafe}, {@linkcode transfer} and the error
 * classes of this module.
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
export function toThread<F extends AnyFunction>(
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
 * globals. Modules, also those of workers of one's own, import it.
 *
 * On the loop's own thread it takes any coroutine function and its
 * `EventLoop`; the future can then be awaited, but not waited for.
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
  const own = loop instanceof EventLoop
    ? loop
    : isLoopHandle(loop)
    ? Mailbox.of(loop)?.loop
    : undefined;
  if (own === undefined) return callLoop<T>(coro, loop, args);
  if (typeof coro === "function") {
    return new ThreadFuture(new OwnCall(own, coro));
  }
  if (typeof coro !== "string") {
    throw new TypeError(
      `Cannot run a coroutine on a loop: expected a coroutine function or the name of one, got ${
        describe(coro)
      }`,
    );
  }
  const call = () => mailboxOf(own).find(coro)(...args) as T;
  return new ThreadFuture(new OwnCall<T>(own, call));
}

/** The longest that the host's timers can wait, in seconds. */
const LONGEST_TIMEOUT = (2 ** 31 - 1) / 1000;

/** What a shutdown waits for. */
const JOINING: Waitable = {
  take() {},
  pass() {},
  drop() {},
  describe: () => "the threads of the loop",
};

const targets = new WeakMap<AnyFunction, Target>();
/** The same again by source or module: a function that is made anew for every call is one. */
const targetsByText = new Map<string, Target>();

/** A coroutine that was handed to a loop on its own thread. */
class OwnCall<T> implements ThreadCall<T>, Waitable {
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

  take(): void {}
  pass(): void {}

  drop(): void {
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
    return poolOf(loop).call(targetOf(fn), args);
  } catch (error) {
    return Promise.reject(error);
  }
}

function targetOf(fn: unknown): Target {
  if (typeof fn === "function") {
    let target = targets.get(fn as AnyFunction);
    if (target === undefined) {
      target = targetFor(definitionOf(fn as AnyFunction));
      targets.set(fn as AnyFunction, target);
    }
    return target;
  }
  if (typeof fn === "object" && fn !== null && "module" in fn) {
    return targetFor(definitionInModule(fn as ModuleFunction));
  }
  throw new TypeError(
    `Cannot call a function in a thread: expected a function or { module, export }, got ${
      describe(fn)
    }`,
  );
}

function targetFor(definition: Definition): Target {
  const text = "source" in definition
    ? definition.source
    : `${definition.module} ${definition.export}`;
  let target = targetsByText.get(text);
  if (target === undefined) {
    target = { id: targetsByText.size, definition };
    targetsByText.set(text, target);
  }
  return target;
}

/** The source of a function, if that is all there is to it. */
function definitionOf(fn: AnyFunction): Definition {
  const { name } = fn;
  const source = Function.prototype.toString.call(fn);
  const refuse = (why: string) =>
    new TypeError(
      `Cannot send ${
        name || "a function"
      } to a thread: ${why}; pass a function or an arrow function that does the work, or { module, export }`,
    );
  if (/\{\s*\[native code\]\s*\}$/.test(source) || isOfHost(fn)) {
    throw refuse("it is native or bound and has no source of its own");
  }
  if (/^class\b/.test(source)) throw refuse("it is a class");
  if (/Generator/.test(Object.prototype.toString.call(fn))) {
    throw refuse("a generator cannot leave its thread");
  }
  try {
    compile(source, name);
  } catch (error) {
    const why = isFunctionLike(source)
      ? `its source does not stand alone (${(error as Error).message})`
      : "it is a method, whose source does not stand alone";
    throw refuse(why);
  }
  return { name, source };
}

/** Whether a function is one of the host's, which shows the source of some. */
function isOfHost(fn: AnyFunction): boolean {
  return [globalThis, Deno, console].some((it) =>
    Object.getOwnPropertyDescriptor(it, fn.name)?.value === fn
  );
}

/** Whether a source begins as functions and arrow functions do, and methods do not. */
function isFunctionLike(source: string): boolean {
  return /^(async\s*)?(function\b|\(|[\p{L}$_][\p{L}\p{N}$_]*\s*=>)/u
    .test(source);
}

function definitionInModule(fn: ModuleFunction): Definition {
  const module = String(fn.module);
  if (typeof fn.export !== "string") {
    throw new TypeError(
      `Cannot call a function of ${module} in a thread: expected the name of an export, got ${
        describe(fn.export)
      }`,
    );
  }
  if (/^\.{0,2}\//.test(module)) {
    throw new TypeError(
      `Cannot find ${module} from a thread: make it absolute with new URL("${module}", import.meta.url)`,
    );
  }
  return { module, export: fn.export };
}

function poolOf(loop: EventLoop): ThreadPool {
  const extras = loops.extras(loop);
  let pool = extras.get(ThreadPool) as ThreadPool | undefined;
  if (pool === undefined) extras.set(ThreadPool, pool = new ThreadPool(loop));
  return pool;
}

function mailboxOf(loop: EventLoop): Mailbox {
  const extras = loops.extras(loop);
  let mailbox = extras.get(Mailbox) as Mailbox | undefined;
  if (mailbox === undefined) {
    extras.set(Mailbox, mailbox = new Mailbox(loop));
    if (loop.isClosed()) mailbox.close();
  }
  return mailbox;
}

function expose(loop: EventLoop, functions: Record<string, AnyFunction>): void {
  const entries = Object.entries(functions);
  for (const [name, fn] of entries) {
    if (typeof fn === "function") continue;
    throw new TypeError(
      `Cannot expose "${name}": expected a function, got ${describe(fn)}`,
    );
  }
  for (const [name, fn] of entries) mailboxOf(loop).expose(name, fn);
}

async function shutdown(loop: EventLoop, timeout: Duration): Promise<void> {
  const seconds = toSeconds(timeout, "timeout");
  const pool = poolOf(loop);
  const joined = pool.close();
  if (seconds <= LONGEST_TIMEOUT) {
    const timer = setTimeout(giveUp, seconds * 1000, pool, seconds);
    joined.then(() => clearTimeout(timer));
  }
  if (currentFrame()?.loop !== loop) return await joined;
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

threads.call = callInThread;
threads.expose = expose;
threads.handle = (loop) => mailboxOf(loop).handle;
threads.shutdown = shutdown;
threads.close = (loop) => {
  const extras = loops.extras(loop);
  (extras.get(Mailbox) as Mailbox | undefined)?.close();
  void (extras.get(ThreadPool) as ThreadPool | undefined)?.close();
};
