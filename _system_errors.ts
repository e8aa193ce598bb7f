/**
 * The kinds of errors that come from the operating system, as `exceptions.ts`
 * exports them, and what is known of the runtime's error classes and messages.
 * Worker threads have this part of the seam in their program.
 *
 * @module
 */

/**
 * The kind of every error that the operating system reports: a missing file,
 * a port in use, a refused connection, an unknown host name.
 *
 * Use it with `instanceof` or as a filter; it cannot be constructed. Deno
 * throws these errors as `Deno.errors.NotFound` and the like, or as a plain
 * `Error` if it has no class for them. A failed `fetch` is one if its cause is
 * one. A missing permission is not: Deno refuses the call itself.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#OSError}.
 *
 * @example
 * ```ts
 * import { OSError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * try {
 *   await Deno.readTextFile("/no/such/file");
 * } catch (error) {
 *   assert(error instanceof OSError && error.code === "ENOENT");
 * }
 * ```
 */
export abstract class OSError extends Error {
  /** The name of the error in the C library, such as `"ENOENT"`, if Deno provides it. */
  declare readonly code?: string;

  static readonly #kinds = [
    ...["AddrInUse", "AddrNotAvailable", "AlreadyExists", "BrokenPipe"],
    ...["Busy", "ConnectionAborted", "ConnectionRefused", "ConnectionReset"],
    ...["FilesystemLoop", "Interrupted", "IsADirectory", "NetworkUnreachable"],
    ...["NotADirectory", "NotConnected", "NotFound", "PermissionDenied"],
    ...["TimedOut", "UnexpectedEof", "WouldBlock"],
  ];

  /** Throws: the class is only there for `instanceof`. */
  constructor() {
    super();
    throw new TypeError(
      `Cannot create ${new.target.name}: it is a kind of error, to be used with instanceof`,
    );
  }

  /**
   * Whether a value is an error of this kind.
   *
   * @param value The value.
   * @returns Whether it is one.
   */
  static override [Symbol.hasInstance](value: unknown): value is OSError {
    return OSError.#guarded(
      value,
      (error) =>
        isOfKind(error, OSError.#kinds) ||
        OSError.#isReported(error) ||
        error instanceof TypeError && error.cause instanceof Error &&
          OSError.#isReported(error.cause),
    );
  }

  /** Whether Deno or its Node layer reports an error of the system. */
  static #isReported(error: Error): boolean {
    // The messages of Rust's standard library, on every platform.
    return /\(os error \d+\)|\bfailed to lookup address\b/.test(
      error.message,
    ) ||
      "syscall" in error && typeof error.syscall === "string";
  }

  static #guarded(
    value: unknown,
    test: (error: Error) => boolean,
  ): value is OSError {
    try {
      return value instanceof Error && test(value);
    } catch {
      return false; // a proxy, or a getter, that throws
    }
  }

  static {
    this.prototype.name = "OSError";
  }
}

/**
 * The kind of every error of a connection: refused, reset, aborted, not
 * connected, broken pipe, unexpected end. Use it with `instanceof`, as
 * {@linkcode OSError}.
 *
 * Stands for {@link https://docs.python.org/3/library/exceptions.html#ConnectionError}.
 *
 * @example
 * ```ts
 * import { ConnectionError, openConnection, OSError } from "@asyncio/asyncio";
 * import { assert } from "@std/assert";
 *
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const { port } = listener.addr;
 * listener.close();
 * try {
 *   await openConnection("127.0.0.1", port);
 * } catch (error) {
 *   assert(error instanceof ConnectionError && error instanceof OSError);
 * }
 * ```
 */
export abstract class ConnectionError extends OSError {
  static readonly #kinds = [
    ...["BrokenPipe", "ConnectionAborted", "ConnectionRefused"],
    ...["ConnectionReset", "NotConnected", "UnexpectedEof"],
  ];
  static readonly #codes = [
    ...["ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "ENOTCONN"],
    ...["EPIPE", "ESHUTDOWN"],
  ];
  /** The numbers of these codes, for the message of a failed `fetch`, which has nothing else. */
  static readonly #numbers: Readonly<Record<string, readonly number[]>> = {
    darwin: [32, 53, 54, 57, 58, 61],
    linux: [32, 103, 104, 107, 108, 111],
    windows: [109, 232, 10053, 10054, 10057, 10058, 10061],
  };

  /**
   * Whether a value is an error of this kind.
   *
   * @param value The value.
   * @returns Whether it is one.
   */
  static override [Symbol.hasInstance](
    value: unknown,
  ): value is ConnectionError {
    try {
      return value instanceof OSError && ConnectionError.#isOne(value);
    } catch {
      return false; // a getter that throws
    }
  }

  static #isOne(error: OSError): boolean {
    const { code, message, cause } = error;
    if (code !== undefined && ConnectionError.#codes.includes(code)) {
      return true;
    }
    if (isOfKind(error, ConnectionError.#kinds)) return true;
    const text = cause instanceof Error ? message + cause.message : message;
    const number = /\(os error (\d+)\)/.exec(text)?.[1];
    const numbers = ConnectionError.#numbers[systemName()] ?? [];
    return numbers.includes(Number(number));
  }

  static {
    this.prototype.name = "ConnectionError";
  }
}

/** Whether an error is an instance of one of Deno's classes; other runtimes only have their names. */
function isOfKind(error: Error, kinds: readonly string[]): boolean {
  const classes = errorsOfRuntime();
  return kinds.some((name) => {
    const known = classes[name];
    return known === undefined ? error.name === name : error instanceof known;
  });
}

type Classes = Record<string, ErrorConstructor>;

const here = globalThis as unknown as {
  Deno?: { readonly errors: Classes; readonly build: { readonly os: string } };
};

/** The classes of errors that the runtime has beside the global ones, by their names. */
export function errorsOfRuntime(): Classes {
  return here.Deno?.errors ?? {};
}

/** The system as Deno names it. Elsewhere nobody asks: errors have their codes. */
export function systemName(): string {
  return here.Deno?.build.os ?? "";
}
