// Scopes side by side, one inside of another, and their signals: each ends
// what was awaited inside of it and nothing else, in a task and outside.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  createTask,
  currentTask,
  getEventLoop,
  sleep,
  TaskGroup,
  timeout,
  waitFor,
} from "@asyncio/asyncio";
import { outcome, shape, virtual } from "./_virtual.ts";

/** The outcomes of several promises, without what a timeout waited for. */
async function outcomes(promises: PromiseLike<unknown>[]): Promise<string> {
  const results = await Promise.allSettled(promises);
  return results.map((it) =>
    it.status === "fulfilled" ? String(it.value) : short(shape(it.reason))
  ).join(", ");
}

function short(text: string): string {
  return text.replace(/TimeoutError\(Timed out[^)]*\)/g, "TimeoutError");
}

const slow = () => sleep(3);
const fine = () => sleep(2, { result: "fine" });
const failing = (after: number) =>
  TaskGroup.run((group) => {
    group.createTask(async () => {
      await sleep(after);
      throw new RangeError("far");
    });
    return slow();
  });
const cancelling = (after: number) =>
  TaskGroup.run((group) => {
    getEventLoop().callLater(after, () => group.cancel());
    return slow();
  });

/** Scopes that end by themselves after a time, and how. */
const scopes: Record<
  string,
  [open: (after: number) => Promise<unknown>, end: string]
> = {
  "timeout()": [(after) => timeout(after, slow), "TimeoutError"],
  "waitFor()": [(after) => waitFor(slow, after), "TimeoutError"],
  "a group that fails": [failing, "ExceptionGroup[RangeError(far)]"],
  "a group that is cancelled": [cancelling, "undefined"],
};

for (const [first, [openFirst, firstEnd]] of Object.entries(scopes)) {
  for (const [second, [openSecond, secondEnd]] of Object.entries(scopes)) {
    const times: [string, number][] = [
      ["before", 1.5],
      ["with", 1],
      ["after", 0.5],
    ];
    for (const [when, after] of times) {
      Deno.test(`${first} that ends ${when} ${second} beside it ends alone`, () =>
        virtual(async () => {
          const ends = await outcomes([
            openFirst(1),
            openSecond(after),
            fine(),
          ]);
          assertEquals(ends, `${firstEnd}, ${secondEnd}, fine`);
          assertEquals(currentTask()!.cancelling(), 0);
          await sleep(5);
        }));
    }
  }
  Deno.test(`${first} leaves a longer scope around it and a shorter one inside of it alone`, () =>
    virtual(async () => {
      const inner = () => outcome(timeout(0.5, slow));
      const value = await timeout(9, async () => {
        const ended = await outcomes([openFirst(1), fine(), inner()]);
        await sleep(4);
        return ended;
      });
      assertEquals(short(value), `${firstEnd}, fine, TimeoutError`);
    }));
  Deno.test(`${first} outside of tasks, beside others, ends alone`, async () => {
    // The real clock: what is due first ends first, by whatever time.
    const ends = await outcomes([openFirst(0.001), sleep(0.01, { result: 1 })]);
    assertEquals(ends, `${firstEnd}, 1`);
  });
  Deno.test(`Task.cancel() ends ${first} and all beside it`, () =>
    virtual(async () => {
      const task = createTask(() =>
        Promise.all([openFirst(2), timeout(2, slow), slow()])
      );
      await sleep(1);
      task.cancel("stop");
      assertEquals(await outcome(task), "CancelledError(stop)");
      assertEquals(task.cancelling(), 1);
    }));
  Deno.test(`Coroutine's signal outlasts ${first}`, () =>
    virtual(() =>
      createTask(async (signal) => {
        for (let i = 0; i < 3; i++) {
          assertEquals(
            short(await outcome(openFirst(1))).replace(/^value /, ""),
            firstEnd,
          );
          assert(!signal.aborted);
          assert(!currentTask()!.signal.aborted);
        }
      })
    ));
}

/** Ways to hear of the abort of a scope's signal. */
const listeners: Record<string, (signal: AbortSignal) => AbortSignal> = {
  "it": (signal) => signal,
  "AbortSignal.any() of it": (signal) =>
    AbortSignal.any([signal, new AbortController().signal]),
  "AbortSignal.any() of such a one": (signal) =>
    AbortSignal.any([AbortSignal.any([signal])]),
  "a Request that has it": (signal) => {
    const request = new Request("http://localhost", { signal });
    requests.push(request);
    return request.signal;
  },
};

/** Requests of tests: on Node the signal of one that is garbage no longer aborts. */
const requests: Request[] = [];

for (const [what, derive] of Object.entries(listeners)) {
  Deno.test(`Timeout.signal ends a foreign promise that listens to ${what}`, () =>
    virtual(async () => {
      const error = await outcome(
        timeout(1, ({ signal }) => {
          const derived = derive(signal);
          return new Promise((_, reject) =>
            derived.addEventListener("abort", () => reject(derived.reason))
          );
        }),
      );
      assertEquals(short(error).slice(0, 12), "TimeoutError");
      await sleep(1);
    }));
  Deno.test(`TaskGroup.signal that fails ends a foreign promise that listens to ${what}`, () =>
    virtual(async () => {
      const error = await outcome(TaskGroup.run((group) => {
        group.createTask(() => {
          throw new RangeError("far");
        });
        const derived = derive(group.signal);
        return new Promise((_, reject) =>
          derived.addEventListener("abort", () => reject(derived.reason))
        );
      }));
      assertStringIncludes(error, "RangeError(far)");
      await sleep(1);
    }));
}

Deno.test("Timeout.signal aborts with the scopes around it, not with those inside of it", () =>
  virtual(async () => {
    let outer: AbortSignal, inner: AbortSignal;
    await outcome(timeout(2, async (a) => {
      outer = a.signal;
      await outcome(timeout(1, (b) => {
        inner = b.signal;
        return slow();
      }));
      assert(inner.aborted && !outer.aborted);
      await timeout(9, (b) => {
        inner = b.signal;
        return slow();
      });
    }));
    assert(inner!.aborted && outer!.aborted);
    assert(!currentTask()!.signal.aborted);
  }));

Deno.test("AbortSignal that two scopes and a sleep were given ends each by itself", () =>
  virtual(async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const all = outcomes([
      waitFor(slow, 9, { signal }),
      sleep(9, { signal }),
      timeout(9, () => sleep(9, { signal })),
      fine(),
    ]);
    await sleep(1);
    controller.abort(new RangeError("why"));
    const why = "RangeError(why)";
    assertEquals(await all, `${why}, ${why}, ${why}, fine`);
    assertEquals(currentTask()!.cancelling(), 0);
    assertEquals(
      await outcome(waitFor(slow, 9, { signal })),
      why,
    );
  }));

Deno.test("timeout() whose body swallows the cancellation leaves the next wait alone", () =>
  virtual(async () => {
    const value = await timeout(1, async () => {
      await slow().catch(() => {});
      await sleep(1);
      return "value";
    });
    assertEquals(value, "value");
    await sleep(1);
  }));

Deno.test("scopes 5,000 deep end at once, each in its turn", () =>
  virtual(async () => {
    const nest = async (depth: number): Promise<unknown> => {
      await null; // the caller's stack has unwound
      if (depth === 0) return await slow();
      return await timeout(null, () => nest(depth - 1));
    };
    const task = createTask(() => nest(5000));
    await sleep(1);
    task.cancel("stop");
    assertEquals(await outcome(task), "CancelledError(stop)");
  }));
