import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  CancelledError,
  createTask,
  EventLoop,
  gather,
  getEventLoop,
  getRunningLoop,
  type ModuleFunction,
  run,
  RuntimeError,
  sleep,
  toThread,
} from "@asyncio/asyncio";
import { AsyncLocalStorage } from "node:async_hooks";
import type { countCalls, digest, greet } from "./_thread_functions.ts";
import { inspect } from "./_inspect.ts";

const add = (a: number, b: number) => a + b;

/** A function of the module with functions for tests. */
function exported(name: string): ModuleFunction {
  const module = new URL("./_thread_functions.ts", import.meta.url);
  return { module, export: name };
}

declare function missing(): void;

/** The error of a refused call. */
async function assertRefused(fn: unknown): Promise<Error> {
  const error = await toThread(fn as () => void).catch((error) => error);
  assertInstanceOf(error, TypeError);
  return error;
}

Deno.test("toThread() resolves to what the function returns [test_threads.ToThreadTests.test_to_thread]", async () => {
  assertEquals(await run(() => toThread(() => 40 + 2)), 42);
});

Deno.test("toThread() passes positional arguments and an options object to the function [test_threads.ToThreadTests.test_to_thread_args_kwargs]", async () => {
  const result = await run(() =>
    toThread(
      (a: number, { something }: { something: string }) => `${a} ${something}`,
      1,
      { something: "else" },
    )
  );
  assertEquals(result, "1 else");
});

Deno.test("toThread() calls the function exactly once [test_threads.ToThreadTests.test_to_thread_once]", async () => {
  const counter = new Int32Array(new SharedArrayBuffer(4));
  await run(() => toThread((counter) => Atomics.add(counter, 0, 1), counter));
  assertEquals(counter[0], 1);
});

Deno.test("toThread() runs ten calls at once to completion [test_threads.ToThreadTests.test_to_thread_concurrent]", async () => {
  const counter = new Int32Array(new SharedArrayBuffer(4));
  const results = await run(() =>
    gather(
      Array.from({ length: 10 }, (_, i) =>
        toThread(
          (counter, i) => {
            Atomics.add(counter, 0, 1);
            return i * i;
          },
          counter,
          i,
        )),
    )
  );
  assertEquals(counter[0], 10);
  assertEquals(results, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
});

Deno.test("toThread() rejects with the function's error and its message [test_threads.ToThreadTests.test_to_thread_exception]", async () => {
  await run(() =>
    assertRejects(
      () =>
        toThread(() => {
          throw new RangeError("something wrong");
        }),
      RangeError,
      "something wrong",
    )
  );
});

Deno.test("toThread() runs beside the loop, in another thread", async () => {
  const order = await run(async () => {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const order: string[] = [];
    const waiting = toThread((gate) => Atomics.wait(gate, 0, 0), gate);
    await sleep(0);
    order.push("the loop goes on");
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await waiting;
    order.push("the thread is done");
    return order;
  });
  assertEquals(order, ["the loop goes on", "the thread is done"]);
});

Deno.test("toThread() awaits the promise of an async function", async () => {
  const text = await run(() =>
    toThread(async (parts: string[]) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return await new Response(parts.join(" ")).text();
    }, ["from", "there"])
  );
  assertEquals(text, "from there");
});

Deno.test("toThread() works on the implicit loop", async () => {
  assertEquals(await toThread(add, 1, 2), 3);
  assertEquals(await getEventLoop().runInExecutor(add, 3, 4), 7);
});

Deno.test("toThread() sends function expressions, declarations and async arrows", async () => {
  function twice(n: number): number {
    return 2 * n;
  }
  const half = function (n: number): number {
    return n / 2;
  };
  const negative = async (n: number) => -await Promise.resolve(n);
  assertEquals(
    await run(() =>
      gather([toThread(twice, 4), toThread(half, 4), toThread(negative, 4)])
    ),
    [8, 2, -4],
  );
});

Deno.test("toThread() sends a function that is created anew for each call", async () => {
  const results = await run(async () => {
    const results: number[] = [];
    for (let i = 0; i < 5; i++) results.push(await toThread((n) => n + 1, i));
    return results;
  });
  assertEquals(results, [1, 2, 3, 4, 5]);
});

Deno.test("toThread() clones arguments and results of every kind", async () => {
  const value = {
    date: new Date(0),
    map: new Map([["key", new Set([1n])]]),
    bytes: new Uint8Array([1, 2]),
    pattern: /x/g,
    nothing: undefined,
    list: [null, NaN, -0, "ü"],
  };
  const cyclic: Record<string, unknown> = { value };
  cyclic.self = cyclic;
  const result = await run(() => toThread((it) => it, cyclic));
  assertEquals(result.value, value);
  assertEquals(result.self, result);
});

Deno.test("toThread() shares memory that is meant to be shared", async () => {
  const cells = new Int32Array(new SharedArrayBuffer(8));
  await run(() => toThread((cells) => void (cells[1] = 7), cells));
  assertEquals(cells[1], 7);
});

Deno.test("toThread() calls a function of a module with all that it uses", async () => {
  await run(async () => {
    assertEquals(
      await toThread<typeof greet>(exported("greet"), "Ada"),
      "Hello Ada",
    );
    assertEquals(
      (await toThread<typeof digest>(exported("digest"), "x")).slice(0, 8),
      "2d711642",
    );
    const byString = {
      ...exported("default"),
      module: `${exported("").module}`,
    };
    assertEquals(await toThread(byString), "the default export");
  });
});

Deno.test("toThread() imports a module once a thread", async () => {
  const counts = await run(async () => {
    const counts: number[] = [];
    for (let i = 0; i < 3; i++) {
      counts.push(await toThread<typeof countCalls>(exported("countCalls")));
    }
    return counts;
  });
  assertEquals(counts, [1, 2, 3]);
});

Deno.test("toThread() says what a module exports if the name is not one of them", async () => {
  await run(async () => {
    const error = await assertRejects(
      () => toThread(exported("missing")),
      TypeError,
      `Cannot run "missing" of file:///`,
    );
    assertStringIncludes(error.message, "askLoop");
    await assertRejects(() => toThread(exported("notAFunction")), TypeError);
    await assertRejects(
      () => toThread({ module: "data:text/javascript,(", export: "x" }),
      TypeError,
      "SyntaxError",
    );
    assertEquals(await toThread(add, 1, 1), 2);
  });
});

Deno.test("toThread() says the same of a module that is not there, each time", async () => {
  const module = new URL("./_not_there.ts", import.meta.url);
  await run(async () => {
    for (let i = 0; i < 3; i++) {
      await assertRejects(
        () => toThread({ module, export: "digest" }),
        TypeError,
        `Module not found "${module}"`,
      );
    }
    assertEquals(await toThread(add, 1, 2), 3);
  });
});

Deno.test("toThread() calls functions that it and its thread have forgotten", async () => {
  await run(async () => {
    const numbered = (n: number) => new Function(`return ${n}`) as () => number;
    const first = numbered(-1);
    assertEquals(await toThread(first), -1);
    for (const round of [0, 1]) {
      for (let n = 0; n < 1_100; n++) {
        const result = await toThread(numbered(n));
        if (result !== n) assertEquals(result, n, `round ${round}`);
      }
      assertEquals(await toThread(first), -1);
    }
  });
});

Deno.test("toThread() tells functions of one source by their names", async () => {
  await run(async () => {
    for (const name of ["first", "second"]) {
      const fn = Object.defineProperty(() => missing(), "name", {
        value: name,
      });
      await assertRejects(
        () => toThread(fn),
        ReferenceError,
        `: ${name} was sent`,
      );
    }
  });
});

Deno.test("toThread() refuses a module that it could not find from a thread", async () => {
  const error = await assertRefused({ module: "./hash.ts", export: "digest" });
  assertStringIncludes(error.message, `new URL("./hash.ts", import.meta.url)`);
  await assertRefused({ module: "/hash.ts", export: "digest" });
  await assertRefused({ module: "data:text/javascript,", export: 1 });
  await assertRefused({ module: "data:text/javascript," });
});

Deno.test("toThread() refuses what is not a function", async () => {
  for (const fn of [null, undefined, 1, "fn", {}]) await assertRefused(fn);
});

Deno.test("toThread() refuses native and bound functions", async () => {
  for (const fn of [Math.max, add.bind(null, 1), Uint8Array, Deno.cwd, fetch]) {
    const { message } = await assertRefused(fn);
    assertStringIncludes(
      message,
      "it is native or bound and has no source of its own",
    );
  }
});

Deno.test("toThread() refuses methods, accessors, classes and generators", async () => {
  class Thing {
    method() {}
    async asyncMethod() {}
    async *generator() {}
    static make() {}
    #own = 1;
    arrow = () => this.#own;
    get value() {
      return 1;
    }
    ["computed name"]() {}
  }
  const thing = new Thing();
  const { get } = Object.getOwnPropertyDescriptor(Thing.prototype, "value")!;
  const methods = [
    thing.method,
    thing.asyncMethod,
    Thing.make,
    get,
    thing["computed name"],
  ];
  for (const fn of methods) {
    assertStringIncludes((await assertRefused(fn)).message, "it is a method");
  }
  assertStringIncludes((await assertRefused(Thing)).message, "it is a class");
  for (const fn of [thing.generator, function* () {}]) {
    assertStringIncludes((await assertRefused(fn)).message, "a generator");
  }
  const { message } = await assertRefused(thing.arrow);
  assertStringIncludes(message, "does not stand alone");
  assertStringIncludes(
    (await assertRefused(() => import.meta.url)).message,
    "import.meta",
  );
});

Deno.test("toThread() names what a function cannot access, and both workarounds", async () => {
  const db = { rows: [1, 2] };
  const load = () => db.rows;
  const { message } = await assertRejects(
    () => run(() => toThread(load)),
    ReferenceError,
    "Cannot use db in a thread: load was sent there as source",
  );
  assertStringIncludes(message, "pass db as an argument");
  assertStringIncludes(message, `export: "load" })`);
});

Deno.test("toThread() names a missing name after an await too, and one that a worker would have had", async () => {
  const $limit = 5;
  const name = "mine";
  await run(async () => {
    await assertRejects(
      () =>
        toThread(async () => {
          await Promise.resolve();
          return $limit;
        }),
      ReferenceError,
      "pass $limit as an argument",
    );
    await assertRejects(
      () => toThread(() => name),
      ReferenceError,
      "pass name as an argument",
    );
    const error = await assertRejects(
      () => toThread(() => assert),
      ReferenceError,
    );
    assertStringIncludes(error.stack!, error.message);
  });
});

Deno.test("toThread() leaves a function's own ReferenceError as it is", async () => {
  await run(() =>
    assertRejects(
      () =>
        toThread(() => {
          throw new ReferenceError("the book has no page 7");
        }),
      ReferenceError,
      "the book has no page 7",
    )
  );
  const { message } = await assertRejects(() =>
    run(() =>
      toThread(() => {
        throw new ReferenceError("oops");
      })
    )
  ) as Error;
  assertEquals(message, "oops");
});

Deno.test("toThread() gives a function the globals that the loop's thread has", async () => {
  const found = await run(() =>
    toThread(() => [
      typeof self.fetch,
      typeof Deno.version.deno,
      typeof crypto.subtle.digest,
      typeof setTimeout,
      typeof RuntimeError,
      new CancelledError("why") instanceof Error,
    ])
  );
  assertEquals(found, [
    "function",
    "string",
    "function",
    "function",
    "function",
    true,
  ]);
});

Deno.test("toThread() runs functions as strict code", async () => {
  const strict = await run(() =>
    toThread(function (this: unknown) {
      return this === undefined;
    })
  );
  assert(strict);
});

Deno.test("toThread() refuses what cannot be cloned with the path to it", async () => {
  const db = { query: () => 1 };
  const cases: [unknown, string][] = [
    [{ db }, "args[0].db.query: a function cannot be sent to a thread"],
    [[1, [Symbol("x")]], "args[0][1][0]: a symbol"],
    [new Map([["k", db]]), `args[0].get("k").query`],
    [new Set([db]), "args[0].values().query"],
    [{ "odd key": Promise.resolve() }, `args[0]["odd key"]`],
    [new WeakMap(), "args[0]: an object of class WeakMap"],
    [{ twice: { self: db, db } }, "args[0].twice.self.query"],
  ];
  await run(async () => {
    for (const [value, path] of cases) {
      const error = await assertRejects(
        () => toThread((it: unknown) => it, value),
        DOMException,
        path,
      );
      assertEquals(error.name, "DataCloneError");
    }
    const warm = await toThread(add, 1, 2);
    assertEquals(warm, 3);
    await assertRejects(
      () => toThread((...args: unknown[]) => args.length, 0, { db }),
      DOMException,
      "args[1].db.query",
    );
    assertEquals(await toThread(add, 2, 2), 4);
  });
});

Deno.test("toThread() says where in a result something cannot be cloned, and continues", async () => {
  await run(async () => {
    const error = await assertRejects(
      () => toThread(() => ({ rows: [{ load: () => 1 }] })),
      DOMException,
      "result.rows[0].load",
    );
    assertEquals(error.name, "DataCloneError");
    assertEquals(await toThread(add, 2, 2), 4);
  });
});

Deno.test("toThread() copies the arguments when it is called", async () => {
  const result = await run(() => {
    const list = [1];
    const result = toThread((list: number[]) => list, list);
    list.push(2);
    return result;
  });
  assertEquals(result, [1]);
});

Deno.test("toThread() on a closed loop is refused", async () => {
  const loop = new EventLoop();
  loop.close();
  await assertRejects(() => loop.runInExecutor(add, 1, 2), RuntimeError);
});

Deno.test("EventLoop.runInExecutor() calls in a thread of that loop, with or without an executor argument", async () => {
  await run(async () => {
    const loop = getRunningLoop();
    assertEquals(await loop.runInExecutor(add, 1, 2), 3);
    assertEquals(await loop.runInExecutor(null, add, 3, 4), 7);
    assertEquals(
      await loop.runInExecutor<typeof greet>(exported("greet"), "Bob"),
      "Hello Bob",
    );
  });
});

Deno.test("toThread() does not pass on context values, and the caller keeps them", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen = await storage.run("mine", () =>
    run(async () => {
      const there = await toThread(
        async (module: string) => {
          const { AsyncLocalStorage } = await import(module);
          return new AsyncLocalStorage().getStore() ?? null;
        },
        "node:async_hooks",
      );
      return [there, storage.getStore()];
    }));
  assertEquals(seen, [null, "mine"]);
});

Deno.test("toThread() takes its types from the function", async () => {
  await run(async () => {
    const sum: number = await toThread(add, 1, 2);
    const inner: string = await toThread(async () => await Promise.resolve(""));
    // @ts-expect-error The second argument is missing.
    await toThread(add, 1);
    // @ts-expect-error It is no string.
    await toThread(add, 1, "2");
    // @ts-expect-error The result is a number.
    const wrong: string = await toThread(add, 1, 2);
    assertNotEquals(sum, wrong as unknown as number + 1);
    assertEquals(inner, "");
  });
});

Deno.test("toThread() can be cancelled in a task", async () => {
  await run(async () => {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const task = createTask(async () => {
      await toThread((gate) => Atomics.wait(gate, 0, 0), gate);
    });
    await sleep(0);
    assertStringIncludes(inspect(task), "in a thread");
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await task;
  });
});
