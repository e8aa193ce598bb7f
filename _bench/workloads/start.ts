/**
 * What importing the module adds to the start of a script.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { type Round, workload } from "../harness.ts";

/** Of the figures in `/proc`. */
const TICKS_PER_SECOND = 100;

const limit = { atMost: 0.015, unit: "ms" } as const;

const all = workload({
  name: "start of a script that uses one lock, from mod.ts",
  size: 10,
  sides: { ours: script("lock.ts"), bare: script("empty.ts") },
  bareIs: "an empty script",
  limit,
});

const topic = workload({
  name: "start of a script that uses one lock, from sync.ts",
  size: 10,
  sides: { ours: script("lock_only.ts"), bare: script("empty.ts") },
  bareIs: "an empty script",
  limit,
});

export default [all, topic];

/** Seconds that one run of a script takes, of several in sequence. */
function script(name: string): Round {
  const path = fileURLToPath(new URL(`../scripts/${name}`, import.meta.url));
  return async (n) => {
    const before = performance.now();
    const cpuBefore = childSeconds();
    for (let i = 0; i < n; i++) {
      const { success } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", path],
        stdout: "null",
      }).output();
      if (!success) throw new Error(`Cannot run ${name}`);
    }
    const wall = (performance.now() - before) / 1000 / n;
    return { wall, cpu: (childSeconds() - cpuBefore) / n || wall };
  };
}

/** Processor seconds of all children that have ended; `NaN` where they are not known. */
function childSeconds(): number {
  if (Deno.build.os !== "linux") return NaN;
  const stat = Deno.readTextFileSync("/proc/self/stat");
  // The name of the program stands in brackets and may have spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = fields.slice(13, 15).map(Number);
  return (user + system) / TICKS_PER_SECOND;
}
