/** Functions that tests of threads call by module and name. */

import {
  type LoopHandle,
  QueueEmpty,
  runCoroutineThreadsafe,
  transfer,
} from "@asyncio/asyncio";

const greeting = "Hello";

/** Uses a variable of its module. */
export function greet(name: string): string {
  return `${greeting} ${name}`;
}

let calls = 0;

/** Returns how often it was called in its thread. */
export function countCalls(): number {
  return ++calls;
}

export async function digest(text: string): Promise<string> {
  const data = new TextEncoder().encode(text);
  const hash = await crypto.subtle.digest("SHA-256", data);
  return new Uint8Array(hash).toHex();
}

export function throwOurs(): never {
  throw new QueueEmpty("nothing there");
}

export function makeMoved(length: number): ArrayBuffer {
  return transfer(new ArrayBuffer(length));
}

/** Blocks until the loop has answered, using the imported function instead of the global one. */
export function askLoop(loop: LoopHandle, n: number): number {
  return runCoroutineThreadsafe<number>("double", loop, n).result(60);
}

export const notAFunction = 1;

export default function (): string {
  return "the default export";
}
