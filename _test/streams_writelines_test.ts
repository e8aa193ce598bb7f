import { assert, assertEquals, assertFalse } from "@std/assert";
import {
  createTask,
  openConnection,
  sleep,
  type StreamWriter,
} from "@asyncio/asyncio";
import { bytes, Peer, readAll } from "./_streams.ts";

const MIB = 2 ** 20;

/** Connects a writer to a plain Deno connection that the test controls. */
async function pair(
  body: (writer: StreamWriter, other: Deno.TcpConn) => unknown,
): Promise<void> {
  const opened = Promise.withResolvers<Deno.TcpConn>();
  const over = Promise.withResolvers<void>();
  await using peer = new Peer((conn) => {
    opened.resolve(conn);
    return over.promise;
  });
  try {
    const [, writer] = await openConnection("127.0.0.1", peer.port);
    await body(writer, await opened.promise);
    writer.transport.abort();
  } finally {
    over.resolve();
  }
}

Deno.test("StreamWriter.writelines() accepts empty pieces, and the writer can be closed [test_events.EventLoopTestsMixin.test_writelines_empty_chunk]", async () => {
  for (const pieces of [["a", ""], ["", "a"], [""], []]) {
    await pair(async (writer, other) => {
      writer.writelines(pieces.map(bytes));
      writer.close();
      await writer.waitClosed();
      assertEquals(await readAll(other), pieces.join(""));
    });
  }
});

Deno.test("StreamWriter.writelines() above the high mark makes drain() wait [test_selector_events.SelectorSocketTransportTests.test_writelines_pauses_protocol]", async () => {
  await pair(async (writer, other) => {
    const half = new Uint8Array(8 * MIB);
    writer.writelines([half, half]);
    const drained = createTask(() => writer.drain());
    await sleep(0);
    await sleep(0);
    assertFalse(drained.done());
    const received = readAll(other);
    await drained;
    writer.close();
    assertEquals((await received).length, 16 * MIB);
  });
});

Deno.test("StreamWriter.close() after a drain() closes the connection once, and loses nothing that was written [test_selector_events.SelectorSocketTransportTests.test_write_ready_resume_writing_closes] [test_selector_events.SelectorSocketTransportTests.test_write_sendmsg_resume_writing_closes]", async () => {
  const mib = new Uint8Array(MIB);
  for (const pieces of [[new Uint8Array(8 * MIB)], Array(8).fill(mib)]) {
    await pair(async (writer, other) => {
      writer.writelines(pieces);
      const closer = createTask(async () => {
        await writer.drain();
        writer.close();
        writer.close();
        await writer.waitClosed();
      });
      await sleep(0);
      assertEquals((await readAll(other)).length, 8 * MIB);
      await closer;
      assert(writer.isClosing());
    });
  }
});
