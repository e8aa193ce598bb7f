/**
 * Option types of tasks and waiting calls, shared by all files. Types only.
 *
 * @module
 */

import type { EventLoop } from "./_scheduler.ts";
import type { Context } from "./_context.ts";
import type { Duration } from "./_duration.ts";

/** Options of every call that may wait. */
export interface Cancellable {
  /** A signal that aborts the call: it rejects with the signal's reason, as if it had never been made.
   *
   * @default undefined */
  signal?: AbortSignal | undefined;
}

/** Time limits for opening and closing a TLS connection. */
export interface TlsTimeouts {
  /**
   * The time limit of the handshake, in seconds or as a duration. When it
   * expires, the connection is closed, and a client gets a
   * `Deno.errors.ConnectionAborted`.
   *
   * @default 60
   */
  sslHandshakeTimeout?: Duration;
  /**
   * The time limit for sending buffered data and the close notification when
   * the connection is closed. When it expires, the data is dropped and
   * `waitClosed()` rejects with a `TimeoutError`.
   *
   * @default 30
   */
  sslShutdownTimeout?: Duration;
}

/** Options of locks, queues and the other primitives. */
export interface Named {
  /**
   * The name shown in consoles and reports.
   *
   * @default undefined
   */
  name?: string;
}

/**
 * A function that a task runs. It is called with the task's signal, for APIs
 * outside of this module: `fetch(url, { signal })`.
 */
export type Coroutine<T> = (signal: AbortSignal) => T | PromiseLike<T>;

/** Options of a new task. */
export interface TaskOptions extends Cancellable {
  /**
   * The name shown in consoles and reports; converted with `String()`.
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
   * Whether to run the function up to its first wait immediately, inside the
   * call.
   *
   * @default false
   */
  eagerStart?: boolean;
}

/** Options of `getStack`. */
export interface StackOptions {
  /**
   * The maximum number of lines.
   *
   * @default Infinity
   */
  limit?: number | undefined;
}

/** A text output: `Deno.stdout`, `Deno.stderr` or an open file. */
export interface TextOutput {
  /** Writes some of the bytes and returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/** Options of `printStack`. */
export interface PrintStackOptions extends StackOptions {
  /**
   * The output to write to.
   *
   * @default the standard output stream
   */
  file?: TextOutput;
}

/** Options of `addDoneCallback`. */
export interface CallbackOptions {
  /**
   * The context to run the callback in.
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
