/**
 * The rule `require-release`.
 *
 * @module
 */

import {
  type CallExpression,
  descendants,
  functionAround,
  type Node,
  parentOf,
  propertyName,
  unwrap,
  wrapped,
} from "./_lint_ast.ts";
import { label } from "./_lint_library.ts";
import type { Model } from "./_lint_model.ts";
import type { Binding } from "./_lint_scope.ts";

/** Reports calls of `acquire()` without a certain release. */
export function requireRelease(
  model: Model,
  ctx: Deno.lint.RuleContext,
): Deno.lint.LintVisitor {
  let all: Map<unknown, CallExpression[]> | undefined;
  /** The blocks in which a fix declares `_`. */
  const named = new Set<unknown>();
  return {
    CallExpression(call) {
      const name = model.calledName(call);
      if (!name?.endsWith(".acquire")) return;
      const awaiting = parentOf(wrapped(call))!;
      if (awaiting.type !== "AwaitExpression") return;
      const place = droppingStatement(wrapped(awaiting), model);
      if (!place) return;
      all ??= releasesIn(model);
      const releases = all.get(model.keyOf(lockOf(call))) ?? [];
      if (isReleased(call, name, releases, model)) return;
      ctx.report({
        node: call,
        message: `An error after ${label(name)} leaves this ${
          kindOfLock(name)
        } acquired`,
        hint:
          "Write `using _ = await lock.acquire()`, or release in a `finally` block",
        fix: releases.length === 0 ? fixOf(place, model, named) : undefined,
      });
    },
  };
}

/** The statement that drops the guard, or stores it in an unused variable. */
function droppingStatement(node: Node, model: Model): Node | undefined {
  const parent = parentOf(node)!;
  if (parent.type === "ExpressionStatement") return parent;
  if (parent.type !== "VariableDeclarator") return undefined;
  const declaration = parentOf(parent) as Deno.lint.VariableDeclaration;
  if (declaration.kind.endsWith("using")) return undefined;
  if (parent.id.type !== "Identifier") return undefined;
  if (parentOf(declaration)?.type === "ExportNamedDeclaration") {
    return undefined;
  }
  const binding = model.scopes.lookUp(parent.id.name, parent);
  return binding?.references.length === 0 ? declaration : undefined;
}

/** The calls of `release()` in a file, by the object they release. */
function releasesIn(model: Model): Map<unknown, CallExpression[]> {
  const releases: CallExpression[] = [];
  for (const node of descendants(model.program)) {
    if (node.type !== "CallExpression") continue;
    const callee = unwrap(node.callee);
    if (
      callee.type === "MemberExpression" && propertyName(callee) === "release"
    ) releases.push(node);
  }
  return Map.groupBy(releases, (it) => model.keyOf(lockOf(it)));
}

function lockOf(call: CallExpression): Node {
  return (unwrap(call.callee) as Deno.lint.MemberExpression).object;
}

function isReleased(
  call: CallExpression,
  name: string,
  releases: CallExpression[],
  model: Model,
): boolean {
  const fn = functionAround(call);
  const isSafe = releases.some((it) =>
    functionAround(it) !== fn || isInCleanup(it) || follows(it, call)
  );
  return isSafe || name === "Semaphore.acquire" && releases.length === 0 &&
      mayBeReleasedElsewhere(lockOf(call), model);
}

/** Whether a node is in a `finally` block or an error handler. */
function isInCleanup(node: Node): boolean {
  for (let it = node, up = parentOf(it); up; it = up, up = parentOf(up)) {
    if (up.type === "CatchClause") return true;
    if (up.type === "TryStatement" && up.finalizer === it) return true;
  }
  return false;
}

/** Whether the statement of `next` directly follows that of `node`. */
function follows(next: Node, node: Node): boolean {
  const [first, second] = [statementOf(node), statementOf(next)];
  const list = parentOf(first) as { body?: unknown };
  if (!Array.isArray(list?.body)) return false;
  return list.body[list.body.indexOf(first) + 1] === second;
}

function statementOf(node: Node): Node {
  let it = node;
  while (!/Statement$|Declaration$/.test(it.type)) it = parentOf(it)!;
  return it;
}

/** Whether other code may release a semaphore, as one that counts events. */
function mayBeReleasedElsewhere(semaphore: Node, model: Model): boolean {
  const node = unwrap(semaphore);
  if (node.type !== "Identifier") return true;
  const binding = model.scopes.lookUp(node.name, node);
  if (binding?.owner.type !== "VariableDeclarator") return true;
  return isExported(binding) ||
    binding.references.some((it) =>
      parentOf(wrapped(it))?.type !== "MemberExpression"
    );
}

function isExported({ owner }: Binding): boolean {
  return parentOf(parentOf(owner)!)?.type === "ExportNamedDeclaration";
}

function kindOfLock(name: string): string {
  return name.split(".")[0].toLowerCase();
}

/** A fix that assigns the guard with `using`, unless nothing follows in the block. */
function fixOf(place: Node, model: Model, named: Set<unknown>) {
  const block = parentOf(place) as { type: string; body?: unknown };
  if (!Array.isArray(block?.body) || block.body.at(-1) === place) {
    return undefined;
  }
  if (place.type === "VariableDeclaration") {
    const { kind, range: [start] } = place;
    if (place.declarations.length > 1) return undefined;
    return (fixer: Deno.lint.Fixer) =>
      fixer.replaceTextRange([start, start + kind.length], "using");
  }
  if (named.has(block) || model.scopes.lookUp("_", place)) return undefined;
  named.add(block);
  return (fixer: Deno.lint.Fixer) =>
    fixer.insertTextBefore(place, "using _ = ");
}
