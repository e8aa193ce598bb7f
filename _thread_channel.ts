/**
 * Calls from a thread to a loop of another thread: the protocol and the client
 * side. The loop's side is `_thread_loop_server.ts`.
 *
 * A blocked thread receives no messages, so the two sides communicate through
 * the shared memory of the loop's handle. It has a header and slots. A thread
 * holds a slot while it has pending calls. A slot is a pair of ring buffers,
 * one for requests and one for replies. Both carry messages as a byte stream,
 * so that messages can have any length.
 *
 * Each side wakes the other by incrementing a counter: the loop waits on the
 * doorbell in the header with `Atomics.waitAsync`, a thread on the wake counter
 * of its slot, blocked or not. The loop never blocks: replies that do not fit
 * are queued in its own memory until the thread has read some. A thread whose
 * requests do not fit blocks until the loop has read some.
 *
 * A message port would be simpler, but a handle with a port could only be moved
 * to a single thread, not cloned.
 *
 * This file is also part of the worker program, see `_thread_worker.ts`: it
 * must use nothing but globals.
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
 * A handle of an event loop for other threads: returned by `loop.handle()`,
 * taken by `runCoroutineThreadsafe`. It can be an argument of `toThread`, or be
 * posted to your own worker.
 */
export interface LoopHandle {
  /** Distinguishes handles from other objects. */
  readonly kind: "asyncio.EventLoop";
  /** Identifies the loop. */
  readonly id: string;
  /** The memory shared by the loop and the threads. */
  readonly memory: SharedArrayBuffer;
}

/** A message to the loop: the call id, the function name and its arguments; `null` as name cancels the call. */
export type RequestMessage = readonly [
  id: number,
  name: string | null,
  args: unknown[],
];

/** A message from the loop: the call id and the outcome. */
export type ReplyMessage = readonly [
  id: number,
  kind: CallOutcome<unknown>["kind"],
  value: unknown,
];

/** Returns the frames of a stack to show. */
export type FrameFilter = (at: Error) => readonly string[];

/** The memory layout of a handle. Offsets are in cells of four bytes. */
export class Layout {
  /** Incremented by threads to wake the loop. */
  static readonly DOORBELL = 0;
  /** 1 once the loop is closed. */
  static readonly CLOSED = 1;
  /** The number of slots. */
  static readonly SLOT_COUNT = 2;
  /** The size of the header, where the first slot begins. */
  static readonly HEADER_SIZE = 16;

  /** Within a slot: 1 while a thread holds it. */
  static readonly IN_USE = 0;
  /** Incremented by the loop when it has written, read or closed. */
  static readonly WAKE = 1;
  /** The total number of bytes written to and read from the two buffers. */
  static readonly REQUEST_WRITTEN = 2;
  static readonly REQUEST_READ = 3;
  static readonly REPLY_WRITTEN = 4;
  static readonly REPLY_READ = 5;
  /** 1 while the loop has replies that do not fit. */
  static readonly BACKLOG = 6;
  /** The total number of calls made through the slot. */
  static readonly CALL_COUNT = 7;
  /** 1 while the thread may be waiting for space. */
  static readonly SENDER_WAITS = 8;
  /** Where the buffers of a slot begin. */
  static readonly BUFFERS = 16;

  /** The size of a buffer in bytes, a power of two. */
  static readonly BUFFER_BYTES = 16_384;
  static readonly SLOT_SIZE: number = Layout.BUFFERS + Layout.BUFFER_BYTES / 2;
  static readonly MAX_SLOTS = 2048;

  /** Allocates the memory of a handle. It grows with the number of slots. */
  static allocate(): SharedArrayBuffer {
    const most = Layout.HEADER_SIZE + Layout.MAX_SLOTS * Layout.SLOT_SIZE;
    return new SharedArrayBuffer(Layout.HEADER_SIZE * 4, {
      maxByteLength: most * 4,
    });
  }
}

/** A ring buffer in shared memory, with one writer and one reader. */
export class RingBuffer {
  readonly #cells: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #written: number;
  readonly #read: number;

  /**
   * Creates either end of a buffer.
   *
   * @param cells The memory of the handle.
   * @param slot Where the slot begins.
   * @param written The slot's cell that counts the bytes written; the next one counts those read.
   */
  constructor(cells: Int32Array, slot: number, written: number) {
    this.#cells = cells;
    this.#written = slot + written;
    this.#read = slot + written + 1;
    const second = written === Layout.REPLY_WRITTEN ? Layout.BUFFER_BYTES : 0;
    const start = (slot + Layout.BUFFERS) * 4 + second;
    this.#bytes = new Uint8Array(cells.buffer, start, Layout.BUFFER_BYTES);
  }

  /** Writes what fits of the bytes from `from` on. Returns their number. */
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

  /** Reads all available bytes; `null` if there are none. */
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

/** Splits a byte stream into messages. */
export class MessageFramer {
  /** The writer to reuse; `null` while in use, as encoding may run code that sends another message. */
  static #writer: ByteWriter | null = new ByteWriter();

  /** The length of the current message in four bytes, then the message. */
  #bytes: Uint8Array = new Uint8Array(4);
  #filled = 0;
  #inHeader = true;

  /** Encodes a message, prefixed with its length. */
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

  /** Returns the messages completed by the next bytes of the stream. */
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

/** Calls a function that a loop of another thread exposes. */
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

/** The client side of a loop in another thread. */
export class LoopClient {
  static readonly #clients = new Map<string, LoopClient>();

  readonly #cells: Int32Array;
  /** The offset of the slot, -1 while there is none. */
  #slot = -1;
  #requests!: RingBuffer;
  #replies!: RingBuffer;
  #framer = new MessageFramer();
  /** Pending calls; while there are any, a slot is held. */
  readonly #calls = new Map<number, RemoteCall<unknown>>();
  /** Whether this thread listens for replies without blocking. */
  #listening = false;
  /** Whether a microtask will start listening. */
  #willListen = false;

  /** Returns the client of a loop. */
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
    this.poll(); // So that replies that nobody reads do not pile up on both sides.
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

  /** Processes the replies of the loop. */
  poll(): void {
    // Read first: replies sent before the loop closed still count.
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

  /** Blocks until a call is done or time has run out. */
  block(call: RemoteCall<unknown>, seconds: number): void {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const signal = this.#wakeCount;
      if (call.done()) return;
      const remaining = end - performance.now();
      if (remaining <= 0) return;
      Atomics.wait(this.#cells, this.#slot + Layout.WAKE, signal, remaining);
    }
  }

  /** Processes replies while this thread does something else. */
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

  /** Starts listening once the running code has ended or awaits, if calls are still pending. */
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

  /** Acquires a free slot, or adds one. */
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

  /** Releases the slot when no calls are pending. */
  #releaseSlotIfIdle(): void {
    if (this.#slot < 0 || this.#calls.size > 0) return;
    const slot = this.#slot;
    this.#slot = -1;
    Atomics.store(this.#cells, slot + Layout.IN_USE, 0);
    // So that the listener moves on to the next slot.
    if (this.#listening) this.#notify(slot + Layout.WAKE);
  }

  /**
   * Writes a message, and blocks while there is no space. Before blocking it
   * sets the flag and tries again, as the loop may have read in between.
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

/** A call to a loop of another thread. */
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

  /** Sets the outcome; a reply after a cancellation is ignored. */
  settle(outcome: CallOutcome<T>): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    if (outcome.kind === "error") this.#onError(outcome.error);
    const subscribers = this.#subscribers;
    this.#subscribers = [];
    for (const fn of subscribers) fn();
  }

  /** Calls a function with the error of the call, if any, before anyone else sees it. */
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

/** Encodes a message. Throws an error with the path to what cannot be sent. */
export function encodeMessage(message: unknown, unsent: Unsent): Uint8Array {
  try {
    return MessageFramer.encode(message);
  } catch (error) {
    throw explainCloneError({ ...unsent, canSend: isEncodable }, error);
  }
}

/** Grows memory to at least a length, safely against concurrent calls. */
function growTo(memory: SharedArrayBuffer, length: number): void {
  while (memory.byteLength < length) {
    try {
      memory.grow(length);
    } catch (error) {
      if (memory.byteLength < length) throw error;
    }
  }
}
