import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  Barrier,
  Condition,
  createSubprocessExec,
  createTask,
  Event,
  formatSnapshot,
  getRunningLoop,
  Lock,
  openConnection,
  PIPE,
  Queue,
  run,
  Semaphore,
  shield,
  sleep,
  snapshot,
  startServer,
  type Task,
  TaskGroup,
  timeout,
  toThread,
  wait,
} from "@asyncio/asyncio";
import { locateWaits } from "../_snapshot.ts";
import { lineWith, plain } from "./_places.ts";
import { shellTest } from "./_shell.ts";

const here = (remark: string) => lineWith(remark, import.meta.url);

/** The report on the running loop, as `run()` prints it. */
async function report(): Promise<string> {
  return formatSnapshot(await locateWaits(snapshot(), getRunningLoop()));
}

/** What is said of a wait that the tasks are in, without the tasks and lines below it. */
async function verdict(): Promise<string> {
  return (await report()).split("\n", 1)[0];
}

async function end(...tasks: Task<unknown>[]): Promise<void> {
  for (const task of tasks) task.cancel();
  await wait(tasks);
}

Deno.test("A report names who has the permits of a semaphore, and who has taken them along", async () => {
  await plain(async () => {
    const slots = new Semaphore(2, { name: "slots" });
    const leaks = [1, 2].map((n) =>
      createTask(() => slots.acquire(), { name: `leak-${n}` })
    );
    await wait(leaks);
    const waiter = createTask(async () => {
      using _ = await slots.acquire(); // waits
    }, { name: "waiter" });
    await sleep(1);
    const lines = (await report()).split("\n");
    assertEquals(
      lines[0],
      '<Semaphore "slots" locked, 1 waiting> was never released: leak-1, leak-2 have ended without release(); `using` cannot forget it',
    );
    const at = lines.findIndex((line) => line.includes('"waiter"'));
    assert(lines[at + 1].includes(here("waits")));
    assertEquals(lines.slice(at + 2, at + 4), [
      "    permits: 2",
      "    held by leak-1, which has ended; leak-2, which has ended",
    ]);
    await end(waiter);
  });
});

Deno.test("A report no longer names a holder whose permit another task has released after its own", async () => {
  await plain(async () => {
    const slots = new Semaphore(2);
    await createTask(() => slots.acquire(), { name: "leak" });
    await createTask(async () => {
      await slots.acquire();
      slots.release();
      slots.release(); // that of the other task
    });
    const holder = createTask(async () => {
      using _first = await slots.acquire();
      using _second = await slots.acquire();
      await sleep(60);
    }, { name: "holder" });
    const waiter = createTask(() => slots.acquire());
    await sleep(1);
    assertStringIncludes(await report(), "    held by holder\n");
    await end(holder, waiter);
  });
});

Deno.test("A report names who holds a semaphore now, after permits went from hand to hand", async () => {
  await plain(async () => {
    const slots = new Semaphore(1);
    const use = (name: string) =>
      createTask(async () => {
        using _ = await slots.acquire();
        await sleep(1);
      }, { name });
    const tasks = ["a", "b", "c"].map(use);
    await sleep(1.5);
    const [, b, c] = snapshot().tasks;
    assertEquals([b.name, c.name], ["b", "c"]);
    assertEquals(c.waits[0].holders, [{ id: b.id, name: "b", ended: false }]);
    await end(...tasks);
  });
});

Deno.test("A report names nobody for a semaphore that was made to tell of something", async () => {
  await plain(async () => {
    const released = new Semaphore(0);
    const listener = createTask(async () => {
      for (;;) await released.acquire();
    }, { name: "listener" });
    await sleep(0);
    released.release();
    await sleep(0);
    const task = snapshot().tasks.find(({ name }) => name === "listener")!;
    assertEquals(task.waits[0].holders, []);
    await end(listener);
  });
});

Deno.test("A report names who has taken the item whose taskDone() is missing", async () => {
  await plain(async () => {
    const queue = new Queue<number>();
    const worker = (name: string, forgotten: number) =>
      createTask(async () => {
        for await (const n of queue) if (n !== forgotten) queue.taskDone();
      }, { name });
    const bad = worker("bad", 1);
    for (let n = 0; n < 3; n++) queue.putNowait(n);
    await sleep(0.1);
    const good = worker("good", -1);
    for (let n = 3; n < 9; n++) {
      queue.putNowait(n);
      await sleep(0.1);
    }
    const joiner = createTask(() => queue.join(), { name: "joiner" });
    await sleep(1);
    assertStringIncludes(
      await verdict(),
      "Task joiner waits for taskDone() on <Queue 0 items, 2 waiting to get>, 1 unfinished: a taskDone() is missing; taken by bad",
    );
    await end(bad);
    assertStringIncludes(
      await verdict(),
      "1 unfinished: bad took items and has ended without taskDone()",
    );
    await end(good, joiner);
  });
});

Deno.test("A report tells when a condition or an event was last there for nobody", async () => {
  await plain(async () => {
    const changed = new Condition();
    const ready = new Event();
    const late = createTask(async () => {
      using _ = await changed.acquire();
      await changed.wait();
    }, { name: "late" });
    await sleep(0);
    assertStringIncludes(await report(), "\n    never notified");
    await end(late);
    {
      using _ = await changed.acquire();
      changed.notifyAll();
    }
    ready.set();
    ready.clear();
    const later = createTask(async () => {
      using _ = await changed.acquire();
      await changed.wait();
    }, { name: "later" });
    const listener = createTask(() => ready.wait(), { name: "listener" });
    await sleep(0);
    const text = await report();
    assertStringIncludes(
      text,
      ": nobody notifies it; last notified 0.0 s ago, when nobody waited\n",
    );
    assertStringIncludes(text, "\n    last set 0.0 s ago, when nobody waited");
    await end(later, listener);
  });
});

Deno.test("A report tells of the task that holds up a group that fails", async () => {
  await plain(async () => {
    const never = new Event();
    const main = createTask(() =>
      TaskGroup.run((group) => {
        group.createTask(async () => {
          await sleep(9).catch(() => never.wait()); // continues
        }, { name: "stubborn" });
        group.createTask(() => {
          throw new Error("disk full");
        });
      }), { name: "main" });
    await sleep(1);
    const line = await verdict();
    assert(
      line.startsWith("Task stubborn was cancelled 1.0 s ago and continues"),
    );
    assert(line.includes(here("continues")));
    assert(
      line.endsWith("; it holds up a TaskGroup failing with Error: disk full"),
    );
    never.set();
    await wait([main]);
    assert(main.exception() instanceof AggregateError);
  });
});

Deno.test("A report tells what a task waits for that is shielded from a cancellation", async () => {
  await plain(async () => {
    const acknowledged = new Event();
    const save = createTask(async () => {
      await acknowledged.wait(); // saves
    }, { name: "save" });
    const main = createTask(async () => {
      await sleep(9).finally(() => shield(save));
    }, { name: "main" });
    await sleep(0);
    main.cancel();
    await sleep(1);
    const line = await verdict();
    assertStringIncludes(line, "a shield keeps it from ending; save waits for");
    assertStringIncludes(line, here("saves"));
    assert(line.endsWith(": nobody sets it"));
    acknowledged.set();
    await wait([main]);
  });
});

Deno.test("A report tells how many parties of a barrier are there", async () => {
  await plain(async () => {
    const barrier = new Barrier(3);
    const party = async () => void await barrier.wait(); // meets
    const parties = [createTask(party), createTask(party)];
    await sleep(1);
    assertEquals(snapshot().tasks[1].waits[0].kind, "barrier");
    const line = await verdict();
    assertStringIncludes(
      line,
      "waits for <Barrier filling, 2 of 3 waiting> at ",
    );
    assertStringIncludes(line, here("meets"));
    assert(line.endsWith(": parties are missing"));
    await end(...parties);
  });
});

Deno.test("A report finds a task that waits for a lock of its own", async () => {
  await plain(async () => {
    const lock = new Lock();
    const task = createTask(async () => {
      using _ = await lock.acquire();
      await lock.acquire();
    }, { name: "twice" });
    await sleep(1);
    assertEquals(
      await verdict(),
      "These tasks wait for each other in a circle: twice waits for <Lock locked, 1 waiting> held by the task twice; take locks in the same order everywhere",
    );
    await end(task);
  });
});

Deno.test("A report tells how many bytes a reader has that waits for the end of a line", async () => {
  await run(async () => {
    const server = await startServer(
      (_, writer) => void writer.write(new TextEncoder().encode("no newline")),
      "127.0.0.1",
      0,
    );
    const [reader, writer] = await openConnection("127.0.0.1", server.port!);
    await reader.readexactly(3);
    const task = createTask(() => reader.readline(), { name: "line" });
    await sleep(0);
    const [{ kind, what }] = snapshot().tasks.find(({ name }) =>
      name === "line"
    )!.waits;
    assertEquals(kind, "read");
    assertStringIncludes(
      what,
      `the end of a line from <StreamReader 7 bytes from 127.0.0.1:${server.port}`,
    );
    await end(task);
    writer.close();
    server.close();
    server.closeClients();
  });
});

shellTest(
  "A report lists the child processes whose output nobody reads",
  async () => {
    await run(async () => {
      await using process = await createSubprocessExec("cat", [], {
        stdin: PIPE,
        stdout: PIPE,
      });
      const { children } = snapshot();
      assertEquals(children, [{
        pid: process.pid,
        name: "cat",
        notes: [
          "stdout: 0 bytes were read ahead, the rest is in the pipe; nobody reads it",
        ],
      }]);
      assertStringIncludes(
        formatSnapshot(snapshot()),
        `\nChild processes:\n  cat (pid ${process.pid})\n      stdout: 0 bytes were`,
      );
    });
  },
);

Deno.test("A report lists the calls in threads with the places that made them", async () => {
  await run(async () => {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    function block(gate: Int32Array) {
      Atomics.wait(gate, 0, 0);
    }
    async function compute() {
      await toThread(block, gate); // calls
    }
    const task = createTask(compute, { name: "compute" });
    await sleep(0);
    const [{ name, place }] = snapshot().threads;
    assertEquals(name, "block");
    assert(place!.startsWith("compute ("));
    assert(place!.includes(here("calls")));
    assertEquals(
      snapshot().tasks.find(({ name }) => name === "compute")!.waits[0].kind,
      "thread",
    );
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await timeout(60, () => task);
    assertEquals(snapshot().threads, []);
  });
});

Deno.test("A report tells of tasks that pile up as long as they become more", async () => {
  await plain(async () => {
    const ready = new Event();
    const tasks: Task<unknown>[] = [];
    for (let n = 0; n < 300; n++) {
      tasks.push(createTask(() => ready.wait()));
      await sleep(0.01);
    }
    assertStringIncludes(
      await verdict(),
      "300 tasks are in one place, waiting for <Event unset, 300 waiting> since 0.0 s to 3.0 s, 100 more in the last second: they are made faster than they end",
    );
    await sleep(2);
    assert((await verdict()).endsWith(": nobody sets it"));
    await end(...tasks);
  });
});

Deno.test("A report takes workers that wait again, or tasks that all began at once, for no pile", async () => {
  await plain(async () => {
    const queue = new Queue<number>();
    const workers = Array.from({ length: 150 }, () =>
      createTask(async () => {
        for (;;) await queue.get();
      }));
    await sleep(0.5);
    assertStringIncludes(await verdict(), "nobody puts an item into it");
    await sleep(2);
    for (let n = 0; n < 100; n++) {
      queue.putNowait(n);
      await sleep(0.01);
    }
    assertStringIncludes(await verdict(), "nobody puts an item into it");
    await end(...workers);
  });
});
