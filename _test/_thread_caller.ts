/** A plain worker that calls the loop whose handle is posted to it. */

import { type LoopHandle, runCoroutineThreadsafe } from "@asyncio/asyncio";

/** The message to the worker: a function of the loop, how often to call it, and its arguments before the number of the call. */
export interface Order {
  readonly loop: LoopHandle;
  readonly name: string;
  readonly calls: number;
  readonly args: readonly unknown[];
  /** Calls are made one after another, blocking, or all at once. */
  readonly blocking: boolean;
}

const self = globalThis as unknown as {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(value: unknown): void;
};

self.onmessage = async ({ data: { loop, name, calls, args, blocking } }) => {
  const call = (i: number) => runCoroutineThreadsafe(name, loop, ...args, i);
  const numbers = Array.from({ length: calls }, (_, i) => i);
  const answers = blocking
    ? numbers.map((i) => call(i).result(60))
    : await Promise.all(numbers.map(call));
  self.postMessage(answers);
};
