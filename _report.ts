/**
 * Formats snapshots as text: the probable cause first, then the tasks. Tasks in
 * the same place share an entry.
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

/** Maximum number of lines in a report. */
const MOST_LINES = 200;
/** How many names, and how many failures, threads or children, are listed before the rest is only counted. */
const LISTED_NAMES = 4;
const LISTED_ITEMS = 10;
/** How many frames of a stack are shown. */
const STACK_DEPTH = 8;
/** This many tasks in one place count as a pile-up. */
const PILE_UP_SIZE = 100;
/** How long a cancelled task may take to end before it is reported, in seconds. */
const CANCEL_GRACE = 0.5;

/** Tasks in the same place. */
interface Group {
  tasks: TaskSnapshot[];
  shortest: number | null;
  longest: number | null;
}

/** Prefixes of what is waited for, by kind of wait. */
const PREFIXES: { [kind: string]: string } = {
  gather: "a gather of ",
  shield: "a shield of ",
  wait: "a wait() for ",
  waitFor: "a waitFor() of ",
  group: "a TaskGroup of ",
};

/**
 * Formats a snapshot as text: the probable cause first, then the tasks.
 *
 * @param snapshot A snapshot.
 * @returns The text, of several lines.
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
        [`${name} (pid ${pid})`, ...notes].join("\n      ")
      ),
    ),
    ...failureLines(snapshot.failures),
    ...abandonedLines(snapshot),
    ...hints(snapshot, groups),
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
  const keyOf = taskKeys();
  /** The groups with a known stack. Tasks without one join the group that does the same. */
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

/** Returns a function that computes the key of a task; tasks with equal keys do the same. The keys of shared waits are cached. */
function taskKeys(): (task: TaskSnapshot) => string {
  const known = new Map<WaitSnapshot, string>();
  const waitKey = (wait: WaitSnapshot): string => {
    let key = known.get(wait);
    if (key === undefined) {
      const { kind, object, what } = wait;
      key = ` ${kind} ${object ?? (kind === "task" ? what : "")}`;
      if (object !== null) known.set(wait, key);
    }
    return key;
  };
  return ({ state, waits, requests, scopes, coro }) => {
    let key = `${state} ${requests > 0} ${scopes.length} ${coro}`;
    for (const wait of waits) key += waitKey(wait);
    return key;
  };
}

/** The lines of as many groups as there is room for. */
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
    ...first!.stack.slice(0, STACK_DEPTH).map((frame) => `    at ${frame}`),
    ...(first!.madeAt === null ? [] : [`    made at ${first!.madeAt}`]),
    ...first!.waits.flatMap(notesOn).map((note) => `    ${note}`),
  ];
}

/** The lines that explain a wait. */
function notesOn({ kind, notes, holders, what }: WaitSnapshot): string[] {
  if (holders.length === 0 || what.includes(" held by ")) return notes;
  const who = firstOf(
    holders,
    LISTED_NAMES,
    ({ name, ended }) => `${name}${ended ? ", which has ended" : ""}`,
    "; ",
  );
  const verb = kind === "queue.join" ? "taken by" : "held by";
  return [...notes, `${verb} ${who}`];
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
  return firstOf(tasks, LISTED_NAMES, ({ name }) => name);
}

function doing({ tasks: [task], shortest, longest }: Group): string {
  if (task!.state === "new") return "not started yet";
  if (task!.state === "running") return "running";
  if (task!.state === "ready") return "about to resume";
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

function threadLine({ name, waits, seconds, place }: ThreadSnapshot): string {
  const since = seconds === null ? "" : ` since ${span(seconds)}`;
  const doing = waits === null ? "running" : `waiting ${waits}`;
  const at = place === null ? "" : `\n      called at ${place}`;
  return `${name} ${doing}${since}${at}`;
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

function hints({ loop }: Snapshot, groups: readonly Group[]): string[] {
  const isBare = ({ tasks: [task] }: Group) =>
    isSuspended(task!.state) && task!.stack.length === 0;
  if (loop.debug || !groups.some(isBare)) return [];
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
  const lines = items.slice(0, LISTED_ITEMS)
    .flatMap((item) => `  ${item}`.split("\n"));
  const more = items.length - LISTED_ITEMS;
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
  return cycleVerdict(tasks) ?? interruptionVerdict(tasks) ??
    holderVerdict(tasks) ?? failureVerdict(failures) ??
    cancelledVerdict(tasks) ?? pileUpVerdict(groups) ?? leafVerdict(snapshot) ??
    "No task waits for anything that looks stuck";
}

/** Tasks that wait for each other. */
function cycleVerdict(tasks: readonly TaskSnapshot[]): string | null {
  const cycle = findCycle(tasks);
  if (cycle === null) return null;
  const steps = firstOf(
    cycle,
    LISTED_NAMES,
    ({ task, wait }) => `${task.name} waits for ${textOf(wait)}`,
    "; ",
  );
  const advice = cycle.some(({ wait }) => wait.kind === "lock")
    ? "; take locks in the same order everywhere"
    : "";
  return `These tasks wait for each other in a circle: ${steps}${advice}`;
}

/** A task in a cycle, and its wait for the next task. */
interface Step {
  task: TaskSnapshot;
  wait: WaitSnapshot;
}

/** A cycle of tasks that wait for each other; `null` if there is none. */
function findCycle(tasks: readonly TaskSnapshot[]): Step[] | null {
  // Most tasks wait for no other task and so are in no cycle.
  const candidates = tasks.filter(hasEdges);
  const byId = new Map(candidates.map((task) => [task.id, task]));
  const finished = new Set<number>();
  /** Waits that lead into no cycle. Many tasks may share one. */
  const explored = new Set<WaitSnapshot>();
  for (const start of candidates) {
    const wait = start.waits[0]!;
    if (finished.has(start.id) || explored.has(wait)) continue;
    const cycle = cycleFrom(start, byId, finished);
    if (cycle !== null) return cycle;
    explored.add(wait);
  }
  return null;
}

function hasEdges({ waits }: TaskSnapshot): boolean {
  return waits.length === 1 &&
    (waits[0]!.tasks.length > 0 || waits[0]!.holders.length === 1);
}

function cycleFrom(
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
 * The tasks that a task waits for. If a semaphore has several holders, any of
 * them may release it, so they form no cycle.
 */
function* edgesOf(
  { waits }: TaskSnapshot,
): Generator<{ id: number; wait: WaitSnapshot }, undefined> {
  if (waits.length !== 1) return;
  const wait = waits[0]!;
  for (const id of wait.tasks) yield { id, wait };
  if (wait.holders.length === 1) yield { id: wait.holders[0]!.id, wait };
}

/** A cancellation that cannot interrupt the wait for a promise from outside of this module. */
function interruptionVerdict(tasks: readonly TaskSnapshot[]): string | null {
  const task = tasks.find(({ state, cancelled, scopes }) =>
    state === "foreign" && (isLate(cancelled) || scopes.length > 0)
  );
  if (task === undefined) return null;
  const place = task.waits[0]?.place ?? null;
  return `Task ${task.name} ${endReason(task)}, but sits in a foreign promise${
    place === null ? "" : ` at ${place}`
  }, which nothing can interrupt: hand it the signal, or await what cancellable() makes of it`;
}

function endReason({ scopes, cancelled }: TaskSnapshot): string {
  if (scopes.length > 0) return `has to end (${scopes.join(", ")})`;
  return `was ${requestText(cancelled!)}`;
}

function isLate(cancelled: TaskSnapshot["cancelled"]): boolean {
  return cancelled !== null && cancelled.seconds >= CANCEL_GRACE;
}

/** Something that a task still held when it ended. */
function holderVerdict(tasks: readonly TaskSnapshot[]): string | null {
  for (const task of tasks) {
    for (const { kind, what, holders } of task.waits) {
      const ended = holders.filter(({ ended }) => ended);
      if (ended.length === 0 || ended.length < holders.length) continue;
      const who = ended.length === 1 ? "has" : "have";
      if (kind === "queue.join") {
        return `Task ${task.name} waits for ${what}: ${
          namesOf(ended)
        } took items and ${who} ended without taskDone()`;
      }
      return `${what.replace(/ held by .*/, "")} was never released: ${
        namesOf(ended)
      } ${who} ended without release(); ` +
        "`using` cannot forget it";
    }
  }
  return null;
}

/** Something has failed, and other tasks may wait for it. */
function failureVerdict(failures: readonly FailureSnapshot[]): string | null {
  if (failures.length === 0) return null;
  const { message, error, stack } = failures[0]!;
  const at = stack.length === 0 ? "" : ` at ${stack[0]}`;
  const more = failures.length - 1;
  const others = more === 0 ? "" : `, and ${count(more, "other failure")}`;
  return `${message}: ${error}${at}${others}; what waits for it waits in vain`;
}

/** A task that was cancelled and continues. */
function cancelledVerdict(tasks: readonly TaskSnapshot[]): string | null {
  const late = tasks.filter(({ cancelled }) => isLate(cancelled));
  const ids = new Set(late.map(({ id }) => id));
  const waitsForLate = ({ waits }: TaskSnapshot) =>
    waits.some(({ tasks }) => tasks.some((id) => ids.has(id)));
  const task = late.find((it) => !waitsForLate(it)) ?? late[0];
  if (task === undefined) return null;
  const waits = task.waits.map(placedTextOf).join(", ");
  const shield = task.waits.find(({ kind }) => kind === "shield");
  const why = shield === undefined
    ? "it cleans up, or it caught the CancelledError and did not throw it on"
    : `a shield keeps it from ending${shieldedText(tasks, shield)}`;
  const group = tasks.flatMap(({ scopes }) => scopes)
    .find((scope) => scope.includes(" failing with "));
  return `Task ${task.name} was ${requestText(task.cancelled!)} and continues${
    waits === "" ? "" : ` (waiting for ${waits})`
  }: ${why}${group === undefined ? "" : `; it holds up a ${group}`}`;
}

/** What the task behind a shield waits for. */
function shieldedText(
  tasks: readonly TaskSnapshot[],
  shield: WaitSnapshot,
): string {
  const task = tasks.find(({ id }) => shield.tasks.includes(id));
  const [wait] = task?.waits ?? [];
  if (wait === undefined) return "";
  const advice = ADVICE[wait.kind];
  return `; ${task!.name} waits for ${placedTextOf(wait)}${
    advice === undefined ? "" : `: ${advice}`
  }`;
}

function placedTextOf(wait: WaitSnapshot): string {
  return `${textOf(wait)}${wait.place === null ? "" : ` at ${wait.place}`}`;
}

/** Many tasks in the same place and more every second, unless all started at once. */
function pileUpVerdict(groups: readonly Group[]): string | null {
  const largest = groups.reduce<Group | null>(
    (most, group) =>
      most === null || group.tasks.length > most.tasks.length ? group : most,
    null,
  );
  if (largest === null || largest.tasks.length < PILE_UP_SIZE) return null;
  const [task] = largest.tasks;
  if (task!.waits[0]?.kind === "timer") return null;
  const growth = largest.tasks.filter(({ age }) => (age ?? 0) <= 1).length;
  if (growth === 0 || growth === largest.tasks.length) return null;
  const [at = null] = [task!.madeAt, task!.stack[0]].filter(isKnown);
  const made = task!.madeAt === null ? "at" : "made at";
  return `${largest.tasks.length} tasks are in one place, ${doing(largest)}${
    at === null ? "" : `, ${made} ${at}`
  }, ${growth} more in the last second: they are made faster than they end`;
}

function isKnown(site: string | null | undefined): site is string {
  return typeof site === "string";
}

/** Why a wait may not end, by kind of wait. */
const ADVICE: { [kind: string]: string } = {
  "condition": "nobody notifies it",
  "event": "nobody sets it",
  "queue.get": "nobody puts an item into it",
  "queue.put": "nobody takes an item out of it",
  "queue.join": "a taskDone() is missing",
  "lock": "nobody releases it",
  "semaphore": "nobody releases a permit",
  "barrier": "parties are missing",
  "read": "the other side does not send it",
  "thread": "the function has not ended; a thread cannot be interrupted",
  "future": "nobody sets its result",
  "foreign":
    "only what made the promise can end that; a timeout or cancellable() makes it interruptible",
};

/** Kinds of waits of tasks that are probably just idle. */
const IDLE: ReadonlySet<string> = new Set(["timer", "queue.get"]);

/** The wait at the end of a chain of tasks that wait for each other. */
function leafVerdict({ tasks, loop }: Snapshot): string | null {
  const leaves = tasks.filter(({ waits }) =>
    waits.some(({ tasks }) => tasks.length === 0)
  );
  const leaf = leaves.find(({ waits }) => waits[0]!.kind === "queue.join") ??
    leaves.find(({ waits }) => !IDLE.has(waits[0]!.kind)) ??
    leaves.find(({ waits }) => waits[0]!.kind !== "timer");
  if (leaf === undefined) return null;
  const wait = leaf.waits[0];
  const advice = ADVICE[wait!.kind];
  const timed = loop.timers > 0 ? " so far" : "";
  return `Task ${leaf.name} waits for ${placedTextOf(wait!)}${
    advice === undefined ? "" : `: ${advice}${timed}`
  }${explanation(wait!)}`;
}

/** The last action on what is waited for, or its holders, as far as known. */
function explanation(wait: WaitSnapshot): string {
  const notes = notesOn(wait);
  const note = notes.find((it) => it.startsWith("last ")) ??
    (wait.holders.length > 0 ? notes.at(-1) : undefined);
  return note === undefined ? "" : `; ${note}`;
}
