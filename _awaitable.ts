/**
 * Creating and finding tasks, creating futures from awaitables, and helpers for
 * what waits on them.
 *
 * @module
 */

import { tasksOf } from "./_task_state.ts";
import { adopt } from "./_continuation.ts";
import { type Awaitable, Future, futures, type WaitSource } from "./_future.ts";
import {
  currentExecution,
  EventLoop,
  getEventLoop,
  type TaskFactory,
} from "./_event_loop.ts";
import {
  checkBag,
  checkCallback,
  checkInstance,
  checkOptions,
  describe,
  isClass,
  isThenable,
} from "./_validate.ts";
import { TASK_OPTIONS } from "./_options.ts";
import { Task } from "./_task.ts";
import { futureForOwnPromise } from "./_waiting_call.ts";
import type { Coroutine, TaskOptions } from "./_options.ts";

/**
 * Runs a coroutine function as a task of the current loop, or of the implicit
 * loop if there is none. The loop holds a strong reference until the task is
 * done.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task}.
 *
 * @typeParam T What the coroutine returns.
 * @param coro The coroutine function, called with the task's signal on the loop's next turn.
 * @param options The name, context and eager start of the task, and a signal that cancels it.
 * @returns The task.
 * @throws {TypeError} If `coro` is not a function, or an option is invalid.
 *
 * @example
 * ```ts
 * import { createTask, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const task = createTask(async () => {
 *   await sleep({ milliseconds: 1 });
 *   return "done";
 * });
 * assert(await task === "done");
 * ```
 */
export function createTask<T>(
  coro: Coroutine<T>,
  options?: TaskOptions,
): Task<T> {
  return getEventLoop().createTask(coro, options);
}

/**
 * Returns the task that the running code belongs to.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.current_task}.
 *
 * @param loop The loop to look at; the current one by default.
 * @returns The task; `null` outside of tasks, in callbacks of the loop, and for a loop that does not run the caller.
 * @throws {TypeError} If `loop` is not an event loop.
 *
 * @example
 * ```ts
 * import { createTask, currentTask } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const task = createTask(() => currentTask()?.getName(), { name: "worker" });
 * assert(await task === "worker");
 * ```
 */
export function currentTask(loop?: EventLoop): Task<unknown> | null {
  if (loop !== undefined) checkLoop(loop, "get the current task");
  const execution = currentExecution();
  if (execution === undefined || execution.task === null) return null;
  if (loop !== undefined && execution.loop !== loop) return null;
  return execution.task as Task<unknown>;
}

function checkLoop(loop: unknown, action: string): void {
  checkInstance(loop, EventLoop, action, "loop");
}

/**
 * Returns the unfinished tasks of a loop.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.all_tasks}.
 *
 * @param loop The loop; the current one by default.
 * @returns The tasks, oldest first.
 * @throws {TypeError} If `loop` is not an event loop.
 *
 * @example
 * ```ts
 * import { allTasks, createTask, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const task = createTask(() => sleep(3600));
 * assert(allTasks().has(task));
 * for (const task of allTasks()) task.cancel();
 * await task.catch(() => {});
 * assert(!allTasks().has(task));
 * ```
 */
export function allTasks(
  loop: EventLoop = getEventLoop(),
): Set<Task<unknown>> {
  checkLoop(loop, "list the tasks");
  const tasks: Task<unknown>[] = [];
  for (let state = tasksOf(loop).first; state !== null; state = state.next) {
    tasks.push(state.task as Task<unknown>);
  }
  return new Set(tasks.reverse());
}

/**
 * Converts an awaitable to a future: a future is returned as it is, a coroutine
 * function becomes a task, a promise is wrapped.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-future.html#asyncio.ensure_future}.
 *
 * @typeParam T The type of the value.
 * @param aw A future, a promise or a coroutine function.
 * @returns The future.
 * @throws {TypeError} If `aw` is none of these.
 *
 * @example
 * ```ts
 * import { createTask, ensureFuture, Task } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const task = createTask(() => "spam");
 * assert(ensureFuture(task) === task);
 * assert(ensureFuture(() => "eggs") instanceof Task);
 * assert(await ensureFuture(Promise.resolve("ham")) === "ham");
 * ```
 */
export function ensureFuture<T>(aw: Awaitable<T>): Future<T> {
  if (isCoroutine(aw)) return createTask(aw);
  if (isFuture(aw)) return aw as Future<T>;
  if (canBeAwaited(aw)) return wrapFuture(aw as PromiseLike<T>);
  throw notAwaitable(aw, "make a future");
}

/** Throws for what {@linkcode ensureFuture} does not accept. Starts nothing. */
export function checkAwaitable(aw: unknown, action: string): void {
  if (typeof aw === "function" ? !isClass(aw) : canBeAwaited(aw)) return;
  throw notAwaitable(aw, action);
}

function notAwaitable(value: unknown, action: string): TypeError {
  return new TypeError(
    `Cannot ${action}: expected a future, a promise or a coroutine function, got ${
      describe(value)
    }`,
  );
}

/** Whether an awaitable is a function to call. A callable with a `then` method, such as a proxy, is awaited instead. */
export function isCoroutine<T>(aw: Awaitable<T>): aw is Coroutine<T> {
  return typeof aw === "function" && !canBeAwaited(aw);
}

/** As {@linkcode isThenable}, but `false` for a proxy that throws. */
export function canBeAwaited(value: unknown): value is PromiseLike<unknown> {
  try {
    return isThenable(value);
  } catch {
    return false;
  }
}

/**
 * Wraps a promise in a future, so that a task that awaits it can be cancelled.
 * The operation behind the promise continues.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-future.html#asyncio.wrap_future}.
 *
 * @typeParam T The type of the value.
 * @param promise The promise; a future is returned as it is.
 * @returns A future with the same outcome.
 * @throws {TypeError} If `promise` is not a promise.
 *
 * @example
 * ```ts
 * import { waitFor, wrapFuture } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const text = await wrapFuture(Promise.resolve("text"));
 * assert(text === "text");
 * ```
 */
export function wrapFuture<T>(promise: PromiseLike<T>): Future<T> {
  if (isFuture(promise)) return promise as Future<T>;
  if (!canBeAwaited(promise)) {
    throw new TypeError(
      `Cannot wrap a promise: expected one, got ${describe(promise)}`,
    );
  }
  const own = futureForOwnPromise(promise);
  if (own !== null) return own;
  const future: Future<T> = futures.create(getEventLoop(), EXTERNAL_PROMISE);
  try {
    adopt(future, promise);
  } catch (error) {
    if (!future.done()) futures.fail(future, error);
  }
  return future;
}

/**
 * Whether a value is a future of this module. Tasks are futures.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-future.html#asyncio.isfuture}.
 *
 * @param value Any value.
 * @returns Whether it is a future.
 *
 * @example
 * ```ts
 * import { createTask, Future, isFuture } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * assert(isFuture(new Future()) && isFuture(createTask(() => 1)));
 * assert(!isFuture(Promise.resolve()));
 * ```
 */
export function isFuture(value: unknown): value is Future<unknown> {
  try {
    return value instanceof Future;
  } catch {
    return false; // a proxy that throws
  }
}

/**
 * Whether a value is an `async` function. Other functions can be used as
 * coroutine functions too.
 *
 * Stands for {@link https://docs.python.org/3/library/inspect.html#inspect.iscoroutinefunction}.
 *
 * @param value Any value.
 * @returns Whether it is an `async` function.
 *
 * @example
 * ```ts
 * import { isCoroutineFunction } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * assert(isCoroutineFunction(async () => {}));
 * assert(!isCoroutineFunction(() => Promise.resolve()));
 * ```
 */
export function isCoroutineFunction(
  value: unknown,
): value is (...args: unknown[]) => Promise<unknown> {
  try {
    return value instanceof AsyncFunction;
  } catch {
    return false; // a proxy that throws
  }
}

/**
 * A task factory that runs each task up to its first wait inside `createTask`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.eager_task_factory}.
 *
 * @typeParam T What the coroutine returns.
 * @param loop The loop of the task.
 * @param coro The coroutine function.
 * @param options The options of `createTask`.
 * @returns The task. It is done already if its function did not wait and is not `async`.
 * @throws {TypeError} If an argument or an option is invalid.
 *
 * @example
 * ```ts
 * import { createTask, eagerTaskFactory, getRunningLoop, run } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * await run(() => {
 *   getRunningLoop().setTaskFactory(eagerTaskFactory);
 *   assert(createTask(() => 42).result() === 42);
 * });
 * ```
 */
export function eagerTaskFactory<T>(
  loop: EventLoop,
  coro: Coroutine<T>,
  options?: TaskOptions,
): Task<T> {
  checkLoop(loop, "create a task");
  checkOptions(options, TASK_OPTIONS, "create a task");
  return new Task(coro, { eagerStart: true, ...options }, loop);
}

/** A function that creates a task, as the `Task` constructor does. */
export type TaskConstructor = <T>(
  coro: Coroutine<T>,
  options: TaskOptions,
  loop: EventLoop,
) => Task<T>;

/**
 * Creates an eager task factory for a custom kind of task.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.create_eager_task_factory}.
 *
 * @param custom Creates a task from the coroutine function, the options and the loop.
 * @returns The factory, for `loop.setTaskFactory()`.
 * @throws {TypeError} If `custom` is a class or not a function.
 *
 * @example
 * ```ts
 * import { createEagerTaskFactory, createTask, getRunningLoop, run, Task } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * const names: string[] = [];
 * await run(async () => {
 *   const factory = createEagerTaskFactory((coro, options, loop) => {
 *     const task = new Task(coro, options, loop);
 *     names.push(task.getName());
 *     return task;
 *   });
 *   getRunningLoop().setTaskFactory(factory);
 *   await createTask(() => 42, { name: "answer" });
 * });
 * assertEquals(names, ["answer"]);
 * ```
 */
export function createEagerTaskFactory(custom: TaskConstructor): TaskFactory {
  checkCallback(custom, "create a task factory", "custom");
  return (loop, coro, options) => {
    // Unknown options are for `custom`.
    checkBag(options, TASK_OPTIONS, "create a task");
    return custom(coro, { eagerStart: true, ...options }, loop);
  };
}

const AsyncFunction = (async () => {}).constructor as FunctionConstructor;

/** The wait source of a wrapped promise. */
const EXTERNAL_PROMISE: WaitSource = {
  complete() {},
  handOff() {},
  remove() {},
  kind: "foreign",
  describe: () => "a foreign promise",
};

/** Runs a call in a new task, for callers outside of tasks. */
export async function runInTask<T>(call: () => Promise<T>): Promise<T> {
  return await createTask(call);
}
