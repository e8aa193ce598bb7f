/** A plain worker that runs a loop and posts its handle. */

import { getRunningLoop, run, sleep } from "@asyncio/asyncio";

const self = globalThis as unknown as { postMessage(value: unknown): void };

await run(async () => {
  const loop = getRunningLoop();
  const stopped = loop.createFuture<void>();
  loop.expose({
    async add(a: number, b: number) {
      await sleep(0);
      return a + b;
    },
    stop: () => stopped.setResult(),
  });
  self.postMessage(loop.handle());
  await stopped;
});
