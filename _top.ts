/**
 * The live view of a process: its tasks, grouped by place.
 *
 * @module
 */

import type { ThreadLoops } from "./_attach.ts";
import type { Snapshot, TaskSnapshot, WaitSnapshot } from "./_snapshot.ts";
import { span } from "./_text.ts";

/** A row of the view: tasks in the same place. */
interface Row {
  readonly what: string;
  count: number;
  oldest: number | null;
}

/** Labels of waits whose objects are all different, by kind of wait. */
const SINGLE: { [kind: string]: string } = {
  timer: "a timer",
  task: "a task",
  future: "a future",
  gather: "a gather",
  group: "a TaskGroup",
  wait: "a wait()",
  waitFor: "a waitFor()",
  shield: "a shield",
};

/** Draws what a process is doing, and how it has changed since the last view. */
export class Top {
  /** The counts of the last view, and its time. */
  #before = new Map<string, number>();
  #at: number | null = null;

  /**
   * Draws a view.
   *
   * @param title The title, which names the process.
   * @param threads What the process is doing.
   * @param now The time in milliseconds.
   * @param size The available columns and rows.
   */
  draw(
    title: string,
    threads: readonly ThreadLoops[],
    now: number,
    size: { columns: number; rows: number },
  ): string {
    const snapshots = threads.flatMap(({ loops }) => loops);
    const rows = rowsOf(snapshots);
    const elapsed = this.#at === null ? null : (now - this.#at) / 1000;
    const lines = [
      title,
      ...snapshots.map(summary),
      "",
      "  TASKS     +/s  OLDEST  DOING",
      ...rows.map((row) => this.#line(row, elapsed)),
      ...queueLines(snapshots),
    ];
    this.#before = new Map(rows.map(({ what, count }) => [what, count]));
    this.#at = now;
    return fit(lines, size).join("\n");
  }

  #line({ what, count, oldest }: Row, elapsed: number | null): string {
    const before = this.#before.get(what) ?? 0;
    const rate = elapsed === null || elapsed <= 0
      ? ""
      : ((count - before) / elapsed).toFixed(0).replace(/^-0$/, "0");
    const age = oldest === null ? "" : span(oldest);
    return `${String(count).padStart(7)} ${rate.padStart(7)} ${
      age.padStart(7)
    }  ${what}`;
  }
}

/** Describes a loop on one line. */
function summary(
  { loop, tasks, threads, children, failures }: Snapshot,
): string {
  const more = [
    [threads.length, "in threads"],
    [children.length, "child processes"],
    [failures.length, "errors that nobody has looked at"],
  ] as const;
  return [
    `${loop.name} ${loop.state}: ${tasks.length} tasks`,
    `${loop.ready} ready`,
    `${loop.timers} timers`,
    `lag ${(loop.lag * 1000).toFixed(0)} ms`,
    ...more.filter(([count]) => count > 0).map((it) => it.join(" ")),
  ].join(", ");
}

/** Groups tasks by place, largest group first. */
function rowsOf(snapshots: readonly Snapshot[]): Row[] {
  const rows = new Map<string, Row>();
  for (const task of snapshots.flatMap(({ tasks }) => tasks)) {
    const what = doing(task);
    const row = rows.get(what) ?? { what, count: 0, oldest: null };
    rows.set(what, row);
    row.count++;
    if (task.seconds !== null) {
      row.oldest = Math.max(row.oldest ?? 0, task.seconds);
    }
  }
  return [...rows.values()].sort((a, b) => b.count - a.count);
}

function doing(task: TaskSnapshot): string {
  const { state, waits, requests, stack, coro } = task;
  const what = waits.length === 0
    ? state
    : `waits for ${[...new Set(waits.map(label))].join(", ")}`;
  const cancelled = requests > 0 ? " (cancelled)" : "";
  const at = waits[0]?.place ?? stack[0] ?? null;
  const place = at === null ? coro === null ? "" : ` in ${coro}` : ` at ${at}`;
  return `${what}${cancelled}${place}`;
}

function label({ kind, what }: WaitSnapshot): string {
  return SINGLE[kind] ?? what;
}

/** The queues that tasks wait for, each once. */
function queueLines(snapshots: readonly Snapshot[]): string[] {
  const queues = new Map<string, string>();
  for (const [at, { tasks }] of snapshots.entries()) {
    for (const { kind, object, what } of tasks.flatMap(({ waits }) => waits)) {
      if (!kind.startsWith("queue.") || object === null) continue;
      queues.set(`${at} ${object}`, what.replace(/^[^<]*(?=<)/, ""));
    }
  }
  if (queues.size === 0) return [];
  return ["", "  QUEUES", ...[...queues.values()].map((it) => `    ${it}`)];
}

/** Cuts lines to the available size. */
function fit(
  lines: readonly string[],
  { columns, rows }: { columns: number; rows: number },
): string[] {
  const room = Math.max(5, rows - 1);
  const shown = lines.length <= room ? lines : [
    ...lines.slice(0, room - 1),
    `  and ${lines.length - room + 1} more lines`,
  ];
  return shown.map((line) => line.slice(0, columns));
}
