/**
 * Runs random programs here and on CPython, and prints where the two differ:
 *
 * ```sh
 * deno run -A _test/record/fuzz.ts --python PATH --seeds 1-1500
 * ```
 *
 * Options: `--language plain|wide` (`wide`), `--shrink N` (5): how many of the
 * differing programs are shrunk; `--without eager,tgcancel`: steps to leave out
 * (`"eager yield"`: eager steps that end in `sleep(0)`).
 */

import {
  firstDifference,
  type Op,
  type Program,
  trace,
} from "../_trace_program.ts";
import { CPython, pythonPath } from "./cpython.ts";
import { generate, type Language } from "./generate.ts";
import { parseOptions } from "./options.ts";

const BATCH = 100;

/** The first difference between two traces. */
interface Difference {
  program: Program;
  line: number;
  cpython: string[];
  here: string[];
}

/** The programs that differ, by index. */
async function compare(
  python: CPython,
  programs: Program[],
): Promise<Map<number, Difference>> {
  const expected = python.traces(programs);
  const found = new Map<number, Difference>();
  const traces: string[][] = [];
  for (const program of programs) traces.push(await traceOrError(program));
  for (const [i, cpython] of (await expected).entries()) {
    const line = firstDifference(cpython, traces[i]);
    if (line === null) continue;
    found.set(i, { program: programs[i], line, cpython, here: traces[i] });
  }
  return found;
}

/** A trace; a run that fails or stalls is a trace of one line. */
async function traceOrError(program: Program): Promise<string[]> {
  let timer;
  const stalled = new Promise<string[]>((resolve) => {
    timer = setTimeout(() => resolve(["The run stalls"]), 5_000);
  });
  try {
    return await Promise.race([trace(program), stalled]);
  } catch (error) {
    return [`The run fails: ${error}`];
  } finally {
    clearTimeout(timer);
  }
}

/** Removes everything from a program that the difference does not need. */
async function shrink(python: CPython, found: Difference): Promise<Difference> {
  let best = found;
  while (true) {
    const smaller = [...smallerPrograms(best.program)];
    let next: Difference | undefined;
    for (let i = 0; i < smaller.length && !next; i += BATCH) {
      const differing = await compare(python, smaller.slice(i, i + BATCH));
      next = [...differing.values()][0];
    }
    if (next === undefined) return best;
    best = next;
  }
}

function* smallerPrograms(program: Program): Generator<Program> {
  for (const [i, ops] of program.tasks.entries()) {
    if (ops.length > 0) yield withTask(program, i, []);
  }
  for (const [i, ops] of program.tasks.entries()) {
    for (const fewer of smallerBlocks(ops)) yield withTask(program, i, fewer);
  }
}

function withTask(program: Program, i: number, ops: Op[]): Program {
  return { ...program, tasks: program.tasks.with(i, ops) };
}

/** Smaller blocks: without an op, with an op's inner block instead of it, or with a smaller op. */
function* smallerBlocks(ops: Op[]): Generator<Op[]> {
  for (const i of ops.keys()) yield ops.toSpliced(i, 1);
  for (const [i, op] of ops.entries()) {
    for (const block of blocksOf(op)) yield ops.toSpliced(i, 1, ...block);
  }
  for (const [i, op] of ops.entries()) {
    for (const smaller of smallerOps(op)) yield ops.with(i, smaller);
  }
}

function* smallerOps(op: Op): Generator<Op> {
  for (const [i, part] of op.entries()) {
    if (!Array.isArray(part)) continue;
    const children = op[0] === "tg" && i === 1;
    for (const smaller of smallerParts(part, children)) {
      yield op.with(i, smaller) as Op;
    }
  }
}

/** Smaller versions of a block, a list of blocks, a child or a list of children. */
function* smallerParts(part: Op[], children: boolean): Generator<Op[]> {
  if (isChild(part)) return yield* smallerOps(part) as Generator<Op[]>;
  if (isBlock(part) && !children) return yield* smallerBlocks(part);
  for (const i of part.keys()) yield part.toSpliced(i, 1);
  for (const [i, inner] of part.entries()) {
    if (!Array.isArray(inner)) continue; // the number of a task
    for (const smaller of smallerParts(inner as Op[], false)) {
      yield part.with(i, smaller as Op);
    }
  }
}

function blocksOf(op: Op): Op[][] {
  return op.flatMap((part, i) => {
    if (!Array.isArray(part)) return [];
    if (isChild(part)) return blocksOf(part);
    if (op[0] === "tg" && i === 1) return part.flatMap(blocksOf);
    if (isBlock(part)) return [part];
    return Array.isArray(part[0]) ? part : [];
  });
}

function isChild(part: unknown): part is Op {
  return Array.isArray(part) && (part[0] === "lazy" || part[0] === "eager");
}

function isBlock(part: unknown[]): part is Op[] {
  return part.every((it) => Array.isArray(it) && typeof it[0] === "string");
}

function print(seed: number, { program, line, cpython, here }: Difference) {
  console.log(`\nseed ${seed}: line ${line + 1}`);
  for (const same of cpython.slice(Math.max(0, line - 3), line)) {
    console.log(`          ${same}`);
  }
  console.log(`  CPython ${cpython[line] ?? "(ends)"}`);
  console.log(`  here    ${here[line] ?? "(ends)"}`);
  console.log(`  ${JSON.stringify(program)}`);
}

if (import.meta.main) {
  const options = parseOptions(Deno.args, {
    python: "",
    seeds: "1-1500",
    language: "wide",
    shrink: "5",
    without: "",
  });
  const [first, last = first] = options.seeds.split("-").map(Number);
  const language = options.language as Language;
  const without = options.without.split(",");
  let differing = 0;
  await using python = new CPython(
    pythonPath(options.python),
    "programs.py",
  );
  for (let seed = first; seed <= last; seed += BATCH) {
    const seeds = Array.from(
      { length: Math.min(BATCH, last - seed + 1) },
      (_, i) => seed + i,
    );
    const programs = seeds.map((it) => generate(it, language, without));
    for (const [i, found] of await compare(python, programs)) {
      const small = differing++ < Number(options.shrink)
        ? await shrink(python, found)
        : found;
      print(seeds[i], small);
    }
  }
  console.log(`\n${differing} of ${last - first + 1} programs differ`);
  if (differing > 0) Deno.exitCode = 1;
}
