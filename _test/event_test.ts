import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import {
  CancelledError,
  createTask,
  Event,
  gather,
  getRunningLoop,
  sleep,
} from "@asyncio/asyncio";
import { virtual } from "./_virtual.ts";
import { inspect } from "./_inspect.ts";

Deno.test("Event.set() wakes all who wait, in order, after one who comes later and does not wait [test_locks.EventTests.test_wait]", () =>
  virtual(async () => {
    const event = new Event();
    const log: number[] = [];
    const waiter = (n: number) =>
      createTask(async () => {
        if (await event.wait()) log.push(n);
      });
    const tasks = [waiter(1), waiter(2)];
    await sleep(0);
    assertEquals(log, []);
    tasks.push(waiter(3));
    event.set();
    await sleep(0);
    assertEquals(log, [3, 1, 2]);
    assert(tasks.every((it) => it.done()));
  }));

Deno.test("Event.wait() on a set event resolves to true at once [test_locks.EventTests.test_wait_on_set]", () =>
  virtual(async () => {
    const event = new Event();
    event.set();
    const log: unknown[] = [];
    getRunningLoop().callSoon(() => log.push("turn"));
    log.push(await event.wait());
    assertEquals(log, [true]);
  }));

Deno.test("Event.wait() that is cancelled leaves no trace [test_locks.EventTests.test_wait_cancel]", () =>
  virtual(async () => {
    const event = new Event();
    const task = createTask(() => event.wait());
    getRunningLoop().callSoon(() => task.cancel());
    await assertRejects(() => task, CancelledError);
    assertEquals(inspect(event), "<Event unset>");
  }));

Deno.test("Event.isSet() follows set() and clear() [test_locks.EventTests.test_clear]", () => {
  const event = new Event();
  assertFalse(event.isSet());
  event.set();
  assert(event.isSet());
  event.clear();
  assertFalse(event.isSet());
});

Deno.test("Event.clear() after set() does not affect waiters already woken [test_locks.EventTests.test_clear_with_waiters]", () =>
  virtual(async () => {
    const event = new Event();
    const log: string[] = [];
    const waiter = (name: string) =>
      createTask(async () => {
        await event.wait();
        log.push(name);
      });
    const early = waiter("early");
    await sleep(0);
    event.set();
    event.clear();
    assertFalse(event.isSet());
    const late = waiter("late");
    await sleep(1);
    assertEquals(log, ["early"]);
    event.set();
    event.set();
    await gather([early, late]);
    assertEquals(log, ["early", "late"]);
  }));

Deno.test("Event can be used again and again by the same tasks", () =>
  virtual(async () => {
    const event = new Event();
    const log: string[] = [];
    const tasks = ["a", "b"].map((name) =>
      createTask(async () => {
        for (let round = 0; round < 3; round++) {
          await event.wait();
          log.push(`${name}${round}`);
          await sleep(1);
        }
      })
    );
    for (let round = 0; round < 3; round++) {
      await sleep(0.5);
      event.set();
      event.clear();
      await sleep(0.5);
    }
    await gather(tasks);
    assertEquals(log.join(" "), "a0 b0 a1 b1 a2 b2");
  }));

Deno.test("Event.wait() resolves to true, also in its type", async () => {
  const event = new Event();
  const waiting: Promise<true> = event.wait();
  event.set();
  const answer: true = await waiting;
  assertEquals(answer, true);
});

Deno.test("Event shows its state and who waits in one line", () =>
  virtual(async () => {
    const event = new Event();
    assertEquals(inspect(event), "<Event unset>");
    const tasks = [1, 2].map(() => createTask(() => event.wait()));
    await sleep(0);
    assertEquals(inspect(event), "<Event unset, 2 waiting>");
    event.set();
    assertEquals(inspect(event), "<Event set>");
    await gather(tasks);
  }));
