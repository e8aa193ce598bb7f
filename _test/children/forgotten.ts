/**
 * Leaves children running at the end of `run`, in all ways, and says what
 * becomes of them. To be run with a collector that can be called.
 */

import {
  createSubprocessExec,
  createTask,
  getRunningLoop,
  PIPE,
  type Process,
  run,
  sleep,
  timeout,
} from "../../mod.ts";

const pipes = { stdin: PIPE, stdout: PIPE, stderr: PIPE } as const;
const { gc } = globalThis as unknown as { gc(): void };
const held: unknown[] = [];
let later: Process | null = null;

function sleeper(options = {}): Promise<Process> {
  return createSubprocessExec("sleep", ["100"], options);
}

/** What `main` does to its child, of which it gives the number. */
const ENDS: Record<string, () => Promise<number>> = {
  "forgotten": async () => (await sleeper()).pid,
  "forgotten with pipes": async () => (await sleeper(pipes)).pid,
  "forgotten with files": async () => {
    const stdout = new WritableStream<Uint8Array>();
    return (await sleeper({ stdout, stdin: new ReadableStream() })).pid;
  },
  "forgotten in the middle": async () => {
    const pid = await createTask(async () => (await sleeper(pipes)).pid);
    for (let i = 0; i < 20; i++) {
      await sleep(0.001);
      gc();
    }
    return pid;
  },
  "after communicate() that timed out": async () => {
    const process = await sleeper(pipes);
    await timeout(0.001, () => process.communicate("spam")).catch(() => {});
    return process.pid;
  },
  "after reads and waits that timed out": async () => {
    const process = await sleeper(pipes);
    await timeout(0.001, () => process.wait()).catch(() => {});
    await timeout(0.001, () => process.stdout!.readline()).catch(() => {});
    return process.pid;
  },
  "waited for by a task": async () => {
    const process = await sleeper(pipes);
    createTask(() => process.communicate());
    await sleep(0);
    return process.pid;
  },
  "held": async () => {
    const process = await sleeper();
    held.push(process);
    return process.pid;
  },
  "held by its writer": async () => {
    const process = await createSubprocessExec("sleep", ["100"], pipes);
    held.push(process.stdin);
    return process.pid;
  },
  "held by its reader": async () => {
    const process = await createSubprocessExec("sleep", ["100"], pipes);
    held.push(process.stderr);
    return process.pid;
  },
  "held by a wait": async () => {
    later = await sleeper();
    return later.pid;
  },
};

const pids: number[] = [];
for (const [name, main] of Object.entries(ENDS)) {
  const reports: string[] = [];
  const pid = await run(async () => {
    getRunningLoop().setExceptionHandler((_, { message }) => {
      reports.push(message);
    });
    return await main();
  });
  pids.push(pid);
  // In a loop of its own, as a local variable may hold what it had last.
  if (later !== null) await waitLater(pid);
  const isHeld = name.startsWith("held");
  for (let i = 0; i < (isHeld ? 20 : 2_000); i++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    gc();
    if (!isHeld && state(pid) === null) break;
  }
  const reported = reports.map((it) => it.replace(String(pid), "PID"));
  console.log(`${name}: ${state(pid) ?? "gone"} ${JSON.stringify(reported)}`);
}
console.log(pids.filter((pid) => state(pid) !== null).join(" "));

/** Waits on another loop, with nothing but the wait to hold the process. */
async function waitLater(pid: number): Promise<void> {
  const process = later!;
  later = null;
  held.push(process.wait());
  await new Promise((resolve) => setTimeout(resolve, 0));
  console.log(`waiting for ${pid === process.pid}`);
}

function state(pid: number): string | null {
  try {
    const line = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return line.slice(line.lastIndexOf(")") + 2)[0];
  } catch {
    return null;
  }
}

// The waits that are left do not hold the program up.
Deno.exit();
