/**
 * The context slot: a value that follows the running code across `await`.
 *
 * The runtime keeps one context object for the running code and passes it on to
 * whatever that code awaits; `AsyncLocalStorage` is its public interface. Every
 * `run` of that adds an entry to a weak map and a dictionary, which every
 * garbage collection of a program with 100,000 tasks pays for: half of the cost
 * of a task. So the slot lives in the context object itself where the runtime
 * allows it ({@linkcode hostSlot}). Where it does not, or where a trial at
 * start-up shows that it works differently, the slot is an `AsyncLocalStorage`.
 * Both behave alike, and neither affects the storages of other code.
 *
 * @module
 */

import {
  type ContextObject,
  hasNode,
  node,
  type RuntimeCore,
  runtimeCore,
  unsupported,
} from "./_host.ts";

/** Runs a function in a captured context, as `AsyncLocalStorage.snapshot()` returns it. */
export type Context = <R>(fn: () => R) => R;

/** A value that follows the running code. */
export interface Slot {
  /** The value of the running code; `undefined` outside. */
  current(): unknown;
  /** Calls `fn(arg)`; the call, and the code after its awaits, sees `value`. */
  run<A, R>(value: unknown, fn: (arg: A) => R, arg: A): R;
  /** Captures the context of the running code, for {@linkcode Slot.runFrom}. */
  capture(): unknown;
  /** As `run`, in a captured context instead of the current one. */
  runFrom<A, R>(from: unknown, value: unknown, fn: (arg: A) => R, arg: A): R;
  /** Calls `fn(arg)` in a captured context, unchanged. */
  runIn<A, R>(from: unknown, fn: (arg: A) => R, arg: A): R;
}

/** A symbol, so that two copies of this module in one program do not see each other's values. */
const KEY: unique symbol = Symbol("asyncio");

/**
 * Base class of values for the slot. Where the context holds nothing else,
 * which is the usual case, the value itself serves as the context object. The
 * runtime copies public fields of context objects, so all others are private.
 */
export class SlotValue {
  /** Itself. */
  readonly [KEY]: unknown = this;
}

/** A slot in an `AsyncLocalStorage`. */
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

/** A slot in the runtime's context object; `null` if it fails the trial. */
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

/** Whether a slot and an `AsyncLocalStorage` work side by side. */
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

/** A slot that stays empty, so that the module loads where no task can run. */
function emptySlot(): Slot {
  const refuse = () => {
    throw unsupported("run a task");
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

/** The value of the running code; `undefined` outside. */
export const currentSlot: Slot["current"] = slot.current;

/** Calls `fn(arg)`; the call, and the code after its awaits, sees `value` in its slot. */
export const runInSlot: Slot["run"] = slot.run;

/** Captures the whole context of the running code, for {@linkcode runFrom}. */
export const captureSlot: Slot["capture"] = slot.capture;

/** As {@linkcode runInSlot}, in a context from {@linkcode captureSlot}. */
export const runFrom: Slot["runFrom"] = slot.runFrom;

/** Calls a function in a context from {@linkcode captureSlot}. */
export const runIn: Slot["runIn"] = slot.runIn;

/** The context of the running code, to call functions in later. */
export function captureContext(): Context {
  return node("async_hooks").AsyncLocalStorage.snapshot();
}

/** The error for a context that does not call the function passed to it. */
export function notCalled(action: string): TypeError {
  return new TypeError(
    `Cannot ${action}: its context did not call the function that it was given`,
  );
}
