/**
 * Connections: opening them, and the streams over them.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import {
  type EventLoop,
  getEventLoop,
  internals as loops,
  type TimerHandle,
} from "./_event_loop.ts";
import { operation } from "./_waiting_call.ts";
import type { Cancellable, TlsTimeouts } from "./_options.ts";
import { runInSlot } from "./_context.ts";
import { awaitDeno } from "./_await_deno.ts";
import {
  checkHost,
  checkPort,
  formatAddress,
  formatUnixPath,
  rethrowWithAddress,
  toPath,
} from "./_address.ts";
import { closeQuietly, deno, needDeno } from "./_deno.ts";
import {
  isTcp,
  type OpenResource,
  openResources,
  Socket,
  startTimer,
} from "./_socket.ts";
import {
  checkClientTls,
  checkLimit,
  checkStreamOptions,
  CONNECT,
  CONNECT_UNIX,
  tlsTimeouts,
  WRAP,
} from "./_stream_options.ts";
import { describe } from "./_validate.ts";
import {
  readers,
  StreamReader,
  type StreamReaderOptions,
} from "./_stream_reader.ts";
import { makeWriter, type StreamWriter } from "./_stream_writer.ts";
import { WritePump } from "./_write_pump.ts";
import { TimeoutError } from "./exceptions.ts";

/** A reader and a writer of the same connection. */
export type Streams = [reader: StreamReader, writer: StreamWriter];

/** What `Deno.connectTls` takes, with or without a certificate of your own. */
export type ClientTlsOptions = Partial<
  Deno.ConnectTlsOptions & Deno.TlsCertifiedKeyPem
>;

/** Options of {@linkcode openConnection}. */
export interface OpenConnectionOptions
  extends StreamReaderOptions, TlsTimeouts, Cancellable {
  /**
   * `true` for TLS, or the options of `Deno.connectTls`. A `hostname` in them
   * is the name that the certificate is checked against. Without this option
   * the connection is not encrypted.
   *
   * @default false
   */
  tls?: boolean | ClientTlsOptions;
  /**
   * How long to wait for the first address of a host before trying the next
   * one in parallel. By default a quarter of a second.
   *
   * @default 0.25
   */
  happyEyeballsDelay?: Duration;
}

/** Options of {@linkcode openConnection} over an existing connection. */
export interface ConnectionStreamsOptions extends StreamReaderOptions {
  /** The connection, which the writer closes. */
  conn: Deno.Conn;
}

/** Options of {@linkcode openUnixConnection}. */
export interface OpenUnixConnectionOptions
  extends StreamReaderOptions, Cancellable {}

/**
 * Opens a TCP connection, with or without TLS.
 *
 * If it is cancelled, the connection is closed, even in the middle of a
 * handshake.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.open_connection}.
 *
 * @param host A host name or an IP address.
 * @param port The port.
 * @param options The limit of the reader, TLS, and a signal that cancels the call.
 * @returns The reader and the writer of the connection.
 * @throws {Deno.errors.ConnectionRefused} If nobody listens there. This and other errors of Deno have the address in their message.
 * @throws {Deno.errors.InvalidData} If the certificate of the peer is not accepted.
 * @throws {Deno.errors.ConnectionAborted} If the TLS handshake times out.
 * @throws {Deno.errors.NotSupported} For an option of Python's that Deno does not have.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { openConnection, startServer } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await startServer((_reader, writer) => {
 *   writer.write("welcome\n");
 *   writer.close();
 * }, "127.0.0.1", 0);
 * const port = server.port!;
 *
 * const [reader, writer] = await openConnection("127.0.0.1", port);
 * assertEquals(new TextDecoder().decode(await reader.readline()), "welcome\n");
 * writer.close();
 * await writer.waitClosed();
 * ```
 */
export function openConnection(
  host: string,
  port: number,
  options?: OpenConnectionOptions,
): Promise<Streams>;
/**
 * Creates streams over an existing connection. If that is a TLS connection,
 * waits for its handshake.
 *
 * If it is cancelled, the connection stays open.
 *
 * @param options The connection, and the limit of the reader.
 * @returns The reader and the writer of the connection.
 * @throws {TypeError} If `conn` is not a connection, or an option is unknown.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { openConnection, startServer } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await startServer((_reader, writer) => {
 *   writer.write("welcome\n");
 *   writer.close();
 * }, "127.0.0.1", 0);
 *
 * const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port! });
 * const [reader, writer] = await openConnection({ conn });
 * assertEquals(new TextDecoder().decode(await reader.readline()), "welcome\n");
 * writer.close();
 * await writer.waitClosed();
 * ```
 */
export function openConnection(
  options: ConnectionStreamsOptions,
): Promise<Streams>;
export function openConnection(
  hostOrOptions: string | ConnectionStreamsOptions,
  port?: number,
  options: OpenConnectionOptions = {},
): Promise<Streams> {
  return operation(async () => {
    if (typeof hostOrOptions === "object" && hostOrOptions !== null) {
      return await wrapConnection(hostOrOptions);
    }
    const host = hostOrOptions;
    checkHost(host);
    checkPort(port);
    checkStreamOptions(options, CONNECT);
    const { limit, tls } = options;
    checkLimit(limit);
    checkClientTls(tls);
    const timeouts = tlsTimeouts(options, Boolean(tls));
    options.signal?.throwIfAborted();
    needDeno("open a connection");
    const loop = getEventLoop();
    const to = { hostname: host, port };
    const conn = await connectTcp(loop, to, options);
    const socket = new Socket(loop, conn);
    if (tls) {
      const rethrow = rethrowWithAddress("connect to", formatAddress(to));
      const { signal } = options;
      const wanted = { ...(tls === true ? {} : tls), signal };
      await socket.startTls(host, wanted, timeouts, rethrow);
    }
    return openStreams(socket, { limit, hostname: host }).streams;
  });
}

/**
 * Opens a connection to a Unix socket.
 *
 * If it is cancelled, the connection is closed.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.open_unix_connection}.
 *
 * @param path The path of the socket. A name in the abstract namespace of Linux begins with a NUL character.
 * @param options The limit of the reader, and a signal that cancels the call.
 * @returns The reader and the writer of the connection.
 * @throws {Deno.errors.NotFound} If there is no such file. This and other errors of Deno have the path in their message.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { openUnixConnection, startUnixServer } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${await Deno.makeTempDir()}/socket`;
 * await using server = await startUnixServer((_reader, writer) => {
 *   writer.write("welcome\n");
 *   writer.close();
 * }, path);
 *
 * const [reader, writer] = await openUnixConnection(path);
 * assertEquals(new TextDecoder().decode(await reader.readline()), "welcome\n");
 * writer.close();
 * await writer.waitClosed();
 * ```
 */
export function openUnixConnection(
  path: string | URL,
  options: OpenUnixConnectionOptions = {},
): Promise<Streams> {
  return operation(async () => {
    const at = toPath(path);
    checkStreamOptions(options, CONNECT_UNIX);
    const { limit } = options;
    checkLimit(limit);
    options.signal?.throwIfAborted();
    needDeno("open a connection");
    const loop = getEventLoop();
    const connecting = deno.connect({ transport: "unix", path: at })
      .catch(rethrowWithAddress("connect to", formatUnixPath(at)));
    const conn = await awaitDeno<Deno.Conn>(loop, connecting, options, {
      dispose: closeQuietly,
    });
    return openStreams(new Socket(loop, conn), { limit }).streams;
  });
}

/**
 * A connection as its loop and its server see it. They hold the socket, but
 * not the reader and the writer: if a program drops both while nothing is in
 * progress, they are garbage-collected, the loss is reported, and the socket
 * is closed.
 */
export class Connection implements OpenResource {
  readonly #loop: EventLoop;
  readonly #socket: Socket;
  readonly #onClosed: ((connection: Connection) => void) | undefined;
  /** Weak, because the pump, the reader and the writer refer to each other. */
  #pump: WeakRef<WritePump> | null = null;
  /** Limits how long closing may take. */
  #timer: TimerHandle | undefined;

  constructor(
    socket: Socket,
    onClosed: ((connection: Connection) => void) | undefined,
  ) {
    this.#loop = socket.loop;
    this.#socket = socket;
    this.#onClosed = onClosed;
  }

  attach(pump: WritePump): void {
    this.#pump = new WeakRef(pump);
    unclosed.register(pump, this, this);
    openResources.get(this.#loop).add(this);
  }

  /** Closes the connection once everything written is sent. */
  close(): void {
    const pump = this.#pump?.deref();
    if (pump !== undefined) pump.close(false);
    else this.#closeSocket();
  }

  /** Closes the connection at once. */
  abort(): void {
    const pump = this.#pump?.deref();
    if (pump !== undefined) pump.abort(false);
    else this.#closeSocket();
  }

  closeWithLoop(): void {
    this.abort();
  }

  /** The connection is closing, and there is something left to send. */
  startCloseTimer(): void {
    const seconds = this.#socket.shutdownTimeout;
    this.#timer = startTimer(this.#loop, seconds, () => {
      const error = new TimeoutError(
        `Closing the TLS connection took longer than ${seconds} s`,
      );
      this.#pump?.deref()?.fail(error);
    });
  }

  /** The socket is closed. */
  closed(): void {
    this.#timer?.cancel();
    unclosed.unregister(this);
    openResources.get(this.#loop).delete(this);
    this.#onClosed?.(this);
  }

  /** Called when the reader and the writer were garbage-collected. */
  reportUnclosed(): void {
    const peername = this.#socket.extraInfo("peername");
    const sockname = this.#socket.extraInfo("sockname");
    const message = `A connection to ${this.#socket.describe()} was never ` +
      "closed, and nothing refers to its reader or writer any more";
    this.#closeSocket();
    runInSlot(
      loops.execution(this.#loop),
      (context) => this.#loop.callExceptionHandler(context),
      { message, peername, sockname },
    );
  }

  #closeSocket(): void {
    this.#socket.close();
    this.closed();
  }
}

const unclosed = new FinalizationRegistry<Connection>((connection) =>
  connection.reportUnclosed()
);

/** Creates the streams of a connection. */
export function openStreams(
  socket: Socket,
  options: {
    limit?: number | undefined;
    /** The host that a client is connected to, for `startTls()`. */
    hostname?: string;
    onClosed?: (connection: Connection) => void;
  },
): { streams: Streams; pump: WritePump; connection: Connection } {
  const { limit, hostname } = options;
  const { loop } = socket;
  const reader = new StreamReader({ limit });
  const connection = new Connection(socket, options.onClosed);
  const pump = new WritePump(loop, socket, {
    reader,
    readers,
    extraInfo: (name) => socket.extraInfo(name),
    onClosing: () => connection.startCloseTimer(),
    onClosed: () => connection.closed(),
    startTls: isTcp(socket.conn) && hostname !== undefined
      ? async (startOptions) => {
        const rethrow = rethrowWithAddress(
          "start TLS with",
          startOptions.hostname ?? hostname,
        );
        const timeouts = tlsTimeouts(startOptions, true);
        await socket.startTls(hostname, startOptions, timeouts, rethrow);
        return socket;
      }
      : undefined,
  });
  connection.attach(pump);
  readers.attach(reader, loop, socket.source, {
    onError: (error) => pump.fail(error),
    onEnd: () => pump.readerEnded(),
  });
  const streams: Streams = [reader, makeWriter(pump)];
  return { streams, pump, connection };
}

async function wrapConnection(
  options: ConnectionStreamsOptions,
): Promise<Streams> {
  checkStreamOptions(options, WRAP);
  const { conn, limit } = options;
  if (!isConnection(conn)) {
    throw new TypeError(
      `Cannot create streams: expected a connection, got ${describe(conn)}`,
    );
  }
  checkLimit(limit);
  const loop = getEventLoop();
  const handshake = isTls(conn)
    ? await awaitDeno(loop, conn.handshake(), undefined, { dispose() {} })
    : undefined;
  const socket = new Socket(loop, conn, handshake);
  return openStreams(socket, { limit }).streams;
}

function isConnection(value: unknown): value is Deno.Conn {
  try {
    const { read, write, close } = value as Deno.Conn;
    return [read, write, close].every((it) => typeof it === "function");
  } catch {
    return false; // null, or a proxy that throws
  }
}

function connectTcp(
  loop: EventLoop,
  to: { hostname: string; port: number },
  options: OpenConnectionOptions,
): Promise<Deno.TcpConn> {
  const attempt = new AbortController();
  // Deno would drop a finished connection without closing it if its signal has aborted.
  attempt.signal.throwIfAborted = () => {};
  const connecting = deno.connect({
    ...to,
    ...happyEyeballsOptions(options.happyEyeballsDelay),
    signal: attempt.signal,
  }).then((conn) => {
    try {
      conn.setNoDelay(true);
    } catch (error) {
      closeQuietly(conn);
      throw error;
    }
    return conn;
  }).catch(rethrowWithAddress("connect to", formatAddress(to)));
  return awaitDeno<Deno.TcpConn>(loop, connecting, options, {
    dispose: closeQuietly,
    onCancel: () => attempt.abort(),
  });
}

function isTls(conn: Deno.Conn): conn is Deno.TlsConn {
  return "handshake" in conn;
}

function happyEyeballsOptions(delay: Duration | undefined): {
  autoSelectFamily?: boolean;
  autoSelectFamilyAttemptDelay?: number;
} {
  if (delay === undefined) return {};
  const seconds = toSeconds(delay, "happyEyeballsDelay");
  if (seconds === Infinity) return { autoSelectFamily: false };
  const milliseconds = Math.max(1, Math.round(seconds * 1000));
  return { autoSelectFamilyAttemptDelay: milliseconds };
}
