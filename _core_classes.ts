/**
 * The classes of the core that need one another: a loop creates futures and
 * tasks, which have a loop, and `then()` of a future returns another future.
 *
 * @module
 */

import type { Continuation, DoneCallback } from "./_continuation.ts";
import type { Future } from "./_future.ts";
import type { Task } from "./_task.ts";

interface CoreClasses {
  Future: typeof Future;
  Continuation: typeof Continuation;
  DoneCallback: typeof DoneCallback;
  Task: typeof Task;
}

/** Each file sets its own classes. */
export const classes: CoreClasses = {} as CoreClasses;
