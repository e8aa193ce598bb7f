import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { setImmediate } from "node:timers";
import {
  CancelledError,
  createTask,
  currentTask,
  Event,
  EventLoop,
  getEventLoop,
  getRunningLoop,
  type LoopHost,
  run,
  RuntimeError,
  sleep,
  TaskGroup,
  Timeout,
  timeout,
  timeoutAt,
  TimeoutError,
} from "@asyncio/asyncio";
import { runTimeout } from "../_timeout.ts";
import { outcome, virtual } from "./_virtual.ts";

const far = () => new RangeError("far");

/** A virtual clock that a body can advance, as if it kept the thread busy. */
class BusyHost implements LoopHost {
  #now = 0;
  #asked = 0;

  now(): number {
    return this.#now;
  }

  beBusy(seconds: number): void {
    this.#now += seconds;
  }

  soon(turn: () => void): void {
    setImmediate(turn);
  }

  wakeAt(when: number, turn: () => void): void {
    const asked = ++this.#asked;
    setImmediate(() => {
      if (asked !== this.#asked) return;
      this.#now = Math.max(this.#now, when);
      turn();
    });
  }

  forget(): void {
    this.#asked++;
  }
}

/** Awaits a promise, and logs and re-throws its error. */
async function logged<T>(log: string[], name: string, body: PromiseLike<T>) {
  try {
    return await body;
  } catch (error) {
    const { name: kind } = error as Error;
    log.push(`${name} ${kind} ${currentTask()!.cancelling()}`);
    throw error;
  }
}

Deno.test("timeout() ends a body that takes too long [test_timeouts.TimeoutTests.test_timeout_basic]", async () => {
  await virtual(async () => {
    let scope: Timeout | undefined;
    const body = (it: Timeout) => {
      scope = it;
      assert(!it.expired());
      return sleep(10);
    };
    await assertRejects(() => timeout(0.5, body), TimeoutError, "Timed out");
    assert(scope!.expired());
    assertEquals(getRunningLoop().time(), 0.5);
  });
});

Deno.test("timeout() takes a duration in named units", async () => {
  await virtual(async () => {
    const body = () => sleep(10);
    await assertRejects(() => timeout({ minutes: 0.1 }, body), TimeoutError);
    assertEquals(getRunningLoop().time(), 6);
    await timeout({ minutes: 1 }, body);
    assertEquals(getRunningLoop().time(), 16);
  });
});

Deno.test("timeoutAt() ends a body at a time that can be read back [test_timeouts.TimeoutTests.test_timeout_at_basic]", async () => {
  await virtual(async () => {
    await sleep(1);
    let scope: Timeout | undefined;
    const body = (it: Timeout) => (scope = it, sleep(10));
    await assertRejects(() => timeoutAt(1.25, body), TimeoutError);
    assertEquals([scope!.when(), getRunningLoop().time()], [1.25, 1.25]);
    assert(scope!.expired());
  });
});

Deno.test("timeout() twice with one deadline throws from the outer scope, and both are expired [test_timeouts.TimeoutTests.test_nested_timeouts]", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const scopes: Timeout[] = [];
    const outer = timeoutAt(1, async (outer) => {
      const inner = timeoutAt(1, (inner) => {
        scopes.push(outer, inner);
        return logged(log, "body", sleep(10));
      });
      await logged(log, "inner", inner);
    });
    await logged(log, "outer", outer).catch(() => {});
    assertEquals(log, [
      "body CancelledError 2",
      "inner CancelledError 1",
      "outer TimeoutError 0",
    ]);
    assertEquals(scopes.map((scope) => scope.expired()), [true, true]);
  });
});

Deno.test("timeout() inside a longer one throws from the inner scope, and leaves the outer one its time", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const outer = timeout(2, async (outer) => {
      const inner = timeout(1, () => logged(log, "body", sleep(10)));
      await logged(log, "inner", inner).catch(() => {});
      log.push(`outer expired ${outer.expired()}`);
      await logged(log, "behind", sleep(10));
    });
    await logged(log, "outer", outer).catch(() => {});
    assertEquals(log, [
      "body CancelledError 1",
      "inner TimeoutError 0",
      "outer expired false",
      "behind CancelledError 1",
      "outer TimeoutError 0",
    ]);
    assertEquals(getRunningLoop().time(), 2);
  });
});

Deno.test("timeout() inside a shorter one passes the outer scope's cancellation on", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const outer = timeout(1, async () => {
      let scope: Timeout | undefined;
      const inner = timeout(2, (it) => {
        scope = it;
        return logged(log, "body", sleep(10));
      });
      await logged(log, "inner", inner).finally(() => {
        log.push(`inner expired ${scope!.expired()}`);
      });
    });
    await logged(log, "outer", outer).catch(() => {});
    assertEquals(log, [
      "body CancelledError 1",
      "inner CancelledError 1",
      "inner expired false",
      "outer TimeoutError 0",
    ]);
  });
});

Deno.test("timeout() shows its body a CancelledError, which becomes the cause [test_timeouts.TimeoutTests.test_waiter_cancelled] [test_timeouts.TimeoutTests.test_timeout_exception_context]", async () => {
  await virtual(async () => {
    let seen: unknown;
    const scope = timeout(0.5, async () => {
      try {
        throw far();
      } finally {
        await sleep(10).catch((error) => {
          seen = error;
          throw error;
        });
      }
    });
    const error = await assertRejects(() => scope, TimeoutError);
    assert(seen instanceof CancelledError);
    assertStrictEquals(error.cause, seen);
    assertEquals(seen.cause, undefined);
  });
});

Deno.test("timeout() returns what the body returns in time, and stays readable [test_timeouts.TimeoutTests.test_timeout_not_called]", async () => {
  await virtual(async () => {
    const scope = await timeout(10, async (scope) => {
      await sleep(0.5);
      return [scope];
    });
    assertEquals([scope[0].expired(), scope[0].when()], [false, 10]);
    await sleep(20);
    assert(!scope[0].expired());
    assertEquals(
      await timeout(1, () => "a body may be synchronous"),
      "a body may be synchronous",
    );
  });
});

Deno.test("timeout(null) and timeoutAt(null) never expire [test_timeouts.TimeoutTests.test_timeout_disabled] [test_timeouts.TimeoutTests.test_timeout_at_disabled]", async () => {
  await virtual(async () => {
    for (const make of [timeout, timeoutAt]) {
      await make(null, async (scope) => {
        assertEquals(scope.when(), null);
        await sleep(3600);
        assert(!scope.expired());
      });
    }
  });
});

Deno.test("timeout(Infinity) never expires and leaves no timer behind", async () => {
  const loop = new EventLoop();
  await run(async () => {
    assertEquals(await timeout(Infinity, (scope) => scope.when()), Infinity);
    await timeout(Infinity, () => sleep(0));
  }, { loopFactory: () => loop });
});

Deno.test("timeout() of zero seconds expires at the first wait, and never without one [test_timeouts.TimeoutTests.test_timeout_zero] [test_timeouts.TimeoutTests.test_timeout_zero_sleep_zero] [test_timeouts.TimeoutTests.test_timeout_in_the_past_sleep_zero]", async () => {
  await virtual(async () => {
    await sleep(20);
    for (const [delay, wait] of [[0, 10], [0, 0], [-11, 0], [-11, 10]]) {
      let scope: Timeout | undefined;
      const body = (it: Timeout) => (scope = it, sleep(wait));
      await assertRejects(() => timeout(delay, body), TimeoutError);
      assertEquals([scope!.expired(), scope!.when()], [true, 20 + delay]);
      assertEquals(await timeout(delay, () => "at once"), "at once");
    }
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
    assertEquals(getRunningLoop().time(), 21);
  });
});

Deno.test("timeout() lets other errors through [test_timeouts.TimeoutTests.test_foreign_exception_passed]", async () => {
  await virtual(async () => {
    const error = far();
    let scope: Timeout | undefined;
    const thrown = await timeout(1, (it) => {
      scope = it;
      throw error;
    }).catch((error) => error);
    assertStrictEquals(thrown, error);
    assert(!scope!.expired());
  });
});

Deno.test("timeout() prefers an error of the body [test_timeouts.TimeoutTests.test_foreign_exception_on_timeout] [test_timeouts.TimeoutTests.test_foreign_exception_on_timeout_2]", async () => {
  await virtual(async () => {
    const answer = timeout(1, async (scope) => {
      try {
        await sleep(10);
      } finally {
        assert(scope.expired());
        // deno-lint-ignore no-unsafe-finally
        throw far();
      }
    });
    assertEquals(await outcome(answer), "RangeError(far)");
    const nested = timeout(1, async () => {
      try {
        try {
          throw new TypeError("body");
        } finally {
          await sleep(10);
        }
      } finally {
        // deno-lint-ignore no-unsafe-finally
        throw far();
      }
    });
    assertEquals(await outcome(nested), "RangeError(far)");
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

Deno.test("timeout() does not convert another cancellation [test_timeouts.TimeoutTests.test_foreign_cancel_doesnt_timeout_if_not_expired]", async () => {
  await virtual(async () => {
    let scope: Timeout | undefined;
    const task = createTask(() =>
      timeout(10, async (it) => {
        scope = it;
        currentTask()!.cancel("elsewhere");
        await sleep(10);
      })
    );
    assertEquals(await outcome(task), "CancelledError(elsewhere)");
    assert(!scope!.expired());
  });
});

for (const order of ["before", "after"]) {
  Deno.test(`timeout() lets a cancellation out that comes in the turn of its deadline, just ${order} it`, async () => {
    await virtual(async () => {
      const log: string[] = [];
      const cancel = () => task.cancel("outside");
      if (order === "before") getRunningLoop().callAt(1, cancel);
      const task = createTask(() => {
        const scope = timeoutAt(1, async (scope) => {
          const body = logged(log, "body", sleep(10));
          await body.finally(() => log.push(`expired ${scope.expired()}`));
        });
        return logged(log, "scope", scope);
      });
      await sleep(0);
      if (order === "after") getRunningLoop().callAt(1, cancel);
      assert((await outcome(task)).startsWith("CancelledError"));
      assert(task.cancelled());
      assertEquals(log, [
        "body CancelledError 2",
        "expired true",
        "scope CancelledError 1",
      ]);
    });
  });
}

Deno.test("timeout() leaves its task alive and uncancelled [test_timeouts.TimeoutTests.test_outer_task_is_not_cancelled]", async () => {
  await virtual(async () => {
    const task = createTask(async () => {
      const error = await outcome(timeout(1, () => sleep(10)));
      await sleep(1);
      return error.slice(0, 12);
    });
    assertEquals(await task, "TimeoutError");
    assert(!task.cancelled());
  });
});

/** What happens to two scopes when the thread is kept busy inside of both. */
async function underLoad(outer: number, inner: number, busy: number) {
  const host = new BusyHost();
  const log: string[] = [];
  const main = async () => {
    const scope = timeout(outer, async () => {
      const scope = timeout(inner, () => {
        host.beBusy(busy);
        return logged(log, "body", sleep(1));
      });
      await logged(log, "inner", scope).catch((error) => {
        if (!(error instanceof TimeoutError)) throw error;
      });
      await logged(log, "behind", sleep(10));
    });
    await logged(log, "outer", scope).catch(() => {});
  };
  await run(main, { loopFactory: () => new EventLoop(host) });
  return log;
}

Deno.test("timeout() around a longer one unwinds when the thread was busy past the outer deadline [test_timeouts.TimeoutTests.test_nested_timeouts_concurrent]", async () => {
  assertEquals(await underLoad(0.002, 0.1, 0.01), [
    "body CancelledError 1",
    "inner CancelledError 1",
    "outer TimeoutError 0",
  ]);
});

Deno.test("timeout() around a shorter one stops what follows that one, also if the thread was busy [test_timeouts.TimeoutTests.test_nested_timeouts_loop_busy]", async () => {
  assertEquals(await underLoad(0.1, 0.01, 0.05), [
    "body CancelledError 1",
    "inner TimeoutError 0",
    "behind CancelledError 1",
    "outer TimeoutError 0",
  ]);
  assertEquals(await underLoad(0.1, 0.01, 0.15), [
    "body CancelledError 2",
    "inner CancelledError 1",
    "outer TimeoutError 0",
  ]);
});

Deno.test("Timeout.reschedule() moves or removes the deadline, also from another task [test_timeouts.TimeoutTests.test_reschedule]", async () => {
  await virtual(async () => {
    const entered = getRunningLoop().createFuture<Timeout>();
    const task = createTask(() =>
      timeoutAt(10, async (scope) => {
        entered.setResult(scope);
        await sleep(50);
      })
    );
    const scope = await entered;
    assertEquals(scope.when(), 10);
    scope.reschedule(30);
    await sleep(20);
    assertEquals([scope.when(), scope.expired()], [30, false]);
    scope.reschedule(null);
    await sleep(20);
    assertEquals([scope.when(), scope.expired()], [null, false]);
    task.cancel();
    assertEquals(await outcome(task), "CancelledError");
    assert(!scope.expired());
  });
});

Deno.test("Timeout.reschedule() into the past interrupts the next wait", async () => {
  await virtual(async () => {
    await sleep(5);
    const log: string[] = [];
    const scope = timeout(null, async (scope) => {
      scope.reschedule(1);
      log.push(`expired ${scope.expired()} ${scope.when()}`);
      await logged(log, "body", sleep(0));
    });
    await logged(log, "scope", scope).catch(() => {});
    assertEquals(log, [
      "expired false 1",
      "body CancelledError 1",
      "scope TimeoutError 0",
    ]);
    const spared = timeout(0, async (scope) => {
      scope.reschedule(null);
      await sleep(1);
      return "spared";
    });
    assertEquals(await spared, "spared");
  });
});

Deno.test("Timeout.reschedule() earlier and later follows the last call", async () => {
  await virtual(async () => {
    const late = timeout(1, async (scope) => {
      scope.reschedule(0.5);
      scope.reschedule(7);
      await sleep(10);
    });
    await assertRejects(() => late, TimeoutError);
    assertEquals(getRunningLoop().time(), 7);
    const early = timeout(10, async (scope) => {
      scope.reschedule(8);
      await sleep(10);
    });
    await assertRejects(() => early, TimeoutError);
    assertEquals(getRunningLoop().time(), 8);
  });
});

Deno.test("timeout() in the cleanup of another expires on its own, and the outer one throws afterwards [test_timeouts.TimeoutTests.test_nested_timeout_in_finally]", async () => {
  await virtual(async () => {
    let inside: unknown;
    const outer = timeout(1, async () => {
      try {
        await sleep(10);
      } finally {
        await timeout(1, () => sleep(10)).catch((error) => inside = error);
      }
    });
    const error = await assertRejects(() => outer, TimeoutError);
    assert(inside instanceof TimeoutError);
    assert(inside.cause instanceof CancelledError);
    assert(error.cause instanceof CancelledError);
    assert(error.cause !== inside.cause);
    assertEquals(getRunningLoop().time(), 2);
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

/** A task that swallows a cancellation, and then runs a body. */
async function afterCancellation(body: () => Promise<unknown>) {
  const task = createTask(async () => {
    await sleep(10).catch(() => {});
    const error = await assertRejects(body);
    return `${error.name} ${currentTask()!.cancelling()}`;
  });
  await sleep(0);
  task.cancel();
  return await task;
}

Deno.test("timeout() counts from the requests pending when it was entered [test_timeouts.TimeoutTests.test_timeout_after_cancellation] [test_timeouts.TimeoutTests.test_cancel_in_timeout_after_cancellation]", async () => {
  await virtual(async () => {
    const own = await afterCancellation(() => timeout(0, () => sleep(1)));
    assertEquals(own, "TimeoutError 1");
    const foreign = await afterCancellation(() =>
      timeout(1, async () => {
        currentTask()!.cancel();
        await sleep(2);
      })
    );
    assertEquals(foreign, "CancelledError 2");
  });
});

Deno.test("Timeout can be entered only once [test_timeouts.TimeoutTests.test_timeout_already_entered] [test_timeouts.TimeoutTests.test_timeout_double_enter]", async () => {
  await virtual(async () => {
    const scope = new Timeout(10);
    await runTimeout(scope, async () => {
      await assertRejects(
        async () => await runTimeout(scope, () => {}),
        RuntimeError,
        "can be entered only once",
      );
      await sleep(0);
    });
    await assertRejects(
      async () => await runTimeout(scope, () => {}),
      RuntimeError,
      "can be entered only once",
    );
  });
});

Deno.test("Timeout.reschedule() is refused before, while expiring, and after [test_timeouts.TimeoutTests.test_timeout_not_entered] [test_timeouts.TimeoutTests.test_timeout_finished] [test_timeouts.TimeoutTests.test_timeout_expired] [test_timeouts.TimeoutTests.test_timeout_expiring]", async () => {
  await virtual(async () => {
    const refusal = (scope: Timeout) =>
      assertThrows(() => scope.reschedule(5), RuntimeError).message;

    const fresh = new Timeout(1);
    assertEquals(
      refusal(fresh),
      "Cannot reschedule a timeout that was not entered",
    );
    assertEquals([fresh.when(), fresh.expired()], [1, false]);

    const [finished] = await timeout(1, (scope) => [scope]);
    assertEquals(
      refusal(finished),
      "Cannot reschedule a timeout that is finished",
    );

    const [swallowed] = await timeout(1, async (scope) => {
      await sleep(10).catch(() => {});
      assertEquals(
        refusal(scope),
        "Cannot reschedule a timeout that is expiring",
      );
      return [scope];
    });
    assertEquals(
      refusal(swallowed),
      "Cannot reschedule a timeout that is expired",
    );
    assert(swallowed.expired());
    assertEquals(currentTask()!.cancelling(), 0);

    let expired: Timeout | undefined;
    await outcome(timeout(1, (scope) => (expired = scope, sleep(10))));
    assertEquals(
      refusal(expired!),
      "Cannot reschedule a timeout that is expired",
    );
  });
});

Deno.test("Timeout.reschedule() refuses what is not a time, and keeps the deadline", async () => {
  await virtual(async () => {
    await timeout(1, (scope) => {
      assertThrows(() => scope.reschedule(NaN), RangeError, "deadline");
      assertThrows(() => scope.reschedule("1" as never), TypeError);
      assertEquals(scope.when(), 1);
    });
  });
});

Deno.test("timeout() outside of tasks runs its body in a task of its own [test_timeouts.TimeoutTests.test_timeout_without_task]", async () => {
  assertEquals(currentTask(), null);
  const late = getEventLoop().time() + 0.001;
  await assertRejects(() => timeout(0.001, () => sleep(3600)), TimeoutError);
  await assertRejects(() => timeoutAt(late, () => sleep(3600)), TimeoutError);
  assertEquals(await timeout(null, () => currentTask() === null), false);
});

Deno.test("Timeout that was not entered cannot be rescheduled, and has no signal", () => {
  const scope = new Timeout(1);
  assertThrows(() => scope.reschedule(2), RuntimeError, "was not entered");
  assertThrows(() => scope.signal, RuntimeError, "was not entered");
});

Deno.test("timeout() and timeoutAt() check their arguments before anything happens", async () => {
  await virtual(async () => {
    let called = false;
    const body = () => called = true;
    for (const make of [timeout, timeoutAt]) {
      await assertRejects(() => make(NaN, body), RangeError);
      await assertRejects(() => make("1" as never, body), TypeError);
      await assertRejects(
        () => make(1, sleep(0) as never),
        TypeError,
        "the body must be a function, got a Future; pass () => f(x)",
      );
    }
    assert(!called);
  });
});

Deno.test("timeout() passes on the group of a TaskGroup whose child fails in its cleanup [test_timeouts.TimeoutTests.test_timeout_taskgroup]", async () => {
  await virtual(async () => {
    const scope = timeout(1, () =>
      TaskGroup.run(async (group) => {
        group.createTask(async () => {
          try {
            await sleep(10);
          } finally {
            // deno-lint-ignore no-unsafe-finally
            throw far();
          }
        });
        await sleep(10);
      }));
    assertEquals(await outcome(scope), "ExceptionGroup[RangeError(far)]");
    assertEquals(currentTask()!.cancelling(), 0);
    await sleep(1);
  });
});

Deno.test("timeout() around a TaskGroup cancels the children and throws its own error", async () => {
  await virtual(async () => {
    const log: string[] = [];
    const scope = timeout(1, () =>
      TaskGroup.run((group) => {
        for (const name of ["one", "two"]) {
          group.createTask(() => logged(log, name, sleep(10)));
        }
      }));
    await logged(log, "scope", scope).catch(() => {});
    assertEquals(log, [
      "one CancelledError 1",
      "two CancelledError 1",
      "scope TimeoutError 0",
    ]);
  });
});

Deno.test("timeout() whose body swallows the cancellation gives its value, and is expired", async () => {
  await virtual(async () => {
    const value = await timeout(1, async (scope) => {
      await sleep(10).catch(() => {});
      await sleep(10);
      return `expired ${scope.expired()} at ${getRunningLoop().time()}`;
    });
    assertEquals(value, "expired true at 11");
    assertEquals(currentTask()!.cancelling(), 0);
  });
});

Deno.test("timeout() aborts the signal of its scope, and leaves that of its task alone", async () => {
  await virtual(async () => {
    const before = currentTask()!.signal;
    let during: AbortSignal | undefined;
    const scope = timeout(1, async ({ signal }) => {
      during = currentTask()!.signal;
      assertStrictEquals(during, signal);
      await sleep(10);
    });
    const error = await assertRejects(() => scope, TimeoutError);
    assertStrictEquals(during!.reason, error.cause);
    assert(!before.aborted);
    assertStrictEquals(currentTask()!.signal, before);
  });
});

Deno.test("timeout() says what its body waited for", async () => {
  await virtual(async () => {
    const message = async (body: () => PromiseLike<unknown>) =>
      (await assertRejects(() => timeout(1, body), TimeoutError)).message;
    const child = createTask(() => sleep(10), { name: "child" });
    const start = "Timed out while waiting for";
    assertStringIncludes(await message(() => child), `${start} the task child`);
    assertStringIncludes(
      await message(() => new Event().wait()),
      `${start} <Event`,
    );
    assertEquals(
      await message(() => getRunningLoop().createFuture()),
      `${start} a future`,
    );
    const foreign = async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      getRunningLoop().callLater(2, resolve);
      await promise;
      await sleep(0);
    };
    assertStringIncludes(await message(foreign), "Timed out");
  });
});
