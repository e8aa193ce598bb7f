// The headers that a web server sends for a URL, over TCP or TLS. Without a URL, it starts a server to ask.
// Run: deno run --allow-net examples/streams/http_headers.ts [URL]

import { openConnection, run } from "@asyncio/asyncio";

async function printHttpHeaders(url: URL): Promise<void> {
  const tls = url.protocol === "https:";
  const port = Number(url.port) || (tls ? 443 : 80);
  const [reader, writer] = await openConnection(url.hostname, port, { tls });

  writer.write(
    `HEAD ${url.pathname}${url.search} HTTP/1.0\r\nHost: ${url.host}\r\n\r\n`,
  );
  for (;;) {
    const line = new TextDecoder().decode(await reader.readline()).trimEnd();
    if (line === "") break;
    console.log(`HTTP header> ${line}`);
  }

  // The body, if there is one, is of no interest.
  writer.close();
  await writer.waitClosed();
}

async function main(url?: string): Promise<void> {
  if (url !== undefined) return await printHttpHeaders(new URL(url));

  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("Hello World!"),
  );
  await printHttpHeaders(new URL(`http://127.0.0.1:${server.addr.port}/`));
}

await run(() => main(Deno.args[0]));

// Output:
// HTTP header> HTTP/1.0 200 OK
// HTTP header> content-type: text/plain;charset=UTF-8
// HTTP header> content-length: 12
// HTTP header> date: {httpDate}
