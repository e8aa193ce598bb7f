/** Tests that cannot pass on a runtime, as `exceptions.tsv` lists them. */

/** How a test has ended on a runtime. */
export interface Result {
  runtime: string;
  file: string;
  test: string;
  error: string | null;
}

/** Tests that fail on some runtimes. */
export interface Exception {
  /** The beginning of the names of these runtimes, such as `node`; all if it is empty. */
  runtime: string;
  file: string;
  /** The name of the test, with an ellipsis for the rest of several; `*` if a file needs Deno as a whole, `-` if it is not run. */
  test: string;
  reason: string;
}

/** Reads the list: runtime, file, test and reason, in columns. */
export async function readExceptions(): Promise<Exception[]> {
  const text = await Deno.readTextFile(
    new URL("exceptions.tsv", import.meta.url),
  );
  return text.trimEnd().split("\n").map((line) => {
    const [runtime = "", file = "", test = "", reason = ""] = line.split("\t");
    if (reason === "") throw new Error(`An exception without reason: ${line}`);
    return { runtime: runtime === "all" ? "" : runtime, file, test, reason };
  });
}

/** What the list does not tell: tests that fail, and those in it that pass or do not exist. */
export function check(results: Result[], exceptions: Exception[]): string[] {
  const wrong: string[] = [];
  const fulfilled = new Set<Exception>();
  const isWhole = (it: Result) =>
    exceptions.some(({ test, file }) => test === "*" && file === it.file);
  for (const result of results) {
    const { runtime, file, test, error } = result;
    const listed = exceptions.filter((it) => covers(it, result));
    if (error !== null) { for (const it of listed) fulfilled.add(it); }
    if (error === null ? listed.length === 0 : listed.length > 0) continue;
    if (error === null && isWhole(result)) continue;
    const what = error === null ? "listed, but it passes" : error;
    wrong.push(`${runtime} ${file} ${test}: ${what}`);
  }
  const ran = new Set(results.map(({ runtime }) => runtime));
  for (const it of exceptions) {
    const couldRun = [...ran].some((name) => name.startsWith(it.runtime));
    if (!couldRun || it.test === "-" || fulfilled.has(it)) continue;
    wrong.push(`${it.runtime} ${it.file} ${it.test}: listed, but none fails`);
  }
  return wrong;
}

/** Whether the list says that a test fails. */
export function covers(
  exception: Exception,
  result: Pick<Result, "runtime" | "file" | "test">,
): boolean {
  const { runtime, file, test } = exception;
  if (file !== result.file || !result.runtime.startsWith(runtime)) return false;
  if (test === "*" || test === result.test) return true;
  return test.endsWith("…") && result.test.startsWith(test.slice(0, -1));
}
