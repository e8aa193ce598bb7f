/** Each entry point in a process of its own, without the others. */

import { assertEquals } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { printed } from "./_programs.ts";

/** One use of each entry point: an expression over its names, and its value. */
const USES: Record<string, [use: string, value: unknown]> = {
  ".": ["it.run(() => it.toThread((n) => n + 1, 1))", 2],
  "./exceptions": [`new it.QueueEmpty("x") instanceof Error`, true],
  "./introspection": ["inThread(new it.EventLoop())", ["a function", 3]],
  "./lint": ["[it.default.name, typeof it.createPlugin({}).rules]", [
    "asyncio",
    "object",
  ]],
  // A program, which does nothing as long as it is only imported.
  "./ps": ["Object.keys(it)", []],
  "./queues": [
    "(async (q) => (await q.put(1), q.getNowait()))(new it.Queue())",
    1,
  ],
  "./runner": ["inThread(new it.Runner().getLoop())", ["a function", 3]],
  "./streams": [
    "(async (r) => (r.feedData(Uint8Array.of(97, 10)), String(await r.readline())))(new it.StreamReader())",
    "97,10",
  ],
  "./subprocess": ["it.PIPE !== it.DEVNULL", true],
  "./sync": [
    "(async (lock) => { using _ = await lock.acquire(); return lock.locked(); })(new it.Lock())",
    true,
  ],
  "./tasks": ["it.toThread((n) => n + 1, 1)", 2],
  "./testing": ["inThread(new it.VirtualTimeLoop())", ["a function", 3]],
};

/** Runs what a loop has of threads. */
const IN_THREAD = `
async function inThread(loop) {
  loop.expose({ f() {} });
  const handle = loop.handle();
  const kind = await loop.runInExecutor(
    (handle) => handle.kind === "asyncio.EventLoop" ? "a function" : "",
    handle,
  );
  const sum = await loop.runInExecutor((a, b) => a + b, 1, 2);
  await loop.shutdownDefaultExecutor();
  loop.close();
  return [kind, sum];
}`;

for (const [name, file] of Object.entries(config.exports)) {
  Deno.test(`${name} works as the only entry point`, async () => {
    const [use, value] = USES[name];
    const program = `
      import * as it from ${JSON.stringify(import.meta.resolve(`../${file}`))};
      ${IN_THREAD}
      console.log(JSON.stringify(await ${use}));`;
    assertEquals(JSON.parse(await printed(program)), value);
  });
}
