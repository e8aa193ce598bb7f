/**
 * Watching the tasks of a loop from outside: when each runs, waits and is
 * woken, and by whom.
 *
 * Tasks of a loop that is observed have a frame that tells of it, and its
 * queue tells who puts what into it. Other loops know nothing of that.
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
  type BaseEventLoop,
  currentExecution,
  internals as loops,
  type Job,
} from "./_scheduler.ts";

/** What is told of the tasks of a loop. */
export interface Observer {
  /** A task was made. */
  made(frame: TaskState): void;
  /** The code of a task is about to go on, as far as the loop knows: from an await, or from its beginning. */
  resumed(frame: TaskState): void;
  /** The code of a task begins to wait; it may go on with something else. */
  awaits(frame: TaskState): void;
  /** Whatever ran has come to its end, with its microtasks. */
  stepped(): void;
  /** The code of one task makes another one ready. */
  wakes(waker: TaskState, woken: TaskState): void;
  /** A request to cancel has come. */
  requested(frame: TaskState): void;
  /** A task ends; it may be told again. */
  ends(frame: TaskState, outcome: Outcome): void;
}

/** How a task ends. */
export type Outcome = "done" | "failed" | "cancelled";

/** A constructor of task states. */
type TaskStateClass = new (
  ...args: ConstructorParameters<typeof DebugTaskState>
) => TaskState;

/** Has everything that happens to the tasks of a loop told, as long as it is not closed. */
export function observe(loop: BaseEventLoop, observer: Observer): void {
  observers.get(loop).add(observer);
}

/** The observers of a loop; from the first one on its tasks are of classes that tell. */
const observers = new LoopLocal((loop) => {
  const observers = new Set<Observer>();
  const tell = (call: (observer: Observer) => void) => observers.forEach(call);
  const [Plain, Watched] = [TaskState, DebugTaskState].map((base) =>
    observed(base, tell)
  );
  loops.setTaskStates(loop, (loop, task, name, body) => {
    const State = loop.getDebug() ? Watched : Plain;
    const frame = new State!(
      loop,
      task as NamedTask,
      name,
      body as Coroutine<unknown>,
    );
    tell((it) => it.made(frame));
    return frame;
  });
  watchQueue(loop, tell);
  return observers;
});

/** A class of frames that tell what happens to them. */
function observed(
  Base: TaskStateClass,
  tell: (call: (observer: Observer) => void) => void,
): TaskStateClass {
  return class extends Base {
    override run(): boolean {
      tell((it) => it.resumed(this));
      const ran = super.run();
      // A task that was cancelled before has not been called at all.
      if (this.isOver) tell((it) => it.ends(this, "cancelled"));
      return ran;
    }

    override awaitStarted(reaction: SuspendedAwait): void {
      super.awaitStarted(reaction);
      tell((it) => it.awaits(this));
    }

    override awaitEnded(reaction: SuspendedAwait): void {
      super.awaitEnded(reaction);
      tell((it) => it.resumed(this));
    }

    override cancelRequested(request: CancelRequest): void {
      super.cancelRequested(request);
      tell((it) => it.requested(this));
    }

    override finish(value: unknown): void {
      tell((it) => it.ends(this, "done"));
      super.finish(value);
    }

    override fail(error: unknown): void {
      const outcome = asCancellation(error) ? "cancelled" : "failed";
      tell((it) => it.ends(this, outcome));
      super.fail(error);
    }
  };
}

/** Own methods of one queue, so that those of all others stay as they are. */
function watchQueue(
  loop: BaseEventLoop,
  tell: (call: (observer: Observer) => void) => void,
): void {
  const queue = loops.ready(loop);
  const { push, shift } = queue;
  queue.push = (job) => {
    const waker = frameOf(currentExecution());
    const woken = frameOf(job) ??
      frameOf((job as Partial<SuspendedAwait>).scope);
    if (waker !== null && woken !== null && waker !== woken) {
      tell((it) => it.wakes(waker, woken));
    }
    push.call(queue, job);
  };
  queue.shift = (): Job | undefined => {
    tell((it) => it.stepped());
    return shift.call(queue);
  };
}

function frameOf(thing: unknown): TaskState | null {
  if (!(thing instanceof CancelScope)) return null;
  return thing.taskState.task === null ? null : thing.taskState;
}
