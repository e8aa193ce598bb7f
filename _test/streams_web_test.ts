import { assert, assertEquals, assertRejects } from "@std/assert";
import { TextLineStream, toText } from "@std/streams";
import {
  openConnection,
  RuntimeError,
  sleep,
  startServer,
  StreamReader,
} from "@asyncio/asyncio";
import {
  bytes,
  connect,
  Peer,
  portOf,
  readAll,
  readerOf,
  text,
  writeAll,
} from "./_streams.ts";

Deno.test("StreamReader.readable goes through TextDecoderStream and TextLineStream", async () => {
  const reader = readerOf(["one\ntw", "o\nthrée"], { eof: true });
  const lines: string[] = [];
  const stream = reader.readable
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of stream) lines.push(line);
  assertEquals(lines, ["one", "two", "thrée"]);
});

Deno.test("StreamReader.readable is a body of a Response", async () => {
  const reader = readerOf(['{"a":', "1}"], { eof: true });
  assertEquals(await new Response(reader.readable).json(), { a: 1 });
});

Deno.test("StreamReader.readable is the same stream each time, and is read by bytes too", async () => {
  const reader = readerOf(["abcdef"], { eof: true });
  assert(reader.readable === reader.readable);
  const byob = reader.readable.getReader({ mode: "byob" });
  const first = await byob.read(new Uint8Array(4));
  assertEquals(text(first.value!), "abcd");
  const second = await byob.read(new Uint8Array(4));
  assertEquals(text(second.value!), "ef");
  assert((await byob.read(new Uint8Array(4))).done);
});

Deno.test("StreamReader.readable reads no byte before one is requested", async () => {
  const reader = readerOf(["line\nrest"], { eof: true });
  const { readable } = reader;
  assertEquals(text(await reader.readline()), "line\n");
  assertEquals(await toText(readable), "rest");
});

Deno.test("StreamReader.readable ends its wait when it is cancelled, and keeps the rest", async () => {
  const reader = new StreamReader();
  const stream = reader.readable.getReader();
  const waiting = stream.read();
  await sleep(0);
  await assertRejects(() => reader.read(1), RuntimeError, "another read");
  await stream.cancel();
  assert((await waiting).done);
  reader.feedData(bytes("rest"));
  assertEquals(text(await reader.read(10)), "rest");
});

Deno.test("StreamReader.readable returns chunks that can be transferred", async () => {
  const reader = readerOf(["one\ntwo\nthree\n"]);
  const stream = reader.readable.getReader();
  assertEquals(text(await reader.readline()), "one\n");
  const { value } = await stream.read();
  reader.feedData(bytes("four\n"));
  structuredClone(value, { transfer: [value!.buffer] });
  assertEquals(text(await reader.readline()), "four\n");
  await stream.cancel();
});

Deno.test("StreamReader throws when memory of later bytes was transferred", async () => {
  const reader = readerOf(["one\ntwo\n"]);
  const line = await reader.readline();
  structuredClone(line, { transfer: [line.buffer] });
  await assertRejects(() => reader.readline(), TypeError, "transfer a copy");
});

Deno.test("StreamReader returns large chunks that can be transferred", async () => {
  await using peer = new Peer(async (conn) => {
    for (let i = 0; i < 8; i++) {
      await writeAll(conn, new Uint8Array(100_000).fill(i));
    }
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  let count = 0;
  for (;;) {
    const chunk = await reader.read(65_536);
    if (chunk.length === 0) break;
    assertEquals(chunk[0], Math.floor(count / 100_000));
    count += chunk.length;
    const whole = !reader.atEof() && Deno.inspect(reader).includes(" 0 bytes");
    if (whole && chunk.length >= 4_096) {
      structuredClone(chunk, { transfer: [chunk.buffer] });
    }
  }
  assertEquals(count, 800_000);
  writer.close();
});

Deno.test("StreamReader.readable fails as the reader does", async () => {
  const reader = new StreamReader();
  const read = toText(reader.readable);
  reader.setException(new RangeError("set"));
  await assertRejects(() => read, RangeError, "set");
});

Deno.test("StreamWriter.writable accepts a pipe, and ends the output with it", async () => {
  await using peer = new Peer(async (conn) => {
    await writeAll(conn, `got ${await readAll(conn)}`);
  });
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  assert(writer.writable === writer.writable);
  await new Blob(["one ", "two"]).stream().pipeTo(writer.writable);
  assertEquals(await toText(reader.readable), "got one two");
  await writer.waitClosed();
});

Deno.test("StreamWriter.writable and StreamReader.readable make an echo of one line", async () => {
  await using server = await startServer(
    (reader, writer) => reader.readable.pipeTo(writer.writable),
    "127.0.0.1",
    0,
  );
  const conn = await connect(portOf(server));
  await writeAll(conn, "echo this");
  await conn.closeWrite();
  assertEquals(await readAll(conn), "echo this");
  conn.close();
});

Deno.test("StreamWriter.writable waits for a slow peer", async () => {
  const go = Promise.withResolvers<void>();
  const size = 16 * 2 ** 20;
  await using peer = new Peer(async (conn) => {
    await go.promise;
    assertEquals((await readAll(conn)).length, size);
  });
  const [, writer] = await openConnection("127.0.0.1", peer.port);
  const stream = writer.writable.getWriter();
  const written = stream.write(new Uint8Array(size));
  const state = () => Promise.race([written.then(() => "done"), "waiting"]);
  assertEquals(await state(), "waiting");
  go.resolve();
  await written;
  await stream.close();
  writer.close();
  await peer.done;
});

Deno.test("StreamWriter.writable aborts the connection when it is aborted", async () => {
  await using peer = new Peer(readAll);
  const [reader, writer] = await openConnection("127.0.0.1", peer.port);
  await writer.writable.abort(new RangeError("enough"));
  assert(writer.isClosing() && reader.atEof());
  await peer.done;
});
