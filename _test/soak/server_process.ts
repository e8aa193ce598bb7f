/** The process with the servers, from the outside. */

import { delay } from "@std/async";
import { TextLineStream } from "@std/streams";
import type { Target } from "./abuses.ts";

/** What the process with the servers has. */
export interface Measure {
  readonly heap: number;
  readonly resident: number;
  readonly sockets: number;
}

/** Seconds in which the last connections of the abusers may end. */
const PATIENCE = 10;
/** Bytes that a measure may be above the first before it is taken again. */
const SLACK = 2 ** 20;

export class ServerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  /** Before the first client. */
  #first!: Measure;
  targets: readonly Target[] = [];
  /** What the server with TLS shows. */
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

  /** Measures after a collection; until it is as before, if it comes to that in time. */
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

  /** Has the servers closed; how many sockets more than in the beginning are left. */
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
