/**
 * The watchdog: reports that the event loop is blocked, and by which code, while
 * it is blocked.
 *
 * A thread watches the heartbeat of the thread of the loop. If it stops, the
 * watchdog gets the stack through the debugger of the runtime, which can
 * evaluate an expression on top of running code, even in the middle of a loop.
 * A thread of the same process reaches the debugger only through a socket
 * (`connectToMainThread()` is not supported), so the debugger listens on a port
 * as long as the watchdog runs.
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
  type Block,
  type WatchdogOptions,
  watchdogUrl,
} from "./_watchdog_worker.ts";

/** The key of the global function that describes the block to the watchdog's thread. */
const KEY = Symbol.for("@asyncio/asyncio blocking");
const EXPRESSION = `globalThis[Symbol.for(${
  JSON.stringify(KEY.description)
})]()`;
/** The size of the shared memory: two counters and a name. */
const MEMORY = 512;

/** The number of watchdogs. */
let watchdogs = 0;
/** Whether this file has opened the debugger. */
let isDebuggerOurs = false;

/**
 * Reports every block of the thread of a loop that lasts longer than a number of
 * seconds.
 *
 * @returns A function that ends the watchdog; nothing of it is left once its promise resolves.
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
  watchdogs++;
  publish();
  const { SHARE_ENV, Worker } = node("worker_threads");
  // Otherwise the environment would be copied, which needs a permission.
  const worker = new Worker(watchdogUrl(), { env: SHARE_ENV as never });
  const options: WatchdogOptions = {
    limit,
    interval,
    memory,
    ...openDebugger(),
    expression: EXPRESSION,
  };
  const ready = new Promise((resolve) => worker.once("message", resolve));
  worker.postMessage(options);
  await ready;
  worker.unref();
  ownOperations.count += WORKER_OPERATIONS;
  if (options.url === null) observe(loop, new RunningTaskRecorder(memory));
  const stopHeartbeat = startHeartbeat(new Int32Array(memory), interval);
  return async () => {
    stopHeartbeat();
    ownOperations.count -= WORKER_OPERATIONS;
    await worker.terminate();
    if (--watchdogs === 0) unpublish();
  };
}

/** Records the running task in shared memory, for when there is no debugger. */
class RunningTaskRecorder implements Observer {
  readonly #length: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #encoder = new TextEncoder();

  constructor(memory: SharedArrayBuffer) {
    this.#length = new Int32Array(memory, 4, 1);
    this.#bytes = new Uint8Array(memory, 8);
  }

  resumed(state: TaskState): void {
    const last = state instanceof DebugTaskState ? state.lastSite?.line : null;
    const from = last ? `, on from its wait at ${last}` : "";
    const bytes = this.#encoder.encode(state.name + from)
      .subarray(0, this.#bytes.length);
    this.#bytes.set(bytes);
    Atomics.store(this.#length, 0, bytes.length);
  }

  stepEnded(): void {
    Atomics.store(this.#length, 0, 0);
  }

  created(): void {}
  awaitStarted(): void {}
  notified(): void {}
  cancelRequested(): void {}
  ended(): void {}
}

/** Increments a counter as long as this thread is not blocked. */
function startHeartbeat(
  heartbeats: Int32Array,
  milliseconds: number,
): () => void {
  // A test may have replaced the global functions by fake ones.
  const { setInterval, clearInterval } = node("timers");
  const timer = setInterval(() => Atomics.add(heartbeats, 0, 1), milliseconds);
  timer.unref();
  return () => clearInterval(timer);
}

/** Opens the debugger, unless it is open already. */
function openDebugger(): { url: string | null; debuggerError: string } {
  const inspector = node("inspector");
  try {
    checkPermission({ name: "sys", kind: "inspector" as "uid" });
    checkPermission({ name: "net", host: "127.0.0.1" });
    if (inspector.url() === undefined) {
      inspector.open(0, "127.0.0.1");
      isDebuggerOurs = true;
    }
    return { url: inspector.url()!, debuggerError: "" };
  } catch (error) {
    return { url: null, debuggerError: (error as Error).message };
  }
}

/** Throws if something is not permitted, without a prompt. */
function checkPermission(permission: Deno.PermissionDescriptor): void {
  if (deno.permissions.querySync(permission).state === "granted") return;
  throw new Error("needs --allow-sys and --allow-net=127.0.0.1");
}

/** Defines the global function that describes the block. */
function publish(): void {
  const ask = { value: describeBlock, configurable: true, writable: true };
  Object.defineProperty(globalThis, KEY, ask);
}

/** Deletes the global function, and closes the debugger if it was opened here. */
function unpublish(): void {
  delete (globalThis as unknown as Record<symbol, unknown>)[KEY];
  if (isDebuggerOurs) node("inspector").close();
  isDebuggerOurs = false;
}

/** Describes what blocks the thread. The debugger calls it on top of the running code. */
function describeBlock(): Block {
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
