/**
 * Checks a trace against the Trace Event Format, in its JSON array form, and
 * against what Perfetto expects.
 */

/** An event as read from a file. */
export interface RawEvent {
  ph: string;
  name: string;
  cat?: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  id?: number | string;
  bp?: string;
  s?: string;
  args?: Record<string, unknown>;
}

/** How far slices may overlap because of rounding, in microseconds. */
const ROUNDING = 0.2;

/** The flaws of a trace, one sentence each. */
export function flawsOf(events: readonly RawEvent[]): string[] {
  return [
    ...events.flatMap(flawsOfEvent),
    ...[...rowsOf(events).values()].flatMap(flawsOfRow),
    ...flawsOfFlows(events),
  ];
}

/** The required fields of events, by phase. */
const NEEDED: Record<string, (keyof RawEvent)[]> = {
  X: ["name", "cat", "ts", "dur"],
  i: ["name", "cat", "ts", "s"],
  s: ["name", "cat", "ts", "id"],
  f: ["name", "cat", "ts", "id", "bp"],
  M: ["name", "args"],
};
/** The names of metadata events, and the argument of each. */
const METADATA: Record<string, [string, string]> = {
  process_name: ["name", "string"],
  thread_name: ["name", "string"],
  thread_sort_index: ["sort_index", "number"],
};

function flawsOfEvent(event: RawEvent): string[] {
  const needed = NEEDED[event.ph];
  if (needed === undefined) return [`Unknown phase ${event.ph}`];
  const flaws = [...needed, "pid", "tid"]
    .filter((key) => event[key as keyof RawEvent] === undefined)
    .map((key) => `${event.ph} ${event.name} has no ${key}`);
  for (const key of ["pid", "tid", "ts", "dur"] as const) {
    const value = event[key];
    if (value !== undefined && !(Number.isFinite(value) && value >= 0)) {
      flaws.push(`${event.ph} ${event.name} has ${key} ${value}`);
    }
  }
  if (event.ph === "M") {
    const [key, type] = METADATA[event.name] ?? [];
    if (key === undefined || typeof event.args?.[key] !== type) {
      flaws.push(`Metadata ${event.name} is wrong`);
    }
  }
  if (event.ph === "i" && !/^[gpt]$/.test(event.s ?? "")) {
    flaws.push(`Instant ${event.name} has scope ${event.s}`);
  }
  return flaws;
}

/** The slices of each row. */
function rowsOf(events: readonly RawEvent[]): Map<string, RawEvent[]> {
  const rows = new Map<string, RawEvent[]>();
  for (const event of events.filter(({ ph }) => ph === "X")) {
    const row = `${event.pid} ${event.tid}`;
    rows.set(row, [...rows.get(row) ?? [], event]);
  }
  return rows;
}

/** Checks that slices of a row are disjoint or nested. */
function flawsOfRow(slices: readonly RawEvent[]): string[] {
  const sorted = [...slices].sort((a, b) => a.ts - b.ts || b.dur! - a.dur!);
  const flaws: string[] = [];
  const open: RawEvent[] = [];
  for (const slice of sorted) {
    while (open.length > 0 && endOf(open.at(-1)!) <= slice.ts + ROUNDING) {
      open.pop();
    }
    const around = open.at(-1);
    if (around && endOf(slice) > endOf(around) + ROUNDING) {
      flaws.push(`${slice.name} overlaps ${around.name} of row ${slice.tid}`);
    }
    open.push(slice);
  }
  return flaws;
}

/** Checks that each flow has a start and then an end of the same name, each on a slice of its row. */
function flawsOfFlows(events: readonly RawEvent[]): string[] {
  const rows = rowsOf(events);
  const flows = new Map<unknown, RawEvent[]>();
  for (const event of events.filter(({ ph }) => ph === "s" || ph === "f")) {
    flows.set(event.id, [...flows.get(event.id) ?? [], event]);
  }
  return [...flows].flatMap(([id, ends]) => {
    const [start, finish] = ["s", "f"].map((ph) =>
      ends.filter((it) => it.ph === ph)
    );
    if (start.length !== 1 || finish.length !== 1) {
      return [`Flow ${id} has ${start.length} starts, ${finish.length} ends`];
    }
    const isOne = start[0].name === finish[0].name &&
      start[0].cat === finish[0].cat;
    return [
      ...(isOne ? [] : [`Flow ${id} has two names`]),
      ...(start[0].ts <= finish[0].ts ? [] : [`Flow ${id} goes back`]),
      ...ends.filter((end) => !isOnSlice(end, rows))
        .map(({ ph }) => `The ${ph} of flow ${id} is on no slice`),
    ];
  });
}

function isOnSlice(event: RawEvent, rows: Map<string, RawEvent[]>): boolean {
  const slices = rows.get(`${event.pid} ${event.tid}`) ?? [];
  return slices.some((slice) =>
    slice.ts <= event.ts + ROUNDING && event.ts <= endOf(slice) + ROUNDING
  );
}

function endOf({ ts, dur }: RawEvent): number {
  return ts + dur!;
}
