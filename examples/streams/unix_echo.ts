// The echo server and its client over a Unix socket.
// Run: deno run --allow-net --allow-read --allow-write examples/streams/unix_echo.ts

import {
  openUnixConnection,
  run,
  startUnixServer,
  type StreamReader,
  type StreamWriter,
} from "@asyncio/asyncio";

async function handleEcho(
  reader: StreamReader,
  writer: StreamWriter,
): Promise<void> {
  for await (const line of reader) {
    writer.write(line);
    await writer.drain();
  }
  writer.close();
  await writer.waitClosed();
}

async function echo(message: string, path: string): Promise<string> {
  const [reader, writer] = await openUnixConnection(path);
  await using _ = writer;
  writer.write(`${message}\n`);
  const line = await reader.readline();
  return new TextDecoder().decode(line).trimEnd();
}

async function main(): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/echo.sock`;
    await using _ = await startUnixServer(handleEcho, path);
    for (const message of ["Hello", "World"]) {
      console.log(`Send: ${message}`);
      console.log(`Received: ${await echo(message, path)}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await run(main);

// Output:
// Send: Hello
// Received: Hello
// Send: World
// Received: World
