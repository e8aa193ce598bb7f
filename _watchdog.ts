/**
 * The watchdog: says that the event loop is blocked while it is blocked, and
 * by which code.
 *
 * A thread listens to a heartbeat of the thread that is watched. If it stays
 * away, the thread asks for the stack through the debugger of the runtime,
 * which evaluates an expression on top of the code that runs, also in the
 * midst of a loop.
 * The runtime offers that to a thread of the same process through a socket
 * only (`connectToMainThread()` is not supported), so the debugger listens on
 * a port of its own as long as the watchdog is there.
 *
 * @module
 */

import { node, ownOperations, WORKER_OPERATIONS } from "./_host.ts";
import { DebugTaskState } from "./_debug_mode.ts";
import { deno, needDeno } from "./_deno.ts";
import type { TaskState } from "./_task_state.ts";
import { currentExecution, type EventLoop } from "./_event_loop.ts";
import { observe, type Observer } from "./_observer.ts";
import { CallSite } from "./_call_site.ts";
import {
  type Blocking,
  watchdogUrl,
  type WatchOrder,
} from "./_watchdog_worker.ts";

/** Under this name the thread of the watchdog finds what tells it of the block. */
const KEY = Symbol.for("@asyncio/asyncio blocking");
const EXPRESSION = `globalThis[Symbol.for(${
  JSON.stringify(KEY.description)
})]()`;
/** Bytes for two counters and a name. */
const MEMORY = 512;

/** How many watchdogs are there. */
let watching = 0;
/** Whether the debugger was opened here. */
let hasOpened = false;

/**
 * Has every block of the thread of a loop reported that lasts longer than a
 * number of seconds.
 *
 * @returns What ends that; nothing is left of the watchdog once it resolves.
 * @throws {Deno.errors.NotSupported} If this is not Deno.
 */
export async function watchBlocks(
  loop: EventLoop,
  seconds: number,
): Promise<() => Promise<void>> {
  needDeno("watch for blocks");
  const limit = Math.min(seconds * 1000, 2 ** 31 - 1);
  const interval = Math.max(1, Math.min(250, limit / 8));
  const memory = new SharedArrayBuffer(MEMORY);
  watching++;
  publish();
  const { SHARE_ENV, Worker } = node("worker_threads");
  // Otherwise the environment would be read to be copied, and that takes a permission.
  const worker = new Worker(watchdogUrl(), { env: SHARE_ENV as never });
  const order: WatchOrder = {
    limit,
    interval,
    memory,
    ...openDebugger(),
    expression: EXPRESSION,
  };
  const ready = new Promise((resolve) => worker.once("message", resolve));
  worker.postMessage(order);
  await ready;
  worker.unref();
  ownOperations.count += WORKER_OPERATIONS;
  if (order.url === null) observe(loop, new RunningTaskNotes(memory));
  const stopBeats = startBeats(new Int32Array(memory), interval);
  return async () => {
    stopBeats();
    ownOperations.count -= WORKER_OPERATIONS;
    await worker.terminate();
    if (--watching === 0) unpublish();
  };
}

/** Notes which task runs, for a thread that cannot ask. */
class RunningTaskNotes implements Observer {
  readonly #length: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #encoder = new TextEncoder();

  constructor(memory: SharedArrayBuffer) {
    this.#length = new Int32Array(memory, 4, 1);
    this.#bytes = new Uint8Array(memory, 8);
  }

  resumed(frame: TaskState): void {
    const last = frame instanceof DebugTaskState ? frame.last?.line : null;
    const from = last ? `, on from its wait at ${last}` : "";
    const bytes = this.#encoder.encode(frame.name + from)
      .subarray(0, this.#bytes.length);
    this.#bytes.set(bytes);
    Atomics.store(this.#length, 0, bytes.length);
  }

  stepped(): void {
    Atomics.store(this.#length, 0, 0);
  }

  made(): void {}
  awaits(): void {}
  wakes(): void {}
  requested(): void {}
  ends(): void {}
}

/** Counts up as long as this thread is not blocked. */
function startBeats(beats: Int32Array, milliseconds: number): () => void {
  // Those of Node, as a test may have put others in the place of the global ones.
  const { setInterval, clearInterval } = node("timers");
  const timer = setInterval(() => Atomics.add(beats, 0, 1), milliseconds);
  timer.unref();
  return () => clearInterval(timer);
}

/** Opens the debugger, unless it is open: then whoever opened it will close it. */
function openDebugger(): { url: string | null; whyNot: string } {
  const inspector = node("inspector");
  try {
    checkPermission({ name: "sys", kind: "inspector" as "uid" });
    checkPermission({ name: "net", host: "127.0.0.1" });
    if (inspector.url() === undefined) {
      inspector.open(0, "127.0.0.1");
      hasOpened = true;
    }
    return { url: inspector.url()!, whyNot: "" };
  } catch (error) {
    return { url: null, whyNot: (error as Error).message };
  }
}

/** Throws if something is not permitted, and asks nobody. */
function checkPermission(permission: Deno.PermissionDescriptor): void {
  if (deno.permissions.querySync(permission).state === "granted") return;
  throw new Error("needs --allow-sys and --allow-net=127.0.0.1");
}

/** Lets the thread ask what blocks. */
function publish(): void {
  const ask = { value: blocking, configurable: true, writable: true };
  Object.defineProperty(globalThis, KEY, ask);
}

/** Takes back what was put up for all watchdogs. */
function unpublish(): void {
  delete (globalThis as unknown as Record<symbol, unknown>)[KEY];
  if (hasOpened) node("inspector").close();
  hasOpened = false;
}

/** What the thread is doing. It is called from the debugger, in the midst of the code that runs. */
function blocking(): Blocking {
  const task = currentExecution()?.task as
    | { getName(): string }
    | null
    | undefined;
  const stack = new CallSite().frames
    .filter((frame) =>
      !/^<anonymous>:|\(eval at .*\((?:ext|node):/.test(frame)
    );
  return { task: task?.getName() ?? null, stack };
}
