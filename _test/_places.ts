/** What tests of debug mode share: reports, and the places that they name. */

import { readFileSync } from "node:fs";
import {
  type Coroutine,
  type ExceptionContext,
  getRunningLoop,
  run,
  VirtualTimeLoop,
} from "@asyncio/asyncio";

/** The file and line of the one line of a file that ends with a remark: `file:///a.ts:7:`. */
export function lineWith(remark: string, url: string): string {
  const lines = readFileSync(new URL(url), "utf8").split("\n");
  const at = lines.flatMap((line, i) =>
    line.endsWith(`// ${remark}`) ? [i + 1] : []
  );
  if (at.length === 1) return `${url}:${at[0]}:`;
  throw new Error(`${at.length} lines of ${url} end with the remark ${remark}`);
}

/** Runs a program without debug mode, whatever the environment says, and in virtual time. */
export function plain<T>(main: Coroutine<T>): Promise<T> {
  return run(main, { debug: false, loopFactory: () => new VirtualTimeLoop() });
}

/** Runs a program in debug mode and in virtual time. */
export function debugged<T>(main: Coroutine<T>): Promise<T> {
  return run(main, { debug: true, loopFactory: () => new VirtualTimeLoop() });
}

/** Has the exception handler of the running loop keep what it is told. */
export function collectReports(): ExceptionContext[] {
  const reports: ExceptionContext[] = [];
  getRunningLoop().setExceptionHandler((_, report) => reports.push(report));
  return reports;
}

/** What debug mode reports of a program. */
export async function reportsOf(
  main: Coroutine<unknown>,
): Promise<ExceptionContext[]> {
  let reports: ExceptionContext[] = [];
  await debugged((signal) => {
    reports = collectReports();
    getRunningLoop().slowCallbackDuration = 60; // the machine may be busy
    return main(signal);
  });
  return reports;
}
