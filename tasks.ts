/**
 * Tasks, and everything that waits for them: `createTask`, `TaskGroup`,
 * `timeout`, `gather`, `waitFor` and more.
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
import { rejection } from "./_error_stack.ts";
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
import { operation } from "./_waiting_call.ts";
import { runScope, type Timeout, timeoutIn } from "./_scopes.ts";
import {
  canBeAwaited,
  checkAwaitable,
  createTask,
  currentTask,
  ensureFuture,
  isCoroutine,
  isFuture,
  wrapFuture,
} from "./_awaitable.ts";
import { onceDone, Several } from "./_done_callbacks.ts";
import { nameOf } from "./_inspect.ts";
import { CancelledError, TimeoutError } from "./exceptions.ts";

export type { Completions, DoneFuture } from "./_as_completed.ts";
export {
  TaskGroup,
  type TaskGroupOptions,
  Timeout,
  timeout,
  timeoutAt,
} from "./_scopes.ts";
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
   * What `sleep` resolves to.
   *
   * @default undefined
   */
  result?: T;
}

/** Options of {@linkcode gather}. */
export interface GatherOptions extends Cancellable, LimitOptions {
  /**
   * Whether errors take their places among the results instead of ending the
   * gather.
   *
   * @default false
   */
  returnExceptions?: boolean;
}

/** How many coroutine functions may run at once. */
export interface LimitOptions {
  /**
   * The largest number of the coroutine functions that run at once. The
   * others start in order as places become free; one that is cancelled before
   * is never called.
   *
   * @default no limit
   */
  limit?: number | undefined;
}

/** What {@linkcode gather} gives for a tuple of awaitables. */
export type Gathered<A extends readonly unknown[]> = {
  -readonly [K in keyof A]: AwaitedResult<A[K]>;
};

/** What {@linkcode gather} gives where errors take their places among the results. */
export type GatheredOrErrors<A extends readonly unknown[]> = {
  -readonly [K in keyof A]: AwaitedResult<A[K]> | Error;
};

/** What awaiting one {@linkcode Awaitable} gives. */
export type AwaitedResult<A> = A extends Future<infer T> ? Awaited<T>
  : A extends PromiseLike<infer T> ? Awaited<T>
  : A extends (...args: never[]) => infer R ? Awaited<R>
  : never;

/** Options of {@linkcode wait}. */
export interface WaitOptions extends Cancellable {
  /**
   * How long to wait at most, `null` for as long as it takes.
   *
   * @default null
   */
  timeout?: Duration | null;
  /**
   * What to wait for.
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
   * How long all of it may take, `null` for as long as it takes.
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

/** A future that gets its value at a moment. */
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
    throw new Error("A sleep is settled, never woken");
  }

  handOff(): void {}

  remove(): void {
    loops.removeTimer(this.getLoop(), this);
  }

  get kind(): string {
    return "timer";
  }

  describe(): string {
    const left = this.#due - this.getLoop().time();
    return `a timer due in ${Math.max(0, left).toFixed(1)} s`;
  }
}

/**
 * Sleeps while other tasks run.
 *
 * A delay of zero or less lets everything that is ready run once. A cancelled
 * sleep leaves no timer behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.sleep}.
 *
 * @typeParam T The type of the result.
 * @param delay Seconds or a duration; `Infinity` sleeps until cancelled.
 * @param options The result, and a signal that ends the sleep.
 * @returns The result option.
 * @throws {RangeError} If the delay is `NaN`.
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
  try {
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
  } catch (error) {
    return rejection(error);
  }
}

/**
 * Waits for several things at once.
 *
 * Coroutine functions become tasks. If one fails, the gather fails at once
 * with its error and the others run on; their later results and errors are
 * ignored. Cancelling the gather, or the task that awaits it, cancels all of
 * them. A future that is given twice fills both places.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.gather}.
 *
 * @typeParam A The types of the awaitables.
 * @param aws Futures, promises and coroutine functions.
 * @param options Whether errors are results, how many run at once, and a signal that cancels them.
 * @returns A future of the results, in the order of the arguments.
 * @throws {TypeError} If one of them cannot be awaited; then none is started.
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
 * Waits for several things at once.
 *
 * @typeParam A The types of the awaitables.
 * @param aws Futures, promises and coroutine functions.
 * @param options Whether errors are results, how many run at once, and a signal that cancels them.
 * @returns A future of the results, in the order of the arguments.
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

/** The futures of awaitables, of which no more than `limit` coroutine functions run at once. */
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
 * Lets a task be cancelled while it awaits a promise from outside of this
 * module: the wait ends at once. The work behind the promise runs on; its
 * result is dropped, and its error is not an unhandled rejection.
 *
 * Where possible, hand the task's signal to the call instead: that ends the
 * work too.
 *
 * @typeParam T The type of the value.
 * @param promise The promise.
 * @returns A future of the same outcome.
 * @throws {TypeError} If it is neither a promise nor an async iterable.
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
 * Lets a task be cancelled while it waits for the next item of a stream or of
 * another async iterable. The iterable is closed when the loop is left or the
 * task is cancelled; a stream is then cancelled.
 *
 * @typeParam T The type of the items.
 * @param iterable The iterable.
 * @returns An iterable of the same items.
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
    `Cannot make it cancellable: expected a promise or an async iterable, got ${
      describe(source)
    }`,
  );
}

/**
 * Waits for something for a limited time.
 *
 * A coroutine function runs inside the calling task. When the time is up it
 * is cancelled, and `waitFor` returns once it has ended: with a
 * `TimeoutError`, or with the value or error with which it answered the
 * cancellation. With no time at all a coroutine function is never called.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.wait_for}.
 *
 * @typeParam T The type of the value.
 * @param aw A future, a promise or a coroutine function.
 * @param timeout Seconds or a duration, `null` for no limit.
 * @param options A signal that ends the wait as a cancellation would.
 * @returns The value.
 * @throws {TimeoutError} If the time is up.
 * @throws {CancelledError} If the calling task is cancelled, and `aw` with it.
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
  try {
    checkAwaitable(aw, WAIT_FOR);
    const limit = timeout === null ? null : toSeconds(timeout, "timeout");
    const signal = options === NO_OPTIONS
      ? undefined
      : signalOf(options, WAIT_FOR);
    signal?.throwIfAborted();
    if (currentTask() === null) return inTask(aw, limit, options);
    if (isForeign(aw)) return waitForForeign(aw, limit, signal);
    return waitForOwn(aw, limit, signal);
  } catch (error) {
    return rejection(error);
  }
}

async function inTask<T>(
  aw: Awaitable<T>,
  limit: number | null,
  options: Cancellable,
): Promise<T> {
  return await createTask(() => waitFor(aw, limit, options));
}

/** What has its outcome already is never interrupted: an item that a queue has given would be lost. */
async function waitForForeign<T>(
  promise: PromiseLike<T>,
  limit: number | null,
  signal: AbortSignal | undefined,
): Promise<T> {
  const future = ensureFuture(promise);
  await null; // a promise that has settled before tells the future first
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
  return runScope(timeoutIn(limit), body, signal);
}

async function waitNoTime<T>(
  future: Future<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (future.done()) return future.result();
  const ended = futures.make(getEventLoop(), new Several([future], "waitFor"));
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
    throw new TimeoutError(`There was no time to wait for ${what}`, {
      cause: error,
    });
  }
}

/**
 * Waits until some or all of several futures are done. It neither throws
 * their errors nor cancels them, not even when the time is up or the caller
 * is cancelled.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.wait}.
 *
 * @typeParam T The type of their values.
 * @param aws Futures and tasks; no coroutine functions and no promises.
 * @param options How long, for what, and a signal that ends the wait.
 * @returns Those that are done, and those that are not.
 * @throws {TypeError} If one of them is not a future.
 * @throws {RangeError} If there is none, or `returnWhen` is unknown.
 * @throws {CancelledError} If the task is cancelled.
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
    throw new RangeError("Cannot wait: there is nothing to wait for");
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
  const waiter = futures.make(loop, new Several(waiting, "wait"));
  if (signal) futures.subscribeSignal(waiter, signal);
  const release = () => {
    if (!waiter.done()) waiter.setResult(undefined);
  };
  const timer = limit === null ? null : loop.callLater(limit, release);
  let left = all.size;
  const jobs = new Map<Future<unknown>, Job>();
  for (const future of all) {
    const onDone = () => {
      left--;
      if (left === 0 || isEnough(future, returnWhen)) release();
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
 * Protects something from the cancellation of whoever awaits it.
 *
 * Cancelling the shield, or the task that awaits it, ends the waiting but not
 * what is waited for. If that is cancelled itself, so is the shield.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.shield}.
 *
 * @typeParam T The type of the value.
 * @param aw A future, a promise or a coroutine function.
 * @returns A future of the same outcome.
 * @throws {TypeError} If it is none of these.
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
    new Several([inner as Future<unknown>], "shield"),
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
 * Yields several things in the order in which they finish.
 *
 * `for await` yields the futures themselves: those that were given, and the
 * tasks made of coroutine functions. A plain `for` yields *turns*: whichever
 * turn is awaited first gets the value of the next that is done. Either loop
 * can be left and taken up again. Neither leaving it nor the deadline cancels
 * anything.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.as_completed}.
 *
 * @typeParam T The type of the values.
 * @param aws Futures, promises and coroutine functions; a future given twice comes once.
 * @param options How long all of it may take, how many coroutine functions run at once, and a signal that ends the iteration.
 * @returns An iterable for one iteration, in either style. After the deadline `for await` throws a `TimeoutError`, and each turn that is left rejects with one.
 * @throws {TypeError} If `aws` is not an iterable of awaitables.
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

/** Whether something is a promise from outside of this module. */
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

/** The items of a collection of awaitables, each checked before any is started. */
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
