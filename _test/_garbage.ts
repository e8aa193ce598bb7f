/** Immediate garbage collection. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const { Bun: bun } = globalThis as { Bun?: { gc(isSync: boolean): void } };

/** Collects all garbage. */
export const collectGarbage: () => void = bun ? () => bun.gc(true) : exposed();

function exposed(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}
