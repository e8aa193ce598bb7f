// Makes two servers share a port.

import { run, startServer } from "@asyncio/asyncio";

await run(async () => {
  const start = (port: number) =>
    startServer(() => {}, "127.0.0.1", port, { reusePort: true });
  await using first = await start(0);
  const { port } = first.sockets[0].addr as Deno.NetAddr;
  await using second = await start(port);
  if (second.isServing()) console.log("shared");
});
