/**
 * Shows what a program is doing: which tasks wait for which, for what, for how
 * long and, in debug mode, at which line.
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

import { taskStatesOf, waitersIn } from "./_call_graph.ts";
import { type AnyFuture, Future, futures } from "./_future.ts";
import { debugHooks, EventLoop, getEventLoop } from "./_event_loop.ts";
import type { Task } from "./_task.ts";
import type { TextOutput } from "./_options.ts";
import { taskStateOf } from "./_task.ts";
import type { TaskState } from "./_task_state.ts";
import { creationSite } from "./_call_site.ts";
import { formatSnapshot } from "./_report.ts";
import { type Snapshot, snapshotOf } from "./_snapshot.ts";
import { currentTask } from "./_awaitable.ts";
import {
  awaitedBy,
  isPending,
  nameOf,
  progressOf,
  reachableTasks,
  waitingTime,
} from "./_inspect.ts";
import { print } from "./_text.ts";
import {
  checkInstance,
  checkNumber,
  checkOptions,
  checkOutput,
  describe,
  isInstance,
  isIterable,
} from "./_validate.ts";
import "./_threads.ts";

export { EventLoop } from "./_event_loop.ts";
export { Future } from "./_future.ts";
export { Task } from "./_task.ts";
export type { TextOutput } from "./_options.ts";
export { formatSnapshot } from "./_report.ts";
export type {
  AbandonedSnapshot,
  CancelSnapshot,
  ChildSnapshot,
  FailureSnapshot,
  HolderSnapshot,
  LoopSnapshot,
  Snapshot,
  TaskSnapshot,
  ThreadSnapshot,
  WaitSnapshot,
} from "./_snapshot.ts";

/** Options of {@linkcode captureCallGraph}. */
export interface CallGraphOptions {
  /**
   * The maximum number of lines of each call stack: the outermost ones, or the
   * innermost ones if it is negative.
   *
   * @default Infinity
   */
  limit?: number;
  /**
   * The first line of the caller's own stack: 1 is the call itself, 2 the call of
   * the function around it.
   *
   * @default 1
   */
  depth?: number;
}

/** Options of {@linkcode formatCallGraph}. */
export interface FormatCallGraphOptions extends CallGraphOptions {
  /**
   * The format: lines of text, or a Mermaid flow chart.
   *
   * @default "text"
   */
  format?: "text" | "mermaid";
}

/** Options of {@linkcode printCallGraph}. */
export interface PrintCallGraphOptions extends FormatCallGraphOptions {
  /**
   * Where to write.
   *
   * @default the standard output stream
   */
  file?: TextOutput;
}

/** One thing that a task waits for. */
export interface CallGraphWait {
  /** What it is, in a few words: `"<Lock locked, 1 waiting> held by the task a"`. */
  what: string;
  /** For how long, in seconds; `null` if unknown. */
  seconds: number | null;
  /** The awaited future; `null` for a promise from outside of this module. */
  future: Future<unknown> | null;
  /** The tasks that the future depends on, such as the children of a gather or group. */
  tasks: readonly Task<unknown>[];
  /** The task that holds the awaited lock. */
  holder: Task<unknown> | null;
}

/** A future or task, what it waits for, and who waits for it. */
export interface CallGraph {
  /** The future or task. */
  future: Future<unknown>;
  /** The name of the task; `null` for a plain future. */
  name: string | null;
  /** Its state. */
  state: "pending" | "done" | "failed" | "cancelled";
  /** What the task is doing: `"waiting for the task a since 1.0 s"`; for a plain future, its state. */
  doing: string;
  /** What the task waits for: nothing, one thing, or several under a `Promise.all`. */
  waitsFor: readonly CallGraphWait[];
  /** Where it waits, innermost call first. Known for the running task, and in debug mode for others. */
  callStack: readonly string[];
  /** Where it was created; known in debug mode. */
  madeAt: string | null;
  /** The tasks that wait for it, or for a lock that it holds. */
  awaitedBy: readonly CallGraph[];
  /** Whether the same task occurs above itself: the tasks wait for each other, and the graph ends here. */
  cycle: boolean;
}

/**
 * Finds the tasks that wait for a task, directly or indirectly, and what each of
 * them waits for.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.capture_call_graph}.
 *
 * @param future The task or future, by default the calling task.
 * @param options Which lines of the call stacks to include; all by default.
 * @returns The graph; `null` if no task is given and none is running.
 * @throws {TypeError} If `future` is not a future, or an option is unknown or has the wrong type.
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
  const { limit, depth } = checkedOptions(options);
  if (future === null) return null;
  if (!isInstance(future, Future)) {
    throw new TypeError(
      `Cannot capture a call graph: expected a future, got ${describe(future)}`,
    );
  }
  const waiters = waitersIn(taskStatesOf(future.getLoop()));
  const path = new Set<Future<unknown>>();
  let captured = 0;
  const capture = (future: Future<unknown>): CallGraph => {
    captured++;
    const cycle = path.has(future);
    const isTooLarge = path.size >= GRAPH_DEPTH || captured >= GRAPH_SIZE;
    const above = cycle || isTooLarge ? [] : waiters.get(future) ?? [];
    path.add(future);
    const awaitedBy = [...above].map(({ task }) =>
      capture(task as Task<unknown>)
    );
    if (!cycle) path.delete(future);
    return { ...describeOne(future, limit, depth), awaitedBy, cycle };
  };
  return capture(future);
}

/**
 * Formats a call graph as text.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.format_call_graph}.
 *
 * @param future The task or future, by default the calling task; or a captured graph.
 * @param options The format, `"text"` by default, and which lines of the call stacks to include.
 * @returns The text, of several lines; `""` if no task is given and none is running.
 * @throws {TypeError} If `future` is none of these.
 * @throws {RangeError} If the format is unknown.
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
  options: FormatCallGraphOptions = {},
): string {
  checkOptions(options, FORMAT_OPTIONS, "format a call graph");
  const { format = "text", ...rest } = options;
  if (format !== "text" && format !== "mermaid") {
    throw new RangeError(
      `Cannot format a call graph: format must be "text" or "mermaid", got ${
        describe(format)
      }`,
    );
  }
  const graph = isCallGraph(future)
    ? future
    : captureCallGraph(future ?? undefined, rest);
  if (graph === null) return "";
  return format === "text" ? linesOf(graph).join("\n") : mermaidOf(graph);
}

/**
 * Prints a call graph to the standard output stream or another output.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.print_call_graph}.
 *
 * @param future The task or future, by default the calling task; or a captured graph.
 * @param options The output, the format, and which lines of the call stacks to include.
 * @throws {TypeError} If `future` is none of these.
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
  options: PrintCallGraphOptions = {},
): void {
  checkOptions(options, PRINT_OPTIONS, "print a call graph");
  const { file, ...rest } = options;
  checkOutput(file, "print a call graph");
  print(formatCallGraph(future, rest), file);
}

/** The maximum depth of a call graph, and the maximum number of futures in it. */
const GRAPH_DEPTH = 100;
const GRAPH_SIZE = 10_000;
const GRAPH_OPTIONS = ["limit", "depth"] as const;
const FORMAT_OPTIONS = [...GRAPH_OPTIONS, "format"] as const;
const PRINT_OPTIONS = [...FORMAT_OPTIONS, "file"] as const;

/**
 * Captures what a loop is doing as plain data: its tasks with what each waits
 * for, which tasks hold that, for how long and, in debug mode, at which line;
 * calls in threads, child processes, and errors that were never retrieved.
 *
 * @param loop The loop, by default that of the caller.
 * @returns The snapshot, which survives `JSON.stringify`.
 * @throws {TypeError} If `loop` is not an event loop.
 *
 * @example
 * ```ts
 * import { createTask, Lock, run, sleep, snapshot } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await run(async () => {
 *   const lock = new Lock();
 *   using _ = await lock.acquire();
 *   const waiter = createTask(() => lock.acquire(), { name: "waiter" });
 *   await sleep(0);
 *   const [main, { name, state, waits: [wait] }] = snapshot().tasks;
 *   assertEquals([name, state, wait.kind], ["waiter", "waiting", "lock"]);
 *   assertEquals(wait.holders, [{ id: main.id, name: main.name, ended: false }]);
 *   waiter.cancel();
 * });
 * ```
 */
export function snapshot(loop: EventLoop = getEventLoop()): Snapshot {
  checkInstance(loop, EventLoop, "take a snapshot", "loop");
  return snapshotOf(loop);
}

/**
 * Prints what a loop is doing to the standard error stream: the probable cause
 * of a deadlock first, then its tasks with what they wait for, for how long and,
 * in debug mode, at which line. Tasks in the same place share an entry.
 *
 * `run()` does the same whenever the process receives its `dumpSignal`.
 *
 * @param loop The loop, by default that of the caller.
 * @throws {TypeError} If `loop` is not an event loop.
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
  console.error(formatSnapshot(snapshot(loop)));
}

type Described = Omit<CallGraph, "awaitedBy" | "cycle">;

function describeOne(
  future: AnyFuture,
  limit: number,
  depth: number,
): Described {
  const taskState = taskStateOf(future);
  const { state } = futures.inspect(future);
  return {
    future,
    name: taskState?.name ?? null,
    state: state as CallGraph["state"],
    doing: taskState === null || taskState.isOver
      ? state
      : progressOf(taskState),
    waitsFor: taskState === null ? [] : waitsOf(taskState),
    callStack: taskState === null ? [] : linesIn(taskState, limit, depth),
    madeAt: creationSite(future)?.line ?? null,
  };
}

function linesIn(
  state: TaskState,
  limit: number,
  depth: number,
): readonly string[] {
  const skipped = state.isRunning ? Math.max(0, depth - 1) : 0;
  const lines = debugHooks.stackOf(state).slice(skipped);
  if (limit < 0) return lines.slice(0, -limit);
  return lines.slice(Math.max(0, lines.length - limit));
}

function waitsOf(state: TaskState): CallGraphWait[] {
  const seconds = waitingTime(state);
  if (state.phase === "foreign") {
    const what = "a foreign promise";
    return [{ what, seconds, future: null, tasks: [], holder: null }];
  }
  return awaitedBy(state).filter(isPending).map((future) => {
    const holder = futures.source(future as AnyFuture)?.holder?.task ?? null;
    return {
      what: nameOf(future),
      seconds,
      future: future as AnyFuture,
      tasks: reachableTasks(future).map(({ task }) => task as Task<unknown>),
      holder: holder as Task<unknown> | null,
    };
  });
}

function checkedOptions(options: CallGraphOptions): Required<CallGraphOptions> {
  const action = "capture a call graph";
  checkOptions(options, GRAPH_OPTIONS, action);
  const { limit = Infinity, depth = 1 } = options;
  checkNumber(limit, action, "limit");
  checkNumber(depth, action, "depth");
  return { limit, depth };
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

/** Formats a graph as a flow chart. Arrows lead from the waiting task to what it waits for. */
function mermaidOf(graph: CallGraph): string {
  const ids = new Map<Future<unknown>, string>();
  const lines = ["flowchart TD"];
  const edges = new Set<string>();
  const draw = ({ future, name, doing, awaitedBy }: CallGraph): string => {
    const known = ids.get(future);
    const id = known ?? `n${ids.size}`;
    if (known === undefined) {
      ids.set(future, id);
      const title = name === null ? "Future" : `Task ${name}`;
      lines.push(`  ${id}["${escaped(title)}<br>${escaped(doing)}"]`);
    }
    for (const waiter of awaitedBy) edges.add(`  ${draw(waiter)} --> ${id}`);
    return id;
  };
  draw(graph);
  return [...lines, ...edges].join("\n");
}

/** Escapes characters with a special meaning in labels. */
function escaped(text: string): string {
  return text.replaceAll(/[#"&<>]/g, (sign) => `#${sign.charCodeAt(0)};`)
    .replaceAll("\n", " ");
}
