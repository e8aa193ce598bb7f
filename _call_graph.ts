/**
 * Who waits for whom: the edges between tasks.
 *
 * @module
 */

import { type AnyFuture, futures } from "./_future.ts";
import { tasksOf, type TaskState } from "./_task_state.ts";
import type { EventLoop } from "./_event_loop.ts";
import {
  awaitedBy,
  futuresBehind,
  isPending,
  taskOfHolder,
} from "./_inspect.ts";

/** The frames of the tasks of a loop that are not done, in the order of their making. */
export function framesOfLoop(loop: EventLoop): TaskState[] {
  const frames: TaskState[] = [];
  for (let it = tasksOf(loop).first; it !== null; it = it.next) frames.push(it);
  return frames.reverse();
}

/** By what is waited for: the tasks that wait for it, be it through a gather, a lock or the like. */
export function waitersIn(
  frames: readonly TaskState[],
): Map<object, Set<TaskState>> {
  const waiters = new Map<object, Set<TaskState>>();
  for (const frame of frames) {
    const pending = awaitedBy(frame).filter(isPending);
    for (const future of [...pending, ...frame.children]) {
      for (const target of targetsOf(future)) {
        const known = waiters.get(target) ?? new Set();
        waiters.set(target, known.add(frame));
      }
    }
  }
  return waiters;
}

/** Everything that a future stands for: itself, what it waits for, and who holds that. */
function targetsOf(future: AnyFuture): object[] {
  return [...futuresBehind(future)].flatMap((it) => [
    it,
    ...holders(it).flatMap((frame) => frame.task ?? []),
  ]);
}

/** The task that has what a future waits for. */
function holders(future: AnyFuture): TaskState[] {
  const frame = taskOfHolder(futures.source(future)?.holder);
  return frame === null || frame.isOver ? [] : [frame];
}
