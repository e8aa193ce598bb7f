import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  type CallGraph,
  captureCallGraph,
  createTask,
  currentTask,
  EventLoop,
  type Future,
  gather,
  getRunningLoop,
  sleep,
  type Task,
  TaskGroup,
  wait,
} from "@asyncio/asyncio";
import { debugged, plain } from "./_places.ts";
import { program } from "./_programs.ts";
import { virtual } from "./_virtual.ts";

/** A graph as nested names: `child(parent(main))`. */
function names(future: Future<unknown>): string {
  const nested = ({ name, awaitedBy }: CallGraph): string => {
    const waiters = awaitedBy.map(nested).join(" ");
    return waiters === "" ? `${name}` : `${name}(${waiters})`;
  };
  return nested(captureCallGraph(future)!);
}

async function end(...tasks: Task<unknown>[]): Promise<void> {
  for (const task of tasks) task.cancel();
  await wait(tasks);
}

Deno.test("captureCallGraph() keeps the outermost calls with a positive limit, the innermost with a negative one, none with 0", async () => {
  await debugged(async () => {
    const inner = async () => {
      await sleep(9);
    };
    const middle = async () => {
      await inner();
    };
    const outer = async () => {
      await middle();
    };
    const task = createTask(outer);
    await sleep(1);
    const stack = (limit?: number) =>
      captureCallGraph(task, { limit })!.callStack;
    const all = stack();
    assertEquals(all.length, 3);
    assertEquals(stack(1), all.slice(-1));
    assertEquals(stack(2), all.slice(-2));
    assertEquals(stack(9), all);
    assertEquals(stack(-1), all.slice(0, 1));
    assertEquals(stack(-2), all.slice(0, 2));
    assertEquals(stack(-9), all);
    assertEquals(stack(0), []);
    await end(task);
  });
});

Deno.test("captureCallGraph() of the running task leaves out as many calls as depth says", async () => {
  await debugged(async () => {
    const capture = (depth?: number) => {
      const options = { depth } as { limit?: number };
      return captureCallGraph(undefined, options)!.callStack;
    };
    const all = await createTask(() => capture());
    assertStringIncludes(all[0], "capture");
    assertEquals((await createTask(() => capture(1))).length, all.length);
    const fewer = await createTask(() => capture(2));
    assertEquals(fewer.length, all.length - 1);
    assert(!fewer[0].includes("capture"));
  });
});

Deno.test("captureCallGraph() shows children of an open group below its task, wherever the body is [test_graph.CallStackTestBase.test_stack_future]", async () => {
  await plain(async () => {
    const future = getRunningLoop().createFuture<void>();
    const task = createTask(() =>
      TaskGroup.run(async (group) => {
        for (const name of ["c1", "c2"]) {
          group.createTask(() => future, { name });
        }
        await sleep(9);
      }), { name: "main" });
    await sleep(1);
    assertEquals(names(future), "null(c1(main) c2(main))");
    await end(task);
  });
});

Deno.test("gather() that failed is not shown above a child that outlives it, whatever hangs on the gather", async () => {
  await plain(async () => {
    const survivor = createTask(() => sleep(9), { name: "survivor" });
    const caller = createTask(
      () =>
        gather([survivor, () => Promise.reject(new RangeError())])
          .catch(() => sleep(9)),
      { name: "caller" },
    );
    await sleep(1);
    assertEquals(names(survivor), "survivor");
    await end(survivor, caller);
  });
});

Deno.test("currentTask() of another loop is null while this one runs", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const task = currentTask();
    assert(task !== null);
    const ask = currentTask as (loop?: EventLoop) => Task<unknown> | null;
    assertStrictEquals(ask(loop), task);
    const other = new EventLoop();
    assertEquals(ask(other), null);
    await other.close();
    await createTask(() => {
      assertStrictEquals(ask(loop), currentTask());
      assert(ask(loop) !== task);
    });
  });
});

Deno.test("Task.printStack() writes to the standard output stream, or to the file that is given", async () => {
  const { stdout, stderr } = await program(
    `
    const task = createTask(async () => {
      await sleep(60);
    }, { name: "sleeper" });
    await sleep(0);
    task.printStack();
    const file = { writeSync: (data) => Deno.stderr.writeSync(data) };
    task.printStack({ file });
  `,
    { debug: true },
  );
  assert(stdout.startsWith('Stack for <Task pending name="sleeper"'), stdout);
  assertEquals(stderr, stdout);
});

Deno.test("createTask() hands options that it does not know to a custom task factory", async () => {
  await virtual(async () => {
    const seen: unknown[] = [];
    const loop = getRunningLoop();
    loop.setTaskFactory((loop, coro, options) => {
      seen.push({ ...options });
      loop.setTaskFactory(null);
      return loop.createTask(coro);
    });
    const options = { name: "named", priority: 3 };
    assertEquals(await createTask(() => 1, options), 1);
    assertEquals(seen, [options]);
  });
});
