/**
 * Prints what a running program is doing: its tasks, what each waits for and for
 * how long and, in debug mode, at which line. The probable cause of a deadlock
 * comes first. The program needs no preparation.
 *
 * ```sh
 * deno run -A jsr:@asyncio/asyncio/ps 4711
 * ```
 *
 * `SIGUSR1` opens the debugger of the process, and it is closed again afterwards.
 * The process prints some lines about that to its standard error stream. On
 * Windows the program has to be started with `--inspect`.
 *
 * @module
 */

import { attach, type Target, type ThreadLoops } from "./_attach.ts";
import { deno, needDeno } from "./_deno.ts";
import { EXIT, processTable, PsError } from "./_process.ts";
import { formatSnapshot } from "./_report.ts";
import { Top } from "./_top.ts";

const HELP = `Prints what a running Deno program that uses asyncio is doing.

Usage: deno run -A jsr:@asyncio/asyncio/ps [options] PID

Options:
  --json             Print the snapshots as JSON
  --watch[=SECONDS]  Redraw the tasks by place, every second by default
  --force            Attach to a program that is not called deno ("deno compile")
  --close            Close the debugger of the process even if it was open before
  --help             Print this

Exit status:
  0  printed                      5  not permitted
  1  lost the process             6  the debugger is busy or disabled
  2  wrong arguments              7  the program does not use asyncio
  3  no such process              8  the program has no event loop now
  4  not a Deno process`;

/** How long to wait for the port of another process's debugger, in milliseconds. */
const PORT_TIMEOUT = 5000;
/** How long to wait for a process to start up, in milliseconds. */
const START_TIMEOUT = 10_000;
/** When a process closes its debugger after this program was killed, in milliseconds. */
const GUARD_TIME = 3000;

/** The command line options. */
interface PsOptions {
  pid: number;
  json: boolean;
  /** The seconds between two views; `null` for a single report. */
  watch: number | null;
  force: boolean;
  close: boolean;
}

/** Parses the command line; returns `null` for `--help`. */
function parse(args: readonly string[]): PsOptions | null {
  const options: PsOptions = {
    pid: NaN,
    json: false,
    watch: null,
    force: false,
    close: false,
  };
  for (const arg of args) {
    const [, seconds] = /^--watch=(.+)$/.exec(arg) ?? [];
    if (arg === "--help" || arg === "-h") return null;
    else if (arg === "--json") options.json = true;
    else if (arg === "--force") options.force = true;
    else if (arg === "--close") options.close = true;
    else if (arg === "--watch") options.watch = 1;
    else if (seconds !== undefined && Number(seconds) > 0) {
      options.watch = Number(seconds);
    } else if (/^\d+$/.test(arg) && Number.isNaN(options.pid)) {
      options.pid = Number(arg);
    } else throw new PsError(EXIT.usage, `Unknown argument ${arg}\n\n${HELP}`);
  }
  if (options.pid > 0) return options;
  throw new PsError(EXIT.usage, `Expected the id of a process\n\n${HELP}`);
}

/** Runs a command line; returns the exit status. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parse(args);
    if (options === null) console.log(HELP);
    else await report(options);
    return 0;
  } catch (error) {
    if (!(error instanceof PsError)) throw error;
    console.error(error.message);
    return error.code;
  }
}

async function report(options: PsOptions): Promise<void> {
  const { pid, watch, force, close } = options;
  const table = processTable();
  let stop = (): void => exitEarly(pid);
  const onSignal = () => stop();
  deno.addSignalListener("SIGINT", onSignal);
  try {
    const guard = (watch ?? 0) * 1000 + GUARD_TIME;
    const times = { busy: PORT_TIMEOUT, start: START_TIMEOUT, guard };
    const target = await attach(pid, { table, force, close, print, ...times });
    try {
      const command = await table.command(pid).catch(() => "");
      const title = `Process ${pid}: ${command}`;
      if (watch === null) await printOnce(target, title, options);
      else {
        const stopped = new Promise<void>((resolve) => stop = resolve);
        await watchTasks(target, title, options, stopped);
      }
    } finally {
      await target.detach();
    }
  } finally {
    deno.removeSignalListener("SIGINT", onSignal);
  }
}

/** Handles Ctrl-C while attaching, when the process may not answer. */
function exitEarly(pid: number): never {
  print(
    `Process ${pid} may still open its debugger when its block ends: ps --close ${pid} closes it`,
  );
  deno.exit(130);
}

async function printOnce(
  target: Target,
  title: string,
  { pid, json }: PsOptions,
): Promise<void> {
  const threads = await read(target, pid);
  if (json) return console.log(JSON.stringify(threads));
  const parts = threads.flatMap(({ thread, loops, stack }) => [
    ...loops.map((loop) => {
      const head = threads.length > 1 ? `Thread ${thread}\n` : "";
      return head + formatSnapshot(loop);
    }),
    ...(stack.length > 0
      ? [`Running now:\n${stack.map((it) => `    at ${it}`).join("\n")}`]
      : []),
  ]);
  console.log([title, ...parts].join("\n\n"));
}

/** Draws views until Ctrl-C or the end of the process, even if the process does not answer. */
async function watchTasks(
  target: Target,
  title: string,
  { pid, json, watch }: PsOptions,
  stopped: Promise<void>,
): Promise<void> {
  const top = new Top();
  const ended = Promise.race([target.closed, stopped]).then(() => null);
  for (;;) {
    const threads = await Promise.race([read(target, pid), ended]);
    if (threads === null) return;
    if (json) console.log(JSON.stringify(threads));
    else show(top.draw(title, threads, performance.now(), size()));
    const pause = Promise.withResolvers<true>();
    const timer = setTimeout(pause.resolve, watch! * 1000, true);
    const isOpen = await Promise.race([pause.promise, ended]);
    clearTimeout(timer);
    if (isOpen === null) return;
  }
}

async function read(target: Target, pid: number): Promise<ThreadLoops[]> {
  const threads = await target.read();
  if (threads.length === 0) {
    throw new PsError(
      EXIT.noModule,
      `The program of process ${pid} does not use asyncio`,
    );
  }
  if (threads.some(({ loops }) => loops.length > 0)) return threads;
  throw new PsError(
    EXIT.noLoop,
    `The program of process ${pid} uses asyncio, but has no event loop now`,
  );
}

function show(text: string): void {
  const clear = deno.stdout.isTerminal() ? "\x1b[H\x1b[J" : "";
  console.log(clear + text + (clear === "" ? "\n" : ""));
}

function size(): { columns: number; rows: number } {
  if (deno.stdout.isTerminal()) return deno.consoleSize();
  return { columns: Infinity, rows: Infinity };
}

function print(text: string): void {
  console.error(text);
}

if (import.meta.main) {
  needDeno("look at a process");
  deno.exit(await main(deno.args));
}
