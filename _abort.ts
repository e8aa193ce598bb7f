/**
 * One listener for each signal, whatever number of calls it can end. A
 * listener a call would cost the host a list that it searches from the front.
 *
 * @module
 */

import { node } from "./_host.ts";

/** Something that a signal can end. */
export interface Abortable {
  /** The signal aborted. */
  abort(reason: unknown): void;
}

/** Has a target aborted by a signal, through one listener for all targets of that signal. */
export function linkSignal(signal: AbortSignal, target: Abortable): void {
  let targets = linked.get(signal);
  if (targets === undefined) linked.set(signal, targets = new Set());
  if (targets.size === 0) signal.addEventListener("abort", onAbort);
  targets.add(target);
}

/** Takes {@linkcode linkSignal} back; the last one takes the listener with it. */
export function unlinkSignal(
  signal: AbortSignal,
  target: Abortable,
): void {
  const targets = linked.get(signal);
  if (!targets?.delete(target) || targets.size > 0) return;
  signal.removeEventListener("abort", onAbort);
}

/** Ties one call to its signal. */
export class SignalTie implements Abortable {
  readonly abort: (reason: unknown) => void;
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal, abort: (reason: unknown) => void) {
    this.abort = abort;
    this.#signal = signal;
    linkSignal(signal, this);
  }

  cut(): void {
    unlinkSignal(this.#signal, this);
  }

  /** Whether an error is what whoever aborted has said: no news to report. */
  explains(error: unknown): boolean {
    return this.#signal.aborted && this.#signal.reason === error;
  }
}

/**
 * Whether anybody is told when a signal aborts: a listener, or a call of the
 * host. Those leave a set of their own with the signal, which no public name
 * leads to; where there is none they count as deaf.
 */
export function isHeard(signal: AbortSignal): boolean {
  if (node("events").getEventListeners(signal, "abort").length > 0) return true;
  return Object.getOwnPropertySymbols(signal).some((key) => {
    const held = (signal as unknown as Record<symbol, unknown>)[key];
    return typeof held === "object" && held !== null &&
      (held as { size?: number }).size! > 0;
  });
}

const linked = new WeakMap<AbortSignal, Set<Abortable>>();

function onAbort(event: Event): void {
  const signal = event.target as AbortSignal;
  for (const target of linked.get(signal) ?? []) {
    target.abort(signal.reason);
  }
}
