/** What the tests of subprocesses share: the process table, and ways to give up. */

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

/** Bytes as text; what is no bytes stays as it is. */
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

/** Whether there is such a process, and it has not ended. */
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

/** Waits until such a command line has run its first part, and has it run the other one. */
export async function proceed(process: Process): Promise<void> {
  while (childrenOf(process.pid).length === 0) await sleep(0.002);
  process.sendSignal("SIGUSR1");
}

/** How many bytes a process has written. */
export function writtenBy(pid: number): number {
  const lines = Deno.readTextFileSync(`/proc/${pid}/io`);
  return Number(/wchar: (\d+)/.exec(lines)![1]);
}

/** Looks at the process table until a process is in a state; "gone" also if it waits to be reaped. */
export async function until(
  pid: number,
  state: "gone" | "asleep",
): Promise<void> {
  const isThere = state === "gone"
    ? () => !isRunning(pid)
    : () => stateOf(pid) === "S";
  while (!isThere()) await sleep(0.002);
}

/** The errors that a loop's exception handler hears of while a program runs. */
export async function heard(main: Coroutine<unknown>): Promise<string[]> {
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

/** A call that waits and takes a signal. */
export type Call = (options?: Cancellable) => Promise<unknown>;

/** Gives a call up once it waits; tells how that came out. */
export type GivingUp = (call: Call) => Promise<string>;

/** The three ways to give up a call. */
export const waysToGiveUp: Record<string, GivingUp> = {
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

/** What {@linkcode waysToGiveUp} tell of a call that was given up. */
export const GIVEN_UP = ["CancelledError", "TimeoutError", "Error(given up)"];
