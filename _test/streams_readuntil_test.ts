import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import {
  createSubprocessExec,
  createTask,
  IncompleteReadError,
  LimitOverrunError,
  openConnection,
  PIPE,
  sleep,
  StreamReader,
} from "@asyncio/asyncio";
import { bytes, Peer, readerOf, text, writeAll } from "./_streams.ts";
import { inspect } from "./_inspect.ts";

Deno.test("StreamReader.readline() drops a line over the limit alone, or all that has come of it [test_streams.StreamTests.test_readline_limit_with_existing_data]", async () => {
  const reader = readerOf(["li", "ne1\nline2\n"], { limit: 3 });
  await assertRejects(() => reader.readline(), RangeError, "limit of 3");
  assertEquals(text(await reader.read(100)), "line2\n");

  const endless = readerOf(["li", "ne1", "li"], { limit: 3 });
  await assertRejects(() => endless.readline(), RangeError, "limit of 3");
  assertEquals(inspect(endless), "<StreamReader 0 bytes>");
});

Deno.test("StreamReader.readline() drops a line over the limit up to its newline, even if that arrives later", async () => {
  const reader = new StreamReader({ limit: 7 });
  const read = createTask(() => reader.readline());
  await sleep(0);
  reader.feedData(bytes("chunk1"));
  await sleep(0);
  assertFalse(read.done());
  reader.feedData(bytes("chunk2"));
  await assertRejects(() => read, RangeError, "not found");
  const next = createTask(() => reader.readline());
  await sleep(0);
  reader.feedData(bytes("chunk3"));
  await sleep(0);
  assertFalse(next.done());
  reader.feedData(bytes("chunk4\nend\n"));
  assertEquals(text(await next), "end\n");
});

/** What `readline()` returns up to the end; `"error"` for a line over the limit. */
async function linesOf(reader: StreamReader): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    try {
      const line = text(await reader.readline());
      if (line === "") return lines;
      lines.push(line);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      lines.push("error");
    }
  }
}

Deno.test("StreamReader.readline() drops the same of a line over the limit, however its bytes come", async () => {
  const whole = "short\n0123456789abcdef\n\n12345678\n123456789\nend";
  const expected = ["short\n", "error", "\n", "12345678\n", "error", "end"];
  for (let size = 1; size <= whole.length; size++) {
    const reader = new StreamReader({ limit: 8 });
    const lines = createTask(() => linesOf(reader));
    for (let at = 0; at < whole.length; at += size) {
      await sleep(0);
      await sleep(0);
      reader.feedData(bytes(whole.slice(at, at + size)));
    }
    reader.feedEof();
    assertEquals(await lines, expected, `chunks of ${size}`);
  }
});

Deno.test("StreamReader.readline() drops a line over the limit of a socket up to its newline", async () => {
  await using peer = new Peer((conn) =>
    writeAll(conn, `short\n0123456789abcdef\n${"x".repeat(100_000)}\nend`)
  );
  const [reader, writer] = await openConnection("127.0.0.1", peer.port, {
    limit: 8,
  });
  assertEquals(await linesOf(reader), ["short\n", "error", "error", "end"]);
  writer.close();
});

Deno.test("StreamReader.readline() drops a line over the limit of a pipe up to its newline", async () => {
  await using process = await createSubprocessExec(
    "printf",
    ["short\\n0123456789abcdef\\nend"],
    { stdout: PIPE, limit: 8 },
  );
  const lines = await linesOf(process.stdout!);
  assertEquals(lines, ["short\n", "error", "end"]);
});

Deno.test("StreamReader drops the rest of a line over the limit for every kind of read, and at the end", async () => {
  const reads: ((reader: StreamReader) => Promise<Uint8Array>)[] = [
    (reader) => reader.read(3),
    (reader) => reader.readexactly(3),
    (reader) => reader.readuntil("d"),
    (reader) => reader.read(),
  ];
  for (const read of reads) {
    const reader = readerOf(["0123456789"], { limit: 8 });
    await assertRejects(() => reader.readline(), RangeError);
    const rest = createTask(() => read(reader));
    await sleep(0);
    reader.feedData(bytes("abc"));
    reader.feedData(bytes("def\nend"));
    reader.feedEof();
    assertEquals(text(await rest), "end");
  }
  const reader = readerOf(["0123456789"], { limit: 8 });
  await assertRejects(() => reader.readline(), RangeError);
  reader.feedData(bytes("abcdef"));
  reader.feedEof();
  assertEquals((await reader.read()).length, 0);
  assert(reader.atEof());
});

Deno.test("StreamReader.readuntil() drops nothing of what is over the limit", async () => {
  const reader = readerOf(["0123456789"], { limit: 8 });
  await assertRejects(() => reader.readuntil(), LimitOverrunError);
  reader.feedData(bytes("abc\nend"));
  await assertRejects(() => reader.readuntil(), LimitOverrunError);
  assertEquals(text(await reader.read(100)), "0123456789abc\nend");
});

Deno.test("StreamReader.readline() measures a line without its end [test_streams.StreamTests.test_readline_limit]", async () => {
  const exact = readerOf(["12345\n123456\nrest\n"], { limit: 5 });
  assertEquals(text(await exact.readline()), "12345\n");
  await assertRejects(() => exact.readline(), RangeError, "is found");
  assertEquals(text(await exact.readline()), "rest\n");
});

Deno.test("StreamReader.readuntil() refuses no separator and an empty one [test_streams.StreamTests.test_readuntil_separator]", async () => {
  const reader = readerOf(["data\n"]);
  for (const separator of ["", [], ["x", ""], [""], new Uint8Array(0)]) {
    await assertRejects(
      () => reader.readuntil(separator),
      RangeError,
      "separator",
    );
  }
  await assertRejects(
    () => reader.readuntil(10 as unknown as string),
    TypeError,
  );
  assertEquals(text(await reader.readuntil()), "data\n");
});

Deno.test("StreamReader.readuntil() returns the bytes with the separator and keeps the rest [test_streams.StreamTests.test_readuntil_multi_chunks]", async () => {
  const reader = readerOf(["lineAAA"]);
  assertEquals(text(await reader.readuntil("AAA")), "lineAAA");
  reader.feedData(bytes("lineAAA"));
  assertEquals(text(await reader.readuntil("AAA")), "lineAAA");
  reader.feedData(bytes("lineAAArest"));
  assertEquals(text(await reader.readuntil("AAA")), "lineAAA");
  assertEquals(text(await reader.read(100)), "rest");
});

Deno.test("StreamReader.readuntil() finds a separator across chunks and after parts of it [test_streams.StreamTests.test_readuntil_multi_chunks_1]", async () => {
  const cases: [string[], string][] = [
    [["QWEaa", "XYaa", "a"], "QWEaaXYaaa"],
    [["QWEaa", "XYa", "aa"], "QWEaaXYaaa"],
    [["aaa"], "aaa"],
    [["Xaa", "a"], "Xaaa"],
    [["rest", "a", "a", "a"], "restaaa"],
  ];
  for (const [pieces, expected] of cases) {
    const reader = new StreamReader();
    const read = createTask(() => reader.readuntil("aaa"));
    await sleep(0);
    for (const piece of pieces) {
      assertFalse(read.done());
      reader.feedData(bytes(piece));
      await sleep(0);
    }
    assertEquals(text(await read), expected);
  }
});

Deno.test("StreamReader.readuntil() throws all bytes when the end comes first, and the buffer is empty [test_streams.StreamTests.test_readuntil_eof]", async () => {
  const reader = readerOf(["some dataAA"], { eof: true });
  const error = await assertRejects(
    () => reader.readuntil("AAA"),
    IncompleteReadError,
    "11 bytes read on a total of undefined expected bytes",
  );
  assertEquals(text(error.partial), "some dataAA");
  assertEquals(error.expected, null);
  assert(reader.atEof());
});

Deno.test("StreamReader.readuntil() over the limit reports whether the separator was found and keeps all bytes [test_streams.StreamTests.test_readuntil_limit_found_sep]", async () => {
  const reader = readerOf(["some dataAA"], { limit: 3 });
  const missing = await assertRejects(
    () => reader.readuntil("AAA"),
    LimitOverrunError,
    "not found",
  );
  assertEquals(missing.consumed, 9);
  reader.feedData(bytes("A"));
  const found = await assertRejects(
    () => reader.readuntil("AAA"),
    LimitOverrunError,
    "is found",
  );
  assertEquals(found.consumed, 9);
  assertEquals(text(await reader.readexactly(9)), "some data");
  assertEquals(text(await reader.readuntil("AAA")), "AAA");
});

Deno.test("StreamReader.readuntil() of several separators uses the one that ends first [test_streams.StreamTests.test_readuntil_multi_separator]", async () => {
  const simple = readerOf(["line1\nline2\r"]);
  assertEquals(text(await simple.readuntil(["\r", "\n"])), "line1\n");
  assertEquals(text(await simple.readuntil(["\r", "\n"])), "line2\r");

  const nested = readerOf(["ABCD"]);
  assertEquals(text(await nested.readuntil(["ABCD", "B"])), "AB");

  const longer = readerOf(["some dataSEPAA"]);
  assertEquals(text(await longer.readuntil(["SEPA", "A"])), "some dataSEPA");
  assertEquals(text(await longer.readuntil(["A", "SEPA"])), "A");
});

Deno.test("StreamReader.readuntil() judges the limit by the match that ends first [test_streams.StreamTests.test_readuntil_multi_separator_limit]", async () => {
  const reader = readerOf(["some dataA"], { limit: 3 });
  const error = await assertRejects(
    () => reader.readuntil(["A", "ome dataA"]),
    LimitOverrunError,
    "is found",
  );
  assertEquals(error.consumed, 9);
});

Deno.test("StreamReader.readuntil() finds short separators in a buffer shorter than the longest [test_streams.StreamTests.test_readuntil_multi_separator_negative_offset]", async () => {
  const reader = readerOf(["data"]);
  const read = createTask(() => reader.readuntil(["A", "long sep"]));
  await sleep(0);
  reader.feedData(bytes("Z"));
  await sleep(0);
  assertFalse(read.done());
  reader.feedData(bytes("Aaaa"));
  assertEquals(text(await read), "dataZA");
});

Deno.test("StreamReader.readuntil() accepts any Uint8Array as separator [test_streams.StreamTests.test_readuntil_bytearray]", async () => {
  const memory = new Uint8Array([0, 13, 10, 0]);
  const reader = readerOf(["some data\r\n"]);
  const line = await reader.readuntil(memory.subarray(1, 3));
  assertEquals(text(line), "some data\r\n");
});

Deno.test("StreamReader.readuntil() finds a separator that is there when the end was signalled", async () => {
  const reader = readerOf(["one;two"], { eof: true });
  assertEquals(text(await reader.readuntil(";")), "one;");
  await assertRejects(() => reader.readuntil(";"), IncompleteReadError);
});

Deno.test("StreamReader.readuntil() waits for a separator longer than twice the limit", async () => {
  const reader = readerOf(["xSEPAR"], { limit: 1 });
  const read = createTask(() => reader.readuntil("SEPARATOR"));
  await sleep(0);
  reader.feedData(bytes("ATOR"));
  assertEquals(text(await read), "xSEPARATOR");
});
