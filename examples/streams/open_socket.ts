// Waits for data on a connection that was made elsewhere, and is handed over as `conn`.
// Run: deno run --allow-net=127.0.0.1 examples/streams/open_socket.ts

import { getRunningLoop, openConnection, run } from "@asyncio/asyncio";

/** Two connections that are each other's peers. */
async function socketPair(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr as Deno.NetAddr;
  return await Promise.all([
    listener.accept(),
    Deno.connect({ hostname, port }),
  ]);
}

async function main(): Promise<void> {
  const [ours, theirs] = await socketPair();
  const [reader, writer] = await openConnection({ conn: ours });

  // Stands for whatever sends over the network.
  getRunningLoop().callLater(0.05, async () => {
    await theirs.write(new TextEncoder().encode("abc"));
    theirs.close();
  });

  const data = await reader.read();
  console.log(`Received: ${new TextDecoder().decode(data)}`);
  writer.close(); // closes the connection, too
  await writer.waitClosed();
}

await run(main);

// Output:
// Received: abc
