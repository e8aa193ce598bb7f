/**
 * The report of the benchmark, which `--write` saves in `RESULTS.md`: absolute
 * figures, and the cost of this module as a multiple of that of the other sides.
 *
 * @module
 */

import {
  BEFORE,
  median,
  type Options,
  paired,
  quantile,
  ratios,
  type Result,
  TENFOLD,
} from "./harness.ts";

/** A run of the benchmark. */
export interface Report {
  readonly results: readonly Result[];
  readonly options: Options;
  /** One line each. */
  readonly machine: string;
  readonly versions: string;
  /** The commit of the measured module; `null` outside of a work tree. */
  readonly commit: string | null;
  /** The commit of the side "before", if it took part. */
  readonly before: string | null;
  /** Year, month and day. */
  readonly date: string;
}

/** The sides that have a column, and their headings. */
const COLUMNS = new Map([
  ["bare", "bare Deno"],
  ["python", "CPython"],
  ["uvloop", "uvloop"],
  [BEFORE, "before"],
]);
/** The rows of the front page, by their labels in the chart. */
const FRONT_LABELS = [
  "Task",
  "Queue",
  "Lock",
  "timeout()",
  "Task.cancel()",
  "Line echoed, TCP",
];
const CHART_IN_WORDS =
  "Time per item of this module, CPython, uvloop and bare Deno, as bars";
/** The marks around the figures of the front page. */
const MARK = "<!-- written by deno task bench -->";
const TIME_UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [
  1e-9,
  "ns",
]] as const;

/** The whole report, as Markdown. */
export function report(run: Report): string {
  const sections = [
    heading(run),
    section("Costs", explainCosts(run), mainTable(run.results)),
    section(
      "Other sides",
      "Libraries from npm, and other ways to write the bare side. The last column is the cost of this module as a multiple of theirs.",
      otherTable(run.results),
    ),
    section(
      "Ten times the items",
      "The cost per item at ten times the items, as a multiple of the cost per item at the plain size.",
      tenfoldTable(run.results),
    ),
    section(
      "The bare sides",
      "What the bare side of each workload is, and what it leaves out.",
      bareTable(run.results),
    ),
    section(
      "Left out",
      "Sides that could not run.",
      failureTable(run.results),
    ),
  ];
  return sections.filter((it) => it !== null).join("\n\n") + "\n";
}

/**
 * The front page with the chart and a few figures of a run between its marks;
 * the lines are those of the workloads of these labels in the chart.
 */
export function frontPage(
  readme: string,
  run: Report,
  labels: readonly string[] = FRONT_LABELS,
): string {
  const [before, , after, ...rest] = readme.split(MARK);
  if (after === undefined || rest.length > 0) {
    throw new Error(`Cannot write the front page: expected ${MARK} twice`);
  }
  const results = labels.flatMap((label) =>
    run.results.filter(({ workload }) => workload.chart === label)
  );
  const sides = [["ours", "this module"], ...COLUMNS]
    .filter(([side]) => side !== BEFORE);
  const table = markdown(
    ["per item", ...sides.map(([, name]) => name)],
    results.map((result) => [
      result.workload.chart!,
      ...sides.map(([side]) => costOf(result, side)),
    ]),
  );
  const block = [
    `![${CHART_IN_WORDS}](_bench/chart.svg)`,
    table,
    wrapped(`${run.versions}, on ${run.machine}; ${run.date}.`),
  ].join("\n\n");
  return `${before}${MARK}\n\n${block}\n\n${MARK}${after}`;
}

/** All measurements of a result, for the console. */
export function details(result: Result): string {
  const { workload, samples, failures } = result;
  const lines = [workload.name];
  for (const [side, values] of samples) {
    const each = values.map((value) => value.toPrecision(3)).join(" ");
    const cost = costOf(result, side).padStart(9);
    lines.push(`  ${side.padEnd(16)} ${cost}  [${each}]`);
  }
  for (const [side, why] of failures) {
    lines.push(`  ${side.padEnd(16)} left out: ${why}`);
  }
  if (samples.has(BEFORE)) {
    lines.push(`  to before ${comparison(result, BEFORE)}`);
  }
  const over = goalsExceeded(result);
  if (over.length > 0) lines.push(`  over the goal: ${over.join(", ")}`);
  return lines.join("\n");
}

/** The cost per item of a side, with its unit; empty if the side did not run. */
export function costOf(result: Result, side: string): string {
  const cost = costPerItem(result, side);
  if (cost === null) return "";
  const { measure, limit } = result.workload;
  if (limit?.unit === "GiB") return `${(cost / 2 ** 30).toFixed(2)} GiB`;
  if (measure === "bytes") return `${Math.round(cost)} B`;
  return duration(cost);
}

/** The same in seconds or bytes; for a workload with `limit`, the figure of a whole round. */
export function costPerItem(result: Result, side: string): number | null {
  const values = result.samples.get(side);
  if (values === undefined) return null;
  const { measure, limit } = result.workload;
  if (measure === "bytes" || limit !== undefined) return median(values);
  return median(values) / result.size / (side.endsWith(TENFOLD) ? 10 : 1);
}

/** A duration with three digits, in a suitable unit. */
export function duration(seconds: number): string {
  const [size, unit] = TIME_UNITS.find(([size]) => seconds >= size * 0.9995) ??
    TIME_UNITS.at(-1)!;
  const value = seconds / size;
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

function heading(run: Report): string {
  const { options } = run;
  const sizes = options.quick ? ", at a tenth of the sizes" : "";
  const measure = options.cpu
    ? "processor seconds where a side works alone, the clock elsewhere"
    : "the clock, unless a name says otherwise";
  return `# Results

Written by \`deno task bench --write\`; [README.md](README.md) says how it is
measured.

- Date: ${run.date}
- Commit: ${run.commit ?? "unknown"}
- Machine: ${run.machine}
- Versions: ${run.versions}
- Measure: medians of ${options.rounds} paired rounds${sizes}, by ${measure}`;
}

function section(title: string, text: string, table: string | null) {
  return table && `## ${title}\n\n${wrapped(text)}\n\n${table}`;
}

function explainCosts({ before }: Report): string {
  const text =
    "Costs are per item. “To” is the cost of this module as a multiple of the cost of the other side, in the same rounds: below 1 this module is cheaper. A start is compared by its difference.";
  return before === null
    ? text
    : `${text} “Before” is this module at ${before}; in brackets are the quartiles.`;
}

function mainTable(results: readonly Result[]): string | null {
  const sides = [...COLUMNS];
  const header = [
    "workload",
    "this module",
    ...sides.map(([, name]) => name),
    ...sides.map(([, name]) => `to ${name}`),
  ];
  return markdown(
    header,
    results.map((result) => [
      result.workload.name,
      costOf(result, "ours"),
      ...sides.map(([side]) => costOf(result, side)),
      ...sides.map(([side]) => comparison(result, side)),
    ]),
  );
}

function otherTable(results: readonly Result[]): string | null {
  const header = ["workload", "side", "its cost", "to it"];
  const rows = results.flatMap((result) =>
    [...result.samples.keys()].filter(isOther).map((side) => [
      result.workload.name,
      side,
      costOf(result, side),
      comparison(result, side),
    ])
  );
  return markdown(header, rows);
}

function tenfoldTable(results: readonly Result[]): string | null {
  const header = ["workload", "this module", "bare Deno"];
  const rows = results.filter(({ samples }) => samples.has("ours" + TENFOLD));
  return markdown(
    header,
    rows.map((result) => [
      result.workload.name,
      growth(result, "ours")?.toFixed(2) ?? "",
      growth(result, "bare")?.toFixed(2) ?? "",
    ]),
  );
}

function bareTable(results: readonly Result[]): string | null {
  const rows = results.map(({ workload }) => [
    workload.name,
    workload.bareIs ?? "",
  ]);
  return markdown(["workload", "the bare side"], rows.filter(([, it]) => it));
}

function failureTable(results: readonly Result[]): string | null {
  const rows = results.flatMap(({ workload, failures }) =>
    [...failures].map(([side, why]) => [workload.name, side, why])
  );
  return markdown(["workload", "side", "why"], rows);
}

/** Ours compared with another side: a ratio, or a difference for a workload with `limit`. */
function comparison(result: Result, side: string): string {
  const isDifference = result.workload.limit?.unit === "ms";
  const values = ratios(
    result,
    "ours",
    side,
    isDifference ? (a, b) => a - b : undefined,
  );
  if (values === null) return "";
  const show = isDifference ? difference : (it: number) => it.toFixed(2);
  const middle = show(median(values));
  if (side !== BEFORE) return middle;
  const [low, high] = [0.25, 0.75].map((at) => show(quantile(values, at)));
  return `${middle} (${low} … ${high})`;
}

function difference(seconds: number): string {
  const sign = seconds < 0 ? "−" : "+";
  return `${sign}${(Math.abs(seconds) * 1000).toFixed(1)} ms`;
}

/** The goals that a result misses, with the figures. */
function goalsExceeded(result: Result): string[] {
  const { goal = {}, limit, linear = Infinity, sides } = result.workload;
  const list: string[] = [];
  const check = (label: string, value: number | null, atMost: number) => {
    if (value === null || value <= atMost) return;
    list.push(`${label} ${value.toPrecision(3)} > ${atMost.toPrecision(3)}`);
  };
  for (const [side, atMost] of Object.entries(goal)) {
    check(side, paired(result, "ours", side), atMost!);
  }
  check("ours" + TENFOLD, growth(result, "ours"), linear);
  if (limit === undefined) return list;
  const value = sides.bare === undefined
    ? costPerItem(result, "ours")
    : paired(result, "ours", "bare", (a, b) => a - b);
  check("ours", value, limit.atMost);
  return list;
}

function growth(result: Result, side: string): number | null {
  return paired(
    result,
    side + TENFOLD,
    side,
    (large, small) => large / small / 10,
  );
}

function isOther(side: string): boolean {
  return side !== "ours" && !COLUMNS.has(side) && !side.endsWith(TENFOLD);
}

/** A table without empty columns, formatted as by `deno fmt`; `null` without rows. */
function markdown(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string | null {
  if (rows.length === 0) return null;
  const used = header.map((_, column) =>
    column === 0 || rows.some((row) => row[column] !== "")
  );
  const [head, ...body] = [header, ...rows].map((row) =>
    row.filter((_, column) => used[column]).map((it) =>
      it.replaceAll("|", "\\|").replaceAll(/\s+/g, " ")
    )
  );
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...body].map((row) => row[column].length))
  );
  const line = (cells: readonly string[], fill: string) =>
    `| ${cells.map((it, i) => it.padEnd(widths[i], fill)).join(" | ")} |`;
  return [
    line(head, " "),
    line(head.map(() => ""), "-"),
    ...body.map((row) => line(row, " ")),
  ].join("\n");
}

/** Wraps a paragraph as `deno fmt` does. */
function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + word.length < 80) {
      lines[lines.length - 1] += " " + word;
    } else lines.push(word);
  }
  return lines.join("\n");
}
