import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { gather, run, toThread, transfer } from "@asyncio/asyncio";
import type { makeMoved } from "./_thread_functions.ts";

const module = new URL("./_thread_functions.ts", import.meta.url);

Deno.test("transfer() returns the value it marks", () => {
  const buffer = new ArrayBuffer(1);
  assertStrictEquals(transfer(buffer), buffer);
});

Deno.test("transfer() refuses what cannot be moved", () => {
  const values = [null, 1, "text", {}, [], new SharedArrayBuffer(1)];
  for (const value of values) {
    assertThrows(
      () => transfer(value as ArrayBuffer),
      TypeError,
      "Cannot transfer a value",
    );
  }
});

Deno.test("toThread() moves an argument marked by transfer() and copies another one", async () => {
  await run(async () => {
    const moved = new ArrayBuffer(8);
    const copied = new ArrayBuffer(4);
    const lengths = await toThread(
      (a: ArrayBuffer, b: ArrayBuffer) => [a.byteLength, b.byteLength],
      transfer(moved),
      copied,
    );
    assertEquals(lengths, [8, 4]);
    assert(moved.detached);
    assertEquals(copied.byteLength, 4);
  });
});

Deno.test("toThread() moves what is marked anywhere inside of an argument", async () => {
  await run(async () => {
    const one = new Uint8Array([1, 2]);
    const two = new ArrayBuffer(3);
    const args = {
      list: [transfer(one)],
      map: new Map([["k", transfer(two)]]),
    };
    const sum = await toThread(
      ({ list, map }: typeof args) => list[0][1] + map.get("k")!.byteLength,
      args,
    );
    assertEquals(sum, 5);
    assertEquals(one.length, 0);
    assert(two.detached);
  });
});

Deno.test("toThread() moves marked arguments of a call that has to wait for a thread", async () => {
  await run(async () => {
    const buffers = Array.from({ length: 40 }, () => new ArrayBuffer(2));
    const calls = buffers.map((it) =>
      toThread((it: ArrayBuffer) => it.byteLength, transfer(it))
    );
    assert(buffers.every((it) => it.detached));
    assertEquals(await gather(calls), buffers.map(() => 2));
  });
});

Deno.test("toThread() moves a result marked in a function or in a module", async () => {
  await run(async () => {
    const [bytes, empty] = await toThread(async () => {
      const bytes = new Uint8Array([1, 2, 3]);
      await Promise.resolve();
      return [transfer(bytes), 0] as const;
    });
    assertEquals([...bytes, empty], [1, 2, 3, 0]);
    const made = await toThread<typeof makeMoved>(
      { module, export: "makeMoved" },
      5,
    );
    assertEquals(made.byteLength, 5);
  });
});

Deno.test("toThread() moves a port, through which both threads talk", async () => {
  await run(async () => {
    const { port1, port2 } = new MessageChannel();
    const heard = new Promise((resolve) => {
      port1.onmessage = ({ data }) => resolve(data);
    });
    const done = toThread(async (port: MessagePort) => {
      const asked = await new Promise<number>((resolve) => {
        port.onmessage = ({ data }) => resolve(data);
      });
      port.postMessage(asked + 1);
      port.close();
    }, transfer(port2));
    port1.postMessage(41);
    assertEquals(await heard, 42);
    await done;
    port1.close();
  });
});

Deno.test("transfer() marks for one call only", async () => {
  await run(async () => {
    const twice = async (buffer: ArrayBuffer) => {
      const back = await toThread(
        (it: ArrayBuffer) => transfer(it),
        transfer(buffer),
      );
      assertEquals(await toThread((it: ArrayBuffer) => it.byteLength, back), 6);
      return back;
    };
    const back = await twice(new ArrayBuffer(6));
    assertInstanceOf(back, ArrayBuffer);
    assertFalse(back.detached);
  });
});

Deno.test("toThread() names what cannot be cloned beside what is moved", async () => {
  await run(async () => {
    const buffer = new ArrayBuffer(2);
    await toThread(() => 0);
    await assertRejects(
      () =>
        toThread(
          (...args: unknown[]) => args.length,
          { buffer: transfer(buffer), fn: () => 1 },
        ),
      DOMException,
      "args[0].fn",
    );
  });
});
