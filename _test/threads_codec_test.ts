import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { QueueEmpty } from "@asyncio/asyncio";
import {
  ByteWriter,
  decodeValue,
  encodeValue,
  isEncodable,
} from "../_thread_codec.ts";
import { MessageFramer } from "../_thread_channel.ts";
// Registers the error classes that threads know.
import "../_threads.ts";
import { inspect } from "./_inspect.ts";

/** Encodes and decodes a value. */
function sent<T>(value: T): T {
  const writer = new ByteWriter();
  encodeValue(value, writer);
  return decodeValue(writer.decode()) as T;
}

const numbers = [0, -0, 1, 127, 128, 255, 2 ** 31, 2 ** 32 - 1, 2 ** 32]
  .concat([2 ** 53 - 1, -1, -(2 ** 31), 0.5, -1e300, NaN, Infinity, -Infinity]);

const texts = [
  ...["", "a", "ascii that is longer than the short ones are"],
  ...["ü", "🦕", "\uFEFFwith a mark", "a half \uD83E of a pair", "\0"],
  "long 🦕".repeat(20_000),
];

const views = [
  new Int8Array([-1, 2]),
  new Uint8Array([1, 2, 3]).subarray(1, 2),
  new Uint8ClampedArray([300]),
  new Int16Array([-5, 6]),
  new Uint16Array([7]),
  new Int32Array([-(2 ** 31)]),
  new Uint32Array([2 ** 32 - 1]),
  new Float32Array([0.5]),
  new Float64Array([Math.PI, -Infinity]),
  new BigInt64Array([-5n]),
  new BigUint64Array([2n ** 64n - 1n]),
];

Deno.test("Values keep their kind and content through shared memory", () => {
  const plain = [undefined, null, true, false, ...numbers, ...texts];
  const big = [0n, 1n, -1n, 2n ** 200n, -(2n ** 200n)];
  for (const value of [...plain, ...big]) {
    assert(Object.is(sent(value), value), String(value).slice(0, 40));
  }
  for (const value of views) assertEquals(sent(value), value);
  const others = [
    new Date(5),
    /a\/b(?<n>c)/giu,
    new Map<unknown, unknown>([[[1, [2]], new Set(["x"])]]),
    { "": 1, "__proto__x": 2, nested: [[], {}] },
  ];
  for (const value of others) assertEquals(sent(value), value);
});

Deno.test("Values arrive as their structured clones do", () => {
  class Point {
    x = 1;
    #hidden = 2;
    get sum() {
      return this.x + this.#hidden;
    }
  }
  const sparse = [1, , 3];
  Object.assign(sparse, { extra: true });
  const odd = [
    new Point(),
    sparse,
    Object.assign(Object.create(null), { a: 1 }),
    Object.defineProperty({ seen: 1 }, "hidden", { value: 2 }),
    JSON.parse('{"__proto__": {"a": 1}}'),
    new Date(NaN),
    Object(5),
    Object("text"),
    Object(false),
    Object(7n),
    { [Symbol("s")]: 1, a: 1 },
    new DataView(new ArrayBuffer(8), 2, 4),
  ];
  for (const value of odd) {
    const [ours, theirs] = [sent(value), structuredClone(value)];
    assertEquals(ours, theirs);
    assertEquals(Object.getPrototypeOf(ours), Object.getPrototypeOf(theirs));
    assertEquals(Object.keys(ours), Object.keys(theirs));
  }
});

Deno.test("Values arrive with every object once, also in cycles", () => {
  const shared = { n: 1 };
  const buffer = new ArrayBuffer(8);
  const value: Record<string, unknown> = {
    list: [shared, shared],
    map: new Map([[shared, shared]]),
    views: [new Uint8Array(buffer), new Uint16Array(buffer, 2, 1)],
    date: new Date(1),
    after: shared,
  };
  value.self = value;
  const it = sent(value) as {
    list: unknown[];
    map: Map<unknown, unknown>;
    views: ArrayBufferView[];
    after: unknown;
    self: unknown;
  };
  assertStrictEquals(it.self, it);
  assertStrictEquals(it.list[0], it.after);
  assertStrictEquals(it.map.get(it.after), it.after);
  assertStrictEquals(it.views[0].buffer, it.views[1].buffer);
});

Deno.test("Memory that can grow can still grow when it arrives", () => {
  const buffer = new ArrayBuffer(2, { maxByteLength: 10 });
  const it = sent(buffer);
  assertEquals([it.byteLength, it.resizable, it.maxByteLength], [2, true, 10]);
});

Deno.test("Errors inside of values keep class, message, stack, cause and fields", () => {
  const error = new QueueEmpty("why", { cause: new RangeError("inner") });
  const it = sent({ list: [Object.assign(error, { code: 7 }), error] });
  const [first, second] = it.list;
  assertStrictEquals(first, second);
  assertInstanceOf(first, QueueEmpty);
  assertInstanceOf(first.cause, RangeError);
  assertEquals(first.stack, error.stack);
  assertEquals((first as unknown as { code: number }).code, 7);
});

Deno.test("Values that cannot be encoded are refused", () => {
  const { port1, port2 } = new MessageChannel();
  const refused = [
    () => 1,
    class {},
    Symbol("s"),
    Promise.resolve(),
    new WeakMap(),
    new WeakRef({}),
    (function* () {})(),
    new SharedArrayBuffer(4),
    new Uint8Array(new SharedArrayBuffer(4)),
    port1,
    new ReadableStream(),
    [{ deep: [() => 1] }],
    new Map([[1, () => 1]]),
  ];
  for (const value of refused) assertEquals(isEncodable(value), false);
  for (const port of [port1, port2]) port.close();
  const memory = new ArrayBuffer(4);
  structuredClone(memory, { transfer: [memory] });
  assertEquals(isEncodable(memory), false);
});

/** A random value; equal for equal seeds. */
function randomValue(seed: number): unknown {
  const next = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const pick = (count: number) => Math.floor(next() * count);
  const objects: object[] = [];
  const keep = <T extends object>(it: T): T => (objects.push(it), it);
  const make = (depth: number): unknown => {
    const count = depth > 4 ? 0 : pick(5);
    switch (pick(depth > 4 ? 4 : 9)) {
      case 0:
        return numbers[pick(numbers.length)];
      case 1:
        return texts[pick(texts.length - 1)];
      case 2:
        return BigInt(pick(1e9)) ** BigInt(pick(9));
      case 3:
        return objects[pick(objects.length)] ?? null;
      case 4:
        return keep(views[pick(views.length)].slice() as object);
      case 5:
        return fill(keep([] as unknown[]), (it) => it.push(make(depth + 1)));
      case 6:
        return fill(keep(new Map()), (it) => it.set(make(depth + 1), count));
      case 7:
        return fill(keep(new Set()), (it) => it.add(make(depth + 1)));
      default:
        return fill(
          keep({} as Record<string, unknown>),
          (it) => it[texts[pick(5)]] = make(depth + 1),
        );
    }
    function fill<T>(it: T, add: (it: T) => void): T {
      for (let i = 0; i < count; i++) add(it);
      return it;
    }
  };
  return make(0);
}

Deno.test("Random values arrive as their structured clones do", () => {
  for (let seed = 1; seed <= 2_000; seed++) {
    const value = randomValue(seed);
    assertEquals(
      inspect(sent(value), { depth: 10 }),
      inspect(structuredClone(value), { depth: 10 }),
      `seed ${seed}`,
    );
  }
});

Deno.test("Messages stay whole when writing one of them sends another", () => {
  const inner: Uint8Array[] = [];
  const value = {
    get first() {
      inner.push(MessageFramer.encode("inner"));
      return 1;
    },
    second: 2,
  };
  const outer = MessageFramer.encode(value);
  const messages = new MessageFramer();
  assertEquals(messages.take(outer), [{ first: 1, second: 2 }]);
  assertEquals(messages.take(inner[0]), ["inner"]);
});

Deno.test("Messages are intact after one that could not be encoded", () => {
  assertThrows(() => MessageFramer.encode([1, 2, () => 3]));
  assertEquals(new MessageFramer().take(MessageFramer.encode("next")), [
    "next",
  ]);
});
