import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  type Cancellable,
  CancelledError,
  createTask,
  IncompleteReadError,
  openConnection,
  openUnixConnection,
  run,
  sleep,
  startServer,
  StreamReader,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import { makeCertificate } from "../docs/certificate.ts";
import {
  bytes,
  close,
  connect,
  openedSince,
  Peer,
  portOf,
  readAll,
  settle,
  sockets,
  text,
  writeAll,
} from "./_streams.ts";

/** A way to end a wait, and the error it rejects with. */
type EndWay = (wait: (options?: Cancellable) => Promise<unknown>) => Promise<
  void
>;

/** The three ways to end a wait from outside. */
const endWays: Record<string, EndWay> = {
  "a cancelled task": async (wait) => {
    const task = createTask(() => wait());
    await sleep(0);
    await sleep(0);
    task.cancel();
    await assertRejects(() => task, CancelledError);
  },
  "an aborted signal": async (wait) => {
    const controller = new AbortController();
    const waiting = wait({ signal: controller.signal });
    await sleep(0);
    const reason = new RangeError("enough");
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => waiting), reason);
  },
  "a timeout": async (wait) => {
    await assertRejects(() => waitFor(() => wait(), 0.001), TimeoutError);
  },
};

const reads: Record<
  string,
  (reader: StreamReader, options?: Cancellable) => Promise<Uint8Array>
> = {
  "read()": (reader, options) => reader.read(-1, options),
  "readline()": (reader, options) => reader.readline(options),
  "readexactly()": (reader, options) => reader.readexactly(12, options),
  "readuntil()": (reader, options) => reader.readuntil("\n", options),
};

for (const [how, end] of Object.entries(endWays)) {
  for (const [name, read] of Object.entries(reads)) {
    Deno.test(`StreamReader.${name} in the middle of a line loses nothing to ${how}`, async () => {
      const reader = new StreamReader();
      reader.feedData(bytes("half "));
      await end((options) => read(reader, options));
      reader.feedData(bytes("a line\n"));
      assertEquals(text(await reader.readline()), "half a line\n");
    });
  }

  Deno.test(`StreamReader.readline() on a socket loses nothing to ${how}`, async () => {
    await using peer = new Peer(async (conn) => {
      await writeAll(conn, "half ");
      await readAll(conn);
    });
    const conn = await connect(peer.port);
    const [reader, writer] = await openConnection({ conn });
    assertEquals(text(await reader.readexactly(2)), "ha");
    await end((options) => reader.readline(options));
    await end((options) => reader.readexactly(100, options));
    assertEquals(text(await reader.read(100)), "lf ");
    writer.close();
  });

  Deno.test(`StreamWriter.drain() leaves nothing behind after ${how}`, async () => {
    await using peer = new Peer(readAll);
    const [, writer] = await openConnection({
      conn: await connect(peer.port),
    });
    const size = 32 * 2 ** 20;
    writer.write(new Uint8Array(size));
    await end((options) => writer.drain(options));
    assert(writer.transport.getWriteBufferSize() > 0);
    await writer.drain();
    writer.close();
    await writer.waitClosed();
  });

  Deno.test(`StreamWriter.waitClosed() leaves the connection open after ${how}`, async () => {
    await using peer = new Peer((conn) => writeAll(conn, "data"));
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    await end((options) => writer.waitClosed(options));
    assertFalse(writer.isClosing());
    assertEquals(text(await reader.read()), "data");
    writer.close();
    await writer.waitClosed();
  });

  Deno.test(`StreamWriter.waitClosed() keeps the program alive while somebody waits, and not after ${how}`, async () => {
    const over = Promise.withResolvers<void>();
    await using peer = new Peer(() => over.promise);
    const conn = await connect(peer.port);
    const [, writer] = await openConnection({ conn });
    let alive = true;
    conn.ref = () => alive = true;
    conn.unref = () => alive = false;
    const other = createTask(() => writer.waitClosed());
    await end((options) => writer.waitClosed(options));
    await settle();
    const held = alive;
    other.cancel();
    await assertRejects(() => other, CancelledError);
    over.resolve();
    assertEquals([held, alive], [true, false]);
    writer.close();
  });

  Deno.test(`openConnection() leaves no connection after ${how}`, async () => {
    // A listener whose backlog is full accepts no more connections.
    const listener = Deno.listen({
      hostname: "127.0.0.1",
      port: 0,
      tcpBacklog: 1,
    });
    const port = portOf(listener);
    const queued = [await connect(port), await connect(port)];
    const before = sockets();
    await end((options) => openConnection("127.0.0.1", port, options));
    assertEquals(await openedSince(before), 0);
    queued.forEach(close);
    listener.close();
  });

  // Deno keeps a socket open during a handshake until its peer closes it.
  Deno.test(`openConnection() ends a TLS handshake after ${how}`, async () => {
    const before = sockets();
    {
      const over = Promise.withResolvers<void>();
      await using peer = new Peer(() => over.promise);
      await end((options) =>
        openConnection("127.0.0.1", peer.port, { tls: true, ...options })
      );
      over.resolve();
    }
    assertEquals(await openedSince(before), 0);
  });

  Deno.test(`StreamWriter.startTls() closes the connection behind ${how}`, async () => {
    const over = Promise.withResolvers<void>();
    await using peer = new Peer(() => over.promise);
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    await end((options) => writer.startTls(options));
    assert(writer.isClosing() && reader.atEof());
    await writer.waitClosed();
    over.resolve();
  });

  Deno.test(`Server.waitClosed() leaves the server as it is after ${how}`, async () => {
    const server = await startServer(() => {}, "127.0.0.1", 0);
    await end((options) => server.waitClosed(options));
    assert(server.isServing());
    server.close();
    await server.waitClosed();
  });
}

Deno.test("StreamReader keeps bytes that arrive together with a cancellation for the next read", async () => {
  for (const first of ["feed", "cancel"]) {
    const reader = new StreamReader();
    const read = createTask(() => reader.readline());
    await sleep(0);
    if (first === "cancel") read.cancel();
    reader.feedData(bytes("line\n"));
    if (first === "feed") read.cancel();
    const next = createTask(() => reader.readline());
    await assertRejects(() => read, CancelledError);
    assertEquals(text(await next), "line\n");
  }
});

Deno.test("StreamReader keeps bytes that arrive together with an abort for the next read", async () => {
  const reader = new StreamReader();
  const controller = new AbortController();
  const read = reader.readline({ signal: controller.signal });
  reader.feedData(bytes("line\n"));
  controller.abort(new RangeError("enough"));
  await assertRejects(() => read, RangeError);
  assertEquals(text(await reader.readline()), "line\n");
});

Deno.test("StreamReader can be read at once after a read was cancelled", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.read(10));
  await sleep(0);
  read.cancel();
  const next = createTask(() => reader.read(10));
  await sleep(0);
  reader.feedData(bytes("data"));
  assertEquals(text(await next), "data");
  await assertRejects(() => read, CancelledError);
});

Deno.test("StreamReader refuses a read whose signal has aborted, and consumes nothing", async () => {
  const reader = new StreamReader();
  reader.feedData(bytes("line\n"));
  const signal = AbortSignal.abort(new RangeError("before"));
  for (const read of Object.values(reads)) {
    await assertRejects(() => read(reader, { signal }), RangeError, "before");
  }
  assertEquals(text(await reader.readline()), "line\n");
});

Deno.test("StreamReader loses no line to timeouts that expire at random", async () => {
  await using peer = new Peer(async (conn) => {
    for (let i = 0; i < 100; i++) {
      const line = bytes(`line ${i}\n`);
      await conn.write(line.subarray(0, i % line.length));
      await new Promise((resolve) => setTimeout(resolve, i % 3));
      await conn.write(line.subarray(i % line.length));
    }
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  let lines = 0;
  let timeouts = 0;
  while (!reader.atEof()) {
    try {
      const line = text(await waitFor(() => reader.readline(), 0.001));
      if (line !== "") assertEquals(line, `line ${lines++}\n`);
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      timeouts++;
    }
  }
  assertEquals(lines, 100);
  assert(timeouts > 0);
  writer.close();
});

for (const left of [0, 1, 2]) {
  Deno.test(`StreamWriter.drain() and waitClosed() still resolve for the others when waiter ${left} of 3 is cancelled`, async () => {
    const go = Promise.withResolvers<void>();
    await using peer = new Peer(async (conn) => {
      await go.promise;
      await readAll(conn);
    });
    const [, writer] = await openConnection("127.0.0.1", peer.port);
    writer.write(new Uint8Array(32 * 2 ** 20));
    const drains = [0, 1, 2].map(() => createTask(() => writer.drain()));
    const ends = [0, 1, 2].map(() => createTask(() => writer.waitClosed()));
    await settle();
    for (const tasks of [drains, ends]) {
      tasks[left].cancel();
      await assertRejects(() => tasks.splice(left, 1)[0], CancelledError);
    }
    go.resolve();
    for (const drain of drains) await drain;
    writer.close();
    for (const end of ends) await end;
  });
}

Deno.test("StreamReader.readable leaves the rest to the reader when a signal aborts its pipe", async () => {
  const reader = new StreamReader();
  const controller = new AbortController();
  const begun = Promise.withResolvers<void>();
  let got = "";
  const pipe = reader.readable.pipeTo(
    new WritableStream({
      write: (chunk) => {
        got += text(chunk);
        begun.resolve();
      },
    }),
    { signal: controller.signal },
  );
  reader.feedData(bytes("one "));
  await begun.promise;
  await settle();
  controller.abort(new RangeError("enough"));
  await assertRejects(() => pipe, RangeError, "enough");
  reader.feedData(bytes("two\n"));
  assertEquals(got, "one ");
  assertEquals(text(await reader.readline()), "two\n");
});

/** Pseudo-random numbers from 0 to 1, the same for the same seed. */
function numbers(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
}

/** Reads in all ways, cancels each read after some turns, and returns what was read up to the end. */
async function nibble(
  reader: StreamReader,
  random: () => number,
  more: () => void,
): Promise<string> {
  const kinds: ((options: Cancellable) => Promise<Uint8Array>)[] = [
    (options) => reader.readline(options),
    (options) => reader.read(1 + Math.floor(20 * random()), options),
    (options) => reader.readexactly(1 + Math.floor(20 * random()), options),
    (options) => reader.readuntil([";", "\n"], options),
    async (options) => {
      options.signal?.throwIfAborted();
      for await (const line of reader) return line;
      return new Uint8Array();
    },
  ];
  let taken = "";
  while (!reader.atEof()) {
    const controller = new AbortController();
    const { signal } = controller;
    const read = kinds[Math.floor(kinds.length * random())];
    const task = createTask(() => read({ signal }));
    const turns = Math.floor(4 * random());
    for (let i = 0; i < turns; i++) await sleep(0);
    more();
    const fate = random();
    if (fate < 0.3) task.cancel();
    else if (fate < 0.5) controller.abort(new CancelledError());
    while (!task.done()) {
      await sleep(0);
      more();
    }
    const bytes = await task.catch((error) => {
      if (error instanceof IncompleteReadError) return error.partial;
      if (error instanceof CancelledError) return new Uint8Array();
      throw error;
    });
    taken += text(bytes);
  }
  return taken;
}

const input = Array.from(
  { length: 300 },
  (_, i) => `${i};${"x".repeat(i % 7)}\n`,
)
  .join("");

Deno.test("StreamReader loses no byte to reads of all kinds that are cancelled at random", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = numbers(seed);
    const reader = new StreamReader();
    let at = 0;
    const more = () => {
      const end = at + Math.floor(30 * random());
      if (at < input.length) reader.feedData(bytes(input.slice(at, end)));
      else reader.feedEof();
      at = end;
    };
    assertEquals(await nibble(reader, random, more), input, `seed ${seed}`);
  }
});

Deno.test("StreamReader on a socket loses no byte to reads of all kinds that are cancelled at random", async () => {
  for (let seed = 0; seed < 5; seed++) {
    const random = numbers(seed);
    await using peer = new Peer(async (conn) => {
      for (let at = 0; at < input.length;) {
        const end = at + 1 + Math.floor(30 * random());
        await writeAll(conn, input.slice(at, end));
        at = end;
      }
    });
    const [reader, writer] = await openConnection("127.0.0.1", peer.port);
    const taken = await nibble(reader, random, () => {});
    assertEquals(taken, input, `seed ${seed}`);
    writer.close();
  }
});

Deno.test("openConnection() closes a connection that is established together with a cancellation", async () => {
  const before = sockets();
  const path = `${await Deno.makeTempDir()}/socket`;
  const listener = Deno.listen({ transport: "unix", path });
  await run(async () => {
    for (let turns = 0; turns < 6; turns++) {
      const task = createTask(() => openUnixConnection(path));
      for (let i = 0; i < turns; i++) await sleep(0);
      task.cancel();
      await task.then(([, writer]) => writer.close(), () => {});
    }
  });
  const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await run(async () => {
    for (let turns = 0; turns < 6; turns++) {
      const task = createTask(() => openConnection("127.0.0.1", portOf(tcp)));
      for (let i = 0; i < turns; i++) await sleep(0);
      task.cancel();
      await task.then(([, writer]) => writer.close(), () => {});
    }
  });
  listener.close();
  tcp.close();
  assertEquals(await openedSince(before), 0);
});

Deno.test("startServer() with TLS is closed in the middle of a handshake", async () => {
  const tls = await makeCertificate();
  const server = await startServer(() => {}, "127.0.0.1", 0, { tls });
  const conn = await connect(portOf(server));
  await settle();
  server.close();
  await server.waitClosed();
  assertEquals(await readAll(conn), "");
  conn.close();
});
