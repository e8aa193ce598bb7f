/**
 * Counts the words of all text files in a folder, many files at once:
 *
 *     deno task tour [folder]
 *
 * A walk through the folder feeds a queue, workers take the files out of it,
 * and Ctrl-C ends the whole with what has been counted by then. Afterwards
 * threads hash the largest files, a TCP service answers how often a word
 * occurs, and a child process tells what has run all this.
 */

import {
  createSubprocessExec,
  currentTask,
  gather,
  KeyboardInterrupt,
  openConnection,
  PIPE,
  Queue,
  run,
  Semaphore,
  sleep,
  startServer,
  type StreamReader,
  type StreamWriter,
  TaskGroup,
  timeout,
  TimeoutError,
  toThread,
} from "@asyncio/asyncio";

/** Files that may wait for a worker before the walk has to. */
const QUEUE_SIZE = 256;
const WORKERS = 16;
/** Files that are read at the same time; the other workers count. */
const OPEN_FILES = 8;
const SECONDS_PER_FILE = 10;
/** A file with a zero byte among its first ones is no text. */
const BYTES_TO_PROBE = 8000;
const FREQUENT_WORDS = 10;
const HASHED_FILES = 4;
const NO_TEXT = "it is no text";

/** What was counted in files of one kind, or in all of them. */
interface Count {
  files: number;
  lines: number;
  words: number;
}

/** What has been found so far. */
class Tally {
  /** Files that the walk came by. */
  found = 0;
  readonly total: Count = { files: 0, lines: 0, words: 0 };
  readonly kinds = new Map<string, Count>();
  readonly frequency = new Map<string, number>();
  /** Characters in each text file. */
  readonly sizes = new Map<string, number>();
  /** Files that are no text, and files and folders that could not be read, with the reason. */
  readonly skipped: { path: string; reason: string }[] = [];

  add(path: string, text: string): void {
    this.sizes.set(path, text.length);
    const words = text.toLowerCase().match(/\p{L}[\p{L}\p{M}\p{N}'’]*/gu) ?? [];
    for (const word of words) {
      this.frequency.set(word, (this.frequency.get(word) ?? 0) + 1);
    }
    const lines = text.split("\n").length - (/(^|\n)$/.test(text) ? 1 : 0);
    for (const count of [this.total, this.#kind(extensionOf(path))]) {
      count.files++;
      count.lines += lines;
      count.words += words.length;
    }
  }

  skip(path: string, reason: string): void {
    this.skipped.push({ path, reason });
  }

  #kind(name: string): Count {
    let count = this.kinds.get(name);
    if (count === undefined) {
      this.kinds.set(name, count = { files: 0, lines: 0, words: 0 });
    }
    return count;
  }
}

/** Counts the words of a folder, with progress shown on a terminal. */
async function countWords(folder: string, tally: Tally): Promise<void> {
  console.log(`Counting words in ${folder}`);
  await TaskGroup.run(async (group) => {
    const progress = Deno.stdout.isTerminal()
      ? group.createTask(() => showProgress(tally))
      : null;
    await readAll(folder, tally);
    progress?.cancel();
  });
}

/** One task walks, and others read what it finds; if one fails, all of them end. */
async function readAll(folder: string, tally: Tally): Promise<void> {
  const queue = new Queue<string>(QUEUE_SIZE);
  const openFiles = new Semaphore(OPEN_FILES);
  await TaskGroup.run((group) => {
    group.createTask(async () => {
      for await (const path of walk(folder, tally)) {
        tally.found++;
        await queue.put(path);
      }
      queue.shutdown();
    });
    for (let i = 0; i < WORKERS; i++) {
      group.createTask(() => work(queue, openFiles, tally));
    }
  });
}

/** Gives every file below a folder, but nothing hidden and nothing behind a link. */
async function* walk(folder: string, tally: Tally): AsyncGenerator<string> {
  const folders = [folder];
  for (let next; (next = folders.pop()) !== undefined;) {
    try {
      for await (const { name, isFile, isDirectory } of Deno.readDir(next)) {
        if (name.startsWith(".") || name === "node_modules") continue;
        if (isDirectory) folders.push(`${next}/${name}`);
        if (isFile) yield `${next}/${name}`;
      }
    } catch (error) {
      tally.skip(next, reasonToSkip(error));
    }
  }
}

/** Reads and counts one file after another, until the queue is shut down. */
async function work(
  queue: Queue<string>,
  openFiles: Semaphore,
  tally: Tally,
): Promise<void> {
  for await (const path of queue) {
    try {
      const text = await readText(path, openFiles);
      if (text === null) tally.skip(path, NO_TEXT);
      else tally.add(path, text);
    } catch (error) {
      tally.skip(path, reasonToSkip(error));
    }
  }
}

/** The text of a file, `null` if it is none. */
async function readText(
  path: string,
  openFiles: Semaphore,
): Promise<string | null> {
  using _ = await openFiles.acquire();
  const bytes = await timeout(
    SECONDS_PER_FILE,
    () => Deno.readFile(path, { signal: currentTask()!.signal }),
  );
  const probe = bytes.subarray(0, BYTES_TO_PROBE);
  return probe.includes(0) ? null : new TextDecoder().decode(bytes);
}

/** Why a file or a folder is left out; throws on what is no reason for that, a cancellation above all. */
function reasonToSkip(error: unknown): string {
  if (error instanceof TimeoutError) {
    return `it took more than ${SECONDS_PER_FILE} s to read`;
  }
  if (error instanceof Deno.errors.NotFound) return "it is gone";
  if (
    error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable
  ) return "it may not be read";
  throw error;
}

/** Rewrites one line of the terminal, until it is cancelled. */
async function showProgress(tally: Tally): Promise<never> {
  const write = (text: string) =>
    Deno.stdout.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  try {
    for (;;) {
      const { files, words } = tally.total;
      write(`${files} of ${tally.found} files, ${words} words`);
      await sleep({ milliseconds: 100 });
    }
  } finally {
    write("");
  }
}

/** Makes threads hash the largest files while this thread continues. */
async function hashLargest(tally: Tally): Promise<void> {
  const largest = [...tally.sizes]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, HASHED_FILES);
  const hashes = await gather(
    largest.map(([path]) => async () =>
      await toThread(sha256, await Deno.readFile(path))
    ),
  );
  console.log(`\nSHA-256 of the largest files, by threads`);
  largest.forEach(([path], i) => console.log(`${hashes[i]}  ${path}`));
}

/** Runs in a thread, so it can use nothing but its argument and what is global. */
async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(digest).toHex();
}

/** Serves the frequencies over TCP, and asks the service for the first words. */
async function askService(tally: Tally, words: string[]): Promise<void> {
  const answer = async (reader: StreamReader, writer: StreamWriter) => {
    const decoder = new TextDecoder();
    for await (const line of reader) {
      const word = decoder.decode(line).trim();
      writer.write(`${word} occurs ${tally.frequency.get(word) ?? 0} times\n`);
      await writer.drain();
    }
  };
  await using server = await startServer(answer, "127.0.0.1", 0);
  const { hostname, port } = server.sockets[0].addr as Deno.NetAddr;
  console.log(`\nA service on ${hostname} says`);
  const [reader, writer] = await openConnection(hostname, port);
  await using _ = writer;
  for (const word of words) {
    writer.write(`${word}\n`);
    console.log(new TextDecoder().decode(await reader.readline()).trim());
  }
}

/** Asks a child process for the version of Deno. */
async function askChild(): Promise<void> {
  await using child = await createSubprocessExec(
    Deno.execPath(),
    ["--version"],
    { stdout: PIPE },
  );
  const [output] = await child.communicate();
  console.log(
    `\nCounted by ${new TextDecoder().decode(output!).split(" (")[0]}`,
  );
}

/** The words that occur most often, with their numbers. */
function mostFrequent(tally: Tally): [string, number][] {
  return [...tally.frequency]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, FREQUENT_WORDS);
}

/** Prints what was counted. */
function report(tally: Tally): void {
  const kinds = [...tally.kinds].sort(([a, m], [b, n]) =>
    n.words - m.words || (a < b ? -1 : 1)
  );
  const rows = [...kinds, ["total", tally.total] as const].map(
    ([name, { files, lines, words }]) => [name, files, lines, words],
  );
  printTable([["kind", "files", "lines", "words"], ...rows]);
  const frequent = mostFrequent(tally);
  if (frequent.length > 0) {
    console.log("\nMost frequent words");
    printTable(frequent);
  }
  const unread = tally.skipped.filter(({ reason }) => reason !== NO_TEXT);
  const others = tally.skipped.length - unread.length;
  if (others > 0) console.log(`\nFiles that are no text: ${others}`);
  for (const { path, reason } of unread) {
    console.error(`Left out ${path}: ${reason}`);
  }
}

/** Prints rows with their first column to the left and all others to the right. */
function printTable(rows: (string | number)[][]): void {
  const cells = rows.map((row) => row.map(String));
  const widths = cells[0].map((_, column) =>
    Math.max(...cells.map((row) => row[column].length))
  );
  for (const [first, ...rest] of cells) {
    const padded = rest.map((cell, i) => cell.padStart(widths[i + 1]));
    console.log([first.padEnd(widths[0]), ...padded].join("  "));
  }
}

function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(dot) : name;
}

/** The folder to count, or a message that says why it cannot be. */
async function findFolder(
  name: string | undefined,
): Promise<{ path: string } | { problem: string }> {
  try {
    const path = await Deno.realPath(name ?? new URL("..", import.meta.url));
    const { isDirectory } = await Deno.stat(path);
    return isDirectory ? { path } : { problem: `${name} is not a folder` };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { problem: `There is no folder ${name}` };
  }
}

/** Runs the program; returns its exit status. */
async function main(name: string | undefined): Promise<number> {
  const folder = await findFolder(name);
  if ("problem" in folder) {
    console.error(folder.problem);
    return 1;
  }
  const tally = new Tally();
  try {
    await run(async () => {
      await countWords(folder.path, tally);
      report(tally);
      await hashLargest(tally);
      const words = mostFrequent(tally).map(([word]) => word);
      await askService(tally, words.slice(0, 3));
      await askChild();
    });
    return 0;
  } catch (error) {
    if (!(error instanceof KeyboardInterrupt)) throw error;
    const { files } = tally.total;
    console.error(
      `Interrupted: ${files} files are counted, ${tally.found} were found`,
    );
    report(tally);
    return 130;
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args[0]);
