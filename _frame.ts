/**
 * The frame of a task: the outermost of its scopes, its place in the list of
 * its loop, and its first and last step.
 *
 * @module
 */

import {
  asCancellation,
  type Cancelable,
  type CancelRequest,
} from "./_cancel_request.ts";
import {
  CancelScope,
  hooks,
  type NamedCancelable,
  openScope,
  type Reaction,
} from "./_cancel_scope.ts";
import { captureSlot, SlotValue } from "./_context.ts";
import { systemTimer } from "./_host.ts";
import {
  type BaseEventLoop,
  currentFrame,
  internals as loops,
  type Job,
} from "./_loop.ts";
import { BODY, Place } from "./_place.ts";

/**
 * While the tasks of a deadlocked loop are being cancelled: where their waits
 * end, by their ids.
 */
export const endings: { places: Map<number, Place> | null } = { places: null };

let framesMade = 0;
let origin: string | null = null;

/** Calls a function whose requests to cancel come from something that has a name: a signal of the system. */
export function cancelFrom(name: string, fn: () => void): void {
  const before = origin;
  origin = name;
  try {
    fn();
  } finally {
    origin = before;
  }
}

/** The id of the running task, 0 outside of tasks. */
function currentId(): number {
  const frame = currentFrame();
  return frame instanceof CancelScope ? frame.root.id : 0;
}

/** The body is to be called in the context of whoever made the task. */
const NEW = 0;
/** It is to be called in a context that was given. */
const NEW_IN_GIVEN = 1;
const BEGUN = 2;
const OVER = 3;

/**
 * What follows the code of one task across its awaits: who it is, what it is
 * suspended in, and the requests to cancel it.
 *
 * There is one for each task, so it is kept small: what has to do with a
 * cancellation is made when there is one. Callbacks and timers that the task
 * has left behind hold it, so it lets go of the task once that is done.
 */
export class TaskFrame extends CancelScope implements Job {
  readonly #loop: BaseEventLoop;
  /** `null` once the task is done. */
  #task: NamedCancelable | null;
  /** Where the task is in its life; one that is not scheduled begins at once. */
  #stage = BEGUN;
  /** The context to call the body in, then the one that it was called in. */
  #from: unknown = undefined;
  /** Neighbours in the list of the loop's tasks that are not done. */
  #next: TaskFrame | null = null;
  #previous: TaskFrame | null = null;
  #since: number | null = null;
  #isAsked = false;
  #isBeingCancelled = false;
  #bodyEnd: Promise<void> | null = null;
  /** The name of a task that is done. */
  #lastName: string | number = "";
  #total = 0;
  #busy = 0;
  readonly #id = ++framesMade;
  /** The id of the task that made this one, 0 if none did. */
  readonly #parent: number;
  #lastRequest: CancelRequest | null = null;

  constructor(
    loop: BaseEventLoop,
    task: NamedCancelable | null,
  ) {
    super();
    this.#loop = loop;
    this.#task = task;
    this.#parent = currentId();
  }

  /** A number of its own in this program. */
  get id(): number {
    return this.#id;
  }

  /** The id of the task that made this one, 0 if none did. */
  get parent(): number {
    return this.#parent;
  }

  /** When the last request to cancel came, in milliseconds of the loop's clock. */
  get cancelledAt(): number | null {
    return this.#lastRequest?.at ?? null;
  }

  /** What it came from, if that has a name. */
  get cancelledFrom(): string | null {
    return this.#lastRequest?.from ?? null;
  }

  /** The id of the task that it came from, 0 for code outside of tasks. */
  get cancelledBy(): number {
    return this.#lastRequest?.by ?? 0;
  }

  get loop(): BaseEventLoop {
    return this.#loop;
  }

  get task(): NamedCancelable | null {
    return this.#task;
  }

  get root(): TaskFrame {
    return this;
  }

  get outer(): null {
    return null;
  }

  /** Requests to the task and to its scopes that nobody took back. */
  get total(): number {
    return this.#total;
  }

  set total(total: number) {
    this.#total = total;
  }

  /** How many of its scopes have a request that may have to be delivered. */
  get busy(): number {
    return this.#busy;
  }

  set busy(busy: number) {
    this.#busy = busy;
  }

  /** The task of the loop that was made before this one and is not done. */
  get next(): TaskFrame | null {
    return this.#next;
  }

  /** The task is done; code that still runs belongs to nobody. */
  get over(): boolean {
    return this.#stage === OVER;
  }

  /** When it was suspended last, in milliseconds of the loop's clock. */
  get since(): number | null {
    return this.#since;
  }

  /** The name of the task. */
  get name(): string {
    return this.#task?.getName() ?? taskName(this.#lastName);
  }

  /** The context that the body was or will be called in. */
  get from(): unknown {
    return this.#from;
  }

  /** Where the code of the task is. `foreign`: in a promise from outside of this module. */
  get standing(): "new" | "running" | "waiting" | "foreign" | "over" {
    return this.standingIn(this.awaits);
  }

  /** The same for whoever has looked at the awaits already, which takes time. */
  standingIn(
    awaits: readonly Reaction[],
  ): "new" | "running" | "waiting" | "foreign" | "over" {
    if (this.#stage === OVER) return "over";
    if (this.#stage < BEGUN) return "new";
    if (awaits.length > 0) return "waiting";
    return this.isRunning ? "running" : "foreign";
  }

  /** The signal as an argument for the body, which most bodies do not take. */
  get argument(): AbortSignal {
    return this.controller.signal;
  }

  /** The signal of whatever the task is in now. */
  override get signal(): AbortSignal {
    const frame = currentFrame();
    const isOwn = frame instanceof CancelScope && frame.root === this;
    const scope = isOwn ? openScope(frame) ?? this : this.innermost;
    if (scope !== this) return scope.signal;
    this.#isAsked = true;
    return super.signal;
  }

  protected get isSignalTaken(): boolean {
    return this.#isAsked ||
      (this.#task !== null && hooks.takesSignal(this.#task));
  }

  /** What follows the end of the body, if that is a promise. */
  set bodyEnd(end: Promise<void>) {
    this.#bodyEnd = end;
    if (this.#busy > 0) this.markBody(); // it was cancelled in its first step
  }

  protected markBody(): void {
    if (this.#bodyEnd !== null) void awaitBody[BODY](this.#bodyEnd);
    this.#bodyEnd = null;
  }

  /** The task belongs to its loop from now on. */
  enroll(): void {
    const list = tasksOf(this.#loop);
    this.#next = list.first;
    if (list.first !== null) list.first.#previous = this;
    list.first = this;
  }

  /** Has the body called on the loop's turn, in a captured context or in one that was given. */
  startSoon(from: unknown, isGiven: boolean): void {
    this.#stage = isGiven ? NEW_IN_GIVEN : NEW;
    this.#from = from;
    loops.push(this.#loop, this);
  }

  /** The body is being called. */
  started(): void {
    this.#from = captureSlot();
  }

  /** The first step. A task that was cancelled before it never runs its body. */
  run(): boolean {
    const stage = this.#stage;
    const from = this.#from;
    if (stage > NEW_IN_GIVEN) return false;
    this.#stage = BEGUN;
    this.#from = undefined;
    if (this.mustCancel) this.#leave(hooks.cancel, this.pendingError);
    else hooks.start(this, from, stage === NEW_IN_GIVEN);
    return true;
  }

  /** Ends the task as its body ended. */
  finish(value: unknown): void {
    if (this.owes()) this.#leave(hooks.cancel, this.pendingError);
    else this.#leave(hooks.settle, value);
  }

  /** Ends the task as its body failed. */
  fail(error: unknown): void {
    const cancellation = asCancellation(error);
    if (cancellation !== null) this.#leave(hooks.cancel, cancellation);
    else this.#leave(hooks.fail, error);
  }

  #leave(
    end: (task: Cancelable, outcome: unknown) => void,
    outcome: unknown,
  ): void {
    const task = this.#task!;
    this.#stage = OVER;
    if (this.#lastRequest?.isNoted) dropOwed(this);
    this.release();
    if (this.#next !== null) this.#next.#previous = this.#previous;
    if (this.#previous !== null) this.#previous.#next = this.#next;
    else if (tasksOf(this.#loop).first === this) {
      tasksOf(this.#loop).first = this.#next;
    }
    this.#next = this.#previous = null;
    const from = this.#from;
    if (from && !(from instanceof SlotValue)) hooks.keepContext(task, this);
    this.#from = undefined;
    this.#bodyEnd = null;
    this.#lastName = hooks.rawName(task);
    this.#task = null;
    end(task, outcome);
  }

  cancel(message: unknown, cause?: unknown): void {
    if (this.#isBeingCancelled) return this.count();
    this.#isBeingCancelled = true;
    try {
      this.request(message, cause);
    } finally {
      this.#isBeingCancelled = false;
    }
  }

  /** Whether a cancellation of the task is on its way to what it awaits. */
  get isBeingCancelled(): boolean {
    return this.#isBeingCancelled;
  }

  /** Takes one request back: one to the task, else the innermost of one to its scopes. */
  uncancel(): number {
    if (this.ownRequests > 0) this.takeBack(1);
    else {
      let scope: CancelScope | null = this.innermost;
      while (scope !== null && scope.ownRequests === 0) scope = scope.outer;
      scope?.takeBack(1);
    }
    return this.total;
  }

  /** An await begins somewhere in the task. */
  began(_reaction: Reaction): void {
    this.#since = loops.stamp(this.#loop);
  }

  /** An await ends. */
  ended(_reaction: Reaction): void {}

  /** A request to cancel has come, to the task or a scope in it. */
  requested(request: CancelRequest): void {
    const isNoted = this.#lastRequest?.isNoted ?? false;
    this.#lastRequest = request;
    request.at = loops.stamp(this.#loop);
    request.by = currentId();
    request.from = origin;
    request.isNoted = isNoted;
    if (isNoted || endings.places !== null || !this.isOwed) return;
    if (this.standing !== "foreign") return;
    request.isNoted = true;
    noteOwed(this);
  }

  /** A request was taken back. */
  tookBack(): void {}

  /** The code of the task is given the error of a request. */
  rejected(): void {}

  /** Says once that a request cannot be delivered, unless it was by now. */
  reportOwed(from: Place): void {
    if (this.#lastRequest !== null) this.#lastRequest.isNoted = false;
    const isStuck = !this.over && this.#lastRequest?.isReported === false &&
      this.isOwed &&
      this.standing === "foreign";
    if (!isStuck || this.#loop.isClosed()) return;
    this.#lastRequest!.isReported = true;
    const where = this.foreignLine;
    this.#loop.callExceptionHandler({
      message: `Task ${this.name} ${this.#reasonToEnd(from)} but sits in a ` +
        "foreign promise, which cannot be interrupted" +
        `${where === null ? "" : `, at ${where}`}: hand it the signal, or ` +
        "await what cancellable() makes of it",
      task: this.#task!,
    });
  }

  #reasonToEnd({ line }: Place): string {
    const [why] = this.explanations;
    if (why !== undefined) return `has to end (${why})`;
    const at = line === null ? "" : ` at ${line}`;
    const by = this.cancelledFrom === null ? at : ` by ${this.cancelledFrom}`;
    return `was cancelled${by} ${PATIENCE} s ago`;
  }

  /** Where it waits for a promise from outside, as far as that is known. */
  protected get foreignLine(): string | null {
    return null;
  }

  /** The code of the task was given the error of a request by a promise that holds a signal. */
  toldBySignal(): void {}
}

/** How long a request may meet no await that it could end, in seconds. */
const PATIENCE = 1;

/** Tasks with a request that was not delivered at once: where it came from, and when. */
const owed = new Map<TaskFrame, { place: Place; since: number }>();
let stopTimer: (() => void) | null = null;

/** The code sits in a promise from outside: that is reported if it has not ended a second later. */
function noteOwed(frame: TaskFrame): void {
  stopTimer ??= systemTimer(PATIENCE, reportOwed);
  owed.set(frame, { place: new Place(), since: performance.now() });
}

/** A task with such a request has ended. */
function dropOwed(frame: TaskFrame): void {
  owed.delete(frame);
  if (owed.size > 0) return;
  stopTimer?.();
  stopTimer = null;
}

function reportOwed(): void {
  const limit = performance.now() - 900 * PATIENCE;
  const due = [...owed].filter(([, { since }]) => since < limit);
  for (const [frame] of due) owed.delete(frame);
  stopTimer = owed.size > 0 ? systemTimer(PATIENCE, reportOwed) : null;
  for (const [frame, { place }] of due) frame.reportOwed(place);
}

/** Awaits the end of a body, so that stacks lead to it. Only tasks that are cancelled need that. */
const awaitBody = {
  [BODY]: async (end: Promise<void>) => {
    await end;
  },
};

/** The name of a task; a number stands for one that was given none. */
export function taskName(name: string | number): string {
  return typeof name === "number" ? `Task-${name}` : name;
}

/** The head of the list of a loop's tasks. */
export function tasksOf(loop: BaseEventLoop): { first: TaskFrame | null } {
  return loops.tasks(loop) as { first: TaskFrame | null };
}
