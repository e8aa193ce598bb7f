/**
 * Another version of the module, measured with the workloads of this one.
 *
 * @module
 */

import { fileURLToPath as fromFileUrl, pathToFileURL } from "node:url";
import { git } from "./git.ts";

const ROOT = new URL("../", import.meta.url);
const BENCH = "_bench";
const SIGNALS: readonly [Deno.Signal, number][] = Deno.build.os === "windows"
  ? [["SIGINT", 2]]
  : [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]];

/** A temporary worktree, removed when it is disposed of. */
export interface Checkout extends Disposable {
  /** The full hash of the commit. */
  readonly commit: string;
  /** The folder of the workloads in the worktree. */
  readonly bench: URL;
}

/**
 * Checks out a commit into a temporary worktree, and replaces its benchmark by
 * that of `root`. A signal that ends the process also removes the worktree.
 */
export function checkOut(ref: string, root: URL = ROOT): Checkout {
  const commit = commitOf(ref, root);
  const folder = Deno.makeTempDirSync({ prefix: "asyncio-bench-" });
  const tree = `${folder}/${commit.slice(0, 12)}`;
  const disposal = new DisposableStack();
  disposal.defer(() => Deno.removeSync(folder, { recursive: true }));
  try {
    git(root, "worktree", "add", "--quiet", "--detach", tree, commit);
    disposal.defer(() => void git(root, "worktree", "remove", "--force", tree));
    disposal.use(onSignal(() => disposal.dispose()));
    replaceFolder(fromFileUrl(new URL(BENCH, root)), `${tree}/${BENCH}`);
  } catch (error) {
    disposal.dispose();
    throw error;
  }
  const bench = pathToFileURL(`${tree}/${BENCH}/`);
  return { commit, bench, [Symbol.dispose]: () => disposal.dispose() };
}

function commitOf(ref: string, root: URL): string {
  const revision = `${ref}^{commit}`;
  try {
    return git(root, "rev-parse", "--verify", "--end-of-options", revision);
  } catch (cause) {
    const message = `Cannot measure against ${ref}: expected a commit`;
    throw new Error(message, { cause });
  }
}

/** Cleans up before a signal ends the process. */
function onSignal(cleanUp: () => void): Disposable {
  const disposal = new DisposableStack();
  for (const [signal, number] of SIGNALS) {
    const listener = () => {
      cleanUp();
      Deno.exit(128 + number);
    };
    Deno.addSignalListener(signal, listener);
    disposal.defer(() => Deno.removeSignalListener(signal, listener));
  }
  return disposal;
}

function replaceFolder(from: string, to: string): void {
  try {
    Deno.removeSync(to, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  copyFolder(from, to);
}

function copyFolder(from: string, to: string): void {
  Deno.mkdirSync(to);
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    const copy = isDirectory ? copyFolder : Deno.copyFileSync;
    copy(`${from}/${name}`, `${to}/${name}`);
  }
}
