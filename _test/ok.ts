/**
 * Everything that must hold before a change goes in, one step after another:
 * `deno task ok`. The first failure ends it, with the output of what failed.
 */

import config from "../deno.json" with { type: "json" };
import { PARTS, readReports, reportOf } from "./_junit.ts";

const ROOT = new URL("..", import.meta.url);
const COVERAGE = ".cov";
/** What the module itself is made of: the files beside `deno.json`. */
const OWN_FILES = `^${ROOT.href.replace(/[^\w/:]/g, "\\$&")}[^/]+\\.ts$`;
/** The programs of workers: tests run them as generated text, which coverage does not see. */
const WORKER_FILES = "/_(?:thread|watchdog)_worker\\.ts$";
/** Per cent of lines, branches and functions that the tests must reach. */
const COVERAGE_FLOOR = 95;

/** Tests with sockets, processes, threads or other programs. */
const SYSTEM =
  /\/(?:bad_input_(?:streams|subprocess|threads)|deadlock|entry|error_stack|host|lint|os_error|ps|request|runner_signal|server|streams|stuck|subprocess|threads|trace_|watchdog)/;

/** Tests that take long and cover nothing that others do not. Without coverage they take a quarter of the time. */
const LONG =
  /\/(?:conservation|cost|docs|examples|tour|bench|strict_types|threads_(?:pool|memory|bundle))_/;

/** The files of the module. */
const OWN = [...Deno.readDirSync(ROOT)].map(({ name }) => name)
  .filter((name) => name.endsWith(".ts"));

const entryPoints = Object.values(config.exports);

/** The step whose output is shown in any case: how many tests there are on each runtime. */
const PORTABLE = "tests on Node and Bun";

const STEPS: [name: string, args: string[]][] = [
  ["format", ["fmt", "--check"]],
  ["lint", ["lint"]],
  ["lint plugin", ["lint", "--config=_test/lint.json", "examples", ...OWN]],
  ["doc lint", ["doc", "--lint", ...entryPoints]],
  ["types", ["check", "--doc", "."]],
  ["coverage", [
    "coverage",
    `${COVERAGE}/core`,
    `${COVERAGE}/system`,
    `--include=${OWN_FILES}`,
    `--exclude=${WORKER_FILES}`,
    `--threshold=${COVERAGE_FLOOR}`,
  ]],
  ["conformance", ["task", "conformance"]],
  ["soak", ["task", "soak", "10"]],
  ["publish", ["publish", "--dry-run", "--allow-dirty"]],
];

/** Runs one step; its output is shown only if it fails. */
async function passes(name: string, args: string[]): Promise<boolean> {
  const start = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
  }).output();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${success ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
  if (success && name === PORTABLE) await Deno.stdout.write(stdout);
  if (!success) {
    console.log(`\ndeno ${args.join(" ")}\n`);
    await Deno.stdout.write(stdout);
    await Deno.stdout.write(stderr);
    console.log();
  }
  return success;
}

async function allPass(): Promise<boolean> {
  for (const [name, args] of STEPS) {
    if (name === "coverage") {
      if (!await testsPass()) return false;
      await dropUnfinished();
    }
    if (!await passes(name, args)) return false;
  }
  return true;
}

/**
 * Runs the tests in two processes at once, as those that use sockets, processes
 * and threads wait more than they compute.
 */
async function testsPass(): Promise<boolean> {
  const all = [...Deno.readDirSync(new URL("_test/", ROOT))]
    .map(({ name }) => name)
    .filter((name) => name.endsWith("_test.ts"))
    .map((name) => `_test/${name}`);
  const long = all.filter((file) => LONG.test(file));
  const system = all.filter((file) => SYSTEM.test(file) && !LONG.test(file));
  const core = all.filter((file) => !SYSTEM.test(file) && !LONG.test(file));
  const documents = [
    ...["README.md", "CONTRIBUTING.md", "docs", "examples", "_test/std"],
    ...OWN,
  ];
  const results = await Promise.all([
    inTurn([
      ["tests of the core and the documentation", [
        ...testOf("core"),
        ...withCoverage("core"),
        "--doc",
        ...documents,
        ...core,
      ]],
      ["tests that take long", [...testOf("long"), ...long]],
    ]),
    inTurn([
      ["tests with sockets, processes and threads", [
        ...testOf("system"),
        ...withCoverage("system"),
        ...system,
      ]],
      [PORTABLE, ["task", "portable"]],
    ]),
  ]);
  return results.every((passed) => passed);
}

async function inTurn(steps: typeof STEPS): Promise<boolean> {
  for (const [name, args] of steps) {
    if (!await passes(name, args)) return false;
  }
  return true;
}

function testOf(part: typeof PARTS[number]): string[] {
  return [
    "test",
    "-A",
    "--shuffle",
    `--junit-path=${relative(reportOf(part))}`,
  ];
}

function withCoverage(part: typeof PARTS[number]): string[] {
  return [
    `--coverage=${COVERAGE}/${part}`,
    "--clean",
    "--coverage-raw-data-only",
  ];
}

/** Removes what processes left that a test killed while they wrote their coverage. */
async function dropUnfinished(): Promise<void> {
  for (const half of ["core", "system"]) {
    await dropUnfinishedIn(new URL(`${COVERAGE}/${half}/`, ROOT));
  }
}

async function dropUnfinishedIn(folder: URL): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile || !name.endsWith(".json")) continue;
    const file = new URL(name, folder);
    if (!(await Deno.readTextFile(file)).endsWith("}")) await Deno.remove(file);
  }
}

async function removeReports(): Promise<void> {
  for (const part of PARTS) {
    await Deno.remove(reportOf(part)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/** How many tests passed and failed; none if the run did not come so far. */
async function counts(): Promise<string> {
  const results = await readReports().catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [];
  });
  const count = (outcome: string) =>
    results.filter((test) => test.outcome === outcome).length;
  return `${count("passed")} passed, ${count("failed")} failed`;
}

function relative(url: URL): string {
  return url.href.slice(ROOT.href.length);
}

await removeReports();
const success = await allPass();
console.log(await counts());
Deno.exit(success ? 0 : 1);
