/**
 * Runs git for the benchmark.
 *
 * @module
 */

/** Runs git in the work tree at `root`, without hooks. Returns its output. */
export function git(root: URL, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command("git", {
    args: ["-c", "core.hooksPath=/dev/null", ...args],
    cwd: root,
    stdin: "null",
  }).outputSync();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(`Cannot run git ${args[0]}: ${text(stderr)}`);
  return text(stdout);
}
