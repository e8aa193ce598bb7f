/**
 * The callbacks of a future, in registration order. Most futures have one, so
 * a list is made only for more, and a set only for many.
 *
 * @module
 */

import type { Job } from "./_event_loop.ts";

/** One callback, or several in registration order. */
export type Callbacks = Job | Job[] | Set<Job> | null;

/** More callbacks than this are kept in a set, which removes one in constant time. */
const MANY = 32;

export function addCallback(callbacks: Callbacks, job: Job): Callbacks {
  if (callbacks === null) return job;
  if (callbacks instanceof Set) return callbacks.add(job);
  if (!Array.isArray(callbacks)) return [callbacks, job];
  if (callbacks.length >= MANY) return new Set(callbacks).add(job);
  callbacks.push(job);
  return callbacks;
}

export function removeCallback(callbacks: Callbacks, job: Job): Callbacks {
  if (callbacks === job) return null;
  if (callbacks instanceof Set) callbacks.delete(job);
  if (!Array.isArray(callbacks)) return callbacks;
  return toCallbacks(callbacks.filter((it) => it !== job));
}

export function allCallbacks(callbacks: Callbacks): Job[] {
  if (callbacks === null) return [];
  const isList = callbacks instanceof Set || Array.isArray(callbacks);
  return isList ? [...callbacks] : [callbacks];
}

export function toCallbacks(jobs: Job[]): Callbacks {
  return jobs.length > 0 ? jobs : null;
}
