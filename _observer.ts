/**
 * Observes the tasks of a loop: when each runs, waits and is notified, and by
 * which task.
 *
 * Tasks of an observed loop have a state that calls the observers, and so does
 * the queue of the loop. Other loops are unaffected.
 *
 * @module
 */

import { DebugTaskState } from "./_debug_mode.ts";
import { asCancellation, type CancelRequest } from "./_cancel_request.ts";
import {
  CancelScope,
  type NamedTask,
  type SuspendedAwait,
} from "./_cancel_scope.ts";
import type { Coroutine } from "./_options.ts";
import { TaskState } from "./_task_state.ts";
import { LoopLocal } from "./_loop_local.ts";
import {
  currentExecution,
  type EventLoop,
  internals as loops,
  type Job,
} from "./_event_loop.ts";

/** Receives the events of the tasks of a loop. */
export interface Observer {
  /** A task was created. */
  created(state: TaskState): void;
  /** The code of a task is about to start, or to resume from an await of this module. */
  resumed(state: TaskState): void;
  /** The code of a task starts to wait. The same step may continue with other code. */
  awaitStarted(state: TaskState): void;
  /** The current step has ended, with its microtasks. */
  stepEnded(): void;
  /** The code of one task makes another task ready. */
  notified(notifier: TaskState, notified: TaskState): void;
  /** The cancellation of a task was requested. */
  cancelRequested(state: TaskState): void;
  /** A task ends. This may be called more than once. */
  ended(state: TaskState, outcome: Outcome): void;
}

/** How a task ends. */
export type Outcome = "done" | "failed" | "cancelled";

/** The constructor of a class of task states. */
type TaskStateClass = new (
  ...args: ConstructorParameters<typeof DebugTaskState>
) => TaskState;

/** Calls an observer for every event of the tasks of a loop, until the loop is closed. */
export function observe(loop: EventLoop, observer: Observer): void {
  observers.get(loop).add(observer);
}

/** The observers of a loop. Once it has one, new tasks get observed states. */
const observers = new LoopLocal((loop) => {
  const observers = new Set<Observer>();
  const emit = (call: (observer: Observer) => void) => observers.forEach(call);
  const [Plain, Watched] = [TaskState, DebugTaskState].map((base) =>
    observedClass(base, emit)
  );
  loops.setTaskStates(loop, (loop, task, name, body) => {
    const State = loop.getDebug() ? Watched : Plain;
    const state = new State!(
      loop,
      task as NamedTask,
      name,
      body as Coroutine<unknown>,
    );
    emit((it) => it.created(state));
    return state;
  });
  observeQueue(loop, emit);
  return observers;
});

/** A class of task states that emit their events. */
function observedClass(
  Base: TaskStateClass,
  emit: (call: (observer: Observer) => void) => void,
): TaskStateClass {
  return class extends Base {
    override run(): boolean {
      emit((it) => it.resumed(this));
      const ran = super.run();
      // A task that was cancelled before it started never calls `finish` or `fail`.
      if (this.isOver) emit((it) => it.ended(this, "cancelled"));
      return ran;
    }

    override awaitStarted(suspension: SuspendedAwait): void {
      super.awaitStarted(suspension);
      emit((it) => it.awaitStarted(this));
    }

    override awaitEnded(suspension: SuspendedAwait): void {
      super.awaitEnded(suspension);
      emit((it) => it.resumed(this));
    }

    override cancelRequested(request: CancelRequest): void {
      super.cancelRequested(request);
      emit((it) => it.cancelRequested(this));
    }

    override finish(value: unknown): void {
      emit((it) => it.ended(this, "done"));
      super.finish(value);
    }

    override fail(error: unknown): void {
      const outcome = asCancellation(error) ? "cancelled" : "failed";
      emit((it) => it.ended(this, outcome));
      super.fail(error);
    }
  };
}

/** Overrides the methods of this queue object only, so that other queues stay fast. */
function observeQueue(
  loop: EventLoop,
  emit: (call: (observer: Observer) => void) => void,
): void {
  const queue = loops.ready(loop);
  const { push, shift } = queue;
  queue.push = (job) => {
    const notifier = taskStateIn(currentExecution());
    const notified = taskStateIn(job) ??
      taskStateIn((job as Partial<SuspendedAwait>).scope);
    if (notifier !== null && notified !== null && notifier !== notified) {
      emit((it) => it.notified(notifier, notified));
    }
    push.call(queue, job);
  };
  queue.shift = (): Job | undefined => {
    emit((it) => it.stepEnded());
    return shift.call(queue);
  };
}

function taskStateIn(thing: unknown): TaskState | null {
  if (!(thing instanceof CancelScope)) return null;
  return thing.taskState.task === null ? null : thing.taskState;
}
