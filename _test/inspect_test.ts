import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  asCompleted,
  CancelledError,
  createSubprocessExec,
  createTask,
  currentTask,
  Event,
  Future,
  gather,
  getRunningLoop,
  Lock,
  openConnection,
  PIPE,
  Queue,
  run,
  runCoroutineThreadsafe,
  Runner,
  shield,
  sleep,
  startServer,
  TaskGroup,
  Timeout,
  timeout,
  TimeoutError,
  VirtualTimeLoop,
  wait,
  waitFor,
  wrapFuture,
} from "@asyncio/asyncio";
import { plain } from "./_places.ts";
import { inspect as show } from "./_inspect.ts";

const inspect = (value: unknown) => show(value, { colors: false });

Deno.test("Deno.inspect() of a Future shows its state, and its value or error", async () => {
  await plain(async () => {
    const future = () => getRunningLoop().createFuture<unknown>();
    const [pending, done, failed, cancelled] = [
      future(),
      future(),
      future(),
      future(),
    ];
    done.setResult({ spam: [1, 2] });
    failed.setException(new RangeError("too far"));
    cancelled.cancel();
    assertEquals(inspect(pending), "<Future pending>");
    assertEquals(inspect(done), "<Future done result={ spam: [ 1, 2 ] }>");
    assertEquals(inspect(failed), "<Future failed error=RangeError: too far>");
    assertEquals(inspect(cancelled), "<Future cancelled>");
    await failed.catch(() => {});
  });
});

Deno.test("Deno.inspect() of a Task that failed does not count as looking at its error", async () => {
  const reports: string[] = [];
  await plain(async () => {
    const loop = getRunningLoop();
    loop.setExceptionHandler((_, { message }) => reports.push(message));
    const far = () => Promise.reject(new RangeError("far"));
    const task = createTask(far, { name: "lost" });
    await wait([task]);
    assertEquals(
      inspect(task),
      '<Task failed name="lost" error=RangeError: far>',
    );
    assertEquals(reports, []);
  });
  assertEquals(reports, ["Task exception was never retrieved: lost"]);
});

Deno.test("Deno.inspect() of a Future cuts a long value, and stops where one holds itself", async () => {
  await plain(() => {
    const loop = getRunningLoop();
    const long = loop.createFuture<string>();
    long.setResult("spam".repeat(100));
    assertMatch(inspect(long), /^<Future done result="(spam){14}spa\.\.\.>$/);
    const own = loop.createFuture<unknown>();
    own.setResult([own]);
    assertEquals(
      inspect(own),
      "<Future done result=[ <Future done result=...> ]>",
    );
  });
});

Deno.test("Deno.inspect() of a Future shows what it stands for", async () => {
  await plain(async () => {
    const child = createTask(() => sleep(9), { name: "child" });
    const other = createTask(() => sleep(9), { name: "other" });
    const item = new Queue().get() as Future<unknown>;
    const both = gather([child, other]);
    await sleep(1);
    assertEquals(
      [both, shield(child), child.then(), item].map(inspect),
      [
        "<Future pending waiting for the task child, the task other>",
        "<Future pending waiting for the task child>",
        "<Future pending waiting for the task child>",
        "<Future pending waiting for an item of <Queue 0 items, 1 waiting to get>>",
      ],
    );
    item.cancel();
    await both;
  });
});

Deno.test("Deno.inspect() of a Task shows name, state, and what it waits for since when", async () => {
  await plain(async () => {
    const lock = new Lock();
    const { promise, resolve } = Promise.withResolvers<void>();
    const bodies: Record<string, () => unknown> = {
      holder: async () => {
        using _ = await lock.acquire();
        await sleep(3.5);
      },
      locker: () => lock.acquire(),
      stranger: () => promise,
      wrapper: () => wrapFuture(promise),
      idler: () => new Future(),
      both: () => Promise.all([new Event().wait(), sleep(9)]),
    };
    const tasks = Object.entries(bodies).map(([name, body]) =>
      createTask(body, { name })
    );
    assertEquals(
      inspect(tasks[0]),
      '<Task pending name="holder" not started yet>',
    );
    await sleep(2);
    assertEquals(tasks.map(inspect), [
      '<Task pending name="holder" waiting for a timer due in 1.5 s since 2.0 s>',
      '<Task pending name="locker" waiting for <Lock locked, 1 waiting> held by the task holder since 2.0 s>',
      '<Task pending name="stranger" waiting for a foreign promise>',
      '<Task pending name="wrapper" waiting for a foreign promise since 2.0 s>',
      '<Task pending name="idler" waiting for a future since 2.0 s>',
      '<Task pending name="both" waiting for <Event unset, 1 waiting>, a timer due in 7.0 s since 2.0 s>',
    ]);
    resolve();
    for (const task of tasks) task.cancel();
    await gather(tasks, { returnExceptions: true });
    assertEquals(inspect(tasks[0]), '<Task cancelled name="holder">');
  });
});

Deno.test("Deno.inspect() of a Task shows that it runs, is about to go on, or was asked to end", async () => {
  await plain(async () => {
    const event = new Event();
    const ready = createTask(() => event.wait(), { name: "ready" });
    const slow = createTask(async () => {
      try {
        await sleep(9);
      } finally {
        await sleep(9);
      }
    }, { name: "slow" });
    const own = createTask(() => inspect(currentTask()), { name: "own" });
    assertEquals(await own, '<Task pending name="own" running>');
    event.set();
    assertEquals(
      inspect(ready),
      '<Task pending name="ready" about to go on>',
    );
    slow.cancel();
    await sleep(1);
    assertEquals(
      inspect(slow),
      '<Task cancelling name="slow" waiting for a timer due in 8.0 s since 1.0 s>',
    );
    assertEquals(inspect(ready), '<Task done name="ready" result=true>');
    await slow.catch(() => {});
  });
});

Deno.test("Deno.inspect() of a Lock's waiter says that the holder has ended", async () => {
  await plain(async () => {
    const lock = new Lock();
    await createTask(() => lock.acquire(), { name: "careless" });
    const waiter = createTask(() => lock.acquire(), { name: "waiter" });
    await sleep(1);
    assertEquals(
      inspect(waiter),
      '<Task pending name="waiter" waiting for <Lock locked, 1 waiting> held by the task careless, which has ended since 1.0 s>',
    );
    lock.release();
    await waiter;
  });
});

Deno.test("Deno.inspect() of a Task names three of many", async () => {
  await plain(async () => {
    const children = ["a", "b", "c", "d", "e"].map((name) =>
      createTask(() => sleep(1), { name })
    );
    const all = createTask(() => gather(children), { name: "all" });
    await sleep(0.5);
    assertEquals(
      inspect(all),
      '<Task pending name="all" waiting for the task a, the task b, the task c and 2 more since 0.5 s>',
    );
    await all;
  });
});

Deno.test("Deno.inspect() of a Timeout shows its state and when it is due", async () => {
  await plain(async () => {
    assertEquals(inspect(new Timeout(1)), "<Timeout created>");
    let scope: Timeout | null = null;
    await assertRejects(() =>
      timeout(3, async (own) => {
        scope = own;
        await sleep(1);
        assertEquals(inspect(scope), "<Timeout active, due in 2.0 s>");
        own.reschedule(null);
        assertEquals(inspect(scope), "<Timeout active>");
        own.reschedule(2);
        await sleep(9).finally(() => {
          assertEquals(inspect(scope), "<Timeout expiring>");
        });
      }), TimeoutError);
    assertEquals(inspect(scope), "<Timeout expired>");
    await timeout(3, (own) => void (scope = own));
    assertEquals(inspect(scope), "<Timeout finished>");
  });
});

Deno.test("Deno.inspect() of a TaskGroup shows its state and its tasks", async () => {
  await plain(async () => {
    let outer: TaskGroup | null = null;
    await TaskGroup.run((group) => {
      outer = group;
      assertEquals(inspect(group), "<TaskGroup open, 0 tasks>");
      group.createTask(async () => {
        await sleep(1);
        assertEquals(inspect(group), "<TaskGroup exiting, 2 tasks>");
        group.cancel();
        assertEquals(inspect(group), "<TaskGroup shutting down, 2 tasks>");
      });
      group.createTask(() => sleep(9));
    });
    assertEquals(inspect(outer), "<TaskGroup finished, 0 tasks>");
  });
});

Deno.test("Deno.inspect() of EventLoop, Runner and handles shows their state", async () => {
  const runner = new Runner({
    debug: true,
    loopFactory: () => new VirtualTimeLoop(),
  });
  assertEquals(inspect(runner), "<Runner idle>");
  const loop = runner.getLoop();
  assertEquals(inspect(loop), "<VirtualTimeLoop idle, 0 tasks, debug mode>");
  await runner.run(() => {
    assertEquals(inspect(runner), "<Runner running>");
    loop.setDebug(false);
    assertEquals(inspect(loop), "<VirtualTimeLoop running, 1 tasks>");
    const soon = loop.callSoon(function tick() {});
    assertEquals(inspect(soon), "<Handle tick>");
    const late = loop.callLater(2.5, () => {});
    assertEquals(inspect(late), "<Handle (anonymous), due in 2.5 s>");
    late.cancel();
    assertEquals(inspect(late), "<Handle (anonymous), cancelled>");
  });
  await runner.close();
  assertEquals(inspect(runner), "<Runner closed>");
  assertEquals(inspect(loop), "<VirtualTimeLoop closed, 0 tasks>");
});

Deno.test("TimeoutError of timeout() and waitFor() says what was being waited for", async () => {
  await plain(async () => {
    const queue = new Queue<number>();
    const { promise, resolve } = Promise.withResolvers<void>();
    const worker = createTask(() => queue.get(), { name: "worker" });
    const boss = createTask(() => shield(worker), { name: "boss" });
    const expired = async (program: () => Promise<unknown>) => {
      const error = await assertRejects(program, TimeoutError);
      return error.message;
    };
    const anItem = "an item of <Queue 0 items, 1 waiting to get>";
    assertEquals(
      await expired(() => timeout(1, () => shield(boss))),
      "Timed out while waiting for the task boss, which waits for the " +
        `task worker, which waits for ${anItem}`,
    );
    assertEquals(
      await expired(() => waitFor(promise, 1)),
      "Timed out while waiting for a foreign promise",
    );
    assertEquals(
      await expired(() => waitFor(() => sleep(9), 1)),
      "Timed out while waiting for a timer due in 8.0 s",
    );
    assertEquals(
      await expired(() => waitFor(worker, 0)),
      "Timed out at once: the task worker was not done",
    );
    let last = createTask(() => sleep(99), { name: "0" });
    for (let i = 1; i < 9; i++) {
      const next = last;
      last = createTask(() => next, { name: `${i}` });
    }
    assertEquals(
      await expired(() => timeout(1, () => last)),
      "Timed out while waiting for the task 8, which waits for the " +
        "task 7, which waits for the task 6, which waits for the task 5, " +
        "which waits for the task 4",
    );
    resolve();
    await assertRejects(() => boss, CancelledError);
  });
});

Deno.test("Deno.inspect() of streams names the peer, or the pipe of a process", async () => {
  await run(async () => {
    await using server = await startServer(
      async (reader, writer) => {
        await reader.read();
        writer.close();
      },
      "127.0.0.1",
      0,
    );
    const { port } = server.sockets[0].addr as Deno.NetAddr;
    const [reader, writer] = await openConnection("127.0.0.1", port);
    const peer = `127.0.0.1:${port}`;
    assertEquals(inspect(reader), `<StreamReader 0 bytes from ${peer}>`);
    assertEquals(inspect(writer), `<StreamWriter 0 bytes unsent to ${peer}>`);
    assertEquals(
      inspect(writer.transport),
      `<WriteTransport of StreamWriter 0 bytes unsent to ${peer}>`,
    );
    writer.close();
    await writer.waitClosed();
    await using child = await createSubprocessExec("cat", [], {
      stdin: PIPE,
      stdout: PIPE,
    });
    const { pid, stdin, stdout } = child;
    assertEquals(
      [inspect(stdout), inspect(stdin)],
      [
        `<StreamReader 0 bytes from stdout of cat (pid ${pid})>`,
        `<StreamWriter 0 bytes unsent to stdin of cat (pid ${pid})>`,
      ],
    );
  });
});

Deno.test("Deno.inspect() of guards, completions and thread futures shows their state", async () => {
  await plain(async () => {
    const guard = await new Lock().acquire();
    assertEquals(inspect(guard), "<Guard>");
    guard[Symbol.dispose]();
    assertEquals(inspect(guard), "<Guard released>");
    const completions = asCompleted([() => sleep(1), () => sleep(2)]);
    assertEquals(inspect(completions), "<asCompleted 2 of 2 left>");
    for await (const _ of completions) break;
    assertEquals(inspect(completions), "<asCompleted 1 of 2 left>");
    const loop = getRunningLoop();
    const submit = (coro: () => Promise<unknown>) =>
      runCoroutineThreadsafe(coro, loop);
    const all = [
      submit(() => sleep(1)),
      submit(() => Promise.reject(new RangeError("far"))),
      submit(() => sleep(1)),
    ];
    assertEquals(inspect(all[0]), "<ThreadFuture pending>");
    all[2].cancel();
    await Promise.allSettled(all);
    assertEquals(all.map(inspect), [
      "<ThreadFuture done>",
      "<ThreadFuture failed>",
      "<ThreadFuture cancelled>",
    ]);
  });
});
