/**
 * The rule `no-milliseconds`.
 *
 * @module
 */

import {
  type CallExpression,
  type Node,
  numberOf,
  plainArguments,
  propertyName,
  propertyValue,
  shorthandKey,
  unwrap,
} from "./_lint_ast.ts";
import { label } from "./_lint_library.ts";
import type { Model } from "./_lint_model.ts";
import { initOf } from "./_lint_scope.ts";

/** The position of a duration argument. */
const POSITIONS: Record<string, number> = {
  sleep: 0,
  timeout: 0,
  waitFor: 1,
  "EventLoop.callLater": 0,
};

/** Options that are durations. */
const OPTIONS: Record<string, string[]> = {
  asCompleted: ["timeout"],
  asyncTest: ["timeout"],
  openConnection: ["happyEyeballsDelay"],
  run: ["shutdownTimeout"],
  wait: ["timeout"],
};

const MINUTE = 60;
const QUARTER = 15 * MINUTE;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Names that contain the unit: `ms`, `delayMs`, `DELAY_MS`, `timeoutMillis`. */
const NAMES_MILLISECONDS =
  /^(?:ms|millis|milliseconds)$|(?:Ms|Millis|Milliseconds)$|_(?:ms|millis|milliseconds)$|_(?:MS|MILLIS|MILLISECONDS)$/;

/** Reports durations that look like milliseconds. */
export function noMilliseconds(
  model: Model,
  ctx: Deno.lint.RuleContext,
): Deno.lint.LintVisitor {
  return {
    CallExpression(call) {
      const name = model.calledName(call);
      if (!name) return;
      for (const node of durationsOf(name, call)) {
        if (!isInMilliseconds(node, model)) continue;
        const text = ctx.sourceCode.getText(node);
        ctx.report({
          node,
          message: `${
            label(name)
          } takes seconds, and ${text} looks like milliseconds`,
          hint: `Write seconds, or \`{ milliseconds: ${text} }\``,
          fix: (fixer) =>
            fixer.replaceText(
              node,
              `${shorthandKey(node)}{ milliseconds: ${text} }`,
            ),
        });
      }
    },
  };
}

function* durationsOf(name: string, call: CallExpression): Generator<Node> {
  const args = plainArguments(call);
  const direct = Object.hasOwn(POSITIONS, name) && args[POSITIONS[name]];
  if (direct) yield direct;
  if (!Object.hasOwn(OPTIONS, name)) return;
  for (const option of OPTIONS[name]) {
    for (const argument of args) {
      const value = propertyValue(unwrap(argument), option);
      if (value) yield value;
    }
  }
}

function isInMilliseconds(expression: Node, model: Model): boolean {
  const node = unwrap(expression);
  switch (node.type) {
    case "Literal":
      return looksLikeMilliseconds(numberOf(node) ?? 0);
    case "Identifier": {
      if (NAMES_MILLISECONDS.test(node.name)) return mayBeNumber(node, model);
      const value = constantOf(node, model);
      return !!value && isInMilliseconds(value, model);
    }
    case "MemberExpression":
      return NAMES_MILLISECONDS.test(propertyName(node) ?? "");
    case "BinaryExpression":
      return node.operator === "*" && hasFactorThousand(node);
    default:
      return false;
  }
}

function hasFactorThousand(node: Node): boolean {
  if (node.type === "Literal") return numberOf(node) === 1000;
  return node.type === "BinaryExpression" && node.operator === "*" &&
    (hasFactorThousand(node.left as Node) || hasFactorThousand(node.right));
}

/** Whether a name may be a number, and not an object with units. */
function mayBeNumber(id: Deno.lint.Identifier, model: Model): boolean {
  const binding = model.scopes.lookUp(id.name, id);
  const annotation = binding?.annotation;
  if (annotation) return annotation.type === "TSNumberKeyword";
  const init = binding?.owner.type === "VariableDeclarator" &&
    binding.owner.init;
  return !init || unwrap(init).type !== "ObjectExpression";
}

/** The number or product that a constant of this file is initialized with. */
function constantOf(id: Deno.lint.Identifier, model: Model): Node | undefined {
  const binding = model.scopes.lookUp(id.name, id);
  const value = binding && initOf(binding);
  return value?.type === "Literal" || value?.type === "BinaryExpression"
    ? value
    : undefined;
}

/**
 * Whether a number is more likely milliseconds (a multiple of 50, at least 100)
 * than seconds (whole minutes up to 20, quarters of an hour up to 90 minutes,
 * hours up to a day, days up to a year).
 */
function looksLikeMilliseconds(n: number): boolean {
  const isRoundTime = n % MINUTE === 0 && n <= 20 * MINUTE ||
    n % QUARTER === 0 && n <= 6 * QUARTER ||
    n % HOUR === 0 && n <= DAY ||
    n % DAY === 0 && n <= 366 * DAY;
  return n >= 100 && n % 50 === 0 && !isRoundTime;
}
