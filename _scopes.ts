/**
 * Scopes that end their body by cancelling its task, and take the request
 * back afterwards: deadlines and task groups.
 *
 * @module
 */

import { linkSignal, unlinkSignal } from "./_abort_signal.ts";
import { reportSwallowed } from "./_debug_mode.ts";
import { type Duration, toSeconds, toTime } from "./_duration.ts";
import {
  asCancellation,
  cancelledError,
  cancelNested,
} from "./_cancel_request.ts";
import {
  addGuest,
  type CancelScope,
  InnerScope,
  removeGuest,
  type ScopeOwner,
} from "./_cancel_scope.ts";
import { addNote, addOrigin, rejection } from "./_error_stack.ts";
import type { EventLoop } from "./_event_loop.ts";
import { callersLoop, type Future, futures } from "./_future.ts";
import type { Task } from "./_task.ts";
import { Limiter } from "./_limiter.ts";
import type { Cancellable, Coroutine, TaskOptions } from "./_options.ts";
import type { Job } from "./_scheduler.ts";
import { type Failure, runIn, scopeHere } from "./_waiting_call.ts";
import { createTask } from "./_awaitable.ts";
import { Deadline, Several } from "./_done_callbacks.ts";
import { chainOf, originOf } from "./_inspect.ts";
import { span, titleOf } from "./_text.ts";
import {
  checkCallback,
  checkCoroutine,
  checkCount,
  checkOptions,
  describe,
  isInstance,
  signalOf,
  startedHint,
} from "./_validate.ts";
import {
  CancelledError,
  ExceptionGroup,
  KeyboardInterrupt,
  RuntimeError,
  TimeoutError,
} from "./exceptions.ts";

/** Options of {@linkcode TaskGroup.run}. */
export interface TaskGroupOptions {
  /**
   * The largest number of children that run at once. The others start in
   * order as places become free; one that is cancelled before is never called.
   *
   * @default no limit
   */
  limit?: number | undefined;
}

let enterTimeout: (scope: Timeout) => InnerScope;
let leaveTimeout: (scope: Timeout, failure: Failure | null) => Failure | null;
let abortTimeout: (scope: Timeout, reason: unknown) => void;
let explainTimeout: (scope: Timeout) => string | null;
let noteLength: (scope: Timeout, seconds: number) => void;
let explainGroup: (group: TaskGroup) => string | null;
let childrenOf: (group: TaskGroup) => Iterable<Task<unknown>>;

/** What a timeout has to say of the waits inside of it. */
class TimeoutOwner implements ScopeOwner {
  readonly #timeout: Timeout;

  constructor(timeout: Timeout) {
    this.#timeout = timeout;
  }

  explain(): string | null {
    return explainTimeout(this.#timeout);
  }
}

/** What a group has to say of the waits inside of it. */
class GroupOwner implements ScopeOwner {
  group: TaskGroup | null = null;

  explain(): string | null {
    return this.group && explainGroup(this.group);
  }

  children(): Iterable<Task<unknown>> {
    return this.group === null ? [] : childrenOf(this.group);
  }
}

/** A deadline that is so many seconds away. */
export function timeoutIn(seconds: number | null): Timeout {
  if (seconds === null) return new Timeout(null);
  const timeout = new Timeout(callersLoop().time() + seconds);
  noteLength(timeout, seconds);
  return timeout;
}

/**
 * A deadline over a piece of code; `timeout` makes and enters one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Timeout}.
 *
 * @example
 * ```ts
 * import { getEventLoop, sleep, timeout } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * await timeout(null, async (limit) => {
 *   limit.reschedule(getEventLoop().time() + 5);
 *   await sleep(0.001);
 *   assert(limit.when() !== null && !limit.expired());
 * });
 * ```
 */
export class Timeout {
  #when: number | null;
  #state: "created" | "active" | "expiring" | "expired" | "finished" =
    "created";
  #scope: InnerScope | null = null;
  /** Requests to cancel that stood around the scope when it was entered. */
  #requests = 0;
  #deadline: Deadline | null = null;
  /** What the task waited for when the time was up. */
  #waitedFor: string | null = null;
  /** The time that it gives, in seconds, where that is known. */
  #length: number | null = null;
  /** Why the scope was interrupted, if not by its deadline. */
  #aborted: { reason: unknown } | null = null;

  /**
   * Makes a deadline that is not active yet.
   *
   * @param when When it is, on the loop's clock; `null` for never.
   */
  constructor(when: number | null) {
    if (when !== null) toTime(when, "deadline");
    this.#when = when;
  }

  static {
    enterTimeout = (scope) => scope.#enter();
    leaveTimeout = (scope, failure) => scope.#leave(failure);
    abortTimeout = (scope, reason) => scope.#abort(reason);
    explainTimeout = (scope) => scope.#explain();
    noteLength = (scope, seconds) => scope.#length = seconds;
  }

  /**
   * The signal of the scope. It aborts when the time is up, when the body
   * fails, and when the task or a scope around this one is cancelled.
   *
   * @throws {RuntimeError} If the scope was not entered.
   */
  get signal(): AbortSignal {
    if (this.#scope === null) {
      throw new RuntimeError("A timeout has a signal once it is entered");
    }
    return this.#scope.signal;
  }

  /** The deadline on the loop's clock, `null` for none. */
  when(): number | null {
    return this.#when;
  }

  /**
   * Moves the deadline.
   *
   * @param when The new one, on the loop's clock; one in the past expires at once, `null` removes it.
   * @throws {RuntimeError} If the scope is not active: not entered, expired or left.
   */
  reschedule(when: number | null): void {
    if (when !== null) toTime(when, "deadline");
    if (this.#state !== "active") {
      throw new RuntimeError(
        this.#state === "created"
          ? "Cannot reschedule a timeout that was not entered"
          : `Cannot reschedule a timeout that is ${this.#state}`,
      );
    }
    this.#when = when;
    this.#deadline?.cancel();
    this.#deadline = when === null ? null : new Deadline(
      this.#scope!.loop as EventLoop,
      when,
      () => this.#expire(),
    );
  }

  /** Whether the deadline passed while the scope was active. */
  expired(): boolean {
    return this.#state === "expiring" || this.#state === "expired";
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const due = this.#state !== "active" || this.#when === null
      ? ""
      : `, due in ${span(Math.max(0, this.#when - this.#scope!.loop.time()))}`;
    return `<Timeout ${this.#state}${due}>`;
  }

  #enter(): InnerScope {
    if (this.#state !== "created") {
      throw new RuntimeError("A timeout can be entered only once");
    }
    const outer = scopeHere()!;
    this.#requests = outer.pathRequests;
    this.#scope = new InnerScope(outer, new TimeoutOwner(this));
    this.#state = "active";
    this.reschedule(this.#when);
    return this.#scope;
  }

  #explain(): string | null {
    if (this.#state !== "expiring" || this.#when === null) return null;
    const ago = this.#scope!.loop.time() - this.#when;
    const length = this.#length === null ? "" : +this.#length.toFixed(3);
    return `timeout(${length}) expired ${span(ago)} ago`;
  }

  #expire(): void {
    this.#state = "expiring";
    this.#waitedFor = chainOf(this.#scope!);
    this.#scope!.request(undefined);
  }

  #abort(reason: unknown): void {
    if (this.#state !== "active") return;
    this.#aborted = { reason };
    this.#deadline?.cancel();
    this.#scope!.request(undefined);
  }

  /** Ends the scope; returns what is to be thrown instead of the body's error. */
  #leave(failure: Failure | null): Failure | null {
    const scope = this.#scope!;
    this.#deadline?.cancel();
    const struck = this.#state === "expiring";
    this.#state = struck ? "expired" : "finished";
    if (failure !== null) scope.abortSignal(failure.error);
    if (!struck && this.#aborted === null) return failure;
    if (failure === null) reportSwallowed(scope.taskState, this.#requests);
    scope.withdrawOwn();
    const own = scope.outer.pathRequests <= this.#requests;
    const cancellation = failure && asCancellation(failure.error);
    if (!own || cancellation === null) return failure;
    if (this.#aborted !== null) return { error: this.#aborted.reason };
    const what = this.#waitedFor === null
      ? ""
      : ` while waiting for ${this.#waitedFor}`;
    const error = new TimeoutError(`The time was up${what}`, {
      cause: cancellation,
    });
    addOrigin(error, cancellation);
    return { error };
  }
}

/**
 * Limits the time that a piece of code may take.
 *
 * The body runs inside the calling task. When the time is up, the task is
 * cancelled; the `CancelledError`, if it leaves the body, comes out as a
 * `TimeoutError`. A cancellation from elsewhere passes through as it is.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout}.
 *
 * @typeParam T What the body returns.
 * @param delay Seconds or a duration from now, `null` for no limit; zero or less expires at the first wait.
 * @param body The code, called with the deadline.
 * @returns What the body returns.
 * @throws {TimeoutError} If the time is up.
 * @throws {CancelledError} If the task is cancelled from elsewhere.
 *
 * @example
 * ```ts
 * import { run, sleep, timeout, TimeoutError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * await run(async () => {
 *   try {
 *     await timeout({ milliseconds: 1 }, () => sleep(3600));
 *   } catch (error) {
 *     assert(error instanceof TimeoutError);
 *   }
 * });
 * ```
 */
export function timeout<T>(
  delay: Duration | null,
  body: (timeout: Timeout) => T | PromiseLike<T>,
): Promise<T> {
  try {
    const seconds = delay === null ? null : toSeconds(delay);
    checkBody(body, "set a timeout");
    return runScope(timeoutIn(seconds), body);
  } catch (error) {
    return rejection(error);
  }
}

/**
 * Like {@linkcode timeout}, but with a point in time instead of a length of
 * time.
 *
 * Cancelled, it cancels what the body awaits, and ends once the body has.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout_at}.
 *
 * @typeParam T What the body returns.
 * @param when The deadline on the loop's clock, `null` for none.
 * @param body The code, called with the deadline.
 * @returns What the body returns.
 * @throws {TimeoutError} If the time is up.
 * @throws {CancelledError} If the task is cancelled from elsewhere.
 *
 * @example
 * ```ts
 * import { getEventLoop, sleep, timeoutAt, TimeoutError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const when = getEventLoop().time() + 0.001;
 * const error = await timeoutAt(when, () => sleep(3600)).catch((error) => error);
 * assert(error instanceof TimeoutError);
 * ```
 */
export function timeoutAt<T>(
  when: number | null,
  body: (timeout: Timeout) => T | PromiseLike<T>,
): Promise<T> {
  try {
    checkBody(body, "set a timeout");
    return runScope(new Timeout(when), body);
  } catch (error) {
    return rejection(error);
  }
}

/** Enters a deadline around a body; `signal` ends it likewise, with its own reason. */
export function runScope<T>(
  timeout: Timeout,
  body: (timeout: Timeout) => T | PromiseLike<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (scopeHere() === null) {
    return inTask(() => runScope(timeout, body, signal));
  }
  const scope = enterTimeout(timeout);
  if (signal === undefined) {
    const leave = (failure: Failure | null) => leaveTimeout(timeout, failure);
    return runIn(scope, () => body(timeout), leave);
  }
  const target = { abort: (reason: unknown) => abortTimeout(timeout, reason) };
  linkSignal(signal, target);
  return runIn(scope, () => body(timeout), (failure) => {
    unlinkSignal(signal, target);
    return leaveTimeout(timeout, failure);
  });
}

/** Runs a scope outside of tasks, in a task of its own. */
async function inTask<T>(call: () => Promise<T>): Promise<T> {
  return await createTask(call);
}

/**
 * Tasks that belong together: none outlives the group, and if one fails the
 * others are cancelled.
 *
 * {@linkcode TaskGroup.run} is the usual form. `await using` cannot see the
 * error that leaves its block, so there {@linkcode TaskGroup.join} stands at
 * its end; leaving without it cancels the children and awaits them.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.TaskGroup}.
 *
 * @example
 * ```ts
 * import { run, sleep, TaskGroup } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const seen = await run(async () => {
 *   const seen: string[] = [];
 *   await using group = new TaskGroup();
 *   group.createTask(async () => {
 *     await sleep(0);
 *     seen.push("child");
 *   });
 *   await group.join();
 *   return seen;
 * });
 * assert(seen[0] === "child");
 * ```
 */
export class TaskGroup implements AsyncDisposable {
  /** What the group interrupts: its own scope, or the one it was made in; `null` outside of tasks. */
  readonly #scope: CancelScope | null;
  readonly #loop: EventLoop;
  /** Requests to cancel that stood when the group was opened. */
  readonly #requests: number;
  /** Children that are not done. */
  readonly #children = new Children((child) => this.#childDone(child));
  /** Children in their first step, which are not among the others yet. */
  #starting = 0;
  #limiter: Limiter | null = null;
  readonly #errors: unknown[] = [];
  /** The interruption of the program, if a child or the body has met it. */
  #interrupt: KeyboardInterrupt | null = null;
  #state: "open" | "leaving" | "left" = "open";
  /** Children are being cancelled, new ones are refused. */
  #aborting = false;
  /** The group has cancelled its scope and owes it that request. */
  #requested = false;
  /** Tells of the group where it was opened, unless a scope of its own does. */
  readonly #guest = new GroupOwner();
  /** Awaited at the end while there are children. */
  #empty: Future<void> | null = null;
  /** Whose signal a group without a scope of its own has. */
  #controller: AbortController | null = null;

  static {
    explainGroup = (group) => group.#explain();
    childrenOf = (group) => group.#children;
  }

  /**
   * Opens a group in the calling task. Outside of tasks there is nothing that
   * it can interrupt; failures then come out at `join` or at the end of the block.
   */
  constructor() {
    const scope = nextScope ?? scopeHere();
    if (nextScope === null && scope !== null) this.#guest.group = this;
    nextScope = null;
    this.#scope = scope;
    this.#loop = (scope?.loop ?? callersLoop()) as EventLoop;
    this.#requests = scope === null ? 0 : scope.pathRequests;
  }

  /**
   * The signal of the group. It aborts when a child or the body fails, when
   * the group is cancelled, and when the task around it is.
   */
  get signal(): AbortSignal {
    if (this.#scope instanceof InnerScope && ownGroups.has(this)) {
      return this.#scope.signal;
    }
    if (this.#controller === null) {
      const controller = this.#controller = new AbortController();
      const abort = (reason: unknown) => controller.abort(reason);
      const outer = this.#scope?.signal;
      if (outer?.aborted) abort(outer.reason);
      else if (outer) linkSignal(outer, { abort });
      if (this.#aborting) abort(new CancelledError());
    }
    return this.#controller.signal;
  }

  /**
   * Runs a body with a group, and returns once all children are done.
   *
   * If a child fails, the others and the body are cancelled; if the body
   * fails, the children are.
   *
   * @typeParam T What the body returns.
   * @param body The code, called with the group.
   * @param options How many children may run at once.
   * @returns What the body returns, `undefined` if {@linkcode TaskGroup.cancel} has ended it.
   * @throws {ExceptionGroup} Of the errors of children and body, if any failed.
   * @throws {CancelledError} If the calling task is cancelled, and nothing failed.
   *
   * @example
   * ```ts
   * import { ExceptionGroup, run, TaskGroup } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await run(() =>
   *   TaskGroup.run((group) => {
   *     group.createTask(() => {
   *       throw new RangeError("too far");
   *     });
   *   })
   * ).catch((error) => assert(error instanceof ExceptionGroup));
   * ```
   */
  static run<T>(
    body: (group: TaskGroup) => T | PromiseLike<T>,
    options?: TaskGroupOptions,
  ): Promise<T> {
    try {
      checkBody(body, RUN);
      checkOptions(options, GROUP_OPTIONS, RUN);
      const limit = options?.limit;
      if (limit !== undefined) checkCount(limit, 1, RUN, "limit");
      const outer = scopeHere();
      if (outer === null) return inTask(() => TaskGroup.run(body, options));
      const owner = new GroupOwner();
      const scope = nextScope = new InnerScope(outer, owner);
      const group = owner.group = new TaskGroup();
      ownGroups.add(group);
      if (limit !== undefined) group.#limiter = new Limiter(limit);
      const leave = (failure: Failure | null) => group.#leave(failure);
      return runIn(scope, () => body(group), leave);
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Runs a coroutine function as a child.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function.
   * @param options As for `createTask`.
   * @returns The task.
   * @throws {RuntimeError} If the group is finished or shutting down; the function is then never called.
   */
  createTask<T>(coro: Coroutine<T>, options?: TaskOptions): Task<T> {
    const size = this.#children.size + this.#starting;
    if (
      this.#state === "left" || (this.#state === "leaving" && size === 0)
    ) {
      throw new RuntimeError("Cannot add a task: the TaskGroup is finished");
    }
    if (this.#aborting) {
      throw new RuntimeError(
        "Cannot add a task: the TaskGroup is shutting down",
      );
    }
    checkCoroutine(coro, "add a task");
    const limited = this.#limiter === null ? coro : this.#limiter.wrap(coro);
    this.#starting++;
    let task: Task<T>;
    try {
      task = this.#loop.createTask(limited, options);
    } finally {
      this.#starting--;
    }
    // An eager child may be done, have failed or have cancelled the group by now.
    this.#children.add(task as Task<unknown>);
    if (this.#guest.group !== null) addGuest(this.#scope!, this.#guest);
    if (this.#aborting) task.cancel();
    return task;
  }

  /**
   * Ends the group without an error: children and body are cancelled, and
   * `run` or `join` returns. In a group that is finished or shutting down it
   * does nothing. The body of an `await using` block that waits for anything
   * but `join` is left by its `CancelledError`.
   *
   * @param message The message of their `CancelledError`.
   */
  cancel(message?: string): void {
    if (this.#state === "left" || this.#aborting) return;
    this.#abort(message);
    this.#request(message);
  }

  /**
   * Waits for all children, as leaving Python's block does. New ones may be
   * added until the last is done.
   *
   * Cancelled, it cancels the children, and ends once they have.
   *
   * @param options A signal that ends the wait alone: the group stays open.
   * @throws {ExceptionGroup} Of the errors of the children, if any failed.
   * @throws {CancelledError} If the calling task is cancelled, and the children with it.
   */
  async join(options?: Cancellable): Promise<void> {
    const signal = signalOf(options, "join a group");
    signal?.throwIfAborted();
    const failure = await this.#leave(null, signal);
    if (failure !== null) throw failure.error;
  }

  /** Cancels and awaits the children, unless the group was joined. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "left") return;
    if (!this.#aborting) this.#abort();
    const failure = await this.#leave(null);
    if (failure !== null) throw failure.error;
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const state = this.#aborting && this.#state !== "left"
      ? "shutting down"
      : this.#state;
    return `<TaskGroup ${state}, ${this.#children.size} tasks>`;
  }

  #explain(): string | null {
    if (!this.#aborting) return null;
    if (this.#errors.length === 0) return "TaskGroup being cancelled";
    return `TaskGroup failing with ${titleOf(this.#errors[0])}`;
  }

  /** Ends the group; returns what is to be thrown. */
  #leave(
    failure: Failure | null,
    signal?: AbortSignal,
  ): Failure | null | Promise<Failure | null> {
    if (this.#state === "left") return failure;
    this.#state = "leaving";
    if (failure === null && this.#requested) {
      reportSwallowed(this.#scope!.taskState, this.#requests);
    }
    if (failure !== null && !this.#aborting) this.#abort(undefined, failure);
    if (this.#children.size === 0) return this.#left(failure, null, null);
    return this.#untilEmpty(failure, signal);
  }

  async #untilEmpty(
    failure: Failure | null,
    signal?: AbortSignal,
  ): Promise<Failure | null> {
    let cancelled: Failure | null = null;
    let last: Failure | null = null;
    while (this.#children.size > 0) {
      this.#empty = futures.make(
        this.#loop,
        new Several(this.#children, "group"),
      );
      if (signal) futures.subscribeSignal(this.#empty, signal);
      try {
        await this.#empty;
      } catch (error) {
        if (signal?.aborted && error === signal.reason) {
          this.#state = "open";
          return { error };
        }
        last = { error };
        if (this.#aborting) continue;
        cancelled = last;
        this.#abort();
      }
    }
    return this.#left(failure, cancelled, last);
  }

  /** All children are done. The cancellation that ended the wait for them, and the last that came, may have to go on. */
  #left(
    failure: Failure | null,
    cancelled: Failure | null,
    last: Failure | null,
  ): Failure | null {
    this.#state = "left";
    const scope = this.#scope;
    const isBodyCancelled = failure !== null &&
      asCancellation(failure.error) !== null;
    if (isBodyCancelled) cancelled ??= failure;
    if (this.#requested) {
      scope!.withdrawOwn();
      const isOwn = scope!.pathRequests <= this.#requests;
      cancelled = isOwn ? null : cancelled ?? last;
    } else if (failure === null) cancelled ??= last;
    if (failure !== null && isInstance(failure.error, KeyboardInterrupt)) {
      this.#interrupt ??= failure.error;
    }
    if (this.#interrupt !== null) return { error: this.#interrupt };
    if (cancelled !== null && this.#errors.length === 0) return cancelled;
    if (failure !== null && !isBodyCancelled) this.#errors.push(failure.error);
    if (this.#errors.length === 0) return null;
    const outer = ownGroups.has(this) ? scope!.outer : scope;
    // A request from outside stays, and is delivered at the next wait.
    if (outer !== null && outer.pathRequests > 0) outer.deliverAgain();
    return {
      error: new ExceptionGroup(
        "unhandled errors in a TaskGroup",
        this.#errors,
      ),
    };
  }

  #childDone(task: Task<unknown>): void {
    if (this.#children.size === 0) {
      if (this.#scope !== null) removeGuest(this.#scope, this.#guest);
      if (this.#empty?.done() === false) this.#empty.setResult();
    }
    if (task.cancelled()) return;
    const exception = task.exception();
    if (!futures.failed(task)) return;
    if (this.#scope !== null && this.#scope.taskState.isOver) {
      this.#loop.callExceptionHandler({
        message: "A task of a TaskGroup failed after its parent had ended",
        exception,
        task,
      });
      return;
    }
    if (isInstance(exception, KeyboardInterrupt)) this.#interrupt ??= exception;
    addNote(exception, `in ${originOf(task)}`);
    this.#errors.push(exception);
    if (this.#aborting) return;
    this.#abort(undefined, { error: exception });
    this.#request();
  }

  #abort(message?: string, failure?: Failure): void {
    this.#aborting = true;
    for (const child of [...this.#children]) cancelNested(child, message);
    const reason = failure === undefined
      ? cancelledError(message)
      : failure.error;
    if (this.#controller !== null) this.#controller.abort(reason);
    else if (failure !== undefined && ownGroups.has(this)) {
      this.#scope!.abortSignal(reason);
    }
  }

  /** Makes the body end, wherever it waits. */
  #request(message?: string): void {
    if (this.#scope === null) return;
    this.#requested = true;
    this.#scope.request(message);
  }
}

/** Groups that have a scope of their own. */
const ownGroups = new WeakSet<TaskGroup>();
/** The scope for the group that is being made. */
let nextScope: InnerScope | null = null;

/** Tasks in the order of their making, each until it is done. A set would cost more than all the rest of a child. */
class Children {
  #first: Child | null = null;
  #last: Child | null = null;
  #size = 0;
  readonly #onDone: (task: Task<unknown>) => void;

  constructor(onDone: (task: Task<unknown>) => void) {
    this.#onDone = onDone;
  }

  get size(): number {
    return this.#size;
  }

  add(task: Task<unknown>): void {
    const child = new Child(task, this);
    child.previous = this.#last;
    if (this.#last === null) this.#first = child;
    else this.#last.next = child;
    this.#last = child;
    this.#size++;
    futures.subscribe(task, child);
  }

  done({ task, next, previous }: Child): void {
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    this.#size--;
    this.#onDone(task);
  }

  *[Symbol.iterator](): Iterator<Task<unknown>> {
    for (let it = this.#first; it !== null; it = it.next) yield it.task;
  }
}

/** One of {@linkcode Children}, and the job that hears of its end. */
class Child implements Job {
  readonly task: Task<unknown>;
  readonly #all: Children;
  previous: Child | null = null;
  next: Child | null = null;

  constructor(task: Task<unknown>, all: Children) {
    this.task = task;
    this.#all = all;
  }

  run(): boolean {
    this.#all.done(this);
    return false;
  }
}

const RUN = "run a group";
const GROUP_OPTIONS = ["limit"] as const;

function checkBody(body: unknown, action: string): void {
  if (typeof body === "function") return checkCallback(body, action);
  throw new TypeError(
    `Cannot ${action}: the body must be a function, got ${describe(body)}${
      startedHint(body)
    }`,
  );
}
