/**
 * The reading half of a stream.
 *
 * A read that finds what it wants in the buffer takes it at once. Otherwise
 * it waits as one future, and the bytes stay in the buffer until the code
 * that waits resumes: cancelled at whatever moment, it has taken nothing.
 *
 * Bytes come on demand: the {@linkcode Inlet} asks the source only while a
 * read waits, so an idle connection has no buffer and nothing that keeps the
 * program alive, and a peer that floods us is held back by its own kernel.
 *
 * @module
 */

import {
  ByteBuffer,
  type Bytes,
  checkBytes,
  type OwnBytes,
  toBytes,
} from "./_bytes.ts";
import {
  AGAIN,
  type AnyFuture,
  type EventLoop,
  futures,
  getEventLoop,
  type Waitable,
} from "./_future.ts";
import type { Cancellable } from "./_options.ts";
import { HostCalls } from "./_io.ts";
import { internals as loops } from "./_loop.ts";
import {
  IncompleteReadError,
  LimitOverrunError,
  RuntimeError,
} from "./exceptions.ts";

/** Where the bytes of a reader come from. */
export interface ByteSource {
  /** Reads into a buffer. Resolves to the number of bytes, `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Reads up to so many bytes that come in memory of their own; for sources that have such. */
  readChunk?(most: number): Promise<OwnBytes | null>;
  /** Nothing more will be read: the end was reached, reading failed or the reader was given up. */
  close(): void;
  /** Where the bytes come from, in a few words. */
  describe?(): string;
  /** A read that is under way keeps the program alive, as it does at first. */
  ref?(): void;
  /** A read that is under way does not keep the program alive. */
  unref?(): void;
}

/** Options of a {@linkcode StreamReader}. */
export interface StreamReaderOptions {
  /**
   * The longest line, in bytes without its end; reading ahead stops at twice
   * as much.
   *
   * @default 65536
   */
  limit?: number;
}

/** What the files above may do with a reader. */
export interface ReaderInternals {
  attach(reader: StreamReader, inlet: Inlet): void;
  inlet(reader: StreamReader): Inlet | null;
  /** Memory for the next bytes; see {@linkcode ByteBuffer.lend}. */
  lend(reader: StreamReader, size: number, most: number): OwnBytes;
  /** So many bytes have come into that memory. */
  filled(reader: StreamReader, count: number): void;
  /** Bytes have come in memory of their own. */
  adopt(reader: StreamReader, chunk: OwnBytes): void;
  /** Ends the reader, with an error or without; nothing more is read. */
  end(reader: StreamReader, failure: Failure | null): void;
  failure(reader: StreamReader): Failure | null;
  /** Somebody waits for the end, so it is to be noticed though nobody reads. */
  watch(reader: StreamReader): void;
  ended(reader: StreamReader): boolean;
}

/** Who hears of the end of a source. */
export interface InletHooks {
  onError(error: unknown): void;
  onEnd?(): void;
}

/** An error, and whether some code has been told of it. */
export interface Failure {
  readonly error: unknown;
  told: boolean;
}

/** The default limit, in bytes. */
const LIMIT = 65_536;
/** The first read of a connection takes so much; later ones follow the traffic. */
const SMALLEST_READ = 2_048;
const LARGEST_READ = 131072;

const NEWLINE = 10;
const newline = [new Uint8Array([NEWLINE])];

export let readers: ReaderInternals;

let takeNow: (reader: StreamReader, read: Read) => unknown;
let giveUp: (reader: StreamReader, read: Read) => void;

/**
 * Reads bytes as they come: some, all, an exact number, or up to a separator.
 *
 * One read can wait at a time. A read that is cancelled, timed out or aborted
 * has taken nothing: what had come stays for the next one.
 *
 * What is read is a view of memory that other reads may share. Who wants to
 * transfer it to another thread, or to keep a few bytes of a lot, makes a copy
 * with `slice()`; chunks of 4 KiB and more may be transferred as they are.
 *
 * `openConnection` and servers make readers; one made by hand is fed by hand.
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
  readonly #stock: Stock;
  /** The read that waits; a read that was woken waits no more. */
  #waiting: Read | null = null;
  /** Reads ahead, for somebody who waits for the end. */
  #watched = false;
  #inlet: Inlet | null = null;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;

  /**
   * Makes a reader that is fed by hand.
   *
   * @param options The limit.
   * @throws {RangeError} If the limit is not above 0.
   */
  constructor(options: StreamReaderOptions = {}) {
    const limit = options.limit ?? LIMIT;
    if (typeof limit !== "number" || !(limit > 0)) {
      throw new RangeError(
        `Cannot create a stream: limit must be above 0, got ${limit}`,
      );
    }
    this.#stock = new Stock(limit);
  }

  static {
    takeNow = (reader, read) => reader.#take(read);
    giveUp = (reader, read) => reader.#drop(read);
    readers = {
      attach: (reader, inlet) => reader.#inlet = inlet,
      inlet: (reader) => reader.#inlet,
      lend: (reader, size, most) => reader.#stock.buffer.lend(size, most),
      filled: (reader, count) => {
        reader.#stock.buffer.filled(count);
        reader.#came();
      },
      adopt: (reader, chunk) => {
        reader.#stock.buffer.adopt(chunk);
        reader.#came();
      },
      end: (reader, failure) => reader.#end(failure),
      failure: (reader) => reader.#stock.failure,
      watch: (reader) => {
        reader.#watched = true;
        reader.#watch();
      },
      ended: (reader) => reader.#stock.eof || reader.#stock.failure !== null,
    };
  }

  /** Whether the end was reached and everything before it was read. */
  atEof(): boolean {
    const { eof, buffer } = this.#stock;
    if (!eof && buffer.size === 0) this.#watch();
    return eof && buffer.size === 0;
  }

  /** The error that ended the stream, `null` if there is none. */
  exception(): unknown {
    this.#watch();
    return this.#stock.failure?.error ?? null;
  }

  /**
   * Reads up to `n` bytes, and waits only if there is none.
   *
   * Cancelled while it waits, it has read nothing.
   *
   * @param n The largest number of bytes; negative for all up to the end, whatever the limit.
   * @param options A signal that ends the wait.
   * @returns At least one byte, or none at the end.
   * @throws {RangeError} If `n` is not a whole number.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits.
   * @throws {CancelledError} If the task is cancelled.
   */
  read(n = -1, options?: Cancellable): Promise<Uint8Array<ArrayBuffer>> {
    if (!Number.isInteger(n) && Math.abs(n) !== Infinity) return refused(n);
    const read = n < 0
      ? new All(this, this.#stock)
      : new Some(this, this.#stock, n);
    return this.#read(read, options);
  }

  /**
   * Reads a line with its `"\n"`, or what is left before the end.
   *
   * Cancelled while it waits, it has read nothing: the next call gives the
   * whole line.
   *
   * @param options A signal that ends the wait.
   * @returns The line, empty at the end.
   * @throws {RangeError} If the line is longer than the limit. It is dropped, or, if its end has not come yet, all that has come.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits.
   * @throws {CancelledError} If the task is cancelled.
   */
  readline(options?: Cancellable): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const line = options === undefined ? this.#lineAtHand() : null;
      if (line !== null) return Promise.resolve(line);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#read(new Line(this, this.#stock), options);
  }

  /**
   * Reads `n` bytes, whatever the limit.
   *
   * Cancelled while it waits, it has read nothing.
   *
   * @param n The number of bytes.
   * @param options A signal that ends the wait.
   * @returns Exactly `n` bytes.
   * @throws {IncompleteReadError} If the end comes first; its `partial` has what was left.
   * @throws {RangeError} If `n` is negative or not a whole number.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits.
   * @throws {CancelledError} If the task is cancelled.
   */
  readexactly(
    n: number,
    options?: Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (!(Number.isInteger(n) && n >= 0)) return refused(n);
    return this.#read(new Exactly(this, this.#stock, n), options);
  }

  /**
   * Reads up to a separator and the separator with it.
   *
   * Of several separators the one that ends first counts, of those that end
   * together the shortest. Cancelled while it waits, it has read nothing.
   *
   * @param separator Bytes or text, or several of these.
   * @param options A signal that ends the wait.
   * @returns The bytes, the separator at their end.
   * @throws {IncompleteReadError} If the end comes first; its `partial` has what was left.
   * @throws {LimitOverrunError} If there are more bytes than the limit before the separator. They stay.
   * @throws {RangeError} If there is no separator, or an empty one.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits.
   * @throws {CancelledError} If the task is cancelled.
   */
  readuntil(
    separator: Bytes | readonly Bytes[] = "\n",
    options?: Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const separators = toSeparators(separator);
      return this.#read(new Until(this, this.#stock, separators), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Adds bytes at the end of what is there.
   *
   * @param data The bytes; they are copied.
   * @throws {RuntimeError} If the end was signalled.
   * @throws {TypeError} If it is not bytes.
   */
  feedData(data: Uint8Array): void {
    checkBytes(data, "feed a stream");
    if (this.#stock.eof) {
      throw new RuntimeError("Cannot feed a stream: its end was signalled");
    }
    if (data.length === 0) return;
    this.#stock.buffer.append(toBytes(data));
    this.#answer();
  }

  /** Signals that nothing more will come. */
  feedEof(): void {
    this.#stock.eof = true;
    this.#answer();
  }

  /**
   * Ends the stream with an error: every read from now on throws it, also if
   * bytes are left.
   *
   * @param error The error.
   */
  setException(error: unknown): void {
    this.#stock.failure = { error, told: false };
    this.#wake();
  }

  /**
   * The lines of the stream, the last one as it is. Leaving the loop early
   * loses no byte.
   *
   * @returns The iterator.
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
   * The same bytes as a stream of the Web. It takes them as they are asked
   * for; cancelling it ends its wait, and leaves the rest and the connection
   * as they are.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= this.#toWeb();
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<${this.#describe()}>`;
  }

  #read(read: Read, options?: Cancellable): Promise<OwnBytes> {
    try {
      options?.signal?.throwIfAborted();
      this.#stock.throwFailure();
      if (this.#isReserved(read)) this.#refuse();
      if (read.answered()) return Promise.resolve(read.answer());
      return this.#wait(read, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The next line if it is there and nothing stands against reading it. */
  #lineAtHand(): OwnBytes | null {
    const { buffer, failure, limit } = this.#stock;
    if (failure !== null || this.#waiting !== null) return null;
    const at = buffer.findByte(NEWLINE, 0, buffer.size);
    return at >= 0 && at <= limit ? buffer.take(at + 1) : null;
  }

  #wait(read: Read, options?: Cancellable): Promise<OwnBytes> {
    this.#enter(read);
    const future = futures.make(this.#inlet?.loop ?? getEventLoop(), read);
    read.future = future;
    if (options?.signal) futures.link(future, options.signal);
    this.#demand(read);
    return future as Promise<OwnBytes>;
  }

  #enter(read: Read): void {
    if (this.#waiting !== null) this.#refuse();
    this.#waiting = read;
  }

  /** Whether what is there belongs to a read that waits for all. */
  #isReserved(read: Read): boolean {
    return this.#waiting instanceof All && read.goal() > 0;
  }

  #refuse(): never {
    throw new RuntimeError("Cannot read: another read waits already");
  }

  /** The read that was woken resumes. Another one may have been first. */
  #take(read: Read): OwnBytes | typeof AGAIN {
    this.#stock.throwFailure();
    if (read.answered()) return read.answer();
    this.#enter(read);
    this.#demand(read);
    return AGAIN;
  }

  #drop(read: Read): void {
    if (this.#waiting !== read) return;
    this.#waiting = null;
    if (!this.#watched) this.#inlet?.relax();
  }

  #demand(read: Read): void {
    if (this.#inlet === null) return;
    const { limit, buffer } = this.#stock;
    const room = Math.max(2 * limit, read.goal()) - buffer.size;
    this.#inlet.demand(room, true);
  }

  /** Somebody asks how the stream stands: has the end noticed though no read waits. */
  #watch(): void {
    const { buffer, limit } = this.#stock;
    const room = 2 * limit - buffer.size;
    if (this.#waiting !== null || room <= 0) return;
    this.#inlet?.demand(room, this.#watched);
  }

  /** The source has brought something. */
  #came(): void {
    if (this.#waiting !== null) loops.hurry(this.#inlet!.loop);
    this.#answer();
  }

  /** Something came: wakes the read that waits for it, or has more read. */
  #answer(): void {
    if (this.#waiting === null) {
      if (this.#watched && !this.#stock.eof) this.#watch();
    } else if (this.#waiting.answered()) this.#wake();
    else if (!this.#stock.eof) this.#demand(this.#waiting);
  }

  #wake(): void {
    const read = this.#waiting;
    if (read === null) return;
    this.#waiting = null;
    const future = read.future as AnyFuture;
    futures.wake(future, future.getLoop());
  }

  #end(failure: Failure | null): void {
    this.#inlet?.stop();
    if (this.#stock.eof || this.#stock.failure !== null) return;
    if (failure === null) this.#stock.eof = true;
    else this.#stock.failure = failure;
    if (this.#waiting !== null) this.#wake();
  }

  #toWeb(): ReadableStream<OwnBytes> {
    let waiting: AnyFuture | null = null;
    return new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        const read = this.read(LARGEST_READ);
        waiting = this.#waiting?.future ?? null;
        const chunk = await read;
        waiting = null;
        if (chunk.length > 0) return controller.enqueue(unshared(chunk));
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: () => void waiting?.cancel(),
    }, { highWaterMark: 0 });
  }

  #describe(): string {
    const { buffer, eof, failure } = this.#stock;
    const state = failure !== null ? ", failed" : eof ? ", at its end" : "";
    const from = this.#inlet?.describe();
    const origin = from === undefined ? "" : ` from ${from}`;
    return `StreamReader ${buffer.size} bytes${origin}${state}`;
  }
}

/** What a reader has, and how it stands. */
class Stock {
  readonly buffer = new ByteBuffer();
  readonly limit: number;
  /** Nothing more will come. */
  eof = false;
  failure: Failure | null = null;

  constructor(limit: number) {
    this.limit = limit;
  }

  throwFailure(): void {
    if (this.failure === null) return;
    this.failure.told = true;
    throw this.failure.error;
  }
}

/** One read: what it is after, and its place in the reader while it waits. */
abstract class Read implements Waitable {
  readonly #reader: StreamReader;
  protected readonly stock: Stock;
  future: AnyFuture | null = null;

  constructor(reader: StreamReader, stock: Stock) {
    this.#reader = reader;
    this.stock = stock;
  }

  /** Whether it need not wait: for bytes, or for an error. */
  abstract answered(): boolean;

  /** Takes the answer out of the buffer, or throws. */
  abstract answer(): OwnBytes;

  /** Up to how many bytes in the buffer it can do with. */
  abstract goal(): number;

  take(): unknown {
    return takeNow(this.#reader, this);
  }

  /** Nothing was taken, and a read that comes now looks for itself. */
  pass(): void {}

  drop(): void {
    giveUp(this.#reader, this);
  }

  describe(): string {
    return `bytes of ${Deno.inspect(this.#reader)}`;
  }
}

class Some extends Read {
  readonly #most: number;

  constructor(reader: StreamReader, stock: Stock, most: number) {
    super(reader, stock);
    this.#most = most;
  }

  answered(): boolean {
    return this.stock.buffer.size > 0 || this.stock.eof || this.#most === 0;
  }

  answer(): OwnBytes {
    const { buffer } = this.stock;
    return buffer.take(Math.min(this.#most, buffer.size));
  }

  goal(): number {
    return this.#most;
  }
}

class All extends Read {
  answered(): boolean {
    return this.stock.eof;
  }

  answer(): OwnBytes {
    return this.stock.buffer.takeAll();
  }

  goal(): number {
    return Infinity;
  }
}

class Exactly extends Read {
  readonly #count: number;

  constructor(reader: StreamReader, stock: Stock, count: number) {
    super(reader, stock);
    this.#count = count;
  }

  answered(): boolean {
    return this.stock.buffer.size >= this.#count || this.stock.eof;
  }

  answer(): OwnBytes {
    const { buffer } = this.stock;
    if (buffer.size >= this.#count) return buffer.take(this.#count);
    throw new IncompleteReadError(buffer.takeAll(), this.#count);
  }

  goal(): number {
    return this.#count;
  }
}

/** Up to the first of some separators. */
class Until extends Read {
  /** The shortest first, none empty. */
  readonly #separators: readonly Uint8Array[];
  readonly #longest: number;
  /** No separator begins before here. */
  #offset = 0;
  /** The separator that was found, from where to where; -1 if none was. */
  #start = -1;
  #end = -1;
  /** The positions hold as long as nobody takes bytes out. */
  #taken: number;

  constructor(
    reader: StreamReader,
    stock: Stock,
    separators: readonly Uint8Array[],
  ) {
    super(reader, stock);
    this.#separators = separators;
    this.#longest = separators[separators.length - 1].length;
    this.#taken = stock.buffer.taken;
  }

  answered(): boolean {
    const { buffer, eof, limit } = this.stock;
    if (this.#taken !== buffer.taken) this.#forget(buffer.taken);
    if (this.#end < 0) this.#search(buffer);
    return this.#end >= 0 || this.#offset > limit || eof;
  }

  answer(): OwnBytes {
    const { buffer, limit } = this.stock;
    if (this.#end >= 0) {
      if (this.#start > limit) return this.overrun(this.#start, this.#end);
      return buffer.take(this.#end);
    }
    if (this.#offset > limit) return this.overrun(this.#offset, -1);
    return this.incomplete();
  }

  goal(): number {
    return this.stock.limit + this.#longest + 1;
  }

  /** More than the limit before the separator, or before its end has come. */
  protected overrun(consumed: number, end: number): OwnBytes {
    throw new LimitOverrunError(overrunText(this.stock.limit, end), consumed);
  }

  /** The end came before a separator. */
  protected incomplete(): OwnBytes {
    throw new IncompleteReadError(this.stock.buffer.takeAll(), null);
  }

  #search(buffer: ByteBuffer): void {
    let to = buffer.size;
    for (const separator of this.#separators) {
      const at = buffer.find(separator, this.#offset, to);
      if (at < 0) continue;
      this.#start = at;
      this.#end = at + separator.length;
      to = this.#end - 1;
    }
    if (this.#end < 0) {
      this.#offset = Math.max(
        this.#offset,
        buffer.size + 1 - this.#longest,
      );
    }
  }

  #forget(taken: number): void {
    this.#taken = taken;
    this.#offset = 0;
    this.#start = this.#end = -1;
  }
}

/** Up to the end of a line, which may also be the end of all. */
class Line extends Until {
  constructor(reader: StreamReader, stock: Stock) {
    super(reader, stock, newline);
  }

  protected override overrun(_consumed: number, end: number): OwnBytes {
    const { buffer, limit } = this.stock;
    buffer.take(end < 0 ? buffer.size : end);
    throw new RangeError(overrunText(limit, end));
  }

  protected override incomplete(): OwnBytes {
    return this.stock.buffer.takeAll();
  }
}

/** Brings bytes from a source to a reader, one read of the source at a time. */
export class Inlet {
  readonly loop: EventLoop;
  readonly #reader: StreamReader;
  readonly #calls: HostCalls;
  #source: ByteSource;
  readonly #hooks: InletHooks;
  /** How much the next read asks for, and the last one did. */
  #size = SMALLEST_READ;
  #asked = 0;
  /** How much the next read may bring. */
  #most = 0;
  /** A read of the source is under way, or about to be. */
  #reading = false;
  /** A read of the source is about to be. */
  #planned = false;
  #stopped = false;
  /** Whether a read of the source keeps the program, and this, alive. */
  #referenced = true;
  readonly #answers = new Answers(this);

  constructor(
    loop: EventLoop,
    reader: StreamReader,
    source: ByteSource,
    hooks: InletHooks,
  ) {
    this.loop = loop;
    this.#reader = reader;
    this.#source = source;
    this.#hooks = hooks;
    this.#calls = HostCalls.of(loop);
  }

  /** Whether a read of the source is under way. */
  get reading(): boolean {
    return this.#reading;
  }

  /** Where the bytes come from, if the source says. */
  describe(): string | undefined {
    return this.#source.describe?.();
  }

  /** Has up to `most` bytes read. Only what is waited for keeps the program alive. */
  demand(most: number, waited: boolean): void {
    if (this.#stopped) return;
    if (waited !== this.#referenced) this.#refer(waited);
    this.#most = most;
    if (this.#reading) return;
    this.#reading = this.#planned = true;
    this.#calls.addRead(this);
  }

  /** Reads from the source now. */
  start(): void {
    if (this.#stopped || !this.#planned) return;
    this.#planned = false;
    try {
      if (this.#source.readChunk !== undefined) {
        const chunk = this.#source.readChunk(this.#most);
        chunk.then(this.#answers.onChunk, this.#answers.onFailure);
        return;
      }
      const memory = readers.lend(this.#reader, this.#size, this.#most);
      this.#asked = memory.length;
      const { onRead, onFailure } = this.#answers;
      this.#source.read(memory).then(onRead, onFailure);
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** Nobody waits any more; the read under way goes on. */
  relax(): void {
    if (this.#planned) this.#reading = this.#planned = false;
    else if (this.#reading && this.#referenced) this.#refer(false);
  }

  /** Reads from another source from now on. No read may be under way. */
  replace(source: ByteSource): void {
    this.#source = source;
    this.#referenced = true;
    this.#answers.hold(this);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#source.close();
  }

  /** A read of the source is over. */
  onRead(count: number | null): void {
    if (!this.#goesOn(count)) return;
    this.#adapt(count);
    try {
      readers.filled(this.#reader, count);
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** A read of a source that has memory of its own is over. */
  onChunk(chunk: OwnBytes | null): void {
    if (!this.#goesOn(chunk)) return;
    try {
      readers.adopt(this.#reader, chunk);
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** A read is over; `null` says that it was the last. */
  #goesOn<T>(what: T | null): what is T {
    this.#reading = false;
    if (this.#stopped) return false;
    if (what !== null) return true;
    readers.end(this.#reader, null);
    this.#hooks.onEnd?.();
    return false;
  }

  /** A read of the source has failed. */
  onFailure(error: unknown): void {
    this.#reading = false;
    if (!this.#stopped) this.#hooks.onError(error);
  }

  /** Follows the traffic with the size of the reads. */
  #adapt(count: number): void {
    if (count === this.#asked) {
      this.#size = Math.min(4 * this.#size, LARGEST_READ);
    } else if (count * 16 < this.#size && this.#size > SMALLEST_READ) {
      this.#size /= 4;
    }
  }

  #refer(referenced: boolean): void {
    this.#referenced = referenced;
    if (referenced) {
      this.#answers.hold(this);
      this.#source.ref?.();
    } else {
      this.#answers.loosen();
      this.#source.unref?.();
    }
  }
}

/**
 * Where the answers of a source go. A read that goes on though nobody waits
 * for it does not hold the inlet, so that a connection that was forgotten
 * meanwhile can be told from one that is in use.
 */
class Answers {
  #inlet: Inlet | null;
  #loose: WeakRef<Inlet> | null = null;

  constructor(inlet: Inlet) {
    this.#inlet = inlet;
  }

  hold(inlet: Inlet): void {
    this.#inlet = inlet;
  }

  loosen(): void {
    if (this.#inlet !== null) this.#loose ??= new WeakRef(this.#inlet);
    this.#inlet = null;
  }

  readonly onRead = (count: number | null): void => this.#find()?.onRead(count);

  readonly onChunk = (chunk: OwnBytes | null): void =>
    this.#find()?.onChunk(chunk);

  readonly onFailure = (error: unknown): void => this.#find()?.onFailure(error);

  #find(): Inlet | undefined {
    return this.#inlet ?? this.#loose?.deref();
  }
}

/** Bytes that may be transferred, as streams of the Web do it. */
function unshared(chunk: OwnBytes): OwnBytes {
  return chunk.length === chunk.buffer.byteLength ? chunk : chunk.slice();
}

function refused(count: unknown): Promise<never> {
  return Promise.reject(
    new RangeError(
      `Cannot read ${String(count)} bytes: it is not a number of bytes`,
    ),
  );
}

function overrunText(limit: number, end: number): string {
  return end < 0
    ? `Separator is not found, and the chunk exceeds the limit of ${limit} bytes`
    : `Separator is found, but the chunk is longer than the limit of ${limit} bytes`;
}

/** Checks separators and sorts them, the shortest first. */
function toSeparators(separator: Bytes | readonly Bytes[]): Uint8Array[] {
  const given = typeof separator === "string" || separator instanceof Uint8Array
    ? [separator]
    : [...separator];
  for (const it of given) checkBytes(it, "read up to a separator");
  const separators = given.map(toBytes);
  if (separators.length === 0) {
    throw new RangeError("Cannot read up to a separator: there is none");
  }
  separators.sort((a, b) => a.length - b.length);
  if (separators[0].length === 0) {
    throw new RangeError("Cannot read up to a separator: it is empty");
  }
  return separators;
}
