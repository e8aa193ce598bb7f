/**
 * One-line descriptions of futures and tasks for consoles and error messages.
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
import { debugHooks, type ExecutionContext } from "./_event_loop.ts";
import { creationSite } from "./_call_site.ts";

/** How many futures a line names before it only counts the rest. */
const LISTED_NAMES = 3;
/** How many links of a chain of waits it follows. */
const CHAIN_LENGTH = 5;
/** How many futures it visits. */
const MOST_FUTURES = 10_000;
/** How many characters of a value a line shows. */
const VALUE_LENGTH = 60;

/** Futures whose values are being formatted: a value may contain its own future. */
const showing = new Set<AnyFuture>();

/** A future on one line: `<Task pending name="a" waiting for <Lock locked> since 2.1 s>`. */
function inspectLine(future: AnyFuture): string {
  const { kind, state, isPending, source } = futures.inspect(future);
  const taskState = taskStateOf(future);
  const words = [kind, state];
  if (taskState !== null) {
    if (!taskState.isOver && taskState.totalRequests > 0) {
      words[1] = "cancelling";
    }
    words.push(`name=${JSON.stringify(taskState.name)}`);
    if (!taskState.isOver) words.push(progressOf(taskState));
  } else if (isPending && source !== null) {
    words.push(`waiting for ${nameOf(future)}`);
  }
  if (state === "done") words.push(`result=${valueOf(future)}`);
  if (state === "failed") words.push(`error=${valueOf(future)}`);
  return `<${words.join(" ")}>`;
}

/** What a task is doing: "waiting for a timer due in 1.0 s since 2.1 s". */
export function progressOf(state: TaskState): string {
  const { phase } = state;
  if (phase === "new") return "not started yet";
  if (phase === "running") return "running";
  const what = waitedFor(state);
  if (what === null) return "about to resume";
  const seconds = waitingTime(state);
  return `waiting for ${what}${
    seconds === null ? "" : ` since ${span(seconds)}`
  }`;
}

/** How long a task has been waiting, in seconds; `null` if unknown. */
export function waitingTime(state: TaskState): number | null {
  const since = state.phase === "waiting"
    ? state.suspendedAt
    : state instanceof DebugTaskState
    ? state.externalSince
    : null;
  if (since === null) return null;
  return Math.max(0, Math.round(state.loop.time() * 1000) - since) / 1000;
}

/** What a task waits for; `null` if it is about to resume. */
export function waitedFor(scope: CancelScope): string | null {
  const isExternal = scope.awaits.length === 0 && !scope.isRunning &&
    scope.taskState.phase !== "new";
  if (isExternal && !scope.taskState.isOver) return "a foreign promise";
  const pending = awaitedBy(scope).filter(isPending);
  return pending.length === 0 ? null : namesOf(pending);
}

/** Like {@linkcode waitedFor}, but continued along a chain of tasks that wait for each other. */
export function waitChainOf(
  scope: CancelScope,
  seen: Set<CancelScope> = new Set(),
): string | null {
  const what = waitedFor(scope);
  const [task, ...others] = awaitedBy(scope).filter(isPending).flatMap(
    (future) => reachableTasks(future),
  );
  if (task === undefined || others.length > 0) return what;
  seen.add(scope);
  if (seen.has(task) || seen.size >= CHAIN_LENGTH) return what;
  const next = waitChainOf(task, seen);
  return next === null ? what : `${what}, which waits for ${next}`;
}

/** The pending tasks that a future depends on: the task itself, or those it waits for. */
export function reachableTasks(future: AnyFuture): TaskState[] {
  const states: TaskState[] = [];
  for (const it of reachableFutures(future)) {
    const state = taskStateOf(it);
    if (state !== null && !state.isOver) states.push(state);
  }
  return states;
}

/** A future and all futures that it depends on, down to tasks, each once. */
export function reachableFutures(future: AnyFuture): Set<AnyFuture> {
  const found = new Set([future]);
  for (const it of found) {
    if (taskStateOf(it) !== null) continue;
    for (const next of futures.source(it)?.awaits ?? []) {
      if (found.size >= MOST_FUTURES) return found;
      found.add(next);
    }
  }
  return found;
}

/** The futures that a task awaits. */
export function awaitedBy(scope: CancelScope): AnyFuture[] {
  return scope.awaits.flatMap((suspension) => suspension.source ?? []);
}

/** Names a future as the object of a wait: "the task a", "<Lock locked> held by the task b". */
export function nameOf(future: AnyFuture): string {
  const chain = new Set([future]);
  for (let it = future;;) {
    const [only, ...others] = targetsOf(it);
    if (only === undefined || others.length > 0 || chain.has(only)) {
      return ownNameOf(it);
    }
    chain.add(it = only);
  }
}

/** The pending futures that a future only forwards to, so that it needs no name itself. */
function targetsOf(future: AnyFuture): AnyFuture[] {
  if (taskStateOf(future) !== null) return [];
  const source = futures.source(future);
  if (!source?.awaits || source.describe) return [];
  return source.awaits.filter(isPending);
}

function ownNameOf(future: AnyFuture): string {
  const state = taskStateOf(future);
  if (state !== null) return `the task ${state.name}`;
  const source = futures.source(future);
  if (source?.describe) {
    return source.describe() + holderText(taskOfHolder(source.holder));
  }
  if (source?.awaits) return namesOf(targetsOf(future));
  const line = creationSite(future)?.line;
  return line ? `a future made at ${line}` : "a future";
}

/** A task and where it was created, as far as known: "task a (main), made at b (c.ts:1:2)". */
export function originOf(
  task: { getName(): string; getCoro(): Coroutine<unknown> | null },
): string {
  const coro = task.getCoro();
  const code = coro === null ? "" : coro.name || shortSource(coro);
  const line = creationSite(task)?.line;
  return `task ${task.getName()}${code && ` (${code})`}` +
    (line ? `, made at ${line}` : "");
}

/** The source of a short anonymous function: "() => fetchRow(7)"; `""` for a long one. */
function shortSource(fn: Coroutine<unknown>): string {
  const source = sourceOf.call(fn);
  return source.length > VALUE_LENGTH || source.includes("\n") ? "" : source;
}

export function isPending(future: AnyFuture): boolean {
  return futures.pending(future);
}

/** How deep names may be nested: a gather of gathers. */
const NESTING_LIMIT = 3;
let nesting = 0;

function namesOf(futures: readonly AnyFuture[]): string {
  if (nesting >= NESTING_LIMIT) {
    return futures.length === 1 ? "a future" : `${futures.length} futures`;
  }
  nesting++;
  try {
    return firstOf(futures, LISTED_NAMES, nameOf);
  } finally {
    nesting--;
  }
}

/** The task of a holder, done or not; `null` for code outside of tasks. */
export function taskOfHolder(
  holder: ExecutionContext | null | undefined,
): TaskState | null {
  return holder instanceof CancelScope ? holder.taskState : null;
}

function holderText(state: TaskState | null): string {
  if (state === null) return "";
  return ` held by the task ${state.name}${
    state.isOver ? ", which has ended" : ""
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
    return text.length > VALUE_LENGTH
      ? `${text.slice(0, VALUE_LENGTH)}...`
      : text;
  } catch {
    return "(cannot be shown)";
  } finally {
    showing.delete(future);
  }
}

debugHooks.inspect = (future) => inspectLine(future as AnyFuture);
