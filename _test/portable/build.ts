/**
 * Makes of the sources what Node and Bun get: the module as JSR's npm layer has
 * it, each file without its types and with `.js` for `.ts`, and the tests.
 */

import { stripTypeScriptTypes } from "node:module";
import config from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);
const ESBUILD = "esbuild@0.28.2";

/** Files that tests import from elsewhere. */
const OTHERS = ["docs/certificate.ts"];

/** What tests use of `@std`. */
const STD = ["assert", "async", "streams"];

/**
 * Builds a package in a folder. In its tests `Deno.test` is what the runner
 * gives, and lines stay where they are, for those that look at stacks.
 */
export async function build(folder: URL): Promise<void> {
  await stripModule(folder);
  for (const name of namesIn(new URL("_test/", ROOT))) {
    if (name.endsWith(".ts")) await strip(`_test/${name}`, folder);
    else if (/\.(?:json|tsv)$/.test(name)) await copy(`_test/${name}`, folder);
  }
  for (const path of OTHERS) await strip(path, folder);
  for (const name of ["bare", "exceptions", "runner"]) {
    await strip(`_test/portable/${name}.ts`, folder);
  }
  for (const name of STD) {
    const path = `node_modules/@std/${name}/mod.js`;
    await strip(`_test/std/${name}/mod.ts`, folder, path);
    await writePackage(new URL(".", new URL(path, folder)), {
      name: `@std/${name}`,
      exports: "./mod.js",
    });
  }
  await copy("deno.json", folder);
  const exports = Object.entries(config.exports)
    .map(([name, path]) => [name, toJs(path)]);
  await writePackage(folder, {
    name: config.name,
    exports: Object.fromEntries(exports),
  });
}

/** Makes the tests of a package avoid syntax that Node 22 lacks. */
export async function lower(folder: URL): Promise<void> {
  const tests = namesIn(new URL("_test/", folder))
    .filter((name) => name.endsWith(".js"))
    .map((name) => `_test/${name}`);
  await esbuild(folder, [
    ...tests,
    "--target=node22",
    "--outdir=_test",
    "--allow-overwrite",
  ]);
}

/** The files of the module, each for itself. */
async function stripModule(folder: URL): Promise<void> {
  const files = namesIn(ROOT).filter((name) => name.endsWith(".ts"));
  await esbuild(ROOT, [
    ...files,
    "--target=esnext",
    `--outdir=${folder.pathname}`,
  ]);
  for (const file of files) {
    const url = new URL(toJs(file), folder);
    await Deno.writeTextFile(url, toJs(await Deno.readTextFile(url)));
  }
}

/** Writes a file without its types, which leave blanks behind. */
async function strip(
  path: string,
  folder: URL,
  target = toJs(path),
): Promise<void> {
  const source = await Deno.readTextFile(new URL(path, ROOT));
  const code = toJs(stripTypeScriptTypes(source))
    .replace(/\bDeno\.test\b/g, "portableTest");
  await write(new URL(target, folder), code);
}

async function copy(path: string, folder: URL): Promise<void> {
  await write(
    new URL(path, folder),
    await Deno.readTextFile(new URL(path, ROOT)),
  );
}

async function writePackage(folder: URL, config: object): Promise<void> {
  const json = JSON.stringify({ ...config, type: "module" });
  await write(new URL("package.json", folder), json);
}

async function write(file: URL, text: string): Promise<void> {
  await Deno.mkdir(new URL(".", file), { recursive: true });
  await Deno.writeTextFile(file, text);
}

/** Replaces `.ts` in paths, those of code included: `"./_task.ts"`. */
function toJs(text: string): string {
  return text.replace(/(^|")((?:\.{1,2}\/)*[\w/]+)\.ts(?="|$)/g, "$1$2.js");
}

function namesIn(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

async function esbuild(folder: URL, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("npx", {
    args: ["-y", ESBUILD, ...args, "--format=esm", "--log-level=warning"],
    cwd: folder,
  }).output();
  if (success) return;
  throw new Error(`esbuild failed:\n${new TextDecoder().decode(stderr)}`);
}
