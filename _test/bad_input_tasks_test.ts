// Tasks, futures, loops and scopes with wrong arguments of every kind.

import {
  allTasks,
  asCompleted,
  cancellable,
  createEagerTaskFactory,
  createTask,
  currentTask,
  eagerTaskFactory,
  ensureFuture,
  EventLoop,
  Future,
  gather,
  getEventLoop,
  shield,
  sleep,
  Task,
  TaskGroup,
  Timeout,
  timeout,
  timeoutAt,
  wait,
  waitFor,
  wrapFuture,
} from "@asyncio/asyncio";
import {
  alsoTaking,
  type Any,
  ANYTHING,
  assertRefuses,
  type Call,
  FLAGS,
  FUNCTIONS,
  LIMITS,
  on,
  optionRows,
  plain,
  REAL_NUMBERS,
  type Row,
  SIGNAL,
  STRINGABLE,
} from "./_bad_values.ts";
import { inspect } from "./_inspect.ts";

const PROMISES = ["promise", "rejected"];
const AWAITABLES = [...FUNCTIONS, ...PROMISES];
const TASK_OPTIONS = {
  ...SIGNAL,
  name: STRINGABLE,
  context: ["null", ...FUNCTIONS],
  eagerStart: ["null", ...FLAGS],
};

/** A row for a call without state. */
function calling(
  name: string,
  call: (value: Any) => unknown,
  accepts: readonly string[],
  isAsync = false,
): Row {
  return { name, make: plain(call), accepts, isAsync };
}

function callingOptions(
  name: string,
  call: (value: Any) => unknown,
  options: Record<string, readonly string[]>,
  isAsync = false,
): Row[] {
  return optionRows(name, plain(call), options, isAsync);
}

/** A waiting task that is cancelled at the end. */
function onTask(call: (it: Task<void>, value: Any) => unknown): () => Call {
  const end = async (task: Task<void>) => {
    task.cancel();
    await wait([task]);
  };
  return on(() => createTask(() => sleep(Infinity)), call, end);
}

/** A method of a scope whose body waits and is cancelled at the end. */
function onScope<T>(
  open: (body: (it: T) => Promise<void>) => Promise<void>,
  call: (it: T, value: Any) => unknown,
  state: (it: T) => string = inspect,
): () => Call {
  return () => {
    let it!: T;
    const body = (scope: T) => {
      it = scope;
      return sleep(Infinity);
    };
    const task = createTask(() => open(body), { eagerStart: true });
    return {
      call: (value) => call(it, value),
      state: () => state(it),
      end: async () => {
        task.cancel();
        await wait([task]);
      },
    };
  };
}

function onGroup(call: (it: TaskGroup, value: Any) => unknown): () => Call {
  return onScope<TaskGroup>((body) => TaskGroup.run(body), call);
}

const future = () => getEventLoop().createFuture<number>();

const creation: Row[] = [
  calling("createTask(coro)", createTask, FUNCTIONS),
  ...callingOptions(
    "createTask()",
    (it) => createTask(() => {}, it),
    TASK_OPTIONS,
  ),
  calling("new Task(coro)", (it) => new Task(it), FUNCTIONS),
  ...callingOptions(
    "new Task()",
    (it) => new Task(() => {}, it),
    TASK_OPTIONS,
  ),
  calling("new Task(…, loop)", (it) => new Task(() => {}, {}, it), [
    "undefined",
  ]),
  calling(
    "EventLoop.createTask(coro)",
    (it) => getEventLoop().createTask(it),
    FUNCTIONS,
  ),
  ...callingOptions(
    "EventLoop.createTask()",
    (it) => getEventLoop().createTask(() => {}, it),
    TASK_OPTIONS,
  ),
  calling(
    "eagerTaskFactory(loop)",
    (it) => eagerTaskFactory(it, () => {}),
    [],
  ),
  calling(
    "eagerTaskFactory(…, coro)",
    (it) => eagerTaskFactory(getEventLoop(), it),
    FUNCTIONS,
  ),
  ...callingOptions(
    "eagerTaskFactory()",
    (it) => eagerTaskFactory(getEventLoop(), () => {}, it),
    TASK_OPTIONS,
  ),
  {
    name: "createEagerTaskFactory(custom)",
    make: plain(createEagerTaskFactory),
    accepts: FUNCTIONS,
  },
  ...alsoTaking(
    ["bad then"],
    callingOptions(
      "the factory of createEagerTaskFactory()",
      (it) => {
        const make = createEagerTaskFactory((...args) => new Task(...args));
        return make(getEventLoop(), () => {}, it);
      },
      TASK_OPTIONS,
    ),
  ),
  calling("ensureFuture(aw)", ensureFuture, AWAITABLES),
  calling("wrapFuture(promise)", wrapFuture, PROMISES),
  calling("cancellable(source)", cancellable, PROMISES),
  calling("shield(aw)", shield, AWAITABLES),
  calling("currentTask(loop)", currentTask, ["undefined"]),
  calling("allTasks(loop)", allTasks, ["undefined"]),
  ...callingOptions("new Future()", (it) => new Future(it), { loop: [] }),
];

const waiting: Row[] = [
  calling("sleep(delay)", sleep, REAL_NUMBERS, true),
  ...callingOptions("sleep()", (it) => sleep(0, it), {
    ...SIGNAL,
    result: ANYTHING,
  }, true),
  calling("gather(aws)", gather, ["[]", "Map"]),
  calling("gather([aw])", (it) => gather([it]), AWAITABLES),
  ...callingOptions("gather()", (it) => gather([future()], it), {
    ...SIGNAL,
    returnExceptions: FLAGS,
    limit: LIMITS,
  }),
  calling("waitFor(aw)", (it) => waitFor(it, 1), AWAITABLES, true),
  calling(
    "waitFor(…, timeout)",
    (it) => waitFor(future(), it),
    ["null", ...REAL_NUMBERS],
    true,
  ),
  ...callingOptions(
    "waitFor()",
    (it) => waitFor(future(), 1, it),
    SIGNAL,
    true,
  ),
  calling("wait(aws)", wait, [], true),
  calling("wait([aw])", (it) => wait([it]), [], true),
  ...callingOptions("wait()", (it) => wait([future()], it), {
    ...SIGNAL,
    timeout: ["null", ...REAL_NUMBERS],
    returnWhen: [],
  }, true),
  calling("asCompleted(aws)", asCompleted, ["[]", "Map"]),
  calling("asCompleted([aw])", (it) => asCompleted([it]), AWAITABLES),
  ...callingOptions("asCompleted()", (it) => asCompleted([future()], it), {
    ...SIGNAL,
    timeout: ["null", ...REAL_NUMBERS],
    limit: LIMITS,
  }),
];

const scopes: Row[] = [
  calling(
    "timeout(delay)",
    (it) => timeout(it, () => sleep(0)),
    ["null", ...REAL_NUMBERS],
    true,
  ),
  calling("timeout(…, body)", (it) => timeout(1, it), FUNCTIONS, true),
  calling(
    "timeoutAt(when)",
    (it) => timeoutAt(it, () => sleep(0)),
    ["null", ...REAL_NUMBERS],
    true,
  ),
  calling("timeoutAt(…, body)", (it) => timeoutAt(null, it), FUNCTIONS, true),
  calling("new Timeout(when)", (it) => new Timeout(it), [
    "null",
    ...REAL_NUMBERS,
  ]),
  {
    name: "Timeout.reschedule(when)",
    make: onScope<Timeout>(
      (body) => timeout(1e6, body),
      (it, when) => it.reschedule(when),
      (it) => `${it.when()! - getEventLoop().time() > 9e5}`,
    ),
    accepts: ["null", ...REAL_NUMBERS],
  },
  calling("TaskGroup.run(body)", (it) => TaskGroup.run(it), FUNCTIONS, true),
  ...callingOptions("TaskGroup.run()", (it) => TaskGroup.run(() => {}, it), {
    limit: LIMITS,
  }, true),
  {
    name: "TaskGroup.createTask(coro)",
    make: onGroup((it, coro) => it.createTask(coro)),
    accepts: FUNCTIONS,
  },
  ...optionRows(
    "TaskGroup.createTask()",
    onGroup((it, options) => it.createTask(() => {}, options)),
    TASK_OPTIONS,
  ),
  ...optionRows(
    "TaskGroup.join()",
    on(() => new TaskGroup(), (it, options) => it.join(options)),
    SIGNAL,
    true,
  ),
  {
    name: "TaskGroup.cancel(message)",
    make: onGroup((it, message) => it.cancel(message)),
    accepts: ANYTHING,
  },
];

const ofFutures: Row[] = [
  {
    name: "Future.addDoneCallback(fn)",
    make: on(future, (it, fn) => it.addDoneCallback(fn)),
    accepts: FUNCTIONS,
  },
  ...optionRows(
    "Future.addDoneCallback()",
    on(future, (it, options) => it.addDoneCallback(() => {}, options)),
    { context: ["null", ...FUNCTIONS] },
  ),
  {
    name: "Future.removeDoneCallback(fn)",
    make: on(future, (it, fn) => it.removeDoneCallback(fn)),
    accepts: ANYTHING,
  },
  {
    name: "Task.setName(name)",
    make: onTask((it, name) => it.setName(name)),
    accepts: STRINGABLE,
  },
  ...(["getStack", "printStack"] as const).flatMap((method) =>
    optionRows(
      `Task.${method}()`,
      onTask((it, options) => it[method](options)),
      { limit: REAL_NUMBERS },
    )
  ),
];

const loop = () => new EventLoop();

const ofLoops: Row[] = [
  ...(["callSoon", "callSoonThreadsafe"] as const).map((method) => ({
    name: `EventLoop.${method}(fn)`,
    make: on(loop, (it, fn) => it[method](fn), (it) => it.close()),
    accepts: FUNCTIONS,
  })),
  ...(["callLater", "callAt"] as const).flatMap((method) => [
    {
      name: `EventLoop.${method}(…, fn)`,
      make: on(loop, (it, fn) => it[method](1, fn), (it) => it.close()),
      accepts: FUNCTIONS,
    },
    {
      name: `EventLoop.${method}(time)`,
      make: on(
        loop,
        (it, when) => it[method](when, () => {}),
        (it) => it.close(),
      ),
      accepts: REAL_NUMBERS,
    },
  ]),
  {
    name: "EventLoop.setTaskFactory(factory)",
    make: on(loop, (it, factory) => it.setTaskFactory(factory)),
    accepts: ["null", ...FUNCTIONS],
  },
  {
    name: "EventLoop.setExceptionHandler(handler)",
    make: on(loop, (it, handler) => it.setExceptionHandler(handler)),
    accepts: ["null", ...FUNCTIONS],
  },
  ...(["callExceptionHandler", "defaultExceptionHandler"] as const).map((
    method,
  ) => ({
    name: `EventLoop.${method}(context)`,
    make: on(loop, (it, context) => it[method](context)),
    accepts: ["{}", "null prototype", "bad toString", "bad then"],
  })),
  {
    name: "EventLoop.setDebug(enabled)",
    make: on(loop, (it, enabled) => it.setDebug(enabled), (it) => it.close()),
    accepts: ANYTHING,
  },
  {
    name: "EventLoop.shutdownDefaultExecutor(timeout)",
    make: on(loop, (it, timeout) => it.shutdownDefaultExecutor(timeout)),
    accepts: ["undefined", ...REAL_NUMBERS],
    isAsync: true,
  },
  {
    name: "new EventLoop(host)",
    make: plain((it) => new EventLoop(it)),
    accepts: ["undefined"],
  },
];

for (
  const row of [...creation, ...waiting, ...scopes, ...ofFutures, ...ofLoops]
) {
  Deno.test(`${row.name} refuses wrong values and no right ones`, () =>
    assertRefuses(row));
}
