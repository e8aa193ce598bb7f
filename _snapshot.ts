/**
 * Snapshots: what a loop is doing, as plain data. All reports are based on them.
 *
 * A tool that attaches to a process finds its loops by a registered symbol; see
 * {@linkcode LOOPS}.
 *
 * @module
 */

import "./_event_loop.ts";
import {
  type ChildSnapshot,
  inventories,
  type ThreadSnapshot,
} from "./_inventory.ts";
import { DebugTaskState } from "./_debug_mode.ts";
import type { SuspendedAwait } from "./_cancel_scope.ts";
import type { WaitDetails } from "./_wait_source.ts";
import { type AnyFuture, futures } from "./_future.ts";
import { taskStateOf } from "./_task.ts";
import { tasksOf, type TaskState } from "./_task_state.ts";
import { findExternalWaits } from "./_external_waits.ts";
import { allInstances } from "./_heap.ts";
import { isEnvReadable, processId } from "./_host.ts";
import {
  type EventLoop,
  type ExecutionContext,
  internals as loops,
  livingLoops,
} from "./_event_loop.ts";
import { type CallSite, creationSite, framesOf } from "./_call_site.ts";
import {
  isPending,
  nameOf,
  reachableFutures,
  reachableTasks,
  taskOfHolder,
} from "./_inspect.ts";
import { titleOf } from "./_text.ts";
import { failuresOf } from "./_unhandled.ts";

export type { ChildSnapshot, ThreadSnapshot } from "./_inventory.ts";

/** What a loop is doing, as plain data that survives `JSON.stringify`. */
export interface Snapshot {
  /** The version of this format, incremented by breaking changes. */
  version: 1;
  /** The process id. */
  pid: number;
  /** The loop. */
  loop: LoopSnapshot;
  /** The tasks that are not done, oldest first. */
  tasks: TaskSnapshot[];
  /** Calls in threads. */
  threads: ThreadSnapshot[];
  /** Child processes. */
  children: ChildSnapshot[];
  /** Errors of futures and tasks that were never retrieved, and the last ones that were reported. */
  failures: FailureSnapshot[];
  /** Promises that `cancellable` has abandoned and that have not settled. */
  abandoned: AbandonedSnapshot[];
}

/** An event loop. */
export interface LoopSnapshot {
  /** The name of its class. */
  name: string;
  /** Whether a runner is running it. */
  state: "running" | "idle" | "closed";
  /** Whether debug mode is on. Without it, lines are known only in a `DeadlockError` and in reports of `run()` and `ps`. */
  debug: boolean;
  /** Set if `ASYNCIO_DEBUG` may not be read, so that it has no effect. */
  debugUnreadable?: true;
  /** The time on its clock, in seconds. */
  time: number;
  /** How late the first overdue timer is, in seconds. */
  lag: number;
  /** The number of callbacks and steps that are ready to run. */
  ready: number;
  /** The number of timers. */
  timers: number;
}

/** A task that is not done. */
export interface TaskSnapshot {
  /** A number that is unique in the program. */
  id: number;
  /** Its name. */
  name: string;
  /** The name of its coroutine function; `null` for an anonymous one. */
  coro: string | null;
  /** The id of the task that created it; `null` if none did. */
  parent: number | null;
  /** `ready` is about to resume; `foreign` awaits a promise from outside of this module. */
  state: "new" | "ready" | "running" | "waiting" | "foreign";
  /** The number of requests to cancel it that were not withdrawn. */
  requests: number;
  /** The last of these requests; `null` if there is none. */
  cancelled: CancelSnapshot | null;
  /** Its scopes that explain its state: `"timeout(1) expired 2.0 s ago"`. */
  scopes: string[];
  /** What it waits for: nothing, one thing, or several under a `Promise.all`. */
  waits: WaitSnapshot[];
  /**
   * How long it has been waiting, in seconds; `null` if unknown. For a promise
   * from outside of this module without debug mode: how long at most.
   */
  seconds: number | null;
  /** How long ago its code started, in seconds; `null` if it has not. */
  age: number | null;
  /** Where it waits, innermost call first. Known in debug mode and in reports of `run()` and `ps`, of about 200 tasks. */
  stack: string[];
  /** Where it was created. Known in debug mode, of the 200 newest tasks. */
  madeAt: string | null;
}

/** A request to cancel. */
export interface CancelSnapshot {
  /** How long ago it was made, in seconds. */
  seconds: number;
  /** The id of the task that made it; `null` for code outside of tasks. */
  by: number | null;
  /** Its cause, if known: `"SIGINT"`, or the line that called `cancel()`. */
  from: string | null;
  /** Whether the error was delivered to the code of the task. */
  delivered: boolean;
}

/** One thing that a task waits for. */
export interface WaitSnapshot {
  /**
   * What kind of wait it is: `task`, `gather`, `shield`, `wait`, `group`,
   * `timer`, `lock`, `semaphore`, `event`, `condition`, `barrier`,
   * `queue.get`, `queue.put`, `queue.join`, `read`, `process`, `thread`,
   * `future`, `foreign`, or `other`.
   */
  kind: string;
  /** What it is, in a few words. */
  what: string;
  /** A number that identifies the object waited for, shared by all waits for it; `null` for none. */
  object: number | null;
  /** The ids of the tasks that it depends on. */
  tasks: number[];
  /** The tasks that hold the object waited for. */
  holders: HolderSnapshot[];
  /** Where it is awaited; known when `stack` is. */
  place: string | null;
  /** Further details: `"never notified since 3.0 s"`. */
  notes: string[];
}

/** A task that holds what another one waits for. */
export interface HolderSnapshot {
  /** Its id. */
  id: number;
  /** Its name. */
  name: string;
  /** Whether it is done and so will never release the object. */
  ended: boolean;
}

/** An error that was never retrieved. */
export interface FailureSnapshot {
  /** What failed: `"Task exception was never retrieved: consumer"`. */
  message: string;
  /** The error on one line. */
  error: string;
  /** Where it was thrown, innermost call first. */
  stack: string[];
  /** The id of the task that failed; `null` for a plain future. */
  task: number | null;
  /** How long ago, in seconds. */
  seconds: number;
}

/** A promise that was abandoned. */
export interface AbandonedSnapshot {
  /** How long ago it was abandoned, in seconds. */
  seconds: number;
  /** Where it was awaited; known in debug mode. */
  place: string | null;
}

/** How many tasks of a gather or group, and how many holders, are listed. */
const MOST_LISTED = 1000;

/** How many stacks a snapshot reads: formatting one takes up to a millisecond. */
const MOST_STACKS = 200;

/** What a loop is doing. */
export function snapshotOf(loop: EventLoop): Snapshot {
  const { ready, timers, due } = loops.counts(loop);
  const time = loop.time();
  const snapshot: Snapshot = {
    version: 1,
    pid: processId(),
    loop: {
      name: loop.constructor.name,
      state: loop.isClosed() ? "closed" : loop.isRunning() ? "running" : "idle",
      debug: loop.getDebug(),
      ...(isEnvReadable("ASYNCIO_DEBUG") ? {} : { debugUnreadable: true }),
      time,
      lag: Math.max(0, time - due),
      ready,
      timers,
    },
    tasks: new TaskReader(loop).tasks(),
    threads: [],
    children: [],
    failures: failuresIn(loop),
    abandoned: [],
  };
  for (const list of inventories.get(loop)) list(snapshot);
  return snapshot;
}

/** How many tasks that wait for the same thing are located, and how many in all. */
const MOST_LOCATED_ALIKE = 20;
const MOST_LOCATED = 200;

/** Callbacks that receive where a task waits, by task id. */
type SiteCallbacks = Map<number, (place: CallSite) => void>;

/**
 * Adds to a snapshot where its tasks wait, as this is not recorded without debug
 * mode. The awaits of this module are asked. For promises from outside of it the
 * debugger lists all promises, unless they are given.
 *
 * @param snapshot A snapshot that was just taken.
 * @param loop Its loop.
 * @param promises All promises; an empty list for callers that cannot wait for the debugger.
 * @returns The snapshot, after some microtasks at least.
 */
export async function locateWaits(
  snapshot: Snapshot,
  loop: EventLoop,
  promises?: readonly object[],
): Promise<Snapshot> {
  const wanted = unlocatedTasks(snapshot.tasks);
  const external: SiteCallbacks = new Map();
  let state = tasksOf(loop).first;
  for (; state !== null && wanted.size > 0; state = state.next) {
    const onFound = wanted.get(state.id);
    if (onFound === undefined) continue;
    wanted.delete(state.id);
    const { awaits } = state;
    for (const suspension of awaits) suspension.locate(onFound);
    if (awaits.length > 0) continue;
    state.linkBody();
    external.set(state.id, onFound);
  }
  await null;
  if (external.size === 0) return snapshot;
  const all = promises ?? await allInstances("Promise");
  if (all !== null) await findExternalWaits(all, external);
  return snapshot;
}

/**
 * The suspended tasks without a known call site. Of many equal ones only some,
 * but all that await a promise from outside of this module, as not all of these
 * will be found.
 */
function unlocatedTasks(tasks: readonly TaskSnapshot[]): SiteCallbacks {
  const alike = new Map<string, number>();
  const wanted: SiteCallbacks = new Map();
  let total = 0;
  for (const task of tasks) {
    if (!SUSPENDED.has(task.state) || task.stack.length > 0) continue;
    const { kind, object } = task.waits[0]!;
    const key = `${task.coro} ${kind} ${object}`;
    const known = alike.get(key) ?? 0;
    const isExternal = task.state === "foreign";
    if (!isExternal && (known >= MOST_LOCATED_ALIKE || total >= MOST_LOCATED)) {
      continue;
    }
    alike.set(key, known + 1);
    if (!isExternal) total++;
    wanted.set(task.id, (place) => setSite(task, place));
  }
  return wanted;
}

const SUSPENDED: ReadonlySet<string> = new Set(["waiting", "foreign"]);

function setSite(task: TaskSnapshot, { frames, line }: CallSite): void {
  if (task.stack.length > 0) return;
  task.stack = [...frames];
  task.waits = task.waits.map((wait) => ({ ...wait, place: line }));
}

/** Reads the tasks of a loop. An object that many of them wait for is described once. */
class TaskReader {
  readonly #loop: EventLoop;
  readonly #now: number;
  readonly #shared = new Map<object, WaitSnapshot>();
  /** How many stacks may still be read. */
  #stacksLeft = MOST_STACKS;

  constructor(loop: EventLoop) {
    this.#loop = loop;
    this.#now = Math.round(loop.time() * 1000);
  }

  tasks(): TaskSnapshot[] {
    const tasks: TaskSnapshot[] = [];
    let state = tasksOf(this.#loop).first;
    for (; state !== null; state = state.next) tasks.push(this.#read(state));
    return tasks.reverse();
  }

  #read(state: TaskState): TaskSnapshot {
    const { awaits } = state;
    const isShown = state instanceof DebugTaskState && this.#stacksLeft-- > 0;
    const watched = isShown ? state : null;
    const waits = this.#waitsOf(watched, awaits);
    const phase = state.phaseIn(awaits);
    const isReady = phase === "waiting" && waits.length === 0;
    const since = phase === "foreign"
      ? watched?.externalSince ?? state.suspendedAt
      : state.suspendedAt;
    const place = watched?.site ?? null;
    return {
      id: state.id,
      name: state.name,
      coro: coroOf(state),
      parent: state.parent || null,
      state: isReady ? "ready" : phase as TaskSnapshot["state"],
      requests: state.totalRequests,
      cancelled: state.totalRequests > 0 ? this.#cancelOf(state) : null,
      scopes: state.explanations,
      waits: phase === "foreign" ? [externalWait(place?.line ?? null)] : waits,
      seconds: since === null ? null : this.#secondsSince(since),
      age: state.startedAt === null
        ? null
        : this.#secondsSince(state.startedAt),
      stack: place === null ? [] : place.frames.slice(),
      madeAt: watched === null
        ? null
        : creationSite(watched.watchedTask)?.line ?? null,
    };
  }

  #waitsOf(
    watched: DebugTaskState | null,
    awaits: readonly SuspendedAwait[],
  ): WaitSnapshot[] {
    const waits: WaitSnapshot[] = [];
    for (const suspension of awaits) {
      const { source } = suspension;
      if (source === null || !isPending(source)) continue;
      const wait = this.#wait(source);
      const place = watched?.siteOf(suspension)?.line ?? null;
      waits.push(place === null ? wait : { ...wait, place });
    }
    return waits;
  }

  #wait(source: AnyFuture): WaitSnapshot {
    const details = detailsOf(source);
    if (details === null || details === source as unknown) {
      return this.#describe(source, details);
    }
    let wait = this.#shared.get(details);
    if (wait === undefined) {
      this.#shared.set(details, wait = this.#describe(source, details));
    }
    return wait;
  }

  #describe(source: AnyFuture, details: WaitDetails | null): WaitSnapshot {
    const isPlain = details !== null && details.awaits === undefined;
    return {
      kind: kindOf(source, details),
      what: nameOf(source),
      object: details === null || details === source as unknown
        ? null
        : objectIdOf(details.object ?? details),
      tasks: isPlain
        ? []
        : reachableTasks(source).slice(0, MOST_LISTED).map(({ id }) => id),
      holders: details === null ? [] : holdersOf(details),
      place: null,
      notes: details?.notes?.() ?? [],
    };
  }

  #cancelOf(state: TaskState): CancelSnapshot {
    return {
      seconds: this.#secondsSince(state.cancelRequestedAt ?? this.#now),
      by: state.cancelledBy || null,
      from: state.cancelledFrom,
      delivered: !state.hasPendingCancel,
    };
  }

  #secondsSince(milliseconds: number): number {
    return Math.max(0, this.#now - milliseconds) / 1000;
  }
}

/** The details of what a future waits for, through futures that only forward to another one. */
function detailsOf(source: AnyFuture): WaitDetails | null {
  if (taskStateOf(source) !== null) return null;
  const details = futures.source(source);
  if (details === null || details.kind !== undefined || details.describe) {
    return details;
  }
  const chain = [...reachableFutures(source)];
  if (chain.length !== 2) return details;
  return detailsOf(chain[1]!);
}

function kindOf(source: AnyFuture, details: WaitDetails | null): string {
  if (details?.kind !== undefined) return details.kind;
  if (reachableTasks(source).length === 1) return "task";
  return details === null ? "future" : "other";
}

function holdersOf(details: WaitDetails): HolderSnapshot[] {
  const holders = new Set<ExecutionContext>(details.holders?.() ?? []);
  if (details.holder) holders.add(details.holder);
  const found = new Map<number, HolderSnapshot>();
  for (const holder of holders) {
    const state = taskOfHolder(holder);
    if (state === null) continue;
    const { id, name, isOver } = state;
    found.set(id, { id, name, ended: isOver });
    if (found.size >= MOST_LISTED) break;
  }
  return [...found.values()];
}

function externalWait(place: string | null): WaitSnapshot {
  return {
    kind: "foreign",
    what: "a foreign promise",
    object: null,
    tasks: [],
    holders: [],
    place,
    notes: [],
  };
}

function coroOf(state: TaskState): string | null {
  const task = state.task as { getCoro?(): { name?: unknown } } | null;
  const name = task?.getCoro?.().name;
  return typeof name === "string" && name !== "" ? name : null;
}

function failuresIn(loop: EventLoop): FailureSnapshot[] {
  const now = Math.round(loop.time() * 1000);
  return failuresOf(loop).map(({ message, exception, owner, since }) => ({
    message,
    error: titleOf(exception),
    stack: framesOf(exception),
    task: owner === null ? null : taskStateOf(owner)?.id ?? null,
    seconds: Math.max(0, now - since) / 1000,
  }));
}

const objectIds = new WeakMap<object, number>();
let lastObjectId = 0;

function objectIdOf(object: object): number {
  let id = objectIds.get(object);
  if (id === undefined) objectIds.set(object, id = ++lastObjectId);
  return id;
}

/**
 * The key of a global function for tools that attach to a process. It returns
 * the snapshots of all loops that are not closed, including those of other
 * copies of this module, as the JSON text of an array. A tool that can wait
 * passes all promises of the thread, or an empty list, and gets a promise of the
 * text, which then contains the lines where the tasks wait.
 */
export const LOOPS: unique symbol = Symbol.for("asyncio.loops");

interface Registry {
  [LOOPS]?: (promises?: readonly object[]) => string | Promise<string>;
}

const otherCopies = (globalThis as Registry)[LOOPS];

Object.defineProperty(globalThis, LOOPS, {
  configurable: true,
  enumerable: false,
  writable: true,
  value: (promises?: readonly object[]): string | Promise<string> => {
    const text = otherCopies?.(promises) ?? "[]";
    const loops = [...livingLoops()];
    const snapshots = loops.map(snapshotOf);
    if (promises === undefined) return appendJson(text as string, snapshots);
    const all = snapshots.map((it, at) =>
      locateWaits(it, loops[at]!, promises)
    );
    return Promise.all([text, ...all])
      .then(([text]) => appendJson(text, snapshots));
  },
});

/** Appends snapshots to the JSON text of an array. */
function appendJson(text: string, snapshots: readonly Snapshot[]): string {
  return JSON.stringify([...JSON.parse(text), ...snapshots]);
}
