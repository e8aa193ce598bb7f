/**
 * TLS over a TCP connection that stays in our hands.
 *
 * Deno's own TLS takes the connection over and does not give it up before a
 * handshake or the last bytes are through, which a silent peer puts off for
 * ever. So the encryption is that of `node:tls`, the bytes go through a
 * connection of Deno, and closing that ends everything at once. It costs some
 * 15 microseconds for each small message; the throughput is the same.
 *
 * @module
 */

import type { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import type { SecureContext, SecureContextOptions, TLSSocket } from "node:tls";
import { deno } from "./_deno.ts";
import { nextTurn, node } from "./_host.ts";

/** What both sides of a connection may be given. */
export interface TlsOptions {
  cert?: string;
  key?: string;
  alpnProtocols?: string[];
}

/** What the client's side may be given beyond that: what Deno takes. */
export interface ClientTls extends TlsOptions {
  /** Whose certificate is expected. */
  hostname: string;
  caCerts?: string[];
  unsafelyDisableHostnameVerification?: boolean;
}

/** Settings of a server's side, made once for all its connections. */
export interface ServerTls {
  readonly context: SecureContext;
  readonly alpnProtocols: string[] | undefined;
}

/** The first read of the wire takes so much; later ones follow the traffic. */
const SMALLEST_READ = 4_096;
const LARGEST_READ = 65_536;
/** So much is encrypted at once. */
const LARGEST_WRITE = 65_536;
const CERTIFICATE =
  /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** A TCP connection, and what is encrypted in it. */
export class Tls {
  readonly conn: Deno.TcpConn;
  readonly #socket: TLSSocket;
  readonly #wire: Duplex;
  /** The first error of the TCP connection; what TLS makes of it says less. */
  #wireError: unknown = null;
  /** The error that ended it. */
  #failure: unknown = null;
  /** Why it was given up, if it was. */
  #reason: unknown = null;
  #closed = false;
  #secured = false;
  /** Wakes the read that waits; one waits at most. */
  #wake: (() => void) | null = null;
  /** Whether a read that waits keeps the program alive. */
  #referenced = true;
  /** Settles with the handshake; a failed one closes the connection. */
  readonly handshake: Promise<Deno.TlsHandshakeInfo>;

  private constructor(
    conn: Deno.TcpConn,
    encrypt: (wire: Duplex) => TLSSocket,
    secured: "secure" | "secureConnect",
  ) {
    this.conn = conn;
    this.#wire = this.#makeWire();
    this.#socket = encrypt(this.#wire);
    this.handshake = this.#shakeHands(secured);
  }

  /** Encrypts a connection as its client. */
  static client(conn: Deno.TcpConn, options: ClientTls): Tls {
    const secureContext = contextOf(options);
    return new Tls(conn, (socket) =>
      node("tls").connect({
        socket,
        secureContext,
        host: options.hostname,
        servername: isAddress(options.hostname) ? "" : options.hostname,
        ALPNProtocols: options.alpnProtocols,
        ...(options.unsafelyDisableHostnameVerification &&
          { checkServerIdentity: () => undefined }),
      }), "secureConnect");
  }

  /** Encrypts a connection as its server. */
  static server(conn: Deno.TcpConn, settings: ServerTls): Tls {
    return new Tls(conn, (socket) =>
      new (node("tls").TLSSocket)(socket, {
        isServer: true,
        secureContext: settings.context,
        ALPNProtocols: settings.alpnProtocols,
      }), "secure");
  }

  /** Reads up to the length of the buffer; `null` at the end, which a peer may also bring about by closing the TCP connection. */
  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      this.#throwFailure();
      const size = Math.min(buffer.length, this.#socket.readableLength);
      const chunk = this.#socket.read(size) as Uint8Array | null;
      if (chunk !== null) {
        buffer.set(chunk);
        return chunk.length;
      }
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      await this.#bytes();
    }
  }

  /** Writes some of the bytes. */
  write(data: Uint8Array): Promise<number> {
    const part = data.subarray(0, LARGEST_WRITE);
    return new Promise((resolve, reject) => {
      this.#throwFailure();
      this.#socket.write(part, (error) => {
        if (error) reject(this.#errorOf(error));
        else resolve(part.length);
      });
    });
  }

  /** Tells the other side that nothing more will come. Whether that reaches it shows elsewhere. */
  closeWrite(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || this.#socket.destroyed) return resolve();
      this.#socket.once("close", resolve);
      this.#socket.end(() => {
        this.#wire.end(); // in Deno the socket does not
        resolve();
      });
    });
  }

  /** Closes the TCP connection, whatever is under way. */
  close(reason: unknown = null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reason = reason ?? new deno.errors.ConnectionAborted(
      "The connection was closed by this side",
    );
    closeQuietly(this.conn);
    this.#socket.destroy();
    this.#wake?.();
  }

  ref(): void {
    this.#referenced = true;
    if (this.#wake !== null) this.conn.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.conn.unref();
  }

  /** Waits until there may be something to read. Only then may the wire keep the program alive. */
  async #bytes(): Promise<void> {
    if (this.#referenced) this.conn.ref();
    await new Promise<void>((resolve) => this.#wake = resolve);
    this.#wake = null;
    if (!this.#closed) this.conn.unref();
  }

  async #shakeHands(
    secured: "secure" | "secureConnect",
  ): Promise<Deno.TlsHandshakeInfo> {
    const socket = this.#socket;
    const wake = () => this.#wake?.();
    try {
      await new Promise<void>((resolve, reject) => {
        socket.on("error", (error) => {
          this.#failure ??= this.#errorOf(error);
          reject(this.#failure);
          wake();
        });
        socket.once("close", () => {
          reject(this.#reason ?? this.#failure ?? unexpectedEnd());
          wake();
        });
        socket.once(secured, () => {
          this.#secured = true;
          resolve();
        });
      });
    } catch (error) {
      this.close(error);
      throw error;
    }
    socket.on("readable", wake);
    socket.on("end", wake);
    this.conn.unref();
    return { alpnProtocol: socket.alpnProtocol || null };
  }

  #throwFailure(): void {
    const failure = this.#reason ?? this.#failure;
    if (failure !== null) throw failure;
  }

  #errorOf(error: unknown): unknown {
    return this.#reason ?? this.#wireError ?? hostError(error);
  }

  /** The TCP connection as a stream of Node. */
  #makeWire(): Duplex {
    let size = SMALLEST_READ;
    const fail = (error: unknown) => {
      this.#wireError ??= error;
      wire.destroy(error as Error);
    };
    const read = async () => {
      const memory = new Uint8Array(size);
      const count = await this.conn.read(memory);
      if (count === memory.length) size = Math.min(4 * size, LARGEST_READ);
      wire.push(count === null ? null : memory.subarray(0, count));
    };
    const write = async (data: Uint8Array) => {
      for (let at = 0; at < data.length;) {
        at += await this.conn.write(data.subarray(at));
      }
    };
    const wire = new (node("stream").Duplex)({
      read: () => void read().catch(fail),
      write: (data, _encoding, done) =>
        void write(data).then(() => done(), fail),
      final: (done) => void this.conn.closeWrite().then(() => done(), fail),
      destroy: (error, done) => {
        closeQuietly(this.conn);
        done(error);
      },
    });
    wire.on("error", () => {}); // the socket above has it too
    wire.once("end", () => nextTurn(() => this.#ended()));
    return wire;
  }

  /**
   * The other side has closed the TCP connection. The socket overlooks that at
   * times when it is writing, and always before the end of the handshake.
   */
  #ended(): void {
    this.#socket.push(null);
    if (!this.#secured) {
      nextTurn(() => this.#secured || this.close(unexpectedEnd()));
    }
  }
}

/**
 * Settings of a server's side.
 *
 * @throws {Deno.errors.InvalidData} If certificate and key are none, or do not belong together.
 */
export function serverTls(options: TlsOptions): ServerTls {
  const { cert, key, alpnProtocols } = options;
  if (typeof cert !== "string" || typeof key !== "string") {
    throw new TypeError(
      "Cannot use TLS: expected a certificate and its key in PEM",
    );
  }
  return { context: contextOf({ cert, key }), alpnProtocols };
}

function contextOf(
  { cert, key, caCerts = [] }: TlsOptions & { caCerts?: string[] },
): SecureContext {
  if (cert !== undefined || key !== undefined) checkPair(cert!, key!);
  const tls = node("tls");
  const options: SecureContextOptions = { cert, key };
  const context = tls.createSecureContext(options);
  const trusted = caCerts.flatMap(certificatesOf);
  const { addCACert } = context.context;
  if (trusted.length > 0 && typeof addCACert !== "function") {
    return tls.createSecureContext({ ...options, ca: trusted });
  }
  // Beside those that Deno trusts by default; the option `ca` would replace them.
  for (const ca of trusted) addCACert.call(context.context, ca);
  return context;
}

/** The certificates of a bundle, each by itself. */
function certificatesOf(bundle: string): string[] {
  const certificates = String(bundle).match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw invalid("certificate authority");
  certificates.forEach((it) => parse("certificate authority", it));
  return certificates;
}

/** A bad pair would be noticed by the first handshake only. */
function checkPair(cert: string, key: string): void {
  const certificate = parse("certificate", cert);
  let privateKey;
  try {
    privateKey = node("crypto").createPrivateKey(key);
  } catch (cause) {
    throw invalid("key", cause);
  }
  if (certificate.checkPrivateKey(privateKey)) return;
  throw new deno.errors.InvalidData(
    "Cannot use TLS: the key is not that of the certificate",
  );
}

function parse(what: string, certificate: string): X509Certificate {
  try {
    return new (node("crypto").X509Certificate)(certificate);
  } catch (cause) {
    throw invalid(what, cause);
  }
}

function invalid(what: string, cause?: unknown): Error {
  return new deno.errors.InvalidData(
    `Cannot use TLS: the ${what} is not valid PEM`,
    { cause },
  );
}

function unexpectedEnd(): Error {
  return new deno.errors.UnexpectedEof(
    "The other side closed the connection during the TLS handshake",
  );
}

/** An error of TLS as Deno would tell it. */
function hostError(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  if (code === "ECONNRESET") return unexpectedEnd();
  return new deno.errors.InvalidData(message, { cause: error });
}

function isAddress(hostname: string): boolean {
  return /^[\d.]+$/.test(hostname) || hostname.includes(":");
}

function closeQuietly(it: { close(): void }): void {
  try {
    it.close();
  } catch (error) {
    if (!(error instanceof deno.errors.BadResource)) throw error;
  }
}
