// The example program as a user runs it: a process of its own, on real folders.

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { toText } from "@std/streams";

const TOUR = new URL("../examples/tour.ts", import.meta.url);

interface Ended {
  output: string;
  errors: string;
  code: number;
}

/** What the program is allowed to do, as in `deno task tour`. */
const PERMISSIONS = [
  "--no-prompt",
  "--allow-read",
  "--allow-net=127.0.0.1",
  "--allow-run",
];

/** Starts the program. */
function start(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", ...PERMISSIONS, TOUR.pathname, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function ended(child: Deno.ChildProcess): Promise<Ended> {
  const [output, errors, { code }] = await Promise.all([
    toText(child.stdout),
    toText(child.stderr),
    child.status,
  ]);
  return { output, errors, code };
}

/** A folder that is gone after the test. */
async function temporary(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.realPath(await Deno.makeTempDir());
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

Deno.test("tour counts the words of a folder, and leaves out what is hidden, linked or no text", async () => {
  await using folder = await temporary();
  const write = (name: string, text: string) =>
    Deno.writeTextFile(`${folder.path}/${name}`, text);
  for (const name of ["a", "a/b", ".git", "node_modules"]) {
    await Deno.mkdir(`${folder.path}/${name}`);
  }
  await write("one.txt", "To be or not to be,\nthat is the question.\n");
  await write("a/two.txt", "no end of line");
  await write("a/b/three.md", "# Être\n\nl'été\n");
  await write("a/b/empty.md", "");
  await write("LICENSE", "to to\n");
  await write("picture.png", "\x89PNG\0\0");
  await write(".git/hidden.txt", "hidden");
  await write("node_modules/index.js", "hidden");
  await Deno.symlink("..", `${folder.path}/a/up`);

  const { output, errors, code } = await ended(start(folder.path));
  assertEquals(output.split("\n"), [
    `Counting words in ${folder.path}`,
    "kind     files  lines  words",
    ".txt         2      3     14",
    ".md          2      3      2",
    "LICENSE      1      1      2",
    "total        5      7     18",
    "",
    "Most frequent words",
    "to     4",
    "be     2",
    "end    1",
    "is     1",
    "l'été  1",
    "line   1",
    "no     1",
    "not    1",
    "of     1",
    "or     1",
    "",
    "Files that are no text: 1",
    "",
    "SHA-256 of the largest files, by threads",
    ...await Promise.all(
      ["one.txt", "a/b/three.md", "a/two.txt", "LICENSE"].map(async (name) => {
        const path = `${folder.path}/${name}`;
        const hash = await crypto.subtle.digest(
          "SHA-256",
          await Deno.readFile(path),
        );
        return `${new Uint8Array(hash).toHex()}  ${path}`;
      }),
    ),
    "",
    "A service on 127.0.0.1 says",
    "to occurs 4 times",
    "be occurs 2 times",
    "end occurs 1 times",
    "",
    `Counted by deno ${Deno.version.deno}`,
    "",
  ]);
  assertEquals([errors, code], ["", 0]);
});

Deno.test("tour says which files it may not read, and counts the others", async () => {
  await using folder = await temporary();
  await Deno.writeTextFile(`${folder.path}/open.txt`, "open");
  await Deno.writeTextFile(`${folder.path}/closed.txt`, "closed");
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      ...PERMISSIONS,
      `--deny-read=${folder.path}/closed.txt`,
      TOUR.pathname,
      folder.path,
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { output, errors, code } = await ended(child);
  assertStringIncludes(output, "total      1      1      1");
  assertEquals(
    errors,
    `Left out ${folder.path}/closed.txt: it may not be read\n`,
  );
  assertEquals(code, 0);
});

Deno.test("tour counts the folder that it came in if none is named", async () => {
  const { output, code } = await ended(start());
  const folder = await Deno.realPath(new URL("..", import.meta.url));
  assertStringIncludes(output, `Counting words in ${folder}\n`);
  assertMatch(output, /^\.ts +\d{2,} +\d{4,} +\d{4,}$/m);
  assertMatch(output, /^total +\d{2,} +\d{4,} +\d{4,}$/m);
  assert(!output.includes("\x1b") && !output.includes("\r"));
  assertEquals(code, 0);
});

Deno.test("tour says that there is no such folder, or that it is none", async () => {
  await using folder = await temporary();
  const missing = `${folder.path}/missing`;
  assertEquals(await ended(start(missing)), {
    output: "",
    errors: `There is no folder ${missing}\n`,
    code: 1,
  });
  const file = `${folder.path}/file.txt`;
  await Deno.writeTextFile(file, "text");
  assertEquals(await ended(start(file)), {
    output: "",
    errors: `${file} is not a folder\n`,
    code: 1,
  });
});

Deno.test("tour that is interrupted in a big folder says how far it came", async () => {
  const files = 1000;
  await using folder = await temporary();
  const first = `${folder.path}/0.txt`;
  await Deno.writeTextFile(
    first,
    "lorem ipsum dolor sit amet\n".repeat(10_000),
  );
  for (let i = 1; i < files; i++) {
    await Deno.link(first, `${folder.path}/${i}.txt`);
  }

  const child = start(folder.path);
  const [shown, rest] = child.stdout.tee();
  const reader = shown.getReader();
  await reader.read();
  child.kill("SIGINT");
  reader.releaseLock();
  const [output, errors, { code }] = await Promise.all([
    toText(rest),
    toText(child.stderr),
    child.status,
    shown.cancel(),
  ]);

  const [, counted, found] =
    /^Interrupted: (\d+) files are counted, (\d+) were found\n$/.exec(errors)!
      .map(Number);
  assert(counted <= found && found <= files && counted < files);
  assertMatch(output, new RegExp(`^total +${counted} `, "m"));
  assertEquals(code, 130);
});
