/**
 * Calls from a thread to the loop of another one.
 *
 * A thread that blocks hears no message, so the two sides talk through shared
 * memory, which is all that a loop's handle consists of. It has a head and
 * slots. A thread takes a slot for as long as it has calls under way; a slot
 * is a pair of pipes, one for what is asked and one for what is answered.
 * Both carry serialized messages as a stream, so that no message is too long.
 *
 * Each side is woken through a counter that the other one raises: the loop
 * by the bell in the head, with `Atomics.waitAsync`, a thread by the signal
 * of its slot, blocked or not. The loop never blocks: what does not fit into
 * a pipe waits in its own memory until the thread has read on. A thread that
 * asks more than fits blocks until the loop has read on.
 *
 * A message port would be simpler, but a handle that holds one could not be
 * cloned, only moved, and to a single thread.
 *
 * The text of everything here also becomes part of the program that a worker
 * thread runs, see `_thread_worker.ts`; it may refer to nothing but globals,
 * its like, and what `_thread_worker.ts` provides.
 *
 * @module
 */

import { node } from "./_host.ts";
import { type Duration, toSeconds } from "./_duration.ts";
import { cloneError, type Packed, unpack } from "./_thread_values.ts";
import { CancelledError, RuntimeError, TimeoutError } from "./exceptions.ts";

/**
 * A loop as other threads know it: `loop.handle()` makes it, and
 * `runCoroutineThreadsafe` takes it. It can be an argument of `toThread`, and
 * it can be posted to a worker of one's own.
 */
export interface LoopHandle {
  /** Tells handles from other objects. */
  readonly kind: "asyncio.EventLoop";
  /** Tells loops from each other. */
  readonly id: string;
  /** What the loop and the threads write to. */
  readonly memory: SharedArrayBuffer;
}

/** How a call has ended. */
export type Outcome<T> =
  | { readonly kind: "result"; readonly value: T }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "cancelled"; readonly message: string };

/** A message to the loop: the number of the call, and what is asked; no name cancels it. */
export type Ask = readonly [id: number, name: string | null, args: unknown[]];

/** A message from the loop: the number of the call, then how it has ended. */
export type Answer = readonly [
  id: number,
  kind: Outcome<unknown>["kind"],
  value: unknown,
];

/** What stands behind a {@linkcode ThreadFuture}. */
export interface ThreadCall<T> {
  /** Whether there is an outcome, by what can be known without waiting. */
  done(): boolean;
  /** The outcome, once there is one. */
  outcome(): Outcome<T>;
  /** Blocks the thread until there is an outcome. */
  block(seconds: number): void;
  /** Ends the call as cancelled, and has its task cancelled. */
  cancel(): void;
  /** Calls once there is an outcome, at once if there is one. */
  subscribe(fn: () => void): void;
  /** Something to await. */
  promise(): PromiseLike<T>;
}

/**
 * The outcome of a coroutine that runs on the loop of another thread, as
 * `runCoroutineThreadsafe` returns it.
 *
 * It can be awaited, or waited for with the whole thread:
 * {@linkcode ThreadFuture.result} blocks until the loop has answered.
 *
 * Stands for {@link https://docs.python.org/3/library/concurrent.futures.html#future-objects}.
 *
 * @typeParam T What the coroutine returns.
 *
 * @example
 * ```ts
 * import { getRunningLoop, run, runCoroutineThreadsafe, toThread } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const answer = await run(() => {
 *   const loop = getRunningLoop();
 *   loop.expose({ double: (n: number) => 2 * n });
 *   return toThread((loop) => {
 *     const future = runCoroutineThreadsafe<number>("double", loop, 21);
 *     return future.result(60);
 *   }, loop.handle());
 * });
 * assert(answer === 42);
 * ```
 */
export class ThreadFuture<T> implements PromiseLike<T> {
  readonly #call: ThreadCall<T>;

  /**
   * Wraps a call; `runCoroutineThreadsafe` does so.
   *
   * @param call The call.
   */
  constructor(call: ThreadCall<T>) {
    this.#call = call;
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    const kind = this.done() ? this.#call.outcome().kind : "pending";
    const states = { result: "done", error: "failed", cancelled: "cancelled" };
    return `<ThreadFuture ${kind === "pending" ? kind : states[kind]}>`;
  }

  /** Whether the coroutine has ended or was cancelled. */
  done(): boolean {
    return this.#call.done();
  }

  /** Whether it was cancelled. */
  cancelled(): boolean {
    return this.done() && this.#call.outcome().kind === "cancelled";
  }

  /**
   * What the coroutine returned. Blocks the thread until it has.
   *
   * @param timeout How long to block at most, in seconds or as a duration; for ever by default.
   * @returns The value.
   * @throws {TimeoutError} If the time is up. The coroutine runs on.
   * @throws {CancelledError} If the coroutine was cancelled.
   * @throws {RuntimeError} If it would block the thread that runs the loop, or if the loop was closed.
   * @throws What the coroutine has thrown.
   */
  result(timeout?: Duration | null): T {
    const outcome = this.#wait(timeout);
    if (outcome.kind === "error") throw outcome.error;
    return outcome.value;
  }

  /**
   * What the coroutine has thrown. Blocks the thread until it has ended.
   *
   * @param timeout How long to block at most, in seconds or as a duration; for ever by default.
   * @returns The error, `null` if it returned a value.
   * @throws {TimeoutError} If the time is up. The coroutine runs on.
   * @throws {CancelledError} If the coroutine was cancelled.
   * @throws {RuntimeError} If it would block the thread that runs the loop.
   */
  exception(timeout?: Duration | null): unknown {
    const outcome = this.#wait(timeout);
    return outcome.kind === "error" ? outcome.error : null;
  }

  /**
   * Cancels the task of the coroutine on its loop. This future counts as
   * cancelled at once, whatever the task makes of the request.
   *
   * @returns `false` if the coroutine has ended already.
   */
  cancel(): boolean {
    if (this.done()) return this.cancelled();
    this.#call.cancel();
    return true;
  }

  /**
   * Has a function called in this thread when the coroutine has ended; at
   * once if it has. A thread that is blocked calls it when it goes on.
   *
   * @param fn The function. It is given this future.
   */
  addDoneCallback(fn: (future: this) => unknown): void {
    this.#call.subscribe(() => {
      try {
        fn(this);
      } catch (error) {
        console.error("Error in a done callback of a ThreadFuture\n", error);
      }
    });
  }

  /**
   * What `await` calls; the thread is not blocked.
   *
   * @typeParam R What the first function returns.
   * @typeParam S What the second function returns.
   * @param onFulfilled Called with the value.
   * @param onRejected Called with the error.
   * @returns What they return, as a promise.
   */
  then<R = T, S = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => S | PromiseLike<S>) | null,
  ): PromiseLike<R | S> {
    return this.#call.promise().then(onFulfilled, onRejected);
  }

  #wait(timeout?: Duration | null): Exclude<Outcome<T>, { kind: "cancelled" }> {
    const seconds = toSeconds(timeout ?? Infinity, "timeout");
    if (!this.done() && seconds > 0) this.#call.block(seconds);
    if (!this.done()) {
      throw new TimeoutError(`The loop has not answered in ${seconds} s`);
    }
    const outcome = this.#call.outcome();
    if (outcome.kind !== "cancelled") return outcome;
    throw new CancelledError(outcome.message);
  }
}

/** Where things lie in the memory of a handle. Places are counted in cells of four bytes. */
export class Layout {
  /** Raised by threads that have something for the loop. */
  static readonly BELL = 0;
  /** 1 once the loop is closed. */
  static readonly CLOSED = 1;
  /** How many slots there are. */
  static readonly SLOTS = 2;
  /** Where the first slot begins. */
  static readonly HEAD = 16;

  /** Within a slot: 1 while a thread has it. */
  static readonly TAKEN = 0;
  /** Raised by the loop when it has written, read or closed. */
  static readonly SIGNAL = 1;
  /** Bytes that were written to the two pipes and read from them, ever. */
  static readonly ASKED = 2;
  static readonly HEARD = 3;
  static readonly ANSWERED = 4;
  static readonly RECEIVED = 5;
  /** 1 while the loop has more to answer than fits. */
  static readonly MORE = 6;
  /** How many calls were made through the slot, ever. */
  static readonly CALLS = 7;
  /** Where the pipes of a slot begin. */
  static readonly PIPES = 16;

  /** Bytes that fit into a pipe, a power of two. */
  static readonly PIPE_BYTES = 16_384;
  static readonly SLOT: number = Layout.PIPES + Layout.PIPE_BYTES / 2;
  static readonly MOST_SLOTS = 2048;

  /** The memory of a new handle. It grows with the slots that are taken. */
  static memory(): SharedArrayBuffer {
    const most = Layout.HEAD + Layout.MOST_SLOTS * Layout.SLOT;
    return new SharedArrayBuffer(Layout.HEAD * 4, { maxByteLength: most * 4 });
  }
}

/** A stream of bytes through shared memory, with one writer and one reader. */
export class Pipe {
  readonly #cells: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #written: number;
  readonly #read: number;

  /**
   * Either end of a pipe.
   *
   * @param cells All memory of the handle.
   * @param slot Where the slot begins.
   * @param written The slot's cell that counts the bytes written; that for those read is the next.
   */
  constructor(cells: Int32Array, slot: number, written: number) {
    this.#cells = cells;
    this.#written = slot + written;
    this.#read = slot + written + 1;
    const second = written === Layout.ANSWERED ? Layout.PIPE_BYTES : 0;
    const start = (slot + Layout.PIPES) * 4 + second;
    this.#bytes = new Uint8Array(cells.buffer, start, Layout.PIPE_BYTES);
  }

  /** Writes what fits of the bytes after `from`. Returns how many fitted. */
  write(bytes: Uint8Array, from: number): number {
    const written = Atomics.load(this.#cells, this.#written);
    const held = (written - Atomics.load(this.#cells, this.#read)) | 0;
    const size = Layout.PIPE_BYTES;
    const count = Math.min(size - held, bytes.length - from);
    const start = written & (size - 1);
    const first = Math.min(count, size - start);
    this.#bytes.set(bytes.subarray(from, from + first), start);
    this.#bytes.set(bytes.subarray(from + first, from + count), 0);
    Atomics.store(this.#cells, this.#written, (written + count) | 0);
    return count;
  }

  /** Takes out all that is there, `null` if nothing is. */
  read(): Uint8Array | null {
    const read = Atomics.load(this.#cells, this.#read);
    const count = (Atomics.load(this.#cells, this.#written) - read) | 0;
    if (count === 0) return null;
    const size = Layout.PIPE_BYTES;
    const start = read & (size - 1);
    const first = Math.min(count, size - start);
    const bytes = new Uint8Array(count);
    bytes.set(this.#bytes.subarray(start, start + first));
    bytes.set(this.#bytes.subarray(0, count - first), first);
    Atomics.store(this.#cells, this.#read, (read + count) | 0);
    return bytes;
  }
}

/** Cuts a stream of bytes into messages again. */
export class Messages {
  /** The length of the message under way, in four bytes, then the message. */
  #bytes = new Uint8Array(4);
  #filled = 0;
  #inHead = true;

  /** The bytes of a message, with its length before them. */
  static encode(message: unknown): Uint8Array {
    const body = node("v8").serialize(message);
    const bytes = new Uint8Array(4 + body.length);
    new DataView(bytes.buffer).setUint32(0, body.length);
    bytes.set(body, 4);
    return bytes;
  }

  /** The messages that end in the next bytes of the stream. */
  take(bytes: Uint8Array): unknown[] {
    const messages: unknown[] = [];
    let at = 0;
    while (at < bytes.length) {
      const count = Math.min(
        this.#bytes.length - this.#filled,
        bytes.length - at,
      );
      this.#bytes.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled < this.#bytes.length) break;
      this.#filled = 0;
      const full = this.#bytes;
      const length = this.#inHead ? new DataView(full.buffer).getUint32(0) : 4;
      if (!this.#inHead) messages.push(node("v8").deserialize(full));
      this.#bytes = new Uint8Array(length);
      this.#inHead = !this.#inHead;
    }
    return messages;
  }
}

/** Whether a value is what `loop.handle()` returns. */
export function isLoopHandle(value: unknown): value is LoopHandle {
  return (value as LoopHandle | null)?.kind === "asyncio.EventLoop" &&
    (value as LoopHandle).memory instanceof SharedArrayBuffer;
}

/** Calls what a loop of another thread has exposed. */
export function callLoop<T>(
  name: unknown,
  handle: unknown,
  args: unknown[],
): ThreadFuture<T> {
  if (!isLoopHandle(handle)) {
    throw new TypeError(
      `Cannot run a coroutine on a loop: expected what loop.handle() returns, got ${
        String(handle)
      }`,
    );
  }
  if (typeof name !== "string") {
    throw new TypeError(
      `Cannot run a coroutine on the loop of another thread: expected the name of a function that the loop exposes, got ${
        String(name)
      }`,
    );
  }
  return new ThreadFuture<T>(Line.to(handle).call(name, args) as FarCall<T>);
}

/** What connects this thread with the loop of another one. */
export class Line {
  static readonly #lines = new Map<string, Line>();

  readonly #cells: Int32Array;
  /** Where the slot begins, -1 while there is none. */
  #slot = -1;
  #asks!: Pipe;
  #answers!: Pipe;
  #messages = new Messages();
  /** Calls that the loop has not answered; while there are any, there is a slot. */
  readonly #calls = new Map<number, FarCall<unknown>>();
  /** Whether answers are listened for, so that this thread need not block. */
  #listening = false;

  /** The one line to a loop. */
  static to(handle: LoopHandle): Line {
    let line = Line.#lines.get(handle.id);
    if (line === undefined) {
      Line.#lines.set(handle.id, line = new Line(handle.memory));
    }
    return line;
  }

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
  }

  call(name: string, args: unknown[]): FarCall<unknown> {
    if (this.#closed) throw new RuntimeError("The event loop is closed");
    if (this.#slot < 0) this.#takeSlot();
    try {
      const id = Atomics.add(this.#cells, this.#slot + Layout.CALLS, 1);
      const bytes = encodeCloned([id, name, args], args, "args");
      const call = new FarCall<unknown>(this, id);
      this.#calls.set(id, call);
      this.#send(bytes);
      return call;
    } finally {
      this.#leaveIfDone();
    }
  }

  cancel(id: number): void {
    if (this.#calls.has(id)) this.#send(Messages.encode([id, null, []]));
  }

  /** Takes in what the loop has answered. */
  poll(): void {
    // Asked first: what was answered before the end is still to be heard.
    const closed = this.#closed;
    while (this.#slot >= 0) {
      const bytes = this.#answers.read();
      if (bytes === null) break;
      const more = Atomics.load(this.#cells, this.#slot + Layout.MORE);
      if (more === 1) this.#raise(Layout.BELL);
      for (const answer of this.#messages.take(bytes)) {
        this.#end(answer as Answer);
      }
      this.#leaveIfDone();
    }
    if (closed) this.#endAll();
  }

  /** Blocks until a call has its outcome. */
  block(call: FarCall<unknown>, seconds: number): void {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const signal = this.#signal;
      if (call.done()) return;
      const left = end - performance.now();
      if (left <= 0) return;
      Atomics.wait(this.#cells, this.#slot + Layout.SIGNAL, signal, left);
    }
  }

  /** Has answers taken in while this thread does something else. */
  listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    void this.#listen();
  }

  async #listen(): Promise<void> {
    while (this.#slot >= 0) {
      const place = this.#slot + Layout.SIGNAL;
      const signal = Atomics.load(this.#cells, place);
      this.poll();
      if (this.#slot < 0) break;
      await Atomics.waitAsync(this.#cells, place, signal).value;
    }
    this.#listening = false;
  }

  get #signal(): number {
    return Atomics.load(this.#cells, this.#slot + Layout.SIGNAL);
  }

  get #closed(): boolean {
    return Atomics.load(this.#cells, Layout.CLOSED) === 1;
  }

  /** Finds a free slot, or makes one. */
  #takeSlot(): void {
    const cells = this.#cells;
    const { HEAD, SLOT, SLOTS, MOST_SLOTS, TAKEN } = Layout;
    for (let i = 0;; i++) {
      const slot = HEAD + i * SLOT;
      if (i === MOST_SLOTS) {
        throw new RuntimeError("Too many threads have called this event loop");
      }
      if (i >= Atomics.load(cells, SLOTS)) {
        growTo(cells.buffer as SharedArrayBuffer, (slot + SLOT) * 4);
        Atomics.compareExchange(cells, SLOTS, i, i + 1);
      }
      if (Atomics.compareExchange(cells, slot + TAKEN, 0, 1) !== 0) continue;
      this.#slot = slot;
      this.#asks = new Pipe(cells, slot, Layout.ASKED);
      this.#answers = new Pipe(cells, slot, Layout.ANSWERED);
      this.#messages = new Messages();
      return;
    }
  }

  /** Gives the slot back when nothing is under way. */
  #leaveIfDone(): void {
    if (this.#slot < 0 || this.#calls.size > 0) return;
    const slot = this.#slot;
    this.#slot = -1;
    Atomics.store(this.#cells, slot + Layout.TAKEN, 0);
    // Whoever listens there is to go on at the next slot.
    if (this.#listening) this.#raise(slot + Layout.SIGNAL);
  }

  /** Writes a message, and blocks for as long as there is no room. */
  #send(bytes: Uint8Array): void {
    for (let at = 0;;) {
      const signal = this.#signal;
      const count = this.#asks.write(bytes, at);
      if (count > 0) this.#raise(Layout.BELL);
      at += count;
      if (at === bytes.length || this.#closed) return;
      Atomics.wait(this.#cells, this.#slot + Layout.SIGNAL, signal);
    }
  }

  #raise(place: number): void {
    Atomics.add(this.#cells, place, 1);
    Atomics.notify(this.#cells, place);
  }

  #end([id, kind, value]: Answer): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (kind === "result") call?.end({ kind, value });
    else if (kind === "cancelled") call?.end({ kind, message: String(value) });
    else call?.end({ kind, error: unpack(value as Packed) });
  }

  #endAll(): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#leaveIfDone();
    for (const call of calls) {
      const error = new RuntimeError("The event loop is closed");
      call.end({ kind: "error", error });
    }
  }
}

/** A call to the loop of another thread. */
export class FarCall<T> implements ThreadCall<T> {
  readonly #line: Line;
  readonly #id: number;
  #outcome: Outcome<T> | null = null;
  #subscribers: (() => void)[] = [];

  constructor(line: Line, id: number) {
    this.#line = line;
    this.#id = id;
  }

  done(): boolean {
    if (this.#outcome === null) this.#line.poll();
    return this.#outcome !== null;
  }

  outcome(): Outcome<T> {
    return this.#outcome!;
  }

  block(seconds: number): void {
    this.#line.block(this as FarCall<unknown>, seconds);
  }

  cancel(): void {
    this.#line.cancel(this.#id);
    this.end({ kind: "cancelled", message: "" });
  }

  /** What comes after a cancellation is not heard. */
  end(outcome: Outcome<T>): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    const subscribers = this.#subscribers;
    this.#subscribers = [];
    for (const fn of subscribers) fn();
  }

  subscribe(fn: () => void): void {
    if (this.done()) return fn();
    this.#subscribers.push(fn);
    this.#line.listen();
  }

  promise(): Promise<T> {
    return new Promise((resolve, reject) =>
      this.subscribe(() => {
        const outcome = this.outcome();
        if (outcome.kind === "result") resolve(outcome.value);
        else if (outcome.kind === "error") reject(outcome.error);
        else reject(new CancelledError(outcome.message));
      })
    );
  }
}

/** The bytes of a message, or an error with the path to what cannot be cloned in it. */
export function encodeCloned(
  message: unknown,
  value: unknown,
  name: string,
): Uint8Array {
  const parts = Array.isArray(value) ? value : [value];
  try {
    // What the encoding makes empty objects of is refused by a clone.
    if (parts.some((it) => typeof it === "object")) structuredClone(value);
    return Messages.encode(message);
  } catch (error) {
    throw cloneError(value, name, error);
  }
}

/** Makes memory at least so long, whoever else does so at the same time. */
export function growTo(memory: SharedArrayBuffer, length: number): void {
  while (memory.byteLength < length) {
    try {
      memory.grow(length);
    } catch (error) {
      if (memory.byteLength < length) throw error;
    }
  }
}
