/**
 * What a loop is doing as plain data, of which every report is made.
 *
 * A tool that attaches to a process finds the loops of it by a registered
 * symbol; see {@linkcode LOOPS}.
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
import { findForeignWaits } from "./_foreign_places.ts";
import { allInstances } from "./_heap.ts";
import { isReadable, processId } from "./_host.ts";
import {
  type EventLoop,
  type ExecutionContext,
  internals as loops,
  livingLoops,
} from "./_event_loop.ts";
import { type CallSite, creationSite, framesOf } from "./_call_site.ts";
import {
  futuresBehind,
  isPending,
  nameOf,
  taskOfHolder,
  tasksBehind,
} from "./_inspect.ts";
import { titleOf } from "./_text.ts";
import { failuresOf } from "./_unhandled.ts";

export type { ChildSnapshot, ThreadSnapshot } from "./_inventory.ts";

/** What a loop is doing. Plain data: `JSON.stringify` loses nothing of it. */
export interface Snapshot {
  /** The version of this form; a change that breaks readers raises it. */
  version: 1;
  /** The process. */
  pid: number;
  /** The loop. */
  loop: LoopSnapshot;
  /** Its tasks that are not done, oldest first. */
  tasks: TaskSnapshot[];
  /** Calls in threads. */
  threads: ThreadSnapshot[];
  /** Child processes. */
  children: ChildSnapshot[];
  /** Errors of futures and tasks that nobody has looked at, and the last that were reported. */
  failures: FailureSnapshot[];
  /** Promises that `cancellable` has abandoned and that are still to settle. */
  abandoned: AbandonedSnapshot[];
}

/** An event loop. */
export interface LoopSnapshot {
  /** The name of its class. */
  name: string;
  /** Whether a runner is running it. */
  state: "running" | "idle" | "closed";
  /** Whether debug mode is on. Elsewhere places are known only in a `DeadlockError`, and in reports of `run()` and `ps`. */
  debug: boolean;
  /** Whether the environment may ask for debug mode in vain, as `ASYNCIO_DEBUG` may not be read. */
  debugUnreadable?: true;
  /** The time on its clock, in seconds. */
  time: number;
  /** How late the first timer is that is due and has not run, in seconds. */
  lag: number;
  /** Callbacks and steps that are ready to run. */
  ready: number;
  /** Timers. */
  timers: number;
}

/** A task that is not done. */
export interface TaskSnapshot {
  /** A number that no other task of the program has. */
  id: number;
  /** Its name. */
  name: string;
  /** The name of its coroutine function, `null` for an anonymous one. */
  coro: string | null;
  /** The id of the task that made it, `null` if none did. */
  parent: number | null;
  /** `ready` is about to go on; `foreign` sits in a promise from outside of this module. */
  state: "new" | "ready" | "running" | "waiting" | "foreign";
  /** Requests to cancel it that nobody has taken back. */
  requests: number;
  /** The last of these requests, `null` if there is none. */
  cancelled: CancelSnapshot | null;
  /** The scopes it is in that explain its state: `"timeout(1) expired 2.0 s ago"`. */
  scopes: string[];
  /** What it is suspended in: nothing, one thing, or several under a `Promise.all`. */
  waits: WaitSnapshot[];
  /**
   * How long it has been suspended, in seconds; `null` where that is not known.
   * In a foreign promise without debug mode: how long at most.
   */
  seconds: number | null;
  /** How long ago its code began, in seconds; `null` if it has not. */
  age: number | null;
  /** Where it is suspended, the innermost call first; in debug mode, in a report of `run()` or `ps`, and of some 200 tasks. */
  stack: string[];
  /** Where it was made, in debug mode, and of the 200 newest tasks. */
  madeAt: string | null;
}

/** A request to cancel. */
export interface CancelSnapshot {
  /** How long ago it came, in seconds. */
  seconds: number;
  /** The id of the task it came from, `null` for code outside of tasks. */
  by: number | null;
  /** What it came from, if known: `"SIGINT"`, or the line that called `cancel()`. */
  from: string | null;
  /** Whether the code of the task has been given the error. */
  delivered: boolean;
}

/** One thing that a task is suspended in. */
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
  /** A number of the object that is waited for: waits with the same number wait for the same; `null` for none. */
  object: number | null;
  /** The ids of the tasks that it stands for. */
  tasks: number[];
  /** The tasks that hold what is waited for. */
  holders: HolderSnapshot[];
  /** Where it is awaited, known as `stack` is. */
  place: string | null;
  /** More that may explain it: `"never notified since 3.0 s"`. */
  notes: string[];
}

/** A task that holds what another one waits for. */
export interface HolderSnapshot {
  /** Its id. */
  id: number;
  /** Its name. */
  name: string;
  /** Whether it is done, and so will never release it. */
  ended: boolean;
}

/** An error that nobody has looked at. */
export interface FailureSnapshot {
  /** What failed: `"Task exception was never retrieved: consumer"`. */
  message: string;
  /** The error on one line. */
  error: string;
  /** Where it was thrown, the innermost call first. */
  stack: string[];
  /** The id of the task that failed, `null` for a plain future. */
  task: number | null;
  /** How long ago, in seconds. */
  seconds: number;
}

/** A promise that nothing waits for any more. */
export interface AbandonedSnapshot {
  /** How long ago it was abandoned, in seconds. */
  seconds: number;
  /** Where it was awaited, in debug mode. */
  place: string | null;
}

/** How many tasks of a gather or group, and how many holders, are listed. */
const MOST_LISTED = 1000;

/** The stacks of so many tasks are read at once: to format one takes the runtime up to a millisecond. */
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
      ...(isReadable("ASYNCIO_DEBUG") ? {} : { debugUnreadable: true }),
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
const LOCATED_ALIKE = 20;
const LOCATED = 200;

/** Where tasks wait is to be found out, by the ids of the tasks. */
type Wanted = Map<number, (place: CallSite) => void>;

/**
 * Adds to a snapshot where its tasks wait, which without debug mode nobody has
 * noted: the awaits are asked, and of what sits in foreign promises the
 * runtime, unless all promises are given.
 *
 * @param snapshot A snapshot that was taken just now.
 * @param loop Its loop.
 * @param promises All promises, or none for whoever cannot wait for the debugger.
 * @returns The snapshot, after some microtasks at least.
 */
export async function located(
  snapshot: Snapshot,
  loop: EventLoop,
  promises?: readonly object[],
): Promise<Snapshot> {
  const wanted = toBeLocated(snapshot.tasks);
  const foreign: Wanted = new Map();
  let frame = tasksOf(loop).first;
  for (; frame !== null && wanted.size > 0; frame = frame.next) {
    const found = wanted.get(frame.id);
    if (found === undefined) continue;
    wanted.delete(frame.id);
    const { awaits } = frame;
    for (const reaction of awaits) reaction.locate(found);
    if (awaits.length > 0) continue;
    frame.linkBody();
    foreign.set(frame.id, found);
  }
  await null;
  if (foreign.size === 0) return snapshot;
  const all = promises ?? await allInstances("Promise");
  if (all !== null) await findForeignWaits(all, foreign);
  return snapshot;
}

/**
 * Tasks whose places are not known; of many alike only some, but all that are
 * in foreign promises, as not every promise is looked at.
 */
function toBeLocated(tasks: readonly TaskSnapshot[]): Wanted {
  const alike = new Map<string, number>();
  const wanted: Wanted = new Map();
  let total = 0;
  for (const task of tasks) {
    if (!SUSPENDED.has(task.state) || task.stack.length > 0) continue;
    const { kind, object } = task.waits[0]!;
    const key = `${task.coro} ${kind} ${object}`;
    const known = alike.get(key) ?? 0;
    const isForeign = task.state === "foreign";
    if (!isForeign && (known >= LOCATED_ALIKE || total >= LOCATED)) continue;
    alike.set(key, known + 1);
    if (!isForeign) total++;
    wanted.set(task.id, (place) => addPlace(task, place));
  }
  return wanted;
}

const SUSPENDED: ReadonlySet<string> = new Set(["waiting", "foreign"]);

function addPlace(task: TaskSnapshot, { frames, line }: CallSite): void {
  if (task.stack.length > 0) return;
  task.stack = [...frames];
  task.waits = task.waits.map((wait) => ({ ...wait, place: line }));
}

/** Reads the tasks of a loop. What many of them wait for is described once. */
class TaskReader {
  readonly #loop: EventLoop;
  readonly #now: number;
  readonly #shared = new Map<object, WaitSnapshot>();
  /** How many stacks may still be read. */
  #stacks = MOST_STACKS;

  constructor(loop: EventLoop) {
    this.#loop = loop;
    this.#now = Math.round(loop.time() * 1000);
  }

  tasks(): TaskSnapshot[] {
    const tasks: TaskSnapshot[] = [];
    let frame = tasksOf(this.#loop).first;
    for (; frame !== null; frame = frame.next) tasks.push(this.#read(frame));
    return tasks.reverse();
  }

  #read(frame: TaskState): TaskSnapshot {
    const { awaits } = frame;
    const isShown = frame instanceof DebugTaskState && this.#stacks-- > 0;
    const watched = isShown ? frame : null;
    const waits = this.#waitsOf(watched, awaits);
    const standing = frame.phaseIn(awaits);
    const isReady = standing === "waiting" && waits.length === 0;
    const since = standing === "foreign"
      ? watched?.foreignSince ?? frame.suspendedAt
      : frame.suspendedAt;
    const place = watched?.place ?? null;
    return {
      id: frame.id,
      name: frame.name,
      coro: coroOf(frame),
      parent: frame.parent || null,
      state: isReady ? "ready" : standing as TaskSnapshot["state"],
      requests: frame.totalRequests,
      cancelled: frame.totalRequests > 0 ? this.#cancelOf(frame) : null,
      scopes: frame.explanations,
      waits: standing === "foreign" ? [foreign(place?.line ?? null)] : waits,
      seconds: since === null ? null : this.#secondsSince(since),
      age: frame.startedAt === null
        ? null
        : this.#secondsSince(frame.startedAt),
      stack: place === null ? [] : place.frames.slice(),
      madeAt: watched === null
        ? null
        : creationSite(watched.watched)?.line ?? null,
    };
  }

  #waitsOf(
    watched: DebugTaskState | null,
    awaits: readonly SuspendedAwait[],
  ): WaitSnapshot[] {
    const waits: WaitSnapshot[] = [];
    for (const reaction of awaits) {
      const { source } = reaction;
      if (source === null || !isPending(source)) continue;
      const wait = this.#wait(source);
      const place = watched?.placeOf(reaction)?.line ?? null;
      waits.push(place === null ? wait : { ...wait, place });
    }
    return waits;
  }

  #wait(source: AnyFuture): WaitSnapshot {
    const behind = behindOf(source);
    if (behind === null || behind === source as unknown) {
      return this.#describe(source, behind);
    }
    let wait = this.#shared.get(behind);
    if (wait === undefined) {
      this.#shared.set(behind, wait = this.#describe(source, behind));
    }
    return wait;
  }

  #describe(source: AnyFuture, behind: WaitDetails | null): WaitSnapshot {
    const isPlain = behind !== null && behind.awaits === undefined;
    return {
      kind: kindOf(source, behind),
      what: nameOf(source),
      object: behind === null || behind === source as unknown
        ? null
        : numberOf(behind.object ?? behind),
      tasks: isPlain
        ? []
        : tasksBehind(source).slice(0, MOST_LISTED).map(({ id }) => id),
      holders: behind === null ? [] : holdersOf(behind),
      place: null,
      notes: behind?.notes?.() ?? [],
    };
  }

  #cancelOf(frame: TaskState): CancelSnapshot {
    return {
      seconds: this.#secondsSince(frame.cancelRequestedAt ?? this.#now),
      by: frame.cancelledBy || null,
      from: frame.cancelledFrom,
      delivered: !frame.hasUndelivered,
    };
  }

  #secondsSince(milliseconds: number): number {
    return Math.max(0, this.#now - milliseconds) / 1000;
  }
}

/** What a future stands for, through others that stand for it and nothing more. */
function behindOf(source: AnyFuture): WaitDetails | null {
  if (taskStateOf(source) !== null) return null;
  const behind = futures.source(source);
  if (behind === null || behind.kind !== undefined || behind.describe) {
    return behind;
  }
  const chain = [...futuresBehind(source)];
  if (chain.length !== 2) return behind;
  return behindOf(chain[1]!);
}

function kindOf(source: AnyFuture, behind: WaitDetails | null): string {
  if (behind?.kind !== undefined) return behind.kind;
  if (tasksBehind(source).length === 1) return "task";
  return behind === null ? "future" : "other";
}

function holdersOf(behind: WaitDetails): HolderSnapshot[] {
  const holders = new Set<ExecutionContext>(behind.holders?.() ?? []);
  if (behind.holder) holders.add(behind.holder);
  const found = new Map<number, HolderSnapshot>();
  for (const holder of holders) {
    const frame = taskOfHolder(holder);
    if (frame === null) continue;
    const { id, name, isOver } = frame;
    found.set(id, { id, name, ended: isOver });
    if (found.size >= MOST_LISTED) break;
  }
  return [...found.values()];
}

function foreign(place: string | null): WaitSnapshot {
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

function coroOf(frame: TaskState): string | null {
  const task = frame.task as { getCoro?(): { name?: unknown } } | null;
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

const numbers = new WeakMap<object, number>();
let numbered = 0;

function numberOf(object: object): number {
  let number = numbers.get(object);
  if (number === undefined) numbers.set(object, number = ++numbered);
  return number;
}

/**
 * The name of a global function that gives the snapshots of all loops of the
 * process that are not closed, as the JSON text of an array. It is for tools
 * that attach to a process, and takes in those of other copies of this module.
 * A tool that can wait gives it all promises of the thread, or an empty list,
 * and gets a promise of the text, with the places where the tasks wait.
 */
export const LOOPS: unique symbol = Symbol.for("asyncio.loops");

interface Registry {
  [LOOPS]?: (promises?: readonly object[]) => string | Promise<string>;
}

const others = (globalThis as Registry)[LOOPS];

Object.defineProperty(globalThis, LOOPS, {
  configurable: true,
  enumerable: false,
  writable: true,
  value: (promises?: readonly object[]): string | Promise<string> => {
    const text = others?.(promises) ?? "[]";
    const loops = [...livingLoops()];
    const snapshots = loops.map(snapshotOf);
    if (promises === undefined) return textOf(text as string, snapshots);
    const all = snapshots.map((it, at) => located(it, loops[at]!, promises));
    return Promise.all([text, ...all])
      .then(([text]) => textOf(text, snapshots));
  },
});

/** Adds snapshots to the text of an array of them. */
function textOf(text: string, snapshots: readonly Snapshot[]): string {
  return JSON.stringify([...JSON.parse(text), ...snapshots]);
}
