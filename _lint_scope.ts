/**
 * Name resolution: which declaration a name in a file refers to.
 *
 * @module
 */

import {
  childrenOf,
  closest,
  descendants,
  type FunctionNode,
  type Identifier,
  isFunction,
  isWrapper,
  type Node,
  parentOf,
  propertyName,
  unwrap,
} from "./_lint_ast.ts";

/** A step of a path into a value: a property name or an array index. */
export type Step = string | number;

/** A declared name. */
export interface Binding {
  readonly name: string;
  /** The node that declares it: an import specifier, declarator, function or class. */
  readonly owner: Node;
  /** The position of a parameter. */
  readonly position?: number;
  /** The path from the declarator's value or the argument to the value of the name; `null` if unknown. */
  readonly path: Step[] | null;
  /** The type annotation of the outermost pattern, and the default value of a parameter. */
  readonly annotation?: Node;
  readonly fallback?: Node;
  /** The references to the binding, without its declaration. */
  readonly references: Identifier[];
  /** Whether it is assigned after its declaration. */
  isAssigned: boolean;
}

type Names = Map<string, Binding>;

class Scope {
  readonly values: Names = new Map();
  readonly types: Names = new Map();
  constructor(readonly node: Node, readonly parent: Scope | undefined) {}
}

/** Nodes that open a scope. */
const SCOPES = new Set<string>([
  "Program",
  "ArrowFunctionExpression",
  "FunctionDeclaration",
  "FunctionExpression",
  "BlockStatement",
  "StaticBlock",
  "ForStatement",
  "ForInStatement",
  "ForOfStatement",
  "SwitchStatement",
  "CatchClause",
  "ClassDeclaration",
  "ClassExpression",
  "TSModuleBlock",
]);

/** TypeScript nodes that contain expressions that run. */
const RUNNING_TYPESCRIPT = new Set<string>([
  "TSParameterProperty",
  "TSModuleDeclaration",
  "TSModuleBlock",
  "TSEnumDeclaration",
  "TSEnumBody",
  "TSEnumMember",
  "TSExportAssignment",
]);

/** The scopes of a file and the names declared in them. */
export class ScopeTree {
  readonly #scopes = new Map<Node, Scope>();
  readonly #declared = new Set<unknown>();
  readonly #bindings = new Map<Identifier, Binding>();
  readonly #text: string;

  constructor(program: Node, text: string) {
    this.#text = text;
    this.#openScopes(program, undefined);
    this.#resolveReferences(program);
  }

  /** The binding of a name as a value; `undefined` for a global. */
  lookUp(name: string, from: Node): Binding | undefined {
    return this.#find("values", name, from);
  }

  /** The binding of a name as a type. */
  lookUpType(name: string, from: Node): Binding | undefined {
    return this.#find("types", name, from);
  }

  /** The binding that an identifier refers to; `undefined` if it is not a reference to a value. */
  referent(id: Identifier): Binding | undefined {
    return this.#bindings.get(id);
  }

  #find(space: "values" | "types", name: string, from: Node) {
    for (let it: Scope | undefined = this.#scopeAt(from); it; it = it.parent) {
      const binding = it[space].get(name);
      if (binding) return binding;
    }
    return undefined;
  }

  #scopeAt(node: Node): Scope {
    let it = node;
    while (!this.#scopes.has(it)) it = parentOf(it)!;
    return this.#scopes.get(it)!;
  }

  /** Opens scopes and declares names, outermost first. */
  #openScopes(node: Node, outer: Scope | undefined): void {
    let scope = outer;
    if (SCOPES.has(node.type)) {
      scope = new Scope(node, outer);
      this.#scopes.set(node, scope);
    }
    this.#declare(node, scope!, outer);
    for (const child of childrenOf(node)) this.#openScopes(child, scope);
  }

  #declare(node: Node, scope: Scope, outer: Scope | undefined): void {
    switch (node.type) {
      case "ImportSpecifier":
      case "ImportDefaultSpecifier":
      case "ImportNamespaceSpecifier":
        return this.#add(node.local, node, scope, "both");
      case "VariableDeclaration":
        return this.#declareVariables(node, scope);
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        return this.#declareFunction(node as FunctionNode, scope, outer);
      case "ClassDeclaration":
      case "ClassExpression":
        if (node.id) this.#add(node.id, node, scope, "both");
        if (node.id && node.type === "ClassDeclaration" && outer) {
          this.#add(node.id, node, outer, "both");
        }
        return;
      case "CatchClause":
        if (node.param) this.#addPattern(node.param, { owner: node }, scope);
        return;
      case "TSDeclareFunction":
        if (node.id) this.#add(node.id, node, scope, "values");
        return;
      case "TSEnumDeclaration":
      case "TSImportEqualsDeclaration":
        return this.#add(node.id, node, scope, "both");
      case "TSModuleDeclaration":
        if (node.id.type === "Identifier") {
          this.#add(node.id, node, scope, "both");
        }
        return;
      case "TSInterfaceDeclaration":
      case "TSTypeAliasDeclaration":
        return this.#add(node.id, node, scope, "types");
      case "TSTypeParameter":
        return this.#add(node.name, node, scope, "types");
    }
  }

  #declareVariables(node: Deno.lint.VariableDeclaration, scope: Scope): void {
    const target = node.kind === "var" ? functionScope(scope) : scope;
    for (const owner of node.declarations) {
      this.#addPattern(owner.id, { owner }, target);
    }
  }

  #declareFunction(
    node: FunctionNode,
    scope: Scope,
    outer: Scope | undefined,
  ): void {
    if (node.type === "FunctionDeclaration" && node.id && outer) {
      this.#add(node.id, node, outer, "values");
    }
    if (node.type === "FunctionExpression" && node.id) {
      this.#add(node.id, node, scope, "values");
    }
    node.params.forEach((param, position) => {
      const pattern = param.type === "TSParameterProperty"
        ? param.parameter
        : param;
      this.#addPattern(pattern, { owner: node, position }, scope);
    });
  }

  /** Declares all names in a pattern. */
  #addPattern(
    pattern: Node,
    from: { owner: Node; position?: number },
    scope: Scope,
  ): void {
    const target = pattern.type === "AssignmentPattern"
      ? pattern.left
      : pattern;
    const whole = {
      ...from,
      annotation: annotationOf(target),
      fallback: pattern.type === "AssignmentPattern"
        ? pattern.right
        : undefined,
    };
    for (const [id, path] of namesIn(target, [], this.#text)) {
      this.#add(id, whole.owner, scope, "values", { ...whole, path });
    }
  }

  #add(
    id: { name: string },
    owner: Node,
    scope: Scope,
    space: "values" | "types" | "both",
    more: Partial<Binding> = {},
  ): void {
    this.#declared.add(id);
    const binding: Binding = {
      path: [],
      ...more,
      name: id.name,
      owner,
      references: [],
      isAssigned: false,
    };
    if (space !== "values") scope.types.set(id.name, binding);
    if (space === "types") return;
    const earlier = scope.values.get(id.name);
    if (earlier && earlier.owner !== owner) earlier.isAssigned = true;
    else scope.values.set(id.name, binding);
  }

  /** Resolves the identifiers that are used as values. */
  #resolveReferences(program: Node): void {
    const runs = (node: Node) =>
      !node.type.startsWith("TS") || isWrapper(node) ||
      RUNNING_TYPESCRIPT.has(node.type);
    for (const node of descendants(program, runs)) {
      if (node.type !== "Identifier" || !this.#isReference(node)) continue;
      const binding = this.lookUp(node.name, node);
      if (!binding) continue;
      binding.references.push(node);
      this.#bindings.set(node, binding);
      if (isWritten(node)) binding.isAssigned = true;
    }
  }

  #isReference(id: Identifier): boolean {
    const parent = id.parent as Node;
    if (this.#declared.has(id)) return false;
    if ((parent.type as string) === "TSExportAssignment") return true;
    switch (parent.type) {
      case "MemberExpression":
        return parent.object === id || parent.computed;
      case "Property":
        return parent.value === id || parent.computed;
      case "MethodDefinition":
      case "PropertyDefinition":
        return parent.key !== id || parent.computed;
      case "ExportSpecifier":
        return parent.local === id && !(parent.parent as Node & {
          source: Node | null;
        }).source;
      case "ImportSpecifier":
      case "ImportAttribute":
      case "LabeledStatement":
      case "BreakStatement":
      case "ContinueStatement":
      case "MetaProperty":
      case "TSEnumMember":
        return false;
      default:
        return !parent.type.startsWith("TS") || isWrapper(parent);
    }
  }
}

/** The initial value of a variable that is never reassigned and not destructured. */
export function initOf({ owner, path, isAssigned }: Binding): Node | undefined {
  return owner.type === "VariableDeclarator" && owner.init &&
      path?.length === 0 && !isAssigned
    ? unwrap(owner.init)
    : undefined;
}

/** The scope that a `var` declares its names in. */
function functionScope(scope: Scope): Scope {
  let it = scope;
  while (
    it.parent && !isFunction(it.node) && it.node.type !== "StaticBlock" &&
    it.node.type !== "TSModuleBlock"
  ) it = it.parent;
  return it;
}

function annotationOf(pattern: Node): Node | undefined {
  const { typeAnnotation } = pattern as {
    typeAnnotation?: Deno.lint.TSTypeAnnotation;
  };
  return typeAnnotation?.typeAnnotation;
}

/** The names that a pattern declares, each with its path into the value. */
function* namesIn(
  pattern: Node,
  path: Step[] | null,
  text: string,
): Generator<[id: { name: string }, path: Step[] | null]> {
  const to = (step: Step | undefined) =>
    path && step !== undefined ? [...path, step] : null;
  switch (pattern.type) {
    case "Identifier":
      yield [pattern, path];
      break;
    case "AssignmentPattern":
      yield* namesIn(pattern.left, path, text);
      break;
    case "RestElement":
      yield* namesIn(pattern.argument, null, text);
      break;
    case "ArrayPattern":
      for (const [i, item] of pattern.elements.entries()) {
        if (item) yield* namesIn(item, to(i), text);
      }
      for (const [name, i] of namesAfterHole(pattern, text)) {
        yield [{ name }, to(i)];
      }
      break;
    case "ObjectPattern":
      for (const item of pattern.properties) {
        if (item.type === "RestElement") yield* namesIn(item, null, text);
        else yield* namesIn(item.value, to(propertyName(item)), text);
      }
      break;
  }
}

/**
 * The names in an array pattern after its first hole, which the tree of Deno
 * 2.9 lacks. Nested names have no position.
 */
function* namesAfterHole(
  pattern: Deno.lint.ArrayPattern,
  text: string,
): Generator<[name: string, position: number | undefined]> {
  const items = itemsOf(text.slice(pattern.range[0] + 1));
  for (let i = pattern.elements.length; i < items.length; i++) {
    const names = items[i].replace(/=.*$/s, "").match(
      /[\p{ID_Start}$_][\p{ID_Continue}$]*/gu,
    ) ?? [];
    const isPlain = /^\s*[\p{ID_Start}$_]/u.test(items[i]);
    for (const name of names) yield [name, isPlain ? i : undefined];
  }
}

/** The source text of the items of a list, up to its closing bracket. */
function itemsOf(list: string): string[] {
  const items = [""];
  let depth = 0;
  for (const char of list) {
    if ("([{".includes(char)) depth++;
    if (")]}".includes(char) && depth-- === 0) break;
    if (char === "," && depth === 0) items.push("");
    else items[items.length - 1] += char;
  }
  return items;
}

/** Whether an identifier is the target of an assignment, also in a pattern or a loop. */
function isWritten(id: Identifier): boolean {
  const isTarget = (node: Node): node is Node => {
    const up = parentOf(node);
    return !!up && (
      up.type === "AssignmentExpression" && up.left === node ||
      up.type === "UpdateExpression" ||
      (up.type === "ForOfStatement" || up.type === "ForInStatement") &&
        up.left === node
    );
  };
  if (isTarget(id)) return true;
  const pattern = closest(
    id,
    (it): it is Node =>
      !/Pattern$|^Property$|^RestElement$/.test(it.type) || isTarget(it),
  );
  return !!pattern && /Pattern$/.test(pattern.type) && isTarget(pattern);
}
