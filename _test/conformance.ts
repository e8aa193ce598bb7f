/**
 * What CPython's own test suite checks, and which of it the last test run
 * checked here.
 *
 * Each row of `conformance.tsv` is a behaviour, with the id
 * `module.class.test`. A test covers a row by ending its name with the id in
 * brackets, and by passing. `conformance_exceptions.tsv` lists the rows that
 * cannot be covered, each with the reason.
 */

import { readReports } from "./_junit.ts";

const TABLE = new URL("conformance.tsv", import.meta.url);
const EXCEPTIONS = new URL("conformance_exceptions.tsv", import.meta.url);

/** The ids at the end of a test's name. */
export function idsOf(name: string): string[] {
  const [ids] = /(?:\s*\[[\w.]+\])*$/.exec(name)!;
  return [...ids.matchAll(/\[([\w.]+)\]/g)].map(([, id]) => id);
}

/** Rows that count: id to area. */
export function parseTable(text: string): Map<string, string> {
  const areas = new Map<string, string>();
  for (const [module, group, test, verdict, area] of rows(text).slice(1)) {
    if (!verdict.startsWith("applies")) continue;
    areas.set(`${module}.${group}.${test}`, area);
  }
  return areas;
}

/** What is wrong with the coverage, a line each. */
export function problems(
  areas: Map<string, string>,
  covered: Set<string>,
  exceptions: Map<string, string>,
): string[] {
  const found: string[] = [];
  for (const [id, area] of areas) {
    if (covered.has(id) || exceptions.has(id)) continue;
    found.push(`${area}: no test for ${id}`);
  }
  for (const id of covered) {
    if (!areas.has(id)) found.push(`A test names an unknown row: ${id}`);
  }
  for (const [id, reason] of exceptions) {
    if (!areas.has(id)) found.push(`An exception names an unknown row: ${id}`);
    if (covered.has(id)) found.push(`Both covered and excepted: ${id}`);
    if (!reason) found.push(`An exception without a reason: ${id}`);
  }
  return found;
}

/** Covered and excepted rows per area, a line each. */
export function summary(
  areas: Map<string, string>,
  covered: Set<string>,
  exceptions: Map<string, string>,
): string[] {
  return [...new Set(areas.values())].sort().map((area) => {
    const ids = [...areas].filter(([, it]) => it === area).map(([id]) => id);
    const done = ids.filter((id) => covered.has(id)).length;
    const left = ids.filter((id) => exceptions.has(id)).length;
    const note = left === 0 ? "" : `, ${left} excepted`;
    return `${area.padEnd(12)} ${done}/${ids.length}${note}`;
  });
}

function rows(text: string): string[][] {
  return text.split("\n").filter((line) => line !== "")
    .map((line) => line.split("\t"));
}

async function coveredIds(): Promise<Set<string>> {
  const results = await readReports().catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(
      "There is no report of a test run; `deno task ok` writes one",
    );
    Deno.exit(1);
  });
  const passed = results.filter((test) => test.outcome === "passed");
  return new Set(passed.flatMap((test) => idsOf(test.name)));
}

if (import.meta.main) {
  const areas = parseTable(await Deno.readTextFile(TABLE));
  const exceptions = new Map(
    rows(await Deno.readTextFile(EXCEPTIONS))
      .map(([id, reason]) => [id, reason ?? ""]),
  );
  const covered = await coveredIds();
  console.log(summary(areas, covered, exceptions).join("\n"));
  const wrong = problems(areas, covered, exceptions);
  if (wrong.length > 0) {
    console.error(`\n${wrong.join("\n")}`);
    Deno.exit(1);
  }
}
