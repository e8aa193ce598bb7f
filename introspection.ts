/**
 * What a program is doing: which task waits for which, on what, since when
 * and, in debug mode, at which line.
 *
 * ```ts
 * import { captureCallGraph } from "@asyncio/asyncio/introspection";
 * import { run } from "@asyncio/asyncio/runner";
 * import { createTask, sleep } from "@asyncio/asyncio/tasks";
 * import { assertEquals } from "@std/assert";
 *
 * await run(async () => {
 *   const child = createTask(() => sleep(60), { name: "child" });
 *   const parent = createTask(() => child, { name: "parent" });
 *   await sleep(0);
 *   const graph = captureCallGraph(child)!;
 *   assertEquals(graph.awaitedBy.map(({ name }) => name), ["parent"]);
 *   parent.cancel();
 * });
 * ```
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html}.
 *
 * @module
 */

import { stackOf } from "./_debug.ts";
import { describeTasks, framesOfLoop, waitersIn } from "./_describe.ts";
import {
  type AnyFuture,
  EventLoop,
  Future,
  futures,
  getEventLoop,
  type Task,
} from "./_future.ts";
import { hooks, type TaskFrame } from "./_frame.ts";
import { makingOf } from "./_place.ts";
import { currentTask } from "./_task.ts";
import {
  awaitedBy,
  isPending,
  nameOf,
  progressOf,
  tasksBehind,
  waitingTime,
} from "./_text.ts";
import {
  checkInstance,
  checkNumber,
  checkOptions,
  describe,
  isInstance,
  isIterable,
} from "./_validate.ts";
import "./_threads.ts";

export { EventLoop, Future, Task } from "./_future.ts";

/** Options of {@linkcode captureCallGraph} and of what prints it. */
export interface CallGraphOptions {
  /**
   * The largest number of lines of each call stack, the innermost first.
   *
   * @default Infinity
   */
  limit?: number;
}

/** One thing that a task is suspended in. */
export interface CallGraphWait {
  /** What it is, in a few words: `"<Lock locked, 1 waiting> held by the task a"`. */
  what: string;
  /** Since when, in seconds; `null` where that is not known. */
  seconds: number | null;
  /** The future that it awaits, `null` for a promise from outside of this module. */
  future: Future<unknown> | null;
  /** The tasks that this stands for: the children of a gather or of a group, for one. */
  tasks: readonly Task<unknown>[];
  /** The task that holds the lock that it waits for. */
  holder: Task<unknown> | null;
}

/** A future or task, what it waits for, and who waits for it. */
export interface CallGraph {
  /** The future or task. */
  future: Future<unknown>;
  /** The name of the task, `null` for a plain future. */
  name: string | null;
  /** Where it stands. */
  state: "pending" | "done" | "failed" | "cancelled";
  /** What the task is doing, in words: `"waiting for the task a since 1.0 s"`; otherwise the state. */
  doing: string;
  /** What the task is suspended in: nothing, one thing, or several under a `Promise.all`. */
  waitsFor: readonly CallGraphWait[];
  /** Where it is suspended, the innermost call first. Filled for the running task, and in debug mode for others. */
  callStack: readonly string[];
  /** Where it was made, in debug mode. */
  madeAt: string | null;
  /** The tasks that wait for it, or for a lock that it holds. */
  awaitedBy: readonly CallGraph[];
  /** It stands above itself already: the tasks wait for each other, and the graph is not followed further. */
  cycle: boolean;
}

/**
 * Finds out who waits for a task, and for those, and so on; and what each of
 * them is suspended in.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.capture_call_graph}.
 *
 * @param future The task or future, by default the task that asks.
 * @param options How much of the call stacks.
 * @returns The graph; `null` if no task is given and none is running.
 * @throws {TypeError} If it is not a future, or an option is unknown or of another kind.
 *
 * @example
 * ```ts
 * import { captureCallGraph, createTask, Queue, run, sleep } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await run(async () => {
 *   const queue = new Queue<number>();
 *   const consumer = createTask(() => queue.get(), { name: "consumer" });
 *   await sleep(0);
 *   const { state, waitsFor: [wait] } = captureCallGraph(consumer)!;
 *   assertEquals(state, "pending");
 *   assertEquals(wait.what, "an item of <Queue 0 items, 1 waiting to get>");
 *   queue.putNowait(1);
 *   await consumer;
 * });
 * ```
 */
export function captureCallGraph(
  future: Future<unknown> | null = currentTask(),
  options: CallGraphOptions = {},
): CallGraph | null {
  const limit = limitOf(options);
  if (future === null) return null;
  if (!isInstance(future, Future)) {
    throw new TypeError(
      `Cannot capture a call graph: expected a future, got ${describe(future)}`,
    );
  }
  const waiters = waitersIn(framesOfLoop(future.getLoop()));
  const capture = (
    future: Future<unknown>,
    path: readonly Future<unknown>[],
  ): CallGraph => {
    const cycle = path.includes(future);
    const above = cycle ? [] : waiters.get(future) ?? [];
    const awaitedBy = [...above].map((frame) =>
      capture(frame.task as Task<unknown>, [...path, future])
    );
    return { ...describeOne(future, limit), awaitedBy, cycle };
  };
  return capture(future, []);
}

/**
 * Writes a call graph as text.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.format_call_graph}.
 *
 * @param future The task or future, by default the task that asks; or a graph that was captured before.
 * @param options How much of the call stacks.
 * @returns Some lines, `""` if no task is given and none is running.
 * @throws {TypeError} If it is neither, or an option is unknown or of another kind.
 *
 * @example
 * ```ts
 * import { createTask, formatCallGraph, run, sleep } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await run(async () => {
 *   const child = createTask(() => sleep(60), { name: "child" });
 *   const parent = createTask(() => child, { name: "parent" });
 *   await sleep(0);
 *   const [first, second, third] = formatCallGraph(child).split("\n");
 *   assertEquals(first.slice(0, 45), '* Task "child" waiting for a timer due in 60.');
 *   assertEquals(second, "  + awaited by:");
 *   assertEquals(third.slice(0, 47), '    * Task "parent" waiting for the task child ');
 *   child.cancel();
 * });
 * ```
 */
export function formatCallGraph(
  future?: Future<unknown> | CallGraph | null,
  options: CallGraphOptions = {},
): string {
  limitOf(options);
  const graph = isCallGraph(future)
    ? future
    : captureCallGraph(future ?? undefined, options);
  return graph === null ? "" : linesOf(graph).join("\n");
}

/**
 * Writes a call graph to the standard output stream.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.print_call_graph}.
 *
 * @param future The task or future, by default the task that asks; or a graph that was captured before.
 * @param options How much of the call stacks.
 * @throws {TypeError} If it is neither, or an option is unknown or of another kind.
 *
 * @example
 * ```ts
 * import { printCallGraph, run } from "@asyncio/asyncio";
 *
 * await run(() => printCallGraph());
 * ```
 */
export function printCallGraph(
  future?: Future<unknown> | CallGraph | null,
  options: CallGraphOptions = {},
): void {
  console.log(formatCallGraph(future, options));
}

/**
 * Writes all tasks of a loop to the standard error stream as a tree: each
 * task above those that it waits for, with what it waits for and since when
 * and, in debug mode, at which line. Tasks that wait for each other in a
 * circle are named at the end.
 *
 * `run(main, { dumpSignal: "SIGUSR1" })` does the same whenever the process
 * gets that signal.
 *
 * @param loop The loop, by default the one of the caller.
 * @throws {TypeError} If it is none.
 *
 * @example
 * ```ts
 * import { createTask, dumpTasks, Event, run, sleep } from "@asyncio/asyncio";
 *
 * await run(async () => {
 *   const ready = new Event();
 *   const waiter = createTask(() => ready.wait(), { name: "waiter" });
 *   await sleep(0);
 *   dumpTasks();
 *   ready.set();
 *   await waiter;
 * });
 * ```
 */
export function dumpTasks(loop: EventLoop = getEventLoop()): void {
  checkInstance(loop, EventLoop, "dump the tasks", "the loop");
  console.error(describeTasks(loop));
}

type Described = Omit<CallGraph, "awaitedBy" | "cycle">;

function describeOne(future: AnyFuture, limit: number): Described {
  const frame = hooks.frameOf(future);
  const { state } = hooks.about(future);
  return {
    future,
    name: frame?.name ?? null,
    state: state as CallGraph["state"],
    doing: frame === null || frame.over ? state : progressOf(frame),
    waitsFor: frame === null ? [] : waitsOf(frame),
    callStack: frame === null ? [] : stackOf(frame).slice(0, limit),
    madeAt: makingOf(future)?.line ?? null,
  };
}

function waitsOf(frame: TaskFrame): CallGraphWait[] {
  const seconds = waitingTime(frame);
  if (frame.standing === "foreign") {
    const what = "a foreign promise";
    return [{ what, seconds, future: null, tasks: [], holder: null }];
  }
  return awaitedBy(frame).filter(isPending).map((future) => {
    const holder = futures.behind(future as AnyFuture)?.holder?.task ?? null;
    return {
      what: nameOf(future),
      seconds,
      future: future as AnyFuture,
      tasks: tasksBehind(future).map(({ task }) => task as Task<unknown>),
      holder: holder as Task<unknown> | null,
    };
  });
}

function limitOf(options: CallGraphOptions): number {
  const action = "capture a call graph";
  checkOptions(options, ["limit"], action);
  const { limit = Infinity } = options;
  checkNumber(limit, action, "limit");
  return limit;
}

function isCallGraph(value: unknown): value is CallGraph {
  if (typeof value !== "object" || value === null) return false;
  if (isInstance(value, Future)) return false;
  try {
    const { name, doing, callStack, awaitedBy } = value as CallGraph;
    return (name === null || typeof name === "string") &&
      typeof doing === "string" && isIterable(callStack) &&
      isIterable(awaitedBy) && [...awaitedBy].every(isCallGraph);
  } catch {
    return false;
  }
}

function linesOf(graph: CallGraph): string[] {
  const { name, doing, callStack, madeAt, awaitedBy, cycle } = graph;
  const what = name === null ? "Future" : `Task ${JSON.stringify(name)}`;
  const lines = [`* ${what} ${doing}${cycle ? " (this closes a circle)" : ""}`];
  if (cycle) return lines;
  for (const call of callStack) lines.push(`  | at ${call}`);
  if (madeAt !== null) lines.push(`  | made at ${madeAt}`);
  if (awaitedBy.length > 0) lines.push("  + awaited by:");
  for (const waiter of awaitedBy) {
    lines.push(...linesOf(waiter).map((line) => `    ${line}`));
  }
  return lines;
}
