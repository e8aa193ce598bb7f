/**
 * When a loop turns to the host: at the end of a batch of its jobs.
 *
 * What a task writes in one step then leaves in one system call, however many
 * awaits that needed no waiting lie between. Answers to many connections leave
 * close together, which wakes the other sides once and not once each; and
 * they leave before anything new is asked for.
 *
 * @module
 */

import type { EventLoop } from "./_future.ts";
import { afterMicrotasks } from "./_host.ts";
import { internals as loops } from "./_loop.ts";

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
    const extras = loops.extras(loop);
    let calls = extras.get(HostCalls) as HostCalls | undefined;
    if (calls === undefined) extras.set(HostCalls, calls = new HostCalls(loop));
    return calls;
  }

  addWrite(write: { flush(): void }): void {
    this.#writes.push(write);
    if (this.#writes.length >= MOST_DELAYED) this.#run();
    else if (!this.#scheduled) this.#schedule();
  }

  addRead(read: { start(): void }): void {
    this.#reads.push(read);
    if (!this.#scheduled) this.#schedule();
  }

  #schedule(): void {
    this.#scheduled = true;
    if (loops.awake(this.#loop)) loops.afterBatch(this.#loop, this.#onEnd);
    else afterMicrotasks(this.#onEnd);
  }

  readonly #onEnd = (): void => {
    this.#scheduled = false;
    this.#run();
  };

  #run(): void {
    const writes = this.#writes;
    const reads = this.#reads;
    this.#writes = [];
    this.#reads = [];
    for (const write of writes) write.flush();
    for (const read of reads) read.start();
  }
}

/** So many writes wait for the end of a batch at most, lest a long one hold up the first answers. */
const MOST_DELAYED = 16;
