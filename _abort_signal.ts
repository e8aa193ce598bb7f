/**
 * One listener for each signal, whatever number of calls it can end. A
 * listener a call would cost the host a list that it searches from the front.
 *
 * @module
 */

import {
  abortsByTimer,
  afterMicrotasks,
  dependentsOf,
  endsFetch,
} from "./_host.ts";

/** Something that a signal can end. */
export interface Abortable {
  /** The signal aborted. */
  abort(reason: unknown): void;
}

/** Has a target aborted by a signal, through one listener for all targets of that signal. */
export function subscribeAbort(signal: AbortSignal, target: Abortable): void {
  let targets = subscribers.get(signal);
  if (targets === undefined) subscribers.set(signal, targets = new Set());
  if (targets.size === 0) {
    signal.addEventListener("abort", onAbort);
    activeSignals.add(signal);
  }
  targets.add(target);
}

/** Whether a signal will abort by itself that ends something here. */
export function hasTimeoutSignal(): boolean {
  for (const signal of activeSignals) if (abortsByTimer(signal)) return true;
  return false;
}

/** Takes {@linkcode subscribeAbort} back; the last one takes the listener with it. */
export function unsubscribeAbort(
  signal: AbortSignal,
  target: Abortable,
): void {
  const targets = subscribers.get(signal);
  if (!targets?.delete(target) || targets.size > 0) return;
  signal.removeEventListener("abort", onAbort);
  activeSignals.delete(signal);
}

/** Ties one call to its signal. */
export class AbortSubscription implements Abortable {
  readonly abort: (reason: unknown) => void;
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal, abort: (reason: unknown) => void) {
    this.abort = abort;
    this.#signal = signal;
    subscribeAbort(signal, this);
  }

  unsubscribe(): void {
    unsubscribeAbort(this.#signal, this);
  }

  /** Whether an error is what whoever aborted has said: no news to report. */
  isReason(error: unknown): boolean {
    return this.#signal.aborted && this.#signal.reason === error;
  }
}

/** Tells whether the reason of a signal has been handed to code that runs now. */
export interface ReasonTracker {
  /** Whether code that comes out of a promise now has been given the reason. */
  readonly wasRead: boolean;
}

/**
 * Watches who takes the reason of a signal that is about to abort.
 *
 * A promise that rejects with that reason has it from a listener or from
 * `throwIfAborted()`, and code that awaits it goes on in the same run of the
 * microtasks. A `fetch` that is under way rejects later. Code of a task that
 * reads the reason itself has not been thrown it and does not count.
 */
export function trackReason(
  signal: AbortSignal,
  drain: () => number,
  isOwnCode: () => boolean,
): ReasonTracker {
  let readAt: number | null = null;
  let isPromised = false;
  const markRead = () => {
    readAt = drain();
    // In a timer of the host the ticks come first, so the clearing waits for the microtasks.
    queueMicrotask(() => afterMicrotasks(() => readAt = null));
  };
  for (const it of [signal, ...dependentsOf(signal)]) {
    isPromised ||= endsFetch(it);
    Object.defineProperties(it, {
      reason: {
        configurable: true,
        get() {
          if (!isOwnCode()) markRead();
          return reasonOf.call(it);
        },
      },
      throwIfAborted: {
        configurable: true,
        writable: true,
        value: () => {
          if (!it.aborted) return;
          markRead();
          throw reasonOf.call(it);
        },
      },
    });
  }
  return {
    get wasRead() {
      return isPromised || readAt === drain();
    },
  };
}

const reasonOf = Object.getOwnPropertyDescriptor(
  AbortSignal.prototype,
  "reason",
)!.get!;

const subscribers = new WeakMap<AbortSignal, Set<Abortable>>();
/** The signals that end something and have not aborted. */
const activeSignals = new Set<AbortSignal>();

function onAbort(event: Event): void {
  const signal = event.target as AbortSignal;
  activeSignals.delete(signal);
  for (const target of subscribers.get(signal) ?? []) {
    target.abort(signal.reason);
  }
}
