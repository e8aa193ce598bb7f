/**
 * The headers that a web server sends for a URL, after the example of
 * {@link https://docs.python.org/3/library/asyncio-stream.html#get-http-headers}.
 *
 * ```sh
 * deno run --allow-net examples/http_headers.ts http://example.com/path/page.html
 * ```
 *
 * @module
 */

import { openConnection, run } from "@asyncio/asyncio";

/** Asks for a URL and prints the headers of the answer. */
export async function main(
  address: string,
  print: (line: string) => void = console.log,
): Promise<void> {
  const url = new URL(address);
  const tls = url.protocol === "https:";
  const port = Number(url.port) || (tls ? 443 : 80);
  const [reader, writer] = await openConnection(url.hostname, port, { tls });

  writer.write(
    `HEAD ${url.pathname}${url.search} HTTP/1.0\r\nHost: ${url.host}\r\n\r\n`,
  );
  for (;;) {
    const line = new TextDecoder().decode(await reader.readline()).trimEnd();
    if (line === "") break;
    print(`HTTP header> ${line}`);
  }

  // Ignore the body, close the socket
  writer.close();
  await writer.waitClosed();
}

if (import.meta.main) await run(() => main(Deno.args[0]));
