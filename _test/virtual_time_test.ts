import { readFile } from "node:fs/promises";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { setImmediate } from "node:timers";
import {
  createTask,
  type EventLoop,
  gather,
  getRunningLoop,
  run,
  sleep,
  timeout,
  VirtualTimeLoop,
  type VirtualTimeOptions,
  wait,
} from "@asyncio/asyncio";
import { inspect } from "./_inspect.ts";

/** Runs a program on virtual time. */
function virtual<T>(
  main: () => T | PromiseLike<T>,
  options?: VirtualTimeOptions,
) {
  return run(main, { loopFactory: () => new VirtualTimeLoop(options) });
}

const now = () => getRunningLoop().time();

Deno.test("VirtualTimeLoop sleeps in no time", async () => {
  const times = await virtual(async () => {
    const times = [now()];
    for (const hours of [1, 24, 8760]) {
      await sleep({ hours });
      times.push(now());
    }
    return times;
  });
  assertEquals(times, [0, 3600, 90_000, 31_626_000]);
});

Deno.test("VirtualTimeLoop wakes tasks in the order of their times, and of their calls where those are equal", async () => {
  const program = () =>
    virtual(async () => {
      const log: string[] = [];
      const say = (name: string, ...delays: number[]) => async () => {
        for (const delay of delays) {
          await sleep(delay);
          log.push(`${name} ${now()}`);
        }
      };
      await gather([
        say("a", 3, 1, 1),
        say("b", 2, 1, 2),
        say("c", 1, 1, 1, 1, 1),
      ]);
      return log;
    });
  const log = await program();
  assertEquals(log, [
    "c 1",
    "b 2",
    "c 2",
    "a 3",
    "b 3",
    "c 3",
    "a 4",
    "c 4",
    "b 5",
    "a 5",
    "c 5",
  ]);
  for (let i = 0; i < 5; i++) assertEquals(await program(), log);
});

Deno.test("VirtualTimeLoop does not jump while a callback or a task is ready", async () => {
  const log = await virtual(async () => {
    const log: string[] = [];
    const loop = getRunningLoop();
    loop.callLater(1e-9, () => log.push("timer"));
    const chain = (left: number) => {
      if (left > 0) loop.callSoon(chain, left - 1);
      else log.push(`callbacks ${now()}`);
    };
    chain(1000);
    for (let i = 0; i < 1000; i++) await sleep(0);
    log.push(`task ${now()}`);
    await sleep(1);
    return log;
  });
  assertEquals(log, ["callbacks 0", "task 0", "timer"]);
});

Deno.test("VirtualTimeLoop does not jump over what promises of Deno bring", async () => {
  const log = await virtual(async () => {
    const log: string[] = [];
    getRunningLoop().callLater(1, () => log.push("timer"));
    for (let i = 0; i < 100; i++) await Promise.resolve();
    await gather([
      new Promise<void>((resolve) => queueMicrotask(resolve)),
      Promise.resolve().then(() => log.push(`promise ${now()}`)),
    ]);
    await sleep(1);
    return log;
  });
  assertEquals(log, ["promise 0", "timer"]);
});

Deno.test("VirtualTimeLoop cancels a jump if Deno makes something ready first", async () => {
  const log = await virtual(async () => {
    const log: string[] = [];
    const loop = getRunningLoop();
    loop.callLater(1, () => log.push("timer"));
    const woken = loop.createFuture<void>();
    setImmediate(() => {
      woken.setResult();
      loop.callSoon(() => log.push(`callback ${now()}`));
    });
    await woken;
    log.push(`task ${now()}`);
    await sleep(2);
    return log;
  });
  assertEquals(log, ["task 0", "callback 0", "timer"]);
});

Deno.test("VirtualTimeLoop fires all timers of an instant before a task resumes", async () => {
  const log = await virtual(async () => {
    const log: string[] = [];
    const loop = getRunningLoop();
    createTask(async () => {
      await sleep(1);
      log.push("task");
    });
    await sleep(0);
    loop.callLater(1, () => log.push("timer"));
    loop.callLater(1, () => log.push("another"));
    await sleep(2);
    return log;
  });
  assertEquals(log, ["timer", "another", "task"]);
});

Deno.test("VirtualTimeLoop does not jump to timers that were cancelled", async () => {
  await virtual(async () => {
    const loop = getRunningLoop();
    const task = createTask(() => sleep(3600));
    const timer = loop.callLater(5, () => {});
    await sleep(0);
    task.cancel();
    timer.cancel();
    await wait([task]);
    await sleep(10);
    assertEquals(now(), 10);
  });
});

Deno.test("VirtualTimeLoop takes timers that are due already without moving the clock", async () => {
  const log = await virtual(async () => {
    const log: string[] = [];
    const loop = getRunningLoop();
    await sleep(10);
    loop.callAt(3, () => log.push(`past ${now()}`));
    loop.callLater(-1, () => log.push(`negative ${now()}`));
    await sleep(0.5);
    return log;
  });
  assertEquals(log, ["past 10", "negative 10"]);
});

Deno.test("VirtualTimeLoop starts its clock at the given time", async () => {
  for (const start of [1000.5, -5, 0]) {
    const times = await virtual(async () => {
      const times = [now()];
      await sleep(2);
      return [...times, now()];
    }, { start });
    assertEquals(times, [start, start + 2]);
  }
});

Deno.test("VirtualTimeLoop refuses a start or a patience that is not a time", () => {
  for (const start of [NaN, Infinity, -Infinity]) {
    assertThrows(
      () => new VirtualTimeLoop({ start }),
      RangeError,
      "Invalid start: expected a ",
    );
  }
  assertThrows(
    () => new VirtualTimeLoop({ start: "1" as never }),
    TypeError,
    'Invalid start: expected seconds on the clock of loop.time(), got "1"',
  );
  assertThrows(() => new VirtualTimeLoop({ patience: NaN }), RangeError);
  assertThrows(
    () => new VirtualTimeLoop({ patience: "1" as never }),
    TypeError,
  );
});

Deno.test("VirtualTimeLoop refuses options that are unknown, and what is not an object", () => {
  const bad: [unknown, string][] = [
    [null, "options must be an object, got null"],
    [5, "options must be an object, got 5"],
    [
      { patience: 1, starts: 1 },
      'unknown option "starts", did you mean "start"?',
    ],
  ];
  for (const [options, text] of bad) {
    assertThrows(
      () => new VirtualTimeLoop(options as never),
      TypeError,
      `Cannot create a VirtualTimeLoop: ${text}`,
    );
  }
});

Deno.test("VirtualTimeLoop tells the time after it was closed", async () => {
  let loop: EventLoop | undefined;
  await virtual(async () => {
    loop = getRunningLoop();
    await sleep(42);
  });
  assert(loop!.isClosed());
  assertEquals(loop!.time(), 42);
});

Deno.test("VirtualTimeLoop has a clock of its own", async () => {
  const log: string[] = [];
  const main = (name: string, delay: number) => async () => {
    await sleep(delay);
    log.push(`${name} ${now()}`);
  };
  await Promise.all([
    virtual(main("one", 10)),
    virtual(main("two", 1), { start: 100 }),
  ]);
  assertEquals(log.sort(), ["one 10", "two 101"]);
});

Deno.test("VirtualTimeLoop jumps when its patience has ended", async () => {
  await virtual(async () => {
    const log: string[] = [];
    createTask(async () => {
      await sleep(1);
      log.push(`task ${now()}`);
    });
    await sleep(2);
    log.push(`main ${now()}`);
    assertEquals(log, ["task 1", "main 2"]);
  }, { patience: { milliseconds: 1 } });
});

for (const patience of [{ minutes: 1 }, Infinity]) {
  const shown = inspect(patience);

  Deno.test(`VirtualTimeLoop with a patience of ${shown} waits for files`, async () => {
    await virtual(async () => {
      const text = await timeout(3600, async () => {
        const own = await readFile(new URL(import.meta.url), "utf8");
        await sleep(0);
        return own;
      });
      assert(text.includes("waits for files"));
      assertEquals(now(), 0);
    }, { patience });
  });

  Deno.test(`VirtualTimeLoop with a patience of ${shown} waits for sockets`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const serve = async () => {
      using conn = await listener.accept();
      const buffer = new Uint8Array(16);
      const count = await conn.read(buffer);
      await conn.write(buffer.subarray(0, count!));
    };
    await virtual(async () => {
      const answer = await timeout({ hours: 1 }, async () => {
        const server = createTask(serve);
        using conn = await Deno.connect({ hostname: "127.0.0.1", port });
        await conn.write(new TextEncoder().encode("over the wire"));
        const buffer = new Uint8Array(16);
        const count = await conn.read(buffer);
        await server;
        return new TextDecoder().decode(buffer.subarray(0, count!));
      });
      assertEquals([answer, now()], ["over the wire", 0]);
    }, { patience });
  });

  Deno.test(`VirtualTimeLoop with a patience of ${shown} waits for timers of the host`, async () => {
    await virtual(async () => {
      const loop = getRunningLoop();
      const woken = loop.createFuture<string>();
      setTimeout(() => woken.setResult(`woken at ${now()}`), 1);
      const late = loop.callLater(1, () => woken.cancel());
      assertEquals(await woken, "woken at 0");
      late.cancel();
    }, { patience });
  });
}
