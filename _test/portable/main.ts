/**
 * Runs the tests on Node and Bun, on what JSR's npm layer makes of the sources:
 * `deno task portable`, with names of runtimes and files to run these only.
 *
 * `exceptions.tsv` lists what cannot pass there, with the reason. A listed test
 * that passes is an error, as is one that fails and is not listed.
 */

import { build, lower } from "./build.ts";
import { check, covers, readExceptions, type Result } from "./exceptions.ts";
import type { Note } from "./runner.ts";

/** Runtimes, as packages of npm, with what prints the path of their program. */
const RUNTIMES: Record<string, string[]> = {
  "node@22": ["node@22", "-p", "process.execPath"],
  "node@24": ["node@24", "-p", "process.execPath"],
  "bun@1.4.5": ["bun@1.4.5", "-p", "process.execPath"],
};

/** How long a test may take, in milliseconds. */
const PATIENCE = 30_000;
/** How long a listed test may take: many of them hang. */
const LISTED_PATIENCE = 3000;
/** How often the log of a process is looked at, in milliseconds. */
const INTERVAL = 500;
/** The end of a long output, which has the error. */
const SHOWN = 600;

const exceptions = await readExceptions();
const folder = await Deno.makeTempDir({ prefix: "portable-" });
const root = new URL(`file://${folder}/`);
let runs = 0;

/** Runs the tests of one file, those that a dying process has left in another one. */
async function testFile(
  runtime: string,
  program: string,
  built: URL,
  file: string,
): Promise<Result[]> {
  const results: Result[] = [];
  const path = new URL(`_test/${file.replace(/ts$/, "js")}`, built).pathname;
  for (let left = Infinity; left > 0;) {
    const log = `${folder}/${runs++}.log`;
    await Deno.writeTextFile(log, "");
    const runner = new URL("_test/portable/runner.js", built).pathname;
    const args = [runner, path, log, String(results.length)];
    if (needsDeno(file)) args.push("until-failure");
    const patience = (test: string) =>
      isListed(runtime, file, test) ? LISTED_PATIENCE : PATIENCE;
    const output = await outputOf(program, args, log, built, patience);
    const notes = notesOf(await Deno.readTextFile(log));
    const [first] = notes;
    if (first === undefined || !("count" in first)) {
      results.push({ runtime, file, test: "(import)", error: output });
      return results;
    }
    for (const note of notes) {
      if (!("ended" in note)) continue;
      const { ended: test, error } = note;
      results.push({ runtime, file, test, error });
    }
    const last = notes.at(-1)!;
    if ("begins" in last) {
      const error = output || "It never ended";
      results.push({ runtime, file, test: last.begins, error });
    }
    left = first.count - results.length;
    if (needsDeno(file) && results.some(({ error }) => error !== null)) break;
  }
  return results;
}

function isListed(runtime: string, file: string, test: string): boolean {
  return exceptions.some((it) => covers(it, { runtime, file, test }));
}

function isLeftOut(runtime: string, file: string): boolean {
  return exceptions.some((it) =>
    it.test === "-" && it.file === file && runtime.startsWith(it.runtime)
  );
}

/** Imports the module where nothing of the runtime is. */
async function checkBare(program: string): Promise<void> {
  const { stdout, stderr } = await new Deno.Command(program, {
    args: [new URL("plain/_test/portable/bare.js", root).pathname],
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (decode(stdout) !== "checked\n") throw new Error(decode(stderr));
}

function needsDeno(file: string): boolean {
  return exceptions.some((it) =>
    it.test === "*" && it.file === file && it.runtime === ""
  );
}

/** What a program writes to its standard error stream. A test that takes too long ends it. */
async function outputOf(
  program: string,
  args: string[],
  log: string,
  cwd: URL,
  patience: (test: string) => number,
): Promise<string> {
  const child = new Deno.Command(program, {
    args,
    cwd,
    env: {
      NO_COLOR: "1",
      ASYNCIO_DEBUG: "",
      NODE_COMPILE_CACHE: `${folder}/compiled`,
    },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let size = 0;
  let changed = performance.now();
  let limit = PATIENCE;
  const timer = setInterval(() => {
    const before = size;
    size = Deno.statSync(log).size;
    const now = performance.now();
    if (size !== before) {
      changed = now;
      const last = notesOf(Deno.readTextFileSync(log)).at(-1);
      limit = last && "begins" in last ? patience(last.begins) : PATIENCE;
    } else if (now - changed > limit) child.kill("SIGKILL");
  }, INTERVAL);
  const { stderr } = await child.output();
  clearInterval(timer);
  return new TextDecoder().decode(stderr).trim();
}

/** The notes in a log; the last line may not be complete yet. */
function notesOf(log: string): Note[] {
  return log.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

/** The path of the program of a runtime. */
async function install(runtime: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("npx", {
    args: ["-y", ...RUNTIMES[runtime]!],
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(`No ${runtime}: ${decode(stderr)}`);
  return decode(stdout);
}

/** Runs all files on all runtimes, several at once. */
async function testAll(runtimes: string[], files: string[]): Promise<Result[]> {
  const results: Result[] = [];
  const jobs: (() => Promise<Result[]>)[] = [];
  for (const runtime of runtimes) {
    const built = new URL(
      `${runtime === "node@22" ? "lowered" : "plain"}/`,
      root,
    );
    const program = await install(runtime);
    for (const file of files) {
      // That a file needs Deno is checked once, where programs start fastest.
      if (needsDeno(file) && runtime !== runtimes.at(-1)) continue;
      if (isLeftOut(runtime, file)) continue;
      jobs.push(() => testFile(runtime, program, built, file));
    }
  }
  const work = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      results.push(...await job());
    }
  };
  const length = 2 * navigator.hardwareConcurrency; // some of them wait
  await Promise.all(Array.from({ length }, work));
  return results;
}

function counts(runtime: string, all: Result[], wrong: string[]): string {
  const results = all.filter((it) => it.runtime === runtime);
  const passed = results.filter(({ error }) => error === null).length;
  const failed = results.length - passed;
  const unlisted = wrong.filter((it) => it.startsWith(runtime)).length;
  return `${runtime}: ${passed} passed, ${failed} failed as listed, ${unlisted} errors`;
}

const asked = Object.keys(RUNTIMES).filter((it) => Deno.args.includes(it));
const runtimes = asked.length > 0 ? asked : Object.keys(RUNTIMES);
const names = [...Deno.readDirSync(new URL("..", import.meta.url))]
  .map(({ name }) => name).filter((name) => name.endsWith("_test.ts"));
const chosen = Deno.args.filter((arg) => names.includes(arg));
const files = chosen.length > 0 ? chosen : names;
try {
  await build(new URL("plain/", root));
  await build(new URL("lowered/", root));
  await lower(new URL("lowered/", root));
  await checkBare(await install("node@24"));
  const results = await testAll(runtimes, files);
  const wrong = check(
    results,
    exceptions.filter((it) => files.includes(it.file)),
  );
  for (const it of wrong) console.log(it.slice(0, SHOWN), "\n");
  for (const runtime of runtimes) console.log(counts(runtime, results, wrong));
  Deno.exitCode = wrong.length > 0 ? 1 : 0;
} finally {
  await Deno.remove(folder, { recursive: true });
}
