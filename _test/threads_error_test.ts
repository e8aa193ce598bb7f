import process from "node:process";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  BrokenBarrierError,
  CancelledError,
  ExceptionGroup,
  getRunningLoop,
  IncompleteReadError,
  KeyboardInterrupt,
  LimitOverrunError,
  QueueEmpty,
  run,
  runCoroutineThreadsafe,
  RuntimeError,
  SendfileNotAvailableError,
  TimeoutError,
  toThread,
} from "@asyncio/asyncio";

/** The error of a function that throws in a thread. */
async function thrown(fn: () => unknown): Promise<unknown> {
  let result: unknown = "nothing was thrown";
  await run(async () => {
    try {
      await toThread(fn);
    } catch (error) {
      result = error;
    }
  });
  return result;
}

Deno.test("toThread() rejects with a built-in error of the same class, message and stack", async () => {
  const error = await thrown(function failing() {
    throw new TypeError("not so");
  });
  assertInstanceOf(error, TypeError);
  assertEquals(error.constructor, TypeError);
  assertEquals(error.message, "not so");
  assertEquals(error.name, "TypeError");
  assertStringIncludes(
    error.stack!,
    "TypeError: not so\n    at failing (toThread:failing",
  );
  const [, first, ...callers] = error.stack!.split("\n");
  assertStringIncludes(first, "failing");
  assert(callers.every((line) => line.includes("threads_error_test.ts")));
});

Deno.test("toThread() keeps causes, errors or not, also in cycles", async () => {
  const error = await thrown(() => {
    const inner = new RangeError("inner", { cause: { code: 7 } });
    const outer = new SyntaxError("outer", { cause: inner });
    inner.cause = [inner.cause, outer];
    throw outer;
  });
  assertInstanceOf(error, SyntaxError);
  assertInstanceOf(error.cause, RangeError);
  const [cause, outer] = error.cause.cause as [unknown, unknown];
  assertEquals(cause, { code: 7 });
  assertStrictEquals(outer, error);
  assert(!Object.keys(error).includes("cause"));
});

Deno.test("toThread() keeps the errors of groups", async () => {
  const aggregate = await thrown(() =>
    Promise.any([Promise.reject(new EvalError("x"))])
  );
  assertInstanceOf(aggregate, AggregateError);
  assertInstanceOf(aggregate.errors[0], EvalError);
  const group = await thrown(() => {
    throw new ExceptionGroup("two", [
      new TimeoutError("slow"),
      new ExceptionGroup("one", [new URIError("far")]),
    ]);
  });
  assertInstanceOf(group, ExceptionGroup);
  assertEquals(group.message, "two");
  assertInstanceOf(group.errors[0], TimeoutError);
  const [far, rest] = group.split(URIError);
  assertEquals((far!.errors[0] as ExceptionGroup).errors[0].message, "far");
  assertEquals(rest!.errors.length, 1);
});

Deno.test("toThread() rejects with the errors of this module, fields included", async () => {
  const limit = await thrown(() => {
    throw new LimitOverrunError("too long", 12);
  });
  assertInstanceOf(limit, LimitOverrunError);
  assertEquals(limit.consumed, 12);
  const incomplete = await thrown(() => {
    throw new IncompleteReadError(new Uint8Array([1, 2]), null);
  });
  assertInstanceOf(incomplete, IncompleteReadError);
  assertEquals(incomplete.partial, new Uint8Array([1, 2]));
  assertEquals(incomplete.expected, null);
  const interrupt = await thrown(() => {
    throw new KeyboardInterrupt("stop", { signal: "SIGTERM" });
  });
  assertInstanceOf(interrupt, KeyboardInterrupt);
  assertEquals(interrupt.signal, "SIGTERM");
  const broken = await thrown(() => {
    throw new BrokenBarrierError("broken");
  });
  assertInstanceOf(broken, BrokenBarrierError);
  assertInstanceOf(broken, RuntimeError);
  assertEquals(broken.name, "BrokenBarrierError");
  const sendfile = await thrown(() => {
    throw new SendfileNotAvailableError("no");
  });
  assertInstanceOf(sendfile, SendfileNotAvailableError);
});

Deno.test("toThread() rejects with the errors that a module has thrown by its own import", async () => {
  const module = new URL("./_thread_functions.ts", import.meta.url);
  const error = await run(() =>
    toThread({ module, export: "throwOurs" }).catch((error) => error)
  );
  assertInstanceOf(error, QueueEmpty);
  assertEquals(error.message, "nothing there");
});

Deno.test("toThread() rejects with a CancelledError that a function throws, and is no cancellation of its task", async () => {
  const outcome = await run(async (signal) => {
    try {
      await toThread(() => {
        throw new CancelledError("from there");
      });
    } catch (error) {
      return [error instanceof CancelledError, signal.aborted];
    }
  });
  assertEquals(outcome, [true, false]);
});

Deno.test("toThread() rejects with the errors of Deno and with DOM exceptions", async () => {
  const missing = await thrown(() => {
    throw new Deno.errors.NotFound("no file");
  });
  assertInstanceOf(missing, Deno.errors.NotFound);
  assertEquals(missing.name, "NotFound");
  const abort = await thrown(() => AbortSignal.abort().throwIfAborted());
  assertInstanceOf(abort, DOMException);
  assertEquals(abort.name, "AbortError");
});

Deno.test("toThread() rejects with an Error of the same name for custom classes", async () => {
  const plain = await thrown(() => {
    class ParseError extends Error {}
    throw Object.assign(new ParseError("line 3"), { line: 3, fn: () => 1 });
  });
  assertInstanceOf(plain, Error);
  assertEquals(plain.constructor, Error);
  assertEquals(plain.name, "ParseError");
  assertEquals(plain.message, "line 3");
  assertEquals((plain as Error & { line: number }).line, 3);
  assertEquals(Object.keys(plain), ["line"]);
  const named = await thrown(() => {
    class Other extends RangeError {
      override name = "OutOfReach";
    }
    throw new Other("far");
  });
  assertInstanceOf(named, RangeError);
  assertEquals(named.name, "OutOfReach");
  assertEquals(`${named}`, "OutOfReach: far");
});

Deno.test("toThread() rejects with what was thrown if that is not an error", async () => {
  assertEquals(await thrown(() => Promise.reject({ code: 1 })), { code: 1 });
  assertEquals(
    await thrown(() => {
      throw undefined;
    }),
    undefined,
  );
  const fn = await thrown(() => Promise.reject(() => 1));
  assertStringIncludes(fn as string, "=>");
  const [error] = await thrown(() =>
    Promise.reject([new EvalError("in a list")])
  ) as [unknown];
  assertInstanceOf(error, EvalError);
});

/** The frames of a stack, without what differs between runs. */
function framesIn(error: unknown): string[] {
  return (error as Error).stack!.split("\n")
    .filter((line) => line.startsWith("    at "))
    .map((line) => line.replace(/\(?(?:toThread|file):.*/, "").trim());
}

Deno.test("toThread() rejects with the frames of the function, then those of its caller", async () => {
  const frames = await run(async () => {
    async function inner() {
      await null;
      return await toThread(function work() {
        throw new RangeError("x");
      });
    }
    async function outer() {
      return await inner();
    }
    return framesIn(await outer().catch((error) => error));
  });
  assertEquals(frames.slice(0, 3), ["at work", "at inner", "at outer"]);
  assert(frames.every((frame) => !/_thread|asyncio:|ext:/.test(frame)));
});

Deno.test("toThread() rejects with the frames of its caller if its thread has ended", async () => {
  const frames = await run(async function main() {
    await null;
    return framesIn(await toThread(() => process.exit(1)).catch((it) => it));
  });
  assertEquals(frames.slice(0, 1), ["at main"]);
});

Deno.test("runCoroutineThreadsafe() fails with the frames of the function, of the call, and of the thread's caller", async () => {
  const frames = await run(async function main() {
    const loop = getRunningLoop();
    loop.expose({
      async bad() {
        await null;
        throw new EvalError("bad");
      },
    });
    await null;
    const error = await toThread(function ask(loop) {
      const call = () => runCoroutineThreadsafe("bad", loop).result();
      call();
    }, loop.handle()).catch((error) => error);
    assertInstanceOf(error, EvalError);
    return framesIn(error);
  });
  assertEquals(frames, ["at bad", "at call", "at ask", "at main"]);
});

Deno.test("toThread() rejects with errors whose fields throw, and with endless causes", async () => {
  const hostile = await thrown(() => {
    throw Object.defineProperty(new EvalError("why"), "message", {
      get: () => {
        throw new RangeError("not to be read");
      },
    });
  });
  assertInstanceOf(hostile, Error);
  const deep = await thrown(() => {
    let error = new EvalError("the innermost");
    for (let i = 0; i < 100_000; i++) {
      error = new EvalError("outer", { cause: error });
    }
    throw error;
  });
  assertInstanceOf(deep, EvalError);
  let depth = 0;
  for (let it: unknown = deep; it instanceof EvalError; it = it.cause) depth++;
  assertEquals(depth, 501);
});
