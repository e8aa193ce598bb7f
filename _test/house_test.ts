// The order of the house: every file imports values from lower floors only, and
// there are few floors; `mod.ts` exports everything that the files of the topics
// export. No file is too long to find one's way in.

import { assert, assertEquals, assertFalse } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import {
  cycleIn,
  denoJson,
  fileOf,
  floorsOf,
  type Graph,
  type Imports,
  type Info,
  readImports,
  ROOT,
} from "./_house.ts";

/** How many floors the house may have. */
const MOST_FLOORS = 11;

/** Files that may name each other in types: a future has a loop, which makes futures. */
const CORE = new Set([
  "_callbacks.ts",
  "_core_classes.ts",
  "_thread_hooks.ts",
  "_cancel_scope.ts",
  "_continuation.ts",
  "_debug_hooks.ts",
  "_event_loop.ts",
  "_future.ts",
  "_options.ts",
  "_scheduler.ts",
  "_task.ts",
  "_task_state.ts",
  "_wait_source.ts",
]);

/** Entry points that no program imports. */
const PROGRAMS = ["./lint.ts", "./ps.ts"];

/** Files that name `Deno` in code: the seam, and a program that only Deno's threads run. */
const NAMING_DENO = ["_host.ts", "_watchdog_worker.ts"];

/** Lines of a file in which a reader finds the way. */
const LONGEST = 800;

/** All imports but those of types inside of the core. */
function outsideTheCore({ values, types }: Imports): Graph {
  return new Map([...values].map(([file, targets]) => {
    const named = types.get(file)!.filter((target) =>
      !(CORE.has(file) && CORE.has(target))
    );
    return [file, [...targets, ...named]];
  }));
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

Deno.test("The module has few floors, and no values are imported in a circle", async () => {
  const { values } = await readImports();
  assertEquals(cycleIn(values), []);
  const floors = floorsOf(values);
  assert(floors.length <= MOST_FLOORS, `${floors.length} floors`);
  assertEquals(floors.at(-1), ["mod.ts"]);
});

Deno.test("Only files of the core name each other in types", async () => {
  assertEquals(cycleIn(outsideTheCore(await readImports())), []);
});

Deno.test("Every file of the module is imported by an entry point", async () => {
  const { values } = await readImports();
  const files = [...Deno.readDirSync(ROOT)].map(({ name }) => name)
    .filter((name) => name.endsWith(".ts"));
  assertEquals(files.filter((it) => !values.has(it)), []);
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

/** Finds `Deno` where it is a value, and not a part of a type or the name of a property. */
const NAMES_DENO: Deno.lint.Plugin = {
  name: "house",
  rules: {
    deno: {
      create: (context) => ({
        Identifier(node) {
          const { parent } = node;
          if (node.name !== "Deno" || parent.type.startsWith("TS")) return;
          const isProperty = parent.type === "MemberExpression" &&
            parent.property === node;
          if (!isProperty) context.report({ node, message: "names Deno" });
        },
      }),
    },
  },
};

function namesDeno(source: string): boolean {
  return Deno.lint.runPlugin(NAMES_DENO, "a.ts", source).length > 0;
}

Deno.test("No file of the module but those of the seam names Deno as a value", async () => {
  const naming: string[] = [];
  for (const { name } of Deno.readDirSync(ROOT)) {
    if (!name.endsWith(".ts") || name === "_thread_program.ts") continue;
    if (namesDeno(await Deno.readTextFile(new URL(name, ROOT)))) {
      naming.push(name);
    }
  }
  assertEquals(naming.sort(), NAMING_DENO);
});

Deno.test("The rules of the house find a Deno in code, and none in comments, texts and types", () => {
  assert(namesDeno("const it = Deno.args;"));
  assert(namesDeno("export { Deno };"));
  assertFalse(namesDeno("let it: Deno.Conn; // a Deno.Conn"));
  assertFalse(namesDeno('/** Of Deno */ import { deno } from "Deno"; `Deno`'));
});

Deno.test("mod.ts needs nothing but itself and the host, and loads nothing of Node", async () => {
  const { values: graph } = await readImports(["mod.ts"]);
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
  const files = [...(await readImports(["lint.ts"])).values.keys()];
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

Deno.test("The floor plan puts a file one floor above the highest that it imports", () => {
  const graph = new Map([
    ["top.ts", ["right.ts", "low.ts"]],
    ["left.ts", ["low.ts"]],
    ["right.ts", ["low.ts", "node:fs"]],
    ["low.ts", []],
  ]);
  assertEquals(floorsOf(graph), [
    ["low.ts"],
    ["left.ts", "right.ts"],
    ["top.ts"],
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
