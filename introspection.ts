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

import { framesOfLoop, waitersIn } from "./_call_graph.ts";
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
  tasksBehind,
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
   * The largest number of lines of each call stack: the outermost ones, or
   * the innermost ones where it is negative.
   *
   * @default Infinity
   */
  limit?: number;
  /**
   * The line of the caller's own stack to begin with; 1 is the call itself, 2
   * the line that called the function around it.
   *
   * @default 1
   */
  depth?: number;
}

/** Options of {@linkcode formatCallGraph}. */
export interface FormatCallGraphOptions extends CallGraphOptions {
  /**
   * The form: lines for people, or a flow chart in the language of Mermaid.
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
  /** What state it is in. */
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
  /** It is in the graph above itself already: the tasks wait for each other, and the graph ends here. */
  cycle: boolean;
}

/**
 * Finds out who waits for a task, and for those, and so on; and what each of
 * them is suspended in.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.capture_call_graph}.
 *
 * @param future The task or future, by default the calling task.
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
  const { limit, depth } = checkedOptions(options);
  if (future === null) return null;
  if (!isInstance(future, Future)) {
    throw new TypeError(
      `Cannot capture a call graph: expected a future, got ${describe(future)}`,
    );
  }
  const waiters = waitersIn(framesOfLoop(future.getLoop()));
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
 * Writes a call graph as text.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.format_call_graph}.
 *
 * @param future The task or future, by default the calling task; or a graph that was captured before.
 * @param options How much of the call stacks, and in which form.
 * @returns Some lines, `""` if no task is given and none is running.
 * @throws {TypeError} If it is neither.
 * @throws {RangeError} If the form is unknown.
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
 * Writes a call graph to the standard output stream, or to a file.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-graph.html#asyncio.print_call_graph}.
 *
 * @param future The task or future, by default the calling task; or a graph that was captured before.
 * @param options How much of the call stacks, in which form, and where to write.
 * @throws {TypeError} If it is neither.
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

/** A call graph is followed so deep, and up to so many futures. */
const GRAPH_DEPTH = 100;
const GRAPH_SIZE = 10_000;
const GRAPH_OPTIONS = ["limit", "depth"] as const;
const FORMAT_OPTIONS = [...GRAPH_OPTIONS, "format"] as const;
const PRINT_OPTIONS = [...FORMAT_OPTIONS, "file"] as const;

/**
 * What a loop is doing, as plain data: its tasks with what each waits for, who
 * holds that, since when and, in debug mode, at which line; calls in threads,
 * child processes, and errors that nobody has looked at.
 *
 * @param loop The loop, by default the one of the caller.
 * @returns The data; `JSON.stringify` loses nothing of it.
 * @throws {TypeError} If it is not a loop.
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
 * Writes what a loop is doing to the standard error stream: the probable cause
 * of a standstill first, then its tasks with what they wait for, since when
 * and, in debug mode, at which line. Tasks in the same place are one line.
 *
 * `run()` does the same whenever the process gets its `dumpSignal`.
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
  console.error(formatSnapshot(snapshot(loop)));
}

type Described = Omit<CallGraph, "awaitedBy" | "cycle">;

function describeOne(
  future: AnyFuture,
  limit: number,
  depth: number,
): Described {
  const frame = taskStateOf(future);
  const { state } = futures.inspect(future);
  return {
    future,
    name: frame?.name ?? null,
    state: state as CallGraph["state"],
    doing: frame === null || frame.isOver ? state : progressOf(frame),
    waitsFor: frame === null ? [] : waitsOf(frame),
    callStack: frame === null ? [] : linesIn(frame, limit, depth),
    madeAt: creationSite(future)?.line ?? null,
  };
}

function linesIn(
  frame: TaskState,
  limit: number,
  depth: number,
): readonly string[] {
  const skipped = frame.isRunning ? Math.max(0, depth - 1) : 0;
  const lines = debugHooks.stackOf(frame).slice(skipped);
  if (limit < 0) return lines.slice(0, -limit);
  return lines.slice(Math.max(0, lines.length - limit));
}

function waitsOf(frame: TaskState): CallGraphWait[] {
  const seconds = waitingTime(frame);
  if (frame.phase === "foreign") {
    const what = "a foreign promise";
    return [{ what, seconds, future: null, tasks: [], holder: null }];
  }
  return awaitedBy(frame).filter(isPending).map((future) => {
    const holder = futures.source(future as AnyFuture)?.holder?.task ?? null;
    return {
      what: nameOf(future),
      seconds,
      future: future as AnyFuture,
      tasks: tasksBehind(future).map(({ task }) => task as Task<unknown>),
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

/** A graph as a flow chart: arrows lead from who waits to what is waited for. */
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

/** Text that has no meaning of its own in a label. */
function escaped(text: string): string {
  return text.replaceAll(/[#"&<>]/g, (sign) => `#${sign.charCodeAt(0)};`)
    .replaceAll("\n", " ");
}
