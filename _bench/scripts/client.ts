/**
 * The client of every measured server, on plain Deno: executes each command on
 * standard input, then prints "done".
 *
 *     echo ADDRESS CONNECTIONS LINES IN_FLIGHT
 *     flood ADDRESS BYTES
 *     lines ADDRESS LINES
 *     hold ADDRESS CONNECTIONS
 *     release
 *
 * An address is a port, or the path of a unix socket.
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

async function connect(address: string): Promise<Deno.TcpConn | Deno.UnixConn> {
  if (address.startsWith("/")) {
    return await Deno.connect({ transport: "unix", path: address });
  }
  const port = Number(address);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  return conn;
}

/** Repeatedly sends some lines and waits for all of them to come back. */
async function pingPong(
  conn: Deno.Conn,
  count: number,
  inFlight: number,
): Promise<void> {
  const lines = new Uint8Array(LINE.length * inFlight);
  for (let i = 0; i < inFlight; i++) lines.set(LINE, i * LINE.length);
  const buffer = new Uint8Array(lines.length);
  for (let i = 0; i < count; i += inFlight) {
    await conn.write(lines);
    for (let got = 0; got < lines.length;) got += (await conn.read(buffer))!;
  }
}

async function echo(
  address: string,
  conns: number,
  count: number,
  inFlight: number,
): Promise<void> {
  await Promise.all(Array.from({ length: conns }, async () => {
    const conn = await connect(address);
    await pingPong(conn, Math.ceil(count / conns), inFlight);
    conn.close();
  }));
}

/** Sends copies of a chunk, and waits until the server has read all of them. */
async function send(
  address: string,
  chunk: Uint8Array,
  times: number,
): Promise<void> {
  const conn = await connect(address);
  for (let i = 0; i < times; i++) {
    let rest = chunk;
    while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
  }
  await conn.closeWrite();
  await conn.read(new Uint8Array(1));
  conn.close();
}

async function sendLines(address: string, count: number): Promise<void> {
  const one = line(10);
  const chunk = new Uint8Array(Math.min(count, 5_000) * one.length);
  for (let i = 0; i < chunk.length; i += one.length) chunk.set(one, i);
  await send(address, chunk, Math.round(count * one.length / chunk.length));
}

async function hold(address: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const conn = await connect(address);
    await pingPong(conn, 1, 1);
    held.push(conn);
  }
}

async function carryOut(command: string): Promise<void> {
  const [verb, address, ...numbers] = command.split(" ");
  const [a, b, c] = numbers.map(Number);
  if (verb === "echo") await echo(address, a, b, c);
  else if (verb === "flood") {
    await send(address, new Uint8Array(CHUNK), Math.ceil(a / CHUNK));
  } else if (verb === "lines") await sendLines(address, a);
  else if (verb === "hold") await hold(address, a);
  else for (const conn of held.splice(0)) conn.close();
}

const commands = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
for await (const text of commands) {
  for (const command of text.trimEnd().split("\n")) {
    await carryOut(command);
    await Deno.stdout.write(new TextEncoder().encode("done\n"));
  }
}
