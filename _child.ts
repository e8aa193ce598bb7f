/**
 * A child process behind its `Process`, and what happens to it when its runner
 * closes.
 *
 * A {@linkcode Child} holds the pipes and waits for the process to exit. It
 * holds the `Process` object weakly: once the runner has closed, a child is
 * killed when its `Process` is garbage-collected. Code that waits for a child
 * or uses one of its streams keeps its `Process` alive.
 *
 * This file knows nothing of tasks and must run in the context of the loop,
 * because a child outlives the task that started it.
 *
 * @module
 */

import type { Command, SpawnedChild } from "./_spawn.ts";
import type { SubprocessOptions } from "./_subprocess_options.ts";
import { describe } from "./_validate.ts";
import type { EventLoop } from "./_event_loop.ts";
import { deno } from "./_deno.ts";
import { onExit } from "./_host.ts";
import { closers, LoopLocal } from "./_loop_local.ts";
import {
  InputPipe,
  InputPump,
  OneShotEvent,
  type Output,
  OutputPipe,
  OutputPump,
  waitAtMost,
} from "./_child_pipes.ts";
import { WritePump } from "./_write_pump.ts";

/** The return code if Deno does not know how the process ended, as in Python. */
const UNKNOWN_RETURNCODE = 255;
/** How long a closing runner waits for a child to exit, in milliseconds. */
const CLOSE_GRACE = 50;
/** The same if the child was sent a signal, such as `SIGTERM`. */
const SIGNALLED_CLOSE_GRACE = 500;

/** Signals that Deno can send on Windows. */
const WINDOWS_SIGNALS: readonly unknown[] = ["SIGTERM", "SIGKILL", 15, 9];

/** What a child is created from. */
export interface ChildSetup {
  readonly loop: EventLoop;
  readonly command: Command;
  readonly options: SubprocessOptions;
  readonly spawned: SpawnedChild;
}

export class Child {
  readonly #loop: EventLoop;
  readonly #handle: Deno.ChildProcess;
  readonly #name: string;
  readonly #leadsGroup: boolean;
  /** The `Process` object, while it is alive. */
  #owner: WeakRef<object> | null = null;
  readonly input: InputPipe | null = null;
  /** Writes to `stdin`; `null` unless the program has that pipe. */
  readonly stdinPump: WritePump | null = null;
  readonly #inputPump: InputPump | null = null;
  /** `stdout` and `stderr`; `null` unless the program has the pipe. */
  readonly outputs: [OutputPipe | null, OutputPipe | null] = [null, null];
  /** Both kinds of output: pipes that the program has, and pumps. */
  readonly #openOutputs: Output[] = [];
  /** The process has exited; its output may still be in the pipes. */
  #hasExited = false;
  /** Whether it was sent `SIGKILL`, or any other signal. */
  #wasKilled = false;
  #wasSignalled = false;
  /** Its runner has closed: it keeps the program alive only while somebody waits for it. */
  #isDetached = false;
  #returncode: number | null = null;
  /** Set together with the return code. */
  readonly exited: OneShotEvent = new OneShotEvent();

  constructor(setup: ChildSetup) {
    const { command, spawned, loop, options } = setup;
    this.#loop = loop;
    this.#handle = spawned.child;
    this.#name = command.name;
    this.#leadsGroup = Boolean(options.startNewSession);
    if (spawned.stdin.mode === "piped") {
      const name = `stdin of ${this.describe()}`;
      const pipe = this.input = new InputPipe(this.#handle.stdin, name);
      const { pumped } = spawned.stdin;
      if (pumped === null) this.stdinPump = this.#makeStdinPump(pipe);
      else {
        const onError = this.#reporter("read the input of");
        this.#inputPump = new InputPump(pumped, pipe, onError);
      }
    }
    this.#openOutput(0, spawned);
    this.#openOutput(1, spawned);
    children.get(loop).add(this);
    void this.#waitForExit();
  }

  get loop(): EventLoop {
    return this.#loop;
  }

  get pid(): number {
    return this.#handle.pid;
  }

  get returncode(): number | null {
    return this.#returncode;
  }

  describe(): string {
    return `${this.#name} (pid ${this.pid})`;
  }

  /** Describes a wait for the exit, for reports. */
  describeEnd(): string {
    const names = ["stdout", "stderr"]
      .filter((_, index) => this.outputs[index]?.isUnread)
      .join(" and ");
    const hint = names === ""
      ? ""
      : `, whose ${names} nobody reads (a full pipe stops it; communicate() reads it)`;
    return `the end of ${this.describe()}${hint}`;
  }

  /** Sets the `Process` object, which is held weakly. */
  setOwner(process: object): void {
    this.#owner = new WeakRef(process);
  }

  /** Kills the process, waits for it to exit, and closes its pipes. */
  async dispose(): Promise<void> {
    this.ref();
    try {
      this.kill();
      await this.exited.wait();
    } finally {
      this.closePipes(); // even if killing it was not permitted
    }
    // Other processes of its group may hold the pipe a little longer.
    if (!this.#leadsGroup || this.input === null) return;
    await waitAtMost(this.input.released, SIGNALLED_CLOSE_GRACE);
  }

  /**
   * Sends a signal. Does nothing if the process has exited.
   *
   * @throws {TypeError} If Deno does not know the signal.
   * @throws {Deno.errors.NotSupported} If the system does not have it.
   */
  signal(signal: Deno.Signal | number): void {
    if (this.#hasExited) return;
    try {
      this.#handle.kill(signal as Deno.Signal);
    } catch (error) {
      const failure = signalFailure(signal, error, () => this.#isAlive());
      if (failure !== null) throw failure;
      return;
    }
    if (signal === "SIGKILL" || signal === 9) this.#wasKilled = true;
    if (signal !== 0) this.#wasSignalled = true;
  }

  /** Kills the process, and its group if it leads one. */
  kill(): void {
    this.signal("SIGKILL");
    if (this.#leadsGroup) this.#killGroup();
  }

  closePipes(): void {
    this.stdinPump?.abort(false);
    this.input?.abort();
    this.#inputPump?.stop();
    for (const output of this.#openOutputs) output.close();
  }

  /** Called when a wait for the child begins: it then keeps the program alive. */
  ref(): void {
    if (this.#isDetached) this.#handle.ref();
  }

  /** Called when a wait for the child is over. */
  unref(): void {
    if (this.#isDetached && !this.exited.hasWaiters) this.#handle.unref();
  }

  /** Called when the runner closes: kills a child without a `Process`, reports one that has it. */
  async closeWithLoop(): Promise<void> {
    const process = this.#owner?.deref();
    if (this.#returncode === null) await this.#waitBriefly();
    if (this.#returncode === null && !this.#hasExited) {
      if (process === undefined) await this.#killUnowned();
      else this.#detach(process);
    }
    this.closePipes();
  }

  /** Gives the process a moment to exit by itself. */
  async #waitBriefly(): Promise<void> {
    if (this.#wasKilled || this.#hasExited) return await this.exited.wait();
    await waitAtMost(
      this.exited,
      this.#wasSignalled ? SIGNALLED_CLOSE_GRACE : CLOSE_GRACE,
    );
  }

  async #killUnowned(): Promise<void> {
    if (this.#loop.getDebug()) {
      this.#report("was killed: it was running and its Process was dropped");
    }
    this.kill();
    await this.exited.wait();
  }

  /** Leaves the child running; it is killed when its `Process` is garbage-collected. */
  #detach(process: object): void {
    this.#isDetached = true;
    this.#handle.unref();
    detached.add(this);
    unowned.register(process, this, this);
    this.#report("was left running", { process });
  }

  #report(what: string, more: { process?: object } = {}): void {
    this.#loop.callExceptionHandler({
      message: `The child process ${this.describe()} ${what}`,
      ...more,
      pid: this.pid,
    });
  }

  #makeStdinPump(pipe: InputPipe): WritePump {
    const extraInfo = (name: string) =>
      name === "subprocess" ? this.#owner?.deref() : undefined;
    return new WritePump(this.#loop, pipe, { reader: null, extraInfo });
  }

  #openOutput(index: 0 | 1, spawned: SpawnedChild): void {
    const name = index === 0 ? "stdout" : "stderr";
    const { mode, pumped } = spawned[name];
    if (mode !== "piped") return;
    const pipe = new OutputPipe(
      this.#handle[name],
      `${name} of ${this.describe()}`,
    );
    if (pumped === null) {
      this.outputs[index] = pipe;
      this.#openOutputs.push(pipe);
    } else {
      const onError = this.#reporter("write the output of");
      this.#openOutputs.push(new OutputPump(pipe, pumped, onError));
    }
  }

  #reporter(action: string): (exception: unknown) => void {
    return (exception) => {
      const process = this.#owner?.deref();
      this.#loop.callExceptionHandler({
        message: `Failed to ${action} ${this.describe()}`,
        exception,
        ...(process && { process }),
      });
    };
  }

  /** Waits for the process to exit, and then for its output. */
  async #waitForExit(): Promise<void> {
    const code = await exitCode(this.#handle);
    this.#hasExited = true;
    detached.delete(this);
    unowned.unregister(this);
    this.#inputPump?.stop();
    await Promise.all([
      this.input?.closeAfterExit(),
      ...this.#openOutputs.map((output) => output.drainAfterExit()),
    ]);
    // A write in progress finds out by itself.
    if (this.stdinPump?.size === 0) this.stdinPump.terminate(null);
    this.#returncode = code;
    this.exited.set();
    await Promise.all(this.#openOutputs.map((output) => output.closed));
    children.get(this.#loop).delete(this);
  }

  /** Whether the process can receive a signal. */
  #isAlive(): boolean {
    try {
      this.#handle.kill(0 as unknown as Deno.Signal);
      return true;
    } catch {
      return false;
    }
  }

  #killGroup(): void {
    const { state } = deno.permissions.querySync({ name: "run" });
    if (state !== "granted" || deno.build.os === "windows") return;
    try {
      deno.kill(-this.pid, "SIGKILL");
    } catch (error) {
      // Some systems refuse a signal to a group of zombies.
      if (error instanceof deno.errors.NotFound) return;
      if (!(error instanceof deno.errors.PermissionDenied)) throw error;
    }
  }
}

/** Children that are still running although their runners have closed. */
const detached = new Set<Child>();
const unowned = new FinalizationRegistry<Child>(tryToKill);
let killsOnExit = false;

/** The children of a loop that are running or have open pipes. */
const children = new LoopLocal((loop) => {
  const running = new Set<Child>();
  closers.get(loop).add(() =>
    Promise.all(Array.from(running, (child) => child.closeWithLoop()))
  );
  killDetachedOnExit();
  return running;
});

function killDetachedOnExit(): void {
  if (killsOnExit) return;
  killsOnExit = true;
  onExit(() => detached.forEach(tryToKill));
}

function tryToKill(child: Child): void {
  try {
    child.kill();
  } catch {
    // The child was reported when its runner closed.
  }
}

/** The return code of a child, as in Python: `-N` if signal N ended it. */
async function exitCode(child: Deno.ChildProcess): Promise<number> {
  try {
    const { code, signal } = await child.status;
    return signal === null ? code : 128 - code;
  } catch (error) {
    // Deno has no names for real-time signals.
    const number = /^Invalid signal: (\d+)$/.exec((error as Error).message);
    return number === null ? UNKNOWN_RETURNCODE : -Number(number[1]);
  }
}

/** Checks the type of a signal; Deno checks whether it exists. */
export function checkSignalNumber(
  signal: unknown,
): asserts signal is Deno.Signal | number {
  if (typeof signal === "string" || Number.isInteger(signal)) return;
  throw new TypeError(
    `Cannot send a signal: expected its name or number, got ${
      describe(signal)
    }`,
  );
}

/** The error for a signal that was not sent; `null` if the process had exited. */
export function signalFailure(
  signal: Deno.Signal | number,
  cause: unknown,
  isAlive: () => boolean,
  os: string = deno.build.os,
): unknown {
  if (os === "windows") {
    if (WINDOWS_SIGNALS.includes(signal)) return null;
    return new deno.errors.NotSupported(
      `Cannot send ${
        describe(signal)
      }: on Windows, Deno can send SIGTERM and SIGKILL only`,
      { cause },
    );
  }
  if (!isAlive()) return null;
  if (!(cause instanceof TypeError)) return cause;
  return new TypeError(
    `Cannot send a signal: Deno does not know ${describe(signal)}`,
    { cause },
  );
}
