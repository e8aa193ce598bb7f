/**
 * Guards of locks and semaphores.
 *
 * @module
 */

/**
 * The result of `acquire()`. It releases once, at the end of a `using` or
 * `await using` block. A guard that is never disposed of releases nothing; call
 * `release()` instead.
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

/** A guard that releases the first time it is disposed of. */
export class ReleaseGuard implements Guard {
  /** `null` once called. */
  #release: ((guard: Guard) => void) | null;

  constructor(release: (guard: Guard) => void) {
    this.#release = release;
  }

  [Symbol.dispose](): void {
    const release = this.#release;
    this.#release = null;
    release?.(this);
  }

  // deno-lint-ignore require-await -- an error has to reject
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.#release === null ? "<Guard released>" : "<Guard>";
  }
}
