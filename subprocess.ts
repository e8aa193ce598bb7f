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

import { linkSignal, unlinkSignal } from "./_abort.ts";
import { type Bytes, checkBytes, type OwnBytes } from "./_bytes.ts";
import {
  checkOptions,
  type Command,
  type Launch,
  launchChild,
  type Plan,
  shellCommand,
  type StdoutTarget,
  type SubprocessOptions,
  toText,
} from "./_command.ts";
import { runInSlot } from "./_context.ts";
import {
  AGAIN,
  type AnyFuture,
  type EventLoop,
  Future,
  futures,
  getEventLoop,
  type Waitable,
} from "./_future.ts";
import { describe } from "./_validate.ts";
import type { Cancellable } from "./_options.ts";
import { closersOf, internals as loops } from "./_loop.ts";
import {
  InputPipe,
  InputPump,
  type Output,
  OutputPipe,
  OutputPump,
  type Parcel,
} from "./_pipes.ts";
import {
  endReader,
  makeReader,
  type StreamReader,
  StreamWriter,
} from "./_streams.ts";
import { Home, WaitQueue } from "./_wait.ts";
import { Outlet } from "./_writer.ts";
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

/** What a {@linkcode Process} is made of. */
class Parts {
  readonly loop: EventLoop;
  readonly command: Command;
  readonly options: SubprocessOptions;
  readonly launch: Launch;

  constructor(
    loop: EventLoop,
    command: Command,
    options: SubprocessOptions,
    launch: Launch,
  ) {
    this.loop = loop;
    this.command = command;
    this.options = options;
    this.launch = launch;
  }
}

/** The return code of a process that the host has lost, as Python has it. */
const UNKNOWN = 255;

let abandon: (process: Process) => void;

/**
 * A child process.
 *
 * `createSubprocessExec` and `createSubprocessShell` make one. With
 * `await using` it is ended when its block is left; otherwise it runs as long
 * as it likes, and is reported to the loop's exception handler if its runner
 * closes before.
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
  readonly #child: Deno.ChildProcess;
  readonly #loop: EventLoop;
  readonly #name: string;
  readonly #grouped: boolean;
  readonly #stdin: StreamWriter | null = null;
  /** What `#stdin` writes through. */
  readonly #outlet: Outlet | null = null;
  readonly #stdout: StreamReader | null = null;
  readonly #stderr: StreamReader | null = null;
  readonly #input: InputPipe | null = null;
  readonly #inputPump: InputPump | null = null;
  /** The pipes behind `#stdout` and `#stderr`. */
  readonly #pipes: [OutputPipe | null, OutputPipe | null] = [null, null];
  /** Everything that comes out of the child, pumped or not. */
  readonly #outputs: Output[] = [];
  /** The child has ended; its output may still be on its way. */
  #gone = false;
  /** Its runner has closed before: the child does not keep the program alive, unless somebody waits. */
  #abandoned = false;
  #returncode: number | null = null;
  /** Resolves when the return code is there. */
  readonly #exit: Promise<void>;
  readonly #waiters: WaitQueue<number> = new WaitQueue<number>({
    take: () => this.#returncode!,
    pass: () => {},
    describe: () => `the end of ${this.#describe()}`,
  }, new Home());
  #communicating = false;
  /** The input of `communicate` to which nobody has seen the answer. */
  #parcel: Parcel | null = null;
  /** What `communicate` has collected and nobody has got. */
  #collected: [OwnBytes | null, OwnBytes | null] = [null, null];

  /**
   * Not for programs: `createSubprocessExec` and `createSubprocessShell` make
   * processes.
   *
   * @param parts What it is made of.
   */
  constructor(parts: never) {
    const { loop, command, options, launch } = checkParts(parts);
    const { child, stdin } = launch;
    this.#child = child;
    this.#loop = loop;
    this.#name = command.name;
    this.#grouped = Boolean(options.startNewSession);
    if (stdin.host === "piped") {
      this.#input = new InputPipe(child.stdin, `stdin of ${this.#describe()}`);
      if (stdin.pumped === null) {
        this.#outlet = this.#makeOutlet(this.#input);
        this.#stdin = new StreamWriter(this.#outlet as never);
      } else this.#inputPump = this.#pumpIn(stdin.pumped, this.#input);
    }
    this.#stdout = this.#open(0, launch.stdout, parts);
    this.#stderr = this.#open(1, launch.stderr, parts);
    childrenOf(loop).add(this);
    this.#exit = this.#watch();
  }

  static {
    abandon = (process) => process.#abandon();
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
    return this.#returncode;
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
   */
  wait(options?: Cancellable): Promise<number> {
    try {
      options?.signal?.throwIfAborted();
      if (this.#returncode !== null) return Promise.resolve(this.#returncode);
      this.#hold();
      return this.#waiters.wait(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends input to the process, closes its stdin, reads its output to the
   * end, and waits until it has ended. A process that stops reading early is
   * no error.
   *
   * Cancelled, it leaves the process running and what was read in place: the
   * next call returns all output. Input that was given is on its way and is
   * not sent twice: the same input again goes on with it, other input follows
   * it.
   *
   * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.communicate}.
   *
   * @param input Bytes or text to send; none closes the stdin at once.
   * @param options A signal that ends the wait.
   * @returns What was read from `stdout` and `stderr`, `null` for one that is no `PIPE`.
   * @throws {RuntimeError} If another call waits, or if there is input and `stdin` is no open `PIPE`.
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
      options?.signal?.throwIfAborted();
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
   */
  sendSignal(signal: Deno.Signal | number): void {
    if (typeof signal !== "string" && !Number.isInteger(signal)) {
      throw new TypeError(
        `Cannot send a signal: expected its name or number, got ${
          describe(signal)
        }`,
      );
    }
    if (this.#gone) return;
    try {
      this.#child.kill(signal as Deno.Signal);
    } catch (error) {
      if (!this.#alive()) return;
      if (!(error instanceof TypeError)) throw error;
      throw new TypeError(
        `Cannot send a signal: Deno does not know ${describe(signal)}`,
        { cause: error },
      );
    }
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
  async [Symbol.asyncDispose](): Promise<void> {
    this.#hold();
    this.kill();
    if (this.#grouped) this.#killGroup();
    await this.#exit;
    this.#closePipes();
  }

  /** One line for the console. */
  [Symbol.for("Deno.customInspect")](): string {
    const code = this.#returncode;
    const state = code === null ? "running" : `ended with ${code}`;
    return `<Process ${this.#describe()}, ${state}>`;
  }

  #describe(): string {
    return `${this.#name} (pid ${this.pid})`;
  }

  /** Sets one of the two outputs up, and makes its reader if it has one. */
  #open(
    index: 0 | 1,
    { host, pumped }: Plan<StdoutTarget>,
    { launch: { child }, options: { limit }, loop }: Parts,
  ): StreamReader | null {
    if (host !== "piped") return null;
    const name = index === 0 ? "stdout" : "stderr";
    const pipe = new OutputPipe(child[name], `${name} of ${this.#describe()}`);
    if (pumped !== null) {
      const onError = this.#reporter("write the output of");
      this.#outputs.push(new OutputPump(pipe, pumped, onError));
      return null;
    }
    this.#pipes[index] = pipe;
    this.#outputs.push(pipe);
    return makeReader(loop, pipe, { limit });
  }

  #makeOutlet(pipe: InputPipe): Outlet {
    const extra = (name: string) => name === "subprocess" ? this : undefined;
    return new Outlet(this.#loop, pipe, { reader: null, extra });
  }

  #pumpIn(
    source: Deno.FsFile | ReadableStream<Uint8Array>,
    pipe: InputPipe,
  ): InputPump {
    return new InputPump(source, pipe, this.#reporter("read the input of"));
  }

  #reporter(action: string): (exception: unknown) => void {
    return (exception) =>
      this.#loop.callExceptionHandler({
        message: `Failed to ${action} ${this.#describe()}`,
        exception,
        process: this,
      });
  }

  /** Follows the child to its end. */
  async #watch(): Promise<void> {
    const code = await exitCode(this.#child);
    this.#gone = true;
    this.#inputPump?.stop();
    await Promise.all([
      this.#input?.settle(),
      ...this.#outputs.map((output) => output.settle()),
    ]);
    // Bytes that are still on their way find out for themselves.
    if (this.#outlet?.size === 0) this.#outlet.lose(null);
    this.#returncode = code;
    this.#waiters.wakeAll();
    void this.#forgetWhenClosed();
  }

  async #forgetWhenClosed(): Promise<void> {
    await Promise.all(this.#outputs.map((output) => output.closed));
    childrenOf(this.#loop).delete(this);
  }

  /** Whether the child could take a signal. */
  #alive(): boolean {
    try {
      this.#child.kill(0 as unknown as Deno.Signal);
      return true;
    } catch {
      return false;
    }
  }

  #killGroup(): void {
    const { state } = Deno.permissions.querySync({ name: "run" });
    if (state !== "granted" || Deno.build.os === "windows") return;
    try {
      Deno.kill(-this.pid, "SIGKILL");
    } catch (error) {
      // Some systems refuse a signal to a group that has zombies only.
      if (error instanceof Deno.errors.NotFound) return;
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    }
  }

  #closePipes(): void {
    this.#outlet?.abort();
    this.#input?.abort();
    this.#inputPump?.stop();
    for (const output of this.#outputs) output.close();
  }

  /** Somebody waits for the end of the child. */
  #hold(): void {
    if (this.#abandoned) this.#child.ref();
    this.#abandoned = false;
  }

  /** The runner closes: lets go of the child, and says so if it is still running. */
  #abandon(): void {
    if (this.#returncode === null && !this.#gone) {
      this.#abandoned = true;
      this.#child.unref();
      this.#loop.callExceptionHandler({
        message: `The child process ${this.#describe()} was left running`,
        process: this,
        pid: this.pid,
      });
    }
    this.#closePipes();
  }

  /** Puts input on its way. */
  #send(input: Bytes): void {
    checkBytes(input, "communicate");
    if (this.#parcel?.holds(input)) return;
    const stdin = this.#stdin;
    if (stdin === null) {
      throw new RuntimeError("Cannot send input: stdin is not PIPE");
    }
    if (this.#parcel !== null || stdin.isClosing() || this.#outlet!.size > 0) {
      stdin.write(input);
    } else if (input.length > 0) {
      this.#parcel = this.#input!.send(input);
    }
  }

  #communicate(
    options?: Cancellable,
  ): Promise<[OwnBytes | null, OwnBytes | null]> {
    this.#communicating = true;
    this.#hold();
    const controller = new AbortController();
    const future = futures.make(getEventLoop(), {
      take: () => this.#handOver(),
      pass: () => {},
      drop: () => {
        this.#communicating = false;
        this.#parcel?.own();
        controller.abort();
      },
      describe: () => `the output of ${this.#describe()}`,
    });
    if (options?.signal) futures.link(future, options.signal);
    const start = () => this.#converse(future, controller.signal);
    runInSlot(loops.frame(this.#loop), start, undefined);
    return future;
  }

  /** Does what `communicate` is for, until its future ends. */
  async #converse(future: AnyFuture, signal: AbortSignal): Promise<void> {
    try {
      await Promise.all([
        this.#feed(signal),
        ...this.#pipes.map((pipe) => pipe?.readAhead(signal)),
        this.#exit,
      ]);
      if (signal.aborted) return;
      this.#collected[0] ??= await this.#collect(0, this.#stdout);
      this.#collected[1] ??= await this.#collect(1, this.#stderr);
      this.#communicating = false;
      futures.wake(future, future.getLoop());
    } catch (error) {
      if (!future.done()) futures.fail(future, error);
    }
  }

  /** Waits until the input is written, as far as the child wants it, and closes the stdin. */
  async #feed(signal: AbortSignal): Promise<void> {
    const stdin = this.#stdin;
    if (stdin === null) return;
    await this.#parcel?.done;
    try {
      await stdin.drain({ signal });
    } catch (error) {
      if (!isBrokenPipe(error) && !signal.aborted) throw error;
    }
    if (!signal.aborted) stdin.close();
  }

  /** Takes what came from an output that is at its end. */
  async #collect(
    index: 0 | 1,
    reader: StreamReader | null,
  ): Promise<OwnBytes | null> {
    if (reader === null) return null;
    endReader(reader);
    return this.#pipes[index]!.takeAll(await reader.read());
  }

  #handOver(): [OwnBytes | null, OwnBytes | null] {
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
    futures.attach(this, this.#behind());
  }

  override cancel(message?: string): boolean {
    if (this.#over) return super.cancel(message);
    void this.#end(() => futures.cancel(this, message));
    return true;
  }

  /** The program is running. */
  succeed(): void {
    if (this.#ending === null) futures.wake(this, this.getLoop());
  }

  /** There will be no program; the process that was to become it is ended. */
  fail(error: unknown): void {
    void this.#end(() => futures.fail(this, error));
  }

  #behind(): Waitable {
    return {
      take: () => {
        if (this.#ending !== null) return AGAIN;
        this.#leave();
        return this.#process;
      },
      pass: () => this.#end(() => {}),
      drop: () => {},
      describe: () => `the start of ${Deno.inspect(this.#process)}`,
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
    const file = toText(program, "program");
    if (!Array.isArray(args)) {
      throw new TypeError(
        `Cannot start ${file}: expected an array of arguments, got ${
          describe(args)
        }`,
      );
    }
    const rest = args.map((it) => toText(it, "argument"));
    if (file === "") {
      throw new Deno.errors.NotFound(
        "Cannot start a program: its name is empty",
      );
    }
    return start({ file, args: rest, name: file }, checkOptions(options));
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Runs a command line in the shell of the platform: `/bin/sh`, on Windows
 * `cmd`. Whatever comes from elsewhere and is put into the line must be
 * quoted for that shell.
 *
 * Cancelled while it starts, it leaves no process behind.
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.create_subprocess_shell}.
 *
 * @param cmd The command line.
 * @param options As of {@linkcode createSubprocessExec}.
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
    if (typeof cmd !== "string") {
      throw new TypeError(
        `Cannot run a command line: expected a string, got ${describe(cmd)}`,
      );
    }
    return start(shellCommand(toText(cmd, "command")), checkOptions(options));
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
  const launch = launchChild(command, options);
  const parts = new Parts(loop, command, options, launch);
  const process = runInSlot(loops.frame(loop), makeProcess, parts);
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

/** To be called in no task's context, as the process outlives the task. */
function makeProcess(parts: Parts): Process {
  return new Process(parts as never);
}

function checkParts(parts: unknown): Parts {
  if (parts instanceof Parts) return parts;
  throw new TypeError(
    "Cannot create a process: createSubprocessExec() and createSubprocessShell() do",
  );
}

/** How a child ended, as Python counts it. */
async function exitCode(child: Deno.ChildProcess): Promise<number> {
  try {
    const { code, signal } = await child.status;
    return signal === null ? code : 128 - code;
  } catch (error) {
    // The host does not know the real-time signals by name.
    const number = /^Invalid signal: (\d+)$/.exec((error as Error).message);
    return number === null ? UNKNOWN : -Number(number[1]);
  }
}

/** The children of a loop that are running or have open pipes. */
function childrenOf(loop: EventLoop): Set<Process> {
  const extras = loops.extras(loop);
  let children = extras.get(Process) as Set<Process> | undefined;
  if (children === undefined) {
    const born = children = new Set<Process>();
    extras.set(Process, born);
    closersOf(loop).add(() => born.forEach(abandon));
  }
  return children;
}

/** Whether an error says that the other side has stopped reading. */
function isBrokenPipe(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionReset;
}
