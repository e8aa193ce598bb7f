/**
 * Addresses of sockets: checking them, and showing them in messages.
 *
 * @module
 */

import { node } from "./_host.ts";
import { describe, isInstance } from "./_validate.ts";

/** How a dual-stack socket reports an IPv4 address. */
const MAPPED_PREFIX = "::ffff:";

/** Turns an IPv4-mapped IPv6 address into the IPv4 address. */
export function unmapAddress(address: Deno.Addr): Deno.Addr {
  const { hostname } = address as Deno.NetAddr;
  return hostname?.startsWith(MAPPED_PREFIX) && hostname.includes(".")
    ? {
      ...address,
      hostname: hostname.slice(MAPPED_PREFIX.length),
    } as Deno.Addr
    : address;
}

export function formatAddress(to: { hostname: string; port: number }): string {
  const { hostname, port } = to;
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** Returns a function that rethrows an error with the address in its message. */
export function rethrowWithAddress(
  action: string,
  address: string,
): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof Error)) throw error;
    const ErrorClass = error.constructor as ErrorConstructor;
    const text = `Cannot ${action} ${address}: ${error.message}`;
    const annotated = new ErrorClass(text);
    const { code } = error as { code?: unknown };
    throw code === undefined ? annotated : Object.assign(annotated, { code });
  };
}

export function checkHost(host: unknown): void {
  checkString(host, "host");
  if (host === "") throw new RangeError("Invalid host: it is empty");
}

export function checkString(value: unknown, what: string): void {
  if (typeof value === "string") return;
  throw new TypeError(
    `Invalid ${what}: expected a string, got ${describe(value)}`,
  );
}

export function checkPort(port: unknown): asserts port is number {
  if (
    Number.isInteger(port) && port as number >= 0 && port as number <= 65535
  ) {
    return;
  }
  throw new RangeError(
    `Invalid port: expected a whole number from 0 to 65535, got ${
      describe(port)
    }`,
  );
}

/** Converts a path or `file:` URL of a Unix socket to a path. */
export function toPath(path: unknown): string {
  if (isInstance(path, URL)) {
    if (path.protocol === "file:") return node("url").fileURLToPath(path);
    throw new TypeError(`Invalid path: expected a file URL, got ${path.href}`);
  }
  if (typeof path === "string") return path;
  throw new TypeError(
    `Invalid path: expected a string or a URL, got ${describe(path)}`,
  );
}

/** Whether a Unix socket path names an abstract socket, which has no file. */
export function isAbstract(path: string): boolean {
  return path.startsWith("\0");
}

/** Formats a Unix socket path; abstract names are shown with `@`, as `ss` does. */
export function formatUnixPath(path: string): string {
  return isAbstract(path) ? path.replaceAll("\0", "@") : path;
}
