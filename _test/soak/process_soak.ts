/**
 * A thousand child processes a minute, with pipes, kills, early closes, and
 * cancelled starts and communications. Afterwards memory, descriptors and
 * children must be as before, and no output may be lost or wrong.
 *
 * ```sh
 * deno run -A _test/soak/process_soak.ts 60
 * ```
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

/** What a soak has left behind, and what went wrong in it. */
export interface ProcessSoak {
  /** The number of children that were started. */
  children: number;
  /** How much more there is of each than at the start. */
  left: { children: number; descriptors: number; heapMiB: number };
  /** What went wrong, and how often. */
  faults: Record<string, number>;
}

const PER_SECOND = 1_000 / 60;
const AT_ONCE = 8;
/** How much the heap may grow, in MiB. */
const SLACK = 2;
/** How long the runtime may take to close descriptors and reap children, in milliseconds. */
const PATIENCE = 5_000;
const MOMENT = 500;

const decoder = new TextDecoder();
const pipes = { stdin: PIPE, stdout: PIPE } as const;
const INPUT = "spam, ".repeat(20_000);

/** Runs the soak for a number of seconds. */
export async function soakProcesses(seconds: number): Promise<ProcessSoak> {
  const soak = new Soak();
  await soak.run(2 * SCENARIOS.length, 0); // fills the caches of the runtime
  const before = await levels();
  const children = Math.ceil(seconds * PER_SECOND);
  for (let left = children; left > 0; left -= Math.ceil(PER_SECOND)) {
    const some = Math.min(left, Math.ceil(PER_SECOND));
    await soak.run(some, some / PER_SECOND);
  }
  const after = await levels(before);
  return {
    children,
    left: {
      children: after.children - before.children,
      descriptors: after.descriptors - before.descriptors,
      heapMiB: (after.heap - before.heap) / 2 ** 20,
    },
    faults: soak.faults,
  };
}

/** Whether nothing is left behind and nothing went wrong. */
export function isSound({ left, faults }: ProcessSoak): boolean {
  return left.children === 0 && left.descriptors <= 0 &&
    left.heapMiB < SLACK && Object.keys(faults).length === 0;
}

class Soak {
  readonly faults: Record<string, number> = {};
  #started = 0;

  /** Starts a number of children in a `run()`, evenly over a number of seconds. */
  async run(count: number, seconds: number): Promise<void> {
    await run(async () => {
      getRunningLoop().setExceptionHandler((_, { message, exception }) => {
        const isExpected = message.includes("was left running");
        if (!isExpected) this.#note(`${message}: ${exception}`);
      });
      const start = getRunningLoop().time();
      let next = 0;
      const workers = Array.from(
        { length: AT_ONCE },
        () =>
          createTask(async () => {
            while (next < count) {
              const due = start + (next++) * seconds / count;
              await sleep(due - getRunningLoop().time());
              await this.#runNext();
            }
          }),
      );
      for (const worker of workers) await worker;
      void createSubprocessExec("sleep", ["1000"], pipes); // forgotten
    });
  }

  async #runNext(): Promise<void> {
    const number = this.#started++;
    const scenario = SCENARIOS[number % SCENARIOS.length];
    try {
      await scenario(number / SCENARIOS.length | 0);
    } catch (error) {
      this.#note(`${scenario.name}: ${error}`);
    }
  }

  #note(fault: string): void {
    const kind = fault.replaceAll(/\d+/g, "N").slice(0, 200);
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
  }
}

/** Ways to use a child. Each receives how often it was used before. */
const SCENARIOS: ((round: number) => Promise<void>)[] = [
  async function talks() {
    const cat = await createSubprocessExec("cat", [], pipes);
    const [output] = await cat.communicate(INPUT);
    check(cat, 0, output, INPUT);
  },
  async function writesLines() {
    const line = "for i in 1 2 3; do echo $i; echo $i >&2; done";
    await using child = await createSubprocessShell(line, {
      stdout: PIPE,
      stderr: STDOUT,
    });
    let lines = "";
    for await (const it of child.stdout!) lines += decoder.decode(it);
    await child.wait();
    check(child, 0, lines, "1\n1\n2\n2\n3\n3\n");
  },
  async function isKilled(round) {
    const yes = await createSubprocessExec("yes", [], pipes);
    await yes.stdout!.readexactly(10_000 * (round % 20));
    if (round % 2 === 0) yes.kill();
    else yes.terminate();
    await yes.wait();
    check(yes, round % 2 === 0 ? -9 : -15, "", "");
  },
  async function closesEarly(round) {
    const start = ["exec <&-", "head -c 3 >/dev/null", "true"][round % 3];
    const line = `${start}; echo end`;
    const child = await createSubprocessShell(line, pipes);
    if (round % 2 === 0) {
      child.stdin!.write(INPUT);
      await child.stdin!.drain().catch(mustBeBroken);
      child.stdin!.write(INPUT);
    }
    const [output] = await child.communicate(INPUT);
    child.stdin!.write("dropped");
    check(child, 0, output, "end\n");
  },
  async function isGivenUpByTimeout(round) {
    const cat = await createSubprocessExec("cat", [], pipes);
    const talk = () => cat.communicate(INPUT);
    for (let tries = 0;; tries++) {
      const limit = tries < 3 ? round % 10 / 1000 : null;
      const outputs = await timeout(limit, talk).catch(mustBeGivenUp);
      if (outputs) return check(cat, 0, outputs[0], INPUT);
    }
  },
  async function isGivenUpByCancel(round) {
    const line = "cat; echo end >&2";
    const child = await createSubprocessShell(line, { ...pipes, stderr: PIPE });
    const talk = createTask(() => child.communicate(INPUT));
    for (let i = 0; i < round % 50; i++) await sleep(0);
    talk.cancel();
    const given = await talk.catch(mustBeGivenUp);
    const [output, errors] = given ?? await child.communicate(INPUT);
    check(child, 0, output, INPUT);
    check(child, 0, errors, "end\n");
  },
  async function isCancelledAsItStarts(round) {
    const task = createTask(async () => {
      await using child = await createSubprocessExec("sleep", ["1000"], {
        ...pipes,
        stderr: round % 2 === 0 ? STDOUT : PIPE,
      });
      await child.wait();
    });
    for (let i = 0; i < round % 20; i++) await sleep(0);
    task.cancel();
    for (let i = 0; i < round % 3; i++) await sleep(0);
    task.cancel();
    await task.catch(mustBeGivenUp);
  },
  async function leadsAGroup() {
    const line = "sleep 1000 | cat";
    await using child = await createSubprocessShell(line, {
      ...pipes,
      startNewSession: true,
    });
    child.stdin!.write(INPUT);
    await timeout(0.005, () => child.stdin!.drain()).catch(mustBeGivenUp);
  },
  async function isPumped() {
    const through = new TransformStream<Uint8Array, Uint8Array>();
    const cat = await createSubprocessExec("cat", [], {
      stdin: new Blob([INPUT]).stream(),
      stdout: through.writable,
    });
    const output = await new Response(through.readable).text();
    await cat.wait();
    check(cat, 0, output, INPUT);
  },
];

function check(
  child: Process,
  code: number,
  output: Uint8Array | string | null,
  expected: string,
): void {
  const text = typeof output === "string"
    ? output
    : decoder.decode(output ?? undefined);
  if (child.returncode !== code) {
    throw new Error(`ended with ${child.returncode} instead of ${code}`);
  }
  if (text === expected) return;
  throw new Error(
    `gave ${text.length} characters, not the ${expected.length} expected`,
  );
}

function mustBeBroken(error: unknown): void {
  if (error instanceof Deno.errors.BrokenPipe) return;
  if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
}

function mustBeGivenUp(error: unknown): void {
  if (error instanceof CancelledError) return;
  if (!(error instanceof TimeoutError)) throw error;
}

interface Levels {
  children: number;
  descriptors: number;
  heap: number;
}

/** What is in use, once it is down to `before` or the time limit is reached; the first time, after a moment. */
async function levels(before?: Levels): Promise<Levels> {
  const { gc } = globalThis as { gc?(): void };
  const end = performance.now() + (before ? PATIENCE : MOMENT);
  let best = Infinity;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    gc?.();
    best = Math.min(best, Deno.memoryUsage().heapUsed);
    const now = {
      children: children(),
      descriptors: descriptors(),
      heap: best,
    };
    const isDown = before && now.children <= before.children &&
      now.descriptors <= before.descriptors &&
      now.heap <= before.heap + SLACK * 2 ** 20;
    if (isDown || performance.now() > end) return now;
  }
}

function descriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

function children(): number {
  return [...Deno.readDirSync("/proc")].filter(({ name }) =>
    /^\d+$/.test(name) && parentOf(name) === Deno.pid
  ).length;
}

function parentOf(pid: string): number | null {
  try {
    const line = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(line.slice(line.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}

async function main(): Promise<void> {
  const seconds = Number(Deno.args[0] ?? 60);
  if (!(seconds > 0)) {
    throw new RangeError(`Cannot soak: expected seconds, got ${Deno.args[0]}`);
  }
  const soak = await soakProcesses(seconds);
  console.log(Deno.inspect(soak, { depth: 3 }));
  if (!isSound(soak)) Deno.exitCode = 1;
}

/** Runs this program again, with a callable garbage collector. */
async function runWithCollector(): Promise<void> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--v8-flags=--expose-gc",
      import.meta.filename!,
      ...Deno.args,
    ],
    stdin: "null",
  }).spawn().status;
  Deno.exitCode = code;
}

if (import.meta.main) {
  if ("gc" in globalThis) await main();
  else await runWithCollector();
}
