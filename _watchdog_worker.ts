/**
 * The program of the watchdog's thread, which reports at once that the watched
 * thread is blocked.
 *
 * The program consists of the source text of the functions below.
 *
 * @module
 */

import { InspectorSession } from "./_inspector.ts";

/** What the watchdog's thread receives at its start. */
export interface WatchdogOptions {
  /** How long a block may last, in milliseconds. */
  readonly limit: number;
  /** The interval of the heartbeat and of the checks for it, in milliseconds. */
  readonly interval: number;
  /** The number of heartbeats, and the name of the running task if it is recorded. */
  readonly memory: SharedArrayBuffer;
  /** The URL of the debugger of the watched thread, or why there is none. */
  readonly url: string | null;
  readonly debuggerError: string;
  /** An expression that evaluates to the {@linkcode Block}. */
  readonly expression: string;
}

/** What blocks a thread. */
export interface Block {
  readonly task: string | null;
  /** The frames outside of this module, innermost first. */
  readonly stack: readonly string[];
}

/** Watches the heartbeat of another thread. */
class BlockWatcher {
  /** How long a thread may take to answer with its stack, in milliseconds. */
  static readonly ANSWER_TIMEOUT = 1000;
  /** How many frames are shown. */
  static readonly MOST_FRAMES = 16;

  readonly #options: WatchdogOptions;
  readonly #connect: (url: string) => Promise<InspectorSession>;
  readonly #heartbeats: Int32Array;
  #session: InspectorSession | null = null;
  #lastCount = 0;
  #lastBeatAt = 0;
  #lastTickAt = 0;
  /** The duration of the block at which it is reported next, in milliseconds. */
  #nextReportAfter: number;
  #isInspecting = false;
  /** The duration in the last report of the current block; 0 if there was none. */
  #reportedDuration = 0;
  /** The stack in the last report of this block. */
  #lastStack = "";

  constructor(
    options: WatchdogOptions,
    connect: (url: string) => Promise<InspectorSession>,
  ) {
    this.#options = options;
    this.#connect = connect;
    this.#heartbeats = new Int32Array(options.memory, 0, 2);
    this.#nextReportAfter = options.limit;
  }

  /** Checks the heartbeat. Must be called every `options.interval` milliseconds. */
  tick(now: number): void {
    const { limit, interval } = this.#options;
    const beats = Atomics.load(this.#heartbeats, 0);
    // If the whole process was suspended, a missing heartbeat means nothing.
    const hasSlept = now - this.#lastTickAt > limit / 2 + interval;
    this.#lastTickAt = now;
    if (beats !== this.#lastCount || hasSlept) {
      if (this.#reportedDuration > 0 && beats !== this.#lastCount) {
        this.#end(now);
      }
      this.#lastCount = beats;
      this.#lastBeatAt = now;
      this.#nextReportAfter = limit;
      return;
    }
    const age = now - this.#lastBeatAt;
    if (age < this.#nextReportAfter || this.#isInspecting) return;
    this.#nextReportAfter = age * 2;
    this.#reportedDuration = age;
    this.#isInspecting = true;
    this.#report(age).finally(() => this.#isInspecting = false);
  }

  async #report(age: number): Promise<void> {
    const blocking = await this.#inspect().catch(() => null);
    const task = blocking === null ? this.#recordedTask() : blocking.task;
    const by = task === null ? "" : ` by the task ${task}`;
    const head = `The event loop has been blocked for ${span(age)}${by}`;
    if (blocking !== null) {
      const frames = blocking.stack.slice(0, BlockWatcher.MOST_FRAMES);
      const stack = frames.flatMap(withSource).join("\n");
      const rows = stack.replace(/:\d+(?=\)?$)/gm, ""); // the columns vary in a loop
      const isSame = rows === this.#lastStack;
      this.#lastStack = rows;
      console.error(
        isSame ? `${head}, at the same place` : `${head}\n${stack}`,
      );
    } else if (this.#options.url !== null) {
      console.error(`${head}, which waits in a call of the system`);
    } else console.error(`${head} (no stack: ${this.#options.debuggerError})`);
  }

  #end(now: number): void {
    const lasted = span(now - this.#lastBeatAt);
    console.error(`The event loop runs again after a block of ${lasted}`);
    this.#reportedDuration = 0;
    this.#lastStack = "";
    this.#session?.close();
    this.#session = null;
  }

  /** Asks the debugger what blocks; `null` if a system call does. */
  async #inspect(): Promise<Block | null> {
    const { url, expression } = this.#options;
    if (url === null) return null;
    // A session keeps the process alive, so it is open only during a block.
    const session = this.#session ??= await this.#connect(url);
    let timer;
    const timeout = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, BlockWatcher.ANSWER_TIMEOUT, null);
    });
    try {
      const answer = session.evaluate(expression);
      return await Promise.race([answer, timeout]) as Block | null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The running task as recorded in shared memory. */
  #recordedTask(): string | null {
    const length = Atomics.load(this.#heartbeats, 1);
    if (length === 0) return null;
    const bytes = new Uint8Array(this.#options.memory, 8, length);
    return new TextDecoder().decode(bytes.slice());
  }
}

/** Milliseconds as text. */
function span(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** A frame of a stack and the line of source code that it refers to, if the file may be read. */
function withSource(frame: string): string[] {
  const shown = `    at ${frame}`;
  const [, file, line] = /(file:\/\/\S+?):(\d+):\d+\)?$/.exec(frame) ?? [];
  if (file === undefined) return [shown];
  try {
    const path = new URL(file);
    const { state } = Deno.permissions.querySync({ name: "read", path });
    if (state !== "granted") return [shown];
    const text = Deno.readTextFileSync(path).split("\n")[Number(line) - 1];
    return text!.trim() === "" ? [shown] : [shown, `       > ${text!.trim()}`];
  } catch {
    return [shown];
  }
}

/** The entry point of the thread's program. */
function start(
  Session: typeof InspectorSession,
  Watcher: typeof BlockWatcher,
): void {
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent<WatchdogOptions>) => void;
    postMessage(value: unknown): void;
  };
  scope.onmessage = ({ data: options }) => {
    const watcher = new Watcher(options, Session.connect);
    setInterval(() => watcher.tick(performance.now()), options.interval);
    scope.postMessage("ready");
  };
}

let url: URL | undefined;

/** The program of the watchdog's thread. */
export function watchdogUrl(): URL {
  return url ??= new URL(
    `data:text/javascript,${encodeURIComponent(source())}`,
  );
}

/** The name of a class or function. Bundlers prepend an underscore to the inner names of classes. */
function nameOf(part: { readonly name: string }): string {
  return part.name.replace(/^_/, "");
}

function source(): string {
  const parts = [InspectorSession, BlockWatcher, span, withSource];
  return [
    ...parts.map((part) => `var ${nameOf(part)} = ${part};`),
    `(${start})(${nameOf(InspectorSession)}, ${nameOf(BlockWatcher)});`,
  ].join("\n");
}
