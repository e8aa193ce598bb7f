// Talks to itself over the Unix socket whose path is the argument.

import { openUnixConnection, run, startUnixServer } from "@asyncio/asyncio";

const [path] = Deno.args;
await run(async () => {
  await using _server = await startUnixServer(async (reader, writer) => {
    writer.write("echo ");
    writer.write(await reader.readline());
    writer.close();
  }, path);
  const [reader, writer] = await openUnixConnection(path);
  writer.write("hello\n");
  await Deno.stdout.write(await reader.read());
  writer.close();
  await writer.waitClosed();
});
