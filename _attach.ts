/**
 * Attaching to a running Deno process through its debugger, and letting go of
 * it so that nothing has changed.
 *
 * `SIGUSR1` has the runtime open its debugger on a fixed port, from its event
 * loop: a blocked one does so after the block. The debugger then evaluates
 * what it is asked to also in the midst of a block. The process closes it
 * again by a timer, which is set off with every question, so that it does
 * even if this side is killed.
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
  /** One for each loop. */
  loops: Snapshot[];
  /** The stack of the code that runs, the innermost call first; empty if none does. */
  stack: string[];
}

/** What an expression in the process gives. */
interface Seen {
  /** JSON of the snapshots, `null` without the module, `""` if it is to be read in another way. */
  loops: string | null;
  stack: string;
}

/** A debugger that is listening, and the process it belongs to. */
interface Found {
  readonly url: string;
  readonly pid: number;
}

/** Where `SIGUSR1` opens the debugger. */
const DEFAULT_PORT = 9229;
/** Poll interval, in milliseconds. */
const POLL_INTERVAL = 5;
/** Without an answer for this long, the user is told why, in milliseconds. */
const SLOW_AFTER = 1000;
/** How long the runtime takes to announce its workers, in milliseconds. */
const WORKER_DISCOVERY = 25;
/** How long a worker may take to answer, in milliseconds. */
const WORKER_TIMEOUT = 500;

/** What attaching is to know. */
export interface AttachOptions {
  table: ProcessTable;
  /** Says something to whoever waits. */
  print(text: string): void;
  /** Whether the program may have another name than Deno. */
  force: boolean;
  /** Whether to close the debugger at the end also if it was open before. */
  close: boolean;
  /** How long a port that somebody else has is waited for, in milliseconds. */
  busy: number;
  /** How long the start of a process may take, in milliseconds. */
  start: number;
  /** After so long without a question the process closes its debugger, in milliseconds. */
  guard: number;
}

/** A process that was attached to. */
export class Target {
  readonly #session: InspectorSession;
  /** When the process is to close its debugger, `null` for never. */
  readonly #guard: number | null;
  readonly #print: (text: string) => void;
  /** Workers by their session. */
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

  /** Settles when the connection has ended, as when the process has. */
  get closed(): Promise<void> {
    return this.#session.closed;
  }

  /** Finds the workers. */
  async open(): Promise<void> {
    const params = { waitForDebuggerOnStart: false };
    // A runtime that does not have it has only its main thread looked at.
    const enabled = this.#session.call("NodeWorker.enable", params);
    await this.#answer(enabled.catch(() => {}));
    // The runtime tells of its workers after its answer, and not of their end.
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
    const seen = this.#session.evaluate(`(${guard}${readExpression(true)})`);
    try {
      const { loops, stack } = await this.#answer(seen) as Seen;
      return { loops: loops === "" ? await this.#locate(guard) : loops, stack };
    } catch (error) {
      const { message } = error as Error;
      throw new PsError(EXIT.lost, `Cannot read the process: ${message}`);
    }
  }

  /** Reads the loops with the places where tasks wait, where no code is running: that takes microtasks. */
  async #locate(guard: string): Promise<string> {
    const session = this.#session;
    const asked = session.evaluate(`(${guard}${LOCATE_EXPRESSION})`, true);
    const loops = await this.#answer(asked) as string;
    if (!hasLostTask(JSON.parse(loops))) return loops;
    const located = session.callWithAll("Promise.prototype", LOCATE_FUNCTION);
    return await this.#answer(located) as string;
  }

  /** Waits for an answer, and tells the user if it takes long. */
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
      // The process ends the connection as it closes its debugger.
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

  /** What its thread sees; `null` if it does not answer soon. */
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

/** Gives {@linkcode Seen}; without the loops if no code is running and whoever asks would rather wait for the places. */
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

/** Gives the loops with the places where tasks wait, where no code is running. */
const LOCATE_EXPRESSION = `globalThis[Symbol.for("asyncio.loops")]([])`;

/** The same of all promises of the process, which tell where tasks wait for those of others. */
const LOCATE_FUNCTION = `function () {
  return globalThis[Symbol.for("asyncio.loops")](this);
}`;

/** Whether the place of a wait for a foreign promise is not known. */
function hasLostTask(loops: readonly Snapshot[]): boolean {
  return loops.some(({ tasks }) =>
    tasks.some(({ state, stack }) => state === "foreign" && stack.length === 0)
  );
}

/** Has the process close its debugger after a time, counted from the last such call. */
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

/** The calls of a stack without those of the question itself. */
function callsIn(stack: string): string[] {
  return linesOf(stack).filter((line) => !line.startsWith("<anonymous>:"));
}

/**
 * Attaches to a process.
 *
 * @throws {PsError} If that is not possible.
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

/** The debugger of a process, if it is open. */
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

/** The debugger of a process, if it listens on one of some ports. */
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

/** Asks whether a debugger listens, and whose it is. */
async function ask(port: number): Promise<Found | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/json/list`, {
      signal: AbortSignal.timeout(SLOW_AFTER),
    });
    const [{ title, webSocketDebuggerUrl: url }] = await response.json();
    return { url, pid: Number(/\[pid: (\d+)\]/.exec(title)?.[1]) };
  } catch {
    return null; // nobody, or somebody else
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

/** Waits until nobody else has the port. */
async function untilFree(
  pid: number,
  { busy, print }: AttachOptions,
): Promise<void> {
  const start = Date.now();
  let hasTold = false;
  while (!isFree()) {
    const owner = (await ask(DEFAULT_PORT))?.pid;
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

/** Waits until the signal does not kill the process. */
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
 * Waits for the debugger; a loop that is blocked opens it after the block. The
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
      // One that the program has opened itself, where only it knows.
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
