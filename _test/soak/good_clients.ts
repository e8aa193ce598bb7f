/**
 * Well-behaved clients, and how long they wait for their answers.
 *
 * A single wait means little on a shared machine: the scheduler alone delays
 * one in a hundred. So the clients connect in rounds, one after another, and the
 * statistic is the 90th percentile of their waits under abuse minus that without
 * abuse, in the same run. A server that stops accepting, or a blocked loop,
 * delays all clients that connect meanwhile and so shows in it, while a short
 * stall of the machine does not. The longest wait may be ten times as long.
 */

import { delay } from "@std/async";
import { connectTo, type Target } from "./abuses.ts";
import type { ServerProcess } from "./server_process.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** The pause between two clients of a server, in milliseconds. */
const PAUSE = 20;
const PERCENTILE = 0.9;
/** How many times longer than the limit the longest wait may be. */
const WORST_FACTOR = 10;

/** How much longer clients waited under abuse. */
export interface Extra {
  readonly milliseconds: number;
  readonly wrong: number;
  describe(): string;
}

export class GoodClients {
  readonly #server: ServerProcess;
  readonly #waits = new Map<string, number[]>();
  #wrong = 0;

  constructor(server: ServerProcess) {
    this.#server = server;
  }

  /** Connects clients to every server for some seconds. */
  async run(seconds: number): Promise<void> {
    const until = performance.now() + seconds * 1000;
    const { targets, certificate } = this.#server;
    await Promise.all(targets.map(async (target) => {
      const waits: number[] = [];
      this.#waits.set(target.name, waits);
      for (let id = 0; performance.now() < until; id++) {
        const start = performance.now();
        const question = `hello ${id}\n`;
        const answer = await ask(target, question, certificate);
        waits.push(performance.now() - start);
        if (answer !== question) this.#wrong++;
        await delay(PAUSE);
      }
    }));
  }

  /** How much longer these clients waited than others, by server. */
  extraOver(calm: GoodClients): Map<string, Extra> {
    const extras = new Map<string, Extra>();
    for (const [name, waits] of this.#waits) {
      extras.set(name, this.#extra(waits, calm.#waits.get(name)!));
    }
    return extras;
  }

  #extra(waits: number[], calm: number[]): Extra {
    const typical = at(waits, PERCENTILE) - at(calm, PERCENTILE);
    const worst = at(waits, 1) - at(calm, 1);
    const round = (it: number) => it.toFixed(1);
    return {
      milliseconds: Math.max(typical, worst / WORST_FACTOR),
      wrong: this.#wrong,
      describe: () =>
        `${waits.length} good clients, p90 ${
          round(at(waits, PERCENTILE))
        } ms ` +
        `(${round(at(calm, PERCENTILE))} without abuse), ` +
        `worst ${round(at(waits, 1))} ms (${round(at(calm, 1))})`,
    };
  }
}

async function ask(
  target: Target,
  question: string,
  certificate: string,
): Promise<string> {
  let conn = await connectTo(target);
  try {
    if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
    if (target.tls) {
      conn = await Deno.startTls(conn as Deno.TcpConn, {
        hostname: "localhost",
        caCerts: [certificate],
      });
    }
    await conn.write(encoder.encode(question));
    const buffer = new Uint8Array(100);
    const count = await conn.read(buffer);
    return decoder.decode(buffer.subarray(0, count ?? 0));
  } finally {
    conn.close();
  }
}

/** The given quantile of some values. */
function at(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
}
