import { assert, assertEquals } from "@std/assert";
import { createTask, sleep, StreamReader } from "@asyncio/asyncio";
import { ByteBuffer, recycle, WriteBuffer } from "../_bytes.ts";
import { bytes, text } from "./_streams.ts";
import { inspect } from "./_inspect.ts";

const MIB = 2 ** 20;

/** Small pseudo-random numbers, the same in each run. */
function numbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
}

/** Feeds a line in chunks of one size while a task waits for it. */
async function assertReadsLine(length: number, chunk: number): Promise<void> {
  const reader = new StreamReader({ limit: length });
  const line = createTask(() => reader.readline());
  await sleep(0);
  const piece = new Uint8Array(chunk).fill(97);
  for (let rest = length - 1; rest > 0; rest -= chunk) {
    reader.feedData(rest < chunk ? piece.subarray(0, rest) : piece);
  }
  reader.feedData(bytes("\n"));
  assertEquals((await line).length, length);
}

Deno.test("ByteBuffer holds what a plain list of bytes would", () => {
  const random = numbers(1);
  const buffer = new ByteBuffer();
  let model: number[] = [];
  const given: [Uint8Array, number[]][] = [];
  for (let step = 0; step < 20_000; step++) {
    const chunk = Array.from({ length: random(40) }, () => random(4));
    if (random(3) > 0) buffer.append(new Uint8Array(chunk));
    else {
      const lent = buffer.reserve(64, 40);
      if (random(4) === 0) {
        buffer.append(new Uint8Array(chunk));
        model.push(...chunk);
      }
      chunk.length = Math.min(chunk.length, lent.length);
      lent.set(chunk);
      buffer.commit(chunk.length);
    }
    model.push(...chunk);
    const count = random(model.length + 1);
    given.push([buffer.take(count), model.slice(0, count)]);
    model = model.slice(count);
    const pattern = Array.from({ length: 1 + random(3) }, () => random(4));
    const from = random(model.length + 1);
    const at = buffer.find(new Uint8Array(pattern), from);
    assertEquals(at, indexOf(model, pattern, from));
    assertEquals(buffer.size, model.length);
  }
  for (const [taken, expected] of given) assertEquals([...taken], expected);
});

function indexOf(list: number[], pattern: number[], from: number): number {
  for (let at = from; at + pattern.length <= list.length; at++) {
    if (pattern.every((it, i) => list[at + i] === it)) return at;
  }
  return -1;
}

Deno.test("WriteBuffer returns what was appended, and reuses its memory", () => {
  const random = numbers(2);
  const outgoing = new WriteBuffer();
  for (let round = 0; round < 200; round++) {
    let expected = "";
    for (let i = random(20); i > 0; i--) {
      const piece = "äb".repeat(random(round % 20 === 0 ? 30_000 : 200));
      outgoing.append(random(2) === 0 ? piece : bytes(piece));
      expected += piece;
    }
    assertEquals(outgoing.size, bytes(expected).length);
    const taken: number[] = [];
    while (outgoing.size > 0) {
      const { memory, size } = outgoing.shift();
      for (const byte of memory.subarray(0, size)) taken.push(byte);
      recycle(memory);
    }
    assertEquals(text(new Uint8Array(taken)), expected);
  }
});

// An algorithm with quadratic cost would take hours here.
for (const [length, chunk] of [[1, 1], [8, 7], [64, 1000], [64, 65_536]]) {
  Deno.test(`StreamReader.readline() of ${length} MiB in chunks of ${chunk} looks at each byte once`, async () => {
    await assertReadsLine(length * MIB, chunk);
  });
}

Deno.test("StreamReader returns a million short lines out of large chunks", async () => {
  const reader = new StreamReader();
  const chunk = bytes("123456789\n".repeat(10_000));
  let lines = 0;
  for (let i = 0; i < 100; i++) {
    reader.feedData(chunk);
    for (let k = 0; k < 10_000; k++) {
      lines += (await reader.readline()).length === 10 ? 1 : 0;
    }
  }
  assertEquals(lines, 1_000_000);
});

Deno.test("StreamReader.readexactly() of 16 MiB in small chunks looks at each chunk once", async () => {
  const reader = new StreamReader();
  const read = createTask(() => reader.readexactly(16 * MIB));
  await sleep(0);
  const piece = new Uint8Array(128);
  for (let i = 0; i < 16 * MIB / 128; i++) reader.feedData(piece);
  assertEquals((await read).length, 16 * MIB);
  assert(inspect(reader).includes(" 0 bytes"));
});
