/**
 * Which code belongs to whom: the one place that knows how values follow the
 * code across `await`.
 *
 * The host keeps one context object for the running code and hands it on to
 * whatever that code waits for; `AsyncLocalStorage` is its public face. That
 * enters a weak map and a dictionary for every `run`, which a program of
 * 100,000 tasks pays for in every garbage collection: half of the cost of a
 * task. So the slot is kept in the context object itself where the host lets
 * us ({@linkcode hostSlot}), and in an `AsyncLocalStorage` where it does
 * not, or where a trial at the start shows that it works differently. Both do
 * the same, and neither disturbs the storages of anybody else.
 *
 * @module
 */

import {
  type ContextObject,
  hasNode,
  node,
  runtime,
  type RuntimeCore,
  runtimeCore,
} from "./_host.ts";

/** Runs a function in a captured context, as `AsyncLocalStorage.snapshot()` returns it. */
export type Context = <R>(fn: () => R) => R;

/** A value that follows the code. */
export interface Slot {
  /** The value that the running code was entered with, `undefined` outside. */
  current(): unknown;
  /** Calls `fn(arg)` so that it, and all it goes on to wait for, finds `value`. */
  run<A, R>(value: unknown, fn: (arg: A) => R, arg: A): R;
  /** What follows the running code, for {@linkcode Slot.runFrom}. */
  capture(): unknown;
  /** As `run`, starting from a captured context instead of the present one. */
  runFrom<A, R>(from: unknown, value: unknown, fn: (arg: A) => R, arg: A): R;
  /** Calls `fn(arg)` in a captured context as it is. */
  runIn<A, R>(from: unknown, fn: (arg: A) => R, arg: A): R;
}

/** A symbol: two copies of this module in one program must not see each other. */
const KEY: unique symbol = Symbol("asyncio");

/**
 * What is best kept in a slot: it serves as the context object itself where
 * there is nothing else in it, as most often. The host copies what is public
 * of a context object, so everything else of it has to be private.
 */
export class SlotValue {
  /** Itself. */
  readonly [KEY]: unknown = this;
}

/** A slot of an `AsyncLocalStorage`. */
export function storageSlot(): Slot {
  const { AsyncLocalStorage } = node("async_hooks");
  const storage = new AsyncLocalStorage<unknown>();
  return {
    current: () => storage.getStore(),
    run: (value, fn, arg) => storage.run(value, fn, arg),
    capture: captureContext,
    runFrom: (from, value, fn, arg) =>
      (from as Context)(() => storage.run(value, fn, arg)),
    runIn: (from, fn, arg) => (from as Context)(() => fn(arg)),
  };
}

/** A slot in the host's context object; `null` if that does not pass its trial. */
export function hostSlot(host: Partial<RuntimeCore>): Slot | null {
  if (typeof host.getAsyncContext !== "function") return null;
  if (typeof host.setAsyncContext !== "function") return null;
  if (typeof host.AsyncVariable !== "function") return null;
  const { getAsyncContext, setAsyncContext, AsyncVariable } = host;
  const runIn: Slot["runIn"] = (from, fn, arg) => {
    const previous = getAsyncContext();
    setAsyncContext(from as ContextObject);
    try {
      return fn(arg);
    } finally {
      setAsyncContext(previous);
    }
  };
  const runFrom: Slot["runFrom"] = (from, value, fn, arg) => {
    const isBare = from === undefined || from === null ||
      from instanceof SlotValue;
    const context = isBare && value instanceof SlotValue
      ? value as unknown as ContextObject
      : { ...from as ContextObject, [KEY]: value };
    return runIn(context, fn, arg);
  };
  const slot: Slot = {
    current: () => getAsyncContext()?.[KEY],
    run: (value, fn, arg) => runFrom(getAsyncContext(), value, fn, arg),
    capture: getAsyncContext,
    runFrom,
    runIn,
  };
  return passesTrial(slot, new AsyncVariable(), setAsyncContext) ? slot : null;
}

/** Whether a slot and what is under an `AsyncLocalStorage` go through each other unharmed. */
function passesTrial(
  slot: Slot,
  variable: InstanceType<RuntimeCore["AsyncVariable"]>,
  leave: RuntimeCore["setAsyncContext"],
): boolean {
  const sees = (stored: number | undefined, value: unknown) =>
    variable.get() === stored && slot.current() === value;
  const run = (stored: number, fn: () => boolean): boolean => {
    const before = variable.enter(stored);
    try {
      return fn();
    } finally {
      leave(before);
    }
  };
  try {
    return sees(undefined, undefined) &&
      run(1, () =>
        sees(1, undefined) &&
        slot.run(2, () => sees(1, 2) && run(3, () => sees(3, 2)), 0) &&
        slot.runFrom(undefined, 4, () => sees(undefined, 4), 0) &&
        slot.runIn(slot.capture(), () => sees(1, undefined), 0) &&
        sees(1, undefined)) &&
      sees(undefined, undefined);
  } catch {
    return false;
  }
}

/** A slot that stays empty: a program can load this module where no task can run. */
function emptySlot(): Slot {
  const refuse = () => {
    throw new Error(
      `Cannot run a task: asyncio needs the AsyncLocalStorage of Deno, Node.js or Bun, and this is ${runtime}`,
    );
  };
  return {
    current: () => undefined,
    run: refuse,
    capture: () => undefined,
    runFrom: refuse,
    runIn: refuse,
  };
}

const slot = hostSlot(runtimeCore) ?? (hasNode ? storageSlot() : emptySlot());

/** What the running code was entered with, `undefined` outside. */
export const currentSlot: Slot["current"] = slot.current;

/** Calls `fn(arg)` so that it, and all it goes on to wait for, finds `value` in its slot. */
export const runInSlot: Slot["run"] = slot.run;

/** What follows the running code: values of everybody, for {@linkcode runFrom}. */
export const captureSlot: Slot["capture"] = slot.capture;

/** As {@linkcode runInSlot}, starting from what {@linkcode captureSlot} gave. */
export const runFrom: Slot["runFrom"] = slot.runFrom;

/** Calls a function in what {@linkcode captureSlot} gave. */
export const runIn: Slot["runIn"] = slot.runIn;

/** Everything that follows the running code, for a later call. */
export function captureContext(): Context {
  return node("async_hooks").AsyncLocalStorage.snapshot();
}

/** For a context that does not do what a context does. */
export function notCalled(action: string): TypeError {
  return new TypeError(
    `Cannot ${action}: its context did not call the function that it was given`,
  );
}
