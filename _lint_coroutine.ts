/**
 * The rules `require-coroutine-function` and `no-floating-promises`.
 *
 * @module
 */

import {
  type CallExpression,
  descendants,
  type Expression,
  isFunction,
  mayAwait,
  type Node,
  parentOf,
  plainArguments,
  propertyName,
  propertyValue,
  unwrap,
  wrapped,
} from "./_lint_ast.ts";
import {
  AWAITABLE_LISTS,
  COROUTINE_POSITIONS,
  isPromise,
  isWaiting,
  label,
} from "./_lint_library.ts";
import type { Model } from "./_lint_model.ts";

type Context = Deno.lint.RuleContext;
type Visitor = Deno.lint.LintVisitor;

/** Reports promises in place of a coroutine function. */
export function requireCoroutineFunction(model: Model, ctx: Context): Visitor {
  return {
    CallExpression(call) {
      const name = model.calledName(call);
      if (!name) return;
      const args = plainArguments(call);
      if (AWAITABLE_LISTS.has(name)) return checkLimited(name, args);
      if (!Object.hasOwn(COROUTINE_POSITIONS, name)) return;
      const argument = args[COROUTINE_POSITIONS[name]];
      if (argument && isPromise(model.kindOf(unwrap(argument)))) {
        report(
          argument,
          `${label(name)} takes a coroutine function, not a promise`,
        );
      }
    },
  };

  /** A limit does not apply to promises, which have already started. */
  function checkLimited(name: string, [list, options]: Expression[]): void {
    if (!list || !propertyValue(options && unwrap(options), "limit")) return;
    for (const item of started(unwrap(list))) {
      report(
        item,
        `\`limit\` of ${label(name)} bounds coroutine functions, not promises`,
      );
    }
  }

  function* started(list: Node): Generator<Node> {
    if (list.type === "ArrayExpression") {
      for (const item of list.elements) {
        if (item && isPromise(model.kindOf(item))) yield item;
      }
    }
    const mapper = list.type === "CallExpression" && mapperOf(list);
    if (!mapper || mapper.generator) return;
    if (mapper.async) yield mapper;
    else if (isPromise(model.kindOf(mapper.body))) yield mapper.body;
  }

  function report(node: Node, problem: string): void {
    ctx.report({
      node,
      message: `${problem}: a promise has already started`,
      hint: "Write `() => f(x)` in place of `f(x)`",
      fix: isDeferrable(node, model)
        ? (fixer) => fixer.insertTextBefore(node, "() => ")
        : undefined,
    });
  }
}

/** The callback of `list.map((item) => …)`. */
function mapperOf(call: CallExpression) {
  const callee = unwrap(call.callee);
  if (callee.type !== "MemberExpression") return undefined;
  const [first] = plainArguments(call);
  return propertyName(callee) === "map" && first &&
      first.type === "ArrowFunctionExpression"
    ? first
    : undefined;
}

/** Whether a call can be moved into an arrow function without changing its meaning. */
function isDeferrable(node: Node, model: Model): boolean {
  if (unwrap(node).type !== "CallExpression") return false;
  for (const it of descendants(node, (it) => !isFunction(it))) {
    switch (it.type) {
      case "AwaitExpression":
      case "YieldExpression":
      case "UpdateExpression":
      case "AssignmentExpression":
        return false;
      case "Identifier":
        if (model.scopes.lookUp(it.name, it)?.isAssigned) return false;
    }
  }
  return true;
}

/** Reports waiting calls whose promise is dropped. */
export function noFloatingPromises(model: Model, ctx: Context): Visitor {
  return {
    CallExpression(call) {
      const name = model.calledName(call);
      if (!isWaiting(name)) return;
      const place = floats(wrapped(call));
      if (!place) return;
      const isFixable = place !== "callback" && mayAwait(call);
      ctx.report({
        node: call,
        message: `The promise of ${label(name!)} is dropped`,
        hint: isFixable
          ? "Write `await` in front of it, or `void` if nothing has to wait for it"
          : "Return it or await it, or write `void` if nothing has to wait for it",
        fix: isFixable
          ? (fixer) => fixer.insertTextBefore(call, "await ")
          : undefined,
      });
    },
  };
}

/** What drops the value of an expression, if anything. */
function floats(node: Node): "statement" | "callback" | undefined {
  const parent = parentOf(node)!;
  switch (parent.type) {
    case "ExpressionStatement":
      return "statement";
    case "ForStatement":
      return parent.init === node || parent.update === node
        ? "statement"
        : undefined;
    case "LogicalExpression":
      return parent.right === node ? floats(wrapped(parent)) : undefined;
    case "ConditionalExpression":
      return parent.test === node ? undefined : floats(wrapped(parent));
    case "SequenceExpression":
      return parent.expressions.at(-1) === node
        ? floats(wrapped(parent))
        : "statement";
    case "ArrowFunctionExpression":
      return parent.body === node && isForEachCallback(parent)
        ? "callback"
        : undefined;
    default:
      return undefined;
  }
}

function isForEachCallback(fn: Node): boolean {
  const call = parentOf(wrapped(fn))!;
  if (call.type !== "CallExpression") return false;
  const callee = unwrap(call.callee);
  return callee.type === "MemberExpression" &&
    propertyName(callee) === "forEach" && call.arguments[0] === wrapped(fn);
}
