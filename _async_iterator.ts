/**
 * Async iterables from outside of this module, as `cancellable` gives them.
 *
 * @module
 */

import { wrapFuture } from "./_awaitable.ts";
import { onceDone } from "./_done_callbacks.ts";

/** Goes over an async iterable, each step of which can be given up. */
export class CancellableIterator<T> implements AsyncIterator<T> {
  readonly #source: AsyncIterator<T>;
  /** Whether a step is under way, behind which a generator would queue its end. */
  #isBusy = false;

  constructor(source: AsyncIterable<T>) {
    this.#source = source instanceof ReadableStream
      ? new StreamIterator(source)
      : source[Symbol.asyncIterator]();
  }

  next(): Promise<IteratorResult<T>> {
    this.#isBusy = true;
    const idle = () => {
      this.#isBusy = false;
    };
    const step = Promise.resolve(this.#source.next());
    step.then(idle, idle);
    const future = wrapFuture(step);
    onceDone(future, () => {
      if (future.cancelled()) this.#giveUp();
    });
    return future;
  }

  async return(): Promise<IteratorResult<T>> {
    if (this.#isBusy) this.#giveUp();
    else await this.#source.return?.();
    return { done: true, value: undefined };
  }

  #giveUp(): void {
    Promise.resolve(this.#source.return?.()).catch(() => {});
  }
}

/** Goes over a stream. Its end does not wait for the read under way. */
class StreamIterator<T> implements AsyncIterator<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;

  constructor(stream: ReadableStream<T>) {
    this.#reader = stream.getReader();
  }

  async next(): Promise<IteratorResult<T>> {
    const { done, value } = await this.#reader.read();
    if (!done) return { done, value };
    this.#reader.releaseLock();
    return { done, value: undefined };
  }

  async return(): Promise<IteratorResult<T>> {
    const cancelled = this.#reader.cancel();
    this.#reader.releaseLock();
    await cancelled;
    return { done: true, value: undefined };
  }
}

/** Whether `for await` would go over a value. */
export function isAsyncIterable<T>(value: unknown): value is AsyncIterable<T> {
  try {
    return typeof value === "object" && value !== null &&
      Symbol.asyncIterator in value;
  } catch {
    return false; // a proxy that throws
  }
}
