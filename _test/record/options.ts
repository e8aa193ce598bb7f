/** The options of the commands of this folder. */

/** Parses `--name value` pairs. Exits on an unknown name. */
export function parseOptions<T extends Record<string, string>>(
  args: readonly string[],
  defaults: T,
): T {
  const options: Record<string, string> = { ...defaults };
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i].replace(/^--/, "");
    if (!(name in defaults) || args[i + 1] === undefined) {
      const known = Object.keys(defaults).map((it) => `--${it} VALUE`);
      console.error(`Unknown: ${args[i]}. Options: ${known.join(", ")}`);
      Deno.exit(2);
    }
    options[name] = args[i + 1];
  }
  return options as T;
}
