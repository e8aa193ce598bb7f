/**
 * Everything that must hold before a change goes in: `deno task ok`. Groups of
 * tests run at the same time, all else one after another. A failure is shown
 * with its output, and ends the run once the groups beside it have ended.
 */

import config from "../deno.json" with { type: "json" };
import { allBlocks, definesTests } from "./_code_blocks.ts";
import { type Part, PARTS, readReport, reportOf } from "./_junit.ts";

const ROOT = new URL("..", import.meta.url);
const COVERAGE = ".cov";
/** The groups of tests that are run with coverage. */
const COVERED: readonly Part[] = ["core", "system", "threads", "waiting"];
/** What the module itself is made of: the files beside `deno.json`. */
const OWN_FILES = `^${ROOT.href.replace(/[^\w/:]/g, "\\$&")}[^/]+\\.ts$`;
/** The programs of workers: tests run them as generated text, which coverage does not see. */
const WORKER_FILES = "/_(?:thread|watchdog)_worker\\.ts$";
/** Per cent of lines, branches and functions that the tests must reach. */
const COVERAGE_FLOOR = 95;

/** Tests with sockets, or with programs that end soon. */
const SYSTEM =
  /\/(?:bad_input_(?:streams|subprocess)|host|lint|os_error|request|runner_signal|server|streams|stuck|trace_)/;

/** Tests that mostly wait for other programs. */
const WAITING = /\/(?:deadlock|ps|subprocess|watchdog)_/;

/** Tests that mostly wait for workers: with coverage, the end of each takes half a second. */
const THREADS =
  /\/(?:bad_input_threads|threads_(?:codec|input|loop|pool|together|transfer))_/;

/** Tests of documentation, and others that run many programs. */
const DOCUMENTATION = /\/(?:bench|docs|entry_points|examples|tour)_/;

/** Tests that cover nothing that others do not; coverage would make them several times slower. */
const LONG = /\/(?:conservation|cost|strict_types|threads_(?:late|memory))_/;

/** The same, of threads, beside others of threads. */
const LONG_THREADS = /\/threads_(?:bundle|call|error|process)_/;

/** The files of the module. */
const OWN = [...Deno.readDirSync(ROOT)].map(({ name }) => name)
  .filter((name) => name.endsWith(".ts"));

/** Documents with blocks that define tests; `docs_blocks_test.ts` runs all others. */
const DOCUMENTS = [...allBlocks()]
  .filter(([, blocks]) => blocks.some(definesTests))
  .map(([path]) => path);

const entryPoints = Object.values(config.exports);

/** The step whose output is shown in any case: how many tests there are on each runtime. */
const PORTABLE = "tests on Node and Bun";

const STEPS: [name: string, args: string[]][] = [
  ["format", ["fmt", "--check"]],
  ["lint", ["lint"]],
  ["lint plugin", ["lint", "--config=_test/lint.json", "examples", ...OWN]],
  ["doc lint", ["doc", "--lint", ...entryPoints]],
  ["coverage", [
    "coverage",
    ...COVERED.map((part) => `${COVERAGE}/${part}`),
    `--include=${OWN_FILES}`,
    `--exclude=${WORKER_FILES}`,
    `--threshold=${COVERAGE_FLOOR}`,
  ]],
  ["conformance", ["task", "conformance"]],
  ["soak", ["task", "soak", "6"]],
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

/** Runs the tests and the checks of types, several at once, as some wait more than they compute. */
async function testsPass(): Promise<boolean> {
  const groups: Record<Part, string[]> = {
    core: [],
    documentation: ["--doc", ...DOCUMENTS],
    long: [],
    longThreads: [],
    system: [],
    threads: [],
    waiting: [],
  };
  for (const { name } of Deno.readDirSync(new URL("_test/", ROOT))) {
    const file = `_test/${name}`;
    if (name.endsWith("_test.ts")) groups[partOf(file)].push(file);
  }
  const tests = (title: string, part: Part) =>
    [title, [...testOf(part), ...groups[part]]] satisfies typeof STEPS[number];
  const results = await Promise.all([
    inTurn([
      tests("tests of the core", "core"),
      tests("tests that take long", "long"),
    ]),
    inTurn([
      tests("tests with sockets", "system"),
      [PORTABLE, ["task", "portable"]],
    ]),
    inTurn([
      ["types", ["check", "--doc", "."]],
      ["publish", ["publish", "--dry-run", "--allow-dirty", "--no-check"]],
      tests("tests of threads", "threads"),
      tests("tests of threads that take long", "longThreads"),
    ]),
    inTurn([
      tests("tests that wait for programs", "waiting"),
      tests("tests of the documentation", "documentation"),
    ]),
  ]);
  return results.every((passed) => passed);
}

function partOf(file: string): Part {
  if (DOCUMENTATION.test(file)) return "documentation";
  if (LONG.test(file)) return "long";
  if (LONG_THREADS.test(file)) return "longThreads";
  if (THREADS.test(file)) return "threads";
  if (WAITING.test(file)) return "waiting";
  return SYSTEM.test(file) ? "system" : "core";
}

async function inTurn(steps: typeof STEPS): Promise<boolean> {
  for (const [name, args] of steps) {
    if (!await passes(name, args)) return false;
  }
  return true;
}

function testOf(part: Part): string[] {
  const args = [
    "test",
    "-A",
    "--no-check", // another step checks all files
    "--shuffle",
    `--junit-path=${relative(reportOf(part))}`,
  ];
  if (COVERED.includes(part)) {
    args.push(
      `--coverage=${COVERAGE}/${part}`,
      "--clean",
      "--coverage-raw-data-only",
    );
  }
  return args;
}

/** Removes what processes left that a test killed while they wrote their coverage. */
async function dropUnfinished(): Promise<void> {
  for (const part of COVERED) {
    await dropUnfinishedIn(new URL(`${COVERAGE}/${part}/`, ROOT));
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

/** How many tests passed and failed, of those that were run. */
async function counts(): Promise<string> {
  const reports = PARTS.map((part) =>
    readReport(part).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return [];
    })
  );
  const results = (await Promise.all(reports)).flat();
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
