import { assert, assertEquals, assertRejects } from "@std/assert";
import { CancelledError, createTask, Event, run } from "@asyncio/asyncio";
import { main as headers } from "../examples/http_headers.ts";
import { main as client } from "../examples/tcp_echo_client.ts";
import { main as server } from "../examples/tcp_echo_server.ts";

Deno.test("The TCP echo client and the TCP echo server print what their examples say", async () => {
  await run(async () => {
    const served: string[] = [];
    const received: string[] = [];
    const serving = new Event();
    const task = createTask(() =>
      server(0, (line) => {
        served.push(line);
        serving.set();
      })
    );
    await serving.wait();
    const port = /^Serving on 127\.0\.0\.1:(\d+)$/.exec(served[0])![1];
    await client(
      "Hello World!",
      Number(port),
      (line) => void received.push(line),
    );
    task.cancel();
    await assertRejects(() => task, CancelledError);
    assertEquals(received, [
      'Send: "Hello World!"',
      'Received: "Hello World!"',
      "Close the connection",
    ]);
    assertEquals(served.slice(1), [
      'Received "Hello World!" from 127.0.0.1',
      'Send: "Hello World!"',
      "Close the connection",
    ]);
  });
});

Deno.test("The HTTP headers example prints the headers of a web server", async () => {
  const web = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) =>
      new Response("body", {
        headers: { "x-asked": `${request.method} ${request.url}` },
      }),
  );
  const lines: string[] = [];
  const { port } = web.addr;
  await run(() =>
    headers(
      `http://127.0.0.1:${port}/page?a=1`,
      (line) => void lines.push(line),
    )
  );
  await web.shutdown();
  assertEquals(lines[0], "HTTP header> HTTP/1.0 200 OK");
  const asked = `HTTP header> x-asked: HEAD http://127.0.0.1:${port}/page?a=1`;
  assert(lines.includes(asked), lines.join("\n"));
  assertEquals(lines.filter((it) => !it.startsWith("HTTP header> ")), []);
});
