/**
 * Lengths of time: seconds, or an object that names its unit.
 *
 * @module
 */

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
export const CALENDAR_UNITS = ["years", "months", "weeks"];

/** The seconds of a duration, negative ones as they are. */
export function toSeconds(duration: Duration, what = "delay"): number {
  if (typeof duration === "number" && duration === duration) return duration;
  if (typeof duration === "number") {
    throw new RangeError(`Invalid ${what}: expected a number, got NaN`);
  }
  if (typeof duration !== "object" || duration === null) {
    throw new TypeError(
      `Invalid ${what}: expected seconds or a duration object, got ${
        typeof duration === "bigint" ? `${duration}n` : String(duration)
      }`,
    );
  }
  return sumOfUnits(duration, what);
}

export function sumOfUnits(duration: object, what: string): number {
  const values = duration as Record<string, unknown>;
  for (const unit of CALENDAR_UNITS) {
    if (values[unit]) {
      throw new RangeError(`Invalid ${what}: ${unit} have no fixed length`);
    }
  }
  for (const key of Object.keys(values)) {
    if (!(key in SECONDS_PER_UNIT)) {
      throw new TypeError(`Invalid ${what}: unknown unit "${key}"`);
    }
  }
  let total = 0;
  let found = false;
  for (const [unit, seconds] of Object.entries(SECONDS_PER_UNIT)) {
    const value = values[unit];
    if (value === undefined) continue;
    if (typeof value !== "number" || Number.isNaN(value)) {
      throw new RangeError(`Invalid ${what}: ${unit} is ${String(value)}`);
    }
    total += value * seconds;
    found = true;
  }
  if (!found) throw new TypeError(`Invalid ${what}: it names no unit`);
  return total;
}
