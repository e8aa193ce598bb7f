// Durations of Temporal, which not every runtime has.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { getRunningLoop, sleep } from "@asyncio/asyncio";
import { toSeconds } from "../_duration.ts";
import { virtual } from "./_virtual.ts";

Deno.test("toSeconds() takes a Temporal.Duration", () => {
  const { Duration } = Temporal;
  const day = Duration.from({ days: 1, hours: 1, seconds: 1 });
  assertEquals(toSeconds(day), 90_001);
  assertEquals(toSeconds(Duration.from({ milliseconds: -1500 })), -1.5);
  assertEquals(toSeconds(new Duration()), 0);
});

Deno.test("toSeconds() refuses a Temporal.Duration with units of no fixed length", () => {
  const { Duration } = Temporal;
  const error = "Invalid delay: years have no fixed length";
  const year = Duration.from({ years: 1 });
  assertThrows(() => toSeconds(year), RangeError, error);
  const week = Duration.from({ weeks: 1, hours: 1 });
  assertThrows(() => toSeconds(week), RangeError, "weeks have no fixed length");
});

Deno.test("sleep() takes a Temporal.Duration without calendar units", async () => {
  await virtual(async () => {
    await sleep(Temporal.Duration.from({ days: 1, minutes: 2 }));
    assertEquals(getRunningLoop().time(), 86_520);
    const month = Temporal.Duration.from({ months: 1 });
    const error = await assertRejects(() => sleep(month), RangeError);
    assertEquals(error.message, "Invalid delay: months have no fixed length");
  });
});
