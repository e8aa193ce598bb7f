/**
 * The other side of every server that is measured, on what the host gives:
 * does what each line of the standard input asks for, and says "done".
 *
 *     echo PORT CONNECTIONS LINES
 *     flood PORT BYTES
 *     lines PORT LINES
 *     hold PORT CONNECTIONS
 *     release
 *
 * @module
 */

const CHUNK = 65_536;
const LINE = line(64);
const held: Deno.Conn[] = [];

function line(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length).fill(97);
  bytes[length - 1] = 10;
  return bytes;
}

async function connect(port: number): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  return conn;
}

/** Sends a line and waits for it to come back, again and again. */
async function pingPong(conn: Deno.Conn, count: number): Promise<void> {
  const buffer = new Uint8Array(LINE.length);
  for (let i = 0; i < count; i++) {
    await conn.write(LINE);
    for (let got = 0; got < LINE.length;) got += (await conn.read(buffer))!;
  }
}

async function echo(port: number, conns: number, count: number): Promise<void> {
  await Promise.all(Array.from({ length: conns }, async () => {
    const conn = await connect(port);
    await pingPong(conn, Math.ceil(count / conns));
    conn.close();
  }));
}

/** Sends copies of a chunk, and waits for the server to have read them all. */
async function send(
  port: number,
  chunk: Uint8Array,
  times: number,
): Promise<void> {
  const conn = await connect(port);
  for (let i = 0; i < times; i++) {
    let rest = chunk;
    while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
  }
  await conn.closeWrite();
  await conn.read(new Uint8Array(1));
  conn.close();
}

async function sendLines(port: number, count: number): Promise<void> {
  const one = line(10);
  const chunk = new Uint8Array(Math.min(count, 5_000) * one.length);
  for (let i = 0; i < chunk.length; i += one.length) chunk.set(one, i);
  await send(port, chunk, Math.round(count * one.length / chunk.length));
}

async function hold(port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const conn = await connect(port);
    await pingPong(conn, 1);
    held.push(conn);
  }
}

async function carryOut(command: string): Promise<void> {
  const [verb, ...rest] = command.split(" ");
  const [port, a, b] = rest.map(Number);
  if (verb === "echo") await echo(port, a, b);
  else if (verb === "flood") {
    await send(port, new Uint8Array(CHUNK), Math.ceil(a / CHUNK));
  } else if (verb === "lines") await sendLines(port, a);
  else if (verb === "hold") await hold(port, a);
  else for (const conn of held.splice(0)) conn.close();
}

const commands = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
for await (const text of commands) {
  for (const command of text.trimEnd().split("\n")) {
    await carryOut(command);
    await Deno.stdout.write(new TextEncoder().encode("done\n"));
  }
}
