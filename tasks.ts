/**
 * Tasks and the functions that wait for them: `createTask`, `TaskGroup`,
 * `timeout`, `gather`, `waitFor` and others.
 *
 * ```ts
 * import { sleep, TaskGroup, timeout } from "@asyncio/asyncio/tasks";
 * import { run } from "@asyncio/asyncio/runner";
 * import { assert } from "@std/assert";
 *
 * const results = await run(() =>
 *   timeout(5, () =>
 *     TaskGroup.run(async (group) => {
 *       const one = group.createTask(() => sleep(0, { result: 1 }));
 *       const two = group.createTask(() => sleep(0, { result: 2 }));
 *       return [await one, await two];
 *     }))
 * );
 * assert(results.join() === "1,2");
 * ```
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html}.
 *
 * @module
 */

import "./_snapshot.ts"; // with it, the event loop, debug mode and inspection
import { CancellableIterator, isAsyncIterable } from "./_async_iterator.ts";
import { type Duration, toSeconds } from "./_duration.ts";
import {
  type Awaitable,
  Future,
  futures,
  looksLikeFuture,
  type WaitSource,
} from "./_future.ts";
import { type EventLoop, getEventLoop } from "./_event_loop.ts";
import { CompletionQueue, type Completions } from "./_as_completed.ts";
import { GatheringFuture } from "./_gather.ts";
import { Limiter } from "./_limiter.ts";
import {
  checkCount,
  checkFlag,
  checkOptions,
  checkSignal,
  describe,
  isInstance,
  isIterable,
  signalOf,
} from "./_validate.ts";
import type { Cancellable, Coroutine } from "./_options.ts";
import { internals as loops, type Job, type TimerEntry } from "./_scheduler.ts";
import { recordCreation } from "./_call_site.ts";
import { operation, promiseTry } from "./_waiting_call.ts";
import { runTimeout, type Timeout, timeoutAfter } from "./_timeout.ts";
import {
  canBeAwaited,
  checkAwaitable,
  createTask,
  currentTask,
  ensureFuture,
  isCoroutine,
  isFuture,
  runInTask,
  wrapFuture,
} from "./_awaitable.ts";
import { FuturesSource, onceDone } from "./_done_callbacks.ts";
import { nameOf } from "./_inspect.ts";
import { CancelledError, TimeoutError } from "./exceptions.ts";

export type { Completions, DoneFuture } from "./_as_completed.ts";
export { TaskGroup, type TaskGroupOptions } from "./_task_group.ts";
export { Timeout, timeout, timeoutAt } from "./_timeout.ts";
export type { Context } from "./_context.ts";
export type { Duration, DurationLike } from "./_duration.ts";
export { type Awaitable, Future } from "./_future.ts";
export { Task } from "./_task.ts";
export { type TaskFactory } from "./_event_loop.ts";
export type {
  CallbackOptions,
  Cancellable,
  Coroutine,
  PrintStackOptions,
  StackOptions,
  TaskOptions,
  TextOutput,
} from "./_options.ts";
export {
  allTasks,
  createEagerTaskFactory,
  createTask,
  currentTask,
  eagerTaskFactory,
  ensureFuture,
  isCoroutineFunction,
  isFuture,
  type TaskConstructor,
  wrapFuture,
} from "./_awaitable.ts";

export {
  type LoopHandle,
  type ModuleFunction,
  runCoroutineThreadsafe,
  type ThreadFunction,
  ThreadFuture,
  toThread,
  transfer,
} from "./_threads.ts";

/** Options of {@linkcode sleep}. */
export interface SleepOptions<T> extends Cancellable {
  /**
   * The value that `sleep` resolves to.
   *
   * @default undefined
   */
  result?: T;
}

/** Options of {@linkcode gather}. */
export interface GatherOptions extends Cancellable, LimitOptions {
  /**
   * Whether to return errors as results instead of failing with the first one.
   *
   * @default false
   */
  returnExceptions?: boolean;
}

/** The limit on coroutine functions that run at once. */
export interface LimitOptions {
  /**
   * The maximum number of coroutine functions that run at once. The others
   * start in order as slots become free; one that is cancelled before it starts
   * is never called.
   *
   * @default {Infinity}
   */
  limit?: number | undefined;
}

/** The results of {@linkcode gather} for a tuple of awaitables. */
export type Gathered<A extends readonly unknown[]> = {
  -readonly [K in keyof A]: AwaitedResult<A[K]>;
};

/** The results of {@linkcode gather} with `returnExceptions`. */
export type GatheredOrErrors<A extends readonly unknown[]> = {
  -readonly [K in keyof A]: AwaitedResult<A[K]> | Error;
};

/** The type of the value of an {@linkcode Awaitable}. */
export type AwaitedResult<A> = A extends Future<infer T> ? Awaited<T>
  : A extends PromiseLike<infer T> ? Awaited<T>
  : A extends (...args: never[]) => infer R ? Awaited<R>
  : never;

/** Options of {@linkcode wait}. */
export interface WaitOptions extends Cancellable {
  /**
   * How long to wait at most, in seconds or as a duration; `null` for no limit.
   *
   * @default null
   */
  timeout?: Duration | null;
  /**
   * Which futures to wait for.
   *
   * @default "ALL_COMPLETED"
   */
  returnWhen?:
    | typeof FIRST_COMPLETED
    | typeof FIRST_EXCEPTION
    | typeof ALL_COMPLETED;
}

/** Options of {@linkcode asCompleted}. */
export interface AsCompletedOptions extends Cancellable, LimitOptions {
  /**
   * The time limit of the whole iteration, in seconds or as a duration; `null`
   * for no limit.
   *
   * @default null
   */
  timeout?: Duration | null;
}

/** `wait` returns when any future is done. */
export const FIRST_COMPLETED = "FIRST_COMPLETED";
/** `wait` returns when any future has failed, or when all are done. */
export const FIRST_EXCEPTION = "FIRST_EXCEPTION";
/** `wait` returns when all futures are done. */
export const ALL_COMPLETED = "ALL_COMPLETED";

const GATHER = "gather";
const WAIT_FOR = "wait for";
const AS_COMPLETED = "iterate";
const NO_OPTIONS = {};
const SLEEP_OPTIONS = ["result", "signal"] as const;
const GATHER_OPTIONS = ["returnExceptions", "limit", "signal"] as const;
const WAIT_OPTIONS = ["timeout", "returnWhen", "signal"] as const;
const AS_COMPLETED_OPTIONS = ["timeout", "limit", "signal"] as const;

/** A future that is resolved by a timer. */
class Sleep<T> extends Future<T> implements TimerEntry, WaitSource {
  static {
    looksLikeFuture(this);
  }

  isCancelled = false;
  readonly #due: number;
  readonly #result: T;

  constructor(loop: EventLoop, due: number, result: T) {
    super(loop as never);
    this.#due = due;
    this.#result = result;
    futures.setSource(this, this);
    loops.addTimer(loop, due, this);
    if (loop.getDebug()) recordCreation(this);
  }

  run(): boolean {
    if (!this.done()) futures.settle(this, this.#result);
    return false;
  }

  complete(): never {
    throw new Error("A sleep is settled by its timer and never notified");
  }

  handOff(): void {}

  remove(): void {
    loops.removeTimer(this.getLoop(), this);
  }

  get kind(): string {
    return "timer";
  }

  describe(): string {
    const remaining = this.#due - this.getLoop().time();
    return `a timer due in ${Math.max(0, remaining).toFixed(1)} s`;
  }
}

/**
 * Suspends the caller for some time while everything else runs.
 *
 * A delay of zero or less yields once to everything that is ready. If
 * cancelled, no timer is left behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.sleep}.
 *
 * @typeParam T The type of the result.
 * @param delay Seconds or a duration; `Infinity` sleeps until cancelled.
 * @param options The value to resolve to, and a signal that aborts the sleep.
 * @returns The `result` option, `undefined` by default.
 * @throws {RangeError} If the delay is `NaN`.
 * @throws {TypeError} If the delay is not a duration, or an option is invalid.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * await sleep({ milliseconds: 5 });
 * assert(await sleep(0.005, { result: "awake" }) === "awake");
 * ```
 */
export function sleep<T = void>(
  delay: Duration,
  options: SleepOptions<T> = NO_OPTIONS,
): Promise<T> {
  return promiseTry(() => {
    const seconds = toSeconds(delay);
    if (options !== NO_OPTIONS) {
      checkOptions(options, SLEEP_OPTIONS, "sleep");
      checkSignal(options.signal, "sleep");
    }
    const { result, signal } = options;
    signal?.throwIfAborted();
    const loop = getEventLoop();
    if (seconds <= 0) return futures.makeYield(loop, result);
    const future = new Sleep(loop, loop.time() + seconds, result as T);
    if (signal) futures.subscribeSignal(future, signal);
    return future;
  });
}

/**
 * Runs awaitables concurrently and waits for all of them.
 *
 * Coroutine functions become tasks. If one fails, `gather` fails at once with
 * its error and the others keep running; their results and errors are ignored.
 * Cancelling the returned future, or the task that awaits it, cancels all of
 * them. A future that occurs twice is run once and fills both slots.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.gather}.
 *
 * @typeParam A The types of the awaitables.
 * @param aws Futures, promises and coroutine functions.
 * @param options Whether to return errors as results (not by default), how many coroutine functions run at once (all by default), and a signal that cancels them.
 * @returns A future of the results, in the order of `aws`.
 * @throws {TypeError} If one of them cannot be awaited, or an option is invalid; nothing is then started.
 * @throws {RangeError} If `limit` is not a whole number of at least 1.
 * @throws {CancelledError} When awaited, if the calling task is cancelled.
 *
 * @example
 * ```ts
 * import { gather, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const [one, two] = await gather([
 *   () => sleep(0.002, { result: 1 }),
 *   () => sleep(0.001, { result: 2 }),
 * ]);
 * assert(one === 1 && two === 2);
 * ```
 */
export function gather<const A extends readonly Awaitable<unknown>[]>(
  aws: A,
  options: GatherOptions & { returnExceptions: true },
): Future<GatheredOrErrors<A>>;
/**
 * Runs awaitables concurrently and waits for all of them.
 *
 * @typeParam A The types of the awaitables.
 * @param aws Futures, promises and coroutine functions.
 * @param options Whether to return errors as results (not by default), how many coroutine functions run at once (all by default), and a signal that cancels them.
 * @returns A future of the results, in the order of `aws`.
 */
export function gather<const A extends readonly Awaitable<unknown>[]>(
  aws: A,
  options?: GatherOptions,
): Future<Gathered<A>>;
export function gather(
  aws: readonly Awaitable<unknown>[],
  options: GatherOptions = NO_OPTIONS,
): Future<unknown[]> {
  const list = listOf(aws, GATHER);
  if (options !== NO_OPTIONS) {
    checkOptions(options, GATHER_OPTIONS, GATHER);
    checkSignal(options.signal, GATHER);
    checkFlag(options.returnExceptions, GATHER, "returnExceptions");
    options.signal?.throwIfAborted();
  }
  const { returnExceptions = false, limit, signal } = options;
  const children = futuresFor(list, limit, GATHER);
  const areNew = list.every(isCoroutine);
  return new GatheringFuture(children, returnExceptions, areNew, signal);
}

/** Converts awaitables to futures; at most `limit` coroutine functions run at once. */
function futuresFor<T>(
  list: readonly Awaitable<T>[],
  limit: number | undefined,
  action: string,
): Future<T>[] {
  if (limit === undefined) return list.map(ensureFuture);
  checkCount(limit, 1, action, "limit");
  const limiter = new Limiter(limit);
  return list.map((aw) =>
    isCoroutine(aw) ? createTask(limiter.wrap(aw)) : ensureFuture(aw)
  );
}

/**
 * Makes a wait for a promise from outside of this module cancellable. If
 * cancelled, the wait ends at once. The operation behind the promise continues,
 * and its result or error is dropped.
 *
 * Where possible, pass the task's signal to the operation instead: that also
 * ends the work.
 *
 * @typeParam T The type of the value.
 * @param promise The promise.
 * @returns A future with the same outcome.
 * @throws {TypeError} If it is neither a promise nor an async iterable.
 * @throws {CancelledError} When awaited, if the calling task is cancelled.
 *
 * @example
 * ```ts
 * import { cancellable, timeout, TimeoutError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const never = new Promise<string>(() => {});
 * const error = await timeout(0.001, () => cancellable(never))
 *   .catch((error) => error);
 * assert(error instanceof TimeoutError);
 * ```
 */
export function cancellable<T>(promise: PromiseLike<T>): Future<T>;
/**
 * Makes iterating over a stream or another async iterable cancellable. When the
 * loop is left or the task is cancelled, the iterable is closed; a stream is
 * cancelled.
 *
 * @typeParam T The type of the items.
 * @param iterable The iterable.
 * @returns An async iterable of the same items.
 * @throws {CancelledError} During iteration, if the calling task is cancelled.
 *
 * @example
 * ```ts
 * import { cancellable } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * const chunks: string[] = [];
 * for await (const chunk of cancellable(ReadableStream.from(["a", "b"]))) {
 *   chunks.push(chunk);
 * }
 * assertEquals(chunks, ["a", "b"]);
 * ```
 */
export function cancellable<T>(iterable: AsyncIterable<T>): AsyncIterable<T>;
export function cancellable<T>(
  source: PromiseLike<T> | AsyncIterable<T>,
): Future<T> | AsyncIterable<T> {
  if (canBeAwaited(source)) return wrapFuture(source as PromiseLike<T>);
  if (isAsyncIterable(source)) {
    return { [Symbol.asyncIterator]: () => new CancellableIterator(source) };
  }
  throw new TypeError(
    `Cannot make a wait cancellable: expected a promise or an async iterable, got ${
      describe(source)
    }`,
  );
}

/**
 * Waits for an awaitable with a time limit.
 *
 * A coroutine function runs in the calling task. When the timeout expires, the
 * awaitable is cancelled, and once it has ended `waitFor` rejects with a
 * `TimeoutError`, or settles as the awaitable does if that handled the
 * cancellation. With a timeout of zero or less, a coroutine function is never
 * called.
 *
 * If the calling task is cancelled, so is the awaitable. A promise from outside
 * of this module cannot be cancelled and continues; a value that a call such as
 * `queue.get()` has already received is returned, not lost.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.wait_for}.
 *
 * @typeParam T The type of the value.
 * @param aw A future, a promise or a coroutine function.
 * @param timeout Seconds or a duration; `null` for no limit.
 * @param options A signal that aborts the wait and cancels `aw`.
 * @returns The value.
 * @throws {TimeoutError} If the timeout expires.
 * @throws {CancelledError} If the calling task is cancelled.
 * @throws {TypeError} If an argument or an option is invalid.
 *
 * @example
 * ```ts
 * import { sleep, TimeoutError, waitFor } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * try {
 *   await waitFor(() => sleep(3600), 0.001);
 * } catch (error) {
 *   assert(error instanceof TimeoutError);
 * }
 * ```
 */
export function waitFor<T>(
  aw: Awaitable<T>,
  timeout: Duration | null,
  options: Cancellable = NO_OPTIONS,
): Promise<T> {
  return promiseTry(() => {
    checkAwaitable(aw, WAIT_FOR);
    const limit = timeout === null ? null : toSeconds(timeout, "timeout");
    const signal = options === NO_OPTIONS
      ? undefined
      : signalOf(options, WAIT_FOR);
    signal?.throwIfAborted();
    if (currentTask() === null) {
      return runInTask(() => waitFor(aw, limit, options));
    }
    if (isForeign(aw)) return waitForForeign(aw, limit, signal);
    return waitForOwn(aw, limit, signal);
  });
}

/** Waits for a promise. One that has already settled is not interrupted, as its value would be lost. */
async function waitForForeign<T>(
  promise: PromiseLike<T>,
  limit: number | null,
  signal: AbortSignal | undefined,
): Promise<T> {
  const future = ensureFuture(promise);
  await null; // lets an already settled promise settle the future
  if (future.done()) return future.result();
  return await waitForOwn(future, limit, signal);
}

function waitForOwn<T>(
  aw: Future<T> | Coroutine<T>,
  limit: number | null,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (limit !== null && limit <= 0) {
    return waitNoTime(ensureFuture(aw), signal);
  }
  const body = aw instanceof Future
    ? () => aw
    : (scope: Timeout) => aw(scope.signal);
  return runTimeout(timeoutAfter(limit), body, signal);
}

async function waitNoTime<T>(
  future: Future<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (future.done()) return future.result();
  const ended = futures.make(
    getEventLoop(),
    new FuturesSource([future], "waitFor"),
  );
  if (signal) futures.subscribeSignal(ended, signal);
  const what = nameOf(future);
  const job = onceDone(future, () => {
    if (!ended.done()) ended.setResult(undefined);
  });
  future.cancel();
  try {
    await ended;
  } finally {
    futures.unsubscribe(future, job);
  }
  try {
    return future.result();
  } catch (error) {
    if (!isInstance(error, CancelledError)) throw error;
    throw new TimeoutError(`Timed out at once: ${what} was not done`, {
      cause: error,
    });
  }
}

/**
 * Waits until some or all of the futures are done. It never throws their errors
 * and never cancels them, not even if the timeout expires or the caller is
 * cancelled.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.wait}.
 *
 * @typeParam T The type of their values.
 * @param aws Futures and tasks; no coroutine functions and no promises.
 * @param options The timeout (none by default), which futures to wait for (all by default), and a signal that aborts the wait.
 * @returns The set of done and the set of pending futures.
 * @throws {TypeError} If one of them is not a future, or an option is invalid.
 * @throws {RangeError} If there are none, or `returnWhen` is unknown.
 * @throws {CancelledError} If the calling task is cancelled.
 *
 * @example
 * ```ts
 * import { createTask, FIRST_COMPLETED, sleep, wait } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const fast = createTask(() => sleep(0.001));
 * const slow = createTask(() => sleep(3600));
 * const [done, pending] = await wait([fast, slow], {
 *   returnWhen: FIRST_COMPLETED,
 * });
 * assert(done.has(fast) && pending.has(slow));
 * slow.cancel();
 * ```
 */
export function wait<F extends Future<unknown>>(
  aws: Iterable<F>,
  options: WaitOptions = NO_OPTIONS,
): Promise<[done: Set<F>, pending: Set<F>]> {
  return operation(() => waitUntil(aws, options));
}

async function waitUntil<F extends Future<unknown>>(
  aws: Iterable<F>,
  options: WaitOptions,
): Promise<[done: Set<F>, pending: Set<F>]> {
  checkOptions(options, WAIT_OPTIONS, "wait");
  checkSignal(options.signal, "wait");
  const { timeout = null, returnWhen = ALL_COMPLETED, signal } = options;
  const all = futuresOf(aws);
  if (
    returnWhen !== FIRST_COMPLETED && returnWhen !== FIRST_EXCEPTION &&
    returnWhen !== ALL_COMPLETED
  ) {
    throw new RangeError(
      `Cannot wait: returnWhen must be FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED, got ${
        describe(returnWhen)
      }`,
    );
  }
  const limit = timeout === null ? null : toSeconds(timeout, "timeout");
  signal?.throwIfAborted();
  await untilDone(all, limit, returnWhen, signal);
  const done = new Set<F>();
  const pending = new Set<F>();
  for (const future of all) (future.done() ? done : pending).add(future);
  return [done, pending];
}

function futuresOf<F extends Future<unknown>>(aws: Iterable<F>): Set<F> {
  const all = new Set(listOf(aws, "wait", checkFuture));
  if (all.size === 0) {
    throw new RangeError("Cannot wait: expected at least one future, got none");
  }
  return all;
}

async function untilDone(
  all: ReadonlySet<Future<unknown>>,
  limit: number | null,
  returnWhen: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const loop = getEventLoop();
  const waiting = [...all].filter((future) => !future.done());
  const waiter = futures.make(loop, new FuturesSource(waiting, "wait"));
  if (signal) futures.subscribeSignal(waiter, signal);
  const release = () => {
    if (!waiter.done()) waiter.setResult(undefined);
  };
  const timer = limit === null ? null : loop.callLater(limit, release);
  let pendingCount = all.size;
  const jobs = new Map<Future<unknown>, Job>();
  for (const future of all) {
    const onDone = () => {
      pendingCount--;
      if (pendingCount === 0 || isEnough(future, returnWhen)) release();
    };
    jobs.set(future, onceDone(future, onDone));
  }
  try {
    await waiter;
  } finally {
    timer?.cancel();
    for (const [future, job] of jobs) futures.unsubscribe(future, job);
  }
}

function isEnough(future: Future<unknown>, returnWhen: string): boolean {
  return returnWhen === FIRST_COMPLETED ||
    (returnWhen === FIRST_EXCEPTION && !future.cancelled() &&
      futures.failed(future));
}

/**
 * Protects an awaitable from cancellation of its waiter.
 *
 * Cancelling the returned future, or the task that awaits it, ends only the
 * wait; the awaitable keeps running. If the awaitable itself is cancelled, so
 * is the returned future.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.shield}.
 *
 * @typeParam T The type of the value.
 * @param aw A future, a promise or a coroutine function.
 * @returns A future with the same outcome.
 * @throws {TypeError} If `aw` is none of these.
 * @throws {CancelledError} When awaited, if the calling task or `aw` is cancelled.
 *
 * @example
 * ```ts
 * import { createTask, shield, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const saving = createTask(() => sleep(0.005, { result: "saved" }));
 * const asking = createTask(async () => await shield(saving));
 * await sleep(0);
 * asking.cancel();
 * assert(await saving === "saved");
 * ```
 */
export function shield<T>(aw: Awaitable<T>): Future<T> {
  checkAwaitable(aw, "shield");
  const inner = ensureFuture(aw);
  if (inner.done()) return inner;
  const outer: Future<T> = futures.make(
    inner.getLoop(),
    new FuturesSource([inner as Future<unknown>], "shield"),
  );
  const job = onceDone(inner, () => {
    if (outer.done()) return futures.discard(inner);
    futures.settleAs(outer, inner);
  });
  onceDone(outer, () => {
    if (!inner.done()) futures.unsubscribe(inner, job);
  });
  return outer;
}

/**
 * Iterates over awaitables in the order in which they complete.
 *
 * `for await` yields the futures themselves, each done: those that were passed
 * in, and the tasks of coroutine functions. A plain `for` yields *turns*: the
 * turn that is awaited first gets the value of the next completion. Either loop
 * can be left and continued later. Leaving it, the timeout and a cancellation
 * do not cancel the futures, and the completion that a cancelled consumer
 * waited for goes to the next one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.as_completed}.
 *
 * @typeParam T The type of the values.
 * @param aws Futures, promises and coroutine functions; a duplicate future is yielded once.
 * @param options The timeout of the iteration (none by default), how many coroutine functions run at once (all by default), and a signal that aborts the iteration.
 * @returns An iterable for one iteration of either kind. After the timeout `for await` throws a `TimeoutError`, and each remaining turn rejects with one.
 * @throws {TypeError} If `aws` is not an iterable of awaitables, or an option is invalid.
 * @throws {CancelledError} During iteration, if the calling task is cancelled.
 *
 * @example
 * ```ts
 * import { asCompleted, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const order: number[] = [];
 * const aws = [0.004, 0.001].map((s) => () => sleep(s, { result: s }));
 * for await (const task of asCompleted(aws)) order.push(task.result());
 * assert(order.join() === "0.001,0.004");
 * ```
 */
export function asCompleted<T>(
  aws: Iterable<Awaitable<T>>,
  options: AsCompletedOptions = NO_OPTIONS,
): Completions<T> {
  checkOptions(options, AS_COMPLETED_OPTIONS, AS_COMPLETED);
  checkSignal(options.signal, AS_COMPLETED);
  const { timeout = null, limit, signal } = options;
  const seconds = timeout === null ? null : toSeconds(timeout, "timeout");
  const list = listOf(aws, AS_COMPLETED);
  signal?.throwIfAborted();
  const all = futuresFor(list, limit, AS_COMPLETED);
  return new CompletionQueue(all, seconds, signal);
}

/** Whether an awaitable is a promise from outside of this module. */
function isForeign<T>(aw: Awaitable<T>): aw is PromiseLike<T> {
  return !(aw instanceof Future) && canBeAwaited(aw);
}

function checkFuture(aw: unknown): void {
  if (isFuture(aw)) return;
  throw new TypeError(
    `Cannot wait for ${
      describe(aw)
    }: expected a future or a task; createTask() makes one`,
  );
}

/** Converts an iterable of awaitables to an array, and checks all of them before any is started. */
function listOf<A>(
  aws: Iterable<A>,
  action: string,
  check: (aw: unknown, action: string) => void = checkAwaitable,
): A[] {
  if (isFuture(aws) || !isIterable(aws)) {
    const hint = typeof aws === "function" || canBeAwaited(aws)
      ? "; pass them in one array"
      : "";
    throw new TypeError(
      `Cannot ${action}: expected an iterable of awaitables, got ${
        describe(aws)
      }${hint}`,
    );
  }
  const list = [...aws];
  for (const aw of list) check(aw, action);
  return list;
}
