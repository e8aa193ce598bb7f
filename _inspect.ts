/**
 * What consoles and error messages say of futures and tasks, on one line.
 *
 * @module
 */

import { DebugTaskState } from "./_debug_mode.ts";
import { CancelScope } from "./_cancel_scope.ts";
import { type AnyFuture, futures } from "./_future.ts";
import { taskStateOf } from "./_task.ts";
import { firstOf, span } from "./_text.ts";
import type { TaskState } from "./_task_state.ts";
import { inspect, sourceOf } from "./_host.ts";
import type { Coroutine } from "./_options.ts";
import { debugHooks, type ExecutionContext } from "./_scheduler.ts";
import { creationSite } from "./_call_site.ts";

/** How many things a line names before it counts the rest. */
const NAMES = 3;
/** How many links of a chain it follows. */
const LINKS = 5;
/** How many futures it looks at. */
const FUTURES = 10_000;
/** How much of a value a line shows. */
const SHOWN = 60;

/** Futures whose values are being shown: one may hold itself. */
const showing = new Set<AnyFuture>();

/** A future on one line: `<Task pending name="a" waiting for <Lock locked> since 2.1 s>`. */
export function inspectLine(future: AnyFuture): string {
  const { kind, state, isPending, source } = futures.inspect(future);
  const frame = taskStateOf(future);
  const words = [kind, state];
  if (frame !== null) {
    if (!frame.isOver && frame.totalRequests > 0) words[1] = "cancelling";
    words.push(`name=${JSON.stringify(frame.name)}`);
    if (!frame.isOver) words.push(progressOf(frame));
  } else if (isPending && source !== null) {
    words.push(`waiting for ${nameOf(future)}`);
  }
  if (state === "done") words.push(`result=${valueOf(future)}`);
  if (state === "failed") words.push(`error=${valueOf(future)}`);
  return `<${words.join(" ")}>`;
}

/** What a task is doing: "waiting for a timer due in 1.0 s since 2.1 s". */
export function progressOf(frame: TaskState): string {
  const { phase } = frame;
  if (phase === "new") return "not started yet";
  if (phase === "running") return "running";
  const what = waitedFor(frame);
  if (what === null) return "about to go on";
  const seconds = waitingTime(frame);
  return `waiting for ${what}${
    seconds === null ? "" : ` since ${span(seconds)}`
  }`;
}

/** How long a task has been waiting, in seconds, as far as known. */
export function waitingTime(frame: TaskState): number | null {
  const since = frame.phase === "waiting"
    ? frame.suspendedAt
    : frame instanceof DebugTaskState
    ? frame.foreignSince
    : null;
  if (since === null) return null;
  return Math.max(0, Math.round(frame.loop.time() * 1000) - since) / 1000;
}

/** What a task is suspended in; `null` if it is about to go on. */
export function waitedFor(frame: CancelScope): string | null {
  const isForeign = frame.awaits.length === 0 && !frame.isRunning &&
    frame.taskState.phase !== "new";
  if (isForeign && !frame.taskState.isOver) return "a foreign promise";
  const pending = awaitedBy(frame).filter(isPending);
  return pending.length === 0 ? null : namesOf(pending);
}

/** As {@linkcode waitedFor}, on along a chain of tasks that wait for one another. */
export function chainOf(
  frame: CancelScope,
  seen: Set<CancelScope> = new Set(),
): string | null {
  const what = waitedFor(frame);
  const [task, ...others] = awaitedBy(frame).filter(isPending).flatMap(
    (future) => tasksBehind(future),
  );
  if (task === undefined || others.length > 0) return what;
  seen.add(frame);
  if (seen.has(task) || seen.size >= LINKS) return what;
  const next = chainOf(task, seen);
  return next === null ? what : `${what}, which waits for ${next}`;
}

/** The pending tasks that a future stands for: itself, or those it waits for. */
export function tasksBehind(future: AnyFuture): TaskState[] {
  const frames: TaskState[] = [];
  for (const it of futuresBehind(future)) {
    const frame = taskStateOf(it);
    if (frame !== null && !frame.isOver) frames.push(frame);
  }
  return frames;
}

/** A future, and all that it stands for down to tasks, each once: chains and graphs of any size. */
export function futuresBehind(future: AnyFuture): Set<AnyFuture> {
  const found = new Set([future]);
  for (const it of found) {
    if (taskStateOf(it) !== null) continue;
    for (const next of futures.source(it)?.awaits ?? []) {
      if (found.size >= FUTURES) return found;
      found.add(next);
    }
  }
  return found;
}

/** The futures that a task is suspended in. */
export function awaitedBy(frame: CancelScope): AnyFuture[] {
  return frame.awaits.flatMap((reaction) => reaction.source ?? []);
}

/** A future as what is waited for: "the task a", "<Lock locked> held by the task b". */
export function nameOf(future: AnyFuture): string {
  const chain = new Set([future]);
  for (let it = future;;) {
    const [only, ...others] = linksOf(it);
    if (only === undefined || others.length > 0 || chain.has(only)) {
      return nameOfLink(it);
    }
    chain.add(it = only);
  }
}

/** What a future stands for and nothing more, so that it needs no name of its own. */
function linksOf(future: AnyFuture): AnyFuture[] {
  if (taskStateOf(future) !== null) return [];
  const behind = futures.source(future);
  if (!behind?.awaits || behind.describe) return [];
  return behind.awaits.filter(isPending);
}

function nameOfLink(future: AnyFuture): string {
  const frame = taskStateOf(future);
  if (frame !== null) return `the task ${frame.name}`;
  const behind = futures.source(future);
  if (behind?.describe) {
    return behind.describe() + holderText(taskOfHolder(behind.holder));
  }
  if (behind?.awaits) return namesOf(linksOf(future));
  const line = creationSite(future)?.line;
  return line ? `a future made at ${line}` : "a future";
}

/** A task and where it comes from, as far as known: "task a (main), made at b (c.ts:1:2)". */
export function originOf(
  task: { getName(): string; getCoro(): Coroutine<unknown> | null },
): string {
  const coro = task.getCoro();
  const code = coro === null ? "" : coro.name || shortSource(coro);
  const line = creationSite(task)?.line;
  return `task ${task.getName()}${code && ` (${code})`}` +
    (line ? `, made at ${line}` : "");
}

/** The source of a function that is short and nameless: "() => fetchRow(7)". */
function shortSource(fn: Coroutine<unknown>): string {
  const source = sourceOf.call(fn);
  return source.length > SHOWN || source.includes("\n") ? "" : source;
}

export function isPending(future: AnyFuture): boolean {
  return futures.pending(future);
}

/** How deep names may stand within names: a gather of gathers. */
const NESTED = 3;
let nesting = 0;

function namesOf(futures: readonly AnyFuture[]): string {
  if (nesting >= NESTED) {
    return futures.length === 1 ? "a future" : `${futures.length} futures`;
  }
  nesting++;
  try {
    return firstOf(futures, NAMES, nameOf);
  } finally {
    nesting--;
  }
}

/** The task whose code has something, done or not; `null` for code outside of tasks. */
export function taskOfHolder(
  holder: ExecutionContext | null | undefined,
): TaskState | null {
  return holder instanceof CancelScope ? holder.taskState : null;
}

function holderText(frame: TaskState | null): string {
  if (frame === null) return "";
  return ` held by the task ${frame.name}${
    frame.isOver ? ", which has ended" : ""
  }`;
}

function valueOf(future: AnyFuture): string {
  const { value } = futures.inspect(future);
  if (showing.has(future)) return "...";
  showing.add(future);
  try {
    if (value instanceof Error) return String(value);
    const text = inspect(value, { depth: 1, breakLength: Infinity })
      .replaceAll(/\s*\n\s*/g, " ");
    return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
  } catch {
    return "(cannot be shown)";
  } finally {
    showing.delete(future);
  }
}

debugHooks.inspect = (future) => inspectLine(future as AnyFuture);
