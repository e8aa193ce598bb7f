/**
 * Sockets: a connection of Deno's as the two ends of streams, with or without
 * TLS.
 *
 * @module
 */

import { formatAddress, formatUnixPath, unmapAddress } from "./_address.ts";
import { awaitDeno } from "./_await_deno.ts";
import { closeQuietly, deno } from "./_deno.ts";
import type { EventLoop } from "./_event_loop.ts";
import { nextTurn } from "./_host.ts";
import { closers, LoopLocal } from "./_loop_local.ts";
import type { ByteSource } from "./_read_pump.ts";
import type { TimerHandle } from "./_scheduler.ts";
import type { ResolvedTlsTimeouts } from "./_stream_options.ts";
import { type ServerTlsConfig, TlsConnection } from "./_tls.ts";
import type { ByteSink, StartTlsOptions } from "./_write_pump.ts";

/** Something that is closed with its loop, if not before. */
export interface OpenResource {
  /** Closes it without waiting for the peer. */
  closeWithLoop(): unknown;
}

/** What is open on each loop. */
export const openResources: LoopLocal<Set<OpenResource>> = new LoopLocal(
  (loop) => {
    const open = new Set<OpenResource>();
    closers.get(loop).add(() => closeAllWithLoop(open));
    return open;
  },
);

/** Closes everything, after two turns in which connections that are closing can send what is small. */
async function closeAllWithLoop(open: Set<OpenResource>): Promise<void> {
  for (let turn = 0; turn < 2 && open.size > 0; turn++) {
    await new Promise<void>(nextTurn);
  }
  await Promise.all([...open].map((it) => it.closeWithLoop()));
}

/** A connection of Deno's as a source and a sink; TLS can be started on it. */
export class Socket implements ByteSink {
  readonly loop: EventLoop;
  readonly conn: Deno.Conn;
  /** The connection itself, or TLS over it. */
  #channel:
    & Pick<Deno.Conn, "read" | "write" | "closeWrite" | "close">
    & Referenceable;
  #handshake: Deno.TlsHandshakeInfo | undefined;
  #tlsTimeouts: ResolvedTlsTimeouts | null = null;
  /** The source of a reader; the writer closes the connection. */
  readonly source: ByteSource = {
    read: (buffer) => this.#channel.read(buffer),
    ref: () => this.#channel.ref(),
    unref: () => this.#channel.unref(),
    close: () => {},
    describe: () => this.describe(),
  };

  constructor(
    loop: EventLoop,
    conn: Deno.Conn,
    handshake?: Deno.TlsHandshakeInfo,
  ) {
    this.loop = loop;
    this.conn = this.#channel = conn;
    this.#handshake = handshake;
  }

  get endsBeforeClose(): boolean {
    return this.#tlsTimeouts !== null;
  }

  /** How long closing may take, in seconds; no limit without TLS. */
  get shutdownTimeout(): number {
    return this.#tlsTimeouts?.shutdown ?? Infinity;
  }

  /** Encrypts the connection as its client. Closes it on any error. */
  async startTls(
    host: string,
    options: StartTlsOptions,
    timeouts: ResolvedTlsTimeouts,
    rethrow: (error: unknown) => never,
  ): Promise<void> {
    const { signal, hostname = host, ...rest } = options;
    const start = () =>
      TlsConnection.client(this.conn as Deno.TcpConn, { hostname, ...rest });
    const handshake = this.#handshakeWith(start, timeouts).catch(rethrow);
    await awaitDeno(this.loop, handshake, { signal }, {
      dispose: () => this.close(),
      onCancel: () => this.close(),
    });
  }

  /** Encrypts the connection as its server. Closes it on any error. */
  async serveTls(
    settings: ServerTlsConfig,
    timeouts: ResolvedTlsTimeouts,
  ): Promise<void> {
    const start = () =>
      TlsConnection.server(this.conn as Deno.TcpConn, settings);
    await this.#handshakeWith(start, timeouts);
  }

  write(data: Uint8Array): Promise<number> {
    return this.#channel.write(data);
  }

  closeWrite(): Promise<void> {
    return this.#channel.closeWrite();
  }

  close(): void {
    closeQuietly(this.#channel);
  }

  /** The address of the peer, for messages. */
  describe(): string {
    const address = unmapAddress(this.conn.remoteAddr);
    if ("hostname" in address) return formatAddress(address);
    return "path" in address && address.path
      ? formatUnixPath(address.path)
      : "a client";
  }

  extraInfo(name: string): unknown {
    if (name === "peername") return unmapAddress(this.conn.remoteAddr);
    if (name === "sockname") return unmapAddress(this.conn.localAddr);
    if (name === "socket") return this.conn;
    return name === "sslObject" ? this.#handshake : undefined;
  }

  /** Runs a handshake that `close()` and the end of the loop interrupt. */
  async #handshakeWith(
    start: () => TlsConnection,
    timeouts: ResolvedTlsTimeouts,
  ): Promise<void> {
    const resource = { closeWithLoop: () => this.close() };
    const open = openResources.get(this.loop);
    let timer: TimerHandle | undefined;
    try {
      const tls = start();
      this.#channel = tls;
      this.#tlsTimeouts = timeouts;
      open.add(resource);
      timer = startTimer(this.loop, timeouts.handshake, () => {
        tls.close(handshakeTimeout(timeouts.handshake));
      });
      this.#handshake = await tls.handshake;
    } catch (error) {
      this.close();
      throw error;
    } finally {
      timer?.cancel();
      open.delete(resource);
    }
  }
}

/** Something that can keep the program alive. */
interface Referenceable {
  ref(): void;
  unref(): void;
}

/** Calls back after some seconds; never if that is `Infinity`. */
export function startTimer(
  loop: EventLoop,
  seconds: number,
  call: () => void,
): TimerHandle | undefined {
  return seconds === Infinity ? undefined : loop.callLater(seconds, call);
}

function handshakeTimeout(seconds: number): Error {
  return new deno.errors.ConnectionAborted(
    `The TLS handshake took longer than ${seconds} s`,
  );
}

export function isTcp(conn: Deno.Conn): conn is Deno.TcpConn {
  return "setNoDelay" in conn;
}
