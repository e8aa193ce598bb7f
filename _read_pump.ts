/**
 * The read pump: brings bytes from a source into the buffer of a reader.
 *
 * Bytes come on demand: the pump asks the source only while a read waits, so
 * an idle connection has no buffer and nothing that keeps the program alive,
 * and the kernel holds back a peer that floods us.
 *
 * @module
 */

import type { ByteBuffer, OwnBytes } from "./_bytes.ts";
import { deno } from "./_deno.ts";
import type { EventLoop } from "./_event_loop.ts";
import { HostCalls } from "./_io_batch.ts";

/** Where the bytes of a reader come from. */
export interface ByteSource {
  /** Reads into a buffer. Resolves to the number of bytes, `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Reads up to so many bytes that come in memory of their own; for sources that have such. */
  readChunk?(most: number): Promise<OwnBytes | null>;
  /** Nothing more will be read: the end was reached, reading failed or the reader was given up. */
  close(): void;
  /** Where the bytes come from, in a few words. */
  describe?(): string;
  /** A read that is under way keeps the program alive, as it does at first. */
  ref?(): void;
  /** A read that is under way does not keep the program alive. */
  unref?(): void;
}

/** The reader that a pump fills. */
export interface ReadPumpTarget {
  readonly buffer: ByteBuffer;
  /** Bytes were added to the buffer. */
  received(): void;
  /** The source has come to its end. */
  ended(): void;
  /** A read of the source has failed. */
  failed(error: unknown): void;
}

/** The first read of a connection takes so much; later ones follow the traffic. */
const SMALLEST_READ = 2_048;
const LARGEST_READ = 131_072;

/** Brings bytes from a source to a reader, one read of the source at a time. */
export class ReadPump {
  readonly loop: EventLoop;
  readonly #target: ReadPumpTarget;
  readonly #calls: HostCalls;
  readonly #source: ByteSource;
  /** How much the next read asks for, and the last one did. */
  #size = SMALLEST_READ;
  #asked = 0;
  /** How much the next read may bring. */
  #most = 0;
  /** A read of the source is under way, or about to be. */
  #reading = false;
  /** A read of the source is about to be. */
  #planned = false;
  /** No read of the source may begin. */
  #held = false;
  #stopped = false;
  /** Whether a read of the source keeps the program, and this, alive. */
  #referenced = true;
  readonly #answers = new Answers(this);

  constructor(
    loop: EventLoop,
    source: ByteSource,
    target: ReadPumpTarget,
  ) {
    this.loop = loop;
    this.#source = source;
    this.#target = target;
    this.#calls = HostCalls.of(loop);
  }

  /** Whether a read of the source is under way. */
  get reading(): boolean {
    return this.#reading;
  }

  /** Where the bytes come from, if the source says. */
  describe(): string | undefined {
    return this.#source.describe?.();
  }

  /** Has up to `most` bytes read. Only what is waited for keeps the program alive. */
  demand(most: number, waited: boolean): void {
    if (this.#stopped) return;
    if (waited !== this.#referenced) this.#refer(waited);
    this.#most = most;
    if (this.#reading) return;
    this.#reading = this.#planned = true;
    if (!this.#held) this.#calls.addRead(this);
  }

  /** Reads from the source now. */
  start(): void {
    if (this.#stopped || !this.#planned || this.#held) return;
    this.#planned = false;
    const { onRead, onChunk, onFailure } = this.#answers;
    try {
      if (this.#source.readChunk !== undefined) {
        this.#source.readChunk(this.#most).then(onChunk, onFailure);
        return;
      }
      const memory = this.#target.buffer.lend(this.#size, this.#most);
      this.#asked = memory.length;
      this.#source.read(memory).then(onRead, onFailure);
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** Nobody waits any more; the read under way goes on. */
  relax(): void {
    if (this.#planned) this.#reading = this.#planned = false;
    else if (this.#reading && this.#referenced) this.#refer(false);
  }

  /** Begins no read of the source until {@linkcode ReadPump.release}. None may be under way. */
  hold(): void {
    this.#held = true;
  }

  /** The source is another one now, which keeps the program alive as a new one does. */
  release(): void {
    if (this.#stopped) return;
    this.#held = false;
    if (!this.#referenced) this.#refer(false);
    if (this.#planned) this.#calls.addRead(this);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#source.close();
  }

  /** A read of the source is over. */
  onRead(count: number | null): void {
    if (!this.#goesOn(count)) return;
    this.#adapt(count);
    try {
      this.#target.buffer.filled(count);
      this.#target.received();
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** A read of a source that has memory of its own is over. */
  onChunk(chunk: OwnBytes | null): void {
    if (!this.#goesOn(chunk)) return;
    try {
      this.#target.buffer.adopt(chunk);
      this.#target.received();
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** A read is over; `null` says that it was the last. */
  #goesOn<T>(what: T | null): what is T {
    this.#reading = false;
    if (this.#stopped) return false;
    if (what !== null) return true;
    this.#target.ended();
    return false;
  }

  /** A read of the source has failed. */
  onFailure(error: unknown): void {
    // A TLS peer that just closes the connection: what it sent has all come.
    if (error instanceof deno.errors.UnexpectedEof) return this.onRead(null);
    this.#reading = false;
    if (!this.#stopped) this.#target.failed(error);
  }

  /** Follows the traffic with the size of the reads. */
  #adapt(count: number): void {
    if (count === this.#asked) {
      this.#size = Math.min(4 * this.#size, LARGEST_READ);
    } else if (count * 16 < this.#size && this.#size > SMALLEST_READ) {
      this.#size /= 4;
    }
  }

  #refer(referenced: boolean): void {
    this.#referenced = referenced;
    if (referenced) {
      this.#answers.hold(this);
      this.#source.ref?.();
    } else {
      this.#answers.loosen();
      this.#source.unref?.();
    }
  }
}

/**
 * Where the answers of a source go. A read that goes on though nobody waits
 * for it does not hold the inlet, so that a connection that was forgotten
 * meanwhile can be told from one that is in use.
 */
class Answers {
  #inlet: ReadPump | null;
  #loose: WeakRef<ReadPump> | null = null;

  constructor(inlet: ReadPump) {
    this.#inlet = inlet;
  }

  hold(inlet: ReadPump): void {
    this.#inlet = inlet;
  }

  loosen(): void {
    if (this.#inlet !== null) this.#loose ??= new WeakRef(this.#inlet);
    this.#inlet = null;
  }

  readonly onRead = (count: number | null): void => this.#find()?.onRead(count);

  readonly onChunk = (chunk: OwnBytes | null): void =>
    this.#find()?.onChunk(chunk);

  readonly onFailure = (error: unknown): void => this.#find()?.onFailure(error);

  #find(): ReadPump | undefined {
    return this.#inlet ?? this.#loose?.deref();
  }
}
