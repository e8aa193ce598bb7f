/**
 * The functions of debug mode and inspection that the core calls. They import
 * the core, so they register themselves here.
 *
 * @module
 */

import type {
  EventLoop,
  ExecutionContext,
  Job,
  TaskStateFactory,
} from "./_event_loop.ts";

/** Set by `_debug_mode.ts` and `_inspect.ts`, and `report` by `runner.ts`. */
export interface DebugHooks {
  /** Called when debug mode of a loop is turned on or off. */
  debug(on: boolean): void;
  /** Called when a job and the code it resumed took too long. */
  slow(loop: EventLoop, job: Job, seconds: number): void;
  /** Throws if the running code belongs to another loop. */
  checkCaller(loop: EventLoop): void;
  /** Creates the state of a task of a loop in debug mode. */
  createTaskState: TaskStateFactory;
  /** Where a task is suspended, innermost first. */
  stackOf(state: ExecutionContext): readonly string[];
  /** Describes a future on one line. */
  inspect(future: object): string;
  /** Describes what a loop is doing, and the waits of code outside of its tasks, one line each. */
  report(loop: EventLoop, waits: readonly object[]): string;
}

/** Bound late: debug mode and inspection fill it in when they are loaded. */
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
