/** What tests of scopes and runners share: a clock that jumps, and errors in a line. */

import { type Coroutine, run, VirtualTimeLoop } from "@asyncio/asyncio";

/** Runs a program on a loop whose clock jumps over the waiting. */
export function virtual<T>(main: Coroutine<T>): Promise<T> {
  return run(main, { loopFactory: () => new VirtualTimeLoop() });
}

/** An error with all that is in it: `ExceptionGroup[RangeError(far), CancelledError]`. */
export function shape(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError) {
    return `${error.name}[${error.errors.map(shape).join(", ")}]`;
  }
  return error.message === "" ? error.name : `${error.name}(${error.message})`;
}

/** The shape of what a promise rejects with, or the value that it gives. */
export async function outcome(promise: PromiseLike<unknown>): Promise<string> {
  try {
    return `value ${await promise}`;
  } catch (error) {
    return shape(error);
  }
}
