import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  Barrier,
  BrokenBarrierError,
  CancelledError,
  createTask,
  gather,
  RuntimeError,
  sleep,
  type Task,
} from "@asyncio/asyncio";
import { outcome, virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

const PARTIES = 5;

/** Runs a body n times concurrently, and waits for all. */
async function times<T>(
  count: number,
  body: (n: number) => Promise<T>,
): Promise<T[]> {
  const tasks = Array.from(
    { length: count },
    (_, n) => createTask(() => body(n)),
  );
  return await gather(tasks);
}

const ascending = (numbers: number[]) => numbers.toSorted((a, b) => a - b);

function assertAtRest(barrier: Barrier): void {
  assertEquals(barrier.nWaiting, 0);
  assertFalse(barrier.broken);
  assertEquals(
    inspect(barrier),
    `<Barrier filling, 0 of ${barrier.parties} waiting>`,
  );
}

Deno.test("Barrier refuses a number of parties that is below one or not whole [test_locks.BarrierTests.test_barrier_parties]", () => {
  assertThrows(() => new Barrier(0), RangeError, "at least 1, got 0");
  assertThrows(() => new Barrier(-4), RangeError);
  assertThrows(() => new Barrier(2.5), RangeError, "whole number");
  assertThrows(() => new Barrier("2" as unknown as number), TypeError);
  assertEquals(new Barrier(PARTIES).parties, PARTIES);
});

Deno.test("Barrier.wait() returns the position of each party [test_locks.BarrierTests.test_context_manager]", () =>
  virtual(async () => {
    const barrier = new Barrier(3);
    assertEquals(await times(3, () => barrier.wait()), [0, 1, 2]);
    assertAtRest(barrier);
  }));

Deno.test("Barrier(1) never waits [test_locks.BarrierTests.test_filling_one_task]", async () => {
  const barrier = new Barrier(1);
  assertEquals(await barrier.wait(), 0);
  assertAtRest(barrier);
});

Deno.test("Barrier(1) returns position 0 each time [test_locks.BarrierTests.test_filling_one_task_twice]", () =>
  virtual(async () => {
    const barrier = new Barrier(1);
    for (let i = 0; i < 2; i++) {
      const task = createTask(() => barrier.wait());
      await sleep(0);
      assertEquals(barrier.nWaiting, 0);
      assertEquals(task.result(), 0);
    }
    assertAtRest(barrier);
  }));

Deno.test("Barrier.nWaiting rises one by one and falls to zero with the last party [test_locks.BarrierTests.test_filling_task_by_task]", () =>
  virtual(async () => {
    const barrier = new Barrier(3);
    const counts: number[] = [];
    const tasks = [];
    for (let i = 0; i < 3; i++) {
      tasks.push(createTask(() => barrier.wait()));
      await sleep(0);
      counts.push(barrier.nWaiting);
    }
    await gather(tasks);
    assertEquals(counts, [1, 2, 0]);
    assertAtRest(barrier);
  }));

Deno.test("Barrier lets the same tasks cross twice in a row [test_locks.BarrierTests.test_filling_tasks_wait_twice]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const log: number[] = [];
    await times(PARTIES, async () => {
      for (const round of [1, 2]) {
        await barrier.wait();
        log.push(round);
      }
    });
    assertEquals(log, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
    assertAtRest(barrier);
  }));

Deno.test("Barrier.wait() returns distinct positions in each round [test_locks.BarrierTests.test_filling_tasks_check_return_value]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const rounds = await times(PARTIES, async () => [
      await barrier.wait(),
      await barrier.wait(),
      await barrier.wait(),
    ]);
    for (const round of [0, 1, 2]) {
      assertEquals(
        ascending(rounds.map((it) => it[round])),
        [0, 1, 2, 3, 4],
      );
    }
    assertAtRest(barrier);
  }));

Deno.test("Barrier drains until its last party has left, and later arrivals wait for that [test_locks.BarrierTests.test_draining_state]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const log: string[] = [];
    let newcomer: Promise<number> | undefined;
    await times(PARTIES, async () => {
      await barrier.wait();
      log.push(inspect(barrier));
      newcomer ??= barrier.wait();
      assertEquals(barrier.nWaiting, 0);
    });
    const draining = "<Barrier draining, 0 of 5 waiting>";
    const filling = "<Barrier filling, 0 of 5 waiting>";
    assertEquals(log, [...Array(4).fill(draining), filling]);
    await sleep(1);
    assertEquals(barrier.nWaiting, 1);
    await times(PARTIES - 1, () => barrier.wait());
    assertEquals(await newcomer, 0);
    assertAtRest(barrier);
  }));

Deno.test("Barrier keeps those who come back while others leave for the next round [test_locks.BarrierTests.test_blocking_tasks_while_draining]", () =>
  virtual(async () => {
    const back = 2;
    const barrier = new Barrier(PARTIES);
    const rest = new Barrier(PARTIES - back);
    const log: string[] = [];
    let left = 0;
    await times(PARTIES, async (n) => {
      await barrier.wait();
      if (++left <= back) log.push(`${n} back`);
      else {
        await rest.wait();
        log.push(`${n} rest`);
      }
      await barrier.wait();
      log.push(`${n} through`);
    });
    assertEquals(log.slice(0, 2), ["4 back", "0 back"]);
    assertEquals(log.filter((it) => it.endsWith("rest")).length, 3);
    assertEquals(log.slice(5).filter((it) => it.endsWith("through")).length, 5);
    assertAtRest(barrier);
  }));

Deno.test("Barrier is not broken by a party that is cancelled, and another takes its place [test_locks.BarrierTests.test_filling_tasks_cancel_one]", () =>
  virtual(async () => {
    const barrier = new Barrier(3);
    const first = createTask(() => barrier.wait());
    await sleep(0);
    const second = createTask(() => barrier.wait());
    await sleep(0);
    assertEquals(barrier.nWaiting, 2);
    first.cancel();
    await sleep(0);
    assertEquals(barrier.nWaiting, 1);
    await assertRejects(() => first, CancelledError);
    const third = createTask(() => barrier.wait());
    await sleep(0);
    assertEquals(barrier.nWaiting, 2);
    await gather([second, third, createTask(() => barrier.wait())]);
    assertAtRest(barrier);
  }));

Deno.test("Barrier.reset() of an idle barrier does nothing [test_locks.BarrierTests.test_reset_barrier]", async () => {
  const barrier = new Barrier(1);
  await barrier.reset();
  assertAtRest(barrier);
  assertEquals(await barrier.wait(), 0);
});

Deno.test("Barrier.reset() rejects the waiters and does not break the barrier [test_locks.BarrierTests.test_reset_barrier_while_tasks_waiting]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const waiting = times(PARTIES - 1, () => outcome(barrier.wait()));
    await sleep(0);
    await barrier.reset();
    assertEquals(
      inspect(barrier),
      "<Barrier resetting, 0 of 5 waiting>",
    );
    const away = "BrokenBarrierError(The barrier was aborted or reset)";
    assertEquals(await waiting, Array(4).fill(away));
    assertAtRest(barrier);
  }));

Deno.test("Barrier.reset() by a party that has left rejects those still leaving [test_locks.BarrierTests.test_reset_barrier_when_tasks_half_draining]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const log: string[] = [];
    let left = 0;
    await times(PARTIES, async (n) => {
      try {
        await barrier.wait();
        log.push(`${n} through`);
        if (++left === 3) await barrier.reset();
      } catch (error) {
        assert(error instanceof BrokenBarrierError);
        log.push(`${n} away`);
      }
    });
    assertEquals(
      log.join(", "),
      "4 through, 0 through, 1 through, 2 away, 3 away",
    );
    assertAtRest(barrier);
  }));

Deno.test("Barrier.reset() while the barrier drains does not affect those who came back early [test_locks.BarrierTests.test_reset_barrier_when_tasks_half_draining_half_blocking]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const log: string[] = [];
    let left = 0;
    await times(PARTIES, async (n) => {
      try {
        await barrier.wait();
      } catch (error) {
        assert(error instanceof BrokenBarrierError);
        log.push(`${n} away`);
        return void await barrier.wait();
      }
      if (++left > 2) {
        log.push(`${n} resets`);
        await barrier.reset();
      }
      await barrier.wait();
      log.push(`${n} through`);
    });
    assertEquals(log.slice(0, 3), ["1 resets", "2 away", "3 away"]);
    assertEquals(log.slice(3).toSorted(), [
      "0 through",
      "1 through",
      "4 through",
    ]);
    assertAtRest(barrier);
  }));

Deno.test("Barrier lets those that reset() rejected wait again and complete a round [test_locks.BarrierTests.test_reset_barrier_while_tasks_waiting_and_waiting_again]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const log: string[] = [];
    const waiting = times(PARTIES - 1, async () => {
      await assertRejects(() => barrier.wait(), BrokenBarrierError);
      log.push("away");
      await barrier.wait();
      log.push("through");
    });
    const resetting = createTask(() => barrier.reset());
    await sleep(0);
    await resetting;
    const newcomer = createTask(() => barrier.wait());
    await waiting;
    await newcomer;
    assertEquals(
      log.join(" "),
      "away away away away through through through through",
    );
    assertAtRest(barrier);
  }));

Deno.test("Barrier.reset() by the last to leave affects nobody [test_locks.BarrierTests.test_reset_barrier_while_tasks_draining]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    let left = 0;
    const results = await times(PARTIES, async () => {
      await barrier.wait();
      if (++left === PARTIES) await barrier.reset();
      return [await outcome(barrier.wait()), await outcome(barrier.wait())];
    });
    for (const round of [0, 1]) {
      assertEquals(
        results.map((it) => it[round]).toSorted(),
        [0, 1, 2, 3, 4].map((n) => `value ${n}`),
      );
    }
    assertAtRest(barrier);
  }));

Deno.test("Barrier.abort() breaks an idle barrier [test_locks.BarrierTests.test_abort_barrier]", async () => {
  const barrier = new Barrier(1);
  await barrier.abort();
  assertEquals([barrier.nWaiting, barrier.broken], [0, true]);
  assertEquals(inspect(barrier), "<Barrier broken>");
  const error = await assertRejects(() => barrier.wait(), BrokenBarrierError);
  assert(error instanceof RuntimeError);
});

Deno.test("Barrier.abort() rejects those leaving, and those who came back [test_locks.BarrierTests.test_abort_barrier_when_tasks_half_draining_half_blocking]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const log: string[] = [];
    let left = 0;
    await times(PARTIES, async (n) => {
      if (await outcome(barrier.wait()).then(isBroken)) {
        return void log.push(`${n} away`);
      }
      if (++left > 2) {
        await barrier.abort();
        log.push(`${n} aborts`);
      } else if (await outcome(barrier.wait()).then(isBroken)) {
        log.push(`${n} away again`);
      }
    });
    assertEquals(
      log.join(", "),
      "1 aborts, 2 away, 3 away, 4 away again, 0 away again",
    );
    assertEquals([barrier.nWaiting, barrier.broken], [0, true]);
  }));

const isBroken = (outcome: string) => outcome.startsWith("BrokenBarrierError");

/** Crosses twice; the one in the middle breaks the barrier after the first time. */
async function crossTwice(barrier: Barrier): Promise<string> {
  try {
    if (await barrier.wait() === 2) throw new RangeError("failed");
    await barrier.wait();
    return "through";
  } catch (error) {
    if (error instanceof BrokenBarrierError) return "away";
    await barrier.abort();
    return "failed";
  }
}

Deno.test("Barrier.abort() by a party that failed makes the next wait of the others fail [test_locks.BarrierTests.test_abort_barrier_when_exception]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    assertEquals(
      await times(PARTIES, () => crossTwice(barrier)),
      ["away", "away", "failed", "away", "away"],
    );
    assertEquals([barrier.nWaiting, barrier.broken], [0, true]);
  }));

Deno.test("Barrier.reset() after abort() makes the barrier usable again [test_locks.BarrierTests.test_abort_barrier_when_exception_then_resetting]", () =>
  virtual(async () => {
    const barrier = new Barrier(PARTIES);
    const meeting = new Barrier(PARTIES);
    const results = await times(PARTIES, async () => {
      const first = await crossTwice(barrier);
      if (await meeting.wait() === 2) await barrier.reset();
      await meeting.wait();
      return [first, await barrier.wait()] as const;
    });
    assertEquals(results.filter(([first]) => first === "away").length, 4);
    assertEquals(ascending(results.map(([, at]) => at)), [0, 1, 2, 3, 4]);
    assertAtRest(barrier);
  }));

Deno.test("Barrier.abort() and reset() in one step send the waiting away once", () =>
  virtual(async () => {
    const barrier = new Barrier(3);
    const waiting = times(2, () => outcome(barrier.wait()).then(isBroken));
    await sleep(0);
    await barrier.abort();
    await barrier.reset();
    assertFalse(barrier.broken);
    assertEquals(await waiting, [true, true]);
    assertEquals(await times(3, () => barrier.wait()), [0, 1, 2]);
  }));

Deno.test("Barrier lets no fourth call into a round of three that one task makes at once", () =>
  virtual(async () => {
    const barrier = new Barrier(3);
    const log: string[] = [];
    const calls = ["a", "b", "c", "d", "e"].map(async (name) => {
      log.push(`${name}${await barrier.wait()}`);
    });
    await Promise.all(calls.slice(0, 3));
    await sleep(1);
    assertEquals(log, ["c2", "a0", "b1"]);
    assertEquals(barrier.nWaiting, 2);
    await barrier.wait();
    await Promise.all(calls);
    assertEquals(log.slice(3), ["d0", "e1"]);
  }));

Deno.test("Barrier.wait() that is cancelled in every state leaves the barrier intact", () =>
  virtual(async () => {
    const barrier = new Barrier(2);
    const parties: Task<number>[] = [];
    const come = () => parties.push(createTask(() => barrier.wait()));
    come();
    await sleep(0);
    come();
    await sleep(0);
    parties[0].cancel(); // it was leaving with the round
    come(); // and this one waits for that
    await sleep(0);
    parties[2].cancel();
    assertEquals(
      await Promise.all(parties.map(outcome)),
      ["CancelledError", "value 1", "CancelledError"],
    );
    assertAtRest(barrier);
    assertEquals(ascending(await times(2, () => barrier.wait())), [0, 1]);
  }));

/** Rounds of four with cancellations, a reset and an abort between them. */
async function eventfulBarrier(): Promise<string[]> {
  const barrier = new Barrier(4);
  const log: string[] = [];
  const tasks = new Map<string, Task<void>>();
  const come = (...names: string[]) => {
    for (const name of names) {
      tasks.set(
        name,
        createTask(async () => {
          const result = await outcome(barrier.wait());
          log.push(`${name} ${result.replace(/\(.*|value /, "")}`);
        }),
      );
    }
  };
  const turn = async (what: string) => {
    log.push(`${what} ${barrier.nWaiting}`);
    await sleep(1);
  };
  come("a", "b", "c");
  await turn("three come");
  tasks.get("a")!.cancel();
  come("d", "e", "f");
  await turn("one leaves, three come");
  await barrier.reset();
  come("g", "h");
  await turn("reset, two come");
  come("i");
  await sleep(0);
  tasks.get("h")!.cancel();
  await turn("one comes, one leaves");
  come("j", "k", "l");
  await turn("three come");
  come("m");
  await sleep(0);
  tasks.get("l")!.cancel();
  await barrier.abort();
  come("n");
  await turn("abort");
  return log;
}

Deno.test("Barrier with cancellations, reset and abort matches the trace of CPython", () =>
  virtual(async () => {
    // The log of CPython 3.13 for the same program.
    assertEquals(await eventfulBarrier(), [
      "three come 0",
      "one leaves, three come 3",
      "a CancelledError",
      "e 3",
      "b 1",
      "c 2",
      "d 2",
      "reset, two come 0",
      "f BrokenBarrierError",
      "one comes, one leaves 3",
      "h CancelledError",
      "three come 2",
      "k 3",
      "i 2",
      "g 0",
      "j 2",
      "abort 0",
      "l CancelledError",
      "m BrokenBarrierError",
      "n BrokenBarrierError",
    ]);
  }));
