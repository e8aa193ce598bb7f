/** Helpers for the tests of streams and servers: bytes and text, and peers on plain Deno sockets. */

import net from "node:net";
import { setImmediate } from "node:timers";
import { type Server, StreamReader } from "@asyncio/asyncio";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

export function text(data: Uint8Array): string {
  return decoder.decode(data);
}

/** Creates a reader and feeds it pieces of text. */
export function readerOf(
  pieces: readonly string[],
  options: { limit?: number; eof?: boolean } = {},
): StreamReader {
  const reader = new StreamReader({ limit: options.limit });
  for (const piece of pieces) reader.feedData(bytes(piece));
  if (options.eof) reader.feedEof();
  return reader;
}

/** The port of the first socket of a server or listener. */
export function portOf(from: Server | Deno.Listener): number {
  const listener = "sockets" in from ? from.sockets[0] : from;
  return (listener.addr as Deno.NetAddr).port;
}

/** A peer on plain Deno sockets that accepts one connection and passes it to a body. */
export class Peer implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly done: Promise<void>;

  constructor(body: (conn: Deno.TcpConn) => unknown) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.done = this.#serve(body);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(body: (conn: Deno.TcpConn) => unknown): Promise<void> {
    const conn = await this.#listener.accept();
    try {
      await body(conn);
    } finally {
      close(conn);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.done;
    this.#listener.close();
  }
}

/** Waits until everything that is pending has happened. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** The sockets that this process has open, by their inodes. */
export function sockets(): Set<string> {
  const found = new Set<string>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (target.startsWith("socket:")) found.add(target);
    } catch {
      // The descriptor that the directory was read through.
    }
  }
  return found;
}

/** The number of sockets opened since `before`. Waits a while for it to fall to `expected`. */
export async function openedSince(
  before: Set<string>,
  expected = 0,
): Promise<number> {
  const count = () => sockets().difference(before).size;
  for (let i = 0; i < 200 && count() > expected; i++) await settle();
  return count();
}

/** Closes a resource that may be closed already. */
export function close(it: { close(): void }): void {
  try {
    it.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Connects without the module. */
export function connect(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** Writes everything. */
export async function writeAll(
  conn: Deno.Conn,
  data: Uint8Array | string,
): Promise<void> {
  let rest = typeof data === "string" ? bytes(data) : data;
  while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
}

/** Reads to the end. */
export async function readAll(conn: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let all = "";
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) return all;
    all += decoder.decode(buffer.subarray(0, count));
  }
}

/** Reads up to the end of a line. */
export async function readLine(conn: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(1);
  let line = "";
  while (!line.endsWith("\n")) {
    if (await conn.read(buffer) === null) break;
    line += decoder.decode(buffer);
  }
  return line;
}

/** A peer that sends a text, and resets the connection when it receives a byte. */
export class ResettingPeer implements AsyncDisposable {
  readonly #server: net.Server;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async start(text: string): Promise<ResettingPeer> {
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.resetAndDestroy());
      socket.write(text);
    });
    await new Promise<void>((resolve) =>
      server.listen(0, "127.0.0.1", resolve)
    );
    return new ResettingPeer(server);
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
