/**
 * Bytes that wait to be read or written.
 *
 * @module
 */

import { Deque } from "./_collections.ts";
import { describe, isInstance } from "./_validate.ts";

/** Where bytes go in, text is taken too and encoded as UTF-8. */
export type Bytes = Uint8Array | string;

/** Bytes in a buffer of their own. */
export type OwnBytes = Uint8Array<ArrayBuffer>;

/** The least memory that a buffer takes. */
const SMALLEST = 128;
/** Bytes taken together from here on share no memory with later ones. */
const LARGE = 4_096;
/** Writes share memory of these sizes, which is used again. */
const PAGE = 4_096;
const BLOCK = 65_536;
/** How much memory of each of these sizes is kept for that. */
const SPARE_BYTES = 1_048_576;
/** A search below this many bytes is faster by hand than by a call into the host. */
const SHORT_SEARCH = 24;

export const NO_BYTES: OwnBytes = new Uint8Array(0);

const encoder = new TextEncoder();

/**
 * Bytes in the order of their coming, in one piece of memory.
 *
 * One piece, because a separator may lie across any border of chunks. A read
 * of the host fills the memory behind the bytes, and what is taken out is a
 * view of the memory before them: a new array costs ten times as much as a
 * view, and copying costs more still. Memory that was given away is never
 * written again. When the piece is used up, what is left moves to a new one
 * of at least twice its size, so every byte costs constant time.
 *
 * A view can be transferred to another thread, and takes its memory with it.
 * Large ones, where that is worth the while, therefore share no memory with
 * bytes that are still to come; for the others it is an error.
 */
export class ByteBuffer {
  #data: OwnBytes = NO_BYTES;
  /** The bytes are `#data` from `#start` to `#end`; what lies before was given away. */
  #start = 0;
  #end = 0;
  #taken = 0;
  /** The memory that a read under way fills. */
  #lent: OwnBytes | null = null;

  get size(): number {
    return this.#end - this.#start;
  }

  /** How many bytes were ever taken: tells whether positions found before still hold. */
  get taken(): number {
    return this.#taken;
  }

  /** Adds a copy of a chunk. */
  append(chunk: Uint8Array): void {
    this.#checkMemory();
    const { length } = chunk;
    if (this.#lent !== null || this.#end + length > this.#data.length) {
      this.#move(length);
    }
    if (length === 1) this.#data[this.#end] = chunk[0]!;
    else this.#data.set(chunk, this.#end);
    this.#end += length;
  }

  /** Adds a chunk that nobody else has: by itself it needs no copy. */
  adopt(chunk: OwnBytes): void {
    if (this.size > 0 || this.#lent !== null) return this.append(chunk);
    this.#data = chunk;
    this.#start = 0;
    this.#end = chunk.length;
  }

  /** Lends memory for the next bytes: about `size`, but no more than `most`. */
  lend(size: number, most: number): OwnBytes {
    this.#checkMemory();
    if (this.#data.length - this.#end < size / 2) this.#move(size);
    const end = Math.min(this.#end + most, this.#data.length);
    return this.#lent = this.#data.subarray(this.#end, end);
  }

  /** So many bytes are in the memory that was lent. */
  filled(count: number): void {
    const lent = this.#lent as OwnBytes;
    this.#lent = null;
    if (lent.length < count) throw transferred();
    const inPlace = lent.buffer === this.#data.buffer &&
      lent.byteOffset === this.#end;
    if (inPlace) this.#end += count;
    else this.append(lent.subarray(0, count));
  }

  /** Takes the first bytes out. There must be as many. */
  take(count: number): OwnBytes {
    if (count === 0) return new Uint8Array(0);
    this.#checkMemory();
    const start = this.#start;
    this.#start += count;
    this.#taken += count;
    const bytes = this.#data.subarray(start, start + count);
    if (this.#start === this.#end) this.#leave(count >= LARGE);
    return bytes;
  }

  takeAll(): OwnBytes {
    return this.take(this.size);
  }

  /** Whether the bytes at a position are those of `pattern`. */
  has(pattern: Uint8Array, at: number): boolean {
    if (at + pattern.length > this.size) return false;
    const data = this.#data;
    const base = this.#start + at;
    for (let i = 0; i < pattern.length; i++) {
      if (data[base + i] !== pattern[i]) return false;
    }
    return true;
  }

  /** Where `pattern` first begins in the bytes from `from` to `to`, -1 if nowhere. */
  find(pattern: Uint8Array, from = 0, to: number = this.size): number {
    const first = pattern[0]!;
    if (pattern.length === 1) return this.findByte(first, from, to);
    const stop = to - pattern.length + 1;
    for (;;) {
      const at = this.findByte(first, from, stop);
      if (at < 0 || this.has(pattern, at)) return at;
      from = at + 1;
    }
  }

  /** Where a byte first is among those from `from` to `to`, -1 if nowhere. */
  findByte(byte: number, from: number, to: number): number {
    this.#checkMemory();
    const data = this.#data;
    const start = this.#start;
    const stop = start + to;
    let i = start + from;
    const near = Math.min(stop, i + SHORT_SEARCH);
    for (; i < near; i++) {
      if (data[i] === byte) return i - start;
    }
    if (i >= stop) return -1;
    const at = data.subarray(i, stop).indexOf(byte);
    return at < 0 ? -1 : at + i - start;
  }

  /** Nothing is left: leaves memory that is used up, or that is not to be shared. */
  #leave(unshared: boolean): void {
    if (!unshared && this.#end < this.#data.length) return;
    this.#data = NO_BYTES;
    this.#start = this.#end = 0;
  }

  #checkMemory(): void {
    if (this.#data.length < this.#end) throw transferred();
  }

  /** Goes on in new memory, with room for `more` bytes behind those that are left. */
  #move(more: number): void {
    const size = this.size;
    const memory = new Uint8Array(size + Math.max(size, more, SMALLEST));
    if (size > 0) memory.set(this.#data.subarray(this.#start, this.#end));
    this.#data = memory;
    this.#start = 0;
    this.#end = size;
  }
}

function transferred(): TypeError {
  return new TypeError(
    "Cannot read on: bytes that were read before were transferred away, with the memory that they shared with later ones; transfer a copy",
  );
}

/** Memory, and how much of it is used. */
export interface Piece {
  readonly memory: OwnBytes;
  readonly size: number;
}

/**
 * Bytes on their way out, copied into memory that is used again.
 *
 * What is little stays together in one piece of memory; what is a lot comes in
 * several.
 */
export class Outgoing {
  /** Pieces of {@linkcode BLOCK} bytes that are full. */
  readonly #full = new Deque<OwnBytes>();
  /** The last piece, and how much of it is used. */
  #last: OwnBytes | null = null;
  #used = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(data: Bytes): void {
    let bytes = toBytes(data);
    this.#size += bytes.length;
    while (bytes.length > 0) {
      const memory = this.#memory(this.#used + bytes.length);
      const room = memory.length - this.#used;
      const rest = bytes.length > room ? bytes.subarray(room) : NO_BYTES;
      if (rest.length > 0) bytes = bytes.subarray(0, room);
      memory.set(bytes, this.#used);
      this.#used += bytes.length;
      if (this.#used === BLOCK) this.#full.push(this.#release());
      bytes = rest;
    }
  }

  /** Takes the first piece out. Its memory is to be given to {@linkcode reuse}, or left to the collector. */
  takeNext(): Piece {
    const full = this.#full.shift();
    const size = full === undefined ? this.#used : BLOCK;
    this.#size -= size;
    return { memory: full ?? this.#release(), size };
  }

  #release(): OwnBytes {
    const memory = this.#last ?? NO_BYTES;
    this.#last = null;
    this.#used = 0;
    return memory;
  }

  /** Memory for so many bytes in all, or for as many as a piece may have. */
  #memory(size: number): OwnBytes {
    const present = this.#last;
    if (present !== null && size <= present.length) return present;
    if (present !== null && present.length === BLOCK) return present;
    const memory = memoryFor(present === null ? size : 2 * size);
    if (present !== null) {
      memory.set(present.subarray(0, this.#used));
      reuse(present);
    }
    return this.#last = memory;
  }
}

/** Nobody holds memory of {@linkcode Outgoing} any more. */
export function reuse(memory: OwnBytes): void {
  const pool = pools.get(memory.length);
  if (pool !== undefined && pool.spares.length < pool.most) {
    pool.spares.push(memory);
  }
}

function memoryFor(size: number): OwnBytes {
  const length = size <= PAGE ? PAGE : Math.min(size, BLOCK);
  return pools.get(length)?.spares.pop() ?? new Uint8Array(length);
}

/** Memory to be used again, by its length. */
const pools = new Map([PAGE, BLOCK].map((length) => {
  const spares: OwnBytes[] = [];
  return [length, { spares, most: SPARE_BYTES / length }];
}));

/**
 * Checks that a value is bytes or text.
 *
 * @throws {TypeError} If it is neither.
 */
export function checkBytes(data: unknown, action: string): void {
  if (isBytes(data)) return;
  throw new TypeError(
    `Cannot ${action}: expected a Uint8Array or a string, got ${
      describe(data)
    }`,
  );
}

/** Whether a value is bytes or text. */
export function isBytes(value: unknown): value is Bytes {
  return typeof value === "string" || isInstance(value, Uint8Array);
}

/** Text as UTF-8, bytes as they are. */
export function toBytes(data: Bytes): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}
