/** What is used of `@std/async`, on the host's own `node:timers/promises`. */
import { setTimeout } from "node:timers/promises";

export interface DelayOptions {
  signal?: AbortSignal;
  persistent?: boolean;
}

export function delay(ms: number, options: DelayOptions = {}): Promise<void> {
  const { signal, persistent = true } = options;
  return setTimeout(ms, undefined, { signal, ref: persistent });
}
