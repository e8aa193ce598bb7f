/**
 * The write pump moves bytes from a writer to a sink.
 *
 * Everything that a task writes before it next waits for something leaves in
 * one write of the sink. One write is in progress at a time; what is written
 * meanwhile is buffered for the next one.
 *
 * @module
 */

import {
  type Bytes,
  checkBytes,
  NO_BYTES,
  type OwnBytes,
  recycle,
  WriteBuffer,
} from "./_bytes.ts";
import { deno } from "./_deno.ts";
import { waitWhileDisposing } from "./_dispose.ts";
import { rejection } from "./_error_stack.ts";
import { AGAIN, futures } from "./_future.ts";
import type { EventLoop } from "./_event_loop.ts";
import { operation } from "./_waiting_call.ts";
import { checkCaller, IoBatch } from "./_io_batch.ts";
import type { Cancellable, TlsTimeouts } from "./_options.ts";
import { readers, type StreamReader } from "./_stream_reader.ts";
import type { StreamFailure } from "./_read_request.ts";
import { tlsTimeouts } from "./_stream_options.ts";
import {
  checkFlag,
  checkIterable,
  checkOptions,
  checkSignal,
  checkString,
  checkStrings,
  describe,
  signalOf,
} from "./_validate.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import { CancelledError, RuntimeError } from "./exceptions.ts";

/** Where the bytes of a writer go. */
export interface ByteSink {
  /** Writes some of the bytes. Resolves to the number written, at least 1. */
  write(data: Uint8Array): Promise<number>;
  /** Signals the end of the output to the peer. */
  closeWrite(): Promise<void>;
  /** Called when nothing more will be written; ends a pending write. */
  close(): void;
  /** Whether `closeWrite` has to come before `close`, as in TLS. */
  readonly endsBeforeClose?: boolean;
  /** Describes the sink in a few words. */
  describe?(): string;
}

/** The parts of a connection that a write pump works with. */
export interface WritePumpOptions {
  /** The reader of the same connection, which ends with the writer; `null` if there is none. */
  reader: StreamReader | null;
  /** Answers `getExtraInfo`; `undefined` for an unknown name. */
  extraInfo: (name: string) => unknown;
  /** Whether the output can end while the connection stays open; it can if this is omitted. */
  canWriteEof?: boolean;
  /** Called once, when closing begins and there is something left to send. */
  onClosing?: () => void;
  /** Called once, when the connection is closed. */
  onClosed?: () => void;
  /** Encrypts the connection; closes it if it is cancelled. */
  startTls?: ((options: StartTlsOptions) => Promise<ByteSink>) | undefined;
}

/** Options of {@linkcode StreamWriter.startTls}: those of `Deno.startTls`, timeouts and a signal. */
export type StartTlsOptions =
  & Deno.StartTlsOptions
  & TlsTimeouts
  & Cancellable;

/** Options of {@linkcode WriteTransport.setWriteBufferLimits}, in bytes. */
export interface WriteBufferLimits {
  /**
   * The high-water mark: `drain()` waits while more than this is unsent. By
   * default 64 KiB, or four times `low` if that is given.
   *
   * @default 65536
   */
  high?: number;
  /**
   * The low-water mark: a waiting `drain()` resumes once no more than this is
   * unsent. By default a quarter of `high`.
   *
   * @default 16384
   */
  low?: number;
}

/** The default high-water mark, in bytes. */
const DEFAULT_HIGH = 65_536;

/** Names of `getExtraInfo` that Python knows, and what Deno does not expose. */
const UNAVAILABLE_TLS_INFO: Readonly<Record<string, string>> = {
  __proto__: null as never,
  cipher: "the cipher of a TLS connection",
  peercert: "the certificate of the peer, which it has verified",
  sslcontext: "the settings of a TLS connection",
};
const UNAVAILABLE_PIPE_INFO: Readonly<Record<string, string>> = {
  __proto__: null as never,
  pipe: "the descriptor of a pipe",
};

const TLS_OPTIONS = [
  "hostname",
  "caCerts",
  "alpnProtocols",
  "unsafelyDisableHostnameVerification",
  "sslHandshakeTimeout",
  "sslShutdownTimeout",
  "signal",
];

/** States of the connection. */
const OPEN = 0;
/** The connection closes once everything is sent. */
const CLOSING = 1;
const CLOSED = 2;

/** States of the sink: nothing to do. */
const IDLE = 0;
/** A flush is scheduled for the end of the batch. */
const SCHEDULED = 1;
/** A write, the end of the output or a TLS handshake is in progress. */
const BUSY = 2;

/** States of the writer: the program has called neither `writeEof()` nor `close()`. */
const WRITABLE = 0;
/** After the writer's `writeEof()`. */
const EOF_WRITTEN = 1;
/** After the writer's `close()`; a server that closes the connection does not count. */
const WRITER_CLOSED = 2;

/** States of the end of the output. */
const NO_EOF = 0;
/** It is sent once everything else is sent. */
const EOF_PENDING = 1;
const EOF_SENT = 2;

const resolved = Promise.resolve();

/**
 * Sends bytes to a sink, from the first write to the end of the connection.
 * Writers and transports are views of it.
 */
export class WritePump {
  readonly loop: EventLoop;
  readonly options: WritePumpOptions;
  readonly #batch: IoBatch;
  #sink: ByteSink;
  #connectionState = OPEN;
  #sinkState = IDLE;
  #writerState = WRITABLE;
  #eofState = NO_EOF;
  /** What was written since the last write of the sink began. */
  #unsent = new WriteBuffer();
  /** What was written since `startTls()` was called, to be sent encrypted; `null` outside of it. */
  #afterHandshake: WriteBuffer | null = null;
  /** What the sink has not confirmed of the pending write, and the memory it lies in. */
  #inFlight = NO_BYTES;
  #inFlightMemory = NO_BYTES;
  #high = DEFAULT_HIGH;
  #low = DEFAULT_HIGH / 4;
  /** More than `#high` was unsent, and it has not fallen to `#low` since. */
  #isAboveHigh = false;
  /** The connection closes when the reader reaches its end. */
  #closesAtReaderEnd = false;
  /** Why the connection was closed, if by an error. */
  #failure: StreamFailure | null = null;
  /** The connection was closed before everything was sent. */
  #lostBytes = false;
  /** `waitClosed()` throws the error of the connection once. */
  #threwOnClose = false;
  readonly #binding = new LoopBinding();
  /** Waits for the low-water mark. */
  readonly #drainers = new WaitQueue<void>({
    complete: () => {
      if (this.#lostBytes) throw this.#closedError();
    },
    handOff: () => {},
    describe: () => `room in <${this.describe()}>`,
  }, this.#binding);
  /** Waits until everything is sent, whatever the marks are. */
  readonly #flushers = new WaitQueue<void>({
    complete: () => {
      if (this.#lostBytes) throw this.#closedError();
      return this.#sinkState === BUSY && this.#connectionState !== CLOSED
        ? AGAIN
        : undefined;
    },
    handOff: () => {},
    describe: () => `<${this.describe()}> to be sent`,
  }, this.#binding);
  readonly #closers = new WaitQueue<void>({
    complete: () => this.#throwCloseError(),
    handOff: () => {},
    remove: () => {
      if (this.#closers.waiting === 0) this.#watchReader(false);
    },
    describe: () => `the end of <${this.describe()}>`,
  }, this.#binding);

  constructor(loop: EventLoop, sink: ByteSink, options: WritePumpOptions) {
    this.loop = loop;
    this.#sink = sink;
    this.options = options;
    this.#batch = IoBatch.of(loop);
  }

  /** The number of unsent bytes. */
  get size(): number {
    return this.#inFlight.length + this.#unsent.size +
      (this.#afterHandshake?.size ?? 0);
  }

  get limits(): [low: number, high: number] {
    return [this.#low, this.#high];
  }

  /** Whether the connection is closed or closing. */
  get isClosing(): boolean {
    return this.#connectionState !== OPEN;
  }

  setLimits(limits: WriteBufferLimits): void {
    const action = "set the limits";
    checkOptions(limits, ["high", "low"], action);
    checkWriteLimit(limits.high, action, "high");
    checkWriteLimit(limits.low, action, "low");
    const high = limits.high ??
      (limits.low === undefined ? DEFAULT_HIGH : 4 * limits.low);
    const low = limits.low ?? Math.floor(high / 4);
    if (!(high >= low && low >= 0)) {
      throw new RangeError(
        `Cannot set the limits: high (${high}) must not be below low (${low}), nor low below 0`,
      );
    }
    this.#high = high;
    this.#low = low;
    if (this.size > high) this.#isAboveHigh = true;
    else this.#resumeDrain();
  }

  write(data: Bytes): void {
    checkBytes(data, "write");
    this.#checkWritable();
    this.#append(data);
  }

  /** Writes all pieces, or none if one of them is invalid. */
  writeAll(data: Iterable<Bytes>): void {
    if (typeof data !== "string") checkIterable(data, "write", "the lines");
    const pieces = [...data];
    for (const piece of pieces) checkBytes(piece, "write");
    this.#checkWritable();
    for (const piece of pieces) this.#append(piece);
  }

  writeEof(): void {
    if (this.options.canWriteEof === false) {
      throw new deno.errors.NotSupported(
        "Cannot write the end of the stream: this connection cannot be half-closed",
      );
    }
    if (this.#eofState !== NO_EOF || this.isClosing) return;
    this.#writerState = EOF_WRITTEN;
    this.#eofState = EOF_PENDING;
    this.#schedule();
  }

  drain(options?: Cancellable): Promise<void> {
    try {
      signalOf(options, "drain a stream")?.throwIfAborted();
      this.#throwIfFailed();
      const isClosing = this.#connectionState === CLOSING;
      if (!isClosing && !this.#isAboveHigh) return resolved;
      checkCaller(this.loop, "drain a stream");
      if (isClosing) return operation(() => this.#drainWhileClosing(options));
      return this.#drainers.wait(options);
    } catch (error) {
      return rejection(error);
    }
  }

  /** Does what the sink has to do next, unless it is busy. */
  flush(): void {
    if (this.#sinkState === BUSY || this.#connectionState === CLOSED) return;
    this.#sinkState = IDLE;
    if (this.#unsent.size > 0) this.#sendNext();
    else if (this.#afterHandshake !== null) this.#flushers.notifyAll();
    else if (this.#eofState === EOF_PENDING) this.#sendEof();
    else if (this.#connectionState === CLOSING) this.#finishClosing();
    else this.#flushers.notifyAll();
  }

  /** Closes the connection once everything is sent. After the writer's own `close()`, writes are refused. */
  close(isByWriter = true): void {
    if (isByWriter) this.#writerState = WRITER_CLOSED;
    if (this.isClosing) return;
    this.#connectionState = CLOSING;
    if (this.#afterHandshake !== null && this.size === 0) {
      return this.terminate(null);
    }
    if (this.options.reader) readers.pump(this.options.reader)?.stop();
    this.#batch.writeNow(this);
    if (this.#connectionState !== CLOSED) this.options.onClosing?.();
  }

  /** Closes the connection at once and drops what is unsent. */
  abort(isByWriter = true): void {
    if (isByWriter) this.#writerState = WRITER_CLOSED;
    this.terminate(null);
  }

  /** Ends the connection and everything that waits for it. */
  terminate(failure: StreamFailure | null): void {
    if (this.#connectionState === CLOSED) return;
    this.#connectionState = CLOSED;
    this.#failure = failure;
    this.#lostBytes = failure !== null || this.size > 0;
    this.#unsent = new WriteBuffer();
    if (this.#afterHandshake !== null) this.#afterHandshake = new WriteBuffer();
    this.#inFlight = this.#inFlightMemory = NO_BYTES;
    this.#sink.close();
    if (this.options.reader) readers.end(this.options.reader, failure);
    this.#drainers.notifyAll();
    this.#flushers.notifyAll();
    this.#closers.notifyAll();
    this.options.onClosed?.();
  }

  fail(error: unknown): void {
    this.terminate({ error, isObserved: false });
  }

  waitClosed(options?: Cancellable): Promise<void> {
    try {
      const action = "wait for the end of a stream";
      signalOf(options, action)?.throwIfAborted();
      if (this.#connectionState !== CLOSED) {
        checkCaller(this.loop, action);
        const closed = this.#closers.wait(options);
        this.#watchReader(true);
        return closed;
      }
      this.#throwCloseError();
      return resolved;
    } catch (error) {
      return rejection(error);
    }
  }

  /** Closes the connection and waits for that. An error that the program has seen is not thrown again. */
  async dispose(): Promise<void> {
    this.close();
    if (this.#failure?.isObserved) return;
    await waitWhileDisposing(
      this.loop,
      () => this.waitClosed(),
      () => this.abort(),
    );
  }

  /**
   * Ends the output. If it cannot be half-closed, or the reader is at its end,
   * this closes the connection; otherwise the end of the reader does.
   */
  async endWriting(): Promise<void> {
    this.#closesAtReaderEnd = true;
    const { reader, canWriteEof } = this.options;
    if (canWriteEof === false || reader === null || readers.isEnded(reader)) {
      this.close();
      return await this.waitClosed();
    }
    this.writeEof();
    await this.#waitSent();
  }

  /** The peer has ended its output. */
  readerEnded(): void {
    if (this.#closesAtReaderEnd) this.close();
  }

  async startTls(options: StartTlsOptions): Promise<void> {
    checkTlsOptions(options);
    const { startTls, reader } = this.options;
    if (startTls === undefined) {
      throw new deno.errors.NotSupported(
        "Cannot start TLS: Deno supports it only for the client side of a TCP connection",
      );
    }
    const isEncrypted = this.options.extraInfo("sslObject") !== undefined;
    if (isEncrypted || this.#afterHandshake !== null) {
      throw new RuntimeError("Cannot start TLS: it was started already");
    }
    options.signal?.throwIfAborted();
    checkCaller(this.loop, "start TLS");
    this.#throwIfFailed();
    const readPump = reader && readers.pump(reader);
    if (reader) this.#checkAllRead(reader);
    this.#afterHandshake = new WriteBuffer();
    readPump?.pause();
    try {
      await this.#encrypt(startTls, options);
    } finally {
      this.#afterHandshake = null;
      readPump?.resume();
    }
    this.#batch.writeNow(this);
  }

  /** Answers `getExtraInfo`, or throws if Deno does not expose the answer. */
  getExtraInfo(name: string, fallback: unknown): unknown {
    checkInfoName(name);
    const { extraInfo } = this.options;
    const answer = extraInfo(name);
    if (answer !== undefined) return answer;
    const isPipe = extraInfo("subprocess") !== undefined;
    const isTls = (extraInfo("sslObject") ?? null) !== null;
    if (isTls && name === "compression") return null; // Deno's TLS never compresses
    const unavailable = isTls
      ? UNAVAILABLE_TLS_INFO[name]
      : isPipe
      ? UNAVAILABLE_PIPE_INFO[name]
      : null;
    if (!unavailable) return fallback;
    throw new deno.errors.NotSupported(
      `Cannot get ${JSON.stringify(name)}: Deno does not expose ${unavailable}`,
    );
  }

  describe(): string {
    const state = this.#connectionState === CLOSED
      ? ", closed"
      : this.#connectionState === CLOSING
      ? ", closing"
      : "";
    const to = this.#sink.describe?.();
    const destination = to === undefined ? "" : ` to ${to}`;
    return `StreamWriter ${this.size} bytes unsent${destination}${state}`;
  }

  #checkWritable(): void {
    if (this.#writerState === WRITABLE) return;
    throw new RuntimeError(
      `Cannot write: the stream was ${
        this.#writerState === WRITER_CLOSED ? "closed" : "ended with writeEof()"
      }`,
    );
  }

  #append(data: Bytes): void {
    if (this.isClosing || data.length === 0) return;
    (this.#afterHandshake ?? this.#unsent).append(data);
    if (this.size > this.#high) this.#isAboveHigh = true;
    this.#schedule();
  }

  /** A busy sink flushes by itself when it is done. */
  #schedule(): void {
    if (this.#sinkState !== IDLE) return;
    this.#sinkState = SCHEDULED;
    this.#batch.addWrite(this);
  }

  #sendNext(): void {
    const { memory, size } = this.#unsent.shift();
    this.#inFlightMemory = memory;
    this.#send(size < memory.length ? memory.subarray(0, size) : memory);
  }

  #send(bytes: OwnBytes): void {
    this.#sinkState = BUSY;
    this.#inFlight = bytes;
    try {
      this.#sink.write(bytes).then(this.#onWritten, this.#onFailure);
    } catch (error) {
      this.fail(error); // the program has closed the sink itself
    }
  }

  readonly #onWritten = (count: number): void => {
    if (this.#connectionState === CLOSED) return;
    const bytes = this.#inFlight;
    if (count < bytes.length) this.#send(bytes.subarray(count));
    else {
      this.#sinkState = IDLE;
      this.#inFlight = NO_BYTES;
      recycle(this.#inFlightMemory);
      this.#inFlightMemory = NO_BYTES;
    }
    this.#resumeDrain();
    this.flush();
  };

  readonly #onFailure = (error: unknown): void => this.fail(error);

  #resumeDrain(): void {
    if (!this.#isAboveHigh || this.size > this.#low) return;
    this.#isAboveHigh = false;
    this.#drainers.notifyAll();
  }

  /** Everything is sent. */
  #finishClosing(): void {
    const needsEof = this.#sink.endsBeforeClose && this.#eofState !== EOF_SENT;
    if (needsEof) this.#sendEof();
    else this.terminate(null);
  }

  #sendEof(): void {
    this.#eofState = EOF_SENT;
    this.#sinkState = BUSY;
    try {
      this.#sink.closeWrite().then(() => {
        this.#sinkState = IDLE;
        this.flush();
      }, this.#onFailure);
    } catch (error) {
      this.fail(error); // the program has closed the sink itself
    }
  }

  /** Yields to the loop first, so that a program that calls `drain()` in a loop notices the end. */
  async #drainWhileClosing(options?: Cancellable): Promise<void> {
    await futures.makeYield(this.loop, undefined);
    this.#throwIfFailed();
    if (this.#isAboveHigh) await this.#drainers.wait(options);
  }

  async #waitSent(options?: Cancellable): Promise<void> {
    this.#throwIfFailed();
    this.#batch.writeNow(this);
    if (this.#sinkState === BUSY) await this.#flushers.wait(options);
  }

  async #encrypt(
    startTls: NonNullable<WritePumpOptions["startTls"]>,
    options: StartTlsOptions,
  ): Promise<void> {
    try {
      await this.#waitSent(options);
      if (this.#connectionState === CLOSED) throw this.#closedError();
      this.#sinkState = BUSY;
      this.#sink = await startTls(options);
    } catch (error) {
      const isCancelled = error instanceof CancelledError ||
        options.signal?.aborted;
      if (isCancelled) this.abort(false);
      else this.terminate({ error, isObserved: true });
      throw error;
    }
    this.#sinkState = IDLE;
    this.#unsent = this.#afterHandshake!;
    this.#afterHandshake = null;
    if (this.#connectionState !== CLOSED) return;
    this.#sink.close();
    throw this.#closedError();
  }

  /**
   * Bytes that came before the handshake must not be read as if they had come
   * encrypted: an attacker on the network could have inserted them.
   */
  #checkAllRead(reader: StreamReader): void {
    if (readers.pump(reader)?.isReading) {
      throw new RuntimeError("Cannot start TLS: a read is in progress");
    }
    if (!readers.hasUnread(reader)) return;
    const error = new deno.errors.InvalidData(
      "Cannot start TLS: the peer has sent more in the clear than was read",
    );
    this.terminate({ error, isObserved: true });
    throw error;
  }

  /** Has the reader notice the end of the connection although nobody reads. */
  #watchReader(isWatched: boolean): void {
    if (this.options.reader) readers.watch(this.options.reader, isWatched);
  }

  #throwIfFailed(): void {
    const { reader } = this.options;
    const failure = reader && readers.failure(reader);
    if (failure) {
      failure.isObserved = true;
      throw failure.error;
    }
    if (this.#connectionState === CLOSED) throw this.#closedError();
  }

  /** The error for a program that writes to a closed connection. */
  #closedError(): unknown {
    if (this.#failure === null) {
      return new deno.errors.ConnectionReset(
        "Cannot write: the connection is closed",
      );
    }
    this.#failure.isObserved = true;
    return this.#failure.error;
  }

  #throwCloseError(): void {
    if (this.#failure === null || this.#threwOnClose) return;
    this.#threwOnClose = this.#failure.isObserved = true;
    throw this.#failure.error;
  }
}

function checkInfoName(name: unknown): void {
  if (typeof name === "string") return;
  throw new TypeError(
    `Cannot get extra info: the name must be a string, got ${describe(name)}`,
  );
}

function checkWriteLimit(mark: unknown, action: string, name: string): void {
  if (mark === undefined || typeof mark === "number") return;
  throw new TypeError(
    `Cannot ${action}: ${name} must be a number, got ${describe(mark)}`,
  );
}

/** Checks options before anything is sent. */
function checkTlsOptions(options: StartTlsOptions): void {
  const action = "start TLS";
  checkOptions(options, TLS_OPTIONS, action);
  checkSignal(options.signal, action);
  checkString(options.hostname, action, "hostname");
  checkStrings(options.caCerts, action, "caCerts");
  checkStrings(options.alpnProtocols, action, "alpnProtocols");
  const name = "unsafelyDisableHostnameVerification";
  checkFlag(options[name], action, name);
  tlsTimeouts(options, true);
}
