// `cancellable()`: waits for promises, and loops over streams and other
// iterables, end with a cancellation and close what they read from.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  cancellable,
  CancelledError,
  createTask,
  type Future,
  run,
  sleep,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";

/** An iterable of numbers that notes when it is closed. */
class Numbers implements AsyncIterable<number> {
  closed = 0;
  /** What becomes of the step after the last number. */
  readonly #end: () => Promise<IteratorResult<number>>;
  readonly #count: number;

  constructor(count: number, end: () => Promise<IteratorResult<number>>) {
    this.#count = count;
    this.#end = end;
  }

  [Symbol.asyncIterator](): AsyncIterator<number> {
    let last = 0;
    return {
      next: () =>
        last < this.#count
          ? Promise.resolve({ done: false, value: ++last })
          : this.#end(),
      return: () => {
        this.closed++;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}

async function collect<T>(source: AsyncIterable<T>, seen: T[]): Promise<void> {
  for await (const item of cancellable(source)) seen.push(item);
}

Deno.test("cancellable() passes on the items and the end of an iterable", () =>
  run(async () => {
    const seen: number[] = [];
    const numbers = new Numbers(
      3,
      () => Promise.resolve({ done: true, value: undefined }),
    );
    await collect(numbers, seen);
    assertEquals(seen, [1, 2, 3]);
    assertEquals(numbers.closed, 0);
  }));

Deno.test("cancellable() passes on the error of an iterable", () =>
  run(async () => {
    const seen: number[] = [];
    const numbers = new Numbers(2, () => Promise.reject(new RangeError("bad")));
    await assertRejects(() => collect(numbers, seen), RangeError, "bad");
    assertEquals(seen, [1, 2]);
  }));

Deno.test("cancellable() closes an iterable once when its loop is left", () =>
  run(async () => {
    const numbers = new Numbers(3, never);
    for await (const item of cancellable(numbers)) {
      if (item === 2) break;
    }
    assertEquals(numbers.closed, 1);
  }));

Deno.test("cancellable() passes on the error of a source that cannot be closed", () =>
  run(async () => {
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: 1 }),
        return: () => Promise.reject(new RangeError("cannot be closed")),
      }),
    };
    const leave = async () => {
      for await (const _ of cancellable(source)) break;
    };
    await assertRejects(leave, RangeError, "cannot be closed");
  }));

Deno.test("cancellable() goes through an iterable that has no return()", () =>
  virtual(async () => {
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({ next: never }),
    };
    assertEquals(
      await outcome(timeout(1, () => collect(source, []))),
      "TimeoutError(Timed out while waiting for a foreign promise)",
    );
  }));

/** Ways to end a loop that waits for an item. */
const interruptions: Record<
  string,
  (loop: () => Promise<void>) => Promise<unknown>
> = {
  "a cancelled task": async (loop) => {
    const task = createTask(loop);
    await sleep(1);
    task.cancel();
    await assertRejects(() => task as Future<unknown>, CancelledError);
  },
  "a timeout": (loop) => assertRejects(() => timeout(1, loop), TimeoutError),
};

for (const [name, interrupt] of Object.entries(interruptions)) {
  Deno.test(`cancellable() closes an iterable that is waited for, by ${name}`, () =>
    virtual(async () => {
      const numbers = new Numbers(2, never);
      const seen: number[] = [];
      await interrupt(() => collect(numbers, seen));
      assertEquals(seen, [1, 2]);
      assertEquals(numbers.closed, 1);
    }));

  Deno.test(`cancellable() cancels a stream that is waited for, and gives it back, by ${name}`, () =>
    virtual(async () => {
      let cancelled = 0;
      const stream = new ReadableStream<number>({
        start: (controller) => controller.enqueue(1),
        cancel: () => {
          cancelled++;
        },
      });
      const seen: number[] = [];
      await interrupt(() => collect(stream, seen));
      assertEquals(seen, [1]);
      assertEquals(cancelled, 1);
      assert(!stream.locked);
    }));
}

Deno.test("cancellable() drops the error of a source that an interruption cannot close", () =>
  virtual(async () => {
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: never,
        return: () => Promise.reject(new RangeError("cannot be closed")),
      }),
    };
    await assertRejects(
      () => timeout(1, () => collect(source, [])),
      TimeoutError,
    );
  }));

Deno.test("cancellable() cancels a stream when its loop is left, and gives it back", () =>
  run(async () => {
    let reason: unknown = "none";
    const stream = new ReadableStream<number>({
      start: (controller) => controller.enqueue(1),
      cancel: (why) => {
        reason = why;
      },
    });
    for await (const _ of cancellable(stream)) break;
    assertEquals(reason, undefined);
    assert(!stream.locked);
  }));

Deno.test("cancellable() gives a stream back that has ended or failed", () =>
  run(async () => {
    const ended = ReadableStream.from([1, 2]);
    const seen: number[] = [];
    await collect(ended, seen);
    assertEquals(seen, [1, 2]);
    assert(!ended.locked);
    const failed = new ReadableStream<number>({
      start: (controller) => controller.error(new RangeError("bad")),
    });
    await assertRejects(() => collect(failed, seen), RangeError, "bad");
  }));
