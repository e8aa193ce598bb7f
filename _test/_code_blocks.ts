/** The examples in Markdown files and in doc comments. */

/** A fenced block of TypeScript. */
export interface CodeBlock {
  /** The heading above it; empty before the first. */
  section: string;
  code: string;
  /** Whether it is marked to be left alone. */
  isIgnored: boolean;
  /** Whether what it prints stands below it. */
  hasOutput: boolean;
}

const ROOT = new URL("..", import.meta.url);

const FENCE =
  /^(?<indent> *)```(?:ts|typescript|js|javascript)\b(?<mark>[^\n]*)\n(?<code>.*?)^\k<indent>```$/gms;

/** The blocks of a Markdown text, in order. */
export function blocksOf(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(FENCE)].map(({ 0: all, index, groups }) => {
    const { indent, code, mark } = groups!;
    const headings = [...markdown.slice(0, index).matchAll(/^#+ (.*)$/gm)];
    return {
      section: headings.at(-1)?.[1] ?? "",
      code: code.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
      isIgnored: mark.trim() === "ignore",
      hasOutput: markdown.startsWith("\n\n```text\n", index + all.length),
    };
  });
}

/** The blocks in the doc comments of a source text. */
export function commentBlocksOf(source: string): CodeBlock[] {
  return [...source.matchAll(/\/\*\*.*?\*\//gs)].flatMap(([comment]) =>
    blocksOf(comment.slice(3, -2).replaceAll(/^ *\* ?/gm, ""))
  );
}

/** The blocks of each document and source file that are to be run, by its path. */
export function allBlocks(): Map<string, CodeBlock[]> {
  const blocks = new Map<string, CodeBlock[]>();
  for (const folder of ["", "docs/", "docs/lint/"]) {
    for (const { name } of Deno.readDirSync(new URL(folder, ROOT))) {
      if (!/\.(?:md|ts)$/.test(name)) continue;
      const text = Deno.readTextFileSync(new URL(folder + name, ROOT));
      const all = name.endsWith(".md") ? blocksOf(text) : commentBlocksOf(text);
      blocks.set(folder + name, all.filter(({ isIgnored }) => !isIgnored));
    }
  }
  return blocks;
}

/** Whether a block defines tests, so that only `deno test --doc` can run it. */
export function definesTests({ code }: CodeBlock): boolean {
  return code.includes("Deno.test(");
}
