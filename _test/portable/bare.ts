/**
 * Imports the module where nothing of Deno, Node or Bun is, as in a browser,
 * and sees that it says so where that is needed: `node bare.js`.
 */

import { equal, match } from "node:assert/strict";
import process from "node:process";
import config from "../../deno.json" with { type: "json" };

const OF_NODE = ["process", "Buffer", "global", "setImmediate"];

/** The error that a call throws or rejects with, as text. */
async function failure(call: () => unknown): Promise<string> {
  try {
    return `No error, but ${await call()}`;
  } catch (error) {
    return String(error);
  }
}

Object.defineProperty(navigator, "userAgent", { value: "Mozilla/5.0" });
for (const name of OF_NODE) Reflect.deleteProperty(globalThis, name);
for (const path of Object.values(config.exports)) {
  await import(`../../${path.replace(/ts$/, "js")}`);
}
const all = await import("@asyncio/asyncio");
const HERE = /^Error: Cannot .*: asyncio runs on .* and this is Mozilla$/;
match(await failure(() => all.run(() => Promise.resolve())), HERE);
match(await failure(() => all.createTask(() => Promise.resolve())), HERE);
match(await failure(() => all.toThread(() => 1)), HERE);
const queue = new all.Queue<number>();
queue.putNowait(1);
equal(queue.getNowait(), 1);
process.stdout.write("checked\n");
