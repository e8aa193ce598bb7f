/** Helpers that run programs, and `ps` on them. */

import { assert } from "@std/assert";
import { delay } from "@std/async";
import {
  decode,
  type Ended,
  readUntil,
  type SourceOptions,
  spawnSource,
  textReader,
} from "./_programs.ts";

const ROOT = new URL("..", import.meta.url);

/** Runs `ps`. */
export async function ps(...args: string[]): Promise<Ended> {
  return decode(await psCommand(args).output());
}

/** The command that runs `ps`. */
export function psCommand(args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "ps.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  });
}

/** A running program, which is killed when it is disposed of. */
export class LiveProgram implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  readonly #errors: ReadableStreamDefaultReader<string>;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#output = textReader(child.stdout);
    this.#errors = textReader(child.stderr);
  }

  /** Starts a program from its source, with everything from this module imported. */
  static async start(
    body: string,
    options?: SourceOptions,
  ): Promise<LiveProgram> {
    return new LiveProgram(await spawnSource(body, options));
  }

  get pid(): number {
    return this.#child.pid;
  }

  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Reads its standard output stream until a text has arrived. */
  until(text: string | RegExp): Promise<string> {
    return readUntil(this.#output, text);
  }

  /** Reads its standard error stream until a text has arrived. */
  untilError(text: string | RegExp): Promise<string> {
    return readUntil(this.#errors, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      assert(error instanceof TypeError); // it has ended
    }
    await this.#child.status;
    await Promise.all([this.#output.cancel(), this.#errors.cancel()]);
  }
}

/** Whether a port is free. */
export function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    assert(error instanceof Deno.errors.AddrInUse);
    return false;
  }
}

/** Waits until a port is free. */
export async function untilFree(port: number): Promise<void> {
  while (!isFree(port)) await delay(20);
}
