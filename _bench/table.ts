/**
 * The table that the benchmark prints: a Markdown one, so that what the
 * README shows is what the command printed.
 *
 * @module
 */

import {
  BEFORE,
  median,
  type Options,
  paired,
  type Result,
  TENFOLD,
  type Unit,
} from "./harness.ts";

const HEADER = [
  "workload",
  "to before",
  "to bare",
  "to CPython",
  "to uvloop",
  "to others",
  "at 10 ×",
  "verdict",
  "bare is",
];
const KNOWN = new Set(["ours", BEFORE, "bare", "python", "uvloop"]);
const UNITS: Record<Unit, { per: number; suffix: string; digits: number }> = {
  ms: { per: 1e-3, suffix: " ms", digits: 1 },
  GiB: { per: 2 ** 30, suffix: " GiB", digits: 2 },
  bytes: { per: 1, suffix: " bytes", digits: 0 },
};

/** Where and how it was measured. */
export interface Machine {
  readonly options: Options;
  /** "3.13.0", `null` if there was no Python. */
  readonly python: string | null;
  readonly uvloop: string | null;
}

/** The table, and the line on the machine under it. */
export function report(results: readonly Result[], machine: Machine): string {
  const rows = [HEADER, ...results.map(rowOf)];
  const used = HEADER.map((_, column) =>
    column === 0 || rows.slice(1).some((row) => row[column] !== "")
  );
  const shown = rows.map((row) => row.filter((_, column) => used[column]));
  return `${markdown(shown)}\n\n${wrapped(explanation(machine))}\n`;
}

/** Every measure of a result, for the console while it runs. */
export function details(result: Result): string {
  const { workload, samples, failures } = result;
  const sizeOf = (side: string) =>
    result.size * (side.endsWith(TENFOLD) ? 10 : 1);
  const lines = [workload.name];
  for (const [side, values] of samples) {
    const each = values.map((value) => value.toPrecision(3)).join(" ");
    const perItem = workload.measure === "bytes" || workload.limit
      ? ""
      : `  ${(median(values) / sizeOf(side) * 1e9).toFixed(0)} ns an item`;
    lines.push(
      `  ${side.padEnd(16)} ${
        median(values).toPrecision(3)
      }${perItem}  [${each}]`,
    );
  }
  for (const [side, why] of failures) {
    lines.push(`  ${side.padEnd(16)} left out: ${why}`);
  }
  return lines.join("\n");
}

/** The goals that a result misses, in words. */
export function misses(result: Result): string[] {
  return figures(result).filter((it) => it.met === false).map((it) => it.label);
}

/** A figure, and whether its goal is met; `null` without a goal. */
interface Figure {
  readonly label: string;
  readonly text: string;
  readonly met: boolean | null;
}

function figures(result: Result): Figure[] {
  const { workload } = result;
  const list: Figure[] = [];
  const add = (label: string, ratio: number | null, goal?: number) => {
    if (ratio === null) return;
    const text = goal === undefined
      ? shown(ratio)
      : `${shown(ratio)} (≤ ${shown(goal)})`;
    list.push({ label, text, met: goal === undefined ? null : ratio <= goal });
  };
  if (workload.limit !== undefined) list.push(...limited(result));
  else add("bare", paired(result, "ours", "bare"), workload.goal?.bare);
  for (const side of result.samples.keys()) {
    if (side === "ours" || side === "bare" || side.endsWith(TENFOLD)) continue;
    add(side, paired(result, "ours", side), workload.goal?.[side]);
  }
  const tenth = (large: number, small: number) => large / small / 10;
  add(
    "ours" + TENFOLD,
    paired(result, "ours" + TENFOLD, "ours", tenth),
    workload.linear,
  );
  add("bare" + TENFOLD, paired(result, "bare" + TENFOLD, "bare", tenth));
  return list;
}

/** A figure that is no ratio: the difference of ours and bare, or ours alone. */
function limited(result: Result): Figure[] {
  const { sides, limit } = result.workload;
  const { atMost, unit } = limit!;
  const ours = result.samples.get("ours");
  const difference = paired(result, "ours", "bare", (a, b) => a - b);
  if (ours === undefined || (sides.bare && difference === null)) return [];
  const value = difference ?? median(ours);
  const { per, suffix, digits } = UNITS[unit];
  const show = (it: number) => (it / per).toFixed(digits) + suffix;
  const sign = difference === null ? "" : "+";
  const text = `${sign}${show(value)} (≤ ${show(atMost)})`;
  return [{ label: "bare", text, met: value <= atMost }];
}

function rowOf(result: Result): string[] {
  const all = figures(result);
  const text = (label: string) =>
    all.find((it) => it.label === label)?.text ?? "";
  const others = all.filter(({ label }) =>
    !KNOWN.has(label) && !label.endsWith(TENFOLD)
  );
  const ours = text("ours" + TENFOLD);
  const bare = text("bare" + TENFOLD);
  return [
    result.workload.name,
    text(BEFORE),
    text("bare"),
    text("python"),
    text("uvloop"),
    others.map(({ label, text }) => `${label} ${text}`).join(", "),
    bare === "" ? ours : `${ours}, bare ${bare}`,
    verdict(result, all),
    result.workload.bareIs ?? "",
  ];
}

function verdict(result: Result, all: readonly Figure[]): string {
  const broken = ["ours", "bare"].filter((side) => result.failures.has(side));
  if (broken.length > 0) return `failed: ${broken.join(", ")}`;
  const judged = all.filter(({ met }) => met !== null);
  const missed = judged.filter(({ met }) => !met).map(({ label }) => label);
  if (judged.length === 0) return "";
  return missed.length === 0 ? "met" : `missed: ${missed.join(", ")}`;
}

function explanation({ options, python, uvloop }: Machine): string {
  const model = navigator.hardwareConcurrency;
  const { os, arch } = Deno.build;
  const versions = [
    `Deno ${Deno.version.deno}`,
    `V8 ${Deno.version.v8}`,
    python === null ? "no Python" : `CPython ${python}`,
    uvloop === null ? "no uvloop" : `uvloop ${uvloop}`,
  ];
  return `Cost of this module as a multiple of the cost of the other side; below 1 this module is faster. In brackets the goal. Medians of ${options.rounds} paired rounds${
    options.quick ? ", at a tenth of the sizes" : ""
  }${
    options.cpu ? ", in processor seconds" : ""
  }, measured in one run on ${os} ${arch} with ${model} cores, ${
    versions.join(", ")
  }.`;
}

function shown(ratio: number): string {
  return ratio.toFixed(2);
}

/** Lays a table out as `deno fmt` does. */
function markdown(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) =>
    Math.max(...rows.map((row) => row[column].length))
  );
  const line = (cells: readonly string[], fill: string) =>
    `| ${cells.map((it, i) => it.padEnd(widths[i], fill)).join(" | ")} |`;
  const [header, ...body] = rows;
  return [
    line(header, " "),
    line(header.map(() => ""), "-"),
    ...body.map((row) => line(row, " ")),
  ].join("\n");
}

/** Breaks a paragraph into lines as `deno fmt` does. */
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
