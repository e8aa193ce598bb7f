import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { getEventListeners } from "node:events";
import {
  CancelledError,
  createTask,
  currentTask,
  gather,
  Queue,
  run,
  sleep,
  type Task,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

/** A server that answers requests on demand, and reports which clients disconnected. */
function slowServer() {
  const arrived = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<string>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      if (new URL(request.url).pathname === "/quick") {
        return new Response("quick");
      }
      arrived.resolve();
      return new Promise((resolve) => {
        request.signal.addEventListener("abort", () => {
          gone.resolve("the server has seen it");
          resolve(new Response("too late"));
        });
      });
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    arrived: arrived.promise,
    gone: gone.promise,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("Task.cancel() ends a real fetch that was given the coroutine's signal, and finally can await", async () => {
  await using server = slowServer();
  await run(async () => {
    const log: string[] = [];
    const task = createTask(async (signal) => {
      try {
        await fetch(server.url, { signal });
      } catch (error) {
        log.push(shape(error));
        throw error;
      } finally {
        await sleep(0.001);
        log.push(`slept, cancelling ${currentTask()!.cancelling()}`);
        const response = await fetch(`${server.url}/quick`);
        log.push(await response.text());
      }
    });
    await server.arrived;
    task.cancel("stop");
    assertEquals(await outcome(task), "CancelledError(stop)");
    assert(task.cancelled());
    assertEquals(await server.gone, "the server has seen it");
    assertEquals(log, ["CancelledError(stop)", "slept, cancelling 1", "quick"]);
  });
});

Deno.test("Task.signal ends a real fetch, and is a fresh one for the next", async () => {
  await using server = slowServer();
  await run(async () => {
    const task = createTask(async () => {
      const { signal } = currentTask()!;
      const error = await outcome(fetch(server.url, { signal }));
      const fresh = currentTask()!.signal;
      assertNotStrictEquals(fresh, signal);
      const response = await fetch(`${server.url}/quick`, { signal: fresh });
      const text = await response.text();
      await sleep(0.001);
      return `${error}, then ${text}`;
    });
    await server.arrived;
    task.cancel();
    assertEquals(await task, "CancelledError, then quick");
    assertEquals(await server.gone, "the server has seen it");
  });
});

Deno.test("Coroutine's signal aborts with the same error that the await rejects with, and stays aborted", async () => {
  await virtual(async () => {
    const log: unknown[] = [];
    const task = createTask(async (signal) => {
      signal.addEventListener("abort", () => log.push("aborted"));
      try {
        await sleep(10);
      } catch (error) {
        assertStrictEquals(signal.reason, error);
        log.push(shape(error));
      }
      await sleep(1);
      assertEquals(currentTask()!.signal.aborted, false);
      return signal.aborted;
    });
    await sleep(1);
    task.cancel("m");
    log.push("cancel() is back");
    assertEquals(await task, true);
    assertEquals(log, ["aborted", "cancel() is back", "CancelledError(m)"]);
  });
});

Deno.test("Task.signal that is asked for after the request is aborted already", async () => {
  await virtual(async () => {
    const task: Task<unknown> = createTask(() => sleep(10));
    await sleep(0);
    assertEquals(task.signal.aborted, false);
    task.cancel("m");
    assert(task.signal.aborted);
    assertEquals(shape(task.signal.reason), "CancelledError(m)");
    await outcome(task);
    const other = createTask(() => sleep(10));
    await sleep(0);
    other.cancel("n");
    assertEquals(shape(other.signal.reason), "CancelledError(n)");
    assertEquals(await outcome(other), "CancelledError(n)");
  });
});

Deno.test("Task.uncancel() of a request that was not delivered gives a fresh signal", async () => {
  await virtual(() => {
    const task = currentTask()!;
    const { signal } = task;
    task.cancel();
    assertEquals([signal.aborted, task.signal === signal], [true, true]);
    task.uncancel();
    assertEquals([signal.aborted, task.signal.aborted], [true, false]);
  });
});

Deno.test("Coroutine's signal ends a wait in a foreign promise, and the cleanup is not interrupted again", async () => {
  await run(async () => {
    const log: string[] = [];
    const foreign = (signal: AbortSignal) =>
      new Promise<void>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    const task = createTask(async (signal) => {
      try {
        await foreign(signal);
      } finally {
        log.push(await outcome(sleep(0.001, { result: "clean" })));
      }
    });
    await sleep(0);
    task.cancel("m");
    assertEquals(await outcome(task), "CancelledError(m)");
    assertEquals(log, ["value clean"]);
  });
});

Deno.test("Coroutine that answers the abort of a real fetch with a value is finished, not cancelled", async () => {
  await using server = slowServer();
  await run(async () => {
    const task = createTask(async (signal) => {
      try {
        return await (await fetch(server.url, { signal })).text();
      } catch {
        return "fallback";
      }
    });
    await server.arrived;
    task.cancel();
    assertEquals(await task, "fallback");
    assertEquals(await server.gone, "the server has seen it");
  });
});

Deno.test("Coroutine's signal with a listener, beside a foreign promise that ignores it: the next wait is interrupted", async () => {
  await run(async () => {
    const foreign = Promise.withResolvers<void>();
    const log: string[] = [];
    const task = createTask(async (signal) => {
      signal.addEventListener("abort", () => log.push("told"));
      await foreign.promise;
      await sleep(10);
    });
    await sleep(0);
    task.cancel("m");
    await new Promise((resolve) => setTimeout(resolve, 5));
    foreign.resolve();
    assertEquals(await outcome(task), "CancelledError(m)");
    assertEquals(log, ["told"]);
  });
});

Deno.test("Task.cancel() again, in the cleanup after a real fetch, interrupts the cleanup", async () => {
  await using server = slowServer();
  await run(async () => {
    const log: string[] = [];
    const task = createTask(async (signal) => {
      try {
        await fetch(server.url, { signal });
      } finally {
        log.push("cleaning up");
        log.push(await outcome(sleep(3600)));
      }
    });
    await server.arrived;
    task.cancel("one");
    while (log.length === 0) await sleep(0);
    task.cancel("two");
    assertEquals(await outcome(task), "CancelledError(one)");
    assertEquals(log, ["cleaning up", "CancelledError(two)"]);
    await server.gone;
  });
});

Deno.test("Coroutine's signal that a foreign promise ignores: the next wait is interrupted", async () => {
  await run(async () => {
    const foreign = Promise.withResolvers<void>();
    const task = createTask(async (signal) => {
      await foreign.promise;
      assert(signal.aborted);
      await sleep(10);
    });
    await sleep(0);
    task.cancel("m");
    await sleep(0);
    foreign.resolve();
    assertEquals(await outcome(task), "CancelledError(m)");
  });
});

Deno.test("Task.cancel() of the running task aborts its signal, and interrupts the next wait", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const task = createTask(async (signal) => {
      currentTask()!.cancel("m");
      log.push(`aborted ${signal.aborted}`);
      log.push(await outcome(sleep(10)));
      log.push(await outcome(sleep(1)));
    });
    await task;
    assertEquals(log, [
      "aborted true",
      "CancelledError(m)",
      "value undefined",
    ]);
  });
});

Deno.test("createTask() with a signal: its abort cancels the task, the reason is the cause", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const seen: unknown[] = [];
    const task = createTask(async (own) => {
      try {
        await sleep(10);
      } finally {
        seen.push(own.aborted, own.reason instanceof CancelledError);
        await sleep(1);
        seen.push("clean");
      }
    }, { signal });
    await sleep(1);
    assertEquals(listeners(signal), 1);
    const reason = new RangeError("enough");
    controller.abort(reason);
    const error = await assertRejects(() => task, CancelledError);
    assertStrictEquals(error.cause, reason);
    assertEquals(seen, [true, true, "clean"]);
    assertEquals([task.cancelled(), task.cancelling()], [true, 1]);
    assertEquals(listeners(signal), 0);
  });
});

Deno.test("createTask() with a signal that is already aborted never runs the body", async () => {
  await virtual(async () => {
    let ran = false;
    const signal = AbortSignal.abort(new RangeError("before"));
    const task = createTask(() => ran = true, { signal });
    const error = await assertRejects(() => task, CancelledError);
    assertEquals(shape(error.cause), "RangeError(before)");
    assertEquals([ran, task.cancelled(), listeners(signal)], [false, true, 0]);
  });
});

Deno.test("createTask() with a signal listens to it only as long as it runs", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const tasks = Array.from(
      { length: 100 },
      (_, i) => createTask(() => sleep(i, { result: i }), { signal }),
    );
    assertEquals(listeners(signal), 1);
    assertEquals((await gather(tasks)).length, 100);
    await sleep(0);
    assertEquals(listeners(signal), 0);
    controller.abort();
    assertEquals(tasks.map((task) => task.cancelled()).includes(true), false);
  });
});

Deno.test("sleep() with a signal rejects with its reason, and leaves the task alone", async () => {
  await virtual(async () => {
    for (const reason of [new RangeError("enough"), "text", undefined]) {
      const controller = new AbortController();
      const { signal } = controller;
      const sleeping = sleep(10, { signal });
      assertEquals(listeners(signal), 1);
      controller.abort(reason);
      let caught: unknown = null;
      try {
        await sleeping;
      } catch (error) {
        caught = error;
      }
      assertStrictEquals(caught, signal.reason);
      assertEquals(listeners(signal), 0);
    }
    assertEquals(currentTask()!.cancelling(), 0);
    assertEquals(await sleep(1, { result: "fine" }), "fine");
  });
});

Deno.test("sleep() with a signal that is already aborted rejects, however short it is", async () => {
  const signal = AbortSignal.abort(new RangeError("before"));
  for (const delay of [0, 1, 3600]) {
    assertEquals(await outcome(sleep(delay, { signal })), "RangeError(before)");
  }
});

Deno.test("sleep() with AbortSignal.timeout() rejects with Deno's TimeoutError", async () => {
  await run(async () => {
    const sleeping = sleep(3600, { signal: AbortSignal.timeout(1) });
    const error = await assertRejects(() => sleeping, DOMException);
    assertEquals(error.name, "TimeoutError");
  });
});

Deno.test("Abort of one signal ends all that waits on it, in call order", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const log: string[] = [];
    const waits: [string, () => PromiseLike<unknown>][] = [
      ["sleep", () => sleep(10, { signal })],
      ["get", () => new Queue().get({ signal })],
      ["other sleep", () => sleep(5, { signal })],
    ];
    const tasks = waits.map(([name, wait]) =>
      createTask(async () => log.push(`${name} ${await outcome(wait())}`))
    );
    await sleep(1);
    assertEquals(listeners(signal), 1);
    controller.abort(new RangeError("all"));
    await gather(tasks);
    assertEquals(log, [
      "sleep RangeError(all)",
      "get RangeError(all)",
      "other sleep RangeError(all)",
    ]);
    assertEquals(listeners(signal), 0);
  });
});

Deno.test("One signal that 100,000 sleeps were given has no listener left", async () => {
  await virtual(async () => {
    const controller = new AbortController();
    const { signal } = controller;
    let most = 0;
    for (let round = 0; round < 100; round++) {
      const sleeps = Array.from({ length: 1000 }, () => sleep(1, { signal }));
      most = Math.max(most, listeners(signal));
      await Promise.all(sleeps);
      assertEquals(listeners(signal), 0);
    }
    assertEquals(most, 1);
  });
});

Deno.test("One signal has no listener left after cancellations", async () => {
  await virtual(async () => {
    const { signal } = new AbortController();
    const tasks = Array.from(
      { length: 1000 },
      () => createTask(() => sleep(10, { signal })),
    );
    await sleep(1);
    assertEquals(listeners(signal), 1);
    for (const task of tasks) task.cancel();
    await gather(tasks, { returnExceptions: true });
    assertEquals(listeners(signal), 0);
  });
});

Deno.test("Abort and cancel() in one step: the cancellation wins in either order", async () => {
  await virtual(async () => {
    const log: string[] = [];
    for (const first of ["abort", "cancel"]) {
      const controller = new AbortController();
      const { signal } = controller;
      const task = createTask(async () => {
        log.push(await outcome(sleep(10, { signal })));
        log.push(await outcome(sleep(1)));
      });
      await sleep(1);
      const steps = [() => controller.abort("aborted"), () => task.cancel()];
      if (first === "cancel") steps.reverse();
      for (const step of steps) step();
      await task;
    }
    assertEquals(log, [
      "CancelledError",
      "value undefined",
      "CancelledError",
      "value undefined",
    ]);
  });
});

Deno.test("Abort after the loop has closed is ignored", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const log: string[] = [];
  await run(() => {
    sleep(3600, { signal }).then(() => log.push("slept"), () => log.push("x"));
  });
  controller.abort(new RangeError("late"));
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(log, []);
  assertEquals(listeners(signal), 0);
});
