/**
 * What the watchdog's thread runs: it sees that the other thread is blocked,
 * and says so at once.
 *
 * As in `_thread_worker.ts`, the program is put together from the text of what
 * this side has loaded.
 *
 * @module
 */

import { InspectorSession } from "./_inspector.ts";

/** What the watchdog's thread is started with. */
export interface WatchOrder {
  /** How long a block may last, in milliseconds. */
  readonly limit: number;
  /** How often the heart beats, and how often that is looked at, in milliseconds. */
  readonly interval: number;
  /** The number of heartbeats, and the name of the task that runs, if it is noted there. */
  readonly memory: SharedArrayBuffer;
  /** The debugger of the thread that is watched, or why there is none. */
  readonly url: string | null;
  readonly whyNot: string;
  /** An expression for what blocks; see {@linkcode Blocking}. */
  readonly expression: string;
}

/** What blocks, as seen in the midst of it. */
export interface Blocking {
  readonly task: string | null;
  /** The frames outside of this module, innermost first. */
  readonly stack: readonly string[];
}

/** Watches the heartbeats of another thread. */
class BlockWatcher {
  /** How long a thread is given to tell its stack, in milliseconds. */
  static readonly PATIENCE = 1000;
  /** How many frames are shown. */
  static readonly DEPTH = 16;

  readonly #order: WatchOrder;
  readonly #connect: (url: string) => Promise<InspectorSession>;
  readonly #beats: Int32Array;
  #session: InspectorSession | null = null;
  #seen = 0;
  #seenAt = 0;
  #tickAt = 0;
  /** How long the block will have lasted when it is reported next. */
  #next: number;
  #isLooking = false;
  /** How long the block has lasted that was reported. */
  #reported = 0;
  /** The stack that the last report of this block has shown. */
  #shown = "";

  constructor(
    order: WatchOrder,
    connect: (url: string) => Promise<InspectorSession>,
  ) {
    this.#order = order;
    this.#connect = connect;
    this.#beats = new Int32Array(order.memory, 0, 2);
    this.#next = order.limit;
  }

  /** Looks for heartbeats; has to be called every `order.interval` milliseconds. */
  tick(now: number): void {
    const { limit, interval } = this.#order;
    const beats = Atomics.load(this.#beats, 0);
    // When the whole process stood still, nobody could beat.
    const hasSlept = now - this.#tickAt > limit / 2 + interval;
    this.#tickAt = now;
    if (beats !== this.#seen || hasSlept) {
      if (this.#reported > 0 && beats !== this.#seen) this.#end(now);
      this.#seen = beats;
      this.#seenAt = now;
      this.#next = limit;
      return;
    }
    const age = now - this.#seenAt;
    if (age < this.#next || this.#isLooking) return;
    this.#next = age * 2;
    this.#reported = age;
    this.#isLooking = true;
    this.#report(age).finally(() => this.#isLooking = false);
  }

  async #report(age: number): Promise<void> {
    const blocking = await this.#look().catch(() => null);
    const task = blocking === null ? this.#notedTask() : blocking.task;
    const by = task === null ? "" : ` by the task ${task}`;
    const head = `The event loop has been blocked for ${span(age)}${by}`;
    if (blocking !== null) {
      const frames = blocking.stack.slice(0, BlockWatcher.DEPTH);
      const stack = frames.flatMap(withSource).join("\n");
      const rows = stack.replace(/:\d+(?=\)?$)/gm, ""); // the columns vary in a loop
      const isSame = rows === this.#shown;
      this.#shown = rows;
      console.error(
        isSame ? `${head}, at the same place` : `${head}\n${stack}`,
      );
    } else if (this.#order.url !== null) {
      console.error(`${head}, which waits in a call of the system`);
    } else console.error(`${head} (no stack: ${this.#order.whyNot})`);
  }

  #end(now: number): void {
    const lasted = span(now - this.#seenAt);
    console.error(`The event loop goes on after a block of ${lasted}`);
    this.#reported = 0;
    this.#shown = "";
    this.#session?.close();
    this.#session = null;
  }

  /** Asks on top of the code that blocks; a call of the system gives no answer. */
  async #look(): Promise<Blocking | null> {
    const { url, expression } = this.#order;
    if (url === null) return null;
    // A session would keep the process from ending, so there is one for a block only.
    const session = this.#session ??= await this.#connect(url);
    let timer;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, BlockWatcher.PATIENCE, null);
    });
    try {
      const seen = session.evaluate(expression);
      return await Promise.race([seen, late]) as Blocking | null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The task that the other thread has noted, as it cannot be asked. */
  #notedTask(): string | null {
    const length = Atomics.load(this.#beats, 1);
    if (length === 0) return null;
    const bytes = new Uint8Array(this.#order.memory, 8, length);
    return new TextDecoder().decode(bytes.slice());
  }
}

/** Milliseconds as text. */
function span(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** A frame of a stack with the line of the file that it stands at, if that may be read. */
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

/** The beginning of the thread's program. */
function start(
  Session: typeof InspectorSession,
  Watcher: typeof BlockWatcher,
): void {
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent<WatchOrder>) => void;
    postMessage(value: unknown): void;
  };
  scope.onmessage = ({ data: order }) => {
    const watcher = new Watcher(order, Session.connect);
    setInterval(() => watcher.tick(performance.now()), order.interval);
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

/** A bundler gives a class an inner name of its own, with an underscore before it. */
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
