/**
 * What a loop has beside its tasks, for the reports: calls in threads and child
 * processes.
 *
 * @module
 */

import { type BaseEventLoop, internals as loops } from "./_scheduler.ts";

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
interface Inventory {
  threads: ThreadSnapshot[];
  children: ChildSnapshot[];
}

/** Functions that list what a loop has. */
export function inventoryOf(
  loop: BaseEventLoop,
): Set<(lists: Inventory) => void> {
  const storage = loops.storage(loop);
  const known = storage.get(inventoryOf);
  if (known !== undefined) return known as Set<(lists: Inventory) => void>;
  const inventory = new Set<(lists: Inventory) => void>();
  storage.set(inventoryOf, inventory);
  return inventory;
}
