/**
 * Finds where tasks wait for promises from outside of this module, without
 * debug mode.
 *
 * The debugger of the runtime lists all promises. From a pending promise V8
 * follows the functions that await it, outwards to the body of a task, whose
 * last frame contains the id of the task.
 *
 * @module
 */

import { BODY, CallSite, callsOf, captureStack } from "./_call_site.ts";
import { runtimeCore } from "./_host.ts";

/** How many pending promises are inspected, evenly spread over all of them. */
const MOST_PROMISES = 1000;
/** How many are inspected before the clock is read again, and the time limit in milliseconds. */
const SLICE = 50;
const BUDGET = 50;
/** How many call sites are reported. */
const MOST_SITES = 100;

/**
 * Calls the callback of each task that waits for one of some promises with its
 * call site. If there are very many promises, only a sample is inspected.
 *
 * @param onFound The callbacks, by task id.
 */
export async function findExternalWaits(
  promises: readonly object[],
  onFound: ReadonlyMap<number, (place: CallSite) => void>,
): Promise<void> {
  /** For each task, the promise with the most calls between it and the task. */
  const innermost = new Map<number, { promise: object; depth: number }>();
  const start = performance.now();
  const pending = sample(promises.filter(isPending), MOST_PROMISES);
  for (let at = 0; at < pending.length; at += SLICE) {
    if (performance.now() - start > BUDGET) break;
    for (const promise of pending.slice(at, at + SLICE)) {
      followAwaiters(promise, () => {
        const calls = functionNames();
        const id = taskIdOf(calls.at(-1) ?? null);
        const depth = calls.length;
        if (onFound.has(id) && depth > (innermost.get(id)?.depth ?? 0)) {
          innermost.set(id, { promise, depth });
        }
      });
    }
    await null;
  }
  for (const [id, { promise }] of [...innermost].slice(0, MOST_SITES)) {
    followAwaiters(promise, () => onFound.get(id)!(new CallSite()));
  }
  await null;
}

/** At most `most` items of a list, evenly spread. */
function sample<T>(list: readonly T[], most: number): readonly T[] {
  if (list.length <= most) return list;
  const step = list.length / most;
  return Array.from({ length: most }, (_, at) => list[Math.floor(at * step)]!);
}

function isPending(promise: object): boolean {
  try {
    const details = runtimeCore.getPromiseDetails?.(
      promise as Promise<unknown>,
    );
    return (details?.[0] ?? 0) === 0;
  } catch {
    return false; // `Promise.prototype` itself
  }
}

const { then } = Promise.prototype;
const ignore = () => {};

/**
 * Calls `look` in a microtask whose stack contains the functions that await a
 * promise. The promise is not changed: it only poses as the result of a `then`
 * of the promise of this microtask.
 */
function followAwaiters(promise: object, look: () => void): void {
  const job = Reflect.apply(then, Promise.resolve(), [look]);
  const species = class {
    constructor(start: (...resolvers: (() => void)[]) => void) {
      start(ignore, ignore);
      return promise;
    }
  };
  const constructor = { [Symbol.species]: species };
  Object.defineProperty(job, "constructor", { value: constructor });
  Reflect.apply(then, job, [ignore]);
}

/** The names of the functions on the stack, innermost first. */
function functionNames(): (string | null)[] {
  const captured: { stack?: unknown } = {};
  captureStack(captured, functionNames);
  return callsOf(captured).map((call) => call.getFunctionName());
}

/** The id of the task whose body a function awaits, from the function's name; `NaN` for other functions. */
function taskIdOf(name: string | null): number {
  return name?.startsWith(`${BODY} `)
    ? Number(name.slice(BODY.length + 1))
    : NaN;
}
