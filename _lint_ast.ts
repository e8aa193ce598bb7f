/**
 * The syntax tree that a lint plugin is given: how to walk it, and what its
 * nodes amount to.
 *
 * @module
 */

/** A node of the syntax tree. */
export type Node = Deno.lint.Node;
/** An expression. */
export type Expression = Deno.lint.Expression;
/** A name. */
export type Identifier = Deno.lint.Identifier;
/** A call. */
export type CallExpression = Deno.lint.CallExpression;
/** A function of any form that has a body. */
export type FunctionNode =
  | Deno.lint.ArrowFunctionExpression
  | Deno.lint.FunctionDeclaration & { body: Deno.lint.BlockStatement }
  | Deno.lint.FunctionExpression;

export function isFunction(node: Node): node is FunctionNode {
  return node.type === "ArrowFunctionExpression" ||
    node.type === "FunctionDeclaration" && node.body !== null ||
    node.type === "FunctionExpression";
}

/**
 * The children of each node. To read them from its fields takes fifty times as
 * long as to note them while Deno walks the tree.
 */
const CHILDREN = new WeakMap<Node, Node[]>();

/** A visitor that notes the children of all nodes, for the first who asks for it. */
export function collect(program: Deno.lint.Program): Deno.lint.LintVisitor {
  if (CHILDREN.has(program)) return {};
  CHILDREN.set(program, []);
  return {
    "*"(node: Node) {
      const parent = parentOf(node);
      if (!parent) return;
      const siblings = CHILDREN.get(parent);
      if (siblings) siblings.push(node);
      else CHILDREN.set(parent, [node]);
    },
  };
}

export function childrenOf(node: Node): readonly Node[] {
  return CHILDREN.get(node) ?? [];
}

/**
 * A node and everything below it, in the order of the text; what lies below a
 * node that `enters` refuses is left out.
 */
export function* descendants(
  node: Node,
  entersNode: (node: Node) => boolean = () => true,
): Generator<Node> {
  const stack = [node];
  for (let it = stack.pop(); it; it = stack.pop()) {
    yield it;
    if (!entersNode(it)) continue;
    const children = childrenOf(it);
    for (let i = children.length; i-- > 0;) stack.push(children[i]);
  }
}

/** What runs when `node` runs: everything below it but the bodies of functions and classes. */
export function ownDescendants(node: Node): Generator<Node> {
  return descendants(
    node,
    (it) => it === node || !isFunction(it) && it.type !== "ClassBody",
  );
}

/** The node above; none above the program. */
export function parentOf(node: Node): Node | undefined {
  return "parent" in node ? node.parent as Node ?? undefined : undefined;
}

/** The nearest node above that satisfies a condition. */
export function closest<T extends Node>(
  node: Node,
  isWanted: (node: Node) => node is T,
): T | undefined {
  let it = parentOf(node);
  while (it && !isWanted(it)) it = parentOf(it);
  return it as T | undefined;
}

export function isInside(node: Node, outer: Node): boolean {
  return node.range[0] >= outer.range[0] && node.range[1] <= outer.range[1];
}

/** Whether a node only changes how the type checker sees the expression in it. */
export function isWrapper(node: Node): node is Extract<
  Node,
  { expression: Expression }
> {
  switch (node.type) {
    case "ChainExpression":
    case "TSAsExpression":
    case "TSInstantiationExpression":
    case "TSNonNullExpression":
    case "TSSatisfiesExpression":
    case "TSTypeAssertion":
      return true;
    default:
      return false;
  }
}

/** The expression without assertions of types and the marks of optional chains. */
export function unwrap(node: Node): Node {
  return isWrapper(node) ? unwrap(node.expression) : node;
}

/** The outermost expression that {@linkcode unwrap} leads to `node`. */
export function wrapped(node: Node): Node {
  const parent = parentOf(node);
  return parent && isWrapper(parent) ? wrapped(parent) : node;
}

/** The name of a property that is written as a name, a private name or a string. */
export function propertyName(
  node: { computed: boolean; property?: Node; key?: Node },
): string | undefined {
  const key = node.property ?? node.key;
  if (!key) return undefined;
  if (key.type === "Identifier") return node.computed ? undefined : key.name;
  if (key.type === "PrivateIdentifier") return `#${key.name}`;
  return key.type === "Literal" ? String(key.value) : undefined;
}

/** What a property in shorthand lacks before its value can change. */
export function shorthandKey(value: Node): string {
  const parent = parentOf(value);
  return parent?.type === "Property" && parent.shorthand
    ? `${propertyName(parent)}: `
    : "";
}

/** The arguments up to the first spread, after which positions are unknown. */
export function plainArguments(
  call: CallExpression | Deno.lint.NewExpression,
): Expression[] {
  const spread = call.arguments.findIndex((it) => it.type === "SpreadElement");
  return call.arguments.slice(
    0,
    spread < 0 ? undefined : spread,
  ) as Expression[];
}

/** The value of a property in an object literal. */
export function propertyValue(
  object: Node | undefined,
  name: string,
): Node | undefined {
  if (object?.type !== "ObjectExpression") return undefined;
  for (const property of object.properties) {
    if (property.type === "Property" && propertyName(property) === name) {
      return property.value;
    }
  }
  return undefined;
}

/** The value of a number literal; Deno gives none for one with separators. */
export function numberOf(node: Node): number | undefined {
  return node.type === "Literal" && typeof node.value === "number"
    ? Number(node.raw.replaceAll("_", ""))
    : undefined;
}

/** The function whose body a node belongs to; none at top level. */
export function functionAround(node: Node): FunctionNode | undefined {
  return closest(node, isFunction);
}

/** Whether `await` may be written where a node stands. */
export function mayAwait(node: Node): boolean {
  for (let it = node, up = parentOf(it); up; it = up, up = parentOf(up)) {
    if (isFunction(up)) return up.async && it === up.body;
    if (
      up.type === "StaticBlock" || up.type === "PropertyDefinition" ||
      up.type === "TSModuleBlock"
    ) return false;
  }
  return true;
}
