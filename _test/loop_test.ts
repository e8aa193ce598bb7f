import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  createTask,
  EventLoop,
  gather,
  getEventLoop,
  getRunningLoop,
  type Handle,
  run,
  RuntimeError,
  sleep,
  Task,
  type TimerHandle,
  VirtualTimeLoop,
} from "@asyncio/asyncio";
import { shape, virtual } from "./_virtual.ts";

Deno.test("EventLoop.callSoon() calls in the order of the calls, with the arguments", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const say = (...words: unknown[]) => log.push(words.join(" "));
    loop.callSoon(say);
    loop.callSoon(say, 1);
    loop.callSoon(say, "a", "b");
    assertEquals(log, []);
    await sleep(0);
    assertEquals(log, ["", "1", "a b"]);
  });
});

Deno.test("EventLoop.callSoon() from a callback waits for the next batch", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const chain = (name: string, left: number) => {
      log.push(`${name} ${left}`);
      if (left > 0) loop.callSoon(chain, name, left - 1);
    };
    loop.callSoon(chain, "a", 2);
    loop.callSoon(chain, "b", 1);
    await sleep(0);
    log.push("main");
    await sleep(0);
    log.push("main");
    await sleep(0);
    assertEquals(log, ["a 2", "b 1", "main", "a 1", "b 0", "main", "a 0"]);
  });
});

Deno.test("EventLoop.callSoon() lets the microtasks of a callback run before the next", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const step = async (name: string) => {
      log.push(`${name} starts`);
      for (let i = 0; i < 5; i++) await Promise.resolve();
      log.push(`${name} ends`);
    };
    loop.callSoon(step, "a");
    loop.callSoon(step, "b");
    await sleep(0);
    assertEquals(log, ["a starts", "a ends", "b starts", "b ends"]);
  });
});

Deno.test("EventLoop.callSoon() refuses what is no function", () => {
  const loop = new EventLoop();
  // @ts-expect-error: not a function
  assertThrows(() => loop.callSoon("f"), TypeError, 'got "f"');
  // @ts-expect-error: not a function
  assertThrows(() => loop.callLater(1, null), TypeError, "got null");
});

Deno.test("Handle.cancel() takes a call back, also within its batch", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const one = loop.callSoon(() => log.push("one"));
    const two: Handle = loop.callSoon(() => {
      log.push("two");
      three.cancel();
      two.cancel();
    });
    const three = loop.callSoon(() => log.push("three"));
    one.cancel();
    assertEquals([one.cancelled(), two.cancelled()], [true, false]);
    await sleep(0);
    assertEquals(log, ["two"]);
    assert(three.cancelled());
    one.cancel();
    await sleep(0);
    assertEquals(log, ["two"]);
  });
});

Deno.test("EventLoop.callLater() and callAt() call at their times, equal ones in the order of the calls", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const say = (name: string) => log.push(`${name} at ${loop.time()}`);
    loop.callLater(3, say, "later 3");
    loop.callAt(2, say, "at 2");
    loop.callLater({ milliseconds: 2000 }, say, "later 2");
    loop.callLater(-1, say, "past");
    loop.callLater(0, say, "now");
    loop.callSoon(say, "soon");
    loop.callAt(-5, say, "long past");
    loop.callLater(Infinity, say, "never");
    assertEquals(log, []);
    await sleep(10);
    assertEquals(log, [
      "soon at 0",
      "long past at 0",
      "past at 0",
      "now at 0",
      "at 2 at 2",
      "later 2 at 2",
      "later 3 at 3",
    ]);
  });
});

Deno.test("EventLoop.callAt() refuses NaN", () => {
  const loop = new EventLoop();
  assertThrows(() => loop.callAt(NaN, () => {}), RangeError, "Invalid time");
  assertThrows(() => loop.callLater(NaN, () => {}), RangeError);
});

Deno.test("TimerHandle knows its time, and takes its call back", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    await sleep(1);
    const handle: TimerHandle = loop.callLater(2, () => log.push("called"));
    assertEquals(handle.when(), 3);
    assertEquals(loop.callAt(7, () => {}).when(), 7);
    assertEquals(handle.cancelled(), false);
    handle.cancel();
    assertEquals(handle.cancelled(), true);
    const late: TimerHandle = loop.callLater(1, () => log.push("late"));
    await sleep(10);
    late.cancel();
    assertEquals(log, ["late"]);
  });
});

Deno.test("EventLoop.callLater() fires all that is due before a task resumes", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const task = createTask(async () => {
      await sleep(1);
      log.push("task");
    });
    await sleep(0);
    loop.callLater(1, () => log.push("timer one"));
    loop.callLater(1, () => log.push("timer two"));
    await task;
    assertEquals(log, ["timer one", "timer two", "task"]);
  });
});

Deno.test("EventLoop.callLater() loses no timer among thousands that are taken back", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const due: number[] = [];
    const delays = Array.from({ length: 3000 }, (_, i) => (i * 7919) % 3000);
    const handles = delays.map((delay) =>
      loop.callLater(delay, () => due.push(delay))
    );
    handles.forEach((handle, i) => delays[i] % 10 !== 0 && handle.cancel());
    await sleep(3000);
    assertEquals(due, Array.from({ length: 300 }, (_, i) => i * 10));
  });
});

/** Makes the host's clock and timers a hundred million times faster. */
function fastHost(): { slowest(): number } & Disposable {
  const { setTimeout, performance } = globalThis;
  const speed = 1e8;
  const start = performance.now();
  let slowest = 0;
  // deno-lint-ignore no-explicit-any
  globalThis.setTimeout = ((fn: any, delay = 0, ...args: any[]) => {
    slowest = Math.max(slowest, delay);
    return setTimeout(fn, delay / speed, ...args);
    // deno-lint-ignore no-explicit-any
  }) as any;
  const now = () => start + (performance.now() - start) * speed;
  Object.defineProperty(globalThis, "performance", {
    configurable: true,
    value: { now },
  });
  return {
    slowest: () => slowest,
    [Symbol.dispose]() {
      globalThis.setTimeout = setTimeout;
      Object.defineProperty(globalThis, "performance", {
        configurable: true,
        value: performance,
      });
    },
  };
}

Deno.test("EventLoop.callLater() divides a time that the host's timers cannot count", async () => {
  using host = fastHost();
  const loop = new EventLoop();
  const fired = Promise.withResolvers<number>();
  const start = loop.time();
  loop.callLater({ hours: 24 * 365 }, () => fired.resolve(loop.time()));
  const took = await fired.promise - start;
  assert(took >= 365 * 86_400, `fired after ${took} seconds`);
  assertEquals(host.slowest(), 2 ** 31 - 1);
});

Deno.test("EventLoop.callLater() beyond the host's 31 bits does not fire at once", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    let called = false;
    const handle = loop.callLater(2 ** 31 / 1000 + 1, () => called = true);
    const sleeping = createTask(() => sleep({ hours: 24 * 30 }));
    for (let i = 0; i < 200; i++) await sleep(0);
    await new Promise((resolve) => setTimeout(resolve, 2));
    assertEquals([called, sleeping.done()], [false, false]);
    handle.cancel();
    sleeping.cancel();
  });
});

Deno.test("EventLoop.time() never goes back", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    let last = loop.time();
    for (let i = 0; i < 100; i++) {
      await sleep(0);
      assert(loop.time() >= last);
      last = loop.time();
    }
  });
});

Deno.test("EventLoop.setExceptionHandler() hears of an error in a callback, and the loop continues", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const handler = (own: unknown, context: { message: string }) => {
      assertStrictEquals(own, loop);
      const { exception, handle } = context as Record<string, unknown>;
      log.push(`${context.message}: ${shape(exception)} ${handle === broken}`);
    };
    assertStrictEquals(loop.getExceptionHandler(), null);
    loop.setExceptionHandler(handler);
    assertStrictEquals(loop.getExceptionHandler(), handler);
    const broken = loop.callSoon(function named() {
      throw new RangeError("far");
    });
    loop.callLater(1, () => {
      throw new TypeError("odd");
    });
    loop.callSoon(() => log.push("next"));
    await sleep(2);
    assertEquals(log, [
      "Error in callback named: RangeError(far) true",
      "next",
      "Error in callback (anonymous): TypeError(odd) false",
    ]);
  });
});

Deno.test("EventLoop.setExceptionHandler() refuses what is no function", () => {
  // @ts-expect-error: not a function
  const set = () => new EventLoop().setExceptionHandler("handler");
  assertThrows(set, TypeError, 'must be a function, got "handler"');
});

Deno.test("EventLoop.callExceptionHandler() hands over what it is given", () => {
  const loop = new EventLoop();
  const context = { message: "m", peername: "here" };
  let heard: unknown;
  loop.setExceptionHandler((_, it) => heard = it);
  loop.callExceptionHandler(context);
  assertStrictEquals(heard, context);
});

/** A loop that keeps the reports that would go to the standard error stream. */
class ReportingLoop extends EventLoop {
  readonly reports: string[] = [];
  override defaultExceptionHandler(
    context: Parameters<EventLoop["defaultExceptionHandler"]>[0],
  ): void {
    this.reports.push(`${context.message} ${shape(context.exception)}`);
  }
}

Deno.test("EventLoop.callExceptionHandler() reports both errors if the handler fails", () => {
  const loop = new ReportingLoop();
  loop.setExceptionHandler(() => {
    throw new TypeError("handler");
  });
  loop.callExceptionHandler({ message: "first", exception: new Error("e") });
  loop.setExceptionHandler(null);
  loop.callExceptionHandler({ message: "second" });
  assertEquals(loop.reports, [
    "first Error(e)",
    "The exception handler itself failed TypeError(handler)",
    "second undefined",
  ]);
});

Deno.test("EventLoop.close() drops what is ready and what is timed, and refuses more", async () => {
  const loop = new VirtualTimeLoop();
  const log: string[] = [];
  loop.callSoon(() => log.push("soon"));
  loop.callLater(1, () => log.push("later"));
  assertEquals([loop.isRunning(), loop.isClosed()], [false, false]);
  loop.close();
  assertEquals([loop.isRunning(), loop.isClosed()], [false, true]);
  loop.close();
  const closed = "The event loop is closed";
  assertThrows(() => loop.callSoon(() => {}), RuntimeError, closed);
  assertThrows(() => loop.callSoonThreadsafe(() => {}), RuntimeError, closed);
  assertThrows(() => loop.callLater(1, () => {}), RuntimeError, closed);
  assertThrows(() => loop.callAt(1, () => {}), RuntimeError, closed);
  assertThrows(() => loop.createTask(() => {}), RuntimeError, closed);
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(log, []);
  assertEquals(loop.time(), 0);
});

Deno.test("EventLoop.close() refuses a loop that is running", async () => {
  const error = await assertRejects(
    () => run(() => getRunningLoop().close()),
    RuntimeError,
  );
  assertEquals(error.message, "Cannot close a loop that is running");
});

Deno.test("EventLoop.close() from its own callback ends the batch", async () => {
  const loop = new EventLoop();
  const log: string[] = [];
  const closed = Promise.withResolvers<void>();
  loop.callSoon(() => {
    log.push("closing");
    loop.close();
    closed.resolve();
  });
  loop.callSoon(() => log.push("unreachable"));
  await closed.promise;
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(log, ["closing"]);
});

Deno.test("EventLoop works without a runner: what is asked of it starts it", async () => {
  const loop = new VirtualTimeLoop({ start: 100 });
  const log: string[] = [];
  const task = loop.createTask(async () => {
    assertStrictEquals(getEventLoop(), loop);
    assertThrows(() => getRunningLoop(), RuntimeError);
    await sleep(60);
    log.push(`task at ${loop.time()}`);
  });
  await task;
  loop.callSoon(() => log.push("callback"));
  await loop.createTask(() => {});
  assertEquals(log, ["task at 160", "callback"]);
  loop.close();
});

Deno.test("getRunningLoop() is the loop of a runner, in tasks, callbacks and what they await", async () => {
  assertThrows(() => getRunningLoop(), RuntimeError, "no running event loop");
  await run(async () => {
    const loop = getRunningLoop();
    assert(loop.isRunning());
    await Promise.resolve();
    assertStrictEquals(getRunningLoop(), loop);
    const seen: unknown[] = [];
    loop.callSoon(() => seen.push(getRunningLoop() === loop));
    await sleep(0);
    assertEquals(seen, [true]);
    assertStrictEquals(getEventLoop(), loop);
  });
});

Deno.test("EventLoop.setDebug() makes a boolean of what it is given", () => {
  const loop = new EventLoop();
  assertEquals([loop.getDebug(), loop.slowCallbackDuration], [false, 0.1]);
  // @ts-expect-error: not a boolean
  loop.setDebug(1);
  assertStrictEquals(loop.getDebug(), true);
  loop.setDebug(false);
  assertStrictEquals(loop.getDebug(), false);
});

/** Loops on `sleep(0)` until it is asked to end; gives the number of rounds. */
async function spin(until: () => boolean): Promise<number> {
  let rounds = 0;
  while (!until()) {
    await sleep(0);
    rounds++;
  }
  return rounds;
}

Deno.test("Tasks that loop on sleep(0) starve neither a real timer, of the host or of the loop, nor each other", async () => {
  await run(async () => {
    const events: string[] = [];
    setTimeout(() => events.push("host"), 5);
    getRunningLoop().callLater(0.005, () => events.push("loop"));
    const sleeper = sleep(0.005).then(() => events.push("sleep"));
    const over = () => events.length === 3;
    const rounds = await gather([spinner, spinner, spinner]);
    await sleeper;
    assertEquals(events.toSorted(), ["host", "loop", "sleep"]);
    const [least, most] = [Math.min(...rounds), Math.max(...rounds)];
    assert(least > 1 && most - least <= 1, `rounds: ${rounds}`);

    function spinner() {
      return spin(over);
    }
  });
});

Deno.test("Tasks that loop on sleep(0) do not starve a real socket", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  await run(async () => {
    let received = "";
    const server = createTask(async () => {
      using conn = await listener.accept();
      const buffer = new Uint8Array(16);
      for (;;) {
        const count = await conn.read(buffer);
        if (count === null) return;
        await conn.write(buffer.subarray(0, count));
      }
    });
    const client = createTask(async () => {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port });
      for (let i = 0; i < 10; i++) {
        await conn.write(new TextEncoder().encode(`${i}`));
        const buffer = new Uint8Array(16);
        const count = await conn.read(buffer);
        received += new TextDecoder().decode(buffer.subarray(0, count!));
      }
    });
    const rounds = await spin(() => client.done());
    await gather([client, server]);
    assertEquals(received, "0123456789");
    assert(rounds > 10, `${rounds} rounds`);
  });
});

Deno.test("Callbacks that keep adding callbacks do not starve a real timer", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    let called = false;
    let rounds = 0;
    const ended = loop.createFuture<void>();
    setTimeout(() => called = true, 5);
    const again = () => {
      rounds++;
      if (called) ended.setResult();
      else loop.callSoon(again);
    };
    loop.callSoon(again);
    await ended;
    assert(rounds >= 64, `${rounds} rounds`); // as many as a turn runs
  });
});

Deno.test("EventLoop that has nothing to do holds nothing", async () => {
  // Timers and ops that are left would fail the sanitizers.
  await run(async () => {
    const loop = getRunningLoop();
    loop.callLater(3600, () => {}).cancel();
    const future = loop.createFuture<string>();
    const task = createTask(async () => await future);
    await new Promise((resolve) => setTimeout(resolve, 2));
    future.setResult("set from outside");
    assertEquals(await task, "set from outside");
  });
});

Deno.test("EventLoop takes up a timer that is due before the one it waits for", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const log: string[] = [];
    const slow = loop.callLater(3600, () => log.push("slow"));
    await new Promise((resolve) => setTimeout(resolve, 2));
    const { promise, resolve } = Promise.withResolvers<void>();
    loop.callLater(0.001, () => {
      log.push("quick");
      resolve();
    });
    await promise;
    slow.cancel();
    assertEquals(log, ["quick"]);
  });
});

Deno.test("EventLoop with a task factory of its own uses it for every task", async () => {
  const made: string[] = [];
  await virtual(async () => {
    const loop = getRunningLoop();
    loop.setTaskFactory((loop, coro, options) => {
      const task = new Task(coro, options, loop);
      made.push(task.getName());
      return task;
    });
    await createTask(() => {}, { name: "one" });
    await loop.createTask(() => {}, { name: "two" });
    await gather([() => {}]);
    assertEquals(made.slice(0, 2), ["one", "two"]);
    assertEquals(made.length, 3);
  });
});
