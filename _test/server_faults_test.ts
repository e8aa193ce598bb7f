// What a server does when connections, callers or files go wrong.

import { AsyncLocalStorage } from "node:async_hooks";
import net from "node:net";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  currentTask,
  type ExceptionContext,
  getRunningLoop,
  openConnection,
  openUnixConnection,
  run,
  sleep,
  startServer,
  startUnixServer,
  type StreamReader,
  type StreamWriter,
  timeout,
} from "@asyncio/asyncio";
import {
  close,
  connect,
  openedSince,
  readAll,
  settle,
  sockets,
  text,
  writeAll,
} from "./_streams.ts";
import { collectGarbage } from "./_garbage.ts";

/** Runs a body on a loop of its own, and returns what the exception handler received. */
async function reportsOf(
  body: (reports: ExceptionContext[]) => Promise<void>,
): Promise<ExceptionContext[]> {
  const reports: ExceptionContext[] = [];
  await run(async () => {
    getRunningLoop().setExceptionHandler((_loop, context) =>
      reports.push(context)
    );
    await body(reports);
  });
  return reports;
}

/** Connects and resets the connection at once. */
function reset(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => {
      socket.on("close", () => resolve());
      socket.resetAndDestroy();
    });
    socket.on("error", () => {});
  });
}

async function echoLine(
  reader: StreamReader,
  writer: StreamWriter,
): Promise<void> {
  writer.write(await reader.readline());
  writer.close();
}

async function askFor(port: number, line: string): Promise<string> {
  const conn = await connect(port);
  await writeAll(conn, line);
  const answer = await readAll(conn);
  conn.close();
  return answer;
}

Deno.test("Server accepts the next connection at once when others were reset before it could", async () => {
  const reports = await reportsOf(async () => {
    await using server = await startServer(echoLine, "127.0.0.1", 0, {
      startServing: false,
    });
    const port = server.port!;
    for (let i = 0; i < 20; i++) await reset(port);
    const asking = askFor(port, "hello\n");
    await server.startServing();
    assertEquals(await asking, "hello\n");
  });
  assertEquals(reports.map((it) => it.message), []);
});

Deno.test("Server.port is that of its first TCP socket", async () => {
  const server = await startServer(echoLine, ["127.0.0.1", "127.0.0.2"], 0);
  const addr = server.sockets[0].addr as Deno.NetAddr;
  assertEquals(server.port, addr.port);
  server.close();
  assertEquals([server.sockets, server.port], [[], null]);
  await server.waitClosed();
  await using unix = await startUnixServer(echoLine, `\0port-${Deno.pid}`);
  assertEquals(unix.port, null);
});

Deno.test("startServer() and startUnixServer() reject with the reason of their signal and open nothing", async () => {
  const before = sockets();
  const signal = AbortSignal.abort(new RangeError("enough"));
  const path = `${await Deno.makeTempDir()}/socket`;
  await assertRejects(
    () => startServer(echoLine, "127.0.0.1", 0, { signal }),
    RangeError,
    "enough",
  );
  await assertRejects(
    () => startUnixServer(echoLine, path, { signal }),
    RangeError,
    "enough",
  );
  assertEquals(await openedSince(before), 0);
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
});

Deno.test("startUnixServer() is cancelled while it asks whether a path is in use", async () => {
  const path = `${await Deno.makeTempDir()}/socket`;
  await using _server = await startUnixServer(echoLine, path);
  const before = sockets();
  const controller = new AbortController();
  const waits = [
    () => {
      const task = createTask(() => startUnixServer(echoLine, path));
      return { wait: task, cancel: () => task.cancel() };
    },
    () => {
      const { signal } = controller;
      const wait = startUnixServer(echoLine, path, { signal });
      return { wait, cancel: () => controller.abort(new CancelledError()) };
    },
  ];
  for (const start of waits) {
    const { wait, cancel } = start();
    await sleep(0);
    cancel();
    await assertRejects(() => wait, CancelledError);
  }
  assertEquals(await openedSince(before), 0);
});

Deno.test("Server runs its callbacks in the context that it was made in, and in no task of others", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  await run(async () => {
    const creator = currentTask();
    const server = await storage.run("creator", () =>
      startServer(
        (_reader, writer) => {
          seen.push(storage.getStore(), currentTask() !== creator);
          writer.close();
        },
        "127.0.0.1",
        0,
        { startServing: false },
      ));
    const port = server.port!;
    await storage.run("starter", () => server.startServing());
    for (let i = 0; i < 2; i++) {
      await storage.run("client", () => askFor(port, "hello\n"));
    }
    server.close();
    await server.waitClosed();
  });
  assertEquals(seen, ["creator", true, "creator", true]);
});

Deno.test("startUnixServer() and openUnixConnection() take names of the abstract namespace", async () => {
  const name = `\0abstract-${Deno.pid}`;
  const isListening = () =>
    Deno.readTextFileSync("/proc/net/unix").includes(`@abstract-${Deno.pid}`);
  const server = await startUnixServer(echoLine, name);
  assert(isListening());
  const [reader, writer] = await openUnixConnection(name);
  assertEquals(writer.getExtraInfo("peername"), {
    transport: "unix",
    path: name,
  });
  assertStringIncludes(Deno.inspect(writer), `to @abstract-${Deno.pid}`);
  writer.write("hello\n");
  assertEquals(text(await reader.readline()), "hello\n");
  writer.close();
  const refused = await assertRejects(
    () => startUnixServer(echoLine, name),
    Deno.errors.AddrInUse,
  );
  assertStringIncludes((refused as Error).message, "@abstract");
  server.close();
  await server.waitClosed();
  assert(!isListening());
  await assertRejects(
    () => openUnixConnection(name),
    Deno.errors.ConnectionRefused,
    "@abstract",
  );
});

Deno.test("startUnixServer() and openUnixConnection() take a file URL", async () => {
  const directory = await Deno.makeTempDir({ prefix: "with space " });
  const url = new URL(`file://${directory}/socket`);
  await using _server = await startUnixServer(echoLine, url);
  assert(Deno.lstatSync(`${directory}/socket`).isSocket);
  const [reader, writer] = await openUnixConnection(url);
  writer.write("hello\n");
  assertEquals(text(await reader.readline()), "hello\n");
  writer.close();
  for (
    const call of [openUnixConnection, startUnixServer.bind(null, echoLine)]
  ) {
    await assertRejects(
      () => call(new URL("http://localhost/socket")),
      TypeError,
      "http://localhost/socket",
    );
  }
});

/** Collects garbage until a condition holds. */
async function collectUntil(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i++) {
    collectGarbage();
    await settle();
  }
}

Deno.test("Server closes connections that its callbacks have forgotten, with a report for each", async () => {
  const reports = await reportsOf(async (reports) => {
    await using server = await startServer(
      async (reader, writer) => {
        writer.write(await reader.readline());
      },
      "127.0.0.1",
      0,
    );
    const before = sockets();
    const conns: Deno.Conn[] = [];
    for (let i = 0; i < 10; i++) {
      const conn = await connect(server.port!);
      await writeAll(conn, "hello\n");
      await conn.read(new Uint8Array(100));
      conns.push(conn);
    }
    await collectUntil(() => reports.length === 10);
    for (const conn of conns) {
      assertEquals(await readAll(conn), "");
      conn.close();
    }
    assertEquals(await openedSince(before), 0);
    server.close();
    await server.waitClosed();
  });
  assertEquals(reports.length, 10);
  for (const { message, peername, exception } of reports) {
    const { hostname, port } = peername as Deno.NetAddr;
    assertEquals(
      message,
      `A connection to ${hostname}:${port} was never closed, and nothing refers to its reader or writer any more`,
    );
    assertEquals(exception, undefined);
  }
});

Deno.test("openConnection() makes connections that are closed when they are forgotten, and not before", async () => {
  const accepted: Deno.Conn[] = [];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const reports = await reportsOf(async (reports) => {
    const { port } = listener.addr as Deno.NetAddr;
    const open = async () => {
      const [streams, conn] = await Promise.all([
        openConnection("127.0.0.1", port),
        listener.accept(),
      ]);
      accepted.push(conn);
      return streams;
    };
    const reader = await open().then(([reader]) => reader);
    const writer = await open().then(([, writer]) => writer);
    const { transport } = await open().then(([, writer]) => writer);
    const { readable } = await open().then(([reader]) => reader);
    const line = await open().then(([reader]) => ({ wait: reader.readline() }));
    await open();
    await collectUntil(() => reports.length > 0);
    assertEquals(reports.length, 1);
    assertEquals(await readAll(accepted[5]), "");

    for (const conn of accepted.slice(0, 5)) await writeAll(conn, "here\n");
    assertEquals(text(await reader.readline()), "here\n");
    writer.write("still");
    writer.close();
    await writer.waitClosed();
    transport.abort();
    const web = readable.getReader();
    assertEquals(text((await web.read()).value!), "here\n");
    assertEquals(text(await line.wait), "here\n");
  });
  assertEquals(reports.length, 1);
  for (const conn of accepted) close(conn);
  listener.close();
});

Deno.test("Server closes a connection that was forgotten after a read that timed out", async () => {
  const reports = await reportsOf(async (reports) => {
    await using server = await startServer(
      async (reader) => {
        await timeout(0, () => reader.readline()).catch(() => {});
      },
      "127.0.0.1",
      0,
    );
    const conn = await connect(server.port!);
    await collectUntil(() => reports.length > 0);
    assertEquals(await readAll(conn), "");
    conn.close();
  });
  assertEquals(reports.length, 1);
});

Deno.test("Leaving the block of a server or a writer that is cancelled again is a cancellation, and closes everything", async () => {
  const before = sockets();
  const stuck = () => {
    const written = Promise.withResolvers<void>();
    const flood = (writer: StreamWriter) => {
      writer.write(new Uint8Array(20_000_000));
      written.resolve();
    };
    return { written: written.promise, flood };
  };
  const directory = await Deno.makeTempDir();
  let path = "";
  const held: StreamReader[] = []; // keeps the connections from being garbage-collected
  const serve = [
    (callback: (...streams: [StreamReader, StreamWriter]) => unknown) =>
      startServer(callback, "127.0.0.1", 0),
    (callback: (...streams: [StreamReader, StreamWriter]) => unknown) =>
      startUnixServer(callback, path = `${directory}/${crypto.randomUUID()}`),
  ];
  const blocks = serve.flatMap((start) => [
    // The block of a server whose client does not read.
    async (entered: () => void) => {
      const { written, flood } = stuck();
      let conn: Deno.Conn | undefined;
      try {
        await using server = await start((_reader, writer) => flood(writer));
        conn = await (server.port === null
          ? Deno.connect({ transport: "unix", path })
          : connect(server.port));
        await written;
        entered();
        await sleep(60);
      } finally {
        conn?.close();
      }
    },
    // The block of a writer whose server does not read.
    async (entered: () => void) => {
      const server = await start((reader) => held.push(reader));
      try {
        const [, writer] = await (server.port === null
          ? openUnixConnection(path)
          : openConnection("127.0.0.1", server.port));
        await using _ = writer;
        await sleep(0);
        stuck().flood(writer);
        entered();
        await sleep(60);
      } finally {
        server.close();
        server.abortClients();
      }
    },
  ]);
  for (const block of blocks) {
    for (const times of [1, 2, 3]) {
      const entered = Promise.withResolvers<void>();
      const task = createTask(() => block(entered.resolve));
      await entered.promise;
      for (let i = 0; i < times; i++) {
        await sleep(0);
        task.cancel(`cancelled ${i}`);
        await settle();
      }
      if (times === 1) task.cancel("in the end");
      await assertRejects(() => task, CancelledError);
      assert(task.cancelled());
    }
  }
  assertEquals(await openedSince(before), 0);
});
