/**
 * Child processes: starting them, and bytes through their pipes.
 *
 * @module
 */

import { run } from "../runner.ts";
import { createSubprocessExec, DEVNULL, PIPE } from "../subprocess.ts";
import { gather } from "../tasks.ts";
import { prepared, python, workload } from "./harness.ts";

const TRUE = "/bin/true";
const MIB = 2 ** 20;
const CHUNK = 65_536;

const oneByOne = workload({
  name: "child processes, one at a time",
  size: 200,
  sides: {
    ours: (n) =>
      run(async () => {
        for (let i = 0; i < n; i++) await runOurs();
      }),
    bare: async (n) => {
      for (let i = 0; i < n; i++) await runBare();
    },
    python: python("children.py", "one_by_one"),
  },
  bareIs: "`Deno.Command`, `spawn()` and `status`",
  goal: { bare: 1.1, python: 1.1 },
});

const sixteen = workload({
  name: "child processes, 16 at a time",
  size: 200,
  sides: {
    ours: (n) => run(() => gather(workers(n, runOurs))),
    bare: async (n) => {
      await Promise.all(workers(n, runBare).map((worker) => worker()));
    },
    python: python("children.py", "sixteen"),
  },
  bareIs: "`Deno.Command`, `spawn()` and `status`",
  goal: { bare: 1.1, python: 1.1 },
});

const streamed = workload({
  name: "MiB through `cat`, streamed",
  size: 256,
  sides: {
    ours: (n) =>
      run(async () => {
        const cat = await createSubprocessExec("cat", [], {
          stdin: PIPE,
          stdout: PIPE,
        });
        const chunk = new Uint8Array(CHUNK);
        const feed = async () => {
          for (let left = n * MIB; left > 0; left -= CHUNK) {
            cat.stdin!.write(chunk);
            await cat.stdin!.drain();
          }
          cat.stdin!.close();
        };
        const count = async () => {
          for (let total = 0;;) {
            const { length } = await cat.stdout!.read(CHUNK);
            if (length === 0) return total;
            total += length;
          }
        };
        const [total] = await gather([count, feed, () => cat.wait()]);
        check(total, n);
      }),
    bare: async (n) => {
      const cat = bareCat();
      const writer = cat.stdin.getWriter();
      const chunk = new Uint8Array(CHUNK);
      const feed = async () => {
        for (let left = n * MIB; left > 0; left -= CHUNK) {
          await writer.write(chunk);
        }
        await writer.close();
      };
      const count = async () => {
        let total = 0;
        for await (const { length } of cat.stdout) total += length;
        return total;
      };
      const [total] = await Promise.all([count(), feed(), cat.status]);
      check(total, n);
    },
    python: python("children.py", "streamed"),
  },
  bareIs: "`Deno.Command`, a writer, and `for await` over `stdout`",
  goal: { bare: 1.1, python: 1.1 },
});

const collected = workload({
  name: "MiB through `cat`, communicate()",
  size: 256,
  sides: {
    ours: prepared((n) => {
      const input = new Uint8Array(n * MIB).fill(1);
      return () =>
        run(async () => {
          const cat = await createSubprocessExec("cat", [], {
            stdin: PIPE,
            stdout: PIPE,
          });
          const [output] = await cat.communicate(input);
          check(output!.length, n);
        });
    }),
    bare: prepared((n) => {
      const input = new Uint8Array(n * MIB).fill(1);
      return async () => {
        const cat = bareCat();
        const writer = cat.stdin.getWriter();
        const feed = async () => {
          for (let at = 0; at < input.length; at += CHUNK) {
            await writer.write(input.subarray(at, at + CHUNK));
          }
          await writer.close();
        };
        const collect = async () => {
          const chunks = [];
          for await (const chunk of cat.stdout) chunks.push(chunk);
          return joined(chunks);
        };
        const [output] = await Promise.all([collect(), feed(), cat.status]);
        check(output.length, n);
      };
    }),
    "output()": prepared((n) => {
      const input = new Uint8Array(n * MIB).fill(1);
      return async () => {
        const cat = bareCat();
        const writer = cat.stdin.getWriter();
        const feed = async () => {
          await writer.write(input);
          await writer.close();
        };
        const [output] = await Promise.all([cat.output(), feed()]);
        check(output.stdout.length, n);
      };
    }),
    python: python("children.py", "collected"),
  },
  bareIs: "`Deno.Command`, a writer, the chunks of `stdout` joined at the end",
  goal: { bare: 1.1, python: 1.1 },
});

export default [oneByOne, sixteen, streamed, collected];

async function runOurs(): Promise<void> {
  const child = await createSubprocessExec(TRUE, [], { stdin: DEVNULL });
  await child.wait();
}

async function runBare(): Promise<void> {
  await new Deno.Command(TRUE, { stdin: "null" }).spawn().status;
}

function bareCat(): Deno.ChildProcess {
  return new Deno.Command("cat", { stdin: "piped", stdout: "piped" }).spawn();
}

/** Sixteen coroutine functions that together do something `count` times. */
function workers(count: number, work: () => Promise<void>) {
  const worker = async () => {
    while (count-- > 0) await work();
  };
  return Array.from({ length: 16 }, () => worker);
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, it) => sum + it.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function check(bytes: number, size: number): void {
  if (bytes !== size * MIB) {
    throw new Error(`Got ${bytes} bytes of ${size} MiB`);
  }
}
