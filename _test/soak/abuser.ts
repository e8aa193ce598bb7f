/** A worker that abuses servers for some seconds, then posts how often it did what. */

import { delay } from "@std/async";
import { type Abuse, ABUSES, type Target } from "./abuses.ts";

/** The message to the worker. */
export interface Order {
  readonly targets: readonly Target[];
  readonly seconds: number;
}

/** How often each abuse was done. */
export type Tally = Record<string, number>;

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(tally: Tally): void;
};

scope.onmessage = async ({ data: { targets, seconds } }) => {
  const until = performance.now() + seconds * 1000;
  const tally: Tally = {};
  const repeat = async (abuse: Abuse, target: Target) => {
    while (performance.now() < until) {
      await abuse.once(target).catch(() => {}); // the server may hang up
      tally[abuse.name] = (tally[abuse.name] ?? 0) + 1;
      await delay(abuse.pause);
    }
  };
  await Promise.all(
    targets.flatMap((target) =>
      ABUSES.filter((it) => it.suits(target)).map((it) => repeat(it, target))
    ),
  );
  scope.postMessage(tally);
};
