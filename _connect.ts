/**
 * Streams over the connections of the host, and making those connections.
 *
 * @module
 */

import { type Duration, toSeconds } from "./_duration.ts";
import { describe, type EventLoop, getEventLoop } from "./_future.ts";
import type { Cancellable } from "./_options.ts";
import { runInSlot } from "./_context.ts";
import { hostTurn, node } from "./_host.ts";
import { closersOf, internals as loops } from "./_loop.ts";
import {
  type ByteSource,
  Inlet,
  readers,
  StreamReader,
  type StreamReaderOptions,
} from "./_reader.ts";
import {
  type ByteSink,
  hostWait,
  Outlet,
  type StartTlsOptions,
  StreamWriter,
} from "./_writer.ts";

/** A reader and a writer of the same connection. */
export type Streams = [reader: StreamReader, writer: StreamWriter];

/** What `Deno.connectTls` takes, with or without a certificate of one's own. */
export type ClientTlsOptions = Partial<
  Deno.ConnectTlsOptions & Deno.TlsCertifiedKeyPem
>;

/** Options of {@linkcode openConnection}. */
export interface OpenConnectionOptions
  extends StreamReaderOptions, Cancellable {
  /**
   * Whether to use TLS, or what `Deno.connectTls` takes. A `hostname` in it is
   * the name that the certificate must be for.
   *
   * @default false
   */
  tls?: boolean | ClientTlsOptions;
  /**
   * How long the first address of a host may take before the next one is
   * tried beside it.
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
 * @throws {Deno.errors.ConnectionRefused} If nobody listens there; other errors of the host likewise, with the address in their message.
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
 * const { port } = server.sockets[0].addr as Deno.NetAddr;
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
 * Makes streams of a connection that is there already.
 *
 * @param options The connection, and the limit.
 * @returns The reader and the writer of the connection.
 */
export function openConnection(
  options: ConnectionStreamsOptions,
): Promise<Streams>;
export async function openConnection(
  hostOrOptions: string | ConnectionStreamsOptions,
  port?: number,
  options: OpenConnectionOptions = {},
): Promise<Streams> {
  if (typeof hostOrOptions === "object" && hostOrOptions !== null) {
    return await wrapConnection(hostOrOptions);
  }
  const host = hostOrOptions;
  checkText(host, "host");
  checkPort(port);
  refuseOthers(options, CONNECT_OPTIONS);
  options.signal?.throwIfAborted();
  const { limit, tls, ...rest } = options;
  checkLimit(limit);
  const loop = getEventLoop();
  const link = tls
    ? await connectTls(loop, { hostname: host, port }, tls, rest)
    : { conn: await connectTcp(loop, { hostname: host, port }, rest) };
  return openStreams(loop, link, { limit, hostname: host }).streams;
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
 * @throws {Deno.errors.NotFound} If there is no such file; other errors of the host likewise, with the path in their message.
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
export async function openUnixConnection(
  path: string | URL,
  options: OpenUnixConnectionOptions = {},
): Promise<Streams> {
  const at = toPath(path);
  refuseOthers(options, ["limit", "signal"]);
  options.signal?.throwIfAborted();
  const { limit } = options;
  checkLimit(limit);
  const loop = getEventLoop();
  const connecting = Deno.connect({ transport: "unix", path: at })
    .catch(addressed("connect to", unixText(at)));
  const conn = await hostWait<Deno.Conn>(loop, connecting, options, {
    dispose: closeQuietly,
  });
  return openStreams(loop, { conn }, { limit }).streams;
}

const CONNECT_OPTIONS = ["limit", "tls", "happyEyeballsDelay", "signal"];
/** What follows an IPv4 address that a socket of both kinds reports. */
const MAPPED = "::ffff:";

/** A connection of the host, with the facts of its handshake if it has TLS. */
export interface Link {
  conn: Deno.Conn;
  handshake?: Deno.TlsHandshakeInfo;
}

/** Something that is open, and is closed with its loop at the latest. */
export interface Open {
  abandon(): unknown;
}

/** What is open on a loop. */
export function openOn(loop: EventLoop): Set<Open> {
  const extras = loops.extras(loop);
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
    await new Promise<void>(hostTurn);
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
  #outlet: WeakRef<Outlet> | null = null;

  constructor(
    loop: EventLoop,
    socket: Socket,
    onLost: ((connection: Connection) => void) | undefined,
  ) {
    this.#loop = loop;
    this.#socket = socket;
    this.#onLost = onLost;
  }

  watch(outlet: Outlet): void {
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

  /** The socket is closed. */
  lost(): void {
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
      loops.frame(this.#loop),
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

/** A connection of the host as the two ends of streams; it may come to be encrypted. */
class Socket implements ByteSink {
  link: Link;
  /** The reading end. The writer closes the connection. */
  readonly source: ByteSource = {
    read: (buffer) => this.link.conn.read(buffer),
    ref: () => this.link.conn.ref(),
    unref: () => this.link.conn.unref(),
    close: () => {},
    describe: () => this.describe(),
  };

  constructor(link: Link) {
    this.link = link;
  }

  write(data: Uint8Array): Promise<number> {
    return this.link.conn.write(data);
  }

  closeWrite(): Promise<void> {
    return this.link.conn.closeWrite();
  }

  close(): void {
    closeQuietly(this.link.conn);
  }

  /** Who is at the other end. */
  describe(): string {
    const address = plainAddress(this.link.conn.remoteAddr);
    if ("hostname" in address) return addressText(address);
    return "path" in address && address.path
      ? unixText(address.path)
      : "a client";
  }

  extra(name: string): unknown {
    const { conn, handshake } = this.link;
    if (name === "peername") return plainAddress(conn.remoteAddr);
    if (name === "sockname") return plainAddress(conn.localAddr);
    if (name === "socket") return conn;
    return name === "sslObject" ? handshake : undefined;
  }
}

/** Makes the streams of a connection. */
export function openStreams(
  loop: EventLoop,
  link: Link,
  options: {
    limit?: number;
    /** Of a client: whom TLS may be started with. */
    hostname?: string;
    onLost?: (connection: Connection) => void;
  },
): { streams: Streams; outlet: Outlet; connection: Connection } {
  const { limit, hostname } = options;
  const reader = new StreamReader({ limit });
  const socket = new Socket(link);
  const connection = new Connection(loop, socket, options.onLost);
  const outlet = new Outlet(loop, socket, {
    reader,
    extra: (name) => socket.extra(name),
    onLost: () => connection.lost(),
    upgrade: isTcp(link.conn) && hostname !== undefined
      ? async (asked) => {
        const conn = socket.link.conn as Deno.TcpConn;
        const wanted = { hostname, ...asked };
        const refuse = addressed("start TLS with", wanted.hostname);
        socket.link = await encrypt(loop, conn, wanted, refuse);
        return socket;
      }
      : undefined,
  });
  connection.watch(outlet);
  const inlet = new Inlet(loop, reader, socket.source, {
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
  refuseOthers(options, ["conn", "limit"]);
  const { conn, limit } = options;
  if (typeof conn?.read !== "function" || typeof conn.write !== "function") {
    throw new TypeError(
      `Cannot make streams: expected a connection, got ${describe(conn)}`,
    );
  }
  checkLimit(limit);
  const handshake = isTls(conn) ? await conn.handshake() : undefined;
  return openStreams(getEventLoop(), { conn, handshake }, { limit }).streams;
}

function connectTcp(
  loop: EventLoop,
  to: { hostname: string; port: number },
  options: OpenConnectionOptions,
): Promise<Deno.TcpConn> {
  const attempt = new AbortController();
  // The host drops, but does not close, a connection that is there when its signal aborts.
  attempt.signal.throwIfAborted = () => {};
  const connecting = Deno.connect({
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
  return hostWait<Deno.TcpConn>(loop, connecting, options, {
    dispose: closeQuietly,
    abandon: () => attempt.abort(),
  });
}

/** Connects with TLS: with a certificate of one's own the host does it in one go. */
async function connectTls(
  loop: EventLoop,
  to: { hostname: string; port: number },
  tls: true | ClientTlsOptions,
  options: OpenConnectionOptions,
): Promise<Link> {
  const given = { hostname: to.hostname, ...(tls === true ? {} : tls) };
  const refuse = addressed("connect to", addressText(to));
  if (!("cert" in given)) {
    const conn = await connectTcp(loop, to, options);
    const wanted = { ...given, signal: options.signal };
    return await encrypt(loop, conn, wanted, refuse);
  }
  if (given.hostname !== to.hostname) {
    throw new Deno.errors.NotSupported(
      "Cannot connect: Deno takes no certificate of one's own together with another hostname for the other side's",
    );
  }
  const connecting = Deno.connectTls({ ...given, ...to } as typeof to)
    .then(shakeHands).catch(refuse);
  return await hostWait(loop, connecting, options, { dispose: closeLink });
}

/** Encrypts a connection as its client. Whatever goes wrong, it is closed. */
function encrypt(
  loop: EventLoop,
  conn: Deno.TcpConn,
  { signal, ...options }: StartTlsOptions,
  refuse: (error: unknown) => never,
): Promise<Link> {
  let current: Deno.Conn = conn;
  let abandoned = false;
  const encrypted = Deno.startTls(conn, options).then((tls) => {
    current = tls;
    if (abandoned) closeQuietly(tls);
    return shakeHands(tls);
  }).catch((error) => {
    closeQuietly(current);
    return refuse(error);
  });
  return hostWait(loop, encrypted, { signal }, {
    dispose: closeLink,
    abandon: () => {
      abandoned = true;
      closeQuietly(current);
    },
  });
}

/** Waits for the handshake; if it fails, the connection is closed. */
export async function shakeHands(conn: Deno.TlsConn): Promise<Link> {
  try {
    return { conn, handshake: await conn.handshake() };
  } catch (error) {
    closeQuietly(conn);
    throw error;
  }
}

export function isTcp(conn: Deno.Conn): conn is Deno.TcpConn {
  return "setNoDelay" in conn;
}

export function isTls(conn: Deno.Conn): conn is Deno.TlsConn {
  return "handshake" in conn;
}

export function closeQuietly(it: { close(): void }): void {
  try {
    it.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

function closeLink(link: Link): void {
  closeQuietly(link.conn);
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

export function checkText(value: unknown, what: string): void {
  if (typeof value === "string") return;
  throw new TypeError(
    `Invalid ${what}: expected a string, got ${describe(value)}`,
  );
}

/** The path of a Unix socket, also from a `file:` URL. */
export function toPath(path: unknown): string {
  if (path instanceof URL) {
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

/** Refuses a limit that no reader would take. */
export function checkLimit(limit: number | undefined): void {
  new StreamReader({ limit });
}

/** Refuses options that would be ignored, such as those of Python that Deno has no means for. */
export function refuseOthers(options: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || known.includes(name)) continue;
    throw new Deno.errors.NotSupported(
      `Unknown option "${name}": Deno has no means for it, or it is misspelled`,
    );
  }
}
