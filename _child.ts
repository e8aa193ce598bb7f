/**
 * A child process as the runtime runs it, and what becomes of it when its
 * runner closes.
 *
 * A {@linkcode Child} holds its pipes and follows the process to its end, but
 * does not hold the `Process` that the program has: once a runner has closed,
 * a child is killed when nobody has its `Process` any more. Whoever waits for
 * a child, or has one of its streams, has its `Process` too.
 *
 * Nothing in here knows of tasks. It is to be started in no task's context,
 * as the child outlives the task.
 *
 * @module
 */

import {
  type Command,
  type Launch,
  signalFailure,
  type SubprocessOptions,
} from "./_command.ts";
import type { EventLoop } from "./_event_loop.ts";
import { deno } from "./_deno.ts";
import { onExit } from "./_host.ts";
import { type ChildSnapshot, inventoryOf } from "./_inventory.ts";
import { closersOf, internals as loops } from "./_scheduler.ts";
import {
  Gate,
  InputPipe,
  InputPump,
  type Output,
  OutputPipe,
  OutputPump,
  within,
} from "./_child_pipes.ts";
import { WritePump } from "./_stream_writer.ts";

/** The return code of a process that the runtime has lost, as Python has it. */
const UNKNOWN = 255;
/** How long a closing runner waits for children that end by themselves, in milliseconds. */
const LAST_MOMENT = 50;
/** The same for those that were told to, with `SIGTERM` for instance. */
const LAST_MOMENT_IF_SIGNALLED = 500;

/** What a child is made of. */
export interface ChildParts {
  readonly loop: EventLoop;
  readonly command: Command;
  readonly options: SubprocessOptions;
  readonly launch: Launch;
}

export class Child {
  readonly #loop: EventLoop;
  readonly #handle: Deno.ChildProcess;
  readonly #name: string;
  readonly #grouped: boolean;
  /** The `Process`, as long as somebody has it. */
  #owner: WeakRef<object> | null = null;
  readonly input: InputPipe | null = null;
  /** What the program writes through, `null` unless it has the pipe. */
  readonly outlet: WritePump | null = null;
  readonly #pump: InputPump | null = null;
  /** The pipes that the program reads from. */
  readonly outputs: [OutputPipe | null, OutputPipe | null] = [null, null];
  /** Everything that comes out of the child, pumped or not. */
  readonly #flows: Output[] = [];
  /** The process has ended; its output may still be on its way. */
  #gone = false;
  /** Whether it was sent `SIGKILL`, or another signal that may end it. */
  #killed = false;
  #signalled = false;
  /** Its runner has closed: the child keeps the program alive only while somebody waits. */
  #abandoned = false;
  #returncode: number | null = null;
  /** Opens when the return code is there. */
  readonly exited: Gate = new Gate();

  constructor(parts: ChildParts) {
    const { command, launch, loop, options } = parts;
    this.#loop = loop;
    this.#handle = launch.child;
    this.#name = command.name;
    this.#grouped = Boolean(options.startNewSession);
    if (launch.stdin.host === "piped") {
      const name = `stdin of ${this.describe()}`;
      const pipe = this.input = new InputPipe(this.#handle.stdin, name);
      const { pumped } = launch.stdin;
      if (pumped === null) this.outlet = this.#makeOutlet(pipe);
      else {
        const onError = this.#reporter("read the input of");
        this.#pump = new InputPump(pumped, pipe, onError);
      }
    }
    this.#open(0, launch);
    this.#open(1, launch);
    childrenOf(loop).add(this);
    void this.#watch();
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

  /** The child for reports. */
  toJSON(): ChildSnapshot {
    const notes = ["stdout", "stderr"].flatMap((name, index) => {
      const pipe = this.outputs[index]!;
      if (!pipe?.neglected) return [];
      return `${name}: ${pipe.unread} bytes were read ahead, the rest is in the pipe; nobody reads it`;
    });
    return { pid: this.pid, name: this.#name, notes };
  }

  /** What somebody waits for who waits for the end. */
  describeEnd(): string {
    const names = ["stdout", "stderr"]
      .filter((_, index) => this.outputs[index]?.neglected)
      .join(" and ");
    const hint = names === ""
      ? ""
      : `, whose ${names} nobody reads (a full pipe stops it; communicate() reads it)`;
    return `the end of ${this.describe()}${hint}`;
  }

  /** Remembers the `Process`, and does not hold it. */
  ownedBy(process: object): void {
    this.#owner = new WeakRef(process);
  }

  /** Kills the process, waits until it has ended, and closes its pipes. */
  async end(): Promise<void> {
    this.hold();
    try {
      this.kill();
      await this.exited.wait();
    } finally {
      this.closePipes(); // also of one that may not be killed
    }
    // The others of its group may have it for another moment.
    if (!this.#grouped || this.input === null) return;
    await within(this.input.released, LAST_MOMENT_IF_SIGNALLED);
  }

  /**
   * Sends a signal; nothing happens if the process has ended.
   *
   * @throws {TypeError} If the runtime does not know the signal.
   * @throws {Deno.errors.NotSupported} If the system does not have it.
   */
  signal(signal: Deno.Signal | number): void {
    if (this.#gone) return;
    try {
      this.#handle.kill(signal as Deno.Signal);
    } catch (error) {
      const failure = signalFailure(signal, error, () => this.#isAlive());
      if (failure !== null) throw failure;
      return;
    }
    if (signal === "SIGKILL" || signal === 9) this.#killed = true;
    if (signal !== 0) this.#signalled = true;
  }

  /** Kills the process, and its group if it leads one. */
  kill(): void {
    this.signal("SIGKILL");
    if (this.#grouped) this.#killGroup();
  }

  closePipes(): void {
    this.outlet?.abort(false);
    this.input?.abort();
    this.#pump?.stop();
    for (const flow of this.#flows) flow.close();
  }

  /** Somebody waits for the end of the child. */
  hold(): void {
    if (this.#abandoned) this.#handle.ref();
  }

  /** Somebody waits no more. */
  letGo(): void {
    if (this.#abandoned && !this.exited.awaited) this.#handle.unref();
  }

  /** The runner closes: a child that nobody has is killed, another one reported. */
  async abandon(): Promise<void> {
    const process = this.#owner?.deref();
    if (this.#returncode === null) await this.#lastMoment();
    if (this.#returncode === null && !this.#gone) {
      if (process === undefined) await this.#killForgotten();
      else this.#leave(process);
    }
    this.closePipes();
  }

  /** Waits for an end that is about to come. */
  async #lastMoment(): Promise<void> {
    if (this.#killed || this.#gone) return await this.exited.wait();
    await within(
      this.exited,
      this.#signalled ? LAST_MOMENT_IF_SIGNALLED : LAST_MOMENT,
    );
  }

  async #killForgotten(): Promise<void> {
    if (this.#loop.getDebug()) {
      this.#report("was killed: it was running and nobody had its Process");
    }
    this.kill();
    await this.exited.wait();
  }

  /** Lets go of a running child; it is killed when nobody has its `Process`. */
  #leave(process: object): void {
    this.#abandoned = true;
    this.#handle.unref();
    leftRunning.add(this);
    forgotten.register(process, this, this);
    this.#report("was left running", { process });
  }

  #report(what: string, more: { process?: object } = {}): void {
    this.#loop.callExceptionHandler({
      message: `The child process ${this.describe()} ${what}`,
      ...more,
      pid: this.pid,
    });
  }

  #makeOutlet(pipe: InputPipe): WritePump {
    const extra = (name: string) =>
      name === "subprocess" ? this.#owner?.deref() : undefined;
    return new WritePump(this.#loop, pipe, { reader: null, extra });
  }

  #open(index: 0 | 1, launch: Launch): void {
    const name = index === 0 ? "stdout" : "stderr";
    const { host, pumped } = launch[name];
    if (host !== "piped") return;
    const pipe = new OutputPipe(
      this.#handle[name],
      `${name} of ${this.describe()}`,
    );
    if (pumped === null) {
      this.outputs[index] = pipe;
      this.#flows.push(pipe);
    } else {
      const onError = this.#reporter("write the output of");
      this.#flows.push(new OutputPump(pipe, pumped, onError));
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

  /** Follows the process to its end. */
  async #watch(): Promise<void> {
    const code = await exitCode(this.#handle);
    this.#gone = true;
    leftRunning.delete(this);
    forgotten.unregister(this);
    this.#pump?.stop();
    await Promise.all([
      this.input?.settle(),
      ...this.#flows.map((flow) => flow.settle()),
    ]);
    // Bytes that are still on their way find out for themselves.
    if (this.outlet?.size === 0) this.outlet.lose(null);
    this.#returncode = code;
    this.exited.open();
    await Promise.all(this.#flows.map((flow) => flow.closed));
    childrenOf(this.#loop).delete(this);
  }

  /** Whether the process could take a signal. */
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
      // Some systems refuse a signal to a group that has zombies only.
      if (error instanceof deno.errors.NotFound) return;
      if (!(error instanceof deno.errors.PermissionDenied)) throw error;
    }
  }
}

/** Children that run on though their runners have closed. */
const leftRunning = new Set<Child>();
const forgotten = new FinalizationRegistry<Child>(tryToKill);
let listening = false;

/** The children of a loop that are running or have open pipes. */
function childrenOf(loop: EventLoop): Set<Child> {
  const extras = loops.storage(loop);
  let children = extras.get(Child) as Set<Child> | undefined;
  if (children === undefined) {
    const born = children = new Set<Child>();
    extras.set(Child, born);
    inventoryOf(loop).add((lists) =>
      lists.children = Array.from(born, (child) => child.toJSON())
    );
    closersOf(loop).add(() =>
      Promise.all(Array.from(born, (child) => child.abandon()))
    );
    killLeftAtEnd();
  }
  return children;
}

/** At the end of the program nobody has anything any more. */
function killLeftAtEnd(): void {
  if (listening) return;
  listening = true;
  onExit(() => leftRunning.forEach(tryToKill));
}

function tryToKill(child: Child): void {
  try {
    child.kill();
  } catch {
    // It was reported when its runner closed.
  }
}

/** How a child ended, as Python counts it. */
async function exitCode(child: Deno.ChildProcess): Promise<number> {
  try {
    const { code, signal } = await child.status;
    return signal === null ? code : 128 - code;
  } catch (error) {
    // The runtime does not know the real-time signals by name.
    const number = /^Invalid signal: (\d+)$/.exec((error as Error).message);
    return number === null ? UNKNOWN : -Number(number[1]);
  }
}
