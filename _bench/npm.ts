/**
 * Packages from npm for comparison, at fixed versions. The module does not use
 * them. Each side loads its package when it first runs, so the other sides work
 * without a network.
 *
 * @module
 */

const VERSIONS = {
  "async-mutex": "0.5.0",
  "effect": "4.1.0",
  "effection": "4.1.1",
  "fastq": "1.20.3",
  "p-limit": "7.3.3",
  "p-queue": "10.0.0",
};

/** Loads a package, with the type that the caller expects. */
export async function npm<T>(name: keyof typeof VERSIONS): Promise<T> {
  // Not a literal: the checker would want to fetch the package.
  const specifier = `npm:${name}@${VERSIONS[name]}`;
  return await import(specifier) as T;
}
