/**
 * What follows the code of a task across its awaits: the task itself, and the
 * scopes (timeouts, groups) that are open in it. The frame of the task is in
 * `_task_state.ts`.
 *
 * Each is a {@linkcode CancelScope} and the value of the context slot while
 * its code runs, so an `await` belongs to the innermost scope that it was
 * begun in. A request to cancel goes to one scope and on to all scopes inside
 * of it; it interrupts what is awaited there and nothing else.
 *
 * JavaScript does not tell whether anybody awaits a promise: the loser of a
 * `Promise.race` looks like any other wait. A request must not count as
 * delivered because such a wait was rejected. So the rejection of an await
 * takes the stack of those who await it ({@linkcode Probe}), and when the code
 * of the scope shows up next, with an await or at its end, the stack tells
 * whether the code was given the error. Without that proof the request stays
 * pending, and the await delivers it. Engines other than V8 do not follow
 * promises; there the proof is that the code shows up in the same run of the
 * microtasks as the rejection.
 *
 * @module
 */

import { type ReasonWatch, watchReason } from "./_abort_signal.ts";
import {
  type Cancelable,
  cancelNested,
  CancelRequest,
  eagerSteps,
  isBeingCancelled,
  isCancelledTogether,
} from "./_cancel_request.ts";
import { runInSlot, SlotValue } from "./_context.ts";
import type { AnyFuture } from "./_future.ts";
import type { TaskState } from "./_task_state.ts";
import {
  type BaseEventLoop,
  currentExecution,
  type ExecutionContext,
  internals as loops,
  type Job,
} from "./_scheduler.ts";
import { type CallSite, followsPromises, type Probe } from "./_call_site.ts";
import type { CancelledError } from "./exceptions.ts";

/** What a frame knows of its task. */
export interface NamedCancelable extends Cancelable {
  getName(): string;
}

/** What has opened a scope: a timeout, a group. */
export interface ScopeOwner {
  /** What it is doing that explains a wait inside of it: "timeout(1) expired 2.0 s ago". */
  explain(): string | null;
  /** The tasks that its end waits for, from their beginning on. */
  children?(): Iterable<AnyFuture>;
}

/** One `await` of a future, or what may be one; `_future.ts` has the class. */
export interface SuspendedAwait extends Job {
  /** What is awaited; `null` once it has ended. */
  readonly source: AnyFuture | null;
  /** Where it is awaited, `null` for code outside of tasks and for what turned out to be no await. */
  frame: CancelScope | null;
  /** Whether what is awaited was notified: its turn is handed off when the code resumes. */
  readonly isNotified: boolean;
  /** Whether it resumes the code of a task, and does not just tell of the outcome. */
  readonly isAwait: boolean;
  /** A cancellation that could not interrupt this await beside others. */
  cancelRequest: CancelRequest | null;
  /** Ends the await with a cancellation, although what it awaits goes on. */
  interrupt(): void;
  /** Calls back, in a microtask, with the place of the `await`, if that can be found out. */
  locate(found: (place: CallSite) => void): void;
}

/** No request, or it was delivered. */
const NONE = 0;
/** The next await delivers it. */
const PENDING = 1;
/** Awaits were interrupted and are about to reject. */
const INTERRUPTED = 2;
/** Awaits have rejected; whether the code was given the error is not known yet. */
const REJECTED = 3;

/** The requests to cancel one scope. Made with the first. */
class CancelState {
  /** How many requests this scope itself was given and nobody took back. */
  requests = 0;
  state = NONE;
  /** The last request that came to the scope, its own or from further out. */
  latest: CancelRequest | null = null;
  /** The last one from further out, and the last of those that the code has met. */
  outer: CancelRequest | null = null;
  delivered: CancelRequest | null = null;
  /** Who awaits what was rejected, and in which drain of the microtasks that was. */
  probes: Probe[] = [];
  checkpoint = -1;
  /** Tells whether the reason of the signal was taken in this drain. */
  reasonWatch: ReasonWatch | null = null;
  /** The request came while the code was in a promise from outside of this module. */
  isOverdue = false;
}

/** How many scopes have a request that came while their code was in a promise from outside of this module. */
let overdueScopes = 0;

/**
 * Whether the running code is to be cancelled since before it came back from
 * such a promise. A call that would not have to wait must not take anything then.
 */
export function isOverdue(): boolean {
  if (overdueScopes === 0) return false;
  const frame = currentExecution();
  return frame instanceof CancelScope && (frame.open?.isOverdue ?? false);
}

/** The tasks whose code is making an eager task, which runs its first step inside of theirs. */
const makingEager: TaskState[] = [];

/** Starts an eager task from the code that makes it. */
export function startEager(start: () => void): void {
  const frame = currentExecution();
  const isTask = frame instanceof CancelScope;
  if (isTask) makingEager.push(frame.root);
  eagerSteps.count++;
  try {
    start();
  } finally {
    eagerSteps.count--;
    if (isTask) makingEager.pop();
  }
}

/** A piece of code that can be cancelled: a task, or a scope inside of it. */
export abstract class CancelScope extends SlotValue
  implements ExecutionContext {
  /**
   * The awaits it is suspended in, several under a `Promise.all`; and handlers
   * that were taken for awaits, see {@linkcode CancelScope.awaits}.
   */
  #waiting: SuspendedAwait | Set<SuspendedAwait> | null = null;
  /** The scopes that are open directly inside of this one, the newest first. */
  #inner: InnerScope | null = null;
  /** Whose signal the code has now; made early, as it costs less than to find out whether the body takes it. */
  #controller: AbortController | null = null;
  #cancelState: CancelState | null = null;

  abstract readonly loop: BaseEventLoop;
  abstract readonly task: NamedCancelable | null;
  /** The frame of the task. */
  abstract readonly root: TaskState;
  abstract readonly outer: CancelScope | null;
  /** Code that still runs belongs to the scope outside, or to nobody. */
  abstract readonly isOver: boolean;
  /** Has stacks show what awaits the body of the scope. */
  protected abstract linkBody(): void;
  /** Whether somebody may hold the signal. */
  protected abstract readonly isSignalTaken: boolean;

  get isScope(): boolean {
    return true;
  }

  /** The innermost scope around its code that is still open; `null` if the task is done. */
  get open(): CancelScope | null {
    if (!this.isOver) return this;
    let it = this.outer;
    while (it !== null && it.isOver) it = it.outer;
    return it;
  }

  /** The awaits that were begun in this scope itself. */
  get ownAwaits(): SuspendedAwait[] {
    const waiting = this.#waiting;
    if (waiting === null) return [];
    const all = waiting instanceof Set ? [...waiting] : [waiting];
    return all.filter((reaction) => this.isRealAwait(reaction));
  }

  /** The awaits in this scope and in those inside of it. */
  get awaits(): SuspendedAwait[] {
    if (this.#inner === null) return this.ownAwaits;
    return this.#subtree().flatMap((scope) => scope.ownAwaits);
  }

  /** The scope that was opened last inside of this one, and in that, and so on. */
  get innermost(): CancelScope {
    let scope = this.#inner;
    while (scope !== null && scope.#inner !== null) scope = scope.#inner;
    return scope ?? this;
  }

  /** Requests to this scope that nobody took back. */
  get ownRequests(): number {
    return this.#cancelState === null ? 0 : this.#cancelState.requests;
  }

  /** Requests to this scope and to those around it that nobody took back. */
  get pathRequests(): number {
    if (this.root.totalRequests === 0) return 0;
    let countRequest = this.ownRequests;
    for (let it = this.outer; it !== null; it = it.outer) {
      countRequest += it.ownRequests;
    }
    return countRequest;
  }

  /** A request has met no pending await: the next one delivers it. */
  get mustCancel(): boolean {
    return this.#cancelState !== null && this.#cancelState.state === PENDING;
  }

  /** Whether a request is on its way that the code of this scope has not seen. */
  get undelivered(): boolean {
    const cancellation = this.#cancelState;
    return cancellation !== null &&
      (cancellation.state === PENDING || cancellation.state === INTERRUPTED);
  }

  /** Whether a reaction is an await; one that is not is no longer kept as one. */
  isRealAwait(reaction: SuspendedAwait): boolean {
    if (reaction.isAwait) return true;
    reaction.frame = null;
    this.#remove(reaction);
    return false;
  }

  /** Aborts with the next cancellation; another one after each. */
  get signal(): AbortSignal {
    const cancellation = this.#cancelState;
    if (cancellation !== null && this.isRunning) {
      this.#confirmDelivery(cancellation);
    }
    return this.controller.signal;
  }

  /** Whether code of the task is what runs now, be it that it is just making an eager task. */
  get isRunning(): boolean {
    const frame = currentExecution();
    return frame instanceof CancelScope && frame.root === this.root ||
      makingEager.includes(this.root);
  }

  protected get controller(): AbortController {
    let controller = this.#controller;
    if (controller === null) {
      controller = this.#controller = new AbortController();
      const latest = this.#cancelState?.latest;
      if (latest && (this.undelivered || this.isOver)) {
        controller.abort(latest.error);
      }
    }
    return controller;
  }

  /** The code of the scope has failed, which ends what it has begun elsewhere. */
  abortSignal(reason: unknown): void {
    this.#controller?.abort(reason);
  }

  /** A request to cancel this scope. */
  request(message: unknown, cause?: unknown): void {
    this.countRequest();
    const told = this.undelivered
      ? this.#cancelState!.latest!.createdError
      : null;
    const request = new CancelRequest(message, cause, told);
    this.deliver(request);
    this.root.cancelRequested(request);
  }

  /** A request comes to this scope itself. */
  protected countRequest(): void {
    const cancellation = this.#cancelState ??= new CancelState();
    cancellation.requests++;
    this.root.totalRequests++;
  }

  /** Takes requests to this scope itself back, and drops what is pending when none is left at all. */
  withdraw(count: number): void {
    const cancellation = this.#cancelState;
    if (cancellation === null) return;
    count = Math.min(count, cancellation.requests);
    cancellation.requests -= count;
    this.root.totalRequests -= count;
    this.root.requestWithdrawn();
    if (this.root.totalRequests === 0 && this.root.pendingScopes > 0) {
      this.root.clearPending();
    }
  }

  /** Takes back the request that the scope has made itself, or another one where somebody else took that. */
  withdrawOwn(): void {
    if (this.ownRequests > 0) this.withdraw(1);
    else if (this.root.totalRequests > 0) this.root.uncancel();
  }

  /** Has the next await deliver a request again that is still standing. */
  redeliver(message?: unknown): void {
    const cancellation = this.#cancelState ??= new CancelState();
    cancellation.latest = new CancelRequest(message);
    this.#setState(cancellation, PENDING);
    this.linkBody();
  }

  /** A request has come: interrupts what is awaited here and in the scopes inside of this one. */
  deliver(request: CancelRequest): void {
    for (const scope of this.#subtree()) {
      scope.#deliverHere(request, scope !== this);
    }
  }

  #deliverHere(request: CancelRequest, isOuter: boolean): void {
    const cancellation = this.#cancelState ??= new CancelState();
    cancellation.latest = request;
    if (isOuter) cancellation.outer = request;
    cancellation.probes = [];
    const awaits = this.ownAwaits;
    let reached = false;
    for (const reaction of awaits) {
      if (this.#interrupt(reaction, request)) reached = true;
      else if (awaits.length > 1) reaction.cancelRequest = request;
    }
    this.#setState(cancellation, reached ? INTERRUPTED : PENDING);
    this.linkBody();
    if (awaits.length === 0 && this.#inner === null && !this.isRunning) {
      cancellation.isOverdue = true;
      overdueScopes++;
    }
    const controller = this.#controller;
    if (controller === null) return;
    // Nobody has it otherwise, and to abort it is expensive.
    if (this.isSignalTaken) this.#abort(controller, cancellation);
    else this.#controller = null;
  }

  /** Cancels what an await is suspended in. Returns whether the await ends by that. */
  #interrupt(reaction: SuspendedAwait, request: CancelRequest): boolean {
    const source = reaction.source!;
    if (reaction.isNotified) return false;
    if (isBeingCancelled(source)) { // the code waits for itself, maybe through others
      reaction.interrupt();
      return false;
    }
    if (isCancelledTogether(source)) return true;
    return cancelNested(source, request.message as string);
  }

  /** An await begins. A request that is still to be delivered strikes here. */
  suspend(reaction: SuspendedAwait): void {
    const cancellation = this.#cancelState;
    if (cancellation !== null && cancellation.state !== NONE) {
      if (!this.isRealAwait(reaction)) return;
      this.#confirmDelivery(cancellation);
    }
    this.root.awaitStarted(reaction);
    const waiting = this.#waiting;
    if (waiting === null) this.#waiting = reaction;
    else if (waiting instanceof Set) waiting.add(reaction);
    else if (waiting !== reaction) {
      this.#waiting = this.isRealAwait(waiting)
        ? new Set([waiting, reaction])
        : reaction;
    }
    if (cancellation === null || cancellation.state !== PENDING) return;
    if (this.#interrupt(reaction, cancellation.latest!)) {
      this.#setState(cancellation, INTERRUPTED);
    }
  }

  /** An await ends. Returns the request that it delivers, if any. */
  resume(reaction: SuspendedAwait, rejects: boolean): CancelRequest | null {
    const suspended = this.#remove(reaction);
    this.root.awaitEnded(reaction);
    const cancellation = this.#cancelState;
    if (cancellation === null || cancellation.state === NONE) return null;
    // An await of what is done already does not suspend: a request outlasts it.
    if (!suspended || !reaction.isAwait) return null;
    // It gives a value that must not be lost; the next await delivers the request.
    if (!rejects && cancellation.state === PENDING) return null;
    const { latest } = cancellation;
    this.#reject(cancellation);
    if (rejects) this.root.errorDelivered();
    return latest;
  }

  /** Notes who awaits what has just been rejected. */
  addProbe(probe: Probe): void {
    const cancellation = this.#cancelState;
    if (cancellation?.state !== REJECTED) return;
    cancellation.checkpoint = loops.checkpoint(this.loop);
    cancellation.probes.push(probe);
  }

  /** The code of the scope is being given an error. */
  #reject(cancellation: CancelState): void {
    this.#setState(cancellation, REJECTED);
    cancellation.checkpoint = loops.checkpoint(this.loop);
    this.#renewSignal();
  }

  /** Code of the scope shows up: settles whether it was given the error of the last request. */
  #confirmDelivery(cancellation: CancelState): void {
    if (cancellation.state === REJECTED) {
      const { checkpoint, probes } = cancellation;
      const isProven = followsPromises
        ? probes.some((probe) => probe.isAwaited)
        : checkpoint === loops.checkpoint(this.loop);
      cancellation.probes = [];
      if (!isProven) return this.#setState(cancellation, PENDING);
    } else if (
      cancellation.state === PENDING && cancellation.reasonWatch?.wasTaken
    ) {
      this.root.deliveredBySignal();
      this.#renewSignal();
    } else return;
    this.#setState(cancellation, NONE);
    cancellation.delivered = cancellation.outer;
    cancellation.reasonWatch = null;
  }

  #setState(cancellation: CancelState, state: number): void {
    if (cancellation.isOverdue) {
      cancellation.isOverdue = false;
      overdueScopes--;
    }
    if (cancellation.state === NONE) this.root.pendingScopes++;
    cancellation.state = state;
    if (state === NONE) this.root.pendingScopes--;
  }

  /** Code of the scope comes to its end, or opens another scope. Returns whether a request is still to be delivered. */
  checkPending(): boolean {
    const cancellation = this.#cancelState;
    if (cancellation === null || cancellation.state === NONE) return false;
    this.#confirmDelivery(cancellation);
    return cancellation.state !== NONE;
  }

  get isOverdue(): boolean {
    return this.checkPending() && this.#cancelState!.isOverdue;
  }

  /** The error of the request that is still to be delivered. */
  get pendingError(): CancelledError {
    return this.#cancelState!.latest!.error;
  }

  get pendingRequest(): CancelRequest | null {
    return this.#cancelState === null ? null : this.#cancelState.latest;
  }

  /** Drops what is pending in this scope and in those inside of it. */
  clearPending(): void {
    for (const scope of this.#subtree()) {
      const cancellation = scope.#cancelState;
      if (cancellation === null || cancellation.state === INTERRUPTED) continue;
      if (cancellation.state === NONE) continue;
      for (const reaction of scope.ownAwaits) reaction.cancelRequest = null;
      scope.#setState(cancellation, NONE);
      if (scope.#waiting === null) scope.#renewSignal();
    }
  }

  /** Links a scope into the one that it is opened in. */
  protected enter(this: InnerScope, outer: CancelScope): void {
    const next = outer.#inner;
    this.next = next;
    if (next !== null) next.previous = this;
    outer.#inner = this;
    if (!outer.checkPending()) return;
    const cancellation = this.#cancelState = new CancelState();
    cancellation.outer = cancellation.latest = outer.#cancelState!.latest;
    this.#setState(cancellation, PENDING);
  }

  /**
   * Takes a scope out: what is still awaited in it goes on in the outer one.
   * Returns whether the code that awaits the scope has to be found out, as it
   * learns of a request through the end of the scope alone.
   */
  protected leave(this: InnerScope, outer: CancelScope): boolean {
    if (this.next !== null) this.next.previous = this.previous;
    if (this.previous === null) outer.#inner = this.next;
    else this.previous.next = this.next;
    if (this.#inner !== null) outer.#adoptScopes(this.#inner);
    if (this.#waiting !== null) outer.#adoptAwaits(this);
    this.#inner = null;
    this.#waiting = null;
    const inner = this.#cancelState;
    if (inner === null) return false;
    if (inner.outer !== null) this.checkPending();
    this.#setState(inner, NONE);
    const cancellation = outer.#cancelState;
    if (cancellation === null || cancellation.state === NONE) return false;
    if (inner.delivered === null || inner.delivered !== cancellation.latest) {
      return false;
    }
    outer.#reject(cancellation);
    return true;
  }

  #adoptScopes(first: InnerScope): void {
    let last = first;
    last.outer = this;
    while (last.next !== null) {
      last = last.next;
      last.outer = this;
    }
    last.next = this.#inner;
    if (last.next !== null) last.next.previous = last;
    this.#inner = first;
  }

  #adoptAwaits(scope: CancelScope): void {
    const reactions = scope.ownAwaits;
    if (reactions.length === 0) return;
    for (const reaction of reactions) reaction.frame = this;
    this.#waiting = new Set([...this.ownAwaits, ...reactions]);
  }

  /** Whether a request to it or to a scope in it has met no await that it could end. */
  get hasUndelivered(): boolean {
    if (this.root.pendingScopes === 0) return false;
    if (this.#inner === null) return this.mustCancel;
    return this.#subtree().some((scope) => scope.mustCancel);
  }

  /** What the scopes say that are open in this one, the outermost first. */
  get explanations(): string[] {
    if (this.#inner === null) return [];
    return this.#subtree().flatMap((scope) =>
      (scope instanceof InnerScope ? scope.owner?.explain() : null) ?? []
    );
  }

  /** The tasks that the ends of scopes open in this one wait for. */
  get children(): AnyFuture[] {
    if (this.#inner === null) return [];
    return this.#subtree().flatMap((scope) =>
      scope instanceof InnerScope ? [...scope.owner?.children?.() ?? []] : []
    );
  }

  /** This scope and those inside of it. */
  #subtree(): CancelScope[] {
    const scopes: CancelScope[] = [this];
    for (const scope of scopes) {
      if (scope.#inner === null) continue;
      for (const inner of inOrder(scope.#inner)) scopes.push(inner);
    }
    return scopes;
  }

  /** Returns whether it was there. */
  #remove(reaction: SuspendedAwait): boolean {
    if (this.#waiting === reaction) {
      this.#waiting = null;
      return true;
    }
    if (!(this.#waiting instanceof Set)) return false;
    const removed = this.#waiting.delete(reaction);
    if (this.#waiting.size === 0) this.#waiting = null;
    return removed;
  }

  #renewSignal(): void {
    if (this.#controller?.signal.aborted) this.#controller = null;
  }

  /** Tells whoever holds the signal, and watches who takes its reason: that code learns of the request so. */
  #abort(controller: AbortController, cancellation: CancelState): void {
    const isForeign = this.#waiting === null && !this.isRunning;
    if (isForeign) {
      const drain = () => loops.checkpoints(this.loop);
      const isOwnCode = () => this.isRunning;
      cancellation.reasonWatch = watchReason(
        controller.signal,
        drain,
        isOwnCode,
      );
    }
    controller.abort(cancellation.latest!.error);
  }

  /** The task is done. */
  protected release(): void {
    this.#waiting = null;
    this.#inner = null;
    if (this.#cancelState === null) this.#controller = null;
    else {
      this.#setState(this.#cancelState, NONE);
      this.#cancelState.probes = [];
    }
  }
}

/** A scope inside of a task: its own signal, and what was awaited in it. */
export class InnerScope extends CancelScope {
  #outer: CancelScope;
  /** Neighbours among the scopes that are open in the same one. */
  #next: InnerScope | null = null;
  #previous: InnerScope | null = null;
  readonly #root: TaskState;
  #closed = false;
  /** What has opened it, if that has something to say. */
  readonly #owner: ScopeOwner | null;

  /** Opens a scope in another one. */
  constructor(outer: CancelScope, owner: ScopeOwner | null = null) {
    super();
    this.#owner = owner;
    this.#outer = outer;
    this.#root = outer.root;
    this.enter(outer);
  }

  get owner(): ScopeOwner | null {
    return this.#owner;
  }

  get outer(): CancelScope {
    return this.#outer;
  }

  set outer(outer: CancelScope) {
    this.#outer = outer;
  }

  get next(): InnerScope | null {
    return this.#next;
  }

  set next(scope: InnerScope | null) {
    this.#next = scope;
  }

  get previous(): InnerScope | null {
    return this.#previous;
  }

  set previous(scope: InnerScope | null) {
    this.#previous = scope;
  }

  get root(): TaskState {
    return this.#root;
  }

  get loop(): BaseEventLoop {
    return this.#root.loop;
  }

  get task(): NamedCancelable | null {
    return this.#root.task;
  }

  get isOver(): boolean {
    return this.#closed;
  }

  protected get isSignalTaken(): boolean {
    return true;
  }

  /** The function that runs the body shows itself. */
  protected linkBody(): void {}

  /** Calls `fn(arg)` so that it, and all it goes on to wait for, belongs to the scope. */
  run<A, R>(fn: (arg: A) => R, arg: A): R {
    return runInSlot(this, fn, arg);
  }

  /** Closes the scope. Returns what {@linkcode CancelScope.leave} does. */
  close(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    const isToBeFoundOut = this.leave(this.#outer);
    if (this.ownRequests > 0) this.withdraw(this.ownRequests);
    return isToBeFoundOut;
  }
}

/** Neighbouring scopes, the oldest first. */
function inOrder(newest: InnerScope): InnerScope[] {
  const scopes: InnerScope[] = [];
  for (let it: InnerScope | null = newest; it !== null; it = it.next) {
    scopes.push(it);
  }
  return scopes.reverse();
}
