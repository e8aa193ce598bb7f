/**
 * Deno's namespace for what only Deno has: sockets, processes and files.
 *
 * @module
 */

import { runtime } from "./_host.ts";

/**
 * The namespace of Deno. On another runtime it stands in: its errors are plain
 * ones with the same names, and whatever else is taken from it throws.
 */
export const deno: typeof Deno = (globalThis as { Deno?: typeof Deno }).Deno ??
  standIn();

/**
 * Checks that a call runs on Deno.
 *
 * @throws {Deno.errors.NotSupported} If it does not.
 */
export function needDeno(action: string): void {
  if (runtime !== "Deno") throw notSupported(action);
}

/** Closes a resource, which may be closed already. */
export function closeQuietly(it: { close(): void }): void {
  try {
    it.close();
  } catch (error) {
    if (!(error instanceof deno.errors.BadResource)) throw error;
  }
}

function standIn(): typeof Deno {
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
  const made = class extends Error {} as typeof Error;
  Object.defineProperty(made, "name", { value: name });
  made.prototype.name = name;
  errorClasses.set(name, made);
  return made;
}
