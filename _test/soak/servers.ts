/** The servers that are abused. Their process answers commands on its standard input. */

import {
  getRunningLoop,
  run,
  startServer,
  startUnixServer,
  type StreamReader,
  type StreamWriter,
  timeout,
} from "@asyncio/asyncio";
import { TextLineStream } from "@std/streams";
import { makeCertificate } from "../../docs/certificate.ts";
import { settle, sockets } from "../_streams.ts";
import type { Target } from "./abuses.ts";

const LIMIT = 16_384;
/** How long a client may take to send its line, in seconds. */
const PATIENCE = 2;
const decoder = new TextDecoder();

/** Answers one line. */
async function answer(
  reader: StreamReader,
  writer: StreamWriter,
): Promise<void> {
  const line = await timeout(PATIENCE, () => reader.readline());
  const text = decoder.decode(line);
  writer.write(line);
  if (text === "forget\n") return;
  if (text === "flood\n") {
    writer.write(new Uint8Array(1_000_000));
    await timeout(0.1, () => writer.drain())
      .catch(() => writer.transport.abort());
  }
  writer.close();
  await writer.waitClosed();
}

async function measure() {
  for (let i = 0; i < 5; i++) {
    (globalThis as unknown as { gc(): void }).gc();
    await settle();
  }
  const { heapUsed, rss } = Deno.memoryUsage();
  return { heap: heapUsed, resident: rss, sockets: sockets().size };
}

function print(value: unknown): void {
  console.log(JSON.stringify(value));
}

await run(async () => {
  const before = sockets();
  getRunningLoop().setExceptionHandler(() => {}); // abuse is nothing to report
  const tls = await makeCertificate();
  const path = `${await Deno.makeTempDir()}/socket`;
  const servers = [
    await startServer(answer, "127.0.0.1", 0, { limit: LIMIT, backlog: 1000 }),
    await startServer(answer, "127.0.0.1", 0, {
      limit: LIMIT,
      tls,
      backlog: 1000,
      sslHandshakeTimeout: 1,
      sslShutdownTimeout: 1,
    }),
    await startUnixServer(answer, path, { limit: LIMIT }),
  ];
  const tcp = (port: number) =>
    ({ transport: "tcp", hostname: "127.0.0.1", port }) as const;
  const targets: Target[] = [
    { name: "tcp", address: tcp(servers[0].port!), tls: false },
    { name: "tls", address: tcp(servers[1].port!), tls: true },
    { name: "unix", address: { transport: "unix", path }, tls: false },
  ];
  print({ targets, certificate: tls.cert });
  const questions = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const question of questions) {
    if (question === "close") {
      for (const server of servers) await server[Symbol.asyncDispose]();
      print({ ...await measure(), sockets: sockets().difference(before).size });
    } else print(await measure());
  }
});
