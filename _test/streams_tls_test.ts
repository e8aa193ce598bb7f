import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  getEventLoop,
  IncompleteReadError,
  openConnection,
  RuntimeError,
  sleep,
  startServer,
  type StartTlsOptions,
  type StreamReader,
  type StreamWriter,
} from "@asyncio/asyncio";
import { makeCertificate } from "../docs/certificate.ts";
import {
  bytes,
  close,
  connect,
  Peer,
  portOf,
  readLine,
  settle,
  text,
  writeAll,
} from "./_streams.ts";

const certificate = await makeCertificate();
const caCerts = [certificate.cert];

/** An echo server over TLS. */
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

Deno.test("openConnection() returns the negotiated ALPN protocol", async () => {
  await using server = await echoServer(["chat", "http/1.1"]);
  const port = portOf(server);
  const [, writer] = await openConnection("localhost", port, {
    tls: { caCerts, alpnProtocols: ["chat"] },
  });
  assertEquals(writer.getExtraInfo("sslObject")?.alpnProtocol, "chat");
  writer.close();
  await writer.waitClosed();
});

Deno.test("openConnection() can check the certificate against another name than the host's [test_sslproto.SslProtoHandshakeTests.test_check_hostname_accepts_server_hostname]", async () => {
  await using server = await echoServer();
  const port = portOf(server);
  const open = (hostname: string) =>
    openConnection("127.0.0.1", port, { tls: { caCerts, hostname } });
  const [, writer] = await open("localhost");
  writer.close();
  await assertRejects(() => open("example.com"), Deno.errors.InvalidData);
});

Deno.test("openConnection() and StreamWriter.startTls() check the certificate against the host if hostname is undefined", async () => {
  const tls = await makeCertificate("localhost", [127, 0, 0, 2]);
  await using server = await startServer(
    (_reader, writer) => writer.close(),
    "127.0.0.1",
    0,
    { tls },
  );
  const options = { caCerts: [tls.cert], hostname: undefined as never };
  const port = portOf(server);
  const [, writer] = await openConnection("localhost", port, { tls: options });
  writer.close();
  const [, plain] = await openConnection("localhost", port);
  await plain.startTls(options);
  plain.close();
});

Deno.test("openConnection() accepts a client certificate", async () => {
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

Deno.test("openConnection() refuses a certificate of an unknown authority, and the server keeps serving", async () => {
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

Deno.test("startServer() with TLS closes clients that do not speak it, and reports them in debug mode", async () => {
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

Deno.test("openConnection() creates streams over an existing TLS connection", async () => {
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

/** Accepts connections in the clear, and passes each on to a TLS server after `STARTTLS`. */
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

Deno.test("StreamWriter.startTls() sends what was written before in the clear, and buffers what is written meanwhile", async () => {
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

Deno.test("StreamWriter.startTls() sends nothing in the clear that is written after it, however slow the peer", async () => {
  await using server = await echoServer();
  const go = Promise.withResolvers<void>();
  const size = 16 * 2 ** 20;
  await using peer = new Peer(async (conn) => {
    await go.promise;
    const buffer = new Uint8Array(65_536);
    for (let left = size; left > 0;) {
      const part = buffer.subarray(0, Math.min(left, buffer.length));
      left -= (await conn.read(part))!;
    }
    const inner = await connect(portOf(server));
    const there = conn.readable.pipeTo(inner.writable).catch(() => {});
    await inner.readable.pipeTo(conn.writable).catch(() => {});
    await there;
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  writer.write(new Uint8Array(size));
  const started = writer.startTls({ caCerts });
  writer.write("secret\n");
  await settle();
  assert(writer.transport.getWriteBufferSize() > "secret\n".length);
  go.resolve();
  await started;
  writer.write("more\n");
  assertEquals(text(await reader.readline()), "secret\n");
  assertEquals(text(await reader.readline()), "more\n");
  writer.close();
  await writer.waitClosed();
});

Deno.test("StreamWriter.startTls() makes reads wait, and refuses a second call", async () => {
  await upgrading(async (port) => {
    const [reader, writer] = await openConnection("127.0.0.1", port);
    writer.write("STARTTLS\n");
    assertEquals(text(await reader.readline()), "go ahead\n");
    const started = writer.startTls({ caCerts });
    const cancelled = createTask(() => reader.readline());
    await sleep(0);
    cancelled.cancel();
    await assertRejects(() => cancelled, CancelledError);
    const line = createTask(() => reader.readline());
    await sleep(0);
    await assertRejects(() => writer.startTls(), RuntimeError, "already");
    writer.write("secret\n");
    await started;
    assertEquals(text(await line), "secret\n");
    writer.close();
    await writer.waitClosed();
  });
});

Deno.test("StreamWriter.close() while TLS is started sends what was written, encrypted", async () => {
  await upgrading(async (port) => {
    const [reader, writer] = await openConnection("127.0.0.1", port);
    writer.write("STARTTLS\n");
    assertEquals(text(await reader.readline()), "go ahead\n");
    const started = writer.startTls({ caCerts });
    writer.write("secret\n");
    writer.close();
    assert(writer.transport.getWriteBufferSize() > 0);
    await started;
    await writer.waitClosed();
    assertEquals(writer.transport.getWriteBufferSize(), 0);
  });
});

Deno.test("StreamWriter.startTls() that is cancelled before all is sent closes the connection", async () => {
  const over = Promise.withResolvers<void>();
  await using peer = new Peer(() => over.promise);
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  writer.write(new Uint8Array(16 * 2 ** 20));
  const started = createTask(() => writer.startTls({ caCerts }));
  await sleep(0);
  await sleep(0);
  writer.write("secret\n");
  started.cancel();
  await assertRejects(() => started, CancelledError);
  assert(writer.isClosing() && reader.atEof());
  assertEquals(writer.transport.getWriteBufferSize(), 0);
  await writer.waitClosed();
  over.resolve();
});

Deno.test("StreamWriter.startTls() is refused during a read, and changes nothing", async () => {
  await using peer = new Peer(async (conn) => {
    assertEquals(await readLine(conn), "go\n");
    await writeAll(conn, "line\n");
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  const line = reader.readline();
  await assertRejects(() => writer.startTls(), RuntimeError, "in progress");
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

/** A proxy for a TLS connection, which can be cut without close_notify. */
class Wire implements AsyncDisposable {
  readonly #cut = Promise.withResolvers<void>();
  readonly #peer: Peer;
  /** Drops the last byte of the next chunk to the client, and cuts the connection. */
  truncates = false;

  constructor(port: number) {
    this.#peer = new Peer(async (conn) => {
      const inner = await connect(port);
      const pumps = [this.#pump(conn, inner), this.#pump(inner, conn, true)];
      await this.#cut.promise;
      close(conn);
      await pumps[0];
      close(inner);
      await pumps[1];
    });
  }

  get port(): number {
    return this.#peer.port;
  }

  cut(): void {
    this.#cut.resolve();
  }

  async #pump(from: Deno.Conn, to: Deno.Conn, toClient = false): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (;;) {
        const count = await from.read(buffer);
        if (count === null) break;
        const truncates = toClient && this.truncates;
        await writeAll(to, buffer.subarray(0, truncates ? count - 1 : count));
        if (truncates) this.cut();
      }
    } catch {
      // it was cut
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.#peer[Symbol.asyncDispose]();
  }
}

/** Runs a client whose peer is a TLS server behind a proxy. */
async function wired(
  body: (
    streams: [StreamReader, StreamWriter],
    other: Deno.TlsConn,
    wire: Wire,
  ) => Promise<void>,
): Promise<void> {
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    ...certificate,
  });
  const accepted = listener.accept();
  await using wire = new Wire(portOf(listener));
  const opening = openConnection("localhost", wire.port, { tls: { caCerts } });
  const other = await accepted;
  await other.handshake();
  await body(await opening, other, wire);
  close(other);
  listener.close();
}

Deno.test("StreamReader over TLS returns everything that arrived, then ends, when the peer closes without close_notify", async () => {
  await wired(async ([reader, writer], other, wire) => {
    await other.write(bytes("one\ntwo\nthe rest"));
    assertEquals(text(await reader.readline()), "one\n");
    wire.cut();
    assertEquals(text(await reader.readline()), "two\n");
    assertEquals(text(await reader.read()), "the rest");
    assert(reader.atEof());
    assertEquals(reader.exception(), null);
    assertEquals((await reader.read()).length, 0);
    writer.close();
    await writer.waitClosed();
  });
});

Deno.test("StreamReader over TLS comes to its end while it waits, when the peer closes without close_notify", async () => {
  await wired(async ([reader, writer], other, wire) => {
    await other.write(bytes("some"));
    const read = createTask(() => reader.readexactly(10));
    while (!Deno.inspect(reader).includes(" 4 bytes")) await sleep(0);
    wire.cut();
    const error = await assertRejects(() => read, IncompleteReadError);
    assertEquals(text(error.partial), "some");
    writer.transport.abort();
  });
});

Deno.test("StreamReader over TLS comes to its end when a record is cut in two", async () => {
  await wired(async ([reader, writer], other, wire) => {
    await other.write(bytes("whole"));
    assertEquals(text(await reader.readexactly(5)), "whole");
    wire.truncates = true;
    await other.write(bytes("cut"));
    assertEquals((await reader.read()).length, 0);
    assert(reader.atEof());
    writer.transport.abort();
  });
});

Deno.test("startServer() with TLS hands on what came before a client closes without close_notify", async () => {
  const got = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  await using server = await startServer(
    async (reader, writer) => {
      const line = text(await reader.readline());
      begun.resolve();
      got.resolve(line + text(await reader.read()));
      writer.close();
    },
    "127.0.0.1",
    0,
    { tls: certificate },
  );
  await using wire = new Wire(portOf(server));
  const conn = await Deno.connectTls({
    hostname: "localhost",
    port: wire.port,
    caCerts,
  });
  await conn.write(bytes("line\nrest"));
  await begun.promise;
  wire.cut();
  assertEquals(await got.promise, "line\nrest");
  close(conn);
});

for (
  const [what, injected] of [["a line", "INJECTED\n"], ["a byte", "x"]]
) {
  Deno.test(`StreamWriter.startTls() refuses ${what} that came in the clear and was not read`, async () => {
    await using peer = new Peer(async (conn) => {
      assertEquals(await readLine(conn), "STARTTLS\n");
      await writeAll(conn, `go ahead\n${injected}`);
      assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
    });
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    writer.write("STARTTLS\n");
    assertEquals(text(await reader.readline()), "go ahead\n");
    await assertRejects(
      () => writer.startTls({ caCerts }),
      Deno.errors.InvalidData,
      "in the clear",
    );
    assert(writer.isClosing());
    await assertRejects(() => reader.readline(), Deno.errors.InvalidData);
    await assertRejects(() => reader.read(), Deno.errors.InvalidData);
    await assertRejects(() => writer.drain(), Deno.errors.InvalidData);
  });
}

Deno.test("StreamWriter.startTls() refuses what has come in the clear before anything was read", async () => {
  const sent = Promise.withResolvers<void>();
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, "250 INJECTED\n");
    sent.resolve();
    while (await conn.read(new Uint8Array(1_000)).catch(() => null) !== null);
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  await sent.promise;
  await assertRejects(
    () => writer.startTls({ caCerts }),
    Deno.errors.InvalidData,
  );
  assert(writer.isClosing());
  await assertRejects(() => reader.readline(), Deno.errors.InvalidData);
});

Deno.test("StreamWriter.startTls() refuses the rest of a line over the limit that came in the clear", async () => {
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, "0123456789abcdef");
    assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port, {
    limit: 4,
  });
  await assertRejects(() => reader.readline(), RangeError);
  await assertRejects(() => writer.startTls(), Deno.errors.InvalidData);
  assert(writer.isClosing());
});

Deno.test("StreamWriter.startTls() refuses invalid options, and changes nothing", async () => {
  await upgrading(async (port) => {
    const [reader, writer] = await openConnection("127.0.0.1", port);
    const wrong: [unknown, string][] = [
      [null, "options must be an object, got null"],
      [new AbortController(), "options must be an object"],
      [{ signal: new AbortController() }, "pass controller.signal"],
      [{ signal: { aborted: false } }, "signal must be an AbortSignal"],
      [{ hostname: Symbol("x") }, "hostname must be a string"],
      [{ hostname: null }, "hostname must be a string, got null"],
      [{ caCerts: "pem" }, "caCerts must be an array of strings"],
      [{ caCerts: [1] }, "caCerts must be an array of strings, got 1 in it"],
      [{ alpnProtocols: {} }, "alpnProtocols must be an array of strings"],
      [
        { unsafelyDisableHostnameVerification: 1 },
        "must be true or false, got 1",
      ],
      [{ hostName: "localhost" }, 'did you mean "hostname"'],
    ];
    for (const [options, message] of wrong) {
      await assertRejects(
        () => writer.startTls(options as StartTlsOptions),
        TypeError,
        message,
      );
    }
    writer.write("STARTTLS\n");
    assertEquals(text(await reader.readline()), "go ahead\n");
    await writer.startTls({ caCerts });
    writer.write("secret\n");
    assertEquals(text(await reader.readline()), "secret\n");
    writer.close();
    await writer.waitClosed();
  });
});

Deno.test("openConnection() checks the certificate against the host name or address [test_sslproto.SslProtoHandshakeTests.test_check_hostname_requires_server_hostname]", async () => {
  const other = await makeCertificate("elsewhere.test", [192, 0, 2, 1]);
  await using server = await startServer(
    (_reader, writer) => writer.close(),
    "127.0.0.1",
    0,
    { tls: other },
  );
  for (const host of ["127.0.0.1", "localhost"]) {
    await assertRejects(
      () =>
        openConnection(host, portOf(server), {
          tls: { caCerts: [other.cert] },
        }),
      Deno.errors.InvalidData,
      "certificate",
    );
  }
});

Deno.test("StreamWriter.startTls() keeps the back pressure on the peer [test_streams.StreamTests.test_streamwriter_start_tls_updates_reader_transport]", async () => {
  await upgrading(async (port) => {
    const [reader, writer] = await openConnection("127.0.0.1", port, {
      limit: 1000,
    });
    writer.write("STARTTLS\n");
    assertEquals(text(await reader.readline()), "go ahead\n");
    await writer.startTls({ caCerts });
    const line = `${"x".repeat(99)}\n`;
    const count = 200_000;
    writer.write(line.repeat(count));
    const drained = createTask(() => writer.drain());
    for (let i = 0; i < 500; i++) await sleep(0);
    assertEquals(drained.done(), false);
    let length = 0;
    while (length < count * line.length) {
      length += (await reader.read(65536)).length;
    }
    await drained;
    writer.close();
    await writer.waitClosed();
  });
});

Deno.test("StreamWriter.getExtraInfo() returns what Deno exposes of TLS, and says why not the rest", async () => {
  await using server = await echoServer(["chat"]);
  const [, writer] = await openConnection("localhost", portOf(server), {
    tls: { caCerts, alpnProtocols: ["chat"] },
  });
  for (const it of [writer, writer.transport]) {
    assertEquals(it.getExtraInfo("sslObject")?.alpnProtocol, "chat");
    assertEquals(it.getExtraInfo("compression", "none"), null);
    assertEquals(it.getExtraInfo("anything", "none"), "none");
    assertEquals(it.getExtraInfo("__proto__", "none"), "none");
    assertEquals(it.getExtraInfo("pipe"), null);
    for (const name of ["peercert", "cipher", "sslcontext"]) {
      assertThrows(
        () => it.getExtraInfo(name),
        Deno.errors.NotSupported,
        `Cannot get "${name}": Deno does not expose`,
      );
    }
  }
  writer.close();
  await writer.waitClosed();
});
