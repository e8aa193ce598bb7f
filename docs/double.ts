/**
 * A worker for the guide on Deno: it has an event loop of its own, and answers
 * each number with its double.
 *
 * @module
 */

import { run, sleep } from "@asyncio/asyncio";

async function double(n: number): Promise<number> {
  await sleep({ milliseconds: 1 });
  return 2 * n;
}

// The type of a worker's global scope is not the one that is checked here.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<number>) => void;
  postMessage(message: number): void;
};

scope.onmessage = async ({ data }) => {
  scope.postMessage(await run(() => double(data)));
};
