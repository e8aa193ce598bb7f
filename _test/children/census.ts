/**
 * Starts many children, and gives them up in every way that there is. Then
 * counts what is left: processes, zombies and descriptors of this program.
 */

import {
  CancelledError,
  createSubprocessExec,
  createSubprocessShell,
  createTask,
  getRunningLoop,
  PIPE,
  type Process,
  run,
  sleep,
  STDOUT,
  timeout,
  TimeoutError,
} from "../../mod.ts";

const starts = Number(Deno.args[0]);
const AT_ONCE = 16;
/** What is done with a process before it is ended. */
const LIVES: ((process: Process) => unknown)[] = [
  () => {},
  (process) => process.kill(),
  (process) => process.communicate("x".repeat(100_000)),
  (process) => process.wait(),
  (process) => process.stdout!.readline(),
  (process) => process.stdout!.read(),
  async (process) => {
    process.terminate();
    await process.wait();
  },
  async (process) => {
    process.stdin!.write("x".repeat(1_000_000));
    await process.stdin!.drain();
  },
];
const pipes = { stdin: PIPE, stdout: PIPE } as const;
/** The first four have no children of their own: `kill()` ends all there is of them. */
const COMMANDS: (() => Promise<Process>)[] = [
  () => createSubprocessExec("true", [], pipes),
  () => createSubprocessExec("cat", [], { ...pipes, stderr: PIPE }),
  () => createSubprocessExec("sleep", ["100"], { ...pipes, stderr: STDOUT }),
  () => createSubprocessExec("yes", [], pipes),
  () => createSubprocessExec("no-such-program", [], pipes),
  () =>
    createSubprocessShell("sleep 100 | cat", {
      ...pipes,
      startNewSession: true,
    }),
];

let seed = 12345;
let reports = 0;
// The first child opens what the host keeps for the others.
await run(async () => await (await COMMANDS[0]()).communicate());
const before = descriptors();
await run(main);
// The runtime closes some behind its own back.
for (let i = 0; i < 1_000 && descriptors() > before; i++) {
  await new Promise((resolve) => setTimeout(resolve, 1));
}
const children = Array.from(Deno.readDirSync("/proc"), ({ name }) => name)
  .filter((pid) => parentOf(pid) === Deno.pid);
console.log(
  `${starts} starts left ${children.length} children, ${
    descriptors() - before
  } descriptors, ${reports} reports`,
);

async function main(): Promise<void> {
  getRunningLoop().setExceptionHandler((_, { message }) => {
    reports++;
    console.log(message);
  });
  let left = starts;
  const workers = Array.from({ length: AT_ONCE }, () =>
    createTask(async () => {
      while (left-- > 0) await liveOnce();
    }));
  for (const worker of workers) await worker;
}

async function liveOnce(): Promise<void> {
  const command = random(COMMANDS.length);
  const live = LIVES[random(LIVES.length)];
  const byHand = command < 4 && random(2) === 0;
  const task = createTask(async () => {
    try {
      if (byHand) return await endByHand(await COMMANDS[command](), live);
      await using process = await COMMANDS[command]();
      await live(process);
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  });
  try {
    if (random(2) === 0) return await timeout(random(20) / 1000, () => task);
    for (let turns = random(20); turns > 0; turns--) await sleep(0);
    task.cancel();
    await task;
  } catch (error) {
    if (!isGivenUp(error)) throw error;
  }
}

async function endByHand(
  process: Process,
  live: (process: Process) => unknown,
): Promise<void> {
  try {
    await live(process);
  } finally {
    process.kill();
    await process.wait();
  }
}

function isExpected(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionReset;
}

function isGivenUp(error: unknown): boolean {
  return error instanceof CancelledError || error instanceof TimeoutError;
}

/** A whole number below a bound, the same ones in every run. */
function random(bound: number): number {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return (seed >> 8) % bound;
}

function descriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

function parentOf(pid: string): number | null {
  try {
    const line = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(line.slice(line.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}
