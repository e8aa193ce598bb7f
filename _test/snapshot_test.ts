import process from "node:process";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  createTask,
  Event,
  type EventLoop,
  formatSnapshot,
  gather,
  getRunningLoop,
  Lock,
  Queue,
  run,
  shield,
  sleep,
  type Snapshot,
  snapshot,
  TaskGroup,
  type TaskSnapshot,
  timeout,
  TimeoutError,
  wait,
} from "@asyncio/asyncio";
import { debugged, lineWith, plain } from "./_places.ts";

const LOOPS = Symbol.for("asyncio.loops");
const here = (remark: string) => lineWith(remark, import.meta.url);

function named(name: string): TaskSnapshot {
  return snapshot().tasks.find((task) => task.name === name)!;
}

Deno.test("snapshot() is plain data, which JSON keeps as it is", async () => {
  await plain(async () => {
    const lock = new Lock();
    using _ = await lock.acquire();
    const waiter = createTask(() => lock.acquire());
    await sleep(1);
    const taken = snapshot();
    assertEquals(JSON.parse(JSON.stringify(taken)), taken);
    assertEquals(taken.version, 1);
    assertEquals(taken.pid, process.pid);
    assertEquals(taken.loop, {
      name: "VirtualTimeLoop",
      state: "running",
      debug: false,
      time: 1,
      lag: 0,
      ready: 0,
      timers: 0,
    });
    waiter.cancel();
    await wait([waiter]);
  });
});

Deno.test("snapshot() gives each task with its creator, what it waits for and what holds that", async () => {
  await plain(async () => {
    const lock = new Lock();
    using _ = await lock.acquire();
    async function wants() {
      using _ = await lock.acquire();
    }
    const first = createTask(wants, { name: "first" });
    const second = createTask(() => lock.acquire(), { name: "second" });
    await sleep(2);
    const [main, one, two] = snapshot().tasks;
    assertEquals([one.coro, two.coro], ["wants", null]);
    assertEquals([main.parent, one.parent], [null, main.id]);
    assertEquals(main.state, "running");
    assertEquals([one.state, one.seconds], ["waiting", 2]);
    assertEquals(one.waits, [{
      kind: "lock",
      what: `<Lock locked, 2 waiting> held by the task ${main.name}`,
      object: one.waits[0].object,
      tasks: [],
      holders: [{ id: main.id, name: main.name, ended: false }],
      place: null,
      notes: [],
    }]);
    assert(one.waits[0].object !== null);
    assertEquals(one.waits[0].object, two.waits[0].object);
    second.cancel();
    first.cancel();
    await wait([first, second]);
  });
});

Deno.test("snapshot() names the kinds of waits", async () => {
  await plain(async () => {
    const loop = getRunningLoop();
    const { promise, resolve } = Promise.withResolvers<void>();
    const queue = new Queue<number>(1);
    queue.putNowait(1);
    const child = createTask(() => sleep(99), { name: "child" });
    const calls: [string, () => unknown][] = [
      ["timer", () => sleep(99)],
      ["task", () => child],
      ["gather", () => gather([child, () => sleep(99)])],
      ["shield", () => shield(child)],
      ["wait", () => wait([child])],
      ["group", () => TaskGroup.run((g) => void g.createTask(() => sleep(99)))],
      ["event", () => new Event().wait()],
      ["queue.put", () => queue.put(2)],
      ["queue.get", () => new Queue().get()],
      ["queue.join", () => queue.join()],
      ["future", () => loop.createFuture()],
      ["foreign", () => promise],
    ];
    const tasks = calls.map(([kind, call]) =>
      createTask(async () => await call(), { name: kind })
    );
    await sleep(1);
    for (const [kind] of calls) {
      assertEquals(named(kind).waits.map(({ kind }) => kind), [kind]);
    }
    for (const kind of ["task", "gather", "shield", "wait"]) {
      assert(named(kind).waits[0].tasks.includes(named("child").id), kind);
    }
    for (const task of tasks) task.cancel();
    resolve();
    await wait(tasks);
    child.cancel();
  });
});

Deno.test("snapshot() tells of a deadline that could not end its body", async () => {
  await plain(async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const task = createTask(() => timeout(1, () => promise), { name: "slow" });
    await sleep(3);
    const { state, scopes, cancelled, requests } = named("slow");
    assertEquals(state, "foreign");
    assertEquals(scopes, ["timeout(1) expired 2.0 s ago"]);
    assertEquals(requests, 1);
    assertEquals(cancelled, {
      seconds: 2,
      by: null,
      from: null,
      delivered: false,
    });
    assertMatch(
      formatSnapshot(snapshot()),
      /^Task slow has to end \(timeout\(1\) expired 2\.0 s ago\), but sits in a foreign promise, which nothing can interrupt/,
    );
    resolve();
    await task.catch((error) => assert(error instanceof TimeoutError));
  });
});

Deno.test("snapshot() tells why a group has not ended", async () => {
  await plain(async () => {
    const group = createTask(() =>
      TaskGroup.run((group) => {
        group.createTask(async () => {
          await sleep(1).finally(() => sleep(9));
        }, { name: "slow" });
        group.createTask(() => {
          throw new Error("disk full");
        });
      }), { name: "group" });
    await sleep(0.5);
    assertEquals(named("group").scopes, [
      "TaskGroup failing with Error: disk full",
    ]);
    assertEquals(named("slow").cancelled, {
      seconds: 0.5,
      by: null,
      from: null,
      delivered: true,
    });
    await wait([group]);
    assertEquals(group.exception() instanceof AggregateError, true);
  });
});

Deno.test("snapshot() gives the errors that nobody has looked at", async () => {
  await plain(async () => {
    getRunningLoop().setExceptionHandler(() => {});
    const failed = createTask(() => {
      throw new RangeError("too far"); // throws
    }, { name: "failed" });
    await sleep(1);
    const [{ message, error, stack, seconds }] = snapshot().failures;
    assertEquals(message, "Task exception was never retrieved: failed");
    assertEquals(error, "RangeError: too far");
    assert(stack[0].includes(here("throws")));
    assertEquals(seconds, 1);
    failed.exception();
    assertEquals(snapshot().failures, []);
  });
});

Deno.test("snapshot() gives the places in debug mode", async () => {
  await debugged(async () => {
    async function inner() {
      await new Event().wait(); // waits
    }
    const task = createTask(inner, { name: "waiter" }); // makes
    await sleep(1);
    const { stack, madeAt, waits: [{ place }] } = named("waiter");
    assert(stack[0].startsWith("inner ("));
    assert(stack[0].includes(here("waits")));
    assertEquals(place, stack[0]);
    assert(madeAt!.includes(here("makes")));
    task.cancel();
    await wait([task]);
  });
});

Deno.test("snapshot() refuses what is no loop", () => {
  assertThrows(
    () => snapshot(123 as unknown as EventLoop),
    TypeError,
    "Cannot take a snapshot",
  );
});

Deno.test("A tool finds the loops of a process by a registered symbol", async () => {
  const read = (): Snapshot[] =>
    JSON.parse((globalThis as unknown as { [LOOPS]: () => string })[LOOPS]());
  const names = () =>
    read().flatMap(({ tasks }) => tasks.map(({ name }) => name));
  await run(async () => {
    const task = createTask(() => sleep(99), { name: "found" });
    await sleep(0);
    assert(names().includes("found"));
    task.cancel();
  });
  assert(!names().includes("found"));
});
