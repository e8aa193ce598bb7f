/**
 * Records the stored traces again with CPython, and writes those that differ:
 *
 * ```sh
 * deno run -A _test/record/record.ts --python PATH
 * ```
 *
 * `--seeds 1-33,35-60` generates the programs of the wide language again, and
 * `--eager 1-20` those that also start tasks eagerly. The plain programs are
 * older than the generator and do not change.
 */

import type { Program } from "../_trace_program.ts";
import { CPython, pythonPath } from "./cpython.ts";
import { generate } from "./generate.ts";
import { parseOptions } from "./options.ts";

/** A name, a program and its trace on CPython. */
type Stored<P> = [name: string, program: P, trace: string[]];

/** Records a file again, with new programs if given. */
async function record<P>(
  path: string,
  script: string,
  remade: (stored: Stored<P>[]) => [string, P][],
): Promise<void> {
  const file = new URL(`../${path}`, import.meta.url);
  const stored: Stored<P>[] = JSON.parse(await Deno.readTextFile(file));
  const programs = remade(stored);
  await using python = new CPython(pythonPath(options.python), script);
  const traces = await python.traces(programs.map(([, program]) => program));
  const known = new Map(stored.map(([name, , trace]) => [name, trace]));
  for (const [i, [name]] of programs.entries()) {
    const before = known.get(name);
    if (before === undefined) console.log(`${path}: ${name} is new`);
    else if (JSON.stringify(before) !== JSON.stringify(traces[i])) {
      console.log(`${path}: ${name} has changed`);
    }
  }
  const lines = programs.map(([name, program], i) =>
    JSON.stringify([name, program, traces[i]])
  );
  await Deno.writeTextFile(file, `[\n${lines.join(",\n")}\n]\n`);
}

function seedsOf(text: string): number[] {
  return text.split(",").filter((it) => it !== "").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

function same<P>(stored: Stored<P>[]): [string, P][] {
  return stored.map(([name, program]) => [name, program]);
}

/** Replaces the programs of a kind by those of the seeds, if given. */
function replaced(
  stored: [string, Program][],
  kind: string,
  seeds: number[],
  without: string[],
): [string, Program][] {
  if (seeds.length === 0) return stored;
  return [
    ...stored.filter(([name]) => !name.startsWith(kind)),
    ...seeds.map((seed): [string, Program] => [
      `${kind} ${seed}`,
      generate(seed, "wide", without),
    ]),
  ];
}

const options = parseOptions(Deno.args, { python: "", seeds: "", eager: "" });
await record<Program>("traces.json", "programs.py", (stored) => {
  const wide = seedsOf(options.seeds);
  const programs = replaced(same(stored), "wide", wide, ["eager"]);
  return replaced(programs, "eager", seedsOf(options.eager), []);
});
await record<object>("streams_traces.json", "streams.py", same);
