/**
 * Python's `asyncio` for Deno: tasks, queues, locks, streams, subprocesses
 * and threads, with structured concurrency and cancellation that loses
 * nothing.
 *
 * A program starts with {@linkcode run}. {@linkcode createTask} and
 * {@linkcode TaskGroup} run functions at the same time, {@linkcode timeout}
 * limits them, {@linkcode gather} collects their results, a {@linkcode Queue}
 * passes items between them, and a {@linkcode Lock} keeps them apart. Names and
 * behaviour are those of Python's asyncio; durations are in seconds.
 *
 * ```ts
 * import { Queue, run, sleep, TaskGroup } from "@asyncio/asyncio";
 *
 * await run(async () => {
 *   const queue = new Queue<number>(2);
 *   await TaskGroup.run((group) => {
 *     group.createTask(async () => {
 *       for (let n = 0; n < 3; n++) await queue.put(n);
 *       queue.shutdown();
 *     });
 *     group.createTask(async () => {
 *       for await (const n of queue) await sleep(n / 1000);
 *     });
 *   });
 * });
 * ```
 *
 * Each topic is an entry point of its own as well: `@asyncio/asyncio/queues`
 * and the like. The plugin for `deno lint` is `@asyncio/asyncio/lint`, and
 * `@asyncio/asyncio/ps` shows what a running program is doing.
 *
 * @module
 */

export * from "./exceptions.ts";
export * from "./introspection.ts";
export * from "./queues.ts";
export * from "./runner.ts";
export * from "./streams.ts";
export * from "./subprocess.ts";
export * from "./sync.ts";
export * from "./tasks.ts";
export * from "./testing.ts";
