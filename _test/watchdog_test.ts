// Blocks of the event loop, which are reported while they last.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import inspector from "node:inspector";
import { run, Runner, sleep } from "../mod.ts";
import { LiveProgram } from "./_live.ts";

/** A program that blocks until a file has a size, and then continues. */
async function blocking(
  args: string[],
  { debug = false } = {},
): Promise<{ live: LiveProgram; release: () => Promise<void> }> {
  const file = await Deno.makeTempFile();
  const body = `import { createTask, run, sleep } from "@asyncio/asyncio";
    function spin(): void {
      while (Deno.statSync(${JSON.stringify(file)}).size === 0);
    }
    await run(async () => {
      const importer = createTask(async () => {
        await sleep(0.001);
        spin();
      }, { name: "importer" });
      await importer;
      console.log("continued");
      await sleep(60);
    }, { watchdog: 0.1, debug: ${debug} });`;
  const live = await LiveProgram.start(body, {
    args: [`--allow-read=${file}`, ...args],
  });
  return {
    live,
    async release() {
      await Deno.writeTextFile(file, "continue");
      await live.until("continued");
      await Deno.remove(file);
    },
  };
}

const PERMITTED = ["--allow-sys", "--allow-net=127.0.0.1"];

Deno.test("run() with watchdog tells the stack of the code that blocks, while it blocks", async () => {
  const { live, release } = await blocking(PERMITTED);
  await using _ = live;
  const report = await live.untilError(/at the same place\n/);
  assertMatch(
    report,
    /The event loop has been blocked for 0\.\d s by the task importer\n {4}at spin \(.*:3:\d+\)\n {4}at .*:8:\d+\)?\n(?! {4}at )/,
  );
  await release();
  await live.untilError(
    /The event loop runs again after a block of \d+\.\d s\n/,
  );
});

Deno.test("run() with watchdog shows the lines of the source, where they may be read", async () => {
  const directory = await Deno.makeTempDir({ dir: "_test" });
  const file = `${directory}/blocks.ts`;
  await Deno.writeTextFile(
    file,
    `import { run } from "@asyncio/asyncio";
await run(() => {
  for (;;); // this blocks
}, { watchdog: 0.05 });`,
  );
  const args = ["run", "-A", "--no-check", file];
  await using live = new LiveProgram(
    new Deno.Command(Deno.execPath(), {
      args,
      env: { NO_COLOR: "1" },
      stdout: "piped",
      stderr: "piped",
    }).spawn(),
  );
  assertMatch(
    await live.untilError("// this blocks\n"),
    / at .*blocks\.ts:3:\d+\)?\n +> .*\/\/ this blocks\n/,
  );
  await Deno.remove(directory, { recursive: true });
});

Deno.test("run() with watchdog names the task and its last wait where the debugger is not permitted", async () => {
  const { live, release } = await blocking([], { debug: true });
  await using _ = live;
  const report = await live.untilError(/blocked for .*\n/);
  assertMatch(
    report,
    /blocked for 0\.\d s by the task importer, on from its wait at .*:7:\d+\)? \(no stack: needs --allow-sys and --allow-net=127\.0\.0\.1\)\n/,
  );
  await release();
});

Deno.test("run() with watchdog leaves the debugger as it was, and no thread", async () => {
  assertEquals(inspector.url(), undefined);
  let inside: string | undefined;
  await run(() => void (inside = inspector.url()), { watchdog: 60 });
  assertMatch(inside!, /^ws:\/\/127\.0\.0\.1:\d+\//);
  assertEquals(inspector.url(), undefined);
  const key = Symbol.for("@asyncio/asyncio blocking");
  assert(!(key in globalThis));
  const failed = () =>
    run(() => Promise.reject(new Error("failed")), { watchdog: 60 });
  await assertRejects(failed, Error, "failed");
  assertEquals(inspector.url(), undefined);
});

Deno.test("Runner with watchdog watches all its runs, and several share the debugger", async () => {
  const first = new Runner({ watchdog: 60 });
  const second = new Runner({ watchdog: 60 });
  await first.run(() => sleep(0));
  const url = inspector.url();
  assert(url !== undefined);
  await second.run(() => sleep(0));
  await first.close();
  assertEquals(inspector.url(), url);
  await second.run(() => sleep(0));
  await second.close();
  assertEquals(inspector.url(), undefined);
});

Deno.test("Runner.close() with watchdog closes the debugger of a loop that was closed before", async () => {
  const runner = new Runner({ watchdog: 60 });
  await runner.run(() => sleep(0));
  runner.getLoop().close();
  await runner.close();
  assertEquals(inspector.url(), undefined);
});

Deno.test("run() with watchdog leaves a debugger open that was open before", async () => {
  inspector.open(0, "127.0.0.1");
  const url = inspector.url();
  await run(() => sleep(0), { watchdog: 60 });
  assertEquals(inspector.url(), url);
  inspector.close();
});

Deno.test("run() with watchdog rejects with the reason of a signal that aborts before main starts", async () => {
  const controller = new AbortController();
  const started = run(() => sleep(60), {
    watchdog: 60,
    signal: controller.signal,
  });
  controller.abort(new RangeError("stop"));
  await assertRejects(() => started, RangeError, "stop");
});

Deno.test("run() with watchdog finds a deadlock, awaited at top level or not", async () => {
  for (const start of ["await run", "run"]) {
    const body = `import { Event, run } from "@asyncio/asyncio";
      ${start}(() => new Event().wait(), { watchdog: 60 });`;
    await using live = await LiveProgram.start(body, { args: PERMITTED });
    await live.untilError("Deadlock: nothing is left that could wake a task");
    assertEquals((await live.status).code, 1);
  }
});

Deno.test("run() with watchdog takes nothing for a deadlock that the host may still end", async () => {
  const body = `import { Event, run } from "@asyncio/asyncio";
    const accepted = new Event();
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    console.log("port", listener.addr.port, ".");
    listener.accept().then((conn) => {
      conn.close();
      accepted.set();
    });
    await run(() => accepted.wait(), { watchdog: 60 });
    console.log("accepted");`;
  await using live = await LiveProgram.start(body, { args: PERMITTED });
  const [, port] = /port (\d+) \./.exec(await live.until(/port \d+ \./))!;
  // Longer than anything has to stay the same for a deadlock.
  await delay(2500);
  (await Deno.connect({ hostname: "127.0.0.1", port: Number(port) })).close();
  await live.until("accepted");
  assertEquals((await live.status).code, 0);
});

Deno.test("run() with watchdog refuses a limit that is not above zero", async () => {
  const message = "Cannot create a runner: watchdog must be above 0, got 0";
  await assertRejects(
    () => run(() => sleep(0), { watchdog: 0 }),
    RangeError,
    message,
  );
});
