import {
  assert,
  assertEquals,
  assertFalse,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  getRunningLoop,
  openConnection,
  run,
  RuntimeError,
  Server,
  sleep,
  startServer,
  startUnixServer,
} from "@asyncio/asyncio";
import {
  connect,
  portOf,
  readAll,
  settle,
  text,
  writeAll,
} from "./_streams.ts";

const nobody = () => {};

Deno.test("startServer() echoes a line with an async function and with a plain one [test_streams.StreamTests.test_start_server]", async () => {
  const reports: string[] = [];
  await run(async () => {
    getRunningLoop().setExceptionHandler((_loop, { message }) =>
      reports.push(message)
    );
    const echo = async (
      ...[reader, writer]: Parameters<Parameters<typeof startServer>[0]>
    ) => {
      writer.write(await reader.readline());
      writer.close();
    };
    const plain: typeof echo = (reader, writer) => {
      createTask(() => echo(reader, writer));
      return undefined as never;
    };
    for (const callback of [echo, plain]) {
      await using server = await startServer(callback, "127.0.0.1", 0);
      const [reader, writer] = await openConnection(
        "127.0.0.1",
        portOf(server),
      );
      writer.write("hello\n");
      assertEquals(text(await reader.readline()), "hello\n");
      assertEquals((await reader.read()).length, 0);
      writer.close();
      await writer.waitClosed();
    }
  });
  assertEquals(reports, []);
});

Deno.test("Server serves from serveForever() until that is cancelled, which closes it [test_server.BaseStartServer.test_start_server_1]", async () => {
  await run(async () => {
    const server = await startServer(
      async (reader, writer) => {
        writer.write(await reader.readline());
        await reader.read();
        writer.close();
      },
      "127.0.0.1",
      0,
      { startServing: false },
    );
    assertFalse(server.isServing());
    assertEquals(server.sockets.length, 1);
    const serving = createTask(() => server.serveForever());
    await sleep(0);
    assert(server.isServing());

    const [reader, writer] = await openConnection("127.0.0.1", portOf(server));
    writer.write("hello\n");
    assertEquals(text(await reader.readline()), "hello\n");

    serving.cancel();
    await assertRejects(() => serving, CancelledError);
    assertEquals(server.sockets, []);
    assertFalse(server.isServing());
    assertEquals((await reader.read()).length, 0);
    writer.close();
    await assertRejects(() => server.serveForever(), RuntimeError, "closed");
    await assertRejects(() => server.startServing(), RuntimeError, "closed");
  });
});

Deno.test("startUnixServer() can begin to serve later [test_server.SelectorStartServerTests.test_start_unix_server_1]", async () => {
  const path = `${await Deno.makeTempDir()}/socket`;
  const server = await startUnixServer(
    (_reader, writer) => {
      writer.write("welcome");
      writer.close();
    },
    path,
    { startServing: false },
  );
  assertFalse(server.isServing());
  const conn = await Deno.connect({ transport: "unix", path });
  await server.startServing();
  await server.startServing();
  assert(server.isServing());
  assertEquals(await readAll(conn), "welcome");
  conn.close();

  const serving = createTask(() => server.serveForever());
  await sleep(0);
  serving.cancel();
  await assertRejects(() => serving, CancelledError);
  assertFalse(server.isServing());
  assertEquals(server.sockets, []);
  await assertRejects(() => server.serveForever(), RuntimeError);
});

Deno.test("Server.serveForever() is refused while another call is waiting", async () => {
  const server = await startServer(nobody, "127.0.0.1", 0);
  const serving = createTask(() => server.serveForever());
  await sleep(0);
  await assertRejects(() => server.serveForever(), RuntimeError, "already");
  server.close();
  await assertRejects(() => serving, CancelledError);
});

Deno.test("Server.serveForever() ends with the reason of its signal, and closes the server", async () => {
  const server = await startServer(nobody, "127.0.0.1", 0);
  const controller = new AbortController();
  const serving = server.serveForever({ signal: controller.signal });
  await sleep(0);
  controller.abort(new RangeError("enough"));
  await assertRejects(() => serving, RangeError, "enough");
  assertEquals(server.sockets, []);
});

Deno.test("Server.close() leaves connections that are open, also under serveForever()", async () => {
  const server = await startServer(
    async (reader, writer) => {
      for await (const line of reader) writer.write(line);
      writer.close();
    },
    "127.0.0.1",
    0,
  );
  const serving = createTask(() => server.serveForever());
  const [reader, writer] = await openConnection("127.0.0.1", portOf(server));
  writer.write("one\n");
  assertEquals(text(await reader.readline()), "one\n");
  server.close();
  server.close();
  writer.write("two\n");
  assertEquals(text(await reader.readline()), "two\n");
  assertFalse(serving.done());
  writer.close();
  await assertRejects(() => serving, CancelledError);
});

Deno.test("Server.waitClosed() waits for close() and for the last connection [test_server.TestServer2.test_wait_closed_basic]", async () => {
  const connected = Promise.withResolvers<void>();
  const server = await startServer(
    async (reader, writer) => {
      connected.resolve();
      await reader.read();
      writer.close();
    },
    "127.0.0.1",
    0,
  );
  const conn = await connect(portOf(server));
  const waiting = createTask(() => server.waitClosed());
  await connected.promise;
  await settle();
  assertFalse(waiting.done());
  server.close();
  await settle();
  assertFalse(waiting.done());
  conn.close();
  await waiting;
  await server.waitClosed();
});

Deno.test("Server.waitClosed() resolves when close() and the last end come together [test_server.TestServer2.test_wait_closed_race]", async () => {
  for (let turns = 0; turns < 8; turns++) {
    const server = await startServer(
      async (reader, writer) => {
        await reader.readline();
        writer.close();
        for (let i = 0; i < turns; i++) await sleep(0);
        server.close();
      },
      "127.0.0.1",
      0,
    );
    const conn = await connect(portOf(server));
    await writeAll(conn, "bye\n");
    await server.waitClosed();
    assertEquals(await readAll(conn), "");
    conn.close();
  }
});

Deno.test("Server frees its port once it is closed", async () => {
  for (const startServing of [true, false]) {
    const first = await startServer(nobody, "127.0.0.1", 0, { startServing });
    const port = portOf(first);
    first.close();
    await first.waitClosed();
    const second = await startServer(nobody, "127.0.0.1", port);
    assertEquals(portOf(second), port);
    second.close();
    await second.waitClosed();
  }
});

Deno.test("Server closes itself and its connections at the end of its block", async () => {
  const connected = Promise.withResolvers<void>();
  let conn: Deno.TcpConn;
  let port: number;
  {
    await using server = await startServer(
      (reader) => {
        connected.resolve();
        return reader.read();
      },
      "127.0.0.1",
      0,
    );
    port = portOf(server);
    conn = await connect(port);
    await connected.promise;
  }
  assertEquals(await readAll(conn), "");
  conn.close();
  await assertRejects(() => connect(port), Deno.errors.ConnectionRefused);
});

Deno.test("startServer() listens on several hosts, each with a port of its own", async () => {
  await using server = await startServer(
    (_reader, writer) => writer.close(),
    ["127.0.0.1", "127.0.0.2", "127.0.0.1"],
    0,
  );
  assertEquals(server.sockets.length, 2);
  const [one, two] = server.sockets.map((it) => it.addr as Deno.NetAddr);
  assertEquals([one.hostname, two.hostname], ["127.0.0.1", "127.0.0.2"]);
  for (const { hostname, port } of [one, two]) {
    const conn = await Deno.connect({ hostname, port });
    assertEquals(await readAll(conn), "");
    conn.close();
  }
});

Deno.test("startServer() on null listens on IPv4 and IPv6 alike", async () => {
  for (const host of [null, ""]) {
    const peers: string[] = [];
    await using server = await startServer(
      (_reader, writer) => {
        peers.push((writer.getExtraInfo("peername") as Deno.NetAddr).hostname);
        writer.close();
      },
      host,
      0,
    );
    for (const hostname of ["127.0.0.1", "::1"]) {
      const conn = await Deno.connect({ hostname, port: portOf(server) });
      assertEquals(await readAll(conn), "");
      conn.close();
    }
    assertEquals(peers, ["127.0.0.1", "::1"]);
  }
});

Deno.test("startServer() takes a backlog, and shares a port where Deno can", async () => {
  await using first = await startServer(nobody, "127.0.0.1", 0, { backlog: 1 });
  assert(first.isServing());
  await assertRejects(
    () => startServer(nobody, "127.0.0.1", 0, { reusePort: true }),
    Deno.errors.NotSupported,
    "--unstable-net",
  );
  const file = new URL("streams/sharing_servers.ts", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--unstable-net", "--allow-net", file.href],
  }).output();
  assertEquals(text(stdout), "shared\n");
});

Deno.test("startServer() says where it could not listen", async () => {
  await using server = await startServer(nobody, "127.0.0.1", 0);
  const port = portOf(server);
  const error = await assertRejects(
    () => startServer(nobody, ["127.0.0.2", "127.0.0.1"], port),
    Deno.errors.AddrInUse,
    `Cannot listen on 127.0.0.1:${port}`,
  );
  assertEquals((error as Error & { code: string }).code, "EADDRINUSE");
  const free = await startServer(nobody, "127.0.0.2", port);
  free.close();
  await free.waitClosed();
  await assertRejects(
    () => startServer(nobody, "192.0.2.1", 0),
    Deno.errors.AddrNotAvailable,
    "192.0.2.1:0",
  );
});

Deno.test("startServer() says what permission is missing", async () => {
  const file = new URL("streams/forbidden_server.ts", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", file.href],
  }).output();
  const said = text(stdout);
  assert(said.startsWith("NotCapable Cannot listen on 127.0.0.1:0: "), said);
});

Deno.test("startServer() checks its arguments", async () => {
  const start = startServer as (...args: unknown[]) => Promise<unknown>;
  await assertRejects(() => start("x", null, 0), TypeError, "function");
  for (const host of [12, [], [12], undefined]) {
    await assertRejects(() => start(nobody, host, 0), TypeError, "host");
  }
  for (const port of [-1, 65_536, "80", undefined]) {
    await assertRejects(() => start(nobody, null, port), RangeError, "port");
  }
  await assertRejects(
    () => start(nobody, null, 0, { limit: -1 }),
    RangeError,
    "limit",
  );
  for (const name of ["family", "sock", "reuseAddress", "keepAlive"]) {
    await assertRejects(
      () => start(nobody, null, 0, { [name]: 1 }),
      Deno.errors.NotSupported,
      `"${name}"`,
    );
  }
  assertThrows(
    () => Reflect.construct(Server, [{}]),
    TypeError,
    "startServer()",
  );
});

Deno.test("Server shows itself in a line", async () => {
  const connected = Promise.withResolvers<void>();
  const callback = () => connected.resolve();
  const server = await startServer(callback, "127.0.0.1", 0, {
    startServing: false,
  });
  assertEquals(Deno.inspect(server), "<Server not serving, 0 connections>");
  await server.startServing();
  const conn = await connect(portOf(server));
  await connected.promise;
  assertEquals(Deno.inspect(server), "<Server serving, 1 connections>");
  server.close();
  server.abortClients();
  await server.waitClosed();
  assertEquals(Deno.inspect(server), "<Server closed, 0 connections>");
  conn.close();
});

Deno.test("Server.sockets are the listeners of Deno", async () => {
  await using server = await startServer(nobody, "127.0.0.1", 0);
  const [socket] = server.sockets;
  assertEquals(socket.addr.transport, "tcp");
  assertNotEquals(portOf(server), 0);
});

Deno.test("Server.serveForever() that is cancelled ends at once even if a client hangs, and closes that client [test_server.TestServer2.test_close_with_hanging_client]", async () => {
  await run(async () => {
    const called = Promise.withResolvers<void>();
    const server = await startServer(
      async (reader) => {
        called.resolve();
        await reader.read();
      },
      "127.0.0.1",
      0,
    );
    const serving = createTask(() => server.serveForever());
    const [reader, writer] = await openConnection("127.0.0.1", portOf(server));
    await called.promise;
    serving.cancel();
    await assertRejects(() => serving, CancelledError);
    await server.waitClosed();
    assertEquals((await reader.read()).length, 0);
    writer.close();
    await writer.waitClosed();
  });
});
