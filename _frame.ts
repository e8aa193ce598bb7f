/**
 * What follows the code of a task across its awaits: the task itself, and the
 * scopes (timeouts, groups) that are open in it.
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
 * Futures stand above this file and put in what is needed of them.
 *
 * @module
 */

import { type ReasonTap, tapReason } from "./_abort.ts";
import { captureSlot, runInSlot, SlotValue } from "./_context.ts";
import {
  type BaseEventLoop,
  currentFrame,
  type Frame,
  internals as loops,
  type Job,
} from "./_loop.ts";
import { systemTimer } from "./_host.ts";
import { BODY, followsPromises, Place, type Probe } from "./_place.ts";
import { CancelledError } from "./exceptions.ts";

/** What a frame knows of a future. */
export interface Cancelable {
  cancel(message?: string): boolean;
}

/** What is known of a thing that is waited for. */
export interface Described {
  /** What is waited for, in a few words. */
  describe?(): string;
  /** What kind of wait it is: "lock", "gather". */
  readonly kind?: string | undefined;
  /** The thing that is waited for. */
  readonly object?: object;
  /** More that may explain the wait: "never notified since 3.0 s". */
  notes?(): string[];
  /** All code that has a part of what is waited for. */
  holders?(): Iterable<Frame>;
  /** The futures that are waited for. */
  readonly awaits?: readonly Cancelable[] | undefined;
  /** The code that has what is waited for. */
  readonly holder?: Frame | null;
}

/** What a frame knows of its task. */
export interface NamedCancelable extends Cancelable {
  getName(): string;
}

/** What has opened a scope: a timeout, a group. */
export interface ScopeOwner {
  /** What it is doing that explains a wait inside of it: "timeout(1) expired 2.0 s ago". */
  explain(): string | null;
  /** The tasks that its end waits for, from their beginning on. */
  children?(): Iterable<Cancelable>;
}

/** What is done to futures from here; `_future.ts` fills it in. */
export interface FutureHooks {
  /** Cancels what a task awaits, unless that was woken: the turn is passed on when the task resumes. */
  interrupt(future: Cancelable, message: string, reaction: Reaction): boolean;
  /** Whether its outcome is a cancellation, which then stands for that of the task. */
  cancels(future: Cancelable): boolean;
  settle(future: Cancelable, value: unknown): void;
  fail(future: Cancelable, error: unknown): void;
  cancel(future: Cancelable, message: unknown): void;
  /** The name of a task, a number for one that was given none. */
  rawName(task: Cancelable): string | number;
  /** Calls the body of a task, in a captured context or in one that was given. */
  start(frame: TaskFrame, from: unknown, isGiven: boolean): void;
  /** Whether the body of a task can see the signal that it is called with. */
  takesSignal(task: Cancelable): boolean;
  /** Remembers the context of a task that has ended. */
  keepContext(task: Cancelable, frame: TaskFrame): void;
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
  /** What is awaited; `null` once it has ended. */
  readonly source: Cancelable | null;
  /** Where it is awaited, `null` for code outside of tasks and for what turned out to be no await. */
  frame: CancelScope | null;
  /** Whether it resumes the code of a task, and does not just tell of the outcome. */
  readonly isAwait: boolean;
  /** A cancellation that could not interrupt this await beside others. */
  struck: CancelRequest | null;
  /** Ends the await with a cancellation, although what it awaits goes on. */
  interrupt(): void;
}

/** Ends the running task with what its body returned, as a handler. */
export function finishTask(value: unknown): void {
  (currentFrame() as CancelScope).root.finish(value);
}

/** Ends the running task with what its body threw, as a handler. */
export function failTask(error: unknown): void {
  (currentFrame() as CancelScope).root.fail(error);
}

/** A request to cancel. Its error is made when somebody needs it. */
export class CancelRequest {
  message: unknown;
  /** When it came, in milliseconds of the loop's clock. */
  at = 0;
  /** The id of the task that it came from, 0 for code outside of tasks. */
  by = 0;
  /** What it came from, if that has a name. */
  from: string | null = null;
  /** Whether it was reported that it cannot be delivered, and whether that may still have to be done. */
  isReported = false;
  isNoted = false;
  #error: CancelledError | null;
  readonly #cause: unknown;

  constructor(
    message: unknown,
    cause: unknown = undefined,
    error: CancelledError | null = null,
  ) {
    this.message = message;
    this.#cause = cause;
    this.#error = error;
    if (error !== null) label(error, message);
  }

  /** The error, if it was made. */
  get told(): CancelledError | null {
    return this.#error;
  }

  /** The error that the signals are aborted with, and the code is given. */
  get error(): CancelledError {
    if (this.#error === null) {
      this.#error = cancelledError(this.message);
      if (this.#cause !== undefined) this.#error.cause = this.#cause;
    }
    return this.#error;
  }

  /** Whether the error has to be the one of this request. */
  get hasError(): boolean {
    return this.#error !== null || this.#cause !== undefined;
  }
}

/** No request, or it was delivered. */
const NONE = 0;
/** The next await delivers it. */
const PENDING = 1;
/** Awaits were interrupted and are about to reject. */
const STRUCK = 2;
/** Awaits have rejected; whether the code was given the error is not known yet. */
const REJECTED = 3;

/** The requests to cancel one scope. Made with the first. */
class Cancellation {
  /** How many requests this scope itself was given and nobody took back. */
  requests = 0;
  state = NONE;
  /** The last request that came to the scope, its own or from further out. */
  latest: CancelRequest | null = null;
  /** The last one from further out, and the last of those that the code has met. */
  outer: CancelRequest | null = null;
  met: CancelRequest | null = null;
  /** Who awaits what was rejected, and in which drain of the microtasks that was. */
  probes: Probe[] = [];
  drain = -1;
  /** Tells whether the reason of the signal was taken in this drain. */
  tap: ReasonTap | null = null;
  /** The request came while the code was in a promise from outside of this module. */
  isOverdue = false;
}

/** How many scopes have a request that came while their code was in a promise from outside of this module. */
let overdue = 0;

/**
 * Whether the running code is to be cancelled since before it came back from
 * such a promise. A call that would not have to wait must not take anything then.
 */
export function isOverdue(): boolean {
  if (overdue === 0) return false;
  const frame = currentFrame();
  return frame instanceof CancelScope && (openScope(frame)?.isOverdue ?? false);
}

/** The tasks whose code is making an eager task, which runs its first step inside of theirs. */
const makingEager: TaskFrame[] = [];

/** Whether what runs is the first step of an eager task. */
export function isMakingEager(): boolean {
  return eagerSteps > 0;
}

let eagerSteps = 0;

/** Starts an eager task from the code that makes it. */
export function startEager(start: () => void): void {
  const frame = currentFrame();
  const isTask = frame instanceof CancelScope;
  if (isTask) makingEager.push(frame.root);
  eagerSteps++;
  try {
    start();
  } finally {
    eagerSteps--;
    if (isTask) makingEager.pop();
  }
}

/** A piece of code that can be cancelled: a task, or a scope inside of it. */
export abstract class CancelScope extends SlotValue implements Frame {
  /**
   * The awaits it is suspended in, several under a `Promise.all`; and handlers
   * that were taken for awaits, see {@linkcode CancelScope.awaits}.
   */
  #waiting: Reaction | Set<Reaction> | null = null;
  /** The scopes that are open directly inside of this one, the newest first. */
  #inner: InnerScope | null = null;
  /** Whose signal the code has now; made early, as it costs less than to find out whether the body takes it. */
  #controller: AbortController | null = null;
  #cancellation: Cancellation | null = null;

  abstract readonly loop: BaseEventLoop;
  abstract readonly task: NamedCancelable | null;
  /** The frame of the task. */
  abstract readonly root: TaskFrame;
  abstract readonly outer: CancelScope | null;
  /** Code that still runs belongs to the scope outside, or to nobody. */
  abstract readonly over: boolean;
  /** Has stacks show what awaits the body of the scope. */
  protected abstract markBody(): void;
  /** Whether somebody may hold the signal. */
  protected abstract readonly isSignalTaken: boolean;

  get isScope(): boolean {
    return true;
  }

  /** The awaits that were begun in this scope itself. */
  get ownAwaits(): Reaction[] {
    const waiting = this.#waiting;
    if (waiting === null) return [];
    const all = waiting instanceof Set ? [...waiting] : [waiting];
    return all.filter((reaction) => this.counts(reaction));
  }

  /** The awaits in this scope and in those inside of it. */
  get awaits(): Reaction[] {
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
    return this.#cancellation === null ? 0 : this.#cancellation.requests;
  }

  /** Requests to this scope and to those around it that nobody took back. */
  get pathRequests(): number {
    if (this.root.total === 0) return 0;
    let count = this.ownRequests;
    for (let it = this.outer; it !== null; it = it.outer) {
      count += it.ownRequests;
    }
    return count;
  }

  /** A request has met no pending await: the next one delivers it. */
  get mustCancel(): boolean {
    return this.#cancellation !== null && this.#cancellation.state === PENDING;
  }

  /** Whether a request is on its way that the code of this scope has not seen. */
  get undelivered(): boolean {
    const cancellation = this.#cancellation;
    return cancellation !== null &&
      (cancellation.state === PENDING || cancellation.state === STRUCK);
  }

  /** Whether a reaction is an await; one that is not is no longer kept as one. */
  counts(reaction: Reaction): boolean {
    if (reaction.isAwait) return true;
    reaction.frame = null;
    this.#remove(reaction);
    return false;
  }

  /** Aborts with the next cancellation; another one after each. */
  get signal(): AbortSignal {
    const cancellation = this.#cancellation;
    if (cancellation !== null && this.isRunning) this.#weigh(cancellation);
    return this.controller.signal;
  }

  /** Whether code of the task is what runs now, be it that it is just making an eager task. */
  get isRunning(): boolean {
    const frame = currentFrame();
    return frame instanceof CancelScope && frame.root === this.root ||
      makingEager.includes(this.root);
  }

  protected get controller(): AbortController {
    let controller = this.#controller;
    if (controller === null) {
      controller = this.#controller = new AbortController();
      const latest = this.#cancellation?.latest;
      if (latest && (this.undelivered || this.over)) {
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
    this.count();
    const told = this.undelivered ? this.#cancellation!.latest!.told : null;
    const request = new CancelRequest(message, cause, told);
    this.deliver(request);
    this.root.requested(request);
  }

  /** A request comes to this scope itself. */
  protected count(): void {
    const cancellation = this.#cancellation ??= new Cancellation();
    cancellation.requests++;
    this.root.total++;
  }

  /** Takes requests to this scope itself back, and drops what is pending when none is left at all. */
  takeBack(count: number): void {
    const cancellation = this.#cancellation;
    if (cancellation === null) return;
    count = Math.min(count, cancellation.requests);
    cancellation.requests -= count;
    this.root.total -= count;
    this.root.tookBack();
    if (this.root.total === 0 && this.root.busy > 0) this.root.dropPending();
  }

  /** Takes back the request that the scope has made itself, or another one where somebody else took that. */
  settleRequest(): void {
    if (this.ownRequests > 0) this.takeBack(1);
    else if (this.root.total > 0) this.root.uncancel();
  }

  /** Has the next await deliver a request again that is still standing. */
  rearm(message?: unknown): void {
    const cancellation = this.#cancellation ??= new Cancellation();
    cancellation.latest = new CancelRequest(message);
    this.#become(cancellation, PENDING);
    this.markBody();
  }

  /** A request has come: interrupts what is awaited here and in the scopes inside of this one. */
  deliver(request: CancelRequest): void {
    for (const scope of this.#subtree()) scope.#strike(request, scope !== this);
  }

  #strike(request: CancelRequest, isOuter: boolean): void {
    const cancellation = this.#cancellation ??= new Cancellation();
    cancellation.latest = request;
    if (isOuter) cancellation.outer = request;
    cancellation.probes = [];
    const awaits = this.ownAwaits;
    let reached = false;
    for (const reaction of awaits) {
      if (this.#interrupt(reaction, request)) reached = true;
      else if (awaits.length > 1) reaction.struck = request;
    }
    this.#become(cancellation, reached ? STRUCK : PENDING);
    this.markBody();
    if (awaits.length === 0 && this.#inner === null && !this.isRunning) {
      cancellation.isOverdue = true;
      overdue++;
    }
    const controller = this.#controller;
    if (controller === null) return;
    // Nobody has it otherwise, and to abort it is expensive.
    if (this.isSignalTaken) this.#abort(controller, cancellation);
    else this.#controller = null;
  }

  #interrupt(reaction: Reaction, request: CancelRequest): boolean {
    const message = request.message as string;
    return hooks.interrupt(reaction.source!, message, reaction);
  }

  /** An await begins. A request that is still to be delivered strikes here. */
  suspend(reaction: Reaction): void {
    const cancellation = this.#cancellation;
    if (cancellation !== null && cancellation.state !== NONE) {
      if (!this.counts(reaction)) return;
      this.#weigh(cancellation);
    }
    this.root.began(reaction);
    const waiting = this.#waiting;
    if (waiting === null) this.#waiting = reaction;
    else if (waiting instanceof Set) waiting.add(reaction);
    else if (waiting !== reaction) {
      this.#waiting = this.counts(waiting)
        ? new Set([waiting, reaction])
        : reaction;
    }
    if (cancellation === null || cancellation.state !== PENDING) return;
    if (this.#interrupt(reaction, cancellation.latest!)) {
      this.#become(cancellation, STRUCK);
    }
  }

  /** An await ends. Returns the request that it delivers, if any. */
  resume(reaction: Reaction, rejects: boolean): CancelRequest | null {
    const suspended = this.#remove(reaction);
    this.root.ended(reaction);
    const cancellation = this.#cancellation;
    if (cancellation === null || cancellation.state === NONE) return null;
    // An await of what is done already does not suspend: a request outlasts it.
    if (!suspended || !reaction.isAwait) return null;
    // It gives a value that must not be lost; the next await delivers the request.
    if (!rejects && cancellation.state === PENDING) return null;
    const { latest } = cancellation;
    this.#reject(cancellation);
    if (rejects) this.root.rejected();
    return latest;
  }

  /** Notes who awaits what has just been rejected. */
  noteProbe(probe: Probe): void {
    const cancellation = this.#cancellation;
    if (cancellation?.state !== REJECTED) return;
    cancellation.drain = loops.drain(this.loop);
    cancellation.probes.push(probe);
  }

  /** The code of the scope is being given an error. */
  #reject(cancellation: Cancellation): void {
    this.#become(cancellation, REJECTED);
    cancellation.drain = loops.drain(this.loop);
    this.#renewSignal();
  }

  /** Code of the scope shows up: settles whether it was given the error of the last request. */
  #weigh(cancellation: Cancellation): void {
    if (cancellation.state === REJECTED) {
      const { drain, probes } = cancellation;
      const isProven = followsPromises
        ? probes.some((probe) => probe.isAwaited)
        : drain === loops.drain(this.loop);
      cancellation.probes = [];
      if (!isProven) return this.#become(cancellation, PENDING);
    } else if (cancellation.state === PENDING && cancellation.tap?.wasTaken) {
      this.root.toldBySignal();
      this.#renewSignal();
    } else return;
    this.#become(cancellation, NONE);
    cancellation.met = cancellation.outer;
    cancellation.tap = null;
  }

  #become(cancellation: Cancellation, state: number): void {
    if (cancellation.isOverdue) {
      cancellation.isOverdue = false;
      overdue--;
    }
    if (cancellation.state === NONE) this.root.busy++;
    cancellation.state = state;
    if (state === NONE) this.root.busy--;
  }

  /** Code of the scope comes to its end, or opens another scope. Returns whether a request is still to be delivered. */
  owes(): boolean {
    const cancellation = this.#cancellation;
    if (cancellation === null || cancellation.state === NONE) return false;
    this.#weigh(cancellation);
    return cancellation.state !== NONE;
  }

  get isOverdue(): boolean {
    return this.owes() && this.#cancellation!.isOverdue;
  }

  /** The error of the request that is still to be delivered. */
  get pendingError(): CancelledError {
    return this.#cancellation!.latest!.error;
  }

  get pendingRequest(): CancelRequest | null {
    return this.#cancellation === null ? null : this.#cancellation.latest;
  }

  /** Drops what is pending in this scope and in those inside of it. */
  dropPending(): void {
    for (const scope of this.#subtree()) {
      const cancellation = scope.#cancellation;
      if (cancellation === null || cancellation.state === STRUCK) continue;
      if (cancellation.state === NONE) continue;
      for (const reaction of scope.ownAwaits) reaction.struck = null;
      scope.#become(cancellation, NONE);
      if (scope.#waiting === null) scope.#renewSignal();
    }
  }

  /** Links a scope into the one that it is opened in. */
  protected enter(this: InnerScope, outer: CancelScope): void {
    const next = outer.#inner;
    this.next = next;
    if (next !== null) next.previous = this;
    outer.#inner = this;
    if (!outer.owes()) return;
    const cancellation = this.#cancellation = new Cancellation();
    cancellation.outer = cancellation.latest = outer.#cancellation!.latest;
    this.#become(cancellation, PENDING);
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
    const inner = this.#cancellation;
    if (inner === null) return false;
    if (inner.outer !== null) this.owes();
    this.#become(inner, NONE);
    const cancellation = outer.#cancellation;
    if (cancellation === null || cancellation.state === NONE) return false;
    if (inner.met === null || inner.met !== cancellation.latest) return false;
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
  get isOwed(): boolean {
    if (this.root.busy === 0) return false;
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
  get children(): Cancelable[] {
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

  #renewSignal(): void {
    if (this.#controller?.signal.aborted) this.#controller = null;
  }

  /** Tells whoever holds the signal, and watches who takes its reason: that code learns of the request so. */
  #abort(controller: AbortController, cancellation: Cancellation): void {
    const isForeign = this.#waiting === null && !this.isRunning;
    if (isForeign) {
      const drain = () => loops.drains(this.loop);
      const isOwnCode = () => this.isRunning;
      cancellation.tap = tapReason(controller.signal, drain, isOwnCode);
    }
    controller.abort(cancellation.latest!.error);
  }

  /** The task is done. */
  protected release(): void {
    this.#waiting = null;
    this.#inner = null;
    if (this.#cancellation === null) this.#controller = null;
    else {
      this.#become(this.#cancellation, NONE);
      this.#cancellation.probes = [];
    }
  }
}

/** A scope inside of a task: its own signal, and what was awaited in it. */
export class InnerScope extends CancelScope {
  #outer: CancelScope;
  /** Neighbours among the scopes that are open in the same one. */
  #next: InnerScope | null = null;
  #previous: InnerScope | null = null;
  readonly #root: TaskFrame;
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

  get root(): TaskFrame {
    return this.#root;
  }

  get loop(): BaseEventLoop {
    return this.#root.loop;
  }

  get task(): NamedCancelable | null {
    return this.#root.task;
  }

  get over(): boolean {
    return this.#closed;
  }

  protected get isSignalTaken(): boolean {
    return true;
  }

  /** The function that runs the body shows itself. */
  protected markBody(): void {}

  /** Calls `fn(arg)` so that it, and all it goes on to wait for, belongs to the scope. */
  run<A, R>(fn: (arg: A) => R, arg: A): R {
    return runInSlot(this, fn, arg);
  }

  /** Closes the scope. Returns what {@linkcode CancelScope.leave} does. */
  close(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    const isToBeFoundOut = this.leave(this.#outer);
    if (this.ownRequests > 0) this.takeBack(this.ownRequests);
    return isToBeFoundOut;
  }
}

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

/** Neighbouring scopes, the oldest first. */
function inOrder(newest: InnerScope): InnerScope[] {
  const scopes: InnerScope[] = [];
  for (let it: InnerScope | null = newest; it !== null; it = it.next) {
    scopes.push(it);
  }
  return scopes.reverse();
}

/** Awaits the end of a body, so that stacks lead to it. Only tasks that are cancelled need that. */
const awaitBody = {
  [BODY]: async (end: Promise<void>) => {
    await end;
  },
};

/** The innermost scope around code that is still open; `null` if its task is done. */
export function openScope(scope: CancelScope): CancelScope | null {
  let it: CancelScope | null = scope;
  while (it !== null && it.over) it = it.outer;
  return it;
}

/** The name of a task; a number stands for one that was given none. */
export function taskName(name: string | number): string {
  return typeof name === "number" ? `Task-${name}` : name;
}

/** A cancellation with the message that `cancel()` was given, whatever it is. */
export function cancelledError(message: unknown): CancelledError {
  if (message === undefined || message === null) return new CancelledError();
  if (typeof message === "string") return new CancelledError(message);
  const error = new CancelledError();
  label(error, message);
  return error;
}

export function label(error: CancelledError, message: unknown): void {
  error.message = (message ?? "") as string;
}

/**
 * The cancellation that an error stands for, `null` if for none. One that
 * comes while another error leaves an `await using` block wins, as in a
 * `finally` of Python.
 */
export function asCancellation(error: unknown): CancelledError | null {
  let it = error;
  try {
    while (it instanceof Error && it.name === "SuppressedError") {
      it = (it as SuppressedError).error;
    }
    return it instanceof CancelledError ? it : null;
  } catch {
    return null; // a proxy or a getter that throws
  }
}

/** The head of the list of a loop's tasks. */
export function tasksOf(loop: BaseEventLoop): { first: TaskFrame | null } {
  return loops.tasks(loop) as { first: TaskFrame | null };
}
