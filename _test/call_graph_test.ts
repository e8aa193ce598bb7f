import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  allTasks,
  asCompleted,
  type CallGraph,
  type CallGraphOptions,
  captureCallGraph,
  createTask,
  currentTask,
  formatCallGraph,
  Future,
  gather,
  Lock,
  printCallGraph,
  Queue,
  shield,
  sleep,
  type Task,
  TaskGroup,
  wait,
  waitFor,
  wrapFuture,
} from "@asyncio/asyncio";
import { debugged, lineWith, plain } from "./_places.ts";

const here = (remark: string) => lineWith(remark, import.meta.url);

/** A graph as nested names: `child(parent(main))`. */
function names({ name, awaitedBy, cycle }: CallGraph): string {
  if (cycle) return `${name}!`;
  const waiters = awaitedBy.map(names).join(" ");
  return waiters === "" ? `${name}` : `${name}(${waiters})`;
}

async function end(...tasks: Task<unknown>[]): Promise<void> {
  for (const task of tasks) task.cancel();
  await wait(tasks);
}

const ways: Record<string, (child: Task<unknown>) => unknown> = {
  "awaits it": async (child) => await child,
  "returns it": (child) => child,
  "awaits it deep inside": async (child) => {
    await (async () => await (async () => await child)())();
  },
  "gathers it": (child) => gather([child, () => sleep(99)]),
  "waits for it": (child) => wait([child]),
  "waits for it with a deadline": (child) => waitFor(child, 99),
  "shields it": (child) => shield(child),
  "uses what then() gives": (child) => child.then(() => {}).finally(() => {}),
  "iterates over it": async (child) => {
    for await (const _ of asCompleted([child]));
  },
};

for (const [what, body] of Object.entries(ways)) {
  Deno.test(`captureCallGraph() shows a task that ${what}`, async () => {
    await plain(async () => {
      const child = createTask(() => sleep(50), { name: "child" });
      const parent = createTask(() => body(child), { name: "parent" });
      await sleep(1);
      const graph = captureCallGraph(child)!;
      assertEquals(names(graph), "child(parent)");
      const [{ waitsFor }] = graph.awaitedBy;
      assert(waitsFor[0].tasks.includes(child));
      assertEquals(waitsFor[0].seconds, 1);
      await end(parent, child);
    });
  });
}

Deno.test("captureCallGraph() shows the group that a task belongs to, and what waits for that", async () => {
  await plain(async () => {
    let child: Task<unknown>;
    const parent = createTask(() =>
      TaskGroup.run((group) => {
        group.createTask(() => sleep(9), { name: "sibling" });
        child = group.createTask(() => sleep(9), { name: "child" });
      }), { name: "parent" });
    const roots = ["left", "right"].map((name) =>
      createTask(() => shield(parent), { name })
    );
    await sleep(1);
    assertEquals(names(captureCallGraph(child!)!), "child(parent(left right))");
    await end(parent, ...roots);
  });
});

Deno.test("captureCallGraph() leaves out tasks that were notified, and tells how others ended", async () => {
  await plain(async () => {
    const future = new Future<number>();
    const waiters = ["a", "b"].map((name) =>
      createTask(() => future, { name })
    );
    await sleep(1);
    assertEquals(names(captureCallGraph(future)!), "null(a b)");
    future.setResult(1);
    assertEquals(names(captureCallGraph(future)!), "null");
    const [notified, done, failed, cancelled] = [
      waiters[0],
      future,
      createTask(() => Promise.reject(new RangeError("far"))),
      createTask(() => sleep(9)),
    ].map((future) => () => {
      const { state, doing, waitsFor } = captureCallGraph(future)!;
      return [state, doing, waitsFor];
    });
    assertEquals(notified(), ["pending", "about to resume", []]);
    assertEquals(done(), ["done", "done", []]);
    const tasks = [...allTasks()].slice(-2);
    tasks[1].cancel();
    await wait(tasks);
    assertEquals(failed(), ["failed", "failed", []]);
    assertEquals(cancelled(), ["cancelled", "cancelled", []]);
    assert(tasks[0].exception());
  });
});

Deno.test("captureCallGraph() shows what a task waits for, and who holds it", async () => {
  await plain(async () => {
    const lock = new Lock();
    const holder = createTask(async () => {
      using _ = await lock.acquire();
      await sleep(9);
    }, { name: "holder" });
    const waiter = createTask(() => lock.acquire(), { name: "waiter" });
    await sleep(2);
    const { future, state, waitsFor, madeAt, callStack } = captureCallGraph(
      waiter,
    )!;
    assertEquals([future, state], [waiter, "pending"]);
    assertEquals([madeAt, callStack], [null, []]);
    assertEquals(waitsFor.length, 1);
    const { what, seconds, tasks, holder: owner } = waitsFor[0];
    assertEquals(what, "<Lock locked, 1 waiting> held by the task holder");
    assertEquals([seconds, tasks, owner], [2, [], holder]);
    assertEquals(names(captureCallGraph(holder)!), "holder(waiter)");
    await end(holder, waiter);
  });
});

Deno.test("captureCallGraph() shows promises from outside, wrapped or not", async () => {
  await plain(async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const bare = createTask(() => promise);
    const wrapped = createTask(() => wrapFuture(promise));
    await sleep(1);
    const [one, two] = [bare, wrapped].map((task) =>
      captureCallGraph(task)!.waitsFor
    );
    assertEquals([one.length, two.length], [1, 1]);
    assertEquals([one[0].what, one[0].future, one[0].seconds], [
      "a foreign promise",
      null,
      null,
    ]);
    assertEquals([two[0].what, two[0].seconds], ["a foreign promise", 1]);
    resolve();
    await gather([bare, wrapped]);
  });
});

Deno.test("captureCallGraph() shows a circle of tasks as one", async () => {
  await plain(async () => {
    const { promise: out, resolve: letOut } = Promise.withResolvers<void>();
    const tasks: Task<unknown>[] = ["a", "b", "c"].map((name, i) =>
      createTask(() => Promise.race([tasks[(i + 1) % 3], out]), { name })
    );
    await sleep(1);
    const graph = captureCallGraph(tasks[0])!;
    assertEquals(names(graph), "a(c(b(a!)))");
    assertEquals(
      formatCallGraph(graph).split("\n").at(-1)?.trim(),
      '* Task "a" waiting for the task b since 1.0 s (this closes a circle)',
    );
    letOut();
    await gather(tasks);
  });
});

Deno.test("captureCallGraph() shows two locks in the wrong order as a circle", async () => {
  await plain(async () => {
    const [one, two] = [new Lock(), new Lock()];
    const both = (first: Lock, second: Lock) => async () => {
      using _first = await first.acquire();
      await sleep(1);
      using _second = await second.acquire();
    };
    const left = createTask(both(one, two), { name: "left" });
    const right = createTask(both(two, one), { name: "right" });
    await sleep(2);
    assertEquals(names(captureCallGraph(left)!), "left(right(left!))");
    await end(left);
    assertEquals(names(captureCallGraph(right)!), "right");
    await right;
  });
});

Deno.test("captureCallGraph() takes the running task by default, null outside of tasks", async () => {
  assertEquals(captureCallGraph(), null);
  assertEquals(formatCallGraph(), "");
  await plain(async () => {
    await createTask(() => {
      const graph = captureCallGraph()!; // asked here
      assertEquals(graph.future, currentTask());
      assertEquals([graph.name, graph.doing], ["asker", "running"]);
      assertStringIncludes(graph.callStack[0], here("asked here"));
    }, { name: "asker" });
  });
});

Deno.test("captureCallGraph(), formatCallGraph() and printCallGraph() refuse what is no future", () => {
  for (const it of [1, "task", {}, () => {}, Promise.resolve()]) {
    // deno-lint-ignore no-explicit-any
    assertThrows(() => captureCallGraph(it as any), TypeError, "a future");
    // deno-lint-ignore no-explicit-any
    assertThrows(() => formatCallGraph(it as any), TypeError, "a future");
  }
});

Deno.test("captureCallGraph() gives lines in debug mode, as many as asked for", async () => {
  await debugged(async () => {
    const queue = new Queue<number>();
    const take = () => queue.get(); // called without an await
    const fetch = async () => {
      await take(); // waits
    };
    const work = async () => {
      await fetch(); // calls
    };
    const worker = createTask(work, { name: "worker" }); // made
    const idler = createTask(take);
    await sleep(1);
    const { callStack, madeAt } = captureCallGraph(worker)!;
    assertStringIncludes(madeAt!, here("made"));
    assertEquals(callStack.length, 2);
    assertStringIncludes(callStack[0], `fetch (${here("waits")}`);
    assertStringIncludes(callStack[1], `work (${here("calls")}`);
    assertEquals(captureCallGraph(worker, { limit: -1 })!.callStack, [
      callStack[0],
    ]);
    const [first] = captureCallGraph(idler)!.callStack;
    assertStringIncludes(first, here("called without an await"));
    await end(worker, idler);
  });
});

Deno.test("captureCallGraph() gives the line of a foreign promise in debug mode, the innermost", async () => {
  await debugged(async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const inner = async () => {
      await null;
      await promise; // foreign
    };
    const outer = async () => {
      await sleep(1);
      await inner(); // outer
    };
    const task = createTask(outer);
    const first = createTask(async () => {
      await promise; // foreign at once
    });
    await sleep(3);
    const { callStack, waitsFor: [wait] } = captureCallGraph(task)!;
    assertEquals([wait.what, wait.seconds], ["a foreign promise", 2]);
    assertStringIncludes(callStack[0], here("foreign"));
    assertStringIncludes(callStack[1], here("outer"));
    assertStringIncludes(
      captureCallGraph(first)!.callStack[0],
      here("foreign at once"),
    );
    resolve();
    await gather([task, first]);
  });
});

Deno.test("formatCallGraph() writes each task below the one that it waits for", async () => {
  await debugged(async () => {
    const child = createTask(async () => {
      await sleep(9); // sleeps
    }, { name: "child" }); // the child ends
    const parent = createTask(async () => {
      await gather([child]); // gathers
    }, { name: "parent" });
    await sleep(2);
    const lines = formatCallGraph(child).split("\n");
    assertEquals(lines.map((line) => line.replace(/at .*/, "at LINE")), [
      '* Task "child" waiting for a timer due in 7.0 s since 2.0 s',
      "  | at LINE",
      "  | made at LINE",
      "  + awaited by:",
      '    * Task "parent" waiting for the task child since 2.0 s',
      "      | at LINE",
      "      | made at LINE",
    ]);
    assertStringIncludes(lines[1], here("sleeps"));
    assertStringIncludes(lines[5], here("gathers"));
    assertEquals(formatCallGraph(captureCallGraph(child)), lines.join("\n"));
    await end(parent);
  });
});

Deno.test("captureCallGraph() shows the parent of an open group as what awaits its children", async () => {
  await plain(async () => {
    const names: string[] = [];
    const parent = createTask(() =>
      TaskGroup.run(async (group) => {
        const child = group.createTask(() => sleep(9));
        await sleep(1);
        for (const { name } of captureCallGraph(child)!.awaitedBy) {
          names.push(name!);
        }
        child.cancel();
      }), { name: "parent" });
    await parent;
    assertEquals(names, ["parent"]);
  });
});

Deno.test("captureCallGraph() leaves out lines of the caller's own stack", async () => {
  await plain(() => {
    const capture = (options?: CallGraphOptions) =>
      captureCallGraph(undefined, options)!.callStack;
    const all = capture();
    assertEquals(capture({ depth: 2 }).length, all.length - 1);
    assertEquals(capture({ limit: 1 }).length, 1);
    assertEquals(capture({ limit: -1 }).length, 1);
    assertEquals(capture({ limit: 0 }), []);
    assertThrows(() => capture({ limits: 1 } as never), TypeError, "limits");
  });
});

Deno.test("formatCallGraph() draws a flow chart of Mermaid, each task once", async () => {
  await plain(async () => {
    const child = createTask(() => sleep(9), { name: 'the "child"' });
    const parents = ["one", "two"].map((name) =>
      createTask(() => child, { name })
    );
    await sleep(1);
    assertEquals(formatCallGraph(child, { format: "mermaid" }).split("\n"), [
      "flowchart TD",
      '  n0["Task the #34;child#34;<br>waiting for a timer due in 8.0 s since 1.0 s"]',
      '  n1["Task one<br>waiting for the task the #34;child#34; since 1.0 s"]',
      '  n2["Task two<br>waiting for the task the #34;child#34; since 1.0 s"]',
      "  n1 --> n0",
      "  n2 --> n0",
    ]);
    const written: string[] = [];
    const file = {
      writeSync(bytes: Uint8Array) {
        written.push(new TextDecoder().decode(bytes.subarray(0, 1)));
        return 1; // a file may take less than it is given
      },
    };
    printCallGraph(child, { file });
    assertEquals(written.join(""), `${formatCallGraph(child)}\n`);
    assertThrows(
      () => formatCallGraph(child, { format: "svg" as never }),
      RangeError,
    );
    child.cancel();
    await wait(parents);
  });
});

Deno.test("captureCallGraph() finds the task that has opened a group by hand, as long as the group has the child", async () => {
  await plain(async () => {
    const children: Task<unknown>[] = [];
    const parents = [
      createTask(async () => {
        await using group = new TaskGroup();
        children.push(group.createTask(() => sleep(2), { name: "first" }));
        await sleep(5);
      }, { name: "using" }),
      createTask(async () => {
        const group = new TaskGroup();
        children.push(group.createTask(() => sleep(2), { name: "second" }));
        await sleep(5);
        await group.join();
      }, { name: "joins" }),
    ];
    await sleep(1);
    const graphs = () => children.map((child) => captureCallGraph(child)!);
    assertEquals(graphs().map(names), ["first(using)", "second(joins)"]);
    await sleep(2);
    assertEquals(graphs().map(names), ["first", "second"]);
    await wait(parents);
  });
});
