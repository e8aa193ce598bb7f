/**
 * A snapshot as text: the probable cause first, then the tasks, those in the
 * same place on one line with their number.
 *
 * @module
 */

import type {
  CancelSnapshot,
  FailureSnapshot,
  Snapshot,
  TaskSnapshot,
  ThreadSnapshot,
  WaitSnapshot,
} from "./_snapshot.ts";
import { firstOf, span } from "./_text.ts";

/** The largest number of lines of a report. */
const MOST_LINES = 200;
/** How many names, failures, threads and children are listed before the rest is counted. */
const NAMES = 4;
const ITEMS = 10;
/** How much of a stack is shown. */
const FRAMES = 8;
/** From so many tasks in one place on they pile up. */
const PILE = 100;
/** A cancelled task may take so long to end before it is worth a word, in seconds. */
const GRACE = 0.5;

/** Tasks in the same place. */
interface Group {
  tasks: TaskSnapshot[];
  shortest: number | null;
  longest: number | null;
}

/** Words before what is waited for. */
const PREFIXES: { [kind: string]: string } = {
  gather: "a gather of ",
  shield: "a shield of ",
  wait: "a wait() for ",
  waitFor: "a waitFor() of ",
  group: "a TaskGroup of ",
};

/**
 * Writes a snapshot as text: the probable cause first, then the tasks.
 *
 * @param snapshot What `snapshot()` gave.
 * @returns The lines.
 *
 * @example
 * ```ts
 * import { createTask, Event, formatSnapshot, run, sleep, snapshot } from "@asyncio/asyncio";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await run(async () => {
 *   const ready = new Event();
 *   createTask(() => ready.wait(), { name: "waiter" });
 *   await sleep(0);
 *   assertStringIncludes(formatSnapshot(snapshot()), '* Task "waiter" waiting');
 * });
 * ```
 */
export function formatSnapshot(snapshot: Snapshot): string {
  const groups = groupsOf(snapshot.tasks);
  const tail = [
    ...section("Threads:", snapshot.threads.map(threadLine)),
    ...section(
      "Child processes:",
      snapshot.children.map(({ name, pid, notes }) =>
        [`${name} (pid ${pid})`, ...notes].join(", ")
      ),
    ),
    ...failureLines(snapshot.failures),
    ...abandonedLines(snapshot),
    ...hints(snapshot),
  ];
  const head = [verdictOf(snapshot, groups), loopLine(snapshot)];
  const room = MOST_LINES - head.length - tail.length;
  return [...head, ...taskLines(groups, room), ...tail].join("\n");
}

function loopLine({ loop, tasks }: Snapshot): string {
  const parts = [
    `${loop.name} ${loop.state}`,
    count(tasks.length, "task"),
    count(loop.timers, "timer"),
    ...(loop.ready > 0 ? [`${loop.ready} ready`] : []),
    ...(loop.lag > 0.05 ? [`late by ${span(loop.lag)}`] : []),
    ...(loop.debug ? ["debug mode"] : []),
  ];
  return `<${parts.join(", ")}>`;
}

function groupsOf(tasks: readonly TaskSnapshot[]): Group[] {
  const groups = new Map<string, Group>();
  /** By what tasks do: those whose place is known stand for those where it is not. */
  const placed = new Map<string, Group>();
  for (const task of tasks) {
    if (task.stack.length === 0) continue;
    const key = keyOf(task);
    const group = groupOf(groups, `${key} ${task.stack.join(" ")}`);
    add(group, task);
    placed.set(key, group);
  }
  for (const task of tasks) {
    if (task.stack.length > 0) continue;
    const key = keyOf(task);
    add(placed.get(key) ?? groupOf(groups, key), task);
  }
  return [...groups.values()].sort((a, b) => a.tasks[0]!.id - b.tasks[0]!.id);
}

function groupOf(groups: Map<string, Group>, key: string): Group {
  let group = groups.get(key);
  if (group === undefined) {
    group = { tasks: [], shortest: null, longest: null };
    groups.set(key, group);
  }
  return group;
}

function add(group: Group, task: TaskSnapshot): void {
  group.tasks.push(task);
  if (task.seconds === null) return;
  group.shortest = Math.min(group.shortest ?? Infinity, task.seconds);
  group.longest = Math.max(group.longest ?? 0, task.seconds);
}

/** Tasks with equal keys do the same. */
function keyOf(task: TaskSnapshot): string {
  const { state, waits, requests, scopes, coro } = task;
  let key = `${state} ${requests > 0} ${scopes.length} ${coro}`;
  for (const { kind, object, what } of waits) {
    key += ` ${kind} ${object ?? (kind === "task" ? what : "")}`;
  }
  return key;
}

/** The lines of the groups, as many as there is room for. */
function taskLines(groups: readonly Group[], room: number): string[] {
  const lines: string[] = [];
  let left = groups.length;
  for (const group of groups) {
    const own = groupLines(group);
    if (lines.length + own.length + (left > 1 ? 1 : 0) > room) break;
    lines.push(...own);
    left--;
  }
  if (left === 0) return lines;
  const rest = groups.slice(groups.length - left);
  const tasks = rest.reduce((sum, { tasks }) => sum + tasks.length, 0);
  lines.push(`* and ${count(tasks, "task")} in ${count(left, "other place")}`);
  return lines;
}

function groupLines(group: Group): string[] {
  const [first] = group.tasks;
  return [
    `* ${subject(group)} ${doing(group)}`,
    ...first!.scopes.map((scope) => `    in ${scope}`),
    ...first!.waits.flatMap(({ notes }) => notes).map((note) => `    ${note}`),
    ...first!.stack.slice(0, FRAMES).map((frame) => `    at ${frame}`),
    ...(first!.madeAt === null ? [] : [`    made at ${first!.madeAt}`]),
  ];
}

function subject({ tasks }: Group): string {
  const cancelled = cancelledText(tasks[0]!);
  if (tasks.length === 1) {
    return `Task ${JSON.stringify(tasks[0]!.name)}${cancelled}`;
  }
  return `${tasks.length} tasks (${namesOf(tasks)})${cancelled}`;
}

function cancelledText({ cancelled }: TaskSnapshot): string {
  if (cancelled === null) return "";
  return ` (${requestText(cancelled)}, but not ended)`;
}

/** A request to cancel: "cancelled by SIGINT 2.0 s ago". */
function requestText({ from, seconds }: CancelSnapshot): string {
  return `cancelled${from === null ? "" : ` by ${from}`} ${span(seconds)} ago`;
}

function namesOf(tasks: readonly { name: string }[]): string {
  return firstOf(tasks, NAMES, ({ name }) => name);
}

function doing({ tasks: [task], shortest, longest }: Group): string {
  if (task!.state === "new") return "not started yet";
  if (task!.state === "running") return "running";
  if (task!.state === "ready") return "about to go on";
  const what = task!.waits.map(textOf).join(", ");
  return `waiting for ${what}${sinceText(shortest, longest)}`;
}

function textOf({ kind, what }: WaitSnapshot): string {
  return `${PREFIXES[kind] ?? ""}${what}`;
}

function sinceText(shortest: number | null, longest: number | null): string {
  if (shortest === null || longest === null) return "";
  const [from, to] = [span(shortest), span(longest)];
  return from === to ? ` since ${to}` : ` since ${from} to ${to}`;
}

function threadLine({ name, waits, seconds }: ThreadSnapshot): string {
  const since = seconds === null ? "" : ` since ${span(seconds)}`;
  return waits === null
    ? `${name} running${since}`
    : `${name} waiting ${waits}${since}`;
}

function failureLines(failures: readonly FailureSnapshot[]): string[] {
  return section(
    "Errors that nobody has looked at:",
    failures.map(({ message, error, stack, seconds }) => {
      const at = stack.length === 0 ? "" : `\n      at ${stack[0]}`;
      return `${message}: ${error}, ${span(seconds)} ago${at}`;
    }),
  );
}

function abandonedLines({ abandoned }: Snapshot): string[] {
  return section(
    "Promises that were abandoned and have not settled:",
    abandoned.map(({ seconds, place }) =>
      `since ${span(seconds)}${place === null ? "" : ` at ${place}`}`
    ),
  );
}

function hints({ tasks, loop }: Snapshot): string[] {
  const isBare = ({ state, stack }: TaskSnapshot) =>
    isSuspended(state) && stack.length === 0;
  if (loop.debug || !tasks.some(isBare)) return [];
  const hints = ["Debug mode would show the lines where they wait"];
  if (loop.debugUnreadable) {
    hints.push(
      "ASYNCIO_DEBUG cannot be read without --allow-env=ASYNCIO_DEBUG",
    );
  }
  return hints;
}

function isSuspended(state: TaskSnapshot["state"]): boolean {
  return state === "waiting" || state === "foreign";
}

function section(title: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const lines = items.slice(0, ITEMS)
    .flatMap((item) => `  ${item}`.split("\n"));
  const more = items.length - ITEMS;
  return [title, ...lines, ...(more > 0 ? [`  and ${more} more`] : [])];
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** The probable cause in one sentence. */
export function verdictOf(
  snapshot: Snapshot,
  groups: readonly Group[] = groupsOf(snapshot.tasks),
): string {
  const { tasks, failures } = snapshot;
  return circleVerdict(tasks) ?? interruptionVerdict(tasks) ??
    holderVerdict(tasks) ?? failureVerdict(failures) ??
    cancelledVerdict(tasks) ?? pileVerdict(groups) ?? leafVerdict(snapshot) ??
    "No task waits for anything that looks stuck";
}

/** Tasks that wait for one another. */
function circleVerdict(tasks: readonly TaskSnapshot[]): string | null {
  const circle = circleIn(tasks);
  if (circle === null) return null;
  const steps = firstOf(
    circle,
    NAMES,
    ({ task, wait }) => `${task.name} waits for ${textOf(wait)}`,
    "; ",
  );
  const advice = circle.some(({ wait }) => wait.kind === "lock")
    ? "; take locks in the same order everywhere"
    : "";
  return `These tasks wait for each other in a circle: ${steps}${advice}`;
}

/** A task in a circle, and the wait that leads to the next. */
interface Step {
  task: TaskSnapshot;
  wait: WaitSnapshot;
}

/** A circle of tasks; `null` if there is none. */
function circleIn(tasks: readonly TaskSnapshot[]): Step[] | null {
  // Tasks that wait for no other are most, and in no circle.
  const candidates = tasks.filter(hasEdges);
  const byId = new Map(candidates.map((task) => [task.id, task]));
  const finished = new Set<number>();
  for (const start of candidates) {
    const circle = finished.has(start.id)
      ? null
      : circleFrom(start, byId, finished);
    if (circle !== null) return circle;
  }
  return null;
}

function hasEdges({ waits }: TaskSnapshot): boolean {
  return waits.length === 1 &&
    (waits[0]!.tasks.length > 0 || waits[0]!.holders.length === 1);
}

function circleFrom(
  start: TaskSnapshot,
  byId: ReadonlyMap<number, TaskSnapshot>,
  finished: Set<number>,
): Step[] | null {
  const path = [{ task: start, edges: edgesOf(start), wait: start.waits[0] }];
  const onPath = new Map([[start.id, 0]]);
  while (path.length > 0) {
    const top = path[path.length - 1];
    const edge = top!.edges.next().value;
    if (edge === undefined) {
      path.pop();
      onPath.delete(top!.task.id);
      finished.add(top!.task.id);
      continue;
    }
    top!.wait = edge.wait;
    const at = onPath.get(edge.id);
    if (at !== undefined) return path.slice(at) as Step[];
    const task = byId.get(edge.id);
    if (task === undefined || finished.has(edge.id)) continue;
    onPath.set(task.id, path.length);
    path.push({ task, edges: edgesOf(task), wait: task.waits[0] });
  }
  return null;
}

/**
 * The tasks that one waits for. Of several holders of a semaphore each may
 * give up its permit, so that they make no circle.
 */
function* edgesOf(
  { waits }: TaskSnapshot,
): Generator<{ id: number; wait: WaitSnapshot }, undefined> {
  if (waits.length !== 1) return;
  const wait = waits[0]!;
  for (const id of wait.tasks) yield { id, wait };
  if (wait.holders.length === 1) yield { id: wait.holders[0]!.id, wait };
}

/** A request to cancel that cannot interrupt a promise from outside. */
function interruptionVerdict(tasks: readonly TaskSnapshot[]): string | null {
  const task = tasks.find(({ state, cancelled, scopes }) =>
    state === "foreign" && (isLate(cancelled) || scopes.length > 0)
  );
  if (task === undefined) return null;
  const place = task.waits[0]?.place ?? null;
  return `Task ${task.name} ${whyEnding(task)}, but sits in a foreign promise${
    place === null ? "" : ` at ${place}`
  }, which nothing can interrupt: hand it the signal, or await what cancellable() makes of it`;
}

function whyEnding({ scopes, cancelled }: TaskSnapshot): string {
  if (scopes.length > 0) return `has to end (${scopes.join(", ")})`;
  return `was ${requestText(cancelled!)}`;
}

function isLate(cancelled: TaskSnapshot["cancelled"]): boolean {
  return cancelled !== null && cancelled.seconds >= GRACE;
}

/** Something that a task had when it ended. */
function holderVerdict(tasks: readonly TaskSnapshot[]): string | null {
  for (const task of tasks) {
    for (const { what, holders } of task.waits) {
      const ended = holders.filter(({ ended }) => ended);
      if (ended.length === 0 || ended.length < holders.length) continue;
      const who = ended.length === 1 ? "has" : "have";
      return `${what.replace(/ held by .*/, "")} was never released: ${
        namesOf(ended)
      } ${who} ended without release(); ` +
        "`using` cannot forget it";
    }
  }
  return null;
}

/** Somebody has failed, and others may wait for what it would have done. */
function failureVerdict(failures: readonly FailureSnapshot[]): string | null {
  if (failures.length === 0) return null;
  const { message, error, stack } = failures[0]!;
  const at = stack.length === 0 ? "" : ` at ${stack[0]}`;
  const more = failures.length - 1;
  const others = more === 0 ? "" : `, and ${count(more, "other failure")}`;
  return `${message}: ${error}${at}${others}; what waits for it waits in vain`;
}

/** A task that has been given its CancelledError and goes on. */
function cancelledVerdict(tasks: readonly TaskSnapshot[]): string | null {
  const task = tasks.find(({ cancelled }) => isLate(cancelled));
  if (task === undefined) return null;
  const waits = task.waits.map(textOf).join(", ");
  const shielded = task.waits.some(({ kind }) => kind === "shield");
  const why = shielded
    ? "a shield keeps it from ending"
    : "it cleans up, or it caught the CancelledError and did not throw it on";
  return `Task ${task.name} was ${requestText(task.cancelled!)} and goes on${
    waits === "" ? "" : ` (waiting for ${waits})`
  }: ${why}`;
}

function pileVerdict(groups: readonly Group[]): string | null {
  const largest = groups.reduce<Group | null>(
    (most, group) =>
      most === null || group.tasks.length > most.tasks.length ? group : most,
    null,
  );
  if (largest === null || largest.tasks.length < PILE) return null;
  const [task] = largest.tasks;
  if (task!.waits[0]?.kind === "timer") return null;
  return `${largest.tasks.length} tasks are in one place, ${doing(largest)}${
    task!.madeAt === null ? "" : `, made at ${task!.madeAt}`
  }: they are made faster than they end`;
}

/** What has to happen for each kind of wait. */
const ADVICE: { [kind: string]: string } = {
  "condition": "nobody notifies it",
  "event": "nobody sets it",
  "queue.get": "nobody puts an item into it",
  "queue.put": "nobody takes an item out of it",
  "queue.join": "a taskDone() is missing",
  "lock": "nobody releases it",
  "semaphore": "nobody releases a permit",
  "barrier": "parties are missing",
  "future": "nobody sets its result",
  "foreign":
    "only what made the promise can end that; a timeout or cancellable() makes it interruptible",
};

/** The wait at the end of a chain of tasks that wait for one another. */
function leafVerdict({ tasks, loop }: Snapshot): string | null {
  const leaves = tasks.filter(({ waits }) =>
    waits.some(({ tasks }) => tasks.length === 0)
  );
  const leaf = leaves.find(({ waits }) => waits[0]!.kind !== "timer");
  if (leaf === undefined) return null;
  const wait = leaf.waits[0];
  const advice = ADVICE[wait!.kind];
  const place = wait!.place === null ? "" : ` at ${wait!.place}`;
  const timed = loop.timers > 0 ? " so far" : "";
  return `Task ${leaf.name} waits for ${textOf(wait!)}${place}${
    advice === undefined ? "" : `: ${advice}${timed}`
  }`;
}
