import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  allTasks,
  createTask,
  currentTask,
  type ExceptionContext,
  gather,
  getRunningLoop,
  openConnection,
  run,
  type Server,
  sleep,
  startServer,
  type StreamReader,
  type StreamWriter,
} from "@asyncio/asyncio";
import {
  close,
  connect,
  portOf,
  readAll,
  ResettingPeer,
  settle,
  text,
  writeAll,
} from "./_streams.ts";

type Callback = (reader: StreamReader, writer: StreamWriter) => unknown;

/** Runs a body next to a server, and returns what the exception handler received. */
async function reported(
  callback: Callback,
  body: (server: Server) => Promise<void>,
): Promise<ExceptionContext[]> {
  const reports: ExceptionContext[] = [];
  await run(async () => {
    getRunningLoop().setExceptionHandler((_loop, context) =>
      reports.push(context)
    );
    await using server = await startServer(callback, "127.0.0.1", 0);
    await body(server);
  });
  return reports;
}

Deno.test("Server reports an error of a callback with the peer's address and closes that connection [test_streams.StreamTests.test_unhandled_exception] [test_streams.StreamTests.test_unhandled_exception_sync_callback]", async () => {
  const failure = new RangeError("of the callback");
  const callbacks: Callback[] = [
    async (reader) => {
      await reader.readline();
      throw failure;
    },
    () => {
      throw failure;
    },
  ];
  for (const callback of callbacks) {
    const peers: unknown[] = [];
    const reports = await reported(callback, async (server) => {
      const other = await connect(portOf(server));
      peers.push(other.localAddr);
      await writeAll(other, "hello\n");
      assertEquals(await readAll(other), "");
      other.close();
      assert(server.isServing());
    });
    assertEquals(reports.length, 1);
    const [{ message, exception, peername, task }] = reports;
    assertEquals(message, "Unhandled error in the callback of a connection");
    assertStrictEquals(exception, failure);
    assertEquals(peername, peers[0]);
    assert(task !== undefined);
  }
});

Deno.test("Server keeps its other connections when one fails", async () => {
  const callback: Callback = async (reader, writer) => {
    for await (const line of reader) {
      if (text(line) === "fail\n") throw new RangeError("asked to fail");
      writer.write(line);
    }
    writer.close();
  };
  const reports = await reported(callback, async (server) => {
    const good = await connect(portOf(server));
    const bad = await connect(portOf(server));
    await writeAll(good, "one\n");
    await writeAll(bad, "fail\n");
    assertEquals(await readAll(bad), "");
    bad.close();
    await writeAll(good, "two\n");
    await good.closeWrite();
    assertEquals(await readAll(good), "one\ntwo\n");
    good.close();
  });
  assertEquals(reports.map((it) => String(it.exception)), [
    "RangeError: asked to fail",
  ]);
});

Deno.test("Server closes the connection of a callback that is cancelled, and reports nothing [test_streams.StreamTests.test_unhandled_cancel]", async () => {
  const callback: Callback = async (reader) => {
    currentTask()!.cancel();
    await reader.readline();
  };
  const reports = await reported(callback, async (server) => {
    const conn = await connect(portOf(server));
    assertEquals(await readAll(conn), "");
    conn.close();
  });
  assertEquals(reports, []);
});

Deno.test("Server sends what was written before its callback failed", async () => {
  const callback: Callback = (_reader, writer) => {
    writer.write("last words");
    throw new RangeError("of the callback");
  };
  const reports = await reported(callback, async (server) => {
    const conn = await connect(portOf(server));
    assertEquals(await readAll(conn), "last words");
    conn.close();
  });
  assertEquals(reports.length, 1);
});

Deno.test("Server keeps a connection open that a callback has passed on", async () => {
  const kept: StreamWriter[] = [];
  const reports = await reported(async (reader, writer) => {
    await reader.readline();
    kept.push(writer);
  }, async (server) => {
    const conn = await connect(portOf(server));
    await writeAll(conn, "line\n");
    while (kept.length === 0) await settle();
    await settle();
    kept[0].write("answer");
    kept[0].close();
    assertEquals(await readAll(conn), "answer");
    conn.close();
  });
  assertEquals(reports, []);
});

Deno.test("Server runs each callback as a task of its loop", async () => {
  const tasks: unknown[] = [];
  const reports = await reported((_reader, writer) => {
    tasks.push(currentTask());
    assertStrictEquals(currentTask()?.getLoop(), getRunningLoop());
    assert(allTasks().has(currentTask()!));
    writer.close();
  }, async (server) => {
    for (let i = 0; i < 3; i++) {
      const conn = await connect(portOf(server));
      assertEquals(await readAll(conn), "");
      conn.close();
    }
  });
  assertEquals(reports, []);
  assertEquals(new Set(tasks).size, 3);
});

Deno.test("Server.closeClients() ends the connections that are open [test_server.TestServer2.test_close_clients]", async () => {
  const server = await startServer(
    async (reader, writer) => {
      writer.write("welcome\n");
      assertEquals((await reader.read()).length, 0);
      writer.write("dropped");
    },
    "127.0.0.1",
    0,
  );
  const [reader, writer] = await openConnection("127.0.0.1", portOf(server));
  assertEquals(text(await reader.readline()), "welcome\n");
  const waiting = createTask(() => server.waitClosed());
  server.close();
  await settle();
  assert(!waiting.done());
  server.closeClients();
  await waiting;
  assertEquals((await reader.read()).length, 0);
  writer.close();
});

Deno.test("Server.abortClients() ends connections even if a peer does not read [test_server.TestServer2.test_abort_clients]", async () => {
  const stuck = Promise.withResolvers<StreamWriter>();
  const server = await startServer(
    async (_reader, writer) => {
      writer.write(new Uint8Array(32 * 2 ** 20));
      stuck.resolve(writer);
      await writer.drain().catch(() => {});
    },
    "127.0.0.1",
    0,
  );
  const conn = await connect(portOf(server));
  const writer = await stuck.promise;
  await settle();
  assert(writer.transport.getWriteBufferSize() > 0);
  server.close();
  server.closeClients();
  const waiting = createTask(() => server.waitClosed());
  await settle();
  assert(!waiting.done());
  server.abortClients();
  await waiting;
  assert((await readAll(conn)).length < 32 * 2 ** 20);
  conn.close();
});

Deno.test("Server answers two thousand clients at once", async () => {
  await run(async () => {
    let most = 0;
    let present = 0;
    await using server = await startServer(
      async (reader, writer) => {
        most = Math.max(most, ++present);
        writer.write(await reader.readline());
        await reader.readline();
        present--;
        writer.close();
      },
      null,
      0,
      { backlog: 1000 },
    );
    const port = portOf(server);
    const ready = Promise.withResolvers<void>();
    let answered = 0;
    const client = (id: number) => async () => {
      const [reader, writer] = await openConnection("127.0.0.1", port);
      writer.write(`client ${id}\n`);
      assertEquals(text(await reader.readline()), `client ${id}\n`);
      if (++answered === 2000) ready.resolve();
      await ready.promise;
      writer.write("bye\n");
      assertEquals((await reader.read()).length, 0);
      writer.close();
      await writer.waitClosed();
    };
    await gather(Array.from({ length: 2000 }, (_, id) => client(id)));
    assertEquals(most, 2000);
  });
});

Deno.test("Server leaves nothing open when peers are killed at random times", async () => {
  let seed = 5;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const gone = Deno.errors;
  const reports = await reported(async (reader, writer) => {
    for await (const line of reader) {
      writer.write(line);
      writer.write(new Uint8Array(random(100_000)));
      await writer.drain();
    }
    writer.close();
  }, async (server) => {
    await Promise.all(Array.from({ length: 150 }, async (_, id) => {
      const conn = await connect(portOf(server));
      try {
        for (let i = random(5); i > 0; i--) {
          await writeAll(conn, "x".repeat(random(20)) + "\n");
          if (random(2) > 0) await conn.read(new Uint8Array(random(1000) + 1));
        }
        if (id % 3 === 0) await writeAll(conn, "half a li");
        if (id % 5 === 0) await conn.closeWrite();
      } finally {
        close(conn);
      }
    }));
    server.close();
    await server.waitClosed();
  });
  for (const { exception } of reports) {
    assert(
      exception instanceof gone.BrokenPipe ||
        exception instanceof gone.ConnectionReset,
      String(exception),
    );
  }
});

Deno.test("StreamReader rejects a waiting read on a reset", async () => {
  await using peer = await ResettingPeer.start("");
  const errors: string[] = [];
  for (let i = 0; i < 5; i++) {
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    const reading = createTask(async () => {
      const error = await assertRejects(() => reader.readline());
      errors.push((error as Error).name);
    });
    await sleep(0);
    writer.write("now");
    await reading;
    writer.close();
  }
  assertEquals(errors, Array(5).fill("ConnectionReset"));
});

Deno.test("Server accepts again after it ran out of files, and reports it", async () => {
  const file = new URL("streams/few_files_server.ts", import.meta.url);
  const { stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: [
      "-c",
      'ulimit -n 64 && exec "$0" run --allow-net --allow-read "$1"',
      Deno.execPath(),
      file.href,
    ],
  }).output();
  assertEquals([text(stdout), text(stderr)], ["reported\nserved\n", ""]);
});
