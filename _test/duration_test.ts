import { assertEquals, assertThrows } from "@std/assert";
import { type Duration, toSeconds, toTime } from "../_duration.ts";
import { describe } from "../_validate.ts";
import { run, sleep, VirtualTimeLoop } from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";

const accepted: [duration: Duration, seconds: number][] = [
  [0, 0],
  [1.5, 1.5],
  [-3, -3],
  [Infinity, Infinity],
  [-Infinity, -Infinity],
  [{ hours: 2 }, 7200],
  [{ minutes: 2 }, 120],
  [{ seconds: 2 }, 2],
  [{ milliseconds: 250 }, 0.25],
  [{ microseconds: 500 }, 0.0005],
  [{ nanoseconds: 1 }, 1e-9],
  [{ hours: 1, minutes: 30, seconds: 15, milliseconds: 500 }, 5415.5],
  [{ minutes: 1, seconds: -30 }, 30],
  [{ seconds: 0 }, 0],
  [{ seconds: 1, minutes: undefined }, 1],
  [{ hours: Infinity }, Infinity],
];

for (const [duration, seconds] of accepted) {
  Deno.test(`toSeconds() takes ${inspect(duration)} for ${seconds}`, () => {
    assertEquals(toSeconds(duration), seconds);
  });
}

const throwing = {
  get seconds() {
    throw new Error("user code threw");
  },
};
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

const refused: [
  value: unknown,
  kind: typeof TypeError | typeof RangeError,
  message: string,
][] = [
  [NaN, RangeError, "Invalid delay: expected a number, got NaN"],
  ["1", TypeError, 'expected seconds or a duration object, got "1"'],
  [null, TypeError, "expected seconds or a duration object, got null"],
  [undefined, TypeError, "got undefined"],
  [true, TypeError, "got true"],
  [10n, TypeError, "got 10n"],
  [() => 1, TypeError, "expected seconds or a duration object"],
  [{}, TypeError, "got a plain object that names no unit"],
  [[], TypeError, "got an array that names no unit"],
  [[5], TypeError, "got an array that names no unit"],
  [new Date(0), TypeError, "got a Date that names no unit"],
  [Promise.resolve(1), TypeError, "got a promise that names no unit"],
  [Symbol("s"), TypeError, "got Symbol(s)"],
  [throwing, TypeError, "Invalid delay: the duration cannot be read"],
  [revoked, TypeError, "Invalid delay: the duration cannot be read"],
  [{ second: 1 }, TypeError, 'Invalid delay: unknown unit "second"'],
  [
    { seconds: 1, ms: 5 },
    TypeError,
    'Invalid delay: unknown unit "ms", did you mean "milliseconds"?',
  ],
  [Object.create({ secnods: 1 }), TypeError, 'did you mean "seconds"?'],
  [{ seconds: NaN }, RangeError, "Invalid delay: its units add up to NaN"],
  [
    { seconds: Infinity, minutes: -Infinity },
    RangeError,
    "Invalid delay: its units add up to NaN",
  ],
  [{ seconds: "1" }, TypeError, 'seconds must be a number, got "1"'],
  [
    { hours: 1, minutes: null },
    TypeError,
    "minutes must be a number, got null",
  ],
  [{ months: 1 }, RangeError, "Invalid delay: months have no fixed length"],
];

for (const [i, [value, kind, message]] of refused.entries()) {
  Deno.test(`toSeconds() refuses ${i}: ${describe(value)}`, () => {
    assertThrows(() => toSeconds(value as Duration), kind, message);
  });
}

Deno.test("toSeconds() says what it was asked for", () => {
  assertThrows(
    () => toSeconds(NaN, "timeout"),
    RangeError,
    "Invalid timeout: expected a number, got NaN",
  );
  assertThrows(() => toSeconds({}, "patience"), TypeError, "Invalid patience");
});

Deno.test("sleep() takes every form of a duration", async () => {
  const loop = new VirtualTimeLoop();
  await run(async () => {
    await sleep(1);
    await sleep({ seconds: 1, milliseconds: 500 });
    await sleep({ hours: -1 });
  }, { loopFactory: () => loop });
  assertEquals(loop.time(), 2.5);
});

Deno.test("toTime() takes numbers only: durations are refused", () => {
  for (const time of [0, -5, Infinity]) assertEquals(toTime(time), time);
  assertThrows(() => toTime(NaN, "deadline"), RangeError, "Invalid deadline");
  for (const bad of [{ seconds: 1 }, "1", null, undefined, 1n, new Date(0)]) {
    assertThrows(
      () => toTime(bad as never, "deadline"),
      TypeError,
      `Invalid deadline: expected seconds on the clock of loop.time(), got ${
        describe(bad)
      }`,
    );
  }
});
