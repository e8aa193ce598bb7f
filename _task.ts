/**
 * Tasks. What follows the code of a task across its awaits is its state, in
 * `_task_state.ts`.
 *
 * @module
 */

import { classes } from "./_core_classes.ts";
import { AbortSubscription } from "./_abort_signal.ts";
import { startEager } from "./_cancel_scope.ts";
import {
  captureContext,
  captureSlot,
  type Context,
  runFrom,
} from "./_context.ts";
import {
  debugHooks,
  type EventLoop,
  internals as loops,
} from "./_event_loop.ts";
import { finalContexts, original, TaskState } from "./_task_state.ts";
import { checkedLoop, Future, futures } from "./_future.ts";
import {
  type Coroutine,
  type PrintStackOptions,
  type StackOptions,
  TASK_OPTIONS,
  type TaskOptions,
} from "./_options.ts";
import { framesOf } from "./_call_site.ts";
import { print } from "./_text.ts";
import {
  checkContext,
  checkCoroutine,
  checkFlag,
  checkNumber,
  checkOptions,
  checkOutput,
  checkSignal,
  toName,
} from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

let tasksMade = 0;

/** The state of a task. */
export let stateOf: (task: Task<unknown>) => TaskState;

/** The state of a future if it is a task, else `null`. */
export function taskStateOf(future: unknown): TaskState | null {
  return future instanceof Task ? stateOf(future) : null;
}

/**
 * A coroutine function that the loop runs, and the future of its outcome.
 *
 * It starts on the loop's next turn. {@linkcode Task.cancel} requests that it
 * end: the await that it is suspended in rejects with a `CancelledError`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#task-object}.
 *
 * @typeParam T What the coroutine returns.
 *
 * @example
 * ```ts
 * import { createTask, sleep } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const task = createTask(async () => {
 *   await sleep(0);
 *   return 42;
 * }, { name: "answer" });
 * assert(await task === 42 && task.getName() === "answer");
 * ```
 */
export class Task<T> extends Future<T> {
  readonly #coro: Coroutine<T>;
  readonly #taskState: TaskState;

  /**
   * Creates a task and schedules it. `createTask` is the usual way.
   *
   * @param coro The coroutine function.
   * @param options Name, context, eager start and signal.
   * @param loop The loop, by default the one of the caller.
   * @throws {TypeError} If `coro` is not a function.
   */
  constructor(
    coro: Coroutine<T>,
    options?: TaskOptions,
    loop?: EventLoop,
  ) {
    checkCoroutine(coro, CREATE);
    loop = checkedLoop(loop, CREATE);
    const { name, signal, context = null, eagerStart } = checkedOptions(
      options,
    );
    super(loop as never);
    this.#coro = coro;
    const raw = name === undefined ? ++tasksMade : toName(name, CREATE);
    const create = loops.taskStates(loop) ??
      (loop.getDebug() ? debugHooks.createTaskState : null);
    const state = this.#taskState = create === null
      ? new TaskState(loop, this, raw, coro)
      : create(loop, this, raw, coro) as TaskState;
    state.register();
    if (signal) this.#follow(signal);
    if (context !== null) contexts.set(this, context);
    const from = context ?? captureSlot();
    if (!eagerStart) state.startSoon(from, context !== null);
    else if (state.mustCancel) state.finish(undefined);
    else startEager(() => state.start(from, context !== null));
    if (eagerStart && this.done()) doneEagerly.add(this);
  }

  static {
    stateOf = (task) => task.#taskState;
  }

  /**
   * Aborts when the task is cancelled, with the `CancelledError` as its reason.
   * Once the cancellation was delivered, the task has a new signal.
   */
  get signal(): AbortSignal {
    return this.#taskState.signal;
  }

  /** The name. */
  getName(): string {
    return this.#taskState.ownName;
  }

  /**
   * Renames the task.
   *
   * @param name The name, converted to a string if it is not one.
   */
  setName(name: string): void {
    this.#taskState.ownName = toName(name, "name a task");
  }

  /**
   * The coroutine function.
   *
   * @returns The function. As in CPython, it is `null` for a task that was already done when it was made, as an eager one may be; the type leaves that out.
   */
  getCoro(): Coroutine<T> {
    if (doneEagerly.has(this)) return null as unknown as Coroutine<T>;
    return (original.get(this.#coro as Coroutine<unknown>) ??
      this.#coro) as Coroutine<T>;
  }

  /** The context that the body runs in. */
  getContext(): Context {
    let context = contexts.get(this);
    if (context === undefined) {
      const state = this.#taskState;
      const from = state.isOver ? finalContexts.get(this) : state.from;
      context = runFrom(from, state, captureContext, null);
      contexts.set(this, context);
    }
    return context;
  }

  /** The number of cancel requests that were not withdrawn. */
  cancelling(): number {
    return this.#taskState.totalRequests;
  }

  /**
   * Requests that the task end: what it awaits rejects with a
   * `CancelledError`, at once or at its next wait, and {@linkcode Task.signal}
   * aborts. The task may catch that and continue.
   *
   * @param message The message of the error.
   * @returns `false` if the task is done already.
   */
  override cancel(message?: string): boolean {
    if (this.done()) return super.cancel(message);
    this.#taskState.cancel(message);
    return true;
  }

  /**
   * Withdraws one cancel request. With the last one, a cancellation that was
   * not delivered yet is dropped.
   *
   * @returns How many requests are left.
   */
  uncancel(): number {
    return this.#taskState.uncancel();
  }

  /**
   * Where the task is suspended or, if it failed, where its error came from.
   * Where a task is suspended is known in debug mode only.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.get_stack}.
   *
   * @param options How many lines at most: the newest of a suspended task, the oldest of an error.
   * @returns Lines such as `"main (file:///app.ts:7:3)"`, the oldest call first; none where nothing is known.
   */
  getStack(options: StackOptions = {}): string[] {
    const limit = stackLimit(options, "get the stack");
    if (!this.done()) {
      return debugHooks.stackOf(this.#taskState).slice(0, limit).reverse();
    }
    if (!futures.failed(this)) return [];
    return framesOf(futures.error(this)).reverse().slice(0, limit);
  }

  /**
   * Writes {@linkcode Task.getStack} to the standard output stream, or to a file.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.print_stack}.
   *
   * @param options How many lines at most, and where to write them.
   */
  printStack(options: PrintStackOptions = {}): void {
    const action = "print the stack";
    checkOptions(options, ["limit", "file"], action);
    const { file, ...rest } = options;
    checkOutput(file, action);
    const lines = this.getStack(rest).map((line) => `\n  at ${line}`);
    const title = lines.length === 0
      ? `No stack for ${debugHooks.inspect(this)}`
      : `Stack for ${debugHooks.inspect(this)} (most recent call last):`;
    print(title + lines.join(""), file);
  }

  /**
   * Refused: the result of a task is what its coroutine returns.
   *
   * @param _value Ignored.
   * @throws {RuntimeError} Always.
   */
  override setResult(_value: T): never {
    throw new RuntimeError("Cannot set the result of a task");
  }

  /**
   * Refused: the error of a task is what its coroutine throws.
   *
   * @param _error Ignored.
   * @throws {RuntimeError} Always.
   */
  override setException(_error: unknown): never {
    throw new RuntimeError("Cannot set the exception of a task");
  }

  /** The name of the class. */
  override get [Symbol.toStringTag](): string {
    return "Task";
  }

  /** Lets a signal cancel the task. */
  #follow(signal: AbortSignal): void {
    const abort = (reason: unknown) =>
      this.#taskState.cancel(undefined, reason);
    if (signal.aborted) return abort(signal.reason);
    const tie = new AbortSubscription(signal, abort);
    futures.subscribe(this, { run: () => (tie.unsubscribe(), false) });
  }
}

const CREATE = "create a task";

function checkedOptions(options: TaskOptions | undefined): TaskOptions {
  if (options === undefined) return NO_OPTIONS;
  checkOptions(options, TASK_OPTIONS, CREATE);
  checkSignal(options.signal, CREATE);
  checkContext(options.context, CREATE);
  // Python's default is its `None`.
  checkFlag(options.eagerStart ?? undefined, CREATE, "eagerStart");
  return options;
}

const NO_OPTIONS: TaskOptions = {};

function stackLimit(options: StackOptions, action: string): number {
  checkOptions(options, STACK_OPTIONS, action);
  const { limit = Infinity } = options;
  checkNumber(limit, action, "limit");
  return limit;
}

const STACK_OPTIONS = ["limit"] as const;

/** Eager tasks that were done after their first step. */
const doneEagerly = new WeakSet<object>();

/** The contexts of tasks that were passed one or whose context was read. */
const contexts = new WeakMap<object, Context>();

classes.Task = Task;
