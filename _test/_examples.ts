/** Helpers for tests of the examples, which run each as a reader would. */

import { assert, assertEquals, AssertionError, assertMatch } from "@std/assert";

const ROOT = new URL("..", import.meta.url);

/** An example, as described in its file. */
export interface Example {
  /** Its path below `examples/`. */
  path: string;
  /** The text of its first line. */
  title: string;
  /** The permission flags in its second line. */
  flags: string[];
  /** Its output, with `{…}` for parts that differ between runs. */
  output: string;
}

/** The pattern of each `{…}` in the output of an example. */
const CHANGING: Record<string, string> = {
  date: String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`,
  httpDate: String
    .raw`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`,
  port: String.raw`[1-9]\d*`,
  seconds: String.raw`\d+\.\d{2,3}`,
  worker: "worker-[012]",
};

/** All examples, from the folders of all topics. */
export async function allExamples(): Promise<Example[]> {
  const examples: Example[] = [];
  for (const folder of Deno.readDirSync(new URL("examples/", ROOT))) {
    if (!folder.isDirectory) continue;
    const url = new URL(`examples/${folder.name}/`, ROOT);
    for (const { name } of Deno.readDirSync(url)) {
      examples.push(await example(`${folder.name}/${name}`));
    }
  }
  return examples;
}

/** Reads an example, whose file must have the common header and footer. */
export async function example(path: string): Promise<Example> {
  const text = await Deno.readTextFile(new URL(`examples/${path}`, ROOT));
  const [first, second, third] = text.split("\n");
  assertMatch(first, /^\/\/ .*\.$/, path);
  const run = /^\/\/ Run: deno run (.*?)examples\/(\S+)( \[\w+\])?$/.exec(
    second,
  );
  assert(run !== null, `${path}: ${second}`);
  assertEquals([run[2], third], [path, ""]);
  const [program, output, ...rest] = text.split("\n// Output:\n");
  assert(program.includes('} from "@asyncio/asyncio";\n'), path);
  assert(output !== undefined && rest.length === 0, `${path} tells no output`);
  return {
    path,
    title: first.slice("// ".length),
    flags: run[1].split(" ").filter((flag) => flag !== ""),
    output: output.replace(/^\/\/ ?/gm, ""),
  };
}

/** Starts an example with the flags in its second line, and optional further arguments and flags. */
export function start(
  { path, flags }: Example,
  args: string[] = [],
  moreFlags: string[] = [],
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...flags,
      ...moreFlags,
      `examples/${path}`,
      ...args,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1", ASYNCIO_DEBUG: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** The output of a process, which must succeed and report no errors. */
export async function printed(child: Deno.ChildProcess): Promise<string> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  assertEquals([code, decoder.decode(stderr)], [0, ""]);
  return decoder.decode(stdout);
}

/**
 * Asserts that an example has printed the output in its file. Returns the text
 * in place of each `{…}`, in order.
 */
export function assertPrinted(example: Example, printed: string): string[] {
  const pattern = example.output
    .replace(/[.*+?^$()|[\]\\]/g, "\\$&")
    .replace(/\{(\w+)\}/g, (_, name) => `(${CHANGING[name]})`);
  const match = new RegExp(`^${pattern}$`).exec(printed);
  if (match !== null) return match.slice(1);
  throw new AssertionError(
    `${example.path} printed\n${printed}\ninstead of\n${example.output}`,
  );
}
