// Every public function, constructor and method with wrong arguments of every
// kind. New rows go into the table of their topic.

import {
  Barrier,
  BoundedSemaphore,
  BrokenBarrierError,
  CancelledError,
  captureCallGraph,
  Condition,
  createEagerTaskFactory,
  dumpTasks,
  Event,
  ExceptionGroup,
  formatCallGraph,
  IncompleteReadError,
  InvalidStateError,
  KeyboardInterrupt,
  LifoQueue,
  LimitOverrunError,
  Lock,
  printCallGraph,
  PriorityQueue,
  Queue,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  RuntimeError,
  Semaphore,
  SendfileNotAvailableError,
  TimeoutError,
  VirtualTimeLoop,
} from "@asyncio/asyncio";
import {
  type Any,
  ANYTHING,
  assertRefuses,
  FUNCTIONS,
  NUMBERS,
  on,
  optionRows,
  plain,
  REAL_NUMBERS,
  type Row,
  SIGNAL,
  STRINGABLE,
  STRINGS,
} from "./_bad_values.ts";

const NAME = { name: STRINGABLE };
/** Values that `<` compares silently. */
const COMPARABLE = [
  ...NUMBERS,
  ...STRINGS,
  ...["true", "1n", "[]", "[1]", "Date"],
];
const COUNTS = ["0", "Infinity", "2**53", "undefined"];

/** An object with a method that would wait. */
function locked<T extends Lock | Condition | Semaphore>(it: T): T {
  it.acquire();
  return it;
}

function fullQueue(): Queue<number> {
  const queue = new Queue<number>(1);
  queue.putNowait(1);
  return queue;
}

const sync: Row[] = [
  ...optionRows("new Lock()", plain((it) => new Lock(it)), NAME),
  ...optionRows("new Event()", plain((it) => new Event(it)), NAME),
  ...optionRows(
    "new Condition()",
    plain((it) => new Condition(undefined, it)),
    NAME,
  ),
  ...optionRows("new Semaphore()", plain((it) => new Semaphore(1, it)), NAME),
  ...optionRows(
    "new BoundedSemaphore()",
    plain((it) => new BoundedSemaphore(1, it)),
    NAME,
  ),
  ...optionRows("new Barrier()", plain((it) => new Barrier(2, it)), NAME),
  {
    name: "new Condition(lock)",
    make: plain((it) => new Condition(it)),
    accepts: ["undefined"],
  },
  {
    name: "new Semaphore(value)",
    make: plain((it) => new Semaphore(it)),
    accepts: COUNTS,
  },
  {
    name: "new BoundedSemaphore(value)",
    make: plain((it) => new BoundedSemaphore(it)),
    accepts: COUNTS,
  },
  {
    name: "new Barrier(parties)",
    make: plain((it) => new Barrier(it)),
    accepts: ["Infinity", "2**53"],
  },
  ...[
    () => new Lock(),
    () => new Semaphore(),
    () => new BoundedSemaphore(),
    () => new Condition(),
  ].flatMap((make) => {
    const { name } = make().constructor;
    const acquire = (it: Lock | Condition | Semaphore, options: Any) =>
      it.acquire(options);
    return [
      ...optionRows(`${name}.acquire()`, on(make, acquire), SIGNAL, true),
      ...optionRows(
        `${name}.acquire() that waits`,
        on(() => locked(make()), acquire),
        SIGNAL,
        true,
      ),
    ];
  }),
  ...optionRows(
    "Event.wait()",
    on(() => new Event(), (it, options) => it.wait(options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Barrier.wait()",
    on(() => new Barrier(2), (it, options) => it.wait(options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Condition.wait()",
    on(() => locked(new Condition()), (it, options) => it.wait(options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Condition.waitFor()",
    on(
      () => locked(new Condition()),
      (it, options) => it.waitFor(() => false, options),
    ),
    SIGNAL,
    true,
  ),
  {
    name: "Condition.waitFor(predicate)",
    make: on(() => locked(new Condition()), (it, value) => it.waitFor(value)),
    accepts: FUNCTIONS.filter((name) => name !== "async fn"),
    isAsync: true,
  },
  {
    name: "Condition.notify(n)",
    make: on(() => locked(new Condition()), (it, n) => it.notify(n)),
    accepts: ["undefined", ...REAL_NUMBERS],
  },
];

const queues: Row[] = [
  ...[Queue, LifoQueue, PriorityQueue].flatMap((Kind) => {
    const { name } = Kind;
    const options: Record<string, readonly string[]> = { ...NAME };
    if (Kind === PriorityQueue) options.compare = FUNCTIONS;
    return [
      {
        name: `new ${name}(maxsize)`,
        make: plain((it) => new Kind(it)),
        accepts: ["undefined", ...REAL_NUMBERS],
      },
      ...optionRows(`new ${name}()`, plain((it) => new Kind(0, it)), options),
      {
        name: `${name}.shutdown(immediate)`,
        make: on(() => new Kind(), (it, value) => it.shutdown(value)),
        accepts: ["undefined", "true"],
      },
    ];
  }),
  ...optionRows(
    "Queue.get()",
    on(() => new Queue(), (it, options) => it.get(options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Queue.get() of an item that is there",
    on(fullQueue, (it, options) => it.get(options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Queue.put()",
    on(() => new Queue<number>(), (it, options) => it.put(1, options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Queue.put() that waits",
    on(fullQueue, (it, options) => it.put(1, options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Queue.join()",
    on(fullQueue, (it, options) => it.join(options)),
    SIGNAL,
    true,
  ),
  {
    name: "PriorityQueue.putNowait(item)",
    make: on(
      () => new PriorityQueue<unknown>(),
      (it, item) => it.putNowait(item),
    ),
    accepts: COMPARABLE,
  },
  {
    name: "PriorityQueue.put(item) that waits",
    make: on(
      () => {
        const queue = new PriorityQueue<unknown>(1);
        queue.putNowait(1);
        return queue;
      },
      (it, item) => it.put(item),
    ),
    accepts: COMPARABLE,
    isAsync: true,
  },
];

const MESSAGES = ["undefined", ...STRINGS];
const CAUSE = { cause: ANYTHING };

const errors: Row[] = [
  ...[
    ...[BrokenBarrierError, CancelledError, InvalidStateError, QueueEmpty],
    ...[QueueFull, QueueShutDown, RuntimeError, SendfileNotAvailableError],
    TimeoutError,
  ].flatMap((Kind: Any) => [
    {
      name: `new ${Kind.name}(message)`,
      make: plain((it) => new Kind(it)),
      accepts: MESSAGES,
    },
    ...optionRows(
      `new ${Kind.name}()`,
      plain((it) => new Kind("m", it)),
      CAUSE,
    ),
  ]),
  ...optionRows(
    "new KeyboardInterrupt()",
    plain((it) => new KeyboardInterrupt("m", it)),
    { ...CAUSE, signal: MESSAGES },
  ),
  {
    name: "new IncompleteReadError(partial)",
    make: plain((it) => new IncompleteReadError(it, 1)),
    accepts: ["Uint8Array"],
  },
  {
    name: "new IncompleteReadError(…, expected)",
    make: plain((it) => new IncompleteReadError(new Uint8Array(), it)),
    accepts: ["null", ...REAL_NUMBERS],
  },
  {
    name: "new LimitOverrunError(…, consumed)",
    make: plain((it) => new LimitOverrunError("m", it)),
    accepts: REAL_NUMBERS,
  },
  {
    name: "new ExceptionGroup(message)",
    make: plain((it) => new ExceptionGroup(it, [new Error("x")])),
    accepts: MESSAGES,
  },
  {
    name: "new ExceptionGroup(…, errors)",
    make: plain((it) => new ExceptionGroup("m", it)),
    accepts: ["[1]", "Uint8Array"],
  },
  ...(["split", "subgroup"] as const).map((method) => ({
    name: `ExceptionGroup.${method}(filter)`,
    make: on(
      () => new ExceptionGroup("m", [new Error("x")]),
      (it, filter) => it[method](filter),
    ),
    accepts: FUNCTIONS.filter((name) => name !== "async fn"),
  })),
];

const loops: Row[] = [
  ...optionRows(
    "new VirtualTimeLoop()",
    plain((it) => new VirtualTimeLoop(it)),
    {
      start: ["-1", "0", "1.5", "2**53"],
      patience: ["-1", "0", "1.5", "2**53", "Infinity", "-Infinity"],
    },
  ),
  {
    name: "createEagerTaskFactory(custom)",
    make: plain(createEagerTaskFactory),
    accepts: FUNCTIONS,
  },
  {
    name: "dumpTasks(loop)",
    make: plain(dumpTasks),
    accepts: ["undefined"],
  },
  ...[captureCallGraph, formatCallGraph, printCallGraph].flatMap((fn: Any) => [
    {
      name: `${fn.name}(future)`,
      make: plain((it) => fn(it)),
      accepts: ["undefined", "null"],
    },
    ...optionRows(`${fn.name}()`, plain((it) => fn(undefined, it)), {
      limit: REAL_NUMBERS,
      depth: REAL_NUMBERS,
    }),
  ]),
  {
    name: "printCallGraph({ file })",
    make: plain((file) => printCallGraph(undefined, { file })),
    accepts: ["undefined"],
  },
];

for (const row of [...sync, ...queues, ...errors, ...loops]) {
  Deno.test(`${row.name} refuses wrong values and no right ones`, () =>
    assertRefuses(row));
}
