/**
 * A loop's side of the calls that other threads make to it; see
 * `_thread_calls.ts` for theirs.
 *
 * @module
 */

import { captureSlot, runIn } from "./_context.ts";
import type { EventLoop, Task } from "./_future.ts";
import { hostTurn } from "./_host.ts";
import { errorOf, onceDone } from "./_task.ts";
import {
  type Answer,
  type Ask,
  encodeCloned,
  Layout,
  type LoopHandle,
  Messages,
  Pipe,
} from "./_thread_calls.ts";
import { pack } from "./_thread_values.ts";
import { RuntimeError } from "./exceptions.ts";

/** A function that other threads may call. */
// deno-lint-ignore no-explicit-any
export type ExposedFunction = (...args: any[]) => unknown;

/** Nothing of whoever made the loop's handle is to follow those who call. */
const root = captureSlot();

/** What other threads may ask of a loop, and what they have asked. */
export class Mailbox {
  static readonly #here = new Map<string, Mailbox>();

  readonly loop: EventLoop;
  readonly #exposed = new Map<string, ExposedFunction>();
  #handle: LoopHandle | null = null;
  readonly #cells: Int32Array;
  /** The loop's end of each slot. */
  readonly #counters: Counter[] = [];
  #closed = false;

  constructor(loop: EventLoop) {
    this.loop = loop;
    this.#cells = new Int32Array(Layout.memory());
  }

  /** The mailbox of a handle, if its loop belongs to this thread. */
  static of(handle: LoopHandle): Mailbox | undefined {
    return Mailbox.#here.get(handle.id);
  }

  /** The handle. From the first time on, the loop listens. */
  get handle(): LoopHandle {
    if (this.#handle !== null) return this.#handle;
    const id = crypto.randomUUID();
    const memory = this.#cells.buffer as SharedArrayBuffer;
    this.#handle = { kind: "asyncio.EventLoop", id, memory };
    Mailbox.#here.set(id, this);
    void runIn(root, () => this.#listen(), undefined);
    return this.#handle;
  }

  expose(name: string, fn: ExposedFunction): void {
    this.#exposed.set(name, fn);
  }

  /** @throws {RuntimeError} If there is no function of that name. */
  find(name: string): ExposedFunction {
    const fn = this.#exposed.get(name);
    if (fn !== undefined) return fn;
    const names = [...this.#exposed.keys()].join(", ");
    throw new RuntimeError(
      `Cannot call "${name}": the loop exposes ${
        names === "" ? "no function" : `only ${names}`
      }`,
    );
  }

  /** Tells all threads that nothing will be answered any more. */
  close(): void {
    this.#closed = true;
    if (this.#handle !== null) Mailbox.#here.delete(this.#handle.id);
    Atomics.store(this.#cells, Layout.CLOSED, 1);
    const slots = Atomics.load(this.#cells, Layout.SLOTS);
    for (let i = 0; i < slots; i++) {
      this.#raise(Layout.HEAD + i * Layout.SLOT + Layout.SIGNAL);
    }
    this.#raise(Layout.BELL);
  }

  async #listen(): Promise<void> {
    while (!this.#closed) {
      const bell = Atomics.load(this.#cells, Layout.BELL);
      this.#serve();
      const rung = Atomics.waitAsync(this.#cells, Layout.BELL, bell);
      await (rung.async ? rung.value : new Promise<void>(hostTurn));
    }
  }

  #serve(): void {
    const slots = Atomics.load(this.#cells, Layout.SLOTS);
    for (let i = 0; i < slots; i++) {
      const slot = Layout.HEAD + i * Layout.SLOT;
      const counter = this.#counters[i] ??= new Counter(
        this,
        this.#cells,
        slot,
      );
      counter.serve();
    }
  }

  #raise(place: number): void {
    Atomics.add(this.#cells, place, 1);
    Atomics.notify(this.#cells, place);
  }
}

/** Where one thread at a time is served. */
class Counter {
  readonly #mailbox: Mailbox;
  readonly #cells: Int32Array;
  readonly #slot: number;
  readonly #asks: Pipe;
  readonly #answers: Pipe;
  readonly #messages = new Messages();
  /** Calls without an answer, each with its task once that has been made. */
  readonly #calls = new Map<number, Task<unknown> | null>();
  /** Answers that do not fit yet; of the first, `#sent` bytes are on their way. */
  readonly #unsent: Uint8Array[] = [];
  #sent = 0;

  constructor(mailbox: Mailbox, cells: Int32Array, slot: number) {
    this.#mailbox = mailbox;
    this.#cells = cells;
    this.#slot = slot;
    this.#asks = new Pipe(cells, slot, Layout.ASKED);
    this.#answers = new Pipe(cells, slot, Layout.ANSWERED);
  }

  /** Hears what is asked, and answers on where there was no room. */
  serve(): void {
    let bytes: Uint8Array | null;
    while ((bytes = this.#asks.read()) !== null) {
      if (bytes.length === Layout.PIPE_BYTES) this.#signal();
      for (const ask of this.#messages.take(bytes)) this.#hear(ask as Ask);
    }
    if (this.#unsent.length > 0) this.#flush();
  }

  #hear([id, name, args]: Ask): void {
    if (name === null) return this.#cancel(id);
    try {
      const fn = this.#mailbox.find(name);
      this.#calls.set(id, null);
      this.#mailbox.loop.callSoonThreadsafe(() => this.#start(id, fn, args));
    } catch (error) {
      this.#answer(id, "error", pack(error));
    }
  }

  #cancel(id: number): void {
    const task = this.#calls.get(id);
    if (task === null) this.#answer(id, "cancelled", "");
    else task?.cancel();
  }

  #start(id: number, fn: ExposedFunction, args: unknown[]): void {
    if (!this.#calls.has(id)) return;
    try {
      const task = this.#mailbox.loop.createTask(() => fn(...args));
      this.#calls.set(id, task);
      onceDone(task, () => this.#end(id, task));
    } catch (error) {
      this.#answer(id, "error", pack(error));
      throw error;
    }
  }

  #end(id: number, task: Task<unknown>): void {
    const failure = errorOf(task);
    if (failure === null) this.#answer(id, "result", task.result());
    else if (task.cancelled()) {
      this.#answer(id, "cancelled", (failure.thrown as Error).message);
    } else this.#answer(id, "error", pack(failure.thrown));
  }

  #answer(id: number, kind: Answer[1], value: unknown): void {
    this.#calls.delete(id);
    let bytes: Uint8Array;
    try {
      bytes = encodeCloned([id, kind, value], value, "result");
    } catch (error) {
      bytes = Messages.encode([id, "error", pack(error)]);
    }
    this.#unsent.push(bytes);
    this.#flush();
  }

  /**
   * Writes what fits. Before it gives up, the thread is told that there is
   * more and the pipe is tried again: it could have been emptied in between.
   */
  #flush(): void {
    let told = false;
    while (this.#unsent.length > 0) {
      const first = this.#unsent[0]!;
      const count = this.#answers.write(first, this.#sent);
      this.#sent += count;
      if (this.#sent === first.length) {
        this.#unsent.shift();
        this.#sent = 0;
      } else if (count === 0) {
        if (told) break;
        told = true;
        Atomics.store(this.#cells, this.#slot + Layout.MORE, 1);
      }
    }
    if (this.#unsent.length === 0) {
      Atomics.store(this.#cells, this.#slot + Layout.MORE, 0);
    }
    this.#signal();
  }

  #signal(): void {
    Atomics.add(this.#cells, this.#slot + Layout.SIGNAL, 1);
    Atomics.notify(this.#cells, this.#slot + Layout.SIGNAL);
  }
}
