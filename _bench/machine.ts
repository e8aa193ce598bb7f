/**
 * Describes the machine and the versions of a benchmark run.
 *
 * @module
 */

import { cpus, release, totalmem, type } from "node:os";

/** A Python interpreter to compare with. */
export interface Python {
  readonly path: string;
  readonly version: string;
  /** The version of its uvloop; `null` if it has none. */
  readonly uvloop: string | null;
}

/** The first version with `asyncio.TaskGroup` and `asyncio.timeout`. */
const OLDEST_PYTHON = [3, 11];

const ASK_PYTHON = `
import json, sys
try:
    from uvloop import __version__ as uvloop
except ImportError:
    uvloop = None
print(json.dumps([sys.version_info[:2], sys.version.split()[0], uvloop]))`;

/** The processor, the memory and the system on one line. */
export function describeMachine(): string {
  const all = cpus();
  const model = all[0]?.model.trim() || "Unknown processor";
  const cores = `${all.length} core${all.length === 1 ? "" : "s"}`;
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB of memory`;
  return `${model}, ${cores}, ${memory}, ${system()} (${Deno.build.arch})`;
}

/** The runtimes of the sides, with versions. */
export function describeVersions(python: Python | null): string {
  const versions = [`Deno ${Deno.version.deno} (V8 ${Deno.version.v8})`];
  versions.push(python === null ? "no Python" : `CPython ${python.version}`);
  versions.push(python?.uvloop ? `uvloop ${python.uvloop}` : "no uvloop");
  return versions.join(", ");
}

/** The interpreter to measure; `null` if none is new enough. */
export async function findPython(path = "python3"): Promise<Python | null> {
  try {
    const { success, stdout } = await new Deno.Command(path, {
      args: ["-c", ASK_PYTHON],
      stderr: "null",
    }).output();
    if (!success) return null;
    const [[major, minor], version, uvloop] = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    const [oldest, oldestMinor] = OLDEST_PYTHON;
    if (major < oldest || (major === oldest && minor < oldestMinor)) {
      console.error(`${path} is Python ${version}, too old to be measured`);
      return null;
    }
    return { path, version, uvloop };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The names of the distribution, if any, and the kernel. */
function system(): string {
  const kernel = `${type()} ${release()}`;
  try {
    const text = Deno.readTextFileSync("/etc/os-release");
    const name = /^PRETTY_NAME="?(.*?)"?$/m.exec(text)?.[1];
    return name === undefined ? kernel : `${name}, ${kernel}`;
  } catch {
    return kernel;
  }
}
