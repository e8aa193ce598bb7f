/** Imported first, it takes from the module what lies under the public names of the host. */

// deno-lint-ignore no-explicit-any
const deno = Deno as any;
Object.defineProperty(deno, deno.internal, {
  value: Object.create(deno[deno.internal], { core: { value: {} } }),
});
