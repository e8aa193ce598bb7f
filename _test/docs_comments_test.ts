// The doc comments of the public names, as `deno doc` reads them: every waiting call
// says what a cancellation leaves behind, throws a CancelledError, and has an
// example.

import { assert, assertEquals } from "@std/assert";
import config from "../deno.json" with { type: "json" };

interface Comment {
  doc?: string;
  tags?: { kind: string; tsType?: { repr: string } }[];
}

interface Signature {
  params: { name?: string }[];
  returnType?: { repr: string };
}

interface Declaration {
  kind: string;
  jsDoc?: Comment;
  def: Signature & {
    /** Of interfaces they have no `functionDef`. */
    methods?: { name: string; jsDoc?: Comment; functionDef?: Signature }[];
  };
}

/** A documented function or method. */
interface Call {
  name: string;
  comment: Comment;
  signature: Signature;
  /** The comment of its class. */
  ofClass: Comment | undefined;
}

/** What gives a promise without waiting, or belongs to no task that could be cancelled. */
const NOT_WAITING = [
  ...["Future.then", "Future.catch", "Future.finally", "ThreadFuture.then"],
  ...["Barrier.reset", "Barrier.abort", "Server.startServing"],
  ...["Runner.close", "openConnection(options)"],
];

async function readDeclarations(): Promise<[string, Declaration][]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values(config.exports)],
    cwd: new URL("..", import.meta.url),
    stderr: "null",
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as {
    nodes: Record<
      string,
      { symbols: { name: string; declarations: Declaration[] }[] }
    >;
  };
  return Object.values(nodes).flatMap(({ symbols }) =>
    symbols.flatMap(({ name, declarations }) =>
      declarations.map((it): [string, Declaration] => [name, it])
    )
  );
}

function callsOf([name, { kind, jsDoc, def }]: [string, Declaration]): Call[] {
  if (kind === "function" && jsDoc !== undefined) {
    return [{ name, comment: jsDoc, signature: def, ofClass: undefined }];
  }
  return (def?.methods ?? []).flatMap((it) => {
    const { jsDoc: comment, functionDef: signature } = it;
    if (comment === undefined || signature === undefined) return [];
    const call = { name: `${name}.${it.name}`, comment, signature };
    return [{ ...call, ofClass: jsDoc }];
  });
}

function waits({ name, signature }: Call): boolean {
  const [first] = signature.params;
  return signature.returnType?.repr === "Promise" &&
    !NOT_WAITING.includes(name) && !name.includes("[") &&
    !NOT_WAITING.includes(`${name}(${first?.name})`);
}

function hasExample(comment: Comment | undefined): boolean {
  return comment?.tags?.some(({ kind }) => kind === "example") ?? false;
}

const declarations = await readDeclarations();
const calls = declarations.flatMap(callsOf);
const waiting = calls.filter(waits);

Deno.test("Every public call that waits says what a cancellation leaves behind", () => {
  assert(waiting.length > 30, `${waiting.length} calls wait`);
  const silent = waiting.filter(({ comment }) =>
    !/cancel|interrupt/i.test(comment.doc ?? "")
  );
  assertEquals(silent.map(({ name }) => name), []);
});

Deno.test("Every public call that waits throws a CancelledError", () => {
  const without = waiting.filter(({ comment }) =>
    !comment.tags?.some((tag) => tag.tsType?.repr === "CancelledError")
  );
  assertEquals(without.map(({ name }) => name), []);
});

Deno.test("Every public call that waits has an example, or its class has", () => {
  const without = waiting.filter(({ comment, ofClass }) =>
    !hasExample(comment) && !hasExample(ofClass)
  );
  assertEquals(without.map(({ name }) => name), []);
});

Deno.test("Every public class and function has an example, in one of its overloads", () => {
  const kinds = ["class", "function"];
  const names = new Set(
    declarations.filter(([, { kind }]) => kinds.includes(kind))
      .map(([name]) => name),
  );
  const shown = new Set(
    declarations.filter(([, { jsDoc }]) => hasExample(jsDoc))
      .map(([name]) => name),
  );
  assertEquals([...names].filter((name) => !shown.has(name)), []);
});
