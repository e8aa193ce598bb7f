/**
 * Child processes: `createSubprocessExec`, `createSubprocessShell` and
 * `Process`.
 *
 * ```ts
 * import { createSubprocessExec, PIPE } from "@asyncio/asyncio/subprocess";
 * import { assertEquals } from "@std/assert";
 *
 * await using sort = await createSubprocessExec("sort", ["-r"], {
 *   stdin: PIPE,
 *   stdout: PIPE,
 * });
 * const [output] = await sort.communicate("spam\nham\neggs\n");
 * assertEquals(new TextDecoder().decode(output!), "spam\nham\neggs\n");
 * assertEquals(sort.returncode, 0);
 * ```
 *
 * Each call needs the permission to run its program.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html}.
 *
 * @module
 */

import "./_snapshot.ts"; // with it, the event loop, debug mode and inspection
import { subscribeAbort, unsubscribeAbort } from "./_abort_signal.ts";
import { type Bytes, checkBytes, type OwnBytes } from "./_bytes.ts";
import { checkSignalNumber, Child, type ChildSetup } from "./_child.ts";
import { runInSlot } from "./_context.ts";
import { deno, needDeno } from "./_deno.ts";
import { rejection } from "./_error_stack.ts";
import {
  AGAIN,
  type AnyFuture,
  Future,
  futures,
  type WaitSource,
} from "./_future.ts";
import { type EventLoop, getEventLoop } from "./_event_loop.ts";
import { afterMicrotasks, inspect } from "./_host.ts";
import type { Cancellable } from "./_options.ts";
import { internals as loops } from "./_scheduler.ts";
import type { OutputPipe, PendingInput } from "./_child_pipes.ts";
import { type Command, shellCommand, spawnChild } from "./_spawn.ts";
import {
  endReader,
  makeReader,
  readers,
  type StreamReader,
} from "./_stream_reader.ts";
import { makeWriter, type StreamWriter } from "./_stream_writer.ts";
import {
  readArguments,
  readOptions,
  readString,
  type SubprocessOptions,
} from "./_subprocess_options.ts";
import { describe, signalOf } from "./_validate.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import { RuntimeError } from "./exceptions.ts";

export type { Bytes } from "./_bytes.ts";
export type { Cancellable } from "./_options.ts";
export { StreamReader, type StreamReaderOptions } from "./_stream_reader.ts";
export { StreamWriter, WriteTransport } from "./_stream_writer.ts";
export {
  DEVNULL,
  PIPE,
  type StdinSource,
  STDOUT,
  type StdoutTarget,
  type SubprocessOptions,
} from "./_subprocess_options.ts";

/** The collected output; `null` for a stream that is not a pipe. */
type Outputs = [stdout: OwnBytes | null, stderr: OwnBytes | null];

/** The arguments of {@linkcode makeProcess}, to refuse other callers of the constructor. */
const knownSetups = new WeakSet<object>();

let makeProcess: (setup: ChildSetup) => Process;

/** Keeps a `Process` alive as long as one of its streams. */
const processes = new WeakMap<object, Process>();

/**
 * A child process.
 *
 * `createSubprocessExec` and `createSubprocessShell` create processes. Leaving
 * an `await using` block kills the process; otherwise it runs until it exits.
 *
 * If it is still running when its runner closes, it is killed unless the
 * program still refers to its `Process`. In that case it is reported to the
 * loop's exception handler, and killed when its `Process` is
 * garbage-collected or the program ends.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process}.
 *
 * @example
 * ```ts
 * import { createSubprocessShell, PIPE } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await using process = await createSubprocessShell("echo one; echo two", {
 *   stdout: PIPE,
 * });
 * const lines: string[] = [];
 * for await (const line of process.stdout!) {
 *   lines.push(new TextDecoder().decode(line));
 * }
 * assertEquals(lines, ["one\n", "two\n"]);
 * assertEquals(await process.wait(), 0);
 * ```
 */
export class Process implements AsyncDisposable {
  readonly #child: Child;
  readonly #stdin: StreamWriter | null;
  readonly #stdout: StreamReader | null;
  readonly #stderr: StreamReader | null;
  readonly #waiters: WaitQueue<number> = new WaitQueue<number>({
    complete: () => this.returncode!,
    handOff: () => {},
    remove: () => this.#waiterLeft(),
    describe: () => this.#child.describeEnd(),
  }, new LoopBinding());
  /** Notifies the waiters. Being registered with the child, it keeps this object alive while there are any. */
  readonly #onExit = () => this.#waiters.notifyAll();
  #communicating = false;
  /** The input of a `communicate()` call that was cancelled or is still running. */
  #pendingInput: PendingInput | null = null;
  /** What `communicate()` has collected and not returned yet. */
  #collected: Outputs = [null, null];

  private constructor(setup: ChildSetup) {
    checkSetup(setup);
    const { loop, options } = setup;
    const child = this.#child = new Child(setup);
    child.setOwner(this);
    const [stdout, stderr] = child.outputs;
    const open = (pipe: OutputPipe | null) =>
      pipe && makeReader(loop, pipe, { limit: options.limit });
    this.#stdin = child.stdinPump && makeWriter(child.stdinPump);
    this.#stdout = open(stdout);
    this.#stderr = open(stderr);
    for (const stream of [this.#stdin, this.#stdout, this.#stderr]) {
      if (stream !== null) processes.set(stream, this);
    }
  }

  static {
    makeProcess = (setup) => {
      knownSetups.add(setup);
      return new Process(setup);
    };
  }

  /** The process ID. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * The exit status of the process, `-N` if signal number N ended it, or `null`
   * while it is running.
   */
  get returncode(): number | null {
    return this.#child.returncode;
  }

  /** Writes to the process; `null` unless `stdin` is `PIPE`. */
  get stdin(): StreamWriter | null {
    return this.#stdin;
  }

  /** Reads the output of the process; `null` unless `stdout` is `PIPE`. */
  get stdout(): StreamReader | null {
    return this.#stdout;
  }

  /** Reads the standard error of the process; `null` unless `stderr` is `PIPE`. */
  get stderr(): StreamReader | null {
    return this.#stderr;
  }

  /**
   * Waits until the process has exited. Its own children do not delay that,
   * even if they still hold its pipes.
   *
   * A process that writes to a full pipe never exits; see
   * {@linkcode Process.communicate}.
   *
   * If it is cancelled, the process keeps running.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.wait}.
   *
   * @param options A signal that cancels the wait.
   * @returns The {@linkcode Process.returncode}.
   * @throws {RuntimeError} If code of another loop is waiting already.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { createSubprocessShell } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * await using process = await createSubprocessShell("exit 3");
   * assertEquals(await process.wait(), 3);
   * assertEquals(process.returncode, 3);
   * ```
   */
  wait(options?: Cancellable): Promise<number> {
    try {
      signalOf(options, "wait for a process")?.throwIfAborted();
      const code = this.returncode;
      if (code !== null) return Promise.resolve(code);
      const waiter = this.#waiters.wait(options);
      this.#child.exited.add(this.#onExit);
      this.#child.ref();
      return waiter;
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Sends input to the process, closes its `stdin`, reads all its output, and
   * waits until it has exited. If the process stops reading early, the rest of
   * the input is dropped; that is not an error.
   *
   * If it is cancelled, the process keeps running and no output is lost: the
   * next call returns all of it. The input is still sent. A call with the same
   * input does not send it again; other input is sent after it.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.communicate}.
   *
   * @param input Bytes or text to send. Without it, `stdin` is closed at once.
   * @param options A signal that cancels the call.
   * @returns The bytes of `stdout` and `stderr`; `null` for one that is not `PIPE`.
   * @throws {RuntimeError} If another call is waiting, or if there is input and `stdin` is not `PIPE` or was closed by `stdin.close()` or `writeEof()`.
   * @throws {TypeError} If the input is neither bytes nor text.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { createSubprocessExec, PIPE } from "@asyncio/asyncio";
   * import { assertEquals } from "@std/assert";
   *
   * await using cat = await createSubprocessExec("cat", [], {
   *   stdin: PIPE,
   *   stdout: PIPE,
   * });
   * const [output, errors] = await cat.communicate("spam");
   * assertEquals(new TextDecoder().decode(output!), "spam");
   * assertEquals(errors, null);
   * ```
   */
  communicate(
    input?: Uint8Array | string,
    options?: Cancellable,
  ): Promise<
    [
      stdout: Uint8Array<ArrayBuffer> | null,
      stderr: Uint8Array<ArrayBuffer> | null,
    ]
  > {
    try {
      signalOf(options, "communicate")?.throwIfAborted();
      if (this.#communicating) {
        throw new RuntimeError(
          "Cannot communicate: another call waits already",
        );
      }
      if (input !== undefined && input !== null) this.#send(input);
      return this.#communicate(options);
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Sends a signal to the process. Does nothing if it has exited.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.send_signal}.
   *
   * @param signal The name or the number of the signal.
   * @throws {TypeError} If the signal does not exist, or Deno does not know it.
   * @throws {Deno.errors.NotSupported} On Windows, for any signal but `SIGTERM` and `SIGKILL`.
   */
  sendSignal(signal: Deno.Signal | number): void {
    checkSignalNumber(signal);
    this.#child.signal(signal);
  }

  /**
   * Asks the process to exit, with `SIGTERM`. Does nothing if it has exited.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.terminate}.
   */
  terminate(): void {
    this.sendSignal("SIGTERM");
  }

  /**
   * Kills the process, with `SIGKILL`. Does nothing if it has exited.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.kill}.
   */
  kill(): void {
    this.sendSignal("SIGKILL");
  }

  /**
   * Kills the process, waits until it has exited, and closes its pipes.
   *
   * With `startNewSession` it kills the whole process group, even if the
   * process itself has exited before. That needs the permission to run any
   * program; without it only the process is killed.
   *
   * A cancellation does not interrupt it; the next wait of the task throws the
   * `CancelledError`.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#child.dispose();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const code = this.returncode;
    const state = code === null ? "running" : `ended with ${code}`;
    return `<Process ${this.#child.describe()}, ${state}>`;
  }

  /** A wait for the exit was cancelled or is over. */
  #waiterLeft(): void {
    if (this.#waiters.waiting === 0) this.#child.exited.delete(this.#onExit);
    this.#child.unref();
  }

  /** Starts to send input. Like everything that is written, it is dropped once the child stops reading. */
  #send(input: Bytes): void {
    checkBytes(input, "communicate");
    if (this.#pendingInput?.equals(input)) return;
    const { input: pipe, stdinPump } = this.#child;
    if (this.#stdin === null) {
      throw new RuntimeError("Cannot send input: stdin is not PIPE");
    }
    this.#stdin.write(""); // throws after close() or writeEof()
    if (
      this.#pendingInput !== null || stdinPump!.isClosing || stdinPump!.size > 0
    ) {
      this.#stdin.write(input);
    } else if (input.length > 0) {
      this.#pendingInput = pipe!.send(input);
    }
  }

  #communicate(options?: Cancellable): Promise<Outputs> {
    this.#communicating = true;
    this.#child.ref();
    const controller = new AbortController();
    const future = futures.make(getEventLoop(), {
      complete: () => this.#takeCollected(),
      handOff: () => this.#restore(this.#collected),
      remove: () => {
        this.#communicating = false;
        this.#pendingInput?.copy();
        controller.abort();
        for (const pipe of this.#child.outputs) pipe?.readOnDemand();
        this.#waiterLeft();
      },
      describe: () => `the output of ${this.#child.describe()}`,
    });
    if (options?.signal) futures.subscribeSignal(future, options.signal);
    const start = () => this.#exchange(future, controller.signal);
    runInSlot(loops.execution(this.#child.loop), start, undefined);
    return future;
  }

  /** Sends the input and collects the output, until the future of `communicate()` ends. */
  async #exchange(future: AnyFuture, signal: AbortSignal): Promise<void> {
    const { outputs, exited } = this.#child;
    try {
      for (const pipe of outputs) pipe?.readAhead();
      await this.#finishInput(signal);
      for (const pipe of outputs) await pipe?.end.wait(signal);
      await exited.wait(signal);
      // Chunks on their way to a reader arrive first.
      await new Promise<void>(afterMicrotasks);
      if (signal.aborted) return;
      this.#collected = await this.#collect();
      if (signal.aborted) return this.#restore(this.#collected);
      this.#communicating = false;
      futures.notify(future, future.getLoop());
    } catch (error) {
      if (!future.done()) futures.fail(future, error);
    }
  }

  /** Waits until the input is written, as far as the child reads it, and closes `stdin`. */
  async #finishInput(signal: AbortSignal): Promise<void> {
    if (this.#stdin === null) return;
    await this.#pendingInput?.sent.wait(signal);
    if (signal.aborted) return;
    try {
      await this.#stdin.drain({ signal });
    } catch (error) {
      if (!isBrokenPipe(error) && !signal.aborted) throw error;
    }
    // Unlike the program's own close(), this does not refuse later writes.
    if (!signal.aborted) this.#child.stdinPump!.close(false);
  }

  /** Collects the output of both streams, which have ended. */
  async #collect(): Promise<Outputs> {
    const all: Outputs = [null, null];
    for (const [index, reader] of [this.#stdout, this.#stderr].entries()) {
      if (reader === null) continue;
      endReader(reader);
      const pipe = this.#child.outputs[index]!;
      all[index] = pipe.takeAll(await reader.read());
    }
    return all;
  }

  /** Returns output to the readers that no caller has received. */
  #restore(outputs: Outputs): void {
    this.#collected = [null, null];
    if (outputs[0]?.length) readers.adopt(this.#stdout!, outputs[0]);
    if (outputs[1]?.length) readers.adopt(this.#stderr!, outputs[1]);
  }

  #takeCollected(): Outputs {
    const collected = this.#collected;
    this.#collected = [null, null];
    this.#pendingInput = null;
    return collected;
  }
}

/**
 * The future of a process that is being started.
 *
 * If the start is cancelled, the child must not stay behind, not even as a
 * zombie, so the future is cancelled only when the child has exited.
 */
class StartFuture extends Future<Process> {
  readonly #process: Process;
  readonly #signal: AbortSignal | undefined;
  /** The process was returned, or never will be. */
  #isSettled = false;
  /** Set once the process is being killed. */
  #disposal: Promise<void> | null = null;
  readonly #abortable = {
    abort: (error: unknown) => this.fail(error),
  };

  constructor(loop: EventLoop, process: Process, signal?: AbortSignal) {
    super({ loop });
    this.#process = process;
    this.#signal = signal;
    if (signal) subscribeAbort(signal, this.#abortable);
    futures.setSource(this, this.#waitSource());
  }

  override cancel(message?: string): boolean {
    if (this.#isSettled) return super.cancel(message);
    void this.#disposeProcess(() => futures.cancel(this, message));
    return true;
  }

  /** The program is running. */
  succeed(): void {
    if (this.#disposal === null) futures.notify(this, this.getLoop());
  }

  /** The program could not be started, or the signal has aborted. */
  fail(error: unknown): void {
    void this.#disposeProcess(() => futures.fail(this, error));
  }

  #waitSource(): WaitSource {
    return {
      complete: () => {
        if (this.#disposal !== null) return AGAIN;
        this.#settle();
        return this.#process;
      },
      handOff: () => this.#disposeProcess(() => {}),
      remove: () => {},
      describe: () => `the start of ${inspect(this.#process)}`,
    };
  }

  /** Kills the process and then ends the future. */
  #disposeProcess(how: () => void): Promise<void> {
    return this.#disposal ??= this.#process[Symbol.asyncDispose]()
      // A process that cannot be killed is reported when the runner closes.
      .catch(() => {})
      .then(() => {
        this.#settle();
        how();
      });
  }

  #settle(): void {
    this.#isSettled = true;
    if (this.#signal) unsubscribeAbort(this.#signal, this.#abortable);
  }
}

/**
 * Starts a program.
 *
 * If it is cancelled, the process is killed.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.create_subprocess_exec}.
 *
 * @param program A path, a `file:` URL, or a name to look up in `PATH`.
 * @param args The arguments, none by default.
 * @param options The standard streams, the environment and the directory, and a signal that cancels the call.
 * @returns The process.
 * @throws {Deno.errors.NotFound} If the program or the directory does not exist.
 * @throws {Deno.errors.PermissionDenied} If the program is not executable.
 * @throws {Deno.errors.NotCapable} If the permission to run it is missing, or for `STDOUT` the one to run `/bin/sh`.
 * @throws {Deno.errors.NotSupported} For an option of Python's that Deno does not support.
 * @throws {RangeError} If an argument or a variable contains a NUL, or the value of an option is invalid.
 * @throws {TypeError} If an argument or option has the wrong type, or an option is unknown.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { createSubprocessExec, PIPE } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * await using process = await createSubprocessExec("printf", ["a\\nb\\n"], {
 *   stdout: PIPE,
 * });
 * const line = await process.stdout!.readline();
 * assertEquals(new TextDecoder().decode(line), "a\n");
 * ```
 */
export function createSubprocessExec(
  program: string | URL,
  args: readonly (string | URL)[] = [],
  options: SubprocessOptions = {},
): Promise<Process> {
  try {
    needDeno("start a process");
    const file = readString(program, "program");
    const rest = readArguments(args);
    const given = readOptions(options);
    if (file === "") {
      throw new deno.errors.NotFound(
        "Cannot start a process: the name of the program is empty",
      );
    }
    return start({ file, args: rest, name: file }, given);
  } catch (error) {
    return rejection(error);
  }
}

/**
 * Runs a command line in the shell: `/bin/sh`, or `cmd` on Windows. Quote
 * everything in the line that comes from untrusted input.
 *
 * If it is cancelled, the process is killed.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.create_subprocess_shell}.
 *
 * @param cmd The command line.
 * @param options The same as for {@linkcode createSubprocessExec}.
 * @returns The process of the shell.
 * @throws {Deno.errors.NotFound} If the directory does not exist.
 * @throws {Deno.errors.NotCapable} If the permission to run the shell is missing.
 * @throws {Deno.errors.NotSupported} For an option of Python's that Deno does not support.
 * @throws {RangeError} If the line contains a NUL, or the value of an option is invalid.
 * @throws {TypeError} If the line or an option has the wrong type, or an option is unknown.
 * @throws {CancelledError} If the task is cancelled.
 *
 * @example
 * ```ts
 * import { createSubprocessShell } from "@asyncio/asyncio";
 * import { assertEquals } from "@std/assert";
 *
 * const process = await createSubprocessShell("exit 3");
 * assertEquals(await process.wait(), 3);
 * ```
 */
export function createSubprocessShell(
  cmd: string,
  options: SubprocessOptions = {},
): Promise<Process> {
  try {
    needDeno("start a process");
    if (typeof cmd !== "string") {
      throw new TypeError(
        `Cannot run a command line: expected a string, got ${describe(cmd)}`,
      );
    }
    return start(
      shellCommand(readString(cmd, "command")),
      readOptions(options),
    );
  } catch (error) {
    return rejection(error);
  }
}

function start(
  command: Command,
  options: SubprocessOptions,
): Promise<Process> {
  const { signal } = options;
  signal?.throwIfAborted();
  const loop = getEventLoop();
  if (loop.isClosed()) throw new RuntimeError("The event loop is closed");
  const begin = () => {
    const spawned = spawnChild(command, options);
    return {
      spawned,
      process: makeProcess({ loop, command, options, spawned }),
    };
  };
  // In the context of the loop, because the process outlives the task.
  const { spawned, process } = runInSlot(
    loops.execution(loop),
    begin,
    undefined,
  );
  const starting = new StartFuture(loop, process, signal);
  if (spawned.ready === null) {
    loops.push(loop, { run: () => (starting.succeed(), false) });
  } else {
    spawned.ready.then(
      () => starting.succeed(),
      (error) => starting.fail(error),
    );
  }
  return starting;
}

function checkSetup(setup: object): void {
  if (knownSetups.has(setup)) return;
  throw new TypeError(
    "Cannot create a process: use createSubprocessExec() or createSubprocessShell()",
  );
}

/** Whether an error says that the child has stopped reading. */
function isBrokenPipe(error: unknown): boolean {
  return error instanceof deno.errors.BrokenPipe ||
    error instanceof deno.errors.ConnectionReset;
}
