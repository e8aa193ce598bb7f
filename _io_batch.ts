/**
 * When a loop turns to the host: at the end of a batch of its jobs.
 *
 * What a task writes in one step then leaves in one system call, however many
 * awaits that needed no waiting lie between. Answers to many connections leave
 * close together, which wakes the other sides once and not once each; and
 * they leave before anything new is asked for.
 *
 * The runtime calls back in the context of whichever task set the call off. A
 * wait in there would end with that task, so all that is called here, and by
 * {@linkcode outsideTasks}, runs in the context of the loop.
 *
 * @module
 */

import { runInSlot } from "./_context.ts";
import type { EventLoop } from "./_event_loop.ts";
import { afterMicrotasks } from "./_host.ts";
import { LoopLocal } from "./_loop_local.ts";
import { currentExecution, internals as loops } from "./_scheduler.ts";
import { RuntimeError } from "./exceptions.ts";

/** Calls of the host that a loop is about to make. */
export class HostCalls {
  readonly #loop: EventLoop;
  #writes: { flush(): void }[] = [];
  #reads: { start(): void }[] = [];
  #scheduled = false;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** The calls of a loop. */
  static of(loop: EventLoop): HostCalls {
    return hostCalls.get(loop);
  }

  addWrite(write: { flush(): void }): void {
    this.#writes.push(write);
    if (this.#writes.length >= MOST_DELAYED) this.#run();
    else if (!this.#scheduled) this.#schedule();
  }

  /** Makes a write at once. */
  writeNow(write: { flush(): void }): void {
    runInSlot(loops.execution(this.#loop), flush, write);
  }

  addRead(read: { start(): void }): void {
    this.#reads.push(read);
    if (!this.#scheduled) this.#schedule();
  }

  #schedule(): void {
    this.#scheduled = true;
    if (loops.isScheduled(this.#loop)) {
      loops.afterBatch(this.#loop, this.#onEnd);
    } else afterMicrotasks(this.#onEnd);
  }

  readonly #onEnd = (): void => {
    this.#scheduled = false;
    this.#run();
  };

  #run(): void {
    runInSlot(loops.execution(this.#loop), HostCalls.#makeCalls, this);
  }

  static #makeCalls(this: void, calls: HostCalls): void {
    const writes = calls.#writes;
    const reads = calls.#reads;
    calls.#writes = [];
    calls.#reads = [];
    for (const write of writes) write.flush();
    for (const read of reads) read.start();
  }
}

const hostCalls = new LoopLocal((loop: EventLoop) => new HostCalls(loop));

/** Calls a function of a stream of the Web, with all it goes on to wait for, in no task's context. */
export function outsideTasks<T>(
  loop: EventLoop,
  fn: () => T | PromiseLike<T>,
): Promise<T> {
  return runInSlot(loops.execution(loop), awaitCall, fn) as Promise<T>;
}

/**
 * Refuses a wait of code that belongs to another loop, before anything of it
 * begins: its await would be refused, and the wait left behind.
 *
 * @throws {RuntimeError} If it does.
 */
export function checkCaller(loop: EventLoop, action: string): void {
  const frame = currentExecution();
  if (frame === undefined || frame.loop === loop) return;
  throw new RuntimeError(
    `Cannot ${action}: the stream belongs to another event loop`,
  );
}

function flush(write: { flush(): void }): void {
  write.flush();
}

async function awaitCall(fn: () => unknown): Promise<unknown> {
  return await fn();
}

/** So many writes wait for the end of a batch at most, lest a long one hold up the first answers. */
const MOST_DELAYED = 16;
