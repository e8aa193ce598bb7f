/**
 * Functions that are sent to a thread: compiling and importing them, and errors
 * that explain what went wrong.
 *
 * This file is also part of the worker program, see `_thread_worker.ts`: it
 * must use nothing but globals.
 *
 * @module
 */

import { excerpt } from "./_thread_serialize.ts";

/** What to call: a function by its source (`name` is `""` if it has none), or an export of a module. */
export type Definition =
  | { readonly name: string; readonly source: string }
  | { readonly module: string; readonly export: string };

/** The name of a function in messages. */
export function nameOfDefinition(definition: Definition): string {
  if ("source" in definition) {
    return excerpt(definition.name) || "an anonymous function";
  }
  return `${excerpt(definition.export)} of ${excerpt(definition.module)}`;
}

/** Compiles the source of a function, in the global scope. */
export function compile(
  source: string,
  name: string,
): (...args: unknown[]) => unknown {
  // An indirect call of `eval` runs in the global scope.
  const run = eval;
  const place = `toThread:${excerpt(name).replace(/\s/g, "_") || "anonymous"}`;
  return run(`"use strict"; (${source}\n)\n//# sourceURL=${place}`);
}

/** Imports a function of a module. */
export async function load(
  module: string,
  name: string,
): Promise<(...args: unknown[]) => unknown> {
  const exports = await import(module);
  const fn = exports[name];
  if (typeof fn === "function") return fn;
  const names = Object.keys(exports).slice(0, 20).join(", ");
  throw new TypeError(
    `Cannot run "${excerpt(name)}" of ${
      excerpt(module)
    } in a thread: it is not a function; the module exports ${
      names || "nothing"
    }`,
  );
}

/** Explains an error about a name or an import that is not available to a function sent as source. */
export function explain(
  error: Error,
  { name, source }: { name: string; source: string },
  program: string,
): Error {
  const [, inV8, inJavaScriptCore] =
    /^(?:(\S+) is not defined|Can't find variable: (\S+))$/
      .exec(error.message) ?? [];
  const missing = inV8 ?? inJavaScriptCore;
  if (error instanceof ReferenceError && missing && source.includes(missing)) {
    return explainName(error, missing, name);
  }
  return error.message.includes(program) ? explainImport(error, name) : error;
}

/** Explains an error that is due to importing a module, and not to the module's own code. */
export function explainModule(
  error: unknown,
  definition: Definition,
  program: string,
): unknown {
  if ("source" in definition) return error;
  const { module } = definition;
  if (!(error instanceof Error) || framesIn(error) !== "") return error;
  if (error.message.startsWith("Cannot run")) return error;
  const why = error.message.includes(program)
    ? "expected an absolute URL, or one of npm:, jsr: or node:; a thread has no import map"
    : error.message.replaceAll(module, excerpt(module));
  const explained = new Error(
    `Cannot call ${nameOfDefinition(definition)} in a thread: ${why}`,
  );
  Object.setPrototypeOf(explained, Object.getPrototypeOf(error));
  return replaceMessage(explained, error);
}

function explainName(error: Error, missing: string, name: string): Error {
  const fn = excerpt(name) || "the function";
  const what = excerpt(missing);
  // Such names mostly come from a bundler.
  const hint = what.length <= 3 || what.startsWith("__")
    ? `; if a bundler has made up the name ${what}, write globalThis.name for what the thread has itself, and do not let it keep names by helpers`
    : "";
  const explained = new ReferenceError(
    `Cannot use ${what} in a thread: ${fn} was sent there as source and sees only its arguments and globals; pass ${what} as an argument, or ${
      workaround(name)
    }${hint}`,
  );
  return replaceMessage(explained, error);
}

function explainImport(error: Error, name: string): Error {
  const what = /"([^"]*)"/.exec(error.message)?.[1] ?? "a module";
  const fn = excerpt(name) || "the function";
  const explained = new TypeError(
    `Cannot import "${
      excerpt(what)
    }" in a thread: ${fn} was sent there as source and can import only absolute URLs; pass the URL as an argument, new URL("./file.ts", import.meta.url).href, or ${
      workaround(name)
    }`,
  );
  return replaceMessage(explained, error);
}

function workaround(name: string): string {
  return `export the function from a module and call toThread({ module: new URL("./file.ts", import.meta.url), export: "${
    excerpt(name) || "name"
  }" })`;
}

/** Gives an explaining error the name and frames of the original one. */
function replaceMessage(explained: Error, error: Error): Error {
  if (explained.name !== error.name) {
    Object.defineProperty(explained, "name", {
      value: error.name,
      configurable: true,
      writable: true,
    });
  }
  explained.stack = `${explained.name}: ${explained.message}${framesIn(error)}`;
  return explained;
}

/** The frames of an error's stack, without the message, whose lines may look like frames. */
function framesIn({ stack = "", name, message }: Error): string {
  const start = `${name}: ${message}`;
  const rest = stack.startsWith(start) ? stack.slice(start.length) : stack;
  return /\n\s+at [^]*$/.exec(rest)?.[0] ?? "";
}
