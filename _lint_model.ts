/**
 * A simple type inference for one file: which calls are calls of the module,
 * and which values are queues, locks, streams and promises. What cannot be told
 * from the file alone is unknown, and not reported.
 *
 * @module
 */

import {
  type CallExpression,
  closest,
  descendants,
  type Expression,
  type FunctionNode,
  isFunction,
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
  AWAITABLE_POSITIONS,
  awaited,
  BODY_PARAMETERS,
  CLASSES,
  COROUTINE_POSITIONS,
  instance,
  isPromise,
  type Kind,
  memberOf,
  resultOf,
} from "./_lint_library.ts";
import { type Binding, initOf, ScopeTree, type Step } from "./_lint_scope.ts";

type ClassNode = Deno.lint.ClassDeclaration | Deno.lint.ClassExpression;

/** The static methods of `Promise` that return a promise. */
const PROMISE_MAKERS = new Set([
  "all",
  "allSettled",
  "any",
  "race",
  "reject",
  "resolve",
  "try",
]);

/** The inferred kinds of a file that imports the module. */
export class Model {
  readonly program: Deno.lint.Program;
  readonly scopes: ScopeTree;
  readonly #imports: (specifier: string) => boolean;
  readonly #kinds = new Map<Node, Kind | undefined>();
  readonly #members = new Map<ClassNode, Map<string, Node[]>>();
  readonly #ids = new Map<unknown, number>();
  /** Type aliases that are being resolved. */
  readonly #aliases = new Set<Node>();

  constructor(
    program: Deno.lint.Program,
    text: string,
    imports: (specifier: string) => boolean,
  ) {
    this.program = program;
    this.#imports = imports;
    this.scopes = new ScopeTree(program, text);
  }

  /** The first import declaration of the module with named imports. */
  importOfNames(): Deno.lint.ImportDeclaration | undefined {
    for (const node of this.program.body as Node[]) {
      if (
        node.type === "ImportDeclaration" && node.importKind !== "type" &&
        this.#imports(node.source.value) &&
        node.specifiers.at(-1)?.type === "ImportSpecifier"
      ) return node;
    }
    return undefined;
  }

  /** The expression for an export at the node `from`; none if it is not imported. */
  nameOf(name: string, from: Node): string | undefined {
    let qualified: string | undefined;
    for (const specifier of this.#specifiers()) {
      const { local } = specifier;
      if (this.scopes.lookUp(local.name, from)?.owner !== specifier) continue;
      const kind = this.#importKind(specifier);
      if (kind?.is === "export" && kind.name === name) return local.name;
      if (kind?.is === "namespace") qualified = `${local.name}.${name}`;
    }
    return qualified;
  }

  /** The specifiers of value imports. */
  *#specifiers() {
    for (const node of this.program.body as Node[]) {
      if (node.type !== "ImportDeclaration" || node.importKind === "type") {
        continue;
      }
      for (const it of node.specifiers) {
        if (!("importKind" in it) || it.importKind !== "type") yield it;
      }
    }
  }

  /** The function or method of the module that is called: `"sleep"`, `"Queue.put"`. */
  calledName(call: CallExpression): string | undefined {
    const callee = unwrap(call.callee);
    const kind = this.kindOf(callee);
    if (kind?.is === "export") return exportName(kind.name);
    if (callee.type !== "MemberExpression") return undefined;
    const method = propertyName(callee);
    const owner = this.kindOf(callee.object);
    if (!method || !owner) return undefined;
    if (owner.is === "instance") return `${owner.of}.${method}`;
    return owner.is === "export" && owner.name === "TaskGroup"
      ? `TaskGroup.${method}`
      : undefined;
  }

  /** The kind of an expression. */
  kindOf(expression: Node): Kind | undefined {
    if (!this.#kinds.has(expression)) {
      this.#kinds.set(expression, undefined); // for cycles
      this.#kinds.set(expression, this.#infer(expression));
    }
    return this.#kinds.get(expression);
  }

  /** The function that an expression is or unambiguously refers to. */
  functionAt(expression: Node): FunctionNode | undefined {
    const node = unwrap(expression);
    if (isFunction(node)) return node;
    if (node.type === "MemberExpression") {
      const member = this.#memberDeclaration(node);
      if (member?.type === "MethodDefinition") {
        return isFunction(member.value) ? member.value : undefined;
      }
      const value = member?.type === "PropertyDefinition" && member.value;
      return value && isFunction(value) ? value : undefined;
    }
    if (node.type !== "Identifier") return undefined;
    const binding = this.scopes.lookUp(node.name, node);
    if (!binding || binding.isAssigned) return undefined;
    if (isFunction(binding.owner) && binding.position === undefined) {
      return binding.owner;
    }
    const value = initOf(binding);
    return value && isFunction(value) ? value : undefined;
  }

  /** The function of the module that a function literal is passed to. */
  roleOf(fn: FunctionNode): string | undefined {
    let node = wrapped(fn);
    let parent = parentOf(node);
    const isInList = parent?.type === "ArrayExpression";
    if (isInList) {
      node = wrapped(parent!);
      parent = parentOf(node);
    }
    if (parent?.type !== "CallExpression") return undefined;
    const position = plainArguments(parent).indexOf(node as Expression);
    const name = this.calledName(parent);
    if (position < 0 || !name) return undefined;
    if (isInList) {
      return AWAITABLE_LISTS.has(name) && position === 0 ? name : undefined;
    }
    const isExpected = COROUTINE_POSITIONS[name] === position ||
      AWAITABLE_POSITIONS[name] === position ||
      Object.hasOwn(BODY_PARAMETERS, name) && position === 0 ||
      name === "asyncTest";
    return isExpected ? name : undefined;
  }

  /** A key that is equal for expressions that refer to the same object. */
  keyOf(expression: Node): unknown {
    const node = unwrap(expression);
    if (node.type === "ThisExpression") return classAround(node);
    if (node.type === "Identifier") {
      return this.scopes.lookUp(node.name, node) ?? node.name;
    }
    const name = node.type === "MemberExpression" && propertyName(node);
    return name ? `${this.#idOf(this.keyOf(node.object))}.${name}` : node;
  }

  #idOf(key: unknown): number {
    const id = this.#ids.get(key) ?? this.#ids.size;
    this.#ids.set(key, id);
    return id;
  }

  #infer(node: Node): Kind | undefined {
    switch (node.type) {
      case "ChainExpression":
      case "TSInstantiationExpression":
      case "TSNonNullExpression":
      case "TSSatisfiesExpression":
        return this.kindOf(node.expression);
      case "TSAsExpression":
      case "TSTypeAssertion":
        return isConst(node.typeAnnotation)
          ? this.kindOf(node.expression)
          : this.#typeKind(node.typeAnnotation);
      case "Identifier":
        return this.#nameKind(node);
      case "MemberExpression":
        return this.#memberKind(node);
      case "NewExpression":
        return this.#newKind(node);
      case "AwaitExpression":
        return this.#awaitKind(node);
      case "CallExpression":
        return this.#callKind(node);
      case "SequenceExpression":
        return this.kindOf(node.expressions.at(-1)!);
      case "ArrayExpression":
        return {
          is: "tuple",
          items: node.elements.map((it) => this.kindOf(it)!),
        };
      case "ConditionalExpression":
        return this.#common(node.consequent, node.alternate);
      case "LogicalExpression":
        return this.#common(node.left, node.right);
      default:
        return undefined;
    }
  }

  #common(one: Node, other: Node): Kind | undefined {
    const [first, second] = [this.kindOf(one), this.kindOf(other)];
    return isSame(first, second) ? first : undefined;
  }

  #nameKind(node: Deno.lint.Identifier): Kind | undefined {
    const binding = this.scopes.lookUp(node.name, node);
    return binding && this.#bindingKind(binding);
  }

  #bindingKind(binding: Binding): Kind | undefined {
    const { owner, annotation, path } = binding;
    if (annotation) return path ? this.#typeAt(annotation, path) : undefined;
    if (binding.isAssigned || !path) return undefined;
    switch (owner.type) {
      case "ImportSpecifier":
      case "ImportNamespaceSpecifier":
        return this.#importKind(owner);
      case "VariableDeclarator":
        return owner.init ? this.#valueAt(owner.init, path) : undefined;
      default:
        return isFunction(owner) && binding.position !== undefined
          ? this.#parameterKind(owner, binding)
          : undefined;
    }
  }

  #importKind(specifier: Node): Kind | undefined {
    const parent = parentOf(specifier);
    if (
      parent?.type !== "ImportDeclaration" ||
      !this.#imports(parent.source.value)
    ) return undefined;
    if (specifier.type === "ImportNamespaceSpecifier") {
      return { is: "namespace" };
    }
    if (specifier.type !== "ImportSpecifier") return undefined;
    const { imported } = specifier;
    return {
      is: "export",
      name: imported.type === "Identifier" ? imported.name : imported.value,
    };
  }

  #parameterKind(fn: FunctionNode, binding: Binding): Kind | undefined {
    const position = binding.position!;
    const path = binding.path!;
    if (binding.fallback) return this.#valueAt(binding.fallback, path);
    const role = this.roleOf(fn);
    if (!role) return undefined;
    const given = BODY_PARAMETERS[role]?.[position] ??
      (position === 0 ? { is: "signal" as const } : undefined);
    return follow(given, path);
  }

  #valueAt(value: Node, path: Step[]): Kind | undefined {
    const [step, ...rest] = path;
    const node = unwrap(value);
    if (step === undefined) return this.kindOf(value);
    const item = typeof step === "string"
      ? propertyValue(node, step)
      : node.type === "ArrayExpression"
      ? node.elements[step]
      : undefined;
    return item ? this.#valueAt(item, rest) : follow(this.kindOf(value), path);
  }

  #memberKind(node: Deno.lint.MemberExpression): Kind | undefined {
    const name = propertyName(node);
    if (!name) return undefined;
    const member = this.#memberDeclaration(node);
    if (member) return this.#declaredMemberKind(member);
    const known = memberOf(this.kindOf(node.object), name);
    if (known || node.object.type !== "Identifier") return known;
    const binding = this.scopes.lookUp(node.object.name, node);
    if (!binding || binding.isAssigned) return undefined;
    if (binding.annotation) {
      return binding.path
        ? this.#typeAt(binding.annotation, [...binding.path, name])
        : undefined;
    }
    const value = propertyValue(initOf(binding), name);
    return value && this.kindOf(value);
  }

  /** The declaration of `this.name`, or its only assignment. */
  #memberDeclaration(node: Deno.lint.MemberExpression): Node | undefined {
    if (node.object.type !== "ThisExpression") return undefined;
    const owner = classAround(node);
    const name = propertyName(node);
    if (!owner || !name) return undefined;
    const found = this.#membersOf(owner).get(name) ?? [];
    const [declared] = found;
    if (declared?.type === "PropertyDefinition" && declared.typeAnnotation) {
      return declared;
    }
    const valued = found.filter((it) =>
      it.type !== "PropertyDefinition" || it.value
    );
    return valued.length === 1 ? valued[0] : undefined;
  }

  /** The declarations and assignments of the members of a class, in this order. */
  #membersOf(owner: ClassNode): Map<string, Node[]> {
    let members = this.#members.get(owner);
    if (!members) {
      const nodes = [...owner.body.body as Node[], ...descendants(owner.body)];
      members = Map.groupBy(new Set(nodes), memberName);
      this.#members.set(owner, members);
    }
    return members;
  }

  #declaredMemberKind(member: Node): Kind | undefined {
    if (member.type === "AssignmentExpression") {
      return this.kindOf(member.right);
    }
    if (member.type === "PropertyDefinition") {
      if (member.typeAnnotation) return this.#typeKind(member.typeAnnotation);
      return member.value ? this.kindOf(member.value) : undefined;
    }
    const { parameter } = member as unknown as Deno.lint.TSParameterProperty;
    if (parameter?.type === "AssignmentPattern") {
      return this.kindOf(parameter.right);
    }
    return parameter?.type === "Identifier" && parameter.typeAnnotation
      ? this.#typeKind(parameter.typeAnnotation)
      : undefined;
  }

  #newKind(node: Deno.lint.NewExpression): Kind | undefined {
    const kind = this.kindOf(node.callee);
    if (kind?.is === "export" && CLASSES.has(kind.name)) {
      return instance(kind.name);
    }
    return this.isGlobal(node.callee, "Promise")
      ? { is: "promise" }
      : undefined;
  }

  #awaitKind({ argument }: Deno.lint.AwaitExpression): Kind | undefined {
    const node = unwrap(argument);
    if (node.type === "ImportExpression") {
      const { source } = node;
      return source.type === "Literal" && this.#imports(String(source.value))
        ? { is: "namespace" }
        : undefined;
    }
    return awaited(this.kindOf(argument));
  }

  #callKind(node: CallExpression): Kind | undefined {
    const name = this.calledName(node);
    if (name) return resultOf(name);
    const fn = this.functionAt(node.callee);
    if (fn) return this.#returnKind(fn);
    const callee = unwrap(node.callee);
    if (this.isGlobal(callee, "fetch")) return { is: "promise" };
    if (callee.type === "Identifier") return this.#declaredReturn(callee);
    if (callee.type !== "MemberExpression") return undefined;
    const method = propertyName(callee)!;
    const isPromiseMethod = this.isGlobal(callee.object, "Promise")
      ? PROMISE_MAKERS.has(method)
      : /^(?:then|catch|finally)$/.test(method) &&
        isPromise(this.kindOf(callee.object));
    return isPromiseMethod ? { is: "promise" } : undefined;
  }

  #returnKind(fn: FunctionNode): Kind | undefined {
    if (fn.generator) return undefined;
    const declared = fn.returnType && this.#typeKind(fn.returnType);
    return declared ?? (fn.async ? { is: "promise" } : undefined);
  }

  /** The declared return kind of an overload or of a value with a function type. */
  #declaredReturn(callee: Deno.lint.Identifier): Kind | undefined {
    const binding = this.scopes.lookUp(callee.name, callee);
    if (binding?.owner.type === "TSDeclareFunction") {
      const { returnType } = binding.owner;
      return returnType && !binding.isAssigned
        ? this.#typeKind(returnType)
        : undefined;
    }
    const type = binding?.annotation && binding.path?.length === 0 &&
      unwrapType(binding.annotation);
    return type && type.type === "TSFunctionType" && type.returnType
      ? this.#typeKind(type.returnType)
      : undefined;
  }

  isGlobal(node: Node, name: string): boolean {
    return node.type === "Identifier" && node.name === name &&
      !this.scopes.lookUp(name, node);
  }

  #typeKind(annotation: Node): Kind | undefined {
    return this.#typeAt(annotation, []);
  }

  /** The kind at a path into a value of a type. */
  #typeAt(annotation: Node, path: Step[]): Kind | undefined {
    const type = unwrapType(annotation);
    const [step, ...rest] = path;
    if (type.type === "TSUnionType") {
      const kinds = type.types.map((it) => this.#typeAt(it, path));
      return kinds.reduce((one, other) => isSame(one, other) ? one : undefined);
    }
    if (type.type === "TSTypeReference") return this.#referenceAt(type, path);
    if (type.type === "TSTupleType") {
      if (step === undefined) return this.#tupleKind(type);
      const item = typeof step === "number" && type.elementTypes[step];
      return item ? this.#typeAt(item, rest) : undefined;
    }
    if (type.type === "TSTypeLiteral" && step !== undefined) {
      return this.#memberTypeAt(type.members, path);
    }
    return undefined;
  }

  #tupleKind(type: Deno.lint.TSTupleType): Kind {
    return {
      is: "tuple",
      items: type.elementTypes.map((it) =>
        this.#typeKind(it.type === "TSNamedTupleMember" ? it.elementType : it)!
      ),
    };
  }

  #memberTypeAt(members: Node[], [step, ...rest]: Step[]): Kind | undefined {
    for (const member of members) {
      if (
        member.type === "TSPropertySignature" && member.typeAnnotation &&
        propertyName(member) === step
      ) return this.#typeAt(member.typeAnnotation, rest);
    }
    return undefined;
  }

  #referenceAt(
    type: Deno.lint.TSTypeReference,
    path: Step[],
  ): Kind | undefined {
    const { typeName } = type;
    if (typeName.type === "TSQualifiedName") {
      const { left, right } = typeName;
      if (left.type !== "Identifier") return undefined;
      const owner = this.scopes.lookUpType(left.name, type)?.owner;
      return owner && this.#importKind(owner)?.is === "namespace" &&
          CLASSES.has(right.name)
        ? follow(instance(right.name), path)
        : undefined;
    }
    if (typeName.type !== "Identifier") return undefined;
    const owner = this.scopes.lookUpType(typeName.name, type)?.owner;
    if (!owner) return follow(this.#globalType(type, typeName.name), path);
    if (owner.type === "TSTypeAliasDeclaration") {
      return this.#aliasAt(owner, path);
    }
    if (owner.type === "TSInterfaceDeclaration") {
      return path.length > 0
        ? this.#memberTypeAt(owner.body.body, path)
        : undefined;
    }
    const kind = this.#importKind(owner);
    return kind?.is === "export" && CLASSES.has(kind.name)
      ? follow(instance(kind.name), path)
      : undefined;
  }

  #aliasAt(
    alias: Deno.lint.TSTypeAliasDeclaration,
    path: Step[],
  ): Kind | undefined {
    if (this.#aliases.has(alias)) return undefined; // it refers to itself
    this.#aliases.add(alias);
    const kind = this.#typeAt(alias.typeAnnotation, path);
    this.#aliases.delete(alias);
    return kind;
  }

  #globalType(
    type: Deno.lint.TSTypeReference,
    name: string,
  ): Kind | undefined {
    if (name === "AbortSignal") return { is: "signal" };
    if (name !== "Promise" && name !== "PromiseLike") return undefined;
    const [of] = type.typeArguments?.params ?? [];
    return { is: "promise", of: of && this.#typeKind(of) };
  }
}

/** The name of an export, if it cannot be confused with a method. */
function exportName(name: string): string | undefined {
  return /^\w+$/.test(name) ? name : undefined;
}

function isSame(one: Kind | undefined, other: Kind | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function follow(kind: Kind | undefined, path: Step[]): Kind | undefined {
  let it = kind;
  for (const step of path) {
    if (typeof step === "string") it = memberOf(it, step);
    else it = it?.is === "tuple" ? it.items[step] : undefined;
  }
  return it;
}

/** The type without its annotation node, `null` and `undefined`. */
function unwrapType(annotation: Node): Node {
  if (annotation.type === "TSTypeAnnotation") {
    return unwrapType(annotation.typeAnnotation);
  }
  if (annotation.type !== "TSUnionType") return annotation;
  const types = annotation.types.filter((it) =>
    it.type !== "TSNullKeyword" && it.type !== "TSUndefinedKeyword"
  );
  return types.length === 1 ? unwrapType(types[0]) : annotation;
}

function isConst(type: Node): boolean {
  return type.type === "TSTypeReference" &&
    type.typeName.type === "Identifier" && type.typeName.name === "const";
}

/** The class of `this`. */
function classAround(node: Node): ClassNode | undefined {
  const member = closest(
    node,
    (it): it is Node =>
      isFunction(it) && it.type !== "ArrowFunctionExpression" ||
      it.type === "PropertyDefinition" || it.type === "StaticBlock",
  );
  if (!member) return undefined;
  const body = parentOf(isFunction(member) ? parentOf(member)! : member);
  const owner = body?.type === "ClassBody" ? parentOf(body) : undefined;
  return owner as ClassNode | undefined;
}

/** The member that a node declares or assigns; `""` for other nodes. */
function memberName(node: Node): string {
  const parameter = node as { type: string } as Deno.lint.TSParameterProperty;
  if (parameter.type === "TSParameterProperty") {
    const { parameter: pattern } = parameter;
    const id = pattern.type === "AssignmentPattern" ? pattern.left : pattern;
    return id.type === "Identifier" ? id.name : "";
  }
  switch (node.type) {
    case "PropertyDefinition":
    case "MethodDefinition":
      return propertyName(node) ?? "";
    case "AssignmentExpression":
      return node.left.type === "MemberExpression" &&
          node.left.object.type === "ThisExpression"
        ? propertyName(node.left) ?? ""
        : "";
    default:
      return "";
  }
}
