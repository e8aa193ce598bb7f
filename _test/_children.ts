/** Helpers for the tests of subprocesses: the process table, and ways to cancel a call. */

import {
  type Cancellable,
  type Coroutine,
  createTask,
  getRunningLoop,
  type Process,
  run,
  sleep,
  waitFor,
} from "@asyncio/asyncio";
import { outcome } from "./_virtual.ts";

const decoder = new TextDecoder();

/** Decodes bytes; returns `null` as it is. */
export function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : decoder.decode(bytes);
}

/** A column of `/proc/<pid>/stat`, counted from the state, which is 0; `null` if there is no such process. */
function column(pid: number, index: number): string | null {
  try {
    const line = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return line.slice(line.lastIndexOf(")") + 2).split(" ")[index];
  } catch {
    return null;
  }
}

/** The state of a process: "S" for asleep, "Z" for a zombie; `null` if there is none. */
export function stateOf(pid: number): string | null {
  return column(pid, 0);
}

/** Whether a process exists and has not exited. */
export function isRunning(pid: number): boolean {
  return ![null, "Z"].includes(stateOf(pid));
}

/** The session of a process. */
export function sessionOf(pid: number): number {
  return Number(column(pid, 3));
}

/** The children of a process. */
export function childrenOf(pid: number): number[] {
  return [...Deno.readDirSync("/proc")]
    .map(({ name }) => Number(name))
    .filter((it) => it > 0 && column(it, 1) === String(pid));
}

/**
 * A command line that runs one part, waits for {@linkcode proceed}, and runs
 * another part.
 */
export function inTwoParts(first: string, second: string): string {
  return `trap : USR1; ${first}; sleep 100 >/dev/null 2>&1 & wait; kill $!; ${second}`;
}

/** Waits until such a command line has run its first part, and lets it continue. */
export async function proceed(process: Process): Promise<void> {
  while (childrenOf(process.pid).length === 0) await sleep(0.002);
  process.sendSignal("SIGUSR1");
}

/** The number of bytes that a process has written. */
export function writtenBy(pid: number): number {
  const lines = Deno.readTextFileSync(`/proc/${pid}/io`);
  return Number(/wchar: (\d+)/.exec(lines)![1]);
}

/** Polls the process table until a process is in a state. A zombie counts as "gone". */
export async function waitForState(
  pid: number,
  state: "gone" | "asleep",
): Promise<void> {
  const isThere = state === "gone"
    ? () => !isRunning(pid)
    : () => stateOf(pid) === "S";
  while (!isThere()) await sleep(0.002);
}

/** Runs a program, and returns the errors that the exception handler of the loop received. */
export async function reportedErrors(
  main: Coroutine<unknown>,
): Promise<string[]> {
  const messages: string[] = [];
  await run(async (signal) => {
    getRunningLoop().setExceptionHandler((_, { message, exception }) => {
      messages.push(
        exception === undefined ? message : `${message}: ${exception}`,
      );
    });
    await main(signal);
  });
  return messages;
}

/** A waiting call that accepts a signal. */
export type Call = (options?: Cancellable) => Promise<unknown>;

/** Ends a call while it waits, and returns its outcome. */
export type CancelWay = (call: Call) => Promise<string>;

/** The three ways to end a call from outside. */
export const waysToCancel: Record<string, CancelWay> = {
  "a cancelled task": async (call) => {
    const task = createTask(() => call());
    await sleep(0.005);
    task.cancel();
    return await outcome(task);
  },
  "a timeout": async (call) =>
    (await outcome(waitFor(call(), 0.005))).replace(/\(.*\)$/s, ""),
  "a signal": async (call) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("given up")), 5);
    return await outcome(call({ signal: controller.signal }));
  },
};

/** The outcomes of {@linkcode waysToCancel}. */
export const CANCEL_OUTCOMES = [
  "CancelledError",
  "TimeoutError",
  "Error(given up)",
];
