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
import {
  type BaseEventLoop,
  currentFrame,
  type Frame,
  hostTurn,
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
  /** Settles an await if its future is done, has it wait otherwise. */
  react(reaction: Reaction): boolean;
  /** Cancels what a task awaits, unless that was woken: the turn is passed on when the task resumes. */
  interrupt(future: Cancelable, message: string): boolean;
  /** Whether its outcome is a cancellation, which then stands for that of the task. */
  cancels(future: Cancelable): boolean;
  /** The task that awaited was cancelled when the future was done already. It hears of that once what this returns is done. */
  abandon(future: Cancelable): void | Promise<void>;
  settle(future: Cancelable, value: unknown): void;
  fail(future: Cancelable, error: unknown): void;
  cancel(future: Cancelable, message: unknown): void;
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

/** One `await` of a future; see the head of this file. */
export class Reaction implements Job {
  readonly future: Cancelable;
  /** The task that awaits, `null` for code outside of tasks. */
  readonly frame: TaskFrame | null;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  /** Whether it was put into the ready queue at once, for a yield. */
  queued = false;
  /** A cancellation that could not interrupt this await beside others: its message. */
  struck: { message: unknown } | null = null;

  constructor(
    future: Cancelable,
    frame: TaskFrame | null,
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
  ) {
    this.future = future;
    this.frame = frame;
    this.resolve = resolve;
    this.reject = reject;
  }

  run(): boolean {
    const { frame, struck } = this;
    if (
      frame === null || !(frame.mustCancel || struck) ||
      hooks.cancels(this.future)
    ) {
      return hooks.react(this);
    }
    const error = frame.mustCancel
      ? frame.cancellation()
      : cancelledError(struck!.message);
    frame.resume(this);
    const passed = hooks.abandon(this.future);
    if (passed instanceof Promise) passed.then(() => this.reject(error));
    else this.reject(error);
    return true;
  }
}

/**
 * What follows the code of one task across its awaits: who it is, what it is
 * suspended in, and the requests to cancel it.
 */
export class TaskFrame implements Frame, Job {
  readonly loop: BaseEventLoop;
  readonly task: Cancelable;
  /** Calls the body; `null` once it was called or never will be. */
  start: ((frame: TaskFrame, from: unknown) => void) | null = null;
  /** The context to call it in, then the one that it was called in. */
  from: unknown = undefined;
  /** Neighbours in the list of the loop's tasks that are not done. */
  next: TaskFrame | null = null;
  #previous: TaskFrame | null = null;
  /** The task is done; code that still runs belongs to nobody. */
  over = false;
  /** When it was suspended last, in milliseconds of the loop's clock. */
  since: number | null = null;
  /** The awaits it is suspended in; several under a `Promise.all`. */
  waiting: Reaction | Set<Reaction> | null = null;
  /** Calls of `cancel()` that nobody took back. */
  requests = 0;
  /** A request that met no pending await: the next one delivers it. */
  mustCancel = false;
  /** A request is on its way and has not been seen by the task's code. */
  #undelivered = false;
  #message: unknown = undefined;
  /** The error of that request, made early if the signal needs it. */
  #error: CancelledError | null = null;
  #controller: AbortController | null = null;
  /** Whose signal has just told of a request while no library await was there to reject. */
  #told: AbortController | null = null;

  constructor(loop: BaseEventLoop, task: NamedCancelable) {
    this.loop = loop;
    this.task = task;
    const list = tasksOf(loop);
    this.next = list.first;
    if (list.first !== null) list.first.#previous = this;
    list.first = this;
  }

  /** The first step. A task that was cancelled before it never runs its body. */
  run(): boolean {
    const { start, from } = this;
    if (start === null) return false;
    this.start = null;
    this.from = undefined;
    if (this.mustCancel) this.#leave(hooks.cancel, this.cancellation());
    else start(this, from);
    return true;
  }

  /** Ends the task as its body ended. */
  finish(value: unknown): void {
    const unheard = this.mustCancel && this.#told === null;
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
    this.over = true;
    if (this.next !== null) this.next.#previous = this.#previous;
    if (this.#previous === null) tasksOf(this.loop).first = this.next;
    else this.#previous.next = this.next;
    end(this.task, outcome);
  }

  /** The name of the task. */
  get name(): string {
    return (this.task as NamedCancelable).getName();
  }

  /** Where the code of the task is. `foreign`: in a promise from outside of this module. */
  get standing(): "new" | "running" | "waiting" | "foreign" | "over" {
    if (this.over) return "over";
    if (this.start !== null) return "new";
    if (this.waiting !== null) return "waiting";
    return currentFrame() === this ? "running" : "foreign";
  }

  /** Whether a request is on its way that the task's code has not seen. */
  get undelivered(): boolean {
    return this.#undelivered;
  }

  /** Aborts with the next cancellation; another one after each. */
  get signal(): AbortSignal {
    if (this.#told !== null && currentFrame() === this) this.#delivered();
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#undelivered) this.#controller.abort(this.cancellation());
    }
    return this.#controller.signal;
  }

  cancel(message: unknown, cause?: unknown): void {
    this.requests++;
    this.#undelivered = true;
    this.#message = message;
    if (this.#error !== null) label(this.#error, message);
    if (cause !== undefined) this.cancellation().cause = cause;
    const waiting = this.waiting;
    let reached = false;
    if (waiting instanceof Reaction) {
      reached = hooks.interrupt(waiting.future, message as string);
    } else if (waiting !== null) {
      for (const reaction of [...waiting]) {
        if (hooks.interrupt(reaction.future, message as string)) reached = true;
        else reaction.struck = { message };
      }
    }
    if (!reached) this.mustCancel = true;
    if (this.#controller !== null) this.#abortSignal(waiting === null);
  }

  uncancel(): number {
    if (this.requests > 0) this.requests--;
    if (this.requests === 0) {
      if (this.mustCancel) this.#spare();
      this.mustCancel = false;
      if (this.waiting === null) this.#delivered();
    }
    return this.requests;
  }

  /** Takes a request back that has met several awaits and interrupted none. */
  #spare(): void {
    if (!(this.waiting instanceof Set)) return;
    for (const reaction of this.waiting) reaction.struck = null;
  }

  /** The error for the present request. */
  cancellation(): CancelledError {
    return this.#error ??= cancelledError(this.#message);
  }

  /** An await begins. A request that is still to be delivered strikes here. */
  suspend(reaction: Reaction): void {
    this.since = loops.stamp(this.loop);
    if (this.waiting === null) this.waiting = reaction;
    else if (this.waiting instanceof Set) this.waiting.add(reaction);
    else if (this.waiting !== reaction) {
      this.waiting = new Set([this.waiting, reaction]);
    }
    if (!this.mustCancel) return;
    if (this.#told !== null) this.#delivered();
    else if (hooks.interrupt(reaction.future, this.#message as string)) {
      this.mustCancel = false;
    }
  }

  /** An await ends. Returns the error of the request that it delivers, if one was made. */
  resume(reaction: Reaction): CancelledError | null {
    let suspended = this.waiting === reaction;
    if (suspended) this.waiting = null;
    else if (this.waiting instanceof Set) {
      suspended = this.waiting.delete(reaction);
      if (this.waiting.size === 0) this.waiting = null;
    }
    // An await of what is done already does not suspend: a request outlasts it.
    if (!this.#undelivered || (this.mustCancel && !suspended)) return null;
    const error = this.#error;
    this.#delivered();
    return error;
  }

  #delivered(): void {
    this.#undelivered = false;
    this.mustCancel = false;
    this.#told = null;
    this.#error = null;
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
    const controller = this.#controller!;
    if (inForeign && currentFrame() !== this && isHeard(controller.signal)) {
      queueMicrotask(() => {
        if (this.mustCancel) this.#told = controller;
      });
      const forget = () => {
        if (this.#told === controller) this.#told = null;
      };
      hostTurn(() => hostTurn(forget));
    }
    controller.abort(this.cancellation());
  }
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

const TASKS = Symbol("tasks");

/** The head of the list of a loop's tasks. */
export function tasksOf(loop: BaseEventLoop): { first: TaskFrame | null } {
  const extras = loops.extras(loop);
  let list = extras.get(TASKS) as { first: TaskFrame | null } | undefined;
  if (list === undefined) extras.set(TASKS, list = { first: null });
  return list;
}
