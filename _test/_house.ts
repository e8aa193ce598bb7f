// The floor plan of the module: a file is one floor above the highest file that
// it imports values from. Run this file to print the plan:
//
//     deno task floors

/** The folder of the module. */
export const ROOT = new URL("..", import.meta.url);

/** The entry points. Files that none of them imports are not part of the module. */
const ENTRIES = ["mod.ts", "lint.ts", "ps.ts"];

/** The imports of each file. */
export type Graph = Map<string, string[]>;

/** Imports of values, and type-only imports, which are erased. */
export interface Imports {
  values: Graph;
  types: Graph;
}

interface Dependency {
  code?: { specifier?: string };
  type?: { specifier?: string };
}

/** A module as `deno info` lists it. */
export interface Info {
  modules: { specifier: string; dependencies?: Dependency[] }[];
}

/** Reads the imports of the entry points and of everything they import. */
export async function readImports(entries = ENTRIES): Promise<Imports> {
  const infos = await Promise.all(
    entries.map((it) => denoJson("info", "--json", it) as Promise<Info>),
  );
  const values: Graph = new Map();
  const types: Graph = new Map();
  for (
    const { specifier, dependencies = [] } of infos.flatMap((it) => it.modules)
  ) {
    if (!specifier.startsWith("file:")) continue;
    values.set(fileOf(specifier), targets(dependencies, "code"));
    types.set(fileOf(specifier), targets(dependencies, "type"));
  }
  return { values, types };
}

function targets(dependencies: Dependency[], kind: keyof Dependency): string[] {
  return dependencies.flatMap((it) => it[kind]?.specifier ?? []).map(fileOf);
}

export function fileOf(specifier: string): string {
  return specifier.startsWith(ROOT.href)
    ? specifier.slice(ROOT.href.length)
    : specifier;
}

/** The files by floor, lowest first. There must be no cycle. */
export function floorsOf(values: Graph): string[][] {
  const heights = new Map<string, number>();
  const height = (file: string): number => {
    const known = heights.get(file);
    if (known !== undefined) return known;
    const below = (values.get(file) ?? []).filter((it) => values.has(it));
    const own = Math.max(-1, ...below.map(height)) + 1;
    heights.set(file, own);
    return own;
  };
  const floors: string[][] = [];
  for (const file of values.keys()) (floors[height(file)] ??= []).push(file);
  return floors.map((files) => files.sort());
}

/** The files of a cycle in import order; empty if there is no cycle. */
export function cycleIn(graph: Graph): string[] {
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

/** The JSON output of a Deno command. */
export async function denoJson(...args: string[]): Promise<unknown> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

if (import.meta.main) {
  const { values } = await readImports();
  floorsOf(values).forEach((files, floor) =>
    console.log(`${floor}`.padStart(2), files.join(" "))
  );
}
