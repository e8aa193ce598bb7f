/**
 * Lengths of time: seconds, or an object that names its unit.
 *
 * @module
 */

import { describe, nearestOf } from "./_validate.ts";

/** A length of time in named units. `Temporal.Duration` without years, months and weeks fits. */
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
  /** Thousand-millionths of a second. */
  nanoseconds?: number;
}

/** A length of time: a number of seconds, or a {@linkcode DurationLike}. `Infinity` means never. */
export type Duration = number | DurationLike;

/** The length of each unit. */
export const SECONDS_PER_UNIT = {
  days: 86_400,
  hours: 3_600,
  minutes: 60,
  seconds: 1,
  milliseconds: 1e-3,
  microseconds: 1e-6,
  nanoseconds: 1e-9,
};
export const CALENDAR_UNITS: readonly string[] = ["years", "months", "weeks"];

/**
 * The seconds of a duration, negative ones as they are.
 *
 * @throws {TypeError} If it is no duration.
 * @throws {RangeError} If it is `NaN`, or has units of no fixed length.
 */
export function toSeconds(duration: Duration, what = "delay"): number {
  if (typeof duration === "number" && duration === duration) return duration;
  if (typeof duration === "number") {
    throw new RangeError(`Invalid ${what}: expected a number, got NaN`);
  }
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
 * A time of a loop's clock as it is.
 *
 * @throws {TypeError} If it is no number: a duration is counted from now, a time is not.
 * @throws {RangeError} If it is `NaN`.
 */
export function toTime(when: number, what = "time"): number {
  if (typeof when === "number" && when === when) return when;
  if (typeof when === "number") {
    throw new RangeError(`Invalid ${what}: expected a number, got NaN`);
  }
  throw new TypeError(
    `Invalid ${what}: expected seconds on the clock of loop.time(), got ${
      describe(when)
    }`,
  );
}

export function sumOfUnits(duration: object, what: string): number {
  const values = unitsOf(duration, what);
  let total = 0;
  let found = false;
  for (const [unit, seconds] of Object.entries(SECONDS_PER_UNIT)) {
    const value = values[unit];
    if (value === undefined) continue;
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

/** What a duration says of each unit, read once. */
export function unitsOf(
  duration: object,
  what: string,
): Record<string, unknown> {
  const values = duration as Record<string, unknown>;
  const known = Object.keys(SECONDS_PER_UNIT);
  let foreign: string | undefined;
  let units: Record<string, unknown>;
  try {
    foreign = CALENDAR_UNITS.find((unit) => values[unit]);
    if (foreign === undefined) {
      for (const key in values) if (!known.includes(key)) foreign ??= key;
    }
    units = Object.fromEntries(known.map((unit) => [unit, values[unit]]));
  } catch (cause) {
    throw new TypeError(`Invalid ${what}: the duration cannot be read`, {
      cause,
    });
  }
  if (foreign === undefined) return units;
  if (CALENDAR_UNITS.includes(foreign)) {
    throw new RangeError(`Invalid ${what}: ${foreign} have no fixed length`);
  }
  if (Array.isArray(duration)) return {};
  const nearest = nearestOf(foreign, known);
  throw new TypeError(
    `Invalid ${what}: unknown unit ${describe(foreign)}${
      nearest === null ? "" : `, did you mean "${nearest}"?`
    }`,
  );
}
