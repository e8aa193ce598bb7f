import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  BrokenBarrierError,
  CancelledError,
  ExceptionGroup,
  IncompleteReadError,
  InvalidStateError,
  KeyboardInterrupt,
  LimitOverrunError,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  RuntimeError,
  SendfileNotAvailableError,
  TimeoutError,
} from "@asyncio/asyncio/exceptions";
import { shape } from "./_virtual.ts";

const plain = {
  BrokenBarrierError,
  CancelledError,
  InvalidStateError,
  KeyboardInterrupt,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  RuntimeError,
  SendfileNotAvailableError,
  TimeoutError,
};

for (const [name, ErrorClass] of Object.entries(plain)) {
  Deno.test(`${name} has its name, a message and a cause`, () => {
    const cause = new RangeError("why");
    const error = new ErrorClass("what", { cause });
    assertInstanceOf(error, Error);
    assertInstanceOf(error, ErrorClass);
    assertEquals([error.name, error.message], [name, "what"]);
    assertStrictEquals(error.cause, cause);
    assertEquals(String(error), `${name}: what`);
    assert(error.stack!.startsWith(`${name}: what\n`));
    assertEquals(Object.keys(error).filter((key) => key !== "signal"), []);
    assertEquals([new ErrorClass().message, "cause" in new ErrorClass()], [
      "",
      false,
    ]);
  });
}

Deno.test("BrokenBarrierError and SendfileNotAvailableError are RuntimeErrors, and TimeoutError is none", () => {
  assertInstanceOf(new BrokenBarrierError(), RuntimeError);
  assertInstanceOf(new SendfileNotAvailableError(), RuntimeError);
  assert(!(new TimeoutError() as Error instanceof RuntimeError));
});

Deno.test("KeyboardInterrupt names its signal, SIGINT if nothing is said", () => {
  assertEquals(new KeyboardInterrupt().signal, "SIGINT");
  assertEquals(new KeyboardInterrupt("stop", {}).signal, "SIGINT");
  const error = new KeyboardInterrupt("stop", { signal: "SIGTERM" });
  assertEquals([error.signal, error.message], ["SIGTERM", "stop"]);
});

Deno.test("IncompleteReadError has what was read, and what was wanted", () => {
  const partial = new Uint8Array([1, 2, 3]);
  const cause = new RangeError("why");
  const error = new IncompleteReadError(partial, 10, { cause });
  assertEquals(error.name, "IncompleteReadError");
  assertEquals(error.message, "3 bytes read on a total of 10 expected bytes");
  assertStrictEquals(error.partial, partial);
  assertEquals([error.expected, error.cause], [10, cause]);
  const unknown = new IncompleteReadError(partial, null);
  assertEquals(unknown.expected, null);
  assertEquals(
    unknown.message,
    "3 bytes read on a total of undefined expected bytes",
  );
});

Deno.test("LimitOverrunError has the bytes that may be read away", () => {
  const error = new LimitOverrunError("too long", 12);
  assertEquals([error.name, error.message, error.consumed], [
    "LimitOverrunError",
    "too long",
    12,
  ]);
});

const far = new RangeError("far");
const odd = new TypeError("odd");
const late = new TimeoutError("late");

/** A group with a group in it. */
function nested(): ExceptionGroup {
  const inner = new ExceptionGroup("inner", [odd, late]);
  return new ExceptionGroup("outer", [far, inner, late], { cause: odd });
}

Deno.test("ExceptionGroup is an AggregateError with a message and a cause", () => {
  const group = new ExceptionGroup("several", new Set([far, odd]), {
    cause: late,
  });
  assertInstanceOf(group, AggregateError);
  assertEquals([group.name, group.message], ["ExceptionGroup", "several"]);
  assertEquals(group.errors, [far, odd]);
  assertStrictEquals(group.cause, late);
  assert(group.stack!.startsWith("ExceptionGroup: several\n"));
});

Deno.test("ExceptionGroup holds at least one error", () => {
  assertThrows(
    () => new ExceptionGroup("none", []),
    RangeError,
    "Cannot create an ExceptionGroup of no errors",
  );
});

Deno.test("ExceptionGroup.split() divides nested groups by class, and keeps the nesting", () => {
  const group = nested();
  const [hit, miss] = group.split(TimeoutError);
  assertEquals(
    shape(hit),
    "ExceptionGroup[ExceptionGroup[TimeoutError(late)], TimeoutError(late)]",
  );
  assertEquals(
    shape(miss),
    "ExceptionGroup[RangeError(far), ExceptionGroup[TypeError(odd)]]",
  );
  for (const part of [hit!, miss!]) {
    assertEquals([part.message, part.cause], ["outer", odd]);
    assertEquals(part.stack, group.stack);
  }
  assertEquals(hit!.errors[0].message, "inner");
  assertEquals(group.errors.length, 3);
});

Deno.test("ExceptionGroup.split() takes a predicate, which sees the groups too", () => {
  const seen: string[] = [];
  const group = nested();
  const [hit, miss] = group.split((error) => {
    seen.push((error as Error).message);
    return error === odd;
  });
  assertEquals(seen, ["outer", "far", "inner", "odd", "late", "late"]);
  assertEquals(shape(hit), "ExceptionGroup[ExceptionGroup[TypeError(odd)]]");
  assertEquals(
    shape(miss),
    "ExceptionGroup[RangeError(far), ExceptionGroup[TimeoutError(late)], TimeoutError(late)]",
  );
});

Deno.test("ExceptionGroup.split() gives the group itself where all of it matches, and null for nothing", () => {
  const group = nested();
  for (const filter of [Error, ExceptionGroup, AggregateError, () => true]) {
    const [hit, miss] = group.split(filter);
    assertStrictEquals(hit, group);
    assertEquals(miss, null);
  }
  const [hit, miss] = group.split(SyntaxError);
  assertEquals([hit, shape(miss)], [null, shape(group)]);
  const [inner] = group.split((error) => error === group.errors[1]);
  assertStrictEquals(inner!.errors[0], group.errors[1]);
});

Deno.test("ExceptionGroup.subgroup() gives what matches", () => {
  const group = nested();
  assertEquals(
    shape(group.subgroup(RangeError)),
    "ExceptionGroup[RangeError(far)]",
  );
  assertEquals(group.subgroup(() => false), null);
  assertStrictEquals(group.subgroup(Error), group);
});

Deno.test("ExceptionGroup.split() and subgroup() refuse what is no filter", () => {
  for (const wrong of ["RangeError", null, 42]) {
    const error = assertThrows(
      () => nested().subgroup(wrong as never),
      TypeError,
    );
    assertEquals(
      error.message,
      "Cannot filter errors: expected a predicate or an error class, " +
        `got ${wrong}`,
    );
  }
});
