/** Memory that calls of threads keep, in processes with `gc()`. */

import { assert } from "@std/assert";
import { printed } from "./_programs.ts";

/** Runs a body as the main of a runner, and returns the JSON it prints. */
async function measured(body: string): Promise<number[]> {
  const program = `
    import { getRunningLoop, run, runCoroutineThreadsafe, toThread } from "@asyncio/asyncio";
    const heap = async () => {
      for (let i = 0; i < 4; i++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve));
      }
      return Deno.memoryUsage().heapUsed;
    };
    const resident = () => Deno.memoryUsage().rss;
    await run(async () => {${body}});`;
  const args = ["--v8-flags=--expose-gc"];
  return JSON.parse(await printed(program, { args }));
}

Deno.test("toThread() of a function that is written in the call keeps nothing of it", async () => {
  const [each] = await measured(`
    for (let i = 0; i < 500; i++) await toThread((n) => n, i);
    const before = await heap();
    for (let i = 0; i < 4000; i++) await toThread((n) => n, i);
    console.log(JSON.stringify([(await heap() - before) / 4000]));`);
  assert(each < 50, `${each} bytes a call`);
});

for (
  const [how, call] of [
    ["waits for", 'runCoroutineThreadsafe("f", loop, i).result()'],
    ["never looks at", 'runCoroutineThreadsafe("f", loop, i)'],
    ["awaits", 'await runCoroutineThreadsafe("f", loop, i)'],
  ]
) {
  Deno.test(`runCoroutineThreadsafe() keeps nothing of answers that a thread ${how}`, async () => {
    const [first, second] = await measured(`
      const loop = getRunningLoop();
      loop.expose({ f: (n) => "x".repeat(50) + n });
      const ask = async (loop, count) => {
        for (let i = 0; i < count; i++) ${call};
      };
      await toThread(ask, loop.handle(), 20_000);
      const before = resident();
      await toThread(ask, loop.handle(), 20_000);
      const between = resident();
      await toThread(ask, loop.handle(), 20_000);
      const after = resident();
      console.log(JSON.stringify([between - before, after - between]));`);
    const MIB = 2 ** 20; // What V8 keeps for itself goes up and down by some of them.
    assert(Math.min(first, second) < 64 * MIB, `${first} and ${second} bytes`);
  });
}
