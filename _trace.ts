/**
 * Writes traces of a run in the Trace Event Format, which Perfetto and
 * `chrome://tracing` display.
 *
 * Each task is a row: a slice for its whole lifetime, and below it alternating
 * slices for its steps and waits. An arrow leads from the step that notifies,
 * creates or cancels a task to the resulting step. A wait for a promise from
 * outside of this module is drawn until the task next uses this module, as its
 * actual end is unknown.
 *
 * The file is a JSON array. Viewers accept it without its end too, so a process
 * that crashes leaves a trace up to the last flush.
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
  /** The phase: a slice, an instant, the start or end of a flow, or metadata of a row. */
  ph: "X" | "i" | "s" | "f" | "M";
  name: string;
  cat?: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  id?: number;
  /** For the end of a flow: it belongs to the enclosing slice, not to the next one. */
  bp?: "e";
  /** For an instant: it belongs to its row. */
  s?: "t";
  args?: Record<string, unknown>;
}

/** The number of characters that are written at once. */
const FLUSH_SIZE = 1 << 16;
/** The maximum number of events in a trace. Later ones are dropped. */
const MOST_EVENTS = 2_000_000;

/** A task that is not done. */
interface Row {
  readonly state: TaskState;
  readonly createdAt: number;
  /** When it last stopped running, and why. */
  since: number;
  reason: string;
  /** The task that caused its next step, and when. */
  notifier: { readonly state: TaskState; readonly time: number } | null;
  cancelled: boolean;
}

/**
 * Writes a trace of a loop to a file.
 *
 * @returns A function that ends the trace.
 * @throws {Deno.errors.NotCapable} If writing the file is not permitted.
 */
export function writeTrace(
  loop: EventLoop,
  path: string | URL,
): () => void {
  const trace = new Trace(new TraceFile(path), now);
  observe(loop, trace);
  const end = () => trace.end();
  const removeListener = onExit(end);
  return () => {
    removeListener();
    end();
  };
}

/** Receives the events of a trace. */
export interface TraceSink {
  add(event: TraceEvent): void;
  close(): void;
}

/** Turns events of tasks into events of a trace. */
export class Trace implements Observer {
  readonly #sink: TraceSink;
  readonly #now: () => number;
  readonly #rows = new Map<TaskState, Row>();
  /** The running task, and since when it runs. */
  #running: { row: Row; since: number } | null = null;
  #flows = 0;
  #isOver = false;

  /**
   * Starts a trace.
   *
   * @param sink Receives the events.
   * @param now The time in microseconds.
   */
  constructor(sink: TraceSink, now: () => number) {
    this.#sink = sink;
    this.#now = now;
    this.#describe(0, "process_name", { name: `Deno ${processId()}` });
  }

  created(state: TaskState): void {
    if (this.#isOver) return;
    const time = this.#now();
    this.#rows.set(state, {
      state,
      createdAt: time,
      since: time,
      reason: "not started yet",
      notifier: null,
      cancelled: false,
    });
  }

  resumed(state: TaskState): void {
    const row = this.#rows.get(state);
    if (row === undefined || this.#running?.row === row) return;
    this.stepEnded();
    const time = this.#now();
    this.#slice(row, row.reason, "wait", row.since, time);
    this.#running = { row, since: time };
    this.#flow(row, time);
    afterMicrotasks(this.#afterMicrotasks);
  }

  awaitStarted(state: TaskState): void {
    this.resumed(state); // resumed from a promise from outside of this module
  }

  stepEnded(): void {
    if (this.#running === null) return;
    const { row, since } = this.#running;
    this.#running = null;
    const time = this.#now();
    this.#slice(row, "step", "step", since, time);
    row.since = time;
    row.reason = `wait for ${waitedFor(row.state) ?? "its turn"}`;
  }

  notified(notifier: TaskState, notified: TaskState): void {
    const row = this.#rows.get(notified);
    if (row === undefined || row.notifier !== null) return;
    if (this.#running?.row.state !== notifier) return;
    row.notifier = { state: notifier, time: this.#now() };
  }

  cancelRequested(state: TaskState): void {
    const row = this.#rows.get(state);
    if (row === undefined) return;
    row.cancelled = true;
    const event = { name: "cancel", cat: "cancel", ts: this.#now() };
    this.#add(state, { ph: "i", s: "t", ...event });
  }

  ended(state: TaskState, outcome: Outcome): void {
    const row = this.#rows.get(state);
    if (row === undefined) return;
    this.resumed(state);
    this.stepEnded();
    this.#addTask(row, outcome);
  }

  readonly #afterMicrotasks = (): void => this.stepEnded();

  /** Ends the trace. Tasks that are not done are shown up to now. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.stepEnded();
    const time = this.#now();
    for (const row of this.#rows.values()) {
      this.#slice(row, row.reason, "wait", row.since, time);
      this.#addTask(row, "pending");
    }
    this.#sink.close();
  }

  /** Adds the slice of the whole lifetime of a task, which encloses all others of its row. */
  #addTask(row: Row, outcome: string): void {
    const { state, createdAt, cancelled } = row;
    this.#rows.delete(state);
    this.#describe(state.id, "thread_name", { name: state.name });
    this.#describe(state.id, "thread_sort_index", { sort_index: state.id });
    const dur = tenths(this.#now() - createdAt);
    const args = { outcome, cancelled, parent: state.parent || null };
    this.#add(state, {
      ph: "X",
      name: state.name,
      cat: "task",
      ts: createdAt,
      dur,
      args,
    });
  }

  #slice(row: Row, name: string, cat: string, from: number, to: number): void {
    if (to <= from) return;
    const dur = tenths(to - from);
    this.#add(row.state, { ph: "X", name, cat, ts: from, dur });
  }

  /** The arrow that leads to a step. */
  #flow(row: Row, time: number): void {
    if (row.notifier === null) return;
    const both = { name: "wake", cat: "wake", id: ++this.#flows };
    this.#add(row.notifier.state, { ...both, ph: "s", ts: row.notifier.time });
    this.#add(row.state, { ...both, ph: "f", bp: "e", ts: time });
    row.notifier = null;
  }

  #add(state: TaskState, event: Omit<TraceEvent, "pid" | "tid">): void {
    this.#sink.add({ pid: processId(), tid: state.id, ...event });
  }

  #describe(tid: number, name: string, args: Record<string, unknown>): void {
    this.#sink.add({ ph: "M", name, pid: processId(), tid, ts: 0, args });
  }
}

/** Writes a trace to a file. If writing fails, the program continues without a trace. */
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
    if (this.#text.length >= FLUSH_SIZE) this.#flush();
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

/** Rounds a number to tenths, as further digits only enlarge the file. */
function tenths(number: number): number {
  return Math.round(number * 10) / 10;
}
