/**
 * The writing half of a stream.
 *
 * What is written in one step of a task leaves in one write of the sink: when
 * the step is over, or before the step's next read. One write is under way at
 * a time; what comes meanwhile waits for the next.
 *
 * @module
 */

import {
  type Bytes,
  checkBytes,
  NO_BYTES,
  Outgoing,
  type OwnBytes,
  reuse,
} from "./_bytes.ts";
import { waitInDisposer } from "./_dispose.ts";
import { AGAIN, type AnyFuture, type EventLoop, futures } from "./_future.ts";
import type { Cancellable, TlsTimeouts } from "./_options.ts";
import { HostCalls } from "./_io.ts";
import { type Failure, readers, type StreamReader } from "./_reader.ts";
import { Home, WaitQueue } from "./_wait.ts";
import { CancelledError, RuntimeError } from "./exceptions.ts";

/** Where the bytes of a writer go. */
export interface ByteSink {
  /** Writes some of the bytes. Resolves to how many, at least 1. */
  write(data: Uint8Array): Promise<number>;
  /** Tells the other side that nothing more will come. */
  closeWrite(): Promise<void>;
  /** Nothing more will be written; a write that is under way ends. */
  close(): void;
  /** Whether closing it takes leave of the other side first, with `closeWrite`. */
  readonly takesLeave?: boolean;
  /** Where the bytes go, in a few words. */
  describe?(): string;
}

/** What a writer is made of. */
export interface OutletParts {
  /** The reader of the same connection: it ends with the writer. */
  reader: StreamReader | null;
  /** Answers `getExtraInfo`; `undefined` for what is not known. */
  extra: (name: string) => unknown;
  /**
   * Whether the sink can end and the connection go on.
   *
   * @default true
   */
  halfCloses?: boolean;
  /** Told once, when the connection begins to be closed and something is left to be sent. */
  onClosing?: () => void;
  /** Told once, when the connection is gone. */
  onLost?: () => void;
  /** Encrypts the connection from here on. Given up, it closes it. */
  upgrade?: (options: StartTlsOptions) => Promise<ByteSink>;
}

/** Options of {@linkcode StreamWriter.startTls}: those of `Deno.startTls`, and how long it may take. */
export type StartTlsOptions =
  & Deno.StartTlsOptions
  & TlsTimeouts
  & Cancellable;

/** Options of {@linkcode WriteTransport.setWriteBufferLimits}, in bytes. */
export interface WriteBufferLimits {
  /**
   * `drain()` waits while more than this is unsent.
   *
   * @default 65536, or four times `low`
   */
  high?: number;
  /**
   * `drain()` goes on when no more than this is left.
   *
   * @default a quarter of `high`
   */
  low?: number;
}

/** The default high-water mark, in bytes. */
const HIGH = 65_536;

const done = Promise.resolve();

/**
 * The way of bytes to a sink, from the first write to the end of the
 * connection. Writers and transports are views of it.
 */
export class Outlet {
  readonly loop: EventLoop;
  readonly parts: OutletParts;
  readonly #calls: HostCalls;
  #sink: ByteSink;
  /** What was written since the last write of the sink began. */
  #unsent = new Outgoing();
  /** What the sink has not confirmed of the write under way, and the memory that it lies in. */
  #flying = NO_BYTES;
  #memory = NO_BYTES;
  /** A write of the sink is under way, or the connection is being encrypted. */
  #busy = false;
  /** The connection is being encrypted. */
  #upgrading = false;
  #scheduled = false;
  #high = HIGH;
  #low = HIGH / 4;
  /** More than `#high` was unsent, and it is not down to `#low` yet. */
  #paused = false;
  /** It was closed: what is unsent goes out, then the connection ends. */
  #closing = false;
  /** The program that writes closed it, and not its server. */
  #closedByWriter = false;
  /** The program wrote the end: what is unsent goes out, then the end. */
  #eof = false;
  #eofSent = false;
  /** The program needs the connection no longer than the other side does. */
  #closesAtEnd = false;
  /** The connection is gone. */
  #lost = false;
  #failure: Failure | null = null;
  /** Something was written that never went out. */
  #dropped = false;
  /** `waitClosed` has thrown the error of the connection. */
  #reported = false;
  readonly #home = new Home();
  readonly #drainers = new WaitQueue<void>({
    take: () => {
      if (this.#dropped) throw this.#lossError();
    },
    pass: () => {},
    describe: () => `room in <${this.describe()}>`,
  }, this.#home);
  /** Those who wait until nothing is unsent, whatever the marks are. */
  readonly #flushers = new WaitQueue<void>({
    take: () => {
      if (this.#dropped) throw this.#lossError();
      if (this.#busy && !this.#lost) return AGAIN;
    },
    pass: () => {},
    describe: () => `<${this.describe()}> to be sent`,
  }, this.#home);
  readonly #closers = new WaitQueue<void>({
    take: () => this.#throwOnce(),
    pass: () => {},
    describe: () => `the end of <${this.describe()}>`,
  }, this.#home);

  constructor(loop: EventLoop, sink: ByteSink, parts: OutletParts) {
    this.loop = loop;
    this.#sink = sink;
    this.parts = parts;
    this.#calls = HostCalls.of(loop);
  }

  /** How many bytes wait to be sent. */
  get size(): number {
    return this.#flying.length + this.#unsent.size;
  }

  get limits(): [low: number, high: number] {
    return [this.#low, this.#high];
  }

  get closing(): boolean {
    return this.#closing || this.#lost;
  }

  get lost(): boolean {
    return this.#lost;
  }

  setLimits({ high, low }: WriteBufferLimits): void {
    high ??= low === undefined ? HIGH : 4 * low;
    low ??= Math.floor(high / 4);
    if (!(high >= low && low >= 0)) {
      throw new RangeError(
        `Cannot set the limits: high (${high}) must not be below low (${low}), nor low below 0`,
      );
    }
    this.#high = high;
    this.#low = low;
    if (this.size > high) this.#paused = true;
    else this.#resume();
  }

  write(data: Bytes): void {
    checkBytes(data, "write");
    if (this.#closedByWriter || this.#eof) {
      throw new RuntimeError(
        `Cannot write: the stream was ${
          this.#closedByWriter ? "closed" : "ended with writeEof()"
        }`,
      );
    }
    if (this.closing || data.length === 0) return;
    this.#unsent.add(data);
    if (this.size > this.#high) this.#paused = true;
    if (!this.#busy) this.#schedule();
  }

  writeEof(): void {
    if (this.parts.halfCloses === false) {
      throw new Deno.errors.NotSupported(
        "Cannot write the end of the stream: this connection cannot be closed by halves",
      );
    }
    if (this.#eof || this.closing) return;
    this.#eof = true;
    this.#schedule();
  }

  drain(options?: Cancellable): Promise<void> {
    try {
      options?.signal?.throwIfAborted();
      this.#throwFailure();
      if (this.#closing) return this.#drainClosing(options);
      return this.#paused ? this.#drainers.wait(options) : done;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sends what was written. */
  flush(): void {
    this.#scheduled = false;
    if (this.#busy || this.#lost) return;
    if (this.#unsent.size > 0) this.#sendNext();
    else if (this.#eof && !this.#eofSent) this.#sendEof();
    else if (this.#closing) this.#takeLeave();
    else this.#flushers.wakeAll();
  }

  /** Closes it; `own` if the program that writes does so, which then must not write any more. */
  close(own = true): void {
    if (own) this.#closedByWriter = true;
    if (this.#closing) return;
    this.#closing = true;
    if (this.#lost) return;
    if (this.#upgrading) return this.lose(null);
    if (this.parts.reader) readers.inlet(this.parts.reader)?.stop();
    this.flush();
    if (!this.#lost) this.parts.onClosing?.();
  }

  abort(own = true): void {
    if (own) this.#closedByWriter = true;
    this.#closing = true;
    this.lose(null);
  }

  /** The connection is gone: ends all that waits for it. */
  lose(failure: Failure | null): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#failure = failure;
    this.#dropped = failure !== null || this.size > 0;
    this.#unsent = new Outgoing();
    this.#flying = this.#memory = NO_BYTES;
    this.#sink.close();
    if (this.parts.reader) readers.end(this.parts.reader, failure);
    this.#drainers.wakeAll();
    this.#flushers.wakeAll();
    this.#closers.wakeAll();
    this.parts.onLost?.();
  }

  fail(error: unknown): void {
    this.lose({ error, told: false });
  }

  waitClosed(options?: Cancellable): Promise<void> {
    try {
      options?.signal?.throwIfAborted();
      if (!this.#lost) {
        if (this.parts.reader) readers.watch(this.parts.reader);
        return this.#closers.wait(options);
      }
      this.#throwOnce();
      return done;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Closes, and waits for it. An error that the program was told of is not told again. */
  async dispose(): Promise<void> {
    this.close();
    if (this.#failure?.told) return;
    await waitInDisposer(
      this.loop,
      () => this.waitClosed(),
      () => this.abort(),
    );
  }

  /**
   * Ends the writing, and the connection too once the reader is at its end or
   * if it cannot be closed by halves.
   */
  async endWriting(): Promise<void> {
    this.#closesAtEnd = true;
    const { reader, halfCloses } = this.parts;
    if (halfCloses === false || reader === null || readers.ended(reader)) {
      this.close();
      return await this.waitClosed();
    }
    this.writeEof();
    await this.#sent();
  }

  /** The other side has ended its writing. */
  readerEnded(): void {
    if (this.#closesAtEnd) this.close();
  }

  async startTls(options: StartTlsOptions): Promise<void> {
    const { upgrade, reader } = this.parts;
    if (upgrade === undefined) {
      throw new Deno.errors.NotSupported(
        "Cannot start TLS: Deno offers it for the client side of TCP connections only",
      );
    }
    if (this.parts.extra("sslObject") !== undefined) {
      throw new RuntimeError("Cannot start TLS: it was started already");
    }
    options.signal?.throwIfAborted();
    await this.#sent(options);
    if (reader && readers.inlet(reader)?.reading) {
      throw new RuntimeError("Cannot start TLS: a read is under way");
    }
    this.#busy = this.#upgrading = true;
    try {
      this.#sink = await upgrade(options);
    } catch (error) {
      const given = error instanceof CancelledError || options.signal?.aborted;
      if (given) this.abort(false);
      else this.lose({ error, told: true });
      throw error;
    }
    this.#busy = this.#upgrading = false;
    if (!this.#lost) return this.flush();
    this.#sink.close();
    throw this.#lossError();
  }

  describe(): string {
    const state = this.#lost ? ", closed" : this.#closing ? ", closing" : "";
    const to = this.#sink.describe?.();
    const goal = to === undefined ? "" : ` to ${to}`;
    return `StreamWriter ${this.size} bytes unsent${goal}${state}`;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#calls.addWrite(this);
  }

  #sendNext(): void {
    const { memory, size } = this.#unsent.takeNext();
    this.#memory = memory;
    this.#send(size < memory.length ? memory.subarray(0, size) : memory);
  }

  #send(bytes: OwnBytes): void {
    this.#busy = true;
    this.#flying = bytes;
    try {
      this.#sink.write(bytes).then(this.#onWritten, this.#onFailure);
    } catch (error) {
      this.fail(error); // somebody else has closed the sink
    }
  }

  readonly #onWritten = (count: number): void => {
    if (this.#lost) return;
    const bytes = this.#flying;
    if (count < bytes.length) this.#send(bytes.subarray(count));
    else {
      this.#busy = false;
      this.#flying = NO_BYTES;
      reuse(this.#memory);
      this.#memory = NO_BYTES;
    }
    this.#resume();
    this.flush();
  };

  readonly #onFailure = (error: unknown): void => this.fail(error);

  #resume(): void {
    if (!this.#paused || this.size > this.#low) return;
    this.#paused = false;
    this.#drainers.wakeAll();
  }

  /** Nothing is left to be sent. */
  #takeLeave(): void {
    if (this.#sink.takesLeave && !this.#eofSent) this.#sendEof();
    else this.lose(null);
  }

  #sendEof(): void {
    this.#eofSent = true;
    this.#busy = true;
    try {
      this.#sink.closeWrite().then(() => {
        this.#busy = false;
        this.flush();
      }, this.#onFailure);
    } catch (error) {
      this.fail(error); // as above
    }
  }

  /** While it closes, `drain` lets the loop turn, so that a program that repeats it comes to see the end. */
  async #drainClosing(options?: Cancellable): Promise<void> {
    await futures.makeYield(this.loop, undefined);
    this.#throwFailure();
    if (this.#paused) await this.#drainers.wait(options);
  }

  async #sent(options?: Cancellable): Promise<void> {
    this.#throwFailure();
    this.flush();
    if (this.#busy) await this.#flushers.wait(options);
  }

  #throwFailure(): void {
    const failure = this.parts.reader && readers.failure(this.parts.reader);
    if (failure) {
      failure.told = true;
      throw failure.error;
    }
    if (this.#lost) throw this.#lossError();
  }

  /** What a program is told that writes to a connection that is gone. */
  #lossError(): unknown {
    if (this.#failure === null) {
      return new Deno.errors.ConnectionReset(
        "Cannot write: the connection is closed",
      );
    }
    this.#failure.told = true;
    return this.#failure.error;
  }

  #throwOnce(): void {
    if (this.#failure === null || this.#reported) return;
    this.#reported = this.#failure.told = true;
    throw this.#failure.error;
  }
}

/**
 * What a writer writes through: its buffer, its marks, and the hard way out.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-protocol.html#asyncio.WriteTransport}.
 */
export class WriteTransport {
  readonly #outlet: Outlet;

  /**
   * Not for programs: a {@linkcode StreamWriter} has one.
   *
   * @param outlet What it is a view of.
   */
  constructor(outlet: never) {
    this.#outlet = outletOf(outlet);
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<WriteTransport of ${this.#outlet.describe()}>`;
  }

  /** How many bytes wait to be sent. */
  getWriteBufferSize(): number {
    return this.#outlet.size;
  }

  /**
   * The marks at which `drain()` goes on and waits.
   *
   * @returns The low and the high one, in bytes.
   */
  getWriteBufferLimits(): [low: number, high: number] {
    return this.#outlet.limits;
  }

  /**
   * Sets the marks at which `drain()` waits and goes on.
   *
   * @param limits The marks. With `high` 0, `drain()` waits until all is sent.
   * @throws {RangeError} If `low` is above `high` or below 0.
   */
  setWriteBufferLimits(limits: WriteBufferLimits = {}): void {
    this.#outlet.setLimits(limits);
  }

  /** Whether the connection is closed or being closed. */
  isClosing(): boolean {
    return this.#outlet.closing;
  }

  /** Closes the connection once everything written is sent. */
  close(): void {
    this.#outlet.close();
  }

  /** Closes the connection at once; what is unsent is dropped. */
  abort(): void {
    this.#outlet.abort();
  }

  /** The same as {@linkcode StreamWriter.writeEof}. */
  writeEof(): void {
    this.#outlet.writeEof();
  }

  /** Whether the connection can be closed by halves. */
  canWriteEof(): boolean {
    return this.#outlet.parts.halfCloses !== false;
  }

  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name What is asked for.
   * @param fallback The answer for what is not known.
   * @returns The answer.
   */
  getExtraInfo(name: string, fallback: unknown = null): unknown {
    return this.#outlet.parts.extra(name) ?? fallback;
  }
}

/**
 * Writes bytes: at once into a buffer, from there to the other side.
 *
 * What is written in one step leaves in one system call. After many writes
 * await {@linkcode StreamWriter.drain}, so that the buffer does not outgrow a
 * slow reader.
 *
 * `openConnection` and servers make writers.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.StreamWriter}.
 *
 * @example
 * ```ts
 * import { openConnection, startServer } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await startServer(async (reader, writer) => {
 *   writer.write(await reader.readline());
 *   writer.close();
 * }, "127.0.0.1", 0);
 * const { port } = server.sockets[0].addr as Deno.NetAddr;
 *
 * const [reader, writer] = await openConnection("127.0.0.1", port);
 * writer.write("hello\n");
 * await writer.drain();
 * assertEquals(new TextDecoder().decode(await reader.read()), "hello\n");
 * writer.close();
 * await writer.waitClosed();
 * ```
 */
export class StreamWriter implements AsyncDisposable {
  readonly #outlet: Outlet;
  #transport: WriteTransport | null = null;
  #writable: WritableStream<Uint8Array> | null = null;

  /**
   * Not for programs: `openConnection` and servers make writers.
   *
   * @param outlet What it is a view of.
   */
  constructor(outlet: never) {
    this.#outlet = outletOf(outlet);
  }

  /** The transport below. */
  get transport(): WriteTransport {
    return this.#transport ??= new WriteTransport(this.#outlet as never);
  }

  /**
   * Writes bytes, without waiting: they are copied and sent as soon as the
   * step of the running code is over. Once the other side is gone they are
   * dropped, and {@linkcode StreamWriter.drain} says so.
   *
   * @param data The bytes, or text to be sent as UTF-8.
   * @throws {RuntimeError} After `close()` or `writeEof()`.
   * @throws {TypeError} If it is neither.
   */
  write(data: Uint8Array | string): void {
    this.#outlet.write(data);
  }

  /**
   * Writes several pieces of bytes, one after another.
   *
   * @param data The pieces.
   * @throws {RuntimeError} After `close()` or `writeEof()`.
   */
  writelines(data: Iterable<Uint8Array | string>): void {
    for (const piece of data) this.#outlet.write(piece);
  }

  /**
   * Waits while more is unsent than the high-water mark, until it is down to
   * the low one. Several may wait at once.
   *
   * Cancelled, it changes nothing: what was written is sent all the same.
   *
   * @param options A signal that ends the wait.
   * @throws {Deno.errors.ConnectionReset} If the connection is gone; likewise `BrokenPipe`, or whatever ended it.
   * @throws {CancelledError} If the task is cancelled.
   */
  drain(options?: Cancellable): Promise<void> {
    return this.#outlet.drain(options);
  }

  /**
   * Ends the writing, once everything written is sent: the other side comes
   * to its end of input. Reading goes on.
   *
   * @throws {Deno.errors.NotSupported} If the connection cannot be closed by halves.
   */
  writeEof(): void {
    this.#outlet.writeEof();
  }

  /** Whether {@linkcode StreamWriter.writeEof} is possible. */
  canWriteEof(): boolean {
    return this.#outlet.parts.halfCloses !== false;
  }

  /**
   * Closes the connection once everything written is sent. The reader comes
   * to its end. A peer that never reads holds this up; `transport.abort()`
   * does not wait for it.
   */
  close(): void {
    this.#outlet.close();
  }

  /** Whether the connection is closed or being closed. */
  isClosing(): boolean {
    return this.#outlet.closing;
  }

  /**
   * Waits until the connection is closed.
   *
   * Cancelled, it changes nothing.
   *
   * @param options A signal that ends the wait.
   * @throws The error that ended the connection, the first time.
   * @throws {CancelledError} If the task is cancelled.
   */
  waitClosed(options?: Cancellable): Promise<void> {
    return this.#outlet.waitClosed(options);
  }

  /**
   * What is known of the connection.
   *
   * - `"peername"`: the address of the other side, a `Deno.Addr`.
   * - `"sockname"`: the own address.
   * - `"socket"`: the `Deno.Conn`; that below TLS, if this module encrypts it.
   * - `"sslObject"`: for TLS, the facts of its handshake.
   *
   * @param name What is asked for.
   * @param fallback The answer for what is not known.
   * @returns The answer.
   */
  getExtraInfo(name: string, fallback: unknown = null): unknown {
    return this.#outlet.parts.extra(name) ?? fallback;
  }

  /**
   * Encrypts the connection from here on, as its client. Everything written
   * before is sent in the clear first. No read may be under way.
   *
   * Cancelled, it closes the connection.
   *
   * @param options What `Deno.startTls` takes: `hostname`, `caCerts`, `alpnProtocols`; and how long it may take.
   * @throws {Deno.errors.NotSupported} On the server's side and where there is no TCP.
   * @throws {Deno.errors.InvalidData} If the other side's certificate is not accepted.
   * @throws {Deno.errors.ConnectionAborted} If the handshake takes too long, or the connection is closed meanwhile.
   * @throws {RuntimeError} If a read is under way, or TLS was started already.
   */
  startTls(options: StartTlsOptions = {}): Promise<void> {
    return this.#outlet.startTls(options);
  }

  /**
   * The writer as a stream of the Web. Closing it ends the writing, and
   * closes the connection if the reader is at its end too; aborting it aborts
   * the connection.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= new WritableStream({
      write: (chunk) => {
        this.write(chunk);
        return this.drain();
      },
      close: () => this.#outlet.endWriting(),
      abort: () => this.#outlet.abort(),
    });
  }

  /**
   * Closes the connection and waits for it.
   *
   * Cancelled, it drops what is not sent yet.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#outlet.dispose();
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    return `<${this.#outlet.describe()}>`;
  }
}

/** What becomes of a promise of the host when nobody waits for it any more. */
export interface Leftover<T> {
  /** The value came too late. */
  dispose(value: T): void;
  /** The wait was given up before anything came. */
  abandon?(): void;
}

/** Waits for a promise of the host as for something of this module. */
export function hostWait<T>(
  loop: EventLoop,
  promise: Promise<T>,
  options: Cancellable | undefined,
  leftover: Leftover<T>,
): Promise<T> {
  let take: () => T;
  let late: () => void;
  const future: AnyFuture = futures.make(loop, {
    take: () => take(),
    pass: () => late(),
    drop: () => leftover.abandon?.(),
  });
  if (options?.signal) futures.link(future, options.signal);
  const answer = () => {
    if (!futures.wake(future, loop)) late();
  };
  promise.then((value) => {
    take = () => value;
    late = () => leftover.dispose(value);
    answer();
  }, (error) => {
    take = () => raise(error);
    late = () => {};
    answer();
  });
  return future;
}

function raise(error: unknown): never {
  throw error;
}

function outletOf(outlet: unknown): Outlet {
  if (outlet instanceof Outlet) return outlet;
  throw new TypeError(
    "Cannot create a stream writer: connections and processes make theirs",
  );
}
