/**
 * A picture of a run: the Trace Event Format, which Perfetto and
 * `chrome://tracing` show.
 *
 * Each task is a row. On it lie its whole life, and below that its steps and
 * its waits in turn. An arrow leads from the step that wakes a task, makes it
 * or cancels it to the step that follows from it. A wait for a promise from
 * outside of this module lasts, for the picture, until the task turns to this
 * module again, as nothing tells when it goes on.
 *
 * The file is a JSON array, which readers take without its end too: a process
 * that dies leaves a trace up to the last flush.
 *
 * @module
 */

import { deno } from "./_deno.ts";
import type { TaskState } from "./_task_state.ts";
import { afterMicrotasks, onExit, processId } from "./_host.ts";
import type { EventLoop } from "./_event_loop.ts";
import { observe, type Observer, type Outcome } from "./_observer.ts";
import { waitedFor } from "./_inspect.ts";
import { writeAll } from "./_text.ts";

/** An event of the format. Times are in microseconds. */
export interface TraceEvent {
  /** What kind of event it is: a slice, an instant, the ends of a flow, or data about a row. */
  ph: "X" | "i" | "s" | "f" | "M";
  name: string;
  cat?: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  id?: number;
  /** For the end of a flow: the slice around it, and not the next one. */
  bp?: "e";
  /** For an instant: it belongs to its row. */
  s?: "t";
  args?: Record<string, unknown>;
}

/** So many characters are written at once. */
const CHUNK = 1 << 16;
/** A trace has at most so many events; what comes later is left out. */
const MOST_EVENTS = 2_000_000;

/** What is known of a task that is not done. */
interface Row {
  readonly frame: TaskState;
  readonly born: number;
  /** Since when it has not run, and why. */
  since: number;
  why: string;
  /** Who has brought about its next step, and when. */
  waker: { readonly frame: TaskState; readonly time: number } | null;
  cancelled: boolean;
}

/**
 * Writes a trace of a loop to a file.
 *
 * @returns What ends the trace.
 * @throws {Deno.errors.NotCapable} If the file must not be written.
 */
export function writeTrace(
  loop: EventLoop,
  path: string | URL,
): () => void {
  const trace = new Trace(new TraceFile(path), now);
  observe(loop, trace);
  const end = () => trace.end();
  const stay = onExit(end);
  return () => {
    stay();
    end();
  };
}

/** Takes the events of a trace. */
export interface TraceSink {
  add(event: TraceEvent): void;
  close(): void;
}

/** Makes the events of a trace out of what happens to tasks. */
export class Trace implements Observer {
  readonly #sink: TraceSink;
  readonly #now: () => number;
  readonly #rows = new Map<TaskState, Row>();
  /** The task that runs, and since when. */
  #running: { row: Row; since: number } | null = null;
  #flows = 0;
  #isOver = false;

  /**
   * Begins a trace.
   *
   * @param sink Where the events go.
   * @param now The time in microseconds.
   */
  constructor(sink: TraceSink, now: () => number) {
    this.#sink = sink;
    this.#now = now;
    this.#describe(0, "process_name", { name: `Deno ${processId()}` });
  }

  made(frame: TaskState): void {
    if (this.#isOver) return;
    const time = this.#now();
    this.#rows.set(frame, {
      frame,
      born: time,
      since: time,
      why: "not started yet",
      waker: null,
      cancelled: false,
    });
  }

  resumed(frame: TaskState): void {
    const row = this.#rows.get(frame);
    if (row === undefined || this.#running?.row === row) return;
    this.stepped();
    const time = this.#now();
    this.#slice(row, row.why, "wait", row.since, time);
    this.#running = { row, since: time };
    this.#flow(row, time);
    afterMicrotasks(this.#afterMicrotasks);
  }

  awaits(frame: TaskState): void {
    this.resumed(frame); // it came from a promise that nobody knows of
  }

  stepped(): void {
    if (this.#running === null) return;
    const { row, since } = this.#running;
    this.#running = null;
    const time = this.#now();
    this.#slice(row, "step", "step", since, time);
    row.since = time;
    row.why = `wait for ${waitedFor(row.frame) ?? "its turn"}`;
  }

  wakes(waker: TaskState, woken: TaskState): void {
    const row = this.#rows.get(woken);
    if (row === undefined || row.waker !== null) return;
    if (this.#running?.row.frame !== waker) return;
    row.waker = { frame: waker, time: this.#now() };
  }

  requested(frame: TaskState): void {
    const row = this.#rows.get(frame);
    if (row === undefined) return;
    row.cancelled = true;
    const event = { name: "cancel", cat: "cancel", ts: this.#now() };
    this.#add(frame, { ph: "i", s: "t", ...event });
  }

  ends(frame: TaskState, outcome: Outcome): void {
    const row = this.#rows.get(frame);
    if (row === undefined) return;
    this.resumed(frame);
    this.stepped();
    this.#life(row, outcome);
  }

  readonly #afterMicrotasks = (): void => this.stepped();

  /** Ends the trace. What is still there is shown up to now. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.stepped();
    const time = this.#now();
    for (const row of this.#rows.values()) {
      this.#slice(row, row.why, "wait", row.since, time);
      this.#life(row, "pending");
    }
    this.#sink.close();
  }

  /** The whole life of a task, as the slice around all others of its row. */
  #life(row: Row, outcome: string): void {
    const { frame, born, cancelled } = row;
    this.#rows.delete(frame);
    this.#describe(frame.id, "thread_name", { name: frame.name });
    this.#describe(frame.id, "thread_sort_index", { sort_index: frame.id });
    const dur = tenths(this.#now() - born);
    const args = { outcome, cancelled, parent: frame.parent || null };
    this.#add(frame, {
      ph: "X",
      name: frame.name,
      cat: "task",
      ts: born,
      dur,
      args,
    });
  }

  #slice(row: Row, name: string, cat: string, from: number, to: number): void {
    if (to <= from) return;
    const dur = tenths(to - from);
    this.#add(row.frame, { ph: "X", name, cat, ts: from, dur });
  }

  /** The arrow that leads to a step. */
  #flow(row: Row, time: number): void {
    if (row.waker === null) return;
    const both = { name: "wake", cat: "wake", id: ++this.#flows };
    this.#add(row.waker.frame, { ...both, ph: "s", ts: row.waker.time });
    this.#add(row.frame, { ...both, ph: "f", bp: "e", ts: time });
    row.waker = null;
  }

  #add(frame: TaskState, event: Omit<TraceEvent, "pid" | "tid">): void {
    this.#sink.add({ pid: processId(), tid: frame.id, ...event });
  }

  #describe(tid: number, name: string, args: Record<string, unknown>): void {
    this.#sink.add({ ph: "M", name, pid: processId(), tid, ts: 0, args });
  }
}

/** A trace in a file. If that cannot be written any more, the program goes on without a trace. */
class TraceFile implements TraceSink {
  readonly #file: Deno.FsFile;
  #text = "[";
  #events = 0;
  #hasFailed = false;

  constructor(path: string | URL) {
    const options = { write: true, create: true, truncate: true };
    this.#file = deno.openSync(path, options);
  }

  add(event: TraceEvent): void {
    if (this.#hasFailed || ++this.#events > MOST_EVENTS) return;
    const separator = this.#events === 1 ? "\n" : ",\n";
    this.#text += separator + JSON.stringify(event);
    if (this.#text.length >= CHUNK) this.#flush();
  }

  close(): void {
    this.#text += "\n]\n";
    this.#flush();
    this.#file.close();
    if (this.#events <= MOST_EVENTS) return;
    const left = this.#events - MOST_EVENTS;
    console.error(`The trace is full: its last ${left} events are left out`);
  }

  #flush(): void {
    const text = this.#text;
    this.#text = "";
    if (this.#hasFailed) return;
    try {
      writeAll(text, this.#file);
    } catch (error) {
      this.#hasFailed = true;
      console.error(
        "The trace breaks off: its file cannot be written\n",
        error,
      );
    }
  }
}

/** The time in microseconds. */
function now(): number {
  return tenths(performance.now() * 1000);
}

/** A number to a tenth, as more digits make a file larger and mean nothing. */
function tenths(number: number): number {
  return Math.round(number * 10) / 10;
}
