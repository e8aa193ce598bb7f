// Invalid arguments of readers and writers are refused before anything happens,
// with a message that says what was wrong.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type Cancellable,
  openConnection,
  RuntimeError,
  StreamReader,
  type StreamWriter,
} from "@asyncio/asyncio";
import { bytes, Peer, readAll, readerOf, text } from "./_streams.ts";
import { inspect } from "./_inspect.ts";

/** Values that have the wrong type almost everywhere. */
const NO_BYTES: unknown[] = [
  null,
  true,
  12,
  1n,
  Symbol("s"),
  {},
  () => {},
  new ArrayBuffer(4),
  new DataView(new ArrayBuffer(4)),
  Promise.resolve(bytes("x")),
  Object.create(null),
];

const reads: Record<
  string,
  (reader: StreamReader, options?: Cancellable) => Promise<Uint8Array>
> = {
  "read()": (reader, options) => reader.read(4, options),
  "read(-1)": (reader, options) => reader.read(-1, options),
  "readline()": (reader, options) => reader.readline(options),
  "readexactly()": (reader, options) => reader.readexactly(4, options),
  "readuntil()": (reader, options) => reader.readuntil("\n", options),
};

/** Invalid options, and the error messages. */
const wrongOptions: [unknown, string][] = [
  [null, "options must be an object, got null"],
  [12, "options must be an object, got 12"],
  [new AbortController(), "pass { signal: controller.signal }"],
  [new AbortController().signal, "pass { signal }"],
  [{ signal: new AbortController() }, "pass controller.signal"],
  [{ signal: null }, "signal must be an AbortSignal, got null"],
  [{ signal: {} }, "signal must be an AbortSignal"],
  [{ signal: { throwIfAborted() {} } }, "signal must be an AbortSignal"],
  [{ sginal: undefined }, 'did you mean "signal"'],
  [{ timeout: 1 }, "timeout() or waitFor()"],
];

/** Checks that a function that returns a promise rejects instead of throwing. */
async function assertRefused(
  call: () => Promise<unknown>,
  kind: typeof TypeError | typeof RangeError,
  message: string,
): Promise<void> {
  const promise = call();
  assert(promise instanceof Promise);
  const error = await assertRejects(() => promise, kind);
  assertStringIncludes(error.message, message);
}

for (const [name, read] of Object.entries(reads)) {
  Deno.test(`StreamReader.${name} refuses invalid options, and consumes nothing`, async () => {
    const there = readerOf(["line\n"], { eof: true });
    const waiting = new StreamReader();
    for (const [options, message] of wrongOptions) {
      const wrong = options as Cancellable;
      await assertRefused(() => read(there, wrong), TypeError, message);
      await assertRefused(() => read(waiting, wrong), TypeError, message);
    }
    assertEquals(inspect(there), "<StreamReader 5 bytes, at its end>");
    const line = waiting.readline();
    waiting.feedData(bytes("line\n"));
    assertEquals(text(await line), "line\n");
  });
}

Deno.test("StreamReader.read() and readexactly() refuse an invalid number of bytes", async () => {
  const reader = readerOf(["data"], { eof: true });
  const wrong: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [null, TypeError, "got null"],
    ["5", TypeError, 'got "5"'],
    [1n, TypeError, "got 1n"],
    [Symbol("s"), TypeError, "got Symbol(s)"],
    [Object.create(null), TypeError, "object"],
    [() => 5, TypeError, "function"],
    [{ signal: undefined }, TypeError, "object"],
    [NaN, RangeError, "NaN bytes"],
    [1.5, RangeError, "1.5 bytes"],
  ];
  for (const [count, kind, message] of wrong) {
    await assertRefused(() => reader.read(count as number), kind, message);
    await assertRefused(
      () => reader.readexactly(count as number),
      kind,
      message,
    );
  }
  for (const count of [-1, -Infinity, Infinity, 2 ** 53]) {
    const call = () => reader.readexactly(count);
    await assertRefused(call, RangeError, `Cannot read ${count} bytes`);
  }
  assertEquals(inspect(reader), "<StreamReader 4 bytes, at its end>");
  assertEquals(text(await reader.read(2 ** 53)), "data");
});

Deno.test("StreamReader.readuntil() refuses invalid separators", async () => {
  const reader = readerOf(["data"], { eof: true });
  for (const separator of [...NO_BYTES, ...NO_BYTES.map((it) => ["x", it])]) {
    const call = () => reader.readuntil(separator as string);
    await assertRefused(
      call,
      TypeError,
      "expected a Uint8Array or a string, got ",
    );
  }
  for (const separator of ["", [], [""], ["x", new Uint8Array()]]) {
    await assertRefused(
      () => reader.readuntil(separator),
      RangeError,
      "separator",
    );
  }
  assertEquals(inspect(reader), "<StreamReader 4 bytes, at its end>");
});

Deno.test("StreamReader.readuntil() copies its separators: the caller may use their memory again", async () => {
  const reader = new StreamReader();
  const separator = bytes(";");
  const read = reader.readuntil(separator);
  separator.fill(0);
  reader.feedData(bytes("a\0b;c"));
  assertEquals(text(await read), "a\0b;");
});

Deno.test("StreamReader.feedData() refuses other values than bytes, and does not quote functions", () => {
  const reader = new StreamReader();
  for (const data of NO_BYTES) {
    const error = assertThrows(
      () => reader.feedData(data as Uint8Array),
      TypeError,
      "Cannot feed a stream: expected a Uint8Array or a string, got ",
    );
    assert(!error.message.includes("=>"), error.message);
  }
  assertEquals(inspect(reader), "<StreamReader 0 bytes>");
});

Deno.test("StreamReader constructor refuses invalid options and limits", () => {
  const make = (options: unknown) => () =>
    new StreamReader(options as { limit: number });
  for (const limit of [null, "5", 1n, Symbol("s"), {}, Object.create(null)]) {
    assertThrows(make({ limit }), TypeError, "above 0, got ");
  }
  for (const limit of [0, -1, -Infinity, NaN, 0.4, 1.5]) {
    assertThrows(make({ limit }), RangeError, `above 0, got ${limit}`);
  }
  assertThrows(make(null), TypeError, "options must be an object, got null");
  assertThrows(make(12), TypeError, "options must be an object, got 12");
  assertThrows(make({ limits: 5 }), TypeError, 'did you mean "limit"');
  new StreamReader({ limit: undefined });
  new StreamReader({ limit: Infinity });
});

/** Runs a body with a writer, and checks what its peer received. */
async function written(
  expected: string,
  body: (writer: StreamWriter) => unknown,
): Promise<void> {
  await using peer = new Peer(async (conn) => {
    assertEquals(await readAll(conn), expected);
  });
  const [, writer] = await openConnection("127.0.0.1", peer.port);
  await body(writer);
  writer.close();
  await writer.waitClosed();
}

Deno.test("StreamWriter.write() and writelines() refuse other values than bytes, and write nothing", async () => {
  await written("onetwothree", (writer) => {
    const expected = "Cannot write: expected a Uint8Array or a string, got ";
    for (const data of NO_BYTES) {
      const wrong = data as string;
      assertThrows(() => writer.write(wrong), TypeError, expected);
      const lines = ["lost", wrong];
      assertThrows(() => writer.writelines(lines), TypeError, expected);
    }
    assertEquals(writer.transport.getWriteBufferSize(), 0);
    writer.writelines(new Set(["one", bytes("two")]));
    writer.writelines([]);
    writer.write("three");
  });
});

Deno.test("StreamWriter.writelines() refuses what cannot be iterated", async () => {
  await written("", (writer) => {
    for (const data of [...NO_BYTES, undefined]) {
      assertThrows(
        () => writer.writelines(data as string[]),
        TypeError,
        "Cannot write: the lines must be an iterable such as an array, got ",
      );
    }
    assertThrows(
      () => writer.writelines(bytes("ab") as unknown as string[]),
      TypeError,
      "got 97",
    );
    assertThrows(
      () =>
        writer.writelines(function* () {
          yield "lost";
          throw new RangeError("midway");
        }()),
      RangeError,
      "midway",
    );
    assertEquals(writer.transport.getWriteBufferSize(), 0);
  });
});

Deno.test("StreamWriter.writelines() after close() or writeEof() throws, also without lines", async () => {
  await written("", (writer) => {
    writer.writeEof();
    assertThrows(() => writer.writelines([]), RuntimeError, "writeEof()");
    writer.close();
    assertThrows(() => writer.writelines(["x"]), RuntimeError, "closed");
  });
});

Deno.test("StreamWriter.drain() and waitClosed() refuse invalid options", async () => {
  await written("data", async (writer) => {
    writer.write("data");
    for (const [options, message] of wrongOptions) {
      const wrong = options as Cancellable;
      await assertRefused(() => writer.drain(wrong), TypeError, message);
      await assertRefused(() => writer.waitClosed(wrong), TypeError, message);
    }
  });
});

Deno.test("WriteTransport.setWriteBufferLimits() refuses invalid marks, and keeps the current ones", async () => {
  await written("", (writer) => {
    const { transport } = writer;
    const set = (limits: unknown) => () =>
      transport.setWriteBufferLimits(limits as { high: number });
    for (const mark of ["5", 1n, Symbol("s"), {}, Object.create(null), true]) {
      assertThrows(set({ high: mark }), TypeError, "high must be a number");
      assertThrows(set({ low: mark }), TypeError, "low must be a number");
    }
    for (const mark of [NaN, -1]) {
      assertThrows(set({ high: mark }), RangeError, `${mark}`);
      assertThrows(set({ low: mark }), RangeError, `${mark}`);
    }
    assertThrows(set(null), TypeError, "options must be an object, got null");
    assertThrows(set(100), TypeError, "options must be an object, got 100");
    assertThrows(set({ hihg: 100 }), TypeError, 'did you mean "high"');
    assertEquals(transport.getWriteBufferLimits(), [16_384, 65_536]);
    transport.setWriteBufferLimits({ high: Infinity, low: 0 });
    assertEquals(transport.getWriteBufferLimits(), [0, Infinity]);
  });
});
