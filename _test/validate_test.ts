// Argument checks: what they accept, what they refuse and with which message,
// and that hostile values cannot make them fail or run code.

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  checkCallback,
  checkContext,
  checkCoroutine,
  checkCount,
  checkInstance,
  checkIterable,
  checkOptions,
  checkSignal,
  checkString,
  describe,
  isClass,
  signalOf,
  toName,
} from "../_validate.ts";

class Foo {}

/** A proxy whose every trap throws. */
function throwingProxy(target: object): object {
  const trap = () => {
    throw new Error("user code threw");
  };
  return new Proxy(target, new Proxy({}, { get: () => trap }));
}

function revokedProxy(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** Objects with throwing getters for all properties that a careless check might read. */
function trappedObject(): object {
  const get = () => {
    throw new Error("user code threw");
  };
  const names = ["constructor", "then", "toString", "valueOf", "name"];
  const keys = [...names, Symbol.toPrimitive, Symbol.toStringTag];
  return Object.defineProperties(
    {},
    Object.fromEntries(keys.map((key) => [key, { get }])),
  );
}

const refusal = (check: () => void): string =>
  assertThrows(check, TypeError).message;

Deno.test("describe() names every kind of value in a few words", () => {
  const { prototype } = Foo;
  const cases: [unknown, string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [NaN, "NaN"],
    [-1.5, "-1.5"],
    [true, "true"],
    [1n, "1n"],
    ["", '""'],
    ['a"b\n', '"a\\"b\\n"'],
    [Symbol("s"), "Symbol(s)"],
    [{}, "a plain object"],
    [[1], "an array"],
    [Object.create(null), "an object without a prototype"],
    [new Foo(), "a Foo"],
    [Object.create(prototype), "a Foo"],
    [new Date(), "a Date"],
    [new Uint8Array(1), "a Uint8Array"],
    [new AbortController(), "an AbortController"],
    [new RangeError("far"), "a RangeError"],
    [Promise.resolve(), "a promise"],
    [{ then() {} }, "a thenable"],
    [Foo, "class Foo"],
    [class {}, "an anonymous class"],
    [function walk() {}, "function walk"],
    [async () => {}, "an anonymous function"],
  ];
  for (const [value, text] of cases) assertEquals(describe(value), text);
});

Deno.test("describe() returns a short text without source", () => {
  const long = "x".repeat(10_000);
  const named = Object.defineProperty(() => "secret", "name", { value: long });
  const values = [long, Symbol(long), 10n ** 10_000n, named, [long], {
    [long]: long,
  }];
  for (const value of values) {
    const text = describe(value);
    assert(text.length < 100, text.slice(0, 200));
    assert(!text.includes("secret"));
  }
});

Deno.test("describe() reads hostile values without running their code", () => {
  assertEquals(describe(trappedObject()), "a plain object");
  const ofHostileClass = Object.create(trappedObject());
  assertEquals(describe(ofHostileClass), "an object");
  const cannot = "an object that cannot be looked at";
  assertEquals(describe(throwingProxy({})), cannot);
  assertEquals(describe(revokedProxy({})), cannot);
  assertEquals(describe(revokedProxy([])), cannot);
  assertEquals(describe(throwingProxy(() => {})), "an anonymous function");
  assertEquals(describe(revokedProxy(() => {})), "an anonymous function");
  assertEquals(describe({ constructor: { name: 1 } }), "a plain object");
  const noName = Object.defineProperty(() => {}, "name", { value: { a: 1 } });
  assertEquals(describe(noName), "an anonymous function");
  const { "() => {}": readsAsSource } = { "() => {}": () => {} };
  assertEquals(describe(readsAsSource), "an anonymous function");
});

Deno.test("checkOptions() lets options through, of a class or inherited ones too", () => {
  const known = ["signal", "name"];
  class WithSignal {
    get signal() {
      return undefined;
    }
  }
  const good = [
    undefined,
    {},
    { name: "a" },
    { name: undefined },
    Object.create(null),
    Object.create({ signal: undefined }),
    new WithSignal(),
  ];
  for (const options of good) {
    assertEquals(checkOptions(options, known, "test"), undefined);
  }
});

Deno.test("checkOptions() refuses what is not an options object and says what came in", () => {
  const bad: [unknown, string][] = [
    [null, "null"],
    [1, "1"],
    ["signal", '"signal"'],
    [[], "an array"],
    [["signal"], "an array"],
    [Promise.resolve(), "a promise"],
    [new Map(), "a Map"],
    [() => {}, "an anonymous function"],
    [new AbortController().signal, "an AbortSignal; pass { signal }"],
    [
      new AbortController(),
      "an AbortController; pass { signal: controller.signal }",
    ],
  ];
  for (const [options, text] of bad) {
    assertEquals(
      refusal(() => checkOptions(options, ["signal"], "acquire a lock")),
      `Cannot acquire a lock: options must be an object, got ${text}`,
    );
  }
});

Deno.test("checkOptions() names an unknown option and the nearest known one", () => {
  const known = ["signal", "tls", "conn", "limit", "returnExceptions"];
  const near: [string, string][] = [
    ["singal", "signal"],
    ["Signal", "signal"],
    ["signl", "signal"],
    ["return_exceptions", "returnExceptions"],
    ["returnException", "returnExceptions"],
    ["ssl", "tls"],
    ["SSL", "tls"],
    ["sock", "conn"],
    ["concurrency", "limit"],
  ];
  for (const [name, nearest] of near) {
    const text = refusal(() => checkOptions({ [name]: 1 }, known, "test"));
    assertEquals(
      text,
      `Cannot test: unknown option "${name}", did you mean "${nearest}"?`,
    );
  }
});

Deno.test("checkOptions() finds an inherited unknown option, and one that is undefined", () => {
  const inherited = Object.create({ singal: 1 });
  const text = 'Cannot test: unknown option "singal", did you mean "signal"?';
  for (const options of [inherited, { singal: undefined }]) {
    assertEquals(
      refusal(() => checkOptions(options, ["signal"], "test")),
      text,
    );
  }
});

Deno.test("checkOptions() says which options there are where none is near", () => {
  const cases: [string[], string][] = [
    [[], ", it takes none"],
    [["limit"], ', known is "limit"'],
    [["limit", "low"], ', known are "limit", "low"'],
    ["abcdefghi".split("").map((it) => it.repeat(9)), ""],
  ];
  for (const [known, text] of cases) {
    assertEquals(
      refusal(() => checkOptions({ parrot: 1 }, known, "test")),
      `Cannot test: unknown option "parrot"${text}`,
    );
  }
  const timeout = refusal(() => signalOf({ timeout: 1 }, "get an item"));
  assert(timeout.endsWith("use timeout() or waitFor() around the call"));
});

Deno.test("checkOptions() refuses hostile options with its own message", () => {
  for (const options of [throwingProxy({}), revokedProxy({})]) {
    const text = refusal(() => checkOptions(options, ["signal"], "test"));
    assertEquals(text, "Cannot test: the options cannot be read");
  }
  const text = refusal(() =>
    checkOptions({ ["x".repeat(9999)]: 1 }, ["signal"], "test")
  );
  assert(text.length < 150);
});

Deno.test("checkSignal() takes signals only and knows a controller passed by mistake", () => {
  const controller = new AbortController();
  for (const signal of [controller.signal, AbortSignal.any([]), undefined]) {
    checkSignal(signal, "test");
  }
  assertEquals(
    refusal(() => checkSignal(controller, "test")),
    "Cannot test: signal must be an AbortSignal, got an AbortController; pass controller.signal",
  );
  const fakes = [
    null,
    {},
    { aborted: false, addEventListener() {} },
    Object.create(AbortSignal.prototype),
    throwingProxy({}),
    revokedProxy({}),
    trappedObject(),
  ];
  for (const fake of fakes) {
    assert(
      refusal(() => checkSignal(fake, "test")).startsWith(
        "Cannot test: signal must be an AbortSignal, got ",
      ),
    );
  }
});

Deno.test("signalOf() returns the signal of options and reads it once", () => {
  const { signal } = new AbortController();
  assertEquals(signalOf(undefined, "test"), undefined);
  assertEquals(signalOf({}, "test"), undefined);
  let reads = 0;
  const options = {
    get signal() {
      reads++;
      return signal;
    },
  };
  assert(signalOf(options, "test") === signal);
  assertEquals(reads, 1);
});

Deno.test("checkCallback() and checkContext() refuse classes and what cannot be called", () => {
  for (const fn of [() => {}, function () {}, async () => {}, Boolean]) {
    checkCallback(fn, "test");
    checkContext(fn, "test");
  }
  for (const nothing of [undefined, null]) checkContext(nothing, "test");
  for (const bad of [Foo, 1, {}, revokedProxy({}), Symbol("s")]) {
    const got = `, got ${describe(bad)}`;
    assert(refusal(() => checkCallback(bad, "test")).endsWith(got));
    assert(refusal(() => checkContext(bad, "test")).endsWith(got));
  }
});

Deno.test("checkCoroutine() says what to write for a promise", () => {
  checkCoroutine(() => {}, "test");
  checkCoroutine(Object.assign(() => {}, { then() {} }), "test");
  const hint = "; pass () => f(x): a promise has already started";
  assertEquals(
    refusal(() => checkCoroutine(Promise.resolve(), "create a task")),
    `Cannot create a task: expected a coroutine function, got a promise${hint}`,
  );
  assert(refusal(() => checkCoroutine({ then() {} }, "t")).endsWith(hint));
  assert(!refusal(() => checkCoroutine(Foo, "t")).includes(hint));
  assert(!refusal(() => checkCoroutine(trappedObject(), "t")).includes(hint));
});

Deno.test("isClass() tells classes from functions, also where either is hostile", () => {
  for (const fn of [Foo, class {}, class extends Foo {}, URL]) {
    assert(isClass(fn));
  }
  const functions = [
    () => {},
    function () {},
    function* () {},
    Boolean,
    throwingProxy(Foo),
    revokedProxy(Foo),
    Object.defineProperty(() => {}, "prototype", { value: 1 }),
  ];
  for (const fn of functions) assert(!isClass(fn));
});

Deno.test("checkIterable() refuses strings, promises and hostile objects", () => {
  for (const it of [[], new Set(), (function* () {})()]) {
    checkIterable(it, "test", "aws");
  }
  const trapped = {
    get [Symbol.iterator]() {
      throw new Error("user code threw");
    },
  };
  for (const bad of ["abc", null, {}, Promise.resolve(), () => {}, trapped]) {
    assertEquals(
      refusal(() => checkIterable(bad, "gather", "aws")),
      `Cannot gather: aws must be an iterable such as an array, got ${
        describe(bad)
      }`,
    );
  }
});

Deno.test("checkInstance() refuses others, proxies that throw among them", () => {
  checkInstance(new Foo(), Foo, "test", "the foo");
  for (const bad of [null, {}, Foo, throwingProxy({}), revokedProxy({})]) {
    assertEquals(
      refusal(() => checkInstance(bad, Foo, "test", "the foo")),
      `Cannot test: the foo must be a Foo, got ${describe(bad)}`,
    );
  }
});

Deno.test("checkCount() takes whole numbers from a least one on", () => {
  for (const n of [1, 2 ** 53, Infinity]) checkCount(n, 1, "test", "n");
  for (const bad of [NaN, "1", 1n, null, Symbol("s"), {}]) {
    assertEquals(
      refusal(() => checkCount(bad, 1, "test", "n")),
      `Cannot test: n must be a number, got ${describe(bad)}`,
    );
  }
  for (const bad of [0, -1, 1.5, -Infinity]) {
    const { message } = assertThrows(
      () => checkCount(bad, 1, "test", "n"),
      RangeError,
    );
    assertEquals(
      message,
      `Cannot test: n must be a whole number of at least 1, got ${bad}`,
    );
  }
});

Deno.test("checkString() takes strings and nothing", () => {
  checkString("a", "test", "message");
  checkString(undefined, "test", "message");
  assertEquals(
    refusal(() => checkString(1, "test", "message")),
    "Cannot test: message must be a string, got 1",
  );
});

Deno.test("toName() makes a string of what can be one", () => {
  assertEquals(toName("a", "test"), "a");
  assertEquals(toName(1, "test"), "1");
  assertEquals(toName(Symbol("s"), "test"), "Symbol(s)");
  const bad = [Object.create(null), throwingProxy({}), revokedProxy({})];
  for (const name of bad) {
    assertEquals(
      refusal(() => toName(name, "test")),
      `Cannot test: name must be a string, got ${describe(name)}`,
    );
  }
});
