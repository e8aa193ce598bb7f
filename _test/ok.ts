/**
 * Everything that must hold before a change goes in, one step after another:
 * `deno task ok`. The first failure ends it, with the output of what failed.
 */

import config from "../deno.json" with { type: "json" };
import { readReport, REPORT } from "./_junit.ts";

const ROOT = new URL("..", import.meta.url);
const COVERAGE = ".cov";
/** What the module itself is made of: the files beside `deno.json`. */
const OWN_FILES = `^${ROOT.href.replace(/[^\w/:]/g, "\\$&")}[^/]+\\.ts$`;
/** Per cent of lines, branches and functions that the tests must reach. */
const COVERAGE_FLOOR = 95;

/** The files of the module. */
const OWN = [...Deno.readDirSync(ROOT)].map(({ name }) => name)
  .filter((name) => name.endsWith(".ts"));

const entryPoints = Object.values(config.exports);

const STEPS: [name: string, args: string[]][] = [
  ["format", ["fmt", "--check"]],
  ["lint", ["lint"]],
  ["lint plugin", ["lint", "--config=_test/lint.json", "examples", ...OWN]],
  ["doc lint", ["doc", "--lint", ...entryPoints]],
  ["types", ["check", "--doc", "."]],
  ["tests", [
    "test",
    "-A",
    "--doc",
    "--shuffle",
    `--coverage=${COVERAGE}`,
    "--clean",
    "--coverage-raw-data-only",
    `--junit-path=${relative(REPORT)}`,
  ]],
  ["coverage", [
    "coverage",
    COVERAGE,
    `--include=${OWN_FILES}`,
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
    if (name === "coverage") await dropUnfinished();
    if (!await passes(name, args)) return false;
  }
  return true;
}

/** Removes what processes left that a test killed while they wrote their coverage. */
async function dropUnfinished(): Promise<void> {
  const folder = new URL(`${COVERAGE}/`, ROOT);
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile || !name.endsWith(".json")) continue;
    const file = new URL(name, folder);
    if (!(await Deno.readTextFile(file)).endsWith("}")) await Deno.remove(file);
  }
}

async function removeReport(): Promise<void> {
  await Deno.remove(REPORT).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** How many tests passed and failed; none if the run did not come so far. */
async function counts(): Promise<string> {
  const results = await readReport().catch((error) => {
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

await removeReport();
const success = await allPass();
console.log(await counts());
Deno.exit(success ? 0 : 1);
