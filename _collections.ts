/**
 * Data structures. Nothing here waits.
 *
 * @module
 */

/** Fewer consumed slots than this are not worth compacting. */
const COMPACT_AT = 32;
/** Fewer slots than this are not worth shrinking. */
const SHRINK_ABOVE = 1024;

/**
 * A FIFO list: an array with a consumed head.
 *
 * `Array.prototype.shift` is O(n). Here a removed item leaves an empty slot,
 * and the array is compacted once half of it is consumed, so every operation is
 * O(1) amortised and memory follows the number of items. A few consumed slots
 * are kept even when the list is empty, as an emptied array frees its memory
 * and would allocate again for the next item.
 */
export class Deque<T> {
  #items: (T | undefined)[] = [];
  /** The index of the first item; everything below it is `undefined`. */
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Removes and returns the first item, `undefined` if there is none. */
  shift(): T | undefined {
    const items = this.#items;
    if (this.#head === items.length) return undefined;
    const item = items[this.#head];
    items[this.#head++] = undefined;
    if (this.#head > COMPACT_AT && this.#head * 2 > items.length) {
      this.#items = items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Removes every item for which `keep` is false. */
  filter(keep: (item: T) => boolean): void {
    this.#items = (this.#items.slice(this.#head) as T[]).filter(keep);
    this.#head = 0;
  }

  clear(): void {
    if (this.length === 0) return;
    this.#items = [];
    this.#head = 0;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = this.#head; i < this.#items.length; i++) {
      yield this.#items[i] as T;
    }
  }
}

/** A LIFO list that frees memory as it shrinks. */
export class Stack<T> {
  #items: T[] = [];
  readonly #shrinkPolicy = new ShrinkPolicy();

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Removes and returns the last item, `undefined` if there is none. */
  pop(): T | undefined {
    if (this.#shrinkPolicy.shouldShrink(this.#items.length)) {
      this.#items = this.#items.slice();
    }
    return this.#items.pop();
  }

  clear(): void {
    this.#items = [];
  }
}

/** Decides when to copy an array to free memory, which `Array.prototype.pop` never does. */
class ShrinkPolicy {
  /** The maximum length since the array was last copied. */
  #peak = 0;

  shouldShrink(length: number): boolean {
    if (length > this.#peak) this.#peak = length;
    if (this.#peak < SHRINK_ABOVE || length * 4 > this.#peak) return false;
    this.#peak = length;
    return true;
  }
}

/**
 * A binary heap: `pop()` returns an item that no other one comes before.
 *
 * It makes the same comparisons as Python's `heapq`, so equal items come out in
 * the same order.
 */
export class BinaryHeap<T> {
  /** Heap order: no item comes before its parent at `(i - 1) >> 1`. */
  #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;
  readonly #shrinkPolicy = new ShrinkPolicy();

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get length(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** If the comparison throws, the heap is unchanged. */
  push(item: T): void {
    const items = this.#items;
    const before = this.#before;
    let hole = items.length;
    let target = hole;
    while (target > 0) {
      const parent = (target - 1) >> 1;
      if (!before(item, items[parent]!)) break;
      target = parent;
    }
    items.push(item);
    while (hole > target) {
      const parent = (hole - 1) >> 1;
      items[hole] = items[parent]!;
      hole = parent;
    }
    items[hole] = item;
  }

  /** If the comparison throws, the heap is unchanged. */
  pop(): T | undefined {
    if (this.#shrinkPolicy.shouldShrink(this.#items.length)) {
      this.#items = this.#items.slice();
    }
    const items = this.#items;
    if (items.length <= 1) return items.pop();
    const top = items[0];
    const last = items.pop() as T;
    try {
      this.#sink(last, 0);
    } catch (error) {
      items.push(last);
      throw error;
    }
    return top;
  }

  /** Removes every item for which `keep` is false. */
  filter(keep: (item: T) => boolean): void {
    this.#items = this.#items.filter(keep);
    for (let i = (this.#items.length >> 1) - 1; i >= 0; i--) {
      this.#sink(this.#items[i]!, i);
    }
  }

  clear(): void {
    this.#items = [];
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items[Symbol.iterator]();
  }

  /**
   * Sifts `item` down from `start`. As it comes from the bottom and mostly
   * belongs there again, its position is searched from the leaf upwards.
   * Nothing is moved before it is found, as the comparison may throw.
   */
  #sink(item: T, start: number): void {
    const items = this.#items;
    const before = this.#before;
    const length = items.length;
    let target = start;
    for (let child; (child = 2 * target + 1) < length; target = child) {
      const right = child + 1;
      if (right < length && !before(items[child]!, items[right]!)) {
        child = right;
      }
    }
    while (target > start && before(item, items[target]!)) {
      target = (target - 1) >> 1;
    }
    while (target > start) {
      const parent = (target - 1) >> 1;
      [item, items[target]] = [items[target]!, item];
      target = parent;
    }
    items[start] = item;
  }
}

/**
 * A heap of items ordered by due time; items that are due together keep their
 * insertion order.
 *
 * A 4-ary heap with its keys in separate arrays: a comparison touches no item
 * and siblings are adjacent, so `pop()` on 100,000 timers touches only a few
 * cache lines.
 */
export class TimerHeap<T> {
  #items: T[] = [];
  /** The due time of each item, never before that of its parent at `(i - 1) >> 2`. */
  #dueTimes: number[] = [];
  /** The insertion number of each item, which breaks ties. */
  #sequence: number[] = [];
  /** The number of items ever inserted. */
  #nextOrder = 0;
  readonly #shrinkPolicy = new ShrinkPolicy();

  get length(): number {
    return this.#items.length;
  }

  /** The due time of the first item, `Infinity` if there is none. */
  get due(): number {
    return this.#items.length > 0 ? this.#dueTimes[0]! : Infinity;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(due: number, item: T): void {
    const order = this.#nextOrder++;
    let hole = this.#items.length;
    this.#items.push(item);
    this.#dueTimes.push(due);
    this.#sequence.push(order);
    while (hole > 0) {
      const parent = (hole - 1) >> 2;
      if (this.#dueTimes[parent]! <= due) break; // it was inserted earlier
      this.#move(parent, hole);
      hole = parent;
    }
    this.#put(hole, due, order, item);
  }

  pop(): T | undefined {
    if (this.#shrinkPolicy.shouldShrink(this.#items.length)) this.#shrink();
    const first = this.#items[0];
    const item = this.#items.pop() as T;
    const due = this.#dueTimes.pop() as number;
    const order = this.#sequence.pop() as number;
    if (this.#items.length > 0) this.#sink(0, due, order, item);
    return first;
  }

  /** Removes every item for which `keep` is false. */
  filter(keep: (item: T) => boolean): void {
    const items = this.#items;
    let length = 0;
    for (let i = 0; i < items.length; i++) {
      if (keep(items[i]!)) this.#move(i, length++);
    }
    items.length = this.#dueTimes.length = this.#sequence.length = length;
    this.#shrink();
    for (let i = (length - 2) >> 2; i >= 0; i--) {
      this.#sink(i, this.#dueTimes[i]!, this.#sequence[i]!, this.#items[i]!);
    }
  }

  clear(): void {
    this.#items = [];
    this.#dueTimes = [];
    this.#sequence = [];
  }

  /** Sifts an item down from a hole. */
  #sink(hole: number, due: number, order: number, item: T): void {
    const { length } = this.#items;
    for (;;) {
      const begin = 4 * hole + 1;
      if (begin >= length) break;
      const end = Math.min(begin + 4, length);
      let least = begin;
      for (let i = begin + 1; i < end; i++) {
        if (this.#isBefore(i, this.#dueTimes[least]!, this.#sequence[least]!)) {
          least = i;
        }
      }
      if (!this.#isBefore(least, due, order)) break;
      this.#move(least, hole);
      hole = least;
    }
    this.#put(hole, due, order, item);
  }

  #isBefore(i: number, due: number, order: number): boolean {
    const own = this.#dueTimes[i]!;
    return own < due || (own === due && this.#sequence[i]! < order);
  }

  #move(from: number, to: number): void {
    this.#put(
      to,
      this.#dueTimes[from]!,
      this.#sequence[from]!,
      this.#items[from]!,
    );
  }

  #put(at: number, due: number, order: number, item: T): void {
    this.#items[at] = item;
    this.#dueTimes[at] = due;
    this.#sequence[at] = order;
  }

  /** Copies the arrays to free their spare capacity. */
  #shrink(): void {
    this.#items = this.#items.slice();
    this.#dueTimes = this.#dueTimes.slice();
    this.#sequence = this.#sequence.slice();
  }
}

/** A map with a maximum number of entries that evicts the least recently used one. */
export class LruMap<K, V> {
  readonly #limit: number;
  readonly #entries = new Map<K, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** Adds an entry. Returns the key of the evicted one, if any. */
  set(key: K, value: V): K | undefined {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#limit) return undefined;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest!);
    return oldest;
  }
}
