import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import {
  createTask,
  IncompleteReadError,
  LimitOverrunError,
  sleep,
  StreamReader,
} from "@asyncio/asyncio";
import { bytes, readerOf, text } from "./_streams.ts";

Deno.test("StreamReader.readline() drops a line over the limit alone, or all that has come of it [test_streams.StreamTests.test_readline_limit_with_existing_data]", async () => {
  const reader = readerOf(["li", "ne1\nline2\n"], { limit: 3 });
  await assertRejects(() => reader.readline(), RangeError, "limit of 3");
  assertEquals(text(await reader.read(100)), "line2\n");

  const endless = readerOf(["li", "ne1", "li"], { limit: 3 });
  await assertRejects(() => endless.readline(), RangeError, "limit of 3");
  assertEquals(Deno.inspect(endless), "<StreamReader 0 bytes>");
});

Deno.test("StreamReader.readline() drops what has come of an endless line while it waits", async () => {
  const reader = new StreamReader({ limit: 7 });
  const read = createTask(() => reader.readline());
  await sleep(0);
  reader.feedData(bytes("chunk1"));
  await sleep(0);
  assertFalse(read.done());
  reader.feedData(bytes("chunk2"));
  await assertRejects(() => read, RangeError, "not found");
  reader.feedData(bytes("chunk3\nend\n"));
  assertEquals(text(await reader.readline()), "chunk3\n");
  assertEquals(text(await reader.readline()), "end\n");
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

Deno.test("StreamReader.readuntil() gives the bytes with the separator and keeps the rest [test_streams.StreamTests.test_readuntil_multi_chunks]", async () => {
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
    "unknown number",
  );
  assertEquals(text(error.partial), "some dataAA");
  assertEquals(error.expected, null);
  assert(reader.atEof());
});

Deno.test("StreamReader.readuntil() over the limit says whether the separator was found and keeps all [test_streams.StreamTests.test_readuntil_limit_found_sep]", async () => {
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

Deno.test("StreamReader.readuntil() of several separators takes the one that ends first [test_streams.StreamTests.test_readuntil_multi_separator]", async () => {
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

Deno.test("StreamReader.readuntil() takes any Uint8Array as separator [test_streams.StreamTests.test_readuntil_bytearray]", async () => {
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
