/** Helpers for tests that run programs in separate processes. */

import { assertEquals } from "@std/assert";

const ROOT = new URL("..", import.meta.url);

/** Runs a body in a separate process, and returns its output. */
export async function program(
  body: string,
  options: { debug?: boolean } = {},
  { args = [], env = {} }: { args?: string[]; env?: Record<string, string> } =
    {},
): Promise<{ stdout: string; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--ext=ts", ...args, "-"],
    cwd: ROOT,
    env: { NO_COLOR: "1", ASYNCIO_DEBUG: "", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(`
    import {
      createTask, currentTask, dumpTasks, getRunningLoop, printCallGraph, run, sleep,
    } from "@asyncio/asyncio";
    await run(async () => {${body}}, ${JSON.stringify(options)});
  `));
  await stdin.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  const texts = {
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
  assertEquals(code, 0, texts.stderr);
  return texts;
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

/** Runs a program from its source, with all permissions. */
export async function runSource(
  source: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-check", "--ext=ts", "-"],
    cwd: ROOT,
    env: { NO_COLOR: "1", ASYNCIO_DEBUG: "" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(source));
  await stdin.close();
  const { code, stdout, stderr } = await child.output();
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
