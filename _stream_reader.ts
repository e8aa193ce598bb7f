/**
 * The reading half of a stream.
 *
 * A read that finds what it needs in the buffer returns it at once. Otherwise
 * it waits, and takes its bytes out of the buffer only when the waiting code
 * resumes. A read that is cancelled, at whatever moment, has taken nothing.
 *
 * @module
 */

import {
  type Bytes,
  checkBytes,
  isBytes,
  type OwnBytes,
  toBytes,
} from "./_bytes.ts";
import { rejection } from "./_error_stack.ts";
import { AGAIN, type AnyFuture, callersLoop, futures } from "./_future.ts";
import type { EventLoop } from "./_event_loop.ts";
import { checkpoint, isOverdue, settledPromise } from "./_waiting_call.ts";
import type { Cancellable } from "./_options.ts";
import { checkCaller, outsideTasks } from "./_io_batch.ts";
import { type ByteSource, ReadPump } from "./_read_pump.ts";
import { internals as loops } from "./_scheduler.ts";
import { checkLimit, DEFAULT_LIMIT } from "./_stream_options.ts";
import {
  NEWLINE,
  ReadAll,
  ReaderState,
  ReadExactly,
  ReadLine,
  readPolicy,
  ReadReady,
  type ReadRequest,
  ReadSome,
  ReadUntil,
  type StreamFailure,
} from "./_read_request.ts";
import { checkOptions, describe, isIterable, signalOf } from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

/** Options of a {@linkcode StreamReader}. */
export interface StreamReaderOptions {
  /**
   * The longest line, in bytes without its newline. Reading ahead stops at
   * twice the limit. By default 64 KiB.
   *
   * @default 65536
   */
  limit?: number | undefined;
}

/** Internals of a reader, for the other files of this module. */
export interface ReaderInternals {
  /** Connects the reader to a source. */
  attach(
    reader: StreamReader,
    loop: EventLoop,
    source: ByteSource,
    hooks: ReaderHooks,
  ): void;
  pump(reader: StreamReader): ReadPump | null;
  /** Adds a chunk that nobody else refers to. */
  adopt(reader: StreamReader, chunk: OwnBytes): void;
  /** Ends the reader, with an error or without, and stops reading. */
  end(reader: StreamReader, failure: StreamFailure | null): void;
  failure(reader: StreamReader): StreamFailure | null;
  /** Whether to read ahead although no read waits, in order to notice the end. */
  watch(reader: StreamReader, isWatched: boolean): void;
  isEnded(reader: StreamReader): boolean;
  /** Whether bytes were received that nobody has read. */
  hasUnread(reader: StreamReader): boolean;
}

/** What a connection does when its reader ends. */
export interface ReaderHooks {
  onError(error: unknown): void;
  onEnd?(): void;
}

const OPTIONS = ["limit"];
/** The largest chunk of a web stream. */
const MAX_CHUNK = 131_072;

export let readers: ReaderInternals;

/**
 * Reads bytes from a stream: some, all, an exact number, or up to a separator.
 *
 * Only one read can wait at a time. A read that is cancelled, times out or is
 * aborted has consumed nothing: the bytes stay for the next read. A read that
 * lost a `Promise.race()` still waits and consumes what arrives; to give up on
 * a read, use `timeout()`, `waitFor()` or a signal.
 *
 * The result of a read is a view of memory that it may share with other reads.
 * Copy it with `slice()` before you transfer it to another thread, or to keep
 * a few bytes of a large buffer. Results of 4 KiB and more may be transferred
 * as they are.
 *
 * `openConnection` and servers create readers. A reader that you create
 * yourself gets its bytes from `feedData()`.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.StreamReader}.
 *
 * @example
 * ```ts
 * import { StreamReader } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = new StreamReader();
 * reader.feedData(new TextEncoder().encode("first\nsecond\nrest"));
 * reader.feedEof();
 *
 * const text = new TextDecoder();
 * assertEquals(text.decode(await reader.readline()), "first\n");
 * assertEquals(text.decode(await reader.readuntil("nd")), "second");
 * assertEquals(text.decode(await reader.read()), "\nrest");
 * ```
 */
export class StreamReader implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  readonly #state: ReaderState;
  /** The waiting read; `null` again once it is notified. */
  #pending: ReadRequest | null = null;
  /** Reads ahead, because somebody waits for the end of the connection. */
  #isWatched = false;
  #pump: ReadPump | null = null;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;

  /**
   * Creates a reader to feed with `feedData()`.
   *
   * @param options The limit of a line.
   * @throws {RangeError} If the limit is not a whole number above 0.
   * @throws {TypeError} If the limit is not a number, or an option is unknown.
   */
  constructor(options: StreamReaderOptions = {}) {
    checkOptions(options, OPTIONS, "create a stream");
    const { limit = DEFAULT_LIMIT } = options;
    checkLimit(limit);
    this.#state = new ReaderState(limit);
  }

  static {
    readPolicy.complete = (reader, read) =>
      (reader as StreamReader).#complete(read);
    readPolicy.remove = (reader, read) =>
      (reader as StreamReader).#remove(read);
    readers = {
      attach: (reader, loop, source, hooks) =>
        reader.#attach(loop, source, hooks),
      pump: (reader) => reader.#pump,
      adopt: (reader, chunk) => {
        reader.#state.buffer.adopt(chunk);
        reader.#received();
      },
      end: (reader, failure) => reader.#end(failure),
      failure: (reader) => reader.#state.failure,
      watch: (reader, isWatched) => {
        reader.#isWatched = isWatched;
        if (isWatched) reader.#readAhead();
        else reader.#releasePump();
      },
      isEnded: (reader) => reader.#state.eof || reader.#state.failure !== null,
      hasUnread: (reader) =>
        reader.#state.buffer.size > 0 || reader.#state.isSkippingLine,
    };
  }

  /** Whether the stream has ended and all its bytes were read. */
  atEof(): boolean {
    const { eof, buffer } = this.#state;
    if (!eof && buffer.size === 0) this.#readAhead();
    return eof && buffer.size === 0;
  }

  /** The error that ended the stream, or `null`. */
  exception(): unknown {
    this.#readAhead();
    return this.#state.failure?.error ?? null;
  }

  /**
   * Reads up to `n` bytes. Waits only if the buffer is empty.
   *
   * If it is cancelled, it has consumed nothing.
   *
   * @param n The largest number of bytes. By default, and if it is negative, everything up to the end of the stream, whatever the limit.
   * @param options A signal that cancels the read.
   * @returns At least one byte; none at the end of the stream.
   * @throws {RangeError} If `n` is not a whole number.
   * @throws {TypeError} If `n` is not a number.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read is waiting, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { StreamReader } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = new StreamReader();
   * reader.feedData(new Uint8Array([1, 2, 3]));
   * reader.feedEof();
   * assertEquals(await reader.read(2), new Uint8Array([1, 2]));
   * assertEquals(await reader.read(), new Uint8Array([3]));
   * assertEquals(await reader.read(), new Uint8Array(0));
   * ```
   */
  read(n = -1, options?: Cancellable): Promise<Uint8Array<ArrayBuffer>> {
    const wrong = countError(n, -Infinity, Infinity);
    if (wrong !== null) return rejection(wrong);
    const read = n < 0
      ? new ReadAll(this, this.#state)
      : new ReadSome(this, this.#state, n);
    return this.#read(read, options);
  }

  /**
   * Reads a line including its `"\n"`. The last line may lack it.
   *
   * If it is cancelled, it has consumed nothing: the next call returns the
   * whole line.
   *
   * @param options A signal that cancels the read.
   * @returns The line; empty at the end of the stream.
   * @throws {RangeError} If the line is longer than the limit. The whole line is dropped, including the part that has not arrived yet.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read is waiting, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { StreamReader, TimeoutError, waitFor } from "@asyncio/asyncio";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * const reader = new StreamReader();
   * reader.feedData(new TextEncoder().encode("spam"));
   * await assertRejects(() => waitFor(reader.readline(), 0.01), TimeoutError);
   *
   * reader.feedData(new TextEncoder().encode(" and eggs\n"));
   * const line = await reader.readline();
   * assertEquals(new TextDecoder().decode(line), "spam and eggs\n");
   * ```
   */
  readline(options?: Cancellable): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const line = options === undefined && !isOverdue()
        ? this.#bufferedLine()
        : null;
      if (line !== null) return settledPromise(line);
    } catch (error) {
      return rejection(error);
    }
    return this.#read(new ReadLine(this, this.#state), options);
  }

  /**
   * Reads exactly `n` bytes, whatever the limit.
   *
   * If it is cancelled, it has consumed nothing.
   *
   * @param n The number of bytes.
   * @param options A signal that cancels the read.
   * @returns The `n` bytes.
   * @throws {IncompleteReadError} If the stream ends first. Its `partial` has the bytes that were left.
   * @throws {RangeError} If `n` is negative or not a whole number.
   * @throws {TypeError} If `n` is not a number.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read is waiting, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { IncompleteReadError, StreamReader } from "@asyncio/asyncio";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * const reader = new StreamReader();
   * reader.feedData(new Uint8Array([1, 2, 3]));
   * reader.feedEof();
   * assertEquals(await reader.readexactly(2), new Uint8Array([1, 2]));
   * await assertRejects(() => reader.readexactly(2), IncompleteReadError);
   * ```
   */
  readexactly(
    n: number,
    options?: Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const wrong = countError(n, 0, Number.MAX_SAFE_INTEGER);
    if (wrong !== null) return rejection(wrong);
    return this.#read(new ReadExactly(this, this.#state, n), options);
  }

  /**
   * Reads up to and including a separator.
   *
   * Of several separators, the one that ends first is used; if two end at the
   * same byte, the shorter one. If it is cancelled, it has consumed nothing.
   *
   * @param separator Bytes or text, or an array of separators. By default a newline.
   * @param options A signal that cancels the read.
   * @returns The bytes, with the separator at their end.
   * @throws {IncompleteReadError} If the stream ends first. Its `partial` has the bytes that were left.
   * @throws {LimitOverrunError} If there are more bytes than the limit before the separator. They stay in the buffer.
   * @throws {RangeError} If the separator is empty, or the array is.
   * @throws {TypeError} If a separator is neither bytes nor text.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read is waiting, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { StreamReader } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = new StreamReader();
   * reader.feedData(new TextEncoder().encode("spam; ham, eggs"));
   * const bytes = await reader.readuntil([", ", "; "]);
   * assertEquals(new TextDecoder().decode(bytes), "spam; ");
   * ```
   */
  readuntil(
    separator: Bytes | readonly Bytes[] = "\n",
    options?: Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const separators = toSeparators(separator);
      return this.#read(new ReadUntil(this, this.#state, separators), options);
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Appends bytes to the stream.
   *
   * @param data The bytes, which are copied.
   * @throws {RuntimeError} After `feedEof()`.
   * @throws {TypeError} If `data` is not a `Uint8Array`.
   */
  feedData(data: Uint8Array): void {
    checkBytes(data, "feed a stream");
    if (this.#state.eof) {
      throw new RuntimeError("Cannot feed a stream: its end was signalled");
    }
    if (data.length === 0) return;
    this.#state.buffer.append(toBytes(data));
    if (this.#state.isSkippingLine) this.#state.skipLine();
    this.#notifyIfReady();
  }

  /** Signals the end of the stream. */
  feedEof(): void {
    this.#state.eof = true;
    this.#notifyIfReady();
  }

  /**
   * Ends the stream with an error. Every read throws it from now on, even if
   * bytes are left.
   *
   * @param error The error.
   */
  setException(error: unknown): void {
    this.#state.failure = { error, isObserved: false };
    this.#notify();
  }

  /**
   * Iterates over the lines of the stream, as `readline()` returns them.
   *
   * Leaving the iteration early, or cancelling it, loses no bytes.
   *
   * @returns The iterator.
   * @throws {CancelledError} If the task is cancelled while it waits for a line.
   *
   * @example
   * ```ts
   * import { StreamReader } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = new StreamReader();
   * reader.feedData(new TextEncoder().encode("one\ntwo\n"));
   * reader.feedEof();
   *
   * const lines: string[] = [];
   * for await (const line of reader) lines.push(new TextDecoder().decode(line));
   * assertEquals(lines, ["one\n", "two\n"]);
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array<ArrayBuffer>, undefined> {
    return {
      next: async () => {
        const value = await this.readline();
        return value.length > 0
          ? { done: false, value }
          : { done: true, value: undefined };
      },
    };
  }

  /**
   * The reader as a web stream.
   *
   * It reads on demand. Cancelling it ends the pending read and leaves the
   * remaining bytes and the connection alone. It belongs to no task:
   * cancelling the task that called `pipeTo()` does not end the pipe, but a
   * signal that is passed to `pipeTo()` does.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= this.#makeReadable();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<${this.#describe()}>`;
  }

  #attach(loop: EventLoop, source: ByteSource, hooks: ReaderHooks): void {
    this.#pump = new ReadPump(loop, source, {
      buffer: this.#state.buffer,
      received: () => this.#received(),
      ended: () => {
        this.#end(null);
        hooks.onEnd?.();
      },
      failed: (error) => hooks.onError(error),
    });
  }

  #read(read: ReadRequest, options?: Cancellable): Promise<OwnBytes> {
    try {
      const signal = signalOf(options, "read");
      signal?.throwIfAborted();
      this.#state.throwFailure();
      if (this.#isReserved(read)) this.#throwBusy();
      if (!read.isReady()) return this.#wait(read, signal);
      if (isOverdue()) return checkpoint(() => this.#read(read, options));
      return settledPromise(read.result());
    } catch (error) {
      return rejection(error);
    }
  }

  /** The next line if it is in the buffer; `null` if `readline()` has to do more than return it. */
  #bufferedLine(): OwnBytes | null {
    const { buffer, failure, limit } = this.#state;
    if (failure !== null || this.#pending !== null) return null;
    const at = buffer.findByte(NEWLINE, 0, buffer.size);
    return at >= 0 && at <= limit ? buffer.take(at + 1) : null;
  }

  #wait(read: ReadRequest, signal?: AbortSignal): Promise<OwnBytes> {
    const loop = this.#loop;
    checkCaller(loop, "read");
    this.#register(read);
    const future = futures.make(loop, read);
    read.future = future;
    if (signal) futures.subscribeSignal(future, signal);
    this.#requestMore(read);
    return future as Promise<OwnBytes>;
  }

  /** The loop of the connection, or else of the caller. */
  get #loop(): EventLoop {
    return this.#pump?.loop ?? callersLoop();
  }

  #register(read: ReadRequest): void {
    if (this.#livePending() !== null) this.#throwBusy();
    this.#pending = read;
  }

  /** The waiting read. One whose loop was closed will never resume and is dropped. */
  #livePending(): ReadRequest | null {
    if (this.#pending?.future?.getLoop().isClosed()) this.#pending = null;
    return this.#pending;
  }

  /** Whether a waiting read needs all bytes up to the end. */
  #isReserved(read: ReadRequest): boolean {
    return this.#livePending() instanceof ReadAll && read.maxBytes() > 0;
  }

  #throwBusy(): never {
    throw new RuntimeError(
      "Cannot read: another read waits already; a read that lost a Promise.race() keeps waiting",
    );
  }

  /** A notified read resumes. If another read was faster, it waits again. */
  #complete(read: ReadRequest): OwnBytes | typeof AGAIN {
    this.#state.throwFailure();
    if (read.isReady()) return read.result();
    this.#register(read);
    this.#requestMore(read);
    return AGAIN;
  }

  #remove(read: ReadRequest): void {
    if (this.#pending !== read) return;
    this.#pending = null;
    this.#releasePump();
  }

  #releasePump(): void {
    if (this.#pending === null && !this.#isWatched) this.#pump?.release();
  }

  #requestMore(read: ReadRequest): void {
    if (this.#pump === null) return;
    const { limit, buffer } = this.#state;
    const room = Math.max(2 * limit, read.maxBytes()) - buffer.size;
    this.#pump.request(room, true);
  }

  /** Reads ahead although no read waits, so that the end is noticed. */
  #readAhead(): void {
    const { buffer, limit } = this.#state;
    const room = 2 * limit - buffer.size;
    if (this.#pending !== null || room <= 0) return;
    this.#pump?.request(room, this.#isWatched);
  }

  /** The pump has added bytes. */
  #received(): void {
    if (this.#pending !== null) loops.scheduleSoon(this.#pump!.loop);
    if (this.#state.isSkippingLine) this.#state.skipLine();
    this.#notifyIfReady();
  }

  /** Notifies the waiting read if it is ready, and requests more bytes if not. */
  #notifyIfReady(): void {
    if (this.#pending === null) {
      if (this.#isWatched && !this.#state.eof) this.#readAhead();
    } else if (this.#pending.isReady()) this.#notify();
    else if (!this.#state.eof) this.#requestMore(this.#pending);
  }

  #notify(): void {
    const read = this.#pending;
    if (read === null) return;
    this.#pending = null;
    const future = read.future as AnyFuture;
    futures.notify(future, future.getLoop());
  }

  #end(failure: StreamFailure | null): void {
    this.#pump?.stop();
    if (this.#state.eof || this.#state.failure !== null) return;
    if (failure === null) this.#state.eof = true;
    else this.#state.failure = failure;
    this.#notify();
  }

  #makeReadable(): ReadableStream<OwnBytes> {
    const pull = new PullState();
    return new ReadableStream({
      type: "bytes",
      pull: (to) => outsideTasks(this.#loop, () => this.#pull(pull, to)),
      cancel: () => pull.cancel(),
    }, { highWaterMark: 0 });
  }

  /** Waits for bytes before it takes any, so that cancelling the web stream loses none. */
  async #pull(
    pull: PullState,
    to: ReadableByteStreamController,
  ): Promise<void> {
    const { buffer } = this.#state;
    const ready = new ReadReady(this, this.#state, MAX_CHUNK);
    do {
      await pull.wait(this.#read(ready));
      if (pull.isCancelled) return;
    } while (!ready.isReady());
    this.#state.throwFailure();
    if (buffer.size > 0) {
      const count = Math.min(buffer.size, MAX_CHUNK);
      return to.enqueue(ownMemory(buffer.take(count)));
    }
    to.close();
    to.byobRequest?.respond(0);
  }

  #describe(): string {
    const { buffer, eof, failure } = this.#state;
    const state = failure !== null ? ", failed" : eof ? ", at its end" : "";
    const from = this.#pump?.describe();
    const origin = from === undefined ? "" : ` from ${from}`;
    return `StreamReader ${buffer.size} bytes${origin}${state}`;
  }
}

/** The pending read of a web stream. */
class PullState {
  /** The web stream was cancelled. */
  isCancelled = false;
  #read: AnyFuture | null = null;

  async wait(read: Promise<unknown>): Promise<void> {
    if (!(read instanceof Promise)) this.#read = read as AnyFuture;
    await read;
    this.#read = null;
  }

  cancel(): void {
    this.isCancelled = true;
    this.#read?.cancel();
  }
}

/**
 * Creates a reader over a source. The source is closed when it ends or fails,
 * or by {@linkcode endReader}.
 */
export function makeReader(
  loop: EventLoop,
  source: ByteSource,
  options: StreamReaderOptions = {},
): StreamReader {
  const reader = new StreamReader(options);
  readers.attach(reader, loop, source, {
    onError: (error) => readers.end(reader, { error, isObserved: false }),
  });
  return reader;
}

/** Ends a reader and closes its source. Buffered bytes can still be read. */
export function endReader(reader: StreamReader): void {
  readers.end(reader, null);
}

/** Copies bytes that share their memory, because web streams transfer theirs. */
function ownMemory(chunk: OwnBytes): OwnBytes {
  return chunk.length === chunk.buffer.byteLength ? chunk : chunk.slice();
}

/** The error for an invalid number of bytes; `null` if it is valid. */
function countError(
  count: unknown,
  min: number,
  max: number,
): Error | null {
  if (typeof count !== "number") {
    return new TypeError(
      `Cannot read: the number of bytes must be a number, got ${
        describe(count)
      }`,
    );
  }
  const isWhole = Number.isInteger(count) || Math.abs(count) === Infinity;
  if (isWhole && count >= min && count <= max) return null;
  return new RangeError(
    `Cannot read ${count} bytes: it ${
      isWhole ? `must be from ${min} to ${max}` : "is not a whole number"
    }`,
  );
}

/** Checks separators, copies them and sorts them by length. */
function toSeparators(separator: Bytes | readonly Bytes[]): Uint8Array[] {
  const action = "read up to a separator";
  if (!isIterable(separator)) checkBytes(separator, action);
  const given = isBytes(separator) ? [separator] : [...separator];
  for (const it of given) checkBytes(it, action);
  if (given.length === 0) {
    throw new RangeError(`Cannot ${action}: no separator was given`);
  }
  const separators = given.map((it) => toBytes(it).slice());
  separators.sort((a, b) => a.length - b.length);
  if (separators[0]!.length === 0) {
    throw new RangeError(`Cannot ${action}: the separator is empty`);
  }
  return separators;
}
