// The rules of the lint plugin: what each finds, what it must leave alone, and
// what its fixes write.

import { assertEquals, assertThrows } from "@std/assert";
import { createPlugin } from "../lint.ts";
import {
  assertFound,
  assertNothing,
  fixed,
  found,
  foundInFile,
} from "./_lint.ts";

const ROOT = new URL("..", import.meta.url);

// Which calls are calls of the module

const FLOATING = "no-floating-promises";

Deno.test("lint: the module is known under its published specifiers", () => {
  for (
    const specifier of [
      "@asyncio/asyncio",
      "@asyncio/asyncio/tasks",
      "jsr:@asyncio/asyncio",
      "jsr:/@asyncio/asyncio@^0.1/tasks",
      "jsr:@asyncio/asyncio@1.0.0-rc.1",
      "npm:@jsr/asyncio__asyncio",
      "npm:@jsr/asyncio__asyncio@1/tasks",
      "@jsr/asyncio__asyncio",
      "https://jsr.io/@asyncio/asyncio/0.1.0/mod.ts",
    ]
  ) {
    const source = `import { sleep } from "${specifier}"; sleep(1);`;
    assertEquals(foundInFile(FLOATING, source), ["sleep(1)"], specifier);
  }
});

Deno.test("lint: a file may hold a list of any length", () => {
  const list = `const list = [${"0,".repeat(150_000)}]; sleep(1);`;
  assertEquals(found(FLOATING, list), ["sleep(1)"]);
});

Deno.test("lint: other modules are not the module", () => {
  for (
    const specifier of [
      "asyncio",
      "@std/async",
      "jsr:@asyncio/asyncio-extra",
      "@asyncio/asyncio2",
      "npm:asyncio",
      "./mod.ts",
      "/mod.ts",
      "https://example.com/@asyncio/asyncio/mod.ts",
    ]
  ) {
    const source = `import { sleep } from "${specifier}"; sleep(1);`;
    assertEquals(foundInFile(FLOATING, source), [], specifier);
  }
  assertEquals(foundInFile(FLOATING, "sleep(1); queue.put(1);"), []);
});

Deno.test("lint: relative imports count where they lead to this module", () => {
  const source = 'import { sleep } from "../tasks.ts"; sleep(1);';
  const at = (path: string) =>
    foundInFile(FLOATING, source, new URL(path, ROOT).href);
  assertEquals(at("examples/a.ts"), ["sleep(1)"]);
  assertEquals(at("examples/deep/a.ts"), []);
  const path = decodeURI(new URL("examples/a.ts", ROOT).pathname);
  assertEquals(foundInFile(FLOATING, source, path), ["sleep(1)"]);
});

Deno.test("createPlugin() looks at further specifiers", () => {
  const plugin = createPlugin({ specifiers: ["aio", "file:///app/deps.ts"] });
  const count = (specifier: string) =>
    Deno.lint.runPlugin(
      plugin,
      "file:///app/src/main.ts",
      `import { sleep } from "${specifier}"; sleep(1);`,
    ).length;
  assertEquals(count("aio"), 1);
  assertEquals(count("../deps.ts"), 1);
  assertEquals(count("@asyncio/asyncio"), 1);
  assertEquals(count("./deps.ts"), 0);
  assertEquals(count("aio/sub"), 0);
});

Deno.test("createPlugin() refuses other options, and specifiers that are not strings", () => {
  assertThrows(
    () => createPlugin({ specifier: ["aio"] } as never),
    TypeError,
    'unknown option "specifier"',
  );
  for (const specifiers of ["aio", [1], null]) {
    assertThrows(
      () => createPlugin({ specifiers } as never),
      TypeError,
      "specifiers must be an array of strings, got ",
    );
  }
});

Deno.test("lint: names of the module are followed through aliases", () => {
  const from = 'from "@asyncio/asyncio";';
  for (
    const [source, expected] of [
      [`import { sleep as nap } ${from} nap(1);`, "nap(1)"],
      [`import * as aio ${from} aio.sleep(1);`, "aio.sleep(1)"],
      [`import * as aio ${from} aio["sleep"](1);`, 'aio["sleep"](1)'],
      [`import { "sleep" as s } ${from} s(1);`, "s(1)"],
      [`import { sleep } ${from} const nap = sleep; nap(1);`, "nap(1)"],
      [`import * as a ${from} const { sleep: s } = a; s(1);`, "s(1)"],
      [
        'const { sleep } = await import("@asyncio/asyncio"); sleep(1);',
        "sleep(1)",
      ],
      [
        'const aio = await import("@asyncio/asyncio"); aio.sleep(1);',
        "aio.sleep(1)",
      ],
    ]
  ) assertEquals(foundInFile(FLOATING, source), [expected], source);
});

Deno.test("lint: shadowed and reassigned names mean something else", () => {
  assertNothing(FLOATING, [
    "function f(sleep: () => void) { sleep(); }",
    "{ const sleep = () => {}; sleep(); }",
    "function f() { sleep(); function sleep() {} }",
    "function f() { sleep(); if (x) { var sleep = () => {}; } }",
    "for (const sleep of list) sleep();",
    "try { f(); } catch (sleep) { sleep(); }",
    "class A { sleep() {} m() { this.sleep(); } }",
    "const o = { sleep() {} }; o.sleep();",
    "namespace N { const sleep = () => {}; sleep(); }",
    "const { sleep: other } = o; other();",
    "let q = new Queue(); q = new Other(); q.put(1);",
    "let nap = sleep; nap = () => {}; nap();",
    "const q = new Queue(); { const q = { put() {} }; q.put(1); }",
    "type Queue = { put(): void }; function f(q: Queue) { q.put(); }",
    "function f<Lock extends Mine>(lock: Lock) { lock.acquire(); }",
    "class Queue { put() {} } new Queue().put();",
    "switch (1) { case 1: const sleep = () => {}; sleep(); }",
    "(q as Mock).put(1);",
    "const { put } = new Queue(); put(1);",
    "const f = function sleep() { sleep(); };",
    "{ enum Queue { A } new Queue().put(1); }",
    "const { sleep = mine } = o; { const { a: { sleep } } = o; sleep(1); }",
    "function f({ ...sleep }) { sleep(1); }",
    "function f([, sleep]) { sleep(1); }",
    "function f([a, , { sleep }, [q = [1, 2]]]) { sleep(1); q.put(1); }",
    "const q = new Queue(); { const [, , q] = list; q.put(1); }",
    "let nap = sleep; [nap] = [mine]; nap(1);",
    "let nap = sleep; ({ nap = 1 } = o); nap(1);",
    "let nap = sleep; for (nap of list) nap(1);",
    "let nap = sleep; nap++; nap(1);",
    "asyncio.toString(async (s) => { s.put(1); }); asyncio['Queue.put'](1);",
    "sleep: for (;;) { continue sleep; }",
    "o.sleep(1); o[sleep].put(1); o?.['sleep'](1);",
    "import sleep2 from '@asyncio/asyncio'; sleep2(1);",
    "namespace Queue2 { export class Queue { put() {} } } new Queue2.Queue().put();",
    "class Mine extends Queue<X> { put() {} } new Mine().put();",
  ]);
});

Deno.test("lint: values are followed from where they are made or typed", () => {
  assertFound(FLOATING, {
    "const q = new Queue<number>(); q.put(1);": ["q.put(1)"],
    "const q = new PriorityQueue(); q.get();": ["q.get()"],
    "const q = new asyncio.Queue(); q.get();": ["q.get()"],
    "let q: Queue<number>; q = make(); q.put(1);": ["q.put(1)"],
    "const q = x ? new Queue() : new Queue(2); q.put(1);": ["q.put(1)"],
    "const q = given ?? new Queue(); q.put(1);": [],
    "function f(q: asyncio.Queue<X> | null) { q?.put(1); }": ["q?.put(1)"],
    "function f(q = new Queue()) { q.put(1); }": ["q.put(1)"],
    "function f({ q }: { q: Queue<X> }) { q.put(1); }": ["q.put(1)"],
    "function f([q]: [Queue<X>]) { q.put(1); }": ["q.put(1)"],
    "interface O { q?: Queue<X> } function f({ q }: O) { q!.put(1); }": [
      "q!.put(1)",
    ],
    "interface O { q: Queue<X> } function f(o: O) { o.q.put(1); }": [
      "o.q.put(1)",
    ],
    "type Q = Queue<X>; function f(q: Q) { q.put(1); }": ["q.put(1)"],
    "type A = B; type B = A; function f(q: A) { q.put(1); }": [],
    "function f(q: Queue<A> | PriorityQueue<B>) { q.put(1); }": ["q.put(1)"],
    "function f(q: Queue<A> | Mine) { q.put(1); }": [],
    "const make = (): Queue<A> => q; make().put(1);": ["make().put(1)"],
    "declare const p: Promise<Queue<A>>; (await p).put(1);": [
      "(await p).put(1)",
    ],
    "async function f(): Promise<[StreamReader, w: StreamWriter]> { return x; } const [r, w] = await f(); r.read(); w.drain();":
      ["r.read()", "w.drain()"],
    "function f({ 'q': q, [x]: y }: { 'q': Queue<A> }) { q.put(1); y.put(1); }":
      ["q.put(1)"],
    "function f({ q } = { q: new Queue() }) { q.put(1); }": ["q.put(1)"],
    "const f = (q: Readonly<Queue<A>>) => { q.put(1); };": [],
    "const a = b, b = a; a.put(1); const { c } = c; c.put(1);": [],
    "(x as Queue<X>).put(1);": ["(x as Queue<X>).put(1)"],
    "(<Queue<X>> x).put(1);": ["(<Queue<X>> x).put(1)"],
    "const s = { lock: new Lock() }; s.lock.acquire();": ["s.lock.acquire()"],
    "const [a, b] = [new Event(), 1]; a.wait();": ["a.wait()"],
    "const [r, w] = await openConnection(h, 1); r.readline(); w.drain();": [
      "r.readline()",
      "w.drain()",
    ],
    "const [, w] = await openConnection(h, 1); w.drain();": ["w.drain()"],
    "const [, w = x] = await openConnection(h, 1); w.drain();": ["w.drain()"],
    "startServer((r, w) => { r.read(); w.drain(); r.atEof(); }, h, 1)": [
      "startServer((r, w) => { r.read(); w.drain(); r.atEof(); }, h, 1)",
      "r.read()",
      "w.drain()",
    ],
    "await using p = await createSubprocessExec('x'); p.stdin!.drain();": [
      "p.stdin!.drain()",
    ],
    "function f(p: Process) { p.stdout?.readline(); p.wait(); p.kill(); }": [
      "p.stdout?.readline()",
      "p.wait()",
    ],
    "void TaskGroup.run(async (tg) => { tg.join(); });": ["tg.join()"],
    "const tg = new TaskGroup(); tg.join();": ["tg.join()"],
    "await using r = new Runner(); r.close();": ["r.close()"],
  });
});

Deno.test("lint: members of a class are followed", () => {
  assertFound(FLOATING, {
    "class A { #l = new Lock(); m() { this.#l.acquire(); } }": [
      "this.#l.acquire()",
    ],
    "class A { l: Lock; m() { const f = () => { this.l.acquire(); }; } }": [
      "this.l.acquire()",
    ],
    "class A { constructor(private e: Event) {} m() { this.e.wait(); } }": [
      "this.e.wait()",
    ],
    "class A { constructor(readonly q = new Queue()) {} m() { this.q.get(); } }":
      ["this.q.get()"],
    "class A { q; constructor(q: Queue<X>) { this.q = q; } m() { this.q.get(); } }":
      ["this.q.get()"],
    "class A { static q = new Queue(); static { this.q.get(); } }": [
      "this.q.get()",
    ],
    "class A { q = new Queue(); f = () => { this.q.get(); } }": [
      "this.q.get()",
    ],
    "class A { get q() { return new Queue(); } m() { this.q.get(); } }": [],
    "class A { constructor() { this.q = new Queue(); } m() { this.q.get(); } }":
      ["this.q.get()"],
    "class A { l = new Lock(); m() { function f() { this.l.acquire(); } } }":
      [],
    "class A { l = new Lock(); m() { this.l = other; this.l.acquire(); } }": [],
    "class A { l = new Lock(); } class B { m() { this.l.acquire(); } }": [],
  });
});

// Each rule

Deno.test("lint no-floating-promises finds every call that drops its promise", () => {
  assertFound(FLOATING, {
    "sleep(1);": ["sleep(1)"],
    "sleep?.(1);": ["sleep?.(1)"],
    "(sleep)(1);": ["(sleep)(1)"],
    "sleep(1) as unknown;": ["sleep(1)"],
    "gather([f, g]);": ["gather([f, g])"],
    "waitFor(f, 1);": ["waitFor(f, 1)"],
    "ready && sleep(1);": ["sleep(1)"],
    "ready ? sleep(1) : sleep(2);": ["sleep(1)", "sleep(2)"],
    "ready ?? (other || sleep(1));": ["sleep(1)"],
    "sleep(1), f();": ["sleep(1)"],
    "f(), sleep(1);": ["sleep(1)"],
    "for (sleep(1); ; sleep(2)) break;": ["sleep(1)", "sleep(2)"],
    "if (ready) sleep(1); else sleep(2);": ["sleep(1)", "sleep(2)"],
    "const f = () => { sleep(1); };": ["sleep(1)"],
    "const q = new Queue(); list.forEach((x) => q.put(x));": ["q.put(x)"],
    "/* a */ sleep(1) /* b */; // c": ["sleep(1)"],
    "const b = new Barrier(2); b.wait();": ["b.wait()"],
    "const c = new Condition(); c.waitFor(() => true); c.notify();": [
      "c.waitFor(() => true)",
    ],
  });
});

Deno.test("lint no-floating-promises ignores promises that are used", () => {
  assertNothing(FLOATING, [
    "await sleep(1);",
    "void sleep(1);",
    "const p = sleep(1);",
    "p = sleep(1);",
    "p ??= sleep(1);",
    "f(sleep(1));",
    "[sleep(1)];",
    "({ p: sleep(1) });",
    "const f = () => sleep(1);",
    "function f() { return sleep(1); }",
    "function* f() { yield sleep(1); }",
    "sleep(1).then(f);",
    "sleep(1).catch(() => {});",
    "sleep(1).finally(f);",
    "await (ready && sleep(1));",
    "list.map((x) => sleep(x));",
    "(f(), g)(sleep(2));",
    "new Promise((resolve) => resolve(sleep(1)));",
    "createTask(f); run(f); ensureFuture(f); shield(f);",
    "const q = new Queue(); q.putNowait(1); q.taskDone(); q.shutdown();",
    "const l = new Lock(); l.release(); l.locked();",
    "`${sleep(1)}`;",
    "throw sleep(1);",
    "using x = sleep(1);",
    "export default sleep(1);",
  ]);
});

Deno.test("lint no-floating-promises writes await where it is allowed", () => {
  const fix = (program: string) => fixed(FLOATING, program);
  assertEquals(fix("sleep(1);"), "await sleep(1);");
  assertEquals(fix("ready && sleep(1);"), "ready && await sleep(1);");
  assertEquals(
    fix("async function f(q: Queue<X>) { q?.put(1); }"),
    "async function f(q: Queue<X>) { await q?.put(1); }",
  );
  for (
    const program of [
      "function f() { sleep(1); }",
      "async () => { const g = () => { sleep(1); }; };",
      "class A { static { sleep(1); } }",
      "class A { f = () => { sleep(1); } }",
      "namespace N { sleep(1); }",
      "list.forEach((x) => sleep(x));",
    ]
  ) assertEquals(fix(program), program);
});

const COROUTINE = "require-coroutine-function";

Deno.test("lint require-coroutine-function finds promises that have started", () => {
  const f = "async function f(x?: unknown) {} ";
  assertFound(COROUTINE, {
    [`${f} createTask(f());`]: ["f()"],
    [`${f} createTask(f(1), { name: "n" });`]: ["f(1)"],
    [`${f} asyncio.createTask?.(f());`]: ["f()"],
    [`${f} createTask((f() as never)!);`]: ["(f() as never)!"],
    [`${f} createTask(x ? f() : f(1));`]: ["x ? f() : f(1)"],
    [`${f} const p = f(); createTask(p);`]: ["p"],
    [`${f} await run(f());`]: ["f()"],
    [`${f} await new Runner().run(f());`]: ["f()"],
    [`${f} await timeout(5, f());`]: ["f()"],
    [`${f} await timeoutAt(5, f());`]: ["f()"],
    [`${f} await TaskGroup.run(f());`]: ["f()"],
    [`${f} await TaskGroup.run((tg) => { tg.createTask(f()); });`]: ["f()"],
    [`${f} getRunningLoop().createTask(f());`]: ["f()"],
    "const f = async () => {}; createTask(f());": ["f()"],
    "const f = async function () {}; createTask(f());": ["f()"],
    "const f = (): Promise<void> => g(); createTask(f());": ["f()"],
    "declare function f(): Promise<void>; createTask(f());": ["f()"],
    "function g(f: () => Promise<void>) { createTask(f()); }": ["f()"],
    "function g(p: Promise<void>) { createTask(p); }": ["p"],
    "function g(t: Task<void>) { createTask(t); }": ["t"],
    "class A { async f() {} g() { createTask(this.f()); } }": ["this.f()"],
    "class A { #f = async () => {}; g() { createTask(this.#f()); } }": [
      "this.#f()",
    ],
    "createTask((async () => {})());": ["(async () => {})()"],
    "createTask(sleep(1));": ["sleep(1)"],
    "createTask(fetch(url));": ["fetch(url)"],
    "createTask(Promise.all([]));": ["Promise.all([])"],
    "createTask(new Promise(f));": ["new Promise(f)"],
    "createTask(fetch(url).then((r) => r.text()));": [
      "fetch(url).then((r) => r.text())",
    ],
    [`${f} await gather([f(), f], { limit: 2 });`]: ["f()"],
    [`${f} await gather(xs.map((x) => f(x)), { limit: 2 });`]: ["f(x)"],
    "await gather(xs.map(async (x) => x), { limit: 2 });": ["async (x) => x"],
    [`${f} for await (const t of asCompleted([f()], { limit: 1 })) t;`]: [
      "f()",
    ],
  });
});

Deno.test("lint require-coroutine-function leaves functions and awaitables alone", () => {
  const f = "async function f(x?: unknown) {} ";
  assertNothing(COROUTINE, [
    `${f} createTask(f); createTask(() => f()); createTask(async () => await f());`,
    `${f} await gather([f(), f()]); await waitFor(f(), 1); shield(f());`,
    `${f} await gather(xs.map((x) => () => f(x)), { limit: 2 });`,
    `${f} await gather(xs.map((x) => f(x)), { returnExceptions: true });`,
    `${f} ensureFuture(f()); for await (const t of asCompleted([f()])) t;`,
    "const make = (n: number) => async () => n; createTask(make(1));",
    "function make() { return async () => {}; } createTask(make());",
    "import { load } from './load.ts'; createTask(load(1));",
    "createTask(unknown()); createTask(o.f()); createTask(f.bind(null, 1));",
    `${f} createTask(await f()); createTask(...f()); createTask();`,
    `${f} { const f = () => g; createTask(f()); }`,
    "let f = async () => {}; f = make; createTask(f());",
    "async function* f() {} createTask(f());",
    `${f} mine.createTask(f()); const createTask2 = mine; createTask2(f());`,
    `${f} function h(createTask: Mine) { createTask(f()); }`,
    "function g(fetch: () => () => void) { createTask(fetch()); }",
    "await timeout(f(), g); await timeout(5, () => fetch(url));",
  ]);
});

Deno.test("lint require-coroutine-function writes a function where that is safe", () => {
  const fix = (program: string) => fixed(COROUTINE, program);
  const f = "async function f(x?: unknown) {}\n";
  assertEquals(fix(`${f}createTask(f());`), `${f}createTask(() => f());`);
  assertEquals(fix(`${f}createTask((f()));`), `${f}createTask((() => f()));`);
  assertEquals(
    fix(`${f}await timeout(5, f(() => i++));`),
    `${f}await timeout(5, () => f(() => i++));`,
  );
  assertEquals(
    fix(`${f}await gather(xs.map((x) => f(x)), { limit: 2 });`),
    `${f}await gather(xs.map((x) => () => f(x)), { limit: 2 });`,
  );
  for (
    const program of [
      `${f}createTask(f(await g()));`,
      `${f}createTask(f(i++));`,
      `${f}createTask(f(a = 1));`,
      `${f}let a = 1; createTask(f(a)); a = 2;`,
      `${f}for (let i = 0; i < 3; i++) createTask(f(i));`,
      `${f}const p = f(); createTask(p);`,
      "createTask(new Promise(() => {}));",
      "await gather(xs.map(async (x) => x), { limit: 2 });",
    ]
  ) assertEquals(fix(program), program);
});
