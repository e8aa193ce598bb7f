/**
 * Readers and writers over whatever carries bytes.
 *
 * @module
 */

import type { EventLoop } from "./_event_loop.ts";
import {
  type ByteSource,
  readers,
  ReadPump,
  StreamReader,
  type StreamReaderOptions,
} from "./_stream_reader.ts";
import {
  type ByteSink,
  StreamWriter,
  WritePump,
  type WritePumpOptions,
} from "./_stream_writer.ts";

export {
  type ByteSource,
  StreamReader,
  type StreamReaderOptions,
} from "./_stream_reader.ts";
export {
  type ByteSink,
  type StartTlsOptions,
  StreamWriter,
  type WriteBufferLimits,
  WriteTransport,
} from "./_stream_writer.ts";

/**
 * Makes a reader over a source. The source is closed when it has ended or
 * failed; {@linkcode endReader} does so before.
 */
export function makeReader(
  loop: EventLoop,
  source: ByteSource,
  options: StreamReaderOptions = {},
): StreamReader {
  const reader = new StreamReader(options);
  const onError = (error: unknown) =>
    readers.end(reader, { error, told: false });
  readers.attach(reader, new ReadPump(loop, reader, source, { onError }));
  return reader;
}

/** Ends a reader and closes its source; what was read before can still be taken. */
export function endReader(reader: StreamReader): void {
  readers.end(reader, null);
}

/** Makes a writer over a sink, which is closed with the writer or when it fails. */
export function makeWriter(
  loop: EventLoop,
  sink: ByteSink,
  parts: WritePumpOptions,
): StreamWriter {
  return new StreamWriter(new WritePump(loop, sink, parts) as never);
}
