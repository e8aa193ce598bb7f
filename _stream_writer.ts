/**
 * The writing half of a stream: writers and transports.
 *
 * @module
 */

import { outsideTasks } from "./_io_batch.ts";
import type { Cancellable } from "./_options.ts";
import type {
  StartTlsOptions,
  WriteBufferLimits,
  WritePump,
} from "./_write_pump.ts";

/** What only this file can pass to a constructor. */
const KEY = Symbol("key");

/** Creates a writer over a pump. */
export let makeWriter: (pump: WritePump) => StreamWriter;

let makeTransport: (pump: WritePump) => WriteTransport;

/**
 * The transport of a {@linkcode StreamWriter}: its buffer, its water marks, and
 * `abort()`.
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
 *
 * const [, { transport }] = await openConnection("127.0.0.1", server.port!);
 * transport.setWriteBufferLimits({ high: 1024 });
 * assertEquals(transport.getWriteBufferLimits(), [256, 1024]);
 * assertEquals(transport.getWriteBufferSize(), 0);
 * transport.abort();
 * ```
 */
export class WriteTransport {
  readonly #pump: WritePump;

  private constructor(pump: WritePump, key?: symbol) {
    checkKey(key);
    this.#pump = pump;
  }

  static {
    makeTransport = (pump) => new WriteTransport(pump, KEY);
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<WriteTransport of ${this.#pump.describe()}>`;
  }

  /** The number of unsent bytes. */
  getWriteBufferSize(): number {
    return this.#pump.size;
  }

  /**
   * The water marks that `drain()` goes by.
   *
   * @returns The low-water and the high-water mark, in bytes.
   */
  getWriteBufferLimits(): [low: number, high: number] {
    return this.#pump.limits;
  }

  /**
   * Sets the water marks that `drain()` goes by.
   *
   * @param limits The marks, by default 64 KiB and a quarter of that. With `high` at 0, `drain()` waits until everything is sent.
   * @throws {RangeError} If `low` is above `high` or below 0.
   * @throws {TypeError} If a mark is not a number, or an option is unknown.
   */
  setWriteBufferLimits(limits: WriteBufferLimits = {}): void {
    this.#pump.setLimits(limits);
  }

  /** Whether the connection is closed or closing. */
  isClosing(): boolean {
    return this.#pump.isClosing;
  }

  /** Closes the connection once everything written is sent. */
  close(): void {
    this.#pump.close();
  }

  /** Closes the connection at once and drops what is unsent. */
  abort(): void {
    this.#pump.abort();
  }

  /** The same as {@linkcode StreamWriter.writeEof}. */
  writeEof(): void {
    this.#pump.writeEof();
  }

  /** Whether the connection can be half-closed. */
  canWriteEof(): boolean {
    return this.#pump.options.canWriteEof !== false;
  }

  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name `"peername"` or `"sockname"`.
   * @returns The address.
   */
  getExtraInfo(name: "peername" | "sockname"): Deno.NetAddr | Deno.UnixAddr;
  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name `"socket"`.
   * @returns Deno's connection object.
   */
  getExtraInfo(name: "socket"): Deno.TcpConn | Deno.TlsConn | Deno.UnixConn;
  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name `"sslObject"`.
   * @returns The result of the handshake; `null` without TLS.
   */
  getExtraInfo(name: "sslObject"): Deno.TlsHandshakeInfo | null;
  /**
   * The same as {@linkcode StreamWriter.getExtraInfo}.
   *
   * @param name The name of the information.
   * @param fallback The value to return for an unknown name, `null` by default.
   * @returns The information.
   */
  getExtraInfo(name: string, fallback?: unknown): unknown;
  getExtraInfo(name: string, fallback: unknown = null): unknown {
    return this.#pump.getExtraInfo(name, fallback);
  }
}

/**
 * Writes bytes to a buffer, from which they are sent to the peer.
 *
 * Everything that a task writes before it next waits for something leaves in
 * one system call. After writing a lot, await {@linkcode StreamWriter.drain},
 * so that the buffer does not grow when the peer reads slowly.
 *
 * `openConnection`, servers and processes create writers.
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
  readonly #pump: WritePump;
  #transport: WriteTransport | null = null;
  #writable: WritableStream<Uint8Array> | null = null;

  private constructor(pump: WritePump, key?: symbol) {
    checkKey(key);
    this.#pump = pump;
  }

  static {
    makeWriter = (pump) => new StreamWriter(pump, KEY);
  }

  /** The transport of this writer. */
  get transport(): WriteTransport {
    return this.#transport ??= makeTransport(this.#pump);
  }

  /**
   * Writes bytes without waiting. They are copied, and sent when the running
   * code next waits for something. Once the connection is lost, they are
   * dropped and {@linkcode StreamWriter.drain} throws.
   *
   * @param data Bytes, or text to be sent as UTF-8.
   * @throws {RuntimeError} After `close()` or `writeEof()`.
   * @throws {TypeError} If `data` is neither bytes nor text.
   */
  write(data: Uint8Array | string): void {
    this.#pump.write(data);
  }

  /**
   * Writes several pieces in order. If one of them is invalid, none is written.
   *
   * @param data The pieces, each of them bytes or text.
   * @throws {RuntimeError} After `close()` or `writeEof()`.
   * @throws {TypeError} If `data` is not iterable, or a piece is neither bytes nor text.
   */
  writelines(data: Iterable<Uint8Array | string>): void {
    this.#pump.writeAll(data);
  }

  /**
   * Waits until the peer keeps up: if more than the high-water mark is unsent,
   * until that has fallen to the low-water mark. Several calls may wait at once.
   *
   * If it is cancelled, what was written is still sent.
   *
   * @param options A signal that cancels the wait.
   * @throws {Deno.errors.ConnectionReset} If the connection is closed. An error that closed it, such as `BrokenPipe`, is thrown instead.
   * @throws {RuntimeError} If it has to wait and the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { openConnection, startServer } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = await startServer(async (_reader, writer) => {
   *   for (let i = 0; i < 100; i++) {
   *     writer.write(new Uint8Array(10_000));
   *     await writer.drain();
   *   }
   *   writer.close();
   * }, "127.0.0.1", 0);
   *
   * const [reader, writer] = await openConnection("127.0.0.1", server.port!);
   * assertEquals((await reader.read()).length, 1_000_000);
   * writer.close();
   * await writer.waitClosed();
   * ```
   */
  drain(options?: Cancellable): Promise<void> {
    return this.#pump.drain(options);
  }

  /**
   * Ends the output once everything written is sent: the reader of the peer
   * comes to its end. The connection can still be read from.
   *
   * @throws {Deno.errors.NotSupported} If the connection cannot be half-closed.
   */
  writeEof(): void {
    this.#pump.writeEof();
  }

  /** Whether {@linkcode StreamWriter.writeEof} is possible. */
  canWriteEof(): boolean {
    return this.#pump.options.canWriteEof !== false;
  }

  /**
   * Closes the connection once everything written is sent, and ends its reader.
   * A peer that never reads can delay this for ever; `transport.abort()` closes
   * the connection at once.
   */
  close(): void {
    this.#pump.close();
  }

  /** Whether the connection is closed or closing. */
  isClosing(): boolean {
    return this.#pump.isClosing;
  }

  /**
   * Waits until the connection is closed.
   *
   * If it is cancelled, the connection stays as it is.
   *
   * @param options A signal that cancels the wait.
   * @throws The error that ended the connection, the first time it is called.
   * @throws {RuntimeError} If it has to wait and the connection belongs to another loop.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { openConnection, startServer } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await using server = await startServer(async (reader, writer) => {
   *   await reader.read();
   *   writer.close();
   * }, "127.0.0.1", 0);
   *
   * const [, writer] = await openConnection("127.0.0.1", server.port!);
   * writer.write("goodbye");
   * writer.close();
   * await writer.waitClosed();
   * assert(writer.isClosing());
   * ```
   */
  waitClosed(options?: Cancellable): Promise<void> {
    return this.#pump.waitClosed(options);
  }

  /**
   * The address of the peer or of this side.
   *
   * @param name `"peername"` or `"sockname"`.
   * @returns The address, whose `transport` is `"tcp"` or `"unix"`.
   */
  getExtraInfo(name: "peername" | "sockname"): Deno.NetAddr | Deno.UnixAddr;
  /**
   * Deno's connection object below the stream, for what the stream cannot do.
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
   * The result of a TLS handshake.
   *
   * @param name `"sslObject"`.
   * @returns The handshake, with the negotiated `alpnProtocol`; `null` without TLS.
   */
  getExtraInfo(name: "sslObject"): Deno.TlsHandshakeInfo | null;
  /**
   * Information about the connection.
   *
   * Besides the names above, the `stdin` of a process has its `"subprocess"`.
   * What Python has and Deno does not expose is refused: `"peercert"`,
   * `"cipher"` and `"sslcontext"` of a TLS connection, and the `"pipe"` of a
   * process.
   *
   * @param name The name of the information.
   * @param fallback The value to return for an unknown name, `null` by default.
   * @returns The information.
   * @throws {Deno.errors.NotSupported} If Deno does not expose it.
   */
  getExtraInfo(name: string, fallback?: unknown): unknown;
  getExtraInfo(name: string, fallback: unknown = null): unknown {
    return this.#pump.getExtraInfo(name, fallback);
  }

  /**
   * Starts TLS on the connection, as its client.
   *
   * What was written before is sent in the clear first. What is written during
   * the handshake is sent encrypted, and a read that starts then waits for its
   * end. Everything that the peer sent before must have been read, and no read
   * may be in progress. A read that was cancelled, `reader.atEof()`,
   * `reader.exception()` and `waitClosed()` can leave one in progress until the
   * peer sends something.
   *
   * If it is cancelled, the connection is closed.
   *
   * @param options The options of `Deno.startTls`, timeouts, and a signal that cancels the call.
   * @throws {Deno.errors.NotSupported} On the server side, and if this is not a TCP connection.
   * @throws {Deno.errors.InvalidData} If the certificate of the peer is not accepted, or the peer has sent more in the clear than was read. The connection is closed.
   * @throws {Deno.errors.ConnectionAborted} If the handshake times out. The connection is closed.
   * @throws {RuntimeError} If a read is in progress, TLS was started already, or the connection belongs to another loop.
   * @throws {TypeError} If an option has the wrong type or is unknown.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { openConnection, startServer } from "@asyncio/asyncio";
   *
   * await using server = await startServer(async (reader, writer) => {
   *   await reader.readline();
   *   writer.write("454 TLS not available\r\n");
   *   writer.close();
   * }, "127.0.0.1", 0);
   *
   * const [reader, writer] = await openConnection("127.0.0.1", server.port!);
   * writer.write("STARTTLS\r\n");
   * const reply = new TextDecoder().decode(await reader.readline());
   * if (reply.startsWith("220")) {
   *   await writer.startTls({ hostname: "mail.example.com" });
   * }
   * writer.close();
   * await writer.waitClosed();
   * ```
   */
  startTls(options: StartTlsOptions = {}): Promise<void> {
    return this.#pump.startTls(options);
  }

  /**
   * The writer as a web stream.
   *
   * Closing it ends the output, and closes the connection as soon as the reader
   * is at its end, too. Aborting it aborts the connection. It belongs to no
   * task: cancelling the task that pipes to it does not end the pipe.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= this.#makeWritable();
  }

  /**
   * Closes the connection and waits until it is closed.
   *
   * If the task is cancelled, it drops what is unsent and does not throw; the
   * next wait of the task throws the `CancelledError`.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#pump.dispose();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<${this.#pump.describe()}>`;
  }

  #makeWritable(): WritableStream<Uint8Array> {
    const pump = this.#pump;
    return new WritableStream({
      write: (chunk) =>
        outsideTasks(pump.loop, () => {
          pump.write(chunk);
          return pump.drain();
        }),
      close: () => outsideTasks(pump.loop, () => pump.endWriting()),
      abort: () => outsideTasks(pump.loop, () => pump.abort()),
    });
  }
}

function checkKey(key: unknown): void {
  if (key === KEY) return;
  throw new TypeError(
    "Cannot create a stream writer: connections and processes create their own",
  );
}
