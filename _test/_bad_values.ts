/**
 * Invalid arguments of every kind, for tables of calls that must reject them.
 * {@linkcode assertRefuses} checks a row of such a table.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { allTasks, getEventLoop, run } from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";

/** Any value: the tables contain values that the types do not allow. */
// deno-lint-ignore no-explicit-any
export type Any = any;

/** A call with one invalid argument or option. */
export interface Row {
  /** The call and the argument that is tested. */
  name: string;
  /** Creates the object of the call, a new one for each value. */
  make(): Call | Promise<Call>;
  /** The names of the valid values. */
  accepts: readonly string[];
  /** Whether it returns a native promise, and so never throws. */
  isAsync?: boolean;
}

/** A prepared call. */
export interface Call {
  call(value: unknown): unknown;
  /** The state that a rejected call must not change. */
  state?(): string;
  /** Disposes of the object of the call. */
  end?(): unknown;
}

/** The values by name, new ones each time. */
export function badValues(): Record<string, unknown> {
  const rejected = Promise.reject(new Error("user code failed"));
  rejected.catch(() => {});
  const revocable = Proxy.revocable({}, {});
  revocable.revoke();
  return {
    "null": null,
    "undefined": undefined,
    "NaN": NaN,
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "Infinity": Infinity,
    "-Infinity": -Infinity,
    "2**53": 2 ** 53,
    '""': "",
    '"x"': "x",
    '"5"': "5",
    "true": true,
    "1n": 1n,
    "symbol": Symbol("s"),
    "{}": {},
    "[]": [],
    "[1]": [1],
    "null prototype": Object.create(null),
    "Date": new Date(0),
    "Uint8Array": new Uint8Array(1),
    "Map": new Map(),
    "controller": new AbortController(),
    "promise": Promise.resolve(1),
    "rejected": rejected,
    "class": class Foo {},
    "arrow fn": () => {},
    "async fn": async () => {},
    "throwing fn": () => throwUserError(),
    "bad toString": { toString: throwUserError },
    "bad then": {
      get then() {
        return throwUserError();
      },
    },
    "proxy that throws": throwingProxy({}),
    "callable proxy that throws": throwingProxy(() => {}),
    "revoked proxy": revocable.proxy,
  };
}

/** The numbers among the values. */
export const NUMBERS = [
  ...["NaN", "-1", "0", "1.5", "Infinity", "-Infinity", "2**53"],
];
/** The numbers that are valid amounts and durations. */
export const REAL_NUMBERS = NUMBERS.filter((name) => name !== "NaN");
/** The strings among the values. */
export const STRINGS = ['""', '"x"', '"5"'];
/** Limits that are at least 1. */
export const LIMITS = ["Infinity", "2**53"];
/** The flags among the values. */
export const FLAGS = ["true"];
/** All of the values. */
export const ANYTHING = Object.keys(badValues());
/** The valid values of `signal` among these: only `undefined`. */
export const SIGNAL = { signal: [] };
/** The functions among the values. */
export const FUNCTIONS = [
  ...["arrow fn", "async fn", "throwing fn", "callable proxy that throws"],
];
/** The values that are valid empty options bags. */
export const EMPTY = ["undefined", "{}", "null prototype"];
/** The values that `String()` accepts. */
export const STRINGABLE = ANYTHING.filter((name) =>
  ![
    ...["null prototype", "bad toString", "proxy that throws"],
    ...["callable proxy that throws", "revoked proxy"],
  ].includes(name)
);

/** A call without state. */
export function plain(call: (value: Any) => unknown): () => Call {
  return () => ({ call });
}

/** A method call on a new object, whose console line must not change. */
export function on<T extends object>(
  make: () => T,
  call: (it: T, value: Any) => unknown,
  end?: (it: T) => unknown,
): () => Call {
  return () => {
    const it = make();
    return {
      call: (value) => call(it, value),
      state: () => inspect(it),
      end: () => end?.(it),
    };
  };
}

/**
 * Asserts that a call rejects each invalid value with a message of this module
 * and without side effects, and accepts the valid ones.
 */
export async function assertRefuses(row: Row): Promise<void> {
  const values = badValues();
  assertEquals(row.accepts.filter((name) => !(name in values)), [], row.name);
  for (const [name, value] of Object.entries(values)) {
    const isRight = row.accepts.includes(name);
    if (isRight) await run(() => assertAccepted(row, name, value));
    else await assertRefused(row, name, value);
  }
}

/** Rows for an options bag: the bag itself, and each option with its valid values. */
export function optionRows(
  name: string,
  make: Row["make"],
  options: Record<string, readonly string[]>,
  isAsync = false,
): Row[] {
  return [
    { name: `${name} options`, make, accepts: EMPTY, isAsync },
    {
      name: `${name} { misspelt }`,
      make: async () => inOption(await make(), "misspelt"),
      accepts: [],
      isAsync,
    },
    ...Object.entries(options).map(([option, accepts]) => ({
      name: `${name} { ${option} }`,
      make: async () => inOption(await make(), option),
      accepts: ["undefined", ...accepts],
      isAsync,
    })),
  ];
}

/** Rows for an argument that is an options bag or one of the named values. */
export function alsoTaking(
  names: readonly string[],
  [bag, ...options]: Row[],
): Row[] {
  return [{ ...bag!, accepts: [...bag!.accepts, ...names] }, ...options];
}

function inOption({ call, ...rest }: Call, option: string): Call {
  return { call: (value) => call({ [option]: value }), ...rest };
}

async function assertAccepted(
  row: Row,
  name: string,
  value: unknown,
): Promise<void> {
  // Errors of user code may be reported, and some calls print.
  getEventLoop().setExceptionHandler(() => {});
  const { error: print } = console;
  console.error = () => {};
  const { call, end } = await row.make();
  try {
    const error = await errorOf(row, call, name, value);
    assert(!isRefusal(error), `${row.name} refused ${name}: ${error}`);
  } finally {
    console.error = print;
    await end?.();
  }
}

async function assertRefused(
  row: Row,
  name: string,
  value: unknown,
): Promise<void> {
  const { call, end, state = () => "" } = await row.make();
  try {
    const before = state();
    const tasks = allTasks().size;
    const error = await errorOf(row, call, name, value);
    const said = `${row.name} with ${name}: ${error}`;
    assert(isRefusal(error), said);
    assert(/^(Cannot|Invalid) /.test(error.message), said);
    assert(!ENGINE_TEXT.test(error.message), said);
    assert(error.message.length < 300, said);
    assertEquals(state(), before, said);
    assertEquals(allTasks().size, tasks, said);
  } finally {
    await end?.();
  }
}

/** The error that a call throws or rejects with soon; `null` if it does neither. */
async function errorOf(
  row: Row,
  call: Call["call"],
  name: string,
  value: unknown,
): Promise<unknown> {
  let outcome: unknown;
  try {
    outcome = call(value);
  } catch (error) {
    assert(!row.isAsync, `${row.name} threw for ${name}: ${error}`);
    return error;
  }
  const rejection = await rejectionOf(outcome);
  return row.isAsync ? rejection : null;
}

/** Whether an error has a class for invalid arguments. The user code of the values throws no such error. */
function isRefusal(error: unknown): error is TypeError | RangeError {
  return error instanceof TypeError || error instanceof RangeError;
}

/** Messages of the engine, and signs of a missing check. */
const ENGINE_TEXT =
  /Cannot (read (propert|private)|convert|destructure|access|set propert)|is not (a function|iterable|a constructor)|private member|user code|\[object |=> *\{|undefined or null|has been revoked/;

/** The error that a promise rejects with; `null` if it fulfils, is pending, or is not a promise. */
async function rejectionOf(outcome: unknown): Promise<unknown> {
  const isPromise = typeof outcome === "object" && outcome !== null &&
    "then" in outcome;
  if (!isPromise) return null;
  const waits = Promise.withResolvers<null>();
  let turns = 5;
  const turn = () => turns-- > 0 ? setImmediate(turn) : waits.resolve(null);
  turn();
  const ended = (outcome as Promise<unknown>).then(
    () => null,
    (error) => error,
  );
  return await Promise.race([ended, waits.promise]);
}

/** A proxy whose every trap throws. */
export function throwingProxy(target: object): object {
  return new Proxy(target, new Proxy({}, { get: () => throwUserError }));
}

function throwUserError(): never {
  throw new Error("user code failed");
}
