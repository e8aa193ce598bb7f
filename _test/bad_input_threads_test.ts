// Threads with wrong arguments of every kind.

import {
  EventLoop,
  getEventLoop,
  runCoroutineThreadsafe,
  toThread,
} from "@asyncio/asyncio";
import { type Call, FUNCTIONS, testRefusals } from "./_bad_values.ts";

/** Any function: the table is about what types would not let through. */
// deno-lint-ignore no-explicit-any
type Any = any;

const plain = (call: (value: Any) => unknown) => (): Call => ({ call });

testRefusals([
  {
    name: "toThread(fn)",
    make: plain((fn) => toThread(fn)),
    accepts: FUNCTIONS,
    isAsync: true,
    isLasting: true,
  },
  {
    name: "EventLoop.runInExecutor(null, fn)",
    make: plain((fn) => getEventLoop().runInExecutor(null, fn)),
    accepts: FUNCTIONS,
    isAsync: true,
    isLasting: true,
  },
  {
    name: "runCoroutineThreadsafe(coro)",
    make: plain((coro) => runCoroutineThreadsafe(coro, getEventLoop())),
    // A string is the name of a function that the loop exposes.
    accepts: [...FUNCTIONS, '""', '"x"', '"5"'],
    isLasting: true,
  },
  {
    name: "runCoroutineThreadsafe(…, loop)",
    make: plain((loop) => runCoroutineThreadsafe(() => {}, loop)),
    // Refused too, by a name that looks like source.
    accepts: ["() => {}"],
    isLasting: true,
  },
  {
    name: "EventLoop.expose({ fn })",
    make: plain((fn) => new EventLoop().expose({ fn })),
    accepts: FUNCTIONS,
  },
]);
