/**
 * Listening on Unix sockets, and their socket files.
 *
 * @module
 */

import { formatUnixPath, isAbstract, rethrowWithAddress } from "./_address.ts";
import { awaitDeno } from "./_await_deno.ts";
import type { EventLoop } from "./_event_loop.ts";
import { closeQuietly, deno } from "./_deno.ts";
import type { Cancellable } from "./_options.ts";

/** Listens at a path. Replaces a stale socket file. */
export async function listenUnix(
  loop: EventLoop,
  path: string,
  options: Cancellable,
): Promise<Deno.Listener> {
  const rethrow = rethrowWithAddress("listen on", formatUnixPath(path));
  const listen = () => deno.listen({ transport: "unix", path });
  try {
    return listen();
  } catch (error) {
    if (!(error instanceof deno.errors.AddrInUse)) return rethrow(error);
    const checking = isStale(path);
    const stale = await awaitDeno(loop, checking, options, { dispose() {} });
    if (!stale) return rethrow(error);
  }
  try {
    deno.removeSync(path);
    return listen();
  } catch (error) {
    return rethrow(error);
  }
}

/** Whether a path is a socket that nobody listens on. */
async function isStale(path: string): Promise<boolean> {
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

/**
 * The socket file of a listener.
 *
 * Deno removes whatever is at the path when it closes the listener. A file
 * that is to stay, or that belongs to another program by now, is renamed while
 * the listener is being closed.
 */
export class SocketFile {
  readonly #path: string;
  readonly #isRemovedOnClose: boolean;
  readonly #created: Deno.FileInfo | null;
  /** The temporary name of the file, while the listener is being closed. */
  #movedTo: string | null = null;

  constructor(path: string, removed: boolean) {
    this.#path = path;
    this.#isRemovedOnClose = removed;
    this.#created = statOf(path);
  }

  close(listener: Deno.Listener): void {
    const present = statOf(this.#path);
    const own = present?.ino === this.#created?.ino &&
      present?.dev === this.#created?.dev;
    try {
      if (present !== null && !(own && this.#isRemovedOnClose)) {
        const aside = `${this.#path}.${crypto.randomUUID()}`;
        deno.renameSync(this.#path, aside);
        this.#movedTo = aside;
      }
    } finally {
      closeQuietly(listener);
    }
  }

  /** Renames the file back once the listener is closed. */
  restore(): void {
    if (this.#movedTo !== null) deno.renameSync(this.#movedTo, this.#path);
    this.#movedTo = null;
  }
}
