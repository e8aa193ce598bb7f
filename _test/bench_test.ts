import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { fileURLToPath as fromFileUrl, pathToFileURL } from "node:url";
import { checkOut } from "../_bench/against.ts";
import { chartGroups, drawChart, type Group } from "../_bench/chart.ts";
import { git } from "../_bench/git.ts";
import {
  BEFORE,
  type Options,
  quantile,
  type Result,
  TENFOLD,
  type Workload,
} from "../_bench/harness.ts";
import { duration, frontPage, type Report, report } from "../_bench/report.ts";

const ROOT = new URL("../", import.meta.url);
const AUTHOR = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];

const OPTIONS: Options = {
  rounds: 5,
  quick: false,
  tenfold: true,
  python: "python3",
  uvloop: true,
  others: true,
  cpu: false,
  before: null,
};

const GROUPS: Group[] = [
  { label: "Task", seconds: bySide(2.6e-6, 6.5e-6, 4.6e-6, 590e-9) },
  { label: "Queue <T> & co", seconds: bySide(420e-9, 3e-6, 2.3e-6, 440e-9) },
  { label: "timeout()", seconds: new Map([["ours", 3.9e-6]]) },
];

function bySide(...seconds: number[]): Map<string, number> {
  const sides = ["ours", "python", "uvloop", "bare"];
  return new Map(sides.map((side, i) => [side, seconds[i]]));
}

function result(
  workload: Partial<Workload>,
  samples: Record<string, number[]>,
  failures: Record<string, string> = {},
): Result {
  const { size = 1000 } = workload;
  return {
    workload: { name: "work", size, sides: { ours: () => {} }, ...workload },
    size,
    samples: new Map(Object.entries(samples)),
    failures: new Map(Object.entries(failures)),
  };
}

function reportOf(results: Result[], rest: Partial<Report> = {}): string {
  return report(runOf(results, rest));
}

function runOf(results: Result[], rest: Partial<Report> = {}): Report {
  return {
    results,
    options: OPTIONS,
    machine: "Some processor, 2 cores",
    versions: "Deno 2, CPython 3",
    commit: "0123456789ab",
    before: null,
    date: "2026-11-27",
    ...rest,
  };
}

/** The cells of the row of a table that begins with a name. */
function rowOf(text: string, name: string): string[] {
  const row = text.split("\n").find((line) => line.startsWith(`| ${name} `));
  return row!.split("|").slice(1, -1).map((cell) => cell.trim());
}

Deno.test("quantile() lies between two figures where it has to", () => {
  assertEquals(quantile([3, 1, 2], 0.5), 2);
  assertEquals(quantile([4, 1, 2, 3], 0.5), 2.5);
  assertEquals(quantile([1, 2, 3, 4, 5], 0.25), 2);
  assertEquals(quantile([7], 0.75), 7);
  assertEquals(quantile([1, 2], 0.25), 1.25);
});

Deno.test("duration() shows three digits and the unit that suits them", () => {
  assertEquals(duration(1.234e-7), "123 ns");
  assertEquals(duration(1.5e-9), "1.50 ns");
  assertEquals(duration(0.9996e-6), "1.00 µs");
  assertEquals(duration(99.96e-6), "100 µs");
  assertEquals(duration(0.0201), "20.1 ms");
  assertEquals(duration(12), "12.0 s");
});

Deno.test("report() has costs per item and ratios of the same rounds", () => {
  const text = reportOf([
    result({ name: "work", bareIs: "a loop" }, {
      ours: [0.002, 0.004, 0.006],
      bare: [0.001, 0.002, 0.003],
      python: [0.004, 0.008, 0.012],
      effect: [0.02, 0.04, 0.06],
      ["ours" + TENFOLD]: [0.02, 0.08, 0.06],
    }, { effection: "no network" }),
  ]);
  assertEquals(rowOf(text, "work"), [
    "work",
    "4.00 µs",
    "2.00 µs",
    "8.00 µs",
    "2.00",
    "0.50",
  ]);
  assertStringIncludes(text, "Some processor, 2 cores");
  assertStringIncludes(text, "0123456789ab");
  assertStringIncludes(text, "2026-11-27");
  const [, others, tenfold, bare, leftOut] = text.split(/^## .*$/m).slice(1);
  assertEquals(rowOf(others, "work"), ["work", "effect", "40.0 µs", "0.10"]);
  assertEquals(rowOf(tenfold, "work"), ["work", "1.00"]);
  assertEquals(rowOf(bare, "work"), ["work", "a loop"]);
  assertEquals(rowOf(leftOut, "work"), ["work", "effection", "no network"]);
});

Deno.test("report() compares a start by its difference, and memory in bytes", () => {
  const start = { atMost: 0.015, unit: "ms" } as const;
  const peak = { atMost: 2 ** 31, unit: "GiB" } as const;
  const text = reportOf([
    result({ name: "start", limit: start, size: 10 }, {
      ours: [0.08, 0.081],
      bare: [0.06, 0.061],
    }),
    result({ name: "memory", measure: "bytes" }, {
      ours: [1000, 1002],
      bare: [2000, 2004],
    }),
    result({ name: "peak", measure: "bytes", limit: peak }, {
      ours: [2 ** 30],
    }),
  ]);
  assertEquals(rowOf(text, "start")[3], "+20.0 ms");
  assertEquals(rowOf(text, "start")[1], "80.5 ms");
  assertEquals(rowOf(text, "memory").slice(1), ["1001 B", "2002 B", "0.50"]);
  assertEquals(rowOf(text, "peak")[1], "1.00 GiB");
});

Deno.test("report() shows the ratio to the side before with its quartiles", () => {
  const text = reportOf([
    result({}, { ours: [1.1, 1, 1.3, 1.2, 0.9], [BEFORE]: [1, 1, 1, 1, 1] }),
  ], { before: "dec3014" });
  assertEquals(rowOf(text, "work").at(-1), "1.10 (1.00 … 1.20)");
  assertStringIncludes(text, "dec3014");
});

Deno.test("report() is laid out as deno fmt does", async () => {
  await assertFormatted(reportOf([
    result({ name: "lock, 100 tasks × 1,000 | µ", bareIs: "`a` loop" }, {
      ours: [1, 2],
      bare: [1, 2],
      p: [1, 2],
    }, { effect: "Error: of\ntwo lines" }),
    result({ name: "x" }, { ours: [1, 2] }),
  ]));
});

Deno.test("frontPage() puts the chart and six lines into the README, and again", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const samples = { ours: [0.004], python: [0.008], bare: [0.001] };
  const charts = await chartLabels();
  const run = runOf(charts.map((chart) => result({ chart }, samples)));
  const text = frontPage(readme, run);
  assertStringIncludes(text, "](_bench/chart.svg)");
  assertStringIncludes(text, "Some processor, 2 cores; 2026-11-27.");
  for (
    const label of ["Task", "Queue", "Lock", "timeout()", "Task.cancel()"]
  ) {
    assertEquals(rowOf(text, label), [label, "4.00 µs", "1.00 µs", "8.00 µs"]);
  }
  assertEquals(text.match(/4\.00 µs/g)!.length, 6);
  assert(text.split("\n").length <= 200);
  await assertFormatted(text);
  assertEquals(frontPage(text, run), text);
});

Deno.test("frontPage() refuses a text without its marks", () => {
  assertThrows(() => frontPage("# Title", runOf([])), Error, "twice");
});

/** Asserts that `deno fmt` would leave a page as it is. */
async function assertFormatted(text: string): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--check", "--ext=md", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success } = await child.output();
  assert(success, text);
}

Deno.test("drawChart() is well formed and has a bar and a figure for each side", () => {
  const svg = drawChart(GROUPS, ["A machine", "Some <versions>"]);
  const elements = parse(svg);
  const bars = elements.filter(({ attributes }) =>
    attributes.class?.startsWith("bar ")
  );
  assertEquals(bars.length, 9);
  assertEquals(bars.map(({ attributes }) => attributes.class).slice(0, 4), [
    "bar ours",
    "bar python",
    "bar uvloop",
    "bar bare",
  ]);
  const titles = elements.filter(({ name }) => name === "title");
  assertEquals(titles.length, 1 + 9);
  assertEquals(titles[5].text, "Queue <T> & co, this module: 420 ns");
  const texts = elements.filter(({ name }) => name === "text");
  const ofClass = (kind: string) =>
    texts.filter(({ attributes }) => attributes.class === kind)
      .map(({ text }) => text);
  assertEquals(ofClass("value").length, 9);
  assertEquals(ofClass("value")[0], "2.60 µs");
  assertEquals(ofClass("group"), GROUPS.map(({ label }) => label));
  assertEquals(ofClass("note"), ["A machine", "Some <versions>"]);
  assertEquals(ofClass("label"), [
    "this module",
    "CPython",
    "uvloop",
    "bare Deno",
  ]);
});

Deno.test("drawChart() has a logarithmic axis with round ticks", () => {
  const elements = parse(drawChart(GROUPS, []));
  const ticks = elements.filter(({ attributes }) =>
    attributes.class === "tick"
  );
  assertEquals(ticks.map(({ text }) => text), [
    "200 ns",
    "500 ns",
    "1 µs",
    "2 µs",
    "5 µs",
    "10 µs",
  ]);
  const places = ticks.map(({ attributes }) => Number(attributes.x));
  assertNear(places[3] - places[0], places[5] - places[2]);
  assertNear(places[1] - places[0], places[4] - places[3]);
  const lengths = elements
    .filter(({ attributes }) => attributes.class === "bar ours")
    .map(({ attributes }) => Number(attributes.width));
  const scale = (places[5] - places[2]) / Math.log(10);
  assertNear(lengths[0], scale * Math.log(2600 / 200));
  assertNear(lengths[2], scale * Math.log(3900 / 200));
});

Deno.test("drawChart() shows powers of ten where the figures lie far apart", () => {
  const seconds = new Map([["ours", 1.6e-9], ["bare", 0.9]]);
  const elements = parse(drawChart([{ label: "wide", seconds }], []));
  const ticks = elements.filter(({ attributes }) =>
    attributes.class === "tick"
  );
  assertEquals(ticks.map(({ text }) => text).slice(-3), [
    "10 ms",
    "100 ms",
    "1 s",
  ]);
});

Deno.test("drawChart() loads nothing, runs nothing, and has two schemes", () => {
  const svg = drawChart(GROUPS, []);
  assertMatch(svg, /@media \(prefers-color-scheme: dark\)/);
  const withoutNamespace = svg.replace(
    'xmlns="http://www.w3.org/2000/svg"',
    "",
  );
  for (
    const it of ["<script", "href", "url(", "@import", "@font-face", "http"]
  ) {
    assert(!withoutNamespace.includes(it), it);
  }
});

Deno.test("drawChart() refuses to draw nothing", () => {
  assertThrows(() => drawChart([], []), RangeError, "no figures");
});

Deno.test("chartGroups() takes the workloads that have a name in the chart", () => {
  const samples = { ours: [0.001, 0.003, 0.002], bare: [0.001], effect: [1] };
  const groups = chartGroups([
    result({ chart: "Task" }, samples),
    result({}, samples),
  ]);
  assertEquals(groups, [
    { label: "Task", seconds: new Map([["ours", 2e-6], ["bare", 1e-6]]) },
  ]);
});

Deno.test("every chart label of the benchmark is that of one workload, and there are eight", async () => {
  const labels = await chartLabels();
  assertEquals(labels.length, 8);
  assertEquals(new Set(labels).size, 8);
});

async function chartLabels(): Promise<string[]> {
  const labels: string[] = [];
  const files = ["tasks", "queues", "sync", "timers", "cancel"]
    .map((name) => `workloads/${name}.ts`);
  for (const file of [...files, "streams.ts"]) {
    const { default: workloads } = await import(`../_bench/${file}`);
    for (const { chart } of workloads as Workload[]) {
      if (chart !== undefined) labels.push(chart);
    }
  }
  return labels;
}

Deno.test("checkOut() puts the benchmark of today beside the module of then", () => {
  using repository = makeRepository({ "mod.ts": "1", "_bench/old.ts": "old" });
  const { root } = repository;
  const first = git(root, "rev-parse", "HEAD");
  Deno.removeSync(new URL("_bench/old.ts", root));
  write(root, { "mod.ts": "2", "_bench/side.ts": "new", "_bench/a/b.ts": "b" });
  commit(root);
  using checkout = checkOut("HEAD~1", root);
  const read = (path: string) =>
    Deno.readTextFileSync(new URL(path, checkout.bench));
  assertEquals(checkout.commit, first);
  assertEquals(read("../mod.ts"), "1");
  assertEquals(read("side.ts"), "new");
  assertEquals(read("a/b.ts"), "b");
  assertThrows(() => read("old.ts"), Deno.errors.NotFound);
  checkout[Symbol.dispose]();
  assertThrows(() => read("side.ts"), Deno.errors.NotFound);
  assertEquals(worktrees(root), 1);
  assertEquals(git(root, "status", "--porcelain"), "");
});

Deno.test("checkOut() of a commit that is not there leaves nothing behind", () => {
  using repository = makeRepository({ "mod.ts": "1" });
  const { root } = repository;
  assertThrows(() => checkOut("no-such-commit", root), Error, "no-such-commit");
  assertThrows(
    () => checkOut("--all", root),
    Error,
    "expected a commit",
  );
  // Without a benchmark to copy.
  assertThrows(() => checkOut("HEAD", root), Deno.errors.NotFound);
  assertEquals(worktrees(root), 1);
});

Deno.test("the benchmark measures the module of another commit as one more side", async () => {
  using repository = makeRepository(ownFiles());
  using temporary = makeFolder();
  const { success, stdout, stderr } = await benchmark(repository.root, [
    "--no-tenfold",
    "--against=HEAD",
  ], temporary.path).output();
  const [text, log] = [stdout, stderr].map((it) =>
    new TextDecoder().decode(it)
  );
  assert(success, log);
  assertMatch(text, /\| to before +\|/);
  const row = rowOf(text, "lock, uncontended, acquire() and release()");
  assertMatch(row.at(-1)!, /^\d+\.\d\d \(\d+\.\d\d … \d+\.\d\d\)$/);
  assertEquals([...Deno.readDirSync(temporary.path)], []);
  assertEquals(worktrees(repository.root), 1);
});

// Windows has no signal that a process can send to another.
if (Deno.build.os !== "windows") {
  Deno.test("the benchmark removes the worktree when it is interrupted", async () => {
    using repository = makeRepository(ownFiles());
    using temporary = makeFolder();
    const child = benchmark(repository.root, ["--against=HEAD"], temporary.path)
      .spawn();
    const log = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("before is")) text += (await log.read()).value ?? "";
    assertEquals(worktrees(repository.root), 2);
    child.kill("SIGINT");
    await log.cancel();
    await child.stdout.cancel();
    assertEquals((await child.status).code, 130);
    assertEquals([...Deno.readDirSync(temporary.path)], []);
    assertEquals(worktrees(repository.root), 1);
  });
}

Deno.test("the benchmark writes results of whole runs of a commit only", async () => {
  using repository = makeRepository(ownFiles());
  using temporary = makeFolder();
  const { root } = repository;
  const refused = async (command: Deno.Command) => {
    const { code, stderr } = await command.output();
    assertEquals(code, 1);
    return new TextDecoder().decode(stderr);
  };
  const part = benchmark(root, ["--write"], temporary.path);
  assertStringIncludes(await refused(part), "run all workloads in full");
  write(root, { "_bench/RESULTS.md": "", "mod.ts": "" });
  const main = fromFileUrl(new URL("_bench/main.ts", root));
  const whole = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-config", main, "--write"],
  });
  const message = await refused(whole);
  assertMatch(message, /commit these changes first\s+M mod\.ts\s/);
  assert(!message.includes("RESULTS.md"), message);
});

interface Element {
  readonly name: string;
  readonly attributes: Record<string, string>;
  /** What stands in it, without what its children have. */
  text: string;
}

/** The elements of an XML document; throws if it is not well formed. */
function parse(source: string): Element[] {
  const tag =
    /<(\/?)([a-z]+)((?: [a-zA-Z:-]+[0-9]?="[^"<]*")*)(\/?)>|([^<]+)|</g;
  const all: Element[] = [];
  const open: Element[] = [];
  for (
    const [whole, slash, name, attributes, end, text] of source.matchAll(tag)
  ) {
    if (text !== undefined) {
      if (open.length > 0) open.at(-1)!.text += unescaped(text);
      else assertEquals(text.trim(), "");
    } else if (name === undefined) {
      throw new SyntaxError(`Not well formed at ${whole}`);
    } else if (slash !== "") {
      assertEquals(open.pop()?.name, name);
    } else {
      assert(open.length > 0 || all.length === 0, "two roots");
      const element = { name, attributes: attributesOf(attributes), text: "" };
      all.push(element);
      if (end === "") open.push(element);
    }
  }
  assertEquals(open.length, 0);
  return all;
}

function attributesOf(source: string): Record<string, string> {
  const pairs = [...source.matchAll(/ ([^=]+)="([^"]*)"/g)]
    .map(([, name, value]) => [name, unescaped(value)] as const);
  assertEquals(new Set(pairs.map(([name]) => name)).size, pairs.length);
  return Object.fromEntries(pairs);
}

function unescaped(source: string): string {
  assert(!/&(?!(?:lt|gt|amp|quot);)/.test(source), source);
  return source.replaceAll("&lt;", "<").replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

/** Whether two places are the same but for rounding. */
function assertNear(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) < 0.2, `${actual} is not ${expected}`);
}

/** A temporary folder. */
function makeFolder(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync();
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** A repository with one commit. */
function makeRepository(files: Record<string, string>) {
  const { path, [Symbol.dispose]: remove } = makeFolder();
  const root = pathToFileURL(`${path}/`);
  git(root, "init", "--quiet");
  write(root, files);
  commit(root);
  return { root, [Symbol.dispose]: remove };
}

function write(root: URL, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = new URL(name, root);
    Deno.mkdirSync(new URL("./", file), { recursive: true });
    Deno.writeTextFileSync(file, text);
  }
}

function commit(root: URL): void {
  git(root, "add", "--all");
  git(root, ...AUTHOR, "commit", "--quiet", "--message=Change");
}

function worktrees(root: URL): number {
  return git(root, "worktree", "list").split("\n").length;
}

/** The module and its benchmark. */
function ownFiles(): Record<string, string> {
  const files: Record<string, string> = {};
  const folders = ["", "_bench/", "_bench/workloads/", "_bench/scripts/"];
  for (const folder of folders) {
    for (const { name } of Deno.readDirSync(new URL(folder || ".", ROOT))) {
      if (!name.endsWith(".ts")) continue;
      const file = new URL(folder + name, ROOT);
      files[folder + name] = Deno.readTextFileSync(file);
    }
  }
  return files;
}

/** A short run of one workload in a repository. */
function benchmark(
  root: URL,
  options: readonly string[],
  temporary: string,
): Deno.Command {
  const main = fromFileUrl(new URL("_bench/main.ts", root));
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-config", main, "--quick", "--only"],
      ...["--python=none", "--rounds=1", ...options],
      "uncontended, acquire",
    ],
    env: { TMPDIR: temporary, TMP: temporary },
    stdout: "piped",
    stderr: "piped",
  });
}
