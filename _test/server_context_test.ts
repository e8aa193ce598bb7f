import { assertEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  gather,
  openConnection,
  run,
  sleep,
  startServer,
} from "@asyncio/asyncio";
import { portOf, text } from "./_streams.ts";

const store = new AsyncLocalStorage<string>();

/** Sends a line and receives one. */
async function ask(port: number, line: string): Promise<string> {
  const [reader, writer] = await openConnection("127.0.0.1", port);
  writer.write(`${line}\n`);
  const answer = text(await reader.readline()).trimEnd();
  writer.close();
  await writer.waitClosed();
  return answer;
}

Deno.test("startServer() calls back in the context of its caller [test_server_context.ServerContextvarsTestCase.test_start_server1]", async () => {
  await run(async () => {
    await using server = await store.run("server", () =>
      startServer(
        async (reader, writer) => {
          await reader.readline();
          writer.write(`${store.getStore()}\n`);
          writer.close();
        },
        "127.0.0.1",
        0,
      ));
    const answer = await store.run("client", () => ask(portOf(server), "who?"));
    assertEquals(answer, "server");
  });
});

Deno.test("Server callbacks keep what they change in their context for themselves [test_server_context.ServerContextvarsTestCase.test_start_server2] [test_server_context.ServerContextvarsTestCase.test_start_server3]", async () => {
  await run(async () => {
    await using server = await store.run("server", () =>
      startServer(
        async (reader, writer) => {
          const before = store.getStore();
          const line = text(await reader.readline()).trimEnd();
          store.enterWith(line);
          await sleep(0);
          writer.write(`${before} ${store.getStore()}\n`);
          writer.close();
        },
        "127.0.0.1",
        0,
      ));
    const lines = Array.from({ length: 100 }, (_, i) => `line ${i}`);
    const answers = await gather(
      lines.map((line) => () => ask(portOf(server), line)),
    );
    assertEquals(answers, lines.map((line) => `server ${line}`));
  });
});
