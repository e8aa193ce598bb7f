/**
 * Containers for queues of every kind; nothing here waits for anything.
 *
 * @module
 */

/** Below this many consumed slots moving the rest down is not worth it. */
const COMPACT_AT = 32;
/** Below this many slots giving memory back is not worth it. */
const SHRINK_ABOVE = 1024;

/**
 * A first-in-first-out list: an array with a consumed head.
 *
 * `Array.prototype.shift` is linear in the length; here a taken slot is left
 * empty and the array moves down once half of it has been consumed, so every
 * operation is O(1) amortised and memory follows the number of items. A few
 * consumed slots are kept even if nothing is left: an array that is emptied
 * gives its memory back, and would have to ask for it again with each item.
 */
export class Deque<T> {
  #items: (T | undefined)[] = [];
  /** Index of the first item; everything below it is `undefined`. */
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first item, `undefined` if there is none. */
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

  /** Drops every item for which `keep` is false. */
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

/** A last-in-first-out list that gives its memory back as it shrinks. */
export class Stack<T> {
  #items: T[] = [];
  readonly #shrinkPolicy = new ShrinkPolicy();

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the last item, `undefined` if there is none. */
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

/** Tells when an array holds room for far more than its items: `Array.prototype.pop` keeps it. */
class ShrinkPolicy {
  /** The largest length since the array was last copied. */
  #peak = 0;

  shouldShrink(length: number): boolean {
    if (length > this.#peak) this.#peak = length;
    if (this.#peak < SHRINK_ABOVE || length * 4 > this.#peak) return false;
    this.#peak = length;
    return true;
  }
}

/**
 * A priority queue: `pop()` gives an item that no other one is before.
 *
 * It compares in the order in which Python's `heapq` does, so equal items come
 * out in the same order as there.
 */
export class BinaryHeap<T> {
  /** Every item but the first is not before its parent at `(i - 1) >> 1`. */
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

  /** If the comparison throws, the heap is as it was. */
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

  /** If the comparison throws, the heap is as it was. */
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

  /** Drops every item for which `keep` is false. */
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
   * Finds the place of `item` below `start` first and moves the others up after
   * it. An item from the bottom most often belongs there again, so its place is
   * sought from the leaf upwards.
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
 * Items in the order of their times, those of one time in the order of their
 * coming.
 *
 * Each node has four children, and the keys lie in arrays of their own: a
 * comparison touches no item, and the children of a node lie side by side, so
 * a heap of 100,000 timers costs a few cache lines for each that it gives.
 */
export class TimerHeap<T> {
  #items: T[] = [];
  /** The time of each item; none is before that of its parent at `(i - 1) >> 2`. */
  #dueTimes: number[] = [];
  /** Breaks ties. */
  #sequence: number[] = [];
  /** How many ever came. */
  #nextOrder = 0;
  readonly #shrinkPolicy = new ShrinkPolicy();

  get length(): number {
    return this.#items.length;
  }

  /** The time of the first item, `Infinity` if there is none. */
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
      if (this.#dueTimes[parent]! <= due) break; // it came before
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

  /** Drops every item for which `keep` is false. */
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

  /** Finds the place of an item at or below a hole. */
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

  /** Gives back the room that the arrays keep beyond their items. */
  #shrink(): void {
    this.#items = this.#items.slice();
    this.#dueTimes = this.#dueTimes.slice();
    this.#sequence = this.#sequence.slice();
  }
}

/** A map that holds a limited number of entries; the one that was not asked for the longest gives way. */
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

  /** Adds an entry. Returns the key of the one that had to give way. */
  set(key: K, value: V): K | undefined {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#limit) return undefined;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest!);
    return oldest;
  }
}
