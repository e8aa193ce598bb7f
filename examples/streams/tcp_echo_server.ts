// A TCP server that sends back what it receives. With a port, it serves there until Ctrl-C.
// Run: deno run --allow-net=127.0.0.1 examples/streams/tcp_echo_server.ts [port]

import {
  openConnection,
  run,
  type Server,
  startServer,
  type StreamReader,
  type StreamWriter,
} from "@asyncio/asyncio";

/** Serves one client. */
async function handleEcho(
  reader: StreamReader,
  writer: StreamWriter,
): Promise<void> {
  const { hostname } = writer.getExtraInfo("peername") as Deno.NetAddr;
  for (;;) {
    const data = await reader.read(100);
    if (data.length === 0) break;
    const message = new TextDecoder().decode(data);
    console.log(`Server: received "${message}" from ${hostname}`);
    console.log(`Server: send "${message}"`);
    writer.write(data);
    await writer.drain();
  }
  console.log("Server: close the connection");
  writer.close();
  await writer.waitClosed();
}

export function startEchoServer(port = 0): Promise<Server> {
  return startServer(handleEcho, "127.0.0.1", port);
}

async function main(chosenPort?: string): Promise<void> {
  await using server = await startEchoServer(Number(chosenPort ?? 0));
  const { hostname, port } = server.sockets[0].addr as Deno.NetAddr;
  console.log(`Server: serving on ${hostname}:${port}`);
  if (chosenPort !== undefined) await server.serveForever();

  const [reader, writer] = await openConnection(hostname, port);
  writer.write("Hello World!");
  writer.writeEof();
  await reader.read();
  writer.close();
  await writer.waitClosed();
}

if (import.meta.main) await run(() => main(Deno.args[0]));

// Output:
// Server: serving on 127.0.0.1:{port}
// Server: received "Hello World!" from 127.0.0.1
// Server: send "Hello World!"
// Server: close the connection
