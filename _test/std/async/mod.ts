/** What is used of `@std/async`, on the host's own `node:timers/promises`. */
import { setTimeout } from "node:timers/promises";

export interface DelayOptions {
  signal?: AbortSignal;
  persistent?: boolean;
}

export function delay(ms: number, options: DelayOptions = {}): Promise<void> {
  const { signal, persistent = true } = options;
  return setTimeout(ms, undefined, { signal, ref: persistent }).catch(
    (error) => {
      throw signal?.aborted ? signal.reason : error;
    },
  );
}

export function abortable<T>(p: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () =>
    reject(new DOMException(`Aborted: ${signal.reason}`, "AbortError"));
  signal.addEventListener("abort", abort, { once: true });
  return Promise.race([p, promise]).finally(() =>
    signal.removeEventListener("abort", abort)
  );
}

export interface DeadlineOptions {
  signal?: AbortSignal;
}

export async function deadline<T>(
  p: Promise<T>,
  ms: number,
  options: DeadlineOptions = {},
): Promise<T> {
  const done = new AbortController();
  const late = setTimeout(ms, undefined, { signal: done.signal }).then(() => {
    throw new DOMException("Signal timed out.", "TimeoutError");
  });
  const { signal } = options;
  try {
    return await Promise.race([signal ? abortable(p, signal) : p, late]);
  } finally {
    done.abort();
    late.catch(() => {});
  }
}

/** Gives the results in the order of the items. */
export async function* pooledMap<T, R>(
  poolLimit: number,
  array: Iterable<T> | AsyncIterable<T>,
  iteratorFn: (data: T) => Promise<R>,
): AsyncIterableIterator<R> {
  const running: Promise<R>[] = [];
  for await (const item of array) {
    if (running.length >= poolLimit) yield running.shift()!;
    running.push(iteratorFn(item));
  }
  yield* running;
}

export class RetryError extends Error {
  constructor(cause: unknown, attempts: number) {
    super(`Retrying exceeded the maxAttempts (${attempts}).`, { cause });
    this.name = "RetryError";
  }
}

export interface RetryOptions {
  multiplier?: number;
  maxTimeout?: number;
  maxAttempts?: number;
  minTimeout?: number;
  jitter?: number;
  isRetriable?: (err: unknown) => boolean;
}

export async function retry<T>(
  fn: (() => Promise<T>) | (() => T),
  options: RetryOptions = {},
): Promise<T> {
  const { maxAttempts = 5, isRetriable = () => true } = options;
  const { minTimeout = 1000, maxTimeout = 60_000 } = options;
  const { multiplier = 2, jitter = 1 } = options;
  for (let attempt = 1;; attempt++) {
    try {
      return await fn();
    } catch (error) {
      if (!isRetriable(error)) throw error;
      if (attempt >= maxAttempts) throw new RetryError(error, maxAttempts);
      const most = minTimeout * multiplier ** (attempt - 1);
      await delay(Math.min(maxTimeout, most) * (1 - jitter * Math.random()));
    }
  }
}
