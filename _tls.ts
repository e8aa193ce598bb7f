/**
 * TLS over a TCP connection that can be closed at any time.
 *
 * Deno's own TLS takes the connection over and does not release it before the
 * handshake is done or the last bytes are sent, which a silent peer can delay
 * for ever. So `node:tls` does the encryption over a TCP connection of Deno's,
 * and closing that connection ends everything at once. This costs about 15 µs
 * for each small message; the throughput is the same.
 *
 * @module
 */

import type { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import type { SecureContext, SecureContextOptions, TLSSocket } from "node:tls";
import { closeQuietly, deno } from "./_deno.ts";
import { nextTurn, node } from "./_host.ts";

/** Options of both sides of a connection. */
export interface TlsOptions {
  cert?: string;
  key?: string;
  alpnProtocols?: string[];
}

/** Options of the client, as Deno has them. */
export interface ClientTls extends TlsOptions {
  /** The name that the certificate of the server must have. */
  hostname: string;
  caCerts?: string[];
  unsafelyDisableHostnameVerification?: boolean;
}

/** The configuration of a server, shared by its connections. */
export interface ServerTlsConfig {
  readonly context: SecureContext;
  readonly alpnProtocols: string[] | undefined;
}

/** Size of the first read of the TCP connection; later ones adapt to the traffic. */
const SMALLEST_READ = 4_096;
const LARGEST_READ = 65_536;
/** The largest piece that is encrypted at once. */
const LARGEST_WRITE = 65_536;
const CERTIFICATE =
  /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** A TLS session over a TCP connection. */
export class TlsConnection {
  readonly conn: Deno.TcpConn;
  readonly #socket: TLSSocket;
  readonly #stream: Duplex;
  /** The first error of the TCP connection, which says more than the one that TLS makes of it. */
  #connError: unknown = null;
  /** The error that ended the session. */
  #failure: unknown = null;
  /** The error of reads and writes after `close()`. */
  #closeReason: unknown = null;
  #closed = false;
  #isSecure = false;
  /** Resumes the waiting read; at most one waits. */
  #resumeRead: (() => void) | null = null;
  /** Whether a waiting read keeps the program alive. */
  #referenced = true;
  /** Settles with the handshake; a failed one closes the connection. */
  readonly handshake: Promise<Deno.TlsHandshakeInfo>;

  private constructor(
    conn: Deno.TcpConn,
    encrypt: (stream: Duplex) => TLSSocket,
    secured: "secure" | "secureConnect",
  ) {
    this.conn = conn;
    this.#stream = this.#makeStream();
    this.#socket = encrypt(this.#stream);
    this.handshake = this.#waitForHandshake(secured);
  }

  /** Encrypts a connection as its client. */
  static client(conn: Deno.TcpConn, options: ClientTls): TlsConnection {
    const secureContext = makeSecureContext(options);
    return new TlsConnection(conn, (socket) =>
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
  static server(conn: Deno.TcpConn, settings: ServerTlsConfig): TlsConnection {
    return new TlsConnection(
      conn,
      (socket) =>
        new (node("tls").TLSSocket)(socket, {
          isServer: true,
          secureContext: settings.context,
          ALPNProtocols: settings.alpnProtocols,
        }),
      "secure",
    );
  }

  /** Reads into a buffer. Returns `null` at the end, even if the peer just closed the TCP connection. */
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
      await this.#readable();
    }
  }

  /** Writes some of the bytes. */
  write(data: Uint8Array): Promise<number> {
    const part = data.subarray(0, LARGEST_WRITE);
    return new Promise((resolve, reject) => {
      this.#throwFailure();
      this.#socket.write(part, (error) => {
        if (error) reject(this.#translate(error));
        else resolve(part.length);
      });
    });
  }

  /** Sends close_notify. If that fails, a read or write throws the error. */
  closeWrite(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || this.#socket.destroyed) return resolve();
      this.#socket.once("close", resolve);
      this.#socket.end(() => {
        this.#stream.end(); // in Deno the socket does not
        resolve();
      });
    });
  }

  /** Closes the TCP connection, whatever is in progress. */
  close(reason: unknown = null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeReason = reason ?? new deno.errors.ConnectionAborted(
      "The connection was closed by this side",
    );
    closeQuietly(this.conn);
    this.#socket.destroy();
    this.#resumeRead?.();
  }

  ref(): void {
    this.#referenced = true;
    if (this.#resumeRead !== null) this.conn.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.conn.unref();
  }

  /** Waits until there may be something to read. The TCP connection keeps the program alive only meanwhile. */
  async #readable(): Promise<void> {
    if (this.#referenced) this.conn.ref();
    await new Promise<void>((resolve) => this.#resumeRead = resolve);
    this.#resumeRead = null;
    if (!this.#closed) this.conn.unref();
  }

  async #waitForHandshake(
    secured: "secure" | "secureConnect",
  ): Promise<Deno.TlsHandshakeInfo> {
    const socket = this.#socket;
    const wake = () => this.#resumeRead?.();
    try {
      await new Promise<void>((resolve, reject) => {
        socket.on("error", (error) => {
          this.#failure ??= this.#translate(error);
          reject(this.#failure);
          wake();
        });
        socket.once("close", () => {
          reject(this.#closeReason ?? this.#failure ?? unexpectedEnd());
          wake();
        });
        socket.once(secured, () => {
          this.#isSecure = true;
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
    const failure = this.#closeReason ?? this.#failure;
    if (failure !== null) throw failure;
  }

  #translate(error: unknown): unknown {
    return this.#closeReason ?? this.#connError ?? toDenoError(error);
  }

  /** The TCP connection as a Node stream. */
  #makeStream(): Duplex {
    let size = SMALLEST_READ;
    const fail = (error: unknown) => {
      this.#connError ??= error;
      stream.destroy(error as Error);
    };
    const read = async () => {
      const memory = new Uint8Array(size);
      const count = await this.conn.read(memory);
      if (count === memory.length) size = Math.min(4 * size, LARGEST_READ);
      stream.push(count === null ? null : memory.subarray(0, count));
    };
    const write = async (data: Uint8Array) => {
      for (let at = 0; at < data.length;) {
        at += await this.conn.write(data.subarray(at));
      }
    };
    const stream = new (node("stream").Duplex)({
      read: () => void read().catch(fail),
      write: (data, _encoding, done) =>
        void write(data).then(() => done(), fail),
      final: (done) => void this.conn.closeWrite().then(() => done(), fail),
      destroy: (error, done) => {
        closeQuietly(this.conn);
        done(error);
      },
    });
    stream.on("error", () => {}); // the TLS socket reports it, too
    stream.once("end", () => nextTurn(() => this.#onStreamEnd()));
    return stream;
  }

  /**
   * The peer has closed the TCP connection. The TLS socket sometimes misses
   * that while it is writing, and always during the handshake.
   */
  #onStreamEnd(): void {
    this.#socket.push(null);
    if (!this.#isSecure) {
      nextTurn(() => this.#isSecure || this.close(unexpectedEnd()));
    }
  }
}

/**
 * Creates the configuration of a server.
 *
 * @throws {Deno.errors.InvalidData} If the certificate or the key is invalid, or they do not match.
 */
export function serverTls(options: TlsOptions): ServerTlsConfig {
  const { cert, key, alpnProtocols } = options;
  if (typeof cert !== "string" || typeof key !== "string") {
    throw new TypeError(
      "Cannot use TLS: expected a certificate and its key in PEM",
    );
  }
  return { context: makeSecureContext({ cert, key }), alpnProtocols };
}

function makeSecureContext(
  { cert, key, caCerts = [] }: TlsOptions & { caCerts?: string[] },
): SecureContext {
  if (cert !== undefined || key !== undefined) checkPair(cert!, key!);
  const tls = node("tls");
  const options: SecureContextOptions = { cert, key };
  const context = tls.createSecureContext(options);
  const trusted = caCerts.flatMap(splitBundle);
  const { addCACert } = context.context;
  if (trusted.length > 0 && typeof addCACert !== "function") {
    return tls.createSecureContext({ ...options, ca: trusted });
  }
  // In addition to the default ones, which the option `ca` would replace.
  for (const ca of trusted) addCACert.call(context.context, ca);
  return context;
}

/** Splits a bundle into its certificates. */
function splitBundle(bundle: string): string[] {
  const certificates = String(bundle).match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw invalidPem("certificate authority");
  certificates.forEach((it) => parseCertificate("certificate authority", it));
  return certificates;
}

/** Checks a certificate and its key now instead of in the first handshake. */
function checkPair(cert: string, key: string): void {
  const certificate = parseCertificate("certificate", cert);
  let privateKey;
  try {
    privateKey = node("crypto").createPrivateKey(key);
  } catch (cause) {
    throw invalidPem("key", cause);
  }
  if (certificate.checkPrivateKey(privateKey)) return;
  throw new deno.errors.InvalidData(
    "Cannot use TLS: the key does not match the certificate",
  );
}

function parseCertificate(what: string, certificate: string): X509Certificate {
  try {
    return new (node("crypto").X509Certificate)(certificate);
  } catch (cause) {
    throw invalidPem(what, cause);
  }
}

function invalidPem(what: string, cause?: unknown): Error {
  return new deno.errors.InvalidData(
    `Cannot use TLS: the ${what} is not valid PEM`,
    { cause },
  );
}

function unexpectedEnd(): Error {
  return new deno.errors.UnexpectedEof(
    "The peer closed the connection during the TLS handshake",
  );
}

/** Converts an error of `node:tls` to the one that Deno would throw. */
function toDenoError(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  if (code === "ECONNRESET") return unexpectedEnd();
  return new deno.errors.InvalidData(message, { cause: error });
}

function isAddress(hostname: string): boolean {
  return /^[\d.]+$/.test(hostname) || hostname.includes(":");
}
