/**
 * Buffers of bytes to be read or written.
 *
 * @module
 */

import { Deque } from "./_collections.ts";
import { describe, isInstance } from "./_validate.ts";

/** Bytes, or text that is encoded as UTF-8. */
export type Bytes = Uint8Array | string;

/** Bytes in an `ArrayBuffer`, as opposed to shared memory. */
export type OwnBytes = Uint8Array<ArrayBuffer>;

/** The smallest allocation of a {@linkcode ByteBuffer}. */
const MIN_SIZE = 128;
/** Reads of at least this size do not share memory with later ones. */
const UNSHARED_SIZE = 4_096;
/** Sizes of the blocks that writes are copied into; blocks are reused. */
const SMALL_BLOCK = 4_096;
const LARGE_BLOCK = 65_536;
/** How much memory to keep for reuse, per block size. */
const POOL_BYTES = 1_048_576;
/** A search over fewer bytes is faster in a loop than with `indexOf`. */
const SCAN_BYTES = 24;

export const NO_BYTES: OwnBytes = new Uint8Array(0);

const encoder = new TextEncoder();

/**
 * A FIFO buffer of bytes in one contiguous array.
 *
 * The array is contiguous because a separator may span chunks. Deno reads into
 * the memory behind the bytes, and `take()` returns a view of the memory that
 * it consumes: a view costs a tenth of a new array, and nothing is copied.
 * Memory that was handed out is never written again. When the array is full,
 * the remaining bytes move to a new one of at least twice their size, so the
 * cost per byte is constant.
 *
 * A view can be transferred to another thread, which detaches its whole array.
 * Large views therefore do not share memory with bytes that are still to come;
 * after a transfer of a small one the buffer throws.
 */
export class ByteBuffer {
  #data: OwnBytes = NO_BYTES;
  /** The bytes are `#data[#start..#end]`; the memory before was handed out. */
  #start = 0;
  #end = 0;
  #consumed = 0;
  /** The memory that a pending read writes to. */
  #reserved: OwnBytes | null = null;

  get size(): number {
    return this.#end - this.#start;
  }

  /** The number of bytes taken so far. A position is valid until it changes. */
  get consumed(): number {
    return this.#consumed;
  }

  /** Appends a copy of a chunk. */
  append(chunk: Uint8Array): void {
    this.#checkNotTransferred();
    const { length } = chunk;
    if (this.#reserved !== null || this.#end + length > this.#data.length) {
      this.#grow(length);
    }
    if (length === 1) this.#data[this.#end] = chunk[0]!;
    else this.#data.set(chunk, this.#end);
    this.#end += length;
  }

  /** Appends a chunk that nobody else refers to, without a copy if the buffer is empty. */
  adopt(chunk: OwnBytes): void {
    if (this.size > 0 || this.#reserved !== null) return this.append(chunk);
    this.#data = chunk;
    this.#start = 0;
    this.#end = chunk.length;
  }

  /** Reserves memory for a read of about `size` bytes, and at most `max`. */
  reserve(size: number, max: number): OwnBytes {
    this.#checkNotTransferred();
    if (this.#data.length - this.#end < size / 2) this.#grow(size);
    const end = Math.min(this.#end + max, this.#data.length);
    return this.#reserved = this.#data.subarray(this.#end, end);
  }

  /** Appends the first `count` bytes of the reserved memory. */
  commit(count: number): void {
    const reserved = this.#reserved as OwnBytes;
    this.#reserved = null;
    if (reserved.length < count) throw transferredError();
    const isInPlace = reserved.buffer === this.#data.buffer &&
      reserved.byteOffset === this.#end;
    if (isInPlace) this.#end += count;
    else this.append(reserved.subarray(0, count));
  }

  /** Takes out the first `count` bytes, which must be there. */
  take(count: number): OwnBytes {
    if (count === 0) return new Uint8Array(0);
    this.#checkNotTransferred();
    const start = this.#start;
    this.#start += count;
    this.#consumed += count;
    const bytes = this.#data.subarray(start, start + count);
    if (this.#start === this.#end) this.#releaseMemory(count >= UNSHARED_SIZE);
    return bytes;
  }

  takeAll(): OwnBytes {
    return this.take(this.size);
  }

  /** Whether `pattern` is at a position. */
  startsWith(pattern: Uint8Array, at: number): boolean {
    if (at + pattern.length > this.size) return false;
    const data = this.#data;
    const base = this.#start + at;
    for (let i = 0; i < pattern.length; i++) {
      if (data[base + i] !== pattern[i]) return false;
    }
    return true;
  }

  /** The position of the first `pattern` that lies between `from` and `to`, or -1. */
  find(pattern: Uint8Array, from = 0, to: number = this.size): number {
    const first = pattern[0]!;
    if (pattern.length === 1) return this.findByte(first, from, to);
    const stop = to - pattern.length + 1;
    for (;;) {
      const at = this.findByte(first, from, stop);
      if (at < 0 || this.startsWith(pattern, at)) return at;
      from = at + 1;
    }
  }

  /** The first position of a byte between `from` and `to`, or -1. */
  findByte(byte: number, from: number, to: number): number {
    this.#checkNotTransferred();
    const data = this.#data;
    const start = this.#start;
    const stop = start + to;
    let i = start + from;
    const near = Math.min(stop, i + SCAN_BYTES);
    for (; i < near; i++) {
      if (data[i] === byte) return i - start;
    }
    if (i >= stop) return -1;
    const at = data.subarray(i, stop).indexOf(byte);
    return at < 0 ? -1 : at + i - start;
  }

  /** The buffer is empty: drops its memory if that is full, or must not be shared. */
  #releaseMemory(isUnshared: boolean): void {
    if (!isUnshared && this.#end < this.#data.length) return;
    this.#data = NO_BYTES;
    this.#start = this.#end = 0;
  }

  #checkNotTransferred(): void {
    if (this.#data.length < this.#end) throw transferredError();
  }

  /** Moves the bytes to new memory with room for `more`. */
  #grow(more: number): void {
    const size = this.size;
    const memory = new Uint8Array(size + Math.max(size, more, MIN_SIZE));
    if (size > 0) memory.set(this.#data.subarray(this.#start, this.#end));
    this.#data = memory;
    this.#start = 0;
    this.#end = size;
  }
}

function transferredError(): TypeError {
  return new TypeError(
    "Cannot read: the result of an earlier read was transferred, together with the memory of later bytes; transfer a copy instead",
  );
}

/** A block of memory, and how much of it is used. */
export interface Block {
  readonly memory: OwnBytes;
  readonly size: number;
}

/**
 * A FIFO buffer of bytes to write, copied into blocks that are reused.
 *
 * Small amounts share one block; large ones are split over several.
 */
export class WriteBuffer {
  /** Full blocks of {@linkcode LARGE_BLOCK} bytes. */
  readonly #full = new Deque<OwnBytes>();
  /** The last block, and how much of it is used. */
  #last: OwnBytes | null = null;
  #used = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  append(data: Bytes): void {
    let bytes = toBytes(data);
    this.#size += bytes.length;
    while (bytes.length > 0) {
      const memory = this.#blockFor(this.#used + bytes.length);
      const room = memory.length - this.#used;
      const rest = bytes.length > room ? bytes.subarray(room) : NO_BYTES;
      if (rest.length > 0) bytes = bytes.subarray(0, room);
      memory.set(bytes, this.#used);
      this.#used += bytes.length;
      if (this.#used === LARGE_BLOCK) this.#full.push(this.#detachLast());
      bytes = rest;
    }
  }

  /** Takes out the first block. Pass its memory to {@linkcode recycle} after use. */
  shift(): Block {
    const full = this.#full.shift();
    const size = full === undefined ? this.#used : LARGE_BLOCK;
    this.#size -= size;
    return { memory: full ?? this.#detachLast(), size };
  }

  #detachLast(): OwnBytes {
    const memory = this.#last ?? NO_BYTES;
    this.#last = null;
    this.#used = 0;
    return memory;
  }

  /** The last block, with room for `size` bytes or as large as a block can be. */
  #blockFor(size: number): OwnBytes {
    const present = this.#last;
    if (present !== null && size <= present.length) return present;
    if (present !== null && present.length === LARGE_BLOCK) return present;
    const memory = allocate(present === null ? size : 2 * size);
    if (present !== null) {
      memory.set(present.subarray(0, this.#used));
      recycle(present);
    }
    return this.#last = memory;
  }
}

/** Returns a block of a {@linkcode WriteBuffer} to its pool. Nobody may refer to it. */
export function recycle(memory: OwnBytes): void {
  const pool = pools.get(memory.length);
  if (pool !== undefined && pool.blocks.length < pool.max) {
    pool.blocks.push(memory);
  }
}

function allocate(size: number): OwnBytes {
  const length = size <= SMALL_BLOCK
    ? SMALL_BLOCK
    : Math.min(size, LARGE_BLOCK);
  return pools.get(length)?.blocks.pop() ?? new Uint8Array(length);
}

/** Blocks to reuse, by their length. */
const pools = new Map([SMALL_BLOCK, LARGE_BLOCK].map((length) => {
  const blocks: OwnBytes[] = [];
  return [length, { blocks, max: POOL_BYTES / length }];
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

/** Encodes text as UTF-8; returns bytes as they are. */
export function toBytes(data: Bytes): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}
