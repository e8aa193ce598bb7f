/**
 * Event loops, and how the current one is found.
 *
 * @module
 */

import { tasksOf } from "./_task_state.ts";
import type { Duration } from "./_duration.ts";
import { Future, LOOP, setDependents } from "./_future.ts";
import { BaseEventLoop, currentExecution } from "./_scheduler.ts";
import type { Coroutine, TaskOptions } from "./_options.ts";
import { recordCreation } from "./_call_site.ts";
import { Task, TASK_OPTIONS } from "./_task.ts";
import { Continuation, DoneCallback } from "./_continuation.ts";
import type { LoopHandle } from "./_thread_channel.ts";
import type { ModuleFunction, ThreadFunction } from "./_thread_serialize.ts";
import {
  checkBag,
  checkCallback,
  checkCoroutine,
  checkInstance,
} from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

const CREATE = "create a task";

/** Makes the tasks of a loop; see `eagerTaskFactory`. */
export type TaskFactory = <T>(
  loop: EventLoop,
  coro: Coroutine<T>,
  options?: TaskOptions,
) => Task<T>;

/**
 * The loop that runs tasks and callbacks.
 *
 * `run()` makes one and ends it; where there is none, an implicit one serves
 * top-level code, request handlers and test bodies.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html}.
 *
 * @example
 * ```ts
 * import { getRunningLoop, run, sleep } from "@asyncio/asyncio";
 *
 * await run(async () => {
 *   const loop = getRunningLoop();
 *   loop.callLater(0.01, console.log, "called");
 *   await sleep({ milliseconds: 20 });
 * });
 * ```
 */
export class EventLoop extends BaseEventLoop {
  #taskFactory: TaskFactory | null = null;

  static {
    Object.defineProperty(this.prototype, LOOP, { value: true });
  }

  /**
   * Creates a pending future of this loop.
   *
   * @typeParam T The type of its value.
   * @returns The future.
   */
  createFuture<T = unknown>(): Future<T> {
    const future = new Future<T>(this as never);
    if (this.getDebug()) recordCreation(future);
    return future;
  }

  /**
   * Runs a coroutine function as a task of this loop.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function.
   * @param options Name, context, eager start and signal.
   * @returns The task.
   * @throws {TypeError} If `coro` is not a function.
   */
  createTask<T>(coro: Coroutine<T>, options?: TaskOptions): Task<T> {
    if (this.#taskFactory !== null) return this.#make(coro, options);
    return new Task(coro, options, this);
  }

  /**
   * Sets the factory that creates the tasks of this loop.
   *
   * @param factory The factory, or `null` for plain tasks.
   * @throws {TypeError} If it is neither.
   */
  setTaskFactory(factory: TaskFactory | null): void {
    if (factory !== null) {
      checkCallback(factory, "set the task factory", "the factory");
    }
    this.#taskFactory = factory;
  }

  /**
   * Runs a function in a thread of this loop, as `toThread` does.
   *
   * A cancelled call leaves the thread to finish, and its result is dropped.
   * A call that still waits for a thread is not made at all.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_in_executor}.
   *
   * @typeParam F The function.
   * @param fn The function, or the module it is exported from and its name.
   * @param args Its arguments.
   * @returns What it returns; if that is a promise, its value.
   * @throws {CancelledError} If the task is cancelled.
   * @throws What the function throws.
   *
   * @example
   * ```ts
   * import { getRunningLoop, run } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * const add = (a: number, b: number) => a + b;
   * const sum = await run(() => getRunningLoop().runInExecutor(null, add, 1, 2));
   * assert(sum === 3);
   * ```
   */
  runInExecutor<F extends ThreadFunction>(
    fn: F | ModuleFunction,
    ...args: Parameters<F>
  ): Promise<Awaited<ReturnType<F>>>;
  /**
   * The same, with asyncio's place for an executor. There is only the default
   * one. A cancelled call leaves the thread to finish.
   *
   * @typeParam F The function.
   * @param executor `null`, for the default executor.
   * @param fn The function, or the module it is exported from and its name.
   * @param args Its arguments.
   * @returns What it returns; if that is a promise, its value.
   * @throws {CancelledError} If the task is cancelled.
   * @throws What the function throws.
   */
  runInExecutor<F extends ThreadFunction>(
    executor: null,
    fn: F | ModuleFunction,
    ...args: Parameters<F>
  ): Promise<Awaited<ReturnType<F>>>;
  runInExecutor(...call: unknown[]): Promise<unknown> {
    const [fn, ...args] = call[0] === null ? call.slice(1) : call;
    return threads.call(this, fn, args);
  }

  /**
   * Waits until the calls in threads of this loop are done and the threads
   * have ended. Further calls are refused from now on.
   *
   * Cancelled, it changes nothing: the threads still end after their calls.
   *
   * @param timeout How long at most, 300 seconds by default. After that there is a warning, calls in progress fail, and their threads are abandoned.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { getRunningLoop, run } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await run(async () => {
   *   const loop = getRunningLoop();
   *   assert(await loop.runInExecutor(null, () => 42) === 42);
   *   await loop.shutdownDefaultExecutor(5);
   * });
   * ```
   */
  async shutdownDefaultExecutor(timeout: Duration = 300): Promise<void> {
    await threads.shutdown(this, timeout);
  }

  /**
   * Lets other threads call functions on this loop, by `runCoroutineThreadsafe`
   * with their names. Each call runs as a task. A function replaces an earlier
   * one of the same name.
   *
   * @param functions The functions, by name. They may be `async`.
   * @throws {TypeError} If one is not a function; then none is exposed.
   */
  expose(functions: Record<string, ThreadFunction>): void {
    threads.expose(this, functions);
  }

  /**
   * A handle to this loop for other threads: pass it to `toThread`, or post it
   * to a worker of your own.
   *
   * @returns The handle, the same one every time. It can be cloned.
   */
  handle(): LoopHandle {
    return threads.handle(this);
  }

  /**
   * Closes the loop. Ready jobs and timers are dropped, and calls from other
   * threads fail.
   *
   * @throws {RuntimeError} If it is running.
   */
  override close(): void {
    super.close();
    threads.close(this);
  }

  /** The task factory; `null` for plain tasks. */
  getTaskFactory(): TaskFactory | null {
    return this.#taskFactory;
  }

  /** Creates a task by the factory, which may have options of its own. */
  #make<T>(coro: Coroutine<T>, options?: TaskOptions): Task<T> {
    checkCoroutine(coro, CREATE);
    checkBag(options, TASK_OPTIONS, CREATE);
    const task = this.#taskFactory!(this, coro, options);
    checkInstance(task, Future, CREATE, "what the task factory makes");
    return task;
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    let tasks = 0;
    for (let it = tasksOf(this).first; it !== null; it = it.next) tasks++;
    const state = this.isClosed()
      ? "closed"
      : this.isRunning()
      ? "running"
      : "idle";
    const debug = this.getDebug() ? ", debug mode" : "";
    return `<${this.constructor.name} ${state}, ${tasks} tasks${debug}>`;
  }
}

/** What `_threads.ts`, which needs loops, does for them. */
export interface ThreadHooks {
  call(loop: EventLoop, fn: unknown, args: unknown[]): Promise<unknown>;
  expose(loop: EventLoop, functions: Record<string, ThreadFunction>): void;
  handle(loop: EventLoop): LoopHandle;
  shutdown(loop: EventLoop, timeout: Duration): Promise<void>;
  close(loop: EventLoop): void;
}

/** The late-bound object of threads; `_threads.ts` fills it in. */
export const threads: ThreadHooks = {
  call: notLoaded,
  expose: notLoaded,
  handle: notLoaded,
  shutdown: notLoaded,
  close() {}, // without threads there is nothing to close
};

function notLoaded(): never {
  throw new RuntimeError(
    "Threads are not loaded: import the module itself, or its tasks.ts or runner.ts",
  );
}

let defaultLoop: EventLoop | undefined;

/**
 * Returns the loop that runs the calling code.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_running_loop}.
 *
 * @returns The loop.
 * @throws {RuntimeError} Where no runner is running; the implicit loop does not count.
 *
 * @example
 * ```ts
 * import { getRunningLoop, run } from "@asyncio/asyncio";
 * import { assert, assertThrows } from "@std/assert";
 *
 * assert(await run(() => getRunningLoop().isRunning()));
 * assertThrows(getRunningLoop);
 * ```
 */
export function getRunningLoop(): EventLoop {
  const loop = currentExecution()?.loop as EventLoop | undefined;
  if (loop === undefined || !loop.isRunning()) {
    throw new RuntimeError("There is no running event loop here");
  }
  return loop;
}

/**
 * Returns the loop of the calling code.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_event_loop}.
 *
 * @returns The running loop, or the implicit one where none is running.
 *
 * @example
 * ```ts
 * import { getEventLoop, run } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const implicit = getEventLoop();
 * assert(getEventLoop() === implicit);
 * assert(await run(() => getEventLoop() !== implicit));
 * ```
 */
export function getEventLoop(): EventLoop {
  const loop = currentExecution()?.loop as EventLoop | undefined;
  return loop ?? (defaultLoop ??= new EventLoop());
}

setDependents({
  Continuation,
  DoneCallback,
  EventLoop,
  getEventLoop,
  isImplicit: (loop) => loop === defaultLoop,
});
