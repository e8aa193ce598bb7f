// The lint plugin on what this repository shows to its users, its own pages,
// and in `deno lint` itself.

import { assert, assertEquals } from "@std/assert";
import plugin from "../lint.ts";
import { blocksOf, type CodeBlock, commentBlocksOf } from "./_code_blocks.ts";
import { diagnostics, IMPORTS } from "./_lint.ts";

const ROOT = new URL("..", import.meta.url);
const PAGES = new URL("docs/lint/", ROOT);

function idsIn(source: string, file = "file:///example.ts"): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map(({ id, range }) =>
    `${id}: ${source.slice(...range)}`
  );
}

/** The files in a folder and in those below it. */
function* filesIn(folder: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* filesIn(new URL(`${name}/`, folder));
    else yield new URL(name, folder);
  }
}

/** Everything that a user may read: documentation, examples, sources. */
function published(): URL[] {
  const own = [...Deno.readDirSync(ROOT)]
    .filter(({ isFile, name }) => isFile && /\.(?:ts|md)$/.test(name))
    .map(({ name }) => new URL(name, ROOT));
  return [
    ...own,
    ...filesIn(new URL("examples/", ROOT)),
    ...[...filesIn(new URL("docs/", ROOT))].filter((it) =>
      !it.href.startsWith(PAGES.href)
    ),
  ];
}

function blocksIn(file: URL): CodeBlock[] {
  const text = Deno.readTextFileSync(file);
  return file.href.endsWith(".md") ? blocksOf(text) : commentBlocksOf(text);
}

Deno.test("The lint plugin finds nothing in the examples", () => {
  const files = [...filesIn(new URL("examples/", ROOT))]
    .filter((file) => file.pathname.endsWith(".ts"));
  assert(files.length > 5);
  for (const file of files) {
    const text = Deno.readTextFileSync(file);
    assertEquals(idsIn(text, file.href), [], file.href);
  }
});

Deno.test("The lint plugin finds nothing in README, docs and doc comments", () => {
  let count = 0;
  for (const file of published()) {
    for (const { code } of blocksIn(file)) {
      count++;
      assertEquals(idsIn(code), [], `${file.href}\n${code}`);
    }
  }
  assert(count > 40, `only ${count} blocks`);
});

Deno.test("Each rule of the lint plugin has a page", () => {
  const pages = [...Deno.readDirSync(PAGES)].map(({ name }) => name).sort();
  const rules = Object.keys(plugin.rules).sort();
  assertEquals(pages, rules.map((rule) => `${rule}.md`));
});

for (const rule of Object.keys(plugin.rules)) {
  const page = new URL(`${rule}.md`, PAGES);
  const blocks = () => blocksOf(Deno.readTextFileSync(page));

  Deno.test(`The page of ${rule} is about what the rule finds`, () => {
    const bad = blocks().filter(({ section }) => section === "Bad");
    const good = blocks().filter(({ section }) => section === "Good");
    assert(bad.length > 0 && good.length > 0);
    for (const { code } of bad) {
      const ids = new Set(idsIn(code).map((it) => it.split(":")[0]));
      assertEquals([...ids], [`asyncio/${rule}`], code);
    }
    for (const { code } of good) assertEquals(idsIn(code), [], code);
  });

  Deno.test(`The page of ${rule} silences it`, () => {
    const [{ code }] = blocks().filter(({ section }) =>
      section === "How to silence it"
    );
    assert(code.includes(`// deno-lint-ignore asyncio/${rule}\n`));
  });
}

Deno.test("Each rule of the lint plugin says what is wrong and what to write", () => {
  const messages = {
    "no-floating-promises": [
      "sleep(1);",
      "The promise of `sleep()` is dropped",
    ],
    "no-milliseconds": [
      "await timeout(1000, f);",
      "`timeout()` takes seconds, and 1000 looks like milliseconds",
    ],
    "no-outer-signal": [
      "run((s) => TaskGroup.run(() => fetch(url, { signal: s })));",
      "`TaskGroup.run()` does not abort this signal, which belongs to an outer scope",
    ],
    "no-swallowed-cancellation": [
      "async () => { await sleep(1).catch(() => {}); }; async function f() { try { await sleep(1); } catch {} }",
      "This handler swallows `CancelledError`, so the task cannot be cancelled here",
    ],
    "require-coroutine-function": [
      "void TaskGroup.run((tg) => { tg.createTask(sleep(1)); });",
      "`group.createTask()` takes a coroutine function, not a promise: a promise has already started",
    ],
    "require-release": [
      "async function f(c: Condition) { await c.acquire(); g(); }",
      "An error after `condition.acquire()` leaves this condition acquired",
    ],
  };
  assertEquals(Object.keys(messages), Object.keys(plugin.rules).sort());
  for (const [rule, [program, message]] of Object.entries(messages)) {
    const [first] = diagnostics(rule, IMPORTS + program);
    assertEquals(first?.message, message);
    assert(first.hint);
  }
});

Deno.test("deno lint loads the plugin, reports with it, and fixes", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/program.ts`;
    const config = `${folder}/deno.json`;
    const plugins = [new URL("lint.ts", ROOT).href];
    await Deno.writeTextFile(config, JSON.stringify({ lint: { plugins } }));
    const source = [
      'import { sleep } from "jsr:@asyncio/asyncio@^1";',
      "sleep(1);",
      "// deno-lint-ignore asyncio/no-milliseconds",
      "await sleep(1000);",
      "export async function patient() {",
      "  try {",
      "    await sleep(1);",
      "    // deno-lint-ignore asyncio/no-swallowed-cancellation",
      "  } catch {",
      "    console.log('whatever it was');",
      "  }",
      "}",
    ].join("\n");
    await Deno.writeTextFile(file, source);
    const found = await lint("--json", `--config=${config}`, file);
    const { diagnostics } = JSON.parse(found.stdout);
    const codes = diagnostics.map(({ code }: { code: string }) => code)
      .filter((code: string) => code.startsWith("asyncio/"));
    assertEquals(codes, ["asyncio/no-floating-promises"]);
    assertEquals(found.code, 1);
    await lint("--fix", `--config=${config}`, file);
    const fixed = source.replace("\nsleep(1)", "\nawait sleep(1)");
    assertEquals(await Deno.readTextFile(file), fixed);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function lint(...args: string[]) {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["lint", ...args],
    stderr: "null",
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout) };
}

Deno.test("The blocks of a text are found with their headings", () => {
  const markdown =
    "# One\n```ts\na;\n```\n## Two\n  ```ts ignore\n  b;\n    c;\n" +
    "  ```\n```sh\nd\n```\n";
  assertEquals(blocksOf(markdown), [
    { section: "One", code: "a;\n", isIgnored: false, hasOutput: false },
    { section: "Two", code: "b;\n  c;\n", isIgnored: true, hasOutput: false },
  ]);
  assertEquals(commentBlocksOf("/**\n * ```ts\n * a;\n * ```\n */\nx;"), [
    { section: "", code: "a;\n", isIgnored: false, hasOutput: false },
  ]);
});
