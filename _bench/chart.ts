/**
 * The chart of the README: bars of a few workloads on a logarithmic axis, as an
 * SVG without scripts or fonts. It has its own background, because the colour
 * schemes of a page and of the system may differ.
 *
 * @module
 */

import type { Result } from "./harness.ts";
import { costPerItem, duration } from "./report.ts";

/** A group of bars. */
export interface Group {
  readonly label: string;
  /** The times by side. Missing sides have no bar. */
  readonly seconds: ReadonlyMap<string, number>;
}

/** The sides in the order of their bars: key, name, and colour in the light and dark scheme. */
const SIDES = [
  ["ours", "this module", "#1f6feb", "#58a6ff"],
  ["python", "CPython", "#a8740b", "#e3b341"],
  ["uvloop", "uvloop", "#0b8073", "#39c5b2"],
  ["bare", "bare Deno", "#6e7781", "#8b949e"],
] as const;
const TITLE = "Time per item, logarithmic: shorter is better";
const WIDTH = 840;
/** The start and end of the axis. To its right there is room for a figure. */
const LEFT = 170;
const RIGHT = WIDTH - 90;
const TOP = 84;
const BAR = 11;
const BAR_STEP = 13;
const GROUP_GAP = 14;
/** The distance between ticks that leaves room for their labels, in pixels. */
const TICK_ROOM = 48;

/** The groups of a run: the workloads that have a label in the chart. */
export function chartGroups(results: readonly Result[]): Group[] {
  const groups: Group[] = [];
  for (const result of results) {
    const label = result.workload.chart;
    if (label === undefined) continue;
    const seconds = new Map<string, number>();
    for (const [side] of SIDES) {
      const cost = costPerItem(result, side);
      if (cost !== null) seconds.set(side, cost);
    }
    groups.push({ label, seconds });
  }
  return groups;
}

/** Draws the groups, with the lines of the caption below them. */
export function drawChart(
  groups: readonly Group[],
  caption: readonly string[],
): string {
  const all = groups.flatMap(({ seconds }) => [...seconds.values()]);
  if (all.length === 0) throw new RangeError("Cannot draw a chart: no figures");
  const axis = new Axis(Math.min(...all), Math.max(...all));
  const bottom = TOP + groups.length * groupHeight() - GROUP_GAP / 2;
  const height = bottom + 44 + 16 * caption.length;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escape(TITLE)}</title>`,
    `<desc id="description">${escape(inWords(groups))}</desc>`,
    style(),
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${
      height - 1
    }" rx="8"/>`,
    text("heading", 20, 32, TITLE),
    ...legend(),
    ...grid(axis, bottom),
    ...groups.flatMap((group, i) => bars(axis, group, TOP + i * groupHeight())),
    ...caption.map((line, i) => text("note", 20, bottom + 44 + 16 * i, line)),
    "</svg>",
  ];
  return lines.join("\n") + "\n";
}

/** A logarithmic axis whose ends are ticks. */
class Axis {
  readonly #low: number;
  readonly #high: number;

  constructor(least: number, greatest: number) {
    // The shortest bar must be visible too.
    this.#low = steps(least / 1e3, least / 1.5).at(-1)!;
    this.#high = steps(greatest, greatest * 1e3)[0];
  }

  /** The x coordinate of a value. */
  x(seconds: number): number {
    const at = Math.log(seconds / this.#low) / Math.log(this.#high / this.#low);
    return LEFT + at * (RIGHT - LEFT);
  }

  /** The multiples 1, 2 and 5 if there is room for their labels, otherwise the powers of ten. */
  ticks(): number[] {
    const all = steps(this.#low, this.#high);
    const gap = this.x(this.#low * 2) - LEFT;
    return gap >= TICK_ROOM ? all : all.filter(isPowerOfTen);
  }
}

/** The values 1, 2 and 5 times a power of ten in a range. */
function steps(from: number, to: number): number[] {
  const list: number[] = [];
  for (let power = Math.floor(Math.log10(from)); 10 ** power <= to; power++) {
    for (const digit of [1, 2, 5]) {
      const value = Number(`${digit}e${power}`);
      if (value >= from * (1 - 1e-9) && value <= to * (1 + 1e-9)) {
        list.push(value);
      }
    }
  }
  return list;
}

function isPowerOfTen(value: number): boolean {
  return value.toExponential(0).startsWith("1");
}

function groupHeight(): number {
  return SIDES.length * BAR_STEP + GROUP_GAP;
}

function legend(): string[] {
  return SIDES.flatMap(([side, name], i) => [
    `<rect class="${side}" x="${
      LEFT + i * 130
    }" y="48" width="11" height="11" rx="2"/>`,
    text("label", LEFT + i * 130 + 17, 58, name),
  ]);
}

function grid(axis: Axis, bottom: number): string[] {
  return axis.ticks().flatMap((tick) => {
    const x = pixels(axis.x(tick));
    return [
      `<line class="grid" x1="${x}" x2="${x}" y1="${TOP - 8}" y2="${bottom}"/>`,
      text("tick", axis.x(tick), bottom + 16, tickName(tick)),
    ];
  });
}

function bars(axis: Axis, { label, seconds }: Group, top: number): string[] {
  const middle = top + SIDES.length * BAR_STEP / 2 + 3;
  const lines = [text("group", LEFT - 12, middle, label)];
  for (const [i, [side, name]] of SIDES.entries()) {
    const value = seconds.get(side);
    if (value === undefined) continue;
    const width = axis.x(value) - LEFT;
    const y = top + i * BAR_STEP;
    lines.push(
      `<rect class="bar ${side}" x="${LEFT}" y="${y}" width="${
        pixels(width)
      }" height="${BAR}" rx="2"><title>${
        escape(`${label}, ${name}: ${duration(value)}`)
      }</title></rect>`,
      text("value", LEFT + width + 5, y + BAR - 1.5, duration(value)),
    );
  }
  return lines;
}

/** The label of a tick, without superfluous digits: "100 ns", "2 µs". */
function tickName(seconds: number): string {
  return duration(seconds).replace(/\.0+(?= )/, "");
}

function inWords(groups: readonly Group[]): string {
  return groups.map(({ label, seconds }) => {
    const figures = SIDES.filter(([side]) => seconds.has(side))
      .map(([side, name]) => `${name} ${duration(seconds.get(side)!)}`);
    return `${label}: ${figures.join(", ")}.`;
  }).join(" ");
}

function style(): string {
  const colours = (column: 2 | 3) =>
    SIDES.map((side) => `.${side[0]} { fill: ${side[column]}; }`).join(" ");
  return `<style>
  text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1f2328; }
  .heading { font-size: 15px; font-weight: 600; }
  .group { font-weight: 600; text-anchor: end; }
  .tick { font-size: 11px; text-anchor: middle; }
  .value { font-size: 10px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
  .note { font-size: 11px; }
  .tick, .note { fill: #59636e; }
  .page { fill: #ffffff; stroke: #d1d9e0; }
  .grid { stroke: #d1d9e0; }
  ${colours(2)}
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .tick, .note { fill: #9198a1; }
    .page { fill: #0d1117; stroke: #3d444d; }
    .grid { stroke: #2a313a; }
    .value { stroke: #0d1117; }
    ${colours(3)}
  }
</style>`;
}

function text(kind: string, x: number, y: number, content: string): string {
  return `<text class="${kind}" x="${pixels(x)}" y="${pixels(y)}">${
    escape(content)
  }</text>`;
}

function pixels(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
