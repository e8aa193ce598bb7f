/**
 * Tasks that go on once all of them have arrived, after the example of
 * {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Barrier}.
 *
 * ```sh
 * deno run examples/barrier.ts
 * ```
 *
 * @module
 */

import { Barrier, createTask, run, sleep } from "@asyncio/asyncio";

/** Fills a barrier of three, and shows it on the way. */
export async function main(
  print: (line: string) => void = console.log,
): Promise<void> {
  const barrier = new Barrier(3);
  createTask(() => barrier.wait());
  createTask(() => barrier.wait());
  await sleep(0);
  print(Deno.inspect(barrier));
  await barrier.wait(); // the third party opens it
  print(Deno.inspect(barrier));
  print("barrier passed");
  await sleep(0);
  print(Deno.inspect(barrier));
}

if (import.meta.main) await run(() => main());
