import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lineWith } from "./_places.ts";

const DIRECTORY = new URL("stuck/", import.meta.url);

/** For each program that gets stuck: what its report has to name. */
const programs: Record<string, string[]> = {
  "two_locks.ts": [
    'Task "deposit" waiting for <Lock locked, 1 waiting> held by the task withdraw',
    'Task "withdraw" waiting for <Lock locked, 1 waiting> held by the task deposit',
    "These tasks wait for each other in a circle:",
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

/** Runs a program that ends with nothing left to wake it; gives what it has written. */
async function reportOf(file: string, debug: boolean): Promise<string> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      "--allow-env=ASYNCIO_DEBUG",
      file,
    ],
    cwd: DIRECTORY,
    env: { NO_COLOR: "1", ASYNCIO_DEBUG: debug ? "1" : "0" },
    stdin: "null",
  }).output();
  assertEquals(code, 0);
  return new TextDecoder().decode(stderr);
}

for (const [file, named] of Object.entries(programs)) {
  Deno.test(`run() says what ${file} is stuck in`, async () => {
    const report = await reportOf(file, false);
    assertStringIncludes(
      report,
      "Nothing is left that could wake the task Task-1\n",
    );
    for (const text of named) assertStringIncludes(report, text);
  });

  Deno.test(`run() says where ${file} is stuck in debug mode`, async () => {
    const report = await reportOf(file, true);
    for (const text of named) assertStringIncludes(report, text);
    const lines = report.split("\n");
    const stuck = lines.findIndex((line) => line.includes(named[0]));
    const place = lineWith("stuck", new URL(file, DIRECTORY).href);
    assert(
      lines[stuck + 1].trim().startsWith("at ") &&
        lines[stuck + 1].includes(place),
      `Expected ${place} below line ${stuck} of ${report}`,
    );
  });
}
