/** Messages for wrong arguments and for what cannot be sent to threads. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  EventLoop,
  getRunningLoop,
  run,
  runCoroutineThreadsafe,
  ThreadFuture,
  toThread,
  transfer,
} from "@asyncio/asyncio";

class Foo {}

const revoked = Proxy.revocable({}, {});
revoked.revoke();

/** Wrong arguments, and how messages describe them. */
const ODD: [value: unknown, shown: string][] = [
  [null, "null"],
  [undefined, "undefined"],
  [NaN, "NaN"],
  ["x", '"x"'],
  [1n, "1n"],
  [Symbol("s"), "Symbol(s)"],
  [[], "an array"],
  [{}, "an object"],
  [Object.create(null), "an object"],
  [new Date(0), "an object of class Date"],
  [new Map(), "an object of class Map"],
  [revoked.proxy, "an object"],
  [{ toString: () => assert(false) }, "an object"],
];

/** The error that a call throws or rejects with. */
async function failure(call: () => unknown): Promise<Error> {
  try {
    await call();
  } catch (error) {
    assertInstanceOf(error, Error);
    return error;
  }
  throw new Error("Nothing was thrown");
}

async function assertRefused(
  call: () => unknown,
  shown: string,
): Promise<void> {
  const error = await failure(call);
  assertInstanceOf(error, TypeError);
  assertStringIncludes(error.message, "Cannot ");
  assertStringIncludes(error.message, `got ${shown}`);
}

Deno.test("toThread() and runInExecutor() say what they were given instead of a function", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    for (const [value, shown] of ODD) {
      const fn = value as () => void;
      await assertRefused(() => toThread(fn), shown);
      if (value !== null) {
        await assertRefused(() => loop.runInExecutor(fn), shown);
      }
      await assertRefused(() => loop.runInExecutor(null, fn), shown);
    }
    const promise = Promise.resolve() as unknown as () => void;
    const { message } = await failure(() => toThread(promise));
    assertStringIncludes(message, "pass () => f(x)");
    assertStringIncludes(
      (await failure(() => toThread(Foo as unknown as () => void))).message,
      "Foo",
    );
  });
});

Deno.test("toThread() says what is wrong with a function of a module", async () => {
  for (const [value, shown] of ODD) {
    const call = (fn: unknown) => () => toThread(fn as () => void);
    const isUrl = typeof value === "string";
    if (!isUrl) {
      await assertRefused(call({ module: value, export: "x" }), shown);
      await assertRefused(call({ module: "data:,", export: value }), shown);
    }
  }
});

Deno.test("runCoroutineThreadsafe() says what it was given instead of a coroutine and a loop", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    const call = runCoroutineThreadsafe as (...args: unknown[]) => unknown;
    for (const [value, shown] of ODD) {
      await assertRefused(() => call(() => 1, value), shown);
      if (typeof value === "string") continue;
      await assertRefused(() => call(value, loop), shown);
      await assertRefused(() => call(value, loop.handle()), shown);
    }
    await assertRefused(() => call(Foo, loop), "the class Foo");
    const { message } = await failure(() => call(Promise.resolve(), loop));
    assertStringIncludes(message, "pass () => f(x)");
  });
});

Deno.test("EventLoop.expose() says what is not a function, and exposes nothing then", async () => {
  const loop = new EventLoop();
  for (const [value, shown] of ODD) {
    const functions = value as Record<string, () => void>;
    const isPlain = shown === "an object" && value !== revoked.proxy;
    if (!isPlain) await assertRefused(() => loop.expose(functions), shown);
    const some = { fine: () => 1, wrong: value } as typeof functions;
    await assertRefused(() => loop.expose(some), shown);
  }
  await assertRefused(
    () => loop.expose({ Foo: Foo as never }),
    "the class Foo",
  );
  await assertRefused(() => loop.expose((() => 1) as never), "a function");
  const error = await runCoroutineThreadsafe("fine", loop).then(
    () => null,
    (error) => error,
  ).then((it) => it, (error) => error);
  assertStringIncludes(error.message, "the loop exposes no function");
  loop.close();
});

Deno.test("ThreadFuture says what it was given, and that it cannot be constructed", async () => {
  const loop = new EventLoop();
  const future = runCoroutineThreadsafe(() => 1, loop);
  const Constructor = ThreadFuture as unknown as new (
    call?: unknown,
  ) => unknown;
  for (const call of [undefined, {}, future]) {
    assertThrows(
      () => new Constructor(call),
      TypeError,
      "runCoroutineThreadsafe()",
    );
  }
  for (const [value, shown] of ODD) {
    await assertRefused(
      () => future.addDoneCallback(value as () => void),
      shown,
    );
  }
  for (const timeout of ["5", {}, [], Symbol("s"), 1n]) {
    assertThrows(() => future.result(timeout as never), TypeError, "timeout");
    assertThrows(
      () => future.exception(timeout as never),
      TypeError,
      "timeout",
    );
  }
  assertThrows(() => future.result(NaN), RangeError, "timeout");
  assertEquals(future.done(), false);
  loop.close();
});

Deno.test("transfer() says what cannot be moved", async () => {
  for (const [value, shown] of ODD) {
    if (value === revoked.proxy) continue;
    await assertRefused(() => transfer(value as never), shown);
  }
});

const PATHS: [value: unknown, flaw: string][] = [
  [{ handlers: [1, 2, () => 1] }, "args[0].handlers[2]: a function"],
  [{ deep: { kind: Foo } }, "args[0].deep.kind: the class Foo"],
  [[Symbol("s")], "args[0][0]: a symbol"],
  [new Map([[{ key: Foo }, 1]]), "args[0].keys().key: the class Foo"],
  [{ "a b": new WeakSet() }, 'args[0]["a b"]: an object of class WeakSet'],
  [{ p: new Proxy({}, {}) }, "args[0].p: an object"],
  [
    Object.assign([], { extra: Promise.resolve() }),
    "args[0].extra: an object of class Promise",
  ],
];

Deno.test("toThread() names the function, and the path to what cannot be sent", async () => {
  await run(async () => {
    for (const [value, flaw] of PATHS) {
      const error = await assertRejects(
        () => toThread(function work(_: unknown) {}, value),
        DOMException,
      );
      assertEquals(
        error.message,
        `Cannot call work in a thread: ${flaw} cannot be sent to a thread`,
      );
      assertEquals(error.name, "DataCloneError");
      assertStringIncludes(error.stack!, "threads_input_test.ts");
    }
    const gone = new ArrayBuffer(1);
    structuredClone(gone, { transfer: [gone] });
    await assertRejects(
      () => toThread((_: unknown) => {}, { gone }),
      DOMException,
      "args[0].gone: a detached ArrayBuffer",
    );
    const result = await assertRejects(
      () =>
        toThread(function work() {
          return { rows: [{ load: () => 1 }] };
        }),
      DOMException,
    );
    assertEquals(
      result.message,
      "Cannot return the result of work from its thread: result.rows[0].load: a function cannot be sent to a thread",
    );
  });
});

Deno.test("toThread() passes on the error of a getter in its arguments", async () => {
  await run(() =>
    assertRejects(
      () =>
        toThread((_: unknown) => {}, {
          get now() {
            throw new EvalError("not now");
          },
        }),
      EvalError,
      "not now",
    )
  );
});

Deno.test("runCoroutineThreadsafe() names the function, and the path to shared memory", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    loop.expose({
      hand: () => {},
      give: () => ({ m: new SharedArrayBuffer(4) }),
    });
    const seen = await toThread((loop) => {
      const messageOf = (call: () => unknown) => {
        try {
          return call();
        } catch (error) {
          return `${(error as Error).name}: ${(error as Error).message}`;
        }
      };
      return [
        messageOf(() =>
          runCoroutineThreadsafe("hand", loop, { options: { loop } })
        ),
        messageOf(() => runCoroutineThreadsafe("give", loop).result()),
      ];
    }, loop.handle());
    const what =
      "an object of class SharedArrayBuffer cannot be sent to a thread";
    assertEquals(seen, [
      `DataCloneError: Cannot call hand on its loop: args[0].options.loop.memory: ${what}`,
      `DataCloneError: Cannot return the result of give to its thread: result.m: ${what}`,
    ]);
  });
});

/** A long module. */
const LONG = `data:text/javascript,export const n = 1;${"/*x*/".repeat(5_000)}`;

Deno.test("Errors out of threads hold no program, and name no URL of their own", async () => {
  const calls: [call: () => Promise<unknown>, what: string][] = [
    [
      async () => await import("./lib.ts" as string),
      'Cannot import "./lib.ts"',
    ],
    [async () => await import("lodash" as string), 'Cannot import "lodash"'],
    [async () => await import("../up/there.ts" as string), "../up/there.ts"],
  ];
  await run(async () => {
    for (const [fn, what] of calls) {
      const error = await assertRejects(() => toThread(fn), TypeError, what);
      assert(error.message.length < 500, error.message);
      assert(!`${error.message}${error.stack}`.includes("data:"));
    }
    const modules: [module: string, what: string][] = [
      [LONG, "the module exports n"],
      [`${LONG}(`, "in a thread"],
      ["lodash", "expected an absolute URL"],
      ["file:///not/there.ts", "file:///not/there.ts"],
    ];
    for (const [module, what] of modules) {
      const fn = { module, export: "digest" };
      for (let i = 0; i < 2; i++) {
        const error = await failure(() => toThread(fn));
        assertStringIncludes(error.message, "digest");
        assertStringIncludes(error.message, what);
        assert(error.message.length < 500, error.message);
      }
    }
  });
});

Deno.test("Errors of functions that cannot be sent hold a short excerpt", async () => {
  const name = "n".repeat(1_000);
  const fn = Object.defineProperty(() => import.meta.url, "name", {
    value: name,
  });
  const { message } = await failure(() => toThread(fn));
  assert(message.length < 400, message);
  const thrown = await toThread(() =>
    Promise.reject({ fn: () => "x".repeat(9) })
  )
    .catch((error) => error);
  assert(String(thrown).length < 100);
});
