// The rules of the lint plugin on cancellation, signals, locks and durations.

import { assertEquals } from "@std/assert";
import {
  assertFound,
  assertNothing,
  fixed,
  fixedFile,
  found,
  foundInFile,
} from "./_lint.ts";

const SWALLOW = "no-swallowed-cancellation";

/** A coroutine with a `try` around a wait, and a handler. */
function withHandler(handler: string, block = "await sleep(1);"): string {
  return `async function f() { try { ${block} } ${handler} }`;
}

Deno.test("lint no-swallowed-cancellation finds handlers that swallow every error", () => {
  for (
    const handler of [
      "catch {}",
      "catch { return; }",
      "catch (e) { console.error(e); }",
      "catch (e) { console.error(`failed: ${e}`); }",
      "catch (e) { logger.warn((e as Error).message); }",
      "catch (e) { log(String(e)); }",
      "catch (e) { if (e instanceof TimeoutError) retry(); }",
      "catch (e) { if ((e as Error).name === 'TimeoutError') return null; }",
      "catch ({ message }) { console.error(message); }",
      "catch (e) { const f = () => { throw new Error(); }; }",
      "catch (e) { other.cancel(); }",
      "catch (e) { return { error: (e as Error).message }; }",
      "catch (e) { show(e); } function show(e: unknown) { console.log(e); }",
      "catch (e) { show(e); } function show(e: unknown) { show(e); }",
      "catch {} finally { clean(); }",
      "catch (e) { if (e) a(); !e; e; e ? a() : b(); }",
    ]
  ) assertEquals(found(SWALLOW, withHandler(handler)), ["catch"], handler);
});

Deno.test("lint no-swallowed-cancellation ignores handlers that re-throw", () => {
  for (
    const handler of [
      "finally { clean(); }",
      "catch (e) { throw e; }",
      "catch (e) { throw new Error('x', { cause: e }); }",
      "catch (e) { if (e instanceof CancelledError) throw e; }",
      "catch (e) { if (e instanceof asyncio.CancelledError) return; }",
      "catch (e) { if ((e as Error).name === 'CancelledError') return; }",
      "catch ({ name }) { if (name === 'CancelledError') return; }",
      "catch (e) { if (!(e instanceof TimeoutError)) throw e; }",
      "catch (e) { switch (e.constructor) { case TimeoutError: break; default: throw e; } }",
      "catch (e) { if (signal.aborted) return; }",
      "catch (e) { signal.throwIfAborted(); }",
      "catch (e) { rethrowIfCancelled(); }",
      "catch (e) { if (isCancelled(e)) return; }",
      "catch (e) { reject(e); }",
      "catch (e) { return e; }",
      "catch (e) { return (e as Error).message; }",
      "catch (e) { return e instanceof TimeoutError; }",
      "catch (e) { return String(e); }",
      "catch (e) { return `failed: ${e}`; }",
      "catch (e) { return { error: e }; }",
      "catch (e) { this.error = e; }",
      "catch (e) { last = e; }",
      "catch (e) { errors.push(e); }",
      "catch (e) { return Promise.reject(e); }",
      "catch (e) { future.setException(e); }",
      "catch (e) { assertEquals(1, 2); }",
      "catch (e) { queueMicrotask(() => { throw e; }); }",
      "catch (e) { console.error(e); Deno.exit(1); }",
      "catch (e) { console.error(e); Deno.exitCode = 1; }",
      "catch (e) { pass(e); } function pass(e: unknown) { throw e; }",
    ]
  ) assertEquals(found(SWALLOW, withHandler(handler)), [], handler);
});

Deno.test("lint no-swallowed-cancellation knows what a cancellation interrupts", () => {
  for (
    const block of [
      "return await new Queue().get();",
      "for await (const x of new Queue()) x;",
      "const [reader] = await openConnection(h, 1); for await (const l of reader) l;",
      "for await (const t of asCompleted(fs)) t;",
      "using _ = await new Lock().acquire();",
      "await timeout(1, () => fetch(url));",
      "await TaskGroup.run((tg) => {});",
      "const t = createTask(f); await t;",
      "await shield(t);",
      "await asyncio.cancellable(fetch(url));",
      "for await (const chunk of asyncio.cancellable(stream)) chunk;",
      "const loop = getRunningLoop(); await loop.runInExecutor(g);",
      "await Promise.all([fetch(url), sleep(1)]);",
      "await g(); async function g() { await h(); } const h = async () => { await sleep(1); };",
      "if (a) { while (b) await (sleep(1) as Promise<void>); }",
      "try { await sleep(1); } finally { clean(); }",
      "try { await sleep(1); } catch (e) { if (x) throw e; }",
    ]
  ) {
    assertEquals(
      found(SWALLOW, withHandler("catch {}", block)),
      ["catch"],
      block,
    );
  }
  for (
    const block of [
      "await fetch(url);",
      "await unknown();",
      "f(sleep(1));",
      "return sleep(1);",
      "const g = async () => { await sleep(1); };",
      "await Promise.allSettled([sleep(1)]);",
      "for (const x of list) x;",
      "await g(); async function g() { await fetch(url); }",
      "new Queue().putNowait(1);",
      "const t = createTask(f); t.cancel(); await t;",
    ]
  ) assertEquals(found(SWALLOW, withHandler("catch {}", block)), [], block);
});

Deno.test("lint no-swallowed-cancellation looks at coroutines only", () => {
  const body = "try { await sleep(1); } catch {}";
  assertNothing(SWALLOW, [
    body,
    `Deno.test("x", async () => { ${body} });`,
    `Deno.serve(async () => { ${body} });`,
    `export default { async fetch() { ${body} } };`,
    `addEventListener("load", async () => { ${body} });`,
    `try { await run(main); } catch (e) { console.error(e); }`,
  ]);
  for (
    const program of [
      `const f = async () => { ${body} };`,
      `class A { async f() { ${body} } }`,
      `class A { f = async () => { ${body} } }`,
      `createTask(async () => { ${body} });`,
      `await gather([async () => { ${body} }]);`,
      `await gather(xs.map(async (x) => { ${body} }));`,
      `await TaskGroup.run((tg) => { tg.createTask(async () => { ${body} }); });`,
      `void (async () => { ${body} })();`,
      `async function* f() { ${body} }`,
      `await startServer(async (r, w) => { ${body} }, h, 1);`,
      `const make = () => async () => { ${body} };`,
    ]
  ) assertEquals(found(SWALLOW, program), ["catch"], program);
});

Deno.test("lint no-swallowed-cancellation reports only the handler that swallows", () => {
  assertEquals(
    found(
      SWALLOW,
      withHandler("catch { a(); }", "try { await sleep(1); } catch { b(); }"),
    ),
    ["catch"],
  );
});

Deno.test("lint no-swallowed-cancellation finds handlers of promises", () => {
  const inside = (code: string) => `async function f(t: Task<X>) { ${code} }`;
  assertFound(SWALLOW, {
    [inside("await sleep(1).catch(() => {});")]: ["() => {}"],
    [inside("return await sleep(1).catch(() => null);")]: ["() => null"],
    [inside("await sleep(1).catch(console.error);")]: ["console.error"],
    [inside("await sleep(1).then(g, () => {});")]: ["() => {}"],
    [inside("await sleep(1)?.catch(ignore); function ignore() {}")]: ["ignore"],
    [inside("await t.catch((e) => console.log(e));")]: [
      "(e) => console.log(e)",
    ],
    [inside("return sleep(1).catch(() => null);")]: ["() => null"],
    "createTask(() => sleep(1).catch(() => {}));": ["() => {}"],
    "const f = () => sleep(1).catch(() => {});": [],
    [inside("await sleep(1).catch((e) => { throw e; });")]: [],
    [inside("await sleep(1).catch(handle);")]: [],
    [inside("await sleep(1).catch((e) => e);")]: [],
    [inside("await sleep(1).catch((e) => e.name);")]: [],
    [inside("await sleep(1).catch((e) => e === other);")]: [],
    [inside("await sleep(1).then(g);")]: [],
    [inside("void sleep(1).catch(() => {});")]: [],
    [inside("t.cancel(); await t.catch(() => {});")]: [],
    [inside("await fetch(url).catch(() => {});")]: [],
    "await sleep(1).catch(() => {});": [],
  });
});

Deno.test("lint no-swallowed-cancellation throws the cancellation again", () => {
  assertEquals(
    fixed(SWALLOW, withHandler("catch (e) { log(String(e)); }")),
    withHandler(
      "catch (e) { if (e instanceof CancelledError) throw e; log(String(e)); }",
    ),
  );
  assertEquals(
    fixed(SWALLOW, withHandler("catch { return; }")),
    withHandler(
      "catch (error) { if (error instanceof CancelledError) throw error; return; }",
    ),
  );
  const body = (handler: string) =>
    `\nasync function f() { try { await A; } ${handler} }`;
  const again = "if (error instanceof CancelledError) throw error;";
  const two = body("catch {}") + body("catch {}");
  const import_ = (names: string) =>
    `import { ${names} } from "@asyncio/asyncio";`;
  assertEquals(
    fixedFile(SWALLOW, import_("sleep") + two.replaceAll("A", "sleep(1)")),
    import_("sleep, CancelledError") +
      (body(`catch (error) { ${again}}`) + body("catch {}"))
        .replaceAll("A", "sleep(1)"),
  );
  const all = 'import * as aio from "@asyncio/asyncio";';
  assertEquals(
    fixedFile(SWALLOW, all + body("catch {}").replace("A", "aio.sleep(1)")),
    all + body(
      "catch (error) { if (error instanceof aio.CancelledError) throw error;}",
    ).replace("A", "aio.sleep(1)"),
  );
  const types = import_("sleep, type CancelledError") +
    body("catch {}").replace("A", "sleep(1)");
  assertEquals(fixedFile(SWALLOW, types), types);
  const taken = withHandler("catch { log(error); }").replace(
    "{",
    "{ let error;",
  );
  assertEquals(fixed(SWALLOW, taken), taken);
});

const SIGNAL = "no-outer-signal";

Deno.test("lint no-outer-signal finds the signal of an outer scope", () => {
  assertFound(SIGNAL, {
    "createTask(async (signal) => { await timeout(5, () => fetch(u, { signal })); });":
      ["signal"],
    "await run((s) => timeout(5, () => fetch(u, { signal: s })));": ["s"],
    "async function f(signal: AbortSignal) { await timeoutAt(5, async () => { await fetch(u, { signal }); }); }":
      ["signal"],
    "async function f({ signal }: O) { await timeout(5, () => get(u, { signal })); }":
      ["signal"],
    "async function f(signal) { await timeout(5, () => get(u, { signal })); }":
      ["signal"],
    "async function f(signal: AbortSignal | undefined) { await timeout(5, () => get(u, signal)); }":
      ["signal"],
    "async function f(stop?: AbortSignal) { await TaskGroup.run((tg) => { tg.createTask(() => fetch(u, { signal: stop })); }); }":
      ["stop"],
    "await timeout(9, (outer) => timeout(5, () => fetch(u, { signal: outer.signal })));":
      ["outer.signal"],
    "await TaskGroup.run(({ signal }) => timeout(5, () => fetch(u, { 'signal': signal })));":
      ["signal"],
    "await TaskGroup.run((tg) => { tg.createTask(() => timeout(5, () => fetch(u, { signal: tg.signal }))); });":
      ["tg.signal"],
    "async function f(signal: AbortSignal) { await timeout(5, () => new Request(u, { signal })); }":
      ["signal"],
    "async function f(signal?: AbortSignal) { await timeout(5, () => fetch(u, { ...o, signal: signal! } as X)); }":
      ["signal"],
  });
});

Deno.test("lint no-outer-signal leaves the signals of the scope and others alone", () => {
  assertNothing(SIGNAL, [
    "createTask(async (signal) => { await fetch(u, { signal }); await timeout(5, ({ signal }) => fetch(u, { signal })); });",
    "await timeout(5, (t) => fetch(u, { signal: t.signal }));",
    "await TaskGroup.run((tg) => { tg.createTask((signal) => fetch(u, { signal })); tg.createTask(() => fetch(u, { signal: tg.signal })); });",
    "const { signal } = new AbortController(); await timeout(5, () => fetch(u, { signal }));",
    "const signal = AbortSignal.timeout(5); await timeout(5, () => fetch(u, { signal }));",
    "Deno.serve((request) => timeout(5, () => fetch(u, { signal: request.signal })));",
    "async function f(signal: AbortSignal) { await timeout(5, (t) => fetch(u, { signal: AbortSignal.any([signal, t.signal]) })); }",
    "async function f(signal: AbortSignal) { const q = new Queue(); await timeout(5, () => q.get({ signal })); }",
    "async function f(signal: AbortSignal) { await timeout(5, () => { createTask(g, { signal }); }); }",
    "async function f(signal: AbortSignal) { await timeout(5, () => { while (!signal.aborted) g(); console.log(signal); }); }",
    "async function f(signal: AbortSignal) { await timeout(5, () => g({ other: signal })); }",
    "async function f(signal: AbortSignal) { await timeout(5, () => { const signal = mine; return fetch(u, { signal }); }); }",
    "async function f(signal: AbortSignal) { await waitFor(() => fetch(u, { signal }), 5); }",
    "async function f(signal: Signal<number>) { await mine(5, () => fetch(u, { signal })); }",
    "async function f(signal: AbortSignal) { await timeout(seconds(signal), g); }",
    "async function f(name: string) { await timeout(5, () => open(name)); }",
    "async function f(signal: Deno.Signal) { await timeout(5, () => kill(1, signal)); }",
    "async function f(signal: Deno.Signal) { await timeout(5, () => kill(1, { signal })); }",
    "async function f({ signal }: { signal: string }) { await timeout(5, () => kill({ signal })); }",
    "async function f(signal) { await timeout(5, () => process.kill(1, signal)); }",
    "async function f(signal: AbortSignal) { signal = other; await timeout(5, () => fetch(u, { signal })); }",
  ]);
});

Deno.test("lint no-outer-signal takes the signal of the scope", () => {
  const within = (body: string) =>
    `async function f(signal: AbortSignal) { await timeout(5, ${body}); }`;
  const table = {
    "() => fetch(u, { signal })": "({ signal }) => fetch(u, { signal })",
    "async ( ) => { await fetch(u, { signal }); }":
      "async ({ signal }) => { await fetch(u, { signal }); }",
    "(t) => fetch(u, { signal })": "(t) => fetch(u, { signal: t.signal })",
    "(t) => fetch(u, { signal: signal })":
      "(t) => fetch(u, { signal: t.signal })",
    "function () { return fetch(u, { signal }); }":
      "function ({ signal }) { return fetch(u, { signal }); }",
  };
  for (const [bad, good] of Object.entries(table)) {
    assertEquals(fixed(SIGNAL, within(bad)), within(good));
  }
  for (
    const body of [
      "() => { if (signal.aborted) return; return fetch(u, { signal }); }",
      "({ when }) => fetch(u, { signal })",
      "(t) => { const t = 1; return () => { const t = 2; fetch(u, { signal }); }; }",
    ]
  ) assertEquals(fixed(SIGNAL, within(body)), within(body));
});

const RELEASE = "require-release";

Deno.test("lint require-release finds locks that an error leaves acquired", () => {
  assertFound(RELEASE, {
    "const l = new Lock(); async function f() { await l.acquire(); g(); l.release(); }":
      ["l.acquire()"],
    "async function f(l: Lock) { await l.acquire(); g(); }": ["l.acquire()"],
    "async function f(l: Lock) { const guard = await l.acquire(); g(); }": [
      "l.acquire()",
    ],
    "async function f(c: Condition) { await c.acquire(); await c.wait(); c.release(); }":
      ["c.acquire()"],
    "async function f(s: Semaphore) { await s.acquire(); g(); s.release(); }": [
      "s.acquire()",
    ],
    "const s = new Semaphore(2); await s.acquire(); g();": ["s.acquire()"],
    "class A { #l = new Lock(); async f() { await this.#l.acquire(); g(); this.#l.release(); } }":
      ["this.#l.acquire()"],
    "async function f(l: Lock) { await l.acquire(); try { g(); l.release(); } finally { h(); } }":
      ["l.acquire()"],
    "interface O { l: Lock } async function f(a: O, b: O) { await a.l.acquire(); try { g(); } finally { b.l.release(); } }":
      ["a.l.acquire()"],
    "async function f(l: Lock, m: Lock) { await l.acquire(); try { g(); } finally { m.release(); } }":
      ["l.acquire()"],
  });
});

Deno.test("lint require-release ignores locks that are released", () => {
  assertNothing(RELEASE, [
    "async function f(l: Lock) { using _ = await l.acquire(); }",
    "async function f(l: Lock) { await using _ = await l.acquire(); }",
    "async function f(l: Lock) { await l.acquire(); try { g(); } finally { l.release(); } }",
    "async function f(l?: Lock) { await l?.acquire(); try { g(); } finally { l?.release(); } }",
    "async function f(l: Lock) { try { await l.acquire(); g(); } finally { if (l.locked()) l.release(); } }",
    "async function f(l: Lock) { await l.acquire(); try { g(); } catch (e) { l.release(); throw e; } }",
    "async function f(l: Lock) { await l.acquire(); l.release(); }",
    "async function f(l: Lock) { return await l.acquire(); }",
    "async function f(l: Lock) { const guard = await l.acquire(); try { g(); } finally { guard[Symbol.dispose](); } }",
    "async function f(l: Lock) { const guard = await l.acquire(); using g = guard; }",
    "async function f(l: Lock) { stack.use(await l.acquire()); }",
    "async function f(l: Lock) { this.guard = await l.acquire(); }",
    "async function f(l: Lock) { using _ = x ? await l.acquire() : null; }",
    "async function f(l: Lock) { await waitFor(() => l.acquire(), 1); }",
    "const s = new Semaphore(2); async function f() { await s.acquire(); setTimeout(() => s.release(), 5); }",
    "class A { #s = new Semaphore(2); async enter() { await this.#s.acquire(); } leave() { this.#s.release(); } }",
    "async function f(s: Semaphore) { await s.acquire(); g(); }",
    "const s = new Semaphore(0); start(s); await s.acquire();",
    "export const s = new Semaphore(0); await s.acquire();",
    "const s = new Semaphore(0); export { s }; await s.acquire();",
    "const s = new Semaphore(0); export = s; await s.acquire();",
    "interface O { l: Lock } async function f(o: O) { await o.l.acquire(); try { g(); } finally { o.l.release(); } }",
    "const { length } = await new Lock().acquire();",
    "export const guard = await new Lock().acquire();",
    "const o = { acquire() {} }; await o.acquire();",
    "async function f(lock: { acquire(): Promise<void> }) { await lock.acquire(); }",
  ]);
});

Deno.test("lint require-release gives the guard to using", () => {
  const fix = (body: string) => {
    const around = (it: string) => `async function f(l: Lock) { ${it} }`;
    return [fixed(RELEASE, around(body)), around(body)]
      .map((it) => it.slice(around("").length - 2, -2));
  };
  assertEquals(
    fix("await l.acquire(); g();")[0],
    "using _ = await l.acquire(); g();",
  );
  assertEquals(
    fix("await l.acquire(); await new Lock().acquire(); g();")[0],
    "using _ = await l.acquire(); await new Lock().acquire(); g();",
  );
  assertEquals(
    fix("const guard = await l.acquire(); g();")[0],
    "using guard = await l.acquire(); g();",
  );
  for (
    const body of [
      "await l.acquire();",
      "await l.acquire(); g(); l.release();",
      "const _ = 1; await l.acquire(); g();",
      "if (x) await l.acquire(); g();",
      "{ await l.acquire(); }",
      "const a = await l.acquire(), b = 2; g();",
    ]
  ) {
    const [after, before] = fix(body);
    assertEquals(after, before);
  }
});

const MILLISECONDS = "no-milliseconds";

Deno.test("lint no-milliseconds finds numbers that are not round times", () => {
  for (
    const n of [
      "100",
      "150",
      "200",
      "250",
      "400",
      "500",
      "750",
      "1000",
      "1_500",
      "1e3",
      "2000",
      "2500",
      "3000",
      "5000",
      "10000",
      "15_000",
      "30000",
      "60000",
      "100000",
      "120000",
      "300000",
      "600000",
      "0x3e8",
      "3_600_000",
      "86_400_000",
    ]
  ) assertEquals(found(MILLISECONDS, `await sleep(${n});`), [n]);
  for (
    const n of [
      "0",
      "0.25",
      "1",
      "5",
      "50",
      "60",
      "90",
      "99",
      "120",
      "180",
      "240",
      "300",
      "600",
      "900",
      "1200",
      "1800",
      "2700",
      "3600",
      "5400",
      "7200",
      "14400",
      "86400",
      "172_800",
      "604800",
      "1234",
      "101",
      "Infinity",
      "-1000",
      "NaN",
    ]
  ) assertEquals(found(MILLISECONDS, `await sleep(${n});`), [], n);
});

Deno.test("lint no-milliseconds finds conversions, names and constants", () => {
  assertFound(MILLISECONDS, {
    "await sleep(n * 1000);": ["n * 1000"],
    "await sleep(5 * 60 * 1_000);": ["5 * 60 * 1_000"],
    "await sleep(1000 * 60 * 5);": ["1000 * 60 * 5"],
    "const LIMIT = 5000; await sleep(LIMIT);": ["LIMIT"],
    "const LIMIT = 5 * 1000; await sleep(LIMIT as number);": [
      "LIMIT as number",
    ],
    "async function f(ms: number) { await sleep(ms); }": ["ms"],
    "await sleep(delayMs);": ["delayMs"],
    "await sleep(DELAY_MS);": ["DELAY_MS"],
    "await sleep(options.timeoutMillis);": ["options.timeoutMillis"],
    "await sleep(delay_ms, { result: 1 });": ["delay_ms"],
  });
  assertNothing(MILLISECONDS, [
    "await sleep(ms / 1000);",
    "await sleep(n * 60); await sleep(1000 + n); await sleep(3.6 * 1e6 / n);",
    "await sleep(params); await sleep(items); await sleep(Terms); await sleep(atoms);",
    "const LIMIT = 30; await sleep(LIMIT);",
    "let limit = 5000; limit /= 1000; await sleep(limit);",
    "const ms = { milliseconds: 5 }; await sleep(ms);",
    "async function f(ms: DurationLike) { await sleep(ms); }",
    "async function f(limit = 5000) { await sleep(limit); }",
    "await sleep({ seconds: 1000 }); await sleep({ milliseconds: 1000 });",
    "await sleep(1, { result: 1000 }); await sleep(...[1000]);",
    "setTimeout(f, 1000); await mine.sleep(1000);",
    "function f(sleep: (ms: number) => void) { sleep(1000); }",
    "await timeoutAt(1000, f); getRunningLoop().callAt(1000, f);",
    "const q = new Queue(1000); q.putNowait(5000); await q.put(1000);",
    "const [r] = await openConnection(h, 5000, { limit: 100000 });",
  ]);
});

Deno.test("lint no-milliseconds knows every place of a duration", () => {
  assertFound(MILLISECONDS, {
    "await timeout(5000, f);": ["5000"],
    "await waitFor(f, 3000);": ["3000"],
    "await waitFor(() => sleep(1), null);": [],
    "await wait(ts, { timeout: 5000 });": ["5000"],
    "await wait(ts, { timeout: null });": [],
    "for (const t of asCompleted(ts, { timeout: 500 })) t;": ["500"],
    "getRunningLoop().callLater(500, f);": ["500"],
    "await run(f, { shutdownTimeout: 5000 });": ["5000"],
    "await openConnection(h, 80, { happyEyeballsDelay: 250 });": ["250"],
    "await asyncio.sleep(1000);": ["1000"],
    "await sleep?.(/* a while */ 1000);": ["1000"],
  });
});

Deno.test("lint no-milliseconds names the unit", () => {
  const table = {
    "await sleep(1000);": "await sleep({ milliseconds: 1000 });",
    "await sleep((1_000));": "await sleep(({ milliseconds: 1_000 }));",
    "await timeout(5 * 1000, f);":
      "await timeout({ milliseconds: 5 * 1000 }, f);",
    "const timeout = 5000; await wait(ts, { timeout });":
      "const timeout = 5000; await wait(ts, { timeout: { milliseconds: timeout } });",
  };
  for (const [bad, good] of Object.entries(table)) {
    const source = 'import { sleep, wait } from "@asyncio/asyncio";' +
      (bad.includes("timeout(")
        ? 'import { timeout } from "@asyncio/asyncio";'
        : "");
    assertEquals(fixedFile(MILLISECONDS, source + bad), source + good);
  }
  assertEquals(foundInFile(MILLISECONDS, "await sleep(1000);"), []);
});
