/**
 * Checks of what connections and servers are given. They run before anything
 * is opened.
 *
 * @module
 */

import { deno } from "./_deno.ts";
import { toSeconds } from "./_duration.ts";
import type { TlsTimeouts } from "./_options.ts";
import {
  checkBag,
  checkCount,
  checkFlag,
  checkOptions,
  checkSignal,
  checkString,
  checkStrings,
  describe,
} from "./_validate.ts";

/** What a kind of connection or server is given. */
export interface Settings {
  /** What the errors say was not done. */
  readonly action: string;
  readonly known: readonly string[];
  /** Options of Python's that Deno has no means for here. */
  readonly impossible: readonly string[];
}

const TLS_TIMEOUTS = ["sslHandshakeTimeout", "sslShutdownTimeout"];
/** What Python takes for sockets of whatever kind. */
const NOT_OF_SOCKETS = ["sock", "family", "proto", "flags", "keepAlive"];

export const CONNECT: Settings = {
  action: "connect",
  known: ["limit", "tls", "happyEyeballsDelay", "signal", ...TLS_TIMEOUTS],
  impossible: [...NOT_OF_SOCKETS, "interleave", "localAddr"],
};
export const WRAP: Settings = {
  action: "make streams",
  known: ["conn", "limit"],
  impossible: [],
};
export const CONNECT_UNIX: Settings = {
  action: "connect",
  known: ["limit", "signal"],
  impossible: ["sock", "ssl", "tls", ...TLS_TIMEOUTS],
};
export const SERVE: Settings = {
  action: "start a server",
  known: [
    ...["limit", "backlog", "reusePort", "tls", "startServing", "signal"],
    ...TLS_TIMEOUTS,
  ],
  impossible: [...NOT_OF_SOCKETS, "reuseAddress"],
};
export const SERVE_UNIX: Settings = {
  action: "start a server",
  known: ["limit", "startServing", "cleanupSocket", "signal"],
  impossible: ["sock", "backlog", "ssl", "tls", ...TLS_TIMEOUTS],
};

const TLS_OPTIONS = ["cert", "key", "keyFormat", "alpnProtocols"];
const CLIENT_TLS_OPTIONS = [
  ...TLS_OPTIONS,
  ...["hostname", "port", "caCerts", "unsafelyDisableHostnameVerification"],
];
/** Seconds that a TLS handshake may take, and the end of a TLS connection. */
const HANDSHAKE_TIMEOUT = 60;
const SHUTDOWN_TIMEOUT = 30;
/** The system counts the connections that may wait in 31 bits. */
const LONGEST_BACKLOG = 2 ** 31 - 1;

/** How long TLS may take, in seconds. */
export interface TlsLimits {
  handshake: number;
  shutdown: number;
}

/** Checks the options themselves, and each but `limit`, `conn` and the timeouts of TLS. */
export function checkStreamOptions(
  options: unknown,
  { action, known, impossible }: Settings,
): void {
  checkBag(options, [...known, ...impossible], action);
  const given = (options ?? {}) as Record<string, unknown>;
  const present = impossible.filter((name) => name in given);
  checkOptions(options, [...known, ...present], action);
  for (const name of present) refuseImpossible(given[name], name, action);
  checkSignal(given.signal, action);
  checkFlag(given.reusePort, action, "reusePort");
  checkFlag(given.startServing, action, "startServing");
  checkFlag(given.cleanupSocket, action, "cleanupSocket");
  if (known.includes("backlog")) checkBacklog(given.backlog, action);
  if (given.happyEyeballsDelay !== undefined) {
    toSeconds(given.happyEyeballsDelay as number, "happyEyeballsDelay");
  }
}

function refuseImpossible(value: unknown, name: string, action: string): void {
  if (value === undefined || value === null) return;
  const hint = name === "sock"
    ? "; openConnection({ conn }) takes a connection that is there already"
    : "";
  throw new deno.errors.NotSupported(
    `Cannot ${action}: Deno cannot do what the option "${name}" asks for${hint}`,
  );
}

function checkBacklog(backlog: unknown, action: string): void {
  if (backlog === undefined) return;
  checkCount(backlog, 0, action, "backlog");
  if (backlog <= LONGEST_BACKLOG) return;
  throw new RangeError(
    `Cannot ${action}: backlog must be at most ${LONGEST_BACKLOG}, got ${backlog}`,
  );
}

/** Checks the `tls` of a client. */
export function checkClientTls(tls: unknown): void {
  if (tls === undefined || typeof tls === "boolean") return;
  const action = "use TLS";
  checkTls(tls, CLIENT_TLS_OPTIONS, action);
  const given = tls as Record<string, unknown>;
  checkString(given.hostname, action, "hostname");
  checkString(given.cert, action, "cert");
  checkString(given.key, action, "key");
  checkStrings(given.caCerts, action, "caCerts");
  const name = "unsafelyDisableHostnameVerification";
  checkFlag(given[name], action, name);
}

/** Checks the `tls` of a server; its certificate is checked where it is used. */
export function checkServerTls(tls: unknown): void {
  if (tls !== undefined) checkTls(tls, TLS_OPTIONS, "use TLS");
}

function checkTls(
  tls: unknown,
  known: readonly string[],
  action: string,
): void {
  if (typeof tls !== "object" || tls === null) {
    throw new TypeError(
      `Cannot ${action}: tls must be an object such as { cert, key }, got ${
        describe(tls)
      }`,
    );
  }
  checkOptions(tls, known, action);
  const given = tls as Record<string, unknown>;
  checkString(given.keyFormat, action, "keyFormat");
  checkStrings(given.alpnProtocols, action, "alpnProtocols");
}

/** How long TLS may take, of options that were given. */
export function tlsTimeouts(options: TlsTimeouts, used: boolean): TlsLimits {
  return {
    handshake: timeoutOf(options, "sslHandshakeTimeout", used) ??
      HANDSHAKE_TIMEOUT,
    shutdown: timeoutOf(options, "sslShutdownTimeout", used) ??
      SHUTDOWN_TIMEOUT,
  };
}

function timeoutOf(
  options: TlsTimeouts,
  name: keyof TlsTimeouts,
  used: boolean,
): number | undefined {
  const given = options[name];
  if (given === undefined) return undefined;
  if (!used) {
    throw new RangeError(`Invalid ${name}: it needs the option "tls"`);
  }
  const seconds = toSeconds(given, name);
  if (seconds > 0) return seconds;
  throw new RangeError(
    `Invalid ${name}: expected more than 0 seconds, got ${describe(given)}`,
  );
}
