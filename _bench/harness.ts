/**
 * Measures the same work done by several sides.
 *
 * Every side of a workload has a process of its own, started for that
 * workload alone: what the compiler has learnt of one side, and what one side
 * has left on the heap, cannot colour another. All processes of a workload
 * live side by side and wait for their turn at their standard input. After a
 * few rounds that are thrown away, the sides take turns, one round each, and
 * the one that begins rotates; while one works the others sleep. A slow
 * second of the machine therefore meets all sides alike. What is reported is
 * the median, over at least five rounds, of the ratio of ours to the other
 * side's measure *of the same round*: never a quotient of figures from
 * different times.
 *
 * A round is big enough to last some tens of milliseconds, so that clocks do
 * not matter. Garbage that a round leaves is paid for by the next round of
 * the same side, as in a program that runs on.
 *
 * A file of workloads has a list of them as its default export:
 *
 * ```ts
 * import { python, workload } from "./harness.ts";
 *
 * export default [
 *   workload({
 *     name: "counting",
 *     size: 1_000_000,
 *     sides: {
 *       ours: async (n) => {
 *         for (let i = 0; i < n; i++) await null;
 *       },
 *       bare: (n) => {
 *         for (let i = 0; i < n; i++);
 *       },
 *       python: python("counting.py", "count"),
 *     },
 *     bareIs: "a plain loop",
 *     goal: { bare: 1.5, python: 0.3 },
 *   }),
 * ];
 * ```
 *
 * @module
 */

import { fileURLToPath as fromFileUrl } from "node:url";

/**
 * One round of work, `size` items of it. The time from the call to the end of
 * what it returns is measured; a number that it gives is taken instead of
 * that time (seconds, or bytes where bytes are measured), and so are
 * {@linkcode Seconds}.
 *
 * What has to be set up once, a server for instance, is kept in a variable of
 * the module: see {@linkcode prepared}.
 */
export type Round = (size: number) => unknown;

/** What a round has measured on its own, where the process does not do the work itself. */
export interface Seconds {
  /** On the clock. */
  readonly wall: number;
  /** Of the processor. */
  readonly cpu: number;
}

/** A function of a Python file under `_bench/python`. */
export interface PythonSide {
  readonly file: string;
  readonly name: string;
}

/** Who does the work, by name. The names with a meaning of their own: */
export interface Sides {
  /** This module. */
  ours: Round;
  /** The same on what the host gives. */
  bare?: Round;
  /** CPython's asyncio; run on uvloop too, if it is there. */
  python?: PythonSide;
  /** Whatever else is worth a comparison. */
  [other: string]: Round | PythonSide | undefined;
}

/** The greatest cost of ours as a multiple of that of each side; 1 / 0.9 for "0.9 of its rate". */
export type Goal = { readonly [side: string]: number | undefined };

/** What is to be measured. */
export interface Workload {
  readonly name: string;
  /** Items in a round. */
  readonly size: number;
  readonly sides: Sides;
  /** What the bare side is, and what it leaves out, in a few words. */
  readonly bareIs?: string;
  readonly goal?: Goal;
  /** What an item is called in the chart; left out of it without. */
  readonly chart?: string;
  /**
   * The processor seconds of the process instead of the time on the clock,
   * or bytes that a round returns.
   *
   * @default "wall"
   */
  readonly measure?: "wall" | "cpu" | "bytes";
  /**
   * The greatest cost per item at ten times the size, as a multiple of the
   * cost at the plain size; not measured if left out.
   */
  readonly linear?: number;
  /**
   * For figures with a meaning of their own: the greatest difference of ours
   * and bare, or ours alone where there is no bare side.
   */
  readonly limit?: { readonly atMost: number; readonly unit: Unit };
  /**
   * A process of its own for each round, and no rounds thrown away.
   *
   * @default false
   */
  readonly fresh?: boolean;
  /** Options of `deno run` for the processes of the Deno sides. */
  readonly flags?: readonly string[];
}

/** How a figure with a meaning of its own is shown. */
export type Unit = "ms" | "GiB" | "bytes";

/** How to measure. */
export interface Options {
  /** Rounds that count, at least five unless quick. */
  readonly rounds: number;
  /** A tenth of the size. */
  readonly quick: boolean;
  /** Also at ten times the size, where the workload asks for it. */
  readonly tenfold: boolean;
  /** The interpreter, `null` for none. */
  readonly python: string | null;
  readonly uvloop: boolean;
  /** Whether to run the sides other than ours, bare, and Python that have no goal. */
  readonly others: boolean;
  /** Measures processor seconds wherever the clock is the measure; for busy machines. */
  readonly cpu: boolean;
  /** The benchmark beside another version of the module, which plays the side "before". */
  readonly before: URL | null;
}

/** The measures of one side, one for each round, in seconds or bytes. */
export type Samples = readonly number[];

/** What came of a workload. */
export interface Result {
  readonly workload: Workload;
  /** Items in a round. */
  readonly size: number;
  /** By side; "ours × 10" and "bare × 10" are those at ten times the size. */
  readonly samples: ReadonlyMap<string, Samples>;
  /** Sides that could not run, and why. */
  readonly failures: ReadonlyMap<string, string>;
}

/** Rounds that are thrown away; one does at ten times the size and for sides from npm. */
const WARM_UP = 3;
/** Seconds after which a round counts as hung. */
const PATIENCE = 120;
/** What is added to the name of a side for its run at ten times the size. */
export const TENFOLD = " × 10";
/** The name of the side that does what ours does, on another version of the module. */
export const BEFORE = "before";

const HERE = new URL("./", import.meta.url);
const MAIN_SIDES = ["ours", BEFORE, "bare", "python", "uvloop"];
const PYTHON_SIDE = fromFileUrl(new URL("./python/side.py", import.meta.url));

/** Checks and completes the description of a workload. */
export function workload(description: Workload): Workload {
  if (!(description.size >= 1)) {
    throw new RangeError(
      `Cannot measure ${description.name}: expected a size of at least 1, got ${description.size}`,
    );
  }
  return description;
}

/** The side that a function of `_bench/python/<file>` plays, called with the size. */
export function python(file: string, name: string): PythonSide {
  return { file, name };
}

/**
 * A side that sets something up in its process before its first round, such
 * as a server. The first rounds are thrown away, so that time never counts.
 */
export function prepared(
  open: (size: number) => Round | Promise<Round>,
): Round {
  let round: Promise<Round> | undefined;
  return async (size) => {
    round ??= Promise.resolve(open(size));
    return await (await round)(size);
  };
}

/** Runs a workload; `file` is the module that has it in its default export. */
export async function measure(
  file: URL,
  workload: Workload,
  options: Options,
): Promise<Result> {
  const samples = new Map<string, number[]>();
  const failures = new Map<string, string>();
  const size = options.quick && !workload.fresh
    ? Math.ceil(workload.size / 10)
    : workload.size;
  const runners = plan(file, workload, size, options);
  for (const { side } of runners) samples.set(side, []);
  try {
    for (let round = -WARM_UP; round < options.rounds; round++) {
      for (const runner of rotated(runners, round + WARM_UP)) {
        if (failures.has(runner.side) || round < -runner.warmUp) continue;
        try {
          const value = await runner.round();
          if (round >= 0) samples.get(runner.side)!.push(value);
        } catch (error) {
          failures.set(runner.side, String((error as Error).message));
          samples.delete(runner.side);
        }
      }
    }
  } finally {
    for (const runner of runners) await runner.close();
  }
  return { workload, size, samples, failures };
}

/** The middle of several figures. */
export function median(values: Samples): number {
  return quantile(values, 0.5);
}

/** The figure below which a part of several figures lies, between two of them if need be. */
export function quantile(values: Samples, part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const low = sorted[Math.floor(place)];
  return low + (sorted[Math.ceil(place)] - low) * (place % 1);
}

/** What `combine` makes of the two measures of each round; `null` if a side did not run. */
export function ratios(
  result: Result,
  side: string,
  other: string,
  combine: (a: number, b: number) => number = (a, b) => a / b,
): Samples | null {
  const a = result.samples.get(side);
  const b = result.samples.get(other);
  if (a === undefined || b === undefined) return null;
  return a.map((value, i) => combine(value, b[i]));
}

/** Their median. */
export function paired(
  ...args: Parameters<typeof ratios>
): number | null {
  const values = ratios(...args);
  return values && median(values);
}

/** One side of a workload at one size, and its processes. */
class Runner {
  readonly side: string;
  readonly warmUp: number;
  readonly #workload: Workload;
  readonly #cpu: boolean;
  readonly #start: () => Deno.ChildProcess;
  /** `null` before the first round, and after each if every round has its own. */
  #process: SideProcess | null = null;

  constructor(
    side: string,
    workload: Workload,
    cpu: boolean,
    start: () => Deno.ChildProcess,
  ) {
    this.side = side;
    const isMain = MAIN_SIDES.includes(side);
    this.warmUp = workload.fresh ? 0 : isMain ? WARM_UP : 1;
    this.#workload = workload;
    this.#cpu = cpu || workload.measure === "cpu";
    this.#start = start;
  }

  async round(): Promise<number> {
    this.#process ??= new SideProcess(this.#start());
    const answer = await this.#process.round();
    if (this.#workload.fresh) await this.close();
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.own ?? (this.#cpu ? answer.cpu : answer.wall);
  }

  async close(): Promise<void> {
    await this.#process?.close();
    this.#process = null;
  }
}

/** What a side says after a round: seconds, and the figure that the round gave, if any. */
export interface Answer {
  readonly wall: number;
  readonly cpu: number;
  readonly own?: number | null;
  readonly error?: string;
}

/** Begins the line with the answer, so that other output does no harm. */
export const ANSWER = "\u0001";

/** A process that does a round for each line it is sent. */
class SideProcess {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async round(): Promise<Answer> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hung = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#child.kill("SIGKILL");
        reject(new Error(`no answer within ${PATIENCE} s`));
      }, PATIENCE * 1000);
    });
    try {
      return await Promise.race([this.#ask(), hung]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#lines.cancel().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await this.#child.status;
    clearTimeout(timer);
  }

  async #ask(): Promise<Answer> {
    await this.#writer.write(new TextEncoder().encode("go\n"));
    for (;;) {
      const line = await this.#line();
      if (line.startsWith(ANSWER)) return JSON.parse(line.slice(1));
    }
  }

  async #line(): Promise<string> {
    let end: number;
    while ((end = this.#rest.indexOf("\n")) < 0) {
      const { done, value } = await this.#lines.read();
      if (done) throw new Error("its process ended before it answered");
      this.#rest += value;
    }
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }
}

/** The sides that take part, each at its sizes. */
function plan(
  file: URL,
  workload: Workload,
  size: number,
  options: Options,
): Runner[] {
  const runners: Runner[] = [];
  const add = (label: string, start: () => Deno.ChildProcess) =>
    runners.push(new Runner(label, workload, options.cpu, start));
  for (const [side, how] of Object.entries(workload.sides)) {
    if (how === undefined) continue;
    if (typeof how === "function") {
      const isMain = side === "ours" || side === "bare";
      const isJudged = workload.goal?.[side] !== undefined;
      if (!isMain && !isJudged && !options.others) continue;
      const start = (n: number) => () => startDeno(file, workload, side, n);
      add(side, start(size));
      if (side === "ours" && options.before !== null) {
        const old = new URL(file.href.slice(HERE.href.length), options.before);
        add(
          BEFORE,
          () => startDeno(old, workload, side, size, options.before!),
        );
      }
      if (isMain && workload.linear !== undefined && options.tenfold) {
        add(side + TENFOLD, start(size * 10));
      }
    } else if (options.python !== null) {
      const start = (loop: string) => () =>
        startPython(options.python!, how, size, loop);
      add(side, start("asyncio"));
      if (side === "python" && options.uvloop) add("uvloop", start("uvloop"));
    }
  }
  return runners;
}

function startDeno(
  file: URL,
  workload: Workload,
  side: string,
  size: number,
  bench = HERE,
): Deno.ChildProcess {
  const flags = workload.flags ?? [];
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--quiet", ...flags],
      fromFileUrl(new URL("side.ts", bench)),
      ...[file.href, workload.name, side, String(size)],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

function startPython(
  interpreter: string,
  { file, name }: PythonSide,
  size: number,
  loop: string,
): Deno.ChildProcess {
  return new Deno.Command(interpreter, {
    args: [PYTHON_SIDE, file, name, String(size), loop],
    env: { DENO: Deno.execPath() },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

function rotated<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}
