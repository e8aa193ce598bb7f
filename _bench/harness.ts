/**
 * Measures the same work done by several sides.
 *
 * Each side of a workload runs in a separate process, started for that workload
 * only, so that compiled code and garbage of one side cannot affect another. All
 * processes of a workload exist at the same time and wait for commands on their
 * standard input. After a few warm-up rounds, the sides take turns, one round
 * each, and the side that starts rotates; while one works, the others sleep. So
 * a slow second of the machine affects all sides alike. The result is the
 * median, over at least five rounds, of the ratio of our measurement to that of
 * the other side *in the same round*, never a ratio of figures from different
 * times.
 *
 * A round lasts some tens of milliseconds, so that the resolution of the clock
 * does not matter. The garbage of a round is collected in the next round of the
 * same side, as in a program that keeps running.
 *
 * The default export of a file of workloads is a list of them:
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
 * Does one round of work of `size` items. The time from the call until its
 * promise settles is measured. If it returns a number (of seconds, or of bytes
 * where bytes are measured) or {@linkcode Seconds}, that counts instead.
 *
 * Anything that is set up once, such as a server, is kept in a variable of the
 * module: see {@linkcode prepared}.
 */
export type Round = (size: number) => unknown;

/** The measurement of a round whose work is done in other processes. */
export interface Seconds {
  /** Elapsed seconds. */
  readonly wall: number;
  /** Processor seconds. */
  readonly cpu: number;
}

/** A function in a file under `_bench/python`. */
export interface PythonSide {
  readonly file: string;
  readonly name: string;
}

/** The sides by name. These names are special: */
export interface Sides {
  /** This module. */
  ours: Round;
  /** The same on plain Deno. */
  bare?: Round;
  /** CPython's asyncio; also on uvloop, if it is installed. */
  python?: PythonSide;
  /** Other libraries. */
  [other: string]: Round | PythonSide | undefined;
}

/** The maximum cost of ours as a multiple of that of each side; 1 / 0.9 means "0.9 of its rate". */
export type Goal = { readonly [side: string]: number | undefined };

/** A workload. */
export interface Workload {
  readonly name: string;
  /** The number of items in a round. */
  readonly size: number;
  readonly sides: Sides;
  /** What the bare side is and what it lacks, in a few words. */
  readonly bareIs?: string;
  readonly goal?: Goal;
  /** The name of an item in the chart; without it the workload is left out of the chart. */
  readonly chart?: string;
  /**
   * What is measured: elapsed seconds, processor seconds of the process, or the
   * bytes that a round returns.
   *
   * @default "wall"
   */
  readonly measure?: "wall" | "cpu" | "bytes";
  /**
   * The maximum cost per item at ten times the size, as a multiple of that at
   * the plain size; not measured if left out.
   */
  readonly linear?: number;
  /**
   * For absolute figures: the maximum difference between ours and bare, or of
   * ours if there is no bare side.
   */
  readonly limit?: { readonly atMost: number; readonly unit: Unit };
  /**
   * Whether each round has its own process, without warm-up rounds.
   *
   * @default false
   */
  readonly fresh?: boolean;
  /** Options of `deno run` for the processes of the Deno sides. */
  readonly flags?: readonly string[];
}

/** The unit of an absolute figure. */
export type Unit = "ms" | "GiB" | "bytes";

/** Options of a run. */
export interface Options {
  /** The number of measured rounds, at least five unless `quick` is set. */
  readonly rounds: number;
  /** Whether to use a tenth of the size. */
  readonly quick: boolean;
  /** Whether to measure at ten times the size too, for workloads with `linear`. */
  readonly tenfold: boolean;
  /** The path of the interpreter; `null` for none. */
  readonly python: string | null;
  readonly uvloop: boolean;
  /** Whether to run the sides other than ours, bare, and Python that have no goal. */
  readonly others: boolean;
  /** Whether to measure processor seconds in place of elapsed seconds, on busy machines. */
  readonly cpu: boolean;
  /** The benchmark folder of another version of the module, the side "before". */
  readonly before: URL | null;
}

/** The measurements of a side, one per round, in seconds or bytes. */
export type Samples = readonly number[];

/** The result of a workload. */
export interface Result {
  readonly workload: Workload;
  /** The number of items in a round. */
  readonly size: number;
  /** The measurements by side. "ours × 10" and "bare × 10" are those at ten times the size. */
  readonly samples: ReadonlyMap<string, Samples>;
  /** Sides that could not run, and why. */
  readonly failures: ReadonlyMap<string, string>;
}

/** The number of warm-up rounds. At ten times the size and for sides from npm one is enough. */
const WARM_UP = 3;
/** The time limit of a round, in seconds. */
const PATIENCE = 120;
/** The suffix of the name of a side at ten times the size. */
export const TENFOLD = " × 10";
/** The name of our side on another version of the module. */
export const BEFORE = "before";

const HERE = new URL("./", import.meta.url);
const MAIN_SIDES = ["ours", BEFORE, "bare", "python", "uvloop"];
const PYTHON_SIDE = fromFileUrl(new URL("./python/side.py", import.meta.url));

/** Checks the description of a workload, and adds its defaults. */
export function workload(description: Workload): Workload {
  if (!(description.size >= 1)) {
    throw new RangeError(
      `Cannot measure ${description.name}: expected a size of at least 1, got ${description.size}`,
    );
  }
  return description;
}

/** The side of a function in `_bench/python/<file>`, called with the size. */
export function python(file: string, name: string): PythonSide {
  return { file, name };
}

/**
 * A side that sets something up in its process before the first round, such as a
 * server. This happens during warm-up, so its time does not count.
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

/** Runs a workload from the default export of `file`. */
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

/** The median of several figures. */
export function median(values: Samples): number {
  return quantile(values, 0.5);
}

/** A quantile of several figures, interpolated between two of them. */
export function quantile(values: Samples, part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const low = sorted[Math.floor(place)];
  return low + (sorted[Math.ceil(place)] - low) * (place % 1);
}

/** Combines the measurements of two sides, round by round; `null` if a side did not run. */
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

/** A side of a workload at a certain size, and its processes. */
class Runner {
  readonly side: string;
  readonly warmUp: number;
  readonly #workload: Workload;
  readonly #cpu: boolean;
  readonly #start: () => Deno.ChildProcess;
  /** `null` before the first round, and after each round if every round has its own process. */
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

/** The answer of a side after a round: seconds, and the figure that the round returned, if any. */
export interface Answer {
  readonly wall: number;
  readonly cpu: number;
  readonly own?: number | null;
  readonly error?: string;
}

/** The prefix of the line with the answer, which distinguishes it from other output. */
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

/** The participating sides, each with its sizes. */
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
