/**
 * A plugin for `deno lint` that finds common mistakes in code that uses this
 * module. Enable it in `deno.json`:
 *
 * ```json
 * { "lint": { "plugins": ["jsr:@asyncio/asyncio/lint"] } }
 * ```
 *
 * | rule | finds |
 * | --- | --- |
 * | `asyncio/no-floating-promises` | a waiting call, such as `queue.put(x)`, that is not awaited |
 * | `asyncio/no-milliseconds` | a number that looks like milliseconds, such as `sleep(1000)` |
 * | `asyncio/no-outer-signal` | the signal of an outer task used inside `timeout` or a group |
 * | `asyncio/no-swallowed-cancellation` | a `catch` that swallows `CancelledError` |
 * | `asyncio/require-coroutine-function` | a promise in place of a coroutine function, such as `createTask(f())` |
 * | `asyncio/require-release` | `acquire()` without `using` and without `finally` |
 *
 * Each rule has a page in `docs/lint`. Silence a rule on one line with
 * `// deno-lint-ignore asyncio/no-milliseconds` before it, or everywhere with
 * `"rules": { "exclude": […] }` in `deno.json`.
 *
 * The rules apply to what a file imports from `@asyncio/asyncio`, under any of
 * its specifiers, and report only what they can tell from that file alone. If
 * your project imports the module under another name, create the plugin with
 * {@linkcode createPlugin}.
 *
 * @module
 */

import { collect, descendants, type Node } from "./_lint_ast.ts";
import { noSwallowedCancellation } from "./_lint_cancellation.ts";
import {
  noFloatingPromises,
  requireCoroutineFunction,
} from "./_lint_coroutine.ts";
import { noMilliseconds } from "./_lint_duration.ts";
import { importTest } from "./_lint_library.ts";
import { Model } from "./_lint_model.ts";
import { requireRelease } from "./_lint_release.ts";
import { noOuterSignal } from "./_lint_signal.ts";
import { checkOptions, checkStrings } from "./_validate.ts";

/** Options of {@linkcode createPlugin}. */
export interface LintOptions {
  /**
   * Additional specifiers of the module: a name from the import map, or the URL
   * of a file that is imported by relative specifiers.
   *
   * @default {[]}
   */
  specifiers?: readonly string[];
}

type Check = (
  model: Model,
  ctx: Deno.lint.RuleContext,
) => Deno.lint.LintVisitor;

const RULES: Record<string, Check> = {
  "no-floating-promises": noFloatingPromises,
  "no-milliseconds": noMilliseconds,
  "no-outer-signal": noOuterSignal,
  "no-swallowed-cancellation": noSwallowedCancellation,
  "require-coroutine-function": requireCoroutineFunction,
  "require-release": requireRelease,
};

/**
 * Creates the plugin for a project that imports the module under other names.
 *
 * @param options The additional specifiers; none by default.
 * @returns The plugin. Make it the default export of a file that is listed under `lint.plugins` in `deno.json`.
 * @throws {TypeError} If an option is unknown, or a specifier is not a string.
 *
 * @example
 * ```ts
 * import { createPlugin } from "@asyncio/asyncio/lint";
 *
 * export default createPlugin({
 *   specifiers: ["asyncio", import.meta.resolve("./deps.ts")],
 * });
 * ```
 */
export function createPlugin(options: LintOptions = {}): Deno.lint.Plugin {
  const specifiers = specifiersOf(options);
  const models = new WeakMap<Deno.lint.Program, Model>();
  const toRule = (check: Check): Deno.lint.Rule => ({
    create(ctx) {
      const { ast, text } = ctx.sourceCode;
      const imports = importTest(ctx.filename, specifiers);
      if (!mayImport(ast, text, imports)) return {};
      return {
        ...collect(ast),
        "Program:exit"() {
          const model = models.get(ast) ?? new Model(ast, text, imports);
          models.set(ast, model);
          visit(ast, check(model, ctx));
        },
      };
    },
  });
  return {
    name: "asyncio",
    rules: Object.fromEntries(
      Object.entries(RULES).map(([name, check]) => [name, toRule(check)]),
    ),
  };
}

function specifiersOf(options: LintOptions): readonly string[] {
  const action = "make the plugin";
  checkOptions(options, ["specifiers"], action);
  const { specifiers = [] } = options;
  checkStrings(specifiers, action, "specifiers");
  return specifiers;
}

/** Whether a file imports the module, or has a dynamic import. */
function mayImport(
  program: Deno.lint.Program,
  text: string,
  imports: (specifier: string) => boolean,
): boolean {
  return (program.body as Node[]).some((it) =>
    it.type === "ImportDeclaration" && imports(it.source.value)
  ) || /\bimport\s*\(/.test(text);
}

/** Runs a visitor over all nodes, after the whole tree was collected. */
function visit(program: Deno.lint.Program, visitor: Deno.lint.LintVisitor) {
  const visits = visitor as Record<string, ((node: Node) => void) | undefined>;
  for (const node of descendants(program)) visits[node.type]?.(node);
}

/** The plugin, for imports of `@asyncio/asyncio`. */
const plugin: Deno.lint.Plugin = createPlugin();

export default plugin;
