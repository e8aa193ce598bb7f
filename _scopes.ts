/**
 * Scopes that end their body by cancelling its task, and take the request
 * back afterwards: deadlines and task groups.
 *
 * @module
 */

import { linkSignal, unlinkSignal } from "./_abort.ts";
import { reportSwallowed } from "./_debug.ts";
import { type Duration, toSeconds } from "./_duration.ts";
import {
  describe,
  frameOf,
  type Future,
  futures,
  getEventLoop,
  type Task,
} from "./_future.ts";
import type { Coroutine, TaskOptions } from "./_options.ts";
import type { Job } from "./_loop.ts";
import { currentTask, Deadline, Several } from "./_task.ts";
import { chainOf, span } from "./_text.ts";
import {
  CancelledError,
  ExceptionGroup,
  RuntimeError,
  TimeoutError,
} from "./exceptions.ts";

let enterTimeout: (scope: Timeout) => void;
let leaveTimeout: (
  scope: Timeout,
  failure: { error: unknown } | null,
) => { error: unknown } | null;
let abortTimeout: (scope: Timeout, reason: unknown) => void;

/**
 * A deadline over a piece of code; `timeout` makes and enters one.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Timeout}.
 */
export class Timeout {
  #when: number | null;
  #state: "created" | "active" | "expiring" | "expired" | "finished" =
    "created";
  #task: Task<unknown> | null = null;
  /** Requests to cancel the task that stood when the scope was entered. */
  #requests = 0;
  #deadline: Deadline | null = null;
  /** What the task waited for when the time was up. */
  #waitedFor: string | null = null;
  /** Why the scope was interrupted, if not by its deadline. */
  #aborted: { reason: unknown } | null = null;

  /**
   * Makes a deadline that is not active yet.
   *
   * @param when When it is, on the loop's clock; `null` for never.
   */
  constructor(when: number | null) {
    this.#when = when;
  }

  static {
    enterTimeout = (scope) => scope.#enter();
    leaveTimeout = (scope, failure) => scope.#leave(failure);
    abortTimeout = (scope, reason) => scope.#abort(reason);
  }

  /** The deadline on the loop's clock, `null` for none. */
  when(): number | null {
    return this.#when;
  }

  /**
   * Moves the deadline.
   *
   * @param when The new one, on the loop's clock; one in the past strikes at once, `null` takes it away.
   * @throws {RuntimeError} If the scope is not active: not entered, expired or left.
   */
  reschedule(when: number | null): void {
    if (this.#state !== "active") {
      throw new RuntimeError(
        this.#state === "created"
          ? "Cannot reschedule a timeout that was not entered"
          : `Cannot reschedule a timeout that is ${this.#state}`,
      );
    }
    if (when !== null) toSeconds(when, "deadline");
    this.#when = when;
    this.#deadline?.cancel();
    this.#deadline = when === null ? null : new Deadline(
      this.#task!.getLoop(),
      when,
      () => this.#strike(),
    );
  }

  /** Whether the deadline passed while the scope was active. */
  expired(): boolean {
    return this.#state === "expiring" || this.#state === "expired";
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    const loop = this.#task?.getLoop();
    const due = this.#state !== "active" || this.#when === null
      ? ""
      : `, due in ${span(Math.max(0, this.#when - loop!.time()))}`;
    return `<Timeout ${this.#state}${due}>`;
  }

  #enter(): void {
    if (this.#state !== "created") {
      throw new RuntimeError("A timeout can be entered only once");
    }
    this.#task = currentTask();
    if (this.#task === null) {
      throw new RuntimeError("A timeout can be used only inside a task");
    }
    this.#state = "active";
    this.#requests = this.#task.cancelling();
    this.reschedule(this.#when);
  }

  #strike(): void {
    this.#state = "expiring";
    this.#waitedFor = chainOf(frameOf(this.#task!));
    this.#task!.cancel();
  }

  #abort(reason: unknown): void {
    if (this.#state !== "active") return;
    this.#aborted = { reason };
    this.#deadline?.cancel();
    this.#task!.cancel();
  }

  /** Ends the scope; returns what is to be thrown instead of the body's error. */
  #leave(failure: { error: unknown } | null): { error: unknown } | null {
    this.#deadline?.cancel();
    const struck = this.#state === "expiring";
    this.#state = struck ? "expired" : "finished";
    if (!struck && this.#aborted === null) return failure;
    if (failure === null) reportSwallowed(frameOf(this.#task!), this.#requests);
    const own = this.#task!.uncancel() <= this.#requests;
    if (!own || !(failure?.error instanceof CancelledError)) return failure;
    if (this.#aborted !== null) return { error: this.#aborted.reason };
    const what = this.#waitedFor === null
      ? ""
      : ` while waiting for ${this.#waitedFor}`;
    return {
      error: new TimeoutError(`The time was up${what}`, {
        cause: failure.error,
      }),
    };
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
 * @param delay Seconds or a duration from now, `null` for no limit; zero or less strikes at the first wait.
 * @param body The code, called with the deadline.
 * @returns What the body returns.
 * @throws {TimeoutError} If the time is up.
 * @throws {RuntimeError} If it is called outside of a task.
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
export async function timeout<T>(
  delay: Duration | null,
  body: (timeout: Timeout) => T | PromiseLike<T>,
): Promise<T> {
  const seconds = delay === null ? null : toSeconds(delay);
  const when = seconds === null ? null : getEventLoop().time() + seconds;
  return await runScope(new Timeout(when), body);
}

/**
 * As {@linkcode timeout}, with a moment instead of a length of time.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout_at}.
 *
 * @typeParam T What the body returns.
 * @param when The deadline on the loop's clock, `null` for none.
 * @param body The code, called with the deadline.
 * @returns What the body returns.
 * @throws {TimeoutError} If the time is up.
 * @throws {RuntimeError} If it is called outside of a task.
 */
export async function timeoutAt<T>(
  when: number | null,
  body: (timeout: Timeout) => T | PromiseLike<T>,
): Promise<T> {
  if (when !== null) toSeconds(when, "deadline");
  return await runScope(new Timeout(when), body);
}

/** Enters a deadline around a body; `signal` ends it likewise, with its own reason. */
export async function runScope<T>(
  scope: Timeout,
  body: (timeout: Timeout) => T | PromiseLike<T>,
  signal?: AbortSignal,
): Promise<T> {
  checkBody(body);
  enterTimeout(scope);
  const target = { abort: (reason: unknown) => abortTimeout(scope, reason) };
  if (signal) linkSignal(signal, target);
  try {
    const value = await body(scope);
    leaveTimeout(scope, null);
    return value;
  } catch (error) {
    throw leaveTimeout(scope, { error })!.error;
  } finally {
    if (signal) unlinkSignal(signal, target);
  }
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
  readonly #parent: Task<unknown>;
  /** Requests to cancel the parent that stood when the group was opened. */
  readonly #requests: number;
  /** Children that are not done. */
  readonly #children = new Children((child) => this.#childDone(child));
  readonly #errors: unknown[] = [];
  #state: "open" | "leaving" | "left" = "open";
  /** Children are being cancelled, new ones are refused. */
  #aborting = false;
  /** The group has cancelled its parent and owes it an `uncancel()`. */
  #interrupted = false;
  /** Awaited at the end while there are children. */
  #empty: Future<void> | null = null;

  /**
   * Opens a group in the calling task.
   *
   * @throws {RuntimeError} If it is called outside of a task.
   */
  constructor() {
    const parent = currentTask();
    if (parent === null) {
      throw new RuntimeError("A TaskGroup can be used only inside a task");
    }
    this.#parent = parent;
    this.#requests = parent.cancelling();
  }

  /**
   * Runs a body with a group, and returns once all children are done.
   *
   * If a child fails, the others and the body are cancelled; if the body
   * fails, the children are.
   *
   * @typeParam T What the body returns.
   * @param body The code, called with the group.
   * @returns What the body returns, `undefined` if {@linkcode TaskGroup.cancel} has ended it.
   * @throws {ExceptionGroup} Of the errors of children and body, if any failed.
   * @throws {CancelledError} If the calling task is cancelled, and nothing failed.
   * @throws {RuntimeError} If it is called outside of a task.
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
  static async run<T>(
    body: (group: TaskGroup) => T | PromiseLike<T>,
  ): Promise<T> {
    checkBody(body);
    const group = new TaskGroup();
    let value: T;
    try {
      value = await body(group);
    } catch (error) {
      await group.#leave({ error });
      return undefined as T; // the group was cancelled, and the body with it
    }
    await group.#leave(null);
    return value;
  }

  /**
   * Runs a coroutine function as a child.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function.
   * @param options As of `createTask`.
   * @returns The task.
   * @throws {RuntimeError} If the group is finished or shutting down; the function is then never called.
   */
  createTask<T>(coro: Coroutine<T>, options?: TaskOptions): Task<T> {
    if (
      this.#state === "left" ||
      (this.#state === "leaving" && this.#children.size === 0)
    ) {
      throw new RuntimeError("Cannot add a task: the TaskGroup is finished");
    }
    if (this.#aborting) {
      throw new RuntimeError(
        "Cannot add a task: the TaskGroup is shutting down",
      );
    }
    const task = this.#parent.getLoop().createTask(coro, options);
    const child = task as Task<unknown>;
    if (child.done()) this.#childDone(child);
    else this.#children.add(child);
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
    if (this.#state === "open") this.#interrupt(message);
  }

  /**
   * Waits for all children, as leaving Python's block does. New ones may be
   * added until the last is done.
   *
   * @throws {ExceptionGroup} Of the errors of the children, if any failed.
   * @throws {CancelledError} If the calling task is cancelled, and the children with it.
   */
  async join(): Promise<void> {
    await this.#leave(null);
  }

  /** Cancels and awaits the children, unless the group was joined. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "left") return;
    if (!this.#aborting) this.#abort();
    await this.#leave(null);
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    const state = this.#aborting && this.#state !== "left"
      ? "shutting down"
      : this.#state;
    return `<TaskGroup ${state}, ${this.#children.size} tasks>`;
  }

  async #leave(failure: { error: unknown } | null): Promise<void> {
    if (this.#state === "left") {
      if (failure === null) return;
      throw failure.error;
    }
    this.#state = "leaving";
    if (failure === null && this.#interrupted) {
      reportSwallowed(frameOf(this.#parent), this.#requests);
    }
    let cancelled = failure?.error instanceof CancelledError ? failure : null;
    if (failure !== null && !this.#aborting) this.#abort();
    cancelled = await this.#childrenDone(failure) ?? cancelled;
    this.#state = "left";
    const own = this.#interrupted && this.#parent.uncancel() <= this.#requests;
    if (own) cancelled = null;
    if (cancelled !== null && this.#errors.length === 0) throw cancelled.error;
    if (failure !== null && !(failure.error instanceof CancelledError)) {
      this.#errors.push(failure.error);
    }
    if (this.#errors.length > 0) this.#raise();
  }

  /** Waits for the children; returns the cancellation that came meanwhile, if nothing else tells of it. */
  async #childrenDone(
    failure: { error: unknown } | null,
  ): Promise<{ error: unknown } | null> {
    let cancelled: { error: unknown } | null = null;
    while (this.#children.size > 0) {
      this.#empty = futures.make(
        this.#parent.getLoop(),
        new Several(this.#children),
      );
      try {
        await this.#empty;
      } catch (error) {
        if (failure === null) cancelled ??= { error };
        if (!this.#aborting) this.#abort();
      }
    }
    return cancelled;
  }

  #raise(): never {
    if (this.#parent.cancelling() > 0) {
      // A request from outside stays, and is delivered at the next wait.
      this.#parent.uncancel();
      this.#parent.cancel();
    }
    throw new ExceptionGroup(
      "unhandled errors in a TaskGroup",
      this.#errors,
    );
  }

  #childDone(task: Task<unknown>): void {
    if (this.#children.size === 0 && this.#empty?.done() === false) {
      this.#empty.setResult();
    }
    if (task.cancelled()) return;
    const exception = task.exception();
    if (!futures.failed(task)) return;
    if (this.#parent.done()) {
      this.#parent.getLoop().callExceptionHandler({
        message: "A task of a TaskGroup failed after its parent had ended",
        exception,
        task,
      });
      return;
    }
    this.#errors.push(exception);
    if (this.#aborting) return;
    this.#abort();
    this.#interrupt();
  }

  #abort(message?: string): void {
    this.#aborting = true;
    for (const child of this.#children) child.cancel(message);
  }

  /** Makes the body end, wherever it waits. */
  #interrupt(message?: string): void {
    this.#interrupted = true;
    this.#parent.cancel(message);
  }
}

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

function checkBody(body: unknown): void {
  if (typeof body === "function") return;
  throw new TypeError(`Expected a function, got ${describe(body)}`);
}
