/**
 * Servers under abuse: `deno task soak`, for 60 seconds or the number of seconds
 * given as an argument. The exit status is 1 if good clients had to wait, or if
 * memory or descriptors leaked.
 *
 * The servers run in a separate process, so that its heap contains nothing else;
 * the abusers run in a worker, so that they do not delay the good clients, which
 * run here. `good_clients.ts` says what their waits are compared with. The waits
 * are measured up to three times, as the machine may be busy; memory and
 * descriptors once.
 */

import type { Order, Tally } from "./abuser.ts";
import { type Extra, GoodClients } from "./good_clients.ts";
import { type Measure, ServerProcess } from "./server_process.ts";

/** The share of the time without abuse, for comparison. */
const CALM_SHARE = 0.25;
/** Seconds of abuse before the first measurement, in which code is compiled and pools are filled. */
const WARM_UP = 2;
const CHANCES = 3;
/** How much longer a good client may wait under abuse, in milliseconds. */
const MOST_EXTRA = 100;
/** How much the heap may grow, in bytes. */
const MOST_KEPT = 2 * 2 ** 20;

const seconds = Number(Deno.args[0] ?? 60);
const failures: string[] = [];
{
  await using server = await ServerProcess.start();
  await abuse(server, WARM_UP);
  const before = await server.measure();
  for (let chance = 1; chance <= CHANCES; chance++) {
    const late = await compareWaits(server);
    if (late.length === 0) break;
    if (chance === CHANCES) failures.push(...late);
  }
  checkKept(before, await server.measure(before));
  const left = await server.close();
  if (left > 0) failures.push(`${left} descriptors are open after closing`);
}
for (const failure of failures) console.log(`FAILED ${failure}`);
if (failures.length === 0) console.log("ok");
Deno.exit(failures.length === 0 ? 0 : 1);

/** Runs good clients without and with abuse. Returns what is wrong with their waits. */
async function compareWaits(server: ServerProcess): Promise<string[]> {
  const calm = new GoodClients(server);
  await calm.run(seconds * CALM_SHARE);
  const busy = new GoodClients(server);
  const rest = seconds * (1 - CALM_SHARE);
  const [tally] = await Promise.all([abuse(server, rest), busy.run(rest)]);
  const counts = Object.entries(tally).map(([name, count]) =>
    `${name} ${count}`
  );
  console.log(counts.join(", "));
  return [...busy.extraOver(calm)].flatMap(([name, extra]) =>
    complaints(`${name}: ${extra.describe()}`, extra)
  );
}

function complaints(what: string, extra: Extra): string[] {
  console.log(what);
  if (extra.wrong > 0) failures.push(`${extra.wrong} wrong answers`);
  return extra.milliseconds > MOST_EXTRA ? [what] : [];
}

function checkKept(before: Measure, after: Measure): void {
  const kept = after.heap - before.heap;
  console.log(
    `heap ${mib(before.heap)} -> ${mib(after.heap)} MiB, ` +
      `resident ${mib(before.resident)} -> ${mib(after.resident)} MiB, ` +
      `sockets ${before.sockets} -> ${after.sockets}`,
  );
  if (kept > MOST_KEPT) failures.push(`the heap grew by ${mib(kept)} MiB`);
  if (after.sockets > before.sockets) {
    failures.push(`${after.sockets - before.sockets} descriptors stayed open`);
  }
}

/** Abuses the servers for some seconds. */
async function abuse(
  { targets }: ServerProcess,
  seconds: number,
): Promise<Tally> {
  const url = new URL("abuser.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage({ targets, seconds } satisfies Order);
    });
  } finally {
    worker.terminate();
  }
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
