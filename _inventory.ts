/**
 * What a loop has beside its tasks, for the reports: calls in threads and child
 * processes.
 *
 * @module
 */

import { LoopLocal } from "./_loop_local.ts";

/** A call in a thread. */
export interface ThreadSnapshot {
  /** The function. */
  name: string;
  /** What it waits for before it runs, `null` for one that runs. */
  waits: string | null;
  /** How long ago it was called, in seconds; `null` where that is not known. */
  seconds: number | null;
  /** Where it was called, `null` where that is not known. */
  place: string | null;
}

/** A child process. */
export interface ChildSnapshot {
  /** Its process id. */
  pid: number;
  /** The program. */
  name: string;
  /** More about it: `"stdout: 65536 bytes unread"`. */
  notes: string[];
}

/** The lists of a snapshot that are filled in from elsewhere. */
export interface Inventory {
  threads: ThreadSnapshot[];
  children: ChildSnapshot[];
}

/** Functions that add what a loop has to the lists of a snapshot. */
export const inventories: LoopLocal<Set<(lists: Inventory) => void>> =
  new LoopLocal(() => new Set());
