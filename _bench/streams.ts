/**
 * Streams: servers of each side, driven by a process of its own that is the
 * same for all.
 *
 * @module
 */

import { memoryUsage } from "node:process";
import { run } from "../runner.ts";
import {
  startServer,
  type StreamReader,
  type StreamWriter,
} from "../streams.ts";
import { prepared, python, type Round, workload } from "./harness.ts";

const CLIENT = new URL("scripts/client.ts", import.meta.url);
const CHUNK = 65_536;
const MIB = 2 ** 20;
const NEWLINE = 10;

type Handler = (reader: StreamReader, writer: StreamWriter) => Promise<void>;
type BareHandler = (conn: Deno.TcpConn) => Promise<void>;
/** What the client is asked to do to a server, for a size. */
type Order = (port: number, size: number) => string;

/** The process that plays all clients. */
class Client {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-net", "--quiet", CLIENT.href],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.getReader();
  }

  async order(command: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${command}\n`));
    await this.#reader.read();
  }
}

/** Starts a server of ours that serves as long as the process lives. */
function serveOurs(handler: Handler): Promise<number> {
  return new Promise((resolve, reject) => {
    run(async () => {
      const server = await startServer(handler, "127.0.0.1", 0);
      resolve((server.sockets[0].addr as Deno.NetAddr).port);
      await server.serveForever();
    }).catch(reject);
  });
}

function serveBare(handler: BareHandler): Promise<number> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accept = async () => {
    for await (const conn of listener) {
      conn.setNoDelay(true);
      handler(conn);
    }
  };
  accept();
  return Promise.resolve(listener.addr.port);
}

/** A round in which the client does something to a server. */
function driven(serve: () => Promise<number>, order: Order): Round {
  return prepared(async () => {
    const port = await serve();
    const client = new Client();
    return (size) => client.order(order(port, size));
  });
}

async function echoOurs(
  reader: StreamReader,
  writer: StreamWriter,
): Promise<void> {
  for (;;) {
    const line = await reader.readline();
    if (line.length === 0) break;
    writer.write(line);
    await writer.drain();
  }
  writer.close();
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

async function echoBare(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) break;
    await writeAll(conn, buffer.subarray(0, count));
  }
  conn.close();
}

async function sinkOurs(
  reader: StreamReader,
  writer: StreamWriter,
): Promise<void> {
  while ((await reader.read(CHUNK)).length > 0);
  writer.close();
}

async function sinkBare(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  while (await conn.read(buffer) !== null);
  conn.close();
}

async function linesOurs(
  reader: StreamReader,
  writer: StreamWriter,
): Promise<void> {
  while ((await reader.readline()).length > 0);
  writer.close();
}

/** The lines of a connection, cut out of what is read; no limits. */
async function* cutLines(conn: Deno.Conn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK);
  let rest = new Uint8Array(0);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) break;
    const chunk = new Uint8Array(rest.length + count);
    chunk.set(rest);
    chunk.set(buffer.subarray(0, count), rest.length);
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start) + 1;
      if (end === 0) break;
      yield chunk.subarray(start, end);
      start = end;
    }
    rest = chunk.subarray(start);
  }
}

async function linesBare(conn: Deno.TcpConn): Promise<void> {
  let count = 0;
  for await (const line of cutLines(conn)) count += line.length;
  if (count > 0) conn.close();
}

const oneEcho = workload({
  name: "lines of 64 bytes echoed, 1 connection",
  size: 10_000,
  sides: {
    ours: driven(() => serveOurs(echoOurs), (port, n) => `echo ${port} 1 ${n}`),
    bare: driven(() => serveBare(echoBare), (port, n) => `echo ${port} 1 ${n}`),
    python: python("streams.py", "one_echo"),
  },
  bareIs: "`conn.read` and `conn.write`; looks for no lines",
  goal: { bare: 1 / 0.85 },
});

const hundredEchoes = workload({
  name: "lines of 64 bytes echoed, 100 connections",
  size: 50_000,
  sides: {
    ours: driven(
      () => serveOurs(echoOurs),
      (port, n) => `echo ${port} 100 ${n}`,
    ),
    bare: driven(
      () => serveBare(echoBare),
      (port, n) => `echo ${port} 100 ${n}`,
    ),
    python: python("streams.py", "hundred_echoes"),
  },
  bareIs: "`conn.read` and `conn.write`; looks for no lines",
  goal: { bare: 1 / 0.85 },
});

const sink = workload({
  name: "MiB received in chunks of 64 KiB",
  size: 512,
  sides: {
    ours: driven(
      () => serveOurs(sinkOurs),
      (port, n) => `flood ${port} ${n * MIB}`,
    ),
    bare: driven(
      () => serveBare(sinkBare),
      (port, n) => `flood ${port} ${n * MIB}`,
    ),
    python: python("streams.py", "sink"),
  },
  bareIs: "`conn.read` into the same buffer each time; keeps nothing",
  goal: { bare: 1 / 0.9 },
});

const lines = workload({
  name: "lines of 10 bytes through readline()",
  size: 1_000_000,
  sides: {
    ours: driven(() => serveOurs(linesOurs), (port, n) => `lines ${port} ${n}`),
    bare: driven(() => serveBare(linesBare), (port, n) => `lines ${port} ${n}`),
    python: python("streams.py", "lines"),
  },
  bareIs: "an async generator that cuts lines out of what `conn.read` gives",
  goal: { bare: 1.5, python: 1 / 3 },
});

/** What idle connections take, each of which has echoed a line. */
function idle(serve: () => Promise<number>): Round {
  return async (n) => {
    const port = await serve();
    const client = new Client();
    await client.order(`echo ${port} 1 100`);
    const before = settled();
    await client.order(`hold ${port} ${n}`);
    const bytes = settled() - before;
    await client.order("release");
    return bytes / n;
  };
}

function settled(): number {
  (globalThis as { gc?(): void }).gc?.();
  return memoryUsage().rss;
}

const memory = workload({
  name: "memory of an idle connection (resident)",
  size: 2_000,
  measure: "bytes",
  fresh: true,
  flags: ["--v8-flags=--expose-gc"],
  sides: {
    ours: idle(() => serveOurs(echoOurs)),
    bare: idle(() => serveBare(echoBare)),
  },
  bareIs: "a connection with a buffer of 64 KiB, waiting in `conn.read`",
  goal: { bare: 1.5 },
});

export default [oneEcho, hundredEchoes, sink, lines, memory];
