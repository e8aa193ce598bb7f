/** What is used of `@std/streams`, on the host's own streams. */
import { text } from "node:stream/consumers";

export function toText(stream: ReadableStream): Promise<string> {
  // deno-lint-ignore no-explicit-any
  return text(stream as any);
}

/** Divides text into lines, without their ends. */
export class TextLineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split(/\r?\n/);
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}

/** Gives what comes from any of the streams as it comes. */
export function mergeReadableStreams<T>(
  ...streams: ReadableStream<T>[]
): ReadableStream<T> {
  return new ReadableStream<T>({
    async start(controller) {
      try {
        await Promise.all(streams.map(async (stream) => {
          for await (const chunk of stream) controller.enqueue(chunk);
        }));
        controller.close();
      } catch (error) {
        controller.error(error);
      }
    },
  });
}
