/**
 * Wrong arguments of every kind, for a table of calls that have to refuse
 * them: {@linkcode assertRefuses} checks a row of such a table.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { allTasks, getEventLoop, run } from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";

/** Any value: the tables are about what types would not let through. */
// deno-lint-ignore no-explicit-any
export type Any = any;

/** A call with one argument that is wrong, or one option. */
export interface Row {
  /** What is called, and which argument is tried. */
  name: string;
  /** Makes what it is called on; each value gets one of its own. */
  make(): Call | Promise<Call>;
  /** The names of the values that are right here. */
  accepts: readonly string[];
  /** Whether it returns a native promise, and so never throws. */
  isAsync?: boolean;
}

/** A call that is ready to be made. */
export interface Call {
  call(value: unknown): unknown;
  /** What must be as before when the call was refused. */
  state?(): string;
  /** Ends what the call was made on. */
  end?(): unknown;
}

/** The values by name, fresh ones each time. */
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
/** The numbers that say how much or how long. */
export const REAL_NUMBERS = NUMBERS.filter((name) => name !== "NaN");
/** The strings among the values. */
export const STRINGS = ['""', '"x"', '"5"'];
/** Limits that are at least 1. */
export const LIMITS = ["Infinity", "2**53"];
/** The flags among the values. */
export const FLAGS = ["true"];
/** All of the values. */
export const ANYTHING = Object.keys(badValues());
/** The options of a call that waits; `undefined` alone is right there. */
export const SIGNAL = { signal: [] };
/** What can be called. */
export const FUNCTIONS = [
  ...["arrow fn", "async fn", "throwing fn", "callable proxy that throws"],
];
/** Options bags without an option. */
export const EMPTY = ["undefined", "{}", "null prototype"];
/** What `String()` takes. */
export const STRINGABLE = ANYTHING.filter((name) =>
  ![
    ...["null prototype", "bad toString", "proxy that throws"],
    ...["callable proxy that throws", "revoked proxy"],
  ].includes(name)
);

/** A call of its own, which has no state. */
export function plain(call: (value: Any) => unknown): () => Call {
  return () => ({ call });
}

/** A method of a fresh object, whose console line is what must not change. */
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
 * Asserts that a call refuses each wrong value in words of its own and changes
 * nothing, and that it refuses none of the right ones.
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

/** Rows for an options bag: the bag itself, and each of its options by the values that are right for it. */
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

/** Rows for an options bag that can be one of the named values too. */
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
  // What user code throws may be reported, and what is asked for is printed.
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

/** What a call failed with, at once or, if it returns a promise, soon; otherwise `null`. */
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

/** Whether an error is of a class that says that an argument is wrong; the user code of the values throws no such error. */
function isRefusal(error: unknown): error is TypeError | RangeError {
  return error instanceof TypeError || error instanceof RangeError;
}

/** What an engine says, or what shows that nobody has looked. */
const ENGINE_TEXT =
  /Cannot (read (propert|private)|convert|destructure|access|set propert)|is not (a function|iterable|a constructor)|private member|user code|\[object |=> *\{|undefined or null|has been revoked/;

/** What a promise is rejected with; `null` if it is not, or waits, or is none. */
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
