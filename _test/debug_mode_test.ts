import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  CancelledError,
  Condition,
  createTask,
  currentTask,
  Event,
  type EventLoop,
  gather,
  getRunningLoop,
  Queue,
  run,
  Runner,
  RuntimeError,
  sleep,
  type Task,
  TaskGroup,
  timeout,
  TimeoutError,
  waitFor,
} from "@asyncio/asyncio";
import { collectReports, debugged, lineWith, reportsOf } from "./_places.ts";
import { program } from "./_programs.ts";

const here = (remark: string) => lineWith(remark, import.meta.url);

/** Keeps the thread busy. */
function compute(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** Lets a task get to its first wait, cancels it, and waits for its end. */
async function cancelAfterStart(
  body: () => Promise<unknown>,
  name = "child",
): Promise<void> {
  const task = createTask(body, { name });
  await sleep(1);
  task.cancel();
  await gather([task], { returnExceptions: true });
}

Deno.test("debug mode reports a slow step with the task's name and the wait that it came from", async () => {
  const reports = await reportsOf(async () => {
    getRunningLoop().slowCallbackDuration = 0.01;
    const task = createTask(async () => {
      await sleep(1); // before the slow step
      compute(20);
    }, { name: "cruncher" });
    await task;
  });
  const report = reports.find(({ message }) => message.includes("cruncher"))!;
  assertStringIncludes(report.message, "A step of task cruncher took 0.0");
  assertStringIncludes(report.message, here("before the slow step"));
  assertEquals((report.task as Task<void>).getName(), "cruncher");
});

Deno.test("debug mode reports a slow first step and a slow callback", async () => {
  const messages = (await reportsOf(async () => {
    getRunningLoop().slowCallbackDuration = 0.01;
    getRunningLoop().callSoon(function tick() {
      compute(20);
    });
    await createTask(() => compute(20), { name: "starter" });
  })).map(({ message }) => message);
  assert(messages.some((it) => it.startsWith("Callback tick took 0.0")));
  assert(messages.some((it) => it.startsWith("A step of task starter took")));
});

Deno.test("without debug mode nothing is reported and nothing is remembered", async () => {
  await run(async () => {
    const reports = collectReports();
    getRunningLoop().slowCallbackDuration = 0.001;
    const task = createTask(async () => {
      await sleep(3600).catch(() => compute(5));
      await sleep(0);
    });
    await sleep(0);
    assertEquals(task.getStack(), []);
    task.cancel();
    await task;
    assertEquals(reports, []);
  }, { debug: false });
});

Deno.test("debug mode reports a task that catches its cancellation and ends with a value after another wait", async () => {
  const [report, ...others] = await reportsOf(() =>
    cancelAfterStart(async () => {
      try {
        await sleep(3600); // swallowed at the end
      } catch {
        await sleep(1);
      }
      return "done";
    })
  );
  assertStringIncludes(
    report.message,
    "Task child was cancelled but continued",
  );
  assertStringIncludes(report.message, here("swallowed at the end"));
  assertStringIncludes(
    report.cancelledAt as string,
    here("swallowed at the end"),
  );
  assertEquals(others, []);
});

Deno.test("debug mode reports a loop that catches the cancellation of its wait, once for each", async () => {
  const reports = await reportsOf(async () => {
    const queue = new Queue<number>();
    const task = createTask(async () => {
      for (;;) {
        try {
          await queue.get(); // swallowed in the loop
        } catch (error) {
          if (error instanceof RangeError) throw error;
        }
      }
    }, { name: "consumer" });
    await sleep(1);
    task.cancel();
    await sleep(1);
    task.cancel();
    await sleep(1);
    queue.get = () => Promise.reject(new RangeError("end"));
    task.cancel();
    await assertRejects(() => task, RangeError);
  });
  assertEquals(reports.length, 2);
  for (const { message } of reports) {
    assertStringIncludes(message, "Task consumer was cancelled but continued");
    assertStringIncludes(message, here("swallowed in the loop"));
  }
});

Deno.test("debug mode reports a loop that swallows in a function that it calls", async () => {
  const reports = await reportsOf(async () => {
    let rounds = 0;
    const wait = async () => {
      await sleep(3600); // swallowed below the loop
    };
    const task = createTask(async () => {
      while (rounds++ < 2) await wait().catch(() => {});
    });
    await sleep(1);
    task.cancel();
    await sleep(3600);
    await task;
  });
  assertEquals(reports.length, 1);
  assertStringIncludes(reports[0].message, here("swallowed below the loop"));
});

Deno.test("debug mode reports a timeout whose body catches the cancellation and continues", async () => {
  const reports = await reportsOf(() =>
    timeout(1, async () => {
      try {
        await sleep(3600); // swallowed in a timeout
      } catch {
        await sleep(0);
      }
    })
  );
  assertEquals(reports.length, 1);
  assertStringIncludes(reports[0].message, here("swallowed in a timeout"));
});

Deno.test("debug mode reports a group whose body catches the interruption and continues", async () => {
  const reports = await reportsOf(() =>
    assertRejects(() =>
      TaskGroup.run(async (group) => {
        group.createTask(() => Promise.reject(new RangeError("far")));
        try {
          await sleep(3600); // swallowed in a group
        } catch {
          await sleep(0);
        }
      })
    )
  );
  assertEquals(reports.length, 1);
  assertStringIncludes(reports[0].message, here("swallowed in a group"));
});

const innocent: Record<string, () => Promise<unknown>> = {
  "that cleans up and throws it on": () =>
    cancelAfterStart(async () => {
      try {
        await sleep(3600);
      } finally {
        for (let i = 0; i < 3; i++) await sleep(1);
      }
    }),
  "that answers with another error": () =>
    cancelAfterStart(async () => {
      try {
        await sleep(3600);
      } catch (cause) {
        await sleep(1);
        throw new RangeError("no", { cause });
      }
    }),
  "that ends with a value at once": () =>
    cancelAfterStart(() => sleep(3600).catch(() => "stopped")),
  "that takes the request back": () =>
    cancelAfterStart(async () => {
      try {
        await sleep(3600);
      } catch {
        currentTask()!.uncancel();
      }
      await sleep(1);
      return await sleep(1, { result: "done" });
    }),
  "whose cleanup goes through the same function": () =>
    cancelAfterStart(async () => {
      const pause = () => sleep(10);
      try {
        await pause();
      } finally {
        await pause();
      }
    }),
  "whose loop waits in a finally": () =>
    cancelAfterStart(async () => {
      for (;;) {
        try {
          await sleep(0.25);
        } finally {
          await sleep(0.25);
        }
      }
    }),
};

for (const [what, program] of Object.entries(innocent)) {
  Deno.test(`debug mode says nothing of a task ${what}`, async () => {
    assertEquals(await reportsOf(program), []);
  });
}

Deno.test("debug mode says nothing of the module's own scopes", async () => {
  assertEquals(
    await reportsOf(async () => {
      for (let i = 0; i < 3; i++) {
        await assertRejects(() => timeout(1, () => sleep(9)), TimeoutError);
        await assertRejects(() => waitFor(() => sleep(9), 1), TimeoutError);
        await assertRejects(() => waitFor(new Event().wait(), 1), TimeoutError);
      }
      await assertRejects(() =>
        TaskGroup.run(async (group) => {
          group.createTask(() => Promise.reject(new RangeError("far")));
          await sleep(9);
        })
      );
      await TaskGroup.run(async (group) => {
        group.createTask(() => sleep(9));
        group.cancel();
        await sleep(9);
      });
      await sleep(1);
    }),
    [],
  );
});

Deno.test("debug mode says nothing of the task that awaits one that was cancelled", async () => {
  assertEquals(
    await reportsOf(async () => {
      for (let i = 0; i < 3; i++) {
        const task = createTask(() => sleep(3600));
        await sleep(1);
        task.cancel();
        await task.catch(() => {});
      }
    }),
    [],
  );
});

Deno.test("debug mode says nothing of a condition that takes its lock again", async () => {
  assertEquals(
    await reportsOf(async () => {
      const condition = new Condition();
      const waiter = createTask(async () => {
        using _ = await condition.acquire();
        await condition.waitFor(() => false);
      });
      await sleep(1);
      {
        using _ = await condition.acquire();
        waiter.cancel();
        await sleep(1);
        waiter.cancel();
        await sleep(1);
        waiter.cancel();
        await sleep(1);
      }
      await assertRejects(() => waiter, CancelledError);
    }),
    [],
  );
});

Deno.test("debug mode says nothing of a wait that ends with a value though its task was cancelled", async () => {
  assertEquals(
    await reportsOf(async () => {
      const stubborn = createTask(async () => {
        await sleep(3600).catch(() => {});
        return "anyway";
      });
      const outer = createTask(async () => {
        assertEquals(await stubborn, "anyway");
        for (let i = 0; i < 3; i++) await sleep(1);
        return "outer";
      });
      await sleep(1);
      outer.cancel();
      assertEquals(await outer, "outer");
    }),
    [],
  );
});

Deno.test("debug mode reports a cancelled task that sits in a foreign promise, with its line", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const alive = loop.callLater(3600, () => {}); // or nothing would be left to do
    const reported = loop.createFuture<Record<string, unknown>>();
    loop.setExceptionHandler((_, report) => reported.setResult(report));
    const { promise, resolve } = Promise.withResolvers<void>();
    const ask = async () => {
      await promise; // deaf
    };
    const task = createTask(async () => await ask(), { name: "deaf" });
    await sleep(0);
    task.cancel(); // cancels the deaf
    const message = (await reported).message as string;
    assertStringIncludes(message, "Task deaf was cancelled at ");
    assertStringIncludes(message, here("cancels the deaf"));
    assertStringIncludes(message, " 1 s ago, but sits in a foreign promise");
    assertStringIncludes(message, here("deaf"));
    alive.cancel();
    resolve();
    await assertRejects(() => task, CancelledError);
  }, { debug: true });
});

Deno.test("debug mode leaves no timer behind when a foreign promise ends in time", async () => {
  await run(async () => {
    const reports = collectReports();
    const { promise, resolve } = Promise.withResolvers<void>();
    const tasks = [
      createTask((signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
        })
      ),
      createTask(async () => {
        await promise;
        await sleep(3600);
      }),
      createTask(() => promise),
    ];
    await sleep(0);
    for (const task of tasks) task.cancel();
    resolve();
    await gather(tasks, { returnExceptions: true });
    assert(tasks.every((task) => task.cancelled()));
    assertEquals(reports, []);
  }, { debug: true });
});

Deno.test("debug mode leaves no timer behind for a task whose signal was aborted before it began", async () => {
  await run(async () => {
    const reports = collectReports();
    const signal = AbortSignal.abort();
    const tasks = [false, true].map((eagerStart) =>
      createTask(() => sleep(3600), { signal, eagerStart })
    );
    await gather(tasks, { returnExceptions: true });
    assert(tasks.every((task) => task.cancelled()));
    assertEquals(reports, []);
  }, { debug: true });
});

Deno.test("debug mode refuses to schedule from another running loop, except threadsafe", async () => {
  await using first = new Runner({ debug: true });
  await using second = new Runner();
  const loop = Promise.withResolvers<EventLoop>();
  const called = Promise.withResolvers<void>();
  await Promise.all([
    first.run(async () => {
      loop.resolve(getRunningLoop());
      await called.promise;
    }),
    second.run(async () => {
      const other = await loop.promise;
      const schedule = [
        () => other.callSoon(() => {}),
        () => other.callLater(1, () => {}),
        () => other.callAt(1, () => {}),
        () => other.createTask(() => {}),
      ];
      for (const call of schedule) {
        assertThrows(call, RuntimeError, "belongs to another event loop");
      }
      other.callSoonThreadsafe(called.resolve);
    }),
  ]);
});

Deno.test("debug mode says where a task was made whose error nobody retrieved", async () => {
  const [report, ...others] = await reportsOf(() => {
    createTask(() => Promise.reject(new RangeError("far"))); // lost
  });
  assertStringIncludes(report.message, "exception was never retrieved");
  assertStringIncludes(report.madeAt as string, here("lost"));
  assertEquals(others, []);
});

Deno.test("debug mode opens its doors for as long as a loop is in it", async () => {
  const descriptor = () =>
    Object.getOwnPropertyDescriptor(Promise.prototype, "constructor");
  const before = descriptor();
  await debugged(async () => {
    assert(descriptor()!.get);
    class Own<T> extends Promise<T> {}
    assertEquals(await new Own((resolve) => resolve(1)), 1);
    const promise = Promise.resolve(1);
    assertEquals(promise.constructor, Promise);
    promise.constructor = Own;
    assertEquals(promise.constructor, Own);
    assertEquals(Promise.resolve(2).constructor, Promise);
  });
  assertEquals(descriptor(), before);
});

Deno.test("EventLoop.setDebug() counts for the tasks made afterwards", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const wait = async () => {
      await new Event().wait(); // watched
    };
    const [plain, watched] = [false, true].map((debug) => {
      loop.setDebug(debug);
      return createTask(wait);
    });
    await sleep(0);
    loop.setDebug(false);
    assertEquals(plain.getStack(), []);
    assertStringIncludes(watched.getStack()[0], here("watched"));
    plain.cancel();
    watched.cancel();
  });
});

Deno.test("debug mode takes few stacks of a program that awaits all the time", async () => {
  const capture = Error.captureStackTrace;
  let taken = 0;
  const descriptor = () =>
    Object.getOwnPropertyDescriptor(Promise.prototype, "constructor")!;
  await run(async () => {
    Error.captureStackTrace = (...args) => {
      taken++;
      capture(...args);
    };
    for (let i = 0; i < 50_000; i++) await sleep(0);
    const promise = Promise.resolve();
    for (let i = 0; i < 5_000; i++) await promise;
    assertEquals(descriptor().value, Promise); // native awaits continue undisturbed
    Error.captureStackTrace = capture;
    await sleep(0.2);
    await sleep(0);
    assert(descriptor().get); // and are seen again
  }, { debug: true }).finally(() => Error.captureStackTrace = capture);
  assert(taken < 25_000, `${taken} stacks of 50,000 awaits`);
});

Deno.test("A report says that ASYNCIO_DEBUG cannot be read", async () => {
  const body = `
    createTask(() => new Promise(() => {}));
    await sleep(0);
    dumpTasks();
    Deno.exit(0);`;
  const hint = "\nASYNCIO_DEBUG cannot be read without --allow-env";
  const denied = await program(body);
  assertStringIncludes(denied.stderr, hint);
  const args = ["--allow-env=ASYNCIO_DEBUG"];
  const allowed = await program(body, {}, { args });
  assertFalse(allowed.stderr.includes(hint));
});
