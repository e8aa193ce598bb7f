// What users with all strict options of the compiler see: neither the sources
// nor a program that uses them has an error.

import { assertEquals } from "@std/assert";

const ROOT = new URL("..", import.meta.url);
const CONSUMER = new URL("strict/consumer.ts", import.meta.url);
const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitReturns: true,
  noImplicitOverride: true,
};

/** Runs a command of Deno on the consumer; gives its exit status and what it has said. */
async function deno(
  command: string[],
  compilerOptions: Record<string, boolean>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const config = await Deno.makeTempFile({ suffix: ".json" });
  try {
    const imports = { "@asyncio/asyncio": new URL("mod.ts", ROOT).href };
    const options = { imports, compilerOptions, lock: false };
    await Deno.writeTextFile(config, JSON.stringify(options));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...command, "--config", config, CONSUMER.href],
      env: { NO_COLOR: "1" },
    }).output();
    const [out, err] = [stdout, stderr].map((it) =>
      new TextDecoder().decode(it)
    );
    return { code, stdout: out!, stderr: err! };
  } finally {
    await Deno.remove(config);
  }
}

Deno.test("Module and its consumer have no type error with all strict options on", async () => {
  const { code, stderr } = await deno(["check"], STRICT);
  assertEquals(code, 0, stderr);
});

Deno.test("Consumer has no type error with isolatedDeclarations on, and the module declares all that has a name", async () => {
  const options = { ...STRICT, isolatedDeclarations: true };
  const { stderr } = await deno(["check"], options);
  const errors = stderr.matchAll(/^TS(\d+) \[ERROR\]: ([^]*?)\n\n/gm);
  // The methods for consoles have a symbol for a name, which that option refuses.
  const others = [...errors].filter(([, code]) => code !== "9038");
  assertEquals(others.map(([text]) => text), []);
});

Deno.test("Consumer with all strict options runs as its types say", async () => {
  const { code, stdout, stderr } = await deno(["run", "--check"], STRICT);
  assertEquals(code, 0, stderr);
  assertEquals(JSON.parse(stdout), [
    [1, 2, 3, 4],
    ["1", "undefined", "named", "named", "a", "b", "0"],
    "child",
  ]);
});
