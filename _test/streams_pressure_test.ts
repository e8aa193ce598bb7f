import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import {
  createSubprocessExec,
  createTask,
  openConnection,
  PIPE,
  sleep,
  startServer,
  type StreamReader,
} from "@asyncio/asyncio";
import {
  connect,
  Peer,
  portOf,
  readAll,
  settle,
  text,
  writeAll,
} from "./_streams.ts";

const MIB = 2 ** 20;
const FLOOD = 32 * MIB;

/** The number of bytes that a reader has buffered. */
function held(reader: StreamReader): number {
  return Number(/(\d+) bytes/.exec(Deno.inspect(reader))![1]);
}

for (const limit of [1, 100, 65_536]) {
  Deno.test(`StreamReader with a limit of ${limit} holds twice as much of a flood at most`, async () => {
    await using peer = new Peer(async (conn) => {
      await writeAll(conn, new Uint8Array(FLOOD));
    });
    const conn = await connect(peer.port);
    const [reader, writer] = await openConnection({ conn, limit });
    const closed = createTask(() => writer.waitClosed());
    while (held(reader) < 2 * limit) await sleep(0);
    await settle();
    assertEquals(held(reader), 2 * limit);

    assertEquals((await reader.readexactly(limit)).length, limit);
    await settle();
    assertLessOrEqual(held(reader), 2 * limit);
    assertEquals((await reader.read()).length, FLOOD - limit);
    writer.close();
    await closed;
  });
}

Deno.test("StreamReader buffers at most twice its limit while nobody reads", async () => {
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, new Uint8Array(FLOOD)).catch(() => {});
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  assertEquals((await reader.read(10)).length, 10);
  await settle();
  assertLessOrEqual(held(reader), 2 * 65_536);
  writer.close();
});

Deno.test("StreamReader with a limit of 1 reads all, exactly and by lines beyond it", async () => {
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, "a\nb\n");
    await writeAll(conn, new Uint8Array(MIB).fill(120));
  });
  const conn = await connect(peer.port);
  const [reader, writer] = await openConnection({ conn, limit: 1 });
  assertEquals(text(await reader.readline()), "a\n");
  assertEquals(text(await reader.readline()), "b\n");
  assertEquals((await reader.readexactly(1000)).length, 1000);
  assertEquals((await reader.read()).length, MIB - 1000);
  writer.close();
});

Deno.test("StreamReader with a limit of 1 reads all of a child's output [test_streams.StreamTests.test_read_all_from_pipe_reader]", async () => {
  const program = 'for (let i = 0; i < 20_000; i++) console.log("line", i)';
  const child = await createSubprocessExec(Deno.execPath(), ["eval", program], {
    stdout: PIPE,
    limit: 1,
  });
  const output = text(await child.stdout!.read());
  assertEquals(output.split("\n").length, 20_001);
  assertEquals(await child.wait(), 0);
});

Deno.test("StreamWriter holds the high-water mark and one write at most for a peer that never reads", async () => {
  const over = Promise.withResolvers<void>();
  await using peer = new Peer(() => over.promise);
  const [, writer] = await openConnection("127.0.0.1", peer.port);
  const piece = new Uint8Array(10_000);
  let written = 0;
  let most = 0;
  const flood = createTask(async () => {
    for (;;) {
      writer.write(piece);
      written += piece.length;
      most = Math.max(most, writer.transport.getWriteBufferSize());
      await writer.drain();
    }
  });
  let before = -1;
  while (before !== written) {
    before = written;
    await settle();
  }
  assert(written > 0);
  assertLessOrEqual(most, 65_536 + piece.length);
  flood.cancel();
  writer.transport.abort();
  over.resolve();
});

Deno.test("StreamWriter and StreamReader hold each other back along a chain", async () => {
  await using server = await startServer(
    async (reader, writer) => {
      for (;;) {
        const chunk = await reader.read(65_536);
        if (chunk.length === 0) break;
        writer.write(chunk);
        await writer.drain();
      }
      writer.close();
    },
    "127.0.0.1",
    0,
  );
  const conn = await connect(portOf(server));
  const echoed = readAll(conn);
  await writeAll(conn, new Uint8Array(FLOOD).fill(97));
  await conn.closeWrite();
  assertEquals((await echoed).length, FLOOD);
  conn.close();
});
