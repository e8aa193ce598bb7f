// The reference that `deno task docs` writes: every public name has a page, and
// no page needs the network or leads nowhere.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { pathToFileURL } from "node:url";
import config from "../deno.json" with { type: "json" };
import { makeDocs } from "./make_docs.ts";

const ENTITIES: Record<string, string> = { "&#x2F;": "/", "&amp;": "&" };
const folder = await Deno.makeTempDir();
const root = pathToFileURL(`${folder}/`);
await makeDocs(root);
const pages = new Map(await readPages(root));
globalThis.addEventListener(
  "unload",
  () => Deno.removeSync(folder, { recursive: true }),
);

/** The pages below a folder, by their path below the root. */
async function readPages(folder: URL): Promise<[string, string][]> {
  const pages: [string, string][] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const entry = new URL(name, folder);
    if (isDirectory) pages.push(...await readPages(new URL(`${entry}/`)));
    if (!name.endsWith(".html")) continue;
    const path = decodeURIComponent(entry.href.slice(root.href.length));
    pages.push([path, await Deno.readTextFile(entry)]);
  }
  return pages;
}

/** What the elements of a page refer to. */
function references(html: string, pattern: RegExp): string[] {
  return [...html.matchAll(pattern)].map(([, reference]) =>
    reference.replaceAll(/&\w+;|&#x2F;/g, (entity) => ENTITIES[entity])
  );
}

Deno.test("The reference has a page for each value of each entry point", async () => {
  for (const [name, file] of Object.entries(config.exports)) {
    const module = await import(import.meta.resolve(`../${file}`));
    const below = name === "." ? "" : `${name.slice(2)}/`;
    for (const symbol of Object.keys(module)) {
      assert(pages.has(`${below}~/${symbol}.html`), `${name} ${symbol}`);
    }
  }
});

Deno.test("The front page of the reference leads to every entry point", () => {
  const front = pages.get("index.html")!;
  const links = references(front, /href="([^"]*)"/g);
  for (const name of Object.keys(config.exports)) {
    if (name !== ".") assert(links.includes(`${name.slice(2)}/index.html`));
  }
  assert(links.includes("tasks/~/createTask.html"));
});

Deno.test("The pages of the reference import what programs import", () => {
  const usage = (path: string) =>
    /Usage<\/h3>.*?<code[^>]*>(.*?)\n/.exec(pages.get(path)!)![1]
      .replaceAll("&quot;", '"');
  assertEquals(
    usage("~/createTask.html"),
    'import { createTask } from "@asyncio/asyncio";',
  );
  assertEquals(
    usage("queues/~/Queue.html"),
    'import { Queue } from "@asyncio/asyncio/queues";',
  );
  assertStringIncludes(
    pages.get("~/Queue.html")!,
    "<title>Queue - @asyncio/asyncio - asyncio for Deno documentation</title>",
  );
});

Deno.test("The pages of the reference load nothing from elsewhere", () => {
  for (const [path, html] of pages) {
    const loaded = references(html, /<(?:script|img)[^>]* src="([^"]*)"/g);
    loaded.push(...references(html, /<link[^>]* href="([^"]*)"/g));
    const redirects = html.includes('http-equiv="refresh"');
    assertEquals(loaded.length > 0, !redirects, path);
    assertEquals(loaded.filter((it) => /^\w+:/.test(it)), [], path);
  }
});

Deno.test("The links between the pages of the reference lead somewhere", async () => {
  const targets = new Set<string>();
  for (const [path, html] of pages) {
    for (const link of references(html, /(?:href|src)="([^"]*)"/g)) {
      const target = new URL(link, root + path);
      target.hash = "";
      if (target.href.startsWith(root.href)) targets.add(target.href);
    }
  }
  assert(targets.has(new URL("tasks/~/createTask.html", root).href));
  for (const target of targets) await Deno.stat(new URL(target));
});
