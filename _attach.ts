/**
 * Attaches to a running Deno process through its debugger, and detaches without
 * leaving anything behind.
 *
 * `SIGUSR1` makes the runtime open its debugger on a fixed port. This happens on
 * the event loop, so a blocked loop opens it after the block. The debugger can
 * then evaluate expressions even during a block. A timer in the process, reset
 * by every call, closes the debugger again even if this program is killed.
 *
 * @module
 */

import { InspectorSession } from "./_inspector.ts";
import { linesOf } from "./_call_site.ts";
import { deno, needDeno } from "./_deno.ts";
import { EXIT, type ProcessTable, PsError } from "./_process.ts";
import type { Snapshot } from "./_snapshot.ts";

/** The loops of one thread of a process. */
export interface ThreadLoops {
  /** `"main"`, or what the runtime calls the worker. */
  thread: string;
  /** The snapshots of its loops. */
  loops: Snapshot[];
  /** The stack of the running code, innermost call first; empty if none is running. */
  stack: string[];
}

/** What the process returns. */
interface Seen {
  /** The snapshots as JSON; `null` without the module, `""` if they must be read in another way. */
  loops: string | null;
  stack: string;
}

/** A listening debugger, and the process it belongs to. */
interface Found {
  readonly url: string;
  readonly pid: number;
}

/** The port on which `SIGUSR1` opens the debugger. */
const DEFAULT_PORT = 9229;
/** Poll interval, in milliseconds. */
const POLL_INTERVAL = 5;
/** How often a thread is looked at to find it outside of the runtime's own code. */
const MOST_LOOKS = 20;
/** How long to wait for an answer before telling the user why, in milliseconds. */
const SLOW_AFTER = 1000;
/** How long the runtime takes to announce its workers, in milliseconds. */
const WORKER_DISCOVERY = 25;
/** How long a worker may take to answer, in milliseconds. */
const WORKER_TIMEOUT = 500;

/** Options of {@linkcode attach}. */
export interface AttachOptions {
  table: ProcessTable;
  /** Prints a message for the waiting user. */
  print(text: string): void;
  /** Whether the program may have a name other than Deno. */
  force: boolean;
  /** Whether to close the debugger at the end even if it was open before. */
  close: boolean;
  /** How long to wait for a port that another process uses, in milliseconds. */
  busy: number;
  /** How long to wait for a process to start up, in milliseconds. */
  start: number;
  /** After this time without a call the process closes its debugger, in milliseconds. */
  guard: number;
}

/** An attached process. */
export class Target {
  readonly #session: InspectorSession;
  /** When the process will close its debugger; `null` for never. */
  readonly #guard: number | null;
  readonly #print: (text: string) => void;
  /** The workers by session. */
  readonly #workers = new Map<string, Worker>();

  constructor(
    session: InspectorSession,
    guard: number | null,
    print: (text: string) => void,
  ) {
    this.#session = session;
    this.#guard = guard;
    this.#print = print;
    session.onEvent = (method, params) => this.#take(method, params);
  }

  /** Resolves when the connection has ended, for example with the process. */
  get closed(): Promise<void> {
    return this.#session.closed;
  }

  /** Finds the workers. */
  async open(): Promise<void> {
    const params = { waitForDebuggerOnStart: false };
    // Without this method, only the main thread is inspected.
    const enabled = this.#session.call("NodeWorker.enable", params);
    await this.#answer(enabled.catch(() => {}));
    // The runtime announces its workers after its answer, and does not announce their end.
    await delay(WORKER_DISCOVERY);
  }

  /**
   * The loops of all threads in which the module is.
   *
   * @throws {PsError} If the connection ends meanwhile.
   */
  async read(): Promise<ThreadLoops[]> {
    const main = await this.#readMain();
    const workers = [...this.#workers.values()];
    const others = await Promise.all(workers.map((worker) => worker.ask()));
    return [
      threadOf("main", main),
      ...workers.map(({ title }, at) => threadOf(title, others[at])),
    ].filter((it) => it !== null);
  }

  async #readMain(): Promise<Seen> {
    const guard = this.#guard === null ? "" : `${closing(this.#guard)}, `;
    const expression = `(${guard}${readExpression(true)})`;
    const look = async () =>
      await this.#answer(this.#session.evaluate(expression)) as Seen;
    try {
      let seen = await look();
      // Code of the runtime itself runs only for a moment.
      for (let n = 1; n < MOST_LOOKS && isInRuntime(seen); n++) {
        seen = await look();
      }
      const { loops, stack } = seen;
      return { loops: loops === "" ? await this.#locate(guard) : loops, stack };
    } catch (error) {
      const { message } = error as Error;
      throw new PsError(EXIT.lost, `Cannot read the process: ${message}`);
    }
  }

  /** Reads the loops of threads that run no code, with the lines where tasks wait; this takes microtasks. */
  async #locate(guard: string): Promise<string> {
    const session = this.#session;
    const asked = session.evaluate(`(${guard}${LOCATE_EXPRESSION})`, true);
    const loops = await this.#answer(asked) as string;
    if (!hasLostTask(JSON.parse(loops))) return loops;
    const located = session.callWithAll("Promise.prototype", LOCATE_FUNCTION);
    return await this.#answer(located) as string;
  }

  /** Waits for an answer, and prints a message if it takes long. */
  async #answer<T>(answer: Promise<T>): Promise<T> {
    const timer = setTimeout(
      this.#print,
      SLOW_AFTER,
      "The process does not answer: it waits in a call of the system",
    );
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Detaches, even if the process does not answer. */
  async detach(): Promise<void> {
    if (this.#guard !== null) {
      this.#session.evaluate(closing(0)).catch(() => {});
      // The process ends the connection by closing its debugger.
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, SLOW_AFTER);
      await Promise.race([this.#session.closed, late.promise]);
      clearTimeout(timer);
    }
    await this.#session.close();
  }

  #take(method: string, params: Record<string, unknown>): void {
    const sessionId = params.sessionId as string;
    if (method === "NodeWorker.attachedToWorker") {
      const { title } = params.workerInfo as { title: string };
      this.#workers.set(
        sessionId,
        new Worker(
          title,
          (message) =>
            this.#session.call("NodeWorker.sendMessageToWorker", {
              sessionId,
              message,
            }),
        ),
      );
    } else if (method === "NodeWorker.detachedFromWorker") {
      this.#workers.delete(sessionId);
    } else if (method === "NodeWorker.receivedMessageFromWorker") {
      this.#workers.get(sessionId)?.answer(params.message as string);
    }
  }
}

/** A worker thread of the process. */
class Worker {
  readonly title: string;
  readonly #send: (message: string) => Promise<unknown>;
  #id = 0;
  #waiting: PromiseWithResolvers<Seen | null> | null = null;

  constructor(title: string, send: (message: string) => Promise<unknown>) {
    this.title = title;
    this.#send = send;
  }

  /** The answer of its thread; `null` if it does not answer soon. */
  async ask(): Promise<Seen | null> {
    const waiting = this.#waiting = Promise.withResolvers<Seen | null>();
    const expression = readExpression(false);
    const params = { expression, returnByValue: true, silent: true };
    const id = ++this.#id;
    const message = { id, method: "Runtime.evaluate", params };
    this.#send(JSON.stringify(message)).catch(() => waiting.resolve(null));
    const timer = setTimeout(waiting.resolve, WORKER_TIMEOUT, null);
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  answer(message: string): void {
    const { id, result } = JSON.parse(message);
    if (id === this.#id) this.#waiting?.resolve(result?.result?.value ?? null);
  }
}

/** An expression for {@linkcode Seen}, without the loops if no code is running and the caller can wait for the lines. */
function readExpression(canWait: boolean): string {
  return `(() => {
    const read = globalThis[Symbol.for("asyncio.loops")];
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 50;
    const stack = String(new Error().stack);
    Error.stackTraceLimit = stackTraceLimit;
    if (typeof read !== "function") return { loops: null, stack };
    const isIdle = ${canWait} && stack.split("\\n").slice(1)
      .every((line) => line.includes("at <anonymous>:"));
    return { loops: isIdle ? "" : read(), stack };
  })()`;
}

/** An expression for the loops with the lines where tasks wait, if no code is running. */
const LOCATE_EXPRESSION = `globalThis[Symbol.for("asyncio.loops")]([])`;

/** The same as a function of all promises, which also finds waits for promises from outside of this module. */
const LOCATE_FUNCTION = `function () {
  return globalThis[Symbol.for("asyncio.loops")](this);
}`;

/** Whether the line of a wait for a promise from outside of this module is unknown. */
function hasLostTask(loops: readonly Snapshot[]): boolean {
  return loops.some(({ tasks }) =>
    tasks.some(({ state, stack }) => state === "foreign" && stack.length === 0)
  );
}

/** An expression that makes the process close its debugger some time after the last such call. */
function closing(milliseconds: number): string {
  return `(() => {
    const { setTimeout, clearTimeout } = process.getBuiltinModule("node:timers");
    const key = Symbol.for("asyncio.ps");
    clearTimeout(globalThis[key]);
    const timer = setTimeout(() => {
      delete globalThis[key];
      process.getBuiltinModule("node:inspector").close();
    }, ${milliseconds});
    timer.unref();
    const hidden = { value: timer, configurable: true, enumerable: false };
    Object.defineProperty(globalThis, key, hidden);
  })()`;
}

function threadOf(thread: string, seen: Seen | null): ThreadLoops | null {
  if (seen === null || seen.loops === null) return null;
  return { thread, loops: JSON.parse(seen.loops), stack: callsIn(seen.stack) };
}

/** Whether only code of the runtime was running: waits cannot be located then. */
function isInRuntime({ loops, stack }: Seen): boolean {
  return loops !== null && loops !== "" && callsIn(stack).length === 0;
}

/** The calls of a stack without those of the expression itself. */
function callsIn(stack: string): string[] {
  return linesOf(stack).filter((line) => !line.startsWith("<anonymous>:"));
}

/**
 * Attaches to a process.
 *
 * @throws {PsError} If this is not possible.
 */
export async function attach(
  pid: number,
  options: AttachOptions,
): Promise<Target> {
  needDeno("look at a process");
  await checkProgram(pid, options);
  let found = await findOpen(pid, options.table);
  const wasOpen = found !== null;
  found ??= await openDebugger(pid, options);
  const session = await InspectorSession.connect(found.url)
    .catch((error: Error) => {
      throw new PsError(EXIT.lost, error.message);
    });
  const closes = !wasOpen || options.close;
  const guard = closes ? options.guard : null;
  const target = new Target(session, guard, options.print);
  await target.open();
  return target;
}

async function checkProgram(
  pid: number,
  { table, force }: AttachOptions,
): Promise<void> {
  if (pid === deno.pid) {
    throw new PsError(EXIT.usage, `Process ${pid} is this one`);
  }
  const program = await table.program(pid).catch(describeRefusal(pid));
  if (program === null) {
    throw new PsError(EXIT.noProcess, `There is no process ${pid}`);
  }
  const name = program.split(/[\\/]/).at(-1)!;
  if (force || /^deno(?:\.exe)?$/.test(name)) return;
  throw new PsError(
    EXIT.notDeno,
    `Process ${pid} is not Deno but ${program}; for one that "deno compile" has made, add --force`,
  );
}

/** The debugger of a process; `null` if it is not open. */
async function findOpen(
  pid: number,
  table: ProcessTable,
): Promise<Found | null> {
  const command = await table.command(pid).catch(describeRefusal(pid));
  const given = /--inspect(?:-brk|-wait)?=(?:\S*:)?(\d+)/.exec(command);
  const ports = new Set([DEFAULT_PORT, ...(given ? [Number(given[1])] : [])]);
  const listening = await table.ports(pid).catch(describeRefusal(pid));
  const likely = [...ports].filter((port) => listening?.includes(port) ?? true);
  return await findAt(likely, pid);
}

/** The debugger of a process; `null` if it listens on none of the given ports. */
async function findAt(
  ports: readonly number[],
  pid: number,
): Promise<Found | null> {
  for (const port of ports) {
    const found = await ask(port);
    if (found?.pid === pid) return found;
  }
  return null;
}

/** Finds out whether a debugger listens on a port, and whose it is. */
async function ask(port: number): Promise<Found | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/json/list`, {
      signal: AbortSignal.timeout(SLOW_AFTER),
    });
    const [{ title, webSocketDebuggerUrl: url }] = await response.json();
    return { url, pid: Number(/\[pid: (\d+)\]/.exec(title)?.[1]) };
  } catch {
    return null; // nothing, or something else, listens there
  }
}

async function openDebugger(
  pid: number,
  options: AttachOptions,
): Promise<Found> {
  if (deno.build.os === "windows") {
    throw new PsError(
      EXIT.noDebugger,
      `The debugger of process ${pid} is closed, and on Windows nothing can open it from outside: start the program with --inspect`,
    );
  }
  await untilPrepared(pid, options);
  await untilFree(pid, options);
  return await untilOpen(pid, options);
}

/** Makes the runtime open its debugger, unless it is open. */
function signal(pid: number): void {
  try {
    deno.kill(pid, "SIGUSR1");
  } catch (error) {
    describeRefusal(pid)(error);
  }
}

/** Waits until no other process uses the port. */
async function untilFree(
  pid: number,
  { busy, print }: AttachOptions,
): Promise<void> {
  const start = Date.now();
  let hasTold = false;
  while (!isFree()) {
    const owner = (await ask(DEFAULT_PORT))?.pid;
    if (owner === pid) return; // the block has ended meanwhile
    const who = owner ? `the debugger of process ${owner}` : "another program";
    if (Date.now() > start + busy) {
      throw new PsError(
        EXIT.noDebugger,
        `The debugger of process ${pid} cannot be opened: its port ${DEFAULT_PORT} is taken by ${who}`,
      );
    }
    if (!hasTold && Date.now() > start + SLOW_AFTER) {
      hasTold = true;
      print(`Port ${DEFAULT_PORT} is taken by ${who}, and is waited for`);
    }
    await delay(POLL_INTERVAL * 10);
  }
}

function isFree(): boolean {
  try {
    deno.listen({ hostname: "127.0.0.1", port: DEFAULT_PORT }).close();
    return true;
  } catch (error) {
    if (error instanceof deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Waits until the signal no longer kills the process. */
async function untilPrepared(
  pid: number,
  { table, start }: AttachOptions,
): Promise<void> {
  const end = Date.now() + start;
  while (!await table.handlesSigusr1(pid).catch(describeRefusal(pid))) {
    if (Date.now() > end) {
      throw new PsError(
        EXIT.noDebugger,
        `The debugger of process ${pid} cannot be opened: SIGUSR1 would kill the process, which is blocked since its start or has the debugger disabled`,
      );
    }
    await delay(POLL_INTERVAL * 4);
  }
}

/**
 * Waits for the debugger, which a blocked loop opens only after the block. The
 * signal is repeated, as another process may have taken the port just before.
 */
async function untilOpen(
  pid: number,
  options: AttachOptions,
): Promise<Found> {
  const { table, print } = options;
  signal(pid);
  let hasTold = false;
  let last = Date.now();
  for (;;) {
    const found = await findAt([DEFAULT_PORT], pid);
    if (found !== null) return found;
    if (await table.program(pid) === null) {
      throw new PsError(EXIT.lost, `Process ${pid} has ended`);
    }
    if (Date.now() > last + SLOW_AFTER) {
      // The program may have opened the debugger itself, on an unknown port.
      const ports = await table.ports(pid).catch(describeRefusal(pid));
      const elsewhere = await findAt(ports ?? [], pid);
      if (elsewhere !== null) return elsewhere;
      if (!hasTold) print(blockedText(pid));
      hasTold = true;
      await untilFree(pid, options);
      signal(pid);
      last = Date.now();
    }
    await delay(POLL_INTERVAL);
  }
}

function blockedText(pid: number): string {
  return `Process ${pid} does not answer: its event loop is blocked. The report comes when the block ends (to see the stack during a block: run(main, { watchdog: 0.5 }))`;
}

/** Explains why a process cannot be inspected. */
function describeRefusal(pid: number): (error: unknown) => never {
  return (error) => {
    if (
      error instanceof deno.errors.PermissionDenied ||
      error instanceof deno.errors.NotCapable
    ) {
      throw new PsError(
        EXIT.notPermitted,
        `Not permitted to look at process ${pid}: ${error.message}`,
      );
    }
    if (error instanceof deno.errors.NotFound) {
      throw new PsError(EXIT.lost, `Process ${pid} has ended`);
    }
    throw error;
  };
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
