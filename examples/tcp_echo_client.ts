/**
 * Sends a message and receives it back, after the example of
 * {@link https://docs.python.org/3/library/asyncio-stream.html#tcp-echo-client-using-streams}.
 *
 * ```sh
 * deno run --allow-net=127.0.0.1 examples/tcp_echo_client.ts
 * ```
 *
 * @module
 */

import { openConnection, run } from "@asyncio/asyncio";

/** Talks to the server of `tcp_echo_server.ts`. */
export async function main(
  message = "Hello World!",
  port = 8888,
  print: (line: string) => void = console.log,
): Promise<void> {
  const [reader, writer] = await openConnection("127.0.0.1", port);

  print(`Send: "${message}"`);
  writer.write(message);
  await writer.drain();

  const data = await reader.read(100);
  print(`Received: "${new TextDecoder().decode(data)}"`);

  print("Close the connection");
  writer.close();
  await writer.waitClosed();
}

if (import.meta.main) await run(() => main());
