/**
 * What debug mode and inspection do for the core, which stands below them.
 *
 * @module
 */

import type {
  BaseEventLoop,
  ExecutionContext,
  Job,
  TaskStateFactory,
} from "./_scheduler.ts";

/** What debug mode and inspection do for the core, which stands below them; `_debug_mode.ts` and `_inspect.ts` fill it in, and `runner.ts` what makes reports. */
export interface DebugHooks {
  /** One loop more, or one less, is in debug mode. */
  debug(on: boolean): void;
  /** A job and what it resumed took longer than it may. */
  slow(loop: BaseEventLoop, job: Job, seconds: number): void;
  /** Throws if the running code belongs to another loop. */
  checkCaller(loop: BaseEventLoop): void;
  /** The state of a task of a loop in debug mode. */
  createTaskState: TaskStateFactory;
  /** Where a task is suspended, innermost first. */
  stackOf(state: ExecutionContext): readonly string[];
  /** A future on one line. */
  inspect(future: object): string;
  /** What a loop is doing, and what code outside of its tasks waits for, a line each. */
  report(loop: BaseEventLoop, waits: readonly object[]): string;
}

/** The one late-bound object of the core. */
export const debugHooks: DebugHooks = {
  debug: notLoaded,
  slow: notLoaded,
  checkCaller: notLoaded,
  createTaskState: notLoaded,
  stackOf: notLoaded,
  inspect: notLoaded,
  report: () => "Import runner.ts or mod.ts to see what it waits for",
};

function notLoaded(): never {
  throw new Error(
    "Debug mode is not loaded: import a public entry point of this module first",
  );
}
