/**
 * What tells the errors of a runtime apart: their classes, and the system that
 * numbers them. Worker threads have this part of the seam in their program.
 *
 * @module
 */

type Classes = Record<string, ErrorConstructor>;

const here = globalThis as unknown as {
  Deno?: { readonly errors: Classes; readonly build: { readonly os: string } };
};

/** The classes of errors that the runtime has beside the global ones, by their names. */
export function errorsOfRuntime(): Classes {
  return here.Deno?.errors ?? {};
}

/** The system as Deno names it. Elsewhere nobody asks: errors have their codes. */
export function systemName(): string {
  return here.Deno?.build.os ?? "";
}
