/**
 * Task groups.
 *
 * @module
 */

import { subscribeAbort } from "./_abort_signal.ts";
import { FuturesSource, runInTask } from "./_awaitable.ts";
import {
  asCancellation,
  cancelledError,
  cancelNested,
} from "./_cancel_request.ts";
import {
  type CancelScope,
  InnerScope,
  type ScopeOwner,
} from "./_cancel_scope.ts";
import { reportSwallowed } from "./_debug_mode.ts";
import { type EventLoop, getEventLoop } from "./_event_loop.ts";
import { type Future, futures } from "./_future.ts";
import { titleOf } from "./_inspect.ts";
import { Limiter } from "./_limiter.ts";
import type { Cancellable, Coroutine, TaskOptions } from "./_options.ts";
import type { Job } from "./_scheduler.ts";
import type { Task } from "./_task.ts";
import {
  checkBody,
  checkCoroutine,
  checkCount,
  checkOptions,
  isInstance,
  signalOf,
} from "./_validate.ts";
import {
  currentScope,
  type Failure,
  promiseTry,
  runInScope,
} from "./_waiting_call.ts";
import {
  CancelledError,
  ExceptionGroup,
  KeyboardInterrupt,
  RuntimeError,
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

const RUN = "run a group";
const GROUP_OPTIONS = ["limit"] as const;

let explainGroup: (group: TaskGroup) => string | null;
let childrenOf: (group: TaskGroup) => Iterable<Task<unknown>>;

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
  readonly #children = new ChildTasks((child) => this.#childDone(child));
  /** Children in their first step, which are not among the others yet. */
  #starting = 0;
  #limiter: Limiter | null = null;
  readonly #errors: unknown[] = [];
  /** The interruption of the program, if a child or the body has met it. */
  #interrupt: KeyboardInterrupt | null = null;
  #state: "open" | "exiting" | "finished" = "open";
  /** Children are being cancelled, new ones are refused. */
  #aborting = false;
  /** The group has cancelled its scope and owes it that request. */
  #bodyCancelled = false;
  /** Awaited at the end while there are children. */
  #allDone: Future<void> | null = null;
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
    const scope = nextScope ?? currentScope();
    nextScope = null;
    this.#scope = scope;
    this.#loop = (scope?.loop ?? getEventLoop()) as EventLoop;
    this.#requests = scope === null ? 0 : scope.pathRequests;
  }

  /**
   * The signal of the group. It aborts when a child or the body fails, when
   * the group is cancelled, and when the task around it is.
   */
  get signal(): AbortSignal {
    if (this.#scope instanceof InnerScope && groupsWithScope.has(this)) {
      return this.#scope.signal;
    }
    if (this.#controller === null) {
      const controller = this.#controller = new AbortController();
      const abort = (reason: unknown) => controller.abort(reason);
      const outer = this.#scope?.signal;
      if (outer?.aborted) abort(outer.reason);
      else if (outer) subscribeAbort(outer, { abort });
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
    return promiseTry(() => {
      checkBody(body, RUN);
      checkOptions(options, GROUP_OPTIONS, RUN);
      const limit = options?.limit;
      if (limit !== undefined) checkCount(limit, 1, RUN, "limit");
      const outer = currentScope();
      if (outer === null) return runInTask(() => TaskGroup.run(body, options));
      const owner = new GroupOwner();
      const scope = nextScope = new InnerScope(outer, owner);
      const group = owner.group = new TaskGroup();
      groupsWithScope.add(group);
      if (limit !== undefined) group.#limiter = new Limiter(limit);
      const leave = (failure: Failure | null) => group.#exit(failure);
      return runInScope(scope, () => body(group), leave);
    });
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
    const size = this.#children.size + this.#starting;
    if (
      this.#state === "finished" || (this.#state === "exiting" && size === 0)
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
    if (this.#state === "finished" || this.#aborting) return;
    this.#abort(message);
    this.#cancelBody(message);
  }

  /**
   * Waits for all children, as leaving Python's block does. New ones may be
   * added until the last is done.
   *
   * @param options A signal that ends the wait alone: the group stays open.
   * @throws {ExceptionGroup} Of the errors of the children, if any failed.
   * @throws {CancelledError} If the calling task is cancelled, and the children with it.
   */
  async join(options?: Cancellable): Promise<void> {
    const signal = signalOf(options, "join a group");
    signal?.throwIfAborted();
    const failure = await this.#exit(null, signal);
    if (failure !== null) throw failure.error;
  }

  /** Cancels and awaits the children, unless the group was joined. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "finished") return;
    if (!this.#aborting) this.#abort();
    const failure = await this.#exit(null);
    if (failure !== null) throw failure.error;
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const state = this.#aborting && this.#state !== "finished"
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
  #exit(
    failure: Failure | null,
    signal?: AbortSignal,
  ): Failure | null | Promise<Failure | null> {
    if (this.#state === "finished") return failure;
    this.#state = "exiting";
    if (failure === null && this.#bodyCancelled) {
      reportSwallowed(this.#scope!.root, this.#requests);
    }
    if (failure !== null && !this.#aborting) this.#abort(undefined, failure);
    if (this.#children.size === 0) return this.#finish(failure, null, null);
    return this.#waitForChildren(failure, signal);
  }

  async #waitForChildren(
    failure: Failure | null,
    signal?: AbortSignal,
  ): Promise<Failure | null> {
    let cancelled: Failure | null = null;
    let last: Failure | null = null;
    while (this.#children.size > 0) {
      this.#allDone = futures.make(
        this.#loop,
        new FuturesSource(this.#children, "group"),
      );
      if (signal) futures.subscribeSignal(this.#allDone, signal);
      try {
        await this.#allDone;
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
    return this.#finish(failure, cancelled, last);
  }

  /** All children are done. The cancellation that ended the wait for them, and the last that came, may have to go on. */
  #finish(
    failure: Failure | null,
    cancelled: Failure | null,
    last: Failure | null,
  ): Failure | null {
    this.#state = "finished";
    const scope = this.#scope;
    const isBodyCancelled = failure !== null &&
      asCancellation(failure.error) !== null;
    if (isBodyCancelled) cancelled ??= failure;
    if (this.#bodyCancelled) {
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
    const outer = groupsWithScope.has(this) ? scope!.outer : scope;
    // A request from outside stays, and is delivered at the next wait.
    if (outer !== null && outer.pathRequests > 0) outer.redeliver();
    return {
      error: new ExceptionGroup(
        "unhandled errors in a TaskGroup",
        this.#errors,
      ),
    };
  }

  #childDone(task: Task<unknown>): void {
    if (this.#children.size === 0 && this.#allDone?.done() === false) {
      this.#allDone.setResult();
    }
    if (task.cancelled()) return;
    const exception = task.exception();
    if (!futures.failed(task)) return;
    if (this.#scope !== null && this.#scope.root.isOver) {
      this.#loop.callExceptionHandler({
        message: "A task of a TaskGroup failed after its parent had ended",
        exception,
        task,
      });
      return;
    }
    if (isInstance(exception, KeyboardInterrupt)) this.#interrupt ??= exception;
    this.#errors.push(exception);
    if (this.#aborting) return;
    this.#abort(undefined, { error: exception });
    this.#cancelBody();
  }

  #abort(message?: string, failure?: Failure): void {
    this.#aborting = true;
    for (const child of [...this.#children]) cancelNested(child, message);
    const reason = failure === undefined
      ? cancelledError(message)
      : failure.error;
    if (this.#controller !== null) this.#controller.abort(reason);
    else if (failure !== undefined && groupsWithScope.has(this)) {
      this.#scope!.abortSignal(reason);
    }
  }

  /** Makes the body end, wherever it waits. */
  #cancelBody(message?: string): void {
    if (this.#scope === null) return;
    this.#bodyCancelled = true;
    this.#scope.request(message);
  }
}

/** Groups that have a scope of their own. */
const groupsWithScope = new WeakSet<TaskGroup>();
/** The scope for the group that is being made. */
let nextScope: InnerScope | null = null;

/** Tasks in the order of their making, each until it is done. A set would cost more than all the rest of a child. */
class ChildTasks {
  #first: ChildTask | null = null;
  #last: ChildTask | null = null;
  #size = 0;
  readonly #onDone: (task: Task<unknown>) => void;

  constructor(onDone: (task: Task<unknown>) => void) {
    this.#onDone = onDone;
  }

  get size(): number {
    return this.#size;
  }

  add(task: Task<unknown>): void {
    const child = new ChildTask(task, this);
    child.previous = this.#last;
    if (this.#last === null) this.#first = child;
    else this.#last.next = child;
    this.#last = child;
    this.#size++;
    futures.subscribe(task, child);
  }

  remove({ task, next, previous }: ChildTask): void {
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

/** One of {@linkcode ChildTasks}, and the job that hears of its end. */
class ChildTask implements Job {
  readonly task: Task<unknown>;
  readonly #all: ChildTasks;
  previous: ChildTask | null = null;
  next: ChildTask | null = null;

  constructor(task: Task<unknown>, all: ChildTasks) {
    this.task = task;
    this.#all = all;
  }

  run(): boolean {
    this.#all.remove(this);
    return false;
  }
}
