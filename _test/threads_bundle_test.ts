/** Threads in bundled programs, run as processes. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeProgram } from "./make_thread_program.ts";

const { pathname } = new URL("../mod.ts", import.meta.url);
const MODULE = JSON.stringify(decodeURIComponent(pathname));

/** What bundlers may break in functions that run in threads. */
const PROGRAM = `
import * as asyncio from ${MODULE};
const { getRunningLoop, QueueEmpty, run, toThread, transfer } = asyncio;
const thrown = (fn, ...args) => toThread(fn, ...args).catch((error) => error);

await run(async () => {
  console.log(await toThread((a, b) => a + b, 1, 2));
  const loop = getRunningLoop();
  loop.expose({
    double: (n) => 2 * n,
    fail() { throw new QueueEmpty("nothing there"); },
  });
  const ask = (name, loop, n) =>
    globalThis.runCoroutineThreadsafe(name, loop, n).result();
  console.log(await toThread(ask, "double", loop.handle(), 4));
  const failure = await thrown(ask, "fail", loop.handle());
  console.log(failure instanceof QueueEmpty, failure.name, failure.message);
  const cancelled = await thrown(() => {
    throw new globalThis.CancelledError("why");
  });
  console.log(cancelled.constructor === asyncio.CancelledError, cancelled.name);
  const memory = new ArrayBuffer(4);
  const length = await toThread((memory) => memory.byteLength, transfer(memory));
  console.log(length, memory.byteLength);
});
`;
const OUTPUT = [
  "3",
  "8",
  "true QueueEmpty nothing there",
  "true CancelledError",
  "4 0",
];

/** Runs a command and returns its output. */
async function output(
  [command, ...args]: string[],
): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr));
  return decoder.decode(stdout).trimEnd();
}

/** Bundles a program, runs it without permissions and returns its output. */
async function bundled(
  program: string,
  bundle: (from: string, to: string) => string[],
): Promise<string[]> {
  const folder = await Deno.makeTempDir();
  try {
    const [from, to] = [`${folder}/from.ts`, `${folder}/to.js`];
    await Deno.writeTextFile(from, program);
    await output(bundle(from, to));
    const text = await output([Deno.execPath(), "run", "--no-prompt", to]);
    return text.split("\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("The program of threads is made of the sources as they are", async () => {
  const text = await Deno.readTextFile(
    new URL("../_thread_program.ts", import.meta.url),
  );
  assertEquals(
    text === await makeProgram(),
    true,
    "deno run --allow-read --allow-write=_thread_program.ts _test/make_thread_program.ts",
  );
});

/** The command to bundle a program with esbuild. */
function esbuild(...flags: string[]) {
  return (from: string, to: string) => [
    ...["npx", "-y", "esbuild@0.28.2", "--bundle", "--format=esm"],
    ...["--external:node:*", `--outfile=${to}`, ...flags, from],
  ];
}

Deno.test("toThread() works in a program that deno bundle has minified", async () => {
  const bundle = (from: string, to: string) => [
    ...[Deno.execPath(), "bundle", "--minify"],
    ...[`--output=${to}`, from],
  ];
  assertEquals(await bundled(PROGRAM, bundle), OUTPUT);
});

for (const flag of ["--minify", "--keep-names", "--target=es2022"]) {
  Deno.test(`toThread() works in a program that esbuild has bundled with ${flag}`, async () => {
    assertEquals(await bundled(PROGRAM, esbuild(flag)), OUTPUT);
  });
}

const NAMED = `
import { run, toThread } from ${MODULE};
await run(async () => {
  const sum = await toThread((n) => {
    const add = (n) => n + 1;
    class Twice { static of = (n) => 2 * add(n); }
    return [add.name, Twice.of(n)];
  }, 20).catch((error) => error.message);
  console.log(JSON.stringify(sum));
});
`;

Deno.test("toThread() gives functions the helper that keeps their names", async () => {
  const output = await bundled(NAMED, esbuild("--keep-names"));
  assertEquals(output, ['["add",42]']);
});

Deno.test("toThread() says what to do if the helper that keeps names was renamed", async () => {
  const renamed = esbuild("--keep-names", "--minify");
  const [message] = await bundled(NAMED, renamed);
  assertStringIncludes(message, "if a bundler has made up the name");
});
