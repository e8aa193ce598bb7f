/**
 * Accepting connections.
 *
 * @module
 */

import { isTcp, Socket } from "./_socket.ts";
import { closeQuietly, deno } from "./_deno.ts";
import type { EventLoop, TimerHandle } from "./_event_loop.ts";
import type { ResolvedTlsTimeouts } from "./_stream_options.ts";
import type { ServerTlsConfig } from "./_tls.ts";
import type { SocketFile } from "./_unix_socket.ts";

/** What the acceptors of a server need of it. */
export interface AcceptorSetup {
  loop: EventLoop;
  /** `null` without TLS. */
  tls: { config: ServerTlsConfig; timeouts: ResolvedTlsTimeouts } | null;
  /** The socket file of a Unix socket, if it has one. */
  file: SocketFile | null;
}

/** What a server does with what an acceptor reports. */
export interface AcceptorCallbacks {
  /** A connection was accepted, and its handshake is done. */
  connected(socket: Socket): void;
  /** An accept or a handshake has ended. */
  ended(): void;
}

/** How long accepting pauses after an error of the listener, in seconds; the pause doubles with each error. */
const MIN_PAUSE = 0.05;
const MAX_PAUSE = 1;

/**
 * Errors of `accept` that concern only the connection being accepted.
 * accept(2) says to retry after them. The last five come from reading the
 * addresses and options of a connection that was closed meanwhile.
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

/** Accepts the connections of one listening socket. */
export class Acceptor {
  readonly #setup: AcceptorSetup;
  readonly #listener: Deno.Listener;
  readonly #callbacks: AcceptorCallbacks;
  /** An `accept` is pending; the port is not free before it ends. */
  #accepting = false;
  #stopped = false;
  /** Connections whose handshake is in progress. */
  readonly #handshaking = new Set<Socket>();
  #pause = MIN_PAUSE;
  #timer: TimerHandle | null = null;

  constructor(
    setup: AcceptorSetup,
    listener: Deno.Listener,
    callbacks: AcceptorCallbacks,
  ) {
    this.#setup = setup;
    this.#listener = listener;
    this.#callbacks = callbacks;
  }

  /** Whether the socket is closed and no accept or handshake is pending. */
  get isFinished(): boolean {
    return this.#stopped && !this.#accepting && this.#handshaking.size === 0;
  }

  start(): void {
    this.#timer = null;
    this.#accepting = true;
    this.#listener.accept().then(this.#onConn, this.#onError);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const socket of this.#handshaking) socket.close();
    if (this.#setup.file) this.#setup.file.close(this.#listener);
    else closeQuietly(this.#listener);
    if (!this.#accepting) this.#setup.file?.restore();
  }

  readonly #onConn = (conn: Deno.Conn): void => {
    this.#pause = MIN_PAUSE;
    if (disableNagle(conn)) this.#accepted(new Socket(this.#setup.loop, conn));
    if (this.#stopped) this.#finish();
    else this.start();
  };

  readonly #onError = (error: unknown): void => {
    if (this.#stopped || isListenerClosed(error)) return this.#finish();
    if (isConnectionError(error)) return this.start();
    this.#accepting = false;
    const { loop } = this.#setup;
    loop.callExceptionHandler({
      message:
        `Accepting a connection failed; trying again in ${this.#pause} s`,
      exception: error,
      socket: this.#listener,
    });
    this.#timer = loop.callLater(this.#pause, () => this.start());
    this.#pause = Math.min(2 * this.#pause, MAX_PAUSE);
  };

  #finish(): void {
    this.#accepting = false;
    try {
      this.#setup.file?.restore();
    } catch (exception) {
      const message = "Renaming a Unix socket file back failed";
      this.#setup.loop.callExceptionHandler({ message, exception });
    }
    this.#callbacks.ended();
  }

  #accepted(socket: Socket): void {
    if (this.#setup.tls) this.#handshake(socket, this.#setup.tls);
    else this.#callbacks.connected(socket);
  }

  /** A failed handshake is reported in debug mode only. */
  async #handshake(
    socket: Socket,
    { config, timeouts }: NonNullable<AcceptorSetup["tls"]>,
  ): Promise<void> {
    const { loop } = this.#setup;
    this.#handshaking.add(socket);
    try {
      await socket.serveTls(config, timeouts);
    } catch (exception) {
      if (loop.getDebug()) {
        const message = "The TLS handshake of a connection failed";
        const peername = socket.extraInfo("peername");
        loop.callExceptionHandler({ message, exception, peername });
      }
      this.#handshaking.delete(socket);
      return this.#callbacks.ended();
    }
    this.#handshaking.delete(socket);
    this.#callbacks.connected(socket);
    this.#callbacks.ended();
  }
}

/** Disables Nagle's algorithm. If the connection was closed meanwhile, returns `false`. */
function disableNagle(conn: Deno.Conn): boolean {
  try {
    if (isTcp(conn)) conn.setNoDelay(true);
    return true;
  } catch {
    closeQuietly(conn);
    return false;
  }
}

/** Whether an error of `accept` concerns a single connection. */
function isConnectionError(error: unknown): boolean {
  return CONNECTION_ERRORS.has((error as { code?: unknown } | null)?.code);
}

/** Whether an error of `accept` says that the listener was closed. */
function isListenerClosed(error: unknown): boolean {
  return error instanceof deno.errors.BadResource ||
    error instanceof deno.errors.Interrupted && !isConnectionError(error);
}
