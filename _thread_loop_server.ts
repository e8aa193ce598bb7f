/**
 * The loop's side of calls from other threads. The protocol and the client side
 * are in `_thread_channel.ts`.
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
  encodeMessage,
  Layout,
  type LoopHandle,
  MessageFramer,
  type ReplyMessage,
  type RequestMessage,
  RingBuffer,
} from "./_thread_channel.ts";
import { isEncodable } from "./_thread_codec.ts";
import {
  excerpt,
  linesOf,
  pack,
  type ThreadFunction,
} from "./_thread_serialize.ts";
import { RuntimeError } from "./exceptions.ts";

/** The context calls run in, so that they do not inherit that of the code that created the handle. */
const rootContext = captureSlot();

/** Serves the calls of other threads to a loop. */
export class LoopServer {
  static readonly #local = new Map<string, LoopServer>();

  readonly loop: EventLoop;
  readonly #exposed = new Map<string, ThreadFunction>();
  #handle: LoopHandle | null = null;
  readonly #cells: Int32Array;
  /** The server side of each slot. */
  readonly #slots: ServerSlot[] = [];
  #closed = false;

  constructor(loop: EventLoop) {
    this.loop = loop;
    this.#cells = new Int32Array(Layout.allocate());
  }

  /** Returns the server of a handle, if its loop belongs to this thread. */
  static of(handle: LoopHandle): LoopServer | undefined {
    return LoopServer.#local.get(handle.id);
  }

  /** The handle of the loop. Reading it first starts listening. */
  get handle(): LoopHandle {
    if (this.#handle !== null) return this.#handle;
    const id = crypto.randomUUID();
    const memory = this.#cells.buffer as SharedArrayBuffer;
    this.#handle = { kind: "asyncio.EventLoop", id, memory };
    if (this.#closed) return this.#handle;
    LoopServer.#local.set(id, this);
    void runIn(rootContext, () => this.#listen(), undefined);
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

  /** Stops serving, and wakes all threads so that their calls fail. */
  close(): void {
    this.#closed = true;
    if (this.#handle !== null) LoopServer.#local.delete(this.#handle.id);
    Atomics.store(this.#cells, Layout.CLOSED, 1);
    const slots = Atomics.load(this.#cells, Layout.SLOT_COUNT);
    for (let i = 0; i < slots; i++) {
      this.#notify(Layout.HEADER_SIZE + i * Layout.SLOT_SIZE + Layout.WAKE);
    }
    this.#notify(Layout.DOORBELL);
  }

  async #listen(): Promise<void> {
    while (!this.#closed) {
      const bell = Atomics.load(this.#cells, Layout.DOORBELL);
      this.#serve();
      const rung = Atomics.waitAsync(this.#cells, Layout.DOORBELL, bell);
      await (rung.async ? rung.value : new Promise<void>(nextTurn));
    }
  }

  #serve(): void {
    const slots = Atomics.load(this.#cells, Layout.SLOT_COUNT);
    for (let i = 0; i < slots; i++) {
      const slot = Layout.HEADER_SIZE + i * Layout.SLOT_SIZE;
      const served = this.#slots[i] ??= new ServerSlot(
        this,
        this.#cells,
        slot,
      );
      served.serve();
    }
  }

  #notify(place: number): void {
    Atomics.add(this.#cells, place, 1);
    Atomics.notify(this.#cells, place);
  }
}

interface ServedCall {
  readonly name: string;
  task: Task<unknown> | null;
}

/** Serves the thread that holds a slot. */
class ServerSlot {
  readonly #server: LoopServer;
  readonly #cells: Int32Array;
  readonly #slot: number;
  readonly #requests: RingBuffer;
  readonly #replies: RingBuffer;
  readonly #framer = new MessageFramer();
  /** Pending calls by id. */
  readonly #calls = new Map<number, ServedCall>();
  /** The reply that is being written, and the number of its bytes already written. */
  #sending: Uint8Array | null = null;
  #sent = 0;
  /** The replies after it. */
  readonly #unsent = new Deque<Uint8Array>();

  constructor(server: LoopServer, cells: Int32Array, slot: number) {
    this.#server = server;
    this.#cells = cells;
    this.#slot = slot;
    this.#requests = new RingBuffer(cells, slot, Layout.REQUEST_WRITTEN);
    this.#replies = new RingBuffer(cells, slot, Layout.REPLY_WRITTEN);
  }

  /**
   * Reads requests, and continues writing replies. It returns after some
   * requests so that the loop is not starved by a thread that calls faster than
   * the loop replies; that thread has to wait.
   */
  serve(): void {
    let received = 0;
    while (received === 0) {
      const bytes = this.#requests.read();
      if (bytes === null) break;
      const room = this.#slot + Layout.SENDER_WAITS;
      if (Atomics.exchange(this.#cells, room, 0) === 1) this.#wakeClient();
      const asks = this.#framer.take(bytes) as RequestMessage[];
      received = asks.length;
      for (const ask of asks) this.#onRequest(ask);
    }
    if (this.#sending !== null) this.#flush();
  }

  #onRequest([id, name, args]: RequestMessage): void {
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
    if (call?.task === null) this.#reply(id, "cancelled", "");
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
      onceDone(task, () => this.#onTaskDone(id, task));
    } catch (error) {
      this.#fail(id, error);
      throw error;
    }
  }

  #onTaskDone(id: number, task: Task<unknown>): void {
    const failure = errorOf(task);
    if (failure === null) this.#reply(id, "result", task.result());
    else if (task.cancelled()) {
      this.#reply(id, "cancelled", (failure.error as Error).message);
    } else this.#fail(id, failure.error);
  }

  #fail(id: number, error: unknown): void {
    const packed = pack(error, isEncodable);
    const frames = framesOf(error);
    if ("error" in packed && frames.length > 0) {
      const { stack = "" } = packed.error;
      const head = stack.slice(0, stack.search(/\n\s+at /));
      packed.error.stack = head + linesOf(frames);
    }
    this.#reply(id, "error", packed);
  }

  #reply(id: number, kind: ReplyMessage[1], value: unknown): void {
    const name = this.#calls.get(id)?.name ?? "";
    this.#calls.delete(id);
    const action = `Cannot return the result of ${excerpt(name)} to its thread`;
    let bytes: Uint8Array;
    try {
      const sent = { action, value, name: "result" };
      bytes = encodeMessage([id, kind, value], sent);
    } catch (error) {
      bytes = MessageFramer.encode([id, "error", pack(error, isEncodable)]);
    }
    this.#unsent.push(bytes);
    this.#flush();
  }

  /**
   * Writes what fits. Before it stops it sets the backlog flag and tries again,
   * as the thread may have read in between.
   */
  #flush(): void {
    let hasFlagged = false;
    while ((this.#sending ??= this.#unsent.shift() ?? null) !== null) {
      const count = this.#replies.write(this.#sending, this.#sent);
      this.#sent += count;
      if (this.#sent === this.#sending.length) {
        this.#sending = null;
        this.#sent = 0;
      } else if (count === 0) {
        if (hasFlagged) break;
        hasFlagged = true;
        Atomics.store(this.#cells, this.#slot + Layout.BACKLOG, 1);
      }
    }
    if (this.#sending === null) {
      Atomics.store(this.#cells, this.#slot + Layout.BACKLOG, 0);
    }
    this.#wakeClient();
  }

  #wakeClient(): void {
    Atomics.add(this.#cells, this.#slot + Layout.WAKE, 1);
    Atomics.notify(this.#cells, this.#slot + Layout.WAKE);
  }
}
