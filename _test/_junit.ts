/** Reads the report that `deno test --junit-path` writes. */

/** Where the report of a test run lies. */
export const REPORT = new URL("../.results/junit.xml", import.meta.url);

/** One test that was run, or was to be. */
export interface TestResult {
  name: string;
  outcome: "passed" | "failed" | "ignored";
}

/**
 * Reads a report.
 *
 * @throws {Deno.errors.NotFound} If there is none.
 */
export async function readReport(path: URL = REPORT): Promise<TestResult[]> {
  const xml = await Deno.readTextFile(path);
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
