/**
 * The way of bytes to a sink, below writers and transports.
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
import { deno } from "./_deno.ts";
import { waitWhileDisposing } from "./_dispose.ts";
import { AGAIN, futures } from "./_future.ts";
import type { EventLoop } from "./_event_loop.ts";
import { operation } from "./_waiting_call.ts";
import { checkCaller, HostCalls } from "./_io_batch.ts";
import type { Cancellable, TlsTimeouts } from "./_options.ts";
import { readers, type StreamReader } from "./_stream_reader.ts";
import type { Failure } from "./_read_request.ts";
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
export interface WritePumpOptions {
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
  upgrade?: ((options: StartTlsOptions) => Promise<ByteSink>) | undefined;
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

/** Names of `getExtraInfo` that Python answers, and what Deno keeps to itself. */
const KEPT_OF_TLS: Readonly<Record<string, string>> = {
  __proto__: null as never,
  cipher: "the cipher of a TLS connection",
  peercert: "the certificate of the other side, which it has checked",
  sslcontext: "the settings of a TLS connection",
};
const KEPT_OF_PIPES: Readonly<Record<string, string>> = {
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

const done = Promise.resolve();

/**
 * The way of bytes to a sink, from the first write to the end of the
 * connection. Writers and transports are views of it.
 */
export class WritePump {
  readonly loop: EventLoop;
  readonly parts: WritePumpOptions;
  readonly #calls: HostCalls;
  #sink: ByteSink;
  /** What was written since the last write of the sink began. */
  #unsent = new Outgoing();
  /** What was written since `startTls()` was called: goes out encrypted only. */
  #secret = new Outgoing();
  /** What the sink has not confirmed of the write under way, and the memory that it lies in. */
  #flying = NO_BYTES;
  #memory = NO_BYTES;
  /** A write of the sink is under way, or the connection is being encrypted. */
  #busy = false;
  #scheduled = false;
  /** The connection is about to be encrypted, or being so. */
  #upgrading = false;
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
  readonly #home = new LoopBinding();
  readonly #drainers = new WaitQueue<void>({
    complete: () => {
      if (this.#dropped) throw this.#lossError();
    },
    handOff: () => {},
    describe: () => `room in <${this.describe()}>`,
  }, this.#home);
  /** Those who wait until nothing is unsent, whatever the marks are. */
  readonly #flushers = new WaitQueue<void>({
    complete: () => {
      if (this.#dropped) throw this.#lossError();
      return this.#busy && !this.#lost ? AGAIN : undefined;
    },
    handOff: () => {},
    describe: () => `<${this.describe()}> to be sent`,
  }, this.#home);
  readonly #closers = new WaitQueue<void>({
    complete: () => this.#throwOnce(),
    handOff: () => {},
    remove: () => {
      if (this.#closers.waiting === 0) this.#watchReader(false);
    },
    describe: () => `the end of <${this.describe()}>`,
  }, this.#home);

  constructor(loop: EventLoop, sink: ByteSink, parts: WritePumpOptions) {
    this.loop = loop;
    this.#sink = sink;
    this.parts = parts;
    this.#calls = HostCalls.of(loop);
  }

  /** How many bytes wait to be sent. */
  get size(): number {
    return this.#flying.length + this.#unsent.size + this.#secret.size;
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

  setLimits(limits: WriteBufferLimits): void {
    const action = "set the limits";
    checkOptions(limits, ["high", "low"], action);
    checkMark(limits.high, action, "high");
    checkMark(limits.low, action, "low");
    const { low: given } = limits;
    const high = limits.high ?? (given === undefined ? HIGH : 4 * given);
    const low = given ?? Math.floor(high / 4);
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
    this.#mustBeOpen();
    this.#add(data);
  }

  /** Writes all pieces; if one of them is no bytes, none. */
  writeAll(data: Iterable<Bytes>): void {
    if (typeof data !== "string") checkIterable(data, "write", "the lines");
    const pieces = [...data];
    for (const piece of pieces) checkBytes(piece, "write");
    this.#mustBeOpen();
    for (const piece of pieces) this.#add(piece);
  }

  #mustBeOpen(): void {
    if (!this.#closedByWriter && !this.#eof) return;
    throw new RuntimeError(
      `Cannot write: the stream was ${
        this.#closedByWriter ? "closed" : "ended with writeEof()"
      }`,
    );
  }

  #add(data: Bytes): void {
    if (this.closing || data.length === 0) return;
    if (this.#upgrading) this.#secret.add(data);
    else this.#unsent.add(data);
    if (this.size > this.#high) this.#paused = true;
    if (!this.#busy) this.#schedule();
  }

  writeEof(): void {
    if (this.parts.halfCloses === false) {
      throw new deno.errors.NotSupported(
        "Cannot write the end of the stream: this connection cannot be closed by halves",
      );
    }
    if (this.#eof || this.closing) return;
    this.#eof = true;
    this.#schedule();
  }

  drain(options?: Cancellable): Promise<void> {
    try {
      signalOf(options, "drain a stream")?.throwIfAborted();
      this.#throwFailure();
      if (!this.#closing && !this.#paused) return done;
      checkCaller(this.loop, "drain a stream");
      if (this.#closing) {
        return operation(() => this.#drainClosing(options));
      }
      return this.#drainers.wait(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sends what was written. */
  flush(): void {
    this.#scheduled = false;
    if (this.#busy || this.#lost) return;
    if (this.#unsent.size > 0) this.#sendNext();
    else if (this.#upgrading) this.#flushers.notifyAll();
    else if (this.#eof && !this.#eofSent) this.#sendEof();
    else if (this.#closing) this.#takeLeave();
    else this.#flushers.notifyAll();
  }

  /** Closes it; `own` if the program that writes does so, which then must not write any more. */
  close(own = true): void {
    if (own) this.#closedByWriter = true;
    if (this.#closing) return;
    this.#closing = true;
    if (this.#lost) return;
    if (this.#upgrading && this.size === 0) return this.lose(null);
    if (this.parts.reader) readers.inlet(this.parts.reader)?.stop();
    this.#calls.writeNow(this);
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
    this.#secret = new Outgoing();
    this.#flying = this.#memory = NO_BYTES;
    this.#sink.close();
    if (this.parts.reader) readers.end(this.parts.reader, failure);
    this.#drainers.notifyAll();
    this.#flushers.notifyAll();
    this.#closers.notifyAll();
    this.parts.onLost?.();
  }

  fail(error: unknown): void {
    this.lose({ error, told: false });
  }

  waitClosed(options?: Cancellable): Promise<void> {
    try {
      signalOf(options, "wait for the end of a stream")?.throwIfAborted();
      if (!this.#lost) {
        checkCaller(this.loop, "wait for the end of a stream");
        const waiting = this.#closers.wait(options);
        this.#watchReader(true);
        return waiting;
      }
      this.#throwOnce();
      return done;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #watchReader(watched: boolean): void {
    if (this.parts.reader) readers.watch(this.parts.reader, watched);
  }

  /** Closes, and waits for it. An error that the program was told of is not told again. */
  async dispose(): Promise<void> {
    this.close();
    if (this.#failure?.told) return;
    await waitWhileDisposing(
      this.loop,
      () => this.waitClosed(),
      () => this.abort(),
    );
  }

  /**
   * Ends the writing, and the connection too once the reader is at its end or
   * if it cannot be half-closed.
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
    checkTlsOptions(options);
    const { upgrade, reader } = this.parts;
    if (upgrade === undefined) {
      throw new deno.errors.NotSupported(
        "Cannot start TLS: Deno offers it for the client side of TCP connections only",
      );
    }
    if (this.#upgrading || this.parts.extra("sslObject") !== undefined) {
      throw new RuntimeError("Cannot start TLS: it was started already");
    }
    options.signal?.throwIfAborted();
    checkCaller(this.loop, "start TLS");
    this.#throwFailure();
    const inlet = reader && readers.inlet(reader);
    if (reader) this.#checkNothingUnread(reader);
    this.#upgrading = true;
    inlet?.hold();
    try {
      await this.#encrypt(upgrade, options);
    } finally {
      this.#upgrading = false;
      inlet?.release();
    }
    this.#calls.writeNow(this);
  }

  async #encrypt(
    upgrade: NonNullable<WritePumpOptions["upgrade"]>,
    options: StartTlsOptions,
  ): Promise<void> {
    try {
      await this.#sent(options);
      if (this.#lost) throw this.#lossError();
      this.#busy = true;
      this.#sink = await upgrade(options);
    } catch (error) {
      const given = error instanceof CancelledError || options.signal?.aborted;
      if (given) this.abort(false);
      else this.lose({ error, told: true });
      throw error;
    }
    this.#busy = false;
    this.#unsent = this.#secret;
    this.#secret = new Outgoing();
    if (!this.#lost) return;
    this.#sink.close();
    throw this.#lossError();
  }

  /**
   * Bytes from before must not be read as if they had come encrypted: somebody
   * in between could have put them there.
   */
  #checkNothingUnread(reader: StreamReader): void {
    if (readers.inlet(reader)?.reading) {
      throw new RuntimeError("Cannot start TLS: a read is under way");
    }
    if (!readers.unread(reader)) return;
    const error = new deno.errors.InvalidData(
      "Cannot start TLS: the other side has sent more in the clear than was read",
    );
    this.lose({ error, told: true });
    throw error;
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
    this.#drainers.notifyAll();
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
    this.#calls.writeNow(this);
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

  /** Answers `getExtraInfo`, or says why it cannot. */
  extra(name: string, fallback: unknown): unknown {
    checkName(name);
    const answer = this.parts.extra(name);
    if (answer !== undefined) return answer;
    const isPipe = this.parts.extra("subprocess") !== undefined;
    const isTls = (this.parts.extra("sslObject") ?? null) !== null;
    if (isTls && name === "compression") return null; // of no TLS that Deno speaks
    const kept = isTls
      ? KEPT_OF_TLS[name]
      : isPipe
      ? KEPT_OF_PIPES[name]
      : null;
    if (!kept) return fallback;
    throw new deno.errors.NotSupported(
      `Cannot tell ${JSON.stringify(name)}: Deno does not give ${kept}`,
    );
  }

  /** What a program is told that writes to a connection that is gone. */
  #lossError(): unknown {
    if (this.#failure === null) {
      return new deno.errors.ConnectionReset(
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

function checkName(name: unknown): void {
  if (typeof name === "string") return;
  throw new TypeError(
    `Cannot tell of a connection: the name must be a string, got ${
      describe(name)
    }`,
  );
}

function checkMark(mark: unknown, action: string, name: string): void {
  if (mark === undefined || typeof mark === "number") return;
  throw new TypeError(
    `Cannot ${action}: ${name} must be a number, got ${describe(mark)}`,
  );
}

/** Checks what Deno would refuse in words of its own, or only once bytes are on their way. */
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
