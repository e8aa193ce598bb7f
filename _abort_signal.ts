/**
 * Subscriptions to abort signals. Each signal has one listener for all its
 * subscribers, as Deno searches the list of listeners linearly.
 *
 * @module
 */

import {
  abortsByTimer,
  afterMicrotasks,
  dependentsOf,
  endsFetch,
} from "./_host.ts";

/** Something that an abort signal can end. */
export interface Abortable {
  /** The signal aborted. */
  abort(reason: unknown): void;
}

/** Calls `target.abort` when the signal aborts. */
export function subscribeAbort(signal: AbortSignal, target: Abortable): void {
  let targets = subscribers.get(signal);
  if (targets === undefined) subscribers.set(signal, targets = new Set());
  if (targets.size === 0) {
    signal.addEventListener("abort", onAbort);
    activeSignals.add(signal);
  }
  targets.add(target);
}

/** Whether a subscribed signal is one of `AbortSignal.timeout()`. */
export function hasTimeoutSignal(): boolean {
  for (const signal of activeSignals) if (abortsByTimer(signal)) return true;
  return false;
}

/** Undoes {@linkcode subscribeAbort}; the last subscriber removes the listener. */
export function unsubscribeAbort(
  signal: AbortSignal,
  target: Abortable,
): void {
  const targets = subscribers.get(signal);
  if (!targets?.delete(target) || targets.size > 0) return;
  signal.removeEventListener("abort", onAbort);
  activeSignals.delete(signal);
}

/** The subscription of one call to its signal. */
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

  /** Whether an error is the signal's reason, which whoever aborted it knows already. */
  isReason(error: unknown): boolean {
    return this.#signal.aborted && this.#signal.reason === error;
  }
}

/** Tells whether code has been given the reason of a signal. */
export interface ReasonTracker {
  /** Whether code that resumes now may have been rejected with the reason. */
  readonly wasRead: boolean;
}

/**
 * Tracks reads of a signal's reason, starting before the signal aborts.
 *
 * A promise that rejects with the reason got it from a listener or from
 * `throwIfAborted()`, and the code that awaits it resumes in the same microtask
 * checkpoint. A pending `fetch` rejects later. Code of the task that merely
 * reads the reason does not count.
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
    // In a timer of Deno `nextTick` callbacks run first, so wait for the
    // microtasks.
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
/** Signals with subscribers that have not aborted. */
const activeSignals = new Set<AbortSignal>();

function onAbort(event: Event): void {
  const signal = event.target as AbortSignal;
  activeSignals.delete(signal);
  for (const target of subscribers.get(signal) ?? []) {
    target.abort(signal.reason);
  }
}
