/**
 * The edges between tasks: which task waits for which.
 *
 * @module
 */

import { type AnyFuture, futures } from "./_future.ts";
import { tasksOf, type TaskState } from "./_task_state.ts";
import type { EventLoop } from "./_event_loop.ts";
import {
  awaitedBy,
  isPending,
  reachableFutures,
  taskOfHolder,
} from "./_inspect.ts";

/** The states of the pending tasks of a loop, in creation order. */
export function taskStatesOf(loop: EventLoop): TaskState[] {
  const states: TaskState[] = [];
  for (let it = tasksOf(loop).first; it !== null; it = it.next) states.push(it);
  return states.reverse();
}

/** The tasks that wait for each object, directly or through a gather, a lock and the like. */
export function waitersIn(
  states: readonly TaskState[],
): Map<object, Set<TaskState>> {
  const waiters = new Map<object, Set<TaskState>>();
  for (const state of states) {
    const pending = awaitedBy(state).filter(isPending);
    for (const future of [...pending, ...state.children]) {
      for (const target of targetsOf(future)) {
        const known = waiters.get(target) ?? new Set();
        waiters.set(target, known.add(state));
      }
    }
  }
  return waiters;
}

/** What a wait for a future waits for: the future, the futures it depends on, and the tasks that hold them. */
function targetsOf(future: AnyFuture): object[] {
  return [...reachableFutures(future)].flatMap((it) => [
    it,
    ...pendingHoldersOf(it).flatMap((state) => state.task ?? []),
  ]);
}

/** The pending task that holds what a future waits for. */
function pendingHoldersOf(future: AnyFuture): TaskState[] {
  const state = taskOfHolder(futures.source(future)?.holder);
  return state === null || state.isOver ? [] : [state];
}
