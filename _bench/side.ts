/**
 * The process of a side: runs one round of a workload for each line on standard
 * input, and answers with the measurement.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import {
  ANSWER,
  type Answer,
  type Round,
  type Seconds,
  type Workload,
} from "./harness.ts";

const NEWLINE = 10;
const [file, name, side, size] = Deno.args;
const round = await find();
for await (const chunk of Deno.stdin.readable) {
  // For profiling, several lines may be sent at once.
  for (const byte of chunk) if (byte === NEWLINE) await answer();
}
Deno.exit(0);

async function answer(): Promise<void> {
  const line = ANSWER + JSON.stringify(await measured()) + "\n";
  await Deno.stdout.write(new TextEncoder().encode(line));
}

async function find(): Promise<Round> {
  const workloads = (await import(file)).default as readonly Workload[];
  const workload = workloads.find((it) => it.name === name);
  return workload!.sides[side] as Round;
}

async function measured(): Promise<Answer> {
  const cpuBefore = processorSeconds();
  const before = performance.now();
  try {
    const own = await round(Number(size));
    const wall = (performance.now() - before) / 1000;
    const cpu = processorSeconds() - cpuBefore;
    if (typeof own === "number") return { wall, cpu, own };
    return isSeconds(own) ? own : { wall, cpu };
  } catch (error) {
    return { wall: 0, cpu: 0, error: String(error) };
  }
}

function isSeconds(value: unknown): value is Seconds {
  return typeof value === "object" && value !== null && "wall" in value &&
    "cpu" in value;
}

/** The processor time of all threads of the process, including garbage collection and compilation. */
function processorSeconds(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
}
