import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lineWith } from "./_places.ts";
import { readUntil, spawnFile, textReader } from "./_programs.ts";

const DIRECTORY = new URL("stuck/", import.meta.url);

/** For each program that gets stuck: what its report has to name. */
const programs: Record<string, string[]> = {
  "two_locks.ts": [
    'Task "deposit" waiting for <Lock locked, 1 waiting> held by the task withdraw',
    'Task "withdraw" waiting for <Lock locked, 1 waiting> held by the task deposit',
    "These tasks wait for each other in a circle: deposit waits for",
  ],
  "unfed_queue.ts": [
    'Task "consumer" waiting for an item of <Queue 0 items, 1 waiting to get>',
  ],
  "missing_task_done.ts": [
    'Task "Task-1" waiting for taskDone() on <Queue 0 items, 1 waiting to get>, 1 unfinished',
  ],
  "foreign_promise.ts": [
    'Task "caller" waiting for a foreign promise',
  ],
};

/** What a program writes that ends with nothing left to wake it. */
async function reportOf(file: string, debug: boolean): Promise<string> {
  const child = spawnFile(file, options(debug));
  await child.stdin.close();
  const { code, stderr } = await child.output();
  assertEquals(code, 1);
  return new TextDecoder().decode(stderr);
}

/** What a program writes that says "ready" and then runs on for ever. */
async function dumpOf(file: string): Promise<string> {
  const child = spawnFile(file, options(true));
  const [stdout, stderr] = [child.stdout, child.stderr].map(textReader);
  await readUntil(stdout, "ready");
  child.kill("SIGUSR1");
  const report = await readUntil(stderr, /"counter"[^]*made at .*\n/);
  child.kill("SIGKILL");
  await child.status;
  await Promise.all([stdout.cancel(), stderr.cancel(), child.stdin.close()]);
  return report;
}

function options(debug: boolean) {
  return {
    args: ["--allow-env=ASYNCIO_DEBUG", "--allow-run=wc"],
    env: { ASYNCIO_DEBUG: debug ? "1" : "0" },
  };
}

/** Checks that the line below the one that names a wait tells its place in the program. */
function assertPlace(report: string, file: string, wait: string): void {
  const lines = report.split("\n");
  const named = lines.findIndex((line) => line.includes(wait));
  const line = lines[named + 1].trim();
  const place = lineWith("stuck", new URL(file, DIRECTORY).href);
  assert(
    line.startsWith("at ") && line.includes(place),
    `Expected ${place} below ${wait} in ${report}`,
  );
}

for (const [file, named] of Object.entries(programs)) {
  Deno.test(`run() says what ${file} is stuck in`, async () => {
    const report = await reportOf(file, false);
    assertStringIncludes(
      report,
      "Deadlock: nothing is left that could wake a task\n",
    );
    for (const text of named) assertStringIncludes(report, text);
  });

  Deno.test(`run() says where ${file} is stuck in debug mode`, async () => {
    const report = await reportOf(file, true);
    for (const text of named) assertStringIncludes(report, text);
    assertPlace(report, file, named[0]);
  });
}

Deno.test("run({ dumpSignal }) says where endless_child.ts is stuck", async () => {
  const report = await dumpOf("endless_child.ts");
  const wait = 'Task "counter" waiting for the end of wc (pid ';
  assertStringIncludes(report, wait);
  assertPlace(report, "endless_child.ts", wait);
});

Deno.test("run() says a second after Ctrl-C what keeps the program from ending", async () => {
  const child = spawnFile("shielded.ts");
  const [stdout, stderr] = [child.stdout, child.stderr].map(textReader);
  await readUntil(stdout, "ready");
  child.kill("SIGINT");
  const report = await readUntil(stderr, /"save" waiting .*\n/);
  const [title, verdict] = report.split("\n");
  assertEquals(
    title,
    "SIGINT came 1 s ago and has not ended the program, a second one will",
  );
  assertStringIncludes(
    verdict,
    "Task Task-1 was cancelled by SIGINT 1.0 s ago",
  );
  assertStringIncludes(verdict, "a shield keeps it from ending");
  child.kill("SIGINT");
  const rest = await readUntil(stderr, /KeyboardInterrupt.*\n/);
  assertStringIncludes(
    rest,
    "KeyboardInterrupt: Interrupted by SIGINT while waiting for the task save, which waits for <Event unset, 1 waiting>\n",
  );
  assertEquals((await child.status).code, 1);
  await Promise.all([stdout.cancel(), stderr.cancel(), child.stdin.close()]);
});

Deno.test("run() says a second after its main has ended what it waits for", async () => {
  const child = spawnFile("leftover.ts");
  const stderr = textReader(child.stderr);
  const report = await readUntil(stderr, / 1 s ago, but sits in .*\n/);
  assertStringIncludes(
    report,
    "Task deaf was cancelled by the end of run() 1 s ago, but sits in a foreign promise, which nothing can interrupt: hand it the signal",
  );
  assertStringIncludes(
    report,
    "Tasks that were left have not ended 1 s after they were cancelled\n",
  );
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
  await Promise.all([
    stderr.cancel(),
    child.stdout.cancel(),
    child.stdin.close(),
  ]);
});
