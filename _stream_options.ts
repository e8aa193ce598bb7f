/**
 * Checks the options of connections and servers, before anything is opened.
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

/** The options of a kind of connection or server. */
export interface OptionRules {
  /** The action that error messages name. */
  readonly action: string;
  readonly known: readonly string[];
  /** Options of Python's that Deno does not support here. */
  readonly unsupported: readonly string[];
}

const TLS_TIMEOUTS = ["sslHandshakeTimeout", "sslShutdownTimeout"];
/** Python's options for all kinds of sockets. */
const SOCKET_OPTIONS = ["sock", "family", "proto", "flags", "keepAlive"];

export const CONNECT: OptionRules = {
  action: "connect",
  known: ["limit", "tls", "happyEyeballsDelay", "signal", ...TLS_TIMEOUTS],
  unsupported: [...SOCKET_OPTIONS, "interleave", "localAddr"],
};
export const WRAP: OptionRules = {
  action: "create streams",
  known: ["conn", "limit"],
  unsupported: [],
};
export const CONNECT_UNIX: OptionRules = {
  action: "connect",
  known: ["limit", "signal"],
  unsupported: ["sock", "ssl", "tls", ...TLS_TIMEOUTS],
};
export const SERVE: OptionRules = {
  action: "start a server",
  known: [
    ...["limit", "backlog", "reusePort", "tls", "startServing", "signal"],
    ...TLS_TIMEOUTS,
  ],
  unsupported: [...SOCKET_OPTIONS, "reuseAddress"],
};
export const SERVE_UNIX: OptionRules = {
  action: "start a server",
  known: ["limit", "startServing", "cleanupSocket", "signal"],
  unsupported: ["sock", "backlog", "ssl", "tls", ...TLS_TIMEOUTS],
};

const TLS_OPTIONS = ["cert", "key", "keyFormat", "alpnProtocols"];
const CLIENT_TLS_OPTIONS = [
  ...TLS_OPTIONS,
  ...["hostname", "port", "caCerts", "unsafelyDisableHostnameVerification"],
];
/** Default timeouts of TLS, in seconds. */
const HANDSHAKE_TIMEOUT = 60;
const SHUTDOWN_TIMEOUT = 30;
/** The default limit of a reader, in bytes. */
export const DEFAULT_LIMIT = 65_536;
/** The system takes the backlog as a signed 32-bit integer. */
const MAX_BACKLOG = 2 ** 31 - 1;

/** Timeouts of TLS, in seconds. */
export interface ResolvedTlsTimeouts {
  handshake: number;
  shutdown: number;
}

/** Checks the names of all options, and all values but `limit`, `conn`, `tls` and the timeouts of TLS. */
export function checkStreamOptions(
  options: unknown,
  { action, known, unsupported }: OptionRules,
): void {
  checkBag(options, [...known, ...unsupported], action);
  const given = (options ?? {}) as Record<string, unknown>;
  const present = unsupported.filter((name) => name in given);
  checkOptions(options, [...known, ...present], action);
  for (const name of present) refuseUnsupported(given[name], name, action);
  checkSignal(given.signal, action);
  checkFlag(given.reusePort, action, "reusePort");
  checkFlag(given.startServing, action, "startServing");
  checkFlag(given.cleanupSocket, action, "cleanupSocket");
  if (known.includes("backlog")) checkBacklog(given.backlog, action);
  if (given.happyEyeballsDelay !== undefined) {
    toSeconds(given.happyEyeballsDelay as number, "happyEyeballsDelay");
  }
}

function refuseUnsupported(value: unknown, name: string, action: string): void {
  if (value === undefined || value === null) return;
  const hint = name === "sock"
    ? "; openConnection({ conn }) takes an existing connection"
    : "";
  throw new deno.errors.NotSupported(
    `Cannot ${action}: Deno does not support the option "${name}"${hint}`,
  );
}

function checkBacklog(backlog: unknown, action: string): void {
  if (backlog === undefined) return;
  checkCount(backlog, 0, action, "backlog");
  if (backlog <= MAX_BACKLOG) return;
  throw new RangeError(
    `Cannot ${action}: backlog must be at most ${MAX_BACKLOG}, got ${backlog}`,
  );
}

/** Checks the limit of a reader. */
export function checkLimit(
  limit: unknown = DEFAULT_LIMIT,
  action: string = "create a stream",
): void {
  const isNumber = typeof limit === "number";
  const isWhole = Number.isInteger(limit) || limit === Infinity;
  if (isNumber && isWhole && limit > 0) return;
  const Kind = isNumber ? RangeError : TypeError;
  throw new Kind(
    `Cannot ${action}: limit must be a whole number above 0, got ${
      describe(limit)
    }`,
  );
}

/** Checks the `tls` option of a client. */
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

/** Checks the `tls` option of a server, except for the certificate. */
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

/** Reads the TLS timeouts from options; they are refused without TLS. */
export function tlsTimeouts(
  options: TlsTimeouts,
  usesTls: boolean,
): ResolvedTlsTimeouts {
  return {
    handshake: readTimeout(options, "sslHandshakeTimeout", usesTls) ??
      HANDSHAKE_TIMEOUT,
    shutdown: readTimeout(options, "sslShutdownTimeout", usesTls) ??
      SHUTDOWN_TIMEOUT,
  };
}

function readTimeout(
  options: TlsTimeouts,
  name: keyof TlsTimeouts,
  usesTls: boolean,
): number | undefined {
  const given = options[name];
  if (given === undefined) return undefined;
  if (!usesTls) {
    throw new RangeError(`Invalid ${name}: it needs the option "tls"`);
  }
  const seconds = toSeconds(given, name);
  if (seconds > 0) return seconds;
  throw new RangeError(
    `Invalid ${name}: expected more than 0 seconds, got ${describe(given)}`,
  );
}
