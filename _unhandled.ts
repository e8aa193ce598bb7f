/**
 * Errors that were never retrieved, and their reports: when the failed future
 * is garbage, a second after it failed, when a runner closes its loop, or, on
 * the implicit loop, when the program ends.
 *
 * @module
 */

import { captureContext, type Context, runInSlot } from "./_context.ts";
import { onExit, systemTimer } from "./_host.ts";
import { LoopLocal } from "./_loop_local.ts";
import type { BaseEventLoop, ExecutionContext } from "./_scheduler.ts";
import { creationSite } from "./_call_site.ts";
import { isInstance } from "./_validate.ts";

/** An error that was not retrieved yet. */
export class UnretrievedError {
  readonly #loop: BaseEventLoop;
  readonly #message: string;
  readonly #exception: unknown;
  readonly #owner: WeakRef<object>;
  readonly #since: number;
  readonly #context: Context;
  /** Where the owner was created, in debug mode; as text, which does not keep the owner alive. */
  readonly #madeAt: string | undefined;

  /** When the future failed, by `performance.now()`; `null` if it had callbacks. */
  readonly failedAt: number | null;

  constructor(
    owner: object,
    loop: BaseEventLoop,
    exception: unknown,
    isHeard: boolean,
    since: number,
    execution: ExecutionContext,
  ) {
    this.failedAt = isHeard ? null : performance.now();
    const kind =
      (owner as { [Symbol.toStringTag]: string })[Symbol.toStringTag];
    const name = (owner as { getName?(): string }).getName?.();
    this.#message = `${kind} exception was never retrieved` +
      (name === undefined ? "" : `: ${name}`);
    this.#loop = loop;
    this.#since = since;
    this.#exception = exception;
    // Reading the stack formats it and drops the frames, which keep the owner alive.
    if (isInstance(exception, Error)) readStack(exception);
    this.#owner = new WeakRef(owner);
    // Not the context itself: that of a task leads to the task, which must be collectable.
    this.#context = runInSlot(execution, captureContext, undefined);
    this.#madeAt = creationSite(owner)?.frames.join("\n");
    unretrieved.get(loop).add(this);
    hold(loop);
    collected.register(owner, this, this);
    reportSoon();
  }

  get message(): string {
    return this.#message;
  }

  get exception(): unknown {
    return this.#exception;
  }

  /** When the future failed, in milliseconds of the loop's clock. */
  get since(): number {
    return this.#since;
  }

  /** The failed future, if it is not garbage yet. */
  get owner(): object | null {
    return this.#owner.deref() ?? null;
  }

  /** Returns whether it was known. */
  forget(): boolean {
    const errors = unretrieved.get(this.#loop);
    const known = errors.delete(this);
    if (known) collected.unregister(this);
    if (errors.size === 0) holding.delete(this.#loop);
    if (holding.size === 0) stopReporting();
    return known;
  }

  report(): void {
    if (!this.forget()) return;
    remember(this.#loop, this);
    const owner = this.#owner.deref();
    const key = owner !== undefined && "getName" in owner ? "task" : "future";
    this.#context(() =>
      this.#loop.callExceptionHandler({
        message: this.#message,
        exception: this.#exception,
        ...(owner && { [key]: owner }),
        ...(this.#madeAt && { madeAt: this.#madeAt }),
      })
    );
  }
}

function readStack(error: Error): void {
  try {
    void error.stack;
  } catch {
    // A getter of the user's own.
  }
}

/** Reports the unretrieved errors of a loop. */
export function reportUnretrieved(loop: BaseEventLoop): void {
  for (const error of [...unretrieved.get(loop)]) error.report();
}

/** The last errors that were reported, then those not retrieved yet. */
export function failuresOf(loop: BaseEventLoop): UnretrievedError[] {
  return [...reported.get(loop), ...unretrieved.get(loop)];
}

/** How many reported errors are kept. */
const KEPT = 20;
const reported = new LoopLocal<UnretrievedError[]>(() => []);

function remember(loop: BaseEventLoop, error: UnretrievedError): void {
  const kept = reported.get(loop);
  kept.push(error);
  if (kept.length > KEPT) kept.shift();
}

/** An error is reported if it is not retrieved within this time, in seconds. */
const REPORT_AFTER = 1;
let stopTimer: (() => void) | null = null;

function reportSoon(): void {
  stopTimer ??= systemTimer(REPORT_AFTER, reportDue);
}

/** Stops the timer, as nothing is left to report. */
function stopReporting(): void {
  stopTimer?.();
  stopTimer = null;
}

/** Reports the errors that are due, and sets the timer for the rest. */
function reportDue(): void {
  stopTimer = null;
  const limit = performance.now() - REPORT_AFTER * 900;
  for (const loop of [...holding]) {
    for (const error of [...unretrieved.get(loop)]) {
      if (error.failedAt === null) continue;
      if (error.failedAt > limit) {
        reportSoon();
        break;
      }
      error.report();
    }
  }
}

/** Loops with unretrieved errors; kept alive until those are reported. */
const holding = new Set<BaseEventLoop>();
let listening = false;
const collected = new FinalizationRegistry<UnretrievedError>((error) =>
  error.report()
);

const unretrieved = new LoopLocal(() => new Set<UnretrievedError>());

/** Reports the errors of a loop at the end of the program; one listener serves all loops. */
function hold(loop: BaseEventLoop): void {
  holding.add(loop);
  if (listening) return;
  listening = true;
  onExit(() => holding.forEach(reportUnretrieved));
}
