// Callbacks of Deno belong to no task: cancelling the task that caused them does
// not affect them. And what code of another loop may do with a stream.

import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import {
  CancelledError,
  createTask,
  currentTask,
  ExceptionGroup,
  openConnection,
  Queue,
  run,
  RuntimeError,
  sleep,
  StreamReader,
  type StreamWriter,
  TaskGroup,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import {
  bytes,
  close,
  Peer,
  readAll,
  readLine,
  settle,
  text,
  writeAll,
} from "./_streams.ts";

const MIB = 2 ** 20;

/** Ways to end a wait of the running task that does not concern its streams. */
const endings: Record<string, () => Promise<unknown>> = {
  "a timeout": () =>
    assertRejects(() => timeout(0, () => new Queue().get()), TimeoutError),
  "a group that fails": () =>
    assertRejects(() =>
      TaskGroup.run(async (group) => {
        group.createTask(() => Promise.reject(new RangeError("child")));
        await new Queue().get();
      }), ExceptionGroup),
  "a cancellation": async () => {
    const task = currentTask()!;
    task.getLoop().callSoon(() => task.cancel());
    await assertRejects(() => new Queue().get(), CancelledError);
    task.uncancel();
  },
};

for (const [how, end] of Object.entries(endings)) {
  Deno.test(`StreamReader.readable continues after ${how} in the task that pipes it`, async () => {
    const go = Promise.withResolvers<void>();
    await using peer = new Peer(async (conn) => {
      await writeAll(conn, "one ");
      await go.promise;
      await writeAll(conn, "two");
    });
    await run(async () => {
      const [reader, writer] = await openConnection("127.0.0.1", peer.port);
      const begun = Promise.withResolvers<void>();
      let got = "";
      const pump = reader.readable.pipeTo(
        new WritableStream({
          write: (chunk) => {
            got += text(chunk);
            begun.resolve();
          },
        }),
      );
      await begun.promise;
      await end();
      go.resolve();
      await pump;
      assertEquals(got, "one two");
      writer.close();
    });
  });

  Deno.test(`StreamReader.readable of a reader without a source continues after ${how} in the task that reads it`, async () => {
    await run(async () => {
      const reader = new StreamReader();
      const stream = reader.readable.getReader();
      const chunk = stream.read();
      await sleep(0);
      await end();
      reader.feedData(bytes("data"));
      assertEquals(text((await chunk).value!), "data");
      await stream.cancel();
    });
  });

  Deno.test(`StreamWriter.writable continues after ${how} in the task that pipes to it`, async () => {
    const go = Promise.withResolvers<void>();
    await using peer = new Peer(async (conn) => {
      await go.promise;
      assertEquals((await readAll(conn)).length, 32 * MIB);
    });
    await run(async () => {
      const [, writer] = await openConnection("127.0.0.1", peer.port);
      const chunks = Array.from({ length: 32 }, () => new Uint8Array(MIB));
      const pump = ReadableStream.from(chunks).pipeTo(writer.writable);
      await settle();
      assert(writer.transport.getWriteBufferSize() > 0);
      await end();
      go.resolve();
      await pump;
      writer.close();
      await peer.done;
    });
  });

  Deno.test(`StreamWriter.writable ends the writing after ${how} in the task that closes it`, async () => {
    const go = Promise.withResolvers<void>();
    await using peer = new Peer(async (conn) => {
      await go.promise;
      assertEquals((await readAll(conn)).length, 16 * MIB);
    });
    await run(async () => {
      const [, writer] = await openConnection("127.0.0.1", peer.port);
      writer.write(new Uint8Array(16 * MIB));
      const closed = writer.writable.close();
      await sleep(0);
      await end();
      go.resolve();
      await closed;
      await peer.done;
      writer.close();
    });
  });

  Deno.test(`openConnection() over a connection of async functions continues after ${how}`, async () => {
    await run(async () => {
      const conn = new QueueConn();
      const [reader, writer] = await openConnection({ conn: conn.asConn() });
      await settle(); // the loop is idle: what follows starts in the step of the task
      const line = reader.readline();
      writer.write("out");
      await settle();
      await end();
      conn.room.putNowait(null);
      conn.input.putNowait("in\n");
      assertEquals(text(await line), "in\n");
      while (conn.output === "") await sleep(0);
      assertEquals(conn.output, "out");
      writer.close();
    });
  });
}

/** A connection whose reads and writes wait for queues of the module. */
class QueueConn {
  readonly input = new Queue<string>();
  readonly room = new Queue<null>();
  output = "";

  asConn(): Deno.Conn {
    return {
      localAddr: { transport: "unix", path: "here" },
      remoteAddr: { transport: "unix", path: "there" },
      read: async (buffer: Uint8Array) => {
        const data = bytes(await this.input.get());
        buffer.set(data);
        return data.length;
      },
      write: async (data: Uint8Array) => {
        await this.room.get();
        this.output += text(data);
        return data.length;
      },
      ref() {},
      unref() {},
      close() {},
    } as unknown as Deno.Conn;
  }
}

Deno.test("StreamReader.readable loses no byte whenever it is cancelled", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const reader = new StreamReader();
    const stream = reader.readable.getReader();
    let got = "";
    const read = stream.read().then(({ value }) => {
      if (value !== undefined) got = text(value);
    });
    await sleep(0);
    reader.feedData(bytes("data"));
    for (let i = 0; i < turns; i++) await Promise.resolve();
    if (turns > 8) await sleep(0);
    await stream.cancel();
    await read;
    reader.feedData(bytes(" and more"));
    reader.feedEof();
    assertEquals(got + text(await reader.read()), "data and more", `${turns}`);
  }
});

Deno.test("StreamReader.readable leaves another read alone when it is cancelled", async () => {
  const reader = new StreamReader();
  const line = createTask(() => reader.readline());
  await sleep(0);
  const stream = reader.readable.getReader();
  await assertRejects(() => stream.read(), RuntimeError, "another read waits");
  await stream.cancel().catch(() => {});
  reader.feedData(bytes("line\n"));
  assertEquals(text(await line), "line\n");
});

Deno.test("StreamReader.readable waits for the next bytes if a read consumes the first", async () => {
  const reader = new StreamReader();
  const stream = reader.readable.getReader();
  const chunk = stream.read();
  await sleep(0);
  reader.feedData(bytes("line\n"));
  assertEquals(text(await reader.readline()), "line\n");
  await sleep(0);
  reader.feedData(bytes("chunk"));
  assertEquals(text((await chunk).value!), "chunk");
  await stream.cancel();
});

/** Opens a connection on the loop of the test, and passes both ends to a body. */
async function opened(
  body: (
    reader: StreamReader,
    writer: StreamWriter,
    other: Deno.TcpConn,
  ) => Promise<void>,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const { port } = listener.addr;
  const [reader, writer] = await openConnection("127.0.0.1", port);
  const other = await accepted;
  await body(reader, writer, other);
  writer.transport.abort();
  close(other);
  listener.close();
}

const refusedReads: Record<string, (reader: StreamReader) => unknown> = {
  "read()": (reader) => reader.read(10),
  "read(-1)": (reader) => reader.read(),
  "readline()": (reader) => reader.readline(),
  "readexactly()": (reader) => reader.readexactly(3),
  "readuntil()": (reader) => reader.readuntil("\n"),
  "for await": async (reader) => {
    for await (const _ of reader);
  },
};

for (const [name, read] of Object.entries(refusedReads)) {
  Deno.test(`StreamReader refuses ${name} of another loop, and loses no line to it`, async () => {
    await opened(async (reader, _writer, other) => {
      await run(async () => {
        for (let i = 0; i < 2; i++) {
          await assertRejects(
            async () => await read(reader),
            RuntimeError,
            "belongs to another event loop",
          );
        }
      });
      const line = createTask(() => reader.readline());
      await sleep(0);
      await writeAll(other, "first\nsecond\n");
      assertEquals(text(await line), "first\n");
      assertEquals(text(await reader.readline()), "second\n");
    });
  });
}

Deno.test("StreamReader can be read again once the loop of a waiting read is closed", async () => {
  for (const read of Object.values(refusedReads)) {
    const reader = new StreamReader();
    await run(async () => {
      read(reader);
      await sleep(0);
      await assertRejects(() => reader.readline(), RuntimeError, "another");
    });
    const line = createTask(() => reader.readline());
    await sleep(0);
    reader.feedData(bytes("first\nsecond\n"));
    assertEquals(text(await line), "first\n");
    assertEquals(text(await reader.readline()), "second\n");
  }
});

Deno.test("StreamReader returns buffered bytes to another loop", async () => {
  await opened(async (reader, _writer, other) => {
    await writeAll(other, "first\nsecond\n");
    assertEquals(text(await reader.readline()), "first\n");
    await run(async () => {
      assertEquals(text(await reader.readline()), "second\n");
    });
  });
});

Deno.test("StreamReader loses no line to a callback of another loop", async () => {
  await opened(async (reader, _writer, other) => {
    const refused = Promise.withResolvers<unknown>();
    await run(async () => {
      const loop = currentTask()!.getLoop();
      loop.callSoon(() => reader.readline().catch(refused.resolve));
      assert(await refused.promise instanceof RuntimeError);
    });
    await writeAll(other, "first\n");
    assertEquals(text(await reader.readline()), "first\n");
  });
});

Deno.test("StreamReader.readable serves another loop", async () => {
  await opened(async (reader, _writer, other) => {
    await run(async () => {
      const stream = reader.readable.getReader();
      const chunk = stream.read();
      await sleep(0);
      await writeAll(other, "data");
      assertEquals(text((await chunk).value!), "data");
      await stream.cancel();
    });
  });
});

Deno.test("StreamWriter refuses waits of another loop, and keeps working", async () => {
  await opened(async (_reader, writer, other) => {
    writer.write(new Uint8Array(16 * MIB));
    await run(async () => {
      const refused = "belongs to another event loop";
      await assertRejects(() => writer.drain(), RuntimeError, refused);
      await assertRejects(() => writer.waitClosed(), RuntimeError, refused);
      await assertRejects(() => writer.startTls(), RuntimeError, refused);
    });
    assertFalse(writer.isClosing());
    const drained = writer.drain();
    writer.writeEof();
    assertEquals((await readAll(other)).length, 16 * MIB);
    await drained;
    await other.write(bytes("still there\n"));
    writer.close();
    await writer.waitClosed();
  });
});

Deno.test("StreamWriter writes for another loop that need not wait", async () => {
  await opened(async (_reader, writer, other) => {
    await run(async () => {
      writer.write("line\n");
      await writer.drain();
    });
    assertEquals(await readLine(other), "line\n");
  });
});

Deno.test("StreamReader.readline() that lost a Promise.race() still waits for its line", async () => {
  const reader = new StreamReader();
  const line = reader.readline();
  assertEquals(
    await Promise.race([line, sleep(0, { result: "late" })]),
    "late",
  );
  await assertRejects(() => reader.readline(), RuntimeError, "Promise.race");
  reader.feedData(bytes("first\nsecond\n"));
  assertEquals(text(await line), "first\n");
  assertEquals(text(await reader.readline()), "second\n");
});

Deno.test("StreamReader.readline() under a timeout that expires leaves the line to the next read", async () => {
  const reader = new StreamReader();
  reader.feedData(bytes("half a "));
  await run(async () => {
    for (let i = 0; i < 3; i++) {
      const line = () => timeout(0, () => reader.readline());
      await assertRejects(line, TimeoutError);
    }
  });
  reader.feedData(bytes("line\nnext\n"));
  assertEquals(text(await reader.readline()), "half a line\n");
  assertEquals(text(await reader.readline()), "next\n");
});

Deno.test("StreamReader loses no line when an iteration ends with an error, a return or a cancellation", async () => {
  const reader = new StreamReader();
  const lines: string[] = [];
  const take = async (leave: () => void) => {
    for await (const line of reader) {
      lines.push(text(line));
      leave();
      return;
    }
  };
  reader.feedData(bytes("one\ntwo\nthr"));
  await take(() => {});
  await assertRejects(() =>
    take(() => {
      throw new RangeError("left");
    }), RangeError);
  const cancelled = createTask(() => take(() => {}));
  await sleep(0);
  cancelled.cancel();
  reader.feedData(bytes("ee\nfour\n"));
  await assertRejects(() => cancelled, CancelledError);
  await take(() => {});
  await take(() => {});
  assertEquals(lines, ["one\n", "two\n", "three\n", "four\n"]);
});
