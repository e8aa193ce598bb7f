/**
 * The benchmark: `deno task bench`.
 *
 * ```sh
 * deno task bench                  # everything
 * deno task bench queue            # workloads with "queue" in their name
 * deno task bench --quick          # a tenth of the work, to see that it runs
 * deno task bench --write          # puts the table into README.md
 * deno task bench --python=PATH    # another Python than the one on PATH
 * deno task bench --rounds=9       # more rounds than 5
 * deno task bench --only           # ours, bare and Python, nothing from npm
 * deno task bench --cpu            # processor seconds, where others use the machine too
 * deno task bench --against=main~3 # also the module of that commit, as the side "before"
 * ```
 *
 * How it measures stands at the head of `harness.ts`; what is compared, and
 * what a side leaves out, in `README.md` beside it.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { checkOut } from "./against.ts";
import {
  measure,
  type Options,
  type Result,
  type Workload,
} from "./harness.ts";
import { details, type Machine, misses, report } from "./table.ts";

/** In the order of the table; those that are not there are left out. */
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
/** Where the processor seconds of the side's own process are not the work. */
const OTHERS_WORK = ["subprocess.ts", "threads.ts"];
const README = new URL("../README.md", import.meta.url);
const BEGIN = "<!-- bench -->";
const END = "<!-- /bench -->";
/** `asyncio.TaskGroup` and `asyncio.timeout` came with it. */
const OLDEST_PYTHON = [3, 11];

if (import.meta.main) await main();

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      only: { type: "boolean", default: false },
      cpu: { type: "boolean", default: false },
      against: { type: "string" },
      python: { type: "string" },
      rounds: { type: "string", default: "5" },
    },
  });
  using checkout = values.against === undefined
    ? null
    : checkOut(values.against);
  const interpreter = await findPython(values.python);
  const options: Options = {
    rounds: roundsOf(values.rounds),
    quick: values.quick,
    python: interpreter?.path ?? null,
    uvloop: interpreter?.uvloop != null,
    others: !values.only,
    cpu: values.cpu,
    before: checkout?.bench ?? null,
  };
  const results = await measureAll(positionals, options);
  const machine: Machine = {
    options,
    python: interpreter?.version ?? null,
    uvloop: interpreter?.uvloop ?? null,
  };
  const text = report(results, machine);
  console.log(text);
  if (values.write) writeInto(README, text);
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
      const missed = misses(result);
      if (missed.length > 0) console.error(`  missed: ${missed.join(", ")}`);
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

interface Python {
  readonly path: string;
  readonly version: string;
  readonly uvloop: string | null;
}

/** The interpreter to measure, if one is new enough. */
async function findPython(path = "python3"): Promise<Python | null> {
  const source = `
import json, sys
try:
    from uvloop import __version__ as uvloop
except ImportError:
    uvloop = None
print(json.dumps([sys.version_info[:2], sys.version.split()[0], uvloop]))`;
  try {
    const { success, stdout } = await new Deno.Command(path, {
      args: ["-c", source],
      stderr: "null",
    }).output();
    if (!success) return null;
    const [[major, minor], version, uvloop] = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    const [oldest, oldestMinor] = OLDEST_PYTHON;
    if (major < oldest || (major === oldest && minor < oldestMinor)) {
      console.error(`${path} is Python ${version}, too old to be measured`);
      return null;
    }
    return { path, version, uvloop };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function roundsOf(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds > 0) return rounds;
  throw new RangeError(
    `Cannot take the rounds: expected a number, got ${text}`,
  );
}

/** Replaces what stands between the two markers. */
function writeInto(file: URL, text: string): void {
  const old = Deno.readTextFileSync(file);
  const begin = old.indexOf(BEGIN);
  const end = old.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new Error(
      `Cannot write the table: ${BEGIN} and ${END} are missing in the README`,
    );
  }
  const head = old.slice(0, begin + BEGIN.length);
  Deno.writeTextFileSync(file, `${head}\n\n${text}\n${old.slice(end)}`);
}
