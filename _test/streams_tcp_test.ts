import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Buffer } from "node:buffer";
import net from "node:net";
import {
  createTask,
  IncompleteReadError,
  openConnection,
  run,
  RuntimeError,
  sleep,
  startServer,
} from "@asyncio/asyncio";
import {
  bytes,
  connect,
  Peer,
  portOf,
  readAll,
  readLine,
  ResettingPeer,
  settle,
  text,
  writeAll,
} from "./_streams.ts";

Deno.test("openConnection() talks HTTP/1.1 to Deno.serve [test_streams.StreamTests.test_open_connection]", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => new Response(`you asked for ${new URL(request.url).pathname}`),
  );
  await run(async () => {
    const [reader, writer] = await openConnection(
      "127.0.0.1",
      server.addr.port,
    );
    writer.write(
      "GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assertEquals(text(await reader.readline()), "HTTP/1.1 200 OK\r\n");
    const rest = text(await reader.read());
    assert(rest.endsWith("you asked for /page"), rest);
    writer.close();
    await writer.waitClosed();
  });
  await server.shutdown();
});

Deno.test("openConnection() talks to a peer on Deno.listen, inside and outside of tasks", async () => {
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, `echo ${await readLine(conn)}`);
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  writer.write("hello\n");
  assertEquals(text(await reader.readline()), "echo hello\n");
  assertEquals((await reader.readline()).length, 0);
  assert(reader.atEof());
  writer.close();
  await writer.waitClosed();
});

Deno.test("startServer() talks to a client on node:net", async () => {
  await using server = await startServer(
    async (reader, writer) => {
      for await (const line of reader) writer.write(`echo ${text(line)}`);
      writer.close();
    },
    "127.0.0.1",
    0,
  );
  const socket = net.connect(portOf(server), "127.0.0.1");
  let received = "";
  socket.on("data", (data) => received += data);
  socket.end(Buffer.from("one\ntwo\n"));
  await new Promise((resolve) => socket.on("close", resolve));
  assertEquals(received, "echo one\necho two\n");
});

Deno.test("openConnection() talks to a server on node:net", async () => {
  const server = net.createServer((socket) => {
    socket.on("data", (data) => socket.write(`echo ${data}`));
    socket.on("end", () => socket.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const [reader, writer] = await openConnection("127.0.0.1", port);
  writer.write("hello\n");
  assertEquals(text(await reader.readline()), "echo hello\n");
  writer.writeEof();
  assertEquals((await reader.read()).length, 0);
  writer.close();
  await writer.waitClosed();
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("openConnection() creates streams over an existing connection", async () => {
  await using peer = new Peer((conn) => writeAll(conn, "hello\n"));
  const conn = await connect(peer.port);
  const [reader, writer] = await openConnection({ conn, limit: 100 });
  assertStrictEquals(writer.getExtraInfo("socket"), conn);
  assertEquals(text(await reader.read()), "hello\n");
  writer.close();
  await writer.waitClosed();
  assertThrows(() => conn.close(), Deno.errors.BadResource);
});

Deno.test("openConnection() names the address where nobody listens", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = portOf(listener);
  listener.close();
  const error = await assertRejects(
    () => openConnection("127.0.0.1", port),
    Deno.errors.ConnectionRefused,
    `Cannot connect to 127.0.0.1:${port}`,
  );
  assertEquals((error as Error & { code: string }).code, "ECONNREFUSED");
  assertMatch(error.stack!, /\n +at [^\n]*streams_tcp_test.ts/);
});

Deno.test("openConnection() checks its arguments", async () => {
  const open = openConnection as (...args: unknown[]) => Promise<unknown>;
  await assertRejects(() => open(12, 80), TypeError, "host");
  await assertRejects(() => open(null, 80), TypeError, "host");
  for (const port of [-1, 65_536, 1.5, "80", undefined]) {
    await assertRejects(() => open("localhost", port), RangeError, "port");
  }
  await assertRejects(
    () => open("localhost", 80, { limit: 0 }),
    RangeError,
    "limit",
  );
  await assertRejects(() => open({ conn: 12 }), TypeError, "connection");
});

Deno.test("openConnection() refuses what Deno cannot do", async () => {
  const open = openConnection as (...args: unknown[]) => Promise<unknown>;
  for (const name of ["localAddr", "family", "sock", "interleave"]) {
    await assertRejects(
      () => open("localhost", 80, { [name]: 1 }),
      Deno.errors.NotSupported,
      `"${name}"`,
    );
  }
});

Deno.test("openConnection() accepts a delay before the next address", async () => {
  for (const happyEyeballsDelay of [0.1, { milliseconds: 50 }, Infinity]) {
    await using peer = new Peer((conn) => readAll(conn));
    const [, writer] = await openConnection("127.0.0.1", peer.port, {
      happyEyeballsDelay,
    });
    const { port } = writer.getExtraInfo("peername") as Deno.NetAddr;
    assertEquals(port, peer.port);
    writer.close();
    await writer.waitClosed();
  }
});

Deno.test("StreamReader puts a line together from single bytes of a slow peer", async () => {
  await using peer = new Peer(async (conn) => {
    for (const byte of bytes("a slow line\nand more")) {
      await conn.write(new Uint8Array([byte]));
      await readLine(conn);
    }
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  const pace = createTask(async () => {
    for (let i = 0; i < 20; i++) {
      writer.write("next\n");
      await sleep(0);
    }
  });
  assertEquals(text(await reader.readline()), "a slow line\n");
  assertEquals(text(await reader.readexactly(8)), "and more");
  await pace;
  writer.close();
});

Deno.test("StreamReader ends when the peer closes its half, and the writer still works", async () => {
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, "request");
    await conn.closeWrite();
    assertEquals(await readAll(conn), "answer to request");
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  const request = text(await reader.read());
  assert(reader.atEof());
  assertFalse(writer.isClosing());
  writer.write(`answer to ${request}`);
  writer.close();
  await writer.waitClosed();
  await peer.done;
});

Deno.test("StreamWriter.writeEof() ends the output, and the reader still works", async () => {
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, `got ${await readAll(conn)}`);
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  assert(writer.canWriteEof());
  writer.write("all");
  writer.writeEof();
  writer.writeEof();
  assertThrows(() => writer.write("more"), RuntimeError, "writeEof()");
  assertEquals(text(await reader.read()), "got all");
  writer.close();
  await writer.waitClosed();
});

Deno.test("StreamReader throws the error of a connection that is reset in the middle of a line [test_streams.StreamTests.test_open_connection_error]", async () => {
  await using peer = await ResettingPeer.start("half a li");
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  assertEquals(text(await reader.readexactly(4)), "half");
  writer.write("now");
  await assertRejects(() => reader.readline(), Deno.errors.ConnectionReset);
  await assertRejects(() => reader.read(), Deno.errors.ConnectionReset);
  assertInstanceOf(reader.exception(), Deno.errors.ConnectionReset);
  assert(writer.isClosing());
  writer.write("dropped");
  await assertRejects(() => writer.drain(), Deno.errors.ConnectionReset);
  await assertRejects(() => writer.waitClosed(), Deno.errors.ConnectionReset);
  await writer.waitClosed();
});

Deno.test("StreamReader.readexactly() throws what came before the peer closed", async () => {
  await using peer = new Peer((conn) => writeAll(conn, "short"));
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  const error = await assertRejects(
    () => reader.readexactly(100),
    IncompleteReadError,
  );
  assertEquals(text(error.partial), "short");
  writer.close();
});

Deno.test("StreamReader.atEof() notices the end although nobody reads", async () => {
  await using peer = new Peer((conn) => readLine(conn));
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  assertFalse(reader.atEof());
  writer.write("go\n");
  await peer.done;
  while (!reader.atEof()) await sleep(0);
  writer.close();
});

Deno.test("StreamWriter.waitClosed() notices a reset although nobody reads", async () => {
  await using peer = await ResettingPeer.start("never read");
  const [, writer] = await openConnection("127.0.0.1", peer.port);
  const closed = writer.waitClosed();
  writer.write("now");
  await assertRejects(() => closed, Deno.errors.ConnectionReset);
});

Deno.test("StreamReader and StreamWriter notice that the program closed their socket", async () => {
  for (const reading of [true, false]) {
    await using peer = new Peer(readAll);
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    const read = reading ? createTask(() => reader.read()) : null;
    await settle();
    (writer.getExtraInfo("socket") as Deno.Conn).close();
    if (read) await assertRejects(() => read, Deno.errors.Interrupted);
    writer.write("late");
    await settle();
    await assertRejects(() => writer.drain());
    await assertRejects(() => reader.readline());
    assert(writer.isClosing());
  }
});

Deno.test("run() closes connections and servers that were forgotten", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const port = await run(async () => {
    await openConnection("127.0.0.1", portOf(listener));
    const [reader] = await openConnection("127.0.0.1", portOf(listener));
    createTask(() => reader.readline());
    await sleep(0);
    return portOf(await startServer(() => {}, "127.0.0.1", 0));
  });
  for (const conn of [await accepted, await listener.accept()]) {
    assertEquals(await readAll(conn), "");
    conn.close();
  }
  listener.close();
  await assertRejects(() => connect(port), Deno.errors.ConnectionRefused);
});

Deno.test("run() sends what was written before the program ended", async () => {
  await using peer = new Peer(async (conn) => {
    assertEquals(await readAll(conn), "goodbye");
  });
  await run(async () => {
    const [, writer] = await openConnection("127.0.0.1", peer.port);
    writer.write("goodbye");
    writer.close();
  });
  await peer.done;
});
