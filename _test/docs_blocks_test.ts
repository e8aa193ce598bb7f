// Every block of TypeScript in the documentation runs. They share one isolate,
// as hundreds of them take long to start; `deno task test` runs each alone.
// `docs_test.ts` runs those that are shown with their output.

import { assertEquals } from "@std/assert";
import { allBlocks, definesTests } from "./_code_blocks.ts";

const ROOT = new URL("..", import.meta.url);
/** The pages whose output `docs_test.ts` compares. */
const GUIDES = /^(?:README\.md|docs\/[^/]+\.md)$/;

/** A module of the code, as if it were in a file of the folder. */
function moduleOf(code: string, folder: URL): string {
  const source = code.replaceAll(/(?<=")\.\//g, folder.href);
  return `data:text/typescript,${encodeURIComponent(source)}`;
}

for (const [path, blocks] of allBlocks()) {
  const folder = new URL(".", new URL(path, ROOT));
  for (const [index, block] of blocks.entries()) {
    if (block.hasOutput && GUIDES.test(path)) continue;
    if (definesTests(block)) continue; // `deno task ok` runs them alone
    const { code, section } = block;
    const place = section === "" ? "" : ` (${section})`;
    Deno.test(`Block ${index + 1} of ${path} runs${place}`, async () => {
      const module = await import(moduleOf(code, folder));
      assertEquals(module[Symbol.toStringTag], "Module");
    });
  }
}
