import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  createSubprocessExec,
  createSubprocessShell,
  createTask,
  getRunningLoop,
  openConnection,
  PIPE,
  run,
  RuntimeError,
  sleep,
  type StreamReader,
  StreamWriter,
  WriteTransport,
} from "@asyncio/asyncio";
import {
  bytes,
  connect,
  Peer,
  readAll,
  readLine,
  ResettingPeer,
  settle,
  text,
  writeAll,
} from "./_streams.ts";
import { shellTest } from "./_shell.ts";

const MIB = 2 ** 20;

/** Connects streams of the module to a plain Deno connection that the test controls. */
async function pair(
  body: (
    reader: StreamReader,
    writer: StreamWriter,
    other: Deno.TcpConn,
  ) => unknown,
): Promise<void> {
  const opened = Promise.withResolvers<Deno.TcpConn>();
  const over = Promise.withResolvers<void>();
  await using peer = new Peer((conn) => {
    opened.resolve(conn);
    return over.promise;
  });
  try {
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    await body(reader, writer, await opened.promise);
    writer.transport.abort();
  } finally {
    over.resolve();
  }
}

/** A connection that counts the writes of Deno. */
class Counting {
  readonly sizes: number[] = [];
  readonly #conn: Deno.TcpConn;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** The connection to create streams over. */
  asConn(): Deno.Conn {
    return new Proxy(this.#conn, {
      get: (conn, name) => {
        const value = Reflect.get(conn, name, conn);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (name === "write") this.sizes.push((args[0] as Uint8Array).length);
          return value.apply(conn, args);
        };
      },
    });
  }
}

async function counted(
  body: (writer: StreamWriter, sizes: number[]) => unknown,
): Promise<void> {
  await using peer = new Peer(readAll);
  const counting = new Counting(await connect(peer.port));
  const [, writer] = await openConnection({ conn: counting.asConn() });
  await body(writer, counting.sizes);
  writer.close();
  await writer.waitClosed();
}

Deno.test("StreamWriter.write() calls of one step leave together", async () => {
  await counted(async (writer, sizes) => {
    writer.writelines(["a", bytes("bc"), "d"]);
    writer.write("ä");
    assertEquals(writer.transport.getWriteBufferSize(), 6);
    await sleep(0);
    assertEquals(sizes, [6]);
  });
});

Deno.test("StreamWriter.write() calls leave together across awaits that do not wait", async () => {
  await run(() =>
    counted(async (writer, sizes) => {
      const lines = createTask(async () => {
        for (let i = 0; i < 100; i++) {
          writer.write("line\n");
          await writer.drain();
        }
      });
      await lines;
      await sleep(0);
      assertEquals(sizes, [500]);
    })
  );
});

Deno.test("StreamWriter.write() copies: the caller may use its memory again", async () => {
  await pair(async (_reader, writer, other) => {
    const memory = bytes("one\n");
    writer.write(memory);
    memory.fill(0);
    writer.write(memory.subarray(0, 0));
    assertEquals(await readLine(other), "one\n");
  });
});

Deno.test("StreamWriter.write() refuses what is neither bytes nor text", async () => {
  await pair((_reader, writer) => {
    for (const data of [12, null, [1, 2], {}]) {
      const wrong = data as unknown as string;
      assertThrows(() => writer.write(wrong), TypeError, "Cannot write");
    }
  });
});

Deno.test("StreamWriter.waitClosed() resolves after close(), which shows at once [test_streams.StreamTests.test_wait_closed_on_close]", async () => {
  await pair(async (reader, writer, other) => {
    await writeAll(other, "hello\n");
    assertEquals(text(await reader.readline()), "hello\n");
    assertFalse(writer.isClosing());
    writer.close();
    assert(writer.isClosing());
    await writer.waitClosed();
    await writer.waitClosed();
    assert(writer.isClosing());
  });
});

Deno.test("StreamWriter.waitClosed() resolves although bytes were not read [test_streams.StreamTests.test_wait_closed_on_close_with_unread_data]", async () => {
  await pair(async (reader, writer, other) => {
    await writeAll(other, "one\ntwo\n");
    assertEquals(text(await reader.readline()), "one\n");
    writer.close();
    await writer.waitClosed();
    assertEquals(text(await reader.readline()), "two\n");
    assert(reader.atEof());
  });
});

Deno.test("StreamWriter.close() and waitClosed() report nothing to the exception handler [test_streams.StreamTests.test_async_writer_api]", async () => {
  const reports: unknown[] = [];
  await run(async () => {
    getRunningLoop().setExceptionHandler((_loop, { message }) =>
      reports.push(message)
    );
    await pair(async (reader, writer, other) => {
      await writeAll(other, "hello\n");
      assertEquals(text(await reader.readline()), "hello\n");
      writer.close();
      await writer.waitClosed();
    });
  });
  assertEquals(reports, []);
});

Deno.test("StreamWriter refuses to write after close(), and drain() throws [test_streams.StreamTests.test_async_writer_api_exception_after_close]", async () => {
  await pair(async (_reader, writer) => {
    writer.close();
    assertThrows(() => writer.write("data"), RuntimeError, "closed");
    await assertRejects(() => writer.drain(), Deno.errors.ConnectionReset);
  });
});

Deno.test("StreamWriter.close() puts the reader at its end [test_streams.StreamTests.test_eof_feed_when_closing_writer]", async () => {
  await pair(async (reader, writer) => {
    writer.close();
    await writer.waitClosed();
    assert(reader.atEof());
    assertEquals((await reader.read()).length, 0);
  });
});

Deno.test("StreamWriter.close() ends a read that waits", async () => {
  await pair(async (reader, writer) => {
    const read = createTask(() => reader.readline());
    await sleep(0);
    writer.close();
    assertEquals((await read).length, 0);
  });
});

Deno.test("StreamWriter.close() sends what is unsent first, even to a slow peer [test_selector_events.SelectorSocketTransportTests.test_write_buffer_after_close]", async () => {
  await pair(async (_reader, writer, other) => {
    const data = new Uint8Array(8 * MIB).fill(97);
    writer.write(data);
    writer.close();
    writer.close();
    const closed = createTask(() => writer.waitClosed());
    await sleep(0);
    assertFalse(closed.done());
    assertEquals((await readAll(other)).length, data.length);
    await closed;
  });
});

Deno.test("StreamWriter.drain() while it closes yields to the loop and waits for room", async () => {
  await pair(async (_reader, writer, other) => {
    writer.write(new Uint8Array(8 * MIB));
    writer.close();
    const drained = createTask(() => writer.drain());
    await sleep(0);
    await sleep(0);
    assertFalse(drained.done());
    await readAll(other);
    await drained;
  });
});

Deno.test("WriteTransport.abort() drops what is unsent and ends a drain that waits", async () => {
  await pair(async (reader, writer, other) => {
    const size = 64 * MIB;
    writer.write(new Uint8Array(size));
    const drained = createTask(() => writer.drain());
    await sleep(0);
    assertFalse(drained.done());
    writer.transport.abort();
    await assertRejects(() => drained, Deno.errors.ConnectionReset);
    assertEquals(writer.transport.getWriteBufferSize(), 0);
    await writer.waitClosed();
    assert(reader.atEof());
    assert((await readAll(other)).length < size);
  });
});

Deno.test("StreamWriter.drain() resumes ten tasks once there is room [test_streams.StreamTests.test_multiple_drain]", async () => {
  await pair(async (_reader, writer, other) => {
    writer.write(new Uint8Array(16 * MIB));
    let resumed = 0;
    const tasks = Array.from({ length: 10 }, () =>
      createTask(async () => {
        await writer.drain();
        resumed++;
      }));
    await sleep(0);
    await sleep(0);
    assertEquals(resumed, 0);
    const received = readAll(other);
    for (const task of tasks) await task;
    assertEquals(resumed, 10);
    writer.close();
    assertEquals((await received).length, 16 * MIB);
  });
});

Deno.test("StreamWriter.drain() throws sooner or later when the peer has closed [test_streams.StreamTests.test_drain_raises]", async () => {
  await pair(async (_reader, writer, other) => {
    other.close();
    const error = await assertRejects(async () => {
      for (;;) {
        writer.write("foo\n");
        await writer.drain();
      }
    });
    assert(
      error instanceof Deno.errors.BrokenPipe ||
        error instanceof Deno.errors.ConnectionReset,
    );
    writer.write("dropped");
  });
});

Deno.test("StreamWriter drops what is written after the peer has gone [test_selector_events.SelectorSocketTransportTests.test_writelines_after_connection_lost]", async () => {
  await using peer = await ResettingPeer.start("");
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  writer.write("now");
  await assertRejects(() => reader.read(), Deno.errors.ConnectionReset);
  writer.write("dropped");
  writer.writelines(["dropped", "too"]);
  writer.writeEof();
  assertEquals(writer.transport.getWriteBufferSize(), 0);
  await assertRejects(() => writer.drain(), Deno.errors.ConnectionReset);
  writer.close();
  assertThrows(() => writer.write("late"), RuntimeError, "closed");
  await assertRejects(() => writer.waitClosed(), Deno.errors.ConnectionReset);
});

shellTest(
  "StreamWriter drops what is written to a child that has closed its stdin, and drain() throws",
  async () => {
    const script = "exec 0<&-; echo closed; exec sleep 1000";
    await using process = await createSubprocessShell(script, {
      stdin: PIPE,
      stdout: PIPE,
    });
    const { stdin, stdout } = process as
      & { stdin: StreamWriter }
      & typeof process;
    assertEquals(text(await stdout!.readline()), "closed\n");
    const drained = async () => {
      for (;;) {
        stdin.write("lost");
        await stdin.drain();
        await sleep(0);
      }
    };
    await assertRejects(drained, Deno.errors.BrokenPipe);
    for (let i = 0; i < 2; i++) {
      stdin.write("dropped");
      stdin.writelines(["dropped", "too"]);
      assertEquals(stdin.transport.getWriteBufferSize(), 0);
      await assertRejects(() => stdin.drain(), Deno.errors.BrokenPipe);
    }
    stdin.writeEof();
    stdin.write("dropped");
    stdin.close();
    assertThrows(() => stdin.write("late"), RuntimeError, "closed");
  },
);

shellTest(
  "StreamWriter.write() never throws, whenever a child exits",
  async () => {
    for (let turns = 0; turns < 10; turns++) {
      const process = await createSubprocessExec("true", [], { stdin: PIPE });
      const stdin = process.stdin!;
      const data = new Uint8Array(100_000);
      stdin.write(data);
      const drained = createTask(() => stdin.drain());
      for (let i = 0; i < turns; i++) await settle();
      stdin.write(data);
      await process.wait();
      stdin.write(data);
      for (const drain of [() => drained, () => stdin.drain()]) {
        const error = await assertRejects(drain);
        assert(
          error instanceof Deno.errors.BrokenPipe ||
            error instanceof Deno.errors.ConnectionReset,
        );
      }
      stdin.write(data);
    }
  },
);

shellTest(
  "StreamWriter.getExtraInfo() of a child says why it has no pipe",
  async () => {
    const process = await createSubprocessExec("true", [], { stdin: PIPE });
    const stdin = process.stdin!;
    assertStrictEquals(stdin.getExtraInfo("subprocess"), process);
    assertThrows(
      () => stdin.getExtraInfo("pipe"),
      Deno.errors.NotSupported,
      'Cannot get "pipe": Deno does not expose',
    );
    assertEquals(stdin.getExtraInfo("peercert"), null);
    assertEquals(stdin.getExtraInfo("anything", 1), 1);
    await process.wait();
  },
);

Deno.test("StreamWriter throws an error of the connection from waitClosed() once", async () => {
  await using peer = await ResettingPeer.start("");
  const [, writer] = await openConnection("127.0.0.1", peer.port);
  writer.write("now");
  await assertRejects(() => writer.waitClosed(), Deno.errors.ConnectionReset);
  await writer.waitClosed();
});

Deno.test("StreamWriter closes at the end of its block", async () => {
  await using peer = new Peer(async (conn) => {
    assertEquals(await readAll(conn), "all");
  });
  {
    const [, writer] = await openConnection("127.0.0.1", peer.port);
    await using _closing = writer;
    writer.write("all");
  }
  await peer.done;
});

Deno.test("StreamWriter throws at the end of its block only an error that the program has not seen", async () => {
  await using peer = await ResettingPeer.start("");
  await assertRejects(async () => {
    const [, writer] = await openConnection("127.0.0.1", peer.port);
    await using _closing = writer;
    writer.write("now");
    while (!writer.isClosing()) await writer.waitClosed().catch(() => {});
    throw new RangeError("of the body");
  }, RangeError);

  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  {
    await using _closing = writer;
    writer.write("now");
    await assertRejects(() => reader.read(), Deno.errors.ConnectionReset);
  }
});

Deno.test("WriteTransport.setWriteBufferLimits() sets when drain() waits and resumes", async () => {
  await pair(async (_reader, writer) => {
    const { transport } = writer;
    assertEquals(transport.getWriteBufferLimits(), [16_384, 65_536]);
    transport.setWriteBufferLimits({ high: 100 });
    assertEquals(transport.getWriteBufferLimits(), [25, 100]);
    transport.setWriteBufferLimits({ low: 100 });
    assertEquals(transport.getWriteBufferLimits(), [100, 400]);
    transport.setWriteBufferLimits();
    assertEquals(transport.getWriteBufferLimits(), [16_384, 65_536]);
    for (const limits of [{ high: 1, low: 2 }, { high: -1, low: -1 }]) {
      assertThrows(() => transport.setWriteBufferLimits(limits), RangeError);
    }
    transport.setWriteBufferLimits({ high: 0 });
    writer.write("x");
    const drained = createTask(() => writer.drain());
    await sleep(0);
    assertEquals(transport.getWriteBufferSize() > 0, !drained.done());
    await drained;
    assertEquals(transport.getWriteBufferSize(), 0);
  });
});

Deno.test("WriteTransport.setWriteBufferLimits() resumes drains that the new marks have room for", async () => {
  await pair(async (_reader, writer) => {
    writer.write(new Uint8Array(64 * MIB));
    const drained = createTask(() => writer.drain());
    await sleep(0);
    assertFalse(drained.done());
    writer.transport.setWriteBufferLimits({ high: 128 * MIB, low: 128 * MIB });
    await drained;
    assert(writer.transport.getWriteBufferSize() > 0);
  });
});

Deno.test("StreamWriter.getExtraInfo() returns the addresses and the socket", async () => {
  await pair((_reader, writer, other) => {
    assertEquals(writer.getExtraInfo("peername"), other.localAddr);
    assertEquals(writer.getExtraInfo("sockname"), other.remoteAddr);
    const socket = writer.getExtraInfo("socket");
    assertEquals(socket.remoteAddr, other.localAddr);
    assert("setKeepAlive" in socket);
    socket.setKeepAlive(true);
    for (const name of ["peercert", "cipher", "compression", "sslcontext"]) {
      assertEquals(writer.getExtraInfo(name), null);
      assertEquals(writer.getExtraInfo(name, 1), 1);
    }
    assertEquals(writer.getExtraInfo("sslObject"), null);
    assertEquals(writer.getExtraInfo("anything"), null);
    assertEquals(writer.getExtraInfo("anything", 1), 1);
    assertEquals(writer.transport.getExtraInfo("peername"), other.localAddr);
    assertEquals(writer.transport.getExtraInfo("anything", 2), 2);
  });
});

Deno.test("WriteTransport does what its writer does", async () => {
  await pair(async (_reader, writer, other) => {
    const { transport } = writer;
    assertStrictEquals(writer.transport, transport);
    assert(transport.canWriteEof());
    writer.write("all");
    transport.writeEof();
    assertEquals(await readAll(other), "all");
    assertFalse(transport.isClosing());
    transport.close();
    assert(transport.isClosing() && writer.isClosing());
    await writer.waitClosed();
  });
});

Deno.test("StreamWriter and WriteTransport are not made by programs", () => {
  assertThrows(
    () => Reflect.construct(StreamWriter, [{}]),
    TypeError,
    "processes",
  );
  assertThrows(() => Reflect.construct(WriteTransport, [{}]), TypeError);
});

Deno.test("StreamWriter shows itself in a line", async () => {
  await pair((reader, writer, other) => {
    const { hostname, port } = other.localAddr as Deno.NetAddr;
    const to = `${hostname}:${port}`;
    assert(writer instanceof StreamWriter);
    writer.write("data");
    assertEquals(
      Deno.inspect(writer),
      `<StreamWriter 4 bytes unsent to ${to}>`,
    );
    assertEquals(Deno.inspect(reader), `<StreamReader 0 bytes from ${to}>`);
    writer.transport.abort();
    assertEquals(
      Deno.inspect(writer),
      `<StreamWriter 0 bytes unsent to ${to}, closed>`,
    );
  });
});
