// TLS connections whose peer does not answer, does not read, or just disconnects.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CancelledError,
  createTask,
  getRunningLoop,
  openConnection,
  type OpenConnectionOptions,
  run,
  sleep,
  startServer,
  type StreamWriter,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import { VirtualTimeLoop } from "@asyncio/asyncio/testing";
import { makeCertificate } from "../docs/certificate.ts";
import {
  bytes,
  close,
  connect,
  openedSince,
  portOf,
  settle,
  sockets,
  text,
  writeAll,
} from "./_streams.ts";

const certificate = await makeCertificate();
const caCerts = [certificate.cert];
const { ConnectionAborted, InvalidData, UnexpectedEof } = Deno.errors;

/** A peer that accepts one connection and sends nothing. */
class SilentPeer implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #accepted = this.#listener.accept();
  #conn: Deno.TcpConn | null = null;

  readonly port = this.#listener.addr.port;

  /** Waits for the first bytes of a handshake. */
  async hello(): Promise<void> {
    this.#conn = await this.#accepted;
    assert(await this.#conn.read(new Uint8Array(4096)) !== null);
  }

  /** Waits for the end of the connection. */
  async end(): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      while (await this.#conn!.read(buffer) !== null);
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionReset);
    }
  }

  write(data: string): Promise<void> {
    return writeAll(this.#conn!, data);
  }

  closeWrite(): Promise<void> {
    return this.#conn!.closeWrite();
  }

  closeConnection(): void {
    close(this.#conn!);
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    if (this.#conn) close(this.#conn);
  }
}

/** The ways to start TLS as a client. */
const beginnings: Record<
  string,
  (port: number, signal?: AbortSignal) => Promise<unknown>
> = {
  "openConnection()": (port, signal) =>
    openConnection("127.0.0.1", port, { tls: true, signal }),
  "StreamWriter.startTls()": async (port, signal) => {
    const [, writer] = await openConnection("127.0.0.1", port);
    await writer.startTls({ hostname: "localhost", signal });
  },
};

for (const [name, begin] of Object.entries(beginnings)) {
  Deno.test(`${name} that is cancelled in the handshake closes its connection`, async () => {
    const before = sockets();
    const controller = new AbortController();
    const ways: ((port: number) => [Promise<unknown>, () => void])[] = [
      (port) => {
        const task = createTask(() => begin(port));
        return [task, () => task.cancel()];
      },
      (port) => [
        begin(port, controller.signal),
        () => controller.abort(new CancelledError()),
      ],
      (port) => {
        const ended = Promise.withResolvers<void>();
        const scope = createTask(async () => {
          const expires = timeout(null, async (deadline) => {
            ended.promise.then(() => deadline.reschedule(0));
            await begin(port);
          });
          await assertRejects(() => expires, TimeoutError);
          throw new CancelledError();
        });
        return [scope, ended.resolve];
      },
    ];
    for (const way of ways) {
      using peer = new SilentPeer();
      const [wait, cancel] = way(peer.port);
      const rejected = assertRejects(() => wait, CancelledError);
      await peer.hello();
      cancel();
      await rejected;
      await peer.end();
    }
    assertEquals(await openedSince(before), 0);
  });

  Deno.test(`${name} in its handshake ends with the loop`, async () => {
    using peer = new SilentPeer();
    await run(async () => {
      createTask(() => begin(peer.port));
      await peer.hello();
    });
    await peer.end();
  });

  Deno.test(`${name} ends a handshake after a minute`, async () => {
    using peer = new SilentPeer();
    const hello = peer.hello();
    await run(async () => {
      const loop = getRunningLoop();
      const start = loop.time();
      await assertRejects(
        () => begin(peer.port),
        ConnectionAborted,
        "took longer than 60 s",
      );
      assertEquals(loop.time() - start, 60);
    }, { loopFactory: () => new VirtualTimeLoop() });
    await hello.catch(() => {});
  });

  Deno.test(`${name} reports what went wrong in the handshake, and closes its connection`, async () => {
    for (const answer of ["HTTP/1.1 400 Bad Request\r\n\r\n", ""]) {
      using peer = new SilentPeer();
      const rejected = assertRejects(
        () => begin(peer.port),
        answer ? InvalidData : UnexpectedEof,
      );
      await peer.hello();
      await peer.write(answer);
      if (!answer) peer.closeConnection();
      await rejected;
      if (answer) await peer.end();
    }
  });
}

Deno.test("StreamWriter.close() and WriteTransport.abort() end a handshake that is under way", async () => {
  const ways: ((writer: StreamWriter) => void)[] = [
    (writer) => writer.close(),
    (writer) => writer.transport.abort(),
  ];
  for (const end of ways) {
    using peer = new SilentPeer();
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    const started = assertRejects(() => writer.startTls(), ConnectionAborted);
    await peer.hello();
    end(writer);
    await writer.waitClosed();
    await started;
    assertEquals((await reader.read()).length, 0);
    await peer.end();
  }
});

Deno.test("openConnection() and startServer() check how long TLS may take", async () => {
  const open = (options: OpenConnectionOptions) =>
    openConnection("127.0.0.1", 1, options);
  const serve = (options: OpenConnectionOptions) =>
    startServer(() => {}, "127.0.0.1", 0, {
      ...options,
      tls: options.tls ? certificate : undefined,
    });
  for (const name of ["sslHandshakeTimeout", "sslShutdownTimeout"]) {
    for (const call of [open, serve]) {
      await assertRejects(() => call({ [name]: 1 }), RangeError, '"tls"');
      for (const value of [0, -1, NaN]) {
        await assertRejects(
          () => call({ [name]: value, tls: true }),
          RangeError,
          name,
        );
      }
    }
  }
});

Deno.test("openConnection() and startServer() refuse invalid certificates", async () => {
  const other = await makeCertificate();
  const pairs = [
    { ...certificate, cert: "nonsense" },
    { ...certificate, key: "nonsense" },
    { ...certificate, key: other.key },
  ];
  const before = sockets();
  await using server = await startServer(() => {}, "127.0.0.1", 0);
  for (const pair of pairs) {
    const options = { tls: pair };
    await assertRejects(
      () => startServer(() => {}, "127.0.0.1", 0, options),
      InvalidData,
    );
    await assertRejects(
      () => openConnection("127.0.0.1", server.port!, options),
      InvalidData,
    );
  }
  await assertRejects(
    () =>
      openConnection("127.0.0.1", server.port!, {
        tls: { caCerts: ["nonsense"] },
      }),
    InvalidData,
  );
  server.close();
  server.abortClients();
  await server.waitClosed();
  assertEquals(await openedSince(before), 0);
});

Deno.test("startServer() with TLS closes clients that do not begin their handshake in time", async () => {
  const before = sockets();
  let clients = 0;
  const server = await startServer(() => clients++, "127.0.0.1", 0, {
    tls: certificate,
    sslHandshakeTimeout: { milliseconds: 20 },
  });
  const conns = await Promise.all(
    Array.from({ length: 5 }, () => connect(server.port!)),
  );
  for (const conn of conns) {
    assertEquals(await conn.read(new Uint8Array(1)), null);
    conn.close();
  }
  assertEquals(await openedSince(before, 1), 1);
  server.close();
  await server.waitClosed();
  assertEquals(clients, 0);
});

for (
  const [what, sent] of [["nothing", ""], ["half a record", "\x16\x03\x01\x02"]]
) {
  Deno.test(`startServer() with TLS closes clients that send ${what} and close`, async () => {
    const before = sockets();
    const server = await startServer(() => {}, "127.0.0.1", 0, {
      tls: certificate,
    });
    for (let i = 0; i < 5; i++) {
      const conn = await connect(server.port!);
      await writeAll(conn, sent);
      conn.close();
    }
    assertEquals(await openedSince(before, 1), 1);
    server.close();
    await server.waitClosed();
  });

  Deno.test(`openConnection() with TLS rejects if the server sends ${what} and ends its side`, async () => {
    const before = sockets();
    using peer = new SilentPeer();
    const opening = openConnection("127.0.0.1", peer.port, { tls: true });
    const failing = assertRejects(() => opening, UnexpectedEof);
    await peer.hello();
    await peer.write(sent);
    await peer.closeWrite();
    await failing;
    await peer.end();
    peer.closeConnection();
    assertEquals(await openedSince(before, 1), 1);
  });
}

Deno.test("Server.close() closes clients in the middle of their handshake", async () => {
  const before = sockets();
  const server = await startServer(() => {}, "127.0.0.1", 0, {
    tls: certificate,
  });
  const conns = await Promise.all(
    Array.from({ length: 5 }, () => connect(server.port!)),
  );
  await writeAll(conns[0], "\x16\x03\x01");
  await settle();
  server.close();
  await server.waitClosed();
  for (const conn of conns) {
    await conn.read(new Uint8Array(1)).catch(() => {}); // the end, or a reset
    conn.close();
  }
  assertEquals(await openedSince(before), 0);
});

/** Runs a body with the writer of a server that floods a client which does not read. */
async function flooded(
  sslShutdownTimeout: number | undefined,
  body: (writer: StreamWriter) => Promise<void>,
): Promise<void> {
  const before = sockets();
  const writer = Promise.withResolvers<StreamWriter>();
  const server = await startServer(
    (_reader, it) => {
      it.write(new Uint8Array(20_000_000));
      writer.resolve(it);
    },
    "127.0.0.1",
    0,
    { tls: certificate, sslShutdownTimeout },
  );
  const conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: server.port!,
  });
  const tls = await Deno.startTls(conn, { hostname: "localhost", caCerts });
  await tls.handshake();
  await body(await writer.promise);
  server.close();
  await server.waitClosed();
  assertEquals(await openedSince(before, 1), 1);
  tls.close();
}

Deno.test("WriteTransport.abort() of a TLS connection closes its socket although the peer does not read", async () => {
  await flooded(undefined, async (writer) => {
    await settle();
    assert(writer.transport.getWriteBufferSize() > 0);
    writer.transport.abort();
    await writer.waitClosed();
  });
});

Deno.test("StreamWriter.close() of a TLS connection waits no longer than it may for a side that does not read", async () => {
  await flooded(0.02, async (writer) => {
    writer.close();
    await assertRejects(
      () => writer.waitClosed(),
      TimeoutError,
      "took longer than 0.02 s",
    );
  });
});

Deno.test("StreamReader over TLS returns everything that arrived before the peer closed without close_notify", async () => {
  await using server = await startServer(
    async (reader, writer) => {
      writer.write("all of it");
      await writer.drain();
      await reader.readline();
      (writer.getExtraInfo("socket") as Deno.Conn).close();
    },
    "127.0.0.1",
    0,
    { tls: certificate },
  );
  const [reader, writer] = await openConnection("127.0.0.1", server.port!, {
    tls: { caCerts },
  });
  writer.write("now\n");
  assertEquals(text(await reader.read()), "all of it");
  writer.close();
  await writer.waitClosed();
});

Deno.test("Streams over TLS carry much in both directions at once", async () => {
  const data = new Uint8Array(3_000_000).map((_, i) => i * 7 % 251);
  await using server = await startServer(
    async (reader, writer) => {
      for (;;) {
        const chunk = await reader.read(50_000);
        if (chunk.length === 0) break;
        writer.write(chunk);
        await writer.drain();
      }
      writer.close();
    },
    "127.0.0.1",
    0,
    { tls: certificate },
  );
  const [reader, writer] = await openConnection("localhost", server.port!, {
    tls: { caCerts },
  });
  writer.write(data);
  writer.writeEof();
  assertEquals(await reader.read(), data);
  writer.close();
  await writer.waitClosed();
});

Deno.test("StreamWriter.close() over TLS sends close_notify", async () => {
  await using server = await startServer(
    (_reader, writer) => {
      writer.write("bye");
      writer.close();
    },
    "127.0.0.1",
    0,
    { tls: certificate },
  );
  const conn = await Deno.connectTls({
    hostname: "localhost",
    port: portOf(server),
    caCerts,
  });
  const buffer = new Uint8Array(10);
  const count = await conn.read(buffer);
  assertEquals(buffer.subarray(0, count!), bytes("bye"));
  assertEquals(await conn.read(buffer), null); // and no UnexpectedEof
  conn.close();
  await sleep(0);
});
