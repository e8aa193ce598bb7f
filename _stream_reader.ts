/**
 * The reading half of a stream.
 *
 * A read that finds what it wants in the buffer takes it at once. Otherwise
 * it waits as one future, and the bytes stay in the buffer until the code
 * that waits resumes: cancelled at whatever moment, it has taken nothing.
 *
 * Bytes come on demand: the {@linkcode ReadPump} asks the source only while a
 * read waits, so an idle connection has no buffer and nothing that keeps the
 * program alive, and a peer that floods us is held back by its own kernel.
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
import { AGAIN, type AnyFuture, callersLoop, futures } from "./_future.ts";
import type { EventLoop } from "./_event_loop.ts";
import { deno } from "./_deno.ts";
import { checkpoint, isOverdue, settledPromise } from "./_waiting_call.ts";
import type { Cancellable } from "./_options.ts";
import { checkCaller, HostCalls, outsideTasks } from "./_io_batch.ts";
import { internals as loops } from "./_scheduler.ts";
import {
  type Failure,
  NEWLINE,
  owners,
  type Read,
  ReadAll,
  ReaderState,
  ReadExactly,
  ReadLine,
  ReadReady,
  ReadSome,
  ReadUntil,
} from "./_read_request.ts";
import { checkOptions, describe, isIterable, signalOf } from "./_validate.ts";
import { RuntimeError } from "./exceptions.ts";

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
  limit?: number | undefined;
}

/** What the files above may do with a reader. */
export interface ReaderInternals {
  attach(reader: StreamReader, inlet: ReadPump): void;
  inlet(reader: StreamReader): ReadPump | null;
  /** Memory for the next bytes; see {@linkcode ByteBuffer.lend}. */
  lend(reader: StreamReader, size: number, most: number): OwnBytes;
  /** So many bytes have come into that memory. */
  filled(reader: StreamReader, count: number): void;
  /** Bytes have come in memory of their own. */
  adopt(reader: StreamReader, chunk: OwnBytes): void;
  /** Ends the reader, with an error or without; nothing more is read. */
  end(reader: StreamReader, failure: Failure | null): void;
  failure(reader: StreamReader): Failure | null;
  /** Somebody waits for the end, which is then noticed though nobody reads, or nobody does any more. */
  watch(reader: StreamReader, watched: boolean): void;
  ended(reader: StreamReader): boolean;
  /** Whether bytes have come that nobody has read. */
  unread(reader: StreamReader): boolean;
}

/** Who hears of the end of a source. */
export interface ReadPumpHooks {
  onError(error: unknown): void;
  onEnd?(): void;
}

/** The default limit, in bytes. */
const LIMIT = 65_536;
const OPTIONS = ["limit"];
const CREATE = "create a stream";
/** The first read of a connection takes so much; later ones follow the traffic. */
const SMALLEST_READ = 2_048;
const LARGEST_READ = 131_072;

export let readers: ReaderInternals;

/**
 * Reads bytes as they come: some, all, an exact number, or up to a separator.
 *
 * One read can wait at a time. A read that is cancelled, timed out or aborted
 * has taken nothing: what had arrived stays for the next one. A read that lost
 * a `Promise.race()` still waits, and takes what arrives; to give up on a read,
 * use `timeout()`, `waitFor()` or a signal.
 *
 * What is read is a view of memory that other reads may share. To transfer it
 * to another thread, or to keep a few bytes of many, copy it with `slice()`;
 * chunks of 4 KiB and more may be transferred as they are.
 *
 * Connections have readers; one that you make yourself is fed by `feedData()`.
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
 * const text = new TextDecoder();
 * assertEquals(text.decode(await reader.readline()), "first\n");
 * assertEquals(text.decode(await reader.readexactly(3)), "sec");
 * assertEquals(text.decode(await reader.readuntil("nd")), "ond");
 * assertEquals(text.decode(await reader.read()), "\nrest");
 * ```
 */
export class StreamReader implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  readonly #stock: ReaderState;
  /** The read that waits; a read that was woken waits no more. */
  #waiting: Read | null = null;
  /** Reads ahead, for somebody who waits for the end. */
  #watched = false;
  #inlet: ReadPump | null = null;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;

  /**
   * Makes a reader to feed with `feedData()`.
   *
   * @param options The limit.
   * @throws {RangeError} If the limit is not a whole number above 0.
   * @throws {TypeError} If it is no number, or there is no such option.
   */
  constructor(options: StreamReaderOptions = {}) {
    checkOptions(options, OPTIONS, CREATE);
    const { limit = LIMIT } = options;
    checkLimit(limit);
    this.#stock = new ReaderState(limit);
  }

  static {
    owners.take = (reader, read) => (reader as StreamReader).#take(read);
    owners.drop = (reader, read) => (reader as StreamReader).#drop(read);
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
      watch: (reader, watched) => {
        reader.#watched = watched;
        if (watched) reader.#watch();
        else reader.#relax();
      },
      ended: (reader) => reader.#stock.eof || reader.#stock.failure !== null,
      unread: (reader) =>
        reader.#stock.buffer.size > 0 || reader.#stock.skipping,
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
   * @param n The largest number of bytes; negative, as by default, for all up to the end, whatever the limit.
   * @param options A signal that ends the wait.
   * @returns At least one byte, or none at the end.
   * @throws {RangeError} If `n` is not a whole number.
   * @throws {TypeError} If it is no number.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   */
  read(n = -1, options?: Cancellable): Promise<Uint8Array<ArrayBuffer>> {
    const wrong = wrongCount(n, -Infinity, Infinity);
    if (wrong !== null) return Promise.reject(wrong);
    const read = n < 0
      ? new ReadAll(this, this.#stock)
      : new ReadSome(this, this.#stock, n);
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
   * @throws {RangeError} If the line is longer than the limit. It is dropped up to its newline, including what has not arrived yet.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   */
  readline(options?: Cancellable): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const line = options === undefined && !isOverdue()
        ? this.#lineAtHand()
        : null;
      if (line !== null) return settledPromise(line);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#read(new ReadLine(this, this.#stock), options);
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
   * @throws {TypeError} If it is no number.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   */
  readexactly(
    n: number,
    options?: Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const wrong = wrongCount(n, 0, Number.MAX_SAFE_INTEGER);
    if (wrong !== null) return Promise.reject(wrong);
    return this.#read(new ReadExactly(this, this.#stock, n), options);
  }

  /**
   * Reads up to a separator and the separator with it.
   *
   * Of several separators, the one that ends first counts; of those that end at
   * the same byte, the shortest. Cancelled while it waits, it has read nothing.
   *
   * @param separator Bytes or text, or several of these; a newline by default.
   * @param options A signal that ends the wait.
   * @returns The bytes, the separator at their end.
   * @throws {IncompleteReadError} If the end comes first; its `partial` has what was left.
   * @throws {LimitOverrunError} If there are more bytes than the limit before the separator. They stay.
   * @throws {RangeError} If there is no separator, or an empty one.
   * @throws {TypeError} If it is neither bytes nor text.
   * @throws The error that ended the stream.
   * @throws {RuntimeError} If another read waits, or the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   */
  readuntil(
    separator: Bytes | readonly Bytes[] = "\n",
    options?: Cancellable,
  ): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const separators = toSeparators(separator);
      return this.#read(new ReadUntil(this, this.#stock, separators), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Appends bytes to what is there.
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
    if (this.#stock.skipping) this.#stock.skip();
    this.#answer();
  }

  /** Signals the end: nothing more will come. */
  feedEof(): void {
    this.#stock.eof = true;
    this.#answer();
  }

  /**
   * Ends the stream with an error: every read from now on throws it, even if
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
   * The same bytes as a web stream. It reads them as they are asked for;
   * cancelling it ends its wait, and leaves the rest and the connection as they
   * are. It belongs to no task: what ends the task that pipes it leaves the
   * pipe alone. `pipeTo()` takes a signal.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= this.#toWeb();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<${this.#describe()}>`;
  }

  #read(read: Read, options?: Cancellable): Promise<OwnBytes> {
    try {
      const signal = signalOf(options, "read");
      signal?.throwIfAborted();
      this.#stock.throwFailure();
      if (this.#isReserved(read)) this.#refuse();
      if (!read.answered()) return this.#wait(read, signal);
      if (isOverdue()) return checkpoint(() => this.#read(read, options));
      return settledPromise(read.answer());
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

  #wait(read: Read, signal?: AbortSignal): Promise<OwnBytes> {
    const loop = this.#loop;
    checkCaller(loop, "read");
    this.#enter(read);
    const future = futures.make(loop, read);
    read.future = future;
    if (signal) futures.subscribeSignal(future, signal);
    this.#demand(read);
    return future as Promise<OwnBytes>;
  }

  /** The loop that reads wait on: the one of the connection, or else of the caller. */
  get #loop(): EventLoop {
    return this.#inlet?.loop ?? callersLoop();
  }

  #enter(read: Read): void {
    if (this.#occupant() !== null) this.#refuse();
    this.#waiting = read;
  }

  /** The read that waits, unless its loop is closed, so that nobody will resume. */
  #occupant(): Read | null {
    if (this.#waiting?.future?.getLoop().isClosed()) this.#waiting = null;
    return this.#waiting;
  }

  /** Whether what is there belongs to a read that waits for all. */
  #isReserved(read: Read): boolean {
    return this.#occupant() instanceof ReadAll && read.goal() > 0;
  }

  #refuse(): never {
    throw new RuntimeError(
      "Cannot read: another read waits already; one that lost a Promise.race() still does",
    );
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
    this.#relax();
  }

  #relax(): void {
    if (this.#waiting === null && !this.#watched) this.#inlet?.relax();
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
    if (this.#waiting !== null) loops.scheduleSoon(this.#inlet!.loop);
    if (this.#stock.skipping) this.#stock.skip();
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
    futures.notify(future, future.getLoop());
  }

  #end(failure: Failure | null): void {
    this.#inlet?.stop();
    if (this.#stock.eof || this.#stock.failure !== null) return;
    if (failure === null) this.#stock.eof = true;
    else this.#stock.failure = failure;
    this.#wake();
  }

  #toWeb(): ReadableStream<OwnBytes> {
    const pull = new Pull();
    return new ReadableStream({
      type: "bytes",
      pull: (to) => outsideTasks(this.#loop, () => this.#pull(pull, to)),
      cancel: () => pull.end(),
    }, { highWaterMark: 0 });
  }

  /** Waits for bytes without taking them, so that whoever cancels meanwhile loses none. */
  async #pull(pull: Pull, to: ReadableByteStreamController): Promise<void> {
    const { buffer } = this.#stock;
    const ready = new ReadReady(this, this.#stock, LARGEST_READ);
    do {
      await pull.wait(this.#read(ready));
      if (pull.ended) return;
    } while (!ready.answered());
    this.#stock.throwFailure();
    if (buffer.size > 0) {
      const count = Math.min(buffer.size, LARGEST_READ);
      return to.enqueue(unshared(buffer.take(count)));
    }
    to.close();
    to.byobRequest?.respond(0);
  }

  #describe(): string {
    const { buffer, eof, failure } = this.#stock;
    const state = failure !== null ? ", failed" : eof ? ", at its end" : "";
    const from = this.#inlet?.describe();
    const origin = from === undefined ? "" : ` from ${from}`;
    return `StreamReader ${buffer.size} bytes${origin}${state}`;
  }
}

/** What a stream of the Web waits in. */
class Pull {
  /** Nobody wants any more. */
  ended = false;
  #waiting: AnyFuture | null = null;

  async wait(read: Promise<unknown>): Promise<void> {
    if (!(read instanceof Promise)) this.#waiting = read as AnyFuture;
    await read;
    this.#waiting = null;
  }

  end(): void {
    this.ended = true;
    this.#waiting?.cancel();
  }
}

/** Brings bytes from a source to a reader, one read of the source at a time. */
export class ReadPump {
  readonly loop: EventLoop;
  readonly #reader: StreamReader;
  readonly #calls: HostCalls;
  readonly #source: ByteSource;
  readonly #hooks: ReadPumpHooks;
  /** How much the next read asks for, and the last one did. */
  #size = SMALLEST_READ;
  #asked = 0;
  /** How much the next read may bring. */
  #most = 0;
  /** A read of the source is under way, or about to be. */
  #reading = false;
  /** A read of the source is about to be. */
  #planned = false;
  /** No read of the source may begin. */
  #held = false;
  #stopped = false;
  /** Whether a read of the source keeps the program, and this, alive. */
  #referenced = true;
  readonly #answers = new Answers(this);

  constructor(
    loop: EventLoop,
    reader: StreamReader,
    source: ByteSource,
    hooks: ReadPumpHooks,
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
    if (!this.#held) this.#calls.addRead(this);
  }

  /** Reads from the source now. */
  start(): void {
    if (this.#stopped || !this.#planned || this.#held) return;
    this.#planned = false;
    const { onRead, onChunk, onFailure } = this.#answers;
    try {
      if (this.#source.readChunk !== undefined) {
        this.#source.readChunk(this.#most).then(onChunk, onFailure);
        return;
      }
      const memory = readers.lend(this.#reader, this.#size, this.#most);
      this.#asked = memory.length;
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

  /** Begins no read of the source until {@linkcode ReadPump.release}. None may be under way. */
  hold(): void {
    this.#held = true;
  }

  /** The source is another one now, which keeps the program alive as a new one does. */
  release(): void {
    if (this.#stopped) return;
    this.#held = false;
    if (!this.#referenced) this.#refer(false);
    if (this.#planned) this.#calls.addRead(this);
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
    // A TLS peer that just closes the connection: what it sent has all come.
    if (error instanceof deno.errors.UnexpectedEof) return this.onRead(null);
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
  #inlet: ReadPump | null;
  #loose: WeakRef<ReadPump> | null = null;

  constructor(inlet: ReadPump) {
    this.#inlet = inlet;
  }

  hold(inlet: ReadPump): void {
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

  #find(): ReadPump | undefined {
    return this.#inlet ?? this.#loose?.deref();
  }
}

/** Bytes that may be transferred, as streams of the Web do it. */
function unshared(chunk: OwnBytes): OwnBytes {
  return chunk.length === chunk.buffer.byteLength ? chunk : chunk.slice();
}

/** Refuses what is no limit of a reader. */
export function checkLimit(
  limit: unknown = LIMIT,
  action: string = CREATE,
): void {
  const isNumber = typeof limit === "number";
  const isWhole = Number.isInteger(limit) || limit === Infinity;
  if (isNumber && isWhole && limit > 0) return;
  const Kind = isNumber ? RangeError : TypeError;
  throw new Kind(
    `Cannot ${action}: limit must be a whole number above 0, got ${
      describe(limit)
    }`,
  );
}

/** What is wrong with a number of bytes to be read, `null` if nothing is. */
function wrongCount(
  count: unknown,
  least: number,
  most: number,
): Error | null {
  if (typeof count !== "number") {
    return new TypeError(
      `Cannot read: the number of bytes must be a number, got ${
        describe(count)
      }`,
    );
  }
  const isWhole = Number.isInteger(count) || Math.abs(count) === Infinity;
  if (isWhole && count >= least && count <= most) return null;
  return new RangeError(
    `Cannot read ${count} bytes: it ${
      isWhole ? `must be from ${least} to ${most}` : "is not a whole number"
    }`,
  );
}

/** Checks separators and sorts them, the shortest first. */
function toSeparators(separator: Bytes | readonly Bytes[]): Uint8Array[] {
  const action = "read up to a separator";
  if (!isIterable(separator)) checkBytes(separator, action);
  const given = isBytes(separator) ? [separator] : [...separator];
  for (const it of given) checkBytes(it, action);
  if (given.length === 0) {
    throw new RangeError(`Cannot ${action}: there is none`);
  }
  const separators = given.map((it) => toBytes(it).slice());
  separators.sort((a, b) => a.length - b.length);
  if (separators[0]!.length === 0) {
    throw new RangeError(`Cannot ${action}: it is empty`);
  }
  return separators;
}
