// Threads with wrong arguments of every kind.

import {
  EventLoop,
  getEventLoop,
  runCoroutineThreadsafe,
  toThread,
} from "@asyncio/asyncio";
import {
  assertRefuses,
  FUNCTIONS,
  plain,
  type Row,
  STRINGS,
} from "./_bad_values.ts";

const rows: Row[] = [
  {
    name: "toThread(fn)",
    make: plain((fn) => toThread(fn)),
    accepts: FUNCTIONS,
    isAsync: true,
  },
  {
    name: "EventLoop.runInExecutor(null, fn)",
    make: plain((fn) => getEventLoop().runInExecutor(null, fn)),
    accepts: FUNCTIONS,
    isAsync: true,
  },
  {
    name: "runCoroutineThreadsafe(coro)",
    make: plain((coro) => runCoroutineThreadsafe(coro, getEventLoop())),
    // A string is the name of a function that the loop exposes.
    accepts: [...FUNCTIONS, ...STRINGS],
  },
  {
    name: "runCoroutineThreadsafe(…, loop)",
    make: plain((loop) => runCoroutineThreadsafe(() => {}, loop)),
    accepts: [],
  },
  {
    name: "EventLoop.expose({ fn })",
    make: plain((fn) => new EventLoop().expose({ fn })),
    accepts: FUNCTIONS,
  },
];

for (const row of rows) {
  Deno.test(`${row.name} refuses wrong values and no right ones`, () =>
    assertRefuses(row));
}
