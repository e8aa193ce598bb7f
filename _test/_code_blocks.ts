/** The examples in Markdown files and in doc comments. */

/** A fenced block of TypeScript. */
export interface CodeBlock {
  /** The heading above it; empty before the first. */
  section: string;
  code: string;
}

const FENCE =
  /^(?<indent> *)```(?:ts|typescript|js|javascript)\b[^\n]*\n(?<code>.*?)^\k<indent>```$/gms;

/** The blocks of a Markdown text, in order. */
export function blocksOf(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(FENCE)].map(({ index, groups }) => {
    const { indent, code } = groups!;
    const headings = [...markdown.slice(0, index).matchAll(/^#+ (.*)$/gm)];
    return {
      section: headings.at(-1)?.[1] ?? "",
      code: code.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    };
  });
}

/** The blocks in the doc comments of a source text. */
export function commentBlocksOf(source: string): CodeBlock[] {
  return [...source.matchAll(/\/\*\*.*?\*\//gs)].flatMap(([comment]) =>
    blocksOf(comment.slice(3, -2).replaceAll(/^ *\* ?/gm, ""))
  );
}
