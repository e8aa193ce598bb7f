/**
 * Streams: servers of each side, driven by the same client in a separate
 * process.
 *
 * @module
 */

import { memoryUsage } from "node:process";
import { run } from "../runner.ts";
import {
  startServer,
  startUnixServer,
  type StreamReader,
  type StreamWriter,
} from "../streams.ts";
import { prepared, python, type Round, workload } from "./harness.ts";

const CLIENT = new URL("scripts/client.ts", import.meta.url);
const ALLOWED = ["--allow-net", "--allow-read", "--allow-write"];
const CHUNK = 65_536;
const MIB = 2 ** 20;
const NEWLINE = 10;

type Handler = (reader: StreamReader, writer: StreamWriter) => Promise<void>;
type BareHandler = (conn: Deno.Conn) => Promise<void>;
/** Starts a server; resolves to its port, or to the path of its socket. */
type Serve = () => Promise<number | string>;
/** The command for the client, by size. */
type Order = (address: number | string, size: number) => string;

/** The process that plays all clients. */
class Client {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", ...ALLOWED, "--quiet", CLIENT.href],
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

/** Starts a server of this module that serves until the process ends. */
function serveOurs(handler: Handler): Promise<number> {
  return new Promise((resolve, reject) => {
    run(async () => {
      const server = await startServer(handler, "127.0.0.1", 0);
      resolve((server.sockets[0].addr as Deno.NetAddr).port);
      await server.serveForever();
    }).catch(reject);
  });
}

function serveOursUnix(handler: Handler): Promise<string> {
  const path = socketPath();
  return new Promise((resolve, reject) => {
    run(async () => {
      const server = await startUnixServer(handler, path);
      resolve(path);
      await server.serveForever();
    }).catch(reject);
  });
}

function serveBare(handler: BareHandler): Promise<number> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  acceptAll(listener, (conn) => {
    conn.setNoDelay(true);
    return handler(conn);
  });
  return Promise.resolve(listener.addr.port);
}

function serveBareUnix(handler: BareHandler): Promise<string> {
  const path = socketPath();
  acceptAll(Deno.listen({ transport: "unix", path }), handler);
  return Promise.resolve(path);
}

async function acceptAll<C extends Deno.Conn>(
  listener: AsyncIterable<C>,
  handler: (conn: C) => Promise<void>,
): Promise<void> {
  for await (const conn of listener) void handler(conn);
}

/** An unused path, removed with its folder when the process ends. */
function socketPath(): string {
  const folder = Deno.makeTempDirSync();
  globalThis.addEventListener(
    "unload",
    () => Deno.removeSync(folder, { recursive: true }),
  );
  return `${folder}/socket`;
}

/** A round in which the client sends a command to a server. */
function driven(serve: Serve, order: Order): Round {
  return prepared(async () => {
    const address = await serve();
    const client = new Client();
    return (size) => client.order(order(address, size));
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

async function echoBare(conn: Deno.Conn): Promise<void> {
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

/** Reads into a new buffer each time, as code must that passes the bytes on. */
async function sinkFresh(conn: Deno.Conn): Promise<void> {
  while (await conn.read(new Uint8Array(CHUNK)) !== null);
  conn.close();
}

async function sinkBare(conn: Deno.Conn): Promise<void> {
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

/** Splits what is read from a connection into lines, without limits. */
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

async function linesBare(conn: Deno.Conn): Promise<void> {
  let count = 0;
  for await (const line of cutLines(conn)) count += line.length;
  if (count > 0) conn.close();
}

/** Echoes lines over several connections, with a number of lines in flight on each. */
function echo(
  transport: "TCP" | "unix",
  connections: number,
  inFlight: number,
  size: number,
) {
  const order: Order = (address, n) =>
    `echo ${address} ${connections} ${n} ${inFlight}`;
  const overTcp = transport === "TCP";
  const isTypical = overTcp && connections === 100;
  const plural = connections === 1 ? "" : "s";
  const ahead = inFlight === 1 ? "" : `, ${inFlight} at a time`;
  return workload({
    name:
      `lines of 64 bytes echoed, ${transport}, ${connections} connection${plural}${ahead}`,
    size,
    chart: isTypical ? "Line echoed, TCP" : undefined,
    sides: {
      ours: driven(
        () => overTcp ? serveOurs(echoOurs) : serveOursUnix(echoOurs),
        order,
      ),
      bare: driven(
        () => overTcp ? serveBare(echoBare) : serveBareUnix(echoBare),
        order,
      ),
      python: python(
        "streams.py",
        `echo_${transport}_${connections}_${inFlight}`.toLowerCase(),
      ),
    },
    bareIs: "`conn.read` and `conn.write`; looks for no lines",
    goal: { bare: 1 / 0.9, uvloop: 1 },
  });
}

const echoes = [
  echo("TCP", 1, 1, 10_000),
  echo("TCP", 100, 1, 50_000),
  echo("TCP", 1, 16, 50_000),
  echo("unix", 1, 1, 10_000),
  echo("unix", 100, 1, 50_000),
];

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
    "a buffer for each read": driven(
      () => serveBare(sinkFresh),
      (port, n) => `flood ${port} ${n * MIB}`,
    ),
    python: python("streams.py", "sink"),
  },
  bareIs: "`conn.read` into the same buffer each time; keeps nothing",
  goal: { bare: 1 / 0.9, python: 0.6 },
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
  goal: { bare: 1.5, python: 0.25 },
});

/** Measures the memory of idle connections, each of which has echoed a line. */
function idle(serve: Serve): Round {
  return async (n) => {
    const port = await serve();
    const client = new Client();
    await client.order(`echo ${port} 1 100 1`);
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

export default [...echoes, sink, lines, memory];
