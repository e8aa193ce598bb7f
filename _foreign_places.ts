/**
 * Where tasks wait for promises from outside of this module, found out without
 * debug mode.
 *
 * The debugger of the runtime lists all promises. From a pending one V8 follows
 * the functions that await it, one around the other, to the body of a task,
 * whose last frame carries the number of the task.
 *
 * @module
 */

import { BODY, CallSite, callsOf, captureStack } from "./_call_site.ts";
import { runtimeCore } from "./_host.ts";

/** How many pending promises are inspected, evenly spread over all of them. */
const MOST_PROMISES = 1000;
/** How many are inspected between two looks at the clock, and the time limit, in milliseconds. */
const SLICE = 50;
const BUDGET = 50;
/** How many places are reported. */
const MOST_PLACES = 100;
/**
 * Calls back with the places where tasks wait for some promises, by the ids of
 * the tasks; of very many promises only for some.
 */
export async function findForeignWaits(
  promises: readonly object[],
  found: ReadonlyMap<number, (place: CallSite) => void>,
): Promise<void> {
  /** Of the promises that lead to a task the one that it takes the most calls from. */
  const innermost = new Map<number, { promise: object; depth: number }>();
  const start = performance.now();
  const pending = spread(promises.filter(isPending), MOST_PROMISES);
  for (let at = 0; at < pending.length; at += SLICE) {
    if (performance.now() - start > BUDGET) break;
    for (const promise of pending.slice(at, at + SLICE)) {
      fromAwaiting(promise, () => {
        const calls = stackNames();
        const id = idOf(calls.at(-1) ?? null);
        const depth = calls.length;
        if (found.has(id) && depth > (innermost.get(id)?.depth ?? 0)) {
          innermost.set(id, { promise, depth });
        }
      });
    }
    await null;
  }
  for (const [id, { promise }] of [...innermost].slice(0, MOST_PLACES)) {
    fromAwaiting(promise, () => found.get(id)!(new CallSite()));
  }
  await null;
}

/** At most so many things out of a list, from all parts of it. */
function spread<T>(list: readonly T[], most: number): readonly T[] {
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
 * Calls back, in a microtask, from where V8 follows a promise to those who
 * await it. The promise is not touched: it only passes for the one that a
 * `then` of the microtask's own promise gives.
 */
function fromAwaiting(promise: object, look: () => void): void {
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

/** The names of the functions on the stack, the innermost first. */
function stackNames(): (string | null)[] {
  const taken: { stack?: unknown } = {};
  captureStack(taken, stackNames);
  return callsOf(taken).map((call) => call.getFunctionName());
}

/** The id of the task whose body a frame of this module awaits; `NaN` for another frame. */
function idOf(name: string | null): number {
  return name?.startsWith(`${BODY} `)
    ? Number(name.slice(BODY.length + 1))
    : NaN;
}
