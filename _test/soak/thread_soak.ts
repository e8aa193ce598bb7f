/**
 * Calls of threads, and of loops from threads, of every kind and with every
 * outcome, for at least the given time. Afterwards memory, threads and
 * descriptors must be as before:
 *
 *     deno run -A _test/soak/thread_soak.ts SECONDS
 *
 * @module
 */

import {
  createTask,
  type EventLoop,
  gather,
  getRunningLoop,
  type LoopHandle,
  run,
  runCoroutineThreadsafe,
  sleep,
  toThread,
  transfer,
  waitFor,
} from "../../mod.ts";

/** The resources of a process that may leak. */
interface Usage {
  /** The used heap after garbage collection, in MiB. */
  readonly heap: number;
  /** The memory of the whole process, in MiB. */
  readonly resident: number;
  readonly threads: number;
  readonly descriptors: number;
}

/** What a soak has done and left behind. */
export interface SoakResult {
  readonly calls: number;
  readonly callsToLoop: number;
  readonly before: Usage;
  readonly after: Usage;
  /** What went wrong; empty if nothing did. */
  readonly faults: string[];
}

interface Counts {
  calls: number;
  callsToLoop: number;
}

/** The number of calls of each loop and its threads. */
const CALLS_OF_RUNNER = 440;
/** The number of concurrent calls, below the limit of threads, so that some are idle. */
const WIDTH = 4;
/** The minimum number of calls of each kind. */
const LEAST_CALLS = 2_000;
/** How much memory may grow. The heap is exact; outside of it, allocators keep some memory. */
const HEAP_MIB = 2;
const RESIDENT_MIB = 48;

/** Runs the soak. */
export async function threadSoak(seconds: number): Promise<SoakResult> {
  const counts: Counts = { calls: 0, callsToLoop: 0 };
  const faults: string[] = [];
  await round(counts, faults, CALLS_OF_RUNNER, 0); // What grows once has grown.
  const before = await usage();
  await round(counts, faults, LEAST_CALLS, seconds);
  const after = await usage();
  const { calls, callsToLoop } = counts;
  faults.push(...growth(before, after));
  return { calls, callsToLoop, before, after, faults };
}

/** Uses one runner after another until there were enough calls and the time is over. */
async function round(
  counts: Counts,
  faults: string[],
  least: number,
  seconds: number,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  const { calls } = counts;
  while (counts.calls - calls < least || performance.now() < end) {
    await run(() => callsOfRunner(counts, faults));
  }
}

async function callsOfRunner(counts: Counts, faults: string[]): Promise<void> {
  const loop = getRunningLoop();
  loop.setExceptionHandler((_, { message, exception }) => {
    if (/left behind/.test(String(exception))) return;
    faults.push(`${message}: ${exception}`);
  });
  expose(loop, counts);
  let made = 0;
  const worker = async () => {
    while (made < CALLS_OF_RUNNER) {
      const n = made++;
      await KINDS[n % KINDS.length](n, loop.handle());
      counts.calls++;
    }
  };
  await gather(Array.from({ length: WIDTH }, () => createTask(worker)));
}

function expose(loop: EventLoop, counts: Counts): void {
  loop.expose({
    async double(n: number) {
      counts.callsToLoop++;
      if (n % 3 === 0) await sleep(0);
      return 2 * n;
    },
    fail(n: number) {
      counts.callsToLoop++;
      throw new RangeError(`expected ${n}`);
    },
    never: () => sleep(3600),
    text: (length: number) => "x".repeat(length),
  });
}

type Kind = (n: number, loop: LoopHandle) => Promise<void>;

/** Calls of every kind, each of which checks its outcome. */
const KINDS: Kind[] = [
  async (n) => same(await toThread((n) => n + 1, n), n + 1),
  async (n) => {
    const bytes = new Uint8Array(10_000).fill(n);
    same((await toThread((it) => it, bytes)).length, 10_000);
    const moved = await toThread((it) => transfer(it), transfer(bytes));
    same([moved.length, bytes.length], [10_000, 0]);
  },
  async (n) => {
    const error = await toThread((n) => {
      throw new RangeError(`expected ${n}`);
    }, n).catch((error) => error);
    same([error.name, error.message], ["RangeError", `expected ${n}`]);
  },
  async (n, loop) => {
    const sum = await toThread(
      (loop, n) => {
        let sum = 0;
        for (let i = 0; i < 20; i++) {
          sum += runCoroutineThreadsafe<number>("double", loop, n).result(60);
        }
        return sum;
      },
      loop,
      n,
    );
    same(sum, 40 * n);
  },
  // Calls of the loop whose answers are not awaited.
  async (n, loop) => {
    await toThread(
      (loop, n) => {
        for (let i = 0; i < 50; i++) runCoroutineThreadsafe("double", loop, n);
        runCoroutineThreadsafe("text", loop, 40_000);
      },
      loop,
      n,
    );
  },
  async (n, loop) => {
    const seen = await toThread(
      async (loop, n) => {
        const never = runCoroutineThreadsafe("never", loop);
        const failing = runCoroutineThreadsafe("fail", loop, n);
        const { message } = failing.exception(60) as Error;
        never.cancel();
        return [
          message,
          never.cancelled(),
          await runCoroutineThreadsafe("double", loop, n),
        ];
      },
      loop,
      n,
    );
    same(seen, [`expected ${n}`, true, 2 * n]);
  },
  // Each with a different source.
  async (n) => {
    const fn = new Function("n", `return n + ${n % 700}`) as (
      n: number,
    ) => number;
    same(await toThread(fn, n), n + n % 700);
  },
  async (n) => {
    const call = toThread(() => new Promise((r) => setTimeout(r, 2)));
    if (n % 2 === 0) await waitFor(call, 0.001).catch(() => {});
    else {
      const task = createTask(() => call);
      await sleep(0);
      task.cancel();
      await task.catch(() => {});
    }
  },
  // Fails after its waiter was cancelled, or after its call has ended.
  async (n) => {
    const late = toThread(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      throw new RangeError("too late");
    });
    await Promise.race([late, sleep(0)]).catch(() => {});
    await toThread((n) => {
      setTimeout(() => {
        throw new RangeError(`left behind ${n}`);
      });
    }, n);
  },
  async (n) => {
    const unsent = await toThread((it) => it, { fn: () => n }).catch((e) => e);
    same(unsent.name, "DataCloneError");
  },
  async (n) => {
    if (n % 5 !== 0) return;
    const death = await toThread(() => Deno.exit(3)).catch((e) => e);
    same(death.name, "RuntimeError");
  },
];

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`expected ${b}, got ${a}`);
}

async function usage(): Promise<Usage> {
  const { gc } = globalThis as { gc?: () => void };
  // Threads end, and their handles are freed, slightly after the runner.
  for (let i = 0; i < 100 && (i < 5 || workers() > 0); i++) {
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, rss } = Deno.memoryUsage();
  return {
    heap: heapUsed / 2 ** 20,
    resident: rss / 2 ** 20,
    threads: workers(),
    descriptors: [...Deno.readDirSync("/proc/self/fd")].length,
  };
}

/** The number of worker threads of the process. */
function workers(): number {
  return [...Deno.readDirSync("/proc/self/task")].filter(({ name }) => {
    try {
      return Deno.readTextFileSync(`/proc/self/task/${name}/comm`)
        .startsWith("worker");
    } catch {
      return false; // It has just ended.
    }
  }).length;
}

function growth(before: Usage, after: Usage): string[] {
  const faults: string[] = [];
  const limits = {
    heap: HEAP_MIB,
    resident: RESIDENT_MIB,
    threads: 0,
    descriptors: 0,
  };
  for (const [what, limit] of Object.entries(limits)) {
    const grown = after[what as keyof Usage] - before[what as keyof Usage];
    if (grown > limit) faults.push(`${what} grew by ${grown.toFixed(1)}`);
  }
  return faults;
}

/** Runs this file again with a callable garbage collector. */
async function again(seconds: string): Promise<number> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--v8-flags=--expose-gc",
      import.meta.filename!,
      seconds,
    ],
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  return code;
}

if (import.meta.main) {
  const [seconds = "10"] = Deno.args;
  if (!("gc" in globalThis)) Deno.exit(await again(seconds));
  const { faults, ...result } = await threadSoak(Number(seconds));
  console.log(result);
  for (const fault of faults) console.error(fault);
  Deno.exit(faults.length === 0 ? 0 : 1);
}
