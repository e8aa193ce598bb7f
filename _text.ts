/**
 * Pieces of text that messages and reports share.
 *
 * @module
 */

import type { TextOutput } from "./_options.ts";

/** How much of an error a line shows. */
const TITLE = 200;

/** Writes lines to the console or somewhere else. */
export function print(text: string, file?: TextOutput): void {
  if (file === undefined) console.log(text);
  else writeAll(`${text}\n`, file);
}

/** Writes a text to its end. */
export function writeAll(text: string, file: TextOutput): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(file.writeSync(rest));
}

/** An error on one line: "Error: disk full". */
export function titleOf(error: unknown): string {
  try {
    const line = String(error).split("\n", 1)[0]!;
    return line.length > TITLE ? `${line.slice(0, TITLE)}...` : line;
  } catch {
    return "an error that cannot be shown";
  }
}

/** A length of time. */
export function span(seconds: number): string {
  return `${seconds < 100 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}

/** The first things of a list as text, with the number of the rest: "a, b and 3 more". */
export function firstOf<T>(
  list: readonly T[],
  most: number,
  textOf: (it: T) => string,
  separator = ", ",
): string {
  const shown = list.slice(0, most).map(textOf).join(separator);
  const more = list.length - most;
  if (more <= 0) return shown;
  return `${shown}${separator.replace(", ", " ")}and ${more} more`;
}
