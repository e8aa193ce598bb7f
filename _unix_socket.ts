/**
 * Listening Unix sockets, and what becomes of their files.
 *
 * @module
 */

import {
  addressed,
  closeQuietly,
  isAbstract,
  unixText,
} from "./_connection.ts";
import type { EventLoop } from "./_event_loop.ts";
import { deno } from "./_deno.ts";
import type { Cancellable } from "./_options.ts";
import { awaitHost } from "./_stream_writer.ts";

/** Listens at a path; a socket that a dead program left there is replaced. */
export async function listenUnix(
  loop: EventLoop,
  path: string,
  options: Cancellable,
): Promise<Deno.Listener> {
  const refuse = addressed("listen on", unixText(path));
  const listen = () => deno.listen({ transport: "unix", path });
  try {
    return listen();
  } catch (error) {
    if (!(error instanceof deno.errors.AddrInUse)) return refuse(error);
    const asking = isAbandoned(path);
    const abandoned = await awaitHost(loop, asking, options, { dispose() {} });
    if (!abandoned) return refuse(error);
  }
  try {
    deno.removeSync(path);
    return listen();
  } catch (error) {
    return refuse(error);
  }
}

/** Whether a path is a socket that nobody listens on any more. */
async function isAbandoned(path: string): Promise<boolean> {
  if (isAbstract(path) || !statOf(path)?.isSocket) return false;
  try {
    closeQuietly(await deno.connect({ transport: "unix", path }));
    return false;
  } catch (error) {
    return error instanceof deno.errors.ConnectionRefused;
  }
}

function statOf(path: string): Deno.FileInfo | null {
  try {
    return deno.lstatSync(path);
  } catch (error) {
    if (error instanceof deno.errors.NotFound) return null;
    throw error;
  }
}

/** The file of a Unix socket, which the host removes with the listener, whosever it is by then. */
export class SocketFile {
  readonly #path: string;
  readonly #removed: boolean;
  readonly #own: Deno.FileInfo | null;
  /** Where the file waits while the listener is closed. */
  #aside: string | null = null;

  constructor(path: string, removed: boolean) {
    this.#path = path;
    this.#removed = removed;
    this.#own = statOf(path);
  }

  close(listener: Deno.Listener): void {
    const present = statOf(this.#path);
    const own = present?.ino === this.#own?.ino &&
      present?.dev === this.#own?.dev;
    try {
      if (present !== null && !(own && this.#removed)) {
        const aside = `${this.#path}.${crypto.randomUUID()}`;
        deno.renameSync(this.#path, aside);
        this.#aside = aside;
      }
    } finally {
      closeQuietly(listener);
    }
  }

  /** The listener is closed. */
  closed(): void {
    if (this.#aside !== null) deno.renameSync(this.#aside, this.#path);
    this.#aside = null;
  }
}
