/**
 * Task groups.
 *
 * @module
 */

import { addNote } from "./_error_stack.ts";
import { originOf } from "./_inspect.ts";
import { subscribeAbort } from "./_abort_signal.ts";
import { runInTask } from "./_awaitable.ts";
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
import { FuturesSource } from "./_done_callbacks.ts";
import type { EventLoop } from "./_event_loop.ts";
import { callersLoop, type Future, futures } from "./_future.ts";
import { titleOf } from "./_text.ts";
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
   * The maximum number of children that run at once. The others start in order
   * as slots become free; one that is cancelled before it starts is never
   * called.
   *
   * @default {Infinity}
   */
  limit?: number | undefined;
}

const RUN = "run a group";
const GROUP_OPTIONS = ["limit"] as const;

let explainGroup: (group: TaskGroup) => string | null;
let childrenOf: (group: TaskGroup) => Iterable<Task<unknown>>;

/** Explains waits inside a group, for reports. */
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
 * A group of tasks: no child outlives it, and if one fails the others are
 * cancelled.
 *
 * Usually entered with {@linkcode TaskGroup.run}. With `await using`, which
 * cannot see the error that leaves its block, end the block with
 * {@linkcode TaskGroup.join}; leaving it without cancels and awaits the
 * children.
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
  /** The scope that the group cancels: its own, or the one it was created in; `null` outside of tasks. */
  readonly #scope: CancelScope | null;
  readonly #loop: EventLoop;
  /** The cancel requests pending when the group was created. */
  readonly #requests: number;
  /** Children that are not done. */
  readonly #children = new ChildTasks((child) => this.#childDone(child));
  /** Children in their first step, which are not in `#children` yet. */
  #starting = 0;
  #limiter: Limiter | null = null;
  readonly #errors: unknown[] = [];
  /** The `KeyboardInterrupt` of a child or the body, if any. */
  #interrupt: KeyboardInterrupt | null = null;
  #state: "open" | "exiting" | "finished" = "open";
  /** Whether children are being cancelled and new ones refused. */
  #aborting = false;
  /** Whether the group has cancelled its scope, and has to withdraw that request. */
  #bodyCancelled = false;
  /** Resolved when the last child is done; awaited when the group exits. */
  #allDone: Future<void> | null = null;
  /** Backs `signal` for a group without a scope of its own. */
  #controller: AbortController | null = null;

  static {
    explainGroup = (group) => group.#explain();
    childrenOf = (group) => group.#children;
  }

  /**
   * Creates a group in the calling task. Outside of tasks there is no task to
   * interrupt; a failure then rejects `join` or the disposal.
   */
  constructor() {
    const scope = nextScope ?? currentScope();
    nextScope = null;
    this.#scope = scope;
    this.#loop = (scope?.loop ?? callersLoop()) as EventLoop;
    this.#requests = scope === null ? 0 : scope.pathRequests;
  }

  /**
   * The signal of the group. It aborts when a child or the body fails, and when
   * the group or the task around it is cancelled.
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
   * Runs a body with a new group, and waits until all its children are done.
   *
   * If a child fails, the other children and the body are cancelled; if the
   * body fails, the children are. If the calling task is cancelled, all
   * children are cancelled and awaited.
   *
   * @typeParam T What the body returns.
   * @param body The code to run, called with the group.
   * @param options The limit on children that run at once.
   * @returns What the body returns; `undefined` if {@linkcode TaskGroup.cancel} ended it.
   * @throws {ExceptionGroup} If children or the body failed; it holds their errors.
   * @throws {CancelledError} If the calling task is cancelled and nothing failed.
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
   * Runs a coroutine function as a child task.
   *
   * @typeParam T What the coroutine returns.
   * @param coro The coroutine function.
   * @param options The options of `createTask`.
   * @returns The task.
   * @throws {RuntimeError} If the group is finished or shutting down; the function is then not called.
   * @throws {TypeError} If `coro` is not a function, or an option is invalid.
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
    // An eager child may already be done, have failed, or have cancelled the
    // group.
    this.#children.add(task as Task<unknown>);
    if (this.#aborting) task.cancel();
    return task;
  }

  /**
   * Ends the group without an error: children and body are cancelled, and `run`
   * or `join` resolves. Does nothing if the group is finished or shutting down.
   * In an `await using` block, a wait other than `join` throws its
   * `CancelledError` out of the block.
   *
   * @param message The message of the `CancelledError`; empty by default.
   */
  cancel(message?: string): void {
    if (this.#state === "finished" || this.#aborting) return;
    this.#abort(message);
    this.#cancelBody(message);
  }

  /**
   * Waits until all children are done, as leaving Python's `async with` block
   * does. Children may be added until then.
   *
   * If cancelled, the children are cancelled and awaited.
   *
   * @param options A signal that aborts only the wait: the group stays open.
   * @throws {ExceptionGroup} If children failed; it holds their errors.
   * @throws {CancelledError} If the calling task is cancelled.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   *
   * @example
   * ```ts
   * import { run, sleep, TaskGroup } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * await run(async () => {
   *   await using group = new TaskGroup();
   *   const one = group.createTask(() => sleep(0.001, { result: 1 }));
   *   const two = group.createTask(() => sleep(0.002, { result: 2 }));
   *   await group.join();
   *   assertEquals([one.result(), two.result()], [1, 2]);
   * });
   * ```
   */
  async join(options?: Cancellable): Promise<void> {
    const signal = signalOf(options, "join a group");
    signal?.throwIfAborted();
    const failure = await this.#exit(null, signal);
    if (failure !== null) throw failure.error;
  }

  /** Cancels and awaits the children, unless `join` has completed. */
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

  /** Waits for the children. Returns what to throw. */
  #exit(
    failure: Failure | null,
    signal?: AbortSignal,
  ): Failure | null | Promise<Failure | null> {
    if (this.#state === "finished") return failure;
    this.#state = "exiting";
    if (failure === null && this.#bodyCancelled) {
      reportSwallowed(this.#scope!.taskState, this.#requests);
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

  /** Returns what to throw once all children are done. `cancelled` is the cancellation that started the shutdown, `last` the last one during it; either may have to be re-thrown. */
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
    // An outer cancel request stays pending and is delivered at the next wait.
    if (outer !== null && outer.pathRequests > 0) outer.deliverAgain();
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
    if (this.#scope !== null && this.#scope.taskState.isOver) {
      this.#loop.callExceptionHandler({
        message:
          "A child of a TaskGroup failed after its parent task had finished",
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

  /** Cancels the body, wherever it waits. */
  #cancelBody(message?: string): void {
    if (this.#scope === null) return;
    this.#bodyCancelled = true;
    this.#scope.request(message);
  }
}

/** Groups made by `TaskGroup.run`, which have a scope of their own. */
const groupsWithScope = new WeakSet<TaskGroup>();
/** The scope of the group that is being constructed. */
let nextScope: InnerScope | null = null;

/** The unfinished children in creation order, as a linked list: a set would cost more than the rest of a child. */
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

/** A node of {@linkcode ChildTasks}, and the done callback of its task. */
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
