/**
 * A task that waits until another says that something has happened, after the
 * example of
 * {@link https://docs.python.org/3/library/asyncio-sync.html#asyncio.Event}.
 *
 * ```sh
 * deno run examples/event.ts
 * ```
 *
 * @module
 */

import { createTask, Event, run, sleep } from "@asyncio/asyncio";

/** Lets a waiter wait for a second. */
export async function main(
  print: (line: string) => void = console.log,
): Promise<void> {
  const event = new Event();
  const waiter = createTask(async () => {
    print("waiting for it ...");
    await event.wait();
    print("... got it!");
  });
  await sleep(1);
  event.set();
  await waiter;
}

if (import.meta.main) await run(() => main());
