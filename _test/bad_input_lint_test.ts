// The plugin for `deno lint` with wrong arguments of every kind.

import { createPlugin } from "../lint.ts";
import {
  assertRefuses,
  optionRows,
  plain,
  type Row,
  STRINGS,
} from "./_bad_values.ts";

const rows: Row[] = [
  ...optionRows(
    "createPlugin()",
    plain((options) => createPlugin(options)),
    { specifiers: ["[]"] },
  ),
  {
    name: "createPlugin({ specifiers: [specifier] })",
    make: plain((it) => createPlugin({ specifiers: ["x", it] })),
    accepts: STRINGS,
  },
];

for (const row of rows) {
  Deno.test(`${row.name} refuses wrong values and no right ones`, () =>
    assertRefuses(row));
}
