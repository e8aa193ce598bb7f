/**
 * Streams: TCP, TLS and Unix sockets, as readers and writers of bytes.
 *
 * ```ts
 * import { openConnection, startServer } from "@asyncio/asyncio/streams";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await startServer(async (reader, writer) => {
 *   writer.write(await reader.readline());
 *   await writer.drain();
 *   writer.close();
 * }, "127.0.0.1", 0);
 * const port = server.port!;
 *
 * const [reader, writer] = await openConnection("127.0.0.1", port);
 * writer.write("hello\n");
 * assertEquals(new TextDecoder().decode(await reader.readline()), "hello\n");
 * writer.close();
 * await writer.waitClosed();
 * ```
 *
 * Stands for {@link https://docs.python.org/3/library/asyncio-stream.html}.
 *
 * @module
 */

import "./_snapshot.ts"; // with it, the event loop, debug mode and inspection
export type { Bytes } from "./_bytes.ts";
export {
  type ClientTlsOptions,
  type ConnectionStreamsOptions,
  openConnection,
  type OpenConnectionOptions,
  openUnixConnection,
  type OpenUnixConnectionOptions,
  type Streams,
} from "./_connection.ts";
export type { Duration, DurationLike } from "./_duration.ts";
export type { Cancellable, TlsTimeouts } from "./_options.ts";
export {
  type ClientConnected,
  Server,
  startServer,
  type StartServerOptions,
  startUnixServer,
  type StartUnixServerOptions,
} from "./_server.ts";
export { StreamReader, type StreamReaderOptions } from "./_stream_reader.ts";
export { StreamWriter, WriteTransport } from "./_stream_writer.ts";
export type { StartTlsOptions, WriteBufferLimits } from "./_write_pump.ts";
