import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  getEventLoop,
  openConnection,
  RuntimeError,
  sleep,
  startServer,
} from "@asyncio/asyncio";
import { makeCertificate } from "./_certificate.ts";
import {
  bytes,
  connect,
  Peer,
  portOf,
  readLine,
  text,
  writeAll,
} from "./_streams.ts";

const certificate = await makeCertificate();
const caCerts = [certificate.cert];

/** A server that sends back every line, over TLS. */
function echoServer(alpnProtocols?: string[]) {
  const tls = { ...certificate, alpnProtocols };
  return startServer(
    async (reader, writer) => {
      for await (const line of reader) writer.write(line);
      writer.close();
    },
    "127.0.0.1",
    0,
    { tls },
  );
}

Deno.test("openConnection() and startServer() talk over TLS [test_streams.StreamTests.test_open_connection_no_loop_ssl]", async () => {
  await using server = await echoServer();
  const port = portOf(server);
  const [reader, writer] = await openConnection("127.0.0.1", port, {
    tls: { caCerts },
  });
  writer.write("secret\n");
  assertEquals(text(await reader.readline()), "secret\n");
  assert(writer.getExtraInfo("sslObject") !== null);
  writer.writeEof();
  assertEquals((await reader.read()).length, 0);
  writer.close();
  await writer.waitClosed();
});

Deno.test("openConnection() tells what protocol TLS agreed on", async () => {
  await using server = await echoServer(["chat", "http/1.1"]);
  const port = portOf(server);
  const [, writer] = await openConnection("localhost", port, {
    tls: { caCerts, alpnProtocols: ["chat"] },
  });
  const facts = writer.getExtraInfo("sslObject") as Deno.TlsHandshakeInfo;
  assertEquals(facts.alpnProtocol, "chat");
  writer.close();
  await writer.waitClosed();
});

Deno.test("openConnection() can expect a certificate for another name than the host's", async () => {
  await using server = await echoServer();
  const port = portOf(server);
  const open = (hostname: string) =>
    openConnection("127.0.0.1", port, { tls: { caCerts, hostname } });
  const [, writer] = await open("localhost");
  writer.close();
  await assertRejects(() => open("example.com"), Deno.errors.InvalidData);
});

Deno.test("openConnection() takes a certificate of its own", async () => {
  await using server = await echoServer();
  const port = portOf(server);
  const tls = { caCerts, ...certificate };
  const [reader, writer] = await openConnection("localhost", port, { tls });
  writer.write("hello\n");
  assertEquals(text(await reader.readline()), "hello\n");
  writer.close();
  const [, other] = await openConnection("127.0.0.1", port, {
    tls: { ...tls, hostname: "localhost" },
  });
  other.close();
  await assertRejects(
    () => openConnection("localhost", port, { tls: certificate }),
    Deno.errors.InvalidData,
    `localhost:${port}`,
  );
});

Deno.test("openConnection() refuses a certificate that nobody vouches for, and the server lives on", async () => {
  await using server = await echoServer();
  const port = portOf(server);
  await assertRejects(
    () => openConnection("127.0.0.1", port, { tls: true }),
    Deno.errors.InvalidData,
    `127.0.0.1:${port}`,
  );
  const [reader, writer] = await openConnection("127.0.0.1", port, {
    tls: { caCerts },
  });
  writer.write("still there\n");
  assertEquals(text(await reader.readline()), "still there\n");
  writer.close();
});

Deno.test("startServer() with TLS gives up clients that do not speak it, and reports them in debug mode", async () => {
  const reports: string[] = [];
  const loop = getEventLoop();
  loop.setExceptionHandler((_loop, { message }) => reports.push(message));
  let clients = 0;
  const server = await startServer(() => clients++, "127.0.0.1", 0, {
    tls: certificate,
  });
  for (const debug of [false, true]) {
    loop.setDebug(debug);
    const conn = await connect(portOf(server));
    await writeAll(conn, "GET / HTTP/1.1\r\n\r\n");
    while (await conn.read(new Uint8Array(100)) !== null);
    conn.close();
  }
  server.close();
  await server.waitClosed();
  loop.setDebug(false);
  loop.setExceptionHandler(null);
  assertEquals(clients, 0);
  assertEquals(reports, ["The TLS handshake of a connection failed"]);
});

Deno.test("openConnection() makes streams of a TLS connection that is there already", async () => {
  await using server = await echoServer();
  const conn = await Deno.connectTls({
    hostname: "localhost",
    port: portOf(server),
    caCerts,
  });
  const [reader, writer] = await openConnection({ conn });
  assert(writer.getExtraInfo("sslObject") !== null);
  writer.write("hello\n");
  assertEquals(text(await reader.readline()), "hello\n");
  writer.close();
  await writer.waitClosed();
});

/** Takes connections in the clear and hands each on to a TLS server once it was asked to. */
async function upgrading(body: (port: number) => Promise<void>): Promise<void> {
  await using server = await echoServer();
  const inner = await connect(portOf(server));
  await using peer = new Peer(async (conn) => {
    assertEquals(await readLine(conn), "STARTTLS\n");
    await writeAll(conn, "go ahead\n");
    const there = conn.readable.pipeTo(inner.writable).catch(() => {});
    await inner.readable.pipeTo(conn.writable).catch(() => {});
    await there;
  });
  await body(peer.port);
}

Deno.test("StreamWriter.startTls() encrypts a connection that began in the clear [test_streams.StreamTests.test_start_tls]", async () => {
  await upgrading(async (port) => {
    const [reader, writer] = await openConnection("127.0.0.1", port);
    const plain = writer.getExtraInfo("socket");
    assertEquals(writer.getExtraInfo("sslObject"), null);
    writer.write("STARTTLS\n");
    assertEquals(text(await reader.readline()), "go ahead\n");
    await writer.startTls({ caCerts });
    assertStrictEquals(writer.getExtraInfo("socket"), plain);
    assert(writer.getExtraInfo("sslObject") !== null);
    writer.write("secret\n");
    assertEquals(text(await reader.readline()), "secret\n");
    await assertRejects(() => writer.startTls(), RuntimeError, "already");
    writer.close();
    await writer.waitClosed();
  });
});

Deno.test("StreamWriter.startTls() closes the connection when the certificate is not accepted", async () => {
  await upgrading(async (port) => {
    const [reader, writer] = await openConnection("127.0.0.1", port);
    writer.write("STARTTLS\n");
    await reader.readline();
    await assertRejects(() => writer.startTls(), Deno.errors.InvalidData);
    assert(writer.isClosing());
    await assertRejects(() => reader.read(), Deno.errors.InvalidData);
    await assertRejects(() => writer.drain(), Deno.errors.InvalidData);
  });
});

Deno.test("StreamWriter.startTls() sends what was written in the clear first, and keeps what is written meanwhile", async () => {
  await upgrading(async (port) => {
    const [reader, writer] = await openConnection("127.0.0.1", port);
    writer.write("START");
    await sleep(0);
    writer.write("TLS\n");
    await writer.drain();
    assertEquals(text(await reader.readline()), "go ahead\n");
    const started = writer.startTls({ caCerts });
    await sleep(0);
    writer.write("early\n");
    await started;
    assertEquals(text(await reader.readline()), "early\n");
    writer.close();
  });
});

Deno.test("StreamWriter.startTls() is refused while a read is under way, and changes nothing", async () => {
  await using peer = new Peer(async (conn) => {
    assertEquals(await readLine(conn), "go\n");
    await writeAll(conn, "line\n");
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  const line = reader.readline();
  await assertRejects(() => writer.startTls(), RuntimeError, "under way");
  writer.write("go\n");
  assertEquals(text(await line), "line\n");
  writer.close();
});

Deno.test("StreamWriter.startTls() is refused on the side of the server", async () => {
  const refused = Promise.withResolvers<unknown>();
  await using server = await startServer(
    async (_reader, writer) => {
      await writer.startTls().catch(refused.resolve);
      writer.close();
    },
    "127.0.0.1",
    0,
  );
  const conn = await connect(portOf(server));
  const error = await refused.promise;
  assert(error instanceof Deno.errors.NotSupported);
  assert(error.message.includes("client side"), error.message);
  conn.close();
});

Deno.test("StreamReader over TLS comes to its end when the peer closes its half", async () => {
  const server = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    ...certificate,
  });
  const accepted = server.accept();
  const [reader, writer] = await openConnection("localhost", portOf(server), {
    tls: { caCerts },
  });
  const conn = await accepted;
  await conn.write(bytes("all"));
  await conn.closeWrite();
  assertEquals(text(await reader.read()), "all");
  writer.write("answer\n");
  writer.close();
  await writer.waitClosed();
  assertEquals(await readLine(conn), "answer\n");
  conn.close();
  server.close();
});
