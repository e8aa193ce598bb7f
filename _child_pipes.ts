/**
 * The pipes between this process and a child, and the pumps between a pipe
 * and a file or a stream of the Web.
 *
 * The output of a child is read on demand, so a child that floods a pipe
 * which nobody reads is held back by the kernel. Once the child has ended, what
 * is left is read ahead: that is no more than the kernel holds, and the
 * descriptor is free though the bytes may never be asked for.
 *
 * Nothing in here knows of tasks. It is to be started in no task's context,
 * and waits for promises of the host only.
 *
 * @module
 */

import { type Bytes, NO_BYTES, type OwnBytes, toBytes } from "./_bytes.ts";
import { Deque } from "./_collections.ts";
import { deno } from "./_deno.ts";
import type { ByteSource } from "./_stream_reader.ts";
import type { ByteSink } from "./_stream_writer.ts";

/** How much one read takes at most: what a pipe holds by default. */
const READ_SIZE = 65_536;
/** How much one write gives at most: the host copies a write as a whole. */
const WRITE_SIZE = 262_144;
/** The end of an output is looked for within so many bytes after the child has ended. */
const REST_SIZE = 1_048_576;
/** A pipe in which nothing has moved for so many ticks of the host is held by somebody else. */
const IDLE_TICKS = 2;

/** Something through which bytes move. */
interface Progress {
  /** How many have. */
  readonly moved: number;
  /** Whether some are on their way, and sure to arrive. */
  readonly busy: boolean;
}

const passed = Promise.resolve();

/** Something that happens once. A wait for it that is given up leaves nothing behind. */
export class Gate {
  #waiting: Set<() => void> | null = new Set();

  /** Whether anybody waits. */
  get awaited(): boolean {
    return this.#waiting !== null && this.#waiting.size > 0;
  }

  /** It has happened. */
  open(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.forEach((call) => call());
  }

  /** Has a function called when it happens, once however often it is added. */
  add(call: () => void): void {
    this.#waiting?.add(call);
  }

  delete(call: () => void): void {
    this.#waiting?.delete(call);
  }

  /** Resolves when it has happened, or `signal` has aborted. */
  wait(signal?: AbortSignal): Promise<void> {
    if (this.#waiting === null || signal?.aborted) return passed;
    return new Promise((resolve) => {
      const leave = () => {
        this.delete(leave);
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      this.add(leave);
      signal?.addEventListener("abort", leave);
    });
  }
}

/** Bytes that come out of a child. */
export class OutputPipe implements ByteSource, Output, Progress {
  readonly #reader: ReadableStreamBYOBReader;
  /** What was read ahead, behind `#head`. */
  readonly #chunks = new Deque<OwnBytes>();
  /** The chunk that is being given away, never empty. */
  #head: OwnBytes | null = null;
  /** The memory for the next read; it belongs to the host while one is under way. */
  #spare: ArrayBuffer | null = null;
  #fetching: Promise<void> | null = null;
  /** Whether everything is read ahead, and whether code is at it. */
  #ahead = false;
  #hurrying = false;
  #moved = 0;
  /** Nothing more will be read. */
  #ended = false;
  /** Opens with that. */
  readonly end: Gate = new Gate();
  #failure: { error: unknown } | null = null;
  /** Settles when the descriptor is free. */
  readonly closed: Promise<void>;
  readonly #name: string;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, name: string) {
    this.#name = name;
    this.#reader = stream.getReader({ mode: "byob" });
    this.closed = this.#reader.closed.then(nothing, nothing);
  }

  describe(): string {
    return this.#name;
  }

  get moved(): number {
    return this.#moved;
  }

  get busy(): boolean {
    return false;
  }

  /** Whether bytes may come that nobody takes. */
  get neglected(): boolean {
    return !this.#ended && this.#fetching === null;
  }

  /** How many bytes were read ahead, and not taken. */
  get unread(): number {
    const chunks = [...this.#chunks, this.#head ?? NO_BYTES];
    return chunks.reduce((sum, { length }) => sum + length, 0);
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const chunk = await this.readChunk(buffer.length);
    if (chunk === null) return null;
    buffer.set(chunk);
    return chunk.length;
  }

  async readChunk(most: number): Promise<OwnBytes | null> {
    while (this.#empty) {
      if (this.#failure !== null) throw this.#failure.error;
      if (this.#ended) return null;
      await this.#fetch();
    }
    const head = this.#head ?? this.#chunks.shift()!;
    this.#head = head.length > most ? head.subarray(most) : null;
    // Who gets a part must not share memory with what is left.
    return this.#head === null ? head : head.slice(0, most);
  }

  /** Reads everything ahead from here on, up to the end. */
  readAhead(): void {
    this.#ahead = true;
    if (!this.#hurrying) void this.#hurry();
  }

  /** Reads no more than is asked for from here on, but for a read that is under way. */
  readOnDemand(): void {
    this.#ahead = false;
  }

  /** The child has ended: reads ahead what it has left. */
  async settle(): Promise<void> {
    const most = this.#moved + REST_SIZE;
    const rest = async () => {
      while (!this.#ended && this.#moved < most) await this.#fetch();
    };
    await whileMoving(rest(), this);
  }

  /** Takes what was read ahead, and puts it behind what was taken before. */
  takeAll(before: OwnBytes): OwnBytes {
    const chunks = before.length > 0 ? [before] : [];
    if (this.#head !== null) chunks.push(this.#head);
    this.#head = null;
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) return joined(chunks);
      chunks.push(chunk);
    }
  }

  close(): void {
    if (this.#ended) return;
    this.#finish();
    this.#reader.cancel().catch(nothing);
  }

  #finish(): void {
    this.#ended = true;
    this.end.open();
  }

  async #hurry(): Promise<void> {
    this.#hurrying = true;
    while (this.#ahead && !this.#ended) await this.#fetch();
    this.#hurrying = false;
  }

  get #empty(): boolean {
    return this.#head === null && this.#chunks.length === 0;
  }

  #fetch(): Promise<void> {
    return this.#fetching ??= this.#fetchNow();
  }

  async #fetchNow(): Promise<void> {
    const memory = this.#spare ?? new ArrayBuffer(READ_SIZE);
    this.#spare = null;
    try {
      const { value, done } = await this.#reader.read(new Uint8Array(memory));
      if (done) this.#finish();
      else this.#keep(value);
    } catch (error) {
      if (!this.#ended) this.#failure = { error };
      this.#finish();
    } finally {
      this.#fetching = null;
    }
  }

  /** Keeps what was read; a little is copied, so that it does not hold the memory for a lot. */
  #keep(chunk: OwnBytes): void {
    this.#moved += chunk.length;
    if (2 * chunk.length > READ_SIZE) return this.#chunks.push(chunk);
    this.#chunks.push(chunk.slice());
    this.#spare = chunk.buffer;
  }
}

/** Bytes that go into a child. */
export class InputPipe implements ByteSink {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #writing = false;
  #closed = false;
  /** The child has ended. */
  #orphaned = false;
  /** What goes before anything that is written from now on. */
  #parcel: PendingInput | null = null;
  /** Opens when the descriptor is free. */
  readonly released: Gate = new Gate();
  readonly #name: string;

  constructor(stream: WritableStream<Uint8Array>, name: string) {
    this.#name = name;
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(nothing);
  }

  describe(): string {
    return this.#name;
  }

  async write(data: Uint8Array): Promise<number> {
    if (this.#parcel !== null) await this.#parcel.done;
    return await this.#put(data);
  }

  /** Writes the whole of an input, before anything else that is written later. */
  send(input: Bytes): PendingInput {
    return this.#parcel = new PendingInput(input, (data) => this.#put(data));
  }

  async closeWrite(): Promise<void> {
    await this.#parcel?.done;
    if (this.#closed) return;
    this.#closed = true;
    await this.#writer.close().catch(nothing);
    this.released.open();
  }

  close(): void {
    void this.closeWrite();
  }

  /** A write that the pipe has no room for cannot be ended; the descriptor is free once it ends. */
  abort(): void {
    if (this.#closed) return;
    this.#closed = true;
    // An error of the runtime's own would hold what is on the stack.
    const aborted = this.#writer.abort("closed").catch(nothing);
    aborted.then(() => this.released.open());
  }

  /** The child has ended: whatever it has left unread, nobody will read. */
  async settle(): Promise<void> {
    this.#orphaned = true;
    if (!this.#writing) this.abort();
    // One who has the other end may let the write under way wait for ever.
    await whileMoving(this.released.wait(), { moved: 0, busy: false });
  }

  async #put(data: Uint8Array): Promise<number> {
    if (this.#closed) {
      throw new deno.errors.BrokenPipe(
        "Cannot write to a child process: it has ended or its stdin is closed",
      );
    }
    const part = data.length > WRITE_SIZE ? data.subarray(0, WRITE_SIZE) : data;
    this.#writing = true;
    try {
      await this.#writer.write(part);
      return part.length;
    } finally {
      this.#writing = false;
      if (this.#orphaned) this.abort();
    }
  }
}

/** The whole input of a child, on its way there whether or not somebody waits for it. */
export class PendingInput {
  #bytes: Uint8Array;
  #owned: boolean;
  /** Resolves when all was written, or the child has stopped reading. */
  readonly done: Promise<void>;
  /** Opens with that. */
  readonly sent: Gate = new Gate();

  constructor(input: Bytes, put: (data: Uint8Array) => Promise<number>) {
    this.#bytes = toBytes(input);
    this.#owned = typeof input === "string";
    this.done = this.#send(put).catch(nothing);
    this.done.then(() => this.sent.open());
  }

  /** The caller is free to change its bytes from here on. */
  own(): void {
    if (!this.#owned) this.#bytes = this.#bytes.slice();
    this.#owned = true;
  }

  /** Whether it is the same input. */
  holds(input: Bytes): boolean {
    const other = toBytes(input);
    const bytes = this.#bytes;
    return bytes === other ||
      (bytes.length === other.length &&
        bytes.every((byte, at) => byte === other[at]));
  }

  async #send(put: (data: Uint8Array) => Promise<number>): Promise<void> {
    for (let at = 0; at < this.#bytes.length;) {
      at += await put(this.#bytes.subarray(at));
    }
  }
}

/** What is done with the output of a child. */
export interface Output {
  /** Settles when the descriptor is free. */
  readonly closed: Promise<void>;
  /** The child has ended: moves what it has left, as far as that can be. */
  settle(): Promise<void>;
  close(): void;
}

/** Told of an error of the file or stream. */
type OnError = (error: unknown) => void;

/** Moves what a child writes to a file, which stays open, or to a stream, which is closed at the end. */
export class OutputPump implements Output, Progress {
  readonly #pipe: OutputPipe;
  readonly #drain: OutputSink;
  #moved = 0;
  readonly closed: Promise<void>;

  constructor(
    pipe: OutputPipe,
    target: Deno.FsFile | WritableStream<Uint8Array>,
    onError: OnError,
  ) {
    this.#pipe = pipe;
    this.#drain = target instanceof WritableStream
      ? new StreamSink(target)
      : new FileSink(target);
    this.closed = this.#run().catch(onError);
  }

  get moved(): number {
    return this.#moved;
  }

  get busy(): boolean {
    return this.#drain.busy;
  }

  settle(): Promise<void> {
    return whileMoving(this.closed, this);
  }

  close(): void {
    this.#pipe.close();
  }

  async #run(): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (;;) {
        const count = await this.#pipe.read(buffer);
        if (count === null) break;
        await this.#drain.write(buffer.subarray(0, count));
        this.#moved += count;
      }
      await this.#drain.end();
    } finally {
      this.#pipe.close();
      this.#drain.leave();
    }
  }
}

/** Moves a file or stream into a child, and closes its stdin at the end. */
export class InputPump {
  readonly #spring: InputSource;
  readonly #pipe: InputPipe;

  constructor(
    source: Deno.FsFile | ReadableStream<Bytes>,
    pipe: InputPipe,
    onError: OnError,
  ) {
    this.#spring = source instanceof ReadableStream
      ? new StreamSource(source)
      : new FileSource(source);
    this.#pipe = pipe;
    this.#run().catch(onError);
  }

  stop(): void {
    this.#spring.stop();
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#spring.next();
        if (chunk === null || !await this.#write(chunk)) break;
      }
      await this.#pipe.closeWrite();
    } finally {
      this.#pipe.close();
      this.#spring.stop();
    }
  }

  /** Returns `false` if the child has stopped reading. */
  async #write(chunk: Uint8Array): Promise<boolean> {
    try {
      for (let at = 0; at < chunk.length;) {
        at += await this.#pipe.write(chunk.subarray(at));
      }
      return true;
    } catch {
      return false;
    }
  }
}

/** Where an {@linkcode OutputPump} puts its bytes. */
interface OutputSink {
  /** Whether it is at work and sure to come to an end. */
  readonly busy: boolean;
  write(data: OwnBytes): Promise<void>;
  /** Nothing more will come. */
  end(): Promise<void>;
  /** Lets go of the target. */
  leave(): void;
}

class FileSink implements OutputSink {
  readonly #file: Deno.FsFile;
  busy = false;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  async write(data: OwnBytes): Promise<void> {
    this.busy = true;
    try {
      for (let at = 0; at < data.length;) {
        at += await this.#file.write(data.subarray(at));
      }
    } finally {
      this.busy = false;
    }
  }

  async end(): Promise<void> {}
  leave(): void {}
}

class StreamSink implements OutputSink {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** Never: a stream may wait for a reader that comes later. */
  readonly busy = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(nothing);
  }

  async write(data: OwnBytes): Promise<void> {
    await this.#writer.ready;
    this.#writer.write(data.slice()).catch(nothing);
  }

  end(): Promise<void> {
    return this.#writer.close();
  }

  leave(): void {
    this.#writer.releaseLock();
  }
}

/** Where an {@linkcode InputPump} has its bytes from. */
interface InputSource {
  /** The next bytes, `null` at the end. */
  next(): Promise<Uint8Array | null>;
  stop(): void;
}

class FileSource implements InputSource {
  readonly #file: Deno.FsFile;
  readonly #buffer = new Uint8Array(READ_SIZE);

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  async next(): Promise<Uint8Array | null> {
    const count = await this.#file.read(this.#buffer);
    return count === null ? null : this.#buffer.subarray(0, count);
  }

  stop(): void {}
}

class StreamSource implements InputSource {
  readonly #reader: ReadableStreamDefaultReader<Bytes>;

  constructor(stream: ReadableStream<Bytes>) {
    this.#reader = stream.getReader();
  }

  async next(): Promise<Uint8Array | null> {
    const { value, done } = await this.#reader.read();
    return done ? null : toBytes(value);
  }

  stop(): void {
    this.#reader.cancel().catch(nothing);
    this.#reader.releaseLock();
  }
}

/** Waits for something, but not longer than so many milliseconds. */
export function within(gate: Gate, milliseconds: number): Promise<void> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), milliseconds);
  return gate.wait(controller.signal).finally(() => clearTimeout(timer));
}

/** Waits for the end of a flow, but no longer than something moves that was there already. */
function whileMoving(end: Promise<void>, flow: Progress): Promise<void> {
  return new Promise((resolve) => {
    const most = flow.moved + REST_SIZE;
    let seen = flow.moved;
    let idle = 0;
    const look = () => {
      const { moved, busy } = flow;
      idle = moved === seen && !busy ? idle + 1 : 0;
      seen = moved;
      if (idle === IDLE_TICKS || moved >= most) resolve();
      else timer = setTimeout(look, 1);
    };
    // A timer of the host comes only after a look at its pipes.
    let timer = setTimeout(look, 1);
    end.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function joined(chunks: readonly OwnBytes[]): OwnBytes {
  if (chunks.length === 0) return NO_BYTES;
  if (chunks.length === 1) return chunks[0]!;
  const whole = new Uint8Array(chunks.reduce((sum, it) => sum + it.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function nothing(): void {}
