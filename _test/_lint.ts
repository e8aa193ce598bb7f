/** Helpers that run the lint plugin on a source text. */

import { assertEquals } from "@std/assert";
import plugin from "../lint.ts";

/** Imports everything that the tests of rules use. */
export const IMPORTS = `import * as asyncio from "@asyncio/asyncio";
import {
  asCompleted, Barrier, CancelledError, Condition, createSubprocessExec,
  createTask, ensureFuture, Event, gather, getRunningLoop, Lock, openConnection,
  Queue, PriorityQueue, run, Runner, Semaphore, shield, sleep, startServer,
  TaskGroup, timeout, timeoutAt, TimeoutError, wait, waitFor,
} from "@asyncio/asyncio";
import type { Process, StreamReader, StreamWriter, Task } from "@asyncio/asyncio";
`;

/** The source text of each finding of a rule in a program after {@linkcode IMPORTS}. */
export function found(rule: string, program: string): string[] {
  const source = IMPORTS + program;
  return diagnostics(rule, source).map(({ range }) => source.slice(...range));
}

/** Asserts the findings of a rule in several programs. */
export function assertFound(
  rule: string,
  table: Record<string, string[]>,
): void {
  for (const [program, expected] of Object.entries(table)) {
    assertEquals(found(rule, program), expected, program);
  }
}

/** Asserts that a rule finds nothing in several programs. */
export function assertNothing(rule: string, programs: string[]): void {
  for (const program of programs) {
    assertEquals(found(rule, program), [], program);
  }
}

/** The source text of each finding of a rule in a whole file. */
export function foundInFile(
  rule: string,
  source: string,
  file = "file:///program.ts",
): string[] {
  return diagnostics(rule, source, file)
    .map(({ range }) => source.slice(...range));
}

/** A program after all fixes of a rule in one pass. */
export function fixed(rule: string, program: string): string {
  return fixedFile(rule, IMPORTS + program).slice(IMPORTS.length);
}

/** A file after all fixes of a rule in one pass. */
export function fixedFile(rule: string, source: string): string {
  const fixes = diagnostics(rule, source).flatMap(({ fix = [] }) => fix)
    .sort((a, b) => b.range[0] - a.range[0]);
  let text = source;
  for (const { range: [start, end], text: insert = "" } of fixes) {
    text = text.slice(0, start) + insert + text.slice(end);
  }
  return text;
}

/** All findings of a rule, in source order. */
export function diagnostics(
  rule: string,
  source: string,
  file = "file:///program.ts",
): Deno.lint.Diagnostic[] {
  const one = { name: plugin.name, rules: { [rule]: plugin.rules[rule] } };
  return Deno.lint.runPlugin(one, file, source)
    .sort((a, b) => a.range[0] - b.range[0]);
}
