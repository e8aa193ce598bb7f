// What a user throws or passes in must neither get out of a job of the loop
// nor keep a task from its end: errors that cannot be made, looked at or
// shown, and contexts that throw or do not call.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  asCompleted,
  createTask,
  gather,
  getRunningLoop,
  run,
  shield,
  sleep,
  TaskGroup,
  timeout,
  wait,
  waitFor,
} from "@asyncio/asyncio";

class NeedsArgument extends Error {
  constructor(where: { name: string }) {
    super(where.name);
  }
}

function fails(): never {
  throw new Error("cannot be looked at");
}

function revoked<T extends object>(target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const properties = { get: fails };
const cyclic = new Error("cyclic");
cyclic.cause = cyclic;

/** Things that are thrown. */
const thrown: Record<string, unknown> = {
  "a class of errors": NeedsArgument,
  "an error whose getters throw": Object.defineProperties(new Error(), {
    name: properties,
    message: properties,
    stack: properties,
    cause: properties,
  }),
  "an object that cannot be inspected": {
    [Symbol.for("Deno.customInspect")]: fails,
    toString: fails,
  },
  "an object whose then throws": Object.defineProperty({}, "then", properties),
  "a proxy that throws": new Proxy({}, {
    get: fails,
    has: fails,
    getPrototypeOf: fails,
    ownKeys: fails,
  }),
  "a revoked proxy": revoked({}),
  "a revoked proxy of a function": revoked(() => {}),
  "an object without a prototype": Object.create(null),
  "an error that is its own cause": cyclic,
  "a frozen error": Object.freeze(new Error("frozen")),
  "null": null,
  "undefined": undefined,
  "a symbol": Symbol("thrown"),
};

/** A coroutine function that throws on its second step. */
const late = (error: unknown) => async () => {
  await sleep(0);
  throw error;
};
const early = (error: unknown) => () => {
  throw error;
};

/** Where it is thrown; what is given rejects with it, unless it says otherwise. */
const throwing: Record<string, (error: unknown) => PromiseLike<unknown>> = {
  "a task": (error) => createTask(late(error)),
  "the first step of a task": (error) => createTask(early(error)),
  "an eager task": (error) => createTask(early(error), { eagerStart: true }),
  "a child of gather()": (error) => gather([late(error)]),
  "what shield() protects": (error) => shield(late(error)),
  "what waitFor() waits for": (error) => waitFor(late(error), 1),
  "a promise that waitFor() waits for": (error) =>
    waitFor(Promise.reject(error), 1),
  "the body of timeout()": (error) => timeout(1, early(error)),
  "a handler of then()": (error) => createTask(() => 1).then(early(error)),
  "a context": (error) => createTask(() => 1, { context: early(error) }),
};

/** Where it is thrown, and nobody gets it or in another form. */
const swallowing: Record<string, (error: unknown) => unknown> = {
  "a signal's reason": (error) => {
    const controller = new AbortController();
    queueMicrotask(() => controller.abort(error));
    return sleep(1, { signal: controller.signal });
  },
  "a child of gather() that collects errors": (error) =>
    gather([late(error)], { returnExceptions: true }),
  "a child of wait()": (error) => wait([createTask(late(error))]),
  "a child of asCompleted()": async (error) => {
    for await (const task of asCompleted([late(error)])) task.exception();
  },
  "a child of a group": (error) =>
    TaskGroup.run((group) => {
      group.createTask(late(error));
      return sleep(1);
    }),
  "a group": (error) => TaskGroup.run(early(error)),
  "a cleanup at a deadline": (error) =>
    timeout(0, () => sleep(1).finally(early(error))),
  "a message of cancel()": (error) => {
    const task = createTask(() => sleep(1));
    task.cancel(error as string);
    return task;
  },
  "a callback of the loop": (error) =>
    void getRunningLoop().callSoon(early(error)),
  "a timer of the loop": (error) =>
    void getRunningLoop().callLater(0, early(error)),
  "a done callback": (error) => {
    const future = getRunningLoop().createFuture();
    future.addDoneCallback(early(error));
    future.setResult(1);
  },
  "a done callback's context": (error) => {
    const future = getRunningLoop().createFuture();
    future.addDoneCallback(() => {}, { context: early(error) });
    future.setResult(1);
  },
  "a task that nobody looks at": (error) => void createTask(late(error)),
  "a signal of a task": (error) => {
    const controller = new AbortController();
    queueMicrotask(() => controller.abort(error));
    return createTask(() => sleep(1), { signal: controller.signal });
  },
};

/** Runs a program whose loop reports to nobody, and lets that loop continue afterwards. */
async function assertSurvives(main: () => unknown): Promise<void> {
  let alive = false;
  await run(async () => {
    getRunningLoop().setExceptionHandler(() => {});
    await main();
    await sleep(0);
    await sleep(0);
    alive = true;
  });
  assert(alive);
}

for (const [what, error] of Object.entries(thrown)) {
  for (const [where, way] of Object.entries(throwing)) {
    Deno.test(`EventLoop outlives ${what} out of ${where}, which comes out as it is`, () =>
      assertSurvives(async () => {
        const got = await way(error).then(() => "nothing", (it) => ({ it }));
        assert(typeof got === "object" && Object.is(got.it, error));
      }));
  }
  for (const [where, way] of Object.entries(swallowing)) {
    Deno.test(`EventLoop outlives ${what} out of ${where}`, () =>
      assertSurvives(async () => {
        try {
          await way(error);
        } catch { /* an error of the module's own, as a group */ }
      }));
  }
}

Deno.test("createTask() whose context does not call fails with an error that says so", () =>
  assertSurvives(async () => {
    let ran = false;
    const context = (() => {}) as never;
    for (const eagerStart of [false, true]) {
      const task = createTask(() => ran = true, { context, eagerStart });
      await assertRejects(() => task, TypeError, "context");
    }
    assert(!ran);
  }));

Deno.test("createTask() whose context calls twice runs its body once", () =>
  assertSurvives(async () => {
    let runs = 0;
    const context = <R>(fn: () => R): R => {
      fn();
      return fn();
    };
    assertEquals(await createTask(() => ++runs, { context }), 1);
    assertEquals(runs, 1);
  }));
