/** Helpers for tests that run programs in separate processes. */

import { assertEquals } from "@std/assert";

const ROOT = new URL("..", import.meta.url);

/** How a program has ended, and what it has written. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** How a program from its source is run. */
export interface SourceOptions {
  args?: string[];
  cwd?: URL;
  env?: Record<string, string>;
}

/** Starts a program from its source. */
export async function spawnSource(
  source: string,
  { args = [], cwd = ROOT, env = {} }: SourceOptions = {},
): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--ext=ts", ...args, "-"],
    cwd,
    env: { NO_COLOR: "1", ASYNCIO_DEBUG: "", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(source));
  await stdin.close();
  return child;
}

/** Runs a program from its source to its end. */
export async function runSource(
  source: string,
  options?: SourceOptions,
): Promise<Ended> {
  const child = await spawnSource(source, options);
  return decode(await child.output());
}

/** Runs a program that has to succeed and to write no error, and returns what it prints. */
export async function printed(
  source: string,
  options?: SourceOptions,
): Promise<string> {
  const { code, stdout, stderr } = await runSource(source, options);
  assertEquals([code, stderr], [0, ""], source);
  return stdout;
}

/** Runs a body in a separate process, and returns its output. */
export async function program(
  body: string,
  options: { debug?: boolean } = {},
  how?: SourceOptions,
): Promise<Ended> {
  const ended = await runSource(
    `
    import {
      createTask, currentTask, dumpTasks, getRunningLoop, printCallGraph, run, sleep,
    } from "@asyncio/asyncio";
    await run(async () => {${body}}, ${JSON.stringify(options)});
  `,
    how,
  );
  assertEquals(ended.code, 0, ended.stderr);
  return ended;
}

/** Starts a program from `stuck/`. */
export function spawnFile(
  file: string,
  { args = [], rest = [], env = {} }: {
    args?: string[];
    rest?: string[];
    env?: Record<string, string>;
  } = {},
): Deno.ChildProcess {
  const path = new URL(`stuck/${file}`, import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...args, path, ...rest],
    env: { NO_COLOR: "1", ASYNCIO_DEBUG: "", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** The output of a process as text. */
export function decode({ code, stdout, stderr }: Deno.CommandOutput): Ended {
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Reads the output of a process as text. */
export function textReader(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): ReadableStreamDefaultReader<string> {
  return stream.pipeThrough(new TextDecoderStream()).getReader();
}

/** Reads until a text has arrived, and returns everything read. */
export async function readUntil(
  reader: ReadableStreamDefaultReader<string>,
  what: string | RegExp,
): Promise<string> {
  let read = "";
  while (!(typeof what === "string" ? read.includes(what) : what.test(read))) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The output ended before ${what}: ${read}`);
    read += value;
  }
  return read;
}

/** Reads to the end. */
export async function readRest(
  reader: ReadableStreamDefaultReader<string>,
): Promise<string> {
  let read = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return read;
    read += value;
  }
}
