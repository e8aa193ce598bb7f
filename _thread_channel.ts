/**
 * Calls from a thread to the loop of another one: how they travel, and the
 * thread's end of it; see `_thread_loop_server.ts` for the loop's.
 *
 * A thread that blocks hears no message, so the two sides talk through shared
 * memory, which is all that a loop's handle consists of. It has a head and
 * slots. A thread takes a slot for as long as it has calls under way; a slot
 * is a pair of pipes, one for calls and one for answers. Both carry messages
 * as a stream of bytes, so that no message is too long.
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
 * This file is also part of the program of a worker thread, see
 * `_thread_worker.ts`: it uses nothing of a runtime but its globals.
 *
 * @module
 */

import {
  ByteWriter,
  decodeValue,
  encodeValue,
  isEncodable,
} from "./_thread_codec.ts";
import {
  type CallOutcome,
  type ThreadCall,
  type ThreadFuture,
  threadFuture,
} from "./_thread_future.ts";
import {
  addFrames,
  describeValue,
  excerpt,
  explainCloneError,
  type Packed,
  stackAbove,
  tryRead,
  unpack,
  type Unsent,
} from "./_thread_serialize.ts";
import { CancelledError, RuntimeError } from "./exceptions.ts";

/**
 * A loop as other threads know it: `loop.handle()` makes it, and
 * `runCoroutineThreadsafe` takes it. It can be an argument of `toThread`, and
 * it can be posted to a worker of your own.
 */
export interface LoopHandle {
  /** Tells handles from other objects. */
  readonly kind: "asyncio.EventLoop";
  /** Tells loops from each other. */
  readonly id: string;
  /** What the loop and the threads write to. */
  readonly memory: SharedArrayBuffer;
}

/** A message to the loop: the number of the call, and what is asked; no name cancels it. */
export type RequestMessage = readonly [
  id: number,
  name: string | null,
  args: unknown[],
];

/** A message from the loop: the number of the call, then how it has ended. */
export type ReplyMessage = readonly [
  id: number,
  kind: CallOutcome<unknown>["kind"],
  value: unknown,
];

/** Gives the frames of a stack that are to be shown. */
export type FrameFilter = (at: Error) => readonly string[];

/** Where things lie in the memory of a handle. Places are counted in cells of four bytes. */
export class Layout {
  /** Raised by threads that have something for the loop. */
  static readonly DOORBELL = 0;
  /** 1 once the loop is closed. */
  static readonly CLOSED = 1;
  /** How many slots there are. */
  static readonly SLOT_COUNT = 2;
  /** Where the first slot begins. */
  static readonly HEADER_SIZE = 16;

  /** Within a slot: 1 while a thread has it. */
  static readonly IN_USE = 0;
  /** Raised by the loop when it has written, read or closed. */
  static readonly WAKE = 1;
  /** Bytes that were written to the two pipes and read from them, ever. */
  static readonly REQUEST_WRITTEN = 2;
  static readonly REQUEST_READ = 3;
  static readonly REPLY_WRITTEN = 4;
  static readonly REPLY_READ = 5;
  /** 1 while the loop has more to answer than fits. */
  static readonly BACKLOG = 6;
  /** How many calls were made through the slot, ever. */
  static readonly CALL_COUNT = 7;
  /** 1 while the thread may be waiting for room. */
  static readonly SENDER_WAITS = 8;
  /** Where the pipes of a slot begin. */
  static readonly BUFFERS = 16;

  /** Bytes that fit into a pipe, a power of two. */
  static readonly BUFFER_BYTES = 16_384;
  static readonly SLOT_SIZE: number = Layout.BUFFERS + Layout.BUFFER_BYTES / 2;
  static readonly MAX_SLOTS = 2048;

  /** The memory of a new handle. It grows with the slots that are taken. */
  static allocate(): SharedArrayBuffer {
    const most = Layout.HEADER_SIZE + Layout.MAX_SLOTS * Layout.SLOT_SIZE;
    return new SharedArrayBuffer(Layout.HEADER_SIZE * 4, {
      maxByteLength: most * 4,
    });
  }
}

/** A stream of bytes through shared memory, with one writer and one reader. */
export class RingBuffer {
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
    const second = written === Layout.REPLY_WRITTEN ? Layout.BUFFER_BYTES : 0;
    const start = (slot + Layout.BUFFERS) * 4 + second;
    this.#bytes = new Uint8Array(cells.buffer, start, Layout.BUFFER_BYTES);
  }

  /** Writes what fits of the bytes after `from`. Returns how many fitted. */
  write(bytes: Uint8Array, from: number): number {
    const written = Atomics.load(this.#cells, this.#written);
    const held = (written - Atomics.load(this.#cells, this.#read)) | 0;
    const size = Layout.BUFFER_BYTES;
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
    const size = Layout.BUFFER_BYTES;
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
export class MessageFramer {
  /** For the next message; `null` while one is written, which may run code that sends another. */
  static #writer: ByteWriter | null = new ByteWriter();

  /** The length of the message under way, in four bytes, then the message. */
  #bytes: Uint8Array = new Uint8Array(4);
  #filled = 0;
  #inHeader = true;

  /** The bytes of a message, with its length before them. */
  static encode(message: unknown): Uint8Array {
    const writer = MessageFramer.#writer ?? new ByteWriter();
    MessageFramer.#writer = null;
    try {
      writer.skip(4);
      encodeValue(message, writer);
      writer.setUint32(0, writer.length - 4);
      return writer.decode();
    } finally {
      writer.reset();
      MessageFramer.#writer = writer;
    }
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
      const length = this.#inHeader
        ? new DataView(full.buffer).getUint32(0)
        : 4;
      if (!this.#inHeader) messages.push(decodeValue(full));
      this.#bytes = new Uint8Array(length);
      this.#inHeader = !this.#inHeader;
    }
    return messages;
  }
}

/** Whether a value is what `loop.handle()` returns. */
export function isLoopHandle(value: unknown): value is LoopHandle {
  return tryRead(() =>
    (value as LoopHandle | null)?.kind === "asyncio.EventLoop" &&
    (value as LoopHandle).memory instanceof SharedArrayBuffer
  ) === true;
}

/** Calls what a loop of another thread has exposed. */
export function callLoop<T>(
  name: unknown,
  handle: unknown,
  args: unknown[],
  framesOf: FrameFilter,
): ThreadFuture<T> {
  if (!isLoopHandle(handle)) {
    throw new TypeError(
      `Cannot run a coroutine on a loop: expected what loop.handle() returns, got ${
        describeValue(handle)
      }`,
    );
  }
  if (typeof name !== "string") {
    throw new TypeError(
      `Cannot run a coroutine on the loop of another thread: expected the name of a function that the loop exposes, got ${
        describeValue(name)
      }`,
    );
  }
  const call = LoopClient.of(handle).call(name, args);
  const at = stackAbove(callLoop);
  call.subscribeError((error) => addFrames(error, framesOf(at)));
  return threadFuture(call as RemoteCall<T>);
}

/** This thread as a client of the loop of another one. */
export class LoopClient {
  static readonly #clients = new Map<string, LoopClient>();

  readonly #cells: Int32Array;
  /** Where the slot begins, -1 while there is none. */
  #slot = -1;
  #requests!: RingBuffer;
  #replies!: RingBuffer;
  #framer = new MessageFramer();
  /** Calls that the loop has not answered; while there are any, there is a slot. */
  readonly #calls = new Map<number, RemoteCall<unknown>>();
  /** Whether answers are listened for, so that this thread need not block. */
  #listening = false;
  /** Whether it is to be seen to on the next turn that no answer is left unheard. */
  #willListen = false;

  /** The one client of a loop. */
  static of(handle: LoopHandle): LoopClient {
    const clients = LoopClient.#clients;
    let client = clients.get(handle.id);
    if (client === undefined) {
      for (const [id, other] of clients) {
        if (other.#closed && other.#calls.size === 0) clients.delete(id);
      }
      clients.set(handle.id, client = new LoopClient(handle.memory));
    }
    return client;
  }

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
  }

  call(name: string, args: unknown[]): RemoteCall<unknown> {
    if (this.#closed) throw new RuntimeError("The event loop is closed");
    this.poll(); // Otherwise answers pile up on both sides when nobody asks for them.
    if (this.#slot < 0) this.#acquireSlot();
    try {
      const id = Atomics.add(this.#cells, this.#slot + Layout.CALL_COUNT, 1);
      const action = `Cannot call ${excerpt(name)} on its loop`;
      const sent = { action, value: args, name: "args" };
      const bytes = encodeMessage([id, name, args], sent);
      const call = new RemoteCall<unknown>(this, id);
      this.#calls.set(id, call);
      this.#send(bytes);
      this.#listenSoon();
      return call;
    } finally {
      this.#releaseSlotIfIdle();
    }
  }

  cancel(id: number): void {
    if (this.#calls.has(id)) this.#send(MessageFramer.encode([id, null, []]));
  }

  /** Takes in what the loop has answered. */
  poll(): void {
    // Asked first: what was answered before the end is still to be heard.
    const closed = this.#closed;
    while (this.#slot >= 0) {
      const bytes = this.#replies.read();
      if (bytes === null) break;
      const more = Atomics.load(this.#cells, this.#slot + Layout.BACKLOG);
      if (more === 1) this.#notify(Layout.DOORBELL);
      for (const answer of this.#framer.take(bytes)) {
        this.#settle(answer as ReplyMessage);
      }
      this.#releaseSlotIfIdle();
    }
    if (closed) this.#failAll();
  }

  /** Blocks until a call has its outcome. */
  block(call: RemoteCall<unknown>, seconds: number): void {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const signal = this.#wakeCount;
      if (call.done()) return;
      const left = end - performance.now();
      if (left <= 0) return;
      Atomics.wait(this.#cells, this.#slot + Layout.WAKE, signal, left);
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
      const place = this.#slot + Layout.WAKE;
      const signal = Atomics.load(this.#cells, place);
      this.poll();
      if (this.#slot < 0) break;
      await Atomics.waitAsync(this.#cells, place, signal).value;
    }
    this.#listening = false;
  }

  /** Listens for the answers that are still out once the code that has asked is done or waits. */
  #listenSoon(): void {
    if (this.#willListen || this.#listening) return;
    this.#willListen = true;
    queueMicrotask(() => {
      this.#willListen = false;
      if (this.#slot >= 0) this.listen();
    });
  }

  get #wakeCount(): number {
    return Atomics.load(this.#cells, this.#slot + Layout.WAKE);
  }

  get #closed(): boolean {
    return Atomics.load(this.#cells, Layout.CLOSED) === 1;
  }

  /** Finds a free slot, or makes one. */
  #acquireSlot(): void {
    const cells = this.#cells;
    const { HEADER_SIZE, SLOT_SIZE, SLOT_COUNT, MAX_SLOTS, IN_USE } = Layout;
    for (let i = 0;; i++) {
      const slot = HEADER_SIZE + i * SLOT_SIZE;
      if (i === MAX_SLOTS) {
        throw new RuntimeError("Too many threads have called this event loop");
      }
      if (i >= Atomics.load(cells, SLOT_COUNT)) {
        growTo(cells.buffer as SharedArrayBuffer, (slot + SLOT_SIZE) * 4);
        Atomics.compareExchange(cells, SLOT_COUNT, i, i + 1);
      }
      if (Atomics.compareExchange(cells, slot + IN_USE, 0, 1) !== 0) continue;
      this.#slot = slot;
      this.#requests = new RingBuffer(cells, slot, Layout.REQUEST_WRITTEN);
      this.#replies = new RingBuffer(cells, slot, Layout.REPLY_WRITTEN);
      this.#framer = new MessageFramer();
      return;
    }
  }

  /** Gives the slot back when nothing is under way. */
  #releaseSlotIfIdle(): void {
    if (this.#slot < 0 || this.#calls.size > 0) return;
    const slot = this.#slot;
    this.#slot = -1;
    Atomics.store(this.#cells, slot + Layout.IN_USE, 0);
    // Whoever listens there is to go on at the next slot.
    if (this.#listening) this.#notify(slot + Layout.WAKE);
  }

  /**
   * Writes a message, and blocks for as long as there is no room. Before it
   * does, the loop is told and the pipe is tried again: it could have been
   * emptied in between.
   */
  #send(bytes: Uint8Array): void {
    const room = this.#slot + Layout.SENDER_WAITS;
    for (let at = 0;;) {
      const signal = this.#wakeCount;
      const count = this.#requests.write(bytes, at);
      if (count > 0) this.#notify(Layout.DOORBELL);
      at += count;
      if (at === bytes.length || this.#closed) return;
      if (Atomics.exchange(this.#cells, room, 1) === 0) continue;
      Atomics.wait(this.#cells, this.#slot + Layout.WAKE, signal);
    }
  }

  #notify(place: number): void {
    Atomics.add(this.#cells, place, 1);
    Atomics.notify(this.#cells, place);
  }

  #settle([id, kind, value]: ReplyMessage): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (kind === "result") call?.settle({ kind, value });
    else if (kind === "cancelled") {
      call?.settle({ kind, message: String(value) });
    } else call?.settle({ kind, error: unpack(value as Packed) });
  }

  #failAll(): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#releaseSlotIfIdle();
    for (const call of calls) {
      const error = new RuntimeError("The event loop is closed");
      call.settle({ kind: "error", error });
    }
  }
}

/** A call to the loop of another thread. */
export class RemoteCall<T> implements ThreadCall<T> {
  readonly #client: LoopClient;
  readonly #id: number;
  #outcome: CallOutcome<T> | null = null;
  #subscribers: (() => void)[] = [];
  #onError: (error: unknown) => void = () => {};

  constructor(client: LoopClient, id: number) {
    this.#client = client;
    this.#id = id;
  }

  done(): boolean {
    if (this.#outcome === null) this.#client.poll();
    return this.#outcome !== null;
  }

  outcome(): CallOutcome<T> {
    return this.#outcome!;
  }

  block(seconds: number): void {
    this.#client.block(this as RemoteCall<unknown>, seconds);
  }

  cancel(): void {
    this.#client.cancel(this.#id);
    this.settle({ kind: "cancelled", message: "" });
  }

  /** What comes after a cancellation is not heard. */
  settle(outcome: CallOutcome<T>): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    if (outcome.kind === "error") this.#onError(outcome.error);
    const subscribers = this.#subscribers;
    this.#subscribers = [];
    for (const fn of subscribers) fn();
  }

  /** Calls with the error, if there is to be one, before anyone else sees it. */
  subscribeError(fn: (error: unknown) => void): void {
    this.#onError = fn;
  }

  subscribe(fn: () => void): void {
    if (this.done()) return fn();
    this.#subscribers.push(fn);
    this.#client.listen();
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

/** The bytes of a message, or an error with the path to what cannot be sent in it. */
export function encodeMessage(message: unknown, unsent: Unsent): Uint8Array {
  try {
    return MessageFramer.encode(message);
  } catch (error) {
    throw explainCloneError({ ...unsent, canSend: isEncodable }, error);
  }
}

/** Makes memory at least so long, whoever else does so at the same time. */
function growTo(memory: SharedArrayBuffer, length: number): void {
  while (memory.byteLength < length) {
    try {
      memory.grow(length);
    } catch (error) {
      if (memory.byteLength < length) throw error;
    }
  }
}
