/** Runs programs on CPython. */

import { TextLineStream } from "@std/streams";

/** A CPython process that answers each program with its trace. */
export class CPython implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(python: string, script: string) {
    this.#child = new Deno.Command(python, {
      args: [new URL(script, import.meta.url).pathname],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
  }

  /** The traces of programs. */
  async traces<P>(programs: readonly P[]): Promise<string[][]> {
    const text = programs.map((it) => `${JSON.stringify(it)}\n`).join("");
    const written = this.#input.write(new TextEncoder().encode(text));
    const traces: string[][] = [];
    while (traces.length < programs.length) {
      const { done, value } = await this.#lines.read();
      if (done) throw new Error("CPython has ended before its last trace");
      traces.push(JSON.parse(value));
    }
    await written;
    return traces;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#lines.cancel();
    await this.#child.status;
  }
}

/** The path of the interpreter: the last option `--python`, or `ASYNCIO_PYTHON`. */
export function pythonPath(option: string): string {
  const path = option || Deno.env.get("ASYNCIO_PYTHON");
  if (path) return path;
  console.error("Name a CPython 3.15: --python PATH or ASYNCIO_PYTHON=PATH");
  Deno.exit(2);
}
