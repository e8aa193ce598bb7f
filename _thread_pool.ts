/**
 * The worker threads of a loop.
 *
 * They are threads of `node:worker_threads` and not web workers for what only
 * those can: an idle one can be left behind without keeping the process, one
 * that exits says so, and one that runs out of memory ends alone. A web
 * worker takes the process with it.
 *
 * Making one keeps the calling thread busy for some 20 milliseconds, so they
 * are made one after another, with turns for everything else in between, and
 * only while calls are waiting. More threads than processors help calls that
 * block, and cost those that compute: they are made once the threads that are
 * there leave the processors something, or have not for a while.
 *
 * @module
 */

import type { Worker } from "node:worker_threads";
import { Deque, RecentMap } from "./_collections.ts";
import { captureSlot, runIn } from "./_context.ts";
import { type AnyFuture, futures, type WaitSource } from "./_future.ts";
import type { EventLoop } from "./_event_loop.ts";
import { cpuUsage, nextTurn, startWorker } from "./_host.ts";
import { framesOf } from "./_call_site.ts";
import { inventoryOf, type ThreadSnapshot } from "./_inventory.ts";
import { internals as loops } from "./_scheduler.ts";
import { type Definition, nameOfDefinition } from "./_thread_function.ts";
import { THREAD_PROGRAM } from "./_thread_program.ts";
import {
  addFrames,
  cloneError,
  replaceFrames,
  takeMoves,
  unpack,
} from "./_thread_serialize.ts";
import type { Reply, Request } from "./_thread_worker.ts";
import { RuntimeError } from "./exceptions.ts";

/** A function that threads can be told to call. */
export interface Target {
  readonly id: number;
  readonly definition: Definition;
}

const PROCESSORS = navigator.hardwareConcurrency;
/** How many threads there are at most. */
const MOST_THREADS = Math.min(32, PROCESSORS + 4);
/** How often to look whether the processors are busy, in milliseconds. */
const LOOK_MS = 10;
/** After so many looks a thread is made in any case. */
const MOST_LOOKS = 25;
/** The part of all processors that this process uses when they count as busy. */
const BUSY = 0.8;
/** How many functions a thread keeps. */
const KEPT_FUNCTIONS = 500;
/** After so many definitions of functions a thread is replaced: V8 never frees all that it has compiled. */
const MOST_DEFINITIONS = 10_000;
const OUT_OF_MEMORY = "it ran out of memory";

/** Nothing of whoever makes the first call is to follow the thread. */
const root = captureSlot();

/** Makes threads as they are needed, and gives them calls. */
export class ThreadPool {
  readonly #loop: EventLoop;
  readonly #threads = new Set<Thread>();
  /** Threads without a call; the one that became so last is the next to work. */
  readonly #idle: Thread[] = [];
  /** Calls that wait for a thread, and some that are not to be made any more. */
  readonly #waiting = new Deque<Call>();
  /** How many of those are to be made. */
  #wanted = 0;
  /** Whether a thread is to be started or is on its way: only one is at a time. */
  #starting = false;
  /** Looks for idle processors, before a thread is started. */
  #lookout: ReturnType<typeof setInterval> | undefined;
  /** Set when no new calls are taken; resolved when no thread is left. */
  #closing: PromiseWithResolvers<void> | null = null;

  constructor(loop: EventLoop) {
    this.#loop = loop;
    inventoryOf(loop).add((lists) => lists.threads = this.#list());
  }

  /** The calls that run, then those that wait. */
  #list(): ThreadSnapshot[] {
    const running = Array.from(this.#threads, ({ call }) => call ?? []).flat();
    return [...running, ...this.#waiting].filter(({ isVoid }) => !isVoid)
      .map((call) => call.toJSON());
  }

  /** Whether calls are under way or waiting. */
  get busy(): boolean {
    return this.#wanted > 0 ||
      [...this.#threads].some(({ call }) => call !== null);
  }

  /**
   * Has a function called in a thread.
   *
   * @param target The function.
   * @param args Its arguments.
   * @param at Where it is called from.
   */
  call(target: Target, args: unknown[], at: Error): AnyFuture {
    if (this.#closing !== null) {
      throw new RuntimeError(
        "Cannot call a function in a thread: the executor was shut down",
      );
    }
    const call = new Call(this, this.#loop, target, args, at);
    const thread = this.#idle.pop();
    if (thread !== undefined) this.#give(thread, call);
    else this.#wait(call);
    return call.future;
  }

  /** Takes no more calls. Resolves when those that were made are done and all threads have ended. */
  close(): Promise<void> {
    if (this.#closing !== null) return this.#closing.promise;
    this.#closing = Promise.withResolvers();
    for (const thread of this.#idle.splice(0)) thread.leave();
    this.#finishClosing();
    return this.#closing.promise;
  }

  /** Gives up the calls that are under way or waiting. */
  abandon(): void {
    const calls: (Call | null)[] = [];
    for (let call; (call = this.#takeWaiting()) !== null;) calls.push(call);
    for (const { call } of this.#threads) calls.push(call);
    for (const call of calls) {
      call?.lose("The executor was shut down");
    }
    for (const thread of this.#threads) thread.end();
    this.#threads.clear();
    this.#finishClosing();
  }

  /** A thread has answered, or is ready for its first call. */
  next(thread: Thread): void {
    const call = thread.isWornOut ? null : this.#takeWaiting();
    if (call !== null) this.#give(thread, call);
    else if (this.#closing !== null || thread.isWornOut) thread.leave();
    else {
      thread.rest();
      this.#idle.push(thread);
    }
  }

  /** A call that waits is not to be made any more. */
  drop(): void {
    this.#wantOneLess();
    this.#finishClosing();
  }

  /** A thread has come up: it may be time for another one. */
  started(): void {
    this.#starting = false;
    this.#grow();
  }

  /** A thread has ended, by itself or not. */
  ended(thread: Thread): void {
    if (!this.#threads.delete(thread)) return;
    const place = this.#idle.indexOf(thread);
    if (place >= 0) this.#idle.splice(place, 1);
    this.#grow();
    this.#finishClosing();
  }

  /** Something that a call has left behind in its thread has failed. */
  report(exception: unknown, name: string): void {
    if (this.#loop.isClosed()) return;
    const whose = name === "" ? "" : ` of ${name}`;
    this.#loop.callExceptionHandler({
      message: `Error in a worker thread after its call${whose}`,
      exception,
    });
  }

  #give(thread: Thread, call: Call): void {
    try {
      thread.give(call);
    } catch (error) {
      call.fail(error);
      this.next(thread);
    }
  }

  #wait(call: Call): void {
    call.copy();
    call.waits = this.#threads.size + this.#wanted < MOST_THREADS
      ? "for a new thread"
      : "for its turn";
    this.#waiting.push(call);
    this.#wanted++;
    this.#grow();
  }

  #takeWaiting(): Call | null {
    for (;;) {
      const call = this.#waiting.shift();
      if (call === undefined) return null;
      if (call.isVoid) continue;
      call.waits = null;
      this.#wantOneLess();
      return call;
    }
  }

  #wantOneLess(): void {
    this.#wanted--;
    if (this.#wanted > 0) return;
    this.#waiting.clear();
    if (this.#lookout === undefined) return;
    this.#endLookout();
    this.#starting = false;
  }

  /** Starts a thread on a turn of its own, if one is wanted then. */
  #grow(): void {
    if (this.#starting || this.#wanted === 0) return;
    if (this.#threads.size >= MOST_THREADS) return;
    this.#starting = true;
    if (this.#threads.size >= PROCESSORS) return this.#lookOut();
    nextTurn(() => {
      if (this.#wanted > 0) this.#start();
      else this.#starting = false;
    });
  }

  /** Starts a thread when the others leave a processor idle, or have not for long enough. */
  #lookOut(): void {
    let looks = 0;
    let since = performance.now();
    let used = cpuUsage();
    this.#lookout = setInterval(() => {
      looks++;
      const { user, system } = cpuUsage(used);
      const now = performance.now();
      const all = (now - since) * 1000 * PROCESSORS;
      since = now;
      used = cpuUsage();
      if (user + system > BUSY * all && looks < MOST_LOOKS) return;
      this.#endLookout();
      this.#start();
    }, LOOK_MS);
  }

  #endLookout(): void {
    clearInterval(this.#lookout);
    this.#lookout = undefined;
  }

  #start(): void {
    try {
      const thread = new Thread(this);
      this.#threads.add(thread);
      this.next(thread);
    } catch (error) {
      this.#starting = false;
      if (this.#threads.size > 0) return;
      for (let call; (call = this.#takeWaiting()) !== null;) call.fail(error);
      this.#finishClosing();
    }
  }

  #finishClosing(): void {
    if (this.#threads.size > 0 || this.#wanted > 0) return;
    this.#closing?.resolve();
  }
}

/** One call of a function in a thread. */
class Call implements WaitSource {
  readonly kind = "thread";
  readonly future: AnyFuture;
  readonly target: Target;
  readonly #pool: ThreadPool;
  args: unknown[];
  /** What of the arguments is moved. */
  moves: Transferable[];
  /** What it waits for before it is made. */
  waits: "for a new thread" | "for its turn" | null = null;
  /** Whether it is done, or nobody waits for it any more. */
  #dropped = false;
  readonly #loop: EventLoop;
  /** Where it was called from. */
  readonly #at: Error;
  readonly #since: number;

  constructor(
    pool: ThreadPool,
    loop: EventLoop,
    target: Target,
    args: unknown[],
    at: Error,
  ) {
    this.#pool = pool;
    this.#loop = loop;
    this.#at = at;
    this.#since = loops.cachedNow(loop);
    this.target = target;
    this.args = args;
    this.moves = takeMoves(args);
    this.future = futures.make(loop, this);
  }

  /** The call for reports. */
  toJSON(): ThreadSnapshot {
    const { name, waits } = this;
    const seconds = (loops.cachedNow(this.#loop) - this.#since) / 1000;
    return { name, waits, seconds, place: framesOf(this.#at)[0] ?? null };
  }

  /** Copies the arguments, so that what becomes of them now does not matter. */
  copy(): void {
    try {
      const transfer = this.moves;
      [this.args, this.moves] = structuredClone([this.args, transfer], {
        transfer,
      });
    } catch (error) {
      throw this.refusal(error);
    }
  }

  /** The error for arguments that cannot be sent. */
  refusal(cause: unknown): unknown {
    const action = `Cannot call ${this.name} in a thread`;
    const { args: value, moves } = this;
    const error = cloneError({ action, value, name: "args", moves }, cause);
    if (error instanceof Error) replaceFrames(error, framesOf(this.#at));
    return error;
  }

  settle(value: unknown): void {
    if (this.#isAwaited()) futures.settle(this.future, value);
  }

  /** Fails with an error that was thrown in the thread. */
  failWith(error: unknown): void {
    addFrames(error, framesOf(this.#at));
    this.fail(error);
  }

  /** Fails because there is no thread for it any more. */
  lose(why: string, cause?: unknown): void {
    const error = new RuntimeError(
      why,
      cause === undefined ? {} : { cause },
    );
    replaceFrames(error, framesOf(this.#at));
    this.fail(error);
  }

  fail(error: unknown): void {
    if (this.#isAwaited()) futures.fail(this.future, error);
  }

  #isAwaited(): boolean {
    return !this.#dropped && !this.#loop.isClosed();
  }

  /**
   * Whether it is not to be made any more. As in asyncio, a call for which
   * there is a thread is as good as begun; that one takes time to start makes
   * no difference.
   */
  get isVoid(): boolean {
    return this.#dropped && this.waits === "for its turn";
  }

  get name(): string {
    return nameOfDefinition(this.target.definition);
  }

  complete(): void {}
  handOff(): void {}

  remove(): void {
    this.#dropped = true;
    if (this.isVoid) this.#pool.drop();
  }

  describe(): string {
    return `${this.name} in a thread`;
  }
}

/** A worker thread. */
class Thread {
  readonly #pool: ThreadPool;
  readonly #worker: Worker;
  /** Functions that it has the definition of. */
  readonly #known = new RecentMap<number, true>(KEPT_FUNCTIONS);
  /** Functions to be told to forget. */
  #forgotten: number[] = [];
  #definitions = 0;
  /** What it works at. */
  call: Call | null = null;
  #isUp = false;

  constructor(pool: ThreadPool) {
    this.#pool = pool;
    this.#worker = runIn(root, startWorker, THREAD_PROGRAM);
    this.#worker.on("message", (reply: Reply) => this.#hear(reply));
    this.#worker.on("online", () => this.#come());
    this.#worker.on("error", (error) => this.#lose(reasonOf(error), error));
    this.#worker.on(
      "messageerror",
      (error) => this.#lose("what it answered cannot be read", error),
    );
    this.#worker.on(
      "exit",
      (code) => this.#lose(`it exited with code ${code}`),
    );
  }

  /** Whether it is to be replaced after its call. */
  get isWornOut(): boolean {
    return this.#definitions >= MOST_DEFINITIONS;
  }

  /** Has it work at a call. */
  give(call: Call): void {
    const { target, args, moves } = call;
    const isKnown = this.#known.get(target.id) !== undefined;
    const request: Request = isKnown
      ? [target.id, args]
      : [target.id, args, target.definition, this.#forgotten];
    try {
      if (moves.length === 0) this.#worker.postMessage(request);
      else this.#worker.postMessage(request, moves as never);
    } catch (error) {
      throw call.refusal(error);
    }
    if (!isKnown) this.#learn(target);
    this.call = call;
    this.#worker.ref();
  }

  /** It has nothing to do and does not keep the process. */
  rest(): void {
    this.#worker.unref();
  }

  /** Has it end. */
  leave(): void {
    this.#worker.ref();
    this.#worker.postMessage(null);
  }

  /** Ends it as far as Deno can; what it computes may run on until the process ends. */
  end(): void {
    this.#worker.unref();
    void this.#worker.terminate();
  }

  /** It has come up; or, when it ends, never will. */
  #come(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    this.#pool.started();
  }

  #learn({ id }: Target): void {
    this.#definitions++;
    const forgotten = this.#known.set(id, true);
    this.#forgotten = forgotten === undefined ? [] : [forgotten];
  }

  #hear(reply: Reply): void {
    const { call } = this;
    if (reply[0] === "late") this.#pool.report(unpack(reply[1]), reply[2]);
    else if (reply[0] === "died") {
      this.#lose("an error in it was not caught", unpack(reply[1]));
    } else if (reply[0] === "full") this.#lose(OUT_OF_MEMORY);
    else if (call === null) return;
    else if (reply[0] === "result") {
      call.settle(reply[1]);
      this.#goOn();
    } else if (reply[0] === "error") {
      call.failWith(unpack(reply[1]));
      this.#goOn();
    }
  }

  #goOn(): void {
    this.call = null;
    this.#pool.next(this);
  }

  #lose(why: string, cause?: unknown): void {
    const { call } = this;
    this.call = null;
    this.end();
    call?.lose(
      `The worker thread ended before the call of ${call.name} was done: ${why}`,
      cause,
    );
    this.#pool.ended(this);
    this.#come();
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code === "ERR_WORKER_OUT_OF_MEMORY" ? OUT_OF_MEMORY : `${message}`;
}
