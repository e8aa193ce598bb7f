// The standard library of Deno together with tasks, scopes, queues and readers.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  abortable,
  deadline,
  delay,
  pooledMap,
  retry,
  RetryError,
} from "@std/async";
import { mergeReadableStreams, TextLineStream, toText } from "@std/streams";
import {
  cancellable,
  CancelledError,
  createSubprocessExec,
  createTask,
  gather,
  openConnection,
  PIPE,
  Queue,
  run,
  sleep,
  startServer,
  type Task,
  timeout,
  TimeoutError,
} from "@asyncio/asyncio";
import { outcome } from "./_virtual.ts";

const MINUTE = 60_000;

function never(): Promise<never> {
  return new Promise(() => {});
}

/** Lets a task begin and cancels it. */
async function cancelled(task: Task<unknown>): Promise<void> {
  await sleep(0);
  assert(task.cancel());
  await assertRejects(() => task, CancelledError);
}

Deno.test("delay() ends with the scope whose signal it has, and leaves no timer", () =>
  run(async () => {
    const wait = timeout(0.001, ({ signal }) => delay(MINUTE, { signal }));
    await assertRejects(() => wait, TimeoutError);
    await cancelled(createTask((signal) => delay(MINUTE, { signal })));
  }));

Deno.test("delay() lets other tasks run", () =>
  run(async () => {
    const order: string[] = [];
    await gather([
      () => delay(1).then(() => order.push("delay")),
      () => sleep(0).then(() => order.push("sleep")),
    ]);
    assertEquals(order, ["sleep", "delay"]);
  }));

Deno.test("deadline() gives the result of a task, and its error", () =>
  run(async () => {
    const task = createTask(() => sleep(0, { result: 1 }));
    assertEquals(await deadline(Promise.resolve(task), MINUTE), 1);
    const bad = createTask(() => Promise.reject(new RangeError("bad")));
    const late = deadline(Promise.resolve(bad), MINUTE);
    assertEquals(await outcome(late), "RangeError(bad)");
  }));

Deno.test("deadline() leaves a task that takes too long running", () =>
  run(async () => {
    const task = createTask(() => sleep(Infinity));
    await assertRejects(() => deadline(Promise.resolve(task), 1), DOMException);
    assert(!task.done());
    await cancelled(task);
  }));

Deno.test("abortable() of a foreign promise ends with the task whose signal it has", () =>
  run(() =>
    cancelled(
      createTask((signal) => cancellable(abortable(never(), signal))),
    )
  ));

Deno.test("abortable() waits for a task until a signal aborts, and leaves it running", () =>
  run(async () => {
    const aborter = new AbortController();
    const task = createTask(() => sleep(Infinity));
    const wait = abortable(Promise.resolve(task), aborter.signal);
    aborter.abort(new RangeError("enough"));
    await assertRejects(() => wait);
    assert(!task.done());
    await cancelled(task);
  }));

Deno.test("retry() tries a coroutine again until it succeeds, each time in the same task", () =>
  run(async () => {
    let attempts = 0;
    const attempt = async () => {
      await sleep(0);
      if (++attempts < 3) throw new RangeError(`attempt ${attempts}`);
      return attempts;
    };
    const options = { minTimeout: 1, jitter: 0 };
    assertEquals(await createTask(() => retry(attempt, options)), 3);
  }));

Deno.test("retry() gives up with the last error as the cause", () =>
  run(async () => {
    const attempt = () => timeout(0.001, () => sleep(1));
    const error = await assertRejects(
      () => retry(attempt, { maxAttempts: 2, minTimeout: 1 }),
      RetryError,
    );
    assert(error.cause instanceof TimeoutError);
  }));

Deno.test("retry() takes a cancellation for final if it is told so", () =>
  run(async () => {
    let attempts = 0;
    const attempt = () => {
      attempts++;
      return sleep(Infinity);
    };
    const isRetriable = (error: unknown) => !(error instanceof CancelledError);
    await cancelled(createTask(() => retry(attempt, { isRetriable })));
    assertEquals(attempts, 1);
  }));

Deno.test("pooledMap() maps the items of a queue by tasks, a few at a time, in order", () =>
  run(async () => {
    const queue = new Queue<number>();
    let running = 0;
    let most = 0;
    const square = async (n: number) => {
      most = Math.max(most, ++running);
      await sleep(0);
      running--;
      return n * n;
    };
    const feeder = createTask(async () => {
      for (let n = 1; n <= 5; n++) await queue.put(n);
      queue.shutdown();
    });
    const squares = pooledMap(
      2,
      queue,
      (n) => Promise.resolve(createTask(() => square(n))),
    );
    assertEquals(await Array.fromAsync(cancellable(squares)), [
      1,
      4,
      9,
      16,
      25,
    ]);
    assertEquals(most, 2);
    await feeder;
  }));

Deno.test("pooledMap() that waits for an item of a queue ends with its task", () =>
  run(async () => {
    const queue = new Queue<number>();
    const task = createTask(async () => {
      const items = pooledMap(2, queue, (n) => Promise.resolve(n));
      for await (const item of cancellable(items)) void item;
    });
    await cancelled(task);
    queue.shutdown();
  }));

Deno.test("TextLineStream divides what a connection brings, and the wait for a line ends with its task", () =>
  run(async () => {
    await using server = await startServer(
      async (reader, writer) => {
        writer.write("one\ntw");
        await writer.drain();
        writer.write("o\nrest");
        await reader.read(); // until the client closes
        writer.close();
      },
      "127.0.0.1",
      0,
    );
    const [reader, writer] = await openConnection("127.0.0.1", server.port!);
    const lines = reader.readable
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    const seen = new Queue<string>();
    const task = createTask(async () => {
      for await (const line of cancellable(lines)) seen.putNowait(line);
    });
    assertEquals([await seen.get(), await seen.get()], ["one", "two"]);
    await cancelled(task); // it waits for the rest of the third
    writer.close();
    await writer.waitClosed();
  }));

Deno.test("mergeReadableStreams() and toText() read the output of two processes", () =>
  run(async () => {
    const start = (text: string) =>
      createSubprocessExec(Deno.execPath(), [
        "eval",
        `console.log(${JSON.stringify(text)})`,
      ], { stdout: PIPE });
    await using one = await start("from one");
    await using two = await start("from two");
    const merged = mergeReadableStreams(
      one.stdout!.readable,
      two.stdout!.readable,
    );
    const text = await toText(merged);
    assertEquals(text.trimEnd().split("\n").sort(), ["from one", "from two"]);
    assertEquals(await gather([one.wait(), two.wait()]), [0, 0]);
  }));
