/** What the tests use of `@std/assert`, on the host's own `node:assert`. */
import * as node from "node:assert/strict";

export class AssertionError extends node.AssertionError {
  constructor(message: string) {
    super({ message });
  }
}

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg || "Expected a true value");
}

export function assertFalse(expr: unknown, msg = ""): void {
  assert(!expr, msg || "Expected a false value");
}

export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  node.deepEqual(actual, expected, msg);
}

export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  node.notDeepEqual(actual, expected, msg);
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  node.equal(actual, expected, msg);
}

export function assertNotStrictEquals<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  node.notEqual(actual, expected, msg);
}

// deno-lint-ignore no-explicit-any
type AnyClass = abstract new (...args: any[]) => any;

export function assertInstanceOf<T extends AnyClass>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  assert(
    actual instanceof expectedType,
    msg || `Expected an instance of ${expectedType.name}, got ${actual}`,
  );
}

export function assertStringIncludes(
  actual: string,
  expected: string,
  msg = "",
): void {
  assert(
    actual.includes(expected),
    msg || `Expected "${actual}" to include "${expected}"`,
  );
}

export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  node.match(actual, expected, msg);
}

export function assertGreater<T>(actualVal: T, expectedVal: T, msg = ""): void {
  assert(
    actualVal > expectedVal,
    msg || `Expected ${actualVal} > ${expectedVal}`,
  );
}

export function assertGreaterOrEqual<T>(
  actualVal: T,
  expectedVal: T,
  msg = "",
): void {
  assert(
    actualVal >= expectedVal,
    msg || `Expected ${actualVal} >= ${expectedVal}`,
  );
}

export function assertLess<T>(actualVal: T, expectedVal: T, msg = ""): void {
  assert(
    actualVal < expectedVal,
    msg || `Expected ${actualVal} < ${expectedVal}`,
  );
}

export function assertLessOrEqual<T>(
  actualVal: T,
  expectedVal: T,
  msg = "",
): void {
  assert(
    actualVal <= expectedVal,
    msg || `Expected ${actualVal} <= ${expectedVal}`,
  );
}

export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass: ErrorClass<E> = Error as any,
  msgIncludes = "",
): E {
  let value: unknown;
  try {
    value = fn();
  } catch (error) {
    return checkError(error, ErrorClass, msgIncludes);
  }
  throw new AssertionError(`Expected it to throw, got ${value}`);
}

export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass: ErrorClass<E> = Error as any,
  msgIncludes = "",
): Promise<E> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(`Expected a rejection, but it threw ${error}`);
  }
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return checkError(error, ErrorClass, msgIncludes);
  }
  throw new AssertionError(`Expected it to reject, got ${value}`);
}

export function fail(msg?: string): never {
  throw new AssertionError(msg ? `Failed: ${msg}` : "Failed");
}

export function unreachable(reason?: string): never {
  throw new AssertionError(reason ?? "Unreachable");
}

function checkError<E extends Error>(
  error: unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes: string,
): E {
  assertInstanceOf(error, ErrorClass);
  assertStringIncludes((error as E).message, msgIncludes);
  return error as E;
}
