/**
 * What a loop has besides tasks, for reports: calls in threads and child
 * processes.
 *
 * @module
 */

import { LoopLocal } from "./_loop_local.ts";

/** A call in a thread. */
export interface ThreadSnapshot {
  /** The function. */
  name: string;
  /** What it waits for before it starts; `null` if it is running. */
  waits: string | null;
  /** How long ago it was called, in seconds; `null` if unknown. */
  seconds: number | null;
  /** Where it was called; `null` if unknown. */
  place: string | null;
}

/** A child process. */
export interface ChildSnapshot {
  /** Its process id. */
  pid: number;
  /** The program. */
  name: string;
  /** Further details: `"stdout: 65536 bytes unread"`. */
  notes: string[];
}

/** The lists of a snapshot that other files fill in. */
export interface Inventory {
  threads: ThreadSnapshot[];
  children: ChildSnapshot[];
}

/** Functions that add entries of a loop to the lists of a snapshot. */
export const inventories: LoopLocal<Set<(lists: Inventory) => void>> =
  new LoopLocal(() => new Set());
