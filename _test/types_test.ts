// What the compiler makes of calls. Most of the work is done before anything
// runs: a type that is not the expected one, and a misuse that is accepted,
// fail the type check.

import { assert, assertEquals } from "@std/assert";
import {
  asCompleted,
  Barrier,
  BoundedSemaphore,
  Condition,
  type Coroutine,
  createTask,
  type DoneFuture,
  ensureFuture,
  Event,
  type Future,
  gather,
  getEventLoop,
  isFuture,
  Lock,
  openConnection,
  PriorityQueue,
  Queue,
  run,
  Runner,
  Semaphore,
  shield,
  sleep,
  startServer,
  type StreamWriter,
  Task,
  TaskGroup,
  timeout,
  wait,
  waitFor,
  wrapFuture,
} from "@asyncio/asyncio";
import { virtual } from "./_virtual.ts";

/** Whether two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true : false;

/** Takes a value whose type is exactly `T`, and gives it back. */
function typed<T>() {
  return <V>(value: V, ..._: Same<V, T> extends true ? [] : [never]): V =>
    value;
}

const number = () => Promise.resolve(1);
const text = () => "text";

Deno.test("gather() has the type of a tuple of the results", async () => {
  const task = createTask(() => true);
  const results = await gather([number, text, task, Promise.resolve(null)]);
  typed<[number, string, boolean, null]>()(results);
  assertEquals(results, [1, "text", true, null]);
});

Deno.test("gather() of a list has the type of a list", async () => {
  const tasks: Task<number>[] = [1, 2].map((n) => createTask(() => n));
  const results = await gather(tasks);
  typed<number[]>()(results);
  assertEquals(results, [1, 2]);
  const nested = await gather([gather([number, text]), () => gather([text])]);
  typed<[[number, string], [string]]>()(nested);
  assertEquals(nested, [[1, "text"], ["text"]]);
});

Deno.test("gather() flattens promises, as await does", async () => {
  const results = await gather([() => Promise.resolve(Promise.resolve(1))]);
  typed<[number]>()(results);
  assertEquals(results, [1]);
});

Deno.test("Task<T> has the type of what its coroutine returns", async () => {
  const task = typed<Task<number>>()(createTask(number));
  const plain = typed<Task<string>>()(createTask(text));
  const values: [number, string] = [await task, await plain];
  typed<number>()(task.result());
  typed<Coroutine<number>>()(task.getCoro());
  typed<AbortSignal>()(task.signal);
  typed<unknown>()(task.exception());
  assertEquals(values, [1, "text"]);
});

Deno.test("Task<T> is what its done callbacks are called with", async () => {
  const task = createTask(number);
  const seen: number[] = [];
  task.addDoneCallback((it) => {
    seen.push(it.result());
    assertEquals(it.getName(), task.getName());
  });
  await task;
  await sleep(0);
  assertEquals(seen, [1]);
});

Deno.test("Future<T>.then() has the types of a promise's", async () => {
  const future = typed<Future<number>>()(getEventLoop().createFuture<number>());
  future.setResult(1);
  typed<string>()(await future.then((n) => n.toFixed()));
  typed<string | number>()(await future.catch(() => "caught"));
  typed<number>()(await future.finally(() => "ignored"));
  assertEquals(future.result(), 1);
});

Deno.test("Awaitables of every kind give the type of their value", async () => {
  await virtual(async () => {
    typed<number>()(await waitFor(number, 1));
    typed<string>()(await waitFor(createTask(text), null));
    typed<number>()(await waitFor(Promise.resolve(1), { seconds: 1 }));
    typed<Future<number>>()(shield(number));
    typed<Future<string>>()(ensureFuture(text));
    typed<Future<number>>()(wrapFuture(Promise.resolve(1)));
    typed<number>()(await timeout(1, () => 1));
    typed<string>()(await timeout(null, async () => await number() + ""));
    typed<void>()(await sleep(0));
    typed<string>()(await sleep(0, { result: "x" }));
    const value = await TaskGroup.run((group) => group.createTask(number));
    assertEquals(typed<number>()(value), 1);
  });
});

Deno.test("wait() and asCompleted() keep the type of their futures", async () => {
  const tasks = [createTask(number), createTask(number)];
  const [done, pending] = await wait(tasks);
  typed<Set<Task<number>>>()(done);
  typed<Set<Task<number>>>()(pending);
  const seen: number[] = [];
  for await (const it of asCompleted([number])) {
    typed<DoneFuture<number>>()(it);
    seen.push(it.result());
  }
  for (const turn of asCompleted(tasks)) seen.push(await turn);
  assertEquals(seen, [1, 1, 1]);
});

Deno.test("isFuture() narrows", () => {
  const value: unknown = getEventLoop().createFuture();
  assert(isFuture(value));
  typed<Future<unknown>>()(value);
});

Deno.test("run() and Runner.run() have the type of the result", async () => {
  typed<number>()(await run(number));
  await using runner = new Runner();
  assertEquals(typed<string>()(await runner.run(text)), "text");
});

Deno.test("Queue<T> gives what was put", async () => {
  const queue = new Queue<number | null>();
  queue.putNowait(null);
  await queue.put(1);
  typed<number | null>()(queue.getNowait());
  typed<number | null>()(await queue.get());
  const heap = new PriorityQueue<[number, string]>();
  heap.putNowait([1, "one"]);
  assertEquals(typed<[number, string]>()(heap.getNowait()), [1, "one"]);
});

Deno.test("Guards fit into using", async () => {
  const event = new Event();
  event.set();
  typed<true>()(await event.wait());
  const log: string[] = [];
  const lockLikes = [
    new Lock(),
    new Condition(),
    new Semaphore(),
    new BoundedSemaphore(),
  ];
  for (const lock of lockLikes) {
    using _ = await lock.acquire();
    log.push(`${lock.locked()}`);
  }
  typed<number>()(await new Barrier(1).wait());
  assertEquals(log, ["true", "true", "true", "true"]);
});

/** Misuse that the compiler has to refuse; never called. */
export async function misuse(queue: Queue<number>, task: Task<number>) {
  // @ts-expect-error: an item of another type
  queue.putNowait("text");
  // @ts-expect-error: an item of another type
  await queue.put(null);
  // @ts-expect-error: a called coroutine has started already
  createTask(number());
  // @ts-expect-error: arguments go into a closure
  createTask((a: number, b: number) => a + b);
  // @ts-expect-error: a list, not arguments
  gather(number, text);
  // @ts-expect-error: not awaitable
  gather([1]);
  // @ts-expect-error: the limit is missing
  await waitFor(number);
  // @ts-expect-error: a number of seconds or a duration
  await sleep("1s");
  // @ts-expect-error: no such unit
  await sleep({ fortnights: 1 });
  // @ts-expect-error: coroutine functions are for gather(); wait() takes tasks
  await wait([number]);
  // @ts-expect-error: promises are for gather(); wait() takes tasks
  await wait([Promise.resolve(1)]);
  // @ts-expect-error: no such condition
  await wait([task], { returnWhen: "SOME_COMPLETED" });
  // @ts-expect-error: another type of result
  const other: Task<string> = task;
  // @ts-expect-error: a body, not a promise
  await timeout(1, number());
  // @ts-expect-error: the message is a string
  task.cancel(new Error("why"));
  // @ts-expect-error: seconds are not milliseconds in disguise
  await sleep({ ms: 1 });
  for await (const done of asCompleted([task])) {
    // @ts-expect-error: it is done; ask for its result()
    done.then();
  }
  return other;
}

Deno.test("Task constructor infers as createTask() does", async () => {
  const task = typed<Task<number>>()(new Task(number));
  assertEquals(await task, 1);
});

/** What the compiler makes of the facts of a connection; never called. */
function _facts({ writer }: { writer: StreamWriter }): void {
  type Address = Deno.NetAddr | Deno.UnixAddr;
  type Connection = Deno.TcpConn | Deno.TlsConn | Deno.UnixConn;
  for (const it of [writer, writer.transport]) {
    const peer = typed<Address>()(it.getExtraInfo("peername"));
    typed<Address>()(it.getExtraInfo("sockname"));
    typed<Connection>()(it.getExtraInfo("socket"));
    typed<Deno.TlsHandshakeInfo | null>()(it.getExtraInfo("sslObject"));
    typed<unknown>()(it.getExtraInfo("subprocess"));
    typed<unknown>()(it.getExtraInfo("anything", 1));
    typed<unknown>()(it.getExtraInfo("name" as string));
    if (peer.transport === "tcp") typed<number>()(peer.port);
    // @ts-expect-error: a Unix socket has no port
    peer.port;
    // @ts-expect-error: the name is a string
    it.getExtraInfo(1);
  }
}

Deno.test("StreamWriter.getExtraInfo() has the types of what it gives", async () => {
  await using server = await startServer(
    (_reader, writer) => writer.close(),
    "127.0.0.1",
    0,
  );
  const { port } = server.sockets[0].addr as Deno.NetAddr;
  const [, writer] = await openConnection("127.0.0.1", port);
  const peer = writer.getExtraInfo("peername");
  assert(peer.transport === "tcp");
  assertEquals(typed<number>()(peer.port), port);
  typed<string>()(peer.hostname);
  writer.close();
  await writer.waitClosed();
});
