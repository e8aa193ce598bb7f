/**
 * The pipes between this process and a child, and the pumps between a pipe
 * and a file or web stream.
 *
 * The output of a child is read on demand, so the kernel slows down a child
 * that writes to a pipe which nobody reads. Once the child has exited, the rest
 * is read ahead: that is no more than the kernel buffers, and it frees the
 * descriptor even if the program never reads the bytes.
 *
 * This file knows nothing of tasks. It must run in the context of the loop, and
 * awaits only promises of Deno's.
 *
 * @module
 */

import { type Bytes, NO_BYTES, type OwnBytes, toBytes } from "./_bytes.ts";
import { Deque } from "./_collections.ts";
import { deno } from "./_deno.ts";
import type { ByteSource } from "./_read_pump.ts";
import type { Failure } from "./_waiting_call.ts";
import type { ByteSink } from "./_write_pump.ts";

/** The largest read: the default capacity of a pipe. */
const READ_SIZE = 65_536;
/** The largest write: Deno copies the bytes of each write. */
const WRITE_SIZE = 262_144;
/** The number of bytes after which reading stops that began when the child exited. */
const MAX_REMAINDER = 1_048_576;
/** If no bytes move for this many timer ticks, another process holds the pipe. */
const IDLE_TICKS = 2;

/** The progress of a pipe or pump. */
interface Progress {
  /** The number of bytes moved so far. */
  readonly moved: number;
  /** Whether a write is in progress that is sure to finish. */
  readonly busy: boolean;
}

const resolved = Promise.resolve();

/** An event that happens once. A cancelled wait leaves nothing behind. */
export class OneShotEvent {
  #callbacks: Set<() => void> | null = new Set();

  /** Whether anything waits for the event. */
  get hasWaiters(): boolean {
    return this.#callbacks !== null && this.#callbacks.size > 0;
  }

  /** Sets the event and calls everything that waits for it. */
  set(): void {
    const waiting = this.#callbacks;
    this.#callbacks = null;
    waiting?.forEach((call) => call());
  }

  /** Adds a callback. One that is added twice is called once. */
  add(call: () => void): void {
    this.#callbacks?.add(call);
  }

  delete(call: () => void): void {
    this.#callbacks?.delete(call);
  }

  /** Resolves when the event is set or `signal` has aborted. */
  wait(signal?: AbortSignal): Promise<void> {
    if (this.#callbacks === null || signal?.aborted) return resolved;
    return new Promise((resolve) => {
      const finish = () => {
        this.delete(finish);
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      this.add(finish);
      signal?.addEventListener("abort", finish);
    });
  }
}

/** The reading end of a child's `stdout` or `stderr`. */
export class OutputPipe implements ByteSource, Output, Progress {
  readonly #reader: ReadableStreamBYOBReader;
  /** Chunks that were read ahead, after `#head`. */
  readonly #chunks = new Deque<OwnBytes>();
  /** The chunk that was read in part; never empty. */
  #head: OwnBytes | null = null;
  /** The memory for the next read; Deno owns it during a read. */
  #memory: ArrayBuffer | null = null;
  #reading: Promise<void> | null = null;
  /** Whether to read everything ahead, and whether that is running. */
  #readsAhead = false;
  #isReadingAhead = false;
  #moved = 0;
  /** The end was reached, or the pipe was closed. */
  #isEnded = false;
  /** Set together with `#isEnded`. */
  readonly end: OneShotEvent = new OneShotEvent();
  #failure: Failure | null = null;
  /** Resolves when the descriptor is closed. */
  readonly closed: Promise<void>;
  readonly #name: string;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, name: string) {
    this.#name = name;
    this.#reader = stream.getReader({ mode: "byob" });
    this.closed = this.#reader.closed.then(ignore, ignore);
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

  /** Whether the pipe is open and nobody reads from it. */
  get isUnread(): boolean {
    return !this.#isEnded && this.#reading === null;
  }

  /** How many bytes were read ahead, and not taken. */
  get bytesAhead(): number {
    const chunks = [...this.#chunks, this.#head ?? NO_BYTES];
    return chunks.reduce((sum, { length }) => sum + length, 0);
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const chunk = await this.readChunk(buffer.length);
    if (chunk === null) return null;
    buffer.set(chunk);
    return chunk.length;
  }

  async readChunk(max: number): Promise<OwnBytes | null> {
    while (this.#isEmpty) {
      if (this.#failure !== null) throw this.#failure.error;
      if (this.#isEnded) return null;
      await this.#readNext();
    }
    const head = this.#head ?? this.#chunks.shift()!;
    this.#head = head.length > max ? head.subarray(max) : null;
    // The reader must not share memory with the rest.
    return this.#head === null ? head : head.slice(0, max);
  }

  /** Reads everything ahead from now on. */
  readAhead(): void {
    this.#readsAhead = true;
    if (!this.#isReadingAhead) void this.#runReadAhead();
  }

  /** Reads on demand from now on. A pending read continues. */
  readOnDemand(): void {
    this.#readsAhead = false;
  }

  /** The child has exited: reads ahead what it has written. */
  async drainAfterExit(): Promise<void> {
    const max = this.#moved + MAX_REMAINDER;
    const rest = async () => {
      while (!this.#isEnded && this.#moved < max) await this.#readNext();
    };
    await whileMoving(rest(), this);
  }

  /** Takes everything that was read ahead, and appends it to `before`. */
  takeAll(before: OwnBytes): OwnBytes {
    const chunks = before.length > 0 ? [before] : [];
    if (this.#head !== null) chunks.push(this.#head);
    this.#head = null;
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) return concat(chunks);
      chunks.push(chunk);
    }
  }

  close(): void {
    if (this.#isEnded) return;
    this.#end();
    this.#reader.cancel().catch(ignore);
  }

  #end(): void {
    this.#isEnded = true;
    this.end.set();
  }

  async #runReadAhead(): Promise<void> {
    this.#isReadingAhead = true;
    while (this.#readsAhead && !this.#isEnded) await this.#readNext();
    this.#isReadingAhead = false;
  }

  get #isEmpty(): boolean {
    return this.#head === null && this.#chunks.length === 0;
  }

  #readNext(): Promise<void> {
    return this.#reading ??= this.#readFromPipe();
  }

  async #readFromPipe(): Promise<void> {
    const memory = this.#memory ?? new ArrayBuffer(READ_SIZE);
    this.#memory = null;
    try {
      const { value, done } = await this.#reader.read(new Uint8Array(memory));
      if (done) this.#end();
      else this.#keep(value);
    } catch (error) {
      if (!this.#isEnded) this.#failure = { error };
      this.#end();
    } finally {
      this.#reading = null;
    }
  }

  /** Stores a chunk. A small one is copied, so that it does not keep a large buffer alive. */
  #keep(chunk: OwnBytes): void {
    this.#moved += chunk.length;
    if (2 * chunk.length > READ_SIZE) return this.#chunks.push(chunk);
    this.#chunks.push(chunk.slice());
    this.#memory = chunk.buffer;
  }
}

/** The writing end of a child's `stdin`. */
export class InputPipe implements ByteSink {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #writing = false;
  #closed = false;
  /** The child has exited. */
  #hasExited = false;
  /** The input that has to be written before anything else. */
  #pendingInput: PendingInput | null = null;
  /** Set when the descriptor is closed. */
  readonly released: OneShotEvent = new OneShotEvent();
  readonly #name: string;

  constructor(stream: WritableStream<Uint8Array>, name: string) {
    this.#name = name;
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(ignore);
  }

  describe(): string {
    return this.#name;
  }

  async write(data: Uint8Array): Promise<number> {
    if (this.#pendingInput !== null) await this.#pendingInput.done;
    return await this.#writePart(data);
  }

  /** Writes an input as a whole, before later writes. */
  send(input: Bytes): PendingInput {
    return this.#pendingInput = new PendingInput(
      input,
      (data) => this.#writePart(data),
    );
  }

  async closeWrite(): Promise<void> {
    await this.#pendingInput?.done;
    if (this.#closed) return;
    this.#closed = true;
    await this.#writer.close().catch(ignore);
    this.released.set();
  }

  close(): void {
    void this.closeWrite();
  }

  /** Closes the pipe without writing the rest. A write that waits for room cannot be cancelled, and keeps the descriptor open until it ends. */
  abort(): void {
    if (this.#closed) return;
    this.#closed = true;
    // An Error that Deno creates would keep alive what is on the stack.
    const aborted = this.#writer.abort("closed").catch(ignore);
    aborted.then(() => this.released.set());
  }

  /** The child has exited: what it has not read is lost. */
  async closeAfterExit(): Promise<void> {
    this.#hasExited = true;
    if (!this.#writing) this.abort();
    // If another process holds the other end, the write may wait for ever.
    await whileMoving(this.released.wait(), { moved: 0, busy: false });
  }

  async #writePart(data: Uint8Array): Promise<number> {
    if (this.#closed) {
      throw new deno.errors.BrokenPipe(
        "Cannot write to a child process: it has exited, or its stdin is closed",
      );
    }
    const part = data.length > WRITE_SIZE ? data.subarray(0, WRITE_SIZE) : data;
    this.#writing = true;
    try {
      await this.#writer.write(part);
      return part.length;
    } finally {
      this.#writing = false;
      if (this.#hasExited) this.abort();
    }
  }
}

/** The input of a `communicate()` call. It is written whether or not the call is cancelled. */
export class PendingInput {
  #bytes: Uint8Array;
  #isCopied: boolean;
  /** Resolves when everything is written or the child has stopped reading. */
  readonly done: Promise<void>;
  /** Set together with `done`. */
  readonly sent: OneShotEvent = new OneShotEvent();

  constructor(input: Bytes, put: (data: Uint8Array) => Promise<number>) {
    this.#bytes = toBytes(input);
    this.#isCopied = typeof input === "string";
    this.done = this.#send(put).catch(ignore);
    this.done.then(() => this.sent.set());
  }

  /** Copies the bytes, because the caller may change them from now on. */
  copy(): void {
    if (!this.#isCopied) this.#bytes = this.#bytes.slice();
    this.#isCopied = true;
  }

  /** Whether the input has the same bytes. */
  equals(input: Bytes): boolean {
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

/** A pipe that the program reads, or a pump that copies it. */
export interface Output {
  /** Resolves when the descriptor is closed. */
  readonly closed: Promise<void>;
  /** The child has exited: moves what it has written, as far as possible. */
  drainAfterExit(): Promise<void>;
  close(): void;
}

/** Called with an error of the file or stream. */
type OnError = (error: unknown) => void;

/** Copies the output of a child to a file, which stays open, or a stream, which is closed at the end. */
export class OutputPump implements Output, Progress {
  readonly #pipe: OutputPipe;
  readonly #sink: OutputSink;
  #moved = 0;
  readonly closed: Promise<void>;

  constructor(
    pipe: OutputPipe,
    target: Deno.FsFile | WritableStream<Uint8Array>,
    onError: OnError,
  ) {
    this.#pipe = pipe;
    this.#sink = target instanceof WritableStream
      ? new StreamSink(target)
      : new FileSink(target);
    this.closed = this.#run().catch(onError);
  }

  get moved(): number {
    return this.#moved;
  }

  get busy(): boolean {
    return this.#sink.busy;
  }

  drainAfterExit(): Promise<void> {
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
        await this.#sink.write(buffer.subarray(0, count));
        this.#moved += count;
      }
      await this.#sink.end();
    } finally {
      this.#pipe.close();
      this.#sink.release();
    }
  }
}

/** Copies a file or stream to the `stdin` of a child, and closes that at the end. */
export class InputPump {
  readonly #source: InputSource;
  readonly #pipe: InputPipe;

  constructor(
    source: Deno.FsFile | ReadableStream<Bytes>,
    pipe: InputPipe,
    onError: OnError,
  ) {
    this.#source = source instanceof ReadableStream
      ? new StreamSource(source)
      : new FileSource(source);
    this.#pipe = pipe;
    this.#run().catch(onError);
  }

  stop(): void {
    this.#source.stop();
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#source.read();
        if (chunk === null || !await this.#write(chunk)) break;
      }
      await this.#pipe.closeWrite();
    } finally {
      this.#pipe.close();
      this.#source.stop();
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

/** The target of an {@linkcode OutputPump}. */
interface OutputSink {
  /** Whether a write is in progress that is sure to finish. */
  readonly busy: boolean;
  write(data: OwnBytes): Promise<void>;
  /** Signals the end. */
  end(): Promise<void>;
  /** Releases the target. */
  release(): void;
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
  release(): void {}
}

class StreamSink implements OutputSink {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** Always `false`: a write to a stream may wait for a reader that comes later. */
  readonly busy = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(ignore);
  }

  async write(data: OwnBytes): Promise<void> {
    await this.#writer.ready;
    this.#writer.write(data.slice()).catch(ignore);
  }

  end(): Promise<void> {
    return this.#writer.close();
  }

  release(): void {
    this.#writer.releaseLock();
  }
}

/** The source of an {@linkcode InputPump}. */
interface InputSource {
  /** The next bytes, `null` at the end. */
  read(): Promise<Uint8Array | null>;
  stop(): void;
}

class FileSource implements InputSource {
  readonly #file: Deno.FsFile;
  readonly #buffer = new Uint8Array(READ_SIZE);

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  async read(): Promise<Uint8Array | null> {
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

  async read(): Promise<Uint8Array | null> {
    const { value, done } = await this.#reader.read();
    return done ? null : toBytes(value);
  }

  stop(): void {
    this.#reader.cancel().catch(ignore);
    this.#reader.releaseLock();
  }
}

/** Waits for an event, for a limited number of milliseconds. */
export function waitAtMost(
  gate: OneShotEvent,
  milliseconds: number,
): Promise<void> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), milliseconds);
  return gate.wait(controller.signal).finally(() => clearTimeout(timer));
}

/** Waits for a pipe to end, as long as bytes move that were in it already. */
function whileMoving(end: Promise<void>, progress: Progress): Promise<void> {
  return new Promise((resolve) => {
    const max = progress.moved + MAX_REMAINDER;
    let seen = progress.moved;
    let idle = 0;
    const check = () => {
      const { moved, busy } = progress;
      idle = moved === seen && !busy ? idle + 1 : 0;
      seen = moved;
      if (idle === IDLE_TICKS || moved >= max) resolve();
      else timer = setTimeout(check, 1);
    };
    // Deno polls its pipes before it runs a timer.
    let timer = setTimeout(check, 1);
    end.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function concat(chunks: readonly OwnBytes[]): OwnBytes {
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

function ignore(): void {}
