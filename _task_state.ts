/**
 * The frame of a task: the outermost of its scopes, its place in the list of
 * its loop, and its first and last step.
 *
 * @module
 */

import {
  asCancellation,
  type CancelRequest,
  cancelSites,
  cancelTask,
} from "./_cancel_request.ts";
import {
  CancelScope,
  type NamedCancelable,
  type SuspendedAwait,
} from "./_cancel_scope.ts";
import {
  captureSlot,
  type Context,
  notCalled,
  runFrom,
  runInSlot,
  SlotValue,
} from "./_context.ts";
import {
  type AnyFuture,
  failTask,
  finishTask,
  Future,
  futures,
} from "./_future.ts";
import { sourceOf, systemTimer } from "./_host.ts";
import type { Coroutine } from "./_options.ts";
import { isThenable } from "./_validate.ts";
import {
  type BaseEventLoop,
  currentExecution,
  internals as loops,
  type Job,
} from "./_scheduler.ts";
import { BODY, CallSite } from "./_call_site.ts";

let statesCreated = 0;
let cancelOrigin: string | null = null;

/** Calls a function whose requests to cancel come from something that has a name: a signal of the system. */
export function cancelFrom(name: string, fn: () => void): void {
  const before = cancelOrigin;
  cancelOrigin = name;
  try {
    fn();
  } finally {
    cancelOrigin = before;
  }
}

/** The id of the running task, 0 outside of tasks. */
function currentId(): number {
  const frame = currentExecution();
  return frame instanceof CancelScope ? frame.root.id : 0;
}

/** The body is to be called in the context of whoever made the task. */
const NEW = 0;
/** It is to be called in a context that was given. */
const NEW_IN_GIVEN = 1;
const STARTED = 2;
const OVER = 3;

/**
 * What follows the code of one task across its awaits: who it is, what it is
 * suspended in, and the requests to cancel it.
 *
 * There is one for each task, so it is kept small: what has to do with a
 * cancellation is made when there is one. Callbacks and timers that the task
 * has left behind hold it, so it lets go of the task once that is done.
 */
export class TaskState extends CancelScope implements Job {
  readonly #loop: BaseEventLoop;
  /** `null` once the task is done. */
  #task: NamedCancelable | null;
  /** Where the task is in its life; one that is not scheduled begins at once. */
  #stage = STARTED;
  /** The context to call the body in, then the one that it was called in. */
  #context: unknown = undefined;
  /** Neighbours in the list of the loop's tasks that are not done. */
  #next: TaskState | null = null;
  #previous: TaskState | null = null;
  #suspendedAt: number | null = null;
  #isSignalRead = false;
  #bodyEnd: Promise<void> | null = null;
  /** The name that the task was given, or its number. */
  #name: string | number;
  /** The coroutine function; `null` once the task is done. */
  #body: Coroutine<unknown> | null;
  #totalRequests = 0;
  #pendingScopes = 0;
  readonly #id = ++statesCreated;
  /** The id of the task that made this one, 0 if none did. */
  readonly #parent: number;
  #lastRequest: CancelRequest | null = null;

  constructor(
    loop: BaseEventLoop,
    task: NamedCancelable | null,
    name: string | number = "",
    body: Coroutine<unknown> | null = null,
  ) {
    super();
    this.#name = name;
    this.#body = body;
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
    return this.#lastRequest?.context ?? null;
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

  get root(): TaskState {
    return this;
  }

  get outer(): null {
    return null;
  }

  /** Requests to the task and to its scopes that nobody took back. */
  get totalRequests(): number {
    return this.#totalRequests;
  }

  set totalRequests(total: number) {
    this.#totalRequests = total;
  }

  /** How many of its scopes have a request that may have to be delivered. */
  get pendingScopes(): number {
    return this.#pendingScopes;
  }

  set pendingScopes(busy: number) {
    this.#pendingScopes = busy;
  }

  /** The task of the loop that was made before this one and is not done. */
  get next(): TaskState | null {
    return this.#next;
  }

  /** The task is done; code that still runs belongs to nobody. */
  get isOver(): boolean {
    return this.#stage === OVER;
  }

  /** When a wait for something of this module last began or ended, in milliseconds of the loop's clock. */
  get suspendedAt(): number | null {
    return this.#suspendedAt;
  }

  /** The name of the task. */
  get name(): string {
    return this.#task?.getName() ?? this.ownName;
  }

  /** The name that the task was given, whatever a subclass makes of it. */
  get ownName(): string {
    return typeof this.#name === "number" ? `Task-${this.#name}` : this.#name;
  }

  set ownName(name: string) {
    this.#name = name;
  }

  /** The context that the body was or will be called in. */
  get from(): unknown {
    return this.#context;
  }

  /** Where the code of the task is. `foreign`: in a promise from outside of this module. */
  get phase(): "new" | "running" | "waiting" | "foreign" | "over" {
    return this.phaseIn(this.awaits);
  }

  /** The same for whoever has looked at the awaits already, which takes time. */
  phaseIn(
    awaits: readonly SuspendedAwait[],
  ): "new" | "running" | "waiting" | "foreign" | "over" {
    if (this.#stage === OVER) return "over";
    if (this.#stage < STARTED) return "new";
    if (awaits.length > 0) return "waiting";
    return this.isRunning ? "running" : "foreign";
  }

  /** The signal as an argument for the body, which most bodies do not take. */
  get argument(): AbortSignal {
    return this.controller.signal;
  }

  /** The signal of whatever the task is in now. */
  override get signal(): AbortSignal {
    const frame = currentExecution();
    const isOwn = frame instanceof CancelScope && frame.root === this;
    const scope = isOwn ? frame.open ?? this : this.innermost;
    if (scope !== this) return scope.signal;
    this.#isSignalRead = true;
    return super.signal;
  }

  protected get isSignalTaken(): boolean {
    return this.#isSignalRead ||
      (this.#body !== null && takesSignal(this.#body));
  }

  /** What follows the end of the body, if that is a promise. */
  set bodyEnd(end: Promise<void>) {
    this.#bodyEnd = end;
    if (this.#pendingScopes > 0) this.linkBody(); // it was cancelled in its first step
  }

  /** Has stacks that lead out of the body end with a frame that names the task. */
  linkBody(): void {
    if (this.#bodyEnd !== null) awaitBody(this.#bodyEnd, this.#id);
    this.#bodyEnd = null;
  }

  /** The task belongs to its loop from now on. */
  register(): void {
    const list = tasksOf(this.#loop);
    this.#next = list.first;
    if (list.first !== null) list.first.#previous = this;
    list.first = this;
  }

  /** Has the body called on the loop's turn, in a captured context or in one that was given. */
  startSoon(from: unknown, isGiven: boolean): void {
    this.#stage = isGiven ? NEW_IN_GIVEN : NEW;
    this.#context = from;
    loops.push(this.#loop, this);
  }

  /** Calls the body, in a captured context or in one that was given. */
  start(from: unknown, isGiven: boolean): void {
    if (!isGiven) return runFrom(from, this, callBody, this);
    let isCalled = false;
    try {
      (from as Context)(() => {
        if (isCalled || this.isOver) return;
        isCalled = true;
        runInSlot(this, callBody, this);
      });
    } catch (error) {
      if (!isCalled) this.fail(error);
    }
    if (!isCalled && !this.isOver) this.fail(notCalled("run a task"));
  }

  /** The first step; a body that returns no promise is done at once. */
  callBody(): void {
    this.#suspendedAt = loops.cachedNow(this.#loop);
    this.#context = captureSlot();
    const body = this.#body!; // called as a function: it has no `this`
    try {
      const value = body(this.argument);
      if (!isThenable(value)) this.finish(value);
      else if (value instanceof Future) futures.follow(value);
      // A thenable is given native functions, as by `await`: it may hand them to a future.
      else this.bodyEnd = Promise.resolve(value).then(finishTask, failTask);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The first step. A task that was cancelled before it never runs its body. */
  run(): boolean {
    const stage = this.#stage;
    const from = this.#context;
    if (stage > NEW_IN_GIVEN) return false;
    this.#stage = STARTED;
    this.#context = undefined;
    if (this.mustCancel) this.#end(futures.cancel, this.pendingError);
    else this.start(from, stage === NEW_IN_GIVEN);
    return true;
  }

  /** Ends the task as its body ended. */
  finish(value: unknown): void {
    if (this.checkPending()) this.#end(futures.cancel, this.pendingError);
    else this.#end(futures.settle, value);
  }

  /** Ends the task as its body failed. */
  fail(error: unknown): void {
    const cancellation = asCancellation(error);
    if (cancellation !== null) this.#end(futures.cancel, cancellation);
    else this.#end(futures.fail, error);
  }

  #end(
    end: (task: AnyFuture, outcome: unknown) => void,
    outcome: unknown,
  ): void {
    const task = this.#task!;
    this.#stage = OVER;
    if (this.#lastRequest?.isWatched) forgetUndelivered(this);
    this.release();
    if (this.#next !== null) this.#next.#previous = this.#previous;
    if (this.#previous !== null) this.#previous.#next = this.#next;
    else if (tasksOf(this.#loop).first === this) {
      tasksOf(this.#loop).first = this.#next;
    }
    this.#next = this.#previous = null;
    const from = this.#context;
    if (from && !(from instanceof SlotValue)) finalContexts.set(task, from);
    this.#context = undefined;
    this.#bodyEnd = null;
    this.#body = null;
    this.#task = null;
    end(task as unknown as AnyFuture, outcome);
  }

  cancel(message: unknown, cause?: unknown): void {
    const request = () => this.request(message, cause);
    if (!cancelTask(this.#task!, request)) this.countRequest();
  }

  /** Takes one request back: one to the task, else the innermost of one to its scopes. */
  uncancel(): number {
    if (this.ownRequests > 0) this.withdraw(1);
    else {
      let scope: CancelScope | null = this.innermost;
      while (scope !== null && scope.ownRequests === 0) scope = scope.outer;
      scope?.withdraw(1);
    }
    return this.totalRequests;
  }

  /** An await begins somewhere in the task. */
  awaitStarted(_reaction: SuspendedAwait): void {
    this.#suspendedAt = loops.cachedNow(this.#loop);
  }

  /** An await ends. */
  awaitEnded(_reaction: SuspendedAwait): void {
    this.#suspendedAt = loops.cachedNow(this.#loop);
  }

  /** A request to cancel has come, to the task or a scope in it. */
  cancelRequested(request: CancelRequest): void {
    const isNoted = this.#lastRequest?.isWatched ?? false;
    this.#lastRequest = request;
    request.at = loops.cachedNow(this.#loop);
    request.by = currentId();
    request.context = cancelOrigin;
    request.isWatched = isNoted;
    if (isNoted || cancelSites.places !== null || !this.hasUndelivered) return;
    if (this.phase !== "foreign") return;
    request.isWatched = true;
    watchUndelivered(this);
  }

  /** A request was taken back. */
  requestWithdrawn(): void {}

  /** The code of the task is given the error of a request. */
  errorDelivered(): void {}

  /** Says once that a request cannot be delivered, unless it was by now. */
  reportUndelivered(from: CallSite): void {
    if (this.#lastRequest !== null) this.#lastRequest.isWatched = false;
    const isStuck = !this.isOver && this.#lastRequest?.isReported === false &&
      this.hasUndelivered &&
      this.phase === "foreign";
    if (!isStuck || this.#loop.isClosed()) return;
    this.#lastRequest!.isReported = true;
    const where = this.externalLine;
    this.#loop.callExceptionHandler({
      message: `Task ${this.name} ${this.#reasonToEnd(from)} but sits in a ` +
        "foreign promise, which cannot be interrupted" +
        `${where === null ? "" : `, at ${where}`}: hand it the signal, or ` +
        "await what cancellable() makes of it",
      task: this.#task!,
    });
  }

  #reasonToEnd({ line }: CallSite): string {
    const [why] = this.explanations;
    if (why !== undefined) return `has to end (${why})`;
    const at = line === null ? "" : ` at ${line}`;
    const by = this.cancelledFrom === null ? at : ` by ${this.cancelledFrom}`;
    return `was cancelled${by} ${REPORT_AFTER} s ago`;
  }

  /** Where it waits for a promise from outside, as far as that is known. */
  protected get externalLine(): string | null {
    return null;
  }

  /** The code of the task was given the error of a request by a promise that holds a signal. */
  deliveredBySignal(): void {}
}

/** How long a request may meet no await that it could end, in seconds. */
const REPORT_AFTER = 1;

/** Tasks with a request that was not delivered at once: where it came from, and when. */
const undelivered = new Map<TaskState, { place: CallSite; since: number }>();
let stopTimer: (() => void) | null = null;

/** The code sits in a promise from outside: that is reported if it has not ended a second later. */
function watchUndelivered(frame: TaskState): void {
  stopTimer ??= systemTimer(REPORT_AFTER, reportUndelivered);
  undelivered.set(frame, { place: new CallSite(), since: performance.now() });
}

/** A task with such a request has ended. */
function forgetUndelivered(frame: TaskState): void {
  undelivered.delete(frame);
  if (undelivered.size > 0) return;
  stopTimer?.();
  stopTimer = null;
}

function reportUndelivered(): void {
  const limit = performance.now() - 900 * REPORT_AFTER;
  const due = [...undelivered].filter(([, { since }]) => since < limit);
  for (const [frame] of due) undelivered.delete(frame);
  stopTimer = undelivered.size > 0
    ? systemTimer(REPORT_AFTER, reportUndelivered)
    : null;
  for (const [frame, { place }] of due) frame.reportUndelivered(place);
}

/** Awaits the end of a body, so that stacks lead to it. Only tasks that are cancelled or looked at need that. */
function awaitBody(end: Promise<void>, id: number): void {
  const link = async () => {
    await end;
  };
  Object.defineProperty(link, "name", { value: `${BODY} ${id}` });
  void link();
}

/** What tasks that are done have run in, where that was more than the task itself. */
export const finalContexts: WeakMap<object, unknown> = new WeakMap();

/** The coroutine functions of the user behind those that this module has put around them. */
export const original: WeakMap<Coroutine<unknown>, Coroutine<unknown>> =
  new WeakMap();

function callBody(state: TaskState): void {
  state.callBody();
}

/** An arrow function without parameters cannot see what it is called with. */
function takesSignal(body: Coroutine<unknown>): boolean {
  return body.length > 0 || !NO_PARAMETERS.test(sourceOf.call(body));
}

const NO_PARAMETERS = /^(?:async ?)?\(\) ?=>/;

/** The head of the list of a loop's tasks. */
export function tasksOf(loop: BaseEventLoop): { first: TaskState | null } {
  return loops.tasks(loop) as { first: TaskState | null };
}
