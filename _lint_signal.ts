/**
 * The rule `no-outer-signal`.
 *
 * @module
 */

import {
  type CallExpression,
  type Expression,
  type FunctionNode,
  type Identifier,
  isFunction,
  isInside,
  type Node,
  parentOf,
  plainArguments,
  propertyName,
  shorthandKey,
  unwrap,
  wrapped,
} from "./_lint_ast.ts";
import { label, memberOf } from "./_lint_library.ts";
import type { Model } from "./_lint_model.ts";
import type { Binding } from "./_lint_scope.ts";

/** A scope with its own signal: the function of the module, and its body. */
interface SignalScope {
  name: string;
  body: FunctionNode;
}

const SIGNAL_SCOPES = new Set(["timeout", "timeoutAt", "TaskGroup.run"]);

/** Reports signals of an outer scope that are passed on inside an inner one. */
export function noOuterSignal(
  model: Model,
  ctx: Deno.lint.RuleContext,
): Deno.lint.LintVisitor {
  return {
    Identifier(node) {
      const signal = signalAt(node);
      if (!signal) return;
      const scope = scopeAround(signal.node, signal.binding);
      if (!scope || !isHandedOn(signal.node, model)) return;
      ctx.report({
        node: signal.node,
        message: `${
          label(scope.name)
        } does not abort this signal, which belongs to an outer scope`,
        hint:
          "Use the signal of the scope: `({ signal }) => …`. It also aborts with the outer ones",
        fix: fixOf(signal.node, scope.body),
      });
    },
  };

  /** The signal that a name refers to, or that is read from it as a property. */
  function signalAt(
    id: Identifier,
  ): { node: Node; binding: Binding } | undefined {
    const binding = model.scopes.referent(id);
    if (!binding || binding.isAssigned) return undefined;
    if (!isFunction(binding.owner) || binding.position === undefined) {
      return undefined;
    }
    const kind = model.kindOf(id);
    const parent = parentOf(wrapped(id));
    if (parent?.type === "MemberExpression") {
      const name = propertyName(parent);
      return name && memberOf(kind, name)?.is === "signal"
        ? { node: parent, binding }
        : undefined;
    }
    const isSignal = kind?.is === "signal" ||
      id.name === "signal" && isOption(id) && mayBeSignal(binding);
    return isSignal ? { node: id, binding } : undefined;
  }

  /** The innermost scope around a use that does not contain the declaration. */
  function scopeAround(use: Node, binding: Binding): SignalScope | undefined {
    for (let it = parentOf(use); it; it = parentOf(it)) {
      if (it === binding.owner) return undefined;
      if (!isFunction(it)) continue;
      const name = model.roleOf(it);
      if (name && SIGNAL_SCOPES.has(name)) return { name, body: it };
    }
    return undefined;
  }

  function fixOf(use: Node, body: FunctionNode) {
    const [param] = body.params as Node[];
    if (!param && isOnlyUse(use, body)) {
      const parens = emptyParens(body);
      return parens &&
        ((fixer: Deno.lint.Fixer) =>
          fixer.replaceTextRange(parens, "({ signal })"));
    }
    if (param?.type !== "Identifier") return undefined;
    const meant = model.scopes.lookUp(param.name, use);
    if (meant?.owner !== body) return undefined;
    return (fixer: Deno.lint.Fixer) =>
      fixer.replaceText(use, `${shorthandKey(use)}${param.name}.signal`);
  }

  /** Whether a new parameter named `signal` would affect only this use. */
  function isOnlyUse(use: Node, body: FunctionNode): boolean {
    if (use.type !== "Identifier" || use.name !== "signal") return false;
    const uses = model.scopes.lookUp("signal", use)!.references;
    return uses.filter((it) => isInside(it, body)).length === 1;
  }

  function emptyParens(body: FunctionNode): [number, number] | undefined {
    const [start, end] = [body.range[0], body.body!.range[0]];
    const found = /\(\s*\)/.exec(ctx.sourceCode.text.slice(start, end));
    return found
      ? [start + found.index, start + found.index + found[0].length]
      : undefined;
  }
}

/** Whether a parameter may be an `AbortSignal`, judging by its type. */
function mayBeSignal({ annotation, path }: Binding): boolean {
  return !annotation ||
    annotation.type === "TSTypeReference" && path?.length !== 0;
}

/** Whether a signal is passed, as an argument or as the option `signal`, to a function outside of the module. */
function isHandedOn(use: Node, model: Model): boolean {
  const node = wrapped(use);
  const parent = parentOf(node)!;
  if (isCall(parent)) return isForeign(parent, node, model);
  if (!isOption(use)) return false;
  const argument = wrapped(parentOf(parent)!);
  const call = parentOf(argument)!;
  return isCall(call) && isForeign(call, argument, model);
}

/** Whether an expression is the value of `signal` in an object literal. */
function isOption(use: Node): boolean {
  const parent = parentOf(wrapped(use))!;
  return parent.type === "Property" && propertyName(parent) === "signal" &&
    parentOf(parent)?.type === "ObjectExpression";
}

function isCall(node: Node): node is CallExpression | Deno.lint.NewExpression {
  return node.type === "CallExpression" || node.type === "NewExpression";
}

function isForeign(
  call: CallExpression | Deno.lint.NewExpression,
  argument: Node,
  model: Model,
): boolean {
  if (!plainArguments(call).includes(argument as Expression)) return false;
  if (call.type === "NewExpression") return true;
  const callee = unwrap(call.callee);
  const isShown = callee.type === "MemberExpression" &&
    callee.object.type === "Identifier" &&
    /^(?:console|AbortSignal)$/.test(callee.object.name);
  return !isShown && !model.calledName(call);
}
