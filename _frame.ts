/**
 * What follows the code of a task across its awaits.
 *
 * A {@linkcode Reaction} is one `await` of a future. It remembers the task
 * that awaits, so that cancelling the task reaches the future, and it is the
 * job that resumes the task: on the loop's turn, never inside the setter. A
 * {@linkcode TaskFrame} is the other side: what its task is suspended in, and
 * the requests to cancel it.
 *
 * Futures stand above this file and put in what is needed of them.
 *
 * @module
 */

import { isHeard } from "./_abort.ts";
import { captureSlot, SlotValue } from "./_context.ts";
import { hostTurn } from "./_host.ts";
import {
  type BaseEventLoop,
  currentFrame,
  type Frame,
  internals as loops,
  type Job,
} from "./_loop.ts";
import { CancelledError } from "./exceptions.ts";

/** What a frame knows of a future. */
export interface Cancelable {
  cancel(message?: string): boolean;
}

/** What is known of a thing that is waited for. */
export interface Described {
  /** What is waited for, in a few words. */
  describe?(): string;
  /** The futures that are waited for. */
  readonly awaits?: readonly Cancelable[];
  /** The code that has what is waited for. */
  readonly holder?: Frame | null;
}

/** What a frame knows of its task. */
export interface NamedCancelable extends Cancelable {
  getName(): string;
}

/** What is done to futures from here; `_future.ts` fills it in. */
export interface FutureHooks {
  /** Cancels what a task awaits, unless that was woken: the turn is passed on when the task resumes. */
  interrupt(future: Cancelable, message: string): boolean;
  /** Whether its outcome is a cancellation, which then stands for that of the task. */
  cancels(future: Cancelable): boolean;
  settle(future: Cancelable, value: unknown): void;
  fail(future: Cancelable, error: unknown): void;
  cancel(future: Cancelable, message: unknown): void;
  /** Calls the body of a task, in a captured context or in one that was given. */
  start(frame: TaskFrame, from: unknown, isGiven: boolean): void;
  /** Whether the body of a task can see the signal that it is called with. */
  takesSignal(task: Cancelable): boolean;
  /** What can be said of a future; looking at its error so is not looking at it. */
  about(future: Cancelable): {
    kind: string;
    state: string;
    /** Whether what it stands for has not come. */
    waits: boolean;
    value: unknown;
    behind: Described | null;
  };
  /** The frame of a future that is a task. */
  frameOf(future: Cancelable): TaskFrame | null;
}

export const hooks: { -readonly [K in keyof FutureHooks]: FutureHooks[K] } =
  {} as FutureHooks;

/** One `await` of a future, or what may be one; `_future.ts` has the class. */
export interface Reaction extends Job {
  /** What is awaited. */
  readonly source: Cancelable;
  /** The task that awaits, `null` for code outside of tasks and for what turned out to be no await. */
  frame: TaskFrame | null;
  /** Whether it resumes the code of a task, and does not just tell of the outcome. */
  readonly isAwait: boolean;
  /** A cancellation that could not interrupt this await beside others: its message. */
  struck: { message: unknown } | null;
}

/** Ends the running task with what its body returned, as a handler. */
export function finishTask(value: unknown): void {
  (currentFrame() as TaskFrame).finish(value);
}

/** Ends the running task with what its body threw, as a handler. */
export function failTask(error: unknown): void {
  (currentFrame() as TaskFrame).fail(error);
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
 * cancellation is made when there is one.
 */
export class TaskFrame extends SlotValue implements Frame, Job {
  readonly #loop: BaseEventLoop;
  readonly #task: NamedCancelable;
  /** Where the task is in its life; one that is not scheduled begins at once. */
  #stage = BEGUN;
  /** The context to call the body in, then the one that it was called in. */
  #from: unknown = undefined;
  /** Neighbours in the list of the loop's tasks that are not done. */
  #next: TaskFrame | null;
  #previous: TaskFrame | null = null;
  #since: number | null = null;
  /**
   * The awaits it is suspended in, several under a `Promise.all`; and handlers
   * that were taken for awaits, see {@linkcode TaskFrame.awaits}.
   */
  #waiting: Reaction | Set<Reaction> | null = null;
  /** Whose signal the task has now; made early, as it costs less than to find out whether the body takes it. */
  #controller: AbortController | null = null;
  #ending: Ending | null = null;

  constructor(loop: BaseEventLoop, task: NamedCancelable) {
    super();
    this.#loop = loop;
    this.#task = task;
    const list = tasksOf(loop);
    this.#next = list.first;
    if (list.first !== null) list.first.#previous = this;
    list.first = this;
  }

  get loop(): BaseEventLoop {
    return this.#loop;
  }

  get task(): Cancelable {
    return this.#task;
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

  /** Calls of `cancel()` that nobody took back. */
  get requests(): number {
    return this.#ending === null ? 0 : this.#ending.requests;
  }

  /** A request has met no pending await: the next one delivers it. */
  get mustCancel(): boolean {
    return this.#ending !== null && this.#ending.mustCancel;
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

  /** The context that the body was or will be called in. */
  get from(): unknown {
    return this.#from;
  }

  /** The first step. A task that was cancelled before it never runs its body. */
  run(): boolean {
    const stage = this.#stage;
    const from = this.#from;
    if (stage > NEW_IN_GIVEN) return false;
    this.#stage = BEGUN;
    this.#from = undefined;
    if (this.mustCancel) this.#leave(hooks.cancel, this.cancellation());
    else hooks.start(this, from, stage === NEW_IN_GIVEN);
    return true;
  }

  /** Ends the task as its body ended. */
  finish(value: unknown): void {
    const unheard = this.mustCancel && this.#ending!.told === null;
    if (unheard) this.#leave(hooks.cancel, this.cancellation());
    else this.#leave(hooks.settle, value);
  }

  /** Ends the task as its body failed. */
  fail(error: unknown): void {
    this.#leave(
      error instanceof CancelledError ? hooks.cancel : hooks.fail,
      error,
    );
  }

  #leave(
    end: (task: Cancelable, outcome: unknown) => void,
    outcome: unknown,
  ): void {
    this.#stage = OVER;
    if (this.#ending === null) this.#controller = null;
    if (this.#next !== null) this.#next.#previous = this.#previous;
    if (this.#previous === null) tasksOf(this.#loop).first = this.#next;
    else this.#previous.#next = this.#next;
    end(this.#task, outcome);
  }

  /** The name of the task. */
  get name(): string {
    return this.#task.getName();
  }

  /** Where the code of the task is. `foreign`: in a promise from outside of this module. */
  get standing(): "new" | "running" | "waiting" | "foreign" | "over" {
    if (this.#stage === OVER) return "over";
    if (this.#stage < BEGUN) return "new";
    if (this.awaits.length > 0) return "waiting";
    return currentFrame() === this ? "running" : "foreign";
  }

  /** The awaits it is suspended in. */
  get awaits(): Reaction[] {
    const waiting = this.#waiting;
    if (waiting === null) return [];
    const all = waiting instanceof Set ? [...waiting] : [waiting];
    return all.filter((reaction) => this.counts(reaction));
  }

  /** Whether a reaction is an await of this task; one that is not is no longer kept as one. */
  counts(reaction: Reaction): boolean {
    if (reaction.isAwait) return true;
    reaction.frame = null;
    this.#remove(reaction);
    return false;
  }

  /** Whether a request is on its way that the task's code has not seen. */
  get undelivered(): boolean {
    return this.#ending !== null && this.#ending.undelivered;
  }

  /** Aborts with the next cancellation; another one after each. */
  get signal(): AbortSignal {
    const ending = this.#ending ??= new Ending();
    ending.isAsked = true;
    if (ending.told !== null && currentFrame() === this) this.#delivered();
    return this.argument;
  }

  /** The signal as an argument for the body, which most bodies do not take. */
  get argument(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.undelivered) this.#controller.abort(this.cancellation());
    }
    return this.#controller.signal;
  }

  cancel(message: unknown, cause?: unknown): void {
    const ending = this.#ending ??= new Ending();
    ending.requests++;
    ending.undelivered = true;
    ending.message = message;
    if (ending.error !== null) label(ending.error, message);
    if (cause !== undefined) this.cancellation().cause = cause;
    const { awaits } = this;
    let reached = false;
    for (const reaction of awaits) {
      if (hooks.interrupt(reaction.source, message as string)) reached = true;
      else if (awaits.length > 1) reaction.struck = { message };
    }
    if (!reached) ending.mustCancel = true;
    if (this.#controller === null) return;
    if (ending.isAsked || hooks.takesSignal(this.#task)) {
      this.#abortSignal(awaits.length === 0);
    } else this.#controller = null; // nobody has it, and to abort it is dear
  }

  uncancel(): number {
    const ending = this.#ending;
    if (ending === null) return 0;
    if (ending.requests > 0) ending.requests--;
    if (ending.requests === 0) {
      const { awaits } = this;
      if (ending.mustCancel && awaits.length > 1) {
        for (const reaction of awaits) reaction.struck = null;
      }
      ending.mustCancel = false;
      if (awaits.length === 0) this.#delivered();
    }
    return ending.requests;
  }

  /** The error for the present request. */
  cancellation(): CancelledError {
    const ending = this.#ending!;
    return ending.error ??= cancelledError(ending.message);
  }

  /** An await begins. A request that is still to be delivered strikes here. */
  suspend(reaction: Reaction): void {
    const ending = this.#ending;
    const strikes = ending !== null && ending.mustCancel;
    if (strikes && !this.counts(reaction)) return;
    this.#since = loops.stamp(this.#loop);
    const waiting = this.#waiting;
    if (waiting === null) this.#waiting = reaction;
    else if (waiting instanceof Set) waiting.add(reaction);
    else if (waiting !== reaction) {
      this.#waiting = this.counts(waiting)
        ? new Set([waiting, reaction])
        : reaction;
    }
    if (!strikes) return;
    if (ending.told !== null) this.#delivered();
    else if (hooks.interrupt(reaction.source, ending.message as string)) {
      ending.mustCancel = false;
    }
  }

  /** An await ends. Returns the error of the request that it delivers, if one was made. */
  resume(reaction: Reaction): CancelledError | null {
    const suspended = this.#remove(reaction);
    const ending = this.#ending;
    // An await of what is done already does not suspend: a request outlasts it.
    if (
      ending === null || !ending.undelivered ||
      (ending.mustCancel && !suspended) || !reaction.isAwait
    ) return null;
    const { error } = ending;
    this.#delivered();
    return error;
  }

  /** Returns whether it was there. */
  #remove(reaction: Reaction): boolean {
    if (this.#waiting === reaction) {
      this.#waiting = null;
      return true;
    }
    if (!(this.#waiting instanceof Set)) return false;
    const removed = this.#waiting.delete(reaction);
    if (this.#waiting.size === 0) this.#waiting = null;
    return removed;
  }

  #delivered(): void {
    const ending = this.#ending;
    if (ending === null) return;
    ending.mustCancel = false;
    ending.undelivered = false;
    ending.told = null;
    ending.error = null;
    if (this.#controller?.signal.aborted) this.#controller = null;
  }

  /**
   * Tells whoever holds the signal. If the task sits in a foreign promise and
   * somebody listens, that promise is about to reject: at once, or in the next
   * turn of the host, as those of `fetch` and its like do. Code that comes
   * back until then has been told, and the awaits of its `finally` are not to
   * be struck a second time.
   */
  #abortSignal(inForeign: boolean): void {
    const ending = this.#ending!;
    const controller = this.#controller!;
    if (inForeign && currentFrame() !== this && isHeard(controller.signal)) {
      queueMicrotask(() => {
        if (ending.mustCancel) ending.told = controller;
      });
      const forget = () => {
        if (ending.told === controller) ending.told = null;
      };
      hostTurn(() => hostTurn(forget));
    }
    controller.abort(this.cancellation());
  }
}

/** The requests to cancel a task, and who is told of them. */
class Ending {
  /** Calls of `cancel()` that nobody took back. */
  requests = 0;
  /** A request has met no pending await: the next one delivers it. */
  mustCancel = false;
  /** A request is on its way and has not been seen by the task's code. */
  undelivered = false;
  message: unknown = undefined;
  /** The error of that request, made early if the signal needs it. */
  error: CancelledError | null = null;
  /** Somebody has asked for the signal of the task. */
  isAsked = false;
  /** Whose signal has just told of a request while no library await was there to reject. */
  told: AbortController | null = null;
}

/** A cancellation with the message that `cancel()` was given, whatever it is. */
export function cancelledError(message: unknown): CancelledError {
  if (message === undefined || message === null) return new CancelledError();
  const error = new CancelledError(String(message));
  if (typeof message !== "string") label(error, message);
  return error;
}

export function label(error: CancelledError, message: unknown): void {
  error.message = (message ?? "") as string;
}

/** The head of the list of a loop's tasks. */
export function tasksOf(loop: BaseEventLoop): { first: TaskFrame | null } {
  return loops.tasks(loop) as { first: TaskFrame | null };
}
