/** Tests that need what Windows does not have. */

import process from "node:process";

type Body = () => void | Promise<void>;

const isWindows = process.platform === "win32";

/** Defines a test that runs `sh` or programs that come with it, such as `cat`. Its name says so. */
export function shellTest(
  name: string,
  body: Body,
  options: Pick<Deno.TestDefinition, "permissions"> = {},
): void {
  if (isWindows) return;
  Deno.test({ ...options, name: withNeed(name, "sh"), fn: body });
}

/** Defines a test that opens files of `/dev`. Its name says so. */
export function deviceTest(name: string, body: Body): void {
  if (!isWindows) Deno.test(withNeed(name, "/dev"), body);
}

/** The name with a need at its end, before the tests of CPython that it stands for. */
function withNeed(name: string, need: string): string {
  return name.replace(
    /(?: \[[^\]]*\])*$/,
    (tests) => ` (needs ${need})${tests}`,
  );
}
