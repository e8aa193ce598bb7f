/**
 * Debug mode: notes that are too dear to be taken always, and the reports
 * that can be made of them.
 *
 * A loop in debug mode gives its tasks a {@linkcode WatchedFrame}, which
 * overrides what it wants to hear of. Tasks of other loops have a plain
 * `TaskFrame`, so what is switched off costs nothing.
 *
 * The place of an `await` can be seen only while it begins, from inside of
 * something that it reads: of a future, that is `then`; of a native promise,
 * it is `constructor`, by which the host tells whether it must wrap it. Both
 * become accessors while any loop is in debug mode. Nothing else shows where
 * a task sits that awaits a promise from outside of this module.
 *
 * @module
 */

import { currentSlot } from "./_context.ts";
import {
  CancelScope,
  hooks,
  type NamedCancelable,
  type Reaction,
  TaskFrame,
} from "./_frame.ts";
import {
  type BaseEventLoop,
  currentFrame,
  type ExceptionContext,
  internals as loops,
  switches,
} from "./_loop.ts";
import { makingOf, Place, rememberMaking } from "./_place.ts";
import { RuntimeError } from "./exceptions.ts";

/** A request to end that the code of a task has been told of. */
interface Delivery {
  readonly place: Place;
  /** How many requests stood: once there are fewer, this one was taken back. */
  readonly requests: number;
  /** Whether the task has begun another wait since. */
  wentOn: boolean;
}

/** How many awaits of native promises are kept before those of the host are dropped. */
const FOREIGN = 64;

/** Makes the futures that the blocking calls of this module give. */
interface FutureFactory {
  make(...args: never[]): object;
}

/** An await of a native promise. */
interface ForeignWait {
  readonly place: Place;
  readonly step: number;
  readonly since: number;
}

/** A frame that remembers where its task waits, and watches what it makes of a cancellation. */
export class WatchedFrame extends TaskFrame {
  /** Where the `await` stands that is just beginning. */
  #beginning: Place | null = null;
  readonly #places = new Map<Reaction, Place>();
  /** Where it waited last in something of this module, if that is known. */
  #last: Place | null = null;
  /** The awaits of native promises since then, and in which step each began. */
  #foreign: ForeignWait[] = [];
  /** Counts what its code runs without a break. */
  #step = 0;
  #inStep = false;
  /** The oldest request that was delivered and neither taken back nor reported. */
  #delivery: Delivery | null = null;

  /** Its task, also when that is done. */
  readonly #watched: NamedCancelable;

  constructor(loop: BaseEventLoop, task: NamedCancelable) {
    checkCaller(loop);
    super(loop, task);
    this.#watched = task;
    rememberMaking(task);
  }

  get watched(): NamedCancelable {
    return this.#watched;
  }

  /** Where the task is suspended, as far as known. */
  get place(): Place | null {
    const [reaction] = this.awaits;
    if (reaction === undefined) return this.#foreignPlace() ?? this.#last;
    return this.placeOf(reaction);
  }

  /** When it began to wait for a promise from outside, in milliseconds. */
  get foreignSince(): number | null {
    return this.#known().at(-1)?.since ?? null;
  }

  /** Where the wait stands that it came back from last. */
  get last(): Place | null {
    return this.#last;
  }

  /** Where an await stands; or, where a body just returned what a call gave it, that call. */
  placeOf(reaction: Reaction): Place | null {
    const { source: future } = reaction;
    const place = this.#places.get(reaction) ?? null;
    if (place !== null || future === null) return place;
    if (hooks.about(future).behind === null) return null;
    return makingOf(future);
  }

  /** Runs the beginning of an `await` of a future. */
  begin<R>(place: Place, call: () => R): R {
    this.#beginning = place;
    try {
      return call();
    } finally {
      this.#beginning = null;
    }
  }

  /** An `await` of a native promise begins. */
  beginForeign(): void {
    if (this.over) return;
    if (!this.#inStep) {
      this.#inStep = true;
      this.#step++;
      soon(() => this.#inStep = false);
    }
    const since = loops.stamp(this.loop);
    this.#foreign.push({ place: new Place(), step: this.#step, since });
    if (this.#foreign.length <= FOREIGN) return;
    this.#foreign = this.#known().slice(-FOREIGN / 4);
  }

  override began(reaction: Reaction): void {
    super.began(reaction);
    if (!reaction.isAwait) return;
    const place = this.#beginning ?? this.placeOf(reaction);
    if (place !== null) this.#places.set(reaction, place);
    if (this.#delivery !== null) this.#goOn(this.#delivery, place);
  }

  override ended(reaction: Reaction): void {
    this.#last = this.placeOf(reaction);
    this.#places.delete(reaction);
    this.#foreign = [];
  }

  override rejected(): void {
    this.#told(this.#last);
  }

  override toldBySignal(): void {
    this.#told(this.#foreignPlace());
  }

  override tookBack(): void {
    const delivery = this.#delivery;
    if (delivery && this.total < delivery.requests) this.#delivery = null;
  }

  override finish(value: unknown): void {
    if (!this.mustCancel) this.reportSwallowed();
    super.finish(value);
  }

  /**
   * The code came to a value though it was told to end by a request beyond
   * the first `above`: that is reported if it has waited again.
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
  #told(place: Place | null): void {
    if (this.#delivery !== null || place === null || !place.line) return;
    this.#delivery = { place, requests: this.total, wentOn: false };
  }

  /** The task waits again: to clean up, or because it knows nothing of its end. */
  #goOn(delivery: Delivery, place: Place | null): void {
    if (!place?.fresh) return;
    delivery.wentOn = true;
    if (place.equals(delivery.place)) this.reportSwallowed();
  }

  /** The innermost of the awaits that the code has begun last, in one step from the inside out. */
  #foreignPlace(): Place | null {
    const places = this.#known();
    const step = places.at(-1)?.step;
    let place = places.pop()?.place ?? null;
    for (const inner of places.reverse()) {
      if (inner.step !== step || !inner.place.isWithin(place!)) break;
      place = inner.place;
    }
    return place;
  }

  /** Those that code outside of this module has begun: the host awaits things for it too. */
  #known(): ForeignWait[] {
    return this.#foreign.filter(({ place }) => place.line !== null);
  }

  protected override get foreignLine(): string | null {
    return this.#foreignPlace()?.line ?? null;
  }
}

/** Where a task is suspended, innermost first. Needs debug mode, unless the task itself asks. */
export function stackOf(frame: TaskFrame): readonly string[] {
  if (frame.isRunning) return new Place().frames;
  return frame instanceof WatchedFrame ? frame.place?.frames ?? [] : [];
}

/** A scope has cancelled its task beyond `above` requests, and its body came to a value. */
export function reportSwallowed(frame: TaskFrame, above: number): void {
  if (frame instanceof WatchedFrame) frame.reportSwallowed(above);
}

/** Has debug mode see the futures that this module makes, and the awaits of all. */
export function watchFutures(
  prototype: PromiseLike<unknown>,
  factory: FutureFactory,
): void {
  futurePrototype = prototype;
  futureFactory = factory;
}

let futurePrototype: PromiseLike<unknown>;
let futureFactory: FutureFactory;
/** How many loops are in debug mode. */
let watching = 0;
let restore: (() => void)[] = [];
const soon = queueMicrotask;

switches.debug = (on) => {
  watching += on ? 1 : -1;
  if (on && watching === 1) openDoors();
  if (!on && watching === 0) closeDoors();
};

switches.slow = (loop, job, seconds) => {
  const frame = job instanceof TaskFrame
    ? job
    : (job as Partial<Reaction>).frame?.root;
  const task = frame instanceof WatchedFrame ? frame.watched : null;
  const what = frame instanceof TaskFrame
    ? `A step of task ${frame.name}`
    : job.describe?.() ?? "A callback of this module";
  const from = job !== frame && frame instanceof WatchedFrame
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
  const caller = currentFrame()?.loop;
  if (caller === undefined || caller === loop) return;
  if (!caller.isRunning() || !loop.isRunning()) return;
  throw new RuntimeError(
    "Cannot schedule: the code belongs to another event loop; use callSoonThreadsafe() or runCoroutineThreadsafe()",
  );
}
switches.checkCaller = checkCaller;

function openDoors(): void {
  restore = [
    intercept(
      Promise.prototype as { constructor: unknown },
      "constructor",
      (value) => {
        watchedFrame()?.beginForeign();
        return value;
      },
    ),
    intercept(futurePrototype, "then", (then) => {
      const frame = watchedFrame();
      if (frame === null) return then;
      const place = new Place();
      return function (this: unknown, ...args: unknown[]): unknown {
        return frame.begin(place, () => Reflect.apply(then, this, args));
      };
    }),
    intercept(futureFactory, "make", (make) => {
      if (watchedFrame() === null) return make;
      return (...args: never[]) => {
        const future = make(...args);
        rememberMaking(future);
        return future;
      };
    }),
  ];
}

function closeDoors(): void {
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

function watchedFrame(): WatchedFrame | null {
  const scope = currentSlot();
  if (!(scope instanceof CancelScope)) return null;
  return scope.root instanceof WatchedFrame ? scope.root : null;
}

function report(frame: TaskFrame, context: ExceptionContext): void {
  frame.loop.callExceptionHandler({
    ...context,
    ...(frame.task && { task: frame.task }),
  });
}

function textOf(place: Place): string {
  return place.frames.join("\n");
}
