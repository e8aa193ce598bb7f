// Opens files until there are no more, has a client wait meanwhile, and serves it after closing some.

import {
  Event,
  getRunningLoop,
  openConnection,
  run,
  startServer,
} from "@asyncio/asyncio";

await run(async () => {
  const failed = new Event();
  getRunningLoop().setExceptionHandler((_loop, { message }) => {
    if (message.startsWith("Accepting a connection failed")) failed.set();
    else console.log(message);
  });
  await using server = await startServer(
    (_reader, writer) => {
      writer.write("served\n");
      writer.close();
    },
    "127.0.0.1",
    0,
    { startServing: false },
  );
  const { port } = server.sockets[0].addr as Deno.NetAddr;
  const [reader, writer] = await openConnection("127.0.0.1", port);
  const files: Deno.FsFile[] = [];
  try {
    for (;;) files.push(Deno.openSync(new URL(import.meta.url)));
  } catch {
    await server.startServing();
  }
  await failed.wait();
  console.log("reported");
  for (const file of files) file.close();
  await Deno.stdout.write(await reader.read());
  writer.close();
});
