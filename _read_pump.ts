/**
 * The read pump moves bytes from a source into the buffer of a reader.
 *
 * It reads on demand: it asks the source for bytes only while somebody waits
 * for them. An idle connection therefore has no buffer and does not keep the
 * program alive, and a peer that sends too much is slowed down by the kernel.
 *
 * @module
 */

import type { ByteBuffer, OwnBytes } from "./_bytes.ts";
import { deno } from "./_deno.ts";
import type { EventLoop } from "./_event_loop.ts";
import { IoBatch } from "./_io_batch.ts";

/** Where the bytes of a reader come from. */
export interface ByteSource {
  /** Reads into a buffer. Resolves to the number of bytes, `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Reads up to `max` bytes into memory of the source's own, if it works that way. */
  readChunk?(max: number): Promise<OwnBytes | null>;
  /** Called when nothing more will be read: at the end, after an error, or when the reader is closed. */
  close(): void;
  /** Describes the source in a few words. */
  describe?(): string;
  /** Lets a pending read keep the program alive; this is the initial state. */
  ref?(): void;
  /** Stops a pending read from keeping the program alive. */
  unref?(): void;
}

/** The reader that a pump fills. */
export interface ReadPumpTarget {
  readonly buffer: ByteBuffer;
  /** Bytes were added to the buffer. */
  received(): void;
  /** The source has reached its end. */
  ended(): void;
  /** A read of the source has failed. */
  failed(error: unknown): void;
}

/** Size of the first read of a connection; later ones adapt to the traffic. */
const MIN_READ = 2_048;
const MAX_READ = 131_072;

/** States of a pump: nothing to read. */
const IDLE = 0;
/** A read starts at the end of the batch, or when the pump resumes. */
const SCHEDULED = 1;
/** A read of the source is pending. */
const READING = 2;
/** Nothing more will be read. */
const STOPPED = 3;

/** Reads from a source into a reader, one read at a time. */
export class ReadPump {
  readonly loop: EventLoop;
  readonly #target: ReadPumpTarget;
  readonly #batch: IoBatch;
  readonly #source: ByteSource;
  #state = IDLE;
  /** A paused pump starts no read. */
  #isPaused = false;
  /** The size of the next read. */
  #size = MIN_READ;
  /** The size of the last read, which may have been smaller than `#size`. */
  #requested = 0;
  /** The largest number of bytes that the reader has room for. */
  #max = 0;
  /** Whether a pending read keeps the program, and the pump, alive. */
  #isReferenced = true;
  readonly #callbacks = new ReadCallbacks(this);

  constructor(
    loop: EventLoop,
    source: ByteSource,
    target: ReadPumpTarget,
  ) {
    this.loop = loop;
    this.#source = source;
    this.#target = target;
    this.#batch = IoBatch.of(loop);
  }

  /** Whether a read is pending or scheduled. */
  get isReading(): boolean {
    return this.#state === READING || this.#state === SCHEDULED;
  }

  /** Describes the source, if it has a description. */
  describe(): string | undefined {
    return this.#source.describe?.();
  }

  /** Requests up to `max` bytes. The read keeps the program alive only if `keepsAlive` is set. */
  request(max: number, keepsAlive: boolean): void {
    if (this.#state === STOPPED) return;
    if (keepsAlive !== this.#isReferenced) this.#setReferenced(keepsAlive);
    this.#max = max;
    if (this.#state !== IDLE) return;
    this.#state = SCHEDULED;
    if (!this.#isPaused) this.#batch.addRead(this);
  }

  /** Starts the scheduled read. */
  start(): void {
    if (this.#state !== SCHEDULED || this.#isPaused) return;
    this.#state = READING;
    const { onRead, onChunk, onFailure } = this.#callbacks;
    try {
      if (this.#source.readChunk !== undefined) {
        this.#source.readChunk(this.#max).then(onChunk, onFailure);
        return;
      }
      const memory = this.#target.buffer.reserve(this.#size, this.#max);
      this.#requested = memory.length;
      this.#source.read(memory).then(onRead, onFailure);
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** Called when no read waits any more. A scheduled read is dropped, a pending one continues. */
  release(): void {
    if (this.#state === SCHEDULED) this.#state = IDLE;
    else if (this.#state === READING && this.#isReferenced) {
      this.#setReferenced(false);
    }
  }

  /** Starts no read until {@linkcode ReadPump.resume}. No read may be pending. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Resumes reading, from a source that may have been replaced meanwhile. */
  resume(): void {
    if (this.#state === STOPPED) return;
    this.#isPaused = false;
    if (!this.#isReferenced) this.#setReferenced(false); // a new source is referenced
    if (this.#state === SCHEDULED) this.#batch.addRead(this);
  }

  stop(): void {
    if (this.#state === STOPPED) return;
    this.#state = STOPPED;
    this.#source.close();
  }

  onRead(count: number | null): void {
    if (!this.#finishRead(count)) return;
    this.#adaptSize(count);
    try {
      this.#target.buffer.commit(count);
      this.#target.received();
    } catch (error) {
      this.onFailure(error);
    }
  }

  onChunk(chunk: OwnBytes | null): void {
    if (!this.#finishRead(chunk)) return;
    try {
      this.#target.buffer.adopt(chunk);
      this.#target.received();
    } catch (error) {
      this.onFailure(error);
    }
  }

  onFailure(error: unknown): void {
    // A TLS peer closed the connection without close_notify: all it sent has arrived.
    if (error instanceof deno.errors.UnexpectedEof) return this.onRead(null);
    if (this.#state === STOPPED) return;
    this.#state = IDLE;
    this.#target.failed(error);
  }

  /** Returns whether the read has brought anything: `null` means the end. */
  #finishRead<T>(result: T | null): result is T {
    if (this.#state === STOPPED) return false;
    this.#state = IDLE;
    if (result !== null) return true;
    this.#target.ended();
    return false;
  }

  /** Adapts the size of the reads to the traffic. */
  #adaptSize(count: number): void {
    if (count === this.#requested) {
      this.#size = Math.min(4 * this.#size, MAX_READ);
    } else if (count * 16 < this.#size && this.#size > MIN_READ) {
      this.#size /= 4;
    }
  }

  #setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    if (isReferenced) {
      this.#callbacks.holdStrongly(this);
      this.#source.ref?.();
    } else {
      this.#callbacks.holdWeakly();
      this.#source.unref?.();
    }
  }
}

/**
 * The callbacks of a pending read. Once nobody waits for the read they hold
 * the pump weakly, so that a connection that the program has dropped can be
 * garbage-collected, and reported, although its read is pending.
 */
class ReadCallbacks {
  #pump: ReadPump | null;
  #weakPump: WeakRef<ReadPump> | null = null;

  constructor(pump: ReadPump) {
    this.#pump = pump;
  }

  holdStrongly(pump: ReadPump): void {
    this.#pump = pump;
  }

  holdWeakly(): void {
    if (this.#pump !== null) this.#weakPump ??= new WeakRef(this.#pump);
    this.#pump = null;
  }

  readonly onRead = (count: number | null): void =>
    this.#deref()?.onRead(count);

  readonly onChunk = (chunk: OwnBytes | null): void =>
    this.#deref()?.onChunk(chunk);

  readonly onFailure = (error: unknown): void =>
    this.#deref()?.onFailure(error);

  #deref(): ReadPump | undefined {
    return this.#pump ?? this.#weakPump?.deref();
  }
}
