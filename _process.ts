/**
 * Reads from the operating system which program another process runs, whether a
 * signal would kill it, and on which ports it listens.
 *
 * @module
 */

import { deno } from "./_deno.ts";

/** The error when a process cannot be inspected, with the exit status. */
export class PsError extends Error {
  /** The exit status. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "PsError";
    this.code = code;
  }
}

/** Exit statuses. */
export const EXIT = {
  lost: 1,
  usage: 2,
  noProcess: 3,
  notDeno: 4,
  notPermitted: 5,
  noDebugger: 6,
  noModule: 7,
  noLoop: 8,
} as const;

/** Information about processes, as an operating system provides it. */
export interface ProcessTable {
  /** The path of the program; `null` if there is no such process. */
  program(pid: number): Promise<string | null>;
  /** The command line, as far as known. */
  command(pid: number): Promise<string>;
  /** Whether the process handles `SIGUSR1` by opening its debugger. Until it does, the signal kills it. */
  handlesSigusr1(pid: number): Promise<boolean>;
  /** The local TCP ports that a process listens on; `null` if unknown. */
  ports(pid: number): Promise<number[] | null>;
}

/** The process table of this system. */
export function processTable(): ProcessTable {
  if (deno.build.os === "linux") return linux;
  return deno.build.os === "windows" ? windows : unix;
}

/** The bit of `SIGUSR1` in the mask of handled signals. */
const SIGUSR1 = 1n << 9n;
/** The age in seconds at which a process is assumed to have installed its signal handlers, on systems without that mask. */
const STARTED_AGE = 2;
const LISTENING = "0A";

const linux: ProcessTable = {
  async program(pid) {
    const link = await orNull(() => deno.readLink(`/proc/${pid}/exe`));
    return link?.replace(/ \(deleted\)$/, "") ?? null;
  },
  async command(pid) {
    const text = await deno.readTextFile(`/proc/${pid}/cmdline`);
    return text.split("\0").join(" ").trim();
  },
  async handlesSigusr1(pid) {
    const status = await deno.readTextFile(`/proc/${pid}/status`);
    const [, caught] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status) ?? [];
    return (BigInt(`0x${caught ?? 0}`) & SIGUSR1) !== 0n;
  },
  async ports(pid) {
    const inodes = new Set<string>();
    for await (const { name } of deno.readDir(`/proc/${pid}/fd`)) {
      const target = await orNull(() =>
        deno.readLink(`/proc/${pid}/fd/${name}`)
      );
      const [, inode] = /^socket:\[(\d+)\]$/.exec(target ?? "") ?? [];
      if (inode !== undefined) inodes.add(inode);
    }
    const table = await deno.readTextFile(`/proc/${pid}/net/tcp`);
    return listeningIn(table, inodes);
  },
};

/** The ports that the sockets of a process listen on, according to a table of the kernel. */
export function listeningIn(
  table: string,
  inodes: ReadonlySet<string>,
): number[] {
  return table.split("\n").slice(1)
    .map((row) => row.trim().split(/\s+/))
    .filter((row) => row[3] === LISTENING && inodes.has(row[9]))
    .map((row) => parseInt(row[1].split(":")[1], 16));
}

const unix: ProcessTable = {
  async program(pid) {
    return await output("ps", "-o", "comm=", "-p", `${pid}`) || null;
  },
  async command(pid) {
    return await output("ps", "-o", "command=", "-p", `${pid}`);
  },
  async handlesSigusr1(pid) {
    const age = await output("ps", "-o", "etime=", "-p", `${pid}`);
    return secondsOf(age) >= STARTED_AGE;
  },
  async ports(pid) {
    const options = ["-nP", "-a", "-p", `${pid}`, "-iTCP", "-sTCP:LISTEN"];
    const text = await output("lsof", ...options, "-Fn");
    return [...text.matchAll(/^n.*:(\d+)$/gm)].map(([, port]) => Number(port));
  },
};

const windows: ProcessTable = {
  async program(pid) {
    const filter = `PID eq ${pid}`;
    const text = await output("tasklist", "/FI", filter, "/FO", "CSV", "/NH");
    return /^"([^"]+)"/.exec(text)?.[1] ?? null;
  },
  command: async (pid) => await windows.program(pid) ?? "",
  handlesSigusr1: () => Promise.resolve(false),
  ports: () => Promise.resolve(null),
};

/** The seconds in an age as `ps` prints it: `[[days-]hours:]minutes:seconds`. */
export function secondsOf(age: string): number {
  const [time, days = "0"] = age.trim().split("-").reverse();
  const seconds = time.split(":")
    .reduce((sum, part) => sum * 60 + Number(part), 0);
  return Number(days) * 86_400 + seconds;
}

/** The output of a system program; `""` if the program does not exist. */
async function output(program: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await new deno.Command(program, {
      args,
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (error instanceof deno.errors.NotFound) return "";
    throw error;
  }
}

/** The result of a read; `null` if the file does not exist. */
async function orNull<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof deno.errors.NotFound) return null;
    throw error;
  }
}
