/**
 * The worker thread pool of a loop.
 *
 * Threads are workers of `node:worker_threads`, not web workers: an idle one
 * can be unreferenced so that the process may exit, one that exits emits an
 * event, and one that runs out of memory does not crash the process.
 *
 * Starting one blocks the calling thread for about 20 milliseconds, so threads
 * are started one at a time, on separate turns, and only while calls are
 * queued. More threads than processors help calls that block and slow down
 * calls that compute, so they are started only when the processors are not
 * busy, or have been busy for a while.
 *
 * @module
 */

import type { Worker } from "node:worker_threads";
import { Deque, LruMap } from "./_collections.ts";
import { captureSlot, runIn } from "./_context.ts";
import { type AnyFuture, futures, type WaitSource } from "./_future.ts";
import { type EventLoop, internals as loops } from "./_event_loop.ts";
import {
  cpuUsage,
  nextTurn,
  ownOperations,
  startWorker,
  WORKER_OPERATIONS,
} from "./_host.ts";
import { framesOf } from "./_call_site.ts";
import { inventories, type ThreadSnapshot } from "./_inventory.ts";
import { type Definition, nameOfDefinition } from "./_thread_function.ts";
import { THREAD_PROGRAM } from "./_thread_program.ts";
import {
  addFrames,
  claimTransfers,
  explainCloneError,
  replaceFrames,
  unpack,
} from "./_thread_serialize.ts";
import type { Reply, Request } from "./_thread_worker.ts";
import { RuntimeError } from "./exceptions.ts";

/** A function that threads can call. */
export interface Target {
  readonly id: number;
  readonly definition: Definition;
}

const PROCESSORS = navigator.hardwareConcurrency;
/** The maximum number of threads. */
const MAX_THREADS = Math.min(32, PROCESSORS + 4);
/** The interval of checks whether the processors are busy, in milliseconds. */
const POLL_MS = 10;
/** The number of checks after which a thread is started in any case. */
const MAX_POLLS = 25;
/** The processors count as busy when this process uses more than this share of them. */
const BUSY_RATIO = 0.8;
/** The maximum number of functions that a thread keeps. */
const MAX_FUNCTIONS = 500;
/** The number of compiled functions after which a thread is replaced, as V8 never frees all of them. */
const MAX_DEFINITIONS = 10_000;
const OUT_OF_MEMORY = "it ran out of memory";

/** The context threads start in, so that they do not inherit that of the first caller. */
const rootContext = captureSlot();

/** Starts threads on demand and assigns calls to them. */
export class ThreadPool {
  readonly #loop: EventLoop;
  readonly #threads = new Set<Thread>();
  /** Idle threads; the most recently used one is reused first. */
  readonly #idle: Thread[] = [];
  /** Calls that wait for a thread, including dropped ones. */
  readonly #queue = new Deque<Call>();
  /** The number of calls in `#queue` that are not dropped. */
  #queuedCount = 0;
  /** Whether a thread is starting or about to; only one starts at a time. */
  #starting = false;
  /** Polls processor usage before a thread is started. */
  #cpuPoll: ReturnType<typeof setInterval> | undefined;
  /** Set by `close`; resolved when no thread is left. */
  #closing: PromiseWithResolvers<void> | null = null;

  constructor(loop: EventLoop) {
    this.#loop = loop;
    inventories.get(loop).add((lists) => lists.threads = this.#list());
  }

  /** The calls that run, then those that wait. */
  #list(): ThreadSnapshot[] {
    const running = Array.from(this.#threads, ({ call }) => call ?? []).flat();
    return [...running, ...this.#queue].filter(({ isDropped }) => !isDropped)
      .map((call) => call.toJSON());
  }

  /** Whether calls are running or queued. */
  get busy(): boolean {
    return this.#queuedCount > 0 ||
      [...this.#threads].some(({ call }) => call !== null);
  }

  /**
   * Calls a function in a thread.
   *
   * @param target The function.
   * @param args Its arguments.
   * @param at The call site, for error stacks.
   */
  call(target: Target, args: unknown[], at: Error): AnyFuture {
    if (this.#closing !== null) {
      throw new RuntimeError(
        "Cannot call a function in a thread: the executor was shut down",
      );
    }
    const call = new Call(this, this.#loop, target, args, at);
    const thread = this.#idle.pop();
    if (thread !== undefined) this.#assign(thread, call);
    else this.#enqueue(call);
    return call.future;
  }

  /** Rejects new calls from now on. Resolves when all calls are done and all threads have exited. */
  close(): Promise<void> {
    if (this.#closing !== null) return this.#closing.promise;
    this.#closing = Promise.withResolvers();
    for (const thread of this.#idle.splice(0)) thread.exit();
    this.#finishClosing();
    return this.#closing.promise;
  }

  /** Fails all running and queued calls and terminates the threads. */
  abandon(): void {
    const calls: (Call | null)[] = [];
    for (let call; (call = this.#dequeue()) !== null;) calls.push(call);
    for (const { call } of this.#threads) calls.push(call);
    for (const call of calls) {
      call?.failWithoutThread("The executor was shut down");
    }
    for (const thread of this.#threads) thread.terminate();
    this.#threads.clear();
    this.#finishClosing();
  }

  /** A thread has finished a call or is ready for its first one. */
  onThreadReady(thread: Thread): void {
    const call = thread.needsReplacement ? null : this.#dequeue();
    if (call !== null) this.#assign(thread, call);
    else if (this.#closing !== null || thread.needsReplacement) thread.exit();
    else {
      thread.unref();
      this.#idle.push(thread);
    }
  }

  /** A queued call was dropped. */
  onCallDropped(): void {
    this.#removeQueued();
    this.#finishClosing();
  }

  /** A thread is online; starts another one if needed. */
  onThreadOnline(): void {
    this.#starting = false;
    this.#grow();
  }

  /** A thread has exited. */
  onThreadExit(thread: Thread): void {
    if (!this.#threads.delete(thread)) return;
    const index = this.#idle.indexOf(thread);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#grow();
    this.#finishClosing();
  }

  /** Reports an uncaught error from something that a call left behind in its thread. */
  reportStrayError(exception: unknown, name: string): void {
    if (this.#loop.isClosed()) return;
    const whose = name === "" ? "" : ` of ${name}`;
    this.#loop.callExceptionHandler({
      message: `Error in a worker thread after its call${whose}`,
      exception,
    });
  }

  #assign(thread: Thread, call: Call): void {
    try {
      thread.assign(call);
    } catch (error) {
      call.fail(error);
      this.onThreadReady(thread);
    }
  }

  #enqueue(call: Call): void {
    call.copy();
    call.waitingFor = this.#threads.size + this.#queuedCount < MAX_THREADS
      ? "for a new thread"
      : "for its turn";
    this.#queue.push(call);
    this.#queuedCount++;
    this.#grow();
  }

  #dequeue(): Call | null {
    for (;;) {
      const call = this.#queue.shift();
      if (call === undefined) return null;
      if (call.isDropped) continue;
      call.waitingFor = null;
      this.#removeQueued();
      return call;
    }
  }

  #removeQueued(): void {
    this.#queuedCount--;
    if (this.#queuedCount > 0) return;
    this.#queue.clear();
    if (this.#cpuPoll === undefined) return;
    this.#stopPolling();
    this.#starting = false;
  }

  /** Starts a thread on a turn of its own, if one is still needed then. */
  #grow(): void {
    if (this.#starting || this.#queuedCount === 0) return;
    if (this.#threads.size >= MAX_THREADS) return;
    this.#starting = true;
    if (this.#threads.size >= PROCESSORS) return this.#startWhenIdle();
    nextTurn(() => {
      if (this.#queuedCount > 0) this.#start();
      else this.#starting = false;
    });
  }

  /** Starts a thread once the processors are not busy, or after the maximum number of checks. */
  #startWhenIdle(): void {
    let polls = 0;
    let since = performance.now();
    let used = cpuUsage();
    this.#cpuPoll = setInterval(() => {
      polls++;
      const { user, system } = cpuUsage(used);
      const now = performance.now();
      const all = (now - since) * 1000 * PROCESSORS;
      since = now;
      used = cpuUsage();
      if (user + system > BUSY_RATIO * all && polls < MAX_POLLS) return;
      this.#stopPolling();
      this.#start();
    }, POLL_MS);
  }

  #stopPolling(): void {
    clearInterval(this.#cpuPoll);
    this.#cpuPoll = undefined;
  }

  #start(): void {
    try {
      const thread = new Thread(this);
      this.#threads.add(thread);
      this.onThreadReady(thread);
    } catch (error) {
      this.#starting = false;
      if (this.#threads.size > 0) return;
      for (let call; (call = this.#dequeue()) !== null;) call.fail(error);
      this.#finishClosing();
    }
  }

  #finishClosing(): void {
    if (this.#threads.size > 0 || this.#queuedCount > 0) return;
    this.#closing?.resolve();
  }
}

/** A call of a function in a thread. */
class Call implements WaitSource {
  readonly kind = "thread";
  readonly future: AnyFuture;
  readonly target: Target;
  readonly #pool: ThreadPool;
  args: unknown[];
  /** The objects to transfer with the arguments. */
  transfers: Transferable[];
  /** What a queued call waits for. */
  waitingFor: "for a new thread" | "for its turn" | null = null;
  /** Whether the call was cancelled. */
  #cancelled = false;
  readonly #loop: EventLoop;
  /** The call site. */
  readonly #callSite: Error;
  readonly #since: number;

  constructor(
    pool: ThreadPool,
    loop: EventLoop,
    target: Target,
    args: unknown[],
    callSite: Error,
  ) {
    this.#pool = pool;
    this.#loop = loop;
    this.#callSite = callSite;
    this.#since = loops.cachedNow(loop);
    this.target = target;
    this.args = args;
    this.transfers = claimTransfers(args);
    this.future = futures.create(loop, this);
  }

  /** The call for reports. */
  toJSON(): ThreadSnapshot {
    const { name, waitingFor: waits } = this;
    const seconds = (loops.cachedNow(this.#loop) - this.#since) / 1000;
    return { name, waits, seconds, place: framesOf(this.#callSite)[0] ?? null };
  }

  /** Copies the arguments, so that later changes do not matter. */
  copy(): void {
    try {
      const transfer = this.transfers;
      [this.args, this.transfers] = structuredClone([this.args, transfer], {
        transfer,
      });
    } catch (error) {
      throw this.cloneError(error);
    }
  }

  /** The error of arguments that cannot be sent. */
  cloneError(cause: unknown): unknown {
    const action = `Cannot call ${this.name} in a thread`;
    const { args: value, transfers } = this;
    const error = explainCloneError(
      { action, value, name: "args", transfers },
      cause,
    );
    if (error instanceof Error) replaceFrames(error, framesOf(this.#callSite));
    return error;
  }

  settle(value: unknown): void {
    if (this.#isAwaited()) futures.settle(this.future, value);
  }

  /** Fails with an error that was thrown in the thread. */
  failInThread(error: unknown): void {
    addFrames(error, framesOf(this.#callSite));
    this.fail(error);
  }

  /** Fails because its thread is gone. */
  failWithoutThread(why: string, cause?: unknown): void {
    const error = new RuntimeError(
      why,
      cause === undefined ? {} : { cause },
    );
    replaceFrames(error, framesOf(this.#callSite));
    this.fail(error);
  }

  fail(error: unknown): void {
    if (this.#isAwaited()) futures.fail(this.future, error);
  }

  #isAwaited(): boolean {
    return !this.#cancelled && !this.#loop.isClosed();
  }

  /**
   * Whether the call must not be made. As in asyncio, a cancelled call that has
   * a thread is made, even if the thread is still starting.
   */
  get isDropped(): boolean {
    return this.#cancelled && this.waitingFor === "for its turn";
  }

  get name(): string {
    return nameOfDefinition(this.target.definition);
  }

  complete(): void {}
  handOff(): void {}

  remove(): void {
    this.#cancelled = true;
    if (this.isDropped) this.#pool.onCallDropped();
  }

  describe(): string {
    return `${this.name} in a thread`;
  }
}

/** A worker thread. */
class Thread {
  readonly #pool: ThreadPool;
  readonly #worker: Worker;
  /** The functions that the thread has the definition of. */
  readonly #defined = new LruMap<number, true>(MAX_FUNCTIONS);
  /** Functions for the thread to forget. */
  #evicted: number[] = [];
  #definitions = 0;
  /** The running call. */
  call: Call | null = null;
  #isOnline = false;
  /** Whether its operations are counted as those that keep no program alive. */
  #isUnref = false;

  constructor(pool: ThreadPool) {
    this.#pool = pool;
    this.#worker = runIn(rootContext, startWorker, THREAD_PROGRAM);
    this.#worker.on("message", (reply: Reply) => this.#onReply(reply));
    this.#worker.on("online", () => this.#onOnline());
    this.#worker.on("error", (error) => this.#onLost(reasonOf(error), error));
    this.#worker.on(
      "messageerror",
      (error) => this.#onLost("what it answered cannot be read", error),
    );
    this.#worker.on(
      "exit",
      (code) => this.#onLost(`it exited with code ${code}`),
    );
  }

  /** Whether to replace the thread after its call. */
  get needsReplacement(): boolean {
    return this.#definitions >= MAX_DEFINITIONS;
  }

  /** Runs a call in this thread. */
  assign(call: Call): void {
    const { target, args, transfers } = call;
    const isKnown = this.#defined.get(target.id) !== undefined;
    const request: Request = isKnown
      ? [target.id, args]
      : [target.id, args, target.definition, this.#evicted];
    try {
      if (transfers.length === 0) this.#worker.postMessage(request);
      else this.#worker.postMessage(request, transfers as never);
    } catch (error) {
      throw call.cloneError(error);
    }
    if (!isKnown) this.#addDefinition(target);
    this.call = call;
    this.#ref();
  }

  /** Lets the process exit while the thread is idle. */
  unref(): void {
    this.#worker.unref();
    if (!this.#isUnref) ownOperations.count += WORKER_OPERATIONS;
    this.#isUnref = true;
  }

  /** Asks the thread to exit. */
  exit(): void {
    this.#ref();
    this.#worker.postMessage(null);
  }

  /** Terminates the thread as far as Deno can; a computation may continue until the process exits. */
  terminate(): void {
    this.#countOperations();
    this.#worker.unref();
    void this.#worker.terminate();
  }

  #ref(): void {
    this.#countOperations();
    this.#worker.ref();
  }

  /** Its operations count as work of the program again, or end. */
  #countOperations(): void {
    if (this.#isUnref) ownOperations.count -= WORKER_OPERATIONS;
    this.#isUnref = false;
  }

  /** The thread is online, or exited before it was. */
  #onOnline(): void {
    if (this.#isOnline) return;
    this.#isOnline = true;
    this.#pool.onThreadOnline();
  }

  #addDefinition({ id }: Target): void {
    this.#definitions++;
    const evicted = this.#defined.set(id, true);
    this.#evicted = evicted === undefined ? [] : [evicted];
  }

  #onReply(reply: Reply): void {
    const { call } = this;
    if (reply[0] === "stray") {
      this.#pool.reportStrayError(unpack(reply[1]), reply[2]);
    } else if (reply[0] === "crashed") {
      this.#onLost("an error in it was not caught", unpack(reply[1]));
    } else if (reply[0] === "outOfMemory") this.#onLost(OUT_OF_MEMORY);
    else if (call === null) return;
    else if (reply[0] === "result") {
      call.settle(reply[1]);
      this.#finishCall();
    } else if (reply[0] === "error") {
      call.failInThread(unpack(reply[1]));
      this.#finishCall();
    }
  }

  #finishCall(): void {
    this.call = null;
    this.#pool.onThreadReady(this);
  }

  #onLost(why: string, cause?: unknown): void {
    const { call } = this;
    this.call = null;
    this.terminate();
    call?.failWithoutThread(
      `The worker thread ended before the call of ${call.name} was done: ${why}`,
      cause,
    );
    this.#pool.onThreadExit(this);
    this.#onOnline();
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code === "ERR_WORKER_OUT_OF_MEMORY" ? OUT_OF_MEMORY : `${message}`;
}
