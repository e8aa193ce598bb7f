import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  allTasks,
  CancelledError,
  createTask,
  currentTask,
  EventLoop,
  gather,
  getRunningLoop,
  type LoopHandle,
  QueueEmpty,
  run,
  runCoroutineThreadsafe,
  RuntimeError,
  sleep,
  ThreadFuture,
  TimeoutError,
  toThread,
} from "@asyncio/asyncio";
import type { Order } from "./_thread_caller.ts";
import type { askLoop } from "./_thread_functions.ts";

/** Posts a request to our own worker, and returns what it posts back. */
async function ordered(order: Order): Promise<unknown[]> {
  const url = new URL("./_thread_caller.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(event);
      worker.postMessage(order);
    });
  } finally {
    worker.terminate();
  }
}

async function addLater(a: number, b: number): Promise<number> {
  await sleep(0);
  return a + b;
}

Deno.test("runCoroutineThreadsafe() runs a coroutine on the loop for a thread that blocks [test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe]", async () => {
  const result = await run(() => {
    const loop = getRunningLoop();
    loop.expose({ addLater });
    return toThread((loop) => {
      const future = runCoroutineThreadsafe<number>("addLater", loop, 1, 2);
      return [future.result(), future.done(), future.exception()];
    }, loop.handle());
  });
  assertEquals(result, [3, true, null]);
});

Deno.test("runCoroutineThreadsafe() passes an error of the coroutine to the thread [test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_with_exception]", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const cause = new RangeError("why");
    loop.expose({
      fail: async () => {
        await sleep(0);
        throw new QueueEmpty("Fail!", { cause });
      },
    });
    const caught = await toThread((loop) => {
      const future = runCoroutineThreadsafe("fail", loop);
      try {
        future.result();
      } catch (error) {
        return [
          error instanceof QueueEmpty,
          error === future.exception(),
          future.cancelled(),
        ];
      }
    }, loop.handle());
    assertEquals(caught, [true, true, false]);
    const error = await assertRejects(
      () =>
        toThread(
          (loop) => runCoroutineThreadsafe("fail", loop).result(),
          loop.handle(),
        ),
      QueueEmpty,
      "Fail!",
    );
    assertInstanceOf(error.cause, RangeError);
  });
});

Deno.test("ThreadFuture.result() times out, and cancel() ends the task [test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_with_timeout]", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    loop.expose({
      sleepLong: async () => {
        try {
          await sleep(3600);
        } catch (error) {
          log.push(error instanceof CancelledError ? "cancelled" : "failed");
          throw error;
        }
      },
    });
    const outcome = await toThread((loop) => {
      const future = runCoroutineThreadsafe("sleepLong", loop);
      try {
        future.result({ milliseconds: 5 });
      } catch (error) {
        const pending = !future.done();
        const cancelled = future.cancel();
        return [
          error instanceof TimeoutError,
          pending,
          cancelled,
          future.cancelled(),
          future.cancel(),
        ];
      }
    }, loop.handle());
    assertEquals(outcome, [true, true, true, true, true]);
    while (allTasks().size > 1) await sleep(0);
    assertEquals(log, ["cancelled"]);
  });
});

Deno.test("ThreadFuture.result() reports a task that was cancelled on the loop [test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_task_cancelled]", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({
      cancelled: async () => {
        currentTask()!.cancel("that is enough");
        await sleep(3600);
      },
    });
    const outcome = await toThread((loop) => {
      const future = runCoroutineThreadsafe("cancelled", loop);
      try {
        future.result();
      } catch (error) {
        return [
          error instanceof CancelledError && error.message,
          future.cancelled(),
          future.cancel(),
        ];
      }
    }, loop.handle());
    assertEquals(outcome, ["that is enough", true, true]);
  });
});

Deno.test("runCoroutineThreadsafe() works as it is imported by a module that runs in a thread", async () => {
  const module = new URL("./_thread_functions.ts", import.meta.url);
  const result = await run(() => {
    const loop = getRunningLoop();
    loop.expose({ double: (n: number) => 2 * n });
    return toThread<typeof askLoop>(
      { module, export: "askLoop" },
      loop.handle(),
      21,
    );
  });
  assertEquals(result, 42);
});

Deno.test("runCoroutineThreadsafe() returns each result of a thousand calls from eight threads to its caller", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    let calls = 0;
    loop.expose({
      echo: async (thread: number, i: number) => {
        calls++;
        if (i % 3 === 0) await sleep(0);
        return [thread, i];
      },
    });
    const threads = Array.from(
      { length: 8 },
      (_, thread) =>
        toThread(
          (loop: LoopHandle, thread: number) => {
            const answers: unknown[] = [];
            for (let i = 0; i < 125; i++) {
              const call = runCoroutineThreadsafe("echo", loop, thread, i);
              answers.push(call.result(60));
            }
            return answers;
          },
          loop.handle(),
          thread,
        ),
    );
    const answers = await gather(threads);
    assertEquals(calls, 1000);
    for (const [thread, list] of answers.entries()) {
      assertEquals(list, Array.from({ length: 125 }, (_, i) => [thread, i]));
    }
  });
});

Deno.test("runCoroutineThreadsafe() serves calls of your own workers, blocking and all at once", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ echo: (...args: unknown[]) => args });
    const order = (thread: number) =>
      ordered({
        loop: loop.handle(),
        name: "echo",
        calls: 250,
        args: [thread, "x".repeat(100 * thread)],
        blocking: thread % 2 === 0,
      });
    // The first one type-checks the worker's module for all.
    const first = await order(0);
    const rest = await gather([1, 2, 3].map(order));
    for (const [thread, answers] of [first, ...rest].entries()) {
      const args = [thread, "x".repeat(100 * thread)];
      assertEquals(
        answers,
        Array.from({ length: 250 }, (_, i) => [...args, i]),
      );
    }
  });
});

Deno.test("runCoroutineThreadsafe() sends messages of any length", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ reverse: (bytes: Uint8Array) => bytes.toReversed() });
    for (const length of [0, 16_000, 16_384, 100_000, 1_000_003]) {
      const [first, last, size] = await toThread(
        (loop, length) => {
          const bytes = new Uint8Array(length).fill(1);
          if (length > 0) bytes[0] = 7;
          const call = runCoroutineThreadsafe<Uint8Array>(
            "reverse",
            loop,
            bytes,
          );
          const answer = call.result(60);
          return [answer[0], answer[length - 1], answer.length];
        },
        loop.handle(),
        length,
      );
      assertEquals(size, length);
      if (length > 0) assertEquals([first, last], [1, 7]);
    }
  });
});

Deno.test("runCoroutineThreadsafe() continues when the loop empties the buffer while a long call is written", async () => {
  const state = new Int32Array(new SharedArrayBuffer(4));
  const sum = await run(() => {
    const loop = getRunningLoop();
    const released = loop.createFuture<number>();
    loop.expose({
      wait: () => released,
      busy: () => {
        Atomics.store(state, 0, 1);
        while (Atomics.load(state, 0) === 1); // a call that is made now is not read
        return released;
      },
      release: ({ length }: Uint8Array) => released.setResult(length),
    });
    return toThread(
      (loop, state: Int32Array) => {
        const { store } = Atomics;
        const busy = runCoroutineThreadsafe<number>("busy", loop);
        while (Atomics.load(state, 0) === 0);
        const waiting = runCoroutineThreadsafe<number>("wait", loop);
        // Bytes count as written only when all before them have been read.
        Atomics.store = ((cells: Int32Array, place: number, count: number) => {
          Atomics.store = store;
          const before = Atomics.load(cells, place);
          store(state, 0, 2);
          while (Atomics.load(cells, place + 1) !== before);
          return store(cells, place, count);
        }) as typeof store;
        const long = new Uint8Array(20_000);
        runCoroutineThreadsafe("release", loop, long).result();
        return busy.result() + waiting.result();
      },
      loop.handle(),
      state,
    );
  });
  assertEquals(sum, 40_000);
});

Deno.test("runCoroutineThreadsafe() sends objects of classes as their structured clones", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ echo: (value: unknown) => value });
    const point = await toThread((loop) => {
      class Point {
        x = 1;
      }
      return runCoroutineThreadsafe("echo", loop, new Point()).result();
    }, loop.handle());
    assertEquals(point, { x: 1 });
  });
});

Deno.test("runCoroutineThreadsafe() can be awaited in a thread, which is not blocked", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const asked: number[] = [];
    loop.expose({
      later: async (n: number) => {
        asked.push(n);
        while (asked.length < 3) await sleep(0);
        return n;
      },
      fail: () => Promise.reject(new EvalError("no")),
    });
    const answers = await toThread(async (loop) => {
      const calls = [1, 2, 3].map((n) =>
        runCoroutineThreadsafe("later", loop, n)
      );
      const failed = await runCoroutineThreadsafe("fail", loop).then(
        () => "did not fail",
        (error) => (error as Error).message,
      );
      return [...await Promise.all(calls), failed];
    }, loop.handle());
    assertEquals(answers, [1, 2, 3, "no"]);
  });
});

Deno.test("ThreadFuture.addDoneCallback() calls in the thread, blocked or not, and at once when done", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ addLater });
    const log = await toThread(async (loop) => {
      const log: string[] = [];
      const blocked = runCoroutineThreadsafe<number>("addLater", loop, 1, 1);
      blocked.addDoneCallback((it) => log.push(`blocked ${it.result()}`));
      log.push(`result ${blocked.result()}`);
      blocked.addDoneCallback(() => log.push("at once"));
      const other = runCoroutineThreadsafe<number>("addLater", loop, 2, 2);
      await new Promise<void>((resolve) =>
        other.addDoneCallback((it) => {
          log.push(`not blocked ${it === other}`);
          resolve();
        })
      );
      return log;
    }, loop.handle());
    assertEquals(log, [
      "blocked 2",
      "result 2",
      "at once",
      "not blocked true",
    ]);
  });
});

Deno.test("runCoroutineThreadsafe() runs what it calls as tasks of the loop", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const main = currentTask();
    loop.expose({
      look: () => [
        currentTask() !== null && currentTask() !== main,
        getRunningLoop() === loop,
        allTasks().size,
      ],
    });
    const seen = await toThread(
      (loop) => runCoroutineThreadsafe("look", loop).result(),
      loop.handle(),
    );
    assertEquals(seen, [true, true, 2]);
  });
});

Deno.test("runCoroutineThreadsafe() of a name that is not exposed says which are", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const ask = (loop: LoopHandle) =>
      runCoroutineThreadsafe("absent", loop).result();
    await assertRejects(
      () => toThread(ask, loop.handle()),
      RuntimeError,
      `Cannot call "absent": the loop exposes no function`,
    );
    loop.expose({ addLater, other: addLater });
    await assertRejects(
      () => toThread(ask, loop.handle()),
      RuntimeError,
      `the loop exposes only addLater, other`,
    );
    const own = runCoroutineThreadsafe("absent", loop);
    await assertRejects(
      () => Promise.resolve(own),
      RuntimeError,
      "only addLater",
    );
  });
});

Deno.test("runCoroutineThreadsafe() names what cannot be cloned in arguments and results", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ make: () => ({ rows: [() => 1] }) });
    await assertRejects(
      () =>
        toThread(
          (loop) => runCoroutineThreadsafe("make", loop, { fn: () => 1 }),
          loop.handle(),
        ),
      DOMException,
      "args[0].fn",
    );
    await assertRejects(
      () =>
        toThread(
          (loop) => runCoroutineThreadsafe("make", loop).result(),
          loop.handle(),
        ),
      DOMException,
      "result.rows[0]",
    );
  });
});

Deno.test("runCoroutineThreadsafe() checks what it is given", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const call = runCoroutineThreadsafe as (...args: unknown[]) => unknown;
    for (const coro of [1, null, undefined, Promise.resolve()]) {
      assertThrows(() => call(coro, loop), TypeError, "Cannot run a coroutine");
    }
    for (const handle of [1, null, undefined, {}]) {
      assertThrows(() => call("name", handle), TypeError, "loop.handle()");
    }
    await assertRejects(
      () =>
        toThread(
          (loop) => runCoroutineThreadsafe((() => 1) as never, loop),
          loop.handle(),
        ),
      TypeError,
      "expected the name of a function that the loop exposes",
    );
  });
});

Deno.test("EventLoop.expose() refuses what is not a function, and replaces one of the same name", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    assertThrows(
      () => loop.expose({ fine: () => 1, wrong: 1 as never }),
      TypeError,
      `Cannot expose "wrong": expected a function`,
    );
    loop.expose({ number: () => 1 });
    loop.expose({ number: () => 2 });
    assertEquals(await runCoroutineThreadsafe("number", loop), 2);
    await assertRejects(
      () => Promise.resolve(runCoroutineThreadsafe("fine", loop)),
      RuntimeError,
      "only number",
    );
  });
});

Deno.test("EventLoop.handle() is the same every time, and survives cloning", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ addLater });
    const handle = loop.handle();
    assertStrictEquals(loop.handle(), handle);
    const copy = structuredClone({ inside: [handle] }).inside[0];
    assertEquals(await runCoroutineThreadsafe("addLater", copy, 1, 2), 3);
  });
});

Deno.test("runCoroutineThreadsafe() of a closed loop fails at once", async () => {
  const loop = new EventLoop();
  loop.expose({ addLater });
  const handle = loop.handle();
  loop.close();
  assertThrows(
    () => runCoroutineThreadsafe("addLater", handle, 1, 2),
    RuntimeError,
    "The event loop is closed",
  );
  assertThrows(() => runCoroutineThreadsafe(() => 1, loop), RuntimeError);
  await run(() =>
    assertRejects(
      () =>
        toThread(
          (loop) => runCoroutineThreadsafe("addLater", loop).result(),
          handle,
        ),
      RuntimeError,
      "The event loop is closed",
    )
  );
});

Deno.test("EventLoop.close() fails the calls that threads are blocked in", async () => {
  const other = new EventLoop();
  const asked = Promise.withResolvers<void>();
  other.expose({
    never: () => {
      asked.resolve();
      return new Promise(() => {});
    },
  });
  await run(async () => {
    const call = toThread(
      (loop) => runCoroutineThreadsafe("never", loop).result(),
      other.handle(),
    );
    await asked.promise;
    other.close();
    await assertRejects(() => call, RuntimeError, "The event loop is closed");
  });
});

Deno.test("A thread that run() waits for is still answered", async () => {
  let answered = 0;
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ count: () => ++answered });
    const started = new Int32Array(new SharedArrayBuffer(4));
    createTask(() =>
      toThread(
        (loop: LoopHandle, started: Int32Array) => {
          Atomics.store(started, 0, 1);
          Atomics.notify(started, 0);
          for (let left = 20; left > 0;) {
            try {
              runCoroutineThreadsafe("count", loop).result(60);
              left--;
            } catch (error) {
              // A call made while run() cancels all tasks is cancelled too.
              if (!(error instanceof CancelledError)) throw error;
            }
          }
        },
        loop.handle(),
        started,
      )
    );
    await sleep(0);
    await Atomics.waitAsync(started, 0, 0).value;
  });
  assertEquals(answered, 20);
});

Deno.test("A thread that waits for a task when run() cancels it is cancelled", async () => {
  let outcome: unknown;
  await run(async () => {
    const loop = getRunningLoop();
    const asked = Promise.withResolvers<void>();
    loop.expose({
      endless: async () => {
        asked.resolve();
        await sleep(Infinity);
      },
      tell: (it: unknown) => void (outcome = it),
    });
    createTask(() =>
      toThread((loop: LoopHandle) => {
        const future = runCoroutineThreadsafe("endless", loop);
        try {
          future.result(60);
        } catch (error) {
          const told = error instanceof CancelledError && future.cancelled();
          runCoroutineThreadsafe("tell", loop, told).result(60);
        }
      }, loop.handle())
    );
    await asked.promise;
  });
  assertEquals(outcome, true);
});

Deno.test("runCoroutineThreadsafe() on the loop's own thread takes any coroutine function", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const future = runCoroutineThreadsafe(() => addLater(1, 2), loop);
    assert(future instanceof ThreadFuture);
    assertFalse(future.done());
    const sum: number = await future;
    assertEquals(sum, 3);
    assert(future.done());
    assertEquals([future.result(), future.exception()], [3, null]);
    const failing = runCoroutineThreadsafe(() => {
      throw new EvalError("x");
    }, loop);
    await assertRejects(() => Promise.resolve(failing), EvalError);
    assertThrows(() => failing.result(), EvalError);
    assertInstanceOf(failing.exception(), EvalError);
  });
});

Deno.test("ThreadFuture.result() refuses to block the thread that runs the loop", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({ addLater });
    const futures = [
      runCoroutineThreadsafe(() => addLater(1, 2), loop),
      runCoroutineThreadsafe("addLater", loop.handle(), 1, 2),
      runCoroutineThreadsafe("addLater", loop, 1, 2),
    ];
    for (const future of futures) {
      assertThrows(() => future.result(), RuntimeError, "Cannot block");
      assertThrows(() => future.exception(1), RuntimeError, "Cannot block");
      assertThrows(() => future.result(0), TimeoutError);
      assertThrows(() => future.result(NaN), RangeError);
    }
    assertEquals(await Promise.all(futures), [3, 3, 3]);
    assertEquals(futures[1].result(), 3);
  });
});

Deno.test("ThreadFuture.cancel() on the loop's own thread cancels the task, and so does cancelling who awaits it [test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_and_cancel]", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const ends: string[] = [];
    const endless = async () => {
      try {
        await sleep(3600);
      } finally {
        ends.push("ended");
      }
    };
    const unstarted = runCoroutineThreadsafe(endless, loop);
    assert(unstarted.cancel());
    assertThrows(() => unstarted.result(), CancelledError);
    const started = runCoroutineThreadsafe(endless, loop);
    await sleep(0);
    await sleep(0);
    assert(started.cancel());
    assert(started.cancelled());
    const awaited = runCoroutineThreadsafe(endless, loop);
    const task = createTask(() => awaited);
    await sleep(0);
    await sleep(0);
    task.cancel();
    await assertRejects(() => task, CancelledError);
    assert(awaited.cancelled());
    while (allTasks().size > 1) await sleep(0);
    assertEquals(ends, ["ended", "ended"]);
  });
});

Deno.test("ThreadFuture.addDoneCallback() on the loop's own thread calls on its turn, and survives an error", async () => {
  const errors: unknown[] = [];
  const { error } = console;
  console.error = (...data) => void errors.push(...data);
  try {
    await run(async () => {
      const loop = getRunningLoop();
      const future = runCoroutineThreadsafe(() => 1, loop);
      const called = loop.createFuture<number>();
      future.addDoneCallback(() => {
        throw new EvalError("in a callback");
      });
      future.addDoneCallback((it) => called.setResult(it.result()));
      assertEquals(await called, 1);
    });
  } finally {
    console.error = error;
  }
  assertStringIncludes(String(errors[0]), "done callback of a ThreadFuture");
  assertInstanceOf(errors[1], EvalError);
});

Deno.test("runCoroutineThreadsafe() reports a task factory that fails to the caller and to the exception handler", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const heard: unknown[] = [];
    loop.expose({ addLater });
    loop.setExceptionHandler((_, { exception }) => heard.push(exception));
    loop.setTaskFactory(() => {
      throw new SyntaxError("no tasks today");
    });
    await assertRejects(
      () => Promise.resolve(runCoroutineThreadsafe(() => 1, loop)),
      SyntaxError,
    );
    await assertRejects(
      () =>
        toThread(
          (loop) => runCoroutineThreadsafe("addLater", loop).result(),
          loop.handle(),
        ),
      SyntaxError,
      "no tasks today",
    );
    loop.setTaskFactory(null);
    assertEquals(heard.length, 2);
    for (const error of heard) assertInstanceOf(error, SyntaxError);
  });
});

Deno.test("A loop in a worker can be called from the main thread, which may block", async () => {
  const url = new URL("./_thread_loop.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  try {
    const loop = await new Promise<LoopHandle>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
    assertEquals(runCoroutineThreadsafe("add", loop, 1, 2).result(60), 3);
    assertEquals(await runCoroutineThreadsafe("add", loop, 3, 4), 7);
    assertEquals(runCoroutineThreadsafe("stop", loop).result(60), undefined);
  } finally {
    worker.terminate();
  }
});

Deno.test("Threads and their calls work in debug mode", async () => {
  const result = await run(() => {
    const loop = getRunningLoop();
    loop.expose({ addLater });
    return toThread(
      (loop) => runCoroutineThreadsafe<number>("addLater", loop, 1, 2).result(),
      loop.handle(),
    );
  }, { debug: true });
  assertEquals(result, 3);
});
