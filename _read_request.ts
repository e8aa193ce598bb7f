/**
 * The state of a reader, and the kinds of reads: some bytes, all of them, an
 * exact number, up to a separator, a line.
 *
 * @module
 */

import { ByteBuffer, NO_BYTES, type OwnBytes } from "./_bytes.ts";
import type { AnyFuture, WaitSource } from "./_future.ts";
import { inspect } from "./_host.ts";
import type { Failure } from "./_waiting_call.ts";
import { IncompleteReadError, LimitOverrunError } from "./exceptions.ts";

/** The error that ended a stream. */
export interface StreamFailure extends Failure {
  /** Whether it was thrown to the program. */
  isObserved: boolean;
}

/** What a reader does for its reads. */
export interface ReadPolicy {
  /** A notified read resumes. */
  complete(reader: object, read: ReadRequest): unknown;
  /** A read was cancelled before it was notified. */
  remove(reader: object, read: ReadRequest): void;
}

/** Set by `_stream_reader.ts`. */
export const readPolicy = {} as ReadPolicy;

export const NEWLINE = 10;
const NEWLINE_SEPARATOR = [new Uint8Array([NEWLINE])];

/** The buffer of a reader and how the stream ended, if it did. */
export class ReaderState {
  readonly buffer: ByteBuffer = new ByteBuffer();
  readonly limit: number;
  /** The source has ended; the buffer may still have bytes. */
  eof = false;
  failure: StreamFailure | null = null;
  /** The bytes up to the next newline belong to a line over the limit, and are dropped. */
  isSkippingLine = false;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Drops the rest of a line over the limit, as far as it has arrived. */
  skipLine(): void {
    const { buffer } = this;
    const end = buffer.findByte(NEWLINE, 0, buffer.size);
    buffer.take(end < 0 ? buffer.size : end + 1);
    this.isSkippingLine = end < 0;
  }

  throwFailure(): void {
    if (this.failure === null) return;
    this.failure.isObserved = true;
    throw this.failure.error;
  }
}

/** One read: what it asks for, and its future while it waits. */
export abstract class ReadRequest implements WaitSource {
  readonly kind = "read";
  readonly #reader: object;
  protected readonly state: ReaderState;
  future: AnyFuture | null = null;

  constructor(reader: object, state: ReaderState) {
    this.#reader = reader;
    this.state = state;
  }

  /** Whether there is a result or an error. */
  abstract isReady(): boolean;

  /** Takes the result out of the buffer, or throws the error. */
  abstract result(): OwnBytes;

  /** The largest number of buffered bytes that it can use. */
  abstract maxBytes(): number;

  complete(): unknown {
    return readPolicy.complete(this.#reader, this);
  }

  /** Nothing was taken out of the buffer, so there is nothing to hand off. */
  handOff(): void {}

  remove(): void {
    readPolicy.remove(this.#reader, this);
  }

  describe(): string {
    return `${this.wanted} from ${inspect(this.#reader)}`;
  }

  /** What it is after, in a few words. */
  protected get wanted(): string {
    return "bytes";
  }
}

/** Reads up to `max` bytes, and at least `min` unless the stream ends. */
export class ReadSome extends ReadRequest {
  protected readonly max: number;
  readonly #min: number;

  constructor(
    reader: object,
    state: ReaderState,
    max: number,
    min: number = Math.min(max, 1),
  ) {
    super(reader, state);
    this.max = max;
    this.#min = min;
  }

  isReady(): boolean {
    return this.state.buffer.size >= this.#min || this.state.eof;
  }

  result(): OwnBytes {
    const { buffer } = this.state;
    return buffer.take(Math.min(this.max, buffer.size));
  }

  maxBytes(): number {
    return this.max;
  }
}

/** Waits until there are bytes to read, and takes none. */
export class ReadReady extends ReadSome {
  override result(): OwnBytes {
    return NO_BYTES;
  }
}

/** Reads everything up to the end. */
export class ReadAll extends ReadSome {
  constructor(reader: object, state: ReaderState) {
    super(reader, state, Infinity, Infinity);
  }

  protected override get wanted(): string {
    return "the end of all bytes";
  }
}

export class ReadExactly extends ReadSome {
  constructor(reader: object, state: ReaderState, count: number) {
    super(reader, state, count, count);
  }

  protected override get wanted(): string {
    return `${this.max} bytes`;
  }

  override result(): OwnBytes {
    const { buffer } = this.state;
    if (buffer.size >= this.max) return super.result();
    throw new IncompleteReadError(buffer.takeAll(), this.max);
  }
}

/** Reads up to the first of several separators. */
export class ReadUntil extends ReadRequest {
  /** Sorted by length; none is empty. */
  readonly #separators: readonly Uint8Array[];
  readonly #longest: number;
  /** No separator begins before this position. */
  #searchFrom = 0;
  /** Where the separator that was found begins and ends; -1 if none was. */
  #start = -1;
  #end = -1;
  /** The positions are valid while `buffer.consumed` has this value. */
  #consumed: number;

  constructor(
    reader: object,
    state: ReaderState,
    separators: readonly Uint8Array[],
  ) {
    super(reader, state);
    this.#separators = separators;
    this.#longest = separators[separators.length - 1]!.length;
    this.#consumed = state.buffer.consumed;
  }

  isReady(): boolean {
    const { buffer, eof, limit } = this.state;
    if (this.#consumed !== buffer.consumed) this.#restart(buffer.consumed);
    if (this.#end < 0) this.#search(buffer);
    return this.#end >= 0 || this.#searchFrom > limit || eof;
  }

  result(): OwnBytes {
    const { buffer, limit } = this.state;
    if (this.#end >= 0) {
      if (this.#start > limit) return this.onOverrun(this.#start, this.#end);
      return buffer.take(this.#end);
    }
    if (this.#searchFrom > limit) return this.onOverrun(this.#searchFrom, -1);
    return this.onIncomplete();
  }

  maxBytes(): number {
    return this.state.limit + this.#longest + 1;
  }

  protected override get wanted(): string {
    return "a separator";
  }

  /** There are more bytes than the limit before the separator. */
  protected onOverrun(consumed: number, end: number): OwnBytes {
    throw new LimitOverrunError(
      overrunMessage(this.state.limit, end),
      consumed,
    );
  }

  /** The stream ended before a separator. */
  protected onIncomplete(): OwnBytes {
    throw new IncompleteReadError(this.state.buffer.takeAll(), null);
  }

  #search(buffer: ByteBuffer): void {
    let to = buffer.size;
    for (const separator of this.#separators) {
      const at = buffer.find(separator, this.#searchFrom, to);
      if (at < 0) continue;
      this.#start = at;
      this.#end = at + separator.length;
      to = this.#end - 1;
    }
    if (this.#end < 0) {
      this.#searchFrom = Math.max(
        this.#searchFrom,
        buffer.size + 1 - this.#longest,
      );
    }
  }

  #restart(taken: number): void {
    this.#consumed = taken;
    this.#searchFrom = 0;
    this.#start = this.#end = -1;
  }
}

/** Reads a line; the last one may lack its newline. */
export class ReadLine extends ReadUntil {
  constructor(reader: object, state: ReaderState) {
    super(reader, state, NEWLINE_SEPARATOR);
  }

  protected override get wanted(): string {
    return "the end of a line";
  }

  protected override onOverrun(_consumed: number, end: number): OwnBytes {
    const { buffer, eof, limit } = this.state;
    buffer.take(end < 0 ? buffer.size : end);
    this.state.isSkippingLine = end < 0 && !eof;
    throw new RangeError(overrunMessage(limit, end));
  }

  protected override onIncomplete(): OwnBytes {
    return this.state.buffer.takeAll();
  }
}

function overrunMessage(limit: number, end: number): string {
  return end < 0
    ? `Separator is not found, and the chunk exceeds the limit of ${limit} bytes`
    : `Separator is found, but the chunk is longer than the limit of ${limit} bytes`;
}
