/** Removes the internals of Deno. Must be imported before the module. */

// deno-lint-ignore no-explicit-any
const deno = Deno as any;
Object.defineProperty(deno, deno.internal, {
  value: Object.create(deno[deno.internal], { core: { value: {} } }),
});
