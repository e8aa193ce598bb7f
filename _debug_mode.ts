/**
 * Debug mode: records that are too expensive to keep always, and the reports
 * that are made of them.
 *
 * A loop in debug mode gives its tasks a {@linkcode DebugTaskState}, which
 * overrides what it wants to be told. Tasks of other loops have a plain
 * `TaskFrame`, so debug mode costs nothing while it is off.
 *
 * The place of an `await` can be seen only while it begins, from inside of a
 * property that it reads: `then` of a future; `constructor` of a native
 * promise, which tells the engine whether it has to wrap it. Both become
 * accessors while any loop is in debug mode. Nothing else shows where a task
 * awaits a promise from outside of this module.
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
  type BaseEventLoop,
  currentExecution,
  debugHooks,
  type ExceptionContext,
  internals as loops,
} from "./_scheduler.ts";
import { CallSite, creationSite, recordCreation } from "./_call_site.ts";
import { RuntimeError } from "./exceptions.ts";

/** A cancellation that the code of a task has been given. */
interface Delivery {
  readonly place: CallSite;
  /** How many requests there were: once there are fewer, this one was taken back. */
  readonly requests: number;
  /** Whether the task has begun another wait since. */
  wentOn: boolean;
}

/** How many awaits of native promises are kept before those of the runtime are dropped. */
const FOREIGN = 64;

/**
 * How many stacks may be taken at once, and how many more with every
 * millisecond. One takes as long as ten awaits, so a program that awaits all
 * the time would do nothing else; of such a one they are samples.
 */
const BURST = 1000;
const PER_MILLISECOND = 2;
/** So many have to be left for awaits of native promises to be seen again. */
const REOPEN = BURST / 4;

/** Makes the futures that the blocking calls of this module give. */
interface FutureFactory {
  make(...args: never[]): object;
}

/** An await of a native promise. */
interface ExternalWait {
  readonly place: CallSite;
  readonly step: number;
  readonly since: number;
}

/** A frame that remembers where its task waits, and watches how its code answers a cancellation. */
export class DebugTaskState extends TaskState {
  /** Where the `await` stands that is just beginning. */
  #beginning: CallSite | null = null;
  readonly #places = new Map<SuspendedAwait, CallSite>();
  /** Where it last awaited something of this module, if that is known. */
  #last: CallSite | null = null;
  /** The awaits of native promises since then. */
  #foreign: ExternalWait[] = [];
  /** The number of the step that runs, or ran last: code up to the next microtask. */
  #step = 0;
  #inStep = false;
  /** The oldest request that was delivered and neither taken back nor reported. */
  #delivery: Delivery | null = null;
  /** Its task, also when that is done. */
  readonly #watched: NamedTask;

  constructor(
    loop: BaseEventLoop,
    task: NamedTask,
    name: string | number,
    body: Coroutine<unknown>,
  ) {
    checkCaller(loop);
    super(loop, task, name, body);
    this.#watched = task;
    if (mayTakeStack(loop)) recordCreation(task);
  }

  get watched(): NamedTask {
    return this.#watched;
  }

  /** Where the task is suspended, as far as known. */
  get place(): CallSite | null {
    const [reaction] = this.awaits;
    if (reaction === undefined) return this.#foreignPlace() ?? this.#last;
    return this.placeOf(reaction);
  }

  /** When it began to wait for a promise from outside, in milliseconds. */
  get foreignSince(): number | null {
    return this.#known().at(-1)?.since ?? null;
  }

  /** Where the wait stands that it came back from last. */
  get last(): CallSite | null {
    return this.#last;
  }

  /** Where an await stands; or, where a body just returned what a call gave it, that call. */
  placeOf(reaction: SuspendedAwait): CallSite | null {
    const { source: future } = reaction;
    const place = this.#places.get(reaction) ?? null;
    if (place !== null || future === null) return place;
    if (futures.source(future) === null) return null;
    return creationSite(future);
  }

  /** Runs the beginning of an `await` of a future. */
  begin<R>(place: CallSite, call: () => R): R {
    this.#beginning = place;
    try {
      return call();
    } finally {
      this.#beginning = null;
    }
  }

  /** An `await` of a native promise begins. */
  beginForeign(): void {
    if (this.isOver) return;
    if (!this.#inStep) {
      this.#inStep = true;
      this.#step++;
      soon(() => this.#inStep = false);
    }
    const since = loops.cachedNow(this.loop);
    this.#foreign.push({ place: new CallSite(), step: this.#step, since });
    if (this.#foreign.length <= FOREIGN) return;
    this.#foreign = this.#known().slice(-FOREIGN / 4);
  }

  override awaitStarted(reaction: SuspendedAwait): void {
    super.awaitStarted(reaction);
    const place = this.#beginning ?? this.placeOf(reaction);
    if (place === null && this.#delivery === null) return;
    if (!reaction.isAwait) return;
    if (place !== null) this.#places.set(reaction, place);
    if (this.#delivery !== null) this.#goOn(this.#delivery, place);
  }

  override awaitEnded(reaction: SuspendedAwait): void {
    this.#last = this.placeOf(reaction);
    this.#places.delete(reaction);
    if (this.#foreign.length > 0) this.#foreign = [];
  }

  override errorDelivered(): void {
    this.#told(this.#last);
  }

  override deliveredBySignal(): void {
    this.#told(this.#foreignPlace());
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
   * The code came to a value though it was cancelled by a request beyond the
   * first `above`: that is reported if it has waited again.
   */
  reportSwallowed(above = 0): void {
    const delivery = this.#delivery;
    if (delivery === null || delivery.requests <= above) return;
    this.#delivery = null;
    if (!delivery.wentOn) return;
    report(this, {
      message: `Task ${this.name} was cancelled but went on: the ` +
        `CancelledError of its wait at ${delivery.place.line} was caught ` +
        "and not thrown on",
      cancelledAt: textOf(delivery.place),
    });
  }

  /** The code of the task sees a cancellation. */
  #told(place: CallSite | null): void {
    if (this.#delivery !== null || place === null || !place.line) return;
    this.#delivery = { place, requests: this.totalRequests, wentOn: false };
  }

  /** The task waits again: to clean up, or because it swallowed the cancellation. */
  #goOn(delivery: Delivery, place: CallSite | null): void {
    if (!place?.fresh) return;
    delivery.wentOn = true;
    if (place.equals(delivery.place)) this.reportSwallowed();
  }

  /** The innermost of the awaits that the code has begun last, in one step from the inside out. */
  #foreignPlace(): CallSite | null {
    const places = this.#known();
    const step = places.at(-1)?.step;
    let place = places.pop()?.place ?? null;
    for (const inner of places.reverse()) {
      if (inner.step !== step || !inner.place.isWithin(place!)) break;
      place = inner.place;
    }
    return place;
  }

  /** Those that code outside of this module has begun: the runtime awaits promises too. */
  #known(): ExternalWait[] {
    return this.#foreign.filter(({ place }) => place.line !== null);
  }

  protected override get externalLine(): string | null {
    return this.#foreignPlace()?.line ?? null;
  }
}

/** Where a task is suspended, innermost first. Needs debug mode, unless the task itself asks. */
function stackOf(frame: TaskState): readonly string[] {
  if (frame.isRunning) return new CallSite().frames;
  return frame instanceof DebugTaskState ? frame.place?.frames ?? [] : [];
}

/** A scope has cancelled its task beyond `above` requests, and its body came to a value. */
export function reportSwallowed(frame: TaskState, above: number): void {
  if (frame instanceof DebugTaskState) frame.reportSwallowed(above);
}

/** How many loops are in debug mode. */
let watching = 0;
let restore: (() => void)[] = [];
/** Has awaits of native promises seen no more; `null` while they are not. */
let closeForeign: (() => void) | null = null;
const soon = queueMicrotask;
/** How many stacks may still be taken, as of when, in milliseconds of a loop's clock. */
let stacksLeft = BURST;
let countedAt = 0;

/** Whether a stack may be taken now, which then counts. */
function mayTakeStack(loop: BaseEventLoop): boolean {
  const now = loops.cachedNow(loop);
  if (now !== countedAt) {
    const more = Math.abs(now - countedAt) * PER_MILLISECOND; // loops have clocks of their own
    stacksLeft = Math.min(BURST, stacksLeft + more);
    countedAt = now;
    if (stacksLeft >= REOPEN) openForeign();
  }
  if (stacksLeft <= 0) return false;
  stacksLeft--;
  return true;
}

debugHooks.debug = (on) => {
  watching += on ? 1 : -1;
  if (on && watching === 1) openDoors();
  if (!on && watching === 0) closeDoors();
};

debugHooks.slow = (loop, job, seconds) => {
  const frame = job instanceof TaskState
    ? job
    : (job as Partial<SuspendedAwait>).scope?.taskState;
  const task = frame instanceof DebugTaskState ? frame.watched : null;
  const what = frame instanceof TaskState
    ? `A step of task ${frame.name}`
    : job.describe?.() ?? "A callback of this module";
  const from = job !== frame && frame instanceof DebugTaskState
    ? frame.last?.line
    : null;
  const where = from ? `, on from its wait at ${from}` : "";
  const message = `${what} took ${seconds.toFixed(3)} s${where}`;
  loop.callExceptionHandler({ message, ...(task && { task }) });
};

/**
 * Refuses code that one running loop runs and that calls into another.
 *
 * @throws {RuntimeError} If it does.
 */
function checkCaller(loop: BaseEventLoop): void {
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

function openDoors(): void {
  openForeign();
  restore = [
    intercept(Future.prototype as PromiseLike<unknown>, "then", (then) => {
      const frame = watchedFrame();
      if (frame === null || !mayTakeStack(frame.loop)) return then;
      const place = new CallSite();
      return function (this: unknown, ...args: unknown[]): unknown {
        return frame.begin(place, () => Reflect.apply(then, this, args));
      };
    }),
    intercept(futures as FutureFactory, "make", (make) => {
      const frame = watchedFrame();
      if (frame === null || !mayTakeStack(frame.loop)) return make;
      return (...args: never[]) => {
        const future = make(...args);
        recordCreation(future);
        return future;
      };
    }),
  ];
}

/** Even an accessor that does nothing makes every await of a native promise slower. */
function openForeign(): void {
  if (watching === 0) return;
  closeForeign ??= intercept(
    Promise.prototype as { constructor: unknown },
    "constructor",
    (value) => {
      const frame = watchedFrame();
      if (frame === null) return value;
      if (mayTakeStack(frame.loop)) frame.beginForeign();
      else stopForeign();
      return value;
    },
  );
}

function stopForeign(): void {
  closeForeign?.();
  closeForeign = null;
}

function closeDoors(): void {
  stopForeign();
  for (const undo of restore) undo();
  restore = [];
}

/** Makes a method an accessor; assigning to it works as before. */
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

function watchedFrame(): DebugTaskState | null {
  const scope = currentSlot();
  if (!(scope instanceof CancelScope)) return null;
  return scope.taskState instanceof DebugTaskState ? scope.taskState : null;
}

function report(frame: TaskState, context: ExceptionContext): void {
  frame.loop.callExceptionHandler({
    ...context,
    ...(frame.task && { task: frame.task }),
  });
}

function textOf(place: CallSite): string {
  return place.frames.join("\n");
}
