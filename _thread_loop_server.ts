/**
 * A loop's side of the calls that other threads make to it; see
 * `_thread_channel.ts` for theirs.
 *
 * @module
 */

import { Deque } from "./_collections.ts";
import { captureSlot, runIn } from "./_context.ts";
import type { EventLoop } from "./_event_loop.ts";
import type { Task } from "./_task.ts";
import { nextTurn } from "./_host.ts";
import { framesOf } from "./_call_site.ts";
import { errorOf, onceDone } from "./_done_callbacks.ts";
import {
  type Answer,
  type Ask,
  encodeSent,
  Layout,
  type LoopHandle,
  Messages,
  Pipe,
} from "./_thread_channel.ts";
import { isEncodable } from "./_thread_codec.ts";
import {
  excerpt,
  linesOf,
  pack,
  type ThreadFunction,
} from "./_thread_serialize.ts";
import { RuntimeError } from "./exceptions.ts";

/** Nothing of whoever made the loop's handle is to follow those who call. */
const root = captureSlot();

/** What other threads may ask of a loop, and what they have asked. */
export class LoopServer {
  static readonly #here = new Map<string, LoopServer>();

  readonly loop: EventLoop;
  readonly #exposed = new Map<string, ThreadFunction>();
  #handle: LoopHandle | null = null;
  readonly #cells: Int32Array;
  /** The loop's end of each slot. */
  readonly #slots: ServerSlot[] = [];
  #closed = false;

  constructor(loop: EventLoop) {
    this.loop = loop;
    this.#cells = new Int32Array(Layout.memory());
  }

  /** The server of a handle, if its loop belongs to this thread. */
  static of(handle: LoopHandle): LoopServer | undefined {
    return LoopServer.#here.get(handle.id);
  }

  /** The handle. From the first time on, the loop listens. */
  get handle(): LoopHandle {
    if (this.#handle !== null) return this.#handle;
    const id = crypto.randomUUID();
    const memory = this.#cells.buffer as SharedArrayBuffer;
    this.#handle = { kind: "asyncio.EventLoop", id, memory };
    if (this.#closed) return this.#handle;
    LoopServer.#here.set(id, this);
    void runIn(root, () => this.#listen(), undefined);
    return this.#handle;
  }

  expose(name: string, fn: ThreadFunction): void {
    this.#exposed.set(name, fn);
  }

  /** @throws {RuntimeError} If there is no function of that name. */
  find(name: string): ThreadFunction {
    const fn = this.#exposed.get(name);
    if (fn !== undefined) return fn;
    const names = [...this.#exposed.keys()].join(", ");
    throw new RuntimeError(
      `Cannot call "${excerpt(name)}": the loop exposes ${
        names === "" ? "no function" : `only ${names}`
      }`,
    );
  }

  /** Tells all threads that nothing will be answered any more. */
  close(): void {
    this.#closed = true;
    if (this.#handle !== null) LoopServer.#here.delete(this.#handle.id);
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
      await (rung.async ? rung.value : new Promise<void>(nextTurn));
    }
  }

  #serve(): void {
    const slots = Atomics.load(this.#cells, Layout.SLOTS);
    for (let i = 0; i < slots; i++) {
      const slot = Layout.HEAD + i * Layout.SLOT;
      const served = this.#slots[i] ??= new ServerSlot(
        this,
        this.#cells,
        slot,
      );
      served.serve();
    }
  }

  #raise(place: number): void {
    Atomics.add(this.#cells, place, 1);
    Atomics.notify(this.#cells, place);
  }
}

interface ServedCall {
  readonly name: string;
  task: Task<unknown> | null;
}

/** Where one thread at a time is served. */
class ServerSlot {
  readonly #server: LoopServer;
  readonly #cells: Int32Array;
  readonly #slot: number;
  readonly #asks: Pipe;
  readonly #answers: Pipe;
  readonly #messages = new Messages();
  /** Calls without an answer, each with its name, and its task once that has been made. */
  readonly #calls = new Map<number, ServedCall>();
  /** The answer that is being written, and how many bytes of it are on their way. */
  #sending: Uint8Array | null = null;
  #sent = 0;
  /** Those after it. */
  readonly #unsent = new Deque<Uint8Array>();

  constructor(server: LoopServer, cells: Int32Array, slot: number) {
    this.#server = server;
    this.#cells = cells;
    this.#slot = slot;
    this.#asks = new Pipe(cells, slot, Layout.ASKED);
    this.#answers = new Pipe(cells, slot, Layout.ANSWERED);
  }

  /**
   * Hears what is asked, and answers on where there was no room. After some
   * calls the loop gets its turn, as a thread may ask faster than it answers;
   * then the thread has to wait.
   */
  serve(): void {
    let heard = 0;
    while (heard === 0) {
      const bytes = this.#asks.read();
      if (bytes === null) break;
      const room = this.#slot + Layout.ROOM;
      if (Atomics.exchange(this.#cells, room, 0) === 1) this.#signal();
      const asks = this.#messages.take(bytes) as Ask[];
      heard = asks.length;
      for (const ask of asks) this.#hear(ask);
    }
    if (this.#sending !== null) this.#flush();
  }

  #hear([id, name, args]: Ask): void {
    if (name === null) return this.#cancel(id);
    const call: ServedCall = { name, task: null };
    this.#calls.set(id, call);
    try {
      const fn = this.#server.find(name);
      const start = () => this.#start(id, call, fn, args);
      this.#server.loop.callSoonThreadsafe(start);
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #cancel(id: number): void {
    const call = this.#calls.get(id);
    if (call?.task === null) this.#answer(id, "cancelled", "");
    else call?.task.cancel();
  }

  #start(
    id: number,
    call: ServedCall,
    fn: ThreadFunction,
    args: unknown[],
  ): void {
    if (this.#calls.get(id) !== call) return;
    try {
      const task = this.#server.loop.createTask(() => fn(...args));
      call.task = task;
      onceDone(task, () => this.#end(id, task));
    } catch (error) {
      this.#fail(id, error);
      throw error;
    }
  }

  #end(id: number, task: Task<unknown>): void {
    const failure = errorOf(task);
    if (failure === null) this.#answer(id, "result", task.result());
    else if (task.cancelled()) {
      this.#answer(id, "cancelled", (failure.thrown as Error).message);
    } else this.#fail(id, failure.thrown);
  }

  #fail(id: number, error: unknown): void {
    const packed = pack(error, isEncodable);
    const frames = framesOf(error);
    if ("error" in packed && frames.length > 0) {
      const { stack = "" } = packed.error;
      const head = stack.slice(0, stack.search(/\n\s+at /));
      packed.error.stack = head + linesOf(frames);
    }
    this.#answer(id, "error", packed);
  }

  #answer(id: number, kind: Answer[1], value: unknown): void {
    const name = this.#calls.get(id)?.name ?? "";
    this.#calls.delete(id);
    const action = `Cannot return the result of ${excerpt(name)} to its thread`;
    let bytes: Uint8Array;
    try {
      const sent = { action, value, name: "result" };
      bytes = encodeSent([id, kind, value], sent);
    } catch (error) {
      bytes = Messages.encode([id, "error", pack(error, isEncodable)]);
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
    while ((this.#sending ??= this.#unsent.shift() ?? null) !== null) {
      const count = this.#answers.write(this.#sending, this.#sent);
      this.#sent += count;
      if (this.#sent === this.#sending.length) {
        this.#sending = null;
        this.#sent = 0;
      } else if (count === 0) {
        if (told) break;
        told = true;
        Atomics.store(this.#cells, this.#slot + Layout.MORE, 1);
      }
    }
    if (this.#sending === null) {
      Atomics.store(this.#cells, this.#slot + Layout.MORE, 0);
    }
    this.#signal();
  }

  #signal(): void {
    Atomics.add(this.#cells, this.#slot + Layout.SIGNAL, 1);
    Atomics.notify(this.#cells, this.#slot + Layout.SIGNAL);
  }
}
