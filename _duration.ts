/**
 * Durations: seconds, or an object that names its units.
 *
 * @module
 */

import { describe, nearestOf } from "./_validate.ts";

/** A duration in named units. A `Temporal.Duration` without years, months and weeks is one. */
export interface DurationLike {
  /** Hours of 3,600 seconds. */
  hours?: number;
  /** Minutes of 60 seconds. */
  minutes?: number;
  /** Seconds. */
  seconds?: number;
  /** Thousandths of a second. */
  milliseconds?: number;
  /** Millionths of a second. */
  microseconds?: number;
  /** Billionths of a second. */
  nanoseconds?: number;
}

/** A duration: a number of seconds, or a {@linkcode DurationLike}. `Infinity` means never. */
export type Duration = number | DurationLike;

/** The length of each unit, in seconds. */
const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ["days", 86_400],
  ["hours", 3_600],
  ["minutes", 60],
  ["seconds", 1],
  ["milliseconds", 1e-3],
  ["microseconds", 1e-6],
  ["nanoseconds", 1e-9],
];
const UNIT_NAMES = UNITS.map(([name]) => name);
const CALENDAR_UNITS: readonly string[] = ["years", "months", "weeks"];

/**
 * Converts a duration to seconds; negative values are kept.
 *
 * @throws {TypeError} If it is not a duration.
 * @throws {RangeError} If it is `NaN`, or has units without a fixed length.
 */
export function toSeconds(duration: Duration, what = "delay"): number {
  if (typeof duration === "number") return checkedNumber(duration, what);
  if (typeof duration === "object" && duration !== null) {
    return sumOfUnits(duration, what);
  }
  throw new TypeError(
    `Invalid ${what}: expected seconds or a duration object, got ${
      describe(duration)
    }`,
  );
}

/**
 * Checks a time on a loop's clock and returns it.
 *
 * @throws {TypeError} If it is not a number. A duration object is refused, as it would be relative.
 * @throws {RangeError} If it is `NaN`.
 */
export function toTime(when: number, what = "time"): number {
  if (typeof when === "number") return checkedNumber(when, what);
  throw new TypeError(
    `Invalid ${what}: expected seconds on the clock of loop.time(), got ${
      describe(when)
    }`,
  );
}

function checkedNumber(value: number, what: string): number {
  if (value === value) return value;
  throw new RangeError(`Invalid ${what}: expected a number, got NaN`);
}

function sumOfUnits(duration: object, what: string): number {
  const values = unitsOf(duration, what);
  let total = 0;
  let found = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === undefined) continue;
    const [unit, seconds] = UNITS[i]!;
    if (typeof value !== "number") {
      throw new TypeError(
        `Invalid ${what}: ${unit} must be a number, got ${describe(value)}`,
      );
    }
    total += value * seconds;
    found = true;
  }
  if (!found) {
    throw new TypeError(
      `Invalid ${what}: expected seconds or a duration object, got ${
        describe(duration)
      } that names no unit`,
    );
  }
  if (total === total) return total;
  throw new RangeError(`Invalid ${what}: its units add up to NaN`);
}

/** The value of each unit, in the order of {@linkcode UNITS}. Each property is read once. */
function unitsOf(duration: object, what: string): unknown[] {
  const values = duration as Record<string, unknown>;
  let unknown: string | undefined;
  let units: unknown[];
  try {
    unknown = CALENDAR_UNITS.find((unit) => values[unit]);
    if (unknown === undefined) {
      for (const key in values) if (!UNIT_NAMES.includes(key)) unknown ??= key;
    }
    units = UNIT_NAMES.map((unit) => values[unit]);
  } catch (cause) {
    throw new TypeError(`Invalid ${what}: the duration cannot be read`, {
      cause,
    });
  }
  if (unknown === undefined) return units;
  if (CALENDAR_UNITS.includes(unknown)) {
    throw new RangeError(`Invalid ${what}: ${unknown} have no fixed length`);
  }
  if (Array.isArray(duration)) return [];
  const nearest = nearestOf(unknown, UNIT_NAMES);
  throw new TypeError(
    `Invalid ${what}: unknown unit ${describe(unknown)}${
      nearest === null ? "" : `, did you mean "${nearest}"?`
    }`,
  );
}
