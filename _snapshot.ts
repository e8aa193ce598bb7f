/**
 * What a loop is doing as plain data, of which every report is made.
 *
 * A tool that attaches to a process finds the loops of it by a registered
 * symbol; see {@linkcode LOOPS}.
 *
 * @module
 */

import "./_event_loop.ts";
import { DebugTaskState } from "./_debug_mode.ts";
import type { SuspendedAwait } from "./_cancel_scope.ts";
import type { WaitDetails } from "./_wait_source.ts";
import { type AnyFuture, futures } from "./_future.ts";
import { taskStateOf } from "./_task.ts";
import { tasksOf, type TaskState } from "./_task_state.ts";
import { isReadable, processId } from "./_host.ts";
import {
  type BaseEventLoop,
  type ExecutionContext,
  internals as loops,
  livingLoops,
} from "./_scheduler.ts";
import { creationSite, framesOf } from "./_call_site.ts";
import {
  futuresBehind,
  isPending,
  nameOf,
  taskOfHolder,
  tasksBehind,
} from "./_inspect.ts";
import { titleOf } from "./_text.ts";
import { failuresOf } from "./_unhandled.ts";

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
  /** Whether debug mode is on. Places are known only there, and in a `DeadlockError`. */
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
  /** How long it has been suspended, in seconds; `null` where that is not known. */
  seconds: number | null;
  /** Where it is suspended, the innermost call first; in debug mode or a `DeadlockError`, and of the 200 newest tasks. */
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
   * `queue.get`, `queue.put`, `queue.join`, `future`, `foreign`, or `other`.
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
  /** Where it is awaited, in debug mode or a `DeadlockError`. */
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

/** A call in a thread. */
export interface ThreadSnapshot {
  /** The function. */
  name: string;
  /** What it waits for before it runs, `null` for one that runs. */
  waits: string | null;
  /** How long ago it was called, in seconds; `null` where that is not known. */
  seconds: number | null;
}

/** A child process. */
export interface ChildSnapshot {
  /** Its process id. */
  pid: number;
  /** The program. */
  name: string;
  /** More about it: `"stdout: 65536 bytes unread"`. */
  notes: string[];
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

/** Part of a snapshot that a file above this one fills in, for a loop that has some. */
export type Census = (snapshot: Snapshot, loop: BaseEventLoop) => void;

/** Those parts. */
export const censuses: Set<Census> = new Set();

/** How many tasks of a gather or group, and how many holders, are listed. */
const LISTED = 1000;

/** The stacks of so many tasks are read at once: to format one takes the runtime up to a millisecond. */
const STACKS = 200;

/** What a loop is doing. */
export function snapshotOf(loop: BaseEventLoop): Snapshot {
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
  for (const census of censuses) census(snapshot, loop);
  return snapshot;
}

/** Reads the tasks of a loop. What many of them wait for is described once. */
class TaskReader {
  readonly #loop: BaseEventLoop;
  readonly #now: number;
  readonly #shared = new Map<object, WaitSnapshot>();
  /** How many stacks may still be read. */
  #stacks = STACKS;

  constructor(loop: BaseEventLoop) {
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
      ? watched?.foreignSince ?? null
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
        : tasksBehind(source).slice(0, LISTED).map(({ id }) => id),
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
    if (found.size >= LISTED) break;
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

function failuresIn(loop: BaseEventLoop): FailureSnapshot[] {
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
 */
export const LOOPS: unique symbol = Symbol.for("asyncio.loops");

const others = (globalThis as { [LOOPS]?: () => string })[LOOPS];

Object.defineProperty(globalThis, LOOPS, {
  configurable: true,
  enumerable: false,
  writable: true,
  value: (): string => {
    const snapshots = others === undefined ? [] : JSON.parse(others());
    for (const loop of livingLoops()) snapshots.push(snapshotOf(loop));
    return JSON.stringify(snapshots);
  },
});
