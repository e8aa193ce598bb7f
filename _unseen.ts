/**
 * Errors that nobody has looked at, and their report: when the future that
 * holds one is garbage, when its loop is closed by a runner, or, on the
 * implicit loop, when the program ends.
 *
 * @module
 */

import { captureContext, type Context, runInSlot } from "./_context.ts";
import { onExit } from "./_host.ts";
import { type BaseEventLoop, internals as loops } from "./_loop.ts";
import { makingOf } from "./_place.ts";

/** An error that nobody has looked at. */
export class UnseenError {
  readonly #loop: BaseEventLoop;
  readonly #message: string;
  readonly #exception: unknown;
  readonly #owner: WeakRef<object>;
  readonly #context: Context;
  /** Where the owner was made, in debug mode; as text, which does not hold the owner. */
  readonly #madeAt: string | undefined;

  constructor(owner: object, loop: BaseEventLoop, exception: unknown) {
    const kind =
      (owner as { [Symbol.toStringTag]: string })[Symbol.toStringTag];
    const name = (owner as { getName?(): string }).getName?.();
    this.#message = `${kind} exception was never retrieved` +
      (name === undefined ? "" : `: ${name}`);
    this.#loop = loop;
    this.#exception = exception;
    // Reading the stack has the host format it and let go of the frames, which hold the owner.
    if (exception instanceof Error) readStack(exception);
    this.#owner = new WeakRef(owner);
    // Not as it is: the context of a task leads to the task, which is to be garbage.
    this.#context = runInSlot(loops.frame(loop), captureContext, undefined);
    this.#madeAt = makingOf(owner)?.frames.join("\n");
    unseenOf(loop).add(this);
    hold(loop);
    collected.register(owner, this, this);
  }

  /** Returns whether it was there to be forgotten. */
  forget(): boolean {
    const unseen = unseenOf(this.#loop);
    const known = unseen.delete(this);
    if (known) collected.unregister(this);
    if (unseen.size === 0) holding.delete(this.#loop);
    return known;
  }

  report(): void {
    if (!this.forget()) return;
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

/** Reports the errors of a loop's futures that nobody has looked at. */
export function reportUnseen(loop: BaseEventLoop): void {
  for (const error of [...unseenOf(loop)]) error.report();
}

const UNSEEN = Symbol("unseen");
/** Loops with errors that nobody has looked at. */
const holding = new Set<BaseEventLoop>();
let listening = false;
const collected = new FinalizationRegistry<UnseenError>((error) =>
  error.report()
);

function unseenOf(loop: BaseEventLoop): Set<UnseenError> {
  const extras = loops.extras(loop);
  let unseen = extras.get(UNSEEN) as Set<UnseenError> | undefined;
  if (unseen === undefined) extras.set(UNSEEN, unseen = new Set());
  return unseen;
}

/** Has the errors of a loop reported at the end of the program; one listener serves all loops. */
function hold(loop: BaseEventLoop): void {
  holding.add(loop);
  if (listening) return;
  listening = true;
  onExit(() => holding.forEach(reportUnseen));
}
