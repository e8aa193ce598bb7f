import { assertEquals } from "@std/assert";
import { run, sleep, VirtualTimeLoop } from "@asyncio/asyncio";
Deno.test("smoke", async () => {
  assertEquals(
    await run(() => sleep(3600, { result: 1 }), {
      loopFactory: () => new VirtualTimeLoop(),
    }),
    1,
  );
});
