import { assert, assertEquals, assertMatch } from "@std/assert";
import { createSubprocessExec, PIPE, run, STDOUT } from "@asyncio/asyncio";
import { ask } from "../examples/child_control.ts";
import { dateOfChild } from "../examples/child_date.ts";
import { report } from "../examples/shell_command.ts";
import { text } from "./_children.ts";

/** What an example prints, with the permissions that its head names. */
async function printed(name: string): Promise<string> {
  const path = new URL(`../examples/${name}.ts`, import.meta.url);
  const [, flags] = /deno run (.*) examples/.exec(
    await Deno.readTextFile(path),
  )!;
  return await run(async () => {
    await using process = await createSubprocessExec(
      Deno.execPath(),
      ["run", "--no-check", "--no-prompt", ...flags.split(" "), path.href],
      { stdout: PIPE, stderr: STDOUT },
    );
    const [output] = await process.communicate();
    assertEquals(process.returncode, 0, text(output)!);
    return text(output)!;
  });
}

Deno.test("The example shell_command.ts reports what its commands did", async () => {
  assertEquals(
    await printed("shell_command"),
    `[sleep 0.1; echo hello exited with 0]
[stdout]
hello
[echo 'not today' >&2; exit 1 exited with 1]
[stderr]
not today
`,
  );
  assertEquals(await report("exit 3"), ["[exit 3 exited with 3]"]);
});

Deno.test("The example child_date.ts reads the date of now", async () => {
  assertMatch(
    await printed("child_date"),
    /^Current date: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n$/,
  );
  const before = Date.now();
  const date = (await dateOfChild()).getTime();
  assert(before <= date && date <= Date.now());
});

Deno.test("The example child_control.ts asks and is answered", async () => {
  assertEquals(
    await printed("child_control"),
    `1 + 1 = 2
6 * 7 = 42
100 / 7 = 14
The calculator ended with 0
`,
  );
  await run(async () => {
    await using cat = await createSubprocessExec("cat", [], {
      stdin: PIPE,
      stdout: PIPE,
    });
    assertEquals(await ask(cat, "echo"), "echo");
  });
});
