/**
 * Writes the reference as HTML pages that are read without a network:
 * `deno task docs`, or `deno task docs FOLDER`. Open `index.html` in it.
 *
 * The pages come from `deno doc --html`. What it cannot know is put right
 * afterwards: the names under which a reader imports the module, and a front
 * page that leads to every entry point.
 */

import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import config from "../deno.json" with { type: "json" };

const ROOT = new URL("..", import.meta.url);
const TITLE = "asyncio for Deno";
/** The first paragraph of the doc comment of a module. */
const SUMMARY = /^\/\*\*\n((?: \* .*\n)+)/m;
/** The import that a page shows, twice: to read and to copy. */
const USAGE = /( from &quot;)(\.|[a-z]+)(&quot;;\n(?:<\/code>|"><svg))/g;
/** The name of the main entry point in titles and links. */
const DEFAULT = /(<title>.* - |>)default( - |<\/a>|<\/title>)/g;
/** The first five symbols, whatever they are, beside the front page. */
const TOP_SYMBOLS = /<h3>Symbols<\/h3>\s*<ul>.*?<\/ul>/s;
/** A column is too narrow for an import in one line. */
const WRAP_USAGE =
  ".ddoc .usageContent pre > code { white-space: pre-wrap; overflow-wrap: anywhere; }";
const FRONT_PAGE_END = "</div></div>\n</div>\n</section>";

/** Writes the pages into a folder, which is made anew. */
export async function makeDocs(folder: URL): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await generate(folder);
  await correctImports(folder);
  await extendFrontPage(new URL("index.html", folder));
  await Deno.writeTextFile(new URL("page.css", folder), WRAP_USAGE, {
    append: true,
  });
}

async function generate(folder: URL): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "doc",
      "--html",
      `--name=${TITLE}`,
      `--output=${fileURLToPath(folder)}`,
      ...Object.values(config.exports),
    ],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Makes every page below a folder name the module as programs import it. */
async function correctImports(folder: URL): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const entry = new URL(`${encodeURIComponent(name)}`, folder);
    if (isDirectory) await correctImports(new URL(`${entry.href}/`));
    if (!name.endsWith(".html")) continue;
    const page = await Deno.readTextFile(entry);
    const corrected = page
      .replaceAll(
        USAGE,
        (_, before, path, after) =>
          before + specifierOf(path === "." ? "." : `./${path}`) + after,
      )
      .replaceAll(DEFAULT, (_, before, after) => before + config.name + after);
    await Deno.writeTextFile(entry, corrected);
  }
}

function specifierOf(entryPoint: string): string {
  return config.name + entryPoint.slice(1);
}

/** Adds the entry points with the values that each gives. */
async function extendFrontPage(page: URL): Promise<void> {
  const html = await Deno.readTextFile(page);
  const sections = await Promise.all(
    Object.entries(config.exports).filter(([name]) => name !== ".")
      .map(([name, file]) => describeEntryPoint(name, file)),
  );
  const list = [
    '<div class="markdown"><h2>Entry points</h2>',
    `<p><code>${config.name}</code> has all of these but the last two; each can also be imported alone.</p>`,
    ...sections.sort((a, b) => a.rank - b.rank).map(({ html }) => html),
    "</div>",
  ].join("\n");
  const [before, after, ...rest] = html.split(FRONT_PAGE_END);
  if (after === undefined || rest.length > 0) {
    throw new Error("The front page looks different from what is expected");
  }
  await Deno.writeTextFile(
    page,
    (before + list + FRONT_PAGE_END + after)
      .replace(TOP_SYMBOLS, "<h3>Symbols</h3>"),
  );
}

/** Programs that import nothing of an entry point stand at the end. */
async function describeEntryPoint(
  name: string,
  file: string,
): Promise<{ html: string; rank: number }> {
  const url = new URL(file, ROOT);
  const [, summary] = SUMMARY.exec(await Deno.readTextFile(url))!;
  const text = summary.replaceAll(/^ \* /gm, "").trim()
    .replaceAll(/`([^`]+)`/g, "<code>$1</code>");
  const folder = name.slice("./".length);
  const links = Object.keys(await import(url.href))
    .filter((symbol) => symbol !== "default").sort()
    .map((symbol) => `<a href="${folder}/~/${symbol}.html">${symbol}</a>`);
  const inAll = (await Deno.readTextFile(new URL("mod.ts", ROOT)))
    .includes(`from "${file}"`);
  return {
    html: `<h3><a href="${folder}/index.html">${specifierOf(name)}</a></h3>
<p>${text}</p>
<p>${links.join(" · ")}</p>`,
    rank: inAll ? 0 : 1,
  };
}

if (import.meta.main) {
  const folder = pathToFileURL(`${resolve(Deno.args[0] ?? ".docs")}/`);
  await makeDocs(folder);
  console.log(`${folder.href}index.html`);
}
