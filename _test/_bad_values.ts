/**
 * Wrong arguments of every kind, for a table of calls that have to refuse
 * them: `testRefusals()` makes the tests of a table.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { allTasks } from "@asyncio/asyncio";

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
  /** Whether right values are left out, because such a call would start something that lasts. */
  isLasting?: boolean;
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
    "() => {}": () => {},
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
/** What can be called. */
export const FUNCTIONS = [
  ...["() => {}", "async fn", "throwing fn", "callable proxy that throws"],
];
/** Options bags without an option. */
export const EMPTY = ["undefined", "{}", "null prototype"];
/** What `String()` takes. */
export const STRINGABLE = Object.keys(badValues()).filter((name) =>
  ![
    ...["null prototype", "bad toString", "proxy that throws"],
    ...["callable proxy that throws", "revoked proxy"],
  ].includes(name)
);

/** Makes a test of each row. */
export function testRefusals(rows: readonly Row[]): void {
  for (const row of rows) {
    Deno.test(`${row.name} refuses wrong values in words of its own, and changes nothing`, async () => {
      for (const [name, value] of Object.entries(badValues())) {
        await tryValue(row, name, value);
      }
    });
  }
}

/** Rows for an options bag: the bag itself, and each of its options by the values that are right for it. */
export function optionRows(
  name: string,
  make: Row["make"],
  options: Record<string, readonly string[]>,
  isAsync = false,
  isLasting = false,
): Row[] {
  const more = { isAsync, isLasting };
  return [
    { name: `${name} options`, make, accepts: EMPTY, ...more },
    {
      name: `${name} { misspelt }`,
      make: async () => inOption(await make(), "misspelt"),
      accepts: [],
      ...more,
    },
    ...Object.entries(options).map(([option, accepts]) => ({
      name: `${name} { ${option} }`,
      make: async () => inOption(await make(), option),
      accepts: ["undefined", ...accepts],
      ...more,
    })),
  ];
}

function inOption({ call, ...rest }: Call, option: string): Call {
  return { call: (value) => call({ [option]: value }), ...rest };
}

async function tryValue(row: Row, name: string, value: unknown): Promise<void> {
  const isRight = row.accepts.includes(name);
  if (isRight && row.isLasting) return;
  const { call, end, state = () => "" } = await row.make();
  try {
    await tryCall(row, { call, state }, name, value);
  } finally {
    await end?.();
  }
}

async function tryCall(
  row: Row,
  { call, state }: Required<Pick<Call, "call" | "state">>,
  name: string,
  value: unknown,
): Promise<void> {
  const before = state();
  const tasks = allTasks().size;
  let outcome: unknown;
  try {
    outcome = call(value);
  } catch (error) {
    assert(!row.isAsync, `${row.name} threw for ${name}: ${error}`);
    outcome = Promise.reject(error);
  }
  if (row.accepts.includes(name)) {
    Promise.resolve(outcome).catch(() => {});
    return;
  }
  const error = await errorOf(outcome);
  const said = `${row.name} with ${name}: ${error}`;
  assert(error instanceof TypeError || error instanceof RangeError, said);
  assert(/^(Cannot|Invalid) /.test(error.message), said);
  assert(!ENGINE_TEXT.test(error.message), said);
  assert(error.message.length < 300, said);
  assertEquals(state(), before, said);
  assertEquals(allTasks().size, tasks, said);
}

/** What an engine says, or what shows that nobody has looked. */
const ENGINE_TEXT =
  /Cannot (read (propert|private)|convert|destructure|access|set propert)|is not (a function|iterable|a constructor)|private member|user code|\[object |=> *\{|undefined or null|has been revoked/;

/** What a call failed with; `null` if it did not, or waits. */
async function errorOf(outcome: unknown): Promise<unknown> {
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
