import { assert, assertEquals, assertFalse } from "@std/assert";
import { isOlder } from "../_host.ts";
import { isOwn, linesOf, locationOf, pathOf } from "../_call_site.ts";

Deno.test("pathOf() takes URLs with and without escapes, and paths of every system", () => {
  assertEquals(
    pathOf("file:///a%20b/m%C3%BCll/x.ts:1:2"),
    "/a b/müll/x.ts:1:2",
  );
  assertEquals(pathOf("file:///a b/müll/x.ts:1:2"), "/a b/müll/x.ts:1:2");
  assertEquals(pathOf("/a b/x.ts:1:2"), "/a b/x.ts:1:2");
  assertEquals(pathOf("file:///C:/a%20b/x.ts:1:2"), "C:/a b/x.ts:1:2");
  assertEquals(pathOf("C:\\a b\\x.ts:1:2"), "C:/a b/x.ts:1:2");
  assertEquals(pathOf("/100%/x.ts:1:2"), "/100%/x.ts:1:2");
  assertEquals(
    pathOf("https://jsr.io/@a/b/x.ts:1:2"),
    "https://jsr.io/@a/b/x.ts:1:2",
  );
});

Deno.test("locationOf() takes names of folders with parentheses", () => {
  const place = "file:///a (copy)/x.ts:1:2";
  assertEquals(locationOf(`main (${place})`), place);
  assertEquals(locationOf(`async Object.f [as g] (${place})`), place);
  assertEquals(
    locationOf("file:///a%20(copy)/x.ts:1:2"),
    "file:///a%20(copy)/x.ts:1:2",
  );
  assertEquals(locationOf("async file:///a/x.ts:1:2"), "file:///a/x.ts:1:2");
});

Deno.test("isOwn() compares a frame with the folder, however each is written", () => {
  const home = pathOf("file:///C:/m%C3%BCll%20(1)/lib/");
  assert(isOwn("file:///C:/müll (1)/lib/_task.ts:1:2", home));
  assert(isOwn("C:\\müll (1)\\lib\\_task.ts:1:2", home));
  assertFalse(isOwn("file:///C:/m%C3%BCll%20(1)/lib/_test/x.ts:1:2", home));
  assertFalse(isOwn("file:///D:/m%C3%BCll%20(1)/lib/_task.ts:1:2", home));
});

Deno.test("linesOf() keeps frames in files, with blanks, umlauts and drive letters in their paths", () => {
  const stack = [
    "Error: no",
    "    at f (file:///C:/a%20b/ö (1)/x.ts:1:2)",
    "    at async C:\\a b\\x.ts:3:4",
    "    at ext:core/mod.js:1:2",
    "    at new Promise (<anonymous>)",
  ].join("\n");
  assertEquals(linesOf(stack), [
    "f (file:///C:/a%20b/ö (1)/x.ts:1:2)",
    "async C:\\a b\\x.ts:3:4",
  ]);
});

Deno.test("isOlder() compares versions by numbers", () => {
  assert(isOlder("2.6.10", [2, 7]));
  assert(isOlder("1.46.3", [2, 7]));
  assertFalse(isOlder("2.7.0", [2, 7]));
  assertFalse(isOlder("2.10.0-rc.1", [2, 7]));
  assertFalse(isOlder("3.0.0", [2, 7]));
  assertFalse(isOlder(undefined, [2, 7]));
});
