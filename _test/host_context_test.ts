import { assertEquals, assertStrictEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { hostSlot, type Slot, storageSlot } from "../_context.ts";
import { type RuntimeCore, runtimeCore } from "../_host.ts";

const slots: [string, Slot | null][] = [
  ["hostSlot()", hostSlot(runtimeCore)],
  ["storageSlot()", storageSlot()],
];

for (const [name, made] of slots) {
  Deno.test(`${name} follows the code across awaits and timers`, async () => {
    const slot = made!;
    const seen: unknown[] = [];
    const body = async (own: string) => {
      seen.push(slot.current());
      await Promise.resolve();
      seen.push(slot.current());
      await new Promise<void>((resolve) => setTimeout(resolve, 0));
      seen.push(slot.current() === own);
    };
    await Promise.all([slot.run("a", body, "a"), slot.run("b", body, "b")]);
    assertEquals(seen, ["a", "b", "a", "b", true, true]);
    assertStrictEquals(slot.current(), undefined);
  });

  Deno.test(`${name} and an AsyncLocalStorage go through each other`, async () => {
    const slot = made!;
    const storage = new AsyncLocalStorage<number>();
    const seen = await storage.run(
      1,
      () =>
        slot.run("task", () =>
          storage.run(2, async () => {
            await Promise.resolve();
            return [storage.getStore(), slot.current()];
          }), null),
    );
    assertEquals(seen, [2, "task"]);
    assertEquals(storage.getStore(), undefined);
  });

  Deno.test(`${name} is as before after an error`, () => {
    const slot = made!;
    try {
      slot.run("x", () => {
        throw new RangeError("out");
      }, null);
    } catch (error) {
      assertEquals((error as Error).message, "out");
    }
    assertStrictEquals(slot.current(), undefined);
  });
}

Deno.test("hostSlot() refuses a host that lacks the calls or keeps nothing", () => {
  const complete = runtimeCore as RuntimeCore;
  assertStrictEquals(hostSlot({}), null);
  assertStrictEquals(
    hostSlot({ ...complete, AsyncVariable: undefined }),
    null,
  );
  assertStrictEquals(
    hostSlot({ ...complete, getAsyncContext: () => null }),
    null,
  );
  const getAsyncContext = () => {
    throw new TypeError("gone");
  };
  assertStrictEquals(hostSlot({ ...complete, getAsyncContext }), null);
});
