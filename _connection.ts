/**
 * Streams over the connections of the host, and making those connections.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import { type EventLoop, getEventLoop } from "./_event_loop.ts";
import { operation } from "./_waiting_call.ts";
import type { Cancellable, TlsTimeouts } from "./_options.ts";
import { runInSlot } from "./_context.ts";
import { deno, needDeno } from "./_deno.ts";
import { nextTurn, node } from "./_host.ts";
import {
  closersOf,
  internals as loops,
  type TimerHandle,
} from "./_scheduler.ts";
import {
  checkClientTls,
  checkStreamOptions,
  CONNECT,
  CONNECT_UNIX,
  type TlsLimits,
  tlsTimeouts,
  WRAP,
} from "./_stream_options.ts";
import { describe, isInstance } from "./_validate.ts";
import {
  type ByteSource,
  checkLimit,
  readers,
  ReadPump,
  StreamReader,
  type StreamReaderOptions,
} from "./_stream_reader.ts";
import { type ServerTls, Tls } from "./_tls.ts";
import {
  awaitHost,
  type ByteSink,
  type StartTlsOptions,
  StreamWriter,
  WritePump,
} from "./_stream_writer.ts";
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
   * Whether to use TLS, or what `Deno.connectTls` takes. A `hostname` in it is
   * the name that the certificate must be for.
   *
   * @default false
   */
  tls?: boolean | ClientTlsOptions;
  /**
   * How long the first address of a host may take before the next one is tried
   * as well.
   *
   * @default 0.25
   */
  happyEyeballsDelay?: Duration;
}

/** Options of {@linkcode openConnection} over a connection that is there already. */
export interface ConnectionStreamsOptions extends StreamReaderOptions {
  /** The connection. The writer closes it. */
  conn: Deno.Conn;
}

/** Options of {@linkcode openUnixConnection}. */
export interface OpenUnixConnectionOptions
  extends StreamReaderOptions, Cancellable {}

/**
 * Connects to a host, with or without TLS.
 *
 * Cancelled, it leaves no connection behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.open_connection}.
 *
 * @param host A name or an address.
 * @param port The port.
 * @param options Limit, TLS, and a signal that ends the wait.
 * @returns The reader and the writer of the connection.
 * @throws {Deno.errors.ConnectionRefused} If nobody listens there; other errors of Deno likewise, with the address in their message.
 * @throws {Deno.errors.InvalidData} If the certificate of the other side is not accepted.
 * @throws {Deno.errors.ConnectionAborted} If the TLS handshake takes too long.
 * @throws {Deno.errors.NotSupported} If an option is given that Deno does not have.
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
 * Makes streams of a connection that is there already. It never waits.
 *
 * @param options The connection, and the limit.
 * @returns The reader and the writer of the connection.
 * @throws {TypeError} If `conn` is not a connection, or an option is unknown.
 *
 * @example
 * ```ts
 * import { openConnection } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const { port } = listener.addr;
 * const conn = await Deno.connect({ hostname: "127.0.0.1", port });
 * using peer = await listener.accept();
 * await peer.write(new TextEncoder().encode("welcome\n"));
 *
 * const [reader, writer] = await openConnection({ conn });
 * assertEquals((await reader.readline()).length, 8);
 * writer.close();
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
      const refuse = addressed("connect to", addressText(to));
      const { signal } = options;
      const wanted = { ...(tls === true ? {} : tls), signal };
      await socket.startTls(host, wanted, timeouts, refuse);
    }
    return openStreams(socket, { limit, hostname: host }).streams;
  });
}

/**
 * Connects to a Unix socket.
 *
 * Cancelled, it leaves no connection behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.open_unix_connection}.
 *
 * @param path The path of the socket, or its name in the abstract namespace of Linux, which begins with a NUL character.
 * @param options Limit, and a signal that ends the wait.
 * @returns The reader and the writer of the connection.
 * @throws {Deno.errors.NotFound} If there is no such file; other errors of Deno likewise, with the path in their message.
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
      .catch(addressed("connect to", unixText(at)));
    const conn = await awaitHost<Deno.Conn>(loop, connecting, options, {
      dispose: closeQuietly,
    });
    return openStreams(new Socket(loop, conn), { limit }).streams;
  });
}

/** What follows an IPv4 address that a socket of both kinds reports. */
const MAPPED = "::ffff:";

/** Something that is open, and is closed with its loop at the latest. */
export interface Open {
  abandon(): unknown;
}

/** What is open on a loop. */
export function openOn(loop: EventLoop): Set<Open> {
  const extras = loops.storage(loop);
  let open = extras.get(openOn) as Set<Open> | undefined;
  if (open === undefined) {
    extras.set(openOn, open = new Set());
    closersOf(loop).add(() => closeAll(open!));
  }
  return open;
}

/** What is closing already has the turns of the host that it takes to send what is small. */
async function closeAll(open: Set<Open>): Promise<void> {
  for (let turn = 0; turn < 2 && open.size > 0; turn++) {
    await new Promise<void>(nextTurn);
  }
  await Promise.all([...open].map((it) => it.abandon()));
}

/**
 * A connection as its loop and its server know it. They hold its socket, and
 * not what its reader and writer are made of: once a program has dropped both
 * with nothing under way, the collector tells, and the socket is closed.
 */
export class Connection implements Open {
  readonly #loop: EventLoop;
  readonly #socket: Socket;
  readonly #onLost: ((connection: Connection) => void) | undefined;
  /** Not held: it leads to the reader and the writer, as these do to it. */
  #outlet: WeakRef<WritePump> | null = null;
  /** Ends a closing that takes too long. */
  #timer: TimerHandle | undefined;

  constructor(
    socket: Socket,
    onLost: ((connection: Connection) => void) | undefined,
  ) {
    this.#loop = socket.loop;
    this.#socket = socket;
    this.#onLost = onLost;
  }

  watch(outlet: WritePump): void {
    this.#outlet = new WeakRef(outlet);
    forgotten.register(outlet, this, this);
    openOn(this.#loop).add(this);
  }

  /** Closes it, once what was written to it is sent. */
  close(): void {
    const outlet = this.#outlet?.deref();
    if (outlet !== undefined) outlet.close(false);
    else this.#drop();
  }

  /** Closes it at once. */
  abort(): void {
    const outlet = this.#outlet?.deref();
    if (outlet !== undefined) outlet.abort(false);
    else this.#drop();
  }

  abandon(): void {
    this.abort();
  }

  /** It is being closed, and something is left to be sent. */
  limitClosing(): void {
    const seconds = this.#socket.shutdownTimeout;
    this.#timer = later(this.#loop, seconds, () => {
      const error = new TimeoutError(
        `Closing the TLS connection took longer than ${seconds} s`,
      );
      this.#outlet?.deref()?.fail(error);
    });
  }

  /** The socket is closed. */
  lost(): void {
    this.#timer?.cancel();
    forgotten.unregister(this);
    openOn(this.#loop).delete(this);
    this.#onLost?.(this);
  }

  /** Nobody can close it any more. */
  forget(): void {
    const peername = this.#socket.extra("peername");
    const sockname = this.#socket.extra("sockname");
    const message = `A connection to ${this.#socket.describe()} was never ` +
      "closed, and nothing refers to its reader or writer any more";
    this.#drop();
    runInSlot(
      loops.execution(this.#loop),
      (context) => this.#loop.callExceptionHandler(context),
      { message, peername, sockname },
    );
  }

  #drop(): void {
    this.#socket.close();
    this.lost();
  }
}

const forgotten = new FinalizationRegistry<Connection>((connection) =>
  connection.forget()
);

/** A connection of Deno as the two ends of streams; it may come to be encrypted. */
export class Socket implements ByteSink {
  readonly loop: EventLoop;
  readonly conn: Deno.Conn;
  /** What the bytes go through: the connection itself, or TLS over it. */
  #way: Pick<Deno.Conn, "read" | "write" | "closeWrite" | "close"> & Reference;
  #handshake: Deno.TlsHandshakeInfo | undefined;
  #limits: TlsLimits | null = null;
  /** The reading end. The writer closes the connection. */
  readonly source: ByteSource = {
    read: (buffer) => this.#way.read(buffer),
    ref: () => this.#way.ref(),
    unref: () => this.#way.unref(),
    close: () => {},
    describe: () => this.describe(),
  };

  constructor(
    loop: EventLoop,
    conn: Deno.Conn,
    handshake?: Deno.TlsHandshakeInfo,
  ) {
    this.loop = loop;
    this.conn = this.#way = conn;
    this.#handshake = handshake;
  }

  get takesLeave(): boolean {
    return this.#limits !== null;
  }

  /** How many seconds its closing may take; no limit without TLS. */
  get shutdownTimeout(): number {
    return this.#limits?.shutdown ?? Infinity;
  }

  /** Encrypts it as a client of that host. Whatever goes wrong, it is closed. */
  async startTls(
    host: string,
    options: StartTlsOptions,
    limits: TlsLimits,
    refuse: (error: unknown) => never,
  ): Promise<void> {
    const { signal, hostname = host, ...rest } = options;
    const start = () =>
      Tls.client(this.conn as Deno.TcpConn, { hostname, ...rest });
    const shaking = this.#shakeHands(start, limits).catch(refuse);
    await awaitHost(this.loop, shaking, { signal }, {
      dispose: () => this.close(),
      abandon: () => this.close(),
    });
  }

  /** Encrypts it as its server. Whatever goes wrong, it is closed. */
  async serveTls(settings: ServerTls, limits: TlsLimits): Promise<void> {
    const start = () => Tls.server(this.conn as Deno.TcpConn, settings);
    await this.#shakeHands(start, limits);
  }

  write(data: Uint8Array): Promise<number> {
    return this.#way.write(data);
  }

  closeWrite(): Promise<void> {
    return this.#way.closeWrite();
  }

  close(): void {
    closeQuietly(this.#way);
  }

  /** Who is at the other end. */
  describe(): string {
    const address = plainAddress(this.conn.remoteAddr);
    if ("hostname" in address) return addressText(address);
    return "path" in address && address.path
      ? unixText(address.path)
      : "a client";
  }

  extra(name: string): unknown {
    if (name === "peername") return plainAddress(this.conn.remoteAddr);
    if (name === "sockname") return plainAddress(this.conn.localAddr);
    if (name === "socket") return this.conn;
    return name === "sslObject" ? this.#handshake : undefined;
  }

  /** From its first moment on, `close` and the end of the loop reach the handshake. */
  async #shakeHands(start: () => Tls, limits: TlsLimits): Promise<void> {
    const entry = { abandon: () => this.close() };
    const open = openOn(this.loop);
    let timer: TimerHandle | undefined;
    try {
      const tls = start();
      this.#way = tls;
      this.#limits = limits;
      open.add(entry);
      timer = later(this.loop, limits.handshake, () => {
        tls.close(tookTooLong(limits.handshake));
      });
      this.#handshake = await tls.handshake;
    } catch (error) {
      this.close();
      throw error;
    } finally {
      timer?.cancel();
      open.delete(entry);
    }
  }
}

/** What keeps a program alive, or does not. */
interface Reference {
  ref(): void;
  unref(): void;
}

/** Makes the streams of a connection. */
export function openStreams(
  socket: Socket,
  options: {
    limit?: number | undefined;
    /** Of a client: whom TLS may be started with. */
    hostname?: string;
    onLost?: (connection: Connection) => void;
  },
): { streams: Streams; outlet: WritePump; connection: Connection } {
  const { limit, hostname } = options;
  const { loop } = socket;
  const reader = new StreamReader({ limit });
  const connection = new Connection(socket, options.onLost);
  const outlet = new WritePump(loop, socket, {
    reader,
    extra: (name) => socket.extra(name),
    onClosing: () => connection.limitClosing(),
    onLost: () => connection.lost(),
    upgrade: isTcp(socket.conn) && hostname !== undefined
      ? async (asked) => {
        const refuse = addressed("start TLS with", asked.hostname ?? hostname);
        const limits = tlsTimeouts(asked, true);
        await socket.startTls(hostname, asked, limits, refuse);
        return socket;
      }
      : undefined,
  });
  connection.watch(outlet);
  const inlet = new ReadPump(loop, reader, socket.source, {
    onError: (error) => outlet.fail(error),
    onEnd: () => outlet.readerEnded(),
  });
  readers.attach(reader, inlet);
  const streams: Streams = [reader, new StreamWriter(outlet as never)];
  return { streams, outlet, connection };
}

async function wrapConnection(
  options: ConnectionStreamsOptions,
): Promise<Streams> {
  checkStreamOptions(options, WRAP);
  const { conn, limit } = options;
  if (!isConnection(conn)) {
    throw new TypeError(
      `Cannot make streams: expected a connection, got ${describe(conn)}`,
    );
  }
  checkLimit(limit);
  const loop = getEventLoop();
  const handshake = isTls(conn)
    ? await awaitHost(loop, conn.handshake(), undefined, { dispose() {} })
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
  // The host drops, but does not close, a connection that is there when its signal aborts.
  attempt.signal.throwIfAborted = () => {};
  const connecting = deno.connect({
    ...to,
    ...eyeballs(options.happyEyeballsDelay),
    signal: attempt.signal,
  }).then((conn) => {
    try {
      conn.setNoDelay(true);
    } catch (error) {
      closeQuietly(conn);
      throw error;
    }
    return conn;
  }).catch(addressed("connect to", addressText(to)));
  return awaitHost<Deno.TcpConn>(loop, connecting, options, {
    dispose: closeQuietly,
    abandon: () => attempt.abort(),
  });
}

/** Calls back after some seconds, never if they are endless. */
function later(
  loop: EventLoop,
  seconds: number,
  call: () => void,
): TimerHandle | undefined {
  return seconds === Infinity ? undefined : loop.callLater(seconds, call);
}

function tookTooLong(seconds: number): Error {
  return new deno.errors.ConnectionAborted(
    `The TLS handshake took longer than ${seconds} s`,
  );
}

export function isTcp(conn: Deno.Conn): conn is Deno.TcpConn {
  return "setNoDelay" in conn;
}

function isTls(conn: Deno.Conn): conn is Deno.TlsConn {
  return "handshake" in conn;
}

export function closeQuietly(it: { close(): void }): void {
  try {
    it.close();
  } catch (error) {
    if (!(error instanceof deno.errors.BadResource)) throw error;
  }
}

function eyeballs(delay: Duration | undefined): {
  autoSelectFamily?: boolean;
  autoSelectFamilyAttemptDelay?: number;
} {
  if (delay === undefined) return {};
  const seconds = toSeconds(delay, "happyEyeballsDelay");
  if (seconds === Infinity) return { autoSelectFamily: false };
  const milliseconds = Math.max(1, Math.round(seconds * 1000));
  return { autoSelectFamilyAttemptDelay: milliseconds };
}

/** The address of an IPv4 peer as such, also on a socket of both kinds. */
function plainAddress(address: Deno.Addr): Deno.Addr {
  const { hostname } = address as Deno.NetAddr;
  return hostname?.startsWith(MAPPED) && hostname.includes(".")
    ? { ...address, hostname: hostname.slice(MAPPED.length) } as Deno.Addr
    : address;
}

export function addressText(to: { hostname: string; port: number }): string {
  const { hostname, port } = to;
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** Rethrows an error of the host, with what it was about in its message. */
export function addressed(
  action: string,
  address: string,
): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof Error)) throw error;
    const Same = error.constructor as ErrorConstructor;
    const told = new Same(`Cannot ${action} ${address}: ${error.message}`, {
      cause: error,
    });
    const { code } = error as { code?: unknown };
    throw code === undefined ? told : Object.assign(told, { code });
  };
}

/** Refuses what is no name of a host. */
function checkHost(host: unknown): void {
  checkText(host, "host");
  if (host === "") throw new RangeError("Invalid host: it is empty");
}

export function checkText(value: unknown, what: string): void {
  if (typeof value === "string") return;
  throw new TypeError(
    `Invalid ${what}: expected a string, got ${describe(value)}`,
  );
}

/** The path of a Unix socket, also from a `file:` URL. */
export function toPath(path: unknown): string {
  if (isInstance(path, URL)) {
    if (path.protocol === "file:") return node("url").fileURLToPath(path);
    throw new TypeError(`Invalid path: expected a file URL, got ${path.href}`);
  }
  if (typeof path === "string") return path;
  throw new TypeError(
    `Invalid path: expected a string or a URL, got ${describe(path)}`,
  );
}

/** Whether the path of a Unix socket is a name that has no file. */
export function isAbstract(path: string): boolean {
  return path.startsWith("\0");
}

/** The path of a Unix socket for people; abstract names as the system's tools show them. */
export function unixText(path: string): string {
  return isAbstract(path) ? path.replaceAll("\0", "@") : path;
}

export function checkPort(port: unknown): asserts port is number {
  if (
    Number.isInteger(port) && port as number >= 0 && port as number <= 65535
  ) {
    return;
  }
  throw new RangeError(
    `Invalid port: expected a whole number from 0 to 65535, got ${
      describe(port)
    }`,
  );
}
