/**
 * Types of what tasks and waiting calls are given, for files of all floors.
 * Nothing of it is there at run time.
 *
 * @module
 */

import type { EventLoop } from "./_scheduler.ts";
import type { Context } from "./_context.ts";
import type { Duration } from "./_duration.ts";

/** Options of every call that can wait. */
export interface Cancellable {
  /** When it aborts, the call rejects with its reason and leaves nothing behind. */
  signal?: AbortSignal | undefined;
}

/** How long a connection with TLS may take to begin and to end. */
export interface TlsTimeouts {
  /**
   * How long the handshake may take. Then the connection is closed, with
   * `Deno.errors.ConnectionAborted` on the client's side.
   *
   * @default 60
   */
  sslHandshakeTimeout?: Duration;
  /**
   * How long a connection that is being closed may take to send what is left,
   * and to tell the other side. Then what is left is dropped, with a
   * `TimeoutError` of `waitClosed()`.
   *
   * @default 30
   */
  sslShutdownTimeout?: Duration;
}

/** Options of everything that tasks wait for: locks, queues and the like. */
export interface Named {
  /**
   * The name, shown in consoles and reports.
   *
   * @default none
   */
  name?: string;
}

/**
 * A function that a task runs. It is called with the task's signal, to be
 * handed to whatever is not part of this module: `fetch(url, { signal })`.
 */
export type Coroutine<T> = (signal: AbortSignal) => T | PromiseLike<T>;

/** Options of a new task. */
export interface TaskOptions extends Cancellable {
  /**
   * The name, shown in reports.
   *
   * @default "Task-N", with a rising number
   */
  name?: string;
  /**
   * The context to run in, as `AsyncLocalStorage.snapshot()` returns it.
   *
   * @default the context of the caller
   */
  context?: Context | null | undefined;
  /**
   * Runs the body up to its first wait at once, inside the call.
   *
   * @default false
   */
  eagerStart?: boolean;
}

/** Where `getStack` and `printStack` stop. */
export interface StackOptions {
  /**
   * The largest number of lines.
   *
   * @default Infinity
   */
  limit?: number | undefined;
}

/** Where text can be written: `Deno.stdout`, `Deno.stderr`, an open file. */
export interface TextOutput {
  /** Writes some of the bytes and returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/** Options of `printStack`. */
export interface PrintStackOptions extends StackOptions {
  /**
   * Where to write.
   *
   * @default the standard output stream
   */
  file?: TextOutput;
}

/** How a callback is to be called. */
export interface CallbackOptions {
  /**
   * The context to call it in.
   *
   * @default the context of the caller
   */
  context?: Context | null | undefined;
}

/** The names of the options of a task. */
export const TASK_OPTIONS: readonly [
  "name",
  "context",
  "eagerStart",
  "signal",
] = ["name", "context", "eagerStart", "signal"];

/** What an exception handler receives. */
export interface ExceptionContext {
  /** What went wrong, in a sentence. */
  message: string;
  /** The error, if there is one. */
  exception?: unknown;
  /** The task it happened in. */
  task?: object;
  /** The future it happened in. */
  future?: object;
  /** The callback it happened in. */
  handle?: Handle;
  /** Further details, such as `peername` or `pid`. */
  [key: string]: unknown;
}

/** Receives errors that nothing else handles: the loop, and what happened. */
export type ExceptionHandler = {
  // A method: a handler may ask for the class of its own loop.
  call(loop: EventLoop, context: ExceptionContext): unknown;
}["call"];

/** A scheduled callback. */
export interface Handle {
  /** Cancels the callback; has no effect once it was called. */
  cancel(): void;
  /** Whether it was cancelled. */
  cancelled(): boolean;
}

/** A callback scheduled for a time. */
export interface TimerHandle extends Handle {
  /** When it is due, in seconds of `loop.time()`. */
  when(): number;
}
