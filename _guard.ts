/**
 * The guards that locks and semaphores give.
 *
 * @module
 */

/**
 * What `acquire()` gives: releases at the end of a `using` or `await using`
 * block, once. A guard outside of such a block releases nothing; call
 * `release()` then.
 *
 * @example
 * ```ts
 * import { Lock } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const lock = new Lock();
 * const guard = await lock.acquire();
 * guard[Symbol.dispose]();
 * guard[Symbol.dispose]();
 * assert(!lock.locked());
 * ```
 */
export interface Guard extends Disposable, AsyncDisposable {
}

/** A guard that calls back the first time it is disposed of. */
export class ReleaseGuard implements Guard {
  /** `null` once it was called. */
  #release: ((guard: Guard) => void) | null;

  constructor(release: (guard: Guard) => void) {
    this.#release = release;
  }

  [Symbol.dispose](): void {
    const release = this.#release;
    this.#release = null;
    release?.(this);
  }

  // deno-lint-ignore require-await -- an error has to come as a rejection
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#release === null ? "<Guard released>" : "<Guard>";
  }
}
