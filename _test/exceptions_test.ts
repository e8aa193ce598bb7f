import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  BrokenBarrierError,
  CancelledError,
  ConnectionError,
  DeadlockError,
  ExceptionGroup,
  IncompleteReadError,
  InvalidStateError,
  KeyboardInterrupt,
  LimitOverrunError,
  OSError,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  RuntimeError,
  SendfileNotAvailableError,
  TimeoutError,
} from "@asyncio/asyncio/exceptions";
import { run, toThread } from "@asyncio/asyncio";
import { openConnection } from "@asyncio/asyncio/streams";
import { shape } from "./_virtual.ts";

const plain = {
  BrokenBarrierError,
  CancelledError,
  DeadlockError,
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
    assertEquals(
      Object.keys(error).filter((key) => !["signal", "snapshot"].includes(key)),
      [],
    );
    assertEquals([new ErrorClass().message, "cause" in new ErrorClass()], [
      "",
      false,
    ]);
  });
}

Deno.test("BrokenBarrierError and SendfileNotAvailableError are RuntimeErrors, and TimeoutError is not", () => {
  assertInstanceOf(new BrokenBarrierError(), RuntimeError);
  assertInstanceOf(new SendfileNotAvailableError(), RuntimeError);
  assert(!(new TimeoutError() as Error instanceof RuntimeError));
});

Deno.test("KeyboardInterrupt names its signal, SIGINT by default", () => {
  assertEquals(new KeyboardInterrupt().signal, "SIGINT");
  assertEquals(new KeyboardInterrupt("stop", {}).signal, "SIGINT");
  const error = new KeyboardInterrupt("stop", { signal: "SIGTERM" });
  assertEquals([error.signal, error.message], ["SIGTERM", "stop"]);
});

Deno.test("IncompleteReadError has the bytes read and the number requested", () => {
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

Deno.test("LimitOverrunError has the number of bytes that can be read", () => {
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

/** A nested group. */
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
    "Cannot create an ExceptionGroup without errors",
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
  assertFalse("cause" in hit!.errors[0]);
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

Deno.test("ExceptionGroup.split() returns the group itself where all of it matches, and null for nothing", () => {
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

Deno.test("ExceptionGroup.subgroup() returns what matches", () => {
  const group = nested();
  assertEquals(
    shape(group.subgroup(RangeError)),
    "ExceptionGroup[RangeError(far)]",
  );
  assertEquals(group.subgroup(() => false), null);
  assertStrictEquals(group.subgroup(Error), group);
});

Deno.test("ExceptionGroup.split() and subgroup() refuse what is not a filter", () => {
  for (const wrong of ["RangeError", null, 42]) {
    const error = assertThrows(
      () => nested().subgroup(wrong as never),
      TypeError,
    );
    assertEquals(
      error.message,
      "Cannot filter errors: expected a predicate or an error class, " +
        `got ${JSON.stringify(wrong)}`,
    );
  }
});

for (const [name, ErrorClass] of Object.entries(plain)) {
  Deno.test(`${name} refuses a message that is no string, and unknown options`, () => {
    const make = (...args: unknown[]) => () =>
      Reflect.construct(ErrorClass, args);
    const article = /^[AEIOU]/.test(name) ? "an" : "a";
    const start = `Cannot create ${article} ${name}: `;
    const bad: [unknown[], string][] = [
      [[Symbol("s")], "message must be a string, got Symbol(s)"],
      [
        [Object.create(null)],
        "message must be a string, got an object without a prototype",
      ],
      [[null], "message must be a string, got null"],
      [["m", null], "options must be an object, got null"],
      [
        ["m", new RangeError("why")],
        "options must be an object, got a RangeError",
      ],
      [
        ["m", { casue: 1 }],
        'unknown option "casue", did you mean "cause"?',
      ],
    ];
    for (const [args, text] of bad) {
      assertThrows(make(...args), TypeError, start + text);
    }
    assertEquals(Reflect.construct(ErrorClass, [undefined, {}]).message, "");
  });
}

Deno.test("DeadlockError is a RuntimeError and keeps its snapshot", () => {
  const snapshot = { tasks: [] };
  const cause = new RangeError("why");
  const error = new DeadlockError("stuck", { snapshot, cause });
  assertInstanceOf(error, RuntimeError);
  assertStrictEquals(error.snapshot, snapshot);
  assertStrictEquals(error.cause, cause);
  assertEquals(new DeadlockError().snapshot, null);
});

Deno.test("Error classes refuse arguments of the wrong type with their own messages", () => {
  // deno-lint-ignore no-explicit-any
  const any = (value: unknown) => value as any;
  const bytes = new Uint8Array(3);
  const bad: [() => unknown, string][] = [
    [
      () => new IncompleteReadError(any(null), 1),
      "Cannot create an IncompleteReadError: partial must be a Uint8Array, got null",
    ],
    [
      () => new IncompleteReadError(bytes, any("5")),
      'Cannot create an IncompleteReadError: expected must be a number, got "5"',
    ],
    [
      () => new LimitOverrunError("m", any(undefined)),
      "Cannot create a LimitOverrunError: consumed must be a number, got undefined",
    ],
    [
      () => new KeyboardInterrupt("m", any({ signal: 2 })),
      "Cannot create a KeyboardInterrupt: signal must be a string, got 2",
    ],
    [
      () => new ExceptionGroup(any(new Error("x")), []),
      "Cannot create an ExceptionGroup: message must be a string, got an Error",
    ],
    [
      () => new ExceptionGroup("m", any(null)),
      "Cannot create an ExceptionGroup: errors must be an iterable such as an array, got null",
    ],
    [
      () => new ExceptionGroup("m", any("errors")),
      'Cannot create an ExceptionGroup: errors must be an iterable such as an array, got "errors"',
    ],
  ];
  for (const [make, text] of bad) assertThrows(make, TypeError, text);
});

Deno.test("ExceptionGroup.split() refuses a filter that is neither predicate nor error class", () => {
  const group = new ExceptionGroup("m", [new Error("x")]);
  class Foo {}
  const filters = [null, 1, "Error", Symbol("s"), Object.create(null), {}, Foo];
  for (const filter of filters) {
    for (const method of ["split", "subgroup"] as const) {
      assertThrows(
        () => group[method](filter as never),
        TypeError,
        "Cannot filter errors: expected a predicate or an error class, got ",
      );
    }
  }
});

Deno.test("ExceptionGroup.split() divides groups nested deeper than the call stack", () => {
  const depth = 5_000;
  let group = new ExceptionGroup("innermost", [
    new RangeError("far"),
    new TypeError("bad"),
  ]);
  for (let i = 0; i < depth; i++) group = new ExceptionGroup(`${i}`, [group]);
  const [hit, miss] = group.split(RangeError);
  for (const [part, message] of [[hit, "far"], [miss, "bad"]] as const) {
    let leaf: unknown = part;
    let levels = 0;
    while (leaf instanceof ExceptionGroup) {
      assertEquals(leaf.errors.length, 1);
      leaf = leaf.errors[0];
      levels++;
    }
    assertEquals([levels, (leaf as Error).message], [depth + 1, message]);
  }
});

/** The error of a call. */
async function errorOf(fn: () => unknown): Promise<unknown> {
  try {
    await fn();
  } catch (error) {
    return error;
  }
  throw new Error("It did not fail");
}

/** A loopback port without a listener. */
function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** An invalid host name: a label of more than 63 letters. */
const NO_NAME = `${"a".repeat(64)}.invalid`;

Deno.test("OSError matches every error that the system reports through Deno", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken = { hostname: "127.0.0.1", port: listener.addr.port };
  const failing: Record<string, () => unknown> = {
    "a missing file": () => Deno.readTextFile("/no/such/file"),
    "a missing file, for Node": () =>
      import("node:fs").then((fs) => fs.readFileSync("/no/such/file")),
    "a missing program": () => new Deno.Command("/no/such/program").output(),
    "a port in use": () => Deno.listen(taken),
    "an address of others": () =>
      Deno.listen({ hostname: "192.0.2.1", port: 0 }),
    "a refused connection": () =>
      Deno.connect({ hostname: "127.0.0.1", port: closedPort() }),
    "a refused fetch": () => fetch(`http://127.0.0.1:${closedPort()}`),
    "a name too long, of no class": () => Deno.stat("x".repeat(5000)),
    "a directory read as a file": () => Deno.readFile("/tmp"),
    "an unknown host": () => Deno.connect({ hostname: NO_NAME, port: 1 }),
    "an unknown host to listen on": () =>
      Deno.listen({ hostname: NO_NAME, port: 0 }),
    "an unknown host for a stream": () => openConnection(NO_NAME, 1),
  };
  for (const [what, fn] of Object.entries(failing)) {
    const error = await errorOf(fn);
    assert(error instanceof OSError, `${what}: ${error}`);
    assert(
      ExceptionGroup.prototype.split.call(
        new ExceptionGroup("m", [error]),
        OSError,
      )[1] === null,
    );
  }
  assert(
    !((await errorOf(failing["a missing file"])) instanceof ConnectionError),
  );
});

Deno.test("ConnectionError matches what ends or refuses a connection", async () => {
  const { errors } = Deno;
  const made = [
    new errors.ConnectionRefused("x"),
    new errors.ConnectionReset("x"),
    new errors.ConnectionAborted("x"),
    new errors.NotConnected("x"),
    new errors.BrokenPipe("x"),
    new errors.UnexpectedEof("x"),
    await errorOf(() =>
      Deno.connect({ hostname: "127.0.0.1", port: closedPort() })
    ),
    await errorOf(() => openConnection("127.0.0.1", closedPort())),
    await errorOf(() => fetch(`http://127.0.0.1:${closedPort()}`)),
    Object.assign(new Error("connect ECONNREFUSED"), {
      code: "ECONNREFUSED",
      syscall: "connect",
    }),
  ];
  for (const error of made) {
    assert(error instanceof ConnectionError, `${error}`);
    assert(error instanceof OSError);
  }
  const others = [
    new errors.NotFound("x"),
    new errors.AddrInUse("x"),
    new errors.TimedOut("x"),
  ];
  for (const error of others) {
    assert(!(error instanceof ConnectionError));
    assert(error instanceof OSError);
  }
});

Deno.test("OSError and ConnectionError match nothing else", () => {
  const { proxy, revoke } = Proxy.revocable(new Error("x"), {});
  revoke();
  const trapped = Object.defineProperty(new Error("x"), "message", {
    get() {
      throw new Error("user code threw");
    },
  });
  const others = [
    ...[null, undefined, 1, "os error 2", Symbol("s"), {}, () => {}],
    new Error("no"),
    new TypeError("Bad"),
    new TimeoutError("slow"),
    new CancelledError(),
    new RuntimeError("no"),
    new Error("wrapped", { cause: new Deno.errors.NotFound("x") }),
    Object.assign(new Error("coded"), { code: "EXPIRED" }),
    new Deno.errors.NotCapable("Requires net access"),
    new Deno.errors.BadResource("Bad resource ID"),
    new Deno.errors.NotSupported("no"),
    { message: "Connection refused (os error 111)" },
    proxy,
    trapped,
  ];
  for (const other of others) {
    assert(!(other as unknown instanceof OSError));
    assert(!(other as unknown instanceof ConnectionError));
  }
});

Deno.test("Error classes check their arguments and kinds in a thread too", async () => {
  const [refused, unknown, isMissing, isOwn] = await run(() =>
    toThread(() => {
      // deno-lint-ignore no-explicit-any
      const { TimeoutError, OSError } = globalThis as any;
      const textOf = (...args: unknown[]) => {
        try {
          return String(new TimeoutError(...args));
        } catch (error) {
          return (error as Error).message;
        }
      };
      return [
        textOf(1),
        textOf("m", { casue: 1 }),
        new Deno.errors.NotFound("x") instanceof OSError,
        new TimeoutError("m") instanceof OSError,
      ];
    })
  );
  const start = "Cannot create a TimeoutError: ";
  assertEquals(refused, `${start}message must be a string, got 1`);
  assertEquals(
    unknown,
    `${start}unknown option "casue", did you mean "cause"?`,
  );
  assertEquals([isMissing, isOwn], [true, false]);
});

Deno.test("OSError and ConnectionError cannot be constructed", () => {
  for (const [name, Kind] of Object.entries({ OSError, ConnectionError })) {
    assertThrows(
      () => Reflect.construct(Kind, ["m"]),
      TypeError,
      `Cannot create ${name}: it is a kind of error, to be used with instanceof`,
    );
  }
});
