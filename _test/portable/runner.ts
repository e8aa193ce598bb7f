/**
 * Runs the tests of a file on Node or Bun, from one on, and notes in a log what
 * begins and how it ends: a test can end the process.
 *
 * node runner.js <file> <log> <first> [until-failure]
 */

import { appendFileSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";

/** What is noted: how many tests there are, that one begins, or how it ended. */
export type Note =
  | { count: number }
  | { begins: string }
  | { ended: string; error: string | null };

interface Test {
  name: string;
  fn: (context: { name: string }) => unknown;
}

const [file, log, first, mode] = process.argv.slice(2) as [
  string,
  string,
  string,
  string?,
];
const tests: Test[] = [];

/** The build has put it in the place of `Deno.test`. */
Object.assign(globalThis, {
  portableTest(test: string | Test, fn?: Test["fn"]): void {
    tests.push(typeof test === "string" ? { name: test, fn: fn! } : test);
  },
});

function note(what: Note): void {
  appendFileSync(log, `${JSON.stringify(what)}\n`);
}

function text(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const stack = String(error.stack);
  return stack.includes(error.message) ? stack : `${error}\n${stack}`;
}

await import(pathToFileURL(file).href);
note({ count: tests.length });
for (const { name, fn } of tests.slice(Number(first))) {
  note({ begins: name });
  try {
    await fn({ name });
    note({ ended: name, error: null });
  } catch (error) {
    note({ ended: name, error: text(error) });
    if (mode === "until-failure") break;
  }
}
process.exit(0);
