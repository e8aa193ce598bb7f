// The trace of a run, read by the rules of its format.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  createTask,
  Event,
  gather,
  Queue,
  run,
  type RunOptions,
  sleep,
} from "../mod.ts";
import { LiveProgram } from "./_live.ts";
import { flawsOf, type RawEvent } from "./_trace_format.ts";
import { deviceTest } from "./_shell.ts";

/** The trace of a run. */
async function traceOf(
  main: () => Promise<unknown>,
  options: RunOptions = {},
): Promise<RawEvent[]> {
  const trace = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await run(main, { ...options, trace });
    return JSON.parse(await Deno.readTextFile(trace));
  } finally {
    await Deno.remove(trace);
  }
}

/** The row of a task. */
function rowOf(events: readonly RawEvent[], name: string): number {
  const row = events.find((it) =>
    it.name === "thread_name" && it.args?.name === name
  );
  assert(row !== undefined, `no row ${name}`);
  return row.tid;
}

/** The names of the slices of a task in the order of their beginning. */
function slicesOf(events: readonly RawEvent[], name: string): string[] {
  const tid = rowOf(events, name);
  return events.filter((it) => it.ph === "X" && it.tid === tid)
    .sort((a, b) => a.ts - b.ts || b.dur! - a.dur!)
    .map(({ name }) => name);
}

/** From which task to which the arrows lead. */
function arrowsOf(events: readonly RawEvent[]): string[] {
  const names = new Map(
    events.filter(({ name }) => name === "thread_name")
      .map(({ tid, args }) => [tid, args!.name as string]),
  );
  return events.filter(({ ph }) => ph === "s").map((start) => {
    const end = events.find(({ ph, id }) => ph === "f" && id === start.id)!;
    return `${names.get(start.tid)} -> ${names.get(end.tid)}`;
  });
}

/** The life of a task. */
function lifeOf(events: readonly RawEvent[], name: string): RawEvent {
  return events.find((it) => it.cat === "task" && it.name === name)!;
}

async function exchange(): Promise<void> {
  const queue = new Queue<number>();
  const taker = createTask(() => queue.get(), { name: "taker" });
  const giver = createTask(async () => {
    await sleep(0.001);
    queue.putNowait(1);
    await sleep(0.001);
  }, { name: "giver" });
  await gather([taker, giver]);
}

Deno.test("run() with trace shows tasks as rows, with steps and waits in turn", async () => {
  const events = await traceOf(exchange);
  assertEquals(flawsOf(events), []);
  assertEquals(slicesOf(events, "taker"), [
    "taker",
    "not started yet",
    "step",
    "wait for an item of <Queue 0 items, 1 waiting to get>",
    "step",
  ]);
  const { args } = lifeOf(events, "taker");
  assertEquals(args!.outcome, "done");
  assertEquals(args!.cancelled, false);
});

Deno.test("run() with trace draws an arrow from who wakes a task, or makes it, to its step", async () => {
  const arrows = arrowsOf(await traceOf(exchange));
  assert(arrows.includes("giver -> taker"), `${arrows}`);
  assert(arrows.some((it) => /^Task-\d+ -> giver$/.test(it)), `${arrows}`);
});

Deno.test("run() with trace shows who was cancelled, and by whom", async () => {
  const events = await traceOf(async () => {
    const waiter = createTask(() => new Event().wait(), { name: "waiter" });
    const early = createTask(() => sleep(1), { name: "early" });
    early.cancel();
    const killer = createTask(() => waiter.cancel(), { name: "killer" });
    await gather([waiter, early, killer], { returnExceptions: true });
  });
  assertEquals(flawsOf(events), []);
  const instants = events.filter(({ ph }) => ph === "i");
  assertEquals(
    instants.map(({ name, tid }) => [name, tid]),
    [["cancel", rowOf(events, "early")], ["cancel", rowOf(events, "waiter")]],
  );
  for (const name of ["waiter", "early"]) {
    const { outcome, cancelled } = lifeOf(events, name).args!;
    assertEquals([outcome, cancelled], ["cancelled", true]);
  }
  assert(arrowsOf(events).includes("killer -> waiter"));
});

Deno.test("run() with trace shows a failure, a wait outside of the module, and several waits at once", async () => {
  const events = await traceOf(async () => {
    const failing = createTask(() => {
      throw new Error("failed");
    }, { name: "failing" });
    const foreign = createTask(async () => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      await sleep(0);
    }, { name: "foreign" });
    const several = createTask(
      () => Promise.all([sleep(0.001), sleep(0.002), sleep(0.001)]),
      { name: "several" },
    );
    await gather([failing, foreign, several], { returnExceptions: true });
  });
  assertEquals(flawsOf(events), []);
  assertEquals(lifeOf(events, "failing").args!.outcome, "failed");
  assert(slicesOf(events, "foreign").includes("wait for a foreign promise"));
  const [, , , wait] = slicesOf(events, "several");
  assert(/^wait for .*, .*, /.test(wait), wait);
});

Deno.test("run() with trace shows debug mode, a failed run, and 10,000 tasks without a flaw", async () => {
  assertEquals(flawsOf(await traceOf(exchange, { debug: true })), []);
  const trace = await Deno.makeTempFile();
  await assertRejects(
    () =>
      run(async () => {
        createTask(() => sleep(60), { name: "left" });
        await sleep(0);
        throw new Error("failed");
      }, { trace }),
    Error,
    "failed",
  );
  const events = JSON.parse(await Deno.readTextFile(trace));
  assertEquals(flawsOf(events), []);
  assertEquals(lifeOf(events, "left").args!.outcome, "cancelled");
  await Deno.remove(trace);
  const many = await traceOf(() =>
    gather(Array.from({ length: 10_000 }, () => () => sleep(0)))
  );
  assertEquals(many.filter(({ cat }) => cat === "task").length, 10_001);
});

Deno.test("run() with trace leaves a whole trace behind Deno.exit()", async () => {
  const trace = await Deno.makeTempFile();
  const body = `import { run, sleep } from "@asyncio/asyncio";
    await run(async () => {
      await sleep(0);
      Deno.exit(0);
    }, { trace: ${JSON.stringify(trace)} });`;
  const args = [`--allow-write=${trace}`];
  await using live = await LiveProgram.start(body, { args });
  assertEquals((await live.status).code, 0);
  const events = JSON.parse(await Deno.readTextFile(trace));
  assertEquals(flawsOf(events), []);
  assertEquals(lifeOf(events, "Task-1").args!.outcome, "pending");
  await Deno.remove(trace);
});

Deno.test("run() with trace rejects where the file cannot be written", async () => {
  const trace = "/does/not/exist/trace.json";
  const error = await assertRejects(
    () => run(() => sleep(0), { trace }),
    Deno.errors.NotFound,
  );
  const [at] = error.stack!.split("\n").slice(1);
  assertStringIncludes(at, import.meta.url);
});

deviceTest(
  "run() with trace continues without it once the disk is full",
  async () => {
    const reports: string[] = [];
    const { error } = console;
    console.error = (text: string) => reports.push(text);
    try {
      const main = async () => {
        for (let i = 0; i < 1000; i++) await sleep(0);
        return "done";
      };
      assertEquals(await run(main, { trace: "/dev/full" }), "done");
    } finally {
      console.error = error;
    }
    assertEquals(reports, [
      "The trace breaks off: its file cannot be written\n",
    ]);
  },
);

Deno.test("The rules of the format find what is wrong", () => {
  const slice = { ph: "X", name: "a", cat: "c", pid: 1, tid: 1, ts: 0, dur: 9 };
  const start = { ph: "s", name: "w", cat: "c", pid: 1, tid: 1, ts: 5, id: 1 };
  assertEquals(flawsOf([{ ...slice, ph: "Q" }]), ["Unknown phase Q"]);
  assertEquals(flawsOf([{ ...slice, dur: -1 }]), ["X a has dur -1"]);
  assertEquals(
    flawsOf([slice, { ...slice, name: "b", ts: 5 }]),
    ["b overlaps a of row 1"],
  );
  assertEquals(flawsOf([slice, start]), ["Flow 1 has 1 starts, 0 ends"]);
  const finish = { ...start, ph: "f", bp: "e", tid: 2, ts: 4 };
  assertEquals(flawsOf([slice, start, finish]), [
    "Flow 1 goes back",
    "The f of flow 1 is on no slice",
  ]);
  const meta = { ph: "M", name: "thread_name", pid: 1, tid: 1, ts: 0 };
  assertEquals(flawsOf([{ ...meta, args: {} }]), [
    "Metadata thread_name is wrong",
  ]);
});
