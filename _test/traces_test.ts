// Random little programs and what CPython 3.15 printed for them, its timers
// kept in order and its task groups iterated in the order of creation. Every
// line of the event log must come in the same order here. The number in the
// name of a wide program is its seed; `record/record.ts` writes the file.

import { readFile } from "node:fs/promises";
import { assert } from "@std/assert";
import { firstDifference, type Program, trace } from "./_trace_program.ts";

const stored: [string, Program, string[]][] = JSON.parse(
  await readFile(new URL("traces.json", import.meta.url), "utf8"),
);

for (const [name, program, expected] of stored) {
  Deno.test(`random program (${name}) does the same as in CPython`, async () => {
    const here = await trace(program);
    const line = firstDifference(expected, here);
    assert(line === null, explain(line ?? 0, expected, here));
  });
}

/** The first line that differs, and those before it. */
function explain(line: number, expected: string[], here: string[]): string {
  return [
    `line ${line + 1} differs:`,
    ...expected.slice(Math.max(0, line - 5), line).map((it) =>
      `          ${it}`
    ),
    `  CPython ${expected[line] ?? "(ends)"}`,
    `  here    ${here[line] ?? "(ends)"}`,
  ].join("\n");
}
