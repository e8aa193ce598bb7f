// The list of what cannot pass on Node and Bun is neither too short nor too long.

import { assertEquals } from "@std/assert";
import { check, type Exception, type Result } from "./portable/exceptions.ts";

function result(test: string, error: string | null, file = "a"): Result {
  return { runtime: "node@24", file, test, error };
}

function exception(test: string, runtime = "", file = "a"): Exception {
  return { runtime, file, test, reason: "a reason" };
}

Deno.test("check() finds tests that fail and are not listed", () => {
  const results = [result("one", "broken"), result("two", null)];
  assertEquals(check(results, []), ["node@24 a one: broken"]);
  assertEquals(check(results, [exception("one")]), []);
  assertEquals(check(results, [exception("one", "node")]), []);
  assertEquals(check(results, [exception("one", "bun")]), [
    "node@24 a one: broken",
  ]);
});

Deno.test("check() finds tests that are listed and pass, or do not exist", () => {
  const passing = [result("one", null)];
  assertEquals(check(passing, [exception("one")]), [
    "node@24 a one: listed, but it passes",
    " a one: listed, but none fails",
  ]);
  assertEquals(check(passing, [exception("two")]), [
    " a two: listed, but none fails",
  ]);
});

Deno.test("check() takes the beginning of a name for several tests, which all have to fail", () => {
  const some = [result("f() a", "broken"), result("f() b", null)];
  assertEquals(check(some, [exception("f()…")]), [
    "node@24 a f() b: listed, but it passes",
  ]);
  assertEquals(check(some.slice(0, 1), [exception("f()…")]), []);
});

Deno.test("check() takes a file that needs Deno as a whole if a test of it fails", () => {
  const some = [result("one", "broken"), result("two", null)];
  assertEquals(check(some, [exception("*")]), []);
  assertEquals(check(some.slice(1), [exception("*")]), [
    " a *: listed, but none fails",
  ]);
});
