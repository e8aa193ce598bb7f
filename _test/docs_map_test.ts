// The map of the tests in `README.md`.

import { assertEquals } from "@std/assert";

const FOLDER = new URL(".", import.meta.url);

Deno.test("The map of the tests has each file in one row, and nothing that is not there", async () => {
  const map = await Deno.readTextFile(new URL("README.md", FOLDER));
  const rows = [...map.matchAll(/^\| `.*$/gm)].map(([row]) =>
    row.split("|")[1]
  );
  const prefixes = rows.flatMap((row) =>
    [...row.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
  );
  const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
    .filter((name) => name.endsWith("_test.ts"));
  const matches = (file: string, prefix: string) =>
    prefix.endsWith("*")
      ? file.startsWith(prefix.slice(0, -1))
      : file === prefix;
  const problems = [
    ...files.filter((file) =>
      prefixes.filter((it) => matches(file, it)).length !== 1
    ),
    ...prefixes.filter((it) => !files.some((file) => matches(file, it))),
  ];
  assertEquals(problems, []);
});
