/**
 * Which code belongs to whom: the one place that knows how values follow the
 * code across `await`.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";

/** Runs a function in a captured context, as `AsyncLocalStorage.snapshot()` returns it. */
export type Context = <R>(fn: () => R) => R;

const slot = new AsyncLocalStorage<unknown>();

/** What the running code was entered with, `undefined` outside. */
export function currentSlot(): unknown {
  return slot.getStore();
}

/** Calls `fn(arg)` so that it, and all it goes on to wait for, finds `value` in its slot. */
export function runInSlot<A, R>(value: unknown, fn: (arg: A) => R, arg: A): R {
  return slot.run(value, fn, arg);
}

/** Everything that follows the running code, for a later call. */
export function captureContext(): Context {
  return AsyncLocalStorage.snapshot();
}
