/**
 * Servers: `startServer` and `startUnixServer`.
 *
 * @module
 */

import {
  addressed,
  addressText,
  checkPort,
  checkText,
  closeQuietly,
  type Connection,
  isAbstract,
  isTcp,
  openOn,
  openStreams,
  Socket,
  toPath,
} from "./_connection.ts";
import { captureContext, type Context, runInSlot } from "./_context.ts";
import { deno, needDeno } from "./_deno.ts";
import { waitInDisposer } from "./_dispose.ts";
import { type EventLoop, getEventLoop } from "./_event_loop.ts";
import { type Future, futures } from "./_future.ts";
import type { Task } from "./_task.ts";
import { operation } from "./_waiting_call.ts";
import type { Cancellable, TlsTimeouts } from "./_options.ts";
import { internals as loops, type TimerHandle } from "./_scheduler.ts";
import {
  checkServerTls,
  checkStreamOptions,
  SERVE,
  SERVE_UNIX,
  type TlsLimits,
  tlsTimeouts,
} from "./_stream_options.ts";
import { checkCallback, describe, signalOf } from "./_validate.ts";
import {
  checkLimit,
  type StreamReader,
  type StreamReaderOptions,
} from "./_stream_reader.ts";
import { onceDone } from "./_done_callbacks.ts";
import { type ServerTls, serverTls } from "./_tls.ts";
import { listenUnix, SocketFile } from "./_unix_socket.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import type { StreamWriter, WritePump } from "./_stream_writer.ts";
import { RuntimeError } from "./exceptions.ts";

/**
 * What a server calls for each of its connections, as a task of its own. An
 * error that it throws is reported to the exception handler of the loop and
 * closes this one connection.
 */
export type ClientConnected = (
  reader: StreamReader,
  writer: StreamWriter,
) => unknown;

/** Options of {@linkcode startServer}. */
export interface StartServerOptions
  extends StreamReaderOptions, TlsTimeouts, Cancellable {
  /**
   * How many connections may wait to be accepted.
   *
   * @default 100
   */
  backlog?: number;
  /**
   * Whether other sockets may be bound to the same port. Deno takes it with
   * `--unstable-net` only.
   *
   * @default false
   */
  reusePort?: boolean;
  /** The certificate and its key in PEM, and the protocols to choose from. */
  tls?: { cert: string; key: string; alpnProtocols?: string[] };
  /**
   * Whether to accept connections at once.
   *
   * @default true
   */
  startServing?: boolean;
}

/** Options of {@linkcode startUnixServer}. */
export interface StartUnixServerOptions
  extends StreamReaderOptions, Cancellable {
  /**
   * Refused: Deno has no such option for Unix sockets.
   *
   * @default the one of the host
   */
  backlog?: number;
  /**
   * Whether to accept connections at once.
   *
   * @default true
   */
  startServing?: boolean;
  /**
   * Whether closing the server removes the file of its socket. A file that
   * somebody else put in its place stays in any case. To let a file stay, the
   * server moves it aside for a moment, which takes permission to write in
   * its directory.
   *
   * @default true
   */
  cleanupSocket?: boolean;
}

/** Seconds that accepting pauses after an error of the listener, at first and at most. */
const SHORTEST_PAUSE = 0.05;
const LONGEST_PAUSE = 1;

/**
 * Errors of `accept` that concern the one connection that was to be accepted:
 * accept(2) says to try again, and the last five come from asking a connection
 * that is gone for its addresses and options.
 */
const CONNECTION_ERRORS: ReadonlySet<unknown> = new Set([
  "ECONNABORTED",
  "EPERM",
  "EPROTO",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
  "ENETDOWN",
  "ENETUNREACH",
  "ENONET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EAGAIN",
  "EINTR",
  "ETIMEDOUT",
  "ECONNRESET",
  "ENOTCONN",
  "EINVAL",
  "EPIPE",
]);

interface ServerParts {
  loop: EventLoop;
  listeners: Deno.Listener[];
  callback: ClientConnected;
  limit: number | undefined;
  /** Settings of TLS, and how long it may take. */
  tls: { settings: ServerTls; limits: TlsLimits } | null;
  /** Of a Unix socket: closes the listener as its file demands. */
  file: SocketFile | null;
}

/**
 * A server: its listening sockets and its connections.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.Server}.
 *
 * @example
 * ```ts
 * import { openConnection, startServer } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * await using server = await startServer((_reader, writer) => {
 *   writer.close();
 * }, "127.0.0.1", 0);
 * assert(server.isServing());
 *
 * const port = server.port!;
 * const [reader, writer] = await openConnection("127.0.0.1", port);
 * assert((await reader.read()).length === 0);
 * writer.close();
 * ```
 */
export class Server implements AsyncDisposable {
  readonly #parts: ServerParts;
  readonly #acceptors: readonly Acceptor[];
  readonly #clients = new Set<Connection>();
  /** What the callbacks run in: the context that the server was made in. */
  readonly #context: Context;
  #serving = false;
  #closed = false;
  /** What `serveForever` waits in. */
  #forever: Future<never> | null = null;
  readonly #home = new LoopBinding();
  readonly #leavers = new WaitQueue<void>({
    complete: () => {},
    handOff: () => {},
    describe: () => `the end of <${this.#describe()}>`,
  }, this.#home);
  readonly #entry = { abandon: () => this.#abandon() };

  /**
   * Not for programs: `startServer` makes servers.
   *
   * @param parts What it is made of.
   */
  constructor(parts: never) {
    this.#parts = checkParts(parts);
    this.#context = contextOf(this.#parts.loop);
    this.#acceptors = this.#parts.listeners.map((listener) =>
      new Acceptor(this.#parts, listener, {
        connected: (socket) => this.#connected(socket),
        ended: () => this.#wakeLeavers(),
      })
    );
    openOn(this.#parts.loop).add(this.#entry);
  }

  /** The listening sockets; none once the server is closed. */
  get sockets(): readonly Deno.Listener[] {
    return this.#closed ? [] : [...this.#parts.listeners];
  }

  /** The port of the first TCP socket; `null` for Unix sockets and once the server is closed. */
  get port(): number | null {
    for (const { addr } of this.sockets) {
      if (addr.transport === "tcp") return addr.port;
    }
    return null;
  }

  /** Whether connections are accepted. */
  isServing(): boolean {
    return this.#serving && !this.#closed;
  }

  /**
   * Begins to accept connections, if it does not yet. It never waits.
   *
   * @throws {RuntimeError} If the server is closed.
   *
   * @example
   * ```ts
   * import { startServer } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await using server = await startServer((_reader, writer) => {
   *   writer.close();
   * }, "127.0.0.1", 0, { startServing: false });
   * await server.startServing();
   * assert(server.isServing());
   * ```
   */
  startServing(): Promise<void> {
    try {
      this.#serve();
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Serves until it is cancelled, which closes the server and its
   * connections.
   *
   * @param options A signal that ends it as a cancellation does.
   * @throws {CancelledError} When the task is cancelled or the server closed.
   * @throws {RuntimeError} If the server is closed, or `serveForever` is already running.
   *
   * @example
   * ```ts
   * import { startServer, timeout } from "@asyncio/asyncio";
   * import { assertRejects } from "@std/assert";
   *
   * const server = await startServer((_reader, writer) => {
   *   writer.close();
   * }, "127.0.0.1", 0);
   * await assertRejects(() => timeout(0.01, () => server.serveForever()));
   * ```
   */
  serveForever(options?: Cancellable): Promise<never> {
    return operation(async () => {
      const signal = signalOf(options, "serve");
      if (this.#forever !== null) {
        throw new RuntimeError(
          "Cannot serve: serveForever() was called already",
        );
      }
      signal?.throwIfAborted();
      this.#serve();
      const forever = futures.make(this.#parts.loop, {
        complete: () => {},
        handOff: () => {},
        remove: () => {},
        describe: () => `connections of <${this.#describe()}>`,
      }) as Future<never>;
      if (signal) futures.subscribeSignal(forever, signal);
      this.#forever = forever;
      try {
        return await forever;
      } finally {
        this.#forever = null;
        if (!this.#closed) {
          this.close();
          this.closeClients();
        }
        await this.waitClosed();
      }
    });
  }

  /**
   * Stops listening. Open connections stay open. `serveForever` ends with a
   * `CancelledError`.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      for (const acceptor of this.#acceptors) acceptor.stop();
    } finally {
      this.#forever?.cancel();
      this.#wakeLeavers();
    }
  }

  /** Closes every connection, once what was written to it is sent. */
  closeClients(): void {
    for (const client of [...this.#clients]) client.close();
  }

  /** Closes every connection at once; what is unsent is dropped. */
  abortClients(): void {
    for (const client of [...this.#clients]) client.abort();
  }

  /**
   * Waits until the server is closed and its last connection has ended. Its
   * ports can be bound again then.
   *
   * Cancelled, it changes nothing.
   *
   * @param options A signal that ends the wait.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { startServer } from "@asyncio/asyncio";
   *
   * const server = await startServer(() => {}, "127.0.0.1", 0);
   * server.close();
   * await server.waitClosed();
   * ```
   */
  waitClosed(options?: Cancellable): Promise<void> {
    try {
      signalOf(options, "wait for the end of a server")?.throwIfAborted();
      return this.#isOver() ? Promise.resolve() : this.#leavers.wait(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Closes the server and its connections, and waits for them.
   *
   * Cancelled, it drops what the connections have not sent yet.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.closeClients();
    await waitInDisposer(
      this.#parts.loop,
      () => this.waitClosed(),
      () => this.abortClients(),
    );
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<${this.#describe()}>`;
  }

  #serve(): void {
    if (this.#closed) {
      throw new RuntimeError("Cannot serve: the server is closed");
    }
    if (this.#serving) return;
    this.#serving = true;
    for (const acceptor of this.#acceptors) acceptor.start();
  }

  #connected(socket: Socket): void {
    if (this.#closed) return socket.close();
    const { loop, limit, callback } = this.#parts;
    const { streams, outlet, connection } = openStreams(socket, {
      limit,
      onLost: this.#onLost,
    });
    this.#clients.add(connection);
    const task = this.#context(() =>
      loop.createTask(() => callback(...streams))
    );
    onceDone(task, () => this.#handled(task, outlet));
  }

  readonly #onLost = (connection: Connection): void => {
    this.#clients.delete(connection);
    this.#wakeLeavers();
  };

  #handled(task: Task<unknown>, outlet: WritePump): void {
    if (task.cancelled()) return outlet.close(false);
    const exception = task.exception();
    if (!futures.failed(task)) return;
    this.#parts.loop.callExceptionHandler({
      message: "Unhandled error in the callback of a connection",
      exception,
      peername: outlet.parts.extra("peername"),
      task,
    });
    outlet.close(false);
  }

  #isOver(): boolean {
    return this.#closed && this.#clients.size === 0 &&
      this.#acceptors.every((acceptor) => acceptor.over);
  }

  #wakeLeavers(): void {
    if (!this.#isOver()) return;
    openOn(this.#parts.loop).delete(this.#entry);
    this.#leavers.notifyAll();
  }

  /** The loop is about to be closed. */
  async #abandon(): Promise<void> {
    this.close();
    this.abortClients();
    await this.waitClosed();
  }

  #describe(): string {
    const state = this.#closed
      ? "closed"
      : this.#serving
      ? "serving"
      : "not serving";
    return `Server ${state}, ${this.#clients.size} connections`;
  }
}

/** Accepts the connections of one listening socket. */
class Acceptor {
  readonly #parts: ServerParts;
  readonly #listener: Deno.Listener;
  readonly #calls: { connected: (socket: Socket) => void; ended: () => void };
  /** An `accept` is under way; only its end frees the port. */
  #accepting = false;
  #stopped = false;
  /** Connections in the middle of their handshake. */
  readonly #shaking = new Set<Socket>();
  #pause = SHORTEST_PAUSE;
  #timer: TimerHandle | null = null;

  constructor(
    parts: ServerParts,
    listener: Deno.Listener,
    calls: { connected: (socket: Socket) => void; ended: () => void },
  ) {
    this.#parts = parts;
    this.#listener = listener;
    this.#calls = calls;
  }

  /** Whether the socket is closed and nothing is under way any more. */
  get over(): boolean {
    return this.#stopped && !this.#accepting && this.#shaking.size === 0;
  }

  start(): void {
    this.#timer = null;
    this.#accepting = true;
    this.#listener.accept().then(this.#onConn, this.#onError);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const socket of this.#shaking) socket.close();
    if (this.#parts.file) this.#parts.file.close(this.#listener);
    else closeQuietly(this.#listener);
    if (!this.#accepting) this.#parts.file?.closed();
  }

  readonly #onConn = (conn: Deno.Conn): void => {
    this.#pause = SHORTEST_PAUSE;
    if (sendsAtOnce(conn)) this.#take(new Socket(this.#parts.loop, conn));
    if (this.#stopped) this.#end();
    else this.start();
  };

  readonly #onError = (error: unknown): void => {
    if (this.#stopped || isGone(error)) return this.#end();
    if (concernsConnection(error)) return this.start();
    this.#accepting = false;
    const { loop } = this.#parts;
    loop.callExceptionHandler({
      message:
        `Accepting a connection failed; trying again in ${this.#pause} s`,
      exception: error,
      socket: this.#listener,
    });
    this.#timer = loop.callLater(this.#pause, () => this.start());
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  };

  #end(): void {
    this.#accepting = false;
    try {
      this.#parts.file?.closed();
    } catch (exception) {
      const message = "Putting back the file of another Unix socket failed";
      this.#parts.loop.callExceptionHandler({ message, exception });
    }
    this.#calls.ended();
  }

  #take(socket: Socket): void {
    if (this.#parts.tls) this.#shakeHands(socket, this.#parts.tls);
    else this.#calls.connected(socket);
  }

  /** A client that fails in its handshake is none; it is reported in debug mode only. */
  async #shakeHands(
    socket: Socket,
    { settings, limits }: NonNullable<ServerParts["tls"]>,
  ): Promise<void> {
    const { loop } = this.#parts;
    this.#shaking.add(socket);
    try {
      await socket.serveTls(settings, limits);
    } catch (exception) {
      if (loop.getDebug()) {
        const message = "The TLS handshake of a connection failed";
        const peername = socket.extra("peername");
        loop.callExceptionHandler({ message, exception, peername });
      }
      this.#shaking.delete(socket);
      return this.#calls.ended();
    }
    this.#shaking.delete(socket);
    this.#calls.connected(socket);
    this.#calls.ended();
  }
}

/**
 * Listens on a port and calls a function for each connection.
 *
 * Cancelled, it leaves no socket behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.start_server}.
 *
 * @param callback Called with the reader and the writer of each connection, as a task of its own.
 * @param host A name, an address, or several; `null` for every address of this machine.
 * @param port The port; 0 for any free one, a different one for each host.
 * @param options Limit, TLS, how to listen, and a signal that ends the wait.
 * @returns The server. Its callbacks run in the context of this call.
 * @throws {Deno.errors.AddrInUse} If the port is taken; other errors of Deno likewise, with the address in their message.
 * @throws {Deno.errors.InvalidData} If the certificate or its key is not valid.
 * @throws {Deno.errors.NotSupported} If an option is given that Deno does not have.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { openConnection, startServer } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await startServer(async (reader, writer) => {
 *   for await (const line of reader) {
 *     writer.write(line);
 *     await writer.drain();
 *   }
 *   writer.close();
 * }, "127.0.0.1", 0);
 * const port = server.port!;
 *
 * const [reader, writer] = await openConnection("127.0.0.1", port);
 * writer.write("one\ntwo\n");
 * writer.writeEof();
 * assertEquals(new TextDecoder().decode(await reader.read()), "one\ntwo\n");
 * writer.close();
 * ```
 */
export function startServer(
  callback: ClientConnected,
  host: string | readonly string[] | null,
  port: number,
  options: StartServerOptions = {},
): Promise<Server> {
  return operation(async () => {
    checkCallback(callback, SERVE.action);
    const hosts = toHosts(host);
    checkPort(port);
    checkStreamOptions(options, SERVE);
    checkLimit(options.limit);
    const tls = tlsOf(options);
    options.signal?.throwIfAborted();
    needDeno("start a server");
    const loop = getEventLoop();
    const listeners: Deno.Listener[] = [];
    try {
      for (const hostname of hosts) {
        listeners.push(listen(hostname, port, options));
      }
    } catch (error) {
      listeners.forEach(closeQuietly);
      throw error;
    }
    return await begin({ loop, listeners, callback, tls, file: null }, options);
  });
}

/**
 * Listens on a Unix socket and calls a function for each connection. A socket
 * file that a dead program left behind is replaced.
 *
 * Cancelled, it leaves no socket behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.start_unix_server}.
 *
 * @param callback Called with the reader and the writer of each connection, as a task of its own.
 * @param path The path of the socket, or its name in the abstract namespace of Linux, which begins with a NUL character and has no file. Both need network permission; a path also needs permission to read and write it.
 * @param options Limit, what becomes of the file, and a signal that ends the wait.
 * @returns The server. Its callbacks run in the context of this call.
 * @throws {Deno.errors.AddrInUse} If there is something at the path; other errors of Deno likewise, with the path in their message.
 * @throws {TypeError} If the path is too long.
 * @throws {Deno.errors.NotSupported} If an option is given that Deno does not have.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { startUnixServer } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const path = `${await Deno.makeTempDir()}/socket`;
 * const server = await startUnixServer((_reader, writer) => writer.close(), path);
 * assert(server.isServing());
 * server.close();
 * await server.waitClosed();
 * ```
 */
export function startUnixServer(
  callback: ClientConnected,
  path: string | URL,
  options: StartUnixServerOptions = {},
): Promise<Server> {
  return operation(async () => {
    checkCallback(callback, SERVE_UNIX.action);
    const at = toPath(path);
    checkStreamOptions(options, SERVE_UNIX);
    checkLimit(options.limit);
    options.signal?.throwIfAborted();
    needDeno("start a server");
    const loop = getEventLoop();
    const listener = await listenUnix(loop, at, options);
    try {
      const file = isAbstract(at)
        ? null
        : new SocketFile(at, options.cleanupSocket ?? true);
      return await begin(
        { loop, listeners: [listener], callback, tls: null, file },
        options,
      );
    } catch (error) {
      closeQuietly(listener);
      throw error;
    }
  });
}

/** Makes a server, with nothing to wait for: a cancellation finds either none or one that its caller has. */
function begin(
  parts: Omit<ServerParts, "limit">,
  options: StartUnixServerOptions,
): Server | Promise<Server> {
  const { limit, startServing = true } = options;
  const all = { ...parts, limit };
  made.add(all);
  const server = new Server(all as never);
  return startServing ? server.startServing().then(() => server) : server;
}

function listen(
  hostname: string | null,
  port: number,
  options: StartServerOptions,
): Deno.Listener {
  if (hostname === null) return listenEverywhere(port, options);
  const { backlog = 100, reusePort } = options;
  // The host would end the program.
  if (reusePort && !Reflect.has(deno, "listenDatagram")) {
    throw new deno.errors.NotSupported(
      "Cannot share a port: Deno needs the flag --unstable-net for it",
    );
  }
  const all = { hostname, port, reusePort, tcpBacklog: backlog };
  try {
    return deno.listen(all as Deno.TcpListenOptions);
  } catch (error) {
    return addressed("listen on", addressText({ hostname, port }))(error);
  }
}

function tlsOf(options: StartServerOptions): ServerParts["tls"] {
  const { tls } = options;
  checkServerTls(tls);
  const limits = tlsTimeouts(options, tls !== undefined);
  if (tls === undefined) return null;
  return { settings: serverTls(tls), limits };
}

/** A socket of IPv6 serves IPv4 too; without it there is IPv4. */
function listenEverywhere(
  port: number,
  options: StartServerOptions,
): Deno.Listener {
  try {
    return listen("::", port, options);
  } catch (error) {
    if (error instanceof deno.errors.AddrInUse) throw error;
    return listen("0.0.0.0", port, options);
  }
}

function toHosts(
  host: string | readonly string[] | null,
): readonly (string | null)[] {
  if (host === null || host === "") return [null];
  const hosts = typeof host === "string" ? [host] : host;
  if (!isList(hosts) || hosts.length === 0) {
    throw new TypeError(
      `Invalid host: expected a string, several or null, got ${describe(host)}`,
    );
  }
  for (const it of hosts) checkText(it, "host");
  return [...new Set(hosts)];
}

function isList(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false; // a proxy that was revoked
  }
}

/** What servers are made of. */
const made = new WeakSet<object>();

function checkParts(parts: unknown): ServerParts {
  if (made.has(parts as object)) return parts as ServerParts;
  throw new TypeError(
    "Cannot create a server: startServer() and startUnixServer() make them",
  );
}

/** What the callbacks of a server see, and not the task that it was made in, which they would hold. */
function contextOf(loop: EventLoop): Context {
  return runInSlot(loops.execution(loop), captureContext, undefined);
}

/** Has small writes sent at once. Returns false, with the connection closed, if it is gone already. */
function sendsAtOnce(conn: Deno.Conn): boolean {
  try {
    if (isTcp(conn)) conn.setNoDelay(true);
    return true;
  } catch {
    closeQuietly(conn);
    return false;
  }
}

/** Whether an error of `accept` says nothing about the next connection. */
function concernsConnection(error: unknown): boolean {
  return CONNECTION_ERRORS.has((error as { code?: unknown } | null)?.code);
}

/** Whether an error of `accept` says that somebody closed the listener. */
function isGone(error: unknown): boolean {
  return error instanceof deno.errors.BadResource ||
    error instanceof deno.errors.Interrupted && !concernsConnection(error);
}
