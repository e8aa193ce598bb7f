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

/** What the program consists of, each file after those that it imports. */
const FILES = [
  "exceptions.ts",
  "_duration.ts",
  "_thread_serialize.ts",
  "_thread_function.ts",
  "_thread_codec.ts",
  "_thread_future.ts",
  "_thread_channel.ts",
  "_thread_worker.ts",
];

const IMPORT = /^import\b[^;]*?from "\.\/([^"]+)";\n/gm;

/** The text of `_thread_program.ts` as it should be. */
export async function makeProgram(): Promise<string> {
  const parts = await Promise.all(FILES.map(readPart));
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
export const THREAD_PROGRAM = ${quote(program)};
`;
}

async function readPart(file: string, place: number): Promise<string> {
  const text = await Deno.readTextFile(new URL(file, ROOT));
  for (const [, imported] of text.matchAll(IMPORT)) {
    if (FILES.indexOf(imported) < place && FILES.includes(imported)) continue;
    throw new Error(`${file} imports ${imported}, which does not stand above`);
  }
  const code = withoutTypes(text)
    .replaceAll(IMPORT, "")
    .replaceAll(/^export /gm, "")
    .replaceAll(/^\s*\/\*\*?[^]*?\*\//gm, "")
    .replaceAll(/^\s*\/\/.*$/gm, "")
    .replaceAll(/[ \t]+$/gm, "")
    .replaceAll(/^\s*\n/gm, "")
    .replaceAll(/^ +/gm, (indent) => " ".repeat(indent.length / 2));
  const namespace = /^import \* as (\w+) from "\.\/([^"]+)";/m.exec(text);
  if (namespace === null) return code;
  const [, name, imported] = namespace;
  return `const ${name} = { ${
    (await namesOf(imported)).join(", ")
  } };\n${code}`;
}

/** Types are first replaced by spaces, which are those that were something else before. */
function withoutTypes(text: string): string {
  const blanked = stripTypeScriptTypes(text);
  return Array.from(
    { length: text.length },
    (_, i) => blanked[i] === " " && text[i] !== " " ? "" : blanked[i],
  ).join("");
}

async function namesOf(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(file, ROOT));
  return [...text.matchAll(/^export class (\w+)/gm)].map(([, name]) => name);
}

/** A template literal, one line of the program to a line. */
function quote(text: string): string {
  return `\`${text.replaceAll(/[\\`]|\$\{/g, (it) => `\\${it}`)}\``;
}

if (import.meta.main) await Deno.writeTextFile(PROGRAM, await makeProgram());
