/** Helpers for tests of scopes and runners: virtual time, and errors as one line. */

import { type Coroutine, run, VirtualTimeLoop } from "@asyncio/asyncio";

/** Runs a program in virtual time. */
export function virtual<T>(main: Coroutine<T>): Promise<T> {
  return run(main, { loopFactory: () => new VirtualTimeLoop() });
}

/** An error with everything it contains: `ExceptionGroup[RangeError(far), CancelledError]`. */
export function shape(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError) {
    return `${error.name}[${error.errors.map(shape).join(", ")}]`;
  }
  return error.message === "" ? error.name : `${error.name}(${error.message})`;
}

/** The shape of the error that a promise rejects with, or its value. */
export async function outcome(promise: PromiseLike<unknown>): Promise<string> {
  try {
    return `value ${await promise}`;
  } catch (error) {
    return shape(error);
  }
}
