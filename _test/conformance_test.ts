import { assertEquals } from "@std/assert";
import { idsOf, parseTable, problems, summary } from "./conformance.ts";

const TABLE = parseTable(
  [
    "module\tclass\ttest\tverdict\tarea\tbehaviour\tnote",
    "m\tA\tone\tapplies\ttasks\tdoes one thing\t",
    "m\tA\ttwo\tapplies-adapted\ttasks\tdoes another\tnote",
    "m\tB\tthree\tn-a\ttasks\tdoes what we have not\t",
    "m\tB\tfour\tapplies\tlock\tdoes more\t",
    "",
  ].join("\n"),
);

Deno.test("idsOf() reads the ids at the end of a name, and only there", () => {
  assertEquals(idsOf("does this [m.A.one] [m.A.two]"), ["m.A.one", "m.A.two"]);
  assertEquals(idsOf("does [m.A.one] and more"), []);
  assertEquals(idsOf("gives [1, 2]"), []);
  assertEquals(idsOf("plain"), []);
});

Deno.test("parseTable() keeps the rows that apply", () => {
  assertEquals([...TABLE], [
    ["m.A.one", "tasks"],
    ["m.A.two", "tasks"],
    ["m.B.four", "lock"],
  ]);
});

Deno.test("summary() counts by area", () => {
  const lines = summary(
    TABLE,
    new Set(["m.A.one"]),
    new Map([["m.A.two", ""]]),
  );
  assertEquals(lines, [
    "lock         0/1",
    "tasks        1/2, 1 excepted",
  ]);
});

Deno.test("problems() names what is not covered, not known, or said twice", () => {
  const covered = new Set(["m.A.one", "m.X.y"]);
  const exceptions = new Map([["m.A.one", "why"], ["m.B.four", ""]]);
  assertEquals(problems(TABLE, covered, exceptions), [
    "tasks: no test for m.A.two",
    "A test names an unknown row: m.X.y",
    "Both covered and excepted: m.A.one",
    "An exception without a reason: m.B.four",
  ]);
  const all = new Set(["m.A.one", "m.A.two", "m.B.four"]);
  assertEquals(problems(TABLE, all, new Map()), []);
});
