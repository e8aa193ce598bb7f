/** Reads the report that `deno test --junit-path` writes. */

/** The parts of a test run, each in a separate process. */
export const PARTS = [
  "core",
  "documentation",
  "long",
  "longThreads",
  "system",
  "threads",
  "waiting",
] as const;

/** One of them. */
export type Part = typeof PARTS[number];

/** The report of a part. */
export function reportOf(part: Part): URL {
  return new URL(`../.results/${part}.xml`, import.meta.url);
}

/** The result of a test. */
export interface TestResult {
  name: string;
  outcome: "passed" | "failed" | "ignored";
}

/**
 * Reads the reports of a run.
 *
 * @throws {Deno.errors.NotFound} If one is missing.
 */
export async function readReports(): Promise<TestResult[]> {
  return (await Promise.all(PARTS.map(readReport))).flat();
}

/**
 * Reads the report of a part.
 *
 * @throws {Deno.errors.NotFound} If it is missing.
 */
export async function readReport(part: Part): Promise<TestResult[]> {
  const xml = await Deno.readTextFile(reportOf(part));
  return [...xml.matchAll(/<testcase name="([^"]*)"[^>]*>(.*?)<\/testcase>/gs)]
    .map(([, name, body]) => ({
      name: unescape(name),
      outcome: outcome(body),
    }));
}

function outcome(body: string): TestResult["outcome"] {
  const tag = /^\s*<(\w+)/.exec(body)?.[1];
  if (tag === undefined) return "passed";
  return tag === "skipped" ? "ignored" : "failed";
}

const ENTITIES: Record<string, string> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

function unescape(text: string): string {
  return text.replace(/&(\w+);/g, (_, name) => ENTITIES[name]);
}
