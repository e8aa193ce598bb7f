// The guides as a reader follows them: each block that a page shows with its
// output is a program that prints just that. The tests of documentation run
// the others.

import { assert, assertEquals, AssertionError } from "@std/assert";
import * as asyncio from "@asyncio/asyncio";
import { TaskGroup } from "@asyncio/asyncio";
import { printed } from "./_programs.ts";

const ROOT = new URL("..", import.meta.url);
const DOCS = new URL("docs/", ROOT);

/** A block of TypeScript and the block of text that stands right below it. */
const PROGRAM =
  /^```ts\n(?<code>(?:(?!```).*\n)*)```\n\n```text\n(?<output>(?:(?!```).*\n)*)```$/gm;

interface Program {
  code: string;
  /** What it prints, with `{…}` for what changes from run to run. */
  output: string;
}

/** The pages with guides, and the front page. */
const PAGES = [
  new URL("README.md", ROOT),
  ...[...Deno.readDirSync(DOCS)].filter(({ name }) => name.endsWith(".md"))
    .map(({ name }) => new URL(name, DOCS)),
];

function programsOf(page: URL): Program[] {
  const text = Deno.readTextFileSync(page);
  return [...text.matchAll(PROGRAM)].map(({ groups }) => groups as never);
}

function assertPrinted({ code, output }: Program, actual: string): void {
  const pattern = output.replace(/[.*+?^$()|[\]\\]/g, "\\$&")
    .replace(/\{\w+\}/g, ".+");
  if (new RegExp(`^${pattern}$`).test(actual)) return;
  throw new AssertionError(
    `${code}\nprinted\n${actual}\ninstead of\n${output}`,
  );
}

for (const page of PAGES) {
  const programs = programsOf(page);
  if (programs.length === 0) continue;
  const path = page.href.slice(ROOT.href.length);
  Deno.test(`Every program of ${path} prints what the page shows`, async () => {
    await TaskGroup.run((group) => {
      for (const program of programs) {
        group.createTask(async () =>
          assertPrinted(
            program,
            await printed(program.code, {
              args: ["-A"],
              cwd: new URL(".", page),
            }),
          )
        );
      }
    }, { limit: 2 });
  });
}

Deno.test("The index of the guides lists each of them once", async () => {
  const index = await Deno.readTextFile(new URL("README.md", DOCS));
  const listed = [...index.matchAll(/\]\((\w[\w-]*\.md)\)/g)]
    .map(([, name]) => name);
  const guides = [...Deno.readDirSync(DOCS)].map(({ name }) => name)
    .filter((name) => name.endsWith(".md") && name !== "README.md");
  assertEquals(
    listed.filter((name) => guides.includes(name)).sort(),
    guides.sort(),
  );
});

/** What the index of the high-level API lists, and the methods of its classes. */
const NAMES = {
  functions: [
    ...["run", "create_task", "current_task", "all_tasks", "sleep", "gather"],
    ...["wait_for", "shield", "wait", "timeout", "timeout_at", "to_thread"],
    ...["run_coroutine_threadsafe", "as_completed", "open_connection"],
    ...["create_subprocess_exec", "create_subprocess_shell", "start_server"],
    ...["open_unix_connection", "start_unix_server"],
  ],
  errors: [
    ...["CancelledError", "TimeoutError", "InvalidStateError"],
    ...["IncompleteReadError", "LimitOverrunError", "BrokenBarrierError"],
    ...["QueueEmpty", "QueueFull", "QueueShutDown"],
    ...["SendfileNotAvailableError"],
  ],
  classes: [
    ...["Future", "Task", "TaskGroup", "Timeout", "Runner", "Queue"],
    ...["PriorityQueue", "LifoQueue", "Lock", "Event", "Condition"],
    ...["Semaphore", "BoundedSemaphore", "Barrier", "StreamReader"],
    ...["StreamWriter", "WriteTransport", "Server", "Process", "ThreadFuture"],
  ],
};

/** The keyword arguments of those functions and classes in CPython 3.15. */
const KEYWORDS = [
  ...["debug", "loop_factory", "context", "name", "eager_start", "loop"],
  ...["result", "return_exceptions", "timeout", "return_when", "msg", "limit"],
  ...["file", "maxsize", "immediate", "value", "lock", "n", "separator"],
  ...["default", "ssl", "server_hostname", "sock", "family", "proto", "flags"],
  ...["local_addr", "interleave", "all_errors", "happy_eyeballs_delay"],
  ...["ssl_handshake_timeout", "ssl_shutdown_timeout", "backlog", "reuse_port"],
  ...["reuse_address", "keep_alive", "start_serving", "cleanup_socket"],
  ...["stdin", "stdout", "stderr", "cwd", "env", "user", "group", "umask"],
  ...["start_new_session", "preexec_fn", "pass_fds", "close_fds", "executable"],
  ...["extra_groups", "process_group", "restore_signals", "pipesize", "text"],
  ...["startupinfo", "creationflags", "encoding", "errors", "bufsize", "shell"],
  ...["universal_newlines"],
];

Deno.test("The page on porting has every keyword argument of the high-level API", async () => {
  const text = await Deno.readTextFile(new URL("porting.md", DOCS));
  assertEquals(
    KEYWORDS.filter((name) => !new RegExp(`\\b${name}=`).test(text)),
    [],
  );
});

Deno.test("The page on porting has every name of the high-level API and every method", async () => {
  const text = await Deno.readTextFile(new URL("porting.md", DOCS));
  const module = asyncio as unknown as Record<string, { prototype: object }>;
  const camel = (name: string) =>
    name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  const methods = NAMES.classes.flatMap((name) =>
    Object.getOwnPropertyNames(module[name].prototype)
      .filter((it) => it !== "constructor" && it !== "then" && it !== "catch")
  );
  const names = [...NAMES.functions.map(camel), ...NAMES.errors];
  for (const name of [...names, ...NAMES.classes]) assert(name in module, name);
  assertEquals(
    [...names, ...NAMES.functions, ...NAMES.classes, ...methods]
      .filter((name) => !new RegExp(`\\b${name}\\b`).test(text)),
    [],
  );
});

/** Pages without programs, which have links all the same. */
const OTHER_PAGES = [
  ...["CHANGELOG.md", "SECURITY.md", "examples/README.md"],
  ...["_bench/README.md", "_test/README.md"],
].map((path) => new URL(path, ROOT));

Deno.test("The links between the pages lead to files and headings that are there", async () => {
  for (const page of [...PAGES, ...OTHER_PAGES]) {
    const text = await Deno.readTextFile(page);
    for (const [, link] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const target = new URL(link, page);
      const heading = target.hash.slice(1);
      target.hash = "";
      const { isFile, isDirectory } = await Deno.stat(target);
      assert(isFile || isDirectory, `${page.href}: ${link}`);
      if (heading === "") continue;
      const anchors = anchorsOf(await Deno.readTextFile(target));
      assert(anchors.includes(heading), `${page.href}: ${link}`);
    }
  }
});

/** The anchors that GitHub and JSR give to the headings of a page. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading.toLowerCase().replaceAll(/[^\p{L}\d\- _]/gu, "")
      .replaceAll(" ", "-")
  );
}
