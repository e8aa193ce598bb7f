/** Tests that need a process: permissions, exit, memory. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { printed } from "./_programs.ts";

/** Runs a program that imports the module, and returns its output. */
async function outputOf(
  program: string,
  names: string,
  args: string[] = [],
): Promise<string> {
  const source = `import { ${names} } from "@asyncio/asyncio";\n${program}`;
  return (await printed(source, { args })).trimEnd();
}

Deno.test("toThread() and runCoroutineThreadsafe() need no permission", async () => {
  const output = await outputOf(
    `await run(async () => {
      console.log(await toThread((a, b) => a + b, 1, 2));
      const loop = getRunningLoop();
      loop.expose({ double: (n) => 2 * n });
      const ask = (loop) => runCoroutineThreadsafe("double", loop, 4).result();
      console.log(await toThread(ask, loop.handle()));
      const error = await toThread(() => Deno.readTextFileSync("/etc/hostname"))
        .catch((error) => error);
      console.log(error instanceof Deno.errors.NotCapable);
    });`,
    "getRunningLoop, run, runCoroutineThreadsafe, toThread",
  );
  assertEquals(output, "3\n8\ntrue");
});

Deno.test("toThread() needs the permission to read for a function of a module", async () => {
  const url = new URL("./_thread_functions.ts", import.meta.url).href;
  const program = `const fn = { module: "${url}", export: "greet" };
    console.log(await run(() => toThread(fn, "Ada")).catch((e) => e.message));`;
  assertStringIncludes(
    await outputOf(program, "run, toThread"),
    "Requires read access",
  );
  assertEquals(
    await outputOf(program, "run, toThread", ["--allow-read"]),
    "Hello Ada",
  );
});

Deno.test("Idle threads of the implicit loop do not keep the process alive", async () => {
  const output = await outputOf(
    `console.log(await toThread(() => 1)); console.log("the end");`,
    "toThread",
  );
  assertEquals(output, "1\nthe end");
});

Deno.test("A call under way keeps the process alive until it is done", async () => {
  const output = await outputOf(
    `toThread(() => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      return "done";
    }).then(console.log);
    console.log("the end of the main module");`,
    "toThread",
  );
  assertEquals(output, "the end of the main module\ndone");
});

Deno.test("Importing the module starts no thread, and a runner leaves none behind", async () => {
  const output = await outputOf(
    `const threads = () =>
      [...Deno.readDirSync("/proc/self/task")].filter(({ name }) => {
        try {
          const comm = Deno.readTextFileSync(\`/proc/self/task/\${name}/comm\`);
          return comm.startsWith("worker");
        } catch {
          return false;
        }
      }).length;
    console.log(threads());
    const gate = new Int32Array(new SharedArrayBuffer(4));
    await run(async () => {
      await gather([1, 2].map((n) => toThread((gate, n) => {
        Atomics.add(gate, 0, 1);
        Atomics.notify(gate, 0);
        while (Atomics.load(gate, 0) < 2) Atomics.wait(gate, 0, 1);
      }, gate, n)));
      console.log(threads());
    });
    while (threads() > 0) await sleep(0.001);
    console.log(threads());`,
    "gather, run, sleep, toThread",
    ["--allow-all"],
  );
  assertEquals(output, "0\n2\n0");
});

Deno.test("run() that is interrupted again while it waits for a thread rejects, and leaves nothing that keeps the process", async () => {
  const output = await outputOf(
    `const gate = new Int32Array(new SharedArrayBuffer(8));
    const interrupt = () => Deno.kill(Deno.pid, "SIGINT");
    const spin = (gate) => {
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      while (Atomics.load(gate, 1) === 0);
    };
    const main = async () => {
      const spinning = toThread(spin, gate);
      await Atomics.waitAsync(gate, 0, 0).value;
      interrupt();
      try {
        await spinning;
      } finally {
        console.log("main has ended");
        setTimeout(interrupt);
      }
    };
    console.warn = console.log;
    console.log(await run(main).catch((error) => error.name));`,
    "run, toThread",
    ["--allow-run"],
  );
  assertEquals(output.split("\n"), [
    "main has ended",
    "The executor did not finish joining its threads within 0 seconds",
    "KeyboardInterrupt",
  ]);
});

for (
  const [when, fill] of [
    ["", "() => fill()"],
    [" after an await", "async () => { await Promise.resolve(); fill(); }"],
    [
      " after a timer",
      "async () => { await new Promise((r) => setTimeout(r, 5)); fill(); }",
    ],
  ]
) {
  Deno.test(`A thread that runs out of memory${when} fails its call alone`, async () => {
    const body = "{ const all = []; for (let i = 0;; i++) all.push({ i }); }";
    const output = await outputOf(
      `await run(async () => {
        const other = toThread(() =>
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
        );
        const error = await toThread(${fill.replace("fill()", body)})
          .catch((error) => error);
        console.log(error.name, error.message);
        console.log(await other, await toThread(() => 1));
      });`,
      "run, toThread",
      ["--v8-flags=--max-old-space-size=64"],
    );
    const [first, second] = output.split("\n");
    assert(first.startsWith("RuntimeError"));
    assertStringIncludes(first, "it ran out of memory");
    assertEquals(second, "timed-out 1");
  });
}
