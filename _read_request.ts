/**
 * What a reader has, and the ways to read from it: some bytes, all, an exact
 * number, up to a separator, a line.
 *
 * @module
 */

import { ByteBuffer, NO_BYTES, type OwnBytes } from "./_bytes.ts";
import type { AnyFuture, WaitSource } from "./_future.ts";
import { inspect } from "./_host.ts";
import { IncompleteReadError, LimitOverrunError } from "./exceptions.ts";

/** An error, and whether some code has been told of it. */
export interface Failure {
  readonly error: unknown;
  told: boolean;
}

/** What a reader does for its reads. */
export interface ReadOwners {
  /** The read that was woken resumes. */
  take(reader: object, read: Read): unknown;
  /** The read ended before it was woken. */
  drop(reader: object, read: Read): void;
}

/** `_stream_reader.ts` fills it in. */
export const owners = {} as ReadOwners;

export const NEWLINE = 10;
const newline = [new Uint8Array([NEWLINE])];

/** What a reader has, and how it stands. */
export class ReaderState {
  readonly buffer: ByteBuffer = new ByteBuffer();
  readonly limit: number;
  /** Nothing more will come. */
  eof = false;
  failure: Failure | null = null;
  /** What comes up to the next newline belongs to a line that was dropped. */
  skipping = false;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Drops the rest of a line that was dropped, as far as it has come. */
  skip(): void {
    const { buffer } = this;
    const end = buffer.findByte(NEWLINE, 0, buffer.size);
    buffer.take(end < 0 ? buffer.size : end + 1);
    this.skipping = end < 0;
  }

  throwFailure(): void {
    if (this.failure === null) return;
    this.failure.told = true;
    throw this.failure.error;
  }
}

/** One read: what it is after, and its place in the reader while it waits. */
export abstract class Read implements WaitSource {
  readonly kind = "read";
  readonly #reader: object;
  protected readonly stock: ReaderState;
  future: AnyFuture | null = null;

  constructor(reader: object, stock: ReaderState) {
    this.#reader = reader;
    this.stock = stock;
  }

  /** Whether it need not wait: for bytes, or for an error. */
  abstract answered(): boolean;

  /** Takes the answer out of the buffer, or throws. */
  abstract answer(): OwnBytes;

  /** Up to how many bytes in the buffer it can do with. */
  abstract goal(): number;

  complete(): unknown {
    return owners.take(this.#reader, this);
  }

  /** Nothing was taken, and a read that comes now looks for itself. */
  handOff(): void {}

  remove(): void {
    owners.drop(this.#reader, this);
  }

  describe(): string {
    return `${this.wanted} from ${inspect(this.#reader)}`;
  }

  /** What it is after, in a few words. */
  protected get wanted(): string {
    return "bytes";
  }
}

/** As many bytes as there are, but no fewer than `least` before the end, and no more than `most`. */
export class ReadSome extends Read {
  protected readonly most: number;
  readonly #least: number;

  constructor(
    reader: object,
    stock: ReaderState,
    most: number,
    least: number = Math.min(most, 1),
  ) {
    super(reader, stock);
    this.most = most;
    this.#least = least;
  }

  answered(): boolean {
    return this.stock.buffer.size >= this.#least || this.stock.eof;
  }

  answer(): OwnBytes {
    const { buffer } = this.stock;
    return buffer.take(Math.min(this.most, buffer.size));
  }

  goal(): number {
    return this.most;
  }
}

/** Waits until a read of some bytes need not wait, and takes none. */
export class ReadReady extends ReadSome {
  override answer(): OwnBytes {
    return NO_BYTES;
  }
}

/** All up to the end. */
export class ReadAll extends ReadSome {
  constructor(reader: object, stock: ReaderState) {
    super(reader, stock, Infinity, Infinity);
  }

  protected override get wanted(): string {
    return "the end of all bytes";
  }
}

export class ReadExactly extends ReadSome {
  constructor(reader: object, stock: ReaderState, count: number) {
    super(reader, stock, count, count);
  }

  protected override get wanted(): string {
    return `${this.most} bytes`;
  }

  override answer(): OwnBytes {
    const { buffer } = this.stock;
    if (buffer.size >= this.most) return super.answer();
    throw new IncompleteReadError(buffer.takeAll(), this.most);
  }
}

/** Up to the first of some separators. */
export class ReadUntil extends Read {
  /** The shortest first, none empty. */
  readonly #separators: readonly Uint8Array[];
  readonly #longest: number;
  /** No separator begins before here. */
  #offset = 0;
  /** The separator that was found, from where to where; -1 if none was. */
  #start = -1;
  #end = -1;
  /** The positions hold as long as nobody takes bytes out. */
  #taken: number;

  constructor(
    reader: object,
    stock: ReaderState,
    separators: readonly Uint8Array[],
  ) {
    super(reader, stock);
    this.#separators = separators;
    this.#longest = separators[separators.length - 1]!.length;
    this.#taken = stock.buffer.taken;
  }

  answered(): boolean {
    const { buffer, eof, limit } = this.stock;
    if (this.#taken !== buffer.taken) this.#forget(buffer.taken);
    if (this.#end < 0) this.#search(buffer);
    return this.#end >= 0 || this.#offset > limit || eof;
  }

  answer(): OwnBytes {
    const { buffer, limit } = this.stock;
    if (this.#end >= 0) {
      if (this.#start > limit) return this.overrun(this.#start, this.#end);
      return buffer.take(this.#end);
    }
    if (this.#offset > limit) return this.overrun(this.#offset, -1);
    return this.incomplete();
  }

  goal(): number {
    return this.stock.limit + this.#longest + 1;
  }

  protected override get wanted(): string {
    return "a separator";
  }

  /** More than the limit before the separator, or before its end has come. */
  protected overrun(consumed: number, end: number): OwnBytes {
    throw new LimitOverrunError(overrunText(this.stock.limit, end), consumed);
  }

  /** The end came before a separator. */
  protected incomplete(): OwnBytes {
    throw new IncompleteReadError(this.stock.buffer.takeAll(), null);
  }

  #search(buffer: ByteBuffer): void {
    let to = buffer.size;
    for (const separator of this.#separators) {
      const at = buffer.find(separator, this.#offset, to);
      if (at < 0) continue;
      this.#start = at;
      this.#end = at + separator.length;
      to = this.#end - 1;
    }
    if (this.#end < 0) {
      this.#offset = Math.max(
        this.#offset,
        buffer.size + 1 - this.#longest,
      );
    }
  }

  #forget(taken: number): void {
    this.#taken = taken;
    this.#offset = 0;
    this.#start = this.#end = -1;
  }
}

/** Up to the end of a line, which may also be the end of all. */
export class ReadLine extends ReadUntil {
  constructor(reader: object, stock: ReaderState) {
    super(reader, stock, newline);
  }

  protected override get wanted(): string {
    return "the end of a line";
  }

  protected override overrun(_consumed: number, end: number): OwnBytes {
    const { buffer, eof, limit } = this.stock;
    buffer.take(end < 0 ? buffer.size : end);
    this.stock.skipping = end < 0 && !eof;
    throw new RangeError(overrunText(limit, end));
  }

  protected override incomplete(): OwnBytes {
    return this.stock.buffer.takeAll();
  }
}

function overrunText(limit: number, end: number): string {
  return end < 0
    ? `Separator is not found, and the chunk exceeds the limit of ${limit} bytes`
    : `Separator is found, but the chunk is longer than the limit of ${limit} bytes`;
}
