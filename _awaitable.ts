/**
 * Making tasks, asking for them, and small pieces for what waits for them.
 *
 * @module
 */

import { tasksOf } from "./_task_state.ts";
import { adopt } from "./_continuation.ts";
import { type Awaitable, Future, futures, type WaitSource } from "./_future.ts";
import { EventLoop, getEventLoop, type TaskFactory } from "./_event_loop.ts";
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
import { futureOfOwn } from "./_waiting_call.ts";
import type { Coroutine, TaskOptions } from "./_options.ts";
import { currentExecution } from "./_scheduler.ts";

/**
 * Runs a coroutine function as a task of the loop of the caller, the implicit
 * loop where there is none. The loop holds the task until it is done.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task}.
 *
 * @typeParam T What the coroutine returns.
 * @param coro The coroutine function. It is called on the loop's next turn, with the task's signal.
 * @param options Name, context, eager start, and a signal that cancels the task.
 * @returns The task.
 * @throws {TypeError} If `coro` is not a function.
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
 * The task that the running code belongs to.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.current_task}.
 *
 * @param loop The loop that is asked about, by default the one of the caller.
 * @returns The task, `null` outside of tasks, in callbacks of the loop, and for a loop that does not run the caller.
 * @throws {TypeError} If `loop` is not an event loop.
 *
 * @example
 * ```ts
 * import { createTask, currentTask } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * const task = createTask(() => currentTask()?.getName(), { name: "asker" });
 * assertEquals(await task, "asker");
 * assertEquals(currentTask(), null); // outside of tasks
 * ```
 */
export function currentTask(loop?: EventLoop): Task<unknown> | null {
  if (loop !== undefined) checkLoop(loop, "get the current task");
  const frame = currentExecution();
  if (frame === undefined || frame.task === null) return null;
  if (loop !== undefined && frame.loop !== loop) return null;
  return frame.task as Task<unknown>;
}

function checkLoop(loop: unknown, action: string): void {
  checkInstance(loop, EventLoop, action, "loop");
}

/**
 * The tasks of a loop that are not done.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.all_tasks}.
 *
 * @param loop The loop, by default the one of the caller.
 * @returns The tasks, oldest first.
 * @throws {TypeError} If `loop` is not an event loop.
 *
 * @example
 * ```ts
 * import { allTasks, createTask, run, sleep } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await run(() => {
 *   createTask(() => sleep(3600), { name: "sleeper" });
 *   const names = Array.from(allTasks(), (task) => task.getName());
 *   assertEquals(names.at(-1), "sleeper"); // after the main task
 * });
 * ```
 */
export function allTasks(
  loop: EventLoop = getEventLoop(),
): Set<Task<unknown>> {
  checkLoop(loop, "list the tasks");
  const tasks: Task<unknown>[] = [];
  for (let frame = tasksOf(loop).first; frame !== null; frame = frame.next) {
    tasks.push(frame.task as Task<unknown>);
  }
  return new Set(tasks.reverse());
}

/**
 * Makes a future of anything that can be awaited: a future stays as it is, a
 * coroutine function becomes a task, a promise is wrapped.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-future.html#asyncio.ensure_future}.
 *
 * @typeParam T The type of the value.
 * @param aw What is to be awaited.
 * @returns The future.
 * @throws {TypeError} If `aw` is none of these.
 *
 * @example
 * ```ts
 * import { ensureFuture, gather } from "@asyncio/asyncio";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const task = ensureFuture(() => 1);
 * const wrapped = ensureFuture(Promise.resolve(2));
 * assert(ensureFuture(task) === task);
 * assertEquals(await gather([task, wrapped]), [1, 2]);
 * ```
 */
export function ensureFuture<T>(aw: Awaitable<T>): Future<T> {
  if (isCoroutine(aw)) return createTask(aw);
  if (isFuture(aw)) return aw as Future<T>;
  if (canBeAwaited(aw)) return wrapFuture(aw as PromiseLike<T>);
  throw notAwaitable(aw, "make a future");
}

/** Refuses what {@linkcode ensureFuture} does, and starts nothing. */
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

/** Whether a function is to be called: what can be awaited itself, as a proxy may be, is not. */
export function isCoroutine<T>(aw: Awaitable<T>): aw is Coroutine<T> {
  return typeof aw === "function" && !canBeAwaited(aw);
}

/** As {@linkcode isThenable}, and `false` for what cannot be looked at. */
export function canBeAwaited(value: unknown): value is PromiseLike<unknown> {
  try {
    return isThenable(value);
  } catch {
    return false;
  }
}

/**
 * Wraps a promise, so that a task that awaits it can be cancelled. The work
 * behind the promise runs on, as nothing can stop it from outside.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-future.html#asyncio.wrap_future}.
 *
 * @typeParam T The type of the value.
 * @param promise The promise; a future is given back as it is.
 * @returns A future of the same outcome.
 * @throws {TypeError} If it is not a promise.
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
  const own = futureOfOwn(promise);
  if (own !== null) return own;
  const future: Future<T> = futures.make(getEventLoop(), FOREIGN);
  try {
    adopt(future, promise);
  } catch (error) {
    if (!future.done()) futures.fail(future, error);
  }
  return future;
}

/**
 * Whether a value is a future of this module, tasks included.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-future.html#asyncio.isfuture}.
 *
 * @param value Anything.
 * @returns Whether it is one.
 *
 * @example
 * ```ts
 * import { Future, isFuture } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * assert(isFuture(new Future()));
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
 * Whether a value is an `async` function. Other functions may be used as
 * coroutine functions too.
 *
 * @param value Anything.
 * @returns Whether it is one.
 *
 * @example
 * ```ts
 * import { isCoroutineFunction } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * assert(isCoroutineFunction(async () => await Promise.resolve()));
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
 * A task factory that starts every task at once, up to its first wait.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.eager_task_factory}.
 *
 * @typeParam T What the coroutine returns.
 * @param loop The loop.
 * @param coro The coroutine function.
 * @param options Name and context.
 * @returns The task; done already if its body did not wait and is not `async`.
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

/** Makes a task as the `Task` constructor does. */
export type TaskConstructor = <T>(
  coro: Coroutine<T>,
  options: TaskOptions,
  loop: EventLoop,
) => Task<T>;

/**
 * Makes an eager task factory for your own kind of task.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.create_eager_task_factory}.
 *
 * @param custom Makes a task of the coroutine function and the options.
 * @returns The factory, for `loop.setTaskFactory`.
 * @throws {TypeError} If `custom` is not a function, or a class.
 *
 * @example
 * ```ts
 * import { createEagerTaskFactory, createTask, getRunningLoop, run, Task } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * class Job<T> extends Task<T> {}
 *
 * await run(() => {
 *   const factory = createEagerTaskFactory((...args) => new Job(...args));
 *   getRunningLoop().setTaskFactory(factory);
 *   const job = createTask(() => 42);
 *   assert(job instanceof Job && job.result() === 42);
 * });
 * ```
 */
export function createEagerTaskFactory(custom: TaskConstructor): TaskFactory {
  checkCallback(custom, "create a task factory", "what makes the tasks");
  return (loop, coro, options) => {
    // Options that are not known are for `custom`.
    checkBag(options, TASK_OPTIONS, "create a task");
    return custom(coro, { eagerStart: true, ...options }, loop);
  };
}

const AsyncFunction = (async () => {}).constructor as FunctionConstructor;

/** What a wrapped promise stands for. */
const FOREIGN: WaitSource = {
  complete() {},
  handOff() {},
  remove() {},
  kind: "foreign",
  describe: () => "a foreign promise",
};
