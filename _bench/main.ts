/**
 * The benchmark: `deno task bench`.
 *
 * ```sh
 * deno task bench                  # everything
 * deno task bench queue            # workloads with "queue" in their name
 * deno task bench --quick          # a tenth of the work, to check that it runs
 * deno task bench --write          # saves the results; needs a clean work tree
 * deno task bench --python=PATH    # another Python than that on PATH
 * deno task bench --rounds=9       # more rounds than 5
 * deno task bench --only           # ours, bare and Python, nothing from npm
 * deno task bench --no-tenfold     # nothing at ten times the size
 * deno task bench --cpu            # processor seconds, for busy machines
 * deno task bench --against=main~3 # also the module of that commit, as the side "before"
 * ```
 *
 * `harness.ts` explains how it measures; `README.md` explains what is compared,
 * and what each side lacks.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { checkOut } from "./against.ts";
import { chartGroups, drawChart } from "./chart.ts";
import { git } from "./git.ts";
import {
  measure,
  type Options,
  type Result,
  type Workload,
} from "./harness.ts";
import { describeMachine, describeVersions, findPython } from "./machine.ts";
import { details, frontPage, type Report, report } from "./report.ts";

/** The files of workloads, in the order of the table. Missing ones are skipped. */
const FILES = [
  "workloads/tasks.ts",
  "workloads/queues.ts",
  "workloads/sync.ts",
  "workloads/timers.ts",
  "workloads/cancel.ts",
  "workloads/memory.ts",
  "streams.ts",
  "subprocess.ts",
  "threads.ts",
  "workloads/start.ts",
];
/** Files whose work is not done in the processes of the sides. */
const OTHERS_WORK = ["subprocess.ts", "threads.ts"];
const ROOT = new URL("../", import.meta.url);
const RESULTS = new URL("RESULTS.md", import.meta.url);
const CHART = new URL("chart.svg", import.meta.url);
const README = new URL("README.md", ROOT);

if (import.meta.main) await main();

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      quick: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      only: { type: "boolean", default: false },
      tenfold: { type: "boolean", default: true },
      cpu: { type: "boolean", default: false },
      against: { type: "string" },
      python: { type: "string" },
      rounds: { type: "string", default: "5" },
    },
  });
  if (values.write) checkWritable(positionals, values.quick);
  using checkout = values.against === undefined
    ? null
    : checkOut(values.against);
  if (checkout !== null) console.error(`before is ${checkout.commit}`);
  const python = await findPython(values.python);
  const options: Options = {
    rounds: roundsOf(values.rounds),
    quick: values.quick,
    tenfold: values.tenfold && !values.quick,
    python: python?.path ?? null,
    uvloop: python?.uvloop != null,
    others: !values.only,
    cpu: values.cpu,
    before: checkout?.bench ?? null,
  };
  const about = {
    options,
    machine: describeMachine(),
    versions: describeVersions(python),
    commit: headCommit(),
    before: checkout?.commit.slice(0, 12) ?? null,
    date: new Date().toISOString().slice(0, 10),
  };
  const run = { ...about, results: await measureAll(positionals, options) };
  console.log(report(run));
  if (values.write) write(run);
}

/** Checks that saved results will be those of a complete run of a commit. */
function checkWritable(filters: readonly string[], quick: boolean): void {
  if (quick || filters.length > 0) {
    throw new Error("Cannot write the results: run all workloads in full");
  }
  const changed = changes();
  if (changed === "") return;
  throw new Error(
    `Cannot write the results: commit these changes first\n${changed}`,
  );
}

function write(run: Report): void {
  Deno.writeTextFileSync(RESULTS, report(run));
  const lines = [run.machine, `${run.versions}; ${run.date}`];
  Deno.writeTextFileSync(CHART, drawChart(chartGroups(run.results), lines));
  const readme = Deno.readTextFileSync(README);
  Deno.writeTextFileSync(README, frontPage(readme, run));
}

/** The commit of the module; `null` outside of a git work tree. */
function headCommit(): string | null {
  try {
    const commit = git(ROOT, "rev-parse", "--short=12", "HEAD");
    return changes() === "" ? commit : `${commit} with changes`;
  } catch {
    return null;
  }
}

/** The files that differ from the commit, except those that the benchmark writes. */
function changes(): string {
  const written = [RESULTS, CHART, README].map((it) =>
    `:(exclude)${it.href.slice(ROOT.href.length)}`
  );
  return git(ROOT, "status", "--porcelain", "--", ...written);
}

async function measureAll(
  filters: readonly string[],
  options: Options,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const name of FILES) {
    const file = new URL(name, import.meta.url);
    for (const workload of await workloadsOf(file)) {
      if (!isWanted(name, workload, filters)) continue;
      const result = await measure(file, workload, {
        ...options,
        // Children do the work, and threads wait by spinning.
        cpu: options.cpu && !OTHERS_WORK.includes(name),
      });
      results.push(result);
      console.error(details(result));
    }
  }
  return results;
}

async function workloadsOf(file: URL): Promise<readonly Workload[]> {
  try {
    await Deno.stat(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  return (await import(file.href)).default;
}

function isWanted(
  file: string,
  workload: Workload,
  filters: readonly string[],
): boolean {
  return filters.length === 0 ||
    filters.some((it) => file.includes(it) || workload.name.includes(it));
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds > 0) return rounds;
  throw new RangeError(
    `Cannot take the rounds: expected a positive integer, got ${text}`,
  );
}
