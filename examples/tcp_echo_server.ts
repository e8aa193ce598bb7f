/**
 * A server that sends back what it receives, after the example of
 * {@link https://docs.python.org/3/library/asyncio-stream.html#tcp-echo-server-using-streams}.
 *
 * ```sh
 * deno run --allow-net=127.0.0.1 examples/tcp_echo_server.ts
 * ```
 *
 * @module
 */

import {
  run,
  startServer,
  type StreamReader,
  type StreamWriter,
} from "@asyncio/asyncio";

/** Answers one connection. */
async function handleEcho(
  reader: StreamReader,
  writer: StreamWriter,
  print: (line: string) => void,
): Promise<void> {
  const data = await reader.read(100);
  const message = new TextDecoder().decode(data);
  const { hostname } = writer.getExtraInfo("peername") as Deno.NetAddr;
  print(`Received "${message}" from ${hostname}`);

  print(`Send: "${message}"`);
  writer.write(data);
  await writer.drain();

  print("Close the connection");
  writer.close();
  await writer.waitClosed();
}

/** Serves until it is cancelled, by Ctrl-C for instance. */
export async function main(
  port = 8888,
  print: (line: string) => void = console.log,
): Promise<void> {
  await using server = await startServer(
    (reader, writer) => handleEcho(reader, writer, print),
    "127.0.0.1",
    port,
  );
  const addresses = server.sockets.map(({ addr }) => addr as Deno.NetAddr);
  print(`Serving on ${addresses.map((it) => `${it.hostname}:${it.port}`)}`);
  await server.serveForever();
}

if (import.meta.main) await run(() => main());
