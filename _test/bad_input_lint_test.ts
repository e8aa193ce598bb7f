// The plugin for `deno lint` with wrong arguments of every kind.

import { createPlugin } from "../lint.ts";
import { optionRows, testRefusals } from "./_bad_values.ts";

testRefusals([
  ...optionRows(
    "createPlugin()",
    // deno-lint-ignore no-explicit-any
    () => ({ call: (options: any) => createPlugin(options) }),
    { specifiers: ["[]"] },
  ),
  ...optionRows(
    "createPlugin({ specifiers })",
    () => ({
      call: (specifier: unknown) =>
        createPlugin({ specifiers: ["x", specifier as string] }),
    }),
    {},
  ).slice(0, 1).map((row) => ({ ...row, accepts: ['""', '"x"', '"5"'] })),
]);
