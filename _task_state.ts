/**
 * The state of a task: its outermost cancel scope, its place in its loop's list
 * of tasks, and its first and last step.
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
  type NamedTask,
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
  currentExecution,
  type EventLoop,
  internals as loops,
  type Job,
} from "./_event_loop.ts";
import { BODY, CallSite } from "./_call_site.ts";
import { tidyStack } from "./_error_stack.ts";

let statesCreated = 0;
let cancelOrigin: string | null = null;

/** Calls a function whose cancel requests are attributed to something with a name, such as SIGINT. */
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
  const state = currentExecution();
  return state instanceof CancelScope ? state.taskState.id : 0;
}

/** The body will be called in the context of the code that created the task. */
const NEW = 0;
/** It will be called in a context passed by the user. */
const NEW_IN_GIVEN = 1;
const STARTED = 2;
const OVER = 3;

/**
 * The execution context of a task: what follows its code across awaits, what
 * it is suspended in, and the requests to cancel it.
 *
 * Every task has one, so it is small: what cancellation needs is created with
 * the first request. Callbacks and timers that the task leaves behind keep its
 * state alive, so the state drops the task once that is done.
 */
export class TaskState extends CancelScope implements Job {
  readonly #loop: EventLoop;
  /** `null` once the task is done. */
  #task: NamedTask | null;
  /** The stage of the task's life; a task that is not scheduled starts at once. */
  #stage = STARTED;
  /** The context to call the body in; once started, the context it was called in. */
  #context: unknown = undefined;
  /** Links of the loop's list of tasks that are not done. */
  #next: TaskState | null = null;
  #previous: TaskState | null = null;
  #startedAt: number | null = null;
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
  /** The id of the task that created this one, 0 if none did. */
  readonly #parent: number;
  #lastRequest: CancelRequest | null = null;

  constructor(
    loop: EventLoop,
    task: NamedTask | null,
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

  /** A number unique in this program. */
  get id(): number {
    return this.#id;
  }

  /** The id of the task that created this one, 0 if none did. */
  get parent(): number {
    return this.#parent;
  }

  /** When the last cancel request was made, in milliseconds of the loop's clock. */
  get cancelRequestedAt(): number | null {
    return this.#lastRequest?.at ?? null;
  }

  /** What made that request, if it has a name. */
  get cancelledFrom(): string | null {
    return this.#lastRequest?.context ?? null;
  }

  /** The id of the task that made that request, 0 for code outside of tasks. */
  get cancelledBy(): number {
    return this.#lastRequest?.by ?? 0;
  }

  get loop(): EventLoop {
    return this.#loop;
  }

  get task(): NamedTask | null {
    return this.#task;
  }

  get taskState(): TaskState {
    return this;
  }

  get outer(): null {
    return null;
  }

  /** Requests to the task and to its scopes that were not withdrawn. */
  get totalRequests(): number {
    return this.#totalRequests;
  }

  set totalRequests(total: number) {
    this.#totalRequests = total;
  }

  /** How many of its scopes have a request that is not known to be delivered. */
  get pendingScopes(): number {
    return this.#pendingScopes;
  }

  set pendingScopes(busy: number) {
    this.#pendingScopes = busy;
  }

  /** The next older task of the loop that is not done. */
  get next(): TaskState | null {
    return this.#next;
  }

  /** Whether the task is done; code that still runs then belongs to no task. */
  get isOver(): boolean {
    return this.#stage === OVER;
  }

  /** When its body was called, in milliseconds of the loop's clock. */
  get startedAt(): number | null {
    return this.#startedAt;
  }

  /** When the task last began or ended a wait of this module, in milliseconds of the loop's clock. */
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

  /** The context of the body. */
  get from(): unknown {
    return this.#context;
  }

  /** What the task is doing. `foreign`: it awaits a promise from outside of this module. */
  get phase(): "new" | "running" | "waiting" | "foreign" | "over" {
    return this.phaseIn(this.awaits);
  }

  /** As {@linkcode TaskState.phase}, for callers that have the awaits already. */
  phaseIn(
    awaits: readonly SuspendedAwait[],
  ): "new" | "running" | "waiting" | "foreign" | "over" {
    if (this.#stage === OVER) return "over";
    if (this.#stage < STARTED) return "new";
    if (awaits.length > 0) return "waiting";
    return this.isRunning ? "running" : "foreign";
  }

  /** The signal that the body is called with. */
  get signalArgument(): AbortSignal {
    return this.controller.signal;
  }

  /** The signal of the innermost scope that the task is in. */
  override get signal(): AbortSignal {
    const state = currentExecution();
    const isOwn = state instanceof CancelScope && state.taskState === this;
    const scope = isOwn ? state.open ?? this : this.innermost;
    if (scope !== this) return scope.signal;
    this.#isSignalRead = true;
    return super.signal;
  }

  protected get isSignalTaken(): boolean {
    return this.#isSignalRead ||
      (this.#body !== null && takesSignal(this.#body));
  }

  /** The promise for the end of the body, if the body returned a promise. */
  set bodyEnd(end: Promise<void>) {
    this.#bodyEnd = end;
    if (this.#pendingScopes > 0) this.linkBody(); // cancelled in its first step
  }

  /** Makes stacks that lead out of the body end with a frame that names the task. */
  linkBody(): void {
    if (this.#bodyEnd !== null) awaitBody(this.#bodyEnd, this.#id);
    this.#bodyEnd = null;
  }

  /** Adds the task to the list of its loop. */
  register(): void {
    const list = tasksOf(this.#loop);
    this.#next = list.first;
    if (list.first !== null) list.first.#previous = this;
    list.first = this;
  }

  /** Schedules the first step, in a captured context or in one passed by the user. */
  startSoon(from: unknown, isGiven: boolean): void {
    this.#stage = isGiven ? NEW_IN_GIVEN : NEW;
    this.#context = from;
    loops.push(this.#loop, this);
  }

  /** Calls the body, in a captured context or in one passed by the user. */
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

  /** Calls the body. If it returns no promise, the task is done at once. */
  callBody(): void {
    this.#startedAt = this.#suspendedAt = loops.cachedNow(this.#loop);
    this.#context = captureSlot();
    const body = this.#body!; // a call as a function, without `this`
    try {
      const value = body(this.signalArgument);
      if (!isThenable(value)) this.finish(value);
      else if (value instanceof Future) futures.follow(value);
      // As with `await`, a thenable gets native functions, which it may pass to a future.
      else this.bodyEnd = Promise.resolve(value).then(finishTask, failTask);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The first step. If the task was cancelled before it, the body never runs. */
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

  /** Ends the task with the value of its body. */
  finish(value: unknown): void {
    if (this.checkPending()) this.#end(futures.cancel, this.pendingError);
    else this.#end(futures.settle, value);
  }

  /** Ends the task with the error of its body. */
  fail(error: unknown): void {
    tidyStack(error);
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
    if (this.#lastRequest?.isWatched) forgetPendingCancel(this);
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

  /** Withdraws one request: one to the task, else one to its innermost scope that has any. */
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
  awaitStarted(_wait: SuspendedAwait): void {
    this.#suspendedAt = loops.cachedNow(this.#loop);
  }

  /** An await ends. */
  awaitEnded(_wait: SuspendedAwait): void {
    this.#suspendedAt = loops.cachedNow(this.#loop);
  }

  /** A request was made, to the task or a scope in it. */
  cancelRequested(request: CancelRequest): void {
    const isNoted = this.#lastRequest?.isWatched ?? false;
    this.#lastRequest = request;
    request.at = loops.cachedNow(this.#loop);
    request.by = currentId();
    request.context = cancelOrigin;
    request.isWatched = isNoted;
    if (isNoted || cancelSites.sites !== null || !this.hasPendingCancel) return;
    if (this.phase !== "foreign") return;
    request.isWatched = true;
    watchPendingCancel(this);
  }

  /** A request was withdrawn. */
  requestWithdrawn(): void {}

  /** Code of the task receives the error of a request. */
  errorDelivered(): void {}

  /** Reports once that a request cannot be delivered, unless it was by now. */
  reportPendingCancel(from: CallSite): void {
    if (this.#lastRequest !== null) this.#lastRequest.isWatched = false;
    const isStuck = !this.isOver && this.#lastRequest?.isReported === false &&
      this.hasPendingCancel &&
      this.phase === "foreign";
    if (!isStuck || this.#loop.isClosed()) return;
    this.#lastRequest!.isReported = true;
    const where = this.externalLine;
    this.#loop.callExceptionHandler({
      message: `Task ${this.name} ${this.#reasonToEnd(from)}, but sits in a ` +
        `foreign promise${where === null ? "" : ` at ${where}`}, which ` +
        "nothing can interrupt: hand it the signal, or " +
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

  /** Where the task awaits an external promise, if known. */
  protected get externalLine(): string | null {
    return null;
  }

  /** Code of the task learned of a request from its signal. */
  deliveredBySignal(): void {}
}

/** A request is reported if it is not delivered within this time, in seconds. */
const REPORT_AFTER = 1;

/** Tasks with a request that was not delivered at once: where and when it was made. */
const pendingCancels = new Map<TaskState, { place: CallSite; since: number }>();
let stopTimer: (() => void) | null = null;

/** The code awaits an external promise: reported if that lasts for another second. */
function watchPendingCancel(state: TaskState): void {
  stopTimer ??= systemTimer(REPORT_AFTER, reportPendingCancels);
  pendingCancels.set(state, {
    place: new CallSite(),
    since: performance.now(),
  });
}

/** Forgets a task with such a request, as it has ended. */
function forgetPendingCancel(state: TaskState): void {
  pendingCancels.delete(state);
  if (pendingCancels.size > 0) return;
  stopTimer?.();
  stopTimer = null;
}

function reportPendingCancels(): void {
  const limit = performance.now() - 900 * REPORT_AFTER;
  const due = [...pendingCancels].filter(([, { since }]) => since < limit);
  for (const [state] of due) pendingCancels.delete(state);
  stopTimer = pendingCancels.size > 0
    ? systemTimer(REPORT_AFTER, reportPendingCancels)
    : null;
  for (const [state, { place }] of due) state.reportPendingCancel(place);
}

/** Awaits the end of a body, so that stacks lead to it. Only cancelled tasks and reports need that. */
function awaitBody(end: Promise<void>, id: number): void {
  const link = async () => {
    await end;
  };
  Object.defineProperty(link, "name", { value: `${BODY} ${id}` });
  void link();
}

/** The contexts of tasks that are done, where they held more than the task. */
export const finalContexts: WeakMap<object, unknown> = new WeakMap();

/** The user's coroutine functions behind the wrappers that this module makes. */
export const original: WeakMap<Coroutine<unknown>, Coroutine<unknown>> =
  new WeakMap();

function callBody(state: TaskState): void {
  state.callBody();
}

/** Whether a body can see its argument; an arrow function without parameters cannot. */
function takesSignal(body: Coroutine<unknown>): boolean {
  return body.length > 0 || !NO_PARAMETERS.test(sourceOf.call(body));
}

const NO_PARAMETERS = /^(?:async ?)?\(\) ?=>/;

/** The list of a loop's tasks that are not done, newest first. */
export function tasksOf(loop: EventLoop): { first: TaskState | null } {
  return loops.tasks(loop) as { first: TaskState | null };
}
