/**
 * Makes `_thread_program.ts`, the program of worker threads:
 *
 *     deno run --allow-read --allow-write=_thread_program.ts _test/make_thread_program.ts
 *
 * The files that it consists of become one function: without their types,
 * imports and comments, in the order of their imports.
 */

import { stripTypeScriptTypes } from "node:module";

const ROOT = new URL("..", import.meta.url);
const PROGRAM = new URL("_thread_program.ts", ROOT);

/** Where the program begins. */
const MAIN = "_thread_worker.ts";
const DECLARATION = /^export (?:async )?(?:class|function|const|let) (\w+)/gm;
const TOP_LEVEL = /^(?:async )?(?:class|function\*?|const|let) (\w+)/gm;
/** Imports of values, and names that are handed on. */
const IMPORT = /^(import|export) ([^;]*?) from "\.\/([^"]+)";\n/gm;

/** The text of `_thread_program.ts` as it should be. */
export async function makeProgram(): Promise<string> {
  const files = new Map<string, File>();
  await readFile(MAIN, files);
  const parts = [...files.values()].map(({ code }) => code);
  checkNames(parts);
  const program = [
    '"use strict"; (runtime) => {',
    ...parts,
    "start(runtime);",
    "}",
    "//# sourceURL=asyncio:thread",
  ].join("\n");
  return `/**
 * The program of a worker thread, made by \`_test/make_thread_program.ts\` of
 * \`_thread_worker.ts\` and what it imports. Change those, and make it again.
 *
 * @module
 */

// deno-fmt-ignore-file

/** An expression whose value is the function to start it. */
export const THREAD_PROGRAM = ${JSON.stringify(program)};
`;
}

/** Refuses a name that two files declare: in one function, the later takes both. */
function checkNames(parts: readonly string[]): void {
  const names = parts.flatMap((it) =>
    [...it.matchAll(TOP_LEVEL)].map(([, name]) => name)
  );
  const twice = names.filter((it, i) => names.indexOf(it) < i);
  if (twice.length === 0) return;
  throw new Error(`Two files of the program declare ${twice.join(", ")}`);
}

/** A file of the program. */
interface File {
  readonly code: string;
  /** What it exports. */
  readonly names: readonly string[];
}

/** Adds a file after those that it imports. */
async function readFile(
  name: string,
  files: Map<string, File>,
): Promise<File> {
  const known = files.get(name);
  if (known !== undefined) return known;
  const text = withoutTypes(await Deno.readTextFile(new URL(name, ROOT)));
  const names = [...text.matchAll(DECLARATION)].map(([, name]) => name);
  const namespaces: string[] = [];
  for (const [statement, kind, what, from] of text.matchAll(IMPORT)) {
    if (/ as /.test(what) && !what.startsWith("* as ")) {
      throw new Error(`Cannot rename in a program: ${statement}`);
    }
    const imported = await readFile(from, files);
    if (kind === "export") names.push(...what.match(/\w+/g)!);
    else if (what.startsWith("*")) {
      const namespace = what.slice("* as ".length);
      namespaces.push(`const ${namespace} = { ${imported.names.join(", ")} };`);
    }
  }
  const file = { code: [...namespaces, compact(text)].join("\n"), names };
  files.set(name, file);
  return file;
}

/** A text without its imports, comments and half of its indentation. */
function compact(text: string): string {
  return text.replaceAll(IMPORT, "")
    .replaceAll(/^export /gm, "")
    .replaceAll(/^\s*\/\*\*?[^]*?\*\//gm, "")
    .replaceAll(/^\s*\/\/.*$/gm, "")
    .replaceAll(/[ \t]+$/gm, "")
    .replaceAll(/^\s*\n/gm, "")
    .replaceAll(/^ +/gm, (indent) => " ".repeat(indent.length / 2));
}

/** Types are first replaced by spaces, which are those that were something else before. */
function withoutTypes(text: string): string {
  const blanked = stripTypeScriptTypes(text);
  return Array.from(
    { length: text.length },
    (_, i) => blanked[i] === " " && text[i] !== " " ? "" : blanked[i],
  ).join("");
}

if (import.meta.main) await Deno.writeTextFile(PROGRAM, await makeProgram());
