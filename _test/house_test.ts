// The order of the house: every file stands on a floor and imports from lower
// ones only, types included, and `mod.ts` gives everything that the files of
// the topics give. No file is too long to find one's way in.

import { assert, assertEquals } from "@std/assert";
import config from "../deno.json" with { type: "json" };

const ROOT = new URL("..", import.meta.url);

/** The floors, the lowest first. Files of one floor do not import each other. */
const FLOORS = [
  [
    "_collections.ts",
    "_host.ts",
    "_inspector.ts",
    "_lint_ast.ts",
    "_lint_library.ts",
    "_call_site.ts",
    "_process.ts",
    "_runtime_errors.ts",
    "_thread_program.ts",
    "_validate.ts",
  ],
  [
    "_deno.ts",
    "_duration.ts",
    "_lint_scope.ts",
    "_system_errors.ts",
    "_thread_serialize.ts",
  ],
  ["exceptions.ts"],
  [
    "_abort_signal.ts",
    "_bytes.ts",
    "_cancel_request.ts",
    "_context.ts",
    "_lint_model.ts",
    "_thread_codec.ts",
    "_thread_function.ts",
    "_thread_future.ts",
    "_tls.ts",
  ],
  [
    "_scheduler.ts",
    "_foreign_places.ts",
    "_options.ts",
    "_thread_channel.ts",
    "_watchdog_worker.ts",
  ],
  [
    "_cancel_scope.ts",
    "_lint_cancellation.ts",
    "_lint_coroutine.ts",
    "_lint_duration.ts",
    "_lint_release.ts",
    "_lint_signal.ts",
    "_thread_worker.ts",
    "_unhandled.ts",
  ],
  ["_task_state.ts"],
  ["_debug_mode.ts"],
  ["_observer.ts", "_inspect.ts"],
  ["_snapshot.ts", "_trace.ts", "_watchdog.ts"],
  ["_attach.ts", "_deadlock.ts", "_report.ts"],
  ["_future.ts", "_top.ts"],
  ["_continuation.ts"],
  ["_task.ts"],
  ["_event_loop.ts"],
  [
    "_call_graph.ts",
    "_io_batch.ts",
    "_waiting_call.ts",
    "_read_request.ts",
    "_thread_pool.ts",
    "_wait_queue.ts",
  ],
  ["_awaitable.ts", "_barrier.ts", "_limiter.ts"],
  [
    "_as_completed.ts",
    "_async_iterator.ts",
    "_dispose.ts",
    "_gather.ts",
    "_stream_reader.ts",
    "_scopes.ts",
    "_stream_options.ts",
    "_thread_loop_server.ts",
  ],
  ["_write_pump.ts"],
  ["_stream_writer.ts"],
  ["_connection.ts", "_child_pipes.ts", "_streams.ts", "_threads.ts"],
  ["_unix_socket.ts"],
  ["_command.ts", "_server.ts"],
  ["_child.ts"],
  [
    "introspection.ts",
    "lint.ts",
    "ps.ts",
    "queues.ts",
    "runner.ts",
    "streams.ts",
    "subprocess.ts",
    "sync.ts",
    "tasks.ts",
  ],
  ["testing.ts"],
  ["mod.ts"],
];

/** Files that name each other in types: a future has a loop, which makes futures. */
const CORE = new Set([
  "_cancel_scope.ts",
  "_event_loop.ts",
  "_task_state.ts",
  "_future.ts",
  "_task.ts",
  "_continuation.ts",
]);

/** Entry points that no program imports. */
const PROGRAMS = ["./lint.ts", "./ps.ts"];

/** Lines of a file in which a reader finds the way. */
const LONGEST = 800;

/** What each file imports. */
type Graph = Map<string, string[]>;

/** Imports that do not go down, and files that stand nowhere. */
function wrongArrows(graph: Graph, floors: string[][]): string[] {
  const floorOf = new Map(
    floors.flatMap((files, floor) => files.map((file) => [file, floor])),
  );
  const wrong: string[] = [];
  for (const [file, imports] of graph) {
    const floor = floorOf.get(file);
    if (floor === undefined) wrong.push(`${file} stands on no floor`);
    for (const target of imports) {
      if (floorOf.get(target)! >= floor!) {
        wrong.push(`${file} imports ${target}, which is not below it`);
      }
    }
  }
  for (const file of floorOf.keys()) {
    if (!graph.has(file)) {
      wrong.push(`${file} is on a floor and does not exist`);
    }
  }
  return wrong;
}

/** The files of a cycle in the order of their imports; none if there is no cycle. */
function cycleIn(graph: Graph): string[] {
  const clean = new Set<string>();
  const visit = (file: string, path: string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (clean.has(file)) return [];
    for (const target of graph.get(file) ?? []) {
      const cycle = visit(target, [...path, file]);
      if (cycle.length > 0) return cycle;
    }
    clean.add(file);
    return [];
  };
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

/** What some file gives and `mod.ts` does not. */
function missingNames(
  names: Map<string, Set<string>>,
  all: Set<string>,
): string[] {
  return [...names].flatMap(([file, own]) =>
    [...own.difference(all)].map((name) => `${name} of ${file}`)
  );
}

async function denoJson(...args: string[]): Promise<unknown> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

interface Dependency {
  code?: { specifier?: string };
  type?: { specifier?: string };
}

interface Info {
  modules: { specifier: string; dependencies?: Dependency[] }[];
}

/** Imports of an entry point, of what it imports, and so on; those of the host with their `node:`. */
async function readGraph(entry = "mod.ts"): Promise<Graph> {
  const { modules } = await denoJson("info", "--json", entry) as Info;
  const own = modules.filter(({ specifier }) => specifier.startsWith("file:"));
  return new Map(own.map(({ specifier, dependencies = [] }) => {
    const file = fileOf(specifier);
    return [
      file,
      dependencies.flatMap(({ code, type }) => [
        ...code?.specifier ? [fileOf(code.specifier)] : [],
        ...type?.specifier ? typeImport(file, fileOf(type.specifier)) : [],
      ]),
    ];
  }));
}

/** Erased imports cannot fail; only files of the core may name each other. */
function typeImport(file: string, target: string): string[] {
  return CORE.has(file) && CORE.has(target) ? [] : [target];
}

function fileOf(specifier: string): string {
  return specifier.startsWith(ROOT.href)
    ? specifier.slice(ROOT.href.length)
    : specifier;
}

Deno.test("mod.ts stands on files that import from lower floors only", async () => {
  const graphs = ["mod.ts", "lint.ts", "ps.ts"].map(readGraph);
  const graph = new Map((await Promise.all(graphs)).flatMap((it) => [...it]));
  const files = [...Deno.readDirSync(ROOT)].map(({ name }) => name);
  for (const file of files) {
    if (file.endsWith(".ts") && !graph.has(file)) graph.set(file, []);
  }
  assertEquals(wrongArrows(graph, FLOORS), []);
});

Deno.test("mod.ts stands on files that import nothing in a circle", async () => {
  assertEquals(cycleIn(await readGraph()), []);
  assertEquals(cycleIn(await readGraph("lint.ts")), []);
  assertEquals(cycleIn(await readGraph("ps.ts")), []);
});

Deno.test("No file of the module has more than 800 lines", async () => {
  const lengths: Record<string, number> = {};
  for (const { name } of Deno.readDirSync(ROOT)) {
    if (!name.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(new URL(name, ROOT));
    const length = text.split("\n").length - 1;
    if (length > LONGEST) lengths[name] = length;
  }
  assertEquals(lengths, {});
});

Deno.test("mod.ts needs nothing but itself and the host, and loads nothing of Node", async () => {
  const graph = await readGraph();
  const foreign = [...graph.values()].flat()
    .filter((target) => !graph.has(target) && !target.startsWith("node:"));
  assertEquals(foreign, []);
  const { modules } = await denoJson("info", "--json", "mod.ts") as Info;
  const loaded = modules.flatMap(({ dependencies = [] }) =>
    dependencies.map(({ code }) => code?.specifier ?? "")
  );
  assert(loaded.includes(new URL("_host.ts", ROOT).href));
  assertEquals(loaded.filter((it) => it.startsWith("node:")), []);
});

Deno.test("lint.ts needs nothing but files of its own and the checks of arguments", async () => {
  const files = [...(await readGraph("lint.ts")).keys()];
  assertEquals(files.filter((it) => !/^(_?lint|_validate)/.test(it)), []);
});

Deno.test("mod.ts gives every public name of the topics", async () => {
  const entries = Object.values(config.exports)
    .filter((entry) => !PROGRAMS.includes(entry));
  const { nodes } = await denoJson("doc", "--json", ...entries) as {
    nodes: Record<string, { symbols: { name: string }[] }>;
  };
  const names = new Map(
    Object.entries(nodes).map(([specifier, { symbols }]) => [
      fileOf(specifier),
      new Set(symbols.map(({ name }) => name)),
    ]),
  );
  assertEquals(names.size, entries.length);
  assertEquals(missingNames(names, names.get("mod.ts")!), []);
});

Deno.test("The rules of the house find an arrow that runs up, one to a neighbour, and a stranger", () => {
  const floors = [["low.ts", "gone.ts"], ["left.ts", "right.ts"], ["top.ts"]];
  const graph = new Map([
    ["low.ts", ["left.ts", "node:fs"]],
    ["left.ts", ["right.ts", "low.ts"]],
    ["right.ts", ["low.ts"]],
    ["top.ts", ["right.ts", "new.ts"]],
    ["new.ts", []],
  ]);
  assertEquals(wrongArrows(graph, floors), [
    "low.ts imports left.ts, which is not below it",
    "left.ts imports right.ts, which is not below it",
    "new.ts stands on no floor",
    "gone.ts is on a floor and does not exist",
  ]);
});

Deno.test("The rules of the house find a cycle and a name that is missing", () => {
  const graph = new Map([
    ["a.ts", ["b.ts", "c.ts"]],
    ["b.ts", ["c.ts"]],
    ["c.ts", ["d.ts"]],
    ["d.ts", ["b.ts"]],
  ]);
  assertEquals(cycleIn(graph), ["b.ts", "c.ts", "d.ts", "b.ts"]);
  graph.set("d.ts", []);
  assertEquals(cycleIn(graph), []);
  const names = new Map([["a.ts", new Set(["one", "two"])]]);
  assertEquals(missingNames(names, new Set(["one"])), ["two of a.ts"]);
});
