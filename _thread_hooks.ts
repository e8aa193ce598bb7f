/**
 * What threads do for event loops, which stand below them.
 *
 * @module
 */

import type { Duration } from "./_duration.ts";
import type { EventLoop } from "./_event_loop.ts";
import type { LoopHandle } from "./_thread_channel.ts";
import type { ThreadFunction } from "./_thread_serialize.ts";

/** What `_threads.ts`, which needs loops, does for them. */
export interface ThreadHooks {
  call(loop: EventLoop, fn: unknown, args: unknown[]): Promise<unknown>;
  expose(loop: EventLoop, functions: Record<string, ThreadFunction>): void;
  handle(loop: EventLoop): LoopHandle;
  shutdown(loop: EventLoop, timeout: Duration): Promise<void>;
  close(loop: EventLoop): void;
}

/** The late-bound object of threads; `_threads.ts` fills it in. */
export const threads: ThreadHooks = {
  call: notLoaded,
  expose: notLoaded,
  handle: notLoaded,
  shutdown: notLoaded,
  close() {}, // without threads there is nothing to close
};

function notLoaded(): never {
  throw new Error(
    "Threads are not loaded: import the module itself, or its tasks.ts or runner.ts",
  );
}
