import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  getEventLoop,
  IncompleteReadError,
  RuntimeError,
  sleep,
  StreamReader,
} from "@asyncio/asyncio";
import { bytes, readerOf, text } from "./_streams.ts";
import { inspect } from "./_inspect.ts";

Deno.test("StreamReader refuses a limit of 0 or less [test_streams.StreamTests.test_invalid_limit]", () => {
  for (const limit of [0, -1, NaN]) {
    assertThrows(() => new StreamReader({ limit }), RangeError, `got ${limit}`);
  }
});

Deno.test("StreamReader.feedData() without bytes leaves a read blocked [test_streams.StreamTests.test_feed_empty_data]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.read(10));
  await sleep(0);
  reader.feedData(bytes(""));
  await sleep(0);
  assertFalse(read.done());
  reader.feedData(bytes("a"));
  assertEquals(text(await read), "a");
});

Deno.test("StreamReader.feedData() buffers what it is given [test_streams.StreamTests.test_feed_nonempty_data]", async () => {
  assertEquals(text(await readerOf(["abc", "def"]).read(10)), "abcdef");
});

Deno.test("StreamReader.feedData() copies: the caller may use its memory again", async () => {
  const reader = new StreamReader();
  const memory = bytes("one");
  reader.feedData(memory);
  memory.fill(0);
  reader.feedData(memory);
  assertEquals(text(await reader.read(10)), "one\0\0\0");
});

Deno.test("StreamReader returns memory that later bytes do not overwrite", async () => {
  const reader = new StreamReader();
  const lines: Uint8Array[] = [];
  for (let i = 0; i < 1000; i++) {
    reader.feedData(bytes(`line ${i}\n`));
    if (i % 3 > 0) lines.push(await reader.readline());
  }
  reader.feedEof();
  for await (const line of reader) lines.push(line);
  assertEquals(
    lines.map(text),
    Array.from({ length: 1000 }, (_, i) => `line ${i}\n`),
  );
});

Deno.test("StreamReader.feedData() after the end throws RuntimeError", () => {
  const reader = readerOf(["a"], { eof: true });
  assertThrows(() => reader.feedData(bytes("b")), RuntimeError, "its end");
});

Deno.test("StreamReader.feedData() refuses other values than bytes", () => {
  const reader = new StreamReader();
  const data = 12 as unknown as Uint8Array;
  assertThrows(() => reader.feedData(data), TypeError, "got 12");
});

Deno.test("StreamReader.read(0) returns nothing at once and keeps the buffer [test_streams.StreamTests.test_read_zero]", async () => {
  const reader = readerOf(["data"]);
  assertEquals((await reader.read(0)).length, 0);
  assertEquals((await new StreamReader().read(0)).length, 0);
  assertEquals(text(await reader.read(10)), "data");
});

Deno.test("StreamReader.read() waits for the first bytes and returns what there is [test_streams.StreamTests.test_read]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.read(30));
  await sleep(0);
  assertFalse(read.done());
  reader.feedData(bytes("some bytes"));
  assertEquals(text(await read), "some bytes");
});

Deno.test("StreamReader.read() crosses the borders of chunks and keeps the rest [test_streams.StreamTests.test_read_line_breaks]", async () => {
  const reader = readerOf(["line1", "line2"]);
  assertEquals(text(await reader.read(7)), "line1li");
  assertEquals(text(await reader.read(100)), "ne2");
});

Deno.test("StreamReader.read() at the end returns nothing, any number of times [test_streams.StreamTests.test_read_eof]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.read(1024));
  await sleep(0);
  reader.feedEof();
  assertEquals((await read).length, 0);
  assertEquals((await reader.read(1024)).length, 0);
  assertEquals((await reader.read()).length, 0);
});

Deno.test("StreamReader.read(-1) collects everything up to the end [test_streams.StreamTests.test_read_until_eof]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.read(-1));
  await sleep(0);
  reader.feedData(bytes("chunk1\n"));
  await sleep(0);
  reader.feedData(bytes("chunk2"));
  await sleep(0);
  assertFalse(read.done());
  reader.feedEof();
  assertEquals(text(await read), "chunk1\nchunk2");
});

Deno.test("StreamReader.read() throws an error even if bytes are left [test_streams.StreamTests.test_read_exception]", async () => {
  const reader = readerOf(["line\n"]);
  assertEquals(text(await reader.read(2)), "li");
  reader.setException(new RangeError("set"));
  await assertRejects(() => reader.read(2), RangeError, "set");
});

Deno.test("StreamReader.read() may give more than the limit [test_streams.StreamTests.test_read_limit]", async () => {
  assertEquals(text(await readerOf(["chunk"], { limit: 3 }).read(5)), "chunk");
});

Deno.test("StreamReader.read() refuses numbers that are no numbers of bytes", async () => {
  const reader = readerOf(["data"]);
  await assertRejects(() => reader.read(NaN), RangeError, "NaN");
  await assertRejects(() => reader.read(1.5), RangeError, "1.5");
  assertEquals(text(await reader.read(Infinity)), "data");
});

Deno.test("StreamReader.readline() spans several chunks and keeps what follows [test_streams.StreamTests.test_readline]", async () => {
  const reader = readerOf(["chunk1 "]);
  const read = createTask(() => reader.readline());
  await sleep(0);
  for (const piece of ["chunk2 ", "chunk3 ", "\n chunk4"]) {
    assertFalse(read.done());
    reader.feedData(bytes(piece));
    await sleep(0);
  }
  assertEquals(text(await read), "chunk1 chunk2 chunk3 \n");
  assertEquals(text(await reader.read(100)), " chunk4");
});

Deno.test("StreamReader.readline() returns a buffered line at once [test_streams.StreamTests.test_readline_nolimit_nowait]", async () => {
  const reader = readerOf(["line1\nli", "ne2\n", "line3\n"]);
  assertEquals(text(await reader.readline()), "line1\n");
  assertEquals(text(await reader.read(100)), "line2\nline3\n");
});

Deno.test("StreamReader.readline() at the end returns the rest [test_streams.StreamTests.test_readline_eof]", async () => {
  const reader = readerOf(["some data"], { eof: true });
  assertEquals(text(await reader.readline()), "some data");
});

Deno.test("StreamReader.readline() at the end of an empty stream returns nothing [test_streams.StreamTests.test_readline_empty_eof]", async () => {
  const reader = readerOf([], { eof: true });
  assertEquals((await reader.readline()).length, 0);
});

Deno.test("StreamReader.readline() and read() can be mixed [test_streams.StreamTests.test_readline_read_byte_count]", async () => {
  const reader = readerOf(["line1\nline2\nline3\n"]);
  await reader.readline();
  assertEquals(text(await reader.read(7)), "line2\nl");
  assertEquals(text(await reader.readline()), "ine3\n");
});

Deno.test("StreamReader.readline() throws an error that was set [test_streams.StreamTests.test_readline_exception]", async () => {
  const reader = readerOf(["line\n"]);
  assertEquals(text(await reader.readline()), "line\n");
  reader.feedData(bytes("more\n"));
  reader.setException(new RangeError("set"));
  await assertRejects(() => reader.readline(), RangeError, "set");
});

Deno.test("StreamReader.readexactly(0) returns nothing, a negative number is refused, and neither consumes bytes [test_streams.StreamTests.test_readexactly_zero_or_less]", async () => {
  const reader = readerOf(["data"]);
  assertEquals((await reader.readexactly(0)).length, 0);
  await assertRejects(() => reader.readexactly(-1), RangeError, "-1");
  await assertRejects(() => reader.readexactly(1.5), RangeError, "1.5");
  assertEquals(text(await reader.read(10)), "data");
});

Deno.test("StreamReader.readexactly() spans several chunks and keeps the rest [test_streams.StreamTests.test_readexactly]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.readexactly(10));
  await sleep(0);
  for (const piece of ["abcd", "efgh", "ijkl"]) {
    assertFalse(read.done());
    reader.feedData(bytes(piece));
    await sleep(0);
  }
  assertEquals(text(await read), "abcdefghij");
  assertEquals(text(await reader.read(10)), "kl");
});

Deno.test("StreamReader.readexactly() may exceed the limit [test_streams.StreamTests.test_readexactly_limit]", async () => {
  const reader = readerOf(["chunk"], { limit: 3 });
  assertEquals(text(await reader.readexactly(5)), "chunk");
});

Deno.test("StreamReader.readexactly() throws what there was when the end comes early [test_streams.StreamTests.test_readexactly_eof]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.readexactly(10));
  await sleep(0);
  reader.feedData(bytes("some"));
  reader.feedEof();
  const error = await assertRejects(() => read, IncompleteReadError);
  assertEquals(text(error.partial), "some");
  assertEquals(error.expected, 10);
  assertEquals(
    error.message,
    "4 bytes read on a total of 10 expected bytes",
  );
  assertEquals((await reader.read()).length, 0);
});

Deno.test("StreamReader.readexactly() throws an error that was set [test_streams.StreamTests.test_readexactly_exception]", async () => {
  const reader = readerOf(["line\n"]);
  assertEquals(text(await reader.readexactly(2)), "li");
  reader.setException(new RangeError("set"));
  await assertRejects(() => reader.readexactly(2), RangeError, "set");
});

Deno.test("StreamReader.atEof() is true once the end was signalled and all was read [test_streams.StreamTests.test_at_eof]", async () => {
  const reader = new StreamReader();
  assertFalse(reader.atEof());
  reader.feedData(bytes("some data\n"));
  assertFalse(reader.atEof());
  await reader.readline();
  assertFalse(reader.atEof());
  reader.feedData(bytes("some data\n"));
  reader.feedEof();
  await reader.readline();
  assert(reader.atEof());
});

Deno.test("StreamReader.exception() is null first, then the very error that was set [test_streams.StreamTests.test_exception]", () => {
  const reader = new StreamReader();
  assertEquals(reader.exception(), null);
  const error = new RangeError("set");
  reader.setException(error);
  assertStrictEquals(reader.exception(), error);
});

Deno.test("StreamReader.setException() wakes a read that waits [test_streams.StreamTests.test_exception_waiter]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.readline());
  await sleep(0);
  reader.setException(new RangeError("set"));
  await assertRejects(() => read, RangeError, "set");
});

Deno.test("StreamReader.setException() after a read was cancelled is harmless [test_streams.StreamTests.test_exception_cancel]", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.read(2));
  await sleep(0);
  read.cancel();
  await assertRejects(() => read, CancelledError);
  reader.setException(new RangeError("set"));
  await assertRejects(() => reader.read(2), RangeError, "set");
});

Deno.test("StreamReader iterates over its lines, the last one without a newline [test_pep492.StreamReaderTests.test_readline]", async () => {
  const reader = readerOf(["line1\nline2\n", "line3"], { eof: true });
  const lines: string[] = [];
  for await (const line of reader) lines.push(text(line));
  assertEquals(lines, ["line1\n", "line2\n", "line3"]);
});

Deno.test("StreamReader loses nothing when an iteration over its lines ends early", async () => {
  const reader = readerOf(["line1\nline2\nrest"], { eof: true });
  for await (const line of reader) {
    assertEquals(text(line), "line1\n");
    break;
  }
  assertEquals(text(await reader.read()), "line2\nrest");
});

Deno.test("StreamReader refuses a second read while one waits", async () => {
  const reader = new StreamReader();
  const first = createTask(() => reader.read(1));
  await sleep(0);
  for (
    const second of [
      () => reader.read(1),
      () => reader.readline(),
      () => reader.readexactly(1),
      () => reader.readuntil(),
    ]
  ) {
    await assertRejects(second, RuntimeError, "another read waits");
  }
  reader.feedData(bytes("ab"));
  assertEquals(text(await first), "a");
  assertEquals(text(await reader.read(1)), "b");
});

Deno.test("StreamReader returns bytes to the first read, even if another one was notified", async () => {
  const reader = new StreamReader();
  const log: string[] = [];
  const notified = createTask(async () => {
    log.push(`notified ${text(await reader.readline())}`);
  });
  await sleep(0);
  reader.feedData(bytes("one\n"));
  log.push(`first ${text(await reader.readline())}`);
  reader.feedData(bytes("two\n"));
  await notified;
  assertEquals(log, ["first one\n", "notified two\n"]);
});

Deno.test("StreamReader refuses a notified read that finds no bytes while another one waits", async () => {
  const reader = new StreamReader();
  const notified = createTask(() => reader.readline());
  await sleep(0);
  reader.feedData(bytes("one\n"));
  await reader.readline();
  const waiting = reader.readline();
  await assertRejects(() => notified, RuntimeError, "another read waits");
  reader.feedData(bytes("two\n"));
  assertEquals(text(await waiting), "two\n");
});

Deno.test("StreamReader resolves a read before it is awaited", async () => {
  const reader = new StreamReader();
  const read = reader.read(10);
  reader.feedData(bytes("data"));
  await sleep(0);
  await sleep(0);
  assertEquals(text(await read), "data");
});

Deno.test("StreamReader can be fed from a callback of the loop and from foreign code", async () => {
  const reader = new StreamReader();
  getEventLoop().callSoon(() => reader.feedData(bytes("soon ")));
  assertEquals(text(await reader.read(10)), "soon ");
  setTimeout(() => reader.feedData(bytes("later")));
  assertEquals(text(await reader.read(10)), "later");
});

Deno.test("StreamReader shows itself in a line", () => {
  const reader = readerOf(["data"]);
  assertEquals(inspect(reader), "<StreamReader 4 bytes>");
  reader.feedEof();
  assertEquals(inspect(reader), "<StreamReader 4 bytes, at its end>");
  reader.setException(new RangeError("set"));
  assertEquals(inspect(reader), "<StreamReader 4 bytes, failed>");
});
