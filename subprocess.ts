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
import { linkSignal, unlinkSignal } from "./_abort_signal.ts";
import { type Bytes, checkBytes, type OwnBytes } from "./_bytes.ts";
import { Child, type ChildParts } from "./_child.ts";
import {
  checkSignalNumber,
  type Command,
  launchChild,
  readOptions,
  shellCommand,
  type SubprocessOptions,
  toText,
  toTexts,
} from "./_command.ts";
import { runInSlot } from "./_context.ts";
import { deno, needDeno } from "./_deno.ts";
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
import { readers } from "./_stream_reader.ts";
import {
  endReader,
  makeReader,
  type StreamReader,
  StreamWriter,
} from "./_streams.ts";
import { describe, signalOf } from "./_validate.ts";
import { LoopBinding, WaitQueue } from "./_wait_queue.ts";
import { RuntimeError } from "./exceptions.ts";

export type { Bytes, OwnBytes } from "./_bytes.ts";
export {
  DEVNULL,
  PIPE,
  type StdinSource,
  STDOUT,
  type StdoutTarget,
  type SubprocessOptions,
} from "./_command.ts";
export type { Cancellable } from "./_options.ts";
export {
  StreamReader,
  type StreamReaderOptions,
  StreamWriter,
  WriteTransport,
} from "./_streams.ts";

/** What is collected from the two outputs, `null` for one that is no pipe. */
type Outputs = [stdout: OwnBytes | null, stderr: OwnBytes | null];

/** Whoever has a stream of a process has the process, too. */
const owners = new WeakMap<object, Process>();

/**
 * A child process.
 *
 * `createSubprocessExec` and `createSubprocessShell` make one. With
 * `await using` it is killed when its block is left; otherwise it runs as long
 * as it likes. If it still runs when its runner closes, it is killed if its `Process`
 * is no longer referenced. Otherwise it is reported to the loop's exception
 * handler, and killed once its `Process` is no longer referenced, at the latest
 * when the program ends.
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
    remove: () => this.#leave(),
    kind: "process",
    describe: () => this.#child.describeEnd(),
  }, new LoopBinding());
  /** What the end of the child calls, as long as somebody waits: it holds this object. */
  readonly #wake = () => this.#waiters.notifyAll();
  #communicating = false;
  /** The input of `communicate` to which nobody has seen the answer. */
  #parcel: PendingInput | null = null;
  /** What `communicate` has collected for who is about to get it. */
  #collected: Outputs = [null, null];

  /**
   * Not for programs: `createSubprocessExec` and `createSubprocessShell` make
   * processes.
   *
   * @param parts What it is made of.
   */
  constructor(parts: never) {
    const { loop, options } = checkParts(parts);
    const child = this.#child = new Child(parts);
    child.ownedBy(this);
    const [stdout, stderr] = child.outputs;
    const open = (pipe: OutputPipe | null) =>
      pipe && makeReader(loop, pipe, { limit: options.limit });
    this.#stdin = child.outlet && new StreamWriter(child.outlet as never);
    this.#stdout = open(stdout);
    this.#stderr = open(stderr);
    for (const stream of [this.#stdin, this.#stdout, this.#stderr]) {
      if (stream !== null) owners.set(stream, this);
    }
  }

  /** The number of the process. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * How the process ended: its exit status, `-N` if signal number N ended it,
   * `null` as long as it is running.
   */
  get returncode(): number | null {
    return this.#child.returncode;
  }

  /** What writes to the process, `null` unless `stdin` is `PIPE`. */
  get stdin(): StreamWriter | null {
    return this.#stdin;
  }

  /** What reads from the process, `null` unless `stdout` is `PIPE`. */
  get stdout(): StreamReader | null {
    return this.#stdout;
  }

  /** What reads the errors of the process, `null` unless `stderr` is `PIPE`. */
  get stderr(): StreamReader | null {
    return this.#stderr;
  }

  /**
   * Waits until the process has ended. A pipe that a child of its own still
   * holds does not delay that.
   *
   * A process whose output is a full pipe that nobody reads never ends; see
   * {@linkcode Process.communicate}. Cancelled, it leaves the process as it
   * is.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.wait}.
   *
   * @param options A signal that ends the wait.
   * @returns The {@linkcode Process.returncode}.
   * @throws {CancelledError} If the task is cancelled.
   *
   * @example
   * ```ts
   * import { createSubprocessShell } from "@asyncio/asyncio";
   * import { assert } from "@std/assert";
   *
   * await using shell = await createSubprocessShell("exit 3");
   * assert(await shell.wait() === 3);
   * ```
   */
  wait(options?: Cancellable): Promise<number> {
    try {
      signalOf(options, "wait for a process")?.throwIfAborted();
      const code = this.returncode;
      if (code !== null) return Promise.resolve(code);
      const waiter = this.#waiters.wait(options);
      this.#child.exited.add(this.#wake);
      this.#child.hold();
      return waiter;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends input to the process, closes its stdin, reads its output to the
   * end, and waits until it has ended. A process that stops reading early is
   * no error: input is dropped once it reads no more.
   *
   * Cancelled, it leaves the process running and keeps what was read: the next
   * call returns all output. Input is not sent twice: a call with the same
   * input continues it, other input is sent after it.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.communicate}.
   *
   * @param input Bytes or text to send; none closes the stdin at once.
   * @param options A signal that ends the wait.
   * @returns What was read from `stdout` and `stderr`, `null` for one that is no `PIPE`.
   * @throws {RuntimeError} If another call waits, or if there is input and `stdin` is no `PIPE` or was closed by `stdin.close()` or `writeEof()`.
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
      return Promise.reject(error);
    }
  }

  /**
   * Sends a signal to the process; nothing happens if it has ended.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.send_signal}.
   *
   * @param signal The name or the number of the signal.
   * @throws {TypeError} If there is no such signal, or Deno does not know it.
   * @throws {Deno.errors.NotSupported} On Windows, for all but `SIGTERM` and `SIGKILL`.
   */
  sendSignal(signal: Deno.Signal | number): void {
    checkSignalNumber(signal);
    this.#child.signal(signal);
  }

  /**
   * Asks the process to end, with `SIGTERM`; nothing happens if it has ended.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.terminate}.
   */
  terminate(): void {
    this.sendSignal("SIGTERM");
  }

  /**
   * Ends the process, with `SIGKILL`; nothing happens if it has ended.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.kill}.
   */
  kill(): void {
    this.sendSignal("SIGKILL");
  }

  /**
   * Kills the process if it has not ended, waits until it has, and closes its
   * pipes. A process that was started with `startNewSession` takes its whole
   * group along, if this program may run and signal any process; its group is
   * ended even if the process itself has ended before.
   *
   * A cancellation does not interrupt it.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#child.end();
  }

  /** @ignore */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const code = this.returncode;
    const state = code === null ? "running" : `ended with ${code}`;
    return `<Process ${this.#child.describe()}, ${state}>`;
  }

  /** Somebody waits for the end no more. */
  #leave(): void {
    if (this.#waiters.waiting === 0) this.#child.exited.delete(this.#wake);
    this.#child.letGo();
  }

  /** Puts input on its way. It is dropped, as all that is written, once the child reads no more. */
  #send(input: Bytes): void {
    checkBytes(input, "communicate");
    if (this.#parcel?.holds(input)) return;
    const { input: pipe, outlet } = this.#child;
    if (this.#stdin === null) {
      throw new RuntimeError("Cannot send input: stdin is not PIPE");
    }
    this.#stdin.write(""); // is refused if the program has ended its writing
    if (this.#parcel !== null || outlet!.closing || outlet!.size > 0) {
      this.#stdin.write(input);
    } else if (input.length > 0) {
      this.#parcel = pipe!.send(input);
    }
  }

  #communicate(options?: Cancellable): Promise<Outputs> {
    this.#communicating = true;
    this.#child.hold();
    const controller = new AbortController();
    const future = futures.make(getEventLoop(), {
      complete: () => this.#handOver(),
      handOff: () => this.#putBack(this.#collected),
      remove: () => {
        this.#communicating = false;
        this.#parcel?.own();
        controller.abort();
        for (const pipe of this.#child.outputs) pipe?.readOnDemand();
        this.#leave();
      },
      describe: () => `the output of ${this.#child.describe()}`,
    });
    if (options?.signal) futures.subscribeSignal(future, options.signal);
    const start = () => this.#converse(future, controller.signal);
    runInSlot(loops.execution(this.#child.loop), start, undefined);
    return future;
  }

  /** Does what `communicate` is for, until its future ends. */
  async #converse(future: AnyFuture, signal: AbortSignal): Promise<void> {
    const { outputs, exited } = this.#child;
    try {
      for (const pipe of outputs) pipe?.readAhead();
      await this.#feed(signal);
      for (const pipe of outputs) await pipe?.end.wait(signal);
      await exited.wait(signal);
      // What is on its way to a reader arrives before.
      await new Promise<void>(afterMicrotasks);
      if (signal.aborted) return;
      this.#collected = await this.#collect();
      if (signal.aborted) return this.#putBack(this.#collected);
      this.#communicating = false;
      futures.notify(future, future.getLoop());
    } catch (error) {
      if (!future.done()) futures.fail(future, error);
    }
  }

  /** Waits until the input is written, as far as the child wants it, and closes the stdin. */
  async #feed(signal: AbortSignal): Promise<void> {
    if (this.#stdin === null) return;
    await this.#parcel?.sent.wait(signal);
    if (signal.aborted) return;
    try {
      await this.#stdin.drain({ signal });
    } catch (error) {
      if (!isBrokenPipe(error) && !signal.aborted) throw error;
    }
    // Not as the program does, which must not write afterwards.
    if (!signal.aborted) this.#child.outlet!.close(false);
  }

  /** Takes what came from the outputs, which are at their ends. */
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

  /** Leaves to the readers what nobody has got. */
  #putBack(outputs: Outputs): void {
    this.#collected = [null, null];
    if (outputs[0]?.length) readers.adopt(this.#stdout!, outputs[0]);
    if (outputs[1]?.length) readers.adopt(this.#stderr!, outputs[1]);
  }

  #handOver(): Outputs {
    const collected = this.#collected;
    this.#collected = [null, null];
    this.#parcel = null;
    return collected;
  }
}

/**
 * The future of a process that is just being started.
 *
 * A child that nobody gets must not stay behind, nor be a zombie for a
 * moment: whoever gives the start up hears of that when the child has ended.
 */
class Starting extends Future<Process> {
  readonly #process: Process;
  readonly #signal: AbortSignal | undefined;
  /** Somebody has got the process, or nobody ever will. */
  #over = false;
  /** The process is being ended. */
  #ending: Promise<void> | null = null;
  readonly #target = {
    abort: (error: unknown) => this.fail(error),
  };

  constructor(loop: EventLoop, process: Process, signal?: AbortSignal) {
    super({ loop });
    this.#process = process;
    this.#signal = signal;
    if (signal) linkSignal(signal, this.#target);
    futures.setSource(this, this.#behind());
  }

  override cancel(message?: string): boolean {
    if (this.#over) return super.cancel(message);
    void this.#end(() => futures.cancel(this, message));
    return true;
  }

  /** The program is running. */
  succeed(): void {
    if (this.#ending === null) futures.notify(this, this.getLoop());
  }

  /** There will be no program; the process that was to become it is ended. */
  fail(error: unknown): void {
    void this.#end(() => futures.fail(this, error));
  }

  #behind(): WaitSource {
    return {
      complete: () => {
        if (this.#ending !== null) return AGAIN;
        this.#leave();
        return this.#process;
      },
      handOff: () => this.#end(() => {}),
      remove: () => {},
      describe: () => `the start of ${inspect(this.#process)}`,
    };
  }

  /** Ends the process, then the future. */
  #end(how: () => void): Promise<void> {
    return this.#ending ??= this.#process[Symbol.asyncDispose]()
      // One that cannot be killed is reported when the runner closes.
      .catch(() => {})
      .then(() => {
        this.#leave();
        how();
      });
  }

  #leave(): void {
    this.#over = true;
    if (this.#signal) unlinkSignal(this.#signal, this.#target);
  }
}

/**
 * Starts a program.
 *
 * Cancelled while it starts, it leaves no process behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.create_subprocess_exec}.
 *
 * @param program The program: a path, a `file:` URL, or a name to be looked for in `PATH`.
 * @param args Its arguments.
 * @param options Its standard streams, environment and directory, and a signal that ends the start.
 * @returns The process.
 * @throws {Deno.errors.NotFound} If there is no such program, or no such directory.
 * @throws {Deno.errors.PermissionDenied} If it is not executable.
 * @throws {Deno.errors.NotCapable} If this program may not run it, or, for `STDOUT`, may not run `/bin/sh`.
 * @throws {Deno.errors.NotSupported} For an option of Python's that Deno cannot do.
 * @throws {RangeError} If an argument or variable has a NUL in it, or an option a value that is not possible.
 * @throws {TypeError} If an argument or option is of the wrong type, or there is no such option.
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
    const file = toText(program, "program");
    const rest = toTexts(args);
    const given = readOptions(options);
    if (file === "") {
      throw new deno.errors.NotFound(
        "Cannot start a program: its name is empty",
      );
    }
    return start({ file, args: rest, name: file }, given);
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Runs a command line in the shell of the platform: `/bin/sh`, on Windows
 * `cmd`. Quote text from elsewhere for that shell before you put it into the
 * line.
 *
 * Cancelled while it starts, it leaves no process behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.create_subprocess_shell}.
 *
 * @param cmd The command line.
 * @param options As for {@linkcode createSubprocessExec}.
 * @returns The process of the shell.
 * @throws {Deno.errors.NotFound} If there is no such directory.
 * @throws {Deno.errors.NotCapable} If this program may not run the shell.
 * @throws {Deno.errors.NotSupported} For an option of Python's that Deno cannot do.
 * @throws {RangeError} If the line has a NUL in it, or an option a value that is not possible.
 * @throws {TypeError} If the line or an option is of the wrong type, or there is no such option.
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
    return start(shellCommand(toText(cmd, "command")), readOptions(options));
  } catch (error) {
    return Promise.reject(error);
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
    const launch = launchChild(command, options);
    return { launch, process: makeProcess({ loop, command, options, launch }) };
  };
  // In no task's context, as the process outlives the task.
  const { launch, process } = runInSlot(
    loops.execution(loop),
    begin,
    undefined,
  );
  const starting = new Starting(loop, process, signal);
  if (launch.ready === null) {
    loops.push(loop, { run: () => (starting.succeed(), false) });
  } else {
    launch.ready.then(
      () => starting.succeed(),
      (error) => starting.fail(error),
    );
  }
  return starting;
}

function makeProcess(parts: ChildParts): Process {
  made.add(parts);
  return new Process(parts as never);
}

const made = new WeakSet<object>();

function checkParts(parts: unknown): ChildParts {
  if (made.has(parts as object)) return parts as ChildParts;
  throw new TypeError(
    "Cannot create a process: createSubprocessExec() and createSubprocessShell() do",
  );
}

/** Whether an error says that the other side has stopped reading. */
function isBrokenPipe(error: unknown): boolean {
  return error instanceof deno.errors.BrokenPipe ||
    error instanceof deno.errors.ConnectionReset;
}
