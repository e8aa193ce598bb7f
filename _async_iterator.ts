/**
 * Iterators of `cancellable(iterable)`.
 *
 * @module
 */

import { wrapFuture } from "./_awaitable.ts";
import { onceDone } from "./_done_callbacks.ts";

/** Iterates over an async iterable; each step can be cancelled. */
export class CancellableIterator<T> implements AsyncIterator<T> {
  readonly #source: AsyncIterator<T>;
  /** Whether a step is pending; a generator would queue `return()` behind it. */
  #isReading = false;

  constructor(source: AsyncIterable<T>) {
    this.#source = source instanceof ReadableStream
      ? new StreamIterator(source)
      : source[Symbol.asyncIterator]();
  }

  next(): Promise<IteratorResult<T>> {
    this.#isReading = true;
    const onSettled = () => {
      this.#isReading = false;
    };
    const step = Promise.resolve(this.#source.next());
    step.then(onSettled, onSettled);
    const future = wrapFuture(step);
    onceDone(future, () => {
      if (future.cancelled()) this.#closeSource();
    });
    return future;
  }

  async return(): Promise<IteratorResult<T>> {
    if (this.#isReading) this.#closeSource();
    else await this.#source.return?.();
    return { done: true, value: undefined };
  }

  #closeSource(): void {
    Promise.resolve(this.#source.return?.()).catch(() => {});
  }
}

/** Iterates over a stream. Unlike the stream's own iterator, `return()` does not wait for a pending read. */
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

/** Whether `for await` accepts a value. */
export function isAsyncIterable<T>(value: unknown): value is AsyncIterable<T> {
  try {
    return typeof value === "object" && value !== null &&
      Symbol.asyncIterator in value;
  } catch {
    return false; // a proxy that throws
  }
}
