// `ps` and live programs that were not prepared for it. All of them open their
// debugger on the same port, so the tests take turns.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async";
import { attach } from "../_attach.ts";
import { listeningIn, processTable, PsError, secondsOf } from "../_process.ts";
import type { Snapshot, TaskSnapshot } from "../_snapshot.ts";
import { Top } from "../_top.ts";
import { isFree, LiveProgram, ps, psCommand, untilFree } from "./_live.ts";
import { type Ended, readRest, readUntil, textReader } from "./_programs.ts";

const PORT = 9229;
const IMPORT = `import {
  createTask, getEventLoop, Lock, Queue, run, sleep,
} from "@asyncio/asyncio";`;

/** A program that counts aloud, so that it shows that it continues. */
function program(body: string): string {
  return `${IMPORT}
    await run(async () => {
      ${body}
      console.log("ready");
      for (let n = 0;; n++) {
        await sleep(0.01);
        if (n < 1000) console.log("tick");
      }
    });`;
}

/** Runs `ps` until it has met the program between two steps: within one, waits cannot be located. */
async function psOfIdle(pid: number): Promise<Ended> {
  for (;;) {
    const answer = await ps(`${pid}`);
    if (!answer.stdout.includes("Running now:")) return answer;
  }
}

async function withPort(test: () => Promise<void>): Promise<void> {
  await untilFree(PORT);
  await test();
}

Deno.test("ps names the waits of a program that was not prepared, and leaves it as it was", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(`
      const lock = new Lock();
      await lock.acquire();
      createTask(() => lock.acquire(), { name: "waiter" });
    `));
    await live.until("ready");
    const { code, stdout } = await ps(`${live.pid}`);
    assertEquals(code, 0);
    assertMatch(stdout, new RegExp(`^Process ${live.pid}: .*deno run`));
    assertMatch(
      stdout,
      /Task "waiter" waiting for <Lock locked, 1 waiting> held by the task Task-1/,
    );
    assert(isFree(PORT));
    await live.until("tick");
    assertEquals((await ps(`${live.pid}`)).code, 0);
    assert(isFree(PORT));
    await live.until("tick");
  }));

Deno.test("ps shows the lines where tasks wait, in promises from elsewhere too", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(`
      const queue = new Queue();
      const { promise, resolve } = Promise.withResolvers();
      globalThis.resolve = resolve;
      async function takes() { await queue.get(); }
      async function reads() { await promise; }
      async function parses() { await reads(); }
      createTask(takes, { name: "taker" });
      createTask(parses, { name: "parser" });
    `));
    await live.until("ready");
    for (let i = 0; i < 2; i++) {
      const { code, stdout } = await psOfIdle(live.pid);
      assertEquals(code, 0);
      assertMatch(stdout, /"taker" waiting .*\n {4}at takes \(/);
      assertMatch(
        stdout,
        /"parser" waiting for a foreign promise .*\n {4}at reads \(.*\n {4}at parses \(/,
      );
      assert(!stdout.includes("Debug mode would"));
      await live.until("tick");
    }
  }));

Deno.test("ps --json gives the snapshots of 10,000 tasks", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(`
      const queue = new Queue();
      for (let i = 0; i < 10_000; i++) createTask(() => queue.get());
    `));
    await live.until("ready");
    const { code, stdout } = await ps("--json", `${live.pid}`);
    assertEquals(code, 0);
    const [{ thread, loops: [loop] }] = JSON.parse(stdout);
    assertEquals(thread, "main");
    assertEquals(loop.pid, live.pid);
    assertEquals(loop.tasks.length, 10_001);
    const { kind } = loop.tasks[10_000].waits[0];
    assertEquals(kind, "queue.get");
    await live.until("tick");
  }));

Deno.test("ps finds the loops of workers", () =>
  withPort(async () => {
    const source = `import { createTask, Event, run } from "@asyncio/asyncio";
      await run(async () => {
        createTask(() => new Event().wait(), { name: "in the worker" });
        postMessage("ready");
        await new Event().wait();
      });`;
    await using live = await LiveProgram.start(
      `const file = Deno.makeTempFileSync({ dir: "_test", suffix: ".ts" });
      Deno.writeTextFileSync(file, ${JSON.stringify(source)});
      const url = new URL(file, "file://" + Deno.cwd() + "/");
      const worker = new Worker(url, { type: "module" });
      worker.onmessage = ({ data }) => {
        Deno.removeSync(file);
        console.log(data);
      };`,
      { args: ["-A"] },
    );
    await live.until("ready");
    const { code, stdout, stderr } = await ps("--json", `${live.pid}`);
    assertEquals(code, 0, stderr);
    const [{ thread, loops }] = JSON.parse(stdout);
    assertEquals(thread, "worker [1]");
    const names = loops[0].tasks.map(({ name }: TaskSnapshot) => name);
    assertEquals(names[1], "in the worker");
  }));

Deno.test("ps waits until its signal does not kill a process that has just started", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(""));
    const { code, stderr } = await ps("--json", `${live.pid}`);
    // The debugger may be open before the program has come to its loop.
    assert([0, 7, 8].includes(code), stderr);
    await live.until("tick");
  }));

Deno.test("ps says that a loop is blocked, and reports after the block", () =>
  withPort(async () => {
    const file = await Deno.makeTempFile();
    await using live = await LiveProgram.start(
      program(`
        createTask(async () => {
          // The runtime has to take notice of its signal first.
          while (await Deno.stat(${
        JSON.stringify(file)
      }).then(({ mode }) => mode & 1) === 0);
          console.log("blocked");
          while (Deno.statSync(${JSON.stringify(file)}).size === 0);
        });`),
      { args: [`--allow-read=${file}`] },
    );
    await live.until("ready");
    while (!await OPTIONS.table.handlesSigusr1(live.pid)) await delay(5);
    await Deno.chmod(file, 0o700 | 1);
    await live.until("blocked");
    const child = psCommand(["--json", `${live.pid}`]).spawn();
    const errors = textReader(child.stderr);
    await readUntil(errors, "its event loop is blocked");
    await Deno.writeTextFile(file, "continue");
    const [{ code }, output, rest] = await Promise.all([
      child.status,
      new Response(child.stdout).text(),
      readRest(errors),
    ]);
    assertEquals(code, 0, rest);
    assertEquals(JSON.parse(output)[0].loops[0].pid, live.pid);
    await live.until("tick");
    assert(isFree(PORT));
    await Deno.remove(file);
  }));

Deno.test("ps shows what runs where the debugger is open during a block, and leaves it open", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using live = await LiveProgram.start(
    program(`
      createTask(async function spin() {
        console.log("blocked");
        for (;;);
      });`),
    { args: [`--inspect=127.0.0.1:${port}`] },
  );
  await live.until("blocked");
  const { code, stdout, stderr } = await ps(`${live.pid}`);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /Running now:\n {4}at (?:async )?spin \(/);
  assert(!isFree(port));
});

Deno.test("ps goes round a handler that the program has for the same signal", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(`
      Deno.addSignalListener("SIGUSR1", () => console.log("handled"));
    `));
    await live.until("ready");
    assertEquals((await ps(`${live.pid}`)).code, 0);
    await live.until("handled");
    await live.until("tick");
  }));

Deno.test("ps that is killed leaves no debugger open", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(""));
    await live.until("ready");
    const child = psCommand(["--watch=0.01", `${live.pid}`]).spawn();
    const output = textReader(child.stdout);
    await readUntil(output, "TASKS");
    child.kill("SIGKILL");
    await Promise.all([child.status, output.cancel(), child.stderr.cancel()]);
    await untilFree(PORT);
    assertMatch(await live.until("tick"), /tick/);
  }));

Deno.test("ps --watch draws tasks by place until the program ends", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(`
      const queue = new Queue();
      for (let i = 0; i < 7; i++) createTask(function taker() { return queue.get(); });
    `));
    await live.until("ready");
    const child = psCommand(["--watch=0.01", `${live.pid}`]).spawn();
    const output = textReader(child.stdout);
    const view = await readUntil(output, /TASKS[^]*TASKS[^]*QUEUES\n.*\n/);
    assertMatch(
      view,
      /EventLoop running: 8 tasks, 0 ready, \d+ timers, lag \d/,
    );
    assertMatch(view, / 7 +0 +\d+\.\d s +waits for an item of <Queue/);
    assertMatch(view, /QUEUES\n +<Queue 0 items, 7 waiting to get>/);
    live.kill("SIGTERM");
    const [{ code }] = await Promise.all([
      child.status,
      output.cancel(),
      child.stderr.cancel(),
    ]);
    assertEquals(code, 0);
  }));

Deno.test("ps --watch ends with Ctrl-C and leaves no debugger open", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(""));
    await live.until("ready");
    const child = psCommand(["--watch=0.01", `${live.pid}`]).spawn();
    const output = textReader(child.stdout);
    await readUntil(output, "TASKS");
    child.kill("SIGINT");
    const [{ code }] = await Promise.all([
      child.status,
      output.cancel(),
      child.stderr.cancel(),
    ]);
    assertEquals(code, 0);
    assert(isFree(PORT));
    await live.until("tick");
  }));

Deno.test("ps --watch ends with Ctrl-C while the process waits in a call of the system", () =>
  withPort(async () => {
    const path = await Deno.makeTempFile();
    const file = await Deno.open(path, { write: true });
    await using live = await LiveProgram.start(
      program(`
        createTask(async () => {
          const file = await Deno.open(${JSON.stringify(path)});
          do await sleep(0.01); while ((await file.stat()).size === 0);
          file.lockSync(true);
          console.log("unlocked");
        });`),
      { args: [`--allow-read=${path}`] },
    );
    await live.until("ready");
    const child = psCommand(["--watch=0.01", `${live.pid}`]).spawn();
    const [output, errors] = [
      textReader(child.stdout),
      textReader(child.stderr),
    ];
    await readUntil(output, "TASKS");
    await file.lock(true);
    await file.write(new TextEncoder().encode("continue"));
    await readUntil(errors, "it waits in a call of the system");
    child.kill("SIGINT");
    const [{ code }] = await Promise.all([
      child.status,
      output.cancel(),
      errors.cancel(),
    ]);
    assertEquals(code, 0);
    await file.unlock();
    file.close();
    await live.until(/unlocked[^]*tick/);
    await untilFree(PORT);
    await Deno.remove(path);
  }));

Deno.test("ps --help describes the options", async () => {
  const { code, stdout } = await ps("--help");
  assertEquals(code, 0);
  assertMatch(stdout, /--watch\[=SECONDS\]/);
});

Deno.test("ps refuses wrong arguments with status 2", async () => {
  const answers = await Promise.all([ps(), ps("--foo", "1"), ps("1", "2")]);
  assertEquals(answers.map(({ code }) => code), [2, 2, 2]);
  assertMatch(answers[0].stderr, /^Expected the id of a process\n\nPrints/);
  assertMatch(answers[1].stderr, /^Unknown argument --foo\n/);
});

Deno.test("ps tells a process that is not there, with status 3", async () => {
  const ended = new Deno.Command("true").spawn();
  await ended.status;
  assertEquals(await ps(`${ended.pid}`), {
    code: 3,
    stdout: "",
    stderr: `There is no process ${ended.pid}\n`,
  });
});

Deno.test("ps tells a process that is not Deno, with status 4, and leaves it alone", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const { code, stderr } = await ps(`${child.pid}`);
  assertEquals(code, 4);
  assertMatch(stderr, /^Process \d+ is not Deno but \/.*; for one that/);
  const forced = attach(child.pid, { ...OPTIONS, force: true, start: 50 });
  await assertRejectsWith(
    forced,
    6,
    /SIGUSR1 would kill the process, which is blocked/,
  );
  child.kill("SIGTERM");
  assertEquals((await child.status).signal, "SIGTERM");
});

Deno.test("ps tells a program without asyncio with status 7, and one without a loop with 8", () =>
  withPort(async () => {
    const body = `console.log("ready"); setInterval(() => {}, 1000);`;
    await using without = await LiveProgram.start(body);
    await without.until("ready");
    assertEquals((await ps(`${without.pid}`)).code, 7);
    await using idle = await LiveProgram.start(
      `import "@asyncio/asyncio"; ${body}`,
    );
    await idle.until("ready");
    assertEquals((await ps(`${idle.pid}`)).code, 8);
  }));

Deno.test("attach() tells whose debugger has the port, and sends no signal", () =>
  withPort(async () => {
    await using live = await LiveProgram.start(program(""));
    await using other = await LiveProgram.start(program(""));
    await Promise.all([live.until("ready"), other.until("ready")]);
    while (!await OPTIONS.table.handlesSigusr1(other.pid)) await delay(5);
    other.kill("SIGUSR1");
    await other.untilError("Debugger listening");
    const printed: string[] = [];
    const attached = attach(live.pid, {
      ...OPTIONS,
      print: (text) => printed.push(text),
    });
    const owner = `taken by the debugger of process ${other.pid}$`;
    await assertRejectsWith(attached, 6, new RegExp(owner));
    assertEquals(printed, []);
    // What was open before is closed only if that is asked for.
    assertEquals((await ps(`${other.pid}`)).code, 0);
    assert(!isFree(PORT));
    assertEquals((await ps("--close", `${other.pid}`)).code, 0);
    assert(isFree(PORT));
  }));

const OPTIONS = {
  table: processTable(),
  print: () => {},
  force: false,
  close: false,
  busy: 50,
  start: 10_000,
  guard: 3000,
};

async function assertRejectsWith(
  promise: Promise<unknown>,
  code: number,
  message: RegExp,
): Promise<void> {
  const error = await promise.then(() => null, (error) => error);
  assert(error instanceof PsError, `${error}`);
  assertEquals(error.code, code);
  assertMatch(error.message, message);
}

Deno.test("attach() refuses its own process", async () => {
  const message = new RegExp(`^Process ${Deno.pid} is this one$`);
  await assertRejectsWith(attach(Deno.pid, OPTIONS), 2, message);
});

Deno.test("listeningIn() reads the ports of a process out of the kernel's table", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:240D 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 17 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 18 1
   2: 0100007F:240D 0100007F:8A62 01 00000000:00000000 00:00000000 00000000 0 0 19 1
`;
  assertEquals(listeningIn(table, new Set(["17", "19"])), [9229]);
});

Deno.test("secondsOf() reads the age of a process", () => {
  assertEquals(secondsOf("00:07"), 7);
  assertEquals(secondsOf("   01:02:03 "), 3723);
  assertEquals(secondsOf("2-00:00:01"), 172_801);
});

/** A snapshot of tasks that sleep. */
function sleepers(count: number): Snapshot {
  const wait = {
    kind: "timer",
    what: "a timer",
    object: null,
    tasks: [],
    holders: [],
    place: null,
    notes: [],
  };
  const task: Omit<TaskSnapshot, "id"> = {
    name: "sleeper",
    coro: "nap",
    parent: null,
    state: "waiting",
    requests: 0,
    cancelled: null,
    scopes: [],
    waits: [wait],
    seconds: 2,
    age: 3,
    stack: [],
    madeAt: null,
  };
  return {
    version: 1,
    pid: 1,
    loop: {
      name: "EventLoop",
      state: "running",
      debug: false,
      time: 0,
      lag: 0.25,
      ready: 3,
      timers: count,
    },
    tasks: Array.from({ length: count }, (_, id) => ({ ...task, id })),
    threads: [],
    children: [],
    failures: [],
    abandoned: [],
  };
}

Deno.test("Top.draw() counts tasks by place, and by how many they grow", () => {
  const top = new Top();
  const draw = (count: number, now: number) =>
    top.draw(
      "Process 1",
      [{ thread: "main", loops: [sleepers(count)], stack: [] }],
      now,
      { columns: 40, rows: 24 },
    );
  assertEquals(
    draw(5, 1000),
    [
      "Process 1",
      "EventLoop running: 5 tasks, 3 ready, 5 timers, lag 250 ms".slice(0, 40),
      "",
      "  TASKS     +/s  OLDEST  DOING",
      "      5           2.0 s  waits for a timer in nap".slice(0, 40),
    ].join("\n"),
  );
  const [, , , , row] = draw(25, 3000).split("\n");
  assertEquals(
    row,
    "     25      10   2.0 s  waits for a timer in nap".slice(0, 40),
  );
});
