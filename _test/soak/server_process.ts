/** Controls the process with the servers. */

import { delay } from "@std/async";
import { TextLineStream } from "@std/streams";
import type { Target } from "./abuses.ts";

/** What the process with the servers uses. */
export interface Measure {
  readonly heap: number;
  readonly resident: number;
  readonly sockets: number;
}

/** How long the last connections of the abusers may take to end, in seconds. */
const PATIENCE = 10;
/** How many bytes a measurement may exceed the first one before it is repeated. */
const SLACK = 2 ** 20;

export class ServerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  /** The measurement before the first client. */
  #first!: Measure;
  targets: readonly Target[] = [];
  /** The certificate of the TLS server. */
  certificate = "";

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#stdin = child.stdin.getWriter();
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
  }

  static async start(): Promise<ServerProcess> {
    const file = new URL("servers.ts", import.meta.url).pathname;
    const started = new ServerProcess(
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--v8-flags=--expose-gc", file],
        stdin: "piped",
        stdout: "piped",
      }).spawn(),
    );
    const { targets, certificate } = JSON.parse(await started.#line());
    started.targets = targets;
    started.certificate = certificate;
    started.#first = await started.#ask("measure");
    return started;
  }

  /** Measures after garbage collections, until the result is as before or the time limit is reached. */
  async measure(before?: Measure): Promise<Measure> {
    const until = performance.now() + PATIENCE * 1000;
    for (;;) {
      const measure = await this.#ask("measure");
      const isBack = before === undefined
        ? measure.sockets <= this.#first.sockets
        : measure.sockets <= before.sockets &&
          measure.heap <= before.heap + SLACK;
      if (isBack || performance.now() > until) return measure;
      await delay(100);
    }
  }

  /** Closes the servers. Returns how many more sockets are open than at the start. */
  async close(): Promise<number> {
    const { sockets } = await this.#ask("close");
    await this.#stdin.close();
    return sockets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.status;
  }

  async #ask(what: string): Promise<Measure> {
    await this.#stdin.write(new TextEncoder().encode(`${what}\n`));
    return JSON.parse(await this.#line());
  }

  async #line(): Promise<string> {
    const { done, value } = await this.#lines.read();
    if (done) throw new Error("The process with the servers has ended");
    return value;
  }
}
