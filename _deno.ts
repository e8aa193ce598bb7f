/**
 * Deno's namespace, for what only Deno has: sockets, processes and files.
 *
 * @module
 */

import { runtime } from "./_host.ts";

/**
 * The namespace of Deno. On other runtimes it is a stand-in with error classes
 * of the same names; accessing anything else of it throws.
 */
export const deno: typeof Deno = (globalThis as { Deno?: typeof Deno }).Deno ??
  makeStandIn();

/**
 * Checks that the program runs on Deno.
 *
 * @throws {Deno.errors.NotSupported} If it does not.
 */
export function needDeno(action: string): void {
  if (runtime !== "Deno") throw notSupported(action);
}

/** Closes a resource that may be closed already. */
export function closeQuietly(it: { close(): void }): void {
  try {
    it.close();
  } catch (error) {
    if (!(error instanceof deno.errors.BadResource)) throw error;
  }
}

function makeStandIn(): typeof Deno {
  const errors = new Proxy({}, { get: (_, name) => errorClass(String(name)) });
  return new Proxy({ errors } as typeof Deno, {
    get(target, name) {
      if (name === "errors") return target.errors;
      throw notSupported(`use Deno.${String(name)}`);
    },
  });
}

function notSupported(action: string): Error {
  const NotSupported = errorClass("NotSupported");
  return new NotSupported(
    `Cannot ${action}: only Deno can do that, and this program runs on ${runtime}`,
  );
}

const errorClasses = new Map<string, typeof Error>();

function errorClass(name: string): typeof Error {
  const known = errorClasses.get(name);
  if (known !== undefined) return known;
  const errorType = class extends Error {} as typeof Error;
  Object.defineProperty(errorType, "name", { value: name });
  errorType.prototype.name = name;
  errorClasses.set(name, errorType);
  return errorType;
}
