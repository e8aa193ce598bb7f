import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  createTask,
  DeadlockError,
  Event,
  type EventLoop,
  getRunningLoop,
  Lock,
  Queue,
  run,
  Runner,
  sleep,
  type Snapshot,
  VirtualTimeLoop,
} from "@asyncio/asyncio";
import { runSource, spawnFile, textReader } from "./_programs.ts";

/** What is written to the standard error stream meanwhile. */
async function errorsOf(body: () => Promise<unknown>): Promise<string> {
  const before = console.error;
  const lines: string[] = [];
  console.error = (...args) => lines.push(args.join(" "));
  try {
    await body();
  } finally {
    console.error = before;
  }
  return lines.join("\n");
}

Deno.test("run() rejects with DeadlockError when nothing is left that could wake a task", async () => {
  let error: unknown;
  const report = await errorsOf(async () => {
    error = await run(async () => {
      const lock = new Lock();
      createTask(() => lock.acquire(), { name: "holder" });
      await sleep(0);
      await sleep(0);
      await createTask(async () => {
        await lock.acquire();
      }, { name: "waiter" });
    }).catch((error) => error);
  });
  const verdict =
    "<Lock locked, 1 waiting> was never released: holder has ended without release(); `using` cannot forget it";
  assert(error instanceof DeadlockError);
  assertEquals(
    error.message,
    `Deadlock: nothing is left that could wake a task; ${verdict}`,
  );
  assertStringIncludes(error.stack!, import.meta.url);
  const { tasks } = error.snapshot as Snapshot;
  assertEquals(tasks.map(({ name }) => name).slice(1), ["waiter"]);
  const lines = report.split("\n");
  assertEquals(lines.slice(0, 2), [
    "Deadlock: nothing is left that could wake a task",
    verdict,
  ]);
  const at = lines.findIndex((line) => line.startsWith('* Task "waiter"'));
  assertMatch(lines[at], /^\* Task "waiter" waiting for <Lock locked/);
  assertStringIncludes(lines[at + 1], import.meta.url); // also without debug mode
});

Deno.test("run() finds a deadlock without signals, and on a virtual clock", async () => {
  const stuck = () => new Event().wait();
  await errorsOf(async () => {
    await assertRejects(
      () => run(stuck, { signals: [], dumpSignal: null }),
      DeadlockError,
    );
    const loopFactory = () => new VirtualTimeLoop();
    await assertRejects(
      () =>
        run(async () => {
          await sleep(3600);
          await stuck();
        }, { loopFactory }),
      DeadlockError,
    );
  });
});

Deno.test("run() that is deadlocked lets its tasks clean up, and gives up those that cannot", async () => {
  const log: string[] = [];
  const report = await errorsOf(async () => {
    await assertRejects(() =>
      run(async () => {
        createTask(() => new Promise(() => {}));
        try {
          await new Event().wait();
        } finally {
          await sleep(0.001);
          log.push("clean");
        }
      }), DeadlockError);
  });
  assertEquals(log, ["clean"]);
  assertEquals(report.match(/Deadlock: nothing/g)?.length, 1);
});

Deno.test("run() that only waits for cancelled tasks that nothing can end rejects with DeadlockError", async () => {
  const report = await errorsOf(async () => {
    await assertRejects(() =>
      run(async () => {
        createTask(() => new Promise(() => {}), { name: "outside" });
        await sleep(0);
      }), DeadlockError);
  });
  assertMatch(report, /\* Task "outside" \(cancelled by the end of run\(\) /);
});

Deno.test("Runner.run() that is deadlocked leaves a runner that can run again", async () => {
  await using runner = new Runner();
  await errorsOf(async () => {
    await assertRejects(
      () => runner.run(() => new Event().wait()),
      DeadlockError,
    );
  });
  assertEquals(await runner.run(() => sleep(0.001, { result: 1 })), 1);
});

Deno.test("run() takes no wait for a deadlock that code outside of the loop ends", async () => {
  const queue = new Queue<number>();
  const timer = setTimeout(() => queue.putNowait(1), 200);
  assertEquals(await run(() => queue.get()), 1);
  clearTimeout(timer);
  const event = new Event();
  const signal = AbortSignal.timeout(200);
  await assertRejects(() => run(() => event.wait({ signal })), DOMException);
  await run(async () => {
    const loop: EventLoop = getRunningLoop();
    const future = loop.createFuture<number>();
    const port = new MessageChannel();
    port.port1.onmessage = ({ data }) => {
      future.setResult(data);
      port.port1.close();
      port.port2.close();
    };
    port.port2.postMessage(3);
    assertEquals(await future, 3);
  });
});

const forms = [
  "run(main)",
  "await run(main)",
  "without signals",
  "with an idle thread",
];

for (const form of forms) {
  Deno.test(`run() that is deadlocked ends the program with a report and status 1: ${form}`, async () => {
    const child = spawnFile("deadlocked.ts", { rest: [form] });
    await child.stdin.close();
    const { code, stderr } = await child.output();
    const text = new TextDecoder().decode(stderr);
    assertEquals(code, 1, text);
    assertMatch(
      text,
      /^Deadlock: nothing is left that could wake a task\nTask consumer waits for an item of <Queue 0 items, 1 waiting to get>: nobody puts an item into it\n/,
    );
    assertStringIncludes(text, "Uncaught (in promise) DeadlockError: ");
  });
}

/** Programs without `run`, and the line that says why they are stuck. */
const topLevel: Record<string, [source: string, cause: string]> = {
  "a queue": [
    `await new Queue().get();`,
    "Code outside of tasks waits for an item of <Queue 0 items, 1 waiting to get>",
  ],
  "two locks": [
    `const a = new Lock({ name: "a" }), b = new Lock({ name: "b" });
     const both = async (first, second) => {
       await first.acquire();
       await sleep(0.01);
       await second.acquire();
     };
     createTask(() => both(a, b), { name: "x" });
     await createTask(() => both(b, a), { name: "y" });`,
    "These tasks wait for each other in a circle: ",
  ],
  "what a timer of the host has left": [
    `setTimeout(() => {}, 1500); await new Event().wait();`,
    "Code outside of tasks waits for <Event unset, 1 waiting>",
  ],
};

for (const [name, [source, cause]] of Object.entries(topLevel)) {
  Deno.test(`A deadlock at top level is reported before the runtime ends the program: ${name}`, async () => {
    const { code, stderr: text } = await runSource(
      `import { createTask, Event, Lock, Queue, sleep } from "@asyncio/asyncio";
       ${source}`,
      { args: ["-A"] },
    );
    assertEquals(code, 1, text);
    const [title, why] = text.split("\n");
    assertEquals(
      title,
      "Deadlock: nothing is left that could wake the program",
    );
    assertStringIncludes(why, cause);
    assertStringIncludes(text, "Top-level await promise never resolved");
  });
}

Deno.test("A program that ends with code that waits at top level ends at once and says nothing", async () => {
  const { code, stdout, stderr } = await runSource(
    `
    import { Queue } from "@asyncio/asyncio";
    const start = performance.now();
    (async () => { await new Queue().get(); })();
    setTimeout(() => {}, 50);
    addEventListener("unload", () => console.log(performance.now() - start));
  `,
    { args: ["-A"] },
  );
  assertEquals([code, stderr], [0, ""]);
  assert(Number(stdout) < 1000, stdout);
});

/** The names in `pending.ts`. */
const pending = [
  "a timer of the host",
  "an interval",
  "a signal with a deadline",
  "a listener of a signal with a deadline",
  "a listener",
  "a socket",
  "a server",
  "a fetch",
  "a WebSocket",
  "a child process",
  "a worker",
  "a worker that waits for messages",
  "a thread",
  "the input",
  "a watched file",
  "a message port",
];

for (const form of ["free", "awaited", "without run"]) {
  Deno.test(`run() takes nothing for a deadlock that is under way, ${form}`, async () => {
    const children = await Promise.all(pending.map(async (name) => {
      const child = spawnFile("pending.ts", {
        args: ["-A"],
        rest: [name, form],
      });
      const stdout = textReader(child.stdout);
      assertEquals((await stdout.read()).value, "ready\n", name);
      return { name, child, stdout };
    }));
    // There is nothing to await: each program would say it within this time.
    await new Promise((resolve) => setTimeout(resolve, 5000));
    for (const { name, child, stdout } of children) {
      child.kill("SIGTERM");
      const text = await new Response(child.stderr).text();
      assertEquals([name, text], [name, ""]);
      assertEquals((await child.status).code, 42, name);
      await Promise.all([stdout.cancel(), child.stdin.close()]);
    }
  });
}
