import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  createTask,
  currentTask,
  Event,
  formatSnapshot,
  gather,
  Lock,
  Queue,
  sleep,
  snapshot,
  type Task,
  TaskGroup,
  wait,
} from "@asyncio/asyncio";
import { debugged, lineWith, plain } from "./_places.ts";
import { program, readUntil, spawnFile, textReader } from "./_programs.ts";

const here = (remark: string) => lineWith(remark, import.meta.url);

/** What `dumpTasks()` writes, by line, without the lines on cause and loop. */
function dump(): string[] {
  return formatSnapshot(snapshot()).split("\n").slice(2);
}

Deno.test("dumpTasks() says of each task what it waits for", async () => {
  await plain(async () => {
    const family = createTask(() =>
      TaskGroup.run((group) => {
        group.createTask(() => sleep(9), { name: "left" });
        group.createTask(() => new Event().wait(), { name: "right" });
      }), { name: "parent" });
    const other = createTask(() => new Queue().get(), { name: "other" });
    await sleep(1);
    const [main, ...rest] = dump();
    assert(/^\* Task "Task-\d+" running$/.test(main));
    assertEquals(rest, [
      '* Task "parent" waiting for a TaskGroup of the task left, the task right since 1.0 s',
      '* Task "other" waiting for an item of <Queue 0 items, 1 waiting to get> since 1.0 s',
      '* Task "left" waiting for a timer due in 8.0 s since 1.0 s',
      '* Task "right" waiting for <Event unset, 1 waiting> since 1.0 s',
      "Debug mode would show the lines where they wait",
    ]);
    family.cancel();
    other.cancel();
    await wait([family, other]);
  });
});

Deno.test("dumpTasks() puts tasks that do the same on one line", async () => {
  await plain(async () => {
    const event = new Event();
    const wait = () => event.wait();
    const tasks = Array.from({ length: 1000 }, () => createTask(wait));
    const names = tasks.map((task) => task.getName());
    await sleep(1);
    assertEquals(dump().slice(1, -1), [
      `* 1000 tasks (${
        names.slice(0, 4).join(", ")
      } and 996 more) waiting for <Event unset, 1000 waiting> since 1.0 s`,
    ]);
    event.set();
    await gather(tasks);
  });
});

Deno.test("dumpTasks() writes no more than 200 lines", async () => {
  await plain(async () => {
    const tasks = Array.from(
      { length: 500 },
      () => createTask(() => new Event().wait()),
    );
    await sleep(1);
    const lines = dump();
    assertEquals(lines.length, 198);
    assertEquals(lines.at(-2), "* and 305 tasks in 305 other places");
    for (const task of tasks) task.cancel();
    await wait(tasks);
  });
});

Deno.test("dumpTasks() names the tasks that wait for each other in a circle", async () => {
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
    const lock = "<Lock locked, 1 waiting> held by the task";
    const [verdict] = formatSnapshot(snapshot()).split("\n");
    assertEquals(
      verdict,
      "These tasks wait for each other in a circle: " +
        `left waits for ${lock} right; right waits for ${lock} left; ` +
        "take locks in the same order everywhere",
    );
    assertEquals(dump().slice(1, -1), [
      `* Task "left" waiting for ${lock} right since 1.0 s`,
      `* Task "right" waiting for ${lock} left since 1.0 s`,
    ]);
    left.cancel();
    await right;
  });
});

Deno.test("dumpTasks() marks a task that was cancelled and has not ended", async () => {
  await plain(async () => {
    const slow = createTask(async () => {
      try {
        await sleep(9);
      } finally {
        await sleep(9);
      }
    }, { name: "slow" });
    await sleep(1);
    slow.cancel();
    await sleep(1);
    assertEquals(
      dump()[1],
      '* Task "slow" (cancelled 1.0 s ago, but not ended) waiting for a timer due in 8.0 s since 1.0 s',
    );
    await wait([slow]);
  });
});

Deno.test("dumpTasks() gives the lines in debug mode", async () => {
  await debugged(async () => {
    const inner = async () => {
      await sleep(9); // waits
    };
    const task = createTask(inner, { name: "sleeper" }); // made
    await sleep(1);
    const lines = dump();
    const at = lines.findIndex((line) => line.includes("sleeper"));
    assertStringIncludes(lines[at + 1], `    at inner (${here("waits")}`);
    assertStringIncludes(lines[at + 2], "    made at");
    assertStringIncludes(lines[at + 2], here("made"));
    task.cancel();
    await wait([task]);
  });
});

Deno.test("dumpTasks() copes with a long chain of tasks", async () => {
  await plain(async () => {
    let last: Task<unknown> = createTask(() => sleep(1));
    for (let i = 0; i < 3000; i++) {
      const next = last;
      last = createTask(() => next);
    }
    await sleep(0.5);
    assertEquals(dump().length, 198);
    await last;
  });
});

Deno.test("Task.getStack() gives the calls of a suspended task in debug mode, the oldest first", async () => {
  await debugged(async () => {
    const inner = async () => {
      await sleep(0);
      await new Event().wait(); // innermost
    };
    const middle = async () => await inner(); // middle
    const task = createTask(async () => {
      await middle(); // outermost
    });
    assertEquals(task.getStack(), []);
    await sleep(1);
    const remarks = ["outermost", "middle", "innermost"];
    const stack = task.getStack();
    assertEquals(stack.length, 3);
    remarks.forEach((it, i) => assertStringIncludes(stack[i], here(it)));
    assertEquals(task.getStack({ limit: 2 }), stack.slice(1));
    task.cancel();
    await wait([task]);
    assertEquals(task.getStack(), []);
  });
});

Deno.test("Task.getStack() gives where a task runs, and where its error came from", async () => {
  await plain(async () => {
    const ask = () => currentTask()!.getStack();
    const own = createTask(() => {
      return ask(); // asks
    });
    const failed = createTask(() => {
      throw new RangeError("far"); // fails
    });
    assertStringIncludes((await own).at(-2)!, here("asks"));
    await wait([failed]);
    assertStringIncludes(failed.getStack().at(-1)!, here("fails"));
    assertEquals(failed.getStack({ limit: 0 }), []);
    await assertRejects(() => failed, RangeError);
  });
});

Deno.test("Task.printStack() writes the stack to the standard output stream, or to a file", async () => {
  const { stdout, stderr } = await program(
    `
    const task = createTask(async () => {
      await sleep(60);
    }, { name: "sleeper" });
    await sleep(0);
    task.printStack();
    getRunningLoop().setDebug(false);
    createTask(() => sleep(60), { name: "other" }).printStack({ file: Deno.stderr });
  `,
    { debug: true },
  );
  const [title, line] = stdout.trim().split("\n");
  assertMatch(
    title,
    /^Stack for <Task pending name="sleeper" waiting .*> \(most recent call last\):$/,
  );
  assertMatch(line, /^ {2}at .*:\d+:\d+\)?$/);
  assertEquals(
    stderr.trim(),
    'No stack for <Task pending name="other" not started yet>',
  );
});

Deno.test("printCallGraph() writes to the standard output stream, dumpTasks() to the error stream", async () => {
  const { stdout, stderr } = await program(`
    currentTask().setName("main");
    printCallGraph();
    dumpTasks();
  `);
  assertMatch(stdout, /^\* Task "main" running\n {2}\| at .*\n$/);
  assertEquals(
    stderr,
    "No task waits for anything that looks stuck\n" +
      '<EventLoop running, 1 task, 0 timers>\n* Task "main" running\n',
  );
});

Deno.test("ASYNCIO_DEBUG switches debug mode on where it may be read", async () => {
  const shown = async (value: string, permission: string[]) => {
    const { stdout } = await program(
      "console.log(getRunningLoop().getDebug())",
      {},
      { args: permission, env: { ASYNCIO_DEBUG: value } },
    );
    return stdout.trim();
  };
  const allowed = ["--allow-env=ASYNCIO_DEBUG"];
  assertEquals(await shown("1", allowed), "true");
  assertEquals(await shown("0", allowed), "false");
  assertEquals(await shown("", allowed), "false");
  assertEquals(await shown("1", []), "false");
});

Deno.test("run({ debug: false }) overrides ASYNCIO_DEBUG", async () => {
  const { stdout } = await program(
    "console.log(getRunningLoop().getDebug())",
    { debug: false },
    { args: ["--allow-env"], env: { ASYNCIO_DEBUG: "1" } },
  );
  assertEquals(stdout.trim(), "false");
});

Deno.test("run({ dumpSignal }) writes the tasks down, and the program continues", async () => {
  const child = spawnFile("alive.ts");
  const [stdout, stderr] = [child.stdout, child.stderr].map(textReader);
  await readUntil(stdout, "ready");
  for (let i = 0; i < 2; i++) {
    child.kill("SIGUSR1");
    assertMatch(
      await readUntil(stderr, /"listener" .*\n.*\n/),
      /^Task listener waits for a foreign promise at file:.*alive\.ts:8:26: .*\n<EventLoop running, 2 tasks, 0 timers>\n\* Task "Task-1" waiting for the task listener since .* s\n +at file:.*alive\.ts:10:3\n\* Task "listener" waiting for a foreign promise since .* s\n +at file:.*alive\.ts:8:26\n$/,
    );
  }
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode("spam"));
  await stdin.close();
  assertEquals(await readUntil(stdout, "\n"), "heard spam\n");
  assertEquals(await child.status, { success: true, code: 0, signal: null });
  await Promise.all([stdout.cancel(), stderr.cancel()]);
});

Deno.test("run() says on a keyboard interrupt what was being waited for", async () => {
  const child = spawnFile("alive.ts");
  const [stdout, stderr] = [child.stdout, child.stderr].map(textReader);
  await readUntil(stdout, "ready");
  child.kill("SIGINT");
  await readUntil(
    stderr,
    /^error: Uncaught \(in promise\) KeyboardInterrupt: Interrupted by SIGINT while waiting for the task listener, which waits for a foreign promise at file:.*alive\.ts:8:26\n$/,
  );
  assertEquals((await child.status).code, 1);
  await Promise.all([stdout.cancel(), stderr.cancel(), child.stdin.close()]);
});
