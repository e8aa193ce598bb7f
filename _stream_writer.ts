/**
 * The writing half of a stream, as programs see it.
 *
 * @module
 */

import { type AnyFuture, futures } from "./_future.ts";
import type { EventLoop } from "./_event_loop.ts";
import { outsideTasks } from "./_io_batch.ts";
import type { Cancellable } from "./_options.ts";
import { isInstance } from "./_validate.ts";
import {
  type StartTlsOptions,
  type WriteBufferLimits,
  WritePump,
} from "./_write_pump.ts";

export {
  type ByteSink,
  type StartTlsOptions,
  type WriteBufferLimits,
  WritePump,
  type WritePumpOptions,
} from "./_write_pump.ts";

/**
 * What a writer writes through: its buffer, its marks, and the way to close at
 * once.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-protocol.html#asyncio.WriteTransport}.
 *
 * @example
 * ```ts
 * import { openConnection, startServer } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await startServer((_reader, writer) => {
 *   writer.close();
 * }, "127.0.0.1", 0);
 * const [, { transport }] = await openConnection("127.0.0.1", server.port!);
 * transport.setWriteBufferLimits({ high: 1024 });
 * assertEquals(transport.getWriteBufferLimits(), [256, 1024]);
 * assertEquals(transport.getWriteBufferSize(), 0);
 * transport.abort();
 * ```
 */
export class WriteTransport {
  readonly #outlet: WritePump;

  /**
   * Not for programs: a {@linkcode StreamWriter} has one.
   *
   * @param outlet What it is a view of.
   */
  constructor(outlet: never) {
    this.#outlet = outletOf(outlet);
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
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
   * @param limits The marks, by default 64 KiB and a quarter of that. With `high` 0, `drain()` waits until all is sent.
   * @throws {RangeError} If `low` is above `high` or below 0.
   * @throws {TypeError} If one is no number, or there is no such option.
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

  /** Whether the connection can be half-closed. */
  canWriteEof(): boolean {
    return this.#outlet.parts.halfCloses !== false;
  }

  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name Which address.
   * @returns The address.
   */
  getExtraInfo(name: "peername" | "sockname"): Deno.NetAddr | Deno.UnixAddr;
  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name `"socket"`.
   * @returns The connection of Deno.
   */
  getExtraInfo(name: "socket"): Deno.TcpConn | Deno.TlsConn | Deno.UnixConn;
  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name `"sslObject"`.
   * @returns The facts of the handshake, `null` without TLS.
   */
  getExtraInfo(name: "sslObject"): Deno.TlsHandshakeInfo | null;
  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name What is asked for.
   * @param fallback The answer for what is not known.
   * @returns The answer.
   */
  getExtraInfo(name: string, fallback?: unknown): unknown;
  getExtraInfo(name: string, fallback: unknown = null): unknown {
    return this.#outlet.extra(name, fallback);
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
 * const port = server.port!;
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
  readonly #outlet: WritePump;
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
   * Writes bytes, without waiting: they are copied, and sent as soon as the
   * running step is over. Once the other side is gone they are dropped, and
   * {@linkcode StreamWriter.drain} says so.
   *
   * @param data The bytes, or text to be sent as UTF-8.
   * @throws {RuntimeError} After `close()` or `writeEof()`.
   * @throws {TypeError} If it is neither.
   */
  write(data: Uint8Array | string): void {
    this.#outlet.write(data);
  }

  /**
   * Writes several pieces of bytes, one after another. If one of them is
   * refused, none is written.
   *
   * @param data The pieces.
   * @throws {RuntimeError} After `close()` or `writeEof()`.
   * @throws {TypeError} If it cannot be iterated, or a piece is neither bytes nor text.
   */
  writelines(data: Iterable<Uint8Array | string>): void {
    this.#outlet.writeAll(data);
  }

  /**
   * If more is unsent than the high-water mark, waits until it is down to the
   * low-water mark. Several may wait at once.
   *
   * Cancelled, it changes nothing: what was written is sent all the same.
   *
   * @param options A signal that ends the wait.
   * @throws {Deno.errors.ConnectionReset} If the connection is gone; likewise `BrokenPipe`, or whatever ended it.
   * @throws {RuntimeError} If it has to wait, and the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { openConnection, startServer } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = await startServer(async (_reader, writer) => {
   *   for (let n = 0; n < 3; n++) {
   *     writer.write(`line ${n}\n`);
   *     await writer.drain();
   *   }
   *   writer.close();
   * }, "127.0.0.1", 0);
   * const [reader, writer] = await openConnection("127.0.0.1", server.port!);
   * assertEquals((await reader.read()).length, 21);
   * writer.close();
   * ```
   */
  drain(options?: Cancellable): Promise<void> {
    return this.#outlet.drain(options);
  }

  /**
   * Ends the writing, once everything written is sent: the other side comes
   * to its end of input. Reading goes on.
   *
   * @throws {Deno.errors.NotSupported} If the connection cannot be half-closed.
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
   *
   * @example
   * ```ts
   * import { openConnection, startServer } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await using server = await startServer((_reader, writer) => {
   *   writer.close();
   * }, "127.0.0.1", 0);
   * const [, writer] = await openConnection("127.0.0.1", server.port!);
   * writer.write("the last words");
   * writer.close();
   * await writer.waitClosed();
   * assert(writer.isClosing());
   * ```
   */
  waitClosed(options?: Cancellable): Promise<void> {
    return this.#outlet.waitClosed(options);
  }

  /**
   * The address of the other side, or of this one.
   *
   * @param name Which address.
   * @returns The address; its `transport` tells its kind.
   */
  getExtraInfo(name: "peername" | "sockname"): Deno.NetAddr | Deno.UnixAddr;
  /**
   * The connection of Deno that carries the stream, for what only that can do.
   *
   * @param name `"socket"`.
   * @returns The connection.
   *
   * @example
   * ```ts
   * import { openConnection, startServer } from "@asyncio/asyncio";
   *
   * await using server = await startServer(async (_reader, writer) => {
   *   await using _closing = writer;
   * }, "127.0.0.1", 0);
   * const port = server.port!;
   *
   * const [, writer] = await openConnection("127.0.0.1", port);
   * const socket = writer.getExtraInfo("socket");
   * if ("setKeepAlive" in socket) socket.setKeepAlive(true);
   * writer.close();
   * await writer.waitClosed();
   * ```
   */
  getExtraInfo(name: "socket"): Deno.TcpConn | Deno.TlsConn | Deno.UnixConn;
  /**
   * What Deno tells of a TLS connection.
   *
   * @param name `"sslObject"`.
   * @returns The facts of the handshake, with the `alpnProtocol` that was agreed on; `null` without TLS.
   */
  getExtraInfo(name: "sslObject"): Deno.TlsHandshakeInfo | null;
  /**
   * What is known of the connection.
   *
   * Besides the names above, the `stdin` of a process knows its `"subprocess"`.
   * What Python can tell and Deno cannot is refused: `"peercert"`, `"cipher"`
   * and `"sslcontext"` of a TLS connection, the `"pipe"` of a process.
   *
   * @param name What is asked for.
   * @param fallback The answer for what is not known.
   * @returns The answer.
   * @throws {Deno.errors.NotSupported} If Deno does not give it.
   */
  getExtraInfo(name: string, fallback?: unknown): unknown;
  getExtraInfo(name: string, fallback: unknown = null): unknown {
    return this.#outlet.extra(name, fallback);
  }

  /**
   * Encrypts the connection from here on, as its client. Everything written
   * before is sent in the clear first, what is written meanwhile is sent
   * encrypted, and a read that begins meanwhile waits. Everything that came
   * before has to be read, and no read may be under way.
   *
   * Cancelled, it closes the connection.
   *
   * @param options What `Deno.startTls` takes: `hostname`, `caCerts`, `alpnProtocols`.
   * @throws {Deno.errors.NotSupported} On the server's side and where there is no TCP.
   * @throws {Deno.errors.InvalidData} If the other side's certificate is not accepted, or it has sent more in the clear than was read. The connection is closed then.
   * @throws {RuntimeError} If a read is under way, TLS was started already, or the connection belongs to another loop.
   * @throws {TypeError} If an option is of the wrong type, or there is no such option.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { openConnection } from "@asyncio/asyncio";
   *
   * // Asks a mail server to speak TLS.
   * async function secure(hostname: string): Promise<void> {
   *   const [reader, writer] = await openConnection(hostname, 25);
   *   await reader.readline(); // its greeting
   *   writer.write("STARTTLS\r\n");
   *   await reader.readline(); // its consent
   *   await writer.startTls({ hostname });
   *   writer.close();
   * }
   * ```
   */
  startTls(options: StartTlsOptions = {}): Promise<void> {
    return this.#outlet.startTls(options);
  }

  /**
   * The writer as a web stream. Closing it ends the writing, and
   * closes the connection if the reader is at its end too; aborting it aborts
   * the connection. It belongs to no task: what ends the task that pipes to it
   * leaves the pipe alone.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= this.#toWeb();
  }

  /**
   * Closes the connection and waits for it.
   *
   * Cancelled, it closes the connection at once; what is unsent is dropped.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#outlet.dispose();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<${this.#outlet.describe()}>`;
  }

  #toWeb(): WritableStream<Uint8Array> {
    const outlet = this.#outlet;
    return new WritableStream({
      write: (chunk) =>
        outsideTasks(outlet.loop, () => {
          outlet.write(chunk);
          return outlet.drain();
        }),
      close: () => outsideTasks(outlet.loop, () => outlet.endWriting()),
      abort: () => outsideTasks(outlet.loop, () => outlet.abort()),
    });
  }
}

/** What becomes of a promise of the host when nobody waits for it any more. */
export interface LateResult<T> {
  /** The value came too late. */
  dispose(value: T): void;
  /** The wait was given up before anything came. */
  abandon?(): void;
}

/** Waits for a promise of the host as for something of this module. */
export function awaitHost<T>(
  loop: EventLoop,
  promise: Promise<T>,
  options: Cancellable | undefined,
  leftover: LateResult<T>,
): Promise<T> {
  let take: () => T;
  let late: () => void;
  const future: AnyFuture = futures.make(loop, {
    complete: () => take(),
    handOff: () => late(),
    remove: () => leftover.abandon?.(),
  });
  if (options?.signal) futures.subscribeSignal(future, options.signal);
  const answer = () => {
    if (!futures.notify(future, loop)) late();
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

function outletOf(outlet: unknown): WritePump {
  if (isInstance(outlet, WritePump)) return outlet;
  throw new TypeError(
    "Cannot create a stream writer: connections and processes make theirs",
  );
}
