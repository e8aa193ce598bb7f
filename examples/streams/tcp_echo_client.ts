// A TCP client that sends a message and reads the answer. Without a port, it starts a server to talk to.
// Run: deno run --allow-net=127.0.0.1 examples/streams/tcp_echo_client.ts [port]

import { openConnection, run } from "@asyncio/asyncio";
import { startEchoServer } from "./tcp_echo_server.ts";

async function echo(message: string, port: number): Promise<void> {
  const [reader, writer] = await openConnection("127.0.0.1", port);

  console.log(`Client: send "${message}"`);
  writer.write(message);
  await writer.drain();

  const data = await reader.read(100);
  console.log(`Client: received "${new TextDecoder().decode(data)}"`);

  console.log("Client: close the connection");
  writer.close();
  await writer.waitClosed();
}

async function main(port?: string): Promise<void> {
  if (port !== undefined) return await echo("Hello World!", Number(port));

  const server = await startEchoServer();
  await echo("Hello World!", (server.sockets[0].addr as Deno.NetAddr).port);
  server.close();
  await server.waitClosed(); // until its client has been served
}

await run(() => main(Deno.args[0]));

// Output:
// Client: send "Hello World!"
// Server: received "Hello World!" from 127.0.0.1
// Server: send "Hello World!"
// Client: received "Hello World!"
// Client: close the connection
// Server: close the connection
