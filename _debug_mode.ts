/**
 * Debug mode: records that are too expensive to keep always, and the reports
 * based on them.
 *
 * A loop in debug mode gives its tasks a {@linkcode DebugTaskState}, which
 * overrides the methods it needs. Tasks of other loops have a plain
 * `TaskState`, so debug mode costs nothing while it is off.
 *
 * The location of an `await` is visible only when it starts, inside a property
 * that it reads: `then` of a future, or `constructor` of a native promise, which
 * the engine reads to decide whether to wrap the promise. Both become accessors
 * while any loop is in debug mode. Nothing else shows where a task awaits a
 * promise from outside of this module.
 *
 * @module
 */

import { currentSlot } from "./_context.ts";
import {
  CancelScope,
  type NamedTask,
  type SuspendedAwait,
} from "./_cancel_scope.ts";
import { Future, futures } from "./_future.ts";
import type { Coroutine } from "./_options.ts";
import { TaskState } from "./_task_state.ts";
import {
  currentExecution,
  debugHooks,
  type EventLoop,
  type ExceptionContext,
  internals as loops,
} from "./_event_loop.ts";
import { CallSite, creationSite, recordCreation } from "./_call_site.ts";
import { RuntimeError } from "./exceptions.ts";

/** A cancellation that was delivered to the code of a task. */
interface Delivery {
  readonly site: CallSite;
  /** The number of requests then. Once there are fewer, this one was withdrawn. */
  readonly requests: number;
  /** Whether the task has started another wait since. */
  hasContinued: boolean;
}

/** How many awaits of native promises are kept before the runtime's own are dropped. */
const MOST_EXTERNAL_WAITS = 64;

/**
 * How many stacks may be captured at once, and how many more per millisecond.
 * A stack takes as long as ten awaits, so a program that awaits constantly
 * would do little else. In such a program only some awaits are recorded.
 */
const MOST_STACKS = 1000;
const STACKS_PER_MILLISECOND = 2;
/** Awaits of native promises are recorded again once this many stacks are left. */
const RESUME_AT = MOST_STACKS / 4;

/** Creates the futures that waiting calls of this module return. */
interface FutureFactory {
  create(...args: never[]): object;
}

/** An await of a native promise. */
interface ExternalWait {
  readonly site: CallSite;
  readonly step: number;
  readonly since: number;
}

/** A task state that records where its task waits, and whether its code swallows a cancellation. */
export class DebugTaskState extends TaskState {
  /** The location of an `await` that is just starting. */
  #startingSite: CallSite | null = null;
  readonly #sites = new Map<SuspendedAwait, CallSite>();
  /** Where it last awaited something of this module, `null` if unknown. */
  #lastSite: CallSite | null = null;
  /** Awaits of native promises since then. */
  #externalWaits: ExternalWait[] = [];
  /** The number of the current or last step, the code up to the next microtask. */
  #step = 0;
  #inStep = false;
  /** The oldest delivered request that was neither withdrawn nor reported. */
  #delivery: Delivery | null = null;
  /** The task, even after it is done. */
  readonly #watchedTask: NamedTask;

  constructor(
    loop: EventLoop,
    task: NamedTask,
    name: string | number,
    body: Coroutine<unknown>,
  ) {
    checkCaller(loop);
    super(loop, task, name, body);
    this.#watchedTask = task;
    if (mayCaptureStack(loop)) recordCreation(task);
  }

  get watchedTask(): NamedTask {
    return this.#watchedTask;
  }

  /** Where the task is suspended, `null` if unknown. */
  get site(): CallSite | null {
    const [suspension] = this.awaits;
    if (suspension === undefined) return this.#externalSite() ?? this.#lastSite;
    return this.siteOf(suspension);
  }

  /** When it started to wait for a promise from outside of this module, in milliseconds. */
  get externalSince(): number | null {
    return this.#userWaits().at(-1)?.since ?? null;
  }

  /** The location of the last wait that it resumed from. */
  get lastSite(): CallSite | null {
    return this.#lastSite;
  }

  /** The location of an await; if a body returned the promise of a call without awaiting it, that of the call. */
  siteOf(suspension: SuspendedAwait): CallSite | null {
    const { source: future } = suspension;
    const site = this.#sites.get(suspension) ?? null;
    if (site !== null || future === null) return site;
    if (futures.source(future) === null) return null;
    return creationSite(future);
  }

  /** Calls `then` of a future for an `await` at `site`. */
  startAwait<R>(site: CallSite, call: () => R): R {
    this.#startingSite = site;
    try {
      return call();
    } finally {
      this.#startingSite = null;
    }
  }

  /** Records the start of an `await` of a native promise. */
  startExternalAwait(): void {
    if (this.isOver) return;
    if (!this.#inStep) {
      this.#inStep = true;
      this.#step++;
      enqueueMicrotask(() => this.#inStep = false);
    }
    const since = loops.cachedNow(this.loop);
    this.#externalWaits.push({ site: new CallSite(), step: this.#step, since });
    if (this.#externalWaits.length <= MOST_EXTERNAL_WAITS) return;
    this.#externalWaits = this.#userWaits().slice(-MOST_EXTERNAL_WAITS / 4);
  }

  override awaitStarted(suspension: SuspendedAwait): void {
    super.awaitStarted(suspension);
    const site = this.#startingSite ?? this.siteOf(suspension);
    if (site === null && this.#delivery === null) return;
    if (!suspension.isAwait) return;
    if (site !== null) this.#sites.set(suspension, site);
    if (this.#delivery !== null) this.#onNextWait(this.#delivery, site);
  }

  override awaitEnded(suspension: SuspendedAwait): void {
    this.#lastSite = this.siteOf(suspension);
    this.#sites.delete(suspension);
    if (this.#externalWaits.length > 0) this.#externalWaits = [];
  }

  override errorDelivered(): void {
    this.#recordDelivery(this.#lastSite);
  }

  override deliveredBySignal(): void {
    this.#recordDelivery(this.#externalSite());
  }

  override requestWithdrawn(): void {
    const delivery = this.#delivery;
    if (delivery && this.totalRequests < delivery.requests) {
      this.#delivery = null;
    }
  }

  override finish(value: unknown): void {
    if (!this.mustCancel) this.reportSwallowed();
    super.finish(value);
  }

  /**
   * Reports that the code ended without an error although a request beyond the
   * first `above` was delivered to it, if it has waited again since.
   */
  reportSwallowed(above = 0): void {
    const delivery = this.#delivery;
    if (delivery === null || delivery.requests <= above) return;
    this.#delivery = null;
    if (!delivery.hasContinued) return;
    reportTask(this, {
      message: `Task ${this.name} was cancelled but continued: the ` +
        `CancelledError of its wait at ${delivery.site.line} was caught ` +
        "and not thrown on",
      cancelledAt: formatSite(delivery.site),
    });
  }

  /** A cancellation is delivered to the code of the task. */
  #recordDelivery(site: CallSite | null): void {
    if (this.#delivery !== null || site === null || !site.line) return;
    this.#delivery = {
      site,
      requests: this.totalRequests,
      hasContinued: false,
    };
  }

  /** The task waits again, to clean up or because it swallowed the cancellation. */
  #onNextWait(delivery: Delivery, site: CallSite | null): void {
    if (!site?.isDirect) return;
    delivery.hasContinued = true;
    if (site.equals(delivery.site)) this.reportSwallowed();
  }

  /** The innermost of the nested awaits that the code started last, in one step. */
  #externalSite(): CallSite | null {
    const waits = this.#userWaits();
    const step = waits.at(-1)?.step;
    let site = waits.pop()?.site ?? null;
    for (const inner of waits.reverse()) {
      if (inner.step !== step || !inner.site.isWithin(site!)) break;
      site = inner.site;
    }
    return site;
  }

  /** The awaits in code of the user. The runtime awaits promises too. */
  #userWaits(): ExternalWait[] {
    return this.#externalWaits.filter(({ site }) => site.line !== null);
  }

  protected override get externalLine(): string | null {
    return this.#externalSite()?.line ?? null;
  }
}

/** Where a task is suspended, innermost first. Needs debug mode, unless the task itself asks. */
function stackOf(state: TaskState): readonly string[] {
  if (state.isRunning) return new CallSite().frames;
  return state instanceof DebugTaskState ? state.site?.frames ?? [] : [];
}

/** Reports that the body of a scope ended without an error, although its scope had cancelled it beyond `above` requests. */
export function reportSwallowed(state: TaskState, above: number): void {
  if (state instanceof DebugTaskState) state.reportSwallowed(above);
}

/** How many loops are in debug mode. */
let debuggedLoops = 0;
let undoAccessors: (() => void)[] = [];
/** Stops recording awaits of native promises; `null` while they are not recorded. */
let restoreConstructor: (() => void) | null = null;
const enqueueMicrotask = queueMicrotask;
/** How many stacks may still be captured, and when that was computed, in milliseconds of a loop's clock. */
let stacksLeft = MOST_STACKS;
let countedAt = 0;

/** Whether a stack may be captured now. If so, it counts as captured. */
function mayCaptureStack(loop: EventLoop): boolean {
  const now = loops.cachedNow(loop);
  if (now !== countedAt) {
    const more = Math.abs(now - countedAt) * STACKS_PER_MILLISECOND; // loops have clocks of their own
    stacksLeft = Math.min(MOST_STACKS, stacksLeft + more);
    countedAt = now;
    if (stacksLeft >= RESUME_AT) watchNativeAwaits();
  }
  if (stacksLeft <= 0) return false;
  stacksLeft--;
  return true;
}

debugHooks.debug = (on) => {
  debuggedLoops += on ? 1 : -1;
  if (on && debuggedLoops === 1) installAccessors();
  if (!on && debuggedLoops === 0) removeAccessors();
};

debugHooks.slow = (loop, job, seconds) => {
  const state = job instanceof TaskState
    ? job
    : (job as Partial<SuspendedAwait>).scope?.taskState;
  const task = state instanceof DebugTaskState ? state.watchedTask : null;
  const what = state instanceof TaskState
    ? `A step of task ${state.name}`
    : job.describe?.() ?? "A callback of this module";
  const from = job !== state && state instanceof DebugTaskState
    ? state.lastSite?.line
    : null;
  const where = from ? `, on from its wait at ${from}` : "";
  const message = `${what} took ${seconds.toFixed(3)} s${where}`;
  loop.callExceptionHandler({ message, ...(task && { task }) });
};

/**
 * Checks that the running code does not belong to another running loop.
 *
 * @throws {RuntimeError} If it does.
 */
function checkCaller(loop: EventLoop): void {
  const caller = currentExecution()?.loop;
  if (caller === undefined || caller === loop) return;
  if (!caller.isRunning() || !loop.isRunning()) return;
  throw new RuntimeError(
    "Cannot schedule: the code belongs to another event loop; use callSoonThreadsafe() or runCoroutineThreadsafe()",
  );
}
debugHooks.checkCaller = checkCaller;
debugHooks.stackOf = (state) => stackOf(state as TaskState);
debugHooks.createTaskState = (loop, task, name, body) =>
  new DebugTaskState(
    loop,
    task as NamedTask,
    name,
    body as Coroutine<unknown>,
  );

function installAccessors(): void {
  watchNativeAwaits();
  undoAccessors = [
    intercept(Future.prototype as PromiseLike<unknown>, "then", (then) => {
      const state = watchedState();
      if (state === null || !mayCaptureStack(state.loop)) return then;
      const site = new CallSite();
      return function (this: unknown, ...args: unknown[]): unknown {
        return state.startAwait(site, () => Reflect.apply(then, this, args));
      };
    }),
    intercept(futures as FutureFactory, "create", (create) => {
      const state = watchedState();
      if (state === null || !mayCaptureStack(state.loop)) return create;
      return (...args: never[]) => {
        const future = create(...args);
        recordCreation(future);
        return future;
      };
    }),
  ];
}

/** Installed only while needed: even an empty accessor slows down every await of a native promise. */
function watchNativeAwaits(): void {
  if (debuggedLoops === 0) return;
  restoreConstructor ??= intercept(
    Promise.prototype as { constructor: unknown },
    "constructor",
    (value) => {
      const state = watchedState();
      if (state === null) return value;
      if (mayCaptureStack(state.loop)) state.startExternalAwait();
      else ignoreNativeAwaits();
      return value;
    },
  );
}

function ignoreNativeAwaits(): void {
  restoreConstructor?.();
  restoreConstructor = null;
}

function removeAccessors(): void {
  ignoreNativeAwaits();
  for (const undo of undoAccessors) undo();
  undoAccessors = [];
}

/** Turns a property into an accessor. Assigning to it works as before. Returns a function that undoes this. */
function intercept<K extends PropertyKey, V>(
  owner: { [key in K]: V },
  key: K,
  read: (value: V) => unknown,
): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, key)!;
  Object.defineProperty(owner, key, {
    configurable: true,
    enumerable: before.enumerable === true,
    get: () => read(before.value),
    set(this: object, value: unknown) {
      Object.defineProperty(this, key, { ...before, value });
    },
  });
  return () => Object.defineProperty(owner, key, before);
}

function watchedState(): DebugTaskState | null {
  const scope = currentSlot();
  if (!(scope instanceof CancelScope)) return null;
  return scope.taskState instanceof DebugTaskState ? scope.taskState : null;
}

function reportTask(state: TaskState, context: ExceptionContext): void {
  state.loop.callExceptionHandler({
    ...context,
    ...(state.task && { task: state.task }),
  });
}

function formatSite(site: CallSite): string {
  return site.frames.join("\n");
}
