/**
 * Batches the I/O calls of a loop: they run when a batch of its jobs ends.
 *
 * Everything that a task writes before it next waits for something leaves in
 * one system call. Responses to several connections leave together, which
 * wakes the other processes once instead of once per response, and writes
 * leave before new reads start.
 *
 * Deno calls back in the async context of the task that made a call. A wait in
 * such a callback would end with that task, so the calls made here, and those
 * in {@linkcode outsideTasks}, run in the context of the loop.
 *
 * @module
 */

import { runInSlot } from "./_context.ts";
import {
  currentExecution,
  type EventLoop,
  internals as loops,
} from "./_event_loop.ts";
import { afterMicrotasks } from "./_host.ts";
import { LoopLocal } from "./_loop_local.ts";
import { RuntimeError } from "./exceptions.ts";

/** Number of pending writes at which a batch is sent early, so that a long batch does not delay the first responses. */
const MAX_BATCHED_WRITES = 16;

/** The I/O calls that a loop is about to make. */
export class IoBatch {
  static readonly #batches = new LoopLocal(
    (loop: EventLoop) => new IoBatch(loop),
  );

  readonly #loop: EventLoop;
  #writes: { flush(): void }[] = [];
  #reads: { start(): void }[] = [];
  #isScheduled = false;

  private constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** The batch of a loop. */
  static of(loop: EventLoop): IoBatch {
    return IoBatch.#batches.get(loop);
  }

  addWrite(write: { flush(): void }): void {
    this.#writes.push(write);
    if (this.#writes.length >= MAX_BATCHED_WRITES) this.#run();
    else if (!this.#isScheduled) this.#schedule();
  }

  /** Flushes at once instead of at the end of the batch. */
  writeNow(write: { flush(): void }): void {
    runInSlot(loops.execution(this.#loop), flush, write);
  }

  addRead(read: { start(): void }): void {
    this.#reads.push(read);
    if (!this.#isScheduled) this.#schedule();
  }

  #schedule(): void {
    this.#isScheduled = true;
    if (loops.isScheduled(this.#loop)) {
      loops.afterBatch(this.#loop, this.#onBatchEnd);
    } else afterMicrotasks(this.#onBatchEnd);
  }

  readonly #onBatchEnd = (): void => {
    this.#isScheduled = false;
    this.#run();
  };

  #run(): void {
    runInSlot(loops.execution(this.#loop), IoBatch.#runCalls, this);
  }

  static #runCalls(this: void, batch: IoBatch): void {
    const writes = batch.#writes;
    const reads = batch.#reads;
    batch.#writes = [];
    batch.#reads = [];
    for (const write of writes) write.flush();
    for (const read of reads) read.start();
  }
}

/** Calls a callback of a web stream outside of all tasks, so that no task's cancellation ends its waits. */
export function outsideTasks<T>(
  loop: EventLoop,
  fn: () => T | PromiseLike<T>,
): Promise<T> {
  return runInSlot(loops.execution(loop), awaitCall, fn) as Promise<T>;
}

/**
 * Checks that the running code belongs to a loop, before a wait begins: the
 * `await` would be refused, and the wait left behind.
 *
 * @throws {RuntimeError} If it belongs to another loop.
 */
export function checkCaller(loop: EventLoop, action: string): void {
  const execution = currentExecution();
  if (execution === undefined || execution.loop === loop) return;
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
