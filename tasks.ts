/**
 * Tasks, and everything that waits for them: `createTask`, `TaskGroup`,
 * `timeout`, `gather`, `waitFor` and their kin.
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

import { Deque } from "./_collections.ts";
import { type Duration, toSeconds } from "./_duration.ts";
import {
  type Awaitable,
  describe,
  type EventLoop,
  Future,
  futures,
  getEventLoop,
  isThenable,
  type Waitable,
} from "./_future.ts";
import type { Cancellable } from "./_options.ts";
import {
  type Alarm,
  internals as loops,
  type Job,
  type TimerHandle,
} from "./_loop.ts";
import { rememberMaking } from "./_place.ts";
import { runScope, Timeout } from "./_scopes.ts";
import {
  createTask,
  currentTask,
  ensureFuture,
  errorOf,
  onceDone,
  Several,
} from "./_task.ts";
import { nameOf } from "./_text.ts";
import { Home, type Turn, WaitQueue } from "./_wait.ts";
import { CancelledError, TimeoutError } from "./exceptions.ts";

export { TaskGroup, Timeout, timeout, timeoutAt } from "./_scopes.ts";
export type { Context } from "./_context.ts";
export type { Duration, DurationLike } from "./_duration.ts";
export { type Awaitable, Future, Task, type TaskFactory } from "./_future.ts";
export type {
  CallbackOptions,
  Cancellable,
  Coroutine,
  StackOptions,
  TaskOptions,
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
} from "./_task.ts";

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
export interface GatherOptions {
  /**
   * Whether errors take their places among the results instead of ending the
   * whole.
   *
   * @default false
   */
  returnExceptions?: boolean;
}

/** What {@linkcode gather} gives for a tuple of awaitables. */
export type Gathered<A extends readonly unknown[]> = {
  -readonly [K in keyof A]: AwaitedResult<A[K]>;
};

/** What awaiting one {@linkcode Awaitable} gives. */
export type AwaitedResult<A> = A extends Future<infer T> ? Awaited<T>
  : A extends PromiseLike<infer T> ? Awaited<T>
  : A extends (...args: never[]) => infer R ? Awaited<R>
  : never;

/** Options of {@linkcode wait}. */
export interface WaitOptions {
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
export interface AsCompletedOptions {
  /**
   * How long all of it may take, `null` for as long as it takes.
   *
   * @default null
   */
  timeout?: Duration | null;
}

/** A finished future, as `for await` yields it: its methods, but nothing to await. */
export type DoneFuture<T> = Pick<
  Future<T>,
  "done" | "cancelled" | "result" | "exception"
>;

/** What {@linkcode asCompleted} gives: one iteration, in either style. */
export interface Completions<T>
  extends AsyncIterable<DoneFuture<T>>, Iterable<PromiseLike<T>> {
}

/** `wait` returns when any future is done. */
export const FIRST_COMPLETED = "FIRST_COMPLETED";
/** `wait` returns when any future has failed, or when all are done. */
export const FIRST_EXCEPTION = "FIRST_EXCEPTION";
/** `wait` returns when all futures are done. */
export const ALL_COMPLETED = "ALL_COMPLETED";

/** A future that gets its value at a moment. */
class Sleep<T> extends Future<T> implements Alarm, Waitable {
  dead = false;
  readonly #due: number;
  readonly #result: T;

  constructor(loop: EventLoop, due: number, result: T) {
    super({ loop });
    this.#due = due;
    this.#result = result;
    futures.attach(this, this);
    loops.addAlarm(loop, due, this);
    if (loop.getDebug()) rememberMaking(this);
  }

  run(): boolean {
    if (!this.done()) futures.settle(this, this.#result);
    return false;
  }

  take(): never {
    throw new Error("A sleep is settled, never woken");
  }

  pass(): void {}

  drop(): void {
    loops.dropAlarm(this.getLoop(), this);
  }

  describe(): string {
    const left = this.#due - this.getLoop().time();
    return `a timer due in ${Math.max(0, left).toFixed(1)} s`;
  }
}

/**
 * Sleeps, while everything else runs on.
 *
 * A delay of zero or less lets everything run once that is ready now. A
 * cancelled sleep leaves no timer behind.
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
  options: SleepOptions<T> = {},
): Promise<T> {
  try {
    const seconds = toSeconds(delay);
    const { result, signal } = options;
    signal?.throwIfAborted();
    const loop = getEventLoop();
    if (seconds <= 0) return futures.makeYield(loop, result);
    const future = new Sleep(loop, loop.time() + seconds, result as T);
    if (signal) futures.link(future, signal);
    return future;
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Waits for all of several things at once.
 *
 * Coroutine functions become tasks. If one fails, the gather fails at once
 * with its error and the others run on; what they do later is not heard of.
 * Cancelling the gather, or the task that awaits it, cancels all of them.
 * A future that is given twice fills both places.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.gather}.
 *
 * @typeParam A The types of the awaitables.
 * @param aws Futures, promises and coroutine functions.
 * @param options Whether errors are results.
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
  options: GatherOptions = {},
): Future<Gathered<A>> {
  const list = listOf(aws, "gather");
  const children = list.map(ensureFuture);
  const loop = children[0]?.getLoop() ?? getEventLoop();
  const outer = new GatheringFuture(
    loop,
    children,
    options.returnExceptions ?? false,
    list.every((aw) => typeof aw === "function"),
  );
  return outer as Future<unknown> as Future<Gathered<A>>;
}

/** The future of a gather: done with its last child, or with the first error. */
class GatheringFuture extends Future<unknown[]> {
  readonly #children: readonly Future<unknown>[];
  readonly #returnExceptions: boolean;
  #unfinished: number;
  #cancelRequested = false;

  constructor(
    loop: EventLoop,
    children: readonly Future<unknown>[],
    returnExceptions: boolean,
    areNew: boolean,
  ) {
    super({ loop });
    futures.attach(this, new Several(children));
    this.#children = children;
    this.#returnExceptions = returnExceptions;
    // Tasks that were just made for it are all different, and a set is dear.
    const distinct = areNew ? children : [...new Set(children)];
    this.#unfinished = distinct.length;
    if (distinct.length === 0) this.setResult([]);
    const done: Future<unknown>[] = [];
    const onDone = (child: Future<unknown>) => this.childDone(child);
    for (const child of distinct) {
      if (child.done()) done.push(child);
      else onceDone(child, onDone);
    }
    for (const child of done) this.childDone(child);
  }

  override cancel(message?: string): boolean {
    if (this.done()) return super.cancel(message);
    let any = false;
    for (const child of this.#children) any = child.cancel(message) || any;
    if (any) this.#cancelRequested = true;
    return any;
  }

  childDone(child: Future<unknown>): void {
    this.#unfinished--;
    if (this.done()) return futures.discard(child);
    if (
      !this.#returnExceptions && (child.cancelled() || futures.failed(child))
    ) return this.setException(errorOf(child)!.thrown);
    if (this.#unfinished === 0) this.#finish();
  }

  #finish(): void {
    const results = this.#children.map((child) =>
      child.cancelled() || futures.failed(child)
        ? errorOf(child)!.thrown
        : child.result()
    );
    if (this.#cancelRequested) {
      const last = this.#children.at(-1)!;
      this.setException(
        last.cancelled() ? errorOf(last)!.thrown : new CancelledError(),
      );
    } else this.setResult(results);
  }
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
export async function waitFor<T>(
  aw: Awaitable<T>,
  timeout: Duration | null,
  options: Cancellable = {},
): Promise<T> {
  checkAwaitable(aw, "wait for");
  const limit = timeout === null ? null : toSeconds(timeout, "timeout");
  options.signal?.throwIfAborted();
  if (currentTask() === null) {
    return await createTask(() => waitFor(aw, limit, options));
  }
  if (limit !== null && limit <= 0) {
    return await waitNoTime(ensureFuture(aw), options.signal);
  }
  const due = limit === null ? null : getEventLoop().time() + limit;
  return await runScope(new Timeout(due), () => {
    if (aw instanceof Future || typeof aw !== "function") {
      return ensureFuture(aw);
    }
    return aw(currentTask()!.signal);
  }, options.signal);
}

async function waitNoTime<T>(
  future: Future<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (future.done()) return future.result();
  const ended = futures.make(getEventLoop(), new Several([future]));
  if (signal) futures.link(ended, signal);
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
    if (!(error instanceof CancelledError)) throw error;
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
 * @param options How long, and for what.
 * @returns Those that are done, and those that are not.
 * @throws {TypeError} If one of them is not a future.
 * @throws {RangeError} If there is none, or `returnWhen` is unknown.
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
export async function wait<T>(
  aws: Iterable<Future<T>>,
  options: WaitOptions = {},
): Promise<[done: Set<Future<T>>, pending: Set<Future<T>>]> {
  const { timeout = null, returnWhen = ALL_COMPLETED } = options;
  const all = futuresOf(aws);
  if (
    returnWhen !== FIRST_COMPLETED && returnWhen !== FIRST_EXCEPTION &&
    returnWhen !== ALL_COMPLETED
  ) {
    throw new RangeError(`Unknown returnWhen: ${describe(returnWhen)}`);
  }
  const limit = timeout === null ? null : toSeconds(timeout, "timeout");
  await untilDone(all, limit, returnWhen);
  const done = new Set<Future<T>>();
  const pending = new Set<Future<T>>();
  for (const future of all) (future.done() ? done : pending).add(future);
  return [done, pending];
}

function futuresOf<T>(aws: Iterable<Future<T>>): Set<Future<T>> {
  const all = new Set(listOf(aws, "wait", checkFuture));
  if (all.size === 0) throw new RangeError("There is nothing to wait for");
  return all;
}

async function untilDone(
  all: Set<Future<unknown>>,
  limit: number | null,
  returnWhen: string,
): Promise<void> {
  const loop = getEventLoop();
  const waiting = [...all].filter((future) => !future.done());
  const waiter = futures.make(loop, new Several(waiting));
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
    new Several([inner as Future<unknown>]),
  );
  const job = onceDone(inner, () => {
    if (outer.done()) return futures.discard(inner);
    if (inner.cancelled()) return void outer.cancel();
    const error = errorOf(inner);
    if (error === null) outer.setResult(inner.result());
    else outer.setException(error.thrown);
  });
  onceDone(outer, () => {
    if (!inner.done()) futures.unsubscribe(inner, job);
  });
  return outer;
}

/**
 * Gives several things in the order in which they are done.
 *
 * `for await` yields the futures themselves: those that were given, and the
 * tasks made of coroutine functions. A plain `for` yields *turns*: whichever
 * turn is awaited first gets the value of the next that is done. Either loop
 * can be left and taken up again. Nothing is cancelled by leaving, nor by the
 * deadline.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.as_completed}.
 *
 * @typeParam T The type of the values.
 * @param aws Futures, promises and coroutine functions; a future given twice comes once.
 * @param options How long all of it may take.
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
  options: AsCompletedOptions = {},
): Completions<T> {
  const { timeout = null } = options;
  const limit = timeout === null ? null : toSeconds(timeout, "timeout");
  const list = listOf(aws, "iterate");
  return new CompletionQueue(list.map(ensureFuture), limit);
}

/** Futures in the order of their completion, each handed out once. */
class CompletionQueue<T> implements Completions<T>, Turn<Completion<T> | null> {
  /** The finished ones, `null` for each that the deadline overtook. */
  readonly #finished = new Deque<Future<T> | null>();
  readonly #consumers: WaitQueue<Completion<T> | null> = new WaitQueue(
    this,
    new Home(),
  );
  readonly #all: ReadonlySet<Future<T>>;
  /** How many have not been asked for. */
  #left: number;
  #running: number;
  #deadline: TimerHandle | null = null;

  constructor(all: readonly Future<T>[], limit: number | null) {
    const distinct = this.#all = new Set(all);
    this.#left = this.#running = distinct.size;
    const onDone = (future: Future<T>) => this.#onDone(future);
    for (const future of distinct) onceDone(future, onDone);
    if (limit === null || this.#left === 0) return;
    const loop = all[0].getLoop();
    this.#deadline = loop.callLater(limit, () => this.#onDeadline());
  }

  [Symbol.asyncIterator](): AsyncIterator<DoneFuture<T>> {
    return { next: () => this.#next() };
  }

  [Symbol.iterator](): Iterator<PromiseLike<T>> {
    return {
      next: () => {
        if (this.#left === 0) return NO_MORE;
        this.#left--;
        const draw = async () => {
          this.#left++;
          return inTime(await this.#draw()).value.result();
        };
        return { done: false, value: new CompletionTurn(draw) };
      },
    };
  }

  [Symbol.for("Deno.customInspect")](): string {
    return `<asCompleted ${this.#left} of ${this.#all.size} left>`;
  }

  take(): Completion<T> | null {
    const future = this.#finished.shift();
    return future ? { done: false, value: future } : null;
  }

  /** The consumer is gone: what it asked for can be asked for again. */
  pass(): void {
    this.#left++;
    this.#consumers.wakeNext();
  }

  drop(): void {
    this.#left++;
  }

  describe(): string {
    return `the first of ${this.#running} futures`;
  }

  awaits(): readonly Future<T>[] {
    return [...this.#all].filter((future) => !future.done());
  }

  /** The next completion; one that is there already without a wait. */
  #next(): Promise<IteratorResult<DoneFuture<T>, undefined>> {
    try {
      if (this.#left === 0) return Promise.resolve(NO_MORE);
      const next = this.#draw();
      return next instanceof Future
        ? this.#later(next)
        : Promise.resolve(inTime(next));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** A handler would take the completion a step before the code that asked goes on, and lose it if that is cancelled. */
  async #later(
    next: Future<Completion<T> | null>,
  ): Promise<Completion<T>> {
    return inTime(await next);
  }

  /** Gives the next completion, or what waits for it; `null` if the deadline was there first. */
  #draw(): Completion<T> | null | Future<Completion<T> | null> {
    const { waiting, woken } = this.#consumers;
    const next = this.#finished.length > waiting + woken
      ? this.take()
      : this.#consumers.wait();
    this.#left--;
    return next;
  }

  #onDone(future: Future<T>): void {
    if (this.#running === 0) return;
    this.#finish(future);
    if (this.#running === 0) this.#deadline?.cancel();
  }

  #onDeadline(): void {
    while (this.#running > 0) this.#finish(null);
  }

  #finish(future: Future<T> | null): void {
    this.#running--;
    this.#finished.push(future);
    this.#consumers.wakeNext();
  }
}

/** One completion, wrapped: a bare future would be awaited on its way. */
interface Completion<T> {
  done: false;
  value: Future<T>;
}

function inTime<T>(completion: Completion<T> | null): Completion<T> {
  if (completion !== null) return completion;
  throw new TimeoutError("Not everything was done in time");
}

const NO_MORE: IteratorReturnResult<undefined> = {
  done: true,
  value: undefined,
};

/** One turn of {@linkcode asCompleted}: draws the next completion when it is awaited. */
class CompletionTurn<T> implements PromiseLike<T> {
  readonly #draw: () => Promise<T>;
  #drawn: Promise<T> | null = null;

  constructor(draw: () => Promise<T>) {
    this.#draw = draw;
  }

  then<R = T, S = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => S | PromiseLike<S>) | null,
  ): Promise<R | S> {
    return (this.#drawn ??= this.#draw()).then(onFulfilled, onRejected);
  }
}

function checkAwaitable(aw: unknown, action: string): void {
  if (typeof aw === "function" || isThenable(aw)) return;
  throw new TypeError(
    `Cannot ${action} ${
      describe(aw)
    }: expected a future, a promise or a coroutine function`,
  );
}

function checkFuture(aw: unknown): void {
  if (aw instanceof Future) return;
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
  if (
    typeof aws !== "object" || aws === null || aws instanceof Future ||
    !(Symbol.iterator in aws)
  ) {
    throw new TypeError(
      `Cannot ${action}: expected an iterable of awaitables, got ${
        describe(aws)
      }`,
    );
  }
  const list = [...aws];
  for (const aw of list) check(aw, action);
  return list;
}
