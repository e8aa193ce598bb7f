// Messages for common argument mistakes, and what must still work with unusual
// arguments.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  asCompleted,
  CancelledError,
  createTask,
  ensureFuture,
  EventLoop,
  gather,
  getEventLoop,
  InvalidStateError,
  isCoroutineFunction,
  isFuture,
  openConnection,
  run,
  RuntimeError,
  shield,
  sleep,
  startServer,
  Task,
  TaskGroup,
  timeout,
  waitFor,
} from "@asyncio/asyncio";
import { type Any, badValues } from "./_bad_values.ts";

const STARTED = "pass () => f(x): a promise has already started";
const promise: Any = Promise.resolve(1);
async function fetchAll() {}

Deno.test("a promise where a coroutine function belongs says what to write", async () => {
  assertThrows(() => createTask(promise), TypeError, STARTED);
  assertThrows(() => new Task(promise), TypeError, STARTED);
  assertThrows(() => new TaskGroup().createTask(promise), TypeError, STARTED);
  await assertRejects(() => timeout(5, promise), TypeError, STARTED);
  await assertRejects(() => TaskGroup.run(promise), TypeError, STARTED);
});

Deno.test("several awaitables instead of one array say to pass one array", () => {
  const call: Any = gather;
  for (const wrong of [fetchAll, promise, getEventLoop().createFuture()]) {
    const gathering = () => call(wrong, wrong);
    assertThrows(gathering, TypeError, "pass them in one array");
    const iterating = () => asCompleted(wrong as Any);
    assertThrows(iterating, TypeError, "pass them in one array");
  }
});

Deno.test("a function is named and its source never shown", () => {
  const call: Any = gather;
  const error = assertThrows(() => call(fetchAll), TypeError);
  assert(error.message.includes("function fetchAll"), error.message);
  class Job {}
  for (const fn of [createTask, shield, ensureFuture] as Any[]) {
    assertThrows(() => fn(Job), TypeError, "class Job");
  }
});

Deno.test("createTask() names the nearest option", () => {
  const options: Any = { nmae: "x" };
  const create = () => createTask(fetchAll, options);
  assertThrows(create, TypeError, 'unknown option "nmae", did you mean "name"');
});

Deno.test("connections and servers say what Python's ssl= is here", async () => {
  const options: Any = { ssl: true };
  const refused = (call: () => Promise<unknown>, meant: string) =>
    assertRejects(
      call,
      TypeError,
      `unknown option "ssl", did you mean ${meant}`,
    );
  await refused(() => openConnection("localhost", 1, options), '"tls"');
  await refused(() => startServer(() => {}, null, 0, options), '"tls"');
});

Deno.test("createTask() hands unknown options to a task factory of the user's own", async () => {
  const options: Any = { priority: 3, name: "urgent" };
  const seen = await run(async () => {
    const loop = getEventLoop();
    const seen: unknown[] = [];
    loop.setTaskFactory((loop, coro, options) => {
      const { priority, ...known } = options as Any;
      seen.push(priority);
      return new Task(coro, known, loop);
    });
    const task = createTask(() => "done", options);
    seen.push(task.getName(), await task);
    assertThrows(() => createTask(promise), TypeError, STARTED);
    return seen;
  });
  assertEquals(seen, [3, "urgent", "done"]);
});

Deno.test("a task factory that makes no task is named", async () => {
  await run(() => {
    getEventLoop().setTaskFactory((() => undefined) as Any);
    const message = "what the task factory makes must be a Future";
    assertThrows(() => createTask(fetchAll), TypeError, message);
    const group = new TaskGroup();
    assertThrows(() => group.createTask(fetchAll), TypeError, message);
    getEventLoop().setTaskFactory(null);
  });
});

Deno.test("Task.setResult() and Task.setException() change nothing", async () => {
  const task = createTask(() => sleep(0, { result: "own" }));
  assertThrows(() => task.setResult("other"), RuntimeError);
  assertThrows(() => task.setException(new Error("other")), RuntimeError);
  assertEquals(task.done(), false);
  assertEquals(await task, "own");
});

Deno.test("Future.setException() refuses a class that needs arguments, and stays pending", () => {
  class NeedsCode extends Error {
    constructor({ code }: { code: number }) {
      super(`code ${code}`);
    }
  }
  const future = getEventLoop().createFuture();
  const fail = () => future.setException(NeedsCode);
  assertThrows(fail, TypeError, "no error can be made of class NeedsCode");
  assertThrows(() => future.result(), InvalidStateError);
});

Deno.test("Future.then() with a class rejects with its own message", async () => {
  class Handler {}
  const future = getEventLoop().createFuture<number>();
  future.setResult(1);
  const message = "must be a function, got class Handler";
  await assertRejects(() => future.then(Handler as Any), TypeError, message);
  assertThrows(() => future.finally(Handler as Any), TypeError, message);
});

Deno.test("isFuture() and isCoroutineFunction() answer for whatever they are given", () => {
  for (const [name, value] of Object.entries(badValues())) {
    assertEquals(isFuture(value), false, name);
    assertEquals(isCoroutineFunction(value), name === "async fn", name);
  }
});

Deno.test("a context that does not call its function fails the task, and is reported for a callback", async () => {
  const contexts: Any[] = [() => {}, async () => {}, () => {
    throw new RangeError("no context");
  }];
  const kinds = [TypeError, TypeError, RangeError];
  for (const [i, context] of contexts.entries()) {
    for (const eagerStart of [false, true]) {
      const task = createTask(fetchAll, { context, eagerStart });
      await assertRejects(() => task, kinds[i]);
    }
    const reports = await run(async () => {
      const reports: unknown[] = [];
      const loop = getEventLoop();
      loop.setExceptionHandler((_loop, it) => void reports.push(it.exception));
      const future = loop.createFuture<void>();
      future.addDoneCallback(fetchAll, { context });
      future.setResult();
      await sleep(0);
      return reports;
    });
    assertEquals(reports.length, 1);
    assert(reports[0] instanceof kinds[i]);
  }
});

Deno.test("a cancellation with a message that is not a string arrives", async () => {
  const messages: Any[] = [{}, Object.create(null), Symbol("s"), 5, fetchAll];
  for (const message of messages) {
    const task = createTask(() => sleep(Infinity));
    await sleep(0);
    assert(task.cancel(message));
    const error = await task.catch((error) => error);
    assert(error instanceof CancelledError && error.message === message);

    const result = await TaskGroup.run((group) => {
      group.createTask(() => sleep(Infinity));
      group.cancel(message);
    });
    assertEquals(result, undefined);

    const outer = createTask(() => waitFor(() => sleep(Infinity), 60));
    await sleep(0);
    outer.cancel(message);
    assert(await outer.catch((error) => error) instanceof CancelledError);
  }
});

Deno.test("EventLoop.callExceptionHandler() without a message says that there was an error", () => {
  const loop = new EventLoop();
  const seen: unknown[] = [];
  loop.setExceptionHandler((_loop, context) => seen.push(context));
  loop.callExceptionHandler({ exception: 1 } as Any);
  assertEquals(seen, [{ exception: 1 }]);
  const told: unknown[][] = [];
  const { error } = console;
  console.error = (...args) => void told.push(args);
  try {
    loop.defaultExceptionHandler({ exception: 1 } as Any);
  } finally {
    console.error = error;
  }
  assertEquals(told, [["Unhandled error in the event loop", "\n", 1]]);
});
