/**
 * Addresses of sockets: how they are checked, and how messages show them.
 *
 * @module
 */

import { node } from "./_host.ts";
import { describe, isInstance } from "./_validate.ts";

/** What follows an IPv4 address that a socket of both kinds reports. */
const MAPPED = "::ffff:";

/** The address of an IPv4 peer as such, also on a socket of both kinds. */
export function plainAddress(address: Deno.Addr): Deno.Addr {
  const { hostname } = address as Deno.NetAddr;
  return hostname?.startsWith(MAPPED) && hostname.includes(".")
    ? { ...address, hostname: hostname.slice(MAPPED.length) } as Deno.Addr
    : address;
}

export function addressText(to: { hostname: string; port: number }): string {
  const { hostname, port } = to;
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** Rethrows an error of the host, with what it was about in its message. */
export function addressed(
  action: string,
  address: string,
): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof Error)) throw error;
    const Same = error.constructor as ErrorConstructor;
    const told = new Same(`Cannot ${action} ${address}: ${error.message}`, {
      cause: error,
    });
    const { code } = error as { code?: unknown };
    throw code === undefined ? told : Object.assign(told, { code });
  };
}

/** Refuses what is no name of a host. */
export function checkHost(host: unknown): void {
  checkText(host, "host");
  if (host === "") throw new RangeError("Invalid host: it is empty");
}

export function checkText(value: unknown, what: string): void {
  if (typeof value === "string") return;
  throw new TypeError(
    `Invalid ${what}: expected a string, got ${describe(value)}`,
  );
}

/** The path of a Unix socket, also from a `file:` URL. */
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

/** Whether the path of a Unix socket is a name that has no file. */
export function isAbstract(path: string): boolean {
  return path.startsWith("\0");
}

/** The path of a Unix socket for people; abstract names as the system's tools show them. */
export function unixText(path: string): string {
  return isAbstract(path) ? path.replaceAll("\0", "@") : path;
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
