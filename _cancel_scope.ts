/**
 * Cancel scopes: a task, and the timeouts and groups that are open inside it.
 * The scope of the task itself is in `_task_state.ts`.
 *
 * A {@linkcode CancelScope} is the value of the context slot while its code
 * runs, so an `await` belongs to the innermost scope in which it began. A
 * cancel request goes to one scope and to all scopes inside it. It interrupts
 * what is awaited there and nothing else.
 *
 * JavaScript does not tell whether anybody awaits a promise: the loser of a
 * `Promise.race` looks like any other wait. A request must not count as
 * delivered just because such a wait was rejected. So rejecting an await also
 * captures the stack of the code that awaits it ({@linkcode Probe}). When code
 * of the scope next runs, at an await or at its end, that stack tells whether
 * the code received the error. Without that proof the request stays pending
 * and the next await delivers it. Engines other than V8 do not follow promises
 * in stacks. There the proof is that the code runs at the same microtask
 * checkpoint as the rejection.
 *
 * @module
 */

import { type ReasonTracker, trackReason } from "./_abort_signal.ts";
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
  currentExecution,
  type EventLoop,
  type ExecutionContext,
  internals as loops,
  type Job,
} from "./_event_loop.ts";
import { type CallSite, followsPromises, type Probe } from "./_call_site.ts";
import type { CancelledError } from "./exceptions.ts";

/** A task, as its state sees it. */
export interface NamedTask extends Cancelable {
  getName(): string;
}

/** What opened a scope: a timeout or a group. */
export interface ScopeOwner {
  /** Explains a wait inside the scope: "timeout(1) expired 2.0 s ago". */
  explain(): string | null;
  /** The tasks that must finish before the scope can end. */
  children?(): Iterable<AnyFuture>;
}

/** An `await` of a future, or a `then()` that may be one. `Continuation` implements it. */
export interface SuspendedAwait extends Job {
  /** What is awaited; `null` once it has ended. */
  readonly source: AnyFuture | null;
  /** The scope that awaits; `null` for code outside of tasks and for a `then()` that turned out to be no await. */
  scope: CancelScope | null;
  /** Whether the awaited future was notified: it completes when the code resumes. */
  readonly isNotified: boolean;
  /** Whether it resumes the code of a task, rather than calling a handler of the user. */
  readonly isAwait: boolean;
  /** A request that could not interrupt this await while others were pending beside it. */
  cancelRequest: CancelRequest | null;
  /** Rejects the await with a cancellation; the awaited future continues. */
  interrupt(): void;
  /** Calls back, in a microtask, with the place of the `await`, if that can be found out. */
  locate(found: (place: CallSite) => void): void;
}

/** No request, or it has been delivered. */
const NONE = 0;
/** The next await delivers the request. */
const PENDING = 1;
/** Awaits were interrupted and are about to reject. */
const INTERRUPTED = 2;
/** Awaits were rejected; whether the code received the error is not known yet. */
const REJECTED = 3;

/** The cancel requests of one scope; created with the first. */
class CancelState {
  /** Requests made to this scope itself and not withdrawn. */
  requests = 0;
  state = NONE;
  /** The last request that reached the scope, its own or one from an outer scope. */
  latest: CancelRequest | null = null;
  /** The last request from an outer scope. */
  outer: CancelRequest | null = null;
  /** The last request from an outer scope that was delivered. */
  delivered: CancelRequest | null = null;
  /** The stacks of the code that awaits what was rejected. */
  probes: Probe[] = [];
  /** The microtask checkpoint of the rejection. */
  checkpoint = -1;
  /** Tells whether the signal's reason was read at this checkpoint. */
  reasonWatch: ReasonTracker | null = null;
  /** The request came while the code awaited an external promise. */
  isOverdue = false;
}

/** How many scopes have a request that came while their code awaited an external promise. */
let overdueScopes = 0;

/**
 * Whether a request came while the running code awaited an external promise.
 * A call that would not have to wait must then not consume anything.
 */
export function isOverdue(): boolean {
  if (overdueScopes === 0) return false;
  const scope = currentExecution();
  return scope instanceof CancelScope && (scope.open?.isOverdue ?? false);
}

/** The tasks that are creating an eager task, whose first step runs inside theirs. */
const creatingEager: TaskState[] = [];

/** Runs the first step of an eager task inside the code that creates it. */
export function startEager(start: () => void): void {
  const scope = currentExecution();
  const isTask = scope instanceof CancelScope;
  if (isTask) creatingEager.push(scope.taskState);
  eagerSteps.count++;
  try {
    start();
  } finally {
    eagerSteps.count--;
    if (isTask) creatingEager.pop();
  }
}

const NO_OWNERS: readonly ScopeOwner[] = [];
/** By scope: the groups with children that were opened in it and have no scope of their own. */
const guests = new WeakMap<CancelScope, Set<ScopeOwner>>();
let guestCount = 0;

/** A group without a scope of its own has a child. */
export function addGuest(scope: CancelScope, guest: ScopeOwner): void {
  const known = guests.get(scope);
  if (known?.has(guest)) return;
  guestCount++;
  if (known === undefined) guests.set(scope, new Set([guest]));
  else known.add(guest);
}

/** It has none any more. */
export function removeGuest(scope: CancelScope, guest: ScopeOwner): void {
  if (guests.get(scope)?.delete(guest)) guestCount--;
}

/** Code that can be cancelled: a task, or a scope inside it. */
export abstract class CancelScope extends SlotValue
  implements ExecutionContext {
  /**
   * The awaits that the code is suspended in; several under a `Promise.all`.
   * May hold calls of `then()` that are no awaits, see
   * {@linkcode CancelScope.isRealAwait}.
   */
  #waiting: SuspendedAwait | Set<SuspendedAwait> | null = null;
  /** The scopes opened directly inside this one, newest first. */
  #inner: InnerScope | null = null;
  /** The controller of the current signal. */
  #controller: AbortController | null = null;
  #cancelState: CancelState | null = null;

  abstract readonly loop: EventLoop;
  abstract readonly task: NamedTask | null;
  /** The scope of the task. */
  abstract readonly taskState: TaskState;
  abstract readonly outer: CancelScope | null;
  /** Whether the scope has ended; code that still runs belongs to the outer scope, if any. */
  abstract readonly isOver: boolean;
  /** Makes stacks show what awaits the body of the scope. */
  protected abstract linkBody(): void;
  /** Whether somebody may hold the signal. */
  protected abstract readonly isSignalTaken: boolean;

  get isScope(): boolean {
    return true;
  }

  /** This scope, or the nearest outer one that is still open; `null` if the task is done. */
  get open(): CancelScope | null {
    if (!this.isOver) return this;
    let it = this.outer;
    while (it !== null && it.isOver) it = it.outer;
    return it;
  }

  /** The awaits that began in this scope itself. */
  get ownAwaits(): SuspendedAwait[] {
    const waiting = this.#waiting;
    if (waiting === null) return [];
    const all = waiting instanceof Set ? [...waiting] : [waiting];
    return all.filter((wait) => this.isRealAwait(wait));
  }

  /** The awaits in this scope and in those inside it. */
  get awaits(): SuspendedAwait[] {
    if (this.#inner === null) return this.ownAwaits;
    return this.#subtree().flatMap((scope) => scope.ownAwaits);
  }

  /** The innermost of the scopes opened last. */
  get innermost(): CancelScope {
    let scope = this.#inner;
    while (scope !== null && scope.#inner !== null) scope = scope.#inner;
    return scope ?? this;
  }

  /** Requests to this scope that were not withdrawn. */
  get ownRequests(): number {
    return this.#cancelState === null ? 0 : this.#cancelState.requests;
  }

  /** Requests to this scope and to its outer scopes that were not withdrawn. */
  get pathRequests(): number {
    if (this.taskState.totalRequests === 0) return 0;
    let count = this.ownRequests;
    for (let it = this.outer; it !== null; it = it.outer) {
      count += it.ownRequests;
    }
    return count;
  }

  /** Whether the next await must deliver a request. */
  get mustCancel(): boolean {
    return this.#cancelState !== null && this.#cancelState.state === PENDING;
  }

  /** Whether the code of this scope has not seen a request yet. */
  get isUnobserved(): boolean {
    const cancelState = this.#cancelState;
    return cancelState !== null &&
      (cancelState.state === PENDING || cancelState.state === INTERRUPTED);
  }

  /** Whether a `then()` is an await; if not, it is forgotten. */
  isRealAwait(wait: SuspendedAwait): boolean {
    if (wait.isAwait) return true;
    wait.scope = null;
    this.#remove(wait);
    return false;
  }

  /** Aborts with the next cancellation; each cancellation is followed by a new signal. */
  get signal(): AbortSignal {
    const cancelState = this.#cancelState;
    if (cancelState !== null && this.isRunning) {
      this.#confirmDelivery(cancelState);
    }
    return this.controller.signal;
  }

  /** Whether code of the task is running, possibly creating an eager task. */
  get isRunning(): boolean {
    const scope = currentExecution();
    return scope instanceof CancelScope && scope.taskState === this.taskState ||
      creatingEager.includes(this.taskState);
  }

  protected get controller(): AbortController {
    let controller = this.#controller;
    if (controller === null) {
      controller = this.#controller = new AbortController();
      const latest = this.#cancelState?.latest;
      if (latest && (this.isUnobserved || this.isOver)) {
        controller.abort(latest.error);
      }
    }
    return controller;
  }

  /** Aborts what the code of a failed scope has started elsewhere. */
  abortSignal(reason: unknown): void {
    this.#controller?.abort(reason);
  }

  /** Requests that this scope be cancelled. */
  request(message: unknown, cause?: unknown): void {
    this.countRequest();
    const error = this.isUnobserved
      ? this.#cancelState!.latest!.createdError
      : null;
    const request = new CancelRequest(message, cause, error);
    this.deliver(request);
    this.taskState.cancelRequested(request);
  }

  /** Counts a request to this scope itself. */
  protected countRequest(): void {
    const cancelState = this.#cancelState ??= new CancelState();
    cancelState.requests++;
    this.taskState.totalRequests++;
  }

  /** Withdraws requests to this scope. Once the task has none left, pending ones are cleared. */
  withdraw(count: number): void {
    const cancelState = this.#cancelState;
    if (cancelState === null) return;
    count = Math.min(count, cancelState.requests);
    cancelState.requests -= count;
    this.taskState.totalRequests -= count;
    this.taskState.requestWithdrawn();
    if (
      this.taskState.totalRequests === 0 && this.taskState.pendingScopes > 0
    ) {
      this.taskState.clearPending();
    }
  }

  /** Withdraws the request that the scope made itself, or another one if that was withdrawn already. */
  withdrawOwn(): void {
    if (this.ownRequests > 0) this.withdraw(1);
    else if (this.taskState.totalRequests > 0) this.taskState.uncancel();
  }

  /** Lets the next await deliver again a request that was not withdrawn. */
  deliverAgain(message?: unknown): void {
    const cancelState = this.#cancelState ??= new CancelState();
    cancelState.latest = new CancelRequest(message);
    this.#setState(cancelState, PENDING);
    this.linkBody();
  }

  /** Interrupts what is awaited in this scope and in those inside it. */
  deliver(request: CancelRequest): void {
    for (const scope of this.#subtree()) {
      scope.#deliverHere(request, scope !== this);
    }
  }

  #deliverHere(request: CancelRequest, isOuter: boolean): void {
    const cancelState = this.#cancelState ??= new CancelState();
    cancelState.latest = request;
    if (isOuter) cancelState.outer = request;
    cancelState.probes = [];
    const awaits = this.ownAwaits;
    let reached = false;
    for (const wait of awaits) {
      if (this.#interrupt(wait, request)) reached = true;
      else if (awaits.length > 1) wait.cancelRequest = request;
    }
    this.#setState(cancelState, reached ? INTERRUPTED : PENDING);
    this.linkBody();
    if (awaits.length === 0 && this.#inner === null && !this.isRunning) {
      cancelState.isOverdue = true;
      overdueScopes++;
    }
    const controller = this.#controller;
    if (controller === null) return;
    // Otherwise nobody holds the signal, and aborting it is expensive.
    if (this.isSignalTaken) this.#abort(controller, cancelState);
    else this.#controller = null;
  }

  /** Cancels what is awaited. Returns whether that ends the await. */
  #interrupt(wait: SuspendedAwait, request: CancelRequest): boolean {
    const source = wait.source!;
    if (wait.isNotified) return false;
    if (isBeingCancelled(source)) { // the code awaits itself, perhaps through others
      wait.interrupt();
      return false;
    }
    if (isCancelledTogether(source)) return true;
    return cancelNested(source, request.message as string);
  }

  /** An await begins. It delivers a pending request. */
  suspend(wait: SuspendedAwait): void {
    const cancelState = this.#cancelState;
    if (cancelState !== null && cancelState.state !== NONE) {
      if (!this.isRealAwait(wait)) return;
      this.#confirmDelivery(cancelState);
    }
    this.taskState.awaitStarted(wait);
    const waiting = this.#waiting;
    if (waiting === null) this.#waiting = wait;
    else if (waiting instanceof Set) waiting.add(wait);
    else if (waiting !== wait) {
      this.#waiting = this.isRealAwait(waiting)
        ? new Set([waiting, wait])
        : wait;
    }
    if (cancelState === null || cancelState.state !== PENDING) return;
    if (this.#interrupt(wait, cancelState.latest!)) {
      this.#setState(cancelState, INTERRUPTED);
    }
  }

  /** An await ends. Returns the request that it delivers, if any. */
  resume(wait: SuspendedAwait, rejects: boolean): CancelRequest | null {
    const wasSuspended = this.#remove(wait);
    this.taskState.awaitEnded(wait);
    const cancelState = this.#cancelState;
    if (cancelState === null || cancelState.state === NONE) return null;
    // Awaiting a future that is done does not suspend, so the request stays.
    if (!wasSuspended || !wait.isAwait) return null;
    // The value must not be lost; the next await delivers the request.
    if (!rejects && cancelState.state === PENDING) return null;
    const { latest } = cancelState;
    this.#reject(cancelState);
    if (rejects) this.taskState.errorDelivered();
    return latest;
  }

  /** Records the stack of the code that awaits what was just rejected. */
  addProbe(probe: Probe): void {
    const cancelState = this.#cancelState;
    if (cancelState?.state !== REJECTED) return;
    cancelState.checkpoint = loops.checkpoint(this.loop);
    cancelState.probes.push(probe);
  }

  /** Code of the scope is about to receive an error. */
  #reject(cancelState: CancelState): void {
    this.#setState(cancelState, REJECTED);
    cancelState.checkpoint = loops.checkpoint(this.loop);
    this.#renewSignal();
  }

  /** Code of the scope runs: finds out whether it received the error of the last request. */
  #confirmDelivery(cancelState: CancelState): void {
    if (cancelState.state === REJECTED) {
      const { checkpoint, probes } = cancelState;
      const isProven = followsPromises
        ? probes.some((probe) => probe.isAwaited)
        : checkpoint === loops.checkpoint(this.loop);
      cancelState.probes = [];
      if (!isProven) return this.#setState(cancelState, PENDING);
    } else if (
      cancelState.state === PENDING && cancelState.reasonWatch?.wasRead
    ) {
      this.taskState.deliveredBySignal();
      this.#renewSignal();
    } else return;
    this.#setState(cancelState, NONE);
    cancelState.delivered = cancelState.outer;
    cancelState.reasonWatch = null;
  }

  #setState(cancelState: CancelState, state: number): void {
    if (cancelState.isOverdue) {
      cancelState.isOverdue = false;
      overdueScopes--;
    }
    if (cancelState.state === NONE) this.taskState.pendingScopes++;
    cancelState.state = state;
    if (state === NONE) this.taskState.pendingScopes--;
  }

  /** Whether a request is still to be delivered, when code of the scope ends or opens another scope. */
  checkPending(): boolean {
    const cancelState = this.#cancelState;
    if (cancelState === null || cancelState.state === NONE) return false;
    this.#confirmDelivery(cancelState);
    return cancelState.state !== NONE;
  }

  get isOverdue(): boolean {
    return this.checkPending() && this.#cancelState!.isOverdue;
  }

  /** The error of the pending request. */
  get pendingError(): CancelledError {
    return this.#cancelState!.latest!.error;
  }

  get pendingRequest(): CancelRequest | null {
    return this.#cancelState === null ? null : this.#cancelState.latest;
  }

  /** Clears pending requests of this scope and of those inside it. */
  clearPending(): void {
    for (const scope of this.#subtree()) {
      const cancelState = scope.#cancelState;
      if (cancelState === null || cancelState.state === INTERRUPTED) continue;
      if (cancelState.state === NONE) continue;
      for (const wait of scope.ownAwaits) wait.cancelRequest = null;
      scope.#setState(cancelState, NONE);
      if (scope.#waiting === null) scope.#renewSignal();
    }
  }

  /** Links the scope into its outer scope. */
  protected enter(this: InnerScope, outer: CancelScope): void {
    const next = outer.#inner;
    this.next = next;
    if (next !== null) next.previous = this;
    outer.#inner = this;
    if (!outer.checkPending()) return;
    const cancelState = this.#cancelState = new CancelState();
    cancelState.outer = cancelState.latest = outer.#cancelState!.latest;
    this.#setState(cancelState, PENDING);
  }

  /**
   * Unlinks the scope. The outer scope takes over what is still awaited in it.
   * Returns whether a probe is needed, because the code outside learns of a
   * request only by the end of this scope.
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
    const cancelState = outer.#cancelState;
    if (cancelState === null || cancelState.state === NONE) return false;
    if (inner.delivered === null || inner.delivered !== cancelState.latest) {
      return false;
    }
    outer.#reject(cancelState);
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
    const awaits = scope.ownAwaits;
    if (awaits.length === 0) return;
    for (const wait of awaits) wait.scope = this;
    this.#waiting = new Set([...this.ownAwaits, ...awaits]);
  }

  /** Whether a request to this scope or one inside it found no await to interrupt. */
  get hasPendingCancel(): boolean {
    if (this.taskState.pendingScopes === 0) return false;
    if (this.#inner === null) return this.mustCancel;
    return this.#subtree().some((scope) => scope.mustCancel);
  }

  /** What the scopes open in this one say about their waits, outermost first. */
  get explanations(): string[] {
    return this.#owners.flatMap((owner) => owner.explain() ?? []);
  }

  /** The tasks that must finish before the scopes open in this one can end. */
  get children(): AnyFuture[] {
    return this.#owners.flatMap((owner) => [...owner.children?.() ?? []]);
  }

  /** Who has opened something in this scope and in those inside it. */
  get #owners(): readonly ScopeOwner[] {
    if (this.#inner === null && guestCount === 0) return NO_OWNERS;
    return this.#subtree().flatMap((scope) => [
      ...(scope instanceof InnerScope ? [scope.owner ?? []] : []).flat(),
      ...guests.get(scope) ?? [],
    ]);
  }

  /** This scope and those inside it. */
  #subtree(): CancelScope[] {
    const scopes: CancelScope[] = [this];
    for (const scope of scopes) {
      if (scope.#inner === null) continue;
      for (const inner of inOrder(scope.#inner)) scopes.push(inner);
    }
    return scopes;
  }

  /** Returns whether it was found. */
  #remove(wait: SuspendedAwait): boolean {
    if (this.#waiting === wait) {
      this.#waiting = null;
      return true;
    }
    if (!(this.#waiting instanceof Set)) return false;
    const removed = this.#waiting.delete(wait);
    if (this.#waiting.size === 0) this.#waiting = null;
    return removed;
  }

  #renewSignal(): void {
    if (this.#controller?.signal.aborted) this.#controller = null;
  }

  /** Aborts the signal, and watches whether code of the task reads its reason: then that code knows of the request. */
  #abort(controller: AbortController, cancelState: CancelState): void {
    const isExternal = this.#waiting === null && !this.isRunning;
    if (isExternal) {
      const checkpoint = () => loops.checkpoints(this.loop);
      const isOwnCode = () => this.isRunning;
      cancelState.reasonWatch = trackReason(
        controller.signal,
        checkpoint,
        isOwnCode,
      );
    }
    controller.abort(cancelState.latest!.error);
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

/** A scope inside a task, with its own signal and awaits. */
export class InnerScope extends CancelScope {
  #outer: CancelScope;
  /** Siblings: scopes open in the same outer scope. */
  #next: InnerScope | null = null;
  #previous: InnerScope | null = null;
  readonly #taskState: TaskState;
  #closed = false;
  /** What opened the scope, if it can explain waits. */
  readonly #owner: ScopeOwner | null;

  /** Opens a scope inside another one. */
  constructor(outer: CancelScope, owner: ScopeOwner | null = null) {
    super();
    this.#owner = owner;
    this.#outer = outer;
    this.#taskState = outer.taskState;
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

  get taskState(): TaskState {
    return this.#taskState;
  }

  get loop(): EventLoop {
    return this.#taskState.loop;
  }

  get task(): NamedTask | null {
    return this.#taskState.task;
  }

  get isOver(): boolean {
    return this.#closed;
  }

  protected get isSignalTaken(): boolean {
    return true;
  }

  /** Nothing to do: the function that runs the body is in the stack. */
  protected linkBody(): void {}

  /** Calls `fn(arg)`; the call, and what it awaits, belongs to the scope. */
  run<A, R>(fn: (arg: A) => R, arg: A): R {
    return runInSlot(this, fn, arg);
  }

  /** Closes the scope. Returns what {@linkcode CancelScope.leave} does. */
  close(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    const needsProbe = this.leave(this.#outer);
    if (this.ownRequests > 0) this.withdraw(this.ownRequests);
    return needsProbe;
  }
}

/** Sibling scopes, oldest first. */
function inOrder(newest: InnerScope): InnerScope[] {
  const scopes: InnerScope[] = [];
  for (let it: InnerScope | null = newest; it !== null; it = it.next) {
    scopes.push(it);
  }
  return scopes.reverse();
}
