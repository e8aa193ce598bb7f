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
  badValues,
  type Call,
  FUNCTIONS,
  NUMBERS,
  optionRows,
  type Row,
  STRINGABLE,
  testRefusals,
} from "./_bad_values.ts";

/** Any function: the table is about what types would not let through. */
// deno-lint-ignore no-explicit-any
type Any = any;

const SIGNAL = { signal: [] };
const REAL_NUMBERS = NUMBERS.filter((name) => name !== "NaN");
const PROMISES = ["promise", "rejected"];
const AWAITABLES = [...FUNCTIONS, ...PROMISES];
const LIMITS = ["Infinity", "2**53"];
const FLAGS = ["true"];
const TASK_OPTIONS = {
  ...SIGNAL,
  name: STRINGABLE,
  context: ["null", ...FUNCTIONS],
  eagerStart: ["null", ...FLAGS],
};
const ANYTHING = Object.keys(badValues());

const plain = (call: (value: Any) => unknown) => (): Call => ({ call });

/** A row of a call that starts something. */
function lasting(
  name: string,
  call: (value: Any) => unknown,
  accepts: readonly string[],
  isAsync = false,
): Row {
  return { name, make: plain(call), accepts, isAsync, isLasting: true };
}

function lastingOptions(
  name: string,
  call: (value: Any) => unknown,
  options: Record<string, readonly string[]>,
  isAsync = false,
): Row[] {
  return optionRows(name, plain(call), options, isAsync, true);
}

/** A method of a fresh object, whose console line is what must not change. */
function on<T extends object>(
  make: () => T,
  call: (it: T, value: Any) => unknown,
  end?: (it: T) => unknown,
): () => Call {
  return () => {
    const it = make();
    return {
      call: (value) => call(it, value),
      state: () => Deno.inspect(it),
      end: () => end?.(it),
    };
  };
}

/** A task that waits, and is cancelled in the end. */
function onTask(call: (it: Task<void>, value: Any) => unknown): () => Call {
  const end = async (task: Task<void>) => {
    task.cancel();
    await wait([task]);
  };
  return on(() => createTask(() => sleep(Infinity)), call, end);
}

const future = () => getEventLoop().createFuture<number>();

const making: Row[] = [
  lasting("createTask(coro)", createTask, FUNCTIONS),
  ...lastingOptions(
    "createTask()",
    (it) => createTask(() => {}, it),
    TASK_OPTIONS,
  ),
  lasting("new Task(coro)", (it) => new Task(it), FUNCTIONS),
  ...lastingOptions(
    "new Task()",
    (it) => new Task(() => {}, it),
    TASK_OPTIONS,
  ),
  lasting("new Task(…, loop)", (it) => new Task(() => {}, {}, it), [
    "undefined",
  ]),
  lasting(
    "EventLoop.createTask(coro)",
    (it) => getEventLoop().createTask(it),
    FUNCTIONS,
  ),
  ...lastingOptions(
    "EventLoop.createTask()",
    (it) => getEventLoop().createTask(() => {}, it),
    TASK_OPTIONS,
  ),
  lasting(
    "eagerTaskFactory(loop)",
    (it) => eagerTaskFactory(it, () => {}),
    [],
  ),
  lasting(
    "eagerTaskFactory(…, coro)",
    (it) => eagerTaskFactory(getEventLoop(), it),
    FUNCTIONS,
  ),
  ...lastingOptions(
    "eagerTaskFactory()",
    (it) => eagerTaskFactory(getEventLoop(), () => {}, it),
    TASK_OPTIONS,
  ),
  {
    name: "createEagerTaskFactory(custom)",
    make: plain(createEagerTaskFactory),
    accepts: FUNCTIONS,
  },
  ...lastingOptions(
    "the factory of createEagerTaskFactory()",
    (it) => {
      const make = createEagerTaskFactory((...args) => new Task(...args));
      return make(getEventLoop(), () => {}, it);
    },
    TASK_OPTIONS,
  ).map((row) => ({ ...row, accepts: [...row.accepts, "bad then"] })),
  lasting("ensureFuture(aw)", ensureFuture, AWAITABLES),
  lasting("wrapFuture(promise)", wrapFuture, PROMISES),
  lasting("cancellable(source)", cancellable, PROMISES),
  lasting("shield(aw)", shield, AWAITABLES),
  lasting("currentTask(loop)", currentTask, ["undefined"]),
  lasting("allTasks(loop)", allTasks, ["undefined"]),
  ...lastingOptions("new Future()", (it) => new Future(it), { loop: [] }),
];

const waiting: Row[] = [
  lasting("sleep(delay)", sleep, REAL_NUMBERS, true),
  ...lastingOptions("sleep()", (it) => sleep(0, it), {
    ...SIGNAL,
    result: ANYTHING,
  }, true),
  lasting("gather(aws)", gather, ["[]", "Map"]),
  lasting("gather([aw])", (it) => gather([it]), AWAITABLES),
  ...lastingOptions("gather()", (it) => gather([future()], it), {
    ...SIGNAL,
    returnExceptions: FLAGS,
    limit: LIMITS,
  }),
  lasting("waitFor(aw)", (it) => waitFor(it, 1), AWAITABLES, true),
  lasting(
    "waitFor(…, timeout)",
    (it) => waitFor(future(), it),
    ["null", ...REAL_NUMBERS],
    true,
  ),
  ...lastingOptions(
    "waitFor()",
    (it) => waitFor(future(), 1, it),
    SIGNAL,
    true,
  ),
  lasting("wait(aws)", wait, [], true),
  lasting("wait([aw])", (it) => wait([it]), [], true),
  ...lastingOptions("wait()", (it) => wait([future()], it), {
    ...SIGNAL,
    timeout: ["null", ...REAL_NUMBERS],
    returnWhen: [],
  }, true),
  lasting("asCompleted(aws)", asCompleted, ["[]", "Map"]),
  lasting("asCompleted([aw])", (it) => asCompleted([it]), AWAITABLES),
  ...lastingOptions("asCompleted()", (it) => asCompleted([future()], it), {
    ...SIGNAL,
    timeout: ["null", ...REAL_NUMBERS],
    limit: LIMITS,
  }),
];

const scopes: Row[] = [
  lasting(
    "timeout(delay)",
    (it) => timeout(it, () => sleep(0)),
    ["null", ...REAL_NUMBERS],
    true,
  ),
  lasting("timeout(…, body)", (it) => timeout(1, it), FUNCTIONS, true),
  lasting(
    "timeoutAt(when)",
    (it) => timeoutAt(it, () => sleep(0)),
    ["null", ...REAL_NUMBERS],
    true,
  ),
  lasting("timeoutAt(…, body)", (it) => timeoutAt(null, it), FUNCTIONS, true),
  lasting("new Timeout(when)", (it) => new Timeout(it), [
    "null",
    ...REAL_NUMBERS,
  ]),
  {
    name: "Timeout.reschedule(when)",
    make: () => {
      let scope: Any;
      const body = createTask(
        () =>
          timeout(1e6, (it) => {
            scope = it;
            return sleep(Infinity);
          }),
        { eagerStart: true },
      );
      return {
        call: (when) => scope.reschedule(when),
        state: () => `${scope.when() - getEventLoop().time() > 9e5}`,
        end: async () => {
          body.cancel();
          await wait([body]);
        },
      };
    },
    accepts: ["null", ...REAL_NUMBERS],
    isLasting: true,
  },
  lasting("TaskGroup.run(body)", (it) => TaskGroup.run(it), FUNCTIONS, true),
  ...lastingOptions("TaskGroup.run()", (it) => TaskGroup.run(() => {}, it), {
    limit: LIMITS,
  }, true),
  {
    name: "TaskGroup.createTask(coro)",
    make: on(() => new TaskGroup(), (it, coro) => it.createTask(coro)),
    accepts: FUNCTIONS,
    isLasting: true,
  },
  ...optionRows(
    "TaskGroup.createTask()",
    on(
      () => new TaskGroup(),
      (it, options) => it.createTask(() => {}, options),
    ),
    TASK_OPTIONS,
    false,
    true,
  ),
  ...optionRows(
    "TaskGroup.join()",
    on(() => new TaskGroup(), (it, options) => it.join(options)),
    SIGNAL,
    true,
  ),
  {
    name: "TaskGroup.cancel(message)",
    make: on(() => new TaskGroup(), (it, message) => it.cancel(message)),
    accepts: ANYTHING,
    isLasting: true,
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
      false,
      true,
    )
  ),
];

const loop = () => new EventLoop();

const ofLoops: Row[] = [
  ...(["callSoon", "callSoonThreadsafe"] as const).map((method) => ({
    name: `EventLoop.${method}(fn)`,
    make: on(loop, (it, fn) => it[method](fn), (it) => it.close()),
    accepts: FUNCTIONS,
    isLasting: true,
  })),
  ...(["callLater", "callAt"] as const).flatMap((method) => [
    {
      name: `EventLoop.${method}(…, fn)`,
      make: on(loop, (it, fn) => it[method](1, fn), (it) => it.close()),
      accepts: FUNCTIONS,
      isLasting: true,
    },
    {
      name: `EventLoop.${method}(time)`,
      make: on(loop, (it, when) => it[method](when, () => {})),
      accepts: REAL_NUMBERS,
      isLasting: true,
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
    isLasting: true,
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
    isLasting: true,
  },
  {
    name: "new EventLoop(host)",
    make: plain((it) => new EventLoop(it)),
    accepts: ["undefined"],
  },
];

testRefusals([...making, ...waiting, ...scopes, ...ofFutures, ...ofLoops]);
