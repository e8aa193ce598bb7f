/**
 * A FIFO list for the bare sides. They use nothing from the module, so they work
 * beside any version of it.
 *
 * @module
 */

/** The number of consumed items at which the rest is copied. */
const COMPACT_AT = 32;

/** A list with a consumed head. */
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

  /** Removes the first item; returns `undefined` if there is none. */
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
}
