/**
 * What importing the module adds to the start-up time of a script.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { type Round, workload } from "../harness.ts";

/** The unit of the figures in `/proc`. */
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

/** The mean duration of several runs of a script, in seconds. */
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

/** The processor seconds of all children that have ended; `NaN` if unknown. */
function childSeconds(): number {
  if (Deno.build.os !== "linux") return NaN;
  const stat = Deno.readTextFileSync("/proc/self/stat");
  // The name of the program is in parentheses and may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = fields.slice(13, 15).map(Number);
  return (user + system) / TICKS_PER_SECOND;
}
