/**
 * Servers: `startServer` and `startUnixServer`.
 *
 * @module
 */

import { Acceptor, type AcceptorSetup } from "./_acceptor.ts";
import {
  checkPort,
  checkString,
  formatAddress,
  isAbstract,
  rethrowWithAddress,
  toPath,
} from "./_address.ts";
import { type Connection, openStreams } from "./_connection.ts";
import { openResources, type Socket } from "./_socket.ts";
import { captureContext, type Context, runInSlot } from "./_context.ts";
import { closeQuietly, deno, needDeno } from "./_deno.ts";
import { waitWhileDisposing } from "./_dispose.ts";
import { rejection } from "./_error_stack.ts";
import { type EventLoop, getEventLoop } from "./_event_loop.ts";
import { type Future, futures } from "./_future.ts";
import type { Task } from "./_task.ts";
import { operation } from "./_waiting_call.ts";
import type { Cancellable, TlsTimeouts } from "./_options.ts";
import { internals as loops } from "./_scheduler.ts";
import {
  checkLimit,
  checkServerTls,
  checkStreamOptions,
  SERVE,
  SERVE_UNIX,
  tlsTimeouts,
} from "./_stream_options.ts";
import { checkCallback, describe, signalOf } from "./_validate.ts";
import type { StreamReader, StreamReaderOptions } from "./_stream_reader.ts";
import { onceDone } from "./_done_callbacks.ts";
import { serverTls } from "./_tls.ts";
import { listenUnix, SocketFile } from "./_unix_socket.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import type { StreamWriter } from "./_stream_writer.ts";
import type { WritePump } from "./_write_pump.ts";
import { RuntimeError } from "./exceptions.ts";

/**
 * A server calls this for each connection, in a task of its own. An error that
 * it throws is reported to the exception handler of the loop and closes that
 * connection.
 */
export type ClientConnected = (
  reader: StreamReader,
  writer: StreamWriter,
) => unknown;

/** Options of {@linkcode startServer}. */
export interface StartServerOptions
  extends StreamReaderOptions, TlsTimeouts, Cancellable {
  /**
   * The number of connections that may wait to be accepted, 100 by default.
   *
   * @default 100
   */
  backlog?: number;
  /**
   * Whether other sockets may be bound to the same port. Deno needs
   * `--unstable-net` for it. By default they may not.
   *
   * @default false
   */
  reusePort?: boolean;
  /** The certificate and its key in PEM, and the ALPN protocols to offer. Without it the server does not use TLS. */
  tls?: { cert: string; key: string; alpnProtocols?: string[] };
  /**
   * Whether to accept connections at once, as it does by default.
   *
   * @default true
   */
  startServing?: boolean;
}

/** Options of {@linkcode startUnixServer}. */
export interface StartUnixServerOptions
  extends StreamReaderOptions, Cancellable {
  /**
   * Refused, because Deno has no such option for Unix sockets.
   *
   * @default the one of Deno
   */
  backlog?: number;
  /**
   * Whether to accept connections at once, as it does by default.
   *
   * @default true
   */
  startServing?: boolean;
  /**
   * Whether closing the server removes its socket file, as it does by default.
   * A file that another program has put in its place is always kept. To keep a
   * file, the server renames it for a moment, which needs write permission for
   * the directory.
   *
   * @default true
   */
  cleanupSocket?: boolean;
}

interface ServerSetup extends AcceptorSetup {
  listeners: Deno.Listener[];
  callback: ClientConnected;
  limit: number | undefined;
}

/** The arguments of {@linkcode makeServer}, to refuse other callers of the constructor. */
const knownSetups = new WeakSet<object>();

let makeServer: (setup: ServerSetup) => Server;

/**
 * A server, with its listening sockets and its connections.
 *
 * `startServer` and `startUnixServer` create servers. Leaving an `await using`
 * block closes the server and its connections.
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
  readonly #setup: ServerSetup;
  readonly #acceptors: readonly Acceptor[];
  readonly #connections = new Set<Connection>();
  /** The context of the callbacks: the one that the server was created in. */
  readonly #context: Context;
  #isServing = false;
  #isClosed = false;
  /** The future that `serveForever()` waits for. */
  #serveForever: Future<never> | null = null;
  readonly #binding = new LoopBinding();
  readonly #closeWaiters = new WaitQueue<void>({
    complete: () => {},
    handOff: () => {},
    describe: () => `the end of <${this.#describe()}>`,
  }, this.#binding);
  readonly #resource = { closeWithLoop: () => this.#closeWithLoop() };

  private constructor(setup: ServerSetup) {
    checkSetup(setup);
    this.#setup = setup;
    this.#context = loopContext(this.#setup.loop);
    this.#acceptors = this.#setup.listeners.map((listener) =>
      new Acceptor(this.#setup, listener, {
        connected: (socket) => this.#connected(socket),
        ended: () => this.#notifyIfFinished(),
      })
    );
    openResources.get(this.#setup.loop).add(this.#resource);
  }

  static {
    makeServer = (setup) => {
      knownSetups.add(setup);
      return new Server(setup);
    };
  }

  /** The listening sockets; empty once the server is closed. */
  get sockets(): readonly Deno.Listener[] {
    return this.#isClosed ? [] : [...this.#setup.listeners];
  }

  /** The port of the first TCP socket; `null` for a Unix socket or a closed server. */
  get port(): number | null {
    for (const { addr } of this.sockets) {
      if (addr.transport === "tcp") return addr.port;
    }
    return null;
  }

  /** Whether the server accepts connections. */
  isServing(): boolean {
    return this.#isServing && !this.#isClosed;
  }

  /**
   * Starts to accept connections, unless the server does so already.
   *
   * It waits for nothing, so there is nothing that a cancellation could leave
   * behind.
   *
   * @throws {RuntimeError} If the server is closed.
   *
   * @example
   * ```ts
   * import { startServer } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await using server = await startServer(
   *   (_reader, writer) => writer.close(),
   *   "127.0.0.1",
   *   0,
   *   { startServing: false },
   * );
   * assert(!server.isServing());
   * await server.startServing();
   * assert(server.isServing());
   * ```
   */
  startServing(): Promise<void> {
    try {
      this.#serve();
      return Promise.resolve();
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Serves until it is cancelled.
   *
   * If it is cancelled, it closes the server and its connections, and waits
   * until they are closed.
   *
   * @param options A signal that cancels the call.
   * @throws {CancelledError} When the task is cancelled or the server is closed.
   * @throws {RuntimeError} If the server is closed, or another `serveForever()` call is waiting.
   *
   * @example
   * ```ts
   * import { startServer, TimeoutError, waitFor } from "@asyncio/asyncio";
   * import { assert, assertRejects } from "@std/assert";
   *
   * const server = await startServer(
   *   (_reader, writer) => writer.close(),
   *   "127.0.0.1",
   *   0,
   * );
   * await assertRejects(() => waitFor(server.serveForever(), 0.01), TimeoutError);
   * assert(!server.isServing());
   * ```
   */
  serveForever(options?: Cancellable): Promise<never> {
    return operation(async () => {
      const signal = signalOf(options, "serve");
      if (this.#serveForever !== null) {
        throw new RuntimeError(
          "Cannot serve: serveForever() was called already",
        );
      }
      signal?.throwIfAborted();
      this.#serve();
      const forever = futures.make(this.#setup.loop, {
        complete: () => {},
        handOff: () => {},
        remove: () => {},
        describe: () => `connections of <${this.#describe()}>`,
      }) as Future<never>;
      if (signal) futures.subscribeSignal(forever, signal);
      this.#serveForever = forever;
      try {
        return await forever;
      } finally {
        this.#serveForever = null;
        if (!this.#isClosed) {
          this.close();
          this.closeClients();
        }
        await this.waitClosed();
      }
    });
  }

  /**
   * Stops listening. Open connections stay open, and `serveForever()` rejects
   * with a `CancelledError`.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      for (const acceptor of this.#acceptors) acceptor.stop();
    } finally {
      this.#serveForever?.cancel();
      this.#notifyIfFinished();
    }
  }

  /** Closes every connection once everything written to it is sent. */
  closeClients(): void {
    for (const client of [...this.#connections]) client.close();
  }

  /** Closes every connection at once and drops what is unsent. */
  abortClients(): void {
    for (const client of [...this.#connections]) client.abort();
  }

  /**
   * Waits until the server and all its connections are closed. Its ports can
   * then be bound again.
   *
   * If it is cancelled, the server and its connections stay as they are.
   *
   * @param options A signal that cancels the wait.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { startServer } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * const server = await startServer(
   *   (_reader, writer) => writer.close(),
   *   "127.0.0.1",
   *   0,
   * );
   * server.close();
   * await server.waitClosed();
   * assertEquals(server.sockets, []);
   * ```
   */
  waitClosed(options?: Cancellable): Promise<void> {
    try {
      signalOf(options, "wait for the end of a server")?.throwIfAborted();
      return this.#isFinished()
        ? Promise.resolve()
        : this.#closeWaiters.wait(options);
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Closes the server and its connections, and waits until they are closed.
   *
   * If the task is cancelled, it drops what the connections have not sent and
   * does not throw; the next wait of the task throws the `CancelledError`.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.closeClients();
    await waitWhileDisposing(
      this.#setup.loop,
      () => this.waitClosed(),
      () => this.abortClients(),
    );
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<${this.#describe()}>`;
  }

  #serve(): void {
    if (this.#isClosed) {
      throw new RuntimeError("Cannot serve: the server is closed");
    }
    if (this.#isServing) return;
    this.#isServing = true;
    for (const acceptor of this.#acceptors) acceptor.start();
  }

  #connected(socket: Socket): void {
    if (this.#isClosed) return socket.close();
    const { loop, limit, callback } = this.#setup;
    const { streams, pump, connection } = openStreams(socket, {
      limit,
      onClosed: this.#onClosed,
    });
    this.#connections.add(connection);
    const task = this.#context(() =>
      loop.createTask(() => callback(...streams))
    );
    onceDone(task, () => this.#onCallbackDone(task, pump));
  }

  readonly #onClosed = (connection: Connection): void => {
    this.#connections.delete(connection);
    this.#notifyIfFinished();
  };

  #onCallbackDone(task: Task<unknown>, pump: WritePump): void {
    if (task.cancelled()) return pump.close(false);
    const exception = task.exception();
    if (!futures.failed(task)) return;
    this.#setup.loop.callExceptionHandler({
      message: "Unhandled error in the callback of a connection",
      exception,
      peername: pump.options.extraInfo("peername"),
      task,
    });
    pump.close(false);
  }

  #isFinished(): boolean {
    return this.#isClosed && this.#connections.size === 0 &&
      this.#acceptors.every((acceptor) => acceptor.isFinished);
  }

  #notifyIfFinished(): void {
    if (!this.#isFinished()) return;
    openResources.get(this.#setup.loop).delete(this.#resource);
    this.#closeWaiters.notifyAll();
  }

  /** Called before the loop is closed. */
  async #closeWithLoop(): Promise<void> {
    this.close();
    this.abortClients();
    await this.waitClosed();
  }

  #describe(): string {
    const state = this.#isClosed
      ? "closed"
      : this.#isServing
      ? "serving"
      : "not serving";
    return `Server ${state}, ${this.#connections.size} connections`;
  }
}

/**
 * Starts a TCP server, which calls a function for each connection.
 *
 * It waits for nothing, so a cancellation never leaves a server behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.start_server}.
 *
 * @param callback Called with the reader and the writer of each connection, in a task of its own.
 * @param host A host name or address, or an array of them; `null` for all addresses of this machine.
 * @param port The port; 0 for a free one, which differs for each host.
 * @param options The limit of the readers, TLS, how to listen, and a signal.
 * @returns The server. Its callbacks run in the context of this call.
 * @throws {Deno.errors.AddrInUse} If the port is in use. This and other errors of Deno have the address in their message.
 * @throws {Deno.errors.InvalidData} If the certificate or its key is invalid.
 * @throws {Deno.errors.NotSupported} For an option of Python's that Deno does not have.
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
    const hosts = readHosts(host);
    checkPort(port);
    checkStreamOptions(options, SERVE);
    checkLimit(options.limit);
    const tls = readTls(options);
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
    return await createServer(
      { loop, listeners, callback, tls, file: null },
      options,
    );
  });
}

/**
 * Starts a server on a Unix socket, which calls a function for each connection.
 * A socket file that nobody listens on any more is replaced.
 *
 * If it is cancelled, it leaves no socket behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html#asyncio.start_unix_server}.
 *
 * @param callback Called with the reader and the writer of each connection, in a task of its own.
 * @param path The path of the socket. A name in the abstract namespace of Linux begins with a NUL character and has no file. Both need network permission, a path also permission to read and write it.
 * @param options The limit of the readers, what happens to the socket file, and a signal that cancels the call.
 * @returns The server. Its callbacks run in the context of this call.
 * @throws {Deno.errors.AddrInUse} If something else is at the path. This and other errors of Deno have the path in their message.
 * @throws {TypeError} If the path is too long.
 * @throws {Deno.errors.NotSupported} For an option of Python's that Deno does not have.
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
      return await createServer(
        { loop, listeners: [listener], callback, tls: null, file },
        options,
      );
    } catch (error) {
      closeQuietly(listener);
      throw error;
    }
  });
}

/** Creates a server without waiting, so that a cancellation cannot lose it. */
function createServer(
  setup: Omit<ServerSetup, "limit">,
  options: StartUnixServerOptions,
): Server | Promise<Server> {
  const { limit, startServing = true } = options;
  const server = makeServer({ ...setup, limit });
  return startServing ? server.startServing().then(() => server) : server;
}

function listen(
  hostname: string | null,
  port: number,
  options: StartServerOptions,
): Deno.Listener {
  if (hostname === null) return listenEverywhere(port, options);
  const { backlog = 100, reusePort } = options;
  // Deno would exit.
  if (reusePort && !Reflect.has(deno, "listenDatagram")) {
    throw new deno.errors.NotSupported(
      "Cannot share a port: Deno needs the flag --unstable-net for it",
    );
  }
  const all = { hostname, port, reusePort, tcpBacklog: backlog };
  try {
    return deno.listen(all as Deno.TcpListenOptions);
  } catch (error) {
    return rethrowWithAddress("listen on", formatAddress({ hostname, port }))(
      error,
    );
  }
}

function readTls(options: StartServerOptions): ServerSetup["tls"] {
  const { tls } = options;
  checkServerTls(tls);
  const timeouts = tlsTimeouts(options, tls !== undefined);
  if (tls === undefined) return null;
  return { config: serverTls(tls), timeouts };
}

/** Listens on all addresses: an IPv6 socket serves IPv4 too, but IPv6 may be disabled. */
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

function readHosts(
  host: string | readonly string[] | null,
): readonly (string | null)[] {
  if (host === null || host === "") return [null];
  const hosts = typeof host === "string" ? [host] : host;
  if (!isList(hosts) || hosts.length === 0) {
    throw new TypeError(
      `Invalid host: expected a string, an array of strings or null, got ${
        describe(host)
      }`,
    );
  }
  for (const it of hosts) checkString(it, "host");
  return [...new Set(hosts)];
}

function isList(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false; // a proxy that was revoked
  }
}

function checkSetup(setup: object): void {
  if (knownSetups.has(setup)) return;
  throw new TypeError(
    "Cannot create a server: use startServer() or startUnixServer()",
  );
}

/** The current context without its task, which the callbacks must not keep alive. */
function loopContext(loop: EventLoop): Context {
  return runInSlot(loops.execution(loop), captureContext, undefined);
}
