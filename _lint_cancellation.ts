/**
 * The rule `no-swallowed-cancellation`.
 *
 * @module
 */

import {
  type CallExpression,
  descendants,
  functionAround,
  type FunctionNode,
  type Identifier,
  isFunction,
  type Node,
  ownDescendants,
  parentOf,
  plainArguments,
  propertyName,
  unwrap,
  wrapped,
} from "./_lint_ast.ts";
import { isWaiting } from "./_lint_library.ts";
import type { Model } from "./_lint_model.ts";

type Context = Deno.lint.RuleContext;
type Try = Deno.lint.TryStatement;

const MESSAGE =
  "This handler swallows `CancelledError`, so the task cannot be cancelled here";
const HINT =
  "Write `if (error instanceof CancelledError) throw error` first, or catch one class of errors and re-throw the rest";

/** Array methods that call a function synchronously, in the caller's task. */
const ITERATION =
  /^(?:every|filter|find|flatMap|forEach|from|map|reduce|some)$/;
/** Names that show that a handler deals with cancellation, or ends the program. */
const CANCELLATION_NAMES =
  /^(?:aborted|throwIfAborted|cancelled|cancelling|uncancel|exitCode)$/;
/** Functions that check for a cancellation: `isCancelled`, `rethrowIfAborted`. */
const CANCELLATION_CHECKS = /(?:check|if|is|rethrow)\w*(?:abort|cancel)/i;
/** Functions that log their arguments. */
const LOGGERS =
  /^(?:(?:console|log|logger|LOG|LOGGER)\.\w+|log|print|warn|alert)$/;
/** Functions that convert a value to text. */
const STRINGIFIERS = /^(?:String|JSON\.stringify|Deno\.inspect)$/;
/** Functions that may throw, or end the program. */
const MAY_THROW =
  /^(?:assert|expect|fail$|unreachable$|Deno\.exit$|process\.exit$)/;

/** Reports handlers that swallow a cancellation. */
export function noSwallowedCancellation(
  model: Model,
  ctx: Context,
): Deno.lint.LintVisitor {
  const handlers = new Handlers(model);
  const isCancellable = new CancellationPoints(model, handlers);
  let importIsAdded = false;
  return {
    TryStatement(node) {
      const { handler } = node;
      if (!handler || !inCoroutine(node, model)) return;
      if (!isCancellable.in(node.block)) return;
      if (!handlers.swallow(handler.param, handler.body)) return;
      ctx.report({
        range: [handler.range[0], handler.range[0] + "catch".length],
        message: MESSAGE,
        hint: HINT,
        fix: fixOf(handler),
      });
    },
    CallExpression(call) {
      const handler = rejectionHandler(call);
      if (!handler || !isTaken(call) || !inCoroutine(call, model)) return;
      if (!isCancellable.by(handler.promise)) return;
      if (!handlers.swallowAll(handler.node)) return;
      ctx.report({ node: handler.node, message: MESSAGE, hint: HINT });
    },
  };

  /** A fix that re-throws first. Only one fix at a time may add the import. */
  function fixOf(handler: Deno.lint.CatchClause) {
    const { param, body } = handler;
    if (param && param.type !== "Identifier") return undefined;
    if (!param && model.scopes.lookUp("error", body)) return undefined;
    const name = param?.name ?? "error";
    const known = model.nameOf("CancelledError", body);
    const last = model.importOfNames()?.specifiers.at(-1);
    if (!known) {
      const isUsed = !last || model.scopes.lookUp("CancelledError", body);
      if (isUsed || importIsAdded) return undefined;
      importIsAdded = true;
    }
    return (fixer: Deno.lint.Fixer) => [
      ...known ? [] : [fixer.insertTextAfter(last!, ", CancelledError")],
      ...param ? [] : [
        fixer.insertTextAfterRange(
          [handler.range[0], handler.range[0] + "catch".length],
          " (error)",
        ),
      ],
      fixer.insertTextAfterRange(
        [body.range[0], body.range[0] + 1],
        ` if (${name} instanceof ${known ?? "CancelledError"}) throw ${name};`,
      ),
    ];
  }
}

/** Whether code probably runs in a task, judging by where its function is used. */
function inCoroutine(node: Node, model: Model): boolean {
  const fn = functionAround(node);
  if (!fn) return false;
  if (model.roleOf(fn)) return true;
  if (!fn.async) return false;
  if (fn.type === "FunctionDeclaration") return true;
  const place = wrapped(fn);
  const parent = parentOf(place)!;
  switch (parent.type) {
    case "VariableDeclarator":
    case "AssignmentExpression":
    case "ReturnStatement":
    case "ArrowFunctionExpression":
    case "PropertyDefinition":
    case "MethodDefinition":
      return true;
    case "CallExpression": {
      if (parent.callee === place) return true;
      const callee = unwrap(parent.callee);
      return callee.type === "MemberExpression" &&
        ITERATION.test(propertyName(callee) ?? "");
    }
    default:
      return false;
  }
}

/** Whether a promise is awaited or returned. */
function isTaken(promise: Node): boolean {
  return isReturned(promise) ||
    parentOf(wrapped(promise))?.type === "AwaitExpression";
}

/** The promise and the handler of `promise.catch(handler)` and `promise.then(f, handler)`. */
function rejectionHandler(
  call: CallExpression,
): { promise: Node; node: Node } | undefined {
  const callee = unwrap(call.callee);
  if (callee.type !== "MemberExpression") return undefined;
  const position = { catch: 0, then: 1 }[propertyName(callee) ?? ""];
  const node = position === undefined
    ? undefined
    : plainArguments(call)[position];
  return node && { promise: callee.object, node };
}

/** Finds the waits that a cancellation interrupts. */
class CancellationPoints {
  readonly #cache = new Map<FunctionNode, boolean>();
  #cancelledHere: Set<unknown> | undefined;

  constructor(readonly model: Model, readonly handlers: Handlers) {}

  /** Whether a block can throw a cancellation. */
  in(block: Node): boolean {
    const enters = (node: Node): boolean =>
      node === block || !isFunction(node) && node.type !== "ClassBody" &&
        !this.#isHandled(node);
    for (const node of descendants(block, enters)) {
      if (node.type === "AwaitExpression" && this.by(node.argument)) {
        return true;
      }
      if (node.type === "ForOfStatement" && node.await) {
        if (this.#iterates(node.right)) return true;
      }
    }
    return false;
  }

  /** Whether a promise rejects when a task that awaits it is cancelled. */
  by(promise: Node): boolean {
    const node = unwrap(promise);
    const kind = this.model.kindOf(node);
    const isTask = kind?.is === "instance" &&
      (kind.of === "Task" || kind.of === "Future");
    if (node.type !== "CallExpression") {
      return isTask && !this.#isCancelledHere(node);
    }
    const name = this.model.calledName(node);
    if (isTask || isWaiting(name) || name === "cancellable") return true;
    if (name) return false;
    return this.#isJoin(node) || this.#isOwnFunction(node);
  }

  /** Whether a node is the block of a `try` whose handler does not re-throw. */
  #isHandled(block: Node): boolean {
    const parent = parentOf(block);
    if (parent?.type !== "TryStatement" || parent.block !== block) return false;
    const { handler } = parent as Try;
    return !!handler && !this.handlers.rethrows(handler);
  }

  #iterates(iterable: Node): boolean {
    const node = unwrap(iterable);
    const kind = this.model.kindOf(node);
    if (kind?.is === "instance") {
      return kind.of === "Queue" || kind.of === "StreamReader";
    }
    const name = node.type === "CallExpression" && this.model.calledName(node);
    return name === "asCompleted" || name === "cancellable";
  }

  /** `Promise.all([queue.get(), …])`. */
  #isJoin(call: CallExpression): boolean {
    const callee = unwrap(call.callee);
    if (callee.type !== "MemberExpression") return false;
    if (!this.model.isGlobal(callee.object, "Promise")) return false;
    const [list] = plainArguments(call);
    return /^(?:all|race)$/.test(propertyName(callee) ?? "") &&
      list?.type === "ArrayExpression" &&
      list.elements.some((it) => it && this.by(it));
  }

  /** Whether a call is of an async function of this file that waits. */
  #isOwnFunction(call: CallExpression): boolean {
    const fn = this.model.functionAt(call.callee);
    if (!fn?.async || fn.generator) return false;
    if (!this.#cache.has(fn)) {
      this.#cache.set(fn, false); // for cycles
      this.#cache.set(fn, this.in(fn.body));
    }
    return this.#cache.get(fn)!;
  }

  /** Whether the file itself cancels a task, and so expects the error. */
  #isCancelledHere(task: Node): boolean {
    if (!this.#cancelledHere) {
      this.#cancelledHere = new Set();
      for (const node of descendants(this.model.program)) {
        if (
          node.type === "MemberExpression" && propertyName(node) === "cancel"
        ) this.#cancelledHere.add(this.model.keyOf(node.object));
      }
    }
    return this.#cancelledHere.has(this.model.keyOf(task));
  }
}

/** Analyzes what error handlers do with the error. */
class Handlers {
  readonly #entered = new Set<Node>();

  constructor(readonly model: Model) {}

  /** Whether a `catch` re-throws its error, at least sometimes. */
  rethrows({ param, body }: Deno.lint.CatchClause): boolean {
    return [...ownDescendants(body)].some((it) =>
      it.type === "ThrowStatement" && param?.type === "Identifier" &&
      unwrap(it.argument).type === "Identifier" &&
      (unwrap(it.argument) as Identifier).name === param.name
    );
  }

  /** Whether a handler swallows errors of any class. */
  swallow(param: Node | null, body: Node): boolean {
    for (const node of ownDescendants(body)) {
      if (node.type === "ThrowStatement") return false;
      if (node.type === "CallExpression" && this.#mayThrow(node)) return false;
    }
    for (const node of descendants(body)) {
      if (this.#mentionsCancellation(node)) return false;
    }
    if (param?.type !== "Identifier") return true;
    const uses = this.model.scopes.lookUp(param.name, body)?.references ?? [];
    return uses.every((it) => this.#isHarmless(it));
  }

  /** Whether a function called with the error swallows it. */
  swallowAll(handler: Node): boolean {
    const text = calleeText(handler);
    if (text && LOGGERS.test(text)) return true;
    const fn = this.model.functionAt(handler);
    return !!fn && !fn.generator && this.swallow(fn.params[0] as Node, fn.body);
  }

  #mayThrow(call: CallExpression): boolean {
    return MAY_THROW.test(calleeText(unwrap(call.callee)) ?? "");
  }

  #mentionsCancellation(node: Node): boolean {
    switch (node.type) {
      case "Identifier": {
        const kind = this.model.kindOf(node);
        return node.name === "CancelledError" ||
          kind?.is === "export" && kind.name === "CancelledError" ||
          CANCELLATION_NAMES.test(node.name);
      }
      case "Literal":
        return node.value === "CancelledError" || node.value === "AbortError";
      case "CallExpression":
        return CANCELLATION_CHECKS.test(calleeText(unwrap(node.callee)) ?? "");
      default:
        return false;
    }
  }

  /** Whether a use of the error only reads it, and passes nothing on. */
  #isHarmless(use: Node): boolean {
    const node = wrapped(use);
    const parent = parentOf(node)!;
    switch (parent.type) {
      case "MemberExpression":
        return parent.object === node && !isCalled(parent) &&
          !isReturned(parent);
      case "BinaryExpression":
      case "TemplateLiteral":
        return !isReturned(parent);
      case "ExpressionStatement":
      case "IfStatement":
      case "UnaryExpression":
        return true;
      case "ConditionalExpression":
        return parent.test === node;
      case "CallExpression":
        return parent.callee !== node && this.#onlyPrints(parent, node);
      default:
        return false;
    }
  }

  #onlyPrints(call: CallExpression, argument: Node): boolean {
    const callee = unwrap(call.callee);
    const text = calleeText(callee) ?? "";
    if (LOGGERS.test(text)) return true;
    if (STRINGIFIERS.test(text)) return !isReturned(call);
    const fn = this.model.functionAt(callee);
    const position = plainArguments(call).indexOf(argument as never);
    if (!fn || callee.type !== "Identifier" || position < 0) return false;
    if (this.#entered.has(fn)) return true; // recursion
    this.#entered.add(fn);
    const shows = this.swallow(
      (fn.params[position] ?? null) as Node | null,
      fn.body,
    );
    this.#entered.delete(fn);
    return shows;
  }
}

/** Whether an expression is what its function returns. */
function isReturned(expression: Node): boolean {
  const node = wrapped(expression);
  const parent = parentOf(node)!;
  return parent.type === "ReturnStatement" ||
    parent.type === "ArrowFunctionExpression" && parent.body === node;
}

function isCalled(member: Node): boolean {
  const parent = parentOf(wrapped(member));
  return parent?.type === "CallExpression" &&
    parent.callee === wrapped(member);
}

/** The text of a callee: a name, or two names joined by a dot. */
function calleeText(node: Node): string | undefined {
  if (node.type === "Identifier") return node.name;
  if (node.type !== "MemberExpression") return undefined;
  const name = propertyName(node);
  const { object } = node;
  if (object.type === "ThisExpression") return name && `this.${name}`;
  return object.type === "Identifier" && name
    ? `${object.name}.${name}`
    : name && `?.${name}`;
}
