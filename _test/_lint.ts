/** What the lint plugin says of a source text. */

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

/** What a rule finds in a program after {@linkcode IMPORTS}, as its text. */
export function found(rule: string, program: string): string[] {
  const source = IMPORTS + program;
  return diagnostics(rule, source).map(({ range }) => source.slice(...range));
}

/** Asserts what a rule finds in programs, one after another. */
export function assertFound(
  rule: string,
  table: Record<string, string[]>,
): void {
  for (const [program, expected] of Object.entries(table)) {
    assertEquals(found(rule, program), expected, program);
  }
}

/** Asserts that a rule leaves programs alone. */
export function assertNothing(rule: string, programs: string[]): void {
  for (const program of programs) {
    assertEquals(found(rule, program), [], program);
  }
}

/** What a rule finds in a whole file. */
export function foundInFile(
  rule: string,
  source: string,
  file = "file:///program.ts",
): string[] {
  return diagnostics(rule, source, file)
    .map(({ range }) => source.slice(...range));
}

/** A program after all fixes of a rule, those of one pass. */
export function fixed(rule: string, program: string): string {
  return fixedFile(rule, IMPORTS + program).slice(IMPORTS.length);
}

/** A file after all fixes of a rule, those of one pass. */
export function fixedFile(rule: string, source: string): string {
  const fixes = diagnostics(rule, source).flatMap(({ fix = [] }) => fix)
    .sort((a, b) => b.range[0] - a.range[0]);
  let text = source;
  for (const { range: [start, end], text: insert = "" } of fixes) {
    text = text.slice(0, start) + insert + text.slice(end);
  }
  return text;
}

/** Every finding of a rule, in the order of the text. */
export function diagnostics(
  rule: string,
  source: string,
  file = "file:///program.ts",
): Deno.lint.Diagnostic[] {
  const one = { name: plugin.name, rules: { [rule]: plugin.rules[rule] } };
  return Deno.lint.runPlugin(one, file, source)
    .sort((a, b) => a.range[0] - b.range[0]);
}
